//! Running error analysis: a value together with a bound on how far the kernel's floating-point arithmetic can have
//! carried its result from it.
//!
//! A reference is written once, as the expression that the kernel evaluates. It yields the value in f64 and, step by
//! step, the largest error that rounding each step to the kernel's type allows (Higham, *Accuracy and Stability of
//! Numerical Algorithms*, section 3.3). A kernel that fuses a multiply into an add rounds once less and stays inside.
//! So no tolerance is chosen: each follows from the number of operations, the type, and for library functions from
//! the accuracy that OpenCL C 3.0 ("Relative error as ULPs") requires, which AMD's device library is built to meet.

use crate::element::{DType, F8E4M3_MAX};

/// A value and the largest absolute error that a correct kernel may have made in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Approx {
    pub(crate) value: f64,
    pub(crate) error: f64,
}

impl Approx {
    /// An input, known exactly.
    pub(crate) fn exact(value: f64) -> Self {
        Approx { value, error: 0.0 }
    }

    /// Negation, which is exact.
    pub(crate) fn neg(self) -> Self {
        Approx {
            value: -self.value,
            error: self.error,
        }
    }

    /// The image of the interval under a function that is monotone on it, computed without error.
    fn image(self, f: impl Fn(f64) -> f64) -> Self {
        let value = f(self.value);
        if self.error == 0.0 {
            return Approx { value, error: 0.0 };
        }
        let low = (f(self.value - self.error) - value).abs();
        let high = (f(self.value + self.error) - value).abs();
        Approx {
            value,
            error: low.max(high),
        }
    }
}

/// Accuracy of a library function: in units of the last place for f32 and f64, and for 16-bit types.
///
/// The second figure holds where the half-precision function of the device library is called. Kernels that go through
/// f32 instead name the f32 figure alone and are rounded to their type with [`Arith::convert`].
#[derive(Clone, Copy)]
pub(crate) struct Ulps {
    pub(crate) single: f64,
    pub(crate) half: f64,
}

/// The limits of OpenCL C 3.0 for single and for half precision. Those of double precision are the single ones, save
/// that division and square root are correctly rounded.
pub(crate) mod ulps {
    use super::Ulps;

    pub(crate) const EXP: Ulps = Ulps {
        single: 3.0,
        half: 2.0,
    };
    pub(crate) const LOG: Ulps = Ulps {
        single: 3.0,
        half: 2.0,
    };
    pub(crate) const SIN: Ulps = Ulps {
        single: 4.0,
        half: 2.0,
    };
    pub(crate) const COS: Ulps = Ulps {
        single: 4.0,
        half: 2.0,
    };
    pub(crate) const TANH: Ulps = Ulps {
        single: 5.0,
        half: 2.0,
    };
    pub(crate) const ERF: Ulps = Ulps {
        single: 16.0,
        half: 4.0,
    };
    pub(crate) const ERFC: Ulps = Ulps {
        single: 16.0,
        half: 4.0,
    };
    pub(crate) const POW: Ulps = Ulps {
        single: 16.0,
        half: 4.0,
    };
    pub(crate) const RSQRT: Ulps = Ulps {
        single: 2.0,
        half: 1.0,
    };
    /// Correctly rounded for f32 and f64 (hipcc's default); within one unit for half precision.
    pub(crate) const DIV: Ulps = Ulps {
        single: 0.5,
        half: 1.0,
    };
    pub(crate) const SQRT: Ulps = Ulps {
        single: 0.5,
        half: 1.0,
    };
}

/// Arithmetic that rounds every result to one type.
#[derive(Clone, Copy)]
pub(crate) struct Arith {
    dtype: DType,
    unit: f64,
    underflow: f64,
}

impl Arith {
    pub(crate) fn new(dtype: DType) -> Self {
        // The reference itself is computed in f64: for f64 kernels its own rounding counts as much as theirs.
        let reference = if dtype == DType::F64 { 2.0 } else { 1.0 };
        Arith {
            dtype,
            unit: dtype.unit_roundoff() * reference,
            underflow: dtype.underflow() * reference,
        }
    }

    pub(crate) fn dtype(self) -> DType {
        self.dtype
    }

    /// One rounding to nearest.
    fn rounded(self, value: f64, error: f64) -> Approx {
        self.off_by(value, error, 1.0)
    }

    /// `halves` times half a unit in the last place. A unit in the last place is at most twice the unit roundoff
    /// relative to the value.
    fn off_by(self, value: f64, error: f64, halves: f64) -> Approx {
        let magnitude = value.abs() + error;
        Approx {
            value,
            error: error + halves * (self.unit * magnitude + self.underflow),
        }
    }

    /// A constant of the source, converted to the type.
    pub(crate) fn constant(self, value: f64) -> Approx {
        let rounded = self.dtype.round(value);
        Approx {
            value,
            error: (rounded - value).abs(),
        }
    }

    /// A value of another type, converted to this one. fp8 saturates, so its range is closed.
    pub(crate) fn convert(self, a: Approx) -> Approx {
        let a = match self.dtype {
            DType::F8E4M3 => a.image(|v| v.clamp(-F8E4M3_MAX, F8E4M3_MAX)),
            _ => a,
        };
        self.rounded(a.value, a.error)
    }

    pub(crate) fn add(self, a: Approx, b: Approx) -> Approx {
        self.rounded(a.value + b.value, a.error + b.error)
    }

    pub(crate) fn sub(self, a: Approx, b: Approx) -> Approx {
        self.add(a, b.neg())
    }

    pub(crate) fn mul(self, a: Approx, b: Approx) -> Approx {
        let error = a.value.abs() * b.error + b.value.abs() * a.error + a.error * b.error;
        self.rounded(a.value * b.value, error)
    }

    pub(crate) fn div(self, a: Approx, b: Approx) -> Approx {
        let quotient = a.value / b.value;
        let error = (a.error + quotient.abs() * b.error) / (b.value.abs() - b.error);
        self.off_by(quotient, error, 2.0 * self.pick(ulps::DIV))
    }

    /// A library function, monotone on the argument's interval.
    pub(crate) fn call(self, a: Approx, accuracy: Ulps, f: impl Fn(f64) -> f64) -> Approx {
        let image = a.image(f);
        self.off_by(image.value, image.error, 2.0 * self.pick(accuracy))
    }

    /// An exact function (rounding to an integer, absolute value, selection), monotone on the argument's interval.
    pub(crate) fn exactly(self, a: Approx, f: impl Fn(f64) -> f64) -> Approx {
        a.image(f)
    }

    /// A sum of `terms`, in any order, with at most `depth` additions on the way of any term.
    pub(crate) fn sum(self, terms: impl IntoIterator<Item = Approx>, depth: usize) -> Approx {
        let (mut value, mut error, mut magnitude) = (0.0, 0.0, 0.0);
        for term in terms {
            value += term.value;
            error += term.error;
            magnitude += term.value.abs() + term.error;
        }
        let growth = depth as f64 * self.unit;
        Approx {
            value,
            error: error + growth / (1.0 - growth) * magnitude + depth as f64 * self.underflow,
        }
    }

    fn pick(self, accuracy: Ulps) -> f64 {
        match self.dtype {
            DType::F32 | DType::F64 => accuracy.single,
            _ => accuracy.half,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;
    use rand::SeedableRng;

    /// What the analysis promises, against f32 arithmetic of the host.
    #[test]
    fn f32_arithmetic_stays_within_the_bound_and_the_bound_is_tight() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        let arith = Arith::new(DType::F32);
        let mut closest: f64 = 0.0;
        for _ in 0..20_000 {
            let (x, y): (f32, f32) = (rng.random_range(0.5..2.0), rng.random_range(-2.0..2.0));
            let got = ((x * y + x) / (y * y + 1.0)) as f64;
            let (ex, ey) = (Approx::exact(x as f64), Approx::exact(y as f64));
            let want = arith.div(
                arith.add(arith.mul(ex, ey), ex),
                arith.add(arith.mul(ey, ey), Approx::exact(1.0)),
            );
            let used = (got - want.value).abs() / want.error;
            assert!(used <= 1.0, "{x} {y}: {used}");
            closest = closest.max(used);
        }
        assert!(
            closest > 0.3,
            "a bound never approached says little: {closest}"
        );
    }
}
