//! Runs hipcc for one code object.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Instant;
use std::{fs, io};

use codeobject::TargetId;
use tempfile::TempDir;

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
}

/// One run of the compiler.
pub(super) struct Compilation<'a> {
    pub toolchain: &'a Toolchain,
    /// A program that starts the compiler.
    pub launcher: Option<&'a str>,
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
        self.start(arguments, &scratch, &output)?;
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
        self.start(arguments, &scratch, &output)?;
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

    /// Runs hipcc, or has it run, in the tree's folder, and waits for `output`.
    fn start(
        &self,
        arguments: Vec<String>,
        scratch: &TempDir,
        output: &Path,
    ) -> Result<(), HipccError> {
        let root = self.tree.root();
        let hipcc = self.toolchain.hipcc.as_os_str();
        let (program, first) = match self.launcher {
            Some(launcher) => (OsStr::new(launcher), Some(hipcc)),
            None => (hipcc, None),
        };
        let first = first.map(OsStr::to_owned).into_iter();
        let mut command = duct::cmd(
            program,
            first.chain(arguments.into_iter().map(OsString::from)),
        );
        command = command.dir(root);
        for (name, value) in self.toolchain.environment() {
            command = command.env(name, value);
        }
        let ended = command
            .env("TMPDIR", scratch.path())
            .stdin_null()
            .stdout_null()
            .stderr_capture()
            .unchecked()
            .run()
            .map_err(io_error("cannot run", Path::new(program)))?;
        if ended.status.success() && output.is_file() {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&ended.stderr);
        let mut roots = vec![("", root)];
        roots.extend(self.cuda);
        Err(HipccError::Rejected {
            status: ended.status.to_string(),
            messages: message::read(&text, &roots),
        })
    }
}

fn io_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> HipccError {
    let path = path.to_owned();
    move |source| HipccError::Io { what, path, source }
}
