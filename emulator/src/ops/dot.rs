//! Dot products of packed numbers.
//!
//! Integer products add with wrap-around, or with one saturation at the end under `clamp`. Which operand of the mixed
//! forms is signed comes from the instruction's `neg_lo` bits; the decoder picks the meaning by them.

use crate::float::{Bf16, F16, Float};
use crate::lanes::Pair;
use crate::lanewise;

#[inline(always)]
fn signed(word: u32, width: u32, index: u32) -> i32 {
    ((word << (32 - width * (index + 1))) as i32) >> (32 - width)
}

#[inline(always)]
fn unsigned(word: u32, width: u32, index: u32) -> i32 {
    ((word >> (width * index)) & ((1 << width) - 1)) as i32
}

type Extract = fn(u32, u32, u32) -> i32;

#[inline(always)]
fn products(a: u32, b: u32, width: u32, x: Extract, y: Extract) -> i64 {
    let mut sum = 0i64;
    for index in 0..32 / width {
        sum += i64::from(x(a, width, index)) * i64::from(y(b, width, index));
    }
    sum
}

#[inline(always)]
fn products32(a: u32, b: u32, width: u32, x: Extract, y: Extract) -> i32 {
    let mut sum = 0i32;
    for index in 0..32 / width {
        sum = sum.wrapping_add(x(a, width, index).wrapping_mul(y(b, width, index)));
    }
    sum
}

#[inline(always)]
fn clamp_i32(x: i64) -> i32 {
    x.clamp(i32::MIN.into(), i32::MAX.into()) as i32
}

#[inline(always)]
fn clamp_u32(x: i64) -> u32 {
    x.clamp(0, u32::MAX.into()) as u32
}

lanewise! {
    /// Integer dot products.
    INTEGER:
    dot2_i32_i16(a: u32, b: u32, c: i32) -> i32 { products32(a, b, 16, signed, signed).wrapping_add(c) }
    dot2_i32_i16_clamp(a: u32, b: u32, c: i32) -> i32 { clamp_i32(products(a, b, 16, signed, signed) + i64::from(c)) }
    dot2_u32_u16(a: u32, b: u32, c: u32) -> u32 { (products32(a, b, 16, unsigned, unsigned) as u32).wrapping_add(c) }
    dot2_u32_u16_clamp(a: u32, b: u32, c: u32) -> u32 {
        clamp_u32(products(a, b, 16, unsigned, unsigned) + i64::from(c))
    }
    dot4_i32_i8(a: u32, b: u32, c: i32) -> i32 { products32(a, b, 8, signed, signed).wrapping_add(c) }
    dot4_i32_i8_clamp(a: u32, b: u32, c: i32) -> i32 { clamp_i32(products(a, b, 8, signed, signed) + i64::from(c)) }
    dot4_u32_u8(a: u32, b: u32, c: u32) -> u32 { (products32(a, b, 8, unsigned, unsigned) as u32).wrapping_add(c) }
    dot4_u32_u8_clamp(a: u32, b: u32, c: u32) -> u32 { clamp_u32(products(a, b, 8, unsigned, unsigned) + i64::from(c)) }
    dot4_i32_su8(a: u32, b: u32, c: i32) -> i32 { products32(a, b, 8, signed, unsigned).wrapping_add(c) }
    dot4_i32_su8_clamp(a: u32, b: u32, c: i32) -> i32 { clamp_i32(products(a, b, 8, signed, unsigned) + i64::from(c)) }
    dot4_i32_us8(a: u32, b: u32, c: i32) -> i32 { products32(a, b, 8, unsigned, signed).wrapping_add(c) }
    dot4_i32_us8_clamp(a: u32, b: u32, c: i32) -> i32 { clamp_i32(products(a, b, 8, unsigned, signed) + i64::from(c)) }
    dot4_i32_u8(a: u32, b: u32, c: i32) -> i32 { products32(a, b, 8, unsigned, unsigned).wrapping_add(c) }
    dot4_i32_u8_clamp(a: u32, b: u32, c: i32) -> i32 { clamp_i32(products(a, b, 8, unsigned, unsigned) + i64::from(c)) }
    dot8_i32_i4(a: u32, b: u32, c: i32) -> i32 { products32(a, b, 4, signed, signed).wrapping_add(c) }
    dot8_i32_i4_clamp(a: u32, b: u32, c: i32) -> i32 { clamp_i32(products(a, b, 4, signed, signed) + i64::from(c)) }
    dot8_u32_u4(a: u32, b: u32, c: u32) -> u32 { (products32(a, b, 4, unsigned, unsigned) as u32).wrapping_add(c) }
    dot8_u32_u4_clamp(a: u32, b: u32, c: u32) -> u32 { clamp_u32(products(a, b, 4, unsigned, unsigned) + i64::from(c)) }
    dot8_i32_su4(a: u32, b: u32, c: i32) -> i32 { products32(a, b, 4, signed, unsigned).wrapping_add(c) }
    dot8_i32_su4_clamp(a: u32, b: u32, c: i32) -> i32 { clamp_i32(products(a, b, 4, signed, unsigned) + i64::from(c)) }
    dot8_i32_us4(a: u32, b: u32, c: i32) -> i32 { products32(a, b, 4, unsigned, signed).wrapping_add(c) }
    dot8_i32_us4_clamp(a: u32, b: u32, c: i32) -> i32 { clamp_i32(products(a, b, 4, unsigned, signed) + i64::from(c)) }
    dot8_i32_u4(a: u32, b: u32, c: i32) -> i32 { products32(a, b, 4, unsigned, unsigned).wrapping_add(c) }
    dot8_i32_u4_clamp(a: u32, b: u32, c: i32) -> i32 { clamp_i32(products(a, b, 4, unsigned, unsigned) + i64::from(c)) }
}

lanewise! {
    /// Dot products of halves and bfloat16.
    FLOAT:
    dot2_f32_f16[m](a: Pair<F16>, b: Pair<F16>, c: f32) -> f32 {
        // The products are exact in single precision; the sums round one after the other, low half first.
        let low = a.0.single().fma(b.0.single(), c, m);
        a.1.single().fma(b.1.single(), low, m)
    }
    dot2_f32_bf16[m](a: Pair<Bf16>, b: Pair<Bf16>, c: f32) -> f32 {
        let low = a.0.widen().fma(b.0.widen(), c, m);
        a.1.widen().fma(b.1.widen(), low, m)
    }
    dot2_f16_f16[m](a: Pair<F16>, b: Pair<F16>, c: F16) -> F16 {
        let low = a.0.fma(b.0, c, m);
        a.1.fma(b.1, low, m)
    }
    dot2_bf16_bf16[m](a: Pair<Bf16>, b: Pair<Bf16>, c: u16) -> u16 {
        let low = Bf16::narrow(a.0.widen().fma(b.0.widen(), Bf16(c).widen(), m));
        Bf16::narrow(a.1.widen().fma(b.1.widen(), low.widen(), m)).0
    }
}
