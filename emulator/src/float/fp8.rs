//! The eight-bit formats: E4M3 ("fp8") and E5M2 ("bf8"), as OCP defines them and as gfx94x has them.
//!
//! The variants of gfx94x (`fnuz`) have a bias that is one larger, no infinities, one NaN (0x80) and no negative zero.

/// An eight-bit format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fp8 {
    mantissa: u32,
    bias: i32,
    /// The largest finite magnitude.
    largest: u8,
    /// The NaN that conversions give.
    nan: u8,
    /// What a magnitude beyond the largest becomes.
    overflow: u8,
    fnuz: bool,
}

/// OCP E4M3: no infinities, NaN is all ones.
pub const FP8: Fp8 = Fp8 {
    mantissa: 3,
    bias: 7,
    largest: 0x7e,
    nan: 0x7f,
    overflow: 0x7f,
    fnuz: false,
};
/// OCP E5M2: with infinities.
pub const BF8: Fp8 = Fp8 {
    mantissa: 2,
    bias: 15,
    largest: 0x7b,
    nan: 0x7e,
    overflow: 0x7c,
    fnuz: false,
};
/// E4M3 of gfx94x.
pub const FP8_FNUZ: Fp8 = Fp8 {
    mantissa: 3,
    bias: 8,
    largest: 0x7f,
    nan: 0x80,
    overflow: 0x80,
    fnuz: true,
};
/// E5M2 of gfx94x.
pub const BF8_FNUZ: Fp8 = Fp8 {
    mantissa: 2,
    bias: 16,
    largest: 0x7f,
    nan: 0x80,
    overflow: 0x80,
    fnuz: true,
};

impl Fp8 {
    /// The value, exact.
    pub fn decode(self, bits: u8) -> f32 {
        let magnitude = bits & 0x7f;
        if self.fnuz && bits == 0x80 {
            return f32::NAN;
        }
        if !self.fnuz && magnitude > self.largest {
            let infinite = magnitude == self.overflow && self.overflow != self.nan;
            let value = if infinite { f32::INFINITY } else { f32::NAN };
            return if bits >> 7 == 1 { -value } else { value };
        }
        let field = i32::from(magnitude >> self.mantissa);
        let fraction = i32::from(magnitude & ((1 << self.mantissa) - 1));
        let (significand, exponent) = if field == 0 {
            (fraction, 1)
        } else {
            (fraction | 1 << self.mantissa, field)
        };
        let value =
            significand as f32 * f32::powi(2.0, exponent - self.bias - self.mantissa as i32);
        if bits >> 7 == 1 { -value } else { value }
    }

    /// Rounded to nearest even; `saturate` makes magnitudes beyond the largest finite one that one.
    pub fn encode(self, value: f32, saturate: bool) -> u8 {
        let sign = if value.is_sign_negative() { 0x80 } else { 0 };
        let signed = |magnitude: u8| {
            // The only NaN of the fnuz formats has the pattern of a negative zero.
            if self.fnuz && (magnitude == 0 || magnitude == 0x80) {
                magnitude
            } else {
                magnitude | sign
            }
        };
        if value.is_nan() {
            return signed(self.nan);
        }
        let magnitude = f64::from(value.abs());
        let lowest = 1 - self.bias;
        let exponent = (((value.abs().to_bits() >> 23) as i32) - 127).max(lowest);
        let quantum = f64::powi(2.0, exponent - self.mantissa as i32);
        let steps = (magnitude / quantum).round_ties_even();
        // A carry into the next binade gives the right pattern by itself: exponent and fraction are one number.
        let bits = steps + f64::from((exponent - lowest) << self.mantissa);
        if bits > f64::from(self.largest) {
            return signed(if saturate {
                self.largest
            } else {
                self.overflow
            });
        }
        signed(bits as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_survives() {
        for format in [FP8, BF8, FP8_FNUZ, BF8_FNUZ] {
            for bits in 0..=255u8 {
                let value = format.decode(bits);
                if !value.is_nan() {
                    assert_eq!(
                        format.encode(value, false),
                        bits,
                        "{format:?} {bits:#x} {value}"
                    );
                }
            }
        }
    }

    #[test]
    fn known_values() {
        assert_eq!(FP8.decode(0x7e), 448.0);
        assert_eq!(BF8.decode(0x7b), 57344.0);
        assert_eq!(FP8_FNUZ.decode(0x7f), 240.0);
        assert_eq!(BF8_FNUZ.decode(0x7f), 57344.0);
        assert_eq!(FP8.encode(1e9, true), 0x7e);
        assert_eq!(FP8.encode(1e9, false), 0x7f);
        assert_eq!(BF8.encode(f32::NEG_INFINITY, false), 0xfc);
        assert_eq!(FP8_FNUZ.encode(-0.0, false), 0);
        // Ties go to even: 2.5 steps of the smallest denormal.
        assert_eq!(FP8.encode(2.5 * FP8.decode(1), false), 2);
        assert_eq!(FP8.encode(3.5 * FP8.decode(1), false), 4);
    }
}
