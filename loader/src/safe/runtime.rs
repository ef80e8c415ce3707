//! The loaded library and the devices that it offers.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::{Device, DeviceOptions, Error};
use crate::result::{self, ErrorKind};
use crate::sys::{Api, Library, LoadError};

/// A HIP runtime library that is loaded. Cloning makes another handle to the same library.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/emulator.rs"));
/// # fn main() -> Result<(), hip_loader::Error> {
/// # // SAFETY: a doc test has one thread.
/// # unsafe { std::env::set_var("HIP_LOADER_LIB", emulator()) };
/// let runtime = hip_loader::Runtime::load()?;
/// println!("{} is HIP {}", runtime.library().display(), runtime.version());
/// for ordinal in 0..runtime.device_count()? {
///     println!("{ordinal}: {}", runtime.device(ordinal)?.target());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Runtime {
    inner: Arc<Inner>,
}

struct Inner {
    library: Library,
    version: Version,
}

/// The version of a library.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// Major number: 5, 6, 7.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// Patch, a build number of the ROCm release.
    pub patch: u32,
}

impl Version {
    /// Takes apart what `hipRuntimeGetVersion` answers.
    pub fn from_hip(version: i32) -> Self {
        let version = version.unsigned_abs();
        Self {
            major: version / 10_000_000,
            minor: version / 100_000 % 100,
            patch: version % 100_000,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl Runtime {
    /// Finds and loads the library ([`crate::sys::candidates`] says where it is looked for).
    ///
    /// # Errors
    /// [`LoadError`] with every name that was tried and why it did not work.
    pub fn load() -> Result<Self, LoadError> {
        Self::from_library(Library::find()?)
    }

    /// Loads the library at `path`, or under the name `path` if it has no folder.
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, LoadError> {
        Self::from_library(Library::open(path)?)
    }

    /// Wraps a library that is loaded already.
    ///
    /// # Errors
    /// [`LoadError::Start`] if it does not tell its version.
    pub fn from_library(library: Library) -> Result<Self, LoadError> {
        let version = match result::runtime_version(&library.api) {
            Ok(version) => Version::from_hip(version),
            Err(source) => {
                return Err(LoadError::Start {
                    library: library.name,
                    source,
                });
            }
        };
        Ok(Self {
            inner: Arc::new(Inner { library, version }),
        })
    }

    /// The function table, for calls that this crate does not wrap.
    #[inline]
    pub fn api(&self) -> &Api {
        &self.inner.library.api
    }

    /// The file, or the name that the system's loader found it by.
    pub fn library(&self) -> &Path {
        &self.inner.library.name
    }

    /// The version of the library.
    pub fn version(&self) -> Version {
        self.inner.version
    }

    /// How many devices the library can use; 0 on a machine without one.
    ///
    /// # Errors
    /// What the library answers, save that it has no device.
    pub fn device_count(&self) -> Result<usize, Error> {
        match result::device::get_count(self.api()) {
            Ok(count) => Ok(usize::try_from(count).unwrap_or(0)),
            Err(error) if error.kind() == ErrorKind::NoDevice => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// A context on the device with this ordinal, with the default options.
    ///
    /// # Errors
    /// [`Error::NoSuchDevice`], [`Error::Architecture`], or what the library answers.
    pub fn device(&self, ordinal: usize) -> Result<Device, Error> {
        Device::new(self, ordinal, DeviceOptions::default())
    }

    /// A context on the calling thread's current device. The current device stays what it is.
    ///
    /// # Errors
    /// As [`Runtime::device`].
    pub fn current_device(&self) -> Result<Device, Error> {
        let ordinal = result::device::get(self.api())?;
        self.device(usize::try_from(ordinal).unwrap_or(usize::MAX))
    }

    /// Whether two handles are to one loaded library.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime")
            .field("library", &self.inner.library.name)
            .field("version", &self.inner.version.to_string())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::Version;

    #[test]
    fn versions_are_taken_apart_as_hip_version_h_puts_them_together() {
        for (number, text) in [
            (50_221_153, "5.2.21153"),
            (50_731_921, "5.7.31921"),
            (60_443_484, "6.4.43484"),
        ] {
            assert_eq!(Version::from_hip(number).to_string(), text);
        }
    }
}
