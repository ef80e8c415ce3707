//! The few HIP calls that the file tests need, through the built `libamdhip64.so`.

use std::cell::Cell;
use std::ffi::{CString, c_char, c_int, c_uint, c_void};
use std::path::PathBuf;
use std::ptr::null_mut;
use std::sync::OnceLock;

use libloading::Library;

type Status = c_int;

/// The library, loaded with one device for each of `crate::TARGETS`, so that tests side by side do not meet.
fn library() -> &'static Library {
    static LIBRARY: OnceLock<Library> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        // SAFETY: set once, before the library is loaded and reads it; the tests of this process read no other variable
        // concurrently with this first use.
        unsafe {
            std::env::set_var(
                "AMDGPU_EMULATOR_DEVICES",
                crate::TARGETS.map(|(processor, ..)| processor).join(","),
            )
        };
        let exe = std::env::current_exe().expect("the test's own path");
        let deps = exe.parent().expect("a test lies in target/<profile>/deps");
        let tried: Vec<PathBuf> = vec![deps.join("libamdhip64.so"), deps.join("../libamdhip64.so")];
        let path = tried
            .iter()
            .find(|p| p.exists())
            .unwrap_or_else(|| panic!("no libamdhip64.so among {tried:?}"));
        // SAFETY: the library is the one that this package builds; its initialisers only set up its own state.
        unsafe { Library::new(path) }.unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    })
}

macro_rules! call {
    ($name:literal ( $($value:expr => $ty:ty),* $(,)? )) => {{
        // SAFETY: the signature is the one of hip_runtime_api.h, and every pointer passed is valid for the call.
        let status = unsafe {
            let function = library()
                .get::<unsafe extern "C" fn($($ty),*) -> Status>($name.as_bytes())
                .unwrap_or_else(|e| panic!("{}: {e}", $name));
            function($($value),*)
        };
        if status == 0 { Ok(()) } else { Err(format!("{} returned {status}", $name)) }
    }};
}

/// A code object on one emulated device.
pub struct Module<'a> {
    code: &'a [u8],
    handle: Cell<*mut c_void>,
}

impl<'a> Module<'a> {
    /// Loads `code` on the device with this ordinal, which becomes the thread's current device.
    pub fn load(ordinal: usize, code: &'a [u8]) -> Self {
        call!("hipSetDevice"(ordinal as c_int => c_int))
            .expect("the emulator has a device for each target");
        let module = Self {
            code,
            handle: Cell::new(null_mut()),
        };
        module.reload();
        module
    }

    fn reload(&self) {
        let mut handle = null_mut();
        call!("hipModuleLoadData"(&raw mut handle => *mut *mut c_void, self.code.as_ptr().cast() => *const c_void))
            .expect("the code object loads");
        self.handle.set(handle);
    }

    /// Launches `kernel` on operands and returns its `results` words. `operands` is padded with zeros to `padded` words.
    pub fn run(
        &self,
        kernel: &str,
        operands: &[u32],
        padded: usize,
        results: usize,
        groups: u32,
        block: u32,
    ) -> Result<Vec<u32>, String> {
        let mut input = operands.to_vec();
        input.resize(padded, 0);
        let (mut a, mut b) = (null_mut::<c_void>(), null_mut::<c_void>());
        call!("hipMalloc"(&raw mut a => *mut *mut c_void, padded * 4 => usize))?;
        call!("hipMalloc"(&raw mut b => *mut *mut c_void, results * 4 => usize))?;
        // hipMemcpyHostToDevice is 1, hipMemcpyDeviceToHost 2.
        call!("hipMemcpy"(a => *mut c_void, input.as_ptr().cast() => *const c_void, padded * 4 => usize, 1 => c_int))?;
        let name = CString::new(kernel).expect("a symbol without NUL");
        let mut function = null_mut::<c_void>();
        call!("hipModuleGetFunction"(&raw mut function => *mut *mut c_void, self.handle.get() => *mut c_void, name.as_ptr() => *const c_char))?;
        let mut params = [(&raw mut a).cast::<c_void>(), (&raw mut b).cast::<c_void>()];
        let launched = call!("hipModuleLaunchKernel"(
            function => *mut c_void,
            groups => c_uint, 1 => c_uint, 1 => c_uint,
            block => c_uint, 1 => c_uint, 1 => c_uint,
            0 => c_uint, null_mut() => *mut c_void,
            params.as_mut_ptr() => *mut *mut c_void, null_mut() => *mut *mut c_void
        ));
        if let Err(error) = launched {
            // A fault stays with the device until it is reset, which unloads its modules.
            call!("hipDeviceReset"())?;
            self.reload();
            return Err(error);
        }
        let mut words = vec![0u32; results];
        call!("hipMemcpy"(words.as_mut_ptr().cast() => *mut c_void, b => *const c_void, results * 4 => usize, 2 => c_int))?;
        call!("hipFree"(a => *mut c_void))?;
        call!("hipFree"(b => *mut c_void))?;
        Ok(words)
    }
}
