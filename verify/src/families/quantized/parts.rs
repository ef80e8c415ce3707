//! What the cases of `quantized.cu` are made of: weights and activations, random or recorded, and checks.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::blocks::{Format, Weights, normal};
use super::reference::{self, Activations, Q8_1_ELEMENTS};
use crate::case::{Arg, Case, Check, Expected, Gguf, Launch, Reference};
use crate::element::{Array, DType};
use crate::error_bound::Approx;
use crate::golden::{GoldenError, GoldenFile};

/// The relative error above which a result differs from the CUDA kernel's by more than the order of its additions.
pub(super) const GOLDEN_LIMIT: f64 = 1e-5;

pub(super) type Cases = Result<Vec<Case>, GoldenError>;

/// Weights as candle keeps them on the device: followed by zeros for 512 elements, which kernels may read.
pub(super) fn padded(weights: &Weights) -> Arg {
    let mut bytes = weights.bytes.clone();
    bytes.resize(bytes.len() + weights.format.size(reference::ROW_PADDING), 0);
    Arg::Input(bytes)
}

/// The `turn`-th random matrix of a kernel: quantized from real numbers, or random bits, in turn.
pub(super) fn draw(
    rng: &mut ChaCha8Rng,
    turn: usize,
    format: &'static Format,
    rows: usize,
    columns: usize,
) -> Weights {
    match turn % 2 {
        0 => Weights::quantized(rng, format, rows, columns),
        _ => Weights::random(rng, format, rows, columns),
    }
}

pub(super) fn draw_activations(rng: &mut ChaCha8Rng, rows: usize, columns: usize) -> Activations {
    let mut values: Vec<f32> = (0..rows * columns).map(|_| normal(rng)).collect();
    // A block of zeros has no scale to divide by.
    values[..Q8_1_ELEMENTS.min(columns)].fill(0.0);
    Activations { values, columns }
}

/// A recorded matrix of weights of this shape.
pub(super) fn golden_weights(
    file: &GoldenFile,
    name: &str,
    format: &'static Format,
    rows: usize,
    columns: usize,
) -> Result<Weights, GoldenError> {
    let bytes = &file.get(name, DType::U8, 1)?.data.bytes;
    let whole = columns > 0 && columns.is_multiple_of(format.elements);
    file.ensure(whole && bytes.len() == format.size(rows * columns), || {
        let found = bytes.len();
        format!(
            "tensor {name:?} has {found} bytes, expected {rows} x {columns} {} weights",
            format.name
        )
    })?;
    Ok(Weights::from_bytes(format, columns, bytes.clone()))
}

/// Recorded indices below `limit`.
pub(super) fn golden_ids<'a>(
    file: &'a GoldenFile,
    name: &str,
    rank: usize,
    limit: usize,
) -> Result<&'a Array, GoldenError> {
    let ids = &file.get(name, DType::U32, rank)?.data;
    file.ensure(
        (0..ids.len()).all(|i| (ids.i64(i) as usize) < limit),
        || format!("tensor {name:?} has an index past {limit}"),
    )?;
    Ok(ids)
}

/// Recorded outputs of this shape.
pub(super) fn golden_output<'a>(
    file: &'a GoldenFile,
    name: &str,
    shape: &[usize],
) -> Result<&'a Array, GoldenError> {
    golden_output_of(file, name, DType::F32, shape)
}

/// Recorded outputs of this type and shape.
pub(super) fn golden_output_of<'a>(
    file: &'a GoldenFile,
    name: &str,
    dtype: DType,
    shape: &[usize],
) -> Result<&'a Array, GoldenError> {
    let tensor = file.get(name, dtype, shape.len())?;
    file.ensure(tensor.shape == shape, || {
        format!(
            "tensor {name:?} has the shape {:?}, expected {shape:?}",
            tensor.shape
        )
    })?;
    Ok(&tensor.data)
}

/// A recorded matrix of activations.
pub(super) fn golden_activations(
    file: &GoldenFile,
    name: &str,
) -> Result<Activations, GoldenError> {
    let tensor = file.get(name, DType::F32, 2)?;
    let values = (0..tensor.data.len())
        .map(|i| tensor.data.f64(i) as f32)
        .collect();
    Ok(Activations {
        values,
        columns: tensor.shape[1],
    })
}

/// The first `batch` rows of the activations that vectors were recorded with.
pub(super) fn golden_vectors(file: &GoldenFile, batch: usize) -> Result<Activations, GoldenError> {
    let x = golden_activations(file, "mmv.x")?;
    file.ensure(x.rows() >= batch, || {
        format!("tensor \"mmv.x\" has fewer than {batch} rows")
    })?;
    Ok(x.take(batch))
}

pub(super) fn exact(reference: Reference, arg: usize, values: Array) -> Check {
    Check {
        arg,
        reference,
        expected: Expected::Exact(values),
    }
}

/// Equal to what the CPU computes, which writes `d (q - 8)` where a kernel may write `d q - 8 d`: zeros differ in sign.
pub(super) fn equal(arg: usize, values: Array) -> Check {
    Check {
        arg,
        reference: Reference::Cpu,
        expected: Expected::Equal(values),
    }
}

pub(super) fn golden_norm(arg: usize, values: Array) -> Check {
    let expected = Expected::RelativeNorm {
        values,
        limit: GOLDEN_LIMIT,
    };
    Check {
        arg,
        reference: Reference::Golden,
        expected,
    }
}

pub(super) fn within(reference: Reference, arg: usize, elements: Vec<Approx>) -> Check {
    let expected = Expected::Within {
        dtype: DType::F32,
        elements,
    };
    Check {
        arg,
        reference,
        expected,
    }
}

pub(super) fn case(name: String, operation: Gguf, args: Vec<Arg>, checks: Vec<Check>) -> Case {
    Case {
        name,
        launch: Launch::Gguf(operation),
        args,
        checks,
        repair: None,
    }
}

/// The same operation on nothing: no kernel may write a byte, and no launch may be refused for its empty grid.
pub(super) fn empty(args: Vec<Arg>, output: usize, operation: Gguf) -> Case {
    let written = match &args[output] {
        Arg::Output(bytes) => *bytes,
        _ => 0,
    };
    let untouched = Array::from_bytes(DType::U8, vec![Arg::UNTOUCHED; written]);
    let check = exact(Reference::Cpu, output, untouched);
    case("nothing".to_owned(), operation, args, vec![check])
}

/// Columns of one block, and of a number of blocks that fills no step of any kernel.
pub(super) fn odd_columns(format: &Format) -> [usize; 2] {
    [format.elements, 7 * format.elements]
}

/// What candle-core's CPU code dequantizes, which every kernel must give: each weight is one rounding of an expression
/// whose products are exact in f32, so that it is the same fused or not.
pub(super) fn dequantized(weights: &Weights, dtype: DType) -> Array {
    Array::floats(dtype, weights.values.iter().map(|v| *v as f64))
}

/// Rows out of order and more than once.
pub(super) fn row_ids(rng: &mut ChaCha8Rng, count: usize, rows: usize) -> Array {
    Array::ints(
        DType::U32,
        (0..count).map(|_| rng.random_range(0..rows) as i64),
    )
}
