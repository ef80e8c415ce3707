//! Parts of buffers, borrowed.

use std::ffi::c_void;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Bound, RangeBounds};

use super::{DeviceBuffer, DeviceElement, SharedBuffer};
use crate::safe::{Device, Error, MemoryError, Stream};

/// An address in device memory, as a number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct DevicePtr(pub u64);

impl DevicePtr {
    /// The address that no memory has.
    pub const NULL: Self = Self(0);

    /// The address `bytes` bytes further on.
    #[inline]
    #[must_use]
    pub const fn add(self, bytes: usize) -> Self {
        Self(self.0.wrapping_add(bytes as u64))
    }

    /// As the C interface has it.
    #[inline]
    pub fn as_raw(self) -> *mut c_void {
        std::ptr::with_exposed_provenance_mut(self.0 as usize)
    }
}

impl<T> From<*mut T> for DevicePtr {
    #[inline]
    fn from(address: *mut T) -> Self {
        Self(address.expose_provenance() as u64)
    }
}

impl<T> From<*const T> for DevicePtr {
    #[inline]
    fn from(address: *const T) -> Self {
        Self(address.expose_provenance() as u64)
    }
}

impl fmt::Debug for DevicePtr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// Where memory is, and the stream that uses of it are ordered with.
#[derive(Clone, Copy)]
pub(crate) struct Owner<'a> {
    pub(crate) device: &'a Device,
    /// `None` for memory that nothing writes.
    pub(crate) home: Option<&'a Stream>,
}

/// A part of a buffer for reading. Copies are the same part.
pub struct DeviceSlice<'a, T> {
    ptr: DevicePtr,
    len: usize,
    owner: Owner<'a>,
    element: PhantomData<&'a [T]>,
}

/// A part of a buffer for writing.
pub struct DeviceSliceMut<'a, T> {
    ptr: DevicePtr,
    len: usize,
    owner: Owner<'a>,
    element: PhantomData<&'a mut [T]>,
}

impl<T> Clone for DeviceSlice<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for DeviceSlice<'_, T> {}

/// The range `first..end` of `len` elements.
fn range(bounds: impl RangeBounds<usize>, len: usize) -> Result<(usize, usize), Error> {
    let first = match bounds.start_bound() {
        Bound::Included(&first) => first,
        Bound::Excluded(&before) => before.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match bounds.end_bound() {
        Bound::Included(&last) => last.saturating_add(1),
        Bound::Excluded(&end) => end,
        Bound::Unbounded => len,
    };
    if first <= end && end <= len {
        Ok((first, end))
    } else {
        Err(MemoryError::OutOfRange { first, end, len }.into())
    }
}

/// The number of `U` in `len` `T` at `ptr`.
fn recount<T, U>(ptr: DevicePtr, len: usize) -> Result<usize, Error> {
    let bytes = len * size_of::<T>();
    let aligned = (ptr.0 as usize).is_multiple_of(align_of::<U>());
    match bytes.checked_div(size_of::<U>()) {
        Some(count) if aligned && count * size_of::<U>() == bytes => Ok(count),
        _ => Err(MemoryError::Cast {
            bytes,
            ptr,
            size: size_of::<U>(),
            align: align_of::<U>(),
        }
        .into()),
    }
}

impl<'a, T: DeviceElement> DeviceSlice<'a, T> {
    #[inline]
    pub(crate) fn new(ptr: DevicePtr, len: usize, owner: Owner<'a>) -> Self {
        Self {
            ptr,
            len,
            owner,
            element: PhantomData,
        }
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

    /// The size in bytes.
    #[inline]
    pub fn size_in_bytes(&self) -> usize {
        self.len * size_of::<T>()
    }

    /// The address of the first element.
    #[inline]
    pub fn ptr(&self) -> DevicePtr {
        self.ptr
    }

    /// The device that the memory is on.
    pub fn device(&self) -> &'a Device {
        self.owner.device
    }

    #[inline]
    pub(crate) fn owner(&self) -> Owner<'a> {
        self.owner
    }

    /// A part of this part.
    ///
    /// # Errors
    /// [`MemoryError::OutOfRange`].
    pub fn slice(&self, bounds: impl RangeBounds<usize>) -> Result<Self, Error> {
        let (first, end) = range(bounds, self.len)?;
        Ok(Self::new(
            self.ptr.add(first * size_of::<T>()),
            end - first,
            self.owner,
        ))
    }

    /// The same bytes as elements of another type.
    ///
    /// # Errors
    /// [`MemoryError::Cast`] if the bytes are no whole number of them, or the address is not aligned for them.
    pub fn cast<U: DeviceElement>(&self) -> Result<DeviceSlice<'a, U>, Error> {
        Ok(DeviceSlice::new(
            self.ptr,
            recount::<T, U>(self.ptr, self.len)?,
            self.owner,
        ))
    }
}

impl<'a, T: DeviceElement> DeviceSliceMut<'a, T> {
    #[inline]
    pub(crate) fn new(ptr: DevicePtr, len: usize, owner: Owner<'a>) -> Self {
        Self {
            ptr,
            len,
            owner,
            element: PhantomData,
        }
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

    /// The size in bytes.
    #[inline]
    pub fn size_in_bytes(&self) -> usize {
        self.len * size_of::<T>()
    }

    /// The address of the first element.
    #[inline]
    pub fn ptr(&self) -> DevicePtr {
        self.ptr
    }

    /// The device that the memory is on.
    pub fn device(&self) -> &Device {
        self.owner.device
    }

    #[inline]
    pub(crate) fn owner(&self) -> Owner<'a> {
        self.owner
    }

    /// The same part for reading.
    pub fn as_slice(&self) -> DeviceSlice<'_, T> {
        DeviceSlice::new(self.ptr, self.len, self.owner)
    }

    /// The same part for a shorter time.
    pub fn reborrow(&mut self) -> DeviceSliceMut<'_, T> {
        DeviceSliceMut::new(self.ptr, self.len, self.owner)
    }

    /// A part of this part.
    ///
    /// # Errors
    /// [`MemoryError::OutOfRange`].
    pub fn slice_mut(
        &mut self,
        bounds: impl RangeBounds<usize>,
    ) -> Result<DeviceSliceMut<'_, T>, Error> {
        let (first, end) = range(bounds, self.len)?;
        Ok(DeviceSliceMut::new(
            self.ptr.add(first * size_of::<T>()),
            end - first,
            self.owner,
        ))
    }

    /// Two parts that do not overlap, the second starting at `middle`.
    ///
    /// # Errors
    /// [`MemoryError::OutOfRange`].
    pub fn split_at_mut(
        self,
        middle: usize,
    ) -> Result<(DeviceSliceMut<'a, T>, DeviceSliceMut<'a, T>), Error> {
        let (_, middle) = range(..middle, self.len)?;
        let second = self.ptr.add(middle * size_of::<T>());
        Ok((
            Self::new(self.ptr, middle, self.owner),
            Self::new(second, self.len - middle, self.owner),
        ))
    }

    /// The same bytes as elements of another type.
    ///
    /// # Errors
    /// [`MemoryError::Cast`] if the bytes are no whole number of them, or the address is not aligned for them.
    pub fn cast<U: DeviceElement>(self) -> Result<DeviceSliceMut<'a, U>, Error> {
        Ok(DeviceSliceMut::new(
            self.ptr,
            recount::<T, U>(self.ptr, self.len)?,
            self.owner,
        ))
    }
}

impl<'a, T: DeviceElement> From<&'a DeviceBuffer<T>> for DeviceSlice<'a, T> {
    #[inline]
    fn from(buffer: &'a DeviceBuffer<T>) -> Self {
        buffer.as_slice()
    }
}

impl<'a, T: DeviceElement> From<&'a SharedBuffer<T>> for DeviceSlice<'a, T> {
    #[inline]
    fn from(buffer: &'a SharedBuffer<T>) -> Self {
        buffer.as_slice()
    }
}

impl<'a, T: DeviceElement> From<&'a DeviceSliceMut<'_, T>> for DeviceSlice<'a, T> {
    #[inline]
    fn from(slice: &'a DeviceSliceMut<'_, T>) -> Self {
        slice.as_slice()
    }
}

impl<'a, T: DeviceElement> From<DeviceSliceMut<'a, T>> for DeviceSlice<'a, T> {
    #[inline]
    fn from(slice: DeviceSliceMut<'a, T>) -> Self {
        Self::new(slice.ptr, slice.len, slice.owner)
    }
}

impl<'a, T: DeviceElement> From<&'a DeviceSlice<'_, T>> for DeviceSlice<'a, T> {
    #[inline]
    fn from(slice: &'a DeviceSlice<'_, T>) -> Self {
        *slice
    }
}

impl<'a, T: DeviceElement> From<&'a mut DeviceBuffer<T>> for DeviceSliceMut<'a, T> {
    #[inline]
    fn from(buffer: &'a mut DeviceBuffer<T>) -> Self {
        buffer.as_slice_mut()
    }
}

impl<'a, T: DeviceElement> From<&'a mut DeviceSliceMut<'_, T>> for DeviceSliceMut<'a, T> {
    #[inline]
    fn from(slice: &'a mut DeviceSliceMut<'_, T>) -> Self {
        slice.reborrow()
    }
}

impl<T> fmt::Debug for DeviceSlice<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "DeviceSlice<{}>({:?}, {})",
            std::any::type_name::<T>(),
            self.ptr,
            self.len
        )
    }
}

impl<T> fmt::Debug for DeviceSliceMut<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "DeviceSliceMut<{}>({:?}, {})",
            std::any::type_name::<T>(),
            self.ptr,
            self.len
        )
    }
}
