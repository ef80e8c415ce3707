//! A layer of a model: weights on the device, tensors on the CPU.

use candle_core::quantized::QTensor;
use candle_core::{CpuStorage, CustomOp1, Layout, Module, Shape, Tensor, bail};

use super::tensor::{part, tensor_of};
use super::{HipDevice, QHipStorage, QHipTensor, Result};

/// Candle's `QMatMul` with weights on the device.
///
/// Types that the kernels do not multiply (F32, F16, BF16, Q8_1, Q8K) are dequantized once and multiplied by candle on the
/// CPU, as `QMatMul` does with the first three.
#[derive(Clone, Debug)]
pub enum QHipMatMul {
    /// Weights on the device.
    Quantized(QHipTensor),
    /// Weights on the CPU.
    Tensor(Tensor),
}

impl QHipMatMul {
    /// A layer with these weights.
    ///
    /// # Errors
    /// What the library answers.
    pub fn new(weights: QHipTensor) -> Result<Self> {
        if QHipStorage::multiplies(weights.dtype()) {
            Ok(Self::Quantized(weights))
        } else {
            Ok(Self::Tensor(weights.dequantize()?))
        }
    }

    /// A layer with the weights of a tensor of candle's.
    ///
    /// # Errors
    /// As [`QHipTensor::from_qtensor`].
    pub fn from_qtensor(weights: &QTensor, device: &HipDevice) -> Result<Self> {
        Self::new(QHipTensor::from_qtensor(weights, device)?)
    }

    /// The shape of the weights: rows, columns.
    pub fn shape(&self) -> &Shape {
        match self {
            Self::Quantized(weights) => weights.shape(),
            Self::Tensor(weights) => weights.shape(),
        }
    }
}

impl Module for QHipMatMul {
    /// The product of `xs` (on the CPU) and the transpose of the weights.
    fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        match self {
            Self::Quantized(weights) => weights.forward(&xs.contiguous()?),
            Self::Tensor(weights) => {
                let weights = weights.to_dtype(xs.dtype())?;
                let weights = match xs.rank() {
                    0..=2 => weights.t()?,
                    rank => weights.broadcast_left(&xs.dims()[..rank - 2])?.t()?,
                };
                xs.matmul(&weights)
            }
        }
    }
}

impl CustomOp1 for QHipMatMul {
    fn name(&self) -> &'static str {
        "hip-qmatmul"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        match self {
            Self::Quantized(weights) => weights.cpu_fwd(storage, layout),
            Self::Tensor(_) => {
                let xs = tensor_of(part(storage, layout)?, layout.shape().clone())?;
                let product = self.forward(&xs)?;
                let (storage, layout) = product.storage_and_layout();
                match &*storage {
                    candle_core::Storage::Cpu(storage) => {
                        Ok((part(storage, layout)?, product.shape().clone()))
                    }
                    _ => bail!("the product of tensors on the CPU is somewhere else"),
                }
            }
        }
    }
}
