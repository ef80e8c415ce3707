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

/// Verifies some kernels of a module under a wrong configuration. Returns the report of each architecture and what a person
/// reads.
fn verify(
    name: &str,
    config: &Path,
    archs: &[&str],
    module: &str,
    kernels: &str,
) -> (Vec<Value>, String) {
    let work = kept_folder(&format!("planted/{name}/work"));
    let run_as = |format| {
        let wrong = ["--config", arg(config), "--work-dir", arg(&work)];
        let all = archs.join(",");
        let verify = ["verify", "--arch", &all, "--module", module];
        // Numbers alone are to tell: the memory checker would stop a kernel before they are compared.
        let how = ["--kernel", kernels, "--seed", "1", "--check-memory", "off"];
        let how = [&how[..], &["--format", format]].concat();
        let ended = run(&[&wrong[..], &verify, &how].concat());
        assert_eq!(ended.code, 1, "verify must fail: {ended:?}");
        ended
    };
    let report = run_as("json").json();
    let reports = archs.iter().map(|arch| report[arch].clone()).collect();
    (reports, run_as("human").stdout)
}

fn status<'a>(report: &'a Value, kernel: &str) -> &'a str {
    report[kernel]["status"].as_str().unwrap_or("absent")
}

/// Asserts that `kernels` fail, that the text names each of them, and that the message says what is wrong.
fn assert_caught(report: &Value, text: &str, place: &str, kernels: &[&str]) {
    for kernel in kernels {
        assert_eq!(status(report, kernel), "fail", "{kernel}:\n{text}");
        assert!(
            text.contains(&format!("FAIL {kernel}{place}\n")),
            "{kernel} is not named:\n{text}"
        );
        let message = report[*kernel]["detail"]["message"]
            .as_str()
            .unwrap_or_default();
        assert!(message.contains("expected"), "{kernel}: {message:?}");
    }
}

/// On each kind of dot product: multiply-adds (gfx1010), an instruction for signed bytes (gfx906, whose waves have 64
/// lanes), one with signedness an operand (gfx1100).
#[test]
fn a_dot_product_that_sums_absolute_differences_is_caught() {
    let config = wrong_config(
        "dp4a",
        "rules/integer.toml",
        r#""__dp4a" = "hipify::dp4a""#,
        r#""__dp4a" = { call = "(hipify::vsads4($1, $2) + ($3))" }"#,
    );
    let kernels = "{mul_mat_vec_q[48]_*_cuda1,mul_mat_q6_K,get_rows_q4_K}";
    let archs = ["gfx1010", "gfx906", "gfx1100"];
    let (reports, text) = verify("dp4a", &config, &archs, "quantized", kernels);
    let caught = [
        "mul_mat_vec_q4_0_q8_1_cuda1",
        "mul_mat_vec_q4_K_q8_1_cuda1",
        "mul_mat_vec_q8_0_q8_1_cuda1",
        "mul_mat_q6_K",
    ];
    for (arch, report) in archs.iter().zip(&reports) {
        assert_caught(report, &text, &format!(" on {arch}"), &caught);
        assert_eq!(
            status(report, "get_rows_q4_K"),
            "pass",
            "{arch}: it has no dot product"
        );
    }
}

/// Sums over lanes 32, 16, 8, 4 and 2 apart, as a warp of 64 lanes would begin them; with waves of 32 and of 64 lanes.
#[test]
fn a_shuffle_as_if_warps_had_64_lanes_is_caught() {
    let config = wrong_config(
        "shuffle",
        "rules/warp.toml",
        r#""__shfl_xor_sync" = "hipify::shfl_xor_sync""#,
        r#""__shfl_xor_sync" = { call = "hipify::shfl_xor_sync($1, $2, 2 * ($3), 64)" }"#,
    );
    let kernels = "{*mul_mat_vec_q4_0*_cuda*,quantize_q8_1,dequantize_block_q4_0_f32}";
    let archs = ["gfx1100", "gfx90a"];
    let (reports, text) = verify("shuffle", &config, &archs, "quantized", kernels);
    let caught = [
        "quantize_q8_1",
        "mul_mat_vec_q4_0_q8_1_cuda2",
        "dequantize_mul_mat_vec_q4_0_cuda",
    ];
    for (arch, report) in archs.iter().zip(&reports) {
        assert_caught(report, &text, &format!(" on {arch}"), &caught);
        assert_eq!(
            status(report, "dequantize_block_q4_0_f32"),
            "pass",
            "{arch}: it does not shuffle"
        );
    }
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
    let (reports, text) = verify("guard", &config, &["gfx1100"], "fill", "*");
    let report = &reports[0];
    for kernel in ["fill_bf16", "copy2d_bf16", "const_set_f8_e4m3"] {
        assert_eq!(status(report, kernel), "error", "{kernel}:\n{text}");
        assert!(
            text.contains(&format!("ERROR {kernel}\n")),
            "{kernel} is not named:\n{text}"
        );
        let message = report[kernel]["detail"]["message"]
            .as_str()
            .unwrap_or_default();
        assert!(message.contains("missing"), "{kernel}: {message:?}");
    }
    assert_eq!(status(report, "fill_f32"), "pass", "it asks no guard");
}
