//! Streams: work in order.
//!
//! Work is executed when it is enqueued, on the thread that enqueues it, and the call returns when it is done. So every
//! stream is in order, two threads that use one stream take turns, and threads that use different streams run at the same
//! time. A program cannot tell this from a fast device, with these exceptions:
//!
//! - Work that waits for something that the same thread does later never ends: a kernel that spins on a flag that the host
//!   sets after the launch, or two kernels that one thread launches on two streams and that wait for each other.
//!   `hipStreamWaitValue*` on a value that is not there yet fails for this reason instead of waiting.
//! - `hipStreamQuery` says `hipErrorNotReady` only while another thread's work is on the stream.
//! - The legacy default stream's waiting for the other streams, and theirs for it, has nothing to do.
//! - Host functions and callbacks run on the enqueuing thread. They must not use their own stream, as HIP demands anyway.
//!
//! A stream that is being captured executes nothing: see [`capture`](super::capture).

use std::cell::RefCell;
use std::ffi::c_int;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::call::hip_api;
use super::capture::{self, StreamCapture};
use super::copy::own;
use super::device::PRIORITIES;
use super::event::Event;
use super::ffi::{EventHandle, List, Out, StreamHandle};
use super::registry::Registry;
use super::runtime::{self, device, get};
use super::status::{Code, Outcome};
use super::types::{hipHostFn_t, hipStreamCallback_t};
use super::work::{HostCall, Work};

/// `hipStreamNonBlocking`: the stream does not wait for the legacy default stream.
const NON_BLOCKING: u32 = 1;
/// `hipStreamLegacy`: the legacy default stream by a name of its own.
const LEGACY: StreamHandle = StreamHandle::new(1);
/// `hipStreamPerThread`: the default stream of the calling thread.
pub const PER_THREAD: StreamHandle = StreamHandle::new(2);

/// A stream.
pub struct Stream {
    /// What clients call it; null for the legacy default stream.
    pub handle: StreamHandle,
    /// The device that executes its work.
    pub device: u32,
    /// The flags it was made with.
    pub flags: u32,
    /// Smaller numbers go first; work that is executed at once is in no competition.
    pub priority: c_int,
    /// The compute units that it may use, as the client gave them.
    mask: Vec<u32>,
    /// Held while work is executed.
    order: Mutex<()>,
    capture: Mutex<Option<StreamCapture>>,
}

thread_local! {
    /// The default streams of this thread, one for each device it used.
    static OWN: RefCell<Vec<Arc<Stream>>> = const { RefCell::new(Vec::new()) };
    /// The streams whose work this thread executes right now: more than one if a host function uses another stream.
    static EXECUTING: RefCell<Vec<*const Stream>> = const { RefCell::new(Vec::new()) };
}

/// The default streams of all threads.
static PER_THREAD_STREAMS: Mutex<Vec<Weak<Stream>>> = Mutex::new(Vec::new());

/// The stream that a client means.
///
/// # Errors
/// `hipErrorInvalidHandle` for a handle of none, `hipErrorNoDevice` if null is meant and there is no device.
pub fn find(handle: StreamHandle) -> Outcome<Arc<Stream>> {
    if handle.is_null() || handle == LEGACY {
        return Ok(Arc::clone(&runtime::current()?.default_stream));
    }
    if handle == PER_THREAD {
        return Ok(own_stream(runtime::current()?.index()));
    }
    get().streams.get(handle)
}

/// The calling thread's default stream of a device.
fn own_stream(device: u32) -> Arc<Stream> {
    OWN.with_borrow_mut(|own| {
        if let Some(stream) = own.iter().find(|stream| stream.device == device) {
            return Arc::clone(stream);
        }
        let stream = Arc::new(Stream::new(PER_THREAD, device, 0, 0, Vec::new()));
        let mut all = PER_THREAD_STREAMS
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        all.retain(|stream| stream.strong_count() > 0);
        all.push(Arc::downgrade(&stream));
        own.push(Arc::clone(&stream));
        stream
    })
}

/// The stream that a client means, for work: its device must not have met a fault.
///
/// # Errors
/// Those of [`find`], and that of the fault.
pub fn usable(handle: StreamHandle) -> Outcome<Arc<Stream>> {
    let stream = find(handle)?;
    device(stream.device as c_int)?.check()?;
    Ok(stream)
}

/// All streams of a device.
pub fn of_device(index: u32) -> Vec<Arc<Stream>> {
    let mut streams = get().streams.all();
    let per_thread = PER_THREAD_STREAMS
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    streams.extend(per_thread.iter().filter_map(Weak::upgrade));
    streams.extend(
        get()
            .devices
            .iter()
            .map(|device| Arc::clone(&device.default_stream)),
    );
    streams.retain(|stream| stream.device == index);
    streams
}

/// As long as it lives, a stream is noted as one that this thread executes work of.
struct Executing;

impl Executing {
    fn note(stream: &Stream) -> Self {
        EXECUTING.with_borrow_mut(|streams| streams.push(stream));
        Self
    }
}

impl Drop for Executing {
    fn drop(&mut self) {
        EXECUTING.with_borrow_mut(Vec::pop);
    }
}

impl Stream {
    fn new(handle: StreamHandle, device: u32, flags: u32, priority: c_int, mask: Vec<u32>) -> Self {
        Self {
            handle,
            device,
            flags,
            priority,
            mask,
            order: Mutex::new(()),
            capture: Mutex::new(None),
        }
    }

    /// The legacy default stream of a device.
    pub fn default_of(device: u32) -> Self {
        Self::new(StreamHandle::NULL, device, 0, 0, Vec::new())
    }

    /// Whether it is the legacy default stream.
    pub fn is_legacy(&self) -> bool {
        self.handle.is_null()
    }

    /// Whether it waits for the legacy default stream.
    pub fn is_blocking(&self) -> bool {
        self.flags & NON_BLOCKING == 0
    }

    /// What is captured on it.
    pub fn capture(&self) -> MutexGuard<'_, Option<StreamCapture>> {
        self.capture.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn executes_here(&self) -> bool {
        EXECUTING.with_borrow(|streams| streams.iter().any(|stream| std::ptr::eq(*stream, self)))
    }

    /// Executes something when all earlier work is done.
    ///
    /// # Errors
    /// Those of `what`, and `hipErrorIllegalState` in a host function of this stream.
    pub fn run<T>(&self, what: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
        if self.executes_here() {
            return Err(
                Code::IllegalState.because("a host function uses the stream that it runs on")
            );
        }
        let _order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        let _executing = Executing::note(self);
        what()
    }

    /// Waits for all work.
    ///
    /// # Errors
    /// `hipErrorIllegalState` in a host function of this stream.
    pub fn wait(&self) -> Outcome {
        self.run(|| Ok(()))
    }

    /// Whether work is being executed.
    pub fn is_busy(&self) -> bool {
        self.order.try_lock().is_err()
    }

    /// Enqueues work: executes it, or adds it to the graph that is captured.
    ///
    /// # Errors
    /// Those of the work and of the capture.
    pub fn submit(self: &Arc<Self>, work: Work) -> Outcome {
        let Some(work) = capture::record(self, work)? else {
            return Ok(());
        };
        let device = device(self.device as c_int)?;
        device.check()?;
        self.run(|| work.execute(device))
    }
}

fn create(stream: Out<StreamHandle>, flags: u32, priority: c_int, mask: Vec<u32>) -> Outcome {
    stream.check()?;
    if flags & !NON_BLOCKING != 0 {
        return Err(Code::InvalidValue.because(format!("flags {flags:#x}")));
    }
    let device = runtime::usable()?;
    let handle = Registry::<super::ffi::kind::Stream, Stream>::fresh();
    let priority = priority.clamp(PRIORITIES.1, PRIORITIES.0);
    let new = Stream::new(handle, device.index(), flags, priority, mask);
    get().streams.insert_as(handle, Arc::new(new));
    stream.set(handle)
}

fn wait_event(stream: StreamHandle, event: EventHandle, flags: u32) -> Outcome {
    // `hipEventWaitDefault` and `hipEventWaitExternal`.
    if flags > 1 {
        return Err(Code::InvalidValue.because(format!("flags {flags:#x}")));
    }
    let stream = usable(stream)?;
    let event = get().events.get(event)?;
    capture::wait_event(&stream, &event)
}

fn query(stream: StreamHandle) -> Outcome {
    let stream = usable(stream)?;
    not_captured(&stream)?;
    if stream.is_busy() {
        return Err(Code::NotReady.into());
    }
    Ok(())
}

fn synchronize(stream: StreamHandle) -> Outcome {
    let stream = usable(stream)?;
    not_captured(&stream)?;
    stream.wait()?;
    device(stream.device as c_int)?.check()
}

fn add_callback(
    handle: StreamHandle,
    callback: hipStreamCallback_t,
    data: *mut std::ffi::c_void,
    flags: u32,
) -> Outcome {
    let callback = callback.ok_or_else(|| Code::InvalidValue.because("the callback is null"))?;
    if flags != 0 {
        return Err(Code::InvalidValue.because("flags must be zero"));
    }
    let stream = usable(handle)?;
    not_captured(&stream)?;
    let call = HostCall::Callback(callback, handle, data as usize);
    stream.submit(Work::Host(call))
}

fn launch_host_function(
    stream: StreamHandle,
    function: hipHostFn_t,
    data: *mut std::ffi::c_void,
) -> Outcome {
    let function = function.ok_or_else(|| Code::InvalidValue.because("the function is null"))?;
    let call = HostCall::Function(function, data as usize);
    usable(stream)?.submit(Work::Host(call))
}

/// Fails for a stream that is being captured, and spoils the capture: the call cannot be part of a graph.
fn not_captured(stream: &Arc<Stream>) -> Outcome {
    capture::forbid(stream)
}

/// Waits until `condition` holds for the value at an address. Nothing that this thread enqueued is outstanding, so only
/// another thread could still write it; after a while that is given up.
fn wait_value(stream: StreamHandle, condition: impl Fn() -> bool) -> Outcome {
    /// How long other threads get.
    const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);
    let stream = usable(stream)?;
    not_captured(&stream)?;
    stream.run(|| {
        let start = std::time::Instant::now();
        while !condition() {
            if start.elapsed() > PATIENCE {
                return Err(Code::LaunchTimeOut
                    .because("the value that the stream waits for does not come"));
            }
            std::thread::yield_now();
        }
        Ok(())
    })
}

/// `hipStreamWaitValueGte`, `Eq`, `And`, `Nor`.
fn compare(flags: u32, found: u64, wanted: u64, mask: u64) -> Outcome<bool> {
    let found = found & mask;
    Ok(match flags {
        0 => found >= wanted,
        1 => found == wanted,
        2 => found & wanted != 0,
        3 => !(found | wanted) & mask != 0,
        _ => return Err(Code::InvalidValue.because(format!("flags {flags:#x}"))),
    })
}

/// An address that kernels and the host may use for values, of `size` bytes.
fn value_address(pointer: *mut std::ffi::c_void, size: u64) -> Outcome<u64> {
    let address = pointer as u64;
    let alloc = get()
        .memory
        .find(address)
        .filter(|alloc| alloc.contains(address, size));
    if alloc.is_none() || !address.is_multiple_of(size) {
        return Err(Code::InvalidValue.because(format!(
            "{address:#x} is no place for a value of {size} bytes"
        )));
    }
    Ok(address)
}

hip_api! {
    fn hipStreamCreate(stream: Out<StreamHandle>) {
        create(stream, 0, 0, Vec::new())
    }

    fn hipStreamCreateWithFlags(stream: Out<StreamHandle>, flags: u32) {
        create(stream, flags, 0, Vec::new())
    }

    fn hipStreamCreateWithPriority(stream: Out<StreamHandle>, flags: u32, priority: c_int) {
        create(stream, flags, priority, Vec::new())
    }

    fn hipExtStreamCreateWithCUMask(stream: Out<StreamHandle>, cuMaskSize: u32, cuMask: List<u32>) {
        stream.check()?;
        cuMask.check()?;
        if cuMaskSize == 0 {
            return Err(Code::InvalidValue.because("the mask is empty"));
        }
        create(stream, 0, 0, cuMask.get(cuMaskSize as usize)?)
    }

    fn hipExtStreamGetCUMask(stream: StreamHandle, cuMaskSize: u32, cuMask: Out<u32>) {
        cuMask.check()?;
        let stream = find(stream)?;
        let units = device(stream.device as c_int)?.properties.card.multiprocessors;
        let mut mask = stream.mask.clone();
        if mask.is_empty() {
            mask = (0..units.div_ceil(32)).map(|word| u32::MAX >> (32 - (units - word * 32).min(32))).collect();
        }
        if (cuMaskSize as usize) < mask.len() {
            return Err(Code::InvalidValue.because(format!("the mask has {} words", mask.len())));
        }
        cuMask.set_all(&mask)
    }

    fn hipStreamDestroy(stream: StreamHandle) {
        if [StreamHandle::NULL, LEGACY, PER_THREAD].contains(&stream) {
            return Err(Code::InvalidHandle.because("default streams are not destroyed"));
        }
        let stream = get().streams.remove(stream)?;
        capture::abandon(&stream);
        stream.wait()
    }

    fn hipStreamQuery(stream: StreamHandle) {
        query(stream)
    }

    fn hipStreamSynchronize(stream: StreamHandle) {
        synchronize(stream)
    }

    fn hipStreamQuery_spt(stream: StreamHandle) {
        query(own(stream))
    }

    fn hipStreamSynchronize_spt(stream: StreamHandle) {
        synchronize(own(stream))
    }

    fn hipStreamWaitEvent_spt(stream: StreamHandle, event: EventHandle, flags: u32) {
        wait_event(own(stream), event, flags)
    }

    fn hipStreamGetFlags_spt(stream: StreamHandle, flags: Out<u32>) {
        flags.check()?;
        flags.set(find(own(stream))?.flags)
    }

    fn hipStreamGetPriority_spt(stream: StreamHandle, priority: Out<c_int>) {
        priority.check()?;
        priority.set(find(own(stream))?.priority)
    }

    fn hipStreamAddCallback_spt(
        stream: StreamHandle,
        callback: hipStreamCallback_t,
        userData: *mut std::ffi::c_void,
        flags: u32,
    ) {
        add_callback(own(stream), callback, userData, flags)
    }

    fn hipLaunchHostFunc_spt(stream: StreamHandle, function: hipHostFn_t, userData: *mut std::ffi::c_void) {
        launch_host_function(own(stream), function, userData)
    }

    fn hipStreamWaitEvent(stream: StreamHandle, event: EventHandle, flags: u32) {
        wait_event(stream, event, flags)
    }

    fn hipStreamGetFlags(stream: StreamHandle, flags: Out<u32>) {
        flags.check()?;
        flags.set(find(stream)?.flags)
    }

    fn hipStreamGetPriority(stream: StreamHandle, priority: Out<c_int>) {
        priority.check()?;
        priority.set(find(stream)?.priority)
    }

    fn hipStreamGetDevice(stream: StreamHandle, deviceOut: Out<c_int>) {
        deviceOut.check()?;
        deviceOut.set(find(stream)?.device as c_int)
    }

    fn hipGetStreamDeviceId(stream: StreamHandle) -> c_int, otherwise -1, {
        Ok(find(stream)?.device as c_int)
    }

    fn hipStreamAddCallback(
        stream: StreamHandle,
        callback: hipStreamCallback_t,
        userData: *mut std::ffi::c_void,
        flags: u32,
    ) {
        add_callback(stream, callback, userData, flags)
    }

    fn hipLaunchHostFunc(stream: StreamHandle, function: hipHostFn_t, userData: *mut std::ffi::c_void) {
        launch_host_function(stream, function, userData)
    }

    fn hipStreamAttachMemAsync(stream: StreamHandle, dev_ptr: *mut std::ffi::c_void, length: usize, flags: u32) {
        let _ = length;
        usable(stream)?;
        // `hipMemAttachGlobal`, `hipMemAttachHost`, `hipMemAttachSingle`.
        if ![1, 2, 4].contains(&flags) {
            return Err(Code::InvalidValue.because(format!("flags {flags:#x}")));
        }
        match get().memory.find(dev_ptr as u64) {
            Some(alloc) if alloc.kind == crate::memory::AllocKind::Managed => Ok(()),
            _ => Err(Code::InvalidValue.because(format!("{dev_ptr:p} is no managed memory"))),
        }
    }

    fn hipStreamWriteValue32(stream: StreamHandle, ptr: *mut std::ffi::c_void, value: u32, flags: u32) {
        let _ = flags;
        let address = value_address(ptr, 4)?;
        usable(stream)?.submit(Work::Write { address, value: u64::from(value), size: 4 })
    }

    fn hipStreamWriteValue64(stream: StreamHandle, ptr: *mut std::ffi::c_void, value: u64, flags: u32) {
        let _ = flags;
        let address = value_address(ptr, 8)?;
        usable(stream)?.submit(Work::Write { address, value, size: 8 })
    }

    fn hipStreamWaitValue32(stream: StreamHandle, ptr: *mut std::ffi::c_void, value: u32, flags: u32, mask: u32) {
        let address = value_address(ptr, 4)?;
        compare(flags, 0, 0, 0)?;
        wait_value(stream, || {
            // SAFETY: the address was found in an allocation and is aligned.
            let found = unsafe { &*(address as *const std::sync::atomic::AtomicU32) };
            let found = found.load(std::sync::atomic::Ordering::Acquire);
            compare(flags, u64::from(found), u64::from(value), u64::from(mask)).unwrap_or(true)
        })
    }

    fn hipStreamWaitValue64(stream: StreamHandle, ptr: *mut std::ffi::c_void, value: u64, flags: u32, mask: u64) {
        let address = value_address(ptr, 8)?;
        compare(flags, 0, 0, 0)?;
        wait_value(stream, || {
            // SAFETY: the address was found in an allocation and is aligned.
            let found = unsafe { &*(address as *const std::sync::atomic::AtomicU64) };
            let found = found.load(std::sync::atomic::Ordering::Acquire);
            compare(flags, found, value, mask).unwrap_or(true)
        })
    }
}

/// Makes the event as if it had just been recorded on the stream.
pub fn record(stream: &Arc<Stream>, event: &Arc<Event>) -> Outcome {
    if capture::record_event(stream, event)? {
        return Ok(());
    }
    stream.submit(Work::Record(Arc::clone(event)))
}
