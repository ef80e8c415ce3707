//! Types and constants of `hip/hip_runtime_api.h`, spelled as the header spells them.
//!
//! C enumerations are integers in a newtype, not Rust enums: a library may answer with a value that this crate has never
//! heard of, and such an answer must be an ordinary value. The figures are the same in HIP 5.0 to 7.0 unless a comment
//! says otherwise.

#![allow(non_upper_case_globals)]

use std::ffi::{c_char, c_int, c_uint, c_void};
use std::fmt;

/// Declares opaque handle types: `hipStream_t` is a pointer to a structure nobody outside the runtime can see.
macro_rules! handles {
    ($($(#[$doc:meta])* $opaque:ident => $handle:ident;)*) => {$(
        #[doc = concat!("What a [`", stringify!($handle), "`] points to.")]
        #[repr(C)]
        pub struct $opaque {
            _opaque: [u8; 0],
            _not_send_sync_unpin: std::marker::PhantomData<(*mut u8, std::marker::PhantomPinned)>,
        }
        $(#[$doc])*
        pub type $handle = *mut $opaque;
    )*};
}

handles! {
    /// A queue of work on one device.
    ihipStream_t => hipStream_t;
    /// A marker in a stream.
    ihipEvent_t => hipEvent_t;
    /// A code object loaded on one device.
    ihipModule_t => hipModule_t;
    /// A kernel of a loaded code object.
    ihipModuleSymbol_t => hipFunction_t;
    /// A pool that `hipMallocAsync` takes memory from.
    ihipMemPoolHandle_t => hipMemPool_t;
    /// A graph of operations, as captured.
    ihipGraph => hipGraph_t;
    /// A node of a graph.
    hipGraphNode => hipGraphNode_t;
    /// A graph made ready to be launched.
    hipGraphExec => hipGraphExec_t;
}

/// An address in device memory.
pub type hipDeviceptr_t = *mut c_void;
/// The ordinal of a device, from 0.
pub type hipDevice_t = c_int;

/// The null stream: work on it is ordered with every stream that was not created with [`hipStreamNonBlocking`].
pub const hipStreamLegacy: hipStream_t = std::ptr::null_mut();
/// The calling thread's own default stream.
pub const hipStreamPerThread: hipStream_t = std::ptr::without_provenance_mut(2);

/// `hipStreamCreateWithFlags`: ordered with the null stream.
pub const hipStreamDefault: c_uint = 0;
/// `hipStreamCreateWithFlags`: not ordered with the null stream.
pub const hipStreamNonBlocking: c_uint = 1;

/// `hipEventCreateWithFlags`: records the time, waits by spinning.
pub const hipEventDefault: c_uint = 0;
/// `hipEventCreateWithFlags`: a waiting thread sleeps.
pub const hipEventBlockingSync: c_uint = 1;
/// `hipEventCreateWithFlags`: records no time, which makes it cheaper.
pub const hipEventDisableTiming: c_uint = 2;

/// `hipHostMalloc`: pinned for the current device.
pub const hipHostMallocDefault: c_uint = 0;
/// `hipHostMalloc`: pinned for every device.
pub const hipHostMallocPortable: c_uint = 1;

/// A function to be run by the runtime when a stream reaches it.
pub type hipHostFn_t = unsafe extern "C" fn(userData: *mut c_void);
/// The older form of [`hipHostFn_t`], which also learns the stream's status.
pub type hipStreamCallback_t =
    unsafe extern "C" fn(stream: hipStream_t, status: hipError_t, userData: *mut c_void);

/// 16 bytes that name a device. On AMD devices they are ASCII characters of the serial number.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct hipUUID {
    /// The bytes as the runtime gives them.
    pub bytes: [c_char; 16],
}

/// Declares an integer newtype for a C enumeration, with the values that this crate gives or looks for.
macro_rules! enumeration {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $value:ident = $number:expr,)* }) => {
        $(#[$doc])*
        #[repr(transparent)]
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        pub struct $name(pub c_int);

        $($(#[$vdoc])* pub const $value: $name = $name($number);)*

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match *self {
                    $($value => f.write_str(stringify!($value)),)*
                    Self(other) => write!(f, concat!(stringify!($name), "({})"), other),
                }
            }
        }
    };
}

enumeration! {
    /// The answer of nearly every function. Zero is success.
    #[must_use]
    hipError_t {
        /// No error.
        hipSuccess = 0,
        /// An argument is out of the range that the function takes.
        hipErrorInvalidValue = 1,
        /// There is not enough memory.
        hipErrorOutOfMemory = 2,
        /// The runtime could not be initialized.
        hipErrorNotInitialized = 3,
        /// The runtime is shutting down.
        hipErrorDeinitialized = 4,
        /// The grid or the block of a launch is not possible on the device.
        hipErrorInvalidConfiguration = 9,
        /// A symbol is not in the module.
        hipErrorInvalidSymbol = 13,
        /// A pointer is not one of the device's.
        hipErrorInvalidDevicePointer = 17,
        /// The direction of a copy does not fit its pointers.
        hipErrorInvalidMemcpyDirection = 21,
        /// The kernel driver is older than the library needs.
        hipErrorInsufficientDriver = 35,
        /// A launch before this one failed.
        hipErrorPriorLaunchFailure = 53,
        /// The device has no code for the function.
        hipErrorInvalidDeviceFunction = 98,
        /// The machine has no device that the library can use.
        hipErrorNoDevice = 100,
        /// There is no device with this ordinal.
        hipErrorInvalidDevice = 101,
        /// The bytes are no code object.
        hipErrorInvalidImage = 200,
        /// The current context is not valid.
        hipErrorInvalidContext = 201,
        /// The image has no code object for the device.
        hipErrorNoBinaryForGpu = 209,
        /// Memory failed with an error that ECC could not correct.
        hipErrorECCNotCorrectable = 214,
        /// The devices cannot reach each other's memory.
        hipErrorPeerAccessUnsupported = 217,
        /// A handle is not valid.
        hipErrorInvalidHandle = 400,
        /// The object is in a state that does not allow the call.
        hipErrorIllegalState = 401,
        /// What was named is not there.
        hipErrorNotFound = 500,
        /// Work is still going on. Not a failure for a query.
        hipErrorNotReady = 600,
        /// A kernel touched memory that it may not touch. The device needs a new process.
        hipErrorIllegalAddress = 700,
        /// The launch needs more registers or LDS than there are.
        hipErrorLaunchOutOfResources = 701,
        /// A kernel ran too long.
        hipErrorLaunchTimeOut = 702,
        /// Access to the peer was enabled before.
        hipErrorPeerAccessAlreadyEnabled = 704,
        /// Access to the peer was not enabled.
        hipErrorPeerAccessNotEnabled = 705,
        /// The context was destroyed.
        hipErrorContextIsDestroyed = 709,
        /// A device-side assertion failed.
        hipErrorAssert = 710,
        /// A kernel failed while it ran.
        hipErrorLaunchFailure = 719,
        /// More blocks than fit at once, for a cooperative launch.
        hipErrorCooperativeLaunchTooLarge = 720,
        /// The device or the library cannot do this.
        hipErrorNotSupported = 801,
        /// The operation is not allowed while a stream is capturing.
        hipErrorStreamCaptureUnsupported = 900,
        /// The capture was broken by an earlier error.
        hipErrorStreamCaptureInvalidated = 901,
        /// The library says no more.
        hipErrorUnknown = 999,
        /// An error of the layer below.
        hipErrorRuntimeMemory = 1052,
        /// An error of the layer below.
        hipErrorRuntimeOther = 1053,
    }
}

enumeration! {
    /// The direction of a copy.
    hipMemcpyKind {
        /// From host memory to host memory.
        hipMemcpyHostToHost = 0,
        /// From host memory to device memory.
        hipMemcpyHostToDevice = 1,
        /// From device memory to host memory.
        hipMemcpyDeviceToHost = 2,
        /// Within one device's memory.
        hipMemcpyDeviceToDevice = 3,
        /// The runtime finds out from the addresses.
        hipMemcpyDefault = 4,
    }
}

enumeration! {
    /// What `hipDeviceGetAttribute` can be asked. HIP 5.0 renumbered these once; since then they have stayed.
    hipDeviceAttribute_t {
        /// Number of copy engines.
        hipDeviceAttributeAsyncEngineCount = 2,
        /// Peak clock in kHz.
        hipDeviceAttributeClockRate = 5,
        /// 1 where cooperative launches work.
        hipDeviceAttributeCooperativeLaunch = 10,
        /// 1 for a GPU that shares the host's memory.
        hipDeviceAttributeIntegrated = 16,
        /// Size of the L2 cache in bytes.
        hipDeviceAttributeL2CacheSize = 19,
        /// Major part of the compute capability, which HIP derives from the gfx number.
        hipDeviceAttributeComputeCapabilityMajor = 23,
        /// Work-items of a block, first dimension.
        hipDeviceAttributeMaxBlockDimX = 26,
        /// Work-items of a block, second dimension.
        hipDeviceAttributeMaxBlockDimY = 27,
        /// Work-items of a block, third dimension.
        hipDeviceAttributeMaxBlockDimZ = 28,
        /// Blocks of a grid, first dimension.
        hipDeviceAttributeMaxGridDimX = 29,
        /// Blocks of a grid, second dimension.
        hipDeviceAttributeMaxGridDimY = 30,
        /// Blocks of a grid, third dimension.
        hipDeviceAttributeMaxGridDimZ = 31,
        /// Work-items of a block.
        hipDeviceAttributeMaxThreadsPerBlock = 56,
        /// Work-items that a multiprocessor can hold.
        hipDeviceAttributeMaxThreadsPerMultiProcessor = 57,
        /// Width of the memory bus in bits.
        hipDeviceAttributeMemoryBusWidth = 59,
        /// Peak memory clock in kHz.
        hipDeviceAttributeMemoryClockRate = 60,
        /// Minor part of the compute capability.
        hipDeviceAttributeComputeCapabilityMinor = 61,
        /// Number of multiprocessors: compute units on GFX9, work-group processors on GFX10 and later.
        hipDeviceAttributeMultiprocessorCount = 63,
        /// PCI bus.
        hipDeviceAttributePciBusId = 67,
        /// PCI device.
        hipDeviceAttributePciDeviceId = 68,
        /// PCI domain.
        hipDeviceAttributePciDomainID = 69,
        /// 32-bit registers of a block.
        hipDeviceAttributeMaxRegistersPerBlock = 71,
        /// LDS of a block in bytes.
        hipDeviceAttributeMaxSharedMemoryPerBlock = 74,
        /// Size of constant memory in bytes.
        hipDeviceAttributeTotalConstantMemory = 83,
        /// Lanes of a wavefront.
        hipDeviceAttributeWarpSize = 87,
        /// 1 where `hipMallocAsync` and its kin work.
        hipDeviceAttributeMemoryPoolsSupported = 88,
        /// LDS of a multiprocessor in bytes.
        hipDeviceAttributeMaxSharedMemoryPerMultiprocessor = 10002,
    }
}

enumeration! {
    /// What `hipFuncGetAttribute` can be asked.
    hipFunction_attribute {
        /// The largest block that the kernel can be launched with.
        HIP_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK = 0,
        /// LDS that the kernel declares, in bytes.
        HIP_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES = 1,
        /// Constant memory in bytes.
        HIP_FUNC_ATTRIBUTE_CONST_SIZE_BYTES = 2,
        /// Scratch of a work-item in bytes.
        HIP_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES = 3,
        /// VGPRs of a work-item.
        HIP_FUNC_ATTRIBUTE_NUM_REGS = 4,
        /// LDS that a launch can ask for beyond what the kernel declares, in bytes.
        HIP_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES = 8,
    }
}

enumeration! {
    /// Which calls of which threads break a capture.
    hipStreamCaptureMode {
        /// Unsafe calls of every thread.
        hipStreamCaptureModeGlobal = 0,
        /// Unsafe calls of the capturing thread.
        hipStreamCaptureModeThreadLocal = 1,
        /// None.
        hipStreamCaptureModeRelaxed = 2,
    }
}

enumeration! {
    /// Whether a stream is capturing.
    hipStreamCaptureStatus {
        /// It is not.
        hipStreamCaptureStatusNone = 0,
        /// It is.
        hipStreamCaptureStatusActive = 1,
        /// It was, and an error broke the capture; it has to be ended.
        hipStreamCaptureStatusInvalidated = 2,
    }
}

enumeration! {
    /// Attributes of a memory pool.
    hipMemPoolAttr {
        /// Bytes (`u64`) that a pool keeps when the device is synchronized.
        hipMemPoolAttrReleaseThreshold = 4,
        /// Bytes (`u64`) that the pool holds.
        hipMemPoolAttrReservedMemCurrent = 5,
        /// Bytes (`u64`) of the pool that are in use.
        hipMemPoolAttrUsedMemCurrent = 7,
    }
}
