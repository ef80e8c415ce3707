//! Floating point as the vector and scalar units do it.
//!
//! A meaning in [`crate::ops`] is written once against [`Float`] and [`Env`]. `Env` says how the operation may be
//! computed: [`Native`] with the host's arithmetic (round to nearest even, denormals kept, which is how compilers launch
//! kernels) or [`Soft`] by the MODE register. What both share, and what differs from the host, is here: the NaN of a
//! result is the first NaN operand made quiet, and the default NaN is negative.

pub mod fp8;
pub mod soft;

pub use soft::{Format, Round, Rules};

/// The floating-point part of the MODE register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode {
    /// The register's bits: fp_round (3:0), fp_denorm (7:4), dx10_clamp (8), ieee (9), and the rest as written.
    pub bits: u32,
    /// Rounding and denormals of single precision.
    pub single: Rules,
    /// Rounding and denormals of double and half precision.
    pub double: Rules,
    /// NaN clamps to zero.
    pub dx10_clamp: bool,
    /// Signalling NaNs are made quiet by minimum and maximum.
    pub ieee: bool,
    /// Whether host arithmetic gives the same results.
    pub native: bool,
}

impl Mode {
    /// The mode that the register's `bits` select.
    pub fn new(bits: u32) -> Self {
        let rules = |round: u32, denorm: u32| Rules {
            round: match round & 3 {
                0 => Round::Nearest,
                1 => Round::Up,
                2 => Round::Down,
                _ => Round::Zero,
            },
            // fp_denorm: 0 flushes both, 1 keeps inputs, 2 keeps outputs, 3 keeps both.
            flush_in: denorm & 1 == 0,
            flush_out: denorm & 2 == 0,
        };
        Self {
            bits,
            single: rules(bits, bits >> 4),
            double: rules(bits >> 2, bits >> 6),
            dx10_clamp: bits & (1 << 8) != 0,
            ieee: bits & (1 << 9) != 0,
            native: bits & 0xff == 0xf0,
        }
    }
}

/// How floating-point operations are computed.
pub trait Env: Copy {
    /// Host arithmetic may be used.
    const NATIVE: bool;
    /// The code is compiled for a host with fused multiply-add.
    const FUSED: bool;
    /// The MODE register.
    fn mode(&self) -> &Mode;
    /// Which half of a 64-lane wave this is (0 or 1).
    fn half(&self) -> u32;
}

/// Host arithmetic; `FUSED` where the surrounding code is compiled with the FMA instructions.
#[derive(Clone, Copy)]
pub struct Native<'m, const FUSED: bool>(pub &'m Mode, pub u32);

/// Arithmetic by the MODE register.
#[derive(Clone, Copy)]
pub struct Soft<'m>(pub &'m Mode, pub u32);

impl<const F: bool> Env for Native<'_, F> {
    const NATIVE: bool = true;
    const FUSED: bool = F;
    #[inline(always)]
    fn mode(&self) -> &Mode {
        self.0
    }
    #[inline(always)]
    fn half(&self) -> u32 {
        self.1
    }
}

impl Env for Soft<'_> {
    const NATIVE: bool = false;
    const FUSED: bool = false;
    #[inline(always)]
    fn mode(&self) -> &Mode {
        self.0
    }
    #[inline(always)]
    fn half(&self) -> u32 {
        self.1
    }
}

/// A half-precision value, kept as its bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct F16(pub u16);

/// A bfloat16 value, kept as its bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bf16(pub u16);

impl Bf16 {
    /// The value in single precision (exact).
    #[inline(always)]
    pub fn widen(self) -> f32 {
        f32::from_bits(u32::from(self.0) << 16)
    }
    /// Rounded to nearest even; NaN payloads lose their low half.
    #[inline(always)]
    pub fn narrow(value: f32) -> Self {
        let bits = value.to_bits();
        if value.is_nan() {
            return Self(((bits >> 16) | 0x40) as u16);
        }
        Self(((bits + 0x7fff + ((bits >> 16) & 1)) >> 16) as u16)
    }
}

/// Half to single precision, exact, without branches.
#[inline(always)]
pub fn widen_f16(bits: u16) -> f32 {
    let magnitude = u32::from(bits & 0x7fff) << 13;
    // 2^112 moves the exponent bias from 15 to 127 and normalises denormals.
    let scaled = f32::from_bits(magnitude) * f32::from_bits(0x7780_0000);
    let special = magnitude
        | 0x7f80_0000
        | if magnitude > 0x0f80_0000 {
            0x40_0000
        } else {
            0
        };
    let value = if magnitude >= 0x0f80_0000 {
        special
    } else {
        scaled.to_bits()
    };
    f32::from_bits(value | (u32::from(bits & 0x8000) << 16))
}

/// Single to half precision, to nearest even, without branches.
#[inline(always)]
pub fn narrow_f16(value: f32) -> u16 {
    let bits = value.to_bits();
    let sign = (bits >> 16) & 0x8000;
    let magnitude = bits & 0x7fff_ffff;
    let normal = magnitude
        .wrapping_add(0xfff)
        .wrapping_add((magnitude >> 13) & 1)
        .wrapping_sub(0x3800_0000)
        >> 13;
    // Adding 0.5 lets the adder shift and round a half-precision denormal into the low bits.
    let denormal = (f32::from_bits(magnitude) + 0.5)
        .to_bits()
        .wrapping_sub(0x3f00_0000);
    let nan = 0x7e00 | ((magnitude >> 13) & 0x3ff);
    let finite = if magnitude < 0x3880_0000 {
        denormal
    } else {
        normal
    };
    let result = if magnitude > 0x7f80_0000 {
        nan
    } else if magnitude >= 0x4780_0000 {
        0x7c00
    } else {
        finite
    };
    (sign | result) as u16
}

/// Moves `value`, the rounded sum whose error is `error`, to the neighbour with an odd last bit if it is not exact.
///
/// A later rounding to half the bits or fewer then gives the result of one rounding (Boldo and Melquiond, 2008).
#[inline(always)]
fn to_odd(value: f64, error: f64) -> f64 {
    let bits = value.to_bits();
    let away = (error > 0.0) == (value > 0.0);
    let odd = if away {
        bits.wrapping_add(1)
    } else {
        bits.wrapping_sub(1)
    };
    // NaN and infinity have errors that are NaN; a zero sum has no error.
    let inexact = error != 0.0 && error.abs() < f64::INFINITY && bits & 1 == 0;
    f64::from_bits(if inexact { odd } else { bits })
}

/// `a * b + c` of values of at most 24 bits, exact but for a sticky last bit.
#[inline(always)]
pub fn fma_sticky(a: f64, b: f64, c: f64) -> f64 {
    let product = a * b;
    let sum = product + c;
    let back = sum - product;
    let error = (product - (sum - back)) + (c - back);
    to_odd(sum, error)
}

/// Double to half precision, to nearest even.
#[inline(always)]
pub fn narrow_f16_from_f64(value: f64) -> u16 {
    let single = value as f32;
    let bits = single.to_bits();
    let away = value.abs() > f64::from(single).abs();
    let special = single.is_nan() || single.is_infinite();
    let exact = f64::from(single) == value || bits & 1 == 1 || special;
    let odd = if away {
        bits.wrapping_add(1)
    } else {
        bits.wrapping_sub(1)
    };
    narrow_f16(f32::from_bits(if exact { bits } else { odd }))
}

/// A floating-point format of the vector unit.
pub trait Float: Copy + Sized {
    /// Its fields.
    const FORMAT: Format;
    /// Its bits, zero-extended.
    fn bits(self) -> u64;
    /// The value with these bits; higher bits are ignored.
    fn from_bits(bits: u64) -> Self;
    /// The value in double precision, exact.
    fn wide(self) -> f64;
    /// From double precision, to nearest even.
    fn narrow(value: f64) -> Self;
    /// The mode's rules for this format.
    fn rules<E: Env>(m: E) -> Rules;
    /// `a + b`.
    fn add<E: Env>(self, b: Self, m: E) -> Self;
    /// `a * b`.
    fn mul<E: Env>(self, b: Self, m: E) -> Self;
    /// `a * b + c` with one rounding.
    fn fma<E: Env>(self, b: Self, c: Self, m: E) -> Self;

    /// Ordered less-than.
    fn less(self, b: Self) -> bool;
    /// Ordered equality; zeros are equal.
    fn same(self, b: Self) -> bool;
    /// Rounded to an integral value; NaN stays as it is.
    fn integral(self, how: Integral) -> Self;
    /// The square root, to nearest even.
    fn root(self) -> Self;

    /// A constant.
    #[inline(always)]
    fn of(value: f64) -> Self {
        Self::narrow(value)
    }
    /// Whether it is a NaN.
    #[inline(always)]
    fn nan(self) -> bool {
        Self::FORMAT.is_nan(self.bits())
    }
    /// Whether it is a signalling NaN.
    #[inline(always)]
    fn signalling(self) -> bool {
        self.nan() && self.bits() & (1 << (Self::FORMAT.mantissa - 1)) == 0
    }
    /// A NaN made quiet.
    #[inline(always)]
    fn quieted(self) -> Self {
        Self::from_bits(self.bits() | (1 << (Self::FORMAT.mantissa - 1)))
    }
    /// The sign bit.
    #[inline(always)]
    fn negative(self) -> bool {
        self.bits() >> (Self::FORMAT.exponent + Self::FORMAT.mantissa) & 1 == 1
    }
    /// With the sign bit inverted.
    #[inline(always)]
    fn negated(self) -> Self {
        Self::from_bits(self.bits() ^ (1 << (Self::FORMAT.exponent + Self::FORMAT.mantissa)))
    }
    /// With the sign bit cleared.
    #[inline(always)]
    fn magnitude(self) -> Self {
        Self::from_bits(self.bits() & !(1 << (Self::FORMAT.exponent + Self::FORMAT.mantissa)))
    }
    /// The biased exponent field.
    #[inline(always)]
    fn exponent(self) -> i32 {
        ((self.bits() >> Self::FORMAT.mantissa) & ((1 << Self::FORMAT.exponent) - 1)) as i32
    }
    /// As an operand: a denormal counts as zero where the mode says so.
    #[inline(always)]
    fn input<E: Env>(self, m: E) -> Self {
        if E::NATIVE || !Self::rules(m).flush_in {
            self
        } else {
            Self::from_bits(Self::FORMAT.flush(self.bits()))
        }
    }
    /// As a result: a denormal becomes zero where the mode says so.
    #[inline(always)]
    fn output<E: Env>(self, m: E) -> Self {
        if E::NATIVE || !Self::rules(m).flush_out {
            self
        } else {
            Self::from_bits(Self::FORMAT.flush(self.bits()))
        }
    }
    /// From double precision by the mode's rounding.
    #[inline(always)]
    fn round<E: Env>(value: f64, m: E) -> Self {
        if E::NATIVE {
            Self::narrow(value)
        } else {
            Self::from_bits(soft::convert(
                soft::F64,
                Self::FORMAT,
                value.to_bits(),
                false,
                Self::rules(m),
            ))
        }
    }
}

/// A direction for rounding to an integral value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Integral {
    /// Down.
    Floor,
    /// Up.
    Ceil,
    /// Towards zero.
    Trunc,
    /// To nearest, ties to even.
    Even,
}

/// The NaN of an operation on `a`, `b` and `c`.
#[inline(always)]
fn nan_of<T: Float>(operands: &[T]) -> T {
    let mut result = T::from_bits(T::FORMAT.default_nan());
    for &operand in operands.iter().rev() {
        result = if operand.nan() {
            operand.quieted()
        } else {
            result
        };
    }
    result
}

macro_rules! host_float {
    ($t:ty, $format:expr, $rules:ident, $wide:expr, $narrow:expr, $fma:expr) => {
        impl Float for $t {
            const FORMAT: Format = $format;
            #[inline(always)]
            fn bits(self) -> u64 {
                self.to_bits().into()
            }
            #[inline(always)]
            fn from_bits(bits: u64) -> Self {
                <$t>::from_bits(bits as _)
            }
            #[inline(always)]
            fn wide(self) -> f64 {
                ($wide)(self)
            }
            #[inline(always)]
            fn narrow(value: f64) -> Self {
                ($narrow)(value)
            }
            #[inline(always)]
            fn nan(self) -> bool {
                self.is_nan()
            }
            #[inline(always)]
            fn less(self, b: Self) -> bool {
                self < b
            }
            #[inline(always)]
            fn same(self, b: Self) -> bool {
                self == b
            }
            #[inline(always)]
            fn integral(self, how: Integral) -> Self {
                match how {
                    Integral::Floor => self.floor(),
                    Integral::Ceil => self.ceil(),
                    Integral::Trunc => self.trunc(),
                    Integral::Even => self.round_ties_even(),
                }
            }
            #[inline(always)]
            fn root(self) -> Self {
                self.sqrt()
            }
            #[inline(always)]
            fn rules<E: Env>(m: E) -> Rules {
                m.mode().$rules
            }
            #[inline(always)]
            fn add<E: Env>(self, b: Self, m: E) -> Self {
                if !E::NATIVE {
                    return Float::from_bits(soft::add(
                        Self::FORMAT,
                        self.bits(),
                        b.bits(),
                        Self::rules(m),
                    ));
                }
                let sum = self + b;
                if sum.is_nan() {
                    nan_of(&[self, b])
                } else {
                    sum
                }
            }
            #[inline(always)]
            fn mul<E: Env>(self, b: Self, m: E) -> Self {
                if !E::NATIVE {
                    return Float::from_bits(soft::mul(
                        Self::FORMAT,
                        self.bits(),
                        b.bits(),
                        Self::rules(m),
                    ));
                }
                let product = self * b;
                if product.is_nan() {
                    nan_of(&[self, b])
                } else {
                    product
                }
            }
            #[inline(always)]
            fn fma<E: Env>(self, b: Self, c: Self, m: E) -> Self {
                if !E::NATIVE {
                    return Float::from_bits(soft::fma(
                        Self::FORMAT,
                        self.bits(),
                        b.bits(),
                        c.bits(),
                        Self::rules(m),
                    ));
                }
                let result = if E::FUSED {
                    self.mul_add(b, c)
                } else {
                    ($fma)(self, b, c)
                };
                if result.is_nan() {
                    nan_of(&[self, b, c])
                } else {
                    result
                }
            }
        }
    };
}

host_float!(
    f32,
    soft::F32,
    single,
    f64::from,
    |v: f64| v as f32,
    |a: f32, b: f32, c: f32| { fma_sticky(a.into(), b.into(), c.into()) as f32 }
);
host_float!(
    f64,
    soft::F64,
    double,
    |v: f64| v,
    |v: f64| v,
    |a: f64, b: f64, c: f64| a.mul_add(b, c)
);

impl F16 {
    /// In single precision, exact.
    #[inline(always)]
    pub fn single(self) -> f32 {
        widen_f16(self.0)
    }
    /// From single precision, to nearest even.
    #[inline(always)]
    pub fn from_single(value: f32) -> Self {
        Self(narrow_f16(value))
    }
}

impl Float for F16 {
    const FORMAT: Format = soft::F16;
    #[inline(always)]
    fn bits(self) -> u64 {
        self.0.into()
    }
    #[inline(always)]
    fn from_bits(bits: u64) -> Self {
        Self(bits as u16)
    }
    #[inline(always)]
    fn wide(self) -> f64 {
        self.single().into()
    }
    #[inline(always)]
    fn narrow(value: f64) -> Self {
        Self(narrow_f16_from_f64(value))
    }
    #[inline(always)]
    fn less(self, b: Self) -> bool {
        self.single() < b.single()
    }
    #[inline(always)]
    fn same(self, b: Self) -> bool {
        self.single() == b.single()
    }
    #[inline(always)]
    fn integral(self, how: Integral) -> Self {
        Self::from_single(self.single().integral(how))
    }
    #[inline(always)]
    fn root(self) -> Self {
        Self::from_single(self.single().sqrt())
    }
    #[inline(always)]
    fn rules<E: Env>(m: E) -> Rules {
        m.mode().double
    }
    #[inline(always)]
    fn add<E: Env>(self, b: Self, m: E) -> Self {
        if !E::NATIVE {
            return Float::from_bits(soft::add(
                Self::FORMAT,
                self.bits(),
                b.bits(),
                Self::rules(m),
            ));
        }
        // Single precision has more than twice the bits plus two: rounding twice changes nothing.
        let sum = self.single() + b.single();
        if sum.is_nan() {
            nan_of(&[self, b])
        } else {
            Self::from_single(sum)
        }
    }
    #[inline(always)]
    fn mul<E: Env>(self, b: Self, m: E) -> Self {
        if !E::NATIVE {
            return Float::from_bits(soft::mul(
                Self::FORMAT,
                self.bits(),
                b.bits(),
                Self::rules(m),
            ));
        }
        let product = self.single() * b.single();
        if product.is_nan() {
            nan_of(&[self, b])
        } else {
            Self::from_single(product)
        }
    }
    #[inline(always)]
    fn fma<E: Env>(self, b: Self, c: Self, m: E) -> Self {
        if !E::NATIVE {
            return Float::from_bits(soft::fma(
                Self::FORMAT,
                self.bits(),
                b.bits(),
                c.bits(),
                Self::rules(m),
            ));
        }
        let result = fma_sticky(self.wide(), b.wide(), c.wide());
        if result.is_nan() {
            nan_of(&[self, b, c])
        } else {
            Self::narrow(result)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_conversions_agree_with_the_half_crate() {
        for bits in 0..=u16::MAX {
            let wide = widen_f16(bits);
            let expected = half::f16::from_bits(bits);
            if expected.is_nan() {
                assert!(wide.is_nan());
            } else {
                assert_eq!(wide.to_bits(), expected.to_f32().to_bits(), "{bits:#x}");
                assert_eq!(narrow_f16(wide), bits);
                assert_eq!(narrow_f16_from_f64(f64::from(wide)), bits);
            }
        }
        // Around every rounding boundary: all halves of neighbours, a little less and a little more.
        for bits in 0..0x7c00u16 {
            let (low, high) = (f64::from(widen_f16(bits)), f64::from(widen_f16(bits + 1)));
            let high = if high.is_finite() { high } else { 65536.0 };
            let middle = (low + high) / 2.0;
            for value in [middle, middle * (1.0 - 1e-9), middle * (1.0 + 1e-9)] {
                // Not the `half` crate: its conversion from double precision drops low bits first.
                let exact = soft::convert(
                    soft::F64,
                    soft::F16,
                    value.to_bits(),
                    false,
                    Rules::default(),
                );
                assert_eq!(u64::from(narrow_f16_from_f64(value)), exact, "{value:e}");
            }
            assert_eq!(
                narrow_f16(middle as f32),
                half::f16::from_f32(middle as f32).to_bits()
            );
        }
    }

    #[test]
    fn sticky_multiply_add_rounds_once() {
        let mut state = 1u64;
        for _ in 0..200_000 {
            let mut next = || {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                f32::from_bits((state >> 32) as u32)
            };
            let (a, b) = (next(), next());
            let c = f32::from_bits(
                (next().to_bits() & 0x807f_ffff) | ((a * b).to_bits() & 0x7f80_0000),
            );
            let found = fma_sticky(a.into(), b.into(), c.into()) as f32;
            let expected = a.mul_add(b, c);
            assert!(
                found.to_bits() == expected.to_bits() || (found.is_nan() && expected.is_nan()),
                "{a:e} {b:e} {c:e}"
            );
        }
    }
}
