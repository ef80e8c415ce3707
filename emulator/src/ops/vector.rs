//! How a lane-wise operation gets its operands and delivers its results.
//!
//! Operands come from vector registers (used in place), scalar registers, constants and lane masks (spread over a row);
//! results go where EXEC is set. Instructions without modifiers take the short way, [`run_plain`]; everything else
//! (source modifiers, 16-bit destinations, clamp, DPP, SDWA) goes through [`run_full`].

use crate::exec::{Cx, Flow};
use crate::float::{F16, Float, Native, Soft, widen_f16};
use crate::isa::inst::{
    Detail, Dpp, Finish, Inst, Kind, Modifier, Permute, Select, Source, Unused, slot,
};
use crate::lanes::{Context, LANES, Output, Row, Type, Window, modify_output};
use crate::wave::Wave;

/// An operand of half `half`, in its register or spread over `temp`.
#[inline(always)]
fn fetch<'t>(wave: &'t Wave, source: &Source, half: usize, temp: &'t mut Window) -> &'t Window {
    let spread = |temp: &'t mut Window, lo: u32, hi: u32| {
        temp[0] = Row::splat(lo);
        if source.wide {
            temp[1] = Row::splat(hi);
        }
        &*temp
    };
    match source.kind {
        Kind::Vector => wave.window(half, source.reg),
        Kind::Constant => spread(temp, source.lo, source.hi),
        Kind::Scalar => {
            let reg = usize::from(source.reg);
            let hi = if source.wide { wave.sgpr[reg + 1] } else { 0 };
            spread(temp, wave.sgpr[reg], hi)
        }
        Kind::Mask => {
            temp[0] = Row::from_mask(wave.sgpr[usize::from(source.reg) + half]);
            temp
        }
        Kind::Scc | Kind::Vccz | Kind::Execz => spread(temp, scalar(wave, source) as u32, 0),
    }
}

/// Operand row of half `half`, copied.
pub fn fetch_row(wave: &Wave, source: &Source, half: usize) -> Row {
    let mut temp = [Row::ZERO; 2];
    fetch(wave, source, half, &mut temp)[0]
}

/// A scalar operand.
#[inline(always)]
pub fn scalar(wave: &Wave, source: &Source) -> u64 {
    match source.kind {
        Kind::Constant => u64::from(source.lo) | (u64::from(source.hi) << 32),
        Kind::Scalar | Kind::Mask if source.wide => wave.sgpr64(source.reg),
        Kind::Scalar | Kind::Mask => wave.sgpr[usize::from(source.reg)].into(),
        Kind::Scc => wave.scc.into(),
        Kind::Vccz => (wave.mask(slot::VCC) == 0).into(),
        Kind::Execz => (wave.exec64() == 0).into(),
        Kind::Vector => wave.lane(0, source.reg).into(),
    }
}

/// Applies a source modifier.
fn modify(window: &Window, modifier: Modifier, wide: bool) -> Window {
    let mut result = [window[0], if wide { window[1] } else { Row::ZERO }];
    match modifier {
        Modifier::None => {}
        Modifier::Scalar {
            select,
            sext,
            abs,
            neg,
            sign,
        } => {
            for word in &mut result[0].0 {
                *word = part(*word, select, sext);
            }
            let bit = 1u32 << (sign % 32);
            let row = &mut result[usize::from(sign / 32)];
            for word in &mut row.0 {
                let value = if abs { *word & !bit } else { *word };
                *word = if neg { value ^ bit } else { value };
            }
        }
        Modifier::Packed {
            low_from_high,
            high_from_high,
            negate,
        } => {
            for word in &mut result[0].0 {
                let low = if low_from_high {
                    *word >> 16
                } else {
                    *word & 0xffff
                };
                let high = if high_from_high {
                    *word & 0xffff_0000
                } else {
                    *word << 16
                };
                *word = (low | high) ^ negate;
            }
        }
        Modifier::PackedWide {
            low_from_high,
            high_from_high,
            negate_low,
            negate_high,
        } => {
            let pick = |high: bool, negate: bool| {
                let mut row = window[usize::from(high)];
                for word in &mut row.0 {
                    *word ^= u32::from(negate) << 31;
                }
                row
            };
            result = [
                pick(low_from_high, negate_low),
                pick(high_from_high, negate_high),
            ];
        }
        Modifier::Widen { high, abs, neg } => {
            let shift = if high { 16 } else { 0 };
            for word in &mut result[0].0 {
                let bits = widen_f16((*word >> shift) as u16).to_bits();
                let value = if abs { bits & 0x7fff_ffff } else { bits };
                *word = value ^ (u32::from(neg) << 31);
            }
        }
    }
    result
}

/// The selected part of a word.
#[inline(always)]
fn part(word: u32, select: Select, sext: bool) -> u32 {
    match (select, sext) {
        (Select::Whole, _) => word,
        (Select::Byte(n), false) => (word >> (8 * n)) & 0xff,
        (Select::Byte(n), true) => ((word >> (8 * n)) as u8 as i8) as u32,
        (Select::Half(n), false) => (word >> (16 * n)) & 0xffff,
        (Select::Half(n), true) => ((word >> (16 * n)) as u16 as i16) as u32,
    }
}

/// Writes a result row where `mask` allows.
#[inline(always)]
fn commit(wave: &mut Wave, half: usize, reg: u16, row: &Row, exec: u32) {
    if exec == u32::MAX {
        *wave.row_mut(half, reg) = *row;
    } else {
        let mask = wave.exec_rows[half];
        wave.row_mut(half, reg).blend(row, &mask);
    }
}

/// Executes a lane-wise operation without modifiers on `N` operands.
pub fn run_plain<const N: usize>(cx: &mut Cx<'_>, inst: &Inst) -> Flow {
    let mut masks = [0u32; 2];
    let soft = usize::from(!cx.w.mode.native);
    for (half, mask) in masks.iter_mut().enumerate().take(cx.w.halves) {
        let exec = cx.w.exec(half);
        if exec == 0 {
            continue;
        }
        let output = &mut cx.temps.output;
        {
            let wave = &*cx.w;
            let [t0, t1, t2, t3] = &mut cx.temps.sources;
            let first = fetch(wave, &inst.src[0], half, t0);
            let sources = [
                first,
                if N > 1 {
                    fetch(wave, &inst.src[1], half, t1)
                } else {
                    first
                },
                if N > 2 {
                    fetch(wave, &inst.src[2], half, t2)
                } else {
                    first
                },
                if N > 3 {
                    fetch(wave, &inst.src[3], half, t3)
                } else {
                    first
                },
            ];
            (inst.kernels[soft])(
                Context {
                    mode: &wave.mode,
                    half: half as u32,
                },
                &sources,
                output,
            );
        }
        for row in 0..usize::from(inst.rows) {
            commit(cx.w, half, inst.dst + row as u16, &output.rows[row], exec);
        }
        if inst.sdst != slot::NONE {
            *mask = output.mask.to_mask() & exec;
        }
    }
    if inst.sdst != slot::NONE {
        write_masks(cx.w, inst.sdst, masks);
    }
    Flow::Next
}

#[inline(always)]
fn write_masks(wave: &mut Wave, reg: u16, masks: [u32; 2]) {
    wave.set_mask(reg, u64::from(masks[0]) | (u64::from(masks[1]) << 32));
}

/// Executes a lane-wise operation with any modifiers.
pub fn run_full(cx: &mut Cx<'_>, inst: &Inst) -> Flow {
    let Detail::Finish(finish) = &inst.detail else {
        return Flow::Next;
    };
    let mut masks = [0u32; 2];
    let mut results = [[Row::ZERO; 2]; 2];
    let mut enabled = [0u32; 2];
    for half in 0..cx.w.halves {
        let exec = cx.w.exec(half);
        enabled[half] = exec;
        let Some(output) = compute(cx, inst, finish, half, &mut enabled[half]) else {
            continue;
        };
        masks[half] = output.mask.to_mask() & enabled[half];
        results[half] = output.rows;
    }
    if inst.rows > 0 {
        for half in 0..cx.w.halves {
            if enabled[half] != 0 {
                deliver(cx.w, inst, finish, half, enabled[half], &results[half]);
            }
        }
    }
    if inst.sdst != slot::NONE {
        write_masks(cx.w, inst.sdst, masks);
    }
    Flow::Next
}

/// The results of one half, after output modifiers; `None` if no lane is enabled.
fn compute<'t>(
    cx: &'t mut Cx<'_>,
    inst: &Inst,
    finish: &Finish,
    half: usize,
    enabled: &mut u32,
) -> Option<&'t Output> {
    let soft = usize::from(!cx.w.mode.native);
    let wave = &*cx.w;
    let mut modified = [[Row::ZERO; 2]; 4];
    for (index, source) in inst.src[..usize::from(inst.sources)].iter().enumerate() {
        let fetched = match (index, finish.dpp) {
            (0, Some(dpp)) => {
                let (rows, valid) = permute(wave, source, half, &dpp);
                *enabled &= valid;
                modify(&rows, source.modifier, source.wide)
            }
            _ => modify(
                fetch(wave, source, half, &mut cx.temps.sources[index]),
                source.modifier,
                source.wide,
            ),
        };
        modified[index] = fetched;
    }
    if *enabled == 0 {
        return None;
    }
    let [a, b, c, d] = &modified;
    let output = &mut cx.temps.output;
    (inst.kernels[soft])(
        Context {
            mode: &wave.mode,
            half: half as u32,
        },
        &[a, b, c, d],
        output,
    );
    if finish.omod != 1.0 || finish.clamp {
        output_modifiers(output, finish, wave);
    }
    Some(output)
}

fn output_modifiers(output: &mut Output, finish: &Finish, wave: &Wave) {
    let (omod, clamp) = (finish.omod, finish.clamp);
    let mode = &wave.mode;
    let single = |bits: u32| {
        let value = f32::from_bits(bits);
        if mode.native {
            modify_output(value, omod, clamp, Native::<false>(mode, 0)).to_bits()
        } else {
            modify_output(value, omod, clamp, Soft(mode, 0)).to_bits()
        }
    };
    let half = |bits: u32| {
        let value = F16(bits as u16);
        if mode.native {
            u32::from(modify_output(value, omod, clamp, Native::<false>(mode, 0)).0)
        } else {
            u32::from(modify_output(value, omod, clamp, Soft(mode, 0)).0)
        }
    };
    let [low, high] = &mut output.rows;
    for lane in 0..LANES {
        let word = low.0[lane];
        match finish.result {
            Some(Type::F32) => low.0[lane] = single(word),
            Some(Type::F16) => low.0[lane] = half(word),
            Some(Type::PkF16) => low.0[lane] = half(word & 0xffff) | (half(word >> 16) << 16),
            Some(Type::PkF32) => {
                low.0[lane] = single(word);
                high.0[lane] = single(high.0[lane]);
            }
            Some(Type::F64) => {
                let value = f64::from_bits(u64::from(word) | (u64::from(high.0[lane]) << 32));
                let bits = modify_output(value, omod, clamp, Soft(mode, 0)).bits();
                low.0[lane] = bits as u32;
                high.0[lane] = (bits >> 32) as u32;
            }
            _ => {}
        }
    }
}

fn deliver(
    wave: &mut Wave,
    inst: &Inst,
    finish: &Finish,
    half: usize,
    enabled: u32,
    rows: &Window,
) {
    let mask = Row::from_mask(enabled);
    if finish.select == Select::Whole {
        for (index, row) in rows[..usize::from(inst.rows)].iter().enumerate() {
            wave.row_mut(half, inst.dst + index as u16)
                .blend(row, &mask);
        }
        return;
    }
    let (shift, width) = match finish.select {
        Select::Byte(n) => (8 * u32::from(n), 8),
        Select::Half(n) => (16 * u32::from(n), 16),
        Select::Whole => (0, 32),
    };
    let field = ((1u64 << width) - 1) as u32;
    let old = *wave.row(half, inst.dst);
    let mut new = Row::ZERO;
    for lane in 0..LANES {
        let value = (rows[0].0[lane] & field) << shift;
        new.0[lane] = match finish.unused {
            Unused::Preserve => (old.0[lane] & !(field << shift)) | value,
            Unused::Pad => value,
            Unused::Sext => {
                let shifted = value << (32 - width - shift);
                let extended = ((shifted as i32) >> (32 - width)) as u32;
                // Bits below the part are zero, bits above it its sign.
                extended << shift
            }
        };
    }
    wave.row_mut(half, inst.dst).blend(&new, &mask);
}

/// The lane that lane `lane` reads, or `None` where the permutation has no source.
pub fn source_lane(permute: Permute, lane: usize, lanes: usize) -> Option<usize> {
    let (row, place) = (lane & !15, lane & 15);
    let in_row = |place: usize| Some(row | place);
    match permute {
        Permute::Quad(select) => Some((lane & !3) | usize::from(select[lane & 3])),
        Permute::Eight(select) => Some((lane & !7) | usize::from(select[lane & 7])),
        Permute::RowShl(n) => (place + usize::from(n) < 16).then(|| lane + usize::from(n)),
        Permute::RowShr(n) => (place >= usize::from(n)).then(|| lane - usize::from(n)),
        Permute::RowRor(n) => in_row((place + 16 - usize::from(n)) & 15),
        Permute::RowMirror => in_row(15 - place),
        Permute::RowHalfMirror => Some((lane & !7) | (7 - (lane & 7))),
        Permute::RowShare(n) => in_row(usize::from(n)),
        Permute::RowXmask(n) => in_row(place ^ usize::from(n)),
        Permute::WaveShl => (lane + 1 < lanes).then_some(lane + 1),
        Permute::WaveRol => Some((lane + 1) % lanes),
        Permute::WaveShr => lane.checked_sub(1),
        Permute::WaveRor => Some((lane + lanes - 1) % lanes),
        Permute::RowBcast15 => row.checked_sub(1),
        Permute::RowBcast31 => (lane >= 32).then_some(31),
    }
}

/// Operand 0 after the lane permutation, and the lanes of the half that may be written.
fn permute(wave: &Wave, source: &Source, half: usize, dpp: &Dpp) -> (Window, u32) {
    let mut rows = [Row::ZERO; 2];
    let mut valid = 0u32;
    let exec = wave.exec64();
    for place in 0..LANES {
        let lane = half * LANES + place;
        if dpp.row_mask >> (lane / 16) & 1 == 0 || dpp.bank_mask >> (lane / 4 % 4) & 1 == 0 {
            continue;
        }
        let from = source_lane(dpp.permute, lane, wave.lanes());
        let readable = from.filter(|&from| dpp.fetch_inactive || exec >> from & 1 == 1);
        match readable {
            Some(from) => {
                for (index, row) in rows
                    .iter_mut()
                    .enumerate()
                    .take(1 + usize::from(source.wide))
                {
                    row.0[place] = wave.lane(from, source.reg + index as u16);
                }
                valid |= 1 << place;
            }
            // Without a source to read the lane is disabled, unless bound_ctrl makes it read zero.
            None if dpp.bound_ctrl => valid |= 1 << place,
            None => {}
        }
    }
    (rows, valid)
}

/// Executes a comparison that writes EXEC besides its register (gfx9).
pub fn run_compare_exec<const PLAIN: bool>(cx: &mut Cx<'_>, inst: &Inst) -> Flow {
    let flow = if PLAIN {
        run_plain::<2>(cx, inst)
    } else {
        run_full(cx, inst)
    };
    let mask = cx.w.mask(inst.sdst);
    cx.w.set_mask(slot::EXEC, mask);
    flow
}

/// Executes both halves of a dual-issue pair: both read before either writes.
pub fn run_dual(cx: &mut Cx<'_>, inst: &Inst) -> Flow {
    let Detail::Dual(pair) = &inst.detail else {
        return Flow::Next;
    };
    let soft = usize::from(!cx.w.mode.native);
    let exec = cx.w.exec(0);
    if exec == 0 {
        return Flow::Next;
    }
    let wave = &*cx.w;
    for (x, output) in pair
        .iter()
        .zip([&mut cx.temps.output, &mut cx.temps.second])
    {
        let [t0, t1, t2, t3] = &mut cx.temps.sources;
        let first = fetch(wave, &x.src[0], 0, t0);
        let sources = [
            first,
            if x.sources > 1 {
                fetch(wave, &x.src[1], 0, t1)
            } else {
                first
            },
            if x.sources > 2 {
                fetch(wave, &x.src[2], 0, t2)
            } else {
                first
            },
            if x.sources > 3 {
                fetch(wave, &x.src[3], 0, t3)
            } else {
                first
            },
        ];
        (x.kernels[soft])(
            Context {
                mode: &wave.mode,
                half: 0,
            },
            &sources,
            output,
        );
    }
    commit(cx.w, 0, pair[0].dst, &cx.temps.output.rows[0], exec);
    commit(cx.w, 0, pair[1].dst, &cx.temps.second.rows[0], exec);
    Flow::Next
}
