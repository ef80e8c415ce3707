//! A safe binding of libamdhip64, and launch plans for the quantized kernels of candle.
