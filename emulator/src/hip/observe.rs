//! What is observed of launches beside their results: the memory checker's reports and counts of instructions.
//!
//! - `AMDGPU_EMULATOR_CHECK`: `off` (what it is without the variable), `warn` or `error`; see [`check`](crate::check).
//! - `AMDGPU_EMULATOR_STATS`: where the counts of executed instructions go when the process ends: `stderr`, or the path of
//!   a file for JSON.
//!
//! A client in the same process uses the functions in [`extra`](super::extra) instead.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use super::log::{self, Level};
use super::runtime::{complain, get, variable};
use crate::check::Mode;
use crate::isa::inst::Class;
use crate::launch::LaunchStats;

/// The variable for the memory checker.
pub const CHECK: &str = "AMDGPU_EMULATOR_CHECK";
/// The variable for counts.
pub const STATS: &str = "AMDGPU_EMULATOR_STATS";

/// Reports that nobody takes do not fill the memory.
const MOST_REPORTS: usize = 1000;

static MODE: AtomicU8 = AtomicU8::new(Mode::Off as u8);
static COUNTING: AtomicBool = AtomicBool::new(false);
static REPORTS: Mutex<Vec<String>> = Mutex::new(Vec::new());
static COUNTED: Mutex<Counted> = Mutex::new(BTreeMap::new());
/// Where the counts go in the end.
static DESTINATION: OnceLock<String> = OnceLock::new();

/// By architecture and kernel.
type Counted = BTreeMap<(String, String), Count>;

/// What all launches of a kernel did.
#[derive(Debug, Default)]
struct Count {
    launches: u64,
    stats: LaunchStats,
}

/// The memory checker's mode.
pub fn mode() -> Mode {
    let mode = MODE.load(Ordering::Relaxed);
    [Mode::Warn, Mode::Error]
        .into_iter()
        .find(|known| *known as u8 == mode)
        .unwrap_or_default()
}

/// Whether instructions are counted.
pub fn counts() -> bool {
    COUNTING.load(Ordering::Relaxed)
}

/// The memory checker's mode that the environment asks for.
pub fn mode_of_environment() -> Mode {
    let Some(text) = variable(CHECK) else {
        return Mode::Off;
    };
    Mode::parse(&text).unwrap_or_else(|| {
        complain(CHECK, &text, "off, warn or error");
        Mode::Off
    })
}

/// Takes the environment's wishes, apart from those that [`mode_of_environment`] has.
pub fn start(mode: Mode) {
    MODE.store(mode as u8, Ordering::Relaxed);
    if let Some(destination) = variable(STATS) {
        COUNTING.store(true, Ordering::Relaxed);
        if DESTINATION.set(destination).is_ok() {
            // SAFETY: the handler is a function of this library, which is never unloaded before the process ends: it
            // is opened by programs that link it, or by loaders that keep it. A failure to register loses the counts.
            unsafe { libc::atexit(at_exit) };
        }
    }
}

/// Changes the memory checker's mode. Memory that was allocated while it was off is not watched.
pub fn set_mode(mode: Mode) {
    get().memory.watch(mode != Mode::Off);
    MODE.store(mode as u8, Ordering::Relaxed);
}

/// Turns counting on or off.
pub fn set_counting(counting: bool) {
    COUNTING.store(counting, Ordering::Relaxed);
}

/// Tells a report and keeps it for [`take_reports`].
pub fn report(level: Level, text: &str) {
    log::tell(level, || text.to_owned());
    let mut reports = REPORTS.lock().unwrap_or_else(PoisonError::into_inner);
    if reports.len() < MOST_REPORTS {
        reports.push(text.to_owned());
    }
}

/// The reports since the last time if they fit into `room` bytes, each a paragraph; and their length. What does not fit is
/// kept.
pub fn take_reports(room: u64) -> (u64, Option<String>) {
    let mut reports = REPORTS.lock().unwrap_or_else(PoisonError::into_inner);
    let text = reports.join("\n\n");
    let len = text.len() as u64;
    let fits = len < room;
    if fits {
        reports.clear();
    }
    (len, fits.then_some(text))
}

/// Adds what a launch did.
pub fn add(arch: &str, kernel: &str, stats: &LaunchStats) {
    if !counts() {
        return;
    }
    let mut counted = COUNTED.lock().unwrap_or_else(PoisonError::into_inner);
    let count = counted
        .entry((arch.to_owned(), kernel.to_owned()))
        .or_default();
    count.launches += 1;
    count.stats.waves += stats.waves;
    count.stats.instructions += stats.instructions;
    for (sum, more) in count.stats.classes.iter_mut().zip(stats.classes) {
        *sum += more;
    }
}

/// The counts since the last time as JSON, as [`take_reports`] gives reports.
pub fn take_counts(room: u64) -> (u64, Option<String>) {
    let mut counted = COUNTED.lock().unwrap_or_else(PoisonError::into_inner);
    let text = json(&counted);
    let len = text.len() as u64;
    let fits = len < room;
    if fits {
        counted.clear();
    }
    (len, fits.then_some(text))
}

/// An array with an object for every architecture and kernel.
fn json(counted: &Counted) -> String {
    let rows = counted.iter().map(|((arch, kernel), count)| {
        let classes = Class::ALL
            .into_iter()
            .map(|class| (class.name().to_owned(), count.stats.class(class).into()))
            .collect::<serde_json::Map<_, serde_json::Value>>();
        serde_json::json!({
            "arch": arch,
            "kernel": kernel,
            "launches": count.launches,
            "waves": count.stats.waves,
            "instructions": count.stats.instructions,
            "classes": classes,
        })
    });
    serde_json::Value::Array(rows.collect()).to_string()
}

/// Lines for people.
fn table(counted: &Counted) -> String {
    let mut text = String::new();
    for ((arch, kernel), count) in counted {
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "amdgpu-emulator: {arch} {kernel}: {} launches, {} waves, {} instructions:",
            count.launches, count.stats.waves, count.stats.instructions
        );
        for class in Class::ALL {
            let executed = count.stats.class(class);
            if executed > 0 {
                let _ = write!(text, " {} {executed}", class.name());
            }
        }
        text.push('\n');
    }
    text
}

extern "C" fn at_exit() {
    let (Some(destination), Ok(counted)) = (DESTINATION.get(), COUNTED.try_lock()) else {
        return;
    };
    if destination == "stderr" {
        eprint!("{}", table(&counted));
    } else if let Err(error) = std::fs::write(destination, json(&counted)) {
        eprintln!("amdgpu-emulator: {STATS}: {destination}: {error}");
    }
}
