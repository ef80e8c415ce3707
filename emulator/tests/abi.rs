//! The C ABI as a client sees it that loads the library: versions, errors, devices, streams, events, and failures on
//! demand.

#[macro_use]
mod abi_support;

use std::ffi::{CStr, c_int};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU32, Ordering};

use abi_support::code::*;
use abi_support::{Hip, MEMORY, Ptr, arg, kernels, one_device};
use amdhip64::hip::types::{hipDeviceProp_tR0000, hipDeviceProp_tR0600};

#[test]
fn versions_and_errors() {
    let (hip, _turn) = one_device();
    let (mut driver, mut runtime) = (0, 0);
    ok!(hip.hipInit(0));
    ok!(hip.hipDriverGetVersion(&mut driver));
    ok!(hip.hipRuntimeGetVersion(&mut runtime));
    assert_eq!((driver, runtime), (60_443_484, 60_443_484));
    expect!(INVALID_VALUE, hip.hipInit(1));
    expect!(INVALID_VALUE, hip.hipRuntimeGetVersion(null_mut()));
    assert_eq!(hip.name(NOT_READY), "hipErrorNotReady");
    assert_eq!(hip.name(12_345), "hipErrorUnknown");
    // SAFETY: the function takes any number and returns a string that lasts.
    let text = unsafe { CStr::from_ptr((hip.hipGetErrorString)(OUT_OF_MEMORY)) };
    assert_eq!(text, c"out of memory");

    let (mut address, mut status) = (null_mut(), -1);
    ok!(hip.hipGetProcAddress(
        c"hipMalloc".as_ptr(),
        &mut address,
        60_400_000,
        0,
        &mut status
    ));
    assert_eq!((address as usize, status), (hip.hipMalloc as usize, 0));
    let properties = c"hipGetDeviceProperties".as_ptr();
    ok!(hip.hipGetProcAddress(properties, &mut address, 60_400_000, 0, &mut status));
    assert_eq!(address as usize, hip.hipGetDevicePropertiesR0600 as usize);
    ok!(hip.hipGetProcAddress(properties, &mut address, 50_700_000, 0, &mut status));
    assert_eq!(address as usize, hip.hipGetDeviceProperties as usize);
    expect!(
        INVALID_VALUE,
        hip.hipGetProcAddress(
            c"hipNothing".as_ptr(),
            &mut address,
            60_400_000,
            0,
            &mut status
        )
    );
    assert_eq!((address, status), (null_mut(), 1));
}

#[test]
fn the_last_error_belongs_to_the_thread_and_stays_until_it_is_taken() {
    let (hip, _turn) = one_device();
    // SAFETY: these functions take nothing.
    let (take, peek, last) = unsafe {
        (
            || (hip.hipGetLastError)(),
            || (hip.hipPeekAtLastError)(),
            || (hip.hipExtGetLastError)(),
        )
    };
    take();
    expect!(INVALID_VALUE, hip.hipMalloc(null_mut(), 1));
    let pointer = hip.malloc(1);
    assert_eq!(last(), SUCCESS);
    std::thread::scope(|scope| scope.spawn(|| assert_eq!(peek(), SUCCESS)).join())
        .expect("no panic");
    assert_eq!(peek(), INVALID_VALUE);
    assert_eq!(take(), INVALID_VALUE);
    assert_eq!(take(), SUCCESS);
    hip.free(pointer);
}

#[test]
fn the_device_tells_the_same_in_every_way() {
    let (hip, _turn) = one_device();
    let mut count = 0;
    ok!(hip.hipGetDeviceCount(&mut count));
    assert_eq!(count, 1);
    let (mut old, mut new) = (
        hipDeviceProp_tR0000::zeroed(),
        hipDeviceProp_tR0600::zeroed(),
    );
    ok!(hip.hipGetDeviceProperties((&raw mut old).cast(), 0));
    ok!(hip.hipGetDevicePropertiesR0600((&raw mut new).cast(), 0));
    let text = |bytes: &[u8]| {
        CStr::from_bytes_until_nul(bytes)
            .expect("a zero at the end")
            .to_owned()
    };
    assert_eq!(
        text(&new.name).as_c_str(),
        c"AMD Radeon RX 7900 XTX (emulated)"
    );
    assert_eq!(text(&new.gcnArchName).as_c_str(), c"gfx1100");
    assert_eq!(text(&old.gcnArchName).as_c_str(), c"gfx1100");
    assert_eq!(
        (old.warpSize, new.warpSize, new.major, new.minor),
        (32, 32, 11, 0)
    );
    assert_eq!(
        (
            old.totalGlobalMem,
            new.totalGlobalMem,
            new.sharedMemPerBlock
        ),
        (MEMORY, MEMORY, 65_536)
    );
    for (attribute, expected) in [
        (87, 32),                      // WarpSize
        (56, 1024),                    // MaxThreadsPerBlock
        (63, new.multiProcessorCount), // MultiprocessorCount
        (23, 11),                      // ComputeCapabilityMajor
        (10, 1),                       // CooperativeLaunch
    ] {
        let mut value = -1;
        ok!(hip.hipDeviceGetAttribute(&mut value, attribute, 0));
        assert_eq!(value, expected, "attribute {attribute}");
    }
    let mut value = 0;
    expect!(
        INVALID_VALUE,
        hip.hipDeviceGetAttribute(&mut value, 9_999, 0)
    );
    expect!(INVALID_DEVICE, hip.hipDeviceGetAttribute(&mut value, 87, 1));
    expect!(INVALID_DEVICE, hip.hipSetDevice(1));
    expect!(INVALID_DEVICE, hip.hipSetDevice(-1));
    expect!(INVALID_VALUE, hip.hipGetDeviceProperties(null_mut(), 0));

    let mut name = [0x7f; 8];
    ok!(hip.hipDeviceGetName(name.as_mut_ptr(), 8, 0));
    assert_eq!(name.map(|c| c as u8), *b"AMD Rad\0");
    expect!(INVALID_VALUE, hip.hipDeviceGetName(name.as_mut_ptr(), 0, 0));
    let mut address = [0; 32];
    ok!(hip.hipDeviceGetPCIBusId(address.as_mut_ptr(), 32, 0));
    let mut found = -1;
    ok!(hip.hipDeviceGetByPCIBusId(&mut found, address.as_ptr()));
    assert_eq!(found, 0);
    expect!(
        INVALID_DEVICE,
        hip.hipDeviceGetByPCIBusId(&mut found, c"0000:ff:00.0".as_ptr())
    );
}

static CALLED: AtomicU32 = AtomicU32::new(0);

extern "C" fn host_function(data: Ptr) {
    // Notes the order of its calls.
    CALLED.store(
        CALLED.load(Ordering::Relaxed) * 10 + data as u32,
        Ordering::Relaxed,
    );
}

extern "C" fn callback(_stream: Ptr, status: c_int, data: Ptr) {
    assert_eq!(status, SUCCESS);
    host_function(data);
}

extern "C" fn recursive(stream: Ptr) {
    // A host function must not use its own stream: an error, not a deadlock.
    let (hip, value) = (HIP.get().expect("set by the test"), arg(&0_u32));
    expect!(ILLEGAL_STATE, hip.hipStreamSynchronize(stream));
    let _ = value;
    CALLED.store(1, Ordering::Relaxed);
}

static HIP: std::sync::OnceLock<&'static Hip> = std::sync::OnceLock::new();

#[test]
fn streams_and_events() {
    let (hip, _turn) = one_device();
    let before = hip.alive();
    let mut stream = null_mut();
    ok!(hip.hipStreamCreateWithPriority(&mut stream, 1, -100));
    let (mut priority, mut flags, mut device) = (0, 0, -1);
    ok!(hip.hipStreamGetPriority(stream, &mut priority));
    ok!(hip.hipStreamGetFlags(stream, &mut flags));
    ok!(hip.hipStreamGetDevice(stream, &mut device));
    assert_eq!((priority, flags, device), (-1, 1, 0));
    expect!(
        INVALID_VALUE,
        hip.hipStreamCreateWithFlags(&mut null_mut(), 2)
    );

    let (start, stop) = (hip.event(), hip.event());
    let mut ms = -1.0;
    expect!(
        INVALID_HANDLE,
        hip.hipEventElapsedTime(&mut ms, start, stop)
    );
    ok!(hip.hipEventRecord(start, stream));
    std::thread::sleep(std::time::Duration::from_millis(5));
    ok!(hip.hipEventRecord(stop, stream));
    ok!(hip.hipStreamWaitEvent(null_mut(), stop, 0));
    ok!(hip.hipEventQuery(stop));
    ok!(hip.hipEventSynchronize(stop));
    ok!(hip.hipEventElapsedTime(&mut ms, start, stop));
    assert!((5.0..5000.0).contains(&ms), "{ms}");
    ok!(hip.hipEventElapsedTime(&mut ms, stop, start));
    assert!(ms <= -5.0, "{ms}");
    let mut untimed = null_mut();
    ok!(hip.hipEventCreateWithFlags(&mut untimed, 2));
    ok!(hip.hipEventRecord(untimed, stream));
    expect!(
        INVALID_HANDLE,
        hip.hipEventElapsedTime(&mut ms, start, untimed)
    );
    expect!(
        INVALID_VALUE,
        hip.hipEventCreateWithFlags(&mut null_mut(), 0x100)
    );

    CALLED.store(0, Ordering::Relaxed);
    ok!(hip.hipLaunchHostFunc(stream, Some(host_function), 1 as Ptr));
    ok!(hip.hipStreamAddCallback(stream, Some(callback), 2 as Ptr, 0));
    ok!(hip.hipLaunchHostFunc(stream, Some(host_function), 3 as Ptr));
    ok!(hip.hipStreamSynchronize(stream));
    assert_eq!(CALLED.load(Ordering::Relaxed), 123);
    expect!(
        INVALID_VALUE,
        hip.hipLaunchHostFunc(stream, None, null_mut())
    );
    HIP.get_or_init(|| hip);
    ok!(hip.hipLaunchHostFunc(stream, Some(recursive), stream));
    assert_eq!(CALLED.load(Ordering::Relaxed), 1);

    // Handles of other kinds, of nothing, and of what is gone.
    for wrong in [start, 0x1234 as Ptr, stream.wrapping_byte_add(8)] {
        expect!(INVALID_HANDLE, hip.hipStreamSynchronize(wrong));
    }
    expect!(INVALID_HANDLE, hip.hipEventQuery(stream));
    expect!(INVALID_HANDLE, hip.hipEventQuery(null_mut()));
    expect!(INVALID_HANDLE, hip.hipStreamDestroy(null_mut()));
    for event in [start, stop, untimed] {
        ok!(hip.hipEventDestroy(event));
        expect!(INVALID_HANDLE, hip.hipEventDestroy(event));
    }
    ok!(hip.hipStreamDestroy(stream));
    expect!(INVALID_HANDLE, hip.hipStreamDestroy(stream));
    expect!(INVALID_HANDLE, hip.hipMemsetAsync(null_mut(), 0, 0, stream));
    assert_eq!(hip.alive(), before);
}

#[test]
fn values_in_streams() {
    let (hip, _turn) = one_device();
    let place = hip.upload(&[0_u32; 4]);
    ok!(hip.hipStreamWriteValue32(null_mut(), place, 77, 0));
    // At least, equal, a common bit.
    for (flags, value) in [(0, 70), (1, 77), (2, 4)] {
        ok!(hip.hipStreamWaitValue32(null_mut(), place, value, flags, u32::MAX));
    }
    expect!(
        INVALID_VALUE,
        hip.hipStreamWaitValue32(null_mut(), place, 1, 9, u32::MAX)
    );
    expect!(
        INVALID_VALUE,
        hip.hipStreamWriteValue32(null_mut(), place.wrapping_byte_add(2), 1, 0)
    );
    expect!(
        INVALID_VALUE,
        hip.hipStreamWriteValue32(null_mut(), place.wrapping_byte_add(16), 1, 0)
    );
    // Another thread may bring the value.
    std::thread::scope(|scope| {
        let place = place as usize;
        scope.spawn(move || ok!(hip.hipStreamWriteValue32(2 as Ptr, place as Ptr, 100, 0)));
        ok!(hip.hipStreamWaitValue32(null_mut(), place as Ptr, 100, 0, u32::MAX));
    });
    hip.free(place);
}

#[test]
fn failures_on_demand() {
    let (hip, _turn) = one_device();
    let before = hip.alive();
    let mut pointer = null_mut();
    ok!(hip.amdgpuEmulatorFailNext(c"hipMalloc".as_ptr(), 2, OUT_OF_MEMORY));
    let first = hip.malloc(4);
    ok!(hip.hipMemset(first, 0, 4));
    expect!(OUT_OF_MEMORY, hip.hipMalloc(&mut pointer, 4));
    hip.free(hip.malloc(4));
    // Any call, and one that does its work before it fails.
    ok!(hip.amdgpuEmulatorFailNext(c"*".as_ptr(), 1, NOT_READY));
    expect!(NOT_READY, hip.hipFree(first));
    ok!(hip.amdgpuEmulatorFailAfter(c"hipFree".as_ptr(), 1, LAUNCH_FAILURE));
    expect!(LAUNCH_FAILURE, hip.hipFree(first));
    assert_eq!(hip.alive(), before);
    // That error stays on the device.
    expect!(LAUNCH_FAILURE, hip.hipMalloc(&mut pointer, 4));
    ok!(hip.hipDeviceReset());
    hip.free(hip.malloc(4));

    ok!(hip.amdgpuEmulatorFailNext(c"hipStreamCreate".as_ptr(), 1, INVALID_VALUE));
    // SAFETY: these functions take nothing.
    unsafe {
        assert_eq!((hip.amdgpuEmulatorFailPending)(), 1);
        assert_eq!((hip.amdgpuEmulatorFailClear)(), 1);
        assert_eq!((hip.amdgpuEmulatorFailPending)(), 0);
    }
    for (name, count, error) in [
        (c"hipMalloc", 0, 2),
        (c"hipMalloc", 1, 0),
        (c"", 1, 2),
        (c"hipMalloc", 1, 12_345),
    ] {
        expect!(
            INVALID_VALUE,
            hip.amdgpuEmulatorFailNext(name.as_ptr(), count, error)
        );
    }
}

#[test]
fn threads_on_streams_of_their_own_and_on_one() {
    let (hip, _turn) = one_device();
    let before = hip.alive();
    let module = hip.load_module(&kernels()) as usize;
    let increment = hip.function(module as Ptr, c"increment") as usize;
    let shared = (hip.stream() as usize, hip.upload(&[0_u32; 64]) as usize);
    std::thread::scope(|scope| {
        for thread in 0..8_u32 {
            scope.spawn(move || {
                let (stream, mine) = (hip.stream(), hip.upload(&vec![thread; 64]));
                let all = shared.1 as Ptr;
                for _ in 0..50 {
                    assert_eq!(
                        hip.launch(
                            increment as Ptr,
                            2,
                            32,
                            stream,
                            &mut [arg(&mine), arg(&1_u32)]
                        ),
                        SUCCESS
                    );
                    // Launches on one stream take turns, so nothing is lost.
                    let arguments = &mut [arg(&all), arg(&1_u32)];
                    assert_eq!(
                        hip.launch(increment as Ptr, 2, 32, shared.0 as Ptr, arguments),
                        SUCCESS
                    );
                    hip.free(hip.malloc(1 << 17));
                }
                ok!(hip.hipStreamSynchronize(stream));
                assert_eq!(hip.download::<u32>(mine, 64), [thread + 50; 64]);
                hip.free(mine);
                ok!(hip.hipStreamDestroy(stream));
            });
        }
    });
    ok!(hip.hipDeviceSynchronize());
    assert_eq!(hip.download::<u32>(shared.1 as Ptr, 64), [400; 64]);
    hip.free(shared.1 as Ptr);
    ok!(hip.hipStreamDestroy(shared.0 as Ptr));
    ok!(hip.hipModuleUnload(module as Ptr));
    assert_eq!(hip.alive(), before);
}
