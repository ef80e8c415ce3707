//! Which tile a `mul_mat_*` kernel was compiled with.
//!
//! The matrix kernels multiply tiles of `y` rows of weights by `x` columns of activations with `warps` warps of 32
//! work-items. The numbers are compiled in, and a launch with others computes nonsense, so the loader has to know them.
//! `quantized.cu` carries several sets: CUDA is built with the one it calls *Ampere*, and HIP sources may be generated with
//! the one for RDNA2 and later or the one for RDNA1.
//!
//! The loader does not ask how a bundle was built. It reads two facts of the kernel from the code object:
//!
//! | fact | says |
//! |---|---|
//! | `group_segment_fixed_size` | the LDS of both tiles: 4 bytes times (`y` rows of the weight tile + 36 words for each of the `x` columns), which names `x` and `y` |
//! | `max_flat_workgroup_size` | 32 times `warps`, where the kernel has `__launch_bounds__(WARP_SIZE * nwarps)` |
//!
//! A kernel without launch bounds has the compiler's 1,024; then the LDS alone must name the tile. Facts that no family
//! explains, or that several with different tiles do, are an error: a guess would be silent nonsense.

use std::fmt;

use super::types::MulMat;

/// Work-items of a warp in the sense of the kernels, whatever the wavefront size of the device is.
pub const WARP_SIZE: u32 = 32;

/// A set of tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// The set that CUDA is built with.
    Default,
    /// RDNA2 and later.
    Rdna2,
    /// RDNA1.
    Rdna1,
}

impl Family {
    pub(crate) const COUNT: usize = 3;

    /// All sets, in the order in which they are tried.
    pub const ALL: [Self; Self::COUNT] = [Self::Default, Self::Rdna2, Self::Rdna1];
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Default => "default",
            Self::Rdna2 => "RDNA2",
            Self::Rdna1 => "RDNA1",
        })
    }
}

/// A tile of a matrix kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tile {
    /// Columns of activations, rows of the batch.
    pub x: u32,
    /// Rows of weights.
    pub y: u32,
    /// Warps of a block.
    pub warps: u32,
}

impl Tile {
    /// Work-items of a block.
    pub const fn block(self) -> u32 {
        WARP_SIZE * self.warps
    }
}

impl MulMat {
    /// LDS of a block in bytes.
    pub(crate) fn shared_bytes(&self, tile: Tile) -> u32 {
        /// 32 words of quants and 4 of scales.
        const COLUMN_WORDS: u32 = 36;
        4 * (self.row_words_x32 * tile.y / 32 + COLUMN_WORDS * tile.x)
    }

    /// The tile that a kernel with these facts was compiled with.
    pub(crate) fn tile_of(&self, shared_bytes: u32, max_block: u32) -> Option<(Family, Tile)> {
        let mut fitting = Family::ALL.into_iter().zip(self.tiles).filter(|(_, tile)| {
            self.shared_bytes(*tile) == shared_bytes && tile.block() <= max_block
        });
        let bounded = fitting.clone().find(|(_, tile)| tile.block() == max_block);
        bounded.or_else(|| {
            let first = fitting.next()?;
            fitting.all(|(_, tile)| tile == first.1).then_some(first)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::GgmlType;
    use super::*;

    #[test]
    fn bounds_tell_tiles_of_one_size_apart() {
        let facts = GgmlType::Q4_0.facts().mul_mat.as_ref().unwrap();
        // (64, 128) in LDS: 128 rows of 41.25 words and 64 columns of 36.
        let lds = 4 * (5280 + 2304);
        assert_eq!(
            facts.tile_of(lds, 128),
            Some((
                Family::Default,
                Tile {
                    x: 64,
                    y: 128,
                    warps: 4
                }
            ))
        );
        assert_eq!(
            facts.tile_of(lds, 256),
            Some((
                Family::Rdna2,
                Tile {
                    x: 64,
                    y: 128,
                    warps: 8
                }
            ))
        );
        // Without bounds it may be either.
        assert_eq!(facts.tile_of(lds, 1024), None);
        let lds = 4 * (2640 + 2304);
        assert_eq!(
            facts.tile_of(lds, 1024),
            Some((
                Family::Rdna1,
                Tile {
                    x: 64,
                    y: 64,
                    warps: 8
                }
            ))
        );
        assert_eq!(facts.tile_of(lds, 128), None);
        assert_eq!(facts.tile_of(lds + 4, 1024), None);
    }

    #[test]
    fn every_family_can_be_told_from_its_facts() {
        for dtype in GgmlType::ALL {
            let Some(facts) = &dtype.facts().mul_mat else {
                continue;
            };
            for (family, tile) in Family::ALL.into_iter().zip(facts.tiles) {
                let found = facts.tile_of(facts.shared_bytes(tile), tile.block());
                assert_eq!(found, Some((family, tile)), "{dtype}");
            }
        }
    }
}
