//! A safe binding of libamdhip64, and launch plans for the quantized kernels of candle.

pub mod gguf;
pub mod result;
pub mod safe;
pub mod sys;

pub use result::{ErrorKind, HipError};
pub use safe::*;
pub use sys::LoadError;
