//! Brings what is missing to a machine: system packages, and the project's own ROCm-shaped prefix.
//!
//! A ROCm that is already there (see [`rocm_toolchain`]) is used as it is. What `config/toolchain.toml`
//! lists is the whole of what is ever installed.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::{env, io};

use rocm_toolchain::{Origin, PREFIX_VARIABLE, Search, Toolchain, ToolchainError};
use serde::{Deserialize, Serialize};

mod archive;
mod prefix;
mod sources;
mod system;

/// What the machine is set up for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// `cargo xtask run`.
    Run,
    /// `cargo xtask test`.
    Test,
}

/// The set-up cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// `config/toolchain.toml` is unusable.
    #[error("config/toolchain.toml: {0}")]
    Config(String),
    /// The packages are for another kind of machine.
    #[error("the set-up knows Debian 12 and 13 on amd64, this machine is {found}")]
    Platform {
        /// What it is.
        found: String,
    },
    /// The ROCm that the environment names is incomplete.
    #[error(transparent)]
    Toolchain(#[from] ToolchainError),
    /// Packages have to be installed, and this user may not.
    #[error("installing {packages} needs root, and there is no sudo")]
    Root {
        /// Names, separated by spaces.
        packages: String,
    },
    /// A command failed.
    #[error("{what} failed:\n{output}")]
    Command {
        /// What it was to do.
        what: String,
        /// The last lines that it printed.
        output: String,
    },
    /// The machine's apt sources name no Debian mirror.
    #[error("the apt sources of this machine name no Debian mirror for {suite}")]
    Mirror {
        /// The release that is needed.
        suite: String,
    },
    /// The archive has neither the pinned version nor a later revision.
    #[error("the archive has no {name} {series}* in {suite}; it has {found}")]
    Version {
        /// The package.
        name: String,
        /// What the version has to start with.
        series: String,
        /// The release.
        suite: String,
        /// The versions there are.
        found: String,
    },
    /// A package isn't the pinned one.
    #[error("{path} has SHA-256 {found}, pinned is {expected}")]
    Checksum {
        /// The file.
        path: PathBuf,
        /// Its digest.
        found: String,
        /// The digest in `config/toolchain.toml`.
        expected: String,
    },
    /// A file can't be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl SetupError {
    /// What the user can do.
    pub fn help(&self) -> Option<String> {
        match self {
            SetupError::Platform { .. } => Some(
                "install ROCm 5.7 or later (hipcc, device libraries, headers) and set ROCM_PATH; the emulator needs \
                 LLVM's shared library, version 19 or later"
                    .to_owned(),
            ),
            SetupError::Toolchain(error) => Some(error.help()),
            SetupError::Root { packages } => {
                Some(format!("as root: apt-get update && apt-get install --no-install-recommends {packages}"))
            }
            SetupError::Command { .. } | SetupError::Version { .. } => Some(format!(
                "is the Debian mirror reachable? {MIRROR_VARIABLE} names another one; packages that were fetched \
                 elsewhere can be put into {}",
                archive::package_cache().display()
            )),
            SetupError::Mirror { .. } => Some(format!("set {MIRROR_VARIABLE} to the address of a Debian mirror")),
            SetupError::Checksum { .. } | SetupError::Config(_) | SetupError::Io { .. } => None,
        }
    }
}

/// Names a Debian mirror to use instead of the one in the machine's own apt sources.
pub const MIRROR_VARIABLE: &str = "HIPIFY_DEBIAN_MIRROR";

pub(crate) fn io_error(path: &Path) -> impl FnOnce(io::Error) -> SetupError + '_ {
    move |source| SetupError::Io {
        path: path.to_owned(),
        source,
    }
}

/// `config/toolchain.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Plan {
    system: Vec<SystemPackage>,
    unpack: Vec<UnpackedPackage>,
    llvm: Llvm,
    isa_version: BTreeMap<String, u32>,
    abi_version: BTreeMap<String, u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Need {
    Hipcc,
    Emulator,
    Tests,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct SystemPackage {
    name: String,
    #[serde(rename = "for")]
    need: Need,
    why: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct UnpackedPackage {
    name: String,
    #[serde(rename = "for")]
    need: Need,
    suite: String,
    version: String,
    series: String,
    sha256: String,
    why: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Llvm {
    root: PathBuf,
}

impl Plan {
    fn load() -> Result<Self, SetupError> {
        let text = include_str!("../../config/toolchain.toml");
        toml::from_str(text).map_err(|e| SetupError::Config(e.to_string()))
    }

    fn unpacked(&self, need: Need) -> Vec<&UnpackedPackage> {
        self.unpack
            .iter()
            .filter(|package| package.need == need)
            .collect()
    }
}

/// The root of the checkout that this program was built from.
pub fn checkout() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_owned()
}

/// Installs what is missing for `purpose` and says what, from where and why. Returns the toolchain.
///
/// # Errors
/// [`SetupError`]; what was installed before the error stays, and a second call goes on from there.
pub fn set_up(purpose: Purpose) -> Result<Toolchain, SetupError> {
    let plan = Plan::load()?;
    let mut search = Search::from_env();
    let found = search.installed().transpose()?;

    let work = checkout().join("target/setup");
    fs::create_dir_all(&work).map_err(io_error(&work))?;
    let lock_path = work.join("lock");
    let lock = File::create(&lock_path).map_err(io_error(&lock_path))?;
    lock.lock().map_err(io_error(&lock_path))?;

    let needed = |need: Need| match need {
        Need::Hipcc => found.is_none(),
        Need::Emulator => true,
        Need::Tests => purpose == Purpose::Test,
    };
    let mut changed = false;
    let system: Vec<_> = plan
        .system
        .iter()
        .filter(|package| needed(package.need))
        .collect();
    let platform = system::platform();
    match (&platform, &found) {
        (Ok(_), _) => changed |= system::install(&system, &work)?,
        // With a ROCm of its own any system will do; what else it needs can only be said.
        (Err(other), Some(_)) => {
            eprintln!("set-up: not Debian on amd64 ({other}); not installed, needed if missing:");
            for package in system {
                eprintln!("  {} ({})", package.name, package.why);
            }
        }
        (Err(other), None) => {
            return Err(SetupError::Platform {
                found: other.clone(),
            });
        }
    }

    let own = search
        .prefix
        .clone()
        .unwrap_or_else(|| checkout().join("target/rocm"));
    if let (Ok(release), None) = (&platform, &found) {
        changed |= prefix::complete_rocm(&plan, release, &own, &work)?;
    }
    if let (Ok(release), Purpose::Test) = (&platform, purpose) {
        changed |= prefix::complete_newer_headers(&plan, release, &own, &work)?;
    }

    let toolchain = match found {
        Some(toolchain) => toolchain,
        None => {
            search.prefix = Some(own);
            let mut toolchain = search.toolchain()?;
            toolchain.origin = Origin::Prefix(env::var_os(PREFIX_VARIABLE).is_some());
            toolchain
        }
    };
    println!(
        "set-up: {}; HIP {}, {}, at {} ({})",
        if changed { "done" } else { "nothing to do" },
        toolchain.hip,
        toolchain.compiler_version()?,
        relative(&toolchain.root).display(),
        toolchain.origin
    );
    Ok(toolchain)
}

/// `path` below the checkout if it is there, as people name it.
pub(crate) fn relative(path: &Path) -> PathBuf {
    path.strip_prefix(checkout()).unwrap_or(path).to_owned()
}
