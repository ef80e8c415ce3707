//! Running waves: the context an instruction executes in, the work-group and its barriers.
//!
//! A work-group runs on one host thread, its waves in turns from barrier to barrier; work-groups run in parallel (that is
//! [`crate::launch`]). This module knows how control moves, and nothing of what single instructions do.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::check::{self, Check, Watch};
use crate::fault::FaultKind;
use crate::isa::code::{Code, Function};
use crate::isa::inst::{Class, Inst};
use crate::lanes::{Output, Row, Window};
use crate::memory::AllocMap;
use crate::wave::{Buffer, Status, Wave};

/// Where control goes after an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// To the next instruction.
    Next,
    /// To the instruction with this index in the function.
    Jump(u32),
    /// To an address.
    JumpTo(u64),
    /// The wave waits at the barrier; when it goes on, it goes on behind the instruction.
    Wait,
    /// The wave may let others run: it waits for something that they do.
    Yield,
    /// As `Yield`, and then the instruction executes again.
    Again,
    /// The wave has ended.
    End,
    /// The launch has failed; [`Cx::fault`] says why.
    Fault,
}

/// What failed, and in which lane.
pub type Failure = Box<(FaultKind, Option<u32>)>;

/// Rows that instructions compute in.
pub struct Temps {
    /// Operands that are not in vector registers, or modified.
    pub sources: [Window; 4],
    /// Results.
    pub output: Output,
    /// Results of the other half of a dual-issue pair.
    pub second: Output,
}

impl Default for Temps {
    fn default() -> Self {
        Self {
            sources: [[Row::ZERO; 2]; 4],
            output: Output::ZERO,
            second: Output::ZERO,
        }
    }
}

/// What all waves of a launch share and do not change.
pub struct Shared<'l> {
    /// The code.
    pub code: &'l Code,
    /// The allocations that kernels may access.
    pub memory: Arc<AllocMap>,
    /// Ranges that the launch itself owns (kernel arguments, dispatch packet): base and end.
    pub own: Vec<(u64, u64)>,
    /// Count instructions by class.
    pub count: bool,
    /// The memory checker, if it is on.
    pub check: Option<&'l Check>,
    /// The barrier of all work-groups, in a cooperative launch.
    pub grid: Option<GridBarrier>,
}

/// The barrier of all work-groups of a cooperative launch, through which one wave of each goes (`ds_gws_barrier`).
#[derive(Debug, Default)]
pub struct GridBarrier {
    arrived: AtomicU32,
    phase: AtomicU32,
}

impl GridBarrier {
    /// A wave that has `arrived` (in the phase that this said then) or not yet: whether it may go on, and otherwise the
    /// phase that it waits in. `groups` is how many come.
    pub fn pass(&self, arrived: Option<u32>, groups: u32) -> Option<u32> {
        let phase = self.phase.load(Ordering::Acquire);
        match arrived {
            Some(before) if before != phase => None,
            Some(_) => Some(phase),
            None if self.arrived.fetch_add(1, Ordering::AcqRel) + 1 < groups => Some(phase),
            None => {
                self.arrived.store(0, Ordering::Relaxed);
                self.phase.store(phase.wrapping_add(1), Ordering::Release);
                None
            }
        }
    }
}

/// Address ranges found accessible lately, by call site: (first address, end).
pub struct Ranges(pub [(u64, u64); 64]);

impl Default for Ranges {
    fn default() -> Self {
        Self([(1, 0); 64])
    }
}

/// A work-group while it runs.
#[derive(Default)]
pub struct Group {
    /// LDS.
    pub lds: Buffer,
    /// Waves that have not ended.
    pub live: u32,
    /// Waves that arrived at the current barrier.
    pub arrived: u32,
    /// Barriers that were completed.
    pub phase: u64,
    /// The block's coordinates.
    pub block: [u32; 3],
}

impl Group {
    /// A wave arrives at the barrier.
    pub fn arrive(&mut self) {
        self.arrived += 1;
        self.complete();
    }

    /// A wave has ended: it is not waited for any more.
    fn leave(&mut self) {
        self.live -= 1;
        self.complete();
    }

    fn complete(&mut self) {
        if self.live > 0 && self.arrived >= self.live {
            self.arrived = 0;
            self.phase += 1;
        }
    }
}

/// What an instruction executes in.
pub struct Cx<'a> {
    /// The wave.
    pub w: &'a mut Wave,
    /// Its work-group.
    pub group: &'a mut Group,
    /// The launch.
    pub shared: &'a Shared<'a>,
    /// Scratch rows.
    pub temps: &'a mut Temps,
    /// Accessible ranges.
    pub ranges: &'a mut Ranges,
    /// The function that is executing.
    pub function: &'a Function,
    /// What the memory checker remembers of the work-group, if it is on.
    pub watch: Option<&'a mut Watch>,
    /// Why the launch failed.
    pub fault: Option<Failure>,
}

impl Cx<'_> {
    /// Fails the launch.
    #[cold]
    pub fn fail(&mut self, kind: FaultKind, lane: Option<u32>) -> Flow {
        self.fault = Some(Box::new((kind, lane)));
        Flow::Fault
    }

    /// The address behind an instruction.
    pub fn next_address(&self) -> u64 {
        self.function.address_after(self.w.pc)
    }
}

/// Instructions executed, by class.
pub type Counts = [u64; Class::COUNT];

/// A worker's state: reused from work-group to work-group.
#[derive(Default)]
pub struct Worker {
    /// The waves of the current work-group.
    pub waves: Vec<Wave>,
    /// The work-group.
    pub group: Group,
    /// Instructions executed, by class, if they are counted.
    pub counts: Counts,
    /// All instructions executed.
    pub executed: u64,
    /// What the memory checker remembers of the work-group, if it is on.
    pub watch: Option<Box<Watch>>,
    temps: Temps,
    ranges: Ranges,
}

/// How many instructions a wave executes before others get a turn: it may be waiting for one of them in a loop.
const SLICE: u64 = 1 << 20;

/// A failed wave: which one, where it was, and why.
pub struct Stopped {
    /// Why, and in which lane.
    pub failure: Failure,
    /// Address of the instruction.
    pub address: u64,
    /// Index of the wave in its work-group.
    pub wave: u32,
}

impl Worker {
    /// Starts the work-group whose waves were set up in `waves[..count]`.
    pub fn start_group(&mut self, count: usize) {
        self.group.live = count as u32;
        self.group.arrived = 0;
        self.group.phase = 0;
    }

    /// Whether waves of the work-group have not ended.
    pub fn is_live(&self) -> bool {
        self.group.live > 0
    }

    /// Runs the work-group in `waves[..count]` to its end.
    ///
    /// # Errors
    /// The first wave that stopped the launch.
    pub fn run_group(&mut self, shared: &Shared<'_>, count: usize) -> Result<(), Stopped> {
        self.start_group(count);
        while self.is_live() {
            if !self.pass(shared, count)? {
                return Err(self.deadlock());
            }
        }
        Ok(())
    }

    /// Gives every wave in `waves[..count]` that can run a turn. Returns whether any got further.
    ///
    /// # Errors
    /// The first wave that stopped the launch.
    pub fn pass(&mut self, shared: &Shared<'_>, count: usize) -> Result<bool, Stopped> {
        let mut progress = false;
        for index in 0..count {
            let wave = &mut self.waves[index];
            match wave.status {
                Status::Ended => continue,
                Status::Waiting
                    if wave
                        .signalled
                        .is_some_and(|phase| phase >= self.group.phase) =>
                {
                    continue;
                }
                _ => {}
            }
            if wave.status == Status::Waiting {
                wave.pass_barrier();
            }
            let before = (self.executed, wave.at_grid_barrier);
            match shared.count || shared.check.is_some() {
                false => self.run_wave::<false>(shared, index)?,
                true => self.run_wave::<true>(shared, index)?,
            }
            // A wave that only asked again whether the grid's barrier is complete got no further.
            let asked_again = self.executed == before.0 + 1
                && before.1.is_some()
                && self.waves[index].at_grid_barrier == before.1;
            progress |= !asked_again;
        }
        Ok(progress)
    }

    /// No wave can go on. Every wave that has not ended has to be at the work-group's barrier to get there, and then the
    /// barrier completes; so they wait for the grid, or for a barrier without having signalled.
    pub fn deadlock(&self) -> Stopped {
        let waiting = self.waves.iter().find(|wave| wave.status != Status::Ended);
        let wave = waiting.unwrap_or(&self.waves[0]);
        Stopped {
            failure: Box::new((FaultKind::Deadlock, None)),
            address: wave.function,
            wave: wave.index,
        }
    }

    /// Runs a wave until it waits, ends or had its slice. `OBSERVED` says that instructions are counted or checked.
    fn run_wave<const OBSERVED: bool>(
        &mut self,
        shared: &Shared<'_>,
        index: usize,
    ) -> Result<(), Stopped> {
        let Self {
            waves,
            group,
            temps,
            ranges,
            counts,
            executed,
            watch,
            ..
        } = self;
        let wave = &mut waves[index];
        let stopped = |failure, address| Stopped {
            failure,
            address,
            wave: index as u32,
        };
        let mut function = shared
            .code
            .function_at(wave.function, wave.halves)
            .map_err(|kind| stopped(Box::new((kind, None)), wave.function))?;
        let mut left = SLICE;
        let mut cx = Cx {
            w: wave,
            group,
            shared,
            temps,
            ranges,
            function,
            watch: watch.as_deref_mut(),
            fault: None,
        };
        let result = loop {
            let pc = cx.w.pc;
            let Some(inst) = function.instructions.get(pc) else {
                break Err((
                    Box::new((FaultKind::EndOfCode, None)),
                    function.address + function.size,
                ));
            };
            left -= 1;
            let flow = (inst.run)(&mut cx, inst);
            if OBSERVED {
                counts[inst.class as usize] += 1;
                check::executed(&mut cx, inst);
            }
            match flow {
                Flow::Next => cx.w.pc = pc + 1,
                Flow::Jump(target) => {
                    cx.w.pc = target as usize;
                    if left < SLICE / 2 {
                        break Ok(());
                    }
                }
                Flow::JumpTo(address) => match shared.code.locate(address, cx.w.halves) {
                    Ok((next, index)) => {
                        function = next;
                        cx.function = next;
                        cx.w.function = next.address;
                        cx.w.pc = index;
                    }
                    Err(kind) => break Err((Box::new((kind, None)), function.address_of(pc))),
                },
                Flow::Wait => {
                    cx.w.pc = pc + 1;
                    cx.w.status = Status::Waiting;
                    break Ok(());
                }
                Flow::Yield => {
                    cx.w.pc = pc + 1;
                    break Ok(());
                }
                Flow::Again => break Ok(()),
                Flow::End => {
                    cx.w.status = Status::Ended;
                    let phase = cx.group.phase;
                    cx.group.leave();
                    if OBSERVED {
                        let completes = cx.group.phase != phase;
                        check::left(&mut cx, completes);
                    }
                    break Ok(());
                }
                Flow::Fault => {
                    let failure = cx
                        .fault
                        .take()
                        .unwrap_or_else(|| Box::new((FaultKind::EndOfCode, None)));
                    break Err((failure, function.address_of(pc)));
                }
            }
        };
        *executed += SLICE - left;
        result.map_err(|(failure, address)| stopped(failure, address))
    }
}

/// An instruction that does nothing here: waits for what has already happened, hints, cache control.
pub fn nothing(_: &mut Cx<'_>, _: &Inst) -> Flow {
    Flow::Next
}
