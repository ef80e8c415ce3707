//! The command line: arguments, exit codes, and how errors look. Each subcommand is a file of its own with `Args`
//! and `run`; the work itself is in the library.
//!
//! Exit codes: 0 fine, 1 the job found problems, 2 wrong use or missing environment. A command that a signal ends
//! cleans up and then dies of that signal.

mod build;
mod cache;
mod compile;
mod completions;
mod doctor;
mod drift;
mod fetch;
mod inspect;
mod interrupt;
mod man;
mod merge;
mod output;
mod progress;
mod render;
mod resources;
mod translate;
mod upgrade;
#[cfg(feature = "verify")]
mod verify;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use self::output::print_document;
use crate::build::MergeError;
use crate::config::Config;
use crate::fetch::FetchError;
use crate::lock::LockError;
use crate::pipeline::PipelineError;
use crate::toolchain::ToolchainError;
use crate::workdir::WorkDir;

/// Translates Candle's CUDA kernels to HIP and builds them for every AMD GPU.
#[derive(Debug, Parser)]
#[command(name = "hipify-candle", version, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 fine, 1 the job found problems, 2 wrong use or missing environment. A command that a \
                  signal ends dies of that signal."
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Options of every subcommand.
#[derive(Debug, Clone, clap::Args)]
pub struct Global {
    /// Read rules, fixes, modules and architectures from DIR instead of the copy inside the program
    #[arg(long, value_name = "DIR", global = true)]
    pub config: Option<PathBuf>,
    /// Keep fetched and generated files in DIR (default: the checkout's target/, or ./target/hipify)
    #[arg(long, value_name = "DIR", global = true, env = "HIPIFY_WORK_DIR")]
    pub work_dir: Option<PathBuf>,
    /// How results are printed
    #[arg(long, value_enum, default_value_t = Format::Human, global = true)]
    pub format: Format,
}

impl Global {
    /// The configuration that these options select.
    ///
    /// # Errors
    /// If the folder given can't be read.
    pub fn config(&self) -> Result<Config, Failure> {
        Ok(Config::open(self.config.as_deref())?)
    }

    /// The work dir that these options select.
    ///
    /// # Errors
    /// If the current directory can't be told.
    pub fn work_dir(&self) -> Result<WorkDir, Failure> {
        WorkDir::find(self.work_dir.as_deref()).map_err(Failure::new)
    }
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people: colour on a terminal, source excerpts.
    Human,
    /// For programs: one JSON document on standard output.
    Json,
    /// For a browser: one page that needs nothing else (verify).
    Html,
}

#[derive(Debug, Subcommand)]
enum Command {
    Fetch(fetch::Args),
    Translate(translate::Args),
    Build(build::Args),
    Merge(merge::Args),
    Upgrade(upgrade::Args),
    Cache(cache::Args),
    Doctor(doctor::Args),
    Inspect(inspect::Args),
    Completions(completions::Args),
    Man(man::Args),
    Resources(resources::Args),
    #[cfg(feature = "verify")]
    Verify(verify::Args),
}

impl Command {
    /// Whether it has `--format html`.
    fn makes_pages(&self) -> bool {
        match self {
            #[cfg(feature = "verify")]
            Command::Verify(_) => true,
            _ => false,
        }
    }
}

/// How a subcommand ended that could do its job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Exit code 0.
    Fine,
    /// Exit code 1: the job was done and found problems, which have been printed.
    Problems,
}

/// A subcommand could not do its job: wrong use or missing environment, exit code 2.
#[derive(Debug)]
pub struct Failure {
    error: Box<dyn Error + Send + Sync>,
    help: Option<String>,
}

impl Failure {
    /// A failure that its error explains.
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Failure {
            error: error.into(),
            help: None,
        }
    }

    /// Adds what the user can do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        let any = &error as &dyn std::any::Any;
        let help = None
            .or_else(|| any.downcast_ref::<FetchError>().and_then(FetchError::help))
            .or_else(|| {
                any.downcast_ref::<PipelineError>()
                    .and_then(PipelineError::help)
            })
            .or_else(|| any.downcast_ref::<LockError>().and_then(LockError::help))
            .or_else(|| any.downcast_ref::<MergeError>().and_then(MergeError::help))
            .or_else(|| {
                any.downcast_ref::<ToolchainError>()
                    .map(ToolchainError::help)
            });
        Failure {
            error: error.into(),
            help,
        }
    }
}

/// Parses the process's arguments, runs the subcommand and says how the process ends.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli.command, &cli.global) {
        Ok(Outcome::Fine) => ExitCode::SUCCESS,
        Ok(Outcome::Problems) => ExitCode::from(1),
        Err(failure) => {
            report(&failure, cli.global.format);
            let cancelled = failure.error.downcast_ref::<interrupt::Cancelled>();
            cancelled.map_or(ExitCode::from(2), interrupt::Cancelled::end)
        }
    }
}

fn run(command: &Command, global: &Global) -> Result<Outcome, Failure> {
    if global.format == Format::Html && !command.makes_pages() {
        return Err(Failure::new("this command makes no page")
            .help("--format html is for verify; others have human and json"));
    }
    match command {
        Command::Build(args) => build::run(args, global),
        #[cfg(feature = "verify")]
        Command::Verify(args) => verify::run(args, global),
        Command::Merge(args) => merge::run(args, global),
        Command::Upgrade(args) => upgrade::run(args, global),
        Command::Cache(args) => cache::run(args, global),
        Command::Doctor(args) => doctor::run(args, global),
        Command::Fetch(args) => fetch::run(args, global),
        Command::Inspect(args) => inspect::run(args, global),
        Command::Completions(args) => completions::run(args),
        Command::Man(args) => man::run(args),
        Command::Resources(args) => resources::run(args, global),
        Command::Translate(args) => translate::run(args, global),
    }
}

/// Prints a failure: on standard error for people, as a JSON document on standard output for programs.
fn report(failure: &Failure, format: Format) {
    match format {
        Format::Json => {
            let document =
                serde_json::json!({ "error": chain(&*failure.error), "help": failure.help });
            // Where that can't be written, standard error is left.
            if let Err(error) = print_document(&document) {
                anstream::eprintln!("error: {error}\n{document}");
            }
        }
        Format::Human | Format::Html => {
            let (bold, red) = (
                anstyle::Style::new().bold(),
                anstyle::AnsiColor::Red.on_default().bold(),
            );
            anstream::eprintln!("{red}error:{red:#} {}", chain(&*failure.error));
            if let Some(help) = &failure.help {
                anstream::eprintln!("{bold}help:{bold:#} {help}");
            }
        }
    }
}

/// An error's message followed by its causes, each said once.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if !text.contains(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        cause = error.source();
    }
    text
}
