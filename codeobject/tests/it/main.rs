//! Tests on what real compilers write, and on bytes that nobody should have written.

mod common;
mod hostile;
mod lines;
mod notes;
mod occupancy;
mod real;
mod tables;
