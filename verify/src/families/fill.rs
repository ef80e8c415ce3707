//! `fill.cu`: constants into a buffer, and copies of matrices with a row pitch. Nothing is computed, so everything is
//! exact.

use rand_chacha::ChaCha8Rng;

use super::Plan;
use super::layout::{Layout, patterns, views};
use crate::case::{Arg, Case, Expected, Geometry};
use crate::element::{Array, DType};

pub(super) fn plan(symbol: &str) -> Option<Plan> {
    let (root, dtype) = DType::split_suffix(symbol)?;
    let cases: fn(&mut ChaCha8Rng, DType) -> Vec<Case> = match root {
        "fill" => fill,
        "copy2d" => copy2d,
        "const_set" => const_set,
        _ => return None,
    };
    let family = root.to_owned();
    Some(Plan::new(family, dtype.name(), move |rng| {
        cases(rng, dtype)
    }))
}

fn fill(rng: &mut ChaCha8Rng, dtype: DType) -> Vec<Case> {
    let value = patterns(rng, dtype, 1);
    [3, 2051]
        .into_iter()
        .map(|count| {
            let args = vec![
                Arg::output(dtype, count),
                Arg::scalar(&value),
                Arg::size(count),
            ];
            let want = value.pick(std::iter::repeat_n(Some(0), count));
            let geometry = Geometry::for_elements(count);
            Case::new(format!("{count}"), geometry, args, 0, Expected::Bits(want))
        })
        .collect()
}

/// Rows of `columns` elements, `pitch` apart in source and destination; what lies between is left alone.
fn copy2d(rng: &mut ChaCha8Rng, dtype: DType) -> Vec<Case> {
    [(37, 29, 41, 33), (1, 5, 5, 7)]
        .into_iter()
        .map(|(rows, columns, source_pitch, target_pitch)| {
            let source = patterns(rng, dtype, rows * source_pitch);
            let target = patterns(rng, dtype, rows * target_pitch);
            let mut want = target.clone();
            for i in 0..rows * columns {
                let (row, column) = (i / columns, i % columns);
                let size = dtype.size();
                let from = (row * source_pitch + column) * size;
                let to = (row * target_pitch + column) * size;
                want.bytes[to..to + size].copy_from_slice(&source.bytes[from..from + size]);
            }
            let u32_arg = |v: usize| Arg::Value((v as u32).to_le_bytes().to_vec());
            let args = vec![
                Arg::input(&source),
                Arg::in_out(&target),
                u32_arg(rows),
                u32_arg(columns),
                u32_arg(source_pitch),
                u32_arg(target_pitch),
            ];
            let name = format!("{rows}x{columns} pitch {source_pitch}->{target_pitch}");
            Case::new(
                name,
                Geometry::for_elements(rows * columns),
                args,
                1,
                Expected::Bits(want),
            )
        })
        .collect()
}

fn const_set(rng: &mut ChaCha8Rng, dtype: DType) -> Vec<Case> {
    let value = patterns(rng, dtype, 1);
    // A column of a wider matrix: most of the buffer must stay as it was.
    let column = Layout {
        name: "column",
        dims: vec![9, 2],
        strides: vec![11, 1],
    };
    // No broadcast: two threads would write one element.
    views()
        .into_iter()
        .filter(|view| !view.strides.contains(&0))
        .chain([column])
        .map(|view| {
            let buffer = patterns(rng, dtype, view.span());
            let mut targets = vec![false; buffer.len()];
            for i in 0..view.count() {
                targets[view.offset(i)] = true;
            }
            let joined =
                Array::from_bytes(dtype, [value.bytes.clone(), buffer.bytes.clone()].concat());
            let want = joined.pick(
                targets
                    .iter()
                    .enumerate()
                    .map(|(i, set)| Some(if *set { 0 } else { i + 1 })),
            );
            let info = match view.name {
                "contiguous" => Arg::Null,
                _ => Arg::sizes(&view.info()),
            };
            let args = vec![
                Arg::size(view.count()),
                Arg::size(view.dims.len()),
                info,
                Arg::scalar(&value),
                Arg::in_out(&buffer),
            ];
            let geometry = Geometry::for_elements(view.count());
            Case::new(view.describe(), geometry, args, 4, Expected::Bits(want))
        })
        .collect()
}
