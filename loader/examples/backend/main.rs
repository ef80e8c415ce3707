//! A backend with memory and streams of its own, held against candle on the CPU.
//!
//!     cargo run --release -p hip-loader --features candle --example backend -- quantized.hipfb
//!
//! `rocm.rs` is the file that a fork of candle puts in the place of its `quantized/rocm.rs`; `device.rs` stands for what the
//! fork has already.

mod check;
mod device;
mod rocm;

use device::RocmDevice;
use hip_loader::gguf::GgufKernels;
use hip_loader::{Image, Runtime};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let bundle = std::env::args()
        .nth(1)
        .ok_or("give the bundle of quantized.cu")?;
    let context = Runtime::load()?.current_device()?;
    println!("{} ({})", context.name()?, context.target());
    let device = RocmDevice::new(GgufKernels::load(&context, &Image::open(bundle)?)?)?;
    check::check(&device, |line| println!("{line}"))?;
    Ok(())
}
