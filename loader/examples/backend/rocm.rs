//! `candle-core/src/quantized/rocm.rs` of a backend whose memory and streams are its own.
//!
//! The functions are those that `quantized/mod.rs` calls, with the same arguments as in `quantized/cuda.rs`. What the loader
//! gives are operations on pointers, and the sizes of padded memory: no launch shape, no kernel's name and no padding stands
//! here.

use std::sync::atomic::{AtomicBool, Ordering};

use candle_core::quantized::{GgmlDType, GgmlType as CandleBlock, QStorage, QTensor};
use candle_core::{CpuStorage, DType, Device, Layout, Result, Shape, Tensor, bail};
use hip_loader::gguf::{GgmlType, MAX_VEC_BATCH, Operation, padded_size, q8_1_size, raw};
use hip_loader::{DeviceElement, DevicePtr, Error};

use super::device::{DeviceMemory, RocmDevice, RocmStorage, RocmStorageSlice, wrap};

static FORCE_DMMV: AtomicBool = AtomicBool::new(false);

/// Whether products leave activations as they are.
pub fn set_force_dmmv(force: bool) {
    FORCE_DMMV.store(force, Ordering::Relaxed);
}

/// Quantized weights, as candle's `QCudaStorage`.
pub struct QRocmStorage {
    /// Blocks, and behind them the zeros that the kernels may read.
    data: DeviceMemory<u8>,
    /// Bytes of the blocks.
    len: usize,
    dtype: GgmlDType,
    device: RocmDevice,
}

/// Copies quantized blocks to the device.
pub fn load_quantized<T: CandleBlock + Send + Sync + 'static>(
    device: &RocmDevice,
    data: &[T],
) -> Result<QRocmStorage> {
    // SAFETY: candle's blocks are structures of integers without padding.
    let bytes =
        unsafe { std::slice::from_raw_parts(data.as_ptr().cast::<u8>(), size_of_val(data)) };
    QRocmStorage::from_data(device, bytes, T::DTYPE)
}

/// Activations as Q8_1, each row padded as the kernels want it.
fn quantize_q8_1(
    device: &RocmDevice,
    activations: DevicePtr,
    rows: usize,
    columns: usize,
) -> Result<DeviceMemory<u8>> {
    let size = q8_1_size(rows, columns).map_err(|error| wrap(Error::from(error)))?;
    let quantized = device.alloc_zeros::<u8>(size)?;
    let operands = raw::QuantizeQ8_1 {
        activations,
        quantized: quantized.at(0),
        rows,
        columns,
    };
    // SAFETY: the memory is as large as the operands say, and only this stream uses it.
    unsafe {
        device
            .kernels()
            .quantize_q8_1_raw(device.stream(), &operands)
    }
    .map_err(wrap)?;
    Ok(quantized)
}

/// The address of the first element that a contiguous layout names.
fn contiguous<T: DeviceElement>(
    memory: &DeviceMemory<T>,
    layout: &Layout,
    op: &'static str,
) -> Result<DevicePtr> {
    match layout.contiguous_offsets() {
        Some((first, end)) if end <= memory.len() => Ok(memory.at(first)),
        Some((_, end)) => bail!("{op} of {end} elements in memory of {}", memory.len()),
        None => Err(candle_core::Error::RequiresContiguous { op }.bt()),
    }
}

/// The ids that a layout names.
fn ids_at(ids: &RocmStorage, layout: &Layout, op: &'static str) -> Result<DevicePtr> {
    match &ids.slice {
        RocmStorageSlice::U32(memory) => contiguous(memory, layout, op),
        _ => bail!("{op} wants ids of u32, got {:?}", ids.dtype()),
    }
}

impl QRocmStorage {
    /// Copies the bytes of quantized blocks to the device.
    pub fn from_data(device: &RocmDevice, blocks: &[u8], dtype: GgmlDType) -> Result<Self> {
        let padded = padded_size(dtype.into(), blocks.len()).map_err(wrap)?;
        Ok(Self {
            data: device.upload(blocks, padded)?,
            len: blocks.len(),
            dtype,
            device: device.clone(),
        })
    }

    /// Weights of zero bytes.
    pub fn zeros(device: &RocmDevice, el_count: usize, dtype: GgmlDType) -> Result<Self> {
        let len = el_count.div_ceil(dtype.block_size()) * dtype.type_size();
        let padded = padded_size(dtype.into(), len).map_err(wrap)?;
        Ok(Self {
            data: device.alloc_zeros(padded)?,
            len,
            dtype,
            device: device.clone(),
        })
    }

    /// The type of the blocks.
    pub fn dtype(&self) -> GgmlDType {
        self.dtype
    }

    /// Where the weights are.
    pub fn device(&self) -> &RocmDevice {
        &self.device
    }

    /// The size without padding.
    pub fn storage_size_in_bytes(&self) -> usize {
        self.len
    }

    /// The blocks, in host memory.
    pub fn data(&self) -> Result<Vec<u8>> {
        self.data.download(self.len)
    }

    /// The address of the first block.
    pub fn device_ptr(&self) -> Result<*const u8> {
        Ok(self.data.at(0).as_raw().cast())
    }

    fn replace(&mut self, quantized: &QTensor) -> Result<()> {
        *self = Self::from_data(&self.device, &quantized.data()?, self.dtype)?;
        Ok(())
    }

    /// Quantizes on the CPU.
    pub fn quantize(&mut self, src: &RocmStorage) -> Result<()> {
        self.quantize_onto(&src.to_cpu_storage()?)
    }

    /// Quantizes on the CPU, from there.
    pub fn quantize_onto(&mut self, src: &CpuStorage) -> Result<()> {
        let src = Tensor::new(src.as_slice::<f32>()?, &Device::Cpu)?;
        self.replace(&QTensor::quantize(&src, self.dtype)?)
    }

    /// Quantizes on the CPU, with a weight of importance for each column.
    pub fn quantize_imatrix(
        &mut self,
        src: &RocmStorage,
        imatrix_weights: &[f32],
        n_per_row: usize,
    ) -> Result<()> {
        self.quantize_imatrix_onto(&src.to_cpu_storage()?, imatrix_weights, n_per_row)
    }

    /// The same from the CPU.
    pub fn quantize_imatrix_onto(
        &mut self,
        src: &CpuStorage,
        imatrix_weights: &[f32],
        n_per_row: usize,
    ) -> Result<()> {
        let src = src.as_slice::<f32>()?;
        let shape = (src.len() / n_per_row, n_per_row);
        let src = Tensor::from_slice(src, shape, &Device::Cpu)?;
        let quantized = QTensor::quantize_imatrix(&src, imatrix_weights, self.dtype)?;
        self.replace(&quantized)
    }

    fn dequantize_operands<T: DeviceElement>(&self, out: &DeviceMemory<T>) -> raw::Dequantize {
        raw::Dequantize {
            dtype: self.dtype.into(),
            weights: self.data.at(0),
            out: out.at(0),
            elements: out.len(),
        }
    }

    /// All elements as f32. The types that are no blocks have no kernel, and are converted on the CPU.
    pub fn dequantize(&self, elem_count: usize) -> Result<RocmStorage> {
        if !Operation::DequantizeF32.supports(self.dtype.into()) {
            let blocks = self.data()?.into();
            let storage = QStorage::from_data(blocks, &Device::Cpu, self.dtype)?;
            let dense = QTensor::new(storage, elem_count)?.dequantize(&Device::Cpu)?;
            return RocmStorage::from_cpu_storage(&self.device, &CpuStorage::F32(dense.to_vec1()?));
        }
        let out = self.device.alloc_zeros(elem_count)?;
        let (kernels, stream) = (self.device.kernels(), self.device.stream());
        // SAFETY: the memory is as large as the operands say, and only this stream uses it.
        unsafe { kernels.dequantize_f32_raw(stream, &self.dequantize_operands(&out)) }
            .map_err(wrap)?;
        Ok(RocmStorage::f32(out))
    }

    /// All elements as f16.
    pub fn dequantize_f16(&self, elem_count: usize) -> Result<RocmStorage> {
        if !Operation::DequantizeF16.supports(self.dtype.into()) {
            let dense = self.dequantize(elem_count)?;
            return dense.to_dtype(&Layout::contiguous(elem_count), DType::F16);
        }
        let out = self.device.alloc_zeros(elem_count)?;
        let (kernels, stream) = (self.device.kernels(), self.device.stream());
        // SAFETY: as above.
        unsafe { kernels.dequantize_f16_raw(stream, &self.dequantize_operands(&out)) }
            .map_err(wrap)?;
        Ok(RocmStorage {
            slice: RocmStorageSlice::F16(out),
            device: self.device.clone(),
        })
    }

    /// The rows that `ids` name. Like candle's, it trusts the ids.
    pub fn embedding(
        &self,
        rows: usize,
        hidden: usize,
        ids: &RocmStorage,
        ids_l: &Layout,
    ) -> Result<RocmStorage> {
        let expected = GgmlType::from(self.dtype).size_in_bytes(rows * hidden);
        if expected != Some(self.len) {
            bail!("a matrix of {rows} x {hidden} in {} bytes", self.len)
        }
        let count = ids_l.shape().elem_count();
        let out = self.device.alloc_zeros(count * hidden)?;
        let operands = raw::GetRows {
            dtype: self.dtype.into(),
            weights: self.data.at(0),
            ids: ids_at(ids, ids_l, "quantized-embedding")?,
            out: out.at(0),
            count,
            columns: hidden,
        };
        let (kernels, stream) = (self.device.kernels(), self.device.stream());
        // SAFETY: as above; ids are the caller's business, as in candle.
        unsafe { kernels.get_rows_raw(stream, &operands) }.map_err(wrap)?;
        Ok(RocmStorage::f32(out))
    }

    /// For each token, the product of some experts' weights and the token's activations.
    pub fn indexed_moe_forward(
        &self,
        self_shape: &Shape,
        input: &RocmStorage,
        input_l: &Layout,
        ids: &RocmStorage,
        ids_l: &Layout,
    ) -> Result<(RocmStorage, Shape)> {
        let (_, rows, columns) = self_shape.dims3()?;
        let (batch, inputs, _) = input_l.shape().dims3()?;
        let (_, topk) = ids_l.shape().dims2()?;
        let RocmStorageSlice::F32(activations) = &input.slice else {
            let input = input.to_dtype(input_l, DType::F32)?;
            let input_l = Layout::contiguous(input_l.shape());
            return self.indexed_moe_forward(self_shape, &input, &input_l, ids, ids_l);
        };
        let activations = contiguous(activations, input_l, "indexed-moe")?;
        let quantized = quantize_q8_1(&self.device, activations, batch * inputs, columns)?;
        let out = self.device.alloc_zeros(batch * topk * rows)?;
        let operands = raw::IndexedMoe {
            dtype: self.dtype.into(),
            weights: self.data.at(0),
            quantized: quantized.at(0),
            ids: ids_at(ids, ids_l, "indexed-moe")?,
            out: out.at(0),
            rows,
            columns,
            batch,
            topk,
            inputs,
        };
        let (kernels, stream) = (self.device.kernels(), self.device.stream());
        // SAFETY: as above.
        unsafe { kernels.indexed_moe_raw(stream, &operands) }.map_err(wrap)?;
        Ok((RocmStorage::f32(out), Shape::from((batch, topk, rows))))
    }

    /// Activations times the transpose of the weights.
    pub fn fwd(
        &self,
        self_shape: &Shape,
        storage: &RocmStorage,
        layout: &Layout,
    ) -> Result<(RocmStorage, Shape)> {
        let (rows, columns) = self_shape.dims2()?;
        let mut dims = layout.dims().to_vec();
        if dims.pop() != Some(columns) {
            bail!("mismatch on matmul dim {self_shape:?} {:?}", layout.shape())
        }
        let RocmStorageSlice::F32(activations) = &storage.slice else {
            // The kernels want f32; the result has the dtype of the activations.
            let wide = storage.to_dtype(layout, DType::F32)?;
            let (out, shape) = self.fwd(self_shape, &wide, &Layout::contiguous(layout.shape()))?;
            let out = out.to_dtype(&Layout::contiguous(&shape), storage.dtype())?;
            return Ok((out, shape));
        };
        let batch = dims.iter().product();
        dims.push(rows);
        let activations = contiguous(activations, layout, "quantized-matmul")?;
        let out = self.device.alloc_zeros(rows * batch)?;
        if batch > 0 {
            self.multiply(activations, &out, (rows, columns, batch))?;
        }
        Ok((RocmStorage::f32(out), dims.into()))
    }

    fn multiply(
        &self,
        activations: DevicePtr,
        out: &DeviceMemory<f32>,
        (rows, columns, batch): (usize, usize, usize),
    ) -> Result<()> {
        let (dtype, weights) = (self.dtype.into(), self.data.at(0));
        let (kernels, stream) = (self.device.kernels(), self.device.stream());
        if FORCE_DMMV.load(Ordering::Relaxed) {
            let operands = raw::DequantizeMulMatVec {
                dtype,
                weights,
                activations,
                out: out.at(0),
                rows,
                columns,
                batch,
            };
            // SAFETY: as above.
            return unsafe { kernels.dequantize_mul_mat_vec_raw(stream, &operands) }.map_err(wrap);
        }
        let quantized = quantize_q8_1(&self.device, activations, batch, columns)?;
        let operands = raw::MulMat {
            dtype,
            weights,
            quantized: quantized.at(0),
            out: out.at(0),
            rows,
            columns,
            batch,
        };
        // SAFETY: as above.
        unsafe {
            match batch {
                1..=MAX_VEC_BATCH => kernels.mul_mat_vec_raw(stream, &operands),
                _ => kernels.mul_mat_raw(stream, &operands),
            }
        }
        .map_err(wrap)
    }
}
