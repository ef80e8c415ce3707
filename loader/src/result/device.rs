//! `hipDevice*`, `hipGetDevice*`, `hipSetDevice`.

use std::ffi::{CStr, c_char, c_int};
use std::mem::{MaybeUninit, offset_of, size_of};

use super::{HipError, call, check, optional, out};
use crate::sys::{
    Api, PROPERTY_SLACK, hipDevice_t, hipDeviceAttribute_t, hipDeviceProp_tR0000,
    hipDeviceProp_tR0600, hipUUID,
};

/// How many devices the library can use.
///
/// # Errors
/// What the library answers; several releases answer `hipErrorNoDevice` where the number is 0.
pub fn get_count(api: &Api) -> Result<i32, HipError> {
    // SAFETY: on success the integer is written.
    unsafe {
        out(api, "hipGetDeviceCount", |count| {
            (api.hipGetDeviceCount)(count)
        })
    }
}

/// The calling thread's current device.
///
/// # Errors
/// What the library answers.
#[inline]
pub fn get(api: &Api) -> Result<hipDevice_t, HipError> {
    // SAFETY: on success the integer is written.
    unsafe { out(api, "hipGetDevice", |device| (api.hipGetDevice)(device)) }
}

/// Makes `device` the calling thread's current one.
///
/// # Errors
/// What the library answers.
#[inline]
pub fn set(api: &Api, device: hipDevice_t) -> Result<(), HipError> {
    // SAFETY: the call takes no pointers.
    unsafe { call!(api, hipSetDevice(device)) }
}

/// A figure of `device`.
///
/// # Errors
/// What the library answers, `hipErrorInvalidValue` for an attribute it does not know.
pub fn get_attribute(
    api: &Api,
    attribute: hipDeviceAttribute_t,
    device: hipDevice_t,
) -> Result<i32, HipError> {
    // SAFETY: on success the integer is written.
    unsafe {
        out(api, "hipDeviceGetAttribute", |value| {
            (api.hipDeviceGetAttribute)(value, attribute, device)
        })
    }
}

/// The marketing name.
///
/// # Errors
/// What the library answers.
pub fn get_name(api: &Api, device: hipDevice_t) -> Result<String, HipError> {
    text::<256>(api, "hipDeviceGetName", |buffer, len| {
        // SAFETY: `len` bytes can be written.
        unsafe { (api.hipDeviceGetName)(buffer, len, device) }
    })
}

/// Bytes of memory.
///
/// # Errors
/// What the library answers.
pub fn total_mem(api: &Api, device: hipDevice_t) -> Result<usize, HipError> {
    // SAFETY: on success the integer is written.
    unsafe {
        out(api, "hipDeviceTotalMem", |bytes| {
            (api.hipDeviceTotalMem)(bytes, device)
        })
    }
}

/// The PCI address as `0000:03:00.0`.
///
/// # Errors
/// What the library answers.
pub fn get_pci_bus_id(api: &Api, device: hipDevice_t) -> Result<String, HipError> {
    let function = optional(api.hipDeviceGetPCIBusId, "hipDeviceGetPCIBusId")?;
    text::<64>(api, "hipDeviceGetPCIBusId", |buffer, len| {
        // SAFETY: `len` bytes can be written.
        unsafe { function(buffer, len, device) }
    })
}

/// 16 bytes that name the device.
///
/// # Errors
/// What the library answers.
pub fn get_uuid(api: &Api, device: hipDevice_t) -> Result<hipUUID, HipError> {
    let function = optional(api.hipDeviceGetUuid, "hipDeviceGetUuid")?;
    // SAFETY: on success the bytes are written.
    unsafe { out(api, "hipDeviceGetUuid", |uuid| function(uuid, device)) }
}

/// The name of the device's architecture with its features, such as `gfx90a:sramecc+:xnack-`.
///
/// It is the only thing that no attribute tells. The layout of the structure it is read from follows from the name of
/// the function that the library has ([`crate::sys::hipDeviceProp_tR0600`]).
///
/// # Errors
/// What the library answers.
pub fn get_gcn_arch_name(api: &Api, device: hipDevice_t) -> Result<String, HipError> {
    /// A property structure with room behind it.
    #[repr(C)]
    struct Roomy<P> {
        properties: P,
        slack: [u8; PROPERTY_SLACK],
    }

    fn read<P>(
        api: &Api,
        call: &'static str,
        offset: usize,
        fill: impl FnOnce(*mut P) -> crate::sys::hipError_t,
    ) -> Result<String, HipError> {
        const LENGTH: usize = 256;
        debug_assert!(offset + LENGTH <= size_of::<P>());
        let mut roomy = MaybeUninit::<Roomy<P>>::zeroed();
        check(api, call, fill(roomy.as_mut_ptr().cast()))?;
        // SAFETY: the memory is zeroed and then written by the library, so all of its bytes are initialized, and both
        // layouts have the 256 bytes of the name at the offset.
        let name =
            unsafe { std::slice::from_raw_parts(roomy.as_ptr().cast::<u8>().add(offset), LENGTH) };
        Ok(until_nul(name))
    }

    if let Some(function) = api.hipGetDevicePropertiesR0600 {
        let offset = offset_of!(hipDeviceProp_tR0600, gcnArchName);
        return read(api, "hipGetDevicePropertiesR0600", offset, |properties| {
            // SAFETY: the structure is as large as the function of this name expects.
            unsafe { function(properties, device) }
        });
    }
    let function = optional(api.hipGetDeviceProperties, "hipGetDeviceProperties")?;
    let offset = offset_of!(hipDeviceProp_tR0000, gcnArchName);
    read(api, "hipGetDeviceProperties", offset, |properties| {
        // SAFETY: as above.
        unsafe { function(properties, device) }
    })
}

/// Waits for all work of the current device.
///
/// # Errors
/// What the library answers, errors of earlier work included.
pub fn synchronize(api: &Api) -> Result<(), HipError> {
    // SAFETY: the call takes no pointers.
    unsafe { call!(api, hipDeviceSynchronize()) }
}

/// Whether `device` can reach the memory of `peer`.
///
/// # Errors
/// What the library answers.
pub fn can_access_peer(
    api: &Api,
    device: hipDevice_t,
    peer: hipDevice_t,
) -> Result<bool, HipError> {
    let function = optional(api.hipDeviceCanAccessPeer, "hipDeviceCanAccessPeer")?;
    // SAFETY: on success the integer is written.
    let can = unsafe {
        out(api, "hipDeviceCanAccessPeer", |can: *mut c_int| {
            function(can, device, peer)
        })
    }?;
    Ok(can != 0)
}

/// Lets the current device reach the memory of `peer`.
///
/// # Errors
/// What the library answers, `hipErrorPeerAccessAlreadyEnabled` the second time.
pub fn enable_peer_access(api: &Api, peer: hipDevice_t) -> Result<(), HipError> {
    // SAFETY: the call takes no pointers, and 0 is the only flag there is.
    unsafe { call!(api, opt hipDeviceEnablePeerAccess(peer, 0)) }
}

/// Takes that back.
///
/// # Errors
/// What the library answers.
pub fn disable_peer_access(api: &Api, peer: hipDevice_t) -> Result<(), HipError> {
    // SAFETY: the call takes no pointers.
    unsafe { call!(api, opt hipDeviceDisablePeerAccess(peer)) }
}

/// The priorities that streams of the current device can have: (least, greatest). Greatest is the smaller number.
///
/// # Errors
/// What the library answers.
pub fn get_stream_priority_range(api: &Api) -> Result<(i32, i32), HipError> {
    let function = optional(
        api.hipDeviceGetStreamPriorityRange,
        "hipDeviceGetStreamPriorityRange",
    )?;
    let (mut least, mut greatest) = (0, 0);
    // SAFETY: both integers can be written.
    let status = unsafe { function(&mut least, &mut greatest) };
    check(api, "hipDeviceGetStreamPriorityRange", status)?;
    Ok((least, greatest))
}

/// Calls `fill` with room for `N` bytes and reads the text it leaves there.
fn text<const N: usize>(
    api: &Api,
    call: &'static str,
    fill: impl FnOnce(*mut c_char, c_int) -> crate::sys::hipError_t,
) -> Result<String, HipError> {
    let mut buffer = [0_u8; N];
    check(api, call, fill(buffer.as_mut_ptr().cast(), N as c_int))?;
    Ok(until_nul(&buffer))
}

/// The text before the first NUL, or all of it.
fn until_nul(bytes: &[u8]) -> String {
    CStr::from_bytes_until_nul(bytes)
        .map_or_else(|_| String::from_utf8_lossy(bytes), CStr::to_string_lossy)
        .into_owned()
}
