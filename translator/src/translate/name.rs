//! Names: identifiers, members and namespaces become what the rules say; calls whose arguments change are written
//! anew. A name that looks like CUDA's and has no rule is an error unless the tree defines it.

use super::edit::Cause;
use super::facts::Verdict;
use super::{fill, keep_lines};
use crate::diagnostic::{Code, nearest};
use crate::lex::Kind;
use crate::rules::{Action, GuardOp, NameAnswer, NameRule, NamespaceRule};

/// A use of a name whose rule rewrites the call: its position in the stream and the new text.
pub(super) struct Call<'r> {
    at: usize,
    template: &'r str,
    rule: &'r NameRule,
}

impl<'r> super::Pass<'_, '_, '_, 'r> {
    /// Applies the rules to the identifiers of a stream; returns the calls to be written anew.
    pub(super) fn names(&mut self, stream: &[u32]) -> Vec<Call<'r>> {
        let mut calls = Vec::new();
        let mut at = 0;
        while at < stream.len() {
            let here = at;
            at += 1;
            let index = stream[here];
            if self.file.kind(index) != Kind::Ident || self.claimed[index as usize] {
                continue;
            }
            let before = here.checked_sub(1).map_or("", |b| self.file.raw(stream[b]));
            if matches!(before, "." | "->") {
                self.member(index);
                continue;
            }
            if before == "::" && self.is_qualified(stream, here) {
                continue;
            }
            let name = self.file.spelling(index);
            let info = self.file.info(&name, self.rules);
            if info.namespace
                && let Some(end) = self.namespace(stream, here)
            {
                at = end;
                continue;
            }
            match info.verdict {
                Verdict::Plain => {}
                Verdict::Rule(rule) => {
                    if let Action::Call(template) = &rule.action {
                        calls.push(Call {
                            at: here,
                            template,
                            rule,
                        });
                    } else {
                        self.apply(index, &name, rule);
                    }
                }
                Verdict::WrongHip(rule) => self.wrong_hip(index, &name, rule),
                Verdict::Subject => self.subject_value(index, &name),
                Verdict::Unknown => self.unknown(stream, here, &name),
            }
        }
        calls
    }

    /// Whether the `::` before the name at `at` belongs to a name before it, rather than to the global namespace.
    fn is_qualified(&self, stream: &[u32], at: usize) -> bool {
        let Some(token) = at.checked_sub(2).map(|b| stream[b]) else {
            return false;
        };
        let raw = self.file.raw(token);
        raw == ">" || self.file.kind(token) == Kind::Ident && !BEFORE_GLOBAL.contains(&raw)
    }

    /// Writes what a rule for the name at `index` says.
    fn apply(&mut self, index: u32, name: &str, rule: &NameRule) {
        match &rule.action {
            Action::Rename(to) => {
                let span = self.span(index, index);
                self.put(span, to.to_string(), Cause::Name(rule.kind));
            }
            Action::Refuse { reason, help } => {
                self.reports
                    .error(Code::UnsupportedName, name, self.span(index, index), || {
                        (
                            format!("`{name}` has no HIP counterpart: {reason}"),
                            help.as_deref().map(str::to_owned),
                        )
                    });
            }
            Action::Keep | Action::Call(_) => {}
        }
    }

    fn member(&mut self, index: u32) {
        let name = self.file.spelling(index);
        match self.rules.member(&name) {
            NameAnswer::Rule(rule) => self.apply(index, &name, rule),
            NameAnswer::WrongHip(rule) => self.wrong_hip(index, &name, rule),
            NameAnswer::Unknown => {}
        }
    }

    fn wrong_hip(&mut self, index: u32, name: &str, rule: &NameRule) {
        let (hip, file) = (self.rules.hip(), self.rules.file_of(rule).to_owned());
        self.reports
            .error(Code::HipVersion, name, self.span(index, index), || {
                let range = match (rule.since, rule.until) {
                    (Some(since), Some(until)) => format!("from HIP {since} until before {until}"),
                    (Some(since), None) => format!("from HIP {since}"),
                    (None, Some(until)) => format!("before HIP {until}"),
                    (None, None) => "for another HIP".to_owned(),
                };
                let message = format!(
                    "`{name}` can be translated {range}, and this translation is for HIP {hip}"
                );
                (
                    message,
                    Some(format!(
                        "pass --hip VERSION, or add a range to its rule in config/{file}"
                    )),
                )
            });
    }

    /// A guarded macro outside of a condition: its number is wanted.
    fn subject_value(&mut self, index: u32, name: &str) {
        let span = self.span(index, index);
        if let Some(row) = self
            .rules
            .guards()
            .find(name, GuardOp::Value, 0, &self.file.file.path)
        {
            self.put(span, row.ask.clone(), Cause::Guard);
            return;
        }
        self.reports.error(Code::GuardForm, name, span, || {
            let help = format!(
                "add a [[guard]] row for `{name}` with op = \"value\" to config/guards.toml"
            );
            (
                format!("`{name}` is used as a number outside of a condition"),
                Some(help),
            )
        });
    }

    fn unknown(&mut self, stream: &[u32], at: usize, name: &str) {
        if self.facts.is_declared(self.index, name) {
            return;
        }
        let rules = self.rules;
        let raw = |at: usize| stream.get(at).map_or("", |t| self.file.raw(*t));
        let member = if raw(at + 1) == "::" { raw(at + 2) } else { "" };
        if !member.is_empty() {
            let name = format!("{name}::{member}");
            let outer = raw(at);
            self.reports.error(Code::UnknownName, &name, self.span(stream[at], stream[at + 2]), || {
                let help = format!(
                    "add a rule to config/rules/*.toml, for example `\"{outer}\" = {{ to = \"...\", members = [\"{member}\"] }}` in [namespace]"
                );
                (format!("no rule for the CUDA name `{name}`"), Some(help))
            });
            return;
        }
        self.reports.error(
            Code::UnknownName,
            name,
            self.span(stream[at], stream[at]),
            || {
                let near = nearest(name, rules.known_names(), 3);
                let mut help = String::new();
                if !near.is_empty() {
                    help = format!("there are rules for {}; ", near.join(", "));
                }
                let table = likely_table(name);
                help.push_str(&format!(
                    "add a rule to config/rules/*.toml, for example `{name} = \"...\"` in [{table}]"
                ));
                (format!("no rule for the CUDA name `{name}`"), Some(help))
            },
        );
    }

    /// Applies the longest namespace rule that matches at `start`, and checks the member behind it. Returns where to
    /// go on, or nothing if this is no use of such a namespace.
    fn namespace(&mut self, stream: &[u32], start: usize) -> Option<usize> {
        let raw = |at: usize| stream.get(at).map_or("", |t| self.file.raw(*t));
        let in_using = start
            .checked_sub(1)
            .is_some_and(|b| matches!(raw(b), "namespace" | "="));
        let fits = |rule: &&NamespaceRule| {
            let path = rule.path.iter().enumerate();
            let named = path.clone().all(|(i, part)| {
                raw(start + 2 * i) == &**part && (i == 0 || raw(start + 2 * i - 1) == "::")
            });
            named && (in_using || raw(start + 2 * rule.path.len() - 1) == "::")
        };
        let rule = self.rules.namespaces(raw(start)).iter().find(fits)?;
        let last = start + 2 * (rule.path.len() - 1);
        let span = self.span(stream[start], stream[last]);
        match &rule.action {
            Action::Rename(to) => {
                let text = keep_lines(to.to_string(), self.text(&span), false);
                self.edits.push(span, text, Cause::Namespace);
            }
            Action::Refuse { reason, help } => {
                let name = rule.name();
                self.reports.error(Code::UnsupportedName, &name, span, || {
                    (
                        format!("`{name}` has no HIP counterpart: {reason}"),
                        help.as_deref().map(str::to_owned),
                    )
                });
                return Some(last + 1);
            }
            Action::Keep | Action::Call(_) => {}
        }
        let Some(&member) = stream.get(last + 2).filter(|_| {
            stream
                .get(last + 1)
                .is_some_and(|t| self.file.raw(*t) == "::")
        }) else {
            return Some(last + 1);
        };
        let member_name = self.file.spelling(member);
        if !rule.members.iter().any(|glob| glob.matches(&member_name)) {
            let name = format!("{}::{member_name}", rule.name());
            let path = rule.name();
            self.reports.error(Code::UnknownMember, &name, self.span(member, member), || {
                let help = format!("add `{member_name}` to the members of [namespace] \"{path}\" in config/rules/*.toml");
                (format!("no rule for the CUDA name `{name}`"), Some(help))
            });
        }
        Some(last + 3)
    }

    /// Writes calls anew, the inner ones first, so that the outer ones take them in as they have become.
    pub(super) fn calls(&mut self, stream: &[u32], calls: &[Call<'r>], in_directive: bool) {
        for call in calls.iter().rev() {
            let name = self.file.spelling(stream[call.at]);
            let bad = |message: String| {
                (
                    message,
                    Some("translate this use by a [[keep]] or `to` rule, or by hand".to_owned()),
                )
            };
            let open = call.at + 1;
            let close = self.closing(stream, open);
            let Some(close) = close else {
                let span = self.span(stream[call.at], stream[call.at]);
                self.reports
                    .error(Code::BadCall, &format!("{name} itself"), span, || {
                        bad(format!(
                            "the rule for `{name}` rewrites calls, and this is no whole call"
                        ))
                    });
                continue;
            };
            let arguments = self.arguments(stream, open, close);
            let span = self.span(stream[call.at], stream[close]);
            match fill(call.template, &arguments, 1) {
                Ok(text) => {
                    let text = keep_lines(text, self.text(&span), in_directive);
                    self.edits.push(span, text, Cause::Name(call.rule.kind));
                }
                Err(missing) => self.reports.error(Code::BadCall, &name, span, || {
                    bad(format!(
                        "the rule for `{name}` needs argument {missing}, and there are {}",
                        arguments.len()
                    ))
                }),
            }
        }
    }

    /// The bracket that closes the one at `open`, if there is one and the text between them is whole.
    pub(super) fn closing(&self, stream: &[u32], open: usize) -> Option<usize> {
        let first = *stream.get(open).filter(|t| self.file.raw(**t) == "(")?;
        let close = self.file.matching(stream, open)?;
        let between = &self.file.lexed.tokens[first as usize..stream[close] as usize];
        (!between.iter().any(|t| t.unterminated)).then_some(close)
    }

    /// The translated texts between the separators of an argument list, comments included.
    fn arguments(&mut self, stream: &[u32], open: usize, close: usize) -> Vec<String> {
        let mut separators = vec![open];
        let mut depth = 0_u32;
        for (at, token) in stream.iter().enumerate().take(close).skip(open + 1) {
            match self.file.raw(*token) {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth -= 1,
                "," if depth == 0 => separators.push(at),
                _ => {}
            }
        }
        separators.push(close);
        if close == open + 1 {
            return Vec::new();
        }
        separators
            .windows(2)
            .map(|pair| self.between(stream[pair[0]], stream[pair[1]]))
            .collect()
    }

    /// The translated text between two tokens, without the blanks at its ends.
    pub(super) fn between(&mut self, before: u32, behind: u32) -> String {
        let lexed = &self.file.lexed;
        let span = lexed.token(before).end..lexed.token(behind).start;
        let text = self.edits.fold(lexed.text(), &span);
        let ends_in_comment = lexed.tokens[before as usize + 1..behind as usize]
            .iter()
            .rfind(|t| !matches!(t.kind, Kind::Space | Kind::Newline | Kind::Splice))
            .is_some_and(|t| t.kind == Kind::LineComment);
        let mut text = text.trim().to_owned();
        if ends_in_comment {
            text.push('\n');
        }
        text
    }
}

/// Words that may stand before a `::` of the global namespace.
const BEFORE_GLOBAL: &[&str] = &[
    "return",
    "else",
    "case",
    "throw",
    "new",
    "delete",
    "do",
    "typename",
    "const",
    "constexpr",
    "static",
    "inline",
    "volatile",
    "and",
    "or",
    "not",
    "co_return",
    "co_await",
    "co_yield",
    "typedef",
    "using",
    "namespace",
    "__device__",
    "__host__",
    "__global__",
    "__forceinline__",
    "__shared__",
    "__constant__",
    "extern",
    "friend",
    "public",
    "private",
    "protected",
    "virtual",
];

/// The table of a rule file that a name most likely belongs to, going by CUDA's habits.
fn likely_table(name: &str) -> &'static str {
    if name.ends_with("_t") {
        "type"
    } else if !name.bytes().any(|b| b.is_ascii_lowercase()) {
        "macro"
    } else if name.starts_with("__") {
        "intrinsic"
    } else {
        "function"
    }
}
