//! A software AMD GPU behind the HIP C ABI.

pub mod arch;
pub mod check;
pub mod exec;
pub mod fault;
pub mod float;
pub mod hip;
pub mod isa;
pub mod lanes;
pub mod launch;
pub mod memory;
pub mod module;
pub mod ops;
pub mod wave;
