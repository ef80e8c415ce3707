//! Launches: the parameters put together, checked, and given to the interpreter.

use std::ffi::c_void;
use std::sync::Arc;

use codeobject::Arg;

use super::device::Device;
use super::ffi::List;
use super::function::Function;
use super::properties::MAX_BLOCK;
use super::status::{Code, Outcome};

/// A kernel with everything that its launch needs.
#[derive(Clone)]
pub struct KernelLaunch {
    /// The kernel.
    pub function: Arc<Function>,
    /// What the client called the kernel: a handle or the address of a host stub.
    pub name: usize,
    /// The grid in work-items. The last block of a dimension is partial if the block's size does not divide it.
    pub grid: [u32; 3],
    /// The block in work-items.
    pub block: [u32; 3],
    /// Dynamic LDS in bytes.
    pub dynamic_lds: u32,
    /// The part of the kernarg segment that the client supplies.
    pub kernarg: Vec<u8>,
    /// Whether all blocks have to be resident at a time.
    pub cooperative: bool,
}

/// The arguments as the client passes them: one of the two, or neither for a kernel without parameters.
#[derive(Debug, Clone, Copy)]
pub struct Arguments {
    /// A pointer to each argument.
    pub params: *mut *mut c_void,
    /// A list that ends in `HIP_LAUNCH_PARAM_END` and has a buffer with all arguments laid out.
    pub extra: *mut *mut c_void,
}

/// `HIP_LAUNCH_PARAM_BUFFER_POINTER`: a pointer to the buffer follows in the `extra` list.
pub const BUFFER_POINTER: usize = 1;
/// `HIP_LAUNCH_PARAM_BUFFER_SIZE`: a pointer to the buffer's size follows.
pub const BUFFER_SIZE: usize = 2;
/// `HIP_LAUNCH_PARAM_END`.
pub const END: usize = 3;

impl KernelLaunch {
    /// Checks a launch whose grid is in work-items.
    ///
    /// # Errors
    /// `hipErrorInvalidConfiguration` for an empty or too large grid or block, `hipErrorLaunchFailure` for a block that the
    /// kernel was not compiled for, `hipErrorInvalidValue` for too much LDS or missing arguments.
    pub fn new(
        function: Arc<Function>,
        client_name: usize,
        grid: [u64; 3],
        block: [u32; 3],
        dynamic_lds: usize,
        arguments: Arguments,
    ) -> Outcome<Self> {
        let kernel = function.kernel();
        let name = &kernel.name;
        if grid.contains(&0) || block.contains(&0) {
            return Err(Code::InvalidConfiguration
                .because(format!("{name}: grid {grid:?}, block {block:?}")));
        }
        let threads = block.iter().map(|n| u64::from(*n)).product::<u64>();
        if threads > u64::from(MAX_BLOCK) || block.iter().any(|n| *n > MAX_BLOCK) {
            return Err(Code::InvalidConfiguration.because(format!(
                "{name}: a block of {threads} threads, the device allows {MAX_BLOCK}"
            )));
        }
        let mut items = [0; 3];
        for (place, size) in items.iter_mut().zip(grid) {
            // The hardware counts work-items in 32 bits.
            *place = u32::try_from(size).map_err(|_| {
                Code::InvalidConfiguration.because(format!("{name}: a grid of {grid:?} work-items"))
            })?;
        }
        if threads > u64::from(function.max_block()) {
            return Err(Code::LaunchFailure.because(format!(
                "{name}: a block of {threads} threads, it was compiled for {}",
                function.max_block()
            )));
        }
        if let Some(required) = kernel
            .reqd_workgroup_size
            .filter(|required| *required != block)
        {
            return Err(Code::LaunchFailure.because(format!(
                "{name}: the block is {block:?}, it needs {required:?}"
            )));
        }
        let most = function.max_dynamic_lds();
        let dynamic_lds = u32::try_from(dynamic_lds).ok().filter(|lds| *lds <= most);
        let dynamic_lds = dynamic_lds.ok_or_else(|| {
            Code::InvalidValue.because(format!(
                "{name}: there are {most} bytes of LDS for dynamic use"
            ))
        })?;
        let kernarg = kernarg(&function, arguments)?;
        Ok(Self {
            function,
            name: client_name,
            grid: items,
            block,
            dynamic_lds,
            kernarg,
            cooperative: false,
        })
    }

    /// Executes it.
    ///
    /// # Errors
    /// That of the fault, which the device keeps.
    pub fn execute(&self, device: &Device) -> Outcome {
        super::execute::launch(self, device)
    }
}

/// The last byte behind the arguments that the client supplies.
fn explicit_size<'k>(args: impl Iterator<Item = &'k Arg>) -> usize {
    args.map(|arg| arg.offset as usize + arg.size as usize)
        .max()
        .unwrap_or(0)
}

/// Lays the arguments out as the kernel expects them.
fn kernarg(function: &Function, arguments: Arguments) -> Outcome<Vec<u8>> {
    let kernel = function.kernel();
    let name = &kernel.name;
    let size = explicit_size(kernel.explicit_args());
    let Arguments { params, extra } = arguments;
    if !params.is_null() && !extra.is_null() {
        return Err(
            Code::InvalidValue.because(format!("{name}: arguments are given in both forms"))
        );
    }
    if size == 0 {
        return Ok(Vec::new());
    }
    if !extra.is_null() {
        return from_buffer(name, size, extra);
    }
    let count = kernel.explicit_args().count();
    let pointers = List::at(params.cast_const()).get(count);
    let pointers = pointers
        .map_err(|_| Code::InvalidValue.because(format!("{name}: there are no arguments")))?;
    let mut bytes = vec![0; size];
    for (index, (arg, pointer)) in kernel.explicit_args().zip(pointers).enumerate() {
        let place = &mut bytes[arg.offset as usize..][..arg.size as usize];
        if pointer.is_null() {
            return Err(Code::InvalidValue.because(format!("{name}: argument {index} is null")));
        }
        // SAFETY: each pointer points to an argument of the kernel's own size (the contract of a launch).
        unsafe {
            std::ptr::copy_nonoverlapping(pointer.cast::<u8>(), place.as_mut_ptr(), place.len())
        };
    }
    Ok(bytes)
}

/// The arguments from the buffer of an `extra` list.
fn from_buffer(name: &str, size: usize, extra: *mut *mut c_void) -> Outcome<Vec<u8>> {
    let broken =
        |what: &str| Code::InvalidValue.because(format!("{name}: in the extra parameters, {what}"));
    let (mut buffer, mut len) = (std::ptr::null::<u8>(), None);
    // The marks come in pairs with their values; there are only two kinds.
    for pair in 0..3 {
        // SAFETY: the list goes on until its end mark (the contract of a launch).
        let mark = unsafe { *extra.add(pair * 2) } as usize;
        if mark == END {
            break;
        }
        // SAFETY: as above: a mark that is not the end has a value behind it.
        let value = unsafe { *extra.add(pair * 2 + 1) };
        match mark {
            BUFFER_POINTER => buffer = value.cast_const().cast(),
            BUFFER_SIZE => len = Some(super::ffi::Out::<usize>::at(value.cast()).get()?),
            _ => return Err(broken(&format!("{mark:#x} is no mark"))),
        }
    }
    let len = len.ok_or_else(|| broken("the buffer's size is missing"))?;
    if buffer.is_null() {
        return Err(broken("the buffer is missing"));
    }
    if len < size {
        return Err(broken(&format!(
            "the buffer has {len} bytes, the arguments need {size}"
        )));
    }
    // SAFETY: the client says that the buffer has `len` bytes, which are at least `size`.
    Ok(unsafe { std::slice::from_raw_parts(buffer, size) }.to_vec())
}
