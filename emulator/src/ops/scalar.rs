//! Scalar arithmetic.
//!
//! A meaning is a function of up to three operands that gives a result and, for most, the new SCC. Control flow and the
//! operations that write EXEC besides their destination are in [`super::control`].

use crate::exec::{Cx, Flow};
use crate::float::{F16, Float, Integral, Mode, Soft};
use crate::isa::inst::{Detail, Inst, slot};
use crate::lanes::{Pair, Type};
use crate::ops::convert::{float_to_float, half_from_single};
use crate::ops::float::{integral, max_num, maximum, min_num, minimum};
use crate::ops::vector::scalar as operand;

/// What a scalar operation may look at besides its operands.
#[derive(Clone, Copy)]
pub struct Status<'m> {
    /// SCC before the operation.
    pub scc: bool,
    /// The MODE register.
    pub mode: &'m Mode,
}

impl Status<'_> {
    fn env(&self) -> Soft<'_> {
        Soft(self.mode, 0)
    }
}

/// A scalar operation.
pub struct ScalarOp {
    /// The meaning's name.
    pub name: &'static str,
    /// The operands' types.
    pub sources: &'static [Type],
    /// The result's type; `None` if there is only SCC.
    pub result: Option<Type>,
    /// Whether SCC is written.
    pub scc: bool,
    /// The meaning.
    pub function: fn(Status<'_>, [u64; 3]) -> (u64, bool),
}

/// A Rust type of a scalar operand or result.
trait Value: Copy {
    const TYPE: Type;
    fn decode(bits: u64) -> Self;
    fn encode(self) -> u64;
}

macro_rules! values {
    ($($t:ty, $type:expr, |$b:ident| $from:expr, |$v:ident| $to:expr;)*) => {$(
        impl Value for $t {
            const TYPE: Type = $type;
            fn decode($b: u64) -> Self {
                $from
            }
            fn encode(self) -> u64 {
                let $v = self;
                $to
            }
        }
    )*};
}

values! {
    u32, Type::B32, |b| b as u32, |v| u64::from(v);
    i32, Type::B32, |b| b as i32, |v| u64::from(v as u32);
    u64, Type::B64, |b| b, |v| v;
    i64, Type::I64, |b| b as i64, |v| v as u64;
    f32, Type::F32, |b| f32::from_bits(b as u32), |v| u64::from(v.to_bits());
    F16, Type::F16, |b| F16(b as u16), |v| u64::from(v.0);
    Pair<F16>, Type::PkF16, |b| Pair(F16(b as u16), F16((b >> 16) as u16)), |v| u64::from(v.0.0) | u64::from(v.1.0) << 16;
}

trait Outcome {
    const TYPE: Option<Type>;
    const SCC: bool;
    fn parts(self) -> (u64, bool);
}

impl<T: Value> Outcome for T {
    const TYPE: Option<Type> = Some(T::TYPE);
    const SCC: bool = false;
    fn parts(self) -> (u64, bool) {
        (self.encode(), false)
    }
}

/// A result and SCC.
struct Flag<T>(T, bool);

impl<T: Value> Outcome for Flag<T> {
    const TYPE: Option<Type> = Some(T::TYPE);
    const SCC: bool = true;
    fn parts(self) -> (u64, bool) {
        (self.0.encode(), self.1)
    }
}

/// SCC alone.
struct Only(bool);

impl Outcome for Only {
    const TYPE: Option<Type> = None;
    const SCC: bool = true;
    fn parts(self) -> (u64, bool) {
        (0, self.0)
    }
}

/// A result whose SCC says whether it is not zero.
struct NonZero<T>(T);

impl<T: Value> Outcome for NonZero<T> {
    const TYPE: Option<Type> = Some(T::TYPE);
    const SCC: bool = true;
    fn parts(self) -> (u64, bool) {
        let bits = self.0.encode();
        (bits, bits != 0)
    }
}

macro_rules! scalar {
    ($(#[$doc:meta])* $table:ident: $($name:ident $([$s:ident])? ($($arg:ident: $type:ty),*) -> $result:ty $body:block)*) => {
        $(#[$doc])*
        pub static $table: &[ScalarOp] = &[$({
            fn function(_status: Status<'_>, sources: [u64; 3]) -> (u64, bool) {
                $(let $s = _status;)?
                let mut _sources = sources.into_iter();
                $(let $arg: $type = Value::decode(_sources.next().unwrap_or(0));)*
                let result: $result = $body;
                result.parts()
            }
            ScalarOp {
                name: stringify!($name),
                sources: &[$(<$type as Value>::TYPE),*],
                result: <$result as Outcome>::TYPE,
                scc: <$result as Outcome>::SCC,
                function,
            }
        }),*];
    };
}

fn bfe(value: u128, control: u32, bits: u32, signed: bool) -> u128 {
    let offset = control & (bits - 1);
    let width = (control >> 16) & 0x7f;
    let field = if width >= 127 {
        u128::MAX
    } else {
        (1u128 << width) - 1
    };
    let extended = if signed && value >> (bits - 1) & 1 == 1 {
        value | (u128::MAX << bits)
    } else {
        value
    };
    let part = (extended >> offset) & field;
    if signed && width > 0 && width < 127 && part >> (width - 1) & 1 == 1 {
        part | (u128::MAX << width)
    } else {
        part
    }
}

fn spread_quads(value: u64) -> u64 {
    let any = (0..16).filter(|i| value >> (4 * i) & 15 != 0);
    any.fold(0, |mask, i| mask | 15 << (4 * i))
}

fn gather_quads(value: u64) -> u64 {
    (0..16)
        .filter(|i| value >> (4 * i) & 15 != 0)
        .fold(0, |mask, i| mask | 1 << i)
}

fn added(a: u32, b: u32, carry: bool) -> Flag<u32> {
    let sum = u64::from(a) + u64::from(b) + u64::from(carry);
    Flag(sum as u32, sum >> 32 != 0)
}

fn subtracted(a: u32, b: u32, borrow: bool) -> Flag<u32> {
    let difference = i64::from(a) - i64::from(b) - i64::from(borrow);
    Flag(difference as u32, difference < 0)
}

fn shifted_add(a: u32, b: u32, by: u32) -> Flag<u32> {
    let sum = (u64::from(a) << by) + u64::from(b);
    Flag(sum as u32, sum >> 32 != 0)
}

scalar! {
    /// Integer and bit operations.
    INTEGER:
    mov_b32(a: u32) -> u32 { a }
    mov_b64(a: u64) -> u64 { a }
    cmov_b32[s](a: u32, old: u32) -> u32 { if s.scc { a } else { old } }
    cmov_b64[s](a: u64, old: u64) -> u64 { if s.scc { a } else { old } }
    cselect_b32[s](a: u32, b: u32) -> u32 { if s.scc { a } else { b } }
    cselect_b64[s](a: u64, b: u64) -> u64 { if s.scc { a } else { b } }
    add_u32(a: u32, b: u32) -> Flag<u32> { added(a, b, false) }
    addc_u32[s](a: u32, b: u32) -> Flag<u32> { added(a, b, s.scc) }
    sub_u32(a: u32, b: u32) -> Flag<u32> { subtracted(a, b, false) }
    subb_u32[s](a: u32, b: u32) -> Flag<u32> { subtracted(a, b, s.scc) }
    add_i32(a: i32, b: i32) -> Flag<i32> { let (r, o) = a.overflowing_add(b); Flag(r, o) }
    sub_i32(a: i32, b: i32) -> Flag<i32> { let (r, o) = a.overflowing_sub(b); Flag(r, o) }
    add_u64(a: u64, b: u64) -> u64 { a.wrapping_add(b) }
    sub_u64(a: u64, b: u64) -> u64 { a.wrapping_sub(b) }
    mul_u64(a: u64, b: u64) -> u64 { a.wrapping_mul(b) }
    mul_i32(a: i32, b: i32) -> i32 { a.wrapping_mul(b) }
    mul_hi_u32(a: u32, b: u32) -> u32 { ((u64::from(a) * u64::from(b)) >> 32) as u32 }
    mul_hi_i32(a: i32, b: i32) -> i32 { ((i64::from(a) * i64::from(b)) >> 32) as i32 }
    lshl1_add_u32(a: u32, b: u32) -> Flag<u32> { shifted_add(a, b, 1) }
    lshl2_add_u32(a: u32, b: u32) -> Flag<u32> { shifted_add(a, b, 2) }
    lshl3_add_u32(a: u32, b: u32) -> Flag<u32> { shifted_add(a, b, 3) }
    lshl4_add_u32(a: u32, b: u32) -> Flag<u32> { shifted_add(a, b, 4) }
    min_i32(a: i32, b: i32) -> Flag<i32> { Flag(a.min(b), a < b) }
    max_i32(a: i32, b: i32) -> Flag<i32> { Flag(a.max(b), a >= b) }
    min_u32(a: u32, b: u32) -> Flag<u32> { Flag(a.min(b), a < b) }
    max_u32(a: u32, b: u32) -> Flag<u32> { Flag(a.max(b), a >= b) }
    abs_i32(a: i32) -> NonZero<i32> { NonZero(a.wrapping_abs()) }
    absdiff_i32(a: i32, b: i32) -> NonZero<i32> { NonZero(a.wrapping_sub(b).wrapping_abs()) }
    and_b32(a: u32, b: u32) -> NonZero<u32> { NonZero(a & b) }
    and_b64(a: u64, b: u64) -> NonZero<u64> { NonZero(a & b) }
    or_b32(a: u32, b: u32) -> NonZero<u32> { NonZero(a | b) }
    or_b64(a: u64, b: u64) -> NonZero<u64> { NonZero(a | b) }
    xor_b32(a: u32, b: u32) -> NonZero<u32> { NonZero(a ^ b) }
    xor_b64(a: u64, b: u64) -> NonZero<u64> { NonZero(a ^ b) }
    nand_b32(a: u32, b: u32) -> NonZero<u32> { NonZero(!(a & b)) }
    nand_b64(a: u64, b: u64) -> NonZero<u64> { NonZero(!(a & b)) }
    nor_b32(a: u32, b: u32) -> NonZero<u32> { NonZero(!(a | b)) }
    nor_b64(a: u64, b: u64) -> NonZero<u64> { NonZero(!(a | b)) }
    xnor_b32(a: u32, b: u32) -> NonZero<u32> { NonZero(!(a ^ b)) }
    xnor_b64(a: u64, b: u64) -> NonZero<u64> { NonZero(!(a ^ b)) }
    and_not1_b32(a: u32, b: u32) -> NonZero<u32> { NonZero(a & !b) }
    and_not1_b64(a: u64, b: u64) -> NonZero<u64> { NonZero(a & !b) }
    or_not1_b32(a: u32, b: u32) -> NonZero<u32> { NonZero(a | !b) }
    or_not1_b64(a: u64, b: u64) -> NonZero<u64> { NonZero(a | !b) }
    and_not0_b32(a: u32, b: u32) -> NonZero<u32> { NonZero(!a & b) }
    and_not0_b64(a: u64, b: u64) -> NonZero<u64> { NonZero(!a & b) }
    or_not0_b32(a: u32, b: u32) -> NonZero<u32> { NonZero(!a | b) }
    or_not0_b64(a: u64, b: u64) -> NonZero<u64> { NonZero(!a | b) }
    not_b32(a: u32) -> NonZero<u32> { NonZero(!a) }
    not_b64(a: u64) -> NonZero<u64> { NonZero(!a) }
    lshl_b32(a: u32, b: u32) -> NonZero<u32> { NonZero(a << (b & 31)) }
    lshl_b64(a: u64, b: u32) -> NonZero<u64> { NonZero(a << (b & 63)) }
    lshr_b32(a: u32, b: u32) -> NonZero<u32> { NonZero(a >> (b & 31)) }
    lshr_b64(a: u64, b: u32) -> NonZero<u64> { NonZero(a >> (b & 63)) }
    ashr_i32(a: i32, b: u32) -> NonZero<i32> { NonZero(a >> (b & 31)) }
    ashr_i64(a: i64, b: u32) -> NonZero<i64> { NonZero(a >> (b & 63)) }
    bfe_u32(a: u32, b: u32) -> NonZero<u32> { NonZero(bfe(a.into(), b, 32, false) as u32) }
    bfe_i32(a: u32, b: u32) -> NonZero<u32> { NonZero(bfe(a.into(), b, 32, true) as u32) }
    bfe_u64(a: u64, b: u32) -> NonZero<u64> { NonZero(bfe(a.into(), b, 64, false) as u64) }
    bfe_i64(a: u64, b: u32) -> NonZero<u64> { NonZero(bfe(a.into(), b, 64, true) as u64) }
    bfm_b32(a: u32, b: u32) -> u32 { ((1u32 << (a & 31)) - 1) << (b & 31) }
    bfm_b64(a: u32, b: u32) -> u64 { ((1u64 << (a & 63)) - 1) << (b & 63) }
    brev_b32(a: u32) -> u32 { a.reverse_bits() }
    brev_b64(a: u64) -> u64 { a.reverse_bits() }
    bcnt0_b32(a: u32) -> NonZero<u32> { NonZero(a.count_zeros()) }
    bcnt0_b64(a: u64) -> NonZero<u32> { NonZero(a.count_zeros()) }
    bcnt1_b32(a: u32) -> NonZero<u32> { NonZero(a.count_ones()) }
    bcnt1_b64(a: u64) -> NonZero<u32> { NonZero(a.count_ones()) }
    ctz_b32(a: u32) -> i32 { if a == 0 { -1 } else { a.trailing_zeros() as i32 } }
    ctz_b64(a: u64) -> i32 { if a == 0 { -1 } else { a.trailing_zeros() as i32 } }
    ctz0_b32(a: u32) -> i32 { if !a == 0 { -1 } else { a.trailing_ones() as i32 } }
    ctz0_b64(a: u64) -> i32 { if !a == 0 { -1 } else { a.trailing_ones() as i32 } }
    clz_u32(a: u32) -> i32 { if a == 0 { -1 } else { a.leading_zeros() as i32 } }
    clz_u64(a: u64) -> i32 { if a == 0 { -1 } else { a.leading_zeros() as i32 } }
    cls_i32(a: i32) -> i32 { let same = a ^ (a >> 31); if same == 0 { -1 } else { same.leading_zeros() as i32 } }
    cls_i64(a: i64) -> i32 { let same = a ^ (a >> 63); if same == 0 { -1 } else { same.leading_zeros() as i32 } }
    sext_i8(a: u32) -> i32 { (a as u8 as i8).into() }
    sext_i16(a: u32) -> i32 { (a as u16 as i16).into() }
    bitset0_b32(a: u32, old: u32) -> u32 { old & !(1 << (a & 31)) }
    bitset1_b32(a: u32, old: u32) -> u32 { old | (1 << (a & 31)) }
    bitset0_b64(a: u32, old: u64) -> u64 { old & !(1 << (a & 63)) }
    bitset1_b64(a: u32, old: u64) -> u64 { old | (1 << (a & 63)) }
    bitreplicate_b64_b32(a: u32) -> u64 {
        (0..32).filter(|i| a >> i & 1 == 1).fold(0, |bits, i| bits | 3 << (2 * i))
    }
    quadmask_b32(a: u32) -> NonZero<u32> { NonZero(gather_quads(a.into()) as u32) }
    quadmask_b64(a: u64) -> NonZero<u64> { NonZero(gather_quads(a)) }
    wqm_b32(a: u32) -> NonZero<u32> { NonZero(spread_quads(a.into()) as u32) }
    wqm_b64(a: u64) -> NonZero<u64> { NonZero(spread_quads(a)) }
    pack_ll(a: u32, b: u32) -> u32 { (a & 0xffff) | (b << 16) }
    pack_lh(a: u32, b: u32) -> u32 { (a & 0xffff) | (b & 0xffff_0000) }
    pack_hh(a: u32, b: u32) -> u32 { (a >> 16) | (b & 0xffff_0000) }
    pack_hl(a: u32, b: u32) -> u32 { (a >> 16) | (b << 16) }
    bitcmp0_b32(a: u32, b: u32) -> Only { Only(a >> (b & 31) & 1 == 0) }
    bitcmp1_b32(a: u32, b: u32) -> Only { Only(a >> (b & 31) & 1 == 1) }
    bitcmp0_b64(a: u64, b: u32) -> Only { Only(a >> (b & 63) & 1 == 0) }
    bitcmp1_b64(a: u64, b: u32) -> Only { Only(a >> (b & 63) & 1 == 1) }
    cmp_eq_i32(a: u32, b: u32) -> Only { Only(a == b) }
    cmp_lg_i32(a: u32, b: u32) -> Only { Only(a != b) }
    cmp_gt_i32(a: i32, b: i32) -> Only { Only(a > b) }
    cmp_ge_i32(a: i32, b: i32) -> Only { Only(a >= b) }
    cmp_lt_i32(a: i32, b: i32) -> Only { Only(a < b) }
    cmp_le_i32(a: i32, b: i32) -> Only { Only(a <= b) }
    cmp_gt_u32(a: u32, b: u32) -> Only { Only(a > b) }
    cmp_ge_u32(a: u32, b: u32) -> Only { Only(a >= b) }
    cmp_lt_u32(a: u32, b: u32) -> Only { Only(a < b) }
    cmp_le_u32(a: u32, b: u32) -> Only { Only(a <= b) }
    cmp_eq_u64(a: u64, b: u64) -> Only { Only(a == b) }
    cmp_lg_u64(a: u64, b: u64) -> Only { Only(a != b) }
}

macro_rules! scalar_float {
    ($table:ident $t:ty: $add:ident $sub:ident $mul:ident $fma:ident $min:ident $max:ident $minimum:ident $maximum:ident
     $floor:ident $ceil:ident $trunc:ident $rndne:ident
     $lt:ident $eq:ident $le:ident $gt:ident $lg:ident $ge:ident $o:ident $u:ident
     $nge:ident $nlg:ident $ngt:ident $nle:ident $neq:ident $nlt:ident) => {
        scalar! {
            /// Floating-point operations in one format.
            $table:
            $add[s](a: $t, b: $t) -> $t { a.add(b, s.env()) }
            $sub[s](a: $t, b: $t) -> $t { a.add(b.negated(), s.env()) }
            $mul[s](a: $t, b: $t) -> $t { a.mul(b, s.env()) }
            $fma[s](a: $t, b: $t, c: $t) -> $t { a.fma(b, c, s.env()) }
            $min[s](a: $t, b: $t) -> $t { min_num(a, b, s.env()) }
            $max[s](a: $t, b: $t) -> $t { max_num(a, b, s.env()) }
            $minimum[s](a: $t, b: $t) -> $t { minimum(a, b, s.env()) }
            $maximum[s](a: $t, b: $t) -> $t { maximum(a, b, s.env()) }
            $floor[s](a: $t) -> $t { integral(a, Integral::Floor, s.env()) }
            $ceil[s](a: $t) -> $t { integral(a, Integral::Ceil, s.env()) }
            $trunc[s](a: $t) -> $t { integral(a, Integral::Trunc, s.env()) }
            $rndne[s](a: $t) -> $t { integral(a, Integral::Even, s.env()) }
            $lt[s](a: $t, b: $t) -> Only { let m = s.env(); Only(a.input(m).less(b.input(m))) }
            $eq[s](a: $t, b: $t) -> Only { let m = s.env(); Only(a.input(m).same(b.input(m))) }
            $le[s](a: $t, b: $t) -> Only { let m = s.env(); Only(a.input(m).less(b.input(m)) || a.input(m).same(b.input(m))) }
            $gt[s](a: $t, b: $t) -> Only { let m = s.env(); Only(b.input(m).less(a.input(m))) }
            $lg[s](a: $t, b: $t) -> Only { let m = s.env(); Only(b.input(m).less(a.input(m)) || a.input(m).less(b.input(m))) }
            $ge[s](a: $t, b: $t) -> Only { let m = s.env(); Only(b.input(m).less(a.input(m)) || a.input(m).same(b.input(m))) }
            $o(a: $t, b: $t) -> Only { Only(!a.nan() && !b.nan()) }
            $u(a: $t, b: $t) -> Only { Only(a.nan() || b.nan()) }
            $nge[s](a: $t, b: $t) -> Only { let m = s.env(); Only(!(b.input(m).less(a.input(m)) || a.input(m).same(b.input(m)))) }
            $nlg[s](a: $t, b: $t) -> Only { let m = s.env(); Only(!(b.input(m).less(a.input(m)) || a.input(m).less(b.input(m)))) }
            $ngt[s](a: $t, b: $t) -> Only { let m = s.env(); Only(!b.input(m).less(a.input(m))) }
            $nle[s](a: $t, b: $t) -> Only { let m = s.env(); Only(!(a.input(m).less(b.input(m)) || a.input(m).same(b.input(m)))) }
            $neq[s](a: $t, b: $t) -> Only { let m = s.env(); Only(!a.input(m).same(b.input(m))) }
            $nlt[s](a: $t, b: $t) -> Only { let m = s.env(); Only(!a.input(m).less(b.input(m))) }
        }
    };
}

scalar_float!(SINGLE f32: add_f32 sub_f32 mul_f32 fma_f32 min_f32 max_f32 minimum_f32 maximum_f32
    floor_f32 ceil_f32 trunc_f32 rndne_f32
    cmp_lt_f32 cmp_eq_f32 cmp_le_f32 cmp_gt_f32 cmp_lg_f32 cmp_ge_f32 cmp_o_f32 cmp_u_f32
    cmp_nge_f32 cmp_nlg_f32 cmp_ngt_f32 cmp_nle_f32 cmp_neq_f32 cmp_nlt_f32);
scalar_float!(HALF F16: add_f16 sub_f16 mul_f16 fma_f16 min_f16 max_f16 minimum_f16 maximum_f16
    floor_f16 ceil_f16 trunc_f16 rndne_f16
    cmp_lt_f16 cmp_eq_f16 cmp_le_f16 cmp_gt_f16 cmp_lg_f16 cmp_ge_f16 cmp_o_f16 cmp_u_f16
    cmp_nge_f16 cmp_nlg_f16 cmp_ngt_f16 cmp_nle_f16 cmp_neq_f16 cmp_nlt_f16);

fn from_integer(value: i64, status: Status<'_>) -> f32 {
    use crate::float::soft;
    f32::from_bits(soft::from_integer(soft::F32, value.into(), status.mode.single) as u32)
}

fn toward_zero(value: f32, status: Status<'_>) -> F16 {
    use crate::float::soft;
    let rules = soft::Rules {
        round: soft::Round::Zero,
        ..status.mode.double
    };
    F16(soft::convert(
        soft::F32,
        soft::F16,
        value.to_bits().into(),
        status.mode.single.flush_in,
        rules,
    ) as u16)
}

scalar! {
    /// Conversions.
    CONVERT:
    cvt_f32_i32[s](a: i32) -> f32 { from_integer(a.into(), s) }
    cvt_f32_u32[s](a: u32) -> f32 { from_integer(a.into(), s) }
    cvt_i32_f32(a: f32) -> i32 { a as i32 }
    cvt_u32_f32(a: f32) -> u32 { a as u32 }
    cvt_f16_f32[s](a: f32) -> F16 { half_from_single(a, s.env()) }
    cvt_f32_f16[s](a: F16) -> f32 { float_to_float(a, s.env()) }
    cvt_hi_f32_f16[s](a: u32) -> f32 { float_to_float(F16((a >> 16) as u16), s.env()) }
    cvt_pk_rtz_f16_f32[s](a: f32, b: f32) -> Pair<F16> { Pair(toward_zero(a, s), toward_zero(b, s)) }
}

/// Executes a scalar operation.
pub fn run(cx: &mut Cx<'_>, inst: &Inst) -> Flow {
    let Detail::Scalar(op) = inst.detail else {
        return Flow::Next;
    };
    let wave = &mut *cx.w;
    let mut sources = [0; 3];
    for (value, source) in sources
        .iter_mut()
        .zip(&inst.src[..usize::from(inst.sources)])
    {
        *value = operand(wave, source);
    }
    let (result, scc) = (op.function)(
        Status {
            scc: wave.scc,
            mode: &wave.mode,
        },
        sources,
    );
    match inst.rows {
        0 => {}
        1 => wave.sgpr[usize::from(inst.dst)] = result as u32,
        _ => wave.set_sgpr64(inst.dst, result),
    }
    if op.scc {
        wave.scc = scc;
    }
    if inst.dst >= slot::EXEC && inst.dst < slot::EXEC + 2 {
        wave.exec_changed();
    }
    Flow::Next
}
