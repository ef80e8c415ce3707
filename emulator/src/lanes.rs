//! Rows of lanes: the shape in which vector operations are computed.
//!
//! A vector register of one half-wave is a [`Row`] of 32 words, whatever the wave size (a wave of 64 is two halves, as in
//! the hardware). An operation's meaning is a function of one lane's values; [`lanewise!`](crate::lanewise) turns it into
//! kernels over whole rows that the compiler vectorises, one per kind of host and float mode. Nothing here knows where
//! rows come from or where results go: that is [`crate::exec`].

use crate::float::{Env, F16, Float, Mode};

/// Lanes in a row.
pub const LANES: usize = 32;

/// One register of 32 lanes.
#[repr(C, align(64))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row(pub [u32; LANES]);

impl Row {
    /// All lanes zero.
    pub const ZERO: Self = Self([0; LANES]);

    /// The same word in every lane.
    #[inline(always)]
    pub fn splat(value: u32) -> Self {
        Self([value; LANES])
    }

    /// All ones in the lanes whose bit is set, zero in the others.
    #[inline(always)]
    pub fn from_mask(mask: u32) -> Self {
        let mut row = Self::ZERO;
        for (lane, word) in row.0.iter_mut().enumerate() {
            *word = 0u32.wrapping_sub((mask >> lane) & 1);
        }
        row
    }

    /// One bit per lane: its lowest.
    #[inline(always)]
    pub fn to_mask(&self) -> u32 {
        let mut mask = 0;
        for (lane, word) in self.0.iter().enumerate() {
            mask |= (word & 1) << lane;
        }
        mask
    }

    /// Takes `new` in the lanes where `mask` is all ones.
    #[inline(always)]
    pub fn blend(&mut self, new: &Self, mask: &Self) {
        for lane in 0..LANES {
            self.0[lane] = (new.0[lane] & mask.0[lane]) | (self.0[lane] & !mask.0[lane]);
        }
    }
}

/// The consecutive rows that a kernel may read of one operand.
pub type Window = [Row; 2];

/// The operands of a kernel; unused ones repeat another.
pub type Sources<'a> = [&'a Window; 4];

/// What a kernel writes.
#[repr(C)]
pub struct Output {
    /// The result, low word first.
    pub rows: [Row; 2],
    /// The per-lane condition: a comparison or a carry. The lowest bit counts.
    pub mask: Row,
}

impl Output {
    /// All zero.
    pub const ZERO: Self = Self {
        rows: [Row::ZERO; 2],
        mask: Row::ZERO,
    };
}

/// What a kernel needs besides its operands.
#[derive(Clone, Copy)]
pub struct Context<'m> {
    /// The MODE register.
    pub mode: &'m Mode,
    /// Which half of the wave.
    pub half: u32,
}

/// Computes all lanes of an operation.
pub type Kernel = fn(Context<'_>, &Sources<'_>, &mut Output);

/// The type of an operand or result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// A 32-bit integer or untyped word.
    B32,
    /// A single-precision number.
    F32,
    /// A 64-bit unsigned or untyped value: literals are zero-extended.
    B64,
    /// A 64-bit signed integer: literals are sign-extended.
    I64,
    /// A double-precision number: literals are its high word.
    F64,
    /// A 16-bit integer.
    B16,
    /// A half-precision number.
    F16,
    /// A pair of half-precision numbers.
    PkF16,
    /// A pair of 16-bit integers.
    PkB16,
    /// A pair of bfloat16 numbers.
    PkBf16,
    /// A pair of single-precision numbers in two registers.
    PkF32,
    /// A single- or half-precision number, chosen by `op_sel_hi` (mixed-precision multiply-add).
    Mix,
    /// One bit per lane.
    Mask,
}

impl Type {
    /// Registers that a value takes.
    pub const fn rows(self) -> usize {
        match self {
            Self::B64 | Self::I64 | Self::F64 | Self::PkF32 => 2,
            _ => 1,
        }
    }

    /// Whether it is 16 bits wide.
    pub const fn is_16(self) -> bool {
        matches!(self, Self::B16 | Self::F16)
    }

    /// Whether both halves of a register are operated on separately.
    pub const fn is_packed(self) -> bool {
        matches!(self, Self::PkF16 | Self::PkB16 | Self::PkBf16 | Self::PkF32)
    }
}

/// A Rust type that an operand or result of a lane can have.
pub trait Lane: Copy {
    /// How the operand is fetched.
    const TYPE: Type;
    /// Reads the lane.
    fn load(window: &Window, lane: usize) -> Self;
}

/// A Rust type that a lane's results can have.
pub trait Results: Copy {
    /// The type of the register result; `None` if there is only a mask.
    const TYPE: Option<Type>;
    /// Whether there is a mask result.
    const MASK: bool;
    /// Writes the lane.
    fn store(self, out: &mut Output, lane: usize);
}

macro_rules! lane_type {
    ($t:ty, $type:expr, |$w:ident, $l:ident| $load:expr, |$v:ident| $lo:expr $(, $hi:expr)?) => {
        impl Lane for $t {
            const TYPE: Type = $type;
            #[inline(always)]
            fn load($w: &Window, $l: usize) -> Self {
                $load
            }
        }
        impl Results for $t {
            const TYPE: Option<Type> = Some($type);
            const MASK: bool = false;
            #[inline(always)]
            fn store(self, out: &mut Output, lane: usize) {
                let $v = self;
                out.rows[0].0[lane] = $lo;
                $(out.rows[1].0[lane] = $hi;)?
            }
        }
        impl Results for ($t, bool) {
            const TYPE: Option<Type> = Some($type);
            const MASK: bool = true;
            #[inline(always)]
            fn store(self, out: &mut Output, lane: usize) {
                self.0.store(out, lane);
                out.mask.0[lane] = self.1.into();
            }
        }
    };
}

#[inline(always)]
fn wide(w: &Window, l: usize) -> u64 {
    u64::from(w[0].0[l]) | (u64::from(w[1].0[l]) << 32)
}

lane_type!(u32, Type::B32, |w, l| w[0].0[l], |v| v);
lane_type!(i32, Type::B32, |w, l| w[0].0[l] as i32, |v| v as u32);
lane_type!(f32, Type::F32, |w, l| f32::from_bits(w[0].0[l]), |v| v
    .to_bits());
lane_type!(
    u64,
    Type::B64,
    |w, l| wide(w, l),
    |v| v as u32,
    (v >> 32) as u32
);
lane_type!(
    i64,
    Type::I64,
    |w, l| wide(w, l) as i64,
    |v| v as u32,
    (v >> 32) as u32
);
lane_type!(
    f64,
    Type::F64,
    |w, l| f64::from_bits(wide(w, l)),
    |v| v.to_bits() as u32,
    (v.to_bits() >> 32) as u32
);
lane_type!(u16, Type::B16, |w, l| w[0].0[l] as u16, |v| v.into());
lane_type!(i16, Type::B16, |w, l| w[0].0[l] as i16, |v| u32::from(
    v as u16
));
lane_type!(F16, Type::F16, |w, l| F16(w[0].0[l] as u16), |v| v.0.into());

impl Lane for bool {
    const TYPE: Type = Type::Mask;
    #[inline(always)]
    fn load(w: &Window, l: usize) -> Self {
        w[0].0[l] & 1 != 0
    }
}

impl Results for bool {
    const TYPE: Option<Type> = None;
    const MASK: bool = true;
    #[inline(always)]
    fn store(self, out: &mut Output, lane: usize) {
        out.mask.0[lane] = self.into();
    }
}

/// A pair in the two halves of a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair<T>(pub T, pub T);

macro_rules! pair_type {
    ($t:ty, $type:expr, |$bits:ident| $from:expr, |$v:ident| $to:expr) => {
        lane_type!(
            Pair<$t>,
            $type,
            |w, l| {
                let of = |$bits: u16| -> $t { $from };
                let word = w[0].0[l];
                Pair(of(word as u16), of((word >> 16) as u16))
            },
            |pair| {
                let to = |$v: $t| -> u16 { $to };
                u32::from(to(pair.0)) | (u32::from(to(pair.1)) << 16)
            }
        );
    };
}

pair_type!(F16, Type::PkF16, |b| F16(b), |v| v.0);
pair_type!(u16, Type::PkB16, |b| b, |v| v);
pair_type!(i16, Type::PkB16, |b| b as i16, |v| v as u16);
pair_type!(
    crate::float::Bf16,
    Type::PkBf16,
    |b| crate::float::Bf16(b),
    |v| v.0
);
lane_type!(
    Pair<f32>,
    Type::PkF32,
    |w, l| Pair(f32::from_bits(w[0].0[l]), f32::from_bits(w[1].0[l])),
    |v| v.0.to_bits(),
    v.1.to_bits()
);

impl<T: Copy> Pair<T> {
    /// Applies `f` to both halves.
    #[inline(always)]
    pub fn map2<U: Copy, R>(self, b: Pair<U>, f: impl Fn(T, U) -> R) -> Pair<R> {
        Pair(f(self.0, b.0), f(self.1, b.1))
    }
    /// Applies `f` to both halves of three pairs.
    #[inline(always)]
    pub fn map3<R>(self, b: Self, c: Self, f: impl Fn(T, T, T) -> R) -> Pair<R> {
        Pair(f(self.0, b.0, c.0), f(self.1, b.1, c.1))
    }
}

/// An operand of a mixed-precision multiply-add: the fetch has widened it to single precision.
#[derive(Debug, Clone, Copy)]
pub struct Mix(pub f32);

impl Lane for Mix {
    const TYPE: Type = Type::Mix;
    #[inline(always)]
    fn load(w: &Window, l: usize) -> Self {
        Self(f32::from_bits(w[0].0[l]))
    }
}

/// An operation on lanes: its types and its kernels.
#[derive(Clone, Copy)]
pub struct Lanewise {
    /// The name of the meaning, such as `add_u32`; instructions map to it by mnemonic.
    pub name: &'static str,
    /// The operands' types.
    pub sources: &'static [Type],
    /// The register result's type.
    pub result: Option<Type>,
    /// Whether there is a mask result.
    pub mask: bool,
    /// For any host, in the native float mode.
    pub base: Kernel,
    /// For hosts with AVX2 and FMA, in the native float mode; `None` on other architectures.
    pub fused: Option<Kernel>,
    /// In any other float mode.
    pub soft: Kernel,
}

impl Lanewise {
    /// The kernels for this host: in the native float mode, and in any other.
    pub fn kernels(&self) -> [Kernel; 2] {
        [
            self.fused.filter(|_| host_is_fused()).unwrap_or(self.base),
            self.soft,
        ]
    }
}

/// Whether this host runs the kernels compiled for AVX2 and FMA.
pub fn host_is_fused() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        std::arch::is_x86_feature_detected!("avx2")
            && std::arch::is_x86_feature_detected!("fma")
            && std::arch::is_x86_feature_detected!("f16c")
            && std::arch::is_x86_feature_detected!("bmi2")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}

/// A float operation's result under `omod` and `clamp`.
#[inline(always)]
pub fn modify_output<T: Float>(mut value: T, omod: f64, clamp: bool, m: impl Env) -> T {
    if omod != 1.0 {
        value = value.mul(T::of(omod), m);
    }
    if clamp {
        if value.nan() {
            return if m.mode().dx10_clamp {
                T::from_bits(0)
            } else {
                value
            };
        }
        let wide = value.wide();
        // Written so that -0 becomes +0, as the hardware's maximum with zero gives.
        value = if wide > 0.0 {
            if wide > 1.0 { T::of(1.0) } else { value }
        } else {
            T::from_bits(0)
        };
    }
    value
}

/// Defines the meanings of lane-wise operations.
///
/// `name(a: u32, b: u32) -> u32 { ... }` for operations on integers, `name[m](a: f32) -> f32 { ... }` where the float
/// mode matters: `m` is then the [`Env`](crate::float::Env). Each block makes a table `$table` of
/// [`Lanewise`](crate::lanes::Lanewise).
#[macro_export]
macro_rules! lanewise {
    ($(#[$doc:meta])* $table:ident: $($name:ident $([$m:ident])? ($($arg:ident: $type:ty),*) -> $result:ty $body:block)*) => {
        $(#[$doc])*
        pub static $table: &[$crate::lanes::Lanewise] = &[$($crate::lanewise!(@one $name [$($m)?] ($($arg: $type),*) -> $result $body)),*];
    };
    (@one $name:ident [] ($($arg:ident: $type:ty),*) -> $result:ty $body:block) => {{
        #[inline(always)]
        fn lane($($arg: $type),*) -> $result $body
        #[inline(always)]
        fn rows(sources: &$crate::lanes::Sources<'_>, out: &mut $crate::lanes::Output) {
            let mut _sources = sources.iter();
            $(let $arg: &$crate::lanes::Window = $crate::lanewise!(@next _sources);)*
            for index in 0..$crate::lanes::LANES {
                let result = lane($(<$type as $crate::lanes::Lane>::load($arg, index)),*);
                $crate::lanes::Results::store(result, out, index);
            }
        }
        fn base(_: $crate::lanes::Context<'_>, sources: &$crate::lanes::Sources<'_>, out: &mut $crate::lanes::Output) {
            rows(sources, out);
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma,f16c,bmi2")]
        fn vector(sources: &$crate::lanes::Sources<'_>, out: &mut $crate::lanes::Output) {
            rows(sources, out);
        }
        #[cfg(target_arch = "x86_64")]
        fn fused(_: $crate::lanes::Context<'_>, sources: &$crate::lanes::Sources<'_>, out: &mut $crate::lanes::Output) {
            // SAFETY: `Lanewise::kernels` hands this function out only where the host has these features.
            unsafe { vector(sources, out) }
        }
        #[cfg(not(target_arch = "x86_64"))]
        use base as fused;
        $crate::lanewise!(@table $name ($($type),*) $result, base, fused, base)
    }};
    (@one $name:ident [$m:ident] ($($arg:ident: $type:ty),*) -> $result:ty $body:block) => {{
        #[inline(always)]
        fn lane<E: $crate::float::Env>($m: E, $($arg: $type),*) -> $result {
            let _ = $m;
            $body
        }
        #[inline(always)]
        fn rows<E: $crate::float::Env>(m: E, sources: &$crate::lanes::Sources<'_>, out: &mut $crate::lanes::Output) {
            let mut _sources = sources.iter();
            $(let $arg: &$crate::lanes::Window = $crate::lanewise!(@next _sources);)*
            for index in 0..$crate::lanes::LANES {
                let result = lane(m, $(<$type as $crate::lanes::Lane>::load($arg, index)),*);
                $crate::lanes::Results::store(result, out, index);
            }
        }
        fn base(cx: $crate::lanes::Context<'_>, sources: &$crate::lanes::Sources<'_>, out: &mut $crate::lanes::Output) {
            rows($crate::float::Native::<false>(cx.mode, cx.half), sources, out);
        }
        fn soft(cx: $crate::lanes::Context<'_>, sources: &$crate::lanes::Sources<'_>, out: &mut $crate::lanes::Output) {
            rows($crate::float::Soft(cx.mode, cx.half), sources, out);
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma,f16c,bmi2")]
        fn vector(cx: $crate::lanes::Context<'_>, sources: &$crate::lanes::Sources<'_>, out: &mut $crate::lanes::Output) {
            rows($crate::float::Native::<true>(cx.mode, cx.half), sources, out);
        }
        #[cfg(target_arch = "x86_64")]
        fn fused(cx: $crate::lanes::Context<'_>, sources: &$crate::lanes::Sources<'_>, out: &mut $crate::lanes::Output) {
            // SAFETY: `Lanewise::kernels` hands this function out only where the host has these features.
            unsafe { vector(cx, sources, out) }
        }
        #[cfg(not(target_arch = "x86_64"))]
        use base as fused;
        $crate::lanewise!(@table $name ($($type),*) $result, base, fused, soft)
    }};
    (@next $sources:ident) => {
        match $sources.next() {
            Some(window) => window,
            None => return,
        }
    };
    (@table $name:ident ($($type:ty),*) $result:ty, $base:ident, $fused:ident, $soft:ident) => {
        $crate::lanes::Lanewise {
            name: stringify!($name),
            sources: &[$(<$type as $crate::lanes::Lane>::TYPE),*],
            result: <$result as $crate::lanes::Results>::TYPE,
            mask: <$result as $crate::lanes::Results>::MASK,
            base: $base,
            fused: Some($fused),
            soft: $soft,
        }
    };
}
