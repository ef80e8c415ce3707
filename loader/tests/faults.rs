//! Every call of the library is made to fail once: each failure ends in a typed error or is made good, nothing leaks,
//! nothing panics, and the device can be used afterwards.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use hip_loader::gguf::{GgmlType, Weights};
use hip_loader::{
    CaptureMode, Device, DeviceOptions, Error, Event, EventTiming, LaunchConfig, Module,
    PinnedBuffer, Runtime, StreamOptions,
};
use support::{Stub, kernels};

const OUT_OF_MEMORY: i32 = 2;
const INVALID_VALUE: i32 = 1;
const LAUNCH_FAILURE: i32 = 719;
/// A status that the library has neither a name nor a text for.
const UNHEARD_OF: i32 = 12_345;

/// Uses everything that calls the library.
fn everything(runtime: &Runtime, options: DeviceOptions) -> Result<(), Error> {
    let device = Device::new(runtime, 0, options)?;
    device.name()?;
    device.memory_info()?;
    let stream = device.new_stream()?;
    let other = device.new_stream()?;

    // Memory, copies, and order between streams.
    let mut buffer = stream.clone_htod(&[1_u32, 2, 3])?;
    let copy = other.clone_dtod(&buffer)?;
    assert_eq!(other.clone_dtoh(&copy)?, [1, 2, 3]);
    stream.memset_bytes(&mut buffer, 0xFF)?;
    assert_eq!(stream.clone_dtoh(&buffer)?, [u32::MAX; 3]);
    let shared = stream.clone_htod(&[4_u8; 100])?.into_shared()?;
    assert_eq!(other.clone_dtoh(shared.slice(..2)?)?, [4, 4]);

    // Pinned memory.
    let mut pinned = PinnedBuffer::<u32>::zeroed(&device, 3)?;
    pinned.as_mut_slice()?.copy_from_slice(&[7, 8, 9]);
    stream.memcpy_htod_pinned(&pinned, &mut buffer)?;
    other.memcpy_dtoh_pinned(&buffer, &mut pinned)?;
    assert_eq!(pinned.as_slice()?, [7, 8, 9]);

    // Events and callbacks.
    let start = stream.record(EventTiming::Enabled)?;
    let stop = stream.record(EventTiming::Enabled)?;
    stop.synchronize()?;
    stop.elapsed(&start)?;
    Event::new(&device, EventTiming::Disabled)?.is_reached()?;
    other.wait(&stop)?;
    let called = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&called);
    stream.on_reached(move || {
        counter.fetch_add(1, Ordering::Relaxed);
    })?;
    stream.synchronize()?;
    assert_eq!(called.load(Ordering::Relaxed), 1);

    // Modules, kernels, launches.
    let module = Module::load(&device, &kernels())?;
    let increment = module.function("increment")?;
    let config = LaunchConfig::for_elements(3, 64);
    // SAFETY: the stub runs no kernel.
    unsafe {
        other
            .launch(&increment)
            .arg(&mut buffer)
            .arg(3_i32)
            .arg(1_i32)
            .run(config)
    }?;

    // Weights, as the quantized operations have them.
    let weights = Weights::upload(&stream, GgmlType::Q4_0, &[1; 36])?;
    assert_eq!(weights.download(&other)?, [1; 36]);
    Ok(())
}

/// What only a library with pools, graphs and peers can do.
fn everything_of_a_full_library(runtime: &Runtime, options: DeviceOptions) -> Result<(), Error> {
    let device = Device::new(runtime, 0, options.clone())?;
    device.pci_bus_id()?;
    device.uuid()?;
    let urgent = StreamOptions {
        priority: Some(-1),
        ..StreamOptions::default()
    };
    let stream = hip_loader::Stream::new(&device, urgent)?;
    stream.priority()?;
    stream.is_capturing()?;

    let module = Module::load(&device, &kernels())?;
    module.global("counter")?;
    let increment = module.function("increment")?;
    increment.register_count()?;
    increment.occupancy(0, None)?;
    increment.max_active_blocks(64, 0)?;

    let mut buffer = stream.alloc_zeros::<u32>(64)?;
    let config = LaunchConfig::for_elements(64, 64);
    let graph = stream.capture(CaptureMode::ThreadLocal, |stream| {
        // SAFETY: the stub runs no kernel.
        unsafe {
            stream
                .launch(&increment)
                .arg(&mut buffer)
                .arg(64_i32)
                .arg(1_i32)
                .run(config)
        }
    })?;
    graph.node_count()?;
    let exec = graph.instantiate()?;
    // SAFETY: the stub runs no kernel, and the buffer is there.
    unsafe { exec.launch(&stream) }?;

    let peer = Device::new(runtime, 1, options)?;
    assert!(device.can_access_peer(&peer)?);
    device.enable_peer_access(&peer)?;
    let there = peer.new_stream()?;
    let mut far = there.alloc_zeros::<u32>(64)?;
    stream.memcpy_peer(&buffer, &mut far)?;
    stream.memcpy_dtod(&far, &mut buffer)?;
    stream.synchronize()
}

fn options(cache_bytes: usize) -> DeviceOptions {
    DeviceOptions {
        cache_bytes,
        ..DeviceOptions::default()
    }
}

/// Runs `scenario` with each of its calls failing, and gives back how many there are.
fn fail_each_call(stub: &Stub, scenario: impl Fn(&Runtime) -> Result<(), Error>) -> i64 {
    let runtime = stub.runtime();
    let before = stub.calls();
    scenario(&runtime).unwrap();
    let calls = stub.calls() - before;
    assert_eq!(stub.alive(), [0; 7], "leaked without a failure");
    let mut errors = 0;
    for code in [OUT_OF_MEMORY, INVALID_VALUE, LAUNCH_FAILURE, UNHEARD_OF] {
        for nth in 1..=calls {
            stub.fail(nth, code);
            let ended = scenario(&runtime);
            let failed = stub.last_failed();
            stub.fail(0, 0);
            assert_eq!(
                stub.alive(),
                [0; 7],
                "leaked after {failed} (call {nth}) answered {code}"
            );
            if let Err(error) = ended {
                errors += 1;
                // The error is the one that was planted, and names the call.
                let Error::Hip(error) = &error else {
                    panic!("{failed} (call {nth}): {error}")
                };
                assert_eq!((error.code.0, error.call), (code, failed.as_str()));
            }
            scenario(&runtime).unwrap();
        }
    }
    assert!(
        errors > calls,
        "only {errors} of {} failures were noticed",
        4 * calls
    );
    calls
}

#[test]
fn with_pool_and_cache() {
    let stub = Stub::new(&["-DSTUB_R0600"]);
    fail_each_call(&stub, |runtime| everything(runtime, options(1 << 20)));
}

#[test]
fn with_pool_and_without_cache() {
    let stub = Stub::new(&["-DSTUB_R0600"]);
    fail_each_call(&stub, |runtime| everything(runtime, options(0)));
}

#[test]
fn with_a_library_that_has_the_bare_minimum() {
    let stub = Stub::new(&["-DSTUB_BARE"]);
    fail_each_call(&stub, |runtime| everything(runtime, options(1 << 20)));
}

#[test]
fn with_graphs_peers_and_occupancy() {
    let stub = Stub::new(&["-DSTUB_DEVICES=2"]);
    fail_each_call(&stub, |runtime| {
        everything_of_a_full_library(runtime, options(1 << 20))
    });
}

#[test]
fn a_device_that_never_answers_again_ends_in_errors_not_in_panics() {
    let stub = Stub::new(&["-DSTUB_DEVICES=2"]);
    let runtime = stub.runtime();
    let before = stub.calls();
    everything(&runtime, options(1 << 20)).unwrap();
    let calls = stub.calls() - before;
    for nth in 1..=calls {
        stub.fail_from(nth, LAUNCH_FAILURE);
        // What is called last are the releases of destructors, whose failures nobody sees.
        let _ = everything(&runtime, options(1 << 20));
        stub.fail_from(0, 0);
    }
    everything(&runtime, options(1 << 20)).unwrap();
}

#[test]
fn what_could_not_be_freed_is_freed_later() {
    let stub = Stub::new(&["-DSTUB_BARE"]);
    let device = Device::new(&stub.runtime(), 0, options(0)).unwrap();
    let stream = device.new_stream().unwrap();
    let buffer = stream.alloc_zeros::<u8>(100).unwrap();
    stub.fail_from(1, LAUNCH_FAILURE);
    drop(buffer);
    stub.fail_from(0, 0);
    assert_eq!((stub.alive()[0], device.pending_releases()), (1, 1));
    device.synchronize().unwrap();
    assert_eq!((stub.alive()[0], device.pending_releases()), (0, 0));
}

#[test]
fn memory_that_streams_keep_is_given_back_when_there_is_not_enough() {
    let stub = Stub::new(&["-DSTUB_R0600"]);
    let device = Device::new(&stub.runtime(), 0, options(1 << 20)).unwrap();
    let (stream, other) = (device.new_stream().unwrap(), device.new_stream().unwrap());
    drop(other.alloc_zeros::<u8>(1000).unwrap());
    assert_eq!(stub.alive()[0], 1);
    // The next call that asks for memory is the first one.
    stub.fail(2, OUT_OF_MEMORY);
    let buffer = stream.alloc_zeros::<u8>(5000).unwrap();
    assert_eq!(stub.last_failed(), "hipMallocAsync");
    assert_eq!(stub.alive()[0], 1);
    drop(buffer);
}

#[test]
fn a_stream_uses_its_memory_again_without_a_call() {
    let stub = Stub::new(&["-DSTUB_R0600"]);
    let device = Device::new(&stub.runtime(), 0, options(1 << 20)).unwrap();
    let (stream, other) = (device.new_stream().unwrap(), device.new_stream().unwrap());
    let first = stream.clone_htod(&[0_u8; 700]).unwrap();
    let address = first.ptr();
    drop(first);
    let allocations = stub.allocations();
    // 700 and 750 bytes are of one class.
    let second = stream.clone_htod(&[0_u8; 750]).unwrap();
    assert_eq!(second.ptr(), address);
    assert_eq!(stub.allocations(), allocations);
    // Another stream's work is not behind this one's, so it gets memory of its own.
    let third = other.clone_htod(&[0_u8; 750]).unwrap();
    assert_ne!(third.ptr(), address);
    drop((second, third));
    device.trim().unwrap();
    assert_eq!(stub.alive()[0], 0);
}

#[test]
fn a_capture_refuses_allocations_and_ends_after_an_error() {
    let stub = Stub::new(&[]);
    let device = stub.runtime().device(0).unwrap();
    let stream = device.new_stream().unwrap();
    let error = stream
        .capture(CaptureMode::default(), |stream| {
            stream.alloc_zeros::<u8>(100).map(drop)
        })
        .unwrap_err();
    assert!(error.to_string().contains("100 bytes"), "{error}");
    assert!(!stream.is_capturing().unwrap());
    assert_eq!(stub.alive()[5], 0);
    stream.alloc_zeros::<u8>(100).unwrap();
}
