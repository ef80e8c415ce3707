//! `unary.cu`: functions of one array, elementwise.
//!
//! Each function is written once, as candle's kernel composes it, over arithmetic that carries an error bound. What a
//! type does differently is [`Math`]'s business: fp8 computes in f32 and converts at the end, and the 16-bit types call
//! some functions in half precision and others through f32.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::Plan;
use super::layout::{Layout, patterns, random, views};
use crate::case::{Arg, Case, Expected, Geometry};
use crate::element::{Array, DType};
use crate::error_bound::{Approx, Arith, Ulps, ulps};

pub(super) fn plan(symbol: &str) -> Option<Plan> {
    let (root, dtype) = DType::split_suffix(symbol)?;
    if root == "ucopy" {
        return Some(Plan::new(root, dtype.name(), move |rng| {
            views().iter().map(|view| copy(rng, dtype, view)).collect()
        }));
    }
    let function = FUNCTIONS.iter().find(|f| f.root == root)?;
    if !dtype.is_float() {
        return None;
    }
    Some(Plan::new(root, dtype.name(), move |rng| {
        views()
            .iter()
            .map(|view| one_case(rng, dtype, function, view))
            .collect()
    }))
}

/// The numbers on which a function is tried.
#[derive(Clone, Copy)]
enum Domain {
    /// Both signs, and the halves where rounding to an integer decides.
    Any,
    Positive,
    NonZero,
}

impl Domain {
    fn draw(self, rng: &mut ChaCha8Rng) -> f64 {
        match self {
            Any if rng.random_bool(0.1) => rng.random_range(-6..=6) as f64 * 0.5,
            Any => rng.random_range(-6.0..6.0),
            Positive => rng.random_range(0.05..8.0),
            NonZero => rng.random_range(0.1..8.0) * [-1.0, 1.0][rng.random_range(0..2)],
        }
    }
}

/// When a result has to be the correctly rounded one.
#[derive(Clone, Copy, PartialEq)]
enum Exactness {
    Always,
    /// Division and square root in half precision may be off by one unit in the last place.
    ExceptF16,
    Never,
}

struct Function {
    root: &'static str,
    domain: Domain,
    exactness: Exactness,
    /// The kernel's extra argument, if it has one.
    parameter: Option<f64>,
    evaluate: fn(&Math, Approx, Approx) -> Approx,
}

const fn function(
    root: &'static str,
    domain: Domain,
    exactness: Exactness,
    evaluate: fn(&Math, Approx, Approx) -> Approx,
) -> Function {
    Function {
        root,
        domain,
        exactness,
        parameter: None,
        evaluate,
    }
}

const fn with_parameter(parameter: f64, function: Function) -> Function {
    Function {
        parameter: Some(parameter),
        ..function
    }
}

use Domain::{Any, NonZero, Positive};
use Exactness::{Always, ExceptF16, Never};

static FUNCTIONS: &[Function] = &[
    function("uneg", Any, Always, |_, x, _| x.neg()),
    function("urecip", NonZero, ExceptF16, |m, x, _| {
        m.div(m.constant(1.0), x)
    }),
    function("uexp", Any, Never, |m, x, _| m.exp(x)),
    function("ulog", Positive, Never, |m, x, _| {
        m.native(x, ulps::LOG, f64::ln)
    }),
    function("usin", Any, Never, |m, x, _| {
        m.native(x, ulps::SIN, f64::sin)
    }),
    function("ucos", Any, Never, |m, x, _| {
        m.native(x, ulps::COS, f64::cos)
    }),
    function("utanh", Any, Never, |m, x, _| m.tanh(x)),
    function("uerf", Any, Never, |m, x, _| {
        m.via_f32(x, ulps::ERF, libm::erf)
    }),
    function("uceil", Any, Always, |m, x, _| m.exactly(x, f64::ceil)),
    function("ufloor", Any, Always, |m, x, _| m.exactly(x, f64::floor)),
    function("uround", Any, Always, |m, x, _| m.exactly(x, f64::round)),
    function("unormcdf", Any, Never, |m, x, _| m.normcdf(x)),
    function("uabs", Any, Always, |m, x, _| m.exactly(x, f64::abs)),
    function("usqr", Any, Always, |m, x, _| m.mul(x, x)),
    function("usqrt", Positive, ExceptF16, |m, x, _| {
        m.native(x, ulps::SQRT, f64::sqrt)
    }),
    function("ugelu", Any, Never, |m, x, _| m.gelu(x)),
    function("ugelu_erf", Any, Never, |m, x, _| m.mul(x, m.normcdf(x))),
    function("urelu", Any, Always, |m, x, _| m.exactly(x, |v| v.max(0.0))),
    function("usign", Any, Always, |m, x, _| {
        m.exactly(x, |v| if v == 0.0 { 0.0 } else { v.signum() })
    }),
    function("usilu", Any, Never, |m, x, _| {
        m.div(x, m.one_plus_exp_neg(x))
    }),
    function("usigmoid", Any, Never, |m, x, _| {
        m.div(m.constant(1.0), m.one_plus_exp_neg(x))
    }),
    with_parameter(
        1.25,
        function("uelu", Any, Never, |m, x, alpha| m.elu(x, alpha)),
    ),
    with_parameter(
        2.5,
        function("upowf", Positive, Never, |m, x, power| {
            m.via_f32(x, ulps::POW, |v| v.powf(power.value))
        }),
    ),
];

/// The arithmetic in which one type's kernels compute.
struct Math {
    /// What operators and half-precision functions round to.
    arith: Arith,
    /// What functions round to that exist for f32 and f64 alone.
    library: Arith,
    /// What the result is converted to, where that is not `arith`'s type.
    store: Option<Arith>,
}

impl Math {
    fn new(dtype: DType, root: &str) -> Self {
        // Candle's vectorized bf16 kernels compute in f32 throughout.
        let vectorized = dtype == DType::Bf16 && matches!(root, "usilu" | "usigmoid");
        let f32 = Arith::new(DType::F32);
        match dtype {
            DType::F8E4M3 => Math {
                arith: f32,
                library: f32,
                store: Some(Arith::new(dtype)),
            },
            DType::Bf16 if vectorized => Math {
                arith: f32,
                library: f32,
                store: Some(Arith::new(dtype)),
            },
            DType::F64 => Math {
                arith: Arith::new(dtype),
                library: Arith::new(dtype),
                store: None,
            },
            _ => Math {
                arith: Arith::new(dtype),
                library: f32,
                store: None,
            },
        }
    }

    fn constant(&self, value: f64) -> Approx {
        self.arith.constant(value)
    }

    fn mul(&self, a: Approx, b: Approx) -> Approx {
        self.arith.mul(a, b)
    }

    fn add(&self, a: Approx, b: Approx) -> Approx {
        self.arith.add(a, b)
    }

    fn div(&self, a: Approx, b: Approx) -> Approx {
        self.arith.div(a, b)
    }

    fn exactly(&self, x: Approx, f: impl Fn(f64) -> f64) -> Approx {
        self.arith.exactly(x, f)
    }

    /// A function that the type has of its own.
    fn native(&self, x: Approx, accuracy: Ulps, f: impl Fn(f64) -> f64) -> Approx {
        self.arith.call(x, accuracy, f)
    }

    /// A function that a 16-bit type borrows from f32.
    fn via_f32(&self, x: Approx, accuracy: Ulps, f: impl Fn(f64) -> f64) -> Approx {
        self.out_of_library(self.library.call(x, accuracy, f))
    }

    fn out_of_library(&self, x: Approx) -> Approx {
        if self.library.dtype() == self.arith.dtype() {
            x
        } else {
            self.arith.convert(x)
        }
    }

    fn exp(&self, x: Approx) -> Approx {
        self.native(x, ulps::EXP, f64::exp)
    }

    fn tanh(&self, x: Approx) -> Approx {
        self.via_f32(x, ulps::TANH, f64::tanh)
    }

    /// The standard normal distribution: half of `erfc(-x / sqrt(2))`.
    fn normcdf(&self, x: Approx) -> Approx {
        let m = &self.library;
        let scaled = m.mul(x, m.constant(-std::f64::consts::FRAC_1_SQRT_2));
        let tail = m.call(scaled, ulps::ERFC, libm::erfc);
        self.out_of_library(m.mul(tail, Approx::exact(0.5)))
    }

    fn gelu(&self, x: Approx) -> Approx {
        use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};
        let cube = self.mul(self.mul(x, x), x);
        let alpha = self.add(x, self.mul(self.constant(0.044715), cube));
        let inner = self.mul(self.constant(FRAC_2_SQRT_PI * FRAC_1_SQRT_2), alpha);
        let outer = self.add(self.constant(1.0), self.tanh(inner));
        self.mul(self.mul(self.constant(0.5), x), outer)
    }

    fn one_plus_exp_neg(&self, x: Approx) -> Approx {
        self.add(self.constant(1.0), self.exp(x.neg()))
    }

    fn elu(&self, x: Approx, alpha: Approx) -> Approx {
        if x.value > 0.0 {
            return x;
        }
        self.mul(alpha, self.add(self.exp(x), self.constant(-1.0)))
    }

    fn stored(&self, x: Approx) -> Approx {
        self.store.map_or(x, |store| store.convert(x))
    }
}

fn one_case(rng: &mut ChaCha8Rng, dtype: DType, function: &Function, view: &Layout) -> Case {
    let count = view.count();
    let input = random(rng, dtype, view.span(), |rng| function.domain.draw(rng));
    let parameter = Array::floats(dtype, function.parameter);
    let math = Math::new(dtype, function.root);
    let p = function.parameter.map_or(0.0, |_| parameter.f64(0));
    let results = (0..count).map(|i| {
        let x = Approx::exact(input.f64(view.offset(i)));
        math.stored((function.evaluate)(&math, x, Approx::exact(p)))
    });
    let exact = match function.exactness {
        Always => true,
        ExceptF16 => dtype != DType::F16,
        Never => false,
    };
    let expected = if exact {
        Expected::Exact(Array::floats(dtype, results.map(|r| r.value)))
    } else {
        Expected::Within {
            dtype,
            elements: results.collect(),
        }
    };
    let args = arguments(view, &input, function.parameter.map(|_| &parameter));
    let output = args.len() - 1;
    Case::new(
        view.describe(),
        Geometry::for_elements(count),
        args,
        output,
        expected,
    )
}

fn copy(rng: &mut ChaCha8Rng, dtype: DType, view: &Layout) -> Case {
    let input = patterns(rng, dtype, view.span());
    let want = input.pick((0..view.count()).map(|i| Some(view.offset(i))));
    let args = arguments(view, &input, None);
    let geometry = Geometry::for_elements(view.count());
    Case::new(view.describe(), geometry, args, 4, Expected::Bits(want))
}

fn arguments(view: &Layout, input: &Array, parameter: Option<&Array>) -> Vec<Arg> {
    let info = match view.name {
        "contiguous" => Arg::Null,
        _ => Arg::sizes(&view.info()),
    };
    let mut args = vec![Arg::size(view.count()), Arg::size(view.dims.len()), info];
    args.extend(parameter.map(Arg::scalar));
    args.push(Arg::input(input));
    args.push(Arg::output(input.dtype, view.count()));
    args
}
