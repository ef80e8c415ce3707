//! `hipify-candle inspect` on bundles that the real compiler makes from small sources of this project's own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use codeobject::bundle::{Bundle, Compression, compress};
use hipify_candle::toolchain::Toolchain;
use serde_json::{Value, json};

const BEFORE: &str = "#include \"common.cuh\"\n\
    extern \"C\" __global__ void scale_f32(const int n, const float *x, float *y) {\n\
    \x20   const int i = blockIdx.x * blockDim.x + threadIdx.x;\n\
    \x20   if (i < n) y[i] = twice(x[i]);\n\
    }\n\
    extern \"C\" __global__ void dot4(const int *a, const int *b, int *c) {\n\
    \x20   __shared__ int sums[64];\n\
    \x20   sums[threadIdx.x] = __dp4a(a[threadIdx.x], b[threadIdx.x], 0);\n\
    \x20   __syncthreads();\n\
    \x20   c[threadIdx.x] = sums[63 - threadIdx.x];\n\
    }\n\
    extern \"C\" __global__ void wide(const float *x, float *y) {\n\
    \x20   float v[48];\n\
    \x20   for (int i = 0; i < 48; i++) v[i] = x[i * 1024 + threadIdx.x];\n\
    \x20   __syncthreads();\n\
    \x20   for (int i = 0; i < 48; i++) y[i * 1024 + threadIdx.x] = v[47 - i];\n\
    }\n\
    extern \"C\" __global__ void leaves(float *x) { x[0] = 1.0f; }\n\
    namespace ns {\n\
    template <typename T, int N> __global__ void add(T *x, const T *y) { x[threadIdx.x] += N * y[0]; }\n\
    template __global__ void add<float, 3>(float *, const float *);\n\
    template __global__ void add<double, 3>(double *, const double *);\n\
    }\n";

const HEADER: &str = "#pragma once\n__device__ inline float twice(float x) { return 2.0f * x; }\n";

/// What the second build has instead: registers that don't suffice, another argument, another kernel.
fn after() -> String {
    BEFORE
        .replace(
            "__global__ void wide",
            "__global__ __attribute__((amdgpu_num_vgpr(16))) void wide",
        )
        .replace(
            "const int n, const float *x",
            "const int n, const int m, const float *x",
        )
        .replace("leaves", "comes")
}

/// Two builds of two targets, made once for all tests.
struct Builds {
    dir: tempfile::TempDir,
}

impl Builds {
    fn get() -> &'static Self {
        static BUILDS: OnceLock<Builds> = OnceLock::new();
        BUILDS.get_or_init(|| {
            let dir = tempfile::tempdir().expect("a temporary folder");
            let builds = Builds { dir };
            for (name, text) in [("before", BEFORE), ("after", &after())] {
                let cuda = builds.path(&format!("{name}/cuda"));
                fs::create_dir_all(&cuda).expect("a folder");
                fs::write(cuda.join("small.cu"), text).expect("a source");
                fs::write(cuda.join("common.cuh"), HEADER).expect("a source");
                let output = Command::new(env!("CARGO_BIN_EXE_hipify-candle"))
                    .args([
                        "build",
                        "--module",
                        "all",
                        "--arch",
                        "gfx1100,gfx90a:xnack-",
                    ])
                    .arg("--hipcc-flag=-gline-tables-only")
                    .arg("--out")
                    .arg(builds.path(&format!("{name}/out")))
                    .arg("--work-dir")
                    .arg(builds.path(&format!("{name}/work")))
                    .arg(&cuda)
                    .env("HIPIFY_CACHE_DIR", builds.path("cache"))
                    .output()
                    .expect("the command runs");
                assert!(output.status.success(), "{output:?}");
            }
            builds
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn bundle(&self) -> PathBuf {
        self.path("before/out/small.hipfb")
    }
}

/// Runs `inspect`; gives exit code, standard output and standard error.
fn inspect(arguments: &[&str], paths: &[&Path]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hipify-candle"));
    command.arg("inspect").args(arguments).args(paths);
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().expect("the command runs");
    (
        status.code().unwrap_or(-1),
        String::from_utf8_lossy(&stdout).into_owned(),
        String::from_utf8_lossy(&stderr).into_owned(),
    )
}

fn inspect_json(arguments: &[&str], paths: &[&Path]) -> Value {
    let (code, out, err) = inspect(&[&["--format", "json"], arguments].concat(), paths);
    assert_eq!(code, 0, "{out}{err}");
    serde_json::from_str(&out).expect("JSON")
}

fn kernel<'a>(file: &'a Value, target: &str, name: &str) -> &'a Value {
    let entries = file["images"][0]["entries"].as_array().expect("entries");
    let entry = entries.iter().find(|entry| entry["target"] == target);
    let kernels = entry.expect(target)["code_object"]["kernels"].as_array();
    let mut kernels = kernels.expect("kernels").iter();
    kernels.find(|kernel| kernel["name"] == name).expect(name)
}

#[test]
fn a_bundle_is_told_in_full() {
    let report = inspect_json(&[], &[&Builds::get().bundle()]);
    let file = &report["files"][0];
    assert_eq!(file["images"][0]["form"], "bundle");
    let entries = file["images"][0]["entries"].as_array().expect("entries");
    let ids: Vec<&Value> = entries.iter().map(|entry| &entry["id"]).collect();
    assert_eq!(
        ids,
        [
            "host-x86_64-unknown-linux--",
            "hipv4-amdgcn-amd-amdhsa--gfx90a:xnack-",
            "hipv4-amdgcn-amd-amdhsa--gfx1100"
        ]
    );

    let scale = kernel(file, "gfx1100", "scale_f32");
    let args: Vec<_> = scale["args"]
        .as_array()
        .expect("arguments")
        .iter()
        .map(|arg| (&arg["offset"], &arg["size"], arg["kind"].as_str()))
        .collect();
    let (value, pointer) = (Some("by_value"), Some("global_buffer"));
    assert_eq!(
        args,
        [
            (&json!(0), &json!(4), value),
            (&json!(8), &json!(8), pointer),
            (&json!(16), &json!(8), pointer)
        ]
    );
    assert_eq!(scale["wavefront"], 32);
    assert_eq!(scale["occupancy"]["max_waves_per_simd"], 16);
    assert_eq!(kernel(file, "gfx90a:xnack-", "scale_f32")["wavefront"], 64);

    for (target, dot) in [("gfx1100", 1), ("gfx90a:xnack-", 1)] {
        let dot4 = kernel(file, target, "dot4");
        assert_eq!(dot4["lds"], 256, "{target}");
        let classes = &dot4["mix"]["classes"];
        assert_eq!(classes["dot"], dot, "{target}: {classes}");
        assert_eq!(classes["global_load"], 2, "{target}: {classes}");
        assert_eq!(classes["global_store"], 1, "{target}: {classes}");
        assert_eq!(classes["lds"], 2, "{target}: {classes}");
        assert_eq!(classes["barrier"], 1, "{target}: {classes}");
        let sum: u64 = classes
            .as_object()
            .expect("classes")
            .values()
            .filter_map(Value::as_u64)
            .sum();
        assert_eq!(dot4["mix"]["instructions"], sum, "{target}");
    }
}

#[test]
fn people_read_tables_and_signatures() {
    let bundle = Builds::get().bundle();
    let (code, out, err) = inspect(&[], &[&bundle]);
    assert_eq!((code, err.as_str()), (0, ""));
    for text in [
        "bundle at 0x0",
        "hipv4-amdgcn-amd-amdhsa--gfx1100 at 0x",
        "gfx1100, code object version 5, 6 kernels",
        "VGPR",
        "scale_f32",
    ] {
        assert!(out.contains(text), "`{text}` is not in\n{out}");
    }

    let (code, out, _) = inspect(&["--kernel", "sc*", "--arch", "gfx11*"], &[&bundle]);
    assert_eq!(code, 0);
    assert!(out.contains("scale_f32(4 bytes, "), "{out}");
    assert!(out.contains("1 of 6 kernels"), "{out}");
    assert!(
        !out.contains("dot4") && !out.contains("gfx90a:xnack-,"),
        "{out}"
    );

    let (code, _, err) = inspect(&["--kernel", "nothing"], &[&bundle]);
    assert_eq!(code, 2);
    assert!(err.contains("no kernel fits nothing"), "{err}");
}

#[test]
fn bundles_are_found_wherever_they_are() {
    let builds = Builds::get();
    let plain = fs::read(builds.bundle()).expect("a bundle");
    let bundle = Bundle::parse(&plain).expect("a bundle");
    let code_object = bundle
        .select(&"gfx1100".parse().expect("a target"))
        .expect("gfx1100")
        .data;
    let compressed = compress(&plain, Compression::default()).expect("a compressed bundle");
    let program = [b"#!/bin/sh\n", &compressed[..], b"padding", code_object].concat();
    let write = |name: &str, bytes: &[u8]| {
        let path = builds.path(name);
        fs::write(&path, bytes).expect("a file");
        path
    };
    let of_bundle = inspect_json(&[], &[&builds.bundle()]);
    let expected = kernel(&of_bundle["files"][0], "gfx1100", "wide");

    let report = inspect_json(&[], &[&write("small.ccob", &compressed)]);
    let image = &report["files"][0]["images"][0];
    assert_eq!(image["form"], "compressed_bundle");
    assert_eq!(image["restored_bytes"], plain.len());
    assert_eq!(kernel(&report["files"][0], "gfx1100", "wide"), expected);

    let report = inspect_json(&[], &[&write("small.o", code_object)]);
    assert_eq!(report["files"][0]["images"][0]["form"], "code_object");
    assert_eq!(kernel(&report["files"][0], "gfx1100", "wide"), expected);

    let report = inspect_json(&["--no-instructions"], &[&write("program", &program)]);
    let images = report["files"][0]["images"].as_array().expect("images");
    let places: Vec<_> = images.iter().map(|i| (&i["form"], &i["offset"])).collect();
    let second = 10 + compressed.len() + 7;
    assert_eq!(
        places,
        [
            (&json!("compressed_bundle"), &json!(10)),
            (&json!("code_object"), &json!(second))
        ]
    );
    let wide = &images[1]["entries"][0]["code_object"]["kernels"][2];
    assert_eq!(
        (&wide["name"], &wide["mix"]),
        (&json!("wide"), &Value::Null)
    );
}

/// What hipcc puts into a host program: section `.hip_fatbin`, plain or compressed.
#[test]
fn objects_of_hipcc_hold_a_bundle() {
    let builds = Builds::get();
    let source = builds.path("program.hip");
    let text = "#include <hip/hip_runtime.h>\n\
        __global__ void twice(float *x) { x[threadIdx.x] *= 2.0f; }\n\
        void launch(float *x) { twice<<<1, 64>>>(x); }\n";
    fs::write(&source, text).expect("a source");
    let toolchain = Toolchain::find().expect("a toolchain");
    for (flag, form) in [
        ("--no-offload-compress", "bundle"),
        ("--offload-compress", "compressed_bundle"),
    ] {
        let object = builds.path(&format!("{form}.o"));
        let output = Command::new(&toolchain.hipcc)
            .args(["-c", "--offload-arch=gfx1100", flag])
            .arg(&source)
            .arg("-o")
            .arg(&object)
            .envs(toolchain.environment())
            .output()
            .expect("hipcc runs");
        assert!(output.status.success(), "{output:?}");
        let report = inspect_json(&["--kernel", "*twice*"], &[&object]);
        let images = report["files"][0]["images"].as_array().expect("images");
        assert_eq!(images.len(), 1, "{report}");
        assert_eq!(images[0]["form"], form);
        let twice = kernel(&report["files"][0], "gfx1100", "_Z5twicePf");
        assert_eq!(twice["args"][0]["kind"], "global_buffer");
        assert_eq!(twice["mix"]["classes"]["global_store"], 1);
    }
}

#[test]
fn damaged_files_are_told_from_other_files() {
    let builds = Builds::get();
    let bundle = fs::read(builds.bundle()).expect("a bundle");
    let compressed = compress(&bundle, Compression::default()).expect("a compressed bundle");
    let parsed = Bundle::parse(&bundle).expect("a bundle");
    let last = parsed.entries().next_back().expect("an entry");
    let code_object = last.data;
    let mut broken_entry = bundle.clone();
    broken_entry[last.offset] ^= 0xff;
    let mut flipped = compressed.clone();
    flipped[compressed.len() / 2] ^= 0xff;
    let cases: [(&str, &[u8], i32, &str); 9] = [
        (
            "cut.hipfb",
            &bundle[..bundle.len() / 2],
            1,
            "a damaged bundle: a bundle entry's data needs",
        ),
        ("head.hipfb", &bundle[..30], 1, "a damaged bundle"),
        (
            "cut.ccob",
            &compressed[..compressed.len() / 2],
            1,
            "the compressed bundle's content needs",
        ),
        (
            "flipped.ccob",
            &flipped,
            1,
            "a damaged bundle: compressed bundle",
        ),
        (
            "cut.o",
            &code_object[..code_object.len() / 2],
            1,
            "a damaged code object",
        ),
        (
            "entry.hipfb",
            &broken_entry,
            1,
            "entry hipv4-amdgcn-amd-amdhsa--gfx1100: a damaged code object: this is not",
        ),
        ("empty", b"", 2, "damaged-empty is empty"),
        (
            "text",
            b"not a bundle",
            2,
            "that start with \"not a bundle\"",
        ),
        (
            "program",
            include_bytes!("inspect.rs"),
            2,
            "none is inside it",
        ),
    ];
    for (name, bytes, code, message) in cases {
        let path = builds.path(&format!("damaged-{name}"));
        fs::write(&path, bytes).expect("a file");
        let (found, out, err) = inspect(&[], &[&path]);
        assert_eq!(found, code, "{name}: {out}{err}");
        assert!(err.contains(message), "{name}: {err}");
        let (found, out, _) = inspect(&["--format", "json"], &[&path]);
        assert_eq!(found, code, "{name}: {out}");
        let document: Value = serde_json::from_str(&out).expect(name);
        assert_eq!(document["error"].is_string(), code == 2, "{name}: {out}");
    }
    let (code, _, err) = inspect(&[], &[&builds.path("absent")]);
    assert_eq!(code, 2);
    assert!(
        err.contains("cannot read") && err.contains("absent"),
        "{err}"
    );
}

#[test]
fn two_builds_are_compared() {
    let builds = Builds::get();
    let (before, after) = (builds.path("before/out"), builds.path("after/out"));
    let (code, out, err) = inspect(&["--diff"], &[&before, &before]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(
        out.contains("6 kernels as before, 0 changed, 0 new, 0 gone"),
        "{out}"
    );

    let (code, out, err) = inspect(&["--format", "json", "--diff"], &[&before, &after]);
    assert_eq!(
        (code, err.as_str()),
        (1, ""),
        "spills and a lost kernel are problems"
    );
    let report: Value = serde_json::from_str(&out).expect("JSON");
    let pairs = report["pairs"].as_array().expect("pairs");
    assert_eq!(pairs.len(), 2);
    for pair in pairs {
        assert_eq!(pair["gone"], json!(["leaves"]));
        assert_eq!(pair["new"], json!(["comes"]));
        assert_eq!(pair["same"], 3, "{pair}");
        let changed = pair["changed"].as_array().expect("changes");
        let find = |name: &str| changed.iter().find(|c| c["kernel"] == name).expect(name);
        let wide = find("wide");
        let spills = wide["changes"].as_array().expect("changes").iter();
        let mut spills = spills.filter(|change| change["kind"] == "vgpr_spills");
        let spills = spills.next().expect("it spills");
        assert_eq!(spills["before"], 0);
        assert!(spills["after"].as_u64() > Some(0), "{wide}");
        assert_eq!(wide["worse"], true);
        let scale = find("scale_f32");
        assert_eq!(
            scale["signature"].as_array().map(Vec::len),
            Some(2),
            "{scale}"
        );
    }

    let (code, out, _) = inspect(&["--diff"], &[&after, &before]);
    assert_eq!(code, 1, "an argument is gone");
    assert!(
        out.contains("VGPR spills ") && out.contains("new      leaves"),
        "{out}"
    );
}

#[test]
fn machine_code_stands_below_its_lines() {
    let builds = Builds::get();
    let (cuda, work) = (builds.path("before/cuda"), builds.path("before/work"));
    let arguments = [
        "--disasm",
        "scale_f32",
        "--arch",
        "gfx1100",
        "--sources",
        cuda.to_str().expect("UTF-8"),
        "--work-dir",
        work.to_str().expect("UTF-8"),
    ];
    let (code, out, err) = inspect(&arguments, &[&builds.bundle()]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    let place = |text: &str| {
        out.find(text)
            .unwrap_or_else(|| panic!("`{text}` is not in\n{out}"))
    };
    place("cuda/common.cuh:2");
    place("in twice, called at small.cu:4");
    place("cuda __device__ inline float twice(float x) { return 2.0f * x; }");
    assert!(
        place("cuda     if (i < n) y[i] = twice(x[i]);") < place("global_load_b32"),
        "{out}"
    );

    let (_, out, _) = inspect(
        &[
            "--disasm",
            "dot4",
            "--sources",
            cuda.to_str().expect("UTF-8"),
            "--work-dir",
            work.to_str().expect("UTF-8"),
        ],
        &[&builds.bundle()],
    );
    assert!(
        out.contains("hip      sums[threadIdx.x] = hipify::dp4a("),
        "{out}"
    );
    assert!(
        out.contains("dot4 for gfx90a:xnack-") && out.contains("dot4 for gfx1100"),
        "{out}"
    );

    let (code, _, err) = inspect(&["--disasm", "scale_f23"], &[&builds.bundle()]);
    assert_eq!(code, 2);
    assert!(err.contains("there is `scale_f32`"), "{err}");
}

#[test]
fn names_of_cpp_stand_beside_mangled_ones() {
    let builds = Builds::get();
    let (bundle, symbol) = (builds.bundle(), "_ZN2ns3addIfLi3EEEvPT_PKS1_");
    let name = "ns::add<float, 3>(float*, float const*)";
    let report = inspect_json(&[], &[&bundle]);
    let file = &report["files"][0];
    assert_eq!(kernel(file, "gfx1100", symbol)["demangled"], name);
    assert_eq!(kernel(file, "gfx1100", "dot4").get("demangled"), None);

    let (code, out, _) = inspect(&["--no-instructions"], &[&bundle]);
    assert!(
        code == 0 && out.contains(&format!("{symbol}  {name}\n")),
        "{out}"
    );
    let (code, out, _) = inspect(&["--kernel", "ns::add<f*", "--arch", "gfx1100"], &[&bundle]);
    assert!(
        code == 0 && out.contains("1 of 6 kernels") && out.contains(name),
        "{out}"
    );
    let (code, out, _) = inspect(&["--html", "-", "--no-instructions"], &[&bundle]);
    assert!(code == 0 && out.contains("ns::add&lt;float, 3&gt;(float*, float const*)"));

    let listed = |asked: &str| {
        let (code, out, err) = inspect(&["--disasm", asked, "--arch", "gfx1100"], &[&bundle]);
        let lines = out.lines();
        let heads: Vec<String> = lines
            .filter_map(|line| Some(line.split_once(" for gfx1100 in ")?.0.to_owned()))
            .collect();
        (code, heads, err)
    };
    let one = vec![format!("{symbol}  {name}")];
    for asked in [symbol, name, "ns::add<float, 3>"] {
        assert_eq!(listed(asked), (0, one.clone(), String::new()), "{asked}");
    }
    let (code, both, _) = listed("ns::add");
    assert_eq!((code, both.len()), (0, 2), "{both:?}");
    let (code, _, err) = listed("ns::ad");
    assert!(code == 2 && err.contains("there is `ns::add<"), "{err}");
}

#[test]
fn a_page_is_whole_and_well_formed() {
    let builds = Builds::get();
    let page = builds.path("page.html");
    let arguments = ["--html", page.to_str().expect("UTF-8")];
    let (code, out, _) = inspect(&arguments, &[&builds.bundle()]);
    assert_eq!((code, out.as_str()), (0, ""));
    let text = fs::read_to_string(&page).expect("a page");
    for part in [
        "<svg",
        "name=\"viewport\"",
        "prefers-color-scheme",
        "scale_f32",
        "gfx90a:xnack-",
    ] {
        assert!(text.contains(part), "{part}");
    }
    for outside in ["http:", "https:", "src=", "<link", "@import", "url("] {
        assert!(
            !text.contains(outside),
            "{outside}: the page needs nothing else"
        );
    }
    // Every element that is opened is closed, in order.
    let mut open: Vec<&str> = Vec::new();
    let body = text.split("<script>").next().expect("a page");
    let body = &body[body.find("</style>").expect("a style")..];
    for tag in body.split('<').skip(2) {
        let tag = tag.split('>').next().expect("a tag");
        let name = tag
            .trim_start_matches('/')
            .split([' ', '/'])
            .next()
            .expect("a name");
        if tag.starts_with('/') {
            if name != "head" {
                assert_eq!(open.pop(), Some(name), "in {tag}");
            }
        } else if !tag.ends_with('/') {
            open.push(name);
        }
    }
    assert_eq!(open, ["body"]);
}
