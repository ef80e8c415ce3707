//! Guards: what preprocessor conditions ask about the CUDA device or toolkit becomes a question about features.

use std::ops::Range;

use super::condition::{as_question, evaluate, mirrored};
use super::edit::Cause;
use super::facts::Constants;
use crate::diagnostic::Code;
use crate::lex::{Directive, Kind};
use crate::rules::GuardOp;

/// Where a subject stands in a condition and what is asked of it there.
struct Question {
    /// Positions in the stream that the answer replaces.
    tokens: Range<usize>,
    op: GuardOp,
    value: i64,
    negated: bool,
}

impl super::Pass<'_, '_, '_, '_> {
    /// Rewrites the questions in the condition of an `#if` or `#elif`.
    pub(super) fn condition(&mut self, stream: &[u32]) {
        let mut at = 0;
        while at < stream.len() {
            if self.file.kind(stream[at]) == Kind::HeaderName {
                // In `__has_include(<...>)`. A header that isn't needed is as good as there.
                self.header(stream[at]);
            }
            let subject = self.file.spelling(stream[at]);
            if self.file.kind(stream[at]) != Kind::Ident
                || !self.rules.guards().is_subject(&subject)
            {
                at += 1;
                continue;
            }
            let Some(question) = self.question(stream, at) else {
                let span = self.span(stream[at], stream[at]);
                self.claimed[stream[at] as usize] = true;
                self.reports.error(Code::GuardForm, &subject, span, || {
                    let help = "compare it with one number, or ask whether it is defined".to_owned();
                    (format!("this use of `{subject}` is no question that config/guards.toml can answer"), Some(help))
                });
                at += 1;
                continue;
            };
            let (first, last) = (
                stream[question.tokens.start],
                stream[question.tokens.end - 1],
            );
            for token in &stream[question.tokens.clone()] {
                self.claimed[*token as usize] = true;
            }
            let span = self.span(first, last);
            if let Some(answer) = self.answer(&subject, &question, span.clone()) {
                let original = self.text(&span);
                self.edits.push(
                    span,
                    super::keep_lines(answer, original, true),
                    Cause::Guard,
                );
            }
            at = question.tokens.end;
        }
    }

    /// Rewrites `#ifdef SUBJECT` and its relatives.
    pub(super) fn ifdef(&mut self, directive: &Directive) {
        let (Some(&operand), Some(name)) =
            (self.file.lexed.operands(directive).first(), directive.name)
        else {
            return;
        };
        let subject = self.file.spelling(operand);
        if !self.rules.guards().is_subject(&subject) {
            return;
        }
        self.claimed[operand as usize] = true;
        let word = self.file.lexed.directive_name(directive);
        let negated = word.ends_with("ndef");
        let question = Question {
            tokens: 0..1,
            op: GuardOp::Defined,
            value: 0,
            negated: false,
        };
        let span = self.span(operand, operand);
        let Some(answer) = self.answer(&subject, &question, span.clone()) else {
            return;
        };
        if let Some(inner) = answer
            .strip_prefix("defined(")
            .and_then(|rest| rest.strip_suffix(')'))
        {
            self.put(span, inner, Cause::Guard);
            return;
        }
        let plain = if word.starts_with("el") { "elif" } else { "if" };
        self.put(self.span(name, name), plain, Cause::Guard);
        let sign = if negated { "!" } else { "" };
        self.put(span, format!("{sign}{answer}"), Cause::Guard);
    }

    /// What is asked of the subject at `at`.
    fn question(&self, stream: &[u32], at: usize) -> Option<Question> {
        let raw = |at: usize| stream.get(at).map_or("", |t| self.file.raw(*t));
        let back = |n: usize| at.checked_sub(n).map_or("", raw);
        if back(1) == "defined" {
            return Some(Question {
                tokens: at - 1..at + 1,
                op: GuardOp::Defined,
                value: 0,
                negated: false,
            });
        }
        if back(1) == "(" && back(2) == "defined" && raw(at + 1) == ")" {
            return Some(Question {
                tokens: at - 2..at + 2,
                op: GuardOp::Defined,
                value: 0,
                negated: false,
            });
        }
        let is_comparison = |raw: &str| as_question(raw, 0).is_some();
        if is_comparison(raw(at + 1)) && is_boundary(back(1), true) {
            let end = self.operand_end(stream, at + 2);
            let value = self.number(&stream[at + 2..end])?;
            let (op, value, negated) = as_question(raw(at + 1), value)?;
            return Some(Question {
                tokens: at..end,
                op,
                value,
                negated,
            });
        }
        if is_comparison(back(1)) && is_boundary(raw(at + 1), false) {
            let start = self.operand_start(stream, at - 1);
            let value = self.number(&stream[start..at - 1])?;
            let (op, value, negated) = as_question(mirrored(back(1)), value)?;
            return Some(Question {
                tokens: start..at + 1,
                op,
                value,
                negated,
            });
        }
        if is_boundary(back(1), true) && is_boundary(raw(at + 1), false) {
            return Some(Question {
                tokens: at..at + 1,
                op: GuardOp::Defined,
                value: 0,
                negated: false,
            });
        }
        None
    }

    /// Where the operand that starts at `from` ends: before a logical operator or the bracket around it.
    fn operand_end(&self, stream: &[u32], from: usize) -> usize {
        let mut depth = 0_u32;
        for (at, token) in stream.iter().enumerate().skip(from) {
            match self.file.raw(*token) {
                "(" => depth += 1,
                ")" if depth > 0 => depth -= 1,
                raw if depth == 0 && is_boundary(raw, false) => return at,
                _ => {}
            }
        }
        stream.len()
    }

    fn operand_start(&self, stream: &[u32], end: usize) -> usize {
        let mut depth = 0_u32;
        for at in (0..end).rev() {
            match self.file.raw(stream[at]) {
                ")" => depth += 1,
                "(" if depth > 0 => depth -= 1,
                raw if depth == 0 && is_boundary(raw, true) => return at + 1,
                _ => {}
            }
        }
        0
    }

    fn number(&self, operand: &[u32]) -> Option<i64> {
        let names = Constants::new(self.facts, self.index);
        evaluate(&self.file.lexed, operand, &names)
    }

    /// What is written for a question, or nothing after a report.
    fn answer(&mut self, subject: &str, question: &Question, span: Range<u32>) -> Option<String> {
        let guards = self.rules.guards();
        let file = &self.file.file.path;
        let Some(row) = guards.find(subject, question.op, question.value, file) else {
            let asked = self.text(&span).to_owned();
            let known: Vec<String> = guards
                .of(subject)
                .iter()
                .filter(|r| r.op == question.op && r.file.is_none())
                .map(|r| r.value.to_string())
                .collect();
            let Question { op, value, .. } = *question;
            self.reports.error(Code::UnknownGuard, &asked, span, || {
                let row = match op {
                    GuardOp::AtLeast => format!("value = {value}"),
                    GuardOp::Equals => format!("op = \"==\", value = {value}"),
                    GuardOp::Defined | GuardOp::Value => "op = \"defined\"".to_owned(),
                };
                let known =
                    if known.is_empty() { String::new() } else { format!("; known values: {}", known.join(", ")) };
                let help = format!("add a [[guard]] row for `{subject}` with {row} to config/guards.toml{known}");
                (format!("no AMD target can answer `{asked}`: no row of guards.toml says what it asks"), Some(help))
            });
            return None;
        };
        let simple = row
            .ask
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_')
            || row.ask.starts_with("defined(") && row.ask.find(')') == Some(row.ask.len() - 1);
        let ask = if simple {
            row.ask.clone()
        } else {
            format!("({})", row.ask)
        };
        Some(if question.negated {
            format!("!{ask}")
        } else {
            ask
        })
    }
}

/// Whether a question may stand behind (or before) this: the ends of the condition, brackets, logical operators.
fn is_boundary(raw: &str, before: bool) -> bool {
    match raw {
        "" | "&&" | "||" | "?" | ":" => true,
        "!" | "(" => before,
        ")" => !before,
        _ => false,
    }
}
