//! Allocating and freeing, and what is known about an address.

use std::ffi::{c_int, c_void};

use super::call::hip_api;
use super::ffi::{DevicePtr, List, Out};
use super::properties::PITCH_ALIGNMENT;
use super::runtime::{self, current, device, get};
use super::status::{Code, Outcome};
use super::types::{hipExtent, hipPitchedPtr, hipPointerAttribute_t};
use super::{capture, pool};
use crate::memory::{ALIGNMENT, Alloc, AllocKind, MemoryError, Request};

/// The flags of `hipHostMalloc`: portable, mapped, write-combined, and AMD's NUMA, coherent and non-coherent.
const HOST_FLAGS: u32 = 0x1 | 0x2 | 0x4 | 0x2000_0000 | 0x4000_0000 | 0x8000_0000;
/// The flags of `hipHostRegister`: portable, mapped, I/O memory, read only, and AMD's coarse and fine grained.
const REGISTER_FLAGS: u32 = 0x1 | 0x2 | 0x4 | 0x8 | 0x8000_0000;
/// `hipMemAttachGlobal` and `hipMemAttachHost`.
const ATTACH_FLAGS: [u32; 2] = [1, 2];
/// The flags of `hipExtMallocWithFlags`: fine grained, uncached, signal memory, contiguous.
const EXTENDED_FLAGS: [u32; 5] = [0, 1, 2, 3, 4];

/// Makes an allocation on a device.
///
/// # Errors
/// `hipErrorOutOfMemory`.
pub fn allocate(device: u32, size: u64, kind: AllocKind, flags: u32) -> Outcome<u64> {
    let request = Request {
        size,
        align: ALIGNMENT,
        kind,
        device,
        flags,
    };
    get()
        .memory
        .allocate(request)
        .map_err(|error| Code::OutOfMemory.because(error.to_string()))
}

/// Frees an allocation of one of these kinds that starts at the address.
///
/// # Errors
/// `hipErrorInvalidValue` if there is none.
pub fn free(address: u64, kinds: &[AllocKind]) -> Outcome {
    let freed = get()
        .memory
        .free_if(address, |alloc| kinds.contains(&alloc.kind));
    freed.map_err(|error| Code::InvalidValue.because(error.to_string()))?;
    pool::was_freed(address);
    Ok(())
}

fn malloc(ptr: Out<*mut c_void>, size: usize, kind: AllocKind, flags: u32) -> Outcome {
    ptr.check()?;
    let device = runtime::usable()?;
    capture::check_unsafe_call()?;
    if size == 0 {
        return ptr.set(std::ptr::null_mut());
    }
    ptr.set(allocate(device.index(), size as u64, kind, flags)? as *mut c_void)
}

fn host_malloc(ptr: Out<*mut c_void>, size: usize, flags: u32) -> Outcome {
    let coherence = flags & 0xc000_0000;
    if flags & !HOST_FLAGS != 0 || coherence == 0xc000_0000 {
        ptr.check()?;
        return Err(Code::InvalidValue.because(format!("flags {flags:#x}")));
    }
    malloc(ptr, size, AllocKind::Pinned, flags)
}

fn free_host(ptr: *mut c_void) -> Outcome {
    capture::check_unsafe_call()?;
    if ptr.is_null() {
        return Ok(());
    }
    free(ptr as u64, &[AllocKind::Pinned])
}

/// Allocates rows with a pitch and returns the pitch.
fn malloc_pitch(
    ptr: Out<*mut c_void>,
    width: usize,
    height: usize,
    depth: usize,
) -> Outcome<usize> {
    let pitch = width
        .checked_next_multiple_of(PITCH_ALIGNMENT)
        .ok_or_else(|| Code::OutOfMemory.because("the width overflows"))?;
    let size = pitch
        .checked_mul(height)
        .and_then(|size| size.checked_mul(depth));
    let size = size.ok_or_else(|| Code::OutOfMemory.because("the size overflows"))?;
    malloc(ptr, size, AllocKind::Device, 0)?;
    Ok(pitch)
}

/// The allocation that an address lies in.
fn allocation(ptr: *const c_void) -> Outcome<Alloc> {
    get().memory.find(ptr as u64).ok_or_else(|| {
        let place = get().memory.snapshot().describe(ptr as u64, 1);
        Code::InvalidValue.because(format!("{ptr:p} is no allocation: {place}"))
    })
}

/// The allocation that an address lies in, narrowed to a module's variable where it lies in one.
fn object(ptr: *const c_void) -> Outcome<(u64, u64)> {
    let alloc = allocation(ptr)?;
    if alloc.kind == AllocKind::Module
        && let Some(variable) = super::module::variable_at(ptr as u64)
    {
        return Ok((variable.address, variable.size));
    }
    Ok((alloc.base, alloc.size))
}

fn is_host(alloc: &Alloc) -> bool {
    matches!(
        alloc.kind,
        AllocKind::Pinned | AllocKind::Registered | AllocKind::Managed
    )
}

/// The value of a `hipPointer_attribute`, written to `data` in the attribute's own type.
fn pointer_attribute(data: *mut c_void, attribute: c_int, ptr: DevicePtr) -> Outcome {
    if data.is_null() {
        return Err(Code::InvalidValue.because("there is no place for the attribute"));
    }
    let alloc = allocation(ptr)?;
    let pointer = |value: *mut c_void| Out::at(data.cast()).set(value);
    match attribute {
        2 => Out::at(data.cast()).set(get().version.memory_type(Some(alloc.kind))),
        3 => pointer(ptr),
        4 if is_host(&alloc) => pointer(ptr),
        4 => pointer(std::ptr::null_mut()),
        // `SYNC_MEMOPS`: everything is synchronous.
        6 => Out::at(data.cast()).set(1_u32),
        7 => Out::at(data.cast()).set(alloc.id),
        8 => Out::at(data.cast()).set(alloc.kind == AllocKind::Managed),
        9 => Out::at(data.cast()).set(alloc.device as c_int),
        11 => pointer(object(ptr)?.0 as *mut c_void),
        12 => Out::at(data.cast()).set(object(ptr)?.1 as usize),
        13 => Out::at(data.cast()).set(true),
        16 => Out::at(data.cast()).set(3_i32),
        1 | 5 | 10 | 14 | 15 | 17 => {
            Err(Code::NotSupported.because(format!("pointer attribute {attribute}")))
        }
        _ => Err(Code::InvalidValue.because(format!("pointer attribute {attribute}"))),
    }
}

hip_api! {
    fn hipMalloc(ptr: Out<*mut c_void>, size: usize) {
        malloc(ptr, size, AllocKind::Device, 0)
    }

    fn hipExtMallocWithFlags(ptr: Out<*mut c_void>, sizeBytes: usize, flags: u32) {
        ptr.check()?;
        if !EXTENDED_FLAGS.contains(&flags) {
            return Err(Code::InvalidValue.because(format!("flags {flags:#x}")));
        }
        malloc(ptr, sizeBytes, AllocKind::Device, flags)
    }

    fn hipFree(ptr: *mut c_void) {
        capture::check_unsafe_call()?;
        if ptr.is_null() {
            return Ok(());
        }
        free(ptr as u64, &[AllocKind::Device, AllocKind::Managed])
    }

    fn hipHostMalloc(ptr: Out<*mut c_void>, size: usize, flags: u32) {
        host_malloc(ptr, size, flags)
    }

    fn hipHostAlloc(ptr: Out<*mut c_void>, size: usize, flags: u32) {
        host_malloc(ptr, size, flags)
    }

    fn hipMallocHost(ptr: Out<*mut c_void>, size: usize) {
        host_malloc(ptr, size, 0)
    }

    fn hipMemAllocHost(ptr: Out<*mut c_void>, size: usize) {
        host_malloc(ptr, size, 0)
    }

    fn hipHostFree(ptr: *mut c_void) {
        free_host(ptr)
    }

    fn hipFreeHost(ptr: *mut c_void) {
        free_host(ptr)
    }

    fn hipMallocManaged(dev_ptr: Out<*mut c_void>, size: usize, flags: u32) {
        dev_ptr.check()?;
        if !ATTACH_FLAGS.contains(&flags) || size == 0 {
            return Err(Code::InvalidValue.because(format!("{size} bytes with flags {flags:#x}")));
        }
        malloc(dev_ptr, size, AllocKind::Managed, flags)
    }

    fn hipMallocPitch(ptr: Out<*mut c_void>, pitch: Out<usize>, width: usize, height: usize) {
        ptr.check()?;
        pitch.check()?;
        pitch.set(malloc_pitch(ptr, width, height, 1)?)
    }

    fn hipMemAllocPitch(
        dptr: Out<DevicePtr>,
        pitch: Out<usize>,
        widthInBytes: usize,
        height: usize,
        elementSizeBytes: u32,
    ) {
        dptr.check()?;
        pitch.check()?;
        if ![4, 8, 16].contains(&elementSizeBytes) || widthInBytes == 0 || height == 0 {
            return Err(Code::InvalidValue.because(format!("elements of {elementSizeBytes} bytes")));
        }
        pitch.set(malloc_pitch(dptr, widthInBytes, height, 1)?)
    }

    fn hipMalloc3D(pitchedDevPtr: Out<hipPitchedPtr>, extent: hipExtent) {
        pitchedDevPtr.check()?;
        let hipExtent { width, height, depth } = extent;
        let mut ptr = std::ptr::null_mut();
        let pitch = malloc_pitch(Out::at(&mut ptr), width, height, depth)?;
        pitchedDevPtr.set(hipPitchedPtr { ptr, pitch, xsize: width, ysize: height })
    }

    fn hipHostRegister(hostPtr: *mut c_void, sizeBytes: usize, flags: u32) {
        let device = runtime::usable()?;
        if flags & !REGISTER_FLAGS != 0 {
            return Err(Code::InvalidValue.because(format!("flags {flags:#x}")));
        }
        let registered = get().memory.register(hostPtr as u64, sizeBytes as u64, device.index(), flags);
        registered.map_err(|error| match error {
            MemoryError::Overlap { .. } => Code::HostMemoryAlreadyRegistered.because(error.to_string()),
            _ => Code::InvalidValue.because(error.to_string()),
        })
    }

    fn hipHostUnregister(hostPtr: *mut c_void) {
        if hostPtr.is_null() {
            return Err(Code::InvalidValue.because("the address is null"));
        }
        let gone = get().memory.free_if(hostPtr as u64, |alloc| alloc.kind == AllocKind::Registered);
        gone.map(drop).map_err(|error| Code::HostMemoryNotRegistered.because(error.to_string()))
    }

    fn hipHostGetDevicePointer(devPtr: Out<*mut c_void>, hstPtr: *mut c_void, flags: u32) {
        devPtr.check()?;
        if flags != 0 {
            return Err(Code::InvalidValue.because("flags must be zero"));
        }
        if !is_host(&allocation(hstPtr)?) {
            return Err(Code::InvalidValue.because(format!("{hstPtr:p} is no host memory")));
        }
        devPtr.set(hstPtr)
    }

    fn hipHostGetFlags(flagsPtr: Out<u32>, hostPtr: *mut c_void) {
        flagsPtr.check()?;
        let alloc = allocation(hostPtr)?;
        if !is_host(&alloc) || alloc.base != hostPtr as u64 {
            return Err(Code::InvalidValue.because(format!("{hostPtr:p} is no start of host memory")));
        }
        flagsPtr.set(alloc.flags)
    }

    fn hipMemGetInfo(free: Out<usize>, total: Out<usize>) {
        free.check()?;
        total.check()?;
        let device = runtime::usable()?;
        free.set(get().memory.free_bytes(device.index()) as usize)?;
        total.set(device.properties.memory as usize)
    }

    fn hipMemGetAddressRange(pbase: Out<DevicePtr>, psize: Out<usize>, dptr: DevicePtr) {
        let not_found = |_| Code::NotFound.because(format!("{dptr:p} is no allocation"));
        let (base, size) = object(dptr).map_err(not_found)?;
        pbase.set_if_wanted(base as DevicePtr);
        psize.set_if_wanted(size as usize);
        Ok(())
    }

    fn hipMemPtrGetInfo(ptr: *mut c_void, size: Out<usize>) {
        size.check()?;
        size.set(object(ptr)?.1 as usize)
    }

    fn hipPointerGetAttributes(attributes: Out<hipPointerAttribute_t>, ptr: *const c_void) {
        attributes.check()?;
        let version = get().version;
        let mut answer = hipPointerAttribute_t::zeroed();
        match allocation(ptr) {
            Ok(alloc) => {
                answer.type_ = version.memory_type(Some(alloc.kind));
                answer.device = alloc.device as c_int;
                answer.devicePointer = ptr.cast_mut();
                answer.hostPointer = if is_host(&alloc) { ptr.cast_mut() } else { std::ptr::null_mut() };
                answer.isManaged = c_int::from(alloc.kind == AllocKind::Managed);
                answer.allocationFlags = alloc.flags;
            }
            // Since HIP 6 memory that is not known has a type; before it is an error to ask.
            Err(failure) if version.major < 6 || ptr.is_null() => return Err(failure),
            Err(_) => {
                answer.type_ = version.memory_type(None);
                // `hipInvalidDeviceId`.
                answer.device = -2;
                answer.hostPointer = ptr.cast_mut();
            }
        }
        attributes.set(answer)
    }

    fn hipPointerGetAttribute(data: *mut c_void, attribute: c_int, ptr: DevicePtr) {
        pointer_attribute(data, attribute, ptr)
    }

    fn hipDrvPointerGetAttributes(
        numAttributes: u32,
        attributes: List<c_int>,
        data: List<*mut c_void>,
        ptr: DevicePtr,
    ) {
        attributes.check()?;
        data.check()?;
        let count = numAttributes as usize;
        for (attribute, place) in attributes.get(count)?.into_iter().zip(data.get(count)?) {
            pointer_attribute(place, attribute, ptr)?;
        }
        Ok(())
    }

    fn hipPointerSetAttribute(value: *const c_void, attribute: c_int, ptr: DevicePtr) {
        /// `HIP_POINTER_ATTRIBUTE_SYNC_MEMOPS`, the one attribute that can be set. Everything is synchronous anyway.
        const SYNC_MEMOPS: c_int = 6;
        allocation(ptr)?;
        if value.is_null() || attribute != SYNC_MEMOPS {
            return Err(Code::InvalidValue.because(format!("pointer attribute {attribute}")));
        }
        Ok(())
    }

    fn hipMemAdvise(dev_ptr: *const c_void, count: usize, advice: c_int, deviceId: c_int) {
        managed_range(dev_ptr, count)?;
        check_location(deviceId)?;
        // Read mostly, preferred location, accessed by, coarse grain: each set and unset.
        if ![1, 2, 3, 4, 5, 6, 100, 101].contains(&advice) {
            return Err(Code::InvalidValue.because(format!("advice {advice}")));
        }
        Ok(())
    }

    fn hipMemPrefetchAsync(dev_ptr: *const c_void, count: usize, deviceId: c_int, stream: super::ffi::StreamHandle) {
        managed_range(dev_ptr, count)?;
        check_location(deviceId)?;
        super::stream::usable(stream).map(drop)
    }

    fn hipMemRangeGetAttribute(
        data: *mut c_void,
        data_size: usize,
        attribute: c_int,
        dev_ptr: *const c_void,
        count: usize,
    ) {
        range_attribute(data, data_size, attribute, dev_ptr, count)
    }

    fn hipMemRangeGetAttributes(
        data: List<*mut c_void>,
        data_sizes: List<usize>,
        attributes: List<c_int>,
        num_attributes: usize,
        dev_ptr: *const c_void,
        count: usize,
    ) {
        let (places, sizes) = (data.get(num_attributes)?, data_sizes.get(num_attributes)?);
        for ((attribute, place), size) in attributes.get(num_attributes)?.into_iter().zip(places).zip(sizes) {
            range_attribute(place, size, attribute, dev_ptr, count)?;
        }
        Ok(())
    }
}

/// Fails if some of the range is no managed memory.
fn managed_range(ptr: *const c_void, count: usize) -> Outcome<Alloc> {
    current()?;
    let alloc = allocation(ptr)?;
    if count == 0 || alloc.kind != AllocKind::Managed || !alloc.contains(ptr as u64, count as u64) {
        return Err(
            Code::InvalidValue.because(format!("{count} bytes at {ptr:p} are not managed memory"))
        );
    }
    Ok(alloc)
}

/// `hipCpuDeviceId`.
const CPU: c_int = -1;

fn check_location(location: c_int) -> Outcome {
    if location == CPU {
        Ok(())
    } else {
        device(location).map(drop)
    }
}

fn range_attribute(
    data: *mut c_void,
    size: usize,
    attribute: c_int,
    ptr: *const c_void,
    count: usize,
) -> Outcome {
    managed_range(ptr, count)?;
    let place = Out::<c_int>::at(data.cast());
    place.check()?;
    if size < size_of::<c_int>() {
        return Err(
            Code::InvalidValue.because(format!("{size} bytes are no place for an attribute"))
        );
    }
    match attribute {
        // Advice is taken and has no effect, so nothing was advised.
        1 => place.set(0),
        2..=4 => {
            /// `hipInvalidDeviceId`.
            const NOWHERE: c_int = -2;
            place.set_all(&vec![
                NOWHERE;
                if attribute == 3 {
                    size / size_of::<c_int>()
                } else {
                    1
                }
            ])
        }
        // `hipMemRangeCoherencyModeFineGrain`.
        100 => place.set(0),
        _ => Err(Code::InvalidValue.because(format!("attribute {attribute}"))),
    }
}
