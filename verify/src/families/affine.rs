//! `affine.cu`: `x * mul + add`, elementwise.

use super::Plan;
use super::layout::{moderate, random, views};
use crate::case::{Arg, Case, Expected, Geometry};
use crate::element::{Array, DType, Number};
use crate::error_bound::{Approx, Arith};

pub(super) fn plan(symbol: &str) -> Option<Plan> {
    let (root, dtype) = DType::split_suffix(symbol)?;
    (root == "affine").then(|| {
        Plan::new("affine", dtype.name(), move |rng| {
            let (mul, add) = if dtype.is_float() {
                (Array::floats(dtype, [1.625]), Array::floats(dtype, [-0.75]))
            } else {
                // Enough to make u8 wrap, as the kernel's arithmetic does.
                (Array::ints(dtype, [3]), Array::ints(dtype, [7]))
            };
            views()
                .into_iter()
                .map(|view| {
                    let count = view.count();
                    let input = random(rng, dtype, view.span(), moderate(dtype));
                    let info = match view.name {
                        "contiguous" => Arg::Null,
                        _ => Arg::sizes(&view.info()),
                    };
                    let args = vec![
                        Arg::size(count),
                        Arg::size(view.dims.len()),
                        info,
                        Arg::input(&input),
                        Arg::output(dtype, count),
                        Arg::scalar(&mul),
                        Arg::scalar(&add),
                    ];
                    let inputs = (0..count).map(|i| input.get(view.offset(i)));
                    let expected = affine(dtype, inputs, mul.get(0), add.get(0));
                    Case::new(
                        view.describe(),
                        Geometry::for_elements(count),
                        args,
                        4,
                        expected,
                    )
                })
                .collect()
        })
    })
}

fn affine(
    dtype: DType,
    inputs: impl Iterator<Item = Number>,
    mul: Number,
    add: Number,
) -> Expected {
    if let (Number::Int(mul), Number::Int(add)) = (mul, add) {
        let values = inputs.map(|x| match x {
            Number::Int(x) => Number::Int(x.wrapping_mul(mul).wrapping_add(add)),
            float => float,
        });
        return Expected::Exact(Array::new(dtype, values));
    }
    // fp8 is computed in f32 and converted once, at the end.
    let arith = Arith::new(if dtype == DType::F8E4M3 {
        DType::F32
    } else {
        dtype
    });
    let store = Arith::new(dtype);
    let elements = inputs
        .map(|x| {
            let [x, mul, add] = [x, mul, add].map(|n| Approx::exact(n.as_f64()));
            let y = arith.add(arith.mul(x, mul), add);
            if dtype == DType::F8E4M3 {
                store.convert(y)
            } else {
                y
            }
        })
        .collect();
    Expected::Within { dtype, elements }
}
