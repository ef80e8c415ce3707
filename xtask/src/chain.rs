//! The two commands of the README: what runs after the set-up, in which order.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{env, io};

use crate::setup::{self, Purpose, SetupError, checkout};

/// The chain stopped.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// The set-up can't be done.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// A step ended with an exit code other than 0; it has said why.
    #[error("`{command}` ended with exit code {code}")]
    Step {
        /// What ran.
        command: String,
        /// Its exit code.
        code: i32,
    },
    /// A step could not be started.
    #[error("cannot run `{command}`: {source}")]
    Start {
        /// What was to run.
        command: String,
        /// Why.
        source: io::Error,
    },
}

impl ChainError {
    /// What the user can do.
    pub fn help(&self) -> Option<String> {
        match self {
            ChainError::Setup(error) => error.help(),
            ChainError::Step { .. } | ChainError::Start { .. } => None,
        }
    }

    /// 1 if a step found problems, 2 if the chain could not be run.
    pub fn exit_code(&self) -> u8 {
        match self {
            ChainError::Step { code: 1 | 101, .. } => 1,
            _ => 2,
        }
    }
}

/// Runs steps one after the other and keeps their times.
struct Steps {
    done: Vec<(String, Duration)>,
    environment: Vec<(&'static str, PathBuf)>,
}

impl Steps {
    fn new() -> Self {
        Steps {
            done: Vec::new(),
            environment: Vec::new(),
        }
    }

    /// Runs `program` with its output on this terminal.
    fn run(&mut self, name: &str, program: &Path, arguments: &[&str]) -> Result<(), ChainError> {
        let shown = program
            .file_name()
            .unwrap_or(program.as_os_str())
            .to_string_lossy();
        let command = format!("{shown} {}", arguments.join(" "));
        println!("\n== {command}");
        let start = Instant::now();
        let mut expression = duct::cmd(program, arguments).dir(checkout());
        for (name, value) in &self.environment {
            expression = expression.env(name, value);
        }
        let output = expression
            .unchecked()
            .run()
            .map_err(|source| ChainError::Start {
                command: command.clone(),
                source,
            })?;
        self.done.push((name.to_owned(), start.elapsed()));
        match output.status.code() {
            Some(0) => Ok(()),
            code => Err(ChainError::Step {
                command,
                code: code.unwrap_or(-1),
            }),
        }
    }

    fn print(&self) {
        println!();
        for (name, time) in &self.done {
            println!("{name:<28}{:>8.1} s", time.as_secs_f64());
        }
    }
}

fn cargo() -> PathBuf {
    env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from)
}

/// The folder that release builds go to: this program lies there itself.
fn release_folder() -> PathBuf {
    let own = env::current_exe().ok();
    own.and_then(|exe| exe.parent().map(Path::to_owned))
        .unwrap_or_else(|| checkout().join("target/release"))
}

/// The command, as the chain builds it.
fn tool() -> PathBuf {
    release_folder().join(format!("hipify-candle{}", env::consts::EXE_SUFFIX))
}

/// `cargo xtask run`.
pub fn run() -> Result<ExitCode, ChainError> {
    let mut steps = Steps::new();
    let start = Instant::now();
    setup::set_up(Purpose::Run)?;
    steps.done.push(("set-up".to_owned(), start.elapsed()));
    steps.run(
        "cargo build",
        &cargo(),
        &[
            "build",
            "--release",
            "--package",
            "hipify-candle",
            "--package",
            "amdgpu-emulator",
        ],
    )?;
    let tool = tool();
    steps.run("fetch", &tool, &["fetch"])?;
    steps.run("translate", &tool, &["translate", "--module", "ptx"])?;
    steps.run(
        "build",
        &tool,
        &["build", "--arch", "gfx1100", "--module", "ptx"],
    )?;
    // The table that it prints is what all of this was for: nothing comes after it.
    steps.print();
    steps.run(
        "verify",
        &tool,
        &["verify", "--arch", "gfx1100", "--module", "quantized"],
    )?;
    Ok(ExitCode::SUCCESS)
}

/// `cargo xtask test`.
pub fn test() -> Result<ExitCode, ChainError> {
    let mut steps = Steps::new();
    let start = Instant::now();
    setup::set_up(Purpose::Test)?;
    steps.done.push(("set-up".to_owned(), start.elapsed()));
    // Tests that run the command or load the emulator find them where this puts them. With all targets, because the
    // features of dependencies then are those of the tests, and nothing is compiled twice.
    steps.run(
        "cargo build",
        &cargo(),
        &["build", "--release", "--workspace", "--all-targets"],
    )?;
    let emulator = format!(
        "{}amdhip64{}",
        env::consts::DLL_PREFIX,
        env::consts::DLL_SUFFIX
    );
    steps
        .environment
        .push(("HIP_LOADER_LIB", release_folder().join(emulator)));
    // The loader's tests take bundles as a user would, from a build: wavefronts of 32 and of 64, and the latest family.
    let bundles = checkout().join("target/tests/loader-bundles");
    let out = bundles.display().to_string();
    steps.run(
        "bundles for the loader",
        &tool(),
        &[
            "build",
            "--arch",
            "gfx1100,gfx90a,gfx1201",
            "--module",
            "quantized,cast",
            "--out",
            &out,
        ],
    )?;
    steps.environment.push(("HIP_LOADER_TEST_BUNDLES", bundles));
    steps.run(
        "cargo test",
        &cargo(),
        &["test", "--release", "--workspace"],
    )?;
    windows(&mut steps)?;
    steps.print();
    Ok(ExitCode::SUCCESS)
}

/// Compiles the loader for Windows, where the library has other names.
fn windows(steps: &mut Steps) -> Result<(), ChainError> {
    const TARGET: &str = "x86_64-pc-windows-gnu";
    let has = |arguments: &[&str]| {
        let output = duct::cmd("rustup", arguments).stderr_null().unchecked();
        output.read().is_ok_and(|text| text.contains(TARGET))
    };
    // A Rust that did not come with rustup has the targets that it has; its tests still hold the names.
    let added = || {
        duct::cmd!("rustup", "target", "add", TARGET)
            .unchecked()
            .run()
    };
    if !has(&["target", "list", "--installed"]) && !added().is_ok_and(|done| done.status.success())
    {
        println!("\nno rustup that has {TARGET}: the loader is not compiled for Windows");
        return Ok(());
    }
    let arguments = [
        "check",
        "--release",
        "--package",
        "hip-loader",
        "--target",
        TARGET,
    ];
    steps.run("cargo check for Windows", &cargo(), &arguments)
}
