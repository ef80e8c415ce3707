//! Fuzzing: mutated bundles and code objects must end in a result or an error, within bounds of time and memory.
//!
//!     cargo test -p codeobject --test fuzz -- --seconds 3600 --seed 7
//!
//! Without `--seconds` a fixed number of cases runs. The seed decides every case; a failure prints the seed, the case
//! and the file that its input was written to. `--case N` runs one case alone.

mod adversary;
mod alloc;
mod exercise;
mod mutate;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mutate::Random;

/// Cases when no time is given: a few seconds.
const CASES: u64 = 20_000;
/// The longest that one case may take. A case takes microseconds; the rest is for a loaded machine.
const HANG: Duration = Duration::from_secs(20);

struct Options {
    seed: u64,
    seconds: Option<u64>,
    case: Option<u64>,
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(Some(options)) => options,
        Ok(None) => return ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}\nusage: --test fuzz -- [--seconds N] [--seed N] [--case N]");
            return ExitCode::from(2);
        }
    };
    println!("seed {}", options.seed);
    let corpus = mutate::corpus();
    for input in &corpus {
        exercise::all(input);
    }
    for attempt in adversary::attempts() {
        let start = Instant::now();
        alloc::reset();
        let read = exercise::all(&attempt.input);
        let factor = alloc::peak() as f64 / attempt.input.len() as f64;
        let seconds = start.elapsed().as_secs_f64();
        println!(
            "{}: {factor:.1} times the input in {seconds:.2} s ({read:?})",
            attempt.name
        );
        if factor > attempt.factor as f64 || start.elapsed() > HANG {
            eprintln!(
                "{}: {} times the input are allowed, and {HANG:?}",
                attempt.name, attempt.factor
            );
            return ExitCode::FAILURE;
        }
    }
    // Errors are expected by the million: a backtrace for a panic that is caught would drown the report.
    std::panic::set_hook(Box::new(|info| eprintln!("{info}")));
    let current = Arc::new(AtomicU64::new(0));
    watch(Arc::clone(&current), options.seed);

    let start = Instant::now();
    let (first, last) = match options.case {
        Some(case) => (case, case + 1),
        None => (
            0,
            if options.seconds.is_some() {
                u64::MAX
            } else {
                CASES
            },
        ),
    };
    let mut statistics = exercise::Statistics::default();
    for case in first..last {
        if options
            .seconds
            .is_some_and(|seconds| start.elapsed().as_secs() >= seconds)
        {
            break;
        }
        current.store(case, Ordering::Relaxed);
        let mut random = Random::new(options.seed, case);
        let input = mutate::mutate(&corpus, &mut random);
        alloc::reset();
        let outcome = catch_unwind(AssertUnwindSafe(|| exercise::all(&input)));
        let peak = alloc::peak();
        let allowed = exercise::allowed_memory(&input);
        if outcome.is_err() || peak > allowed {
            let path =
                std::env::temp_dir().join(format!("codeobject-fuzz-{}-{case}.bin", options.seed));
            let kept = std::fs::write(&path, &input);
            eprintln!(
                "case {case} of seed {} failed: {} bytes of input",
                options.seed,
                input.len()
            );
            eprintln!("peak memory {peak} bytes, {allowed} are allowed");
            eprintln!("the input is {} ({kept:?})", path.display());
            return ExitCode::FAILURE;
        }
        if let Ok(read) = outcome {
            statistics.add(&read, peak, input.len(), exercise::has_compressed(&input));
        }
    }
    println!("{statistics} in {:.1} s", start.elapsed().as_secs_f64());
    ExitCode::SUCCESS
}

/// Ends the process when a case hangs, with what is needed to find it.
fn watch(current: Arc<AtomicU64>, seed: u64) {
    std::thread::spawn(move || {
        // Rounds are counted and not time, so that a process that was stopped for long does not seem to hang.
        let (mut seen, mut rounds) = (u64::MAX, 0);
        loop {
            std::thread::sleep(HANG / 40);
            let case = current.load(Ordering::Relaxed);
            rounds = if case == seen { rounds + 1 } else { 0 };
            seen = case;
            if rounds > 40 {
                eprintln!(
                    "case {case} of seed {seed} hangs: run it with --seed {seed} --case {case}"
                );
                std::process::exit(1);
            }
        }
    });
}

/// Reads the command line; `None` if `cargo test` asks for tests by a name that is not this one's.
fn options() -> Result<Option<Options>, String> {
    let mut options = Options {
        seed: 20_261_122,
        seconds: None,
        case: None,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || {
            let text = arguments
                .next()
                .ok_or_else(|| format!("{argument} needs a number"))?;
            text.parse::<u64>()
                .map_err(|error| format!("{argument} {text}: {error}"))
        };
        match argument.as_str() {
            "--seed" => options.seed = number()?,
            "--seconds" => options.seconds = Some(number()?),
            "--case" => options.case = Some(number()?),
            "--list" => return Ok(None),
            "--nocapture" | "--quiet" | "-q" | "--include-ignored" => {}
            name if !name.starts_with('-') => {
                if !"fuzz".contains(name) {
                    return Ok(None);
                }
            }
            other => return Err(format!("unknown option {other}")),
        }
    }
    Ok(Some(options))
}
