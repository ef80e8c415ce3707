//! Vector registers whose value comes from LDS or scratch that nobody wrote.
//!
//! Kernels read such memory and drop the result: tiles reach past the last row, registers are spilled for some lanes and
//! reloaded for all. So a read is only reported once what came of it reaches global memory or becomes an address. Until then
//! each lane of a register is tainted or not. An operation taints its result with its operands', lane by lane; a
//! selection takes the taint of what was selected; an operation across lanes taints only if all its lanes are
//! tainted; a store to LDS or scratch makes that memory unwritten. Comparisons are not followed.

use std::rc::Rc;

use rustc_hash::FxHashMap;

use super::uses::{accumulates, operations, registers};
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
    /// Vector registers, each with the operand's place.
    operands: Vec<(usize, std::ops::Range<usize>)>,
    kind: Kind,
    parts: Parts,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Lane by lane.
    Lanes,
    /// The first operand or the second, by the lane mask in the scalar registers from this one.
    Select(u16),
    /// Across lanes.
    Across,
}

/// Which registers of an operand a register of a wide result depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Parts {
    /// On all.
    All,
    /// On those in its place and below, as carries go up.
    Upward,
    /// On one: two operations on words, which take the high word of the operands in these two sets.
    Pair([u8; 2]),
    /// The nth takes the nth operand's word that this says.
    Move([u8; 2]),
}

impl Parts {
    fn of(mnemonic: &str, text: &str) -> Self {
        const CARRIES: &[&str] = &[
            "v_mad_u64_u32",
            "v_mad_i64_i32",
            "v_mad_co_u64_u32",
            "v_mad_co_i64_i32",
            "v_lshlrev_b64",
            "v_lshl_add_u64",
        ];
        let list = |name: &str, otherwise: u8| {
            let found = text.find(name).map(|at| &text[at + name.len()..]);
            found.map_or(otherwise, |bits| {
                let bits = bits.split(']').next().unwrap_or_default().split(',');
                bits.enumerate()
                    .filter(|(_, bit)| bit.trim() == "1")
                    .fold(0, |set, (at, _)| set | 1 << at)
            })
        };
        if CARRIES.iter().any(|name| mnemonic.starts_with(name)) {
            Self::Upward
        } else if mnemonic.starts_with("v_pk_mov_b32") {
            let picks = list(" op_sel:[", 0b10);
            Self::Move([picks & 1, picks >> 1 & 1])
        } else if mnemonic.starts_with("v_pk_") && mnemonic.ends_with("f32") {
            Self::Pair([list(" op_sel:[", 0), list(" op_sel_hi:[", 0b111)])
        } else {
            Self::All
        }
    }

    /// Whether word `from` of operand `operand` goes into word `to` of the result.
    fn takes(self, operand: usize, from: usize, to: usize) -> bool {
        match self {
            Self::All => true,
            Self::Upward => from <= to,
            Self::Pair(high) => from == usize::from(high[to & 1] >> operand & 1),
            Self::Move(word) => operand == to && from == usize::from(word[to & 1]),
        }
    }
}

/// Modifiers and names of operations across lanes.
const ACROSS: &[&str] = &[
    "quad_perm",
    "row_",
    "wave_",
    "dpp8",
    "permlane",
    "permute",
    "swizzle",
    "mfma",
    "wmma",
    "readlane",
    "writelane",
    "readfirstlane",
];

fn flows(text: &str) -> Rc<[Flow]> {
    operations(text)
        .filter_map(|operation| flow(operation, text))
        .collect()
}

fn flow((mnemonic, operands, modifiers): (&str, Vec<&str>, &str), text: &str) -> Option<Flow> {
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
    let read = &operands[usize::from(!accumulates(mnemonic))..];
    // Modifiers in brackets have commas of their own.
    let names = |part: &&str| {
        let among = |operand: &&str| operand.contains(*part);
        mnemonic.contains(*part) || modifiers.contains(*part) || operands.iter().any(among)
    };
    let across = ACROSS.iter().any(names);
    let kind = match operands.get(3) {
        _ if across => Kind::Across,
        mask if mnemonic.contains("cndmask") => Kind::Select(mask_register(mask.copied())?),
        _ => Kind::Lanes,
    };
    Some(Flow {
        result,
        operands: read
            .iter()
            .enumerate()
            .filter_map(|(at, operand)| Some((at, vector(operand)?)))
            .collect(),
        kind,
        parts: Parts::of(mnemonic, text),
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
            // Everything is read before anything is written.
            let mut results = Vec::new();
            for flow in flows.iter() {
                for (word, register) in flow.result.clone().enumerate() {
                    let result = registers.result(flow, word, wave, half, exec);
                    results.push((half * FILE + register, result));
                }
            }
            for (at, result) in results {
                let (tainted, origin) = result.unwrap_or((0, registers.origins[at]));
                registers.lanes[at] = registers.lanes[at] & !exec | tainted & exec;
                registers.origins[at] = origin;
            }
        }
    }
}

impl Registers {
    /// The tainted lanes of a word of an operation's result and their origin.
    fn result(
        &self,
        flow: &Flow,
        word: usize,
        wave: &Wave,
        half: usize,
        exec: u32,
    ) -> Option<(u32, u32)> {
        let mut tainted = 0;
        let mut origin = None;
        let selected = match flow.kind {
            Kind::Select(mask) => Some((wave.mask(mask) >> (32 * half)) as u32),
            _ => None,
        };
        for (place, operand) in &flow.operands {
            let lanes = match (selected, place) {
                (Some(mask), 0) => !mask,
                (Some(mask), _) => mask,
                _ => u32::MAX,
            };
            for (from, register) in operand.clone().enumerate() {
                let at = half * FILE + register;
                let lanes = self.lanes[at] & lanes;
                if lanes != 0 && flow.parts.takes(*place, from, word) {
                    tainted |= lanes;
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

    /// Result, operands and kind of the first operation.
    fn parsed(text: &str) -> Option<(Vec<usize>, Vec<Vec<usize>>, Kind)> {
        let flow = flows(text).first().cloned()?;
        let operands = flow.operands.into_iter();
        Some((
            flow.result.collect(),
            operands.map(|(_, registers)| registers.collect()).collect(),
            flow.kind,
        ))
    }

    #[test]
    fn taint_goes_from_operands_to_results() {
        let lanes = Kind::Lanes;
        type Expected = Option<(Vec<usize>, Vec<Vec<usize>>, Kind)>;
        let some = |result: &[usize], operands: &[&[usize]], kind| -> Expected {
            let operands = operands.iter().map(|registers| registers.to_vec());
            Some((result.to_vec(), operands.collect(), kind))
        };
        let vcc = Kind::Select(slot::VCC);
        for (text, expected) in [
            ("v_add_f32_e32 v1, v2, v3", some(&[1], &[&[2], &[3]], lanes)),
            (
                "v_fmac_f32_e32 v1, s2, v3",
                some(&[1], &[&[1], &[3]], lanes),
            ),
            (
                "v_lshlrev_b64 v[4:5], 2, v[6:7]",
                some(&[4, 5], &[&[6, 7]], lanes),
            ),
            (
                "v_mov_b32_dpp v1, v2 row_shr:1",
                some(&[1], &[&[2]], Kind::Across),
            ),
            (
                "v_mov_b32_dpp v1, v2 quad_perm:[1,0,3,2]",
                some(&[1], &[&[2]], Kind::Across),
            ),
            (
                "v_dot4_i32_iu8 v1, v2, v3, 0 neg_lo:[1,1,0]",
                some(&[1], &[&[2], &[3]], lanes),
            ),
            (
                "v_cndmask_b32_e64 v1, v2, v3, s[4:5]",
                some(&[1], &[&[2], &[3]], Kind::Select(4)),
            ),
            (
                "v_cndmask_b32_e32 v1, 0, v3, vcc_lo",
                some(&[1], &[&[3]], vcc),
            ),
            ("v_accvgpr_read_b32 v1, a3", some(&[1], &[&[259]], lanes)),
            ("v_cmp_eq_u32_e32 vcc_lo, v1, v2", None),
            ("s_add_i32 s0, s1, s2", None),
        ] {
            assert_eq!(parsed(text), expected, "{text}");
        }
        let pair = flows("v_dual_mul_f32 v0, v1, v2 :: v_dual_mov_b32 v3, v5");
        assert_eq!(pair.len(), 2);
    }

    #[test]
    fn words_of_wide_results_depend_on_some_words_only() {
        let takes = |text: &str, operand, from, to| flows(text)[0].parts.takes(operand, from, to);
        let mad = "v_mad_u64_u32 v[0:1], null, v2, v3, v[4:5]";
        assert!(takes(mad, 3, 0, 0) && takes(mad, 3, 1, 1) && takes(mad, 3, 0, 1));
        assert!(!takes(mad, 3, 1, 0));
        let fma = "v_pk_fma_f32 v[0:1], v[2:3], v[4:5], v[6:7] op_sel_hi:[1,0,1]";
        assert!(takes(fma, 0, 0, 0) && takes(fma, 0, 1, 1) && !takes(fma, 0, 1, 0));
        assert!(takes(fma, 1, 0, 1) && !takes(fma, 1, 1, 1));
        let swap = "v_pk_mov_b32 v[0:1], v[2:3], v[4:5] op_sel:[1,0]";
        assert!(takes(swap, 0, 1, 0) && takes(swap, 1, 0, 1));
        assert!(!takes(swap, 0, 0, 0) && !takes(swap, 0, 1, 1));
        assert!(takes("v_add_f64 v[0:1], v[2:3], v[4:5]", 0, 1, 0));
    }
}
