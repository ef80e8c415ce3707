//! Kernels: each is told its launch bound, and its tile where that differs by target.
//!
//! `HIPIFY_KERNEL(name)` before the name of an `extern "C" __global__` function becomes `__launch_bounds__` of what the
//! file's table says for the name. That also works where a macro pastes the name together: the preprocessor pastes the
//! copy as well.

use super::Pass;
use super::edit::Cause;
use super::facts::Verdict;
use crate::diagnostic::Code;
use crate::lex::Kind;
use crate::rules::overlap;

/// What stands between `__global__` and the parameters of no kernel that wants a bound.
const ENDS: &[&str] = &[
    ";",
    "{",
    "}",
    "[",
    "]",
    "=",
    ".",
    "->",
    "extern",
    "asm",
    "__asm__",
    "__launch_bounds__",
];

/// A string or a character, which no declarator has before its parameters.
fn is_text(kind: Kind) -> bool {
    matches!(kind, Kind::Str | Kind::RawStr | Kind::Char)
}

impl Pass<'_, '_, '_, '_> {
    /// Gives bounds to the kernels that a stream declares.
    pub(super) fn kernels(&mut self, stream: &[u32], in_directive: bool) {
        if self.launch.is_none_or(|launch| launch.bounds.is_empty()) {
            return;
        }
        let raw = |at: usize| stream.get(at).map_or("", |t| self.file.raw(*t));
        let mut found = Vec::new();
        for at in 0..stream.len() {
            if raw(at) != "extern" || raw(at + 1) != "\"C\"" || raw(at + 2) != "__global__" {
                continue;
            }
            let rest = stream.iter().skip(at + 3);
            // A kernel that has its own bound (`__launch_bounds__(n)`) keeps it. Anything that stands in no declaration
            // means that this is none.
            let Some(open) = rest
                .take_while(|&&t| !ENDS.contains(&self.file.raw(t)) && !is_text(self.file.kind(t)))
                .position(|t| self.file.raw(*t) == "(")
                .map(|distance| at + 3 + distance)
            else {
                continue;
            };
            let mut first = open - 1;
            while first >= at + 5 && raw(first - 1) == "##" {
                first -= 2;
            }
            // Nor is a function of CUDA's a kernel, whatever stands before it.
            let is_own = |token: &u32| {
                let info = self.file.info(&self.file.spelling(*token), self.rules);
                matches!(info.verdict, Verdict::Plain | Verdict::Unknown)
            };
            if first > at + 2
                && self.file.kind(stream[first]) == Kind::Ident
                && stream[first..open].iter().all(is_own)
            {
                found.push((first, open));
            }
        }
        let parameters = if in_directive {
            self.parameters(stream)
        } else {
            &[]
        };
        for (first, open) in found {
            let (mut name, mut pattern) = (String::new(), String::new());
            for token in &stream[first..open] {
                let word = self.file.spelling(*token);
                let is_parameter = parameters.iter().any(|p| self.file.spelling(*p) == word);
                match &*word {
                    "##" => {}
                    _ if is_parameter => pattern.push('*'),
                    word => pattern.push_str(word),
                }
                name.push_str(&word);
                self.claimed[*token as usize] = true;
            }
            self.declared_kernels.push(pattern);
            let span = self.span(stream[first], stream[open - 1]);
            let text = format!("HIPIFY_KERNEL({name}) {}", self.text(&span));
            self.edits.push(span, text, Cause::Launch);
        }
    }

    /// The parameters of the macro that a directive's operands define.
    fn parameters<'s>(&self, stream: &'s [u32]) -> &'s [u32] {
        match stream.get(1) {
            Some(open) if self.file.raw(*open) == "(" => self
                .file
                .matching(stream, 1)
                .map_or(&[], |close| &stream[2..close]),
            _ => &[],
        }
    }

    /// Has the device header pick constants that differ by target. Their definitions stay as they are.
    pub(super) fn tiles(&mut self, stream: &[u32]) {
        let Some(launch) = self.launch else { return };
        for &token in stream {
            if self.file.kind(token) != Kind::Ident || self.claimed[token as usize] {
                continue;
            }
            let word = self.file.spelling(token);
            if let Some(text) = launch.tile(&word) {
                let span = self.span(token, token);
                self.claimed[token as usize] = true;
                self.put(span, text, Cause::Launch);
            }
        }
    }

    /// Reports the rows of `launch.toml` that no kernel of the file can have.
    pub(super) fn unused_bounds(&mut self) {
        let Some(launch) = self.launch else { return };
        for bound in &launch.bounds {
            let fits = |kernel: &String| overlap(&bound.pattern, kernel);
            if bound.pattern == "*" || self.declared_kernels.iter().any(fits) {
                continue;
            }
            self.reports
                .warning(Code::LaunchPattern, &bound.pattern, 0..0, || {
                    (
                        format!("config/launch.toml: no kernel fits `{}`", bound.pattern),
                        Some(
                            "nothing to do if other versions of these sources have such kernels; else correct the \
                             pattern, or take it out"
                                .to_owned(),
                        ),
                    )
                });
        }
    }
}
