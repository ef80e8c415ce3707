//! `hipify-candle upgrade`

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;

use codeobject::TargetId;
use serde_json::json;

use super::output::{print_document, stdout};
use super::{Failure, Format, Global, Outcome};
use crate::fetch;
use crate::files::write_changed;
use crate::lock::{Lock, Scope};
use crate::modules::{ModuleKind, Modules};
use crate::pipeline::{Pipeline, Prepared, Sources};
use crate::toolchain::Toolchain;
use crate::upgrade::{Changes, Inventory};
use crate::workdir::WorkDir;

/// Move to another version of candle-kernels
///
/// Fetches it, translates it and reports kernels that come, go or take other parameters, and constructs that no rule
/// knows. In a checkout, the pin in kernels-cuda/ and the lock are changed, unless a module that candle loads by name
/// has constructs without a rule.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A published version, such as 0.11.1
    version: String,
    /// Compare with this version [default: the pinned one]
    #[arg(long, value_name = "VERSION")]
    from: Option<String>,
    /// Report, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// The architecture for which the preprocessor is asked
    #[arg(long, value_name = "ARCH", default_value = "gfx1100")]
    arch: TargetId,
}

pub(super) fn run(args: &Args, global: &Global) -> Result<Outcome, Failure> {
    let config = global.config()?;
    let work = global.work_dir()?;
    let from = args
        .from
        .clone()
        .unwrap_or_else(|| fetch::pinned_version().to_owned());
    let pipeline = Pipeline::open(&config, work.clone())?;
    let toolchain = Toolchain::find()?;
    let scratch = tempfile::tempdir()?;
    let read = |version: &str| -> Result<(Prepared, Inventory, String), Failure> {
        let fetched = fetch::located(&work, Some(version))?;
        let sources = Sources {
            folder: Some(fetched.src()),
            into: Some(scratch.path().join(version)),
            ..Sources::default()
        };
        let prepared = pipeline.prepare(&sources, &[])?;
        let builder = pipeline.builder(toolchain.clone(), &prepared)?;
        let inventory = Inventory::of(&builder, &prepared, &args.arch);
        Ok((prepared, inventory, fetched.checksum))
    };
    let (_, old, _) = read(&from)?;
    let (prepared, new, checksum) = read(&args.version)?;
    let changes = Changes::between(&old, &new);

    let modules = Modules::from_config(&config)?;
    let stopped = blocked(&modules, &prepared);
    let reasons: BTreeSet<&String> = stopped
        .iter()
        .filter_map(|module| new.constructs.get(module))
        .flatten()
        .collect();
    let moved = match work.checkout() {
        Some(checkout) if !args.dry_run && stopped.is_empty() && from != args.version => {
            let mut prepared = prepared;
            prepared.checksum = Some(checksum);
            move_pin(&pipeline, &prepared, checkout, &work, &args.version)?;
            true
        }
        _ => false,
    };
    match global.format {
        Format::Json => print_document(
            json!({ "from": from, "to": args.version, "changes": changes, "blocked": stopped, "because": reasons, "moved": moved }),
        )?,
        Format::Human | Format::Html => {
            print(&changes, [&from, &args.version], &stopped, &reasons, moved)?
        }
    }
    Ok(if stopped.is_empty() {
        Outcome::Fine
    } else {
        Outcome::Problems
    })
}

/// The modules that candle loads by name and that can't be translated.
fn blocked(modules: &Modules, prepared: &Prepared) -> Vec<String> {
    let files: Vec<String> = prepared
        .untranslated
        .iter()
        .map(|m| format!("{m}.cu"))
        .collect();
    let stopped = modules
        .of_tree(files.iter().map(String::as_str))
        .into_iter();
    let by_name = stopped.filter(|module| module.kind == ModuleKind::Ptx);
    by_name.map(|module| module.name).collect()
}

/// Pins the version in a checkout and writes the translation's part of the lock.
fn move_pin(
    pipeline: &Pipeline,
    prepared: &Prepared,
    checkout: &Path,
    work: &WorkDir,
    version: &str,
) -> Result<(), Failure> {
    let (manifest, lock) = fetch::pin(work, version)?;
    write_changed(
        &checkout.join("kernels-cuda/Cargo.toml"),
        manifest.as_bytes(),
    )?;
    write_changed(&checkout.join("kernels-cuda/Cargo.lock"), lock.as_bytes())?;
    if let (Some(path), Some(now)) = (Lock::path(work), pipeline.lock(prepared)?) {
        let old = Lock::read(&path)?;
        let lock = match old {
            Some(old) => old.updated(now, Scope::Whole),
            None => now,
        };
        lock.write(&path)?;
    }
    Ok(())
}

fn print(
    changes: &Changes,
    [from, to]: [&str; 2],
    stopped: &[String],
    reasons: &BTreeSet<&String>,
    moved: bool,
) -> Result<(), Failure> {
    let mut out = stdout();
    let bold = anstyle::Style::new().bold();
    writeln!(out, "{bold}candle-kernels {from} -> {to}{bold:#}")?;
    for (title, list) in [
        ("new modules", &changes.new_modules),
        ("gone modules", &changes.gone_modules),
        ("new kernels", &changes.new_kernels),
        ("gone kernels", &changes.gone_kernels),
    ] {
        writeln!(out, "{title}: {}", list.len())?;
        for name in list {
            writeln!(out, "  {name}")?;
        }
    }
    writeln!(out, "changed signatures: {}", changes.signatures.len())?;
    for change in &changes.signatures {
        writeln!(
            out,
            "  {}\n    - {}\n    + {}",
            change.kernel, change.from, change.to
        )?;
    }
    let constructs: usize = changes.constructs.values().map(BTreeSet::len).sum();
    writeln!(out, "new constructs without a rule: {constructs}")?;
    for (module, found) in &changes.constructs {
        for construct in found {
            writeln!(out, "  {module}: {construct}")?;
        }
    }
    for (module, reason) in &changes.unreadable {
        writeln!(out, "kernels of {module} can't be told: {reason}")?;
    }
    if !stopped.is_empty() {
        writeln!(
            out,
            "nothing was changed: {} can't be translated; add rules (config/README.md) for",
            stopped.join(", ")
        )?;
        for reason in reasons {
            writeln!(out, "  {reason}")?;
        }
    } else if moved {
        writeln!(
            out,
            "pinned in kernels-cuda/ and kernels.lock; now `cargo build --release -p hipify-candle` and \
             `hipify-candle build --update`"
        )?;
    }
    Ok(())
}
