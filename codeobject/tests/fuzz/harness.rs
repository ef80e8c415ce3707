//! What every fuzzer here needs: a command line, cases that a seed decides, bounds of time and memory, and the input of
//! a case that fails. What an input is and what is done with it is known to the fuzzer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::alloc;

/// The longest that one case may take. A case takes microseconds; the rest is for a loaded machine.
pub const HANG: Duration = Duration::from_secs(20);

/// A generator of numbers (SplitMix64): small, and the same everywhere.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64, case: u64) -> Self {
        let mut random = Self(seed ^ case.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        random.next();
        random
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

/// The command line.
pub struct Options {
    /// The test's name.
    test: &'static str,
    pub seed: u64,
    pub seconds: Option<u64>,
    pub case: Option<u64>,
    /// A folder with more inputs.
    pub corpus: Option<PathBuf>,
}

impl Options {
    /// Reads the command line. An error is how the process ends: wrong use, or `cargo test` asks for tests by a name that
    /// is not `test`.
    pub fn read(test: &'static str) -> Result<Self, ExitCode> {
        match Self::parse(test) {
            Ok(Some(options)) => {
                println!("seed {}", options.seed);
                Ok(options)
            }
            Ok(None) => Err(ExitCode::SUCCESS),
            Err(message) => {
                eprintln!(
                    "{message}\nusage: --test {test} -- [--seconds N] [--seed N] [--case N] [--corpus DIR]"
                );
                Err(ExitCode::from(2))
            }
        }
    }

    fn parse(test: &'static str) -> Result<Option<Self>, String> {
        let mut options = Options {
            test,
            seed: 20_261_122,
            seconds: None,
            case: None,
            corpus: None,
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || {
                arguments
                    .next()
                    .ok_or_else(|| format!("{argument} needs a value"))
            };
            let number = |text: String| {
                text.parse::<u64>()
                    .map_err(|error| format!("{argument} {text}: {error}"))
            };
            match argument.as_str() {
                "--seed" => options.seed = number(value()?)?,
                "--seconds" => options.seconds = Some(number(value()?)?),
                "--case" => options.case = Some(number(value()?)?),
                "--corpus" => options.corpus = Some(value()?.into()),
                "--list" => return Ok(None),
                "--nocapture" | "--quiet" | "-q" | "--include-ignored" => {}
                name if !name.starts_with('-') => {
                    if !test.contains(name) {
                        return Ok(None);
                    }
                }
                other => return Err(format!("unknown option {other}")),
            }
        }
        Ok(Some(options))
    }
}

impl Options {
    /// `corpus` and the files of the folder with more inputs, in the order of their names. An error is how the process
    /// ends.
    pub fn inputs(&self, mut corpus: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>, ExitCode> {
        let more = self.corpus.as_deref().map_or(Ok(Vec::new()), files);
        corpus.extend(more.map_err(|error| {
            eprintln!("--corpus: {error}");
            ExitCode::from(2)
        })?);
        Ok(corpus)
    }
}

fn files(folder: &Path) -> std::io::Result<Vec<Vec<u8>>> {
    let entries = std::fs::read_dir(folder)?;
    let paths: std::io::Result<Vec<PathBuf>> = entries.map(|entry| Ok(entry?.path())).collect();
    let mut paths = paths?;
    paths.sort();
    let files = paths.iter().filter(|path| path.is_file());
    files.map(std::fs::read).collect()
}

/// An input that was thought out to take much memory or time.
pub struct Attempt {
    /// What it tries.
    pub name: &'static str,
    pub input: Vec<u8>,
    /// How many times its size reading it may take.
    pub factor: usize,
}

/// Runs attempts; false if one takes too much memory or time.
pub fn attempts<R: std::fmt::Debug>(
    attempts: impl IntoIterator<Item = Attempt>,
    exercise: impl Fn(&[u8]) -> R,
) -> bool {
    for attempt in attempts {
        let start = Instant::now();
        alloc::reset();
        let read = exercise(&attempt.input);
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
            return false;
        }
    }
    true
}

/// Runs cases: `make` an input, `exercise` it, and `note` what came of it with the most memory that was in use. A case
/// fails that panics, hangs, or takes more memory than `allowed`.
pub fn cases<R>(
    options: &Options,
    cases: u64,
    make: impl Fn(&mut Random) -> Vec<u8>,
    exercise: impl Fn(&[u8]) -> R,
    allowed: impl Fn(&[u8]) -> usize,
    mut note: impl FnMut(R, usize, &[u8]),
) -> ExitCode {
    // Errors are expected by the million: a backtrace for a panic that is caught would drown the report.
    std::panic::set_hook(Box::new(|info| eprintln!("{info}")));
    let current = Arc::new(AtomicU64::new(0));
    watch(Arc::clone(&current), options.seed);

    let start = Instant::now();
    let (first, last) = match (options.case, options.seconds) {
        (Some(case), _) => (case, case + 1),
        (None, Some(_)) => (0, u64::MAX),
        (None, None) => (0, cases),
    };
    for case in first..last {
        if options
            .seconds
            .is_some_and(|seconds| start.elapsed().as_secs() >= seconds)
        {
            break;
        }
        current.store(case, Ordering::Relaxed);
        let input = make(&mut Random::new(options.seed, case));
        alloc::reset();
        let outcome = catch_unwind(AssertUnwindSafe(|| exercise(&input)));
        let peak = alloc::peak();
        let allowed = allowed(&input);
        match outcome {
            Ok(read) if peak <= allowed => note(read, peak, &input),
            _ => {
                let name = format!("{}-{}-{case}.bin", options.test, options.seed);
                let path = std::env::temp_dir().join(name);
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
        }
    }
    println!("{:.1} s", start.elapsed().as_secs_f64());
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
