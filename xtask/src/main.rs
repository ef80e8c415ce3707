//! `cargo xtask`: set-up, and the two commands of the README.
//!
//! Knows how a machine gets a toolchain and in which order the project's commands run. What those commands do is the
//! business of the other crates.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod chain;
mod setup;

use setup::Purpose;

/// Sets the machine up and runs the project's chain.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
#[command(
    after_help = "Exit codes: 0 fine, 1 a step found problems, 2 wrong use or missing environment."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Set up, then take candle's quantized kernels from CUDA to a checked run on an emulated GPU
    Run,
    /// Set up, then build and test everything
    Test,
    /// Install what `run` and `test` need; a second call finds nothing to do
    Setup,
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Setup => setup::set_up(Purpose::Test)
            .map(|_| ExitCode::SUCCESS)
            .map_err(Into::into),
        Command::Run => chain::run(),
        Command::Test => chain::test(),
    };
    result.unwrap_or_else(|error: chain::ChainError| {
        eprintln!("error: {error}");
        if let Some(help) = error.help() {
            eprintln!("help: {help}");
        }
        ExitCode::from(error.exit_code())
    })
}
