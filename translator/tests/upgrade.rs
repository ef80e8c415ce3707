//! `hipify-candle upgrade` in a checkout of its own: pin and lock move together, come back byte for byte, and whatever
//! interrupts the move is named and mended. With the real compiler's preprocessor and two real releases, fetched into the
//! checkout's `target/` if they aren't there.

#[path = "common/mod.rs"]
mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use common::Run;
use hipify_candle::fetch::{self, Fetched};
use hipify_candle::workdir::WorkDir;

const OLD: &str = "0.9.0";
const NEW: &str = "0.9.1";

/// What a move writes.
const PINNED: [&str; 3] = [
    "kernels-cuda/Cargo.toml",
    "kernels-cuda/Cargo.lock",
    "kernels-hip/kernels.lock",
];

/// As much of a checkout as the command looks at, with a work dir that has the sources of both releases. They are small
/// ones: every move preprocesses all modules of two.
struct Checkout {
    dir: tempfile::TempDir,
}

impl Checkout {
    /// A checkout that pins what this one pins.
    fn new() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let dir = tempfile::tempdir().expect("temporary folder");
        let checkout = Checkout { dir };
        for name in [
            "config",
            "kernels-hip/include",
            "kernels-hip/kernels.lock",
            "kernels-cuda",
            "translator/Cargo.toml",
        ] {
            copy(&root.join(name), &checkout.path(name));
        }
        let work = WorkDir::at(root.join("target"));
        for version in [OLD, NEW] {
            let Fetched { dir, .. } =
                fetch::ensure(&work, Some(version)).unwrap_or_else(|e| panic!("{e}"));
            let target = checkout.path("target/kernels-cuda");
            copy(&dir, &target.join(dir.file_name().expect("a name")));
        }
        checkout
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hipify-candle"));
        let prefix = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/rocm");
        command
            .args(arguments)
            .current_dir(self.dir.path())
            .env("HIPIFY_ROCM_PREFIX", prefix)
            .env("HIPIFY_CACHE_DIR", self.path("cache"))
            .env_remove("HIPIFY_WORK_DIR");
        command
    }

    fn run(&self, arguments: &[&str]) -> Run {
        Run(self.command(arguments).output().expect("the command runs"))
    }

    fn moves(&self, version: &str, words: &str) {
        let run = self.run(&["upgrade", version]);
        assert_eq!(run.code(), 0, "{}{}", run.out(), run.err());
        let said = format!("{version} {words}");
        assert!(run.out().contains(&said), "{said}: {}", run.out());
    }

    fn pinned(&self) -> Vec<Vec<u8>> {
        PINNED
            .iter()
            .map(|name| fs::read(self.path(name)).expect("a file of the pin"))
            .collect()
    }

    fn put(&self, file: usize, pinned: &[Vec<u8>]) {
        fs::write(self.path(PINNED[file]), &pinned[file]).expect("temporary file");
    }
}

/// Copies a file or a folder.
fn copy(from: &Path, to: &Path) {
    for entry in walkdir::WalkDir::new(from) {
        let entry = entry.expect("a readable folder");
        let below = entry.path().strip_prefix(from).expect("below it");
        let to = if below.as_os_str().is_empty() {
            to.to_owned()
        } else {
            to.join(below)
        };
        if entry.file_type().is_dir() {
            fs::create_dir_all(to).expect("temporary folder");
        } else {
            fs::create_dir_all(to.parent().expect("a folder")).expect("temporary folder");
            fs::copy(entry.path(), to).expect("temporary file");
        }
    }
}

#[test]
fn there_and_back_again() {
    let checkout = Checkout::new();
    let run = checkout.run(&["upgrade", OLD, "--from", NEW]);
    assert_eq!(run.code(), 0, "{}{}", run.out(), run.err());
    // Code objects are locked too, and found again.
    let build = [
        "build", "--module", "fill", "--arch", "gfx1100", "--update", "--out", "out",
    ];
    checkout.run(&build);
    let old = checkout.pinned();
    let locked = String::from_utf8_lossy(&old[2]);
    assert!(
        locked.contains("[target.gfx1100.code_objects]\nfill = "),
        "{locked}"
    );

    checkout.moves(NEW, "is pinned in");
    let new = checkout.pinned();
    for (file, name) in PINNED.iter().enumerate() {
        let text = String::from_utf8_lossy(&new[file]);
        assert!(text.contains(NEW) && !text.contains(OLD), "{name}: {text}");
    }
    assert!(!String::from_utf8_lossy(&new[2]).contains("[target."));
    // The very same program works with the new pin.
    let check = ["translate", "--check"];
    let run = checkout.run(&check);
    assert_eq!(run.code(), 0, "{}{}", run.out(), run.err());

    // Half a move back, as an interruption between two files leaves it, is named, and ended by the next call.
    checkout.put(2, &old);
    let run = checkout.run(&check);
    assert_eq!(run.code(), 1, "{}", run.err());
    let out = run.out();
    assert!(out.contains(OLD) && out.contains(NEW), "{out}");
    checkout.put(1, &old);
    let torn = ["Cargo.toml pins", OLD, NEW, "upgrade"];
    checkout.run(&check).fails(2, &torn);
    checkout.run(&["fetch"]).fails(2, &torn);
    checkout.moves(OLD, "is pinned in");
    assert!(old == checkout.pinned());

    for kill in 0..kills() {
        let mut command = checkout.command(&["upgrade", NEW]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let start = Instant::now();
        let mut child = command.spawn().expect("the command runs");
        // Every other one as soon as the first file has changed, the rest before.
        let limit = Duration::from_millis(if kill % 2 == 0 {
            60_000
        } else {
            100 * u64::from(kill)
        });
        while start.elapsed() < limit && old == checkout.pinned() {
            thread::sleep(Duration::from_micros(100));
        }
        // It may have ended by itself.
        let _ = child.kill();
        child.wait().expect("it ends");
        for ((left, old), new) in checkout.pinned().iter().zip(&old).zip(&new) {
            assert!(left == old || left == new, "a file is neither old nor new");
        }
        let run = checkout.run(&["upgrade", OLD]);
        assert_eq!(run.code(), 0, "{}{}", run.out(), run.err());
        assert!(old == checkout.pinned(), "kill {kill}");
    }
}

/// How often a move is killed: `HIPIFY_KILLS=20 cargo test --release -p hipify-candle --test upgrade` for more.
fn kills() -> u32 {
    let asked = std::env::var("HIPIFY_KILLS").ok();
    asked.map_or(1, |asked| asked.parse().expect("a number"))
}

#[test]
fn what_is_wrong_is_said_and_changes_nothing() {
    let checkout = Checkout::new();
    let old = checkout.pinned();
    for wrong in ["latest", "0.10", "../0.10.2", "", "0.10.2; rm"] {
        let words = ["is not a version such as"];
        checkout
            .run(&["upgrade", wrong, "--from", OLD])
            .fails(2, &words);
    }
    // A version that this machine lacks, without a network.
    let mut command = checkout.command(&["fetch", "--version", "0.0.99"]);
    command.env("CARGO_NET_OFFLINE", "true");
    let run = Run(command.output().expect("the command runs"));
    run.fails(2, &["candle-kernels 0.0.99", "cannot reach the registry"]);
    assert!(old == checkout.pinned());
}
