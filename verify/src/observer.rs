//! What the runtime library can say beside results: what the emulator's memory checker found, and how many instructions
//! of each class a kernel executed.
//!
//! The functions are looked up by name in the library that the loader has opened. A real GPU's has none of the
//! emulator's, and then there is nothing to say.

use std::collections::BTreeMap;
use std::ffi::{c_char, c_int};
use std::path::Path;

use libloading::Library;
use serde::{Deserialize, Serialize};

type Take = unsafe extern "C" fn(*mut c_char, u64) -> u64;
type Set = unsafe extern "C" fn(c_int) -> c_int;
type Reset = unsafe extern "C" fn() -> c_int;

/// The runtime library's further functions.
#[derive(Debug)]
pub(crate) struct Observer {
    library: Library,
}

/// How many instructions the launches of a kernel executed. A wave that executes an instruction counts one, however many
/// lanes it has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Launches.
    pub launches: u64,
    /// Waves of all launches.
    pub waves: u64,
    /// Instructions of all waves.
    pub instructions: u64,
    /// Instructions by class: `valu`, `dot`, `global`.
    pub classes: BTreeMap<String, u64>,
}

#[derive(Deserialize)]
struct Row {
    kernel: String,
    #[serde(flatten)]
    counts: Counts,
}

impl Observer {
    /// The functions of a library that is open already.
    pub(crate) fn open(library: &Path) -> Option<Self> {
        // SAFETY: the library was opened before, so its initializers have run and are not run again.
        let library = unsafe { Library::new(library) }.ok()?;
        let observer = Observer { library };
        // SAFETY: the function of this name takes a number.
        if let Ok(set) = unsafe { observer.library.get::<Set>(b"amdgpuEmulatorSetStats\0") } {
            // SAFETY: as above.
            unsafe { set(1) };
        }
        Some(observer)
    }

    /// What the checker found since the last time, a paragraph each.
    pub(crate) fn findings(&self) -> Vec<String> {
        let text = self.take(b"amdgpuEmulatorTakeReports\0");
        text.split("\n\n")
            .filter(|part| !part.trim().is_empty())
            .map(|part| part.trim_end().to_owned())
            .collect()
    }

    /// What a kernel's launches executed since the last time that anybody asked.
    pub(crate) fn counts(&self, kernel: &str) -> Option<Counts> {
        let text = self.take(b"amdgpuEmulatorTakeStats\0");
        let rows: Vec<Row> = serde_json::from_str(&text).ok()?;
        rows.into_iter()
            .find(|row| row.kernel == kernel)
            .map(|row| row.counts)
    }

    /// Makes the device usable again that is current and met a fault. Nothing of it may be in use.
    pub(crate) fn reset_device(&self) {
        // SAFETY: the function of this name takes nothing.
        if let Ok(reset) = unsafe { self.library.get::<Reset>(b"hipDeviceReset\0") } {
            // SAFETY: the caller has dropped what it had on the device.
            unsafe { reset() };
        }
    }

    fn take(&self, name: &[u8]) -> String {
        // SAFETY: the functions of these names take a buffer and its size, and write at most so many bytes.
        let Ok(take) = (unsafe { self.library.get::<Take>(name) }) else {
            return String::new();
        };
        // SAFETY: no buffer, no room: only the length is asked for.
        let length = unsafe { take(std::ptr::null_mut(), 0) };
        let Ok(room) = usize::try_from(length + 1) else {
            return String::new();
        };
        let mut buffer = vec![0_u8; room];
        // SAFETY: the buffer has so many bytes.
        let length = unsafe { take(buffer.as_mut_ptr().cast(), room as u64) };
        buffer.truncate(usize::try_from(length).unwrap_or(0).min(room - 1));
        String::from_utf8_lossy(&buffer).into_owned()
    }
}
