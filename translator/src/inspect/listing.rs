//! A kernel's machine code between the lines of source that it comes from.
//!
//! Line tables of translated files name CUDA lines, because every translation starts with a `#line`; the HIP line is
//! found through that `#line` in the translated file. Which line an instruction belongs to is known to `codeobject`.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use codeobject::bundle::Bundle;
use codeobject::embedded::{self, Image};
use codeobject::{CodeObject, InlineTable, Kernel, LineTable, Location};
use serde::Serialize;
use walkdir::WalkDir;

use super::disassemble::{Disassembler, DisassemblerError, Instruction};
use super::{NothingFound, Selection, demangle};

/// How many lines of a translated file may stand before its `#line`.
const HEADER: usize = 64;

/// A kernel's machine code with its sources.
#[derive(Debug, Clone, Serialize)]
pub struct Listing {
    /// The file.
    pub file: String,
    /// What the code object was built for.
    pub target: String,
    /// The kernel's symbol.
    pub kernel: String,
    /// What C++ calls it, if the symbol is mangled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub demangled: Option<String>,
    /// Whether the code object says which lines its code comes from.
    pub has_lines: bool,
    /// Instructions in the order of their addresses, before each stretch its source.
    pub lines: Vec<Line>,
}

/// A row of a listing.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// The source of the instructions that follow.
    Source(Box<Source>),
    /// An instruction.
    Instruction(Instruction),
}

/// Where instructions come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Source {
    /// The file as the line table names it.
    pub path: String,
    /// The line, 0 for code that belongs to none.
    pub line: u32,
    /// The column, 0 if it is not known.
    pub column: u32,
    /// `cuda` for a translated file, `hip` for any other.
    pub language: &'static str,
    /// The line's text, if the file was found.
    pub text: Option<String>,
    /// The line of the translated file, where it differs from the CUDA line.
    pub hip: Option<HipLine>,
    /// The functions that the code belongs to, the innermost first.
    pub frames: Vec<Frame>,
}

/// A line of a translated file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HipLine {
    /// The file.
    pub path: PathBuf,
    /// The line.
    pub line: u32,
    /// Its text.
    pub text: String,
}

/// A function that code belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Frame {
    /// Its name.
    pub function: String,
    /// Where it was called, if it was inlined.
    pub call: Option<String>,
}

/// The text of sources, wherever they lie.
#[derive(Debug)]
pub struct Sources {
    roots: Vec<PathBuf>,
    /// By the name that a `#line` gives the CUDA file: the translated file and the line behind the `#line`.
    translated: HashMap<String, (PathBuf, u32)>,
    texts: RefCell<HashMap<PathBuf, Option<Rc<Vec<String>>>>>,
}

impl Sources {
    /// Sources that lie below one of `roots`, and translated files below one of `translated`, of which the first that has
    /// a file counts. Folders that are not there hold nothing.
    #[must_use]
    pub fn open(roots: Vec<PathBuf>, translated: &[PathBuf]) -> Self {
        let mut sources = Sources {
            roots,
            translated: HashMap::new(),
            texts: RefCell::default(),
        };
        let folders = translated.iter();
        for entry in folders.flat_map(|folder| WalkDir::new(folder).sort_by_file_name()) {
            let Ok(entry) = entry else { continue };
            if entry.file_type().is_file()
                && let Some(text) = sources.text(entry.path())
                && let Some((at, name)) = text
                    .iter()
                    .take(HEADER)
                    .enumerate()
                    .find_map(|(at, line)| Some((at, line_directive(line)?)))
            {
                let behind = u32::try_from(at + 2).unwrap_or(u32::MAX);
                let place = (entry.path().to_owned(), behind);
                sources.translated.entry(name.to_owned()).or_insert(place);
            }
        }
        sources
    }

    /// The lines of a file, read once.
    fn text(&self, path: &Path) -> Option<Rc<Vec<String>>> {
        let read = || {
            let text = fs::read_to_string(path).ok()?;
            Some(Rc::new(text.lines().map(str::to_owned).collect()))
        };
        let mut texts = self.texts.borrow_mut();
        texts.entry(path.to_owned()).or_insert_with(read).clone()
    }

    fn line(&self, path: &Path, line: u32) -> Option<String> {
        let index = usize::try_from(line).ok()?.checked_sub(1)?;
        self.text(path)?.get(index).cloned()
    }

    /// The line of a file that a line table names: as it is, or with leading folders dropped, below a root.
    fn find_line(&self, name: &str, line: u32) -> Option<String> {
        let path = Path::new(name);
        if path.is_absolute()
            && let Some(text) = self.line(path, line)
        {
            return Some(text);
        }
        let parts: Vec<_> = path.components().collect();
        (0..parts.len()).find_map(|from| {
            let tail: PathBuf = parts[from..].iter().collect();
            let mut roots = self.roots.iter().filter(|_| tail.is_relative());
            roots.find_map(|root| self.line(&root.join(&tail), line))
        })
    }

    /// The name that a `#line` gives a file, and the translated file.
    fn translation(&self, path: &str) -> Option<(&str, &Path, u32)> {
        let mut tail = path;
        loop {
            if let Some((name, (hip, behind))) = self.translated.get_key_value(tail) {
                return Some((name, hip, *behind));
            }
            tail = tail.split_once('/')?.1;
        }
    }

    fn source(&self, location: Location<'_>, frames: Vec<Frame>) -> Source {
        let full = location.path();
        let translation = self.translation(&full);
        let cuda_text = self.find_line(&full, location.line);
        let hip = translation.and_then(|(_, path, behind)| {
            let line = (location.line.checked_sub(1)?).checked_add(behind)?;
            let text = self.line(path, line)?;
            Some(HipLine {
                path: path.to_owned(),
                line,
                text,
            })
        });
        Source {
            path: translation
                .map_or_else(|| location.file.to_owned(), |(name, ..)| name.to_owned()),
            line: location.line,
            column: location.column,
            language: if translation.is_some() || full.ends_with(".cu") || full.ends_with(".cuh") {
                "cuda"
            } else {
                "hip"
            },
            hip: hip.filter(|hip| cuda_text.as_ref() != Some(&hip.text)),
            text: cuda_text,
            frames,
        }
    }
}

/// The file that `#line 1 "file"` names.
fn line_directive(line: &str) -> Option<&str> {
    let name = line.strip_prefix("#line 1 \"")?;
    name.strip_suffix('"')
}

/// The listings of a kernel in all code objects of several files.
#[derive(Debug, Default)]
pub struct Listings {
    /// The listings.
    pub listings: Vec<Listing>,
    /// Bundles and code objects that can't be read.
    pub problems: Vec<String>,
    names: BTreeSet<String>,
}

impl Listings {
    /// Adds the kernel's code from each code object of a file that has it: of the kernel with this symbol, or else of all
    /// that C++ calls so, with or without parameters and template arguments.
    ///
    /// # Errors
    /// [`ListingError`] if the file holds no code object at all or can't be disassembled.
    pub fn add(
        &mut self,
        file: &str,
        bytes: &[u8],
        kernel: &str,
        selection: &Selection,
        disassembler: &Disassembler,
        sources: &Sources,
    ) -> Result<(), ListingError> {
        // What it is and whether it is damaged, as for any report.
        let report = super::File::read(file, bytes, selection, None)?;
        self.problems.extend(report.problems());
        let wanted = |code_object: &CodeObject<'_>| {
            let own = code_object.target().to_string();
            report.code_objects().any(|(_, other)| other.target == own)
        };
        let mut add = |data: &[u8]| match CodeObject::parse(data) {
            Ok(code_object) if wanted(&code_object) => {
                self.add_code_object(file, &code_object, kernel, disassembler, sources)
            }
            _ => Ok(()),
        };
        for image in embedded::find(bytes) {
            match image {
                Image::CodeObject(found) => add(found.bytes)?,
                Image::Bundle(found) => {
                    let Ok(bundle) = Bundle::parse(found.bytes) else {
                        continue;
                    };
                    let mut seen = BTreeSet::new();
                    for entry in bundle.code_objects() {
                        if seen.insert((entry.offset, entry.data.len())) {
                            add(entry.data)?;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn add_code_object(
        &mut self,
        file: &str,
        code_object: &CodeObject<'_>,
        name: &str,
        disassembler: &Disassembler,
        sources: &Sources,
    ) -> Result<(), ListingError> {
        let kernels: Vec<&Kernel> = match code_object.kernel(name) {
            Some(kernel) => vec![kernel],
            None => {
                let all = code_object.kernels().iter();
                all.filter(|kernel| demangle::is_called(&kernel.name, name))
                    .collect()
            }
        };
        if kernels.is_empty() {
            for kernel in code_object.kernels() {
                self.names.insert(kernel.name.clone());
                self.names.extend(demangle::bare(&kernel.name));
            }
            return Ok(());
        }
        let lines = code_object.line_table();
        let inlines = code_object.inline_table();
        for error in [lines.as_ref().err(), inlines.as_ref().err()] {
            let problem = error.map(|error| format!("{file}: {error}"));
            self.problems.extend(problem);
        }
        let (lines, inlines) = (lines.unwrap_or_default(), inlines.unwrap_or_default());
        for kernel in kernels {
            let end = match kernel.code_size {
                0 => code_object.text().end,
                size => kernel.entry_address.saturating_add(size),
            };
            let range = kernel.entry_address..end;
            let instructions = disassembler.instructions(code_object.as_bytes(), range)?;
            self.listings.push(Listing {
                file: file.to_owned(),
                target: code_object.target().to_string(),
                kernel: kernel.name.clone(),
                demangled: demangle::demangle(&kernel.name),
                has_lines: lines.ranges().next().is_some(),
                lines: interleave(instructions, &lines, &inlines, sources),
            });
        }
        Ok(())
    }

    /// The name that is most like one for which there is no kernel.
    #[must_use]
    pub fn nearest(&self, name: &str) -> Option<&str> {
        let alike = |other: &&String| {
            let ratio = similar::TextDiff::from_chars(name, other.as_str()).ratio();
            // Compared as a whole number: ratios are not ordered.
            (ratio * 1e6) as u64
        };
        self.names.iter().max_by_key(alike).map(String::as_str)
    }
}

/// No listing can be made.
#[derive(Debug, thiserror::Error)]
pub enum ListingError {
    /// The file holds no code object.
    #[error(transparent)]
    Nothing(#[from] NothingFound),
    /// The code can't be disassembled.
    #[error(transparent)]
    Disassembler(#[from] DisassemblerError),
}

fn interleave(
    instructions: Vec<Instruction>,
    table: &LineTable<'_>,
    inlines: &InlineTable<'_>,
    sources: &Sources,
) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut current: Option<Source> = None;
    for instruction in instructions {
        let source = table.location(instruction.address).map(|location| {
            let frames = inlines.frames(instruction.address);
            let frames = frames.map(|frame| Frame {
                function: frame.function.to_owned(),
                call: frame.call.map(|call| call.to_string()),
            });
            sources.source(location, frames.collect())
        });
        // Code that belongs to no line stays with what stands before it.
        if let Some(source) = source.filter(|source| source.line > 0)
            && current.as_ref() != Some(&source)
        {
            lines.push(Line::Source(Box::new(source.clone())));
            current = Some(source);
        }
        lines.push(Line::Instruction(instruction));
    }
    lines
}
