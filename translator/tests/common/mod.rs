//! A folder with small sources of this project's own, and the command started in it.

// Each test program uses a part of this.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

/// Two modules, one of which includes a header.
pub const SOURCES: &[(&str, &str)] = &[
    (
        "scale.cu",
        "#include \"common.cuh\"\n\
         // A comment.\n\
         extern \"C\" __global__ void scale_f32(const size_t n, const float *x, float *y) {\n\
         \x20   for (size_t i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += blockDim.x * gridDim.x) {\n\
         \x20       y[i] = twice(x[i]);\n\
         \x20   }\n\
         }\n",
    ),
    (
        "dot.cu",
        "extern \"C\" __global__ void dot4(const int *a, const int *b, int *c) {\n\
         \x20   c[threadIdx.x] = __dp4a(a[threadIdx.x], b[threadIdx.x], 0);\n\
         }\n\
         extern \"C\" __global__ void dot4_twice(const int *a, const int *b, int *c) {\n\
         \x20   c[threadIdx.x] = 2 * __dp4a(a[threadIdx.x], b[threadIdx.x], 0);\n\
         }\n",
    ),
    (
        "common.cuh",
        "#pragma once\n__device__ inline float twice(float x) { return 2.0f * x; }\n",
    ),
];

/// A folder with sources, a work dir and a cache that no other test uses.
pub struct Place {
    pub dir: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Self {
        let place = Place {
            dir: tempfile::Builder::new()
                .prefix("a folder ")
                .tempdir()
                .expect("temporary folder"),
        };
        for (name, text) in SOURCES {
            place.write(name, text);
        }
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path("cuda").join(name);
        fs::create_dir_all(path.parent().expect("below a folder")).expect("temporary folder");
        fs::write(path, text).expect("temporary file");
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hipify-candle"));
        command
            .arg("build")
            .arg(self.path("cuda"))
            .args(["--module", "all"])
            .args(arguments);
        command.arg("--work-dir").arg(self.path("work"));
        if !arguments.contains(&"--out") {
            command.arg("--out").arg(self.path("out"));
        }
        command
            .env("HIPIFY_CACHE_DIR", self.path("cache"))
            .env_remove("HIPIFY_WORK_DIR");
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Run {
        Run(self.command(arguments).output().expect("the command runs"))
    }

    /// Builds with JSON output and returns it.
    pub fn build(&self, arguments: &[&str]) -> Value {
        let run = self.run(&[&["--format", "json"], arguments].concat());
        assert_eq!(run.code(), 0, "{}{}", run.out(), run.err());
        serde_json::from_str(&run.out()).expect("JSON")
    }

    pub fn bundle(&self, module: &str) -> Vec<u8> {
        fs::read(self.path("out").join(format!("{module}.hipfb"))).expect("a bundle")
    }
}

pub struct Run(pub Output);

impl Run {
    pub fn code(&self) -> i32 {
        self.0.status.code().unwrap_or(-1)
    }

    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.0.stdout).into_owned()
    }

    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.0.stderr).into_owned()
    }

    /// Exit code and standard error, which has to hold all of `words`.
    pub fn fails(&self, code: i32, words: &[&str]) {
        let err = self.err();
        assert_eq!(self.code(), code, "{err}");
        for word in words {
            assert!(err.contains(word), "`{word}` is not in\n{err}");
        }
    }
}

/// `module target` of every code object, by what became of it.
pub fn by_status(report: &Value) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (module, targets) in report["modules"].as_object().expect("modules") {
        for (target, object) in targets.as_object().expect("targets") {
            let status = object["status"].as_str().expect("a status").to_owned();
            found
                .entry(status)
                .or_default()
                .push(format!("{module} {target}"));
        }
    }
    found
}

pub fn compiled(report: &Value) -> Vec<String> {
    by_status(report).remove("compiled").unwrap_or_default()
}
