//! Devices: what they are, what they say of themselves, and whether they met a fault.

use std::ffi::{c_char, c_int};
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::call::hip_api;
use super::ffi::{MemPoolHandle, Out, Text, set_text};
use super::pool::Pool;
use super::properties::Properties;
use super::registry::Registry;
use super::runtime::{self, current, device, get};
use super::status::{Code, Outcome};
use super::stream::{self, Stream};
use super::types::{hipDeviceProp_tR0000, hipDeviceProp_tR0600, hipUUID};
use super::{capture, ffi};
use crate::arch::Arch;
use crate::memory::AllocKind;

/// `hipDeviceScheduleMask` with `hipDeviceMapHost` and `hipDeviceLmemResizeToMax`: the flags that a device may have.
const DEVICE_FLAGS: u32 = 0x7 | 0x8 | 0x10;
/// `hipLimitStackSize`, `hipLimitPrintfFifoSize`, `hipLimitMallocHeapSize` in this order, and their defaults in bytes.
const DEFAULT_LIMITS: [usize; 3] = [1024, 1 << 20, 8 << 20];
/// The largest stack that a lane may have, in bytes.
const MAX_STACK: usize = 128 << 10;

/// A device.
pub struct Device {
    /// What it says of itself.
    pub properties: Properties,
    /// How its code executes.
    pub arch: Arch,
    /// The stream that is meant by null.
    pub default_stream: Arc<Stream>,
    /// The pool of `hipMallocAsync` unless the client set another.
    pub default_pool: MemPoolHandle,
    /// The pool of `hipMallocAsync`.
    pub current_pool: Mutex<MemPoolHandle>,
    /// The devices whose memory clients asked to see from here, a bit each.
    pub peers: Mutex<Vec<u32>>,
    fault: AtomicI32,
    flags: AtomicU32,
    limits: [AtomicUsize; 3],
    /// How often the primary context was retained.
    pub retained: AtomicUsize,
}

impl Device {
    /// A device that nothing was done with yet.
    pub fn new(properties: Properties, arch: Arch) -> Self {
        let default_stream = Arc::new(Stream::default_of(properties.index));
        let default_pool = Registry::<ffi::kind::MemPool, Pool>::fresh();
        Self {
            properties,
            arch,
            default_stream,
            default_pool,
            current_pool: Mutex::new(default_pool),
            peers: Mutex::default(),
            fault: AtomicI32::new(0),
            flags: AtomicU32::new(0),
            limits: DEFAULT_LIMITS.map(AtomicUsize::new),
            retained: AtomicUsize::new(0),
        }
    }

    /// The ordinal.
    pub fn index(&self) -> u32 {
        self.properties.index
    }

    /// Fails with the error of an earlier fault.
    pub fn check(&self) -> Outcome {
        match self.fault.load(Ordering::Acquire) {
            0 => Ok(()),
            code => Err(Code(code).because(format!(
                "device {} met this error earlier; hipDeviceReset makes it usable again",
                self.index()
            ))),
        }
    }

    /// Makes the device unusable until it is reset.
    pub fn set_fault(&self, code: Code) {
        self.fault.store(code.0, Ordering::Release);
    }

    /// Waits for all work of the device.
    pub fn synchronize(&self) -> Outcome {
        for stream in stream::of_device(self.index()) {
            stream.wait()?;
        }
        self.check()
    }

    /// The bytes that a limit allows.
    pub fn limit(&self, limit: usize) -> usize {
        self.limits[limit].load(Ordering::Relaxed)
    }

    /// The device as it was at the start: no memory, no streams, no fault. Modules stay loaded.
    fn reset(&self) {
        let runtime = get();
        let index = self.index();
        runtime.streams.retain(|stream| stream.device != index);
        runtime.pools.retain(|pool| pool.device != index);
        // What is freed is forgotten by the pools as well: they look allocations up.
        runtime.memory.free_all(|alloc| {
            alloc.device == index && !matches!(alloc.kind, AllocKind::Module | AllocKind::Runtime)
        });
        for (limit, default) in self.limits.iter().zip(DEFAULT_LIMITS) {
            limit.store(default, Ordering::Relaxed);
        }
        *self
            .current_pool
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = self.default_pool;
        self.peers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
        self.flags.store(0, Ordering::Relaxed);
        self.fault.store(0, Ordering::Release);
    }
}

/// The least and the greatest priority of streams: smaller numbers go first.
pub const PRIORITIES: (c_int, c_int) = (1, -1);

hip_api! {
    fn hipGetDeviceCount(count: Out<c_int>) {
        let devices = get().devices.len();
        count.set(devices as c_int)?;
        if devices == 0 {
            return Err(Code::NoDevice.into());
        }
        Ok(())
    }

    fn hipGetDevice(deviceId: Out<c_int>) {
        deviceId.check()?;
        deviceId.set(current()?.index() as c_int)
    }

    fn hipSetDevice(deviceId: c_int) {
        let device = device(deviceId)?;
        runtime::set_current(device.index() as usize);
        Ok(())
    }

    fn hipSetValidDevices(device_arr: ffi::List<c_int>, len: c_int) {
        let len = usize::try_from(len).map_err(|_| Code::InvalidValue)?;
        for ordinal in device_arr.get(len)? {
            device(ordinal)?;
        }
        Ok(())
    }

    fn hipDeviceGet(deviceOut: Out<c_int>, ordinal: c_int) {
        deviceOut.check()?;
        deviceOut.set(device(ordinal)?.index() as c_int)
    }

    fn hipDeviceGetName(name: Out<c_char>, len: c_int, deviceId: c_int) {
        let device = device(deviceId)?;
        set_text(name, len, &device.properties.name())
    }

    fn hipDeviceGetUuid(uuid: Out<hipUUID>, deviceId: c_int) {
        uuid.check()?;
        uuid.set(device(deviceId)?.properties.uuid())
    }

    fn hipDeviceGetPCIBusId(pciBusId: Out<c_char>, len: c_int, deviceId: c_int) {
        let device = device(deviceId)?;
        let address = device.properties.pci_address();
        // The function digit is not part of what HIP has room for in short buffers.
        set_text(pciBusId, len, &address)
    }

    fn hipDeviceGetByPCIBusId(deviceOut: Out<c_int>, pciBusId: Text) {
        deviceOut.check()?;
        let wanted = pciBusId.get()?.to_ascii_lowercase();
        let found = get().devices.iter().find(|device| {
            let address = device.properties.pci_address();
            // With or without the domain and the function.
            address == wanted || address.strip_prefix("0000:") == Some(&wanted) || address.starts_with(&format!("{wanted}."))
        });
        let found = found.ok_or_else(|| Code::InvalidDevice.because(format!("no device has the address {wanted}")))?;
        deviceOut.set(found.index() as c_int)
    }

    fn hipDeviceTotalMem(bytes: Out<usize>, deviceId: c_int) {
        bytes.check()?;
        bytes.set(device(deviceId)?.properties.memory as usize)
    }

    fn hipDeviceComputeCapability(major: Out<c_int>, minor: Out<c_int>, deviceId: c_int) {
        major.check()?;
        minor.check()?;
        let (a, b) = device(deviceId)?.properties.compute_capability();
        major.set(a)?;
        minor.set(b)
    }

    fn hipDeviceGetAttribute(pi: Out<c_int>, attr: c_int, deviceId: c_int) {
        pi.check()?;
        let value = device(deviceId)?.properties.attribute(attr);
        pi.set(value.ok_or_else(|| Code::InvalidValue.because(format!("attribute {attr}")))?)
    }

    fn hipGetDeviceProperties(prop: Out<hipDeviceProp_tR0000>, deviceId: c_int) {
        prop.check()?;
        prop.set(device(deviceId)?.properties.r0000())
    }

    fn hipGetDevicePropertiesR0000(prop: Out<hipDeviceProp_tR0000>, deviceId: c_int) {
        prop.check()?;
        prop.set(device(deviceId)?.properties.r0000())
    }

    fn hipGetDevicePropertiesR0600(prop: Out<hipDeviceProp_tR0600>, deviceId: c_int) {
        prop.check()?;
        prop.set(device(deviceId)?.properties.r0600())
    }

    fn hipChooseDevice(deviceOut: Out<c_int>, prop: ffi::In<hipDeviceProp_tR0000>) {
        deviceOut.check()?;
        let p = prop.get()?;
        deviceOut.set(choose(p.multiProcessorCount, p.totalGlobalMem, (p.major, p.minor))?)
    }

    fn hipChooseDeviceR0000(deviceOut: Out<c_int>, prop: ffi::In<hipDeviceProp_tR0000>) {
        deviceOut.check()?;
        let p = prop.get()?;
        deviceOut.set(choose(p.multiProcessorCount, p.totalGlobalMem, (p.major, p.minor))?)
    }

    fn hipChooseDeviceR0600(deviceOut: Out<c_int>, prop: ffi::In<hipDeviceProp_tR0600>) {
        deviceOut.check()?;
        let p = prop.get()?;
        deviceOut.set(choose(p.multiProcessorCount, p.totalGlobalMem, (p.major, p.minor))?)
    }

    fn hipDeviceSynchronize() {
        let device = runtime::usable()?;
        capture::check_unsafe_call()?;
        device.synchronize()
    }

    fn hipDeviceReset() {
        let device = current()?;
        capture::check_unsafe_call()?;
        // A fault that work met before is what the reset is for.
        let _ = device.synchronize();
        device.reset();
        Ok(())
    }

    fn hipDeviceGetLimit(pValue: Out<usize>, limit: c_int) {
        pValue.check()?;
        let device = current()?;
        let limit = usize::try_from(limit).ok().filter(|limit| *limit < DEFAULT_LIMITS.len());
        pValue.set(device.limit(limit.ok_or(Code::UnsupportedLimit)?))
    }

    fn hipDeviceSetLimit(limit: c_int, value: usize) {
        let device = current()?;
        let limit = usize::try_from(limit).ok().filter(|limit| *limit < DEFAULT_LIMITS.len());
        let limit = limit.ok_or(Code::UnsupportedLimit)?;
        if limit == 0 && value > MAX_STACK {
            return Err(Code::InvalidValue.because(format!("a stack of {value} bytes")));
        }
        device.limits[limit].store(value, Ordering::Relaxed);
        Ok(())
    }

    fn hipSetDeviceFlags(flags: u32) {
        let device = current()?;
        // At most one way to wait for the device.
        if flags & !DEVICE_FLAGS != 0 || (flags & 0x7).count_ones() > 1 {
            return Err(Code::InvalidValue.because(format!("flags {flags:#x}")));
        }
        device.flags.store(flags, Ordering::Relaxed);
        Ok(())
    }

    fn hipGetDeviceFlags(flags: Out<u32>) {
        flags.check()?;
        flags.set(current()?.flags.load(Ordering::Relaxed))
    }

    fn hipDeviceGetStreamPriorityRange(leastPriority: Out<c_int>, greatestPriority: Out<c_int>) {
        current()?;
        leastPriority.set_if_wanted(PRIORITIES.0);
        greatestPriority.set_if_wanted(PRIORITIES.1);
        Ok(())
    }

    fn hipDeviceGetCacheConfig(cacheConfig: Out<c_int>) {
        current()?;
        cacheConfig.set(0)
    }

    fn hipDeviceSetCacheConfig(cacheConfig: c_int) {
        current()?;
        check_cache_config(cacheConfig)
    }

    fn hipDeviceGetSharedMemConfig(pConfig: Out<c_int>) {
        current()?;
        pConfig.set(1)
    }

    fn hipDeviceSetSharedMemConfig(config: c_int) {
        current()?;
        check_bank_config(config)
    }

    fn hipProfilerStart() {
        Err(Code::NotSupported.into())
    }

    fn hipProfilerStop() {
        Err(Code::NotSupported.into())
    }
}

/// Fails for what is no `hipFuncCache_t`. The emulator has no caches, so any preference is as good as kept.
pub fn check_cache_config(config: c_int) -> Outcome {
    if (0..=3).contains(&config) {
        return Ok(());
    }
    Err(Code::InvalidValue.because(format!("cache configuration {config}")))
}

/// Fails for what is no `hipSharedMemConfig`.
pub fn check_bank_config(config: c_int) -> Outcome {
    if (0..=2).contains(&config) {
        return Ok(());
    }
    Err(Code::InvalidValue.because(format!("bank configuration {config}")))
}

/// The device that meets most of what is wanted; of equals the first.
fn choose(multiprocessors: c_int, memory: usize, version: (c_int, c_int)) -> Outcome<c_int> {
    let score = |device: &&Device| {
        let p = &device.properties;
        u32::from(p.card.multiprocessors as c_int >= multiprocessors)
            + u32::from(p.memory as usize >= memory)
            + 2 * u32::from(p.compute_capability() >= version)
    };
    let best = get().devices.iter().rev().max_by_key(score);
    best.map(|device| device.index() as c_int)
        .ok_or_else(|| Code::NoDevice.into())
}
