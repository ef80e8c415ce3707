//! From device addresses to host addresses.
//!
//! Global memory has the same addresses on both sides and is only checked; LDS and scratch are buffers of the work-group
//! and the wave. Whatever is not accessible stops the launch before anything is touched; what is accessible the memory
//! checker sees next, if it is on.

use crate::check::{self, Space};
use crate::exec::{Cx, Flow};
use crate::fault::{Access, FaultKind};
use crate::lanes::LANES;
use crate::ops::memory::Addresses;

/// Where flat addresses of LDS start.
pub const SHARED_APERTURE: u64 = 0x0001_0000_0000_0000;
/// Where flat addresses of scratch start.
pub const PRIVATE_APERTURE: u64 = 0x0002_0000_0000_0000;
/// The base in the buffer resource of scratch. Bases have 48 bits, and no host address has the highest one set.
pub const PRIVATE_RESOURCE: u64 = 0xffff_0000_0000;
/// The size of an aperture.
const APERTURE: u64 = 1 << 32;

fn lanes(mask: u32) -> impl Iterator<Item = usize> {
    (0..LANES).filter(move |lane| mask >> lane & 1 == 1)
}

/// The lowest and the highest address of the active lanes.
#[inline(always)]
fn extremes(addresses: &Addresses, mask: u32) -> (u64, u64) {
    let (mut low, mut high) = (u64::MAX, 0);
    if mask == u32::MAX {
        for &address in addresses {
            low = low.min(address);
            high = high.max(address);
        }
    } else {
        for (lane, &address) in addresses.iter().enumerate() {
            let active = mask >> lane & 1 == 1;
            low = low.min(if active { address } else { u64::MAX });
            high = high.max(if active { address } else { 0 });
        }
    }
    (low, high)
}

/// Whether `size` bytes at every address from `low` to `high` are in one known range.
#[inline(always)]
fn known(cx: &mut Cx<'_>, low: u64, high: u64, size: u64) -> bool {
    let slot = cx.w.pc % cx.ranges.0.len();
    let (start, end) = cx.ranges.0[slot];
    low >= start && high < end && size <= end - high
}

/// The range of memory that `size` bytes at `address` are in.
fn range(cx: &Cx<'_>, address: u64, size: u64) -> Option<(u64, u64)> {
    let holds = |start: u64, end: u64| address >= start && address < end && size <= end - address;
    if let Some(alloc) = cx.shared.memory.find(address)
        && holds(alloc.base, alloc.base + alloc.size)
    {
        return Some((alloc.base, alloc.base + alloc.size));
    }
    cx.shared
        .own
        .iter()
        .copied()
        .find(|&(start, end)| holds(start, end))
}

/// Checks one range of global memory, as scalar loads read it.
///
/// Compilers widen scalar loads of bytes and half words to the word around them: a read may reach to the end of the
/// last word of an allocation.
///
/// # Errors
/// The flow that stops the launch.
#[inline]
pub fn global_range(cx: &mut Cx<'_>, address: u64, size: u64, access: Access) -> Result<(), Flow> {
    if !known(cx, address, address, size) {
        let padded = || {
            let alloc = cx.shared.memory.find(address)?;
            let end = alloc.end().next_multiple_of(4);
            (address.is_multiple_of(4) && address + size <= end)
                .then_some((alloc.base, alloc.end()))
        };
        match range(cx, address, size).or_else(padded) {
            Some(found) => {
                let slot = cx.w.pc % cx.ranges.0.len();
                cx.ranges.0[slot] = found;
            }
            None => return Err(miss(cx, address, size, access, None)),
        }
    }
    if cx.watch.is_some() {
        check::scalar(cx, address, size);
    }
    Ok(())
}

#[cold]
fn miss(cx: &mut Cx<'_>, address: u64, size: u64, access: Access, lane: Option<u32>) -> Flow {
    let place = cx.shared.memory.describe(address, size);
    cx.fail(
        FaultKind::Memory {
            access,
            address,
            size,
            place,
        },
        lane,
    )
}

/// Has the memory checker see an access, if there is one.
#[inline]
fn watch(
    cx: &mut Cx<'_>,
    space: Space,
    half: usize,
    addresses: &Addresses,
    mask: u32,
    size: u64,
    access: Access,
) {
    if cx.watch.is_some() {
        let accessed = check::Accessed {
            space,
            half,
            addresses,
            mask,
            size,
            access,
        };
        check::vector(cx, accessed);
    }
}

/// Checks the active lanes' addresses of global memory.
///
/// # Errors
/// The flow that stops the launch.
#[inline]
pub fn global(
    cx: &mut Cx<'_>,
    half: usize,
    addresses: &mut Addresses,
    mask: u32,
    size: u64,
    access: Access,
) -> Result<(), Flow> {
    let (low, high) = extremes(addresses, mask);
    if !known(cx, low, high, size) {
        global_slow(cx, half, addresses, mask, size, access)?;
    }
    if access == Access::Atomic {
        aligned(cx, half, addresses, mask, size, access)?;
    }
    watch(cx, Space::Global, half, addresses, mask, size, access);
    Ok(())
}

#[cold]
fn global_slow(
    cx: &mut Cx<'_>,
    half: usize,
    addresses: &Addresses,
    mask: u32,
    size: u64,
    access: Access,
) -> Result<(), Flow> {
    let mut last = (1, 0);
    for lane in lanes(mask) {
        let address = addresses[lane];
        if address >= last.0 && address < last.1 && size <= last.1 - address {
            continue;
        }
        match range(cx, address, size) {
            Some(found) => last = found,
            None => {
                return Err(miss(
                    cx,
                    address,
                    size,
                    access,
                    Some((lane + half * LANES) as u32),
                ));
            }
        }
    }
    let slot = cx.w.pc % cx.ranges.0.len();
    cx.ranges.0[slot] = last;
    Ok(())
}

/// Atomic operations need natural alignment.
fn aligned(
    cx: &mut Cx<'_>,
    half: usize,
    addresses: &Addresses,
    mask: u32,
    size: u64,
    access: Access,
) -> Result<(), Flow> {
    for lane in lanes(mask) {
        let address = addresses[lane];
        if address & (size - 1) != 0 {
            let kind = FaultKind::Misaligned {
                access,
                address,
                size,
            };
            return Err(cx.fail(kind, Some((lane + half * LANES) as u32)));
        }
    }
    Ok(())
}

/// Turns LDS offsets of the active lanes into host addresses.
///
/// # Errors
/// The flow that stops the launch.
#[inline]
pub fn lds(
    cx: &mut Cx<'_>,
    half: usize,
    addresses: &mut Addresses,
    mask: u32,
    size: u64,
    access: Access,
) -> Result<(), Flow> {
    let limit = cx.group.lds.len() as u64;
    let (_, high) = extremes(addresses, mask);
    if high + size > limit {
        let lane = lanes(mask)
            .find(|&lane| addresses[lane] + size > limit)
            .unwrap_or(0);
        let kind = FaultKind::Lds {
            access,
            address: addresses[lane],
            size,
            limit,
        };
        return Err(cx.fail(kind, Some((lane + half * LANES) as u32)));
    }
    if access == Access::Atomic {
        aligned(cx, half, addresses, mask, size, access)?;
    }
    watch(cx, Space::Lds, half, addresses, mask, size, access);
    let base = cx.group.lds.address();
    for address in addresses.iter_mut() {
        *address = address.wrapping_add(base);
    }
    Ok(())
}

/// Turns scratch offsets of the active lanes into host addresses.
///
/// # Errors
/// The flow that stops the launch.
#[inline]
pub fn scratch(
    cx: &mut Cx<'_>,
    half: usize,
    addresses: &mut Addresses,
    mask: u32,
    size: u64,
    access: Access,
) -> Result<(), Flow> {
    let limit = cx.w.scratch_size;
    let (_, high) = extremes(addresses, mask);
    if high + size > limit {
        let lane = lanes(mask)
            .find(|&lane| addresses[lane] + size > limit)
            .unwrap_or(0);
        let kind = FaultKind::Scratch {
            access,
            address: addresses[lane],
            size,
            limit,
        };
        return Err(cx.fail(kind, Some((lane + half * LANES) as u32)));
    }
    watch(cx, Space::Scratch, half, addresses, mask, size, access);
    let base = cx.w.scratch.address() + (half * LANES) as u64 * limit;
    for (lane, address) in addresses.iter_mut().enumerate() {
        *address = address.wrapping_add(base + lane as u64 * limit);
    }
    Ok(())
}

/// Turns flat addresses of the active lanes into host addresses: each may be of any memory.
///
/// # Errors
/// The flow that stops the launch.
pub fn flat(
    cx: &mut Cx<'_>,
    half: usize,
    addresses: &mut Addresses,
    mask: u32,
    size: u64,
    access: Access,
) -> Result<(), Flow> {
    let (mut shared, mut private) = (0, 0);
    for lane in lanes(mask) {
        shared |= u32::from(addresses[lane].wrapping_sub(SHARED_APERTURE) < APERTURE) << lane;
        private |= u32::from(addresses[lane].wrapping_sub(PRIVATE_APERTURE) < APERTURE) << lane;
    }
    let rest = mask & !shared & !private;
    if rest == mask {
        return global(cx, half, addresses, mask, size, access);
    }
    let original = *addresses;
    if rest != 0 {
        global(cx, half, addresses, rest, size, access)?;
    }
    for (part, aperture, resolve) in [
        (shared, SHARED_APERTURE, lds as Resolve),
        (private, PRIVATE_APERTURE, scratch),
    ] {
        if part != 0 {
            let mut offsets = original.map(|address| address.wrapping_sub(aperture));
            resolve(cx, half, &mut offsets, part, size, access)?;
            for lane in lanes(part) {
                addresses[lane] = offsets[lane];
            }
        }
    }
    Ok(())
}

type Resolve = fn(&mut Cx<'_>, usize, &mut Addresses, u32, u64, Access) -> Result<(), Flow>;
