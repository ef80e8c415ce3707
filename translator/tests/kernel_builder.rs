//! `KernelBuilder` as build scripts of other crates use it: bundles of a folder, and sources with mistakes.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use common::Place;
use hipify_candle::KernelBuilder;

/// Sources, and bundles of them for gfx1100 in `out`.
fn place() -> &'static Place {
    static PLACE: OnceLock<Place> = OnceLock::new();
    PLACE.get_or_init(|| {
        let place = Place::new();
        place.build(&["--arch", "gfx1100"]);
        place
    })
}

/// A copy of the bundles, with a change of the manifest's text.
fn bundles(name: &str, from: &str, to: &str) -> PathBuf {
    let (out, folder) = (place().path("out"), place().path(name));
    fs::create_dir_all(&folder).expect("a folder");
    for file in ["scale.hipfb", "dot.hipfb"] {
        fs::copy(out.join(file), folder.join(file)).expect("a bundle");
    }
    let manifest = fs::read_to_string(out.join("manifest.json")).expect("a manifest");
    assert!(manifest.contains(from), "`{from}` is not in {manifest}");
    fs::write(folder.join("manifest.json"), manifest.replace(from, to)).expect("a manifest");
    folder
}

fn builder(folder: &Path) -> KernelBuilder {
    KernelBuilder::new()
        .bundles(folder)
        .work_dir(place().path("work"))
}

fn refused(builder: &KernelBuilder, words: &[&str]) {
    let error = builder.build().expect_err("it is refused").to_string();
    for word in words {
        assert!(error.contains(word), "`{word}` is not in {error}");
    }
}

#[test]
fn bundles_are_taken_for_what_they_have() {
    let folder = bundles("same", "{", "{");
    let sources = place().path("cuda");
    for archs in [&[][..], &["gfx1100"], &["rdna3"], &["all"]] {
        let builder = builder(&folder).source_dir(&sources).archs(archs.to_vec());
        let kernels = builder.modules(["scale", "dot"]).build().expect("taken");
        let names: Vec<&str> = kernels.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["dot", "scale"], "{archs:?}");
    }
    let scale = || builder(&folder).modules(["scale"]);
    refused(
        &scale().archs(["gfx90a"]),
        &["no code object for gfx90a", "which has gfx1100"],
    );
    refused(
        &scale().archs(["rdna3", "gfx90a"]),
        &["no code object for gfx90a"],
    );
    refused(&scale().archs(["rdna2"]), &["no code object for gfx1030, "]);
    refused(&scale().archs(["gfx1110"]), &["gfx1110", "did you mean"]);
}

#[test]
fn a_folder_that_is_no_folder_of_these_bundles_is_refused_by_name() {
    let scale = |folder: &Path| builder(folder).modules(["scale"]);
    refused(
        &scale(&place().path("nowhere")),
        &["nowhere: there is no such folder"],
    );
    refused(&scale(Path::new("nowhere")), &["a relative path starts at"]);
    refused(
        &scale(&place().path("out/scale.hipfb")),
        &["there is no such folder"],
    );
    let same = bundles("lacks", "{", "{");
    refused(
        &builder(&same).modules(["fill"]),
        &["lacks", "no module `fill`", "dot, scale"],
    );
    let other = bundles(
        "other",
        "\"bundle\": \"scale.hipfb\",",
        "\"bundle\": \"scale.hipfb\", \"origin\": \"candle-kernels 0.1.0\",",
    );
    refused(
        &scale(&other),
        &["scale was built from candle-kernels 0.1.0, expected candle-kernels"],
    );
    fs::write(same.join("scale.hipfb"), b"damaged").expect("a bundle");
    refused(&scale(&same), &["not the bundle that manifest.json names"]);
}

#[test]
fn what_cannot_be_translated_is_shown_with_its_place() {
    let place = Place::new();
    place.write(
        "bad.cu",
        "extern \"C\" __global__ void bad(float *x) {\n    x[0] = 1.0f;\n    cudaFoo(x);\n}\n",
    );
    let builder = KernelBuilder::new()
        .source_dir(place.path("cuda"))
        .work_dir(place.path("work"))
        .modules(["bad"]);
    refused(
        &builder,
        &[
            "bad can't be translated",
            "bad.cu:3:5",
            "3 |     cudaFoo(x);",
            "|     ^",
            "= help: ",
        ],
    );
}
