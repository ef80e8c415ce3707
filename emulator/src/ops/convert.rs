//! Conversions between formats.
//!
//! Float to integer saturates and turns NaN into zero; it truncates unless the meaning's name says otherwise. Float to
//! float and integer to float round by the mode of the result's format.

use crate::float::{Env, F16, Float, Integral, soft};
use crate::lanes::Pair;
use crate::lanewise;

/// Converts between floating-point formats by the mode.
#[inline(always)]
pub(crate) fn float_to_float<A: Float, B: Float, E: Env>(value: A, m: E) -> B {
    if E::NATIVE {
        let nan = soft_convert::<A, B>(value, false, soft::Rules::default());
        return if value.nan() {
            nan
        } else {
            B::narrow(value.wide())
        };
    }
    soft_convert(value, A::rules(m).flush_in, B::rules(m))
}

#[inline(always)]
fn soft_convert<A: Float, B: Float>(value: A, flush_in: bool, rules: soft::Rules) -> B {
    B::from_bits(soft::convert(
        A::FORMAT,
        B::FORMAT,
        value.bits(),
        flush_in,
        rules,
    ))
}

/// Single to half precision by the mode.
#[inline(always)]
pub(crate) fn half_from_single<E: Env>(value: f32, m: E) -> F16 {
    // The branch-free conversion moves NaN payloads as the hardware does.
    if E::NATIVE {
        F16::from_single(value)
    } else {
        float_to_float(value, m)
    }
}

/// Half to single precision, exact but for flushed denormals.
#[inline(always)]
pub(crate) fn single_from_half(value: F16, m: impl Env) -> f32 {
    value.input(m).single()
}

#[inline(always)]
fn half_toward_zero(value: f32, m: impl Env) -> F16 {
    let rules = soft::Rules {
        round: soft::Round::Zero,
        ..F16::rules(m)
    };
    soft_convert(value, f32::rules(m).flush_in, rules)
}

#[inline(always)]
fn from_integer<B: Float, E: Env>(value: i64, m: E) -> B {
    if E::NATIVE {
        B::narrow(value as f64)
    } else {
        B::from_bits(soft::from_integer(B::FORMAT, value.into(), B::rules(m)))
    }
}

/// A number in [-1, 1] as a signed fraction of 16 bits.
#[inline(always)]
fn signed_norm(value: f64) -> u16 {
    (value.clamp(-1.0, 1.0) * 32767.0).integral(Integral::Even) as i16 as u16
}

/// A number in [0, 1] as an unsigned fraction of 16 bits.
#[inline(always)]
fn unsigned_norm(value: f64) -> u16 {
    (value.clamp(0.0, 1.0) * 65535.0).integral(Integral::Even) as u16
}

lanewise! {
    /// Conversions.
    CONVERT:
    cvt_f16_f32[m](a: f32) -> F16 { half_from_single(a, m) }
    cvt_f32_f16[m](a: F16) -> f32 { single_from_half(a, m) }
    cvt_f32_f64[m](a: f64) -> f32 { float_to_float(a, m) }
    cvt_f64_f32[m](a: f32) -> f64 { float_to_float(a, m) }
    cvt_f32_i32[m](a: i32) -> f32 { from_integer(a.into(), m) }
    cvt_f32_u32[m](a: u32) -> f32 { from_integer(a.into(), m) }
    cvt_f64_i32(a: i32) -> f64 { a.into() }
    cvt_f64_u32(a: u32) -> f64 { a.into() }
    cvt_f16_i16[m](a: i16) -> F16 { from_integer(a.into(), m) }
    cvt_f16_u16[m](a: u16) -> F16 { from_integer(a.into(), m) }
    cvt_i32_f32(a: f32) -> i32 { a as i32 }
    cvt_u32_f32(a: f32) -> u32 { a as u32 }
    cvt_i32_f64(a: f64) -> i32 { a as i32 }
    cvt_u32_f64(a: f64) -> u32 { a as u32 }
    cvt_i16_f16(a: F16) -> i16 { a.single() as i16 }
    cvt_u16_f16(a: F16) -> u16 { a.single() as u16 }
    cvt_floor_i32_f32(a: f32) -> i32 { a.floor() as i32 }
    cvt_nearest_i32_f32(a: f32) -> i32 { (f64::from(a) + 0.5).floor() as i32 }
    cvt_f32_ubyte0(a: u32) -> f32 { (a & 255) as f32 }
    cvt_f32_ubyte1(a: u32) -> f32 { (a >> 8 & 255) as f32 }
    cvt_f32_ubyte2(a: u32) -> f32 { (a >> 16 & 255) as f32 }
    cvt_f32_ubyte3(a: u32) -> f32 { (a >> 24) as f32 }
    cvt_off_f32_i4(a: u32) -> f32 { (((a << 28) as i32) >> 28) as f32 / 16.0 }
    cvt_pkrtz_f16_f32[m](a: f32, b: f32) -> Pair<F16> { Pair(half_toward_zero(a, m), half_toward_zero(b, m)) }
    cvt_pk_f16_f32[m](a: f32, b: f32) -> Pair<F16> { Pair(half_from_single(a, m), half_from_single(b, m)) }
    cvt_pk_i16_f32(a: f32, b: f32) -> Pair<i16> { Pair(a as i16, b as i16) }
    cvt_pk_u16_f32(a: f32, b: f32) -> Pair<u16> { Pair(a as u16, b as u16) }
    cvt_pk_i16_i32(a: i32, b: i32) -> Pair<i16> {
        Pair(a.clamp(-0x8000, 0x7fff) as i16, b.clamp(-0x8000, 0x7fff) as i16)
    }
    cvt_pk_u16_u32(a: u32, b: u32) -> Pair<u16> { Pair(a.min(0xffff) as u16, b.min(0xffff) as u16) }
    cvt_pknorm_i16_f32(a: f32, b: f32) -> Pair<u16> { Pair(signed_norm(a.into()), signed_norm(b.into())) }
    cvt_pknorm_u16_f32(a: f32, b: f32) -> Pair<u16> { Pair(unsigned_norm(a.into()), unsigned_norm(b.into())) }
    cvt_pknorm_i16_f16(a: F16, b: F16) -> Pair<u16> { Pair(signed_norm(a.wide()), signed_norm(b.wide())) }
    cvt_pknorm_u16_f16(a: F16, b: F16) -> Pair<u16> { Pair(unsigned_norm(a.wide()), unsigned_norm(b.wide())) }
    cvt_norm_i16_f16(a: F16) -> u16 { signed_norm(a.wide()) }
    cvt_norm_u16_f16(a: F16) -> u16 { unsigned_norm(a.wide()) }
    cvt_pk_u8_f32(a: f32, b: u32, c: u32) -> u32 {
        let shift = 8 * (b & 3);
        (c & !(0xff << shift)) | (u32::from(a as u8) << shift)
    }
}
