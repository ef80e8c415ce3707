//! What is done with an input: lexing, and a translation with the rules that the program has inside.

use std::fmt;
use std::path::PathBuf;

use hipify_candle::config::Config;
use hipify_candle::fixes::Fixes;
use hipify_candle::lex::{lex, significant_text};
use hipify_candle::modules::Modules;
use hipify_candle::rules::Rules;
use hipify_candle::translate::{Origin, SourceFile, Tree, is_translated, translate_tree};

/// What became of an input.
#[derive(Debug, Default)]
pub struct Read {
    tokens: usize,
    edits: usize,
    errors: usize,
}

/// Sums over all cases.
#[derive(Debug, Default)]
pub struct Statistics {
    cases: usize,
    without_errors: usize,
    tokens: usize,
    edits: usize,
    errors: usize,
    growth: f64,
}

impl Statistics {
    pub fn add(&mut self, read: &Read, peak: usize, input: usize) {
        self.cases += 1;
        self.without_errors += usize::from(read.errors == 0);
        self.tokens += read.tokens;
        self.edits += read.edits;
        self.errors += read.errors;
        if input > 1024 {
            self.growth = self.growth.max(peak as f64 / input as f64);
        }
    }
}

impl fmt::Display for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} cases, {} of them translated without an error; {} tokens, {} edits, {} errors; most memory {:.1} times the input",
            self.cases, self.without_errors, self.tokens, self.edits, self.errors, self.growth
        )
    }
}

/// The memory that translating an input may take, in bytes: a multiple of its size. A diagnostic, which a byte or two may
/// cause, has some hundred bytes of text.
pub fn allowed_memory(input: &[u8]) -> usize {
    512 * 1024 + 400 * input.len()
}

/// The translator with the rules inside the program.
pub struct Translator {
    rules: Rules,
    fixes: Fixes,
    modules: Modules,
}

impl Translator {
    pub fn new() -> Self {
        let config = Config::embedded();
        Self {
            rules: Rules::from_config(&config, None).expect("the rules inside the program"),
            fixes: Fixes::from_config(&config).expect("the fixes inside the program"),
            modules: Modules::from_config(&config).expect("the modules inside the program"),
        }
    }

    /// Lexes and translates an input and looks at what every result has to be.
    pub fn all(&self, input: &[u8]) -> Read {
        let text = String::from_utf8_lossy(input);
        let tokens = lossless(&text);
        let bare = significant_text(&text, true).expect("a short text");
        lossless(&bare);

        // There are fixes for the one, whose places are not found, and none for the other.
        let name = ["quantized", "kernels"][input.len() % 2];
        let file = SourceFile::new(format!("{name}.cu"), input.to_vec());
        let source = file.text.clone();
        let translation = self.translate(file);
        let mut edits = translation.edits.iter();
        let mut end = 0;
        assert!(
            edits.all(|edit| {
                let follows = edit.span.start >= end && edit.span.end as usize <= source.len();
                end = edit.span.end;
                follows
            }),
            "edits overlap or reach beyond the text"
        );
        if !is_translated(&source) {
            let (_, body) = translation.text.split_once("#line 1 ").expect("a #line");
            assert_eq!(
                body.matches('\n').count(),
                1 + source.matches('\n').count(),
                "a translation keeps the lines"
            );
            let again = self.translate(SourceFile::new(
                format!("{name}.hip"),
                translation.text.clone().into_bytes(),
            ));
            assert!(
                again.text == translation.text,
                "a translation is not translated again"
            );
        }
        Read {
            tokens,
            edits: translation.edits.len(),
            errors: translation.errors(),
        }
    }

    fn translate(&self, file: SourceFile) -> hipify_candle::translate::FileTranslation {
        let tree = Tree {
            root: PathBuf::from("src"),
            origin: Origin {
                label: "candle-kernels-0.11.1/src".to_owned(),
                package: Some("candle-kernels".to_owned()),
                version: Some("0.11.1".to_owned()),
                ..Origin::default()
            },
            files: vec![file],
        };
        let mut translation = translate_tree(&tree, &self.rules, &self.fixes, &self.modules, &[])
            .expect("a short text");
        translation.files.remove(0)
    }
}

/// Every byte of the text belongs to one token. The number of tokens.
fn lossless(text: &str) -> usize {
    let lexed = lex(text).expect("a short text");
    let mut at = 0;
    for token in &lexed.tokens {
        assert!(token.start == at && token.end > token.start, "a gap");
        assert!(
            text.is_char_boundary(token.end as usize),
            "half a character"
        );
        at = token.end;
        assert!(lexed.spelling(*token).len() <= lexed.raw(*token).len());
    }
    assert_eq!(at as usize, text.len(), "the tail is lost");
    for directive in &lexed.directives {
        assert!(directive.tokens.end as usize <= lexed.tokens.len());
        let count = lexed.operands(directive).len();
        assert!(count <= directive.tokens.len());
        assert!(lexed.directive_name(directive).len() <= text.len());
    }
    lexed.tokens.len()
}
