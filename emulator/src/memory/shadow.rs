//! Which bytes of an allocation were written.

use std::sync::atomic::{AtomicU64, Ordering};

use super::heap::{make_accessible, reserve};

/// One bit for every byte of an allocation: whether anybody wrote it. Threads may mark and ask at the same time.
///
/// Offsets are in bytes from the start of the allocation; the caller keeps them inside.
#[derive(Debug)]
pub struct Shadow {
    words: *const AtomicU64,
    count: usize,
    mapped: u64,
}

// SAFETY: the words are atomics in a mapping that the shadow owns.
unsafe impl Send for Shadow {}
// SAFETY: as above.
unsafe impl Sync for Shadow {}

impl Shadow {
    /// The shadow of `size` bytes that nobody wrote; `None` if the system has no memory for it. Memory is only used for
    /// the parts that get marked.
    pub fn new(size: u64) -> Option<Self> {
        let count = size.div_ceil(64);
        let mapped = count.checked_mul(8)?.checked_next_multiple_of(4096)?;
        let start = reserve(mapped)?;
        let shadow = Self {
            words: start as *const AtomicU64,
            count: usize::try_from(count).ok()?,
            mapped,
        };
        make_accessible(start, mapped)?;
        Some(shadow)
    }

    fn words(&self) -> &[AtomicU64] {
        // SAFETY: `new` mapped `count` zeroed words there, which live as long as `self`.
        unsafe { std::slice::from_raw_parts(self.words, self.count) }
    }

    /// Forgets all that was written in the first `size` bytes.
    pub fn clear(&self, size: u64) {
        for word in &self.words()[..size.div_ceil(64) as usize] {
            word.store(0, Ordering::Relaxed);
        }
    }

    /// Remembers that `len` bytes at `offset` were written.
    #[inline]
    pub fn mark(&self, offset: u64, len: u64) {
        for (word, mask) in pieces(offset, len) {
            let word = &self.words()[word];
            // Most stores go where something was stored before.
            if word.load(Ordering::Relaxed) & mask != mask {
                word.fetch_or(mask, Ordering::Relaxed);
            }
        }
    }

    /// Forgets that anybody wrote `len` bytes at `offset`.
    pub fn unmark(&self, offset: u64, len: u64) {
        for (word, mask) in pieces(offset, len) {
            self.words()[word].fetch_and(!mask, Ordering::Relaxed);
        }
    }

    /// The offset of the first of `len` bytes at `offset` that nobody wrote.
    #[inline]
    pub fn first_unwritten(&self, offset: u64, len: u64) -> Option<u64> {
        pieces(offset, len).find_map(|(word, mask)| {
            let missing = !self.words()[word].load(Ordering::Relaxed) & mask;
            (missing != 0).then(|| word as u64 * 64 + u64::from(missing.trailing_zeros()))
        })
    }

    /// Whether nobody wrote any of `len` bytes at `offset`.
    #[inline]
    pub fn none_written(&self, offset: u64, len: u64) -> bool {
        pieces(offset, len)
            .all(|(word, mask)| self.words()[word].load(Ordering::Relaxed) & mask == 0)
    }

    /// Makes `len` bytes at `offset` written or not as those at `from_offset` of another shadow, or of this one, are.
    pub fn copy_from(&self, offset: u64, from: &Shadow, from_offset: u64, len: u64) {
        if from.first_unwritten(from_offset, len).is_none() {
            return self.mark(offset, len);
        }
        // Taken out first: the ranges may overlap.
        let bits: Vec<u64> = (0..len.div_ceil(64))
            .map(|piece| from.bits(from_offset + piece * 64, (len - piece * 64).min(64)))
            .collect();
        for (piece, bits) in bits.into_iter().enumerate() {
            let done = piece as u64 * 64;
            let start = offset + done;
            for (word, mask) in pieces(start, (len - done).min(64)) {
                let shifted = match (word as u64 * 64).checked_sub(start) {
                    None | Some(0) => bits << (start % 64),
                    Some(taken) => bits >> taken,
                };
                let word = &self.words()[word];
                word.fetch_and(!mask | shifted, Ordering::Relaxed);
                word.fetch_or(mask & shifted, Ordering::Relaxed);
            }
        }
    }

    /// `len` bits, at most 64, from `offset` on, the first in the lowest place.
    fn bits(&self, offset: u64, len: u64) -> u64 {
        let mut bits = 0;
        for (word, mask) in pieces(offset, len) {
            let value = self.words()[word].load(Ordering::Relaxed) & mask;
            bits |= match (word as u64 * 64).checked_sub(offset) {
                None | Some(0) => value >> (offset % 64),
                Some(taken) => value << taken,
            };
        }
        bits
    }
}

impl Drop for Shadow {
    fn drop(&mut self) {
        // SAFETY: `new` made the mapping and nothing borrows from it any more.
        unsafe { libc::munmap(self.words as *mut libc::c_void, self.mapped as usize) };
    }
}

/// The words that hold the bits of a range, each with a mask of the bits.
#[inline]
fn pieces(offset: u64, len: u64) -> impl Iterator<Item = (usize, u64)> {
    let end = offset + len;
    let mut at = offset;
    std::iter::from_fn(move || {
        (at < end).then(|| {
            let word = at / 64;
            let (first, last) = (at % 64, (end - word * 64).min(64));
            at = (word + 1) * 64;
            (word as usize, (u64::MAX >> (64 - (last - first))) << first)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_agree_with_a_plain_vector() {
        let size = 700_u64;
        let (a, b) = (Shadow::new(size).unwrap(), Shadow::new(size).unwrap());
        let mut expected = [vec![false; 700], vec![false; 700]];
        let mut seed = 12345_u64;
        let mut random = |bound: u64| {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % bound
        };
        for _ in 0..3000 {
            let (from, to) = (random(size), random(size));
            let bound = if random(2) == 0 { 9 } else { 300 };
            let len = random(bound).min(size - from).min(size - to);
            let (f, t, l) = (from as usize, to as usize, len as usize);
            match random(4) {
                0 => {
                    a.mark(to, len);
                    expected[0][t..t + l].fill(true);
                }
                1 => {
                    a.copy_from(to, &b, from, len);
                    let copied = expected[1][f..f + l].to_vec();
                    expected[0][t..t + l].copy_from_slice(&copied);
                }
                2 => {
                    b.copy_from(to, &a, from, len);
                    let copied = expected[0][f..f + l].to_vec();
                    expected[1][t..t + l].copy_from_slice(&copied);
                }
                _ => {
                    b.copy_from(to, &b, from, len);
                    expected[1].copy_within(f..f + l, t);
                }
            }
            for (shadow, expected) in [(&a, &expected[0]), (&b, &expected[1])] {
                let first = expected[f..f + l]
                    .iter()
                    .position(|written| !written)
                    .map(|at| at as u64 + from);
                assert_eq!(shadow.first_unwritten(from, len), first);
            }
            // Untouched memory has to stay in the game.
            if random(40) == 0 {
                let fresh = Shadow::new(size).unwrap();
                b.copy_from(0, &fresh, 0, size);
                expected[1].fill(false);
            }
        }
    }
}
