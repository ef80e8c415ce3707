//! A backend with memory and streams of its own, held against candle on the CPU.
//!
//!     cargo run --release -p hip-loader --features candle --example backend -- quantized.hipfb

mod rocm;

use candle_core::quantized::{GgmlDType, QMatMul, QTensor};
use candle_core::{Device, Module, Shape, Tensor};
use hip_loader::gguf::GgufKernels;
use hip_loader::{Image, Runtime};
use rocm::{QRocmStorage, RocmDevice};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let bundle = std::env::args()
        .nth(1)
        .ok_or("give the bundle of quantized.cu")?;
    let context = Runtime::load()?.current_device()?;
    let device = RocmDevice::new(GgufKernels::load(&context, &Image::open(bundle)?)?)?;
    println!("{:?}", context);

    let (rows, columns) = (40, 512);
    for dtype in [
        GgmlDType::Q4_0,
        GgmlDType::Q8_0,
        GgmlDType::Q4K,
        GgmlDType::Q6K,
    ] {
        let weights = Tensor::randn(0_f32, 1.0, (rows, columns), &Device::Cpu)?;
        let weights = QTensor::quantize(&weights, dtype)?;
        let storage = QRocmStorage::load(&device, &weights.data()?, dtype)?;

        let expected: Vec<f32> = weights.dequantize(&Device::Cpu)?.flatten_all()?.to_vec1()?;
        let found = storage.dequantize(rows * columns)?.download()?;
        println!(
            "{dtype:?}: dequantize, relative difference {:.1e}",
            difference(&found, &expected)
        );

        let layer = QMatMul::from_qtensor(weights)?;
        for batch in [1, 3, 20] {
            let xs = Tensor::randn(0_f32, 1.0, (batch, columns), &Device::Cpu)?;
            let expected: Vec<f32> = layer.forward(&xs)?.flatten_all()?.to_vec1()?;
            let xs: Vec<f32> = xs.flatten_all()?.to_vec1()?;
            let (out, shape) = storage.fwd(
                &Shape::from((rows, columns)),
                &device.upload(&xs, 0)?,
                &Shape::from((batch, columns)),
            )?;
            let difference = difference(&out.download()?, &expected);
            println!("{dtype:?}: product {shape:?}, relative difference {difference:.1e}");
            // Both sides round activations to 8 bits, each in its own way: about half a percent on each side. In the
            // matrix kernel of Q4K the rounding meets a weight before its offset is taken off, which is larger.
            if difference > 0.03 {
                return Err(format!("{dtype:?}: {difference} is more than rounding").into());
            }
        }
    }
    Ok(())
}

/// The norm of the difference over the norm of what was expected.
fn difference(found: &[f32], expected: &[f32]) -> f64 {
    let squares = |numbers: &mut dyn Iterator<Item = f32>| -> f64 {
        numbers.map(|number| f64::from(number).powi(2)).sum()
    };
    let mut differences = found
        .iter()
        .zip(expected)
        .map(|(found, expected)| found - expected);
    (squares(&mut differences) / squares(&mut expected.iter().copied())).sqrt()
}
