//! The safe layer on the emulated device: what kernels compute, and in which order.

mod support;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use hip_loader::{
    CaptureMode, Device, DeviceBuffer, DeviceOptions, Error, EventTiming, Function, LaunchConfig,
    Module, PinnedBuffer, Runtime, Stream, StreamOptions,
};
use support::kernels;

include!("support/emulator.rs");

fn device_with(options: DeviceOptions) -> Device {
    Device::new(&Runtime::open(emulator()).unwrap(), 0, options).unwrap()
}

fn device() -> Device {
    device_with(DeviceOptions::default())
}

fn increment(
    stream: &Stream,
    kernel: &Function,
    buffer: &mut DeviceBuffer<u32>,
    rounds: i32,
) -> Result<(), Error> {
    let len = buffer.len() as u32;
    let config = LaunchConfig::for_elements(len, 256);
    // SAFETY: the kernel writes as many elements as its second argument says.
    unsafe {
        stream
            .launch(kernel)
            .arg(buffer)
            .arg(len as i32)
            .arg(rounds)
            .run(config)
    }
}

#[test]
fn the_device_says_what_it_is() {
    let device = device();
    assert!(device.target().to_string().starts_with("gfx"));
    assert!([32, 64].contains(&device.limits().wavefront_size));
    assert!(!device.name().unwrap().is_empty());
    let memory = device.memory_info().unwrap();
    assert!(memory.free <= memory.total && memory.total > 0);
    let same = device.runtime().current_device().unwrap();
    assert_eq!(same.ordinal(), 0);
    assert_ne!(same, device, "two contexts on one device are two contexts");
}

#[test]
fn arguments_of_every_size_arrive() {
    let device = device();
    let module = Module::load(&device, &kernels()).unwrap();
    let stream = device.new_stream().unwrap();
    let mut out = stream.alloc_zeros::<i64>(8).unwrap();
    let one = LaunchConfig::new([1; 3], [1; 3]);
    let values = module.function("values").unwrap();
    let pair = [7_u64, 8 << 48];
    // SAFETY: the kernel writes eight numbers.
    unsafe {
        stream
            .launch(&values)
            .arg(&mut out)
            .arg(-1_i8)
            .arg(-2_i16)
            .arg(-3_i32)
            .arg(-4_i64)
            .arg(5.0_f32)
            .arg(6.0_f64)
            .arg(pair)
            .run(one)
    }
    .unwrap();
    assert_eq!(
        stream.clone_dtoh(&out).unwrap(),
        [-1, -2, -3, -4, 5, 6, 7, 8]
    );

    let many = module.function("many").unwrap();
    let mut launch = stream.launch(&many);
    launch.arg(&mut out);
    for value in 0..40_i64 {
        launch.arg(value);
    }
    // SAFETY: the kernel writes one number.
    unsafe { launch.run(one) }.unwrap();
    let expected = (0..40_i64)
        .map(|value| (value / 8 + 1) * value)
        .sum::<i64>();
    assert_eq!(stream.clone_dtoh(&out).unwrap()[0], expected);
}

#[test]
fn dynamic_shared_memory_and_device_variables_work() {
    let device = device();
    let module = Module::load(&device, &kernels()).unwrap();
    let stream = device.new_stream().unwrap();
    let numbers: Vec<i32> = (0..1024).collect();
    let x = stream.clone_htod(&numbers).unwrap();
    let mut sums = stream.alloc_zeros::<i32>(4).unwrap();
    let sum = module.function("block_sum").unwrap();
    let config = LaunchConfig {
        grid: [4, 1, 1],
        block: [256, 1, 1],
        shared_bytes: 1024,
    };
    // SAFETY: the kernel reads 256 numbers a block and writes one.
    unsafe { stream.launch(&sum).arg(&x).arg(&mut sums).run(config) }.unwrap();
    let expected: Vec<i32> = numbers
        .chunks(256)
        .map(|chunk| chunk.iter().sum())
        .collect();
    assert_eq!(stream.clone_dtoh(&sums).unwrap(), expected);

    let (address, bytes) = module.global("counter").unwrap();
    assert_eq!(bytes, 4);
    assert_ne!(address.0, 0);
    let read = module.function("read_counter").unwrap();
    // SAFETY: the kernel writes one number.
    unsafe {
        stream
            .launch(&read)
            .arg(&mut sums)
            .run(LaunchConfig::new([1; 3], [1; 3]))
    }
    .unwrap();
    assert_eq!(stream.clone_dtoh(&sums).unwrap()[0], 7);
}

#[test]
fn slices_are_parts_and_ranges_are_checked() {
    let stream = device().new_stream().unwrap();
    let mut buffer = stream.clone_htod(&[0_u32, 1, 2, 3, 4, 5]).unwrap();
    assert_eq!(
        stream.clone_dtoh(buffer.slice(2..=3).unwrap()).unwrap(),
        [2, 3]
    );
    assert!(buffer.slice(2..7).is_err());
    assert!(buffer.slice_mut(7..).is_err());
    #[allow(clippy::reversed_empty_ranges)]
    let reversed = buffer.slice(4..2).unwrap_err().to_string();
    assert_eq!(reversed, "elements 4..2 of a buffer of 6");
    let (first, mut second) = buffer.as_slice_mut().split_at_mut(4).unwrap();
    stream
        .memcpy_dtod(first.as_slice().slice(..2).unwrap(), &mut second)
        .unwrap();
    assert_eq!(stream.clone_dtoh(&buffer).unwrap(), [0, 1, 2, 3, 0, 1]);
    let bytes = buffer.as_slice().cast::<u8>().unwrap();
    assert_eq!(
        (
            bytes.len(),
            bytes.slice(4..5).unwrap().cast::<u16>().is_err()
        ),
        (24, true)
    );
    assert!(
        bytes.slice(1..5).unwrap().cast::<u32>().is_err(),
        "not aligned"
    );
    assert!(stream.memcpy_htod(&[1_u32, 2], &mut buffer).is_err());
    let empty = stream.clone_htod::<f32>(&[]).unwrap();
    assert!(empty.is_empty() && stream.clone_dtoh(&empty).unwrap().is_empty());
    assert!(stream.alloc_zeros::<u64>(usize::MAX / 4).is_err());
}

#[test]
fn uses_on_many_streams_are_one_after_another() {
    let device = device();
    let module = Module::load(&device, &kernels()).unwrap();
    let kernel = module.function("increment").unwrap();
    let streams: Vec<_> = (0..4).map(|_| device.new_stream().unwrap()).collect();
    let mut buffer = streams[0].alloc_zeros::<u32>(2000).unwrap();
    for step in 0..40 {
        increment(&streams[step * 7 % 4], &kernel, &mut buffer, 50).unwrap();
    }
    let copy = streams[3].clone_dtod(&buffer).unwrap();
    increment(&streams[1], &kernel, &mut buffer, 50).unwrap();
    assert_eq!(streams[2].clone_dtoh(&copy).unwrap(), [40; 2000]);
    assert_eq!(
        device.default_stream().clone_dtoh(&buffer).unwrap(),
        [41; 2000]
    );
}

#[test]
fn pinned_copies_do_not_wait_and_are_waited_for() {
    let device = device();
    let module = Module::load(&device, &kernels()).unwrap();
    let kernel = module.function("increment").unwrap();
    let (one, other) = (device.new_stream().unwrap(), device.new_stream().unwrap());
    let mut host = PinnedBuffer::<u32>::zeroed(&device, 5000).unwrap();
    let mut buffer = one.alloc_zeros::<u32>(5000).unwrap();
    for round in 1..=5 {
        one.memcpy_htod_pinned(&host, &mut buffer).unwrap();
        increment(&other, &kernel, &mut buffer, 200).unwrap();
        other.memcpy_dtoh_pinned(&buffer, &mut host).unwrap();
        if round == 3 {
            assert_eq!(host.as_slice().unwrap(), [3; 5000]);
        }
    }
    host.as_mut_slice().unwrap()[0] += 10;
    assert_eq!(host.as_slice().unwrap()[..2], [15, 5]);
    assert!(
        PinnedBuffer::<u8>::zeroed(&device, 0)
            .unwrap()
            .as_slice()
            .unwrap()
            .is_empty()
    );
}

#[test]
fn events_and_callbacks_come_after_the_work_before_them() {
    let device = device();
    let module = Module::load(&device, &kernels()).unwrap();
    let kernel = module.function("increment").unwrap();
    let stream = device.new_stream().unwrap();
    let mut buffer = stream.alloc_zeros::<u32>(10_000).unwrap();
    let start = stream.record(EventTiming::Enabled).unwrap();
    increment(&stream, &kernel, &mut buffer, 500).unwrap();
    let called = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&called);
    stream
        .on_reached(move || counter.store(1, Ordering::SeqCst))
        .unwrap();
    // A panic goes no further than the callback.
    stream
        .on_reached(|| panic!("this panic is part of a test"))
        .unwrap();
    let stop = stream.record(EventTiming::Enabled).unwrap();
    stop.synchronize().unwrap();
    assert_eq!(called.load(Ordering::SeqCst), 1);
    assert!(start.is_reached().unwrap() && stop.is_reached().unwrap());
    assert!(stop.elapsed(&start).unwrap().as_nanos() > 0);
    assert!(stream.is_idle().unwrap());
    let priority = StreamOptions {
        priority: Some(-1),
        blocking: true,
    };
    Stream::new(&device, priority).unwrap().priority().unwrap();
}

#[test]
fn a_graph_does_its_work_as_often_as_it_is_launched() {
    let device = device();
    let module = Module::load(&device, &kernels()).unwrap();
    let kernel = module.function("increment").unwrap();
    let stream = device.new_stream().unwrap();
    let mut buffer = stream.alloc_zeros::<u32>(1000).unwrap();
    let graph = stream
        .capture(CaptureMode::default(), |stream| {
            assert!(stream.is_capturing()?);
            increment(stream, &kernel, &mut buffer, 5)?;
            increment(stream, &kernel, &mut buffer, 5)
        })
        .unwrap();
    assert_eq!(
        stream.clone_dtoh(&buffer).unwrap(),
        [0; 1000],
        "recorded, not run"
    );
    assert_eq!(graph.node_count().unwrap(), 2);
    let exec = graph.instantiate().unwrap();
    drop(graph);
    for _ in 0..3 {
        // SAFETY: buffer and module are there, and nothing else uses the buffer.
        unsafe { exec.launch(&stream) }.unwrap();
    }
    assert_eq!(stream.clone_dtoh(&buffer).unwrap(), [6; 1000]);
    let error = stream.capture(CaptureMode::default(), |stream| {
        stream.alloc_zeros::<u8>(1).map(drop)
    });
    assert!(error.is_err());
    assert_eq!(
        stream.clone_dtoh(&buffer).unwrap(),
        [6; 1000],
        "the stream works again"
    );
}

#[test]
fn threads_share_a_device_a_stream_and_a_buffer() {
    let device = device();
    let module = Module::load(&device, &kernels()).unwrap();
    let shared = device.new_stream().unwrap();
    let start = Barrier::new(8);
    thread::scope(|scope| {
        for thread in 0..8 {
            let (module, shared, device, start) = (&module, &shared, &device, &start);
            scope.spawn(move || {
                // Half of the threads have a stream of their own.
                let own = device.new_stream().unwrap();
                let stream = if thread % 2 == 0 { shared } else { &own };
                let kernel = module.function("increment").unwrap();
                start.wait();
                for round in 0..20 {
                    let mut buffer = stream.clone_htod(&vec![thread; 700 + round]).unwrap();
                    for _ in 0..5 {
                        increment(stream, &kernel, &mut buffer, 3).unwrap();
                    }
                    let found = stream.clone_dtoh(&buffer).unwrap();
                    assert_eq!(found, vec![thread + 5; 700 + round]);
                }
            });
        }
    });
}
