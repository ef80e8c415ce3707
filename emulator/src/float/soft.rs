//! IEEE arithmetic in software, for every format, rounding direction and denormal rule of the MODE register.
//!
//! Numbers travel as bit patterns in a `u64`. Host arithmetic serves the usual mode (round to nearest even, denormals
//! kept); this module serves the others and the formats that the host lacks, so it is written to be obviously right
//! rather than fast: an operation is computed exactly in 128 bits with a sticky bit and rounded once.
//!
//! It knows no instruction. NaN results follow the hardware: the first NaN operand, made quiet; the negative default NaN
//! where no operand is one.

/// A binary interchange format: the widths of its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    /// Bits of the exponent field.
    pub exponent: u32,
    /// Bits of the stored significand.
    pub mantissa: u32,
}

/// IEEE half precision.
pub const F16: Format = Format {
    exponent: 5,
    mantissa: 10,
};
/// The upper half of single precision.
pub const BF16: Format = Format {
    exponent: 8,
    mantissa: 7,
};
/// IEEE single precision.
pub const F32: Format = Format {
    exponent: 8,
    mantissa: 23,
};
/// IEEE double precision.
pub const F64: Format = Format {
    exponent: 11,
    mantissa: 52,
};

impl Format {
    const fn sign(self) -> u64 {
        1 << (self.exponent + self.mantissa)
    }
    const fn exponent_mask(self) -> u64 {
        (1 << self.exponent) - 1
    }
    const fn mantissa_mask(self) -> u64 {
        (1 << self.mantissa) - 1
    }
    const fn bias(self) -> i32 {
        (1 << (self.exponent - 1)) - 1
    }
    /// The quiet bit of a NaN.
    const fn quiet(self) -> u64 {
        1 << (self.mantissa - 1)
    }
    /// Infinity with the given sign.
    pub const fn infinity(self, negative: bool) -> u64 {
        (self.exponent_mask() << self.mantissa) | if negative { self.sign() } else { 0 }
    }
    /// The NaN of an invalid operation.
    pub const fn default_nan(self) -> u64 {
        self.infinity(true) | self.quiet()
    }
    /// Whether the pattern is a NaN.
    pub const fn is_nan(self, bits: u64) -> bool {
        bits & !self.sign() > self.infinity(false)
    }
    /// Replaces a denormal by a zero of its sign.
    pub const fn flush(self, bits: u64) -> u64 {
        if bits & (self.exponent_mask() << self.mantissa) == 0 {
            bits & self.sign()
        } else {
            bits
        }
    }
}

/// A rounding direction, in the encoding of MODE.fp_round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Round {
    /// To nearest, ties to even.
    #[default]
    Nearest,
    /// Towards positive infinity.
    Up,
    /// Towards negative infinity.
    Down,
    /// Towards zero.
    Zero,
}

/// How an operation rounds and what it does with denormals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rules {
    /// The direction of rounding.
    pub round: Round,
    /// Denormal inputs count as zeros.
    pub flush_in: bool,
    /// Denormal results become zeros.
    pub flush_out: bool,
}

/// A finite non-zero number: `(-1)^negative * significand * 2^exponent`.
#[derive(Clone, Copy)]
struct Number {
    negative: bool,
    exponent: i32,
    significand: u128,
}

enum Class {
    Nan(u64),
    Infinity(bool),
    Zero(bool),
    Finite(Number),
}

fn unpack(format: Format, bits: u64, rules: Rules) -> Class {
    let bits = if rules.flush_in {
        format.flush(bits)
    } else {
        bits
    };
    let negative = bits & format.sign() != 0;
    let exponent = (bits >> format.mantissa) & format.exponent_mask();
    let mantissa = bits & format.mantissa_mask();
    if exponent == format.exponent_mask() {
        return if mantissa != 0 {
            Class::Nan(bits | format.quiet())
        } else {
            Class::Infinity(negative)
        };
    }
    if exponent == 0 && mantissa == 0 {
        return Class::Zero(negative);
    }
    let (significand, exponent) = if exponent == 0 {
        (mantissa, 1)
    } else {
        (mantissa | (1 << format.mantissa), exponent as i32)
    };
    Class::Finite(Number {
        negative,
        exponent: exponent - format.bias() - format.mantissa as i32,
        significand: u128::from(significand),
    })
}

/// Rounds `significand * 2^exponent` (the lowest bit may be sticky) into `format`.
fn pack(format: Format, number: Number, rules: Rules) -> u64 {
    let Number {
        negative,
        exponent,
        significand,
    } = number;
    let sign = if negative { format.sign() } else { 0 };
    if significand == 0 {
        return sign;
    }
    let width = 128 - significand.leading_zeros() as i32;
    // The exponent that the leading bit would have, and the one of the last kept bit.
    let leading = exponent + width - 1;
    let least = (leading - format.mantissa as i32).max(1 - format.bias() - format.mantissa as i32);
    let drop = least - exponent;
    let (kept, rest, half) = if drop <= 0 {
        (significand << (-drop).min(127), 0, 1)
    } else if drop >= 128 {
        (0, 1, 2)
    } else {
        (
            significand >> drop,
            significand & ((1u128 << drop) - 1),
            1u128 << (drop - 1),
        )
    };
    let up = match rules.round {
        Round::Nearest => rest > half || (rest == half && rest != 0 && kept & 1 == 1),
        Round::Zero => false,
        Round::Up => rest != 0 && !negative,
        Round::Down => rest != 0 && negative,
    };
    let kept = kept as u64 + u64::from(up);
    if kept >> format.mantissa == 0 {
        // Denormal, tininess after rounding.
        return if rules.flush_out { sign } else { sign | kept };
    }
    let (kept, least) = if kept >> (format.mantissa + 1) != 0 {
        (kept >> 1, least + 1)
    } else {
        (kept, least)
    };
    let biased = least + format.mantissa as i32 + format.bias();
    if biased >= format.exponent_mask() as i32 {
        let to_infinity = match rules.round {
            Round::Nearest => true,
            Round::Zero => false,
            Round::Up => !negative,
            Round::Down => negative,
        };
        return if to_infinity {
            format.infinity(negative)
        } else {
            format.infinity(negative) - 1
        };
    }
    sign | ((biased as u64) << format.mantissa) | (kept & format.mantissa_mask())
}

/// Shifts right, or-ing what falls out into the lowest bit.
fn shift_sticky(value: u128, by: i32) -> u128 {
    match by {
        0 => value,
        1..128 => (value >> by) | u128::from(value & ((1u128 << by) - 1) != 0),
        _ => u128::from(value != 0),
    }
}

/// The exact sum of two numbers, up to a sticky lowest bit.
fn sum(a: Number, b: Number) -> Option<Number> {
    let align = |n: Number| {
        let up = n.significand.leading_zeros() as i32 - 2;
        Number {
            significand: n.significand << up,
            exponent: n.exponent - up,
            ..n
        }
    };
    let (a, b) = (align(a), align(b));
    let (big, small) = if (a.exponent, a.significand) >= (b.exponent, b.significand) {
        (a, b)
    } else {
        (b, a)
    };
    let addend = shift_sticky(small.significand, big.exponent - small.exponent);
    let significand = if big.negative == small.negative {
        big.significand + addend
    } else {
        big.significand - addend
    };
    (significand != 0).then_some(Number { significand, ..big })
}

fn zero(format: Format, negative: bool) -> u64 {
    if negative { format.sign() } else { 0 }
}

/// The sign of a sum that is exactly zero.
fn cancelled(format: Format, rules: Rules) -> u64 {
    zero(format, rules.round == Round::Down)
}

/// `a * b + c`, rounded once.
pub fn fma(format: Format, a: u64, b: u64, c: u64, rules: Rules) -> u64 {
    fma_scaled(format, a, b, c, 0, rules)
}

/// `(a * b + c) * 2^power`, rounded once.
pub fn fma_scaled(format: Format, a: u64, b: u64, c: u64, power: i32, rules: Rules) -> u64 {
    let (a, b, c) = (
        unpack(format, a, rules),
        unpack(format, b, rules),
        unpack(format, c, rules),
    );
    let product = match (a, b) {
        (Class::Nan(nan), _) | (_, Class::Nan(nan)) => return nan,
        (Class::Infinity(_), Class::Zero(_)) | (Class::Zero(_), Class::Infinity(_)) => {
            return if let Class::Nan(nan) = c {
                nan
            } else {
                format.default_nan()
            };
        }
        (Class::Infinity(s), Class::Infinity(t)) => Class::Infinity(s != t),
        (Class::Infinity(s), Class::Finite(n)) | (Class::Finite(n), Class::Infinity(s)) => {
            Class::Infinity(s != n.negative)
        }
        (Class::Zero(s), Class::Zero(t)) => Class::Zero(s != t),
        (Class::Zero(s), Class::Finite(n)) | (Class::Finite(n), Class::Zero(s)) => {
            Class::Zero(s != n.negative)
        }
        (Class::Finite(n), Class::Finite(k)) => Class::Finite(Number {
            negative: n.negative != k.negative,
            exponent: n.exponent + k.exponent,
            significand: n.significand * k.significand,
        }),
    };
    add_classes(format, product, c, power, rules)
}

fn add_classes(format: Format, a: Class, b: Class, power: i32, rules: Rules) -> u64 {
    let pack = |n: Number| {
        pack(
            format,
            Number {
                exponent: n.exponent + power,
                ..n
            },
            rules,
        )
    };
    match (a, b) {
        (Class::Nan(nan), _) | (_, Class::Nan(nan)) => nan,
        (Class::Infinity(s), Class::Infinity(t)) if s != t => format.default_nan(),
        (Class::Infinity(s), _) | (_, Class::Infinity(s)) => format.infinity(s),
        (Class::Zero(s), Class::Zero(t)) => {
            if s == t {
                zero(format, s)
            } else {
                cancelled(format, rules)
            }
        }
        (Class::Zero(_), Class::Finite(n)) | (Class::Finite(n), Class::Zero(_)) => pack(n),
        (Class::Finite(n), Class::Finite(k)) => match sum(n, k) {
            Some(number) => pack(number),
            None => cancelled(format, rules),
        },
    }
}

/// `a + b`, rounded once.
pub fn add(format: Format, a: u64, b: u64, rules: Rules) -> u64 {
    add_classes(
        format,
        unpack(format, a, rules),
        unpack(format, b, rules),
        0,
        rules,
    )
}

/// `a * b`, rounded once.
pub fn mul(format: Format, a: u64, b: u64, rules: Rules) -> u64 {
    match (unpack(format, a, rules), unpack(format, b, rules)) {
        (Class::Nan(nan), _) | (_, Class::Nan(nan)) => nan,
        (Class::Infinity(_), Class::Zero(_)) | (Class::Zero(_), Class::Infinity(_)) => {
            format.default_nan()
        }
        (Class::Infinity(s), Class::Infinity(t)) => format.infinity(s != t),
        (Class::Infinity(s), Class::Finite(n)) | (Class::Finite(n), Class::Infinity(s)) => {
            format.infinity(s != n.negative)
        }
        (Class::Zero(s), Class::Zero(t)) => zero(format, s != t),
        (Class::Zero(s), Class::Finite(n)) | (Class::Finite(n), Class::Zero(s)) => {
            zero(format, s != n.negative)
        }
        (Class::Finite(n), Class::Finite(k)) => pack(
            format,
            Number {
                negative: n.negative != k.negative,
                exponent: n.exponent + k.exponent,
                significand: n.significand * k.significand,
            },
            rules,
        ),
    }
}

/// `bits` times a power of two, rounded once.
pub fn scale(format: Format, bits: u64, power: i32, rules: Rules) -> u64 {
    match unpack(format, bits, rules) {
        Class::Nan(nan) => nan,
        Class::Infinity(s) => format.infinity(s),
        Class::Zero(s) => zero(format, s),
        Class::Finite(n) => pack(
            format,
            Number {
                exponent: n.exponent.saturating_add(power.clamp(-5000, 5000)),
                ..n
            },
            rules,
        ),
    }
}

/// Converts between formats; `input` says what happens to denormals of the source.
pub fn convert(from: Format, to: Format, bits: u64, flush_in: bool, rules: Rules) -> u64 {
    match unpack(from, bits, Rules { flush_in, ..rules }) {
        Class::Nan(nan) => {
            let payload = nan & from.mantissa_mask();
            let moved = if to.mantissa >= from.mantissa {
                payload << (to.mantissa - from.mantissa)
            } else {
                payload >> (from.mantissa - to.mantissa)
            };
            to.infinity(nan & from.sign() != 0) | moved | to.quiet()
        }
        Class::Infinity(s) => to.infinity(s),
        Class::Zero(s) => zero(to, s),
        Class::Finite(n) => pack(to, n, rules),
    }
}

/// An integer, rounded to `format`.
pub fn from_integer(format: Format, value: i128, rules: Rules) -> u64 {
    pack(
        format,
        Number {
            negative: value < 0,
            exponent: 0,
            significand: value.unsigned_abs(),
        },
        rules,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEAREST: Rules = Rules {
        round: Round::Nearest,
        flush_in: false,
        flush_out: false,
    };

    /// A small linear congruential generator: patterns of every exponent, not only of "nice" numbers.
    fn patterns(count: usize) -> impl Iterator<Item = u64> {
        let mut state = 0x2026_1122_dead_beefu64;
        (0..count).map(move |_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            state ^ (state >> 29)
        })
    }

    fn same32(found: u64, expected: f32, what: &str) {
        if expected.is_nan() {
            assert!(F32.is_nan(found), "{what}: {found:#x}");
        } else {
            assert_eq!(found as u32, expected.to_bits(), "{what}");
        }
    }

    #[test]
    fn agrees_with_the_host_in_single_precision() {
        let values: Vec<u32> = patterns(4000).map(|p| p as u32).collect();
        for triple in values.windows(3) {
            let (a, b) = (f32::from_bits(triple[0]), f32::from_bits(triple[1]));
            // Exponents close to each other, so that sums and cancellations matter.
            let c = f32::from_bits((triple[2] & 0x807f_ffff) | ((a * b).to_bits() & 0x7f80_0000));
            let bits = |x: f32| u64::from(x.to_bits());
            same32(add(F32, bits(a), bits(b), NEAREST), a + b, "add");
            same32(mul(F32, bits(a), bits(b), NEAREST), a * b, "mul");
            same32(
                fma(F32, bits(a), bits(b), bits(c), NEAREST),
                a.mul_add(b, c),
                "fma",
            );
        }
    }

    #[test]
    fn agrees_with_the_host_in_double_precision() {
        let values: Vec<u64> = patterns(4000).collect();
        for triple in values.windows(3) {
            let (a, b) = (f64::from_bits(triple[0]), f64::from_bits(triple[1]));
            let c = f64::from_bits(
                (triple[2] & 0x800f_ffff_ffff_ffff) | ((a * b).to_bits() & 0x7ff0_0000_0000_0000),
            );
            for (found, expected) in [
                (add(F64, triple[0], triple[1], NEAREST), a + b),
                (mul(F64, triple[0], triple[1], NEAREST), a * b),
                (
                    fma(F64, triple[0], triple[1], c.to_bits(), NEAREST),
                    a.mul_add(b, c),
                ),
            ] {
                assert!(
                    found == expected.to_bits() || (F64.is_nan(found) && expected.is_nan()),
                    "{a:e} {b:e} {c:e}"
                );
            }
        }
    }

    #[test]
    fn directed_rounding_brackets_the_exact_result() {
        let (a, b) = (1.0f32.to_bits().into(), 1e-20f32.to_bits().into());
        let with = |round| add(F32, a, b, Rules { round, ..NEAREST }) as u32;
        assert_eq!(with(Round::Up), 0x3f80_0001);
        assert_eq!(with(Round::Down), 0x3f80_0000);
        assert_eq!(with(Round::Zero), 0x3f80_0000);
        let largest = u64::from(f32::MAX.to_bits());
        assert_eq!(
            mul(
                F32,
                largest,
                largest,
                Rules {
                    round: Round::Zero,
                    ..NEAREST
                }
            ),
            largest
        );
        assert_eq!(mul(F32, largest, largest, NEAREST), F32.infinity(false));
    }

    #[test]
    fn denormals_flush_where_told() {
        let tiny = 1u64;
        let flush = Rules {
            flush_in: true,
            flush_out: true,
            ..NEAREST
        };
        assert_eq!(add(F32, tiny, tiny, NEAREST), 2);
        assert_eq!(add(F32, tiny, tiny, flush), 0);
        assert_eq!(
            mul(
                F32,
                u64::from(f32::MIN_POSITIVE.to_bits()),
                u64::from(0.5f32.to_bits()),
                flush
            ),
            0
        );
    }

    #[test]
    fn half_precision_conversion_is_exhaustive() {
        for bits in 0..=u16::MAX {
            let wide = convert(F16, F32, bits.into(), false, NEAREST);
            let expected = half::f16::from_bits(bits);
            if expected.is_nan() {
                assert!(F32.is_nan(wide));
            } else {
                assert_eq!(wide as u32, expected.to_f32().to_bits());
                assert_eq!(convert(F32, F16, wide, false, NEAREST) as u16, bits);
            }
        }
    }
}
