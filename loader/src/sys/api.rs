//! The function table: one field for each function of the library that this crate calls.
//!
//! A function is *required* when nothing works without it; a library that lacks one is refused with its name. An
//! *optional* function is an `Option`: what needs it says [`hipErrorNotSupported`] where it is missing. Each row names
//! the first HIP release that exports the function, which is what an error message tells a user to upgrade to.

#![allow(non_snake_case)]

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};

use super::props::{hipDeviceProp_tR0000, hipDeviceProp_tR0600};
use super::types::*;

/// A row of the function table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// The name as the library exports it.
    pub name: &'static str,
    /// The first HIP release that exports it.
    pub since: &'static str,
    /// Whether a library without it is refused.
    pub required: bool,
}

/// Declares [`Api`], [`SYMBOLS`] and the code that resolves them from one list.
macro_rules! function_table {
    (
        required { $($(#[$rdoc:meta])* $rsince:literal fn $rname:ident($($rarg:ident: $rty:ty),* $(,)?) -> $rret:ty;)* }
        optional { $($(#[$odoc:meta])* $osince:literal fn $oname:ident($($oarg:ident: $oty:ty),* $(,)?) -> $oret:ty;)* }
    ) => {
        /// The functions of a loaded library.
        ///
        /// The fields are plain function pointers: calling one costs an indirect call and nothing else. They stay valid
        /// as long as the library stays loaded, and this crate never unloads a library.
        #[derive(Clone, Copy)]
        pub struct Api {
            $($(#[$rdoc])* pub $rname: unsafe extern "C" fn($($rarg: $rty),*) -> $rret,)*
            $($(#[$odoc])* pub $oname: Option<unsafe extern "C" fn($($oarg: $oty),*) -> $oret>,)*
        }

        /// Every function of [`Api`], in its order.
        pub const SYMBOLS: &[Symbol] = &[
            $(Symbol { name: stringify!($rname), since: $rsince, required: true },)*
            $(Symbol { name: stringify!($oname), since: $osince, required: false },)*
        ];

        impl Api {
            /// Fills the table, and collects the required functions that are not there.
            ///
            /// # Safety
            /// As for [`Api::resolve`].
            unsafe fn resolve_rows(find: &mut impl FnMut(&CStr) -> *mut c_void) -> Result<Self, Vec<Symbol>> {
                let mut missing = Vec::new();
                $(
                    let address = find(c_name!($rname));
                    // SAFETY: `Option` of a function pointer has the layout of a nullable pointer, and the caller
                    // promises that the address is the function of this name, whose type the table has from the header.
                    let $rname: Option<unsafe extern "C" fn($($rarg: $rty),*) -> $rret> = unsafe { std::mem::transmute(address) };
                    if $rname.is_none() {
                        missing.push(Symbol { name: stringify!($rname), since: $rsince, required: true });
                    }
                )*
                $(
                    let address = find(c_name!($oname));
                    // SAFETY: as above.
                    let $oname: Option<unsafe extern "C" fn($($oarg: $oty),*) -> $oret> = unsafe { std::mem::transmute(address) };
                )*
                match ($($rname,)*) {
                    ($(Some($rname),)*) => Ok(Self { $($rname,)* $($oname,)* }),
                    _ => Err(missing),
                }
            }
        }
    };
}

/// The name of a function as a C string.
macro_rules! c_name {
    ($name:ident) => {{
        const NAME: &CStr =
            match CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                Ok(name) => name,
                Err(_) => unreachable!(),
            };
        NAME
    }};
}

impl Api {
    /// Fills the table by asking `find` for every name.
    ///
    /// # Errors
    /// The required functions that `find` did not have. Of the two functions that fill device properties one is enough;
    /// when both are missing, the older is in the list.
    ///
    /// # Safety
    /// What `find` returns for a name is null or the address of the HIP function of that name, and stays valid as long
    /// as the table or a copy of it is used.
    pub unsafe fn resolve(mut find: impl FnMut(&CStr) -> *mut c_void) -> Result<Self, Vec<Symbol>> {
        let properties = [c"hipGetDevicePropertiesR0600", c"hipGetDeviceProperties"];
        let no_properties = properties.iter().all(|name| find(name).is_null());
        // SAFETY: promised by the caller.
        let api = unsafe { Self::resolve_rows(&mut find) };
        if !no_properties {
            return api;
        }
        let mut missing = api.err().unwrap_or_default();
        missing.push(Symbol {
            name: "hipGetDeviceProperties",
            since: "1.6",
            required: true,
        });
        Err(missing)
    }
}

function_table! {
    required {
        /// Initializes the runtime. `flags` is 0.
        "1.6" fn hipInit(flags: c_uint) -> hipError_t;
        /// `HIP_VERSION` of the library: major * 10^7 + minor * 10^5 + patch.
        "1.6" fn hipRuntimeGetVersion(runtimeVersion: *mut c_int) -> hipError_t;
        /// Version of the layer below, counted like the runtime's.
        "1.6" fn hipDriverGetVersion(driverVersion: *mut c_int) -> hipError_t;
        /// The name of an error, a string that lives as long as the library.
        "1.6" fn hipGetErrorName(hip_error: hipError_t) -> *const c_char;
        /// What an error means, a string that lives as long as the library.
        "1.6" fn hipGetErrorString(hipError: hipError_t) -> *const c_char;

        /// How many devices the library can use.
        "1.6" fn hipGetDeviceCount(count: *mut c_int) -> hipError_t;
        /// The calling thread's current device.
        "1.6" fn hipGetDevice(deviceId: *mut c_int) -> hipError_t;
        /// Makes a device the calling thread's current one.
        "1.6" fn hipSetDevice(deviceId: c_int) -> hipError_t;
        /// A figure of a device.
        "1.6" fn hipDeviceGetAttribute(pi: *mut c_int, attr: hipDeviceAttribute_t, deviceId: c_int) -> hipError_t;
        /// The marketing name, written into `len` bytes.
        "1.6" fn hipDeviceGetName(name: *mut c_char, len: c_int, device: hipDevice_t) -> hipError_t;
        /// Bytes of memory.
        "1.6" fn hipDeviceTotalMem(bytes: *mut usize, device: hipDevice_t) -> hipError_t;
        /// Waits for all work of the current device.
        "1.6" fn hipDeviceSynchronize() -> hipError_t;

        /// Free and total bytes of the current device.
        "1.6" fn hipMemGetInfo(free: *mut usize, total: *mut usize) -> hipError_t;
        /// Allocates device memory on the current device.
        "1.6" fn hipMalloc(ptr: *mut *mut c_void, size: usize) -> hipError_t;
        /// Frees device memory, after all work of its device has finished.
        "1.6" fn hipFree(ptr: *mut c_void) -> hipError_t;
        /// Allocates pinned host memory.
        "1.6" fn hipHostMalloc(ptr: *mut *mut c_void, size: usize, flags: c_uint) -> hipError_t;
        /// Frees pinned host memory.
        "1.6" fn hipHostFree(ptr: *mut c_void) -> hipError_t;
        /// Copies bytes in stream order.
        "1.6" fn hipMemcpyAsync(dst: *mut c_void, src: *const c_void, sizeBytes: usize, kind: hipMemcpyKind, stream: hipStream_t) -> hipError_t;
        /// Sets bytes in stream order.
        "1.6" fn hipMemsetAsync(dst: *mut c_void, value: c_int, sizeBytes: usize, stream: hipStream_t) -> hipError_t;

        /// Creates a stream on the current device.
        "1.6" fn hipStreamCreateWithFlags(stream: *mut hipStream_t, flags: c_uint) -> hipError_t;
        /// Destroys a stream, after its work has finished.
        "1.6" fn hipStreamDestroy(stream: hipStream_t) -> hipError_t;
        /// Waits for all work of a stream.
        "1.6" fn hipStreamSynchronize(stream: hipStream_t) -> hipError_t;
        /// `hipErrorNotReady` while a stream has work.
        "1.6" fn hipStreamQuery(stream: hipStream_t) -> hipError_t;
        /// Lets a stream wait for an event. `flags` is 0.
        "1.6" fn hipStreamWaitEvent(stream: hipStream_t, event: hipEvent_t, flags: c_uint) -> hipError_t;

        /// Creates an event on the current device.
        "1.6" fn hipEventCreateWithFlags(event: *mut hipEvent_t, flags: c_uint) -> hipError_t;
        /// Destroys an event.
        "1.6" fn hipEventDestroy(event: hipEvent_t) -> hipError_t;
        /// Puts an event behind the work of a stream.
        "1.6" fn hipEventRecord(event: hipEvent_t, stream: hipStream_t) -> hipError_t;
        /// Waits for an event.
        "1.6" fn hipEventSynchronize(event: hipEvent_t) -> hipError_t;
        /// `hipErrorNotReady` until an event has been reached.
        "1.6" fn hipEventQuery(event: hipEvent_t) -> hipError_t;
        /// Milliseconds between two events.
        "1.6" fn hipEventElapsedTime(ms: *mut f32, start: hipEvent_t, stop: hipEvent_t) -> hipError_t;

        /// Loads a code object on the current device.
        "1.6" fn hipModuleLoadData(module: *mut hipModule_t, image: *const c_void) -> hipError_t;
        /// Unloads a code object.
        "1.6" fn hipModuleUnload(module: hipModule_t) -> hipError_t;
        /// Finds a kernel by its name.
        "1.6" fn hipModuleGetFunction(function: *mut hipFunction_t, module: hipModule_t, kname: *const c_char) -> hipError_t;
        /// Launches a kernel. Grid dimensions count blocks, block dimensions count work-items.
        "1.6" fn hipModuleLaunchKernel(f: hipFunction_t, gridDimX: c_uint, gridDimY: c_uint, gridDimZ: c_uint, blockDimX: c_uint, blockDimY: c_uint, blockDimZ: c_uint, sharedMemBytes: c_uint, stream: hipStream_t, kernelParams: *mut *mut c_void, extra: *mut *mut c_void) -> hipError_t;
    }
    optional {
        /// Properties in the layout of HIP 6.
        "6.0" fn hipGetDevicePropertiesR0600(prop: *mut hipDeviceProp_tR0600, deviceId: c_int) -> hipError_t;
        /// Properties in the layout of HIP 5.
        "1.6" fn hipGetDeviceProperties(prop: *mut hipDeviceProp_tR0000, deviceId: c_int) -> hipError_t;
        /// The PCI address as `0000:03:00.0`.
        "1.6" fn hipDeviceGetPCIBusId(pciBusId: *mut c_char, len: c_int, device: c_int) -> hipError_t;
        /// 16 bytes that name the device.
        "5.2" fn hipDeviceGetUuid(uuid: *mut hipUUID, device: hipDevice_t) -> hipError_t;
        /// Whether one device can reach another's memory.
        "1.6" fn hipDeviceCanAccessPeer(canAccessPeer: *mut c_int, deviceId: c_int, peerDeviceId: c_int) -> hipError_t;
        /// Lets the current device reach another's memory. `flags` is 0.
        "1.6" fn hipDeviceEnablePeerAccess(peerDeviceId: c_int, flags: c_uint) -> hipError_t;
        /// Takes that back.
        "1.6" fn hipDeviceDisablePeerAccess(peerDeviceId: c_int) -> hipError_t;
        /// Copies between devices.
        "1.6" fn hipMemcpyPeerAsync(dst: *mut c_void, dstDeviceId: c_int, src: *const c_void, srcDevice: c_int, sizeBytes: usize, stream: hipStream_t) -> hipError_t;
        /// Sets 32-bit words in stream order.
        "2.10" fn hipMemsetD32Async(dst: hipDeviceptr_t, value: c_int, count: usize, stream: hipStream_t) -> hipError_t;

        /// The priorities that streams can have; a smaller number is served first.
        "2.0" fn hipDeviceGetStreamPriorityRange(leastPriority: *mut c_int, greatestPriority: *mut c_int) -> hipError_t;
        /// Creates a stream with a priority.
        "2.0" fn hipStreamCreateWithPriority(stream: *mut hipStream_t, flags: c_uint, priority: c_int) -> hipError_t;
        /// The priority of a stream.
        "2.0" fn hipStreamGetPriority(stream: hipStream_t, priority: *mut c_int) -> hipError_t;
        /// The device of a stream.
        "5.6" fn hipStreamGetDevice(stream: hipStream_t, device: *mut hipDevice_t) -> hipError_t;
        /// Runs a host function in stream order.
        "5.3" fn hipLaunchHostFunc(stream: hipStream_t, fn_: hipHostFn_t, userData: *mut c_void) -> hipError_t;
        /// The older form. `flags` is 0.
        "1.6" fn hipStreamAddCallback(stream: hipStream_t, callback: hipStreamCallback_t, userData: *mut c_void, flags: c_uint) -> hipError_t;

        /// Allocates device memory in stream order.
        "5.2" fn hipMallocAsync(dev_ptr: *mut *mut c_void, size: usize, stream: hipStream_t) -> hipError_t;
        /// Frees what `hipMallocAsync` gave, in stream order.
        "5.2" fn hipFreeAsync(dev_ptr: *mut c_void, stream: hipStream_t) -> hipError_t;
        /// The pool that `hipMallocAsync` uses on a device.
        "5.2" fn hipDeviceGetDefaultMemPool(mem_pool: *mut hipMemPool_t, device: c_int) -> hipError_t;
        /// Gives memory of a pool back to the system.
        "5.2" fn hipMemPoolTrimTo(mem_pool: hipMemPool_t, min_bytes_to_hold: usize) -> hipError_t;
        /// Reads an attribute of a pool.
        "5.2" fn hipMemPoolGetAttribute(mem_pool: hipMemPool_t, attr: hipMemPoolAttr, value: *mut c_void) -> hipError_t;
        /// Writes an attribute of a pool.
        "5.2" fn hipMemPoolSetAttribute(mem_pool: hipMemPool_t, attr: hipMemPoolAttr, value: *mut c_void) -> hipError_t;

        /// Finds a device variable by its name.
        "1.6" fn hipModuleGetGlobal(dptr: *mut hipDeviceptr_t, bytes: *mut usize, hmod: hipModule_t, name: *const c_char) -> hipError_t;
        /// A figure of a kernel.
        "2.10" fn hipFuncGetAttribute(value: *mut c_int, attrib: hipFunction_attribute, hfunc: hipFunction_t) -> hipError_t;
        /// The grid and block that fill the device.
        "3.5" fn hipModuleOccupancyMaxPotentialBlockSize(gridSize: *mut c_int, blockSize: *mut c_int, f: hipFunction_t, dynSharedMemPerBlk: usize, blockSizeLimit: c_int) -> hipError_t;
        /// How many blocks a multiprocessor holds.
        "3.5" fn hipModuleOccupancyMaxActiveBlocksPerMultiprocessor(numBlocks: *mut c_int, f: hipFunction_t, blockSize: c_int, dynSharedMemPerBlk: usize) -> hipError_t;

        /// Starts recording a stream's work instead of running it.
        "4.3" fn hipStreamBeginCapture(stream: hipStream_t, mode: hipStreamCaptureMode) -> hipError_t;
        /// Ends the recording.
        "4.3" fn hipStreamEndCapture(stream: hipStream_t, pGraph: *mut hipGraph_t) -> hipError_t;
        /// Whether a stream is recording.
        "5.0" fn hipStreamIsCapturing(stream: hipStream_t, pCaptureStatus: *mut hipStreamCaptureStatus) -> hipError_t;
        /// Makes a graph ready to be launched.
        "4.3" fn hipGraphInstantiate(pGraphExec: *mut hipGraphExec_t, graph: hipGraph_t, pErrorNode: *mut hipGraphNode_t, pLogBuffer: *mut c_char, bufferSize: usize) -> hipError_t;
        /// Launches a graph.
        "4.3" fn hipGraphLaunch(graphExec: hipGraphExec_t, stream: hipStream_t) -> hipError_t;
        /// The nodes of a graph, or their number where `nodes` is null.
        "5.0" fn hipGraphGetNodes(graph: hipGraph_t, nodes: *mut hipGraphNode_t, numNodes: *mut usize) -> hipError_t;
        /// Destroys a graph.
        "4.3" fn hipGraphDestroy(graph: hipGraph_t) -> hipError_t;
        /// Destroys a graph that was made ready.
        "4.3" fn hipGraphExecDestroy(graphExec: hipGraphExec_t) -> hipError_t;
    }
}
