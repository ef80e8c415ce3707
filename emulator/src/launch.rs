//! Launching a kernel: from its descriptor and metadata to the initial state of every wave, and over the grid.
//!
//! The register set-up is that of the AMDGPU usage guide ("Initial Kernel Execution State", "Kernel Descriptor"), the
//! hidden arguments those of its tables for code object versions 4 to 6. Work-groups run in parallel on rayon's pool; the
//! first fault (of the lowest-numbered block among those that were running) stops the launch.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use codeobject::{ArgKind, HiddenArg, Kernel};
use rayon::prelude::*;

use crate::arch::Arch;
use crate::check::{self, Check, Report, Shape, Watch};
use crate::exec::{Counts, GridBarrier, Shared, Stopped, Worker};
use crate::fault::{Fault, FaultKind};
use crate::float::Mode;
use crate::isa::code::{Code, Extent};
use crate::isa::inst::{Class, slot};
use crate::lanes::LANES;
use crate::memory::Memory;
use crate::module::LoadedModule;
use crate::ops::memory::access::{PRIVATE_APERTURE, PRIVATE_RESOURCE, SHARED_APERTURE};
use crate::wave::Wave;

/// Pointers that hidden arguments need from the runtime; 0 where the kernel gets a null pointer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Services {
    /// `hidden_printf_buffer`.
    pub printf_buffer: u64,
    /// `hidden_hostcall_buffer`.
    pub hostcall_buffer: u64,
    /// `hidden_heap_v1`.
    pub heap: u64,
    /// `hidden_multigrid_sync_arg`.
    pub multigrid_sync: u64,
    /// `hidden_queue_ptr` and the queue in SGPRs.
    pub queue: u64,
    /// `hidden_default_queue`.
    pub default_queue: u64,
    /// `hidden_completion_action`.
    pub completion_action: u64,
}

/// A launch.
pub struct Launch<'l> {
    /// The code object.
    pub module: &'l LoadedModule,
    /// The kernel in it.
    pub kernel: &'l Kernel,
    /// Threads of the grid in each dimension; the last block of a dimension may be partial.
    pub grid: [u32; 3],
    /// Threads of a block in each dimension.
    pub block: [u32; 3],
    /// LDS beyond what the kernel declares, in bytes.
    pub dynamic_lds: u32,
    /// The explicit arguments, laid out as the metadata says.
    pub kernarg: &'l [u8],
    /// Pointers for hidden arguments.
    pub services: Services,
    /// The memory of the device.
    pub memory: &'l Memory,
    /// The device's architecture.
    pub arch: &'l Arch,
    /// All blocks run at a time, in turns: they may wait for each other.
    pub cooperative: bool,
    /// Count executed instructions by class.
    pub count: bool,
    /// Check what the kernel does with memory.
    pub check: bool,
}

/// What a launch did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LaunchStats {
    /// Instructions that waves executed.
    pub instructions: u64,
    /// Those by class, if they were counted.
    pub classes: Counts,
    /// Waves.
    pub waves: u64,
}

impl LaunchStats {
    /// The executed instructions of a class, if they were counted.
    pub fn class(&self, class: Class) -> u64 {
        self.classes[class as usize]
    }

    /// Adds what a worker executed, in so many waves.
    fn add(&mut self, worker: &Worker, waves: u64) {
        self.waves += waves;
        self.instructions += worker.executed;
        for (sum, count) in self.classes.iter_mut().zip(worker.counts) {
            *sum += count;
        }
    }
}

/// The HSA dispatch packet that kernels read (`hsa_kernel_dispatch_packet_t`).
#[repr(C)]
#[derive(Default)]
struct Packet {
    header: u16,
    setup: u16,
    workgroup_size: [u16; 3],
    reserved0: u16,
    grid_size: [u32; 3],
    private_segment_size: u32,
    group_segment_size: u32,
    kernel_object: u64,
    kernarg_address: u64,
    reserved2: u64,
    completion_signal: u64,
}

/// The part of `amd_queue_t` that kernels read on targets whose apertures are not in registers: the high halves of the LDS
/// and scratch apertures.
#[repr(C)]
struct Queue {
    words: [u32; 64],
}

impl Queue {
    fn new() -> Self {
        let mut words = [0; 64];
        // Offsets 0x40 and 0x44 of amd_queue_t: group_segment_aperture_base_hi, private_segment_aperture_base_hi.
        words[16] = (SHARED_APERTURE >> 32) as u32;
        words[17] = (PRIVATE_APERTURE >> 32) as u32;
        Self { words }
    }
}

/// The machine code of a module, decoded as far as it was executed.
pub fn code_of<'m>(module: &'m LoadedModule, arch: &Arch) -> &'m Code {
    module.derived(|module| {
        let text = module.text();
        let base = module.device_address(text.start);
        let mut extents: Vec<Extent> = Vec::new();
        for (start, size, name) in module.functions() {
            // Symbols of one address are one function; one without a size ends where the next starts.
            let (address, size) = (module.device_address(*start), *size);
            match extents.last_mut() {
                Some(last) if last.address == address => last.size = last.size.max(size),
                _ => extents.push(Extent {
                    address,
                    size,
                    name: name.clone(),
                }),
            }
        }
        let end = base + (text.end - text.start);
        for index in 0..extents.len() {
            let next = extents.get(index + 1).map_or(end, |next| next.address);
            if extents[index].size == 0 {
                extents[index].size = next.saturating_sub(extents[index].address);
            }
        }
        Code::new(arch.clone(), base, module.text_bytes().to_vec(), extents)
    })
}

/// Sizes of a launch that every wave's set-up needs.
struct Plan<'l> {
    launch: &'l Launch<'l>,
    blocks: [u32; 3],
    halves: usize,
    vgprs: usize,
    scratch: u64,
    lds: usize,
    entry: u64,
    kernarg: u64,
    packet: u64,
    queue: u64,
    mode: Mode,
}

/// A launch that has ended.
pub struct Ended {
    /// What it did, or the fault that stopped it: what happened, where in the code, in which block and thread.
    pub outcome: Result<LaunchStats, Box<Fault>>,
    /// What the memory checker found until then.
    pub reports: Vec<Report>,
}

/// Runs a kernel over its grid.
pub fn launch(launch: &Launch<'_>) -> Ended {
    let kernel = launch.kernel;
    let code = code_of(launch.module, launch.arch);
    let descriptor = &kernel.descriptor;
    let blocks: [u32; 3] =
        std::array::from_fn(|axis| launch.grid[axis].div_ceil(launch.block[axis].max(1)));
    let mut kernarg = KernargSegment::new(launch, blocks);
    let lds = kernel
        .group_segment_fixed_size
        .max(descriptor.group_segment_fixed_size)
        + launch.dynamic_lds;
    let scratch = u64::from(
        kernel
            .private_segment_fixed_size
            .max(descriptor.private_segment_fixed_size),
    );
    // Dynamic stacks (recursion, indirect calls) get what the ROCm runtime gives them.
    let scratch = if kernel.uses_dynamic_stack {
        scratch.max(16 << 10)
    } else {
        scratch
    };
    let packet = Packet {
        header: 0x1502,
        setup: 3,
        workgroup_size: launch.block.map(|size| size as u16),
        grid_size: launch.grid,
        private_segment_size: scratch as u32,
        group_segment_size: lds,
        kernel_object: launch.module.device_address(kernel.descriptor_address),
        kernarg_address: kernarg.address(),
        ..Packet::default()
    };
    let queue = Queue::new();
    let rsrc1 = descriptor.compute_pgm_rsrc1;
    let major = launch.arch.family.gfx_major();
    // gfx12 has neither mode bit: minimum and maximum quiet NaNs, clamp maps them to zero.
    let clamp_and_ieee = if major >= 12 {
        0x300
    } else {
        u32::from(rsrc1.enable_dx10_clamp()) << 8 | u32::from(rsrc1.enable_ieee_mode()) << 9
    };
    let plan = Plan {
        launch,
        blocks,
        halves: if kernel.wavefront_size == 64 { 2 } else { 1 },
        vgprs: descriptor.allocated_vgprs(launch.arch.family) as usize,
        scratch: scratch.next_multiple_of(16),
        lds: lds as usize,
        entry: launch.module.device_address(kernel.entry_address),
        kernarg: kernarg.address(),
        packet: std::ptr::from_ref(&packet) as u64,
        queue: if launch.services.queue != 0 {
            launch.services.queue
        } else {
            std::ptr::from_ref(&queue) as u64
        },
        mode: Mode::new(rsrc1.float_mode() | clamp_and_ieee),
    };
    let check = launch.check.then(|| {
        let shape = Shape {
            blocks,
            grid: launch.grid,
            block: launch.block,
            lanes: (LANES * plan.halves) as u32,
            lds: plan.lds as u64,
        };
        Check::new(launch.memory, shape)
    });
    let own = |address: u64, size: usize| (address, address + size as u64);
    let shared = Shared {
        code,
        memory: launch.memory.snapshot(),
        own: vec![
            own(kernarg.address(), kernarg.size()),
            own(plan.packet, size_of::<Packet>()),
            own(std::ptr::from_ref(&queue) as u64, size_of::<Queue>()),
        ],
        count: launch.count,
        check: check.as_ref(),
        grid: launch.cooperative.then(GridBarrier::default),
    };
    let _in_flight = launch.memory.in_flight();
    let outcome = match launch.cooperative {
        true => plan.run_together(&shared),
        false => plan.run(&shared),
    };
    let text = |address| code.text(address, plan.halves);
    let reports = check.map(|check| check.reports(&kernel.name, launch.module, text));
    Ended {
        outcome,
        reports: reports.unwrap_or_default(),
    }
}

impl Plan<'_> {
    fn run(&self, shared: &Shared<'_>) -> Result<LaunchStats, Box<Fault>> {
        let total = self
            .blocks
            .iter()
            .map(|&count| count as usize)
            .product::<usize>();
        let next = AtomicUsize::new(0);
        let stop = AtomicBool::new(false);
        let fault: Mutex<Option<(usize, Fault)>> = Mutex::new(None);
        let stats = Mutex::new(LaunchStats::default());
        let workers = rayon::current_num_threads().min(total);
        (0..workers).into_par_iter().for_each(|_| {
            let mut worker = self.worker(shared);
            let mut count = 0;
            while !stop.load(Ordering::Relaxed) {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= total {
                    break;
                }
                let block = self.block(index);
                count += self.set_up(&mut worker, index) as u64;
                if let Err(stopped) = worker.run_group(shared, self.waves_per_block(block)) {
                    stop.store(true, Ordering::Relaxed);
                    let found = self.fault(shared, block, &stopped);
                    let mut fault = fault.lock().unwrap_or_else(PoisonError::into_inner);
                    if fault.as_ref().is_none_or(|(first, _)| index < *first) {
                        *fault = Some((index, found));
                    }
                }
            }
            let mut stats = stats.lock().unwrap_or_else(PoisonError::into_inner);
            stats.add(&worker, count);
        });
        if let Some((_, fault)) = fault.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(Box::new(fault));
        }
        Ok(stats.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// Runs all blocks at a time: each in its turn, wave by wave, on this thread.
    fn run_together(&self, shared: &Shared<'_>) -> Result<LaunchStats, Box<Fault>> {
        let total = self
            .blocks
            .iter()
            .map(|&count| count as usize)
            .product::<usize>();
        let mut workers: Vec<(Worker, usize)> = (0..total)
            .map(|index| {
                let mut worker = self.worker(shared);
                let waves = self.set_up(&mut worker, index);
                worker.start_group(waves);
                (worker, waves)
            })
            .collect();
        let fault = |index: usize, stopped: Stopped| {
            Box::new(self.fault(shared, self.block(index), &stopped))
        };
        loop {
            let mut progress = false;
            let mut waiting = None;
            for (index, (worker, waves)) in workers.iter_mut().enumerate() {
                if worker.is_live() {
                    waiting = waiting.or(Some(index));
                    let passed = worker.pass(shared, *waves);
                    progress |= passed.map_err(|stopped| fault(index, stopped))?;
                }
            }
            match waiting {
                None => break,
                Some(index) if !progress => {
                    return Err(fault(index, workers[index].0.deadlock()));
                }
                Some(_) => {}
            }
        }
        let mut stats = LaunchStats::default();
        for (worker, waves) in &workers {
            stats.add(worker, *waves as u64);
        }
        Ok(stats)
    }

    fn worker(&self, shared: &Shared<'_>) -> Worker {
        let mut worker = Worker::default();
        worker.watch = shared.check.map(|_| Box::<Watch>::default());
        worker
    }

    /// The block with this number, x fastest.
    fn block(&self, index: usize) -> [u32; 3] {
        let [x, y, _] = self.blocks.map(|count| count as usize);
        [
            (index % x) as u32,
            (index / x % y) as u32,
            (index / x / y) as u32,
        ]
    }

    /// The threads of a block: those of its size that are inside the grid.
    fn threads(&self, block: [u32; 3]) -> [u32; 3] {
        std::array::from_fn(|axis| {
            let size = self.launch.block[axis];
            size.min(self.launch.grid[axis] - block[axis] * size)
        })
    }

    fn waves_per_block(&self, block: [u32; 3]) -> usize {
        let threads: u32 = self.threads(block).iter().product();
        (threads as usize).div_ceil(LANES * self.halves)
    }

    /// Makes the waves of the block with this number; returns how many.
    fn set_up(&self, worker: &mut Worker, index: usize) -> usize {
        let block = self.block(index);
        let count = self.waves_per_block(block);
        if let Some(watch) = &mut worker.watch {
            let scratch = self.scratch * (LANES * self.halves) as u64;
            watch.start(index as u32, count as u32, self.lds as u64, scratch);
        }
        worker.group.lds.reset(self.lds);
        worker.group.block = block;
        if worker.waves.len() < count {
            worker.waves.resize_with(count, Wave::default);
        }
        let threads = self.threads(block);
        for (index, wave) in worker.waves[..count].iter_mut().enumerate() {
            self.set_up_wave(wave, index, count, block, threads);
        }
        count
    }

    fn set_up_wave(
        &self,
        wave: &mut Wave,
        index: usize,
        count: usize,
        block: [u32; 3],
        threads: [u32; 3],
    ) {
        let arch = self.launch.arch;
        let descriptor = &self.launch.kernel.descriptor;
        let properties = descriptor.kernel_code_properties;
        let rsrc2 = descriptor.compute_pgm_rsrc2;
        wave.reset(self.halves, self.vgprs, arch.acc_registers, self.scratch);
        wave.function = self.entry;
        wave.index = index as u32;
        wave.mode = self.mode;

        let mut next = 0usize;
        let mut put = |wave: &mut Wave, words: &[u32]| {
            for &word in words {
                if next < usize::from(slot::VCC) {
                    wave.sgpr[next] = word;
                }
                next += 1;
            }
        };
        let pair = |value: u64| [value as u32, (value >> 32) as u32];
        if properties.enable_sgpr_private_segment_buffer() {
            // The base says "scratch" to buffer instructions; the size is not checked there.
            let [low, high] = pair(PRIVATE_RESOURCE);
            put(wave, &[low, high, u32::MAX, 0]);
        }
        if properties.enable_sgpr_dispatch_ptr() {
            put(wave, &pair(self.packet));
        }
        if properties.enable_sgpr_queue_ptr() {
            put(wave, &pair(self.queue));
        }
        if properties.enable_sgpr_kernarg_segment_ptr() {
            put(wave, &pair(self.kernarg));
        }
        if properties.enable_sgpr_dispatch_id() {
            put(wave, &[0, 0]);
        }
        if properties.enable_sgpr_flat_scratch_init() {
            put(wave, &pair(PRIVATE_APERTURE));
        }
        if properties.enable_sgpr_private_segment_size() {
            put(wave, &[self.scratch as u32]);
        }
        let preload = descriptor.kernarg_preload;
        for word in 0..preload.length() {
            let address = self.kernarg + 4 * u64::from(preload.offset() + word);
            put(wave, &[KernargSegment::word(self, address)]);
        }
        let _ = put;
        let mut next = next.max(rsrc2.user_sgpr_count() as usize);
        let mut put = |wave: &mut Wave, word: u32| {
            if next < usize::from(slot::VCC) {
                wave.sgpr[next] = word;
            }
            next += 1;
        };
        if arch.group_ids_in_ttmp {
            wave.sgpr[usize::from(slot::TTMP) + 9] = block[0];
            wave.sgpr[usize::from(slot::TTMP) + 7] = block[1] & 0xffff | block[2] << 16;
            // The wave's number in its work-group.
            wave.sgpr[usize::from(slot::TTMP) + 8] = (index as u32 & 31) << 25;
        } else {
            let enabled = [
                rsrc2.enable_sgpr_workgroup_id_x(),
                rsrc2.enable_sgpr_workgroup_id_y(),
                rsrc2.enable_sgpr_workgroup_id_z(),
            ];
            for (id, _) in block
                .into_iter()
                .zip(enabled)
                .filter(|(_, enabled)| *enabled)
            {
                put(wave, id);
            }
            if rsrc2.enable_sgpr_workgroup_info() {
                put(wave, count as u32);
            }
            if rsrc2.enable_private_segment() && !arch.architected_flat_scratch {
                // The wave's offset into scratch: every wave has scratch of its own.
                put(wave, 0);
            }
        }
        for (reg, value) in [
            (slot::SHARED_BASE, SHARED_APERTURE),
            (slot::SHARED_LIMIT, SHARED_APERTURE + 0xffff_ffff),
            (slot::PRIVATE_BASE, PRIVATE_APERTURE),
            (slot::PRIVATE_LIMIT, PRIVATE_APERTURE + 0xffff_ffff),
            (slot::FLAT_SCRATCH, PRIVATE_APERTURE),
        ] {
            wave.set_sgpr64(reg, value);
        }
        self.set_up_lanes(wave, index, threads);
    }

    fn set_up_lanes(&self, wave: &mut Wave, index: usize, threads: [u32; 3]) {
        let total: u32 = threads.iter().product();
        let lanes = wave.lanes();
        let first = (index * lanes) as u32;
        let packed = self.launch.arch.packed_work_item_ids;
        let ids = self
            .launch
            .kernel
            .descriptor
            .compute_pgm_rsrc2
            .enable_vgpr_workitem_id();
        for lane in 0..lanes {
            let flat = first + lane as u32;
            if flat >= total {
                break;
            }
            let id = thread(flat, threads);
            if packed {
                wave.set_lane(lane, 0, id[0] | id[1] << 10 | id[2] << 20);
            } else {
                for (register, value) in id.into_iter().enumerate().take(1 + ids as usize) {
                    wave.set_lane(lane, register as u16, value);
                }
            }
        }
        let active = (total - first).min(lanes as u32);
        let exec = if active >= 64 {
            u64::MAX
        } else {
            (1u64 << active) - 1
        };
        wave.set_sgpr64(slot::EXEC, exec);
        wave.exec_changed();
    }

    fn fault(&self, shared: &Shared<'_>, block: [u32; 3], stopped: &Stopped) -> Fault {
        let (kind, lane) = &*stopped.failure;
        let address = stopped.address;
        let thread = lane.map(|lane| {
            let flat = stopped.wave * (LANES * self.halves) as u32 + lane;
            thread(flat, self.threads(block))
        });
        let module = self.launch.module;
        let offset = module.image_address(address).unwrap_or(address);
        Fault {
            kernel: self.launch.kernel.name.clone(),
            instruction: shared.code.text(address, self.halves),
            offset,
            origin: check::sources(module, &[offset]).pop().flatten(),
            block,
            thread,
            kind: kind.clone(),
        }
    }
}

/// The coordinates of a thread in its block.
pub fn thread(flat: u32, threads: [u32; 3]) -> [u32; 3] {
    let [x, y, _] = threads.map(|count| count.max(1));
    [flat % x, flat / x % y, flat / x / y]
}

/// The kernel's arguments in memory, explicit and hidden.
struct KernargSegment {
    /// Aligned for every argument.
    words: Vec<u128>,
    bytes: usize,
}

impl KernargSegment {
    fn new(launch: &Launch<'_>, blocks: [u32; 3]) -> Self {
        let kernel = launch.kernel;
        let declared = kernel
            .kernarg_segment_size
            .max(u64::from(kernel.descriptor.kernarg_size)) as usize;
        // The compiler widens scalar loads up to the segment's alignment, past the last argument.
        let bytes = declared
            .max(launch.kernarg.len())
            .next_multiple_of(size_of::<u128>());
        let mut data = vec![0u8; bytes];
        data[..launch.kernarg.len()].copy_from_slice(launch.kernarg);
        for arg in &kernel.args {
            let ArgKind::Hidden(kind) = arg.kind else {
                continue;
            };
            let value = hidden(launch, blocks, kind).to_le_bytes();
            let (start, size) = (arg.offset as usize, (arg.size as usize).min(8));
            if let Some(place) = data.get_mut(start..start + size) {
                place.copy_from_slice(&value[..size]);
            }
        }
        let mut words = vec![0u128; bytes.div_ceil(16)];
        for (word, chunk) in words.iter_mut().zip(data.chunks(16)) {
            let mut padded = [0; 16];
            padded[..chunk.len()].copy_from_slice(chunk);
            *word = u128::from_le_bytes(padded);
        }
        Self { words, bytes }
    }

    fn address(&mut self) -> u64 {
        self.words.as_mut_ptr() as u64
    }

    fn size(&self) -> usize {
        self.bytes
    }

    /// A word that is preloaded into a register; zero past the end.
    fn word(plan: &Plan<'_>, address: u64) -> u32 {
        let offset = (address - plan.kernarg) as usize;
        let explicit = plan.launch.kernarg.get(offset..offset + 4);
        explicit
            .and_then(|bytes| bytes.try_into().ok())
            .map_or(0, u32::from_le_bytes)
    }
}

/// The value of a hidden argument.
fn hidden(launch: &Launch<'_>, blocks: [u32; 3], kind: HiddenArg) -> u64 {
    let remainder = |axis: usize| launch.grid[axis] % launch.block[axis].max(1);
    // Partial blocks do not count.
    let full = |axis: usize| {
        if remainder(axis) == 0 {
            blocks[axis]
        } else {
            blocks[axis] - 1
        }
    };
    let services = &launch.services;
    match kind {
        HiddenArg::BlockCountX => full(0).into(),
        HiddenArg::BlockCountY => full(1).into(),
        HiddenArg::BlockCountZ => full(2).into(),
        HiddenArg::GroupSizeX => launch.block[0].into(),
        HiddenArg::GroupSizeY => launch.block[1].into(),
        HiddenArg::GroupSizeZ => launch.block[2].into(),
        HiddenArg::RemainderX => remainder(0).into(),
        HiddenArg::RemainderY => remainder(1).into(),
        HiddenArg::RemainderZ => remainder(2).into(),
        HiddenArg::GridDims => (1..3)
            .rev()
            .find(|&axis| launch.grid[axis] > 1)
            .map_or(1, |axis| axis as u64 + 1),
        HiddenArg::PrintfBuffer => services.printf_buffer,
        HiddenArg::HostcallBuffer => services.hostcall_buffer,
        HiddenArg::DefaultQueue => services.default_queue,
        HiddenArg::CompletionAction => services.completion_action,
        HiddenArg::MultigridSyncArg => services.multigrid_sync,
        HiddenArg::HeapV1 => services.heap,
        HiddenArg::DynamicLdsSize => launch.dynamic_lds.into(),
        HiddenArg::PrivateBase => PRIVATE_APERTURE >> 32,
        HiddenArg::SharedBase => SHARED_APERTURE >> 32,
        HiddenArg::QueuePtr => services.queue,
        _ => 0,
    }
}

/// The reasons why instructions of a code object cannot be executed, each with the number of its occurrences.
///
/// # Errors
/// When there is no disassembler for the architecture.
pub fn unknown_instructions(
    module: &LoadedModule,
    arch: &Arch,
) -> Result<std::collections::BTreeMap<String, usize>, FaultKind> {
    let wave64 = module
        .kernels()
        .iter()
        .any(|kernel| kernel.wavefront_size == 64);
    code_of(module, arch).unknown(if wave64 { 2 } else { 1 })
}
