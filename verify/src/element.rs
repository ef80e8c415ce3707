//! Element types of kernel arguments, and arrays of them as the device sees them: bytes.
//!
//! Knows how each type rounds. Knows nothing of kernels or devices.

use half::{bf16, f16};

/// An element type, as the suffix of a kernel's symbol names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum DType {
    F64,
    F32,
    F16,
    Bf16,
    F8E4M3,
    U8,
    U32,
    I16,
    I32,
    I64,
}

/// The shape of a binary floating-point format: precision in bits (the hidden one included), the exponents of the
/// smallest and the largest normal number, the largest finite value, and whether a conversion saturates there.
struct FloatFormat {
    precision: i32,
    min_exponent: i32,
    max: f64,
    saturates: bool,
}

/// `__nv_fp8_e4m3` is the OCP format: no infinities, one NaN, 448 at most; its constructors saturate.
pub(crate) const F8E4M3_MAX: f64 = 448.0;

impl DType {
    /// Suffix in a symbol -> type. The two spellings of fp8 both occur in candle's sources.
    const SUFFIXES: [(&'static str, DType); 11] = [
        ("f8_e4m3", DType::F8E4M3),
        ("fp8_e4m3", DType::F8E4M3),
        ("bf16", DType::Bf16),
        ("f64", DType::F64),
        ("f32", DType::F32),
        ("f16", DType::F16),
        ("u8", DType::U8),
        ("u32", DType::U32),
        ("i16", DType::I16),
        ("i32", DType::I32),
        ("i64", DType::I64),
    ];

    /// Splits `root_type` into its root and its type.
    pub(crate) fn split_suffix(symbol: &str) -> Option<(&str, DType)> {
        // `f8_e4m3` ends no other suffix, so the longest match is found by trying it before the short ones.
        Self::SUFFIXES.iter().find_map(|(suffix, dtype)| {
            let root = symbol.strip_suffix(suffix)?.strip_suffix('_')?;
            Some((root, *dtype))
        })
    }

    /// The type that `name` spells.
    pub(crate) fn from_name(name: &str) -> Option<DType> {
        Self::SUFFIXES
            .iter()
            .find(|(suffix, _)| *suffix == name)
            .map(|(_, dtype)| *dtype)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            DType::F64 => "f64",
            DType::F32 => "f32",
            DType::F16 => "f16",
            DType::Bf16 => "bf16",
            DType::F8E4M3 => "f8_e4m3",
            DType::U8 => "u8",
            DType::U32 => "u32",
            DType::I16 => "i16",
            DType::I32 => "i32",
            DType::I64 => "i64",
        }
    }

    /// Size of an element in bytes.
    pub(crate) fn size(self) -> usize {
        match self {
            DType::F64 | DType::I64 => 8,
            DType::F32 | DType::U32 | DType::I32 => 4,
            DType::F16 | DType::Bf16 | DType::I16 => 2,
            DType::F8E4M3 | DType::U8 => 1,
        }
    }

    pub(crate) fn is_float(self) -> bool {
        self.format().is_some()
    }

    fn format(self) -> Option<FloatFormat> {
        let (precision, min_exponent, max, saturates) = match self {
            DType::F64 => (53, -1022, f64::MAX, false),
            DType::F32 => (24, -126, f32::MAX as f64, false),
            DType::F16 => (11, -14, 65504.0, false),
            DType::Bf16 => (8, -126, bf16::MAX.to_f64(), false),
            DType::F8E4M3 => (4, -6, F8E4M3_MAX, true),
            _ => return None,
        };
        Some(FloatFormat {
            precision,
            min_exponent,
            max,
            saturates,
        })
    }

    /// Unit roundoff: the largest relative error of one rounding to nearest of a normal number; 0 for integers.
    pub(crate) fn unit_roundoff(self) -> f64 {
        self.format().map_or(0.0, |f| exp2(-f.precision))
    }

    /// Half the smallest subnormal number: the absolute error of one rounding near zero; 0 for integers.
    pub(crate) fn underflow(self) -> f64 {
        self.format()
            .map_or(0.0, |f| exp2(f.min_exponent - f.precision))
    }

    /// `value` rounded to this floating-point type, to nearest, ties to even.
    pub(crate) fn round(self, value: f64) -> f64 {
        let Some(format) = self.format() else {
            return value;
        };
        match self {
            DType::F64 => return value,
            DType::F32 => return value as f32 as f64,
            _ => {}
        }
        if value.is_nan() || value == 0.0 {
            return value;
        }
        if value.is_infinite() {
            return if format.saturates {
                format.max.copysign(value)
            } else {
                value
            };
        }
        let exponent = (((value.to_bits() >> 52) & 0x7ff) as i32 - 1023).max(format.min_exponent);
        let quantum = exp2(exponent - format.precision + 1);
        let rounded = (value / quantum).round_ties_even() * quantum;
        if rounded.abs() <= format.max {
            rounded
        } else if format.saturates {
            format.max.copysign(value)
        } else {
            f64::INFINITY.copysign(value)
        }
    }
}

/// 2 to the power `exponent`, subnormal results included.
fn exp2(exponent: i32) -> f64 {
    2f64.powi(exponent)
}

/// A number: floating point up to f64, or an integer up to 64 bits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    Float(f64),
    Int(i64),
}

impl Number {
    /// The value as f64; integers above 2^53 lose their low bits.
    pub(crate) fn as_f64(self) -> f64 {
        match self {
            Number::Float(v) => v,
            Number::Int(v) => v as f64,
        }
    }
}

/// Elements of one type, little-endian, as they lie in device memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Array {
    pub(crate) dtype: DType,
    pub(crate) bytes: Vec<u8>,
}

impl Array {
    /// Reads back device memory.
    pub(crate) fn from_bytes(dtype: DType, bytes: Vec<u8>) -> Self {
        Array { dtype, bytes }
    }

    /// Rounds every value to `dtype`; integers wrap, as they do in C.
    pub(crate) fn new(dtype: DType, values: impl IntoIterator<Item = Number>) -> Self {
        let mut bytes = Vec::new();
        for value in values {
            push(&mut bytes, dtype, value);
        }
        Array { dtype, bytes }
    }

    pub(crate) fn floats(dtype: DType, values: impl IntoIterator<Item = f64>) -> Self {
        Self::new(dtype, values.into_iter().map(Number::Float))
    }

    pub(crate) fn ints(dtype: DType, values: impl IntoIterator<Item = i64>) -> Self {
        Self::new(dtype, values.into_iter().map(Number::Int))
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len() / self.dtype.size()
    }

    /// Element `i`.
    pub(crate) fn get(&self, i: usize) -> Number {
        let size = self.dtype.size();
        let raw = &self.bytes[i * size..(i + 1) * size];
        let mut word = [0u8; 8];
        word[..size].copy_from_slice(raw);
        let bits = u64::from_le_bytes(word);
        match self.dtype {
            DType::F64 => Number::Float(f64::from_bits(bits)),
            DType::F32 => Number::Float(f32::from_bits(bits as u32) as f64),
            DType::F16 => Number::Float(f16::from_bits(bits as u16).to_f64()),
            DType::Bf16 => Number::Float(bf16::from_bits(bits as u16).to_f64()),
            DType::F8E4M3 => Number::Float(f8e4m3_to_f64(bits as u8)),
            DType::U8 | DType::U32 | DType::I64 => Number::Int(bits as i64),
            DType::I16 => Number::Int(bits as i16 as i64),
            DType::I32 => Number::Int(bits as i32 as i64),
        }
    }

    pub(crate) fn f64(&self, i: usize) -> f64 {
        self.get(i).as_f64()
    }

    /// Element `i` of an integer array; floating-point values are truncated.
    pub(crate) fn i64(&self, i: usize) -> i64 {
        match self.get(i) {
            Number::Int(v) => v,
            Number::Float(v) => v as i64,
        }
    }

    pub(crate) fn numbers(&self) -> impl Iterator<Item = Number> + '_ {
        (0..self.len()).map(|i| self.get(i))
    }

    /// The elements at `indices`; `None` stands for a zero.
    pub(crate) fn pick(&self, indices: impl IntoIterator<Item = Option<usize>>) -> Array {
        let size = self.dtype.size();
        let mut bytes = Vec::new();
        for index in indices {
            match index {
                Some(i) => bytes.extend_from_slice(&self.bytes[i * size..(i + 1) * size]),
                None => bytes.extend(std::iter::repeat_n(0, size)),
            }
        }
        Array {
            dtype: self.dtype,
            bytes,
        }
    }

    pub(crate) fn set(&mut self, i: usize, value: Number) {
        let mut raw = Vec::with_capacity(8);
        push(&mut raw, self.dtype, value);
        let size = self.dtype.size();
        self.bytes[i * size..(i + 1) * size].copy_from_slice(&raw);
    }
}

fn push(bytes: &mut Vec<u8>, dtype: DType, value: Number) {
    if dtype.is_float() {
        let v = dtype.round(value.as_f64());
        match dtype {
            DType::F64 => bytes.extend(v.to_le_bytes()),
            DType::F32 => bytes.extend((v as f32).to_le_bytes()),
            // Exact: the value has been rounded to the format already.
            DType::F16 => bytes.extend(f16::from_f64(v).to_le_bytes()),
            DType::Bf16 => bytes.extend(bf16::from_f64(v).to_le_bytes()),
            _ => bytes.push(f8e4m3_from_f64(v)),
        }
    } else {
        let v = match value {
            Number::Int(v) => v,
            Number::Float(v) => v as i64,
        };
        bytes.extend_from_slice(&v.to_le_bytes()[..dtype.size()]);
    }
}

/// Encodes a value that [`DType::round`] has already brought into the format.
fn f8e4m3_from_f64(value: f64) -> u8 {
    let sign = if value.is_sign_negative() { 0x80 } else { 0 };
    if value.is_nan() {
        return sign | 0x7f;
    }
    let magnitude = value.abs();
    if magnitude < exp2(-6) {
        return sign | (magnitude / exp2(-9)) as u8;
    }
    let exponent = ((magnitude.to_bits() >> 52) & 0x7ff) as i32 - 1023;
    let mantissa = (magnitude / exp2(exponent - 3)) as i32 - 8;
    sign | (((exponent + 7) << 3) + mantissa) as u8
}

fn f8e4m3_to_f64(bits: u8) -> f64 {
    let exponent = ((bits >> 3) & 15) as i32;
    let mantissa = (bits & 7) as f64;
    let magnitude = match (exponent, bits & 7) {
        (15, 7) => f64::NAN,
        (0, _) => mantissa * exp2(-9),
        _ => (8.0 + mantissa) * exp2(exponent - 10),
    };
    if bits & 0x80 != 0 {
        -magnitude
    } else {
        magnitude
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_are_split_at_the_longest_type() {
        assert_eq!(
            DType::split_suffix("uneg_fp8_e4m3"),
            Some(("uneg", DType::F8E4M3))
        );
        assert_eq!(
            DType::split_suffix("ucopy_f8_e4m3"),
            Some(("ucopy", DType::F8E4M3))
        );
        assert_eq!(
            DType::split_suffix("badd_bf16"),
            Some(("badd", DType::Bf16))
        );
        assert_eq!(
            DType::split_suffix("cast_f16_f32"),
            Some(("cast_f16", DType::F32))
        );
        assert_eq!(DType::split_suffix("quantize_q8_1"), None);
    }

    #[test]
    fn every_16_bit_and_8_bit_pattern_survives_a_round_trip() {
        for dtype in [DType::F16, DType::Bf16, DType::F8E4M3] {
            let count = 1u32 << (8 * dtype.size());
            for pattern in 0..count {
                let bytes = pattern.to_le_bytes()[..dtype.size()].to_vec();
                let array = Array::from_bytes(dtype, bytes.clone());
                let value = array.f64(0);
                if value.is_nan() {
                    continue;
                }
                assert_eq!(
                    Array::floats(dtype, [value]).bytes,
                    bytes,
                    "{dtype:?} {pattern:#x}"
                );
            }
        }
    }

    #[test]
    fn rounding_is_to_nearest_even_and_sees_the_last_bit_of_an_f64() {
        let tie = 1.0 + exp2(-11);
        assert_eq!(DType::F16.round(tie), 1.0);
        assert_eq!(DType::F16.round(tie + exp2(-50)), 1.0 + exp2(-10));
        assert_eq!(DType::F16.round(65520.0), f64::INFINITY);
        assert_eq!(DType::F8E4M3.round(1e9), 448.0);
        assert_eq!(DType::F8E4M3.round(exp2(-10)), 0.0);
        assert_eq!(DType::F8E4M3.round(1.1 * exp2(-10)), exp2(-9));
        assert_eq!(DType::Bf16.round(1.0 + exp2(-8)), 1.0);
    }
}
