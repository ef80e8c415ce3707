//! Quantized weights in device memory, with the padding that the kernels need.
//!
//! The kernels read whole tiles, so they read past the end of a matrix whose rows are not as long as a tile. This is the
//! only place that knows how far: 512 elements' worth of blocks, and that the bytes there are zero, which makes what is
//! read there count nothing.

use std::fmt;

use super::GgmlType;
use super::error::{GgufError, Operation};
use super::plan::{self, ROW_PADDING};
use crate::safe::{Device, DevicePtr, DeviceSlice, Error, MemoryError, SharedBuffer, Stream};

/// Bytes that `bytes` bytes of blocks take in device memory, padding included. The padding has to be zero.
///
/// # Errors
/// [`GgufError::PartialBlock`], or that the size is more than an address can name.
pub fn padded_size(dtype: GgmlType, bytes: usize) -> Result<usize, Error> {
    let Some(_) = dtype.elements_in(bytes) else {
        return Err(GgufError::PartialBlock { dtype, bytes }.into());
    };
    let padding = ROW_PADDING.div_ceil(dtype.block_size()) * dtype.type_size();
    let padded = bytes
        .checked_add(padding)
        .filter(|padded| isize::try_from(*padded).is_ok());
    Ok(padded.ok_or(MemoryError::TooLarge {
        len: bytes,
        size: 1,
    })?)
}

/// Bytes of `rows` rows of `columns` activations as Q8_1, each row padded to a multiple of 512 columns.
///
/// # Errors
/// [`GgufError::TooLarge`] for more columns than the kernels can count.
pub fn q8_1_size(rows: usize, columns: usize) -> Result<usize, GgufError> {
    let operation = Operation::QuantizeQ8_1;
    let row = plan::q8_1_row_bytes(operation, columns)?;
    row.checked_mul(rows).ok_or(GgufError::TooLarge {
        operation,
        what: "bytes of quantized activations",
        value: usize::MAX,
        limit: isize::MAX.cast_unsigned(),
    })
}

/// Quantized weights in device memory. Nothing writes them any more, so that any number of streams may use them at once.
/// Cloning makes another handle to the same memory.
#[derive(Clone)]
pub struct Weights {
    dtype: GgmlType,
    /// Without padding.
    bytes: usize,
    data: SharedBuffer<u8>,
}

impl Weights {
    /// Copies blocks to the device, and waits for the copy.
    ///
    /// # Errors
    /// [`GgufError::PartialBlock`], or what the library answers.
    pub fn upload(stream: &Stream, dtype: GgmlType, blocks: &[u8]) -> Result<Self, Error> {
        Self::build(stream, dtype, blocks.len(), |stream, data| {
            stream.memcpy_htod(blocks, data)
        })
    }

    /// Weights of zero bytes for `elements` elements, rounded up to whole blocks.
    ///
    /// # Errors
    /// That the size is more than an address can name, or what the library answers.
    pub fn zeros(stream: &Stream, dtype: GgmlType, elements: usize) -> Result<Self, Error> {
        let blocks = elements.div_ceil(dtype.block_size());
        let (len, size) = (blocks, dtype.type_size());
        let bytes = len
            .checked_mul(size)
            .ok_or(MemoryError::TooLarge { len, size })?;
        Self::build(stream, dtype, bytes, |stream, data| {
            stream.memset_zeros(data)
        })
    }

    /// Copies blocks that are in device memory.
    ///
    /// # Errors
    /// [`GgufError::PartialBlock`], or what the library answers.
    pub fn copy_of<'a>(
        stream: &Stream,
        dtype: GgmlType,
        blocks: impl Into<DeviceSlice<'a, u8>>,
    ) -> Result<Self, Error> {
        let blocks = blocks.into();
        Self::build(stream, dtype, blocks.len(), |stream, data| {
            stream.memcpy_dtod(blocks, data)
        })
    }

    fn build(
        stream: &Stream,
        dtype: GgmlType,
        bytes: usize,
        fill: impl FnOnce(&Stream, crate::safe::DeviceSliceMut<'_, u8>) -> Result<(), Error>,
    ) -> Result<Self, Error> {
        // SAFETY: both halves are written before anything reads them.
        let mut data = unsafe { stream.alloc::<u8>(padded_size(dtype, bytes)?) }?;
        let (blocks, mut padding) = data.as_slice_mut().split_at_mut(bytes)?;
        stream.memset_zeros(&mut padding)?;
        fill(stream, blocks)?;
        Ok(Self {
            dtype,
            bytes,
            data: data.into_shared()?,
        })
    }

    /// The type of the blocks.
    #[inline]
    pub fn dtype(&self) -> GgmlType {
        self.dtype
    }

    /// The device that the weights are on.
    pub fn device(&self) -> &Device {
        self.data.device()
    }

    /// The size in bytes, without padding.
    #[inline]
    pub fn size_in_bytes(&self) -> usize {
        self.bytes
    }

    /// The number of elements.
    #[inline]
    pub fn elements(&self) -> usize {
        self.bytes / self.dtype.type_size() * self.dtype.block_size()
    }

    /// The blocks, without padding.
    ///
    /// # Errors
    /// None that can happen: the range is inside of the memory.
    pub fn blocks(&self) -> Result<DeviceSlice<'_, u8>, Error> {
        self.data.slice(..self.bytes)
    }

    /// The address of the first block.
    #[inline]
    pub fn ptr(&self) -> DevicePtr {
        self.data.ptr()
    }

    /// A copy of the blocks in host memory.
    ///
    /// # Errors
    /// What the library answers.
    pub fn download(&self, stream: &Stream) -> Result<Vec<u8>, Error> {
        stream.clone_dtoh(self.blocks()?)
    }
}

impl fmt::Debug for Weights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Weights({}, {} elements at {:?})",
            self.dtype,
            self.elements(),
            self.ptr()
        )
    }
}
