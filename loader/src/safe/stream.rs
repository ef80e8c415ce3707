//! Streams: queues of work on a device, and the order between them.

use std::cell::RefCell;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};

use super::device::{Current, lock};
use super::memory::{Block, Cache};
use super::reclaim::Resource;
use super::{Device, Error, Event, EventTiming, MemoryError, callback};
use crate::result::{self, ErrorKind, HipError};
use crate::sys::{self, hipStream_t};

/// How a stream is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct StreamOptions {
    /// A smaller number is served first; `None` is the default priority. Numbers outside of what the device has are
    /// clamped to it by the runtime.
    pub priority: Option<i32>,
    /// Whether work is ordered with the null stream's, as streams of other libraries may expect.
    pub blocking: bool,
}

/// A queue of work on a device. Cloning makes another handle to the same stream.
///
/// Threads may share a stream; what they enqueue is ordered as the calls were. Buffers that are made on a stream keep it
/// alive, and their memory is used again by later buffers of the stream without a call of the library
/// ([`super::DeviceOptions::cache_bytes`]).
#[derive(Clone)]
pub struct Stream {
    inner: Arc<StreamInner>,
}

pub(crate) struct StreamInner {
    device: Device,
    raw: hipStream_t,
    owned: bool,
    capturing: AtomicBool,
    cache: Mutex<Cache>,
}

// SAFETY: the handle is the name of an object inside the library, whose functions may be called from any thread.
unsafe impl Send for StreamInner {}
// SAFETY: as above; the rest is behind a mutex or atomic.
unsafe impl Sync for StreamInner {}

impl Stream {
    /// Makes a stream.
    ///
    /// # Errors
    /// What the library answers.
    pub fn new(device: &Device, options: StreamOptions) -> Result<Self, Error> {
        let api = device.api();
        let flags = if options.blocking {
            sys::hipStreamDefault
        } else {
            sys::hipStreamNonBlocking
        };
        let current = device.enter()?;
        let raw = match options.priority {
            Some(priority) => result::stream::create_with_priority(api, flags, priority)?,
            None => result::stream::create_with_flags(api, flags)?,
        };
        drop(current);
        Ok(Self::from_raw(device, raw, true))
    }

    /// The stream that the calling thread has on a device.
    pub(super) fn of_thread(device: &Device) -> Result<Self, Error> {
        thread_local! {
            /// The streams of this thread, which are not kept alive by being known.
            static OWN: RefCell<Vec<Weak<StreamInner>>> = const { RefCell::new(Vec::new()) };
        }

        // While a thread ends there is no list any more, and every call makes a stream.
        let known = OWN.try_with(|own| {
            let mut own = own.borrow_mut();
            own.retain(|stream| stream.strong_count() > 0);
            let mut alive = own.iter().filter_map(Weak::upgrade);
            alive.find(|stream| stream.device == *device)
        });
        if let Ok(Some(inner)) = known {
            return Ok(Self { inner });
        }
        let options = StreamOptions {
            blocking: true,
            ..StreamOptions::default()
        };
        let made = Self::new(device, options)?;
        let _ = OWN.try_with(|own| own.borrow_mut().push(Arc::downgrade(&made.inner)));
        Ok(made)
    }

    /// A handle to a stream that is not destroyed with it.
    pub(super) fn borrowed(device: &Device, raw: hipStream_t) -> Self {
        Self::from_raw(device, raw, false)
    }

    fn from_raw(device: &Device, raw: hipStream_t, owned: bool) -> Self {
        let inner = Arc::new(StreamInner {
            device: device.clone(),
            raw,
            owned,
            capturing: AtomicBool::new(false),
            cache: Mutex::default(),
        });
        device.register(&inner);
        Self { inner }
    }

    /// The device of the stream.
    #[inline]
    pub fn device(&self) -> &Device {
        &self.inner.device
    }

    /// The handle, for calls that this crate does not wrap.
    #[inline]
    pub fn raw(&self) -> hipStream_t {
        self.inner.raw
    }

    /// Waits for all work of the stream.
    ///
    /// # Errors
    /// What the library answers, errors of earlier work included.
    pub fn synchronize(&self) -> Result<(), Error> {
        let _current = self.enter_if_null()?;
        // SAFETY: the handle is alive.
        unsafe { result::stream::synchronize(self.device().api(), self.raw()) }?;
        self.device().retry();
        Ok(())
    }

    /// Whether all work of the stream has finished.
    ///
    /// # Errors
    /// What the library answers, errors of earlier work included.
    pub fn is_idle(&self) -> Result<bool, Error> {
        let _current = self.enter_if_null()?;
        // SAFETY: the handle is alive.
        Ok(unsafe { result::stream::query(self.device().api(), self.raw()) }?)
    }

    /// The priority of the stream.
    ///
    /// # Errors
    /// What the library answers.
    pub fn priority(&self) -> Result<i32, Error> {
        // SAFETY: the handle is alive.
        Ok(unsafe { result::stream::get_priority(self.device().api(), self.raw()) }?)
    }

    /// Makes an event and puts it behind the work that the stream has now.
    ///
    /// # Errors
    /// What the library answers.
    pub fn record(&self, timing: EventTiming) -> Result<Event, Error> {
        let event = Event::new(self.device(), timing)?;
        event.record(self)?;
        Ok(event)
    }

    /// Lets later work of this stream wait for `event`, which may be of another device.
    ///
    /// # Errors
    /// What the library answers.
    pub fn wait(&self, event: &Event) -> Result<(), Error> {
        let _current = self.enter_if_null()?;
        // SAFETY: both handles are alive.
        Ok(unsafe { result::stream::wait_event(self.device().api(), self.raw(), event.raw()) }?)
    }

    /// Lets later work of this stream wait for the work that `other` has now.
    ///
    /// # Errors
    /// What the library answers.
    pub fn join(&self, other: &Stream) -> Result<(), Error> {
        if self.raw() == other.raw() && self.device() == other.device() {
            return Ok(());
        }
        let event = other.device().take_event()?;
        let joined = (|| {
            {
                let _current = other.enter_if_null()?;
                // SAFETY: the event is of the stream's device, and both are alive.
                unsafe { result::event::record(other.device().api(), event, other.raw()) }?;
            }
            let _current = self.enter_if_null()?;
            // SAFETY: both handles are alive. The wait is for the record above, whatever the event is used for later.
            unsafe { result::stream::wait_event(self.device().api(), self.raw(), event) }
        })();
        other.device().put_event(event);
        Ok(joined?)
    }

    /// Waits for all work of the stream as well as it can be done: where the library refuses, the whole device is waited
    /// for, so that what the host borrowed to the stream is not touched any more.
    ///
    /// # Errors
    /// The first answer that was not success.
    pub(crate) fn settle(&self) -> Result<(), Error> {
        self.synchronize().inspect_err(|_| {
            // If this fails too, the device is in no state to go on.
            let _ = self.device().synchronize();
        })
    }

    /// Calls `function` from a thread of the library when the stream gets there.
    ///
    /// The stream does not go on before the function returns, so it should be short. It must not call HIP, not even by
    /// dropping something of this crate. A panic in it is caught and goes no further. It is not called if an earlier
    /// piece of work fails.
    ///
    /// # Errors
    /// What the library answers.
    pub fn on_reached(&self, function: impl FnOnce() + Send + 'static) -> Result<(), Error> {
        let api = self.device().api();
        let _current = self.enter_if_null()?;
        let data = callback::keep(function);
        // SAFETY: the stream is alive, and each of the functions may be called from any thread.
        let enqueued = unsafe {
            if api.hipLaunchHostFunc.is_some() {
                result::stream::launch_host_func(api, self.raw(), callback::host_function, data)
            } else {
                result::stream::add_callback(api, self.raw(), callback::stream_callback, data)
            }
        };
        enqueued.map_err(|error| {
            drop(callback::take(data));
            error.into()
        })
    }

    /// Whether the library records the stream's work instead of running it.
    ///
    /// # Errors
    /// What the library answers.
    pub fn is_capturing(&self) -> Result<bool, Error> {
        // SAFETY: the handle is alive.
        let status = unsafe { result::stream::capture_status(self.device().api(), self.raw()) }?;
        Ok(status != sys::hipStreamCaptureStatusNone)
    }

    pub(super) fn set_capturing(&self, capturing: bool) -> bool {
        self.inner.capturing.swap(capturing, Ordering::AcqRel)
    }

    /// Whether both are handles to one stream.
    #[inline]
    pub(crate) fn is_same(&self, other: &Stream) -> bool {
        self.raw() == other.raw() && self.device() == other.device()
    }

    /// The null stream and the per-thread stream belong to the calling thread's current device.
    #[inline]
    pub(crate) fn enter_if_null(&self) -> Result<Option<Current<'_>>, HipError> {
        if self.raw().is_null() || self.raw() == sys::hipStreamPerThread {
            self.device().enter().map(Some)
        } else {
            Ok(None)
        }
    }

    /// Memory of at least `bytes` bytes for work of this stream; `None` for no bytes.
    pub(crate) fn take_memory(&self, bytes: usize) -> Result<Option<Block>, Error> {
        self.inner.take_memory(bytes)
    }

    /// Takes memory back that only work of this stream uses.
    pub(crate) fn give_memory(&self, block: Block) {
        self.inner.give_memory(block);
    }

    /// Gives memory back to the library that no work uses any more.
    pub(crate) fn release_memory(&self, block: Block) {
        self.inner.release_memory(block);
    }
}

impl StreamInner {
    fn take_memory(&self, bytes: usize) -> Result<Option<Block>, Error> {
        if bytes == 0 {
            return Ok(None);
        }
        if self.capturing.load(Ordering::Acquire) {
            return Err(MemoryError::AllocationDuringCapture { bytes }.into());
        }
        let limit = self.device.options().cache_bytes;
        let bytes = if limit == 0 {
            bytes
        } else {
            Cache::class(bytes)
        };
        if let Some(block) = lock(&self.cache).take(bytes) {
            return Ok(Some(block));
        }
        match self.allocate(bytes) {
            Err(error) if error.kind() == ErrorKind::OutOfMemory => {
                // What failed to be given back is counted by the device; here only the memory matters.
                let _ = self.device.trim();
                let _ = self.device.synchronize();
                Ok(Some(self.allocate(bytes)?))
            }
            answer => Ok(Some(answer?)),
        }
    }

    fn allocate(&self, bytes: usize) -> Result<Block, HipError> {
        let api = self.device.api();
        let _current = self.device.enter()?;
        if self.device.has_pool() {
            // SAFETY: the stream is alive; the memory is only handed to work of this stream.
            match unsafe { result::mem::malloc_async(api, bytes, self.raw) } {
                Err(error) if error.kind() == ErrorKind::NotSupported => {}
                answer => {
                    return answer.map(|address| Block {
                        address,
                        bytes,
                        pooled: true,
                    });
                }
            }
        }
        let address = result::mem::malloc(api, bytes)?;
        Ok(Block {
            address,
            bytes,
            pooled: false,
        })
    }

    fn give_memory(&self, block: Block) {
        let refused = lock(&self.cache).put(block, self.device.options().cache_bytes);
        if let Some(block) = refused {
            self.release_memory(block);
        }
    }

    fn release_memory(&self, block: Block) {
        self.device.dispose(if block.pooled {
            Resource::PoolMemory(block.address, self.raw)
        } else {
            Resource::Memory(block.address)
        });
    }

    pub(super) fn empty_cache(&self) {
        let blocks = lock(&self.cache).drain();
        for block in blocks {
            self.release_memory(block);
        }
    }
}

impl Drop for StreamInner {
    fn drop(&mut self) {
        self.empty_cache();
        if self.owned {
            self.device.dispose(Resource::Stream(self.raw));
        }
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("device", &self.device().ordinal())
            .field("raw", &self.raw())
            .finish_non_exhaustive()
    }
}
