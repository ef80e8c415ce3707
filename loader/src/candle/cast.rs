//! Activations of 16 bits: to f32 and back, with the kernels of candle's `cast.cu`.

use half::{bf16, f16};

use crate::safe::{
    DeviceBuffer, DeviceElement, DevicePtr, DeviceSlice, Error, Function, LaunchConfig, Module,
    Stream,
};

/// Work-items of a block, as candle launches these kernels.
const BLOCK: u32 = 1024;

/// The kernels for the conversions that products need.
#[derive(Clone, Debug)]
pub(super) struct Casts {
    f16_f32: Function,
    bf16_f32: Function,
    f32_f16: Function,
    f32_bf16: Function,
}

/// An element type of 16 bits that activations may have.
pub(super) trait Half: DeviceElement {
    /// The kernels from and to f32.
    fn kernels(casts: &Casts) -> (&Function, &Function);
    fn from_f32(value: f32) -> Self;
    fn to_f32(self) -> f32;
}

macro_rules! halves {
    ($($ty:ident: $widen:ident, $narrow:ident;)*) => {$(
        impl Half for $ty {
            fn kernels(casts: &Casts) -> (&Function, &Function) {
                (&casts.$widen, &casts.$narrow)
            }

            fn from_f32(value: f32) -> Self {
                $ty::from_f32(value)
            }

            fn to_f32(self) -> f32 {
                $ty::to_f32(self)
            }
        }
    )*};
}

halves! {
    f16: f16_f32, f32_f16;
    bf16: bf16_f32, f32_bf16;
}

impl Casts {
    pub(super) fn new(module: Module) -> Result<Self, Error> {
        Ok(Self {
            f16_f32: module.function("cast_f16_f32")?,
            bf16_f32: module.function("cast_bf16_f32")?,
            f32_f16: module.function("cast_f32_f16")?,
            f32_bf16: module.function("cast_f32_bf16")?,
        })
    }
}

/// f32 of activations of 16 bits: by a kernel, or on the CPU without one.
pub(super) fn widen<T: Half>(
    casts: Option<&Casts>,
    stream: &Stream,
    from: DeviceSlice<'_, T>,
) -> Result<DeviceBuffer<f32>, Error> {
    match casts {
        Some(casts) => cast(T::kernels(casts).0, stream, from),
        None => {
            let host = stream.clone_dtoh(from)?;
            stream.clone_htod(&host.into_iter().map(T::to_f32).collect::<Vec<_>>())
        }
    }
}

/// Activations of 16 bits of f32: by a kernel, or on the CPU without one.
pub(super) fn narrow<T: Half>(
    casts: Option<&Casts>,
    stream: &Stream,
    from: DeviceSlice<'_, f32>,
) -> Result<DeviceBuffer<T>, Error> {
    match casts {
        Some(casts) => cast(T::kernels(casts).1, stream, from),
        None => {
            let host = stream.clone_dtoh(from)?;
            stream.clone_htod(&host.into_iter().map(T::from_f32).collect::<Vec<_>>())
        }
    }
}

/// Elements that one launch converts. The kernels count them, and the steps of their grid, in 32 bits.
const CHUNK: usize = 1 << 30;

fn cast<T: DeviceElement, U: DeviceElement>(
    kernel: &Function,
    stream: &Stream,
    from: DeviceSlice<'_, T>,
) -> Result<DeviceBuffer<U>, Error> {
    // SAFETY: the kernel writes all of it.
    let mut to = unsafe { stream.alloc::<U>(from.len()) }?;
    for first in (0..from.len()).step_by(CHUNK) {
        let count = CHUNK.min(from.len() - first);
        let source = from.slice(first..first + count)?;
        let target = to.slice_mut(first..first + count)?;
        let mut launch = stream.launch(kernel);
        // A null pointer for dimensions and strides says that elements follow each other.
        launch
            .arg(count)
            .arg(0_usize)
            .arg(DevicePtr::NULL)
            .arg(source)
            .arg(target);
        // SAFETY: the kernel reads and writes as many elements as its first argument says.
        unsafe { launch.run(LaunchConfig::for_elements(count as u32, BLOCK)) }?;
    }
    Ok(to)
}
