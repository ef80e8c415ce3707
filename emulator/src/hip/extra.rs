//! What this library offers beside HIP: counts of what is alive, and failures on demand.
//!
//! These functions are for tests of clients. In C:
//!
//! ```c
//! struct amdgpuEmulatorStats {
//!     uint64_t size;             // in: sizeof(struct amdgpuEmulatorStats); older libraries fill only what they know
//!     uint64_t allocations;      // live allocations of hipMalloc and its relatives, registered memory included
//!     uint64_t allocated_bytes;  // bytes in those of them that are device memory
//!     uint64_t modules;          // modules that were loaded and not unloaded
//!     uint64_t streams;          // streams that were created and not destroyed
//!     uint64_t events;
//!     uint64_t graphs;
//!     uint64_t graph_execs;
//!     uint64_t memory_pools;     // pools that were created; default pools do not count
//!     uint64_t user_objects;
//!     uint64_t launches;         // kernels that were launched since the start
//!     uint64_t calls;            // calls of HIP functions since the start
//! };
//! int amdgpuEmulatorGetStats(struct amdgpuEmulatorStats *stats);
//!
//! // The nth call of `function` from now (1 is the next) fails with `error`; "*" is any function that can fail.
//! int amdgpuEmulatorFailNext(const char *function, uint64_t n, int error);
//! // As above, but the call does its work first, as if earlier asynchronous work had failed.
//! int amdgpuEmulatorFailAfter(const char *function, uint64_t n, int error);
//! // Forgets all of these, and says how many had not happened yet.
//! uint64_t amdgpuEmulatorFailClear(void);
//! // How many have not happened yet.
//! uint64_t amdgpuEmulatorFailPending(void);
//! ```
//!
//! The functions that return `int` return a `hipError_t` and leave the last error alone.

use std::ffi::c_int;
use std::sync::atomic::{AtomicU64, Ordering};

use super::call::hip_api;
use super::device::Device;
use super::ffi::{Out, Text};
use super::inject::{self, Rule};
use super::runtime::get;
use super::status::{Code, Outcome};
use crate::memory::AllocKind;

/// Kernels that were launched since the start.
pub static LAUNCHES: AtomicU64 = AtomicU64::new(0);
/// Calls of functions that return a status, since the start.
pub static CALLS: AtomicU64 = AtomicU64::new(0);

/// The fields of `struct amdgpuEmulatorStats` behind `size`, in their order.
fn stats() -> [u64; 11] {
    let runtime = get();
    let kinds = [
        AllocKind::Device,
        AllocKind::Pinned,
        AllocKind::Registered,
        AllocKind::Managed,
    ];
    let on_device = [AllocKind::Device, AllocKind::Managed];
    let map = runtime.memory.snapshot();
    let bytes = map
        .iter()
        .filter(|alloc| on_device.contains(&alloc.kind))
        .map(|alloc| alloc.size);
    // Default pools are in the registry once they were used.
    let is_default = |device: &&Device| runtime.pools.get(device.default_pool).is_ok();
    let default_pools = runtime.devices.iter().filter(is_default).count();
    [
        map.iter()
            .filter(|alloc| kinds.contains(&alloc.kind))
            .count() as u64,
        bytes.sum(),
        runtime.modules.len() as u64,
        runtime.streams.len() as u64,
        runtime.events.len() as u64,
        runtime.graphs.len() as u64,
        runtime.graph_execs.len() as u64,
        (runtime.pools.len() - default_pools) as u64,
        runtime.user_objects.len() as u64,
        LAUNCHES.load(Ordering::Relaxed),
        CALLS.load(Ordering::Relaxed),
    ]
}

fn fail(function: Text, count: u64, error: c_int, after: bool) -> Outcome<Code> {
    let function = function.get()?.to_owned();
    let error = Code(error);
    if count == 0 || function.is_empty() || error == Code::Success || !error.is_known() {
        return Err(
            Code::InvalidValue.because(format!("{function}, call {count}, error {}", error.0))
        );
    }
    inject::add(Rule {
        function,
        count,
        error,
        after,
    });
    Ok(Code::Success)
}

hip_api! {
    fn amdgpuEmulatorGetStats(place: Out<u64>) -> Code, otherwise Code::InvalidValue, {
        let room = place.get()?;
        let stats = stats();
        let known = (room / 8).min(1 + stats.len() as u64) as usize;
        if known == 0 {
            return Err(Code::InvalidValue.because(format!("a structure of {room} bytes")));
        }
        // The size tells the client how much was filled.
        let mut fields = vec![known as u64 * 8];
        fields.extend(&stats[..known - 1]);
        place.set_all(&fields)?;
        Ok(Code::Success)
    }

    fn amdgpuEmulatorFailNext(function: Text, n: u64, error: c_int) -> Code, otherwise Code::InvalidValue, {
        fail(function, n, error, false)
    }

    fn amdgpuEmulatorFailAfter(function: Text, n: u64, error: c_int) -> Code, otherwise Code::InvalidValue, {
        fail(function, n, error, true)
    }

    fn amdgpuEmulatorFailClear() -> u64, otherwise 0, {
        Ok(inject::clear() as u64)
    }

    fn amdgpuEmulatorFailPending() -> u64, otherwise 0, {
        Ok(inject::pending() as u64)
    }
}
