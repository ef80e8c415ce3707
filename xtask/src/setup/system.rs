//! Packages of the machine itself: which are there, and installing those that aren't.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::sources::Release;
use super::{SetupError, SystemPackage, io_error};

/// The Debian release of this machine, or what it is instead.
pub(super) fn platform() -> Result<Release, String> {
    let text = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let arch = std::env::consts::ARCH;
    match Release::from_os_release(&text) {
        Some(release) if arch == "x86_64" => Ok(release),
        Some(release) => Err(format!("Debian {} on {arch}", release.codename)),
        None => {
            let name = text
                .lines()
                .find_map(|line| line.strip_prefix("PRETTY_NAME="));
            Err(format!(
                "{} on {arch}",
                name.unwrap_or(std::env::consts::OS).trim_matches('"')
            ))
        }
    }
}

/// Installs those of `wanted` that are missing. Returns whether any were.
pub(super) fn install(wanted: &[&SystemPackage], work: &Path) -> Result<bool, SetupError> {
    let present = installed(wanted)?;
    let missing: Vec<_> = wanted
        .iter()
        .filter(|package| !present.contains(&package.name))
        .collect();
    if missing.is_empty() {
        return Ok(false);
    }
    let names: Vec<&str> = missing
        .iter()
        .map(|package| package.name.as_str())
        .collect();
    println!("set-up: installing with apt-get from this machine's own sources, upgrading nothing:");
    for package in &missing {
        println!("  {} ({})", package.name, package.why);
    }
    let root = Root::find().ok_or_else(|| SetupError::Root {
        packages: names.join(" "),
    })?;
    // A fresh container has no package lists at all; an old one has lists that name files which are gone.
    if !known(&names) {
        root.apt_get(&["update"], "apt-get update", work)?;
    }
    let mut install = vec![
        "install",
        "-y",
        "--no-install-recommends",
        "--no-upgrade",
        "--no-remove",
    ];
    install.extend(&names);
    if root.apt_get(&install, "apt-get install", work).is_err() {
        root.apt_get(&["update"], "apt-get update", work)?;
        root.apt_get(&install, "apt-get install", work)?;
    }
    Ok(true)
}

fn installed(wanted: &[&SystemPackage]) -> Result<BTreeSet<String>, SetupError> {
    let mut arguments = vec!["-W", "-f", "${Package} ${db:Status-Status}\\n"];
    arguments.extend(wanted.iter().map(|package| package.name.as_str()));
    // It fails if one of the names is unknown, and lists the others all the same.
    let text = duct::cmd("dpkg-query", arguments)
        .stderr_null()
        .unchecked()
        .read()
        .map_err(|e| SetupError::Command {
            what: "dpkg-query".to_owned(),
            output: e.to_string(),
        })?;
    Ok(text
        .lines()
        .filter_map(|line| line.strip_suffix(" installed"))
        .map(str::to_owned)
        .collect())
}

/// Whether apt can install all of them from the lists that it has.
fn known(names: &[&str]) -> bool {
    let mut arguments = vec![
        "install",
        "--simulate",
        "--no-install-recommends",
        "--no-upgrade",
        "-qq",
    ];
    arguments.extend(names);
    duct::cmd("apt-get", arguments)
        .stdout_null()
        .stderr_null()
        .unchecked()
        .run()
        .is_ok_and(|o| o.status.success())
}

/// How this user becomes root.
enum Root {
    Already,
    Sudo,
}

impl Root {
    fn find() -> Option<Self> {
        let text = |program: &str, argument| duct::cmd!(program, argument).stderr_null().read();
        if text("id", "-u").is_ok_and(|id| id.trim() == "0") {
            return Some(Root::Already);
        }
        text("sudo", "--version").is_ok().then_some(Root::Sudo)
    }

    fn apt_get(&self, arguments: &[&str], what: &str, work: &Path) -> Result<(), SetupError> {
        let mut words = match self {
            Root::Already => vec![],
            Root::Sudo => vec!["sudo"],
        };
        words.extend([
            "env",
            "DEBIAN_FRONTEND=noninteractive",
            "LC_ALL=C",
            "apt-get",
        ]);
        words.extend([
            "-o",
            "DPkg::Lock::Timeout=300",
            "-o",
            "Dpkg::Use-Pty=0",
            "-o",
            "Acquire::Retries=3",
        ]);
        words.extend(arguments);
        logged(&words, what, &work.join("apt-get.log"))
    }
}

/// Runs a command with its output in `log`, whose end goes into the error.
pub(super) fn logged(words: &[&str], what: &str, log: &Path) -> Result<(), SetupError> {
    let Some((program, arguments)) = words.split_first() else {
        return Ok(());
    };
    let failed = |output| SetupError::Command {
        what: what.to_owned(),
        output,
    };
    let output = duct::cmd(*program, arguments)
        .stdin_null()
        .stderr_to_stdout()
        .stdout_capture()
        .unchecked()
        .run()
        .map_err(|e| failed(format!("{program}: {e}")))?;
    fs::write(log, &output.stdout).map_err(io_error(log))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<&str> = text.lines().collect();
    Err(failed(lines[lines.len().saturating_sub(12)..].join("\n")))
}
