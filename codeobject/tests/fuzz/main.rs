//! Fuzzing: mutated bundles and code objects must end in a result or an error, within bounds of time and memory.
//!
//!     cargo test -p codeobject --test fuzz -- --seconds 3600 --seed 7
//!
//! Without `--seconds` a fixed number of cases runs. The seed decides every case; a failure prints the seed, the case
//! and the file that its input was written to. `--case N` runs one case alone, `--corpus DIR` adds a folder's files.

mod adversary;
mod alloc;
mod exercise;
mod harness;
mod mutate;

use std::process::ExitCode;

use harness::Options;

/// Cases when no time is given: a few seconds.
const CASES: u64 = 20_000;

fn main() -> ExitCode {
    run().unwrap_or_else(|end| end)
}

/// An error is an end before the first case.
fn run() -> Result<ExitCode, ExitCode> {
    let options = Options::read("fuzz")?;
    let corpus = options.inputs(mutate::corpus())?;
    for input in &corpus {
        exercise::all(input);
    }
    if !harness::attempts(adversary::attempts(), exercise::all) {
        return Err(ExitCode::FAILURE);
    }
    let mut statistics = exercise::Statistics::default();
    let end = harness::cases(
        &options,
        CASES,
        |random| mutate::mutate(&corpus, random),
        exercise::all,
        exercise::allowed_memory,
        |read, peak, input| {
            let is_compressed = exercise::has_compressed(input);
            statistics.add(&read, peak, input.len(), is_compressed);
        },
    );
    println!("{statistics}");
    Ok(end)
}
