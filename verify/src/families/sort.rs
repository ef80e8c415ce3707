//! `sort.cu`: indices that sort each row.
//!
//! The bitonic sort is not stable, so where a row holds equal elements any order of them is right: what is checked is
//! that the indices are a permutation and that the elements they name never go the wrong way.

use super::Plan;
use super::layout::{moderate, random};
use crate::case::{Arg, Case, Expected, Geometry};
use crate::element::{Array, DType};

pub(super) fn plan(symbol: &str) -> Option<Plan> {
    let (root, dtype) = DType::split_suffix(symbol)?;
    let ascending = match root {
        "asort_asc" => true,
        "asort_desc" => false,
        _ => return None,
    };
    Some(Plan::new(root, dtype.name(), move |rng| {
        // One element; no power of two; exactly one block of threads; more columns than threads.
        [(2, 1), (3, 37), (1, 1024), (2, 1500)]
            .into_iter()
            .map(|(rows, columns)| {
                let input = random(rng, dtype, rows * columns, moderate(dtype));
                let padded = columns.next_power_of_two();
                let args = vec![
                    Arg::input(&input),
                    Arg::output(DType::U32, rows * columns),
                    Arg::i32(columns),
                    Arg::i32(padded),
                ];
                let geometry = Geometry::linear(rows, padded.min(1024))
                    .with_shared(padded * DType::U32.size());
                let sorted = move |got: &[u8]| check_rows(&input, columns, ascending, got);
                let expected = Expected::Property(Box::new(sorted));
                Case::new(format!("{rows}x{columns}"), geometry, args, 1, expected)
            })
            .collect()
    }))
}

fn check_rows(input: &Array, columns: usize, ascending: bool, got: &[u8]) -> Result<(), String> {
    let indices = Array::from_bytes(DType::U32, got.to_vec());
    for row in 0..input.len() / columns {
        let mut seen = vec![false; columns];
        let mut previous: Option<(usize, f64)> = None;
        for place in 0..columns {
            let index = indices.i64(row * columns + place) as usize;
            match seen.get_mut(index) {
                None => {
                    return Err(format!(
                        "row {row}, place {place}: index {index} of {columns}"
                    ));
                }
                Some(true) => return Err(format!("row {row}, place {place}: index {index} again")),
                Some(first) => *first = true,
            }
            let value = input.f64(row * columns + index);
            if let Some((before, last)) = previous
                && (if ascending {
                    value < last
                } else {
                    value > last
                })
            {
                return Err(format!(
                    "row {row}, place {place}: {value} (index {index}) after {last} (index {before})"
                ));
            }
            previous = Some((index, value));
        }
    }
    Ok(())
}
