//! `hipMalloc`, `hipFree`, `hipMem*`, `hipHost*`.

use std::ffi::{c_int, c_void};

use super::{HipError, call, check, optional, out};
use crate::sys::{
    Api, hipDevice_t, hipDeviceptr_t, hipMemPool_t, hipMemPoolAttr, hipMemcpyKind, hipStream_t,
};

/// Free and total bytes of the current device.
///
/// # Errors
/// What the library answers.
pub fn get_info(api: &Api) -> Result<(usize, usize), HipError> {
    let (mut free, mut total) = (0, 0);
    // SAFETY: both integers can be written.
    let status = unsafe { (api.hipMemGetInfo)(&mut free, &mut total) };
    check(api, "hipMemGetInfo", status)?;
    Ok((free, total))
}

/// Allocates `bytes` bytes on the current device.
///
/// # Errors
/// What the library answers.
pub fn malloc(api: &Api, bytes: usize) -> Result<hipDeviceptr_t, HipError> {
    // SAFETY: on success the pointer is written.
    unsafe { out(api, "hipMalloc", |address| (api.hipMalloc)(address, bytes)) }
}

/// Frees what [`malloc`] gave, after all work of its device has finished.
///
/// # Errors
/// What the library answers, errors of earlier work included.
///
/// # Safety
/// `address` came from [`malloc`] and is not used again.
pub unsafe fn free(api: &Api, address: hipDeviceptr_t) -> Result<(), HipError> {
    // SAFETY: promised by the caller.
    unsafe { call!(api, hipFree(address)) }
}

/// Allocates `bytes` bytes in stream order.
///
/// # Errors
/// What the library answers.
///
/// # Safety
/// `stream` is a stream of this library. The memory is there for work that follows on the stream.
pub unsafe fn malloc_async(
    api: &Api,
    bytes: usize,
    stream: hipStream_t,
) -> Result<hipDeviceptr_t, HipError> {
    let function = optional(api.hipMallocAsync, "hipMallocAsync")?;
    // SAFETY: on success the pointer is written.
    unsafe {
        out(api, "hipMallocAsync", |address| {
            function(address, bytes, stream)
        })
    }
}

/// Frees what [`malloc_async`] gave, when `stream` gets there.
///
/// # Errors
/// What the library answers.
///
/// # Safety
/// `address` came from [`malloc_async`], and only work before this on `stream` uses it.
pub unsafe fn free_async(
    api: &Api,
    address: hipDeviceptr_t,
    stream: hipStream_t,
) -> Result<(), HipError> {
    // SAFETY: promised by the caller.
    unsafe { call!(api, opt hipFreeAsync(address, stream)) }
}

/// Allocates `bytes` bytes of pinned host memory.
///
/// # Errors
/// What the library answers.
pub fn host_malloc(api: &Api, bytes: usize, flags: u32) -> Result<*mut c_void, HipError> {
    // SAFETY: on success the pointer is written.
    unsafe {
        out(api, "hipHostMalloc", |address| {
            (api.hipHostMalloc)(address, bytes, flags)
        })
    }
}

/// Frees what [`host_malloc`] gave.
///
/// # Errors
/// What the library answers.
///
/// # Safety
/// `address` came from [`host_malloc`], and neither the host nor a device uses it again.
pub unsafe fn host_free(api: &Api, address: *mut c_void) -> Result<(), HipError> {
    // SAFETY: promised by the caller.
    unsafe { call!(api, hipHostFree(address)) }
}

/// Copies `bytes` bytes in stream order.
///
/// # Errors
/// What the library answers.
///
/// # Safety
/// Both ranges are valid until the stream has passed the copy, and nothing else writes them or reads the destination
/// meanwhile. With host memory that is not pinned the library may copy at once or later.
pub unsafe fn copy_async(
    api: &Api,
    to: *mut c_void,
    from: *const c_void,
    bytes: usize,
    kind: hipMemcpyKind,
    stream: hipStream_t,
) -> Result<(), HipError> {
    // SAFETY: promised by the caller.
    unsafe { call!(api, hipMemcpyAsync(to, from, bytes, kind, stream)) }
}

/// Copies `bytes` bytes between devices in stream order.
///
/// # Errors
/// What the library answers.
///
/// # Safety
/// As for [`copy_async`]; the devices are those of the ranges.
pub unsafe fn copy_peer_async(
    api: &Api,
    (to, to_device): (*mut c_void, hipDevice_t),
    (from, from_device): (*const c_void, hipDevice_t),
    bytes: usize,
    stream: hipStream_t,
) -> Result<(), HipError> {
    // SAFETY: promised by the caller.
    unsafe { call!(api, opt hipMemcpyPeerAsync(to, to_device, from, from_device, bytes, stream)) }
}

/// Sets `bytes` bytes to `value` in stream order.
///
/// # Errors
/// What the library answers.
///
/// # Safety
/// The range is valid until the stream has passed the call, and nothing else uses it meanwhile.
pub unsafe fn set_async(
    api: &Api,
    to: hipDeviceptr_t,
    value: u8,
    bytes: usize,
    stream: hipStream_t,
) -> Result<(), HipError> {
    // SAFETY: promised by the caller.
    unsafe { call!(api, hipMemsetAsync(to, c_int::from(value), bytes, stream)) }
}

/// Sets `words` 32-bit words to `value` in stream order.
///
/// # Errors
/// What the library answers.
///
/// # Safety
/// As for [`set_async`].
pub unsafe fn set_d32_async(
    api: &Api,
    to: hipDeviceptr_t,
    value: u32,
    words: usize,
    stream: hipStream_t,
) -> Result<(), HipError> {
    // SAFETY: promised by the caller.
    unsafe { call!(api, opt hipMemsetD32Async(to, value.cast_signed(), words, stream)) }
}

/// The pool that [`malloc_async`] uses on `device`.
///
/// # Errors
/// What the library answers.
pub fn default_pool(api: &Api, device: hipDevice_t) -> Result<hipMemPool_t, HipError> {
    let function = optional(api.hipDeviceGetDefaultMemPool, "hipDeviceGetDefaultMemPool")?;
    // SAFETY: on success the handle is written.
    unsafe {
        out(api, "hipDeviceGetDefaultMemPool", |pool| {
            function(pool, device)
        })
    }
}

/// Gives memory of a pool back to the system, down to `keep` bytes.
///
/// # Errors
/// What the library answers.
///
/// # Safety
/// `pool` is a pool of this library.
pub unsafe fn pool_trim_to(api: &Api, pool: hipMemPool_t, keep: usize) -> Result<(), HipError> {
    // SAFETY: promised by the caller.
    unsafe { call!(api, opt hipMemPoolTrimTo(pool, keep)) }
}

/// Reads an attribute of a pool that is a `u64`.
///
/// # Errors
/// What the library answers.
///
/// # Safety
/// `pool` is a pool of this library, and `attribute` one that is a `u64`.
pub unsafe fn pool_get(
    api: &Api,
    pool: hipMemPool_t,
    attribute: hipMemPoolAttr,
) -> Result<u64, HipError> {
    let mut value = 0_u64;
    // SAFETY: the call writes 64 bits.
    unsafe { call!(api, opt hipMemPoolGetAttribute(pool, attribute, (&raw mut value).cast()))? };
    Ok(value)
}

/// Writes an attribute of a pool that is a `u64`.
///
/// # Errors
/// What the library answers.
///
/// # Safety
/// As for [`pool_get`].
pub unsafe fn pool_set(
    api: &Api,
    pool: hipMemPool_t,
    attribute: hipMemPoolAttr,
    mut value: u64,
) -> Result<(), HipError> {
    // SAFETY: the call reads 64 bits.
    unsafe { call!(api, opt hipMemPoolSetAttribute(pool, attribute, (&raw mut value).cast())) }
}
