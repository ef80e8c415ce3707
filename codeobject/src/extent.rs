//! How long an image in memory is.
//!
//! The HIP runtime's `hipModuleLoadData` and `__hipRegisterFatBinary` take a pointer without a length. The formats say how
//! long they are, in headers and tables at their start.

use object::LittleEndian as LE;
use object::elf::{FileHeader64, SHT_NOBITS};
use object::read::elf::{FileHeader as _, ProgramHeader as _, SectionHeader as _};

use crate::Error;
use crate::bundle;
use crate::elf::broken;
use crate::error::first_bytes;

/// How long an image is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// It has this many bytes.
    Complete(u64),
    /// At least this many bytes have to be looked at to say it.
    NeedsAtLeast(u64),
}

impl Extent {
    /// How long the bundle, plain or compressed, or the code object is that begins with these bytes.
    ///
    /// A runtime asks with the bytes that every image has ([`Extent::FIRST`]) and again with as many as the answer asks
    /// for, until it is complete. Each answer asks for more than were given.
    ///
    /// # Errors
    /// [`Error::Magic`] if this is neither a bundle nor an ELF file, [`Error::Field`] and [`Error::Elf`] if its tables make
    /// no sense, [`Error::Field`] for a compressed bundle of version 1, which does not say its length.
    pub fn of(prefix: &[u8]) -> Result<Self, Error> {
        let starts = |magic: &[u8]| magic.starts_with(prefix) || prefix.starts_with(magic);
        if starts(&object::elf::ELFMAG) {
            elf_extent(prefix)
        } else if starts(bundle::MAGIC) || bundle::is_compressed(prefix) {
            bundle::extent(prefix)
        } else {
            Err(Error::Magic {
                expected: "an offload bundle or a code object",
                found: first_bytes(prefix),
            })
        }
    }

    /// The bytes to begin with: no image is shorter.
    pub const FIRST: usize = 16;

    pub(crate) fn needs(offset: u64, len: u64) -> Self {
        Self::NeedsAtLeast(offset.saturating_add(len))
    }
}

fn elf_extent(prefix: &[u8]) -> Result<Extent, Error> {
    let header_len = size_of::<FileHeader64<LE>>() as u64;
    if (prefix.len() as u64) < header_len {
        return Ok(Extent::NeedsAtLeast(header_len));
    }
    let header = FileHeader64::<LE>::parse(prefix).map_err(broken("the header"))?;
    let end_of = |offset: u64, size: u64| {
        offset.checked_add(size).ok_or(Error::Field {
            what: "the end of an ELF table, section or segment",
            found: "past the end of the address space".to_owned(),
            expected: "an address",
        })
    };
    // More than 65,279 sections or segments would be counted in section 0: no code object has them.
    let table =
        |offset: u64, count: u16, size: u16| end_of(offset, u64::from(count) * u64::from(size));
    let segments = table(
        header.e_phoff(LE),
        header.e_phnum(LE),
        header.e_phentsize(LE),
    )?;
    let sections = table(
        header.e_shoff(LE),
        header.e_shnum(LE),
        header.e_shentsize(LE),
    )?;
    let mut end = header_len.max(segments).max(sections);
    if (prefix.len() as u64) < end {
        return Ok(Extent::NeedsAtLeast(end));
    }
    for segment in header
        .program_headers(LE, prefix)
        .map_err(broken("the program headers"))?
    {
        end = end.max(end_of(segment.p_offset(LE), segment.p_filesz(LE))?);
    }
    for section in header
        .section_headers(LE, prefix)
        .map_err(broken("the section headers"))?
    {
        if section.sh_type(LE) != SHT_NOBITS {
            end = end.max(end_of(section.sh_offset(LE), section.sh_size(LE))?);
        }
    }
    Ok(Extent::Complete(end))
}
