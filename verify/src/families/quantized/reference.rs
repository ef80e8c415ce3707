//! What the matrix kernels of `quantized.cu` must give, and how far rounding may carry them.
//!
//! # The arithmetic
//! The kernels multiply quantized weights with activations that `quantize_q8_1` has rounded: for every 32 of them the
//! scale `d = max|x| / 127`, kept as an f16, and `q = round(x / d)`; and the sum `s` of the 32, kept as an f16. A weight
//! is `w = p - m`: `p` is the part that its quant carries, `m` the part that its block's offset does (see
//! [`Weights::quants`]). A kernel sums `p q` over a block in integers, scales it by the scales of weights and activations
//! in f32, subtracts `m` times the block's sum, and adds up blocks in f32.
//!
//! # Two references, two bounds
//! **The same activations.** With `x' = f16(d) q` and `s' = f16(s)` the result is `sum p x' - sum m s'`, computed here
//! in f64. What remains is f32 rounding: with `n` roundings on the way of a term it is at most
//! `n u / (1 - n u) * (sum |p x'| + sum |m s'|)`, `u = 2^-24`. No result may be further off than that.
//!
//! **The activations before rounding.** Against `sum w x` in f64, weights dequantized by candle-core's CPU code, the
//! error of q8_1 comes in too. An element is off by at most `d / 2` from rounding `q`, and by `|q| |d - f16(d)| <= 127 d
//! 2^-11` from storing `d` (half of the smallest subnormal, 2^-25, where `d` is subnormal as an f16). A sum is off by
//! `2^-11 |s|` from storing it and by five f32 additions. So the result is off by at most
//! `sum |p| e + sum |m| e_s` where the kernel uses sums, or `sum |w| e` where it subtracts offsets element by element,
//! plus the f32 rounding above.

use half::f16;

use super::blocks::Weights;
use crate::element::DType;
use crate::error_bound::Approx;

/// Elements that share a q8_1 block, bytes of one, and the multiple of elements that candle pads a row to.
pub(super) const Q8_1_ELEMENTS: usize = 32;
pub(super) const Q8_1_BYTES: usize = 36;
pub(super) const ROW_PADDING: usize = 512;

/// What a kernel does with the offset of a weight's block.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum OffsetBy {
    /// It subtracts the offset times the sum that the q8_1 block keeps.
    Sum,
    /// It subtracts the offset element by element, in integers, or has none.
    Element,
}

/// Rows of f32 activations.
pub(super) struct Activations {
    pub(super) values: Vec<f32>,
    pub(super) columns: usize,
}

/// A row of activations as `quantize_q8_1` rounds it: blocks of 32, up to the end of the padding.
pub(super) struct Q8_1Row {
    blocks: Vec<Q8_1Block>,
}

struct Q8_1Block {
    /// `max|x| / 127` before it is stored as an f16.
    scale: f32,
    sum: f32,
    quants: [i8; Q8_1_ELEMENTS],
}

impl Q8_1Block {
    fn new(x: &[f32; Q8_1_ELEMENTS]) -> Self {
        let largest = x.iter().fold(0f32, |m, v| m.max(v.abs()));
        let scale = largest / 127.0;
        // Adding across lanes at distances 16, 8, 4, 2, 1 leaves the same bits in every lane.
        let mut sums = *x;
        for distance in [16, 8, 4, 2, 1] {
            sums = std::array::from_fn(|lane| sums[lane] + sums[lane ^ distance]);
        }
        let quants = x.map(|v| {
            if largest == 0.0 {
                0
            } else {
                (v / scale).round() as i8
            }
        });
        Q8_1Block {
            scale,
            sum: sums[0],
            quants,
        }
    }

    fn stored_scale(&self) -> f64 {
        f16::from_f32(self.scale).to_f64()
    }

    fn stored_sum(&self) -> f64 {
        f16::from_f32(self.sum).to_f64()
    }

    /// The largest error of an element.
    fn element_error(&self) -> f64 {
        let d = self.scale as f64;
        0.5 * d + 127.0 * (d * DType::F16.unit_roundoff()).max(DType::F16.underflow())
    }

    /// The largest error of the sum, `magnitude` being the sum of absolute values.
    fn sum_error(&self, magnitude: f64) -> f64 {
        let s = self.sum.abs() as f64;
        let stored = (s * DType::F16.unit_roundoff()).max(DType::F16.underflow());
        stored + 5.0 * DType::F32.unit_roundoff() * magnitude
    }
}

impl Activations {
    pub(super) fn rows(&self) -> usize {
        self.values.len() / self.columns
    }

    pub(super) fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.columns..(row + 1) * self.columns]
    }

    /// The first `rows` rows.
    pub(super) fn take(&self, rows: usize) -> Activations {
        Activations {
            values: self.values[..rows * self.columns].to_vec(),
            columns: self.columns,
        }
    }

    pub(super) fn padded_columns(&self) -> usize {
        self.columns.next_multiple_of(ROW_PADDING)
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        self.values.iter().flat_map(|v| v.to_le_bytes()).collect()
    }

    pub(super) fn quantized(&self) -> Vec<Q8_1Row> {
        (0..self.rows())
            .map(|row| {
                let mut padded = self.row(row).to_vec();
                padded.resize(self.padded_columns(), 0.0);
                let blocks = padded
                    .as_chunks::<Q8_1_ELEMENTS>()
                    .0
                    .iter()
                    .map(Q8_1Block::new)
                    .collect();
                Q8_1Row { blocks }
            })
            .collect()
    }
}

/// The bytes of quantized rows, as the kernel lays them out: f16 scale, f16 sum, 32 quants.
pub(super) fn q8_1_bytes(rows: &[Q8_1Row]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for block in rows.iter().flat_map(|row| &row.blocks) {
        bytes.extend(f16::from_f32(block.scale).to_le_bytes());
        bytes.extend(f16::from_f32(block.sum).to_le_bytes());
        bytes.extend(block.quants.iter().map(|q| *q as u8));
    }
    bytes
}

/// Roundings on the way of a term of a row of `columns`: a thread adds at most one partial sum for every 16 columns
/// (`dequantize_mul_mat_vec_q2_k` comes closest, with 20 for 512); scaling, and adding up lanes and waves, take 24 at
/// most.
fn roundings(columns: usize) -> f64 {
    (columns / 16 + 24) as f64
}

fn f32_rounding(columns: usize, magnitude: f64) -> f64 {
    let growth = roundings(columns) * DType::F32.unit_roundoff();
    growth / (1.0 - growth) * magnitude
}

/// One row of weights times one row of activations: against the same rounded activations, and against those before
/// rounding.
pub(super) fn dot_q8_1(
    weights: &Weights,
    row: usize,
    x: &[f32],
    quantized: &Q8_1Row,
    offset_by: OffsetBy,
) -> (Approx, Approx) {
    let columns = weights.columns;
    let (mut rounded, mut magnitude) = (0.0, 0.0);
    let (mut exact, mut q8_1_error) = (0.0, 0.0);
    for (b, (xs, block)) in x.chunks(Q8_1_ELEMENTS).zip(&quantized.blocks).enumerate() {
        let start = row * columns + b * Q8_1_ELEMENTS;
        let element_error = block.element_error();
        let scale = block.stored_scale();
        for (i, x) in xs.iter().enumerate() {
            let (p, m) = (weights.quants[start + i], weights.shifts[start + i]);
            let w = weights.values[start + i] as f64;
            let x_rounded = scale * block.quants[i] as f64;
            exact += w * *x as f64;
            magnitude += (p * x_rounded).abs();
            match offset_by {
                OffsetBy::Sum => {
                    rounded += p * x_rounded;
                    q8_1_error += p.abs() * element_error;
                }
                OffsetBy::Element => {
                    rounded += (p - m) * x_rounded;
                    magnitude += (m * x_rounded).abs();
                    q8_1_error += w.abs() * element_error;
                }
            }
        }
        if offset_by == OffsetBy::Sum {
            let shift = weights.shifts[start];
            let total: f64 = xs.iter().map(|x| x.abs() as f64).sum();
            rounded -= shift * block.stored_sum();
            magnitude += (shift * block.stored_sum()).abs();
            q8_1_error += shift.abs() * block.sum_error(total);
        }
    }
    let f32_error = f32_rounding(columns, magnitude);
    (
        Approx {
            value: rounded,
            error: f32_error,
        },
        Approx {
            value: exact,
            error: q8_1_error + f32_error,
        },
    )
}

/// One row of weights times one row of activations that stay f32: the bound is f32 rounding alone.
pub(super) fn dot_f32(weights: &Weights, row: usize, x: &[f32]) -> Approx {
    let columns = weights.columns;
    let start = row * columns;
    let (mut value, mut magnitude) = (0.0, 0.0);
    for (i, x) in x.iter().enumerate() {
        let x = *x as f64;
        value += weights.values[start + i] as f64 * x;
        magnitude += (weights.quants[start + i].abs() + weights.shifts[start + i].abs()) * x.abs();
    }
    Approx {
        value,
        error: f32_rounding(columns, magnitude),
    }
}
