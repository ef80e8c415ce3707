//! Holds HIP kernels against candle's CPU code and against recorded results of the CUDA kernels they come from.
//!
//! Knows the kernels of candle-kernels by their symbols: how candle launches each, what it computes, and how far its
//! arithmetic may round. Gets code as bundles of bytes and a runtime library to run it; must not know CUDA text,
//! translation rules or compilers.

mod case;
mod compare;
mod element;
mod error_bound;
mod expected;
mod families;
mod golden;
mod gpu;
pub mod html;
mod observer;
pub mod render;
mod report;
mod runner;
mod verify;

pub use case::Reference;
pub use golden::GoldenError;
pub use observer::Counts;
pub use report::{ArchReport, DeviceReport, KernelReport, Outcome, Report, Resources, Status};
pub use verify::{KernelGlob, ModuleBundle, Progress, Request, VerifyError, verify};
