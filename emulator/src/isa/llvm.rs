//! LLVM's AMDGPU disassembler, loaded at run time.
//!
//! Knows how to find libLLVM and the five functions of its C API that disassembling needs; knows nothing about what the
//! text means. libLLVM is loaded with `dlopen` because every ROCm and every LLVM distribution carries it under a name of
//! its own, and because the emulator must load (and report its devices) where there is none.

use std::ffi::{CString, OsString, c_char, c_int, c_void};
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock};

use libloading::Library;

/// Why no disassembler could be had.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LlvmError {
    /// None of the candidate libraries could be loaded.
    #[error(
        "no libLLVM with the AMDGPU disassembler was found; set AMDGPU_EMULATOR_LLVM to one (tried: {})",
        .tried.join("; ")
    )]
    NotFound {
        /// Every name that was tried with the loader's answer.
        tried: Vec<String>,
    },
    /// The library refused to make a disassembler for this processor.
    #[error(
        "{library} has no AMDGPU disassembler for {cpu} (features `{features}`): is the processor newer than this LLVM?"
    )]
    NoCpu {
        /// The library that was asked.
        library: String,
        /// The processor name, such as `gfx1100`.
        cpu: String,
        /// The feature string, such as `+wavefrontsize64`.
        features: String,
    },
}

type CreateFn = unsafe extern "C" fn(
    *const c_char,
    *const c_char,
    *const c_char,
    *mut c_void,
    c_int,
    *const c_void,
    *const c_void,
) -> *mut c_void;
type DisasmFn = unsafe extern "C" fn(*mut c_void, *mut u8, u64, u64, *mut c_char, usize) -> usize;
type DisposeFn = unsafe extern "C" fn(*mut c_void);

struct Llvm {
    name: String,
    create: CreateFn,
    disasm: DisasmFn,
    dispose: DisposeFn,
    // Keeps the function pointers above valid; never unloaded because the value lives in a static.
    _library: Library,
}

/// The names under which libLLVM is looked for, in order.
fn candidates() -> Vec<OsString> {
    let mut names: Vec<OsString> = Vec::new();
    if let Some(path) = std::env::var_os("AMDGPU_EMULATOR_LLVM") {
        names.push(path);
    }
    for version in [19, 20, 21, 22, 18, 17] {
        names.push(format!("libLLVM.so.{version}.1").into());
        names.push(format!("libLLVM-{version}.so").into());
        names.push(format!("/usr/lib/llvm-{version}/lib/libLLVM.so.1").into());
    }
    let roots = std::env::var_os("ROCM_PATH")
        .map(PathBuf::from)
        .into_iter()
        .chain([PathBuf::from("/opt/rocm")]);
    for root in roots {
        let mut found: Vec<PathBuf> = std::fs::read_dir(root.join("llvm/lib"))
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| {
                path.file_name()
                    .and_then(|name| name.to_str())
                    .is_some_and(|name| name.starts_with("libLLVM") && name.contains(".so"))
            })
            .collect();
        found.sort();
        names.extend(found.into_iter().map(PathBuf::into_os_string));
    }
    names.push("libLLVM.so".into());
    names
}

impl Llvm {
    fn open() -> Result<Self, LlvmError> {
        let mut tried = Vec::new();
        for name in candidates() {
            match Self::open_one(&name) {
                Ok(llvm) => return Ok(llvm),
                Err(error) => tried.push(format!("{}: {error}", name.to_string_lossy())),
            }
        }
        Err(LlvmError::NotFound { tried })
    }

    fn open_one(name: &OsString) -> Result<Self, libloading::Error> {
        // SAFETY: libLLVM's initialisers only register static tables; loading it has no precondition.
        let library = unsafe { Library::new(name)? };
        // SAFETY: the names and signatures are those of llvm-c/Target.h and llvm-c/Disassembler.h, stable since LLVM 3.
        unsafe {
            for init in [
                &b"LLVMInitializeAMDGPUTargetInfo\0"[..],
                b"LLVMInitializeAMDGPUTargetMC\0",
                b"LLVMInitializeAMDGPUDisassembler\0",
            ] {
                let init = library.get::<unsafe extern "C" fn()>(init)?;
                init();
            }
            Ok(Self {
                name: name.to_string_lossy().into_owned(),
                create: *library.get::<CreateFn>(b"LLVMCreateDisasmCPUFeatures\0")?,
                disasm: *library.get::<DisasmFn>(b"LLVMDisasmInstruction\0")?,
                dispose: *library.get::<DisposeFn>(b"LLVMDisasmDispose\0")?,
                _library: library,
            })
        }
    }

    fn get() -> Result<&'static Self, LlvmError> {
        static LLVM: OnceLock<Result<Llvm, LlvmError>> = OnceLock::new();
        LLVM.get_or_init(Self::open)
            .as_ref()
            .map_err(LlvmError::clone)
    }
}

/// A disassembler for one processor and wave size.
pub struct Disassembler {
    llvm: &'static Llvm,
    context: Mutex<Context>,
}

struct Context(*mut c_void);

// SAFETY: a disassembler context is not tied to a thread; the mutex around it keeps calls from overlapping.
unsafe impl Send for Context {}

impl Disassembler {
    /// A disassembler for `cpu` (`gfx1100`) with LLVM feature string `features` (`+wavefrontsize64`, or empty).
    ///
    /// # Errors
    /// When no libLLVM is found, or it does not know the processor.
    pub fn new(cpu: &str, features: &str) -> Result<Self, LlvmError> {
        let llvm = Llvm::get()?;
        let no_cpu = || LlvmError::NoCpu {
            library: llvm.name.clone(),
            cpu: cpu.to_owned(),
            features: features.to_owned(),
        };
        let cpu_c = CString::new(cpu).map_err(|_| no_cpu())?;
        let features_c = CString::new(features).map_err(|_| no_cpu())?;
        // SAFETY: all three strings are NUL-terminated and outlive the call; the callbacks are optional.
        let context = unsafe {
            (llvm.create)(
                c"amdgcn-amd-amdhsa".as_ptr(),
                cpu_c.as_ptr(),
                features_c.as_ptr(),
                std::ptr::null_mut(),
                0,
                std::ptr::null(),
                std::ptr::null(),
            )
        };
        if context.is_null() {
            return Err(no_cpu());
        }
        Ok(Self {
            llvm,
            context: Mutex::new(Context(context)),
        })
    }

    /// Disassembles the first instruction of `bytes`, as if it stood at `address`.
    ///
    /// Returns its size in bytes and its text, or `None` where the bytes are no instruction.
    pub fn one(&self, bytes: &[u8], address: u64) -> Option<(usize, String)> {
        let context = self
            .context
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut text = [0u8; 512];
        // SAFETY: LLVM reads at most `bytes.len()` bytes (the parameter is mutable in C by oversight) and writes at most
        // `text.len()` bytes including the terminator.
        let size = unsafe {
            (self.llvm.disasm)(
                context.0,
                bytes.as_ptr().cast_mut(),
                bytes.len() as u64,
                address,
                text.as_mut_ptr().cast(),
                text.len(),
            )
        };
        if size == 0 {
            return None;
        }
        let end = text
            .iter()
            .position(|&byte| byte == 0)
            .unwrap_or(text.len());
        Some((
            size,
            String::from_utf8_lossy(&text[..end]).trim().to_owned(),
        ))
    }
}

impl Drop for Disassembler {
    fn drop(&mut self) {
        let context = self
            .context
            .get_mut()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        // SAFETY: the context came from `create` and is disposed of once.
        unsafe { (self.llvm.dispose)(context.0) }
    }
}
