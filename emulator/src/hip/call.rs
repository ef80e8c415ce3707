//! The one way into the library: every exported function passes through here.
//!
//! [`hip_api!`] defines exported functions. A body returns an [`Outcome`](super::status::Outcome); around it each call
//! counts for [`inject`], is told to the log, sets the thread's last error, and stops panics at the border: a defect of the
//! emulator ends a call with `hipErrorUnknown`, not the client's process.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;

use super::extra::CALLS;
use super::inject;
use super::log::{self, Level};
use super::runtime;
use super::status::{Code, Failure, Outcome};

thread_local! {
    static LAST_ERROR: Cell<Code> = const { Cell::new(Code::Success) };
    static LAST_COMMAND: Cell<Code> = const { Cell::new(Code::Success) };
}

/// The last error of this thread, which stays until it is taken; a success does not clear it.
pub fn last_error() -> Code {
    LAST_ERROR.get()
}

/// The last error of this thread. Afterwards there is none.
pub fn take_last_error() -> Code {
    LAST_ERROR.replace(Code::Success)
}

/// What the last call on this thread returned. Afterwards that is a success.
pub fn take_last_command() -> Code {
    LAST_COMMAND.replace(Code::Success)
}

/// Runs the body of a call that returns a status.
pub fn status(
    name: &'static str,
    arguments: &dyn Fn() -> String,
    body: impl FnOnce() -> Outcome,
) -> Code {
    CALLS.fetch_add(1, Ordering::Relaxed);
    let injected = inject::due(name);
    let outcome = match injected {
        Some(injected) if !injected.after => Err(injection(injected.error)),
        Some(injected) => guarded(body).and(Err(injection(injected.error))),
        None => guarded(body),
    };
    if let Some(injected) = injected
        && injected.error.is_sticky()
        && let Some(device) = runtime::get().devices.get(runtime::current_index())
    {
        device.set_fault(injected.error);
    }
    let code = match &outcome {
        Ok(()) => Code::Success,
        Err(failure) => failure.code,
    };
    match &outcome {
        Err(failure) if code != Code::NotReady => {
            log::tell(Level::Error, || {
                format!("{name}({}) failed: {failure}", arguments())
            });
        }
        _ => log::tell(Level::Call, || format!("{name}({}) = {code}", arguments())),
    }
    LAST_COMMAND.set(code);
    if code != Code::Success && code != Code::NotReady {
        LAST_ERROR.set(code);
    }
    code
}

/// Runs the body of a call that returns something else than a status, or a status that is no failure of the call.
pub fn value<T>(
    name: &'static str,
    arguments: &dyn Fn() -> String,
    otherwise: T,
    body: impl FnOnce() -> Outcome<T>,
) -> T {
    match guarded(body) {
        Ok(value) => {
            log::tell(Level::Call, || format!("{name}({})", arguments()));
            value
        }
        Err(failure) => {
            log::tell(Level::Error, || {
                format!("{name}({}) failed: {failure}", arguments())
            });
            otherwise
        }
    }
}

fn injection(error: Code) -> Failure {
    error.because("this failure was asked for")
}

fn guarded<T>(body: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
        let message = panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned());
        let message = message.unwrap_or_else(|| "no message".to_owned());
        Err(Code::Unknown.because(format!("the emulator has a defect: {message}")))
    })
}

/// Defines exported functions.
///
/// `fn name(arguments) { body }` returns a `hipError_t`: the body is an `Outcome`.
/// `fn name(arguments) -> Type, otherwise value { body }` returns a `Type`: the body is an `Outcome<Type>`, and `value`
/// is returned where it fails.
macro_rules! hip_api {
    () => {};
    (
        $(#[$meta:meta])*
        fn $name:ident($($argument:ident: $type:ty),* $(,)?) $body:block
        $($rest:tt)*
    ) => {
        $(#[$meta])*
        // SAFETY: the name and the signature are those of the HIP headers; nothing else defines the symbol.
        #[unsafe(no_mangle)]
        pub extern "C" fn $name($($argument: $type),*) -> $crate::hip::status::Code {
            let arguments = move || {
                let arguments: &[String] =
                    &[$(format!(concat!(stringify!($argument), "={:?}"), $argument)),*];
                arguments.join(", ")
            };
            $crate::hip::call::status(stringify!($name), &arguments, move || $body)
        }
        $crate::hip::call::hip_api! { $($rest)* }
    };
    (
        $(#[$meta:meta])*
        fn $name:ident($($argument:ident: $type:ty),* $(,)?) -> $result:ty, otherwise $otherwise:expr, $body:block
        $($rest:tt)*
    ) => {
        $(#[$meta])*
        // SAFETY: the name and the signature are those of the HIP headers; nothing else defines the symbol.
        #[unsafe(no_mangle)]
        pub extern "C" fn $name($($argument: $type),*) -> $result {
            let arguments = move || {
                let arguments: &[String] =
                    &[$(format!(concat!(stringify!($argument), "={:?}"), $argument)),*];
                arguments.join(", ")
            };
            $crate::hip::call::value(stringify!($name), &arguments, $otherwise, move || $body)
        }
        $crate::hip::call::hip_api! { $($rest)* }
    };
}

pub(crate) use hip_api;
