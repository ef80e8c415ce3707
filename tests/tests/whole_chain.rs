//! From nothing to a verified kernel, step by step and in one command, in a folder where nothing is yet.

mod common;

use common::{arg, run, run_with};

/// The smallest module: what is tried here is the chain, not the compiler.
const MODULE: [&str; 2] = ["--module", "fill"];

#[test]
fn the_steps_follow_each_other_and_the_second_time_there_is_nothing_to_do() {
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let work = ["--work-dir", arg(scratch.path())];
    // A cache of its own: what was compiled before must not count.
    let cache = scratch.path().join("cache");
    let step = |args: &[&str]| {
        let cache = [("HIPIFY_CACHE_DIR", arg(&cache))];
        let ended = run_with(&cache, &[&work[..], args].concat());
        assert_eq!(ended.code, 0, "{args:?}: {ended:?}");
        ended
    };
    step(&["fetch"]);
    step(&[&["translate"], &MODULE[..]].concat());
    step(&[&["translate", "--check"], &MODULE[..]].concat());
    let first = step(&[&["build", "--format", "json"], &MODULE[..]].concat()).json();
    assert_eq!(
        first["modules"]["fill"]["gfx1100"]["status"], "compiled",
        "{first}"
    );
    let second = step(&[&["build", "--format", "json"], &MODULE[..]].concat()).json();
    assert_eq!(
        second["modules"]["fill"]["gfx1100"]["status"], "cached",
        "{second}"
    );
    let verified = step(&[&["verify", "--format", "json"], &MODULE[..]].concat()).json();
    let kernels = verified["gfx1100"]
        .as_object()
        .expect("an object for the architecture");
    assert!(kernels.len() > 20, "{kernels:?}");
    assert!(
        kernels.values().all(|kernel| kernel["exact"] == true),
        "fill computes nothing"
    );
}

#[test]
fn verify_alone_does_what_is_missing() {
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let ended = run(&[&["--work-dir", arg(scratch.path()), "verify"], &MODULE[..]].concat());
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.stdout.contains("kernels pass"), "{ended:?}");
}

#[test]
fn the_lock_of_the_checkout_is_what_sources_and_rules_lead_to() {
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let fetched = run(&["fetch"]);
    assert_eq!(fetched.code, 0, "{fetched:?}");
    // No folder of HIP files takes part: what is compared is the lock alone.
    let none = scratch.path().join("none");
    let checked = run(&[
        "translate",
        "--module",
        "ptx",
        "--check",
        "--out",
        arg(&none),
    ]);
    assert!(
        checked.code == 0 && checked.stdout.contains("everything is as"),
        "if the drift is meant, write it down with `hipify-candle translate --update` and `hipify-candle build --update`: \
         {checked:?}"
    );
}
