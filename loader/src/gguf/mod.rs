//! Quantized matrices: launch plans for the kernels of candle's `quantized.cu`.
//!
//! | layer | what it is |
//! |---|---|
//! | [`GgmlType`] | the types, with their sizes |
//! | [`geometry`] | which tile a matrix kernel was compiled with, read from the code object |
//! | [`GgufKernels`] with [`raw`] operands | each operation on device pointers and a foreign stream |
//! | [`GgufKernels`] with [`Weights`] and buffers | the same operations, owning and checked |
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/emulator.rs"));
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/bundles.rs"));
//! # fn main() -> Result<(), hip_loader::Error> {
//! # std::env::set_current_dir(bundle_file("quantized.hipfb").parent().expect("a folder")).expect("it is there");
//! # let device = hip_loader::Runtime::open(emulator())?.device(0)?;
//! use hip_loader::Image;
//! use hip_loader::gguf::{GgmlType, GgufKernels, Weights};
//!
//! let kernels = GgufKernels::load(&device, &Image::open("quantized.hipfb")?)?;
//! let stream = device.new_stream()?;
//!
//! // A matrix of 4 rows and 256 columns, as a GGUF file has it.
//! let blocks = vec![0_u8; GgmlType::Q4K.size_in_bytes(4 * 256).unwrap()];
//! let weights = Weights::upload(&stream, GgmlType::Q4K, &blocks)?;
//!
//! // Two rows of activations make two rows of four.
//! let activations = stream.alloc_zeros::<f32>(2 * 256)?;
//! let out = kernels.matmul(&stream, &weights, 4, 256, &activations)?;
//! assert_eq!(stream.clone_dtoh(&out)?.len(), 2 * 4);
//! # Ok(())
//! # }
//! ```
//!
//! Kernels are taken to be those of candle-kernels 0.11.1 with the repairs of this project; a kernel whose arguments are
//! others is refused when it is first used.

mod error;
pub mod geometry;
mod kernels;
mod ops;
mod plan;
pub mod raw;
mod types;
mod weights;

pub use error::{GgufError, Operation};
pub use geometry::{Family, Tile};
pub use kernels::{GgufKernels, KernelId};
pub use ops::MatmulPath;
pub use plan::{MAX_VEC_BATCH, ROW_PADDING};
pub use types::{GgmlType, UnknownType};
pub use weights::{Weights, padded_size, q8_1_size};
