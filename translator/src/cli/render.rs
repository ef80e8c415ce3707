//! How diagnostics and diffs look on a terminal.

use std::fmt;
use std::io::{self, Write};
use std::path::Path;

use miette::{LabeledSpan, MietteHandlerOpts, NamedSource, ReportHandler, SourceCode};

use crate::diagnostic::{Diagnostic, Severity};

/// A diagnostic with its source, as miette wants it.
#[derive(Debug)]
struct Shown<'a> {
    diagnostic: &'a Diagnostic,
    source: NamedSource<String>,
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
        let span = &self.diagnostic.span;
        let label = LabeledSpan::new(None, span.start as usize, (span.end - span.start) as usize);
        Some(Box::new(std::iter::once(label)))
    }
}

struct Handled<'a>(Shown<'a>);

impl fmt::Display for Handled<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let handler = MietteHandlerOpts::new()
            .context_lines(0)
            .terminal_links(false)
            .build();
        handler.debug(&self.0, f)
    }
}

/// A diagnostic with its line of source; `path` is the file, `text` its contents.
pub(super) fn diagnostic<'a>(
    diagnostic: &'a Diagnostic,
    path: &Path,
    text: &str,
) -> impl fmt::Display + 'a {
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
    let source = NamedSource::new(path.display().to_string(), text.to_owned());
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
