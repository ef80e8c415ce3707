//! Quantized weights with a shape, for tensors of an unchanged candle.

use std::sync::Arc;

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{CpuStorage, CustomOp1, DType, Device, Layout, Module, Shape, Tensor, bail};

use super::{HipDevice, HipStorage, QHipStorage, Result};

/// Quantized weights on the device with their shape: candle's `QTensor`. Cloning makes another handle to the same weights.
///
/// Tensors that go in and come out are on the CPU.
#[derive(Clone, Debug)]
pub struct QHipTensor {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    storage: QHipStorage,
    shape: Shape,
}

impl QHipTensor {
    /// Gives weights a shape.
    ///
    /// # Errors
    /// A shape with another number of elements, or whose last dimension is no whole number of blocks.
    pub fn new(storage: QHipStorage, shape: impl Into<Shape>) -> Result<Self> {
        let shape = shape.into();
        let block = storage.dtype().block_size();
        match shape.dims().last() {
            Some(last) if last.is_multiple_of(block) => {}
            _ => bail!(
                "{:?} weights of {shape:?}: the last dimension has to be a multiple of {block}",
                storage.dtype()
            ),
        }
        let elements = storage.weights().elements();
        if shape.elem_count() != elements {
            bail!("weights of {shape:?} in a storage of {elements} elements")
        }
        Ok(Self {
            inner: Arc::new(Inner { storage, shape }),
        })
    }

    /// Copies a tensor of candle's to the device.
    ///
    /// # Errors
    /// A tensor that is not on the CPU, or what the library answers.
    pub fn from_qtensor(tensor: &QTensor, device: &HipDevice) -> Result<Self> {
        let storage = QHipStorage::from_data(device, &tensor.data()?, tensor.dtype())?;
        Self::new(storage, tensor.shape().clone())
    }

    /// Quantizes a tensor with candle-core's own code, and copies the result to the device.
    ///
    /// # Errors
    /// What candle answers, or what the library answers.
    pub fn quantize(src: &Tensor, dtype: GgmlDType, device: &HipDevice) -> Result<Self> {
        Self::from_qtensor(
            &QTensor::quantize(&src.to_device(&Device::Cpu)?, dtype)?,
            device,
        )
    }

    /// The shape.
    pub fn shape(&self) -> &Shape {
        &self.inner.shape
    }

    /// The type of the blocks.
    pub fn dtype(&self) -> GgmlDType {
        self.inner.storage.dtype()
    }

    /// The weights.
    pub fn storage(&self) -> &QHipStorage {
        &self.inner.storage
    }

    /// Where the weights are.
    pub fn device(&self) -> &HipDevice {
        self.inner.storage.device()
    }

    /// The same weights, whose work goes to the stream of `device` ([`QHipStorage::on`]).
    ///
    /// # Errors
    /// As [`QHipStorage::on`].
    pub fn on(&self, device: &HipDevice) -> Result<Self> {
        Self::new(self.inner.storage.on(device)?, self.inner.shape.clone())
    }

    /// All elements as f32, dequantized on the device.
    ///
    /// # Errors
    /// What the library answers.
    pub fn dequantize(&self) -> Result<Tensor> {
        let storage = self
            .inner
            .storage
            .dequantize(self.inner.shape.elem_count())?;
        tensor(&storage, self.inner.shape.clone())
    }

    /// All elements as f16, dequantized on the device.
    ///
    /// # Errors
    /// What the library answers.
    pub fn dequantize_f16(&self) -> Result<Tensor> {
        let storage = self
            .inner
            .storage
            .dequantize_f16(self.inner.shape.elem_count())?;
        tensor(&storage, self.inner.shape.clone())
    }

    /// The rows that `ids` name, as f32: a dimension of columns behind those of `ids`.
    ///
    /// # Errors
    /// Weights without two dimensions, ids past the last row, a type without a kernel, or what the library answers.
    pub fn embedding(&self, ids: &Tensor) -> Result<Tensor> {
        let (rows, hidden) = self.inner.shape.dims2()?;
        let mut shape = ids.dims().to_vec();
        shape.push(hidden);
        let (ids, layout) = self.upload(&ids.to_dtype(DType::U32)?)?;
        let storage = self.inner.storage.embedding(rows, hidden, &ids, &layout)?;
        tensor(&storage, shape.into())
    }

    /// For each token, the product of some experts' weights and the token's activations
    /// ([`QHipStorage::indexed_moe_forward`]).
    ///
    /// # Errors
    /// As [`QHipStorage::indexed_moe_forward`].
    pub fn indexed_moe_forward(&self, x: &Tensor, ids: &Tensor) -> Result<Tensor> {
        let (x, x_layout) = self.upload(x)?;
        let (ids, ids_layout) = self.upload(&ids.to_dtype(DType::U32)?)?;
        let Inner { storage, shape } = &*self.inner;
        let (storage, shape) =
            storage.indexed_moe_forward(shape, &x, &x_layout, &ids, &ids_layout)?;
        tensor(&storage, shape)
    }

    /// A copy of a tensor on the device, contiguous.
    fn upload(&self, tensor: &Tensor) -> Result<(HipStorage, Layout)> {
        let tensor = tensor.to_device(&Device::Cpu)?.contiguous()?;
        let (storage, layout) = tensor.storage_and_layout();
        let candle_core::Storage::Cpu(storage) = &*storage else {
            bail!("a tensor that was moved to the CPU is somewhere else")
        };
        self.upload_part(storage, layout)
    }

    /// A copy of the elements that a contiguous layout names, and their layout in the copy.
    fn upload_part(&self, storage: &CpuStorage, layout: &Layout) -> Result<(HipStorage, Layout)> {
        let storage = HipStorage::from_cpu_storage(self.device(), &part(storage, layout)?)?;
        Ok((storage, Layout::contiguous(layout.shape())))
    }
}

/// A copy of the elements that a contiguous layout names.
pub(super) fn part(storage: &CpuStorage, layout: &Layout) -> Result<CpuStorage> {
    let Some((first, end)) = layout.contiguous_offsets() else {
        let op = "quantized-matmul";
        return Err(candle_core::Error::RequiresContiguous { op }.bt());
    };
    macro_rules! part {
        ($($name:ident),*) => {
            match storage {
                $(CpuStorage::$name(elements) => match elements.get(first..end) {
                    Some(part) => Ok(CpuStorage::$name(part.to_vec())),
                    None => bail!("elements {first}..{end} of {}", elements.len()),
                },)*
                _ => {
                    use candle_core::backend::BackendStorage;
                    bail!("{:?} tensors cannot be on the device; u8, u32, i64, bf16, f16, f32 and f64 can", storage.dtype())
                }
            }
        };
    }
    part!(U8, U32, I64, BF16, F16, F32, F64)
}

/// A tensor on the CPU of elements on the device.
fn tensor(storage: &HipStorage, shape: Shape) -> Result<Tensor> {
    tensor_of(storage.to_cpu_storage()?, shape)
}

/// A tensor on the CPU.
pub(super) fn tensor_of(storage: CpuStorage, shape: Shape) -> Result<Tensor> {
    macro_rules! tensor {
        ($($name:ident),*) => {
            match storage {
                $(CpuStorage::$name(elements) => Tensor::from_vec(elements, shape, &Device::Cpu),)*
                other => bail!("{other:?} is no storage that a device can have"),
            }
        };
    }
    tensor!(U8, U32, I64, BF16, F16, F32, F64)
}

impl CustomOp1 for QHipTensor {
    fn name(&self) -> &'static str {
        "hip-qmatmul"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (storage, layout) = self.upload_part(storage, layout)?;
        let (out, shape) = self
            .inner
            .storage
            .fwd(&self.inner.shape, &storage, &layout)?;
        Ok((out.to_cpu_storage()?, shape))
    }
}

impl Module for QHipTensor {
    /// The product of `xs` (on the CPU, contiguous) and the transpose of the weights.
    fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        xs.apply_op1_no_bwd(self)
    }
}
