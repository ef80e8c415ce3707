//! Whole HIP programs, built by hipcc as their authors would and run against the library with `LD_LIBRARY_PATH` alone.
//!
//! Each file `hip_programs/NAME.hip` checks its own results and ends with a line `PASS`; `NAME.out`, where there is one, is
//! all that it prints. Every program is one fat binary for all architectures and runs on a device of each.

#[allow(
    unused_macros,
    reason = "the macros are for the tests that call functions"
)]
mod abi_support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use abi_support::{hipcc, library_path};

/// The families that differ: RDNA 2, RDNA 3, CDNA 2 with waves of 64 lanes, RDNA 4.
const ARCHS: [&str; 4] = ["gfx1030", "gfx1100", "gfx90a", "gfx1201"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hip_programs")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Builds a program for all architectures.
fn build(name: &str) -> PathBuf {
    build_for(name, &ARCHS, &[])
}

/// Builds a program for some targets. The linker gets the library under the name that programs ask for.
fn build_for(name: &str, targets: &[&str], more: &[&str]) -> PathBuf {
    let folder = folder();
    let source = read(&folder.join(format!("{name}.hip")));
    // What was built is found again by the source: the shared header is a part of it.
    let source = format!(
        "{}\n{}",
        read(&folder.join("check.h")),
        source.replace("#include \"check.h\"", "")
    );
    let library = library_path();
    let beside = library.parent().expect("a file is in a folder");
    let libraries = format!("-L{}", beside.display());
    let targets = targets.iter();
    let targets: Vec<String> = targets
        .map(|name| format!("--offload-arch={name}"))
        .collect();
    let mut arguments: Vec<&str> = targets.iter().map(String::as_str).collect();
    arguments.push(&libraries);
    arguments.extend(more);
    hipcc(&source, &arguments, name)
}

fn run(program: &Path, devices: &str) -> Output {
    let library = library_path();
    let beside = library.parent().expect("a file is in a folder");
    Command::new(program)
        .env("LD_LIBRARY_PATH", beside)
        .env("AMDGPU_EMULATOR_DEVICES", devices)
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()))
}

/// Runs a program on devices and says what is wrong with the result.
fn check(name: &str, program: &Path, devices: &str) -> Result<(), String> {
    let output = run(program, devices);
    let told = String::from_utf8_lossy(&output.stdout);
    let expected = folder().join(format!("{name}.out"));
    let is_expected = match expected.exists() {
        true => told == read(&expected),
        false => told.lines().last() == Some("PASS"),
    };
    if output.status.success() && is_expected {
        return Ok(());
    }
    let complaints = String::from_utf8_lossy(&output.stderr);
    Err(format!(
        "{name} on {devices}: {}\n{told}{complaints}",
        output.status
    ))
}

fn check_on_every_arch(name: &str) {
    let program = build(name);
    let failures: Vec<String> = ARCHS
        .iter()
        .filter_map(|arch| check(name, &program, arch).err())
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

macro_rules! programs {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            check_on_every_arch(stringify!($name));
        })*

        #[test]
        fn every_program_has_a_test() {
            let mut files: Vec<String> = std::fs::read_dir(folder())
                .expect("the folder of the programs is there")
                .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
                .filter_map(|file| Some(file.strip_suffix(".hip")?.to_owned()))
                .collect();
            files.sort();
            let mut tested = vec![$(stringify!($name)),*];
            tested.sort_unstable();
            assert_eq!(files, tested);
        }
    };
}

programs! {
    atomics
    devices
    dynamic_lds
    graphs
    grid_sync
    matmul
    printf
    reduction
    scan
    streams_events
    symbols
    templates
    vector_add
}

#[test]
fn devices_of_different_architectures_in_one_process() {
    let program = build("devices");
    let all = ARCHS.join(",");
    let output = run(&program, &all);
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(
        told,
        "4 devices\nPASS\n",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn code_for_generic_targets_runs_on_the_devices_that_they_cover() {
    /// Each with a device that is none of `ARCHS`.
    const COVERED: [(&str, &str); 5] = [
        ("gfx9-generic", "gfx900"),
        ("gfx10-1-generic", "gfx1012"),
        ("gfx10-3-generic", "gfx1032"),
        ("gfx11-generic", "gfx1103"),
        ("gfx12-generic", "gfx1200"),
    ];
    let targets = COVERED.map(|(generic, _)| generic);
    let program = build_for("reduction", &targets, &["-mcode-object-version=6"]);
    let failures: Vec<String> = COVERED
        .iter()
        .filter_map(|(_, device)| check("reduction", &program, device).err())
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn a_device_without_code_object_is_named() {
    let program = build("vector_add");
    let library = library_path();
    let beside = library.parent().expect("a file is in a folder");
    let output = Command::new(&program)
        .env("LD_LIBRARY_PATH", beside)
        .env("AMDGPU_EMULATOR_DEVICES", "gfx906")
        .env("AMDGPU_EMULATOR_LOG", "error")
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        complaints.contains("hipErrorNoBinaryForGpu"),
        "{complaints}"
    );
    assert!(
        complaints.contains("no code object for gfx906"),
        "{complaints}"
    );
    assert!(complaints.contains("gfx1201"), "{complaints}");
}
