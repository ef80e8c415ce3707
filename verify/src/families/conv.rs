//! `conv.cu`: convolutions, their transposes, pooling, resampling, and the rearrangements that turn convolutions into
//! matrix products.
//!
//! Each reference is the definition of the operation, summed over the terms that the kernel adds.

use rand_chacha::ChaCha8Rng;

use super::Plan;
use super::layout::{Layout, moderate, patterns, random};
use crate::case::{Arg, Case, Expected, Geometry};
use crate::element::{Array, DType, Number};
use crate::error_bound::{Approx, Arith};

pub(super) fn plan(symbol: &str) -> Option<Plan> {
    let (root, dtype) = DType::split_suffix(symbol)?;
    let cases: fn(&mut ChaCha8Rng, DType) -> Vec<Case> = match root {
        "conv1d" => conv1d,
        "conv2d" => conv2d,
        "conv_transpose1d" => conv_transpose1d,
        "conv_transpose2d" => conv_transpose2d,
        "im2col1d" => im2col1d,
        "col2im1d" => col2im1d,
        "im2col" => im2col,
        "avg_pool2d" => avg_pool2d,
        "max_pool2d" => max_pool2d,
        "upsample_nearest2d" => upsample_nearest2d,
        "upsample_bilinear2d" => upsample_bilinear2d,
        _ => return None,
    };
    Some(Plan::new(root, dtype.name(), move |rng| cases(rng, dtype)))
}

/// A tensor and how it lies in memory.
struct Tensor {
    layout: Layout,
    data: Array,
}

impl Tensor {
    fn draw(rng: &mut ChaCha8Rng, dtype: DType, layout: Layout) -> Self {
        let data = random(rng, dtype, layout.span(), moderate(dtype));
        Tensor { layout, data }
    }

    fn offset(&self, place: &[usize]) -> usize {
        place
            .iter()
            .zip(&self.layout.strides)
            .map(|(i, s)| i * s)
            .sum()
    }

    fn at(&self, place: &[usize]) -> Number {
        self.data.get(self.offset(place))
    }

    fn dim(&self, d: usize) -> usize {
        self.layout.dims[d]
    }
}

/// A contiguous batch, and one whose innermost dimensions are swapped in memory.
fn inputs(dims: &[usize]) -> [Layout; 2] {
    let mut stored = dims.to_vec();
    let mut order: Vec<usize> = (0..dims.len()).collect();
    let last = dims.len() - 1;
    stored.swap(last - 1, last);
    order.swap(last - 1, last);
    [Layout::contiguous(dims), Layout::permuted(&stored, &order)]
}

/// Products of pairs summed up, one sum an output, in the type that the kernel accumulates in.
fn dot(dtype: DType, sums: Vec<Vec<(Number, Number)>>) -> Expected {
    if !dtype.is_float() {
        let totals = sums.into_iter().map(|terms| {
            terms.into_iter().fold(0i64, |sum, pair| match pair {
                (Number::Int(x), Number::Int(k)) => sum.wrapping_add(x.wrapping_mul(k)),
                _ => sum,
            })
        });
        return Expected::Exact(Array::ints(dtype, totals));
    }
    let (sum, own) = (Arith::new(accumulator(dtype)), Arith::new(dtype));
    let elements = sums
        .into_iter()
        .map(|terms| {
            let depth = terms.len();
            let products = terms
                .into_iter()
                .map(|(x, k)| sum.mul(Approx::exact(x.as_f64()), Approx::exact(k.as_f64())));
            stored(own, sum, sum.sum(products, depth))
        })
        .collect();
    Expected::Within { dtype, elements }
}

fn accumulator(dtype: DType) -> DType {
    match dtype {
        DType::F16 | DType::Bf16 => DType::F32,
        other => other,
    }
}

fn stored(own: Arith, computed: Arith, x: Approx) -> Approx {
    if own.dtype() == computed.dtype() {
        x
    } else {
        own.convert(x)
    }
}

/// The place `output * stride + tap * dilation - padding` of an input of `size` elements, if it is inside.
#[derive(Clone, Copy)]
struct Window {
    stride: usize,
    padding: usize,
    dilation: usize,
}

impl Window {
    fn describe(self) -> String {
        format!(
            "stride {} padding {} dilation {}",
            self.stride, self.padding, self.dilation
        )
    }

    fn outputs(self, size: usize, taps: usize) -> usize {
        (size + 2 * self.padding - self.dilation * (taps - 1) - 1) / self.stride + 1
    }

    fn source(self, output: usize, tap: usize, size: usize) -> Option<usize> {
        let place = (output * self.stride + tap * self.dilation).checked_sub(self.padding)?;
        (place < size).then_some(place)
    }

    /// Of a transposed convolution: the input that reaches `output` through `tap`, if there is one.
    fn origin(self, output: usize, tap: usize, size: usize) -> Option<usize> {
        let reach = (output + self.padding).checked_sub(tap * self.dilation)?;
        let place = reach / self.stride;
        (reach.is_multiple_of(self.stride) && place < size).then_some(place)
    }

    fn args(self) -> [Arg; 3] {
        [
            Arg::size(self.stride),
            Arg::size(self.padding),
            Arg::size(self.dilation),
        ]
    }
}

const WINDOWS: [Window; 3] = [
    Window {
        stride: 1,
        padding: 0,
        dilation: 1,
    },
    Window {
        stride: 2,
        padding: 1,
        dilation: 1,
    },
    Window {
        stride: 1,
        padding: 2,
        dilation: 2,
    },
];

/// Dimensions and strides of input and kernel, one after the other.
fn shapes(x: &Tensor, k: &Tensor) -> Arg {
    Arg::sizes(&[x.layout.info(), k.layout.info()].concat())
}

fn for_each_window(
    rng: &mut ChaCha8Rng,
    dtype: DType,
    dims: &[usize],
    kernel: &[usize],
    mut case: impl FnMut(&Tensor, &Tensor, Window) -> Case,
) -> Vec<Case> {
    let mut cases = Vec::new();
    for layout in inputs(dims) {
        for window in WINDOWS {
            let x = Tensor::draw(rng, dtype, layout.clone());
            let k = Tensor::draw(rng, dtype, Layout::contiguous(kernel));
            let mut made = case(&x, &k, window);
            made.name = format!("{}, {}", layout.describe(), made.name);
            cases.push(made);
        }
    }
    cases
}

fn conv1d(rng: &mut ChaCha8Rng, dtype: DType) -> Vec<Case> {
    for_each_window(rng, dtype, &[2, 3, 11], &[4, 3, 3], |x, k, window| {
        let (c_in, l_in, c_out, taps) = (x.dim(1), x.dim(2), k.dim(0), k.dim(2));
        let l_out = window.outputs(l_in, taps);
        let mut sums = Vec::new();
        for (b, c, l) in grid3(x.dim(0), c_out, l_out) {
            let mut terms = Vec::new();
            for t in 0..taps {
                if let Some(place) = window.source(l, t, l_in) {
                    terms.extend((0..c_in).map(|i| (x.at(&[b, i, place]), k.at(&[c, i, t]))));
                }
            }
            sums.push(terms);
        }
        let count = sums.len();
        let mut args = vec![Arg::size(x.layout.count()), Arg::size(l_out)];
        args.extend(window.args());
        args.extend([shapes(x, k), Arg::input(&x.data), Arg::input(&k.data)]);
        args.push(Arg::output(dtype, count));
        let case = Case::new(
            window.describe(),
            Geometry::for_elements(count),
            args,
            8,
            dot(dtype, sums),
        );
        // The kernel multiplies output places by the dilation as well as taps.
        if window.dilation > 1 {
            case.needs_repair("conv1d-dilation")
        } else {
            case
        }
    })
}

fn conv2d(rng: &mut ChaCha8Rng, dtype: DType) -> Vec<Case> {
    for_each_window(rng, dtype, &[2, 3, 7, 9], &[4, 3, 2, 3], |x, k, window| {
        let (h_in, w_in) = (x.dim(2), x.dim(3));
        let (h_k, w_k) = (k.dim(2), k.dim(3));
        let (h_out, w_out) = (window.outputs(h_in, h_k), window.outputs(w_in, w_k));
        let mut sums = Vec::new();
        for (b, c, o) in grid3(x.dim(0), k.dim(0), h_out * w_out) {
            let mut terms = Vec::new();
            for (i, kh, kw) in grid3(x.dim(1), h_k, w_k) {
                let h = window.source(o / w_out, kh, h_in);
                let w = window.source(o % w_out, kw, w_in);
                if let (Some(h), Some(w)) = (h, w) {
                    terms.push((x.at(&[b, i, h, w]), k.at(&[c, i, kh, kw])));
                }
            }
            sums.push(terms);
        }
        let count = sums.len();
        let mut args = vec![
            Arg::size(x.layout.count()),
            Arg::size(w_out),
            Arg::size(h_out),
        ];
        args.extend(window.args());
        args.extend([shapes(x, k), Arg::input(&x.data), Arg::input(&k.data)]);
        args.push(Arg::output(dtype, count));
        let geometry = Geometry::for_elements(count);
        Case::new(window.describe(), geometry, args, 9, dot(dtype, sums))
    })
}

/// Output size of a transposed convolution.
fn transposed_outputs(window: Window, size: usize, taps: usize, out_padding: usize) -> usize {
    (size - 1) * window.stride + window.dilation * (taps - 1) + out_padding + 1 - 2 * window.padding
}

const OUT_PADDING: usize = 1;

fn conv_transpose1d(rng: &mut ChaCha8Rng, dtype: DType) -> Vec<Case> {
    for_each_window(rng, dtype, &[2, 3, 11], &[3, 4, 3], |x, k, window| {
        let (c_in, l_in, c_out, taps) = (x.dim(1), x.dim(2), k.dim(1), k.dim(2));
        let l_out = transposed_outputs(window, l_in, taps, OUT_PADDING);
        let mut sums = Vec::new();
        for (b, c, l) in grid3(x.dim(0), c_out, l_out) {
            let mut terms = Vec::new();
            for t in 0..taps {
                if let Some(place) = window.origin(l, t, l_in) {
                    terms.extend((0..c_in).map(|i| (x.at(&[b, i, place]), k.at(&[i, c, t]))));
                }
            }
            sums.push(terms);
        }
        let count = sums.len();
        let args = vec![
            Arg::size(x.layout.count()),
            Arg::size(l_out),
            Arg::size(window.stride),
            Arg::size(window.padding),
            Arg::size(OUT_PADDING),
            Arg::size(window.dilation),
            shapes(x, k),
            Arg::input(&x.data),
            Arg::input(&k.data),
            Arg::output(dtype, count),
        ];
        let geometry = Geometry::for_elements(count);
        Case::new(window.describe(), geometry, args, 9, dot(dtype, sums))
    })
}

fn conv_transpose2d(rng: &mut ChaCha8Rng, dtype: DType) -> Vec<Case> {
    for_each_window(rng, dtype, &[2, 3, 4, 5], &[3, 2, 2, 3], |x, k, window| {
        let (h_in, w_in) = (x.dim(2), x.dim(3));
        let (h_k, w_k) = (k.dim(2), k.dim(3));
        let h_out = transposed_outputs(window, h_in, h_k, OUT_PADDING);
        let w_out = transposed_outputs(window, w_in, w_k, OUT_PADDING);
        let mut sums = Vec::new();
        for (b, c, o) in grid3(x.dim(0), k.dim(1), h_out * w_out) {
            let mut terms = Vec::new();
            for (i, kh, kw) in grid3(x.dim(1), h_k, w_k) {
                let h = window.origin(o / w_out, kh, h_in);
                let w = window.origin(o % w_out, kw, w_in);
                if let (Some(h), Some(w)) = (h, w) {
                    terms.push((x.at(&[b, i, h, w]), k.at(&[i, c, kh, kw])));
                }
            }
            sums.push(terms);
        }
        let count = sums.len();
        let args = vec![
            Arg::size(x.layout.count()),
            Arg::size(w_out),
            Arg::size(h_out),
            Arg::size(window.stride),
            Arg::size(window.padding),
            Arg::size(OUT_PADDING),
            Arg::size(window.dilation),
            shapes(x, k),
            Arg::input(&x.data),
            Arg::input(&k.data),
            Arg::output(dtype, count),
        ];
        let geometry = Geometry::for_elements(count);
        Case::new(window.describe(), geometry, args, 10, dot(dtype, sums))
    })
}

/// Places of a three-dimensional index space in row-major order.
fn grid3(a: usize, b: usize, c: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..a * b * c).map(move |i| (i / (b * c), i / c % b, i % c))
}

fn im2col1d(rng: &mut ChaCha8Rng, dtype: DType) -> Vec<Case> {
    for_each_window(rng, dtype, &[2, 3, 11], &[1, 1, 3], |x, k, window| {
        let (c_in, l_in, taps) = (x.dim(1), x.dim(2), k.dim(2));
        let l_out = window.outputs(l_in, taps);
        let places = grid3(x.dim(0), l_out, c_in * taps).map(|(b, l, ct)| {
            let place = window.source(l, ct % taps, l_in)?;
            Some(x.offset(&[b, ct / taps, place]))
        });
        let want = x.data.pick(places);
        let threads = x.dim(0) * l_out * c_in;
        let mut args = vec![Arg::size(threads), Arg::size(l_out), Arg::size(taps)];
        args.extend(window.args());
        args.extend([Arg::sizes(&x.layout.info()), Arg::input(&x.data)]);
        args.push(Arg::output(dtype, want.len()));
        let geometry = Geometry::for_elements(threads);
        Case::new(window.describe(), geometry, args, 8, Expected::Bits(want))
    })
}

fn im2col(rng: &mut ChaCha8Rng, dtype: DType) -> Vec<Case> {
    for_each_window(rng, dtype, &[2, 3, 7, 9], &[1, 1, 2, 3], |x, k, window| {
        let (c_in, h_in, w_in) = (x.dim(1), x.dim(2), x.dim(3));
        let (h_k, w_k) = (k.dim(2), k.dim(3));
        let (h_out, w_out) = (window.outputs(h_in, h_k), window.outputs(w_in, w_k));
        let places = grid3(x.dim(0), h_out * w_out, c_in * h_k * w_k).map(|(b, o, t)| {
            let (c, kh, kw) = (t / (h_k * w_k), t / w_k % h_k, t % w_k);
            let h = window.source(o / w_out, kh, h_in)?;
            let w = window.source(o % w_out, kw, w_in)?;
            Some(x.offset(&[b, c, h, w]))
        });
        let want = x.data.pick(places);
        let count = want.len();
        let mut args: Vec<Arg> = [count, h_out, w_out, h_k, w_k]
            .into_iter()
            .map(Arg::size)
            .collect();
        args.extend(window.args());
        args.extend([Arg::sizes(&x.layout.info()), Arg::input(&x.data)]);
        args.push(Arg::output(dtype, count));
        let geometry = Geometry::for_elements(count);
        Case::new(window.describe(), geometry, args, 10, Expected::Bits(want))
    })
}

fn col2im1d(rng: &mut ChaCha8Rng, dtype: DType) -> Vec<Case> {
    [(1, 3), (2, 5), (3, 2)]
        .into_iter()
        .map(|(stride, taps)| {
            let (batch, l_in, c_out) = (2, 7, 3);
            let x = Tensor::draw(rng, dtype, Layout::contiguous(&[batch, l_in, c_out, taps]));
            let l_out = (l_in - 1) * stride + taps;
            let window = Window {
                stride,
                padding: 0,
                dilation: 1,
            };
            let one = match dtype.is_float() {
                true => Number::Float(1.0),
                false => Number::Int(1),
            };
            let sums: Vec<Vec<Number>> = grid3(batch, c_out, l_out)
                .map(|(b, c, l)| {
                    (0..taps)
                        .filter_map(|t| Some(x.at(&[b, window.origin(l, t, l_in)?, c, t])))
                        .collect()
                })
                .collect();
            let count = sums.len();
            let expected = if dtype.is_float() {
                // Accumulated in memory, so in the type itself.
                let own = Arith::new(dtype);
                let elements = sums
                    .into_iter()
                    .map(|terms| {
                        let depth = terms.len();
                        own.sum(terms.into_iter().map(|n| Approx::exact(n.as_f64())), depth)
                    })
                    .collect();
                Expected::Within { dtype, elements }
            } else {
                let pairs = sums
                    .into_iter()
                    .map(|s| s.into_iter().map(|n| (n, one)).collect());
                dot(dtype, pairs.collect())
            };
            let mut args: Vec<Arg> = [count, l_out, l_in, c_out, taps, stride]
                .into_iter()
                .map(Arg::size)
                .collect();
            args.extend([Arg::input(&x.data), Arg::output(dtype, count)]);
            let name = format!("{batch}x{l_in}x{c_out}x{taps} stride {stride}");
            Case::new(name, Geometry::for_elements(count), args, 7, expected)
        })
        .collect()
}

/// Windows of `w_k` x `h_k` elements, as the pooling kernels take them: over dimensions 2 and 3.
fn pools(
    rng: &mut ChaCha8Rng,
    dtype: DType,
    reduce: impl Fn(Vec<Vec<Number>>, usize) -> Expected,
) -> Vec<Case> {
    let mut cases = Vec::new();
    for layout in inputs(&[2, 3, 7, 9]) {
        for (w_k, h_k, w_stride, h_stride) in [(2, 2, 2, 2), (3, 2, 1, 3)] {
            let x = Tensor::draw(rng, dtype, layout.clone());
            let w_out = (x.dim(2) - w_k) / w_stride + 1;
            let h_out = (x.dim(3) - h_k) / h_stride + 1;
            let groups: Vec<Vec<Number>> = grid3(x.dim(0), x.dim(1), w_out * h_out)
                .map(|(b, c, o)| {
                    let (w, h) = (o / h_out * w_stride, o % h_out * h_stride);
                    (0..w_k * h_k)
                        .map(|t| x.at(&[b, c, w + t / h_k, h + t % h_k]))
                        .collect()
                })
                .collect();
            let count = groups.len();
            let mut args = vec![Arg::size(layout.count())];
            args.extend([w_k, h_k, w_stride, h_stride].into_iter().map(Arg::size));
            args.extend([Arg::sizes(&layout.info()), Arg::input(&x.data)]);
            args.push(Arg::output(dtype, count));
            let name = format!(
                "{}, {w_k}x{h_k} stride {w_stride}x{h_stride}",
                layout.describe()
            );
            let expected = reduce(groups, w_k * h_k);
            cases.push(Case::new(
                name,
                Geometry::for_elements(count),
                args,
                7,
                expected,
            ));
        }
    }
    cases
}

fn max_pool2d(rng: &mut ChaCha8Rng, dtype: DType) -> Vec<Case> {
    pools(rng, dtype, |groups, _| {
        let maxima = groups.into_iter().map(|group| {
            let largest = group
                .into_iter()
                .reduce(|x, y| if y.as_f64() > x.as_f64() { y } else { x });
            largest.unwrap_or(Number::Int(0))
        });
        Expected::Exact(Array::new(dtype, maxima))
    })
}

fn avg_pool2d(rng: &mut ChaCha8Rng, dtype: DType) -> Vec<Case> {
    pools(rng, dtype, |groups, size| {
        // The kernel keeps the reciprocal as a float, whatever the type of the elements.
        let scale = 1.0f32 / size as f32;
        if !dtype.is_float() {
            // The sum wraps in the element type; then it is scaled in f32 and truncated.
            let averages = groups.into_iter().map(|group| {
                let sum = Array::ints(dtype, [group.into_iter().map(int).sum()]).i64(0);
                (sum as f32 * scale) as i64
            });
            return Expected::Exact(Array::ints(dtype, averages));
        }
        let (sum, own) = (Arith::new(accumulator(dtype)), Arith::new(dtype));
        let elements = groups
            .into_iter()
            .map(|group| {
                let terms = group.into_iter().map(|n| Approx::exact(n.as_f64()));
                let total = sum.sum(terms, size);
                stored(own, sum, sum.mul(total, Approx::exact(scale as f64)))
            })
            .collect();
        Expected::Within { dtype, elements }
    })
}

fn int(n: Number) -> i64 {
    match n {
        Number::Int(v) => v,
        Number::Float(v) => v as i64,
    }
}

fn upsample_nearest2d(rng: &mut ChaCha8Rng, dtype: DType) -> Vec<Case> {
    let mut cases = Vec::new();
    for layout in inputs(&[2, 3, 4, 5]) {
        for (w_out, h_out) in [(8, 10), (7, 3)] {
            let x = Tensor {
                data: patterns(rng, dtype, layout.span()),
                layout: layout.clone(),
            };
            // The kernel calls dimension 2 width and dimension 3 height.
            let scales = [
                x.dim(2) as f64 / w_out as f64,
                x.dim(3) as f64 / h_out as f64,
            ];
            let nearest =
                |o: usize, scale: f64, size: usize| ((o as f64 * scale) as usize).min(size - 1);
            let places = grid3(x.dim(0), x.dim(1), w_out * h_out).map(|(b, c, o)| {
                let w = nearest(o / h_out, scales[0], x.dim(2));
                let h = nearest(o % h_out, scales[1], x.dim(3));
                Some(x.offset(&[b, c, w, h]))
            });
            let want = x.data.pick(places);
            let count = want.len();
            let args = vec![
                Arg::size(w_out),
                Arg::size(h_out),
                Arg::f64(scales[0]),
                Arg::f64(scales[1]),
                Arg::sizes(&layout.info()),
                Arg::input(&x.data),
                Arg::output(dtype, count),
            ];
            let name = format!("{} to {w_out}x{h_out}", layout.describe());
            let geometry = Geometry::for_elements(count);
            cases.push(Case::new(name, geometry, args, 6, Expected::Bits(want)));
        }
    }
    cases
}

/// How output places map to input places.
#[derive(Clone, Copy)]
struct Resampling {
    align_corners: bool,
    scale: Option<f64>,
}

impl Resampling {
    /// The input place of output `o`, not below zero.
    fn source(self, o: usize, size_in: usize, size_out: usize) -> f64 {
        if self.align_corners {
            let scale = match size_out {
                0 | 1 => 0.0,
                _ => (size_in - 1) as f64 / (size_out - 1) as f64,
            };
            return scale * o as f64;
        }
        let scale = match self.scale {
            Some(factor) => 1.0 / factor,
            None => size_in as f64 / size_out as f64,
        };
        (scale * (o as f64 + 0.5) - 0.5).max(0.0)
    }
}

fn upsample_bilinear2d(rng: &mut ChaCha8Rng, dtype: DType) -> Vec<Case> {
    let mut cases = Vec::new();
    for layout in inputs(&[2, 2, 4, 8]) {
        for (align_corners, scale, h_out, w_out) in [
            (false, None, 8, 16),
            (false, Some(2.0), 8, 16),
            (true, None, 7, 15),
            (false, None, 5, 11),
        ] {
            // Interpolated integers are truncated, so their weights have to be exact: halves and quarters.
            if !dtype.is_float() && h_out == 5 {
                continue;
            }
            let resampling = Resampling {
                align_corners,
                scale,
            };
            let x = Tensor::draw(rng, dtype, layout.clone());
            let values: Vec<f64> = grid3(x.dim(0), x.dim(1), h_out * w_out)
                .map(|(b, c, o)| {
                    let h = resampling.source(o / w_out, x.dim(2), h_out);
                    let w = resampling.source(o % w_out, x.dim(3), w_out);
                    interpolate(&x, b, c, h, w)
                })
                .collect();
            let count = values.len();
            let expected = if dtype.is_float() {
                interpolated(&x, values)
            } else {
                Expected::Exact(Array::ints(dtype, values.into_iter().map(|v| v as i64)))
            };
            let args = vec![
                Arg::size(w_out),
                Arg::size(h_out),
                Arg::bool(align_corners),
                Arg::bool(scale.is_some()),
                Arg::f64(scale.unwrap_or(0.0)),
                Arg::bool(scale.is_some()),
                Arg::f64(scale.unwrap_or(0.0)),
                Arg::sizes(&layout.info()),
                Arg::input(&x.data),
                Arg::output(dtype, count),
            ];
            let corners = if align_corners {
                ", corners aligned"
            } else {
                ""
            };
            let name = format!("{} to {h_out}x{w_out}{corners}", layout.describe());
            let geometry = Geometry::for_elements(count);
            cases.push(Case::new(name, geometry, args, 9, expected));
        }
    }
    cases
}

fn interpolate(x: &Tensor, b: usize, c: usize, h: f64, w: f64) -> f64 {
    let (h0, w0) = (h.floor() as usize, w.floor() as usize);
    let (h1, w1) = ((h0 + 1).min(x.dim(2) - 1), (w0 + 1).min(x.dim(3) - 1));
    let (dh, dw) = (h - h0 as f64, w - w0 as f64);
    let at = |h: usize, w: usize| x.at(&[b, c, h, w]).as_f64();
    let top = at(h0, w0) * (1.0 - dw) + at(h0, w1) * dw;
    let bottom = at(h1, w0) * (1.0 - dw) + at(h1, w1) * dw;
    top * (1.0 - dh) + bottom * dh
}

/// Interpolation is computed in f64 and rounded to the type once.
///
/// A place below 8 comes from four roundings, so it is off by at most 4 x 8 units; the interpolated surface rises by at
/// most 2 max|x| from one place to the next along each of two axes; and the blend itself rounds eight times.
fn interpolated(x: &Tensor, values: Vec<f64>) -> Expected {
    let dtype = x.data.dtype;
    let (f64, own) = (Arith::new(DType::F64), Arith::new(dtype));
    let largest = x
        .data
        .numbers()
        .map(|n| n.as_f64().abs())
        .fold(0.0, f64::max);
    let error = (2.0 * 2.0 * 32.0 + 8.0) * DType::F64.unit_roundoff() * largest;
    let elements = values
        .into_iter()
        .map(|value| stored(own, f64, Approx { value, error }))
        .collect();
    Expected::Within { dtype, elements }
}
