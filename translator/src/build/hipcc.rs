//! Runs hipcc for one code object.

use std::path::{Path, PathBuf};
use std::time::Instant;
use std::{fs, io};

use codeobject::TargetId;

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
    pub cache: &'a Cache,
    pub tree: &'a SourceTree,
    pub cuda: Option<(&'a str, &'a Path)>,
    pub unit: &'a Path,
    pub closure: &'a Closure,
    pub target: &'a TargetId,
    pub arguments: &'a [String],
}

impl Compilation<'_> {
    pub fn run(&self) -> Result<Compiled, HipccError> {
        let io_error = |what, path: &Path| {
            let path = path.to_owned();
            move |source| HipccError::Io { what, path, source }
        };
        let scratch = self
            .cache
            .scratch()
            .map_err(io_error("cannot create a folder in", self.cache.folder()))?;
        let output = scratch.path().join("object");
        let depfile = scratch.path().join("dependencies");

        let root = self.tree.root();
        let mut arguments: Vec<String> = ["--cuda-device-only", "--no-gpu-bundle-output"]
            .map(str::to_owned)
            .into();
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
        arguments.extend([
            "-MD".to_owned(),
            "-MF".to_owned(),
            depfile.display().to_string(),
        ]);
        arguments.extend(["-c".to_owned(), self.unit.display().to_string()]);
        arguments.extend(["-o".to_owned(), output.display().to_string()]);

        let mut command = duct::cmd(&self.toolchain.hipcc, arguments).dir(root);
        for (name, value) in self.toolchain.environment() {
            command = command.env(name, value);
        }
        let start = Instant::now();
        let ended = command
            .env("TMPDIR", scratch.path())
            .stdin_null()
            .stdout_null()
            .stderr_capture()
            .unchecked()
            .run()
            .map_err(io_error("cannot run", &self.toolchain.hipcc))?;
        let seconds = start.elapsed().as_secs_f64();
        if !ended.status.success() || !output.is_file() {
            let text = String::from_utf8_lossy(&ended.stderr);
            let mut roots = vec![("", root)];
            roots.extend(self.cuda);
            return Err(HipccError::Rejected {
                status: ended.status.to_string(),
                messages: message::read(&text, &roots),
            });
        }
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
}
