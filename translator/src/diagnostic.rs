//! What the translator has to say about a place in a source file.
//!
//! Knows files, lines and columns. How a diagnostic looks on a terminal is the command line's business.

use std::cell::Cell;
use std::ops::Range;

use serde::Serialize;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing to do: for example a construct that no AMD target compiles.
    Note,
    /// Worth a look; the translation is usable.
    Warning,
    /// The file's translation can't be used.
    Error,
}

/// What kind of problem it is. The names are part of the JSON output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// A name that looks like CUDA's has no rule.
    UnknownName,
    /// A name that the rules list as having no counterpart.
    UnsupportedName,
    /// A namespace's member that its replacement doesn't have.
    UnknownMember,
    /// The rule for the name is for other HIP versions.
    HipVersion,
    /// An include of a CUDA header without a rule.
    UnknownHeader,
    /// A header that the rules list as having no counterpart.
    UnsupportedHeader,
    /// A file of the tree is included that isn't there.
    MissingInclude,
    /// A preprocessor condition asks something that `guards.toml` has no row for.
    UnknownGuard,
    /// A preprocessor condition uses a guarded macro in a way that is no question.
    GuardForm,
    /// A PTX instruction without a rule.
    UnknownPtx,
    /// A PTX instruction that the rules list as having no counterpart.
    UnsupportedPtx,
    /// An `asm` statement or a call that can't be taken apart.
    BadCall,
    /// A fix names a place that isn't in the file.
    FixAnchor,
    /// A row of `launch.toml` fits no kernel.
    LaunchPattern,
    /// The file isn't UTF-8.
    NotUtf8,
    /// The file ends in the middle of something.
    Truncated,
}

impl Code {
    /// As in the JSON output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Code::UnknownName => "unknown-name",
            Code::UnsupportedName => "unsupported-name",
            Code::UnknownMember => "unknown-member",
            Code::HipVersion => "hip-version",
            Code::UnknownHeader => "unknown-header",
            Code::UnsupportedHeader => "unsupported-header",
            Code::MissingInclude => "missing-include",
            Code::UnknownGuard => "unknown-guard",
            Code::GuardForm => "guard-form",
            Code::UnknownPtx => "unknown-ptx",
            Code::UnsupportedPtx => "unsupported-ptx",
            Code::BadCall => "bad-call",
            Code::FixAnchor => "fix-anchor",
            Code::LaunchPattern => "launch-pattern",
            Code::NotUtf8 => "not-utf8",
            Code::Truncated => "truncated",
        }
    }
}

/// A line and a column, both counted from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Position {
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// What kind of problem.
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// The file, as a path below the tree's root.
    pub file: String,
    /// Where it is.
    #[serde(flatten)]
    pub position: Position,
    /// The same place in bytes from the start of the file.
    pub span: Range<u32>,
    /// The text of the line; of a very long line the start.
    pub source_line: String,
    /// What is wrong, in one sentence that names the construct.
    pub message: String,
    /// What can be done about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// Where else in the file the same construct stands.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also_at: Vec<Position>,
}

/// Lines are shown up to this many bytes: otherwise a file that is one long line would be repeated with every diagnostic.
const MAX_LINE: usize = 1000;

/// Finds lines and columns in a text.
#[derive(Debug)]
pub struct LineIndex<'a> {
    text: &'a str,
    starts: Vec<u32>,
    /// The place that was asked for last, so that the next one on a long line is not counted from the line's start.
    last: Cell<(u32, Position)>,
}

impl<'a> LineIndex<'a> {
    /// Notes where the lines of `text` start; it must be shorter than 4 GiB, as everything that was lexed is.
    #[must_use]
    pub fn new(text: &'a str) -> Self {
        let newlines = (0_u32..)
            .zip(text.bytes())
            .filter(|(_, byte)| *byte == b'\n')
            .map(|(at, _)| at + 1);
        LineIndex {
            text,
            starts: std::iter::once(0).chain(newlines).collect(),
            last: Cell::new((0, Position { line: 1, column: 1 })),
        }
    }

    /// Line and column of a byte offset.
    #[must_use]
    pub fn position(&self, offset: u32) -> Position {
        let one_based = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts[line.saturating_sub(1)];
        let (from, counted) = match self.last.get() {
            (last, place) if place.line == one_based(line) && last <= offset => {
                (last, place.column)
            }
            _ => (start, 1),
        };
        let between = self.text.get(from as usize..offset as usize);
        let position = Position {
            line: one_based(line),
            column: one_based(between.unwrap_or_default().chars().count()).saturating_add(counted),
        };
        self.last.set((offset, position));
        position
    }

    /// The text of a line, counted from 1, without its newline; of a very long line the start.
    #[must_use]
    pub fn line(&self, line: u32) -> &'a str {
        let index = line.saturating_sub(1) as usize;
        let start = self.starts.get(index).copied().unwrap_or_default() as usize;
        let mut end = self.text.len().min(start + MAX_LINE);
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        let rest = &self.text[start..end];
        rest.split('\n')
            .next()
            .unwrap_or_default()
            .trim_end_matches('\r')
    }
}

/// ` (did you mean a or b?)`, or nothing if there are no names.
pub(crate) fn did_you_mean(names: &[String]) -> String {
    if names.is_empty() {
        String::new()
    } else {
        format!(" (did you mean {}?)", names.join(" or "))
    }
}

/// The up to `count` known names nearest to `name`, nearest first; only such as a typing mistake or a sibling function
/// would explain.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>, count: usize) -> Vec<&'a str> {
    let limit = (name.chars().count() / 3).clamp(1, 4);
    let mut scored: Vec<(usize, &str)> = known
        .filter(|other| other.len().abs_diff(name.len()) <= limit && *other != name)
        .filter_map(|other| distance(name, other, limit).map(|d| (d, other)))
        .collect();
    scored.sort_unstable();
    scored
        .into_iter()
        .take(count)
        .map(|(_, other)| other)
        .collect()
}

/// Levenshtein distance, if it is at most `limit`.
fn distance(a: &str, b: &str, limit: usize) -> Option<usize> {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        let mut best = row[0];
        for (j, cb) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(row[j + 1] + 1);
            best = best.min(row[j + 1]);
        }
        if best > limit {
            return None;
        }
    }
    row.last().copied().filter(|d| *d <= limit)
}

#[cfg(test)]
mod tests {
    use super::{LineIndex, Position, nearest};

    #[test]
    fn positions() {
        let index = LineIndex::new("ab\ncäd\r\n\nx");
        let at = |offset| {
            let Position { line, column } = index.position(offset);
            (line, column)
        };
        assert_eq!(at(0), (1, 1));
        assert_eq!(at(3), (2, 1));
        assert_eq!(at(6), (2, 3));
        assert_eq!(at(9), (3, 1));
        assert_eq!(at(10), (4, 1));
        assert_eq!(at(11), (4, 2));
        assert_eq!(index.line(2), "cäd");
        assert_eq!(index.line(4), "x");
        assert_eq!(
            (at(6), at(4), at(4), at(1)),
            ((2, 3), (2, 2), (2, 2), (1, 2))
        );
    }

    #[test]
    fn long_lines_are_cut() {
        let text = format!("x{}", "ä".repeat(10_000));
        let index = LineIndex::new(&text);
        assert_eq!(index.position(20_001).column, 10_002);
        assert_eq!(index.line(1).chars().count(), 500);
    }

    #[test]
    fn nearest_names() {
        let known = [
            "__shfl_sync",
            "__shfl_xor_sync",
            "__shfl_up_sync",
            "__dp4a",
            "cudaMalloc",
        ];
        assert_eq!(
            nearest("__shfl_xr_sync", known.into_iter(), 1),
            ["__shfl_xor_sync"]
        );
        assert_eq!(nearest("cudaMaloc", known.into_iter(), 2), ["cudaMalloc"]);
        assert!(nearest("__vabsdiffu4", known.into_iter(), 3).is_empty());
    }
}
