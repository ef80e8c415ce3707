//! `quantized/rocm.rs` of a backend whose memory and streams are its own.
//!
//! [`DeviceMemory`] and [`RocmDevice`] stand for what such a backend has already. All that it takes from the loader are the
//! operations on pointers and the sizes of padded memory.

use std::ffi::c_void;
use std::marker::PhantomData;
use std::rc::Rc;

use candle_core::quantized::GgmlDType;
use candle_core::{Result, Shape, bail};
use hip_loader::gguf::{GgufKernels, MAX_VEC_BATCH, padded_size, q8_1_size, raw};
use hip_loader::{DeviceElement, DevicePtr, Error, HipError, result, sys};

/// A device of the backend: the kernels, and a stream that the backend made.
#[derive(Clone)]
pub struct RocmDevice {
    kernels: GgufKernels,
    stream: Rc<RocmStream>,
}

struct RocmStream {
    raw: sys::hipStream_t,
    kernels: GgufKernels,
}

/// Memory of the backend.
pub struct DeviceMemory<T> {
    address: *mut c_void,
    len: usize,
    device: RocmDevice,
    element: PhantomData<T>,
}

/// Lets `?` be written where an error of the loader becomes one of candle's.
fn wrap(error: impl Into<Error>) -> candle_core::Error {
    candle_core::Error::wrap(error.into())
}

impl RocmDevice {
    pub fn new(kernels: GgufKernels) -> Result<Self> {
        let api = kernels.device().runtime().api();
        let raw =
            result::stream::create_with_flags(api, sys::hipStreamNonBlocking).map_err(wrap)?;
        Ok(Self {
            stream: Rc::new(RocmStream {
                raw,
                kernels: kernels.clone(),
            }),
            kernels,
        })
    }

    fn api(&self) -> &sys::Api {
        self.kernels.device().runtime().api()
    }

    fn alloc_zeros<T: DeviceElement>(&self, len: usize) -> Result<DeviceMemory<T>> {
        let bytes = (len * size_of::<T>()).max(1);
        let address = result::mem::malloc(self.api(), bytes).map_err(wrap)?;
        let memory = DeviceMemory {
            address,
            len,
            device: self.clone(),
            element: PhantomData,
        };
        // SAFETY: the memory is as large, and nothing else uses it.
        unsafe { result::mem::set_async(self.api(), address, 0, bytes, self.stream.raw) }
            .map_err(wrap)?;
        Ok(memory)
    }

    pub fn upload<T: DeviceElement>(&self, from: &[T], len: usize) -> Result<DeviceMemory<T>> {
        let to = self.alloc_zeros::<T>(len.max(from.len()))?;
        let (bytes, kind) = (size_of_val(from), sys::hipMemcpyHostToDevice);
        let copied = |to: *mut c_void| -> std::result::Result<(), HipError> {
            // SAFETY: both sides are as long, and the host waits for the copy.
            unsafe {
                result::mem::copy_async(
                    self.api(),
                    to,
                    from.as_ptr().cast(),
                    bytes,
                    kind,
                    self.stream.raw,
                )?;
                result::stream::synchronize(self.api(), self.stream.raw)
            }
        };
        copied(to.address).map_err(wrap)?;
        Ok(to)
    }
}

impl Drop for RocmStream {
    fn drop(&mut self) {
        // SAFETY: the stream was made by `RocmDevice::new`, and this was its last handle.
        let _ = unsafe { result::stream::destroy(self.kernels.device().runtime().api(), self.raw) };
    }
}

impl<T: DeviceElement> DeviceMemory<T> {
    fn ptr(&self) -> DevicePtr {
        self.address.into()
    }

    pub fn download(&self) -> Result<Vec<T>> {
        let mut to = Vec::<T>::with_capacity(self.len);
        let (api, stream) = (self.device.api(), self.device.stream.raw);
        let (bytes, kind) = (self.len * size_of::<T>(), sys::hipMemcpyDeviceToHost);
        // SAFETY: there is room for as many elements, and the host waits for the copy, which writes all of them.
        unsafe {
            result::mem::copy_async(
                api,
                to.as_mut_ptr().cast(),
                self.address,
                bytes,
                kind,
                stream,
            )
            .map_err(wrap)?;
            result::stream::synchronize(api, stream).map_err(wrap)?;
            to.set_len(self.len);
        }
        Ok(to)
    }
}

impl<T> Drop for DeviceMemory<T> {
    fn drop(&mut self) {
        // SAFETY: the memory came from `alloc_zeros`; freeing waits for the work that uses it.
        let _ = unsafe { result::mem::free(self.device.api(), self.address) };
    }
}

/// Quantized weights, as candle's `QCudaStorage`.
pub struct QRocmStorage {
    data: DeviceMemory<u8>,
    dtype: GgmlDType,
    device: RocmDevice,
}

impl QRocmStorage {
    pub fn load(device: &RocmDevice, blocks: &[u8], dtype: GgmlDType) -> Result<Self> {
        let padded = padded_size(dtype.into(), blocks.len()).map_err(wrap)?;
        Ok(Self {
            data: device.upload(blocks, padded)?,
            dtype,
            device: device.clone(),
        })
    }

    pub fn dequantize(&self, elements: usize) -> Result<DeviceMemory<f32>> {
        let out = self.device.alloc_zeros(elements)?;
        let operands = raw::Dequantize {
            dtype: self.dtype.into(),
            weights: self.data.ptr(),
            out: out.ptr(),
            elements,
        };
        // SAFETY: the memory is as large as the operands say, and only this stream uses it.
        unsafe {
            self.device
                .kernels
                .dequantize_f32_raw(self.device.stream.raw, &operands)
        }
        .map_err(wrap)?;
        Ok(out)
    }

    pub fn fwd(
        &self,
        self_shape: &Shape,
        activations: &DeviceMemory<f32>,
        shape: &Shape,
    ) -> Result<(DeviceMemory<f32>, Shape)> {
        let (rows, columns) = self_shape.dims2()?;
        let mut dims = shape.dims().to_vec();
        if dims.pop() != Some(columns) {
            bail!("mismatch on matmul dim {self_shape:?} {shape:?}")
        }
        let batch = dims.iter().product();
        dims.push(rows);
        if activations.len != batch * columns {
            bail!("{shape:?} in memory of {} elements", activations.len)
        }
        let dtype = self.dtype.into();
        let (kernels, stream) = (&self.device.kernels, self.device.stream.raw);
        let out = self.device.alloc_zeros(rows * batch)?;
        let size = q8_1_size(batch, columns).map_err(|error| wrap(Error::from(error)))?;
        let quantized = self.device.alloc_zeros::<u8>(size)?;
        let quantize = raw::QuantizeQ8_1 {
            activations: activations.ptr(),
            quantized: quantized.ptr(),
            rows: batch,
            columns,
        };
        let multiply = raw::MulMat {
            dtype,
            weights: self.data.ptr(),
            quantized: quantized.ptr(),
            out: out.ptr(),
            rows,
            columns,
            batch,
        };
        // SAFETY: the memory is as large as the operands say, and only this stream uses it.
        unsafe {
            kernels.quantize_q8_1_raw(stream, &quantize).map_err(wrap)?;
            match batch {
                0 => {}
                1..=MAX_VEC_BATCH => kernels.mul_mat_vec_raw(stream, &multiply).map_err(wrap)?,
                _ => kernels.mul_mat_raw(stream, &multiply).map_err(wrap)?,
            }
        }
        Ok((out, dims.into()))
    }
}
