//! What each family of kernels is held against: a table from symbols to the cases that check them.
//!
//! One file a module of candle-kernels. Each has one function that recognises the module's symbols and plans their
//! checks; the plans are pure data, made from a seeded random generator. Shapes, argument orders and launch
//! configurations are those of candle-core's CUDA backend (`cuda_backend/mod.rs`, `sort.rs`) and candle-nn's
//! (`ops.rs`, `rotary_emb.rs`).

mod affine;
mod binary;
mod cast;
mod conv;
mod fill;
mod indexing;
mod layout;
mod norm;
mod quantized;
mod reduce;
mod sort;
mod ternary;
mod unary;

use rand_chacha::ChaCha8Rng;

use crate::case::Case;
use crate::golden::{Golden, GoldenError};

/// What the cases of a kernel are made from.
pub(crate) struct Material<'a> {
    /// Seeded for this kernel alone, so that a kernel's data doesn't depend on which others run.
    pub(crate) rng: ChaCha8Rng,
    /// Recorded outputs of the CUDA kernels.
    pub(crate) golden: &'a Golden,
}

type MakeCases = Box<dyn Fn(&mut Material) -> Result<Vec<Case>, GoldenError>>;

/// How one kernel is checked.
pub(crate) struct Plan {
    /// Row and column of the kernel in the report's table.
    pub(crate) family: String,
    pub(crate) variant: String,
    pub(crate) cases: MakeCases,
}

impl Plan {
    fn new(
        family: impl Into<String>,
        variant: impl Into<String>,
        cases: impl Fn(&mut ChaCha8Rng) -> Vec<Case> + 'static,
    ) -> Self {
        Plan {
            family: family.into(),
            variant: variant.into(),
            cases: Box::new(move |material| Ok(cases(&mut material.rng))),
        }
    }
}

/// Each recognises the symbols of one module of candle-kernels.
const PLANNERS: &[fn(&str) -> Option<Plan>] = &[
    quantized::plan,
    affine::plan,
    binary::plan,
    cast::plan,
    conv::plan,
    fill::plan,
    indexing::plan,
    norm::plan,
    reduce::plan,
    sort::plan,
    ternary::plan,
    unary::plan,
];

/// The checks of the kernel `symbol`, if there are any.
pub(crate) fn plan(symbol: &str) -> Option<Plan> {
    PLANNERS.iter().find_map(|planner| planner(symbol))
}
