//! `hipify-candle verify`: builds what is missing, finds the runtime library, hands both to `hipify-verify`, prints.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs;
use std::io::{IsTerminal, Write as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use codeobject::TargetId;
use codeobject::bundle::Writer;
use codeobject::processor;
use hipify_verify::render::{self, Style};
use hipify_verify::{KernelGlob, ModuleBundle, Request, html};
use indicatif::{ProgressBar, ProgressStyle};

use super::compile::CompileArgs;
use super::output::{print_document, stdout};
use super::{Failure, Format, Global, Outcome, build};
use crate::build::{Job, JobError, Manifest, Object};
use crate::config::Config;
use crate::modules::{self, Modules};
use crate::pipeline::{Pipeline, Sources};
use crate::toolchain::Toolchain;
use crate::workdir::WorkDir;

/// The runtime library of the emulator, and the variables that find it and name its devices.
const EMULATOR: &str = "libamdhip64.so";
const EMULATOR_LIBRARY: &str = "AMDGPU_EMULATOR_LIB";
const EMULATOR_DEVICES: &str = "AMDGPU_EMULATOR_DEVICES";
const EMULATOR_CHECK: &str = "AMDGPU_EMULATOR_CHECK";
const EMULATOR_LOG: &str = "AMDGPU_EMULATOR_LOG";

/// Run every kernel and hold its results against CUDA's and the CPU's
///
/// Fetches, translates and compiles first what is missing. The kernels run on an emulated GPU, or on a real one with
/// --runtime system.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    compile: CompileArgs,
    /// Only kernels whose names match, such as 'mul_mat_*_q4_K*'
    #[arg(long, value_name = "GLOB")]
    kernel: Option<KernelGlob>,
    /// Recorded outputs of the CUDA kernels [default: tests/data/golden of the checkout]
    #[arg(long, value_name = "DIR")]
    golden: Option<PathBuf>,
    /// The libamdhip64 that runs the kernels: emulator, system, or a file
    #[arg(long, value_name = "RUNTIME", default_value = "emulator")]
    runtime: Runtime,
    /// What the emulator's memory checker does about races, misaligned accesses and reads of memory nobody wrote
    #[arg(long, value_enum, value_name = "MODE", default_value_t = CheckMemory::Error)]
    check_memory: CheckMemory,
    /// Seed of the random data [default: a new one each time, which is printed]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Verify the bundles in DIR, built before, instead of building them
    #[arg(long, value_name = "DIR")]
    bundles: Option<PathBuf>,
    /// Leave upstream defects as they are
    #[arg(long, conflicts_with = "bundles")]
    no_fixes: bool,
}

/// What the emulator's memory checker does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum CheckMemory {
    /// It doesn't run: only accesses outside of every allocation are errors.
    Off,
    /// It reports.
    Warn,
    /// What it finds is an error of the kernel.
    Error,
}

impl CheckMemory {
    fn word(self) -> &'static str {
        match self {
            CheckMemory::Off => "off",
            CheckMemory::Warn => "warn",
            CheckMemory::Error => "error",
        }
    }
}

/// Which runtime library runs the kernels.
#[derive(Debug, Clone)]
enum Runtime {
    Emulator,
    System,
    File(PathBuf),
}

impl FromStr for Runtime {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "emulator" => Runtime::Emulator,
            "system" => Runtime::System,
            file => Runtime::File(file.into()),
        })
    }
}

pub(super) fn run(args: &Args, global: &Global) -> Result<Outcome, Failure> {
    let work = global.work_dir()?;
    let config = global.config()?;
    let pipeline = Pipeline::open(&config, work.clone())?;
    let mut archs = pipeline.archs().select(&args.compile.archs)?;
    // Before anything starts a thread: the emulator reads its devices from the environment when it is loaded.
    let runtime = open_runtime(args, &archs)?;
    let golden = golden_folder(args, &work)?;

    let bundles = match &args.bundles {
        Some(folder) => read_bundles(folder, &config, &args.compile.modules)?,
        None => match build_bundles(args, global, &pipeline, &mut archs)? {
            Some(bundles) => bundles,
            None => return Ok(Outcome::Problems),
        },
    };
    let bundles: Vec<ModuleBundle> = bundles
        .iter()
        .map(|built| ModuleBundle {
            module: &built.module,
            bytes: &built.bytes,
            origin: built.origin.as_deref(),
        })
        .collect();

    let request = Request {
        bundles: &bundles,
        archs: &archs,
        kernels: args.kernel.as_ref(),
        golden: &golden,
        runtime: &runtime,
        emulated: matches!(args.runtime, Runtime::Emulator),
        seed: args.seed.unwrap_or_else(fresh_seed),
    };
    let bar = progress_bar(global.format);
    let report = hipify_verify::verify(&request, &mut |now| {
        bar.set_length(now.total as u64);
        bar.set_position(now.done as u64);
        bar.set_message(format!("{} {}", now.arch, now.kernel));
    });
    bar.finish_and_clear();
    let report = report?;
    match global.format {
        Format::Json => print_document(format_args!("{:#}", report.to_json()))?,
        Format::Html => print_document(html::page(&report))?,
        // anstream takes the colours out again where there is no terminal.
        Format::Human => write!(stdout(), "{}", render::human(&report, Style::ANSI))?,
    }
    Ok(if report.passed() {
        Outcome::Fine
    } else {
        Outcome::Problems
    })
}

/// A number that is short enough to be typed again.
fn fresh_seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |elapsed| elapsed.as_millis() as u64 % 100_000_000)
}

fn progress_bar(format: Format) -> ProgressBar {
    if format != Format::Human || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{bar:24} {pos}/{len}  {wide_msg}") {
        bar.set_style(style);
    }
    bar
}

fn golden_folder(args: &Args, work: &WorkDir) -> Result<PathBuf, Failure> {
    if let Some(folder) = &args.golden {
        return Ok(folder.clone());
    }
    // A work folder elsewhere does not change whose checkout this is.
    let here = WorkDir::find(None).ok();
    let own = [Some(work), here.as_ref()]
        .into_iter()
        .flatten()
        .filter_map(|work| Some(work.checkout()?.join("tests/data/golden")))
        .find(|folder| folder.is_dir());
    own.ok_or_else(|| {
        Failure::new("there are no golden vectors: this is no checkout of hipify-candle")
            .help("name their folder with --golden DIR; the project has them in tests/data/golden")
    })
}

fn open_runtime(args: &Args, archs: &[TargetId]) -> Result<hip_loader::Runtime, Failure> {
    Ok(match &args.runtime {
        Runtime::System => hip_loader::Runtime::load()?,
        Runtime::File(file) => hip_loader::Runtime::open(file)?,
        Runtime::Emulator => {
            let library = emulator()?;
            let devices: Vec<&str> = archs.iter().map(device_for).collect();
            // SAFETY: no thread has been started yet, so nobody reads the environment meanwhile.
            unsafe {
                std::env::set_var(EMULATOR_DEVICES, devices.join(","));
                std::env::set_var(EMULATOR_CHECK, args.check_memory.word());
                // The report says what was found.
                if std::env::var_os(EMULATOR_LOG).is_none() {
                    std::env::set_var(EMULATOR_LOG, "off");
                }
            }
            hip_loader::Runtime::open(library)?
        }
    })
}

/// The processor that runs code for `arch`: itself, or the first that a generic target covers.
fn device_for(arch: &TargetId) -> &str {
    processor::by_name(&arch.processor)
        .filter(|known| known.is_generic())
        .and_then(|generic| generic.members().next())
        .map_or(arch.processor.as_str(), |member| member.name)
}

/// The emulator's library: the one that a variable names, or the one beside the program, where cargo puts both.
fn emulator() -> Result<PathBuf, Failure> {
    if let Some(named) = std::env::var_os(EMULATOR_LIBRARY).filter(|value| !value.is_empty()) {
        return Ok(named.into());
    }
    let program = std::env::current_exe()?;
    let beside = program.parent().map(|folder| folder.join(EMULATOR));
    match beside {
        Some(library) if library.is_file() => Ok(library),
        _ => {
            let looked = beside.unwrap_or_default();
            let message = format!(
                "the emulator is not built: there is no {}",
                looked.display()
            );
            Err(Failure::new(message).help(format!(
                "build it with `cargo build --release -p amdgpu-emulator`, or set {EMULATOR_LIBRARY} to its library"
            )))
        }
    }
}

/// A module's bundle and what it was built from.
struct Built {
    module: String,
    bytes: Vec<u8>,
    origin: Option<String>,
}

/// The bundles that `asked` selects of those that `hipify-candle build` wrote to a folder.
fn read_bundles(folder: &Path, config: &Config, asked: &[String]) -> Result<Vec<Built>, Failure> {
    let manifest = Manifest::read(folder)?.ok_or_else(|| {
        Failure::new(format!("{} has no manifest.json", folder.display()))
            .help("`hipify-candle build --out DIR` writes bundles with their manifest")
    })?;
    let files: Vec<String> = manifest
        .modules
        .keys()
        .map(|name| format!("{name}.cu"))
        .collect();
    let known = Modules::from_config(config)?.of_tree(files.iter().map(String::as_str));
    let mut bundles = Vec::new();
    for module in modules::select(&known, asked)? {
        let entry = &manifest.modules[&module.name];
        let path = folder.join(&entry.bundle);
        let bytes = fs::read(&path)
            .map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
        bundles.push(Built {
            module: module.name.clone(),
            bytes,
            origin: entry.origin.clone(),
        });
    }
    Ok(bundles)
}

/// Compiles what the cache lacks and bundles the modules in memory; what was printed says why there is `None`.
/// Architectures of a group that the compiler can't build are named and taken out of `archs`.
fn build_bundles(
    args: &Args,
    global: &Global,
    pipeline: &Pipeline,
    archs: &mut Vec<TargetId>,
) -> Result<Option<Vec<Built>>, Failure> {
    let sources = Sources {
        faithful: args.no_fixes,
        ..Sources::default()
    };
    let prepared = pipeline.prepare(&sources, &args.compile.modules)?;
    build::print_untranslated(&prepared, global.format)?;
    let builder = pipeline.builder(Toolchain::find()?, &prepared)?;
    let jobs = prepared.jobs(archs);
    let results = args.compile.objects(&builder, &jobs, global.format)?;
    let results: Vec<(Job, Result<Object, JobError>)> = jobs.into_iter().zip(results).collect();
    build::print_errors(&results)?;
    let broken = |result: &Result<_, JobError>| matches!(result, Err(e) if !build::is_left_out(e));
    if !prepared.untranslated.is_empty() || results.iter().any(|(_, result)| broken(result)) {
        return Ok(None);
    }
    leave_out(&results, archs)?;
    let mut bundles: Vec<(String, Writer)> = Vec::new();
    for (job, result) in results {
        let Ok(object) = result else { continue };
        if bundles
            .last()
            .is_none_or(|(module, _)| *module != job.module)
        {
            bundles.push((job.module.clone(), Writer::new()));
        }
        if let Some((_, writer)) = bundles.last_mut() {
            *writer = std::mem::take(writer).add(job.target, object.bytes);
        }
    }
    bundles
        .into_iter()
        .map(|(module, writer)| {
            Ok(Built {
                module,
                bytes: writer.to_vec()?,
                origin: prepared.origin.clone(),
            })
        })
        .collect::<Result<_, Failure>>()
        .map(Some)
}

/// Takes the architectures out of `archs` that the compiler can't build, unless none would be left.
fn leave_out(
    results: &[(Job, Result<Object, JobError>)],
    archs: &mut Vec<TargetId>,
) -> Result<(), Failure> {
    let mut reasons = BTreeMap::new();
    for (job, result) in results {
        if let Err(error) = result {
            reasons.insert(&job.target, error.to_string());
        }
    }
    archs.retain(|arch| !reasons.contains_key(arch));
    let reasons: Vec<String> = reasons.into_values().collect();
    if archs.is_empty() && !reasons.is_empty() {
        return Err(Failure::new(reasons.join("; ")));
    }
    for reason in reasons {
        writeln!(anstream::stderr(), "left out: {reason}")?;
    }
    Ok(())
}
