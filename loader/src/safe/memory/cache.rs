//! The memory that a stream keeps for its next buffers.
//!
//! A block goes in when the last buffer on it is dropped and comes out for a buffer of the same size class on the same
//! stream. Work that still uses the block is ahead of the next buffer's work in the stream, so nothing has to be waited
//! for. The cache knows nothing of the library.

use std::collections::BTreeMap;

use crate::sys::hipDeviceptr_t;

/// A piece of memory as the library gave it.
#[derive(Debug)]
pub(crate) struct Block {
    /// Its address.
    pub(crate) address: hipDeviceptr_t,
    /// Its size.
    pub(crate) bytes: usize,
    /// Whether it is from `hipMallocAsync`.
    pub(crate) pooled: bool,
}

// SAFETY: an address in device memory is a number to the host.
unsafe impl Send for Block {}
// SAFETY: as above.
unsafe impl Sync for Block {}

/// The free blocks of a stream by their size.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    free: BTreeMap<usize, Vec<Block>>,
    bytes: usize,
}

impl Cache {
    /// The size that memory for `bytes` bytes is allocated with: four steps for each doubling, so that at most a fifth is
    /// unused; above 32 MiB steps of 2 MiB, which is what the driver allocates in.
    pub(crate) fn class(bytes: usize) -> usize {
        const SMALLEST: usize = 512;
        const LARGE: usize = 32 << 20;
        const LARGE_STEP: usize = 2 << 20;
        if bytes <= SMALLEST {
            return SMALLEST;
        }
        let step = if bytes > LARGE {
            LARGE_STEP
        } else {
            // The largest power of two that is not above `bytes - 1`, in four steps.
            (1 << (bytes - 1).ilog2()) / 4
        };
        bytes.checked_next_multiple_of(step).unwrap_or(bytes)
    }

    pub(crate) fn take(&mut self, bytes: usize) -> Option<Block> {
        let blocks = self.free.get_mut(&bytes)?;
        let block = blocks.pop()?;
        self.bytes -= block.bytes;
        Some(block)
    }

    /// Keeps `block`, or hands it back if the cache would hold more than `limit` bytes.
    pub(crate) fn put(&mut self, block: Block, limit: usize) -> Option<Block> {
        if block.bytes > limit.saturating_sub(self.bytes) {
            return Some(block);
        }
        self.bytes += block.bytes;
        self.free.entry(block.bytes).or_default().push(block);
        None
    }

    pub(crate) fn drain(&mut self) -> Vec<Block> {
        self.bytes = 0;
        std::mem::take(&mut self.free)
            .into_values()
            .flatten()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(bytes: usize) -> Block {
        Block {
            address: std::ptr::null_mut(),
            bytes,
            pooled: false,
        }
    }

    #[test]
    fn a_class_holds_its_bytes_wastes_a_fifth_at_most_and_is_its_own_class() {
        let mut bytes = 1;
        while bytes < 1 << 30 {
            let class = Cache::class(bytes);
            assert!(class >= bytes);
            assert!(
                bytes <= 512 || class - bytes <= class / 5,
                "{bytes} -> {class}"
            );
            assert_eq!(Cache::class(class), class, "{bytes}");
            bytes += 1 + bytes / 7;
        }
        assert_eq!(Cache::class(usize::MAX), usize::MAX);
    }

    #[test]
    fn the_limit_counts_what_is_kept() {
        let mut cache = Cache::default();
        assert!(cache.put(block(1024), 2048).is_none());
        assert!(cache.put(block(1024), 2048).is_none());
        assert!(cache.put(block(512), 2048).is_some());
        assert!(cache.take(512).is_none());
        assert_eq!(cache.take(1024).map(|block| block.bytes), Some(1024));
        assert!(cache.put(block(512), 2048).is_none());
        assert_eq!(cache.drain().len(), 2);
        assert!(cache.take(1024).is_none());
    }
}
