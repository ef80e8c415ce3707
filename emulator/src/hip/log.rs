//! What is written to standard error: `AMDGPU_EMULATOR_LOG`.

use std::sync::OnceLock;

/// How much is told. Each level includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing.
    Off,
    /// What stops a kernel, and settings that make no sense. This is the default.
    Fault,
    /// Why a call failed.
    Error,
    /// Every call with its arguments and its result.
    Call,
}

/// The environment variable that sets the level.
const VARIABLE: &str = "AMDGPU_EMULATOR_LOG";

fn level() -> Level {
    static LEVEL: OnceLock<Level> = OnceLock::new();
    *LEVEL.get_or_init(|| match std::env::var(VARIABLE).as_deref() {
        Ok("off") => Level::Off,
        Ok("fault" | "") | Err(_) => Level::Fault,
        Ok("error") => Level::Error,
        Ok("call") => Level::Call,
        Ok(other) => {
            eprintln!("amdgpu-emulator: {VARIABLE}={other} is none of off, fault, error, call; taking error");
            Level::Error
        }
    })
}

/// Whether messages of this level are told.
#[inline]
pub fn tells(wanted: Level) -> bool {
    level() >= wanted
}

/// Tells a message of a level.
pub fn tell(wanted: Level, message: impl FnOnce() -> String) {
    if tells(wanted) {
        eprintln!("amdgpu-emulator: {}", message());
    }
}
