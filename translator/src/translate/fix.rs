//! Fixes: finds the tokens that a fix names and puts others in their place, before rules are applied.

use super::edit::Cause;
use super::facts::Prepared;
use super::tree::SourceFile;
use super::{Pass, edit, keep_lines};
use crate::diagnostic::Code;
use crate::fixes::{Fix, FixEdit};
use crate::lex::{Kind, lex};

impl<'a> Pass<'a, '_, '_, '_> {
    /// Applies fixes; returns the ids of those that found all of their places. A place that isn't there, or is there
    /// twice, is an error: the fix claims to hold for this version.
    pub(super) fn fixes(&mut self, fixes: &[&Fix]) -> Vec<String> {
        let mut applied = Vec::new();
        for fix in fixes {
            let places: Vec<Vec<&[u32]>> = fix.edit.iter().map(|edit| self.places(edit)).collect();
            let wrong = fix
                .edit
                .iter()
                .zip(&places)
                .find(|(_, places)| places.len() != 1);
            if let Some((edit, found)) = wrong {
                let found = found.len();
                self.reports.error(Code::FixAnchor, &fix.id, 0..0, || {
                    let message = format!(
                        "the fix `{}` looks for `{}` in `{}` and finds it {found} times, not once",
                        fix.id, edit.find, edit.within
                    );
                    let help = format!(
                        "correct `versions` ({}) or the edit in config/fixes/{}.toml, or pass --no-fixes",
                        fix.versions, fix.id
                    );
                    (message, Some(help))
                });
                continue;
            }
            for (edit, places) in fix.edit.iter().zip(places) {
                for tokens in places {
                    self.replace(tokens, edit, &fix.id);
                }
            }
            applied.push(fix.id.clone());
        }
        applied
    }

    fn replace(&mut self, tokens: &[u32], edit: &FixEdit, id: &str) {
        let span = self.span(tokens[0], tokens[tokens.len() - 1]);
        for token in tokens {
            self.claimed[*token as usize] = true;
        }
        let text = keep_lines(self.snippet(&edit.replace), self.text(&span), false);
        self.edits.push(span, text, Cause::Fix(id.to_owned()));
    }

    /// A piece of CUDA text, translated as if it stood in this file.
    fn snippet(&mut self, text: &str) -> String {
        let file = SourceFile::new(self.file.file.path.clone(), text.as_bytes().to_vec());
        let Ok(prepared) = Prepared::new(&file, self.rules) else {
            return text.to_owned();
        };
        let mut pass = Pass::new(self.facts, self.index, &prepared, &[], self.rules);
        pass.run();
        let (edits, _) = pass.finish();
        edit::apply(text, &edits)
    }

    /// The runs of tokens in the body of the function that an edit names that spell what it looks for.
    fn places(&self, edit: &FixEdit) -> Vec<&'a [u32]> {
        let file = self.file;
        let code = &file.lexed.code;
        let Ok(wanted) = lex(&edit.find) else {
            return Vec::new();
        };
        let wanted: Vec<&str> = wanted
            .code
            .iter()
            .map(|t| wanted.raw(wanted.token(*t)))
            .collect();
        let mut found = Vec::new();
        for at in 0..code.len() {
            let Some((open, close)) = self.body(code, at, &edit.within) else {
                continue;
            };
            for start in open..close.saturating_sub(wanted.len()) {
                let run = &code[start..start + wanted.len()];
                if run
                    .iter()
                    .zip(&wanted)
                    .all(|(t, w)| self.file.spelling(*t) == *w)
                    && self.is_unbroken(run)
                {
                    found.push(run);
                }
            }
        }
        found
    }

    /// The braces around the body of the function `name`, if its definition has the name at `at`.
    fn body(&self, code: &[u32], at: usize, name: &str) -> Option<(usize, usize)> {
        let raw = |at: usize| code.get(at).map_or("", |t| self.file.raw(*t));
        if raw(at) != name || raw(at + 1) != "(" {
            return None;
        }
        let mut open = self.file.matching(code, at + 1)? + 1;
        while self.file.kind(*code.get(open)?) == Kind::Ident {
            open += 1;
        }
        (raw(open) == "{").then_some(())?;
        Some((open, self.file.matching(code, open)?))
    }

    /// Whether no directive stands between these tokens.
    fn is_unbroken(&self, run: &[u32]) -> bool {
        let (Some(first), Some(last)) = (run.first(), run.last()) else {
            return false;
        };
        !self.file.lexed.tokens[*first as usize..*last as usize]
            .iter()
            .any(|t| t.kind == Kind::Hash)
    }
}
