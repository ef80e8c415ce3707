//! Times `mul_mat_vec_q4_K_q8_1_cuda1` on a 1024 x 4096 matrix:
//!
//! ```text
//! cargo run --release -p hipify-verify --example mmv_bench -- BUNDLE [LIBRARY]
//! ```
//!
//! BUNDLE is what `hipify-candle build --module quantized` wrote; LIBRARY a libamdhip64, without which the loader looks
//! for one (`HIP_LOADER_LIB`, then the system's).

use std::error::Error;
use std::time::{Duration, Instant};

use candle_core::quantized::GgmlDType;
use hip_loader::{Image, LaunchConfig, Module, Runtime};

const ROWS: usize = 1024;
const COLUMNS: usize = 4096;
const RUNS: usize = 20;
/// Bytes of 32 activations as `quantize_q8_1` rounds them.
const Q8_1_BYTES: usize = 36;
/// Elements of zeros that candle keeps behind the weights.
const PADDING: usize = 512;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let Some(bundle) = args.next() else {
        return Err("usage: mmv_bench BUNDLE [LIBRARY]".into());
    };
    let runtime = match args.next() {
        Some(library) => Runtime::open(library)?,
        None => Runtime::load()?,
    };
    let device = runtime.device(0)?;
    let module = Module::load(&device, &Image::open(&bundle)?)?;
    let stream = device.new_stream()?;

    let floats: Vec<f32> = (0..ROWS * COLUMNS)
        .map(|i| (i as f32 * 0.37).sin())
        .collect();
    let x: Vec<f32> = (0..COLUMNS).map(|i| (i as f32 * 0.11).cos()).collect();
    let mut blocks = GgmlDType::Q4K.cpu_zeros(floats.len());
    blocks.from_float(&floats);
    // SAFETY: `blocks` owns `storage_size_in_bytes` initialised bytes at `as_ptr`, and outlives the copy.
    let mut weights =
        unsafe { std::slice::from_raw_parts(blocks.as_ptr(), blocks.storage_size_in_bytes()) }
            .to_vec();
    weights.resize(
        weights.len() + PADDING / 256 * GgmlDType::Q4K.type_size(),
        0,
    );

    let weights = stream.clone_htod(&weights)?;
    let x = stream.clone_htod(&x)?;
    let y = stream.alloc_zeros::<u8>(COLUMNS / 32 * Q8_1_BYTES)?;
    let out = stream.alloc_zeros::<f32>(ROWS)?;
    let (rows, columns) = (ROWS as i32, COLUMNS as i32);

    let quantize = module.function("quantize_q8_1")?;
    let config = LaunchConfig::new([(COLUMNS / 256) as u32, 1, 1], [256, 1, 1]);
    // SAFETY: `y` has a block for every 32 elements of `x`, of which there are as many as the arguments say.
    unsafe {
        stream
            .launch(&quantize)
            .arg(&x)
            .arg(&y)
            .arg(columns)
            .arg(columns)
            .run(config)
    }?;
    stream.synchronize()?;

    let kernel = module.function("mul_mat_vec_q4_K_q8_1_cuda1")?;
    let config = LaunchConfig::new([ROWS as u32, 1, 1], [32, 4, 1]);
    let mut times = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        let started = Instant::now();
        // SAFETY: the buffers hold a matrix and a vector of the shape that the arguments name, and a result a row.
        unsafe {
            stream
                .launch(&kernel)
                .arg(&weights)
                .arg(&y)
                .arg(&out)
                .arg(columns)
                .arg(rows)
                .arg(columns)
                .arg(rows)
                .run(config)
        }?;
        stream.synchronize()?;
        times.push(started.elapsed());
    }
    times.sort();
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    println!(
        "mul_mat_vec_q4_K_q8_1_cuda1, {ROWS} x {COLUMNS}, on {} ({}): median {:.1} ms, fastest {:.1} ms of {RUNS} runs",
        device.name()?,
        module.target(),
        ms(times[RUNS / 2]),
        ms(times[0]),
    );
    Ok(())
}
