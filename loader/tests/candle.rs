//! Quantized storage against candle-core's CPU code, on random types, shapes, batches and offsets.
//!
//! Activations are integers up to 127 times a power of two, with 127 in every block of 32: Q8_1 and candle's own Q8_0,
//! Q8_1 and Q8K hold them exactly. So both sides multiply the same numbers, and what is left is the rounding of f32 sums:
//! an error in a shape, an offset or a block shows, however small its weight is.
//!
//! `HIP_LOADER_CASES` says how many cases there are, `HIP_LOADER_SEED` where they start; a failure prints both.

mod support;

use std::sync::{Arc, OnceLock};
use std::thread;

use candle_core::quantized::{GgmlDType, QMatMul, QTensor, gguf_file};
use candle_core::{CpuStorage, DType, Device, Layout, Module, Shape, Tensor};
use hip_loader::candle::{
    GgufFile, HipDevice, HipStorage, Kernels, QHipMatMul, QHipStorage, QHipTensor,
};
use hip_loader::gguf::{GgmlType, GgufKernels, KernelId};
use hip_loader::{DeviceOptions, Image, Runtime};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

include!("support/emulator.rs");

/// Types that the matrix kernels multiply.
const MULTIPLIED: [GgmlDType; 10] = {
    use GgmlDType::*;
    [Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2K, Q3K, Q4K, Q5K, Q6K]
};
/// Types with experts.
const EXPERTS: [GgmlDType; 6] = {
    use GgmlDType::*;
    [Q8_0, Q2K, Q3K, Q4K, Q5K, Q6K]
};
const ALL: [GgmlDType; 15] = {
    use GgmlDType::*;
    [
        F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q8_1, Q2K, Q3K, Q4K, Q5K, Q6K, Q8K,
    ]
};

/// A bundle that `hipify-candle build` made.
fn bundle(name: &str) -> Image {
    let folder = std::env::var_os("HIP_LOADER_TEST_BUNDLES").map_or_else(
        || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bundles"),
        std::path::PathBuf::from,
    );
    Image::open(folder.join(name)).unwrap_or_else(|error| {
        panic!("{error}; run `hipify-candle build --module quantized,cast`, or set HIP_LOADER_TEST_BUNDLES")
    })
}

fn device_with(options: DeviceOptions) -> HipDevice {
    let device = hip_loader::Device::new(&Runtime::open(emulator()).unwrap(), 0, options).unwrap();
    let kernels = Kernels::new(bundle("quantized.hipfb")).with_cast(bundle("cast.hipfb"));
    HipDevice::new(&device, &kernels).unwrap()
}

/// The device of the tests. Allocations are as large as asked for, so that the emulator's checker sees their ends.
fn device() -> &'static HipDevice {
    static DEVICE: OnceLock<HipDevice> = OnceLock::new();
    DEVICE.get_or_init(|| {
        device_with(DeviceOptions {
            cache_bytes: 0,
            ..DeviceOptions::default()
        })
    })
}

/// Numbers that every 8-bit quantization of candle and of the kernels holds exactly.
fn exact(rng: &mut impl Rng, len: usize, scale: f32) -> Vec<f32> {
    let mut numbers: Vec<f32> = (0..len)
        .map(|_| rng.random_range(-40..=40) as f32)
        .collect();
    for block in numbers.chunks_mut(32) {
        let at = rng.random_range(0..block.len());
        block[at] = 127.0;
    }
    numbers.iter_mut().for_each(|number| *number *= scale);
    numbers
}

fn weights(rng: &mut impl Rng, rows: usize, columns: usize, dtype: GgmlDType) -> QTensor {
    let numbers: Vec<f32> = (0..rows * columns)
        .map(|_| rng.random_range(-1.0..1.0))
        .collect();
    let tensor = Tensor::from_vec(numbers, (rows, columns), &Device::Cpu).unwrap();
    QTensor::quantize(&tensor, dtype).unwrap()
}

fn floats(storage: &HipStorage) -> Vec<f32> {
    match storage.to_cpu_storage().unwrap() {
        CpuStorage::F32(floats) => floats,
        CpuStorage::F16(floats) => floats.into_iter().map(half::f16::to_f32).collect(),
        CpuStorage::BF16(floats) => floats.into_iter().map(half::bf16::to_f32).collect(),
        other => panic!("{other:?}"),
    }
}

/// Each product may differ by the rounding of its sum (relative to the sum of its terms without signs) and of its dtype.
fn compare(found: &[f32], dense: &[f32], xs: &[f32], columns: usize, dtype: DType, what: &str) {
    let rounding = match dtype {
        DType::F16 => 2.0_f64.powi(-11),
        DType::BF16 => 2.0_f64.powi(-8),
        _ => 0.0,
    };
    let rows = dense.len() / columns;
    assert_eq!(found.len() * columns, xs.len() * rows, "{what}: size");
    for (i, x) in xs.chunks(columns).enumerate() {
        for (j, w) in dense.chunks(columns).enumerate() {
            let terms = w.iter().zip(x).map(|(&w, &x)| f64::from(w) * f64::from(x));
            let (sum, size) = terms.fold((0.0, 0.0), |(sum, size), term| {
                (sum + term, size + term.abs())
            });
            let (found, limit) = (
                f64::from(found[i * rows + j]),
                1e-5 * size + rounding * sum.abs(),
            );
            assert!(
                (found - sum).abs() <= limit + 1e-6,
                "{what}: row {i}, column {j}: {found}, expected {sum} within {limit}"
            );
        }
    }
}

fn dense(tensor: &QTensor) -> Vec<f32> {
    tensor
        .dequantize(&Device::Cpu)
        .unwrap()
        .flatten_all()
        .unwrap()
        .to_vec1()
        .unwrap()
}

fn upload(storage: CpuStorage) -> HipStorage {
    HipStorage::from_cpu_storage(device(), &storage).unwrap()
}

fn columns(rng: &mut impl Rng, dtype: GgmlDType, most: usize) -> usize {
    let block = dtype.block_size().max(32);
    block * rng.random_range(1..=most / block)
}

/// A product of random shape, from the middle of a larger tensor.
fn fwd_case(rng: &mut ChaCha8Rng) -> String {
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
    let storage = QHipStorage::from_data(device(), &tensor.data().unwrap(), dtype).unwrap();
    let offset = rng.random_range(0..3) * columns;
    let xs = exact(rng, batch * tokens * columns, 1.0 / 64.0);
    let padded = [vec![0.5; offset], xs.clone(), vec![0.5; columns]].concat();
    let cpu = match activations {
        DType::F32 => CpuStorage::F32(padded),
        DType::F16 => CpuStorage::F16(padded.into_iter().map(half::f16::from_f32).collect()),
        _ => CpuStorage::BF16(padded.into_iter().map(half::bf16::from_f32).collect()),
    };
    let shape = if batch == 1 && rng.random_bool(0.5) {
        Shape::from((tokens, columns))
    } else {
        Shape::from((batch, tokens, columns))
    };
    let layout = Layout::contiguous_with_offset(shape.clone(), offset);
    let (out, out_shape) = storage.fwd(tensor.shape(), &upload(cpu), &layout).unwrap();
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

fn dequantize_case(rng: &mut ChaCha8Rng) -> String {
    let dtype = ALL[rng.random_range(0..ALL.len())];
    let (rows, columns) = (rng.random_range(1..=9), columns(rng, dtype, 1280));
    let what = format!("dequantize {dtype:?} {rows}x{columns}");
    let tensor = weights(rng, rows, columns, dtype);
    let storage = QHipStorage::from_data(device(), &tensor.data().unwrap(), dtype).unwrap();
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

fn embedding_case(rng: &mut ChaCha8Rng) -> String {
    let dtype = ALL[rng.random_range(0..ALL.len())];
    let (rows, columns) = (rng.random_range(1..=20), columns(rng, dtype, 1024));
    let count = rng.random_range(0..=12);
    let what = format!("embedding {dtype:?} {rows}x{columns}, {count} ids");
    let tensor = weights(rng, rows, columns, dtype);
    let storage = QHipStorage::from_data(device(), &tensor.data().unwrap(), dtype).unwrap();
    let ids: Vec<u32> = (0..count + 2)
        .map(|_| rng.random_range(0..rows as u32))
        .collect();
    let layout = Layout::contiguous_with_offset(count, 1);
    let found = storage.embedding(
        rows,
        columns,
        &upload(CpuStorage::U32(ids.clone())),
        &layout,
    );
    if !hip_loader::gguf::Operation::GetRows.supports(dtype.into()) {
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

fn moe_case(rng: &mut ChaCha8Rng) -> String {
    let dtype = EXPERTS[rng.random_range(0..EXPERTS.len())];
    let columns = columns(rng, dtype, 768);
    let (experts, rows) = (rng.random_range(1..=4), rng.random_range(1..=9));
    let (tokens, topk) = (rng.random_range(1..=3), rng.random_range(1..=3));
    let inputs = if rng.random_bool(0.5) { 1 } else { topk };
    let what =
        format!("moe {dtype:?} {experts}x{rows}x{columns}, {tokens} tokens, {inputs}/{topk}");
    let tensor = weights(rng, experts * rows, columns, dtype);
    let storage = QHipStorage::from_data(device(), &tensor.data().unwrap(), dtype).unwrap();
    let xs = exact(rng, tokens * inputs * columns, 1.0 / 64.0);
    let ids: Vec<u32> = (0..tokens * topk)
        .map(|_| rng.random_range(0..experts as u32))
        .collect();
    let (out, shape) = storage
        .indexed_moe_forward(
            &Shape::from((experts, rows, columns)),
            &upload(CpuStorage::F32(xs.clone())),
            &Layout::contiguous((tokens, inputs, columns)),
            &upload(CpuStorage::U32(ids.clone())),
            &Layout::contiguous((tokens, topk)),
        )
        .unwrap();
    assert_eq!(shape.dims(), [tokens, topk, rows]);
    let (found, all) = (floats(&out), dense(&tensor));
    for (task, &id) in ids.iter().enumerate() {
        let expert = &all[id as usize * rows * columns..][..rows * columns];
        let input = if inputs == 1 { task / topk } else { task };
        let (x, out) = (
            &xs[input * columns..][..columns],
            &found[task * rows..][..rows],
        );
        compare(out, expert, x, columns, DType::F32, &what);
    }
    what
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable)
        .ok()
        .and_then(|value| value.parse().ok())
        .unwrap_or(default)
}

#[test]
fn random_cases_agree_with_candle() {
    let (cases, seed) = (
        number("HIP_LOADER_CASES", 120),
        number("HIP_LOADER_SEED", rand::random()),
    );
    println!("HIP_LOADER_SEED={seed} HIP_LOADER_CASES={cases}");
    for case in 0..cases {
        let mut rng = ChaCha8Rng::seed_from_u64(seed.wrapping_add(case));
        let what = match rng.random_range(0..5) {
            0 | 1 => fwd_case(&mut rng),
            2 => dequantize_case(&mut rng),
            3 => embedding_case(&mut rng),
            _ => moe_case(&mut rng),
        };
        println!("{case}: {what}");
    }
}

#[test]
fn every_kernel_takes_what_the_loader_gives() {
    let kernels: &GgufKernels = device().kernels();
    for id in KernelId::all() {
        kernels.function(id).unwrap();
    }
    for dtype in MULTIPLIED {
        let (family, tile) = kernels.tile(dtype.into()).unwrap();
        println!("{dtype:?}: {family}, {tile:?}");
    }
}

#[test]
fn forced_dequantization_does_not_quantize_activations() {
    let device = device().with_new_stream().unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    for dtype in MULTIPLIED {
        let (rows, columns, batch) = (5, 512, 3);
        let tensor = weights(&mut rng, rows, columns, dtype);
        // Numbers that Q8_1 does not hold.
        let xs: Vec<f32> = (0..batch * columns)
            .map(|_| rng.random_range(-1.0..1.0))
            .collect();
        let kernels = device.kernels();
        let weights = QHipStorage::from_data(&device, &tensor.data().unwrap(), dtype).unwrap();
        let input = device.stream().clone_htod(&xs).unwrap();
        let out = kernels
            .matmul_by(
                hip_loader::gguf::MatmulPath::DequantizeMulMatVec,
                device.stream(),
                weights.weights(),
                rows,
                columns,
                &input,
            )
            .unwrap();
        let found = device.stream().clone_dtoh(&out).unwrap();
        compare(
            &found,
            &dense(&tensor),
            &xs,
            columns,
            DType::F32,
            &format!("dmmv {dtype:?}"),
        );
    }
}

#[test]
fn what_cannot_be_is_refused_with_what_can() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let tensor = weights(&mut rng, 4, 256, GgmlDType::Q4_0);
    let storage =
        QHipStorage::from_data(device(), &tensor.data().unwrap(), GgmlDType::Q4_0).unwrap();
    let input = |len| upload(CpuStorage::F32(vec![0.0; len]));
    let fwd = |input: &HipStorage, layout: Layout| {
        storage
            .fwd(&Shape::from((4, 256)), input, &layout)
            .unwrap_err()
            .to_string()
    };
    let short = fwd(&input(128), Layout::contiguous((1, 128)));
    assert!(
        short.contains("activations [1, 128]") && short.contains("(..., 256)"),
        "{short}"
    );
    let outside = fwd(&input(256), Layout::contiguous((2, 256)));
    assert!(
        outside.contains("elements 0..512 of a buffer of 256"),
        "{outside}"
    );
    let strided = fwd(&input(512), Layout::new((2, 256).into(), vec![1, 2], 0));
    assert!(strided.contains("contiguous"), "{strided}");
    let ids = upload(CpuStorage::U32(vec![1, 4]));
    let dtype = fwd(&ids, Layout::contiguous((1, 256)));
    assert!(dtype.contains("f32, f16 and bf16 are possible"), "{dtype}");
    let error = storage
        .embedding(4, 256, &ids, &Layout::contiguous(2))
        .unwrap_err()
        .to_string();
    assert!(error.contains("id 1 names row 4 of 4"), "{error}");
    let error = storage.dequantize(7).unwrap_err().to_string();
    assert!(
        error.contains("7 elements were asked for, the storage has 1024"),
        "{error}"
    );
    let error = QHipStorage::from_data(device(), &[0; 17], GgmlDType::Q4_0)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("17 bytes are no whole number of Q4_0 blocks of 18 bytes"),
        "{error}"
    );
    let error = storage
        .indexed_moe_forward(
            &Shape::from((2, 2, 256)),
            &input(256),
            &Layout::contiguous((1, 1, 256)),
            &upload(CpuStorage::U32(vec![0])),
            &Layout::contiguous((1, 1)),
        )
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("indexed_moe_forward has no kernel for Q4_0"),
        "{error}"
    );
}

#[test]
fn quantization_is_candles() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let numbers: Vec<f32> = (0..2 * 512).map(|_| rng.random_range(-1.0..1.0)).collect();
    let tensor = Tensor::from_vec(numbers.clone(), (2, 512), &Device::Cpu).unwrap();
    let importance: Vec<f32> = (0..512).map(|_| rng.random_range(0.5..1.5)).collect();
    let on_device = upload(CpuStorage::F32(numbers.clone()));
    let on_host = CpuStorage::F32(numbers);
    for dtype in ALL {
        let expected = QTensor::quantize(&tensor, dtype).unwrap();
        let mut storage = QHipStorage::zeros(device(), 1024, dtype).unwrap();
        assert!(storage.data().unwrap().iter().all(|&byte| byte == 0));
        storage.quantize(&on_device).unwrap();
        assert_eq!(
            storage.data().unwrap(),
            expected.data().unwrap().as_ref(),
            "{dtype:?}"
        );
        storage.quantize_onto(&on_host).unwrap();
        assert_eq!(
            storage.data().unwrap(),
            expected.data().unwrap().as_ref(),
            "{dtype:?}"
        );
        let weighed = storage.quantize_imatrix(&on_device, &importance, 512);
        match QTensor::quantize_imatrix(&tensor, &importance, GgmlDType::Q4K) {
            _ if !MULTIPLIED[5..].contains(&dtype) => assert!(weighed.is_err(), "{dtype:?}"),
            _ => {
                let expected = QTensor::quantize_imatrix(&tensor, &importance, dtype).unwrap();
                weighed.unwrap();
                assert_eq!(storage.data().unwrap(), expected.data().unwrap().as_ref());
                storage
                    .quantize_imatrix_onto(&on_host, &importance, 512)
                    .unwrap();
                assert_eq!(storage.data().unwrap(), expected.data().unwrap().as_ref());
            }
        }
    }
}

#[test]
fn a_gguf_file_is_loaded_and_multiplied() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let tensors = [
        ("attn.weight", weights(&mut rng, 8, 256, GgmlDType::Q4K)),
        ("norm.weight", weights(&mut rng, 1, 256, GgmlDType::F32)),
    ];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    let pairs: Vec<_> = tensors
        .iter()
        .map(|(name, tensor)| (*name, tensor))
        .collect();
    let metadata = gguf_file::Value::U32(8);
    let mut out = std::fs::File::create(&path).unwrap();
    gguf_file::write(&mut out, &[("rows", &metadata)], &pairs).unwrap();
    drop(out);

    let file = GgufFile::open(&path).unwrap();
    assert_eq!(file.metadata()["rows"].to_u32().unwrap(), 8);
    let mut steps = Vec::new();
    let loaded = file
        .load(device(), |step| steps.push((step.tensors, step.bytes)))
        .unwrap();
    let total = tensors
        .iter()
        .map(|(_, tensor)| tensor.storage_size_in_bytes() as u64)
        .sum();
    assert_eq!(steps.last(), Some(&(2, total)));
    let xs = Tensor::from_vec(
        exact(&mut rng, 3 * 256, 1.0 / 64.0),
        (1, 3, 256),
        &Device::Cpu,
    )
    .unwrap();
    for (name, tensor) in &tensors {
        let layer = QHipMatMul::new(loaded[*name].clone()).unwrap();
        let found = layer.forward(&xs).unwrap();
        assert_eq!(found.dims()[..2], [1, 3]);
        let found: Vec<f32> = found.flatten_all().unwrap().to_vec1().unwrap();
        let xs: Vec<f32> = xs.flatten_all().unwrap().to_vec1().unwrap();
        compare(&found, &dense(tensor), &xs, 256, DType::F32, name);
    }
    let ids = Tensor::new(&[[3_u32, 0], [7, 3]], &Device::Cpu).unwrap();
    assert_eq!(
        loaded["attn.weight"].embedding(&ids).unwrap().dims(),
        [2, 2, 256]
    );
    let error = file.tensor("ffn.weight", device()).unwrap_err().to_string();
    assert!(error.contains("no tensor `ffn.weight`"), "{error}");

    let whole = std::fs::read(&path).unwrap();
    let cut = folder.path().join("cut.gguf");
    std::fs::write(&cut, &whole[..whole.len() - 1]).unwrap();
    let error = GgufFile::open(&cut).and_then(|file| file.load(device(), |_| {}));
    assert!(error.is_err());
}

#[test]
fn threads_get_the_same_bits_as_one() {
    let device = device_with(DeviceOptions::default());
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let tensor = weights(&mut rng, 33, 512, GgmlDType::Q5K);
    let layer = QHipTensor::from_qtensor(&tensor, &device).unwrap();
    let xs: Arc<Vec<f32>> = Arc::new((0..3 * 512).map(|_| rng.random_range(-1.0..1.0)).collect());
    let run = |device: &HipDevice, layer: &QHipTensor| {
        let storage = HipStorage::from_cpu_storage(device, &CpuStorage::F32(xs.to_vec())).unwrap();
        let storage = device
            .kernels()
            .matmul(
                device.stream(),
                layer.storage().weights(),
                33,
                512,
                storage.as_hip_slice::<f32>().unwrap(),
            )
            .unwrap();
        let bits = device.stream().clone_dtoh(&storage).unwrap();
        bits.into_iter().map(f32::to_bits).collect::<Vec<_>>()
    };
    let expected = run(&device, &layer);
    thread::scope(|scope| {
        for thread in 0..8 {
            let (device, layer, expected, run) = (&device, &layer, &expected, &run);
            scope.spawn(move || {
                // Half of the threads share a stream.
                let own = device.with_new_stream().unwrap();
                let device = if thread % 2 == 0 { device } else { &own };
                for _ in 0..10 {
                    assert_eq!(&run(device, layer), expected);
                }
            });
        }
    });
}

#[test]
fn names_of_types_are_the_same_on_both_sides() {
    assert_eq!(GgmlType::ALL.map(GgmlDType::from), ALL);
}

#[test]
fn a_product_of_a_shape_that_was_there_before_allocates_nothing() {
    let stub = support::Stub::new(&["-DSTUB_R0600"]);
    let kernels = Kernels::new(bundle("quantized.hipfb")).with_cast(bundle("cast.hipfb"));
    let device = HipDevice::new(&stub.runtime().device(0).unwrap(), &kernels).unwrap();
    let storage = QHipStorage::zeros(&device, 64 * 512, GgmlDType::Q4K).unwrap();
    for (tokens, activations) in [(1, DType::F32), (20, DType::F32), (3, DType::BF16)] {
        let cpu = match activations {
            DType::F32 => CpuStorage::F32(vec![0.0; tokens * 512]),
            _ => CpuStorage::BF16(vec![half::bf16::ZERO; tokens * 512]),
        };
        let input = HipStorage::from_cpu_storage(&device, &cpu).unwrap();
        let layout = Layout::contiguous((tokens, 512));
        let fwd = || {
            storage
                .fwd(&Shape::from((64, 512)), &input, &layout)
                .unwrap()
        };
        drop(fwd());
        let (allocations, launches) = (stub.allocations(), stub.launches());
        for _ in 0..10 {
            drop(fwd());
        }
        assert_eq!(stub.allocations(), allocations, "{tokens} {activations:?}");
        assert!(stub.launches() >= launches + 20);
    }
}
