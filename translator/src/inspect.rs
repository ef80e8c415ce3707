//! What is in a bundle, a code object, or a program that embeds them: reports for people and programs.
//!
//! [`File::read`] tells what the bytes alone say (entries, kernels, arguments, registers, occupancy); [`Disassembler`]
//! adds what needs a tool (the instructions); [`Comparison`] sets two builds side by side; [`Listing`] is one kernel's
//! machine code between the lines that it was compiled from. The facts come from the crate `codeobject`. How a report
//! looks is not known here, and neither is how anything was built.

use codeobject::bundle::{self, Bundle};
use codeobject::embedded::{self, Image};
use codeobject::{Arg, ArgKind, CodeObject, HiddenArg, Kernel, Occupancy};
use serde::Serialize;

use crate::cache::Digest;
use crate::rules::Glob;

mod compare;
mod demangle;
mod disassemble;
mod listing;
mod mix;

pub use compare::{Change, Comparison, Difference, Kind, Pair};
pub use disassemble::{Disassembler, DisassemblerError, Instruction};
pub use listing::{Frame, HipLine, Line, Listing, ListingError, Listings, Source, Sources};
pub use mix::{Class, Mix};

/// A file that was asked about.
#[derive(Debug, Clone, Serialize)]
pub struct File {
    /// The path, or in a folder the path below it.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// The bundles and code objects in it, in the order of their places.
    pub images: Vec<ImageReport>,
}

/// A bundle or a bare code object.
#[derive(Debug, Clone, Serialize)]
pub struct ImageReport {
    /// Where it begins in the file.
    pub offset: u64,
    /// Its size in the file.
    pub bytes: u64,
    /// What it is.
    pub form: Form,
    /// The size of a compressed bundle when restored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restored_bytes: Option<u64>,
    /// Its entries; a bare code object is an entry without an id.
    pub entries: Vec<Entry>,
    /// Why it can't be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// What an image is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// An offload bundle.
    Bundle,
    /// A compressed offload bundle.
    CompressedBundle,
    /// A code object without a bundle.
    CodeObject,
}

impl Form {
    /// The form in words.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Form::Bundle => "bundle",
            Form::CompressedBundle => "compressed bundle",
            Form::CodeObject => "code object",
        }
    }
}

/// An entry of a bundle.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    /// The id as the bundle spells it; none for a bare code object.
    pub id: Option<String>,
    /// The target id, of the entry or else of the code object.
    pub target: Option<String>,
    /// Where it begins in the (restored) bundle.
    pub offset: u64,
    /// Its size.
    pub bytes: u64,
    /// The id of an earlier entry that shares its bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub same_as: Option<String>,
    /// What it holds. None for a host entry, and for one that can't be read.
    pub code_object: Option<CodeObjectReport>,
    /// Why the code object can't be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// A code object.
#[derive(Debug, Clone, Serialize)]
pub struct CodeObjectReport {
    /// What it was built for.
    pub target: String,
    /// The code object version.
    pub version: u8,
    /// Digest of its bytes.
    pub sha256: Digest,
    /// The size of its code, functions that kernels call and padding included.
    pub text_bytes: u64,
    /// Whether it says which source lines its code comes from.
    pub has_lines: bool,
    /// Why no instructions were counted; none if they were, or if nobody asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_instructions: Option<String>,
    /// How many kernels it has, also those that were not asked for.
    pub kernel_count: usize,
    /// Its kernels, in the order of the metadata.
    pub kernels: Vec<KernelReport>,
}

/// A kernel.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KernelReport {
    /// Its symbol.
    pub name: String,
    /// What C++ calls it, with its parameters, if the symbol is mangled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub demangled: Option<String>,
    /// The arguments that a caller supplies.
    pub args: Vec<ArgReport>,
    /// The size of the kernarg segment, hidden arguments included.
    pub kernarg_bytes: u64,
    /// What the runtime supplies besides.
    pub hidden_args: Vec<HiddenArg>,
    /// Vector registers; where the register file is unified, accumulation registers included.
    pub vgprs: u32,
    /// Accumulation registers.
    pub agprs: u32,
    /// Scalar registers.
    pub sgprs: u32,
    /// LDS of a work-group, in bytes, without what a launch adds.
    pub lds: u32,
    /// Scratch of a work-item, in bytes.
    pub scratch: u32,
    /// Whether scratch is not known from the code alone.
    pub dynamic_stack: bool,
    /// Vector registers that were spilled.
    pub vgpr_spills: u32,
    /// Scalar registers that were spilled.
    pub sgpr_spills: u32,
    /// The most work-items that a work-group may have.
    pub max_group: u32,
    /// The work-group size that the source requires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub required_group: Option<[u32; 3]>,
    /// Work-items of a wave.
    pub wavefront: u32,
    /// Waves of a SIMD at the largest work-group, without dynamic LDS; none where the processor's limits are not known.
    pub occupancy: Option<Occupancy>,
    /// The size of its code, 0 if it has no symbol.
    pub code_bytes: u64,
    /// Its instructions by class, if they were counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mix: Option<Mix>,
    /// The addresses of its code.
    #[serde(skip)]
    code: std::ops::Range<u64>,
}

/// An argument of a kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ArgReport {
    /// Its name in the source; optimised HIP code has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its type: as the source has it if that is known, otherwise what the metadata implies.
    #[serde(rename = "type")]
    pub ty: String,
    /// Where it lies in the kernarg segment.
    pub offset: u32,
    /// Its size in bytes.
    pub size: u32,
    /// What it is.
    pub kind: ArgKind,
}

impl ArgReport {
    fn new(arg: &Arg) -> Self {
        let ty = match (&arg.type_name, &arg.kind) {
            (Some(name), _) => name.trim_end_matches('*').to_owned() + stars(name),
            (None, ArgKind::GlobalBuffer) => {
                let constant = if arg.is_const { "const " } else { "" };
                let restrict = if arg.is_restrict { " restrict" } else { "" };
                format!("{constant}global*{restrict}")
            }
            (None, ArgKind::DynamicSharedPointer) => "lds*".to_owned(),
            (None, ArgKind::ByValue) => format!("{} bytes", arg.size),
            (None, kind) => format!("{kind:?}").to_lowercase(),
        };
        ArgReport {
            name: arg.name.clone(),
            ty,
            offset: arg.offset,
            size: arg.size,
            kind: arg.kind.clone(),
        }
    }

    /// The type and, if there is one, the name.
    #[must_use]
    pub fn declaration(&self) -> String {
        match &self.name {
            Some(name) => format!("{} {name}", self.ty),
            None => self.ty.clone(),
        }
    }
}

/// The stars at the end of a type's name.
fn stars(name: &str) -> &str {
    &name[name.trim_end_matches('*').len()..]
}

impl KernelReport {
    fn new(kernel: &Kernel, code_object: &CodeObject<'_>) -> Self {
        let occupancy = code_object
            .target()
            .known()
            .and_then(|p| kernel.occupancy(p, kernel.max_flat_workgroup_size, 0));
        let hidden = |arg: &Arg| match arg.kind {
            ArgKind::Hidden(HiddenArg::None) => None,
            ArgKind::Hidden(hidden) => Some(hidden),
            _ => None,
        };
        KernelReport {
            name: kernel.name.clone(),
            demangled: demangle::demangle(&kernel.name),
            args: kernel.explicit_args().map(ArgReport::new).collect(),
            kernarg_bytes: kernel.kernarg_segment_size,
            hidden_args: kernel.args.iter().filter_map(hidden).collect(),
            vgprs: kernel.vgpr_count,
            agprs: kernel.agpr_count,
            sgprs: kernel.sgpr_count,
            lds: kernel.group_segment_fixed_size,
            scratch: kernel.private_segment_fixed_size,
            dynamic_stack: kernel.uses_dynamic_stack,
            vgpr_spills: kernel.vgpr_spill_count,
            sgpr_spills: kernel.sgpr_spill_count,
            max_group: kernel.max_flat_workgroup_size,
            required_group: kernel.reqd_workgroup_size,
            wavefront: kernel.wavefront_size,
            occupancy,
            code_bytes: kernel.code_size,
            mix: None,
            code: kernel.entry_address..kernel.entry_address.saturating_add(kernel.code_size),
        }
    }

    /// All registers that were spilled.
    #[must_use]
    pub fn spills(&self) -> u32 {
        self.vgpr_spills.saturating_add(self.sgpr_spills)
    }

    /// Waves of a SIMD.
    #[must_use]
    pub fn waves(&self) -> Option<u32> {
        self.occupancy.map(|occupancy| occupancy.waves_per_simd)
    }

    /// `name(type, type name, ...)`.
    #[must_use]
    pub fn signature(&self) -> String {
        let args: Vec<String> = self.args.iter().map(ArgReport::declaration).collect();
        format!("{}({})", self.name, args.join(", "))
    }
}

/// What to look at.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Kernels whose symbols fit one of these, or whose C++ names do, with or without parameters; all if there are none.
    pub kernels: Vec<Glob>,
    /// Entries whose target ids fit one of these; all if there are none.
    pub targets: Vec<Glob>,
}

impl Selection {
    fn has_kernel(&self, name: &str) -> bool {
        let names = [demangle::demangle(name), demangle::bare(name)];
        fits(&self.kernels, name) || names.iter().flatten().any(|name| fits(&self.kernels, name))
    }

    fn has_target(&self, target: &str) -> bool {
        fits(&self.targets, target)
    }
}

fn fits(globs: &[Glob], name: &str) -> bool {
    globs.is_empty() || globs.iter().any(|glob| glob.matches(name))
}

/// A file holds nothing that could be looked at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} {}", self.what())]
pub struct NothingFound {
    /// The file.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Its first bytes, printable ones as text.
    pub start: String,
}

impl NothingFound {
    fn what(&self) -> String {
        if self.bytes == 0 {
            return "is empty".to_owned();
        }
        format!(
            "is neither an offload bundle nor a code object, and none is inside it: {} bytes that start with {}",
            self.bytes, self.start
        )
    }
}

impl File {
    /// Reads a file's bytes. With a disassembler, instructions are counted as well, which takes about half a second for a
    /// mebibyte of code. What is damaged is in the report, not an error.
    ///
    /// # Errors
    /// [`NothingFound`] if there is no trace of a bundle or a code object.
    pub fn read(
        name: &str,
        bytes: &[u8],
        selection: &Selection,
        disassembler: Option<&Result<Disassembler, DisassemblerError>>,
    ) -> Result<Self, NothingFound> {
        let reading = Reading {
            selection,
            disassembler,
        };
        let mut images: Vec<ImageReport> = embedded::find(bytes)
            .iter()
            .map(|image| reading.image(image))
            .collect();
        // The search passes over what is broken; at the start of the file it was meant to be read.
        let is_bundle = bytes.starts_with(bundle::MAGIC) || bundle::is_compressed(bytes);
        let is_claimed = is_bundle || embedded::is_code_object(bytes);
        if is_claimed && images.first().is_none_or(|first| first.offset != 0) {
            let whole = bundle::Found { offset: 0, bytes };
            let image = if is_bundle {
                Image::Bundle(whole)
            } else {
                Image::CodeObject(whole)
            };
            images.insert(0, reading.image(&image));
        }
        if images.is_empty() {
            let start = &bytes[..bytes.len().min(16)];
            return Err(NothingFound {
                name: name.to_owned(),
                bytes: bytes.len() as u64,
                start: format!("\"{}\"", start.escape_ascii()),
            });
        }
        Ok(File {
            name: name.to_owned(),
            bytes: bytes.len() as u64,
            images,
        })
    }

    /// What can't be read in it, with the place.
    pub fn problems(&self) -> impl Iterator<Item = String> + '_ {
        self.images.iter().flat_map(move |image| {
            let place = match image.offset {
                0 => self.name.clone(),
                offset => format!("{} at {offset:#x}", self.name),
            };
            let own = image.problem.iter().map({
                let place = place.clone();
                move |problem| format!("{place}: {problem}")
            });
            let entries = image.entries.iter().filter_map(move |entry| {
                let problem = entry.problem.as_ref()?;
                Some(match &entry.id {
                    Some(id) => format!("{place}, entry {id}: {problem}"),
                    None => format!("{place}: {problem}"),
                })
            });
            own.chain(entries)
        })
    }

    /// Its entries that hold a code object, of all images.
    pub fn code_objects(&self) -> impl Iterator<Item = (&Entry, &CodeObjectReport)> {
        let entries = self.images.iter().flat_map(|image| &image.entries);
        entries.filter_map(|entry| Some((entry, entry.code_object.as_ref()?)))
    }
}

/// What [`File::read`] was asked for.
struct Reading<'a> {
    selection: &'a Selection,
    disassembler: Option<&'a Result<Disassembler, DisassemblerError>>,
}

impl Reading<'_> {
    fn image(&self, image: &Image<'_>) -> ImageReport {
        let found = image.found();
        let mut report = ImageReport {
            offset: found.offset as u64,
            bytes: found.bytes.len() as u64,
            form: Form::CodeObject,
            restored_bytes: None,
            entries: Vec::new(),
            problem: None,
        };
        if matches!(image, Image::CodeObject(_)) {
            report.entries.extend(self.entry(None, None, found.bytes));
            return report;
        }
        report.form = if bundle::is_compressed(found.bytes) {
            Form::CompressedBundle
        } else {
            Form::Bundle
        };
        match Bundle::parse(found.bytes) {
            Ok(bundle) => {
                if bundle.was_compressed() {
                    report.restored_bytes = Some(bundle.as_bytes().len() as u64);
                }
                // What was restored is told nevertheless: it may be whole but for a byte.
                let verified = bundle::verify(found.bytes);
                report.problem = verified.err().map(|e| format!("a damaged bundle: {e}"));
                report.entries = self.entries(&bundle);
            }
            Err(error) => report.problem = Some(format!("a damaged bundle: {error}")),
        }
        report
    }

    fn entries(&self, bundle: &Bundle<'_>) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::new();
        for entry in bundle.entries() {
            let target = entry.target().map(ToString::to_string);
            let place = (entry.offset as u64, entry.data.len() as u64);
            // A bundle may store equal code objects once.
            let twin = entries
                .iter()
                .find(|other| place.1 > 0 && (other.offset, other.bytes) == place)
                .cloned();
            let report = match twin {
                Some(twin)
                    if self
                        .selection
                        .has_target(target.as_deref().unwrap_or_default()) =>
                {
                    Some(Entry {
                        target,
                        same_as: twin.id.clone(),
                        ..twin
                    })
                }
                _ => self.entry(Some(entry.id.is_hip()), target, entry.data),
            };
            entries.extend(report.map(|report| Entry {
                id: Some(entry.id.to_string()),
                offset: place.0,
                ..report
            }));
        }
        entries
    }

    /// Reports on an entry's bytes; `None` if its target wasn't asked for. `is_hip` says what a bundle's id claims.
    fn entry(&self, is_hip: Option<bool>, target: Option<String>, data: &[u8]) -> Option<Entry> {
        let mut entry = Entry {
            id: None,
            target,
            offset: 0,
            bytes: data.len() as u64,
            same_as: None,
            code_object: None,
            problem: None,
        };
        if let Some(target) = &entry.target
            && !self.selection.has_target(target)
        {
            return None;
        }
        if is_hip == Some(false) || (is_hip.is_some() && data.is_empty()) {
            return Some(entry);
        }
        match CodeObject::parse(data) {
            Ok(code_object) => {
                let own = code_object.target().to_string();
                if entry.target.is_none() && !self.selection.has_target(&own) {
                    return None;
                }
                entry.target.get_or_insert(own);
                entry.code_object = Some(self.code_object(&code_object));
            }
            Err(error) => entry.problem = Some(format!("a damaged code object: {error}")),
        }
        Some(entry)
    }

    fn code_object(&self, code_object: &CodeObject<'_>) -> CodeObjectReport {
        let text = code_object.text();
        let kernels = code_object.kernels().iter();
        let mut report = CodeObjectReport {
            target: code_object.target().to_string(),
            version: code_object.version(),
            sha256: Digest::of(code_object.as_bytes()),
            text_bytes: text.end.saturating_sub(text.start),
            has_lines: code_object
                .line_table()
                .is_ok_and(|table| table.ranges().next().is_some()),
            no_instructions: None,
            kernel_count: code_object.kernels().len(),
            kernels: kernels
                .filter(|kernel| self.selection.has_kernel(&kernel.name))
                .map(|kernel| KernelReport::new(kernel, code_object))
                .collect(),
        };
        let counted = match self.disassembler {
            Some(Ok(disassembler)) if !report.kernels.is_empty() => {
                mix::count(disassembler, code_object.as_bytes(), &mut report.kernels)
            }
            Some(Err(error)) => Err(error.clone()),
            _ => Ok(()),
        };
        report.no_instructions = counted.err().map(|error| error.to_string());
        report
    }
}
