//! What the loader adds to a call of the library, measured with a library whose functions return at once.
//!
//!     cargo run --release -p hip-loader --example cost -- [BUNDLE...]
//!
//! With bundles, such as that of `quantized.cu`, loading each is measured too, with how much of the file is touched; they
//! need a code object for gfx1100.
//! Each figure is the fastest of several runs of many calls: what disturbs a run makes it slower, never faster.

#[path = "../tests/support/mod.rs"]
mod support;

use std::ffi::c_void;
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use hip_loader::{Device, Image, LaunchConfig, Module};
use support::{Stub, resident};

const RUNS: usize = 30;
const CALLS: u32 = 200_000;

/// Nanoseconds of a call.
fn measure(mut call: impl FnMut()) -> f64 {
    let mut fastest = f64::INFINITY;
    for _ in 0..RUNS {
        let start = Instant::now();
        for _ in 0..CALLS {
            call();
        }
        fastest = fastest.min(start.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS));
    }
    fastest
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let stub = Stub::new(&["-DSTUB_SILENT"]);
    let device = stub.runtime().device(0)?;
    let stream = device.new_stream()?;
    let module = Module::load(&device, &support::kernels())?;
    let saxpy = module.function("saxpy")?;
    let x = stream.alloc_zeros::<f32>(1000)?;
    let mut y = stream.alloc_zeros::<f32>(1000)?;
    let config = LaunchConfig::for_elements(1000, 256);

    let launch = device.runtime().api().hipModuleLaunchKernel;
    let (mut a, mut from, mut to, mut n) = (2.0_f32, x.ptr().0, y.ptr().0, 1000_i32);
    let direct = measure(|| {
        let mut params: [*mut c_void; 4] = [
            (&raw mut a).cast(),
            (&raw mut from).cast(),
            (&raw mut to).cast(),
            (&raw mut n).cast(),
        ];
        // SAFETY: the library of this program runs nothing.
        let status = unsafe {
            launch(
                saxpy.raw(),
                4,
                1,
                1,
                256,
                1,
                1,
                0,
                stream.raw(),
                params.as_mut_ptr(),
                std::ptr::null_mut(),
            )
        };
        assert!(black_box(status).0 == 0);
    });
    let built = measure(|| {
        // SAFETY: the library of this program runs nothing.
        let launched = unsafe {
            stream
                .launch(&saxpy)
                .arg(2.0_f32)
                .arg(&x)
                .arg(&mut y)
                .arg(1000_i32)
                .run(config)
        };
        assert!(black_box(launched).is_ok());
    });
    let found = measure(|| {
        assert!(black_box(module.function(black_box("saxpy"))).is_ok());
    });
    let buffer = measure(|| {
        // SAFETY: nothing depends on the contents.
        assert!(unsafe { stream.alloc::<f32>(black_box(1000)) }.is_ok());
    });

    println!("hipModuleLaunchKernel, called directly       {direct:7.1} ns");
    println!(
        "the same through LaunchBuilder               {built:7.1} ns, {:.1} ns more",
        built - direct
    );
    println!("Module::function, the second time            {found:7.1} ns");
    println!("a buffer from the stream's own memory        {buffer:7.1} ns, dropped again");
    for bundle in std::env::args().skip(1) {
        load(&device, Path::new(&bundle))?;
    }
    Ok(())
}

/// Loads a bundle, and says how long that takes and how much of the file it touches.
fn load(device: &Device, bundle: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let mut fastest = f64::INFINITY;
    for _ in 0..RUNS {
        let start = Instant::now();
        let module = Module::load(device, &Image::open(bundle)?)?;
        fastest = fastest.min(start.elapsed().as_secs_f64());
        drop(module);
    }
    let module = Module::load(device, &Image::open(bundle)?)?;
    println!(
        "Module::load of {} ({} kernels): {:.2} ms; of {} bytes {} are the device's code object, and pages of {} bytes \
         were touched",
        bundle.display(),
        module.kernels().len(),
        fastest * 1e3,
        bundle.metadata()?.len(),
        module.code_object().len(),
        resident(bundle)?,
    );
    Ok(())
}
