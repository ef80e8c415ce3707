//! Owning types: what the library makes is freed when the last owner goes, in an order that is always right.
//!
//! | type | owns | shared between threads |
//! |---|---|---|
//! | [`Runtime`] | the library | yes, a handle |
//! | [`Device`] | one device's context: what it can do, its free lists | yes, a handle |
//! | [`Stream`] | a queue of work | yes, a handle |
//! | [`Event`] | a marker in a stream | yes |
//! | [`DeviceBuffer`] | device memory of one element type | yes, by reference |
//! | [`DeviceSlice`], [`DeviceSliceMut`] | nothing: a part of a buffer, borrowed | yes |
//! | [`SharedBuffer`] | device memory that nothing writes any more, such as weights | yes, a handle |
//! | [`PinnedBuffer`] | host memory that a device can reach | yes, by reference |
//! | [`Module`] | a code object that is loaded on a device | yes, a handle |
//! | [`Function`] | a kernel, with what its metadata says | yes, a handle |
//! | [`Graph`], [`GraphExec`] | recorded work | may be sent, not shared |
//!
//! # Order
//! A buffer has a *home*: the stream that it was made on, and that frees it. Work on the home needs no further order.
//! An operation on another stream waits for the home before it starts, and the home waits for it; so every use of a
//! buffer is ordered with every other, whatever the streams, and a dropped buffer is freed after its last use. A
//! [`SharedBuffer`] needs no order, because nothing writes it: that is the form for weights that many streams read.
//!
//! # Threads
//! What is shared between threads can be used by several at once; the rest cannot, and does not compile:
//!
//! ```compile_fail,E0277
//! // HIP lets one thread at a time use a graph.
//! fn launch_from_both(exec: &hip_loader::GraphExec) {
//!     std::thread::scope(|scope| {
//!         scope.spawn(|| exec);
//!     });
//! }
//! ```
//!
//! ```compile_fail,E0502
//! // A kernel writes what it is given as `&mut`, so that nothing else may look at it meanwhile.
//! fn overlap(stream: &hip_loader::Stream, buffer: &mut hip_loader::DeviceBuffer<f32>) -> Result<(), hip_loader::Error> {
//!     let first = buffer.slice(..10)?;
//!     stream.memcpy_dtod(first, buffer.slice_mut(5..15)?)
//! }
//! ```
//!
//! ```compile_fail,E0505
//! // A slice is a part of its buffer.
//! fn outlive(buffer: hip_loader::DeviceBuffer<f32>, stream: &hip_loader::Stream) -> Result<Vec<f32>, hip_loader::Error> {
//!     let slice = buffer.as_slice();
//!     drop(buffer);
//!     stream.clone_dtoh(slice)
//! }
//! ```
//!
//! ```compile_fail,E0277
//! // A buffer holds numbers, not references to host memory.
//! fn upload(stream: &hip_loader::Stream, text: &[&str]) {
//!     let _ = stream.clone_htod(text);
//! }
//! ```
//!
//! # Global state
//! HIP has a current device in each thread. A function here that depends on it sets it for the length of the call and
//! puts the caller's own back.

mod callback;
mod device;
mod error;
mod event;
mod function;
mod graph;
mod launch;
mod memory;
mod module;
mod reclaim;
mod runtime;
mod scope;
mod stream;

pub use device::{Device, DeviceOptions, Limits, MemoryInfo};
pub use error::{ArgProblem, Error, LaunchError, MemoryError, ModuleError};
pub use event::{Event, EventTiming};
pub use function::{ArgSlot, Function, Occupancy, SlotKind};
pub use graph::{CaptureMode, Graph, GraphExec};
pub use launch::{KernelArg, LaunchBuilder, LaunchConfig};
pub use memory::{
    DeviceBuffer, DeviceElement, DevicePtr, DeviceSlice, DeviceSliceMut, PinnedBuffer, SharedBuffer,
};
pub use module::{Image, Module};
pub use runtime::{Runtime, Version};
pub use stream::{Stream, StreamOptions};

pub(crate) use launch::check_shape;
pub(crate) use scope::Scope;

#[cfg(test)]
mod tests {
    use super::*;

    fn shared<T: Send + Sync>() {}
    fn sent<T: Send>() {}

    #[test]
    fn handles_may_go_to_other_threads() {
        shared::<Runtime>();
        shared::<Device>();
        shared::<Stream>();
        shared::<Event>();
        shared::<DeviceBuffer<f32>>();
        shared::<DeviceSlice<'_, f32>>();
        shared::<DeviceSliceMut<'_, f32>>();
        shared::<SharedBuffer<f32>>();
        shared::<PinnedBuffer<f32>>();
        shared::<Module>();
        shared::<Function>();
        shared::<Error>();
        sent::<Graph>();
        sent::<GraphExec>();
    }
}
