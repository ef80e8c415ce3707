//! Functions of HIP that have no counterpart here. They exist, so that programs that mention them can be loaded, and answer
//! `hipErrorNotSupported`.

use super::call::hip_api;
use super::status::Code;

macro_rules! unsupported {
    ($($what:literal: $($name:ident)*;)*) => {
        // The caller passes parameters that are not looked at, which the C calling conventions allow.
        $($(hip_api! {
            fn $name() {
                Err(Code::NotSupported.because(concat!("there is no support for ", $what)))
            }
        })*)*
    };
}

unsupported! {
    "images, arrays, textures and surfaces":
        hipArray3DCreate hipArray3DGetDescriptor hipArrayCreate hipArrayDestroy
        hipArrayGetDescriptor hipArrayGetInfo hipBindTexture hipBindTexture2D
        hipBindTextureToArray hipBindTextureToMipmappedArray hipCreateSurfaceObject
        hipCreateTextureObject hipDestroySurfaceObject hipDestroyTextureObject
        hipDeviceGetTexture1DLinearMaxWidth hipExternalMemoryGetMappedMipmappedArray
        hipFreeArray hipFreeMipmappedArray hipGetChannelDesc hipGetMipmappedArrayLevel
        hipGetTextureAlignmentOffset hipGetTextureObjectResourceDesc
        hipGetTextureObjectResourceViewDesc hipGetTextureObjectTextureDesc
        hipGetTextureReference hipGraphicsSubResourceGetMappedArray hipMalloc3DArray
        hipMallocArray hipMallocMipmappedArray hipMemMapArrayAsync hipMemcpy2DArrayToArray
        hipMemcpy2DFromArray hipMemcpy2DFromArrayAsync hipMemcpy2DFromArrayAsync_spt
        hipMemcpy2DFromArray_spt hipMemcpy2DToArray hipMemcpy2DToArrayAsync
        hipMemcpy2DToArrayAsync_spt hipMemcpy2DToArray_spt hipMemcpyAtoA hipMemcpyAtoD
        hipMemcpyAtoH hipMemcpyAtoHAsync hipMemcpyDtoA hipMemcpyFromArray hipMemcpyFromArray_spt
        hipMemcpyHtoA hipMemcpyHtoAAsync hipMemcpyToArray hipMemcpyToArray_spt
        hipMipmappedArrayCreate hipMipmappedArrayDestroy hipMipmappedArrayGetLevel
        hipModuleGetTexRef hipTexObjectCreate hipTexObjectDestroy hipTexObjectGetResourceDesc
        hipTexObjectGetResourceViewDesc hipTexObjectGetTextureDesc hipTexRefGetAddress
        hipTexRefGetAddressMode hipTexRefGetArray hipTexRefGetBorderColor hipTexRefGetFilterMode
        hipTexRefGetFlags hipTexRefGetFormat hipTexRefGetMaxAnisotropy
        hipTexRefGetMipMappedArray hipTexRefGetMipmapFilterMode hipTexRefGetMipmapLevelBias
        hipTexRefGetMipmapLevelClamp hipTexRefSetAddress hipTexRefSetAddress2D
        hipTexRefSetAddressMode hipTexRefSetArray hipTexRefSetBorderColor hipTexRefSetFilterMode
        hipTexRefSetFlags hipTexRefSetFormat hipTexRefSetMaxAnisotropy
        hipTexRefSetMipmapFilterMode hipTexRefSetMipmapLevelBias hipTexRefSetMipmapLevelClamp
        hipTexRefSetMipmappedArray hipUnbindTexture;
    "external memory, semaphores and graphics":
        hipDestroyExternalMemory hipDestroyExternalSemaphore hipExternalMemoryGetMappedBuffer
        hipGLGetDevices hipGraphAddExternalSemaphoresSignalNode
        hipGraphAddExternalSemaphoresWaitNode hipGraphExecExternalSemaphoresSignalNodeSetParams
        hipGraphExecExternalSemaphoresWaitNodeSetParams
        hipGraphExternalSemaphoresSignalNodeGetParams
        hipGraphExternalSemaphoresSignalNodeSetParams
        hipGraphExternalSemaphoresWaitNodeGetParams hipGraphExternalSemaphoresWaitNodeSetParams
        hipGraphicsGLRegisterBuffer hipGraphicsGLRegisterImage hipGraphicsMapResources
        hipGraphicsResourceGetMappedPointer hipGraphicsUnmapResources
        hipGraphicsUnregisterResource hipImportExternalMemory hipImportExternalSemaphore
        hipSignalExternalSemaphoresAsync hipWaitExternalSemaphoresAsync;
    "memory shared between processes":
        hipIpcCloseMemHandle hipIpcGetEventHandle hipIpcGetMemHandle hipIpcOpenEventHandle
        hipIpcOpenMemHandle hipMemExportToShareableHandle hipMemImportFromShareableHandle
        hipMemPoolExportPointer hipMemPoolExportToShareableHandle
        hipMemPoolImportFromShareableHandle hipMemPoolImportPointer;
    "virtual memory management":
        hipMemAddressFree hipMemAddressReserve hipMemCreate hipMemGetAccess
        hipMemGetAllocationGranularity hipMemGetAllocationPropertiesFromHandle hipMemMap
        hipMemRelease hipMemRetainAllocationHandle hipMemSetAccess hipMemUnmap;
    "a linker at run time":
        hipLinkAddData hipLinkAddFile hipLinkComplete hipLinkCreate hipLinkDestroy;
    "batches of memory operations":
        hipGraphAddBatchMemOpNode hipGraphBatchMemOpNodeGetParams
        hipGraphBatchMemOpNodeSetParams hipGraphExecBatchMemOpNodeSetParams hipStreamBatchMemOp;
}
