//! GGUF blocks: weights as bytes, and as the numbers that candle-core's CPU code reads in them.

use std::borrow::Cow;

use candle_core::CpuStorage;
use candle_core::quantized::GgmlDType;
use half::f16;
use hip_loader::gguf::GgmlType;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// How a format places zero, which decides what a kernel multiplies with the activations and what with their sum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Offset {
    /// Quants are signed: `w = d q`.
    None,
    /// Quants are unsigned and centred: `w = d (q - centre)`.
    Centre(f64),
    /// A minimum is added or subtracted; its f16 is at this byte of the block.
    Minimum(usize),
}

/// One GGUF block format.
#[derive(Debug)]
pub(super) struct Format {
    /// As candle's symbols spell it.
    pub(super) name: &'static str,
    pub(super) dtype: GgmlDType,
    /// As the loader spells it.
    pub(super) loader: GgmlType,
    /// Elements and bytes of a block.
    pub(super) elements: usize,
    pub(super) bytes: usize,
    /// Bytes of a block where an f16 stands: the scale first.
    halves: &'static [usize],
    pub(super) offset: Offset,
}

/// The formats of `quantized.cu`. q8_K keeps its scale as an f32 in the first four bytes.
pub(super) static FORMATS: [Format; 11] = [
    format(
        "q4_0",
        GgmlDType::Q4_0,
        GgmlType::Q4_0,
        32,
        18,
        &[0],
        Offset::Centre(8.0),
    ),
    format(
        "q4_1",
        GgmlDType::Q4_1,
        GgmlType::Q4_1,
        32,
        20,
        &[0, 2],
        Offset::Minimum(2),
    ),
    format(
        "q5_0",
        GgmlDType::Q5_0,
        GgmlType::Q5_0,
        32,
        22,
        &[0],
        Offset::Centre(16.0),
    ),
    format(
        "q5_1",
        GgmlDType::Q5_1,
        GgmlType::Q5_1,
        32,
        24,
        &[0, 2],
        Offset::Minimum(2),
    ),
    format(
        "q8_0",
        GgmlDType::Q8_0,
        GgmlType::Q8_0,
        32,
        34,
        &[0],
        Offset::None,
    ),
    format(
        "q2_K",
        GgmlDType::Q2K,
        GgmlType::Q2K,
        256,
        84,
        &[80, 82],
        Offset::Minimum(82),
    ),
    format(
        "q3_K",
        GgmlDType::Q3K,
        GgmlType::Q3K,
        256,
        110,
        &[108],
        Offset::None,
    ),
    format(
        "q4_K",
        GgmlDType::Q4K,
        GgmlType::Q4K,
        256,
        144,
        &[0, 2],
        Offset::Minimum(2),
    ),
    format(
        "q5_K",
        GgmlDType::Q5K,
        GgmlType::Q5K,
        256,
        176,
        &[0, 2],
        Offset::Minimum(2),
    ),
    format(
        "q6_K",
        GgmlDType::Q6K,
        GgmlType::Q6K,
        256,
        210,
        &[208],
        Offset::None,
    ),
    format(
        "q8_K",
        GgmlDType::Q8K,
        GgmlType::Q8K,
        256,
        292,
        &[],
        Offset::None,
    ),
];

const fn format(
    name: &'static str,
    dtype: GgmlDType,
    loader: GgmlType,
    elements: usize,
    bytes: usize,
    halves: &'static [usize],
    offset: Offset,
) -> Format {
    Format {
        name,
        dtype,
        loader,
        elements,
        bytes,
        halves,
        offset,
    }
}

impl Format {
    /// The format that a symbol names as `q4_K`, `q4_k` or `q4k`.
    pub(super) fn find(name: &str) -> Option<&'static Format> {
        let plain = |s: &str| s.replace('_', "").to_ascii_lowercase();
        FORMATS.iter().find(|f| plain(f.name) == plain(name))
    }

    /// Bytes that hold `elements` weights.
    pub(super) fn size(&self, elements: usize) -> usize {
        elements / self.elements * self.bytes
    }
}

/// A matrix of quantized weights.
#[derive(Clone)]
pub(super) struct Weights {
    pub(super) format: &'static Format,
    pub(super) columns: usize,
    pub(super) bytes: Vec<u8>,
    /// The weights as candle-core's CPU code dequantizes them.
    pub(super) values: Vec<f32>,
    /// `quants - shifts = values`: the part of each weight that its quant carries, and the part that the block's
    /// offset does. Kernels multiply them apart.
    pub(super) quants: Vec<f64>,
    pub(super) shifts: Vec<f64>,
}

impl Weights {
    /// Normally distributed weights, as candle-core quantizes them.
    pub(super) fn quantized(
        rng: &mut ChaCha8Rng,
        format: &'static Format,
        rows: usize,
        columns: usize,
    ) -> Self {
        let floats: Vec<f32> = (0..rows * columns).map(|_| normal(rng)).collect();
        let mut blocks = format.dtype.cpu_zeros(floats.len());
        blocks.from_float(&floats);
        // SAFETY: `blocks` owns `storage_size_in_bytes` initialised bytes at `as_ptr`, and outlives the copy.
        let bytes =
            unsafe { std::slice::from_raw_parts(blocks.as_ptr(), blocks.storage_size_in_bytes()) };
        Self::from_bytes(format, columns, bytes.to_vec())
    }

    /// Random bits everywhere, with scales of sensible size: every combination of quants, sub-scales and high bits
    /// occurs, which quantizing real numbers does not give.
    pub(super) fn random(
        rng: &mut ChaCha8Rng,
        format: &'static Format,
        rows: usize,
        columns: usize,
    ) -> Self {
        let mut bytes = vec![0; format.size(rows * columns)];
        rng.fill(&mut bytes[..]);
        for block in bytes.chunks_exact_mut(format.bytes) {
            for &at in format.halves {
                block[at..at + 2].copy_from_slice(&f16::from_f32(scale(rng)).to_le_bytes());
            }
            if format.dtype == GgmlDType::Q8K {
                block[..4].copy_from_slice(&scale(rng).to_le_bytes());
            }
        }
        Self::from_bytes(format, columns, bytes)
    }

    pub(super) fn from_bytes(format: &'static Format, columns: usize, bytes: Vec<u8>) -> Self {
        let values = dequantize(format, &bytes);
        let quants: Vec<f64> = match format.offset {
            Offset::None => values.iter().map(|v| *v as f64).collect(),
            Offset::Centre(centre) => values
                .iter()
                .enumerate()
                .map(|(i, v)| {
                    let block = i / format.elements * format.bytes + format.halves[0];
                    *v as f64 + half_at(&bytes, block) * centre
                })
                .collect(),
            Offset::Minimum(at) => {
                let mut without = bytes.clone();
                for block in without.chunks_exact_mut(format.bytes) {
                    block[at..at + 2].fill(0);
                }
                dequantize(format, &without)
                    .iter()
                    .map(|v| *v as f64)
                    .collect()
            }
        };
        let shifts = quants
            .iter()
            .zip(&values)
            .map(|(q, v)| q - *v as f64)
            .collect();
        Weights {
            format,
            columns,
            bytes,
            values,
            quants,
            shifts,
        }
    }

    pub(super) fn rows(&self) -> usize {
        self.values.len() / self.columns
    }
}

fn half_at(bytes: &[u8], at: usize) -> f64 {
    f16::from_le_bytes([bytes[at], bytes[at + 1]]).to_f64()
}

/// A scale between 2^-8 and 2^-4, of either sign.
fn scale(rng: &mut ChaCha8Rng) -> f32 {
    let magnitude = 2f32.powf(rng.random_range(-8.0..-4.0));
    if rng.random() { magnitude } else { -magnitude }
}

/// A standard normal number, by Box and Muller.
pub(super) fn normal(rng: &mut ChaCha8Rng) -> f32 {
    let radius = (-2.0 * rng.random_range(f64::MIN_POSITIVE..1.0f64).ln()).sqrt();
    (radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()) as f32
}

/// candle-core's CPU dequantization of whole blocks.
fn dequantize(format: &Format, bytes: &[u8]) -> Vec<f32> {
    let elements = bytes.len() / format.bytes * format.elements;
    // candle-core reads blocks in place, so their memory has to be aligned for the widest field, an f32.
    let mut aligned = vec![0u8; bytes.len() + 8];
    let start = aligned.as_ptr().align_offset(8);
    aligned[start..start + bytes.len()].copy_from_slice(bytes);
    let blocks = format
        .dtype
        .from_data(Cow::Borrowed(&aligned[start..start + bytes.len()]));
    match blocks.dequantize(elements) {
        Ok(CpuStorage::F32(values)) => values,
        // Whole blocks of a known format always dequantize to f32.
        other => unreachable!("candle-core dequantized {} to {other:?}", format.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn the_table_agrees_with_candle_core() {
        for format in &FORMATS {
            assert_eq!(format.dtype.type_size(), format.bytes, "{}", format.name);
            assert_eq!(
                format.dtype.block_size(),
                format.elements,
                "{}",
                format.name
            );
        }
    }

    #[test]
    fn names_are_found_in_every_spelling() {
        for spelling in ["q4_K", "q4_k", "q4k"] {
            assert_eq!(Format::find(spelling).unwrap().name, "q4_K");
        }
        assert!(Format::find("q8_1").is_none());
    }

    /// The two parts of a weight are what the format says: quants are unsigned multiples of a scale, and the shift is
    /// the same for all elements that share a q8_1 block.
    #[test]
    fn weights_split_into_quants_and_shifts() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        for format in &FORMATS {
            let weights = Weights::random(&mut rng, format, 3, 512);
            match format.offset {
                Offset::None => assert!(weights.shifts.iter().all(|s| *s == 0.0)),
                _ => assert!(weights.shifts.iter().any(|s| *s != 0.0), "{}", format.name),
            }
            if format.name == "q2_K" {
                continue; // shifts change every 16 elements, and no kernel uses q8_1 sums for it
            }
            for group in weights.shifts.chunks_exact(32) {
                let spread = group
                    .iter()
                    .map(|s| (s - group[0]).abs())
                    .fold(0.0, f64::max);
                assert!(spread <= 1e-5 * group[0].abs(), "{} {spread}", format.name);
            }
        }
    }
}
