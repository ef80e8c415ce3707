//! Runs a kernel of this crate and one of candle's on the first AMD GPU, or on the emulator if `HIP_LOADER_LIB` names it.

use candle_hip_kernels::FILL;
use half::f16;
use hip_loader::{Image, LaunchConfig, Module, Runtime};

include!(concat!(env!("OUT_DIR"), "/kernels.rs"));

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let device = Runtime::load()?.device(0)?;
    println!("{}: {}", device.name()?, device.target());
    let stream = device.new_stream()?;
    let (n, a) = (1000_u32, 3.0_f32);
    let config = LaunchConfig::for_elements(n, 256);

    let fill = Module::load(&device, &Image::from_static("fill", FILL.bundle()))?;
    let mut y = stream.clone_htod(&vec![0.0_f32; n as usize])?;
    // SAFETY: `fill_f32` writes as many elements as its last argument says.
    unsafe {
        stream
            .launch(&fill.function("fill_f32")?)
            .arg(&mut y)
            .arg(2.0_f32)
            .arg(u64::from(n))
            .run(config)?;
    }

    let saxpy = Module::load(&device, &Image::from_static("saxpy", SAXPY))?;
    let numbers: Vec<f16> = (0..n).map(|i| f16::from_f32(i as f32)).collect();
    let x = stream.clone_htod(&numbers)?;
    let mut largest = stream.clone_htod(&vec![0.0_f32; n.div_ceil(32) as usize])?;
    // SAFETY: `saxpy_f16` reads and writes as many elements as its first argument says, and one for each 32 of them.
    unsafe {
        stream
            .launch(&saxpy.function("saxpy_f16")?)
            .arg(n)
            .arg(a)
            .arg(&x)
            .arg(&mut y)
            .arg(&mut largest)
            .run(config)?;
    }
    let (y, largest) = (stream.clone_dtoh(&y)?, stream.clone_dtoh(&largest)?);
    for (i, (x, y)) in numbers.iter().zip(&y).enumerate() {
        let expected = a * x.to_f32() + 2.0;
        assert_eq!(*y, expected, "element {i}");
        assert!(largest[i / 32] >= expected);
    }
    println!("y[999] = {}, the largest of each 32 up to {:?}", y[999], largest.last());
    Ok(())
}
