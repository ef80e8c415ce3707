//! What storage takes and refuses, quantization, and the choice of a path.

use candle_core::{CpuStorage, DType, Device, Layout, Shape, Tensor};
use hip_loader::candle::{HipDevice, QHipStorage};
use hip_loader::gguf::{GgmlType, GgufKernels, KernelId};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

#[test]
fn every_kernel_takes_what_the_loader_gives() {
    let kernels: &GgufKernels = device(WAVE32).kernels();
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
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    for ordinal in [WAVE32, WAVE64] {
        // A device of its own: the path is chosen for all handles of a device.
        let device = device_with(ordinal, DeviceOptions::default());
        device.set_force_dmmv(true);
        for dtype in MULTIPLIED {
            let (rows, batch) = (5, 3);
            // An odd number of the smallest blocks.
            let columns = if dtype.block_size() == 32 { 96 } else { 512 };
            let tensor = weights(&mut rng, rows, columns, dtype);
            // Numbers that Q8_1 does not hold.
            let xs: Vec<f32> = (0..batch * columns)
                .map(|_| rng.random_range(-1.0..1.0))
                .collect();
            let storage = QHipStorage::from_data(&device, &tensor.data().unwrap(), dtype).unwrap();
            let input = upload(&device, CpuStorage::F32(xs.clone()));
            let layout = Layout::contiguous((batch, columns));
            let (out, _) = storage.fwd(tensor.shape(), &input, &layout).unwrap();
            let what = format!("forced {dtype:?} of {columns} columns");
            compare(
                &floats(&out),
                &dense(&tensor),
                &xs,
                columns,
                DType::F32,
                &what,
            );
        }
    }
}

#[test]
fn what_cannot_be_is_refused_with_what_can() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let tensor = weights(&mut rng, 4, 256, GgmlDType::Q4_0);
    let storage =
        QHipStorage::from_data(device(WAVE32), &tensor.data().unwrap(), GgmlDType::Q4_0).unwrap();
    let input = |len| upload(device(WAVE32), CpuStorage::F32(vec![0.0; len]));
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
    let ids = upload(device(WAVE32), CpuStorage::U32(vec![1, 4]));
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
    let error = QHipStorage::from_data(device(WAVE32), &[0; 17], GgmlDType::Q4_0)
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
            &upload(device(WAVE32), CpuStorage::U32(vec![0])),
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
fn of_nothing_comes_nothing() {
    let (device, mut rng) = (device(WAVE32), ChaCha8Rng::seed_from_u64(5));
    let tensor = weights(&mut rng, 6, 256, GgmlDType::Q8_0);
    let storage = QHipStorage::from_data(device, &tensor.data().unwrap(), GgmlDType::Q8_0).unwrap();
    let nothing = upload(device, CpuStorage::F32(Vec::new()));
    for (given, expected) in [(vec![0, 256], vec![0, 6]), (vec![3, 0, 256], vec![3, 0, 6])] {
        let layout = Layout::contiguous(given);
        let (out, shape) = storage.fwd(tensor.shape(), &nothing, &layout).unwrap();
        assert_eq!((shape.dims(), out.elem_count()), (&expected[..], 0));
    }
    let ids = upload(device, CpuStorage::U32(Vec::new()));
    let rows = storage.embedding(6, 256, &ids, &Layout::contiguous(0));
    assert_eq!(rows.unwrap().elem_count(), 0);
    let experts = Shape::from((2, 3, 256));
    let (layout, ids_layout) = (Layout::contiguous((0, 1, 256)), Layout::contiguous((0, 2)));
    let (out, shape) = storage
        .indexed_moe_forward(&experts, &nothing, &layout, &ids, &ids_layout)
        .unwrap();
    assert_eq!((shape.dims(), out.elem_count()), (&[0, 2, 3][..], 0));
    let empty = QHipStorage::zeros(device, 0, GgmlDType::Q4K).unwrap();
    assert_eq!(empty.dequantize(0).unwrap().elem_count(), 0);
    assert!(empty.data().unwrap().is_empty());
}

#[test]
fn quantization_is_candles() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let numbers: Vec<f32> = (0..2 * 512).map(|_| rng.random_range(-1.0..1.0)).collect();
    let tensor = Tensor::from_vec(numbers.clone(), (2, 512), &Device::Cpu).unwrap();
    let importance: Vec<f32> = (0..512).map(|_| rng.random_range(0.5..1.5)).collect();
    let on_device = upload(device(WAVE32), CpuStorage::F32(numbers.clone()));
    let on_host = CpuStorage::F32(numbers);
    for dtype in ALL {
        let expected = QTensor::quantize(&tensor, dtype).unwrap();
        let mut storage = QHipStorage::zeros(device(WAVE32), 1024, dtype).unwrap();
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
fn names_of_types_are_the_same_on_both_sides() {
    assert_eq!(GgmlType::ALL.map(GgmlDType::from), ALL);
}

#[test]
fn a_product_of_a_shape_that_was_there_before_allocates_nothing() {
    let stub = support::Stub::new(&["-DSTUB_R0600"]);
    let device = HipDevice::new(&stub.runtime().device(0).unwrap(), &kernels()).unwrap();
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
