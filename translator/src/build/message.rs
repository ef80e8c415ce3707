//! What the compiler says, told as places in the CUDA source.
//!
//! Translated files carry `#line`s, so file and line are the CUDA source's already. Columns are not: the compiler
//! counts them in the HIP text. It shows that text, which is enough to find the column of the CUDA line.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;
use serde::Serialize;

use crate::diagnostic::{Diagnostic, Position, Severity};

/// One finding of the compiler.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Message {
    /// How bad it is.
    pub severity: Severity,
    /// The file as the compiler names it: a CUDA source below its tree's root, a header, or nothing when the finding
    /// is about no place in a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Where in the file.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// What is wrong, in the compiler's words.
    pub message: String,
    /// The CUDA line, or a header's; the compiler's own text if the file isn't at hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_line: Option<String>,
    /// The line that was compiled, if it reads otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compiled_line: Option<String>,
}

impl From<&Diagnostic> for Message {
    /// A finding of the translator, told as the compiler's are.
    fn from(found: &Diagnostic) -> Self {
        Message {
            severity: found.severity,
            file: Some(found.file.clone()),
            position: Some(found.position),
            message: found.message.clone(),
            source_line: Some(found.source_line.clone()),
            compiled_line: None,
        }
    }
}

/// The most findings of one compilation that are kept: the first ones explain the rest.
const MOST: usize = 200;

static PLACE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"^(.+?):(\d+):(\d+): (?:fatal )?(error|warning|note|remark): (.*)$").ok()
});
static SNIPPET: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^ *\d+ \| (.*)$").ok());
static PLACELESS: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^(?:[\w.+/-]+: )?(?:fatal )?(error|warning): (.*)$").ok());

/// Reads what clang printed on standard error. `roots` says for the start of a file's name which folder it stands for.
/// Lines that belong to no finding (how it was run, how many findings there were) are dropped unless
/// there is nothing else.
pub(super) fn read(text: &str, roots: &[(&str, &Path)]) -> Vec<Message> {
    let mut found: Vec<Message> = Vec::new();
    let mut sources = Sources { roots, last: None };
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if found.len() == MOST {
            break;
        }
        if let Some(captures) = PLACE.as_ref().and_then(|place| place.captures(line)) {
            let number = |index: usize| captures[index].parse::<u32>().unwrap_or(1);
            let compiled = lines
                .peek()
                .and_then(|next| SNIPPET.as_ref()?.captures(next))
                .map(|c| c[1].to_owned());
            found.push(sources.message(
                severity(&captures[4]),
                &captures[1],
                Position {
                    line: number(2),
                    column: number(3),
                },
                &captures[5],
                compiled,
            ));
        } else if let Some(captures) = PLACELESS
            .as_ref()
            .and_then(|placeless| placeless.captures(line))
        {
            found.push(Message {
                severity: severity(&captures[1]),
                file: None,
                position: None,
                message: captures[2].to_owned(),
                source_line: None,
                compiled_line: None,
            });
        }
    }
    if !found
        .iter()
        .any(|message| message.severity == Severity::Error)
        && !text.trim().is_empty()
    {
        let end: Vec<&str> = text.trim().lines().rev().take(12).collect();
        found.push(Message {
            severity: Severity::Error,
            file: None,
            position: None,
            message: end.into_iter().rev().collect::<Vec<_>>().join("\n"),
            source_line: None,
            compiled_line: None,
        });
    }
    found
}

fn severity(word: &str) -> Severity {
    match word {
        "error" => Severity::Error,
        "warning" => Severity::Warning,
        _ => Severity::Note,
    }
}

/// Source files, the last one kept: findings come in runs.
struct Sources<'a> {
    roots: &'a [(&'a str, &'a Path)],
    last: Option<(String, Option<String>)>,
}

impl Sources<'_> {
    fn message(
        &mut self,
        severity: Severity,
        file: &str,
        at: Position,
        message: &str,
        compiled: Option<String>,
    ) -> Message {
        let text = self.text(file);
        let line = text
            .and_then(|text| text.lines().nth(at.line.saturating_sub(1) as usize))
            .map(str::to_owned);
        let (source_line, compiled_line, column) = match (line, compiled) {
            (Some(source), Some(compiled)) if source != compiled => {
                let column = column_in(&source, &compiled, at.column);
                (Some(source), Some(compiled), column)
            }
            (Some(source), _) => {
                let column = characters(&source, at.column);
                (Some(source), None, column)
            }
            (None, Some(compiled)) => {
                let column = characters(&compiled, at.column);
                (Some(compiled), None, column)
            }
            (None, None) => (None, None, at.column),
        };
        Message {
            severity,
            file: Some(file.to_owned()),
            position: Some(Position {
                line: at.line,
                column,
            }),
            message: message.to_owned(),
            source_line,
            compiled_line,
        }
    }

    fn text(&mut self, file: &str) -> Option<&str> {
        if self.last.as_ref().is_none_or(|(name, _)| name != file) {
            let text = self.roots.iter().find_map(|(start, folder)| {
                let below = Path::new(file).strip_prefix(start).ok()?;
                std::fs::read_to_string(folder.join(below)).ok()
            });
            self.last = Some((file.to_owned(), text));
        }
        self.last.as_ref()?.1.as_deref()
    }
}

/// The column in characters of a column in bytes, both counted from 1.
fn characters(line: &str, column: u32) -> u32 {
    let bytes = (column as usize).saturating_sub(1);
    let count = line
        .char_indices()
        .take_while(|(index, _)| *index < bytes)
        .count();
    u32::try_from(count + 1).unwrap_or(u32::MAX)
}

/// The column of the CUDA line for a column (in bytes) of the line that was compiled. Edits replace names within the
/// line: what stands before the first difference or behind the last one is at the same distance from that end; in
/// between, the first difference is the best answer there is.
fn column_in(source: &str, compiled: &str, column: u32) -> u32 {
    let at = (column as usize).saturating_sub(1).min(compiled.len());
    let prefix = source
        .bytes()
        .zip(compiled.bytes())
        .take_while(|(a, b)| a == b)
        .count();
    let shorter = source.len().min(compiled.len());
    let suffix = source
        .bytes()
        .rev()
        .zip(compiled.bytes().rev())
        .take_while(|(a, b)| a == b)
        .count();
    let suffix = suffix.min(shorter - prefix);
    let byte = if at < prefix {
        at
    } else if at >= compiled.len() - suffix {
        source.len() - (compiled.len() - at)
    } else {
        // The replacement of a name starts where the name does, even if both start alike.
        let word = source.as_bytes()[..prefix].iter().rev();
        prefix
            - word
                .take_while(|b| b.is_ascii_alphanumeric() || **b == b'_')
                .count()
    };
    characters(source, u32::try_from(byte + 1).unwrap_or(u32::MAX))
}

impl Message {
    /// The finding as people read it: the message, the place, the line with a mark below it. `paint` is given each
    /// part with its kind and says how it looks.
    #[must_use]
    pub fn render(&self, paint: &dyn Fn(Part, &str) -> String) -> String {
        let word = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        let mut out = format!(
            "{} {}\n",
            paint(Part::Word(self.severity), &format!("{word}:")),
            self.message
        );
        let (Some(file), Some(Position { line, column })) = (&self.file, self.position) else {
            return out;
        };
        let number = line.to_string();
        let margin = " ".repeat(number.len());
        let edge = |text: &str| paint(Part::Edge, text);
        let _ = writeln!(out, "{margin}{} {file}:{line}:{column}", edge("-->"));
        if let Some(source) = &self.source_line {
            let lead: String = source
                .chars()
                .take((column as usize).saturating_sub(1))
                .map(|c| if c == '\t' { '\t' } else { ' ' })
                .collect();
            let _ = writeln!(out, "{margin} {}", edge("|"));
            let _ = writeln!(out, "{} {source}", edge(&format!("{number} |")));
            let _ = writeln!(
                out,
                "{margin} {} {lead}{}",
                edge("|"),
                paint(Part::Mark, "^")
            );
        }
        if let Some(compiled) = &self.compiled_line {
            let _ = writeln!(
                out,
                "{margin} {} translated: {}",
                edge("="),
                compiled.trim()
            );
        }
        out
    }
}

/// A part of a rendered message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// `error:`.
    Word(Severity),
    /// Arrows, bars and line numbers.
    Edge,
    /// The mark below the column.
    Mark,
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{column_in, read};
    use crate::diagnostic::{Position, Severity};

    #[test]
    fn places_become_those_of_the_cuda_line() {
        let dir = tempfile::tempdir().expect("temporary folder");
        fs::write(
            dir.path().join("a.cu"),
            "int x;\nf(__dp4a(a, b, c), nonsense);\n",
        )
        .expect("temporary file");
        let text = "In file included from b.hip:3:\n\
            pkg/src/a.cu:2:24: error: use of undeclared identifier 'nonsense'\n\
            \x20   2 | f(hipify_dp4a(a, b, c), nonsense);\n\
            \x20     |                         ^\n\
            <built-in>:1:2: warning: odd [-Wodd]\n\
            1 warning and 1 error generated when compiling for gfx1100.\n";
        let found = read(text, &[("pkg/src", dir.path())]);
        assert_eq!(found.len(), 2);
        let error = &found[0];
        assert_eq!(error.severity, Severity::Error);
        assert_eq!(error.file.as_deref(), Some("pkg/src/a.cu"));
        assert_eq!(
            error.position,
            Some(Position {
                line: 2,
                column: 19
            })
        );
        assert_eq!(
            error.source_line.as_deref(),
            Some("f(__dp4a(a, b, c), nonsense);")
        );
        let shown = error.render(&|_, text| text.to_owned());
        let expected = "error: use of undeclared identifier 'nonsense'\n --> pkg/src/a.cu:2:19\n  |\n\
            2 | f(__dp4a(a, b, c), nonsense);\n  |                   ^\n  = translated: f(hipify_dp4a(a, b, c), \
            nonsense);\n";
        assert_eq!(shown, expected);
    }

    #[test]
    fn errors_without_a_place_and_unknown_output() {
        let found = read("clang-17: error: cannot find ROCm device library\n", &[]);
        assert_eq!(found[0].message, "cannot find ROCm device library");
        assert_eq!(found[0].position, None);
        let found = read("fatal error: error in backend: cannot select\n", &[]);
        assert_eq!(found[0].message, "error in backend: cannot select");
        let found = read("Segmentation fault\n", &[]);
        assert_eq!(
            (found[0].severity, found[0].message.as_str()),
            (Severity::Error, "Segmentation fault")
        );
        assert!(read("", &[]).is_empty());
    }

    #[test]
    fn columns() {
        // Before, inside and behind the replaced name.
        let (source, compiled) = ("  x = __ldg(p);", "  x = hipify_ldg(p);");
        assert_eq!(column_in(source, compiled, 3), 3);
        assert_eq!(column_in(source, compiled, 7), 7);
        assert_eq!(column_in(source, compiled, 10), 7);
        assert_eq!(column_in(source, compiled, 18), 13);
        // A common start of both names is no reason to point into the middle of the name.
        assert_eq!(column_in("cudaX y", "cudbXY y", 1), 1);
        assert_eq!(column_in("cudaX y", "cudbXY y", 4), 1);
        assert_eq!(column_in("ä = b;", "ä = cc;", 6), 5);
    }
}
