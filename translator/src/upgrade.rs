//! What moving from one version of candle-kernels to another means: kernels that come and go, signatures that change,
//! constructs that no rule knows.
//!
//! Many kernels exist only after macros are expanded, so the compiler's preprocessor is asked for them. Nothing is
//! compiled. Knows two prepared trees; which versions they are and what is written is the command's to say.

use std::collections::{BTreeMap, BTreeSet};

use codeobject::TargetId;
use rayon::prelude::*;
use serde::Serialize;

use crate::build::{Builder, Job, JobError};
use crate::diagnostic::Severity;
use crate::lex::{TooLong, lex};
use crate::pipeline::Prepared;

/// Kernels of one module by name, with the text of their parameters.
pub type Kernels = BTreeMap<String, String>;

/// What a tree has.
#[derive(Debug, Clone, Default)]
pub struct Inventory {
    /// Kernels of every module.
    pub modules: BTreeMap<String, Kernels>,
    /// Modules whose kernels can't be told, with the reason.
    pub unreadable: BTreeMap<String, String>,
    /// What no rule knows, by module.
    pub constructs: BTreeMap<String, BTreeSet<String>>,
}

impl Inventory {
    /// Looks through a prepared tree. `target` answers the preprocessor's conditions.
    #[must_use]
    pub fn of(builder: &Builder<'_>, prepared: &Prepared, target: &TargetId) -> Self {
        let mut inventory = Inventory::default();
        for module in &prepared.untranslated {
            let found = prepared.findings(module);
            let errors = found.filter(|d| d.severity == Severity::Error);
            let messages = errors.map(|d| format!("{}: {}", d.file, d.message));
            inventory
                .constructs
                .insert(module.clone(), messages.collect());
        }
        // What has no translation may still get through the preprocessor, which is enough to see its kernels.
        let mut jobs = prepared.jobs(std::slice::from_ref(target));
        jobs.extend(prepared.untranslated.iter().map(|module| Job {
            module: module.clone(),
            unit: format!("{module}.hip").into(),
            target: target.clone(),
        }));
        let read: Vec<_> = jobs
            .par_iter()
            .with_max_len(1)
            .map(|job| kernels_of(builder, job))
            .collect();
        for (job, kernels) in jobs.into_iter().zip(read) {
            match kernels {
                Ok(kernels) => {
                    inventory.modules.insert(job.module, kernels);
                }
                Err(reason) => {
                    inventory.unreadable.insert(job.module, reason);
                }
            }
        }
        inventory
    }
}

fn kernels_of(builder: &Builder<'_>, job: &Job) -> Result<Kernels, String> {
    let text = builder
        .preprocessed(job)
        .map_err(|e: JobError| e.to_string())?;
    signatures(&text).map_err(|e| e.to_string())
}

/// What is different.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Changes {
    /// Modules that the old version doesn't have.
    pub new_modules: Vec<String>,
    /// Modules that the new version doesn't have.
    pub gone_modules: Vec<String>,
    /// `module kernel`: kernels that the old version doesn't have.
    pub new_kernels: Vec<String>,
    /// `module kernel`: kernels that the new version doesn't have.
    pub gone_kernels: Vec<String>,
    /// Kernels that take other parameters.
    pub signatures: Vec<SignatureChange>,
    /// Constructs in the new version that no rule knows, and that the old one doesn't have, by module.
    pub constructs: BTreeMap<String, BTreeSet<String>>,
    /// Modules of the new version whose kernels can't be told, with the reason.
    pub unreadable: BTreeMap<String, String>,
}

/// A kernel that takes other parameters.
#[derive(Debug, Clone, Serialize)]
pub struct SignatureChange {
    /// `module kernel`.
    pub kernel: String,
    /// Its parameters in the old version.
    pub from: String,
    /// Its parameters in the new version.
    pub to: String,
}

impl Changes {
    /// The changes from `old` to `new`.
    #[must_use]
    pub fn between(old: &Inventory, new: &Inventory) -> Self {
        let mut changes = Changes {
            unreadable: new.unreadable.clone(),
            ..Changes::default()
        };
        let (before, after) = (names(old), names(new));
        changes.new_modules = after.difference(&before).map(ToString::to_string).collect();
        changes.gone_modules = before.difference(&after).map(ToString::to_string).collect();
        let none = Kernels::new();
        for module in before.union(&after) {
            // What can't be told in one of the versions is neither new nor gone.
            let known =
                |i: &Inventory| i.modules.contains_key(*module) || !names(i).contains(module);
            if !known(old) || !known(new) {
                continue;
            }
            let was = old.modules.get(*module).unwrap_or(&none);
            let is = new.modules.get(*module).unwrap_or(&none);
            let full = |kernel: &String| format!("{module} {kernel}");
            for (kernel, to) in is {
                match was.get(kernel) {
                    None => changes.new_kernels.push(full(kernel)),
                    Some(from) if from != to => changes.signatures.push(SignatureChange {
                        kernel: full(kernel),
                        from: from.clone(),
                        to: to.clone(),
                    }),
                    Some(_) => {}
                }
            }
            let gone = was.keys().filter(|kernel| !is.contains_key(*kernel));
            changes.gone_kernels.extend(gone.map(full));
        }
        for (module, found) in &new.constructs {
            let known = old.constructs.get(module);
            let fresh = found
                .iter()
                .filter(|c| known.is_none_or(|k| !k.contains(*c)));
            let fresh: BTreeSet<String> = fresh.cloned().collect();
            if !fresh.is_empty() {
                changes.constructs.insert(module.clone(), fresh);
            }
        }
        changes
    }
}

fn names(inventory: &Inventory) -> BTreeSet<&str> {
    let constructs = inventory.constructs.keys();
    let modules = inventory.modules.keys().chain(inventory.unreadable.keys());
    modules.chain(constructs).map(String::as_str).collect()
}

/// The kernels that a preprocessed text defines, with their parameters. Templates have their name alone.
///
/// # Errors
/// If the text is too long.
pub fn signatures(text: &str) -> Result<Kernels, TooLong> {
    // Line markers stand on lines of their own.
    let code: String = text
        .split_inclusive('\n')
        .filter(|line| !line.starts_with('#'))
        .collect();
    let lexed = lex(&code)?;
    let words: Vec<&str> = lexed
        .tokens
        .iter()
        .filter(|token| token.kind.is_significant())
        .map(|token| lexed.raw(*token))
        .collect();
    let is_name = |word: &str| word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let mut kernels = Kernels::new();
    for (index, _) in words.iter().enumerate().filter(|(_, word)| is_global(word)) {
        // The `)`s of `__attribute__((global))` follow; then the declaration up to its name.
        let mut at = index + 1;
        while words.get(at) == Some(&")") {
            at += 1;
        }
        while let Some(word) = words.get(at) {
            let called = words.get(at + 1) == Some(&"(");
            match *word {
                ";" | "{" | "}" | "<" => break,
                "__attribute__" | "alignas" if called => at = after_parentheses(&words, at + 1),
                name if called && is_name(name) => {
                    let end = after_parentheses(&words, at + 1);
                    let defined = words.get(end) == Some(&"{");
                    if defined {
                        let parameters = words[at + 2..end - 1].join(" ");
                        kernels.insert(name.to_owned(), parameters);
                    }
                    break;
                }
                _ => at += 1,
            }
        }
    }
    Ok(kernels)
}

fn is_global(word: &str) -> bool {
    matches!(word, "global" | "__global__")
}

/// The place after the `)` that belongs to the `(` at `open`.
fn after_parentheses(words: &[&str], open: usize) -> usize {
    let mut depth = 0_usize;
    for (index, word) in words.iter().enumerate().skip(open) {
        match *word {
            "(" => depth += 1,
            ")" => {
                depth -= 1;
                if depth == 0 {
                    return index + 1;
                }
            }
            _ => {}
        }
    }
    words.len()
}

#[cfg(test)]
mod tests {
    use super::{Changes, Inventory, Kernels, signatures};

    const TEXT: &str = "# 1 \"candle-kernels/src/a.cu\"\n\
        extern \"C\" __attribute__((global)) void fill_u8(unsigned char *buf, const unsigned long n) { }\n\
        extern \"C\" __attribute__((global)) __attribute__((amdgpu_flat_work_group_size(1, 256))) void\n\
        # 7 \"candle-kernels/src/a.cu\"\n\
        bounded(int (*f)(int), float x) { if (x > 0) { } }\n\
        template <typename T> __attribute__((global)) void typed(T x) { }\n\
        __attribute__((global)) void declared(int x);\n\
        int global(int x) { return x; }\n";

    #[test]
    fn kernels_are_found_behind_attributes_and_line_markers() {
        let kernels = signatures(TEXT).expect("short");
        let expected = [
            ("bounded", "int ( * f ) ( int ) , float x"),
            ("fill_u8", "unsigned char * buf , const unsigned long n"),
            ("typed", "T x"),
        ];
        let expected: Kernels = expected
            .into_iter()
            .map(|(name, text)| (name.to_owned(), text.to_owned()))
            .collect();
        assert_eq!(kernels, expected);
    }

    #[test]
    fn changes_between_two_versions() {
        let inventory = |text: &str| {
            let mut inventory = Inventory::default();
            let kernels = signatures(text).expect("short");
            inventory.modules.insert("a".to_owned(), kernels);
            inventory
        };
        let new = TEXT
            .replace("fill_u8", "fill_i8")
            .replace("float x", "double x");
        let changes = Changes::between(&inventory(TEXT), &inventory(&new));
        assert_eq!(changes.new_kernels, ["a fill_i8"]);
        assert_eq!(changes.gone_kernels, ["a fill_u8"]);
        assert_eq!(changes.signatures.len(), 1, "{changes:?}");
        assert_eq!(changes.signatures[0].kernel, "a bounded");
        assert!(changes.new_modules.is_empty() && changes.constructs.is_empty());
    }
}
