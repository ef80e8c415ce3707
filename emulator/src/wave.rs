//! The state of a wavefront: registers, masks and mode. It knows no instruction and no memory but its scratch.

use crate::float::Mode;
use crate::isa::inst::slot;
use crate::lanes::{LANES, Row, Window};

/// Rows of one half-wave: 256 vector registers, 256 accumulation registers, and a margin so that the last register can be
/// seen through a [`Window`].
pub const FILE: usize = 514;

/// Zeroed bytes of LDS or scratch, aligned for every access.
#[derive(Default)]
pub struct Buffer {
    words: Vec<u128>,
    bytes: usize,
}

impl Buffer {
    /// Makes it `bytes` zero bytes.
    pub fn reset(&mut self, bytes: usize) {
        self.words.clear();
        self.words.resize(bytes.div_ceil(16), 0);
        self.bytes = bytes;
    }

    /// The size in bytes.
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// The host address of the first byte. It holds until the next [`Buffer::reset`].
    pub fn address(&mut self) -> u64 {
        self.words.as_mut_ptr() as u64
    }
}

/// Why a wave is not running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It can run.
    Ready,
    /// It waits at a barrier.
    Waiting,
    /// It has ended.
    Ended,
}

/// A wavefront.
pub struct Wave {
    rows: Vec<Row>,
    /// The scalar registers and what is addressed like them; see [`slot`].
    pub sgpr: [u32; slot::COUNT],
    /// SCC.
    pub scc: bool,
    /// Halves of 32 lanes: 1 or 2.
    pub halves: usize,
    /// EXEC as rows, kept equal to its register by [`Wave::exec_changed`].
    pub exec_rows: [Row; 2],
    /// The MODE register.
    pub mode: Mode,
    /// The next instruction: index in the current function.
    pub pc: usize,
    /// The current function: its start address.
    pub function: u64,
    /// Whether it can run.
    pub status: Status,
    /// The barrier phase that it signalled (see `exec::Group`).
    pub signalled: Option<u64>,
    /// Barriers that it has passed.
    pub barriers: u32,
    /// The phase of the grid's barrier that it waits in.
    pub at_grid_barrier: Option<u32>,
    /// Scratch memory: `scratch_size` bytes a lane, lane after lane.
    pub scratch: Buffer,
    /// Bytes of scratch a lane.
    pub scratch_size: u64,
    /// Which wave of its work-group.
    pub index: u32,
}

impl Default for Wave {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            sgpr: [0; slot::COUNT],
            scc: false,
            halves: 1,
            exec_rows: [Row::ZERO; 2],
            mode: Mode::new(0xf0),
            pc: 0,
            function: 0,
            status: Status::Ready,
            signalled: None,
            barriers: 0,
            at_grid_barrier: None,
            scratch: Buffer::default(),
            scratch_size: 0,
            index: 0,
        }
    }
}

impl Wave {
    /// Makes a fresh wave of it: `vgprs` vector registers a lane, all registers zero.
    pub fn reset(&mut self, halves: usize, vgprs: usize, acc: bool, scratch_size: u64) {
        if self.rows.len() < halves * FILE {
            self.rows.resize(halves * FILE, Row::ZERO);
        }
        for half in 0..halves {
            let file = &mut self.rows[half * FILE..(half + 1) * FILE];
            file[..vgprs.min(256)].fill(Row::ZERO);
            if acc {
                file[256..512].fill(Row::ZERO);
            }
        }
        self.scratch.reset(scratch_size as usize * LANES * halves);
        self.scratch_size = scratch_size;
        self.sgpr = [0; slot::COUNT];
        self.scc = false;
        self.halves = halves;
        self.pc = 0;
        self.status = Status::Ready;
        self.signalled = None;
        self.barriers = 0;
        self.at_grid_barrier = None;
    }

    /// Goes on behind the barrier that it signalled.
    pub fn pass_barrier(&mut self) {
        if self.signalled.take().is_some() {
            self.barriers = self.barriers.wrapping_add(1);
        }
        self.status = Status::Ready;
    }

    /// Register `reg` of a half and the one after it.
    #[inline(always)]
    pub fn window(&self, half: usize, reg: u16) -> &Window {
        let start = half * FILE + usize::from(reg);
        let rows: &[Row] = &self.rows[start..start + 2];
        // SAFETY: the slice has two rows.
        unsafe { &*rows.as_ptr().cast::<Window>() }
    }

    /// Register `reg` of a half.
    #[inline(always)]
    pub fn row(&self, half: usize, reg: u16) -> &Row {
        &self.rows[half * FILE + usize::from(reg)]
    }

    /// Register `reg` of a half, to be written.
    #[inline(always)]
    pub fn row_mut(&mut self, half: usize, reg: u16) -> &mut Row {
        &mut self.rows[half * FILE + usize::from(reg)]
    }

    /// `N` registers of a half from `reg`, to be written.
    #[inline(always)]
    pub fn rows_mut<const N: usize>(&mut self, half: usize, reg: u16) -> &mut [Row; N] {
        let start = half * FILE + usize::from(reg);
        let rows: &mut [Row] = &mut self.rows[start..start + N];
        // SAFETY: the slice has `N` rows.
        unsafe { &mut *rows.as_mut_ptr().cast::<[Row; N]>() }
    }

    /// Lane `lane` (0 to 63) of register `reg`.
    #[inline(always)]
    pub fn lane(&self, lane: usize, reg: u16) -> u32 {
        self.row(lane / LANES, reg).0[lane % LANES]
    }

    /// Writes lane `lane` of register `reg`.
    #[inline(always)]
    pub fn set_lane(&mut self, lane: usize, reg: u16, value: u32) {
        self.row_mut(lane / LANES, reg).0[lane % LANES] = value;
    }

    /// EXEC of a half.
    #[inline(always)]
    pub fn exec(&self, half: usize) -> u32 {
        self.sgpr[usize::from(slot::EXEC) + half]
    }

    /// All of EXEC.
    pub fn exec64(&self) -> u64 {
        let low = u64::from(self.exec(0));
        if self.halves == 2 {
            low | (u64::from(self.exec(1)) << 32)
        } else {
            low
        }
    }

    /// To be called after EXEC was written.
    #[inline]
    pub fn exec_changed(&mut self) {
        for half in 0..self.halves {
            self.exec_rows[half] = Row::from_mask(self.exec(half));
        }
    }

    /// Two scalar registers.
    #[inline(always)]
    pub fn sgpr64(&self, reg: u16) -> u64 {
        let reg = usize::from(reg);
        u64::from(self.sgpr[reg]) | (u64::from(self.sgpr[reg + 1]) << 32)
    }

    /// Writes two scalar registers.
    #[inline(always)]
    pub fn set_sgpr64(&mut self, reg: u16, value: u64) {
        let reg = usize::from(reg);
        self.sgpr[reg] = value as u32;
        self.sgpr[reg + 1] = (value >> 32) as u32;
    }

    /// A lane mask in scalar registers, as wide as the wave.
    #[inline(always)]
    pub fn mask(&self, reg: u16) -> u64 {
        if self.halves == 2 {
            self.sgpr64(reg)
        } else {
            self.sgpr[usize::from(reg)].into()
        }
    }

    /// Writes a lane mask of the wave's width.
    #[inline(always)]
    pub fn set_mask(&mut self, reg: u16, value: u64) {
        if self.halves == 2 {
            self.set_sgpr64(reg, value);
        } else {
            self.sgpr[usize::from(reg)] = value as u32;
        }
        if (slot::EXEC..slot::EXEC + 2).contains(&reg) {
            self.exec_changed();
        }
    }

    /// Lanes of the wave.
    pub fn lanes(&self) -> usize {
        self.halves * LANES
    }
}
