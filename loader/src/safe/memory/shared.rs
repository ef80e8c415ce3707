//! Device memory that nothing writes any more.

use std::fmt;
use std::marker::PhantomData;
use std::ops::RangeBounds;
use std::sync::Arc;

use super::slice::Owner;
use super::{Block, DeviceElement, DevicePtr, DeviceSlice};
use crate::safe::{Device, Error, Stream};

/// Device memory that nothing writes any more, such as weights. Cloning makes another handle to the same memory.
///
/// Any number of streams may read it at once. The last handle waits for the device before the memory is given back.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/emulator.rs"));
/// # fn main() -> Result<(), hip_loader::Error> {
/// # let device = hip_loader::Runtime::open(emulator())?.device(0)?;
/// let stream = device.new_stream()?;
/// let weights = stream.clone_htod(&[1.0_f32, 2.0])?.into_shared()?;
/// let other = device.new_stream()?;
/// assert_eq!(other.clone_dtoh(&weights)?, [1.0, 2.0]);
/// # Ok(())
/// # }
/// ```
pub struct SharedBuffer<T: DeviceElement> {
    inner: Arc<Inner>,
    element: PhantomData<T>,
}

struct Inner {
    /// `None` for a buffer without elements.
    block: Option<Block>,
    len: usize,
    home: Stream,
}

impl<T: DeviceElement> SharedBuffer<T> {
    pub(super) fn new(block: Option<Block>, len: usize, home: Stream) -> Self {
        Self {
            inner: Arc::new(Inner { block, len, home }),
            element: PhantomData,
        }
    }

    /// The number of elements.
    #[inline]
    pub fn len(&self) -> usize {
        self.inner.len
    }

    /// Whether there are no elements.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.inner.len == 0
    }

    /// The address of the first element; null for a buffer without elements.
    #[inline]
    pub fn ptr(&self) -> DevicePtr {
        self.inner
            .block
            .as_ref()
            .map_or(DevicePtr::NULL, |block| block.address.into())
    }

    /// The device that the memory is on.
    #[inline]
    pub fn device(&self) -> &Device {
        self.inner.home.device()
    }

    /// All of the buffer.
    #[inline]
    pub fn as_slice(&self) -> DeviceSlice<'_, T> {
        let owner = Owner {
            device: self.device(),
            home: None,
        };
        DeviceSlice::new(self.ptr(), self.inner.len, owner)
    }

    /// A part of the buffer.
    ///
    /// # Errors
    /// [`crate::MemoryError::OutOfRange`].
    pub fn slice(&self, bounds: impl RangeBounds<usize>) -> Result<DeviceSlice<'_, T>, Error> {
        self.as_slice().slice(bounds)
    }
}

impl<T: DeviceElement> Clone for SharedBuffer<T> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            element: PhantomData,
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let Some(block) = self.block.take() else {
            return;
        };
        // Any stream may still read. A device that cannot be waited for runs nothing that matters.
        let _ = self.home.device().synchronize();
        self.home.release_memory(block);
    }
}

impl<T: DeviceElement> fmt::Debug for SharedBuffer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "SharedBuffer<{}>({:?}, {})",
            std::any::type_name::<T>(),
            self.ptr(),
            self.len()
        )
    }
}
