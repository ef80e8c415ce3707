//! Ways of building and storing that must not change what is in a bundle.

use std::fs;
use std::path::Path;
use std::process::Command;

use codeobject::bundle::{Bundle, is_compressed};
use hipify_candle::toolchain::Toolchain;

use crate::assert_same;
use crate::common::{Place, Run, compiled};

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[test]
fn parts_of_a_build_merge_to_the_whole_of_it() {
    let place = Place::new();
    let archs = ["--arch", "gfx1100,gfx90a:xnack-,gfx1030"];
    assert_eq!(compiled(&place.build(&archs)).len(), 6);
    let mut parts = Vec::new();
    let mut jobs = 0;
    for shard in ["1/4", "2/4", "3/4", "4/4"] {
        let out = place.path(&shard.replace('/', "-of-"));
        let report = place.build(&[&archs[..], &["--shard", shard, "--out", text(&out)]].concat());
        jobs += report["modules"]
            .as_object()
            .expect("modules")
            .values()
            .map(|targets| targets.as_object().expect("targets").len())
            .sum::<usize>();
        parts.push(out);
    }
    assert_eq!(jobs, 6, "every job is in one part");
    let merge = |parts: &[&Path], out: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hipify-candle"));
        command.arg("merge").args(parts).arg("--out").arg(out);
        command.output().expect("the command runs")
    };
    // In any order.
    let order: Vec<&Path> = parts.iter().rev().map(|part| part.as_path()).collect();
    let merged = merge(&order, &place.path("merged"));
    assert!(merged.status.success(), "{merged:?}");
    assert_same(&place.path("out"), &place.path("merged"));

    // A part that was built from something else does not fit.
    let source = crate::common::SOURCES[1].1.replace("2 *", "3 *");
    place.write("dot.cu", &source);
    let other = place.path("other");
    place.build(&["--arch", "gfx1030", "--out", text(&other)]);
    let refused = |parts: &[&Path], words: &[&str]| {
        let out = place.path("no");
        Run(merge(parts, &out)).fails(2, words);
        assert!(!out.join("dot.hipfb").exists());
    };
    let [a, b, c, d] = parts.as_slice() else {
        panic!("four parts");
    };
    refused(&[a, b, c, d, &other], &["dot", "text of the sources"]);

    // Nor does one with other flags, or of another number of parts; and without all of them nothing is whole.
    place.write("dot.cu", crate::common::SOURCES[1].1);
    let build = |shard: &str, more: &[&str]| {
        let out = place.path(&format!("another-{}", shard.replace('/', "-of-")));
        let options = ["--shard", shard, "--out", text(&out)];
        place.build(&[&archs[..], &options, more].concat());
        out
    };
    let flagged = build("2/4", &["--hipcc-flag=-O1"]);
    refused(
        &[a, &flagged, c, d],
        &["parts of different builds", "flags"],
    );
    refused(
        &[a, &build("2/2", &[])],
        &["1/4", "2/2", "different builds"],
    );
    refused(&[a, c], &["missing parts: 2/4, 4/4", "help:"]);
    let twice = merge(&[a, a, b, c, d], &place.path("twice"));
    assert!(twice.status.success(), "{twice:?}");
    assert_same(&place.path("out"), &place.path("twice"));

    // A part whose build failed is not taken for a small one.
    place.write(
        "scale.cu",
        "extern \"C\" __global__ void bad() { nonsense(); }\n",
    );
    let failed = place.path("failed");
    let options = ["--shard", "1/1", "--out", text(&failed)];
    let run = place.run(&[&archs[..], &options].concat());
    run.fails(1, &["nonsense"]);
    refused(&[&failed], &["failed", "scale gfx1100"]);
}

/// What `clang-offload-bundler` makes of a bundle: its entries, and the bytes of one.
fn theirs(bundle: &Path, id: &str, folder: &Path) -> (String, Vec<u8>) {
    let toolchain = Toolchain::find().expect("a toolchain");
    let tool = toolchain.llvm_tool("clang-offload-bundler");
    let tool = tool.expect("clang-offload-bundler is a part of the toolchain");
    let run = |arguments: &[String]| {
        let output = Command::new(&tool)
            .arg("--type=o")
            .arg(format!("--input={}", bundle.display()))
            .args(arguments)
            .output()
            .expect("the tool runs");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let list = run(&["--list".to_owned()]);
    let out = folder.join("unbundled");
    run(&[
        "--unbundle".to_owned(),
        format!("--targets={id}"),
        format!("--output={}", out.display()),
    ]);
    (list, fs::read(out).expect("an unbundled code object"))
}

#[test]
fn clang_reads_bundles_plain_and_compressed_and_both_hold_the_same() {
    let place = Place::new();
    let archs = ["--arch", "gfx1100,gfx90a:xnack-"];
    place.build(&archs);
    let small = place.path("small");
    let report = place.build(&[&archs[..], &["--compress=19", "--out", text(&small)]].concat());
    assert!(compiled(&report).is_empty(), "{report}");
    let plain_bytes = place.bundle("dot");
    let packed_bytes = fs::read(small.join("dot.hipfb")).expect("a bundle");
    assert!(is_compressed(&packed_bytes) && packed_bytes.len() < plain_bytes.len());
    let plain = Bundle::parse(&plain_bytes).expect("a bundle");
    let packed = Bundle::parse(&packed_bytes).expect("a bundle");
    assert!(plain.as_bytes() == packed.as_bytes());
    for entry in plain.code_objects() {
        let id = entry.id.as_str();
        for path in [place.path("out/dot.hipfb"), small.join("dot.hipfb")] {
            let (list, bytes) = theirs(&path, id, place.dir.path());
            assert!(list.lines().any(|line| line == id), "{list}");
            assert!(bytes == entry.data, "{id} of {}", path.display());
        }
    }
    let manifest = fs::read_to_string(small.join("manifest.json")).expect("a manifest");
    let digest = hipify_candle::cache::Digest::of(&packed_bytes).to_string();
    assert!(
        manifest.contains(&digest),
        "the manifest names the file's own digest"
    );
}
