//! A transformer block with quantized weights: on the device, by candle on the CPU, and by two models that say how far the
//! first two may be apart.
//!
//! All read one GGUF file. Norms, attention and residual paths are candle's and the same for all; what differs is which
//! [`Module`] multiplies by the seven matrices:
//!
//! | model | weights | activations |
//! |---|---|---|
//! | the device | as in the file | rounded to Q8_1 by a kernel before every product |
//! | the device, forced | as in the file | as they are |
//! | candle | as in the file | rounded to Q8_0 or Q8K |
//! | rounded | dequantized | rounded to Q8_1 by candle's own code |
//! | exact | dequantized | as they are |
//!
//! So the forced device has to be as close to *exact* as f32 sums in another order are, and the device no further from
//! *exact* and from *candle* than the rounding of activations explains.

use std::path::Path;

use candle_core::quantized::gguf_file::{self, Content};
use candle_core::quantized::{GgmlDType, QMatMul, QTensor};
use candle_core::{D, Device, Module, Result, Shape, Tensor};
use hip_loader::candle::{GgufFile, HipDevice, Progress, QHipMatMul};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const WIDTH: usize = 256;
const HIDDEN: usize = 512;
const HEADS: usize = 4;

/// Matrices of the block: name, rows, columns, type. The types are those of a file of the `Q4_K_M` kind, and more.
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

/// Dequantized weights.
struct Dense {
    /// Columns by rows.
    transposed: Tensor,
    /// Whether activations are rounded to Q8_1.
    rounds: bool,
}

impl Module for Dense {
    fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        let xs = if self.rounds {
            QTensor::quantize(xs, GgmlDType::Q8_1)?.dequantize(&Device::Cpu)?
        } else {
            xs.clone()
        };
        xs.broadcast_matmul(&self.transposed)
    }
}

/// Random numbers of about normal distribution, with this deviation.
fn random(rng: &mut ChaCha8Rng, deviation: f32, shape: impl Into<Shape>) -> Result<Tensor> {
    let shape = shape.into();
    let numbers = (0..shape.elem_count()).map(|_| {
        // The sum of twelve uniform numbers has deviation 1.
        let sum: f32 = (0..12).map(|_| rng.random_range(-0.5..0.5)).sum();
        sum * deviation
    });
    Tensor::from_vec(numbers.collect::<Vec<_>>(), shape, &Device::Cpu)
}

/// Writes the file with weights of the size that a trained model has.
pub fn write(path: &Path) -> Result<()> {
    let (mut tensors, mut rng) = (Vec::new(), ChaCha8Rng::seed_from_u64(1));
    for (name, rows, columns, dtype) in MATRICES {
        let deviation = 1.0 / (columns as f32).sqrt();
        let weights = random(&mut rng, deviation, (rows, columns))?;
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
    gguf_file::write(&mut std::fs::File::create(path)?, &[], &tensors)
}

/// How far results for some tokens are apart: norms of differences over the norm of the exact result.
#[derive(Clone, Copy, Debug)]
pub struct Distances {
    /// Tokens that went in.
    pub tokens: usize,
    /// The device and candle.
    pub device_candle: f32,
    /// The device and the exact model.
    pub device_exact: f32,
    /// The device that leaves activations as they are, and the exact model.
    pub forced_exact: f32,
    /// What rounding to Q8_1 costs: that model and the exact one.
    pub rounded_exact: f32,
    /// What candle's rounding costs.
    pub candle_exact: f32,
}

impl Distances {
    /// Whether the device differs from candle by the rounding of activations, and by nothing else.
    pub fn is_rounding(&self) -> bool {
        // The kernels take a type's offset off with the sum of the activations as they were. So a rounding error meets the
        // weight without its offset, which is larger: by 2.9 for normally distributed weights of four bits, 0 to 15
        // instead of -8 to 7.
        let rounding = 3.0 * self.rounded_exact;
        self.forced_exact <= 5e-6
            && self.device_exact <= rounding
            && self.device_candle <= rounding + self.candle_exact
    }
}

fn distance(a: &Tensor, b: &Tensor, size: f32) -> Result<f32> {
    let difference = (a - b)?.sqr()?.sum_all()?.sqrt()?;
    Ok(difference.to_scalar::<f32>()? / size)
}

/// Runs the block of the file for several numbers of tokens: those that the vector kernels take, and more.
///
/// For some products the device is told to leave activations as they are; nothing else should use it meanwhile.
pub fn compare(
    path: &Path,
    device: &HipDevice,
    progress: impl FnMut(Progress<'_>),
) -> Result<Vec<Distances>> {
    let mut file = std::fs::File::open(path)?;
    let content = Content::read(&mut file)?;
    let mut tensor = |name: &str| content.tensor(&mut file, name, &Device::Cpu);
    let norms = NORMS.map(|name| tensor(name)?.dequantize(&Device::Cpu));
    let norms = norms.into_iter().collect::<Result<Vec<_>>>()?;
    let (mut cpu, mut rounded, mut exact) = (Vec::new(), Vec::new(), Vec::new());
    for (name, ..) in MATRICES {
        let tensor = tensor(name)?;
        let transposed = tensor.dequantize(&Device::Cpu)?.t()?;
        for (rounds, models) in [(true, &mut rounded), (false, &mut exact)] {
            let transposed = transposed.clone();
            models.push(Dense { transposed, rounds });
        }
        cpu.push(QMatMul::from_qtensor(tensor)?);
    }

    let loaded = GgufFile::open(path)?.load(device, progress)?;
    let matrices = MATRICES.map(|(name, ..)| QHipMatMul::new(loaded[name].clone()));
    let gpu = matrices.into_iter().collect::<Result<Vec<_>>>()?;

    let (gpu, cpu) = (block(gpu, &norms), block(cpu, &norms));
    let (rounded, exact) = (block(rounded, &norms), block(exact, &norms));
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let tokens = [1, 5, 16].into_iter();
    tokens
        .map(|tokens| {
            let xs = random(&mut rng, 1.0, (1, tokens, WIDTH))?;
            let found = gpu.forward(&xs)?;
            device.set_force_dmmv(true);
            let forced = gpu.forward(&xs);
            device.set_force_dmmv(false);
            let (cpu, rounded) = (cpu.forward(&xs)?, rounded.forward(&xs)?);
            let exact = exact.forward(&xs)?;
            let size = exact.sqr()?.sum_all()?.sqrt()?.to_scalar::<f32>()?;
            Ok(Distances {
                tokens,
                device_candle: distance(&found, &cpu, size)?,
                device_exact: distance(&found, &exact, size)?,
                forced_exact: distance(&forced?, &exact, size)?,
                rounded_exact: distance(&rounded, &exact, size)?,
                candle_exact: distance(&cpu, &exact, size)?,
            })
        })
        .collect()
}

fn block<M: Module>(matrices: Vec<M>, norms: &[Tensor]) -> Block<M> {
    Block {
        matrices,
        norms: norms.to_vec(),
    }
}
