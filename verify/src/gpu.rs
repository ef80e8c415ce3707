//! The device that runs the kernels: a module loaded through the loader.

use std::rc::Rc;

use codeobject::processor;
use hip_loader::gguf::{GgmlType, GgufKernels, KernelId, Operation, raw};
use hip_loader::{DeviceBuffer, DevicePtr, Error, Image, LaunchBuilder, LaunchConfig, Stream};

use crate::case::{Arg, Geometry, Gguf, Launch};
use crate::observer::Observer;
use crate::report::Resources;
use crate::runner::Device;

/// Bytes of the smallest thing that memory atomics exchange.
const WORD: usize = 4;
/// Findings of the memory checker that a message tells.
const TOLD: usize = 3;

/// A module on a device, with a stream of its own.
pub(crate) struct Gpu {
    kernels: GgufKernels,
    stream: Stream,
    observer: Option<Rc<Observer>>,
    /// Whether a launch failed, after which the device is of no use.
    failed: bool,
}

impl Gpu {
    pub(crate) fn load(
        device: &hip_loader::Device,
        image: &Image,
        observer: Option<Rc<Observer>>,
    ) -> Result<Self, Error> {
        Ok(Gpu {
            kernels: GgufKernels::load(device, image)?,
            stream: device.new_stream()?,
            observer,
            failed: false,
        })
    }

    /// The symbols of the code object's kernels.
    pub(crate) fn kernels(&self) -> impl Iterator<Item = &str> {
        self.kernels
            .module()
            .kernels()
            .map(|kernel| kernel.name.as_str())
    }

    pub(crate) fn has(&self, kernel: &str) -> bool {
        self.kernels.module().has_function(kernel)
    }

    /// Whether a launch failed, after which the device must be reset.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed
    }

    /// What the code object says that a kernel takes.
    pub(crate) fn resources(&self, symbol: &str) -> Option<Resources> {
        let module = self.kernels.module();
        let kernel = module.kernels().find(|kernel| kernel.name == symbol)?;
        let occupancy = processor::by_name(&module.target().processor)
            .and_then(|p| kernel.occupancy(p, kernel.max_flat_workgroup_size, 0));
        Some(Resources {
            vgprs: kernel.vgpr_count,
            sgprs: kernel.sgpr_count,
            lds: kernel.group_segment_fixed_size,
            spilled: kernel.vgpr_spill_count,
            scratch: kernel.private_segment_fixed_size,
            max_threads: kernel.max_flat_workgroup_size,
            waves_per_simd: occupancy.map(|o| o.waves_per_simd),
            max_waves_per_simd: occupancy.map(|o| o.max_waves_per_simd),
        })
    }

    fn buffer(&self, arg: &Arg) -> Result<Option<DeviceBuffer<u8>>, Error> {
        // What a kernel updates is whole words, as with any allocator: atomics of 16 bits exchange the word around an
        // element.
        let words = |mut bytes: Vec<u8>| {
            bytes.resize(bytes.len().next_multiple_of(WORD), Arg::UNTOUCHED);
            self.stream.clone_htod(&bytes)
        };
        Ok(match arg {
            Arg::Input(bytes) => Some(self.stream.clone_htod(bytes)?),
            Arg::InOut(bytes) => Some(words(bytes.clone())?),
            Arg::Output(bytes) => Some(words(vec![Arg::UNTOUCHED; *bytes])?),
            Arg::Null | Arg::Value(_) => None,
        })
    }

    fn launch(
        &self,
        kernel: &str,
        launch: Launch,
        args: &[Arg],
    ) -> Result<Vec<Option<Vec<u8>>>, Error> {
        let buffers = args
            .iter()
            .map(|arg| self.buffer(arg))
            .collect::<Result<Vec<_>, _>>()?;
        match launch {
            Launch::Kernel(geometry) => self.launch_kernel(kernel, geometry, args, &buffers)?,
            Launch::Gguf(operation) => self.launch_gguf(kernel, operation, &buffers)?,
        }
        self.stream.synchronize()?;
        args.iter()
            .zip(&buffers)
            .map(|(arg, buffer)| {
                let length = match arg {
                    Arg::Output(bytes) => *bytes,
                    Arg::InOut(bytes) => bytes.len(),
                    _ => return Ok(None),
                };
                let Some(buffer) = buffer else {
                    return Ok(None);
                };
                let mut bytes = self.stream.clone_dtoh(buffer)?;
                bytes.truncate(length);
                Ok(Some(bytes))
            })
            .collect()
    }

    fn launch_kernel(
        &self,
        kernel: &str,
        geometry: Geometry,
        args: &[Arg],
        buffers: &[Option<DeviceBuffer<u8>>],
    ) -> Result<(), Error> {
        let function = self.kernels.module().function(kernel)?;
        let mut launch = self.stream.launch(&function);
        for (arg, buffer) in args.iter().zip(buffers) {
            match (arg, buffer) {
                (_, Some(buffer)) => {
                    launch.arg(buffer);
                }
                (Arg::Value(bytes), None) => give_value(&mut launch, bytes),
                _ => {
                    launch.arg(DevicePtr(0));
                }
            }
        }
        let config = LaunchConfig {
            grid: geometry.grid,
            block: geometry.block,
            shared_bytes: geometry.shared,
        };
        // SAFETY: each case gives the kernel buffers of the sizes that candle gives it for the same shape, all of them
        // fresh, and the stream is waited for before they are read or dropped.
        unsafe { launch.run(config) }
    }

    fn launch_gguf(
        &self,
        kernel: &str,
        operation: Gguf,
        buffers: &[Option<DeviceBuffer<u8>>],
    ) -> Result<(), Error> {
        let (kernels, stream) = (&self.kernels, self.stream.raw());
        let at = |i: usize| buffers[i].as_ref().map_or(DevicePtr(0), DeviceBuffer::ptr);
        debug_assert_eq!(
            symbol(operation)?,
            kernel,
            "the loader launches another kernel"
        );
        // SAFETY: the buffers are as large as the operations ask for: cases pad weights and activations. The stream is
        // the kernels' own, and is waited for before the buffers are read or dropped.
        unsafe {
            match operation {
                Gguf::QuantizeQ8_1 { rows, columns } => {
                    let (activations, quantized) = (at(0), at(1));
                    let operands = raw::QuantizeQ8_1 {
                        activations,
                        quantized,
                        rows,
                        columns,
                    };
                    kernels.quantize_q8_1_raw(stream, &operands)
                }
                Gguf::Dequantize {
                    dtype,
                    half,
                    elements,
                } => {
                    let operands = raw::Dequantize {
                        dtype,
                        weights: at(0),
                        out: at(1),
                        elements,
                    };
                    match half {
                        true => kernels.dequantize_f16_raw(stream, &operands),
                        false => kernels.dequantize_f32_raw(stream, &operands),
                    }
                }
                Gguf::GetRows {
                    dtype,
                    count,
                    columns,
                } => {
                    let (weights, ids, out) = (at(0), at(1), at(2));
                    let operands = raw::GetRows {
                        dtype,
                        weights,
                        ids,
                        out,
                        count,
                        columns,
                    };
                    kernels.get_rows_raw(stream, &operands)
                }
                Gguf::DequantizeMulMatVec {
                    dtype,
                    rows,
                    columns,
                } => {
                    let operands = raw::DequantizeMulMatVec {
                        dtype,
                        weights: at(0),
                        activations: at(1),
                        out: at(2),
                        rows,
                        columns,
                        batch: 1,
                    };
                    kernels.dequantize_mul_mat_vec_raw(stream, &operands)
                }
                Gguf::MulMatVec {
                    dtype,
                    rows,
                    columns,
                    batch,
                } => {
                    let (weights, quantized, out) = (at(0), at(1), at(2));
                    let operands = raw::MulMat {
                        dtype,
                        weights,
                        quantized,
                        out,
                        rows,
                        columns,
                        batch,
                    };
                    kernels.mul_mat_vec_raw(stream, &operands)
                }
                Gguf::MulMat {
                    dtype,
                    rows,
                    columns,
                    batch,
                } => {
                    let (weights, quantized, out) = (at(0), at(1), at(2));
                    let operands = raw::MulMat {
                        dtype,
                        weights,
                        quantized,
                        out,
                        rows,
                        columns,
                        batch,
                    };
                    kernels.mul_mat_raw(stream, &operands)
                }
                Gguf::IndexedMoe {
                    dtype,
                    rows,
                    columns,
                    batch,
                    top_k,
                    inputs,
                } => {
                    let operands = raw::IndexedMoe {
                        dtype,
                        weights: at(0),
                        quantized: at(1),
                        ids: at(2),
                        out: at(3),
                        rows,
                        columns,
                        batch,
                        topk: top_k,
                        inputs,
                    };
                    kernels.indexed_moe_raw(stream, &operands)
                }
            }
        }
    }
}

/// The kernel that the loader takes for an operation.
fn symbol(operation: Gguf) -> Result<String, Error> {
    let id = match operation {
        Gguf::QuantizeQ8_1 { .. } => KernelId::new(Operation::QuantizeQ8_1, GgmlType::Q8_1),
        Gguf::Dequantize {
            dtype, half: true, ..
        } => KernelId::new(Operation::DequantizeF16, dtype),
        Gguf::Dequantize { dtype, .. } => KernelId::new(Operation::DequantizeF32, dtype),
        Gguf::GetRows { dtype, .. } => KernelId::new(Operation::GetRows, dtype),
        Gguf::DequantizeMulMatVec { dtype, .. } => {
            KernelId::new(Operation::DequantizeMulMatVec, dtype)
        }
        Gguf::MulMatVec { dtype, batch, .. } => KernelId::mul_mat_vec(dtype, batch),
        Gguf::MulMat { dtype, .. } => KernelId::new(Operation::MulMat, dtype),
        Gguf::IndexedMoe { dtype, .. } => KernelId::new(Operation::IndexedMoe, dtype),
    }?;
    Ok(id.symbol())
}

/// Gives a value by its bytes; the builder knows sizes from types.
fn give_value(launch: &mut LaunchBuilder<'_>, bytes: &[u8]) {
    match *bytes {
        [a] => launch.arg([a]),
        [a, b] => launch.arg([a, b]),
        [a, b, c, d] => launch.arg([a, b, c, d]),
        [a, b, c, d, e, f, g, h] => launch.arg([a, b, c, d, e, f, g, h]),
        // Cases make values of the element types' sizes alone.
        _ => unreachable!("a value of {} bytes", bytes.len()),
    };
}

impl Device for Gpu {
    fn run(
        &mut self,
        kernel: &str,
        launch: Launch,
        args: &[Arg],
    ) -> Result<Vec<Option<Vec<u8>>>, String> {
        let result = self.launch(kernel, launch, args);
        result.map_err(|error| {
            self.failed = true;
            let mut text = chain(&error);
            let findings: Vec<String> = self.observer.iter().flat_map(|o| o.findings()).collect();
            for finding in findings.iter().take(TOLD) {
                text.push('\n');
                text.push_str(finding);
            }
            if findings.len() > TOLD {
                text.push_str(&format!("\n{} more findings", findings.len() - TOLD));
            }
            text
        })
    }
}

/// An error with its causes, each said once.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        source = cause.source();
    }
    text
}
