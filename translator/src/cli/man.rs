//! `hipify-candle man`

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use clap::CommandFactory as _;

use super::output::stdout;
use super::{Cli, Failure, Outcome};

/// Write manual pages: one for the command and one for each subcommand
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder, such as /usr/local/share/man/man1 [default: the command's page to standard output]
    dir: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<Outcome, Failure> {
    match &args.dir {
        Some(dir) => {
            fs::create_dir_all(dir)?;
            clap_mangen::generate_to(Cli::command(), dir)?;
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut page)?;
            stdout().write_all(&page)?;
        }
    }
    Ok(Outcome::Fine)
}
