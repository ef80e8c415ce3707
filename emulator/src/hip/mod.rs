//! The HIP C ABI: what a client of `libamdhip64.so` sees.
//!
//! A call comes in through [`call`], which every exported function passes. Parameters are checked in [`ffi`], objects are
//! found in registries by handles that are never dereferenced, and what is asked for becomes [`work`] on a [`stream`].
//! The [`runtime`] holds the state of the process and says which environment variables there are; [`log`], [`inject`],
//! [`observe`] and [`extra`] are what the library offers beside HIP.
//!
//! Names, numbers and layouts are those of the headers of HIP 5.7 and 6.4 ([`types`], [`status`]). This part knows nothing
//! of instructions: kernels are run by [`execute`].

#![expect(
    non_snake_case,
    reason = "functions and parameters are spelled as in the HIP headers"
)]

mod alloc;
mod call;
mod capture;
mod cards;
mod context;
mod copy;
mod device;
mod event;
mod execute;
mod extra;
mod fatbin;
pub mod ffi;
mod function;
mod graph;
mod graph_exec;
mod graph_nodes;
mod hostcall;
mod inject;
mod kernel;
mod launch;
mod log;
mod memset;
mod module;
mod observe;
mod pool;
mod printf;
mod properties;
mod registry;
mod runtime;
pub mod status;
mod stream;
mod symbol;
mod transfer;
pub mod types;
mod unsupported;
mod user_object;
mod version;
mod work;
