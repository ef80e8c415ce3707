//! The examples' own checks, on every architecture.

#[path = "../../examples/transformer/block.rs"]
mod block;
#[path = "../../examples/backend/check.rs"]
mod check;
#[path = "../../examples/backend/device.rs"]
mod device;
#[path = "../../examples/backend/rocm.rs"]
mod rocm;

use hip_loader::DeviceOptions;
use hip_loader::gguf::GgufKernels;

use super::support::bundle;
use super::{WAVE32, WAVE64};

fn transformer_on(ordinal: usize) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("block.gguf");
    block::write(&path).unwrap();
    let mut steps = 0;
    let device = super::device_with(ordinal, DeviceOptions::default());
    let found = block::compare(&path, &device, |_| steps += 1).unwrap();
    assert_eq!(steps, 9);
    // The vector kernels take up to 8 rows.
    assert!(found.iter().any(|distances| distances.tokens == 1));
    assert!(found.iter().any(|distances| distances.tokens > 8));
    for distances in found {
        println!("{}: {distances:?}", super::DEVICES[ordinal]);
        assert!(distances.is_rounding(), "{distances:?}");
    }
}

#[test]
fn a_transformer_block_agrees_with_candle_on_gfx1100() {
    transformer_on(WAVE32);
}

#[test]
fn a_transformer_block_agrees_with_candle_on_gfx90a() {
    transformer_on(WAVE64);
}

#[test]
fn a_transformer_block_agrees_with_candle_on_gfx1201() {
    transformer_on(2);
}

#[test]
fn a_backend_with_its_own_memory_agrees_with_candle() {
    let runtime = super::runtime();
    for ordinal in [WAVE32, WAVE64] {
        let context = runtime.device(ordinal).unwrap();
        let kernels = GgufKernels::load(&context, &bundle("quantized.hipfb")).unwrap();
        // The backend makes its device current, as it would with bindings of its own.
        hip_loader::result::device::set(runtime.api(), ordinal as i32).unwrap();
        let device = device::RocmDevice::new(kernels).unwrap();
        check::check(&device, |line| println!("{line}")).unwrap();
    }
    hip_loader::result::device::set(runtime.api(), 0).unwrap();
}
