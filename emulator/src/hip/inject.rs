//! Failures on demand: a call is made to fail that would have succeeded.
//!
//! Clients have error paths that no healthy device ever takes. A rule says which function fails, at its how many-th call
//! from now, and with which error. Rules come from `AMDGPU_EMULATOR_FAIL`, a comma-separated list of
//! `FUNCTION:N:ERROR[:after]`, and from `amdgpuEmulatorFailNext`. `FUNCTION` is a name such as `hipMalloc`, or `*` for any
//! call that can fail; `N` counts from 1; `ERROR` is a name such as `hipErrorOutOfMemory` or its number. A rule fires once.
//!
//! Normally the call does nothing but fail. With `after` it does its work and then reports the error, as a runtime does
//! whose earlier asynchronous work failed: a `hipFree` that fails so has freed.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::status::Code;

/// The environment variable with the first rules.
pub const VARIABLE: &str = "AMDGPU_EMULATOR_FAIL";

/// A failure that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The function, or `*`.
    pub function: String,
    /// Calls until it fires, 1 for the next one.
    pub count: u64,
    /// What the call returns.
    pub error: Code,
    /// Whether the call does its work before it fails.
    pub after: bool,
}

/// What a due rule does to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Injected {
    /// What the call returns.
    pub error: Code,
    /// Whether the call does its work before it fails.
    pub after: bool,
}

static RULES: Mutex<Vec<Rule>> = Mutex::new(Vec::new());
/// The number of rules, so that calls without any do not take the lock.
static ARMED: AtomicUsize = AtomicUsize::new(0);

fn with_rules<R>(change: impl FnOnce(&mut Vec<Rule>) -> R) -> R {
    let mut rules = RULES.lock().unwrap_or_else(PoisonError::into_inner);
    let result = change(&mut rules);
    ARMED.store(rules.len(), Ordering::Release);
    result
}

/// Adds a rule.
pub fn add(rule: Rule) {
    with_rules(|rules| rules.push(rule));
}

/// Removes all rules and says how many there were.
pub fn clear() -> usize {
    with_rules(|rules| std::mem::take(rules).len())
}

/// The number of rules that did not fire yet.
pub fn pending() -> usize {
    ARMED.load(Ordering::Acquire)
}

/// Counts a call of `function`; `Some` if a rule fires.
#[inline]
pub fn due(function: &str) -> Option<Injected> {
    if ARMED.load(Ordering::Acquire) == 0 {
        return None;
    }
    with_rules(|rules| {
        let mut fired = None;
        rules.retain_mut(|rule| {
            if fired.is_some() || (rule.function != "*" && rule.function != function) {
                return true;
            }
            rule.count = rule.count.saturating_sub(1);
            if rule.count == 0 {
                fired = Some(Injected {
                    error: rule.error,
                    after: rule.after,
                });
            }
            rule.count > 0
        });
        fired
    })
}

/// Reads the rules of the environment variable's value. `Err` has the part that makes no sense.
pub fn parse(text: &str) -> Result<Vec<Rule>, String> {
    let rules = text
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty());
    rules
        .map(|part| {
            let mut fields = part.split(':');
            let function = fields.next().filter(|name| !name.is_empty());
            let count = fields
                .next()
                .and_then(|n| n.parse().ok())
                .filter(|n| *n > 0);
            let error = fields.next().and_then(Code::parse);
            let after = match (fields.next(), fields.next()) {
                (None, None) => Some(false),
                (Some("after"), None) => Some(true),
                _ => None,
            };
            match (function, count, error, after) {
                (Some(function), Some(count), Some(error), Some(after)) => Ok(Rule {
                    function: function.to_owned(),
                    count,
                    error,
                    after,
                }),
                _ => Err(part.to_owned()),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_from_text() {
        let rules = parse("hipMalloc:3:hipErrorOutOfMemory, *:1:719:after").unwrap();
        assert_eq!(
            rules,
            [
                Rule {
                    function: "hipMalloc".to_owned(),
                    count: 3,
                    error: Code::OutOfMemory,
                    after: false,
                },
                Rule {
                    function: "*".to_owned(),
                    count: 1,
                    error: Code::LaunchFailure,
                    after: true,
                },
            ]
        );
        assert_eq!(parse(""), Ok(Vec::new()));
        for wrong in [
            "hipMalloc",
            "hipMalloc:0:1",
            ":1:1",
            "hipMalloc:1:hipOops",
            "hipMalloc:1:1:before",
            "hipMalloc:1:1:after:x",
        ] {
            assert_eq!(parse(wrong), Err(wrong.to_owned()));
        }
    }
}
