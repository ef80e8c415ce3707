//! A transformer block with quantized weights: on the device, and by candle on the CPU, from one GGUF file that the program
//! writes itself.
//!
//!     cargo run --release -p hip-loader --features candle --example transformer -- quantized.hipfb
//!
//! Tensors stay on the CPU; the seven matrices of the block are on the device, and all that differs between the two runs is
//! which [`Module`] multiplies by them.

use candle_core::quantized::gguf_file::{self, Content};
use candle_core::quantized::{GgmlDType, QMatMul, QTensor};
use candle_core::{D, Device, Module, Result, Tensor};
use hip_loader::candle::{GgufFile, HipDevice, Kernels, QHipMatMul};
use hip_loader::{Image, Runtime};

const WIDTH: usize = 256;
const HIDDEN: usize = 512;
const HEADS: usize = 4;

/// Matrices of the block: name, rows, columns, type. The types are those of a file of the `Q4_K_M` kind.
const MATRICES: [(&str, usize, usize, GgmlDType); 7] = [
    ("blk.0.attn_q.weight", WIDTH, WIDTH, GgmlDType::Q4K),
    ("blk.0.attn_k.weight", WIDTH, WIDTH, GgmlDType::Q4K),
    ("blk.0.attn_v.weight", WIDTH, WIDTH, GgmlDType::Q6K),
    ("blk.0.attn_output.weight", WIDTH, WIDTH, GgmlDType::Q5K),
    ("blk.0.ffn_gate.weight", HIDDEN, WIDTH, GgmlDType::Q8_0),
    ("blk.0.ffn_up.weight", HIDDEN, WIDTH, GgmlDType::Q4_0),
    ("blk.0.ffn_down.weight", WIDTH, HIDDEN, GgmlDType::Q6K),
];
const NORMS: [&str; 2] = ["blk.0.attn_norm.weight", "blk.0.ffn_norm.weight"];

/// Attention and MLP, each behind a norm and beside a residual path.
struct Block<M> {
    matrices: Vec<M>,
    norms: Vec<Tensor>,
}

fn rms_norm(xs: &Tensor, weight: &Tensor) -> Result<Tensor> {
    let scale = (xs.sqr()?.mean_keepdim(D::Minus1)? + 1e-6)?.sqrt()?;
    xs.broadcast_div(&scale)?.broadcast_mul(weight)
}

fn softmax(xs: &Tensor) -> Result<Tensor> {
    let exps = xs.broadcast_sub(&xs.max_keepdim(D::Minus1)?)?.exp()?;
    exps.broadcast_div(&exps.sum_keepdim(D::Minus1)?)
}

impl<M: Module> Block<M> {
    fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        let [q, k, v, output, gate, up, down] = &self.matrices[..] else {
            candle_core::bail!("a block has seven matrices")
        };
        let (batch, tokens, _) = xs.dims3()?;
        let heads = |ys: Tensor| -> Result<Tensor> {
            ys.reshape((batch, tokens, HEADS, WIDTH / HEADS))?
                .transpose(1, 2)?
                .contiguous()
        };
        let normed = rms_norm(xs, &self.norms[0])?;
        let (q, k) = (heads(q.forward(&normed)?)?, heads(k.forward(&normed)?)?);
        let v = heads(v.forward(&normed)?)?;
        let scores = (q.matmul(&k.t()?)? / ((WIDTH / HEADS) as f64).sqrt())?;
        // Each token sees itself and those before it.
        let mask: Vec<f32> = (0..tokens * tokens)
            .map(|at| {
                if at % tokens > at / tokens {
                    f32::NEG_INFINITY
                } else {
                    0.0
                }
            })
            .collect();
        let mask = Tensor::from_vec(mask, (tokens, tokens), &Device::Cpu)?;
        let seen = softmax(&scores.broadcast_add(&mask)?)?.matmul(&v)?;
        let seen = seen.transpose(1, 2)?.reshape((batch, tokens, WIDTH))?;
        let xs = (xs + output.forward(&seen)?)?;
        let normed = rms_norm(&xs, &self.norms[1])?;
        let hidden = (gate.forward(&normed)?.silu()? * up.forward(&normed)?)?;
        &xs + down.forward(&hidden)?
    }
}

/// Writes the file with weights of the size that a trained model has.
fn write(path: &std::path::Path) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let mut tensors = Vec::new();
    for (name, rows, columns, dtype) in MATRICES {
        let deviation = 1.0 / (columns as f32).sqrt();
        let weights = Tensor::randn(0_f32, deviation, (rows, columns), &Device::Cpu)?;
        tensors.push((name, QTensor::quantize(&weights, dtype)?));
    }
    for name in NORMS {
        let ones = Tensor::ones(WIDTH, candle_core::DType::F32, &Device::Cpu)?;
        tensors.push((name, QTensor::quantize(&ones, GgmlDType::F32)?));
    }
    let tensors: Vec<_> = tensors
        .iter()
        .map(|(name, tensor)| (*name, tensor))
        .collect();
    gguf_file::write(&mut std::fs::File::create(path)?, &[], &tensors)?;
    Ok(())
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let bundle = std::env::args()
        .nth(1)
        .ok_or("give the bundle of quantized.cu")?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("block.gguf");
    write(&path)?;

    // On the CPU, as any program with candle does it.
    let mut file = std::fs::File::open(&path)?;
    let content = Content::read(&mut file)?;
    let mut tensor = |name: &str| content.tensor(&mut file, name, &Device::Cpu);
    let norms = NORMS
        .iter()
        .map(|name| tensor(name)?.dequantize(&Device::Cpu));
    let norms = norms.collect::<Result<Vec<_>>>()?;
    let matrices = MATRICES
        .iter()
        .map(|(name, ..)| QMatMul::from_qtensor(tensor(name)?));
    let cpu = Block {
        matrices: matrices.collect::<Result<Vec<_>>>()?,
        norms: norms.clone(),
    };

    // On the device.
    let context = Runtime::load()?.device(0)?;
    let device = HipDevice::new(&context, &Kernels::new(Image::open(bundle)?))?;
    let file = GgufFile::open(&path)?;
    let loaded = file.load(&device, |step| {
        println!(
            "{:2} of {} {:>7} bytes {}",
            step.tensors, step.total_tensors, step.bytes, step.name
        );
    })?;
    let matrices = MATRICES
        .iter()
        .map(|(name, ..)| QHipMatMul::new(loaded[*name].clone()));
    let gpu = Block {
        matrices: matrices.collect::<Result<Vec<_>>>()?,
        norms,
    };

    println!("{} ({})", context.name()?, context.target());
    for tokens in [1, 5, 16] {
        let xs = Tensor::randn(0_f32, 1.0, (1, tokens, WIDTH), &Device::Cpu)?;
        let expected = cpu.forward(&xs)?;
        let found = gpu.forward(&xs)?;
        let difference = (&found - &expected)?
            .sqr()?
            .sum_all()?
            .sqrt()?
            .to_scalar::<f32>()?;
        let size = expected.sqr()?.sum_all()?.sqrt()?.to_scalar::<f32>()?;
        let relative = difference / size;
        println!("{tokens:2} tokens: relative difference {relative:.1e}");
        // Both sides round activations to 8 bits before each product, each in its own way: about one percent a product,
        // and there are four behind each other.
        if relative.is_nan() || relative >= 0.04 {
            return Err(format!("{relative} is more than rounding explains").into());
        }
    }
    Ok(())
}
