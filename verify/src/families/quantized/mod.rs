//! `quantized.cu`: GGUF blocks dequantized, looked up and multiplied.
//!
//! Every kernel that has golden vectors is run on them, and every kernel on fresh random data in other shapes: odd
//! numbers of rows, columns that need padding, batches that fill no tile. Half of the random weights are quantized from
//! normal numbers by candle-core, half are random bits.

mod blocks;
mod reference;

use hip_loader::gguf::GgmlType;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use self::blocks::{Format, Weights, normal};
use self::reference::{Activations, OffsetBy, Q8_1_BYTES, Q8_1_ELEMENTS, Q8_1Row};
use super::{Material, Plan};
use crate::case::{Arg, Case, Check, Expected, Geometry, Gguf, Launch, Reference};
use crate::element::{Array, DType};
use crate::error_bound::Approx;
use crate::golden::{GoldenError, GoldenFile};

/// The relative error above which a result differs from the CUDA kernel's by more than the order of its additions.
const GOLDEN_LIMIT: f64 = 1e-5;

type Cases = Result<Vec<Case>, GoldenError>;

/// A kernel of the module.
#[derive(Clone, Copy)]
enum Kernel {
    Dequantize(&'static Format, DType),
    GetRows(&'static Format),
    GetFloatRows(DType),
    QuantizeQ8_1,
    DequantizeMulMatVec(&'static Format),
    /// With the number of activation rows that the kernel is made for.
    MulMatVec(&'static Format, usize),
    MulMat(&'static Format),
    IndexedMoe(&'static Format),
}

impl Kernel {
    fn parse(symbol: &str) -> Option<Kernel> {
        if symbol == "quantize_q8_1" {
            return Some(Kernel::QuantizeQ8_1);
        }
        if let Some(rest) = symbol.strip_prefix("dequantize_block_") {
            let (name, dtype) = DType::split_suffix(rest)?;
            return Some(Kernel::Dequantize(Format::find(name)?, dtype));
        }
        if let Some(name) = symbol.strip_prefix("get_rows_") {
            return match DType::from_name(name) {
                Some(dtype) => Some(Kernel::GetFloatRows(dtype)),
                None => Some(Kernel::GetRows(Format::find(name)?)),
            };
        }
        if let Some(name) = symbol.strip_prefix("dequantize_mul_mat_vec_") {
            let name = name.strip_suffix("_cuda").unwrap_or(name);
            return Some(Kernel::DequantizeMulMatVec(Format::find(name)?));
        }
        if let Some(rest) = symbol.strip_prefix("mul_mat_vec_") {
            let (name, batch) = rest.split_once("_q8_1_cuda")?;
            return Some(Kernel::MulMatVec(Format::find(name)?, batch.parse().ok()?));
        }
        if let Some(rest) = symbol.strip_prefix("indexed_moe_forward_") {
            return Some(Kernel::IndexedMoe(Format::find(
                rest.strip_suffix("_q8_1")?,
            )?));
        }
        let name = symbol.strip_prefix("mul_mat_")?;
        Some(Kernel::MulMat(Format::find(name)?))
    }

    /// Its row and column in the report's table.
    fn place(self) -> (String, &'static str) {
        match self {
            Kernel::Dequantize(format, dtype) => (format!("dequant {}", dtype.name()), format.name),
            Kernel::GetRows(format) => ("get_rows".to_owned(), format.name),
            Kernel::GetFloatRows(dtype) => ("get_rows".to_owned(), dtype.name()),
            Kernel::QuantizeQ8_1 => ("quantize".to_owned(), "q8_1"),
            Kernel::DequantizeMulMatVec(format) => ("dmmv".to_owned(), format.name),
            Kernel::MulMatVec(format, 1) => ("mmv 1".to_owned(), format.name),
            Kernel::MulMatVec(format, _) => ("mmv 2-8".to_owned(), format.name),
            Kernel::MulMat(format) => ("mul_mat".to_owned(), format.name),
            Kernel::IndexedMoe(format) => ("moe".to_owned(), format.name),
        }
    }

    fn cases(self, material: &mut Material) -> Cases {
        match self {
            Kernel::Dequantize(format, dtype) => dequantize(material, format, dtype),
            Kernel::GetRows(format) => get_rows(material, format),
            Kernel::GetFloatRows(dtype) => Ok(get_float_rows(&mut material.rng, dtype)),
            Kernel::QuantizeQ8_1 => quantize_q8_1(material),
            Kernel::DequantizeMulMatVec(format) => dequantize_mul_mat_vec(material, format),
            Kernel::MulMatVec(format, batch) => mul_mat_vec(material, format, batch),
            Kernel::MulMat(format) => mul_mat(material, format),
            Kernel::IndexedMoe(format) => indexed_moe(material, format),
        }
    }
}

pub(super) fn plan(symbol: &str) -> Option<Plan> {
    let kernel = Kernel::parse(symbol)?;
    let (family, variant) = kernel.place();
    Some(Plan {
        family,
        variant: variant.to_owned(),
        cases: Box::new(move |material| kernel.cases(material)),
    })
}

/// Weights as candle keeps them on the device: followed by zeros for 512 elements, which kernels may read.
fn padded(weights: &Weights) -> Arg {
    let mut bytes = weights.bytes.clone();
    bytes.resize(bytes.len() + weights.format.size(reference::ROW_PADDING), 0);
    Arg::Input(bytes)
}

/// The `turn`-th random matrix of a kernel: quantized from real numbers, or random bits, in turn.
fn draw(
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

fn draw_activations(rng: &mut ChaCha8Rng, rows: usize, columns: usize) -> Activations {
    let mut values: Vec<f32> = (0..rows * columns).map(|_| normal(rng)).collect();
    // A block of zeros has no scale to divide by.
    values[..Q8_1_ELEMENTS.min(columns)].fill(0.0);
    Activations { values, columns }
}

/// A recorded matrix of weights of this shape.
fn golden_weights(
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
fn golden_ids<'a>(
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
fn golden_output<'a>(
    file: &'a GoldenFile,
    name: &str,
    shape: &[usize],
) -> Result<&'a Array, GoldenError> {
    let tensor = file.get(name, DType::F32, shape.len())?;
    file.ensure(tensor.shape == shape, || {
        format!(
            "tensor {name:?} has the shape {:?}, expected {shape:?}",
            tensor.shape
        )
    })?;
    Ok(&tensor.data)
}

/// A recorded matrix of activations.
fn golden_activations(file: &GoldenFile, name: &str) -> Result<Activations, GoldenError> {
    let tensor = file.get(name, DType::F32, 2)?;
    let values = (0..tensor.data.len())
        .map(|i| tensor.data.f64(i) as f32)
        .collect();
    Ok(Activations {
        values,
        columns: tensor.shape[1],
    })
}

fn exact(reference: Reference, arg: usize, values: Array) -> Check {
    Check {
        arg,
        reference,
        expected: Expected::Exact(values),
    }
}

/// Equal to what the CPU computes, which writes `d (q - 8)` where a kernel may write `d q - 8 d`: zeros differ in sign.
fn equal(arg: usize, values: Array) -> Check {
    Check {
        arg,
        reference: Reference::Cpu,
        expected: Expected::Equal(values),
    }
}

fn golden_norm(arg: usize, values: Array) -> Check {
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

fn within(reference: Reference, arg: usize, elements: Vec<Approx>) -> Check {
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

fn case(name: String, operation: Gguf, args: Vec<Arg>, checks: Vec<Check>) -> Case {
    Case {
        name,
        launch: Launch::Gguf(operation),
        args,
        checks,
        repair: None,
    }
}

/// The same operation on nothing: no kernel may write a byte, and no launch may be refused for its empty grid.
fn empty(args: Vec<Arg>, output: usize, operation: Gguf) -> Case {
    let written = match &args[output] {
        Arg::Output(bytes) => *bytes,
        _ => 0,
    };
    let untouched = Array::from_bytes(DType::U8, vec![Arg::UNTOUCHED; written]);
    let check = exact(Reference::Cpu, output, untouched);
    case("nothing".to_owned(), operation, args, vec![check])
}

/// Columns of one block, and of a number of blocks that fills no step of any kernel.
fn odd_columns(format: &Format) -> [usize; 2] {
    [format.elements, 7 * format.elements]
}

/// What candle-core's CPU code dequantizes, which every kernel must give: each weight is one rounding of an expression
/// whose products are exact in f32, so that it is the same fused or not.
fn dequantized(weights: &Weights, dtype: DType) -> Array {
    Array::floats(dtype, weights.values.iter().map(|v| *v as f64))
}

fn dequantize(material: &mut Material, format: &'static Format, dtype: DType) -> Cases {
    const OUTPUT: usize = 1;
    let one = |name: String, weights: &Weights, mut checks: Vec<Check>| {
        let count = weights.values.len();
        checks.push(equal(OUTPUT, dequantized(weights, dtype)));
        let args = vec![padded(weights), Arg::output(dtype, count)];
        let half = dtype == DType::F16;
        let operation = Gguf::Dequantize {
            dtype: format.loader,
            half,
            elements: count,
        };
        case(name, operation, args, checks)
    };
    let file = material.golden.tensors(format.name)?;
    let recorded = file.get(&format!("dequantize.{}", dtype.name()), dtype, 1)?;
    let weights = golden_weights(&file, "dequantize.w", format, 1, recorded.data.len())?;
    let golden = exact(Reference::Golden, OUTPUT, recorded.data.clone());
    let mut cases = vec![one(
        format!("golden {} weights", weights.values.len()),
        &weights,
        vec![golden],
    )];
    for (turn, blocks) in [1, 3, 13, 40].into_iter().enumerate() {
        let count = blocks * format.elements;
        let weights = draw(&mut material.rng, turn, format, 1, count);
        cases.push(one(format!("{count} weights"), &weights, Vec::new()));
    }
    let args = vec![
        padded(&draw(&mut material.rng, 0, format, 1, format.elements)),
        Arg::output(dtype, 32),
    ];
    let operation = Gguf::Dequantize {
        dtype: format.loader,
        half: dtype == DType::F16,
        elements: 0,
    };
    cases.push(empty(args, OUTPUT, operation));
    Ok(cases)
}

/// Rows out of order and more than once.
fn row_ids(rng: &mut ChaCha8Rng, count: usize, rows: usize) -> Array {
    Array::ints(
        DType::U32,
        (0..count).map(|_| rng.random_range(0..rows) as i64),
    )
}

fn get_rows(material: &mut Material, format: &'static Format) -> Cases {
    const OUTPUT: usize = 2;
    let one = |name: String, weights: &Weights, ids: &Array, mut checks: Vec<Check>| {
        let hidden = weights.columns;
        let count = ids.len() * hidden;
        let want = dequantized(weights, DType::F32)
            .pick((0..count).map(|i| Some(ids.i64(i / hidden) as usize * hidden + i % hidden)));
        checks.push(equal(OUTPUT, want));
        let args = vec![
            padded(weights),
            Arg::input(ids),
            Arg::output(DType::F32, count),
        ];
        let name = format!("{name}{} of {} x {hidden}", ids.len(), weights.rows());
        let operation = Gguf::GetRows {
            dtype: format.loader,
            count: ids.len(),
            columns: hidden,
        };
        case(name, operation, args, checks)
    };
    let file = material.golden.tensors(format.name)?;
    let recorded = file.get("get_rows.f32", DType::F32, 1)?;
    let count = file.get("get_rows.ids", DType::U32, 1)?.data.len();
    let hidden = recorded.data.len() / count.max(1);
    let table = file.get("dequantize.w", DType::U8, 1)?.data.len() / format.size(hidden).max(1);
    let ids = golden_ids(&file, "get_rows.ids", 1, table)?;
    let weights = golden_weights(&file, "dequantize.w", format, table, hidden)?;
    let golden = exact(Reference::Golden, OUTPUT, recorded.data.clone());
    let mut cases = vec![one("golden ".to_owned(), &weights, ids, vec![golden])];
    for (turn, (rows, blocks)) in [(5, 1), (2, 3), (4, 20)].into_iter().enumerate() {
        let weights = draw(
            &mut material.rng,
            turn,
            format,
            rows,
            blocks * format.elements,
        );
        let ids = row_ids(&mut material.rng, rows + 2, rows);
        cases.push(one(String::new(), &weights, &ids, Vec::new()));
    }
    let weights = draw(&mut material.rng, 1, format, 1, 3 * format.elements);
    let ids = row_ids(&mut material.rng, 1, 1);
    cases.push(one(String::new(), &weights, &ids, Vec::new()));
    let args = vec![
        padded(&weights),
        Arg::input(&ids),
        Arg::output(DType::F32, 32),
    ];
    let operation = Gguf::GetRows {
        dtype: format.loader,
        count: 0,
        columns: weights.columns,
    };
    cases.push(empty(args, OUTPUT, operation));
    Ok(cases)
}

/// Rows of a table that isn't quantized; its elements become f32, which holds them all.
fn get_float_rows(rng: &mut ChaCha8Rng, dtype: DType) -> Vec<Case> {
    let loader = match dtype {
        DType::F16 => GgmlType::F16,
        DType::Bf16 => GgmlType::BF16,
        _ => GgmlType::F32,
    };
    [(1, 1), (5, 7), (3, 300), (4, 1000)]
        .into_iter()
        .map(|(rows, hidden)| {
            let table = Array::floats(dtype, (0..rows * hidden).map(|_| normal(rng) as f64));
            let ids = row_ids(rng, rows + 2, rows);
            let count = ids.len() * hidden;
            let picked =
                (0..count).map(|i| table.f64(ids.i64(i / hidden) as usize * hidden + i % hidden));
            let want = Array::floats(DType::F32, picked);
            let args = vec![
                Arg::input(&table),
                Arg::input(&ids),
                Arg::output(DType::F32, count),
            ];
            let name = format!("{} of {rows} x {hidden}", ids.len());
            let operation = Gguf::GetRows {
                dtype: loader,
                count: ids.len(),
                columns: hidden,
            };
            case(name, operation, args, vec![exact(Reference::Cpu, 2, want)])
        })
        .collect()
}

fn quantize_q8_1(material: &mut Material) -> Cases {
    const OUTPUT: usize = 1;
    let one = |name: String, x: &Activations, mut checks: Vec<Check>| {
        let want = Array::from_bytes(DType::U8, reference::q8_1_bytes(&x.quantized()));
        let bytes = want.len();
        checks.push(exact(Reference::Cpu, OUTPUT, want));
        let args = vec![Arg::Input(x.to_bytes()), Arg::Output(bytes)];
        let operation = Gguf::QuantizeQ8_1 {
            rows: x.rows(),
            columns: x.columns,
        };
        case(
            format!("{name}{} x {}", x.rows(), x.columns),
            operation,
            args,
            checks,
        )
    };
    let mut cases = Vec::new();
    // The activations are recorded with each type; all of them are this kernel's input.
    for format in &blocks::FORMATS {
        let file = material.golden.tensors(format.name)?;
        if !file.has("quantize_q8_1.y") {
            continue;
        }
        let x = golden_activations(&file, "mmv.x")?;
        let recorded = file
            .get("quantize_q8_1.y", DType::U8, 1)?
            .data
            .bytes
            .clone();
        let expected = x.rows() * x.padded_columns() / Q8_1_ELEMENTS * Q8_1_BYTES;
        file.ensure(recorded.len() == expected, || {
            format!(
                "tensor \"quantize_q8_1.y\" has {} bytes, expected {expected}",
                recorded.len()
            )
        })?;
        let expected = Expected::Property(Box::new(move |got| same_q8_1(got, &recorded)));
        let golden = Check {
            arg: OUTPUT,
            reference: Reference::Golden,
            expected,
        };
        cases.push(one(format!("golden {} ", format.name), &x, vec![golden]));
    }
    let shapes = [
        (1, 512),
        (3, 5),
        (2, 1000),
        (5, 1536),
        (1, 33),
        (1, 1),
        (7, 31),
        (8, 32),
    ];
    for (rows, columns) in shapes {
        let x = draw_activations(&mut material.rng, rows, columns);
        cases.push(one(String::new(), &x, Vec::new()));
    }
    let args = vec![Arg::Input(vec![0; 128]), Arg::Output(144)];
    let operation = Gguf::QuantizeQ8_1 {
        rows: 0,
        columns: 32,
    };
    cases.push(empty(args, OUTPUT, operation));
    Ok(cases)
}

/// Equal byte for byte, save that sums may differ in their last bit: how the 32 terms were added on the GPU that
/// recorded them is not known to the last rounding.
fn same_q8_1(got: &[u8], recorded: &[u8]) -> Result<(), String> {
    let blocks =
        |bytes: &[u8]| -> Vec<Vec<u8>> { bytes.chunks(Q8_1_BYTES).map(<[u8]>::to_vec).collect() };
    for (i, (got, want)) in blocks(got).iter().zip(&blocks(recorded)).enumerate() {
        let halves = |block: &[u8], at: usize| u16::from_le_bytes([block[at], block[at + 1]]);
        if halves(got, 0) != halves(want, 0) {
            let [g, w] = [got, want].map(|b| half::f16::from_bits(halves(b, 0)));
            return Err(format!("block {i}: scale {g}, expected {w}"));
        }
        if halves(got, 2).abs_diff(halves(want, 2)) > 1 {
            let [g, w] = [got, want].map(|b| half::f16::from_bits(halves(b, 2)));
            return Err(format!("block {i}: sum {g}, expected {w}"));
        }
        if let Some(q) = (4..Q8_1_BYTES).find(|&q| got[q] != want[q]) {
            let [g, w] = [got[q] as i8, want[q] as i8];
            return Err(format!("block {i}, quant {}: {g}, expected {w}", q - 4));
        }
    }
    Ok(())
}

fn dequantize_mul_mat_vec(material: &mut Material, format: &'static Format) -> Cases {
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
    let quantized: Vec<Q8_1Row> = x.quantized();
    let (same, before): (Vec<Approx>, Vec<Approx>) = pairs
        .map(|(row, j)| reference::dot_q8_1(weights, row, x.row(j), &quantized[j], offset_by))
        .unzip();
    vec![
        within(Reference::Cpu, output, same),
        within(Reference::Q8_1, output, before),
    ]
}

/// The activations as the kernels take them. They are rounded here, not by `quantize_q8_1`, so that each kernel stands
/// or falls alone.
fn rounded(x: &Activations) -> Arg {
    Arg::Input(reference::q8_1_bytes(&x.quantized()))
}

fn mul_mat_vec(material: &mut Material, format: &'static Format, batch: usize) -> Cases {
    const OUTPUT: usize = 2;
    let offset_by = match format.name {
        "q4_0" | "q4_1" | "q5_0" | "q5_1" => OffsetBy::Sum,
        _ => OffsetBy::Element,
    };
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
    let x = golden_activations(&file, "mmv.x")?;
    file.ensure(x.rows() >= batch, || {
        format!("tensor \"mmv.x\" has fewer than {batch} rows")
    })?;
    let x = x.take(batch);
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

fn mul_mat(material: &mut Material, format: &'static Format) -> Cases {
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

fn indexed_moe(material: &mut Material, format: &'static Format) -> Cases {
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::compare::compare;
    use crate::element::Number;
    use crate::golden::Golden;
    use rand::SeedableRng;

    fn golden() -> Golden {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/golden");
        Golden::open(&folder).unwrap()
    }

    fn cases(symbol: &str, golden: &Golden) -> Vec<Case> {
        let rng = ChaCha8Rng::seed_from_u64(5);
        let plan = plan(symbol).unwrap_or_else(|| panic!("{symbol} is not recognised"));
        (plan.cases)(&mut Material { rng, golden }).unwrap()
    }

    /// Kernels with recorded results, of every format.
    fn recorded_kernels() -> Vec<String> {
        let mut symbols = Vec::new();
        for format in &blocks::FORMATS {
            let name = format.name;
            symbols.push(format!("dequantize_block_{name}_f32"));
            symbols.push(format!("dequantize_block_{name}_f16"));
            if name == "q8_K" {
                continue;
            }
            let suffix = if format.elements == 32 { "_cuda" } else { "" };
            symbols.push(format!("get_rows_{name}"));
            symbols.push(format!(
                "dequantize_mul_mat_vec_{}{suffix}",
                name.to_lowercase()
            ));
            symbols.push(format!("mul_mat_{name}"));
            symbols.extend((1..=8).map(|b| format!("mul_mat_vec_{name}_q8_1_cuda{b}")));
            if format.elements == 256 {
                symbols.push(format!(
                    "indexed_moe_forward_{}_q8_1",
                    name.to_lowercase().replace('_', "")
                ));
            }
        }
        symbols
    }

    /// What a CUDA GPU computed is a correct result, so the CPU's bounds must admit it. They must not admit it with any
    /// output moved by a thousandth of the outputs' root mean square: a lost term of a sum moves it further.
    #[test]
    fn the_bounds_admit_what_a_cuda_gpu_computed_and_little_else() {
        let golden = golden();
        for symbol in recorded_kernels() {
            let case = cases(&symbol, &golden).swap_remove(0);
            let recorded = case
                .checks
                .iter()
                .find_map(|check| match (&check.expected, check.reference) {
                    (
                        Expected::Exact(v) | Expected::RelativeNorm { values: v, .. },
                        Reference::Golden,
                    ) => Some(v),
                    _ => None,
                })
                .unwrap_or_else(|| panic!("{symbol}: no recorded result"));
            let n = recorded.len();
            let mean_square =
                recorded.numbers().map(|v| v.as_f64().powi(2)).sum::<f64>() / n as f64;
            for check in case
                .checks
                .iter()
                .filter(|c| c.reference != Reference::Golden)
            {
                let outcome = compare(&recorded.bytes, &check.expected);
                assert!(
                    outcome.passed,
                    "{symbol} {:?}: {outcome:?}",
                    check.reference
                );
            }
            let own = case
                .checks
                .iter()
                .find(|c| c.reference == Reference::Cpu)
                .unwrap();
            for i in (0..n).step_by(n.div_ceil(16)) {
                let mut moved = recorded.clone();
                let far = (1e-3 * mean_square.sqrt()).max(1e-3 * recorded.f64(i).abs());
                moved.set(i, Number::Float(recorded.f64(i) + far));
                assert!(
                    !compare(&moved.bytes, &own.expected).passed,
                    "{symbol}: element {i} may move"
                );
            }
        }
    }

    #[test]
    fn recorded_activations_quantize_to_the_recorded_bytes() {
        let golden = golden();
        for case in cases("quantize_q8_1", &golden) {
            let find = |reference| case.checks.iter().find(|c| c.reference == reference);
            if let (Some(recorded), Some(own)) = (find(Reference::Golden), find(Reference::Cpu)) {
                let Expected::Exact(own) = &own.expected else {
                    panic!("not exact")
                };
                let outcome = compare(&own.bytes, &recorded.expected);
                assert!(outcome.passed, "{}: {outcome:?}", case.name);
            }
        }
    }
}
