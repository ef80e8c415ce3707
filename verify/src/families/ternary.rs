//! `ternary.cu`: selection between two arrays by a third.

use super::Plan;
use super::layout::{Layout, patterns, random};
use crate::case::{Arg, Case, Expected, Geometry};
use crate::element::{Array, DType};

pub(super) fn plan(symbol: &str) -> Option<Plan> {
    let (condition, dtype) = DType::split_suffix(symbol.strip_prefix("where_")?)?;
    let condition = DType::from_name(condition)?;
    let variant = dtype.name();
    Some(Plan::new(
        format!("where by {}", condition.name()),
        variant,
        move |rng| {
            let flat = Layout::contiguous(&[2051]);
            let turned = Layout::permuted(&[3, 5, 7], &[1, 2, 0]);
            let row = Layout::broadcast(4, 6);
            [
                [flat.clone(), flat.clone(), flat],
                [turned.clone(), Layout::contiguous(&[5, 7, 3]), turned],
                [
                    Layout::contiguous(&[4, 6]),
                    row,
                    Layout::permuted(&[6, 4], &[1, 0]),
                ],
            ]
            .into_iter()
            .map(|[ids, yes, no]| {
                let count = ids.count();
                // Any value but zero selects the first, whatever its low bits are.
                let mut turn = 0;
                let conditions = random(rng, condition, ids.span(), |_| {
                    turn += 1;
                    [0.0, 1.0, 64.0, 0.0, 2.0][turn % 5]
                });
                let [ts, fs] = [&yes, &no].map(|layout| patterns(rng, dtype, layout.span()));
                let both = Array::from_bytes(dtype, [ts.bytes.clone(), fs.bytes.clone()].concat());
                let want = both.pick((0..count).map(|i| {
                    Some(if conditions.i64(ids.offset(i)) != 0 {
                        yes.offset(i)
                    } else {
                        ts.len() + no.offset(i)
                    })
                }));
                let info = [ids.dims.as_slice(), &ids.strides, &yes.strides, &no.strides].concat();
                let args = vec![
                    Arg::size(count),
                    Arg::size(ids.dims.len()),
                    Arg::sizes(&info),
                    Arg::input(&conditions),
                    Arg::input(&ts),
                    Arg::input(&fs),
                    Arg::output(dtype, count),
                ];
                let name = format!("{} ? {} : {}", ids.describe(), yes.name, no.name);
                Case::new(
                    name,
                    Geometry::for_elements(count),
                    args,
                    6,
                    Expected::Bits(want),
                )
            })
            .collect()
        },
    ))
}
