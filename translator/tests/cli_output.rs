//! Standard output that is closed early, as by `head`, or that takes nothing any more.

use std::fs::{self, File};
use std::process::{Command, Output, Stdio};

/// Commands that print for people and for programs, and need neither a compiler nor sources.
const COMMANDS: &[&[&str]] = &[
    &["cache", "status"],
    &["cache", "status", "--format", "json"],
    &["doctor"],
    &["doctor", "--format", "json"],
    &["completions", "bash"],
    &["man"],
    &["translate", "--module", "all", "cuda"],
    &["translate", "--module", "all", "cuda", "--format", "json"],
    &["inspect", "nothing", "--format", "json"],
];

fn run(arguments: &[&str], stdout: Stdio) -> Output {
    let dir = tempfile::tempdir().expect("a temporary folder");
    fs::create_dir(dir.path().join("cuda")).expect("a folder");
    let source =
        "extern \"C\" __global__ void one(float *x) { x[0] = __fmaf_rn(1.0f, x[0], 2.0f); }\n";
    fs::write(dir.path().join("cuda/one.cu"), source).expect("a source");
    Command::new(env!("CARGO_BIN_EXE_hipify-candle"))
        .args(arguments)
        .current_dir(dir.path())
        .env("HIPIFY_CACHE_DIR", dir.path().join("cache"))
        .env("HIPIFY_WORK_DIR", dir.path().join("work"))
        .stdout(stdout)
        .output()
        .expect("the command runs")
}

#[test]
fn a_reader_that_leaves_changes_nothing_else() {
    for arguments in COMMANDS {
        let usual = run(arguments, Stdio::piped());
        assert!(!usual.stdout.is_empty(), "{arguments:?}: {usual:?}");
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let closed = run(arguments, writer.into());
        assert_eq!(closed.status, usual.status, "{arguments:?}: {closed:?}");
        // Folders differ between the two runs.
        let lines = |output: &Output| String::from_utf8_lossy(&output.stderr).lines().count();
        assert_eq!(lines(&closed), lines(&usual), "{arguments:?}: {closed:?}");
    }
}

#[test]
fn a_full_disk_is_an_error() {
    for arguments in COMMANDS {
        let full = File::options().write(true).open("/dev/full");
        let output = run(arguments, full.expect("/dev/full").into());
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {err}");
        assert!(err.contains("No space left"), "{arguments:?}: {err}");
        assert!(!err.contains("panicked"), "{arguments:?}: {err}");
    }
}
