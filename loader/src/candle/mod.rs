//! Quantized tensors at candle's level: feature `candle`, candle-core 0.11.1 as it is on crates.io.
//!
//! | type | its counterpart in candle |
//! |---|---|
//! | [`HipDevice`] | `CudaDevice`: a stream and the kernels |
//! | [`HipStorage`] | `CudaStorage`: elements of one dtype in device memory |
//! | [`QHipStorage`] | `QCudaStorage`: quantized weights, with everything that it does |
//! | [`load_quantized`] | `load_quantized` |
//! | [`QHipTensor`] | `QTensor`: weights with a shape; a `CustomOp1` |
//! | [`QHipMatMul`] | `QMatMul`: a `Module` |
//! | [`GgufFile`] | `gguf_file::Content` with its file, mapped into memory |
//!
//! [`QHipTensor`] and [`QHipMatMul`] work with an unchanged candle: tensors stay on the CPU, weights on the GPU, and what
//! is multiplied goes there and back. [`QHipStorage`] is for a backend that keeps its tensors on the GPU.
//!
//! ```
//! use candle_core::{Device, Module, Tensor};
//! use hip_loader::Image;
//! use hip_loader::candle::{GgufFile, HipDevice, Kernels, QHipMatMul};
//!
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/emulator.rs"));
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/bundles.rs"));
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # for name in ["quantized.hipfb", "cast.hipfb"] {
//! #     std::fs::copy(bundle_file(name), folder.path().join(name))?;
//! # }
//! # std::env::set_current_dir(&folder)?;
//! # use candle_core::quantized::{GgmlDType, QTensor, gguf_file};
//! # let ones = Tensor::ones((8, 4096), candle_core::DType::F32, &Device::Cpu)?;
//! # let weights = QTensor::quantize(&ones, GgmlDType::Q4K)?;
//! # let mut out = std::fs::File::create("model.gguf")?;
//! # gguf_file::write(&mut out, &[], &[("blk.0.attn_q.weight", &weights)])?;
//! # // SAFETY: a doc test has one thread.
//! # unsafe { std::env::set_var("HIP_LOADER_LIB", emulator()) };
//! let kernels = Kernels::new(Image::open("quantized.hipfb")?).with_cast(Image::open("cast.hipfb")?);
//! let device = HipDevice::new(&hip_loader::Runtime::load()?.device(0)?, &kernels)?;
//! let file = GgufFile::open("model.gguf")?;
//! let query = QHipMatMul::new(file.tensor("blk.0.attn_q.weight", &device)?)?;
//! let xs = Tensor::zeros((1, 4096), candle_core::DType::F32, &Device::Cpu)?;
//! let queries = query.forward(&xs)?;
//! assert_eq!(queries.dims()[0], 1);
//! # Ok(())
//! # }
//! ```

mod cast;
mod convert;
mod cpu;
mod device;
mod file;
mod matmul;
mod quantized;
mod storage;
mod tensor;

pub use device::{HipDevice, Kernels};
pub use file::{GgufFile, Progress};
pub use matmul::QHipMatMul;
pub use quantized::{PtrGuard, QHipStorage, load_quantized};
pub use storage::{HipDType, HipStorage, HipStorageSlice};
pub use tensor::QHipTensor;

/// What the functions of this module answer: candle's own result.
pub type Result<T> = candle_core::Result<T>;
