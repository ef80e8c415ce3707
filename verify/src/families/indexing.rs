//! `indexing.cu`: elements chosen, moved or accumulated by index.
//!
//! An index with every bit of its type's magnitude set means "none": a zero is read there, and nothing is written. The
//! fp8 accumulations know no such index.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::Plan;
use super::layout::{moderate, patterns, random};
use crate::case::{Arg, Case, Expected, Geometry};
use crate::element::{Array, DType, Number};

pub(super) fn plan(symbol: &str) -> Option<Plan> {
    let (root, dtype) = DType::split_suffix(symbol)?;
    let (operation, index) = root.split_once('_')?;
    let index = DType::from_name(index)?;
    let cases: fn(&mut ChaCha8Rng, DType, DType, Shape) -> Case = match operation {
        "is" => index_select,
        "gather" => gather,
        "ia" => index_add,
        "s" => scatter,
        "sa" => scatter_add,
        _ => return None,
    };
    let family = format!("{} by {}", long_name(operation), index.name());
    Some(Plan::new(family, dtype.name(), move |rng| {
        SHAPES
            .iter()
            .map(|shape| cases(rng, index, dtype, *shape))
            .collect()
    }))
}

fn long_name(operation: &str) -> &str {
    match operation {
        "is" => "index_select",
        "ia" => "index_add",
        "s" => "scatter",
        "sa" => "scatter_add",
        other => other,
    }
}

/// A three-dimensional view of the tensors: what comes before the indexed dimension, that dimension in the tensor that
/// is addressed, how many indices there are along it, and what comes after.
#[derive(Clone, Copy)]
struct Shape {
    left: usize,
    addressed: usize,
    indices: usize,
    right: usize,
}

const SHAPES: [Shape; 3] = [
    Shape {
        left: 1,
        addressed: 9,
        indices: 5,
        right: 1,
    },
    Shape {
        left: 3,
        addressed: 7,
        indices: 11,
        right: 13,
    },
    Shape {
        left: 2,
        addressed: 5,
        indices: 4,
        right: 300,
    },
];

impl Shape {
    fn describe(self) -> String {
        let Shape {
            left,
            addressed,
            indices,
            right,
        } = self;
        format!("{left} x {indices} of {addressed} x {right}")
    }

    /// Place of (`pre`, `middle`, `post`) where the middle dimension is `size`.
    fn at(self, pre: usize, size: usize, middle: usize, post: usize) -> usize {
        (pre * size + middle) * self.right + post
    }
}

/// The index that means "none".
fn none(index: DType) -> i64 {
    match index {
        DType::U8 => u8::MAX as i64,
        DType::U32 => u32::MAX as i64,
        DType::I16 => i16::MAX as i64,
        DType::I32 => i32::MAX as i64,
        _ => i64::MAX,
    }
}

/// Random indices; one in eight is "none", where the kernel knows that.
fn indices(
    rng: &mut ChaCha8Rng,
    index: DType,
    count: usize,
    shape: Shape,
    with_none: bool,
) -> Array {
    let values = (0..count).map(|_| {
        if with_none && rng.random_bool(0.125) {
            none(index)
        } else {
            rng.random_range(0..shape.addressed) as i64
        }
    });
    Array::ints(index, values)
}

fn target(ids: &Array, i: usize) -> Option<usize> {
    let id = ids.i64(i);
    (id != none(ids.dtype)).then_some(id as usize)
}

fn index_select(rng: &mut ChaCha8Rng, index: DType, dtype: DType, shape: Shape) -> Case {
    let Shape {
        left,
        addressed,
        indices: n,
        right,
    } = shape;
    let ids = indices(rng, index, n, shape, true);
    let input = patterns(rng, dtype, left * addressed * right);
    let count = left * n * right;
    let want = input.pick((0..count).map(|i| {
        let (pre, j, post) = (i / (n * right), i / right % n, i % right);
        Some(shape.at(pre, addressed, target(&ids, j)?, post))
    }));
    let args = vec![
        Arg::size(count),
        Arg::size(1),
        Arg::sizes(&[n, 1]),
        Arg::input(&ids),
        Arg::input(&input),
        Arg::output(dtype, count),
        Arg::size(left),
        Arg::size(addressed),
        Arg::size(n),
        Arg::size(right),
    ];
    Case::new(
        shape.describe(),
        Geometry::for_elements(count),
        args,
        5,
        Expected::Bits(want),
    )
}

fn gather(rng: &mut ChaCha8Rng, index: DType, dtype: DType, shape: Shape) -> Case {
    let Shape {
        left,
        addressed,
        indices: n,
        right,
    } = shape;
    let count = left * n * right;
    let ids = indices(rng, index, count, shape, true);
    let input = patterns(rng, dtype, left * addressed * right);
    let want = input.pick((0..count).map(|i| {
        let (pre, post) = (i / (n * right), i % right);
        Some(shape.at(pre, addressed, target(&ids, i)?, post))
    }));
    let args = vec![
        Arg::size(count),
        Arg::input(&ids),
        Arg::input(&input),
        Arg::output(dtype, count),
        Arg::size(left),
        Arg::size(addressed),
        Arg::size(n),
        Arg::size(right),
    ];
    Case::new(
        shape.describe(),
        Geometry::for_elements(count),
        args,
        3,
        Expected::Bits(want),
    )
}

fn index_add(rng: &mut ChaCha8Rng, index: DType, dtype: DType, shape: Shape) -> Case {
    let ids = indices(rng, index, shape.indices, shape, dtype != DType::F8E4M3);
    let walk = Walk::new(rng, dtype, shape);
    let want = walk.accumulated(|_, j| target(&ids, j), add);
    let mut args = vec![Arg::input(&ids), Arg::size(shape.indices)];
    args.extend(walk.arguments());
    walk.case(args, 3, want)
}

fn scatter(rng: &mut ChaCha8Rng, index: DType, dtype: DType, shape: Shape) -> Case {
    let ids = indices(
        rng,
        index,
        shape.left * shape.indices * shape.right,
        shape,
        true,
    );
    let walk = Walk::new(rng, dtype, shape);
    let want = walk.accumulated(|source, _| target(&ids, source), |_, new| new);
    let mut args = vec![Arg::input(&ids)];
    args.extend(walk.arguments());
    walk.case(args, 2, want)
}

fn scatter_add(rng: &mut ChaCha8Rng, index: DType, dtype: DType, shape: Shape) -> Case {
    let count = shape.left * shape.indices * shape.right;
    let ids = indices(rng, index, count, shape, dtype != DType::F8E4M3);
    let walk = Walk::new(rng, dtype, shape);
    let want = walk.accumulated(|source, _| target(&ids, source), add);
    let mut args = vec![Arg::input(&ids)];
    args.extend(walk.arguments());
    walk.case(args, 2, want)
}

fn add(old: Number, new: Number) -> Number {
    match (old, new) {
        (Number::Int(x), Number::Int(y)) => Number::Int(x.wrapping_add(y)),
        (x, y) => Number::Float(x.as_f64() + y.as_f64()),
    }
}

/// A kernel that walks a source and updates a target in place: one thread a column, in the order of the source, so that
/// the result is determined to the last bit.
struct Walk {
    dtype: DType,
    shape: Shape,
    source: Array,
    before: Array,
}

impl Walk {
    fn new(rng: &mut ChaCha8Rng, dtype: DType, shape: Shape) -> Self {
        let Shape {
            left,
            addressed,
            indices: n,
            right,
        } = shape;
        let source = random(rng, dtype, left * n * right, moderate(dtype));
        let before = random(rng, dtype, left * addressed * right, moderate(dtype));
        Walk {
            dtype,
            shape,
            source,
            before,
        }
    }

    /// The target after the walk. `place` maps a source element and its index along the dimension to a target.
    fn accumulated(
        &self,
        place: impl Fn(usize, usize) -> Option<usize>,
        update: fn(Number, Number) -> Number,
    ) -> Array {
        let Shape {
            left,
            addressed,
            indices: n,
            right,
        } = self.shape;
        let mut after = self.before.clone();
        for pre in 0..left {
            for j in 0..n {
                for post in 0..right {
                    let source = self.shape.at(pre, n, j, post);
                    if let Some(middle) = place(source, j) {
                        let target = self.shape.at(pre, addressed, middle, post);
                        after.set(target, update(after.get(target), self.source.get(source)));
                    }
                }
            }
        }
        after
    }

    fn arguments(&self) -> [Arg; 6] {
        let Shape {
            left,
            addressed,
            indices: n,
            right,
        } = self.shape;
        [
            Arg::input(&self.source),
            Arg::in_out(&self.before),
            Arg::size(left),
            Arg::size(n),
            Arg::size(addressed),
            Arg::size(right),
        ]
    }

    fn case(&self, args: Vec<Arg>, output: usize, want: Array) -> Case {
        debug_assert_eq!(want.dtype, self.dtype);
        let geometry = Geometry::for_elements(self.shape.left * self.shape.right);
        Case::new(
            self.shape.describe(),
            geometry,
            args,
            output,
            Expected::Exact(want),
        )
    }
}
