use super::{Action, HipVersion, NameAnswer, Rules, RulesError, paths};
use crate::config::Config;

/// A configuration of one rule file and one guard file.
fn rules(rule_file: &str, guards: &str, hip: Option<&str>) -> Result<Rules, RulesError> {
    let dir = tempfile::tempdir().expect("a temporary folder");
    std::fs::create_dir(dir.path().join("rules")).expect("a folder");
    std::fs::write(dir.path().join("rules/all.toml"), rule_file).expect("a file");
    std::fs::write(dir.path().join("guards.toml"), guards).expect("a file");
    let config = Config::from_dir(dir.path()).expect("readable");
    Rules::from_config(&config, hip.map(|v| v.parse().expect("a version")))
}

fn error(rule_file: &str) -> String {
    rules(rule_file, "", None)
        .expect_err("wrong rules")
        .to_string()
}

#[test]
fn the_rules_of_the_project_are_consistent() {
    let rules = Rules::load().unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(rules.hip(), HipVersion { major: 5, minor: 7 });
    assert!(rules.name_rules().count() > 300);
}

#[test]
fn what_would_be_translated_twice_is_refused() {
    let chain = error("[function]\na = \"b\"\nb = \"c\"");
    assert!(
        chain.contains("`a` becomes `b`") && chain.contains("rules/all.toml"),
        "{chain}"
    );
    assert!(
        rules("[function]\na = \"ours::b\"\nb = \"ours::b\"", "", None).is_ok(),
        "qualified names are not looked up"
    );
    assert!(
        error("[namespace]\n\"x::y\" = { to = \"z\" }\n[function]\na = \"x::y::b\"")
            .contains("`x` has a rule")
    );
    let guard = "[[guard]]\nsubject = \"OLD\"\nop = \"defined\"\nask = \"defined(OLD)\"";
    assert!(rules("", guard, None).is_err());
    assert!(
        rules(
            "[macro]\nNEW = \"OTHER\"",
            &guard.replace("defined(OLD)", "defined(NEW)"),
            None
        )
        .is_err()
    );
}

#[test]
fn contradictions_are_refused() {
    assert!(error("[function]\na = \"b\"\n[type]\na = \"c\"").contains("two rules"));
    assert!(
        error("[function]\na = [{ to = \"b\", until = \"6.1\" }, { to = \"c\", since = \"6.0\" }]")
            .contains("two rules")
    );
    assert!(error("[function]\na = { to = \"b\", call = \"c($1)\" }").contains("exactly one"));
    assert!(error("[header]\n\"a.h\" = { to = \"b.h\", drop = true }").contains("exactly one"));
    assert!(error("[function]\n\"a::b\" = \"c\"").contains("one identifier"));
    assert!(error("[function]\na = { too = \"b\" }").contains("unknown field `too`"));
    assert!(error("[functions]\na = \"b\"").contains("unknown field `functions`"));
    assert!(error("[names]\ncuda = [\"a[\"]").contains("without"));
    let needs_answer = "[[guard]]\nsubject = \"S\"\nvalue = 1\nask = \"HAS_S\"";
    assert!(rules("", needs_answer, None).is_err());
}

#[test]
fn ranges_of_hip_versions_choose_the_rule() {
    let text = "[hip]\noldest = \"5.7\"\n[function]\na = [{ to = \"b\", until = \"6.0\" }, { to = \"c\", since = \"6.0\" }]\n\
                d = { to = \"e\", since = \"6.2\" }";
    let to = |hip: Option<&str>, name: &str| match rules(text, "", hip)
        .expect("consistent")
        .name(name)
    {
        NameAnswer::Rule(rule) => match &rule.action {
            Action::Rename(to) => to.to_string(),
            other => format!("{other:?}"),
        },
        NameAnswer::WrongHip(_) => "wrong HIP".to_owned(),
        NameAnswer::Unknown => "unknown".to_owned(),
    };
    assert_eq!(to(None, "a"), "b");
    assert_eq!(to(Some("6.0"), "a"), "c");
    assert_eq!(to(Some("6.4.3"), "d"), "e");
    assert_eq!(to(None, "d"), "wrong HIP");
    assert_eq!(to(None, "b"), "unknown");
    for bad in ["", "x", "6.x", "6.4.q"] {
        assert!(bad.parse::<HipVersion>().is_err(), "{bad}");
    }
}

#[test]
fn the_digest_follows_every_file() {
    let digest = |rule_file: &str, guards: &str| {
        rules(rule_file, guards, None)
            .expect("consistent")
            .digest()
            .to_owned()
    };
    let one = digest("[function]\na = \"b\"", "");
    assert_eq!(one, digest("[function]\na = \"b\"", ""));
    assert_ne!(one, digest("[function]\na = \"c\"", ""));
    assert_ne!(one, digest("[function]\na = \"b\"", "guard = []"));
}

#[test]
fn names_in_replacements() {
    assert_eq!(
        paths("ns::f<T>($1.x, other)"),
        [vec!["ns", "f"], vec!["T"], vec!["other"]]
    );
    assert_eq!(paths("a"), [vec!["a"]]);
    assert!(paths("1 + 2").is_empty());
}
