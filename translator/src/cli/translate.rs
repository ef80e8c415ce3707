//! `hipify-candle translate`

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use similar::TextDiff;

use super::output::{print_document, stdout};
use super::{Failure, Format, Global, Outcome, drift, render};
use crate::device_header;
use crate::diagnostic::Severity;
use crate::fetch;
use crate::fixes::Fixes;
use crate::lock::{Lock, Scope};
use crate::modules::Modules;
use crate::rules::{HipVersion, Rules};
use crate::translate::{Drift, Tree, TreeTranslation, translate_tree};
use crate::workdir::WorkDir;

/// Translate CUDA sources to HIP
///
/// Without SRC, the fetched candle-kernels (fetched first if need be). The output keeps the tree's shape: .cu becomes
/// .hip, headers keep their names.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder to translate
    src: Option<PathBuf>,
    /// Where to write [default: kernels-hip in the work dir]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Only these modules and the headers that they include: names, patterns (mmq_gguf/*), or ptx, static, all
    #[arg(long = "module", value_name = "LIST", value_delimiter = ',')]
    modules: Vec<String>,
    #[command(flatten)]
    lock: drift::LockArgs,
    /// Write nothing; print what translation changes, or with --check what is different in the output folder
    #[arg(long)]
    diff: bool,
    /// Leave upstream defects as they are
    #[arg(long)]
    no_fixes: bool,
    /// List constructs without a translation in text that no AMD target compiles, too
    #[arg(long)]
    notes: bool,
    /// Translate for this version of HIP and later [default: the oldest that the rules support]
    #[arg(long, value_name = "VERSION")]
    hip: Option<HipVersion>,
    /// The version of candle-kernels to translate [default: the pinned one]
    #[arg(long, value_name = "VERSION", conflicts_with = "src")]
    version: Option<String>,
}

pub(super) fn run(args: &Args, global: &Global) -> Result<Outcome, Failure> {
    let start = Instant::now();
    let work = global.work_dir()?;
    let fetched = match &args.src {
        Some(_) => None,
        None => Some(fetch::located(&work, args.version.as_deref())?),
    };
    let src = args
        .src
        .clone()
        .or_else(|| fetched.as_ref().map(fetch::Fetched::src))
        .unwrap_or_default();
    let config = global.config()?;
    let (rules, tree) = rayon::join(
        || Rules::from_config(&config, args.hip),
        || Tree::read(&src),
    );
    let (rules, tree) = (rules?, tree?);
    let fixes = if args.no_fixes {
        Fixes::none()
    } else {
        Fixes::from_config(&config)?
    };
    let modules = Modules::from_config(&config)?;
    let translation = translate_tree(&tree, &rules, &fixes, &modules, &args.modules)?;

    let out = args.out.clone().unwrap_or_else(|| work.hip());
    let mut result = Done {
        tree: &tree,
        translation: &translation,
        out: &out,
        written: None,
        drift: None,
        took: Duration::ZERO,
    };
    if args.lock.check {
        let mut drift = translation.check(&out);
        if args.compares_lock(&work) {
            // The lock is what counts. Files that were generated before show what a change does to them, if they are there.
            drift.retain(|file| file.found.is_some());
        }
        result.drift = Some(drift);
    } else if !args.diff {
        result.written = Some(translation.write(&out)?);
    }
    let mut applied = None;
    if args.lock.update || (args.lock.check && args.compares_lock(&work)) {
        let header = device_header::folder(&work)?;
        let checksum = fetched.map(|fetched| fetched.checksum);
        let mut now = Lock::of_translation(&config, &src, &header, &translation, checksum)?;
        if let Some(path) = args.lock.path(&work).filter(|_| args.lock.check)
            && let Some(locked) = Lock::read(&path)?
        {
            // The header is an input of builds alone.
            now.header = locked.header;
        }
        let whole = args.modules.is_empty() || args.modules.iter().any(|module| module == "all");
        let scope = if whole { Scope::Whole } else { Scope::Part };
        applied = Some(args.lock.apply(&work, now, scope, &|_| BTreeSet::new())?);
    }
    let against_lock = args.lock.check && applied.is_some();
    result.took = start.elapsed();
    match global.format {
        Format::Json => result.print_json(args.diff, applied.as_ref())?,
        Format::Human | Format::Html => {
            if against_lock {
                // What stops a module is as old as the lock; what is new shows as drift.
                result.print_diffs(args.diff)?;
            } else {
                result.print(args.diff, args.notes)?;
            }
            applied.as_ref().map_or(Ok(()), drift::Applied::print)?;
        }
    }
    let generated_drifted = result.drift.is_some_and(|drift| !drift.is_empty());
    let drifted =
        applied.is_some_and(|applied| applied.drifted()) || (generated_drifted && !against_lock);
    // Neither is what stops a module a reason to fail once it is written down.
    let locked = against_lock || args.lock.update;
    Ok(if drifted || (translation.errors() > 0 && !locked) {
        Outcome::Problems
    } else {
        Outcome::Fine
    })
}

impl Args {
    /// Whether this is a translation that the lock speaks of: one was named, or this is a checkout, which has one, and
    /// nothing asks for other sources or another way of translating.
    fn compares_lock(&self, work: &WorkDir) -> bool {
        let other =
            self.src.is_some() || self.version.is_some() || self.no_fixes || self.hip.is_some();
        let own = Lock::path(work).is_some();
        self.lock.lock.is_some() || (own && !other)
    }
}

/// What was done.
struct Done<'a> {
    tree: &'a Tree,
    translation: &'a TreeTranslation,
    out: &'a Path,
    written: Option<Vec<PathBuf>>,
    drift: Option<Vec<Drift>>,
    took: Duration,
}

impl Done<'_> {
    /// The differences asked for, each as a unified diff.
    fn diffs(&self) -> Vec<String> {
        let unified = |from: &str, to: &str, old: &str, new: &str| {
            TextDiff::from_lines(old, new)
                .unified_diff()
                .header(from, to)
                .to_string()
        };
        let files = &self.translation.files;
        match &self.drift {
            Some(drift) => drift
                .iter()
                .filter_map(|drift| {
                    let new = files.iter().find(|f| f.output == drift.output)?;
                    let name = self.out.join(&drift.output).display().to_string();
                    Some(unified(
                        &name,
                        &drift.output,
                        drift.found.as_deref().unwrap_or_default(),
                        &new.text,
                    ))
                })
                .collect(),
            None => files
                .iter()
                .filter_map(|new| {
                    let old = self.tree.files.iter().find(|f| f.path == new.source)?;
                    Some(unified(&old.path, &new.output, &old.text, &new.text))
                })
                .collect(),
        }
    }

    fn print(&self, diff: bool, notes: bool) -> Result<(), Failure> {
        let mut err = anstream::stderr().lock();
        let shown = |d: &&crate::diagnostic::Diagnostic| notes || d.severity > Severity::Note;
        for diagnostic in self.translation.diagnostics().filter(shown) {
            let path = self.tree.root.join(&diagnostic.file);
            writeln!(err, "{}", render::diagnostic(diagnostic, &path))?;
        }
        self.print_diffs(diff)?;
        self.summary(&mut stdout())
    }

    fn print_diffs(&self, diff: bool) -> Result<(), Failure> {
        let mut out = stdout();
        if diff {
            for text in self.diffs() {
                render::diff(&mut out, &text)?;
            }
        }
        Ok(())
    }

    fn summary(&self, out: &mut impl std::io::Write) -> Result<(), Failure> {
        let translation = self.translation;
        let millis = self.took.as_secs_f64() * 1e3;
        let files = translation.files.len();
        writeln!(
            out,
            "{files} files of {} translated in {millis:.1} ms",
            translation.origin.label
        )?;
        if let Some(written) = &self.written {
            let unchanged = files - written.len();
            writeln!(
                out,
                "  {} written to {}, {unchanged} unchanged",
                written.len(),
                self.out.display()
            )?;
        }
        if let Some(drift) = &self.drift {
            for file in drift {
                let what = if file.found.is_some() {
                    "differs"
                } else {
                    "is missing"
                };
                writeln!(out, "  {} {what}", self.out.join(&file.output).display())?;
            }
            let as_is = files - drift.len();
            writeln!(
                out,
                "  {as_is} of {files} files in {} are as they should be",
                self.out.display()
            )?;
        }
        for file in translation.files.iter().filter(|f| !f.fixes.is_empty()) {
            writeln!(out, "  fixed in {}: {}", file.source, file.fixes.join(", "))?;
        }
        let notes = translation
            .diagnostics()
            .filter(|d| d.severity == Severity::Note)
            .count();
        if notes > 0 {
            writeln!(
                out,
                "  {notes} constructs need no rule, no AMD target compiles them (--notes lists them)"
            )?;
        }
        let (fine, stopped): (Vec<_>, Vec<_>) =
            translation.modules.iter().partition(|m| m.errors == 0);
        writeln!(
            out,
            "  {} of {} modules without errors",
            fine.len(),
            translation.modules.len()
        )?;
        for module in stopped {
            writeln!(
                out,
                "  {}: {}",
                module.module.name,
                constructs(translation, &module.files)
            )?;
        }
        Ok(())
    }

    fn print_json(&self, diff: bool, lock: Option<&drift::Applied>) -> Result<(), Failure> {
        let files: Vec<_> = self
            .translation
            .files
            .iter()
            .map(|file| {
                let mut edits: BTreeMap<&str, usize> = BTreeMap::new();
                for edit in &file.edits {
                    *edits.entry(edit.cause.word()).or_default() += 1;
                }
                serde_json::json!({
                    "source": file.source, "output": file.output, "edits": edits, "fixes": file.fixes,
                    "errors": file.errors(),
                })
            })
            .collect();
        let modules: Vec<_> = self
            .translation
            .modules
            .iter()
            .map(|m| {
                let files: Vec<_> = m.files.iter().map(|f| &self.translation.files[*f].source).collect();
                serde_json::json!({
                    "name": m.module.name, "kind": m.module.kind, "files": files, "errors": m.errors,
                })
            })
            .collect();
        let document = serde_json::json!({
            "origin": self.translation.origin.label,
            "source": self.tree.root,
            "out": self.out,
            "files": files,
            "modules": modules,
            "diagnostics": self.translation.diagnostics().collect::<Vec<_>>(),
            "written": self.written,
            "drift": self.drift.as_ref().map(|d| d.iter().map(|d| &d.output).collect::<Vec<_>>()),
            "lock": lock.map(drift::Applied::to_json),
            "diffs": diff.then(|| self.diffs()),
            "milliseconds": self.took.as_secs_f64() * 1e3,
        });
        print_document(document)?;
        Ok(())
    }
}

/// The constructs that stop a module, each once, with the number of places.
fn constructs(translation: &TreeTranslation, files: &[usize]) -> String {
    let errors = files
        .iter()
        .flat_map(|file| &translation.files[*file].diagnostics);
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for error in errors.filter(|d| d.severity == Severity::Error) {
        *counts.entry(&error.message).or_default() += 1 + error.also_at.len();
    }
    let listed = counts.iter().map(|(message, places)| match places {
        1 => format!("\n      {message}"),
        _ => format!("\n      {message} ({places} places)"),
    });
    format!(
        "{} constructs stop it:{}",
        counts.len(),
        listed.collect::<String>()
    )
}
