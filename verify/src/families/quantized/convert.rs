//! Kernels that convert: blocks to floats, rows by their index, activations to q8_1.

use hip_loader::gguf::GgmlType;
use rand_chacha::ChaCha8Rng;

use super::blocks::{FORMATS, Format, Weights, normal};
use super::parts::{
    Cases, case, dequantized, draw, draw_activations, empty, equal, exact, golden_activations,
    golden_ids, golden_weights, padded, row_ids,
};
use super::reference::{self, Activations, Q8_1_BYTES, Q8_1_ELEMENTS};
use crate::case::{Arg, Case, Check, Expected, Gguf, Reference};
use crate::element::{Array, DType};
use crate::families::Material;

pub(super) fn dequantize(material: &mut Material, format: &'static Format, dtype: DType) -> Cases {
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

pub(super) fn get_rows(material: &mut Material, format: &'static Format) -> Cases {
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
pub(super) fn get_float_rows(rng: &mut ChaCha8Rng, dtype: DType) -> Vec<Case> {
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

pub(super) fn quantize_q8_1(material: &mut Material) -> Cases {
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
    for format in &FORMATS {
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
pub(super) fn same_q8_1(got: &[u8], recorded: &[u8]) -> Result<(), String> {
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
