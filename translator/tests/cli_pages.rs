//! Shell completions and manual pages: they are made from the command line itself, so they know every subcommand.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

fn output(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_hipify-candle"))
        .args(arguments)
        .output()
        .expect("the command runs");
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The subcommands that `--help` lists.
fn subcommands() -> Vec<String> {
    let help = output(&["--help"]);
    let (_, list) = help.split_once("Commands:\n").expect("a list");
    let list = list.split("\n\n").next().expect("a list");
    let lines = list
        .lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = lines.filter_map(|line| line.split_whitespace().next());
    let names: Vec<String> = names.filter(|n| *n != "help").map(str::to_owned).collect();
    assert!(names.contains(&"inspect".to_owned()), "{help}");
    names
}

#[test]
fn completions_know_every_subcommand() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = output(&["completions", shell]);
        for name in subcommands() {
            assert!(script.contains(&name), "{shell} lacks {name}");
        }
        for option in ["work-dir", "kernel", "disasm"] {
            assert!(script.contains(option), "{shell} lacks {option}");
        }
    }
}

#[test]
fn bash_reads_its_completions_and_completes() {
    let script = output(&["completions", "bash"]);
    // As the shell does it: the function that is registered for the command, with the words of the line.
    let ask = "read -r _ _ function _ < <(complete -p hipify-candle | sed 's/-o [a-z]* //g'); \
               COMP_WORDS=(hipify-candle ins); COMP_CWORD=1; $function hipify-candle ins hipify-candle; \
               echo \"${COMPREPLY[@]}\"";
    let child = Command::new("bash")
        .args(["--norc", "-c", &format!("{script}\n{ask}")])
        .stdin(Stdio::null())
        .output()
        .expect("bash runs");
    assert_eq!(String::from_utf8_lossy(&child.stderr), "");
    assert_eq!(String::from_utf8_lossy(&child.stdout).trim(), "inspect");
}

#[test]
fn manual_pages_have_every_subcommand() {
    let page = output(&["man"]);
    assert!(page.contains(".TH hipify-candle 1"), "{page}");
    assert!(
        page.contains("Exit codes: 0 fine, 1 the job found problems"),
        "{page}"
    );

    let dir = tempfile::tempdir().expect("a folder");
    let man1 = dir.path().join("man1");
    output(&["man", man1.to_str().expect("UTF-8")]);
    let exists = |name: &str| Path::new(&man1).join(name).is_file();
    assert!(exists("hipify-candle.1"));
    for name in subcommands() {
        assert!(exists(&format!("hipify-candle-{name}.1")), "{name}");
    }
    let inspect = fs::read_to_string(man1.join("hipify-candle-inspect.1")).expect("a page");
    assert!(
        inspect.contains(r"\-\-disasm") && inspect.contains(".SH OPTIONS"),
        "{inspect}"
    );
}
