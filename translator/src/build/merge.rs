//! Puts the parts of a split build together: the same bytes as if one machine had built all.
//!
//! Knows manifests and bundles, no sources and no toolchain.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use codeobject::TargetId;
use codeobject::bundle::Bundle;

use super::bundle::{Content, Member};
use super::{BundleEntry, Manifest, ManifestError, ModuleEntry, Output, PartEntry, Written};
use crate::cache::Digest;

/// Parts can't be put together.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// A manifest can't be read, or the result not written.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A folder isn't the output of a build.
    #[error("{folder} has no manifest.json: it is no output of `hipify-candle build`")]
    NoManifest {
        /// The folder.
        folder: PathBuf,
    },
    /// A bundle isn't what its manifest says.
    #[error("{path}: {message}")]
    Bundle {
        /// The bundle.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// Folders hold parts of different builds.
    #[error(
        "{first} (part {first_part}) and {second} (part {second_part}) are parts of different builds: modules, \
         architectures, flags, toolchain or the number of parts differ"
    )]
    Foreign {
        /// One folder.
        first: PathBuf,
        /// Its part.
        first_part: String,
        /// The other.
        second: PathBuf,
        /// Its part.
        second_part: String,
    },
    /// Some parts are not there.
    #[error("the build is not whole; missing parts: {missing}")]
    Missing {
        /// The parts, `2/3, 3/3`.
        missing: String,
    },
    /// A part of the build failed.
    #[error("{folder} is not whole: its build failed for {failed}")]
    Failed {
        /// The folder.
        folder: PathBuf,
        /// Code objects that are missing.
        failed: String,
    },
    /// Two parts were made from different things, or one thing was made twice and differs.
    #[error("{module}: {first} and {second} do not belong together: {what} differs")]
    Conflict {
        /// The module.
        module: String,
        /// One folder.
        first: PathBuf,
        /// The other.
        second: PathBuf,
        /// What differs.
        what: String,
    },
}

impl MergeError {
    /// What a user can do about it.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            MergeError::Foreign { .. } => {
                Some("build every part with the same options and the same toolchain".to_owned())
            }
            MergeError::Missing { .. } => Some("name the folders of all parts".to_owned()),
            _ => None,
        }
    }
}

/// The parts seen so far, which belong to one build.
#[derive(Default)]
struct Parts {
    seen: BTreeMap<u32, (PathBuf, PartEntry)>,
}

impl Parts {
    fn add(&mut self, folder: &Path, part: PartEntry) -> Result<(), MergeError> {
        if !part.failed.is_empty() {
            return Err(MergeError::Failed {
                folder: folder.to_owned(),
                failed: part.failed.join(", "),
            });
        }
        if let Some((first, other)) = self.seen.values().next()
            && (other.build, other.count) != (part.build, part.count)
        {
            let name = |part: &PartEntry| format!("{}/{}", part.index, part.count);
            return Err(MergeError::Foreign {
                first: first.clone(),
                first_part: name(other),
                second: folder.to_owned(),
                second_part: name(&part),
            });
        }
        self.seen.insert(part.index, (folder.to_owned(), part));
        Ok(())
    }

    /// Fails unless all parts were seen, or none: builds that are no parts are merged as they are.
    fn complete(&self) -> Result<(), MergeError> {
        let count = self.seen.values().next().map_or(0, |(_, part)| part.count);
        // A manifest may claim any number of parts.
        let missing = || (1..=count).filter(|index| !self.seen.contains_key(index));
        let first: Vec<String> = missing()
            .take(10)
            .map(|index| format!("{index}/{count}"))
            .collect();
        if first.is_empty() {
            return Ok(());
        }
        Err(MergeError::Missing {
            missing: first.join(", "),
        })
    }
}

/// A module as far as it was put together.
struct Whole {
    entry: ModuleEntry,
    from: PathBuf,
    members: Vec<Member<'static>>,
}

/// Writes bundles with the code objects of all `parts` to `output`. `place` orders targets as the build does.
///
/// # Errors
/// [`MergeError`]; nothing was written if parts are unreadable or contradict each other.
pub fn merge(
    parts: &[PathBuf],
    output: &Output,
    place: &dyn Fn(&TargetId) -> (usize, String),
) -> Result<Vec<Written>, MergeError> {
    let mut modules: BTreeMap<String, Whole> = BTreeMap::new();
    let mut shards = Parts::default();
    for folder in parts {
        let manifest = Manifest::read(folder)?.ok_or_else(|| MergeError::NoManifest {
            folder: folder.clone(),
        })?;
        if let Some(part) = manifest.part {
            shards.add(folder, part)?;
        }
        for (module, entry) in manifest.modules {
            let members = members(folder, &entry)?;
            let whole = modules.entry(module.clone()).or_insert_with(|| Whole {
                entry: entry.clone(),
                from: folder.clone(),
                members: Vec::new(),
            });
            let conflict = |what: String| MergeError::Conflict {
                module: module.clone(),
                first: whole.from.clone(),
                second: folder.clone(),
                what,
            };
            let first = &whole.entry;
            for (what, same) in [
                ("the origin of the sources", first.origin == entry.origin),
                ("the text of the sources", first.sources == entry.sources),
                ("the compiler", first.compiler == entry.compiler),
            ] {
                if !same {
                    return Err(conflict(what.to_owned()));
                }
            }
            for member in members {
                match whole
                    .members
                    .iter()
                    .find(|other| other.target == member.target)
                {
                    Some(other) if other.digest != member.digest => {
                        return Err(conflict(format!("the code object for {}", member.target)));
                    }
                    Some(_) => {}
                    None => whole.members.push(member),
                }
            }
        }
    }
    shards.complete()?;
    let contents: Vec<Content<'_>> = modules
        .into_iter()
        .map(|(module, mut whole)| {
            whole
                .members
                .sort_by_cached_key(|member| place(&member.target));
            Content {
                module,
                origin: whole.entry.origin,
                sources: whole.entry.sources,
                compiler: whole.entry.compiler,
                members: whole.members,
            }
        })
        .collect();
    Ok(output.write_contents(&contents)?)
}

/// The code objects of a bundle, each with the digest that the manifest names.
fn members(folder: &Path, entry: &ModuleEntry) -> Result<Vec<Member<'static>>, MergeError> {
    let path = folder.join(&entry.bundle);
    let wrong = |message: String| MergeError::Bundle {
        path: path.clone(),
        message,
    };
    let bytes = fs::read(&path).map_err(|e| wrong(e.to_string()))?;
    let bundle = Bundle::parse(&bytes).map_err(|e| wrong(e.to_string()))?;
    let member = |code_object: &BundleEntry| {
        let target: TargetId = code_object
            .target
            .parse()
            .map_err(|e: codeobject::Error| wrong(e.to_string()))?;
        let found = bundle
            .code_objects()
            .find(|found| found.target() == Some(&target));
        let data = found
            .ok_or_else(|| wrong(format!("it has no code object for {target}")))?
            .data;
        if Digest::of(data) != code_object.sha256 {
            return Err(wrong(format!(
                "its code object for {target} is not the one in the manifest"
            )));
        }
        let kernels = entry
            .kernels
            .iter()
            .filter(|kernel| !code_object.lacks.contains(kernel));
        Ok(Member {
            target,
            bytes: data.to_vec().into(),
            digest: code_object.sha256,
            kernels: kernels.cloned().collect::<Vec<_>>().into(),
            arguments: code_object.arguments.clone(),
        })
    };
    entry.code_objects.iter().map(member).collect()
}
