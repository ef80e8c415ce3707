//! Text that no AMD target ever compiles, whatever its features are.
//!
//! Some guards have one answer on every AMD target: none is a Volta. What stands behind such a condition can't stop a
//! translation, so it is told apart. A macro of the tree that is only ever defined in such text is never defined, and
//! conditions on it are decided too; this is repeated until nothing new is found.

use std::ops::Range;

use rustc_hash::{FxHashMap, FxHashSet};

use super::condition::{Names, evaluate};
use super::facts::{Facts, Prepared};
use crate::lex::{Directive, DirectiveKind};
use crate::rules::{Answer, GuardOp, Rules};

/// Chains of macros that are longer than this are not followed to their end: what lies behind counts as active, which can
/// only turn a note into an error.
const MAX_ROUNDS: usize = 32;

/// The inactive regions of each file, in bytes, in order; they don't touch each other.
pub(super) fn regions(facts: &Facts<'_, '_>, rules: &Rules) -> Vec<Vec<Range<u32>>> {
    let mut undefined: FxHashSet<&str> = FxHashSet::default();
    let mut rounds = 0..MAX_ROUNDS;
    loop {
        let known = Known {
            rules,
            undefined: &undefined,
        };
        let regions: Vec<_> = facts
            .files
            .iter()
            .zip(0..)
            .map(|(f, viewer)| file_regions(facts, viewer, f, &known))
            .collect();
        let next = never_defined(facts, &regions);
        if next == undefined || rounds.next().is_none() {
            return regions;
        }
        undefined = next;
    }
}

/// Whether a place lies in one of the regions of a file.
pub(super) fn within(regions: &[Range<u32>], at: u32) -> bool {
    let after = regions.partition_point(|region| region.start <= at);
    after > 0 && regions[after - 1].contains(&at)
}

/// The macros that the tree defines, but only in inactive text.
fn never_defined<'t>(facts: &Facts<'t, '_>, regions: &[Vec<Range<u32>>]) -> FxHashSet<&'t str> {
    let mut somewhere: FxHashMap<&str, bool> = FxHashMap::default();
    for (file, regions) in facts.files.iter().zip(regions) {
        for (name, directives) in &file.defines {
            for number in directives {
                let at = file
                    .lexed
                    .token(file.lexed.directives[*number as usize].tokens.start)
                    .start;
                *somewhere.entry(name).or_default() |= !within(regions, at);
            }
        }
    }
    somewhere
        .into_iter()
        .filter_map(|(name, active)| (!active).then_some(name))
        .collect()
}

struct Known<'a, 't> {
    rules: &'a Rules,
    undefined: &'a FxHashSet<&'t str>,
}

/// What is known in the conditions of one file.
struct Viewer<'a, 't, 'f, 'r> {
    known: &'a Known<'a, 't>,
    facts: &'a Facts<'f, 'r>,
    viewer: usize,
}

impl Names for Viewer<'_, '_, '_, '_> {
    /// The answers that a translation has been given already count like the questions.
    fn value(&self, name: &str) -> Option<i64> {
        let answer = self.known.rules.guards().constant(name).map(i64::from);
        answer.or_else(|| self.facts.constant(self.viewer, name))
    }

    fn defined(&self, name: &str) -> Option<bool> {
        self.known.undefined.contains(name).then_some(false)
    }

    fn is_subject(&self, name: &str) -> bool {
        self.known.rules.guards().is_subject(name)
    }

    fn question(&self, subject: &str, op: GuardOp, value: i64) -> Option<bool> {
        let file = &self.facts.files[self.viewer].file.path;
        let guards = self.known.rules.guards();
        match guards.find(subject, op, value, file)?.answer {
            Answer::Always(answer) => Some(answer),
            Answer::Feature(_) | Answer::Compiler => None,
        }
    }
}

/// One open condition.
struct Open {
    /// Where the branch starts that is being looked at.
    start: u32,
    /// Whether this branch is inactive by itself.
    inactive: bool,
    /// Whether a branch before this one is always taken.
    taken: bool,
}

fn file_regions(
    facts: &Facts<'_, '_>,
    viewer: usize,
    file: &Prepared<'_, '_>,
    known: &Known<'_, '_>,
) -> Vec<Range<u32>> {
    let names = Viewer {
        known,
        facts,
        viewer,
    };
    let mut regions: Vec<Range<u32>> = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    let mut close = |branch: &Open, at: u32| {
        if branch.inactive {
            regions.push(branch.start..at);
        }
    };
    for directive in &file.lexed.directives {
        let start = file.lexed.token(directive.tokens.start).start;
        let end = file
            .lexed
            .tokens
            .get(directive.tokens.end as usize)
            .map_or(start, |t| t.start);
        match directive.kind {
            DirectiveKind::If | DirectiveKind::Ifdef => {
                let value = truth(file, directive, &names);
                open.push(Open {
                    start: end,
                    inactive: value == Some(false),
                    taken: value == Some(true),
                });
            }
            DirectiveKind::Elif | DirectiveKind::Elifdef | DirectiveKind::Else => {
                let Some(branch) = open.last_mut() else {
                    continue;
                };
                close(branch, start);
                let value = if directive.kind == DirectiveKind::Else {
                    Some(true)
                } else {
                    truth(file, directive, &names)
                };
                let inactive = branch.taken || value == Some(false);
                *branch = Open {
                    start: end,
                    inactive,
                    taken: branch.taken || value == Some(true),
                };
            }
            DirectiveKind::Endif => {
                if let Some(branch) = open.pop() {
                    close(&branch, start);
                }
            }
            _ => {}
        }
    }
    regions.sort_unstable_by_key(|r| (r.start, r.end));
    // Conditions in inactive text have inactive branches of their own.
    regions.dedup_by(|next, region| {
        let joined = next.start <= region.end;
        if joined {
            region.end = region.end.max(next.end);
        }
        joined
    });
    regions
}

fn truth(file: &Prepared<'_, '_>, directive: &Directive, names: &dyn Names) -> Option<bool> {
    let operands = file.lexed.operands(directive);
    if matches!(directive.kind, DirectiveKind::If | DirectiveKind::Elif) {
        return evaluate(&file.lexed, operands, names).map(|value| value != 0);
    }
    let name = file.spelling(*operands.first()?);
    let defined = if names.is_subject(&name) {
        names.question(&name, GuardOp::Defined, 0)
    } else {
        names.defined(&name)
    };
    let negated = file.lexed.directive_name(directive).ends_with("ndef");
    defined.map(|yes| yes != negated)
}
