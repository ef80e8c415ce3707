//! The functions that copy.

use std::ffi::{c_int, c_void};

use super::call::hip_api;
use super::ffi::{DevicePtr, In, StreamHandle};
use super::runtime::{device, get};
use super::status::{Code, Outcome};
use super::stream::{self, PER_THREAD};
use super::symbol;
use super::transfer::{Copy, DEFAULT_KIND, Place, Size};
use super::types::{HIP_MEMCPY3D, HIP_MEMCPY3D_R0000, hip_Memcpy2D, hipMemcpy3DParms};
use super::work::Work;

/// `hipMemcpyHostToDevice`, `hipMemcpyDeviceToHost`, `hipMemcpyDeviceToDevice`.
const HOST_TO_DEVICE: c_int = 1;
const DEVICE_TO_HOST: c_int = 2;
const DEVICE_TO_DEVICE: c_int = 3;

/// Enqueues a copy. The call returns when it is done, whether it is asynchronous or not.
pub fn submit(copy: Copy, stream: StreamHandle) -> Outcome {
    let stream = stream::usable(stream)?;
    copy.validate()?;
    stream.submit(Work::Copy(copy))
}

fn linear(
    dst: *mut c_void,
    src: *const c_void,
    bytes: usize,
    kind: c_int,
    stream: StreamHandle,
) -> Outcome {
    submit(
        Copy::linear(dst as u64, src as u64, bytes as u64, kind),
        stream,
    )
}

/// A copy of rows.
pub fn rows(
    (dst, dpitch): (*mut c_void, usize),
    (src, spitch): (*const c_void, usize),
    width: usize,
    height: usize,
    kind: c_int,
) -> Copy {
    let place = |address: u64, pitch: usize| Place {
        address,
        pitch: pitch as u64,
        slice: 0,
    };
    Copy {
        dst: place(dst as u64, dpitch),
        src: place(src as u64, spitch),
        size: Size {
            width: width as u64,
            height: height as u64,
            depth: 1,
        },
        kind,
    }
}

fn peer(
    dst: *mut c_void,
    to: c_int,
    src: *const c_void,
    from: c_int,
    bytes: usize,
    stream: StreamHandle,
) -> Outcome {
    device(to)?;
    device(from)?;
    linear(dst, src, bytes, DEFAULT_KIND, stream)
}

/// Fails for an array: there are no images here.
fn no_array(array: super::ffi::ArrayHandle) -> Outcome {
    if array.is_null() {
        return Ok(());
    }
    Err(Code::NotSupported.because("arrays are not supported"))
}

/// One end of a driver-style copy: the address by the type of memory that it says.
fn end(
    memory_type: c_int,
    host: *const c_void,
    device: DevicePtr,
    array: super::ffi::ArrayHandle,
) -> Outcome<u64> {
    no_array(array)?;
    let version = get().version;
    // Whether it says host or device, the address that is there is meant: both are of one address space.
    let (first, second) = match version.is_host_memory(memory_type) {
        true => (host as u64, device as u64),
        false => (device as u64, host as u64),
    };
    Ok(if first == 0 { second } else { first })
}

/// The copy that a `hip_Memcpy2D` describes.
fn from_2d(p: &hip_Memcpy2D) -> Outcome<Copy> {
    let src = end(p.srcMemoryType, p.srcHost, p.srcDevice, p.srcArray)?;
    let dst = end(p.dstMemoryType, p.dstHost, p.dstDevice, p.dstArray)?;
    let place = |base: u64, x: usize, y: usize, pitch: usize| {
        let pitch = if pitch == 0 { p.WidthInBytes } else { pitch } as u64;
        let address = if base == 0 {
            0
        } else {
            base + y as u64 * pitch + x as u64
        };
        Place {
            address,
            pitch,
            slice: 0,
        }
    };
    Ok(Copy {
        dst: place(dst, p.dstXInBytes, p.dstY, p.dstPitch),
        src: place(src, p.srcXInBytes, p.srcY, p.srcPitch),
        size: Size {
            width: p.WidthInBytes as u64,
            height: p.Height as u64,
            depth: 1,
        },
        kind: DEFAULT_KIND,
    })
}

/// The copy that a `hipMemcpy3DParms` describes.
pub fn from_3d(p: &hipMemcpy3DParms) -> Outcome<Copy> {
    no_array(p.srcArray)?;
    no_array(p.dstArray)?;
    let place = |end: super::types::hipPitchedPtr, at: super::types::hipPos| {
        let (pitch, slice) = (end.pitch as u64, end.pitch as u64 * end.ysize as u64);
        let base = end.ptr as u64;
        let address = base + at.z as u64 * slice + at.y as u64 * pitch + at.x as u64;
        Place {
            address: if base == 0 { 0 } else { address },
            pitch,
            slice,
        }
    };
    Ok(Copy {
        dst: place(p.dstPtr, p.dstPos),
        src: place(p.srcPtr, p.srcPos),
        size: Size {
            width: p.extent.width as u64,
            height: p.extent.height as u64,
            depth: p.extent.depth as u64,
        },
        kind: p.kind,
    })
}

/// Reads a `HIP_MEMCPY3D` of the version that is imitated.
fn read_driver_3d(params: *const c_void) -> Outcome<HIP_MEMCPY3D> {
    if get().version.major >= 6 {
        return In::at(params.cast()).get();
    }
    let old = In::<HIP_MEMCPY3D_R0000>::at(params.cast()).get()?;
    Ok(HIP_MEMCPY3D {
        srcXInBytes: old.srcXInBytes as usize,
        srcY: old.srcY as usize,
        srcZ: old.srcZ as usize,
        srcLOD: old.srcLOD as usize,
        srcMemoryType: old.srcMemoryType,
        srcHost: old.srcHost,
        srcDevice: old.srcDevice,
        srcArray: old.srcArray,
        srcPitch: old.srcPitch as usize,
        srcHeight: old.srcHeight as usize,
        dstXInBytes: old.dstXInBytes as usize,
        dstY: old.dstY as usize,
        dstZ: old.dstZ as usize,
        dstLOD: old.dstLOD as usize,
        dstMemoryType: old.dstMemoryType,
        dstHost: old.dstHost,
        dstDevice: old.dstDevice,
        dstArray: old.dstArray,
        dstPitch: old.dstPitch as usize,
        dstHeight: old.dstHeight as usize,
        WidthInBytes: old.WidthInBytes as usize,
        Height: old.Height as usize,
        Depth: old.Depth as usize,
    })
}

/// The copy that a `HIP_MEMCPY3D` describes.
pub fn from_driver_3d(params: *const c_void) -> Outcome<Copy> {
    let p = read_driver_3d(params)?;
    if p.srcLOD != 0 || p.dstLOD != 0 {
        return Err(Code::NotSupported
            .because("levels of detail are those of images, which are not supported"));
    }
    let src = end(p.srcMemoryType, p.srcHost, p.srcDevice, p.srcArray)?;
    let dst = end(p.dstMemoryType, p.dstHost, p.dstDevice, p.dstArray)?;
    let place = |base: u64, (x, y, z): (usize, usize, usize), pitch: usize, height: usize| {
        let pitch = if pitch == 0 { p.WidthInBytes } else { pitch } as u64;
        let slice = pitch * if height == 0 { p.Height } else { height } as u64;
        let address = base + z as u64 * slice + y as u64 * pitch + x as u64;
        Place {
            address: if base == 0 { 0 } else { address },
            pitch,
            slice,
        }
    };
    Ok(Copy {
        dst: place(
            dst,
            (p.dstXInBytes, p.dstY, p.dstZ),
            p.dstPitch,
            p.dstHeight,
        ),
        src: place(
            src,
            (p.srcXInBytes, p.srcY, p.srcZ),
            p.srcPitch,
            p.srcHeight,
        ),
        size: Size {
            width: p.WidthInBytes as u64,
            height: p.Height as u64,
            depth: p.Depth as u64,
        },
        kind: DEFAULT_KIND,
    })
}

fn to_symbol(
    symbol: *const c_void,
    src: *const c_void,
    bytes: usize,
    offset: usize,
    kind: c_int,
    stream: StreamHandle,
) -> Outcome {
    if ![HOST_TO_DEVICE, DEVICE_TO_DEVICE, DEFAULT_KIND].contains(&kind) {
        return Err(
            Code::InvalidMemcpyDirection.because(format!("kind {kind} does not end at a symbol"))
        );
    }
    let dst = symbol::range(symbol, bytes, offset)?;
    linear(dst as *mut c_void, src, bytes, kind, stream)
}

fn from_symbol(
    dst: *mut c_void,
    symbol: *const c_void,
    bytes: usize,
    offset: usize,
    kind: c_int,
    stream: StreamHandle,
) -> Outcome {
    if ![DEVICE_TO_HOST, DEVICE_TO_DEVICE, DEFAULT_KIND].contains(&kind) {
        return Err(
            Code::InvalidMemcpyDirection.because(format!("kind {kind} does not start at a symbol"))
        );
    }
    let src = symbol::range(symbol, bytes, offset)?;
    linear(dst, src as *const c_void, bytes, kind, stream)
}

const NULL: StreamHandle = StreamHandle::NULL;

/// The stream that a `_spt` function means: null is the thread's own default stream.
pub fn own(stream: StreamHandle) -> StreamHandle {
    if stream.is_null() { PER_THREAD } else { stream }
}

hip_api! {
    fn hipMemcpy(dst: *mut c_void, src: *const c_void, sizeBytes: usize, kind: c_int) {
        linear(dst, src, sizeBytes, kind, NULL)
    }

    fn hipMemcpy_spt(dst: *mut c_void, src: *const c_void, sizeBytes: usize, kind: c_int) {
        linear(dst, src, sizeBytes, kind, PER_THREAD)
    }

    fn hipMemcpyAsync(dst: *mut c_void, src: *const c_void, sizeBytes: usize, kind: c_int, stream: StreamHandle) {
        linear(dst, src, sizeBytes, kind, stream)
    }

    fn hipMemcpyAsync_spt(dst: *mut c_void, src: *const c_void, sizeBytes: usize, kind: c_int, stream: StreamHandle) {
        linear(dst, src, sizeBytes, kind, own(stream))
    }

    fn hipMemcpyWithStream(dst: *mut c_void, src: *const c_void, sizeBytes: usize, kind: c_int, stream: StreamHandle) {
        linear(dst, src, sizeBytes, kind, stream)
    }

    fn hipMemcpyHtoD(dst: DevicePtr, src: *const c_void, sizeBytes: usize) {
        linear(dst, src, sizeBytes, HOST_TO_DEVICE, NULL)
    }

    fn hipMemcpyDtoH(dst: *mut c_void, src: DevicePtr, sizeBytes: usize) {
        linear(dst, src, sizeBytes, DEVICE_TO_HOST, NULL)
    }

    fn hipMemcpyDtoD(dst: DevicePtr, src: DevicePtr, sizeBytes: usize) {
        linear(dst, src, sizeBytes, DEVICE_TO_DEVICE, NULL)
    }

    fn hipMemcpyHtoDAsync(dst: DevicePtr, src: *const c_void, sizeBytes: usize, stream: StreamHandle) {
        linear(dst, src, sizeBytes, HOST_TO_DEVICE, stream)
    }

    fn hipMemcpyDtoHAsync(dst: *mut c_void, src: DevicePtr, sizeBytes: usize, stream: StreamHandle) {
        linear(dst, src, sizeBytes, DEVICE_TO_HOST, stream)
    }

    fn hipMemcpyDtoDAsync(dst: DevicePtr, src: DevicePtr, sizeBytes: usize, stream: StreamHandle) {
        linear(dst, src, sizeBytes, DEVICE_TO_DEVICE, stream)
    }

    fn hipMemcpyPeer(dst: *mut c_void, dstDeviceId: c_int, src: *const c_void, srcDeviceId: c_int, sizeBytes: usize) {
        peer(dst, dstDeviceId, src, srcDeviceId, sizeBytes, NULL)
    }

    fn hipMemcpyPeerAsync(
        dst: *mut c_void,
        dstDeviceId: c_int,
        src: *const c_void,
        srcDevice: c_int,
        sizeBytes: usize,
        stream: StreamHandle,
    ) {
        peer(dst, dstDeviceId, src, srcDevice, sizeBytes, stream)
    }

    fn hipMemcpy2D(
        dst: *mut c_void,
        dpitch: usize,
        src: *const c_void,
        spitch: usize,
        width: usize,
        height: usize,
        kind: c_int,
    ) {
        submit(rows((dst, dpitch), (src, spitch), width, height, kind), NULL)
    }

    fn hipMemcpy2D_spt(
        dst: *mut c_void,
        dpitch: usize,
        src: *const c_void,
        spitch: usize,
        width: usize,
        height: usize,
        kind: c_int,
    ) {
        submit(rows((dst, dpitch), (src, spitch), width, height, kind), PER_THREAD)
    }

    fn hipMemcpy2DAsync(
        dst: *mut c_void,
        dpitch: usize,
        src: *const c_void,
        spitch: usize,
        width: usize,
        height: usize,
        kind: c_int,
        stream: StreamHandle,
    ) {
        submit(rows((dst, dpitch), (src, spitch), width, height, kind), stream)
    }

    fn hipMemcpy2DAsync_spt(
        dst: *mut c_void,
        dpitch: usize,
        src: *const c_void,
        spitch: usize,
        width: usize,
        height: usize,
        kind: c_int,
        stream: StreamHandle,
    ) {
        submit(rows((dst, dpitch), (src, spitch), width, height, kind), own(stream))
    }

    fn hipMemcpyParam2D(pCopy: In<hip_Memcpy2D>) {
        submit(from_2d(&pCopy.get()?)?, NULL)
    }

    fn hipDrvMemcpy2DUnaligned(pCopy: In<hip_Memcpy2D>) {
        submit(from_2d(&pCopy.get()?)?, NULL)
    }

    fn hipMemcpyParam2DAsync(pCopy: In<hip_Memcpy2D>, stream: StreamHandle) {
        submit(from_2d(&pCopy.get()?)?, stream)
    }

    fn hipMemcpy3D(p: In<hipMemcpy3DParms>) {
        submit(from_3d(&p.get()?)?, NULL)
    }

    fn hipMemcpy3D_spt(p: In<hipMemcpy3DParms>) {
        submit(from_3d(&p.get()?)?, PER_THREAD)
    }

    fn hipMemcpy3DAsync(p: In<hipMemcpy3DParms>, stream: StreamHandle) {
        submit(from_3d(&p.get()?)?, stream)
    }

    fn hipMemcpy3DAsync_spt(p: In<hipMemcpy3DParms>, stream: StreamHandle) {
        submit(from_3d(&p.get()?)?, own(stream))
    }

    fn hipDrvMemcpy3D(pCopy: *const c_void) {
        submit(from_driver_3d(pCopy)?, NULL)
    }

    fn hipDrvMemcpy3DAsync(pCopy: *const c_void, stream: StreamHandle) {
        submit(from_driver_3d(pCopy)?, stream)
    }

    fn hipMemcpyToSymbol(symbol: *const c_void, src: *const c_void, sizeBytes: usize, offset: usize, kind: c_int) {
        to_symbol(symbol, src, sizeBytes, offset, kind, NULL)
    }

    fn hipMemcpyToSymbol_spt(symbol: *const c_void, src: *const c_void, sizeBytes: usize, offset: usize, kind: c_int) {
        to_symbol(symbol, src, sizeBytes, offset, kind, PER_THREAD)
    }

    fn hipMemcpyToSymbolAsync(
        symbol: *const c_void,
        src: *const c_void,
        sizeBytes: usize,
        offset: usize,
        kind: c_int,
        stream: StreamHandle,
    ) {
        to_symbol(symbol, src, sizeBytes, offset, kind, stream)
    }

    fn hipMemcpyToSymbolAsync_spt(
        symbol: *const c_void,
        src: *const c_void,
        sizeBytes: usize,
        offset: usize,
        kind: c_int,
        stream: StreamHandle,
    ) {
        to_symbol(symbol, src, sizeBytes, offset, kind, own(stream))
    }

    fn hipMemcpyFromSymbol(dst: *mut c_void, symbol: *const c_void, sizeBytes: usize, offset: usize, kind: c_int) {
        from_symbol(dst, symbol, sizeBytes, offset, kind, NULL)
    }

    fn hipMemcpyFromSymbol_spt(dst: *mut c_void, symbol: *const c_void, sizeBytes: usize, offset: usize, kind: c_int) {
        from_symbol(dst, symbol, sizeBytes, offset, kind, PER_THREAD)
    }

    fn hipMemcpyFromSymbolAsync(
        dst: *mut c_void,
        symbol: *const c_void,
        sizeBytes: usize,
        offset: usize,
        kind: c_int,
        stream: StreamHandle,
    ) {
        from_symbol(dst, symbol, sizeBytes, offset, kind, stream)
    }

    fn hipMemcpyFromSymbolAsync_spt(
        dst: *mut c_void,
        symbol: *const c_void,
        sizeBytes: usize,
        offset: usize,
        kind: c_int,
        stream: StreamHandle,
    ) {
        from_symbol(dst, symbol, sizeBytes, offset, kind, own(stream))
    }
}
