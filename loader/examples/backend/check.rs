//! Holds the backend's results against candle's own.

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Layout, Result, Shape, Tensor, bail};

use super::device::RocmDevice;
use super::rocm::{QRocmStorage, load_quantized, set_force_dmmv};

const ROWS: usize = 40;
const COLUMNS: usize = 512;

/// What the types of GGUF files usually are, and one without a kernel for experts.
const TYPES: [GgmlDType; 5] = {
    use GgmlDType::*;
    [Q4_0, Q8_0, Q4K, Q5K, Q6K]
};

/// How much more than a weight the kernels' rounding of activations may meet: their weights have no offset yet, so that they
/// are larger, by 2.9 for normally distributed weights of four bits.
const ROUNDING: f64 = 3.0;

/// Activations that were rounded to Q8_1.
fn rounded(xs: &Tensor) -> Result<Tensor> {
    QTensor::quantize(xs, GgmlDType::Q8_1)?.dequantize(&Device::Cpu)
}

/// Runs every operation, and says how far each result is from candle's.
pub fn check(device: &RocmDevice, mut say: impl FnMut(String)) -> Result<()> {
    let plain = load_quantized(device, &[1.0_f32, -2.0, 3.0])?;
    if plain.dequantize(3)?.download(3)? != [1.0, -2.0, 3.0] {
        bail!("f32 comes back as something else")
    }
    for dtype in TYPES {
        let dense = Tensor::randn(0_f32, 1.0, (ROWS, COLUMNS), &Device::Cpu)?;
        let weights = QTensor::quantize(&dense, dtype)?;
        let mut storage = QRocmStorage::zeros(device, ROWS * COLUMNS, dtype)?;
        storage.quantize(&device.upload(&floats(&dense)?, 0)?)?;
        let same = storage.data()? == *weights.data()?
            && storage.dtype() == dtype
            && storage.storage_size_in_bytes() == weights.storage_size_in_bytes();
        if !same || storage.device_ptr()?.is_null() {
            bail!("{dtype:?}: other blocks than candle's")
        }
        if matches!(dtype, GgmlDType::Q4K | GgmlDType::Q5K | GgmlDType::Q6K) {
            let importance: Vec<f32> = (0..COLUMNS)
                .map(|column| 1.0 + (column % 3) as f32)
                .collect();
            let mut weighed = QRocmStorage::zeros(device, ROWS * COLUMNS, dtype)?;
            weighed.quantize_imatrix(&device.upload(&floats(&dense)?, 0)?, &importance, COLUMNS)?;
            if weighed.data()? != *QTensor::quantize_imatrix(&dense, &importance, dtype)?.data()? {
                bail!("{dtype:?}: other blocks than candle's with an imatrix")
            }
        }
        let dense = weights.dequantize(&Device::Cpu)?;
        let mut near = |what: &str, found: &[f32], expected: &Tensor, limit: f64| {
            let difference = difference(found, &floats(expected)?);
            say(format!(
                "{dtype:?}: {what}, relative difference {difference:.1e}"
            ));
            if difference > limit {
                bail!("{dtype:?}: {what}: {difference} is more than {limit}")
            }
            Ok(())
        };

        let elements = ROWS * COLUMNS;
        let found = storage.dequantize(elements)?.download(elements)?;
        near("dequantize", &found, &dense, 1e-6)?;
        let found = storage.dequantize_f16(elements)?.download(elements)?;
        let found: Vec<f32> = found.into_iter().map(half::f16::to_f32).collect();
        near("dequantize_f16", &found, &dense, 1e-3)?;

        let ids = [0, 7, 39, 7_u32];
        let found = storage.embedding(
            ROWS,
            COLUMNS,
            &device.upload(&ids, 0)?,
            &Layout::contiguous(ids.len()),
        )?;
        let expected = dense.index_select(&Tensor::new(&ids, &Device::Cpu)?, 0)?;
        near(
            "embedding",
            &found.download(ids.len() * COLUMNS)?,
            &expected,
            1e-6,
        )?;

        for batch in [1, 3, 20] {
            let xs = Tensor::randn(0_f32, 1.0, (batch, COLUMNS), &Device::Cpu)?;
            let on_device = device.upload(&floats(&xs)?, 0)?;
            let (shape, layout) = (
                Shape::from((ROWS, COLUMNS)),
                Layout::contiguous((batch, COLUMNS)),
            );
            // The same sums, in another order.
            set_force_dmmv(true);
            let (out, _) = storage.fwd(&shape, &on_device, &layout)?;
            set_force_dmmv(false);
            let expected = xs.matmul(&dense.t()?)?;
            let what = format!("product of {batch} rows, activations as they are");
            near(&what, &out.download(out.len())?, &expected, 1e-5)?;
            let (out, _) = storage.fwd(&shape, &on_device, &layout)?;
            let rounded = rounded(&xs)?.matmul(&dense.t()?)?;
            let limit = ROUNDING * difference(&floats(&rounded)?, &floats(&expected)?);
            let what = format!("product of {batch} rows");
            near(&what, &out.download(out.len())?, &expected, limit)?;
        }

        // The matrix again, as four experts of ten rows.
        if hip_loader::gguf::Operation::IndexedMoe.supports(dtype.into()) {
            let xs = Tensor::randn(0_f32, 1.0, (2, 1, COLUMNS), &Device::Cpu)?;
            let ids = [3_u32, 0, 1, 1];
            let (out, shape) = storage.indexed_moe_forward(
                &Shape::from((4, ROWS / 4, COLUMNS)),
                &device.upload(&floats(&xs)?, 0)?,
                &Layout::contiguous((2, 1, COLUMNS)),
                &device.upload(&ids, 0)?,
                &Layout::contiguous((2, 2)),
            )?;
            let experts = dense.reshape((4, ROWS / 4, COLUMNS))?;
            let products = |xs: &Tensor| -> Result<Tensor> {
                let rows = ids
                    .iter()
                    .enumerate()
                    .map(|(task, &id)| xs.get(task / 2)?.matmul(&experts.get(id as usize)?.t()?));
                Tensor::cat(&rows.collect::<Result<Vec<_>>>()?, 0)
            };
            let (expected, rounded) = (products(&xs)?, products(&rounded(&xs)?)?);
            let limit = ROUNDING * difference(&floats(&rounded)?, &floats(&expected)?);
            let what = format!("experts {shape:?}");
            near(&what, &out.download(out.len())?, &expected, limit)?;
        }
    }
    Ok(())
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
