//! Kernels that candle's build puts into a host library with their launchers: `mmvq_gguf.cu`, which multiplies with up to
//! 8 rows of activations of f32, f16 or bf16, and `moe/moe_gguf.cu`, which multiplies each token with its experts.
//!
//! Both multiply as `quantized.cu` does and differ in what they read and write, so the references are those of that
//! module. Launches are those of the launchers beside the kernels.

use rand::Rng;
use rand::seq::SliceRandom;

use super::blocks::{Format, Weights};
use super::convert::same_q8_1;
use super::parts::{
    Cases, GOLDEN_LIMIT, draw, draw_activations, exact, golden_activations, golden_norm,
    golden_output, golden_output_of, golden_vectors, golden_weights, odd_columns, padded,
};
use super::product::{dots, rounded, vector_offset};
use super::reference::{self, Activations, Q8_1_BYTES, Q8_1_ELEMENTS};
use crate::case::{Arg, Case, Check, Expected, Geometry, Launch, Reference};
use crate::element::{Array, DType};
use crate::error_bound::{Approx, Arith};
use crate::families::Material;
use crate::golden::{Golden, GoldenError};

/// The file with what these kernels gave on a CUDA GPU.
const RECORDED: &str = "static_library";

/// Lanes of a row of threads, which the sources call a warp.
const WARP: u32 = 32;

/// Threads of a block that quantizes.
const QUANTIZE_THREADS: u32 = 256;

/// Activations that are exact in `dtype`.
fn representable(mut x: Activations, dtype: DType) -> Activations {
    for value in &mut x.values {
        *value = dtype.round(f64::from(*value)) as f32;
    }
    x
}

fn kernel(name: String, geometry: Geometry, args: Vec<Arg>, checks: Vec<Check>) -> Case {
    Case {
        name,
        launch: Launch::Kernel(geometry),
        args,
        checks,
        repair: None,
    }
}

/// `quantize_q8_1` of activations of another type.
pub(super) fn quantize_q8_1(material: &mut Material, dtype: DType) -> Cases {
    const OUTPUT: usize = 1;
    let one = |name: String, x: &Activations, mut checks: Vec<Check>| {
        let want = Array::from_bytes(DType::U8, reference::q8_1_bytes(&x.quantized()));
        let bytes = want.len();
        checks.push(exact(Reference::Cpu, OUTPUT, want));
        let values = Array::floats(dtype, x.values.iter().map(|v| f64::from(*v)));
        let args = vec![
            Arg::input(&values),
            Arg::Output(bytes),
            Arg::i32(x.columns),
            Arg::i32(x.padded_columns()),
        ];
        let blocks = (x.padded_columns() as u32).div_ceil(QUANTIZE_THREADS);
        let geometry = Geometry {
            grid: [blocks, x.rows() as u32, 1],
            block: [QUANTIZE_THREADS, 1, 1],
            shared: 0,
        };
        kernel(
            format!("{name}{} x {}", x.rows(), x.columns),
            geometry,
            args,
            checks,
        )
    };
    let mut cases = Vec::new();
    if dtype == DType::F32 {
        let file = material.golden.tensors("q4_0")?;
        let x = golden_activations(&file, "mmv.x")?;
        let recorded = file.get("quantize_q8_1.y", DType::U8, 1)?;
        let recorded = recorded.data.bytes.clone();
        let expected = x.rows() * x.padded_columns() / Q8_1_ELEMENTS * Q8_1_BYTES;
        file.ensure(recorded.len() == expected, || {
            let found = recorded.len();
            format!("tensor \"quantize_q8_1.y\" has {found} bytes, expected {expected}")
        })?;
        let golden = Check {
            arg: OUTPUT,
            reference: Reference::Golden,
            expected: Expected::Property(Box::new(move |got| same_q8_1(got, &recorded))),
        };
        cases.push(one("golden ".to_owned(), &x, vec![golden]));
    }
    for (rows, columns) in [
        (1, 512),
        (3, 5),
        (2, 1000),
        (5, 1536),
        (1, 33),
        (7, 31),
        (8, 32),
    ] {
        let x = draw_activations(&mut material.rng, rows, columns);
        cases.push(one(String::new(), &representable(x, dtype), Vec::new()));
    }
    Ok(cases)
}

/// A matrix times `batch` vectors, with results of type `dtype`.
pub(super) fn mul_mat_vec(
    material: &mut Material,
    format: &'static Format,
    dtype: DType,
    batch: usize,
) -> Cases {
    const OUTPUT: usize = 2;
    let one = |name: String, weights: &Weights, x: &Activations, mut checks: Vec<Check>| {
        let (rows, columns) = (weights.rows(), weights.columns);
        let pairs = (0..batch * rows).map(|i| (i % rows, i / rows));
        let (same, before) = dots(weights, x, vector_offset(format), pairs);
        for (reference, elements) in [(Reference::Cpu, same), (Reference::Q8_1, before)] {
            checks.push(written(reference, OUTPUT, dtype, elements));
        }
        let args = vec![
            padded(weights),
            rounded(x),
            Arg::output(dtype, batch * rows),
            Arg::i32(columns),
            Arg::i32(rows),
            Arg::i32(x.padded_columns() / Q8_1_ELEMENTS),
            Arg::i32(rows),
        ];
        let rows_of_a_block = if batch == 1 { 1 } else { 2 };
        let geometry = Geometry {
            grid: [(rows as u32).div_ceil(rows_of_a_block), 1, 1],
            block: [WARP, if batch <= 4 { 4 } else { 2 }, 1],
            shared: 0,
        };
        let name = format!("{name}{rows} x {columns}, {batch} columns");
        let case = kernel(name, geometry, args, checks);
        // The second row of a block is read whether it is there or not, and may lie behind the padding.
        if batch > 1 && rows % 2 == 1 && columns > reference::ROW_PADDING {
            case.needs_repair("mmvq-odd-rows")
        } else {
            case
        }
    };
    let file = material.golden.tensors(format.name)?;
    let x = golden_vectors(&file, batch)?;
    let recorded = material.golden.tensors(RECORDED)?;
    let name = format!("{}.mmvq.b{batch}.{}", format.name, dtype.name());
    let rows = recorded.get(&name, dtype, 2)?.shape[1];
    let values = golden_output_of(&recorded, &name, dtype, &[batch, rows])?;
    let weights = golden_weights(&file, "mmv.w", format, rows, x.columns)?;
    let golden = Check {
        arg: OUTPUT,
        reference: Reference::Golden,
        expected: Expected::RelativeNorm {
            values: values.clone(),
            // Sums that differ in their last bits may be rounded to neighbours.
            limit: GOLDEN_LIMIT.max(dtype.unit_roundoff()),
        },
    };
    let mut cases = vec![one("golden ".to_owned(), &weights, &x, vec![golden])];
    let [block, blocks] = odd_columns(format);
    let columns = if format.elements == 32 {
        [416, 1088]
    } else {
        [768, 1280]
    };
    let shapes = [
        (2, block),
        (10, columns[0]),
        (5, columns[1]),
        (1, block),
        (3, blocks),
    ];
    for (turn, (rows, columns)) in shapes.into_iter().enumerate() {
        let weights = draw(&mut material.rng, turn, format, rows, columns);
        let x = draw_activations(&mut material.rng, batch, columns);
        cases.push(one(String::new(), &weights, &x, Vec::new()));
    }
    Ok(cases)
}

/// Sums of f32, written as `dtype`.
fn written(reference: Reference, arg: usize, dtype: DType, elements: Vec<Approx>) -> Check {
    let arith = Arith::new(dtype);
    let elements = match dtype {
        DType::F32 => elements,
        _ => elements.into_iter().map(|sum| arith.convert(sum)).collect(),
    };
    Check {
        arg,
        reference,
        expected: Expected::Within { dtype, elements },
    }
}

/// Which tokens meet which experts, and what they are made of.
struct Mixture {
    weights: Weights,
    x: Activations,
    /// Rows of an expert's matrix.
    rows: usize,
    /// The token of each task, and its expert; one that isn't there leaves the outputs of its task alone.
    tokens: Vec<usize>,
    experts: Vec<usize>,
    /// Factors of the tokens' outputs. With them every token has activations of its own, without them `top_k` share a row.
    scales: Option<Vec<f32>>,
    top_k: usize,
}

/// Rows of threads in a block of the kernel of experts, each with a row of the matrix.
const ROWS_OF_A_BLOCK: usize = 4;

/// Each task's row of activations times the matrix of its expert.
pub(super) fn moe_gemm(material: &mut Material, format: &'static Format) -> Cases {
    let mut cases = Vec::new();
    for weighted in [false, true] {
        let (name, mixture, values) = recorded_mixture(material.golden, format, weighted)?;
        let golden = golden_norm(MOE_OUTPUT, values);
        cases.push(moe_case(name, &mixture, vec![golden]));
    }
    let [block, blocks] = odd_columns(format);
    let shapes = [
        (1, 4, 1, 1, false, block),
        (4, 7, 6, 2, false, blocks),
        (3, 2, 9, 3, true, 1280),
        (8, 5, 4, 4, false, 768),
        (2, 9, 3, 1, true, 256),
    ];
    for (turn, (count, rows, tasks, top_k, weighted, columns)) in shapes.into_iter().enumerate() {
        let rng = &mut material.rng;
        let weights = draw(rng, turn, format, count * rows, columns);
        let x = draw_activations(rng, if weighted { tasks } else { tasks / top_k }, columns);
        let mut tokens: Vec<usize> = (0..tasks).collect();
        tokens.shuffle(rng);
        // Tasks come sorted by expert, those without one last.
        let mut experts: Vec<usize> = (0..tasks).map(|_| rng.random_range(0..count)).collect();
        experts.sort_unstable();
        if tasks > 1 {
            experts[tasks - 1] = count;
        }
        let scales = weighted.then(|| (0..tasks).map(|_| rng.random_range(0.05..1.0)).collect());
        let mixture = Mixture {
            weights,
            x,
            rows,
            tokens,
            experts,
            scales,
            top_k,
        };
        cases.push(moe_case(String::new(), &mixture, Vec::new()));
    }
    Ok(cases)
}

/// What was recorded: 4 tasks for 3 experts of 24 rows, the first rows of the matrices that `mul_mat` was recorded with.
fn recorded_mixture(
    golden: &Golden,
    format: &'static Format,
    weighted: bool,
) -> Result<(String, Mixture, Array), GoldenError> {
    const ROWS: usize = 24;
    const EXPERTS: usize = 3;
    const TASKS: usize = 4;
    let file = golden.tensors(format.name)?;
    let x = golden_activations(&file, "mm.x")?;
    let rows = file.get("mm.f32", DType::F32, 2)?.shape[1];
    file.ensure(rows >= EXPERTS * ROWS && x.rows() >= TASKS, || {
        "the tensors \"mm.*\" are too small".to_owned()
    })?;
    let all = golden_weights(&file, "mm.w", format, rows, x.columns)?;
    let bytes = all.bytes[..format.size(EXPERTS * ROWS * x.columns)].to_vec();
    let recorded = golden.tensors(RECORDED)?;
    let kind = if weighted { "moe_weighted" } else { "moe" };
    let name = format!("{}.{kind}", format.name);
    let values = golden_output(&recorded, &name, &[TASKS, ROWS])?.clone();
    let mixture = Mixture {
        weights: Weights::from_bytes(format, x.columns, bytes),
        rows: ROWS,
        tokens: vec![2, 0, 3, 1],
        experts: vec![0, 1, 1, 2],
        scales: weighted.then(|| vec![0.125, 0.9, 0.3, 0.75]),
        top_k: if weighted { 1 } else { 2 },
        x: x.take(if weighted { TASKS } else { TASKS / 2 }),
    };
    Ok(("golden ".to_owned(), mixture, values))
}

const MOE_OUTPUT: usize = 5;

fn moe_case(name: String, mixture: &Mixture, mut checks: Vec<Check>) -> Case {
    let Mixture {
        weights,
        x,
        rows,
        tokens,
        experts,
        scales,
        top_k,
    } = mixture;
    let (format, columns) = (weights.format, weights.columns);
    let (rows, tasks, count) = (*rows, tokens.len(), weights.rows() / rows);
    let untouched = f32::from_le_bytes([Arg::UNTOUCHED; 4]);
    let mut same = vec![Approx::exact(f64::from(untouched)); tasks * rows];
    let mut before = same.clone();
    let f32 = Arith::new(DType::F32);
    for (&token, &expert) in tokens.iter().zip(experts).filter(|(_, e)| **e < count) {
        let (input, scale) = match scales {
            Some(scales) => (token, scales[token]),
            None => (token / top_k, 1.0),
        };
        let pairs = (0..rows).map(|row| (expert * rows + row, input));
        let (a, b) = dots(weights, x, vector_offset(format), pairs);
        let scale = Approx::exact(f64::from(scale));
        for (row, (a, b)) in a.into_iter().zip(b).enumerate() {
            same[token * rows + row] = f32.mul(a, scale);
            before[token * rows + row] = f32.mul(b, scale);
        }
    }
    checks.push(written(Reference::Cpu, MOE_OUTPUT, DType::F32, same));
    checks.push(written(Reference::Q8_1, MOE_OUTPUT, DType::F32, before));
    let i32s = |values: &[usize]| Array::ints(DType::I32, values.iter().map(|v| *v as i64));
    let factors = scales.as_ref().map_or(Arg::Null, |scales| {
        Arg::Input(scales.iter().flat_map(|v| v.to_le_bytes()).collect())
    });
    let args = vec![
        padded(weights),
        rounded(x),
        Arg::input(&i32s(tokens)),
        Arg::input(&i32s(experts)),
        factors,
        Arg::output(DType::F32, tasks * rows),
        Arg::i32(count),
        Arg::i32(*top_k),
        Arg::i32(tasks),
        Arg::i32(rows),
        Arg::i32(columns),
        Arg::i32(x.padded_columns()),
    ];
    let geometry = Geometry {
        grid: [rows.div_ceil(ROWS_OF_A_BLOCK) as u32, tasks as u32, 1],
        block: [WARP, ROWS_OF_A_BLOCK as u32, 1],
        // A row of weights for each row of threads, and what the launcher adds.
        shared: (format.size(columns) * ROWS_OF_A_BLOCK + 1024) as u32,
    };
    let kind = if scales.is_some() {
        "weighted tasks"
    } else {
        "tasks"
    };
    let name = format!("{name}{count} experts of {rows} x {columns}, {tasks} {kind}");
    let case = kernel(name, geometry, args, checks);
    if rows % ROWS_OF_A_BLOCK == 0 {
        case
    } else {
        case.needs_repair("moe-gguf-barrier")
    }
}
