//! The memory checker: what a kernel does with memory that hardware would let pass.
//!
//! It watches every access of a launch, after [`access`](crate::ops::memory::access) found it inside of an allocation, and
//! every barrier. It finds
//!
//! - *reads of memory nobody wrote*: device memory that neither the host nor a kernel wrote since it was allocated, LDS
//!   that the block did not write, scratch that the thread did not write. Compilers load more than the source asks for,
//!   to widen a load or to copy a structure with its padding; so a word counts once none of its bytes was written, and only
//!   if what was loaded is used for more than being stored elsewhere ([`uses`]). What is read from LDS and scratch counts
//!   once something that comes of it reaches global memory or becomes an address ([`taint`]);
//! - *misaligned accesses*: atomic operations that are not naturally aligned (these stop the launch), scalar loads whose
//!   low address bits hardware drops, and other accesses of more than a byte at odd addresses. Vector memory takes any
//!   address on all families, and compilers join narrow loads to wide ones, so more cannot be said from machine code;
//! - *data races*: two waves access one byte, one of them writes, and nothing orders the two. A barrier orders the waves of
//!   its block; nothing orders blocks but atomic operations: if both blocks have executed one, they are taken as
//!   ordered. Atomic operations do not race with each other, and in global memory with nothing, because on most families
//!   an atomic load or store is the plain instruction; in LDS they race with plain accesses. A store of the value that
//!   is there already is no race. Lanes of one wave do not race: they execute together;
//! - *barriers that not all waves meet*: a wave ended while others wait, or waves wait at different barriers.
//!
//! Findings of one kind at one instruction are one [`Report`], with the lowest block and thread and a count.

mod report;
mod taint;
mod uses;
mod watch;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rustc_hash::FxHashMap;

pub use report::{Report, sources};
pub use watch::{
    Accessed, Space, Watch, arrived, executed, left, misaligned_scalar, scalar, second_part,
    synchronized, vector,
};

use crate::launch::thread;
use crate::memory::Memory;
use crate::memory::cells::Party;

/// What findings do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Nothing is watched.
    #[default]
    Off,
    /// They are told.
    Warn,
    /// They are told and the launch fails.
    Error,
}

impl Mode {
    /// The mode with this name.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "off" => Some(Self::Off),
            "warn" => Some(Self::Warn),
            "error" => Some(Self::Error),
            _ => None,
        }
    }
}

/// The kinds of findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Defect {
    /// A read of memory nobody wrote.
    Unwritten,
    /// A misaligned access.
    Misaligned,
    /// A data race.
    Race,
    /// A barrier that not all waves meet.
    Barrier,
}

impl Defect {
    /// How reports call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unwritten => "unwritten memory",
            Self::Misaligned => "misaligned access",
            Self::Race => "data race",
            Self::Barrier => "barrier",
        }
    }
}

/// The shape of a launch, as far as findings name places in it.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Blocks in each dimension.
    pub blocks: [u32; 3],
    /// Threads of the grid.
    pub grid: [u32; 3],
    /// Threads of a block.
    pub block: [u32; 3],
    /// Lanes of a wave.
    pub lanes: u32,
    /// Bytes of LDS a block.
    pub lds: u64,
}

impl Shape {
    /// The coordinates of a block, x fastest.
    pub fn block(&self, index: u32) -> [u32; 3] {
        let [x, y, _] = self.blocks.map(|count| count.max(1));
        [index % x, index / x % y, index / x / y]
    }

    fn thread(&self, group: u32, wave: u32, lane: u32) -> [u32; 3] {
        let block = self.block(group);
        let threads = std::array::from_fn(|axis| {
            self.block[axis].min(self.grid[axis] - block[axis] * self.block[axis])
        });
        thread(wave * self.lanes + lane, threads)
    }
}

/// The watch over one launch, which its workers share.
pub struct Check {
    shape: Shape,
    number: u16,
    /// The groups that executed an atomic operation on global memory.
    synchronized: Vec<AtomicBool>,
    findings: Mutex<BTreeMap<(u64, Defect), Finding>>,
    /// Whether what the instruction at an address loads into its nth register is used.
    uses: Mutex<FxHashMap<(u64, u16), bool>>,
}

/// Findings of one kind at one instruction.
#[derive(Debug)]
struct Finding {
    /// Group, wave and lane of the one that is told.
    at: (u32, u32, Option<u32>),
    /// What was found.
    detail: String,
    /// How many there were.
    count: u64,
}

impl Check {
    /// A watch over a launch that has not started.
    pub fn new(memory: &Memory, shape: Shape) -> Self {
        let groups = shape.blocks.iter().map(|&count| count as usize).product();
        let mut synchronized = Vec::new();
        synchronized.resize_with(groups, AtomicBool::default);
        Self {
            shape,
            number: memory.number_launch(),
            synchronized,
            findings: Mutex::default(),
            uses: Mutex::default(),
        }
    }

    /// The shape of the launch.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    fn party(&self, group: u32, wave: u32, epoch: u32, between: bool) -> Party {
        Party {
            launch: self.number,
            group,
            wave,
            epoch,
            between,
        }
    }

    fn synchronizes(&self, group: u32) {
        if let Some(flag) = self.synchronized.get(group as usize) {
            flag.store(true, Ordering::Relaxed);
        }
    }

    fn is_synchronized(&self, group: u32) -> bool {
        self.synchronized
            .get(group as usize)
            .is_some_and(|flag| flag.load(Ordering::Relaxed))
    }

    /// Adds a finding; `detail` is asked for its words if it is the one to be told.
    fn add(
        &self,
        address: u64,
        defect: Defect,
        at: (u32, u32, Option<u32>),
        detail: impl FnOnce() -> String,
    ) {
        let mut findings = self.findings.lock().unwrap_or_else(PoisonError::into_inner);
        match findings.get_mut(&(address, defect)) {
            Some(finding) => {
                finding.count += 1;
                if at < finding.at {
                    finding.at = at;
                    finding.detail = detail();
                }
            }
            None => {
                let detail = detail();
                let finding = Finding {
                    at,
                    detail,
                    count: 1,
                };
                findings.insert((address, defect), finding);
            }
        }
    }

    /// Whether the word that the instruction at `address` loads into its `index`th register is used for more than being
    /// stored; `find` answers it the first time.
    fn uses(&self, address: u64, index: u16, find: impl FnOnce() -> bool) -> bool {
        let mut uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
        *uses.entry((address, index)).or_insert_with(find)
    }
}
