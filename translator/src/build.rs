//! Compiles translated modules to code objects with hipcc, through the cache, and packs them into bundles.
//!
//! Knows sources, flags, keys and jobs. Where the toolchain is, is [`crate::toolchain`]'s to say; how HIP text comes
//! about is [`crate::translate`]'s. It prints nothing.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use codeobject::{CodeObject, TargetId};
use serde::Deserialize;

use crate::arch::{ArchError, Architectures};
use crate::cache::{Cache, CacheError, Digest};
use crate::config::{Config, ConfigError};
use crate::rules::Guards;
use crate::toolchain::{CompilerVersion, ProcessorNames, Toolchain, ToolchainError};

mod bundle;
mod cancel;
mod hipcc;
mod merge;
mod message;
mod schedule;
mod shard;
mod sources;

pub use bundle::{
    BundleEntry, CompilerEntry, MANIFEST, Manifest, ManifestError, ModuleEntry, ModuleObjects,
    Output, Packing, PartEntry, Written,
};
pub use cancel::Cancellation;
pub use hipcc::HipccError;
pub use merge::{MergeError, merge};
pub use message::{Message, Part};
pub use schedule::cores;
pub use shard::Shard;
pub use sources::{Closure, SourceTree};

/// Nothing can be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The configuration can't be read.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// `build.toml` is malformed.
    #[error("config/build.toml: {0}")]
    Syntax(String),
    /// The architecture table is unusable, or an architecture isn't in it.
    #[error(transparent)]
    Arch(#[from] ArchError),
    /// There is no usable toolchain.
    #[error(transparent)]
    Toolchain(#[from] ToolchainError),
    /// A translated source can't be read.
    #[error("{path}: {message}")]
    Source {
        /// The file.
        path: PathBuf,
        /// Why.
        message: String,
    },
}

/// One code object can't be built.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The installed compiler can't generate code for the target.
    #[error("{target} can't be built: {reason}")]
    Unbuildable {
        /// The target.
        target: TargetId,
        /// Why.
        reason: String,
    },
    /// hipcc failed.
    #[error(transparent)]
    Hipcc(#[from] HipccError),
    /// What hipcc made is no code object for the target.
    #[error("hipcc made no usable code object: {0}")]
    CodeObject(String),
    /// A source was edited while the compiler read it.
    #[error("{0} or a header of it was changed while it was compiled; build again")]
    Edited(PathBuf),
    /// The cache can't be written.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// Sources or toolchain became unusable.
    #[error(transparent)]
    Build(#[from] BuildError),
}

/// Flags of `config/build.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flags {
    hipcc: FlagList,
    generic: FlagList,
    /// Flags of this build alone; they come last.
    #[serde(skip)]
    pub extra: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct FlagList {
    flags: Vec<String>,
}

impl Flags {
    /// The flags of a configuration.
    ///
    /// # Errors
    /// [`BuildError`] if `build.toml` is missing or malformed.
    pub fn from_config(config: &Config) -> Result<Self, BuildError> {
        toml::from_str(&config.file("build.toml")?.text)
            .map_err(|e| BuildError::Syntax(e.to_string()))
    }

    fn of(&self, target: &TargetId) -> Vec<String> {
        let generic = if target.is_generic() {
            self.generic.flags.as_slice()
        } else {
            &[]
        };
        self.hipcc
            .flags
            .iter()
            .chain(generic)
            .chain(&self.extra)
            .cloned()
            .collect()
    }

    /// Whether code objects will hold line tables.
    fn debug_info(&self) -> bool {
        let mut all = self.hipcc.flags.iter().chain(&self.extra);
        all.rfind(|flag| flag.starts_with("-g"))
            .is_some_and(|flag| flag != "-g0")
    }
}

/// A module to be compiled for a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The module's name: `quantized`, `moe/moe_gguf`.
    pub module: String,
    /// Its translated file, as a path below the tree's root.
    pub unit: PathBuf,
    /// What to compile it for.
    pub target: TargetId,
}

/// A code object.
#[derive(Debug, Clone)]
pub struct Object {
    /// The ELF file.
    pub bytes: Vec<u8>,
    /// Its digest.
    pub digest: Digest,
    /// Digest of the sources that it was made from.
    pub sources: Digest,
    /// The kernels in it, sorted.
    pub kernels: Vec<String>,
    /// How long the compiler took, now or when the cache got it.
    pub seconds: f64,
    /// Whether it came from the cache.
    pub cached: bool,
}

/// What happens during a build.
#[derive(Debug)]
pub enum Event<'a> {
    /// Before the first job: how many seconds the compiler is expected to need for each, in the order of the jobs.
    Planned(&'a [f64]),
    /// The compiler starts on a job, which the cache didn't have.
    Compiling(&'a Job),
    /// A job is done, with how many seconds the compiler was expected to need for it.
    Done(&'a Job, &'a Result<Object, JobError>, f64),
}

/// Compiles modules of one tree with one toolchain.
#[derive(Debug)]
pub struct Builder<'a> {
    toolchain: Toolchain,
    version: CompilerVersion,
    cache: &'a Cache,
    tree: SourceTree,
    cuda: Option<(String, PathBuf)>,
    archs: &'a Architectures,
    guards: &'a Guards,
    flags: Flags,
    launcher: Option<PathBuf>,
    processors: OnceLock<ProcessorNames>,
}

impl<'a> Builder<'a> {
    /// A builder for the sources in `tree`. `version` is what the toolchain's compiler says it is, `guards` are those of
    /// the rules that translated the sources.
    #[must_use]
    pub fn new(
        toolchain: Toolchain,
        version: CompilerVersion,
        cache: &'a Cache,
        tree: SourceTree,
        archs: &'a Architectures,
        guards: &'a Guards,
        flags: Flags,
    ) -> Self {
        let processors = OnceLock::new();
        Builder {
            toolchain,
            version,
            cache,
            tree,
            cuda: None,
            archs,
            guards,
            flags,
            launcher: None,
            processors,
        }
    }

    /// Shows CUDA lines when the compiler finds errors: in files that it names `label/...`, which are those below
    /// `root`.
    #[must_use]
    pub fn cuda_sources(mut self, label: impl Into<String>, root: impl Into<PathBuf>) -> Self {
        self.cuda = Some((label.into(), root.into()));
        self
    }

    /// Has `program` start the compiler, as `program clang ...` with the arguments that hipcc gives to clang: ccache,
    /// sccache, or any other that keeps or distributes compilations. It must not change what the compiler makes, so it
    /// is no part of a code object's key.
    #[must_use]
    pub fn launcher(mut self, program: Option<PathBuf>) -> Self {
        self.launcher = program;
        self
    }

    /// The digest of compiler and device libraries as they are for a target.
    ///
    /// # Errors
    /// [`BuildError::Toolchain`] if a device library can't be read.
    pub fn toolchain_digest(&self, target: &TargetId) -> Result<Digest, BuildError> {
        let identity = self.toolchain.identity(&target.processor, &self.version)?;
        Ok(Digest(identity))
    }

    /// The files of the project that a unit is made from: translated ones by their path below the tree's root, headers
    /// by their path below the folder that they were found in.
    ///
    /// # Errors
    /// [`BuildError::Source`] if a source can't be read.
    pub fn inputs(&self, unit: &Path) -> Result<Vec<String>, BuildError> {
        let closure = self.tree.closure(unit, self.flags.debug_info())?;
        let roots = || {
            std::iter::once(self.tree.root())
                .chain(self.tree.include().iter().map(PathBuf::as_path))
        };
        let below =
            |path: &PathBuf| roots().find_map(|root| path.strip_prefix(root).ok().map(portable));
        Ok(closure.files.iter().filter_map(below).collect())
    }

    /// The toolchain.
    #[must_use]
    pub fn toolchain(&self) -> &Toolchain {
        &self.toolchain
    }

    /// The compiler.
    #[must_use]
    pub fn compiler(&self) -> &CompilerVersion {
        &self.version
    }

    /// Everything that the compiler is given for a target besides files and folders.
    ///
    /// # Errors
    /// [`BuildError::Arch`] if the target or a guard's feature isn't in the architecture table.
    pub fn arguments(&self, target: &TargetId) -> Result<Vec<String>, BuildError> {
        let mut arguments = self.flags.of(target);
        let arch = match self.archs.get(&target.processor) {
            Some(arch) => arch,
            // Always an error: `select` says what there is.
            None => {
                self.archs.select(&[target.to_string()])?;
                return Ok(arguments);
            }
        };
        let macros = self.archs.macros(arch, self.guards)?;
        arguments.extend(macros.into_iter().map(|text| format!("-D{text}")));
        Ok(arguments)
    }

    /// `None` if the installed compiler can build for `target`, otherwise the reason in words.
    ///
    /// # Errors
    /// [`ToolchainError`] if the compiler can't be asked.
    pub fn obstacle(&self, target: &TargetId) -> Result<Option<String>, ToolchainError> {
        let names = match self.processors.get() {
            Some(names) => names,
            None => {
                let names = self.toolchain.processors()?;
                self.processors.get_or_init(|| names)
            }
        };
        Ok(names.obstacle(&target.processor))
    }

    /// Whether the cache knows this job from an earlier build, so that the compiler surely can do it.
    ///
    /// # Errors
    /// [`BuildError`] if a source can't be read.
    pub fn was_compiled(&self, job: &Job) -> Result<bool, BuildError> {
        Ok(self.cache.entry(self.prepare(job)?.key).is_some())
    }

    /// The code object of one job, from the cache or the compiler.
    ///
    /// # Errors
    /// [`JobError`].
    pub fn object(&self, job: &Job) -> Result<Object, JobError> {
        self.prepare(job)?.object(&|| (), None)
    }

    /// The text that the compiler proper gets to see of a job.
    ///
    /// # Errors
    /// [`JobError`].
    pub fn preprocessed(&self, job: &Job) -> Result<String, JobError> {
        Ok(self.prepare(job)?.compilation(None)?.preprocess()?)
    }

    /// The code objects of all jobs, at most `workers` at a time, in the order of `jobs`. `watch` is told what
    /// happens, from any thread. Jobs that are not done when the build is cancelled end with
    /// [`HipccError::Cancelled`].
    pub fn objects(
        &self,
        jobs: &[Job],
        workers: usize,
        watch: &(dyn Fn(Event<'_>) + Sync),
        cancellation: Option<&Cancellation>,
    ) -> Vec<Result<Object, JobError>> {
        let mut times = schedule::Times::open(self.cache);
        let expected: Vec<f64> = jobs.iter().map(|job| self.expected(&times, job)).collect();
        let mut order: Vec<usize> = (0..jobs.len()).collect();
        order.sort_by(|a, b| expected[*b].total_cmp(&expected[*a]));
        watch(Event::Planned(&expected));

        let work = |index: &usize| {
            let job = &jobs[*index];
            if cancellation.is_some_and(Cancellation::is_cancelled) {
                return Err(HipccError::Cancelled.into());
            }
            self.prepare(job)
                .map_err(JobError::from)?
                .object(&|| watch(Event::Compiling(job)), cancellation)
        };
        let mut results: Vec<Option<Result<Object, JobError>>> =
            jobs.iter().map(|_| None).collect();
        let mut compiled = false;
        schedule::run(&order, workers, work, |position, result| {
            let index = order[position];
            let job = &jobs[index];
            watch(Event::Done(job, &result, expected[index]));
            if let Ok(object) = &result
                && !object.cached
            {
                times.note(&job.module, &job.target.to_string(), object.seconds);
                compiled = true;
            }
            results[index] = Some(result);
        });
        if compiled {
            times.save();
            // A size that can't be read is for the command line to complain about; nothing is lost by keeping all.
            if let Ok(limit) = crate::cache::limit() {
                self.cache.prune(limit);
            }
        }
        let lost = || Err(JobError::CodeObject("the job was not run".to_owned()));
        results
            .into_iter()
            .map(|result| result.unwrap_or_else(lost))
            .collect()
    }

    /// The size of a job's own source in bytes.
    fn source_size(&self, job: &Job) -> u64 {
        std::fs::metadata(self.tree.root().join(&job.unit)).map_or(0, |data| data.len())
    }

    fn expected(&self, times: &schedule::Times, job: &Job) -> f64 {
        let bytes = self.source_size(job);
        times.expected(&job.module, &job.target.to_string(), bytes)
    }

    fn prepare<'b>(&'b self, job: &'b Job) -> Result<Prepared<'b>, BuildError> {
        let closure = self.tree.closure(&job.unit, self.flags.debug_info())?;
        let arguments = self.arguments(&job.target)?;
        let mut text = format!(
            "code object 1\n{}\n{}\n{}\n",
            self.toolchain_digest(&job.target)?,
            job.target,
            closure.digest
        );
        text.push_str(&format!("{}\n", portable(&job.unit)));
        for argument in &arguments {
            text.push_str(argument);
            text.push('\n');
        }
        Ok(Prepared {
            builder: self,
            job,
            closure,
            arguments,
            key: Digest::of(text.as_bytes()),
        })
    }
}

/// A path with `/` between its parts.
fn portable(path: &Path) -> String {
    path.to_string_lossy().replace('\\', "/")
}

/// A job with all that its key is made of.
struct Prepared<'a> {
    builder: &'a Builder<'a>,
    job: &'a Job,
    closure: Closure,
    arguments: Vec<String>,
    key: Digest,
}

impl Prepared<'_> {
    fn object(
        &self,
        compiling: &dyn Fn(),
        cancellation: Option<&Cancellation>,
    ) -> Result<Object, JobError> {
        let cache = self.builder.cache;
        if let Some(hit) = cache.find(self.key) {
            return self.finish(hit.bytes, hit.entry.object, hit.entry.seconds, true);
        }
        let target = &self.job.target;
        if let Some(reason) = self.builder.obstacle(target).map_err(BuildError::from)? {
            return Err(JobError::Unbuildable {
                target: target.clone(),
                reason,
            });
        }
        let wanted = || !cancellation.is_some_and(Cancellation::is_cancelled);
        let Some(_lock) = cache.lock(self.key, &wanted)? else {
            return Err(HipccError::Cancelled.into());
        };
        if let Some(hit) = cache.find(self.key) {
            return self.finish(hit.bytes, hit.entry.object, hit.entry.seconds, true);
        }
        compiling();
        let compiled = self.compilation(cancellation)?.run()?;
        // What was read is not what the key speaks of if somebody edited it meanwhile.
        let (builder, unit) = (self.builder, &self.job.unit);
        let debug_info = builder.flags.debug_info();
        if !builder.tree.is_unchanged(unit, debug_info, &self.closure)? {
            return Err(JobError::Edited(unit.clone()));
        }
        let object = self.finish(compiled.bytes, Digest([0; 32]), compiled.seconds, false)?;
        let entry = cache.store(self.key, &object.bytes, compiled.seconds, compiled.headers)?;
        Ok(Object {
            digest: entry.object,
            ..object
        })
    }

    fn compilation<'b>(
        &'b self,
        cancellation: Option<&'b Cancellation>,
    ) -> Result<hipcc::Compilation<'b>, BuildError> {
        let builder = self.builder;
        let cuda = builder.cuda.as_ref();
        let launcher = match &builder.launcher {
            Some(launcher) => Some((
                launcher.as_path(),
                builder.toolchain_digest(&self.job.target)?,
            )),
            None => None,
        };
        Ok(hipcc::Compilation {
            toolchain: &builder.toolchain,
            launcher,
            cancellation,
            cache: builder.cache,
            tree: &builder.tree,
            cuda: cuda.map(|(label, root)| (label.as_str(), root.as_path())),
            unit: &self.job.unit,
            closure: &self.closure,
            target: &self.job.target,
            arguments: &self.arguments,
        })
    }

    /// Looks into the bytes before anything is told of them.
    fn finish(
        &self,
        bytes: Vec<u8>,
        digest: Digest,
        seconds: f64,
        cached: bool,
    ) -> Result<Object, JobError> {
        let parsed = CodeObject::parse(&bytes).map_err(|e| JobError::CodeObject(e.to_string()))?;
        if parsed.target().processor != self.job.target.processor {
            let message = format!("it is for {}, not {}", parsed.target(), self.job.target);
            return Err(JobError::CodeObject(message));
        }
        let mut kernels: Vec<String> = parsed
            .kernels()
            .iter()
            .map(|kernel| kernel.name.clone())
            .collect();
        kernels.sort();
        Ok(Object {
            bytes,
            digest,
            sources: self.closure.digest,
            kernels,
            seconds,
            cached,
        })
    }
}
