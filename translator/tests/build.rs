//! `hipify-candle build` on small sources of this project's own, with the real compiler.

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use codeobject::bundle::Bundle;
use serde_json::Value;

use common::{Place, Run, SOURCES, by_status, compiled};

#[test]
fn bundles_manifest_and_a_second_build_with_nothing_to_do() {
    let place = Place::new();
    let archs = ["--arch", "gfx1100,gfx90a:xnack-"];
    let report = place.build(&archs);
    assert_eq!(compiled(&report).len(), 4, "{report}");

    let bytes = place.bundle("dot");
    let bundle = Bundle::parse(&bytes).expect("a bundle");
    let targets: Vec<String> = bundle
        .code_objects()
        .filter_map(|e| Some(e.target()?.to_string()))
        .collect();
    assert_eq!(targets, ["gfx90a:xnack-", "gfx1100"]);

    let manifest = fs::read(place.path("out/manifest.json")).expect("a manifest");
    let text: Value = serde_json::from_slice(&manifest).expect("JSON");
    let dot = &text["modules"]["dot"];
    assert_eq!(dot["kernels"], serde_json::json!(["dot4", "dot4_twice"]));
    assert_eq!(dot["bytes"], bytes.len());
    assert_eq!(dot["sha256"], sha256(&bytes));
    let arguments = dot["code_objects"][1]["arguments"].to_string();
    assert!(
        arguments.contains("-O3") && arguments.contains("-DHIPIFY_DOT4=2"),
        "{arguments}"
    );
    assert!(
        dot["compiler"]["version"]
            .as_str()
            .is_some_and(|v| v.contains("clang")),
        "{dot}"
    );

    let before = fs::metadata(place.path("out/dot.hipfb"))
        .and_then(|d| d.modified())
        .expect("a bundle");
    let report = place.build(&archs);
    assert_eq!(by_status(&report).keys().collect::<Vec<_>>(), ["cached"]);
    assert_eq!(report["bundles"]["dot"]["changed"], false);
    let after = fs::metadata(place.path("out/dot.hipfb"))
        .and_then(|d| d.modified())
        .expect("a bundle");
    assert_eq!(before, after);
    assert_eq!(
        fs::read(place.path("out/manifest.json")).expect("a manifest"),
        manifest
    );
}

fn sha256(bytes: &[u8]) -> String {
    hipify_candle::cache::Digest::of(bytes).to_string()
}

#[test]
fn only_what_changed_is_compiled() {
    let place = Place::new();
    assert_eq!(compiled(&place.build(&[])).len(), 2);
    let scale = SOURCES[0].1;

    place.write(
        "scale.cu",
        &scale.replace("// A comment.", "// Another\n// comment."),
    );
    place.write("common.cuh", &format!("/* new */\n{}", SOURCES[2].1));
    assert_eq!(
        compiled(&place.build(&[])),
        Vec::<String>::new(),
        "comments compile to nothing"
    );

    place.write("common.cuh", &SOURCES[2].1.replace("2.0f", "3.0f"));
    assert_eq!(
        compiled(&place.build(&[])),
        ["scale gfx1100"],
        "a header counts where it is included"
    );

    place.write("common.cuh", SOURCES[2].1);
    assert_eq!(
        compiled(&place.build(&[])),
        Vec::<String>::new(),
        "the old object is still there"
    );

    assert_eq!(
        compiled(&place.build(&["--hipcc-flag=-O1"])).len(),
        2,
        "a flag counts"
    );
    assert_eq!(
        compiled(&place.build(&["--arch", "gfx1030"])).len(),
        2,
        "an architecture counts"
    );
}

#[test]
fn the_same_bytes_in_any_folder_and_order() {
    let (one, two) = (Place::new(), Place::new());
    one.build(&["--jobs", "1", "--arch", "gfx1100,gfx1030"]);
    two.build(&["--jobs", "4", "--arch", "gfx1030,gfx1100"]);
    for module in ["dot", "scale"] {
        assert!(one.bundle(module) == two.bundle(module), "{module}");
    }
    let manifest = |place: &Place| fs::read(place.path("out/manifest.json")).expect("a manifest");
    assert!(manifest(&one) == manifest(&two));
    for module in ["dot", "scale"] {
        let bytes = one.bundle(module);
        let folder = one.dir.path().to_string_lossy().into_owned();
        assert!(
            !bytes.windows(folder.len()).any(|w| w == folder.as_bytes()),
            "{module} names the folder"
        );
    }
}

#[test]
fn two_builds_at_once_share_the_work() {
    let place = Place::new();
    let spawn = || {
        let mut command = place.command(&["--format", "json"]);
        command
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("the command runs")
    };
    let reports: Vec<Value> = [spawn(), spawn()]
        .into_iter()
        .map(|child| {
            let output = child.wait_with_output().expect("it ends");
            assert!(output.status.success());
            serde_json::from_slice(&output.stdout).expect("JSON")
        })
        .collect();
    let compiled: usize = reports.iter().map(|report| compiled(report).len()).sum();
    assert_eq!(compiled, 2, "each object is made once");
    let bytes = place.bundle("dot");
    assert_eq!(
        Bundle::parse(&bytes)
            .expect("a bundle")
            .code_objects()
            .count(),
        1
    );
}

#[test]
fn errors_of_the_compiler_point_at_the_cuda_line_and_old_bundles_stay() {
    let place = Place::new();
    place.build(&[]);
    let before = place.bundle("dot");
    place.write(
        "dot.cu",
        &SOURCES[1]
            .1
            .replace("2 * __dp4a(a", "2 * nonsense + __dp4a(a"),
    );
    let run = place.run(&["--arch", "gfx1100,gfx1030"]);
    run.fails(
        1,
        &[
            "dot for gfx1030, gfx1100",
            "error: use of undeclared identifier 'nonsense'",
            "--> cuda/dot.cu:5:26",
            "2 * nonsense + __dp4a(a[threadIdx.x]",
        ],
    );
    assert_eq!(
        run.err().matches("undeclared").count(),
        1,
        "two targets, one error"
    );
    assert!(
        place.bundle("dot") == before,
        "the bundle from before is still there"
    );
    assert!(
        run.out().contains("scale"),
        "the other module is built:\n{}",
        run.out()
    );

    let run = place.run(&["--format", "json"]);
    assert_eq!(run.code(), 1);
    let report: Value = serde_json::from_str(&run.out()).expect("JSON");
    let message = &report["modules"]["dot"]["gfx1100"]["messages"][0];
    assert_eq!(
        (message["line"].as_u64(), message["column"].as_u64()),
        (Some(5), Some(26)),
        "{message}"
    );
    assert_eq!(message["file"], "cuda/dot.cu");
}

#[test]
fn constructs_without_a_translation_stop_their_module_alone() {
    let place = Place::new();
    place.write(
        "dot.cu",
        &SOURCES[1].1.replacen("__dp4a(a", "__nonesuch_sync(a", 1),
    );
    let run = place.run(&[]);
    run.fails(1, &["__nonesuch_sync", "dot.cu:2:"]);
    assert!(
        run.out().contains("scale") && !place.path("out/dot.hipfb").exists(),
        "{}",
        run.out()
    );
}

#[test]
fn wrong_use_is_told_with_what_there_is() {
    let place = Place::new();
    place
        .run(&["--arch", "gfx1199"])
        .fails(2, &["gfx1199", "gfx1100", "gfx90a", "rdna3"]);
    place
        .run(&["--arch", "gfx1100:xnack+"])
        .fails(2, &["gfx1100", "xnack"]);
    place
        .run(&["--module", "scael"])
        .fails(2, &["scael", "scale", "dot"]);
    place
        .run(&["--module", "scal"])
        .fails(2, &["did you mean scale?"]);
    place.run(&["--jobs", "0"]).fails(2, &["--jobs"]);
    let mut command = place.command(&[]);
    let output = command.env("HIPIFY_CACHE_SIZE", "2G").output();
    Run(output.expect("it runs")).fails(2, &["HIPIFY_CACHE_SIZE", "2G", "MiB"]);
    place.write("dot.cu", "");
    fs::write(place.path("cuda/dot.cu"), b"int x = '\xff\xfe';\n").expect("temporary file");
    let run = place.run(&[]);
    assert_ne!(run.code(), 0);
    assert!(
        run.err().contains("UTF-8") && run.err().contains("dot.cu"),
        "{}",
        run.err()
    );
}

#[test]
fn what_the_compiler_cannot_build_is_said_by_name() {
    let place = Place::new();
    // Wherever these tests run with a compiler that knows it, there is nothing to refuse.
    let toolchain = hipify_candle::toolchain::Toolchain::find().expect("a toolchain");
    let processors = toolchain.processors().expect("clang answers");
    if processors.obstacle("gfx1250").is_none() {
        return;
    }
    place
        .run(&["--arch", "gfx1250"])
        .fails(2, &["gfx1250", "does not know"]);
    let run = place.run(&["--arch", "rdna4", "--module", "dot"]);
    assert_eq!(run.code(), 0, "{}", run.err());
    assert!(run.out().contains("left out: gfx1250"), "{}", run.out());
    let bytes = place.bundle("dot");
    let bundle = Bundle::parse(&bytes).expect("a bundle");
    let targets: Vec<String> = bundle
        .code_objects()
        .filter_map(|e| Some(e.target()?.to_string()))
        .collect();
    assert_eq!(targets, ["gfx1200", "gfx1201"]);
}

#[test]
fn missing_environment() {
    let place = Place::new();
    let empty = place.path("empty");
    fs::create_dir(&empty).expect("temporary folder");
    let output = place
        .command(&[])
        .env("ROCM_PATH", &empty)
        .output()
        .expect("the command runs");
    Run(output).fails(2, &["ROCM_PATH", "bin/hipcc", "help:"]);

    let mut command = place.command(&[]);
    for name in ["ROCM_PATH", "HIP_PATH"] {
        command.env_remove(name);
    }
    let output = command
        .env("HIPIFY_ROCM_PREFIX", &empty)
        .env("PATH", &empty)
        .output()
        .expect("the command runs");
    if !Path::new("/opt/rocm/bin/hipcc").exists() {
        Run(output).fails(
            2,
            &[
                "no ROCm toolchain",
                "/opt/rocm",
                "hipcc on PATH",
                "cargo xtask setup",
            ],
        );
    }

    fs::write(place.path("file"), "").expect("temporary file");
    let below = place.path("file/out").display().to_string();
    place
        .run(&["--out", &below])
        .fails(2, &["cannot create", "file/out"]);
    fs::create_dir_all(place.path("foreign")).expect("temporary folder");
    fs::write(
        place.path("foreign/manifest.json"),
        "{\"name\": \"an app\"}",
    )
    .expect("temporary file");
    let foreign = place.path("foreign").display().to_string();
    place
        .run(&["--out", &foreign])
        .fails(2, &["manifest.json", "no manifest of this program"]);

    let output = place
        .command(&[])
        .env("HIPIFY_CACHE_DIR", place.path("file/cache"))
        .output()
        .expect("it runs");
    Run(output).fails(1, &["file/cache", "HIPIFY_CACHE_DIR"]);
}

#[test]
fn clangs_own_tool_reads_the_bundles() {
    let place = Place::new();
    place.build(&["--arch", "gfx1100,gfx1030", "--module", "dot"]);
    let toolchain = hipify_candle::toolchain::Toolchain::find().expect("a toolchain");
    let Some(bundler) = toolchain.llvm_tool("clang-offload-bundler") else {
        panic!("the set-up installs clang-offload-bundler");
    };
    let bundle = place.path("out/dot.hipfb");
    let input = format!("--input={}", bundle.display());
    let output = Command::new(&bundler)
        .args(["--type=o", "--list", &input])
        .output()
        .expect("it runs");
    let listed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        listed.contains("hipv4-amdgcn-amd-amdhsa--gfx1100"),
        "{listed}"
    );
    assert!(
        listed.contains("hipv4-amdgcn-amd-amdhsa--gfx1030"),
        "{listed}"
    );

    let unbundled = place.path("unbundled");
    let status = Command::new(&bundler)
        .args([
            "--type=o",
            "--unbundle",
            "--targets=hipv4-amdgcn-amd-amdhsa--gfx1030",
            &input,
        ])
        .arg(format!("--output={}", unbundled.display()))
        .status()
        .expect("it runs");
    assert!(status.success());
    let bytes = place.bundle("dot");
    let parsed = Bundle::parse(&bytes).expect("a bundle");
    let ours = parsed
        .select(&"gfx1030".parse().expect("a target id"))
        .expect("it has gfx1030");
    assert!(fs::read(unbundled).expect("written by the tool") == ours.data);
}
