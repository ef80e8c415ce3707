//! What streams execute and graphs consist of.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::alloc;
use super::device::Device;
use super::event::Event;
use super::ffi::StreamHandle;
use super::graph::Graph;
use super::kernel::KernelLaunch;
use super::runtime::get;
use super::status::{Code, Outcome};
use super::transfer::{Copy, Fill};
use crate::memory::AllocKind;

/// A function of the client with what it is given.
#[derive(Debug, Clone, Copy)]
pub enum HostCall {
    /// `hipLaunchHostFunc`.
    Function(unsafe extern "C" fn(*mut std::ffi::c_void), usize),
    /// `hipStreamAddCallback`.
    Callback(
        unsafe extern "C" fn(StreamHandle, i32, *mut std::ffi::c_void),
        StreamHandle,
        usize,
    ),
}

impl HostCall {
    fn call(self) {
        match self {
            // SAFETY: the client gave the function together with what it is to be called with.
            Self::Function(function, data) => unsafe { function(data as *mut std::ffi::c_void) },
            // SAFETY: as above.
            Self::Callback(function, stream, data) => unsafe {
                function(stream, Code::Success.0, data as *mut std::ffi::c_void);
            },
        }
    }
}

/// Memory that a graph owns: made with the node, gone with the last graph that has it.
#[derive(Debug)]
pub struct GraphMemory {
    /// The first address.
    pub address: u64,
    /// The size in bytes.
    pub size: u64,
    /// The number of the allocation.
    id: u64,
}

/// The numbers of the allocations that graphs own.
static OWNED: Mutex<BTreeSet<u64>> = Mutex::new(BTreeSet::new());

fn owned() -> MutexGuard<'static, BTreeSet<u64>> {
    OWNED.lock().unwrap_or_else(PoisonError::into_inner)
}

impl GraphMemory {
    /// Makes an allocation that is freed with the last graph that has it.
    ///
    /// # Errors
    /// `hipErrorOutOfMemory`.
    pub fn allocate(device: u32, size: u64) -> Outcome<Arc<Self>> {
        let address = alloc::allocate(device, size, AllocKind::Device, 0)?;
        let id = get().memory.find(address).map_or(0, |alloc| alloc.id);
        owned().insert(id);
        Ok(Arc::new(Self { address, size, id }))
    }
}

impl Drop for GraphMemory {
    fn drop(&mut self) {
        owned().remove(&self.id);
        // It is gone already if the client freed it or reset the device.
        let _ = get()
            .memory
            .free_if(self.address, |alloc| alloc.id == self.id);
    }
}

/// A piece of work.
#[derive(Clone)]
pub enum Work {
    /// Nothing: a place where other work meets.
    Empty,
    /// A kernel.
    Kernel(Box<KernelLaunch>),
    /// A copy.
    Copy(Copy),
    /// A fill.
    Fill(Fill),
    /// A function of the client.
    Host(HostCall),
    /// The recording of an event.
    Record(Arc<Event>),
    /// The wait for an event, which has happened when it is this work's turn.
    Wait(Arc<Event>),
    /// A value of `size` bytes, 4 or 8, that is written to an aligned address.
    Write {
        /// The address, inside of an allocation.
        address: u64,
        /// The value.
        value: u64,
        /// Its size.
        size: u64,
    },
    /// Memory that the graph allocates. It is there as long as the graph is.
    Allocate(Arc<GraphMemory>),
    /// The freeing of memory. What a graph owns stays until the graph is gone.
    Free(u64),
    /// A graph inside of a graph.
    Child(Arc<Graph>),
}

impl Work {
    /// Executes it.
    ///
    /// # Errors
    /// That of the kernel's fault, or of memory that is not there any more.
    pub fn execute(&self, device: &Device) -> Outcome {
        match self {
            Self::Empty | Self::Wait(_) | Self::Allocate(_) => Ok(()),
            Self::Free(address) => free(*address),
            Self::Kernel(launch) => launch.execute(device),
            Self::Copy(copy) => copy.execute(),
            Self::Fill(fill) => fill.execute(),
            Self::Host(call) => {
                call.call();
                Ok(())
            }
            Self::Record(event) => {
                event.happen();
                Ok(())
            }
            Self::Write {
                address,
                value,
                size,
            } => write_value(*address, *value, *size),
            Self::Child(graph) => graph.plan()?.execute(device),
        }
    }
}

/// `hipGraphNodeTypeGraph`.
pub const CHILD_NODE: i32 = 4;

impl Work {
    /// The `hipGraphNodeType` of a node with this work.
    pub fn node_type(&self) -> i32 {
        match self {
            Self::Kernel(_) => 0,
            Self::Copy(_) => 1,
            Self::Fill(_) => 2,
            Self::Host(_) => 3,
            Self::Child(_) => CHILD_NODE,
            Self::Empty => 5,
            Self::Wait(_) => 6,
            Self::Record(_) => 7,
            Self::Allocate(_) => 10,
            Self::Free(_) => 11,
            Self::Write { .. } => 14,
        }
    }

    /// A few words for a drawing.
    pub fn describe(&self) -> String {
        match self {
            Self::Kernel(launch) => launch.function.kernel().name.clone(),
            Self::Copy(copy) => format!(
                "copy {} bytes",
                copy.size.width * copy.size.height * copy.size.depth
            ),
            Self::Fill(fill) => format!(
                "fill {} bytes",
                fill.size.width * fill.size.height * fill.size.depth
            ),
            Self::Host(_) => "host function".to_owned(),
            Self::Child(_) => "graph".to_owned(),
            Self::Empty => "empty".to_owned(),
            Self::Wait(_) => "wait for an event".to_owned(),
            Self::Record(_) => "record an event".to_owned(),
            Self::Allocate(memory) => format!("allocate {} bytes", memory.size),
            Self::Free(address) => format!("free {address:#x}"),
            Self::Write { size, .. } => format!("write {size} bytes"),
        }
    }
}

fn free(address: u64) -> Outcome {
    let is_owned = get()
        .memory
        .find(address)
        .is_some_and(|alloc| owned().contains(&alloc.id));
    if is_owned {
        return Ok(());
    }
    alloc::free(address, &[AllocKind::Device, AllocKind::Managed])
}

fn write_value(address: u64, value: u64, size: u64) -> Outcome {
    use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
    let memory = &get().memory;
    let _in_flight = memory.in_flight();
    if memory.snapshot().find_range(address, size).is_none() {
        return Err(Code::InvalidValue.because(format!("{address:#x} was freed")));
    }
    memory.mark_written(address, size);
    // SAFETY: the allocation has these bytes, cannot go away meanwhile, and the address was checked to be aligned.
    unsafe {
        match size {
            4 => (*(address as *const AtomicU32)).store(value as u32, Ordering::Release),
            _ => (*(address as *const AtomicU64)).store(value, Ordering::Release),
        }
    }
    Ok(())
}
