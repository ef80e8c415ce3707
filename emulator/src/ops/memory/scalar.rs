//! Scalar loads.

use crate::check;
use crate::exec::{Cx, Flow};
use crate::fault::Access;
use crate::isa::inst::{Inst, slot};
use crate::ops::memory::access;
use crate::ops::memory::transfer::{scalar_part, scalar_words};
use crate::ops::vector::scalar as operand;

/// Bits of [`Inst::target`] for scalar loads.
pub mod bits {
    /// The base is a buffer resource: reads past its end give zero.
    pub const BUFFER: u32 = 1 << 16;
    /// A byte or half word is sign-extended.
    pub const SEXT: u32 = 1 << 17;
    /// The size in bytes of a sub-word load, 0 for whole words.
    pub const PART: u32 = 0xff;
}

/// `s_load_*` and `s_buffer_load_*`: `rows` words from base (operand 0) plus offset register (operand 1) plus immediate.
pub fn run(cx: &mut Cx<'_>, inst: &Inst) -> Flow {
    let buffer = inst.target & bits::BUFFER != 0;
    let base = operand(cx.w, &inst.src[0]);
    let base = if buffer {
        base & 0xffff_ffff_ffff
    } else {
        base
    };
    let offset = (operand(cx.w, &inst.src[1]) & 0xffff_ffff).wrapping_add(inst.imm as u64);
    let part = (inst.target & bits::PART) as u8;
    let address = base.wrapping_add(offset);
    let dst = usize::from(inst.dst);
    if part != 0 {
        return match access::global_range(cx, address, part.into(), Access::Read) {
            Ok(()) => {
                // SAFETY: the range was checked.
                cx.w.sgpr[dst] =
                    unsafe { scalar_part(address, part, inst.target & bits::SEXT != 0) };
                Flow::Next
            }
            Err(flow) => flow,
        };
    }
    if address & 3 != 0 && cx.watch.is_some() {
        check::misaligned_scalar(cx, address, 4 * u64::from(inst.rows));
    }
    let address = address & !3;
    let mut words = usize::from(inst.rows);
    let mut buffer_words = [0u32; 16];
    if buffer {
        let records = u64::from(cx.w.sgpr[usize::from(inst.src[0].reg) + 2]);
        words = words.min((records.saturating_sub(offset) / 4) as usize);
    }
    if words > 0 {
        if let Err(flow) = access::global_range(cx, address, 4 * words as u64, Access::Read) {
            return flow;
        }
        // SAFETY: the range was checked.
        unsafe { scalar_words(address, &mut buffer_words[..words]) };
    }
    cx.w.sgpr[dst..dst + usize::from(inst.rows)]
        .copy_from_slice(&buffer_words[..usize::from(inst.rows)]);
    if inst.dst <= slot::EXEC + 1 && inst.dst + u16::from(inst.rows) > slot::EXEC {
        cx.w.exec_changed();
    }
    Flow::Next
}
