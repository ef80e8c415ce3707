//! Files: GGUF, and how much of a bundle is touched.

use candle_core::quantized::gguf_file;
use candle_core::{DType, Device, Module as _, Tensor};
use hip_loader::candle::{GgufFile, QHipMatMul};
use hip_loader::{Image, Module};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::support::bundle_file;
use super::*;

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
        .load(device(WAVE32), |step| {
            steps.push((step.tensors, step.bytes))
        })
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
        let as_operation = xs.apply_op1_no_bwd(&layer).unwrap();
        assert_eq!(
            as_operation.to_vec3::<f32>().unwrap(),
            found.to_vec3::<f32>().unwrap()
        );
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
    let error = file
        .tensor("ffn.weight", device(WAVE32))
        .unwrap_err()
        .to_string();
    assert!(error.contains("no tensor `ffn.weight`"), "{error}");

    let whole = std::fs::read(&path).unwrap();
    let cut = folder.path().join("cut.gguf");
    std::fs::write(&cut, &whole[..whole.len() - 1]).unwrap();
    let error = GgufFile::open(&cut).and_then(|file| file.load(device(WAVE32), |_| {}));
    assert!(error.is_err());
}

#[test]
#[cfg(target_os = "linux")]
fn of_a_bundle_only_the_code_object_of_the_device_is_touched() {
    // A file of its own, so that no other mapping counts.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("quantized.hipfb");
    std::fs::copy(bundle_file("quantized.hipfb"), &file).unwrap();
    let whole = file.metadata().unwrap().len();
    for arch in ["gfx1100", "gfx90a", "gfx1201"] {
        let stub = support::Stub::new(&[&format!("-DSTUB_ARCH=\"{arch}\"")]);
        let device = stub.runtime().device(0).unwrap();
        let module = Module::load(&device, &Image::open(&file).unwrap()).unwrap();
        module.function("quantize_q8_1").unwrap();
        assert_eq!(module.target().to_string(), arch);
        let (own, touched) = (
            module.code_object().len() as u64,
            support::resident(&file).unwrap(),
        );
        println!("{arch}: {touched} of {whole} bytes, the code object has {own}");
        // The table of the bundle, and what the system maps along with a page: 64 KiB around it, at each end.
        assert!(
            (1..=own + (192 << 10)).contains(&touched),
            "{arch}: {touched} bytes"
        );
        assert!(touched < whole / 2);
    }
}
