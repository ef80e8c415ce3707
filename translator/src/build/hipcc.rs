//! Runs hipcc for one code object, or has a launcher run what hipcc would run.
//!
//! Compiler caches know clang and not hipcc: sccache refuses a command that it doesn't know, ccache would take a
//! script for the compiler and not notice a new clang behind it. So hipcc is asked for the command line of clang that
//! it would run, and that is handed to the launcher.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Instant;
use std::{fs, io};

use codeobject::TargetId;
use duct::Expression;
use tempfile::TempDir;

use super::Cancellation;
use super::message::{self, Message};
use super::sources::{Closure, SourceTree, dependencies};
use crate::cache::{Cache, Digest};
use crate::toolchain::Toolchain;

/// What a successful compilation left behind.
pub(super) struct Compiled {
    pub bytes: Vec<u8>,
    pub seconds: f64,
    /// What the compiler read outside the project's tree.
    pub headers: Vec<(PathBuf, Digest)>,
}

/// Why there is no code object.
#[derive(Debug, thiserror::Error)]
pub enum HipccError {
    /// hipcc can't be run, or its files can't be read or written.
    #[error("{what} {path}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The compiler found errors.
    #[error("{} finding(s) of the compiler, which ended with {status}", messages.len())]
    Rejected {
        /// How it ended.
        status: String,
        /// What it found.
        messages: Vec<Message>,
    },
    /// There is no code object, and no finding of the compiler says why: it was killed, or the launcher failed.
    #[error("{} ended with {status} and made no code object{}", program.display(), said_after(said))]
    Failed {
        /// hipcc, or the launcher.
        program: PathBuf,
        /// How it ended.
        status: String,
        /// The end of what it printed.
        said: String,
    },
    /// hipcc doesn't say what it would run, so that a launcher can't run it.
    #[error("{} doesn't say which command it would run{}", hipcc.display(), said_after(said))]
    Command {
        /// hipcc.
        hipcc: PathBuf,
        /// What it says instead.
        said: String,
    },
    /// The build was cancelled.
    #[error("cancelled")]
    Cancelled,
}

/// `: ` and what a program said, or nothing.
fn said_after(said: &str) -> String {
    if said.is_empty() {
        String::new()
    } else {
        format!(": {said}")
    }
}

/// What hipcc writes in front of the command that it runs, if `HIPCC_VERBOSE` has this bit.
const COMMAND_PREFIX: &str = "hipcc-cmd: ";
const VERBOSE: (&str, &str) = ("HIPCC_VERBOSE", "1");

/// hipcc's own launcher, where it knows one. It would stand in the command that hipcc tells.
const HIPCC_LAUNCHER: &str = "HIP_CLANG_LAUNCHER";

/// Has clang tell what it would do and do nothing.
const DRY_RUN: &str = "-###";

/// One run of the compiler.
pub(super) struct Compilation<'a> {
    pub toolchain: &'a Toolchain,
    /// A program that starts the compiler, with the digest of compiler and device libraries.
    pub launcher: Option<(&'a Path, Digest)>,
    pub cancellation: Option<&'a Cancellation>,
    pub cache: &'a Cache,
    pub tree: &'a SourceTree,
    pub cuda: Option<(&'a str, &'a Path)>,
    pub unit: &'a Path,
    pub closure: &'a Closure,
    pub target: &'a TargetId,
    pub arguments: &'a [String],
}

impl Compilation<'_> {
    /// Compiles.
    pub fn run(&self) -> Result<Compiled, HipccError> {
        let scratch = self.scratch()?;
        let output = scratch.path().join("object");
        let depfile = scratch.path().join("dependencies");
        let mut arguments = vec!["--no-gpu-bundle-output".to_owned()];
        arguments.extend(self.arguments_before());
        arguments.extend(["-MD".to_owned(), "-MF".to_owned()]);
        arguments.push(depfile.display().to_string());
        arguments.extend(["-c".to_owned(), self.unit.display().to_string()]);
        arguments.extend(["-o".to_owned(), output.display().to_string()]);

        let start = Instant::now();
        let (program, arguments) = match self.launcher {
            Some((launcher, toolchain)) => {
                let clang = self.clang_command(arguments, &scratch)?;
                (launcher, launched(clang, toolchain))
            }
            None => (self.toolchain.hipcc.as_path(), arguments),
        };
        self.start(program, arguments, &scratch, &output)?;
        let seconds = start.elapsed().as_secs_f64();
        let root = self.tree.root();
        let bytes = fs::read(&output).map_err(io_error("cannot read", &output))?;
        let read = fs::read_to_string(&depfile).map_err(io_error("cannot read", &depfile))?;
        let mut headers = Vec::new();
        for name in dependencies(&read) {
            let path = root.join(name);
            // The closure is part of the key; what it missed is compared like the toolchain's headers.
            if !self.closure.files.contains(&path)
                && let Some(digest) = self.cache.header(&path)
            {
                headers.push((path, digest));
            }
        }
        headers.sort();
        headers.dedup();
        Ok(Compiled {
            bytes,
            seconds,
            headers,
        })
    }

    /// The unit after the preprocessor.
    pub fn preprocess(&self) -> Result<String, HipccError> {
        let scratch = self.scratch()?;
        let output = scratch.path().join("text");
        let mut arguments = self.arguments_before();
        arguments.extend(["-E".to_owned(), self.unit.display().to_string()]);
        arguments.extend(["-o".to_owned(), output.display().to_string()]);
        self.start(&self.toolchain.hipcc, arguments, &scratch, &output)?;
        fs::read_to_string(&output).map_err(io_error("cannot read", &output))
    }

    fn scratch(&self) -> Result<TempDir, HipccError> {
        let folder = self.cache.folder();
        let made = self.cache.scratch();
        made.map_err(io_error("cannot create a folder in", folder))
    }

    /// What every run is given, in front of what it is to do.
    fn arguments_before(&self) -> Vec<String> {
        let root = self.tree.root();
        let mut arguments = vec!["--cuda-device-only".to_owned()];
        arguments.push(format!("--offload-arch={}", self.target));
        arguments.extend_from_slice(self.arguments);
        arguments.extend(["-I".to_owned(), ".".to_owned()]);
        for (index, folder) in self.tree.include().iter().enumerate() {
            arguments.extend(["-I".to_owned(), folder.display().to_string()]);
            arguments.push(format!(
                "-ffile-prefix-map={}=include{index}",
                folder.display()
            ));
        }
        arguments.push(format!("-ffile-prefix-map={}=.", root.display()));
        arguments.push(format!(
            "-ffile-prefix-map={}=rocm",
            self.toolchain.root.display()
        ));
        arguments.push("-fno-color-diagnostics".to_owned());
        arguments
    }

    /// What hipcc would run for these arguments: clang and its arguments.
    fn clang_command(
        &self,
        mut arguments: Vec<String>,
        scratch: &TempDir,
    ) -> Result<Vec<String>, HipccError> {
        let hipcc = self.toolchain.hipcc.as_path();
        arguments.push(DRY_RUN.to_owned());
        let command = self
            .command(hipcc, arguments)
            .env("TMPDIR", scratch.path())
            .env(VERBOSE.0, VERBOSE.1)
            .env_remove(HIPCC_LAUNCHER);
        let told = self.finish(hipcc, &command)?;
        let text = String::from_utf8_lossy(&told.stdout);
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(COMMAND_PREFIX));
        // It is a command for the shell.
        let mut words = line
            .and_then(shlex::split)
            .filter(|words| !words.is_empty())
            .ok_or_else(|| HipccError::Command {
                hipcc: hipcc.to_owned(),
                said: last_lines(&told),
            })?;
        words.retain(|word| word != DRY_RUN);
        Ok(words)
    }

    /// Runs the compiler, or has it run, and waits for `output`.
    fn start(
        &self,
        program: &Path,
        arguments: Vec<String>,
        scratch: &TempDir,
        output: &Path,
    ) -> Result<(), HipccError> {
        let launched = program != self.toolchain.hipcc;
        let mut command = self.command(program, arguments);
        if !launched {
            // A launcher may start a server that outlives the folder.
            command = command.env("TMPDIR", scratch.path());
        }
        let ended = self.finish(program, &command)?;
        // hipcc may end well although clang did not.
        if ended.status.success() && output.is_file() {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&ended.stderr);
        let mut roots = vec![("", self.tree.root())];
        roots.extend(self.cuda);
        let messages = message::read(&text, &roots);
        let status = ended.status.to_string();
        let from_compiler = if launched {
            messages.iter().any(|message| message.file.is_some())
        } else {
            !messages.is_empty()
        };
        Err(if from_compiler {
            HipccError::Rejected { status, messages }
        } else {
            HipccError::Failed {
                program: program.to_owned(),
                status,
                said: last_lines(&ended),
            }
        })
    }

    /// A command that runs in the tree's folder with the toolchain's environment.
    fn command(&self, program: &Path, arguments: Vec<String>) -> Expression {
        let arguments = arguments.into_iter().map(OsString::from);
        let command = duct::cmd(program.as_os_str(), arguments).dir(self.tree.root());
        let variables = self.toolchain.environment().into_iter();
        variables.fold(command, |command, (name, value)| command.env(name, value))
    }

    fn finish(&self, program: &Path, command: &Expression) -> Result<Output, HipccError> {
        let command = command
            .stdin_null()
            .stdout_capture()
            .stderr_capture()
            .unchecked();
        let output = match self.cancellation {
            Some(cancellation) => cancellation.run(&command),
            None => command.run(),
        };
        if self.cancellation.is_some_and(Cancellation::is_cancelled) {
            return Err(HipccError::Cancelled);
        }
        output.map_err(io_error("cannot run", program))
    }
}

/// The arguments of a launcher: clang's command line and what the launcher's cache has to tell apart besides. None of
/// them knows that clang links device libraries, and some don't look behind the name of the compiler. So the digest of
/// both stands in a flag that is hashed like any other and that means nothing unless clang crashes.
fn launched(mut clang: Vec<String>, toolchain: Digest) -> Vec<String> {
    clang.push(format!("-fcrash-diagnostics-dir=toolchain-{toolchain}"));
    clang
}

/// The end of what a program printed.
fn last_lines(output: &Output) -> String {
    const MOST: usize = 12;
    let text = [&output.stderr, &output.stdout].map(|text| String::from_utf8_lossy(text));
    let lines: Vec<&str> = text.iter().flat_map(|text| text.trim().lines()).collect();
    lines[lines.len().saturating_sub(MOST)..].join("\n")
}

fn io_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> HipccError {
    let path = path.to_owned();
    move |source| HipccError::Io { what, path, source }
}
