//! `cast.cu`: conversions between element types.
//!
//! Values stay in the range of the target: what an out-of-range conversion to an integer gives is undefined in C++, and
//! CUDA and AMD GPUs differ there.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::Plan;
use super::layout::{Layout, random, views};
use crate::case::{Arg, Case, Expected, Geometry};
use crate::element::{Array, DType, Number};
use crate::error_bound::{Approx, Arith};

pub(super) fn plan(symbol: &str) -> Option<Plan> {
    let (source, target) = DType::split_suffix(symbol.strip_prefix("cast_")?)?;
    let source = DType::from_name(source)?;
    Some(Plan::new(
        format!("from {}", source.name()),
        target.name(),
        move |rng| {
            views()
                .iter()
                .map(|view| one_case(rng, source, target, view))
                .collect()
        },
    ))
}

fn one_case(rng: &mut ChaCha8Rng, source: DType, target: DType, view: &Layout) -> Case {
    let count = view.count();
    let input = random(rng, source, view.span(), |rng| draw(rng, source, target));
    let info = match view.name {
        "contiguous" => Arg::Null,
        _ => Arg::sizes(&view.info()),
    };
    let args = vec![
        Arg::size(count),
        Arg::size(view.dims.len()),
        info,
        Arg::input(&input),
        Arg::output(target, count),
    ];
    let values = (0..count).map(|i| input.get(view.offset(i)));
    let expected = convert(source, target, values);
    Case::new(
        view.describe(),
        Geometry::for_elements(count),
        args,
        4,
        expected,
    )
}

/// A value that both types can hold, as far apart in size as they allow.
fn draw(rng: &mut ChaCha8Rng, source: DType, target: DType) -> f64 {
    let (low, high) = match (source, target) {
        (_, DType::U8) if source.is_float() => (0.0, 255.9),
        (DType::F8E4M3, _) => (if target == DType::I32 { -448.0 } else { 0.0 }, 448.0),
        (DType::U8, _) => (0.0, 256.0),
        (DType::F16 | DType::U32, DType::F16) | (DType::F16, DType::U32) => (0.0, 65504.0),
        (DType::Bf16, DType::U32) => (0.0, 65504.0),
        (DType::U32, _) => (0.0, u32::MAX as f64),
        (_, DType::U32) if source.is_float() => (0.0, 4e9),
        (DType::I32, _) => (-700.0, 700.0),
        // Within 53 bits, which f64 holds.
        (DType::I64, _) => (-9e15, 9e15),
        (_, DType::I64) => (-9e15, 9e15),
        _ => return float(rng),
    };
    let value: f64 = rng.random_range(low..high);
    // Small numbers as well as large ones.
    if rng.random_bool(0.5) {
        value
    } else {
        value / exp2(rng.random_range(0..8))
    }
}

/// A number of either sign between 2^-26, where f16 is subnormal, and 2^10, where fp8 saturates.
fn float(rng: &mut ChaCha8Rng) -> f64 {
    let magnitude = rng.random_range(1.0..2.0) * exp2(rng.random_range(-26..10));
    if rng.random() { magnitude } else { -magnitude }
}

fn exp2(exponent: i32) -> f64 {
    2f64.powi(exponent)
}

fn convert(source: DType, target: DType, values: impl Iterator<Item = Number>) -> Expected {
    if !target.is_float() {
        let truncated = values.map(|v| match v {
            Number::Float(v) => Number::Int(v as i64),
            int => int,
        });
        return Expected::Exact(Array::new(target, truncated));
    }
    let through_f32 = |v: Number| DType::F32.round(v.as_f64());
    match (source, target) {
        // These may go by way of f32, and so round twice.
        (DType::F64 | DType::U32, DType::F16 | DType::Bf16) => {
            let (first, second) = (Arith::new(DType::F32), Arith::new(target));
            let elements = values
                .map(|v| second.convert(first.convert(Approx::exact(v.as_f64()))))
                .collect();
            Expected::Within {
                dtype: target,
                elements,
            }
        }
        (_, DType::F8E4M3) if source != target => {
            Expected::Exact(Array::floats(target, values.map(through_f32)))
        }
        _ => Expected::Exact(Array::new(target, values)),
    }
}
