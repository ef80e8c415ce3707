//! The `hipify-candle` command.
fn main() {}
