//! Memory operations.
//!
//! Every access goes three steps: an address per lane is computed, [`access`] turns the addresses of its space into host
//! addresses or stops the launch, and [`transfer`] moves the data. [`access`] is the only way from a device address to
//! host memory, so whatever wants to watch memory hangs on it.

pub mod access;
pub mod atomic;
pub mod scalar;
pub mod transfer;

use crate::check;
use crate::exec::{Cx, Flow};
use crate::fault::Access;
use crate::isa::inst::{Detail, Inst, Kind, slot};
use crate::lanes::LANES;
use crate::wave::Wave;

/// What an operation does with memory.
#[derive(Clone, Copy)]
pub enum Transfer {
    /// Reads `bytes` a lane.
    Load {
        /// Bytes: 1, 2, 4, 8, 12 or 16.
        bytes: u8,
        /// Sign-extend a part of a word.
        sext: bool,
        /// Write one half of the register: the low (`false`) or the high.
        half: Option<bool>,
    },
    /// Writes `bytes` a lane.
    Store {
        /// Bytes.
        bytes: u8,
        /// From the high half of the register.
        high: bool,
    },
    /// Reads twice `bytes`, at two offsets.
    LoadPair {
        /// Bytes of each.
        bytes: u8,
    },
    /// Writes twice `bytes`, at two offsets.
    StorePair {
        /// Bytes of each.
        bytes: u8,
    },
    /// Exchanges twice `bytes`, at two offsets.
    SwapPair {
        /// Bytes of each.
        bytes: u8,
    },
    /// Reads, computes and writes at once.
    Atomic(&'static atomic::AtomicOp),
}

/// A memory operation.
#[derive(Clone, Copy)]
pub struct MemoryOp {
    /// What it does.
    pub transfer: Transfer,
}

impl Transfer {
    /// Bytes of one access.
    pub fn bytes(self) -> u64 {
        match self {
            Self::Load { bytes, .. }
            | Self::Store { bytes, .. }
            | Self::LoadPair { bytes }
            | Self::StorePair { bytes }
            | Self::SwapPair { bytes } => bytes.into(),
            Self::Atomic(op) => op.bytes.into(),
        }
    }

    /// The kind of access.
    pub fn access(self) -> Access {
        match self {
            Self::Load { .. } | Self::LoadPair { .. } => Access::Read,
            Self::Store { .. } | Self::StorePair { .. } => Access::Write,
            Self::SwapPair { .. } | Self::Atomic(_) => Access::Atomic,
        }
    }
}

/// Addresses of one half-wave.
pub type Addresses = [u64; LANES];

fn operation(inst: &Inst) -> Option<Transfer> {
    match inst.detail {
        Detail::Memory(op) => Some(op.transfer),
        _ => None,
    }
}

/// The sum of an instruction's address operands: vector register(s), scalar base and offset.
#[inline(always)]
fn addresses(wave: &Wave, inst: &Inst, half: usize) -> Addresses {
    let mut result = [0; LANES];
    let base = if inst.src[2].kind == Kind::Scalar {
        if inst.src[2].wide {
            wave.sgpr64(inst.src[2].reg)
        } else {
            wave.sgpr[usize::from(inst.src[2].reg)].into()
        }
    } else {
        0
    };
    let base = base.wrapping_add(inst.imm as u64);
    if inst.src[0].kind != Kind::Vector {
        result.fill(base);
    } else if inst.src[0].wide {
        let [low, high] = wave.window(half, inst.src[0].reg);
        for ((address, low), high) in result.iter_mut().zip(&low.0).zip(&high.0) {
            *address = (u64::from(*low) | (u64::from(*high) << 32)).wrapping_add(base);
        }
    } else {
        let low = wave.row(half, inst.src[0].reg);
        for (address, low) in result.iter_mut().zip(&low.0) {
            *address = u64::from(*low).wrapping_add(base);
        }
    }
    result
}

macro_rules! runner {
    ($(#[$doc:meta])* $name:ident, |$cx:ident, $inst:ident, $half:ident, $addresses:ident, $op:ident| $resolve:expr) => {
        $(#[$doc])*
        pub fn $name($cx: &mut Cx<'_>, $inst: &Inst) -> Flow {
            let Some($op) = operation($inst) else { return Flow::Next };
            for $half in 0..$cx.w.halves {
                let mask = $cx.w.exec($half);
                if mask == 0 {
                    continue;
                }
                let mut $addresses = addresses($cx.w, $inst, $half);
                if let Err(flow) = $resolve(&mut $addresses, mask) {
                    return flow;
                }
                if let Err(flow) = transfer::run($cx, $inst, $op, $half, &$addresses, mask) {
                    return flow;
                }
            }
            Flow::Next
        }
    };
}

runner! {
    /// `global_*`: addresses are of global memory.
    run_global, |cx, inst, half, addresses, op| |addresses: &mut Addresses, mask| {
        access::global(cx, half, addresses, mask, op.bytes(), op.access())
    }
}

runner! {
    /// `flat_*`: the address says which memory it is of.
    run_flat, |cx, inst, half, addresses, op| |addresses: &mut Addresses, mask| {
        access::flat(cx, half, addresses, mask, op.bytes(), op.access())
    }
}

runner! {
    /// `scratch_*`: offsets into the lane's own scratch.
    run_scratch, |cx, inst, half, addresses, op| |addresses: &mut Addresses, mask| {
        for address in addresses.iter_mut() {
            *address &= 0xffff_ffff;
        }
        access::scratch(cx, half, addresses, mask, op.bytes(), op.access())
    }
}

/// `ds_*`: offsets into the work-group's LDS, with one or two accesses a lane.
pub fn run_lds(cx: &mut Cx<'_>, inst: &Inst) -> Flow {
    let Some(op) = operation(inst) else {
        return Flow::Next;
    };
    let pair = matches!(
        op,
        Transfer::LoadPair { .. } | Transfer::StorePair { .. } | Transfer::SwapPair { .. }
    );
    for half in 0..cx.w.halves {
        let mask = cx.w.exec(half);
        if mask == 0 {
            continue;
        }
        let mut first = addresses(cx.w, inst, half);
        let mut second = first;
        if pair {
            for address in &mut second {
                *address = address
                    .wrapping_sub(inst.imm as u64)
                    .wrapping_add(inst.target.into());
            }
        }
        for address in first.iter_mut().chain(&mut second) {
            *address &= 0xffff_ffff;
        }
        if let Err(flow) = access::lds(cx, half, &mut first, mask, op.bytes(), op.access()) {
            return flow;
        }
        let result = if pair {
            if cx.watch.is_some() {
                check::second_part(cx);
            }
            access::lds(cx, half, &mut second, mask, op.bytes(), op.access())
                .map(|()| transfer::run_pair(cx, inst, op, half, [&first, &second], mask))
        } else {
            transfer::run(cx, inst, op, half, &first, mask)
        };
        if let Err(flow) = result {
            return flow;
        }
    }
    Flow::Next
}

/// `ds_load_addtid_b32`, `ds_store_addtid_b32`: the address is M0 plus four bytes a lane.
pub fn run_lds_addtid(cx: &mut Cx<'_>, inst: &Inst) -> Flow {
    let Some(op) = operation(inst) else {
        return Flow::Next;
    };
    for half in 0..cx.w.halves {
        let mask = cx.w.exec(half);
        if mask == 0 {
            continue;
        }
        let base =
            u64::from(cx.w.sgpr[usize::from(slot::M0)] & 0xffff).wrapping_add(inst.imm as u64);
        let mut addresses: Addresses =
            std::array::from_fn(|lane| base + 4 * (lane + half * LANES) as u64);
        let result = access::lds(cx, half, &mut addresses, mask, op.bytes(), op.access());
        if let Err(flow) = result.and_then(|()| transfer::run(cx, inst, op, half, &addresses, mask))
        {
            return flow;
        }
    }
    Flow::Next
}

/// Bits of [`Inst::target`] for buffer operations.
pub mod buffer_bits {
    /// The first address register is an offset.
    pub const OFFSET: u32 = 1;
    /// The first address register is an index; the offset, if any, is the next.
    pub const INDEX: u32 = 2;
}

/// `buffer_*`: addresses come from a resource descriptor.
///
/// The descriptor that kernels get for their scratch has a base that no memory has; accesses through it are to scratch,
/// whose lanes the hardware interleaves: the scalar offset counts bytes of the whole wave.
pub fn run_buffer(cx: &mut Cx<'_>, inst: &Inst) -> Flow {
    let Some(op) = operation(inst) else {
        return Flow::Next;
    };
    let resource = inst.src[2].reg;
    let word = |n: u16| cx.w.sgpr[usize::from(resource + n)];
    let words = [word(0), word(1), word(2), word(3)];
    let base = u64::from(words[0]) | (u64::from(words[1] & 0xffff) << 32);
    let stride = u64::from(words[1] >> 16 & 0x3fff);
    let records = u64::from(words[2]);
    let soffset = crate::ops::vector::scalar(cx.w, &inst.src[3]) & 0xffff_ffff;
    let private = base >> 32 == access::PRIVATE_RESOURCE >> 32;
    for half in 0..cx.w.halves {
        let exec = cx.w.exec(half);
        if exec == 0 {
            continue;
        }
        let mut index = [0u64; LANES];
        let mut offset = [inst.imm as u64; LANES];
        let mut reg = inst.src[0].reg;
        if inst.target & buffer_bits::INDEX != 0 {
            index = std::array::from_fn(|lane| cx.w.row(half, reg).0[lane].into());
            reg += 1;
        }
        if inst.target & buffer_bits::OFFSET != 0 {
            for (lane, offset) in offset.iter_mut().enumerate() {
                *offset = offset.wrapping_add(cx.w.row(half, reg).0[lane].into());
            }
        }
        let mut mask = exec;
        let mut addresses = [0; LANES];
        for lane in 0..LANES {
            addresses[lane] = if private {
                offset[lane].wrapping_add(soffset / cx.w.lanes() as u64) & 0xffff_ffff
            } else {
                // Accesses past the end of a buffer are dropped, reads give zero.
                let inside = if stride == 0 {
                    offset[lane] + soffset + op.bytes() <= records
                } else {
                    index[lane] < records && offset[lane] + op.bytes() <= stride
                };
                mask &= !(u32::from(!inside) << lane);
                base.wrapping_add(index[lane] * stride)
                    .wrapping_add(offset[lane])
                    .wrapping_add(soffset)
            };
        }
        if exec & !mask != 0 && matches!(op, Transfer::Load { .. }) {
            transfer::zero(cx.w, inst, op, half, exec & !mask);
        }
        if mask == 0 {
            continue;
        }
        let result = if private {
            access::scratch(cx, half, &mut addresses, mask, op.bytes(), op.access())
        } else {
            access::global(cx, half, &mut addresses, mask, op.bytes(), op.access())
        };
        if let Err(flow) = result.and_then(|()| transfer::run(cx, inst, op, half, &addresses, mask))
        {
            return flow;
        }
    }
    Flow::Next
}
