//! Errors planted in the translation make `verify` fail, and the failure names the kernel.
//!
//! Each test translates, compiles and verifies candle's `quantized.cu` with a copy of `config/` in which one answer is
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

/// Verifies some kernels of `quantized` under a wrong configuration. Returns the report and what a person reads.
fn verify(name: &str, config: &Path, kernels: &str) -> (Value, String) {
    let work = kept_folder(&format!("planted/{name}/work"));
    let args = |format| {
        let fixed = [
            "--config",
            arg(config),
            "--work-dir",
            arg(&work),
            "--format",
            format,
        ];
        let verify = [
            "verify",
            "--arch",
            "gfx1100",
            "--module",
            "quantized",
            "--seed",
            "1",
        ];
        [&fixed[..], &verify, &["--kernel", kernels]]
            .concat()
            .iter()
            .map(|s| s.to_string())
            .collect::<Vec<_>>()
    };
    let json = run(&args("json"));
    assert_eq!(json.code, 1, "verify must fail: {json:?}");
    let human = run(&args("human"));
    assert_eq!(human.code, 1, "verify must fail: {human:?}");
    (json.json()["gfx1100"].clone(), human.stdout)
}

fn status<'a>(report: &'a Value, kernel: &str) -> &'a str {
    report[kernel]["status"].as_str().unwrap_or("absent")
}

/// The kernels that fail, each of which the text must name with what is wrong.
fn failing(report: &Value, text: &str) -> Vec<String> {
    let kernels = report.as_object().expect("a report is an object");
    let failing: Vec<String> = kernels
        .iter()
        .filter(|(_, found)| found["status"] == "fail")
        .map(|(kernel, _)| kernel.clone())
        .collect();
    for kernel in &failing {
        assert!(
            text.contains(&format!("FAIL {kernel}")),
            "{kernel} is not named:\n{text}"
        );
        let message = report[kernel]["detail"]["message"]
            .as_str()
            .unwrap_or_default();
        assert!(message.contains("expected"), "{kernel}: {message:?}");
    }
    failing
}

#[test]
fn a_dot_product_that_sums_absolute_differences_is_caught() {
    let config = wrong_config(
        "dp4a",
        "rules/integer.toml",
        r#""__dp4a" = "hipify::dp4a""#,
        r#""__dp4a" = { call = "(hipify::vsads4($1, $2) + ($3))" }"#,
    );
    let (report, text) = verify(
        "dp4a",
        &config,
        "{mul_mat_vec_q[48]_*_cuda1,mul_mat_q6_K,get_rows_q4_K}",
    );
    let failing = failing(&report, &text);
    for kernel in [
        "mul_mat_vec_q4_0_q8_1_cuda1",
        "mul_mat_vec_q4_K_q8_1_cuda1",
        "mul_mat_q6_K",
    ] {
        assert!(
            failing.iter().any(|f| f == kernel),
            "{kernel}: {}",
            status(&report, kernel)
        );
    }
    assert_eq!(
        status(&report, "get_rows_q4_K"),
        "pass",
        "it has no dot product"
    );
}

#[test]
fn a_shuffle_as_if_warps_had_64_lanes_is_caught() {
    let config = wrong_config(
        "shuffle",
        "rules/warp.toml",
        r#""__shfl_xor_sync" = "hipify::shfl_xor_sync""#,
        r#""__shfl_xor_sync" = { call = "__shfl_xor($2, 2 * ($3), 64)" }"#,
    );
    let (report, text) = verify(
        "shuffle",
        &config,
        "{*mul_mat_vec_q4_0*_cuda*,quantize_q8_1,dequantize_block_q4_0_f32}",
    );
    let failing = failing(&report, &text);
    for kernel in [
        "quantize_q8_1",
        "mul_mat_vec_q4_0_q8_1_cuda2",
        "dequantize_mul_mat_vec_q4_0_cuda",
    ] {
        assert!(
            failing.iter().any(|f| f == kernel),
            "{kernel}: {}",
            status(&report, kernel)
        );
    }
    assert_eq!(
        status(&report, "dequantize_block_q4_0_f32"),
        "pass",
        "it does not shuffle"
    );
}

#[test]
fn a_guard_answered_wrongly_is_caught() {
    let config = wrong_config(
        "guard",
        "guards.toml",
        "value = 610\nask = \"HIPIFY_HAS_DP4A\"\nalways = true",
        "value = 610\nask = \"HIPIFY_HAS_DP4A\"\nalways = false",
    );
    let (report, text) = verify(
        "guard",
        &config,
        "{mul_mat_vec_q5_K_*_cuda1,mul_mat_q4_1,get_rows_q4_K}",
    );
    let failing = failing(&report, &text);
    for kernel in ["mul_mat_vec_q5_K_q8_1_cuda1", "mul_mat_q4_1"] {
        assert!(
            failing.iter().any(|f| f == kernel),
            "{kernel}: {}",
            status(&report, kernel)
        );
    }
    assert_eq!(status(&report, "get_rows_q4_K"), "pass", "it asks no guard");
}
