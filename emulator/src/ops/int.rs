//! Integer and bit operations of the vector unit.
//!
//! Each meaning once, named by what it computes; `*_clamp` is the meaning under the `clamp` modifier (saturation). Which
//! instruction of which family has which meaning is in [`super::names`].

use crate::lanes::Pair;
use crate::lanewise;

#[inline(always)]
fn sad8(a: u32, b: u32, c: u32) -> u32 {
    let byte =
        |i: u32| (((a >> (8 * i)) & 255) as i32 - ((b >> (8 * i)) & 255) as i32).unsigned_abs();
    c.wrapping_add(byte(0) + byte(1) + byte(2) + byte(3))
}

#[inline(always)]
pub(crate) fn msad8(a: u32, b: u32, c: u32) -> u32 {
    let byte = |i: u32| {
        let (x, y) = ((a >> (8 * i)) & 255, (b >> (8 * i)) & 255);
        if y == 0 {
            0
        } else {
            (x as i32 - y as i32).unsigned_abs()
        }
    };
    c.wrapping_add(byte(0) + byte(1) + byte(2) + byte(3))
}

#[inline(always)]
fn med<T: Ord + Copy>(a: T, b: T, c: T) -> T {
    a.min(b).max(a.max(b).min(c))
}

#[inline(always)]
fn i24(x: u32) -> i32 {
    ((x << 8) as i32) >> 8
}

#[inline(always)]
fn clamp_i32(x: i64) -> i32 {
    x.clamp(i32::MIN.into(), i32::MAX.into()) as i32
}

#[inline(always)]
fn clamp_u32(x: u64) -> u32 {
    x.min(u32::MAX.into()) as u32
}

#[inline(always)]
fn permute_byte(data: u64, selector: u32) -> u32 {
    let sign = |bit: u32| if data >> bit & 1 == 1 { 0xff } else { 0 };
    match selector {
        0..=7 => (data >> (8 * selector)) as u32 & 255,
        8 => sign(15),
        9 => sign(31),
        10 => sign(47),
        11 => sign(63),
        12 => 0,
        _ => 0xff,
    }
}

#[inline(always)]
fn bitop3(a: u32, b: u32, c: u32, table: u32) -> u32 {
    let mut result = 0;
    for index in 0..8u32 {
        let pick = |bits: u32, place: u32| if index >> place & 1 == 1 { bits } else { !bits };
        if table >> index & 1 == 1 {
            result |= pick(a, 2) & pick(b, 1) & pick(c, 0);
        }
    }
    result
}

lanewise! {
    /// 32- and 64-bit integer arithmetic.
    ARITHMETIC:
    mov_b32(a: u32) -> u32 { a }
    mov_b64(a: u64) -> u64 { a }
    mov_b16(a: u16) -> u16 { a }
    add_u32(a: u32, b: u32) -> u32 { a.wrapping_add(b) }
    add_u32_clamp(a: u32, b: u32) -> u32 { a.saturating_add(b) }
    sub_u32(a: u32, b: u32) -> u32 { a.wrapping_sub(b) }
    sub_u32_clamp(a: u32, b: u32) -> u32 { a.saturating_sub(b) }
    add_i32(a: i32, b: i32) -> i32 { a.wrapping_add(b) }
    add_i32_clamp(a: i32, b: i32) -> i32 { a.saturating_add(b) }
    sub_i32(a: i32, b: i32) -> i32 { a.wrapping_sub(b) }
    sub_i32_clamp(a: i32, b: i32) -> i32 { a.saturating_sub(b) }
    add_co_u32(a: u32, b: u32) -> (u32, bool) { a.overflowing_add(b) }
    add_co_u32_clamp(a: u32, b: u32) -> (u32, bool) { (a.saturating_add(b), a.overflowing_add(b).1) }
    sub_co_u32(a: u32, b: u32) -> (u32, bool) { a.overflowing_sub(b) }
    sub_co_u32_clamp(a: u32, b: u32) -> (u32, bool) { (a.saturating_sub(b), a.overflowing_sub(b).1) }
    add_co_ci_u32(a: u32, b: u32, carry: bool) -> (u32, bool) {
        let sum = u64::from(a) + u64::from(b) + u64::from(carry);
        (sum as u32, sum >> 32 != 0)
    }
    add_co_ci_u32_clamp(a: u32, b: u32, carry: bool) -> (u32, bool) {
        let sum = u64::from(a) + u64::from(b) + u64::from(carry);
        (clamp_u32(sum), sum >> 32 != 0)
    }
    sub_co_ci_u32(a: u32, b: u32, borrow: bool) -> (u32, bool) {
        let difference = i64::from(a) - i64::from(b) - i64::from(borrow);
        (difference as u32, difference < 0)
    }
    sub_co_ci_u32_clamp(a: u32, b: u32, borrow: bool) -> (u32, bool) {
        let difference = i64::from(a) - i64::from(b) - i64::from(borrow);
        (difference.max(0) as u32, difference < 0)
    }
    add3_u32(a: u32, b: u32, c: u32) -> u32 { a.wrapping_add(b).wrapping_add(c) }
    add_lshl_u32(a: u32, b: u32, c: u32) -> u32 { a.wrapping_add(b) << (c & 31) }
    lshl_add_u32(a: u32, b: u32, c: u32) -> u32 { (a << (b & 31)).wrapping_add(c) }
    lshl_add_u64(a: u64, b: u32, c: u64) -> u64 { (a << (b & 7)).wrapping_add(c) }
    xad_u32(a: u32, b: u32, c: u32) -> u32 { (a ^ b).wrapping_add(c) }
    mul_lo_u32(a: u32, b: u32) -> u32 { a.wrapping_mul(b) }
    mul_hi_u32(a: u32, b: u32) -> u32 { ((u64::from(a) * u64::from(b)) >> 32) as u32 }
    mul_hi_i32(a: i32, b: i32) -> i32 { ((i64::from(a) * i64::from(b)) >> 32) as i32 }
    mul_u32_u24(a: u32, b: u32) -> u32 { (a & 0xff_ffff).wrapping_mul(b & 0xff_ffff) }
    mul_hi_u32_u24(a: u32, b: u32) -> u32 { ((u64::from(a & 0xff_ffff) * u64::from(b & 0xff_ffff)) >> 32) as u32 }
    mul_i32_i24(a: u32, b: u32) -> i32 { i24(a).wrapping_mul(i24(b)) }
    mul_hi_i32_i24(a: u32, b: u32) -> i32 { ((i64::from(i24(a)) * i64::from(i24(b))) >> 32) as i32 }
    mad_u32_u24(a: u32, b: u32, c: u32) -> u32 { (a & 0xff_ffff).wrapping_mul(b & 0xff_ffff).wrapping_add(c) }
    mad_u32_u24_clamp(a: u32, b: u32, c: u32) -> u32 {
        clamp_u32(u64::from(a & 0xff_ffff) * u64::from(b & 0xff_ffff) + u64::from(c))
    }
    mad_i32_i24(a: u32, b: u32, c: i32) -> i32 { i24(a).wrapping_mul(i24(b)).wrapping_add(c) }
    mad_i32_i24_clamp(a: u32, b: u32, c: i32) -> i32 {
        clamp_i32(i64::from(i24(a)) * i64::from(i24(b)) + i64::from(c))
    }
    mad_u64_u32(a: u32, b: u32, c: u64) -> (u64, bool) { (u64::from(a) * u64::from(b)).overflowing_add(c) }
    mad_i64_i32(a: i32, b: i32, c: i64) -> (i64, bool) { (i64::from(a) * i64::from(b)).overflowing_add(c) }
    mad_u32_u16(a: u16, b: u16, c: u32) -> u32 { (u32::from(a) * u32::from(b)).wrapping_add(c) }
    mad_u32_u16_clamp(a: u16, b: u16, c: u32) -> u32 { clamp_u32(u64::from(a) * u64::from(b) + u64::from(c)) }
    mad_i32_i16(a: i16, b: i16, c: i32) -> i32 { (i32::from(a) * i32::from(b)).wrapping_add(c) }
    mad_i32_i16_clamp(a: i16, b: i16, c: i32) -> i32 { clamp_i32(i64::from(a) * i64::from(b) + i64::from(c)) }
    min_u32(a: u32, b: u32) -> u32 { a.min(b) }
    max_u32(a: u32, b: u32) -> u32 { a.max(b) }
    min_i32(a: i32, b: i32) -> i32 { a.min(b) }
    max_i32(a: i32, b: i32) -> i32 { a.max(b) }
    min3_u32(a: u32, b: u32, c: u32) -> u32 { a.min(b).min(c) }
    max3_u32(a: u32, b: u32, c: u32) -> u32 { a.max(b).max(c) }
    min3_i32(a: i32, b: i32, c: i32) -> i32 { a.min(b).min(c) }
    max3_i32(a: i32, b: i32, c: i32) -> i32 { a.max(b).max(c) }
    med3_u32(a: u32, b: u32, c: u32) -> u32 { med(a, b, c) }
    med3_i32(a: i32, b: i32, c: i32) -> i32 { med(a, b, c) }
    minmax_u32(a: u32, b: u32, c: u32) -> u32 { a.min(b).max(c) }
    maxmin_u32(a: u32, b: u32, c: u32) -> u32 { a.max(b).min(c) }
    minmax_i32(a: i32, b: i32, c: i32) -> i32 { a.min(b).max(c) }
    maxmin_i32(a: i32, b: i32, c: i32) -> i32 { a.max(b).min(c) }
    sad_u8(a: u32, b: u32, c: u32) -> u32 { sad8(a, b, c) }
    sad_hi_u8(a: u32, b: u32, c: u32) -> u32 { (sad8(a, b, 0) << 16).wrapping_add(c) }
    sad_u16(a: u32, b: u32, c: u32) -> u32 {
        let part = |s: u32| (((a >> s) & 0xffff) as i32 - ((b >> s) & 0xffff) as i32).unsigned_abs();
        c.wrapping_add(part(0)).wrapping_add(part(16))
    }
    sad_u32(a: u32, b: u32, c: u32) -> u32 { c.wrapping_add(a.abs_diff(b)) }
    msad_u8(a: u32, b: u32, c: u32) -> u32 { msad8(a, b, c) }
    qsad_pk_u16_u8(a: u64, b: u32, c: u64) -> u64 {
        let mut result = 0;
        for i in 0..4 {
            let sum = sad8((a >> (8 * i)) as u32, b, (c >> (16 * i)) as u32 & 0xffff);
            result |= u64::from(sum & 0xffff) << (16 * i);
        }
        result
    }
    mqsad_pk_u16_u8(a: u64, b: u32, c: u64) -> u64 {
        let mut result = 0;
        for i in 0..4 {
            let sum = msad8((a >> (8 * i)) as u32, b, (c >> (16 * i)) as u32 & 0xffff);
            result |= u64::from(sum & 0xffff) << (16 * i);
        }
        result
    }
    lerp_u8(a: u32, b: u32, c: u32) -> u32 {
        let mut result = 0;
        for i in 0..4 {
            let s = 8 * i;
            result |= ((((a >> s) & 255) + ((b >> s) & 255) + ((c >> s) & 1)) >> 1) << s;
        }
        result
    }
}

lanewise! {
    /// Bitwise operations, shifts, bit fields and counts.
    BITS:
    and_b32(a: u32, b: u32) -> u32 { a & b }
    or_b32(a: u32, b: u32) -> u32 { a | b }
    xor_b32(a: u32, b: u32) -> u32 { a ^ b }
    xnor_b32(a: u32, b: u32) -> u32 { !(a ^ b) }
    not_b32(a: u32) -> u32 { !a }
    and_b16(a: u16, b: u16) -> u16 { a & b }
    or_b16(a: u16, b: u16) -> u16 { a | b }
    xor_b16(a: u16, b: u16) -> u16 { a ^ b }
    not_b16(a: u16) -> u16 { !a }
    and_or_b32(a: u32, b: u32, c: u32) -> u32 { (a & b) | c }
    or3_b32(a: u32, b: u32, c: u32) -> u32 { a | b | c }
    xor3_b32(a: u32, b: u32, c: u32) -> u32 { a ^ b ^ c }
    lshl_or_b32(a: u32, b: u32, c: u32) -> u32 { (a << (b & 31)) | c }
    lshl_b32(a: u32, b: u32) -> u32 { a << (b & 31) }
    lshr_b32(a: u32, b: u32) -> u32 { a >> (b & 31) }
    ashr_i32(a: i32, b: u32) -> i32 { a >> (b & 31) }
    lshl_b64(a: u64, b: u32) -> u64 { a << (b & 63) }
    lshr_b64(a: u64, b: u32) -> u64 { a >> (b & 63) }
    ashr_i64(a: i64, b: u32) -> i64 { a >> (b & 63) }
    lshl_b16(a: u16, b: u16) -> u16 { a << (b & 15) }
    lshr_b16(a: u16, b: u16) -> u16 { a >> (b & 15) }
    ashr_i16(a: i16, b: u16) -> i16 { a >> (b & 15) }
    bfe_u32(a: u32, b: u32, c: u32) -> u32 {
        let width = c & 31;
        (a >> (b & 31)) & ((1u32 << width) - 1)
    }
    bfe_i32(a: i32, b: u32, c: u32) -> i32 {
        let width = c & 31;
        let field = (a >> (b & 31)) & ((1i32 << width).wrapping_sub(1));
        let sign = if width == 0 { 0 } else { 1i32 << ((width.wrapping_sub(1)) & 31) };
        (field ^ sign).wrapping_sub(sign)
    }
    bfi_b32(a: u32, b: u32, c: u32) -> u32 { (a & b) | (!a & c) }
    bfm_b32(a: u32, b: u32) -> u32 { ((1u32 << (a & 31)) - 1) << (b & 31) }
    bfrev_b32(a: u32) -> u32 { a.reverse_bits() }
    bcnt_u32(a: u32, b: u32) -> u32 { a.count_ones().wrapping_add(b) }
    clz_u32(a: u32) -> u32 { if a == 0 { u32::MAX } else { a.leading_zeros() } }
    ctz_u32(a: u32) -> u32 { if a == 0 { u32::MAX } else { a.trailing_zeros() } }
    cls_i32(a: i32) -> u32 {
        let same = (a ^ (a >> 31)).leading_zeros();
        if same == 32 { u32::MAX } else { same }
    }
    alignbit_b32(a: u32, b: u32, c: u32) -> u32 { (((u64::from(a) << 32) | u64::from(b)) >> (c & 31)) as u32 }
    alignbyte_b32(a: u32, b: u32, c: u32) -> u32 { (((u64::from(a) << 32) | u64::from(b)) >> (8 * (c & 3))) as u32 }
    perm_b32(a: u32, b: u32, c: u32) -> u32 {
        let data = (u64::from(a) << 32) | u64::from(b);
        let byte = |i: u32| permute_byte(data, (c >> (8 * i)) & 255) << (8 * i);
        byte(0) | byte(1) | byte(2) | byte(3)
    }
    bitop3_b32(a: u32, b: u32, c: u32, table: u32) -> u32 { bitop3(a, b, c, table) }
    bitop3_b16(a: u16, b: u16, c: u16, table: u32) -> u16 { bitop3(a.into(), b.into(), c.into(), table) as u16 }
    cndmask_b32(a: u32, b: u32, c: bool) -> u32 { if c { b } else { a } }
    cndmask_b16(a: u16, b: u16, c: bool) -> u16 { if c { b } else { a } }
    sat_pk_u8_i16(a: u32) -> u16 {
        let part = |x: u32| (x as u16 as i16).clamp(0, 255) as u16;
        part(a) | (part(a >> 16) << 8)
    }
    ashr_pk_i8_i32(a: i32, b: i32, c: u32) -> u16 {
        let part = |x: i32| (x >> (c & 31)).clamp(-128, 127) as u8 as u16;
        part(a) | (part(b) << 8)
    }
    ashr_pk_u8_i32(a: i32, b: i32, c: u32) -> u16 {
        let part = |x: i32| (x >> (c & 31)).clamp(0, 255) as u16;
        part(a) | (part(b) << 8)
    }
    pack_b32_b16(a: u16, b: u16) -> u32 { u32::from(a) | (u32::from(b) << 16) }
    sext_i32_i16(a: i16) -> i32 { a.into() }
    zext_u32_u16(a: u16) -> u32 { a.into() }
}

lanewise! {
    /// 16-bit integers.
    SHORT:
    add_u16(a: u16, b: u16) -> u16 { a.wrapping_add(b) }
    add_u16_clamp(a: u16, b: u16) -> u16 { a.saturating_add(b) }
    sub_u16(a: u16, b: u16) -> u16 { a.wrapping_sub(b) }
    sub_u16_clamp(a: u16, b: u16) -> u16 { a.saturating_sub(b) }
    add_i16(a: i16, b: i16) -> i16 { a.wrapping_add(b) }
    add_i16_clamp(a: i16, b: i16) -> i16 { a.saturating_add(b) }
    sub_i16(a: i16, b: i16) -> i16 { a.wrapping_sub(b) }
    sub_i16_clamp(a: i16, b: i16) -> i16 { a.saturating_sub(b) }
    mul_lo_u16(a: u16, b: u16) -> u16 { a.wrapping_mul(b) }
    mad_u16(a: u16, b: u16, c: u16) -> u16 { a.wrapping_mul(b).wrapping_add(c) }
    mad_u16_clamp(a: u16, b: u16, c: u16) -> u16 {
        (u64::from(a) * u64::from(b) + u64::from(c)).min(0xffff) as u16
    }
    mad_i16(a: i16, b: i16, c: i16) -> i16 { a.wrapping_mul(b).wrapping_add(c) }
    mad_i16_clamp(a: i16, b: i16, c: i16) -> i16 {
        (i64::from(a) * i64::from(b) + i64::from(c)).clamp(-0x8000, 0x7fff) as i16
    }
    min_u16(a: u16, b: u16) -> u16 { a.min(b) }
    max_u16(a: u16, b: u16) -> u16 { a.max(b) }
    min_i16(a: i16, b: i16) -> i16 { a.min(b) }
    max_i16(a: i16, b: i16) -> i16 { a.max(b) }
    min3_u16(a: u16, b: u16, c: u16) -> u16 { a.min(b).min(c) }
    max3_u16(a: u16, b: u16, c: u16) -> u16 { a.max(b).max(c) }
    min3_i16(a: i16, b: i16, c: i16) -> i16 { a.min(b).min(c) }
    max3_i16(a: i16, b: i16, c: i16) -> i16 { a.max(b).max(c) }
    med3_u16(a: u16, b: u16, c: u16) -> u16 { med(a, b, c) }
    med3_i16(a: i16, b: i16, c: i16) -> i16 { med(a, b, c) }
}

lanewise! {
    /// Pairs of 16-bit integers.
    PACKED:
    pk_add_u16(a: Pair<u16>, b: Pair<u16>) -> Pair<u16> { a.map2(b, u16::wrapping_add) }
    pk_add_u16_clamp(a: Pair<u16>, b: Pair<u16>) -> Pair<u16> { a.map2(b, u16::saturating_add) }
    pk_sub_u16(a: Pair<u16>, b: Pair<u16>) -> Pair<u16> { a.map2(b, u16::wrapping_sub) }
    pk_sub_u16_clamp(a: Pair<u16>, b: Pair<u16>) -> Pair<u16> { a.map2(b, u16::saturating_sub) }
    pk_add_i16(a: Pair<i16>, b: Pair<i16>) -> Pair<i16> { a.map2(b, i16::wrapping_add) }
    pk_add_i16_clamp(a: Pair<i16>, b: Pair<i16>) -> Pair<i16> { a.map2(b, i16::saturating_add) }
    pk_sub_i16(a: Pair<i16>, b: Pair<i16>) -> Pair<i16> { a.map2(b, i16::wrapping_sub) }
    pk_sub_i16_clamp(a: Pair<i16>, b: Pair<i16>) -> Pair<i16> { a.map2(b, i16::saturating_sub) }
    pk_mul_lo_u16(a: Pair<u16>, b: Pair<u16>) -> Pair<u16> { a.map2(b, u16::wrapping_mul) }
    pk_mad_u16(a: Pair<u16>, b: Pair<u16>, c: Pair<u16>) -> Pair<u16> {
        a.map3(b, c, |x, y, z| x.wrapping_mul(y).wrapping_add(z))
    }
    pk_mad_u16_clamp(a: Pair<u16>, b: Pair<u16>, c: Pair<u16>) -> Pair<u16> {
        a.map3(b, c, |x, y, z| (u64::from(x) * u64::from(y) + u64::from(z)).min(0xffff) as u16)
    }
    pk_mad_i16(a: Pair<i16>, b: Pair<i16>, c: Pair<i16>) -> Pair<i16> {
        a.map3(b, c, |x, y, z| x.wrapping_mul(y).wrapping_add(z))
    }
    pk_mad_i16_clamp(a: Pair<i16>, b: Pair<i16>, c: Pair<i16>) -> Pair<i16> {
        a.map3(b, c, |x, y, z| (i64::from(x) * i64::from(y) + i64::from(z)).clamp(-0x8000, 0x7fff) as i16)
    }
    pk_min_u16(a: Pair<u16>, b: Pair<u16>) -> Pair<u16> { a.map2(b, u16::min) }
    pk_max_u16(a: Pair<u16>, b: Pair<u16>) -> Pair<u16> { a.map2(b, u16::max) }
    pk_min_i16(a: Pair<i16>, b: Pair<i16>) -> Pair<i16> { a.map2(b, i16::min) }
    pk_max_i16(a: Pair<i16>, b: Pair<i16>) -> Pair<i16> { a.map2(b, i16::max) }
    pk_lshl_b16(a: Pair<u16>, b: Pair<u16>) -> Pair<u16> { a.map2(b, |x, s| x << (s & 15)) }
    pk_lshr_b16(a: Pair<u16>, b: Pair<u16>) -> Pair<u16> { a.map2(b, |x, s| x >> (s & 15)) }
    pk_ashr_i16(a: Pair<i16>, b: Pair<u16>) -> Pair<i16> { a.map2(b, |x, s| x >> (s & 15)) }
}
