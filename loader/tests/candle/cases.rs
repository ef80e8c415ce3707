//! Random types, shapes, batches and offsets.
//!
//! Activations are integers up to 127 times a power of two, with 127 in every block of 32: Q8_1 and candle's own Q8_0,
//! Q8_1 and Q8K hold them exactly. So both sides multiply the same numbers, and what is left is the rounding of f32 sums:
//! an error in a shape, an offset or a block shows, however small its weight is.
//!
//! `HIP_LOADER_CASES` says how many cases a device gets, `HIP_LOADER_SEED` where they start; a failure prints both.

use candle_core::quantized::QMatMul;
use candle_core::{CpuStorage, DType, Device, Layout, Module, Shape, Tensor};
use hip_loader::candle::{HipDevice, QHipStorage};
use hip_loader::gguf::Operation;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

fn columns(rng: &mut impl Rng, dtype: GgmlDType, most: usize) -> usize {
    let block = dtype.block_size().max(32);
    block * rng.random_range(1..=most / block)
}

fn as_dtype(numbers: Vec<f32>, dtype: DType) -> CpuStorage {
    match dtype {
        DType::F16 => CpuStorage::F16(numbers.into_iter().map(half::f16::from_f32).collect()),
        DType::BF16 => CpuStorage::BF16(numbers.into_iter().map(half::bf16::from_f32).collect()),
        _ => CpuStorage::F32(numbers),
    }
}

/// A product of random shape, from the middle of a larger tensor.
fn fwd_case(device: &HipDevice, rng: &mut ChaCha8Rng) -> String {
    let dtype = MULTIPLIED[rng.random_range(0..MULTIPLIED.len())];
    let columns = columns(rng, dtype, 1024);
    // Mostly small, so that there can be many; a large one now and then.
    let most_rows = if rng.random_bool(0.1) { 150 } else { 20 };
    let rows = rng.random_range(1..=most_rows);
    let most = if rng.random_bool(0.1) { 70 } else { 9 };
    let (batch, tokens) = (rng.random_range(1..=2), rng.random_range(1..=most));
    let activations = [DType::F32, DType::F16, DType::BF16][rng.random_range(0..3)];
    let what = format!("fwd {dtype:?} {rows}x{columns}, {batch}x{tokens} {activations:?}");
    let tensor = weights(rng, rows, columns, dtype);
    let storage = QHipStorage::from_data(device, &tensor.data().unwrap(), dtype).unwrap();
    let offset = rng.random_range(0..=70);
    let xs = exact(rng, batch * tokens * columns, 1.0 / 64.0);
    let padded = [vec![0.5; offset], xs.clone(), vec![0.5; columns]].concat();
    let cpu = as_dtype(padded, activations);
    let shape = if batch == 1 && rng.random_bool(0.5) {
        Shape::from((tokens, columns))
    } else {
        Shape::from((batch, tokens, columns))
    };
    let layout = Layout::contiguous_with_offset(shape.clone(), offset);
    let (out, out_shape) = storage
        .fwd(tensor.shape(), &upload(device, cpu), &layout)
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(out.dtype(), activations, "{what}");
    assert_eq!(
        out_shape.dims()[..shape.rank() - 1],
        shape.dims()[..shape.rank() - 1],
        "{what}"
    );
    compare(
        &floats(&out),
        &dense(&tensor),
        &xs,
        columns,
        activations,
        &what,
    );
    // Candle's own product of the same tensors.
    let xs = Tensor::from_vec(xs, shape, &Device::Cpu).unwrap();
    let expected = QMatMul::from_qtensor(tensor).unwrap().forward(&xs).unwrap();
    assert_eq!(expected.dims(), out_shape.dims(), "{what}");
    if activations == DType::F32 {
        let expected: Vec<f32> = expected.flatten_all().unwrap().to_vec1().unwrap();
        let norm = |numbers: &mut dyn Iterator<Item = f32>| {
            numbers
                .map(|number| f64::from(number).powi(2))
                .sum::<f64>()
                .sqrt()
        };
        let found = floats(&out);
        let mut differences = found
            .iter()
            .zip(&expected)
            .map(|(found, expected)| found - expected);
        let (difference, size) = (norm(&mut differences), norm(&mut expected.iter().copied()));
        // Candle keeps the sums of Q8_1 in f16, as the kernels do.
        assert!(
            difference <= 2e-3 * size + 1e-4,
            "{what}: {difference} of {size} from candle's"
        );
    }
    what
}

fn dequantize_case(device: &HipDevice, rng: &mut ChaCha8Rng) -> String {
    let dtype = ALL[rng.random_range(0..ALL.len())];
    let (rows, columns) = (rng.random_range(1..=9), columns(rng, dtype, 1280));
    let what = format!("dequantize {dtype:?} {rows}x{columns}");
    let tensor = weights(rng, rows, columns, dtype);
    let storage = QHipStorage::from_data(device, &tensor.data().unwrap(), dtype).unwrap();
    assert_eq!(
        storage.storage_size_in_bytes(),
        tensor.storage_size_in_bytes()
    );
    assert_eq!(storage.data().unwrap(), tensor.data().unwrap().as_ref());
    let expected = dense(&tensor);
    let found = floats(&storage.dequantize(rows * columns).unwrap());
    for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
        // The kernels fuse a multiplication and an addition that candle rounds one by one.
        let limit = 1e-6 * expected.abs().max(1e-2);
        assert!(
            (found - expected).abs() <= limit,
            "{what}: {at}: {found}, expected {expected}"
        );
    }
    let halves = floats(&storage.dequantize_f16(rows * columns).unwrap());
    for (half, full) in halves.iter().zip(&found) {
        assert!(
            (half - full).abs() <= full.abs() / 1024.0 + 1e-7,
            "{what}: {half}, {full}"
        );
    }
    what
}

fn embedding_case(device: &HipDevice, rng: &mut ChaCha8Rng) -> String {
    let dtype = ALL[rng.random_range(0..ALL.len())];
    let (rows, columns) = (rng.random_range(1..=20), columns(rng, dtype, 1024));
    let count = rng.random_range(0..=12);
    let what = format!("embedding {dtype:?} {rows}x{columns}, {count} ids");
    let tensor = weights(rng, rows, columns, dtype);
    let storage = QHipStorage::from_data(device, &tensor.data().unwrap(), dtype).unwrap();
    let ids: Vec<u32> = (0..count + 2)
        .map(|_| rng.random_range(0..rows as u32))
        .collect();
    let layout = Layout::contiguous_with_offset(count, 1);
    let found = storage.embedding(
        rows,
        columns,
        &upload(device, CpuStorage::U32(ids.clone())),
        &layout,
    );
    if !Operation::GetRows.supports(dtype.into()) {
        assert!(
            found
                .unwrap_err()
                .to_string()
                .contains("get_rows has no kernel for"),
            "{what}"
        );
        return what;
    }
    let found = floats(&found.unwrap());
    let all = dense(&tensor);
    for (i, &id) in ids[1..count + 1].iter().enumerate() {
        let expected = &all[id as usize * columns..][..columns];
        for (found, expected) in found[i * columns..][..columns].iter().zip(expected) {
            let limit = 1e-6 * expected.abs().max(1e-2);
            assert!(
                (found - expected).abs() <= limit,
                "{what}: {found}, expected {expected}"
            );
        }
    }
    what
}

fn moe_case(device: &HipDevice, rng: &mut ChaCha8Rng) -> String {
    let dtype = EXPERTS[rng.random_range(0..EXPERTS.len())];
    let columns = columns(rng, dtype, 768);
    let (experts, rows) = (rng.random_range(1..=4), rng.random_range(1..=9));
    let (tokens, topk) = (rng.random_range(1..=3), rng.random_range(1..=3));
    let inputs = if rng.random_bool(0.5) { 1 } else { topk };
    let what =
        format!("moe {dtype:?} {experts}x{rows}x{columns}, {tokens} tokens, {inputs}/{topk}");
    let tensor = weights(rng, experts * rows, columns, dtype);
    let storage = QHipStorage::from_data(device, &tensor.data().unwrap(), dtype).unwrap();
    let activations = [DType::F32, DType::F16, DType::BF16][rng.random_range(0..3)];
    let xs = exact(rng, tokens * inputs * columns, 1.0 / 64.0);
    let ids: Vec<u32> = (0..tokens * topk)
        .map(|_| rng.random_range(0..experts as u32))
        .collect();
    // Both from the middle of larger tensors.
    let (before, ids_before) = (rng.random_range(0..=70), rng.random_range(0..=5));
    let padded = [vec![0.5; before], xs.clone(), vec![0.5; 3]].concat();
    let padded_ids = [vec![u32::MAX; ids_before], ids.clone(), vec![u32::MAX]].concat();
    let (out, shape) = storage
        .indexed_moe_forward(
            &Shape::from((experts, rows, columns)),
            &upload(device, as_dtype(padded, activations)),
            &Layout::contiguous_with_offset((tokens, inputs, columns), before),
            &upload(device, CpuStorage::U32(padded_ids)),
            &Layout::contiguous_with_offset((tokens, topk), ids_before),
        )
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(shape.dims(), [tokens, topk, rows]);
    assert_eq!(out.dtype(), activations, "{what}");
    let (found, all) = (floats(&out), dense(&tensor));
    for (task, &id) in ids.iter().enumerate() {
        let expert = &all[id as usize * rows * columns..][..rows * columns];
        let input = if inputs == 1 { task / topk } else { task };
        let (x, out) = (
            &xs[input * columns..][..columns],
            &found[task * rows..][..rows],
        );
        compare(out, expert, x, columns, activations, &what);
    }
    what
}

/// Cases of every kind on one device.
fn run_cases(ordinal: usize) {
    let (cases, seed) = (
        number("HIP_LOADER_CASES", 2000),
        number("HIP_LOADER_SEED", rand::random()),
    );
    println!(
        "HIP_LOADER_SEED={seed} HIP_LOADER_CASES={cases} on {}",
        DEVICES[ordinal]
    );
    let device = device(ordinal);
    for case in 0..cases {
        let mut rng = ChaCha8Rng::seed_from_u64(seed.wrapping_add(case));
        let what = match rng.random_range(0..5) {
            0 | 1 => fwd_case(device, &mut rng),
            2 => dequantize_case(device, &mut rng),
            3 => embedding_case(device, &mut rng),
            _ => moe_case(device, &mut rng),
        };
        println!("{case}: {what}");
    }
}

#[test]
fn random_cases_agree_with_candle_on_wave32() {
    run_cases(WAVE32);
}

#[test]
fn random_cases_agree_with_candle_on_wave64() {
    run_cases(WAVE64);
}

#[test]
fn a_read_of_memory_that_nobody_wrote_is_an_error_here() {
    let device = runtime().device(SPOILT).unwrap();
    let stream = device.new_stream().unwrap();
    let module = hip_loader::Module::load(&device, &support::kernels()).unwrap();
    let saxpy = module.function("saxpy").unwrap();
    // SAFETY: that nothing is written before the kernel reads it is what is tested.
    let x = unsafe { stream.alloc::<f32>(64) }.unwrap();
    let mut y = stream.alloc_zeros::<f32>(64).unwrap();
    let mut launch = stream.launch(&saxpy);
    launch.arg(1.0_f32).arg(&x).arg(&mut y).arg(64_i32);
    // SAFETY: the kernel reads and writes 64 elements.
    let launched = unsafe { launch.run(hip_loader::LaunchConfig::for_elements(64, 64)) };
    let error = launched.and_then(|()| stream.synchronize()).unwrap_err();
    assert!(matches!(error, hip_loader::Error::Hip(_)), "{error}");
}
