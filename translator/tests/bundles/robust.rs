//! Builds in other folders, one at a time, killed, and at once.

use std::time::{Duration, Instant};
use std::{env, fs, thread};

use crate::common::{Place, compiled};
use crate::launch::script;
use crate::{assert_same, files};

const ARCHS: [&str; 2] = ["--arch", "gfx1100,gfx90a"];

#[test]
fn cold_builds_in_two_folders_and_one_at_a_time_give_the_same_bytes() {
    let (one, other) = (Place::new(), Place::new());
    assert_ne!(one.dir.path(), other.dir.path());
    let report = one.build(&ARCHS);
    assert_eq!(compiled(&report).len(), 4, "{report}");
    let report = other.build(&[&ARCHS[..], &["--jobs", "1"]].concat());
    assert_eq!(compiled(&report).len(), 4, "{report}");
    assert_same(&one.path("out"), &other.path("out"));
}

/// `HIPIFY_KILLS=20` for more.
#[test]
fn a_build_that_is_killed_leaves_nothing_that_a_later_one_stumbles_over() {
    let expected = Place::new();
    let start = Instant::now();
    expected.build(&[]);
    let whole = start.elapsed();

    let place = Place::new();
    let kills = env::var("HIPIFY_KILLS").ok().and_then(|n| n.parse().ok());
    let mut random = fastrand_seed();
    for round in 0..kills.unwrap_or(4_u32) {
        // From nothing in every other round; otherwise with what the killed one left.
        if round % 2 == 0 {
            for folder in ["cache", "out", "work"] {
                let _ = fs::remove_dir_all(place.path(folder));
            }
        }
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let moment = whole.mul_f64((random >> 33) as f64 / f64::from(1_u32 << 31));
        let mut child = place.command(&[]).spawn().expect("the command runs");
        thread::sleep(moment);
        let _ = child.kill();
        child.wait().expect("the command ends");
        // Whatever bundle is there is whole.
        let good = files(&expected.path("out"));
        for (name, bytes) in files(&place.path("out")) {
            let is_bundle = name.ends_with(".hipfb");
            assert!(
                !is_bundle || good[&name] == bytes,
                "{name} after {moment:?}"
            );
        }
        if round % 2 == 1 {
            place.build(&[]);
            assert_same(&expected.path("out"), &place.path("out"));
        }
    }
    place.build(&[]);
    assert_same(&expected.path("out"), &place.path("out"));
    let left = files(&place.path("out"));
    assert!(
        left.keys().all(|name| !name.starts_with('.')),
        "{:?}",
        left.keys()
    );
}

#[test]
fn a_signal_ends_the_compilers_and_leaves_nothing_begun() {
    let place = Place::new();
    let pids = place.path("pids");
    // A compiler that never ends, and a process of its own.
    let lines = format!("sleep 600 &\necho $! $$ >> '{}'\nwait", pids.display());
    let launcher = script(&place, "launcher", &lines);
    let launcher = launcher.to_str().expect("UTF-8");
    let mut command = place.command(&["--jobs", "2", "--launcher", launcher]);
    command.stderr(std::process::Stdio::piped());
    let child = command.spawn().expect("the command runs");
    let started = || fs::read_to_string(&pids).unwrap_or_default();
    while started().lines().count() < 2 {
        thread::sleep(Duration::from_millis(10));
    }
    let kill = format!("kill -INT {}", child.id());
    let status = std::process::Command::new("sh")
        .args(["-c", &kill])
        .status();
    assert!(status.expect("a shell").success());
    let ended = child.wait_with_output().expect("the command ends");

    use std::os::unix::process::ExitStatusExt as _;
    assert_eq!(
        ended.status.signal(),
        Some(2),
        "shells expect it to die of it"
    );
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(said.contains("cancelled"), "{said}");
    assert_eq!(files(&place.path("out")).len(), 0);
    assert_eq!(
        files(&place.path("cache")).len(),
        0,
        "nothing begun is left"
    );
    // A process that ended has no command line, whether or not somebody has asked for its status.
    let started = started();
    let lives = |pid: &str| {
        let line = fs::read(format!("/proc/{pid}/cmdline"));
        line.is_ok_and(|line| !line.is_empty())
    };
    let start = Instant::now();
    while started.split_whitespace().any(lives) {
        assert!(start.elapsed() < Duration::from_secs(20), "{started}");
        thread::sleep(Duration::from_millis(10));
    }
    place.build(&[]);
}

/// A number that differs from run to run.
fn fastrand_seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seed = now.map_or(1, |now| now.as_nanos() as u64);
    println!("seed {seed}");
    seed
}

#[test]
fn two_builds_at_once_share_their_work() {
    let place = Place::new();
    let start = |out: &str| {
        let out = place.path(out);
        let out = out.to_str().expect("UTF-8");
        let mut command = place.command(&["--format", "json", "--out", out]);
        command.stdout(std::process::Stdio::piped());
        command.spawn().expect("the command runs")
    };
    let builds = [start("out"), start("other")];
    let mut all = Vec::new();
    for build in builds {
        let output = build.wait_with_output().expect("the command ends");
        assert!(output.status.success());
        let report = serde_json::from_slice(&output.stdout).expect("JSON");
        all.extend(compiled(&report));
    }
    all.sort();
    assert_eq!(all, ["dot gfx1100", "scale gfx1100"], "each once");
    assert_same(&place.path("out"), &place.path("other"));
}

#[test]
fn a_build_with_nothing_to_do_is_fast() {
    let place = Place::new();
    place.build(&[]);
    let fastest = (0..5).map(|_| {
        let start = Instant::now();
        assert!(compiled(&place.build(&[])).is_empty());
        start.elapsed()
    });
    // A tenth of a second on an idle machine; the rest is for one that is not.
    let fastest = fastest.min().unwrap_or_default();
    assert!(fastest < Duration::from_millis(500), "{fastest:?}");
}
