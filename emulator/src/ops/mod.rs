//! What instructions mean.
//!
//! Lane-wise meanings are in [`int`], [`float`], [`convert`], [`compare`] and [`dot`], scalar ones in [`scalar`]; each is
//! written once, as a function of one lane's or one wave's values. [`vector`] fetches their operands and delivers their
//! results. [`control`], [`cross`], [`matrix`] and [`memory`] hold the operations that are more than that. [`names`] says
//! which instruction of which family has which meaning.

pub mod compare;
pub mod control;
pub mod convert;
pub mod cross;
pub mod dot;
pub mod float;
pub mod fp8;
pub mod int;
pub mod matrix;
pub mod memory;
pub mod memory_names;
pub mod names;
pub mod scalar;
pub mod vector;
