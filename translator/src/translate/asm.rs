//! Inline PTX: an `asm` statement whose instruction has a rule becomes the expression that the rule gives.

use super::edit::Cause;
use super::{fill, keep_lines};
use crate::diagnostic::Code;
use crate::lex::Kind;
use crate::rules::Action;

/// Number of the section with the labels of an `asm goto`, behind outputs (1), inputs (2) and clobbers (3).
const LABELS: usize = 4;

/// An `asm` statement taken apart: positions in the stream.
struct Statement {
    /// Instruction text, normalised.
    instruction: String,
    /// The brackets around each operand's expression, outputs first.
    operands: Vec<(usize, usize)>,
    /// The closing bracket.
    close: usize,
}

impl super::Pass<'_, '_, '_, '_> {
    /// Rewrites the `asm` statements of a stream whose names have been dealt with, from the last to the first: one inside
    /// of another's operand is done before the other's text is put together.
    pub(super) fn asm(&mut self, stream: &[u32], in_directive: bool) {
        for at in (0..stream.len()).rev() {
            let index = stream[at];
            if self.file.kind(index) != Kind::Ident
                || !matches!(self.file.raw(index), "asm" | "__asm__" | "__asm")
                || self.claimed[index as usize]
            {
                continue;
            }
            let qualifier = |t: &&u32| {
                matches!(
                    self.file.raw(**t),
                    "volatile" | "__volatile__" | "inline" | "goto"
                )
            };
            let open = at + 1 + stream[at + 1..].iter().take_while(qualifier).count();
            if stream.get(open).is_none_or(|t| self.file.raw(*t) != "(") {
                continue;
            }
            let Some(statement) = self.statement(stream, open) else {
                let help = "an asm statement of the form asm(\"text\" : outputs : inputs : clobbers) is needed";
                self.reports
                    .error(Code::BadCall, "asm", self.span(index, stream[open]), || {
                        (
                            "this asm statement can't be taken apart".to_owned(),
                            Some(help.to_owned()),
                        )
                    });
                continue;
            };
            self.rewrite(stream, at, &statement, in_directive);
        }
    }

    fn rewrite(&mut self, stream: &[u32], at: usize, statement: &Statement, in_directive: bool) {
        let Statement {
            instruction,
            operands,
            close,
        } = statement;
        let span = self.span(stream[at], stream[*close]);
        let Some(rule) = self.rules.asm(instruction) else {
            self.reports.error(Code::UnknownPtx, instruction, span, || {
                let opcode = instruction.split(' ').next().unwrap_or_default();
                let help = format!(
                    "add an [[asm]] rule to config/rules/asm.toml for ptx = \"{instruction}\""
                );
                (
                    format!("no rule for the PTX instruction `{opcode}`"),
                    Some(help),
                )
            });
            return;
        };
        match &rule.action {
            Action::Refuse { reason, help } => {
                self.reports
                    .error(Code::UnsupportedPtx, instruction, span, || {
                        let opcode = instruction.split(' ').next().unwrap_or_default();
                        let message =
                            format!("the PTX instruction `{opcode}` can't be translated: {reason}");
                        (message, help.as_deref().map(str::to_owned))
                    })
            }
            Action::Call(template) => {
                let texts: Vec<String> = operands
                    .iter()
                    .map(|(open, close)| self.between(stream[*open], stream[*close]))
                    .collect();
                match fill(template, &texts, 0) {
                    Ok(text) => {
                        // What else was changed inside of the statement goes with it.
                        let _ = self.edits.fold(self.file.lexed.text(), &span);
                        let text = keep_lines(text, self.text(&span), in_directive);
                        self.edits.push(span, text, Cause::Asm);
                    }
                    Err(missing) => self.reports.error(Code::BadCall, instruction, span, || {
                        let message = format!("the rule for `{instruction}` needs operand {missing}, and there are {}", texts.len());
                        (message, None)
                    }),
                }
            }
            Action::Keep | Action::Rename(_) => {}
        }
    }

    fn statement(&self, stream: &[u32], open: usize) -> Option<Statement> {
        let close = self.closing(stream, open)?;
        let mut at = open + 1;
        let mut text = String::new();
        while at < close && self.file.kind(stream[at]) == Kind::Str {
            let literal = self.file.spelling(stream[at]);
            text.push_str(literal.strip_prefix('"')?.strip_suffix('"')?);
            at += 1;
        }
        if at == open + 1 {
            return None;
        }
        let (mut section, mut operands, mut labels) = (0, Vec::new(), Vec::new());
        let mut label = None;
        while at < close {
            match (self.file.kind(stream[at]), self.file.raw(stream[at])) {
                (_, ":") => section += 1,
                (_, "::") => section += 2,
                (_, "[") => {
                    label = Some(self.file.spelling(stream[at + 1]).into_owned());
                    at += 2;
                }
                (_, "(") if section <= 2 => {
                    let end = self.file.matching(&stream[..close], at)?;
                    operands.push((at, end));
                    labels.push(label.take());
                    at = end;
                }
                (_, ",") | (Kind::Str, _) => {}
                (Kind::Ident, _) if section == LABELS => {}
                _ => return None,
            }
            at += 1;
        }
        let mut instruction = normalised(&text);
        for (number, label) in labels.iter().enumerate() {
            if let Some(label) = label {
                instruction = instruction.replace(&format!("%[{label}]"), &format!("%{number}"));
            }
        }
        Some(Statement {
            instruction,
            operands,
            close,
        })
    }
}

/// Instruction text as rules are written: escapes resolved, runs of blanks one space, none at the ends.
fn normalised(literal: &str) -> String {
    let resolved = literal
        .replace("\\n", " ")
        .replace("\\t", " ")
        .replace("\\r", " ")
        .replace("\\\"", "\"");
    resolved.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::normalised;

    #[test]
    fn instruction_text_is_normalised() {
        assert_eq!(
            normalised(r"  cvt.rn.f16.f32 %0, %1;\n\t"),
            "cvt.rn.f16.f32 %0, %1;"
        );
        assert_eq!(
            normalised(r"{\n\t.reg .pred p;   @p bra L;\n}"),
            "{ .reg .pred p; @p bra L; }"
        );
    }
}
