//! Holds the backend's results against candle's own.

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{CpuStorage, DType, Device, Layout, Result, Shape, Tensor, bail};

use super::device::{RocmDevice, RocmStorage};
use super::rocm::{QRocmStorage, load_quantized, set_force_dmmv};

const ROWS: usize = 40;
const COLUMNS: usize = 512;

/// What the types of GGUF files usually are, and one without a kernel for experts.
const TYPES: [GgmlDType; 5] = {
    use GgmlDType::*;
    [Q4_0, Q8_0, Q4K, Q5K, Q6K]
};

/// Random activations that Q8_1 holds exactly: integers, with 127 in every block.
fn activations(rows: usize) -> Result<Tensor> {
    let integers = Tensor::rand(-40_f32, 40.0, (rows, COLUMNS / 32, 32), &Device::Cpu)?.round()?;
    let largest = Tensor::full(127_f32, (rows, COLUMNS / 32, 1), &Device::Cpu)?;
    let rest = integers.narrow(candle_core::D::Minus1, 1, 31)?;
    Tensor::cat(&[largest, rest], candle_core::D::Minus1)?.reshape((rows, COLUMNS))
}

/// Runs every operation, and says how far each result is from candle's.
pub fn check(device: &RocmDevice, mut say: impl FnMut(String)) -> Result<()> {
    let plain = load_quantized(device, &[1.0_f32, -2.0, 3.0])?;
    for found in [plain.dequantize(3)?, plain.dequantize_f16(3)?] {
        if download(&found)? != [1.0, -2.0, 3.0] {
            bail!("f32 comes back as something else")
        }
    }
    for dtype in TYPES {
        let dense = Tensor::randn(0_f32, 1.0, (ROWS, COLUMNS), &Device::Cpu)?;
        let weights = QTensor::quantize(&dense, dtype)?;
        let mut storage = QRocmStorage::zeros(device, ROWS * COLUMNS, dtype)?;
        storage.quantize(&upload(device, &dense)?)?;
        let same = storage.data()? == *weights.data()?
            && storage.dtype() == dtype
            && storage.device().stream() == device.stream()
            && storage.storage_size_in_bytes() == weights.storage_size_in_bytes();
        if !same || storage.device_ptr()?.is_null() {
            bail!("{dtype:?}: other blocks than candle's")
        }
        if matches!(dtype, GgmlDType::Q4K | GgmlDType::Q5K | GgmlDType::Q6K) {
            let importance: Vec<f32> = (0..COLUMNS)
                .map(|column| 1.0 + (column % 3) as f32)
                .collect();
            let mut weighed = QRocmStorage::zeros(device, ROWS * COLUMNS, dtype)?;
            weighed.quantize_imatrix(&upload(device, &dense)?, &importance, COLUMNS)?;
            if weighed.data()? != *QTensor::quantize_imatrix(&dense, &importance, dtype)?.data()? {
                bail!("{dtype:?}: other blocks than candle's with an imatrix")
            }
        }
        let dense = weights.dequantize(&Device::Cpu)?;
        let mut near = |what: &str, found: &RocmStorage, expected: &Tensor, limit: f64| {
            let difference = difference(&download(found)?, &floats(expected)?);
            say(format!(
                "{dtype:?}: {what}, relative difference {difference:.1e}"
            ));
            if difference > limit {
                bail!("{dtype:?}: {what}: {difference} is more than {limit}")
            }
            Ok(())
        };

        let elements = ROWS * COLUMNS;
        near("dequantize", &storage.dequantize(elements)?, &dense, 1e-6)?;
        near(
            "dequantize_f16",
            &storage.dequantize_f16(elements)?,
            &dense,
            1e-3,
        )?;

        let ids = [0, 7, 39, 7_u32];
        let on_device = RocmStorage::from_cpu_storage(device, &CpuStorage::U32(ids.to_vec()))?;
        let found = storage.embedding(ROWS, COLUMNS, &on_device, &Layout::contiguous(ids.len()))?;
        let expected = dense.index_select(&Tensor::new(&ids, &Device::Cpu)?, 0)?;
        near("embedding", &found, &expected, 1e-6)?;

        for batch in [1, 3, 20] {
            let xs = activations(batch)?;
            let expected = xs.matmul(&dense.t()?)?;
            let (shape, layout) = (
                Shape::from((ROWS, COLUMNS)),
                Layout::contiguous((batch, COLUMNS)),
            );
            let xs = upload(device, &xs)?;
            let what = format!("product of {batch} rows");
            let (out, _) = storage.fwd(&shape, &xs, &layout)?;
            near(&what, &out, &expected, 1e-5)?;
            set_force_dmmv(true);
            let forced = storage.fwd(&shape, &xs, &layout);
            set_force_dmmv(false);
            near(&format!("{what}, forced"), &forced?.0, &expected, 1e-5)?;
            // bf16 holds the activations; results are rounded by 2^-8 at most.
            let (out, _) = storage.fwd(&shape, &xs.to_dtype(&layout, DType::BF16)?, &layout)?;
            if out.dtype() != DType::BF16 {
                bail!("{dtype:?}: {:?} came out of bf16", out.dtype())
            }
            near(&format!("{what} of bf16"), &out, &expected, 4e-3)?;
        }

        // The matrix again, as four experts of ten rows.
        if hip_loader::gguf::Operation::IndexedMoe.supports(dtype.into()) {
            let xs = activations(2)?.reshape((2, 1, COLUMNS))?;
            let ids = [3_u32, 0, 1, 1];
            let (out, shape) = storage.indexed_moe_forward(
                &Shape::from((4, ROWS / 4, COLUMNS)),
                &upload(device, &xs)?,
                &Layout::contiguous((2, 1, COLUMNS)),
                &RocmStorage::from_cpu_storage(device, &CpuStorage::U32(ids.to_vec()))?,
                &Layout::contiguous((2, 2)),
            )?;
            let experts = dense.reshape((4, ROWS / 4, COLUMNS))?;
            let rows = ids
                .iter()
                .enumerate()
                .map(|(task, &id)| xs.get(task / 2)?.matmul(&experts.get(id as usize)?.t()?));
            let expected = Tensor::cat(&rows.collect::<Result<Vec<_>>>()?, 0)?;
            near(&format!("experts {shape:?}"), &out, &expected, 1e-5)?;
        }
    }
    Ok(())
}

fn upload(device: &RocmDevice, tensor: &Tensor) -> Result<RocmStorage> {
    RocmStorage::from_cpu_storage(device, &CpuStorage::F32(floats(tensor)?))
}

fn download(storage: &RocmStorage) -> Result<Vec<f32>> {
    Ok(match storage.to_cpu_storage()? {
        CpuStorage::F32(floats) => floats,
        CpuStorage::F16(halves) => halves.into_iter().map(half::f16::to_f32).collect(),
        CpuStorage::BF16(halves) => halves.into_iter().map(half::bf16::to_f32).collect(),
        other => bail!("{other:?} are no floats"),
    })
}

fn floats(tensor: &Tensor) -> Result<Vec<f32>> {
    tensor.flatten_all()?.to_vec1()
}

/// The norm of the difference over the norm of what was expected.
fn difference(found: &[f32], expected: &[f32]) -> f64 {
    if found.len() != expected.len() {
        return f64::INFINITY;
    }
    let squares = |numbers: &mut dyn Iterator<Item = f32>| -> f64 {
        numbers.map(|number| f64::from(number).powi(2)).sum()
    };
    let mut differences = found
        .iter()
        .zip(expected)
        .map(|(found, expected)| found - expected);
    (squares(&mut differences) / squares(&mut expected.iter().copied())).sqrt()
}
