//! Code objects in memory: chosen for a device, loaded, relocated.
//!
//! [`LoadedModule::load`] takes what a client hands to `hipModuleLoadData`: a code object (ELF) or an offload bundle,
//! plain or compressed. It picks the entry for the device by the rules of target ids, lays the segments out in one
//! allocation and applies the dynamic relocations. What comes out knows the kernels, the variables with their device
//! addresses, and the machine code; what an instruction means is not known here, and neither are HIP's handles.
//!
//! A client gives a pointer and no length. [`image_at`] finds the length in the headers of what it points to.

use std::any::Any;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use codeobject::bundle::Bundle;
use codeobject::{CodeObject, Extent, Kernel, Relocation, RelocationKind, SymbolKind, TargetId};
use rustc_hash::FxHashMap;

use crate::memory::{AllocKind, Memory, MemoryError, Request};

/// The magic of a fat binary's wrapper as hipcc registers it: `HIPF`, little endian.
pub const FAT_BINARY_MAGIC: u32 = 0x4849_5046;

/// The alignment of an image in memory. Code may assume that of its pages.
const IMAGE_ALIGN: u64 = 4096;

/// Images larger than this are refused: their segments lie too far apart to be meant.
const MAX_IMAGE: u64 = 4 << 30;

/// Why an image cannot be loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// There is no code object for the device.
    #[error("no code object for {device}; the image has {}", available.join(", "))]
    NoBinary {
        /// The device.
        device: TargetId,
        /// What the image has code objects for.
        available: Vec<String>,
    },
    /// The image cannot be read.
    #[error(transparent)]
    Image(#[from] codeobject::Error),
    /// There is no memory for it.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The segments span too much.
    #[error("the image spans {size} bytes, more than {MAX_IMAGE}")]
    TooLarge {
        /// What it spans.
        size: u64,
    },
    /// It refers to something that is defined elsewhere.
    #[error("symbol `{symbol}` is used but not defined in the code object")]
    Undefined {
        /// The symbol.
        symbol: String,
    },
    /// A relocation cannot be applied.
    #[error("relocation of kind {kind} at {offset:#x} of the image cannot be applied")]
    Relocation {
        /// The kind, as the reader calls it.
        kind: String,
        /// Where.
        offset: u64,
    },
}

/// A variable of a module in device memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variable {
    /// Its address on the device.
    pub address: u64,
    /// Its size in bytes.
    pub size: u64,
}

/// A code object in the memory of a device. Dropping it frees the memory.
pub struct LoadedModule {
    target: TargetId,
    version: u8,
    device: u32,
    kernels: Vec<Kernel>,
    kernel_index: FxHashMap<String, usize>,
    variables: FxHashMap<String, Variable>,
    functions: Vec<(u64, u64, String)>,
    printf_formats: Vec<String>,
    bytes: Vec<u8>,
    text: Range<u64>,
    text_bytes: Vec<u8>,
    image: Range<u64>,
    base: u64,
    memory: Arc<Memory>,
    derived: OnceLock<Arc<dyn Any + Send + Sync>>,
}

impl std::fmt::Debug for LoadedModule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoadedModule")
            .field("target", &self.target)
            .field("device", &self.device)
            .field("base", &format_args!("{:#x}", self.base))
            .field("kernels", &self.kernels.len())
            .finish_non_exhaustive()
    }
}

impl LoadedModule {
    /// Loads an image for a device.
    ///
    /// # Errors
    /// [`LoadError::NoBinary`] if it has nothing for the device, [`LoadError::Image`] if it cannot be read, the others if
    /// it cannot be laid out in memory.
    pub fn load(
        image: &[u8],
        target: &TargetId,
        device: u32,
        memory: &Arc<Memory>,
    ) -> Result<Self, LoadError> {
        if image.starts_with(b"\x7fELF") {
            return Self::load_code_object(image, target, device, memory);
        }
        let bundle = Bundle::parse(image)?;
        let entry = bundle.select(target).map_err(|error| match error {
            codeobject::Error::NoCodeObject { device, available } => LoadError::NoBinary {
                device,
                available: available.iter().map(TargetId::to_string).collect(),
            },
            other => LoadError::Image(other),
        })?;
        Self::load_code_object(entry.data, target, device, memory)
    }

    fn load_code_object(
        bytes: &[u8],
        target: &TargetId,
        device: u32,
        memory: &Arc<Memory>,
    ) -> Result<Self, LoadError> {
        let code_object = CodeObject::parse(bytes)?;
        if !code_object.target().supports(target) {
            return Err(LoadError::NoBinary {
                device: target.clone(),
                available: vec![code_object.target().to_string()],
            });
        }
        let image = image_range(&code_object)?;
        let base = memory.allocate(Request {
            size: image.end - image.start,
            align: IMAGE_ALIGN,
            kind: AllocKind::Module,
            device,
            flags: 0,
        })?;
        let mut module = Self {
            target: code_object.target().clone(),
            version: code_object.version(),
            device,
            kernels: code_object.kernels().to_vec(),
            kernel_index: FxHashMap::default(),
            variables: FxHashMap::default(),
            functions: Vec::new(),
            printf_formats: code_object.printf_formats().to_vec(),
            bytes: bytes.to_vec(),
            text: code_object.text(),
            text_bytes: Vec::new(),
            image,
            base,
            memory: Arc::clone(memory),
            derived: OnceLock::new(),
        };
        module.index(&code_object);
        module.lay_out(&code_object)?;
        let text_size = module.text.end.saturating_sub(module.text.start);
        module.text_bytes = code_object
            .bytes_at(module.text.start, text_size)
            .map_or_else(|_| Vec::new(), <[u8]>::to_vec);
        Ok(module)
    }

    fn index(&mut self, code_object: &CodeObject<'_>) {
        for (index, kernel) in self.kernels.iter().enumerate() {
            self.kernel_index
                .entry(kernel.name.clone())
                .or_insert(index);
        }
        for symbol in code_object
            .symbols()
            .iter()
            .filter(|symbol| symbol.is_defined)
        {
            let address = self.device_address(symbol.address);
            match symbol.kind {
                SymbolKind::Object if symbol.is_global && !symbol.name.ends_with(".kd") => {
                    let size = symbol.size;
                    self.variables
                        .insert(symbol.name.to_owned(), Variable { address, size });
                }
                SymbolKind::Function => {
                    let function = (symbol.address, symbol.size, symbol.name.to_owned());
                    self.functions.push(function);
                }
                _ => {}
            }
        }
        self.functions.sort_unstable();
    }

    /// Copies the segments and applies the relocations.
    fn lay_out(&mut self, code_object: &CodeObject<'_>) -> Result<(), LoadError> {
        let mut image = vec![0_u8; (self.image.end - self.image.start) as usize];
        for segment in code_object.segments() {
            let at = (segment.address - self.image.start) as usize;
            image[at..at + segment.data.len()].copy_from_slice(segment.data);
        }
        for relocation in code_object.relocations() {
            self.relocate(&mut image, relocation)?;
        }
        // SAFETY: `base` is this module's own allocation of exactly this size, and no launch knows it yet.
        unsafe { std::ptr::copy_nonoverlapping(image.as_ptr(), self.base as *mut u8, image.len()) };
        Ok(())
    }

    fn relocate(&self, image: &mut [u8], relocation: &Relocation<'_>) -> Result<(), LoadError> {
        let refuse = || LoadError::Relocation {
            kind: format!("{:?}", relocation.kind),
            offset: relocation.offset,
        };
        let symbol = match &relocation.symbol {
            Some(symbol) if !symbol.is_defined => {
                return Err(LoadError::Undefined {
                    symbol: symbol.name.to_owned(),
                });
            }
            Some(symbol) => self.device_address(symbol.address),
            None => self.device_address(0),
        };
        let value = symbol.wrapping_add_signed(relocation.addend);
        let relative = value.wrapping_sub(self.device_address(relocation.offset));
        let (value, len) = match relocation.kind {
            RelocationKind::Abs64 => (value, 8),
            RelocationKind::Relative64 => (self.device_address(relocation.addend as u64), 8),
            RelocationKind::Abs32Lo | RelocationKind::Abs32 => (value, 4),
            RelocationKind::Abs32Hi => (value >> 32, 4),
            RelocationKind::Rel32 => (relative, 4),
            RelocationKind::Rel64 => (relative, 8),
            RelocationKind::Other(_) => return Err(refuse()),
        };
        let at = relocation
            .offset
            .checked_sub(self.image.start)
            .and_then(|at| usize::try_from(at).ok());
        at.and_then(|at| image.get_mut(at..)?.get_mut(..len))
            .ok_or_else(refuse)?
            .copy_from_slice(&value.to_le_bytes()[..len]);
        Ok(())
    }

    /// What the code was built for.
    pub fn target(&self) -> &TargetId {
        &self.target
    }

    /// The code object version, 3 to 6.
    pub fn version(&self) -> u8 {
        self.version
    }

    /// The device it is loaded on.
    pub fn device(&self) -> u32 {
        self.device
    }

    /// The kernels in the order of the metadata.
    pub fn kernels(&self) -> &[Kernel] {
        &self.kernels
    }

    /// The index in [`kernels`](Self::kernels) of the kernel of this name.
    pub fn kernel_index(&self, name: &str) -> Option<usize> {
        self.kernel_index.get(name).copied()
    }

    /// The kernel of this name.
    pub fn kernel(&self, name: &str) -> Option<&Kernel> {
        self.kernel_index(name).map(|index| &self.kernels[index])
    }

    /// The variable of this name.
    pub fn variable(&self, name: &str) -> Option<Variable> {
        self.variables.get(name).copied()
    }

    /// The names of the variables, in no order.
    pub fn variable_names(&self) -> impl Iterator<Item = &str> {
        self.variables.keys().map(String::as_str)
    }

    /// The variable that a device address lies in, with its name.
    pub fn variable_at(&self, address: u64) -> Option<(&str, Variable)> {
        let inside =
            |variable: &Variable| address.wrapping_sub(variable.address) < variable.size.max(1);
        self.variables
            .iter()
            .find(|(_, variable)| inside(variable))
            .map(|(name, variable)| (name.as_str(), *variable))
    }

    /// The functions with their addresses in the image and their sizes, sorted by address.
    pub fn functions(&self) -> &[(u64, u64, String)] {
        &self.functions
    }

    /// The function that an address of the image lies in.
    pub fn function_at(&self, address: u64) -> Option<&str> {
        let after = self
            .functions
            .partition_point(|(start, ..)| *start <= address);
        let (start, size, name) = self.functions.get(after.checked_sub(1)?)?;
        (address - start < *size).then_some(name)
    }

    /// The format strings of `printf` calls that were compiled for a buffer.
    pub fn printf_formats(&self) -> &[String] {
        &self.printf_formats
    }

    /// The file's bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The addresses of the machine code in the image.
    pub fn text(&self) -> Range<u64> {
        self.text.clone()
    }

    /// The machine code as it is in the file, from the start of [`text`](Self::text) on.
    pub fn text_bytes(&self) -> &[u8] {
        &self.text_bytes
    }

    /// The device address of an address of the image.
    pub fn device_address(&self, address: u64) -> u64 {
        address
            .wrapping_sub(self.image.start)
            .wrapping_add(self.base)
    }

    /// The address in the image of a device address that lies in it.
    pub fn image_address(&self, address: u64) -> Option<u64> {
        let offset = address.checked_sub(self.base)?;
        (offset < self.image.end - self.image.start).then(|| self.image.start + offset)
    }

    /// What somebody derived from the code, such as its decoded form: made on the first call, kept with the module.
    /// All callers have to ask for the same type.
    ///
    /// # Panics
    /// If an earlier caller asked for another type.
    pub fn derived<T: Any + Send + Sync>(&self, make: impl FnOnce(&Self) -> T) -> &T {
        self.derived
            .get_or_init(|| Arc::new(make(self)))
            .downcast_ref()
            .expect("one type is derived from a module")
    }
}

impl Drop for LoadedModule {
    fn drop(&mut self) {
        // It can only be gone already if its device was reset.
        let _ = self.memory.free_if(self.base, |alloc| {
            alloc.kind == AllocKind::Module && alloc.device == self.device
        });
    }
}

/// The addresses that the segments span.
fn image_range(code_object: &CodeObject<'_>) -> Result<Range<u64>, LoadError> {
    let segments = code_object.segments();
    let start = segments.iter().map(|segment| segment.address).min();
    let end = segments
        .iter()
        .map(|segment| segment.address + segment.memory_size)
        .max();
    // Page offsets are kept: instructions and data rely on their alignment in the image.
    let start = start.unwrap_or(0) / IMAGE_ALIGN * IMAGE_ALIGN;
    let size = end.unwrap_or(start) - start;
    if size > MAX_IMAGE {
        return Err(LoadError::TooLarge { size });
    }
    Ok(start..start + size.max(1))
}

/// The image that a client's pointer points to: a code object, a bundle, or a fat binary's wrapper around one.
///
/// # Errors
/// [`LoadError::Image`] if it is none of these or its length cannot be told.
///
/// # Safety
/// `pointer` points to a complete image as its own headers describe it, which stays as it is for `'a`.
pub unsafe fn image_at<'a>(pointer: *const u8) -> Result<&'a [u8], LoadError> {
    // SAFETY: every image is longer than its magic; the caller vouches for the rest.
    let magic = unsafe { std::slice::from_raw_parts(pointer, 4) };
    if magic == FAT_BINARY_MAGIC.to_le_bytes() {
        // The wrapper: magic and version (u32 each), then the pointer to the image.
        // SAFETY: the wrapper has 24 bytes.
        let inner = unsafe { pointer.add(8).cast::<*const u8>().read_unaligned() };
        if inner.is_null() {
            return Err(LoadError::Image(codeobject::Error::Field {
                what: "the fat binary wrapper's pointer",
                found: "null".to_owned(),
                expected: "the address of an offload bundle",
            }));
        }
        // SAFETY: as for `pointer`. A wrapper in a wrapper is not followed: it is no image.
        return unsafe { plain_image_at(inner) };
    }
    // SAFETY: the caller's promise.
    unsafe { plain_image_at(pointer) }
}

/// # Safety
/// As for [`image_at`].
unsafe fn plain_image_at<'a>(pointer: *const u8) -> Result<&'a [u8], LoadError> {
    // SAFETY: callers ask for no more than the image's headers say.
    let prefix = |len: usize| unsafe { std::slice::from_raw_parts(pointer, len) };
    if prefix(4) == b"\x7fELF" {
        return Ok(prefix(elf_len(prefix)?));
    }
    let mut known = 16;
    loop {
        match Extent::of(prefix(known))? {
            Extent::Complete(len) => return Ok(prefix(len as usize)),
            // Each step asks for more than the last.
            Extent::NeedsAtLeast(len) => known = (len as usize).max(known + 1),
        }
    }
}

/// The length of an ELF file: the end of what its header, its program headers and its sections reach.
fn elf_len<'a>(prefix: impl Fn(usize) -> &'a [u8]) -> Result<usize, LoadError> {
    const HEADER: usize = 64;
    let header = prefix(HEADER);
    let u16_at = |at: usize| usize::from(u16::from_le_bytes([header[at], header[at + 1]]));
    let u64_of = |bytes: &[u8], at: usize| {
        let mut value = [0; 8];
        value.copy_from_slice(&bytes[at..at + 8]);
        usize::try_from(u64::from_le_bytes(value)).unwrap_or(usize::MAX)
    };
    let broken = |what: &'static str| {
        LoadError::Image(codeobject::Error::Elf {
            what,
            message: "they reach past the end of the address space".to_owned(),
        })
    };
    if header[4] != 2 || header[5] != 1 {
        // Not a 64-bit little-endian file: the reader says so when it sees the header.
        return Ok(HEADER);
    }
    let table = |offset: usize, entry: usize, count: usize, what: &'static str| {
        let end = entry
            .checked_mul(count)
            .and_then(|len| len.checked_add(offset));
        end.filter(|end| *end < isize::MAX as usize)
            .ok_or_else(|| broken(what))
    };
    let (segments, sections) = (u64_of(header, 32), u64_of(header, 40));
    let (segment_size, section_size) = (u16_at(54), u16_at(58));
    let segments_end = table(segments, segment_size, u16_at(56), "the program headers")?;
    let sections_end = table(sections, section_size, u16_at(60), "the section headers")?;
    let mut len = HEADER.max(segments_end).max(sections_end);
    let mut reach = |offset: usize, size: usize, what| {
        let end = offset
            .checked_add(size)
            .filter(|end| *end < isize::MAX as usize);
        len = len.max(end.ok_or_else(|| broken(what))?);
        Ok::<(), LoadError>(())
    };
    if segment_size >= 56 {
        for entry in prefix(segments_end)[segments.min(segments_end)..].chunks_exact(segment_size) {
            reach(u64_of(entry, 8), u64_of(entry, 32), "the segments")?;
        }
    }
    if section_size >= 64 {
        /// `SHT_NOBITS`: a section without bytes in the file.
        const NOBITS: u8 = 8;
        for entry in prefix(sections_end)[sections.min(sections_end)..].chunks_exact(section_size) {
            if entry[4] != NOBITS {
                reach(u64_of(entry, 24), u64_of(entry, 32), "the sections")?;
            }
        }
    }
    Ok(len)
}
