//! What can go wrong, as types.

use std::path::PathBuf;

use codeobject::TargetId;

use super::{Device, DevicePtr};
use crate::gguf::GgufError;
use crate::result::HipError;
use crate::sys::LoadError;

/// Any error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The library could not be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A function of the library answered with an error.
    #[error(transparent)]
    Hip(#[from] HipError),
    /// There is no device with this ordinal.
    #[error("there is no device {ordinal}: {} offers {}", .library.display(), devices(*.count))]
    NoSuchDevice {
        /// The ordinal that was asked for.
        ordinal: usize,
        /// How many devices there are.
        count: usize,
        /// The library that was asked.
        library: PathBuf,
    },
    /// A device's name for its architecture cannot be read.
    #[error("device {ordinal} calls its architecture `{name}`: {source}")]
    Architecture {
        /// The ordinal of the device.
        ordinal: usize,
        /// The name.
        name: String,
        /// What is wrong with it.
        source: codeobject::Error,
    },
    /// Something of one device was used on another that cannot reach it.
    #[error(
        "{what} of device {of} cannot be used on device {on}; `Device::enable_peer_access` or `Stream::memcpy_peer` may help"
    )]
    DeviceMismatch {
        /// What was used.
        what: &'static str,
        /// The ordinal of its device.
        of: usize,
        /// The ordinal of the device it was used on.
        on: usize,
    },
    /// A wrong use of memory.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// A code object could not be loaded, or lacks something.
    #[error(transparent)]
    Module(#[from] ModuleError),
    /// A launch that does not fit its kernel or its device.
    #[error("kernel `{kernel}`: {problem}")]
    Launch {
        /// The kernel.
        kernel: String,
        /// What does not fit.
        problem: LaunchError,
    },
    /// A quantized operation that cannot be done.
    #[error(transparent)]
    Gguf(#[from] GgufError),
}

impl Error {
    pub(crate) fn mismatch(what: &'static str, of: &Device, on: &Device) -> Self {
        Self::DeviceMismatch {
            what,
            of: of.ordinal(),
            on: on.ordinal(),
        }
    }
}

fn devices(count: usize) -> String {
    match count {
        0 => "no device".to_owned(),
        1 => "one device".to_owned(),
        _ => format!("devices 0 to {}", count - 1),
    }
}

/// A wrong use of memory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MemoryError {
    /// More memory than addresses can name.
    #[error("{len} elements of {size} bytes are more than an address can name")]
    TooLarge {
        /// Number of elements.
        len: usize,
        /// Bytes of an element.
        size: usize,
    },
    /// A part that is not inside its buffer.
    #[error("elements {first}..{end} of a buffer of {len}")]
    OutOfRange {
        /// The first element of the part.
        first: usize,
        /// The element after its last.
        end: usize,
        /// How many elements there are.
        len: usize,
    },
    /// A copy between buffers of different lengths.
    #[error("a copy of {from} elements to {to}")]
    Length {
        /// Elements of the source.
        from: usize,
        /// Elements of the destination.
        to: usize,
    },
    /// Bytes that cannot be elements of a type.
    #[error(
        "{bytes} bytes at {ptr:?} cannot be elements of {size} bytes that are aligned to {align}"
    )]
    Cast {
        /// How many bytes.
        bytes: usize,
        /// Where.
        ptr: DevicePtr,
        /// Bytes of an element.
        size: usize,
        /// Alignment of an element.
        align: usize,
    },
    /// Memory was asked for on a stream that records its work: a replay would use memory that is somebody else's by then.
    #[error(
        "{bytes} bytes were asked for on a stream that is being captured; make buffers before the capture"
    )]
    AllocationDuringCapture {
        /// How many bytes.
        bytes: usize,
    },
}

/// Why there is no module, or no kernel.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModuleError {
    /// The file could not be read.
    #[error("{}: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The bytes are no bundle and no code object, or a broken one, or none of its code objects is for the device.
    #[error("{image}: {source}")]
    Image {
        /// The file, or what the caller calls the bytes.
        image: String,
        /// What is wrong with it.
        source: codeobject::Error,
    },
    /// A code object that is not in a bundle is for another architecture.
    #[error("{image} is for {found}, the device is {device}")]
    WrongTarget {
        /// The file, or what the caller calls the bytes.
        image: String,
        /// What the code object is for.
        found: TargetId,
        /// What the device is.
        device: TargetId,
    },
    /// There is no kernel of this name.
    #[error("{image} has no kernel `{name}`{}", did_you_mean(.nearest))]
    UnknownKernel {
        /// The file, or what the caller calls the bytes.
        image: String,
        /// The name.
        name: String,
        /// Names that are like it, the most similar first; at most three.
        nearest: Vec<String>,
    },
    /// A name has a NUL in it, which no symbol has.
    #[error("`{}` is no symbol: it has a NUL in it", .name.escape_debug())]
    Name {
        /// The name.
        name: String,
    },
}

fn did_you_mean(names: &[String]) -> String {
    match names {
        [] => String::new(),
        names => format!(
            "; did you mean {}?",
            names
                .iter()
                .map(|name| format!("`{name}`"))
                .collect::<Vec<_>>()
                .join(" or ")
        ),
    }
}

/// What does not fit about a launch. Nothing has been launched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LaunchError {
    /// The number of arguments.
    #[error("it takes {expected} arguments, {given} were given")]
    ArgCount {
        /// How many the kernel takes.
        expected: usize,
        /// How many there were.
        given: usize,
    },
    /// One argument.
    #[error("argument {index}{}: {problem}", .name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default())]
    Arg {
        /// Its position, from 0.
        index: usize,
        /// Its name, where the code object has one.
        name: Option<String>,
        /// What does not fit.
        problem: ArgProblem,
    },
    /// The block is larger than the kernel was compiled for.
    #[error("a block of {}x{}x{} is {} work-items, it was compiled for {limit} at most", .block[0], .block[1], .block[2], volume(.block))]
    BlockTooLarge {
        /// The block.
        block: [u32; 3],
        /// The kernel's bound.
        limit: u32,
    },
    /// The kernel was compiled for one block size.
    #[error("it was compiled for blocks of {}x{}x{}, not {}x{}x{}", .required[0], .required[1], .required[2], .block[0], .block[1], .block[2])]
    BlockNotRequired {
        /// The block.
        block: [u32; 3],
        /// The block that it was compiled for.
        required: [u32; 3],
    },
    /// The block is larger than the device takes.
    #[error("a block of {}x{}x{}; the device takes {limit} work-items at most, in each dimension {}x{}x{}", .block[0], .block[1], .block[2], .dims[0], .dims[1], .dims[2])]
    BlockNotPossible {
        /// The block.
        block: [u32; 3],
        /// Work-items of a block.
        limit: u32,
        /// Work-items of a block in each dimension.
        dims: [u32; 3],
    },
    /// A grid or block without work, or with more work-items in a dimension than the hardware can count.
    #[error("a grid of {}x{}x{} blocks of {}x{}x{}: every number must be at least 1, and their product in each dimension below 2^32", .grid[0], .grid[1], .grid[2], .block[0], .block[1], .block[2])]
    Grid {
        /// The grid.
        grid: [u32; 3],
        /// The block.
        block: [u32; 3],
    },
    /// The grid has more blocks than the device takes.
    #[error("a grid of {}x{}x{} blocks, the device takes {}x{}x{}", .grid[0], .grid[1], .grid[2], .dims[0], .dims[1], .dims[2])]
    GridTooLarge {
        /// The grid.
        grid: [u32; 3],
        /// Blocks of a grid in each dimension.
        dims: [u32; 3],
    },
    /// More LDS than a block can have.
    #[error(
        "{dynamic} bytes of dynamic LDS and {fixed} of its own, a block of the device can have {limit}"
    )]
    SharedMemory {
        /// Bytes that the launch asks for.
        dynamic: u32,
        /// Bytes that the kernel declares.
        fixed: u32,
        /// Bytes that a block can have.
        limit: u32,
    },
}

fn volume(block: &[u32; 3]) -> u64 {
    block
        .iter()
        .fold(1, |volume: u64, &size| volume.saturating_mul(size.into()))
}

/// What does not fit about an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArgProblem {
    /// A value of another size.
    #[error("a value of {expected} bytes is expected, {given} bytes were given")]
    Size {
        /// What the kernel takes.
        expected: usize,
        /// What was given.
        given: usize,
    },
    /// A value where the kernel takes a pointer.
    #[error("a pointer to device memory is expected, a value was given")]
    PointerExpected,
    /// A pointer where the kernel takes a value.
    #[error("a value of {expected} bytes is expected, a pointer was given")]
    ValueExpected {
        /// Bytes of the value.
        expected: usize,
    },
    /// A kind of argument that only OpenCL has, or that a newer compiler invented.
    #[error("arguments of this kind cannot be given")]
    NotPossible,
    /// Memory of a device that the stream's device cannot reach.
    #[error("memory of device {of} cannot be used on device {on}")]
    DeviceMismatch {
        /// The memory's device.
        of: usize,
        /// The stream's device.
        on: usize,
    },
}
