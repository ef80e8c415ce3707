//! Kernels that multiply: a matrix with vectors, with matrices, and with the rows that experts are chosen for.

use rand_chacha::ChaCha8Rng;

use super::blocks::{Format, Weights};
use super::parts::{
    Cases, case, draw, draw_activations, empty, golden_activations, golden_ids, golden_norm,
    golden_output, golden_vectors, golden_weights, odd_columns, padded, row_ids, within,
};
use super::reference::{self, Activations, OffsetBy, Q8_1Row};
use crate::case::{Arg, Case, Check, Expected, Geometry, Gguf, Reference};
use crate::element::{Array, DType};
use crate::error_bound::Approx;
use crate::families::Material;

pub(super) fn dequantize_mul_mat_vec(material: &mut Material, format: &'static Format) -> Cases {
    const OUTPUT: usize = 2;
    let one = |name: String, weights: &Weights, x: &[f32], mut checks: Vec<Check>| {
        let rows = weights.rows();
        let elements = (0..rows)
            .map(|row| reference::dot_f32(weights, row, x))
            .collect();
        checks.push(within(Reference::Cpu, OUTPUT, elements));
        let x = Arg::Input(x.iter().flat_map(|v| v.to_le_bytes()).collect());
        let args = vec![padded(weights), x, Arg::output(DType::F32, rows)];
        let columns = weights.columns;
        let operation = Gguf::DequantizeMulMatVec {
            dtype: format.loader,
            rows,
            columns,
        };
        case(format!("{name}{rows} x {columns}"), operation, args, checks)
    };
    let file = material.golden.tensors(format.name)?;
    let recorded = file.get("dmmv.f32", DType::F32, 1)?;
    let x = golden_activations(&file, "mmv.x")?;
    let weights = golden_weights(&file, "mmv.w", format, recorded.data.len(), x.columns)?;
    let golden = golden_norm(OUTPUT, recorded.data.clone());
    let mut cases = vec![one("golden ".to_owned(), &weights, x.row(0), vec![golden])];
    let columns = if format.elements == 32 {
        [64, 320, 1088]
    } else {
        [256, 768, 1280]
    };
    for (turn, (rows, columns)) in [1, 5, 18].into_iter().zip(columns).enumerate() {
        let weights = draw(&mut material.rng, turn, format, rows, columns);
        let x = draw_activations(&mut material.rng, 1, columns);
        cases.push(one(String::new(), &weights, x.row(0), Vec::new()));
    }
    if format.elements == 32 {
        for columns in [32, 96] {
            cases.push(half_a_step(&mut material.rng, format, columns));
        }
    }
    let weights = draw(&mut material.rng, 1, format, 3, 2 * format.elements);
    let x = draw_activations(&mut material.rng, 1, weights.columns);
    cases.push(one(String::new(), &weights, x.row(0), Vec::new()));
    let args = vec![
        padded(&weights),
        Arg::Input(x.to_bytes()),
        Arg::output(DType::F32, 8),
    ];
    let operation = Gguf::DequantizeMulMatVec {
        dtype: format.loader,
        rows: 0,
        columns: weights.columns,
    };
    cases.push(empty(args, OUTPUT, operation));
    Ok(cases)
}

/// A step of the kernel takes 64 columns, and candle's does so where 32 are left. The loader refuses such a shape, which
/// older kernels get wrong, so the kernel is launched here.
fn half_a_step(rng: &mut ChaCha8Rng, format: &'static Format, columns: usize) -> Case {
    let rows = 3;
    let weights = draw(rng, 0, format, rows, columns);
    let x = draw_activations(rng, 1, columns);
    let elements = (0..rows).map(|row| reference::dot_f32(&weights, row, x.row(0)));
    let expected = Expected::Within {
        dtype: DType::F32,
        elements: elements.collect(),
    };
    let args = vec![
        padded(&weights),
        Arg::Input(x.to_bytes()),
        Arg::output(DType::F32, rows),
        Arg::i32(columns),
        Arg::i32(rows),
    ];
    Case::new(
        format!("{rows} x {columns}"),
        Geometry::linear(rows, 32),
        args,
        2,
        expected,
    )
    .needs_repair("dequantize-mul-mat-vec-columns")
}

/// Both references of a product with rounded activations, for the outputs in the order of `pairs` of weight row and
/// activation row.
fn products(
    weights: &Weights,
    x: &Activations,
    offset_by: OffsetBy,
    output: usize,
    pairs: impl Iterator<Item = (usize, usize)>,
) -> Vec<Check> {
    let (same, before) = dots(weights, x, offset_by, pairs);
    vec![
        within(Reference::Cpu, output, same),
        within(Reference::Q8_1, output, before),
    ]
}

/// The products of `pairs` of weight row and activation row: against the same rounded activations, and against those
/// before rounding.
pub(super) fn dots(
    weights: &Weights,
    x: &Activations,
    offset_by: OffsetBy,
    pairs: impl Iterator<Item = (usize, usize)>,
) -> (Vec<Approx>, Vec<Approx>) {
    let quantized: Vec<Q8_1Row> = x.quantized();
    pairs
        .map(|(row, j)| reference::dot_q8_1(weights, row, x.row(j), &quantized[j], offset_by))
        .unzip()
}

/// The activations as the kernels take them. They are rounded here, not by `quantize_q8_1`, so that each kernel stands
/// or falls alone.
pub(super) fn rounded(x: &Activations) -> Arg {
    Arg::Input(reference::q8_1_bytes(&x.quantized()))
}

/// What the products of a block with a vector's block do with the offset.
pub(super) fn vector_offset(format: &Format) -> OffsetBy {
    match format.name {
        "q4_0" | "q4_1" | "q5_0" | "q5_1" => OffsetBy::Sum,
        _ => OffsetBy::Element,
    }
}

pub(super) fn mul_mat_vec(material: &mut Material, format: &'static Format, batch: usize) -> Cases {
    const OUTPUT: usize = 2;
    let offset_by = vector_offset(format);
    let one = |name: String, weights: &Weights, x: &Activations, mut checks: Vec<Check>| {
        let rows = weights.rows();
        let pairs = (0..batch * rows).map(|i| (i % rows, i / rows));
        checks.extend(products(weights, x, offset_by, OUTPUT, pairs));
        let args = vec![
            padded(weights),
            rounded(x),
            Arg::output(DType::F32, batch * rows),
        ];
        let columns = weights.columns;
        let operation = Gguf::MulMatVec {
            dtype: format.loader,
            rows,
            columns,
            batch,
        };
        let name = format!("{name}{rows} x {columns}, {batch} columns");
        let case = case(name, operation, args, checks);
        // A block takes two rows and writes both, whether there are two or one.
        if batch > 1 && rows % 2 == 1 {
            case.needs_repair("mul-mat-vec-odd-rows")
        } else {
            case
        }
    };
    let file = material.golden.tensors(format.name)?;
    let x = golden_vectors(&file, batch)?;
    let name = format!("mmv.b{batch}");
    let rows = file.get(&name, DType::F32, 2)?.shape[1];
    let recorded = golden_output(&file, &name, &[batch, rows])?;
    let weights = golden_weights(&file, "mmv.w", format, rows, x.columns)?;
    let golden = golden_norm(OUTPUT, recorded.clone());
    let mut cases = vec![one("golden ".to_owned(), &weights, &x, vec![golden])];
    let columns = if format.elements == 32 {
        [32, 416, 1088]
    } else {
        [256, 768, 1280]
    };
    for (turn, (rows, columns)) in [2, 10, 5].into_iter().zip(columns).enumerate() {
        let weights = draw(&mut material.rng, turn, format, rows, columns);
        let x = draw_activations(&mut material.rng, batch, columns);
        cases.push(one(String::new(), &weights, &x, Vec::new()));
    }
    for (turn, (rows, columns)) in [1, 3].into_iter().zip(odd_columns(format)).enumerate() {
        let weights = draw(&mut material.rng, turn, format, rows, columns);
        let x = draw_activations(&mut material.rng, batch, columns);
        cases.push(one(String::new(), &weights, &x, Vec::new()));
    }
    let weights = draw(&mut material.rng, 0, format, 1, format.elements);
    let x = draw_activations(&mut material.rng, batch, weights.columns);
    let args = vec![
        padded(&weights),
        rounded(&x),
        Arg::output(DType::F32, 2 * batch),
    ];
    let operation = Gguf::MulMatVec {
        dtype: format.loader,
        rows: 0,
        columns: weights.columns,
        batch,
    };
    cases.push(empty(args, OUTPUT, operation));
    Ok(cases)
}

pub(super) fn mul_mat(material: &mut Material, format: &'static Format) -> Cases {
    const OUTPUT: usize = 2;
    let offset_by = match format.name {
        "q4_0" | "q4_1" | "q5_1" | "q4_K" | "q5_K" => OffsetBy::Sum,
        _ => OffsetBy::Element,
    };
    let one = |name: String, weights: &Weights, x: &Activations, mut checks: Vec<Check>| {
        let (rows, batch) = (weights.rows(), x.rows());
        let pairs = (0..batch * rows).map(|i| (i % rows, i / rows));
        checks.extend(products(weights, x, offset_by, OUTPUT, pairs));
        let args = vec![
            padded(weights),
            rounded(x),
            Arg::output(DType::F32, batch * rows),
        ];
        let columns = weights.columns;
        let operation = Gguf::MulMat {
            dtype: format.loader,
            rows,
            columns,
            batch,
        };
        case(
            format!("{name}{rows} x {columns}, {batch} columns"),
            operation,
            args,
            checks,
        )
    };
    let file = material.golden.tensors(format.name)?;
    let x = golden_activations(&file, "mm.x")?;
    let rows = file.get("mm.f32", DType::F32, 2)?.shape[1];
    let recorded = golden_output(&file, "mm.f32", &[x.rows(), rows])?;
    let weights = golden_weights(&file, "mm.w", format, rows, x.columns)?;
    let golden = golden_norm(OUTPUT, recorded.clone());
    let mut cases = vec![one("golden ".to_owned(), &weights, &x, vec![golden])];
    let columns = if format.elements == 32 {
        [96, 544]
    } else {
        [256, 768]
    };
    let [block, blocks] = odd_columns(format);
    let shapes = [
        ((1, 9), columns[0]),
        ((37, 3), columns[1]),
        ((1, 1), block),
        // One more than a tile has, in both directions.
        ((129, 1), block),
        ((3, 129), block),
        ((65, 33), blocks),
    ];
    for (turn, ((rows, batch), columns)) in shapes.into_iter().enumerate() {
        let weights = draw(&mut material.rng, turn, format, rows, columns);
        let x = draw_activations(&mut material.rng, batch, columns);
        cases.push(one(String::new(), &weights, &x, Vec::new()));
    }
    let weights = draw(&mut material.rng, 0, format, 1, block);
    let x = draw_activations(&mut material.rng, 1, block);
    for (rows, batch) in [(0, 1), (1, 0)] {
        let args = vec![padded(&weights), rounded(&x), Arg::output(DType::F32, 2)];
        let operation = Gguf::MulMat {
            dtype: format.loader,
            rows,
            columns: block,
            batch,
        };
        cases.push(empty(args, OUTPUT, operation));
    }
    Ok(cases)
}

/// A mixture of experts: for each of `batch` x `top_k` tasks, one expert's matrix times one row of activations.
struct Experts {
    weights: Weights,
    x: Activations,
    ids: Array,
    /// Rows of one expert's matrix.
    rows: usize,
    batch: usize,
    top_k: usize,
    /// Rows of activations for each member of the batch: 1, or one for each of its tasks.
    inputs: usize,
}

pub(super) fn indexed_moe(material: &mut Material, format: &'static Format) -> Cases {
    let file = material.golden.tensors(format.name)?;
    let mut cases = Vec::new();
    if file.has("moe.f32") {
        let &[batch, top_k, rows] = file.get("moe.f32", DType::F32, 3)?.shape.as_slice() else {
            unreachable!("a tensor of three dimensions");
        };
        let recorded = golden_output(&file, "moe.f32", &[batch, top_k, rows])?;
        let &[_, inputs, columns] = file.get("moe.x", DType::F32, 3)?.shape.as_slice() else {
            unreachable!("a tensor of three dimensions");
        };
        let x = golden_output(&file, "moe.x", &[batch, inputs, columns])?;
        let bytes = file.get("moe.w", DType::U8, 1)?.data.len();
        let experts = bytes / format.size(rows * columns).max(1);
        let ids = golden_ids(&file, "moe.ids", 2, experts)?;
        let shapes_fit = ids.len() == batch * top_k && (inputs == 1 || inputs == top_k);
        file.ensure(shapes_fit, || {
            "the shapes of the tensors \"moe.*\" do not fit".to_owned()
        })?;
        let experts = Experts {
            weights: golden_weights(&file, "moe.w", format, experts * rows, columns)?,
            x: Activations {
                values: (0..x.len()).map(|i| x.f64(i) as f32).collect(),
                columns,
            },
            ids: ids.clone(),
            rows,
            batch,
            top_k,
            inputs,
        };
        let golden = golden_norm(MOE_OUTPUT, recorded.clone());
        cases.push(moe_case("golden ", &experts, vec![golden]));
    }
    for (turn, (experts, rows, batch, top_k, inputs)) in [
        (1, 5, 2, 1, 1),
        (4, 7, 3, 2, 1),
        (3, 2, 2, 3, 3),
        (2, 1, 1, 1, 1),
        (2, 3, 1, 2, 2),
    ]
    .into_iter()
    .enumerate()
    {
        let rng = &mut material.rng;
        let [block, blocks] = odd_columns(format);
        let columns = [256, 768, 1280, block, blocks][turn];
        let moe = Experts {
            weights: draw(rng, turn, format, experts * rows, columns),
            x: draw_activations(rng, batch * inputs, columns),
            ids: row_ids(rng, batch * top_k, experts),
            rows,
            batch,
            top_k,
            inputs,
        };
        let case = moe_case("", &moe, Vec::new());
        // The stride between experts is computed as if a block held 256 elements.
        let wrong_stride = format.elements != 256 && experts > 1;
        cases.push(if wrong_stride {
            case.needs_repair("indexed-moe-expert-stride")
        } else {
            case
        });
    }
    Ok(cases)
}

const MOE_OUTPUT: usize = 3;

fn moe_case(name: &str, moe: &Experts, mut checks: Vec<Check>) -> Case {
    let Experts {
        weights,
        x,
        ids,
        rows,
        batch,
        top_k,
        inputs,
    } = moe;
    let count = batch * top_k * rows;
    let pairs = (0..count).map(|i| {
        let (task, row) = (i / rows, i % rows);
        let input = if *inputs == 1 { task / top_k } else { task };
        (ids.i64(task) as usize * rows + row, input)
    });
    checks.extend(products(weights, x, OffsetBy::Element, MOE_OUTPUT, pairs));
    let args = vec![
        padded(weights),
        rounded(x),
        Arg::input(ids),
        Arg::output(DType::F32, count),
    ];
    let operation = Gguf::IndexedMoe {
        dtype: weights.format.loader,
        rows: *rows,
        columns: weights.columns,
        batch: *batch,
        top_k: *top_k,
        inputs: *inputs,
    };
    let experts = weights.rows() / rows;
    let name = format!(
        "{name}{experts} experts of {rows} x {}, {batch} x {top_k} tasks, {inputs} inputs",
        weights.columns
    );
    case(name, operation, args, checks)
}
