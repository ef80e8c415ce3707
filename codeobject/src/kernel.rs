//! Kernels: what a launcher needs to know of one, and what a tool tells about it.
//!
//! Plain data. Where it comes from is known to the readers of the metadata note and of the symbol table; names and values
//! are those of the AMDGPU usage guide, "Code Object Metadata".

use crate::KernelDescriptor;

/// A kernel: what its metadata, its descriptor and its symbols say.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Kernel {
    /// Its name, which is the symbol of its code.
    pub name: String,
    /// The symbol of its descriptor: the name with `.kd`.
    pub symbol: String,
    /// When it runs.
    pub kind: KernelKind,
    /// The source language that the metadata names, such as `OpenCL C`; clang writes this for HIP as well.
    pub language: Option<String>,
    /// Its arguments in the order of the metadata, hidden ones last.
    pub args: Vec<Arg>,
    /// The size of the kernarg segment with hidden arguments, in bytes.
    pub kernarg_segment_size: u64,
    /// The alignment of the kernarg segment, in bytes.
    pub kernarg_segment_align: u64,
    /// Statically allocated LDS of a work-group, in bytes.
    pub group_segment_fixed_size: u32,
    /// Scratch of a work-item, in bytes.
    pub private_segment_fixed_size: u32,
    /// The wavefront size, 32 or 64.
    pub wavefront_size: u32,
    /// SGPRs that the code uses.
    pub sgpr_count: u32,
    /// VGPRs that the code uses; where the register file is unified, with the accumulation registers.
    pub vgpr_count: u32,
    /// Accumulation registers that the code uses.
    pub agpr_count: u32,
    /// SGPRs that were spilled.
    pub sgpr_spill_count: u32,
    /// VGPRs that were spilled.
    pub vgpr_spill_count: u32,
    /// The largest number of work-items in a work-group.
    pub max_flat_workgroup_size: u32,
    /// The work-group size that the source requires.
    pub reqd_workgroup_size: Option<[u32; 3]>,
    /// The kernel has to be launched without partial work-groups.
    pub uniform_work_group_size: bool,
    /// The stack size is not known from the code alone.
    pub uses_dynamic_stack: bool,
    /// A work-group spreads over both compute units of a work-group processor.
    pub workgroup_processor_mode: bool,
    /// The descriptor.
    pub descriptor: KernelDescriptor,
    /// The address of the descriptor in the code object's image.
    pub descriptor_address: u64,
    /// The address of the first instruction in the code object's image.
    pub entry_address: u64,
    /// The size of its code in bytes, 0 if the code has no symbol.
    pub code_size: u64,
}

impl Kernel {
    /// The arguments that a caller supplies.
    pub fn explicit_args(&self) -> impl DoubleEndedIterator<Item = &Arg> {
        self.args.iter().filter(|arg| !arg.is_hidden())
    }
}

/// When a kernel runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KernelKind {
    /// When it is launched.
    #[default]
    Normal,
    /// After the code object was loaded: constructors.
    Init,
    /// Before the code object is unloaded: destructors.
    Fini,
}

/// One argument in the kernarg segment.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Arg {
    /// Its name in the source; optimised code objects of HIP have none.
    pub name: Option<String>,
    /// Its type in the source.
    pub type_name: Option<String>,
    /// Where it lies in the kernarg segment, in bytes.
    pub offset: u32,
    /// Its size in bytes.
    pub size: u32,
    /// What it is.
    pub kind: ArgKind,
    /// The address space a pointer points to.
    pub address_space: Option<AddressSpace>,
    /// The alignment of what a dynamic shared pointer points to, in bytes.
    pub pointee_align: Option<u32>,
    /// How the source says it accesses an image, a pipe or memory.
    pub access: Option<Access>,
    /// How the code in fact accesses it.
    pub actual_access: Option<Access>,
    /// The pointer is `const`.
    pub is_const: bool,
    /// The pointer is `restrict`.
    pub is_restrict: bool,
    /// The pointer is `volatile`.
    pub is_volatile: bool,
}

impl Arg {
    /// Whether the runtime supplies it, not the caller.
    pub fn is_hidden(&self) -> bool {
        matches!(self.kind, ArgKind::Hidden(_))
    }
}

/// What an argument is: `.value_kind`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ArgKind {
    /// The value itself, structs included.
    ByValue,
    /// A pointer to global memory.
    GlobalBuffer,
    /// A pointer to LDS that is allocated at launch.
    DynamicSharedPointer,
    /// A sampler.
    Sampler,
    /// An image.
    Image,
    /// A pipe.
    Pipe,
    /// A device queue.
    Queue,
    /// An argument that the runtime supplies.
    Hidden(HiddenArg),
    /// A kind of a compiler newer than this crate.
    Unknown(String),
}

/// An argument that the runtime supplies. In code object version 5 and later hidden arguments have fixed offsets from
/// the first one, and only the used ones are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HiddenArg {
    /// Padding.
    None,
    /// Work-groups in x; a partial one at the end does not count (u32).
    BlockCountX,
    /// Work-groups in y (u32).
    BlockCountY,
    /// Work-groups in z (u32).
    BlockCountZ,
    /// Work-items of a full work-group in x (u16).
    GroupSizeX,
    /// Work-items of a full work-group in y (u16).
    GroupSizeY,
    /// Work-items of a full work-group in z (u16).
    GroupSizeZ,
    /// Work-items of the partial work-group in x, 0 if there is none (u16).
    RemainderX,
    /// Work-items of the partial work-group in y (u16).
    RemainderY,
    /// Work-items of the partial work-group in z (u16).
    RemainderZ,
    /// A number that tools give to the launch (u64).
    ToolCorrelationId,
    /// Global offset in x (u64).
    GlobalOffsetX,
    /// Global offset in y (u64).
    GlobalOffsetY,
    /// Global offset in z (u64).
    GlobalOffsetZ,
    /// Dimensions of the grid, 1 to 3 (u16).
    GridDims,
    /// The buffer of the runtime's printf (pointer).
    PrintfBuffer,
    /// The buffer through which a kernel calls the host (pointer).
    HostcallBuffer,
    /// The default queue of device-side enqueue (pointer).
    DefaultQueue,
    /// The completion action of device-side enqueue (pointer).
    CompletionAction,
    /// The barrier of grids on several devices (pointer).
    MultigridSyncArg,
    /// The heap of device-side malloc (pointer).
    HeapV1,
    /// LDS that is allocated at launch, in bytes (u32).
    DynamicLdsSize,
    /// High 32 bits of the private aperture (u32), where the hardware does not say.
    PrivateBase,
    /// High 32 bits of the LDS aperture (u32), where the hardware does not say.
    SharedBase,
    /// The HSA queue (pointer).
    QueuePtr,
}

/// An LLVM address space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AddressSpace {
    /// Scratch of a work-item.
    Private,
    /// Device memory.
    Global,
    /// Device memory that does not change while the kernel runs.
    Constant,
    /// LDS.
    Local,
    /// Any of global, local and private.
    Generic,
    /// Global data share.
    Region,
}

/// How memory is accessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Read only.
    ReadOnly,
    /// Written only.
    WriteOnly,
    /// Read and written.
    ReadWrite,
}
