//! Operations across lanes, and vector operations whose registers are computed.

use codeobject::processor::Family;

use crate::exec::{Cx, Flow};
use crate::float::{Float, Soft};
use crate::isa::decode::{Build, Reason};
use crate::isa::inst::{Class, Inst, Modifier, Source, slot};
use crate::lanes::{Context, LANES, Row, Type};
use crate::ops::int;
use crate::ops::vector::{fetch_row, scalar as operand};

type Make = fn(&Build<'_>) -> Result<Inst, Reason>;

/// Operations across lanes and their decoders.
pub const SPECIAL: &[(&str, Make)] = &[
    ("v_readfirstlane_b32", read_lane),
    ("v_readlane_b32", read_lane),
    ("v_writelane_b32", write_lane),
    ("v_mbcnt_lo_u32_b32", mbcnt),
    ("v_mbcnt_hi_u32_b32", mbcnt),
    ("v_permlane16_b32", permlane),
    ("v_permlanex16_b32", permlane),
    ("v_permlane16_var_b32", permlane),
    ("v_permlanex16_var_b32", permlane),
    ("v_permlane64_b32", permlane64),
    ("v_permlane16_swap_b32", permlane_swap),
    ("v_permlane32_swap_b32", permlane_swap),
    ("ds_permute_b32", permute),
    ("ds_bpermute_b32", permute),
    ("ds_bpermute_fi_b32", permute),
    ("ds_swizzle_b32", swizzle),
    ("v_interp_p10_f32", interpolate),
    ("v_interp_p2_f32", interpolate),
    ("v_mqsad_u32_u8", mqsad),
    ("v_swap_b32", swap),
    ("v_movrels_b32", move_relative),
    ("v_movreld_b32", move_relative),
    ("v_movrelsd_b32", move_relative),
    ("v_movrelsd_2_b32", move_relative),
];

fn read_lane(build: &Build<'_>) -> Result<Inst, Reason> {
    let first = build.line.mnemonic == "v_readfirstlane_b32";
    let mut inst = Inst::new(
        if first {
            |cx, inst| {
                let lane = (cx.w.exec64().trailing_zeros() as usize) % 64;
                let lane = if cx.w.exec64() == 0 { 0 } else { lane };
                cx.w.sgpr[usize::from(inst.dst)] = cx.w.lane(lane, inst.src[0].reg);
                written(cx, inst)
            }
        } else {
            |cx, inst| {
                let lane = operand(cx.w, &inst.src[1]) as usize % cx.w.lanes();
                cx.w.sgpr[usize::from(inst.dst)] = cx.w.lane(lane, inst.src[0].reg);
                written(cx, inst)
            }
        },
        Class::CrossLane,
    );
    inst.dst = build.scalar_dst(0)?;
    inst.src[0] = Source::vector(build.vector(1)?);
    if !first {
        inst.src[1] = build.source(2, Type::B32, 1)?;
    }
    Ok(inst)
}

fn written(cx: &mut Cx<'_>, inst: &Inst) -> Flow {
    if inst.dst >= slot::EXEC && inst.dst < slot::EXEC + 2 {
        cx.w.exec_changed();
    }
    Flow::Next
}

fn write_lane(build: &Build<'_>) -> Result<Inst, Reason> {
    let mut inst = Inst::new(
        |cx, inst| {
            let value = operand(cx.w, &inst.src[0]) as u32;
            let lane = operand(cx.w, &inst.src[1]) as usize % cx.w.lanes();
            cx.w.set_lane(lane, inst.dst, value);
            Flow::Next
        },
        Class::CrossLane,
    );
    inst.dst = build.vector(0)?;
    inst.src[0] = build.source(1, Type::B32, 0)?;
    inst.src[1] = build.source(2, Type::B32, 1)?;
    Ok(inst)
}

/// Counts the bits of a mask below the lane: `lo` those of lanes 0 to 31, `hi` those of lanes 32 to 63.
fn mbcnt(build: &Build<'_>) -> Result<Inst, Reason> {
    let mut inst = Inst::new(
        |cx, inst| {
            for half in 0..cx.w.halves {
                let bits = fetch_row(cx.w, &inst.src[0], half);
                let base = fetch_row(cx.w, &inst.src[1], half);
                let mut result = Row::ZERO;
                for lane in 0..LANES {
                    let below = match (inst.target as usize).cmp(&half) {
                        std::cmp::Ordering::Less => u32::MAX,
                        std::cmp::Ordering::Equal => (1u32 << lane) - 1,
                        std::cmp::Ordering::Greater => 0,
                    };
                    result.0[lane] = (bits.0[lane] & below)
                        .count_ones()
                        .wrapping_add(base.0[lane]);
                }
                let mask = cx.w.exec_rows[half];
                cx.w.row_mut(half, inst.dst).blend(&result, &mask);
            }
            Flow::Next
        },
        Class::CrossLane,
    );
    inst.dst = build.vector(0)?;
    inst.src[0] = build.source(1, Type::B32, 0)?;
    inst.src[1] = build.source(2, Type::B32, 1)?;
    inst.target = u32::from(build.line.mnemonic == "v_mbcnt_hi_u32_b32");
    Ok(inst)
}

/// Bits of [`Inst::target`] for lane permutations.
mod bits {
    /// Inactive lanes may be read.
    pub const FETCH_INACTIVE: u32 = 1;
    /// Lanes that are not readable give zero.
    pub const BOUND: u32 = 2;
    /// The lanes are those of the neighbouring row.
    pub const OTHER_ROW: u32 = 4;
    /// The lane numbers are in a vector register.
    pub const VARIABLE: u32 = 8;
    /// Sends instead of fetching.
    pub const FORWARD: u32 = 16;
    /// The lane number counts within the half.
    pub const HALF: u32 = 32;
}

/// Reads register `reg` of all lanes.
fn all_lanes(cx: &Cx<'_>, reg: u16) -> [u32; 64] {
    std::array::from_fn(|lane| {
        if lane < cx.w.lanes() {
            cx.w.lane(lane, reg)
        } else {
            0
        }
    })
}

/// Writes register `reg` in the active lanes for which there is a value.
fn write_active(cx: &mut Cx<'_>, reg: u16, values: impl Fn(usize) -> Option<u32>) {
    let exec = cx.w.exec64();
    for lane in 0..cx.w.lanes() {
        if exec >> lane & 1 == 1
            && let Some(value) = values(lane)
        {
            cx.w.set_lane(lane, reg, value);
        }
    }
}

fn permlane(build: &Build<'_>) -> Result<Inst, Reason> {
    let mnemonic = build.line.mnemonic;
    let mut inst = Inst::new(
        |cx, inst| {
            let data = all_lanes(cx, inst.src[0].reg);
            let exec = cx.w.exec64();
            let variable = inst.target & bits::VARIABLE != 0;
            let chosen = if variable {
                all_lanes(cx, inst.src[1].reg)
            } else {
                [0; 64]
            };
            let select = if variable {
                0
            } else {
                operand(cx.w, &inst.src[1]) & 0xffff_ffff | (operand(cx.w, &inst.src[2]) << 32)
            };
            write_active(cx, inst.dst, |lane| {
                let row = if inst.target & bits::OTHER_ROW != 0 {
                    (lane & !15) ^ 16
                } else {
                    lane & !15
                };
                let place = if variable {
                    chosen[lane] as usize
                } else {
                    (select >> (4 * (lane & 15))) as usize
                };
                let from = row | (place & 15);
                if inst.target & bits::FETCH_INACTIVE != 0 || exec >> from & 1 == 1 {
                    Some(data[from])
                } else {
                    (inst.target & bits::BOUND != 0).then_some(0)
                }
            });
            Flow::Next
        },
        Class::CrossLane,
    );
    inst.dst = build.vector(0)?;
    inst.src[0] = Source::vector(build.vector(1)?);
    let mut set = |condition: bool, bit: u32| inst.target |= if condition { bit } else { 0 };
    // The first two op_sel bits of this encoding are fetch-inactive and bound-control.
    set(build.raw >> 11 & 1 == 1, bits::FETCH_INACTIVE);
    set(build.raw >> 12 & 1 == 1, bits::BOUND);
    set(mnemonic.contains("permlanex"), bits::OTHER_ROW);
    if mnemonic.contains("_var_") {
        inst.target |= bits::VARIABLE;
        inst.src[1] = Source::vector(build.vector(2)?);
    } else {
        inst.src[1] = build.source(2, Type::B32, 1)?;
        inst.src[2] = build.source(3, Type::B32, 2)?;
    }
    Ok(inst)
}

fn permlane64(build: &Build<'_>) -> Result<Inst, Reason> {
    let mut inst = Inst::new(
        |cx, inst| {
            if cx.w.halves == 2 {
                let data = all_lanes(cx, inst.src[0].reg);
                write_active(cx, inst.dst, |lane| Some(data[lane ^ 32]));
            }
            Flow::Next
        },
        Class::CrossLane,
    );
    inst.dst = build.vector(0)?;
    inst.src[0] = Source::vector(build.vector(1)?);
    Ok(inst)
}

/// Exchanges odd rows of the first register with even rows of the second: rows of 16 or of 32 lanes.
fn permlane_swap(build: &Build<'_>) -> Result<Inst, Reason> {
    let mut inst = Inst::new(
        |cx, inst| {
            let (a, b) = (all_lanes(cx, inst.dst), all_lanes(cx, inst.src[0].reg));
            let step = inst.target as usize;
            write_active(cx, inst.dst, |lane| {
                (lane & step != 0).then(|| b[lane - step])
            });
            write_active(cx, inst.src[0].reg, |lane| {
                (lane & step == 0).then(|| a[lane + step])
            });
            Flow::Next
        },
        Class::CrossLane,
    );
    inst.dst = build.vector(0)?;
    inst.src[0] = Source::vector(build.vector(1)?);
    inst.target = if build.line.mnemonic.contains("permlane16") {
        16
    } else {
        32
    };
    Ok(inst)
}

/// `ds_permute_b32` sends to the addressed lane, `ds_bpermute_b32` fetches from it; addresses count bytes.
fn permute(build: &Build<'_>) -> Result<Inst, Reason> {
    let mut inst = Inst::new(
        |cx, inst| {
            let (addresses, data) = (
                all_lanes(cx, inst.src[0].reg),
                all_lanes(cx, inst.src[1].reg),
            );
            let exec = cx.w.exec64();
            let lanes = cx.w.lanes();
            let other = |lane: usize| {
                let index = (addresses[lane].wrapping_add(inst.imm as u32) / 4) as usize;
                if inst.target & bits::HALF != 0 {
                    (lane & !31) | (index % 32)
                } else {
                    index % lanes
                }
            };
            let mut result = [0; 64];
            for lane in 0..lanes {
                if inst.target & bits::FORWARD != 0 {
                    if exec >> lane & 1 == 1 {
                        result[other(lane)] = data[lane];
                    }
                } else {
                    let from = other(lane);
                    let readable = inst.target & bits::FETCH_INACTIVE != 0 || exec >> from & 1 == 1;
                    result[lane] = if readable { data[from] } else { 0 };
                }
            }
            write_active(cx, inst.dst, |lane| Some(result[lane]));
            Flow::Next
        },
        Class::CrossLane,
    );
    inst.dst = build.vector(0)?;
    inst.src[0] = Source::vector(build.vector(1)?);
    inst.src[1] = Source::vector(build.vector(2)?);
    inst.imm = build.line.integer("offset").unwrap_or(0);
    let mnemonic = build.line.mnemonic;
    inst.target |= if mnemonic == "ds_permute_b32" {
        bits::FORWARD
    } else {
        0
    };
    inst.target |= if mnemonic.contains("_fi_") {
        bits::FETCH_INACTIVE
    } else {
        0
    };
    // From gfx10 on a wave of 64 permutes within its halves.
    inst.target |= if build.arch.family >= Family::Rdna1 {
        bits::HALF
    } else {
        0
    };
    Ok(inst)
}

/// The lane that lane `lane` reads under `ds_swizzle_b32` with this offset.
fn swizzled(offset: u32, lane: usize) -> usize {
    let (half, place) = (lane & !31, lane & 31);
    let field = |shift: u32| (offset >> shift & 31) as usize;
    let from = if offset >= 0xe000 {
        // FFT: reverse the bits that the mask leaves out.
        let mask = field(0);
        let reversed = ((place as u8).reverse_bits() >> 3) as usize;
        (reversed >> mask.count_ones()) | (place & mask)
    } else if offset >= 0xc000 {
        // Rotation of the lanes outside the mask.
        let (mask, by) = (field(0), field(5));
        let rotated = if offset >> 10 & 1 == 1 {
            place + 32 - by
        } else {
            place + by
        } & 31;
        (place & mask) | (rotated & !mask)
    } else if offset & 0x8000 != 0 {
        (place & !3) | (offset >> (2 * (place & 3)) & 3) as usize
    } else {
        ((place & field(0)) | field(5)) ^ field(10)
    };
    half | from
}

fn swizzle(build: &Build<'_>) -> Result<Inst, Reason> {
    let mut inst = Inst::new(
        |cx, inst| {
            let data = all_lanes(cx, inst.src[0].reg);
            let exec = cx.w.exec64();
            write_active(cx, inst.dst, |lane| {
                let from = swizzled(inst.target, lane);
                Some(if exec >> from & 1 == 1 { data[from] } else { 0 })
            });
            Flow::Next
        },
        Class::CrossLane,
    );
    inst.dst = build.vector(0)?;
    inst.src[0] = Source::vector(build.vector(1)?);
    // The text spells some patterns out; the field is in the instruction.
    inst.target = build.raw as u32 & 0xffff;
    Ok(inst)
}

/// Interpolation of an attribute over a quad, whose lanes 0 to 2 hold the attribute's values: `p10` multiplies by the one of
/// lane 1 and adds that of lane 0, `p2` multiplies by the one of lane 2 and adds the lane's own.
fn interpolate(build: &Build<'_>) -> Result<Inst, Reason> {
    let mut inst = Inst::new(
        |cx, inst| {
            let [a, b, c] = [0, 1, 2].map(|operand: usize| {
                let rows = [0, 1].map(|half: usize| {
                    fetch_row(cx.w, &inst.src[operand], half.min(cx.w.halves - 1))
                });
                move |lane: usize| rows[lane / LANES].0[lane % LANES]
            });
            let mode = cx.w.mode;
            let first = inst.target == 1;
            write_active(cx, inst.dst, |lane| {
                let quad = lane & !3;
                let factor = f32::from_bits(a(quad + if first { 1 } else { 2 }));
                let addend = f32::from_bits(c(if first { quad } else { lane }));
                Some(
                    factor
                        .fma(f32::from_bits(b(lane)), addend, Soft(&mode, 0))
                        .to_bits(),
                )
            });
            Flow::Next
        },
        Class::CrossLane,
    );
    let line = build.line;
    if line.has("clamp")
        || line
            .operands
            .iter()
            .any(|operand| operand.neg || operand.abs)
    {
        return Err("modifiers of interpolation are not known".to_owned());
    }
    inst.dst = build.vector(0)?;
    for place in 0..3 {
        inst.src[place] = build.source(place + 1, Type::F32, place)?;
    }
    inst.target = u32::from(line.mnemonic.contains("p10"));
    Ok(inst)
}

/// `v_s_rcp_f32` and its relatives (gfx12): an approximation of the vector unit on scalar registers.
///
/// # Errors
/// When the operands do not fit.
pub fn on_scalar(build: &Build<'_>) -> Result<Inst, Reason> {
    let name = build.line.mnemonic.trim_start_matches("v_s_");
    let op = crate::ops::names::lane(name).ok_or("no such operation")?;
    let [ty] = op.sources else {
        return Err("only operations of one operand are known".to_owned());
    };
    let mut inst = Inst::new(
        |cx, inst| {
            let soft = usize::from(!cx.w.mode.native);
            let mut window = [fetch_row(cx.w, &inst.src[0], 0), Row::ZERO];
            if let Modifier::Scalar { abs, neg, sign, .. } = inst.src[0].modifier {
                let bit = 1u32 << sign;
                for word in &mut window[0].0 {
                    *word = (*word & if abs { !bit } else { u32::MAX }) ^ if neg { bit } else { 0 };
                }
            }
            let context = Context {
                mode: &cx.w.mode,
                half: 0,
            };
            (inst.kernels[soft])(context, &[&window; 4], &mut cx.temps.output);
            cx.w.sgpr[usize::from(inst.dst)] = cx.temps.output.rows[0].0[0];
            written(cx, inst)
        },
        Class::Float,
    );
    if build.line.has("clamp") || build.line.has("mul") || build.line.has("div") {
        return Err("modifiers of the result are not known".to_owned());
    }
    inst.kernels = op.kernels();
    inst.dst = build.scalar_dst(0)?;
    inst.src[0] = build.source(1, *ty, 0)?;
    Ok(inst)
}

/// Four masked sums of absolute differences, at four byte offsets of the first operand, each with an accumulator.
fn mqsad(build: &Build<'_>) -> Result<Inst, Reason> {
    let mut inst = Inst::new(
        |cx, inst| {
            for half in 0..cx.w.halves {
                let data = *cx.w.window(half, inst.src[0].reg);
                let reference = fetch_row(cx.w, &inst.src[1], half);
                let mask = cx.w.exec_rows[half];
                let mut sums = [Row::ZERO; 4];
                for (offset, sum) in sums.iter_mut().enumerate() {
                    let added = *cx.w.row(half, inst.src[2].reg + offset as u16);
                    for lane in 0..LANES {
                        let bytes = u64::from(data[0].0[lane]) | (u64::from(data[1].0[lane]) << 32);
                        let window = (bytes >> (8 * offset)) as u32;
                        sum.0[lane] = int::msad8(window, reference.0[lane], added.0[lane]);
                    }
                }
                for (offset, sum) in sums.iter().enumerate() {
                    cx.w.row_mut(half, inst.dst + offset as u16)
                        .blend(sum, &mask);
                }
            }
            Flow::Next
        },
        Class::Valu,
    );
    if build.line.has("clamp") {
        return Err("clamp is not known for this operation".to_owned());
    }
    inst.dst = build.vector(0)?;
    inst.src[0] = Source::vector(build.vector(1)?);
    inst.src[1] = build.source(2, Type::B32, 1)?;
    inst.src[2] = Source::vector(build.vector(3)?);
    Ok(inst)
}

fn swap(build: &Build<'_>) -> Result<Inst, Reason> {
    let mut inst = Inst::new(
        |cx, inst| {
            for half in 0..cx.w.halves {
                let mask = cx.w.exec_rows[half];
                let (a, b) = (*cx.w.row(half, inst.dst), *cx.w.row(half, inst.src[0].reg));
                cx.w.row_mut(half, inst.dst).blend(&b, &mask);
                cx.w.row_mut(half, inst.src[0].reg).blend(&a, &mask);
            }
            Flow::Next
        },
        Class::Valu,
    );
    inst.dst = build.vector(0)?;
    inst.src[0] = Source::vector(build.vector(1)?);
    Ok(inst)
}

/// Moves whose source or destination register is offset by M0.
fn move_relative(build: &Build<'_>) -> Result<Inst, Reason> {
    let mut inst = Inst::new(
        |cx, inst| {
            let m0 = cx.w.sgpr[usize::from(slot::M0)];
            let (source, target) = match inst.target {
                0 => (m0, 0),
                1 => (0, m0),
                2 => (m0, m0),
                _ => (m0 & 0x3ff, m0 >> 16 & 0x3ff),
            };
            let from = u32::from(inst.src[0].reg).wrapping_add(source);
            let to = u32::from(inst.dst).wrapping_add(target);
            if to > 255 {
                return Flow::Next;
            }
            for half in 0..cx.w.halves {
                let row = if inst.src[0].kind == crate::isa::inst::Kind::Vector {
                    // Registers past the end read as the first.
                    *cx.w.row(half, if from > 255 { 0 } else { from as u16 })
                } else {
                    fetch_row(cx.w, &inst.src[0], half)
                };
                let mask = cx.w.exec_rows[half];
                cx.w.row_mut(half, to as u16).blend(&row, &mask);
            }
            Flow::Next
        },
        Class::Valu,
    );
    inst.dst = build.vector(0)?;
    inst.src[0] = build.source(1, Type::B32, 0)?;
    inst.target = match build.line.mnemonic {
        "v_movrels_b32" => 0,
        "v_movreld_b32" => 1,
        "v_movrelsd_b32" => 2,
        _ => 3,
    };
    Ok(inst)
}

#[cfg(test)]
mod tests {
    use super::swizzled;

    #[test]
    fn swizzle_patterns() {
        // xor by 1 (BITMASK_PERM: and 0x1f, or 0, xor 1).
        assert_eq!(swizzled(0x041f, 6), 7);
        // Quad permutation 3,2,1,0.
        assert_eq!(swizzled(0x801b, 5), 6);
        // Rotation by 4 to higher-numbered sources.
        assert_eq!(swizzled(0xc080, 30), 2);
    }
}
