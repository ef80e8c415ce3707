//! The C types of the HIP headers that cross the ABI.
//!
//! Names, fields and their order are those of `hip_runtime_api.h`. HIP 5.7 and 6.4 agree on them, but for the device
//! properties and `HIP_MEMCPY3D`, whose two layouts stand side by side, and `hipMemPoolProps::maxSize`, which is reserved
//! in 5.7. [`LAYOUTS`] tells the size of each and the offset
//! of each field, so that a test can compare them with what a C compiler makes of the headers.

#![expect(
    non_camel_case_types,
    non_snake_case,
    missing_docs,
    reason = "names are those of the HIP headers, which document them"
)]

use std::ffi::c_void;

use super::ffi::{ArrayHandle, FunctionHandle, GraphNodeHandle, StreamHandle};

/// The layout of a type that crosses the ABI.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// Its name in the headers.
    pub name: &'static str,
    /// Its size in bytes.
    pub size: usize,
    /// Its alignment in bytes.
    pub align: usize,
    /// The name and the offset of each field.
    pub fields: &'static [(&'static str, usize)],
}

macro_rules! c_structs {
    ($($(#[$meta:meta])* $name:ident { $($field:ident: $type:ty,)* })*) => {
        $(
            $(#[$meta])*
            #[derive(Clone, Copy)]
            #[repr(C)]
            pub struct $name { $(pub $field: $type,)* }

            impl $name {
                /// All bytes zero.
                pub fn zeroed() -> Self {
                    // SAFETY: every field is a number, an array of numbers, a pointer, a handle or an optional function.
                    unsafe { std::mem::zeroed() }
                }
            }

            impl std::fmt::Debug for $name {
                fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.debug_struct(stringify!($name))$(.field(stringify!($field), &self.$field))*.finish()
                }
            }
        )*

        /// The layout of every structure.
        pub static LAYOUTS: &[Layout] = &[$(Layout {
            name: stringify!($name),
            size: size_of::<$name>(),
            align: align_of::<$name>(),
            fields: &[$((stringify!($field), std::mem::offset_of!($name, $field)),)*],
        }),*];
    };
}

/// What a host function of a stream is given.
pub type hipHostFn_t = Option<unsafe extern "C" fn(user_data: *mut c_void)>;

/// What `hipStreamAddCallback` is given.
pub type hipStreamCallback_t =
    Option<unsafe extern "C" fn(stream: StreamHandle, status: i32, user_data: *mut c_void)>;

c_structs! {
    dim3 {
        x: u32,
        y: u32,
        z: u32,
    }

    hipUUID {
        bytes: [u8; 16],
    }

    hipPointerAttribute_t {
        type_: i32,
        device: i32,
        devicePointer: *mut c_void,
        hostPointer: *mut c_void,
        isManaged: i32,
        allocationFlags: u32,
    }

    hipFuncAttributes {
        binaryVersion: i32,
        cacheModeCA: i32,
        constSizeBytes: usize,
        localSizeBytes: usize,
        maxDynamicSharedSizeBytes: i32,
        maxThreadsPerBlock: i32,
        numRegs: i32,
        preferredShmemCarveout: i32,
        ptxVersion: i32,
        sharedSizeBytes: usize,
    }

    hipPitchedPtr {
        ptr: *mut c_void,
        pitch: usize,
        xsize: usize,
        ysize: usize,
    }

    hipExtent {
        width: usize,
        height: usize,
        depth: usize,
    }

    hipPos {
        x: usize,
        y: usize,
        z: usize,
    }

    hipMemcpy3DParms {
        srcArray: ArrayHandle,
        srcPos: hipPos,
        srcPtr: hipPitchedPtr,
        dstArray: ArrayHandle,
        dstPos: hipPos,
        dstPtr: hipPitchedPtr,
        extent: hipExtent,
        kind: i32,
    }

    hip_Memcpy2D {
        srcXInBytes: usize,
        srcY: usize,
        srcMemoryType: i32,
        srcHost: *const c_void,
        srcDevice: *mut c_void,
        srcArray: ArrayHandle,
        srcPitch: usize,
        dstXInBytes: usize,
        dstY: usize,
        dstMemoryType: i32,
        dstHost: *mut c_void,
        dstDevice: *mut c_void,
        dstArray: ArrayHandle,
        dstPitch: usize,
        WidthInBytes: usize,
        Height: usize,
    }

    /// The parameters of a copy since HIP 6.
    HIP_MEMCPY3D {
        srcXInBytes: usize,
        srcY: usize,
        srcZ: usize,
        srcLOD: usize,
        srcMemoryType: i32,
        srcHost: *const c_void,
        srcDevice: *mut c_void,
        srcArray: ArrayHandle,
        srcPitch: usize,
        srcHeight: usize,
        dstXInBytes: usize,
        dstY: usize,
        dstZ: usize,
        dstLOD: usize,
        dstMemoryType: i32,
        dstHost: *mut c_void,
        dstDevice: *mut c_void,
        dstArray: ArrayHandle,
        dstPitch: usize,
        dstHeight: usize,
        WidthInBytes: usize,
        Height: usize,
        Depth: usize,
    }

    /// The parameters of a copy before HIP 6: `HIP_MEMCPY3D` of the 5.x headers.
    HIP_MEMCPY3D_R0000 {
        srcXInBytes: u32,
        srcY: u32,
        srcZ: u32,
        srcLOD: u32,
        srcMemoryType: i32,
        srcHost: *const c_void,
        srcDevice: *mut c_void,
        srcArray: ArrayHandle,
        srcPitch: u32,
        srcHeight: u32,
        dstXInBytes: u32,
        dstY: u32,
        dstZ: u32,
        dstLOD: u32,
        dstMemoryType: i32,
        dstHost: *mut c_void,
        dstDevice: *mut c_void,
        dstArray: ArrayHandle,
        dstPitch: u32,
        dstHeight: u32,
        WidthInBytes: u32,
        Height: u32,
        Depth: u32,
    }

    hipMemLocation {
        type_: i32,
        id: i32,
    }

    hipMemAccessDesc {
        location: hipMemLocation,
        flags: i32,
    }

    hipMemPoolProps {
        allocType: i32,
        handleTypes: i32,
        location: hipMemLocation,
        win32SecurityAttributes: *mut c_void,
        maxSize: usize,
        reserved: [u8; 56],
    }

    hipKernelNodeParams {
        blockDim: dim3,
        extra: *mut *mut c_void,
        func: *mut c_void,
        gridDim: dim3,
        kernelParams: *mut *mut c_void,
        sharedMemBytes: u32,
    }

    hipMemsetParams {
        dst: *mut c_void,
        elementSize: u32,
        height: usize,
        pitch: usize,
        value: u32,
        width: usize,
    }

    HIP_MEMSET_NODE_PARAMS {
        dst: *mut c_void,
        pitch: usize,
        value: u32,
        elementSize: u32,
        width: usize,
        height: usize,
    }

    hipHostNodeParams {
        fn_: hipHostFn_t,
        userData: *mut c_void,
    }

    hipMemAllocNodeParams {
        poolProps: hipMemPoolProps,
        accessDescs: *const hipMemAccessDesc,
        accessDescCount: usize,
        bytesize: usize,
        dptr: *mut c_void,
    }

    hipGraphInstantiateParams {
        errNode_out: GraphNodeHandle,
        flags: u64,
        result_out: i32,
        uploadStream: StreamHandle,
    }

    hipLaunchParams {
        func: *mut c_void,
        gridDim: dim3,
        blockDim: dim3,
        args: *mut *mut c_void,
        sharedMem: usize,
        stream: StreamHandle,
    }

    hipFunctionLaunchParams {
        function: FunctionHandle,
        gridDimX: u32,
        gridDimY: u32,
        gridDimZ: u32,
        blockDimX: u32,
        blockDimY: u32,
        blockDimZ: u32,
        sharedMemBytes: u32,
        hStream: StreamHandle,
        kernelParams: *mut *mut c_void,
    }

    /// The properties before HIP 6: `hipDeviceProp_t` of the 5.x headers.
    hipDeviceProp_tR0000 {
        name: [u8; 256],
        totalGlobalMem: usize,
        sharedMemPerBlock: usize,
        regsPerBlock: i32,
        warpSize: i32,
        maxThreadsPerBlock: i32,
        maxThreadsDim: [i32; 3],
        maxGridSize: [i32; 3],
        clockRate: i32,
        memoryClockRate: i32,
        memoryBusWidth: i32,
        totalConstMem: usize,
        major: i32,
        minor: i32,
        multiProcessorCount: i32,
        l2CacheSize: i32,
        maxThreadsPerMultiProcessor: i32,
        computeMode: i32,
        clockInstructionRate: i32,
        arch: u32,
        concurrentKernels: i32,
        pciDomainID: i32,
        pciBusID: i32,
        pciDeviceID: i32,
        maxSharedMemoryPerMultiProcessor: usize,
        isMultiGpuBoard: i32,
        canMapHostMemory: i32,
        gcnArch: i32,
        gcnArchName: [u8; 256],
        integrated: i32,
        cooperativeLaunch: i32,
        cooperativeMultiDeviceLaunch: i32,
        maxTexture1DLinear: i32,
        maxTexture1D: i32,
        maxTexture2D: [i32; 2],
        maxTexture3D: [i32; 3],
        hdpMemFlushCntl: *mut u32,
        hdpRegFlushCntl: *mut u32,
        memPitch: usize,
        textureAlignment: usize,
        texturePitchAlignment: usize,
        kernelExecTimeoutEnabled: i32,
        ECCEnabled: i32,
        tccDriver: i32,
        cooperativeMultiDeviceUnmatchedFunc: i32,
        cooperativeMultiDeviceUnmatchedGridDim: i32,
        cooperativeMultiDeviceUnmatchedBlockDim: i32,
        cooperativeMultiDeviceUnmatchedSharedMem: i32,
        isLargeBar: i32,
        asicRevision: i32,
        managedMemory: i32,
        directManagedMemAccessFromHost: i32,
        concurrentManagedAccess: i32,
        pageableMemoryAccess: i32,
        pageableMemoryAccessUsesHostPageTables: i32,
    }

    /// The properties since HIP 6: what the 6.x headers make `hipDeviceProp_t` mean.
    hipDeviceProp_tR0600 {
        name: [u8; 256],
        uuid: [u8; 16],
        luid: [u8; 8],
        luidDeviceNodeMask: u32,
        totalGlobalMem: usize,
        sharedMemPerBlock: usize,
        regsPerBlock: i32,
        warpSize: i32,
        memPitch: usize,
        maxThreadsPerBlock: i32,
        maxThreadsDim: [i32; 3],
        maxGridSize: [i32; 3],
        clockRate: i32,
        totalConstMem: usize,
        major: i32,
        minor: i32,
        textureAlignment: usize,
        texturePitchAlignment: usize,
        deviceOverlap: i32,
        multiProcessorCount: i32,
        kernelExecTimeoutEnabled: i32,
        integrated: i32,
        canMapHostMemory: i32,
        computeMode: i32,
        maxTexture1D: i32,
        maxTexture1DMipmap: i32,
        maxTexture1DLinear: i32,
        maxTexture2D: [i32; 2],
        maxTexture2DMipmap: [i32; 2],
        maxTexture2DLinear: [i32; 3],
        maxTexture2DGather: [i32; 2],
        maxTexture3D: [i32; 3],
        maxTexture3DAlt: [i32; 3],
        maxTextureCubemap: i32,
        maxTexture1DLayered: [i32; 2],
        maxTexture2DLayered: [i32; 3],
        maxTextureCubemapLayered: [i32; 2],
        maxSurface1D: i32,
        maxSurface2D: [i32; 2],
        maxSurface3D: [i32; 3],
        maxSurface1DLayered: [i32; 2],
        maxSurface2DLayered: [i32; 3],
        maxSurfaceCubemap: i32,
        maxSurfaceCubemapLayered: [i32; 2],
        surfaceAlignment: usize,
        concurrentKernels: i32,
        ECCEnabled: i32,
        pciBusID: i32,
        pciDeviceID: i32,
        pciDomainID: i32,
        tccDriver: i32,
        asyncEngineCount: i32,
        unifiedAddressing: i32,
        memoryClockRate: i32,
        memoryBusWidth: i32,
        l2CacheSize: i32,
        persistingL2CacheMaxSize: i32,
        maxThreadsPerMultiProcessor: i32,
        streamPrioritiesSupported: i32,
        globalL1CacheSupported: i32,
        localL1CacheSupported: i32,
        sharedMemPerMultiprocessor: usize,
        regsPerMultiprocessor: i32,
        managedMemory: i32,
        isMultiGpuBoard: i32,
        multiGpuBoardGroupID: i32,
        hostNativeAtomicSupported: i32,
        singleToDoublePrecisionPerfRatio: i32,
        pageableMemoryAccess: i32,
        concurrentManagedAccess: i32,
        computePreemptionSupported: i32,
        canUseHostPointerForRegisteredMem: i32,
        cooperativeLaunch: i32,
        cooperativeMultiDeviceLaunch: i32,
        sharedMemPerBlockOptin: usize,
        pageableMemoryAccessUsesHostPageTables: i32,
        directManagedMemAccessFromHost: i32,
        maxBlocksPerMultiProcessor: i32,
        accessPolicyMaxWindowSize: i32,
        reservedSharedMemPerBlock: usize,
        hostRegisterSupported: i32,
        sparseHipArraySupported: i32,
        hostRegisterReadOnlySupported: i32,
        timelineSemaphoreInteropSupported: i32,
        memoryPoolsSupported: i32,
        gpuDirectRDMASupported: i32,
        gpuDirectRDMAFlushWritesOptions: u32,
        gpuDirectRDMAWritesOrdering: i32,
        memoryPoolSupportedHandleTypes: u32,
        deferredMappingHipArraySupported: i32,
        ipcEventSupported: i32,
        clusterLaunch: i32,
        unifiedFunctionPointers: i32,
        reserved: [i32; 63],
        hipReserved: [i32; 32],
        gcnArchName: [u8; 256],
        maxSharedMemoryPerMultiProcessor: usize,
        clockInstructionRate: i32,
        arch: u32,
        hdpMemFlushCntl: *mut u32,
        hdpRegFlushCntl: *mut u32,
        cooperativeMultiDeviceUnmatchedFunc: i32,
        cooperativeMultiDeviceUnmatchedGridDim: i32,
        cooperativeMultiDeviceUnmatchedBlockDim: i32,
        cooperativeMultiDeviceUnmatchedSharedMem: i32,
        isLargeBar: i32,
        asicRevision: i32,
    }
}
