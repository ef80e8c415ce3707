//! What the compiler says about itself: its version, and the processors that it generates code for.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Output;
use std::{fmt, fs};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{INFLUENTIAL_VARIABLES, Toolchain, ToolchainError};

/// By this file of an installation clang recognises HIP and its version.
const HIP_VERSION_FILE: &str = "share/hip/version";

/// The compiler's name for itself, without the folder that it lies in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CompilerVersion(pub String);

impl fmt::Display for CompilerVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The processors that a toolchain can build for, and why not for others.
#[derive(Debug, Clone)]
pub struct ProcessorNames {
    compiler: BTreeSet<String>,
    libraries: BTreeSet<String>,
    version: CompilerVersion,
    bitcode: PathBuf,
}

impl ProcessorNames {
    /// `None` if code for `processor` (`gfx1100`, `gfx11-generic`) can be built, otherwise the reason in words.
    #[must_use]
    pub fn obstacle(&self, processor: &str) -> Option<String> {
        if !self.compiler.contains(processor) {
            return Some(format!(
                "{} does not know the processor {processor}",
                self.version
            ));
        }
        let name = isa_library(processor);
        if !self.libraries.contains(&name) {
            return Some(format!(
                "the device libraries in {} have no {name}",
                self.bitcode.display()
            ));
        }
        None
    }

    /// The processors that can be built for, by name.
    pub fn buildable(&self) -> impl Iterator<Item = &str> {
        self.compiler
            .iter()
            .map(String::as_str)
            .filter(|name| self.libraries.contains(&isa_library(name)))
    }
}

/// `oclc_isa_version_1100.bc` for `gfx1100`. Clang finds the file by this name.
fn isa_library(processor: &str) -> String {
    format!(
        "{ISA_LIBRARY}{}.bc",
        processor.strip_prefix("gfx").unwrap_or(processor)
    )
}

const ISA_LIBRARY: &str = "oclc_isa_version_";

impl Toolchain {
    /// Asks clang for its version: `Debian clang version 19.1.7 (3~deb12u1)`.
    ///
    /// # Errors
    /// [`ToolchainError::Tool`] if clang can't be run.
    pub fn compiler_version(&self) -> Result<CompilerVersion, ToolchainError> {
        let output = self.ask(&["--version"])?;
        let text = String::from_utf8_lossy(&output.stdout);
        match text.lines().next().map(str::trim) {
            Some(line) if !line.is_empty() => Ok(CompilerVersion(line.to_owned())),
            _ => Err(self.tool_error("it prints no version".to_owned())),
        }
    }

    /// Asks clang which processors it knows, and looks which of them the device libraries know.
    ///
    /// # Errors
    /// [`ToolchainError`] if clang can't be run or the device libraries can't be listed.
    pub fn processors(&self) -> Result<ProcessorNames, ToolchainError> {
        let output = self.ask(&[
            "--target=amdgcn-amd-amdhsa",
            "-nogpulib",
            "--print-supported-cpus",
        ])?;
        // Clang prints this list on standard error.
        let text = String::from_utf8_lossy(&output.stderr);
        let compiler: BTreeSet<String> = text
            .lines()
            .filter(|line| line.starts_with(char::is_whitespace))
            .map(|line| line.trim().to_owned())
            .filter(|name| name.starts_with("gfx"))
            .collect();
        if compiler.is_empty() {
            return Err(
                self.tool_error("it lists no AMD GPU: built without the AMDGPU target?".to_owned())
            );
        }
        let libraries = self.bitcode_files()?.into_iter().collect();
        Ok(ProcessorNames {
            compiler,
            libraries,
            version: self.compiler_version()?,
            bitcode: self.bitcode.clone(),
        })
    }

    /// A digest of what decides the bytes of a code object for `processor` besides sources, headers and flags: the
    /// compiler's version, the device libraries that are linked in, whether clang recognises HIP, and the
    /// [`INFLUENTIAL_VARIABLES`]. The same on every machine that has the same compiler and libraries.
    ///
    /// # Errors
    /// [`ToolchainError`] if clang can't be run or a library can't be read.
    pub fn identity(
        &self,
        processor: &str,
        version: &CompilerVersion,
    ) -> Result<[u8; 32], ToolchainError> {
        let own = isa_library(processor);
        let mut hash = Sha256::new();
        hash.update(version.0.as_bytes());
        for name in self.bitcode_files()? {
            let linked = name == own
                || matches!(name.as_str(), "hip.bc" | "ocml.bc" | "ockl.bc")
                || (name.starts_with("oclc_") && !name.starts_with(ISA_LIBRARY));
            if linked {
                let path = self.bitcode.join(&name);
                let bytes =
                    fs::read(&path).map_err(|source| ToolchainError::Read { path, source })?;
                hash.update(format!("\n{name} {}\n", bytes.len()));
                hash.update(&bytes);
            }
        }
        // Clang includes its HIP runtime wrapper only where it recognises an installation of HIP by this file.
        hash.update(format!(
            "\nwrapper={}",
            self.root.join(HIP_VERSION_FILE).is_file()
        ));
        for name in INFLUENTIAL_VARIABLES {
            if let Some(value) = std::env::var_os(name) {
                hash.update(format!("\n{name}={}", value.to_string_lossy()));
            }
        }
        Ok(hash.finalize().into())
    }

    /// The names of the device libraries, sorted.
    fn bitcode_files(&self) -> Result<Vec<String>, ToolchainError> {
        let read = |source| ToolchainError::Read {
            path: self.bitcode.clone(),
            source,
        };
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.bitcode).map_err(read)? {
            let name = entry.map_err(read)?.file_name();
            names.extend(
                name.to_str()
                    .filter(|name| name.ends_with(".bc"))
                    .map(str::to_owned),
            );
        }
        names.sort();
        Ok(names)
    }

    fn ask(&self, arguments: &[&str]) -> Result<Output, ToolchainError> {
        let output = duct::cmd(&self.clang, arguments)
            .env("LC_ALL", "C")
            .stdin_null()
            .stdout_capture()
            .stderr_capture()
            .unchecked()
            .run()
            .map_err(|e| self.tool_error(e.to_string()))?;
        if output.status.success() {
            Ok(output)
        } else {
            Err(self.tool_error(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
        }
    }

    fn tool_error(&self, message: String) -> ToolchainError {
        ToolchainError::Tool {
            program: self.clang.clone(),
            message,
        }
    }
}
