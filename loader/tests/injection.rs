//! The emulator fails each call of the library in turn, under real kernels: every failure ends in a typed error or is made
//! good, nothing leaks, nothing panics, and the device can be used again at once.
//!
//! `faults.rs` does the same with a library that does nothing, whose every object it counts; here results count as well.
//!
//! A call answers one code in each run of the tests, and all four with `HIP_LOADER_CODES=4`. `HIP_LOADER_SEED` says which code
//! comes first.

mod support;

use std::ffi::{CString, c_char, c_int};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{CpuStorage, Device as Host, Layout, Shape, Tensor};
use hip_loader::candle::{GgufFile, HipDevice, HipStorage, Kernels, QHipMatMul, QHipStorage};
use hip_loader::{Device, DeviceOptions, Error, Runtime};
use support::scenarios::{everything, everything_of_a_full_library, options};
use support::{bundle, number};

include!("support/emulator.rs");

/// What calls are made to answer.
const CODES: [c_int; 4] = [OUT_OF_MEMORY, INVALID_VALUE, NO_DEVICE, LAUNCH_FAILURE];
const OUT_OF_MEMORY: c_int = 2;
const INVALID_VALUE: c_int = 1;
/// The device was lost.
const NO_DEVICE: c_int = 100;
const LAUNCH_FAILURE: c_int = 719;
/// Functions that may do their work and then report that earlier work failed. Those that make something are not among them:
/// what they made is the library's, if they say that they failed.
const REPORTERS: [&str; 16] = [
    "hipDeviceSynchronize",
    "hipEventDestroy",
    "hipEventRecord",
    "hipEventSynchronize",
    "hipFree",
    "hipFreeAsync",
    "hipGraphDestroy",
    "hipGraphExecDestroy",
    "hipHostFree",
    "hipLaunchHostFunc",
    "hipMemcpyAsync",
    "hipModuleLaunchKernel",
    "hipModuleUnload",
    "hipStreamDestroy",
    "hipStreamSynchronize",
    "hipStreamWaitEvent",
];

type FailFn = unsafe extern "C" fn(*const c_char, u64, c_int) -> c_int;

/// The emulated machine, and the functions that only the emulator has.
struct Emulator {
    runtime: Runtime,
    library: libloading::Library,
}

impl Emulator {
    /// The emulator for one test: failures and objects are counted for the whole process.
    fn alone() -> (&'static Self, MutexGuard<'static, ()>) {
        static EMULATOR: OnceLock<Emulator> = OnceLock::new();
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let emulator = EMULATOR.get_or_init(|| {
            for (name, value) in [
                ("AMDGPU_EMULATOR_DEVICES", "gfx1100,gfx90a"),
                ("AMDGPU_EMULATOR_CHECK", "error"),
                ("AMDGPU_EMULATOR_LOG", "off"),
            ] {
                // SAFETY: the library is not loaded yet, and what else reads the environment are Rust's own functions.
                unsafe { std::env::set_var(name, value) };
            }
            // SAFETY: the emulator's initializers are Rust's own.
            let library = unsafe { libloading::Library::new(emulator()) }.unwrap();
            Self {
                runtime: Runtime::open(emulator()).unwrap(),
                library,
            }
        });
        (emulator, turn)
    }

    /// Makes devices usable again that met a fault: what a program can do short of ending.
    fn reset(&self) {
        let api = self.runtime.api();
        // SAFETY: the function of this name takes nothing.
        let reset = unsafe {
            self.library
                .get::<unsafe extern "C" fn() -> c_int>(b"hipDeviceReset\0")
        };
        for ordinal in (0..self.runtime.device_count().unwrap()).rev() {
            hip_loader::result::device::set(api, ordinal as c_int).unwrap();
            // SAFETY: nothing of the device is in use.
            assert_eq!(unsafe { reset.as_ref().unwrap()() }, 0);
        }
    }

    /// Lets the `nth` call of a function from now fail, or that of any; with `after` it does its work and then says that it
    /// failed.
    fn fail(&self, function: &str, nth: u64, code: c_int, after: bool) {
        let name: &[u8] = if after {
            b"amdgpuEmulatorFailAfter\0"
        } else {
            b"amdgpuEmulatorFailNext\0"
        };
        let function = CString::new(function).unwrap();
        // SAFETY: the functions of these names take a string and two numbers.
        let answer =
            unsafe { self.library.get::<FailFn>(name).unwrap()(function.as_ptr(), nth, code) };
        assert_eq!(answer, 0);
    }

    /// Forgets a failure that did not happen, and says whether there was one.
    fn clear(&self) -> bool {
        // SAFETY: the function of this name takes nothing.
        let pending = unsafe {
            self.library
                .get::<unsafe extern "C" fn() -> u64>(b"amdgpuEmulatorFailClear\0")
                .unwrap()()
        };
        pending > 0
    }

    /// Allocations, their bytes, modules, streams, events, graphs, graph executables, pools, user objects.
    fn alive(&self) -> [u64; 9] {
        let mut stats = [0_u64; 10];
        stats[0] = size_of_val(&stats) as u64;
        // SAFETY: the function of this name fills as many bytes as the first word says.
        let answer = unsafe {
            self.library
                .get::<unsafe extern "C" fn(*mut u64) -> c_int>(b"amdgpuEmulatorGetStats\0")
                .unwrap()(stats.as_mut_ptr())
        };
        assert_eq!(answer, 0);
        std::array::from_fn(|at| stats[at + 1])
    }
}

/// Runs `scenario` with each of its calls failing. A scenario says what went wrong as text.
fn fail_each_call(scenario: impl Fn(&Runtime) -> Result<(), String>) {
    let (emulator, _turn) = Emulator::alone();
    let (codes, seed) = (
        number("HIP_LOADER_CODES", 1),
        number("HIP_LOADER_SEED", rand::random_range(0..CODES.len() as u64)),
    );
    println!("HIP_LOADER_SEED={seed} HIP_LOADER_CODES={codes}");
    emulator.reset();
    scenario(&emulator.runtime).unwrap();
    let before = emulator.alive();
    // Whether the scenario has an `nth` call of the function, and whether its failure came out.
    let fails = |function: &str, nth, code, after| {
        emulator.fail(function, nth, code, after);
        let ended = scenario(&emulator.runtime);
        if emulator.clear() {
            ended.unwrap();
            return None;
        }
        let what = format!("call {nth} of {function} answered {code} (after its work: {after})");
        if code == LAUNCH_FAILURE {
            // As on hardware, nothing works on the device after that.
            emulator.reset();
        }
        assert_eq!(emulator.alive(), before, "leaked: {what}");
        if let Err(error) = &ended {
            assert!(names(error, code), "{what}: {error}");
        }
        scenario(&emulator.runtime).unwrap_or_else(|error| panic!("{what}, then: {error}"));
        assert_eq!(emulator.alive(), before, "leaked in the run after: {what}");
        Some(ended.is_err())
    };

    let (mut failures, mut errors) = (0, 0);
    'calls: for nth in 1.. {
        for code in nth + seed..nth + seed + codes {
            let code = CODES[code as usize % CODES.len()];
            let Some(is_error) = fails("*", nth, code, false) else {
                break 'calls;
            };
            failures += 1;
            errors += u64::from(is_error);
        }
    }
    println!("{errors} errors from {failures} failures");
    assert!(
        errors * 3 > failures,
        "{errors} errors from {failures} failures"
    );
    for function in REPORTERS {
        let calls = (1..).map_while(|nth| fails(function, nth, LAUNCH_FAILURE, true));
        println!(
            "{function}: {} calls failed after their work",
            calls.count()
        );
    }
}

/// Whether a message is of the failure that was asked for.
fn names(error: &str, code: c_int) -> bool {
    // A library that finds no device has none, which is an error of its own.
    error.contains(&format!("({code})"))
        || (code == NO_DEVICE && error.ends_with("offers no device"))
}

/// An error of this crate: what the library answered, or what a failed call was made into.
fn text(error: Error) -> String {
    let typed = matches!(error, Error::Hip(_) | Error::NoSuchDevice { .. });
    assert!(typed, "{error}");
    error.to_string()
}

#[test]
fn with_pool_and_cache() {
    fail_each_call(|runtime| everything(runtime, options(1 << 20)).map_err(text));
}

#[test]
fn without_pool_and_cache() {
    let options = DeviceOptions {
        use_pool: false,
        ..options(0)
    };
    fail_each_call(|runtime| everything(runtime, options.clone()).map_err(text));
}

#[test]
fn with_graphs_peers_and_occupancy() {
    fail_each_call(|runtime| everything_of_a_full_library(runtime, options(1 << 20)).map_err(text));
}

fn kernels() -> Kernels {
    Kernels::new(bundle("quantized.hipfb")).with_cast(bundle("cast.hipfb"))
}

/// Everything that quantized storage does with the device.
fn quantized_work(
    device: &HipDevice,
    file: &GgufFile,
    expected: &[f32],
) -> candle_core::Result<()> {
    let layer = QHipMatMul::new(file.tensor("matrix", device)?)?;
    let QHipMatMul::Quantized(weights) = &layer else {
        candle_core::bail!("the kernels multiply this type")
    };
    let xs = Tensor::ones((1, 256), candle_core::DType::F32, &Host::Cpu)?;
    let found = weights.dequantize()?.flatten_all()?.to_vec1::<f32>()?;
    assert_eq!(found, expected);
    candle_core::Module::forward(&layer, &xs)?;
    let storage = weights.storage();
    let bf16 =
        HipStorage::from_cpu_storage(device, &CpuStorage::BF16(vec![half::bf16::ONE; 12 * 256]))?;
    let (product, _) = storage.fwd(weights.shape(), &bf16, &Layout::contiguous((12, 256)))?;
    product.try_clone()?.to_cpu_storage()?;
    storage.dequantize_f16(8 * 256)?;
    weights.embedding(&Tensor::new(&[7_u32, 0], &Host::Cpu)?)?;
    let experts = Shape::from((2, 4, 256));
    let x = HipStorage::from_cpu_storage(device, &CpuStorage::F32(vec![1.0; 256]))?;
    let ids = HipStorage::from_cpu_storage(device, &CpuStorage::U32(vec![1, 0]))?;
    let (x_layout, ids_layout) = (Layout::contiguous((1, 1, 256)), Layout::contiguous((1, 2)));
    storage.indexed_moe_forward(&experts, &x, &x_layout, &ids, &ids_layout)?;
    let mut zeros = QHipStorage::zeros(device, 256, GgmlDType::F16)?;
    zeros.quantize(&x)?;
    zeros.dequantize(256)?;
    Ok(())
}

#[test]
fn quantized_storage_works() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("matrix.gguf");
    let numbers: Vec<f32> = (0..8 * 256).map(|at| (at % 37) as f32 - 18.0).collect();
    let matrix = Tensor::from_vec(numbers, (8, 256), &Host::Cpu).unwrap();
    let matrix = QTensor::quantize(&matrix, GgmlDType::Q8_0).unwrap();
    let expected = matrix.dequantize(&Host::Cpu).unwrap();
    let expected = expected.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let mut out = std::fs::File::create(&path).unwrap();
    candle_core::quantized::gguf_file::write(&mut out, &[], &[("matrix", &matrix)]).unwrap();
    let file = GgufFile::open(&path).unwrap();

    let kernels = kernels();
    fail_each_call(|runtime| {
        let context = Device::new(runtime, 0, options(1 << 20)).map_err(text)?;
        let device = HipDevice::new(&context, &kernels).map_err(text)?;
        quantized_work(&device, &file, &expected).map_err(|error| error.to_string())
    });
}
