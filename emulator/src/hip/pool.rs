//! Memory pools: `hipMallocAsync` and its relatives.
//!
//! A pool here is a label and a set of counters: memory comes from where all memory comes from, and goes back when it is
//! freed. Freeing is ordered with the stream because work is executed when it is enqueued.

use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustc_hash::FxHashMap;

use super::call::hip_api;
use super::device::Device;
use super::ffi::{In, List, MemPoolHandle, Out, StreamHandle};
use super::runtime::{device, get};
use super::status::{Code, Outcome};
use super::stream;
use super::types::{hipMemAccessDesc, hipMemLocation, hipMemPoolProps};
use super::work::{GraphMemory, Work};
use super::{alloc, capture};
use crate::memory::AllocKind;

/// `hipMemAccessFlagsProtReadWrite`.
const READ_WRITE: c_int = 3;
/// `hipMemLocationTypeDevice`.
const LOCATION_DEVICE: c_int = 1;
/// `hipMemAllocationTypePinned`.
const ALLOCATION_PINNED: c_int = 1;
/// `hipMemPoolAttrReleaseThreshold`, the first of the attributes of 64 bits; those before are flags.
const RELEASE_THRESHOLD: usize = 4;

/// A pool.
pub struct Pool {
    /// The device whose memory it gives.
    pub device: u32,
    /// The largest number of bytes it may give at a time; 0 for no limit.
    max_size: u64,
    used: AtomicU64,
    used_high: AtomicU64,
    /// The three flags of reuse and the release threshold, as the client set them.
    settings: [AtomicU64; RELEASE_THRESHOLD],
}

impl Pool {
    fn new(device: u32, max_size: u64) -> Self {
        Self {
            device,
            max_size,
            used: AtomicU64::new(0),
            used_high: AtomicU64::new(0),
            settings: [1, 1, 1, 0].map(AtomicU64::new),
        }
    }

    fn take(&self, size: u64) -> Outcome {
        let used = self.used.fetch_add(size, Ordering::Relaxed) + size;
        if self.max_size != 0 && used > self.max_size {
            self.used.fetch_sub(size, Ordering::Relaxed);
            return Err(Code::OutOfMemory.because(format!("the pool has {} bytes", self.max_size)));
        }
        self.used_high.fetch_max(used, Ordering::Relaxed);
        Ok(())
    }
}

/// Which pool an allocation came from.
static OWNERS: Mutex<Option<Owners>> = Mutex::new(None);

/// By the address of an allocation: its pool and its size.
type Owners = FxHashMap<u64, (Arc<Pool>, u64)>;

fn with_owners<R>(change: impl FnOnce(&mut Owners) -> R) -> R {
    let mut owners = OWNERS.lock().unwrap_or_else(PoisonError::into_inner);
    change(owners.get_or_insert_default())
}

/// Tells the pool that an allocation came from, if it came from one, that it was freed.
pub fn was_freed(address: u64) {
    if let Some((pool, size)) = with_owners(|owners| owners.remove(&address)) {
        pool.used.fetch_sub(size, Ordering::Relaxed);
    }
}

/// The pool with this handle. The default pools of devices are made when they are first asked for.
fn find(handle: MemPoolHandle) -> Outcome<Arc<Pool>> {
    let runtime = get();
    let owner = runtime
        .devices
        .iter()
        .find(|device| device.default_pool == handle);
    runtime.pools.get(handle).or_else(|failure| {
        let device = owner.ok_or(failure)?;
        let pool = Arc::new(Pool::new(device.index(), 0));
        runtime.pools.insert_as(handle, Arc::clone(&pool));
        Ok(pool)
    })
}

fn is_default(handle: MemPoolHandle) -> bool {
    get()
        .devices
        .iter()
        .any(|device| device.default_pool == handle)
}

fn current_pool(device: &Device) -> MemPoolHandle {
    *device
        .current_pool
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
}

fn malloc_async(
    dev_ptr: Out<*mut c_void>,
    size: usize,
    pool: Option<MemPoolHandle>,
    stream: StreamHandle,
) -> Outcome {
    dev_ptr.check()?;
    let stream = stream::usable(stream)?;
    if size == 0 {
        return dev_ptr.set(std::ptr::null_mut());
    }
    let pool = match pool {
        Some(pool) => find(pool)?,
        None => find(current_pool(device(stream.device as c_int)?))?,
    };
    let size = size as u64;
    let captured = stream.capture().is_some();
    if captured {
        let memory = GraphMemory::allocate(pool.device, size)?;
        let address = memory.address;
        stream.submit(Work::Allocate(memory))?;
        return dev_ptr.set(address as *mut c_void);
    }
    let address = stream.run(|| {
        pool.take(size)?;
        let address = alloc::allocate(pool.device, size, AllocKind::Device, 0);
        match &address {
            Ok(address) => {
                with_owners(|owners| drop(owners.insert(*address, (Arc::clone(&pool), size))))
            }
            Err(_) => drop(pool.used.fetch_sub(size, Ordering::Relaxed)),
        }
        address
    })?;
    dev_ptr.set(address as *mut c_void)
}

hip_api! {
    fn hipMallocAsync(dev_ptr: Out<*mut c_void>, size: usize, stream: StreamHandle) {
        malloc_async(dev_ptr, size, None, stream)
    }

    fn hipMallocFromPoolAsync(dev_ptr: Out<*mut c_void>, size: usize, mem_pool: MemPoolHandle, stream: StreamHandle) {
        malloc_async(dev_ptr, size, Some(mem_pool), stream)
    }

    fn hipFreeAsync(dev_ptr: *mut c_void, stream: StreamHandle) {
        let stream = stream::find(stream)?;
        if dev_ptr.is_null() {
            return Err(Code::InvalidValue.because("the address is null"));
        }
        if stream.capture().is_some() {
            return stream.submit(Work::Free(dev_ptr as u64));
        }
        stream.run(|| alloc::free(dev_ptr as u64, &[AllocKind::Device, AllocKind::Managed]))
    }

    fn hipDeviceGetDefaultMemPool(mem_pool: Out<MemPoolHandle>, deviceId: c_int) {
        mem_pool.check()?;
        mem_pool.set(device(deviceId)?.default_pool)
    }

    fn hipDeviceGetMemPool(mem_pool: Out<MemPoolHandle>, deviceId: c_int) {
        mem_pool.check()?;
        mem_pool.set(current_pool(device(deviceId)?))
    }

    fn hipDeviceSetMemPool(deviceId: c_int, mem_pool: MemPoolHandle) {
        let device = device(deviceId)?;
        if find(mem_pool)?.device != device.index() {
            return Err(Code::InvalidDevice.because("the pool belongs to another device"));
        }
        *device.current_pool.lock().unwrap_or_else(PoisonError::into_inner) = mem_pool;
        Ok(())
    }

    fn hipMemPoolCreate(mem_pool: Out<MemPoolHandle>, pool_props: In<hipMemPoolProps>) {
        mem_pool.check()?;
        let props = pool_props.get()?;
        if props.allocType != ALLOCATION_PINNED || props.location.type_ != LOCATION_DEVICE {
            return Err(Code::InvalidValue.because("pools have pinned memory of a device"));
        }
        if props.handleTypes != 0 {
            return Err(Code::NotSupported.because("pools are not shared between processes"));
        }
        let device = device(props.location.id)?;
        // Before HIP 6 these bytes are reserved.
        let max_size = if get().version.major < 6 { 0 } else { props.maxSize };
        let pool = Pool::new(device.index(), max_size as u64);
        mem_pool.set(get().pools.insert(Arc::new(pool)))
    }

    fn hipMemPoolDestroy(mem_pool: MemPoolHandle) {
        if is_default(mem_pool) {
            return Err(Code::InvalidValue.because("default pools are not destroyed"));
        }
        let pool = get().pools.remove(mem_pool)?;
        if let Ok(device) = device(pool.device as c_int) {
            let mut current = device.current_pool.lock().unwrap_or_else(PoisonError::into_inner);
            if *current == mem_pool {
                *current = device.default_pool;
            }
        }
        Ok(())
    }

    fn hipMemPoolTrimTo(mem_pool: MemPoolHandle, min_bytes_to_hold: usize) {
        // Nothing is held back.
        let _ = min_bytes_to_hold;
        find(mem_pool).map(drop)
    }

    fn hipMemPoolGetAttribute(mem_pool: MemPoolHandle, attr: c_int, value: Out<u64>) {
        value.check()?;
        let pool = find(mem_pool)?;
        let attribute = usize::try_from(attr).map_err(|_| Code::InvalidValue)?;
        match attribute {
            // These three are of type `int`.
            1..RELEASE_THRESHOLD => {
                let flag = pool.settings[attribute - 1].load(Ordering::Relaxed);
                Out::<c_int>::at(value.as_ptr().cast()).set(flag as c_int)
            }
            RELEASE_THRESHOLD => value.set(pool.settings[attribute - 1].load(Ordering::Relaxed)),
            // What is reserved is what is used, now and at most.
            5 | 7 => value.set(pool.used.load(Ordering::Relaxed)),
            6 | 8 => value.set(pool.used_high.load(Ordering::Relaxed)),
            _ => Err(Code::InvalidValue.because(format!("attribute {attr}"))),
        }
    }

    fn hipMemPoolSetAttribute(mem_pool: MemPoolHandle, attr: c_int, value: Out<u64>) {
        value.check()?;
        let pool = find(mem_pool)?;
        let attribute = usize::try_from(attr).map_err(|_| Code::InvalidValue)?;
        match attribute {
            1..RELEASE_THRESHOLD => {
                let flag = Out::<c_int>::at(value.as_ptr().cast()).get()?;
                pool.settings[attribute - 1].store(u64::from(flag != 0), Ordering::Relaxed);
            }
            RELEASE_THRESHOLD => pool.settings[attribute - 1].store(value.get()?, Ordering::Relaxed),
            // The high-water marks can only be reset.
            6 | 8 if value.get()? == 0 => {
                pool.used_high.store(pool.used.load(Ordering::Relaxed), Ordering::Relaxed);
            }
            _ => return Err(Code::InvalidValue.because(format!("attribute {attr}"))),
        }
        Ok(())
    }

    fn hipMemPoolSetAccess(mem_pool: MemPoolHandle, desc_list: List<hipMemAccessDesc>, count: usize) {
        let pool = find(mem_pool)?;
        for access in desc_list.get(count)? {
            if access.location.type_ != LOCATION_DEVICE {
                return Err(Code::InvalidValue.because("access is given to devices"));
            }
            let device = device(access.location.id)?;
            if device.index() == pool.device && access.flags != READ_WRITE {
                return Err(Code::InvalidValue.because("a device always has access to its own pool"));
            }
        }
        Ok(())
    }

    fn hipMemPoolGetAccess(flags: Out<c_int>, mem_pool: MemPoolHandle, location: In<hipMemLocation>) {
        flags.check()?;
        find(mem_pool)?;
        let location = location.get()?;
        if location.type_ != LOCATION_DEVICE {
            return Err(Code::InvalidValue.because("access is given to devices"));
        }
        device(location.id)?;
        // All devices see all memory.
        flags.set(READ_WRITE)
    }

    fn hipDeviceGraphMemTrim(deviceId: c_int) {
        capture::check_unsafe_call()?;
        device(deviceId).map(drop)
    }
}
