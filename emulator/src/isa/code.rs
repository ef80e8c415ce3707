//! A code object's machine code, decoded once.
//!
//! Functions are decoded when they are first entered and kept for as long as the code object is loaded. Execution finds
//! instructions by index; addresses matter only where control moves through a register.

use std::collections::BTreeMap;
use std::sync::{OnceLock, PoisonError, RwLock};

use crate::arch::Arch;
use crate::fault::FaultKind;
use crate::isa::decode::{self, Decoder};
use crate::isa::inst::{Detail, Inst};
use crate::isa::llvm::{Disassembler, LlvmError};

/// No instruction starts there.
const NOWHERE: u32 = u32::MAX;

/// A decoded function.
pub struct Function {
    /// Where it starts.
    pub address: u64,
    /// Its size in bytes.
    pub size: u64,
    /// Its name, if it has a symbol.
    pub name: String,
    /// Its instructions in the order of their addresses.
    pub instructions: Vec<Inst>,
    /// For every four bytes the instruction that starts there.
    index: Vec<u32>,
}

impl Function {
    /// The address of instruction `index`.
    pub fn address_of(&self, index: usize) -> u64 {
        self.instructions
            .get(index)
            .map_or(self.address + self.size, |inst| {
                self.address + u64::from(inst.offset)
            })
    }

    /// The address behind instruction `index`.
    pub fn address_after(&self, index: usize) -> u64 {
        self.address_of(index + 1)
    }

    /// The instruction that starts at `address`.
    pub fn find(&self, address: u64) -> Option<usize> {
        let offset = address.checked_sub(self.address)?;
        if offset % 4 != 0 {
            return None;
        }
        let index = *self.index.get(usize::try_from(offset / 4).ok()?)?;
        (index != NOWHERE).then_some(index as usize)
    }
}

/// A range of machine code with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extent {
    /// The first address.
    pub address: u64,
    /// Bytes.
    pub size: u64,
    /// The symbol.
    pub name: String,
}

/// The machine code of a loaded code object.
pub struct Code {
    arch: Arch,
    /// The functions, by address.
    extents: Vec<Extent>,
    /// The image: its address and its bytes.
    base: u64,
    bytes: Vec<u8>,
    decoders: [OnceLock<Result<Decoder, LlvmError>>; 2],
    /// Decoded functions by address and halves. Boxes are never removed or replaced while the `Code` lives.
    functions: RwLock<BTreeMap<(u64, usize), Box<Function>>>,
}

impl Code {
    /// The code in `bytes`, loaded at `base`; `extents` are its functions.
    pub fn new(arch: Arch, base: u64, bytes: Vec<u8>, mut extents: Vec<Extent>) -> Self {
        extents.sort_by_key(|extent| extent.address);
        Self {
            arch,
            extents,
            base,
            bytes,
            decoders: [OnceLock::new(), OnceLock::new()],
            functions: RwLock::default(),
        }
    }

    /// The architecture that it was compiled for.
    pub fn arch(&self) -> &Arch {
        &self.arch
    }

    /// Where the image is loaded.
    pub fn base(&self) -> u64 {
        self.base
    }

    /// The functions.
    pub fn extents(&self) -> &[Extent] {
        &self.extents
    }

    /// The decoder for waves of `halves` halves.
    ///
    /// # Errors
    /// When LLVM is missing or does not know the processor.
    pub fn decoder(&self, halves: usize) -> Result<&Decoder, LlvmError> {
        self.decoders[halves - 1]
            .get_or_init(|| {
                let features = match (self.arch.wave32, halves) {
                    (true, 2) => "+wavefrontsize64",
                    (true, _) => "+wavefrontsize32",
                    (false, _) => "",
                };
                Ok(Decoder::new(
                    self.arch.clone(),
                    Disassembler::new(&self.arch.llvm_cpu, features)?,
                    halves == 2,
                ))
            })
            .as_ref()
            .map_err(LlvmError::clone)
    }

    /// The bytes from `address` to the end of the image.
    pub fn bytes_from(&self, address: u64) -> &[u8] {
        let offset = address
            .checked_sub(self.base)
            .and_then(|offset| usize::try_from(offset).ok());
        offset
            .and_then(|offset| self.bytes.get(offset..))
            .unwrap_or_default()
    }

    /// The function that starts at `address`, decoded for waves of `halves` halves.
    ///
    /// # Errors
    /// When no function starts there or there is no disassembler.
    pub fn function_at(&self, address: u64, halves: usize) -> Result<&Function, FaultKind> {
        {
            let functions = self
                .functions
                .read()
                .unwrap_or_else(PoisonError::into_inner);
            if let Some(function) = functions.get(&(address, halves)) {
                let function: *const Function = &**function;
                // SAFETY: the map only grows and its values are boxed, so the function lives as long as `self`.
                return Ok(unsafe { &*function });
            }
        }
        let extent = self.extent_of(address).ok_or(FaultKind::Jump { address })?;
        let extent = Extent {
            size: extent.address + extent.size - address,
            address,
            name: extent.name.clone(),
        };
        let decoder = self.decoder(halves).map_err(|error| FaultKind::Unknown {
            reason: error.to_string(),
        })?;
        let code = self.bytes_from(address);
        let code = &code[..code.len().min(extent.size as usize)];
        let decoded = Box::new(Self::decode(decoder, &extent, code));
        let mut functions = self
            .functions
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let function: *const Function = &**functions.entry((address, halves)).or_insert(decoded);
        // SAFETY: as above; an entry that another thread made first is kept.
        Ok(unsafe { &*function })
    }

    /// The instruction at `address`, wherever it is.
    ///
    /// # Errors
    /// When no instruction starts there.
    pub fn locate(&self, address: u64, halves: usize) -> Result<(&Function, usize), FaultKind> {
        let missing = FaultKind::Jump { address };
        let start = self.extent_of(address).ok_or(missing.clone())?.address;
        let function = self.function_at(start, halves)?;
        match function.find(address) {
            Some(index) => Ok((function, index)),
            None => Err(missing),
        }
    }

    /// The function that `address` lies in.
    pub fn extent_of(&self, address: u64) -> Option<&Extent> {
        let next = self
            .extents
            .partition_point(|extent| extent.address <= address);
        let extent = self.extents.get(next.checked_sub(1)?)?;
        (address < extent.address + extent.size).then_some(extent)
    }

    /// The text of the instruction at `address`.
    pub fn text(&self, address: u64, halves: usize) -> String {
        let bytes = self.bytes_from(address);
        match self
            .decoder(halves)
            .ok()
            .and_then(|decoder| decoder.text(bytes, address))
        {
            Some((_, text)) => text,
            None => format!("(bytes {:02x?})", &bytes[..bytes.len().min(8)]),
        }
    }

    fn decode(decoder: &Decoder, extent: &Extent, code: &[u8]) -> Function {
        let mut instructions = Vec::with_capacity(code.len() / 6);
        let mut index = vec![NOWHERE; code.len().div_ceil(4)];
        let mut at = 0;
        while at < code.len() {
            let (size, mut inst) = decoder.one(&code[at..], extent.address + at as u64);
            inst.offset = at as u32;
            index[at / 4] = instructions.len() as u32;
            instructions.push(inst);
            at += size.max(4);
        }
        decode::resolve_branches(&mut instructions, &index);
        Function {
            address: extent.address,
            size: code.len() as u64,
            name: extent.name.clone(),
            instructions,
            index,
        }
    }

    /// The reasons why instructions of the code cannot be executed, each with the number of its occurrences.
    ///
    /// # Errors
    /// When there is no disassembler.
    pub fn unknown(&self, halves: usize) -> Result<BTreeMap<String, usize>, FaultKind> {
        let mut found = BTreeMap::new();
        for extent in &self.extents {
            let function = self.function_at(extent.address, halves)?;
            for inst in &function.instructions {
                if let Detail::Unknown(reason) = &inst.detail {
                    *found.entry(reason.to_string()).or_insert(0) += 1;
                }
            }
        }
        Ok(found)
    }
}
