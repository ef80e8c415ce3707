//! The output folder: one bundle a module, and `manifest.json`, which says what is in them and how they were made.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use codeobject::TargetId;
use codeobject::bundle::Writer;
use serde::{Deserialize, Serialize};

use super::{BuildError, Builder, Object};
use crate::cache::Digest;
use crate::files::write_changed;
use crate::toolchain::HipVersion;

/// Name of the manifest in the output folder.
pub const MANIFEST: &str = "manifest.json";

/// Version of the manifest's form.
const FORMAT: u32 = 1;

/// The output folder can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// A file or folder can't be read or written.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The manifest isn't one.
    #[error("{path} is no manifest of this program: {message}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// A bundle can't be put together.
    #[error("the bundle of {module}: {message}")]
    Bundle {
        /// The module.
        module: String,
        /// Why.
        message: String,
    },
    /// The flags of a target can't be told.
    #[error(transparent)]
    Build(#[from] BuildError),
}

fn failed<'a>(
    action: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> ManifestError + 'a {
    move |source| ManifestError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}

/// `manifest.json`. It holds nothing that differs between two builds of the same sources with the same compiler.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this form.
    pub format: u32,
    /// The program that wrote it.
    pub generator: String,
    /// Set if these are not whole bundles but what one part of a build has of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<PartEntry>,
    /// The modules in the folder, by name.
    pub modules: BTreeMap<String, ModuleEntry>,
}

/// Which part of a build a folder holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartEntry {
    /// The part, from 1.
    pub index: u32,
    /// How many parts there are.
    pub count: u32,
    /// Digest of what the parts have in common: modules, targets, flags, toolchain.
    pub build: Digest,
    /// Code objects of this part that could not be made, as `module target`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<String>,
}

/// A module's bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleEntry {
    /// Path of the bundle below the folder, with `/`.
    pub bundle: String,
    /// The bundle's digest.
    pub sha256: Digest,
    /// The bundle's size.
    pub bytes: u64,
    /// Where the sources come from: `candle-kernels 0.11.1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// Digest of the translated sources, headers of the project included, comments left out.
    pub sources: Digest,
    /// What compiled it.
    pub compiler: CompilerEntry,
    /// Every kernel in it, sorted.
    pub kernels: Vec<String>,
    /// Its code objects, in the bundle's order.
    pub code_objects: Vec<BundleEntry>,
}

/// How a bundle is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Packing {
    /// As it is; a runtime maps it.
    #[default]
    Plain,
    /// Compressed with zstd at this level, as clang does it (`CCOB`).
    #[cfg(feature = "zstd")]
    Compressed(codeobject::bundle::Compression),
}

impl Packing {
    fn pack(self, writer: &Writer<'_>) -> Result<Vec<u8>, codeobject::Error> {
        match self {
            Packing::Plain => writer.to_vec(),
            #[cfg(feature = "zstd")]
            Packing::Compressed(compression) => writer.to_compressed_vec(compression),
        }
    }
}

/// A code object with what the manifest says of it.
#[derive(Debug, Clone)]
pub(super) struct Member<'a> {
    pub target: TargetId,
    pub bytes: Cow<'a, [u8]>,
    pub digest: Digest,
    pub kernels: Cow<'a, [String]>,
    pub arguments: Vec<String>,
}

/// A module with all that its bundle and its entry in the manifest are made of.
#[derive(Debug, Clone)]
pub(super) struct Content<'a> {
    pub module: String,
    pub origin: Option<String>,
    pub sources: Digest,
    pub compiler: CompilerEntry,
    pub members: Vec<Member<'a>>,
}

/// What compiled a module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompilerEntry {
    /// Clang's name for itself.
    pub version: String,
    /// Version of HIP's headers.
    pub hip: HipVersion,
}

/// A code object in a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundleEntry {
    /// Its target id.
    pub target: String,
    /// Its digest.
    pub sha256: Digest,
    /// Its size.
    pub bytes: u64,
    /// What the compiler was given besides files and folders.
    pub arguments: Vec<String>,
    /// Kernels of the module that it lacks: sources may leave some out for a target.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lacks: Vec<String>,
}

impl Manifest {
    /// Reads the manifest of a folder, `None` if it has none.
    ///
    /// # Errors
    /// [`ManifestError`] if there is one that can't be read.
    pub fn read(folder: &Path) -> Result<Option<Self>, ManifestError> {
        let path = folder.join(MANIFEST);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(failed("read", &path)(e)),
        };
        let malformed = |message| ManifestError::Malformed {
            path: path.clone(),
            message,
        };
        let manifest: Manifest =
            serde_json::from_slice(&text).map_err(|e| malformed(e.to_string()))?;
        if manifest.format == FORMAT {
            Ok(Some(manifest))
        } else {
            Err(malformed(format!(
                "its form is version {}, expected {FORMAT}",
                manifest.format
            )))
        }
    }
}

/// A bundle that is in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The module.
    pub module: String,
    /// The file.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Whether the file had to be written.
    pub changed: bool,
}

/// What goes into the bundle of a module.
#[derive(Debug, Clone)]
pub struct ModuleObjects<'a> {
    /// The module's name.
    pub module: &'a str,
    /// Its code objects, in the bundle's order.
    pub objects: Vec<(&'a TargetId, &'a Object)>,
}

/// A folder that bundles are written to.
#[derive(Debug)]
pub struct Output {
    folder: PathBuf,
    packing: Packing,
    part: Option<PartEntry>,
}

impl Output {
    /// Makes the folder and tries whether it can be written: better before compiling than after.
    ///
    /// # Errors
    /// [`ManifestError`] if it can't be written, or holds a foreign `manifest.json`.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, ManifestError> {
        let folder = folder.into();
        fs::create_dir_all(&folder).map_err(failed("create", &folder))?;
        tempfile::tempfile_in(&folder).map_err(failed("write into", &folder))?;
        Manifest::read(&folder)?;
        let packing = Packing::default();
        let part = None;
        Ok(Output {
            folder,
            packing,
            part,
        })
    }

    /// Stores bundles in another way than plain.
    #[must_use]
    pub fn packed(mut self, packing: Packing) -> Self {
        self.packing = packing;
        self
    }

    /// Says that what is written is a part of a build.
    #[must_use]
    pub fn part(mut self, part: PartEntry) -> Self {
        self.part = Some(part);
        self
    }

    /// Writes a bundle for each module and brings the manifest up to date. Files that have the right bytes already are
    /// not touched; modules of earlier builds stay in the manifest, unless either is a part.
    ///
    /// # Errors
    /// [`ManifestError`]; bundles that were written before the error stay, each of them whole.
    pub fn write(
        &self,
        builder: &Builder<'_>,
        origin: Option<&str>,
        modules: &[ModuleObjects<'_>],
    ) -> Result<Vec<Written>, ManifestError> {
        let content = |objects| Content::of(builder, origin, objects);
        let contents: Result<Vec<_>, ManifestError> = modules.iter().map(content).collect();
        self.write_contents(&contents?)
    }

    pub(super) fn write_contents(
        &self,
        contents: &[Content<'_>],
    ) -> Result<Vec<Written>, ManifestError> {
        // Other processes that write here wait; where folders can't be locked they had better not meet.
        let lock = File::open(&self.folder).ok();
        if let Some(lock) = &lock {
            lock.lock().map_err(failed("lock", &self.folder))?;
        }
        let mut manifest = Manifest {
            format: FORMAT,
            generator: concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION")).to_owned(),
            part: self.part.clone(),
            modules: Manifest::read(&self.folder)?
                .filter(|old| old.part.is_none() && self.part.is_none())
                .map(|old| old.modules)
                .unwrap_or_default(),
        };
        manifest.modules.retain(|_, entry| {
            fs::metadata(self.folder.join(&entry.bundle))
                .is_ok_and(|data| data.len() == entry.bytes)
        });
        let mut written = Vec::new();
        for content in contents {
            let (entry, bytes) = content.entry(self.packing)?;
            let path = self.folder.join(&entry.bundle);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent).map_err(failed("create", parent))?;
            }
            let changed = write_changed(&path, &bytes).map_err(failed("write", &path))?;
            written.push(Written {
                module: content.module.clone(),
                path,
                bytes: entry.bytes,
                changed,
            });
            manifest.modules.insert(content.module.clone(), entry);
        }
        let path = self.folder.join(MANIFEST);
        let text = serde_json::to_string_pretty(&manifest)
            .map_err(|e| failed("write", &path)(e.into()))?;
        write_changed(&path, (text + "\n").as_bytes()).map_err(failed("write", &path))?;
        Ok(written)
    }
}

fn nothing(module: &str) -> ManifestError {
    ManifestError::Bundle {
        module: module.to_owned(),
        message: "there is no code object for it".to_owned(),
    }
}

impl<'a> Content<'a> {
    fn of(
        builder: &Builder<'_>,
        origin: Option<&str>,
        built: &ModuleObjects<'a>,
    ) -> Result<Self, ManifestError> {
        let mut members = Vec::new();
        for (target, object) in &built.objects {
            members.push(Member {
                target: (*target).clone(),
                bytes: object.bytes.as_slice().into(),
                digest: object.digest,
                kernels: object.kernels.as_slice().into(),
                arguments: builder.arguments(target)?,
            });
        }
        let first = built.objects.first().map(|(_, object)| object.sources);
        Ok(Content {
            module: built.module.to_owned(),
            origin: origin.map(str::to_owned),
            sources: first.ok_or_else(|| nothing(built.module))?,
            compiler: CompilerEntry {
                version: builder.compiler().0.clone(),
                hip: builder.toolchain().hip,
            },
            members,
        })
    }

    /// The module's entry in the manifest and its bundle.
    fn entry(&self, packing: Packing) -> Result<(ModuleEntry, Vec<u8>), ManifestError> {
        if self.members.is_empty() {
            return Err(nothing(&self.module));
        }
        let mut writer = Writer::new();
        for member in &self.members {
            writer = writer.add(member.target.clone(), &*member.bytes);
        }
        let bytes = packing.pack(&writer).map_err(|e| ManifestError::Bundle {
            module: self.module.clone(),
            message: e.to_string(),
        })?;
        let kernels: BTreeSet<&String> = self
            .members
            .iter()
            .flat_map(|member| member.kernels.iter())
            .collect();
        let code_object = |member: &Member<'_>| BundleEntry {
            target: member.target.to_string(),
            sha256: member.digest,
            bytes: member.bytes.len() as u64,
            arguments: member.arguments.clone(),
            lacks: kernels
                .iter()
                .filter(|kernel| member.kernels.binary_search(kernel).is_err())
                .map(|kernel| (*kernel).clone())
                .collect(),
        };
        let code_objects = self.members.iter().map(code_object).collect();
        let entry = ModuleEntry {
            bundle: format!("{}.hipfb", self.module),
            sha256: Digest::of(&bytes),
            bytes: bytes.len() as u64,
            origin: self.origin.clone(),
            sources: self.sources,
            compiler: self.compiler.clone(),
            kernels: kernels.into_iter().cloned().collect(),
            code_objects,
        };
        Ok((entry, bytes))
    }
}
