//! Where fetched sources, translated files and built bundles lie.
//!
//! Inside the project's own checkout that is its `target/`; anywhere else `target/hipify` below the current
//! directory, or the folder given with `--work-dir`.

use std::path::{Path, PathBuf};
use std::{env, io};

use crate::cache::Digest;

/// The folder that everything generated goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkDir {
    root: PathBuf,
}

impl WorkDir {
    /// `explicit` if given, otherwise the place that belongs to the current directory. Creates nothing.
    ///
    /// # Errors
    /// If the current directory can't be told.
    pub fn find(explicit: Option<&Path>) -> io::Result<Self> {
        if let Some(root) = explicit {
            return Ok(WorkDir {
                root: root.to_owned(),
            });
        }
        let here = env::current_dir()?;
        let checkout = here.ancestors().find(|dir| is_checkout(dir));
        let root = checkout.map_or_else(
            || here.join("target").join("hipify"),
            |dir| dir.join("target"),
        );
        Ok(WorkDir { root })
    }

    /// A work dir at a known place.
    #[must_use]
    pub fn at(root: impl Into<PathBuf>) -> Self {
        WorkDir { root: root.into() }
    }

    /// The folder itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The checkout whose `target/` this is, if it is one's.
    #[must_use]
    pub fn checkout(&self) -> Option<&Path> {
        self.root.parent().filter(|dir| is_checkout(dir))
    }

    /// Where bundles go unless told otherwise.
    #[must_use]
    pub fn bundles(&self) -> PathBuf {
        self.root.join("bundles")
    }

    /// Where the CUDA sources of a version of candle-kernels lie once fetched; `src/` is below it.
    #[must_use]
    pub fn cuda(&self, version: &str) -> PathBuf {
        self.root
            .join("kernels-cuda")
            .join(format!("candle-kernels-{version}"))
    }

    /// Where translated sources go unless told otherwise.
    #[must_use]
    pub fn hip(&self) -> PathBuf {
        self.root.join("kernels-hip")
    }

    /// Where the translation of a folder goes that is not the pinned sources': each has its own.
    #[must_use]
    pub fn hip_of(&self, folder: &Path) -> PathBuf {
        let place = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        let digest = Digest::of(place.to_string_lossy().as_bytes()).to_string();
        self.root.join("kernels-hip-other").join(&digest[..16])
    }
}

/// Whether `dir` is the root of this project's checkout.
fn is_checkout(dir: &Path) -> bool {
    [
        "kernels-cuda/Cargo.toml",
        "config/modules.toml",
        "translator/Cargo.toml",
    ]
    .iter()
    .all(|file| dir.join(file).is_file())
}
