//! Verification of kernels against references.
