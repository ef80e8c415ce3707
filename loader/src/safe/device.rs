//! A device and the context that this crate keeps on it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use codeobject::TargetId;

use super::reclaim::Resource;
use super::stream::StreamInner;
use super::{Error, Runtime, Stream, StreamOptions};
use crate::result::{self, ErrorKind, HipError};
use crate::sys::{self, Api, hipDevice_t, hipEvent_t};

/// How a context behaves.
#[derive(Clone, Debug)]
pub struct DeviceOptions {
    /// How many bytes of freed memory each stream keeps for its next allocations. 0 gives every buffer back at once, and
    /// makes allocations exactly as large as asked for: the setting for a memory checker.
    pub cache_bytes: usize,
    /// Whether memory comes from the runtime's stream-ordered pool (`hipMallocAsync`) where library and device have one.
    /// Plain allocation (`hipMalloc`) waits for the whole device when memory is freed.
    pub use_pool: bool,
}

impl Default for DeviceOptions {
    fn default() -> Self {
        Self {
            cache_bytes: 256 << 20,
            use_pool: true,
        }
    }
}

/// Figures of a device that launches are checked against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Lanes of a wavefront: 32 or 64.
    pub wavefront_size: u32,
    /// Compute units on GFX9, work-group processors on GFX10 and later.
    pub multiprocessors: u32,
    /// Work-items of a block.
    pub max_block: u32,
    /// Work-items of a block in each dimension.
    pub max_block_dim: [u32; 3],
    /// Blocks of a grid in each dimension.
    pub max_grid_dim: [u32; 3],
    /// LDS of a block in bytes.
    pub max_shared_bytes: u32,
}

/// Memory of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryInfo {
    /// Bytes that nobody has allocated.
    pub free: usize,
    /// All bytes.
    pub total: usize,
}

/// A context on one device. Cloning makes another handle to the same context.
///
/// Everything that is made on a device keeps it alive. Two contexts on one device may exist side by side; they share
/// nothing but the device.
#[derive(Clone)]
pub struct Device {
    inner: Arc<DeviceInner>,
}

pub(crate) struct DeviceInner {
    runtime: Runtime,
    ordinal: hipDevice_t,
    target: TargetId,
    limits: Limits,
    options: DeviceOptions,
    has_pool: bool,
    /// Bit n: device n's memory can be reached from this one.
    peers: AtomicU64,
    /// Events without timing, for order between streams.
    events: Mutex<Vec<EventHandle>>,
    /// What could not be given back, with the reason.
    failed: Mutex<Vec<(Resource, HipError)>>,
    /// The streams that may hold freed memory.
    streams: Mutex<Vec<Weak<StreamInner>>>,
}

#[derive(Clone, Copy)]
struct EventHandle(hipEvent_t);

// SAFETY: an event handle is the name of an object inside the library, which may be used from any thread.
unsafe impl Send for EventHandle {}

/// Locks a mutex whose data are valid after a panic too: lists of handles, changed by one push or pop.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Device {
    /// A context on the device with this ordinal.
    ///
    /// # Errors
    /// [`Error::NoSuchDevice`] with the number of devices there are, [`Error::Architecture`] if the device's name for its
    /// architecture cannot be read, or what the library answers.
    pub fn new(runtime: &Runtime, ordinal: usize, options: DeviceOptions) -> Result<Self, Error> {
        let count = runtime.device_count()?;
        let number = hipDevice_t::try_from(ordinal)
            .ok()
            .filter(|_| ordinal < count);
        let Some(number) = number else {
            let library = runtime.library().to_owned();
            return Err(Error::NoSuchDevice {
                ordinal,
                count,
                library,
            });
        };
        let api = runtime.api();
        let name = result::device::get_gcn_arch_name(api, number)?;
        let target = name.parse().map_err(|source| Error::Architecture {
            ordinal,
            name: name.clone(),
            source,
        })?;
        let limits = Limits::read(api, number)?;
        let pools = sys::hipDeviceAttributeMemoryPoolsSupported;
        let has_pool = options.use_pool
            && api.hipMallocAsync.is_some()
            && api.hipFreeAsync.is_some()
            && result::device::get_attribute(api, pools, number).is_ok_and(|value| value != 0);
        let inner = DeviceInner {
            runtime: runtime.clone(),
            ordinal: number,
            target,
            limits,
            options,
            has_pool,
            peers: AtomicU64::new(0),
            events: Mutex::default(),
            failed: Mutex::default(),
            streams: Mutex::default(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// The library.
    #[inline]
    pub fn runtime(&self) -> &Runtime {
        &self.inner.runtime
    }

    #[inline]
    pub(crate) fn api(&self) -> &Api {
        self.inner.runtime.api()
    }

    /// The ordinal that HIP knows the device by.
    #[inline]
    pub fn ordinal(&self) -> usize {
        // Checked to be below the device count, which is not negative.
        self.inner.ordinal as usize
    }

    #[inline]
    pub(crate) fn raw_ordinal(&self) -> hipDevice_t {
        self.inner.ordinal
    }

    /// The architecture with the features that the device runs with, such as `gfx90a:sramecc+:xnack-`.
    pub fn target(&self) -> &TargetId {
        &self.inner.target
    }

    /// What launches are checked against.
    #[inline]
    pub fn limits(&self) -> &Limits {
        &self.inner.limits
    }

    /// The options that the context was made with.
    #[inline]
    pub fn options(&self) -> &DeviceOptions {
        &self.inner.options
    }

    /// Whether buffers come from the runtime's stream-ordered pool.
    pub fn has_pool(&self) -> bool {
        self.inner.has_pool
    }

    /// The marketing name.
    ///
    /// # Errors
    /// What the library answers.
    pub fn name(&self) -> Result<String, Error> {
        Ok(result::device::get_name(self.api(), self.inner.ordinal)?)
    }

    /// The PCI address as `0000:03:00.0`.
    ///
    /// # Errors
    /// What the library answers.
    pub fn pci_bus_id(&self) -> Result<String, Error> {
        Ok(result::device::get_pci_bus_id(
            self.api(),
            self.inner.ordinal,
        )?)
    }

    /// 16 bytes that name the device, on AMD devices the characters of its serial number.
    ///
    /// # Errors
    /// What the library answers, `hipErrorNotSupported` before HIP 5.2.
    pub fn uuid(&self) -> Result<[u8; 16], Error> {
        let uuid = result::device::get_uuid(self.api(), self.inner.ordinal)?;
        Ok(uuid.bytes.map(|byte| byte as u8))
    }

    /// A figure of the device that [`Limits`] does not have.
    ///
    /// # Errors
    /// What the library answers.
    pub fn attribute(&self, attribute: sys::hipDeviceAttribute_t) -> Result<i32, Error> {
        Ok(result::device::get_attribute(
            self.api(),
            attribute,
            self.inner.ordinal,
        )?)
    }

    /// Free and total memory in bytes. What streams keep for their next allocations does not count as free.
    ///
    /// # Errors
    /// What the library answers.
    pub fn memory_info(&self) -> Result<MemoryInfo, Error> {
        let _current = self.enter()?;
        let (free, total) = result::mem::get_info(self.api())?;
        Ok(MemoryInfo { free, total })
    }

    /// Makes a stream with the default options.
    ///
    /// # Errors
    /// What the library answers.
    pub fn new_stream(&self) -> Result<Stream, Error> {
        Stream::new(self, StreamOptions::default())
    }

    /// The null stream. Work on it is ordered with other libraries' blocking streams, not with those that this crate
    /// makes.
    pub fn default_stream(&self) -> Stream {
        Stream::borrowed(self, sys::hipStreamLegacy)
    }

    /// The calling thread's own stream: the same one each time, as long as anything keeps it.
    ///
    /// It is ordered with the null stream as HIP's per-thread default stream is. That one itself
    /// ([`sys::hipStreamPerThread`]) is another stream in each thread, so that a buffer could not take it along: a handle to
    /// it can be had from [`Device::wrap_stream`], with the promise that it stays in its thread.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/emulator.rs"));
    /// # fn main() -> Result<(), hip_loader::Error> {
    /// # let device = hip_loader::Runtime::open(emulator())?.device(0)?;
    /// let here = device.thread_stream()?;
    /// assert_eq!(here.raw(), device.thread_stream()?.raw());
    /// let there = std::thread::scope(|scope| scope.spawn(|| device.thread_stream()).join());
    /// assert_ne!(here.raw(), there.expect("no panic")?.raw());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// What the library answers.
    pub fn thread_stream(&self) -> Result<Stream, Error> {
        Stream::of_thread(self)
    }

    /// The priorities that streams can have: the least, and the greatest, which is the smaller number.
    ///
    /// # Errors
    /// What the library answers.
    pub fn stream_priorities(&self) -> Result<(i32, i32), Error> {
        let _current = self.enter()?;
        Ok(result::device::get_stream_priority_range(self.api())?)
    }

    /// A stream that the caller made elsewhere.
    ///
    /// The stream is not destroyed when the handle goes.
    ///
    /// # Safety
    /// `raw` is a stream of this device and of the same library, and lives as long as the handle, its clones, and every
    /// buffer that was made on it. With [`sys::hipStreamPerThread`] none of these leaves the calling thread.
    pub unsafe fn wrap_stream(&self, raw: sys::hipStream_t) -> Stream {
        Stream::borrowed(self, raw)
    }

    /// Waits for all work of the device, and tries again to give back what could not be given back before.
    ///
    /// # Errors
    /// What the library answers, errors of earlier work included.
    pub fn synchronize(&self) -> Result<(), Error> {
        {
            let _current = self.enter()?;
            result::device::synchronize(self.api())?;
        }
        self.inner.retry();
        Ok(())
    }

    /// Gives all memory back that streams keep for their next allocations, and what earlier attempts left.
    ///
    /// # Errors
    /// The first error, after everything was tried. What failed is kept and tried again later.
    pub fn trim(&self) -> Result<(), Error> {
        self.inner.retry();
        let streams: Vec<_> = lock(&self.inner.streams)
            .iter()
            .filter_map(Weak::upgrade)
            .collect();
        for stream in streams {
            stream.empty_cache();
        }
        match lock(&self.inner.failed).first() {
            Some((_, error)) => Err(error.clone().into()),
            None => Ok(()),
        }
    }

    /// How many objects could not be given back to the library and wait for another attempt.
    pub fn pending_releases(&self) -> usize {
        lock(&self.inner.failed).len()
    }

    /// Whether this device can be let to reach the memory of `peer`.
    ///
    /// # Errors
    /// What the library answers.
    pub fn can_access_peer(&self, peer: &Device) -> Result<bool, Error> {
        Ok(result::device::can_access_peer(
            self.api(),
            self.inner.ordinal,
            peer.inner.ordinal,
        )?)
    }

    /// Lets work of this device reach the memory of `peer`. Twice is as good as once.
    ///
    /// # Errors
    /// What the library answers.
    pub fn enable_peer_access(&self, peer: &Device) -> Result<(), Error> {
        let _current = self.enter()?;
        match result::device::enable_peer_access(self.api(), peer.inner.ordinal) {
            Err(error) if error.code != sys::hipErrorPeerAccessAlreadyEnabled => Err(error.into()),
            _ => {
                self.inner
                    .peers
                    .fetch_or(peer.peer_bit(), Ordering::Relaxed);
                Ok(())
            }
        }
    }

    /// Takes that back, after all work of this device has finished. Later uses of the peer's memory are refused.
    ///
    /// # Errors
    /// What the library answers, `hipErrorPeerAccessNotEnabled` if it was not enabled.
    pub fn disable_peer_access(&self, peer: &Device) -> Result<(), Error> {
        // From now on no new work can start; what is under way is waited for.
        self.inner
            .peers
            .fetch_and(!peer.peer_bit(), Ordering::Relaxed);
        self.synchronize()?;
        let _current = self.enter()?;
        Ok(result::device::disable_peer_access(
            self.api(),
            peer.inner.ordinal,
        )?)
    }

    fn peer_bit(&self) -> u64 {
        1_u64.checked_shl(self.inner.ordinal as u32).unwrap_or(0)
    }

    /// Whether work of this device can reach memory of `other`.
    #[inline]
    pub(crate) fn reaches(&self, other: &Device) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
            || (self.inner.runtime.is_same(&other.inner.runtime)
                && (self.inner.ordinal == other.inner.ordinal
                    || self.inner.peers.load(Ordering::Relaxed) & other.peer_bit() != 0))
    }

    /// Makes the device the calling thread's current one until the guard goes.
    pub(crate) fn enter(&self) -> Result<Current<'_>, HipError> {
        let api = self.api();
        let previous = result::device::get(api)?;
        if previous == self.inner.ordinal {
            return Ok(Current {
                api,
                previous: None,
            });
        }
        result::device::set(api, self.inner.ordinal)?;
        Ok(Current {
            api,
            previous: Some(previous),
        })
    }

    /// Gives `resource` back, now or later.
    pub(crate) fn dispose(&self, resource: Resource) {
        self.inner.dispose(resource);
    }

    /// Tries again to give back what could not be given back before.
    pub(crate) fn retry(&self) {
        self.inner.retry();
    }

    pub(super) fn register(&self, stream: &Arc<StreamInner>) {
        let mut streams = lock(&self.inner.streams);
        streams.retain(|known| known.strong_count() > 0);
        streams.push(Arc::downgrade(stream));
    }

    /// An event without timing, to be handed back with [`Device::put_event`].
    pub(crate) fn take_event(&self) -> Result<hipEvent_t, HipError> {
        if let Some(EventHandle(event)) = lock(&self.inner.events).pop() {
            return Ok(event);
        }
        let _current = self.enter()?;
        result::event::create_with_flags(self.api(), sys::hipEventDisableTiming)
    }

    /// Takes back an event of [`Device::take_event`]. Waits for it that were made already are not affected.
    pub(crate) fn put_event(&self, event: hipEvent_t) {
        lock(&self.inner.events).push(EventHandle(event));
    }
}

impl DeviceInner {
    fn dispose(&self, resource: Resource) {
        if let Err((resource, error)) = resource.dispose(self.runtime.api()) {
            lock(&self.failed).push((resource, error));
        }
    }

    fn retry(&self) {
        let failed = std::mem::take(&mut *lock(&self.failed));
        for (resource, _) in failed {
            self.dispose(resource);
        }
    }
}

impl Drop for DeviceInner {
    fn drop(&mut self) {
        for EventHandle(event) in std::mem::take(&mut *lock(&self.events)) {
            self.dispose(Resource::Event(event));
        }
        self.retry();
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device")
            .field("ordinal", &self.inner.ordinal)
            .field("target", &self.inner.target.to_string())
            .field("library", &self.inner.runtime.library())
            .finish_non_exhaustive()
    }
}

impl PartialEq for Device {
    /// Whether two handles are to one context.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }
}

impl Eq for Device {}

impl Limits {
    fn read(api: &Api, device: hipDevice_t) -> Result<Self, HipError> {
        let read = |attribute| {
            result::device::get_attribute(api, attribute, device)
                .map(|value| u32::try_from(value).unwrap_or(0))
        };
        // A device that is silent about a limit has the one that every AMD device has.
        let or = |attribute, usual: u32| match read(attribute) {
            Ok(0) => Ok(usual),
            Err(error) if error.kind() == ErrorKind::InvalidArgument => Ok(usual),
            answer => answer,
        };
        Ok(Self {
            wavefront_size: read(sys::hipDeviceAttributeWarpSize)?,
            multiprocessors: read(sys::hipDeviceAttributeMultiprocessorCount)?,
            max_block: or(sys::hipDeviceAttributeMaxThreadsPerBlock, 1024)?,
            max_block_dim: [
                or(sys::hipDeviceAttributeMaxBlockDimX, 1024)?,
                or(sys::hipDeviceAttributeMaxBlockDimY, 1024)?,
                or(sys::hipDeviceAttributeMaxBlockDimZ, 1024)?,
            ],
            max_grid_dim: [
                or(sys::hipDeviceAttributeMaxGridDimX, i32::MAX.cast_unsigned())?,
                or(sys::hipDeviceAttributeMaxGridDimY, 65_535)?,
                or(sys::hipDeviceAttributeMaxGridDimZ, 65_535)?,
            ],
            max_shared_bytes: or(sys::hipDeviceAttributeMaxSharedMemoryPerBlock, 64 << 10)?,
        })
    }
}

/// Puts the calling thread's current device back.
pub(crate) struct Current<'a> {
    api: &'a Api,
    previous: Option<hipDevice_t>,
}

impl Drop for Current<'_> {
    fn drop(&mut self) {
        if let Some(previous) = self.previous {
            // It was the current device a moment ago; if it cannot be any more, the caller's next call says so.
            let _ = result::device::set(self.api, previous);
        }
    }
}
