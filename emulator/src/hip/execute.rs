//! The border to the interpreter: a launch goes in, statistics or a fault come out.

use std::sync::atomic::Ordering;

use super::device::Device;
use super::extra::LAUNCHES;
use super::kernel::KernelLaunch;
use super::log::{self, Level};
use super::runtime::get;
use super::status::{Code, Outcome};
use crate::fault::{Fault, FaultKind};
use crate::launch::{Launch, Services, launch as interpret};

/// Executes a kernel. The caller keeps the module and all memory alive.
///
/// # Errors
/// `hipErrorIllegalAddress` or `hipErrorLaunchFailure` for a fault, which is told on standard error and makes the device
/// unusable until it is reset.
pub fn launch(launch: &KernelLaunch, device: &Device) -> Outcome {
    let module = &launch.function.module;
    LAUNCHES.fetch_add(1, Ordering::Relaxed);
    let outcome = interpret(&Launch {
        module,
        kernel: launch.function.kernel(),
        grid: launch.grid,
        block: launch.block,
        dynamic_lds: launch.dynamic_lds,
        kernarg: &launch.kernarg,
        services: Services::default(),
        memory: &get().memory,
        arch: &device.arch,
        count: false,
    });
    outcome.map(drop).map_err(|fault| {
        log::tell(Level::Fault, || fault.to_string());
        let code = code(&fault);
        device.set_fault(code);
        code.because(fault.kind.to_string())
    })
}

/// The error that a client gets for a fault.
fn code(fault: &Fault) -> Code {
    match fault.kind {
        FaultKind::Memory { .. } | FaultKind::Misaligned { .. } => Code::IllegalAddress,
        _ => Code::LaunchFailure,
    }
}
