//! Elements of one dtype in device memory.

use candle_core::{CpuStorage, DType};
use half::{bf16, f16};

use super::HipDevice;
use super::convert::WrapErr;
use crate::safe::{DeviceBuffer, DeviceElement};

/// Device memory with the dtype of its elements.
#[derive(Debug)]
pub enum HipStorageSlice {
    /// Unsigned bytes.
    U8(DeviceBuffer<u8>),
    /// Unsigned words: ids.
    U32(DeviceBuffer<u32>),
    /// Signed 64-bit integers.
    I64(DeviceBuffer<i64>),
    /// Brain floats of 16 bits.
    BF16(DeviceBuffer<bf16>),
    /// Floats of 16 bits.
    F16(DeviceBuffer<f16>),
    /// Floats of 32 bits.
    F32(DeviceBuffer<f32>),
    /// Floats of 64 bits.
    F64(DeviceBuffer<f64>),
}

/// Elements in device memory, as candle's `CudaStorage`.
#[derive(Debug)]
pub struct HipStorage {
    /// The memory.
    pub slice: HipStorageSlice,
    /// Where it is.
    pub device: HipDevice,
}

/// Rust types of elements that a [`HipStorage`] can have.
pub trait HipDType: DeviceElement + sealed::Sealed {
    /// The dtype.
    const DTYPE: DType;

    /// The memory with its dtype.
    fn wrap(buffer: DeviceBuffer<Self>) -> HipStorageSlice;

    /// The memory, if it has this dtype.
    fn unwrap(slice: &HipStorageSlice) -> Option<&DeviceBuffer<Self>>;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! dtypes {
    ($($ty:ty => $name:ident;)*) => {
        $(
            impl sealed::Sealed for $ty {}

            impl HipDType for $ty {
                const DTYPE: DType = DType::$name;

                fn wrap(buffer: DeviceBuffer<Self>) -> HipStorageSlice {
                    HipStorageSlice::$name(buffer)
                }

                fn unwrap(slice: &HipStorageSlice) -> Option<&DeviceBuffer<Self>> {
                    match slice {
                        HipStorageSlice::$name(buffer) => Some(buffer),
                        _ => None,
                    }
                }
            }
        )*

        impl HipStorage {
            /// The dtype of the elements.
            pub fn dtype(&self) -> DType {
                match &self.slice {
                    $(HipStorageSlice::$name(_) => DType::$name,)*
                }
            }

            /// The number of elements.
            pub fn elem_count(&self) -> usize {
                match &self.slice {
                    $(HipStorageSlice::$name(buffer) => buffer.len(),)*
                }
            }

            /// Copies elements to the device.
            ///
            /// # Errors
            /// A dtype that this storage does not have, or what the library answers.
            pub fn from_cpu_storage(device: &HipDevice, storage: &CpuStorage) -> super::Result<Self> {
                let slice = match storage {
                    $(CpuStorage::$name(elements) => {
                        HipStorageSlice::$name(device.stream().clone_htod(elements).w()?)
                    })*
                    other => return Err(unsupported(storage_dtype(other))),
                };
                Ok(Self { slice, device: device.clone() })
            }

            /// Copies elements to the CPU.
            ///
            /// # Errors
            /// What the library answers.
            pub fn to_cpu_storage(&self) -> super::Result<CpuStorage> {
                let stream = self.device.stream();
                Ok(match &self.slice {
                    $(HipStorageSlice::$name(buffer) => {
                        CpuStorage::$name(stream.clone_dtoh(buffer).w()?)
                    })*
                })
            }

            /// A copy in device memory of its own.
            ///
            /// # Errors
            /// What the library answers.
            pub fn try_clone(&self) -> super::Result<Self> {
                let stream = self.device.stream();
                let slice = match &self.slice {
                    $(HipStorageSlice::$name(buffer) => {
                        HipStorageSlice::$name(stream.clone_dtod(buffer).w()?)
                    })*
                };
                Ok(Self { slice, device: self.device.clone() })
            }
        }
    };
}

dtypes! {
    u8 => U8;
    u32 => U32;
    i64 => I64;
    bf16 => BF16;
    f16 => F16;
    f32 => F32;
    f64 => F64;
}

fn storage_dtype(storage: &CpuStorage) -> DType {
    use candle_core::backend::BackendStorage;
    storage.dtype()
}

fn unsupported(dtype: DType) -> candle_core::Error {
    candle_core::Error::Msg(format!(
        "a HipStorage has no elements of {dtype:?}; u8, u32, i64, bf16, f16, f32 and f64 are possible"
    ))
    .bt()
}

impl HipStorage {
    /// Puts a name on memory that was made elsewhere.
    pub fn wrap<T: HipDType>(buffer: DeviceBuffer<T>, device: HipDevice) -> Self {
        Self {
            slice: T::wrap(buffer),
            device,
        }
    }

    /// The memory, whose elements have to be `T`.
    ///
    /// # Errors
    /// [`candle_core::Error::UnexpectedDType`].
    pub fn as_hip_slice<T: HipDType>(&self) -> super::Result<&DeviceBuffer<T>> {
        T::unwrap(&self.slice).ok_or_else(|| {
            candle_core::Error::UnexpectedDType {
                msg: "elements in device memory",
                expected: T::DTYPE,
                got: self.dtype(),
            }
            .bt()
        })
    }
}
