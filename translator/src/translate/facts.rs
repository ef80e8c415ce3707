//! What the source tree says about itself: which files see each other, which macros stand for which numbers, and
//! which CUDA-looking names the tree defines on its own.
//!
//! There is no C++ parser here. A name counts as defined where the tokens around it can hardly be anything but a
//! definition; a definition that is missed costs an error message, never a wrong translation.

use std::borrow::Cow;
use std::cell::Cell;
use std::rc::Rc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::condition::{self, Names};
use super::tree::SourceFile;
use crate::lex::{Directive, DirectiveKind, Kind, Lexed, TooLong, lex};
use crate::rules::{GuardOp, NameAnswer, NameRule, Rules};

/// What the rules say about an identifier, looked up once a file.
#[derive(Debug, Clone, Copy)]
pub(super) enum Verdict<'r> {
    /// Not CUDA's.
    Plain,
    /// A rule holds.
    Rule(&'r NameRule),
    /// There are rules, for other HIP versions.
    WrongHip(&'r NameRule),
    /// Its comparisons are questions.
    Subject,
    /// Looks like CUDA's and has no rule.
    Unknown,
}

/// A verdict, and whether the name may start a namespace that has a rule.
#[derive(Debug, Clone, Copy)]
pub(super) struct NameInfo<'r> {
    pub verdict: Verdict<'r>,
    pub namespace: bool,
}

impl<'r> NameInfo<'r> {
    fn look_up(name: &str, rules: &'r Rules) -> Self {
        let verdict = match rules.name(name) {
            NameAnswer::Rule(rule) => Verdict::Rule(rule),
            NameAnswer::WrongHip(rule) => Verdict::WrongHip(rule),
            NameAnswer::Unknown if rules.guards().is_subject(name) => Verdict::Subject,
            NameAnswer::Unknown if rules.is_cuda_name(name) => Verdict::Unknown,
            NameAnswer::Unknown => Verdict::Plain,
        };
        NameInfo {
            verdict,
            namespace: !rules.namespaces(name).is_empty(),
        }
    }
}

/// A file with what can be said about it alone.
#[derive(Debug)]
pub(super) struct Prepared<'t, 'r> {
    pub file: &'t SourceFile,
    pub lexed: Lexed<'t>,
    names: FxHashMap<&'t str, NameInfo<'r>>,
    /// Bodies of object-like macros, as ranges of `lexed.in_directives`, with the index of their directive.
    pub defines: FxHashMap<&'t str, Vec<u32>>,
    declared: FxHashSet<&'t str>,
    /// `(index of the token, path as written)` of includes in quotes.
    quoted: Vec<(u32, &'t str)>,
}

impl<'t, 'r> Prepared<'t, 'r> {
    pub(super) fn new(file: &'t SourceFile, rules: &'r Rules) -> Result<Self, TooLong> {
        let lexed = lex(&file.text)?;
        let mut names = FxHashMap::default();
        for token in &lexed.tokens {
            if token.kind == Kind::Ident && !token.spliced {
                let name = lexed.raw(*token);
                names
                    .entry(name)
                    .or_insert_with(|| NameInfo::look_up(name, rules));
            }
        }
        let mut prepared = Prepared {
            file,
            lexed,
            names,
            defines: FxHashMap::default(),
            declared: FxHashSet::default(),
            quoted: Vec::new(),
        };
        prepared.scan_directives();
        prepared.scan_declarations();
        Ok(prepared)
    }

    /// What the rules say about a name of this file.
    pub(super) fn info(&self, name: &str, rules: &'r Rules) -> NameInfo<'r> {
        // Names cut by a splice are not in the table.
        self.names
            .get(name)
            .copied()
            .unwrap_or_else(|| NameInfo::look_up(name, rules))
    }

    pub(super) fn raw(&self, index: u32) -> &'t str {
        self.lexed.raw(self.lexed.token(index))
    }

    pub(super) fn spelling(&self, index: u32) -> Cow<'t, str> {
        self.lexed.spelling(self.lexed.token(index))
    }

    pub(super) fn kind(&self, index: u32) -> Kind {
        self.lexed.token(index).kind
    }

    /// The tokens that an object-like macro stands for.
    pub(super) fn body(&self, directive: &Directive) -> &[u32] {
        self.lexed.operands(directive).get(1..).unwrap_or_default()
    }

    fn scan_directives(&mut self) {
        for (number, directive) in (0_u32..).zip(&self.lexed.directives) {
            let operands = self.lexed.operands(directive);
            let Some(&first) = operands.first() else {
                continue;
            };
            let token = self.lexed.token(first);
            let raw = self.lexed.raw(token);
            match directive.kind {
                DirectiveKind::Include if token.kind == Kind::HeaderName => {
                    if let Some(path) = raw.strip_prefix('"') {
                        self.quoted.push((first, path.trim_end_matches('"')));
                    }
                }
                DirectiveKind::Define if token.kind == Kind::Ident => {
                    let parameters = operands.get(1).filter(|second| {
                        let second = self.lexed.token(**second);
                        second.start == token.end && self.lexed.raw(second) == "("
                    });
                    self.declared.insert(raw);
                    if parameters.is_none() {
                        self.defines.entry(raw).or_default().push(number);
                        continue;
                    }
                    for parameter in &operands[2..] {
                        let parameter = self.lexed.token(*parameter);
                        match self.lexed.raw(parameter) {
                            ")" => break,
                            name if parameter.kind == Kind::Ident => self.declared.insert(name),
                            _ => false,
                        };
                    }
                }
                _ => {}
            }
        }
    }

    fn scan_declarations(&mut self) {
        let mut found = FxHashSet::default();
        self.scan_stream(&self.lexed.code, &mut found);
        for directive in self
            .lexed
            .directives
            .iter()
            .filter(|d| d.kind == DirectiveKind::Define)
        {
            self.scan_stream(self.lexed.operands(directive), &mut found);
        }
        self.declared.extend(found);
    }

    fn scan_stream(&self, stream: &[u32], found: &mut FxHashSet<&'t str>) {
        for (at, token) in stream.iter().enumerate() {
            if self.kind(*token) != Kind::Ident {
                continue;
            }
            let name = self.raw(*token);
            let is_unknown = self
                .names
                .get(name)
                .is_some_and(|info| matches!(info.verdict, Verdict::Unknown));
            if is_unknown && !found.contains(name) && self.is_definition(stream, at) {
                found.insert(name);
            }
        }
    }

    /// Whether the name at `at` is being defined or declared there.
    fn is_definition(&self, stream: &[u32], at: usize) -> bool {
        let text = |at: usize| stream.get(at).map_or("", |t| self.raw(*t));
        let is_ident = |at: usize| stream.get(at).is_some_and(|t| self.kind(*t) == Kind::Ident);
        let Some(before) = at.checked_sub(1) else {
            return false;
        };
        let (previous, next) = (text(before), text(at + 1));
        match previous {
            "struct" | "class" | "union" | "enum" => {
                return matches!(next, "{" | ":" | "final" | "," | ">" | "=");
            }
            "typename" => return matches!(next, "," | ">" | "="),
            "namespace" => return matches!(next, "{" | "=" | "::"),
            "using" => return next == "=",
            "{" | "," if matches!(next, "=" | "," | "}") => return self.in_enum(stream, before),
            _ => {}
        }
        if next == ";" && self.statement_starts_with(stream, before, "typedef") {
            return true;
        }
        let types_before = |at: usize| is_ident(at) && !OPERATOR_WORDS.contains(&text(at));
        let pointer = matches!(previous, "*" | "&" | "&&");
        let declared_type = types_before(before) && !QUALIFIERS.contains(&previous)
            || (pointer || previous == "__restrict__")
                && before
                    .checked_sub(1)
                    .is_some_and(|b| BUILTIN_TYPES.contains(&text(b)) || text(b) == "*");
        if declared_type && matches!(next, "=" | ";" | "," | ")" | "[" | "{" | ":") {
            return true;
        }
        next == "("
            && (types_before(before) || pointer || previous == ">")
            && self.is_body_behind(stream, at + 1)
    }

    /// Whether the parentheses that open at `open` are followed by a function body.
    fn is_body_behind(&self, stream: &[u32], open: usize) -> bool {
        let Some(close) = self.matching(stream, open) else {
            return false;
        };
        let mut at = close + 1;
        while stream.get(at).is_some_and(|t| self.kind(*t) == Kind::Ident) && at < close + 4 {
            at += 1;
        }
        stream
            .get(at)
            .is_some_and(|t| matches!(self.raw(*t), "{" | "->"))
    }

    /// The position of the bracket that closes the one at `open`.
    pub(super) fn matching(&self, stream: &[u32], open: usize) -> Option<usize> {
        let mut depth = 0_u32;
        for (at, token) in stream.iter().enumerate().skip(open) {
            if self.kind(*token) != Kind::Punct {
                continue;
            }
            match self.raw(*token) {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => {
                    depth = depth.checked_sub(1)?;
                    if depth == 0 {
                        return Some(at);
                    }
                }
                _ => {}
            }
        }
        None
    }

    fn statement_starts_with(&self, stream: &[u32], from: usize, word: &str) -> bool {
        stream[..=from]
            .iter()
            .rev()
            .map(|t| self.raw(*t))
            .take_while(|raw| *raw != ";")
            .any(|raw| raw == word)
    }

    fn in_enum(&self, stream: &[u32], from: usize) -> bool {
        let mut back = stream[..=from]
            .iter()
            .rev()
            .map(|t| self.raw(*t))
            .skip_while(|raw| *raw != "{")
            .skip(1);
        back.by_ref()
            .take(5)
            .take_while(|raw| !matches!(*raw, ";" | "}" | "{" | ")"))
            .any(|raw| raw == "enum")
    }
}

/// Words that stand before an expression, never before what they declare.
const OPERATOR_WORDS: &[&str] = &[
    "return",
    "else",
    "case",
    "goto",
    "throw",
    "new",
    "delete",
    "do",
    "sizeof",
    "alignof",
    "typeid",
    "not",
    "and",
    "or",
    "co_return",
    "co_await",
    "co_yield",
    "operator",
    "using",
    "typename",
    "template",
];

/// Words that stand before a type, not behind it.
const QUALIFIERS: &[&str] = &[
    "const",
    "volatile",
    "static",
    "inline",
    "extern",
    "constexpr",
    "register",
    "mutable",
    "struct",
    "class",
    "union",
    "enum",
    "__device__",
    "__host__",
    "__global__",
    "__shared__",
    "__constant__",
    "__forceinline__",
    "__restrict__",
];

const BUILTIN_TYPES: &[&str] = &[
    "void", "bool", "char", "short", "int", "long", "unsigned", "signed", "float", "double",
    "const",
];

/// A set of files of one tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileSet(Vec<u64>);

impl FileSet {
    fn new(files: usize) -> Self {
        FileSet(vec![0; files.div_ceil(64)])
    }

    fn insert(&mut self, file: usize) -> bool {
        let word = &mut self.0[file / 64];
        let fresh = *word & (1 << (file % 64)) == 0;
        *word |= 1 << (file % 64);
        fresh
    }

    pub(super) fn contains(&self, file: usize) -> bool {
        self.0[file / 64] & (1 << (file % 64)) != 0
    }

    fn merge(&mut self, other: &FileSet) {
        for (a, b) in self.0.iter_mut().zip(&other.0) {
            *a |= b;
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = usize> {
        (0..self.0.len() * 64).filter(|file| self.contains(*file))
    }
}

/// What the files say together.
#[derive(Debug)]
pub(super) struct Facts<'t, 'r> {
    pub files: Vec<Prepared<'t, 'r>>,
    /// For each file, the files that it includes, itself and the indirect ones too.
    pub closures: Vec<FileSet>,
    /// For each file, the files that are compiled together with it in some unit.
    visible: Vec<FileSet>,
    /// Whether a macro opens or closes more braces than it closes or opens, so that counting braces says nothing.
    pub unbalanced_macros: bool,
    declared_in: FxHashMap<&'t str, Vec<usize>>,
    by_path: FxHashMap<&'t str, usize>,
}

impl<'t, 'r> Facts<'t, 'r> {
    pub(super) fn new(files: Vec<Prepared<'t, 'r>>) -> Self {
        let by_path: FxHashMap<&str, usize> = files
            .iter()
            .enumerate()
            .map(|(i, f)| (&*f.file.path, i))
            .collect();
        let includes: Vec<Vec<usize>> = files
            .iter()
            .map(|f| {
                f.quoted
                    .iter()
                    .filter_map(|(_, path)| resolve(&by_path, &f.file.path, path))
                    .collect()
            })
            .collect();
        let closures: Vec<FileSet> = (0..files.len())
            .map(|file| closure(&includes, file))
            .collect();
        let mut included = FileSet::new(files.len());
        for file in includes.iter().flatten() {
            included.insert(*file);
        }
        let mut visible = closures.clone();
        for unit in (0..files.len()).filter(|file| !included.contains(*file)) {
            for member in closures[unit].iter() {
                visible[member].merge(&closures[unit]);
            }
        }
        let mut declared_in: FxHashMap<&str, Vec<usize>> = FxHashMap::default();
        for (index, file) in files.iter().enumerate() {
            for name in &file.declared {
                declared_in.entry(name).or_default().push(index);
            }
        }
        let unbalanced_macros = files.iter().any(has_unbalanced_macros);
        Facts {
            unbalanced_macros,
            files,
            closures,
            visible,
            declared_in,
            by_path,
        }
    }

    /// The file that an include in quotes means.
    pub(super) fn included(&self, from: usize, path: &str) -> Option<usize> {
        resolve(&self.by_path, &self.files[from].file.path, path)
    }

    /// Whether a file compiled together with `viewer` defines the name.
    pub(super) fn is_declared(&self, viewer: usize, name: &str) -> bool {
        self.declared_in
            .get(name)
            .is_some_and(|files| files.iter().any(|f| self.visible[viewer].contains(*f)))
    }

    /// The number that a macro stands for in every definition that `viewer` may see.
    pub(super) fn constant(&self, viewer: usize, name: &str) -> Option<i64> {
        Constants::new(self, viewer).value(name)
    }

    /// As [`Self::constant`], below other macros.
    fn constant_below(&self, outer: &Constants<'_, 't, 'r>, name: &str) -> Option<i64> {
        /// Deep enough for any table of constants; bounds macros that refer to themselves.
        const MAX_DEPTH: u32 = 16;
        let mut value = None;
        if outer.depth > MAX_DEPTH {
            return None;
        }
        let viewer = outer.viewer;
        for &file in self
            .declared_in
            .get(name)?
            .iter()
            .filter(|f| self.visible[viewer].contains(**f))
        {
            let prepared = &self.files[file];
            for &number in prepared.defines.get(name).into_iter().flatten() {
                outer.budget.set(outer.budget.get().checked_sub(1)?);
                let directive = &prepared.lexed.directives[number as usize];
                let names = Constants {
                    facts: self,
                    viewer,
                    depth: outer.depth + 1,
                    budget: Rc::clone(&outer.budget),
                };
                let found = condition::evaluate(&prepared.lexed, prepared.body(directive), &names)?;
                if value.is_some_and(|known| known != found) {
                    return None;
                }
                value = Some(found);
            }
        }
        value
    }
}

/// Numbers of the tree's own macros; nothing else is known.
pub(super) struct Constants<'a, 't, 'r> {
    facts: &'a Facts<'t, 'r>,
    viewer: usize,
    /// How many macros stand around this one.
    depth: u32,
    /// How many definitions may still be looked at: a few macros that name each other often stand for a text without end.
    budget: Rc<Cell<u32>>,
}

impl<'a, 't, 'r> Constants<'a, 't, 'r> {
    /// The numbers that a file sees.
    pub(super) fn new(facts: &'a Facts<'t, 'r>, viewer: usize) -> Self {
        /// More than any real constant is made of.
        const BUDGET: u32 = 1000;
        Constants {
            facts,
            viewer,
            depth: 0,
            budget: Rc::new(Cell::new(BUDGET)),
        }
    }
}

impl Names for Constants<'_, '_, '_> {
    fn value(&self, name: &str) -> Option<i64> {
        self.facts.constant_below(self, name)
    }
    fn defined(&self, _: &str) -> Option<bool> {
        None
    }
    fn is_subject(&self, _: &str) -> bool {
        false
    }
    fn question(&self, _: &str, _: GuardOp, _: i64) -> Option<bool> {
        None
    }
}

/// An include in quotes is looked for beside the including file, then below the tree's root, as `-I` would.
fn resolve(by_path: &FxHashMap<&str, usize>, from: &str, path: &str) -> Option<usize> {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "." | "" => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    by_path
        .get(&*parts.join("/"))
        .or_else(|| by_path.get(path))
        .copied()
}

fn closure(includes: &[Vec<usize>], start: usize) -> FileSet {
    let mut seen = FileSet::new(includes.len());
    let mut open = vec![start];
    while let Some(file) = open.pop() {
        if seen.insert(file) {
            open.extend(&includes[file]);
        }
    }
    seen
}

fn has_unbalanced_macros(file: &Prepared<'_, '_>) -> bool {
    let defines = file
        .lexed
        .directives
        .iter()
        .filter(|d| d.kind == DirectiveKind::Define);
    defines.map(|d| file.lexed.operands(d)).any(|operands| {
        let brace = |token: &u32| match file.raw(*token) {
            "{" => 1,
            "}" => -1,
            _ => 0,
        };
        operands.iter().map(brace).sum::<i32>() != 0
    })
}
