//! `hipify-candle inspect`

use std::fs;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde_json::json;
use walkdir::WalkDir;

use super::output::print_document;
use super::{Failure, Format, Global, Outcome};
use crate::files::write_changed;
use crate::inspect::{Comparison, Disassembler, File, Listings, Selection, Sources};
use crate::rules::Glob;

mod html;
mod human;

/// The extension of bundles.
const BUNDLE: &str = "hipfb";

/// Look into bundles, code objects and programs that embed them
///
/// A folder stands for the bundles (*.hipfb) in it. Exit code 1 says that something is damaged, or with --diff that a
/// kernel is gone, takes other arguments, spills more or has fewer waves.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Bundles, code objects, programs, folders of bundles
    #[arg(value_name = "FILE", required_unless_present = "diff")]
    files: Vec<PathBuf>,
    /// Only kernels whose names fit a pattern (dequantize_*), with arguments and instructions
    ///
    /// A name is the symbol, or what C++ makes of a mangled one, with or without parameters (ns::scale<*).
    #[arg(long = "kernel", short, value_name = "GLOB", value_delimiter = ',')]
    kernels: Vec<String>,
    /// Only code objects for these target ids; may be patterns (gfx11*)
    #[arg(long = "arch", value_name = "GLOB", value_delimiter = ',')]
    targets: Vec<String>,
    /// Compare two builds: what grew, what spilled, which kernels are new and gone
    #[arg(long, num_args = 2, value_names = ["A", "B"], conflicts_with_all = ["files", "disasm", "html"])]
    diff: Option<Vec<PathBuf>>,
    /// Print a kernel's instructions between the HIP and CUDA lines that they come from
    ///
    /// KERNEL is a symbol, or a C++ name with or without parameters and template arguments (ns::scale).
    /// Code objects have lines if they were built with `build --hipcc-flag=-gline-tables-only`.
    #[arg(long, value_name = "KERNEL", conflicts_with_all = ["kernels", "html"])]
    disasm: Option<String>,
    /// A folder of sources that was built, besides the pinned candle-kernels
    #[arg(long, value_name = "DIR", requires = "disasm")]
    sources: Vec<PathBuf>,
    /// Where translated sources lie, if not in the work dir
    #[arg(long, value_name = "DIR", requires = "disasm")]
    translated: Option<PathBuf>,
    /// Write one self-contained page with plots to a file; `-` is standard output
    #[arg(long, value_name = "PAGE")]
    html: Option<PathBuf>,
    /// Don't count instructions, which needs llvm-objdump and takes the longest
    #[arg(long)]
    no_instructions: bool,
}

pub(super) fn run(args: &Args, global: &Global) -> Result<Outcome, Failure> {
    if let Some(name) = &args.disasm {
        return disassemble(args, name, global);
    }
    let inputs = Inputs::of(args)?;
    if let Some([before, after]) = args.diff.as_deref() {
        let (before, after) = (inputs.read(&[before])?, inputs.read(&[after])?);
        let comparison = Comparison::of(&before, &after);
        let damaged = human::print_problems(before.iter().chain(&after))?;
        match global.format {
            Format::Json => print_document(json!(comparison))?,
            Format::Human | Format::Html => human::print_comparison(&comparison)?,
        }
        return Ok(outcome(damaged || comparison.is_worse()));
    }
    let files = inputs.read(&args.files)?;
    match (&args.html, global.format) {
        (Some(page), _) if page == Path::new("-") => {
            print_document(html::page(&files))?;
        }
        (Some(page), _) => {
            write_changed(page, html::page(&files).as_bytes())?;
            eprintln!("wrote {}", page.display());
        }
        (None, Format::Json) => print_document(json!({ "files": files }))?,
        (None, Format::Human | Format::Html) => human::print(&files, !args.kernels.is_empty())?,
    }
    let damaged = human::print_problems(&files)?;
    let asked_in_vain = !args.kernels.is_empty() && kernels(&files) == 0;
    if asked_in_vain {
        return Err(
            Failure::new(format!("no kernel fits {}", args.kernels.join(", "))).help(
                "patterns have to fit the whole name: `*dot*` finds names with `dot` in them",
            ),
        );
    }
    Ok(outcome(damaged))
}

fn outcome(problems: bool) -> Outcome {
    if problems {
        Outcome::Problems
    } else {
        Outcome::Fine
    }
}

fn kernels(files: &[File]) -> usize {
    let code_objects = files.iter().flat_map(File::code_objects);
    code_objects.map(|(_, object)| object.kernels.len()).sum()
}

/// How files are read.
struct Inputs {
    selection: Selection,
    disassembler: Option<Result<Disassembler, crate::inspect::DisassemblerError>>,
}

impl Inputs {
    fn of(args: &Args) -> Result<Self, Failure> {
        let globs = |patterns: &[String]| -> Result<Vec<Glob>, Failure> {
            let globs = patterns.iter().map(|pattern| Glob::new(pattern));
            globs.collect::<Result<_, _>>().map_err(Failure::new)
        };
        Ok(Inputs {
            selection: Selection {
                kernels: globs(&args.kernels)?,
                targets: globs(&args.targets)?,
            },
            disassembler: (!args.no_instructions && args.disasm.is_none()).then(Disassembler::find),
        })
    }

    /// Reads files, and of folders the bundles, several at once.
    fn read(&self, paths: &[impl AsRef<Path>]) -> Result<Vec<File>, Failure> {
        let mut found = Vec::new();
        for path in paths {
            found.extend(files_of(path.as_ref())?);
        }
        let files: Vec<Result<File, Failure>> = found
            .par_iter()
            .map(|(name, path)| {
                let bytes = read(path)?;
                let disassembler = self.disassembler.as_ref();
                File::read(name, &bytes, &self.selection, disassembler).map_err(|error| {
                    Failure::new(error).help(
                        "`hipify-candle build` and `hipcc --genco` make bundles; programs that hipcc links embed them",
                    )
                })
            })
            .collect();
        files.into_iter().collect()
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| Failure::new(format!("cannot read {}: {error}", path.display())))
}

/// A file itself, or the bundles in a folder with their paths below it, in order.
fn files_of(path: &Path) -> Result<Vec<(String, PathBuf)>, Failure> {
    if !path.is_dir() {
        return Ok(vec![(path.display().to_string(), path.to_owned())]);
    }
    let mut files = Vec::new();
    for entry in WalkDir::new(path).sort_by_file_name() {
        let entry = entry?;
        let is_bundle = entry.path().extension().is_some_and(|e| e == BUNDLE);
        if entry.file_type().is_file() && is_bundle {
            let below = entry.path().strip_prefix(path).unwrap_or(entry.path());
            files.push((below.display().to_string(), entry.path().to_owned()));
        }
    }
    if files.is_empty() {
        return Err(
            Failure::new(format!("no bundles (*.{BUNDLE}) in {}", path.display()))
                .help("`hipify-candle build` writes them; name files of other kinds one by one"),
        );
    }
    Ok(files)
}

fn disassemble(args: &Args, kernel: &str, global: &Global) -> Result<Outcome, Failure> {
    let work = global.work_dir()?;
    let mut roots = args.sources.clone();
    let mut translated: Vec<PathBuf> = args.translated.iter().cloned().collect();
    translated.extend(roots.iter().map(|folder| work.hip_of(folder)));
    translated.push(work.hip());
    roots.push(work.root().join("kernels-cuda"));
    roots.extend(work.checkout().map(Path::to_owned));
    let sources = Sources::open(roots, &translated);
    let inputs = Inputs::of(args)?;
    let disassembler = Disassembler::find().map_err(|error| {
        Failure::new(error).help("`cargo xtask setup` installs LLVM; or put llvm-objdump on PATH")
    })?;
    let mut listings = Listings::default();
    for path in &args.files {
        for (name, path) in files_of(path)? {
            let bytes = read(&path)?;
            listings.add(
                &name,
                &bytes,
                kernel,
                &inputs.selection,
                &disassembler,
                &sources,
            )?;
        }
    }
    if listings.listings.is_empty() {
        let failure = Failure::new(format!("no kernel `{kernel}`"));
        return Err(match listings.nearest(kernel) {
            Some(name) => failure.help(format!("there is `{name}`")),
            None => failure,
        });
    }
    match global.format {
        Format::Json => print_document(json!({ "listings": listings.listings }))?,
        Format::Human | Format::Html => human::print_listings(&listings.listings)?,
    }
    for problem in &listings.problems {
        eprintln!("{problem}");
    }
    Ok(outcome(!listings.problems.is_empty()))
}
