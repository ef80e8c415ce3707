//! Code objects: the ELF files that a device loads.
//!
//! Reads what a loader needs (segments, symbols, dynamic relocations), what a launcher needs (kernels with their
//! arguments), and what a tool needs to tell about them. It does not know how memory is allocated, what an instruction
//! means, or where the bytes came from. Formats are those of the AMDGPU usage guide, "ELF Code Object".

use std::collections::HashMap;
use std::ops::Range;

use object::LittleEndian as LE;
use object::elf;
use object::read::SectionIndex;
use object::read::elf::{
    FileHeader as _, ProgramHeader as _, Rela as _, SectionHeader as _, SectionTable, Sym as _,
    SymbolTable,
};

use crate::bytes::slice;
use crate::error::first_bytes;
use crate::inlines::InlineTable;
use crate::lines::LineTable;
use crate::metadata::{self, Arg, KernelKind, KernelMetadata};
use crate::target::{ABI_V3, ABI_V6};
use crate::{Error, KernelDescriptor, TargetId};

type Header = elf::FileHeader64<LE>;

/// `ELFOSABI_AMDGPU_HSA`.
const ELFOSABI_AMDGPU_HSA: u8 = 64;

/// `NT_AMDGPU_METADATA`.
const NT_AMDGPU_METADATA: u32 = 32;

/// Names of symbols longer than this are refused: they would let a small file ask for a long search per symbol.
const MAX_NAME: usize = 1 << 16;

/// A code object that was read. Borrows the bytes; what the metadata says is owned.
#[derive(Debug, Clone)]
pub struct CodeObject<'a> {
    bytes: &'a [u8],
    target: TargetId,
    abi_version: u8,
    generic_version: u8,
    metadata: &'a [u8],
    printf: Vec<String>,
    kernels: Vec<Kernel>,
    kernel_index: HashMap<String, usize>,
    symbols: Vec<Symbol<'a>>,
    segments: Vec<Segment<'a>>,
    relocations: Vec<Relocation<'a>>,
    text: Range<u64>,
}

/// A kernel: what its metadata, its descriptor and its symbols say.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Kernel {
    /// Its name, which is the symbol of its code.
    pub name: String,
    /// The symbol of its descriptor: the name with `.kd`.
    pub symbol: String,
    /// When it runs.
    pub kind: KernelKind,
    /// The source language that the metadata names, such as `OpenCL C`; clang writes this for HIP as well.
    pub language: Option<String>,
    /// Its arguments in the order of the metadata, hidden ones last.
    pub args: Vec<Arg>,
    /// The size of the kernarg segment with hidden arguments, in bytes.
    pub kernarg_segment_size: u64,
    /// The alignment of the kernarg segment, in bytes.
    pub kernarg_segment_align: u64,
    /// Statically allocated LDS of a work-group, in bytes.
    pub group_segment_fixed_size: u32,
    /// Scratch of a work-item, in bytes.
    pub private_segment_fixed_size: u32,
    /// The wavefront size, 32 or 64.
    pub wavefront_size: u32,
    /// SGPRs that the code uses.
    pub sgpr_count: u32,
    /// VGPRs that the code uses; where the register file is unified, with the accumulation registers.
    pub vgpr_count: u32,
    /// Accumulation registers that the code uses.
    pub agpr_count: u32,
    /// SGPRs that were spilled.
    pub sgpr_spill_count: u32,
    /// VGPRs that were spilled.
    pub vgpr_spill_count: u32,
    /// The largest number of work-items in a work-group.
    pub max_flat_workgroup_size: u32,
    /// The work-group size that the source requires.
    pub reqd_workgroup_size: Option<[u32; 3]>,
    /// The kernel has to be launched without partial work-groups.
    pub uniform_work_group_size: bool,
    /// The stack size is not known from the code alone.
    pub uses_dynamic_stack: bool,
    /// A work-group spreads over both compute units of a work-group processor.
    pub workgroup_processor_mode: bool,
    /// The descriptor.
    pub descriptor: KernelDescriptor,
    /// The address of the descriptor in the code object's image.
    pub descriptor_address: u64,
    /// The address of the first instruction in the code object's image.
    pub entry_address: u64,
    /// The size of its code in bytes, 0 if the code has no symbol.
    pub code_size: u64,
}

impl Kernel {
    /// The arguments that a caller supplies.
    pub fn explicit_args(&self) -> impl DoubleEndedIterator<Item = &Arg> {
        self.args.iter().filter(|arg| !arg.is_hidden())
    }
}

/// A symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Symbol<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its address in the code object's image.
    pub address: u64,
    /// Its size in bytes.
    pub size: u64,
    /// What it names.
    pub kind: SymbolKind,
    /// Whether other code objects and the host can see it.
    pub is_global: bool,
    /// Whether it is defined here.
    pub is_defined: bool,
}

/// What a symbol names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SymbolKind {
    /// Not said (`STT_NOTYPE`).
    None,
    /// Data: a variable, or a kernel descriptor (`STT_OBJECT`).
    Object,
    /// Code (`STT_FUNC`).
    Function,
    /// A section (`STT_SECTION`).
    Section,
    /// Another `STT_*` value.
    Other(u8),
}

/// A part of the image: `PT_LOAD`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment<'a> {
    /// Its address in the image.
    pub address: u64,
    /// Its first bytes, from the file; zeros follow up to `memory_size`.
    pub data: &'a [u8],
    /// Its size in memory.
    pub memory_size: u64,
    /// Whether the code writes it.
    pub is_writable: bool,
    /// Whether it holds code.
    pub is_executable: bool,
}

/// A place in the image that depends on where it is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relocation<'a> {
    /// The address of the place in the image.
    pub offset: u64,
    /// What is to be written there.
    pub kind: RelocationKind,
    /// The symbol, if the kind takes one.
    pub symbol: Option<Symbol<'a>>,
    /// A number to add.
    pub addend: i64,
}

/// What a relocation writes. S is the symbol's address, A the addend, P the place, B the address the image is loaded at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelocationKind {
    /// `R_AMDGPU_ABS32_LO`: the low half of S + A.
    Abs32Lo,
    /// `R_AMDGPU_ABS32_HI`: the high half of S + A.
    Abs32Hi,
    /// `R_AMDGPU_ABS64`: S + A.
    Abs64,
    /// `R_AMDGPU_REL32`: S + A - P, 32 bits.
    Rel32,
    /// `R_AMDGPU_REL64`: S + A - P.
    Rel64,
    /// `R_AMDGPU_ABS32`: S + A, 32 bits.
    Abs32,
    /// `R_AMDGPU_RELATIVE64`: B + A.
    Relative64,
    /// Another `R_AMDGPU_*` value.
    Other(u32),
}

impl RelocationKind {
    fn from_elf(value: u32) -> Self {
        match value {
            1 => Self::Abs32Lo,
            2 => Self::Abs32Hi,
            3 => Self::Abs64,
            4 => Self::Rel32,
            5 => Self::Rel64,
            6 => Self::Abs32,
            13 => Self::Relative64,
            other => Self::Other(other),
        }
    }
}

impl<'a> CodeObject<'a> {
    /// Reads a linked code object of version 3 to 6.
    ///
    /// # Errors
    /// [`Error::Magic`] if this is no ELF file, [`Error::Field`] if it is one for something else than an AMD GPU under HSA,
    /// [`Error::Elf`] and [`Error::Truncated`] if its structure is broken, [`Error::NoMetadata`] and
    /// [`Error::Metadata`] for the metadata note, [`Error::Kernel`] if a kernel has no descriptor or no code.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        if !bytes.starts_with(&elf::ELFMAG) {
            return Err(Error::Magic {
                expected: "an AMDGPU code object (ELF)",
                found: first_bytes(bytes),
            });
        }
        let header = Header::parse(bytes).map_err(broken("the header"))?;
        check_header(header)?;
        let abi_version = header.e_ident.abi_version;

        let segments = read_segments(header, bytes)?;
        let metadata = find_metadata(header, bytes)?;
        let parsed = metadata::parse(metadata)?;
        let flags = header.e_flags(LE);
        let target = TargetId::from_elf_flags(flags, abi_version).or_else(|error| {
            // A processor newer than the table of machine numbers: the metadata has its name.
            let name = parsed.target.as_deref();
            let name = name.and_then(|name| name.strip_prefix("amdgcn-amd-amdhsa--"));
            let named = name.and_then(|name| name.parse::<TargetId>().ok());
            named.filter(|target| target.known().is_none()).ok_or(error)
        })?;

        let sections = header
            .sections(LE, bytes)
            .map_err(broken("the section headers"))?;
        let dynamic = read_symbol_table(&sections, bytes, elf::SHT_DYNSYM)?;
        let symbols = match read_symbol_table(&sections, bytes, elf::SHT_SYMTAB)? {
            all if all.table.is_empty() => dynamic.symbols()?,
            all => all.symbols()?,
        };
        let relocations = read_relocations(&sections, bytes, &dynamic)?;
        let text =
            find_text(header, &sections, bytes).unwrap_or_else(|| executable_range(&segments));

        let mut code_object = Self {
            bytes,
            target,
            abi_version,
            generic_version: if abi_version == ABI_V6 {
                (flags >> 24) as u8
            } else {
                0
            },
            metadata,
            printf: parsed.printf,
            kernels: Vec::new(),
            kernel_index: HashMap::new(),
            symbols,
            segments,
            relocations,
            text,
        };
        code_object.add_kernels(parsed.kernels)?;
        Ok(code_object)
    }

    fn add_kernels(&mut self, kernels: Vec<KernelMetadata>) -> Result<(), Error> {
        let by_name: HashMap<&str, &Symbol<'a>> = self
            .symbols
            .iter()
            .filter(|symbol| symbol.is_defined)
            .map(|symbol| (symbol.name, symbol))
            .collect();
        let mut resolved = Vec::with_capacity(kernels.len());
        for metadata in kernels {
            let refuse = |message: String| Error::Kernel {
                kernel: metadata.name.clone(),
                message,
            };
            let descriptor_address = by_name
                .get(metadata.symbol.as_str())
                .ok_or_else(|| {
                    refuse(format!(
                        "its descriptor's symbol `{}` is not in the symbol table",
                        metadata.symbol
                    ))
                })?
                .address;
            let descriptor = self
                .bytes_at(descriptor_address, KernelDescriptor::SIZE as u64)
                .and_then(KernelDescriptor::parse)
                .map_err(|error| refuse(format!("its descriptor cannot be read: {error}")))?;
            let entry_address =
                descriptor_address.wrapping_add_signed(descriptor.kernel_code_entry_byte_offset);
            if !self
                .segment_of(entry_address)
                .is_some_and(|segment| segment.is_executable)
            {
                return Err(refuse(format!(
                    "its first instruction, at {entry_address:#x}, is not in a segment with code"
                )));
            }
            let code_size = by_name
                .get(metadata.name.as_str())
                .filter(|code| code.address == entry_address);
            let code_size = code_size.map_or(0, |code| code.size);
            resolved.push(Kernel::new(
                metadata,
                descriptor,
                descriptor_address,
                entry_address,
                code_size,
            ));
        }
        for (index, kernel) in resolved.iter().enumerate() {
            self.kernel_index
                .entry(kernel.name.clone())
                .or_insert(index);
        }
        self.kernels = resolved;
        Ok(())
    }

    /// What it was built for.
    pub fn target(&self) -> &TargetId {
        &self.target
    }

    /// The code object version, 3 to 6.
    pub fn version(&self) -> u8 {
        self.abi_version + 2
    }

    /// `EI_ABIVERSION` of the ELF header: the code object version less two.
    pub fn abi_version(&self) -> u8 {
        self.abi_version
    }

    /// The version of a generic target's definition (code object version 6), 0 for a processor.
    pub fn generic_version(&self) -> u8 {
        self.generic_version
    }

    /// The kernels in the order of the metadata.
    pub fn kernels(&self) -> &[Kernel] {
        &self.kernels
    }

    /// The kernel of this name.
    pub fn kernel(&self, name: &str) -> Option<&Kernel> {
        self.kernel_index
            .get(name)
            .map(|index| &self.kernels[*index])
    }

    /// The symbols with a name: of the full symbol table, or of the dynamic one if the file was stripped.
    pub fn symbols(&self) -> &[Symbol<'a>] {
        &self.symbols
    }

    /// The defined symbol of this name, a global one before a local one. Searches the table; a loader that asks often
    /// makes its own index.
    pub fn symbol(&self, name: &str) -> Option<&Symbol<'a>> {
        let named = || {
            self.symbols
                .iter()
                .filter(|symbol| symbol.is_defined && symbol.name == name)
        };
        named()
            .find(|symbol| symbol.is_global)
            .or_else(|| named().next())
    }

    /// The parts of the image in the order of their addresses, which do not overlap.
    pub fn segments(&self) -> &[Segment<'a>] {
        &self.segments
    }

    /// The size of the image: where the last segment ends. A file can claim any size here, whatever its own: check it
    /// before allocating.
    pub fn image_size(&self) -> u64 {
        self.segments.last().map_or(0, Segment::end)
    }

    /// The dynamic relocations.
    pub fn relocations(&self) -> &[Relocation<'a>] {
        &self.relocations
    }

    /// The addresses of the `.text` section; without sections, of the executable segments.
    pub fn text(&self) -> Range<u64> {
        self.text.clone()
    }

    /// The metadata note: a MessagePack document.
    pub fn metadata(&self) -> &'a [u8] {
        self.metadata
    }

    /// The format strings of device-side `printf`, in the `id:argument count:sizes:format` form of the metadata.
    pub fn printf_formats(&self) -> &[String] {
        &self.printf
    }

    /// The file's bytes.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The line table, empty if it was built without `-gline-tables-only` or `-g`. Reads the debugging sections each time:
    /// keep it.
    ///
    /// # Errors
    /// [`Error::Elf`] if the line table is broken or compressed.
    pub fn line_table(&self) -> Result<LineTable<'a>, Error> {
        let section = self.debug_sections()?;
        LineTable::parse(
            section(".debug_line")?,
            section(".debug_line_str")?,
            section(".debug_str")?,
            &self.text,
        )
    }

    /// The functions and what was inlined into them, empty if it was built without `-gline-tables-only` or `-g`. Reads the
    /// debugging sections each time: keep it.
    ///
    /// # Errors
    /// [`Error::Elf`] if the debugging information is broken or compressed.
    pub fn inline_table(&self) -> Result<InlineTable<'a>, Error> {
        InlineTable::parse(self.debug_sections()?)
    }

    /// A function that gives the bytes of a debugging section, none if it is not there.
    fn debug_sections(&self) -> Result<impl Fn(&str) -> Result<&'a [u8], Error>, Error> {
        let bytes = self.bytes;
        let header = Header::parse(bytes).map_err(broken("the header"))?;
        let sections = header
            .sections(LE, bytes)
            .map_err(broken("the section headers"))?;
        Ok(move |name: &str| {
            let Some(section) = find_section(header, &sections, bytes, name) else {
                return Ok(&[][..]);
            };
            if section.sh_flags(LE) & u64::from(elf::SHF_COMPRESSED) != 0 {
                return Err(Error::Elf {
                    what: "the debugging information",
                    message: format!("{name} is compressed (-gz), which is not read here"),
                });
            }
            section
                .data(LE, bytes)
                .map_err(broken("a debugging section"))
        })
    }

    /// The segment that an address lies in.
    pub fn segment_of(&self, address: u64) -> Option<&Segment<'a>> {
        let after = self
            .segments
            .partition_point(|segment| segment.address <= address);
        let segment = self.segments.get(after.checked_sub(1)?)?;
        (address < segment.end()).then_some(segment)
    }

    /// The bytes of the file that lie at an address of the image.
    ///
    /// # Errors
    /// [`Error::Truncated`] if no segment has so many bytes of the file there.
    pub fn bytes_at(&self, address: u64, len: u64) -> Result<&'a [u8], Error> {
        const WHAT: &str = "the image";
        let segment = self.segment_of(address).ok_or(Error::Truncated {
            what: WHAT,
            offset: address,
            needed: len,
            available: 0,
        })?;
        slice(segment.data, address - segment.address, len, WHAT)
    }
}

impl Kernel {
    fn new(
        metadata: KernelMetadata,
        descriptor: KernelDescriptor,
        descriptor_address: u64,
        entry_address: u64,
        code_size: u64,
    ) -> Self {
        Self {
            name: metadata.name,
            symbol: metadata.symbol,
            kind: metadata.kind,
            language: metadata.language,
            args: metadata.args,
            kernarg_segment_size: metadata.kernarg_segment_size,
            kernarg_segment_align: metadata.kernarg_segment_align,
            group_segment_fixed_size: metadata.group_segment_fixed_size,
            private_segment_fixed_size: metadata.private_segment_fixed_size,
            wavefront_size: metadata.wavefront_size,
            sgpr_count: metadata.sgpr_count,
            vgpr_count: metadata.vgpr_count,
            agpr_count: metadata.agpr_count,
            sgpr_spill_count: metadata.sgpr_spill_count,
            vgpr_spill_count: metadata.vgpr_spill_count,
            max_flat_workgroup_size: metadata.max_flat_workgroup_size,
            reqd_workgroup_size: metadata.reqd_workgroup_size,
            uniform_work_group_size: metadata.uniform_work_group_size,
            uses_dynamic_stack: metadata.uses_dynamic_stack,
            workgroup_processor_mode: metadata.workgroup_processor_mode,
            descriptor,
            descriptor_address,
            entry_address,
            code_size,
        }
    }
}

impl Segment<'_> {
    /// The address after its last byte. `read_segments` has seen that it does not overflow.
    fn end(&self) -> u64 {
        self.address + self.memory_size
    }
}

pub(crate) fn broken(what: &'static str) -> impl Fn(object::read::Error) -> Error {
    move |error| Error::Elf {
        what,
        message: error.to_string(),
    }
}

fn check_header(header: &Header) -> Result<(), Error> {
    let ident = &header.e_ident;
    let checks: [(&'static str, u32, u32, &'static str); 4] = [
        (
            "the ELF class",
            ident.class.into(),
            elf::ELFCLASS64.into(),
            "2 (64 bits)",
        ),
        (
            "the ELF data encoding",
            ident.data.into(),
            elf::ELFDATA2LSB.into(),
            "1 (little endian)",
        ),
        (
            "the ELF machine",
            header.e_machine(LE).into(),
            elf::EM_AMDGPU.into(),
            "224 (EM_AMDGPU)",
        ),
        (
            "the ELF OS ABI",
            ident.os_abi.into(),
            ELFOSABI_AMDGPU_HSA.into(),
            "64 (ELFOSABI_AMDGPU_HSA)",
        ),
    ];
    for (what, found, expected, text) in checks {
        if found != expected {
            return Err(Error::Field {
                what,
                found: found.to_string(),
                expected: text,
            });
        }
    }
    if !(ABI_V3..=ABI_V6).contains(&ident.abi_version) {
        return Err(Error::Field {
            what: "the ELF ABI version",
            found: ident.abi_version.to_string(),
            expected: "1 to 4 (code object version 3 to 6)",
        });
    }
    Ok(())
}

fn read_segments<'a>(header: &Header, bytes: &'a [u8]) -> Result<Vec<Segment<'a>>, Error> {
    let headers = header
        .program_headers(LE, bytes)
        .map_err(broken("the program headers"))?;
    let mut segments = Vec::new();
    for header in headers
        .iter()
        .filter(|header| header.p_type(LE) == elf::PT_LOAD)
    {
        let data = slice(bytes, header.p_offset(LE), header.p_filesz(LE), "a segment")?;
        let (address, memory_size) = (header.p_vaddr(LE), header.p_memsz(LE));
        if memory_size < data.len() as u64 || address.checked_add(memory_size).is_none() {
            return Err(Error::Field {
                what: "a segment's size in memory",
                found: memory_size.to_string(),
                expected: "at least its size in the file, and an end within the address space",
            });
        }
        if memory_size > 0 {
            segments.push(Segment {
                address,
                data,
                memory_size,
                is_writable: header.p_flags(LE) & elf::PF_W != 0,
                is_executable: header.p_flags(LE) & elf::PF_X != 0,
            });
        }
    }
    segments.sort_by_key(|segment| segment.address);
    if let Some(pair) = segments
        .windows(2)
        .find(|pair| pair[0].end() > pair[1].address)
    {
        return Err(Error::Field {
            what: "a segment's address",
            found: format!("{:#x}", pair[1].address),
            expected: "one after the end of the segment before it",
        });
    }
    Ok(segments)
}

/// The descriptor of the metadata note.
fn find_metadata<'a>(header: &Header, bytes: &'a [u8]) -> Result<&'a [u8], Error> {
    const WHAT: &str = "the notes";
    let headers = header
        .program_headers(LE, bytes)
        .map_err(broken("the program headers"))?;
    // Segments that overlap would let a small file ask for the same notes to be searched again and again.
    let mut budget = bytes.len() as u64;
    for header in headers
        .iter()
        .filter(|header| header.p_type(LE) == elf::PT_NOTE)
    {
        budget = budget
            .checked_sub(header.p_filesz(LE))
            .ok_or_else(|| Error::Elf {
                what: WHAT,
                message: "they are larger than the file".to_owned(),
            })?;
        let Some(mut notes) = header.notes(LE, bytes).map_err(broken(WHAT))? else {
            continue;
        };
        while let Some(note) = notes.next().map_err(broken(WHAT))? {
            if note.name() == b"AMDGPU" && note.n_type(LE) == NT_AMDGPU_METADATA {
                return Ok(note.desc());
            }
        }
    }
    Err(Error::NoMetadata)
}

/// A symbol table and its names.
struct Symbols<'a> {
    table: SymbolTable<'a, Header>,
    names: &'a [u8],
}

fn read_symbol_table<'a>(
    sections: &SectionTable<'a, Header>,
    bytes: &'a [u8],
    kind: u32,
) -> Result<Symbols<'a>, Error> {
    let table = sections
        .symbols(LE, bytes, kind)
        .map_err(broken("the symbol table"))?;
    let names = if table.is_empty() {
        &[]
    } else {
        let section = sections
            .section(table.string_section())
            .map_err(broken("the string table"))?;
        section
            .data(LE, bytes)
            .map_err(broken("the string table"))?
    };
    Ok(Symbols { table, names })
}

impl<'a> Symbols<'a> {
    fn symbols(&self) -> Result<Vec<Symbol<'a>>, Error> {
        let named = self.table.iter().filter(|symbol| symbol.st_name(LE) != 0);
        named.map(|symbol| self.symbol(symbol)).collect()
    }

    fn symbol(&self, symbol: &elf::Sym64<LE>) -> Result<Symbol<'a>, Error> {
        Ok(Symbol {
            name: self.name(symbol.st_name(LE))?,
            address: symbol.st_value(LE),
            size: symbol.st_size(LE),
            kind: match symbol.st_type() {
                elf::STT_NOTYPE => SymbolKind::None,
                elf::STT_OBJECT => SymbolKind::Object,
                elf::STT_FUNC => SymbolKind::Function,
                elf::STT_SECTION => SymbolKind::Section,
                other => SymbolKind::Other(other),
            },
            is_global: symbol.st_bind() != elf::STB_LOCAL,
            is_defined: symbol.st_shndx(LE) != elf::SHN_UNDEF,
        })
    }

    fn name(&self, offset: u32) -> Result<&'a str, Error> {
        let refuse = |message: &str| Error::Elf {
            what: "a symbol's name",
            message: format!("{message} (offset {offset:#x} of the string table)"),
        };
        let from = self
            .names
            .get(offset as usize..)
            .ok_or_else(|| refuse("it is outside of the string table"))?;
        let from = &from[..from.len().min(MAX_NAME)];
        let len = memchr::memchr(0, from).ok_or_else(|| refuse("it has no end"))?;
        std::str::from_utf8(&from[..len]).map_err(|_| refuse("it is not UTF-8"))
    }
}

fn read_relocations<'a>(
    sections: &SectionTable<'a, Header>,
    bytes: &'a [u8],
    dynamic: &Symbols<'a>,
) -> Result<Vec<Relocation<'a>>, Error> {
    const WHAT: &str = "the dynamic relocations";
    let mut relocations = Vec::new();
    let mut budget = bytes.len();
    for section in sections.iter() {
        let Some((table, link)) = section.rela(LE, bytes).map_err(broken(WHAT))? else {
            continue;
        };
        // Tables for the debugging sections of an object that was not linked refer to another symbol table.
        if link != dynamic.table.section() || section.sh_flags(LE) & u64::from(elf::SHF_ALLOC) == 0
        {
            continue;
        }
        budget = budget
            .checked_sub(size_of_val(table))
            .ok_or_else(|| Error::Elf {
                what: WHAT,
                message: "they are larger than the file".to_owned(),
            })?;
        for rela in table {
            let symbol = match rela.symbol(LE, false) {
                Some(index) => {
                    Some(dynamic.symbol(dynamic.table.symbol(index).map_err(broken(WHAT))?)?)
                }
                None => None,
            };
            relocations.push(Relocation {
                offset: rela.r_offset(LE),
                kind: RelocationKind::from_elf(rela.r_type(LE, false)),
                symbol,
                addend: rela.r_addend(LE),
            });
        }
    }
    Ok(relocations)
}

/// The section of this name. Names are compared, not searched for their end: a hostile file has none for any of them.
fn find_section<'a>(
    header: &Header,
    sections: &SectionTable<'a, Header>,
    bytes: &'a [u8],
    name: &str,
) -> Option<&'a elf::SectionHeader64<LE>> {
    let index = header.shstrndx(LE, bytes).ok()? as usize;
    let names = sections
        .section(SectionIndex(index))
        .ok()?
        .data(LE, bytes)
        .ok()?;
    sections.iter().find(|section| {
        let rest = names.get(section.sh_name(LE) as usize..);
        rest.and_then(|rest| rest.strip_prefix(name.as_bytes()))
            .is_some_and(|rest| rest.first() == Some(&0))
    })
}

fn find_text(
    header: &Header,
    sections: &SectionTable<'_, Header>,
    bytes: &[u8],
) -> Option<Range<u64>> {
    let section = find_section(header, sections, bytes, ".text")?;
    let address = section.sh_addr(LE);
    Some(address..address.checked_add(section.sh_size(LE))?)
}

fn executable_range(segments: &[Segment<'_>]) -> Range<u64> {
    let mut executable = segments.iter().filter(|segment| segment.is_executable);
    let first = executable.next();
    let last = executable.next_back().or(first);
    first.map_or(0, |segment| segment.address)..last.map_or(0, Segment::end)
}
