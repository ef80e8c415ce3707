//! Floating-point arithmetic of the vector unit, for the three formats.
//!
//! What an operation means is written once, generically over [`Float`]; the tables instantiate it. Rounding, denormals and
//! NaNs are [`crate::float`]'s business. Reciprocals, roots and transcendental functions, which the hardware approximates
//! to within one unit in the last place, are correctly rounded here.

use crate::float::{Env, F16, Float, Integral, soft};
use crate::lanes::{Mix, Pair};
use crate::lanewise;

/// The smaller, with -0 below +0; a NaN loses, a signalling NaN is made quiet in IEEE mode.
#[inline(always)]
pub(crate) fn min_num<T: Float>(a: T, b: T, m: impl Env) -> T {
    let (a, b) = (a.input(m), b.input(m));
    let less = a.less(b) || (a.same(b) && a.negative() && !b.negative());
    pick(a, b, less, m)
}

/// The larger, with +0 above -0; a NaN loses, a signalling NaN is made quiet in IEEE mode.
#[inline(always)]
pub(crate) fn max_num<T: Float>(a: T, b: T, m: impl Env) -> T {
    let (a, b) = (a.input(m), b.input(m));
    let more = b.less(a) || (a.same(b) && !a.negative() && b.negative());
    pick(a, b, more, m)
}

#[inline(always)]
fn pick<T: Float>(a: T, b: T, first: bool, m: impl Env) -> T {
    let ieee = m.mode().ieee;
    let mut result = if first { a } else { b };
    result = if a.nan() { b } else { result };
    result = if b.nan() { a } else { result };
    result = if ieee && b.signalling() {
        b.quieted()
    } else {
        result
    };
    result = if ieee && a.signalling() {
        a.quieted()
    } else {
        result
    };
    result
}

/// The smaller; a NaN wins (IEEE 754-2019 minimum).
#[inline(always)]
pub(crate) fn minimum<T: Float>(a: T, b: T, m: impl Env) -> T {
    let (a, b) = (a.input(m), b.input(m));
    let less = a.less(b) || (a.same(b) && a.negative() && !b.negative());
    propagate(a, b, less)
}

/// The larger; a NaN wins (IEEE 754-2019 maximum).
#[inline(always)]
pub(crate) fn maximum<T: Float>(a: T, b: T, m: impl Env) -> T {
    let (a, b) = (a.input(m), b.input(m));
    let more = b.less(a) || (a.same(b) && !a.negative() && b.negative());
    propagate(a, b, more)
}

#[inline(always)]
fn propagate<T: Float>(a: T, b: T, first: bool) -> T {
    let mut result = if first { a } else { b };
    result = if b.nan() { b.quieted() } else { result };
    result = if a.nan() { a.quieted() } else { result };
    result
}

#[inline(always)]
fn med3<T: Float>(a: T, b: T, c: T, m: impl Env) -> T {
    if a.nan() || b.nan() || c.nan() {
        return min_num(min_num(a, b, m), c, m);
    }
    let largest = max_num(max_num(a, b, m), c, m);
    if largest.same(a.input(m)) {
        max_num(b, c, m)
    } else if largest.same(b.input(m)) {
        max_num(a, c, m)
    } else {
        max_num(a, b, m)
    }
}

#[inline(always)]
pub(crate) fn integral<T: Float>(a: T, how: Integral, m: impl Env) -> T {
    let a = a.input(m);
    if a.nan() {
        a.quieted()
    } else {
        a.integral(how)
    }
}

#[inline(always)]
fn fract<T: Float>(a: T, m: impl Env) -> T {
    let a = a.input(m);
    let difference = a.add(a.integral(Integral::Floor).negated(), m);
    // Never 1, though a tiny negative number is that close to it.
    let below_one = T::from_bits(T::of(1.0).bits() - 1);
    let result = if difference.less(below_one) {
        difference
    } else {
        below_one
    };
    if difference.nan() {
        difference.quieted()
    } else {
        result.output(m)
    }
}

/// Applies a function that is exact in double precision or rounded there with many bits to spare.
#[inline(always)]
pub(crate) fn approximate<T: Float>(a: T, f: impl Fn(f64) -> f64, m: impl Env) -> T {
    let a = a.input(m);
    let result = f(a.wide());
    if a.nan() {
        a.quieted()
    } else if result.is_nan() {
        // `f` says which sign the NaN of an invalid operand has.
        let nan = T::from_bits(T::FORMAT.default_nan());
        if result.is_sign_negative() {
            nan
        } else {
            nan.magnitude()
        }
    } else {
        T::round(result, m)
    }
}

/// The binary logarithm; that of a negative number is the positive NaN.
fn logarithm(x: f64) -> f64 {
    if x < 0.0 { f64::NAN } else { x.log2() }
}

/// The square root; that of a negative number is the negative NaN.
#[inline(always)]
fn root(x: f64) -> f64 {
    if x < 0.0 { -f64::NAN } else { x.sqrt() }
}

/// The sine of `turns` full turns, exact at the quarters.
fn sine(turns: f64) -> f64 {
    if !turns.is_finite() {
        return f64::NAN;
    }
    if turns == 0.0 {
        return turns;
    }
    let part = turns - turns.floor();
    let (part, sign) = if part >= 0.5 {
        (part - 0.5, -1.0)
    } else {
        (part, 1.0)
    };
    let part = if part > 0.25 { 0.5 - part } else { part };
    sign * (part * std::f64::consts::TAU).sin()
}

/// The cosine of `turns` full turns, exact at the quarters.
fn cosine(turns: f64) -> f64 {
    if !turns.is_finite() {
        return f64::NAN;
    }
    let part = (turns - turns.floor() - 0.5).abs();
    // cos(2 pi x) = -cos(2 pi (x - 1/2)) = sin(2 pi (|x - 1/2| - 1/4)).
    ((part - 0.25) * std::f64::consts::TAU).sin()
}

#[inline(always)]
pub(crate) fn ldexp<T: Float>(a: T, power: i32, m: impl Env) -> T {
    T::from_bits(soft::scale(T::FORMAT, a.bits(), power, T::rules(m)))
}

fn split<T: Float>(a: T) -> Option<(u64, i32)> {
    let field = (1i32 << T::FORMAT.exponent) - 1;
    let magnitude = a.magnitude().bits();
    if a.exponent() == field || magnitude == 0 {
        return None;
    }
    let bias = (1 << (T::FORMAT.exponent - 1)) - 1;
    let fraction = magnitude & ((1 << T::FORMAT.mantissa) - 1);
    if a.exponent() != 0 {
        return Some((fraction, a.exponent() - bias + 1));
    }
    let shift = T::FORMAT.mantissa - (63 - fraction.leading_zeros());
    Some((
        (fraction << shift) & ((1 << T::FORMAT.mantissa) - 1),
        1 - bias + 1 - shift as i32,
    ))
}

#[inline(always)]
fn frexp_exponent<T: Float>(a: T, m: impl Env) -> i32 {
    split(a.input(m)).map_or(0, |(_, exponent)| exponent)
}

#[inline(always)]
fn frexp_mantissa<T: Float>(a: T, m: impl Env) -> T {
    let a = a.input(m);
    let half = ((1u64 << (T::FORMAT.exponent - 1)) - 2) << T::FORMAT.mantissa;
    match split(a) {
        Some((fraction, _)) => {
            let value = T::from_bits(half | fraction);
            if a.negative() { value.negated() } else { value }
        }
        None if a.nan() => a.quieted(),
        None => a,
    }
}

#[inline(always)]
fn class<T: Float>(a: T, which: u32) -> bool {
    let magnitude = a.magnitude().bits();
    let infinity = T::FORMAT.infinity(false);
    let bit = if magnitude > infinity {
        if a.signalling() { 0 } else { 1 }
    } else if magnitude == infinity {
        if a.negative() { 2 } else { 9 }
    } else if a.exponent() > 0 {
        if a.negative() { 3 } else { 8 }
    } else if magnitude > 0 {
        if a.negative() { 4 } else { 7 }
    } else if a.negative() {
        5
    } else {
        6
    };
    which >> bit & 1 == 1
}

fn denormal<T: Float>(a: T) -> bool {
    a.exponent() == 0 && a.magnitude().bits() != 0
}

/// Scales the operands of a division so that the Newton iteration neither overflows nor loses bits.
///
/// `a` is the one of the two to be scaled, `b` the denominator, `c` the numerator; the mask says that the quotient will
/// have to be scaled back. Where the manuals' text would scale a large denominator up, out of the format's range, it is
/// scaled down: only then does the division that compilers build of these instructions come out right.
fn div_scale<T: Float>(a: T, b: T, c: T, far: i32, step: i32, tiny: i32, m: impl Env) -> (T, bool) {
    let (a, b, c) = (a.input(m), b.input(m), c.input(m));
    let zero = |x: T| x.magnitude().bits() == 0;
    let bias = (1 << (T::FORMAT.exponent - 1)) - 1;
    let distance = c.exponent() - b.exponent();
    // The hardware judges the quotient by the exponents alone.
    let (near_overflow, near_denormal) = (distance >= far, distance <= 1 - bias);
    let scaled_back = near_overflow || near_denormal;
    if zero(b) || zero(c) {
        return (
            T::from_bits(T::FORMAT.default_nan()).magnitude(),
            scaled_back,
        );
    }
    let (is_denominator, is_numerator) = (a.same(b), a.same(c));
    let reciprocal_denormal = denormal(T::narrow(1.0 / b.wide()));
    let by = if near_overflow {
        if is_denominator { step } else { 0 }
    } else if denormal(b) {
        step
    } else if reciprocal_denormal && near_denormal {
        if is_denominator { -step } else { 0 }
    } else if reciprocal_denormal {
        -step
    } else if near_denormal {
        if is_numerator { step } else { 0 }
    } else if c.exponent() <= tiny {
        step
    } else {
        0
    };
    (if by == 0 { a } else { ldexp(a, by, m) }, scaled_back)
}

/// The last multiply-add of a division, undoing the scaling of [`div_scale`].
///
/// The manuals print one fixed power of two, but both the denominator and the numerator may have been scaled up; which
/// one it was shows in the size of the quotient.
#[inline(always)]
fn div_fmas<T: Float>(a: T, b: T, c: T, scale: bool, step: i32, m: impl Env) -> T {
    if !scale {
        return a.fma(b, c, m);
    }
    let bias = (1 << (T::FORMAT.exponent - 1)) - 1;
    let power = if c.exponent() > bias { step } else { -step };
    // Rounded once: a quotient in the range of denormals would be wrong in its last bit otherwise.
    T::from_bits(soft::fma_scaled(
        T::FORMAT,
        a.bits(),
        b.bits(),
        c.bits(),
        power,
        T::rules(m),
    ))
}

/// The last step of a division: special operands, sign and gross overflow; `a` is the quotient so far.
#[inline(always)]
fn div_fixup<T: Float>(a: T, b: T, c: T, underflow: Option<i32>, m: impl Env) -> T {
    let (b, c) = (b.input(m), c.input(m));
    let negative = b.negative() != c.negative();
    let signed = |x: T| {
        if negative {
            x.magnitude().negated()
        } else {
            x.magnitude()
        }
    };
    let infinity = T::from_bits(T::FORMAT.infinity(false));
    let zero = T::from_bits(0);
    let is_zero = |x: T| x.magnitude().bits() == 0;
    let is_infinite = |x: T| x.magnitude().bits() == infinity.bits();
    if c.nan() {
        c.quieted()
    } else if b.nan() {
        b.quieted()
    } else if (is_zero(b) && is_zero(c)) || (is_infinite(b) && is_infinite(c)) {
        T::from_bits(T::FORMAT.default_nan()).magnitude()
    } else if is_zero(b) || is_infinite(c) {
        signed(infinity)
    } else if is_infinite(b)
        || is_zero(c)
        || underflow.is_some_and(|limit| c.exponent() - b.exponent() < limit)
    {
        signed(zero)
    } else if a.nan() {
        // An estimate that overflowed on its way here.
        signed(infinity)
    } else {
        signed(a)
    }
}

macro_rules! format_table {
    ($table:ident $cmp:ident $t:ty: $add:ident $sub:ident $mul:ident $fma:ident $min:ident $max:ident $minimum:ident $maximum:ident
     $min3:ident $max3:ident $med3:ident $minmax:ident $maxmin:ident
     $minimum3:ident $maximum3:ident $minimummaximum:ident $maximumminimum:ident
     $floor:ident $ceil:ident $trunc:ident $rndne:ident $fract:ident
     $rcp:ident $rsq:ident $sqrt:ident $exp:ident $log:ident $sin:ident $cos:ident $frexp_exp:ident -> $exp_t:ty, $frexp_mant:ident $class:ident $mad:ident
     ; $f:ident $lt:ident $eq:ident $le:ident $gt:ident $lg:ident $ge:ident $o:ident $u:ident $nge:ident $nlg:ident $ngt:ident $nle:ident $neq:ident $nlt:ident $tru:ident) => {
        lanewise! {
            /// Arithmetic in this format.
            $table:
            $add[m](a: $t, b: $t) -> $t { a.add(b, m) }
            $sub[m](a: $t, b: $t) -> $t { a.add(b.negated(), m) }
            $mul[m](a: $t, b: $t) -> $t { a.mul(b, m) }
            $fma[m](a: $t, b: $t, c: $t) -> $t { a.fma(b, c, m) }
            $mad[m](a: $t, b: $t, c: $t) -> $t { a.mul(b, m).add(c, m) }
            $min[m](a: $t, b: $t) -> $t { min_num(a, b, m) }
            $max[m](a: $t, b: $t) -> $t { max_num(a, b, m) }
            $minimum[m](a: $t, b: $t) -> $t { minimum(a, b, m) }
            $maximum[m](a: $t, b: $t) -> $t { maximum(a, b, m) }
            $min3[m](a: $t, b: $t, c: $t) -> $t { min_num(min_num(a, b, m), c, m) }
            $max3[m](a: $t, b: $t, c: $t) -> $t { max_num(max_num(a, b, m), c, m) }
            $med3[m](a: $t, b: $t, c: $t) -> $t { med3(a, b, c, m) }
            $minmax[m](a: $t, b: $t, c: $t) -> $t { max_num(min_num(a, b, m), c, m) }
            $maxmin[m](a: $t, b: $t, c: $t) -> $t { min_num(max_num(a, b, m), c, m) }
            $minimum3[m](a: $t, b: $t, c: $t) -> $t { minimum(minimum(a, b, m), c, m) }
            $maximum3[m](a: $t, b: $t, c: $t) -> $t { maximum(maximum(a, b, m), c, m) }
            $minimummaximum[m](a: $t, b: $t, c: $t) -> $t { maximum(minimum(a, b, m), c, m) }
            $maximumminimum[m](a: $t, b: $t, c: $t) -> $t { minimum(maximum(a, b, m), c, m) }
            $floor[m](a: $t) -> $t { integral(a, Integral::Floor, m) }
            $ceil[m](a: $t) -> $t { integral(a, Integral::Ceil, m) }
            $trunc[m](a: $t) -> $t { integral(a, Integral::Trunc, m) }
            $rndne[m](a: $t) -> $t { integral(a, Integral::Even, m) }
            $fract[m](a: $t) -> $t { fract(a, m) }
            $rcp[m](a: $t) -> $t { approximate(a, |x| 1.0 / x, m) }
            $rsq[m](a: $t) -> $t { approximate(a, |x| 1.0 / root(x), m) }
            $sqrt[m](a: $t) -> $t { approximate(a, root, m) }
            $exp[m](a: $t) -> $t { approximate(a, f64::exp2, m) }
            $log[m](a: $t) -> $t { approximate(a, logarithm, m) }
            $sin[m](a: $t) -> $t { approximate(a, sine, m) }
            $cos[m](a: $t) -> $t { approximate(a, cosine, m) }
            $frexp_exp[m](a: $t) -> $exp_t { frexp_exponent(a, m) as $exp_t }
            $frexp_mant[m](a: $t) -> $t { frexp_mantissa(a, m) }
            $class(a: $t, b: u32) -> bool { class(a, b) }
        }
        lanewise! {
            /// Comparisons in this format.
            $cmp:
            $f(_a: $t, _b: $t) -> bool { false }
            $lt[m](a: $t, b: $t) -> bool { a.input(m).less(b.input(m)) }
            $eq[m](a: $t, b: $t) -> bool { a.input(m).same(b.input(m)) }
            $le[m](a: $t, b: $t) -> bool { let (a, b) = (a.input(m), b.input(m)); a.less(b) || a.same(b) }
            $gt[m](a: $t, b: $t) -> bool { b.input(m).less(a.input(m)) }
            $lg[m](a: $t, b: $t) -> bool { let (a, b) = (a.input(m), b.input(m)); a.less(b) || b.less(a) }
            $ge[m](a: $t, b: $t) -> bool { let (a, b) = (a.input(m), b.input(m)); b.less(a) || a.same(b) }
            $o(a: $t, b: $t) -> bool { !a.nan() && !b.nan() }
            $u(a: $t, b: $t) -> bool { a.nan() || b.nan() }
            $nge[m](a: $t, b: $t) -> bool { let (a, b) = (a.input(m), b.input(m)); !(b.less(a) || a.same(b)) }
            $nlg[m](a: $t, b: $t) -> bool { let (a, b) = (a.input(m), b.input(m)); !(a.less(b) || b.less(a)) }
            $ngt[m](a: $t, b: $t) -> bool { !b.input(m).less(a.input(m)) }
            $nle[m](a: $t, b: $t) -> bool { let (a, b) = (a.input(m), b.input(m)); !(a.less(b) || a.same(b)) }
            $neq[m](a: $t, b: $t) -> bool { !a.input(m).same(b.input(m)) }
            $nlt[m](a: $t, b: $t) -> bool { !a.input(m).less(b.input(m)) }
            $tru(_a: $t, _b: $t) -> bool { true }
        }
    };
}

format_table!(SINGLE COMPARE_SINGLE f32: add_f32 sub_f32 mul_f32 fma_f32 min_f32 max_f32 minimum_f32 maximum_f32
    min3_f32 max3_f32 med3_f32 minmax_f32 maxmin_f32 minimum3_f32 maximum3_f32 minimummaximum_f32 maximumminimum_f32
    floor_f32 ceil_f32 trunc_f32 rndne_f32 fract_f32
    rcp_f32 rsq_f32 sqrt_f32 exp_f32 log_f32 sin_f32 cos_f32 frexp_exp_i32_f32 -> i32, frexp_mant_f32 class_f32 mad_f32
    ; cmp_f_f32 cmp_lt_f32 cmp_eq_f32 cmp_le_f32 cmp_gt_f32 cmp_lg_f32 cmp_ge_f32 cmp_o_f32 cmp_u_f32 cmp_nge_f32
    cmp_nlg_f32 cmp_ngt_f32 cmp_nle_f32 cmp_neq_f32 cmp_nlt_f32 cmp_tru_f32);
format_table!(HALF COMPARE_HALF F16: add_f16 sub_f16 mul_f16 fma_f16 min_f16 max_f16 minimum_f16 maximum_f16
    min3_f16 max3_f16 med3_f16 minmax_f16 maxmin_f16 minimum3_f16 maximum3_f16 minimummaximum_f16 maximumminimum_f16
    floor_f16 ceil_f16 trunc_f16 rndne_f16 fract_f16
    rcp_f16 rsq_f16 sqrt_f16 exp_f16 log_f16 sin_f16 cos_f16 frexp_exp_i16_f16 -> i16, frexp_mant_f16 class_f16 mad_f16
    ; cmp_f_f16 cmp_lt_f16 cmp_eq_f16 cmp_le_f16 cmp_gt_f16 cmp_lg_f16 cmp_ge_f16 cmp_o_f16 cmp_u_f16 cmp_nge_f16
    cmp_nlg_f16 cmp_ngt_f16 cmp_nle_f16 cmp_neq_f16 cmp_nlt_f16 cmp_tru_f16);
format_table!(DOUBLE COMPARE_DOUBLE f64: add_f64 sub_f64 mul_f64 fma_f64 min_f64 max_f64 minimum_f64 maximum_f64
    min3_f64 max3_f64 med3_f64 minmax_f64 maxmin_f64 minimum3_f64 maximum3_f64 minimummaximum_f64 maximumminimum_f64
    floor_f64 ceil_f64 trunc_f64 rndne_f64 fract_f64
    rcp_f64 rsq_f64 sqrt_f64 exp_f64 log_f64 sin_f64 cos_f64 frexp_exp_i32_f64 -> i32, frexp_mant_f64 class_f64 mad_f64
    ; cmp_f_f64 cmp_lt_f64 cmp_eq_f64 cmp_le_f64 cmp_gt_f64 cmp_lg_f64 cmp_ge_f64 cmp_o_f64 cmp_u_f64 cmp_nge_f64
    cmp_nlg_f64 cmp_ngt_f64 cmp_nle_f64 cmp_neq_f64 cmp_nlt_f64 cmp_tru_f64);

/// The bits of 2/pi after the binary point, most significant first.
const TWO_OVER_PI: [u64; 20] = [
    0xa2f9_836e_4e44_1529,
    0xfc27_57d1_f534_ddc0,
    0xdb62_9599_3c43_9041,
    0xfe51_63ab_debb_c561,
    0xb724_6e3a_424d_d2e0,
    0x0649_2eea_09d1_921c,
    0xfe1d_eb1c_b129_a73e,
    0xe882_35f5_2ebb_4484,
    0xe99c_7026_b45f_7e41,
    0x3991_d639_8353_39f4,
    0x9c84_5f8b_bdf9_283b,
    0x1ff8_97ff_de05_980f,
    0xef2f_118b_5a0a_6d1f,
    0x6d36_7ecf_27cb_09b7,
    0x4f46_3f66_9e5f_ea2d,
    0x7527_bac7_ebe5_f17b,
    0x3d07_39f7_8a52_92ea,
    0x6bfb_5fb1_1f8d_5d08,
    0x5603_3046_fc7b_6bab,
    0xf0cf_bc20_9af4_361d,
];

fn trig_preop(a: f64, segment: u32) -> f64 {
    let exponent = Float::exponent(a);
    let mut shift = (segment & 31) as i32 * 53;
    if exponent > 1077 {
        shift += exponent - 1077;
    }
    let mut result = 0u64;
    for bit in 0..53 {
        let at = shift as usize + bit;
        let value = TWO_OVER_PI
            .get(at / 64)
            .map_or(0, |word| word >> (63 - at % 64) & 1);
        result = (result << 1) | value;
    }
    let mut scale = -53 - shift;
    if exponent >= 1968 {
        scale += 128;
    }
    let rules = soft::Rules::default();
    f64::from_bits(soft::scale(
        soft::F64,
        (result as f64).to_bits(),
        scale,
        rules,
    ))
}

lanewise! {
    /// Operations of one format only.
    SPECIAL:
    ldexp_f32[m](a: f32, b: i32) -> f32 { ldexp(a, b, m) }
    ldexp_f16[m](a: F16, b: i16) -> F16 { ldexp(a, b.into(), m) }
    ldexp_f64[m](a: f64, b: i32) -> f64 { ldexp(a, b, m) }
    div_scale_f32[m](a: f32, b: f32, c: f32) -> (f32, bool) { div_scale(a, b, c, 96, 64, 23, m) }
    div_scale_f64[m](a: f64, b: f64, c: f64) -> (f64, bool) { div_scale(a, b, c, 768, 128, 53, m) }
    div_fmas_f32[m](a: f32, b: f32, c: f32, scale: bool) -> f32 { div_fmas(a, b, c, scale, 64, m) }
    div_fmas_f64[m](a: f64, b: f64, c: f64, scale: bool) -> f64 { div_fmas(a, b, c, scale, 128, m) }
    div_fixup_f32[m](a: f32, b: f32, c: f32) -> f32 { div_fixup(a, b, c, Some(-150), m) }
    div_fixup_f64[m](a: f64, b: f64, c: f64) -> f64 { div_fixup(a, b, c, Some(-1075), m) }
    div_fixup_f16[m](a: F16, b: F16, c: F16) -> F16 { div_fixup(a, b, c, None, m) }
    mul_dx9_f32[m](a: f32, b: f32) -> f32 { if a.input(m) == 0.0 || b.input(m) == 0.0 { 0.0 } else { a.mul(b, m) } }
    fma_dx9_f32[m](a: f32, b: f32, c: f32) -> f32 {
        if a.input(m) == 0.0 || b.input(m) == 0.0 { 0f32.add(c, m) } else { a.fma(b, c, m) }
    }
    mullit_f32[m](a: f32, b: f32, c: f32) -> f32 {
        if b == -f32::MAX || b == f32::NEG_INFINITY || b.is_nan() || c <= 0.0 || c.is_nan() { -f32::MAX } else { a.mul(b, m) }
    }
    trig_preop_f64(a: f64, b: u32) -> f64 { trig_preop(a, b) }
    cubeid_f32(x: f32, y: f32, z: f32) -> f32 {
        if z.abs() >= x.abs() && z.abs() >= y.abs() {
            if z < 0.0 { 5.0 } else { 4.0 }
        } else if y.abs() >= x.abs() {
            if y < 0.0 { 3.0 } else { 2.0 }
        } else if x < 0.0 {
            1.0
        } else {
            0.0
        }
    }
    cubesc_f32(x: f32, y: f32, z: f32) -> f32 {
        if z.abs() >= x.abs() && z.abs() >= y.abs() {
            if z < 0.0 { -x } else { x }
        } else if y.abs() >= x.abs() {
            x
        } else if x < 0.0 {
            z
        } else {
            -z
        }
    }
    cubetc_f32(x: f32, y: f32, z: f32) -> f32 {
        if z.abs() >= x.abs() && z.abs() >= y.abs() {
            -y
        } else if y.abs() >= x.abs() {
            if y < 0.0 { -z } else { z }
        } else {
            -y
        }
    }
    cubema_f32[m](x: f32, y: f32, z: f32) -> f32 {
        let major = if z.abs() >= x.abs() && z.abs() >= y.abs() {
            z
        } else if y.abs() >= x.abs() {
            y
        } else {
            x
        };
        major.mul(2.0, m)
    }
    fma_mix_f32[m](a: Mix, b: Mix, c: Mix) -> f32 { a.0.fma(b.0, c.0, m) }
    fma_mix_f16[m](a: Mix, b: Mix, c: Mix) -> F16 {
        // The hardware multiplies and adds in single precision and rounds its result to half.
        super::convert::half_from_single(a.0.fma(b.0, c.0, m), m)
    }
    mad_mix_f32[m](a: Mix, b: Mix, c: Mix) -> f32 { a.0.mul(b.0, m).add(c.0, m) }
    mad_mix_f16[m](a: Mix, b: Mix, c: Mix) -> F16 {
        super::convert::half_from_single(a.0.mul(b.0, m).add(c.0, m), m)
    }
}

lanewise! {
    /// Pairs of numbers.
    PACKED:
    pk_add_f16[m](a: Pair<F16>, b: Pair<F16>) -> Pair<F16> { a.map2(b, |x, y| x.add(y, m)) }
    pk_mul_f16[m](a: Pair<F16>, b: Pair<F16>) -> Pair<F16> { a.map2(b, |x, y| x.mul(y, m)) }
    pk_fma_f16[m](a: Pair<F16>, b: Pair<F16>, c: Pair<F16>) -> Pair<F16> { a.map3(b, c, |x, y, z| x.fma(y, z, m)) }
    pk_min_f16[m](a: Pair<F16>, b: Pair<F16>) -> Pair<F16> { a.map2(b, |x, y| min_num(x, y, m)) }
    pk_max_f16[m](a: Pair<F16>, b: Pair<F16>) -> Pair<F16> { a.map2(b, |x, y| max_num(x, y, m)) }
    pk_minimum_f16[m](a: Pair<F16>, b: Pair<F16>) -> Pair<F16> { a.map2(b, |x, y| minimum(x, y, m)) }
    pk_maximum_f16[m](a: Pair<F16>, b: Pair<F16>) -> Pair<F16> { a.map2(b, |x, y| maximum(x, y, m)) }
    pk_add_f32[m](a: Pair<f32>, b: Pair<f32>) -> Pair<f32> { a.map2(b, |x, y| x.add(y, m)) }
    pk_mul_f32[m](a: Pair<f32>, b: Pair<f32>) -> Pair<f32> { a.map2(b, |x, y| x.mul(y, m)) }
    pk_fma_f32[m](a: Pair<f32>, b: Pair<f32>, c: Pair<f32>) -> Pair<f32> { a.map3(b, c, |x, y, z| x.fma(y, z, m)) }
    pk_mov_b32(a: Pair<f32>, b: Pair<f32>) -> Pair<f32> { Pair(a.0, b.0) }
}
