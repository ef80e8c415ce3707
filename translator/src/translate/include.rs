//! Includes: headers of CUDA become headers of HIP or of ours, headers of the tree keep their names.

use crate::diagnostic::Code;
use crate::lex::{Directive, Kind};
use crate::rules::HeaderAction;

use super::edit::Cause;
use super::keep_lines;
use super::tree::output_path;

impl super::Pass<'_, '_, '_, '_> {
    /// Deals with one `#include`. False if it names its header by a macro.
    pub(super) fn include(&mut self, directive: &Directive) -> bool {
        let operands = self.file.lexed.operands(directive);
        let (Some(&operand), Some(&last)) = (operands.first(), operands.last()) else {
            return true;
        };
        if self.file.kind(operand) != Kind::HeaderName {
            return false;
        }
        if self.header(operand) {
            let header = self.file.spelling(operand);
            // What else stands on the line is ignored by compilers, and must not become code.
            let line = self.span(directive.tokens.start, last);
            // A comment that ends by itself: behind the header another one may begin that goes on for lines.
            let text = format!("/* HIP needs no {} */", &header[1..header.len() - 1]);
            let text = keep_lines(text, self.text(&line), false);
            self.edits.push(line, text, Cause::Header);
        }
        true
    }

    /// Deals with the header named by a token of a directive; true if nothing needs to be included instead.
    pub(super) fn header(&mut self, operand: u32) -> bool {
        let spelling = self.file.spelling(operand);
        let quoted = spelling.starts_with('"');
        let header = &spelling[1..spelling.len() - 1];
        let span = self.span(operand, operand);
        if quoted && self.facts.included(self.index, header).is_some() {
            let output = output_path(header);
            if output != header {
                self.put(span, format!("\"{output}\""), Cause::Header);
            }
            return false;
        }
        match self.rules.header(header) {
            Some(HeaderAction::Keep) => {}
            Some(HeaderAction::Replace(to)) => self.put(span, format!("<{to}>"), Cause::Header),
            Some(HeaderAction::Drop) => return true,
            Some(HeaderAction::Refuse { reason, help }) => {
                self.reports
                    .error(Code::UnsupportedHeader, header, span, || {
                        (
                            format!("the header `{header}` can't be translated: {reason}"),
                            help.as_deref().map(str::to_owned),
                        )
                    });
            }
            None if self.rules.is_cuda_header(header) => {
                self.reports.error(Code::UnknownHeader, header, span, || {
                    let help = format!("add `\"{header}\" = {{ to = \"...\" }}` to [header] in config/rules/headers.toml");
                    (format!("no rule for the CUDA header `{header}`"), Some(help))
                });
            }
            None if quoted => {
                self.reports.error(Code::MissingInclude, header, span, || {
                    let help = format!("if it isn't part of the sources, add it to [header] in config/rules/headers.toml: `\"{header}\" = {{ keep = true }}`");
                    (format!("the file `{header}` is not in the source tree"), Some(help))
                });
            }
            None => {}
        }
        false
    }
}
