//! The ELF structure of a code object: segments, symbols, dynamic relocations, sections and notes.
//!
//! Knows the tables and their bounds, each read so that neither time nor memory exceeds a small multiple of the file's
//! size. What kernels are is not known here. Formats are those of the AMDGPU usage guide, "ELF Code Object".

use std::ops::Range;

use object::LittleEndian as LE;
use object::elf;
use object::read::SectionIndex;
use object::read::elf::{
    FileHeader as _, ProgramHeader as _, Rela as _, SectionHeader as _, SectionTable, Sym as _,
    SymbolTable,
};

use crate::Error;
use crate::bytes::slice;
use crate::target::{ABI_V3, ABI_V6};

pub(crate) type Header = elf::FileHeader64<LE>;

/// `ELFOSABI_AMDGPU_HSA`.
pub(crate) const ELFOSABI_AMDGPU_HSA: u8 = 64;

/// `NT_AMDGPU_METADATA`.
const NT_AMDGPU_METADATA: u32 = 32;

/// Names of symbols longer than this are refused: they would let a small file ask for a long search per symbol.
const MAX_NAME: usize = 1 << 16;

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

impl Segment<'_> {
    /// The address after its last byte. `read_segments` has seen that it does not overflow.
    pub(crate) fn end(&self) -> u64 {
        self.address + self.memory_size
    }
}

pub(crate) fn broken(what: &'static str) -> impl Fn(object::read::Error) -> Error {
    move |error| Error::Elf {
        what,
        message: error.to_string(),
    }
}

pub(crate) fn check_header(header: &Header) -> Result<(), Error> {
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

pub(crate) fn read_segments<'a>(
    header: &Header,
    bytes: &'a [u8],
) -> Result<Vec<Segment<'a>>, Error> {
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
pub(crate) fn find_metadata<'a>(header: &Header, bytes: &'a [u8]) -> Result<&'a [u8], Error> {
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
pub(crate) struct Symbols<'a> {
    pub(crate) table: SymbolTable<'a, Header>,
    names: &'a [u8],
}

pub(crate) fn read_symbol_table<'a>(
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
    pub(crate) fn symbols(&self) -> Result<Vec<Symbol<'a>>, Error> {
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

pub(crate) fn read_relocations<'a>(
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
pub(crate) fn find_section<'a>(
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

pub(crate) fn find_text(
    header: &Header,
    sections: &SectionTable<'_, Header>,
    bytes: &[u8],
) -> Option<Range<u64>> {
    let section = find_section(header, sections, bytes, ".text")?;
    let address = section.sh_addr(LE);
    Some(address..address.checked_add(section.sh_size(LE))?)
}

pub(crate) fn executable_range(segments: &[Segment<'_>]) -> Range<u64> {
    let mut executable = segments.iter().filter(|segment| segment.is_executable);
    let first = executable.next();
    let last = executable.next_back().or(first);
    first.map_or(0, |segment| segment.address)..last.map_or(0, Segment::end)
}
