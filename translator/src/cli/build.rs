//! `hipify-candle build`

use std::collections::BTreeMap;
use std::io::Write as _;
use std::ops::Add as _;
use std::path::PathBuf;
use std::time::Instant;

use codeobject::TargetId;
use codeobject::bundle::Compression;
use serde_json::json;

use super::compile::CompileArgs;
use super::output::{print_document, stdout};
use super::{Failure, Format, Global, Outcome, drift, render};
use crate::build::{
    HipccError, Job, JobError, Message, ModuleObjects, Object, Output, Packing, Part, PartEntry,
    Shard, Written,
};
use crate::diagnostic::Severity;
use crate::lock::Scope;
use crate::pipeline::{Pipeline, Prepared, Sources};
use crate::toolchain::Toolchain;

/// Compile kernels to code objects and bundle them, one bundle a module
///
/// Fetches and translates first if need be. Only what changed is compiled.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A folder of CUDA sources [default: the pinned candle-kernels]
    src: Option<PathBuf>,
    #[command(flatten)]
    compile: CompileArgs,
    /// Where bundles and manifest.json go [default: bundles in the work dir]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Leave upstream defects as they are
    #[arg(long)]
    no_fixes: bool,
    /// Compile the files in DIR as they are, translated before
    #[arg(long, value_name = "DIR", conflicts_with_all = ["src", "no_fixes"])]
    translated: Option<PathBuf>,
    /// One more flag for hipcc; may be given several times
    #[arg(long = "hipcc-flag", value_name = "FLAG", allow_hyphen_values = true)]
    flags: Vec<String>,
    /// Have PROGRAM start every compiler: sccache, ccache, or any other (`PROGRAM clang ...`)
    #[arg(long, value_name = "PROGRAM")]
    launcher: Option<String>,
    /// Build one part of N, for `hipify-candle merge` to put together
    #[arg(long, value_name = "I/N", conflicts_with_all = ["check", "update"])]
    shard: Option<Shard>,
    #[command(flatten)]
    packing: PackingArgs,
    #[command(flatten)]
    lock: drift::LockArgs,
}

/// How bundles are stored.
#[derive(Debug, clap::Args)]
pub(super) struct PackingArgs {
    /// Compress bundles with zstd as clang does (CCOB), at LEVEL 1 to 22 [default level: 12]
    #[arg(long, value_name = "LEVEL", num_args = 0..=1, require_equals = true, default_missing_value = "12",
          value_parser = clap::value_parser!(i32).range(1..=22))]
    compress: Option<i32>,
}

impl PackingArgs {
    pub fn packing(&self) -> Packing {
        self.compress.map_or(Packing::Plain, |level| {
            Packing::Compressed(Compression { level })
        })
    }
}

pub(super) fn run(args: &Args, global: &Global) -> Result<Outcome, Failure> {
    let start = Instant::now();
    let work = global.work_dir()?;
    let pipeline = Pipeline::open(&global.config()?, work.clone())?.with_flags(&args.flags);
    let targets = pipeline.archs().select(&args.compile.archs)?;
    let launcher = args.launcher.as_deref().map(launcher).transpose()?;
    let toolchain = Toolchain::find()?;
    let out = args.out.clone().unwrap_or_else(|| work.bundles());
    // A check changes nothing: what is translated for it goes away again.
    let scratch = args.lock.check.then(tempfile::tempdir).transpose()?;
    let output = match scratch {
        Some(_) => None,
        None => Some(Output::open(out.clone())?.packed(args.packing.packing())),
    };
    let sources = Sources {
        folder: args.src.clone(),
        faithful: args.no_fixes,
        translated: args.translated.clone(),
        into: scratch.as_ref().map(|folder| folder.path().to_owned()),
    };
    let (prepared, version) = rayon::join(
        || pipeline.prepare(&sources, &args.compile.modules),
        || toolchain.compiler_version(),
    );
    let prepared = prepared?;
    print_untranslated(&prepared, global.format)?;
    let builder = pipeline
        .builder_for(toolchain, version?, &prepared)?
        .launcher(launcher);

    let named = |target: &TargetId| args.compile.archs.contains(&target.to_string());
    let mut jobs = prepared.jobs(&targets);
    let mut part = None;
    if let Some(shard) = args.shard {
        part = Some(shard.entry(&builder, &jobs)?);
        jobs = shard.of(&builder, jobs);
    }
    for target in targets.iter().filter(|target| named(target)) {
        let first = jobs.iter().find(|job| job.target == *target);
        if let Some(job) = first
            && !builder.was_compiled(job)?
            && let Some(reason) = builder.obstacle(target)?
        {
            let target = target.clone();
            return Err(JobError::Unbuildable { target, reason }.into());
        }
    }

    let results = args.compile.objects(&builder, &jobs, global.format)?;

    let mut report = Report {
        start,
        workers: args.compile.workers(),
        written: Vec::new(),
        results: jobs.into_iter().zip(results).collect(),
    };
    if let Some(mut output) = output {
        if let Some(part) = part {
            let failed = report.failed();
            output = output.part(PartEntry { failed, ..part });
        }
        let good = report.complete_modules();
        let bundled = output.write(&builder, prepared.origin.as_deref(), &good);
        drop(good);
        report.written = bundled?;
    }
    let mut applied = None;
    if args.lock.is_asked() {
        let mut now = pipeline.lock(&prepared)?.ok_or_else(|| {
            Failure::new("the lock is about sources: --translated has none to compare")
        })?;
        let built = report.results.iter();
        let objects = built.filter_map(|(job, result)| Some((job, result.as_ref().ok()?)));
        now.add_code_objects(&builder, objects)?;
        let inputs_of = |module: &str| {
            let unit = prepared.units.iter().find(|(name, _)| name == module);
            let inputs = unit.and_then(|(_, unit)| builder.inputs(unit).ok());
            inputs.into_iter().flatten().collect()
        };
        let whole = args.compile.modules.iter().any(|module| module == "all");
        let scope = if whole { Scope::Whole } else { Scope::Part };
        applied = Some(args.lock.apply(&work, now, scope, &inputs_of)?);
    }
    match global.format {
        Format::Json => print_document(report.json(&out, &prepared, applied.as_ref()))?,
        Format::Human | Format::Html => {
            report.print((!args.lock.check).then_some(out.as_path()))?;
            applied.as_ref().map_or(Ok(()), drift::Applied::print)?;
        }
    }
    let drifted = applied.is_some_and(|applied| applied.drifted());
    let failed = report
        .results
        .iter()
        .any(|(_, result)| matches!(result, Err(error) if !is_left_out(error)));
    Ok(if failed || drifted || !prepared.untranslated.is_empty() {
        Outcome::Problems
    } else {
        Outcome::Fine
    })
}

/// Where the program is that starts compilers. Compilers run in another folder than this command.
fn launcher(name: &str) -> Result<PathBuf, Failure> {
    let found = which::which(name).ok();
    found
        .and_then(|path| std::path::absolute(path).ok())
        .ok_or_else(|| {
            Failure::new(format!("there is no program `{name}` to start compilers"))
                .help("install it, or leave out --launcher; it takes one program without arguments")
        })
}

/// A target of a group that the compiler doesn't know is left out of the bundles; one that was named stops the build
/// before it starts.
pub(super) fn is_left_out(error: &JobError) -> bool {
    matches!(error, JobError::Unbuildable { .. })
}

/// Says what stops the translation of the modules that can't be built.
pub(super) fn print_untranslated(prepared: &Prepared, format: Format) -> Result<(), Failure> {
    let (Some(translation), Some(cuda), Format::Human) =
        (&prepared.translation, &prepared.cuda, format)
    else {
        return Ok(());
    };
    let mut err = anstream::stderr().lock();
    for diagnostic in translation
        .diagnostics()
        .filter(|d| d.severity == Severity::Error)
    {
        let path = cuda.join(&diagnostic.file);
        writeln!(err, "{}", render::diagnostic(diagnostic, &path))?;
    }
    Ok(())
}

/// What became of everything.
struct Report {
    start: Instant,
    workers: usize,
    written: Vec<Written>,
    results: Vec<(Job, Result<Object, JobError>)>,
}

impl Report {
    /// The modules all of whose targets were built, save those that are left out.
    fn complete_modules(&self) -> Vec<ModuleObjects<'_>> {
        let mut modules: Vec<ModuleObjects<'_>> = Vec::new();
        let mut failed: Vec<&str> = Vec::new();
        for (job, result) in &self.results {
            let module = job.module.as_str();
            if modules.last().is_none_or(|last| last.module != module) {
                modules.push(ModuleObjects {
                    module,
                    objects: Vec::new(),
                });
            }
            match (result, modules.last_mut()) {
                (Ok(object), Some(last)) => last.objects.push((&job.target, object)),
                (Err(error), _) if !is_left_out(error) => failed.push(module),
                _ => {}
            }
        }
        modules.retain(|entry| !entry.objects.is_empty() && !failed.contains(&entry.module));
        modules
    }

    /// The code objects that could not be made, as `module target`.
    fn failed(&self) -> Vec<String> {
        let failed = |(job, result): &(Job, Result<Object, JobError>)| {
            matches!(result, Err(error) if !is_left_out(error))
                .then(|| format!("{} {}", job.module, job.target))
        };
        self.results.iter().filter_map(failed).collect()
    }

    /// `out` is where bundles were written to, if they were.
    fn print(&self, out: Option<&std::path::Path>) -> Result<(), Failure> {
        print_errors(&self.results)?;
        let mut stdout = stdout();
        self.table(&mut stdout)?;
        let fresh: Vec<f64> = self
            .objects()
            .filter(|object| !object.cached)
            .map(|object| object.seconds)
            .collect();
        let changed = self
            .written
            .iter()
            .filter(|written| written.changed)
            .count();
        if let Some(out) = out {
            let bundles = self.written.len();
            write!(
                stdout,
                "{bundles} bundles in {}, {changed} written; ",
                out.display()
            )?;
        }
        writeln!(
            stdout,
            "{} code objects compiled, {} from the cache; {:.2} s, {:.1} s of hipcc by up to {} at once",
            fresh.len(),
            self.objects().filter(|object| object.cached).count(),
            self.start.elapsed().as_secs_f64(),
            fresh.iter().copied().fold(0.0, f64::add),
            self.workers,
        )?;
        let mut left_out: Vec<&JobError> = Vec::new();
        for error in self
            .results
            .iter()
            .filter_map(|(_, result)| result.as_ref().err())
            .filter(|e| is_left_out(e))
        {
            if !left_out
                .iter()
                .any(|other| other.to_string() == error.to_string())
            {
                left_out.push(error);
            }
        }
        for error in left_out {
            writeln!(stdout, "left out: {error}")?;
        }
        Ok(())
    }

    /// A row for every module and target; targets of a module that all came from the cache share one.
    fn table(&self, out: &mut impl std::io::Write) -> Result<(), Failure> {
        let built = || {
            self.results
                .iter()
                .filter_map(|(job, r)| Some((job, r.as_ref().ok()?)))
        };
        let width = built()
            .map(|(job, _)| job.module.len())
            .max()
            .unwrap_or(0)
            .max(6);
        if built().next().is_none() {
            return Ok(());
        }
        writeln!(
            out,
            "{:<width$}  {:<16}  {:>8}  {:>9}  {:>7}",
            "module", "target", "hipcc s", "bytes", "kernels"
        )?;
        let mut row = |module: &str, target: &str, seconds: Option<f64>, objects: &[&Object]| {
            let seconds = seconds.map_or_else(|| "cached".to_owned(), |s| format!("{s:.1}"));
            let bytes: usize = objects.iter().map(|object| object.bytes.len()).sum();
            let kernels = objects.iter().map(|object| object.kernels.len()).max();
            let kernels = kernels.unwrap_or(0);
            writeln!(
                out,
                "{module:<width$}  {target:<16}  {seconds:>8}  {bytes:>9}  {kernels:>7}"
            )
        };
        let mut modules: Vec<&str> = built().map(|(job, _)| job.module.as_str()).collect();
        modules.dedup();
        for module in modules {
            let of = || built().filter(|(job, _)| job.module == module);
            let cached: Vec<_> = of().filter(|(_, object)| object.cached).collect();
            if let [first, rest @ ..] = cached.as_slice() {
                let target = match rest.len() {
                    0 => first.0.target.to_string(),
                    more => format!("{} targets", more + 1),
                };
                let objects: Vec<&Object> = cached.iter().map(|(_, object)| *object).collect();
                row(module, &target, None, &objects)?;
            }
            for (job, object) in of().filter(|(_, object)| !object.cached) {
                row(
                    module,
                    &job.target.to_string(),
                    Some(object.seconds),
                    &[object],
                )?;
            }
        }
        Ok(())
    }

    fn objects(&self) -> impl Iterator<Item = &Object> {
        self.results
            .iter()
            .filter_map(|(_, result)| result.as_ref().ok())
    }

    fn json(
        &self,
        out: &std::path::Path,
        prepared: &Prepared,
        lock: Option<&drift::Applied>,
    ) -> serde_json::Value {
        let mut modules: BTreeMap<&str, serde_json::Map<String, serde_json::Value>> =
            BTreeMap::new();
        for (job, result) in &self.results {
            let value = match result {
                Ok(object) => json!({
                    "status": if object.cached { "cached" } else { "compiled" },
                    "seconds": object.seconds,
                    "bytes": object.bytes.len(),
                    "sha256": object.digest,
                    "kernels": object.kernels.len(),
                }),
                Err(JobError::Hipcc(HipccError::Rejected { messages, .. })) => {
                    json!({ "status": "failed", "messages": messages })
                }
                Err(JobError::Unbuildable { reason, .. }) => {
                    json!({ "status": "unbuildable", "reason": reason })
                }
                Err(error) => json!({ "status": "failed", "reason": error.to_string() }),
            };
            modules
                .entry(&job.module)
                .or_default()
                .insert(job.target.to_string(), value);
        }
        let bundles: BTreeMap<&str, serde_json::Value> = self
            .written
            .iter()
            .map(|w| {
                (
                    w.module.as_str(),
                    json!({ "path": w.path, "bytes": w.bytes, "changed": w.changed }),
                )
            })
            .collect();
        let untranslated: BTreeMap<&str, Vec<_>> = prepared
            .untranslated
            .iter()
            .map(|module| (module.as_str(), prepared.findings(module).collect()))
            .collect();
        json!({
            "out": out,
            "bundles": bundles,
            "modules": modules,
            "untranslated": untranslated,
            "lock": lock.map(drift::Applied::to_json),
            "seconds": self.start.elapsed().as_secs_f64(),
        })
    }
}

/// Prints each finding once, however many targets it stops.
pub(super) fn print_errors(results: &[(Job, Result<Object, JobError>)]) -> Result<(), Failure> {
    let mut err = anstream::stderr().lock();
    let mut seen: Vec<(&str, String, Vec<String>)> = Vec::new();
    for (job, result) in results {
        let text = match result {
            Err(JobError::Hipcc(HipccError::Rejected { messages, .. })) => findings(messages),
            Err(error) if !is_left_out(error) => format!("error: {error}\n"),
            _ => continue,
        };
        let target = job.target.to_string();
        match seen
            .iter_mut()
            .find(|(module, other, _)| *module == job.module && *other == text)
        {
            Some((_, _, targets)) => targets.push(target),
            None => seen.push((&job.module, text, vec![target])),
        }
    }
    let bold = anstyle::Style::new().bold();
    for (module, text, targets) in seen {
        writeln!(err, "{bold}{module} for {}{bold:#}", targets.join(", "))?;
        writeln!(err, "{text}")?;
    }
    Ok(())
}

/// The compiler's findings as text, coloured if this terminal takes it.
fn findings(messages: &[Message]) -> String {
    let (red, yellow, blue) = (
        anstyle::AnsiColor::Red,
        anstyle::AnsiColor::Yellow,
        anstyle::AnsiColor::Blue,
    );
    let paint = |part: Part, text: &str| {
        let style = match part {
            Part::Word(Severity::Error) => red.on_default().bold(),
            Part::Word(Severity::Warning) => yellow.on_default().bold(),
            Part::Word(Severity::Note) => anstyle::Style::new().bold(),
            Part::Edge => blue.on_default(),
            Part::Mark => red.on_default(),
        };
        format!("{style}{text}{style:#}")
    };
    messages
        .iter()
        .map(|message| message.render(&paint))
        .collect()
}
