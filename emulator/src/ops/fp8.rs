//! Conversions and dot products of the eight-bit formats. Meanings that end in `_fnuz` are those of gfx94x.

use crate::float::fp8::{BF8, BF8_FNUZ, FP8, FP8_FNUZ, Fp8};
use crate::float::{Env, Float};
use crate::lanes::Pair;
use crate::lanewise;

/// The mode bit under which conversions saturate.
const FP16_OVFL: u32 = 1 << 23;

#[inline(always)]
fn narrow(format: Fp8, value: f32, m: impl Env) -> u8 {
    format.encode(value, m.mode().bits & FP16_OVFL != 0)
}

#[inline(always)]
fn pair(format: Fp8, a: f32, b: f32, m: impl Env) -> u16 {
    u16::from(narrow(format, a, m)) | (u16::from(narrow(format, b, m)) << 8)
}

/// Adds random bits below the ones that stay and cuts off: stochastic rounding.
#[inline(always)]
fn stochastic(format: Fp8, value: f32, random: u32, dropped: u32, m: impl Env) -> u32 {
    let bits = value.to_bits();
    let fraction = (bits.wrapping_add(random >> (32 - dropped))) & 0x7f_ffff;
    narrow(format, f32::from_bits((bits & 0xff80_0000) | fraction), m).into()
}

#[inline(always)]
fn dot(m: impl Env, x: Fp8, y: Fp8, a: u32, b: u32, c: f32) -> f32 {
    let product = |sum: f32, shift: u32| {
        x.decode((a >> shift) as u8)
            .fma(y.decode((b >> shift) as u8), sum, m)
    };
    [0, 8, 16, 24].into_iter().fold(c, product)
}

lanewise! {
    /// Eight-bit formats.
    EIGHT:
    cvt_f32_fp8(a: u32) -> f32 { FP8.decode(a as u8) }
    cvt_f32_bf8(a: u32) -> f32 { BF8.decode(a as u8) }
    cvt_f32_fp8_fnuz(a: u32) -> f32 { FP8_FNUZ.decode(a as u8) }
    cvt_f32_bf8_fnuz(a: u32) -> f32 { BF8_FNUZ.decode(a as u8) }
    cvt_pk_f32_fp8(a: u32) -> Pair<f32> { Pair(FP8.decode(a as u8), FP8.decode((a >> 8) as u8)) }
    cvt_pk_f32_bf8(a: u32) -> Pair<f32> { Pair(BF8.decode(a as u8), BF8.decode((a >> 8) as u8)) }
    cvt_pk_f32_fp8_fnuz(a: u32) -> Pair<f32> { Pair(FP8_FNUZ.decode(a as u8), FP8_FNUZ.decode((a >> 8) as u8)) }
    cvt_pk_f32_bf8_fnuz(a: u32) -> Pair<f32> { Pair(BF8_FNUZ.decode(a as u8), BF8_FNUZ.decode((a >> 8) as u8)) }
    cvt_pk_fp8_f32[m](a: f32, b: f32) -> u16 { pair(FP8, a, b, m) }
    cvt_pk_bf8_f32[m](a: f32, b: f32) -> u16 { pair(BF8, a, b, m) }
    cvt_pk_fp8_f32_fnuz[m](a: f32, b: f32) -> u16 { pair(FP8_FNUZ, a, b, m) }
    cvt_pk_bf8_f32_fnuz[m](a: f32, b: f32) -> u16 { pair(BF8_FNUZ, a, b, m) }
    cvt_sr_fp8_f32[m](a: f32, b: u32) -> u32 { stochastic(FP8, a, b, 20, m) }
    cvt_sr_bf8_f32[m](a: f32, b: u32) -> u32 { stochastic(BF8, a, b, 21, m) }
    cvt_sr_fp8_f32_fnuz[m](a: f32, b: u32) -> u32 { stochastic(FP8_FNUZ, a, b, 20, m) }
    cvt_sr_bf8_f32_fnuz[m](a: f32, b: u32) -> u32 { stochastic(BF8_FNUZ, a, b, 21, m) }
    dot4_f32_fp8_fp8[m](a: u32, b: u32, c: f32) -> f32 { dot(m, FP8, FP8, a, b, c) }
    dot4_f32_fp8_bf8[m](a: u32, b: u32, c: f32) -> f32 { dot(m, FP8, BF8, a, b, c) }
    dot4_f32_bf8_fp8[m](a: u32, b: u32, c: f32) -> f32 { dot(m, BF8, FP8, a, b, c) }
    dot4_f32_bf8_bf8[m](a: u32, b: u32, c: f32) -> f32 { dot(m, BF8, BF8, a, b, c) }
}
