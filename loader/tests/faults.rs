//! Every call of the library is made to fail once: each failure ends in a typed error or is made good, nothing leaks,
//! nothing panics, and the device can be used afterwards.

mod support;

use hip_loader::{CaptureMode, Device, Error, Runtime};
use support::Stub;
use support::scenarios::{everything, everything_of_a_full_library, options};

const OUT_OF_MEMORY: i32 = 2;
const INVALID_VALUE: i32 = 1;
const LAUNCH_FAILURE: i32 = 719;
/// A status that the library has neither a name nor a text for.
const UNHEARD_OF: i32 = 12_345;

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
