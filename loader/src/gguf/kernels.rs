//! The kernels of `quantized.cu` on one device: found once, checked once, launched by number.

use std::ffi::c_void;
use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};

use super::GgmlType;
use super::error::{GgufError, Operation};
use super::geometry::{Family, Tile};
use super::plan::MAX_VEC_BATCH;
use super::types::Count;
use crate::result;
use crate::safe::{Device, Error, Function, Image, LaunchConfig, Module, SlotKind, check_shape};
use crate::sys::hipStream_t;

/// The quantized kernels, loaded on a device. Cloning makes another handle to the same kernels.
///
/// Methods come in two forms. The *owning* ones take buffers, check their sizes, make the output and order the work with
/// every other use of the buffers. The *raw* ones ([`crate::gguf::raw`]) take device pointers and a stream of anybody's, check
/// the shapes, and launch; the owning ones are thin over them.
#[derive(Clone, Debug)]
pub struct GgufKernels {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    module: Module,
    slots: Box<[OnceLock<Slot>]>,
}

/// A kernel that was found and whose arguments are what the loader gives.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) function: Function,
    /// The tile, for a matrix kernel.
    pub(super) tile: Option<(Family, Tile)>,
}

/// A kernel by its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelId {
    /// The operation.
    pub operation: Operation,
    /// The type of the weights; of the result for [`Operation::QuantizeQ8_1`].
    pub dtype: GgmlType,
    /// Rows of activations for [`Operation::MulMatVec`], 1 for all others.
    pub batch: usize,
}

/// What a kernel takes: `P` pointers, then 32-bit integers and, for `get_rows`, two of 64 bits.
const fn signature(operation: Operation) -> (usize, &'static [u32]) {
    match operation {
        Operation::QuantizeQ8_1 => (2, &[4, 4]),
        Operation::DequantizeF32 | Operation::DequantizeF16 => (2, &[4]),
        Operation::GetRows => (3, &[8, 8]),
        Operation::DequantizeMulMatVec => (3, &[4, 4]),
        Operation::MulMatVec => (3, &[4; 4]),
        Operation::MulMat => (3, &[4; 5]),
        Operation::IndexedMoe => (4, &[4; 6]),
    }
}

/// Slots of one type: each operation, and the vector kernels' seven other batches.
const SLOTS: usize = Operation::ALL.len() + MAX_VEC_BATCH - 1;

impl KernelId {
    /// A kernel of `operation` for `dtype`. The vector kernel is the one for one row.
    ///
    /// # Errors
    /// [`GgufError::UnsupportedType`].
    pub fn new(operation: Operation, dtype: GgmlType) -> Result<Self, GgufError> {
        if operation.supports(dtype) {
            Ok(Self {
                operation,
                dtype,
                batch: 1,
            })
        } else {
            Err(GgufError::UnsupportedType { operation, dtype })
        }
    }

    /// The vector kernel for `batch` rows of activations.
    ///
    /// # Errors
    /// [`GgufError::UnsupportedType`], [`GgufError::Batch`] unless `batch` is 1 to 8.
    pub fn mul_mat_vec(dtype: GgmlType, batch: usize) -> Result<Self, GgufError> {
        let id = Self::new(Operation::MulMatVec, dtype)?;
        if (1..=MAX_VEC_BATCH).contains(&batch) {
            Ok(Self { batch, ..id })
        } else {
            Err(GgufError::Batch { batch })
        }
    }

    /// All kernels that the loader launches.
    pub fn all() -> impl Iterator<Item = Self> {
        Operation::ALL.into_iter().flat_map(|operation| {
            operation.supported().flat_map(move |dtype| {
                let batches = if operation == Operation::MulMatVec {
                    MAX_VEC_BATCH
                } else {
                    1
                };
                (1..=batches).map(move |batch| Self {
                    operation,
                    dtype,
                    batch,
                })
            })
        })
    }

    /// The symbol in the code object.
    pub fn symbol(self) -> String {
        let facts = self.dtype.facts();
        let symbol = facts.symbol;
        match self.operation {
            Operation::QuantizeQ8_1 => "quantize_q8_1".to_owned(),
            Operation::DequantizeF32 => format!("dequantize_block_{symbol}_f32"),
            Operation::DequantizeF16 => format!("dequantize_block_{symbol}_f16"),
            Operation::GetRows => format!("get_rows_{symbol}"),
            Operation::DequantizeMulMatVec => {
                let own = facts
                    .dequantize_mul_mat_vec
                    .as_ref()
                    .map_or(symbol, |own| own.symbol);
                format!("dequantize_mul_mat_vec_{own}")
            }
            Operation::MulMatVec => format!("mul_mat_vec_{symbol}_q8_1_cuda{}", self.batch),
            Operation::MulMat => format!("mul_mat_{symbol}"),
            Operation::IndexedMoe => {
                format!(
                    "indexed_moe_forward_{}_q8_1",
                    facts.indexed_moe.unwrap_or(symbol)
                )
            }
        }
    }

    fn index(self) -> usize {
        let operation = match self.operation {
            Operation::MulMatVec if self.batch > 1 => Operation::ALL.len() + self.batch - 2,
            operation => operation as usize,
        };
        self.dtype as usize * SLOTS + operation
    }

    /// The sizes of the arguments, 0 for a pointer.
    fn signature(self) -> impl Iterator<Item = u32> + Clone {
        let (pointers, values) = signature(self.operation);
        let facts = self.dtype.facts();
        let dropped = match self.operation {
            Operation::DequantizeF32 | Operation::DequantizeF16 => facts
                .dequantize
                .as_ref()
                .is_some_and(|facts| facts.count == Count::None),
            Operation::DequantizeMulMatVec => facts
                .dequantize_mul_mat_vec
                .as_ref()
                .is_some_and(|facts| !facts.takes_rows),
            _ => false,
        };
        let values = &values[..values.len() - usize::from(dropped)];
        std::iter::repeat_n(0, pointers).chain(values.iter().copied())
    }

    fn check(self, function: &Function) -> Result<Slot, GgufError> {
        let slots = function.args();
        let found = slots.iter().map(|slot| match slot.kind {
            SlotKind::Pointer => 0,
            _ => slot.size,
        });
        if !found.clone().eq(self.signature()) {
            return Err(GgufError::Signature {
                kernel: function.name().to_owned(),
                expected: describe(self.signature()),
                found: describe(found),
            });
        }
        let mut tile = None;
        if self.operation == Operation::MulMat
            && let Some(facts) = &self.dtype.facts().mul_mat
        {
            let metadata = function.metadata();
            let shared_bytes = metadata.group_segment_fixed_size;
            let max_block = metadata.max_flat_workgroup_size;
            tile = facts.tile_of(shared_bytes, max_block);
            if tile.is_none() {
                let known = Family::ALL
                    .into_iter()
                    .zip(facts.tiles)
                    .map(|(family, tile)| {
                        let (bytes, block) = (facts.shared_bytes(tile), tile.block());
                        format!("{family} with {bytes} bytes and {block} work-items")
                    });
                return Err(GgufError::UnknownTile {
                    kernel: function.name().to_owned(),
                    shared_bytes,
                    max_block,
                    known: known.collect::<Vec<_>>().join(", "),
                });
            }
        }
        Ok(Slot {
            function: function.clone(),
            tile,
        })
    }
}

fn describe(sizes: impl Iterator<Item = u32>) -> String {
    let mut text = String::new();
    for size in sizes {
        let comma = if text.is_empty() { "" } else { ", " };
        // Writing to a string cannot fail.
        let _ = match size {
            0 => write!(text, "{comma}p"),
            size => write!(text, "{comma}{size}"),
        };
    }
    text
}

impl GgufKernels {
    /// Loads the kernels on `device` from a bundle or a code object of `quantized.cu`.
    ///
    /// # Errors
    /// As [`Module::load`].
    pub fn load(device: &Device, image: &Image) -> Result<Self, Error> {
        Ok(Self::from_module(Module::load(device, image)?))
    }

    /// Uses the kernels of a module that is loaded. A kernel is looked for when it is used the first time.
    pub fn from_module(module: Module) -> Self {
        let slots = (0..GgmlType::COUNT * SLOTS)
            .map(|_| OnceLock::new())
            .collect();
        Self {
            inner: Arc::new(Inner { module, slots }),
        }
    }

    /// The module.
    pub fn module(&self) -> &Module {
        &self.inner.module
    }

    /// The device that the kernels are loaded on.
    #[inline]
    pub fn device(&self) -> &Device {
        self.inner.module.device()
    }

    /// The tile that the matrix kernel for `dtype` was compiled with, and the set that it belongs to.
    ///
    /// # Errors
    /// [`GgufError::UnsupportedType`], [`GgufError::UnknownTile`], or that the kernel is not there.
    pub fn tile(&self, dtype: GgmlType) -> Result<(Family, Tile), Error> {
        let id = KernelId::new(Operation::MulMat, dtype)?;
        let slot = self.slot(id)?;
        slot.tile.ok_or_else(|| {
            GgufError::UnsupportedType {
                operation: id.operation,
                dtype,
            }
            .into()
        })
    }

    /// The kernel, checked to take the arguments that the loader gives.
    ///
    /// # Errors
    /// [`crate::ModuleError::UnknownKernel`], [`GgufError::Signature`], [`GgufError::UnknownTile`], or what the library
    /// answers.
    pub fn function(&self, id: KernelId) -> Result<&Function, Error> {
        Ok(&self.slot(id)?.function)
    }

    #[inline]
    pub(super) fn slot(&self, id: KernelId) -> Result<&Slot, Error> {
        let cell = &self.inner.slots[id.index()];
        match cell.get() {
            Some(slot) => Ok(slot),
            None => self.find(id, cell),
        }
    }

    #[cold]
    fn find<'s>(&self, id: KernelId, cell: &'s OnceLock<Slot>) -> Result<&'s Slot, Error> {
        let function = self.inner.module.function(&id.symbol())?;
        let slot = id.check(&function)?;
        Ok(cell.get_or_init(|| slot))
    }

    /// Launches a kernel with `N` arguments, each in a word of its own.
    ///
    /// # Safety
    /// The stream is one of the kernels' device; the arguments are those of the kernel, whose signature was checked.
    #[inline]
    pub(super) unsafe fn fire<const N: usize>(
        &self,
        slot: &Slot,
        stream: hipStream_t,
        config: LaunchConfig,
        args: [u64; N],
    ) -> Result<(), Error> {
        // A word holds its value in its first bytes, whatever its size.
        const { assert!(cfg!(target_endian = "little")) };
        let facts = slot.function.facts();
        debug_assert_eq!(facts.slots.len(), N);
        if let Err(problem) = check_shape(facts, self.device().limits(), &config) {
            return Err(Error::Launch {
                kernel: slot.function.name().to_owned(),
                problem,
            });
        }
        let mut params = args
            .each_ref()
            .map(|arg| std::ptr::from_ref(arg).cast_mut().cast::<c_void>());
        // SAFETY: there is a pointer to a value for each argument, and the rest is promised by the caller.
        let launched = unsafe {
            result::launch::kernel(
                self.device().api(),
                slot.function.raw(),
                config.grid,
                config.block,
                config.shared_bytes,
                stream,
                params.as_mut_ptr(),
            )
        };
        Ok(launched?)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_kernel_has_a_slot_and_a_symbol_of_its_own() {
        let ids: Vec<_> = KernelId::all().collect();
        let slots: HashSet<_> = ids.iter().map(|id| id.index()).collect();
        let symbols: HashSet<_> = ids.iter().map(|id| id.symbol()).collect();
        assert_eq!(slots.len(), ids.len());
        assert_eq!(symbols.len(), ids.len());
        assert!(slots.iter().all(|&slot| slot < GgmlType::COUNT * SLOTS));
        // candle-kernels 0.11.1 has this many in quantized.cu.
        assert_eq!(ids.len(), 142);
    }

    #[test]
    fn symbols_are_spelled_as_in_quantized_cu() {
        let symbol = |operation, dtype| KernelId::new(operation, dtype).unwrap().symbol();
        assert_eq!(
            symbol(Operation::DequantizeF16, GgmlType::Q8K),
            "dequantize_block_q8_K_f16"
        );
        assert_eq!(symbol(Operation::GetRows, GgmlType::BF16), "get_rows_bf16");
        assert_eq!(
            symbol(Operation::DequantizeMulMatVec, GgmlType::Q4_0),
            "dequantize_mul_mat_vec_q4_0_cuda"
        );
        assert_eq!(
            symbol(Operation::DequantizeMulMatVec, GgmlType::Q5K),
            "dequantize_mul_mat_vec_q5_k"
        );
        assert_eq!(symbol(Operation::MulMat, GgmlType::Q3K), "mul_mat_q3_K");
        assert_eq!(
            symbol(Operation::IndexedMoe, GgmlType::Q6K),
            "indexed_moe_forward_q6k_q8_1"
        );
        assert_eq!(
            symbol(Operation::IndexedMoe, GgmlType::Q8_0),
            "indexed_moe_forward_q8_0_q8_1"
        );
        let id = KernelId::mul_mat_vec(GgmlType::Q2K, 7).unwrap();
        assert_eq!(id.symbol(), "mul_mat_vec_q2_K_q8_1_cuda7");
    }

    #[test]
    fn what_is_not_there_is_refused_with_what_is() {
        let error = KernelId::new(Operation::IndexedMoe, GgmlType::Q4_0).unwrap_err();
        assert_eq!(
            error.to_string(),
            "indexed_moe_forward has no kernel for Q4_0; \
             there are kernels for Q8_0, Q2K, Q3K, Q4K, Q5K, Q6K"
        );
        assert!(KernelId::mul_mat_vec(GgmlType::Q4K, 9).is_err());
        assert!(KernelId::mul_mat_vec(GgmlType::Q4K, 0).is_err());
        assert!(KernelId::mul_mat_vec(GgmlType::Q8K, 1).is_err());
    }
}
