//! How diagnostics and diffs look on a terminal.

use std::fmt;
use std::io::{self, Write};
use std::path::Path;

use miette::{
    LabeledSpan, MietteError, MietteHandlerOpts, MietteSpanContents, ReportHandler, SourceCode,
    SourceSpan, SpanContents,
};

use crate::diagnostic::{Diagnostic, Position, Severity};

/// The line of source that a diagnostic is about, so that nothing needs the whole file.
#[derive(Debug)]
struct SourceLine<'a> {
    diagnostic: &'a Diagnostic,
    file: String,
}

impl SourceLine<'_> {
    /// The part of the diagnostic's span that is on the line, in bytes of the line.
    fn span(&self) -> SourceSpan {
        let line = &self.diagnostic.source_line;
        let column = self.diagnostic.position.column as usize;
        let start = line
            .char_indices()
            .nth(column - 1)
            .map_or(line.len(), |(at, _)| at);
        let length = (self.diagnostic.span.end - self.diagnostic.span.start) as usize;
        (start, length.min(line.len() - start)).into()
    }
}

impl SourceCode for SourceLine<'_> {
    fn read_span<'a>(
        &'a self,
        _: &SourceSpan,
        lines_before: usize,
        _: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let line = &self.diagnostic.source_line;
        let Position {
            line: number,
            column,
        } = self.diagnostic.position;
        // Asked without context, for the heading alone, it is the place of the span that is wanted.
        let column = if lines_before == 0 {
            column as usize - 1
        } else {
            0
        };
        let contents = MietteSpanContents::new_named(
            self.file.clone(),
            line.as_bytes(),
            (0, line.len()).into(),
            number as usize - 1,
            column,
            1,
        );
        Ok(Box::new(contents))
    }
}

/// A diagnostic with its source, as miette wants it.
#[derive(Debug)]
struct Shown<'a> {
    diagnostic: &'a Diagnostic,
    source: SourceLine<'a>,
    help: Option<String>,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.diagnostic.message)
    }
}

impl std::error::Error for Shown<'_> {}

impl miette::Diagnostic for Shown<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.diagnostic.code.as_str()))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.diagnostic.severity {
            Severity::Note => miette::Severity::Advice,
            Severity::Warning => miette::Severity::Warning,
            Severity::Error => miette::Severity::Error,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help
            .as_ref()
            .map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let label = LabeledSpan::new_with_span(None, self.source.span());
        Some(Box::new(std::iter::once(label)))
    }
}

struct Handled<'a>(Shown<'a>);

impl fmt::Display for Handled<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let handler = MietteHandlerOpts::new().terminal_links(false).build();
        handler.debug(&self.0, f)
    }
}

/// A diagnostic with its line of source; `path` is the file.
pub(super) fn diagnostic<'a>(diagnostic: &'a Diagnostic, path: &Path) -> impl fmt::Display + 'a {
    let mut help = diagnostic.help.clone();
    if !diagnostic.also_at.is_empty() {
        let places: Vec<String> = diagnostic
            .also_at
            .iter()
            .map(|p| format!("{}:{}", p.line, p.column))
            .collect();
        let also = format!("also at {}", places.join(", "));
        help = Some(help.map_or_else(|| also.clone(), |help| format!("{help}\n{also}")));
    }
    let source = SourceLine {
        diagnostic,
        file: path.display().to_string(),
    };
    Handled(Shown {
        diagnostic,
        source,
        help,
    })
}

/// Prints a unified diff with added and removed lines in colour.
pub(super) fn diff(out: &mut impl Write, text: &str) -> io::Result<()> {
    let (green, red) = (
        anstyle::AnsiColor::Green.on_default(),
        anstyle::AnsiColor::Red.on_default(),
    );
    for line in text.lines() {
        match line.as_bytes().first() {
            Some(b'+') => writeln!(out, "{green}{line}{green:#}")?,
            Some(b'-') => writeln!(out, "{red}{line}{red:#}")?,
            _ => writeln!(out, "{line}")?,
        }
    }
    Ok(())
}
