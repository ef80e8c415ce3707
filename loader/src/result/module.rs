//! `hipModule*` and `hipFunc*`.

use std::ffi::{CStr, c_void};

use super::{HipError, call, check, optional, out};
use crate::sys::{Api, hipDeviceptr_t, hipFunction_attribute, hipFunction_t, hipModule_t};

/// Loads a code object or a bundle on the current device.
///
/// # Errors
/// What the library answers.
///
/// # Safety
/// `image` points to a whole code object or bundle, which stays as it is until the module is unloaded.
pub unsafe fn load_data(api: &Api, image: *const c_void) -> Result<hipModule_t, HipError> {
    // SAFETY: on success the handle is written.
    unsafe {
        out(api, "hipModuleLoadData", |module| {
            (api.hipModuleLoadData)(module, image)
        })
    }
}

/// Unloads a code object.
///
/// # Errors
/// What the library answers.
///
/// # Safety
/// `module` was made by [`load_data`]; neither it nor its functions are used again, and no work that uses them is left.
pub unsafe fn unload(api: &Api, module: hipModule_t) -> Result<(), HipError> {
    // SAFETY: promised by the caller.
    unsafe { call!(api, hipModuleUnload(module)) }
}

/// Finds a kernel by its name.
///
/// # Errors
/// What the library answers, `hipErrorNotFound` for a name that is not there.
///
/// # Safety
/// `module` is a module of this library.
pub unsafe fn get_function(
    api: &Api,
    module: hipModule_t,
    name: &CStr,
) -> Result<hipFunction_t, HipError> {
    // SAFETY: on success the handle is written.
    unsafe {
        out(api, "hipModuleGetFunction", |function| {
            (api.hipModuleGetFunction)(function, module, name.as_ptr())
        })
    }
}

/// The address and the size in bytes of a device variable.
///
/// # Errors
/// What the library answers, `hipErrorNotFound` for a name that is not there.
///
/// # Safety
/// `module` is a module of this library.
pub unsafe fn get_global(
    api: &Api,
    module: hipModule_t,
    name: &CStr,
) -> Result<(hipDeviceptr_t, usize), HipError> {
    let function = optional(api.hipModuleGetGlobal, "hipModuleGetGlobal")?;
    let (mut address, mut bytes) = (std::ptr::null_mut(), 0);
    // SAFETY: both can be written.
    let status = unsafe { function(&mut address, &mut bytes, module, name.as_ptr()) };
    check(api, "hipModuleGetGlobal", status)?;
    Ok((address, bytes))
}

/// A figure of a kernel.
///
/// # Errors
/// What the library answers.
///
/// # Safety
/// `function` is a kernel of this library.
pub unsafe fn get_attribute(
    api: &Api,
    function: hipFunction_t,
    attribute: hipFunction_attribute,
) -> Result<i32, HipError> {
    let get = optional(api.hipFuncGetAttribute, "hipFuncGetAttribute")?;
    // SAFETY: on success the integer is written.
    unsafe {
        out(api, "hipFuncGetAttribute", |value| {
            get(value, attribute, function)
        })
    }
}

/// The (grid, block) that fill the device: blocks, and work-items of a block.
///
/// # Errors
/// What the library answers.
///
/// # Safety
/// `function` is a kernel of this library.
pub unsafe fn occupancy_max_potential_block_size(
    api: &Api,
    function: hipFunction_t,
    shared_bytes: usize,
    block_limit: i32,
) -> Result<(i32, i32), HipError> {
    const CALL: &str = "hipModuleOccupancyMaxPotentialBlockSize";
    let get = optional(api.hipModuleOccupancyMaxPotentialBlockSize, CALL)?;
    let (mut grid, mut block) = (0, 0);
    // SAFETY: both integers can be written.
    let status = unsafe { get(&mut grid, &mut block, function, shared_bytes, block_limit) };
    check(api, CALL, status)?;
    Ok((grid, block))
}

/// How many blocks of `block` work-items a multiprocessor holds.
///
/// # Errors
/// What the library answers.
///
/// # Safety
/// `function` is a kernel of this library.
pub unsafe fn occupancy_max_active_blocks(
    api: &Api,
    function: hipFunction_t,
    block: i32,
    shared_bytes: usize,
) -> Result<i32, HipError> {
    const CALL: &str = "hipModuleOccupancyMaxActiveBlocksPerMultiprocessor";
    let get = optional(api.hipModuleOccupancyMaxActiveBlocksPerMultiprocessor, CALL)?;
    // SAFETY: on success the integer is written.
    unsafe {
        out(api, CALL, |blocks| {
            get(blocks, function, block, shared_bytes)
        })
    }
}
