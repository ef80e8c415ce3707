//! `hipify-candle upgrade`

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use codeobject::TargetId;
use serde_json::json;

use super::output::{print_document, stdout};
use super::{Failure, Format, Global, Outcome};
use crate::fetch::{self, Fetched};
use crate::files::write_changed;
use crate::lock::{Lock, Scope};
use crate::modules::{ModuleKind, Modules};
use crate::pin::{self, Pin};
use crate::pipeline::{Pipeline, Prepared, Sources};
use crate::toolchain::Toolchain;
use crate::upgrade::{Changes, Inventory};
use crate::workdir::WorkDir;

/// Move to another version of candle-kernels
///
/// Fetches it, translates it and reports kernels that come, go or take other parameters, and constructs that no rule
/// knows. In a checkout, the pin in kernels-cuda/ and the lock are changed, unless a module that candle loads by name
/// has constructs without a rule. What an interrupted call left is mended by the next one.
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
    let pin = Pin::of(&work)?;
    let from = args.from.clone().unwrap_or(pin.version().to_owned());
    let pipeline = Pipeline::open(&config, work.clone())?;
    let toolchain = Toolchain::find()?;
    let scratch = tempfile::tempdir()?;
    let read = |version: &str| -> Result<(Prepared, Inventory, Fetched), Failure> {
        let fetched = fetch::ensure(&work, Some(version))?;
        let sources = Sources {
            folder: Some(fetched.src()),
            into: Some(scratch.path().join(version)),
            ..Sources::default()
        };
        let mut prepared = pipeline.prepare(&sources, &[])?;
        prepared.checksum = Some(fetched.checksum.clone());
        let builder = pipeline.builder(toolchain.clone(), &prepared)?;
        let inventory = Inventory::of(&builder, &prepared, &args.arch);
        Ok((prepared, inventory, fetched))
    };
    // What was asked for is the likelier one to be wrong.
    let (prepared, new, fetched) = read(&args.version)?;
    let (_, old, _) = read(&from)?;
    let changes = Changes::between(&old, &new);

    let modules = Modules::from_config(&config)?;
    let stopped = blocked(&modules, &prepared);
    let reasons: BTreeSet<&String> = stopped
        .iter()
        .filter_map(|module| new.constructs.get(module))
        .flatten()
        .collect();
    let end = if args.dry_run {
        End::DryRun
    } else if !stopped.is_empty() {
        End::Blocked
    } else if let Some(lock) = Lock::path(&work) {
        let now = pipeline.lock(&prepared)?;
        move_pin(&work, &pin, &fetched, now, &lock)?
    } else {
        End::NoCheckout
    };
    let moved = end == End::Moved;
    match global.format {
        Format::Json => print_document(
            json!({ "from": from, "to": args.version, "changes": changes, "blocked": stopped, "because": reasons, "moved": moved }),
        )?,
        Format::Human | Format::Html => {
            print(&changes, [&from, &args.version], &stopped, &reasons, end)?
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

/// What became of the pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// It was only asked what would change.
    DryRun,
    /// The version can't be translated.
    Blocked,
    /// There is nothing to pin it in.
    NoCheckout,
    /// Pin and lock said so already.
    Same,
    /// Pin and lock say so now.
    Moved,
}

/// Pins the version in a checkout and writes the translation's lock.
///
/// Every file is written whole. Whoever is interrupted between them leaves a lock whose package is not the pin, which
/// `--check` reports, or a pin whose halves disagree, which every use of it reports; a further call ends either.
fn move_pin(
    work: &WorkDir,
    pin: &Pin,
    fetched: &Fetched,
    now: Option<Lock>,
    path: &Path,
) -> Result<End, Failure> {
    let cargo_lock = fetch::lock_of(work, pin, fetched)?;
    let old = Lock::read(path)?;
    keep(work, pin, old.as_ref())?;
    let is_of = |lock: &Lock, version: &str| {
        let package = lock.package.as_ref();
        package.is_some_and(|package| package.version == version)
    };
    let version = &fetched.version;
    let known = match old {
        Some(old) if is_of(&old, version) => Some(old),
        _ => Lock::read(&kept_lock(work, version))?.filter(|kept| is_of(kept, version)),
    };
    let mut written = false;
    if let Some(now) = now {
        let lock = match known {
            Some(known) => known.updated(now, Scope::Whole),
            None => now,
        };
        written |= lock.write(path)?;
    }
    written |= pin.move_to(version, &cargo_lock)?;
    Ok(if written { End::Moved } else { End::Same })
}

fn kept_lock(work: &WorkDir, version: &str) -> PathBuf {
    pin::kept(work, version).join("kernels.lock")
}

/// Keeps what the checkout says about the version that it leaves, for whoever comes back: cargo would choose newer
/// packages for its lock, and code objects are not looked for here.
fn keep(work: &WorkDir, pin: &Pin, lock: Option<&Lock>) -> Result<(), Failure> {
    let version = pin.version();
    let folder = pin::kept(work, version);
    std::fs::create_dir_all(&folder)?;
    if let Some(lock) = pin.lock_for(version) {
        write_changed(&folder.join("Cargo.lock"), lock.as_bytes())?;
    }
    let package = lock.and_then(|lock| lock.package.as_ref());
    if let Some(lock) = lock.filter(|_| package.is_some_and(|p| p.version == version)) {
        lock.write(&kept_lock(work, version))?;
    }
    Ok(())
}

fn print(
    changes: &Changes,
    [from, to]: [&str; 2],
    stopped: &[String],
    reasons: &BTreeSet<&String>,
    end: End,
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
    }
    match end {
        End::DryRun | End::Blocked => {}
        End::NoCheckout => writeln!(
            out,
            "nothing was pinned: this is no checkout of hipify-candle"
        )?,
        End::Same => writeln!(out, "{to} is pinned already; nothing to do")?,
        End::Moved => writeln!(
            out,
            "{to} is pinned in kernels-cuda/ and kernels-hip/kernels.lock; now `hipify-candle build --update` and \
             `hipify-candle verify`, and compile what embeds the kernels"
        )?,
    }
    Ok(())
}
