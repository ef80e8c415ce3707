//! What a HIP call answered when it did not succeed.

use std::ffi::{CStr, c_char};

use crate::sys::{self, Api, SYMBOLS, hipError_t};

/// A status other than success, with the words of the library that gave it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{call}: {name} ({}): {text}", .code.0)]
pub struct HipError {
    /// The status.
    pub code: hipError_t,
    /// Its name, such as `hipErrorOutOfMemory`.
    pub name: String,
    /// What the library says about it.
    pub text: String,
    /// The function that answered, such as `hipMalloc`.
    pub call: &'static str,
}

/// What a caller can do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// There was not enough memory; freeing some helps.
    OutOfMemory,
    /// The call was wrong: an argument, a handle, a configuration.
    InvalidArgument,
    /// The machine has no such device, or none at all.
    NoDevice,
    /// The library or the device cannot do this.
    NotSupported,
    /// Work is still going on.
    NotReady,
    /// Code for this device is missing or broken.
    BadImage,
    /// A stream capture does not allow the call, or was broken by one.
    Capture,
    /// A kernel or the device failed. Every later call fails too, until the process ends.
    DeviceFault,
    /// Anything else.
    Other,
}

/// Which statuses are of which kind; the statuses of captures are a range of their own.
const KINDS: &[(ErrorKind, &[hipError_t])] = &[
    (
        ErrorKind::OutOfMemory,
        &[sys::hipErrorOutOfMemory, sys::hipErrorRuntimeMemory],
    ),
    (
        ErrorKind::NoDevice,
        &[
            sys::hipErrorNoDevice,
            sys::hipErrorInvalidDevice,
            sys::hipErrorInsufficientDriver,
        ],
    ),
    (
        ErrorKind::NotSupported,
        &[
            sys::hipErrorNotSupported,
            sys::hipErrorPeerAccessUnsupported,
        ],
    ),
    (ErrorKind::NotReady, &[sys::hipErrorNotReady]),
    (
        ErrorKind::BadImage,
        &[
            sys::hipErrorInvalidImage,
            sys::hipErrorNoBinaryForGpu,
            sys::hipErrorInvalidDeviceFunction,
        ],
    ),
    (
        ErrorKind::InvalidArgument,
        &[
            sys::hipErrorInvalidValue,
            sys::hipErrorInvalidConfiguration,
            sys::hipErrorInvalidSymbol,
            sys::hipErrorInvalidDevicePointer,
            sys::hipErrorInvalidMemcpyDirection,
            sys::hipErrorInvalidHandle,
            sys::hipErrorInvalidContext,
            // What HIP says about a stream or an event that it does not know.
            sys::hipErrorContextIsDestroyed,
            sys::hipErrorIllegalState,
            sys::hipErrorNotFound,
            sys::hipErrorLaunchOutOfResources,
            sys::hipErrorPeerAccessAlreadyEnabled,
            sys::hipErrorPeerAccessNotEnabled,
            sys::hipErrorCooperativeLaunchTooLarge,
        ],
    ),
    (
        ErrorKind::DeviceFault,
        &[
            sys::hipErrorIllegalAddress,
            sys::hipErrorLaunchTimeOut,
            sys::hipErrorLaunchFailure,
            sys::hipErrorPriorLaunchFailure,
            sys::hipErrorAssert,
            sys::hipErrorECCNotCorrectable,
        ],
    ),
];

impl HipError {
    #[cold]
    pub(crate) fn new(api: &Api, call: &'static str, code: hipError_t) -> Self {
        // SAFETY: the functions take any value, and answer with null or a string that lives as long as the library.
        let (name, text) = unsafe {
            (
                string((api.hipGetErrorName)(code)),
                string((api.hipGetErrorString)(code)),
            )
        };
        Self {
            code,
            name: name.unwrap_or_else(|| format!("{code:?}")),
            text: text.unwrap_or_else(|| "the library has no text for it".to_owned()),
            call,
        }
    }

    /// The error for a function that the library does not have.
    #[cold]
    pub(crate) fn missing(call: &'static str) -> Self {
        let since = SYMBOLS
            .iter()
            .find(|symbol| symbol.name == call)
            .map_or("?", |symbol| symbol.since);
        Self {
            code: sys::hipErrorNotSupported,
            name: "hipErrorNotSupported".to_owned(),
            text: format!("the library does not have this function, HIP {since} and later do"),
            call,
        }
    }

    /// What a caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        if (900..=909).contains(&self.code.0) {
            return ErrorKind::Capture;
        }
        KINDS
            .iter()
            .find(|(_, codes)| codes.contains(&self.code))
            .map_or(ErrorKind::Other, |(kind, _)| *kind)
    }
}

/// # Safety
/// `string` is null or a C string that stays as it is during the call.
unsafe fn string(string: *const c_char) -> Option<String> {
    if string.is_null() {
        return None;
    }
    // SAFETY: not null, and promised by the caller.
    let string = unsafe { CStr::from_ptr(string) };
    Some(string.to_string_lossy().into_owned())
}
