//! The memory checker on kernels with one planted defect each, and on kernels without any.
//!
//! `checker/defects.hip` is one program for a family with waves of 32 lanes, one with waves of 64, and one whose barriers
//! are split; it is compiled with line tables.

#[allow(
    unused_macros,
    reason = "the macros are for the tests that call functions"
)]
mod abi_support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use abi_support::{hipcc, library_path};

const ARCHS: [&str; 3] = ["gfx1100", "gfx90a", "gfx1201"];

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    let path = folder().join("tests").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What a program printed, and what the emulator told.
struct Ran {
    status: String,
    told: String,
}

/// The program for all architectures.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let header = read("hip_programs/check.h");
        let source =
            read("checker/defects.hip").replace("#include \"../hip_programs/check.h\"", "");
        let library = library_path();
        let beside = library.parent().expect("a file is in a folder");
        let libraries = format!("-L{}", beside.display());
        let archs = ARCHS.map(|arch| format!("--offload-arch={arch}"));
        let mut arguments: Vec<&str> = archs.iter().map(String::as_str).collect();
        arguments.extend(["-gline-tables-only", &libraries]);
        let source = format!("{header}\n#line 1 \"defects.hip\"\n{source}");
        hipcc(&source, &arguments, "defects")
    })
}

/// Runs one kernel on a device, with the checker in a mode and more variables.
fn run(kernel: &str, arch: &str, mode: &str, more: &[(&str, &str)]) -> Ran {
    let library = library_path();
    let beside = library.parent().expect("a file is in a folder");
    let program = program();
    let output = Command::new(program)
        .arg(kernel)
        .env("LD_LIBRARY_PATH", beside)
        .env("AMDGPU_EMULATOR_DEVICES", arch)
        .env("AMDGPU_EMULATOR_CHECK", mode)
        .envs(more.iter().copied())
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{kernel} on {arch}: {told}");
    Ran {
        status: String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        told,
    }
}

/// The line of the source that has `text`.
fn line_of(text: &str) -> usize {
    let source = read("checker/defects.hip");
    let found = source.lines().position(|line| line.contains(text));
    found.unwrap_or_else(|| panic!("no line has {text}")) + 1
}

/// A kernel whose one report has all of these texts, on every architecture: the first line and the line of the source.
#[track_caller]
fn is_reported(kernel: &str, error: &str, texts: &[&str], source: &str) {
    for arch in ARCHS {
        let ran = run(kernel, arch, "error", &[]);
        assert_eq!(ran.status, error, "{kernel} on {arch}: {}", ran.told);
        let place = format!("defects.hip:{}:", line_of(source));
        for text in texts.iter().copied().chain([kernel, &place, "  at +0x"]) {
            assert!(
                ran.told.contains(text),
                "{kernel} on {arch} lacks {text:?}: {}",
                ran.told
            );
        }
        let reports = ran.told.matches("amdgpu-emulator: ").count();
        assert!(reports <= 4, "{kernel} on {arch}: {}", ran.told);
    }
}

#[test]
fn accesses_out_of_bounds_say_what_they_missed() {
    is_reported(
        "past_the_end",
        "hipErrorIllegalAddress",
        &[
            "thread (100, 0, 0)",
            "write of 4 bytes",
            "0 bytes behind the end of allocation",
            "(400 bytes of device memory",
        ],
        "out[threadIdx.x] = 1.0f;",
    );
    is_reported(
        "after_free",
        "hipErrorIllegalAddress",
        &["read of 4 bytes", "0 bytes into the freed allocation"],
        "out[threadIdx.x] = in[threadIdx.x];",
    );
    is_reported(
        "lds_past_the_end",
        "hipErrorLaunchFailure",
        &["LDS read of 4 bytes at offset 0x10000", "has 128 bytes"],
        "out[threadIdx.x] = tile[threadIdx.x + far];",
    );
}

#[test]
fn reads_of_unwritten_memory_are_reported() {
    is_reported(
        "unwritten_global",
        "hipErrorLaunchFailure",
        &[
            "thread (100, 0, 0): unwritten memory: read of 4 bytes",
            "400 bytes into allocation",
            "nobody wrote there",
        ],
        "out[threadIdx.x] = in[threadIdx.x] * 2.0f;",
    );
    is_reported(
        "unwritten_lds",
        "hipErrorLaunchFailure",
        &["unwritten memory: ", "4 bytes of LDS at offset 0x14"],
        "out[threadIdx.x] = tile[threadIdx.x ^ 1] * 2.0f;",
    );
    is_reported(
        "unwritten_scratch",
        "hipErrorLaunchFailure",
        &["thread (0, 0, 0): unwritten memory: ", "4 bytes of scratch"],
        "out[threadIdx.x] = own[n + threadIdx.x % 4] * 2.0f;",
    );
}

#[test]
fn misaligned_accesses_are_reported() {
    is_reported(
        "odd_address",
        "hipErrorLaunchFailure",
        &["misaligned access: write of 4 bytes", "the address is odd"],
        "*reinterpret_cast<int *>(bytes + 4",
    );
    for arch in ARCHS {
        let ran = run("misaligned_atomic", arch, "error", &[]);
        assert_eq!(ran.status, "hipErrorIllegalAddress", "{}", ran.told);
        assert!(ran.told.contains("misaligned atomic access of 4 bytes"));
    }
}

#[test]
fn data_races_are_reported() {
    is_reported(
        "race_between_blocks",
        "hipErrorLaunchFailure",
        &[
            "data race: write of 4 bytes",
            "wrote, and nothing orders the two",
        ],
        "out[threadIdx.x] = blockIdx.x;",
    );
    is_reported(
        "race_in_lds",
        "hipErrorLaunchFailure",
        &[
            "data race: ",
            "of 4 bytes of LDS at offset",
            "with no barrier between",
        ],
        "out[threadIdx.x] = tile[THREADS - 1 - threadIdx.x];",
    );
    is_reported(
        "race_with_lds_atomic",
        "hipErrorLaunchFailure",
        &["data race: ", "4 bytes of LDS at offset"],
        "atomicAdd(&sum, 1);",
    );
    is_reported(
        "race_in_global_within_block",
        "hipErrorLaunchFailure",
        &[
            "data race: read of 4 bytes",
            "wrote with no barrier between",
        ],
        "data[THREADS + threadIdx.x] = data",
    );
    // Which of the two comes first depends on the blocks' turns.
    for arch in ARCHS {
        let ran = run("race_read_between_blocks", arch, "error", &[]);
        assert_eq!(ran.status, "hipErrorLaunchFailure", "{}", ran.told);
        assert!(ran.told.contains("data race: "), "{}", ran.told);
    }
}

#[test]
fn waves_that_do_not_meet_are_reported() {
    is_reported(
        "ended_before_barrier",
        "hipErrorLaunchFailure",
        &["barrier: ", "waves wait here", "has ended and never comes"],
        "// half of the waves",
    );
    is_reported(
        "different_barriers",
        "hipErrorLaunchFailure",
        &[
            "barrier: wave 0 of the block waits here",
            "at another barrier",
        ],
        "// the first waves",
    );
}

#[test]
fn clean_kernels_are_not_reported() {
    for arch in ARCHS {
        let ran = run("clean", arch, "error", &[]);
        assert_eq!(
            (ran.status.as_str(), ran.told.as_str()),
            ("hipSuccess", ""),
            "{arch}"
        );
    }
}

#[test]
fn warnings_let_the_launch_succeed_and_off_is_silent() {
    let warned = run("race_in_lds", "gfx1100", "warn", &[]);
    assert_eq!(warned.status, "hipSuccess");
    assert!(warned.told.contains("data race"), "{}", warned.told);
    assert!(warned.told.contains("found "), "{}", warned.told);
    let off = run("race_in_lds", "gfx1100", "off", &[]);
    assert_eq!((off.status.as_str(), off.told.as_str()), ("hipSuccess", ""));
    let wrong = run("race_in_lds", "gfx1100", "loud", &[]);
    assert!(wrong.told.contains("`loud` is ignored"), "{}", wrong.told);
}

#[test]
fn executed_instructions_are_counted_by_class() {
    let count = || {
        let stats = [("AMDGPU_EMULATOR_STATS", "stderr")];
        run("race_in_lds", "gfx1100", "off", &stats).told
    };
    let first = count();
    assert_eq!(first, count(), "counts are exactly repeatable");
    assert!(first.contains("gfx1100"), "{first}");
    assert!(first.contains("race_in_lds"), "{first}");
    // Four waves, each with one store to LDS, one load from it and one store to global memory.
    assert!(first.contains("1 launches, 4 waves"), "{first}");
    assert!(first.contains(" lds 8"), "{first}");
    assert!(first.contains(" global 4"), "{first}");
}
