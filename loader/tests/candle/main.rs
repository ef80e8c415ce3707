//! Quantized storage, tensors and files at candle's level, against candle-core's CPU code.
//!
//! The emulated machine has a device with wavefronts of 32 and one with wavefronts of 64, and watches memory: an access that
//! hardware would let pass is an error here. Bundles are those of `hipify-candle build`.

#[path = "../support/mod.rs"]
mod support;

mod cases;
mod examples;
mod files;
mod grids;
mod storage;
mod threads;

use std::sync::OnceLock;

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{CpuStorage, DType, Device, Tensor};
use hip_loader::candle::{HipDevice, HipStorage, Kernels};
use hip_loader::{DeviceOptions, Runtime};
use rand::Rng;
use support::{bundle, number};

include!("../support/emulator.rs");

/// Types that the matrix kernels multiply.
const MULTIPLIED: [GgmlDType; 10] = {
    use GgmlDType::*;
    [Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2K, Q3K, Q4K, Q5K, Q6K]
};
/// Types with experts.
const EXPERTS: [GgmlDType; 6] = {
    use GgmlDType::*;
    [Q8_0, Q2K, Q3K, Q4K, Q5K, Q6K]
};
const ALL: [GgmlDType; 15] = {
    use GgmlDType::*;
    [
        F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q8_1, Q2K, Q3K, Q4K, Q5K, Q6K, Q8K,
    ]
};

/// The emulated devices by their ordinals. The last two belong to one test each.
const DEVICES: [&str; 5] = ["gfx1100", "gfx90a", "gfx1201", "gfx1100", "gfx1100"];
/// A device with wavefronts of 32.
const WAVE32: usize = 0;
/// A device with wavefronts of 64.
const WAVE64: usize = 1;
/// The device whose memory is counted.
const COUNTED: usize = 3;
/// The device that a kernel is made to fail on.
const SPOILT: usize = 4;

fn kernels() -> Kernels {
    Kernels::new(bundle("quantized.hipfb")).with_cast(bundle("cast.hipfb"))
}

/// The library with all devices.
fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let devices = DEVICES.join(",");
        for (name, value) in [
            ("AMDGPU_EMULATOR_DEVICES", devices.as_str()),
            ("AMDGPU_EMULATOR_CHECK", "error"),
        ] {
            // SAFETY: the library is not loaded yet, and what else reads the environment are Rust's own functions.
            unsafe { std::env::set_var(name, value) };
        }
        let runtime = Runtime::open(emulator()).unwrap();
        for (ordinal, name) in DEVICES.into_iter().enumerate() {
            let target = runtime.device(ordinal).unwrap().target().to_string();
            assert!(target.starts_with(name), "device {ordinal} is {target}");
        }
        runtime
    })
}

fn device_with(ordinal: usize, options: DeviceOptions) -> HipDevice {
    let device = hip_loader::Device::new(runtime(), ordinal, options).unwrap();
    HipDevice::new(&device, &kernels()).unwrap()
}

/// A device for tests. Allocations are as large as asked for, so that the emulator sees their ends.
fn device(ordinal: usize) -> &'static HipDevice {
    static MADE: [OnceLock<HipDevice>; DEVICES.len()] = [const { OnceLock::new() }; DEVICES.len()];
    MADE[ordinal].get_or_init(|| {
        let options = DeviceOptions {
            cache_bytes: 0,
            ..DeviceOptions::default()
        };
        device_with(ordinal, options)
    })
}

/// Numbers that every 8-bit quantization of candle and of the kernels holds exactly.
fn exact(rng: &mut impl Rng, len: usize, scale: f32) -> Vec<f32> {
    let mut numbers: Vec<f32> = (0..len)
        .map(|_| rng.random_range(-40..=40) as f32)
        .collect();
    for block in numbers.chunks_mut(32) {
        let at = rng.random_range(0..block.len());
        block[at] = 127.0;
    }
    numbers.iter_mut().for_each(|number| *number *= scale);
    numbers
}

fn weights(rng: &mut impl Rng, rows: usize, columns: usize, dtype: GgmlDType) -> QTensor {
    let numbers: Vec<f32> = (0..rows * columns)
        .map(|_| rng.random_range(-1.0..1.0))
        .collect();
    let tensor = Tensor::from_vec(numbers, (rows, columns), &Device::Cpu).unwrap();
    QTensor::quantize(&tensor, dtype).unwrap()
}

fn floats(storage: &HipStorage) -> Vec<f32> {
    match storage.to_cpu_storage().unwrap() {
        CpuStorage::F32(floats) => floats,
        CpuStorage::F16(floats) => floats.into_iter().map(half::f16::to_f32).collect(),
        CpuStorage::BF16(floats) => floats.into_iter().map(half::bf16::to_f32).collect(),
        other => panic!("{other:?}"),
    }
}

/// Each product may differ by the rounding of its sum (relative to the sum of its terms without signs) and of its dtype.
fn compare(found: &[f32], dense: &[f32], xs: &[f32], columns: usize, dtype: DType, what: &str) {
    let rounding = match dtype {
        DType::F16 => 2.0_f64.powi(-11),
        DType::BF16 => 2.0_f64.powi(-8),
        _ => 0.0,
    };
    let rows = dense.len() / columns;
    assert_eq!(found.len() * columns, xs.len() * rows, "{what}: size");
    for (i, x) in xs.chunks(columns).enumerate() {
        for (j, w) in dense.chunks(columns).enumerate() {
            let terms = w.iter().zip(x).map(|(&w, &x)| f64::from(w) * f64::from(x));
            let (sum, size) = terms.fold((0.0, 0.0), |(sum, size), term| {
                (sum + term, size + term.abs())
            });
            let (found, limit) = (
                f64::from(found[i * rows + j]),
                1e-5 * size + rounding * sum.abs(),
            );
            assert!(
                (found - sum).abs() <= limit + 1e-6,
                "{what}: row {i}, column {j}: {found}, expected {sum} within {limit}"
            );
        }
    }
}

fn dense(tensor: &QTensor) -> Vec<f32> {
    tensor
        .dequantize(&Device::Cpu)
        .unwrap()
        .flatten_all()
        .unwrap()
        .to_vec1()
        .unwrap()
}

fn upload(device: &HipDevice, storage: CpuStorage) -> HipStorage {
    HipStorage::from_cpu_storage(device, &storage).unwrap()
}
