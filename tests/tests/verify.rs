//! `hipify-candle verify` as a user calls it: what it says about candle's kernels, and about wrong use.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use common::{arg, checkout, kept_folder, run, run_with};
use hipify_candle::arch::Architectures;
use hipify_candle::config::Config;
use hipify_candle::toolchain::Toolchain;
use serde_json::Value;

/// The kernels that `nvcc` makes of candle-kernels 0.11.1's `quantized.cu`.
fn symbols_of_the_cuda_build() -> BTreeSet<String> {
    let formats = [
        "q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "q2_K", "q3_K", "q4_K", "q5_K", "q6_K",
    ];
    let mut symbols: BTreeSet<String> = ["f32", "f16", "bf16"]
        .map(|t| format!("get_rows_{t}"))
        .into();
    symbols.insert("quantize_q8_1".to_owned());
    for format in formats {
        symbols.insert(format!("get_rows_{format}"));
        symbols.insert(format!("mul_mat_{format}"));
        symbols.extend((1..=8).map(|b| format!("mul_mat_vec_{format}_q8_1_cuda{b}")));
        symbols.insert(match format.strip_suffix("_K") {
            Some(bits) => format!("dequantize_mul_mat_vec_{bits}_k"),
            None => format!("dequantize_mul_mat_vec_{format}_cuda"),
        });
    }
    for format in formats.into_iter().chain(["q8_K"]) {
        symbols.extend(["f32", "f16"].map(|t| format!("dequantize_block_{format}_{t}")));
    }
    for format in ["q2k", "q3k", "q4k", "q5k", "q6k", "q8_0"] {
        symbols.insert(format!("indexed_moe_forward_{format}_q8_1"));
    }
    symbols
}

fn cases(kernel: &Value) -> &[Value] {
    kernel["detail"]["cases"]
        .as_array()
        .map_or(&[], Vec::as_slice)
}

/// One architecture of each family: waves of 32 and 64 lanes, all kinds of dot product and of tiles.
const FAMILIES: [&str; 6] = [
    "gfx900", "gfx90a", "gfx1010", "gfx1030", "gfx1100", "gfx1201",
];

#[test]
fn every_quantized_kernel_passes_on_every_family() {
    let archs = FAMILIES.join(",");
    let verify = ["verify", "--arch", &archs, "--module", "quantized"];
    let ended = run(&[&verify[..], &["--format", "json"]].concat());
    let report = ended.json();
    for arch in FAMILIES {
        let kernels = report[arch]
            .as_object()
            .expect("an object for the architecture");
        let found: BTreeSet<String> = kernels.keys().cloned().collect();
        assert_eq!(found, symbols_of_the_cuda_build(), "{arch}");
        assert_eq!(found.len(), 142);
        for (symbol, kernel) in kernels {
            assert_passes(arch, symbol, kernel);
        }
    }
    assert_eq!(ended.code, 0);
}

fn assert_passes(arch: &str, symbol: &str, kernel: &Value) {
    let detail = &kernel["detail"];
    assert_eq!(
        kernel["status"], "pass",
        "{arch} {symbol}: {}",
        detail["message"]
    );
    let of = |golden: bool| {
        cases(kernel)
            .iter()
            .filter(move |case| (case["reference"] == "golden") == golden)
    };
    for case in of(true) {
        let close = case["rel_err"].as_f64().is_some_and(|e| e <= 1e-5);
        assert!(close, "{arch} {symbol}: {case}");
    }
    let is_recorded = !["get_rows_f32", "get_rows_f16", "get_rows_bf16"].contains(&symbol)
        && symbol != "indexed_moe_forward_q8_0_q8_1";
    assert_eq!(of(true).next().is_some(), is_recorded, "{arch} {symbol}");
    if symbol.starts_with("dequantize_block_") || symbol.starts_with("get_rows_") {
        assert!(
            of(true).all(|case| case["exact"] == true),
            "{arch} {symbol}: {kernel}"
        );
    }
    assert!(
        of(false).count() >= 2,
        "{arch} {symbol} is run on too little"
    );
    // Nothing spills, and no kernel is compiled for larger blocks than it is launched with.
    let used = &detail["resources"];
    assert_eq!(used["spilled"], 0, "{arch} {symbol}: {used}");
    assert!(
        used["max_threads"].as_u64().is_some_and(|n| n <= 256),
        "{arch} {symbol}: {used}"
    );
    let executed = &detail["executed"]["instructions"];
    assert!(
        executed.as_u64().is_some_and(|n| n > 0),
        "{arch} {symbol}: {executed}"
    );
}

/// Kernels of each module of candle-kernels 0.11.1: those that it compiles to PTX, and two of its host library.
const KERNELS: [(&str, usize); 13] = [
    ("affine", 10),
    ("binary", 96),
    ("cast", 58),
    ("conv", 66),
    ("fill", 24),
    ("indexing", 125),
    ("quantized", 142),
    ("reduce", 71),
    ("sort", 14),
    ("ternary", 26),
    ("unary", 123),
    ("mmvq_gguf", 243),
    ("moe/moe_gguf", 7),
];

#[test]
fn every_kernel_of_every_module_passes_on_waves_of_32_and_64() {
    let archs = ["gfx1100", "gfx90a"];
    for (module, count) in KERNELS {
        let arch = archs.join(",");
        let verify = ["verify", "--arch", &arch, "--module", module];
        let ended = run(&[&verify[..], &["--format", "json"]].concat());
        let report = ended.json();
        for arch in archs {
            let kernels = report[arch].as_object().expect("an object a kernel");
            assert_eq!(kernels.len(), count, "{arch} {module}");
            for (symbol, kernel) in kernels {
                let detail = &kernel["detail"];
                let message = &detail["message"];
                assert_eq!(kernel["status"], "pass", "{arch} {symbol}: {message}");
                assert!(!cases(kernel).is_empty(), "{arch} {symbol}: {kernel}");
                let executed = detail["executed"]["instructions"].as_u64();
                assert!(executed > Some(0), "{arch} {symbol}: {kernel}");
                assert_eq!(detail["resources"]["spilled"], 0, "{arch} {symbol}");
            }
        }
        assert_eq!(ended.code, 0);
    }
}

/// An architecture that the compiler doesn't know is named: alone it is an error, beside others it is left out.
#[test]
fn architectures_that_the_compiler_cannot_build_are_named() {
    let toolchain = Toolchain::find().expect("the toolchain");
    let names = toolchain.processors().expect("the compiler's processors");
    let archs = Architectures::from_config(&Config::embedded()).expect("the architectures");
    let unbuildable: Vec<&str> = archs
        .all()
        .iter()
        .map(|arch| arch.name.as_str())
        .filter(|name| names.obstacle(name).is_some())
        .collect();
    // Compilers after clang 19 know all of the table, and then there is nothing to name.
    for arch in unbuildable {
        run(&["verify", "--arch", arch, "--module", "fill"]).fails_with(2, &[arch]);
        let both = format!("gfx1100,{arch}");
        let ended = run(&["verify", "--arch", &both, "--module", "fill"]);
        assert_eq!(ended.code, 0, "{ended:?}");
        assert!(
            ended
                .stderr
                .contains(&format!("left out: {arch} can't be built")),
            "{ended:?}"
        );
    }
}

/// The page holds all that it shows: no scripts, nothing to fetch.
#[test]
fn a_page_shows_architectures_kernels_and_what_is_wrong() {
    let ended = run(&["verify", "--module", "fill", "--format", "html"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let page = &ended.stdout;
    assert!(page.starts_with("<!doctype html>") && page.trim_end().ends_with("</html>"));
    for shown in [
        "gfx1100",
        "fill_f32",
        "24 of 24",
        "VGPRs",
        "prefers-color-scheme: dark",
    ] {
        assert!(page.contains(shown), "no {shown:?}");
    }
    for outside in ["<script", "src=", "http://", "https://", "@import", "url("] {
        assert!(!page.contains(outside), "{outside:?} needs something else");
    }
    let wrong = ["--no-fixes", "--kernel", "mul_mat_vec_q4_0_q8_1_cuda2"];
    let ended = run(&[
        &["verify", "--module", "quantized", "--format", "html"],
        &wrong[..],
    ]
    .concat());
    assert_eq!(ended.code, 1);
    // The read past the weights or the race on the output, whichever the data meet first.
    for shown in ["What is wrong (1)", "mul-mat-vec-odd-rows", wrong[2]] {
        assert!(
            ended.stdout.contains(shown),
            "no {shown:?}:\n{}",
            ended.stdout
        );
    }
    run(&["doctor", "--format", "html"]).fails_with(2, &["page"]);
}

#[test]
fn one_seed_gives_one_result() {
    let report = |seed: &str| {
        let kernel = ["--kernel", "{mul_mat_vec_q4_K_q8_1_cuda2,quantize_q8_1}"];
        let fixed = [
            "verify",
            "--module",
            "quantized",
            "--format",
            "json",
            "--seed",
            seed,
        ];
        let mut report = run(&[&fixed[..], &kernel].concat()).json();
        for kernel in report["gfx1100"]
            .as_object_mut()
            .expect("an object")
            .values_mut()
        {
            kernel["detail"]["seconds"].take();
        }
        report
    };
    let first = report("7");
    assert_eq!(first, report("7"));
    assert_ne!(first, report("8"));
}

#[test]
fn a_person_reads_a_table_with_device_seed_and_time_and_no_escapes() {
    let args = [
        "verify",
        "--module",
        "quantized",
        "--kernel",
        "*q4_K*",
        "--seed",
        "42",
    ];
    let ended = run(&args);
    assert_eq!(ended.code, 0, "{ended:?}");
    for words in [
        "gfx1100 on emulated",
        "quantized",
        "q4_K",
        "mul_mat",
        "exact",
        "seed 42",
        "12 of 12 kernels pass",
    ] {
        assert!(
            ended.stdout.contains(words),
            "{words:?} is not in:\n{}",
            ended.stdout
        );
    }
    assert!(!ended.stdout.contains('\x1b'), "colour without a terminal");
    let widest = ended.stdout.lines().map(|line| line.chars().count()).max();
    assert!(
        widest <= Some(100),
        "the table is {widest:?} wide:\n{}",
        ended.stdout
    );
}

/// Without repairs the kernels do what candle's do, and verify says which repair is missing.
#[test]
fn the_faithful_translation_fails_where_candle_is_wrong() {
    let kernels = "{mul_mat_vec_q4_0_q8_1_cuda[12],indexed_moe_forward_q[48]*}";
    let args = [
        "verify",
        "--module",
        "quantized",
        "--no-fixes",
        "--format",
        "json",
        "--kernel",
        kernels,
    ];
    let ended = run(&args);
    assert_eq!(ended.code, 1);
    let report = &ended.json()["gfx1100"];
    for (kernel, repair) in [
        ("mul_mat_vec_q4_0_q8_1_cuda2", "mul-mat-vec-odd-rows"),
        ("indexed_moe_forward_q8_0_q8_1", "indexed-moe-expert-stride"),
    ] {
        let found = &report[kernel];
        let message = found["detail"]["message"].as_str().unwrap_or_default();
        assert_ne!(found["status"], "pass", "{kernel}");
        assert!(message.contains(repair), "{kernel}: {message:?}");
    }
    for kernel in [
        "mul_mat_vec_q4_0_q8_1_cuda1",
        "indexed_moe_forward_q4k_q8_1",
    ] {
        assert_eq!(report[kernel]["status"], "pass", "{kernel}");
    }
}

/// The smallest module, for what does not depend on the kernels.
const FILL: [&str; 3] = ["verify", "--module", "fill"];

/// Bundles of the smallest module, as `build` writes them.
fn fill_bundles() -> std::path::PathBuf {
    let folder = kept_folder("fill-bundles");
    let ended = run(&[
        "build",
        "--module",
        "fill",
        "--arch",
        "gfx1100",
        "--out",
        arg(&folder),
    ]);
    assert_eq!(ended.code, 0, "{ended:?}");
    folder
}

fn fill_from<'a>(folder: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    [&FILL[..], &["--bundles", arg(folder)], more].concat()
}

#[test]
fn bundles_built_before_need_no_toolchain() {
    let folder = fill_bundles();
    let empty = tempfile::tempdir().expect("a temporary folder");
    let variables = [
        ("ROCM_PATH", ""),
        ("HIP_PATH", ""),
        ("PATH", arg(empty.path())),
    ];
    let ended = run_with(&variables, &fill_from(&folder, &[]));
    assert_eq!(ended.code, 0, "{ended:?}");
}

#[test]
fn an_unknown_architecture_is_refused() {
    run(&["verify", "--arch", "gfx1999", "--module", "fill"]).fails_with(2, &["gfx1999"]);
}

#[test]
fn an_unknown_module_is_refused_with_those_that_there_are() {
    run(&["verify", "--module", "quantised"]).fails_with(2, &["quantised", "quantized"]);
}

#[test]
fn a_pattern_without_a_match_names_the_nearest_kernels() {
    let folder = fill_bundles();
    run(&fill_from(&folder, &["--kernel", "fill_f3"])).fails_with(2, &["fill_f3", "fill_f32"]);
    run(&fill_from(&folder, &["--kernel", "fill_[f3"])).fails_with(2, &["fill_[f3"]);
}

#[test]
fn golden_vectors_that_cannot_be_used_are_said_so() {
    let folder = fill_bundles();
    let run_on = |golden: &Path| run(&fill_from(&folder, &["--golden", arg(golden)]));
    let scratch = tempfile::tempdir().expect("a temporary folder");
    run_on(&scratch.path().join("absent")).fails_with(2, &["golden vectors", "absent"]);
    run_on(scratch.path()).fails_with(2, &["golden vectors", ".safetensors"]);

    let file = "q4_K.safetensors";
    let whole = fs::read(checkout().join("tests/data/golden").join(file)).expect("golden vectors");
    for (bytes, words) in [
        (&whole[..whole.len() / 2], file),
        (&whole[..7], file),
        (&b"{\"a\":"[..], file),
    ] {
        fs::write(scratch.path().join(file), bytes).expect("a file can be written");
        let args = [
            "verify",
            "--module",
            "quantized",
            "--kernel",
            "mul_mat_q4_K",
        ];
        let golden = ["--golden", arg(scratch.path())];
        run(&[&args[..], &golden].concat()).fails_with(2, &["golden vectors", words]);
    }
    let args = [
        "verify",
        "--module",
        "quantized",
        "--kernel",
        "mul_mat_q4_0",
    ];
    let golden = ["--golden", arg(scratch.path())];
    run(&[&args[..], &golden].concat()).fails_with(2, &["golden vectors", "q4_0.safetensors"]);
}

#[test]
fn a_bundle_that_is_none_is_said_so() {
    let folder = fill_bundles();
    let scratch = tempfile::tempdir().expect("a temporary folder");
    run(&fill_from(scratch.path(), &[])).fails_with(2, &["manifest.json", "hipify-candle build"]);

    fs::copy(
        folder.join("manifest.json"),
        scratch.path().join("manifest.json"),
    )
    .expect("a copy");
    let manifest: Value = serde_json::from_slice(
        &fs::read(folder.join("manifest.json")).expect("build writes a manifest"),
    )
    .expect("the manifest is JSON");
    let bundle = manifest["modules"]["fill"]["bundle"]
        .as_str()
        .expect("the manifest names it");
    run(&fill_from(scratch.path(), &[])).fails_with(2, &[bundle]);

    let whole = fs::read(folder.join(bundle)).expect("build writes a bundle");
    let copy = scratch.path().join(bundle);
    for cut in [0, 20, 60, whole.len() / 2, whole.len() - 1] {
        fs::write(&copy, &whole[..cut]).expect("a file can be written");
        run(&fill_from(scratch.path(), &[])).fails_with(2, &["fill"]);
    }
}

#[test]
fn a_bundle_without_the_architecture_lists_what_it_has() {
    let folder = fill_bundles();
    run(&fill_from(&folder, &["--arch", "gfx1030"])).fails_with(2, &["fill", "gfx1030", "gfx1100"]);
}

#[test]
fn a_runtime_library_that_is_none_is_said_so() {
    let folder = fill_bundles();
    run(&fill_from(
        &folder,
        &["--runtime", "/nowhere/libamdhip64.so"],
    ))
    .fails_with(2, &["/nowhere/libamdhip64.so"]);
    // A library, but not HIP's: the message lists what it lacks.
    run(&fill_from(&folder, &["--runtime", "libc.so.6"])).fails_with(2, &["libc.so.6", "hipInit"]);
    let variables = [("AMDGPU_EMULATOR_LIB", "/nowhere/emulator.so")];
    run_with(&variables, &fill_from(&folder, &[])).fails_with(2, &["/nowhere/emulator.so"]);
}

#[test]
fn a_failure_is_json_where_json_was_asked_for() {
    let ended = run(&[
        "verify", "--module", "fill", "--arch", "gfx1999", "--format", "json",
    ]);
    assert_eq!(ended.code, 2);
    assert!(
        ended.json()["error"]
            .as_str()
            .is_some_and(|e| e.contains("gfx1999")),
        "{ended:?}"
    );
}
