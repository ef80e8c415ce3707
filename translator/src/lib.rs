//! CUDA to HIP translation of Candle's kernels, and the ROCm toolchain that compiles them.
//!
//! The way of the data: [`fetch`] brings the pinned CUDA sources, [`lex`] cuts them into tokens without losing a
//! byte, [`rules`] say what CUDA names become, [`fixes`] repair known upstream defects, [`translate`] writes HIP, [`build`]
//! compiles it through the [`cache`], and [`lock`] says what all of that was made from. [`KernelBuilder`] is the whole
//! way for a build script.
//!
//! This crate knows CUDA text, rules, the toolchain, the build plan and the cache. It must not know how a kernel is
//! launched. The command line is behind the feature `cli`; without it the library needs neither loader nor GPU.

pub mod arch;
pub mod build;
pub mod cache;
pub mod config;
pub mod device_header;
pub mod diagnostic;
pub mod emulator;
pub mod fetch;
pub mod files;
pub mod fixes;
pub mod inspect;
pub mod kernel_builder;
pub mod lex;
pub mod lock;
pub mod modules;
pub mod pin;
pub mod pipeline;
pub mod rules;
pub mod translate;
pub mod upgrade;
pub mod workdir;

pub use kernel_builder::KernelBuilder;
pub use rocm_toolchain as toolchain;

#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "cli")]
pub mod doctor;
