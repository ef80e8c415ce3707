//! Every `fixtures/*.cu` is translated with the rules in `fixtures/config` and compared with the `.hip` beside it,
//! and what there is to say with the `.txt`, one line a diagnostic. A new case is a new file; `HIPIFY_BLESS=1` writes
//! what the translator makes of it, for a person to read before it is committed.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use hipify_candle::config::Config;
use hipify_candle::fixes::Fixes;
use hipify_candle::lex::{Kind, lex};
use hipify_candle::modules::Modules;
use hipify_candle::rules::Rules;
use hipify_candle::translate::{
    FileTranslation, Origin, SourceFile, Tree, TreeTranslation, translate_tree,
};
use proptest::prelude::*;

struct Translator {
    rules: Rules,
    fixes: Fixes,
    modules: Modules,
}

impl Translator {
    fn new(hip: Option<&str>) -> Self {
        let config = Config::from_dir(&folder().join("config")).expect("fixtures/config");
        let hip = hip.map(|version| version.parse().expect("a version"));
        Translator {
            rules: Rules::from_config(&config, hip).unwrap_or_else(|e| panic!("{e}")),
            fixes: Fixes::from_config(&config).unwrap_or_else(|e| panic!("{e}")),
            modules: Modules::from_config(&config).unwrap_or_else(|e| panic!("{e}")),
        }
    }

    fn tree(&self, files: &[(&str, &str)]) -> TreeTranslation {
        let files = files
            .iter()
            .map(|(path, text)| SourceFile::new(*path, text.as_bytes().to_vec()))
            .collect();
        self.sources(files)
    }

    fn sources(&self, files: Vec<SourceFile>) -> TreeTranslation {
        let origin = Origin {
            label: "fixtures-1.0.0/src".to_owned(),
            package: Some("fixtures".to_owned()),
            version: Some("1.0.0".to_owned()),
            licence: Some("MIT OR Apache-2.0".to_owned()),
            repository: None,
        };
        let tree = Tree {
            root: PathBuf::from("src"),
            origin,
            files,
        };
        translate_tree(&tree, &self.rules, &self.fixes, &self.modules, &[])
            .unwrap_or_else(|e| panic!("{e}"))
    }

    fn file(&self, path: &str, text: &str) -> FileTranslation {
        self.tree(&[(path, text)]).files.remove(0)
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn said(file: &FileTranslation) -> String {
    let mut text = String::new();
    for d in &file.diagnostics {
        let severity = format!("{:?}", d.severity).to_lowercase();
        let _ = write!(
            text,
            "{}:{} {severity} {}: {}",
            d.position.line,
            d.position.column,
            d.code.as_str(),
            d.message
        );
        for also in &d.also_at {
            let _ = write!(text, " [{}:{}]", also.line, also.column);
        }
        if let Some(help) = &d.help {
            let _ = write!(text, " | {help}");
        }
        text.push('\n');
    }
    text
}

/// Comments and literals of a text, in order.
fn untouchable(text: &str) -> Vec<String> {
    let lexed = lex(text).expect("short text");
    let kinds = [
        Kind::LineComment,
        Kind::BlockComment,
        Kind::Str,
        Kind::RawStr,
        Kind::Char,
    ];
    lexed
        .tokens
        .iter()
        .filter(|t| kinds.contains(&t.kind))
        .map(|t| lexed.raw(*t).to_owned())
        .collect()
}

/// What a translation adds on top.
fn header_lines(file: &FileTranslation) -> usize {
    file.text
        .lines()
        .position(|line| line.starts_with("#line 1 "))
        .map_or(0, |at| at + 1)
}

#[test]
fn fixtures() {
    let translator = Translator::new(None);
    let bless = std::env::var_os("HIPIFY_BLESS").is_some();
    let mut cases = 0;
    let mut wrong = Vec::new();
    for entry in fs::read_dir(folder()).expect("the fixtures") {
        let path = entry.expect("the fixtures").path();
        if path.extension().is_none_or(|e| e != "cu") {
            continue;
        }
        cases += 1;
        let name = path
            .file_name()
            .expect("a file")
            .to_string_lossy()
            .into_owned();
        let file = translator.file(&name, &fs::read_to_string(&path).expect("a fixture"));
        for (extension, found) in [("hip", &file.text), ("txt", &said(&file))] {
            let expected_path = path.with_extension(extension);
            if bless {
                fs::write(&expected_path, found).expect("writable fixtures");
            }
            let expected = fs::read_to_string(&expected_path).unwrap_or_default();
            if expected != *found {
                let diff = similar::TextDiff::from_lines(&expected, found)
                    .unified_diff()
                    .to_string();
                wrong.push(format!("{}:\n{diff}", expected_path.display()));
            }
        }
    }
    assert!(cases >= 10, "only {cases} fixtures found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn lines_stay_and_comments_and_literals_are_never_touched() {
    let translator = Translator::new(None);
    for entry in fs::read_dir(folder()).expect("the fixtures") {
        let path = entry.expect("the fixtures").path();
        // The rewritten calls and asm statements contain comments and literals, and those go with them.
        let rewrites = ["asm.cu", "calls.cu", "headers.cu"]
            .iter()
            .any(|name| path.ends_with(name));
        if path.extension().is_none_or(|e| e != "cu") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("a fixture");
        let name = path
            .file_name()
            .expect("a file")
            .to_string_lossy()
            .into_owned();
        let file = translator.file(&name, &text);
        let body: Vec<&str> = file.text.lines().skip(header_lines(&file)).collect();
        assert_eq!(body.len(), text.lines().count(), "lines of {name}");
        if !rewrites {
            assert_eq!(
                untouchable(&body.join("\n")),
                untouchable(&text),
                "in {name}"
            );
        }
    }
}

#[test]
fn translating_a_translation_changes_nothing() {
    let translator = Translator::new(None);
    for entry in fs::read_dir(folder()).expect("the fixtures") {
        let path = entry.expect("the fixtures").path();
        if path.extension().is_some_and(|e| e == "hip") {
            let text = fs::read_to_string(&path).expect("a fixture");
            let name = path
                .file_name()
                .expect("a file")
                .to_string_lossy()
                .into_owned();
            let again = translator.file(&name, &text);
            assert_eq!(again.text, text, "{name}");
            assert_eq!(again.output, name);
            assert!(again.fixes.is_empty());
        }
    }
}

#[test]
fn hip_versions_choose_rules() {
    let text = "void f() { cudaMallocAsync(&p, 4, s); }\n";
    let old = Translator::new(None).file("a.cu", text);
    assert_eq!(old.errors(), 1);
    assert!(said(&old).contains("from HIP 6.0"), "{}", said(&old));
    let new = Translator::new(Some("6.4.3")).file("a.cu", text);
    assert_eq!(new.errors(), 0, "{}", said(&new));
    assert!(new.text.contains("hipMallocAsync(&p, 4, s)"));
}

#[test]
fn files_of_a_unit_see_each_other() {
    let translator = Translator::new(None);
    let tree = translator.tree(&[
        (
            "a.cu",
            "#include \"lib/b.cuh\"\n#define LIMIT 610\nint x = cudaOwn() + cudaFar();\n",
        ),
        ("far.cu", "int cudaFar() { return 1; }\n"),
        (
            "lib/b.cuh",
            "#include \"c.cuh\"\n#if __CUDA_ARCH__ >= LIMIT\n#endif\nint cudaOwn() { return 0; }\n",
        ),
        ("lib/c.cuh", "#include \"../d.cu\"\n"),
        ("d.cu", "int cudaOther = 0;\n"),
    ]);
    let file = |path: &str| {
        tree.files
            .iter()
            .find(|f| f.source == path)
            .expect("a file of the tree")
    };
    assert!(
        file("lib/b.cuh").text.contains("#if HAS_DP4A\n"),
        "a macro of the includer is known"
    );
    assert!(
        file("lib/c.cuh").text.contains("#include \"../d.hip\"\n"),
        "an included .cu file is renamed"
    );
    assert_eq!(
        said(file("a.cu")).lines().count(),
        1,
        "{}",
        said(file("a.cu"))
    );
    assert!(
        said(file("a.cu")).contains("`cudaFar`"),
        "another unit's names are not known"
    );
    let names: Vec<(&str, usize)> = tree
        .modules
        .iter()
        .map(|m| (m.module.name.as_str(), m.errors))
        .collect();
    assert_eq!(names, [("a", 1), ("d", 0), ("far", 0)]);
    let unit: Vec<&str> = tree.modules[0]
        .files
        .iter()
        .map(|f| tree.files[*f].source.as_str())
        .collect();
    assert_eq!(unit, ["a.cu", "lib/b.cuh", "lib/c.cuh", "d.cu"]);
}

#[test]
fn conflicting_constants_answer_nothing() {
    let text = "#ifdef A\n#define LIMIT 610\n#else\n#define LIMIT 800\n#endif\n#if __CUDA_ARCH__ >= LIMIT\n#endif\n";
    let file = Translator::new(None).file("a.cu", text);
    assert!(
        said(&file).starts_with("6:5 error guard-form"),
        "{}",
        said(&file)
    );
}

#[test]
fn fixes_hold_for_their_versions_and_must_find_their_place() {
    let translator = Translator::new(None);
    let text = fs::read_to_string(folder().join("fixes.cu")).expect("a fixture");
    assert_eq!(translator.file("fixes.cu", &text).fixes, ["off-by-one"]);
    assert!(translator.file("other.cu", &text).fixes.is_empty());
    for moved in [
        text.replace("i <= n; ++i) // i", "i < n; ++i) // i"),
        text.replace("= 1;", "= 1; i <= n;"),
    ] {
        let file = translator.file("fixes.cu", &moved);
        assert!(file.fixes.is_empty());
        assert!(
            said(&file).contains("error fix-anchor") && said(&file).contains("off-by-one"),
            "{}",
            said(&file)
        );
        assert!(!file.text.contains("Fixed:"));
    }
}

#[test]
fn broken_files_are_errors_that_say_where() {
    let translator = Translator::new(None);
    let of = |bytes: &[u8]| {
        let mut tree = translator.sources(vec![SourceFile::new("a.cu", bytes.to_vec())]);
        said(&tree.files.remove(0))
    };
    assert!(
        of(b"int a;\nint \xff;")
            .starts_with("2:5 error not-utf8: the file is not UTF-8: the byte at offset 11")
    );
    for (text, place) in [
        ("int a;\n/* no end", "2:1 error truncated"),
        ("auto a = R\"(no end", "1:10 error truncated"),
        ("#if A\n#ifdef B\n#endif\n", "1:1 error truncated"),
        ("#endif\n", "1:1 error truncated"),
        ("void f() {\n  if (x) {\n  }\n", "1:10 error truncated"),
    ] {
        assert!(
            of(text.as_bytes()).starts_with(place),
            "{text:?}: {}",
            of(text.as_bytes())
        );
    }
    assert_eq!(
        of(b"#ifdef A\nvoid f() {\n#else\nvoid g() {\n#endif\n}\n"),
        ""
    );
    assert_eq!(
        of(b"#define BEGIN {\nvoid f() BEGIN }\nvoid g() {"),
        "",
        "braces in macros: nothing can be said"
    );
}

/// Text that is dense in what rules look at.
fn piece() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "cudaMalloc",
        "__dp4a",
        "cudaMemcpy2D",
        "__fma_rn",
        "cudaUnknown",
        "__CUDA_ARCH__",
        "TOOLKIT",
        "VENDOR",
        "cuda",
        "::",
        "std",
        "numeric_limits",
        "nvcuda",
        "wmma",
        "asm",
        "volatile",
        "\"cvt.rn.f16.f32 %0, %1;\"",
        "\"r\"",
        ":",
        "(",
        ")",
        "(",
        ")",
        ",",
        ";",
        "{",
        "}",
        "[",
        "]",
        " ",
        " ",
        "\n",
        "\n",
        "\\\n",
        "#if ",
        "#ifdef ",
        "#ifndef ",
        "#elif ",
        "#else\n",
        "#endif\n",
        "#define A ",
        "#include ",
        "<cuda_runtime.h>",
        "\"x.cuh\"",
        "#",
        ">=",
        "<",
        "==",
        "!",
        "&&",
        "||",
        "defined",
        "610",
        "800",
        "12020",
        "// c\n",
        "/* c */",
        "'c'",
        "R\"(x)\"",
        "\"",
        ".",
        "->",
        "=",
        "*",
        "int",
        "struct",
        "namespace",
        "using",
        "typedef",
        "return",
        "é",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_keeps_its_lines_and_is_translated_once(pieces in prop::collection::vec(piece(), 0..60)) {
        let text = pieces.concat();
        let translator = Translator::new(None);
        let once = translator.file("a.cu", &text);
        let newlines = |s: &str| s.matches('\n').count();
        prop_assert_eq!(newlines(&once.text) - header_lines(&once), newlines(&text), "{:?}", once.text);
        for edit in &once.edits {
            let original = &text[edit.span.start as usize..edit.span.end as usize];
            prop_assert_eq!(newlines(&edit.text), newlines(original), "{:?} -> {:?}", original, edit.text);
        }
        prop_assert_eq!(&translator.file("a.cu", &text), &once, "not deterministic");
        let twice = translator.file("a.cu", &once.text);
        prop_assert_eq!(&twice.text, &once.text);
    }
}
