//! Views of a buffer, as candle describes them to a kernel: dimensions and strides.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::element::{Array, DType};

/// Dimensions and strides, in elements.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) name: &'static str,
    pub(super) dims: Vec<usize>,
    pub(super) strides: Vec<usize>,
}

impl Layout {
    pub(super) fn contiguous(dims: &[usize]) -> Self {
        let mut strides = vec![1; dims.len()];
        for d in (1..dims.len()).rev() {
            strides[d - 1] = strides[d] * dims[d];
        }
        Layout {
            name: "contiguous",
            dims: dims.to_vec(),
            strides,
        }
    }

    /// A contiguous buffer whose dimensions are read in another order: dimension `d` of the view is `order[d]` of it.
    pub(super) fn permuted(dims: &[usize], order: &[usize]) -> Self {
        let base = Self::contiguous(dims);
        Layout {
            name: "transposed",
            dims: order.iter().map(|&d| base.dims[d]).collect(),
            strides: order.iter().map(|&d| base.strides[d]).collect(),
        }
    }

    /// One row, repeated: the leading dimension has stride 0.
    pub(super) fn broadcast(rows: usize, columns: usize) -> Self {
        Layout {
            name: "broadcast",
            dims: vec![rows, columns],
            strides: vec![0, 1],
        }
    }

    /// Elements of the view.
    pub(super) fn count(&self) -> usize {
        self.dims.iter().product()
    }

    /// Elements that the buffer behind the view has.
    pub(super) fn span(&self) -> usize {
        let last: usize = self
            .dims
            .iter()
            .zip(&self.strides)
            .map(|(d, s)| (d - 1) * s)
            .sum();
        last + 1
    }

    /// Place in the buffer of the view's element `i`, counted in row-major order.
    pub(super) fn offset(&self, mut i: usize) -> usize {
        let mut offset = 0;
        for (dim, stride) in self.dims.iter().zip(&self.strides).rev() {
            offset += i % dim * stride;
            i /= dim;
        }
        offset
    }

    /// Dimensions, then strides: the array that kernels call `info`.
    pub(super) fn info(&self) -> Vec<usize> {
        [self.dims.as_slice(), self.strides.as_slice()].concat()
    }

    pub(super) fn describe(&self) -> String {
        let dims: Vec<String> = self.dims.iter().map(usize::to_string).collect();
        format!("{} {}", self.name, dims.join("x"))
    }
}

/// The views under which an elementwise kernel is run: more than one block with a tail that no vector width divides,
/// fewer elements than one vector, and two that are not contiguous.
pub(super) fn views() -> [Layout; 4] {
    [
        Layout::contiguous(&[2051]),
        Layout::contiguous(&[3]),
        Layout::permuted(&[3, 5, 7], &[1, 2, 0]),
        Layout::broadcast(4, 6),
    ]
}

/// An array of `count` values drawn by `draw` and rounded to `dtype`.
pub(super) fn random(
    rng: &mut ChaCha8Rng,
    dtype: DType,
    count: usize,
    mut draw: impl FnMut(&mut ChaCha8Rng) -> f64,
) -> Array {
    if dtype.is_float() {
        Array::floats(dtype, (0..count).map(|_| draw(rng)))
    } else {
        Array::ints(dtype, (0..count).map(|_| draw(rng) as i64))
    }
}

/// A range of numbers that suits the type: small enough that integer products do not overflow where that would be
/// undefined, negative only where the type is signed.
pub(super) fn moderate(dtype: DType) -> impl Fn(&mut ChaCha8Rng) -> f64 {
    let (low, high) = match dtype {
        DType::U8 | DType::U32 => (0.0, 250.0),
        DType::I16 | DType::I32 | DType::I64 => (-180.0, 180.0),
        _ => (-4.0, 4.0),
    };
    move |rng| rng.random_range(low..high)
}

/// Random bit patterns: for kernels that move elements without looking at them.
pub(super) fn patterns(rng: &mut ChaCha8Rng, dtype: DType, count: usize) -> Array {
    let mut bytes = vec![0; dtype.size() * count];
    rng.fill(&mut bytes[..]);
    Array::from_bytes(dtype, bytes)
}
