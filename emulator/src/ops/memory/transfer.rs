//! Moving data between registers and host memory.
//!
//! All addresses here were checked by [`super::access`]: the active lanes' bytes are accessible for as long as the launch
//! runs. This is the only module that dereferences them.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::exec::{Cx, Flow};
use crate::isa::inst::{Inst, slot};
use crate::lanes::LANES;
use crate::ops::memory::atomic::AtomicOp;
use crate::ops::memory::{Addresses, Transfer};
use crate::wave::Wave;

/// Reads a value that need not be aligned.
///
/// # Safety
/// `size_of::<T>()` bytes at `address` are readable.
#[inline(always)]
unsafe fn read<T: Copy>(address: u64) -> T {
    // SAFETY: the caller's promise. Other work-groups may write here at the same time; then the kernel has a race, and
    // the value is as undefined as on the device.
    unsafe { (address as *const T).read_unaligned() }
}

/// Writes a value that need not be aligned.
///
/// # Safety
/// `size_of::<T>()` bytes at `address` are writable.
#[inline(always)]
unsafe fn write<T>(address: u64, value: T) {
    // SAFETY: the caller's promise; races are the kernel's, as for `read`.
    unsafe { (address as *mut T).write_unaligned(value) }
}

#[inline(always)]
fn each_lane(mask: u32, mut f: impl FnMut(usize)) {
    if mask == u32::MAX {
        for lane in 0..LANES {
            f(lane);
        }
    } else {
        let mut left = mask;
        while left != 0 {
            f(left.trailing_zeros() as usize);
            left &= left - 1;
        }
    }
}

/// Moves the data of one half.
///
/// # Errors
/// None of its own; the result is that of the whole access, for the callers' convenience.
#[inline]
pub fn run(
    cx: &mut Cx<'_>,
    inst: &Inst,
    op: Transfer,
    half: usize,
    addresses: &Addresses,
    mask: u32,
) -> Result<(), Flow> {
    let wave = &mut *cx.w;
    match op {
        Transfer::Load {
            bytes,
            sext,
            half: part,
        } => match (bytes, part) {
            (4, _) => load_words::<1>(wave, half, inst.dst, addresses, mask),
            (8, _) => load_words::<2>(wave, half, inst.dst, addresses, mask),
            (12, _) => load_words::<3>(wave, half, inst.dst, addresses, mask),
            (16, _) => load_words::<4>(wave, half, inst.dst, addresses, mask),
            _ => load_part(wave, half, inst.dst, addresses, mask, bytes, sext, part),
        },
        Transfer::Store { bytes, high } => match bytes {
            4 => store_words::<1>(wave, half, inst.src[1].reg, addresses, mask),
            8 => store_words::<2>(wave, half, inst.src[1].reg, addresses, mask),
            12 => store_words::<3>(wave, half, inst.src[1].reg, addresses, mask),
            16 => store_words::<4>(wave, half, inst.src[1].reg, addresses, mask),
            _ => store_part(wave, half, inst.src[1].reg, addresses, mask, bytes, high),
        },
        Transfer::Atomic(op) => atomic(wave, half, inst, op, addresses, mask),
        Transfer::LoadPair { .. } | Transfer::StorePair { .. } | Transfer::SwapPair { .. } => {
            run_pair(cx, inst, op, half, [addresses, addresses], mask);
        }
    }
    Ok(())
}

#[inline(always)]
fn load_words<const N: usize>(
    wave: &mut Wave,
    half: usize,
    dst: u16,
    addresses: &Addresses,
    mask: u32,
) {
    let rows = wave.rows_mut::<N>(half, dst);
    each_lane(mask, |lane| {
        // SAFETY: `access` checked `4 * N` bytes at every active lane's address.
        let words: [u32; N] = unsafe { read(addresses[lane]) };
        for (row, word) in rows.iter_mut().zip(words) {
            row.0[lane] = word;
        }
    });
}

#[inline(always)]
fn store_words<const N: usize>(
    wave: &mut Wave,
    half: usize,
    src: u16,
    addresses: &Addresses,
    mask: u32,
) {
    let rows = &*wave.rows_mut::<N>(half, src);
    each_lane(mask, |lane| {
        let words: [u32; N] = std::array::from_fn(|index| rows[index].0[lane]);
        // SAFETY: `access` checked `4 * N` bytes at every active lane's address.
        unsafe { write(addresses[lane], words) };
    });
}

#[expect(
    clippy::too_many_arguments,
    reason = "the fields of `Transfer::Load`, spelled out"
)]
fn load_part(
    wave: &mut Wave,
    half: usize,
    dst: u16,
    addresses: &Addresses,
    mask: u32,
    bytes: u8,
    sext: bool,
    part: Option<bool>,
) {
    let row = wave.row_mut(half, dst);
    each_lane(mask, |lane| {
        let address = addresses[lane];
        // SAFETY: `access` checked `bytes` bytes at every active lane's address.
        let value = unsafe {
            match (bytes, sext) {
                (1, false) => u32::from(read::<u8>(address)),
                (1, true) => i32::from(read::<i8>(address)) as u32,
                (_, false) => u32::from(read::<u16>(address)),
                (_, true) => i32::from(read::<i16>(address)) as u32,
            }
        };
        let old = row.0[lane];
        row.0[lane] = match part {
            None => value,
            Some(false) => (old & 0xffff_0000) | (value & 0xffff),
            Some(true) => (old & 0xffff) | (value << 16),
        };
    });
}

fn store_part(
    wave: &Wave,
    half: usize,
    src: u16,
    addresses: &Addresses,
    mask: u32,
    bytes: u8,
    high: bool,
) {
    let row = wave.row(half, src);
    each_lane(mask, |lane| {
        let value = if high { row.0[lane] >> 16 } else { row.0[lane] };
        // SAFETY: `access` checked `bytes` bytes at every active lane's address.
        unsafe {
            if bytes == 1 {
                write(addresses[lane], value as u8);
            } else {
                write(addresses[lane], value as u16);
            }
        }
    });
}

/// Writes zeros to the destination of a load.
pub fn zero(wave: &mut Wave, inst: &Inst, op: Transfer, half: usize, mask: u32) {
    for word in 0..op.bytes().div_ceil(4) as u16 {
        let row = wave.row_mut(half, inst.dst + word);
        each_lane(mask, |lane| row.0[lane] = 0);
    }
}

/// Moves the data of an operation on two addresses a lane.
pub fn run_pair(
    cx: &mut Cx<'_>,
    inst: &Inst,
    op: Transfer,
    half: usize,
    addresses: [&Addresses; 2],
    mask: u32,
) {
    let wave = &mut *cx.w;
    let words = op.bytes() as u16 / 4;
    for (which, addresses) in addresses.into_iter().enumerate() {
        let dst = inst.dst.wrapping_add(which as u16 * words);
        let data = if which == 0 {
            inst.src[1].reg
        } else {
            inst.src[3].reg
        };
        match (op, words) {
            (Transfer::LoadPair { .. }, 1) => load_words::<1>(wave, half, dst, addresses, mask),
            (Transfer::LoadPair { .. }, _) => load_words::<2>(wave, half, dst, addresses, mask),
            (Transfer::StorePair { .. }, 1) => store_words::<1>(wave, half, data, addresses, mask),
            (Transfer::StorePair { .. }, _) => store_words::<2>(wave, half, data, addresses, mask),
            _ => each_lane(mask, |lane| {
                for word in 0..words {
                    let address = addresses[lane] + 4 * u64::from(word);
                    let new = wave.row(half, data + word).0[lane];
                    // SAFETY: `access` checked `4 * words` bytes at every active lane's address.
                    let old: u32 = unsafe { read(address) };
                    // SAFETY: as above.
                    unsafe { write(address, new) };
                    wave.row_mut(half, dst + word).0[lane] = old;
                }
            }),
        }
    }
}

/// Executes an atomic operation, lane after lane.
fn atomic(
    wave: &mut Wave,
    half: usize,
    inst: &Inst,
    op: &AtomicOp,
    addresses: &Addresses,
    mask: u32,
) {
    let words = u16::from(op.bytes / 4);
    let value = |wave: &Wave, reg: u16, lane: usize| {
        let low = u64::from(wave.row(half, reg).0[lane]);
        if words == 2 {
            low | (u64::from(wave.row(half, reg + 1).0[lane]) << 32)
        } else {
            low
        }
    };
    each_lane(mask, |lane| {
        let data = value(wave, inst.src[1].reg, lane);
        let other = if op.second {
            value(wave, inst.src[3].reg, lane)
        } else {
            0
        };
        let address = addresses[lane];
        let old = if words == 2 {
            // SAFETY: `access` checked eight accessible and aligned bytes; concurrent accesses of other work-groups are
            // atomic too, unless the kernel has a race.
            let cell = unsafe { AtomicU64::from_ptr(address as *mut u64) };
            cell.fetch_update(Ordering::AcqRel, Ordering::Acquire, |old| {
                Some((op.function)(old, data, other))
            })
            .unwrap_or_else(|old| old)
        } else {
            // SAFETY: as above, four bytes.
            let cell = unsafe { AtomicU32::from_ptr(address as *mut u32) };
            cell.fetch_update(Ordering::AcqRel, Ordering::Acquire, |old| {
                Some((op.function)(old.into(), data, other) as u32)
            })
            .unwrap_or_else(|old| old)
            .into()
        };
        if inst.dst != slot::NONE {
            wave.row_mut(half, inst.dst).0[lane] = old as u32;
            if words == 2 {
                wave.row_mut(half, inst.dst + 1).0[lane] = (old >> 32) as u32;
            }
        }
    });
}

/// Reads `words` words for a scalar load.
///
/// # Safety
/// The words at `address` were checked by [`super::access::global_range`].
pub unsafe fn scalar_words(address: u64, out: &mut [u32]) {
    for (index, word) in out.iter_mut().enumerate() {
        // SAFETY: the caller's promise.
        *word = unsafe { read(address + 4 * index as u64) };
    }
}

/// Reads a byte or a half word for a scalar load.
///
/// # Safety
/// As for [`scalar_words`].
pub unsafe fn scalar_part(address: u64, bytes: u8, sext: bool) -> u32 {
    // SAFETY: the caller's promise.
    unsafe {
        match (bytes, sext) {
            (1, false) => u32::from(read::<u8>(address)),
            (1, true) => i32::from(read::<i8>(address)) as u32,
            (_, false) => u32::from(read::<u16>(address)),
            (_, true) => i32::from(read::<i16>(address)) as u32,
        }
    }
}
