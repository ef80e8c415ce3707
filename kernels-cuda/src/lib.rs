//! Empty: this package only pins the version of candle-kernels.
