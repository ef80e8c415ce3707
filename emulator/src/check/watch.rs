//! One worker's eyes: called for every access and every barrier of a launch that is checked.

use super::taint::{Origin, Taint};
use super::{Check, Defect, uses};
use crate::exec::Cx;
use crate::fault::Access;
use crate::isa::inst::{Class, Detail, Inst, Kind};
use crate::lanes::LANES;
use crate::memory::cells::{How, Other, WORD};
use crate::memory::{Alloc, Cells, Shadow};
use crate::ops::memory::{Addresses, Transfer};

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
    /// Registers with what comes from unwritten LDS and scratch.
    taint: Taint,
    /// Whether the next access is the second of an instruction with two.
    second: bool,
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
        self.taint.start(waves as usize);
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

/// What the active lanes of a half do with memory that they may access.
#[derive(Clone, Copy)]
pub struct Accessed<'a> {
    /// Where.
    pub space: Space,
    /// Which half of the wave.
    pub half: usize,
    /// Where in the space, by lane.
    pub addresses: &'a Addresses,
    /// The active lanes.
    pub mask: u32,
    /// Bytes a lane.
    pub size: u64,
    /// What they do.
    pub access: Access,
}

/// Watches an access of lanes.
#[inline(never)]
pub fn vector(cx: &mut Cx<'_>, accessed: Accessed<'_>) {
    let Accessed {
        space,
        half,
        addresses,
        mask,
        size,
        access,
    } = accessed;
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
    let inst = current(cx);
    tainted_operands(cx, inst, accessed);
    if access == Access::Atomic && space == Space::Global {
        synchronized(cx);
    }
    let mut stretches = [Span { start: 0, end: 0 }; LANES];
    let count = match space {
        Space::Scratch => 0,
        _ => spans(addresses, mask, size, &mut stretches),
    };
    let stretches = &stretches[..count];
    let lane = |address| first_lane + lane_at(addresses, mask, size, address);
    for span in stretches {
        match space {
            Space::Lds => lds(cx, *span, size, access, &lane),
            _ => global(cx, *span, size, access, &lane),
        }
    }
    local(cx, inst, accessed, stretches);
    if let Some(watch) = cx.watch.as_deref_mut() {
        watch.second = false;
    }
}

/// The next access is the second of an instruction with two.
pub fn second_part(cx: &mut Cx<'_>) {
    if let Some(watch) = cx.watch.as_deref_mut() {
        watch.second = true;
    }
}

/// The instruction that executes.
fn current<'l>(cx: &Cx<'l>) -> Option<&'l Inst> {
    let function = cx.function;
    function.instructions.get(cx.w.pc)
}

fn transfer(inst: &Inst) -> Option<Transfer> {
    match inst.detail {
        Detail::Memory(op) => Some(op.transfer),
        _ => None,
    }
}

/// The registers with the data that an access writes, in the file of a half.
fn data_registers(inst: &Inst, second: bool) -> Option<(usize, usize)> {
    let transfer = transfer(inst)?;
    let words = transfer.bytes().div_ceil(WORD) as usize;
    let register = match transfer {
        Transfer::Load { .. } | Transfer::LoadPair { .. } => return None,
        _ if second => inst.src[3].reg,
        _ => inst.src[1].reg,
    };
    Some((register.into(), words))
}

/// Registers of a half in the order of [`Taint`].
fn in_half(half: usize, register: usize) -> usize {
    half * 512 + register
}

/// Reports what comes from unwritten LDS or scratch and is now an address, or goes to global memory.
fn tainted_operands(cx: &Cx<'_>, inst: Option<&Inst>, accessed: Accessed<'_>) {
    let Accessed {
        space,
        half,
        mask,
        access,
        ..
    } = accessed;
    let (Some(inst), Some(watch)) = (inst, cx.watch.as_deref()) else {
        return;
    };
    if !watch.taint.is_live(cx.w.index) {
        return;
    }
    let mut used = None;
    // The first of two accesses may have overwritten the address.
    if inst.src[0].kind == Kind::Vector && !watch.second {
        let count = if inst.src[0].wide { 2 } else { 1 };
        let first = in_half(half, inst.src[0].reg.into());
        let found = watch.taint.of(cx.w.index, first, count);
        used = found.map(|found| (found, "uses it in an address"));
    }
    if used.is_none()
        && access != Access::Read
        && (space == Space::Global || access == Access::Atomic)
        && let Some((register, words)) = data_registers(inst, watch.second)
    {
        let found = watch.taint.of(cx.w.index, in_half(half, register), words);
        used = found.map(|found| (found, "stores what comes of it"));
    }
    let Some(((lanes, origin), how)) = used.filter(|((lanes, _), _)| lanes & mask != 0) else {
        return;
    };
    let lane = (half * LANES) as u32 + (lanes & mask).trailing_zeros();
    let Some(check) = check(cx) else {
        return;
    };
    let at = (watch.group, cx.w.index, Some(lane));
    check.add(origin.pc, Defect::Unwritten, at, || {
        let place = place(cx, origin.space, origin.address, origin.len);
        let who = match origin.space {
            Space::Scratch => "the thread never wrote",
            _ => "no thread of the block wrote",
        };
        let text = cx.shared.code.text(here(cx), cx.w.halves);
        let text = text.trim().replace('\t', " ");
        format!("read of {place}, which {who}; {text} {how}")
    });
}

/// What an access to LDS or scratch means for the taint of registers, and the other way round.
fn local(cx: &mut Cx<'_>, inst: Option<&Inst>, accessed: Accessed<'_>, stretches: &[Span]) {
    let Accessed {
        space,
        half,
        addresses,
        mask,
        size,
        access,
    } = accessed;
    let pc = here(cx);
    let (index, limit) = (cx.w.index, cx.w.scratch_size);
    let (Some(inst), Some(watch)) = (inst, cx.watch.as_deref_mut()) else {
        return;
    };
    let scratch = watch.scratch.get(index as usize);
    let written = match space {
        Space::Global => None,
        Space::Lds => watch.lds.as_ref().map(|local| &local.written),
        Space::Scratch => scratch.and_then(|(_, written)| written.as_ref()),
    };
    let offset = |lane: usize| match space {
        Space::Scratch => (half * LANES + lane) as u64 * limit + addresses[lane],
        _ => addresses[lane],
    };
    let lanes = || (0..LANES).filter(|lane| mask >> lane & 1 == 1);
    let taint = &mut watch.taint;
    match access {
        Access::Read => {
            let is_written = |written: &Shadow| match space {
                Space::Scratch => {
                    lanes().all(|lane| written.first_unwritten(offset(lane), size).is_none())
                }
                _ => stretches.iter().all(|Span { start, end }| {
                    written.first_unwritten(*start, end - start).is_none()
                }),
            };
            let written = written.filter(|written| !is_written(written));
            if written.is_none() && !taint.is_live(index) {
                return;
            }
            let unit = size.min(WORD);
            let words = (size / unit) as usize;
            let first = usize::from(inst.dst) + if watch.second { words } else { 0 };
            for word in 0..words {
                let at = unit * word as u64;
                let mut tainted = 0;
                let mut place = 0;
                for lane in lanes() {
                    let unwritten =
                        |written: &Shadow| written.none_written(offset(lane) + at, unit);
                    if written.is_some_and(unwritten) {
                        if tainted == 0 {
                            place = addresses[lane] + at;
                        }
                        tainted |= 1 << lane;
                    }
                }
                let origin = Origin {
                    pc,
                    space,
                    address: place,
                    len: unit,
                };
                taint.load(index, in_half(half, first + word), mask, tainted, origin);
            }
        }
        Access::Write | Access::Atomic => {
            let Some(written) = written else {
                return;
            };
            if space == Space::Scratch {
                for lane in lanes() {
                    written.mark(offset(lane), size);
                }
            }
            let data = data_registers(inst, watch.second).filter(|_| access == Access::Write);
            let Some((register, words)) = data.filter(|_| taint.is_live(index)) else {
                return;
            };
            for word in 0..words {
                let Some((tainted, _)) = taint.of(index, in_half(half, register + word), 1) else {
                    continue;
                };
                let at = WORD * word as u64;
                for lane in lanes().filter(|lane| tainted >> lane & 1 == 1) {
                    written.unmark(offset(lane) + at, WORD.min(size - at));
                }
            }
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

/// The wave has passed a barrier of the grid, or executed an atomic operation on global memory.
pub fn synchronized(cx: &Cx<'_>) {
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

/// To be called when an instruction has executed, before control moves on.
#[inline]
pub fn executed(cx: &mut Cx<'_>, inst: &Inst) {
    let Some(watch) = cx.watch.as_deref_mut() else {
        return;
    };
    if !watch.pending.is_empty() {
        settle(cx);
    } else if watch.taint.is_live(cx.w.index)
        && matches!(
            inst.class,
            Class::Valu | Class::Float | Class::Dot | Class::Matrix | Class::CrossLane
        )
    {
        let pc = cx.function.address_of(cx.w.pc);
        let (code, halves) = (cx.shared.code, cx.w.halves);
        watch.taint.step(cx.w, pc, || code.text(pc, halves));
    }
}

/// Reports racing stores that changed something.
#[cold]
fn settle(cx: &mut Cx<'_>) {
    let Some(watch) = cx.watch.as_deref_mut() else {
        return;
    };
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
