//! `hipify-candle completions`

use std::io::Write as _;

use clap::CommandFactory as _;

use super::output::stdout;
use super::{Cli, Failure, Outcome};

/// Print a script that lets a shell complete this command
///
/// bash: `hipify-candle completions bash > ~/.local/share/bash-completion/completions/hipify-candle`; zsh: into a file
/// `_hipify-candle` in a folder of `$fpath`; fish: `~/.config/fish/completions/hipify-candle.fish`.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The shell
    shell: clap_complete::Shell,
}

pub(super) fn run(args: &Args) -> Result<Outcome, Failure> {
    let mut script = Vec::new();
    let mut command = Cli::command();
    let name = command.get_name().to_owned();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    stdout().write_all(&script)?;
    Ok(Outcome::Fine)
}
