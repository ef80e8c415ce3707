//! The transformer's kernels in `reduce.cu`: softmax, layer norms, rotary embeddings.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::Plan;
use super::layout::random;
use crate::case::{Arg, Case, Expected, Geometry};
use crate::element::{Array, DType};
use crate::error_bound::{Approx, Arith, ulps};

const EPSILON: f32 = 1e-5;

pub(super) fn plan(symbol: &str) -> Option<Plan> {
    let (root, dtype) = DType::split_suffix(symbol)?;
    let cases: fn(&mut ChaCha8Rng, DType) -> Vec<Case> = match root {
        "softmax" => softmax,
        "rmsnorm" => rmsnorm,
        "layernorm" => layernorm,
        "rope_i" => |rng, dtype| rope(rng, dtype, Rotation::Interleaved),
        "rope" => |rng, dtype| rope(rng, dtype, Rotation::Halves),
        "rope_thd" => |rng, dtype| rope(rng, dtype, Rotation::TimeBeforeHeads),
        _ => return None,
    };
    Some(Plan::new(root, dtype.name(), move |rng| cases(rng, dtype)))
}

fn activations(rng: &mut ChaCha8Rng, dtype: DType, count: usize) -> Array {
    random(rng, dtype, count, |rng| rng.random_range(-2.0..3.0))
}

/// Values of `array` as exact inputs.
fn exact(array: &Array, range: std::ops::Range<usize>) -> Vec<Approx> {
    range.map(|i| Approx::exact(array.f64(i))).collect()
}

/// Converts where the types differ.
fn to(arith: Arith, from: Arith, x: Approx) -> Approx {
    if arith.dtype() == from.dtype() {
        x
    } else {
        arith.convert(x)
    }
}

fn softmax(rng: &mut ChaCha8Rng, dtype: DType) -> Vec<Case> {
    let own = Arith::new(dtype);
    let sum = Arith::new(if dtype == DType::F64 {
        DType::F64
    } else {
        DType::F32
    });
    [(3, 40), (2, 1), (5, 511)]
        .into_iter()
        .map(|(rows, columns)| {
            let x = activations(rng, dtype, rows * columns);
            let mut elements = Vec::new();
            for row in 0..rows {
                let xs = exact(&x, row * columns..(row + 1) * columns);
                let max = xs.iter().map(|x| x.value).fold(f64::NEG_INFINITY, f64::max);
                let powers: Vec<Approx> = xs
                    .iter()
                    .map(|x| own.call(own.sub(*x, Approx::exact(max)), ulps::EXP, f64::exp))
                    .collect();
                // 32 threads a row, then a tree of five steps.
                let depth = columns.div_ceil(32) + 5;
                let total = sum.sum(powers.iter().copied(), depth);
                let inverse = to(own, sum, sum.div(Approx::exact(1.0), total));
                elements.extend(powers.iter().map(|p| own.mul(*p, inverse)));
            }
            let args = vec![
                Arg::input(&x),
                Arg::output(dtype, rows * columns),
                Arg::i32(columns),
            ];
            let geometry = Geometry {
                grid: [rows as u32, 1, 1],
                block: [1, 32, 1],
                shared: 0,
            };
            let expected = Expected::Within { dtype, elements };
            Case::new(format!("{rows}x{columns}"), geometry, args, 1, expected)
        })
        .collect()
}

/// Threads a row, as candle-nn launches the norms.
fn norm_block(columns: usize) -> usize {
    if columns < 1024 { 32 } else { 1024 }
}

/// Additions on the way of a term through a norm's sums: its thread's share, then two trees of five steps.
fn norm_depth(columns: usize) -> usize {
    columns.div_ceil(norm_block(columns)) + 10
}

fn rmsnorm(rng: &mut ChaCha8Rng, dtype: DType) -> Vec<Case> {
    let (f32, own) = (Arith::new(DType::F32), Arith::new(dtype));
    [(3, 100, true), (2, 1500, true), (2, 64, false)]
        .into_iter()
        .map(|(rows, columns, scaled)| {
            let x = activations(rng, dtype, rows * columns);
            let alpha = activations(rng, dtype, columns);
            let mut elements = Vec::new();
            for row in 0..rows {
                let xs = singles(&x, row * columns..(row + 1) * columns);
                let squares = xs.iter().map(|x| f32.mul(*x, *x));
                let total = f32.sum(squares, norm_depth(columns));
                let mean = f32.div(total, Approx::exact(columns as f64));
                let scale = inverse_root(f32, mean);
                for (column, x) in xs.iter().enumerate() {
                    let mut y = f32.mul(scale, *x);
                    if scaled {
                        y = f32.mul(y, singles(&alpha, column..column + 1)[0]);
                    }
                    elements.push(to(own, f32, y));
                }
            }
            let block = norm_block(columns);
            let args = vec![
                Arg::input(&x),
                Arg::output(dtype, rows * columns),
                if scaled {
                    Arg::input(&alpha)
                } else {
                    Arg::Null
                },
                Arg::i32(columns),
                Arg::i32(block),
                Arg::f32(EPSILON),
            ];
            let name = format!("{rows}x{columns}{}", if scaled { "" } else { ", no scale" });
            let expected = Expected::Within { dtype, elements };
            Case::new(name, Geometry::linear(rows, block), args, 1, expected)
        })
        .collect()
}

fn layernorm(rng: &mut ChaCha8Rng, dtype: DType) -> Vec<Case> {
    let (f32, own) = (Arith::new(DType::F32), Arith::new(dtype));
    [
        (3, 100, true, true),
        (2, 1500, true, true),
        (2, 64, true, false),
        (2, 64, false, true),
        (2, 64, false, false),
    ]
    .into_iter()
    .map(|(rows, columns, scaled, shifted)| {
        let x = activations(rng, dtype, rows * columns);
        let [alpha, beta] = [(); 2].map(|()| activations(rng, dtype, columns));
        let n = Approx::exact(columns as f64);
        let mut elements = Vec::new();
        for row in 0..rows {
            let xs = singles(&x, row * columns..(row + 1) * columns);
            let depth = norm_depth(columns);
            let mean = f32.div(f32.sum(xs.iter().copied(), depth), n);
            let squares = f32.sum(xs.iter().map(|x| f32.mul(*x, *x)), depth);
            let variance = f32.sub(f32.div(squares, n), f32.mul(mean, mean));
            let scale = inverse_root(f32, variance);
            for (column, x) in xs.iter().enumerate() {
                let mut y = f32.mul(f32.sub(*x, mean), scale);
                if scaled {
                    y = f32.mul(y, singles(&alpha, column..column + 1)[0]);
                }
                if shifted {
                    y = f32.add(y, singles(&beta, column..column + 1)[0]);
                }
                elements.push(to(own, f32, y));
            }
        }
        let block = norm_block(columns);
        let optional = |given: bool, array: &Array| match given {
            true => Arg::input(array),
            false => Arg::Null,
        };
        let args = vec![
            Arg::input(&x),
            Arg::output(dtype, rows * columns),
            optional(scaled, &alpha),
            optional(shifted, &beta),
            Arg::i32(columns),
            Arg::i32(block),
            Arg::f32(EPSILON),
        ];
        let name = match (scaled, shifted) {
            (true, true) => format!("{rows}x{columns}"),
            (true, false) => format!("{rows}x{columns}, no shift"),
            (false, true) => format!("{rows}x{columns}, no scale"),
            (false, false) => format!("{rows}x{columns}, neither scale nor shift"),
        };
        let expected = Expected::Within { dtype, elements };
        Case::new(name, Geometry::linear(rows, block), args, 1, expected)
    })
    .collect()
}

/// Elements as the norms read them: as f32, whatever their type.
fn singles(array: &Array, range: std::ops::Range<usize>) -> Vec<Approx> {
    let (own, f32) = (Arith::new(array.dtype), Arith::new(DType::F32));
    exact(array, range)
        .into_iter()
        .map(|x| {
            if own.dtype() == DType::F64 {
                f32.convert(x)
            } else {
                x
            }
        })
        .collect()
}

fn inverse_root(f32: Arith, x: Approx) -> Approx {
    let shifted = f32.add(x, f32.constant(EPSILON as f64));
    f32.call(shifted, ulps::RSQRT, |v| 1.0 / v.sqrt())
}

/// How the two halves of a rotated pair lie, and how heads and time are ordered.
#[derive(Clone, Copy)]
enum Rotation {
    /// Pairs are neighbours; (batch, heads, time, width).
    Interleaved,
    /// Pairs are half a head apart; (batch, heads, time, width).
    Halves,
    /// Pairs are half a head apart; (batch, time, heads, width).
    TimeBeforeHeads,
}

fn rope(rng: &mut ChaCha8Rng, dtype: DType, rotation: Rotation) -> Vec<Case> {
    // With one table of angles for the batch, and with one for each of its members.
    [false, true]
        .into_iter()
        .map(|angles_per_member| rope_case(rng, dtype, rotation, angles_per_member))
        .collect()
}

fn rope_case(rng: &mut ChaCha8Rng, dtype: DType, rotation: Rotation, per_member: bool) -> Case {
    let (batch, heads, time, width) = (2, 3, 5, 16);
    let half = width / 2;
    let count = batch * heads * time * width;
    let source = activations(rng, dtype, count);
    let tables = if per_member { batch } else { 1 };
    let [cos, sin] = [(); 2].map(|()| {
        random(rng, dtype, tables * time * half, |rng| {
            rng.random_range(-1.0..1.0)
        })
    });
    let arith = Arith::new(dtype);
    let at = |array: &Array, i: usize| Approx::exact(array.f64(i));
    let mut elements = vec![Approx::exact(0.0); count];
    for pair in 0..count / 2 {
        let (vector, i) = (pair / half, pair % half);
        let (member, t) = match rotation {
            Rotation::TimeBeforeHeads => (vector / (time * heads), vector / heads % time),
            _ => (vector / (heads * time), vector % time),
        };
        let (first, second) = match rotation {
            Rotation::Interleaved => (vector * width + 2 * i, vector * width + 2 * i + 1),
            _ => (vector * width + i, vector * width + i + half),
        };
        let angle = (if per_member { member * time } else { 0 } + t) * half + i;
        let (c, s) = (at(&cos, angle), at(&sin, angle));
        let (x, y) = (at(&source, first), at(&source, second));
        elements[first] = arith.sub(arith.mul(x, c), arith.mul(y, s));
        elements[second] = arith.add(arith.mul(x, s), arith.mul(y, c));
    }
    let u32_arg = |v: usize| Arg::Value((v as u32).to_le_bytes().to_vec());
    let mut args = vec![
        Arg::input(&source),
        Arg::input(&cos),
        Arg::input(&sin),
        Arg::output(dtype, count),
    ];
    match rotation {
        Rotation::Interleaved => args.extend([u32_arg(batch * heads), u32_arg(time * width)]),
        Rotation::Halves => {
            args.extend([
                u32_arg(batch * heads),
                u32_arg(time * width),
                u32_arg(width),
            ]);
        }
        Rotation::TimeBeforeHeads => {
            args.extend([
                u32_arg(batch),
                u32_arg(time),
                u32_arg(heads),
                u32_arg(width),
            ]);
        }
    }
    args.push(u32_arg(if per_member { heads * time * width } else { 0 }));
    let angles = if per_member {
        "angles per member"
    } else {
        "shared angles"
    };
    let name = format!("{batch}x{heads}x{time}x{width}, {angles}");
    let expected = Expected::Within { dtype, elements };
    Case::new(name, Geometry::for_elements(count / 2), args, 3, expected)
}
