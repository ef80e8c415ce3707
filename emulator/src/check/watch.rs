//! One worker's eyes: called for every access and every barrier of a launch that is checked.

use super::{Check, Defect, uses};
use crate::exec::Cx;
use crate::fault::Access;
use crate::lanes::LANES;
use crate::memory::cells::{How, Other, WORD};
use crate::memory::{Alloc, Cells, Shadow};
use crate::ops::memory::Addresses;

/// Which memory an address is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Space {
    /// Global memory; addresses are the host's.
    Global,
    /// LDS; addresses are offsets.
    Lds,
    /// Scratch; addresses are offsets into the lane's own.
    Scratch,
}

/// What a worker remembers about the work-group that it runs; at first of none.
#[derive(Default)]
pub struct Watch {
    group: u32,
    /// Counts the worker's groups, so that cells of LDS need not be cleared for each.
    run: u16,
    lds: Option<Local>,
    /// What was written of each wave's scratch.
    scratch: Vec<(u64, Option<Shadow>)>,
    /// The waves at the barrier, with the instruction.
    arrived: Vec<(u32, u64)>,
    waves: u32,
    /// Stores that race unless they change nothing.
    pending: Vec<Pending>,
}

/// What is remembered of a group's LDS.
struct Local {
    size: u64,
    written: Shadow,
    cells: Cells,
}

/// A store that races, if the bytes at `host` change.
struct Pending {
    host: u64,
    before: [u8; WORD as usize],
    len: usize,
    space: Space,
    address: u64,
    lane: u32,
    other: Other,
}

/// Accesses of neighbouring lanes to neighbouring bytes.
#[derive(Clone, Copy)]
struct Span {
    start: u64,
    end: u64,
}

impl Watch {
    /// Starts a group of `waves` waves: nobody wrote its LDS (`lds` bytes) and scratch (`scratch` bytes a wave).
    pub fn start(&mut self, group: u32, waves: u32, lds: u64, scratch: u64) {
        self.group = group;
        self.waves = waves;
        self.arrived.clear();
        self.pending.clear();
        self.run = self.run.wrapping_add(1);
        if self.lds.as_ref().is_none_or(|local| local.size < lds) {
            self.lds = Local::new(lds);
        }
        if let Some(local) = &self.lds {
            local.written.clear(lds);
            if self.run == 0 {
                local.cells.forget();
            }
        }
        // 0 names no launch.
        self.run = self.run.max(1);
        if scratch > 0 {
            self.scratch.resize_with(waves as usize, || (0, None));
            for (size, written) in &mut self.scratch {
                match written {
                    Some(written) if *size >= scratch => written.clear(scratch),
                    _ => (*size, *written) = (scratch, Shadow::new(scratch)),
                }
            }
        }
    }
}

impl Local {
    /// `None` if the system has no memory: then LDS is not watched.
    fn new(size: u64) -> Option<Self> {
        Some(Self {
            size,
            written: Shadow::new(size)?,
            cells: Cells::new(size)?,
        })
    }
}

/// The distinct stretches that the active lanes access, each of neighbouring lanes.
fn spans(addresses: &Addresses, mask: u32, size: u64, spans: &mut [Span; LANES]) -> usize {
    let mut count = 0;
    for (lane, &start) in addresses.iter().enumerate() {
        if mask >> lane & 1 == 0 {
            continue;
        }
        let end = start + size;
        match spans[..count].last_mut() {
            Some(last) if start >= last.start && end <= last.end => {}
            Some(last) if start == last.end => last.end = end,
            _ => {
                spans[count] = Span { start, end };
                count += 1;
            }
        }
    }
    count
}

/// The first active lane that accesses the byte at `address`.
fn lane_at(addresses: &Addresses, mask: u32, size: u64, address: u64) -> u32 {
    (0..LANES)
        .find(|&lane| mask >> lane & 1 == 1 && address.wrapping_sub(addresses[lane]) < size)
        .unwrap_or(0) as u32
}

fn how(access: Access) -> How {
    match access {
        Access::Read => How::Read,
        Access::Write => How::Write,
        Access::Atomic => How::Atomic,
    }
}

fn check<'l>(cx: &Cx<'l>) -> Option<&'l Check> {
    cx.shared.check
}

fn here(cx: &Cx<'_>) -> u64 {
    cx.function.address_of(cx.w.pc)
}

fn add(cx: &Cx<'_>, defect: Defect, lane: Option<u32>, detail: impl FnOnce() -> String) {
    let (Some(check), Some(watch)) = (check(cx), cx.watch.as_deref()) else {
        return;
    };
    check.add(here(cx), defect, (watch.group, cx.w.index, lane), detail);
}

fn place(cx: &Cx<'_>, space: Space, address: u64, len: u64) -> String {
    match space {
        Space::Global => {
            let place = cx.shared.memory.describe(address, len);
            format!("{len} bytes at {address:#x}, which is {place}")
        }
        Space::Lds => format!("{len} bytes of LDS at offset {address:#x}"),
        Space::Scratch => format!("{len} bytes of scratch at offset {address:#x}"),
    }
}

/// Watches an access of the active lanes of a half to memory that they may access.
#[inline(never)]
pub fn vector(
    cx: &mut Cx<'_>,
    space: Space,
    half: usize,
    addresses: &Addresses,
    mask: u32,
    size: u64,
    access: Access,
) {
    let first_lane = (half * LANES) as u32;
    if size > 1 {
        let odd = (0..LANES).find(|&lane| mask >> lane & 1 == 1 && addresses[lane] & 1 == 1);
        if let Some(lane) = odd {
            add(
                cx,
                Defect::Misaligned,
                Some(first_lane + lane as u32),
                || {
                    let place = place(cx, space, addresses[lane], size);
                    format!("{access} of {place}: the address is odd")
                },
            );
        }
    }
    if space == Space::Scratch {
        return scratch(cx, half, addresses, mask, size, access);
    }
    if access == Access::Atomic && space == Space::Global {
        synchronizes(cx);
    }
    let mut stretches = [Span { start: 0, end: 0 }; LANES];
    let count = spans(addresses, mask, size, &mut stretches);
    let lane = |address| first_lane + lane_at(addresses, mask, size, address);
    for span in &stretches[..count] {
        match space {
            Space::Lds => lds(cx, *span, size, access, &lane),
            _ => global(cx, *span, size, access, &lane),
        }
    }
}

/// Watches a scalar load.
#[inline(never)]
pub fn scalar(cx: &mut Cx<'_>, address: u64, size: u64) {
    let span = Span {
        start: address,
        end: address + size,
    };
    global(cx, span, size, Access::Read, &|_| 0);
}

/// Reports a scalar load of words at an address that is no multiple of four.
#[cold]
pub fn misaligned_scalar(cx: &mut Cx<'_>, address: u64, size: u64) {
    add(cx, Defect::Misaligned, None, || {
        let place = place(cx, Space::Global, address, size);
        format!("scalar read of {place}: the two lowest bits of the address are dropped")
    });
}

fn synchronizes(cx: &Cx<'_>) {
    if let (Some(check), Some(watch)) = (check(cx), cx.watch.as_deref()) {
        check.synchronizes(watch.group);
    }
}

type LaneAt<'l> = dyn Fn(u64) -> u32 + 'l;

fn global(cx: &mut Cx<'_>, span: Span, size: u64, access: Access, lane: &LaneAt<'_>) {
    let shared = cx.shared;
    let mut start = span.start;
    while start < span.end {
        // Arguments and the dispatch packet are no allocations.
        let Some(alloc) = shared.memory.find(start) else {
            return;
        };
        // A widened scalar load may reach past the end.
        let end = span.end.min(alloc.end());
        stretch(cx, alloc, Span { start, end }, size, access, lane);
        start = end.max(start + 1);
    }
}

fn stretch(
    cx: &mut Cx<'_>,
    alloc: &Alloc,
    span: Span,
    size: u64,
    access: Access,
    lane: &LaneAt<'_>,
) {
    let (offset, len) = (span.start - alloc.base, span.end - span.start);
    if let Some(written) = &alloc.shadow {
        if access != Access::Write {
            let base = alloc.base;
            unwritten(cx, Space::Global, written, base, span, size, access, lane);
        }
        if access != Access::Read {
            written.mark(offset, len);
        }
    }
    if let Some(cells) = &alloc.cells {
        races(cx, Space::Global, cells, alloc.base, span, access, lane);
    }
}

fn lds(cx: &mut Cx<'_>, span: Span, size: u64, access: Access, lane: &LaneAt<'_>) {
    // Taken out while the context is lent.
    let Some(local) = cx.watch.as_deref_mut().and_then(|watch| watch.lds.take()) else {
        return;
    };
    if access == Access::Atomic {
        unwritten(cx, Space::Lds, &local.written, 0, span, size, access, lane);
    }
    if access != Access::Read {
        local.written.mark(span.start, span.end - span.start);
    }
    races(cx, Space::Lds, &local.cells, 0, span, access, lane);
    if let Some(watch) = cx.watch.as_deref_mut() {
        watch.lds = Some(local);
    }
}

/// Reports words of a read that nobody wrote. `base` is the address of the shadow's first byte.
#[expect(
    clippy::too_many_arguments,
    reason = "an access, and what is remembered of its memory"
)]
fn unwritten(
    cx: &Cx<'_>,
    space: Space,
    written: &Shadow,
    base: u64,
    span: Span,
    size: u64,
    access: Access,
    lane: &LaneAt<'_>,
) {
    let unit = size.min(WORD);
    let mut at = span.start;
    while at < span.end {
        let found = written.first_unwritten(at - base, span.end - at);
        let Some(first) = found.map(|offset| base + offset) else {
            return;
        };
        // The accesses of a span follow each other, so its words do.
        let start = span.start + (first - span.start) / unit * unit;
        at = start + unit;
        let len = unit.min(span.end - start);
        if !written.none_written(start - base, len) {
            continue;
        }
        let word = ((start - span.start) % size / unit) as u16;
        if access == Access::Read && !is_used(cx, word) {
            continue;
        }
        add(cx, Defect::Unwritten, Some(lane(start)), || {
            let place = place(cx, space, start, len);
            match space {
                Space::Lds => format!("{access} of {place}, which no thread of the block wrote"),
                _ => format!("{access} of {place}: nobody wrote there"),
            }
        });
        return;
    }
}

fn is_used(cx: &Cx<'_>, word: u16) -> bool {
    let Some(check) = check(cx) else {
        return false;
    };
    check.uses(here(cx), word, || {
        uses::is_used(cx.shared.code, cx.function, cx.w.pc, cx.w.halves, word)
    })
}

fn scratch(
    cx: &mut Cx<'_>,
    half: usize,
    addresses: &Addresses,
    mask: u32,
    size: u64,
    access: Access,
) {
    let limit = cx.w.scratch_size;
    let index = cx.w.index as usize;
    let Some((_, Some(written))) = cx
        .watch
        .as_deref()
        .and_then(|watch| watch.scratch.get(index))
    else {
        return;
    };
    let lanes = || (0..LANES).filter(|lane| mask >> lane & 1 == 1);
    let offset = |lane: usize| (half * LANES + lane) as u64 * limit + addresses[lane];
    // Spilled registers are reloaded for all lanes, whichever of them had a value.
    if access != Access::Write
        && lanes().all(|lane| written.none_written(offset(lane), size))
        && let Some(lane) = lanes().next()
        && is_used(cx, 0)
    {
        let place = place(cx, Space::Scratch, addresses[lane], size);
        add(
            cx,
            Defect::Unwritten,
            Some((half * LANES + lane) as u32),
            || format!("{access} of {place}, which the thread never wrote"),
        );
    }
    if access != Access::Read {
        for lane in lanes() {
            written.mark(offset(lane), size);
        }
    }
}

/// Remembers an access and reports what races with it.
fn races(
    cx: &mut Cx<'_>,
    space: Space,
    cells: &Cells,
    base: u64,
    span: Span,
    access: Access,
    lane: &LaneAt<'_>,
) {
    let (Some(check), Some(watch)) = (check(cx), cx.watch.as_deref()) else {
        return;
    };
    let mut party = check.party(
        watch.group,
        cx.w.index,
        cx.w.barriers,
        cx.w.signalled.is_some(),
    );
    if space == Space::Lds {
        party.launch = watch.run;
    }
    let strict = space == Space::Lds;
    let mut first: Option<(u64, Other)> = None;
    let mut found = |at: u64, other: Other| {
        if space == Space::Global && is_excused(cx, check, party.group, other) {
            return;
        }
        first.get_or_insert((base + at, other));
    };
    cells.access(
        span.start - base,
        span.end - span.start,
        how(access),
        party,
        strict,
        &mut found,
    );
    let Some((address, other)) = first else {
        return;
    };
    let lane = lane(address);
    if access != Access::Write {
        return race(cx, space, access, address, lane, other);
    }
    let host = match space {
        Space::Lds => cx.group.lds.address() + address,
        _ => address,
    };
    let len = (WORD - address % WORD).min(span.end - address) as usize;
    let mut before = [0; WORD as usize];
    // SAFETY: the bytes are of the access, which is inside of an allocation or of the group's LDS.
    unsafe { std::ptr::copy_nonoverlapping(host as *const u8, before.as_mut_ptr(), len) };
    if let Some(watch) = cx.watch.as_deref_mut() {
        watch.pending.push(Pending {
            host,
            before,
            len,
            space,
            address,
            lane,
            other,
        });
    }
}

/// Whether two groups are ordered as far as can be known: both executed atomic operations, or this access is one that
/// looks past the nearest cache, as atomic and volatile loads do; then both count as having executed one.
fn is_excused(cx: &Cx<'_>, check: &Check, group: u32, other: Other) -> bool {
    if other.group == Some(group) {
        return false;
    }
    let text = || cx.shared.code.text(here(cx), cx.w.halves);
    let looks_past = |text: &str| {
        text.split_whitespace()
            .any(|word| matches!(word, "glc" | "sc0" | "sc1") || word.starts_with("scope:"))
    };
    if other.wrote && !check.is_synchronized(group) && looks_past(&text()) {
        check.synchronizes(group);
        if let Some(other) = other.group {
            check.synchronizes(other);
        }
    }
    check.is_synchronized(group) && other.group.is_none_or(|other| check.is_synchronized(other))
}

fn race(cx: &Cx<'_>, space: Space, access: Access, address: u64, lane: u32, other: Other) {
    add(cx, Defect::Race, Some(lane), || {
        let len = WORD - address % WORD;
        let place = place(cx, space, address, len);
        let did = if other.wrote { "wrote" } else { "read" };
        let group = cx.watch.as_deref().map(|watch| watch.group);
        let who = match (other.group, other.wave) {
            (None, _) => format!("several blocks {did}, and nothing orders them with this one"),
            (Some(block), _) if Some(block) != group => {
                let [x, y, z] = check(cx).map_or([0; 3], |check| check.shape().block(block));
                format!("block ({x}, {y}, {z}) {did}, and nothing orders the two")
            }
            (_, None) => format!("several waves of the block {did} with no barrier between"),
            (_, Some(wave)) => format!(
                "wave {wave} of the block {did} with no barrier between (this is wave {})",
                cx.w.index
            ),
        };
        match space {
            Space::Global => format!("{access} of {place}; {who}"),
            _ => format!("{access} of {place}, which {who}"),
        }
    });
}

/// To be called when an instruction has executed: reports racing stores that changed something.
pub fn settle(cx: &mut Cx<'_>) {
    let Some(watch) = cx.watch.as_deref_mut() else {
        return;
    };
    if watch.pending.is_empty() {
        return;
    }
    let mut pending = std::mem::take(&mut watch.pending);
    for store in &pending {
        let mut after = [0; WORD as usize];
        // SAFETY: the bytes were accessible when the store was checked, and stay so while the launch runs.
        unsafe {
            std::ptr::copy_nonoverlapping(store.host as *const u8, after.as_mut_ptr(), store.len)
        };
        if after[..store.len] != store.before[..store.len] {
            race(
                cx,
                store.space,
                Access::Write,
                store.address,
                store.lane,
                store.other,
            );
        }
    }
    pending.clear();
    if let Some(watch) = cx.watch.as_deref_mut() {
        watch.pending = pending;
    }
}

/// The wave arrives at the barrier; `completes` says that it is the last one.
pub fn arrived(cx: &mut Cx<'_>, completes: bool) {
    let at = (cx.w.index, here(cx));
    if let Some(watch) = cx.watch.as_deref_mut() {
        watch.arrived.push(at);
    }
    if completes {
        met(cx);
    }
}

/// The wave ends; `completes` says that all others wait at the barrier.
pub fn left(cx: &mut Cx<'_>, completes: bool) {
    if completes {
        met(cx);
    }
}

/// Judges a barrier that all waves which have not ended arrived at.
fn met(cx: &mut Cx<'_>) {
    let Some(watch) = cx.watch.as_deref_mut() else {
        return;
    };
    let arrived = std::mem::take(&mut watch.arrived);
    let (waves, group) = (watch.waves, watch.group);
    let (Some(check), Some(&(first, address))) = (check(cx), arrived.first()) else {
        return;
    };
    let lanes = check.shape().lanes;
    if let Some(&(wave, other)) = arrived.iter().find(|(_, other)| *other != address) {
        check.add(address, Defect::Barrier, (group, first, None), || {
            let text = cx.shared.code.text(other, cx.w.halves);
            let distance = other.wrapping_sub(address) as i64;
            format!(
                "wave {first} of the block waits here, wave {wave} at another barrier, {} ({distance:+} bytes from here)",
                text.trim()
            )
        });
    } else if arrived.len() < waves as usize {
        let missing = (0..waves).find(|wave| arrived.iter().all(|(here, _)| here != wave));
        check.add(address, Defect::Barrier, (group, first, None), || {
            let missing = missing.unwrap_or(0);
            format!(
                "{} of the block's {waves} waves wait here; wave {missing} (threads from {}) has ended and never comes",
                arrived.len(),
                missing * lanes
            )
        });
    }
}
