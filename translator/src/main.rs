//! The `hipify-candle` command.

fn main() -> std::process::ExitCode {
    hipify_candle::cli::main()
}
