//! Which HIP the library says it is.
//!
//! The ABI of the functions here is the same from HIP 5.7 to 7, with two exceptions: the numbers of `hipMemoryType`
//! changed in HIP 6, and so did the answer of `hipPointerGetAttributes` for memory that the runtime does not know. A client
//! tells the versions apart by the file name that it loads, so the library looks at the name that it was loaded under:
//! `libamdhip64.so.6` is 6.4, `libamdhip64.so.7` is 7.0, `libamdhip64.so.5` and `libamdhip64.so` are 5.7.
//! `AMDGPU_EMULATOR_HIP_VERSION` (such as `6.4`) overrules the name.

use std::ffi::{CStr, c_int};

use super::call::hip_api;
use super::ffi::{Out, Text};
use super::runtime::{complain, get, variable};
use super::status::Code;
use crate::memory::AllocKind;

/// A version of HIP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// 5, 6 or 7.
    pub major: u32,
    /// The minor version.
    pub minor: u32,
    /// The patch number of a release with this version.
    pub patch: u32,
}

/// The versions that are imitated, oldest first.
const VERSIONS: [Version; 3] = [
    Version {
        major: 5,
        minor: 7,
        patch: 31_921,
    },
    Version {
        major: 6,
        minor: 4,
        patch: 43_484,
    },
    Version {
        major: 7,
        minor: 0,
        patch: 51_831,
    },
];

/// The environment variable that overrules the file's name.
const VARIABLE: &str = "AMDGPU_EMULATOR_HIP_VERSION";

impl Version {
    /// The version that the environment or the library's file name asks for.
    pub fn from_environment() -> Self {
        if let Some(text) = variable(VARIABLE) {
            match Self::parse(&text) {
                Some(version) => return version,
                None => complain(VARIABLE, &text, "5.7, 6.4 or 7.0"),
            }
        }
        Self::of_file(&library_path().unwrap_or_default())
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.').map(|part| part.parse::<u32>().ok());
        let major = parts.next()??;
        let of_major = VERSIONS
            .into_iter()
            .find(|version| version.major == major)?;
        match parts.next() {
            None => Some(of_major),
            Some(minor) => Some(Self {
                minor: minor?,
                ..of_major
            }),
        }
    }

    fn of_file(path: &str) -> Self {
        let name = path.rsplit('/').next().unwrap_or_default();
        name.split_once(".so.")
            .and_then(|(_, version)| Self::parse(version))
            .unwrap_or(VERSIONS[0])
    }

    /// `HIP_VERSION` of the headers.
    pub fn number(self) -> c_int {
        (self.major * 10_000_000 + self.minor * 100_000 + self.patch) as c_int
    }

    /// The `hipMemoryType` of an allocation, or of memory that is not known.
    pub fn memory_type(self, kind: Option<AllocKind>) -> i32 {
        let [unregistered, host, device, managed] = match self.major {
            // Memory that is not known has no number before HIP 6: it is host memory.
            5 => [0, 0, 1, 4],
            _ => [0, 1, 2, 3],
        };
        match kind {
            None => unregistered,
            Some(AllocKind::Pinned | AllocKind::Registered | AllocKind::Runtime) => host,
            Some(AllocKind::Device | AllocKind::Module) => device,
            Some(AllocKind::Managed) => managed,
        }
    }

    /// What a `hipMemoryType` of a client means.
    pub fn is_host_memory(self, memory_type: i32) -> bool {
        memory_type == self.memory_type(Some(AllocKind::Pinned))
            || memory_type == self.memory_type(None)
    }
}

/// The file that this code was loaded from, by the name that it was loaded under.
fn library_path() -> Option<String> {
    // SAFETY: all fields of the structure are pointers, for which zero is a value.
    let mut info: libc::Dl_info = unsafe { std::mem::zeroed() };
    // SAFETY: the address is one of this library and the structure has room for the answer.
    let found = unsafe { libc::dladdr(library_path as *const libc::c_void, &mut info) };
    if found == 0 || info.dli_fname.is_null() {
        return None;
    }
    // SAFETY: the loader keeps the name as long as the library is loaded.
    let name = unsafe { CStr::from_ptr(info.dli_fname) };
    Some(name.to_string_lossy().into_owned())
}

hip_api! {
    fn hipInit(flags: u32) {
        if flags != 0 {
            return Err(Code::InvalidValue.because("flags must be zero"));
        }
        if get().devices.is_empty() {
            return Err(Code::NoDevice.into());
        }
        Ok(())
    }

    fn hip_init() {
        get();
        Ok(())
    }

    fn hipDriverGetVersion(driverVersion: Out<c_int>) {
        driverVersion.set(get().version.number())
    }

    fn hipRuntimeGetVersion(runtimeVersion: Out<c_int>) {
        runtimeVersion.set(get().version.number())
    }

    fn hipGetLastError() -> Code, otherwise Code::Unknown, {
        Ok(super::call::take_last_error())
    }

    fn hipPeekAtLastError() -> Code, otherwise Code::Unknown, {
        Ok(super::call::last_error())
    }

    fn hipExtGetLastError() -> Code, otherwise Code::Unknown, {
        Ok(super::call::take_last_command())
    }

    fn hipGetErrorName(error: Code) -> *const std::ffi::c_char, otherwise c"hipErrorUnknown".as_ptr(), {
        Ok(error.name().as_ptr())
    }

    fn hipGetErrorString(error: Code) -> *const std::ffi::c_char, otherwise c"unknown error".as_ptr(), {
        Ok(error.text().as_ptr())
    }

    fn hipDrvGetErrorName(error: Code, name: Out<*const std::ffi::c_char>) {
        name.set(error.name().as_ptr())?;
        known(error)
    }

    fn hipDrvGetErrorString(error: Code, text: Out<*const std::ffi::c_char>) {
        text.set(error.text().as_ptr())?;
        known(error)
    }

    fn hipApiName(id: u32) -> *const std::ffi::c_char, otherwise c"unknown".as_ptr(), {
        // Numbers of functions belong to the profiler's interface, which is not here.
        let _ = id;
        Ok(c"unknown".as_ptr())
    }

    fn hipGetProcAddress(
        symbol: Text,
        pfn: Out<*mut std::ffi::c_void>,
        hipVersion: c_int,
        flags: u64,
        symbolStatus: Out<c_int>,
    ) {
        let _ = flags;
        let name = symbol.get()?;
        pfn.check()?;
        let versions = VERSIONS.map(Version::number);
        let name = match name {
            // The layout of the properties changed with HIP 6, under the same name in the source.
            "hipGetDeviceProperties" if hipVersion >= versions[1] / 10_000_000 * 10_000_000 => "hipGetDevicePropertiesR0600",
            "hipChooseDevice" if hipVersion >= versions[1] / 10_000_000 * 10_000_000 => "hipChooseDeviceR0600",
            name => name,
        };
        /// `HIP_GET_PROC_ADDRESS_SUCCESS` and `HIP_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND`.
        const STATUS: [c_int; 2] = [0, 1];
        let address = own_symbol(name);
        pfn.set(address.unwrap_or(std::ptr::null_mut()))?;
        symbolStatus.set_if_wanted(STATUS[usize::from(address.is_none())]);
        match address {
            Some(_) => Ok(()),
            None => Err(Code::InvalidValue.because(format!("there is no function `{name}`"))),
        }
    }
}

fn known(error: Code) -> super::status::Outcome {
    if error.is_known() {
        return Ok(());
    }
    Err(Code::InvalidValue.because(format!("{} is no error code", error.0)))
}

/// The address of an exported function of this library.
fn own_symbol(name: &str) -> Option<*mut std::ffi::c_void> {
    let path = std::ffi::CString::new(library_path()?).ok()?;
    let name = std::ffi::CString::new(name).ok()?;
    // SAFETY: the library is loaded already: this opens nothing new, it only finds the handle.
    let library = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_NOLOAD) };
    if library.is_null() {
        return None;
    }
    // SAFETY: the handle was just opened.
    let address = unsafe { libc::dlsym(library, name.as_ptr()) };
    // SAFETY: the handle was just opened; the library stays loaded by whoever loaded it.
    unsafe { libc::dlclose(library) };
    (!address.is_null()).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_that_of_the_file_name() {
        for (path, number) in [
            ("/opt/rocm/lib/libamdhip64.so.6", 60_443_484),
            ("libamdhip64.so.6.4.43484", 60_443_484),
            ("target/release/libamdhip64.so", 50_731_921),
            ("libamdhip64.so.5", 50_731_921),
            ("libamdhip64.so.7", 70_051_831),
            ("/rocm.so.6/program", 50_731_921),
        ] {
            assert_eq!(Version::of_file(path).number(), number, "{path}");
        }
        assert_eq!(Version::parse("6.2").map(Version::number), Some(60_243_484));
        assert_eq!(Version::parse("4"), None);
        assert_eq!(Version::parse("6.x"), None);
    }
}
