//! What atomic operations compute.
//!
//! A meaning takes the old value, the data and, where there is one, the second data operand, and gives the new value.

use crate::float::{Bf16, F16, Float, Mode, Soft};

/// An atomic operation.
pub struct AtomicOp {
    /// The meaning's name.
    pub name: &'static str,
    /// Bytes of the memory operand: 4 or 8.
    pub bytes: u8,
    /// Whether there is a second data operand.
    pub second: bool,
    /// The new value from the old one and the data.
    pub function: fn(u64, u64, u64) -> u64,
}

const KEEP: u32 = 0xf0;

fn add<T: Float>(a: u64, b: u64) -> u64 {
    let mode = Mode::new(KEEP);
    T::from_bits(a).add(T::from_bits(b), Soft(&mode, 0)).bits()
}

fn add_bf16(a: u16, b: u16) -> u16 {
    let mode = Mode::new(KEEP);
    Bf16::narrow(Bf16(a).widen().add(Bf16(b).widen(), Soft(&mode, 0))).0
}

fn halves(a: u64, b: u64, f: impl Fn(u16, u16) -> u16) -> u64 {
    u64::from(f(a as u16, b as u16)) | (u64::from(f((a >> 16) as u16, (b >> 16) as u16)) << 16)
}

fn smaller<T: Float>(old: u64, data: u64) -> u64 {
    if T::from_bits(data).less(T::from_bits(old)) {
        data
    } else {
        old
    }
}

fn larger<T: Float>(old: u64, data: u64) -> u64 {
    if T::from_bits(old).less(T::from_bits(data)) {
        data
    } else {
        old
    }
}

macro_rules! integer {
    ($bytes:literal $u:ty, $i:ty; $add:literal $sub:literal $rsub:literal $smin:literal $smax:literal $umin:literal
     $umax:literal $and:literal $or:literal $xor:literal $inc:literal $dec:literal $swap:literal $cmpswap:literal
     $mskor:literal $subclamp:literal $condsub:literal) => {
        [
            AtomicOp {
                name: $add,
                bytes: $bytes,
                second: false,
                function: |o, d, _| (o as $u).wrapping_add(d as $u).into(),
            },
            AtomicOp {
                name: $sub,
                bytes: $bytes,
                second: false,
                function: |o, d, _| (o as $u).wrapping_sub(d as $u).into(),
            },
            AtomicOp {
                name: $rsub,
                bytes: $bytes,
                second: false,
                function: |o, d, _| (d as $u).wrapping_sub(o as $u).into(),
            },
            AtomicOp {
                name: $smin,
                bytes: $bytes,
                second: false,
                function: |o, d, _| (o as $i).min(d as $i) as $u as u64,
            },
            AtomicOp {
                name: $smax,
                bytes: $bytes,
                second: false,
                function: |o, d, _| (o as $i).max(d as $i) as $u as u64,
            },
            AtomicOp {
                name: $umin,
                bytes: $bytes,
                second: false,
                function: |o, d, _| o.min(d),
            },
            AtomicOp {
                name: $umax,
                bytes: $bytes,
                second: false,
                function: |o, d, _| o.max(d),
            },
            AtomicOp {
                name: $and,
                bytes: $bytes,
                second: false,
                function: |o, d, _| o & d,
            },
            AtomicOp {
                name: $or,
                bytes: $bytes,
                second: false,
                function: |o, d, _| o | d,
            },
            AtomicOp {
                name: $xor,
                bytes: $bytes,
                second: false,
                function: |o, d, _| o ^ d,
            },
            AtomicOp {
                name: $inc,
                bytes: $bytes,
                second: false,
                function: |o, d, _| if o >= d { 0 } else { o + 1 },
            },
            AtomicOp {
                name: $dec,
                bytes: $bytes,
                second: false,
                function: |o, d, _| if o == 0 || o > d { d } else { o - 1 },
            },
            AtomicOp {
                name: $swap,
                bytes: $bytes,
                second: false,
                function: |_, d, _| d,
            },
            AtomicOp {
                name: $cmpswap,
                bytes: $bytes,
                second: true,
                function: |o, d, c| if o == c { d } else { o },
            },
            AtomicOp {
                name: $mskor,
                bytes: $bytes,
                second: true,
                function: |o, d, b| (o & !d) | b,
            },
            AtomicOp {
                name: $subclamp,
                bytes: $bytes,
                second: false,
                function: |o, d, _| o.saturating_sub(d),
            },
            AtomicOp {
                name: $condsub,
                bytes: $bytes,
                second: false,
                function: |o, d, _| if o >= d { o - d } else { o },
            },
        ]
    };
}

/// Integer operations on words.
pub static WORD: [AtomicOp; 17] = integer!(4 u32, i32; "add_u32" "sub_u32" "rsub_u32" "min_i32" "max_i32" "min_u32"
    "max_u32" "and_b32" "or_b32" "xor_b32" "inc_u32" "dec_u32" "swap_b32" "cmpswap_b32" "mskor_b32" "sub_clamp_u32" "cond_sub_u32");

/// Integer operations on double words.
pub static DOUBLE: [AtomicOp; 17] = integer!(8 u64, i64; "add_u64" "sub_u64" "rsub_u64" "min_i64" "max_i64" "min_u64"
    "max_u64" "and_b64" "or_b64" "xor_b64" "inc_u64" "dec_u64" "swap_b64" "cmpswap_b64" "mskor_b64" "sub_clamp_u64" "cond_sub_u64");

/// Operations on floating-point numbers, and the odd ones.
pub static OTHER: [AtomicOp; 12] = [
    AtomicOp {
        name: "add_f32",
        bytes: 4,
        second: false,
        function: |o, d, _| add::<f32>(o, d),
    },
    AtomicOp {
        name: "add_f64",
        bytes: 8,
        second: false,
        function: |o, d, _| add::<f64>(o, d),
    },
    AtomicOp {
        name: "min_f32",
        bytes: 4,
        second: false,
        function: |o, d, _| smaller::<f32>(o, d),
    },
    AtomicOp {
        name: "max_f32",
        bytes: 4,
        second: false,
        function: |o, d, _| larger::<f32>(o, d),
    },
    AtomicOp {
        name: "min_f64",
        bytes: 8,
        second: false,
        function: |o, d, _| smaller::<f64>(o, d),
    },
    AtomicOp {
        name: "max_f64",
        bytes: 8,
        second: false,
        function: |o, d, _| larger::<f64>(o, d),
    },
    AtomicOp {
        name: "pk_add_f16",
        bytes: 4,
        second: false,
        function: |o, d, _| halves(o, d, |a, b| add::<F16>(a.into(), b.into()) as u16),
    },
    AtomicOp {
        name: "pk_add_bf16",
        bytes: 4,
        second: false,
        function: |o, d, _| halves(o, d, add_bf16),
    },
    AtomicOp {
        name: "cmpswap_f32",
        bytes: 4,
        second: true,
        function: |o, d, c| {
            if f32::from_bits(o as u32) == f32::from_bits(c as u32) {
                d
            } else {
                o
            }
        },
    },
    AtomicOp {
        name: "cmpswap_f64",
        bytes: 8,
        second: true,
        function: |o, d, c| {
            if f64::from_bits(o) == f64::from_bits(c) {
                d
            } else {
                o
            }
        },
    },
    AtomicOp {
        name: "wrap_b32",
        bytes: 4,
        second: true,
        function: |o, d, b| if o >= d { o - d } else { o + b },
    },
    AtomicOp {
        name: "condxchg32_b64",
        bytes: 8,
        second: false,
        function: |o, d, _| {
            let word = |o: u32, d: u32| if d >> 31 == 1 { d & 0x7fff_ffff } else { o };
            u64::from(word(o as u32, d as u32))
                | (u64::from(word((o >> 32) as u32, (d >> 32) as u32)) << 32)
        },
    },
];

/// The atomic operation with this name.
pub fn find(name: &str) -> Option<&'static AtomicOp> {
    WORD.iter()
        .chain(&DOUBLE)
        .chain(&OTHER)
        .find(|op| op.name == name)
}
