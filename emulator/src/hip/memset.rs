//! The functions that fill memory with a value.

use std::ffi::{c_int, c_void};

use super::call::hip_api;
use super::copy::own;
use super::ffi::{DevicePtr, StreamHandle};
use super::status::{Code, Outcome};
use super::stream::{self, PER_THREAD};
use super::transfer::{Fill, Place, Size};
use super::types::{hipExtent, hipPitchedPtr};
use super::work::Work;

const NULL: StreamHandle = StreamHandle::NULL;

/// Enqueues a fill. The call returns when it is done, whether it is asynchronous or not.
fn submit(fill: Fill, stream: StreamHandle) -> Outcome {
    let stream = stream::usable(stream)?;
    fill.validate()?;
    stream.submit(Work::Fill(fill))
}

/// Fills `count` values.
fn values(
    dst: *mut c_void,
    value: u32,
    value_size: u64,
    count: usize,
    stream: StreamHandle,
) -> Outcome {
    let bytes = (count as u64).checked_mul(value_size);
    let bytes = bytes.ok_or_else(|| Code::InvalidValue.because("the size overflows"))?;
    if !(dst as u64).is_multiple_of(value_size) {
        return Err(
            Code::InvalidValue.because(format!("{dst:p} is not aligned to {value_size} bytes"))
        );
    }
    let fill = Fill {
        dst: Place::linear(dst as u64),
        size: Size::linear(bytes),
        value,
        value_size,
    };
    submit(fill, stream)
}

/// The fill of rows with a byte.
fn rows(dst: *mut c_void, pitch: usize, value: c_int, width: usize, height: usize) -> Fill {
    Fill {
        dst: Place {
            address: dst as u64,
            pitch: pitch as u64,
            slice: 0,
        },
        size: Size {
            width: width as u64,
            height: height as u64,
            depth: 1,
        },
        value: value as u32,
        value_size: 1,
    }
}

/// The fill of a box with a byte.
fn slices(dst: hipPitchedPtr, value: c_int, extent: hipExtent) -> Fill {
    let pitch = dst.pitch as u64;
    Fill {
        dst: Place {
            address: dst.ptr as u64,
            pitch,
            slice: pitch * dst.ysize as u64,
        },
        size: Size {
            width: extent.width as u64,
            height: extent.height as u64,
            depth: extent.depth as u64,
        },
        value: value as u32,
        value_size: 1,
    }
}

hip_api! {
    fn hipMemset(dst: *mut c_void, value: c_int, sizeBytes: usize) {
        values(dst, value as u32, 1, sizeBytes, NULL)
    }

    fn hipMemset_spt(dst: *mut c_void, value: c_int, sizeBytes: usize) {
        values(dst, value as u32, 1, sizeBytes, PER_THREAD)
    }

    fn hipMemsetAsync(dst: *mut c_void, value: c_int, sizeBytes: usize, stream: StreamHandle) {
        values(dst, value as u32, 1, sizeBytes, stream)
    }

    fn hipMemsetAsync_spt(dst: *mut c_void, value: c_int, sizeBytes: usize, stream: StreamHandle) {
        values(dst, value as u32, 1, sizeBytes, own(stream))
    }

    fn hipMemsetD8(dest: DevicePtr, value: u8, count: usize) {
        values(dest, u32::from(value), 1, count, NULL)
    }

    fn hipMemsetD8Async(dest: DevicePtr, value: u8, count: usize, stream: StreamHandle) {
        values(dest, u32::from(value), 1, count, stream)
    }

    fn hipMemsetD16(dest: DevicePtr, value: u16, count: usize) {
        values(dest, u32::from(value), 2, count, NULL)
    }

    fn hipMemsetD16Async(dest: DevicePtr, value: u16, count: usize, stream: StreamHandle) {
        values(dest, u32::from(value), 2, count, stream)
    }

    fn hipMemsetD32(dest: DevicePtr, value: c_int, count: usize) {
        values(dest, value as u32, 4, count, NULL)
    }

    fn hipMemsetD32Async(dst: DevicePtr, value: c_int, count: usize, stream: StreamHandle) {
        values(dst, value as u32, 4, count, stream)
    }

    fn hipMemset2D(dst: *mut c_void, pitch: usize, value: c_int, width: usize, height: usize) {
        submit(rows(dst, pitch, value, width, height), NULL)
    }

    fn hipMemset2D_spt(dst: *mut c_void, pitch: usize, value: c_int, width: usize, height: usize) {
        submit(rows(dst, pitch, value, width, height), PER_THREAD)
    }

    fn hipMemset2DAsync(
        dst: *mut c_void,
        pitch: usize,
        value: c_int,
        width: usize,
        height: usize,
        stream: StreamHandle,
    ) {
        submit(rows(dst, pitch, value, width, height), stream)
    }

    fn hipMemset2DAsync_spt(
        dst: *mut c_void,
        pitch: usize,
        value: c_int,
        width: usize,
        height: usize,
        stream: StreamHandle,
    ) {
        submit(rows(dst, pitch, value, width, height), own(stream))
    }

    fn hipMemset3D(pitchedDevPtr: hipPitchedPtr, value: c_int, extent: hipExtent) {
        submit(slices(pitchedDevPtr, value, extent), NULL)
    }

    fn hipMemset3D_spt(pitchedDevPtr: hipPitchedPtr, value: c_int, extent: hipExtent) {
        submit(slices(pitchedDevPtr, value, extent), PER_THREAD)
    }

    fn hipMemset3DAsync(pitchedDevPtr: hipPitchedPtr, value: c_int, extent: hipExtent, stream: StreamHandle) {
        submit(slices(pitchedDevPtr, value, extent), stream)
    }

    fn hipMemset3DAsync_spt(pitchedDevPtr: hipPitchedPtr, value: c_int, extent: hipExtent, stream: StreamHandle) {
        submit(slices(pitchedDevPtr, value, extent), own(stream))
    }
}
