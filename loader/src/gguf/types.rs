//! The GGML types: one row of a table each.
//!
//! The figures are those of candle-core 0.11.1 (`quantized/mod.rs`, `quantized/cuda.rs`) and of the kernels of
//! candle-kernels 0.11.1 (`quantized.cu`). Everything that differs between types stands here and nowhere else.

use std::fmt;
use std::str::FromStr;

use super::geometry::{Family, Tile};

/// A type of GGML tensors, spelled as candle's `GgmlDType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum GgmlType {
    F32,
    F16,
    BF16,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q8_1,
    Q2K,
    Q3K,
    Q4K,
    Q5K,
    Q6K,
    Q8K,
}

/// What is the same for all tensors of a type.
#[derive(Debug)]
pub(crate) struct TypeFacts {
    pub(crate) dtype: GgmlType,
    /// The name as candle spells it.
    pub(crate) name: &'static str,
    /// The number in a GGUF file.
    pub(crate) ggml: u32,
    /// Elements of a block.
    pub(crate) block_size: usize,
    /// Bytes of a block.
    pub(crate) type_size: usize,
    /// The type's part of most symbols, `q4_K` in `mul_mat_q4_K`.
    pub(crate) symbol: &'static str,
    pub(crate) dequantize: Option<Dequantize>,
    pub(crate) get_rows: Option<GetRows>,
    pub(crate) dequantize_mul_mat_vec: Option<DequantizeMulMatVec>,
    pub(crate) mul_mat: Option<MulMat>,
    /// The type's part of the symbol of `indexed_moe_forward`.
    pub(crate) indexed_moe: Option<&'static str>,
}

/// How `dequantize_block_*` is launched.
#[derive(Debug)]
pub(crate) struct Dequantize {
    /// Work-items of a block.
    pub(crate) block: u32,
    /// Elements that a block writes.
    pub(crate) elements: usize,
    /// The third argument.
    pub(crate) count: Count,
}

/// What `dequantize_block_*` is told about the size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    /// Nothing: the grid says it.
    None,
    /// The number of blocks of 32 elements.
    Blocks,
    /// The number of elements.
    Elements,
}

/// How `get_rows_*` is launched.
#[derive(Debug)]
pub(crate) struct GetRows {
    /// Work-items of a block.
    pub(crate) block: u32,
    /// Elements of a row that a block writes.
    pub(crate) elements: usize,
    /// Whether a block goes on with the elements that a grid of fewer blocks leaves.
    pub(crate) strides: bool,
}

/// How `dequantize_mul_mat_vec_*` is launched.
#[derive(Debug)]
pub(crate) struct DequantizeMulMatVec {
    /// What follows `dequantize_mul_mat_vec_` in the symbol.
    pub(crate) symbol: &'static str,
    /// Whether the number of rows is an argument.
    pub(crate) takes_rows: bool,
}

/// The tiles of `mul_mat_*`.
#[derive(Debug)]
pub(crate) struct MulMat {
    /// The tile for each family, in the order of [`Family::ALL`].
    pub(crate) tiles: [Tile; Family::COUNT],
    /// LDS that a row of weights takes in a tile, in 32-bit words, times 32.
    pub(crate) row_words_x32: u32,
}

const fn tile(x: u32, y: u32, warps: u32) -> Tile {
    Tile { x, y, warps }
}

/// A type, its name, its number in a GGUF file.
type Identity = (GgmlType, &'static str, u32);

/// A row for a type that has no kernels but `get_rows`, or none at all.
const fn plain(
    (dtype, name, ggml): Identity,
    (block_size, type_size): (usize, usize),
    symbol: &'static str,
    has_rows: bool,
) -> TypeFacts {
    TypeFacts {
        dtype,
        name,
        ggml,
        block_size,
        type_size,
        symbol,
        dequantize: None,
        get_rows: if has_rows {
            Some(GetRows {
                block: 256,
                elements: 256,
                strides: true,
            })
        } else {
            None
        },
        dequantize_mul_mat_vec: None,
        mul_mat: None,
        indexed_moe: None,
    }
}

/// A row for a type with blocks of 32 elements.
const fn simple(
    (dtype, name, ggml): Identity,
    type_size: usize,
    (symbol, vec_symbol): (&'static str, &'static str),
    dequantize: Dequantize,
    (tiles, row_words_x32): ([Tile; Family::COUNT], u32),
    indexed_moe: Option<&'static str>,
) -> TypeFacts {
    TypeFacts {
        dtype,
        name,
        ggml,
        block_size: 32,
        type_size,
        symbol,
        dequantize: Some(dequantize),
        get_rows: Some(GetRows {
            block: 256,
            elements: 512,
            strides: true,
        }),
        dequantize_mul_mat_vec: Some(DequantizeMulMatVec {
            symbol: vec_symbol,
            takes_rows: true,
        }),
        mul_mat: Some(MulMat {
            tiles,
            row_words_x32,
        }),
        indexed_moe,
    }
}

/// A row for a K-quant: blocks of 256 elements.
const fn k_quant(
    (dtype, name, ggml): Identity,
    type_size: usize,
    (symbol, vec_symbol, takes_rows): (&'static str, &'static str, bool),
    threads: u32,
    (tiles, row_words_x32): ([Tile; Family::COUNT], u32),
    indexed_moe: &'static str,
) -> TypeFacts {
    TypeFacts {
        dtype,
        name,
        ggml,
        block_size: 256,
        type_size,
        symbol,
        dequantize: Some(Dequantize {
            block: threads,
            elements: 256,
            count: Count::None,
        }),
        get_rows: Some(GetRows {
            block: threads,
            elements: 256,
            strides: false,
        }),
        dequantize_mul_mat_vec: Some(DequantizeMulMatVec {
            symbol: vec_symbol,
            takes_rows,
        }),
        mul_mat: Some(MulMat {
            tiles,
            row_words_x32,
        }),
        indexed_moe: Some(indexed_moe),
    }
}

/// One warp for eight blocks.
const BY_BLOCKS: Dequantize = Dequantize {
    block: 32,
    elements: 256,
    count: Count::Blocks,
};
/// Two elements a work-item.
const BY_ELEMENTS: Dequantize = Dequantize {
    block: 256,
    elements: 512,
    count: Count::Elements,
};

// The tiles of a row are those of the default, of RDNA2 and later, and of RDNA1.
#[rustfmt::skip]
static TYPES: [TypeFacts; 15] = {
    use GgmlType::*;
    [
        plain((F32, "F32", 0), (1, 4), "f32", true),
        plain((F16, "F16", 1), (1, 2), "f16", true),
        plain((BF16, "BF16", 30), (1, 2), "bf16", true),
        simple((Q4_0, "Q4_0", 2), 18, ("q4_0", "q4_0_cuda"), BY_BLOCKS,
            ([tile(64, 128, 4), tile(64, 128, 8), tile(64, 64, 8)], 1320), None),
        simple((Q4_1, "Q4_1", 3), 20, ("q4_1", "q4_1_cuda"), BY_BLOCKS,
            ([tile(64, 128, 4), tile(64, 128, 8), tile(64, 64, 8)], 1320), None),
        simple((Q5_0, "Q5_0", 6), 22, ("q5_0", "q5_0_cuda"), BY_ELEMENTS,
            ([tile(128, 64, 4), tile(64, 128, 8), tile(64, 64, 8)], 2344), None),
        simple((Q5_1, "Q5_1", 7), 24, ("q5_1", "q5_1_cuda"), BY_ELEMENTS,
            ([tile(128, 64, 4), tile(64, 128, 8), tile(64, 64, 8)], 2344), None),
        simple((Q8_0, "Q8_0", 8), 34, ("q8_0", "q8_0_cuda"), BY_BLOCKS,
            ([tile(128, 64, 4), tile(64, 128, 8), tile(64, 64, 8)], 1188), Some("q8_0")),
        plain((Q8_1, "Q8_1", 9), (32, 36), "q8_1", false),
        k_quant((Q2K, "Q2K", 10), 84, ("q2_K", "q2_k", true), 64,
            ([tile(64, 128, 4), tile(64, 128, 8), tile(128, 32, 8)], 1386), "q2k"),
        k_quant((Q3K, "Q3K", 11), 110, ("q3_K", "q3_k", true), 64,
            ([tile(128, 128, 4), tile(128, 64, 8), tile(32, 128, 8)], 1914), "q3k"),
        k_quant((Q4K, "Q4K", 12), 144, ("q4_K", "q4_k", true), 32,
            ([tile(64, 128, 4), tile(64, 128, 8), tile(32, 64, 8)], 1221), "q4k"),
        k_quant((Q5K, "Q5K", 13), 176, ("q5_K", "q5_k", false), 64,
            ([tile(64, 128, 4), tile(64, 128, 8), tile(32, 64, 8)], 2245), "q5k"),
        k_quant((Q6K, "Q6K", 14), 210, ("q6_K", "q6_k", true), 64,
            ([tile(64, 64, 4), tile(64, 128, 8), tile(32, 64, 8)], 2245), "q6k"),
        TypeFacts {
            dequantize: Some(Dequantize { block: 32, elements: 256, count: Count::None }),
            ..plain((Q8K, "Q8K", 15), (256, 292), "q8_K", false)
        },
    ]
};

impl GgmlType {
    /// The number of types.
    pub const COUNT: usize = TYPES.len();

    /// All types, in the order of candle's `GgmlDType`.
    pub const ALL: [Self; Self::COUNT] = {
        use GgmlType::*;
        [
            F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q8_1, Q2K, Q3K, Q4K, Q5K, Q6K, Q8K,
        ]
    };

    #[inline]
    pub(crate) fn facts(self) -> &'static TypeFacts {
        &TYPES[self as usize]
    }

    /// The type with this number in a GGUF file.
    pub fn from_ggml(number: u32) -> Option<Self> {
        TYPES
            .iter()
            .find(|facts| facts.ggml == number)
            .map(|facts| facts.dtype)
    }

    /// The number of the type in a GGUF file.
    pub fn ggml(self) -> u32 {
        self.facts().ggml
    }

    /// Elements of a block: 1, 32 or 256.
    #[inline]
    pub fn block_size(self) -> usize {
        self.facts().block_size
    }

    /// Bytes of a block.
    #[inline]
    pub fn type_size(self) -> usize {
        self.facts().type_size
    }

    /// The name as candle spells it.
    pub fn name(self) -> &'static str {
        self.facts().name
    }

    /// The type's part of most kernel symbols, `q4_K` in `mul_mat_q4_K`.
    pub fn symbol(self) -> &'static str {
        self.facts().symbol
    }

    /// Bytes of `elements` elements, `None` if they are no whole number of blocks or more than an address can name.
    #[inline]
    pub fn size_in_bytes(self, elements: usize) -> Option<usize> {
        let facts = self.facts();
        if !elements.is_multiple_of(facts.block_size) {
            return None;
        }
        (elements / facts.block_size).checked_mul(facts.type_size)
    }

    /// Elements of `bytes` bytes, `None` if they are no whole number of blocks.
    #[inline]
    pub fn elements_in(self, bytes: usize) -> Option<usize> {
        let facts = self.facts();
        if !bytes.is_multiple_of(facts.type_size) {
            return None;
        }
        (bytes / facts.type_size).checked_mul(facts.block_size)
    }
}

impl fmt::Display for GgmlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A text that names no GGML type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no GGML type")]
pub struct UnknownType(pub String);

impl FromStr for GgmlType {
    type Err = UnknownType;

    /// Reads `Q4K` as candle writes it, `q4_K` as a kernel's symbol does, and any mixture of cases.
    fn from_str(text: &str) -> Result<Self, UnknownType> {
        let is = |facts: &&TypeFacts| {
            facts.name.eq_ignore_ascii_case(text) || facts.symbol.eq_ignore_ascii_case(text)
        };
        TYPES
            .iter()
            .find(is)
            .map(|facts| facts.dtype)
            .ok_or_else(|| UnknownType(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_where_their_type_finds_them() {
        for (dtype, facts) in GgmlType::ALL.into_iter().zip(&TYPES) {
            assert_eq!(dtype, facts.dtype);
            assert_eq!(dtype.facts().dtype, dtype);
            assert_eq!(GgmlType::from_ggml(dtype.ggml()), Some(dtype));
            assert_eq!(dtype.name().parse(), Ok(dtype));
            assert_eq!(dtype.symbol().parse(), Ok(dtype));
            assert_eq!(format!("{dtype:?}"), dtype.name());
        }
        assert!("q4".parse::<GgmlType>().is_err());
        assert_eq!(GgmlType::from_ggml(4), None);
    }

    #[test]
    fn sizes_are_whole_blocks() {
        assert_eq!(GgmlType::Q4K.size_in_bytes(512), Some(288));
        assert_eq!(GgmlType::Q4K.size_in_bytes(300), None);
        assert_eq!(GgmlType::Q8_0.size_in_bytes(usize::MAX - 31), None);
        assert_eq!(GgmlType::Q6K.elements_in(420), Some(512));
        assert_eq!(GgmlType::Q6K.elements_in(421), None);
    }
}
