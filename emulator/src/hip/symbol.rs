//! Variables of the program on the device: `hipMemcpyToSymbol`, `hipGetSymbolAddress`.

use std::ffi::c_void;

use super::call::hip_api;
use super::ffi::Out;
use super::runtime::{self, get};
use super::status::{Code, Outcome};
use crate::module::Variable;

/// The variable on the current device that the host knows by the address of its shadow.
fn find(symbol: *const c_void) -> Outcome<Variable> {
    let device = runtime::usable()?;
    get().registered.variable(symbol as usize, device)
}

/// The address of some bytes of a variable.
///
/// # Errors
/// `hipErrorInvalidSymbol` for what is no variable, `hipErrorInvalidValue` for more than it has.
pub fn range(symbol: *const c_void, bytes: usize, offset: usize) -> Outcome<u64> {
    let variable = find(symbol)?;
    let end = offset
        .checked_add(bytes)
        .filter(|end| *end as u64 <= variable.size);
    if end.is_none() {
        return Err(Code::InvalidValue.because(format!(
            "{bytes} bytes at offset {offset} of a variable of {}",
            variable.size
        )));
    }
    Ok(variable.address + offset as u64)
}

hip_api! {
    fn hipGetSymbolAddress(devPtr: Out<*mut c_void>, symbol: *const c_void) {
        devPtr.check()?;
        devPtr.set(find(symbol)?.address as *mut c_void)
    }

    fn hipGetSymbolSize(size: Out<usize>, symbol: *const c_void) {
        size.check()?;
        size.set(find(symbol)?.size as usize)
    }
}
