//! What a verification found, as data. Renderers make text, JSON or pages of it; they add nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::case::Reference;
use crate::observer::Counts;

/// The outcome for one kernel, one case or one comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Every comparison was within its bound.
    Pass,
    /// The kernel ran, and a result is wrong.
    Fail,
    /// The kernel did not run, or nothing checks it.
    Error,
}

/// One buffer of one launch, compared with one reference.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// Shape and data of the launch.
    pub case: String,
    /// Where the reference comes from.
    #[serde(serialize_with = "reference")]
    pub reference: Reference,
    /// Whether the result is right.
    pub status: Status,
    /// Equal bit for bit.
    pub exact: bool,
    /// Norm of the difference over norm of the reference; absent where one of them isn't finite.
    #[serde(serialize_with = "finite")]
    pub rel_err: f64,
    /// The largest share of its bound that an element used; absent where bits must be equal.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "finite_option"
    )]
    pub bound_used: Option<f64>,
    /// The element that fits worst, or the error of the launch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worst: Option<String>,
}

/// What a kernel takes of a compute unit, as its code object says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Resources {
    /// Vector registers a lane; with AGPRs where they are one file.
    pub vgprs: u32,
    /// Scalar registers a wave.
    pub sgprs: u32,
    /// Bytes of LDS a block.
    pub lds: u32,
    /// Vector registers that found no place and are kept in scratch.
    pub spilled: u32,
    /// Bytes of scratch a lane: spilled registers, and arrays that are indexed at run time.
    pub scratch: u32,
    /// The most threads of a block.
    pub max_threads: u32,
    /// Waves on a SIMD with blocks of so many threads, where the processor's limits are known.
    pub waves_per_simd: Option<u32>,
    /// Waves that a SIMD holds at most.
    pub max_waves_per_simd: Option<u32>,
}

/// All that was found out about one kernel.
#[derive(Clone, Debug)]
pub struct KernelReport {
    /// The module whose bundle holds it.
    pub module: String,
    /// Row and column of the table.
    pub family: String,
    /// As above.
    pub variant: String,
    /// The worst of its outcomes.
    pub status: Status,
    /// The worst relative error against a reference that rounds where the kernel does: golden vectors, and the CPU on
    /// the same inputs. The rounding of activations to q8_1, which every such kernel shares with CUDA's, is not in it;
    /// [`Outcome::bound_used`] of the comparisons that see it says how much of what it explains was used.
    pub rel_err: Option<f64>,
    /// Every such comparison was equal bit for bit.
    pub exact: bool,
    /// What is wrong, in a sentence; `None` for a kernel that passed.
    pub message: Option<String>,
    /// Every comparison.
    pub outcomes: Vec<Outcome>,
    /// What the memory checker found without stopping the kernel.
    pub findings: Vec<String>,
    /// What the kernel takes of a compute unit.
    pub resources: Option<Resources>,
    /// What it executed, where the runtime counts.
    pub counts: Option<Counts>,
    /// Time from the first upload to the last comparison.
    pub elapsed: Duration,
}

impl KernelReport {
    /// Sums up the comparisons of a kernel.
    pub(crate) fn from_outcomes(
        module: &str,
        family: String,
        variant: String,
        outcomes: Vec<Outcome>,
        elapsed: Duration,
    ) -> Self {
        let status = outcomes
            .iter()
            .map(|o| o.status)
            .max()
            .unwrap_or(Status::Error);
        let direct = || outcomes.iter().filter(|o| o.reference != Reference::Q8_1);
        let worst = direct().map(|o| o.rel_err).reduce(larger);
        let message = match outcomes.iter().find(|o| o.status == status) {
            None => Some("no case was run".to_owned()),
            Some(_) if status == Status::Pass => None,
            Some(first) => Some(describe(first)),
        };
        KernelReport {
            module: module.to_owned(),
            family,
            variant,
            status,
            rel_err: worst.filter(|_| status != Status::Error),
            exact: direct().all(|o| o.exact) && status == Status::Pass,
            message,
            outcomes,
            findings: Vec::new(),
            resources: None,
            counts: None,
            elapsed,
        }
    }

    /// A kernel that could not be checked.
    pub(crate) fn error(module: &str, family: &str, variant: &str, message: String) -> Self {
        KernelReport {
            module: module.to_owned(),
            family: family.to_owned(),
            variant: variant.to_owned(),
            status: Status::Error,
            rel_err: None,
            exact: false,
            message: Some(message),
            outcomes: Vec::new(),
            findings: Vec::new(),
            resources: None,
            counts: None,
            elapsed: Duration::ZERO,
        }
    }

    /// The largest share of a bound that any comparison used.
    pub fn bound_used(&self) -> Option<f64> {
        self.outcomes
            .iter()
            .filter_map(|o| o.bound_used)
            .reduce(larger)
    }
}

/// The larger, NaN counting as the largest.
fn larger(x: f64, y: f64) -> f64 {
    if x.is_nan() || x > y { x } else { y }
}

fn describe(outcome: &Outcome) -> String {
    let against = match (outcome.status, outcome.reference) {
        (Status::Error, _) => String::new(),
        (_, Reference::Golden) => " against the recorded CUDA result".to_owned(),
        (_, Reference::Cpu) => " against the CPU".to_owned(),
        (_, Reference::Q8_1) => " against unrounded activations on the CPU".to_owned(),
    };
    match &outcome.worst {
        Some(worst) => format!("{}{against}: {worst}", outcome.case),
        None => format!(
            "{}{against}: relative error {:.1e}",
            outcome.case, outcome.rel_err
        ),
    }
}

/// What ran the kernels.
#[derive(Clone, Debug, Serialize)]
pub struct DeviceReport {
    /// The device's name, as the runtime gives it.
    pub name: String,
    /// The runtime library that was loaded.
    pub library: String,
    /// Its version.
    pub version: String,
    /// The emulator, or a GPU.
    pub emulated: bool,
}

/// Everything found out on one architecture.
#[derive(Clone, Debug)]
pub struct ArchReport {
    /// What ran the kernels.
    pub device: DeviceReport,
    /// By symbol.
    pub kernels: BTreeMap<String, KernelReport>,
    /// Wall time.
    pub elapsed: Duration,
}

impl ArchReport {
    /// Kernels with this status.
    pub fn count(&self, status: Status) -> usize {
        self.kernels.values().filter(|k| k.status == status).count()
    }
}

/// The result of a verification.
#[derive(Clone, Debug)]
pub struct Report {
    /// By architecture.
    pub archs: BTreeMap<String, ArchReport>,
    /// What the random data was drawn from; the same seed gives the same data.
    pub seed: u64,
    /// Wall time.
    pub elapsed: Duration,
}

impl Report {
    /// Whether every kernel passed, and there was one on every architecture.
    pub fn passed(&self) -> bool {
        let passed = |arch: &ArchReport| {
            !arch.kernels.is_empty() && arch.count(Status::Pass) == arch.kernels.len()
        };
        !self.archs.is_empty() && self.archs.values().all(passed)
    }

    /// Adds the findings of another run, such as one process's share of the architectures.
    pub fn merge(&mut self, other: Report) {
        self.archs.extend(other.archs);
        self.elapsed += other.elapsed;
    }

    /// `{"arch": {"kernel": {"status", "rel_err", "exact", "detail"}}}`.
    pub fn to_json(&self) -> serde_json::Value {
        let archs = self.archs.iter().map(|(arch, found)| {
            let kernels = found.kernels.iter().map(|(symbol, kernel)| {
                let entry = serde_json::json!({
                    "status": kernel.status,
                    "rel_err": kernel.rel_err.filter(|e| e.is_finite()),
                    "exact": kernel.exact,
                    "detail": {
                        "module": kernel.module,
                        "family": kernel.family,
                        "type": kernel.variant,
                        "message": kernel.message,
                        "seconds": kernel.elapsed.as_secs_f64(),
                        "seed": self.seed,
                        "device": found.device,
                        "findings": kernel.findings,
                        "resources": kernel.resources,
                        "executed": kernel.counts,
                        "cases": kernel.outcomes,
                    },
                });
                (symbol.clone(), entry)
            });
            (arch.clone(), serde_json::Value::Object(kernels.collect()))
        });
        serde_json::Value::Object(archs.collect())
    }
}

fn reference<S: Serializer>(reference: &Reference, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match reference {
        Reference::Golden => "golden",
        Reference::Cpu => "cpu",
        Reference::Q8_1 => "cpu, activations before q8_1 rounding",
    })
}

/// JSON has no infinity and no NaN.
fn finite<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    value.is_finite().then_some(*value).serialize(serializer)
}

fn finite_option<S: Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    value.filter(|v| v.is_finite()).serialize(serializer)
}
