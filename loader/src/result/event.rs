//! `hipEvent*`.

use super::{HipError, call, out};
use crate::sys::{Api, hipErrorNotReady, hipEvent_t, hipStream_t};

/// Creates an event on the current device.
///
/// # Errors
/// What the library answers.
pub fn create_with_flags(api: &Api, flags: u32) -> Result<hipEvent_t, HipError> {
    // SAFETY: on success the handle is written.
    unsafe {
        out(api, "hipEventCreateWithFlags", |event| {
            (api.hipEventCreateWithFlags)(event, flags)
        })
    }
}

/// Destroys an event.
///
/// # Errors
/// What the library answers.
///
/// # Safety
/// `event` was made by [`create_with_flags`] and is not used again.
pub unsafe fn destroy(api: &Api, event: hipEvent_t) -> Result<(), HipError> {
    // SAFETY: promised by the caller.
    unsafe { call!(api, hipEventDestroy(event)) }
}

/// Puts an event behind the work of a stream.
///
/// # Errors
/// What the library answers.
///
/// # Safety
/// Both are handles of this library, on one device.
#[inline]
pub unsafe fn record(api: &Api, event: hipEvent_t, stream: hipStream_t) -> Result<(), HipError> {
    // SAFETY: promised by the caller.
    unsafe { call!(api, hipEventRecord(event, stream)) }
}

/// Waits for an event. One that was never recorded counts as reached.
///
/// # Errors
/// What the library answers, errors of earlier work included.
///
/// # Safety
/// `event` is an event of this library.
pub unsafe fn synchronize(api: &Api, event: hipEvent_t) -> Result<(), HipError> {
    // SAFETY: promised by the caller.
    unsafe { call!(api, hipEventSynchronize(event)) }
}

/// Whether an event has been reached.
///
/// # Errors
/// What the library answers, save `hipErrorNotReady`, which is `Ok(false)`.
///
/// # Safety
/// `event` is an event of this library.
pub unsafe fn query(api: &Api, event: hipEvent_t) -> Result<bool, HipError> {
    // SAFETY: promised by the caller.
    ready(unsafe { call!(api, hipEventQuery(event)) })
}

/// Milliseconds from `start` to `stop`.
///
/// # Errors
/// What the library answers, `hipErrorNotReady` where one has not been reached.
///
/// # Safety
/// Both are events of this library.
pub unsafe fn elapsed_time(
    api: &Api,
    start: hipEvent_t,
    stop: hipEvent_t,
) -> Result<f32, HipError> {
    // SAFETY: on success the time is written.
    unsafe {
        out(api, "hipEventElapsedTime", |ms| {
            (api.hipEventElapsedTime)(ms, start, stop)
        })
    }
}

/// The answer of a query as a truth value.
pub(super) fn ready(answer: Result<(), HipError>) -> Result<bool, HipError> {
    match answer {
        Ok(()) => Ok(true),
        Err(error) if error.code == hipErrorNotReady => Ok(false),
        Err(error) => Err(error),
    }
}
