//! `hipify-candle build`

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write as _};
use std::ops::Add as _;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use codeobject::TargetId;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::{Failure, Format, Global, Outcome, render};
use crate::build::{
    Event, HipccError, Job, JobError, Message, ModuleObjects, Object, Output, Part, Written,
};
use crate::diagnostic::Severity;
use crate::pipeline::{Pipeline, Prepared, Sources};
use crate::toolchain::Toolchain;

/// Compile kernels to code objects and bundle them, one bundle a module
///
/// Fetches and translates first if need be. Only what changed is compiled.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A folder of CUDA sources [default: the pinned candle-kernels]
    src: Option<PathBuf>,
    /// Architectures: gfx1100, gfx90a:xnack-, families (rdna3), rdna, cdna, generic, all
    #[arg(
        long = "arch",
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "gfx1100"
    )]
    archs: Vec<String>,
    /// Modules: names, patterns (mmq_gguf/*), or ptx, static, all
    #[arg(
        long = "module",
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "ptx"
    )]
    modules: Vec<String>,
    /// Where bundles and manifest.json go [default: bundles in the work dir]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// How many compilers run at once [default: one a core]
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// Leave upstream defects as they are
    #[arg(long)]
    no_fixes: bool,
    /// Compile the files in DIR as they are, translated before
    #[arg(long, value_name = "DIR", conflicts_with_all = ["src", "no_fixes"])]
    translated: Option<PathBuf>,
    /// One more flag for hipcc; may be given several times
    #[arg(long = "hipcc-flag", value_name = "FLAG", allow_hyphen_values = true)]
    flags: Vec<String>,
}

pub(super) fn run(args: &Args, global: &Global) -> Result<Outcome, Failure> {
    let start = Instant::now();
    let pipeline = Pipeline::open(&global.config()?, global.work_dir()?)?.with_flags(&args.flags);
    let targets = pipeline.archs().select(&args.archs)?;
    let toolchain = Toolchain::find()?;
    let out = match &args.out {
        Some(out) => out.clone(),
        None => global.work_dir()?.bundles(),
    };
    let output = Output::open(out.clone())?;
    let sources = Sources {
        folder: args.src.clone(),
        faithful: args.no_fixes,
        translated: args.translated.clone(),
    };
    let prepared = pipeline.prepare(&sources, &args.modules)?;
    print_untranslated(&prepared, global.format)?;
    let builder = pipeline.builder(toolchain, &prepared)?;

    let named = |target: &TargetId| args.archs.contains(&target.to_string());
    let jobs = prepared.jobs(&targets);
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

    let workers = args.jobs.map_or_else(default_jobs, usize::from);
    let progress = Progress::new(&jobs, global.format);
    let results = builder.objects(&jobs, workers, &|event| progress.tell(&event));
    progress.finish();

    let mut report = Report {
        start,
        workers,
        written: Vec::new(),
        results: jobs.into_iter().zip(results).collect(),
    };
    let good = report.complete_modules();
    let bundled = output.write(&builder, prepared.origin.as_deref(), &good);
    drop(good);
    report.written = bundled?;
    match global.format {
        Format::Json => println!("{}", report.json(&out, &prepared)),
        Format::Human => report.print(&out)?,
    }
    let failed = report
        .results
        .iter()
        .any(|(_, result)| matches!(result, Err(error) if !is_left_out(error)));
    Ok(if failed || !prepared.untranslated.is_empty() {
        Outcome::Problems
    } else {
        Outcome::Fine
    })
}

pub(super) fn default_jobs() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
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

/// The bar on a terminal: jobs weighed with the seconds that they took last time.
pub(super) struct Progress {
    bar: ProgressBar,
    running: Mutex<Vec<String>>,
}

impl Progress {
    pub(super) fn new(jobs: &[Job], format: Format) -> Self {
        let visible = format == Format::Human && std::io::stderr().is_terminal();
        let bar = if visible {
            ProgressBar::new(jobs.len() as u64)
        } else {
            ProgressBar::hidden()
        };
        let style =
            ProgressStyle::with_template("{bar:24} {pos}/{len}  {elapsed_precise}  {wide_msg}");
        if let Ok(style) = style {
            bar.set_style(style);
        }
        Progress {
            bar,
            running: Mutex::default(),
        }
    }

    pub(super) fn tell(&self, event: &Event<'_>) {
        let mut running = self
            .running
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        match event {
            Event::Compiling(job) => {
                running.push(name(job));
                // Only now is it known that this takes long enough to be looked at.
                self.bar.enable_steady_tick(Duration::from_millis(200));
            }
            Event::Done(job, ..) => {
                running.retain(|other| *other != name(job));
                self.bar.inc(1);
            }
        }
        self.bar.set_message(running.join(", "));
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn name(job: &Job) -> String {
    format!("{} {}", job.module, job.target)
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

    fn print(&self, out: &std::path::Path) -> Result<(), Failure> {
        print_errors(&self.results)?;
        let mut stdout = anstream::stdout().lock();
        let width = self
            .written
            .iter()
            .map(|written| written.module.len())
            .max()
            .unwrap_or(0)
            .max(6);
        if !self.written.is_empty() {
            writeln!(
                stdout,
                "{:<width$}  targets  cached  hipcc s      bytes  kernels",
                "module"
            )?;
        }
        let objects = |module: &str| {
            let of = move |job: &Job| job.module == module;
            let all: Vec<&Object> = self
                .results
                .iter()
                .filter(|(job, _)| of(job))
                .filter_map(|(_, r)| r.as_ref().ok())
                .collect();
            all
        };
        for written in &self.written {
            let objects = objects(&written.module);
            let fresh: Vec<_> = objects.iter().filter(|object| !object.cached).collect();
            writeln!(
                stdout,
                "{:<width$}  {:>7}  {:>6}  {:>7.1}  {:>9}  {:>7}",
                written.module,
                objects.len(),
                objects.len() - fresh.len(),
                fresh
                    .iter()
                    .map(|object| object.seconds)
                    .fold(0.0, f64::add),
                written.bytes,
                objects
                    .iter()
                    .map(|object| object.kernels.len())
                    .max()
                    .unwrap_or(0),
            )?;
        }
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
        writeln!(
            stdout,
            "{} bundles in {}, {changed} written; {} code objects compiled, {} from the cache; {:.2} s, {:.1} s of \
             hipcc by up to {} at once",
            self.written.len(),
            out.display(),
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

    fn objects(&self) -> impl Iterator<Item = &Object> {
        self.results
            .iter()
            .filter_map(|(_, result)| result.as_ref().ok())
    }

    fn json(&self, out: &std::path::Path, prepared: &Prepared) -> serde_json::Value {
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
