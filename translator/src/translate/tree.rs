//! A folder of CUDA sources in memory, where it came from, and how translated files get back to disk.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

use rayon::prelude::*;
use serde::Deserialize;
use walkdir::WalkDir;

use crate::files::write_changed;

/// A tree can't be read or a translation not written.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// The folder isn't there or can't be listed.
    #[error("cannot read the source folder {path}: {source}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The folder holds no CUDA source.
    #[error("no CUDA sources (*.cu, *.cuh) in {path}")]
    Empty {
        /// The folder.
        path: PathBuf,
    },
    /// A source file can't be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file name isn't UTF-8, so that no include could name it portably.
    #[error("the file name {path:?} is not UTF-8")]
    Name {
        /// The file.
        path: PathBuf,
    },
    /// An output can't be written. Nothing is left half written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Where a tree comes from, as far as can be told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origin {
    /// What stands before a file's path where the translation names its source: `candle-kernels-0.11.1/src`.
    pub label: String,
    /// Name of the package.
    pub package: Option<String>,
    /// Version of the package.
    pub version: Option<String>,
    /// Its licence, as the package states it.
    pub licence: Option<String>,
    /// Where it is developed.
    pub repository: Option<String>,
}

#[derive(Deserialize)]
struct Manifest {
    package: Package,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: Option<String>,
    license: Option<String>,
    repository: Option<String>,
}

impl Origin {
    /// The origin of a source folder: the cargo package that it is the `src` of, or else its own name.
    #[must_use]
    pub fn of(root: &Path) -> Self {
        let name = |path: &Path| path.file_name().map(|n| n.to_string_lossy().into_owned());
        let root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
        let folder = name(&root).unwrap_or_else(|| "src".to_owned());
        let manifest = root
            .parent()
            .and_then(|parent| fs::read_to_string(parent.join("Cargo.toml")).ok());
        match manifest.and_then(|text| toml::from_str::<Manifest>(&text).ok()) {
            Some(Manifest { package }) => Origin {
                label: match &package.version {
                    Some(version) => format!("{}-{version}/{folder}", package.name),
                    None => format!("{}/{folder}", package.name),
                },
                package: Some(package.name),
                version: package.version,
                licence: package.license,
                repository: package.repository,
            },
            None => Origin {
                label: folder,
                ..Origin::default()
            },
        }
    }

    /// What a translated file says about where it comes from and whose it is, as comment lines.
    pub(super) fn notice(&self, path: &str) -> String {
        let mut text = format!("{TRANSLATED}{}/{path} {BY}\n", self.label);
        match (&self.licence, &self.package) {
            (Some(licence), Some(package)) => {
                let _ = write!(
                    text,
                    "// {package} is licensed {licence}, and so is this file."
                );
            }
            _ => text.push_str("// The licence of the original holds for this file too."),
        }
        if let Some(repository) = &self.repository {
            let _ = write!(text, " {repository}");
        }
        text.push('\n');
        text
    }
}

const TRANSLATED: &str = "// HIP translation of ";
const BY: &str = "by hipify-candle. Do not edit.";

/// Whether a text is the output of a translation.
#[must_use]
pub fn is_translated(text: &str) -> bool {
    text.lines()
        .next()
        .is_some_and(|line| line.starts_with(TRANSLATED) && line.trim_end().ends_with(BY))
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Path below the tree's root, with `/`.
    pub path: String,
    /// Contents; what isn't UTF-8 is cut off.
    pub text: String,
    /// Where the first byte stands that isn't UTF-8.
    pub not_utf8: Option<u32>,
}

impl SourceFile {
    /// A file from its bytes.
    #[must_use]
    pub fn new(path: impl Into<String>, bytes: Vec<u8>) -> Self {
        let path = path.into();
        match String::from_utf8(bytes) {
            Ok(text) => SourceFile {
                path,
                text,
                not_utf8: None,
            },
            Err(error) => {
                let valid = error.utf8_error().valid_up_to();
                let mut bytes = error.into_bytes();
                bytes.truncate(valid);
                let text = String::from_utf8(bytes).unwrap_or_default();
                SourceFile {
                    path,
                    text,
                    not_utf8: Some(u32::try_from(valid).unwrap_or(u32::MAX)),
                }
            }
        }
    }

    /// The name of its translation: `.cu` becomes `.hip`, which hipcc takes for HIP without being told; headers keep
    /// their names, so that includes of them stay as they are.
    #[must_use]
    pub fn output_path(&self) -> String {
        output_path(&self.path)
    }
}

pub(super) fn output_path(path: &str) -> String {
    path.strip_suffix(".cu")
        .map_or_else(|| path.to_owned(), |stem| format!("{stem}.hip"))
}

/// A folder of sources.
#[derive(Debug, Clone)]
pub struct Tree {
    /// The folder.
    pub root: PathBuf,
    /// Where it comes from.
    pub origin: Origin,
    /// Its CUDA files, sorted by path.
    pub files: Vec<SourceFile>,
}

const EXTENSIONS: &[&str] = &["cu", "cuh", "hip", "h", "hh", "hpp", "hxx", "inl", "inc"];

impl Tree {
    /// Reads every CUDA and header file below `root`.
    ///
    /// # Errors
    /// [`TreeError`] if the folder or one of the files can't be read or there is none.
    pub fn read(root: &Path) -> Result<Self, TreeError> {
        let mut paths = Vec::new();
        for entry in WalkDir::new(root).sort_by_file_name() {
            let entry = entry.map_err(|error| {
                let path = error.path().unwrap_or(root).to_owned();
                TreeError::Folder {
                    path,
                    source: error.into(),
                }
            })?;
            let is_source = entry
                .path()
                .extension()
                .is_some_and(|e| EXTENSIONS.iter().any(|known| e.eq_ignore_ascii_case(known)));
            if is_source && entry.file_type().is_file() {
                paths.push(entry.into_path());
            }
        }
        if paths.is_empty() {
            return Err(TreeError::Empty {
                path: root.to_owned(),
            });
        }
        let files: Result<Vec<_>, _> = paths.into_par_iter().map(|path| read(root, path)).collect();
        let mut files = files?;
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Tree {
            root: root.to_owned(),
            origin: Origin::of(root),
            files,
        })
    }
}

fn read(root: &Path, path: PathBuf) -> Result<SourceFile, TreeError> {
    let relative = path.strip_prefix(root).unwrap_or(&path);
    let parts: Option<Vec<&str>> = relative.iter().map(|part| part.to_str()).collect();
    let Some(parts) = parts else {
        return Err(TreeError::Name { path });
    };
    let name = parts.join("/");
    let bytes = fs::read(&path).map_err(|source| TreeError::Read {
        path: path.clone(),
        source,
    })?;
    Ok(SourceFile::new(name, bytes))
}

/// Writes `text` to `path` so that at every moment either the old or the new contents are there. A file that already
/// says so is left alone. Whether something was written.
///
/// # Errors
/// [`TreeError::Write`]; the old contents, if any, are still there.
pub(super) fn write(path: &Path, text: &str) -> Result<bool, TreeError> {
    let failed = |source| TreeError::Write {
        path: path.to_owned(),
        source,
    };
    fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).map_err(failed)?;
    write_changed(path, text.as_bytes()).map_err(failed)
}
