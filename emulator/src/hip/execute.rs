//! The border to the interpreter: a launch goes in, statistics or a fault come out.

use std::sync::atomic::Ordering;

use codeobject::{ArgKind, HiddenArg};

use super::device::Device;
use super::extra::LAUNCHES;
use super::hostcall::Hostcall;
use super::kernel::KernelLaunch;
use super::log::Level;
use super::observe;
use super::runtime::get;
use super::status::{Code, Outcome};
use crate::check::Mode;
use crate::fault::{Fault, FaultKind};
use crate::launch::{Ended, Launch, Services, launch as interpret};
use crate::memory::{AllocKind, Request};

/// Executes a kernel. The caller keeps the module alive.
///
/// # Errors
/// `hipErrorIllegalAddress`, `hipErrorAssert` or `hipErrorLaunchFailure` for a fault, which is told on standard error and
/// makes the device unusable until it is reset. In the mode `error` a launch of which the memory checker reports
/// something fails with `hipErrorLaunchFailure`.
pub fn launch(launch: &KernelLaunch, device: &Device) -> Outcome {
    LAUNCHES.fetch_add(1, Ordering::Relaxed);
    let kernel = launch.function.kernel();
    let wants = |hidden| {
        kernel
            .args
            .iter()
            .any(|arg| arg.kind == ArgKind::Hidden(hidden))
    };
    let hostcall = match wants(HiddenArg::HostcallBuffer) {
        true => Some(Hostcall::new(device.index())?),
        false => None,
    };
    let grid = match launch.cooperative && wants(HiddenArg::MultigridSyncArg) {
        true => Some(GridSync::new(launch, device.index())?),
        false => None,
    };
    let services = Services {
        multigrid_sync: grid.as_ref().map_or(0, |grid| grid.0),
        hostcall_buffer: hostcall.as_ref().map_or(0, Hostcall::address),
        ..Services::default()
    };
    let mode = observe::mode();
    let run = || {
        // Memory stays where it is while the kernel runs. The buffers above are freed when it has run.
        let _in_flight = get().memory.in_flight();
        interpret(&Launch {
            module: &launch.function.module,
            kernel,
            grid: launch.grid,
            block: launch.block,
            dynamic_lds: launch.dynamic_lds,
            kernarg: &launch.kernarg,
            services,
            memory: &get().memory,
            arch: &device.arch,
            cooperative: launch.cooperative,
            count: observe::counts(),
            check: mode != Mode::Off,
        })
    };
    let Ended { outcome, reports } = match &hostcall {
        Some(hostcall) => hostcall.serve_during(run),
        None => run(),
    };
    for report in &reports {
        observe::report(Level::Fault, &format!("check: {report}"));
    }
    match outcome {
        Ok(stats) => {
            observe::add(&device.arch.name, &kernel.name, &stats);
            if mode != Mode::Error || reports.is_empty() {
                return Ok(());
            }
            // The device stays usable: nothing was lost, and the next launch has something to say too.
            let code = Code::LaunchFailure;
            let found = reports.iter().map(|report| report.defect.name());
            let found: Vec<&str> = found.collect();
            Err(code.because(format!("the memory checker found: {}", found.join(", "))))
        }
        Err(fault) => {
            observe::report(Level::Fault, &fault.to_string());
            let complained = hostcall.is_some_and(|hostcall| hostcall.complained());
            let code = code(&fault, complained);
            device.set_fault(code);
            Err(code.because(fault.kind.to_string()))
        }
    }
}

/// The error that a client gets for a fault. A kernel that wrote to standard error and then trapped failed an assertion.
fn code(fault: &Fault, complained: bool) -> Code {
    match fault.kind {
        FaultKind::Memory { .. } | FaultKind::Misaligned { .. } => Code::IllegalAddress,
        FaultKind::Trap { .. } if complained => Code::Assert,
        _ => Code::LaunchFailure,
    }
}

/// What kernels synchronise the whole grid with where there is no instruction for it: the device libraries' `mg_info`. The
/// word at 32 is theirs; the one at 40 is the number of work-groups.
struct GridSync(u64);

impl GridSync {
    const SIZE: u64 = 48;

    fn new(launch: &KernelLaunch, device: u32) -> Outcome<Self> {
        let groups: u32 = [0, 1, 2]
            .iter()
            .map(|axis| launch.grid[*axis].div_ceil(launch.block[*axis]))
            .product();
        let base = get().memory.allocate(Request {
            size: Self::SIZE,
            align: crate::memory::ALIGNMENT,
            kind: AllocKind::Runtime,
            device,
            flags: 0,
        });
        let base = base.map_err(|error| Code::OutOfMemory.because(error.to_string()))?;
        // The number of grids is 1, and it is the first.
        for (offset, value) in [(12, 1), (40, groups)] {
            // SAFETY: the allocation has these bytes, zeroed and aligned, and nobody else knows it.
            unsafe { ((base + offset) as *mut u32).write(value) };
        }
        Ok(Self(base))
    }
}

impl Drop for GridSync {
    fn drop(&mut self) {
        // It can only be gone already if its device was reset.
        let _ = get().memory.free(self.0);
    }
}
