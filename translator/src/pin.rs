//! The pin: the version of candle-kernels that is meant where none is named, and cargo's lock with its checksum.
//!
//! It is `kernels-cuda/Cargo.toml` and `Cargo.lock`: the checkout's own where there is one, so that moving them needs no
//! new program, and elsewhere the copies that are compiled in. How a version is brought is the business of
//! [`crate::fetch`]; what is locked about its translation, of [`crate::lock`].

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::fetch::{FetchError, PACKAGE};
use crate::files::write_changed;
use crate::workdir::WorkDir;

const MANIFEST: &str = include_str!("../../kernels-cuda/Cargo.toml");
const LOCK: &str = include_str!("../../kernels-cuda/Cargo.lock");

/// A manifest that asks for one version of candle-kernels, and cargo's lock for it.
#[derive(Debug, Clone)]
pub struct Pin {
    manifest: String,
    lock: String,
    version: String,
    /// The folder of both files; `None` if they are compiled in.
    folder: Option<PathBuf>,
}

impl Pin {
    /// The pin of the checkout that a work dir belongs to, or the one that is compiled in. An interrupted move may have
    /// left a lock of another version: see [`Self::checked`].
    ///
    /// # Errors
    /// [`FetchError`] if the checkout's files can't be read or the manifest names no version.
    pub fn of(work: &WorkDir) -> Result<Self, FetchError> {
        let Some(checkout) = work.checkout() else {
            return Pin::new(MANIFEST.to_owned(), LOCK.to_owned(), None);
        };
        let folder = checkout.join("kernels-cuda");
        let read = |name: &str| {
            let path = folder.join(name);
            fs::read_to_string(&path).map_err(FetchError::io(&path))
        };
        Pin::new(read("Cargo.toml")?, read("Cargo.lock")?, Some(folder))
    }

    fn new(manifest: String, lock: String, folder: Option<PathBuf>) -> Result<Self, FetchError> {
        let version = manifest.lines().find_map(pinned).map(str::to_owned);
        let version = version.ok_or_else(|| FetchError::Malformed {
            path: folder.as_deref().map_or_else(
                || "kernels-cuda/Cargo.toml".to_owned(),
                |folder| folder.join("Cargo.toml").display().to_string(),
            ),
            message: format!("it has no line such as `{PACKAGE} = \"=0.11.1\"`"),
        })?;
        Ok(Pin {
            manifest,
            lock,
            version,
            folder,
        })
    }

    /// The pin, if manifest and lock agree.
    ///
    /// # Errors
    /// [`FetchError::Torn`] if they don't.
    pub fn checked(self) -> Result<Self, FetchError> {
        if self.lock_for(&self.version).is_some() {
            return Ok(self);
        }
        Err(FetchError::Torn {
            folder: self.folder.unwrap_or_else(|| "kernels-cuda".into()),
            locked: locked_version(&self.lock).unwrap_or_else(|| "no version".to_owned()),
            version: self.version,
        })
    }

    /// The version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The manifest, asking for a version.
    #[must_use]
    pub fn manifest_for(&self, version: &str) -> String {
        let Pin {
            manifest,
            version: pinned,
            ..
        } = self;
        manifest.replace(&format!("\"={pinned}\""), &format!("\"={version}\""))
    }

    /// The lock, if it is one for that version.
    #[must_use]
    pub fn lock_for(&self, version: &str) -> Option<&str> {
        checksum(&self.lock, version).map(|_| self.lock.as_str())
    }

    /// The lock, whatever it is for: what cargo starts from for another version, so that the rest stays.
    #[must_use]
    pub fn lock(&self) -> &str {
        &self.lock
    }

    /// Moves the checkout's pin: first the lock, then the manifest. Between the two, [`Self::checked`] fails. Whether
    /// something had to be written.
    ///
    /// # Errors
    /// [`FetchError::Io`] if a file can't be written.
    pub fn move_to(&self, version: &str, lock: &str) -> Result<bool, FetchError> {
        let Some(folder) = &self.folder else {
            return Ok(false);
        };
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            write_changed(&path, text.as_bytes()).map_err(FetchError::io(&path))
        };
        let locked = write("Cargo.lock", lock)?;
        Ok(write("Cargo.toml", &self.manifest_for(version))? | locked)
    }
}

/// The version of the pin that is compiled in: what a build script means, which knows no checkout.
#[must_use]
pub fn compiled_version() -> &'static str {
    MANIFEST.lines().find_map(pinned).unwrap_or_default()
}

/// The version in a line of the manifest that pins one.
fn pinned(line: &str) -> Option<&str> {
    line.strip_prefix(PACKAGE)?
        .trim()
        .strip_prefix("= \"=")?
        .strip_suffix('"')
}

#[derive(Deserialize)]
struct Lock {
    package: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    checksum: Option<String>,
}

fn entry(lock: &str) -> Option<Package> {
    let lock: Lock = toml::from_str(lock).ok()?;
    lock.package.into_iter().find(|p| p.name == PACKAGE)
}

fn locked_version(lock: &str) -> Option<String> {
    Some(entry(lock)?.version)
}

/// The checksum that a lock's text has for a version of candle-kernels.
#[must_use]
pub fn checksum(lock: &str, version: &str) -> Option<String> {
    entry(lock)
        .filter(|package| package.version == version)?
        .checksum
}

/// Where the work dir keeps what belongs to the pin of a version: cargo's package for it, and the translation's lock as
/// it was when the checkout moved away.
#[must_use]
pub fn kept(work: &WorkDir, version: &str) -> PathBuf {
    let folder = Path::new("kernels-cuda").join(format!("pin-{version}"));
    work.root().join(folder)
}

#[cfg(test)]
mod tests {
    use super::{LOCK, MANIFEST, Pin, checksum};
    use crate::fetch::FetchError;

    #[test]
    fn manifest_and_lock_agree() {
        let pin = Pin::new(MANIFEST.to_owned(), LOCK.to_owned(), None).expect("a version");
        let version = pin.version().to_owned();
        assert_eq!(checksum(LOCK, &version).map(|sum| sum.len()), Some(64));
        let moved = pin.manifest_for("9.8.7");
        let torn = Pin::new(moved, LOCK.to_owned(), None).expect("a version");
        assert_eq!(torn.version(), "9.8.7");
        let error = torn.checked().expect_err("they disagree");
        assert!(matches!(&error, FetchError::Torn { locked, .. } if *locked == version));
        pin.checked().expect("they agree");
        assert!(Pin::new(String::new(), LOCK.to_owned(), None).is_err());
    }
}
