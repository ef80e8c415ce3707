//! Kernels as clients know them, and what is known about them.

use std::ffi::{c_char, c_int, c_void};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use codeobject::Kernel;

use super::call::hip_api;
use super::device::{Device, check_bank_config, check_cache_config};
use super::ffi::{FunctionHandle, Out, StreamHandle};
use super::runtime::{self, device, get};
use super::status::{Code, Outcome};
use super::types::hipFuncAttributes;
use crate::module::LoadedModule;

/// A kernel of a module that is loaded on a device.
pub struct Function {
    /// The module.
    pub module: Arc<LoadedModule>,
    /// The index of the kernel in the module.
    pub index: usize,
    /// `hipFuncAttributeMaxDynamicSharedMemorySize`, if the client set it.
    max_dynamic_lds: AtomicI32,
    /// `hipFuncAttributePreferredSharedMemoryCarveout`, -1 for no preference.
    carveout: AtomicI32,
}

impl Function {
    /// The kernel with this index.
    pub fn new(module: Arc<LoadedModule>, index: usize) -> Self {
        Self {
            module,
            index,
            max_dynamic_lds: AtomicI32::new(-1),
            carveout: AtomicI32::new(-1),
        }
    }

    /// What its metadata says.
    pub fn kernel(&self) -> &Kernel {
        &self.module.kernels()[self.index]
    }

    /// The device that it is loaded on.
    pub fn device(&self) -> &'static Device {
        // Modules are loaded on devices, which never go away.
        &get().devices[self.module.device() as usize]
    }

    /// The dynamic LDS that a launch may ask for, in bytes.
    pub fn max_dynamic_lds(&self) -> u32 {
        self.device()
            .properties
            .lds
            .saturating_sub(self.kernel().group_segment_fixed_size)
    }

    /// The largest block that it can be launched with.
    pub fn max_block(&self) -> u32 {
        self.kernel().max_flat_workgroup_size
    }

    fn attributes(&self) -> hipFuncAttributes {
        let kernel = self.kernel();
        let p = &self.device().properties;
        let (major, minor) = p.compute_capability();
        let version = major * 10 + minor;
        let mut attributes = hipFuncAttributes::zeroed();
        attributes.binaryVersion = version;
        attributes.ptxVersion = version;
        attributes.localSizeBytes = kernel.private_segment_fixed_size as usize;
        attributes.maxDynamicSharedSizeBytes = self.dynamic_lds_attribute();
        attributes.maxThreadsPerBlock = kernel.max_flat_workgroup_size as c_int;
        attributes.numRegs = kernel.vgpr_count as c_int;
        attributes.preferredShmemCarveout = self.carveout.load(Ordering::Relaxed);
        attributes.sharedSizeBytes = kernel.group_segment_fixed_size as usize;
        attributes
    }

    fn dynamic_lds_attribute(&self) -> c_int {
        match self.max_dynamic_lds.load(Ordering::Relaxed) {
            -1 => self.max_dynamic_lds() as c_int,
            set => set,
        }
    }

    fn set_attribute(&self, attribute: c_int, value: c_int) -> Outcome {
        match attribute {
            // `hipFuncAttributeMaxDynamicSharedMemorySize`
            8 if (0..=self.max_dynamic_lds() as c_int).contains(&value) => {
                self.max_dynamic_lds.store(value, Ordering::Relaxed);
                Ok(())
            }
            // `hipFuncAttributePreferredSharedMemoryCarveout`, in percent.
            9 if (-1..=100).contains(&value) => {
                self.carveout.store(value, Ordering::Relaxed);
                Ok(())
            }
            _ => Err(Code::InvalidValue.because(format!("attribute {attribute} = {value}"))),
        }
    }
}

/// The function that a client means: a handle of a module's, or the host stub of one that is linked in.
///
/// # Errors
/// `hipErrorInvalidDeviceFunction` for null and for what is neither; others if the binary cannot be loaded.
pub fn resolve(pointer: *const c_void) -> Outcome<Arc<Function>> {
    if pointer.is_null() {
        return Err(Code::InvalidDeviceFunction.because("the function is null"));
    }
    if let Ok(function) = get().functions.get(FunctionHandle::new(pointer as usize)) {
        return Ok(function);
    }
    get()
        .registered
        .function(pointer as usize, runtime::current()?)
}

hip_api! {
    fn hipFuncGetAttributes(attr: Out<hipFuncAttributes>, func: *const c_void) {
        attr.check()?;
        attr.set(resolve(func)?.attributes())
    }

    fn hipFuncGetAttribute(value: Out<c_int>, attrib: c_int, hfunc: FunctionHandle) {
        value.check()?;
        if hfunc.is_null() {
            return Err(Code::InvalidHandle.because("the function is null"));
        }
        let a = get().functions.get(hfunc)?.attributes();
        value.set(match attrib {
            0 => a.maxThreadsPerBlock,
            1 => a.sharedSizeBytes as c_int,
            2 => a.constSizeBytes as c_int,
            3 => a.localSizeBytes as c_int,
            4 => a.numRegs,
            5 => a.ptxVersion,
            6 => a.binaryVersion,
            7 => a.cacheModeCA,
            8 => a.maxDynamicSharedSizeBytes,
            9 => a.preferredShmemCarveout,
            _ => return Err(Code::InvalidValue.because(format!("attribute {attrib}"))),
        })
    }

    fn hipFuncSetAttribute(func: *const c_void, attr: c_int, value: c_int) {
        resolve(func)?.set_attribute(attr, value)
    }

    fn hipFuncSetCacheConfig(func: *const c_void, config: c_int) {
        resolve(func)?;
        check_cache_config(config)
    }

    fn hipFuncSetSharedMemConfig(func: *const c_void, config: c_int) {
        resolve(func)?;
        check_bank_config(config)
    }

    fn hipGetFuncBySymbol(functionPtr: Out<FunctionHandle>, symbolPtr: *const c_void) {
        functionPtr.check()?;
        let function = get().registered.function(symbolPtr as usize, runtime::usable()?)?;
        functionPtr.set(get().functions.insert(function))
    }

    fn hipKernelNameRef(f: FunctionHandle) -> *const c_char, otherwise std::ptr::null(), {
        let function = get().functions.get(f)?;
        Ok(lasting_name(&function.kernel().name))
    }

    fn hipKernelNameRefByPtr(hostFunction: *const c_void, stream: StreamHandle) -> *const c_char, otherwise std::ptr::null(), {
        let _ = stream;
        let name = get().registered.kernel_name(hostFunction as usize);
        let name = name.ok_or_else(|| Code::InvalidDeviceFunction.because("no kernel has this address"))?;
        Ok(lasting_name(&name))
    }

    fn hipOccupancyMaxActiveBlocksPerMultiprocessor(
        numBlocks: Out<c_int>,
        f: *const c_void,
        blockSize: c_int,
        dynSharedMemPerBlk: usize,
    ) {
        active_blocks(numBlocks, f, blockSize, dynSharedMemPerBlk)
    }

    fn hipOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
        numBlocks: Out<c_int>,
        f: *const c_void,
        blockSize: c_int,
        dynSharedMemPerBlk: usize,
        flags: u32,
    ) {
        check_occupancy_flags(flags)?;
        active_blocks(numBlocks, f, blockSize, dynSharedMemPerBlk)
    }

    fn hipModuleOccupancyMaxActiveBlocksPerMultiprocessor(
        numBlocks: Out<c_int>,
        f: FunctionHandle,
        blockSize: c_int,
        dynSharedMemPerBlk: usize,
    ) {
        active_blocks(numBlocks, f.0 as *const c_void, blockSize, dynSharedMemPerBlk)
    }

    fn hipModuleOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
        numBlocks: Out<c_int>,
        f: FunctionHandle,
        blockSize: c_int,
        dynSharedMemPerBlk: usize,
        flags: u32,
    ) {
        check_occupancy_flags(flags)?;
        active_blocks(numBlocks, f.0 as *const c_void, blockSize, dynSharedMemPerBlk)
    }

    fn hipOccupancyMaxPotentialBlockSize(
        gridSize: Out<c_int>,
        blockSize: Out<c_int>,
        f: *const c_void,
        dynSharedMemPerBlk: usize,
        blockSizeLimit: c_int,
    ) {
        best_block(gridSize, blockSize, f, dynSharedMemPerBlk, blockSizeLimit)
    }

    fn hipModuleOccupancyMaxPotentialBlockSize(
        gridSize: Out<c_int>,
        blockSize: Out<c_int>,
        f: FunctionHandle,
        dynSharedMemPerBlk: usize,
        blockSizeLimit: c_int,
    ) {
        best_block(gridSize, blockSize, f.0 as *const c_void, dynSharedMemPerBlk, blockSizeLimit)
    }

    fn hipModuleOccupancyMaxPotentialBlockSizeWithFlags(
        gridSize: Out<c_int>,
        blockSize: Out<c_int>,
        f: FunctionHandle,
        dynSharedMemPerBlk: usize,
        blockSizeLimit: c_int,
        flags: u32,
    ) {
        check_occupancy_flags(flags)?;
        best_block(gridSize, blockSize, f.0 as *const c_void, dynSharedMemPerBlk, blockSizeLimit)
    }

    fn hipOccupancyAvailableDynamicSMemPerBlock(
        dynamicSmemSize: Out<usize>,
        f: *const c_void,
        numBlocks: c_int,
        blockSize: c_int,
    ) {
        dynamicSmemSize.check()?;
        let function = resolve(f)?;
        let blocks = u32::try_from(numBlocks).ok().filter(|blocks| *blocks > 0);
        let block = u32::try_from(blockSize).ok().filter(|block| (1..=function.max_block()).contains(block));
        let (Some(blocks), Some(_)) = (blocks, block) else {
            return Err(Code::InvalidValue.because(format!("{numBlocks} blocks of {blockSize} threads")));
        };
        let share = function.device().properties.lds / blocks;
        dynamicSmemSize.set(share.saturating_sub(function.kernel().group_segment_fixed_size) as usize)
    }
}

/// `hipOccupancyDefault` and `hipOccupancyDisableCachingOverride`.
fn check_occupancy_flags(flags: u32) -> Outcome {
    if flags > 1 {
        return Err(Code::InvalidValue.because(format!("flags {flags:#x}")));
    }
    Ok(())
}

fn active_blocks(
    blocks: Out<c_int>,
    function: *const c_void,
    block: c_int,
    dynamic_lds: usize,
) -> Outcome {
    blocks.check()?;
    let function = resolve(function)?;
    let block = u32::try_from(block).ok().filter(|block| *block > 0);
    let block = block.ok_or_else(|| Code::InvalidValue.because("the block is empty"))?;
    blocks.set(blocks_per_multiprocessor(&function, block, dynamic_lds) as c_int)
}

/// How many blocks of a kernel a multiprocessor can hold, limited by its wave slots, its registers and its LDS.
fn blocks_per_multiprocessor(function: &Function, block: u32, dynamic_lds: usize) -> u32 {
    let kernel = function.kernel();
    let properties = &function.device().properties;
    if block > function.max_block() {
        return 0;
    }
    let wave = kernel.wavefront_size.max(1);
    let waves_per_block = block.div_ceil(wave);
    let slots = properties.max_threads_per_multiprocessor() as u32 / properties.wavefront_size;
    let allocated = properties
        .target
        .family()
        .map(|family| kernel.descriptor.allocated_vgprs(family));
    let registers_per_wave = allocated.unwrap_or(kernel.vgpr_count).max(1) * wave;
    let by_registers = properties.registers() as u32 / registers_per_wave;
    let lds = kernel.group_segment_fixed_size as usize + dynamic_lds;
    let by_lds = (properties.lds as usize)
        .checked_div(lds)
        .unwrap_or(usize::MAX);
    (slots.min(by_registers) / waves_per_block).min(u32::try_from(by_lds).unwrap_or(u32::MAX))
}

/// How many blocks of a kernel its device can hold.
pub fn resident_blocks(function: &Function, block: u32, dynamic_lds: usize) -> u64 {
    let multiprocessors = u64::from(function.device().properties.card.multiprocessors);
    u64::from(blocks_per_multiprocessor(function, block, dynamic_lds)) * multiprocessors
}

fn best_block(
    grid: Out<c_int>,
    block: Out<c_int>,
    function: *const c_void,
    dynamic_lds: usize,
    limit: c_int,
) -> Outcome {
    grid.check()?;
    block.check()?;
    let function = resolve(function)?;
    let limit =
        u32::try_from(limit).map_err(|_| Code::InvalidValue.because(format!("limit {limit}")))?;
    let most = if limit == 0 {
        function.max_block()
    } else {
        limit.min(function.max_block())
    };
    let wave = function.kernel().wavefront_size;
    // The most threads on a multiprocessor; of equals the largest block, as CUDA's documentation recommends.
    let candidates = (1..=most.div_ceil(wave)).map(|waves| (waves * wave).min(most));
    let best = candidates
        .map(|size| {
            (
                size * blocks_per_multiprocessor(&function, size, dynamic_lds),
                size,
            )
        })
        .max();
    let (threads, size) = best.unwrap_or((0, 0));
    let device = device(function.module.device() as c_int)?;
    let blocks = threads.checked_div(size).unwrap_or(0) * device.properties.card.multiprocessors;
    block.set(size as c_int)?;
    grid.set(blocks as c_int)
}

/// A C string of a name that lasts as long as the process: clients keep the pointer.
fn lasting_name(name: &str) -> *const c_char {
    use std::collections::BTreeMap;
    use std::ffi::CString;
    use std::sync::{Mutex, PoisonError};
    static NAMES: Mutex<BTreeMap<String, CString>> = Mutex::new(BTreeMap::new());
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    let kept = names.entry(name.to_owned());
    // Kernel names come from C strings, so there is no zero inside.
    kept.or_insert_with(|| CString::new(name).unwrap_or_default())
        .as_ptr()
}
