//! The shapes of launches: arithmetic without a device.
//!
//! Shapes are those of candle-core 0.11.1's `quantized/cuda.rs`. Where a size does not fit into one launch, an operation
//! becomes several, each on a part of its rows: a grid has at most 65,535 blocks in its second and third dimension, and
//! the kernels count elements in 32 bits with a sign.

use super::error::{GgufError, Operation};
use super::geometry::{Tile, WARP_SIZE};
use super::types::{Dequantize, GetRows, GgmlType};
use crate::safe::LaunchConfig;

/// Weights and activations are padded to a multiple of this many elements: the kernels read whole tiles. Weights get this
/// many elements more at their end, each row of quantized activations is rounded up to a multiple.
pub const ROW_PADDING: usize = 512;

/// Work-items of a block of `quantize_q8_1`.
pub(crate) const QUANTIZE_BLOCK: u32 = 256;
/// Blocks of a grid in its second and third dimension.
pub(crate) const MAX_GRID_YZ: usize = 65_535;
/// The most rows that the `mul_mat_vec_*` kernels take at once.
pub const MAX_VEC_BATCH: usize = 8;
/// What the kernels count up to.
const MAX_INT: usize = i32::MAX as usize;
/// Elements that one launch dequantizes: a multiple of every block's, half of what the kernels can count.
const DEQUANTIZE_CHUNK: usize = 1 << 30;

/// A part of an operation: one launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The first of the rows, elements or ids that the launch is for.
    pub first: usize,
    /// How many.
    pub count: usize,
    /// The shape of the launch.
    pub config: LaunchConfig,
}

/// `total` in parts of at most `most`.
fn parts(
    total: usize,
    most: usize,
    config: impl Fn(usize) -> LaunchConfig,
) -> impl Iterator<Item = Part> {
    (0..total).step_by(most.max(1)).map(move |first| {
        let count = most.min(total - first);
        Part {
            first,
            count,
            config: config(count),
        }
    })
}

/// A number that a kernel takes as a 32-bit integer with a sign.
pub(crate) fn int(
    operation: Operation,
    what: &'static str,
    value: usize,
) -> Result<i32, GgufError> {
    i32::try_from(value).map_err(|_| GgufError::TooLarge {
        operation,
        what,
        value,
        limit: MAX_INT,
    })
}

/// `columns` rounded up to a multiple of [`ROW_PADDING`].
pub(crate) fn padded(operation: Operation, columns: usize) -> Result<usize, GgufError> {
    let padded = columns
        .checked_next_multiple_of(ROW_PADDING)
        .unwrap_or(usize::MAX);
    int(operation, "columns", padded)?;
    Ok(padded)
}

/// Bytes of a row of `columns` activations as Q8_1.
pub(crate) fn q8_1_row_bytes(operation: Operation, columns: usize) -> Result<usize, GgufError> {
    let (size, bytes) = (GgmlType::Q8_1.block_size(), GgmlType::Q8_1.type_size());
    Ok(padded(operation, columns)? / size * bytes)
}

/// `quantize_q8_1` of `rows` rows: parts of rows.
pub(crate) fn quantize_q8_1(
    rows: usize,
    columns: usize,
) -> Result<impl Iterator<Item = Part>, GgufError> {
    let padded = padded(Operation::QuantizeQ8_1, columns)?;
    let grid = padded.div_ceil(QUANTIZE_BLOCK as usize) as u32;
    // The kernel counts the elements of all its rows.
    let most = MAX_GRID_YZ.min(MAX_INT / padded.max(1));
    let config = move |rows| LaunchConfig::new([grid, rows as u32, 1], [QUANTIZE_BLOCK, 1, 1]);
    Ok(parts(if padded == 0 { 0 } else { rows }, most, config))
}

/// `dequantize_block_*` of `elements` elements: parts of elements.
pub(crate) fn dequantize(
    facts: &'static Dequantize,
    elements: usize,
) -> impl Iterator<Item = Part> {
    parts(elements, DEQUANTIZE_CHUNK, move |count| {
        LaunchConfig::new(
            [count.div_ceil(facts.elements) as u32, 1, 1],
            [facts.block, 1, 1],
        )
    })
}

/// `get_rows_*` of `ids` rows of `columns` elements: parts of ids, each for the same parts of columns.
pub(crate) fn get_rows(
    facts: &'static GetRows,
    ids: usize,
    columns: usize,
) -> impl Iterator<Item = (Part, Part)> {
    // The first dimension of a grid counts work-items in 32 bits.
    let most_ids = (u32::MAX / facts.block) as usize;
    let most_blocks = if facts.strides {
        usize::MAX
    } else {
        MAX_GRID_YZ
    };
    let most_columns = most_blocks.saturating_mul(facts.elements);
    parts(columns, most_columns, |_| LaunchConfig::new([1; 3], [1; 3])).flat_map(move |columns| {
        let blocks = columns.count.div_ceil(facts.elements).min(MAX_GRID_YZ) as u32;
        parts(ids, most_ids, move |ids| {
            LaunchConfig::new([ids as u32, blocks, 1], [facts.block, 1, 1])
        })
        .map(move |ids| (ids, columns))
    })
}

/// `dequantize_mul_mat_vec_*` for one row of activations: parts of the rows of weights.
pub(crate) fn dequantize_mul_mat_vec(rows: usize, columns: usize) -> impl Iterator<Item = Part> {
    // The kernel counts the elements of all its rows.
    let most = (MAX_INT / columns.max(1)).min((u32::MAX / WARP_SIZE) as usize);
    parts(rows, most, |rows| {
        LaunchConfig::new([rows as u32, 1, 1], [WARP_SIZE, 1, 1])
    })
}

/// `mul_mat_vec_*_q8_1_cuda<batch>`: parts of the rows of weights.
pub(crate) fn mul_mat_vec(rows: usize, batch: usize) -> impl Iterator<Item = Part> {
    let (rows_per_block, warps) = match batch {
        1 => (1, 4),
        2..=4 => (2, 4),
        _ => (2, 2),
    };
    // An even number, so that only the last part has a block with one row.
    const MOST: usize = 1 << 26;
    parts(rows, MOST, move |rows| {
        LaunchConfig::new(
            [rows.div_ceil(rows_per_block) as u32, 1, 1],
            [WARP_SIZE, warps, 1],
        )
    })
}

/// `mul_mat_*`: parts of the rows of activations.
pub(crate) fn mul_mat(
    tile: Tile,
    rows: usize,
    columns: usize,
    batch: usize,
) -> Result<impl Iterator<Item = Part>, GgufError> {
    let operation = Operation::MulMat;
    int(operation, "rows", rows)?;
    let padded = padded(operation, columns)?;
    let x = tile.x as usize;
    // The kernel counts the elements of its output, and the blocks of its activations.
    let countable = (MAX_INT / rows.max(1)).min(MAX_INT / (padded / 32).max(1));
    let most = (MAX_GRID_YZ * x).min(countable);
    let most = if most > x { most - most % x } else { most };
    let grid = rows.div_ceil(tile.y as usize) as u32;
    Ok(parts(batch, most, move |batch| {
        LaunchConfig::new(
            [grid, batch.div_ceil(x) as u32, 1],
            [WARP_SIZE, tile.warps, 1],
        )
    }))
}

/// `indexed_moe_forward_*`: parts of the batch.
pub(crate) fn indexed_moe(
    rows: usize,
    columns: usize,
    batch: usize,
    topk: usize,
) -> Result<impl Iterator<Item = Part>, GgufError> {
    let operation = Operation::IndexedMoe;
    // The kernel counts the elements of one expert.
    int(
        operation,
        "elements of an expert",
        rows.saturating_mul(columns),
    )?;
    padded(operation, columns)?;
    if topk > MAX_GRID_YZ {
        let (what, limit) = ("experts of a token", MAX_GRID_YZ);
        return Err(GgufError::TooLarge {
            operation,
            what,
            value: topk,
            limit,
        });
    }
    Ok(parts(batch, MAX_GRID_YZ, move |batch| {
        LaunchConfig::new([rows as u32, batch as u32, topk as u32], [WARP_SIZE, 4, 1])
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shapes(parts: impl Iterator<Item = Part>) -> Vec<(usize, usize, [u32; 3], [u32; 3])> {
        parts
            .map(|part| (part.first, part.count, part.config.grid, part.config.block))
            .collect()
    }

    #[test]
    fn rows_past_the_grid_are_quantized_in_parts_as_candle_does() {
        let whole = shapes(quantize_q8_1(8, 768).unwrap());
        assert_eq!(whole, [(0, 8, [4, 8, 1], [256, 1, 1])]);
        let parts = shapes(quantize_q8_1(65_536, 32).unwrap());
        assert_eq!(
            parts,
            [
                (0, 65_535, [2, 65_535, 1], [256, 1, 1]),
                (65_535, 1, [2, 1, 1], [256, 1, 1])
            ]
        );
        assert!(shapes(quantize_q8_1(0, 32).unwrap()).is_empty());
        assert!(shapes(quantize_q8_1(7, 0).unwrap()).is_empty());
    }

    #[test]
    fn no_part_has_more_elements_than_the_kernels_can_count() {
        for part in quantize_q8_1(100_000, 65_536).unwrap() {
            assert!(part.count * 65_536 <= MAX_INT);
        }
        for part in dequantize_mul_mat_vec(262_144, 16_384) {
            assert!(part.count * 16_384 <= MAX_INT);
        }
        let tile = Tile {
            x: 64,
            y: 128,
            warps: 4,
        };
        let parts: Vec<_> = mul_mat(tile, 262_144, 4096, 20_000).unwrap().collect();
        assert!(parts.iter().all(|part| part.count * 262_144 <= MAX_INT));
        assert!(parts.iter().all(|part| part.first % 64 == 0));
        assert_eq!(parts.iter().map(|part| part.count).sum::<usize>(), 20_000);
        assert!(quantize_q8_1(1, MAX_INT).is_err());
        assert!(indexed_moe(65_536, 32_768, 1, 1).is_err());
        assert!(indexed_moe(64, 64, 1, 65_536).is_err());
    }

    #[test]
    fn launches_have_candles_shapes() {
        let vec = |batch| shapes(mul_mat_vec(39, batch)).pop().unwrap();
        assert_eq!(vec(1), (0, 39, [39, 1, 1], [32, 4, 1]));
        assert_eq!(vec(2), (0, 39, [20, 1, 1], [32, 4, 1]));
        assert_eq!(vec(4), (0, 39, [20, 1, 1], [32, 4, 1]));
        assert_eq!(vec(5), (0, 39, [20, 1, 1], [32, 2, 1]));
        assert_eq!(vec(8), (0, 39, [20, 1, 1], [32, 2, 1]));
        let tile = Tile {
            x: 64,
            y: 128,
            warps: 4,
        };
        let matrix = shapes(mul_mat(tile, 150, 512, 70).unwrap());
        assert_eq!(matrix, [(0, 70, [2, 2, 1], [32, 4, 1])]);
        let facts = |dtype: GgmlType| dtype.facts().dequantize.as_ref().unwrap();
        let whole = |dtype| shapes(dequantize(facts(dtype), 3840)).pop().unwrap();
        assert_eq!(whole(GgmlType::Q4_0), (0, 3840, [15, 1, 1], [32, 1, 1]));
        assert_eq!(whole(GgmlType::Q5_1), (0, 3840, [8, 1, 1], [256, 1, 1]));
        assert_eq!(whole(GgmlType::Q6K), (0, 3840, [15, 1, 1], [64, 1, 1]));
    }

    #[test]
    fn wide_rows_stride_where_the_kernel_can_and_are_cut_where_it_cannot() {
        let facts = |dtype: GgmlType| dtype.facts().get_rows.as_ref().unwrap();
        let wide = 70_000 * 512;
        let parts: Vec<_> = get_rows(facts(GgmlType::Q4_0), 3, wide).collect();
        assert_eq!(parts.len(), 1);
        assert_eq!(parts[0].0.config.grid, [3, 65_535, 1]);
        let parts: Vec<_> = get_rows(facts(GgmlType::Q4K), 3, 70_000 * 256).collect();
        assert_eq!(parts.len(), 2);
        assert_eq!(parts[1].1.first, 65_535 * 256);
        assert_eq!(parts[1].0.config.grid, [3, 70_000 - 65_535, 1]);
        assert_eq!(get_rows(facts(GgmlType::Q4K), 0, 256).count(), 0);
    }
}
