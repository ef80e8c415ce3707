//! A safe binding of libamdhip64, AMD's GPU runtime, and launch plans for candle's quantized kernels.
//!
//! The library is opened at run time: a program that uses this crate builds and starts on a machine without ROCm, and says
//! what it looked for when it needs a GPU. Code comes as offload bundles, of which the code object for the device is
//! picked. A launch is checked against what the code object says about the kernel, before anything is launched.
//!
//! | module | what it is |
//! |---|---|
//! | [`sys`] | the function table, the types of `hip_runtime_api.h`, the search for the library |
//! | [`result`] | the same functions with `Result`s |
//! | [`safe`] | owning types; all of its names are names of the crate as well |
//! | [`gguf`] | quantized matrices: every kernel of candle's `quantized.cu` |
//! | `candle` | feature `candle`: storage, tensors and GGUF files at candle's level |
//!
//! # The whole path, step by step
//!
//! **1. A runtime.** [`Runtime::load`] looks for the library as [`sys::candidates`] says: `HIP_LOADER_LIB` first, then the
//! names that ROCm's releases have.
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/emulator.rs"));
//! # fn main() -> Result<(), hip_loader::Error> {
//! # // SAFETY: a doc test has one thread.
//! # unsafe { std::env::set_var("HIP_LOADER_LIB", emulator()) };
//! use hip_loader::Runtime;
//!
//! let runtime = Runtime::load()?;
//! println!("HIP {} from {}", runtime.version(), runtime.library().display());
//! # Ok(())
//! # }
//! ```
//!
//! **2. A device and a stream.** Work is put on streams, and runs in their order.
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/emulator.rs"));
//! # fn main() -> Result<(), hip_loader::Error> {
//! # let runtime = hip_loader::Runtime::open(emulator())?;
//! let device = runtime.device(0)?;
//! println!("{}: {}, wavefronts of {}", device.name()?, device.target(), device.limits().wavefront_size);
//! let stream = device.new_stream()?;
//! # stream.synchronize()
//! # }
//! ```
//!
//! **3. Memory.** Copies from and to slices wait for the stream; those from and to a [`PinnedBuffer`] do not. A buffer's
//! memory goes back to its stream when the buffer is dropped, behind the work that uses it.
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/emulator.rs"));
//! # fn main() -> Result<(), hip_loader::Error> {
//! # let stream = hip_loader::Runtime::open(emulator())?.device(0)?.new_stream()?;
//! let mut numbers = stream.clone_htod(&[1.0_f32, 2.0, 3.0, 4.0])?;
//! stream.memset_zeros(&mut numbers.slice_mut(1..3)?)?;
//! assert_eq!(stream.clone_dtoh(&numbers)?, [1.0, 0.0, 0.0, 4.0]);
//! # Ok(())
//! # }
//! ```
//!
//! **4. A module.** [`Image::open`] maps a bundle into memory, [`Module::load`] gives the runtime the code object for this
//! device. A bundle without one is refused with a list of what it has; a name that is no kernel with the nearest names.
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/emulator.rs"));
//! # fn main() -> Result<(), hip_loader::Error> {
//! # let device = hip_loader::Runtime::open(emulator())?.device(0)?;
//! use hip_loader::{Image, Module};
//!
//! let module = Module::load(&device, &Image::open("tests/data/kernels.hipfb")?)?;
//! let saxpy = module.function("saxpy")?;
//! assert_eq!(saxpy.args().len(), 4);
//! let error = module.function("saxpi").unwrap_err();
//! assert!(error.to_string().ends_with("did you mean `saxpy`?"));
//! # Ok(())
//! # }
//! ```
//!
//! **5. A launch.** Arguments are checked one by one: how many, how large, pointer or value. What a kernel does with its
//! pointers cannot be checked, which is why [`LaunchBuilder::run`] is `unsafe`.
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/emulator.rs"));
//! # fn main() -> Result<(), hip_loader::Error> {
//! # let device = hip_loader::Runtime::open(emulator())?.device(0)?;
//! # let module = hip_loader::Module::load(&device, &hip_loader::Image::open("tests/data/kernels.hipfb")?)?;
//! # let saxpy = module.function("saxpy")?;
//! # let stream = device.new_stream()?;
//! use hip_loader::LaunchConfig;
//!
//! let x = stream.clone_htod(&[1.0_f32; 1000])?;
//! let mut y = stream.clone_htod(&[2.0_f32; 1000])?;
//! let config = LaunchConfig::for_elements(1000, 256);
//! // SAFETY: `saxpy` reads and writes as many elements as its last argument says.
//! unsafe { stream.launch(&saxpy).arg(3.0_f32).arg(&x).arg(&mut y).arg(1000_i32).run(config) }?;
//! assert_eq!(stream.clone_dtoh(&y)?, [5.0; 1000]);
//!
//! // A double where the kernel takes a float:
//! // SAFETY: nothing is launched.
//! let refused = unsafe { stream.launch(&saxpy).arg(3.0_f64).arg(&x).arg(&mut y).arg(1000_i32).run(config) };
//! assert_eq!(
//!     refused.unwrap_err().to_string(),
//!     "kernel `saxpy`: argument 0: a value of 4 bytes is expected, 8 bytes were given"
//! );
//! # Ok(())
//! # }
//! ```
//!
//! **6. Several streams.** A buffer may be used on any stream of its device; the order comes by itself ([`safe`] says how).
//! Memory that is not written any more becomes a [`SharedBuffer`], which needs no order.
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/emulator.rs"));
//! # fn main() -> Result<(), hip_loader::Error> {
//! # let device = hip_loader::Runtime::open(emulator())?.device(0)?;
//! # let module = hip_loader::Module::load(&device, &hip_loader::Image::open("tests/data/kernels.hipfb")?)?;
//! # let saxpy = module.function("saxpy")?;
//! # let config = hip_loader::LaunchConfig::for_elements(1000, 256);
//! let (one, other) = (device.new_stream()?, device.new_stream()?);
//! let x = one.clone_htod(&[1.0_f32; 1000])?.into_shared()?;
//! let mut y = one.alloc_zeros::<f32>(1000)?;
//! for stream in [&one, &other, &one] {
//!     // SAFETY: as above.
//!     unsafe { stream.launch(&saxpy).arg(1.0_f32).arg(&x).arg(&mut y).arg(1000_i32).run(config) }?;
//! }
//! assert_eq!(other.clone_dtoh(&y)?, [3.0; 1000]);
//! # Ok(())
//! # }
//! ```
//!
//! **7. Time and graphs.** Events measure; a graph records work once and launches it many times.
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/emulator.rs"));
//! # fn main() -> Result<(), hip_loader::Error> {
//! # let device = hip_loader::Runtime::open(emulator())?.device(0)?;
//! # let module = hip_loader::Module::load(&device, &hip_loader::Image::open("tests/data/kernels.hipfb")?)?;
//! # let saxpy = module.function("saxpy")?;
//! # let config = hip_loader::LaunchConfig::for_elements(1000, 256);
//! # let stream = device.new_stream()?;
//! use hip_loader::{CaptureMode, EventTiming};
//!
//! let x = stream.clone_htod(&[1.0_f32; 1000])?;
//! let mut y = stream.alloc_zeros::<f32>(1000)?;
//! let graph = stream.capture(CaptureMode::default(), |stream| {
//!     // SAFETY: as above.
//!     unsafe { stream.launch(&saxpy).arg(2.0_f32).arg(&x).arg(&mut y).arg(1000_i32).run(config) }
//! })?;
//! let exec = graph.instantiate()?;
//! let start = stream.record(EventTiming::Enabled)?;
//! for _ in 0..10 {
//!     // SAFETY: the buffers and the module are there, and nothing else uses the buffers.
//!     unsafe { exec.launch(&stream) }?;
//! }
//! let stop = stream.record(EventTiming::Enabled)?;
//! stop.synchronize()?;
//! println!("{:?} for a launch", stop.elapsed(&start)? / 10);
//! assert_eq!(stream.clone_dtoh(&y)?, [20.0; 1000]);
//! # Ok(())
//! # }
//! ```
//!
//! **8. Quantized matrices** are the subject of [`gguf`], GGUF files and candle's tensors that of `candle`.
//!
//! # What it costs
//! A launch through [`LaunchBuilder`] is one call of `hipModuleLaunchKernel` and some comparisons; a [`Function`] is found
//! by a hash look-up; buffers of a stream come from memory that it freed before. `docs/performance.md` has the figures.
//!
//! # Errors
//! Everything that can go wrong is an [`Error`]: what the library answered ([`HipError`], with its own words and the call),
//! or what was refused before the library was asked. Nothing panics on an answer of the library.

#[cfg(feature = "candle")]
pub mod candle;
pub mod gguf;
pub mod result;
pub mod safe;
pub mod sys;

pub use result::{ErrorKind, HipError};
pub use safe::*;
pub use sys::LoadError;
