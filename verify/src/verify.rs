//! One verification: bundles onto devices, kernels through their checks.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::str::FromStr;
use std::time::Instant;

use codeobject::TargetId;
use codeobject::bundle::Bundle;
use globset::{Glob, GlobMatcher};
use hip_loader::{Device, DeviceOptions, Image, Runtime};

use crate::expected;
use crate::families;
use crate::golden::{Golden, GoldenError};
use crate::gpu::Gpu;
use crate::observer::Observer;
use crate::report::{ArchReport, DeviceReport, KernelReport, Report};
use crate::runner::{Settings, check_kernel};

/// A module's kernels for one or more architectures.
#[derive(Clone, Copy, Debug)]
pub struct ModuleBundle<'a> {
    /// The module, such as `quantized`.
    pub module: &'a str,
    /// An offload bundle, compressed or not.
    pub bytes: &'a [u8],
    /// What it was built from, such as `candle-kernels 0.11.1`: kernels that this has and the bundle lacks are errors.
    pub origin: Option<&'a str>,
}

/// A pattern of kernel names: `*`, `?`, `[a-z]` and `{one,other}`.
#[derive(Clone, Debug)]
pub struct KernelGlob(GlobMatcher);

impl FromStr for KernelGlob {
    type Err = globset::Error;

    fn from_str(pattern: &str) -> Result<Self, Self::Err> {
        Ok(KernelGlob(Glob::new(pattern)?.compile_matcher()))
    }
}

/// What to verify, on what, against what.
#[derive(Debug)]
pub struct Request<'a> {
    /// The modules.
    pub bundles: &'a [ModuleBundle<'a>],
    /// The architectures, as the bundles' entries name them. A generic one is run on a device that it covers.
    pub archs: &'a [TargetId],
    /// The kernels; all of them when absent.
    pub kernels: Option<&'a KernelGlob>,
    /// The folder with the recorded outputs of the CUDA kernels.
    pub golden: &'a Path,
    /// The runtime library that runs the kernels.
    pub runtime: &'a Runtime,
    /// Whether that is the emulator.
    pub emulated: bool,
    /// What the random data is drawn from.
    pub seed: u64,
}

/// How far a verification has come.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// The architecture.
    pub arch: &'a str,
    /// The kernel that is checked next.
    pub kernel: &'a str,
    /// Kernels done.
    pub done: usize,
    /// Kernels in all.
    pub total: usize,
}

/// A verification that could not be done.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The golden vectors can't be used.
    #[error(transparent)]
    Golden(#[from] GoldenError),
    /// A module's bundle is no bundle.
    #[error("the bundle of module {module} can't be read: {source}")]
    Bundle {
        /// The module.
        module: String,
        /// What is wrong with it.
        source: codeobject::Error,
    },
    /// A module's bundle was not built for an architecture.
    #[error("the bundle of module {module} has nothing for {arch}: {source}")]
    NotInBundle {
        /// The module.
        module: String,
        /// The architecture.
        arch: TargetId,
        /// What the bundle has.
        source: codeobject::Error,
    },
    /// No device of an architecture.
    #[error("no device for {arch}: {library} has {}", list(.available))]
    NoDevice {
        /// The architecture.
        arch: TargetId,
        /// The runtime library.
        library: String,
        /// Its devices.
        available: Vec<String>,
    },
    /// No kernel has the name that was asked for.
    #[error("no kernel matches {glob:?}{}", did_you_mean(.nearest))]
    NoKernel {
        /// The pattern.
        glob: String,
        /// The kernels whose names come closest.
        nearest: Vec<String>,
    },
    /// The runtime library refused something.
    #[error("{what}: {source}")]
    Runtime {
        /// What was tried.
        what: String,
        /// What it answered.
        source: Box<hip_loader::Error>,
    },
}

fn list(names: &[String]) -> String {
    match names {
        [] => "no devices".to_owned(),
        names => names.join(", "),
    }
}

fn did_you_mean(nearest: &[String]) -> String {
    match nearest {
        [] => String::new(),
        names => format!("; the nearest are {}", names.join(", ")),
    }
}

/// Runs every kernel that was asked for on every architecture. `progress` is told before each.
///
/// # Errors
/// When something is missing without which nothing can be said about the kernels: a bundle, a device, golden vectors.
/// A kernel that fails, or that the runtime refuses, is part of the report.
pub fn verify(
    request: &Request,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report, VerifyError> {
    let started = Instant::now();
    let golden = Golden::open(request.golden)?;
    let settings = Settings {
        seed: request.seed,
        golden: &golden,
    };
    let mut archs = BTreeMap::new();
    let observer = Observer::open(request.runtime.library()).map(Rc::new);
    for arch in request.archs {
        let found = verify_on(request, arch, observer.as_ref(), settings, progress)?;
        archs.insert(arch.to_string(), found);
    }
    Ok(Report {
        archs,
        seed: request.seed,
        elapsed: started.elapsed(),
    })
}

fn runtime_error(what: impl Into<String>) -> impl FnOnce(hip_loader::Error) -> VerifyError {
    let what = what.into();
    move |source| VerifyError::Runtime {
        what,
        source: Box::new(source),
    }
}

/// The first device that runs code for `arch`. Its allocations are exactly as large as asked for: rounded up for a cache,
/// they would hide an access a few elements behind the end.
fn find_device(runtime: &Runtime, arch: &TargetId) -> Result<Device, VerifyError> {
    let exact = DeviceOptions {
        cache_bytes: 0,
        ..DeviceOptions::default()
    };
    let count = runtime
        .device_count()
        .map_err(runtime_error("can't count the devices"))?;
    let mut available = Vec::new();
    for ordinal in 0..count {
        let device = Device::new(runtime, ordinal, exact.clone())
            .map_err(runtime_error(format!("can't open device {ordinal}")))?;
        if arch.supports(device.target()) {
            return Ok(device);
        }
        available.push(device.target().to_string());
    }
    let library = runtime.library().display().to_string();
    Err(VerifyError::NoDevice {
        arch: arch.clone(),
        library,
        available,
    })
}

fn verify_on(
    request: &Request,
    arch: &TargetId,
    observer: Option<&Rc<Observer>>,
    settings: Settings,
    progress: &mut dyn FnMut(Progress),
) -> Result<ArchReport, VerifyError> {
    let started = Instant::now();
    let mut device = find_device(request.runtime, arch)?;
    let load_all = |device: &Device| {
        request
            .bundles
            .iter()
            .map(|bundle| Ok((bundle, load(bundle, arch, device, observer)?)))
            .collect::<Result<Vec<_>, VerifyError>>()
    };
    let mut modules = load_all(&device)?;
    let work = select(request.kernels, &modules)?;
    let name = arch.to_string();
    let mut kernels = BTreeMap::new();
    for (done, (module, symbol)) in work.iter().enumerate() {
        progress(Progress {
            arch: &name,
            kernel: symbol,
            done,
            total: work.len(),
        });
        let (bundle, gpu) = &mut modules[*module];
        let mut report = if gpu.has(symbol) {
            check_kernel(gpu, settings, bundle.module, symbol)?
        } else {
            missing(bundle, symbol)
        };
        report.resources = gpu.resources(symbol);
        if let Some(observer) = observer {
            report.counts = observer.counts(symbol);
            report.findings = observer.findings();
        }
        if gpu.has_failed()
            && let Some(observer) = observer
        {
            // After a fault a device refuses everything: each kernel is to fail for its own reasons.
            modules.clear();
            drop(device);
            observer.reset_device();
            device = find_device(request.runtime, arch)?;
            modules = load_all(&device)?;
        }
        kernels.insert(symbol.clone(), report);
    }
    let runtime = request.runtime;
    let device = DeviceReport {
        name: device
            .name()
            .map_err(runtime_error("can't name the device"))?,
        library: runtime.library().display().to_string(),
        version: runtime.version().to_string(),
        emulated: request.emulated,
    };
    Ok(ArchReport {
        device,
        kernels,
        elapsed: started.elapsed(),
    })
}

/// Loads the code object of a bundle that was built for `arch` itself, so that a generic one is run even where the
/// bundle has something better for the device.
fn load(
    bundle: &ModuleBundle,
    arch: &TargetId,
    device: &Device,
    observer: Option<&Rc<Observer>>,
) -> Result<Gpu, VerifyError> {
    let module = bundle.module.to_owned();
    let parsed = Bundle::parse(bundle.bytes).map_err(|source| VerifyError::Bundle {
        module: module.clone(),
        source,
    })?;
    let entry = match parsed
        .code_objects()
        .find(|entry| entry.target() == Some(arch))
    {
        Some(entry) => entry,
        None => parsed
            .select(arch)
            .map_err(|source| VerifyError::NotInBundle {
                module: module.clone(),
                arch: arch.clone(),
                source,
            })?,
    };
    let image = Image::from_bytes(format!("{module} for {arch}"), entry.data);
    Gpu::load(device, &image, observer.cloned()).map_err(runtime_error(format!(
        "can't load module {module} for {arch}"
    )))
}

/// The report on a kernel that the module should have.
fn missing(bundle: &ModuleBundle, symbol: &str) -> KernelReport {
    let plan = families::plan(symbol);
    let (family, variant) = plan.map_or_else(Default::default, |p| (p.family, p.variant));
    let release = bundle.origin.unwrap_or("candle-kernels");
    let message = format!(
        "missing: the CUDA build of {release} has this kernel, the code object has not; a preprocessor guard that \
         was answered wrongly leaves kernels out"
    );
    KernelReport::error(bundle.module, &family, &variant, message)
}

/// The kernels to check, each with the place of its module, in the order of the modules and of their names: those that
/// the code objects list, and those that they should.
fn select(
    glob: Option<&KernelGlob>,
    modules: &[(&ModuleBundle, Gpu)],
) -> Result<Vec<(usize, String)>, VerifyError> {
    let all = || {
        modules.iter().enumerate().flat_map(|(i, (bundle, gpu))| {
            let should = expected::kernels(bundle.origin, bundle.module);
            gpu.kernels().chain(should).map(move |symbol| (i, symbol))
        })
    };
    let mut chosen: Vec<(usize, String)> = all()
        .filter(|(_, symbol)| glob.is_none_or(|glob| glob.0.is_match(symbol)))
        .map(|(i, symbol)| (i, symbol.to_owned()))
        .collect();
    if let Some(glob) = glob
        && chosen.is_empty()
    {
        let glob = glob.0.glob().glob().to_owned();
        let nearest = nearest(&glob, all().map(|(_, symbol)| symbol));
        return Err(VerifyError::NoKernel { glob, nearest });
    }
    chosen.sort();
    chosen.dedup();
    Ok(chosen)
}

/// The three names that share most with a pattern.
fn nearest<'a>(glob: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut ranked: Vec<(usize, &str)> = names.map(|name| (edits(glob, name), name)).collect();
    ranked.sort();
    ranked.dedup();
    ranked
        .into_iter()
        .take(3)
        .map(|(_, name)| name.to_owned())
        .collect()
}

/// What it costs to turn `pattern` into `name`: 2 for a byte inserted, left out or replaced, 1 for a letter of the other
/// case. A `*` stands for any number of bytes.
fn edits(pattern: &str, name: &str) -> usize {
    let name = name.as_bytes();
    let mut row: Vec<usize> = (0..=name.len()).map(|i| 2 * i).collect();
    for p in pattern.bytes() {
        let cost = if p == b'*' { 0 } else { 2 };
        let mut next = vec![row[0] + cost];
        for (i, n) in name.iter().enumerate() {
            let replace = match p {
                _ if p == *n => 0,
                _ if p.eq_ignore_ascii_case(n) => 1,
                _ => cost,
            };
            let inserted = next[i] + cost;
            next.push(inserted.min(row[i + 1] + cost).min(row[i] + replace));
        }
        row = next;
    }
    row[name.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_that_matches_nothing_names_its_neighbours() {
        let names = [
            "mul_mat_q4_K",
            "mul_mat_q4_0",
            "dequantize_block_q4_K_f32",
            "get_rows_q4_K",
        ];
        assert_eq!(
            nearest("mul_mat_q4_k", names.into_iter())[0],
            "mul_mat_q4_K"
        );
        assert_eq!(
            nearest("dequant*_q4_k_f32", names.into_iter())[0],
            "dequantize_block_q4_K_f32"
        );
        assert_eq!(edits("*", "anything"), 0);
        assert_eq!(edits("a*c", "abbbc"), 0);
    }
}
