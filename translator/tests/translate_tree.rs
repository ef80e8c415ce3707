//! The real thing: every file of the pinned candle-kernels, with the project's rules and fixes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use hipify_candle::diagnostic::{Code, Severity};
use hipify_candle::fetch;
use hipify_candle::fixes::Fixes;
use hipify_candle::lex::{Kind, lex};
use hipify_candle::modules::{ModuleKind, Modules};
use hipify_candle::pin::Pin;
use hipify_candle::rules::Rules;
use hipify_candle::translate::{
    Cause, SourceFile, Tree, TreeTranslation, translate_dir, translate_tree,
};
use hipify_candle::workdir::WorkDir;

/// The version that the checkout pins.
fn pinned_version() -> String {
    let pin = Pin::of(&WorkDir::find(None).expect("a work dir")).expect("a pin");
    pin.version().to_owned()
}

/// The pinned sources; fetched into the checkout's `target/` if they aren't there.
fn source() -> PathBuf {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    fetch::ensure(&WorkDir::at(target), None)
        .unwrap_or_else(|e| panic!("{e}"))
        .src()
}

struct Translator {
    rules: Rules,
    modules: Modules,
}

impl Translator {
    fn new() -> Self {
        let rules = Rules::load().unwrap_or_else(|e| panic!("{e}"));
        Translator {
            rules,
            modules: Modules::load().unwrap_or_else(|e| panic!("{e}")),
        }
    }

    fn tree(&self, root: &Path, fixes: &Fixes) -> TreeTranslation {
        translate_dir(root, &self.rules, fixes, &self.modules, &[])
            .unwrap_or_else(|e| panic!("{e}"))
    }
}

fn fixes() -> Fixes {
    Fixes::load().unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn all_files_go_through_and_the_ptx_modules_without_errors() {
    let tree = Translator::new().tree(&source(), &fixes());
    assert_eq!(tree.files.len(), 36);
    let ptx: Vec<_> = tree
        .modules
        .iter()
        .filter(|m| m.module.kind == ModuleKind::Ptx)
        .collect();
    assert_eq!(ptx.len(), 11);
    for module in ptx {
        let files = module.files.iter().map(|f| &tree.files[*f]);
        let errors: Vec<_> = files
            .flat_map(|f| &f.diagnostics)
            .filter(|d| d.severity == Severity::Error)
            .collect();
        assert!(errors.is_empty(), "{}: {errors:#?}", module.module.name);
    }
    // What stops the others is named: construct, place, source line, what to do.
    for error in tree.diagnostics() {
        assert!(
            error.position.line > 0 && !error.source_line.is_empty(),
            "{error:?}"
        );
        assert!(error.message.contains('`'), "{error:?}");
        assert!(error.code != Code::FixAnchor, "{error:?}");
    }
}

#[test]
fn fixes_change_what_they_say_and_nothing_else() {
    let translator = Translator::new();
    let (fixed, faithful) = (
        translator.tree(&source(), &fixes()),
        translator.tree(&source(), &Fixes::none()),
    );
    let version = pinned_version().parse().expect("a version");
    let all = fixes();
    let expected: BTreeSet<&str> = all
        .for_version(fetch::PACKAGE, version)
        .map(|fix| fix.id.as_str())
        .collect();
    let applied: BTreeSet<&str> = fixed
        .files
        .iter()
        .flat_map(|f| &f.fixes)
        .map(String::as_str)
        .collect();
    assert_eq!(applied, expected);
    assert!(
        expected.contains("mul-mat-vec-odd-rows") && expected.contains("indexed-moe-expert-stride")
    );
    for (fixed, faithful) in fixed.files.iter().zip(&faithful.files) {
        assert!(faithful.fixes.is_empty());
        let body = |text: &str| {
            text.split_once("#line 1")
                .map(|(_, body)| body.to_owned())
                .expect("a translation")
        };
        let (fixed_body, faithful_body) = (body(&fixed.text), body(&faithful.text));
        assert_eq!(fixed_body.lines().count(), faithful_body.lines().count());
        let changed = fixed_body
            .lines()
            .zip(faithful_body.lines())
            .filter(|(a, b)| a != b)
            .count();
        let edits = fixed
            .edits
            .iter()
            .filter(|e| matches!(e.cause, Cause::Fix(_)));
        let lines: usize = edits.map(|e| 1 + e.text.matches('\n').count()).sum();
        assert!(
            fixed.fixes.len() <= changed && changed <= lines,
            "{}: {changed} lines",
            fixed.source
        );
    }
}

#[test]
fn deterministic_and_idempotent() {
    let translator = Translator::new();
    let once = translator.tree(&source(), &fixes());
    let one_thread = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .expect("a thread");
    let again = one_thread.install(|| translator.tree(&source(), &fixes()));
    assert_eq!(once.files, again.files);

    let out = tempfile::tempdir().expect("a temporary folder");
    assert_eq!(once.write(out.path()).expect("writable").len(), 36);
    assert_eq!(
        once.write(out.path()).expect("writable").len(),
        0,
        "unchanged files are left alone"
    );
    assert!(once.check(out.path()).is_empty());
    let twice = translator.tree(out.path(), &fixes());
    assert_eq!(twice.files.len(), 36);
    for file in &twice.files {
        let first = once
            .files
            .iter()
            .find(|f| f.output == file.output)
            .expect("the same files");
        assert_eq!(file.text, first.text, "{}", file.output);
        // What had no translation still has none; nothing new is found.
        assert!(
            file.errors() <= first.errors(),
            "{}: {:#?}",
            file.output,
            file.diagnostics
        );
    }
}

#[test]
fn lines_stay_and_comments_are_never_touched() {
    let root = source();
    let tree = Translator::new().tree(&root, &fixes());
    for file in &tree.files {
        let cuda = std::fs::read_to_string(root.join(&file.source)).expect("a fetched file");
        let (_, body) = file.text.split_once("#line 1 ").expect("a translation");
        let (label, hip) = body.split_once('\n').expect("a #line of its own");
        assert_eq!(
            label,
            format!(
                "\"candle-kernels-{}/src/{}\"",
                pinned_version(),
                file.source
            )
        );
        assert_eq!(
            hip.matches('\n').count(),
            cuda.matches('\n').count(),
            "{}",
            file.source
        );
        let comments = |text: &str| {
            let lexed = lex(text).expect("short enough");
            let comments = lexed
                .tokens
                .iter()
                .filter(|t| matches!(t.kind, Kind::LineComment | Kind::BlockComment));
            comments
                .map(|t| lexed.raw(*t).to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(comments(hip), comments(&cuda), "{}", file.source);
        let kernels = |text: &str| text.matches("__global__").count();
        assert_eq!(kernels(hip), kernels(&cuda), "{}", file.source);
    }
}

/// A file that was cut off is reported wherever the cut is, except between two declarations, and never panics.
#[test]
fn a_cut_file_is_noticed() {
    let translator = Translator::new();
    let tree = Tree::read(&source()).expect("the fetched tree");
    let file = tree
        .files
        .iter()
        .find(|f| f.path == "quantized.cu")
        .expect("quantized.cu");
    let mut noticed = 0;
    let cuts = 60;
    for cut in 1..cuts {
        let at = file.text.floor_char_boundary(file.text.len() * cut / cuts);
        let short = SourceFile::new("quantized.cu", file.text.as_bytes()[..at].to_vec());
        let tree = Tree {
            files: vec![short],
            ..tree.clone()
        };
        let result = translate_tree(
            &tree,
            &translator.rules,
            &Fixes::none(),
            &translator.modules,
            &[],
        );
        let result = result.unwrap_or_else(|e| panic!("{e}"));
        noticed += usize::from(result.diagnostics().any(|d| d.code == Code::Truncated));
    }
    assert!(noticed * 10 >= cuts * 7, "{noticed} of {cuts}");
}
