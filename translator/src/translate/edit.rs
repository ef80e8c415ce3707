//! Edits: pieces of the CUDA text and what is written instead of them.

use std::ops::Range;

use crate::rules::Kind;

/// Why a piece of text was replaced.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cause {
    /// A rule for a name.
    Name(Kind),
    /// A rule for a namespace.
    Namespace,
    /// A rule for a header.
    Header,
    /// A row of `guards.toml`.
    Guard,
    /// A rule for PTX.
    Asm,
    /// A launch bound or tile of `launch.toml`.
    Launch,
    /// The fix with that id.
    Fix(String),
}

impl Cause {
    /// One word for reports.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Cause::Name(Kind::Type) => "type",
            Cause::Name(Kind::Function) => "function",
            Cause::Name(Kind::Intrinsic) => "intrinsic",
            Cause::Name(Kind::Constant) => "constant",
            Cause::Name(Kind::Macro) => "macro",
            Cause::Name(Kind::Member) => "member",
            Cause::Name(Kind::Same | Kind::Unsupported) => "name",
            Cause::Namespace => "namespace",
            Cause::Header => "header",
            Cause::Guard => "guard",
            Cause::Asm => "asm",
            Cause::Launch => "launch",
            Cause::Fix(_) => "fix",
        }
    }
}

/// One replacement. It holds as many newlines as what it replaces, so that line numbers stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// What is replaced, in bytes of the CUDA text.
    pub span: Range<u32>,
    /// What is written.
    pub text: String,
    /// Why.
    pub cause: Cause,
}

/// Edits under construction, in no order, never overlapping.
#[derive(Debug, Default)]
pub(super) struct Edits {
    list: Vec<Edit>,
}

impl Edits {
    pub(super) fn push(&mut self, span: Range<u32>, text: impl Into<String>, cause: Cause) {
        self.list.push(Edit {
            span,
            text: text.into(),
            cause,
        });
    }

    /// Takes out the edits inside of `span` and returns the text there as they leave it.
    pub(super) fn fold(&mut self, source: &str, span: &Range<u32>) -> String {
        let inside = |e: &Edit| span.start <= e.span.start && e.span.end <= span.end;
        let mut taken: Vec<Edit> = self.list.extract_if(.., |e| inside(e)).collect();
        taken.sort_unstable_by_key(|e| e.span.start);
        apply_within(source, span, &taken)
    }

    /// The edits in the order of the text.
    pub(super) fn finish(mut self) -> Vec<Edit> {
        self.list.sort_unstable_by_key(|e| e.span.start);
        debug_assert!(
            self.list
                .windows(2)
                .all(|w| w[0].span.end <= w[1].span.start),
            "edits overlap"
        );
        self.list
    }
}

/// `source` with edits, sorted by place, applied.
pub(super) fn apply(source: &str, edits: &[Edit]) -> String {
    apply_within(
        source,
        &(0..u32::try_from(source.len()).unwrap_or(u32::MAX)),
        edits,
    )
}

fn apply_within(source: &str, span: &Range<u32>, edits: &[Edit]) -> String {
    let (mut at, end) = (span.start as usize, span.end as usize);
    let mut out = String::with_capacity(end - at + 64);
    for edit in edits {
        out.push_str(&source[at..edit.span.start as usize]);
        out.push_str(&edit.text);
        at = edit.span.end as usize;
    }
    out.push_str(&source[at..end]);
    out
}
