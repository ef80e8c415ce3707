//! CUDA text to HIP text.
//!
//! A translation is a pure function of a tree, rules and fixes: deterministic, and idempotent because no replacement
//! holds anything that has a rule ([`crate::rules`] checks that) and a file that says it is a translation gets
//! neither a second header nor fixes. Comments and literals are never touched, and every replacement holds as many
//! newlines as what it replaces: one `#line` at the top lets a compiler's messages point at the CUDA line.
//!
//! Each pass is a file: [fixes](fix), [includes](include), [guards](guard), [kernels](kernel), [names](name), [`asm`]. A
//! pass turns tokens into edits and claims what later passes must leave alone.
//!
//! Knows tokens, rules and fixes. Must not know a CUDA or HIP name, nor what a compiler makes of the result.

mod asm;
mod condition;
mod edit;
mod facts;
mod fix;
mod guard;
mod inactive;
mod include;
mod kernel;
mod name;
mod report;
mod tree;

use std::ops::Range;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::diagnostic::{Diagnostic, Severity};
use crate::fixes::{Fix, Fixes};
use crate::lex::{DirectiveKind, TooLong, significant_text};
use crate::modules::{self, Module, Modules, ModulesError};
use crate::rules::{Launch, Rules};
use edit::Edits;
use facts::{Facts, Prepared};
use report::Reports;

pub use edit::{Cause, Edit};
pub use tree::{Origin, SourceFile, Tree, TreeError, is_translated};

/// A translation could not be made at all; what is wrong with single constructs is in the [`Diagnostic`]s.
#[derive(Debug, thiserror::Error)]
pub enum TranslateError {
    /// The sources can't be read or the result not written.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A module was asked for that isn't there.
    #[error(transparent)]
    Modules(#[from] ModulesError),
    /// A file is too long.
    #[error("{path}: {source}")]
    TooLong {
        /// The file.
        path: String,
        /// How long it is.
        source: TooLong,
    },
}

/// One translated file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileTranslation {
    /// Path of the CUDA file below the tree's root.
    pub source: String,
    /// Path of the HIP file below the output folder.
    pub output: String,
    /// The HIP text.
    pub text: String,
    /// What was replaced, in the order of the CUDA text.
    pub edits: Vec<Edit>,
    /// What there is to say, in the order of the CUDA text.
    pub diagnostics: Vec<Diagnostic>,
    /// Ids of the fixes that changed the file.
    pub fixes: Vec<String>,
}

impl FileTranslation {
    /// How many diagnostics are errors.
    #[must_use]
    pub fn errors(&self) -> usize {
        self.diagnostics
            .iter()
            .filter(|d| d.severity == Severity::Error)
            .count()
    }
}

/// One compilation unit of a translated tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleTranslation {
    /// Which one.
    pub module: Module,
    /// Its files, the `.cu` first, then the headers that it includes: indices into [`TreeTranslation::files`].
    pub files: Vec<usize>,
    /// Errors in all of them.
    pub errors: usize,
}

/// A translated tree.
#[derive(Debug, Clone)]
pub struct TreeTranslation {
    /// Where the CUDA tree came from.
    pub origin: Origin,
    /// Every file that the modules need, sorted by path.
    pub files: Vec<FileTranslation>,
    /// The modules that were asked for, sorted by name.
    pub modules: Vec<ModuleTranslation>,
}

/// A file that isn't as a translation makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// Path below the output folder.
    pub output: String,
    /// Its contents, or nothing if it isn't there or isn't text.
    pub found: Option<String>,
}

impl TreeTranslation {
    /// Every diagnostic, file by file.
    pub fn diagnostics(&self) -> impl Iterator<Item = &Diagnostic> {
        self.files.iter().flat_map(|file| &file.diagnostics)
    }

    /// How many diagnostics are errors.
    #[must_use]
    pub fn errors(&self) -> usize {
        self.files.iter().map(FileTranslation::errors).sum()
    }

    /// Writes every file below `out`, each at once or not at all. Files that already say the same are left alone, so
    /// that their times stay. Returns the paths that were written.
    ///
    /// # Errors
    /// [`TreeError::Write`] for the first file that can't be written.
    pub fn write(&self, out: &Path) -> Result<Vec<PathBuf>, TreeError> {
        let written = |file: &FileTranslation| {
            let path = out.join(&file.output);
            tree::write(&path, &file.text).map(|changed| changed.then_some(path))
        };
        let written: Result<Vec<_>, _> = self.files.par_iter().map(written).collect();
        Ok(written?.into_iter().flatten().collect())
    }

    /// The files below `out` that differ from this translation. Changes nothing.
    #[must_use]
    pub fn check(&self, out: &Path) -> Vec<Drift> {
        let drift = |file: &FileTranslation| {
            let found = std::fs::read_to_string(out.join(&file.output)).ok();
            (found.as_deref() != Some(&*file.text)).then(|| Drift {
                output: file.output.clone(),
                found,
            })
        };
        self.files.iter().filter_map(drift).collect()
    }
}

/// Translates the modules of a tree that `selected` names (see [`modules::select`]; nothing selects all) and every
/// header that they include. If the tree has no `.cu` file, all of its headers.
///
/// # Errors
/// [`TranslateError`] if a module isn't there or a file too long.
pub fn translate_tree(
    tree: &Tree,
    rules: &Rules,
    fixes: &Fixes,
    modules: &Modules,
    selected: &[String],
) -> Result<TreeTranslation, TranslateError> {
    let prepare = |file| {
        Prepared::new(file, rules).map_err(|source| TranslateError::TooLong {
            path: file.path.clone(),
            source,
        })
    };
    let prepared: Result<Vec<_>, _> = tree.files.par_iter().with_max_len(1).map(prepare).collect();
    let facts = Facts::new(prepared?);
    let inactive = inactive::regions(&facts, rules);

    let all = modules.of_tree(tree.files.iter().map(|f| f.path.as_str()));
    let mut units: Vec<(&Module, Vec<usize>)> = Vec::new();
    let mut wanted = vec![all.is_empty() || selected.is_empty(); tree.files.len()];
    for module in modules::select(&all, selected)? {
        let source = module.source();
        let Some(unit) = tree.files.iter().position(|f| f.path == source) else {
            continue;
        };
        let headers = facts.closures[unit].iter().filter(|f| *f != unit);
        let files: Vec<usize> = std::iter::once(unit).chain(headers).collect();
        files.iter().for_each(|file| wanted[*file] = true);
        units.push((module, files));
    }

    let version = tree.origin.version.as_deref().and_then(|v| v.parse().ok());
    let applicable: Vec<&Fix> = match (&tree.origin.package, version) {
        (Some(package), Some(version)) => fixes.for_version(package, version).collect(),
        _ => Vec::new(),
    };
    let chosen: Vec<usize> = (0..tree.files.len()).filter(|file| wanted[*file]).collect();
    let files: Vec<FileTranslation> = chosen
        .par_iter()
        // Files differ in length by a factor of a hundred: each is a piece of work of its own.
        .with_max_len(1)
        .map(|&index| {
            let file = &tree.files[index];
            let fixes: Vec<&Fix> = applicable
                .iter()
                .copied()
                .filter(|fix| fix.file == file.path)
                .collect();
            translate_file(&facts, index, &inactive[index], rules, &fixes, &tree.origin)
        })
        .collect();

    let place = |file: &usize| chosen.binary_search(file).ok();
    let modules = units
        .into_iter()
        .map(|(module, unit)| {
            let members: Vec<usize> = unit.iter().filter_map(place).collect();
            let errors = members.iter().map(|file| files[*file].errors()).sum();
            ModuleTranslation {
                module: module.clone(),
                files: members,
                errors,
            }
        })
        .collect();
    Ok(TreeTranslation {
        origin: tree.origin.clone(),
        files,
        modules,
    })
}

/// Reads a folder and translates it: [`Tree::read`] and [`translate_tree`].
///
/// # Errors
/// As those two.
pub fn translate_dir(
    root: &Path,
    rules: &Rules,
    fixes: &Fixes,
    modules: &Modules,
    selected: &[String],
) -> Result<TreeTranslation, TranslateError> {
    translate_tree(&Tree::read(root)?, rules, fixes, modules, selected)
}

fn translate_file(
    facts: &Facts<'_, '_>,
    index: usize,
    inactive: &[Range<u32>],
    rules: &Rules,
    fixes: &[&Fix],
    origin: &Origin,
) -> FileTranslation {
    let file = &facts.files[index];
    let again = is_translated(&file.file.text);
    let mut pass = Pass::new(facts, index, file, inactive, rules);
    pass.truncation();
    let applied = if again { Vec::new() } else { pass.fixes(fixes) };
    pass.run();
    if !again {
        pass.unused_bounds();
    }
    let launch = pass.launch;
    let (edits, diagnostics) = pass.finish();
    let mut text = String::new();
    if !again {
        text = origin.notice(&file.file.path);
        for id in &applied {
            text.push_str("// Fixed: ");
            text.push_str(id);
            text.push('\n');
        }
        if let Some(bounds) = launch.and_then(Launch::definition) {
            text.push_str(&bounds);
        }
        if let Some(prelude) = rules.prelude() {
            text.push_str(&format!("#include <{prelude}>\n"));
        }
        text.push_str(&format!(
            "#line 1 \"{}/{}\"\n",
            origin.label, file.file.path
        ));
    }
    text.push_str(&edit::apply(&file.file.text, &edits));
    FileTranslation {
        source: file.file.path.clone(),
        output: file.file.output_path(),
        text,
        edits,
        diagnostics,
        fixes: applied,
    }
}

/// The passes over one file share this.
struct Pass<'a, 'f, 't, 'r> {
    facts: &'a Facts<'t, 'r>,
    index: usize,
    file: &'a Prepared<'f, 'r>,
    rules: &'r Rules,
    edits: Edits,
    reports: Reports<'a>,
    /// What `launch.toml` says, if the file is a module and no translation.
    launch: Option<&'r Launch>,
    /// The kernels of the file, with `*` for what a macro's caller gives.
    declared_kernels: Vec<String>,
    /// Tokens that a pass has dealt with.
    claimed: Vec<bool>,
}

impl<'a, 'f, 't, 'r> Pass<'a, 'f, 't, 'r> {
    fn new(
        facts: &'a Facts<'t, 'r>,
        index: usize,
        file: &'a Prepared<'f, 'r>,
        inactive: &'a [Range<u32>],
        rules: &'r Rules,
    ) -> Self {
        Pass {
            facts,
            index,
            file,
            rules,
            edits: Edits::default(),
            reports: Reports::new(file.file, inactive),
            launch: rules
                .launch(&facts.files[index].file.path)
                .filter(|_| !is_translated(&file.file.text)),
            declared_kernels: Vec::new(),
            claimed: vec![false; file.lexed.tokens.len()],
        }
    }

    fn run(&mut self) {
        let file = self.file;
        for directive in &file.lexed.directives {
            let operands = file.lexed.operands(directive);
            match directive.kind {
                DirectiveKind::Include => {
                    if !self.include(directive) {
                        self.stream(operands, true);
                    }
                }
                DirectiveKind::If | DirectiveKind::Elif => {
                    self.condition(operands);
                    self.stream(operands, true);
                }
                DirectiveKind::Ifdef | DirectiveKind::Elifdef => {
                    self.ifdef(directive);
                    self.stream(operands, true);
                }
                DirectiveKind::Define | DirectiveKind::Undef => {
                    // A tree may define what its conditions ask; the question is still answered by `guards.toml`.
                    let own = operands
                        .first()
                        .is_some_and(|t| self.rules.guards().is_subject(file.raw(*t)));
                    self.stream(&operands[usize::from(own)..], true);
                }
                DirectiveKind::Pragma => self.stream(operands, true),
                DirectiveKind::Else
                | DirectiveKind::Endif
                | DirectiveKind::Line
                | DirectiveKind::Error
                | DirectiveKind::Other => {}
            }
        }
        self.tiles(&file.lexed.code);
        self.stream(&file.lexed.code, false);
    }

    /// Names, then what consists of names: calls that are written anew, and `asm`.
    fn stream(&mut self, stream: &[u32], in_directive: bool) {
        self.kernels(stream, in_directive);
        let calls = self.names(stream);
        self.calls(stream, &calls, in_directive);
        self.asm(stream, in_directive);
    }

    fn finish(self) -> (Vec<Edit>, Vec<Diagnostic>) {
        (self.edits.finish(), self.reports.finish())
    }

    /// Replaces a token that splices may cut. They stay behind it, without a blank: in a `#define` that would make another
    /// macro of `NAME(x)`.
    fn put(&mut self, span: Range<u32>, text: impl Into<String>, cause: Cause) {
        let mut text = text.into();
        for _ in 0..self.text(&span).matches('\n').count() {
            text.push_str("\\\n");
        }
        self.edits.push(span, text, cause);
    }

    /// The bytes from the start of one token to the end of another.
    fn span(&self, first: u32, last: u32) -> Range<u32> {
        self.file.lexed.token(first).start..self.file.lexed.token(last).end
    }

    fn text(&self, span: &Range<u32>) -> &'f str {
        &self.file.lexed.text()[span.start as usize..span.end as usize]
    }
}

/// `text` with as many newlines at its end as it lacks to have those of `original`; inside of a directive they are
/// spliced.
fn keep_lines(mut text: String, original: &str, in_directive: bool) -> String {
    let count = |s: &str| s.bytes().filter(|b| *b == b'\n').count();
    for _ in count(&text)..count(original) {
        text.push_str(if in_directive { " \\\n" } else { "\n" });
    }
    text
}

/// `template` with each `$k` replaced by the operand of that number, and `$*` by all of them. The first use of an
/// operand keeps its lines; later ones are put on one line, so that lines don't multiply. `Err` is a number that there
/// is no operand for. `first` is the number of the first operand.
fn fill(template: &str, operands: &[String], first: usize) -> Result<String, usize> {
    let mut out = String::with_capacity(template.len() * 2);
    let mut used = vec![false; operands.len()];
    let mut put = |out: &mut String, number: usize| {
        let index = number
            .checked_sub(first)
            .filter(|i| *i < operands.len())
            .ok_or(number)?;
        let text = &operands[index];
        if std::mem::replace(&mut used[index], true) {
            let flat = significant_text(text, true).unwrap_or_else(|_| text.clone());
            out.push_str(flat.replace('\n', " ").trim_end());
        } else {
            out.push_str(text);
        }
        Ok::<(), usize>(())
    };
    let mut rest = template;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(tail) = rest.strip_prefix('*') {
            for index in 0..operands.len() {
                if index > 0 {
                    out.push_str(", ");
                }
                put(&mut out, first + index)?;
            }
            rest = tail;
            continue;
        }
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        match rest[..digits].parse() {
            Ok(number) => put(&mut out, number)?,
            Err(_) => out.push('$'),
        }
        rest = &rest[digits..];
    }
    out.push_str(rest);
    Ok(out)
}
