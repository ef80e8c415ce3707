//! The operations on device pointers and a stream of anybody's.
//!
//! For a backend with memory and streams of its own: nothing is allocated, nothing is freed, no device is made current
//! (a stream knows its device), and the stream may come from any library that uses the same libamdhip64. Each operation is
//! a structure whose fields are its operands, and a method of [`GgufKernels`] that takes it.
//!
//! | operand | layout |
//! |---|---|
//! | weights | rows of GGML blocks, followed by [`super::padded_size`] minus their size in zero bytes |
//! | activations | f32, row by row |
//! | quantized activations | rows of [`super::q8_1_size`] `/ rows` bytes: Q8_1 blocks, padded with zero blocks to a multiple of 512 columns |
//! | outputs | row by row: a row of activations makes a row of the output |
//!
//! The null stream means that of the calling thread's current device, which then has to be the kernels' own.

use super::GgmlType;
use super::error::{GgufError, Operation};
use super::kernels::{GgufKernels, KernelId};
use super::plan;
use super::types::Count;
use crate::safe::{DevicePtr, Error};
use crate::sys::hipStream_t;

/// Operands of [`GgufKernels::quantize_q8_1_raw`].
#[derive(Clone, Copy, Debug)]
pub struct QuantizeQ8_1 {
    /// `rows` x `columns` f32.
    pub activations: DevicePtr,
    /// [`super::q8_1_size`]`(rows, columns)` bytes.
    pub quantized: DevicePtr,
    /// Rows of activations.
    pub rows: usize,
    /// Columns of activations; any number.
    pub columns: usize,
}

/// Operands of [`GgufKernels::dequantize_f32_raw`] and [`GgufKernels::dequantize_f16_raw`].
#[derive(Clone, Copy, Debug)]
pub struct Dequantize {
    /// The type of the weights.
    pub dtype: GgmlType,
    /// The blocks.
    pub weights: DevicePtr,
    /// `elements` f32 or f16.
    pub out: DevicePtr,
    /// Elements, a whole number of blocks. The kernels write 256 at a time: where blocks have 256 elements that is exact.
    pub elements: usize,
}

/// Operands of [`GgufKernels::get_rows_raw`].
#[derive(Clone, Copy, Debug)]
pub struct GetRows {
    /// The type of the weights.
    pub dtype: GgmlType,
    /// Rows of `columns` elements.
    pub weights: DevicePtr,
    /// `count` u32, each the number of a row that is there.
    pub ids: DevicePtr,
    /// `count` x `columns` f32.
    pub out: DevicePtr,
    /// How many ids.
    pub count: usize,
    /// Columns, a whole number of blocks.
    pub columns: usize,
}

/// Operands of [`GgufKernels::dequantize_mul_mat_vec_raw`].
#[derive(Clone, Copy, Debug)]
pub struct DequantizeMulMatVec {
    /// The type of the weights.
    pub dtype: GgmlType,
    /// `rows` x `columns`.
    pub weights: DevicePtr,
    /// `batch` x `columns` f32.
    pub activations: DevicePtr,
    /// `batch` x `rows` f32.
    pub out: DevicePtr,
    /// Rows of weights.
    pub rows: usize,
    /// Columns, a whole number of blocks.
    pub columns: usize,
    /// Rows of activations, each launched by itself.
    pub batch: usize,
}

/// Operands of [`GgufKernels::mul_mat_vec_raw`] and [`GgufKernels::mul_mat_raw`].
#[derive(Clone, Copy, Debug)]
pub struct MulMat {
    /// The type of the weights.
    pub dtype: GgmlType,
    /// `rows` x `columns`.
    pub weights: DevicePtr,
    /// What [`GgufKernels::quantize_q8_1_raw`] made of `batch` x `columns` f32.
    pub quantized: DevicePtr,
    /// `batch` x `rows` f32.
    pub out: DevicePtr,
    /// Rows of weights.
    pub rows: usize,
    /// Columns, a whole number of blocks.
    pub columns: usize,
    /// Rows of activations: 1 to 8 for the vector kernels, any number for the matrix kernels.
    pub batch: usize,
}

/// Operands of [`GgufKernels::indexed_moe_raw`].
#[derive(Clone, Copy, Debug)]
pub struct IndexedMoe {
    /// The type of the weights.
    pub dtype: GgmlType,
    /// Experts x `rows` x `columns`.
    pub weights: DevicePtr,
    /// What [`GgufKernels::quantize_q8_1_raw`] made of `batch` x `inputs` x `columns` f32.
    pub quantized: DevicePtr,
    /// `batch` x `topk` u32, each the number of an expert that is there.
    pub ids: DevicePtr,
    /// `batch` x `topk` x `rows` f32.
    pub out: DevicePtr,
    /// Rows of an expert.
    pub rows: usize,
    /// Columns, a whole number of blocks.
    pub columns: usize,
    /// Tokens.
    pub batch: usize,
    /// Experts of a token.
    pub topk: usize,
    /// Rows of activations of a token: 1 for all of its experts, or `topk`.
    pub inputs: usize,
}

fn whole_blocks(dtype: GgmlType, what: &'static str, elements: usize) -> Result<(), GgufError> {
    let multiple = dtype.block_size();
    if elements.is_multiple_of(multiple) {
        Ok(())
    } else {
        Err(GgufError::NotMultiple {
            what,
            dtype,
            elements,
            multiple,
        })
    }
}

/// Bytes of `elements` elements that are whole blocks.
fn bytes(dtype: GgmlType, elements: usize) -> usize {
    elements / dtype.block_size() * dtype.type_size()
}

/// An integer as a kernel's argument. The number was checked to fit.
fn word(value: usize) -> u64 {
    value as u64
}

const F32: usize = size_of::<f32>();
const F16: usize = size_of::<half::f16>();
const U32: usize = size_of::<u32>();

/// # Safety of the raw operations
/// The stream belongs to the device of the kernels and to the same library. The operands are memory that the device can
/// reach, as large as their documentation says, outputs apart from inputs; they stay until the stream has passed the
/// launch, and nothing else writes them, or uses the output, meanwhile.
impl GgufKernels {
    /// Quantizes activations to blocks of Q8_1.
    ///
    /// # Errors
    /// [`GgufError::TooLarge`], that the kernel is not there, or what the library answers.
    ///
    /// # Safety
    /// See the [safety of the raw operations](#safety-of-the-raw-operations).
    pub unsafe fn quantize_q8_1_raw(
        &self,
        stream: hipStream_t,
        operands: &QuantizeQ8_1,
    ) -> Result<(), Error> {
        let QuantizeQ8_1 {
            activations,
            quantized,
            rows,
            columns,
        } = *operands;
        let operation = Operation::QuantizeQ8_1;
        let slot = self.slot(KernelId::new(operation, GgmlType::Q8_1)?)?;
        let padded = plan::padded(operation, columns)?;
        let row_bytes = plan::q8_1_row_bytes(operation, columns)?;
        for part in plan::quantize_q8_1(rows, columns)? {
            let from = activations.add(part.first * columns * F32);
            let to = quantized.add(part.first * row_bytes);
            let args = [from.0, to.0, word(columns), word(padded)];
            // SAFETY: the arguments are in the order of the signature; memory is promised by the caller.
            unsafe { self.fire(slot, stream, part.config, args) }?;
        }
        Ok(())
    }

    /// Dequantizes weights to f32.
    ///
    /// # Errors
    /// [`GgufError`], that the kernel is not there, or what the library answers.
    ///
    /// # Safety
    /// See the [safety of the raw operations](#safety-of-the-raw-operations).
    pub unsafe fn dequantize_f32_raw(
        &self,
        stream: hipStream_t,
        operands: &Dequantize,
    ) -> Result<(), Error> {
        // SAFETY: promised by the caller.
        unsafe { self.dequantize_raw(stream, Operation::DequantizeF32, F32, operands) }
    }

    /// Dequantizes weights to f16.
    ///
    /// # Errors
    /// [`GgufError`], that the kernel is not there, or what the library answers.
    ///
    /// # Safety
    /// See the [safety of the raw operations](#safety-of-the-raw-operations).
    pub unsafe fn dequantize_f16_raw(
        &self,
        stream: hipStream_t,
        operands: &Dequantize,
    ) -> Result<(), Error> {
        // SAFETY: promised by the caller.
        unsafe { self.dequantize_raw(stream, Operation::DequantizeF16, F16, operands) }
    }

    /// # Safety
    /// As above; the output has elements of `size` bytes.
    unsafe fn dequantize_raw(
        &self,
        stream: hipStream_t,
        operation: Operation,
        size: usize,
        operands: &Dequantize,
    ) -> Result<(), Error> {
        let Dequantize {
            dtype,
            weights,
            out,
            elements,
        } = *operands;
        let slot = self.slot(KernelId::new(operation, dtype)?)?;
        whole_blocks(dtype, "the number of elements", elements)?;
        let Some(facts) = &dtype.facts().dequantize else {
            return Err(GgufError::UnsupportedType { operation, dtype }.into());
        };
        for part in plan::dequantize(facts, elements) {
            let from = weights.add(bytes(dtype, part.first));
            let to = out.add(part.first * size);
            let count = match facts.count {
                Count::None => None,
                Count::Blocks => Some(part.count / dtype.block_size()),
                Count::Elements => Some(part.count),
            };
            // SAFETY: the arguments are in the order of the signature; memory is promised by the caller.
            unsafe {
                match count {
                    None => self.fire(slot, stream, part.config, [from.0, to.0]),
                    Some(count) => {
                        self.fire(slot, stream, part.config, [from.0, to.0, word(count)])
                    }
                }
            }?;
        }
        Ok(())
    }

    /// Dequantizes some rows of a matrix to f32.
    ///
    /// # Errors
    /// [`GgufError`], that the kernel is not there, or what the library answers.
    ///
    /// # Safety
    /// See the [safety of the raw operations](#safety-of-the-raw-operations); every id is below the number of rows.
    pub unsafe fn get_rows_raw(
        &self,
        stream: hipStream_t,
        operands: &GetRows,
    ) -> Result<(), Error> {
        let GetRows {
            dtype,
            weights,
            ids,
            out,
            count,
            columns,
        } = *operands;
        let operation = Operation::GetRows;
        let slot = self.slot(KernelId::new(operation, dtype)?)?;
        whole_blocks(dtype, "the number of columns", columns)?;
        let Some(facts) = &dtype.facts().get_rows else {
            return Err(GgufError::UnsupportedType { operation, dtype }.into());
        };
        let row_bytes = bytes(dtype, columns);
        for (row, column) in plan::get_rows(facts, count, columns) {
            let from = weights.add(bytes(dtype, column.first));
            let to = out.add((row.first * columns + column.first) * F32);
            let ids = ids.add(row.first * U32);
            let args = [from.0, ids.0, to.0, word(columns), word(row_bytes)];
            // SAFETY: the arguments are in the order of the signature; memory is promised by the caller.
            unsafe { self.fire(slot, stream, row.config, args) }?;
        }
        Ok(())
    }

    /// Multiplies weights by vectors of f32, without quantizing these.
    ///
    /// # Errors
    /// [`GgufError`], that the kernel is not there, or what the library answers.
    ///
    /// # Safety
    /// See the [safety of the raw operations](#safety-of-the-raw-operations).
    pub unsafe fn dequantize_mul_mat_vec_raw(
        &self,
        stream: hipStream_t,
        operands: &DequantizeMulMatVec,
    ) -> Result<(), Error> {
        let DequantizeMulMatVec {
            dtype,
            weights,
            activations,
            out,
            rows,
            columns,
            batch,
        } = *operands;
        let operation = Operation::DequantizeMulMatVec;
        let slot = self.slot(KernelId::new(operation, dtype)?)?;
        let Some(facts) = &dtype.facts().dequantize_mul_mat_vec else {
            return Err(GgufError::UnsupportedType { operation, dtype }.into());
        };
        whole_blocks(dtype, "the number of columns", columns)?;
        plan::int(operation, "columns", columns)?;
        for row in 0..batch {
            let vector = activations.add(row * columns * F32);
            for part in plan::dequantize_mul_mat_vec(rows, columns) {
                let from = weights.add(bytes(dtype, part.first * columns));
                let to = out.add((row * rows + part.first) * F32);
                let args = [from.0, vector.0, to.0, word(columns), word(part.count)];
                // SAFETY: the arguments are in the order of the signature; memory is promised by the caller.
                unsafe {
                    match (facts.takes_rows, args) {
                        (true, args) => self.fire(slot, stream, part.config, args),
                        (false, [a, b, c, d, _]) => {
                            self.fire(slot, stream, part.config, [a, b, c, d])
                        }
                    }
                }?;
            }
        }
        Ok(())
    }

    /// Multiplies weights by 1 to 8 quantized vectors.
    ///
    /// # Errors
    /// [`GgufError`], that the kernel is not there, or what the library answers.
    ///
    /// # Safety
    /// See the [safety of the raw operations](#safety-of-the-raw-operations).
    pub unsafe fn mul_mat_vec_raw(
        &self,
        stream: hipStream_t,
        operands: &MulMat,
    ) -> Result<(), Error> {
        let MulMat {
            dtype,
            weights,
            quantized,
            out,
            rows,
            columns,
            batch,
        } = *operands;
        let operation = Operation::MulMatVec;
        let slot = self.slot(KernelId::mul_mat_vec(dtype, batch)?)?;
        whole_blocks(dtype, "the number of columns", columns)?;
        // The kernels count the elements of their output.
        plan::int(operation, "rows of the output", rows.saturating_mul(batch))?;
        let padded = plan::padded(operation, columns)?;
        for part in plan::mul_mat_vec(rows, batch) {
            let from = weights.add(bytes(dtype, part.first * columns));
            let to = out.add(part.first * F32);
            let sizes = [columns, part.count, padded, rows].map(word);
            let [columns, count, padded, stride] = sizes;
            let args = [from.0, quantized.0, to.0, columns, count, padded, stride];
            // SAFETY: the arguments are in the order of the signature; memory is promised by the caller.
            unsafe { self.fire(slot, stream, part.config, args) }?;
        }
        Ok(())
    }

    /// Multiplies weights by any number of quantized vectors.
    ///
    /// # Errors
    /// [`GgufError`], that the kernel is not there, or what the library answers.
    ///
    /// # Safety
    /// See the [safety of the raw operations](#safety-of-the-raw-operations).
    pub unsafe fn mul_mat_raw(&self, stream: hipStream_t, operands: &MulMat) -> Result<(), Error> {
        let MulMat {
            dtype,
            weights,
            quantized,
            out,
            rows,
            columns,
            batch,
        } = *operands;
        let operation = Operation::MulMat;
        let slot = self.slot(KernelId::new(operation, dtype)?)?;
        let Some((_, tile)) = slot.tile else {
            return Err(GgufError::UnsupportedType { operation, dtype }.into());
        };
        whole_blocks(dtype, "the number of columns", columns)?;
        let padded = plan::padded(operation, columns)?;
        let row_bytes = plan::q8_1_row_bytes(operation, columns)?;
        if rows == 0 {
            return Ok(());
        }
        for part in plan::mul_mat(tile, rows, columns, batch)? {
            let from = quantized.add(part.first * row_bytes);
            let to = out.add(part.first * rows * F32);
            let sizes = [columns, rows, part.count, padded, rows].map(word);
            let [columns, rows, count, padded, stride] = sizes;
            let args = [
                weights.0, from.0, to.0, columns, rows, count, padded, stride,
            ];
            // SAFETY: the arguments are in the order of the signature; memory is promised by the caller.
            unsafe { self.fire(slot, stream, part.config, args) }?;
        }
        Ok(())
    }

    /// For each token, multiplies some experts' weights by the token's quantized vectors.
    ///
    /// # Errors
    /// [`GgufError`], that the kernel is not there, or what the library answers.
    ///
    /// # Safety
    /// See the [safety of the raw operations](#safety-of-the-raw-operations); every id is below the number of experts.
    pub unsafe fn indexed_moe_raw(
        &self,
        stream: hipStream_t,
        operands: &IndexedMoe,
    ) -> Result<(), Error> {
        let IndexedMoe {
            dtype,
            weights,
            quantized,
            ids,
            out,
            rows,
            columns,
            batch,
            topk,
            inputs,
        } = *operands;
        let operation = Operation::IndexedMoe;
        let slot = self.slot(KernelId::new(operation, dtype)?)?;
        whole_blocks(dtype, "the number of columns", columns)?;
        if inputs != 1 && inputs != topk {
            let problem = format!(
                "a token has {inputs} rows of activations for {topk} experts; 1 or {topk} are possible"
            );
            return Err(GgufError::Shape { operation, problem }.into());
        }
        let padded = plan::padded(operation, columns)?;
        let row_bytes = plan::q8_1_row_bytes(operation, columns)?;
        if rows == 0 || topk == 0 {
            return Ok(());
        }
        for part in plan::indexed_moe(rows, columns, batch, topk)? {
            let from = quantized.add(part.first * inputs * row_bytes);
            let ids = ids.add(part.first * topk * U32);
            let to = out.add(part.first * topk * rows * F32);
            let sizes = [rows, columns, part.count, topk, padded, inputs].map(word);
            let [rows, columns, count, topk, padded, inputs] = sizes;
            let args = [
                weights.0, from.0, ids.0, to.0, rows, columns, count, topk, padded, inputs,
            ];
            // SAFETY: the arguments are in the order of the signature; memory is promised by the caller.
            unsafe { self.fire(slot, stream, part.config, args) }?;
        }
        Ok(())
    }
}
