//! A software AMD GPU behind the HIP C ABI.

pub mod memory;
pub mod module;
