//! The memory that kernels see: every allocation, where it is, and which of its bytes were written.
//!
//! Device addresses *are* host addresses. A kernel's load is a load of this process, once [`AllocMap::find`] has said
//! that the address belongs to a live allocation. Everything a kernel may touch is therefore an allocation here: device
//! memory, pinned and registered host memory, managed memory, and the loaded segments of code objects.
//!
//! [`Memory`] changes under a lock. A launch works on an [`AllocMap`], a frozen sorted table that costs nothing to take
//! as long as nothing was allocated or freed since the last one. Memory is not returned to the system while a launch
//! runs: [`Memory::free`] waits for the [`InFlight`] guards, as `hipFree` waits for the device.
//!
//! Neighbours never touch: small blocks have a gap behind them, large ones inaccessible pages on both sides. An access
//! past the end of an allocation is thus never an access to another one.
//!
//! This module knows nothing of HIP's handles and error codes, and nothing of instructions.

pub mod cells;
mod heap;
mod shadow;

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

pub use cells::Cells;
use heap::Heap;
pub use shadow::Shadow;

/// The alignment of every allocation that is made here, in bytes.
pub const ALIGNMENT: u64 = heap::ALIGNMENT;

/// How many freed allocations are remembered for messages about their use after the free.
const REMEMBERED: usize = 64;

/// What an allocation is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AllocKind {
    /// Device memory: `hipMalloc` and its relatives.
    Device,
    /// Host memory that devices see: `hipHostMalloc`.
    Pinned,
    /// Host memory of the client that it made visible to devices: `hipHostRegister`. It is not freed here.
    Registered,
    /// Memory that host and devices share: `hipMallocManaged`.
    Managed,
    /// The loaded segments of a code object: its machine code, constants and global variables.
    Module,
    /// Memory of the runtime itself that kernels reach through hidden arguments, such as the buffer of `printf`.
    Runtime,
}

impl AllocKind {
    /// How messages call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Device => "device memory",
            Self::Pinned => "pinned host memory",
            Self::Registered => "registered host memory",
            Self::Managed => "managed memory",
            Self::Module => "a module's memory",
            Self::Runtime => "the runtime's memory",
        }
    }

    /// Whether the allocation takes of a device's memory.
    fn is_on_device(self) -> bool {
        matches!(self, Self::Device | Self::Managed | Self::Module)
    }
}

/// A live allocation.
#[derive(Debug, Clone)]
pub struct Alloc {
    /// The first address.
    pub base: u64,
    /// The size in bytes, as it was asked for.
    pub size: u64,
    /// A number that no other allocation of this process has or had.
    pub id: u64,
    /// What it is for.
    pub kind: AllocKind,
    /// The device that it belongs to; for host memory the one that was current when it was made.
    pub device: u32,
    /// The flags that the client gave, as HIP reports them back.
    pub flags: u32,
    /// Which bytes were written; `None` where it cannot be known because the host writes there unseen.
    pub shadow: Option<Arc<Shadow>>,
    /// Who accessed it last; `None` where nobody watches.
    pub cells: Option<Arc<Cells>>,
}

impl Alloc {
    /// The address behind the last byte.
    pub fn end(&self) -> u64 {
        self.base + self.size
    }

    /// Whether `len` bytes at `addr` all belong to the allocation.
    pub fn contains(&self, addr: u64, len: u64) -> bool {
        addr >= self.base && len <= self.size && addr - self.base <= self.size - len
    }
}

/// What to allocate.
#[derive(Debug, Clone, Copy)]
pub struct Request {
    /// The size in bytes, not zero.
    pub size: u64,
    /// The alignment in bytes, a power of two; [`ALIGNMENT`] is the least that is given.
    pub align: u64,
    /// What it is for.
    pub kind: AllocKind,
    /// The device that it belongs to.
    pub device: u32,
    /// Flags to be reported back.
    pub flags: u32,
}

/// Why memory was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MemoryError {
    /// The device's memory, or the process's, is exhausted.
    #[error("{requested} bytes are asked for and {free} of device {device} are free")]
    OutOfMemory {
        /// The size asked for.
        requested: u64,
        /// What the device has left.
        free: u64,
        /// The device.
        device: u32,
    },
    /// A size of zero, or one that ends behind the address space.
    #[error("{size} bytes at {base:#x} are no range of memory")]
    Range {
        /// The first address; 0 if it was to be chosen here.
        base: u64,
        /// The size.
        size: u64,
    },
    /// The address is not the first of a live allocation.
    #[error("{address:#x} is not the start of an allocation{}", .inside.as_ref().map(|inside| format!(" (it is {inside})")).unwrap_or_default())]
    Unknown {
        /// The address.
        address: u64,
        /// What is there instead.
        inside: Option<String>,
    },
    /// Host memory that is registered overlaps with what is there.
    #[error("{size} bytes at {base:#x} overlap with allocation {id}")]
    Overlap {
        /// The first address of the new range.
        base: u64,
        /// Its size.
        size: u64,
        /// The allocation that is there.
        id: u64,
    },
}

/// All live allocations at one moment, sorted by address.
#[derive(Debug, Default)]
pub struct AllocMap {
    bases: Vec<u64>,
    allocs: Vec<Alloc>,
    freed: Vec<Alloc>,
}

impl AllocMap {
    /// The allocation that `addr` lies in.
    #[inline]
    pub fn find(&self, addr: u64) -> Option<&Alloc> {
        let alloc = &self.allocs[self
            .bases
            .partition_point(|base| *base <= addr)
            .checked_sub(1)?];
        (addr - alloc.base < alloc.size).then_some(alloc)
    }

    /// The allocation that all of `len` bytes at `addr` lie in.
    #[inline]
    pub fn find_range(&self, addr: u64, len: u64) -> Option<&Alloc> {
        self.find(addr).filter(|alloc| alloc.contains(addr, len))
    }

    /// The allocation with the least distance to `addr`, for messages about an access that missed.
    pub fn nearest(&self, addr: u64) -> Option<&Alloc> {
        let next = self.bases.partition_point(|base| *base <= addr);
        let distance = |alloc: &&Alloc| match addr {
            below if below < alloc.base => alloc.base - below,
            above if above >= alloc.end() => above - alloc.end() + 1,
            _ => 0,
        };
        [next.checked_sub(1), Some(next)]
            .into_iter()
            .flatten()
            .filter_map(|index| self.allocs.get(index))
            .min_by_key(distance)
    }

    /// A recently freed allocation that `addr` lay in, the last freed first.
    pub fn freed(&self, addr: u64) -> Option<&Alloc> {
        self.freed
            .iter()
            .rev()
            .find(|alloc| alloc.contains(addr, 1))
    }

    /// Where `len` bytes at `addr` are, in words: inside, before or behind which allocation, or in one that was freed.
    pub fn describe(&self, addr: u64, len: u64) -> String {
        let what = |alloc: &Alloc| {
            format!(
                "allocation {} ({} bytes of {} at {:#x})",
                alloc.id,
                alloc.size,
                alloc.kind.name(),
                alloc.base
            )
        };
        if let Some(alloc) = self.find(addr) {
            let (offset, what) = (addr - alloc.base, what(alloc));
            let past = addr.saturating_add(len).saturating_sub(alloc.end());
            return match past {
                0 => format!("{offset} bytes into {what}"),
                past => format!("{offset} bytes into {what} and reaches {past} bytes past its end"),
            };
        }
        if let Some(alloc) = self.freed(addr) {
            return format!("{} bytes into the freed {}", addr - alloc.base, what(alloc));
        }
        match self.nearest(addr) {
            None if addr == 0 => "the null pointer".to_owned(),
            None => "there are no allocations".to_owned(),
            Some(_) if addr < 4096 => "close to the null pointer".to_owned(),
            Some(alloc) if addr < alloc.base => {
                format!("{} bytes before {}", alloc.base - addr, what(alloc))
            }
            Some(alloc) => format!(
                "{} bytes behind the end of {}",
                addr - alloc.end(),
                what(alloc)
            ),
        }
    }

    /// The allocations in the order of their addresses.
    pub fn iter(&self) -> std::slice::Iter<'_, Alloc> {
        self.allocs.iter()
    }
}

/// How a [`Memory`] behaves.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The memory of each device in bytes; allocations of other devices are not limited.
    pub capacities: Vec<u64>,
    /// Whether allocations are watched from the start: see [`Memory::watch`].
    pub shadow: bool,
}

/// All memory that the devices of this process see.
#[derive(Debug)]
pub struct Memory {
    options: Options,
    state: Mutex<State>,
    in_flight: RwLock<()>,
    /// Whether new allocations are watched.
    watching: AtomicBool,
    /// Whether any allocation ever was.
    watched: AtomicBool,
    /// The number of the last launch whose accesses were watched.
    launches: AtomicU32,
}

#[derive(Debug, Default)]
struct State {
    heap: Heap,
    allocs: BTreeMap<u64, Alloc>,
    used: Vec<u64>,
    freed: VecDeque<Alloc>,
    last_id: u64,
    snapshot: Option<Arc<AllocMap>>,
}

thread_local! {
    /// The memories that this thread keeps in flight, once for each guard.
    static KEPT: RefCell<Vec<*const Memory>> = const { RefCell::new(Vec::new()) };
}

/// As long as this lives, no memory is returned to the system.
#[derive(Debug)]
pub struct InFlight<'m> {
    memory: &'m Memory,
    /// `None` if another guard of this thread has it, which goes later: guards of a thread are nested.
    _guard: Option<RwLockReadGuard<'m, ()>>,
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        KEPT.with_borrow_mut(|kept| {
            if let Some(at) = kept
                .iter()
                .rposition(|&kept| std::ptr::eq(kept, self.memory))
            {
                kept.remove(at);
            }
        });
    }
}

impl Memory {
    /// Memory without any allocation.
    pub fn new(options: Options) -> Self {
        Self {
            state: Mutex::default(),
            in_flight: RwLock::new(()),
            watching: AtomicBool::new(options.shadow),
            watched: AtomicBool::new(options.shadow),
            launches: AtomicU32::new(0),
            options,
        }
    }

    /// Says whether allocations from now on get a [`Shadow`] of what was written (device memory) and [`Cells`] of who
    /// accessed them last. Older allocations stay as they are.
    pub fn watch(&self, watching: bool) {
        self.watching.store(watching, Ordering::Relaxed);
        self.watched.fetch_or(watching, Ordering::Relaxed);
    }

    /// A number for a launch whose accesses are remembered in [`Cells`], not 0. Numbers come again when they run out;
    /// then everything is forgotten first.
    pub fn number_launch(&self) -> u16 {
        loop {
            let number = self
                .launches
                .fetch_add(1, Ordering::Relaxed)
                .wrapping_add(1) as u16;
            if number != 0 {
                return number;
            }
            for alloc in self.snapshot().iter() {
                if let Some(cells) = &alloc.cells {
                    cells.forget();
                }
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing below can panic between two changes that belong together.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes an allocation, zeroed, and returns its first address.
    ///
    /// # Errors
    /// [`MemoryError::OutOfMemory`] if the device or the process has no more, [`MemoryError::Range`] for a size of zero.
    pub fn allocate(&self, request: Request) -> Result<u64, MemoryError> {
        let Request {
            size,
            align,
            kind,
            device,
            flags,
        } = request;
        if size == 0 {
            return Err(MemoryError::Range { base: 0, size });
        }
        let free = self.free_bytes(device);
        let exhausted = MemoryError::OutOfMemory {
            requested: size,
            free,
            device,
        };
        if kind.is_on_device() && size > free {
            return Err(exhausted);
        }
        let watching = self.watching.load(Ordering::Relaxed);
        let shadow = match (watching && kind == AllocKind::Device).then(|| Shadow::new(size)) {
            None => None,
            Some(shadow) => Some(Arc::new(shadow.ok_or_else(|| exhausted.clone())?)),
        };
        let cells = match (watching && kind != AllocKind::Runtime).then(|| Cells::new(size)) {
            None => None,
            Some(cells) => Some(Arc::new(cells.ok_or_else(|| exhausted.clone())?)),
        };
        let mut state = self.state();
        let base = state.heap.allocate(size, align).ok_or(exhausted)?;
        let alloc = Alloc {
            base,
            size,
            id: 0,
            kind,
            device,
            flags,
            shadow,
            cells,
        };
        state.insert(alloc);
        Ok(base)
    }

    /// Makes host memory of the client visible to kernels.
    ///
    /// # Errors
    /// [`MemoryError::Overlap`] if some of it is an allocation already, [`MemoryError::Range`] if it is empty.
    pub fn register(
        &self,
        base: u64,
        size: u64,
        device: u32,
        flags: u32,
    ) -> Result<(), MemoryError> {
        if size == 0 || base == 0 || base.checked_add(size).is_none() {
            return Err(MemoryError::Range { base, size });
        }
        let mut state = self.state();
        let below = state.allocs.range(..base + size).next_back();
        if let Some((_, there)) = below.filter(|(_, there)| there.end() > base) {
            return Err(MemoryError::Overlap {
                base,
                size,
                id: there.id,
            });
        }
        state.insert(Alloc {
            base,
            size,
            id: 0,
            kind: AllocKind::Registered,
            device,
            flags,
            shadow: None,
            cells: None,
        });
        Ok(())
    }

    /// Ends the allocation that starts at `base`, once no launch is in flight, and returns what it was.
    ///
    /// # Errors
    /// [`MemoryError::Unknown`] if none starts there.
    pub fn free(&self, base: u64) -> Result<Alloc, MemoryError> {
        self.free_if(base, |_| true)
    }

    /// Ends the allocation that starts at `base` if it is `wanted`, once no launch is in flight.
    ///
    /// # Errors
    /// [`MemoryError::Unknown`] if none starts there, or it is not wanted.
    pub fn free_if(
        &self,
        base: u64,
        wanted: impl FnOnce(&Alloc) -> bool,
    ) -> Result<Alloc, MemoryError> {
        let _idle = self
            .in_flight
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let mut state = self.state();
        if !state.allocs.get(&base).is_some_and(wanted) {
            let map = state.snapshot();
            return Err(MemoryError::Unknown {
                address: base,
                inside: Some(map.describe(base, 1)),
            });
        }
        let alloc = state.remove(base).ok_or(MemoryError::Unknown {
            address: base,
            inside: None,
        })?;
        Ok(alloc)
    }

    /// Ends every allocation that is `wanted`, once no launch is in flight.
    pub fn free_all(&self, mut wanted: impl FnMut(&Alloc) -> bool) {
        let _idle = self
            .in_flight
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let mut state = self.state();
        let bases: Vec<u64> = state
            .allocs
            .values()
            .filter(|alloc| wanted(alloc))
            .map(|alloc| alloc.base)
            .collect();
        for base in bases {
            state.remove(base);
        }
    }

    /// All live allocations. It is the same table as the last time if nothing was allocated or freed since.
    pub fn snapshot(&self) -> Arc<AllocMap> {
        self.state().snapshot()
    }

    /// Keeps all memory mapped until the guard is dropped. A launch and a copy hold one; allocating meanwhile is fine,
    /// freeing waits.
    ///
    /// A thread may take another one while it has one: it does not wait for a thread that waits to free.
    pub fn in_flight(&self) -> InFlight<'_> {
        let nested = KEPT.with_borrow(|kept| kept.iter().any(|&kept| std::ptr::eq(kept, self)));
        let read = || {
            self.in_flight
                .read()
                .unwrap_or_else(PoisonError::into_inner)
        };
        let guard = (!nested).then(read);
        KEPT.with_borrow_mut(|kept| kept.push(self));
        InFlight {
            memory: self,
            _guard: guard,
        }
    }

    /// The allocation that `addr` lies in.
    pub fn find(&self, addr: u64) -> Option<Alloc> {
        let state = self.state();
        let (_, alloc) = state.allocs.range(..=addr).next_back()?;
        alloc.contains(addr, 1).then(|| alloc.clone())
    }

    /// The memory of a device that is left, in bytes.
    pub fn free_bytes(&self, device: u32) -> u64 {
        let capacity = self
            .options
            .capacities
            .get(device as usize)
            .copied()
            .unwrap_or(u64::MAX);
        capacity.saturating_sub(self.state().used.get(device as usize).copied().unwrap_or(0))
    }

    /// The number of live allocations of a kind.
    pub fn count(&self, kind: AllocKind) -> u64 {
        self.state()
            .allocs
            .values()
            .filter(|alloc| alloc.kind == kind)
            .count() as u64
    }

    /// The bytes in live allocations that take of a device's memory.
    pub fn used_bytes(&self) -> u64 {
        self.state().used.iter().sum()
    }

    /// Remembers that the host wrote `len` bytes at `addr`; what is not an allocation is passed over.
    pub fn mark_written(&self, addr: u64, len: u64) {
        if !self.watched.load(Ordering::Relaxed) {
            return;
        }
        if let Some(Alloc {
            base,
            size,
            shadow: Some(shadow),
            ..
        }) = self.find(addr)
        {
            shadow.mark(addr - base, len.min(size - (addr - base)));
        }
    }

    /// Remembers that `len` bytes were copied from `src` to `dst`: what nobody wrote at `src` stays unwritten at `dst`.
    pub fn mark_copied(&self, dst: u64, src: u64, len: u64) {
        if !self.watched.load(Ordering::Relaxed) {
            return;
        }
        let Some(Alloc {
            base,
            size,
            shadow: Some(to),
            ..
        }) = self.find(dst)
        else {
            return;
        };
        let (at, len) = (dst - base, len.min(size - (dst - base)));
        match self.find(src) {
            Some(Alloc {
                base,
                size,
                shadow: Some(from),
                ..
            }) if src - base + len <= size => {
                to.copy_from(at, &from, src - base, len);
            }
            _ => to.mark(at, len),
        }
    }
}

impl State {
    /// Adds an allocation and numbers it.
    fn insert(&mut self, alloc: Alloc) {
        self.last_id += 1;
        if alloc.kind.is_on_device() {
            let index = alloc.device as usize;
            if self.used.len() <= index {
                self.used.resize(index + 1, 0);
            }
            self.used[index] += alloc.size;
        }
        let id = self.last_id;
        self.allocs.insert(alloc.base, Alloc { id, ..alloc });
        self.snapshot = None;
    }

    fn remove(&mut self, base: u64) -> Option<Alloc> {
        let alloc = self.allocs.remove(&base)?;
        self.snapshot = None;
        if alloc.kind.is_on_device()
            && let Some(used) = self.used.get_mut(alloc.device as usize)
        {
            *used -= alloc.size;
        }
        if alloc.kind != AllocKind::Registered {
            self.heap.free(alloc.base, alloc.size);
        }
        if self.freed.len() == REMEMBERED {
            self.freed.pop_front();
        }
        self.freed.push_back(Alloc {
            shadow: None,
            ..alloc.clone()
        });
        Some(alloc)
    }

    fn snapshot(&mut self) -> Arc<AllocMap> {
        let map = self.snapshot.get_or_insert_with(|| {
            Arc::new(AllocMap {
                bases: self.allocs.keys().copied().collect(),
                allocs: self.allocs.values().cloned().collect(),
                freed: self.freed.iter().cloned().collect(),
            })
        });
        Arc::clone(map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(size: u64, kind: AllocKind) -> Request {
        Request {
            size,
            align: ALIGNMENT,
            kind,
            device: 0,
            flags: 0,
        }
    }

    fn memory(capacity: u64) -> Memory {
        Memory::new(Options {
            capacities: vec![capacity],
            shadow: true,
        })
    }

    #[test]
    fn neighbours_never_touch_and_every_byte_is_found() {
        let memory = memory(1 << 30);
        let sizes = [1, 255, 256, 257, 4096, 65_536, 65_537, 1 << 20, 3 << 20];
        let mut bases: Vec<(u64, u64)> = Vec::new();
        for size in sizes.into_iter().cycle().take(60) {
            let base = memory.allocate(request(size, AllocKind::Device)).unwrap();
            assert_eq!(base % ALIGNMENT, 0);
            bases.push((base, size));
        }
        bases.sort_unstable();
        for pair in bases.windows(2) {
            assert!(pair[0].0 + pair[0].1 + ALIGNMENT <= pair[1].0, "{pair:x?}");
        }
        let map = memory.snapshot();
        for (base, size) in bases {
            for addr in [base, base + size / 2, base + size - 1] {
                assert_eq!(
                    map.find(addr).map(|alloc| (alloc.base, alloc.size)),
                    Some((base, size))
                );
            }
            assert!(map.find(base - 1).is_none() && map.find(base + size).is_none());
            assert_eq!(map.nearest(base + size).map(|alloc| alloc.base), Some(base));
            assert!(
                map.find_range(base, size).is_some() && map.find_range(base, size + 1).is_none()
            );
            assert!(map.find_range(base, u64::MAX).is_none());
        }
    }

    #[test]
    fn memory_is_zeroed_even_if_it_was_used_before() {
        let memory = memory(1 << 30);
        for size in [16_u64, 1000, 100_000] {
            for _ in 0..40 {
                let base = memory.allocate(request(size, AllocKind::Device)).unwrap();
                // SAFETY: `size` bytes at `base` were just allocated and nobody else knows them.
                let bytes =
                    unsafe { std::slice::from_raw_parts_mut(base as *mut u8, size as usize) };
                assert!(bytes.iter().all(|byte| *byte == 0));
                bytes.fill(0xab);
                memory.free(base).unwrap();
            }
        }
        assert_eq!(memory.used_bytes(), 0);
    }

    #[test]
    fn the_capacity_of_a_device_is_kept() {
        let memory = memory(1 << 20);
        let half = memory
            .allocate(request(1 << 19, AllocKind::Device))
            .unwrap();
        let error = memory
            .allocate(request((1 << 19) + 1, AllocKind::Managed))
            .unwrap_err();
        assert_eq!(
            error,
            MemoryError::OutOfMemory {
                requested: (1 << 19) + 1,
                free: 1 << 19,
                device: 0
            }
        );
        memory
            .allocate(request(1 << 21, AllocKind::Pinned))
            .unwrap();
        memory.free(half).unwrap();
        memory
            .allocate(request(1 << 20, AllocKind::Device))
            .unwrap();
        assert_eq!(memory.free_bytes(0), 0);
        assert!(
            memory
                .allocate(request(u64::MAX, AllocKind::Pinned))
                .is_err()
        );
        let aligned = Request {
            align: 1 << 16,
            ..request(10, AllocKind::Pinned)
        };
        assert_eq!(memory.allocate(aligned).unwrap() % (1 << 16), 0);
        assert_eq!(
            memory.allocate(request(0, AllocKind::Device)).unwrap_err(),
            MemoryError::Range { base: 0, size: 0 }
        );
    }

    #[test]
    fn a_free_names_what_is_at_a_wrong_address() {
        let memory = memory(1 << 20);
        let base = memory.allocate(request(100, AllocKind::Device)).unwrap();
        let error = memory.free(base + 4).unwrap_err().to_string();
        assert!(
            error.contains("4 bytes into allocation 1 (100 bytes of device memory"),
            "{error}"
        );
        memory.free(base).unwrap();
        let error = memory.free(base).unwrap_err().to_string();
        assert!(
            error.contains("0 bytes into the freed allocation 1"),
            "{error}"
        );
        assert!(memory.snapshot().describe(base + 99, 1).contains("freed"));
    }

    #[test]
    fn registered_memory_must_not_overlap() {
        let memory = memory(1 << 20);
        let host = vec![7_u8; 1000];
        let base = host.as_ptr() as u64;
        memory.register(base + 100, 100, 0, 0).unwrap();
        for (start, len) in [
            (base, 101),
            (base + 150, 10),
            (base + 199, 500),
            (base, 1000),
        ] {
            assert!(matches!(
                memory.register(start, len, 0, 0),
                Err(MemoryError::Overlap { .. })
            ));
        }
        memory.register(base, 100, 0, 0).unwrap();
        memory.free_all(|alloc| alloc.kind == AllocKind::Registered);
        assert_eq!(memory.count(AllocKind::Registered), 0);
        assert!(host.iter().all(|byte| *byte == 7));
    }

    #[test]
    fn a_snapshot_is_shared_until_something_changes() {
        let memory = memory(1 << 20);
        let base = memory.allocate(request(100, AllocKind::Device)).unwrap();
        let first = memory.snapshot();
        assert!(Arc::ptr_eq(&first, &memory.snapshot()));
        memory.free(base).unwrap();
        assert!(memory.snapshot().find(base).is_none());
        assert!(first.find(base).is_some());
    }

    #[test]
    fn the_host_gets_no_address_that_is_remembered_as_freed() {
        let (memory, size) = (memory(1 << 30), 1 << 20);
        for _ in 0..3 * REMEMBERED {
            let base = memory.allocate(request(size, AllocKind::Device)).unwrap();
            memory.free(base).unwrap();
            // Of this size, the host maps memory where there is room.
            let host = vec![1_u8; size as usize];
            let map = memory.snapshot();
            assert!(map.freed(base).is_some());
            assert!(map.freed(host.as_ptr() as u64).is_none());
        }
    }

    #[test]
    fn freeing_waits_for_what_is_in_flight() {
        let memory = memory(1 << 20);
        let base = memory.allocate(request(100, AllocKind::Device)).unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let guard = memory.in_flight();
            scope.spawn(|| {
                memory.free(base).unwrap();
                done.store(true, Ordering::SeqCst);
            });
            std::thread::sleep(std::time::Duration::from_millis(30));
            assert!(!done.load(Ordering::SeqCst));
            drop(guard);
        });
        assert!(done.into_inner());
    }

    #[test]
    fn a_thread_takes_a_second_guard_while_another_waits_to_free() {
        let memory = memory(1 << 20);
        let base = memory.allocate(request(100, AllocKind::Device)).unwrap();
        std::thread::scope(|scope| {
            let outer = memory.in_flight();
            let freeing = scope.spawn(|| memory.free(base).unwrap());
            while memory.in_flight.try_read().is_ok() {
                std::thread::yield_now();
            }
            drop(memory.in_flight());
            assert!(!freeing.is_finished());
            drop(outer);
        });
        assert!(memory.find(base).is_none());
    }

    #[test]
    fn copies_carry_what_was_never_written() {
        let memory = memory(1 << 20);
        let src = memory.allocate(request(1000, AllocKind::Device)).unwrap();
        let dst = memory.allocate(request(1000, AllocKind::Device)).unwrap();
        memory.mark_written(src + 10, 500);
        memory.mark_copied(dst + 3, src, 600);
        let shadow = memory.find(dst).and_then(|alloc| alloc.shadow).unwrap();
        assert_eq!(shadow.first_unwritten(13, 500), None);
        assert_eq!(shadow.first_unwritten(12, 500), Some(12));
        assert_eq!(shadow.first_unwritten(13, 501), Some(513));
        // Host memory is not tracked: what comes from it is written.
        memory.mark_copied(dst, [0_u8; 8].as_ptr() as u64, 8);
        assert_eq!(shadow.first_unwritten(0, 8), None);
        assert_eq!(shadow.first_unwritten(0, 9), Some(8));
    }
}
