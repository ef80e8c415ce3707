//! Instruction semantics pinned by text files (`filetests/*.txt`), for every instruction set family.
//!
//! Each operation of a file becomes one kernel: it loads a case's operands into registers, executes the one
//! instruction, and stores its results. Vector operations take a case a lane, scalar operations a case a work-group.
//! The kernels are assembled by clang and run through the HIP C ABI, so the tests know nothing of the emulator's
//! insides. The expected results were worked out from the ISA manuals' definitions (`filetests/oracle.py`).

mod assemble;
#[path = "filetest_runner/hip.rs"]
mod hip;
#[path = "filetest_runner/kernel.rs"]
mod kernel;
#[path = "filetest_runner/parse.rs"]
mod parse;

use std::collections::BTreeSet;
use std::path::Path;

use parse::{Operation, Word};

/// One processor of each family and wave size; a family's other members differ in nothing that the files test.
const TARGETS: [(&str, &str, u32); 8] = [
    ("gfx906", "gfx9", 64),
    ("gfx90a", "gfx9", 64),
    ("gfx942", "gfx9", 64),
    ("gfx1030", "gfx10", 32),
    ("gfx1030", "gfx10", 64),
    ("gfx1100", "gfx11", 32),
    ("gfx1100", "gfx11", 64),
    ("gfx1201", "gfx12", 32),
];

fn operations() -> Vec<Operation> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/filetests");
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .expect("tests/filetests is part of the crate")
        .map(|entry| entry.expect("readable folder").path())
        .filter(|path| path.extension().is_some_and(|e| e == "txt"))
        .collect();
    files.sort();
    files.iter().flat_map(|path| parse::file(path)).collect()
}

/// Runs every operation that a target's family has and returns a line for each operation that went wrong.
fn run(target: usize) -> (usize, Vec<String>) {
    let (processor, family, wave) = TARGETS[target];
    let operations = operations();
    let chosen: Vec<(&Operation, &str)> = operations
        .iter()
        .filter_map(|op| op.spelling(family).map(|text| (op, text)))
        .collect();
    let code = kernel::code_object(processor, family, wave, &chosen);
    let module = hip::Module::load(target, &code);
    let mut wrong = Vec::new();
    for (index, (op, text)) in chosen.iter().enumerate() {
        let input = op.input_words();
        // A vector kernel runs in whole work-groups of 64; the lanes past the last case compute on zeros.
        let lanes = op
            .cases
            .len()
            .next_multiple_of(if op.scalar { 1 } else { 64 });
        let groups = lanes / if op.scalar { 1 } else { 64 };
        let block = if op.scalar { 1 } else { 64 };
        let results = match module.run(
            &kernel::symbol(index),
            &input,
            lanes * op.input_columns(),
            lanes * op.output_columns(),
            groups as u32,
            block,
        ) {
            Ok(words) => words,
            Err(error) => {
                wrong.push(format!("{} `{text}`: {error}", op.name));
                continue;
            }
        };
        let columns = op.output_columns();
        let bad: Vec<String> = op
            .cases
            .iter()
            .enumerate()
            .filter_map(|(i, case)| {
                let got = &results[i * columns..(i + 1) * columns];
                (!Word::all_match(&case.expected, got)).then(|| {
                    format!(
                        "{:08x?} -> {:08x?}, expected {:?}",
                        case.input, got, case.expected
                    )
                })
            })
            .collect();
        if let Some(first) = bad.first() {
            wrong.push(format!(
                "{} `{text}`: {} of {} cases; {first}",
                op.name,
                bad.len(),
                op.cases.len()
            ));
        }
    }
    (chosen.len(), wrong)
}

fn check(target: usize) {
    let (processor, _, wave) = TARGETS[target];
    let (count, wrong) = run(target);
    assert!(count >= 150, "{processor}: only {count} operations");
    assert!(
        wrong.is_empty(),
        "{processor} wave{wave}: {} of {count} operations are wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

macro_rules! target {
    ($name:ident, $index:expr) => {
        #[test]
        fn $name() {
            check($index);
        }
    };
}

target!(gfx906, 0);
target!(gfx90a, 1);
target!(gfx942, 2);
target!(gfx1030_wave32, 3);
target!(gfx1030_wave64, 4);
target!(gfx1100_wave32, 5);
target!(gfx1100_wave64, 6);
target!(gfx1201_wave32, 7);

/// Names are unique in a file, so that a failure names one place.
#[test]
fn operations_are_named_once() {
    let mut seen = BTreeSet::new();
    for op in operations() {
        for family in op.families() {
            assert!(
                seen.insert((op.name.clone(), family.to_owned())),
                "{} stands twice for {family}",
                op.name
            );
        }
    }
}
