//! The reductions of `reduce.cu`: sums, extrema and where they stand.

use rand_chacha::ChaCha8Rng;

use super::Plan;
use super::layout::{Layout, moderate, random};
use crate::case::{Arg, Case, Expected, Geometry};
use crate::element::{Array, DType, Number};
use crate::error_bound::{Approx, Arith};

pub(super) fn plan(symbol: &str) -> Option<Plan> {
    let (root, dtype) = DType::split_suffix(symbol)?;
    let cases: fn(&mut ChaCha8Rng, DType) -> Vec<Case> = match root {
        "fast_sum" => fast_sum,
        "fast_sum_small" => fast_sum_small,
        "fast_min" => |rng, dtype| extremum(rng, dtype, f64::min),
        "fast_max" => |rng, dtype| extremum(rng, dtype, f64::max),
        "fast_argmin" => |rng, dtype| arg_extremum(rng, dtype, f64::min),
        "fast_argmax" => |rng, dtype| arg_extremum(rng, dtype, f64::max),
        "sum" => atomic_sum,
        _ => return None,
    };
    Some(Plan::new(root, dtype.name(), move |rng| cases(rng, dtype)))
}

/// Views whose last dimension is reduced: rows that begin at no multiple of a vector, more elements than threads, and a
/// column-wise reduction, which candle describes by strides.
fn reductions() -> [Layout; 3] {
    [
        Layout::contiguous(&[7, 101]),
        Layout::contiguous(&[2, 1500]),
        Layout::permuted(&[40, 5], &[1, 0]),
    ]
}

/// The input of a reduction and the numbers of each of its rows.
struct Rows {
    input: Array,
    rows: Vec<Vec<Number>>,
}

impl Rows {
    fn draw(rng: &mut ChaCha8Rng, dtype: DType, view: &Layout) -> Self {
        let input = random(rng, dtype, view.span(), moderate(dtype));
        let rows = (0..view.dims[0])
            .map(|row| {
                (0..view.dims[1])
                    .map(|column| input.get(view.offset(row * view.dims[1] + column)))
                    .collect()
            })
            .collect();
        Rows { input, rows }
    }
}

fn block_size(elements: usize) -> usize {
    elements.min(1024).next_power_of_two()
}

fn launch(view: &Layout, input: &Array, output: DType, expected: Expected) -> Case {
    let (rows, columns) = (view.dims[0], view.dims[1]);
    let args = arguments(view, view.count(), input, output);
    let geometry = Geometry::linear(rows, block_size(columns));
    Case::new(view.describe(), geometry, args, 5, expected)
}

fn arguments(view: &Layout, count: usize, input: &Array, output: DType) -> Vec<Arg> {
    vec![
        Arg::size(count),
        Arg::size(view.dims[1]),
        Arg::size(view.dims.len()),
        Arg::sizes(&view.info()),
        Arg::input(input),
        Arg::output(output, view.dims[0]),
    ]
}

/// Sums of rows, accumulated in `accumulator` with at most `depth` additions to a term.
fn sums(dtype: DType, accumulator: DType, depth: usize, rows: &[Vec<Number>]) -> Expected {
    if !dtype.is_float() {
        let totals = rows.iter().map(|row| {
            row.iter().fold(0i64, |sum, n| match n {
                Number::Int(v) => sum.wrapping_add(*v),
                Number::Float(v) => sum.wrapping_add(*v as i64),
            })
        });
        return Expected::Exact(Array::ints(dtype, totals));
    }
    let (arith, store) = (Arith::new(accumulator), Arith::new(dtype));
    let elements = rows
        .iter()
        .map(|row| {
            let total = arith.sum(row.iter().map(|n| Approx::exact(n.as_f64())), depth);
            if accumulator == dtype {
                total
            } else {
                store.convert(total)
            }
        })
        .collect();
    Expected::Within { dtype, elements }
}

fn fast_sum(rng: &mut ChaCha8Rng, dtype: DType) -> Vec<Case> {
    // bf16 has a kernel of its own, which accumulates in f32; f16 accumulates in f16.
    let accumulator = if dtype == DType::Bf16 {
        DType::F32
    } else {
        dtype
    };
    reductions()
        .iter()
        .map(|view| {
            let Rows { input, rows } = Rows::draw(rng, dtype, view);
            let threads = block_size(view.dims[1]);
            // A thread adds its share, one vector more than even, then the threads are added in a tree.
            let depth = view.dims[1].div_ceil(threads) + 8 + threads.ilog2() as usize;
            let expected = sums(dtype, accumulator, depth, &rows);
            launch(view, &input, dtype, expected)
        })
        .collect()
}

/// Candle takes this kernel for 32 elements or fewer: one thread a row.
fn fast_sum_small(rng: &mut ChaCha8Rng, dtype: DType) -> Vec<Case> {
    let accumulator = match dtype {
        DType::Bf16 | DType::F16 => DType::F32,
        other => other,
    };
    [
        Layout::contiguous(&[300, 8]),
        Layout::contiguous(&[5, 1]),
        Layout::permuted(&[32, 9], &[1, 0]),
    ]
    .iter()
    .map(|view| {
        let Rows { input, rows } = Rows::draw(rng, dtype, view);
        let expected = sums(dtype, accumulator, view.dims[1], &rows);
        let args = arguments(view, view.dims[0], &input, dtype);
        let geometry = Geometry::linear(view.dims[0].div_ceil(256), 256);
        Case::new(view.describe(), geometry, args, 5, expected)
    })
    .collect()
}

fn extremum(rng: &mut ChaCha8Rng, dtype: DType, pick: fn(f64, f64) -> f64) -> Vec<Case> {
    reductions()
        .iter()
        .map(|view| {
            let Rows { input, rows } = Rows::draw(rng, dtype, view);
            let best = rows.iter().map(|row| Number::Float(best(row, pick)));
            let expected = Expected::Exact(Array::new(dtype, best));
            launch(view, &input, dtype, expected)
        })
        .collect()
}

fn best(row: &[Number], pick: fn(f64, f64) -> f64) -> f64 {
    row.iter()
        .map(|n| n.as_f64())
        .reduce(pick)
        .unwrap_or(f64::NAN)
}

/// Where several elements share the extremum, any of them is right: the kernel's threads meet them in no fixed order.
fn arg_extremum(rng: &mut ChaCha8Rng, dtype: DType, pick: fn(f64, f64) -> f64) -> Vec<Case> {
    reductions()
        .iter()
        .map(|view| {
            let Rows { input, rows } = Rows::draw(rng, dtype, view);
            let names_an_extremum = move |got: &[u8]| {
                let indices = Array::from_bytes(DType::U32, got.to_vec());
                for (i, row) in rows.iter().enumerate() {
                    let index = indices.i64(i) as usize;
                    let best = best(row, pick);
                    match row.get(index).map(|n| n.as_f64()) {
                        Some(value) if value == best => {}
                        Some(value) => {
                            return Err(format!(
                                "row {i}: index {index} names {value}, not {best}"
                            ));
                        }
                        None => return Err(format!("row {i}: index {index} of {}", row.len())),
                    }
                }
                Ok(())
            };
            let expected = Expected::Property(Box::new(names_an_extremum));
            launch(view, &input, DType::U32, expected)
        })
        .collect()
}

/// The older sum: any dimensions, one atomic addition an element.
fn atomic_sum(rng: &mut ChaCha8Rng, dtype: DType) -> Vec<Case> {
    let flat = Layout::contiguous(&[6, 35]);
    let turned = Layout::permuted(&[35, 6], &[1, 0]);
    [
        (&flat, vec![1]),
        (&flat, vec![0]),
        (&flat, vec![0, 1]),
        (&turned, vec![1]),
    ]
    .into_iter()
    .map(|(view, summed)| {
        let Rows { input, rows } = Rows::draw(rng, dtype, view);
        let (height, width) = (view.dims[0], view.dims[1]);
        let groups: Vec<Vec<Number>> = match summed.as_slice() {
            [1] => rows,
            [0] => (0..width)
                .map(|c| rows.iter().map(|row| row[c]).collect())
                .collect(),
            _ => vec![rows.concat()],
        };
        // Lengths and strides of the summed dimensions, the outer one first.
        let strides = [width, 1];
        let lengths = summed.iter().map(|&d| view.dims[d]);
        let mut info = view.info();
        info.extend(lengths.chain(summed.iter().map(|&d| strides[d])));
        let zeros = Array::ints(
            DType::U8,
            std::iter::repeat_n(0, groups.len() * dtype.size()),
        );
        let depth = height * width / groups.len();
        let args = vec![
            Arg::size(view.count()),
            Arg::size(view.dims.len()),
            Arg::size(summed.len()),
            Arg::sizes(&info),
            Arg::input(&input),
            Arg::in_out(&zeros),
        ];
        let name = format!("{} over {summed:?}", view.describe());
        let expected = sums(dtype, dtype, depth, &groups);
        Case::new(
            name,
            Geometry::for_elements(view.count()),
            args,
            5,
            expected,
        )
    })
    .collect()
}
