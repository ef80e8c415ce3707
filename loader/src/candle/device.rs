//! The device of a backend: a stream and the kernels.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::cast::Casts;
use crate::gguf::{GgufKernels, MatmulPath};
use crate::safe::{Device, Error, Image, Module, Stream};

/// The bundles that a [`HipDevice`] takes its kernels from.
#[derive(Clone, Debug)]
pub struct Kernels {
    quantized: Image,
    cast: Option<Image>,
}

impl Kernels {
    /// The bundle of `quantized.cu`.
    pub fn new(quantized: Image) -> Self {
        Self {
            quantized,
            cast: None,
        }
    }

    /// Adds the bundle of `cast.cu`. Without it activations of f16 and bf16 are converted on the CPU.
    #[must_use]
    pub fn with_cast(mut self, cast: Image) -> Self {
        self.cast = Some(cast);
        self
    }
}

/// A device as a backend has it: a stream, and the kernels. Cloning makes another handle to the same.
///
/// Threads may share it. For work of several threads that does not wait for each other's, give each one a device of its
/// own with [`HipDevice::with_new_stream`]; kernels and weights are shared all the same.
#[derive(Clone)]
pub struct HipDevice {
    inner: Arc<Inner>,
}

#[derive(Clone)]
struct Inner {
    stream: Stream,
    kernels: GgufKernels,
    casts: Option<Casts>,
    force_dmmv: Arc<AtomicBool>,
}

impl HipDevice {
    /// Loads the kernels on a device, and makes a stream.
    ///
    /// # Errors
    /// As [`Module::load`], or what the library answers.
    pub fn new(device: &Device, kernels: &Kernels) -> Result<Self, Error> {
        let stream = device.new_stream()?;
        Self::on_stream(&stream, kernels)
    }

    /// Loads the kernels on the device of `stream`, and works on that stream.
    ///
    /// # Errors
    /// As [`Module::load`].
    pub fn on_stream(stream: &Stream, kernels: &Kernels) -> Result<Self, Error> {
        let device = stream.device();
        let casts = match &kernels.cast {
            Some(image) => Some(Casts::new(Module::load(device, image)?)?),
            None => None,
        };
        let inner = Inner {
            stream: stream.clone(),
            kernels: GgufKernels::load(device, &kernels.quantized)?,
            casts,
            force_dmmv: Arc::default(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// The same kernels with a new stream.
    ///
    /// # Errors
    /// What the library answers.
    pub fn with_new_stream(&self) -> Result<Self, Error> {
        let stream = self.inner.stream.device().new_stream()?;
        let inner = Inner {
            stream,
            ..Inner::clone(&self.inner)
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// The context.
    pub fn device(&self) -> &Device {
        self.inner.stream.device()
    }

    /// The stream that all work is put on.
    pub fn stream(&self) -> &Stream {
        &self.inner.stream
    }

    /// The quantized kernels.
    pub fn kernels(&self) -> &GgufKernels {
        &self.inner.kernels
    }

    pub(super) fn casts(&self) -> Option<&Casts> {
        self.inner.casts.as_ref()
    }

    /// Whether products are computed with `dequantize_mul_mat_vec`, which does not quantize activations: candle's
    /// `set_force_dmmv`, for this device and all devices with the same kernels instead of the whole process.
    pub fn set_force_dmmv(&self, force: bool) {
        self.inner.force_dmmv.store(force, Ordering::Relaxed);
    }

    pub(super) fn matmul_path(&self) -> MatmulPath {
        if self.inner.force_dmmv.load(Ordering::Relaxed) {
            MatmulPath::DequantizeMulMatVec
        } else {
            MatmulPath::Auto
        }
    }
}

impl fmt::Debug for HipDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HipDevice").field(self.device()).finish()
    }
}
