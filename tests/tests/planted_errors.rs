//! Errors planted in the translation make `verify` fail, and the failure names the kernel.
//!
//! Each test translates, compiles and verifies a module of candle's with a copy of `config/` in which one answer is
//! wrong: a mistake that compiles and runs.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{arg, checkout, kept_folder, run};
use serde_json::Value;

/// A copy of `config/` in which `file` says `wrong` instead of `right`.
fn wrong_config(name: &str, file: &str, right: &str, wrong: &str) -> PathBuf {
    let folder = kept_folder(&format!("planted/{name}/config"));
    copy(&checkout().join("config"), &folder);
    let path = folder.join(file);
    let text = fs::read_to_string(&path).expect("the configuration has this file");
    assert!(text.contains(right), "{file} no longer has {right:?}");
    fs::write(&path, text.replace(right, wrong)).expect("the copy can be written");
    folder
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder can be made");
    for entry in fs::read_dir(from).expect("a folder can be read") {
        let path = entry.expect("a folder can be read").path();
        let target = to.join(path.file_name().expect("an entry has a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).expect("a file can be copied");
        }
    }
}

/// Verifies some kernels of a module under a wrong configuration. Returns the report and what a person reads.
fn verify(name: &str, config: &Path, module: &str, kernels: &str) -> (Value, String) {
    let work = kept_folder(&format!("planted/{name}/work"));
    let run_as = |format| {
        let wrong = ["--config", arg(config), "--work-dir", arg(&work)];
        let verify = ["verify", "--arch", "gfx1100", "--module", module];
        let how = ["--kernel", kernels, "--seed", "1", "--format", format];
        let ended = run(&[&wrong[..], &verify, &how].concat());
        assert_eq!(ended.code, 1, "verify must fail: {ended:?}");
        ended
    };
    let report = run_as("json").json()["gfx1100"].clone();
    (report, run_as("human").stdout)
}

fn status<'a>(report: &'a Value, kernel: &str) -> &'a str {
    report[kernel]["status"].as_str().unwrap_or("absent")
}

/// Asserts that `kernels` fail, that the text names each of them, and that the message says what is wrong.
fn assert_caught(report: &Value, text: &str, kernels: &[&str]) {
    for kernel in kernels {
        assert_eq!(status(report, kernel), "fail", "{kernel}:\n{text}");
        assert!(
            text.contains(&format!("FAIL {kernel}\n")),
            "{kernel} is not named:\n{text}"
        );
        let message = report[*kernel]["detail"]["message"]
            .as_str()
            .unwrap_or_default();
        assert!(message.contains("expected"), "{kernel}: {message:?}");
    }
}

#[test]
fn a_dot_product_that_sums_absolute_differences_is_caught() {
    let config = wrong_config(
        "dp4a",
        "rules/integer.toml",
        r#""__dp4a" = "hipify::dp4a""#,
        r#""__dp4a" = { call = "(hipify::vsads4($1, $2) + ($3))" }"#,
    );
    let kernels = "{mul_mat_vec_q[48]_*_cuda1,mul_mat_q6_K,get_rows_q4_K}";
    let (report, text) = verify("dp4a", &config, "quantized", kernels);
    let caught = [
        "mul_mat_vec_q4_0_q8_1_cuda1",
        "mul_mat_vec_q4_K_q8_1_cuda1",
        "mul_mat_vec_q8_0_q8_1_cuda1",
        "mul_mat_q6_K",
    ];
    assert_caught(&report, &text, &caught);
    assert_eq!(
        status(&report, "get_rows_q4_K"),
        "pass",
        "it has no dot product"
    );
}

/// Sums over lanes 32, 16, 8, 4 and 2 apart, as a warp of 64 lanes would begin them.
#[test]
fn a_shuffle_as_if_warps_had_64_lanes_is_caught() {
    let config = wrong_config(
        "shuffle",
        "rules/warp.toml",
        r#""__shfl_xor_sync" = "hipify::shfl_xor_sync""#,
        r#""__shfl_xor_sync" = { call = "hipify::shfl_xor_sync($1, $2, 2 * ($3), 64)" }"#,
    );
    let kernels = "{*mul_mat_vec_q4_0*_cuda*,quantize_q8_1,dequantize_block_q4_0_f32}";
    let (report, text) = verify("shuffle", &config, "quantized", kernels);
    let caught = [
        "quantize_q8_1",
        "mul_mat_vec_q4_0_q8_1_cuda2",
        "dequantize_mul_mat_vec_q4_0_cuda",
    ];
    assert_caught(&report, &text, &caught);
    assert_eq!(
        status(&report, "dequantize_block_q4_0_f32"),
        "pass",
        "it does not shuffle"
    );
}

/// A guard that says no leaves kernels out. (The one guard of `quantized.cu` chooses between `__dp4a` and four multiplies:
/// whatever it says, results are right.)
#[test]
fn a_guard_answered_wrongly_is_caught() {
    let config = wrong_config(
        "guard",
        "guards.toml",
        "value = 800\nask = \"HIPIFY_HAS_BF16\"\nalways = true",
        "value = 800\nask = \"HIPIFY_HAS_BF16\"\nalways = false",
    );
    let (report, text) = verify("guard", &config, "fill", "*");
    for kernel in ["fill_bf16", "copy2d_bf16", "const_set_f8_e4m3"] {
        assert_eq!(status(&report, kernel), "error", "{kernel}:\n{text}");
        assert!(
            text.contains(&format!("ERROR {kernel}\n")),
            "{kernel} is not named:\n{text}"
        );
        let message = report[kernel]["detail"]["message"]
            .as_str()
            .unwrap_or_default();
        assert!(message.contains("missing"), "{kernel}: {message:?}");
    }
    assert_eq!(status(&report, "fill_f32"), "pass", "it asks no guard");
}
