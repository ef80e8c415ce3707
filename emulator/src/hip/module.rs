//! Modules: code objects that the client loads itself.

use std::ffi::{c_int, c_uint, c_void};
use std::sync::{Arc, Mutex, PoisonError};

use rustc_hash::FxHashMap;

use super::call::hip_api;
use super::ffi::{FunctionHandle, ModuleHandle, Out, Text};
use super::function::Function;
use super::runtime::{self, get};
use super::status::{Code, Failure, Outcome};
use crate::module::{LoadError, LoadedModule, Variable, image_at};

/// A module that a client loaded.
pub struct Module {
    /// The code object.
    pub loaded: Arc<LoadedModule>,
    /// The functions that the client asked for, by the index of the kernel.
    functions: Mutex<FxHashMap<usize, FunctionHandle>>,
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        let code = match &error {
            LoadError::NoBinary { .. } => Code::NoBinaryForGpu,
            LoadError::Memory(_) | LoadError::TooLarge { .. } => Code::OutOfMemory,
            LoadError::Undefined { .. } => Code::SharedObjectSymbolNotFound,
            _ => Code::InvalidImage,
        };
        code.because(error.to_string())
    }
}

/// Loads an image on the current device.
fn load(module: Out<ModuleHandle>, image: &[u8]) -> Outcome {
    let device = runtime::usable()?;
    let target = &device.properties.target;
    let loaded = LoadedModule::load(image, target, device.index(), &get().memory)?;
    let new = Module {
        loaded: Arc::new(loaded),
        functions: Mutex::default(),
    };
    module.set(get().modules.insert(Arc::new(new)))
}

fn load_data(module: Out<ModuleHandle>, image: *const c_void) -> Outcome {
    module.check()?;
    if image.is_null() {
        return Err(Code::InvalidValue.because("the image is null"));
    }
    // SAFETY: the client passes a complete image; its length is in its headers (the contract of the function).
    let image = unsafe { image_at(image.cast()) }?;
    load(module, image)
}

/// The variable that a device address lies in, of any module.
pub fn variable_at(address: u64) -> Option<Variable> {
    let modules = get()
        .modules
        .all()
        .into_iter()
        .map(|module| Arc::clone(&module.loaded));
    let modules = modules.chain(get().registered.loaded());
    let mut inside = modules.filter(|module| module.image_address(address).is_some());
    inside.find_map(|module| module.variable_at(address).map(|(_, variable)| variable))
}

/// A failure that names what was not found and what is there instead that resembles it most.
fn not_found<'n>(what: &str, name: &str, there: impl Iterator<Item = &'n str>) -> Failure {
    let mut there: Vec<(usize, &str)> = there.map(|other| (distance(name, other), other)).collect();
    there.sort_unstable();
    let nearest: Vec<&str> = there.iter().take(3).map(|(_, other)| *other).collect();
    Code::NotFound.because(match nearest.is_empty() {
        true => format!("there is no {what} `{name}`: the module has none"),
        false => format!(
            "there is no {what} `{name}`; the nearest are {}",
            nearest.join(", ")
        ),
    })
}

/// How many characters have to be changed, added or removed to make one name of the other.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let changed = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

hip_api! {
    fn hipModuleLoad(module: Out<ModuleHandle>, fname: Text) {
        module.check()?;
        let path = fname.get()?;
        let image = std::fs::read(path).map_err(|error| Code::FileNotFound.because(format!("{path}: {error}")))?;
        if image.is_empty() {
            return Err(Code::InvalidImage.because(format!("{path} is empty")));
        }
        load(module, &image)
    }

    fn hipModuleLoadData(module: Out<ModuleHandle>, image: *const c_void) {
        load_data(module, image)
    }

    fn hipModuleLoadDataEx(
        module: Out<ModuleHandle>,
        image: *const c_void,
        numOptions: c_uint,
        options: *mut c_int,
        optionValues: *mut *mut c_void,
    ) {
        // The options are for a compiler that does not run here.
        let _ = (numOptions, options, optionValues);
        load_data(module, image)
    }

    fn hipModuleUnload(module: ModuleHandle) {
        let module = get().modules.remove(module)?;
        let functions = module.functions.lock().unwrap_or_else(PoisonError::into_inner);
        for function in functions.values() {
            let _ = get().functions.remove(*function);
        }
        Ok(())
    }

    fn hipModuleGetFunction(function: Out<FunctionHandle>, module: ModuleHandle, kname: Text) {
        function.check()?;
        let name = kname.get()?;
        let module = get().modules.get(module)?;
        let index = module.loaded.kernel_index(name).ok_or_else(|| {
            not_found("kernel", name, module.loaded.kernels().iter().map(|kernel| kernel.name.as_str()))
        })?;
        let mut functions = module.functions.lock().unwrap_or_else(PoisonError::into_inner);
        let handle = functions.entry(index).or_insert_with(|| {
            get().functions.insert(Arc::new(Function::new(Arc::clone(&module.loaded), index)))
        });
        function.set(*handle)
    }

    fn hipModuleGetFunctionCount(count: Out<c_uint>, module: ModuleHandle) {
        count.check()?;
        count.set(get().modules.get(module)?.loaded.kernels().len() as c_uint)
    }

    fn hipModuleGetGlobal(dptr: Out<*mut c_void>, bytes: Out<usize>, module: ModuleHandle, name: Text) {
        let name = name.get()?;
        let module = get().modules.get(module)?;
        let variable = module.loaded.variable(name);
        let variable = variable.ok_or_else(|| not_found("variable", name, module.loaded.variable_names()))?;
        dptr.set_if_wanted(variable.address as *mut c_void);
        bytes.set_if_wanted(variable.size as usize);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_names_are_offered() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        let there = ["dequantize_q4_0", "mul_mat_q4_0", "dequantize_q5_0", "zzz"];
        let failure = not_found("kernel", "dequantise_q4_0", there.into_iter());
        assert_eq!(failure.code, Code::NotFound);
        let (first, rest) = failure.reason.split_once("the nearest are ").unwrap();
        assert!(first.contains("`dequantise_q4_0`"));
        assert!(
            rest.starts_with("dequantize_q4_0, dequantize_q5_0"),
            "{rest}"
        );
    }
}
