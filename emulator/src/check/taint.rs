//! Vector registers whose value comes from LDS or scratch that nobody wrote.
//!
//! Kernels read such memory and drop the result: tiles reach past the last row, registers are spilled for some lanes and
//! reloaded for all. So a read is only reported once what came of it reaches global memory or becomes an address. Until then
//! each lane of a register is tainted or not. An operation taints its result with its operands', lane by lane; a
//! selection takes the taint of what was selected; an operation across lanes taints only if all its lanes are
//! tainted; a store to LDS or scratch makes that memory unwritten. Comparisons are not followed.

use std::rc::Rc;

use rustc_hash::FxHashMap;

use super::uses::{operations, registers};
use super::watch::Space;
use crate::isa::inst::{ACC_BASE, slot};
use crate::wave::Wave;

/// Registers of a half.
const FILE: usize = 512;

/// A read of memory nobody wrote.
#[derive(Debug, Clone, Copy)]
pub struct Origin {
    /// The instruction.
    pub pc: u64,
    /// Which memory.
    pub space: Space,
    /// Where in it.
    pub address: u64,
    /// Bytes.
    pub len: u64,
}

/// The registers of one wave.
#[derive(Default)]
struct Registers {
    /// Whether any is tainted.
    live: bool,
    /// Tainted lanes by half and register.
    lanes: Vec<u32>,
    /// Where the taint comes from: an index into the origins.
    origins: Vec<u32>,
}

/// The taint of a work-group's registers.
#[derive(Default)]
pub struct Taint {
    waves: Vec<Registers>,
    origins: Vec<Origin>,
    /// What instructions do, by address.
    flows: FxHashMap<u64, Rc<[Flow]>>,
}

/// How taint goes from operands to a result.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Flow {
    result: std::ops::Range<usize>,
    operands: Vec<std::ops::Range<usize>>,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Lane by lane.
    Lanes,
    /// One of the first two operands, by the lane mask in the scalar registers from this one.
    Select(u16),
    /// Across lanes.
    Across,
}

/// Modifiers and names of operations across lanes.
const ACROSS: &[&str] = &[
    "quad_perm",
    "row_",
    "wave_",
    "dpp8",
    "permlane",
    "mfma",
    "wmma",
    "readlane",
    "writelane",
    "readfirstlane",
];

fn flows(text: &str) -> Rc<[Flow]> {
    operations(text).filter_map(flow).collect()
}

fn flow((mnemonic, operands, modifiers): (&str, Vec<&str>, &str)) -> Option<Flow> {
    let vector = |operand: &str| {
        let (file, range) = registers(operand)?;
        let base = match file {
            'v' => 0,
            'a' => usize::from(ACC_BASE),
            _ => return None,
        };
        let (first, last) = (*range.start() as usize, *range.end() as usize);
        (last < 256 && first <= last).then_some(base + first..base + last + 1)
    };
    let result = vector(operands.first()?)?;
    let accumulates = ["fmac", "_mac_", "v_dot"]
        .iter()
        .any(|part| mnemonic.contains(part));
    let read = &operands[usize::from(!accumulates)..];
    let across = ACROSS
        .iter()
        .any(|part| mnemonic.contains(part) || modifiers.contains(part));
    let kind = match operands.get(3) {
        _ if across => Kind::Across,
        mask if mnemonic.contains("cndmask") => Kind::Select(mask_register(mask.copied())?),
        _ => Kind::Lanes,
    };
    Some(Flow {
        result,
        operands: read.iter().filter_map(|operand| vector(operand)).collect(),
        kind,
    })
}

/// The scalar register of a lane mask; VCC where none is named.
fn mask_register(operand: Option<&str>) -> Option<u16> {
    match operand.map(str::trim) {
        None | Some("vcc" | "vcc_lo") => Some(slot::VCC),
        Some(operand) => {
            let (file, range) = registers(operand)?;
            (file == 's').then(|| *range.start() as u16)
        }
    }
}

impl Taint {
    /// Starts a group of `waves` waves.
    pub fn start(&mut self, waves: usize) {
        self.waves.resize_with(waves, Registers::default);
        self.origins.clear();
        for registers in &mut self.waves {
            if std::mem::take(&mut registers.live) {
                registers.lanes.fill(0);
            }
        }
    }

    /// Whether any register of a wave is tainted.
    #[inline]
    pub fn is_live(&self, wave: u32) -> bool {
        self.waves
            .get(wave as usize)
            .is_some_and(|registers| registers.live)
    }

    /// A load put memory into the lanes `mask` of a register: nobody wrote what came to the lanes `tainted`.
    pub fn load(&mut self, wave: u32, register: usize, mask: u32, tainted: u32, origin: Origin) {
        let known = self.origins.iter().position(|known| known.pc == origin.pc);
        let Some(registers) = self.waves.get_mut(wave as usize) else {
            return;
        };
        if tainted == 0 && !registers.live {
            return;
        }
        if registers.lanes.is_empty() {
            registers.lanes.resize(2 * FILE, 0);
            registers.origins.resize(2 * FILE, 0);
        }
        registers.live |= tainted != 0;
        registers.lanes[register] = registers.lanes[register] & !mask | tainted;
        if tainted != 0 {
            let index = known.unwrap_or_else(|| {
                self.origins.push(origin);
                self.origins.len() - 1
            });
            registers.origins[register] = index as u32;
        }
    }

    /// The tainted lanes of `count` registers, and where the taint comes from.
    pub fn of(&self, wave: u32, first: usize, count: usize) -> Option<(u32, Origin)> {
        let registers = self.waves.get(wave as usize).filter(|found| found.live)?;
        let rows = registers.lanes.get(first..first + count)?;
        let tainted = rows.iter().fold(0, |all, lanes| all | lanes);
        let from = first + rows.iter().position(|lanes| *lanes != 0)?;
        let origin = self.origins.get(registers.origins[from] as usize)?;
        Some((tainted, *origin))
    }

    /// An instruction other than an access to memory has executed.
    pub fn step(&mut self, wave: &Wave, pc: u64, text: impl FnOnce() -> String) {
        let flows = self
            .flows
            .entry(pc)
            .or_insert_with(|| flows(&text()))
            .clone();
        let Some(registers) = self.waves.get_mut(wave.index as usize) else {
            return;
        };
        for half in 0..wave.halves {
            let exec = wave.exec(half);
            // Both halves of a pair read before either writes.
            let results: Vec<Option<(u32, u32)>> = flows
                .iter()
                .map(|flow| registers.result(flow, wave, half, exec))
                .collect();
            for (flow, result) in flows.iter().zip(results) {
                for register in flow.result.clone() {
                    let at = half * FILE + register;
                    let (tainted, origin) = result.unwrap_or((0, registers.origins[at]));
                    registers.lanes[at] = registers.lanes[at] & !exec | tainted & exec;
                    registers.origins[at] = origin;
                }
            }
        }
    }
}

impl Registers {
    /// The tainted lanes of an operation's result and their origin.
    fn result(&self, flow: &Flow, wave: &Wave, half: usize, exec: u32) -> Option<(u32, u32)> {
        let mut tainted = 0;
        let mut origin = None;
        let selected = match flow.kind {
            Kind::Select(mask) => Some((wave.mask(mask) >> (32 * half)) as u32),
            _ => None,
        };
        for (index, operand) in flow.operands.iter().enumerate() {
            // Two constants or scalar registers may stand before a vector register; then its place is not known, and it
            // counts as selected.
            let takes = match (selected, flow.operands.len(), index) {
                (Some(mask), 2, 0) => !mask,
                (Some(mask), 2, _) => mask,
                _ => u32::MAX,
            };
            for register in operand.clone() {
                let at = half * FILE + register;
                let lanes = self.lanes[at] & takes;
                tainted |= lanes;
                if lanes != 0 {
                    origin = origin.or(Some(self.origins[at]));
                }
            }
        }
        if flow.kind == Kind::Across && tainted & exec != exec {
            return None;
        }
        origin.map(|origin| (tainted, origin))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taint_goes_from_operands_to_results() {
        let flow = |text: &str| {
            let flows = flows(text);
            let flow = flows.first().cloned();
            flow.map(|flow| (flow.result, flow.operands, flow.kind))
        };
        let regs = |from: usize, count: usize| from..from + count;
        for (text, expected) in [
            (
                "v_add_f32_e32 v1, v2, v3",
                Some((regs(1, 1), vec![regs(2, 1), regs(3, 1)], Kind::Lanes)),
            ),
            (
                "v_fmac_f32_e32 v1, s2, v3",
                Some((regs(1, 1), vec![regs(1, 1), regs(3, 1)], Kind::Lanes)),
            ),
            (
                "v_lshlrev_b64 v[4:5], 2, v[6:7]",
                Some((regs(4, 2), vec![regs(6, 2)], Kind::Lanes)),
            ),
            (
                "v_mov_b32_dpp v1, v2 row_shr:1 row_mask:0xf",
                Some((regs(1, 1), vec![regs(2, 1)], Kind::Across)),
            ),
            (
                "v_cndmask_b32_e64 v1, v2, v3, s[4:5]",
                Some((regs(1, 1), vec![regs(2, 1), regs(3, 1)], Kind::Select(4))),
            ),
            (
                "v_cndmask_b32_e32 v1, v2, v3, vcc_lo",
                Some((
                    regs(1, 1),
                    vec![regs(2, 1), regs(3, 1)],
                    Kind::Select(slot::VCC),
                )),
            ),
            (
                "v_accvgpr_read_b32 v1, a3",
                Some((regs(1, 1), vec![regs(259, 1)], Kind::Lanes)),
            ),
            ("v_cmp_eq_u32_e32 vcc_lo, v1, v2", None),
            ("s_add_i32 s0, s1, s2", None),
        ] {
            assert_eq!(flow(text), expected, "{text}");
        }
        assert_eq!(
            flows("v_dual_mul_f32 v0, v1, v2 :: v_dual_mov_b32 v3, v5").len(),
            2
        );
    }
}
