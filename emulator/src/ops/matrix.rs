//! Matrix operations.
//!
//! The tile of a wave is gathered from the registers of all lanes, multiplied, and scattered. Products accumulate in the
//! order of the inner dimension, each with one rounding.

use crate::exec::{Cx, Flow};
use crate::float::{Bf16, F16, Float, Soft};
use crate::isa::decode::{Build, Reason};
use crate::isa::inst::{Class, Inst, Kind, Source};
use crate::lanes::Type;

type Make = fn(&Build<'_>) -> Result<Inst, Reason>;

/// Matrix operations and their decoders.
pub const SPECIAL: &[(&str, Make)] = &[
    ("v_wmma_f32_16x16x16_f16", wmma),
    ("v_wmma_f32_16x16x16_bf16", wmma),
    ("v_wmma_f16_16x16x16_f16", wmma),
    ("v_wmma_bf16_16x16x16_bf16", wmma),
    ("v_wmma_i32_16x16x16_iu8", wmma),
    ("v_wmma_i32_16x16x16_iu4", wmma),
];

/// The element formats of a matrix operation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Element {
    F32,
    F16,
    Bf16,
    /// Integers of so many bits.
    Int(u32),
}

const WMMA: &[(&str, Element, Element)] = &[
    ("v_wmma_f32_16x16x16_f16", Element::F16, Element::F32),
    ("v_wmma_f32_16x16x16_bf16", Element::Bf16, Element::F32),
    ("v_wmma_f16_16x16x16_f16", Element::F16, Element::F16),
    ("v_wmma_bf16_16x16x16_bf16", Element::Bf16, Element::Bf16),
    ("v_wmma_i32_16x16x16_iu8", Element::Int(8), Element::Int(32)),
    ("v_wmma_i32_16x16x16_iu4", Element::Int(4), Element::Int(32)),
];

/// Bits of [`Inst::imm`].
mod bits {
    /// A is signed (integers) or negated.
    pub const A: i64 = 1;
    /// B is signed (integers) or negated.
    pub const B: i64 = 2;
    /// C is negated.
    pub const C_NEGATED: i64 = 4;
    /// C's magnitude is taken.
    pub const C_ABSOLUTE: i64 = 8;
    /// 16-bit accumulators are in the high halves.
    pub const HIGH: i64 = 16;
    /// Saturate.
    pub const CLAMP: i64 = 32;
}

fn wmma(build: &Build<'_>) -> Result<Inst, Reason> {
    let mut inst = Inst::new(run_wmma, Class::Matrix);
    let kind = WMMA
        .iter()
        .position(|(name, ..)| *name == build.line.mnemonic)
        .ok_or("no such tile")?;
    inst.target = kind as u32;
    inst.dst = build.vector(0)?;
    inst.src[0] = Source::vector(build.vector(1)?);
    inst.src[1] = Source::vector(build.vector(2)?);
    inst.src[2] = match build.vector(3) {
        Ok(reg) => Source::vector(reg),
        Err(_) => build.source(
            3,
            if WMMA[kind].2 == Element::F16 {
                Type::F16
            } else {
                Type::B32
            },
            2,
        )?,
    };
    let list = |key: &str, place: usize| {
        build
            .line
            .list(key)
            .is_some_and(|bits| bits.get(place) == Some(&1))
    };
    for (set, bit) in [
        (list("neg_lo", 0), bits::A),
        (list("neg_lo", 1), bits::B),
        (list("neg_lo", 2), bits::C_NEGATED),
        (list("neg_hi", 2), bits::C_ABSOLUTE),
        (list("op_sel", 2), bits::HIGH),
        (build.line.has("clamp"), bits::CLAMP),
    ] {
        inst.imm |= if set { bit } else { 0 };
    }
    if matches!(WMMA[kind].1, Element::F16 | Element::Bf16) && inst.imm & (bits::A | bits::B) != 0 {
        return Err("negated factors are not known".to_owned());
    }
    Ok(inst)
}

/// Element `k` of the vector that `lane` holds in the registers from `reg`.
fn element(cx: &Cx<'_>, reg: u16, lane: usize, k: usize, format: Element, signed: bool) -> f64 {
    let word = |per: usize| cx.w.lane(lane, reg + (k / per) as u16) >> (32 / per * (k % per));
    match format {
        Element::F32 => f64::from(f32::from_bits(word(1))),
        Element::F16 => F16(word(2) as u16).wide(),
        Element::Bf16 => f64::from(Bf16(word(2) as u16).widen()),
        Element::Int(width) => {
            let bits = word(32 / width as usize) << (32 - width);
            if signed {
                f64::from(bits as i32 >> (32 - width))
            } else {
                f64::from(bits >> (32 - width))
            }
        }
    }
}

/// A 16 x 16 tile with an inner dimension of 16: row `m` of A is in lane `m`, column `n` of B in lane `n`; the accumulator
/// of row `m` and column `n` is in lane `n + 16 i` of register `j` with `m = j * lanes / 16 + i`.
fn run_wmma(cx: &mut Cx<'_>, inst: &Inst) -> Flow {
    let (_, factor, accumulator) = WMMA[inst.target as usize];
    let (signed_a, signed_b) = (inst.imm & bits::A != 0, inst.imm & bits::B != 0);
    let gather = |reg: u16, signed: bool| -> Vec<[f64; 16]> {
        (0..16)
            .map(|lane| std::array::from_fn(|k| element(cx, reg, lane, k, factor, signed)))
            .collect()
    };
    let (a, b) = (
        gather(inst.src[0].reg, signed_a),
        gather(inst.src[1].reg, signed_b),
    );
    let rows_per_register = cx.w.lanes() / 16;
    let mode = cx.w.mode;
    let m = Soft(&mode, 0);
    for register in 0..16 / rows_per_register {
        for lane in 0..cx.w.lanes() {
            let (row, column) = (register * rows_per_register + lane / 16, lane % 16);
            let old = cx.w.lane(lane, inst.dst + register as u16);
            let c = if inst.src[2].kind == Kind::Vector {
                cx.w.lane(lane, inst.src[2].reg + register as u16)
            } else {
                inst.src[2].lo
            };
            let shift = if inst.imm & bits::HIGH != 0 && inst.src[2].kind == Kind::Vector {
                16
            } else {
                0
            };
            let c = match accumulator {
                Element::F16 => F16((c >> shift) as u16).single(),
                Element::Bf16 => Bf16((c >> shift) as u16).widen(),
                _ => f32::from_bits(c),
            };
            let value = if let Element::Int(_) = accumulator {
                // Sums of 16 products of bytes are exact in double precision.
                let sum: f64 = (0..16).map(|k| a[row][k] * b[column][k]).sum();
                let total = sum as i64 + i64::from(c.to_bits() as i32);
                if inst.imm & bits::CLAMP != 0 {
                    total.clamp(i32::MIN.into(), i32::MAX.into()) as i32 as u32
                } else {
                    total as u32
                }
            } else {
                let c = if inst.imm & bits::C_ABSOLUTE != 0 {
                    c.abs()
                } else {
                    c
                };
                let c = if inst.imm & bits::C_NEGATED != 0 {
                    -c
                } else {
                    c
                };
                let sum = (0..16).fold(c, |sum, k| {
                    (a[row][k] as f32).fma(b[column][k] as f32, sum, m)
                });
                let half = |bits: u16| {
                    let high = inst.imm & bits::HIGH != 0;
                    if high {
                        (old & 0xffff) | (u32::from(bits) << 16)
                    } else {
                        (old & 0xffff_0000) | u32::from(bits)
                    }
                };
                match accumulator {
                    Element::F16 => half(super::convert::half_from_single(sum, m).0),
                    Element::Bf16 => half(Bf16::narrow(sum).0),
                    _ => sum.to_bits(),
                }
            };
            cx.w.set_lane(lane, inst.dst + register as u16, value);
        }
    }
    Flow::Next
}
