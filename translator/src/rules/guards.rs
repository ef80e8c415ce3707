//! Questions that preprocessor conditions ask, and the feature macros that answer them.
//!
//! CUDA code compares `__CUDA_ARCH__` with compute capabilities. HIP leaves it undefined, so an untouched guard
//! silently takes the oldest path. What the author wanted to know is whether the device can do something;
//! `config/guards.toml` says for each comparison what that is. Which AMD target answers what is in
//! `config/arch.toml`, and reaches the compiler as macros: this module knows their names, not their values.

use rustc_hash::FxHashMap;

use super::RulesError;
use super::file::{GuardFile, GuardSpec};

/// How a subject is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GuardOp {
    /// `subject >= value`, and its negation `<`. `>` and `<=` ask at `value + 1`.
    AtLeast,
    /// `subject == value`, and its negation `!=`.
    Equals,
    /// `defined(subject)`, `#ifdef`, `#ifndef`, or the bare name as a truth value.
    Defined,
    /// The number itself, in code or in the body of a macro.
    Value,
}

/// Where the answer to a feature macro comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A feature that `config/arch.toml` gives to a target or doesn't.
    Feature(String),
    /// The same on every AMD target.
    Always(bool),
    /// The question is an expression that the compiler answers by itself.
    Compiler,
}

/// A row of `config/guards.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    /// The macro that CUDA code looks at.
    pub subject: String,
    /// How.
    pub op: GuardOp,
    /// The number it is compared with; 0 for [`GuardOp::Defined`] and [`GuardOp::Value`].
    pub value: i64,
    /// The one file that asks this, as a path below the tree's root; all that have no row of their own if there is none.
    pub file: Option<String>,
    /// What is asked instead: a macro with the value 0 or 1, or an expression.
    pub ask: String,
    /// Who answers.
    pub answer: Answer,
    /// Why this is what the comparison means.
    pub note: Option<String>,
}

/// All rows, by subject.
#[derive(Debug, Default)]
pub struct Guards {
    rows: FxHashMap<String, Vec<Guard>>,
    order: Vec<(String, usize)>,
    constants: FxHashMap<String, bool>,
}

impl Guards {
    pub(super) fn parse(name: &str, text: &str) -> Result<Self, RulesError> {
        let file: GuardFile = toml::from_str(text).map_err(|e| RulesError::Syntax {
            file: name.to_owned(),
            message: e.to_string(),
        })?;
        let mut guards = Guards::default();
        for spec in file.guard {
            let guard = Guard::new(name, spec)?;
            let rows = guards.rows.entry(guard.subject.clone()).or_default();
            if rows
                .iter()
                .any(|r| r.op == guard.op && r.value == guard.value && r.file == guard.file)
            {
                return Err(RulesError::Duplicate {
                    name: format!("{} {:?} {}", guard.subject, guard.op, guard.value),
                    first: name.to_owned(),
                    second: name.to_owned(),
                });
            }
            if let Answer::Always(answer) = guard.answer
                && guards
                    .constants
                    .insert(guard.ask.clone(), answer)
                    .is_some_and(|known| known != answer)
            {
                let message = "another row gives this macro the other answer".to_owned();
                return Err(RulesError::Invalid {
                    file: name.to_owned(),
                    name: guard.ask,
                    message,
                });
            }
            guards.order.push((guard.subject.clone(), rows.len()));
            rows.push(guard);
        }
        for row in guards.iter() {
            if let Some(subject) = identifiers(&row.ask).find(|word| guards.is_subject(word)) {
                return Err(RulesError::Chain {
                    name: row.subject.clone(),
                    to: row.ask.clone(),
                    word: subject.to_owned(),
                    file: name.to_owned(),
                });
            }
        }
        Ok(guards)
    }

    /// The value of a macro that asks a question with one answer on every target.
    #[must_use]
    pub fn constant(&self, ask: &str) -> Option<bool> {
        self.constants.get(ask).copied()
    }

    /// Whether `name` is a macro whose comparisons are questions.
    #[must_use]
    pub fn is_subject(&self, name: &str) -> bool {
        self.rows.contains_key(name)
    }

    /// The row for a question that `file` asks: the file's own before one for all files.
    #[must_use]
    pub fn find(&self, subject: &str, op: GuardOp, value: i64, file: &str) -> Option<&Guard> {
        let rows = self.rows.get(subject)?;
        let mut rows = rows.iter().filter(|r| r.op == op && r.value == value);
        let general = rows.clone().find(|r| r.file.is_none());
        rows.find(|r| r.file.as_deref() == Some(file)).or(general)
    }

    /// The rows of one subject, in the file's order.
    #[must_use]
    pub fn of(&self, subject: &str) -> &[Guard] {
        self.rows.get(subject).map_or(&[], Vec::as_slice)
    }

    /// Every row, in the file's order.
    pub fn iter(&self) -> impl Iterator<Item = &Guard> {
        self.order
            .iter()
            .map(|(subject, index)| &self.rows[subject][*index])
    }
}

impl Guard {
    fn new(file: &str, spec: GuardSpec) -> Result<Self, RulesError> {
        let bad = |message: &str| RulesError::Invalid {
            file: file.to_owned(),
            name: spec.subject.clone(),
            message: message.to_owned(),
        };
        let op = match spec.op.as_deref() {
            None | Some(">=") => GuardOp::AtLeast,
            Some("==") => GuardOp::Equals,
            Some("defined") => GuardOp::Defined,
            Some("value") => GuardOp::Value,
            Some(_) => {
                return Err(bad(
                    "`op` must be one of \">=\", \"==\", \"defined\", \"value\"",
                ));
            }
        };
        let value = match (op, spec.value) {
            (GuardOp::AtLeast | GuardOp::Equals, Some(value)) => value,
            (GuardOp::Defined | GuardOp::Value, None) => 0,
            (_, None) => return Err(bad("a comparison needs a `value`")),
            (_, Some(_)) => return Err(bad("`value` belongs to comparisons alone")),
        };
        let is_macro = identifiers(&spec.ask)
            .next()
            .is_some_and(|word| word == spec.ask);
        let answer = match (spec.feature, spec.always) {
            (Some(feature), None) if is_macro => Answer::Feature(feature),
            (None, Some(always)) if is_macro => Answer::Always(always),
            (None, None) if !is_macro || op == GuardOp::Value => Answer::Compiler,
            (None, None) => {
                return Err(bad(
                    "a macro in `ask` needs `feature` or `always` to answer it",
                ));
            }
            _ => {
                return Err(bad(
                    "`feature` and `always` exclude each other and need a macro in `ask`",
                ));
            }
        };
        Ok(Guard {
            subject: spec.subject,
            op,
            value,
            file: spec.file,
            ask: spec.ask,
            answer,
            note: spec.note,
        })
    }
}

/// The identifiers in a piece of text.
pub(super) fn identifiers(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .filter(|word| word.starts_with(|c: char| c.is_alphabetic() || c == '_'))
}
