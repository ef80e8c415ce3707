//! What a backend has already, in miniature: a device with a stream, memory, storage with a dtype. None of it is the loader's.
//!
//! The functions of the library are called through the loader's table here, because an example cannot link a ROCm. A
//! fork has bindings of its own in this place (rocm-rs, cubecl's), which open the same library.

use std::ffi::c_void;
use std::marker::PhantomData;
use std::rc::Rc;

use candle_core::{CpuStorage, DType, Layout, Result, bail};
use half::{bf16, f16};
use hip_loader::gguf::GgufKernels;
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
pub fn wrap(error: impl Into<Error>) -> candle_core::Error {
    candle_core::Error::wrap(error.into())
}

impl RocmDevice {
    /// A device with the kernels of a loaded module, and a stream of its own.
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

    /// The kernels of `quantized.cu`.
    pub fn kernels(&self) -> &GgufKernels {
        &self.kernels
    }

    /// The stream.
    pub fn stream(&self) -> sys::hipStream_t {
        self.stream.raw
    }

    fn api(&self) -> &sys::Api {
        self.kernels.device().runtime().api()
    }

    /// Memory of zeros.
    pub fn alloc_zeros<T: DeviceElement>(&self, len: usize) -> Result<DeviceMemory<T>> {
        let bytes = (len * size_of::<T>()).max(1);
        let address = result::mem::malloc(self.api(), bytes).map_err(wrap)?;
        let memory = DeviceMemory {
            address,
            len,
            device: self.clone(),
            element: PhantomData,
        };
        // SAFETY: the memory is as large, and nothing else uses it.
        unsafe { result::mem::set_async(self.api(), address, 0, bytes, self.stream()) }
            .map_err(wrap)?;
        Ok(memory)
    }

    /// Memory of `len` elements that starts with a copy of `from`; the rest is zero.
    pub fn upload<T: DeviceElement>(&self, from: &[T], len: usize) -> Result<DeviceMemory<T>> {
        let to = self.alloc_zeros::<T>(len.max(from.len()))?;
        let (bytes, kind) = (size_of_val(from), sys::hipMemcpyHostToDevice);
        let copied = |to: *mut c_void| -> std::result::Result<(), HipError> {
            let (api, from) = (self.api(), from.as_ptr().cast());
            // SAFETY: both sides are as long, and the host waits for the copy.
            unsafe {
                result::mem::copy_async(api, to, from, bytes, kind, self.stream())?;
                result::stream::synchronize(api, self.stream())
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
    /// The number of elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The address of element `first`.
    pub fn at(&self, first: usize) -> DevicePtr {
        DevicePtr::from(self.address).add(first * size_of::<T>())
    }

    /// The first `len` elements, in host memory.
    pub fn download(&self, len: usize) -> Result<Vec<T>> {
        let len = len.min(self.len);
        let mut to = Vec::<T>::with_capacity(len);
        let (api, stream) = (self.device.api(), self.device.stream());
        let (bytes, kind) = (len * size_of::<T>(), sys::hipMemcpyDeviceToHost);
        let room = to.as_mut_ptr().cast();
        // SAFETY: there is room for as many elements, and the host waits for the copy, which writes all of them.
        unsafe {
            result::mem::copy_async(api, room, self.address, bytes, kind, stream).map_err(wrap)?;
            result::stream::synchronize(api, stream).map_err(wrap)?;
            to.set_len(len);
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

/// Memory with the dtype of its elements.
pub enum RocmStorageSlice {
    /// Ids.
    U32(DeviceMemory<u32>),
    /// Brain floats.
    BF16(DeviceMemory<bf16>),
    /// Halves.
    F16(DeviceMemory<f16>),
    /// Floats.
    F32(DeviceMemory<f32>),
}

/// Elements of one dtype on the device.
pub struct RocmStorage {
    /// The memory.
    pub slice: RocmStorageSlice,
    /// Where it is.
    pub device: RocmDevice,
}

macro_rules! storage {
    ($($name:ident),*) => {
        impl RocmStorage {
            /// The dtype of the elements.
            pub fn dtype(&self) -> DType {
                match &self.slice {
                    $(RocmStorageSlice::$name(_) => DType::$name,)*
                }
            }

            /// Copies elements to the device.
            pub fn from_cpu_storage(device: &RocmDevice, storage: &CpuStorage) -> Result<Self> {
                let slice = match storage {
                    $(CpuStorage::$name(elements) => {
                        RocmStorageSlice::$name(device.upload(elements, 0)?)
                    })*
                    _ => bail!("this small backend has u32, bf16, f16 and f32"),
                };
                Ok(Self { slice, device: device.clone() })
            }

            /// Copies elements to the CPU.
            pub fn to_cpu_storage(&self) -> Result<CpuStorage> {
                Ok(match &self.slice {
                    $(RocmStorageSlice::$name(memory) => {
                        CpuStorage::$name(memory.download(memory.len())?)
                    })*
                })
            }
        }
    };
}

storage!(U32, BF16, F16, F32);

impl RocmStorage {
    /// Memory of floats as storage.
    pub fn f32(memory: DeviceMemory<f32>) -> Self {
        Self {
            device: memory.device.clone(),
            slice: RocmStorageSlice::F32(memory),
        }
    }

    /// The elements that a contiguous layout names, as another dtype. A real backend has kernels for it.
    pub fn to_dtype(&self, layout: &Layout, dtype: DType) -> Result<Self> {
        let Some((first, end)) = layout.contiguous_offsets() else {
            let op = "to_dtype";
            return Err(candle_core::Error::RequiresContiguous { op }.bt());
        };
        let floats: Vec<f32> = match self.to_cpu_storage()? {
            CpuStorage::F32(all) => all[first..end].to_vec(),
            CpuStorage::F16(all) => all[first..end].iter().map(|x| x.to_f32()).collect(),
            CpuStorage::BF16(all) => all[first..end].iter().map(|x| x.to_f32()).collect(),
            other => bail!("{other:?} are no floats"),
        };
        let converted = match dtype {
            DType::F16 => CpuStorage::F16(floats.into_iter().map(f16::from_f32).collect()),
            DType::BF16 => CpuStorage::BF16(floats.into_iter().map(bf16::from_f32).collect()),
            _ => CpuStorage::F32(floats),
        };
        Self::from_cpu_storage(&self.device, &converted)
    }
}
