//! The raw binding: types, the function table, and the search for the library.
//!
//! Nothing here checks anything. Names are those of `hip/hip_runtime_api.h`, so that the header's documentation applies
//! word for word. [`crate::result`] turns the answers into `Result`s, [`crate::safe`] owns what these functions make.

#![allow(non_camel_case_types, non_snake_case)]

mod api;
mod library;
mod props;
mod types;

pub use api::{Api, SYMBOLS, Symbol};
pub use library::{
    Attempt, Candidate, LIBRARY_VARIABLE, Library, LoadError, NAMES, Origin, UNIX_NAMES,
    WINDOWS_NAMES, candidates,
};
pub use props::{PROPERTY_SLACK, hipDeviceProp_tR0000, hipDeviceProp_tR0600};
pub use types::*;
