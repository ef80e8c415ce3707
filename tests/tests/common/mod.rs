//! The programs under test, built and started as a user would, and what they need around them.

// Each test program uses a part of this.
#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::Value;

/// The checkout.
pub fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or(Path::new("."))
}

/// The folder that cargo builds this profile into, and its target folder.
fn build_folders() -> (PathBuf, PathBuf) {
    let test = std::env::current_exe().expect("a test has a path");
    let profile = test
        .ancestors()
        .find(|folder| folder.join(".cargo-lock").is_file())
        .expect("cargo builds tests below a profile's folder");
    let target = profile
        .parent()
        .expect("a profile's folder is in a target folder");
    (profile.to_owned(), target.to_owned())
}

/// `hipify-candle`, with the emulator's library beside it, both up to date.
pub fn hipify_candle() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let (profile, target) = build_folders();
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let release = profile.ends_with("release").then_some("--release");
        let status = std::process::Command::new(cargo)
            .current_dir(checkout())
            .args([
                "build",
                "--quiet",
                "-p",
                "hipify-candle",
                "-p",
                "amdgpu-emulator",
            ])
            .args(release)
            .arg("--target-dir")
            .arg(&target)
            .status()
            .expect("cargo starts");
        assert!(status.success(), "the program under test does not build");
        profile.join("hipify-candle")
    })
}

/// A folder of this name that stays between runs, so that what was compiled in it need not be compiled again.
pub fn kept_folder(name: &str) -> PathBuf {
    let folder = build_folders().1.join("tests").join(name);
    std::fs::create_dir_all(&folder).expect("the target folder can be written");
    folder
}

/// How a program ended.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// Standard output as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }

    /// Asserts the exit code, and that standard error has all of `words`.
    pub fn fails_with(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        for word in words {
            assert!(self.stderr.contains(word), "{word:?} is not in: {self:?}");
        }
    }
}

/// Runs `hipify-candle` in the checkout, with `variables` set.
pub fn run_with<I: AsRef<str>>(variables: &[(&str, &str)], args: &[I]) -> Ended {
    let mut command = duct::cmd(hipify_candle(), args.iter().map(AsRef::as_ref)).dir(checkout());
    for (name, value) in variables {
        command = command.env(name, value);
    }
    // What the person who runs the tests has set must not reach the program.
    for name in [
        "AMDGPU_EMULATOR_LIB",
        "AMDGPU_EMULATOR_DEVICES",
        "HIPIFY_WORK_DIR",
        "HIP_LOADER_LIB",
    ] {
        if variables.iter().all(|(set, _)| *set != name) {
            command = command.env_remove(name);
        }
    }
    let output = command
        .stdout_capture()
        .stderr_capture()
        .unchecked()
        .run()
        .expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the program prints UTF-8");
    Ended {
        code: output.status.code().expect("the program is not killed"),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// Runs `hipify-candle` in the checkout.
pub fn run<I: AsRef<str>>(args: &[I]) -> Ended {
    run_with(&[], args)
}

/// A path as an argument.
pub fn arg(path: &Path) -> &str {
    path.to_str().expect("test folders have UTF-8 names")
}
