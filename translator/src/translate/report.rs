//! Collects the diagnostics of one file: each construct once, with every place it stands at.

use std::cell::OnceCell;
use std::ops::Range;

use rustc_hash::FxHashMap;

use super::inactive::within;
use super::tree::SourceFile;
use crate::diagnostic::{Code, Diagnostic, LineIndex, Severity};
use crate::lex::{DirectiveKind, Kind};

pub(super) struct Reports<'a> {
    file: &'a SourceFile,
    inactive: &'a [Range<u32>],
    lines: OnceCell<LineIndex<'a>>,
    list: Vec<Diagnostic>,
    seen: FxHashMap<(Code, bool, String), usize>,
}

impl<'a> Reports<'a> {
    pub(super) fn new(file: &'a SourceFile, inactive: &'a [Range<u32>]) -> Self {
        let lines = OnceCell::new();
        Reports {
            file,
            inactive,
            lines,
            list: Vec::new(),
            seen: FxHashMap::default(),
        }
    }

    /// Adds an error about `construct` at `span`, or the place alone if the construct has been reported already. In
    /// text that no AMD target compiles it becomes a note.
    pub(super) fn error(
        &mut self,
        code: Code,
        construct: &str,
        span: Range<u32>,
        words: impl FnOnce() -> (String, Option<String>),
    ) {
        self.add(Severity::Error, code, construct, span, words);
    }

    /// As [`Self::error`], about something with which the translation can be used.
    pub(super) fn warning(
        &mut self,
        code: Code,
        construct: &str,
        span: Range<u32>,
        words: impl FnOnce() -> (String, Option<String>),
    ) {
        self.add(Severity::Warning, code, construct, span, words);
    }

    fn add(
        &mut self,
        severity: Severity,
        code: Code,
        construct: &str,
        span: Range<u32>,
        words: impl FnOnce() -> (String, Option<String>),
    ) {
        let lines = self.lines.get_or_init(|| LineIndex::new(&self.file.text));
        let position = lines.position(span.start);
        let inactive = within(self.inactive, span.start);
        let key = (code, inactive, construct.to_owned());
        if let Some(&index) = self.seen.get(&key) {
            let known = &mut self.list[index];
            // Passes may go through the text backwards; the first place is the one that is shown.
            let later = if span.start < known.span.start {
                known.span = span;
                known.source_line = lines.line(position.line).to_owned();
                std::mem::replace(&mut known.position, position)
            } else {
                position
            };
            known.also_at.push(later);
            return;
        }
        self.seen.insert(key, self.list.len());
        let (mut message, help) = words();
        if inactive {
            message.push_str(" (in text that no AMD target compiles)");
        }
        self.list.push(Diagnostic {
            code,
            severity: if inactive { Severity::Note } else { severity },
            file: self.file.path.clone(),
            position,
            span,
            source_line: lines.line(position.line).to_owned(),
            message,
            help,
            also_at: Vec::new(),
        });
    }

    pub(super) fn finish(mut self) -> Vec<Diagnostic> {
        for diagnostic in &mut self.list {
            diagnostic.also_at.sort_unstable();
        }
        self.list.sort_by_key(|d| (d.span.start, d.span.end));
        self.list
    }
}

impl super::Pass<'_, '_, '_, '_> {
    /// Reports a file that isn't text to its end, or that ends in the middle of something.
    pub(super) fn truncation(&mut self) {
        let file = self.file;
        let lexed = &file.lexed;
        let length = u32::try_from(lexed.text().len()).unwrap_or(u32::MAX);
        if let Some(offset) = file.file.not_utf8 {
            self.reports.error(Code::NotUtf8, "", length..length, || {
                let message = format!(
                    "the file is not UTF-8: the byte at offset {offset} starts no character"
                );
                (
                    message,
                    Some("convert the file, for example with iconv -t UTF-8".to_owned()),
                )
            });
            return;
        }
        let mut say = |span: Range<u32>, what: &str| {
            self.reports.error(Code::Truncated, what, span, || {
                let help =
                    "the file may have been cut off; `hipify-candle fetch` checks fetched sources"
                        .to_owned();
                (what.to_owned(), Some(help))
            });
        };
        if let Some(last) = lexed.tokens.last().filter(|t| t.unterminated) {
            match last.kind {
                Kind::BlockComment => {
                    return say(last.start..last.end, "the file ends inside of a comment");
                }
                Kind::RawStr => {
                    return say(last.start..last.end, "the file ends inside of a raw string");
                }
                _ => {}
            }
        }
        let mut open = Vec::new();
        for directive in &lexed.directives {
            let hash = lexed.token(directive.tokens.start);
            match directive.kind {
                DirectiveKind::If | DirectiveKind::Ifdef => open.push(hash),
                DirectiveKind::Endif if open.pop().is_none() => {
                    return say(hash.start..hash.end, "#endif without #if");
                }
                _ => {}
            }
        }
        if let Some(hash) = open.last() {
            return say(
                hash.start..hash.end,
                "the file ends before the #endif of this condition",
            );
        }
        if let Some(brace) = self.open_brace() {
            let token = lexed.token(brace);
            self.reports.error(Code::Truncated, "brace", token.start..token.end, || {
                let help = "the file may have been cut off; `hipify-candle fetch` checks fetched sources".to_owned();
                ("the file ends before this brace is closed".to_owned(), Some(help))
            });
        }
    }

    /// The innermost brace that is never closed, as far as one can say without expanding macros: of the branches of
    /// a condition only the first counts, and a file that defines macros with unbalanced braces is not judged.
    fn open_brace(&self) -> Option<u32> {
        let lexed = &self.file.lexed;
        if self.facts.unbalanced_macros {
            return None;
        }
        let mut open: Vec<u32> = Vec::new();
        let mut skipping: Vec<bool> = Vec::new();
        let mut directives = lexed.directives.iter().peekable();
        for &index in &lexed.code {
            while let Some(directive) = directives.next_if(|d| d.tokens.start < index) {
                match directive.kind {
                    DirectiveKind::If | DirectiveKind::Ifdef => skipping.push(false),
                    DirectiveKind::Else | DirectiveKind::Elif | DirectiveKind::Elifdef => {
                        if let Some(skip) = skipping.last_mut() {
                            *skip = true;
                        }
                    }
                    DirectiveKind::Endif => {
                        skipping.pop();
                    }
                    _ => {}
                }
            }
            if skipping.contains(&true) {
                continue;
            }
            match self.file.raw(index) {
                "{" => open.push(index),
                "}" => {
                    open.pop();
                }
                _ => {}
            }
        }
        open.pop()
    }
}
