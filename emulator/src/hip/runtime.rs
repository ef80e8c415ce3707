//! The state of the process: its devices, its memory, everything that was handed out.
//!
//! It is set up by the first call that needs it, from the environment:
//!
//! - `AMDGPU_EMULATOR_DEVICES`: target ids of the devices, separated by commas; `gfx1100` if it is not set. Features that
//!   are not named take the setting that cards come with (`sramecc+`, `xnack-`).
//! - `AMDGPU_EMULATOR_MEMORY`: the memory of each device, such as `8G` or `512M`, one value or one for each device. Without
//!   it a device has what its card has, but no more than the host.
//! - `AMDGPU_EMULATOR_HIP_VERSION`: the version that the library says it is, such as `6.4`; see [`version`](super::version).
//! - `AMDGPU_EMULATOR_CHECK` and `AMDGPU_EMULATOR_STATS`: see [`observe`](super::observe).

use std::cell::Cell;
use std::sync::{Arc, OnceLock};

use codeobject::{Feature, TargetId};

use super::cards;
use super::device::Device;
use super::event::Event;
use super::fatbin::Registered;
use super::ffi::kind;
use super::function::Function;
use super::graph::{Graph, GraphNode};
use super::graph_exec::GraphExec;
use super::log::{self, Level};
use super::module::Module;
use super::pool::Pool;
use super::properties::Properties;
use super::registry::Registry;
use super::status::{Code, Outcome};
use super::stream::Stream;
use super::user_object::UserObject;
use super::{inject, observe, version};
use crate::arch::Arch;
use crate::check::Mode;
use crate::memory::{Memory, Options};

/// The state of the process.
pub struct Runtime {
    /// The devices by their ordinals.
    pub devices: Vec<Device>,
    /// All memory that kernels see.
    pub memory: Arc<Memory>,
    /// The version of HIP that is imitated.
    pub version: version::Version,
    /// The streams that clients made.
    pub streams: Registry<kind::Stream, Stream>,
    /// The events.
    pub events: Registry<kind::Event, Event>,
    /// The modules that clients loaded.
    pub modules: Registry<kind::Module, Module>,
    /// The kernels of modules that clients asked for.
    pub functions: Registry<kind::Function, Function>,
    /// The memory pools that clients made.
    pub pools: Registry<kind::MemPool, Pool>,
    /// The graphs.
    pub graphs: Registry<kind::Graph, Graph>,
    /// The nodes of graphs.
    pub graph_nodes: Registry<kind::GraphNode, GraphNode>,
    /// The graphs that can be launched.
    pub graph_execs: Registry<kind::GraphExec, GraphExec>,
    /// Objects of clients that graphs keep alive.
    pub user_objects: Registry<kind::UserObject, UserObject>,
    /// The fat binaries that are linked into the program.
    pub registered: Registered,
}

thread_local! {
    static CURRENT: Cell<usize> = const { Cell::new(0) };
}

/// The state of the process. The first call sets it up.
pub fn get() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(Runtime::from_environment)
}

/// The ordinal of the calling thread's current device, which need not exist.
pub fn current_index() -> usize {
    CURRENT.get()
}

/// Makes a device the calling thread's current one.
pub fn set_current(index: usize) {
    CURRENT.set(index);
}

/// The device with this ordinal.
///
/// # Errors
/// `hipErrorNoDevice` if there are none at all, `hipErrorInvalidDevice` if there is none with this ordinal.
pub fn device(ordinal: i32) -> Outcome<&'static Device> {
    let devices = &get().devices;
    if devices.is_empty() {
        return Err(Code::NoDevice.because("there are no devices"));
    }
    let device = usize::try_from(ordinal)
        .ok()
        .and_then(|index| devices.get(index));
    device.ok_or_else(|| {
        Code::InvalidDevice.because(format!("device {ordinal}; there are {}", devices.len()))
    })
}

/// The calling thread's current device.
///
/// # Errors
/// `hipErrorNoDevice` if there are none.
pub fn current() -> Outcome<&'static Device> {
    device(current_index() as i32)
}

/// The calling thread's current device, for work: it must not have met a fault.
///
/// # Errors
/// `hipErrorNoDevice` if there are none, the error of the fault if there was one.
pub fn usable() -> Outcome<&'static Device> {
    let device = current()?;
    device.check()?;
    Ok(device)
}

impl Runtime {
    fn from_environment() -> Self {
        let devices = variable("AMDGPU_EMULATOR_DEVICES").unwrap_or_else(|| "gfx1100".to_owned());
        let memory = variable("AMDGPU_EMULATOR_MEMORY");
        if let Some(rules) = variable(inject::VARIABLE) {
            match inject::parse(&rules) {
                Ok(rules) => rules.into_iter().for_each(inject::add),
                Err(part) => complain(inject::VARIABLE, &part, "FUNCTION:N:ERROR[:after]"),
            }
        }
        let targets = parse_devices(&devices);
        let sizes = memory.map_or_else(Vec::new, |text| parse_sizes(&text));
        let properties = targets
            .into_iter()
            .enumerate()
            .map(|(index, (target, arch))| {
                let card = cards::card(&target);
                // One size is for all devices, several are for one each.
                let memory = sizes.get(index).or(sizes.last()).copied();
                let properties = Properties {
                    index: index as u32,
                    card,
                    memory: memory.unwrap_or_else(|| (card.memory_mib << 20).min(host_memory())),
                    wavefront_size: arch.default_wave,
                    lds: arch.lds_bytes,
                    target,
                };
                (properties, arch)
            });
        let properties: Vec<_> = properties.collect();
        let mode = observe::mode_of_environment();
        observe::start(mode);
        let memory = Arc::new(Memory::new(Options {
            capacities: properties
                .iter()
                .map(|(properties, _)| properties.memory)
                .collect(),
            shadow: mode != Mode::Off,
        }));
        let device = |(properties, arch)| Device::new(properties, arch);
        Self {
            devices: properties.into_iter().map(device).collect(),
            memory,
            version: version::Version::from_environment(),
            streams: Registry::new("stream"),
            events: Registry::new("event"),
            modules: Registry::new("module"),
            functions: Registry::new("function"),
            pools: Registry::new("memory pool"),
            graphs: Registry::new("graph"),
            graph_nodes: Registry::new("graph node"),
            graph_execs: Registry::new("executable graph"),
            user_objects: Registry::new("user object"),
            registered: Registered::default(),
        }
    }
}

/// A variable of the environment that is set and not empty.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Tells that a variable's value makes no sense.
pub fn complain(variable: &str, value: &str, expected: &str) {
    log::tell(Level::Fault, || {
        format!("{variable}: `{value}` is ignored, expected {expected}")
    });
}

/// The devices of a comma-separated list; what is no device is told and left out.
fn parse_devices(text: &str) -> Vec<(TargetId, Arch)> {
    let names = text
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty());
    names
        .filter_map(|name| {
            let device = parse_device(name);
            if device.is_none() {
                let expected = "a target id such as gfx1100 or gfx90a:sramecc+:xnack-";
                complain("AMDGPU_EMULATOR_DEVICES", name, expected);
            }
            device
        })
        .collect()
}

fn parse_device(name: &str) -> Option<(TargetId, Arch)> {
    let mut target: TargetId = name.parse().ok()?;
    let processor = target.known().filter(|_| !target.is_generic())?;
    if processor.sramecc && target.sramecc == Feature::Any {
        target.sramecc = Feature::On;
    }
    if processor.xnack && target.xnack == Feature::Any {
        target.xnack = Feature::Off;
    }
    let arch = Arch::from_target(&target.to_string())?;
    Some((target, arch))
}

/// The sizes of a comma-separated list, in bytes.
fn parse_sizes(text: &str) -> Vec<u64> {
    let sizes = text
        .split(',')
        .map(str::trim)
        .filter(|size| !size.is_empty());
    sizes
        .filter_map(|size| {
            let bytes = parse_size(size);
            if bytes.is_none() {
                complain("AMDGPU_EMULATOR_MEMORY", size, "a size such as 512M or 8G");
            }
            bytes
        })
        .collect()
}

fn parse_size(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let shift = match text[digits.len()..].to_ascii_uppercase().as_str() {
        "" | "B" => 0,
        "K" | "KB" | "KIB" => 10,
        "M" | "MB" | "MIB" => 20,
        "G" | "GB" | "GIB" => 30,
        "T" | "TB" | "TIB" => 40,
        _ => return None,
    };
    let size: u64 = digits.parse().ok()?;
    size.checked_mul(1 << shift).filter(|size| *size > 0)
}

/// The memory of the machine in bytes.
fn host_memory() -> u64 {
    // SAFETY: both calls only ask the system for numbers.
    let (pages, page) = unsafe {
        (
            libc::sysconf(libc::_SC_PHYS_PAGES),
            libc::sysconf(libc::_SC_PAGESIZE),
        )
    };
    match (u64::try_from(pages), u64::try_from(page)) {
        (Ok(pages), Ok(page)) if pages > 0 => pages.saturating_mul(page),
        // The system does not say.
        _ => 8 << 30,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_units() {
        for (text, size) in [
            ("1", Some(1)),
            ("512M", Some(512 << 20)),
            ("8G", Some(8 << 30)),
            ("16GiB", Some(16 << 30)),
            ("2kb", Some(2048)),
            ("0", None),
            ("G", None),
            ("-1", None),
            ("99999999999T", None),
            ("8X", None),
        ] {
            assert_eq!(parse_size(text), size, "{text}");
        }
    }

    #[test]
    fn devices_get_the_features_that_cards_come_with() {
        let names = |text| -> Vec<String> {
            let devices = parse_devices(text).into_iter();
            devices.map(|(target, _)| target.to_string()).collect()
        };
        assert_eq!(names("gfx1100"), ["gfx1100"]);
        assert_eq!(
            names("gfx90a, gfx906:xnack+,gfx1030"),
            [
                "gfx90a:sramecc+:xnack-",
                "gfx906:sramecc+:xnack+",
                "gfx1030"
            ]
        );
        assert!(names("gfx11-generic,sm_80,gfx1,gfx90a:wgp+,").is_empty());
    }
}
