//! What differs between a lock and what is there now, and for outputs, why.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use super::{Lock, Target};
use crate::cache::Digest;

/// How much of what the lock speaks of was made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All of it: what is in the lock and not there now is gone.
    Whole,
    /// Some modules: only what was made is compared.
    Part,
}

/// What a difference is about. The order is that of the way from sources to code objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// The package or its version.
    Package,
    /// A CUDA source.
    Source,
    /// A file of rules, guards or fixes.
    Rule,
    /// A file of the device header.
    Header,
    /// The compiler or its device libraries.
    Compiler,
    /// What the compiler is given for a target.
    Flags,
    /// A translated file: an output.
    Translated,
    /// A code object: an output.
    CodeObject,
}

impl Subject {
    /// Whether it is made, not given.
    #[must_use]
    pub fn is_output(self) -> bool {
        matches!(self, Subject::Translated | Subject::CodeObject)
    }

    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Subject::Package => "package",
            Subject::Source => "source",
            Subject::Rule => "rule",
            Subject::Header => "header",
            Subject::Compiler => "compiler",
            Subject::Flags => "flags",
            Subject::Translated => "translated",
            Subject::CodeObject => "code object",
        }
    }
}

/// How something differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// The lock doesn't have it.
    New,
    /// It isn't there any more.
    Gone,
    /// It is another.
    Changed,
}

/// One thing that isn't as the lock says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What it is.
    pub subject: Subject,
    /// Its name: a file, a target id, `module target`.
    pub name: String,
    /// How it differs.
    pub change: Change,
    /// What was locked and what is there, where words can say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// For an output: the inputs that changed and that it is made from, as `rule rules/simd.toml`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub because: Vec<String>,
}

impl fmt::Display for Difference {
    /// `rule rules/simd.toml changed`, `code object fill gfx1100 changed, because: ...`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let change = match self.change {
            Change::New => "is new",
            Change::Gone => "is gone",
            Change::Changed => "changed",
        };
        write!(f, "{} {} {change}", self.subject.word(), self.name)?;
        if let Some(detail) = &self.detail {
            write!(f, ": {detail}")?;
        }
        if !self.because.is_empty() {
            write!(f, ", because of {}", self.because.join(", "))?;
        }
        Ok(())
    }
}

/// What an output is blamed on if none of its inputs changed.
const PROGRAM: &str = "hipify-candle itself";
const OUTSIDE: &str = "headers of the toolchain";

impl Lock {
    /// What is different in `now`, inputs first. `inputs_of` names the translated files and the files of the device
    /// header that a module's code objects are made from.
    #[must_use]
    pub fn compare(
        &self,
        now: &Lock,
        scope: Scope,
        inputs_of: &dyn Fn(&str) -> BTreeSet<String>,
    ) -> Vec<Difference> {
        let mut found = Vec::new();
        self.compare_package(now, &mut found);
        let (sources, rules) = (Subject::Source, Subject::Rule);
        files(sources, &self.sources, &now.sources, scope, &mut found);
        files(rules, &self.rules, &now.rules, Scope::Whole, &mut found);
        let translation_inputs = found.len();
        self.compare_translated(now, scope, &mut found, translation_inputs);
        let header = Subject::Header;
        files(header, &self.header, &now.header, Scope::Whole, &mut found);
        self.compare_builds(now, inputs_of, &mut found);
        found.sort_by_key(|difference| difference.subject);
        found
    }

    fn compare_package(&self, now: &Lock, found: &mut Vec<Difference>) {
        let (Some(locked), Some(now)) = (&self.package, &now.package) else {
            return;
        };
        let checksum = locked.checksum.is_some() && now.checksum.is_some();
        let same_bytes = !checksum || locked.checksum == now.checksum;
        if locked.name != now.name || locked.version != now.version || !same_bytes {
            let name = now.name.clone();
            let say = |p: &super::Package| match (&p.checksum, locked.version == now.version) {
                (Some(checksum), true) => format!("{} ({checksum})", p.version),
                _ => format!("{} {}", p.name, p.version),
            };
            let detail = Some(format!("locked {}, now {}", say(locked), say(now)));
            found.push(difference(
                Subject::Package,
                name,
                Change::Changed,
                detail,
                Vec::new(),
            ));
        }
    }

    fn compare_translated(
        &self,
        now: &Lock,
        scope: Scope,
        found: &mut Vec<Difference>,
        inputs: usize,
    ) {
        let mut outputs = Vec::new();
        let subject = Subject::Translated;
        files(
            subject,
            &self.translated,
            &now.translated,
            scope,
            &mut outputs,
        );
        for output in &mut outputs {
            let stem = stem(&output.name);
            // A rule counts for every file, and so does the package, whose name stands in each.
            let counts =
                |d: &&Difference| d.subject != Subject::Source || self::stem(&d.name) == stem;
            output.because = names(found[..inputs].iter().filter(counts));
            if output.because.is_empty() {
                // Names that a header defines decide what is left alone in the files that include it.
                output.because = names(found[..inputs].iter());
            }
            if output.because.is_empty() {
                output.because.push(PROGRAM.to_owned());
            }
        }
        found.append(&mut outputs);
    }

    fn compare_builds(
        &self,
        now: &Lock,
        inputs_of: &dyn Fn(&str) -> BTreeSet<String>,
        found: &mut Vec<Difference>,
    ) {
        if let (Some(locked), Some(now)) = (&self.compiler, &now.compiler)
            && locked != now
        {
            let say = |c: &crate::build::CompilerEntry| format!("{}, HIP {}", c.version, c.hip);
            let detail = Some(format!("locked {}, now {}", say(locked), say(now)));
            let name = "version".to_owned();
            let change = Change::Changed;
            found.push(difference(
                Subject::Compiler,
                name,
                change,
                detail,
                Vec::new(),
            ));
        }
        for (name, now_target) in &now.target {
            let Some(locked) = self.target.get(name) else {
                let detail = Some("no code object for it is locked".to_owned());
                let subject = Subject::CodeObject;
                found.push(difference(
                    subject,
                    name.clone(),
                    Change::New,
                    detail,
                    Vec::new(),
                ));
                continue;
            };
            self.compare_target(name, locked, now_target, now, inputs_of, found);
        }
    }

    fn compare_target(
        &self,
        name: &str,
        locked: &Target,
        target: &Target,
        now: &Lock,
        inputs_of: &dyn Fn(&str) -> BTreeSet<String>,
        found: &mut Vec<Difference>,
    ) {
        let changed = Change::Changed;
        if locked.arguments != target.arguments {
            let detail = arguments(&locked.arguments, &target.arguments);
            let subject = Subject::Flags;
            found.push(difference(
                subject,
                name.to_owned(),
                changed,
                Some(detail),
                Vec::new(),
            ));
        }
        if locked.toolchain != target.toolchain && self.compiler == now.compiler {
            let detail = Some("device libraries, or variables that clang reads".to_owned());
            let subject = Subject::Compiler;
            found.push(difference(
                subject,
                name.to_owned(),
                changed,
                detail,
                Vec::new(),
            ));
        }
        let mut outputs = Vec::new();
        let (old, new) = (&locked.code_objects, &target.code_objects);
        files(Subject::CodeObject, old, new, Scope::Part, &mut outputs);
        for output in &mut outputs {
            let files = inputs_of(&output.name);
            let counts = |d: &&Difference| match d.subject {
                Subject::Translated | Subject::Header => files.contains(&d.name),
                Subject::Compiler => d.name == "version" || d.name == name,
                Subject::Flags => d.name == name,
                _ => false,
            };
            output.because = because(found, counts);
            if output.because.is_empty() && output.change == changed {
                output.because.push(OUTSIDE.to_owned());
            }
            output.name = format!("{} {name}", output.name);
        }
        found.append(&mut outputs);
    }
}

/// The inputs that count for a code object; a translated file stands for what it is made from.
fn because(found: &[Difference], counts: impl Fn(&&Difference) -> bool) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for difference in found.iter().filter(counts) {
        let names = match difference.subject {
            Subject::Translated => difference.because.clone(),
            _ => names([difference]),
        };
        for name in names {
            if !all.contains(&name) {
                all.push(name);
            }
        }
    }
    all
}

fn names<'a>(found: impl IntoIterator<Item = &'a Difference>) -> Vec<String> {
    let name = |d: &Difference| format!("{} {}", d.subject.word(), d.name);
    found.into_iter().map(name).collect()
}

/// A file's name without its extension: `a.cu` becomes `a.hip`.
fn stem(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

fn difference(
    subject: Subject,
    name: String,
    change: Change,
    detail: Option<String>,
    because: Vec<String>,
) -> Difference {
    Difference {
        subject,
        name,
        change,
        detail,
        because,
    }
}

fn files(
    subject: Subject,
    locked: &BTreeMap<String, Digest>,
    now: &BTreeMap<String, Digest>,
    scope: Scope,
    found: &mut Vec<Difference>,
) {
    let mut add = |name: &String, change| {
        found.push(difference(subject, name.clone(), change, None, Vec::new()))
    };
    for (name, digest) in now {
        match locked.get(name) {
            None => add(name, Change::New),
            Some(old) if old != digest => add(name, Change::Changed),
            Some(_) => {}
        }
    }
    if scope == Scope::Whole {
        for name in locked.keys().filter(|name| !now.contains_key(*name)) {
            add(name, Change::Gone);
        }
    }
}

/// Which arguments came and went.
fn arguments(locked: &[String], now: &[String]) -> String {
    let only = |of: &[String], not: &[String], sign: char| {
        let only = of.iter().filter(|argument| !not.contains(argument));
        only.map(|argument| format!("{sign}[{argument}]"))
            .collect::<Vec<_>>()
    };
    let mut words = only(locked, now, '-');
    words.extend(only(now, locked, '+'));
    if words.is_empty() {
        "another order".to_owned()
    } else {
        words.join(" ")
    }
}
