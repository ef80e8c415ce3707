//! A software AMD GPU behind the HIP C ABI.
