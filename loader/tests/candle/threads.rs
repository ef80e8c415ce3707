//! Threads: with streams of their own, and on one stream together.
//!
//! `HIP_LOADER_ROUNDS` says how often each thread does its work.

use std::sync::Barrier;
use std::thread;

use candle_core::{CpuStorage, Layout, Shape};
use hip_loader::candle::{HipDevice, QHipStorage};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

const ROWS: usize = 33;
const COLUMNS: usize = 512;

/// What every thread computes: products by the vector and the matrix kernels, dequantized weights, rows of them.
struct Work {
    storage: QHipStorage,
    shape: Shape,
    activations: Vec<f32>,
}

impl Work {
    fn new(device: &HipDevice, rng: &mut ChaCha8Rng) -> Self {
        let tensor = weights(rng, ROWS, COLUMNS, GgmlDType::Q5K);
        Self {
            storage: QHipStorage::from_data(device, &tensor.data().unwrap(), GgmlDType::Q5K)
                .unwrap(),
            shape: tensor.shape().clone(),
            activations: (0..12 * COLUMNS)
                .map(|_| rng.random_range(-1.0..1.0))
                .collect(),
        }
    }

    /// The bits of all results.
    fn run(&self, device: &HipDevice) -> Vec<u32> {
        let storage = self.storage.on(device).unwrap();
        let mut bits = Vec::new();
        let mut keep = |out: &HipStorage| bits.extend(floats(out).into_iter().map(f32::to_bits));
        for rows in [1, 3, 12] {
            let part = self.activations[..rows * COLUMNS].to_vec();
            let input = upload(device, CpuStorage::F32(part));
            let layout = Layout::contiguous((rows, COLUMNS));
            keep(&storage.fwd(&self.shape, &input, &layout).unwrap().0);
        }
        keep(&storage.dequantize(ROWS * COLUMNS).unwrap());
        let ids = upload(device, CpuStorage::U32(vec![32, 0, 7]));
        let layout = Layout::contiguous(3);
        keep(&storage.embedding(ROWS, COLUMNS, &ids, &layout).unwrap());
        bits
    }
}

#[test]
fn threads_get_the_same_bits_as_one_and_leave_nothing_behind() {
    let rounds = number("HIP_LOADER_ROUNDS", 50);
    let observer = runtime().device(COUNTED).unwrap();
    let free = || observer.memory_info().unwrap().free;
    let before = free();
    {
        let device = device_with(COUNTED, DeviceOptions::default());
        let work = Work::new(&device, &mut ChaCha8Rng::seed_from_u64(4));
        let expected = work.run(&device);
        // Eight threads with a stream each, and four that share one.
        let shared = device.with_new_stream().unwrap();
        let start = Barrier::new(12);
        thread::scope(|scope| {
            for thread in 0..12 {
                let (device, shared, start) = (&device, &shared, &start);
                let (work, expected) = (&work, &expected);
                scope.spawn(move || {
                    let own = (thread < 8).then(|| device.with_new_stream().unwrap());
                    let device = own.as_ref().unwrap_or(shared);
                    start.wait();
                    for round in 0..rounds {
                        assert!(
                            &work.run(device) == expected,
                            "thread {thread}, round {round}"
                        );
                    }
                });
            }
        });
        assert!(free() < before, "nothing was in use");
        assert_eq!(device.device().pending_releases(), 0);
    }
    assert_eq!(free(), before);
}
