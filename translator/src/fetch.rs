//! Brings the CUDA sources: candle-kernels from crates.io, by cargo, checked, unpacked into the work dir.
//!
//! The version comes from [`crate::pin`] unless one is named; any other published version gets a manifest of its own in
//! the work dir, and keeps the checksum that cargo first saw. What is unpacked
//! is the package file whose SHA-256 the lock states, so a changed registry folder can't slip in.
//!
//! Once fetched, nothing here needs a network.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Read as _};
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::files::write_changed;
use crate::pin::{self, Pin};
use crate::workdir::WorkDir;

/// The package that is fetched.
pub const PACKAGE: &str = "candle-kernels";

const STAMP: &str = ".hipify-fetch.json";
/// The platform whose dependencies cargo is asked for; others' would only cost downloads.
const PLATFORM: &str = env!("HIPIFY_PLATFORM");

/// The sources can't be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// cargo isn't there.
    #[error("cannot run cargo ({program}): {source}")]
    NoCargo {
        /// What was run.
        program: String,
        /// Why it failed.
        source: io::Error,
    },
    /// cargo could not reach the registry.
    #[error(
        "candle-kernels {version} is not on this machine, and cargo cannot reach the registry:\n{detail}"
    )]
    Network {
        /// The version asked for.
        version: String,
        /// cargo's words.
        detail: String,
    },
    /// There is no such version.
    #[error("candle-kernels {version} is not published:\n{detail}")]
    NoSuchVersion {
        /// The version asked for.
        version: String,
        /// cargo's words.
        detail: String,
    },
    /// The version isn't one.
    #[error("`{0}` is not a version such as 0.11.1")]
    BadVersion(String),
    /// Manifest and lock of the pin are of different versions.
    #[error("{folder}: Cargo.toml pins candle-kernels {version}, but Cargo.lock has {locked}")]
    Torn {
        /// The folder of both.
        folder: PathBuf,
        /// The manifest's version.
        version: String,
        /// The lock's version.
        locked: String,
    },
    /// cargo failed otherwise.
    #[error("cargo {command} failed:\n{detail}")]
    Cargo {
        /// The subcommand.
        command: String,
        /// cargo's words.
        detail: String,
    },
    /// A file's bytes aren't those that the lock or the stamp states.
    #[error("{path} is not what it should be: SHA-256 {found}, expected {expected}")]
    Checksum {
        /// The file.
        path: PathBuf,
        /// What it is.
        found: String,
        /// What it should be.
        expected: String,
    },
    /// The package file is neither in cargo's cache nor vendored with checksums.
    #[error(
        "cargo has {folder} unpacked but not the package file {package}, so it can't be checked"
    )]
    Unverifiable {
        /// Where cargo unpacked it.
        folder: PathBuf,
        /// The package file that is missing.
        package: PathBuf,
    },
    /// The package file or cargo's answer isn't of the expected form.
    #[error("{path}: {message}")]
    Malformed {
        /// What was read.
        path: String,
        /// What is wrong.
        message: String,
    },
    /// A file or folder can't be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl FetchError {
    /// What the user can do about it.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        Some(match self {
            FetchError::NoCargo { .. } => {
                "install Rust (https://rustup.rs) or set CARGO to its cargo".to_owned()
            }
            FetchError::Network { version, .. } => format!(
                "connect once and run `hipify-candle fetch --version {version}`; or copy target/kernels-cuda/ or \
                 ~/.cargo/registry from a machine that has it"
            ),
            FetchError::NoSuchVersion { .. } => {
                "see https://crates.io/crates/candle-kernels/versions".to_owned()
            }
            FetchError::Checksum { path, .. } => {
                format!(
                    "delete {} and fetch again; edited copies belong elsewhere",
                    path.display()
                )
            }
            FetchError::Unverifiable { folder, .. } => {
                format!(
                    "delete {}, so that cargo downloads it again",
                    folder.display()
                )
            }
            FetchError::Torn { version, .. } => format!(
                "a move between versions was interrupted; `hipify-candle upgrade {version}` ends it, as does any other \
                 version"
            ),
            FetchError::BadVersion(_) => {
                "see https://crates.io/crates/candle-kernels/versions".to_owned()
            }
            _ => return None,
        })
    }

    /// What a failed access to `path` becomes.
    pub(crate) fn io(path: &Path) -> impl Fn(io::Error) -> FetchError + '_ {
        move |source| FetchError::Io {
            path: path.to_owned(),
            source,
        }
    }
}

/// CUDA sources on this machine.
#[derive(Debug, Clone, Serialize)]
pub struct Fetched {
    /// The version of candle-kernels.
    pub version: String,
    /// The unpacked package.
    pub dir: PathBuf,
    /// SHA-256 of the package file, in hex.
    pub checksum: String,
    /// How many files it has.
    pub files: usize,
    /// Whether it had been there already.
    pub present: bool,
}

impl Fetched {
    fn new(version: &str, dir: PathBuf, stamp: Stamp) -> Self {
        Fetched {
            version: version.to_owned(),
            dir,
            checksum: stamp.checksum,
            files: stamp.files.len(),
            present: true,
        }
    }

    /// The folder with the CUDA files.
    #[must_use]
    pub fn src(&self) -> PathBuf {
        self.dir.join("src")
    }
}

/// Written beside the unpacked files, last.
#[derive(Debug, Serialize, Deserialize)]
struct Stamp {
    version: String,
    checksum: String,
    files: BTreeMap<String, String>,
}

/// Sources that have been fetched before, without looking at their bytes.
#[must_use]
pub fn locate(work: &WorkDir, version: &str) -> Option<Fetched> {
    let dir = work.cuda(version);
    let stamp = read_stamp(&dir)?;
    Some(Fetched::new(version, dir, stamp))
}

/// [`locate`], or [`ensure`] if they are not there yet.
///
/// # Errors
/// [`FetchError`].
pub fn located(work: &WorkDir, version: Option<&str>) -> Result<Fetched, FetchError> {
    let found = match version {
        Some(version) => locate(work, check(version)?),
        None => locate(work, Pin::of(work)?.checked()?.version()),
    };
    found.map_or_else(|| ensure(work, version), Ok)
}

/// Makes sure that a version (the pinned one by default) is in the work dir and unchanged.
///
/// # Errors
/// [`FetchError`]; what was in the work dir before is still there.
pub fn ensure(work: &WorkDir, version: Option<&str>) -> Result<Fetched, FetchError> {
    let pin = Pin::of(work)?;
    let pin = match version {
        Some(version) => check(version).map(|_| pin)?,
        None => pin.checked()?,
    };
    let version = version.unwrap_or(pin.version());
    let dir = work.cuda(version);
    if let Some(stamp) = read_stamp(&dir) {
        verify(&dir, &stamp)?;
        return Ok(Fetched::new(version, dir, stamp));
    }
    let package = locked_package(work, &pin, version)?;
    cargo_fetch(&package, version, true)?;
    let (folder, checksum) = locate_in_registry(&package, version)?;
    let contents = package_contents(&folder, version, &checksum)?;
    let stamp = unpack(&dir, version, &checksum, contents)?;
    Ok(Fetched {
        present: false,
        ..Fetched::new(version, dir, stamp)
    })
}

/// The version, if it is spelled as one; it becomes a part of paths and of a manifest.
fn check(version: &str) -> Result<&str, FetchError> {
    let parsed = version.parse::<crate::fixes::Version>();
    let fine = parsed.is_ok_and(|parsed| {
        let core = parsed.to_string();
        let rest = version.strip_prefix(&core);
        rest.is_some_and(|rest| rest.is_empty() || rest.len() > 1 && rest.starts_with('-'))
    });
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-.".contains(&b);
    if fine && version.bytes().all(plain) {
        Ok(version)
    } else {
        Err(FetchError::BadVersion(version.to_owned()))
    }
}

fn read_stamp(dir: &Path) -> Option<Stamp> {
    serde_json::from_slice(&fs::read(dir.join(STAMP)).ok()?).ok()
}

fn verify(dir: &Path, stamp: &Stamp) -> Result<(), FetchError> {
    for (name, expected) in &stamp.files {
        let path = dir.join(name);
        let bytes = fs::read(&path).map_err(FetchError::io(&path))?;
        let found = sha256(&bytes);
        if found != *expected {
            return Err(FetchError::Checksum {
                path,
                found,
                expected: expected.clone(),
            });
        }
    }
    Ok(())
}

/// A package of nothing that depends on the version wanted, with a lock. The lock of a version other than the pinned one
/// is made by cargo at the first fetch, starting from the pinned one's, and kept.
fn locked_package(work: &WorkDir, pin: &Pin, version: &str) -> Result<PathBuf, FetchError> {
    let dir = pin::kept(work, version);
    let path = dir.join("Cargo.lock");
    if let Some(lock) = pin.lock_for(version) {
        write_package(&dir, pin, version)?;
        write(&path, lock)?;
        return Ok(dir);
    }
    let kept = fs::read_to_string(&path).ok();
    if kept.is_some_and(|lock| pin::checksum(&lock, version).is_some()) {
        write_package(&dir, pin, version)?;
        return Ok(dir);
    }
    // cargo may be interrupted, and must not leave half a lock where the next fetch would believe it.
    let parent = dir.parent().unwrap_or(&dir);
    fs::create_dir_all(parent).map_err(FetchError::io(parent))?;
    let staging = tempfile::Builder::new()
        .prefix(".pin-")
        .tempdir_in(parent)
        .map_err(FetchError::io(parent))?;
    write_package(staging.path(), pin, version)?;
    let staged = staging.path().join("Cargo.lock");
    write(&staged, pin.lock())?;
    cargo_fetch(staging.path(), version, false)?;
    let lock = fs::read_to_string(&staged).map_err(FetchError::io(&staged))?;
    write_package(&dir, pin, version)?;
    write(&path, &lock)?;
    Ok(dir)
}

fn write_package(dir: &Path, pin: &Pin, version: &str) -> Result<(), FetchError> {
    let src = dir.join("src");
    fs::create_dir_all(&src).map_err(FetchError::io(&src))?;
    write(&dir.join("Cargo.toml"), &pin.manifest_for(version))?;
    write(&src.join("lib.rs"), "")
}

fn write(path: &Path, text: &str) -> Result<(), FetchError> {
    write_changed(path, text.as_bytes()).map_err(FetchError::io(path))?;
    Ok(())
}

/// cargo's lock for a version that was fetched, for the pin to move there.
///
/// # Errors
/// [`FetchError`] if there is none and cargo can't make one, or if it is of another package than what was fetched.
pub fn lock_of(work: &WorkDir, pin: &Pin, fetched: &Fetched) -> Result<String, FetchError> {
    let path = locked_package(work, pin, &fetched.version)?.join("Cargo.lock");
    let lock = fs::read_to_string(&path).map_err(FetchError::io(&path))?;
    match pin::checksum(&lock, &fetched.version) {
        Some(expected) if expected != fetched.checksum => Err(FetchError::Checksum {
            path: fetched.dir.clone(),
            found: fetched.checksum.clone(),
            expected,
        }),
        _ => Ok(lock),
    }
}

fn cargo(pin: &Path, arguments: &[&str]) -> Result<Output, FetchError> {
    let program = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(&program);
    command
        .args(arguments)
        .arg("--manifest-path")
        .arg(pin.join("Cargo.toml"));
    command.output().map_err(|source| FetchError::NoCargo {
        program: program.to_string_lossy().into_owned(),
        source,
    })
}

fn cargo_fetch(pin: &Path, version: &str, locked: bool) -> Result<(), FetchError> {
    let mut arguments = vec!["fetch", "--quiet", "--target", PLATFORM];
    if locked {
        arguments.push("--locked");
    }
    let output = cargo(pin, &arguments)?;
    if output.status.success() {
        return Ok(());
    }
    let detail = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let says = |words: &[&str]| words.iter().any(|w| detail.to_lowercase().contains(w));
    let version = version.to_owned();
    Err(
        if !says(&["offline mode"]) && says(&["candidate versions found", "no matching package"]) {
            FetchError::NoSuchVersion { version, detail }
        } else if says(&[
            "download",
            "network",
            "resolve host",
            "connect",
            "offline",
            "timed out",
            "unable to update",
        ]) {
            FetchError::Network { version, detail }
        } else {
            FetchError::Cargo {
                command: "fetch".to_owned(),
                detail,
            }
        },
    )
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<MetadataPackage>,
}

#[derive(Deserialize)]
struct MetadataPackage {
    name: String,
    version: String,
    manifest_path: PathBuf,
}

/// Where cargo unpacked the package, and its checksum as the lock states it.
fn locate_in_registry(pin: &Path, version: &str) -> Result<(PathBuf, String), FetchError> {
    let arguments = [
        "metadata",
        "--format-version",
        "1",
        "--locked",
        "--offline",
        "--filter-platform",
        PLATFORM,
    ];
    let output = cargo(pin, &arguments)?;
    if !output.status.success() {
        let detail = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(FetchError::Cargo {
            command: "metadata".to_owned(),
            detail,
        });
    }
    let malformed = |path: &str, message: String| FetchError::Malformed {
        path: path.to_owned(),
        message,
    };
    let metadata: Metadata = serde_json::from_slice(&output.stdout)
        .map_err(|e| malformed("the answer of cargo metadata", e.to_string()))?;
    let package = metadata
        .packages
        .into_iter()
        .find(|p| p.name == PACKAGE && p.version == version);
    let folder = package.and_then(|p| p.manifest_path.parent().map(Path::to_owned));
    let folder = folder.ok_or_else(|| {
        malformed(
            "the answer of cargo metadata",
            format!("it has no {PACKAGE} {version}"),
        )
    })?;

    let path = pin.join("Cargo.lock");
    let lock = fs::read_to_string(&path).map_err(FetchError::io(&path))?;
    let checksum = pin::checksum(&lock, version).ok_or_else(|| {
        malformed(
            &path.display().to_string(),
            format!("no checksum for {PACKAGE} {version}"),
        )
    })?;
    Ok((folder, checksum))
}

/// Files of the package by path, from bytes that were checked.
fn package_contents(
    folder: &Path,
    version: &str,
    checksum: &str,
) -> Result<BTreeMap<String, Vec<u8>>, FetchError> {
    // .../registry/src/INDEX/candle-kernels-0.11.1 was unpacked from .../registry/cache/INDEX/candle-kernels-0.11.1.crate
    let file = format!("{PACKAGE}-{version}.crate");
    let package = folder.parent().and_then(|index| {
        let registry = index.parent()?.parent()?;
        Some(registry.join("cache").join(index.file_name()?).join(&file))
    });
    let package = package.unwrap_or_else(|| PathBuf::from(&file));
    if package.is_file() {
        return read_package(&package, version, checksum);
    }
    if folder.join(".cargo-checksum.json").is_file() {
        return read_vendored(folder, checksum);
    }
    Err(FetchError::Unverifiable {
        folder: folder.to_owned(),
        package,
    })
}

fn read_package(
    path: &Path,
    version: &str,
    checksum: &str,
) -> Result<BTreeMap<String, Vec<u8>>, FetchError> {
    let bytes = fs::read(path).map_err(FetchError::io(path))?;
    let found = sha256(&bytes);
    if found != checksum {
        return Err(FetchError::Checksum {
            path: path.to_owned(),
            found,
            expected: checksum.to_owned(),
        });
    }
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(&bytes[..]));
    let mut contents = BTreeMap::new();
    for entry in archive.entries().map_err(FetchError::io(path))? {
        let mut entry = entry.map_err(FetchError::io(path))?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let name = entry.path().map_err(FetchError::io(path))?.into_owned();
        let inner = name.strip_prefix(format!("{PACKAGE}-{version}")).ok();
        let parts: Option<Vec<&str>> = inner.and_then(|inner| {
            let plain = |part| {
                if let Component::Normal(part) = part {
                    part.to_str()
                } else {
                    None
                }
            };
            inner.components().map(plain).collect()
        });
        let Some(parts) = parts else {
            let message = format!(
                "it holds the file {}, which is outside of the package",
                name.display()
            );
            return Err(FetchError::Malformed {
                path: path.display().to_string(),
                message,
            });
        };
        let mut file = Vec::new();
        entry.read_to_end(&mut file).map_err(FetchError::io(path))?;
        contents.insert(parts.join("/"), file);
    }
    Ok(contents)
}

#[derive(Deserialize)]
struct VendorChecksums {
    package: Option<String>,
    files: BTreeMap<String, String>,
}

/// `cargo vendor` keeps no package file, but the checksums of the package and of each file.
fn read_vendored(folder: &Path, checksum: &str) -> Result<BTreeMap<String, Vec<u8>>, FetchError> {
    let path = folder.join(".cargo-checksum.json");
    let malformed = |message: String| FetchError::Malformed {
        path: path.display().to_string(),
        message,
    };
    let bytes = fs::read(&path).map_err(FetchError::io(&path))?;
    let sums: VendorChecksums =
        serde_json::from_slice(&bytes).map_err(|e| malformed(e.to_string()))?;
    if sums.package.as_deref() != Some(checksum) {
        let found = sums.package.unwrap_or_else(|| "none".to_owned());
        return Err(FetchError::Checksum {
            path,
            found,
            expected: checksum.to_owned(),
        });
    }
    let mut contents = BTreeMap::new();
    for (name, expected) in sums.files {
        let file = folder.join(&name);
        if !Path::new(&name)
            .components()
            .all(|part| matches!(part, Component::Normal(_)))
        {
            return Err(malformed(format!(
                "it names {name}, which is outside of the package"
            )));
        }
        let bytes = fs::read(&file).map_err(FetchError::io(&file))?;
        let found = sha256(&bytes);
        if found != expected {
            return Err(FetchError::Checksum {
                path: file,
                found,
                expected,
            });
        }
        contents.insert(name, bytes);
    }
    Ok(contents)
}

/// Writes the files beside their final place and moves them there at once.
fn unpack(
    dir: &Path,
    version: &str,
    checksum: &str,
    contents: BTreeMap<String, Vec<u8>>,
) -> Result<Stamp, FetchError> {
    let parent = dir.parent().unwrap_or(dir);
    fs::create_dir_all(parent).map_err(FetchError::io(parent))?;
    let staging = tempfile::Builder::new()
        .prefix(".unpack-")
        .tempdir_in(parent)
        .map_err(FetchError::io(parent))?;
    let mut files = BTreeMap::new();
    for (name, bytes) in contents {
        let path = staging.path().join(&name);
        let folder = path.parent().unwrap_or(parent);
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(&path, &bytes))
            .map_err(FetchError::io(&path))?;
        files.insert(name, sha256(&bytes));
    }
    let stamp = Stamp {
        version: version.to_owned(),
        checksum: checksum.to_owned(),
        files,
    };
    let path = staging.path().join(STAMP);
    let text = serde_json::to_vec_pretty(&stamp)
        .map_err(io::Error::from)
        .map_err(FetchError::io(&path))?;
    fs::write(&path, text).map_err(FetchError::io(&path))?;
    let staged = staging.keep();
    let moved = fs::rename(&staged, dir).or_else(|error| {
        // Another process may have been faster; what it put there is as good.
        if read_stamp(dir).is_some_and(|s| s.checksum == checksum) {
            Ok(())
        } else {
            Err(error)
        }
    });
    if fs::exists(&staged).unwrap_or(false) {
        // Best effort: a leftover staging folder is harmless.
        let _ = fs::remove_dir_all(&staged);
    }
    moved.map_err(FetchError::io(dir))?;
    Ok(stamp)
}

fn sha256(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::{FetchError, ensure};
    use crate::workdir::WorkDir;

    #[test]
    fn a_version_must_look_like_one() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        for bad in [
            "",
            "latest",
            "0.11",
            "../0.11.1",
            "0.11.1\"",
            "00.11.1",
            "0.11.1-",
            "0.11.1+a",
            "*",
        ] {
            let error = ensure(&WorkDir::at(dir.path()), Some(bad)).expect_err(bad);
            assert!(matches!(error, FetchError::BadVersion(_)), "{bad}: {error}");
        }
        assert_eq!(
            std::fs::read_dir(dir.path()).expect("still there").count(),
            0
        );
    }
}
