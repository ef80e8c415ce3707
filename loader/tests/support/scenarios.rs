//! Programs that use everything that calls the library, for tests that let each call fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use hip_loader::gguf::{GgmlType, Weights};
use hip_loader::{
    CaptureMode, Device, DeviceOptions, Error, Event, EventTiming, LaunchConfig, Module,
    PinnedBuffer, Runtime, StreamOptions,
};

use super::kernels;

/// Uses everything that calls the library.
pub fn everything(runtime: &Runtime, options: DeviceOptions) -> Result<(), Error> {
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
    // SAFETY: the kernel writes as many numbers as its second argument says.
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
pub fn everything_of_a_full_library(
    runtime: &Runtime,
    options: DeviceOptions,
) -> Result<(), Error> {
    let device = Device::new(runtime, 0, options.clone())?;
    device.pci_bus_id()?;
    device.uuid()?;
    let urgent = StreamOptions {
        priority: Some(-1),
        ..StreamOptions::default()
    };
    let stream = hip_loader::Stream::new(&device, urgent)?;
    stream.priority()?;
    device.stream_priorities()?;
    let own = device.thread_stream()?;
    assert_eq!(own.raw(), device.thread_stream()?.raw());
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
        // SAFETY: the kernel writes as many numbers as its second argument says.
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
    // SAFETY: the buffer is there, and nothing else uses it.
    unsafe { exec.launch(&stream) }?;

    let peer = Device::new(runtime, 1, options)?;
    assert!(device.can_access_peer(&peer)?);
    device.enable_peer_access(&peer)?;
    let there = peer.new_stream()?;
    let mut far = there.alloc_zeros::<u32>(64)?;
    stream.memcpy_peer(&buffer, &mut far)?;
    stream.memcpy_dtod(&far, &mut buffer)?;
    stream.synchronize()?;
    device.disable_peer_access(&peer)?;
    assert!(stream.memcpy_dtod(&far, &mut buffer).is_err());
    Ok(())
}

pub fn options(cache_bytes: usize) -> DeviceOptions {
    DeviceOptions {
        cache_bytes,
        ..DeviceOptions::default()
    }
}
