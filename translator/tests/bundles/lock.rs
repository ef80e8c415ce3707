//! Every cause of a drift is named, and nothing is changed by looking for it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use hipify_candle::fetch;
use hipify_candle::workdir::WorkDir;

use crate::common::{Place, Run, SOURCES};
use crate::files;

/// A checkout as far as the command looks at one: with a configuration and a device header of its own.
struct Checkout {
    place: Place,
}

impl Checkout {
    fn new() -> Self {
        let checkout = Checkout {
            place: Place::new(),
        };
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        copy(&root.join("config"), &checkout.path("config"));
        copy(
            &root.join("kernels-hip/include"),
            &checkout.path("kernels-hip/include"),
        );
        for name in ["kernels-cuda/Cargo.toml", "translator/Cargo.toml"] {
            let path = checkout.path(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("temporary folder");
            fs::write(path, "").expect("temporary file");
        }
        checkout
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path(name)
    }

    /// Runs a subcommand on the sources, with this checkout's configuration, header and lock.
    fn run(&self, arguments: &[&str]) -> Run {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hipify-candle"));
        command
            .args(&arguments[..1])
            .arg(self.path("cuda"))
            .args(&arguments[1..])
            .arg("--work-dir")
            .arg(self.path("target"))
            .arg("--config")
            .arg(self.path("config"))
            .arg("--lock")
            .arg(self.path("kernels-hip/kernels.lock"))
            .env("HIPIFY_CACHE_DIR", self.path("cache"))
            .env_remove("HIPIFY_WORK_DIR");
        Run(command.output().expect("the command runs"))
    }

    fn runs(&self, code: i32, arguments: &[&str], words: &[&str]) {
        let run = self.run(arguments);
        let out = run.out();
        assert_eq!(run.code(), code, "{out}{}", run.err());
        for word in words {
            assert!(out.contains(word), "`{word}` is not in\n{out}");
        }
    }

    fn edit(&self, name: &str, from: &str, to: &str) {
        let path = self.path(name);
        let text = fs::read_to_string(&path).expect("a file to edit");
        assert!(text.contains(from), "`{from}` is not in {name}");
        fs::write(path, text.replacen(from, to, 1)).expect("temporary file");
    }
}

fn copy(from: &Path, to: &Path) {
    for (name, bytes) in files(from) {
        let path = to.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("temporary folder");
        fs::write(path, bytes).expect("temporary file");
    }
}

const BUILD: [&str; 5] = ["build", "--module", "scale", "--arch", "gfx1100"];

#[test]
fn a_changed_byte_in_source_rule_header_or_flags_is_named() {
    let checkout = Checkout::new();
    let update = [&BUILD[..], &["--update"]].concat();
    let check = [&BUILD[..], &["--check"]].concat();
    checkout.runs(0, &["translate", "--update"], &["kernels.lock updated"]);
    checkout.runs(0, &update, &["kernels.lock updated"]);
    let locked = fs::read_to_string(checkout.path("kernels-hip/kernels.lock")).expect("a lock");
    for line in [
        "\"dot.hip\" = ",
        "[target.gfx1100.code_objects]",
        "scale = ",
    ] {
        assert!(locked.contains(line), "`{line}` is not in\n{locked}");
    }
    let before = files(&checkout.path("target"));
    checkout.runs(0, &check, &["everything is as"]);
    checkout.runs(0, &["translate", "--check"], &["everything is as"]);

    // What was never generated is no drift: a clone has nothing yet, and a build of one module makes a part.
    let dot = checkout.path("target/kernels-hip/dot.hip");
    let text = fs::read(&dot).expect("a translated file");
    fs::remove_file(&dot).expect("a file");
    checkout.runs(0, &["translate", "--check"], &["everything is as"]);
    fs::write(&dot, text).expect("temporary file");

    // Comments count where upstream's bytes count, and nowhere else.
    checkout.edit(
        "kernels-hip/include/hipify/hipify.h",
        "#pragma once",
        "#pragma once // new",
    );
    checkout.edit("config/rules/integer.toml", "\n[", "\n# new\n[");
    checkout.runs(0, &check, &["everything is as"]);

    checkout.edit(
        "kernels-hip/include/hipify/hipify.h",
        "#pragma once",
        "#pragma once\nstruct hipify_new;",
    );
    checkout.runs(1, &check, &["header hipify/hipify.h changed"]);
    checkout.edit(
        "kernels-hip/include/hipify/hipify.h",
        "\nstruct hipify_new;",
        "",
    );

    let flag = [&check[..], &["--hipcc-flag=-O1"]].concat();
    checkout.runs(
        1,
        &flag,
        &[
            "flags gfx1100 changed: +[-O1]",
            "code object scale gfx1100 changed, because of flags gfx1100",
        ],
    );

    checkout.edit("config/rules/integer.toml", "hipify::dp4a", "hipify::dp4b");
    let words = [
        "rule rules/integer.toml changed",
        "translated dot.hip changed, because of rule rules/integer.toml",
    ];
    checkout.runs(1, &["translate", "--check"], &words);
    checkout.edit("config/rules/integer.toml", "hipify::dp4b", "hipify::dp4a");

    checkout.edit("cuda/common.cuh", "2.0f", "3.0f");
    let words = [
        "source common.cuh changed",
        "translated common.cuh changed, because of source common.cuh",
    ];
    checkout.runs(1, &["translate", "--check"], &words);
    checkout.runs(
        1,
        &["translate", "--check", "--diff"],
        &["-__device__", "+__device__", "3.0f"],
    );
    let words = ["code object scale gfx1100 changed, because of source common.cuh"];
    checkout.runs(1, &check, &words);

    // Looking changed nothing; updating is what writes.
    assert!(before == files(&checkout.path("target")));
    let unchanged = fs::read_to_string(checkout.path("kernels-hip/kernels.lock")).expect("a lock");
    assert_eq!(unchanged, locked);
    checkout.runs(0, &["translate", "--update"], &["kernels.lock updated"]);
    checkout.runs(0, &update, &["kernels.lock updated"]);
    checkout.runs(0, &check, &["everything is as"]);
    checkout.edit("cuda/common.cuh", "3.0f", "2.0f");
    assert!(SOURCES[2].1.contains("2.0f"));
    checkout.runs(0, &["translate", "--update"], &[]);
    checkout.runs(0, &update, &[]);
    let again = fs::read_to_string(checkout.path("kernels-hip/kernels.lock")).expect("a lock");
    assert_eq!(again, locked, "the same inputs lead to the same lock");
}

#[test]
fn a_lock_that_is_not_there_or_not_one_is_an_error() {
    let checkout = Checkout::new();
    checkout
        .run(&["translate", "--check"])
        .fails(2, &["there is no lock", "--update"]);
    fs::write(
        checkout.path("kernels-hip/kernels.lock"),
        "format = 1\nnew = 2\n",
    )
    .expect("a file");
    checkout
        .run(&["translate", "--check"])
        .fails(2, &["kernels.lock", "new", "help:"]);

    let _ = fs::remove_file(checkout.path("kernels-hip/kernels.lock"));
    checkout.runs(0, &["translate", "--update"], &["updated"]);
    checkout.edit(
        "kernels-hip/kernels.lock",
        "\"dot.cu\"",
        "<<<<<<< HEAD\n\"dot.cu\"",
    );
    for arguments in [&["translate", "--check"][..], &["translate", "--update"]] {
        let run = checkout.run(arguments);
        run.fails(2, &["kernels.lock", "conflict markers", "either side"]);
    }
}

/// A checkout's lock that got lost must not make its check succeed.
#[test]
fn a_checkout_without_its_lock_is_an_error() {
    let checkout = Checkout::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let target = WorkDir::at(root.join("target"));
    fetch::ensure(&target, None).expect("the pinned sources");
    for folder in ["kernels-cuda", "target/kernels-cuda"] {
        copy(&root.join(folder), &checkout.path(folder));
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_hipify-candle"));
    command
        .args(["translate", "--check", "--work-dir"])
        .arg(checkout.path("target"));
    let run = Run(command.output().expect("the command runs"));
    run.fails(2, &["no lock", "kernels-hip/kernels.lock", "--update"]);
}
