//! The lexer on text that people wrote, on text that nobody would write, and on text cut anywhere.

use hipify_candle::lex::{DirectiveKind, Kind, lex, significant_text};
use proptest::prelude::*;

/// `(kind, spelling)` of every token that is not blank.
fn tokens(text: &str) -> Vec<(Kind, String)> {
    let lexed = lex(text).expect("short text");
    lexed
        .tokens
        .iter()
        .filter(|t| !matches!(t.kind, Kind::Space | Kind::Newline | Kind::Splice))
        .map(|t| (t.kind, lexed.spelling(*t).into_owned()))
        .collect()
}

fn check(text: &str, expected: &[(Kind, &str)]) {
    let expected: Vec<_> = expected
        .iter()
        .map(|(k, s)| (*k, (*s).to_owned()))
        .collect();
    assert_eq!(tokens(text), expected, "in {text:?}");
    assert_lossless(text);
}

fn assert_lossless(text: &str) {
    let lexed = lex(text).expect("short text");
    let mut at = 0;
    for token in &lexed.tokens {
        assert_eq!(token.start, at, "gap or overlap in {text:?}");
        assert!(token.end > token.start, "empty token in {text:?}");
        at = token.end;
    }
    assert_eq!(at as usize, text.len(), "tail lost in {text:?}");
    let joined: String = lexed.tokens.iter().map(|t| lexed.raw(*t)).collect();
    assert_eq!(joined, text);
}

#[test]
fn comments() {
    check(
        "a//b\nc",
        &[
            (Kind::Ident, "a"),
            (Kind::LineComment, "//b"),
            (Kind::Ident, "c"),
        ],
    );
    // A splice carries a line comment on to the next line.
    check(
        "// one \\\ntwo\nx",
        &[(Kind::LineComment, "// one two"), (Kind::Ident, "x")],
    );
    check(
        "/* a // \" ' */x",
        &[(Kind::BlockComment, "/* a // \" ' */"), (Kind::Ident, "x")],
    );
    check(
        "/\\\n/ x\ny",
        &[(Kind::LineComment, "// x"), (Kind::Ident, "y")],
    );
    check(
        "/\\\n* x *\\\n/y",
        &[(Kind::BlockComment, "/* x */"), (Kind::Ident, "y")],
    );
    check("\"//\"'/'", &[(Kind::Str, "\"//\""), (Kind::Char, "'/'")]);
}

#[test]
fn strings() {
    check(
        r#"u8"a\"b"L'\''"#,
        &[(Kind::Str, r#"u8"a\"b""#), (Kind::Char, r"L'\''")],
    );
    check(
        "R\"(a\\\n\")\" + x",
        &[
            (Kind::RawStr, "R\"(a\\\n\")\""),
            (Kind::Punct, "+"),
            (Kind::Ident, "x"),
        ],
    );
    check(
        r#"u8R"x(a)" )x")y"x;"#,
        &[
            (Kind::RawStr, r#"u8R"x(a)" )x""#),
            (Kind::Punct, ")"),
            (Kind::Ident, "y"),
            (Kind::Str, r#""x;"#),
        ],
    );
    check("\"a\\\nb\"", &[(Kind::Str, "\"ab\"")]);
    // Prose in a skipped group: the literal ends with its line.
    check(
        "don't\nx",
        &[(Kind::Ident, "don"), (Kind::Char, "'t"), (Kind::Ident, "x")],
    );
}

#[test]
fn numbers() {
    for number in [
        "0xffff'ffffULL",
        "1'000",
        "1e-5f",
        "0x1p+3",
        ".5",
        "1.",
        "1'0.e+1_suffix",
        "0b1010u",
    ] {
        check(number, &[(Kind::Number, number)]);
    }
    check(
        "1+2",
        &[(Kind::Number, "1"), (Kind::Punct, "+"), (Kind::Number, "2")],
    );
    check("1'a'", &[(Kind::Number, "1'a"), (Kind::Char, "'")]);
    check("0x1e+5", &[(Kind::Number, "0x1e+5")]); // as the standard's grammar has it
}

#[test]
fn launches_and_templates() {
    let spelled = |text: &str| tokens(text).into_iter().map(|(_, s)| s).collect::<Vec<_>>();
    assert_eq!(
        spelled("k<<<g,b>>>(x)"),
        ["k", "<<<", "g", ",", "b", ">", ">", ">", "(", "x", ")"]
    );
    assert_eq!(
        spelled("a<b<c>>d"),
        ["a", "<", "b", "<", "c", ">", ">", "d"]
    );
    assert_eq!(
        spelled("a::b->c...##"),
        ["a", "::", "b", "->", "c", "...", "##"]
    );
}

#[test]
fn splices() {
    check(
        "cuda\\\nMalloc(",
        &[(Kind::Ident, "cudaMalloc"), (Kind::Punct, "(")],
    );
    check(
        "a\\\r\nb \\ \t\n c",
        &[(Kind::Ident, "ab"), (Kind::Ident, "c")],
    );
    check(
        "x-\\\n>y",
        &[(Kind::Ident, "x"), (Kind::Punct, "->"), (Kind::Ident, "y")],
    );
    check(
        "x \\y",
        &[(Kind::Ident, "x"), (Kind::Other, "\\"), (Kind::Ident, "y")],
    );
}

#[test]
fn directives_hold_their_tokens() {
    let text = "#  define F(x) \\\n  (x + 1) // c\nint a = 1 # 2;\n #include <a/b.h>\n#include \"c.h\"\r\n\
                #if __has_include(<cuda.h>)\n#error don't \"do\n#endif\n#\n#pragma once";
    assert_lossless(text);
    let lexed = lex(text).expect("short text");
    let found: Vec<_> = lexed
        .directives
        .iter()
        .map(|d| {
            let operands = lexed
                .operands(d)
                .iter()
                .map(|t| lexed.spelling(lexed.token(*t)).into_owned());
            (
                d.kind,
                lexed.directive_name(d).into_owned(),
                operands.collect::<Vec<_>>().join(" "),
            )
        })
        .collect();
    let expected = [
        (DirectiveKind::Define, "define", "F ( x ) ( x + 1 )"),
        (DirectiveKind::Include, "include", "<a/b.h>"),
        (DirectiveKind::Include, "include", "\"c.h\""),
        (DirectiveKind::If, "if", "__has_include ( <cuda.h> )"),
        (DirectiveKind::Error, "error", "don't \"do"),
        (DirectiveKind::Endif, "endif", ""),
        (DirectiveKind::Other, "", ""),
        (DirectiveKind::Pragma, "pragma", "once"),
    ];
    let expected: Vec<_> = expected
        .iter()
        .map(|(k, n, o)| (*k, (*n).to_owned(), (*o).to_owned()))
        .collect();
    assert_eq!(found, expected);
    let code: Vec<_> = lexed
        .code
        .iter()
        .map(|t| lexed.raw(lexed.token(*t)))
        .collect();
    assert_eq!(code, ["int", "a", "=", "1", "#", "2", ";"]);
}

#[test]
fn header_names_may_be_spliced() {
    check(
        "#include \"a\\\n.h\"\n",
        &[
            (Kind::Hash, "#"),
            (Kind::Ident, "include"),
            (Kind::HeaderName, "\"a.h\""),
        ],
    );
}

#[test]
fn what_never_ends_is_marked() {
    for text in ["/* a", "\"a", "R\"(a", "'a"] {
        let lexed = lex(text).expect("short text");
        assert_eq!(lexed.tokens.len(), 1, "in {text:?}");
        assert!(lexed.tokens[0].unterminated, "in {text:?}");
    }
}

#[test]
fn significant_text_ignores_what_the_compiler_ignores() {
    let one = "// notice\n#line 1 \"a.cu\"\nint a; /* x */ int b;\n\n#define X \\\n  1\n";
    let two = "// other\n// notice\n#line 3 \"a.cu\"\n  int a;\tint  b; // y\n#define X 1";
    let of = |text| significant_text(text, false).expect("short text");
    assert_eq!(of(one), of(two).trim_end().to_owned() + "\n");
    assert_eq!(of(one), "int a; int b;\n#define X 1\n");
    assert_ne!(
        significant_text(one, true).expect("short"),
        significant_text(two, true).expect("short")
    );
    assert_ne!(of("int a;"), of("int b;"));
    assert_ne!(of("\"a  b\""), of("\"a b\""));
}

/// Pieces that are awkward next to each other.
fn piece() -> impl Strategy<Value = String> {
    let fixed = prop::sample::select(vec![
        "\\\n",
        "\\\r\n",
        "\\ \n",
        "\n",
        "\r\n",
        "\r",
        " ",
        "\t",
        "//",
        "/*",
        "*/",
        "/",
        "*",
        "\"",
        "'",
        "\\",
        "R\"",
        "R\"x(",
        ")x\"",
        ")\"",
        "u8",
        "L",
        "#",
        "##",
        "%:",
        "#include",
        "<",
        ">",
        "#error",
        "__has_include(",
        "1'",
        "e+",
        "0x",
        ".",
        "...",
        "::",
        "->",
        "<<<",
        ">>>",
        "é",
        "\u{0}",
        "\u{7f}",
        "if",
        "ident",
        "(",
        ")",
        "@",
        "`",
        "$",
    ]);
    prop_oneof![4 => fixed.prop_map(str::to_owned), 1 => any::<String>()]
}

/// Tokens that a splice may cut anywhere without changing them.
fn token() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z_][a-zA-Z0-9_]{0,8}",
        "[1-9][0-9]{0,4}(\\.[0-9]{1,3})?",
        "0x[0-9a-f]{1,6}",
        "\"[a-z /*]{0,6}\"",
        "'[a-z]'",
        prop::sample::select(vec![
            "->", "::", "<<<", "==", "...", "&&", "(", ")", ";", "{", "}", "->*", "<<="
        ])
        .prop_map(str::to_owned),
        "/\\*[a-z \"]{0,6}\\*/",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_comes_back(pieces in prop::collection::vec(piece(), 0..40)) {
        assert_lossless(&pieces.concat());
    }

    #[test]
    fn any_prefix_comes_back(pieces in prop::collection::vec(piece(), 0..20), cut in any::<prop::sample::Index>()) {
        let text = pieces.concat();
        let mut at = cut.index(text.len() + 1);
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        assert_lossless(&text[..at]);
    }

    /// Splices are invisible: wherever they are put, the same tokens are spelled.
    #[test]
    fn splices_change_nothing(
        words in prop::collection::vec(token(), 1..12),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 1..6),
    ) {
        let text = words.join(" ");
        let mut spliced = text.clone();
        let mut places: Vec<usize> = cuts.iter().map(|c| c.index(text.len() + 1)).collect();
        places.sort_unstable();
        for place in places.into_iter().rev() {
            spliced.insert_str(place, "\\\n");
        }
        assert_lossless(&spliced);
        prop_assert_eq!(tokens(&text), tokens(&spliced), "{:?}", spliced);
    }

    /// What is put between tokens never leaks into them.
    #[test]
    fn tokens_keep_their_bounds(words in prop::collection::vec(token(), 1..12)) {
        let text = words.join("\n");
        let found: Vec<String> = tokens(&text).into_iter().map(|(_, spelled)| spelled).collect();
        prop_assert_eq!(found, words);
    }
}
