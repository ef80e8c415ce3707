//! The lock: which sources, rules and compiler led to which HIP files and code objects (`kernels-hip/kernels.lock`).
//!
//! Generated files are no part of the repository. The lock is what stays of them: a digest of every input and of every
//! output. Whoever generates again with the same inputs must get the same outputs, and if not, the comparison says
//! which input changed. It is TOML with one line a file, so that a review shows what a change of a rule touches.
//!
//! Knows digests and what depends on what. How HIP text or code objects come about is the business of
//! [`crate::translate`] and [`crate::build`]; printing is the command line's.

mod compare;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::{Deserialize, Serialize};
use walkdir::WalkDir;

use crate::build::{BuildError, Builder, CompilerEntry, Job, Object};
use crate::cache::Digest;
use crate::config::Config;
use crate::files::write_changed;
use crate::lex::{TooLong, significant_text};
use crate::translate::TreeTranslation;
use crate::workdir::WorkDir;

pub use compare::{Change, Difference, Scope, Subject};

/// Version of the lock's form.
const FORMAT: u32 = 1;

const HEADING: &str = "\
# Inputs and outputs of the translation and the build, each with its SHA-256. Written by
# `hipify-candle translate --update` and `hipify-candle build --update`, compared by `--check`.
# Comments and blanks count in CUDA sources and in translated files, but not in rules and in the device header.
";

/// The lock can't be read, written or made.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// A file can't be read or written.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The lock, or a file that goes into it, is not of the form it should have.
    #[error("{path}: {message}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// The lock has both sides of a merge in it.
    #[error("{path} has conflict markers in line {line}")]
    Conflict {
        /// The lock.
        path: PathBuf,
        /// The first line that is one.
        line: usize,
    },
    /// The toolchain or the configuration doesn't say what goes into a code object.
    #[error(transparent)]
    Build(#[from] BuildError),
}

impl LockError {
    /// What a user can do about it.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            LockError::Conflict { .. } => {
                Some("take either side of it, and --update writes what is there now".to_owned())
            }
            LockError::Malformed { path, .. } if path.extension().is_some_and(|e| e == "lock") => {
                Some(
                    "take it from the repository again, or delete it and make one with --update"
                        .to_owned(),
                )
            }
            _ => None,
        }
    }
}

fn failed<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> LockError + 'a {
    move |source| LockError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}

fn malformed(path: impl Into<PathBuf>, message: impl ToString) -> LockError {
    LockError::Malformed {
        path: path.into(),
        message: message.to_string(),
    }
}

/// The package whose `src` was translated.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The SHA-256 of the published package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<String>,
}

/// What the code objects of one target are made with, and their digests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// What the compiler is given besides files and folders.
    pub arguments: Vec<String>,
    /// Digest of compiler and device libraries.
    pub toolchain: Digest,
    /// The code object of each module.
    pub code_objects: BTreeMap<String, Digest>,
}

/// The lock. Names of files are relative to the folder that they belong to, with `/`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    format: u32,
    /// Where the sources come from, if they are a package's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<Package>,
    /// CUDA sources.
    pub sources: BTreeMap<String, Digest>,
    /// The configuration's files that decide what a translation says.
    pub rules: BTreeMap<String, Digest>,
    /// Translated files.
    pub translated: BTreeMap<String, Digest>,
    /// The device header's files.
    pub header: BTreeMap<String, Digest>,
    /// What compiles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compiler: Option<CompilerEntry>,
    /// Target ids with what is built for them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub target: BTreeMap<String, Target>,
}

impl Lock {
    /// The lock of a checkout.
    #[must_use]
    pub fn path(work: &WorkDir) -> Option<PathBuf> {
        Some(work.checkout()?.join("kernels-hip/kernels.lock"))
    }

    /// Reads a lock, `None` if there is no such file.
    ///
    /// # Errors
    /// [`LockError`] if there is one that can't be read.
    pub fn read(path: &Path) -> Result<Option<Self>, LockError> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(failed("read", path)(e)),
        };
        let conflict = |line: &str| line.starts_with("<<<<<<< ") || line.starts_with(">>>>>>> ");
        if let Some(index) = text.lines().position(conflict) {
            return Err(LockError::Conflict {
                path: path.to_owned(),
                line: index + 1,
            });
        }
        let lock: Lock = toml::from_str(&text).map_err(|e| malformed(path, e))?;
        if lock.format == FORMAT {
            Ok(Some(lock))
        } else {
            let message = format!("its form is version {}, expected {FORMAT}", lock.format);
            Err(malformed(path, message))
        }
    }

    /// The text of the file.
    ///
    /// # Errors
    /// [`LockError`] if it can't be put into words, which no lock of this module is.
    pub fn to_text(&self) -> Result<String, LockError> {
        let body = toml::to_string_pretty(self).map_err(|e| malformed("kernels.lock", e))?;
        Ok(format!("{HEADING}\n{body}"))
    }

    /// Writes the lock unless the file says so already. Whether it was written.
    ///
    /// # Errors
    /// [`LockError`] if it can't be written; the old one, if any, is still there.
    pub fn write(&self, path: &Path) -> Result<bool, LockError> {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(failed("create", parent))?;
        }
        write_changed(path, self.to_text()?.as_bytes()).map_err(failed("write", path))
    }

    /// What a translation is made from, and what it says.
    ///
    /// # Errors
    /// [`LockError`] if a source or a file of the device header can't be read any more.
    pub fn of_translation(
        config: &Config,
        cuda: &Path,
        header: &Path,
        translation: &TreeTranslation,
        checksum: Option<String>,
    ) -> Result<Self, LockError> {
        let origin = &translation.origin;
        let package = origin.package.clone().zip(origin.version.clone());
        let mut lock = Lock {
            format: FORMAT,
            package: package.map(|(name, version)| Package {
                name,
                version,
                checksum,
            }),
            rules: rules(config)?,
            header: device_header(header)?,
            ..Lock::default()
        };
        for file in &translation.files {
            let path = cuda.join(&file.source);
            let bytes = fs::read(&path).map_err(failed("read", &path))?;
            lock.sources.insert(file.source.clone(), Digest::of(&bytes));
            let text = Digest::of(file.text.as_bytes());
            lock.translated.insert(file.output.clone(), text);
        }
        Ok(lock)
    }

    /// Adds code objects, and what they are made with.
    ///
    /// # Errors
    /// [`LockError::Build`] if toolchain or configuration don't say what goes into a code object.
    pub fn add_code_objects<'a>(
        &mut self,
        builder: &Builder<'_>,
        objects: impl IntoIterator<Item = (&'a Job, &'a Object)>,
    ) -> Result<(), LockError> {
        self.compiler = Some(CompilerEntry {
            version: builder.compiler().0.clone(),
            hip: builder.toolchain().hip,
        });
        for (job, object) in objects {
            let name = job.target.to_string();
            if !self.target.contains_key(&name) {
                let target = Target {
                    arguments: builder.arguments(&job.target)?,
                    toolchain: builder.toolchain_digest(&job.target)?,
                    code_objects: BTreeMap::new(),
                };
                self.target.insert(name.clone(), target);
            }
            if let Some(target) = self.target.get_mut(&name) {
                target
                    .code_objects
                    .insert(job.module.clone(), object.digest);
            }
        }
        Ok(())
    }

    /// This lock brought up to date with `now`: what `now` does not speak of stays if it is still true. Code objects of
    /// a part of the modules or targets stay as long as nothing that they are made from has changed.
    #[must_use]
    pub fn updated(mut self, now: Lock, scope: Scope) -> Lock {
        let same_inputs = self.inputs_agree(&now);
        let merged = |old: BTreeMap<_, _>, new: BTreeMap<_, _>| {
            let mut all = if scope == Scope::Whole {
                BTreeMap::new()
            } else {
                old
            };
            all.extend(new);
            all
        };
        let mut target = if same_inputs {
            std::mem::take(&mut self.target)
        } else {
            BTreeMap::new()
        };
        for (name, new) in now.target {
            match target.get_mut(&name) {
                Some(old) if old.arguments == new.arguments && old.toolchain == new.toolchain => {
                    old.code_objects.extend(new.code_objects);
                }
                _ => {
                    target.insert(name, new);
                }
            }
        }
        Lock {
            format: FORMAT,
            package: now.package,
            sources: merged(self.sources, now.sources),
            rules: now.rules,
            translated: merged(self.translated, now.translated),
            header: now.header,
            compiler: now.compiler.or(if target.is_empty() {
                None
            } else {
                self.compiler
            }),
            target,
        }
    }

    /// Whether code objects that are locked here are still what the inputs of `now` lead to.
    fn inputs_agree(&self, now: &Lock) -> bool {
        let translated = now
            .translated
            .iter()
            .all(|(name, digest)| self.translated.get(name) == Some(digest));
        let compiler = now.compiler.is_none() || now.compiler == self.compiler;
        translated && compiler && self.header == now.header
    }
}

/// Files of the configuration that decide what a translation says; the rest reaches the compiler as arguments.
fn is_rule(name: &str) -> bool {
    name.starts_with("rules/")
        || name.starts_with("fixes/")
        || matches!(name, "guards.toml" | "modules.toml" | "launch.toml")
}

/// Digests of what the rules say: of their values, without comments and blanks.
fn rules(config: &Config) -> Result<BTreeMap<String, Digest>, LockError> {
    let files = config.under("").filter(|file| is_rule(&file.name));
    files
        .map(|file| {
            let bad = |e: &dyn std::fmt::Display| malformed(format!("config/{}", file.name), e);
            let table: toml::Table = toml::from_str(&file.text).map_err(|e| bad(&e))?;
            let values = toml::to_string(&table).map_err(|e| bad(&e))?;
            Ok((file.name.clone(), Digest::of(values.as_bytes())))
        })
        .collect()
}

/// Digests of the device header's code.
fn device_header(folder: &Path) -> Result<BTreeMap<String, Digest>, LockError> {
    let mut digests = BTreeMap::new();
    for entry in WalkDir::new(folder).sort_by_file_name() {
        let entry = entry.map_err(|e| failed("read", folder)(e.into()))?;
        if !entry.file_type().is_file() {
            continue;
        }
        let path = entry.path();
        let text = fs::read_to_string(path).map_err(failed("read", path))?;
        let code = significant_text(&text, false).map_err(|e: TooLong| malformed(path, e))?;
        let name = path.strip_prefix(folder).unwrap_or(path);
        let name = name.to_string_lossy().replace('\\', "/");
        digests.insert(name, Digest::of(code.as_bytes()));
    }
    Ok(digests)
}
