//! `hipStream*` and host functions in streams.

use std::ffi::c_void;

use super::{HipError, call, optional, out};
use crate::sys::{
    Api, hipDevice_t, hipEvent_t, hipHostFn_t, hipStream_t, hipStreamCallback_t,
    hipStreamCaptureStatus,
};

/// Creates a stream on the current device.
///
/// # Errors
/// What the library answers.
pub fn create_with_flags(api: &Api, flags: u32) -> Result<hipStream_t, HipError> {
    // SAFETY: on success the handle is written.
    unsafe {
        out(api, "hipStreamCreateWithFlags", |stream| {
            (api.hipStreamCreateWithFlags)(stream, flags)
        })
    }
}

/// Creates a stream with a priority from [`super::device::get_stream_priority_range`]; others are clamped to it.
///
/// # Errors
/// What the library answers.
pub fn create_with_priority(api: &Api, flags: u32, priority: i32) -> Result<hipStream_t, HipError> {
    let function = optional(
        api.hipStreamCreateWithPriority,
        "hipStreamCreateWithPriority",
    )?;
    // SAFETY: on success the handle is written.
    unsafe {
        out(api, "hipStreamCreateWithPriority", |stream| {
            function(stream, flags, priority)
        })
    }
}

/// The priority of a stream.
///
/// # Errors
/// What the library answers.
///
/// # Safety
/// `stream` is a stream of this library.
pub unsafe fn get_priority(api: &Api, stream: hipStream_t) -> Result<i32, HipError> {
    let function = optional(api.hipStreamGetPriority, "hipStreamGetPriority")?;
    // SAFETY: on success the integer is written.
    unsafe {
        out(api, "hipStreamGetPriority", |priority| {
            function(stream, priority)
        })
    }
}

/// The device of a stream.
///
/// # Errors
/// What the library answers.
///
/// # Safety
/// `stream` is a stream of this library.
pub unsafe fn get_device(api: &Api, stream: hipStream_t) -> Result<hipDevice_t, HipError> {
    let function = optional(api.hipStreamGetDevice, "hipStreamGetDevice")?;
    // SAFETY: on success the integer is written.
    unsafe { out(api, "hipStreamGetDevice", |device| function(stream, device)) }
}

/// Destroys a stream, after its work has finished.
///
/// # Errors
/// What the library answers.
///
/// # Safety
/// `stream` was made by a `create` function of this module and is not used again.
pub unsafe fn destroy(api: &Api, stream: hipStream_t) -> Result<(), HipError> {
    // SAFETY: promised by the caller.
    unsafe { call!(api, hipStreamDestroy(stream)) }
}

/// Waits for all work of a stream.
///
/// # Errors
/// What the library answers, errors of earlier work included.
///
/// # Safety
/// `stream` is a stream of this library.
pub unsafe fn synchronize(api: &Api, stream: hipStream_t) -> Result<(), HipError> {
    // SAFETY: promised by the caller.
    unsafe { call!(api, hipStreamSynchronize(stream)) }
}

/// Whether all work of a stream has finished.
///
/// # Errors
/// What the library answers, save `hipErrorNotReady`, which is `Ok(false)`.
///
/// # Safety
/// `stream` is a stream of this library.
pub unsafe fn query(api: &Api, stream: hipStream_t) -> Result<bool, HipError> {
    // SAFETY: promised by the caller.
    super::event::ready(unsafe { call!(api, hipStreamQuery(stream)) })
}

/// Lets later work of `stream` wait for `event`.
///
/// # Errors
/// What the library answers.
///
/// # Safety
/// Both are handles of this library.
#[inline]
pub unsafe fn wait_event(
    api: &Api,
    stream: hipStream_t,
    event: hipEvent_t,
) -> Result<(), HipError> {
    // SAFETY: promised by the caller; 0 is the only flag there is.
    unsafe { call!(api, hipStreamWaitEvent(stream, event, 0)) }
}

/// Whether a stream is capturing. A library without graphs captures nothing.
///
/// # Errors
/// What the library answers.
///
/// # Safety
/// `stream` is a stream of this library.
pub unsafe fn capture_status(
    api: &Api,
    stream: hipStream_t,
) -> Result<hipStreamCaptureStatus, HipError> {
    let Some(function) = api.hipStreamIsCapturing else {
        return Ok(crate::sys::hipStreamCaptureStatusNone);
    };
    // SAFETY: on success the status is written.
    unsafe {
        out(api, "hipStreamIsCapturing", |status| {
            function(stream, status)
        })
    }
}

/// Runs `function` with `data` when `stream` gets there (`hipLaunchHostFunc`).
///
/// # Errors
/// What the library answers.
///
/// # Safety
/// `stream` is a stream of this library, and `function` may be called once with `data` from any thread. It must not call
/// HIP functions.
pub unsafe fn launch_host_func(
    api: &Api,
    stream: hipStream_t,
    function: hipHostFn_t,
    data: *mut c_void,
) -> Result<(), HipError> {
    // SAFETY: promised by the caller.
    unsafe { call!(api, opt hipLaunchHostFunc(stream, function, data)) }
}

/// The older form of [`launch_host_func`].
///
/// # Errors
/// What the library answers.
///
/// # Safety
/// As for [`launch_host_func`].
pub unsafe fn add_callback(
    api: &Api,
    stream: hipStream_t,
    function: hipStreamCallback_t,
    data: *mut c_void,
) -> Result<(), HipError> {
    // SAFETY: promised by the caller; 0 is the only flag there is.
    unsafe { call!(api, opt hipStreamAddCallback(stream, function, data, 0)) }
}
