//! Several devices of different architectures in one process, and what HIP 5 tells differently.

#[macro_use]
mod abi_support;

use std::ffi::c_int;
use std::ptr::null_mut;
use std::sync::MutexGuard;

use abi_support::code::*;
use abi_support::{Hip, KERNELS, ON_DEVICE, Ptr, arg, bundle, hip_with};
use amdhip64::hip::types::{hipDeviceProp_tR0600, hipPointerAttribute_t};

fn hip() -> (&'static Hip, MutexGuard<'static, ()>) {
    hip_with(&[
        (
            "AMDGPU_EMULATOR_DEVICES",
            "gfx1100, nonsense, gfx90a:xnack-,gfx1201",
        ),
        ("AMDGPU_EMULATOR_MEMORY", "64M,128M"),
        ("AMDGPU_EMULATOR_LOG", "off"),
    ])
}

fn current(hip: &Hip) -> c_int {
    let mut device = -1;
    ok!(hip.hipGetDevice(&mut device));
    device
}

#[test]
fn the_environment_names_the_devices() {
    let (hip, _turn) = hip();
    let (mut count, mut version) = (0, 0);
    ok!(hip.hipGetDeviceCount(&mut count));
    assert_eq!(count, 3);
    // The library was loaded as libamdhip64.so.
    ok!(hip.hipRuntimeGetVersion(&mut version));
    assert_eq!(version, 50_731_921);
    for (device, name, wave, memory) in [
        (0, "gfx1100", 32, 64_usize << 20),
        (1, "gfx90a:sramecc+:xnack-", 64, 128 << 20),
        (2, "gfx1201", 32, 128 << 20),
    ] {
        let mut properties = hipDeviceProp_tR0600::zeroed();
        ok!(hip.hipGetDevicePropertiesR0600((&raw mut properties).cast(), device));
        assert!(properties.gcnArchName.starts_with(name.as_bytes()));
        assert_eq!(
            (properties.warpSize, properties.totalGlobalMem),
            (wave, memory)
        );
        assert_eq!(properties.pciBusID, device + 3);
    }
}

#[test]
fn each_device_has_its_own_memory_streams_and_code() {
    let (hip, _turn) = hip();
    let before = hip.alive();
    // One bundle for all: each device takes its code object.
    let image = bundle(KERNELS, &["gfx1100", "gfx90a", "gfx1201"]);
    let mut loaded = Vec::new();
    for device in 0..3 {
        ok!(hip.hipSetDevice(device));
        assert_eq!(current(hip), device);
        let module = hip.load_module(&image);
        let values = hip.upload(&[device as u32; 64]);
        loaded.push((
            device,
            module,
            hip.function(module, c"increment"),
            values,
            hip.stream(),
        ));
    }
    for (device, _, function, values, stream) in &loaded {
        let arguments = &mut [arg(values), arg(&100_u32)];
        assert_eq!(
            hip.launch(*function, 1, 64, *stream, arguments),
            SUCCESS,
            "device {device}"
        );
        let mut of_stream = -1;
        ok!(hip.hipStreamGetDevice(*stream, &mut of_stream));
        assert_eq!(of_stream, *device);
    }
    // A function of one device is not launched on a stream of another.
    let arguments = &mut [arg(&loaded[0].3), arg(&1_u32)];
    assert_eq!(
        hip.launch(loaded[0].2, 1, 64, loaded[1].4, arguments),
        INVALID_DEVICE
    );
    // Copies between devices.
    ok!(hip.hipMemcpyPeer(loaded[2].3, 2, loaded[1].3, 1, 256));
    assert_eq!(hip.download::<u32>(loaded[2].3, 64), [101; 64]);
    ok!(hip.hipMemcpy(loaded[0].3, loaded[2].3, 256, ON_DEVICE));
    assert_eq!(hip.download::<u32>(loaded[0].3, 64), [101; 64]);
    // A fault of one device leaves the others alone.
    let wild = hip.function(loaded[1].1, c"wild");
    ok!(hip.hipSetDevice(1));
    assert_eq!(
        hip.launch(wild, 1, 1, null_mut(), &mut [arg(&loaded[1].3)]),
        ILLEGAL_ADDRESS
    );
    expect!(ILLEGAL_ADDRESS, hip.hipDeviceSynchronize());
    ok!(hip.hipSetDevice(0));
    ok!(hip.hipDeviceSynchronize());
    ok!(hip.hipSetDevice(1));
    ok!(hip.hipDeviceReset());
    ok!(hip.hipDeviceSynchronize());
    for (device, module, _, values, stream) in loaded {
        ok!(hip.hipSetDevice(device));
        ok!(hip.hipModuleUnload(module));
        if device != 1 {
            hip.free(values);
            ok!(hip.hipStreamDestroy(stream));
        }
    }
    ok!(hip.hipSetDevice(0));
    assert_eq!(hip.alive(), before);
}

#[test]
fn the_current_device_belongs_to_the_thread() {
    let (hip, _turn) = hip();
    ok!(hip.hipSetDevice(2));
    std::thread::scope(|scope| scope.spawn(|| assert_eq!(current(hip), 0)).join())
        .expect("no panic");
    assert_eq!(current(hip), 2);
    ok!(hip.hipSetDevice(0));
    let (mut context, mut popped, mut now) = (null_mut(), null_mut(), null_mut());
    expect!(INVALID_CONTEXT, hip.hipCtxPopCurrent(&mut popped));
    ok!(hip.hipCtxCreate(&mut context, 0, 1));
    assert_eq!(current(hip), 1);
    ok!(hip.hipCtxGetCurrent(&mut now));
    assert_eq!(now, context);
    ok!(hip.hipCtxPopCurrent(&mut popped));
    assert_eq!((popped, current(hip)), (context, 0));
    ok!(hip.hipCtxPushCurrent(context));
    assert_eq!(current(hip), 1);
    ok!(hip.hipCtxDestroy(context));
    assert_eq!(current(hip), 0);
    ok!(hip.hipCtxSetCurrent(context));
    assert_eq!(current(hip), 1);
    expect!(INVALID_CONTEXT, hip.hipCtxSetCurrent(0x10 as Ptr));
    ok!(hip.hipSetDevice(0));
}

#[test]
fn peers() {
    let (hip, _turn) = hip();
    let mut can = -1;
    ok!(hip.hipDeviceCanAccessPeer(&mut can, 0, 1));
    assert_eq!(can, 1);
    ok!(hip.hipDeviceCanAccessPeer(&mut can, 1, 1));
    assert_eq!(can, 0);
    ok!(hip.hipDeviceEnablePeerAccess(1, 0));
    expect!(PEER_ALREADY_ENABLED, hip.hipDeviceEnablePeerAccess(1, 0));
    expect!(INVALID_DEVICE, hip.hipDeviceEnablePeerAccess(0, 0));
    ok!(hip.hipDeviceDisablePeerAccess(1));
    expect!(PEER_NOT_ENABLED, hip.hipDeviceDisablePeerAccess(1));
}

#[test]
fn memory_types_are_those_of_hip_5() {
    let (hip, _turn) = hip();
    let mut attributes = hipPointerAttribute_t::zeroed();
    let device = hip.malloc(4);
    ok!(hip.hipPointerGetAttributes((&raw mut attributes).cast(), device));
    assert_eq!(attributes.type_, 1);
    // HIP 5 has no number for memory that it does not know.
    let host = 0_u32;
    expect!(
        INVALID_VALUE,
        hip.hipPointerGetAttributes((&raw mut attributes).cast(), arg(&host))
    );
    hip.free(device);
}
