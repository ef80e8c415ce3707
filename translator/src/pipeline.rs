//! The whole way in one piece: fetched sources, translation, code objects.
//!
//! Knows in which order the rooms of this crate work together and where in the work dir their results lie. It adds
//! nothing of its own to any step, and prints nothing.

use std::path::{Path, PathBuf};

use codeobject::TargetId;

use crate::arch::{ArchError, Architectures};
use crate::build::{BuildError, Builder, Flags, Job, SourceTree};
use crate::cache::Cache;
use crate::config::{Config, ConfigError};
use crate::device_header::{self, DeviceHeaderError};
use crate::diagnostic::{Diagnostic, Severity};
use crate::fetch::{self, FetchError};
use crate::fixes::{Fixes, FixesError};
use crate::lock::{Lock, LockError};
use crate::modules::{Modules, ModulesError};
use crate::rules::{Rules, RulesError};
use crate::toolchain::{CompilerVersion, Toolchain};
use crate::translate::{TranslateError, Tree, TreeError, TreeTranslation, translate_tree};
use crate::workdir::WorkDir;

/// The way is blocked before anything is compiled.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// The configuration can't be read.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The rules are malformed.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// The fixes are malformed.
    #[error(transparent)]
    Fixes(#[from] FixesError),
    /// The list of modules is malformed.
    #[error(transparent)]
    Modules(#[from] ModulesError),
    /// The architecture table is malformed, or an architecture isn't in it.
    #[error(transparent)]
    Arch(#[from] ArchError),
    /// The sources can't be had.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The sources can't be translated.
    #[error(transparent)]
    Translate(#[from] TranslateError),
    /// The device header can't be laid out.
    #[error(transparent)]
    DeviceHeader(#[from] DeviceHeaderError),
    /// The sources can't be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// What they are made from can't be read.
    #[error(transparent)]
    Lock(#[from] LockError),
}

impl From<TreeError> for PipelineError {
    fn from(error: TreeError) -> Self {
        PipelineError::Translate(error.into())
    }
}

impl PipelineError {
    /// What a user can do about it.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            PipelineError::Fetch(error) => error.help(),
            PipelineError::Build(BuildError::Toolchain(error)) => Some(error.help()),
            _ => None,
        }
    }
}

/// What is translated and compiled.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// A folder of CUDA sources; the pinned candle-kernels if there is none.
    pub folder: Option<PathBuf>,
    /// Leave upstream defects as they are.
    pub faithful: bool,
    /// Compile the files of this folder as they are, translated before. What is in it decides, not the other fields.
    pub translated: Option<PathBuf>,
    /// Where HIP files are written; a place of its own in the work dir if there is none.
    pub into: Option<PathBuf>,
}

/// A configuration, read and checked, with the folders that results go to.
#[derive(Debug)]
pub struct Pipeline {
    config: Config,
    work: WorkDir,
    rules: Rules,
    fixes: Fixes,
    modules: Modules,
    archs: Architectures,
    flags: Flags,
    cache: Cache,
}

/// Sources in HIP, on disk.
#[derive(Debug)]
pub struct Prepared {
    /// The folder of the HIP files.
    pub hip: PathBuf,
    /// What the translation said; nothing if the files were translated before.
    pub translation: Option<TreeTranslation>,
    /// The folder of the CUDA files, if they are at hand.
    pub cuda: Option<PathBuf>,
    /// The SHA-256 of the package that they were fetched in.
    pub checksum: Option<String>,
    /// `candle-kernels 0.11.1`.
    pub origin: Option<String>,
    /// The modules that were asked for and can be compiled, with their files below [`Self::hip`].
    pub units: Vec<(String, PathBuf)>,
    /// The modules that were asked for and have constructs without a translation.
    pub untranslated: Vec<String>,
}

impl Pipeline {
    /// Reads the configuration.
    ///
    /// # Errors
    /// [`PipelineError`] if one of its files is missing or malformed.
    pub fn open(config: &Config, work: WorkDir) -> Result<Self, PipelineError> {
        Ok(Pipeline {
            rules: Rules::from_config(config, None)?,
            fixes: Fixes::from_config(config)?,
            modules: Modules::from_config(config)?,
            archs: Architectures::from_config(config)?,
            flags: Flags::from_config(config)?,
            cache: Cache::open(work.root()),
            config: config.clone(),
            work,
        })
    }

    /// Uses another cache.
    #[must_use]
    pub fn with_cache(mut self, cache: Cache) -> Self {
        self.cache = cache;
        self
    }

    /// Adds flags for hipcc behind those of the configuration.
    #[must_use]
    pub fn with_flags(mut self, flags: &[String]) -> Self {
        self.flags.extra.extend_from_slice(flags);
        self
    }

    /// The architectures.
    #[must_use]
    pub fn archs(&self) -> &Architectures {
        &self.archs
    }

    /// The cache.
    #[must_use]
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Brings the modules that `asked` selects (see [`crate::modules::select`]) to HIP: fetches the sources if they
    /// aren't there, translates them, and writes what changed to the work dir.
    ///
    /// # Errors
    /// [`PipelineError`]. Constructs without a translation are no error here: see [`Prepared::untranslated`].
    pub fn prepare(&self, sources: &Sources, asked: &[String]) -> Result<Prepared, PipelineError> {
        if let Some(folder) = &sources.translated {
            return self.as_they_are(folder, asked);
        }
        let fetched = match &sources.folder {
            Some(_) => None,
            None => Some(fetch::located(&self.work, None)?),
        };
        let folder = match (&sources.folder, &fetched) {
            (Some(folder), _) => folder.clone(),
            (None, Some(fetched)) => fetched.src(),
            (None, None) => {
                return Err(TreeError::Empty {
                    path: PathBuf::new(),
                }
                .into());
            }
        };
        let tree = Tree::read(&folder)?;
        let none = Fixes::none();
        let fixes = if sources.faithful { &none } else { &self.fixes };
        let translation = translate_tree(&tree, &self.rules, fixes, &self.modules, asked)?;
        // Other sources must not overwrite the translation of the pinned ones, nor the faithful one the repaired one.
        let name = match (&sources.into, &sources.folder, sources.faithful) {
            (Some(into), ..) => into.clone(),
            (None, None, false) => self.work.hip(),
            (None, None, true) => self.work.root().join("kernels-hip-faithful"),
            (None, Some(folder), _) => self.work.hip_of(folder),
        };
        translation.write(&name)?;
        let origin = translation
            .origin
            .package
            .as_ref()
            .zip(translation.origin.version.as_ref());
        let origin = origin.map(|(package, version)| format!("{package} {version}"));
        let (mut units, mut untranslated) = (Vec::new(), Vec::new());
        for module in &translation.modules {
            let unit = module
                .files
                .first()
                .map(|file| PathBuf::from(&translation.files[*file].output));
            match unit {
                Some(unit) if module.errors == 0 => units.push((module.module.name.clone(), unit)),
                _ => untranslated.push(module.module.name.clone()),
            }
        }
        Ok(Prepared {
            hip: name,
            translation: Some(translation),
            cuda: Some(folder),
            checksum: fetched.map(|fetched| fetched.checksum),
            origin,
            units,
            untranslated,
        })
    }

    /// The modules of a folder that was translated before.
    fn as_they_are(&self, folder: &Path, asked: &[String]) -> Result<Prepared, PipelineError> {
        let tree = Tree::read(folder)?;
        let names = tree
            .files
            .iter()
            .filter_map(|file| file.path.strip_suffix(".hip"));
        let units: Vec<String> = names.map(|name| format!("{name}.cu")).collect();
        let all = self.modules.of_tree(units.iter().map(String::as_str));
        let units = crate::modules::select(&all, asked)?;
        let unit = |name: &String| (name.clone(), PathBuf::from(format!("{name}.hip")));
        Ok(Prepared {
            hip: folder.to_owned(),
            translation: None,
            cuda: None,
            checksum: None,
            origin: None,
            units: units.into_iter().map(|module| unit(&module.name)).collect(),
            untranslated: Vec::new(),
        })
    }

    /// What prepared sources are made from and what they say, without code objects; `None` if they were translated
    /// before, by whatever rules.
    ///
    /// # Errors
    /// [`PipelineError`] if a file can't be read.
    pub fn lock(&self, prepared: &Prepared) -> Result<Option<Lock>, PipelineError> {
        let (Some(cuda), Some(translation)) = (&prepared.cuda, &prepared.translation) else {
            return Ok(None);
        };
        let header = device_header::folder(&self.work)?;
        let checksum = prepared.checksum.clone();
        let lock = Lock::of_translation(&self.config, cuda, &header, translation, checksum)?;
        Ok(Some(lock))
    }

    /// A builder for prepared sources.
    ///
    /// # Errors
    /// [`PipelineError`] if the device header can't be laid out or the compiler can't be run.
    pub fn builder(
        &self,
        toolchain: Toolchain,
        prepared: &Prepared,
    ) -> Result<Builder<'_>, PipelineError> {
        let version = toolchain.compiler_version().map_err(BuildError::from)?;
        self.builder_for(toolchain, version, prepared)
    }

    /// [`Self::builder`] for a compiler whose version is known: asking it takes about as long as all else that is done
    /// when there is nothing to do, and can be done meanwhile.
    ///
    /// # Errors
    /// [`PipelineError`] if the device header can't be laid out.
    pub fn builder_for(
        &self,
        toolchain: Toolchain,
        version: CompilerVersion,
        prepared: &Prepared,
    ) -> Result<Builder<'_>, PipelineError> {
        let include = device_header::folder(&self.work)?;
        // hipcc is started in this folder and told of files below others.
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let tree = SourceTree::new(absolute(&prepared.hip), vec![absolute(&include)]);
        let guards = self.rules.guards();
        let builder = Builder::new(
            toolchain,
            version,
            &self.cache,
            tree,
            &self.archs,
            guards,
            self.flags.clone(),
        );
        Ok(match (&prepared.cuda, &prepared.translation) {
            (Some(cuda), Some(translation)) => {
                builder.cuda_sources(translation.origin.label.clone(), cuda)
            }
            _ => builder,
        })
    }
}

impl Prepared {
    /// What stops the translation of a module.
    pub fn findings(&self, module: &str) -> impl Iterator<Item = &Diagnostic> {
        let of = |translation: &TreeTranslation| {
            let found = translation.modules.iter().find(|m| m.module.name == module);
            found.map(|m| m.files.clone()).unwrap_or_default()
        };
        let files = self.translation.as_ref().map(of).unwrap_or_default();
        let all = self
            .translation
            .as_ref()
            .map_or(&[][..], |translation| &translation.files);
        let diagnostics = files
            .into_iter()
            .filter_map(|file| all.get(file))
            .flat_map(|file| &file.diagnostics);
        diagnostics.filter(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// A job for every module and target, module by module.
    #[must_use]
    pub fn jobs(&self, targets: &[TargetId]) -> Vec<Job> {
        let job = |(module, unit): &(String, PathBuf), target: &TargetId| Job {
            module: module.clone(),
            unit: unit.clone(),
            target: target.clone(),
        };
        self.units
            .iter()
            .flat_map(|unit| targets.iter().map(move |target| job(unit, target)))
            .collect()
    }
}
