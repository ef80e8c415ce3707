//! Holds what a kernel wrote against what it should have written.

use crate::case::Expected;
use crate::element::{Array, DType, Number};

/// The outcome of one comparison.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Comparison {
    /// The result is right.
    pub(crate) passed: bool,
    /// It equals the reference bit for bit (or, for a property, it holds).
    pub(crate) exact: bool,
    /// Norm of the difference over norm of the reference.
    pub(crate) rel_err: f64,
    /// The largest share of an allowed error that was used; above 1 the check failed. Absent where bits must be equal.
    pub(crate) bound_used: Option<f64>,
    /// The element that fits worst, or what else is wrong.
    pub(crate) worst: Option<String>,
}

/// Compares the bytes of a buffer with what is expected in it.
pub(crate) fn compare(got: &[u8], expected: &Expected) -> Comparison {
    match expected {
        Expected::Bits(want) => compare_exact(got, want, |_, _| false),
        Expected::Exact(want) => compare_exact(got, want, |x, y| x.is_nan() && y.is_nan()),
        Expected::Equal(want) => {
            compare_exact(got, want, |x, y| x == y || (x.is_nan() && y.is_nan()))
        }
        Expected::Within { dtype, elements } => {
            let got = Array::from_bytes(*dtype, got.to_vec());
            let mut worst = Worst::default();
            for (i, want) in elements.iter().enumerate() {
                worst.see(i, got.f64(i), want.value, want.error);
            }
            worst.into_comparison(&got, Norms::of(&got, elements.iter().map(|e| e.value)))
        }
        Expected::RelativeNorm { values, limit } => {
            let got = Array::from_bytes(values.dtype, got.to_vec());
            let norms = Norms::of(&got, values.numbers().map(Number::as_f64));
            let rel_err = norms.relative();
            let exact = got.bytes == values.bytes;
            let mut worst = Worst::default();
            for i in 0..values.len() {
                worst.see(i, got.f64(i), values.f64(i), limit * values.f64(i).abs());
            }
            Comparison {
                passed: rel_err <= *limit,
                exact,
                rel_err,
                bound_used: Some(rel_err / limit),
                worst: worst.describe(values.dtype),
            }
        }
        Expected::Property(holds) => {
            let verdict = holds(got);
            Comparison {
                passed: verdict.is_ok(),
                exact: verdict.is_ok(),
                rel_err: if verdict.is_ok() { 0.0 } else { f64::INFINITY },
                bound_used: None,
                worst: verdict.err(),
            }
        }
    }
}

/// Equal bytes, save that values that are `interchangeable` count as one.
fn compare_exact(got: &[u8], want: &Array, interchangeable: fn(f64, f64) -> bool) -> Comparison {
    let got = Array::from_bytes(want.dtype, got.to_vec());
    let size = want.dtype.size();
    let mut worst = Worst::default();
    let mut equal = true;
    for i in 0..want.len() {
        let range = i * size..(i + 1) * size;
        let same = got.bytes[range.clone()] == want.bytes[range]
            || interchangeable(got.f64(i), want.f64(i));
        if !same {
            equal = false;
            worst.see(i, got.f64(i), want.f64(i), 0.0);
        }
    }
    let rel_err = if equal {
        0.0
    } else {
        Norms::of(&got, want.numbers().map(Number::as_f64)).relative()
    };
    Comparison {
        passed: equal,
        exact: equal,
        rel_err,
        bound_used: None,
        worst: worst.describe(want.dtype),
    }
}

/// Squared norms of a reference and of the difference from it. A value that should be finite and is not makes the
/// difference infinite.
struct Norms {
    difference: f64,
    reference: f64,
}

impl Norms {
    fn of(got: &Array, want: impl Iterator<Item = f64>) -> Norms {
        let (mut difference, mut reference) = (0.0, 0.0);
        for (i, w) in want.enumerate() {
            let g = got.f64(i);
            if g == w || (g.is_nan() && w.is_nan()) {
                reference += if w.is_finite() { w * w } else { 0.0 };
                continue;
            }
            let d = g - w;
            difference += if d.is_finite() { d * d } else { f64::INFINITY };
            reference += if w.is_finite() { w * w } else { 0.0 };
        }
        Norms {
            difference,
            reference,
        }
    }

    fn relative(&self) -> f64 {
        if self.difference == 0.0 {
            0.0
        } else if self.reference == 0.0 {
            f64::INFINITY
        } else {
            (self.difference / self.reference).sqrt()
        }
    }
}

/// The element that used the largest share of its bound.
#[derive(Default)]
struct Worst {
    used: f64,
    element: Option<(usize, f64, f64, f64)>,
}

impl Worst {
    fn see(&mut self, index: usize, got: f64, want: f64, bound: f64) {
        let used = share(got, want, bound);
        if used > self.used || self.element.is_none() {
            self.used = used;
            self.element = Some((index, got, want, bound));
        }
    }

    fn describe(&self, dtype: DType) -> Option<String> {
        let (index, got, want, bound) = self.element?;
        let digits = match dtype {
            DType::F64 => 17,
            DType::F32 => 9,
            _ => 6,
        };
        let [got, want] = [got, want].map(|v| number(v, digits));
        Some(if bound > 0.0 {
            format!("element {index} is {got}, expected {want} within {bound:.1e}")
        } else {
            format!("element {index} is {got}, expected {want}")
        })
    }

    fn into_comparison(self, got: &Array, norms: Norms) -> Comparison {
        Comparison {
            passed: self.used <= 1.0,
            exact: norms.difference == 0.0,
            rel_err: norms.relative(),
            bound_used: Some(self.used),
            worst: self.describe(got.dtype),
        }
    }
}

/// The share of `bound` that the difference takes: 0 for equal values, more than 1 for a wrong one.
fn share(got: f64, want: f64, bound: f64) -> f64 {
    if got == want || (got.is_nan() && want.is_nan()) {
        return 0.0;
    }
    let difference = (got - want).abs();
    if difference.is_finite() && bound > 0.0 {
        difference / bound
    } else {
        f64::INFINITY
    }
}

/// A number with as many significant digits as tell its type's values apart, without needless zeros.
fn number(value: f64, digits: usize) -> String {
    let scientific = format!("{value:.*e}", digits - 1);
    let Ok(rounded) = scientific.parse::<f64>() else {
        return scientific;
    };
    let magnitude = rounded.abs();
    if rounded == 0.0 || (1e-4..1e9).contains(&magnitude) {
        format!("{rounded}")
    } else {
        format!("{rounded:e}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error_bound::Approx;

    fn f32s(values: &[f64]) -> Array {
        Array::floats(DType::F32, values.iter().copied())
    }

    #[test]
    fn one_wrong_bit_is_not_exact() {
        let want = f32s(&[1.0, -2.0, f64::NAN]);
        let mut got = want.clone();
        assert!(compare(&got.bytes, &Expected::Exact(want.clone())).exact);
        got.bytes[4] ^= 1;
        let outcome = compare(&got.bytes, &Expected::Exact(want));
        assert!(!outcome.passed && !outcome.exact && outcome.rel_err > 0.0);
        assert_eq!(
            outcome.worst.unwrap(),
            "element 1 is -2.00000024, expected -2"
        );
    }

    #[test]
    fn the_sign_of_zero_counts_where_bits_must_be_equal() {
        let outcome = compare(&f32s(&[-0.0]).bytes, &Expected::Exact(f32s(&[0.0])));
        assert!(!outcome.passed);
    }

    #[test]
    fn a_bound_is_held_element_by_element() {
        let elements = vec![
            Approx {
                value: 1e6,
                error: 1.0,
            },
            Approx {
                value: 1.0,
                error: 1e-3,
            },
        ];
        let expected = Expected::Within {
            dtype: DType::F32,
            elements,
        };
        assert!(compare(&f32s(&[1e6 + 0.5, 1.0]).bytes, &expected).passed);
        let outcome = compare(&f32s(&[1e6, 1.01]).bytes, &expected);
        assert!(
            !outcome.passed,
            "the norm hides it, the bound does not: {outcome:?}"
        );
    }

    #[test]
    fn nan_and_infinity_never_pass_for_a_number() {
        for wrong in [f64::NAN, f64::INFINITY] {
            let within = Expected::Within {
                dtype: DType::F32,
                elements: vec![Approx {
                    value: 1.0,
                    error: 10.0,
                }],
            };
            let norm = Expected::RelativeNorm {
                values: f32s(&[1.0]),
                limit: 10.0,
            };
            assert!(!compare(&f32s(&[wrong]).bytes, &within).passed);
            assert!(!compare(&f32s(&[wrong]).bytes, &norm).passed);
        }
    }
}
