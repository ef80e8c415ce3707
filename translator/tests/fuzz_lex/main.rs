//! Fuzzing: mutated CUDA text must be cut into tokens without losing a byte and be translated or refused, within bounds
//! of time and memory.
//!
//!     cargo test -p hipify-candle --test fuzz_lex -- --seconds 3600 --seed 7 --corpus target/kernels-cuda/candle-kernels-0.11.1/src
//!
//! Without `--seconds` a fixed number of cases runs. Seed and corpus decide every case; a failure prints the seed, the
//! case and the file that its input was written to. `--case N` runs one case alone, `--corpus DIR` adds a folder's files.

mod adversary;
#[path = "../../../codeobject/tests/fuzz/alloc.rs"]
mod alloc;
mod exercise;
#[path = "../../../codeobject/tests/fuzz/harness.rs"]
mod harness;
mod mutate;

use std::process::ExitCode;

use exercise::Translator;
use harness::Options;

/// Cases when no time is given: a few seconds.
const CASES: u64 = 3_000;

fn main() -> ExitCode {
    run().unwrap_or_else(|end| end)
}

/// An error is an end before the first case.
fn run() -> Result<ExitCode, ExitCode> {
    let options = Options::read("fuzz_lex")?;
    let corpus = options.inputs(mutate::corpus())?;
    let translator = Translator::new();
    for input in &corpus {
        translator.all(input);
    }
    if !harness::attempts(adversary::attempts(), |input| translator.all(input)) {
        return Err(ExitCode::FAILURE);
    }
    let mut statistics = exercise::Statistics::default();
    let end = harness::cases(
        &options,
        CASES,
        |random| mutate::mutate(&corpus, random),
        |input| translator.all(input),
        exercise::allowed_memory,
        |read, peak, input| statistics.add(&read, peak, input.len()),
    );
    println!("{statistics}");
    Ok(end)
}
