//! Programs that start compilers: they change nothing but the time, and what goes wrong with them is said.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use hipify_candle::toolchain::Toolchain;

use crate::assert_same;
use crate::common::{Place, Run};

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// An executable shell script in a place.
pub fn script(place: &Place, name: &str, lines: &str) -> PathBuf {
    let path = place.path(name);
    fs::write(&path, format!("#!/bin/sh\n{lines}\n")).expect("a script");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&path, mode).expect("a script");
    path
}

fn forget(place: &Place) {
    fs::remove_dir_all(place.path("cache")).expect("the cache was used");
}

#[test]
fn a_launcher_starts_every_clang_and_changes_nothing() {
    let (plain, launched) = (Place::new(), Place::new());
    plain.build(&[]);
    let log = launched.path("log");
    let lines = format!("echo \"$@\" >> '{}'\nexec \"$@\"", log.display());
    let launcher = script(&launched, "launcher", &lines);
    launched.build(&["--launcher", text(&launcher)]);
    assert_same(&plain.path("out"), &launched.path("out"));
    let log = fs::read_to_string(log).expect("the launcher was started");
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines.len(), 2, "{log}");
    for line in lines {
        let program = line.split(' ').next().unwrap_or_default();
        assert!(program.contains("clang"), "{line}");
        assert!(line.contains("-x hip") && !line.contains("-###"), "{line}");
    }

    // It may be named as a path below the current folder, as compilers run in another.
    forget(&launched);
    let mut command = launched.command(&["--launcher", "./launcher"]);
    let toolchain = Toolchain::find().expect("a toolchain");
    command.env("ROCM_PATH", toolchain.root);
    let output = command.current_dir(launched.dir.path()).output();
    let output = output.expect("the command runs");
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_launcher_that_is_missing_or_fails_is_named() {
    let place = Place::new();
    for missing in ["no such program", "", "ccache --version"] {
        let run = place.run(&["--launcher", missing]);
        run.fails(2, &["no program", missing, "help:"]);
    }
    for (lines, words) in [
        ("exit 3", ["exit status: 3", "no code object"]),
        ("exit 0", ["exit status: 0", "no code object"]),
        ("echo boom >&2; exit 1", ["exit status: 1", "boom"]),
        ("kill -9 $$", ["SIGKILL", "no code object"]),
    ] {
        let launcher = script(&place, "launcher", lines);
        let run = place.run(&["--launcher", text(&launcher)]);
        run.fails(1, &[&words[..], &[text(&launcher)]].concat());
    }
    // What the compiler finds is not blamed on it.
    place.write(
        "scale.cu",
        "extern \"C\" __global__ void bad() { nonsense(); }\n",
    );
    let launcher = script(&place, "launcher", "exec \"$@\"");
    let run = place.run(&["--launcher", text(&launcher)]);
    run.fails(
        1,
        &["undeclared identifier 'nonsense'", "cuda/scale.cu:1:36"],
    );
    assert!(!run.err().contains("launcher"), "{}", run.err());
}

/// ccache with a folder of its own, and device libraries that may be changed.
struct Ccache {
    place: Place,
}

impl Ccache {
    fn build(&self) {
        let mut command = self.place.command(&["--launcher", "ccache"]);
        command
            .env("CCACHE_DIR", self.place.path("ccache"))
            .env("DEVICE_LIB_PATH", self.place.path("bitcode"));
        let run = Run(command.output().expect("the command runs"));
        assert_eq!(run.code(), 0, "{}{}", run.out(), run.err());
        forget(&self.place);
    }

    /// How many compilations were found and were not found since the last call.
    fn hits_and_misses(&self) -> (u64, u64) {
        let ccache = |argument: &str| {
            let mut command = Command::new("ccache");
            command.arg(argument);
            command.env("CCACHE_DIR", self.place.path("ccache"));
            let output = command.output().expect("the set-up installs ccache");
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        let printed = ccache("--print-stats");
        ccache("--zero-stats");
        let counts: BTreeMap<&str, u64> = printed
            .lines()
            .filter_map(|line| line.split_once('\t'))
            .filter_map(|(name, count)| Some((name, count.parse().ok()?)))
            .collect();
        let count = |name: &str| counts.get(name).copied().unwrap_or(0);
        let hits = count("direct_cache_hit") + count("preprocessed_cache_hit");
        (hits, count("cache_miss"))
    }
}

#[test]
fn ccache_hits_until_a_device_library_changes() {
    let plain = Place::new();
    plain.build(&[]);
    let cached = Ccache {
        place: Place::new(),
    };
    let toolchain = Toolchain::find().expect("a toolchain");
    let library = |name: &str| cached.place.path("bitcode").join(name);
    for (name, bytes) in crate::files(&toolchain.bitcode) {
        let path = library(&name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("temporary folder");
        fs::write(path, bytes).expect("temporary file");
    }
    cached.build();
    assert_eq!(cached.hits_and_misses(), (0, 2));
    cached.build();
    assert_eq!(cached.hits_and_misses(), (2, 0));
    assert_same(&plain.path("out"), &cached.place.path("out"));

    // ccache knows the command line, the source and clang, but not what clang links.
    let other = library("oclc_isa_version_1102.bc");
    fs::copy(other, library("oclc_isa_version_1100.bc")).expect("temporary file");
    cached.build();
    assert_eq!(cached.hits_and_misses(), (0, 2));
}
