//! The operations on buffers: sizes checked, outputs made, order kept. Thin over the raw forms.

use half::f16;

use super::error::{GgufError, Operation};
use super::kernels::GgufKernels;
use super::plan::MAX_VEC_BATCH;
use super::weights::{Weights, q8_1_size};
use super::{GgmlType, raw};
use crate::safe::{DeviceBuffer, DeviceElement, DeviceSlice, DeviceSliceMut, Error, Scope, Stream};

/// A size that shapes prescribe.
fn expect(
    operation: Operation,
    what: &'static str,
    given: usize,
    expected: Option<usize>,
) -> Result<(), GgufError> {
    // More than an address can name is a size that nothing has.
    let expected = expected.unwrap_or(usize::MAX);
    if given == expected {
        Ok(())
    } else {
        Err(GgufError::Size {
            operation,
            what,
            given,
            expected,
        })
    }
}

/// How many rows of `columns` there are in `elements`.
fn rows_in(
    operation: Operation,
    what: &'static str,
    elements: usize,
    columns: usize,
) -> Result<usize, GgufError> {
    match elements.checked_div(columns) {
        None if elements == 0 => Ok(0),
        Some(rows) if rows * columns == elements => Ok(rows),
        _ => {
            let problem =
                format!("{what} has {elements} elements, which is no number of rows of {columns}");
            Err(GgufError::Shape { operation, problem })
        }
    }
}

/// How a product of weights and activations is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum MatmulPath {
    /// As candle does: vector kernels for up to 8 rows of activations, matrix kernels for more.
    #[default]
    Auto,
    /// `dequantize_mul_mat_vec` for each row, which does not quantize activations. Candle's `set_force_dmmv`.
    DequantizeMulMatVec,
}

impl GgufKernels {
    /// Quantizes `rows` rows of activations to blocks of Q8_1.
    ///
    /// # Errors
    /// [`GgufError`], or what the library answers.
    pub fn quantize_q8_1<'a>(
        &self,
        stream: &Stream,
        activations: impl Into<DeviceSlice<'a, f32>>,
        columns: usize,
    ) -> Result<DeviceBuffer<u8>, Error> {
        let activations = activations.into();
        let rows = rows_in(
            Operation::QuantizeQ8_1,
            "activations",
            activations.len(),
            columns,
        )?;
        // SAFETY: the kernel writes all of it.
        let mut quantized = unsafe { stream.alloc::<u8>(q8_1_size(rows, columns)?) }?;
        self.quantize_q8_1_into(stream, activations, columns, &mut quantized)?;
        Ok(quantized)
    }

    /// As [`GgufKernels::quantize_q8_1`], into memory of [`q8_1_size`] bytes.
    ///
    /// # Errors
    /// [`GgufError`], or what the library answers.
    pub fn quantize_q8_1_into<'a, 'b>(
        &self,
        stream: &Stream,
        activations: impl Into<DeviceSlice<'a, f32>>,
        columns: usize,
        quantized: impl Into<DeviceSliceMut<'b, u8>>,
    ) -> Result<(), Error> {
        let (activations, quantized) = (activations.into(), quantized.into());
        let operation = Operation::QuantizeQ8_1;
        let rows = rows_in(operation, "activations", activations.len(), columns)?;
        let expected = Some(q8_1_size(rows, columns)?);
        expect(
            operation,
            "the quantized activations",
            quantized.len(),
            expected,
        )?;
        let operands = raw::QuantizeQ8_1 {
            activations: activations.ptr(),
            quantized: quantized.ptr(),
            rows,
            columns,
        };
        let mut scope = Scope::of_kernels(stream, self.device())?;
        scope.reads(&activations)?;
        scope.writes(&quantized)?;
        // SAFETY: the sizes were checked, and the scope orders the launch with other uses.
        scope.run(|stream| unsafe { self.quantize_q8_1_raw(stream, &operands) })
    }

    /// Dequantizes all weights to f32.
    ///
    /// # Errors
    /// [`GgufError`], or what the library answers.
    pub fn dequantize_f32(
        &self,
        stream: &Stream,
        weights: &Weights,
    ) -> Result<DeviceBuffer<f32>, Error> {
        // SAFETY: the kernel writes all of it.
        let mut out = unsafe { stream.alloc(weights.elements()) }?;
        self.dequantize_f32_into(stream, weights, &mut out)?;
        Ok(out)
    }

    /// As [`GgufKernels::dequantize_f32`], into memory that is there.
    ///
    /// # Errors
    /// [`GgufError`], or what the library answers.
    pub fn dequantize_f32_into<'a>(
        &self,
        stream: &Stream,
        weights: &Weights,
        out: impl Into<DeviceSliceMut<'a, f32>>,
    ) -> Result<(), Error> {
        let out = out.into();
        self.dequantize_into(stream, Operation::DequantizeF32, weights, &out)
    }

    /// Dequantizes all weights to f16.
    ///
    /// # Errors
    /// [`GgufError`], or what the library answers.
    pub fn dequantize_f16(
        &self,
        stream: &Stream,
        weights: &Weights,
    ) -> Result<DeviceBuffer<f16>, Error> {
        // SAFETY: the kernel writes all of it.
        let mut out = unsafe { stream.alloc(weights.elements()) }?;
        self.dequantize_f16_into(stream, weights, &mut out)?;
        Ok(out)
    }

    /// As [`GgufKernels::dequantize_f16`], into memory that is there.
    ///
    /// # Errors
    /// [`GgufError`], or what the library answers.
    pub fn dequantize_f16_into<'a>(
        &self,
        stream: &Stream,
        weights: &Weights,
        out: impl Into<DeviceSliceMut<'a, f16>>,
    ) -> Result<(), Error> {
        let out = out.into();
        self.dequantize_into(stream, Operation::DequantizeF16, weights, &out)
    }

    fn dequantize_into<T: DeviceElement>(
        &self,
        stream: &Stream,
        operation: Operation,
        weights: &Weights,
        out: &DeviceSliceMut<'_, T>,
    ) -> Result<(), Error> {
        expect(operation, "the output", out.len(), Some(weights.elements()))?;
        let operands = raw::Dequantize {
            dtype: weights.dtype(),
            weights: weights.ptr(),
            out: out.ptr(),
            elements: weights.elements(),
        };
        let mut scope = Scope::of_kernels(stream, self.device())?;
        scope.reads(&weights.blocks()?)?;
        scope.writes(out)?;
        // SAFETY: the sizes were checked, and the scope orders the launch with other uses.
        scope.run(|stream| unsafe {
            match operation {
                Operation::DequantizeF16 => self.dequantize_f16_raw(stream, &operands),
                _ => self.dequantize_f32_raw(stream, &operands),
            }
        })
    }

    /// Dequantizes some rows of a matrix of `rows` rows and `columns` columns.
    ///
    /// # Errors
    /// [`GgufError`], or what the library answers.
    ///
    /// # Safety
    /// Every id is below `rows`: ids are in device memory, where the host cannot see them without waiting.
    pub unsafe fn get_rows<'a>(
        &self,
        stream: &Stream,
        weights: &Weights,
        rows: usize,
        columns: usize,
        ids: impl Into<DeviceSlice<'a, u32>>,
    ) -> Result<DeviceBuffer<f32>, Error> {
        let ids = ids.into();
        let operation = Operation::GetRows;
        expect(
            operation,
            "the matrix",
            weights.elements(),
            rows.checked_mul(columns),
        )?;
        let len = ids.len().saturating_mul(columns);
        // SAFETY: the kernel writes all of it.
        let mut out = unsafe { stream.alloc::<f32>(len) }?;
        let operands = raw::GetRows {
            dtype: weights.dtype(),
            weights: weights.ptr(),
            ids: ids.ptr(),
            out: out.ptr(),
            count: ids.len(),
            columns,
        };
        let mut scope = Scope::of_kernels(stream, self.device())?;
        scope.reads(&weights.blocks()?)?;
        scope.reads(&ids)?;
        scope.writes(&out.as_slice_mut())?;
        // SAFETY: the sizes were checked, ids are promised by the caller, and the scope orders the launch.
        scope.run(|stream| unsafe { self.get_rows_raw(stream, &operands) })?;
        Ok(out)
    }

    /// `activations` (rows of `columns`) times the transpose of `weights` (`rows` x `columns`): for each row of
    /// activations a row of `rows` results. Scratch memory and the output come from the stream's own.
    ///
    /// # Errors
    /// [`GgufError`], or what the library answers.
    pub fn matmul<'a>(
        &self,
        stream: &Stream,
        weights: &Weights,
        rows: usize,
        columns: usize,
        activations: impl Into<DeviceSlice<'a, f32>>,
    ) -> Result<DeviceBuffer<f32>, Error> {
        self.matmul_by(
            MatmulPath::Auto,
            stream,
            weights,
            rows,
            columns,
            activations,
        )
    }

    /// As [`GgufKernels::matmul`], on a path of the caller's choice.
    ///
    /// # Errors
    /// [`GgufError`], or what the library answers.
    pub fn matmul_by<'a>(
        &self,
        path: MatmulPath,
        stream: &Stream,
        weights: &Weights,
        rows: usize,
        columns: usize,
        activations: impl Into<DeviceSlice<'a, f32>>,
    ) -> Result<DeviceBuffer<f32>, Error> {
        let activations = activations.into();
        let batch = rows_in(Operation::MulMat, "activations", activations.len(), columns)?;
        // SAFETY: the kernels write all of it.
        let mut out = unsafe { stream.alloc::<f32>(rows.saturating_mul(batch)) }?;
        self.matmul_into(
            path,
            stream,
            weights,
            (rows, columns),
            activations,
            &mut out,
        )?;
        Ok(out)
    }

    /// As [`GgufKernels::matmul_by`], into memory that is there: a batch of rows of `shape.0` f32.
    ///
    /// # Errors
    /// [`GgufError`], or what the library answers.
    pub fn matmul_into<'a, 'b>(
        &self,
        path: MatmulPath,
        stream: &Stream,
        weights: &Weights,
        (rows, columns): (usize, usize),
        activations: impl Into<DeviceSlice<'a, f32>>,
        out: impl Into<DeviceSliceMut<'b, f32>>,
    ) -> Result<(), Error> {
        let (activations, out) = (activations.into(), out.into());
        let operation = Operation::MulMat;
        let batch = rows_in(operation, "activations", activations.len(), columns)?;
        let (dtype, elements) = (weights.dtype(), rows.checked_mul(columns));
        expect(operation, "the matrix", weights.elements(), elements)?;
        expect(operation, "the output", out.len(), rows.checked_mul(batch))?;
        if !operation.supports(dtype) {
            return Err(GgufError::UnsupportedType { operation, dtype }.into());
        }
        if out.is_empty() {
            return Ok(());
        }
        if columns == 0 {
            return stream.memset_zeros(out);
        }
        let mut scope = Scope::of_kernels(stream, self.device())?;
        scope.reads(&weights.blocks()?)?;
        scope.reads(&activations)?;
        scope.writes(&out)?;
        if path == MatmulPath::DequantizeMulMatVec {
            let operands = raw::DequantizeMulMatVec {
                dtype,
                weights: weights.ptr(),
                activations: activations.ptr(),
                out: out.ptr(),
                rows,
                columns,
                batch,
            };
            // SAFETY: the sizes were checked, and the scope orders the launches with other uses.
            return scope
                .run(|stream| unsafe { self.dequantize_mul_mat_vec_raw(stream, &operands) });
        }
        // SAFETY: the first kernel writes all of it.
        let quantized = unsafe { stream.alloc::<u8>(q8_1_size(batch, columns)?) }?;
        let quantize = raw::QuantizeQ8_1 {
            activations: activations.ptr(),
            quantized: quantized.ptr(),
            rows: batch,
            columns,
        };
        let multiply = raw::MulMat {
            dtype,
            weights: weights.ptr(),
            quantized: quantized.ptr(),
            out: out.ptr(),
            rows,
            columns,
            batch,
        };
        // SAFETY: the sizes were checked, the scratch memory belongs to the stream, and the scope orders the launches
        // with other uses.
        scope.run(|stream| unsafe {
            self.quantize_q8_1_raw(stream, &quantize)?;
            if batch <= MAX_VEC_BATCH {
                self.mul_mat_vec_raw(stream, &multiply)
            } else {
                self.mul_mat_raw(stream, &multiply)
            }
        })
    }

    /// For each token, multiplies the weights of some experts by the token's activations.
    ///
    /// | operand | shape |
    /// |---|---|
    /// | `weights` | `shape.0` experts x `shape.1` rows x `shape.2` columns |
    /// | `activations` | tokens x (1 or `topk`) x columns |
    /// | `ids` | tokens x `topk` |
    /// | result | tokens x `topk` x rows |
    ///
    /// # Errors
    /// [`GgufError`], or what the library answers.
    ///
    /// # Safety
    /// Every id is below the number of experts: ids are in device memory, where the host cannot see them without waiting.
    pub unsafe fn indexed_moe<'a, 'b>(
        &self,
        stream: &Stream,
        weights: &Weights,
        (experts, rows, columns): (usize, usize, usize),
        activations: impl Into<DeviceSlice<'a, f32>>,
        ids: impl Into<DeviceSlice<'b, u32>>,
        topk: usize,
    ) -> Result<DeviceBuffer<f32>, Error> {
        let (activations, ids) = (activations.into(), ids.into());
        let operation = Operation::IndexedMoe;
        let dtype = weights.dtype();
        if !operation.supports(dtype) {
            return Err(GgufError::UnsupportedType { operation, dtype }.into());
        }
        let elements = experts
            .checked_mul(rows)
            .and_then(|rows| rows.checked_mul(columns));
        expect(operation, "the matrices", weights.elements(), elements)?;
        let batch = rows_in(operation, "ids", ids.len(), topk)?;
        let given = rows_in(operation, "activations", activations.len(), columns)?;
        let inputs = if batch == 0 {
            1
        } else {
            rows_in(operation, "activations", given, batch)?
        };
        let len = ids.len().saturating_mul(rows);
        // SAFETY: the kernel writes all of it, or it has no elements.
        let mut out = unsafe { stream.alloc::<f32>(len) }?;
        if out.is_empty() {
            return Ok(out);
        }
        if columns == 0 {
            stream.memset_zeros(&mut out)?;
            return Ok(out);
        }
        let total = batch.saturating_mul(inputs);
        // SAFETY: the first kernel writes all of it.
        let quantized = unsafe { stream.alloc::<u8>(q8_1_size(total, columns)?) }?;
        let quantize = raw::QuantizeQ8_1 {
            activations: activations.ptr(),
            quantized: quantized.ptr(),
            rows: total,
            columns,
        };
        let multiply = raw::IndexedMoe {
            dtype,
            weights: weights.ptr(),
            quantized: quantized.ptr(),
            ids: ids.ptr(),
            out: out.ptr(),
            rows,
            columns,
            batch,
            topk,
            inputs,
        };
        let mut scope = Scope::of_kernels(stream, self.device())?;
        scope.reads(&weights.blocks()?)?;
        scope.reads(&activations)?;
        scope.reads(&ids)?;
        scope.writes(&out.as_slice_mut())?;
        // SAFETY: the sizes were checked, ids are promised by the caller, the scratch memory belongs to the stream, and
        // the scope orders the launches with other uses.
        scope.run(|stream| unsafe {
            self.quantize_q8_1_raw(stream, &quantize)?;
            self.indexed_moe_raw(stream, &multiply)
        })?;
        Ok(out)
    }

    /// Whether [`GgufKernels::matmul`] has kernels for a type.
    pub fn multiplies(&self, dtype: GgmlType) -> bool {
        Operation::MulMat.supports(dtype)
    }
}
