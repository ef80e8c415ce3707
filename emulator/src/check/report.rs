//! Findings in words, with the instruction and the source line.

use std::fmt;

use codeobject::{CodeObject, InlineTable, LineTable};

use super::{Check, Defect};
use crate::module::LoadedModule;

/// Findings of one kind at one instruction of a kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The kind.
    pub defect: Defect,
    /// The kernel.
    pub kernel: String,
    /// The first block, by its number.
    pub block: [u32; 3],
    /// The first thread in it, where one is to blame.
    pub thread: Option<[u32; 3]>,
    /// What was found there.
    pub detail: String,
    /// The instruction's offset from the start of the code object's image.
    pub offset: u64,
    /// The instruction's text.
    pub instruction: String,
    /// Where it comes from, if the code object has line tables.
    pub source: Option<String>,
    /// How often it was found.
    pub count: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [x, y, z] = self.block;
        write!(f, "kernel {}, block ({x}, {y}, {z})", self.kernel)?;
        if let Some([x, y, z]) = self.thread {
            write!(f, ", thread ({x}, {y}, {z})")?;
        }
        write!(f, ": {}: {}", self.defect.name(), self.detail)?;
        write!(f, "\n  at +{:#x}: {}", self.offset, self.instruction)?;
        if let Some(source) = &self.source {
            write!(f, "\n  from {source}")?;
        }
        if self.count > 1 {
            write!(f, "\n  found {} times, first here", self.count)?;
        }
        Ok(())
    }
}

impl Check {
    /// The reports on a launch that has ended, in the order of their instructions.
    pub fn reports(
        self,
        kernel: &str,
        module: &LoadedModule,
        text: impl Fn(u64) -> String,
    ) -> Vec<Report> {
        let findings = self
            .findings
            .into_inner()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let offset = |address| module.image_address(address).unwrap_or(address);
        let offsets: Vec<u64> = findings
            .keys()
            .map(|(address, _)| offset(*address))
            .collect();
        let sources = sources(module, &offsets);
        let shape = self.shape;
        let reports = findings.into_iter().zip(sources);
        reports
            .map(|(((address, defect), finding), source)| {
                let (group, wave, lane) = finding.at;
                Report {
                    defect,
                    kernel: kernel.to_owned(),
                    block: shape.block(group),
                    thread: lane.map(|lane| shape.thread(group, wave, lane)),
                    detail: finding.detail,
                    offset: offset(address),
                    instruction: text(address).trim().replace('\t', " "),
                    source,
                    count: finding.count,
                }
            })
            .collect()
    }
}

/// The places in the sources that instructions at these addresses of the image come from: file, line and column, and the
/// functions that were inlined there.
pub fn sources(module: &LoadedModule, addresses: &[u64]) -> Vec<Option<String>> {
    let nothing = || vec![None; addresses.len()];
    if addresses.is_empty() {
        return Vec::new();
    }
    let Ok(code_object) = CodeObject::parse(module.bytes()) else {
        return nothing();
    };
    let Ok(lines) = code_object.line_table() else {
        return nothing();
    };
    let inlines = code_object.inline_table().unwrap_or_default();
    addresses
        .iter()
        .map(|address| source(&lines, &inlines, *address))
        .collect()
}

fn source(lines: &LineTable<'_>, inlines: &InlineTable<'_>, address: u64) -> Option<String> {
    use fmt::Write as _;

    let mut text = lines.location(address)?.to_string();
    for frame in inlines.frames(address) {
        // Writing to a string does not fail.
        let _ = match frame.call {
            Some(call) => write!(text, " in {}, called from {call}", frame.function),
            None => write!(text, " in {}", frame.function),
        };
    }
    Some(text)
}
