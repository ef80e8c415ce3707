//! The functions of [`crate::sys`] with `Result`s: the same names without the prefix, in small modules.
//!
//! A function here calls exactly one function of the library, in the caller's thread, and adds nothing but the error.
//! Where the library does not have the function, the answer is an [`HipError`] with the code `hipErrorNotSupported` and a
//! text that names the function and the HIP release that brought it.
//!
//! All functions take the table first. Those that take or give pointers are `unsafe`: a handle has to be one that the
//! same library gave and has not destroyed, memory has to be as large as the call says for as long as it runs.

mod error;

pub mod device;
pub mod event;
pub mod graph;
pub mod launch;
pub mod mem;
pub mod module;
pub mod stream;

pub use error::{ErrorKind, HipError};

use std::mem::MaybeUninit;

use crate::sys::{self, Api, hipError_t};

/// Turns a status into a `Result`.
#[inline]
pub(crate) fn check(api: &Api, call: &'static str, status: hipError_t) -> Result<(), HipError> {
    if status == sys::hipSuccess {
        Ok(())
    } else {
        Err(HipError::new(api, call, status))
    }
}

/// Calls `fill` with room for one value, and returns the value if the status is success.
///
/// # Safety
/// With the status success `fill` has written the value.
pub(crate) unsafe fn out<T>(
    api: &Api,
    call: &'static str,
    fill: impl FnOnce(*mut T) -> hipError_t,
) -> Result<T, HipError> {
    let mut value = MaybeUninit::uninit();
    check(api, call, fill(value.as_mut_ptr()))?;
    // SAFETY: promised by the caller.
    Ok(unsafe { value.assume_init() })
}

/// The function behind an optional entry of the table, or the error that says which release has it.
fn optional<F: Copy>(function: Option<F>, call: &'static str) -> Result<F, HipError> {
    function.ok_or_else(|| HipError::missing(call))
}

/// Calls a function of the table and checks its status; `opt` for an optional one.
macro_rules! call {
    ($api:expr, $name:ident($($arg:expr),* $(,)?)) => {
        $crate::result::check($api, stringify!($name), ($api.$name)($($arg),*))
    };
    ($api:expr, opt $name:ident($($arg:expr),* $(,)?)) => {
        match $crate::result::optional($api.$name, stringify!($name)) {
            Ok(function) => $crate::result::check($api, stringify!($name), function($($arg),*)),
            Err(missing) => Err(missing),
        }
    };
}
pub(crate) use call;

/// Initializes the runtime (`hipInit`). Every other call does so too; calling it says early whether it works.
///
/// # Errors
/// What the library answers, with [`ErrorKind::NoDevice`] on a machine without a device it can use.
pub fn init(api: &Api) -> Result<(), HipError> {
    // SAFETY: the call takes no pointers, and 0 is the only flag there is.
    unsafe { call!(api, hipInit(0)) }
}

/// The version of the library as `hip_version.h` counts it: major * 10^7 + minor * 10^5 + patch.
///
/// # Errors
/// What the library answers.
pub fn runtime_version(api: &Api) -> Result<i32, HipError> {
    // SAFETY: on success the integer is written.
    unsafe {
        out(api, "hipRuntimeGetVersion", |version| {
            (api.hipRuntimeGetVersion)(version)
        })
    }
}

/// The version of the layer below, counted in the same way.
///
/// # Errors
/// What the library answers.
pub fn driver_version(api: &Api) -> Result<i32, HipError> {
    // SAFETY: on success the integer is written.
    unsafe {
        out(api, "hipDriverGetVersion", |version| {
            (api.hipDriverGetVersion)(version)
        })
    }
}
