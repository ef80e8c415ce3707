//! What this library offers beside HIP: counts of what is alive, failures on demand, what the memory checker found, and counts
//! of executed instructions.
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
//!
//! // The memory checker's mode: "off", "warn" or "error". Memory allocated while it was off is not watched.
//! int amdgpuEmulatorSetCheck(const char *mode);
//! // What the checker found and what stopped launches since the last call: paragraphs of text with a zero at the end. Returns
//! // their length without it. If that is `size` or more, nothing is written and the reports are kept.
//! uint64_t amdgpuEmulatorTakeReports(char *buffer, uint64_t size);
//! // Whether executed instructions are counted, by class.
//! int amdgpuEmulatorSetStats(int counting);
//! // The counts since the last call, as JSON: [{"arch", "kernel", "launches", "waves", "instructions", "classes": {"salu":
//! // N, "branch", "control", "valu", "float", "dot", "matrix", "cross_lane", "smem", "global", "lds", "scratch", "atomic"}}].
//! // A wave that executes an instruction counts 1, whatever its lanes. Returns as amdgpuEmulatorTakeReports does.
//! uint64_t amdgpuEmulatorTakeStats(char *buffer, uint64_t size);
//! ```
//!
//! The functions that return `int` return a `hipError_t` and leave the last error alone.

use std::ffi::{c_char, c_int};
use std::sync::atomic::{AtomicU64, Ordering};

use super::call::hip_api;
use super::device::Device;
use super::ffi::{Out, Text};
use super::inject::{self, Rule};
use super::observe;
use super::runtime::get;
use super::status::{Code, Outcome};
use crate::check::Mode;
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

/// Gives a client the text that `take` has for a buffer of `size` bytes; returns its length.
fn give(buffer: Out<c_char>, size: u64, take: fn(u64) -> (u64, Option<String>)) -> Outcome<u64> {
    let room = if buffer.is_null() { 0 } else { size };
    let (len, text) = take(room);
    if let Some(text) = text {
        let bytes: Vec<c_char> = text.bytes().chain([0]).map(|byte| byte as c_char).collect();
        buffer.set_all(&bytes)?;
    }
    Ok(len)
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

    fn amdgpuEmulatorSetCheck(mode: Text) -> Code, otherwise Code::InvalidValue, {
        let name = mode.get()?;
        let mode = Mode::parse(name);
        observe::set_mode(mode.ok_or_else(|| Code::InvalidValue.because(format!("no mode `{name}`")))?);
        Ok(Code::Success)
    }

    fn amdgpuEmulatorTakeReports(buffer: Out<c_char>, size: u64) -> u64, otherwise 0, {
        give(buffer, size, observe::take_reports)
    }

    fn amdgpuEmulatorSetStats(counting: c_int) -> Code, otherwise Code::InvalidValue, {
        observe::set_counting(counting != 0);
        Ok(Code::Success)
    }

    fn amdgpuEmulatorTakeStats(buffer: Out<c_char>, size: u64) -> u64, otherwise 0, {
        give(buffer, size, observe::take_counts)
    }
}
