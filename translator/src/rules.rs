//! What CUDA names, headers, namespaces, PTX and guards become: `config/rules/*.toml` and `config/guards.toml`,
//! checked and indexed.
//!
//! Knows the meaning of the configuration. Knows nothing about tokens or files to translate: it answers look-ups.
//!
//! Two properties are checked when the rules are read, because a translation relies on them:
//! no name has two rules for one HIP version, and no replacement contains a name that has a rule itself. The
//! second makes translation idempotent: its output holds nothing that it would change.

mod file;
mod glob;
mod guards;
mod launch;

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;
use sha2::{Digest, Sha256};

use crate::config::{Config, ConfigError};
use file::{AsmSpec, HeaderSpec, NameSpecs, NamespaceSpec, RuleFile, Unsupported};
use guards::identifiers;

pub use file::HipVersion;
pub use glob::Glob;
pub use guards::{Answer, Guard, GuardOp, Guards};
pub use launch::{Bound, Launch, MAX_BLOCK, overlap};

/// The rules can't be used.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// The configuration can't be read.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Not TOML, an unknown key, or a value of the wrong type.
    #[error("config/{file}: {message}")]
    Syntax {
        /// Name below `config/`.
        file: String,
        /// The parser's message, with line and column.
        message: String,
    },
    /// A row contradicts itself.
    #[error("config/{file}: `{name}`: {message}")]
    Invalid {
        /// Name below `config/`.
        file: String,
        /// The row.
        name: String,
        /// What is wrong.
        message: String,
    },
    /// Two rules claim one name for the same HIP version.
    #[error(
        "`{name}` has two rules that hold for one HIP version, in config/{first} and config/{second}"
    )]
    Duplicate {
        /// The name.
        name: String,
        /// File of the first rule.
        first: String,
        /// File of the second rule.
        second: String,
    },
    /// A replacement would be replaced again.
    #[error(
        "config/{file}: `{name}` becomes `{to}`, but `{word}` has a rule itself: translating twice would differ"
    )]
    Chain {
        /// The rule's name.
        name: String,
        /// Its replacement.
        to: String,
        /// The name in the replacement that has a rule.
        word: String,
        /// File of the rule.
        file: String,
    },
}

/// What sort of thing a CUDA name is. Decides nothing but the words of reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A type.
    Type,
    /// A host or device function.
    Function,
    /// A function that CUDA maps to instructions.
    Intrinsic,
    /// An enumerator or constant.
    Constant,
    /// A macro.
    Macro,
    /// A member of a CUDA type, after `.` or `->`.
    Member,
    /// A name that HIP spells and means the same.
    Same,
    /// A name that has no HIP counterpart.
    Unsupported,
}

/// What happens to a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Another name takes its place.
    Rename(Box<str>),
    /// A call is written anew: `$1`.. are its arguments, `$*` all of them.
    Call(Box<str>),
    /// Nothing: the name is HIP's too.
    Keep,
    /// It can't be translated.
    Refuse {
        /// Why.
        reason: Box<str>,
        /// What to do about it.
        help: Option<Box<str>>,
    },
}

/// One rule for a name.
#[derive(Debug, Clone)]
pub struct NameRule {
    /// What sort of name it is.
    pub kind: Kind,
    /// What happens to it.
    pub action: Action,
    /// First HIP version that has the replacement.
    pub since: Option<HipVersion>,
    /// First HIP version that no longer has it.
    pub until: Option<HipVersion>,
    /// A remark for the reader of the rules.
    pub note: Option<Box<str>>,
    file: u16,
}

impl NameRule {
    fn holds_for(&self, hip: HipVersion) -> bool {
        self.since.is_none_or(|v| v <= hip) && self.until.is_none_or(|v| hip < v)
    }

    fn overlaps(&self, other: &NameRule) -> bool {
        let before = |a: &NameRule, b: &NameRule| matches!((a.until, b.since), (Some(end), Some(start)) if end <= start);
        !before(self, other) && !before(other, self)
    }
}

/// The answer to a name.
#[derive(Debug, Clone, Copy)]
pub enum NameAnswer<'a> {
    /// This rule holds.
    Rule(&'a NameRule),
    /// There are rules, none of them for the HIP version translated for; the one closest to it.
    WrongHip(&'a NameRule),
    /// No rule names it.
    Unknown,
}

/// What happens to an `#include`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderAction {
    /// Another header takes its place, written with angle brackets.
    Replace(Box<str>),
    /// HIP or the C++ library has it under this name.
    Keep,
    /// Nothing is needed instead.
    Drop,
    /// It can't be translated.
    Refuse {
        /// Why.
        reason: Box<str>,
        /// What to do about it.
        help: Option<Box<str>>,
    },
}

/// One rule for a namespace such as `cuda::std`.
#[derive(Debug, Clone)]
pub struct NamespaceRule {
    /// The names that lead to it, outermost first.
    pub path: Vec<Box<str>>,
    /// What is written instead, or why that's impossible.
    pub action: Action,
    /// Members that the replacement has.
    pub members: Vec<Glob>,
}

impl NamespaceRule {
    /// `a::b`.
    #[must_use]
    pub fn name(&self) -> String {
        self.path.join("::")
    }
}

/// One rule for an `asm` statement.
#[derive(Debug, Clone)]
pub struct AsmRule {
    /// Pattern over the normalised instruction text.
    pub ptx: Glob,
    /// [`Action::Call`] with operands `$0`.., [`Action::Keep`] or [`Action::Refuse`].
    pub action: Action,
}

/// All rules.
#[derive(Debug)]
pub struct Rules {
    hip: HipVersion,
    prelude: Option<Box<str>>,
    names: FxHashMap<Box<str>, Vec<NameRule>>,
    members: FxHashMap<Box<str>, Vec<NameRule>>,
    headers: FxHashMap<Box<str>, HeaderAction>,
    header_patterns: Vec<(Glob, HeaderAction)>,
    namespaces: FxHashMap<Box<str>, Vec<NamespaceRule>>,
    asm: Vec<AsmRule>,
    cuda_names: Vec<Glob>,
    cuda_headers: Vec<Glob>,
    reserved: Vec<Glob>,
    guards: Guards,
    launches: BTreeMap<String, Launch>,
    files: Vec<String>,
    digest: String,
}

impl Rules {
    /// Reads the rules compiled into the program, for the oldest HIP version that they support.
    ///
    /// # Errors
    /// [`RulesError`] if they contradict each other; the tests of this crate make sure that they don't.
    pub fn load() -> Result<Self, RulesError> {
        Rules::from_config(&Config::embedded(), None)
    }

    /// Reads the rules of a configuration. `hip` is the version to translate for; without it, the oldest version
    /// that `[hip] oldest` names, so that the result compiles with every supported one.
    ///
    /// # Errors
    /// [`RulesError`] with the file and the row that is wrong.
    pub fn from_config(config: &Config, hip: Option<HipVersion>) -> Result<Self, RulesError> {
        let guard_file = config.file("guards.toml")?;
        let guards = Guards::parse(&guard_file.name, &guard_file.text)?;
        let mut digest = Sha256::new();
        let mut hash = |name: &str, text: &str| {
            for part in [name, text] {
                digest.update((part.len() as u64).to_le_bytes());
                digest.update(part.as_bytes());
            }
        };
        hash(&guard_file.name, &guard_file.text);
        let mut builder = Builder::new(guards);
        for file in config.under("rules/") {
            hash(&file.name, &file.text);
            let parsed: RuleFile = toml::from_str(&file.text).map_err(|e| RulesError::Syntax {
                file: file.name.clone(),
                message: e.to_string(),
            })?;
            builder.add(&file.name, parsed)?;
        }
        let mut launches = BTreeMap::new();
        for file in config.under("launch.toml") {
            hash(&file.name, &file.text);
            launches = launch::parse(&file.name, &file.text)?;
        }
        let mut rules = builder.finish(hip)?;
        rules.launches = launches;
        hash("hip", &rules.hip.to_string());
        rules.digest = format!("{:x}", digest.finalize());
        Ok(rules)
    }

    /// The HIP version translated for.
    #[must_use]
    pub fn hip(&self) -> HipVersion {
        self.hip
    }

    /// SHA-256, in hex, of everything that these rules were made from.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The header that every translated file includes first, as written between `<` and `>`.
    #[must_use]
    pub fn prelude(&self) -> Option<&str> {
        self.prelude.as_deref()
    }

    /// The guards.
    #[must_use]
    pub fn guards(&self) -> &Guards {
        &self.guards
    }

    /// What `launch.toml` says about the module that is this file.
    #[must_use]
    pub fn launch(&self, path: &str) -> Option<&Launch> {
        self.launches.get(path.strip_suffix(".cu")?)
    }

    /// The rule for a name that stands by itself.
    #[must_use]
    pub fn name(&self, name: &str) -> NameAnswer<'_> {
        self.pick(self.names.get(name))
    }

    /// The rule for a name after `.` or `->`.
    #[must_use]
    pub fn member(&self, name: &str) -> NameAnswer<'_> {
        self.pick(self.members.get(name))
    }

    fn pick<'a>(&'a self, rules: Option<&'a Vec<NameRule>>) -> NameAnswer<'a> {
        let Some(rules) = rules else {
            return NameAnswer::Unknown;
        };
        if let Some(rule) = rules.iter().find(|r| r.holds_for(self.hip)) {
            return NameAnswer::Rule(rule);
        }
        rules
            .first()
            .map_or(NameAnswer::Unknown, NameAnswer::WrongHip)
    }

    /// Name below `config/` of the file that a rule stands in.
    #[must_use]
    pub fn file_of(&self, rule: &NameRule) -> &str {
        self.files
            .get(usize::from(rule.file))
            .map_or("rules", String::as_str)
    }

    /// What to do with an include of `header`, if the rules say.
    #[must_use]
    pub fn header(&self, header: &str) -> Option<&HeaderAction> {
        self.headers.get(header).or_else(|| {
            self.header_patterns
                .iter()
                .find(|(glob, _)| glob.matches(header))
                .map(|(_, action)| action)
        })
    }

    /// Whether a header looks like one of CUDA's.
    #[must_use]
    pub fn is_cuda_header(&self, header: &str) -> bool {
        self.cuda_headers.iter().any(|glob| glob.matches(header))
    }

    /// Namespace rules whose outermost name is `first`, longest path first.
    #[must_use]
    pub fn namespaces(&self, first: &str) -> &[NamespaceRule] {
        self.namespaces.get(first).map_or(&[], Vec::as_slice)
    }

    /// The rule for the normalised text of an `asm` statement.
    #[must_use]
    pub fn asm(&self, instruction: &str) -> Option<&AsmRule> {
        self.asm.iter().find(|rule| rule.ptx.matches(instruction))
    }

    /// Whether an identifier looks like one of CUDA's, so that it must have a rule.
    #[must_use]
    pub fn is_cuda_name(&self, name: &str) -> bool {
        self.cuda_names.iter().any(|glob| glob.matches(name))
            && !self.reserved.iter().any(|glob| glob.matches(name))
    }

    /// The names that have a rule, in no order.
    pub fn known_names(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(|name| &**name)
    }

    /// The rules of every name, in no order.
    pub fn name_rules(&self) -> impl Iterator<Item = (&str, &NameRule)> {
        self.names
            .iter()
            .flat_map(|(name, rules)| rules.iter().map(move |rule| (&**name, rule)))
    }
}

/// Collects files, then checks what can only be checked over all of them.
struct Builder {
    rules: Rules,
    oldest: Option<HipVersion>,
    /// `(rule name, replacement, file)` of everything that is written into translated text.
    outputs: Vec<(String, String, u16)>,
}

impl Builder {
    fn new(guards: Guards) -> Self {
        Builder {
            rules: Rules {
                hip: HipVersion { major: 0, minor: 0 },
                prelude: None,
                names: FxHashMap::default(),
                members: FxHashMap::default(),
                headers: FxHashMap::default(),
                header_patterns: Vec::new(),
                namespaces: FxHashMap::default(),
                asm: Vec::new(),
                cuda_names: Vec::new(),
                cuda_headers: Vec::new(),
                reserved: Vec::new(),
                guards,
                launches: BTreeMap::new(),
                files: Vec::new(),
                digest: String::new(),
            },
            oldest: None,
            outputs: Vec::new(),
        }
    }

    fn add(&mut self, name: &str, file: RuleFile) -> Result<(), RulesError> {
        let index = u16::try_from(self.rules.files.len()).unwrap_or(u16::MAX);
        self.rules.files.push(name.to_owned());
        if let Some(prelude) = file.prelude {
            self.rules.prelude = Some(prelude.include.into());
        }
        if let Some(hip) = file.hip {
            self.oldest = Some(hip.oldest);
        }
        if let Some(names) = file.names {
            self.rules.cuda_names.extend(globs(name, &names.cuda)?);
            self.rules.cuda_headers.extend(globs(name, &names.headers)?);
            self.rules.reserved.extend(globs(name, &names.reserved)?);
        }
        for (header, spec) in file.header {
            self.header(name, header, spec)?;
        }
        for (kind, table) in [
            (Kind::Type, file.types),
            (Kind::Function, file.function),
            (Kind::Intrinsic, file.intrinsic),
            (Kind::Constant, file.constant),
            (Kind::Macro, file.macros),
            (Kind::Member, file.member),
        ] {
            for (cuda, specs) in table {
                self.names(name, index, kind, &cuda, specs)?;
            }
        }
        for (cuda, Unsupported { reason, help }) in file.unsupported {
            let action = Action::Refuse {
                reason: reason.into(),
                help: help.map(Into::into),
            };
            let rule = NameRule {
                kind: Kind::Unsupported,
                action,
                since: None,
                until: None,
                note: None,
                file: index,
            };
            self.name(name, &cuda, rule)?;
        }
        for keep in file.keep {
            let note: Box<str> = keep.note.into();
            for cuda in keep.names {
                let rule = NameRule {
                    kind: Kind::Same,
                    action: Action::Keep,
                    since: keep.since,
                    until: keep.until,
                    note: Some(note.clone()),
                    file: index,
                };
                self.name(name, &cuda, rule)?;
            }
        }
        for (path, spec) in file.namespace {
            self.namespace(name, index, &path, spec)?;
        }
        for spec in file.asm {
            self.asm(name, index, spec)?;
        }
        Ok(())
    }

    fn header(&mut self, file: &str, header: String, spec: HeaderSpec) -> Result<(), RulesError> {
        let action = match (spec.to, spec.keep, spec.drop, spec.reason) {
            (Some(to), false, false, None) => HeaderAction::Replace(to.into()),
            (None, true, false, None) => HeaderAction::Keep,
            (None, false, true, None) => HeaderAction::Drop,
            (None, false, false, Some(reason)) => HeaderAction::Refuse {
                reason: reason.into(),
                help: spec.help.map(Into::into),
            },
            _ => {
                return Err(invalid(
                    file,
                    &header,
                    "exactly one of `to`, `keep`, `drop`, `reason` is needed",
                ));
            }
        };
        if header.contains(['*', '?', '[']) {
            let glob = Glob::new(&header).map_err(|message| invalid(file, &header, &message))?;
            self.rules.header_patterns.push((glob, action));
        } else if self
            .rules
            .headers
            .insert(header.clone().into(), action)
            .is_some()
        {
            return Err(RulesError::Duplicate {
                name: header,
                first: file.to_owned(),
                second: file.to_owned(),
            });
        }
        Ok(())
    }

    fn names(
        &mut self,
        file: &str,
        index: u16,
        kind: Kind,
        cuda: &str,
        specs: NameSpecs,
    ) -> Result<(), RulesError> {
        for spec in specs.0 {
            let action = match (spec.to, spec.call) {
                (Some(to), None) if to == cuda => Action::Keep,
                (Some(to), None) => Action::Rename(to.into()),
                (None, Some(call)) => Action::Call(call.into()),
                _ => {
                    return Err(invalid(
                        file,
                        cuda,
                        "exactly one of `to` and `call` is needed",
                    ));
                }
            };
            if let Action::Rename(text) | Action::Call(text) = &action {
                self.outputs
                    .push((cuda.to_owned(), text.to_string(), index));
            }
            let note = spec.note.map(Into::into);
            self.name(
                file,
                cuda,
                NameRule {
                    kind,
                    action,
                    since: spec.since,
                    until: spec.until,
                    note,
                    file: index,
                },
            )?;
        }
        Ok(())
    }

    fn name(&mut self, file: &str, cuda: &str, rule: NameRule) -> Result<(), RulesError> {
        if identifiers(cuda).next() != Some(cuda) {
            return Err(invalid(
                file,
                cuda,
                "the name of a rule must be one identifier",
            ));
        }
        let table = if rule.kind == Kind::Member {
            &mut self.rules.members
        } else {
            &mut self.rules.names
        };
        let rules = table.entry(cuda.into()).or_default();
        if let Some(other) = rules.iter().find(|other| other.overlaps(&rule)) {
            let first = self.rules.files[usize::from(other.file)].clone();
            return Err(RulesError::Duplicate {
                name: cuda.to_owned(),
                first,
                second: file.to_owned(),
            });
        }
        rules.push(rule);
        Ok(())
    }

    fn namespace(
        &mut self,
        file: &str,
        index: u16,
        path: &str,
        spec: NamespaceSpec,
    ) -> Result<(), RulesError> {
        let action = match (spec.to, spec.reason) {
            (Some(to), None) if to == path => Action::Keep,
            (Some(to), None) => {
                self.outputs.push((path.to_owned(), to.clone(), index));
                Action::Rename(to.into())
            }
            (None, Some(reason)) => Action::Refuse {
                reason: reason.into(),
                help: spec.help.map(Into::into),
            },
            _ => {
                return Err(invalid(
                    file,
                    path,
                    "exactly one of `to` and `reason` is needed",
                ));
            }
        };
        let parts: Vec<Box<str>> = path.split("::").map(Into::into).collect();
        let members = globs(file, &spec.members)?;
        let rules = self.rules.namespaces.entry(parts[0].clone()).or_default();
        if rules.iter().any(|r| r.path == parts) {
            return Err(RulesError::Duplicate {
                name: path.to_owned(),
                first: file.to_owned(),
                second: file.to_owned(),
            });
        }
        rules.push(NamespaceRule {
            path: parts,
            action,
            members,
        });
        rules.sort_by_key(|r| std::cmp::Reverse(r.path.len()));
        Ok(())
    }

    fn asm(&mut self, file: &str, index: u16, spec: AsmSpec) -> Result<(), RulesError> {
        let ptx = Glob::new(&spec.ptx).map_err(|message| invalid(file, &spec.ptx, &message))?;
        let action = match (spec.to, spec.keep, spec.reason) {
            (Some(to), false, None) => {
                self.outputs.push((spec.ptx, to.clone(), index));
                Action::Call(to.into())
            }
            (None, true, None) => Action::Keep,
            (None, false, Some(reason)) => Action::Refuse {
                reason: reason.into(),
                help: spec.help.map(Into::into),
            },
            _ => {
                return Err(invalid(
                    file,
                    &spec.ptx,
                    "exactly one of `to`, `keep`, `reason` is needed",
                ));
            }
        };
        self.rules.asm.push(AsmRule { ptx, action });
        Ok(())
    }

    /// Checks that nothing written would be rewritten, and makes what is written known, so that a second
    /// translation accepts it.
    fn finish(mut self, hip: Option<HipVersion>) -> Result<Rules, RulesError> {
        let oldest = self.oldest.unwrap_or(HipVersion { major: 5, minor: 7 });
        self.rules.hip = hip.unwrap_or(oldest);
        let guard_outputs: Vec<_> = self
            .rules
            .guards
            .iter()
            .map(|g| (g.subject.clone(), g.ask.clone()))
            .collect();
        let guard_outputs = guard_outputs
            .into_iter()
            .map(|(name, ask)| (name, ask, u16::MAX));
        for (name, to, file) in self.outputs.drain(..).chain(guard_outputs) {
            for path in paths(&to) {
                let word = path[0];
                let by_name = match self.rules.names.get(word) {
                    Some(rules) => rules.iter().any(|r| r.action != Action::Keep),
                    None => self.rules.guards.is_subject(word),
                };
                let by_path = self.rules.namespaces(word).iter().any(|r| {
                    let starts = path.len() >= r.path.len()
                        && path.iter().zip(&r.path).all(|(a, b)| *a == &**b);
                    r.action != Action::Keep && starts
                });
                if by_name || by_path {
                    let file = self
                        .rules
                        .files
                        .get(usize::from(file))
                        .map_or("guards.toml", String::as_str);
                    let (file, word) = (file.to_owned(), word.to_owned());
                    return Err(RulesError::Chain {
                        name,
                        to: to.clone(),
                        word,
                        file,
                    });
                }
                if self.rules.is_cuda_name(word) {
                    let rule = NameRule {
                        kind: Kind::Same,
                        action: Action::Keep,
                        since: None,
                        until: None,
                        note: Some(format!("replaces {name}").into()),
                        file,
                    };
                    self.rules
                        .names
                        .entry(word.into())
                        .or_insert_with(|| vec![rule]);
                }
            }
        }
        Ok(self.rules)
    }
}

fn invalid(file: &str, name: &str, message: &str) -> RulesError {
    RulesError::Invalid {
        file: file.to_owned(),
        name: name.to_owned(),
        message: message.to_owned(),
    }
}

fn globs(file: &str, patterns: &[String]) -> Result<Vec<Glob>, RulesError> {
    patterns
        .iter()
        .map(|p| Glob::new(p).map_err(|message| invalid(file, p, &message)))
        .collect()
}

/// The names in a piece of text that rules look at, each with what is behind its `::`: what is qualified by another
/// name or is a member is not looked up.
fn paths(text: &str) -> Vec<Vec<&str>> {
    let mut found: Vec<Vec<&str>> = Vec::new();
    let mut end = 0;
    for word in identifiers(text) {
        // `identifiers` returns slices of `text`, in order.
        let start = end + text[end..].find(word).unwrap_or_default();
        let between = text[end..start].trim();
        end = start + word.len();
        match (between, found.last_mut()) {
            ("::", Some(path)) => path.push(word),
            _ if between.ends_with('.') || between.ends_with("->") => {}
            _ => found.push(vec![word]),
        }
    }
    found
}

#[cfg(test)]
mod tests;
