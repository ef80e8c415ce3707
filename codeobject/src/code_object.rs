//! Code objects: the ELF files that a device loads.
//!
//! Reads what a loader needs (segments, symbols, dynamic relocations), what a launcher needs (kernels with their
//! arguments), and what a tool needs to tell about them. It does not know how memory is allocated, what an instruction
//! means, or where the bytes came from.

use std::collections::HashMap;
use std::ops::Range;

use object::LittleEndian as LE;
use object::elf::{ELFMAG, SHF_COMPRESSED, SHT_DYNSYM, SHT_SYMTAB};
use object::read::elf::{FileHeader as _, SectionHeader as _};

use crate::bytes::slice;
use crate::elf::{self, Header, Relocation, Segment, Symbol, broken};
use crate::error::first_bytes;
use crate::inlines::InlineTable;
use crate::kernel::Kernel;
use crate::lines::LineTable;
use crate::target::ABI_V6;
use crate::{Error, KernelDescriptor, TargetId, metadata};

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

impl<'a> CodeObject<'a> {
    /// Reads a linked code object of version 3 to 6.
    ///
    /// # Errors
    /// [`Error::Magic`] if this is no ELF file, [`Error::Field`] if it is one for something else than an AMD GPU under HSA,
    /// [`Error::Elf`] and [`Error::Truncated`] if its structure is broken, [`Error::NoMetadata`] and
    /// [`Error::Metadata`] for the metadata note, [`Error::Kernel`] if a kernel has no descriptor or no code.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        if !bytes.starts_with(&ELFMAG) {
            return Err(Error::Magic {
                expected: "an AMDGPU code object (ELF)",
                found: first_bytes(bytes),
            });
        }
        let header = Header::parse(bytes).map_err(broken("the header"))?;
        elf::check_header(header)?;
        let abi_version = header.e_ident.abi_version;

        let segments = elf::read_segments(header, bytes)?;
        let metadata = elf::find_metadata(header, bytes)?;
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
        let dynamic = elf::read_symbol_table(&sections, bytes, SHT_DYNSYM)?;
        let symbols = match elf::read_symbol_table(&sections, bytes, SHT_SYMTAB)? {
            all if all.table.is_empty() => dynamic.symbols()?,
            all => all.symbols()?,
        };
        let relocations = elf::read_relocations(&sections, bytes, &dynamic)?;
        let text = elf::find_text(header, &sections, bytes)
            .unwrap_or_else(|| elf::executable_range(&segments));

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

    fn add_kernels(&mut self, mut kernels: Vec<Kernel>) -> Result<(), Error> {
        let by_name: HashMap<&str, &Symbol<'a>> = self
            .symbols
            .iter()
            .filter(|symbol| symbol.is_defined)
            .map(|symbol| (symbol.name, symbol))
            .collect();
        for kernel in &mut kernels {
            let name = &kernel.name;
            let refuse = |message: String| Error::Kernel {
                kernel: name.clone(),
                message,
            };
            let symbol = by_name.get(kernel.symbol.as_str()).ok_or_else(|| {
                refuse(format!(
                    "its descriptor's symbol `{}` is not in the symbol table",
                    kernel.symbol
                ))
            })?;
            let descriptor = self
                .bytes_at(symbol.address, KernelDescriptor::SIZE as u64)
                .and_then(KernelDescriptor::parse)
                .map_err(|error| refuse(format!("its descriptor cannot be read: {error}")))?;
            let entry = symbol
                .address
                .wrapping_add_signed(descriptor.kernel_code_entry_byte_offset);
            if !self
                .segment_of(entry)
                .is_some_and(|segment| segment.is_executable)
            {
                return Err(refuse(format!(
                    "its first instruction, at {entry:#x}, is not in a segment with code"
                )));
            }
            let code = by_name
                .get(name.as_str())
                .filter(|code| code.address == entry);
            kernel.code_size = code.map_or(0, |code| code.size);
            kernel.descriptor = descriptor;
            kernel.descriptor_address = symbol.address;
            kernel.entry_address = entry;
        }
        for (index, kernel) in kernels.iter().enumerate() {
            self.kernel_index
                .entry(kernel.name.clone())
                .or_insert(index);
        }
        self.kernels = kernels;
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
            let Some(section) = elf::find_section(header, &sections, bytes, name) else {
                return Ok(&[][..]);
            };
            if section.sh_flags(LE) & u64::from(SHF_COMPRESSED) != 0 {
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
