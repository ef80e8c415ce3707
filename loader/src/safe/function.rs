//! Kernels and what their code object says about them.

use std::fmt;
use std::sync::Arc;

use codeobject::{Arg, ArgKind, Kernel};

use super::module::ModuleInner;
use super::{Device, Error};
use crate::result;
use crate::sys::{self, hipFunction_attribute, hipFunction_t};

/// A kernel of a loaded module. Cloning makes another handle to the same kernel.
#[derive(Clone)]
pub struct Function {
    module: Arc<ModuleInner>,
    index: usize,
    raw: hipFunction_t,
}

// SAFETY: the handle is the name of an object inside the library, whose functions may be called from any thread.
unsafe impl Send for Function {}
// SAFETY: as above.
unsafe impl Sync for Function {}

/// How an explicit argument is passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArgSlot {
    /// Where it lies in the kernarg segment, in bytes.
    pub offset: u32,
    /// Its size in bytes.
    pub size: u32,
    /// What is passed.
    pub kind: SlotKind,
}

/// What is passed in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotKind {
    /// The value itself.
    Value,
    /// A pointer to device memory.
    Pointer,
    /// Something that HIP has no argument for.
    Other,
}

/// What a launch needs of a kernel's metadata, in the form in which it is checked.
#[derive(Debug)]
pub(crate) struct LaunchFacts {
    pub(crate) slots: Box<[ArgSlot]>,
    /// Bytes from the start of the kernarg segment to the end of the last explicit argument.
    pub(crate) explicit_bytes: usize,
    pub(crate) max_block: u32,
    pub(crate) required_block: Option<[u32; 3]>,
    pub(crate) fixed_shared: u32,
}

impl LaunchFacts {
    pub(crate) fn of(kernel: &Kernel) -> Self {
        let slot = |arg: &Arg| ArgSlot {
            offset: arg.offset,
            size: arg.size,
            kind: match arg.kind {
                ArgKind::ByValue => SlotKind::Value,
                ArgKind::GlobalBuffer => SlotKind::Pointer,
                _ => SlotKind::Other,
            },
        };
        let slots: Box<[_]> = kernel.explicit_args().map(slot).collect();
        let end = |slot: &ArgSlot| slot.offset as usize + slot.size as usize;
        Self {
            explicit_bytes: slots.iter().map(end).max().unwrap_or(0),
            slots,
            max_block: kernel.max_flat_workgroup_size,
            required_block: kernel.reqd_workgroup_size,
            fixed_shared: kernel.group_segment_fixed_size,
        }
    }
}

/// How a kernel fills a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occupancy {
    /// The fewest blocks that fill the device.
    pub grid: u32,
    /// Work-items of a block.
    pub block: u32,
}

impl Function {
    pub(super) fn new(module: Arc<ModuleInner>, index: usize, raw: hipFunction_t) -> Self {
        Self { module, index, raw }
    }

    /// The kernel's name.
    pub fn name(&self) -> &str {
        &self.metadata().name
    }

    /// What the code object says about the kernel: arguments, registers, LDS, scratch, bounds.
    pub fn metadata(&self) -> &Kernel {
        &self.module.kernel(self.index).metadata
    }

    /// How the explicit arguments are passed, in their order.
    pub fn args(&self) -> &[ArgSlot] {
        &self.facts().slots
    }

    #[inline]
    pub(crate) fn facts(&self) -> &LaunchFacts {
        &self.module.kernel(self.index).facts
    }

    /// The device that the module was loaded on.
    #[inline]
    pub fn device(&self) -> &Device {
        self.module.device()
    }

    /// The handle, for calls that this crate does not wrap.
    #[inline]
    pub fn raw(&self) -> hipFunction_t {
        self.raw
    }

    /// A figure of the kernel as the runtime has it.
    ///
    /// # Errors
    /// What the library answers.
    pub fn attribute(&self, attribute: hipFunction_attribute) -> Result<i32, Error> {
        // SAFETY: the handle is alive.
        Ok(unsafe { result::module::get_attribute(self.device().api(), self.raw, attribute) }?)
    }

    /// How many blocks of `block` work-items a multiprocessor holds at once.
    ///
    /// # Errors
    /// What the library answers.
    pub fn max_active_blocks(&self, block: u32, shared_bytes: usize) -> Result<u32, Error> {
        let _current = self.device().enter()?;
        let block = i32::try_from(block).unwrap_or(i32::MAX);
        // SAFETY: the handle is alive.
        let blocks = unsafe {
            result::module::occupancy_max_active_blocks(
                self.device().api(),
                self.raw,
                block,
                shared_bytes,
            )
        }?;
        Ok(u32::try_from(blocks).unwrap_or(0))
    }

    /// The block size with which the kernel fills the device best, `block_limit` at most, and the grid for it.
    ///
    /// # Errors
    /// What the library answers.
    pub fn occupancy(
        &self,
        shared_bytes: usize,
        block_limit: Option<u32>,
    ) -> Result<Occupancy, Error> {
        let _current = self.device().enter()?;
        // 0 is no limit.
        let limit = i32::try_from(block_limit.unwrap_or(0)).unwrap_or(i32::MAX);
        // SAFETY: the handle is alive.
        let (grid, block) = unsafe {
            result::module::occupancy_max_potential_block_size(
                self.device().api(),
                self.raw,
                shared_bytes,
                limit,
            )
        }?;
        let positive = |number| u32::try_from(number).unwrap_or(0);
        Ok(Occupancy {
            grid: positive(grid),
            block: positive(block),
        })
    }

    /// VGPRs of a work-item as the runtime counts them.
    ///
    /// # Errors
    /// What the library answers.
    pub fn register_count(&self) -> Result<i32, Error> {
        self.attribute(sys::HIP_FUNC_ATTRIBUTE_NUM_REGS)
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Function")
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}
