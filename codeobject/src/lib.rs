//! AMDGPU code objects and clang offload bundles: read and write.
//!
//! hipcc turns a HIP source into one ELF file for each architecture, the *code object*, and packs them into an *offload
//! bundle*. This crate takes both apart: which architectures a bundle has ([`bundle`]), whether one of them runs on a
//! device ([`TargetId`]), which kernels are in it, what arguments they take and how many registers they use
//! ([`CodeObject`], [`Kernel`], [`KernelDescriptor`]). It also writes bundles, byte for byte as clang does.
//!
//! It knows bytes alone: nothing of HIP, CUDA, files or processes. The bytes may come from anywhere, so every read is
//! checked and ends in an [`Error`] that says what was wrong; memory use is bounded by a small multiple of the input's
//! size (for a compressed bundle, of what it may grow to: see [`bundle::decompress`]).
//!
//! The feature `zstd`, on by default, links the zstd library, which is C: it writes compressed bundles and reads them
//! fast. Without it everything can be read, in Rust alone.
//!
//! ```no_run
//! use codeobject::{CodeObject, TargetId, bundle::Bundle};
//!
//! let bytes = std::fs::read("kernels.hipfb")?;
//! let bundle = Bundle::parse(&bytes)?;
//! let device: TargetId = "gfx90a:sramecc+:xnack-".parse()?;
//! let code_object = CodeObject::parse(bundle.select(&device)?.data)?;
//! for kernel in code_object.kernels() {
//!     println!("{}: {} VGPRs, {} bytes of code", kernel.name, kernel.vgpr_count, kernel.code_size);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod bundle;
mod bytes;
mod code_object;
mod descriptor;
mod elf;
pub mod embedded;
mod error;
mod extent;
mod inlines;
mod kernel;
mod lines;
mod metadata;
mod msgpack;
mod occupancy;
pub mod processor;
mod target;

pub use code_object::CodeObject;
pub use descriptor::{
    ComputePgmRsrc1, ComputePgmRsrc2, ComputePgmRsrc3, DenormMode, KernargPreload,
    KernelCodeProperties, KernelDescriptor, RoundMode,
};
pub use elf::{Relocation, RelocationKind, Segment, Symbol, SymbolKind};
pub use error::Error;
pub use extent::Extent;
pub use inlines::{Frame, InlineTable};
pub use kernel::{Access, AddressSpace, Arg, ArgKind, HiddenArg, Kernel, KernelKind};
pub use lines::{LineTable, Location};
pub use occupancy::{Occupancy, OccupancyLimit, UnitLimits};
pub use target::{Feature, TargetId};
