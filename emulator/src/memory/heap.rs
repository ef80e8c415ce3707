//! Where allocations lie: small ones in shared chunks, large ones in mappings of their own.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

/// The alignment of every block and the least gap behind it, in bytes.
pub const ALIGNMENT: u64 = 256;
/// Blocks of more bytes than this have a mapping of their own.
const LARGE: u64 = 64 << 10;
/// What is reserved at once for small blocks, in bytes.
const CHUNK: u64 = 1 << 20;
/// Large mappings of at least this size are aligned to it, so that the system can back them with huge pages.
const HUGE: u64 = 2 << 20;
/// The size of a page that is made inaccessible beside a large block. All supported hosts have pages of this size or
/// take a multiple of it.
const PAGE: u64 = 4096;

/// The source of all blocks.
#[derive(Debug, Default)]
pub struct Heap {
    /// Free blocks by their stride. The one freed first is used first: a use after free meets old memory for longest.
    free: FxHashMap<u64, VecDeque<u64>>,
    /// The unused part of the newest chunk.
    bump: std::ops::Range<u64>,
    /// The mapping of each large block by the block's address.
    mappings: FxHashMap<u64, Mapping>,
    /// Mappings of freed blocks without memory behind them, the oldest first. As long as an allocation is remembered, its
    /// address must not become the host's.
    retired: VecDeque<Mapping>,
}

#[derive(Debug)]
struct Mapping {
    start: u64,
    len: u64,
}

/// A block and the gap behind it.
fn stride(size: u64) -> u64 {
    size.next_multiple_of(ALIGNMENT) + ALIGNMENT
}

impl Heap {
    /// A zeroed block of at least `size` bytes, or `None` if the system has no more. `align` is a power of two.
    pub fn allocate(&mut self, size: u64, align: u64) -> Option<u64> {
        if size > LARGE || align > ALIGNMENT {
            return self.map_block(size, align);
        }
        let stride = stride(size);
        if let Some(base) = self.free.get_mut(&stride).and_then(VecDeque::pop_front) {
            // SAFETY: the block has at least `size` bytes in a chunk that is never unmapped, and nobody owns it.
            unsafe { std::ptr::write_bytes(base as *mut u8, 0, size as usize) };
            return Some(base);
        }
        if self.bump.end - self.bump.start < stride {
            let chunk = reserve(CHUNK)?;
            make_accessible(chunk, CHUNK)?;
            // Two chunks may be neighbours: the first block keeps its distance too.
            self.bump = chunk + ALIGNMENT..chunk + CHUNK;
        }
        let base = self.bump.start;
        self.bump.start += stride;
        Some(base)
    }

    /// Takes a block back. `base` and `size` are those of [`allocate`](Self::allocate).
    pub fn free(&mut self, base: u64, size: u64) {
        match self.mappings.remove(&base) {
            Some(mapping) => self.retire(mapping),
            None => self.free.entry(stride(size)).or_default().push_back(base),
        }
    }

    /// Gives the memory of a mapping back to the system at once, and its addresses later.
    fn retire(&mut self, mapping: Mapping) {
        let protection = libc::PROT_NONE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED;
        let start = mapping.start as *mut libc::c_void;
        // SAFETY: the mapping was made for a block that its owner gave up; the new one has its place.
        let replaced = unsafe { libc::mmap(start, mapping.len as usize, protection, flags, -1, 0) };
        if replaced == libc::MAP_FAILED {
            unmap(&mapping);
            return;
        }
        self.retired.push_back(mapping);
        if self.retired.len() > super::REMEMBERED
            && let Some(oldest) = self.retired.pop_front()
        {
            unmap(&oldest);
        }
    }

    fn map_block(&mut self, size: u64, align: u64) -> Option<u64> {
        let alignment = align.max(if size >= HUGE { HUGE } else { PAGE });
        let inner = size.checked_next_multiple_of(PAGE)?;
        let len = inner.checked_add(2 * PAGE)?.checked_add(alignment)?;
        let start = reserve(len)?;
        let base = (start + PAGE).next_multiple_of(alignment);
        if make_accessible(base, inner).is_none() {
            // SAFETY: the mapping was just made and nobody knows it.
            unsafe { libc::munmap(start as *mut libc::c_void, len as usize) };
            return None;
        }
        if size >= HUGE {
            // SAFETY: the range was just mapped. The advice changes nothing that can be seen, so its failure is ignored.
            unsafe {
                libc::madvise(
                    base as *mut libc::c_void,
                    inner as usize,
                    libc::MADV_HUGEPAGE,
                )
            };
        }
        self.mappings.insert(base, Mapping { start, len });
        Some(base)
    }
}

fn unmap(mapping: &Mapping) {
    // SAFETY: the mapping was made by `map_block`, and its block was given up.
    unsafe { libc::munmap(mapping.start as *mut libc::c_void, mapping.len as usize) };
}

/// Maps inaccessible address space.
pub fn reserve(len: u64) -> Option<u64> {
    // SAFETY: an anonymous mapping at an address of the system's choice touches nothing that exists.
    let start = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            usize::try_from(len).ok()?,
            libc::PROT_NONE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
            -1,
            0,
        )
    };
    (start != libc::MAP_FAILED).then_some(start as u64)
}

/// Makes reserved, page-aligned address space readable and writable. It is zero.
pub fn make_accessible(start: u64, len: u64) -> Option<()> {
    // SAFETY: callers pass parts of their own reservation.
    let status = unsafe {
        libc::mprotect(
            start as *mut libc::c_void,
            len as usize,
            libc::PROT_READ | libc::PROT_WRITE,
        )
    };
    (status == 0).then_some(())
}
