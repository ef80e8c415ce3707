//! Who accessed each word of an allocation last, as far as it takes to see a data race.
//!
//! A word has two cells: its last write and its last reads. A cell names a wave by launch, work-group, number in the group
//! and barriers passed, and which of the word's bytes it touched. Two accesses of different waves are ordered if a barrier
//! of their group lies between them; nothing orders waves of different groups but atomic operations, which the caller
//! knows. What is remembered is the last access of each kind, so a race whose first half was overwritten is missed,
//! and none is made up.

use std::sync::atomic::{AtomicU64, Ordering};

use super::heap::{make_accessible, reserve};

/// Bytes of a word.
pub const WORD: u64 = 4;

/// Two cells for every four bytes. Waves may use them at the same time.
#[derive(Debug)]
pub struct Cells {
    cells: *const [AtomicU64; 2],
    words: usize,
    mapped: u64,
}

// SAFETY: the cells are atomics in a mapping that this owns.
unsafe impl Send for Cells {}
// SAFETY: as above.
unsafe impl Sync for Cells {}

/// Fields of a cell, by their lowest bit.
mod bit {
    pub const ATOMIC: u32 = 4;
    pub const EPOCH: u32 = 5;
    pub const WAVE: u32 = 17;
    pub const GROUP: u32 = 23;
    pub const LAUNCH: u32 = 47;
}

const BYTES: u64 = 0xf;
const EPOCHS: u64 = 1 << (bit::WAVE - bit::EPOCH);
/// In place of a wave: several of the group.
const SEVERAL_WAVES: u64 = (1 << (bit::GROUP - bit::WAVE)) - 1;
/// In place of a group: several.
const SEVERAL_GROUPS: u64 = (1 << (bit::LAUNCH - bit::GROUP)) - 1;

/// A wave that accesses memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Party {
    /// The launch, not 0. Other launches are ordered by their stream.
    pub launch: u16,
    /// The work-group in the launch.
    pub group: u32,
    /// The wave in its work-group.
    pub wave: u32,
    /// Barriers that the wave has passed.
    pub epoch: u32,
    /// Whether it has arrived at the next barrier and not yet waited for it: what it does now is concurrent with what
    /// others do before and behind the barrier.
    pub between: bool,
}

/// The other side of a race.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Other {
    /// Whether it wrote.
    pub wrote: bool,
    /// Its group; `None` for several.
    pub group: Option<u32>,
    /// Its wave; `None` for several.
    pub wave: Option<u32>,
}

/// How a word is accessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Read.
    Read,
    /// Written.
    Write,
    /// Changed by an atomic operation.
    Atomic,
}

impl Party {
    fn cell(self, bytes: u64, atomic: bool) -> u64 {
        let epoch = u64::from(self.epoch) + u64::from(self.between);
        bytes
            | (u64::from(atomic) << bit::ATOMIC)
            | (epoch % EPOCHS) << bit::EPOCH
            | (u64::from(self.wave) % SEVERAL_WAVES) << bit::WAVE
            | (u64::from(self.group) % SEVERAL_GROUPS) << bit::GROUP
            | (u64::from(self.launch) << bit::LAUNCH)
    }

    /// The other side, if the access that `cell` tells of touched one of `bytes` and is not ordered with this wave.
    #[inline]
    fn races(self, cell: u64, bytes: u64, wrote: bool) -> Option<Other> {
        if cell >> bit::LAUNCH != u64::from(self.launch) || cell & bytes == 0 {
            return None;
        }
        let group = field(cell, bit::GROUP, bit::LAUNCH);
        let wave = field(cell, bit::WAVE, bit::GROUP);
        if group == u64::from(self.group) % SEVERAL_GROUPS {
            let passed =
                (u64::from(self.epoch)).wrapping_sub(field(cell, bit::EPOCH, bit::WAVE)) % EPOCHS;
            let ordered = passed != 0 && passed < EPOCHS / 2;
            if wave == u64::from(self.wave) % SEVERAL_WAVES || ordered {
                return None;
            }
        }
        Some(Other {
            wrote,
            group: (group != SEVERAL_GROUPS).then_some(group as u32),
            wave: (wave != SEVERAL_WAVES && group != SEVERAL_GROUPS).then_some(wave as u32),
        })
    }
}

fn field(cell: u64, from: u32, to: u32) -> u64 {
    cell >> from & ((1 << (to - from)) - 1)
}

impl Cells {
    /// Cells for `size` bytes that nobody accessed; `None` if the system has no memory for them. Memory is only used
    /// for the parts that get accessed.
    pub fn new(size: u64) -> Option<Self> {
        let words = size.div_ceil(WORD);
        let mapped = words.checked_mul(16)?.checked_next_multiple_of(4096)?;
        let start = reserve(mapped)?;
        let cells = Self {
            cells: start as *const [AtomicU64; 2],
            words: usize::try_from(words).ok()?,
            mapped,
        };
        make_accessible(start, mapped)?;
        Some(cells)
    }

    fn cells(&self) -> &[[AtomicU64; 2]] {
        // SAFETY: `new` mapped so many zeroed cells there, which live as long as `self`.
        unsafe { std::slice::from_raw_parts(self.cells, self.words) }
    }

    /// Forgets all accesses.
    pub fn forget(&self) {
        // SAFETY: the mapping is this object's own; its pages read as zeros afterwards. Whoever accesses them meanwhile
        // sees one or the other.
        unsafe {
            libc::madvise(
                self.cells as *mut libc::c_void,
                self.mapped as usize,
                libc::MADV_DONTNEED,
            )
        };
    }

    /// Remembers an access to `len` bytes at `offset`; calls `found` with the offset of every word in which it races
    /// with an earlier one. `strict` says that atomic operations race with plain accesses.
    #[inline]
    pub fn access(
        &self,
        offset: u64,
        len: u64,
        how: How,
        party: Party,
        strict: bool,
        mut found: impl FnMut(u64, Other),
    ) {
        let end = offset + len;
        let cells = self.cells();
        let mut at = offset;
        while at < end {
            let word = at / WORD;
            let next = ((word + 1) * WORD).min(end);
            let bytes = (BYTES >> (WORD - (next - at))) << (at % WORD);
            let [write, read] = &cells[word as usize];
            let other = match how {
                How::Read => read_word(write, read, bytes, party, strict),
                How::Write => write_word(write, read, bytes, party, strict, false),
                How::Atomic => write_word(write, read, bytes, party, strict, true),
            };
            if let Some(other) = other {
                found(at, other);
            }
            at = next;
        }
    }
}

#[inline]
fn read_word(
    write: &AtomicU64,
    read: &AtomicU64,
    bytes: u64,
    party: Party,
    strict: bool,
) -> Option<Other> {
    let mine = party.cell(bytes, false);
    let before = read.load(Ordering::Relaxed);
    let merged = merge_readers(before, mine);
    if merged != before {
        read.store(merged, Ordering::Relaxed);
    }
    let written = write.load(Ordering::Relaxed);
    if !strict && written >> bit::ATOMIC & 1 == 1 {
        return None;
    }
    party.races(written, bytes, true)
}

/// The readers of a word, one more included. "Several" is said of bytes alone that several have read: a cell for the bytes of
/// different waves would have each race with the other's.
#[inline]
fn merge_readers(before: u64, mine: u64) -> u64 {
    if (before ^ mine) & !BYTES == 0 {
        return before | mine;
    }
    if before >> bit::LAUNCH != mine >> bit::LAUNCH {
        return mine;
    }
    if before >> bit::GROUP != mine >> bit::GROUP {
        return several(before, mine, SEVERAL_GROUPS, bit::GROUP, bit::LAUNCH);
    }
    if field(before ^ mine, bit::EPOCH, bit::WAVE) != 0 {
        // Whoever read before the barrier is ordered with all that write behind it.
        return mine;
    }
    several(before, mine, SEVERAL_WAVES, bit::WAVE, bit::GROUP)
}

/// `mark` in a field of the cell, for the bytes that both have read; the later reader if there is none.
fn several(before: u64, mine: u64, mark: u64, from: u32, to: u32) -> u64 {
    if field(before, from, to) == mark {
        return before;
    }
    match before & mine & BYTES {
        0 => mine,
        both => before & !BYTES | both | mark << from,
    }
}

#[inline]
fn write_word(
    write: &AtomicU64,
    read: &AtomicU64,
    bytes: u64,
    party: Party,
    strict: bool,
    atomic: bool,
) -> Option<Other> {
    let mine = party.cell(bytes, atomic);
    let before = write.load(Ordering::Relaxed);
    let written = if (before ^ mine) & !BYTES == 0 {
        if before & bytes != bytes {
            write.store(before | mine, Ordering::Relaxed);
        }
        0
    } else {
        // Of two writers at the same time one sees the other.
        write.swap(mine, Ordering::SeqCst)
    };
    let exempt = |other_is_atomic: bool| match (atomic, other_is_atomic) {
        (true, true) => true,
        (false, false) => false,
        _ => !strict,
    };
    let other_is_atomic = written >> bit::ATOMIC & 1 == 1;
    let writer = (!exempt(other_is_atomic)).then(|| party.races(written, bytes, true));
    writer.flatten().or_else(|| {
        let readers = read.load(Ordering::SeqCst);
        let reader = (!exempt(false)).then(|| party.races(readers, bytes, false));
        reader.flatten()
    })
}

impl Drop for Cells {
    fn drop(&mut self) {
        // SAFETY: `new` made the mapping and nothing borrows from it any more.
        unsafe { libc::munmap(self.cells as *mut libc::c_void, self.mapped as usize) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn party(group: u32, wave: u32, epoch: u32) -> Party {
        Party {
            launch: 1,
            group,
            wave,
            epoch,
            between: false,
        }
    }

    /// The words in which the last of these accesses races.
    fn races(accesses: &[(Party, How, u64, u64)], strict: bool) -> Vec<(u64, Other)> {
        let cells = Cells::new(64).unwrap();
        let mut last = Vec::new();
        for &(party, how, offset, len) in accesses {
            last.clear();
            cells.access(offset, len, how, party, strict, |at, other| {
                last.push((at, other));
            });
        }
        last
    }

    #[test]
    fn barriers_order_the_waves_of_a_group() {
        let (a, b) = (party(0, 0, 3), party(0, 1, 3));
        let behind = party(0, 1, 4);
        for (how, other) in [
            (How::Write, How::Write),
            (How::Write, How::Read),
            (How::Read, How::Write),
        ] {
            let found = races(&[(a, how, 8, 4), (b, other, 8, 4)], false);
            assert_eq!(found.len(), 1, "{how:?} {other:?}");
            assert_eq!(found[0].1.wave, Some(0));
            assert_eq!(found[0].1.wrote, how == How::Write);
            assert!(races(&[(a, how, 8, 4), (behind, other, 8, 4)], false).is_empty());
            assert!(races(&[(a, how, 8, 4), (a, other, 8, 4)], false).is_empty());
            assert!(races(&[(a, how, 8, 4), (b, other, 12, 4)], false).is_empty());
        }
        assert!(races(&[(a, How::Read, 8, 4), (b, How::Read, 8, 4)], false).is_empty());
    }

    #[test]
    fn barriers_are_counted_round() {
        let at = |wave, epoch| party(0, wave, epoch);
        let last = (EPOCHS - 1) as u32;
        assert!(
            races(
                &[
                    (at(0, last), How::Write, 0, 4),
                    (at(1, last + 1), How::Read, 0, 4)
                ],
                false
            )
            .is_empty()
        );
        assert_eq!(
            races(
                &[
                    (at(0, last + 1), How::Write, 0, 4),
                    (at(1, last + 1), How::Read, 0, 4)
                ],
                false
            )
            .len(),
            1
        );
    }

    #[test]
    fn between_signal_and_wait_nothing_is_ordered() {
        let between = Party {
            between: true,
            ..party(0, 0, 3)
        };
        for epoch in [3, 4] {
            let found = races(
                &[
                    (between, How::Write, 0, 4),
                    (party(0, 1, epoch), How::Read, 0, 4),
                ],
                false,
            );
            assert_eq!(found.len(), 1, "{epoch}");
        }
        assert!(
            races(
                &[
                    (between, How::Write, 0, 4),
                    (party(0, 1, 5), How::Read, 0, 4)
                ],
                false
            )
            .is_empty()
        );
    }

    #[test]
    fn groups_are_never_ordered_and_launches_always() {
        let (a, b) = (party(0, 0, 0), party(7, 0, 9));
        let found = races(&[(a, How::Write, 4, 2), (b, How::Write, 0, 8)], false);
        assert_eq!(
            found,
            [(
                4,
                Other {
                    wrote: true,
                    group: Some(0),
                    wave: Some(0)
                }
            )]
        );
        let next = Party { launch: 2, ..b };
        assert!(races(&[(a, How::Write, 4, 2), (next, How::Write, 0, 8)], false).is_empty());
    }

    #[test]
    fn bytes_of_a_word_are_told_apart() {
        let (a, b) = (party(0, 0, 0), party(1, 0, 0));
        assert!(races(&[(a, How::Write, 2, 2), (b, How::Write, 0, 2)], false).is_empty());
        assert_eq!(
            races(&[(a, How::Write, 1, 2), (b, How::Write, 2, 1)], false).len(),
            1
        );
    }

    #[test]
    fn readers_of_different_bytes_of_a_word_do_not_race_with_each_other() {
        for b in [party(0, 1, 0), party(1, 0, 0)] {
            let a = party(0, 0, 0);
            let readers = [(a, How::Read, 0, 2), (b, How::Read, 2, 2)];
            for writer in [(a, How::Write, 0, 2), (b, How::Write, 2, 2)] {
                assert!(races(&[readers[0], readers[1], writer], false).is_empty());
            }
            let both = [(a, How::Read, 0, 3), (b, How::Read, 2, 2)];
            let writer = (a, How::Write, 2, 1);
            assert_eq!(races(&[both[0], both[1], writer], false).len(), 1);
            let writer = (a, How::Write, 0, 2);
            assert!(races(&[both[0], both[1], writer], false).is_empty());
        }
    }

    #[test]
    fn all_readers_count() {
        let readers = [party(0, 0, 1), party(0, 1, 1), party(0, 0, 1)];
        let mut accesses = readers.map(|reader| (reader, How::Read, 0, 4)).to_vec();
        accesses.push((party(0, 0, 1), How::Write, 0, 4));
        assert_eq!(races(&accesses, false).len(), 1);
        // Readers before a barrier do not.
        accesses.pop();
        accesses.push((party(0, 0, 2), How::Write, 0, 4));
        assert!(races(&accesses, false).is_empty());
        let groups = [
            (party(0, 0, 0), How::Read, 0, 4),
            (party(1, 0, 0), How::Read, 0, 4),
        ];
        let found = races(
            &[groups[0], groups[1], (party(1, 0, 0), How::Write, 0, 4)],
            false,
        );
        assert_eq!(found[0].1.group, None);
    }

    #[test]
    fn atomic_operations_race_with_plain_ones_if_told_so() {
        let (a, b) = (party(0, 0, 0), party(0, 1, 0));
        assert!(races(&[(a, How::Atomic, 0, 4), (b, How::Atomic, 0, 4)], true).is_empty());
        for (how, other) in [
            (How::Atomic, How::Read),
            (How::Atomic, How::Write),
            (How::Write, How::Atomic),
            (How::Read, How::Atomic),
        ] {
            let accesses = [(a, how, 0, 4), (b, other, 0, 4)];
            assert!(races(&accesses, false).is_empty(), "{how:?} {other:?}");
            assert_eq!(races(&accesses, true).len(), 1, "{how:?} {other:?}");
        }
    }
}
