//! Nothing is left of a device that is dropped. A process of its own: the emulated device has its memory counted as a whole.

mod support;

use hip_loader::{Device, DeviceOptions, LaunchConfig, Module, PinnedBuffer, Runtime};
use support::kernels;

include!("support/emulator.rs");

#[test]
fn all_memory_comes_back() {
    let runtime = Runtime::open(emulator()).unwrap();
    let options = |cache_bytes| DeviceOptions {
        cache_bytes,
        ..DeviceOptions::default()
    };
    let observer = Device::new(&runtime, 0, options(0)).unwrap();
    let before = observer.memory_info().unwrap().free;
    for cache_bytes in [0, 1 << 20, 1 << 30] {
        for use_pool in [false, true] {
            let options = DeviceOptions {
                use_pool,
                ..options(cache_bytes)
            };
            let device = Device::new(&runtime, 0, options).unwrap();
            let module = Module::load(&device, &kernels()).unwrap();
            let increment = module.function("increment").unwrap();
            let (stream, other) = (device.new_stream().unwrap(), device.new_stream().unwrap());
            let mut pinned = PinnedBuffer::<u32>::zeroed(&device, 1000).unwrap();
            for len in [1000, 1_000_000] {
                let mut buffer = stream.alloc_zeros::<u32>(len).unwrap();
                let config = LaunchConfig::for_elements(len as u32, 256);
                // SAFETY: the kernel writes as many elements as its second argument says.
                unsafe {
                    other
                        .launch(&increment)
                        .arg(&mut buffer)
                        .arg(len as i32)
                        .arg(1_i32)
                        .run(config)
                }
                .unwrap();
                let part = buffer.slice(..1000).unwrap();
                stream.memcpy_dtoh_pinned(part, &mut pinned).unwrap();
                assert_eq!(pinned.as_slice().unwrap(), [1; 1000]);
                let shared = other.clone_dtod(&buffer).unwrap().into_shared().unwrap();
                assert_eq!(stream.clone_dtoh(shared.slice(..1).unwrap()).unwrap(), [1]);
            }
            assert!(
                observer.memory_info().unwrap().free < before,
                "nothing was in use"
            );
        }
        let after = observer.memory_info().unwrap().free;
        assert_eq!(after, before, "{} bytes are gone", before.abs_diff(after));
    }
}
