//! The example crate as a user builds it: with hipcc, from bundles where there is no toolchain, and with neither.

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::{arg, checkout, kept_folder, run};

const ARCH: &str = "gfx1100";

/// `cargo` on the example crate, with a target folder that stays between runs.
fn cargo(subcommand: &str) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args([subcommand, "--quiet", "--locked", "--manifest-path"])
        .arg(checkout().join("examples/own-kernel/Cargo.toml"))
        .arg("--target-dir")
        .arg(kept_folder("own-kernel"))
        .env("CANDLE_HIP_ARCHS", ARCH)
        .env("HIP_LOADER_LIB", emulator())
        .env("AMDGPU_EMULATOR_DEVICES", ARCH);
    for name in [
        "CANDLE_HIP_BUNDLES",
        "OWN_KERNEL_BUNDLES",
        "HIPIFY_WORK_DIR",
    ] {
        command.env_remove(name);
    }
    command
}

fn emulator() -> PathBuf {
    common::hipify_candle().with_file_name("libamdhip64.so")
}

fn end(command: &mut Command) -> (Output, String) {
    let output = command.output().expect("cargo starts");
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    (output, text)
}

/// A folder that is no ROCm: whoever looks for a toolchain ends there.
fn without_toolchain<'c>(command: &'c mut Command, folder: &Path) -> &'c mut Command {
    command.env("ROCM_PATH", folder)
}

#[test]
fn the_example_builds_with_hipcc_and_from_bundles_and_says_what_it_needs() {
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let works = |command: &mut Command| {
        let (output, text) = end(command);
        assert!(output.status.success(), "{text}");
        assert!(
            text.contains(ARCH) && text.contains("y[999] = 2999"),
            "{text}"
        );
    };
    works(&mut cargo("run"));

    let (candle, own) = (scratch.path().join("candle"), scratch.path().join("own"));
    let kernels = checkout().join("examples/own-kernel/kernels");
    for (sources, module, out) in [(None, "fill", &candle), (Some(&kernels), "saxpy", &own)] {
        let mut arguments = vec![
            "build",
            "--module",
            module,
            "--arch",
            ARCH,
            "--out",
            arg(out),
        ];
        arguments.extend(sources.map(|folder| arg(folder)));
        let built = run(&arguments);
        assert_eq!(built.code, 0, "{built:?}");
    }
    let mut prebuilt = cargo("run");
    prebuilt
        .env("CANDLE_HIP_BUNDLES", &candle)
        .env("OWN_KERNEL_BUNDLES", &own);
    works(without_toolchain(&mut prebuilt, scratch.path()));

    let mut neither = cargo("build");
    neither.env("CANDLE_HIP_BUNDLES", &candle);
    let (output, text) = end(without_toolchain(&mut neither, scratch.path()));
    assert!(!output.status.success(), "{text}");
    for word in ["two ways out", "ROCM_PATH", "OWN_KERNEL_BUNDLES"] {
        assert!(text.contains(word), "{word} is not in {text}");
    }

    // Bundles that lack what was asked for are refused by name.
    let mut other = cargo("build");
    other
        .env("CANDLE_HIP_BUNDLES", &candle)
        .env("OWN_KERNEL_BUNDLES", &own);
    other.env("CANDLE_HIP_ARCHS", "gfx90a");
    let (output, text) = end(without_toolchain(&mut other, scratch.path()));
    assert!(!output.status.success(), "{text}");
    assert!(text.contains("no code object for gfx90a"), "{text}");
}
