//! `binary.cu`: arithmetic and comparison of two arrays, elementwise.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::Plan;
use super::layout::{Layout, moderate, random};
use crate::case::{Arg, Case, Expected, Geometry};
use crate::element::{Array, DType, Number};
use crate::error_bound::{Approx, Arith};

/// An operation on numbers of one type.
#[derive(Clone, Copy)]
enum Operation {
    /// Rounded once to the type; integers wrap.
    Arithmetic {
        float: fn(f64, f64) -> f64,
        int: fn(i64, i64) -> i64,
    },
    /// As above, but a quotient of two f16 may be off by one unit in the last place.
    Quotient,
    /// The larger or the smaller. `nan` says what a NaN does: for 16-bit types it wins, for the others it loses, because
    /// candle calls `__hmax_nan` there and `fmax` here.
    Extremum {
        pick_left: fn(f64, f64) -> bool,
        int: fn(i64, i64) -> i64,
    },
    /// 0 or 1, as a byte.
    Comparison {
        float: fn(f64, f64) -> bool,
        int: fn(i64, i64) -> bool,
    },
}

const OPERATIONS: &[(&str, Operation)] = &[
    (
        "badd",
        Operation::Arithmetic {
            float: |x, y| x + y,
            int: i64::wrapping_add,
        },
    ),
    (
        "bsub",
        Operation::Arithmetic {
            float: |x, y| x - y,
            int: i64::wrapping_sub,
        },
    ),
    (
        "bmul",
        Operation::Arithmetic {
            float: |x, y| x * y,
            int: i64::wrapping_mul,
        },
    ),
    ("bdiv", Operation::Quotient),
    (
        "bmaximum",
        Operation::Extremum {
            pick_left: |x, y| x > y,
            int: i64::max,
        },
    ),
    (
        "bminimum",
        Operation::Extremum {
            pick_left: |x, y| x < y,
            int: i64::min,
        },
    ),
    (
        "eq",
        Operation::Comparison {
            float: |x, y| x == y,
            int: |x, y| x == y,
        },
    ),
    (
        "ne",
        Operation::Comparison {
            float: |x, y| x != y,
            int: |x, y| x != y,
        },
    ),
    (
        "lt",
        Operation::Comparison {
            float: |x, y| x < y,
            int: |x, y| x < y,
        },
    ),
    (
        "le",
        Operation::Comparison {
            float: |x, y| x <= y,
            int: |x, y| x <= y,
        },
    ),
    (
        "gt",
        Operation::Comparison {
            float: |x, y| x > y,
            int: |x, y| x > y,
        },
    ),
    (
        "ge",
        Operation::Comparison {
            float: |x, y| x >= y,
            int: |x, y| x >= y,
        },
    ),
];

pub(super) fn plan(symbol: &str) -> Option<Plan> {
    let (root, dtype) = DType::split_suffix(symbol)?;
    let (_, operation) = *OPERATIONS.iter().find(|(name, _)| *name == root)?;
    Some(Plan::new(root, dtype.name(), move |rng| {
        pairs_of_views()
            .into_iter()
            .map(|(left, right)| one_case(rng, dtype, operation, &left, &right))
            .collect()
    }))
}

/// Every path of the kernel: both operands contiguous, either, neither; with a tail and with less than one vector.
fn pairs_of_views() -> [(Layout, Layout); 5] {
    let flat = |dims: &[usize]| Layout::contiguous(dims);
    let turned = || Layout::permuted(&[3, 5, 7], &[1, 2, 0]);
    [
        (flat(&[2051]), flat(&[2051])),
        (flat(&[3]), flat(&[3])),
        (flat(&[5, 7, 3]), turned()),
        (turned(), flat(&[5, 7, 3])),
        (Layout::permuted(&[6, 4], &[1, 0]), Layout::broadcast(4, 6)),
    ]
}

fn one_case(
    rng: &mut ChaCha8Rng,
    dtype: DType,
    operation: Operation,
    left: &Layout,
    right: &Layout,
) -> Case {
    let count = left.count();
    let lhs = operand(rng, dtype, left.span(), operation);
    let mut rhs = operand(rng, dtype, right.span(), operation);
    if left.name == "contiguous" && right.name == "contiguous" {
        // Random numbers are seldom equal, and comparisons have to see equal ones.
        for i in (0..count).step_by(5) {
            rhs.set(i, lhs.get(i));
        }
        if let Operation::Quotient = operation {
            rhs = nonzero(rhs);
        }
    }
    let numbers = (0..count).map(|i| (lhs.get(left.offset(i)), rhs.get(right.offset(i))));
    let output = match operation {
        Operation::Comparison { .. } => DType::U8,
        _ => dtype,
    };
    let info = if left.name == "contiguous" && right.name == "contiguous" {
        Arg::Null
    } else {
        Arg::sizes(&[left.dims.as_slice(), &left.strides, &right.strides].concat())
    };
    let args = vec![
        Arg::size(count),
        Arg::size(left.dims.len()),
        info,
        Arg::input(&lhs),
        Arg::input(&rhs),
        Arg::output(output, count),
    ];
    let name = format!("{} with {}", left.describe(), right.name);
    let expected = evaluate(dtype, operation, numbers);
    Case::new(name, Geometry::for_elements(count), args, 5, expected)
}

fn operand(rng: &mut ChaCha8Rng, dtype: DType, count: usize, operation: Operation) -> Array {
    let mut array = random(rng, dtype, count, moderate(dtype));
    match operation {
        Operation::Quotient => array = nonzero(array),
        Operation::Extremum { .. } | Operation::Comparison { .. }
            if dtype.is_float() && count > 64 =>
        {
            for _ in 0..8 {
                array.set(rng.random_range(0..count), Number::Float(f64::NAN));
            }
        }
        _ => {}
    }
    array
}

/// Division by zero is undefined for integers, and infinite quotients would hide the finite ones in the norms.
fn nonzero(array: Array) -> Array {
    let numbers: Vec<Number> = array
        .numbers()
        .map(|n| match n {
            Number::Int(0) => Number::Int(1),
            Number::Float(v) if v.abs() < 0.25 => Number::Float(v.signum() * 0.25),
            other => other,
        })
        .collect();
    Array::new(array.dtype, numbers)
}

fn evaluate(
    dtype: DType,
    operation: Operation,
    numbers: impl Iterator<Item = (Number, Number)>,
) -> Expected {
    let nan_wins = matches!(dtype, DType::F16 | DType::Bf16);
    match operation {
        Operation::Quotient if dtype == DType::F16 => {
            let arith = Arith::new(dtype);
            let elements = numbers
                .map(|(x, y)| arith.div(Approx::exact(x.as_f64()), Approx::exact(y.as_f64())))
                .collect();
            Expected::Within { dtype, elements }
        }
        Operation::Quotient => map2(dtype, numbers, |x, y| x / y, |x, y| x / y),
        // In f64 a sum, a product or a quotient of two numbers of at most 24 bits keeps enough digits for the second
        // rounding, to the type, to give what one rounding would have.
        Operation::Arithmetic { float, int } => map2(dtype, numbers, float, int),
        Operation::Extremum { pick_left, int } => map2(
            dtype,
            numbers,
            |x, y| match (x.is_nan(), y.is_nan()) {
                (false, false) => {
                    if pick_left(x, y) {
                        x
                    } else {
                        y
                    }
                }
                _ if nan_wins => f64::NAN,
                (true, _) => y,
                _ => x,
            },
            int,
        ),
        Operation::Comparison { float, int } => map2(
            DType::U8,
            numbers,
            |x, y| float(x, y) as u8 as f64,
            |x, y| int(x, y) as i64,
        ),
    }
}

fn map2(
    output: DType,
    numbers: impl Iterator<Item = (Number, Number)>,
    float: impl Fn(f64, f64) -> f64,
    int: impl Fn(i64, i64) -> i64,
) -> Expected {
    Expected::Exact(Array::new(
        output,
        numbers.map(|pair| match pair {
            (Number::Int(x), Number::Int(y)) => Number::Int(int(x, y)),
            (x, y) => Number::Float(float(x.as_f64(), y.as_f64())),
        }),
    ))
}
