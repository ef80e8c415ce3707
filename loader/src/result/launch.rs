//! `hipModuleLaunchKernel`.

use std::ffi::c_void;

use super::{HipError, call};
use crate::sys::{Api, hipFunction_t, hipStream_t};

/// Launches a kernel with pointers to its arguments.
///
/// `grid` counts blocks, `block` counts work-items, `shared_bytes` is LDS beyond what the kernel declares.
///
/// # Errors
/// What the library answers. Errors of the kernel itself come out of later calls.
///
/// # Safety
/// The handles belong to this library and to one device. `params` points to one pointer for each explicit argument of the
/// kernel, to a value of its type. The kernel does with its arguments what its author promised.
#[inline]
pub unsafe fn kernel(
    api: &Api,
    function: hipFunction_t,
    grid: [u32; 3],
    block: [u32; 3],
    shared_bytes: u32,
    stream: hipStream_t,
    params: *mut *mut c_void,
) -> Result<(), HipError> {
    // SAFETY: promised by the caller. Without `extra` the library takes the arguments from `params`.
    unsafe {
        call!(
            api,
            hipModuleLaunchKernel(
                function,
                grid[0],
                grid[1],
                grid[2],
                block[0],
                block[1],
                block[2],
                shared_bytes,
                stream,
                params,
                std::ptr::null_mut(),
            )
        )
    }
}
