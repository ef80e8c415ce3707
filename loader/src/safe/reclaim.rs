//! Giving back what the library made.
//!
//! Every handle that the crate owns ends in [`Resource::dispose`]. A destructor cannot report an error, and must not lose
//! what could not be given back. So a release that fails is tried once more at once. If the library then does not know the
//! handle, the first attempt did its work and reported an error of something else, as a runtime may whose earlier
//! asynchronous work failed. If it fails in another way, the handle goes to the device's list, from which the next
//! synchronization, the next allocation that fails, and the device's own end try again.

use crate::result::{self, ErrorKind, HipError};
use crate::sys::{
    Api, hipDeviceptr_t, hipEvent_t, hipGraph_t, hipGraphExec_t, hipModule_t, hipStream_t,
};

/// Something that the library made and that only its owner holds.
#[derive(Debug)]
pub(crate) enum Resource {
    /// From `hipMalloc`, or from `hipMallocAsync` with no work left that uses it.
    Memory(hipDeviceptr_t),
    /// From `hipMallocAsync`; to be freed in the order of the stream.
    PoolMemory(hipDeviceptr_t, hipStream_t),
    /// From `hipHostMalloc`, with no work left that uses it.
    Pinned(hipDeviceptr_t),
    /// From a `hipStreamCreate` function.
    Stream(hipStream_t),
    /// From `hipEventCreateWithFlags`.
    Event(hipEvent_t),
    /// From `hipModuleLoadData`.
    Module(hipModule_t),
    /// From `hipStreamEndCapture`.
    Graph(hipGraph_t),
    /// From `hipGraphInstantiate`.
    GraphExec(hipGraphExec_t),
}

// SAFETY: the handles are names of objects inside the library, which may be used from any thread; a resource is only
// ever released.
unsafe impl Send for Resource {}

impl Resource {
    /// Gives the resource back to the library, or itself if that is still to be done.
    pub(crate) fn dispose(self, api: &Api) -> Result<(), (Self, HipError)> {
        // SAFETY: the owner gave the resource up, and a failure says that it is still there.
        if unsafe { self.release(api) }.is_ok() {
            return Ok(());
        }
        let again = self.for_retry();
        // SAFETY: as above; the library tells a handle apart that it does not know any more.
        match unsafe { again.release(api) } {
            Err(error) if error.kind() != ErrorKind::InvalidArgument => Err((again, error)),
            _ => Ok(()),
        }
    }

    /// # Safety
    /// The resource is not used again if this succeeds.
    unsafe fn release(&self, api: &Api) -> Result<(), HipError> {
        // SAFETY: each handle came from the function that its variant names, and the caller gives it up.
        unsafe {
            match *self {
                Self::Memory(address) => result::mem::free(api, address),
                Self::PoolMemory(address, stream) => result::mem::free_async(api, address, stream),
                Self::Pinned(address) => result::mem::host_free(api, address),
                Self::Stream(stream) => result::stream::destroy(api, stream),
                Self::Event(event) => result::event::destroy(api, event),
                Self::Module(module) => result::module::unload(api, module),
                Self::Graph(graph) => result::graph::destroy(api, graph),
                Self::GraphExec(exec) => result::graph::exec_destroy(api, exec),
            }
        }
    }

    /// What is left to do after a failure. The stream of pool memory may be gone when it is tried again; `hipFree` takes
    /// memory of a pool as well, and waits for the device.
    fn for_retry(self) -> Self {
        match self {
            Self::PoolMemory(address, _) => Self::Memory(address),
            other => other,
        }
    }
}
