//! Finds the ROCm toolchain: hipcc, the clang behind it, device libraries and HIP's headers.
//!
//! Knows where an installation keeps its parts, which of several installations wins, and what its compiler can build.
//! It installs nothing (that is `cargo xtask setup`) and must not know modules, kernels or code objects. A crate of its
//! own because the set-up needs it before anything else is compiled.
//!
//! The order is `ROCM_PATH`, `HIP_PATH`, `/opt/rocm`, `hipcc` on `PATH`, then the prefix that the project's set-up
//! makes: `HIPIFY_ROCM_PREFIX`, or the nearest `target/rocm` upward of the current directory. A variable that is set
//! and leads to no toolchain is an error, so that nobody builds with another compiler than the one they named.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{env, fmt, fs, io};

mod compiler;
mod layout;

pub use compiler::{CompilerVersion, ProcessorNames};
pub use layout::{HipVersion, Part};

/// The variable that names the project's own prefix.
pub const PREFIX_VARIABLE: &str = "HIPIFY_ROCM_PREFIX";

/// The command that installs what is missing.
pub const SETUP_COMMAND: &str = "cargo xtask setup";

/// Variables that hipcc or clang read and that change what they make. They are part of every cache key.
pub const INFLUENTIAL_VARIABLES: &[&str] = &[
    "CPATH",
    "C_INCLUDE_PATH",
    "CPLUS_INCLUDE_PATH",
    "HIPCC_COMPILE_FLAGS_APPEND",
];

/// No usable toolchain.
#[derive(Debug, thiserror::Error)]
pub enum ToolchainError {
    /// None of the places has one.
    #[error("no ROCm toolchain found; looked at\n{}", list(looked))]
    NotFound {
        /// Each place with what was found there.
        looked: Vec<String>,
    },
    /// A place that was named, or the first that has hipcc, lacks a part.
    #[error(
        "the ROCm toolchain at {root} ({origin}) is incomplete; missing\n{}",
        list(missing)
    )]
    Incomplete {
        /// The installation.
        root: PathBuf,
        /// Why it was chosen.
        origin: Origin,
        /// Each part with the paths that were tried.
        missing: Vec<String>,
    },
    /// A tool could not be run, or said something that makes no sense.
    #[error("cannot run {program}: {message}")]
    Tool {
        /// The program.
        program: PathBuf,
        /// What happened.
        message: String,
    },
    /// A file of the installation can't be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl ToolchainError {
    /// What a user can do about it.
    #[must_use]
    pub fn help(&self) -> String {
        match self {
            ToolchainError::NotFound { .. } => {
                format!("run `{SETUP_COMMAND}` in a checkout, or install ROCm and set ROCM_PATH")
            }
            ToolchainError::Incomplete {
                origin: Origin::Prefix(_),
                ..
            } => {
                format!("run `{SETUP_COMMAND}`, it completes the prefix")
            }
            ToolchainError::Incomplete { origin, .. } => {
                format!(
                    "install the missing part there, or {}",
                    origin.ways_around()
                )
            }
            ToolchainError::Tool { .. } | ToolchainError::Read { .. } => {
                "`hipify-candle doctor` shows what was found and where".to_owned()
            }
        }
    }
}

fn list(lines: &[String]) -> String {
    lines
        .iter()
        .map(|line| format!("  {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Why an installation was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// `ROCM_PATH` names it.
    RocmPath,
    /// `HIP_PATH` names it.
    HipPath,
    /// The customary place.
    OptRocm,
    /// `hipcc` is on `PATH`.
    Path,
    /// The project's own prefix; by variable if true, otherwise `target/rocm`.
    Prefix(bool),
}

impl Origin {
    fn ways_around(&self) -> &'static str {
        match self {
            Origin::RocmPath => "unset ROCM_PATH to look elsewhere",
            Origin::HipPath => "unset HIP_PATH to look elsewhere",
            Origin::OptRocm | Origin::Path | Origin::Prefix(_) => {
                "name another installation with ROCM_PATH"
            }
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Origin::RocmPath => "from ROCM_PATH",
            Origin::HipPath => "from HIP_PATH",
            Origin::OptRocm => "the customary place",
            Origin::Path => "from hipcc on PATH",
            Origin::Prefix(true) => "from HIPIFY_ROCM_PREFIX",
            Origin::Prefix(false) => "made by cargo xtask setup",
        })
    }
}

/// Everything that decides where a toolchain is looked for.
#[derive(Debug, Clone)]
pub struct Search {
    /// `ROCM_PATH`.
    pub rocm_path: Option<PathBuf>,
    /// `HIP_PATH`.
    pub hip_path: Option<PathBuf>,
    /// `HIP_CLANG_PATH`: the folder of clang, wherever hipcc is.
    pub hip_clang_path: Option<PathBuf>,
    /// `DEVICE_LIB_PATH`: the folder of the device libraries, wherever hipcc is.
    pub device_lib_path: Option<PathBuf>,
    /// The customary place, `/opt/rocm`.
    pub opt_rocm: PathBuf,
    /// `PATH`.
    pub path: Option<OsString>,
    /// `HIPIFY_ROCM_PREFIX`.
    pub prefix: Option<PathBuf>,
    /// Where the search for `target/rocm` starts upward.
    pub here: PathBuf,
}

impl Search {
    /// The search that this process's environment asks for. Empty variables count as unset.
    #[must_use]
    pub fn from_env() -> Self {
        let variable = |name| env::var_os(name).filter(|value| !value.is_empty());
        let folder = |name| variable(name).map(PathBuf::from);
        Search {
            rocm_path: folder("ROCM_PATH"),
            hip_path: folder("HIP_PATH"),
            hip_clang_path: folder("HIP_CLANG_PATH"),
            device_lib_path: folder("DEVICE_LIB_PATH"),
            opt_rocm: PathBuf::from("/opt/rocm"),
            path: variable("PATH"),
            prefix: folder(PREFIX_VARIABLE),
            here: env::current_dir().unwrap_or_default(),
        }
    }

    /// The first toolchain in the order of the module's documentation.
    ///
    /// # Errors
    /// [`ToolchainError::NotFound`] with every place, [`ToolchainError::Incomplete`] if the place that wins lacks a
    /// part.
    pub fn toolchain(&self) -> Result<Toolchain, ToolchainError> {
        let mut looked = Vec::new();
        for candidate in self.candidates(&mut looked) {
            let must_work = matches!(candidate.origin, Origin::RocmPath | Origin::HipPath);
            if must_work || layout::hipcc(&candidate.root).is_some() {
                return self.complete(candidate);
            }
            looked.push(format!(
                "{} ({}): no bin/hipcc",
                candidate.root.display(),
                candidate.origin
            ));
        }
        Err(ToolchainError::NotFound { looked })
    }

    /// Like [`Self::toolchain`], but only outside the project's own prefix: what the set-up must not replace.
    #[must_use]
    pub fn installed(&self) -> Option<Result<Toolchain, ToolchainError>> {
        let mut candidates = self.candidates(&mut Vec::new()).into_iter();
        let first = candidates.find(|c| match c.origin {
            Origin::RocmPath | Origin::HipPath => true,
            Origin::OptRocm | Origin::Path => layout::hipcc(&c.root).is_some(),
            Origin::Prefix(_) => false,
        })?;
        Some(self.complete(first))
    }

    fn candidates(&self, looked: &mut Vec<String>) -> Vec<Candidate> {
        let mut found = Vec::new();
        for (variable, value, origin) in [
            ("ROCM_PATH", &self.rocm_path, Origin::RocmPath),
            ("HIP_PATH", &self.hip_path, Origin::HipPath),
        ] {
            match value {
                Some(root) => found.push(Candidate {
                    root: root.clone(),
                    origin,
                }),
                None => looked.push(format!("{variable}: not set")),
            }
        }
        if self.opt_rocm.is_dir() {
            found.push(Candidate {
                root: self.opt_rocm.clone(),
                origin: Origin::OptRocm,
            });
        } else {
            looked.push(format!("{}: no such folder", self.opt_rocm.display()));
        }
        match self.hipcc_on_path() {
            Some(root) => found.push(Candidate {
                root,
                origin: Origin::Path,
            }),
            None => looked.push("hipcc on PATH: none".to_owned()),
        }
        match &self.prefix {
            Some(root) => found.push(Candidate {
                root: root.clone(),
                origin: Origin::Prefix(true),
            }),
            None => match self
                .here
                .ancestors()
                .map(|dir| dir.join("target/rocm"))
                .find(|dir| dir.is_dir())
            {
                Some(root) => found.push(Candidate {
                    root,
                    origin: Origin::Prefix(false),
                }),
                None => looked.push(format!(
                    "target/rocm upward of {}: none",
                    self.here.display()
                )),
            },
        }
        found
    }

    /// The installation that `hipcc` on `PATH` belongs to: links are followed, `bin` is cut off.
    fn hipcc_on_path(&self) -> Option<PathBuf> {
        let hipcc = which::which_in("hipcc", self.path.as_ref(), &self.here).ok()?;
        let hipcc = fs::canonicalize(hipcc).ok()?;
        Some(hipcc.parent()?.parent()?.to_owned())
    }

    fn complete(&self, candidate: Candidate) -> Result<Toolchain, ToolchainError> {
        let Candidate { root, origin } = candidate;
        let mut missing = Vec::new();
        let mut part = |part: Part, found: Result<PathBuf, Vec<PathBuf>>| match found {
            Ok(path) => path,
            Err(tried) => {
                let tried = tried
                    .iter()
                    .map(|p| p.display().to_string())
                    .collect::<Vec<_>>()
                    .join(", ");
                missing.push(format!("{part}: tried {tried}"));
                PathBuf::new()
            }
        };
        let hipcc = part(
            Part::Hipcc,
            layout::hipcc(&root).ok_or_else(|| vec![root.join("bin/hipcc")]),
        );
        let clang = part(
            Part::Clang,
            layout::clang(&root, self.hip_clang_path.as_deref()),
        );
        let bitcode = part(
            Part::DeviceLibraries,
            layout::bitcode(&root, self.device_lib_path.as_deref(), clang.parent()),
        );
        let include = part(Part::Headers, layout::include(&root));
        if !missing.is_empty() {
            return Err(ToolchainError::Incomplete {
                root,
                origin,
                missing,
            });
        }
        let version_header = include.join(layout::VERSION_HEADER);
        let text = fs::read_to_string(&version_header).map_err(|source| ToolchainError::Read {
            path: version_header.clone(),
            source,
        })?;
        let Some(hip) = HipVersion::from_header(&text) else {
            let missing = vec![format!(
                "HIP_VERSION_MAJOR, _MINOR and _PATCH in {}",
                version_header.display()
            )];
            return Err(ToolchainError::Incomplete {
                root,
                origin,
                missing,
            });
        };
        Ok(Toolchain {
            root,
            origin,
            hipcc,
            clang,
            bitcode,
            include,
            hip,
        })
    }
}

struct Candidate {
    root: PathBuf,
    origin: Origin,
}

/// A complete ROCm toolchain.
#[derive(Debug, Clone)]
pub struct Toolchain {
    /// The installation.
    pub root: PathBuf,
    /// Why this one.
    pub origin: Origin,
    /// The compiler driver.
    pub hipcc: PathBuf,
    /// The clang that hipcc runs.
    pub clang: PathBuf,
    /// The folder with `ocml.bc`, `ockl.bc`, `oclc_*.bc`.
    pub bitcode: PathBuf,
    /// The folder with `hip/hip_runtime.h`.
    pub include: PathBuf,
    /// Version of HIP's headers.
    pub hip: HipVersion,
}

impl Toolchain {
    /// The toolchain that this process's environment selects.
    ///
    /// # Errors
    /// As [`Search::toolchain`].
    pub fn find() -> Result<Self, ToolchainError> {
        Search::from_env().toolchain()
    }

    /// A program that lies beside clang, such as `clang-offload-bundler`; `None` if it isn't there.
    #[must_use]
    pub fn llvm_tool(&self, name: &str) -> Option<PathBuf> {
        self.clang
            .parent()
            .map(|dir| dir.join(name))
            .filter(|path| path.is_file())
    }

    /// The variables that make hipcc use exactly these parts, whatever it would find by itself.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, OsString)> {
        let clang_dir = self.clang.parent().unwrap_or(Path::new("/"));
        vec![
            ("ROCM_PATH", self.root.clone().into()),
            ("HIP_PATH", self.root.clone().into()),
            ("HIP_CLANG_PATH", clang_dir.into()),
            ("DEVICE_LIB_PATH", self.bitcode.clone().into()),
            ("HIP_PLATFORM", "amd".into()),
            ("LC_ALL", "C".into()),
        ]
    }
}

#[cfg(test)]
mod tests;
