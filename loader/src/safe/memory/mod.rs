//! Device memory, pinned host memory, and the copies between them.
//!
//! Names of the copies are cudarc's: `htod` is host to device, `dtoh` device to host, `dtod` device to device.

mod buffer;
mod cache;
mod element;
mod pinned;
mod shared;
mod slice;

pub use buffer::DeviceBuffer;
pub(crate) use cache::{Block, Cache};
pub use element::DeviceElement;
pub use pinned::PinnedBuffer;
pub use shared::SharedBuffer;
pub(crate) use slice::Owner;
pub use slice::{DevicePtr, DeviceSlice, DeviceSliceMut};
