//! Owned device memory, and the copies of streams.

use std::ffi::c_void;
use std::fmt;
use std::marker::PhantomData;
use std::ops::RangeBounds;

use super::slice::Owner;
use super::{Block, DeviceElement, DevicePtr, DeviceSlice, DeviceSliceMut, SharedBuffer};
use crate::result;
use crate::safe::{Device, Error, MemoryError, Scope, Stream};
use crate::sys::{self, hipMemcpyKind};

/// Device memory for a number of elements. It belongs to the stream that it was made on: its *home*.
///
/// Dropping a buffer hands its memory back to the home, behind all work that uses it.
pub struct DeviceBuffer<T: DeviceElement> {
    /// `None` for a buffer without elements.
    block: Option<Block>,
    len: usize,
    home: Stream,
    element: PhantomData<T>,
}

impl<T: DeviceElement> DeviceBuffer<T> {
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

    /// The size in bytes.
    #[inline]
    pub fn size_in_bytes(&self) -> usize {
        self.len * size_of::<T>()
    }

    /// The address of the first element; null for a buffer without elements.
    #[inline]
    pub fn ptr(&self) -> DevicePtr {
        self.block
            .as_ref()
            .map_or(DevicePtr::NULL, |block| block.address.into())
    }

    /// The stream that uses of the buffer are ordered with.
    #[inline]
    pub fn home(&self) -> &Stream {
        &self.home
    }

    /// The device that the memory is on.
    #[inline]
    pub fn device(&self) -> &Device {
        self.home.device()
    }

    #[inline]
    fn owner(&self) -> Owner<'_> {
        Owner {
            device: self.home.device(),
            home: Some(&self.home),
        }
    }

    /// All of the buffer, for reading.
    #[inline]
    pub fn as_slice(&self) -> DeviceSlice<'_, T> {
        DeviceSlice::new(self.ptr(), self.len, self.owner())
    }

    /// All of the buffer, for writing.
    #[inline]
    pub fn as_slice_mut(&mut self) -> DeviceSliceMut<'_, T> {
        DeviceSliceMut::new(self.ptr(), self.len, self.owner())
    }

    /// A part of the buffer, for reading.
    ///
    /// # Errors
    /// [`MemoryError::OutOfRange`].
    pub fn slice(&self, bounds: impl RangeBounds<usize>) -> Result<DeviceSlice<'_, T>, Error> {
        self.as_slice().slice(bounds)
    }

    /// A part of the buffer, for writing.
    ///
    /// # Errors
    /// [`MemoryError::OutOfRange`].
    pub fn slice_mut(
        &mut self,
        bounds: impl RangeBounds<usize>,
    ) -> Result<DeviceSliceMut<'_, T>, Error> {
        let (ptr, len) = (self.ptr(), self.len);
        let whole = DeviceSlice::<T>::new(ptr, len, self.owner());
        let part = whole.slice(bounds)?;
        Ok(DeviceSliceMut::new(part.ptr(), part.len(), part.owner()))
    }

    /// Gives up writing: the contents stay as they are, and any stream may read them without waiting for another.
    ///
    /// Waits for the home's work. This is the form for weights.
    ///
    /// # Errors
    /// What the library answers, errors of earlier work included.
    pub fn into_shared(mut self) -> Result<SharedBuffer<T>, Error> {
        self.home.synchronize()?;
        Ok(SharedBuffer::new(
            self.block.take(),
            self.len,
            self.home.clone(),
        ))
    }
}

impl<T: DeviceElement> Drop for DeviceBuffer<T> {
    fn drop(&mut self) {
        if let Some(block) = self.block.take() {
            self.home.give_memory(block);
        }
    }
}

impl<T: DeviceElement> fmt::Debug for DeviceBuffer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "DeviceBuffer<{}>({:?}, {})",
            std::any::type_name::<T>(),
            self.ptr(),
            self.len
        )
    }
}

fn same_len(from: usize, to: usize) -> Result<(), Error> {
    if from == to {
        Ok(())
    } else {
        Err(MemoryError::Length { from, to }.into())
    }
}

/// Memory and copies. All of them are ordered with the work of the stream; those that touch host memory that is not
/// pinned wait for the stream, because the runtime may read or write it until then.
impl Stream {
    /// A buffer whose contents are whatever the memory held before.
    ///
    /// # Errors
    /// [`MemoryError`], or what the library answers.
    ///
    /// # Safety
    /// The contents are written before anything depends on them. They are values of `T` even before, but not the same
    /// ones in the next run.
    pub unsafe fn alloc<T: DeviceElement>(&self, len: usize) -> Result<DeviceBuffer<T>, Error> {
        let size = size_of::<T>();
        let bytes = len
            .checked_mul(size)
            .filter(|bytes| isize::try_from(*bytes).is_ok())
            .ok_or(MemoryError::TooLarge { len, size })?;
        let block = self.take_memory(bytes)?;
        Ok(DeviceBuffer {
            block,
            len,
            home: self.clone(),
            element: PhantomData,
        })
    }

    /// A buffer of zeros.
    ///
    /// # Errors
    /// [`MemoryError`], or what the library answers.
    pub fn alloc_zeros<T: DeviceElement>(&self, len: usize) -> Result<DeviceBuffer<T>, Error> {
        // SAFETY: written by the next call.
        let mut buffer = unsafe { self.alloc(len) }?;
        self.memset_zeros(&mut buffer)?;
        Ok(buffer)
    }

    /// A buffer with a copy of `from`.
    ///
    /// # Errors
    /// [`MemoryError`], or what the library answers.
    pub fn clone_htod<T: DeviceElement>(&self, from: &[T]) -> Result<DeviceBuffer<T>, Error> {
        // SAFETY: written by the next call.
        let mut buffer = unsafe { self.alloc(from.len()) }?;
        self.memcpy_htod(from, &mut buffer)?;
        Ok(buffer)
    }

    /// A copy of `from` in host memory.
    ///
    /// # Errors
    /// What the library answers, errors of earlier work included.
    pub fn clone_dtoh<'a, T: DeviceElement>(
        &self,
        from: impl Into<DeviceSlice<'a, T>>,
    ) -> Result<Vec<T>, Error> {
        let from = from.into();
        let mut to = Vec::new();
        let (len, size) = (from.len(), size_of::<T>());
        to.try_reserve_exact(len)
            .map_err(|_| MemoryError::TooLarge { len, size })?;
        // SAFETY: the capacity is reserved.
        unsafe { self.copy_to_host(from, to.as_mut_ptr()) }?;
        // SAFETY: the copy has written all elements, and every pattern of bits is one.
        unsafe { to.set_len(len) };
        Ok(to)
    }

    /// A buffer with a copy of `from`.
    ///
    /// # Errors
    /// [`MemoryError`], or what the library answers.
    pub fn clone_dtod<'a, T: DeviceElement>(
        &self,
        from: impl Into<DeviceSlice<'a, T>>,
    ) -> Result<DeviceBuffer<T>, Error> {
        let from = from.into();
        // SAFETY: written by the next call.
        let mut buffer = unsafe { self.alloc(from.len()) }?;
        self.memcpy_dtod(from, &mut buffer)?;
        Ok(buffer)
    }

    /// Copies host memory into a buffer, and waits for the stream.
    ///
    /// # Errors
    /// [`MemoryError::Length`] unless both have the same length, [`Error::DeviceMismatch`], or what the library answers,
    /// errors of earlier work included.
    pub fn memcpy_htod<'a, T: DeviceElement>(
        &self,
        from: &[T],
        to: impl Into<DeviceSliceMut<'a, T>>,
    ) -> Result<(), Error> {
        let to = to.into();
        same_len(from.len(), to.len())?;
        // SAFETY: both sides are as long, and the host memory stays borrowed until the stream has passed the copy.
        let copied = unsafe { self.copy_from_host(from.as_ptr(), to) };
        let settled = self.settle();
        copied.and(settled)
    }

    /// Copies a buffer into host memory, and waits for the stream.
    ///
    /// # Errors
    /// [`MemoryError::Length`] unless both have the same length, [`Error::DeviceMismatch`], or what the library answers,
    /// errors of earlier work included.
    pub fn memcpy_dtoh<'a, T: DeviceElement>(
        &self,
        from: impl Into<DeviceSlice<'a, T>>,
        to: &mut [T],
    ) -> Result<(), Error> {
        let from = from.into();
        same_len(from.len(), to.len())?;
        // SAFETY: both sides are as long.
        unsafe { self.copy_to_host(from, to.as_mut_ptr()) }
    }

    /// Copies one buffer to another, also one of another device that this one can reach.
    ///
    /// # Errors
    /// [`MemoryError::Length`] unless both have the same length, [`Error::DeviceMismatch`], or what the library answers.
    pub fn memcpy_dtod<'a, 'b, T: DeviceElement>(
        &self,
        from: impl Into<DeviceSlice<'a, T>>,
        to: impl Into<DeviceSliceMut<'b, T>>,
    ) -> Result<(), Error> {
        let (from, to) = (from.into(), to.into());
        same_len(from.len(), to.len())?;
        let mut scope = Scope::new(self);
        scope.reads(&from)?;
        scope.writes(&to)?;
        if from.device().raw_ordinal() != to.device().raw_ordinal() {
            return copy_between(&scope, &from, &to);
        }
        let (source, target) = (from.ptr().as_raw(), to.ptr().as_raw());
        let (bytes, kind) = (from.size_in_bytes(), sys::hipMemcpyDeviceToDevice);
        // SAFETY: both sides are as long and ordered with the stream.
        unsafe { copy(&scope, target, source, bytes, kind) }
    }

    /// Copies a buffer to another device, which need not be able to reach it: the runtime goes through the host where the
    /// devices are not linked. The stream may be of either device.
    ///
    /// # Errors
    /// [`MemoryError::Length`] unless both have the same length, [`Error::DeviceMismatch`] for a stream of a third
    /// device, or what the library answers.
    pub fn memcpy_peer<'a, 'b, T: DeviceElement>(
        &self,
        from: impl Into<DeviceSlice<'a, T>>,
        to: impl Into<DeviceSliceMut<'b, T>>,
    ) -> Result<(), Error> {
        let (from, to) = (from.into(), to.into());
        same_len(from.len(), to.len())?;
        let own = self.device().raw_ordinal();
        if ![from.device(), to.device()]
            .iter()
            .any(|device| device.raw_ordinal() == own)
        {
            return Err(Error::mismatch("memory", from.device(), self.device()));
        }
        let mut scope = Scope::new(self);
        scope.orders(from.owner());
        scope.orders(to.owner());
        copy_between(&scope, &from, &to)
    }

    /// Sets all bytes of a buffer to zero.
    ///
    /// # Errors
    /// [`Error::DeviceMismatch`], or what the library answers.
    pub fn memset_zeros<'a, T: DeviceElement>(
        &self,
        to: impl Into<DeviceSliceMut<'a, T>>,
    ) -> Result<(), Error> {
        self.memset_bytes(to, 0)
    }

    /// Sets all bytes of a buffer to `value`.
    ///
    /// # Errors
    /// [`Error::DeviceMismatch`], or what the library answers.
    pub fn memset_bytes<'a, T: DeviceElement>(
        &self,
        to: impl Into<DeviceSliceMut<'a, T>>,
        value: u8,
    ) -> Result<(), Error> {
        let to = to.into();
        let mut scope = Scope::new(self);
        scope.writes(&to)?;
        if to.is_empty() {
            return Ok(());
        }
        scope.run(|stream| {
            let (api, bytes) = (self.device().api(), to.size_in_bytes());
            // SAFETY: the range is the slice's, and ordered with the stream.
            unsafe { result::mem::set_async(api, to.ptr().as_raw(), value, bytes, stream) }
        })
    }

    /// Enqueues a copy of as many elements as `to` has.
    ///
    /// # Safety
    /// `from` has as many elements, and they stay as they are until the stream has passed the copy.
    pub(super) unsafe fn copy_from_host<T: DeviceElement>(
        &self,
        from: *const T,
        to: DeviceSliceMut<'_, T>,
    ) -> Result<(), Error> {
        let mut scope = Scope::new(self);
        scope.writes(&to)?;
        let (bytes, kind) = (to.size_in_bytes(), sys::hipMemcpyHostToDevice);
        // SAFETY: promised by the caller, and ordered with the stream.
        unsafe { copy(&scope, to.ptr().as_raw(), from.cast(), bytes, kind) }
    }

    /// Enqueues a copy of all elements of `from`.
    ///
    /// # Safety
    /// `to` has room for as many elements, and nobody else touches them until the stream has passed the copy.
    pub(super) unsafe fn enqueue_to_host<T: DeviceElement>(
        &self,
        from: DeviceSlice<'_, T>,
        to: *mut T,
    ) -> Result<(), Error> {
        let mut scope = Scope::new(self);
        scope.reads(&from)?;
        let (bytes, kind) = (from.size_in_bytes(), sys::hipMemcpyDeviceToHost);
        // SAFETY: promised by the caller, and ordered with the stream.
        unsafe { copy(&scope, to.cast(), from.ptr().as_raw(), bytes, kind) }
    }

    /// Copies all elements of `from` and waits for the stream.
    ///
    /// # Safety
    /// `to` has room for as many elements.
    unsafe fn copy_to_host<T: DeviceElement>(
        &self,
        from: DeviceSlice<'_, T>,
        to: *mut T,
    ) -> Result<(), Error> {
        // SAFETY: the caller's borrow of the memory lasts until the stream has passed the copy.
        let copied = unsafe { self.enqueue_to_host(from, to) };
        let settled = self.settle();
        copied.and(settled)
    }
}

/// Enqueues a copy within a device, or between a device and the host.
///
/// # Safety
/// As for [`result::mem::copy_async`].
unsafe fn copy(
    scope: &Scope<'_>,
    to: *mut c_void,
    from: *const c_void,
    bytes: usize,
    kind: hipMemcpyKind,
) -> Result<(), Error> {
    if bytes == 0 {
        return Ok(());
    }
    let api = scope.stream().device().api();
    // SAFETY: promised by the caller.
    scope.run(|stream| unsafe { result::mem::copy_async(api, to, from, bytes, kind, stream) })
}

/// Enqueues a copy between devices. Both sides are as long.
fn copy_between<T: DeviceElement>(
    scope: &Scope<'_>,
    from: &DeviceSlice<'_, T>,
    to: &DeviceSliceMut<'_, T>,
) -> Result<(), Error> {
    if from.is_empty() {
        return Ok(());
    }
    let api = scope.stream().device().api();
    let source = (
        from.ptr().as_raw().cast_const(),
        from.device().raw_ordinal(),
    );
    let target = (to.ptr().as_raw(), to.device().raw_ordinal());
    // SAFETY: both sides are as long, on the devices that are named, and ordered with the stream.
    scope.run(|stream| unsafe {
        result::mem::copy_peer_async(api, target, source, from.size_in_bytes(), stream)
    })
}
