//! Runs the cases of kernels on a device and sums up what came back.

use std::time::Instant;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::case::{Arg, Case, Launch, Reference};
use crate::compare::compare;
use crate::families::{self, Material};
use crate::golden::{Golden, GoldenError};
use crate::report::{KernelReport, Outcome, Status};

/// Something that runs kernels: a device behind a runtime library.
pub(crate) trait Device {
    /// Runs `kernel` to its end and returns the contents of the buffers that it was to write, in the place of each
    /// argument.
    ///
    /// # Errors
    /// In words, when the launch is refused or the kernel is stopped.
    fn run(
        &mut self,
        kernel: &str,
        launch: Launch,
        args: &[Arg],
    ) -> Result<Vec<Option<Vec<u8>>>, String>;
}

/// How kernels are checked.
#[derive(Clone, Copy)]
pub(crate) struct Settings<'a> {
    pub(crate) seed: u64,
    pub(crate) golden: &'a Golden,
}

/// Runs every case of `symbol`.
pub(crate) fn check_kernel(
    device: &mut dyn Device,
    settings: Settings,
    module: &str,
    symbol: &str,
) -> Result<KernelReport, GoldenError> {
    let started = Instant::now();
    let Some(plan) = families::plan(symbol) else {
        let message = "no check: verify knows no kernel of this name".to_owned();
        return Ok(KernelReport::error(module, "unknown", "?", message));
    };
    let rng = ChaCha8Rng::seed_from_u64(settings.seed ^ name_hash(symbol));
    let mut material = Material {
        rng,
        golden: settings.golden,
    };
    let mut outcomes = Vec::new();
    for case in (plan.cases)(&mut material)? {
        let stopped = run_case(device, symbol, case, &mut outcomes);
        // A kernel that the device refused or stopped once would be refused again.
        if stopped {
            break;
        }
    }
    let elapsed = started.elapsed();
    Ok(KernelReport::from_outcomes(
        module,
        plan.family,
        plan.variant,
        outcomes,
        elapsed,
    ))
}

/// Runs one case; returns whether the launch failed.
fn run_case(
    device: &mut dyn Device,
    symbol: &str,
    case: Case,
    outcomes: &mut Vec<Outcome>,
) -> bool {
    let buffers = match device.run(symbol, case.launch, &case.args) {
        Ok(buffers) => buffers,
        Err(mut error) => {
            name_repair(&mut error, case.repair);
            let reference = case.checks.first().map(|c| c.reference);
            outcomes.push(Outcome {
                case: case.name,
                reference: reference.unwrap_or(Reference::Cpu),
                status: Status::Error,
                exact: false,
                rel_err: f64::INFINITY,
                bound_used: None,
                worst: Some(error),
            });
            return true;
        }
    };
    for check in &case.checks {
        let Some(Some(got)) = buffers.get(check.arg) else {
            unreachable!("a check names argument {}, which is no buffer", check.arg);
        };
        let comparison = compare(got, &check.expected);
        let mut worst = comparison.worst.filter(|_| !comparison.passed);
        if let Some(worst) = &mut worst {
            name_repair(worst, case.repair);
        }
        outcomes.push(Outcome {
            case: case.name.clone(),
            reference: check.reference,
            status: if comparison.passed {
                Status::Pass
            } else {
                Status::Fail
            },
            exact: comparison.exact,
            rel_err: comparison.rel_err,
            bound_used: comparison.bound_used,
            worst,
        });
    }
    false
}

/// Adds the repair that a case needs to what went wrong with it.
fn name_repair(what: &mut String, repair: Option<&str>) {
    if let Some(repair) = repair {
        what.push_str(&format!(
            "; candle's own kernel does that, and the repair {repair} mends it"
        ));
    }
}

/// FNV-1a: a number for a name that is the same on every machine.
fn name_hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ byte as u64).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
