//! Code objects of candle kernels.
