//! Where the parts of a ROCm installation lie: AMD's own layout first, then those of distributions.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub(super) const VERSION_HEADER: &str = "hip/hip_version.h";

/// A part of a toolchain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The compiler driver.
    Hipcc,
    /// The compiler.
    Clang,
    /// Bitcode that every kernel is linked with.
    DeviceLibraries,
    /// HIP's headers.
    Headers,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::Hipcc => "hipcc",
            Part::Clang => "clang",
            Part::DeviceLibraries => "device libraries (ocml.bc)",
            Part::Headers => "HIP headers (hip/hip_version.h)",
        })
    }
}

/// `HIP_VERSION` of a set of headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HipVersion {
    /// First number.
    pub major: u32,
    /// Second number.
    pub minor: u32,
    /// The number that AMD counts builds with, such as 31921.
    pub patch: u32,
}

impl HipVersion {
    /// Reads the definitions in `hip_version.h`.
    #[must_use]
    pub fn from_header(text: &str) -> Option<Self> {
        let number = |name: &str| {
            text.lines().find_map(|line| {
                let rest = line.trim_start().strip_prefix("#define")?;
                let mut words = rest.split_whitespace();
                (words.next()? == name).then(|| words.next()?.parse().ok())?
            })
        };
        Some(HipVersion {
            major: number("HIP_VERSION_MAJOR")?,
            minor: number("HIP_VERSION_MINOR")?,
            patch: number("HIP_VERSION_PATCH")?,
        })
    }
}

impl fmt::Display for HipVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

pub(super) fn hipcc(root: &Path) -> Option<PathBuf> {
    Some(root.join("bin/hipcc")).filter(|path| path.is_file())
}

/// The first of `folders` that has `file` in it, or all that were tried.
fn first(folders: Vec<PathBuf>, file: &str) -> Result<PathBuf, Vec<PathBuf>> {
    match folders.iter().find(|dir| dir.join(file).is_file()) {
        Some(dir) => Ok(dir.clone()),
        None => Err(folders.iter().map(|dir| dir.join(file)).collect()),
    }
}

/// Entries of `dir` whose name starts with `prefix`, the highest number after it first.
fn numbered(dir: &Path, prefix: &str) -> Vec<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let name = entry.file_name();
            let number = name
                .to_str()?
                .strip_prefix(prefix)?
                .split('.')
                .next()?
                .parse()
                .ok()?;
            Some((number, entry.path()))
        })
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, path)| path).collect()
}

pub(super) fn clang(root: &Path, explicit: Option<&Path>) -> Result<PathBuf, Vec<PathBuf>> {
    let folders = match explicit {
        Some(dir) => vec![dir.to_owned()],
        None => {
            // HIP_PATH may name the folder `hip` inside an old ROCm.
            let mut folders = vec![
                root.join("llvm/bin"),
                root.join("lib/llvm/bin"),
                root.join("../llvm/bin"),
            ];
            // A distribution's hipcc in /usr/bin drives the LLVM that the distribution built ROCm with.
            folders.extend(
                numbered(&root.join("lib"), "llvm-")
                    .into_iter()
                    .map(|dir| dir.join("bin")),
            );
            folders
        }
    };
    first(folders, "clang").map(|dir| dir.join("clang"))
}

pub(super) fn bitcode(
    root: &Path,
    explicit: Option<&Path>,
    clang_dir: Option<&Path>,
) -> Result<PathBuf, Vec<PathBuf>> {
    let folders = match explicit {
        Some(dir) => vec![dir.to_owned()],
        None => {
            let mut folders = vec![
                root.join("amdgcn/bitcode"),
                root.join("lib/amdgcn/bitcode"),
                root.join("../amdgcn/bitcode"),
            ];
            let resources = clang_dir
                .and_then(Path::parent)
                .map(|llvm| numbered(&llvm.join("lib/clang"), ""));
            for dir in resources.into_iter().flatten() {
                folders.push(dir.join("amdgcn/bitcode"));
                folders.push(dir.join("lib/amdgcn/bitcode"));
            }
            folders
        }
    };
    first(folders, "ocml.bc")
}

pub(super) fn include(root: &Path) -> Result<PathBuf, Vec<PathBuf>> {
    first(vec![root.join("include")], VERSION_HEADER)
}
