//! Host functions that wait for a stream to get to them.
//!
//! The library is given a number, not an address: a call that reports the failure of earlier work may have put the
//! function on the stream all the same. Whoever takes the function out first, the library's thread or the caller that was
//! told of a failure, is the only one who has it.

use std::collections::HashMap;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustc_hash::{FxBuildHasher, FxHashMap};

use super::device::lock;
use crate::sys::{self, hipError_t, hipStream_t};

type Function = Box<dyn FnOnce() + Send>;

static WAITING: Mutex<FxHashMap<usize, Function>> = Mutex::new(HashMap::with_hasher(FxBuildHasher));

/// Keeps `function` until it is taken, and gives back what the library is to be given for it.
pub(super) fn keep(function: impl FnOnce() + Send + 'static) -> *mut c_void {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    lock(&WAITING).insert(number, Box::new(function));
    std::ptr::without_provenance_mut(number)
}

/// The function of this number, unless it was taken before.
pub(super) fn take(data: *mut c_void) -> Option<Function> {
    lock(&WAITING).remove(&data.addr())
}

/// For `hipLaunchHostFunc`.
pub(super) unsafe extern "C" fn host_function(data: *mut c_void) {
    if let Some(function) = take(data) {
        // Unwinding into the library would end the process; the panic hook has printed its message.
        let _ = catch_unwind(AssertUnwindSafe(function));
    }
}

/// For `hipStreamAddCallback`.
pub(super) unsafe extern "C" fn stream_callback(
    _: hipStream_t,
    status: hipError_t,
    data: *mut c_void,
) {
    if status == sys::hipSuccess {
        // SAFETY: the function asks nothing of its caller.
        unsafe { host_function(data) };
    } else {
        // Dropping what the function owns may panic as well.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(take(data))));
    }
}
