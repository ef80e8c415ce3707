//! `candle-core/src/quantized/rocm.rs` of a backend whose memory and streams are its own.
//!
//! The functions are those of candle's `quantized/cuda.rs`, with the same arguments. What the loader gives are operations
//! on pointers, and the sizes of padded memory: no launch shape, no kernel's name and no padding stands here.

use std::sync::atomic::{AtomicBool, Ordering};

use candle_core::quantized::{GgmlDType, GgmlType as CandleBlock, QTensor};
use candle_core::{Device, Layout, Result, Shape, Tensor, bail};
use half::f16;
use hip_loader::gguf::{GgmlType, MAX_VEC_BATCH, Operation, padded_size, q8_1_size, raw};
use hip_loader::{DevicePtr, Error};

use super::device::{DeviceMemory, RocmDevice, wrap};

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
fn contiguous<T: hip_loader::DeviceElement>(
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
    pub fn quantize(&mut self, src: &DeviceMemory<f32>) -> Result<()> {
        let src = Tensor::from_vec(src.download(src.len())?, src.len(), &Device::Cpu)?;
        self.replace(&QTensor::quantize(&src, self.dtype)?)
    }

    /// Quantizes on the CPU, with a weight of importance for each column.
    pub fn quantize_imatrix(
        &mut self,
        src: &DeviceMemory<f32>,
        imatrix_weights: &[f32],
        n_per_row: usize,
    ) -> Result<()> {
        let shape = (src.len() / n_per_row, n_per_row);
        let src = Tensor::from_vec(src.download(src.len())?, shape, &Device::Cpu)?;
        self.replace(&QTensor::quantize_imatrix(
            &src,
            imatrix_weights,
            self.dtype,
        )?)
    }

    fn dequantize_operands<T: hip_loader::DeviceElement>(
        &self,
        out: &DeviceMemory<T>,
    ) -> raw::Dequantize {
        raw::Dequantize {
            dtype: self.dtype.into(),
            weights: self.data.at(0),
            out: out.at(0),
            elements: out.len(),
        }
    }

    /// All elements as f32. The types that are no blocks have no kernel, and are converted on the CPU.
    pub fn dequantize(&self, elem_count: usize) -> Result<DeviceMemory<f32>> {
        if !Operation::DequantizeF32.supports(self.dtype.into()) {
            let storage = candle_core::quantized::QStorage::from_data(
                self.data()?.into(),
                &Device::Cpu,
                self.dtype,
            )?;
            let dense = QTensor::new(storage, elem_count)?.dequantize(&Device::Cpu)?;
            return self.device.upload(&dense.to_vec1()?, elem_count);
        }
        let out = self.device.alloc_zeros(elem_count)?;
        let (kernels, stream) = (self.device.kernels(), self.device.stream());
        // SAFETY: the memory is as large as the operands say, and only this stream uses it.
        unsafe { kernels.dequantize_f32_raw(stream, &self.dequantize_operands(&out)) }
            .map_err(wrap)?;
        Ok(out)
    }

    /// All elements as f16.
    pub fn dequantize_f16(&self, elem_count: usize) -> Result<DeviceMemory<f16>> {
        let out = self.device.alloc_zeros(elem_count)?;
        let (kernels, stream) = (self.device.kernels(), self.device.stream());
        // SAFETY: as above.
        unsafe { kernels.dequantize_f16_raw(stream, &self.dequantize_operands(&out)) }
            .map_err(wrap)?;
        Ok(out)
    }

    /// The rows that `ids` name. Like candle's, it trusts the ids.
    pub fn embedding(
        &self,
        rows: usize,
        hidden: usize,
        ids: &DeviceMemory<u32>,
        ids_l: &Layout,
    ) -> Result<DeviceMemory<f32>> {
        let expected = GgmlType::from(self.dtype).size_in_bytes(rows * hidden);
        if expected != Some(self.len) {
            bail!("a matrix of {rows} x {hidden} in {} bytes", self.len)
        }
        let count = ids_l.shape().elem_count();
        let out = self.device.alloc_zeros(count * hidden)?;
        let operands = raw::GetRows {
            dtype: self.dtype.into(),
            weights: self.data.at(0),
            ids: contiguous(ids, ids_l, "quantized-embedding")?,
            out: out.at(0),
            count,
            columns: hidden,
        };
        // SAFETY: as above; ids are the caller's business, as in candle.
        unsafe {
            self.device
                .kernels()
                .get_rows_raw(self.device.stream(), &operands)
        }
        .map_err(wrap)?;
        Ok(out)
    }

    /// For each token, the product of some experts' weights and the token's activations.
    pub fn indexed_moe_forward(
        &self,
        self_shape: &Shape,
        input: &DeviceMemory<f32>,
        input_l: &Layout,
        ids: &DeviceMemory<u32>,
        ids_l: &Layout,
    ) -> Result<(DeviceMemory<f32>, Shape)> {
        let (_, rows, columns) = self_shape.dims3()?;
        let (batch, inputs, _) = input_l.shape().dims3()?;
        let (_, topk) = ids_l.shape().dims2()?;
        let activations = contiguous(input, input_l, "indexed-moe")?;
        let quantized = quantize_q8_1(&self.device, activations, batch * inputs, columns)?;
        let out = self.device.alloc_zeros(batch * topk * rows)?;
        let operands = raw::IndexedMoe {
            dtype: self.dtype.into(),
            weights: self.data.at(0),
            quantized: quantized.at(0),
            ids: contiguous(ids, ids_l, "indexed-moe")?,
            out: out.at(0),
            rows,
            columns,
            batch,
            topk,
            inputs,
        };
        // SAFETY: as above.
        unsafe {
            self.device
                .kernels()
                .indexed_moe_raw(self.device.stream(), &operands)
        }
        .map_err(wrap)?;
        Ok((out, Shape::from((batch, topk, rows))))
    }

    /// Activations times the transpose of the weights.
    pub fn fwd(
        &self,
        self_shape: &Shape,
        storage: &DeviceMemory<f32>,
        layout: &Layout,
    ) -> Result<(DeviceMemory<f32>, Shape)> {
        let (rows, columns) = self_shape.dims2()?;
        let mut dims = layout.dims().to_vec();
        if dims.pop() != Some(columns) {
            bail!("mismatch on matmul dim {self_shape:?} {:?}", layout.shape())
        }
        let batch = dims.iter().product();
        dims.push(rows);
        let (dtype, weights) = (self.dtype.into(), self.data.at(0));
        let (kernels, stream) = (self.device.kernels(), self.device.stream());
        let activations = contiguous(storage, layout, "quantized-matmul")?;
        let out = self.device.alloc_zeros(rows * batch)?;
        if batch == 0 {
            return Ok((out, dims.into()));
        }
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
            unsafe { kernels.dequantize_mul_mat_vec_raw(stream, &operands) }.map_err(wrap)?;
            return Ok((out, dims.into()));
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
        .map_err(wrap)?;
        Ok((out, dims.into()))
    }
}
