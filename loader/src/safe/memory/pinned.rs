//! Pinned host memory.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Mutex;

use super::{DeviceElement, DeviceSlice, DeviceSliceMut};
use crate::result;
use crate::safe::device::lock;
use crate::safe::reclaim::Resource;
use crate::safe::{Device, Error, Event, EventTiming, MemoryError, Stream};
use crate::sys::{self, hipDeviceptr_t};

/// Host memory that devices can reach by themselves, so that copies need not wait for the host.
///
/// The buffer knows the last copy that uses it: looking at its elements waits for that.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/emulator.rs"));
/// # fn main() -> Result<(), hip_loader::Error> {
/// # let device = hip_loader::Runtime::open(emulator())?.device(0)?;
/// let stream = device.new_stream()?;
/// let mut host = hip_loader::PinnedBuffer::<f32>::zeroed(&device, 1024)?;
/// host.as_mut_slice()?.fill(1.0);
/// let mut buffer = stream.alloc_zeros(1024)?;
/// stream.memcpy_htod_pinned(&host, &mut buffer)?; // returns at once
/// assert_eq!(host.as_slice()?[0], 1.0); // waits for the copy
/// # Ok(())
/// # }
/// ```
pub struct PinnedBuffer<T: DeviceElement> {
    /// Null for a buffer without elements.
    address: hipDeviceptr_t,
    len: usize,
    device: Device,
    /// Reached when no copy uses the buffer. All copies of a buffer are in one order, so the last one stands for all.
    last: Mutex<Option<Event>>,
    element: PhantomData<T>,
}

// SAFETY: the memory is owned, and elements are `Send + Sync`; copies that run meanwhile are waited for before the host
// looks at the memory.
unsafe impl<T: DeviceElement> Send for PinnedBuffer<T> {}
// SAFETY: as above.
unsafe impl<T: DeviceElement> Sync for PinnedBuffer<T> {}

impl<T: DeviceElement> PinnedBuffer<T> {
    /// Pinned memory for `len` elements, all bytes zero.
    ///
    /// # Errors
    /// [`MemoryError::TooLarge`], or what the library answers.
    pub fn zeroed(device: &Device, len: usize) -> Result<Self, Error> {
        let size = size_of::<T>();
        let bytes = len
            .checked_mul(size)
            .filter(|bytes| isize::try_from(*bytes).is_ok())
            .ok_or(MemoryError::TooLarge { len, size })?;
        let mut address = std::ptr::null_mut();
        if bytes > 0 {
            let _current = device.enter()?;
            address = result::mem::host_malloc(device.api(), bytes, sys::hipHostMallocPortable)?;
            // SAFETY: the library gave this many bytes, and nothing else knows of them.
            unsafe { address.cast::<u8>().write_bytes(0, bytes) };
        }
        Ok(Self {
            address,
            len,
            device: device.clone(),
            last: Mutex::default(),
            element: PhantomData,
        })
    }

    /// The number of elements.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no elements.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn as_ptr(&self) -> *mut T {
        if self.len == 0 {
            std::ptr::NonNull::dangling().as_ptr()
        } else {
            self.address.cast()
        }
    }

    fn wait(&self) -> Result<(), Error> {
        match &*lock(&self.last) {
            Some(event) => event.synchronize(),
            None => Ok(()),
        }
    }

    /// The elements, when no copy uses them any more.
    ///
    /// # Errors
    /// What the library answers, errors of the work before the copy included.
    pub fn as_slice(&self) -> Result<&[T], Error> {
        self.wait()?;
        // SAFETY: the memory is initialized, aligned to a page, and written by nothing while it is borrowed: a copy into
        // it needs a `&mut`.
        Ok(unsafe { std::slice::from_raw_parts(self.as_ptr(), self.len) })
    }

    /// The elements for writing, when no copy uses them any more.
    ///
    /// # Errors
    /// What the library answers, errors of the work before the copy included.
    pub fn as_mut_slice(&mut self) -> Result<&mut [T], Error> {
        self.wait()?;
        // SAFETY: as above; no copy can start while it is borrowed.
        Ok(unsafe { std::slice::from_raw_parts_mut(self.as_ptr(), self.len) })
    }

    /// Calls `enqueue` for a copy of `stream`, behind the copies before it.
    fn in_order(
        &self,
        stream: &Stream,
        enqueue: impl FnOnce() -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut last = lock(&self.last);
        match &*last {
            Some(event) => stream.wait(event)?,
            None => *last = Some(Event::new(stream.device(), EventTiming::Disabled)?),
        }
        enqueue()?;
        let recorded = match &mut *last {
            Some(event) if event.device() == stream.device() => event.record(stream),
            // An event is recorded on its own device only.
            other => stream
                .record(EventTiming::Disabled)
                .map(|event| *other = Some(event)),
        };
        // Without the mark the only way to know that the copy has finished is to wait for it.
        recorded.or_else(|_| stream.settle())
    }
}

impl<T: DeviceElement> Drop for PinnedBuffer<T> {
    fn drop(&mut self) {
        if self.address.is_null() {
            return;
        }
        // A device whose work has failed runs nothing any more that could touch the memory.
        let _ = self.wait();
        self.device.dispose(Resource::Pinned(self.address));
    }
}

impl<T: DeviceElement> fmt::Debug for PinnedBuffer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "PinnedBuffer<{}>({:?}, {})",
            std::any::type_name::<T>(),
            self.address,
            self.len
        )
    }
}

impl Stream {
    /// Copies pinned memory into a buffer, in stream order, without waiting.
    ///
    /// # Errors
    /// [`MemoryError::Length`] unless both have the same length, [`Error::DeviceMismatch`], or what the library answers.
    pub fn memcpy_htod_pinned<'a, T: DeviceElement>(
        &self,
        from: &PinnedBuffer<T>,
        to: impl Into<DeviceSliceMut<'a, T>>,
    ) -> Result<(), Error> {
        let to = to.into();
        if from.len() != to.len() {
            return Err(MemoryError::Length {
                from: from.len(),
                to: to.len(),
            }
            .into());
        }
        from.in_order(self, || {
            // SAFETY: both sides are as long, and the memory is not written or freed before the copy has passed.
            unsafe { self.copy_from_host(from.as_ptr(), to) }
        })
    }

    /// Copies a buffer into pinned memory, in stream order, without waiting.
    ///
    /// # Errors
    /// [`MemoryError::Length`] unless both have the same length, [`Error::DeviceMismatch`], or what the library answers.
    pub fn memcpy_dtoh_pinned<'a, T: DeviceElement>(
        &self,
        from: impl Into<DeviceSlice<'a, T>>,
        to: &mut PinnedBuffer<T>,
    ) -> Result<(), Error> {
        let from = from.into();
        if from.len() != to.len() {
            return Err(MemoryError::Length {
                from: from.len(),
                to: to.len(),
            }
            .into());
        }
        to.in_order(self, || {
            // SAFETY: both sides are as long, and the host looks at the memory only after the copy has passed.
            unsafe { self.enqueue_to_host(from, to.as_ptr()) }
        })
    }
}
