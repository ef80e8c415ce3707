//! Kernels in a build script: CUDA sources in, bundles and constants that embed them out.
//!
//! ```no_run
//! // build.rs
//! use hipify_candle::KernelBuilder;
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     KernelBuilder::new()
//!         .source_dir("kernels")
//!         .archs(["gfx1100", "gfx90a"])
//!         .build()?
//!         .write(std::env::var("OUT_DIR")?)?;
//!     Ok(())
//! }
//! ```
//!
//! The crate then has a constant a module, `kernels/saxpy.cu` as `SAXPY`:
//!
//! ```ignore
//! include!(concat!(env!("OUT_DIR"), "/kernels.rs"));
//! ```
//!
//! Knows the order of the steps and cargo's conventions for build scripts. The steps are [`crate::pipeline`]'s.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fmt, fs, io};

use codeobject::TargetId;
use codeobject::bundle::Writer;

use crate::arch::ArchError;
use crate::build::{self, HipccError, Job, JobError, ManifestError, Message, Object, Part};
use crate::config::Config;
use crate::files::write_changed;
use crate::modules::{Modules, ModulesError};
use crate::pipeline::{Pipeline, PipelineError, Prepared, Sources};
use crate::toolchain::{Toolchain, ToolchainError};
use crate::workdir::WorkDir;

mod prebuilt;

/// What decides which toolchain is found.
const TOOLCHAIN_VARIABLES: [&str; 3] = ["ROCM_PATH", "HIP_PATH", "HIP_CLANG_PATH"];

/// Kernels can't be built or taken.
#[derive(thiserror::Error)]
pub enum KernelBuildError {
    /// There is neither a toolchain nor a folder of bundles.
    #[error(
        "{source}\nThere are two ways out: install ROCm and set ROCM_PATH, or set {variable} to a folder of bundles \
         that `hipify-candle build --out DIR` or a release made."
    )]
    NoToolchain {
        /// Why there is no toolchain.
        source: ToolchainError,
        /// The variable that names a folder of bundles.
        variable: String,
    },
    /// The sources can't be prepared.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// An architecture isn't one.
    #[error(transparent)]
    Arch(#[from] ArchError),
    /// A module isn't one.
    #[error(transparent)]
    Modules(#[from] ModulesError),
    /// Modules have constructs that can't be translated.
    #[error("{module} can't be translated:\n{findings}")]
    Untranslated {
        /// The module.
        module: String,
        /// The constructs, a line each.
        findings: String,
    },
    /// The configuration can't be read.
    #[error(transparent)]
    Config(#[from] crate::config::ConfigError),
    /// The compiler knows none of the targets.
    #[error("{module}: nothing can be compiled: {reasons}")]
    NoTarget {
        /// The module.
        module: String,
        /// Why, a sentence a target.
        reasons: String,
    },
    /// A code object can't be built.
    #[error("{module} for {target}: {source}{findings}")]
    Job {
        /// The module.
        module: String,
        /// The target.
        target: TargetId,
        /// What the compiler found.
        findings: String,
        /// What went wrong.
        source: Box<JobError>,
    },
    /// The folder of bundles can't be used.
    #[error("{folder}: {message}")]
    Bundles {
        /// The folder.
        folder: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// The manifest of the folder of bundles can't be read.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A bundle can't be put together.
    #[error("the bundle of {module}: {source}")]
    Bundle {
        /// The module.
        module: String,
        /// Why.
        source: codeobject::Error,
    },
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
}

impl fmt::Debug for KernelBuildError {
    /// The message: it is what a build script that returns the error from `main` prints.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn failed<'a>(
    action: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> KernelBuildError + 'a {
    move |source| KernelBuildError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}

/// Says what is built. See the [module's page](self).
#[derive(Debug, Clone)]
pub struct KernelBuilder {
    source_dir: Option<PathBuf>,
    modules: Vec<String>,
    archs: Vec<String>,
    /// What is compiled for if nobody asked for anything.
    default_archs: Vec<String>,
    bundles: Option<PathBuf>,
    bundles_variable: String,
    /// The variables that were read, besides that.
    variables: Vec<String>,
    config_dir: Option<PathBuf>,
    flags: Vec<String>,
    work_dir: Option<PathBuf>,
}

impl Default for KernelBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl KernelBuilder {
    /// Builds every PTX module of the pinned candle-kernels for gfx1100, unless told otherwise. The variable
    /// `HIPIFY_BUNDLES` names a folder of bundles that are taken instead.
    #[must_use]
    pub fn new() -> Self {
        KernelBuilder {
            source_dir: None,
            modules: Vec::new(),
            archs: Vec::new(),
            default_archs: vec!["gfx1100".to_owned()],
            bundles: None,
            bundles_variable: "HIPIFY_BUNDLES".to_owned(),
            variables: Vec::new(),
            config_dir: None,
            flags: Vec::new(),
            work_dir: None,
        }
    }

    /// A folder of `.cu` files and their headers instead of candle's. Every `.cu` file is a module.
    #[must_use]
    pub fn source_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.source_dir = Some(folder.into());
        self
    }

    /// Only these modules: names, patterns, or `ptx`, `static`, `all`.
    #[must_use]
    pub fn modules<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.modules.extend(names.into_iter().map(Into::into));
        self
    }

    /// Architectures: `gfx1100`, `gfx90a:xnack-`, families, `common`, `all`.
    #[must_use]
    pub fn archs<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.archs.extend(names.into_iter().map(Into::into));
        self
    }

    /// The architectures that an environment variable lists, with commas between them. If it isn't set, `default` is
    /// compiled for, and bundles that were built before are taken for whatever they have.
    ///
    /// What is named must be there in the end. Of a group (`all`, `rdna3`) those are left out, with a warning, that the
    /// compiler doesn't know or that a folder of bundles lacks.
    #[must_use]
    pub fn archs_from(mut self, variable: &str, default: &str) -> Self {
        self.variables.push(variable.to_owned());
        self.default_archs = list(default);
        match env::var(variable) {
            Ok(text) => self.archs(list(&text)),
            Err(_) => self,
        }
    }

    /// Takes the bundles in this folder instead of compiling, whatever the environment says.
    #[must_use]
    pub fn bundles(mut self, folder: impl Into<PathBuf>) -> Self {
        self.bundles = Some(folder.into());
        self
    }

    /// Takes the bundles in a folder instead of compiling, if this environment variable names one.
    #[must_use]
    pub fn bundles_from(mut self, variable: &str) -> Self {
        variable.clone_into(&mut self.bundles_variable);
        self
    }

    /// Rules, modules and architectures from a folder shaped like this project's `config/`, for CUDA names that its own
    /// rules don't know.
    #[must_use]
    pub fn config_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.config_dir = Some(folder.into());
        self
    }

    /// One more flag for hipcc.
    #[must_use]
    pub fn flag(mut self, flag: impl Into<String>) -> Self {
        self.flags.push(flag.into());
        self
    }

    /// Where fetched sources and translated files go [default: `hipify` in `OUT_DIR`, or what the command takes].
    #[must_use]
    pub fn work_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.work_dir = Some(folder.into());
        self
    }

    /// Builds, from the cache as far as it goes, or takes bundles that were built before.
    ///
    /// # Errors
    /// [`KernelBuildError`].
    pub fn build(&self) -> Result<Kernels, KernelBuildError> {
        let asked = if self.modules.is_empty() && self.source_dir.is_none() {
            vec!["ptx".to_owned()]
        } else {
            self.modules.clone()
        };
        let variables = self.variables.iter().map(String::as_str);
        variables
            .chain([self.bundles_variable.as_str()])
            .for_each(watch_variable);
        if let Some(folder) = &self.source_dir {
            watch_file(folder);
        }
        if let Some(folder) = &self.config_dir {
            watch_file(folder);
        }
        let config = Config::open(self.config_dir.as_deref())?;
        let named = env::var_os(&self.bundles_variable).filter(|value| !value.is_empty());
        match self.bundles.clone().or(named.map(PathBuf::from)) {
            Some(folder) => self.take(&config, &folder, &asked),
            None => self.compile(&config, &asked),
        }
    }

    fn compile(&self, config: &Config, asked: &[String]) -> Result<Kernels, KernelBuildError> {
        let archs = if self.archs.is_empty() {
            &self.default_archs
        } else {
            &self.archs
        };
        TOOLCHAIN_VARIABLES.iter().copied().for_each(watch_variable);
        // Before anything is fetched: whoever has no toolchain needs no sources either.
        let toolchain = Toolchain::find().map_err(|source| KernelBuildError::NoToolchain {
            source,
            variable: self.bundles_variable.clone(),
        })?;
        // Another compiler under the same name makes other code objects.
        watch_file(&toolchain.hipcc);
        watch_file(&toolchain.clang);
        let pipeline = Pipeline::open(config, self.place()?)?.with_flags(&self.flags);
        let sources = Sources {
            folder: self.source_dir.clone(),
            ..Sources::default()
        };
        let prepared = pipeline.prepare(&sources, asked)?;
        if let Some(module) = prepared.untranslated.first() {
            return Err(untranslated(&prepared, module));
        }
        let builder = pipeline.builder(toolchain, &prepared)?;
        let jobs = prepared.jobs(&pipeline.archs().select(archs)?);
        let workers = env::var("NUM_JOBS").ok().and_then(|jobs| jobs.parse().ok());
        let results = builder.objects(&jobs, workers.unwrap_or_else(build::cores), &|_| (), None);
        let named = |target: &TargetId| archs.contains(&target.to_string());
        Kernels::of(jobs, results, &named)
    }

    fn place(&self) -> Result<WorkDir, KernelBuildError> {
        let out = env::var_os("OUT_DIR").map(|out| Path::new(&out).join("hipify"));
        match self.work_dir.clone().or(out) {
            Some(folder) => Ok(WorkDir::at(folder)),
            None => WorkDir::find(None).map_err(failed("find", Path::new("."))),
        }
    }
}

/// The modules of candle whose cargo feature is on in the package that a build script builds: feature `quantized` for
/// `quantized`, `moe-moe_gguf` for `moe/moe_gguf`.
///
/// # Errors
/// If the list of modules is malformed.
pub fn modules_of_features() -> Result<Vec<String>, KernelBuildError> {
    let modules = Modules::load()?;
    let names = modules.all().iter().map(|module| module.name.clone());
    let is_on = |name: &String| {
        let feature = name.replace(['/', '-'], "_").to_ascii_uppercase();
        env::var_os(format!("CARGO_FEATURE_{feature}")).is_some()
    };
    Ok(names.filter(is_on).collect())
}

/// The names in a list with commas.
fn list(text: &str) -> Vec<String> {
    let names = text.split(',').map(|name| name.trim().to_owned());
    names.filter(|name| !name.is_empty()).collect()
}

/// What stops a module's translation, as a compiler tells it.
fn untranslated(prepared: &Prepared, module: &str) -> KernelBuildError {
    let told = prepared.findings(module).map(|found| {
        let mut text = Message::from(found).render(&plain);
        if let Some(help) = &found.help {
            let _ = writeln!(text, "    = help: {help}");
        }
        text
    });
    KernelBuildError::Untranslated {
        module: module.to_owned(),
        findings: told.collect(),
    }
}

/// Bundles, one a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernels {
    modules: BTreeMap<String, Vec<u8>>,
}

impl Kernels {
    fn of(
        jobs: Vec<Job>,
        results: Vec<Result<Object, JobError>>,
        named: &dyn Fn(&TargetId) -> bool,
    ) -> Result<Self, KernelBuildError> {
        let mut writers: BTreeMap<String, Writer<'static>> = BTreeMap::new();
        let mut left_out: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (job, result) in jobs.into_iter().zip(results) {
            if let Err(error @ JobError::Unbuildable { .. }) = &result
                && !named(&job.target)
            {
                warn(&format!(
                    "{} is built without {}: {error}",
                    job.module, job.target
                ));
                let reasons = left_out.entry(job.module).or_default();
                reasons.push(error.to_string());
                continue;
            }
            let object = result.map_err(|source| KernelBuildError::Job {
                module: job.module.clone(),
                target: job.target.clone(),
                findings: findings(&source),
                source: Box::new(source),
            })?;
            let writer = writers.remove(&job.module).unwrap_or_default();
            writers.insert(job.module, writer.add(job.target, object.bytes));
        }
        let empty = |(module, _): &(String, Vec<String>)| !writers.contains_key(module);
        if let Some((module, reasons)) = left_out.into_iter().find(empty) {
            let reasons = reasons.join("; ");
            return Err(KernelBuildError::NoTarget { module, reasons });
        }
        let pack = |(module, writer): (String, Writer<'_>)| match writer.to_vec() {
            Ok(bytes) => Ok((module, bytes)),
            Err(source) => Err(KernelBuildError::Bundle { module, source }),
        };
        let modules = writers.into_iter().map(pack).collect::<Result<_, _>>()?;
        Ok(Kernels { modules })
    }

    /// Modules with their bundles, by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &[u8])> {
        self.modules
            .iter()
            .map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
    }

    /// Writes a bundle a module, and `kernels.rs` with a constant a module.
    ///
    /// # Errors
    /// [`KernelBuildError::Io`].
    pub fn write(&self, folder: impl AsRef<Path>) -> Result<(), KernelBuildError> {
        let folder = folder.as_ref();
        let folder = std::path::absolute(folder).map_err(failed("find", folder))?;
        let mut text = String::from(
            "/// Lies where a page begins, so that a runtime can use a code object in its place.\n\
             #[repr(C, align(4096))]\nstruct Page<T: ?Sized>(T);\n",
        );
        for (module, bytes) in &self.modules {
            let path = folder.join(format!("{module}.hipfb"));
            let parent = path.parent().unwrap_or(&folder);
            fs::create_dir_all(parent).map_err(failed("create", parent))?;
            write_changed(&path, bytes).map_err(failed("write", &path))?;
            let _ = write!(
                text,
                "\n/// The bundle of `{module}`.\npub const {}: &[u8] = {{\n    \
                 static BYTES: &Page<[u8]> = &Page(*include_bytes!({:?}));\n    &BYTES.0\n}};\n",
                constant(module),
                path.display().to_string()
            );
        }
        let path = folder.join("kernels.rs");
        write_changed(&path, text.as_bytes()).map_err(failed("write", &path))?;
        Ok(())
    }
}

/// `mmq_gguf/mmq_quantize` as `MMQ_GGUF_MMQ_QUANTIZE`.
fn constant(module: &str) -> String {
    let letter = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_uppercase()
        } else {
            '_'
        }
    };
    let name: String = module.chars().map(letter).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        format!("_{name}")
    } else {
        name
    }
}

/// Text without colours: cargo shows it indented below its own.
fn plain(_: Part, text: &str) -> String {
    text.to_owned()
}

/// The compiler's findings, as text.
fn findings(error: &JobError) -> String {
    match error {
        JobError::Hipcc(HipccError::Rejected { messages, .. }) => {
            let text = messages.iter().map(|message| message.render(&plain));
            format!("\n{}", text.collect::<String>())
        }
        _ => String::new(),
    }
}

/// Whether cargo runs this as a build script, and so reads what it prints.
fn is_build_script() -> bool {
    env::var_os("OUT_DIR").is_some() && env::var_os("CARGO_MANIFEST_DIR").is_some()
}

fn watch_variable(name: &str) {
    if is_build_script() {
        println!("cargo::rerun-if-env-changed={name}");
    }
}

fn watch_file(path: &Path) {
    if is_build_script() {
        println!("cargo::rerun-if-changed={}", path.display());
    }
}

/// A warning that cargo shows to whoever builds the package itself.
fn warn(text: &str) {
    if is_build_script() {
        println!("cargo::warning={text}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_group_what_the_compiler_knows_is_enough() {
        let unbuildable = |name: &str| {
            let target = TargetId::new(name);
            let job = Job {
                module: "fill".to_owned(),
                unit: PathBuf::from("fill.hip"),
                target: target.clone(),
            };
            let reason = "no".to_owned();
            (job, Err(JobError::Unbuildable { target, reason }))
        };
        let of = |names: &[&str], named: &str| {
            let (jobs, results) = names.iter().map(|name| unbuildable(name)).unzip();
            Kernels::of(jobs, results, &|target| target.to_string() == named)
        };
        // One that was named, and a group of which nothing is left.
        let error = of(&["gfx950"], "gfx950").unwrap_err();
        assert!(matches!(error, KernelBuildError::Job { .. }), "{error}");
        let error = of(&["gfx950", "gfx1250"], "").unwrap_err();
        assert!(
            matches!(error, KernelBuildError::NoTarget { .. }),
            "{error}"
        );
        assert!(of(&[], "").unwrap().modules.is_empty());
    }

    #[test]
    fn constants_are_identifiers() {
        assert_eq!(constant("quantized"), "QUANTIZED");
        assert_eq!(constant("mmq_gguf/mmq-quantize"), "MMQ_GGUF_MMQ_QUANTIZE");
        assert_eq!(constant("3d"), "_3D");
    }
}
