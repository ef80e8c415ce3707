//! CUDA to HIP translation of candle kernels, and the ROCm toolchain that compiles them.
