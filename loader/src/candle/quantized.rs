//! Quantized weights as a backend has them.

use std::marker::PhantomData;

use candle_core::quantized::{GgmlDType, GgmlType as CandleBlock};
use candle_core::{CpuStorage, DType, Layout, Shape, bail};
use half::{bf16, f16};

use super::cast::{Half, narrow, widen};
use super::convert::{WrapErr, wrap};
use super::{HipDType, HipDevice, HipStorage, Result, cpu};
use crate::gguf::{GgmlType, Operation, Weights};
use crate::safe::{DeviceBuffer, DeviceSlice, Error};

/// Quantized weights in device memory, with the methods of candle's `QCudaStorage`.
///
/// Cloning makes another handle to the same memory, which nothing writes: a method that quantizes replaces it.
#[derive(Clone, Debug)]
pub struct QHipStorage {
    weights: Weights,
    device: HipDevice,
}

/// Keeps device memory alive while its address is in use: see [`QHipStorage::device_ptr_with_guard`].
#[derive(Debug)]
pub struct PtrGuard<'a> {
    borrowed: PhantomData<&'a QHipStorage>,
}

/// Copies quantized blocks to the device: candle's function of this name.
///
/// # Errors
/// What the library answers.
pub fn load_quantized<T: CandleBlock + Send + Sync + 'static>(
    device: &HipDevice,
    data: &[T],
) -> Result<QHipStorage> {
    // SAFETY: candle's blocks are structures of integers without padding.
    let bytes =
        unsafe { std::slice::from_raw_parts(data.as_ptr().cast::<u8>(), size_of_val(data)) };
    QHipStorage::from_data(device, bytes, T::DTYPE)
}

impl QHipStorage {
    /// Copies the bytes of quantized blocks to the device.
    ///
    /// # Errors
    /// Bytes that are no whole number of blocks, or what the library answers.
    pub fn from_data(device: &HipDevice, data: &[u8], dtype: GgmlDType) -> Result<Self> {
        let weights = Weights::upload(device.stream(), dtype.into(), data).w()?;
        Ok(Self {
            weights,
            device: device.clone(),
        })
    }

    /// Weights of zero bytes, for at least `el_count` elements.
    ///
    /// # Errors
    /// What the library answers.
    pub fn zeros(device: &HipDevice, el_count: usize, dtype: GgmlDType) -> Result<Self> {
        let weights = Weights::zeros(device.stream(), dtype.into(), el_count).w()?;
        Ok(Self {
            weights,
            device: device.clone(),
        })
    }

    /// The type of the blocks.
    pub fn dtype(&self) -> GgmlDType {
        self.weights.dtype().into()
    }

    /// Where the weights are.
    pub fn device(&self) -> &HipDevice {
        &self.device
    }

    /// The same weights, whose work goes to the stream of `device`: for a thread with a stream of its own.
    ///
    /// # Errors
    /// A stream of another device, which cannot reach the weights.
    pub fn on(&self, device: &HipDevice) -> Result<Self> {
        let (of, on) = (self.weights.device(), device.device());
        if !on.reaches(of) {
            return Err(wrap(Error::mismatch("memory", of, on)));
        }
        Ok(Self {
            weights: self.weights.clone(),
            device: device.clone(),
        })
    }

    /// The weights without candle's names.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The size in bytes, without padding.
    pub fn storage_size_in_bytes(&self) -> usize {
        self.weights.size_in_bytes()
    }

    /// The bytes of the blocks, in host memory.
    ///
    /// # Errors
    /// What the library answers.
    pub fn data(&self) -> Result<Vec<u8>> {
        self.weights.download(self.device.stream()).w()
    }

    /// The address of the first block. It is valid as long as this storage or a clone of it.
    ///
    /// # Errors
    /// None; candle's function has a result.
    pub fn device_ptr(&self) -> Result<*const u8> {
        Ok(self.weights.ptr().as_raw().cast())
    }

    /// The address of the first block, with a guard that keeps the weights from being replaced or dropped.
    ///
    /// Nothing writes the weights, so any stream may read them without waiting, and the memory is given back only when the
    /// device has finished all of its work.
    ///
    /// # Errors
    /// None; candle's function has a result.
    pub fn device_ptr_with_guard(&self) -> Result<(*const u8, PtrGuard<'_>)> {
        Ok((
            self.device_ptr()?,
            PtrGuard {
                borrowed: PhantomData,
            },
        ))
    }

    fn replace(&mut self, data: &[u8]) -> Result<()> {
        self.weights = Weights::upload(self.device.stream(), self.weights.dtype(), data).w()?;
        Ok(())
    }

    fn download_f32(&self, src: &HipStorage) -> Result<Vec<f32>> {
        self.device
            .stream()
            .clone_dtoh(src.as_hip_slice::<f32>()?)
            .w()
    }

    /// Replaces the weights by those that candle-core quantizes from elements in device memory, on the CPU.
    ///
    /// # Errors
    /// Elements that are not f32 or no whole number of blocks, or what the library answers.
    pub fn quantize(&mut self, src: &HipStorage) -> Result<()> {
        let elements = self.download_f32(src)?;
        self.replace(&cpu::quantize(&elements, self.dtype())?)
    }

    /// As [`QHipStorage::quantize`], with a weight of importance for each of the `n_per_row` columns.
    ///
    /// # Errors
    /// As [`QHipStorage::quantize`]; a type or sizes for which candle has no such quantization.
    pub fn quantize_imatrix(
        &mut self,
        src: &HipStorage,
        imatrix_weights: &[f32],
        n_per_row: usize,
    ) -> Result<()> {
        let elements = self.download_f32(src)?;
        let (weights, dtype) = (imatrix_weights, self.dtype());
        self.replace(&cpu::quantize_imatrix(
            &elements, weights, n_per_row, dtype,
        )?)
    }

    /// As [`QHipStorage::quantize`], from elements in host memory.
    ///
    /// # Errors
    /// As [`QHipStorage::quantize`].
    pub fn quantize_onto(&mut self, src: &CpuStorage) -> Result<()> {
        self.replace(&cpu::quantize(src.as_slice::<f32>()?, self.dtype())?)
    }

    /// As [`QHipStorage::quantize_imatrix`], from elements in host memory.
    ///
    /// # Errors
    /// As [`QHipStorage::quantize_imatrix`].
    pub fn quantize_imatrix_onto(
        &mut self,
        src: &CpuStorage,
        imatrix_weights: &[f32],
        n_per_row: usize,
    ) -> Result<()> {
        let (elements, dtype) = (src.as_slice::<f32>()?, self.dtype());
        self.replace(&cpu::quantize_imatrix(
            elements,
            imatrix_weights,
            n_per_row,
            dtype,
        )?)
    }

    fn check_count(&self, elem_count: usize) -> Result<()> {
        if elem_count != self.weights.elements() {
            bail!(
                "{elem_count} elements were asked for, the storage has {}",
                self.weights.elements()
            )
        }
        Ok(())
    }

    /// All elements as f32: by a kernel, and on the CPU for the types without one (F32, F16, BF16, Q8_1).
    ///
    /// # Errors
    /// A count that is not that of the storage, or what the library answers.
    pub fn dequantize(&self, elem_count: usize) -> Result<HipStorage> {
        self.check_count(elem_count)?;
        let stream = self.device.stream();
        let buffer = if Operation::DequantizeF32.supports(self.weights.dtype()) {
            self.device
                .kernels()
                .dequantize_f32(stream, &self.weights)
                .w()?
        } else {
            stream.clone_htod(&self.dequantize_on_cpu()?).w()?
        };
        Ok(HipStorage::wrap(buffer, self.device.clone()))
    }

    /// All elements as f16: by a kernel, and on the CPU for the types without one (F32, F16, BF16, Q8_1).
    ///
    /// # Errors
    /// A count that is not that of the storage, or what the library answers.
    pub fn dequantize_f16(&self, elem_count: usize) -> Result<HipStorage> {
        self.check_count(elem_count)?;
        let stream = self.device.stream();
        let buffer = if Operation::DequantizeF16.supports(self.weights.dtype()) {
            self.device
                .kernels()
                .dequantize_f16(stream, &self.weights)
                .w()?
        } else {
            let elements = self.dequantize_on_cpu()?;
            stream
                .clone_htod(&elements.into_iter().map(f16::from_f32).collect::<Vec<_>>())
                .w()?
        };
        Ok(HipStorage::wrap(buffer, self.device.clone()))
    }

    fn dequantize_on_cpu(&self) -> Result<Vec<f32>> {
        cpu::dequantize(&self.data()?, self.weights.elements(), self.dtype())
    }

    /// The rows that `ids` name of a matrix of `rows` rows and `hidden` columns, as f32.
    ///
    /// The ids are looked at before anything is launched, which waits for the stream;
    /// [`QHipStorage::embedding_unchecked`] does not.
    ///
    /// # Errors
    /// Ids that are not u32, not contiguous, or past the last row; shapes that do not go together; a type without a kernel.
    pub fn embedding(
        &self,
        rows: usize,
        hidden: usize,
        ids: &HipStorage,
        ids_l: &Layout,
    ) -> Result<HipStorage> {
        let slice = contiguous::<u32>(ids, ids_l, "quantized-embedding")?;
        self.check_ids("row", slice, rows)?;
        // SAFETY: every id is below the number of rows.
        unsafe { self.embedding_unchecked(rows, hidden, ids, ids_l) }
    }

    /// As [`QHipStorage::embedding`], without looking at the ids.
    ///
    /// # Errors
    /// As [`QHipStorage::embedding`], save for the ids' values.
    ///
    /// # Safety
    /// Every id is below `rows`.
    pub unsafe fn embedding_unchecked(
        &self,
        rows: usize,
        hidden: usize,
        ids: &HipStorage,
        ids_l: &Layout,
    ) -> Result<HipStorage> {
        let ids = contiguous::<u32>(ids, ids_l, "quantized-embedding")?;
        let (stream, kernels) = (self.device.stream(), self.device.kernels());
        // SAFETY: promised by the caller.
        let buffer = unsafe { kernels.get_rows(stream, &self.weights, rows, hidden, ids) }.w()?;
        Ok(HipStorage::wrap(buffer, self.device.clone()))
    }

    fn check_ids(&self, what: &str, ids: DeviceSlice<'_, u32>, limit: usize) -> Result<()> {
        let ids = self.device.stream().clone_dtoh(ids).w()?;
        match ids.iter().position(|&id| id as usize >= limit) {
            Some(at) => bail!("id {at} names {what} {} of {limit}", ids[at]),
            None => Ok(()),
        }
    }

    /// For each token, the product of some experts' weights and the token's activations.
    ///
    /// | operand | shape |
    /// |---|---|
    /// | `self_shape` | experts, rows, columns |
    /// | `input` | tokens, 1 or topk, columns; f32, f16 or bf16 |
    /// | `ids` | tokens, topk; u32 |
    /// | result | tokens, topk, rows; the dtype of `input` |
    ///
    /// The ids are looked at before anything is launched, which waits for the stream;
    /// [`QHipStorage::indexed_moe_forward_unchecked`] does not.
    ///
    /// # Errors
    /// Ids past the last expert; shapes, layouts or dtypes that do not go together; a type without a kernel.
    pub fn indexed_moe_forward(
        &self,
        self_shape: &Shape,
        input: &HipStorage,
        input_l: &Layout,
        ids: &HipStorage,
        ids_l: &Layout,
    ) -> Result<(HipStorage, Shape)> {
        let slice = contiguous::<u32>(ids, ids_l, "indexed-moe")?;
        self.check_ids("expert", slice, self_shape.dims3()?.0)?;
        // SAFETY: every id is below the number of experts.
        unsafe { self.indexed_moe_forward_unchecked(self_shape, input, input_l, ids, ids_l) }
    }

    /// As [`QHipStorage::indexed_moe_forward`], without looking at the ids.
    ///
    /// # Errors
    /// As [`QHipStorage::indexed_moe_forward`], save for the ids' values.
    ///
    /// # Safety
    /// Every id is below the number of experts.
    pub unsafe fn indexed_moe_forward_unchecked(
        &self,
        self_shape: &Shape,
        input: &HipStorage,
        input_l: &Layout,
        ids: &HipStorage,
        ids_l: &Layout,
    ) -> Result<(HipStorage, Shape)> {
        let (experts, rows, columns) = self_shape.dims3()?;
        let (tokens, inputs, input_columns) = input_l.shape().dims3()?;
        let (id_tokens, topk) = ids_l.shape().dims2()?;
        if input_columns != columns || id_tokens != tokens || (inputs != 1 && inputs != topk) {
            bail!(
                "indexed_moe_forward of weights {self_shape:?} with input {:?} and ids {:?}: \
                 (experts, rows, columns), (tokens, 1 or topk, columns) and (tokens, topk) are possible",
                input_l.shape(),
                ids_l.shape()
            )
        }
        let ids = contiguous::<u32>(ids, ids_l, "indexed-moe")?;
        let out = self.with_f32("indexed-moe", input, input_l, |activations| {
            let shape = (experts, rows, columns);
            let (stream, kernels) = (self.device.stream(), self.device.kernels());
            // SAFETY: promised by the caller.
            unsafe { kernels.indexed_moe(stream, &self.weights, shape, activations, ids, topk) }.w()
        })?;
        Ok((out, Shape::from((tokens, topk, rows))))
    }

    /// `storage` (any number of rows) times the transpose of the weights.
    ///
    /// | operand | shape |
    /// |---|---|
    /// | `self_shape` | rows, columns |
    /// | `storage` | ..., columns; f32, f16 or bf16; contiguous |
    /// | result | ..., rows; the dtype of `storage` |
    ///
    /// Up to 8 rows of activations go through the vector kernels, more through the matrix kernels; both quantize
    /// activations to Q8_1. With [`HipDevice::set_force_dmmv`] activations stay as they are.
    ///
    /// # Errors
    /// Shapes, layouts or dtypes that do not go together; a type without a kernel; what the library answers.
    pub fn fwd(
        &self,
        self_shape: &Shape,
        storage: &HipStorage,
        layout: &Layout,
    ) -> Result<(HipStorage, Shape)> {
        let (rows, columns) = self_shape.dims2()?;
        let mut shape = layout.dims().to_vec();
        match shape.pop() {
            Some(last) if last == columns && !shape.is_empty() => {}
            _ => bail!(
                "a product of weights {self_shape:?} and activations {:?}: \
                 activations of (..., {columns}) with at least two dimensions are possible",
                layout.shape()
            ),
        }
        shape.push(rows);
        let path = self.device.matmul_path();
        let (stream, kernels) = (self.device.stream(), self.device.kernels());
        let out = self.with_f32("quantized-matmul", storage, layout, |activations| {
            kernels
                .matmul_by(path, stream, &self.weights, rows, columns, activations)
                .w()
        })?;
        Ok((out, shape.into()))
    }

    /// Calls `compute` with activations as f32, and gives its result the dtype of `storage`.
    fn with_f32(
        &self,
        op: &'static str,
        storage: &HipStorage,
        layout: &Layout,
        compute: impl FnOnce(DeviceSlice<'_, f32>) -> Result<DeviceBuffer<f32>>,
    ) -> Result<HipStorage> {
        match storage.dtype() {
            DType::F32 => {
                let out = compute(contiguous::<f32>(storage, layout, op)?)?;
                Ok(HipStorage::wrap(out, self.device.clone()))
            }
            DType::F16 => self.with_half::<f16>(op, storage, layout, compute),
            DType::BF16 => self.with_half::<bf16>(op, storage, layout, compute),
            other => bail!("{op} of {other:?} activations; f32, f16 and bf16 are possible"),
        }
    }

    fn with_half<T: HipDType + Half>(
        &self,
        op: &'static str,
        storage: &HipStorage,
        layout: &Layout,
        compute: impl FnOnce(DeviceSlice<'_, f32>) -> Result<DeviceBuffer<f32>>,
    ) -> Result<HipStorage> {
        let (casts, stream) = (self.device.casts(), self.device.stream());
        let wide = widen(casts, stream, contiguous::<T>(storage, layout, op)?).w()?;
        let out = compute(wide.as_slice())?;
        let out = narrow::<T>(casts, stream, out.as_slice()).w()?;
        Ok(HipStorage::wrap(out, self.device.clone()))
    }

    /// Whether [`QHipStorage::fwd`] has kernels for a type.
    pub fn multiplies(dtype: GgmlDType) -> bool {
        Operation::MulMat.supports(GgmlType::from(dtype))
    }
}

/// The elements that a layout names, which have to follow each other.
fn contiguous<'a, T: HipDType>(
    storage: &'a HipStorage,
    layout: &Layout,
    op: &'static str,
) -> Result<DeviceSlice<'a, T>> {
    let buffer = storage.as_hip_slice::<T>()?;
    match layout.contiguous_offsets() {
        Some((first, end)) => buffer.slice(first..end).w(),
        None => Err(candle_core::Error::RequiresContiguous { op }.bt()),
    }
}
