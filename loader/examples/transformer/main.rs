//! A transformer block with quantized weights: on the device, and by candle on the CPU, from one GGUF file that the program
//! writes itself.
//!
//!     cargo run --release -p hip-loader --features candle --example transformer -- quantized.hipfb
//!
//! Tensors stay on the CPU; the seven matrices of the block are on every device that there is, one after the other.

mod block;

use hip_loader::candle::{HipDevice, Kernels};
use hip_loader::{Image, Runtime};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let bundle = std::env::args()
        .nth(1)
        .ok_or("give the bundle of quantized.cu")?;
    let kernels = Kernels::new(Image::open(bundle)?);
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("block.gguf");
    block::write(&path)?;

    let runtime = Runtime::load()?;
    for ordinal in 0..runtime.device_count()? {
        let context = runtime.device(ordinal)?;
        println!("{} ({})", context.name()?, context.target());
        let device = HipDevice::new(&context, &kernels)?;
        let distances = block::compare(&path, &device, |step| {
            println!(
                "{:2} of {} {:>7} bytes {}",
                step.tensors, step.total_tensors, step.bytes, step.name
            );
        })?;
        for found in distances {
            println!(
                "{:2} tokens: {:.1e} from candle, {:.1e} from products of f32 ({:.1e} without rounding activations); \
                 rounding them costs {:.1e} as Q8_1, {:.1e} as candle does it",
                found.tokens,
                found.device_candle,
                found.device_exact,
                found.forced_exact,
                found.rounded_exact,
                found.candle_exact
            );
            if !found.is_rounding() {
                return Err("the device differs by more than rounding explains".into());
            }
        }
    }
    Ok(())
}
