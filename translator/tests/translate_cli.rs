//! `hipify-candle translate` and `fetch` as a user meets them: exit codes, messages, and what is on disk afterwards.
#![cfg(feature = "cli")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

fn hipify(dir: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hipify-candle"));
    command
        .args(arguments)
        .current_dir(dir)
        .env_remove("HIPIFY_WORK_DIR");
    command.output().expect("the program runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs and checks the exit code; returns what was printed on both streams.
#[track_caller]
fn expect(code: i32, dir: &Path, arguments: &[&str]) -> String {
    let output = hipify(dir, arguments);
    let said = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    said
}

/// A folder with a source tree `src` of one good file.
fn workspace() -> TempDir {
    let dir = tempfile::tempdir().expect("a temporary folder");
    fs::create_dir(dir.path().join("src")).expect("a folder");
    let cuda = "#include <cuda_runtime.h>\n__global__ void k(int *x) { *x = __dp4a(1, 2, 3); }\n";
    fs::write(dir.path().join("src/good.cu"), cuda).expect("a file");
    dir
}

#[test]
fn a_good_tree() {
    let dir = workspace();
    let said = expect(0, dir.path(), &["translate", "src", "--out", "hip"]);
    assert!(
        said.contains("1 files of src translated") && said.contains("1 written to hip"),
        "{said}"
    );
    let hip = fs::read_to_string(dir.path().join("hip/good.hip")).expect("the translation");
    assert!(
        hip.contains("#line 1 \"src/good.cu\"\n#include <hip/hip_runtime.h>\n"),
        "{hip}"
    );
    assert!(hip.contains("The licence of the original holds"), "{hip}");
    assert_eq!(
        fs::read_dir(dir.path().join("hip"))
            .expect("the folder")
            .count(),
        1,
        "no leftovers"
    );
    let said = expect(
        0,
        dir.path(),
        &["translate", "src", "--out", "hip", "--check"],
    );
    assert!(
        said.contains("1 of 1 files in hip are as they should be"),
        "{said}"
    );
}

#[test]
fn the_default_output_is_in_the_work_dir() {
    let dir = workspace();
    expect(0, dir.path(), &["translate", "src"]);
    assert!(
        dir.path()
            .join("target/hipify/kernels-hip/good.hip")
            .is_file()
    );
    expect(
        0,
        dir.path(),
        &["translate", "src", "--work-dir", "elsewhere"],
    );
    assert!(dir.path().join("elsewhere/kernels-hip/good.hip").is_file());
}

#[test]
fn check_and_diff_change_nothing() {
    let dir = workspace();
    let said = expect(
        1,
        dir.path(),
        &["translate", "src", "--out", "hip", "--check"],
    );
    assert!(said.contains("hip/good.hip is missing"), "{said}");
    let said = expect(
        0,
        dir.path(),
        &["translate", "src", "--out", "hip", "--diff"],
    );
    assert!(
        said.contains("-#include <cuda_runtime.h>\n")
            && said.contains("+#include <hip/hip_runtime.h>\n"),
        "{said}"
    );
    assert!(!dir.path().join("hip").exists());

    expect(0, dir.path(), &["translate", "src", "--out", "hip"]);
    let path = dir.path().join("hip/good.hip");
    let edited = fs::read_to_string(&path).expect("the translation") + "// by hand\n";
    fs::write(&path, &edited).expect("writable");
    let said = expect(
        1,
        dir.path(),
        &["translate", "src", "--out", "hip", "--check", "--diff"],
    );
    assert!(
        said.contains("hip/good.hip differs") && said.contains("\n-// by hand\n"),
        "{said}"
    );
    assert_eq!(fs::read_to_string(&path).expect("the file"), edited);
}

#[test]
fn constructs_without_a_rule() {
    let dir = workspace();
    fs::write(
        dir.path().join("src/bad.cu"),
        "int a;\n  int b = __no_such_intrinsic(1);\n",
    )
    .expect("a file");
    let said = expect(1, dir.path(), &["translate", "src", "--out", "hip"]);
    for part in [
        "unknown-name",
        "no rule for the CUDA name `__no_such_intrinsic`",
        "src/bad.cu:2:11",
        "  int b = __no_such_intrinsic(1);",
        "config/rules/",
        "bad: 1 constructs stop it",
        "1 of 2 modules",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    // Other modules are not held up.
    expect(
        0,
        dir.path(),
        &["translate", "src", "--out", "hip", "--module", "good"],
    );

    let output = hipify(
        dir.path(),
        &["translate", "src", "--out", "hip", "--format", "json"],
    );
    assert_eq!(output.status.code(), Some(1));
    let json: Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
    let error = &json["diagnostics"][0];
    assert_eq!(error["code"], "unknown-name");
    assert_eq!(
        (
            error["file"].as_str(),
            error["line"].as_u64(),
            error["column"].as_u64()
        ),
        (Some("bad.cu"), Some(2), Some(11))
    );
    assert_eq!(json["modules"][0]["errors"], 1);
    assert_eq!(json["modules"][1]["errors"], 0);
    assert!(output.stderr.is_empty(), "{}", text(&output.stderr));
}

#[test]
fn files_that_are_no_sources() {
    let dir = workspace();
    fs::write(dir.path().join("src/latin1.cu"), b"// caf\xe9\n").expect("a file");
    let said = expect(1, dir.path(), &["translate", "src", "--out", "hip"]);
    assert!(
        said.contains("not UTF-8") && said.contains("offset 6") && said.contains("latin1.cu:1:7"),
        "{said}"
    );
    fs::write(dir.path().join("src/latin1.cu"), "#if A\nint a;\n").expect("a file");
    let said = expect(1, dir.path(), &["translate", "src", "--out", "hip"]);
    assert!(
        said.contains("before the #endif of this condition"),
        "{said}"
    );
}

#[test]
fn wrong_use() {
    let dir = workspace();
    let said = expect(2, dir.path(), &["translate", "nowhere", "--out", "hip"]);
    assert!(
        said.contains("cannot read the source folder nowhere"),
        "{said}"
    );
    let said = expect(
        2,
        dir.path(),
        &["translate", "src", "--module", "quantised"],
    );
    assert!(
        said.contains("no module `quantised`; there are: good"),
        "{said}"
    );
    let said = expect(2, dir.path(), &["translate", "src", "--hip", "six"]);
    assert!(said.contains("`six` is not a HIP version"), "{said}");
    expect(2, dir.path(), &["translate", "src", "--no-such-option"]);
    expect(2, dir.path(), &["no-such-command"]);
    fs::create_dir(dir.path().join("empty")).expect("a folder");
    let said = expect(2, dir.path(), &["translate", "empty"]);
    assert!(said.contains("no CUDA sources"), "{said}");
    let said = expect(2, dir.path(), &["fetch", "--version", "latest"]);
    assert!(said.contains("`latest` is not a version"), "{said}");
}

#[test]
fn wrong_configuration() {
    let dir = workspace();
    let said = expect(2, dir.path(), &["translate", "src", "--config", "nowhere"]);
    assert!(said.contains("nowhere"), "{said}");
    let config = dir.path().join("config");
    fs::create_dir_all(config.join("rules")).expect("a folder");
    fs::write(config.join("guards.toml"), "").expect("a file");
    fs::write(config.join("rules/a.toml"), "[functoin]\n").expect("a file");
    let said = expect(2, dir.path(), &["translate", "src", "--config", "config"]);
    assert!(
        said.contains("config/rules/a.toml")
            && said.contains("functoin")
            && said.contains("line 1"),
        "{said}"
    );
}

#[test]
fn an_output_that_cannot_be_written_leaves_what_was_there() {
    let dir = workspace();
    fs::write(dir.path().join("taken"), "mine").expect("a file");
    let said = expect(2, dir.path(), &["translate", "src", "--out", "taken"]);
    assert!(said.contains("cannot write taken"), "{said}");
    assert_eq!(
        fs::read_to_string(dir.path().join("taken")).expect("the file"),
        "mine"
    );
    // A folder stands where a file has to go.
    fs::create_dir_all(dir.path().join("hip/good.hip/inner")).expect("a folder");
    let said = expect(2, dir.path(), &["translate", "src", "--out", "hip"]);
    assert!(said.contains("cannot write hip/good.hip"), "{said}");
    let left: Vec<_> = fs::read_dir(dir.path().join("hip"))
        .expect("the folder")
        .collect();
    assert_eq!(left.len(), 1, "no leftovers: {left:?}");
}

/// Without a network and without the sources, the message says what is missing and what to do.
#[test]
fn no_network() {
    let dir = workspace();
    let output = Command::new(env!("CARGO_BIN_EXE_hipify-candle"))
        .args(["fetch", "--format", "json"])
        .current_dir(dir.path())
        .env("CARGO_HOME", dir.path().join("cargo-home"))
        .env("CARGO_NET_OFFLINE", "true")
        .output()
        .expect("the program runs");
    assert_eq!(output.status.code(), Some(2));
    let json: Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
    let error = json["error"].as_str().expect("a message");
    assert!(
        error.contains("candle-kernels 0.11.1 is not on this machine"),
        "{error}"
    );
    assert!(
        json["help"]
            .as_str()
            .is_some_and(|help| help.contains("connect once")),
        "{json}"
    );
    let output = Command::new(env!("CARGO_BIN_EXE_hipify-candle"))
        .arg("fetch")
        .current_dir(dir.path())
        .env("CARGO", "no-such-cargo")
        .output()
        .expect("the program runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("cannot run cargo (no-such-cargo)"),
        "{}",
        text(&output.stderr)
    );
}
