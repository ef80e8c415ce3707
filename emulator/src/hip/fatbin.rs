//! The fat binaries that hipcc links into a program: kernels and variables that the program calls by name.
//!
//! Clang writes a constructor that registers each fat binary, with the host addresses that stand for its kernels and
//! variables. They are loaded on a device when something of them is first used there.

use std::ffi::{c_char, c_int, c_uint, c_void};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;

use super::alloc;
use super::call::hip_api;
use super::device::Device;
use super::ffi::{Out, Text};
use super::function::Function;
use super::runtime::{self, get};
use super::status::{Code, Failure, Outcome};
use crate::memory::AllocKind;
use crate::module::{LoadedModule, Variable, image_at};

/// What is linked into the program.
#[derive(Default)]
pub struct Registered(Mutex<State>);

#[derive(Default)]
struct State {
    /// By the handles that registrations got.
    binaries: FxHashMap<usize, Binary>,
    /// Kernels by the address of their host stub: the binary and the device's name of the kernel.
    kernels: FxHashMap<usize, (usize, String)>,
    /// Variables by the address of their host shadow: the binary and the device's name.
    variables: FxHashMap<usize, (usize, String)>,
    /// Kernels that were used, by host stub and device.
    functions: FxHashMap<(usize, u32), Arc<Function>>,
}

struct Binary {
    /// Where the image is.
    image: usize,
    /// Managed variables: the device's name of the pointer to it, and the address.
    managed: Vec<(String, u64)>,
    /// What was loaded, by device, or why it was not.
    loaded: FxHashMap<u32, Result<Arc<LoadedModule>, Failure>>,
}

impl Binary {
    fn on(&mut self, device: &Device) -> Outcome<Arc<LoadedModule>> {
        let Self {
            image,
            managed,
            loaded,
        } = self;
        loaded
            .entry(device.index())
            .or_insert_with(|| load(*image, managed, device))
            .clone()
    }
}

fn load(image: usize, managed: &[(String, u64)], device: &Device) -> Outcome<Arc<LoadedModule>> {
    // SAFETY: the constructor that clang wrote registered the address of an image that is part of the program.
    let image = unsafe { image_at(image as *const u8) }?;
    let module = LoadedModule::load(
        image,
        &device.properties.target,
        device.index(),
        &get().memory,
    )?;
    for (name, address) in managed {
        let pointer = module.variable(name).filter(|variable| variable.size >= 8);
        let pointer = pointer
            .ok_or_else(|| Code::InvalidSymbol.because(format!("managed variable `{name}`")))?;
        // SAFETY: the variable was just loaded, has room for a pointer, and no kernel runs on it yet.
        unsafe { (pointer.address as *mut u64).write_unaligned(*address) };
    }
    Ok(Arc::new(module))
}

impl Registered {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The kernel that a host stub stands for, on a device.
    ///
    /// # Errors
    /// `hipErrorInvalidDeviceFunction` for an address that stands for none, `hipErrorNoBinaryForGpu` and others if the
    /// binary cannot be loaded.
    pub fn function(&self, stub: usize, device: &Device) -> Outcome<Arc<Function>> {
        let mut state = self.state();
        let key = (stub, device.index());
        if let Some(function) = state.functions.get(&key) {
            return Ok(Arc::clone(function));
        }
        let (binary, name) = state.kernels.get(&stub).cloned().ok_or_else(|| {
            Code::InvalidDeviceFunction.because(format!("{stub:#x} stands for no kernel"))
        })?;
        let module = state.module(binary, device)?;
        let index = module.kernel_index(&name).ok_or_else(|| {
            Code::InvalidDeviceFunction.because(format!(
                "the code object for {} has no kernel `{name}`",
                module.target()
            ))
        })?;
        let function = Arc::new(Function::new(module, index));
        state.functions.insert(key, Arc::clone(&function));
        Ok(function)
    }

    /// The variable that a host shadow stands for, on a device.
    ///
    /// # Errors
    /// `hipErrorInvalidSymbol` for an address that stands for none, others if the binary cannot be loaded.
    pub fn variable(&self, shadow: usize, device: &Device) -> Outcome<Variable> {
        let mut state = self.state();
        let (binary, name) = state.variables.get(&shadow).cloned().ok_or_else(|| {
            Code::InvalidSymbol.because(format!("{shadow:#x} stands for no variable"))
        })?;
        let module = state.module(binary, device)?;
        let variable = module.variable(&name);
        variable.ok_or_else(|| {
            Code::InvalidSymbol.because(format!("the code object has no variable `{name}`"))
        })
    }

    /// The device's name of the kernel that a host stub stands for.
    pub fn kernel_name(&self, stub: usize) -> Option<String> {
        self.state()
            .kernels
            .get(&stub)
            .map(|(_, name)| name.clone())
    }

    /// Everything that is loaded on some device.
    pub fn loaded(&self) -> Vec<Arc<LoadedModule>> {
        let state = self.state();
        let results = state
            .binaries
            .values()
            .flat_map(|binary| binary.loaded.values());
        results
            .filter_map(|loaded| loaded.as_ref().ok().cloned())
            .collect()
    }
}

impl State {
    fn module(&mut self, binary: usize, device: &Device) -> Outcome<Arc<LoadedModule>> {
        let binary = self.binaries.get_mut(&binary);
        binary
            .ok_or_else(|| Code::InvalidHandle.because("the fat binary was unregistered"))?
            .on(device)
    }
}

/// Registrations get small numbers that no pointer has.
static NEXT: AtomicUsize = AtomicUsize::new(1);

/// A call of `__hipPushCallConfiguration` or `hipConfigureCall` that waits for its launch.
pub type Handle = *mut *mut c_void;

hip_api! {
    fn __hipRegisterFatBinary(data: *const c_void) -> Handle, otherwise std::ptr::null_mut(), {
        if data.is_null() {
            return Err(Code::InvalidValue.because("the fat binary is null"));
        }
        let handle = NEXT.fetch_add(1, Ordering::Relaxed) * 16;
        let binary = Binary { image: data as usize, managed: Vec::new(), loaded: FxHashMap::default() };
        get().registered.state().binaries.insert(handle, binary);
        Ok(handle as Handle)
    }

    fn __hipRegisterFunction(
        modules: Handle,
        hostFunction: *const c_void,
        deviceFunction: *mut c_char,
        deviceName: Text,
        threadLimit: c_uint,
        tid: *mut c_void,
        bid: *mut c_void,
        blockDim: *mut c_void,
        gridDim: *mut c_void,
        wSize: *mut c_int,
    ) -> (), otherwise (), {
        let _ = (deviceFunction, threadLimit, tid, bid, blockDim, gridDim, wSize);
        let name = deviceName.get()?.to_owned();
        get().registered.state().kernels.insert(hostFunction as usize, (modules as usize, name));
        Ok(())
    }

    fn __hipRegisterVar(
        modules: Handle,
        var: *mut c_void,
        hostVar: *mut c_char,
        deviceVar: Text,
        ext: c_int,
        size: usize,
        constant: c_int,
        global: c_int,
    ) -> (), otherwise (), {
        let _ = (hostVar, ext, size, constant, global);
        let name = deviceVar.get()?.to_owned();
        get().registered.state().variables.insert(var as usize, (modules as usize, name));
        Ok(())
    }

    fn __hipRegisterManagedVar(
        hipModule: *mut c_void,
        pointer: Out<*mut c_void>,
        init_value: *const c_void,
        name: Text,
        size: usize,
        align: c_uint,
    ) -> (), otherwise (), {
        let _ = align;
        let name = name.get()?.to_owned();
        let device = runtime::current()?.index();
        let address = alloc::allocate(device, size.max(1) as u64, AllocKind::Managed, 1)?;
        if !init_value.is_null() {
            // SAFETY: the initial value has `size` bytes, and so has the allocation, which is new.
            unsafe { std::ptr::copy_nonoverlapping(init_value.cast::<u8>(), address as *mut u8, size) };
        }
        pointer.set(address as *mut c_void)?;
        let mut state = get().registered.state();
        state.variables.insert(pointer.as_ptr() as usize, (hipModule as usize, name.clone()));
        if let Some(binary) = state.binaries.get_mut(&(hipModule as usize)) {
            binary.managed.push((name, address));
        }
        Ok(())
    }

    fn __hipUnregisterFatBinary(modules: Handle) -> (), otherwise (), {
        let number = modules as usize;
        let (binary, functions) = {
            let mut state = get().registered.state();
            let binary = state.binaries.remove(&number);
            let stubs: Vec<usize> =
                state.kernels.iter().filter(|(_, (owner, _))| *owner == number).map(|(stub, _)| *stub).collect();
            state.kernels.retain(|_, (owner, _)| *owner != number);
            state.variables.retain(|_, (owner, _)| *owner != number);
            let mut functions = std::mem::take(&mut state.functions);
            let gone: Vec<_> = functions.keys().filter(|(stub, _)| stubs.contains(stub)).copied().collect();
            let gone: Vec<_> = gone.iter().filter_map(|key| functions.remove(key)).collect();
            state.functions = functions;
            (binary, gone)
        };
        // Modules are dropped without the lock.
        drop(functions);
        if let Some(binary) = binary {
            for (_, address) in &binary.managed {
                let _ = alloc::free(*address, &[AllocKind::Managed]);
            }
        }
        Ok(())
    }
}
