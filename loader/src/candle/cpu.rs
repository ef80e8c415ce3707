//! What candle-core computes on the CPU for the device: quantization, and the types that have no kernels.

use std::borrow::Cow;

use candle_core::quantized::{GgmlDType, QuantizedType};
use candle_core::{CpuStorage, bail};

/// The bytes of quantized elements.
fn bytes(blocks: &dyn QuantizedType) -> Vec<u8> {
    // SAFETY: candle gives the address of its blocks and their size; blocks are structures of integers without padding.
    unsafe { std::slice::from_raw_parts(blocks.as_ptr(), blocks.storage_size_in_bytes()) }.to_vec()
}

/// Candle asserts this in debug builds and computes nonsense in others.
fn whole_blocks(elements: usize, dtype: GgmlDType) -> candle_core::Result<()> {
    if !elements.is_multiple_of(dtype.block_size()) {
        bail!(
            "{elements} elements are no whole number of {dtype:?} blocks of {}",
            dtype.block_size()
        )
    }
    Ok(())
}

pub(super) fn quantize(elements: &[f32], dtype: GgmlDType) -> candle_core::Result<Vec<u8>> {
    whole_blocks(elements.len(), dtype)?;
    let mut blocks = dtype.cpu_zeros(elements.len());
    blocks.from_float(elements);
    Ok(bytes(&*blocks))
}

pub(super) fn quantize_imatrix(
    elements: &[f32],
    weights: &[f32],
    per_row: usize,
    dtype: GgmlDType,
) -> candle_core::Result<Vec<u8>> {
    use GgmlDType::{Q2K, Q3K, Q4K, Q5K, Q6K};

    whole_blocks(elements.len(), dtype)?;
    if !matches!(dtype, Q2K | Q3K | Q4K | Q5K | Q6K) {
        bail!("{dtype:?} cannot be quantized with an imatrix; Q2K, Q3K, Q4K, Q5K and Q6K can")
    }
    // The importance of each column: candle reads one block's worth for each block of a row.
    if per_row == 0 || weights.len() != per_row || !elements.len().is_multiple_of(per_row) {
        bail!(
            "an imatrix of {} weights for rows of {per_row} elements, {} elements in all",
            weights.len(),
            elements.len()
        )
    }
    whole_blocks(per_row, dtype)?;
    let mut blocks = dtype.cpu_zeros(elements.len());
    blocks.from_float_imatrix(elements, weights, per_row);
    Ok(bytes(&*blocks))
}

pub(super) fn dequantize(
    blocks: &[u8],
    elements: usize,
    dtype: GgmlDType,
) -> candle_core::Result<Vec<f32>> {
    // Candle wants the bytes of a `Vec` of blocks, aligned for them; a copy in 64-bit words is.
    let mut words = vec![0_u64; blocks.len().div_ceil(size_of::<u64>())];
    // SAFETY: the words have at least as many bytes, which may have any value.
    let aligned =
        unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast::<u8>(), blocks.len()) };
    aligned.copy_from_slice(blocks);
    match dtype
        .from_data(Cow::Borrowed(aligned))
        .dequantize(elements)?
    {
        CpuStorage::F32(elements) => Ok(elements),
        other => bail!("candle dequantized {dtype:?} to something else than f32: {other:?}"),
    }
}
