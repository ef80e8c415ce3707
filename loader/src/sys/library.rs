//! Finding and opening libamdhip64.
//!
//! | order | what is tried |
//! |---|---|
//! | 1 | `HIP_LOADER_LIB`: a file, or a folder that holds one of the names below. When it is set, nothing else is tried |
//! | 2 | each of [`NAMES`] as the system's own loader finds it (`LD_LIBRARY_PATH`, rpath, `ld.so.cache`; `PATH` on Windows) |
//! | 3 | each of [`NAMES`] in `ROCM_PATH/lib`, `HIP_PATH/lib` and `/opt/rocm/lib` (`bin` on Windows) |
//!
//! A library stays loaded until the process ends: libamdhip64 starts threads of its own and registers exit handlers,
//! which an unload would leave pointing at nothing.

use std::ffi::{CStr, OsStr, OsString, c_void};
use std::fmt;
use std::path::{Path, PathBuf};

use super::api::{Api, Symbol};

/// The environment variable that names the library, or the folder it is in.
pub const LIBRARY_VARIABLE: &str = "HIP_LOADER_LIB";

/// The names that the library goes by, in the order of preference.
#[cfg(windows)]
pub const NAMES: &[&str] = WINDOWS_NAMES;
/// The names that the library goes by, in the order of preference.
#[cfg(not(windows))]
pub const NAMES: &[&str] = UNIX_NAMES;

/// The names on Windows, where the file carries the major version since HIP 6.
pub const WINDOWS_NAMES: &[&str] = &["amdhip64_7.dll", "amdhip64_6.dll", "amdhip64.dll"];
/// The names elsewhere: the soname of each major version, and the link that a development package installs.
pub const UNIX_NAMES: &[&str] = &[
    "libamdhip64.so.7",
    "libamdhip64.so.6",
    "libamdhip64.so.5",
    "libamdhip64.so",
];

/// Why a place was searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The caller named the file.
    Caller,
    /// `HIP_LOADER_LIB` names it.
    Variable,
    /// The system's loader was asked for the bare name.
    System,
    /// The folder is the one that `ROCM_PATH` or `HIP_PATH` names.
    RocmPath,
    /// The folder is where ROCm is installed by default.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Caller => "given by the caller",
            Self::Variable => "from HIP_LOADER_LIB",
            Self::System => "system search",
            Self::RocmPath => "from ROCM_PATH or HIP_PATH",
            Self::Default => "default folder",
        })
    }
}

/// A name that can be handed to the system's loader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// A path, or a bare name that the system's loader searches for.
    pub name: PathBuf,
    /// Why it is tried.
    pub origin: Origin,
}

/// A candidate that did not work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// What was tried.
    pub candidate: Candidate,
    /// What the system's loader said.
    pub reason: String,
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Candidate { name, origin } = &self.candidate;
        write!(f, "{} ({origin}): {}", name.display(), self.reason)
    }
}

/// Why there is no library.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// No candidate could be opened.
    #[error("no HIP runtime library could be opened; tried:{}\nset {LIBRARY_VARIABLE} to the file, or install ROCm's HIP runtime", list(.tried))]
    NotFound {
        /// Every candidate with the reason, in the order of the search.
        tried: Vec<Attempt>,
    },
    /// A library was opened that is not a HIP runtime, or one that is too old.
    #[error("{} lacks {} that the loader needs", .library.display(), symbols(.missing))]
    MissingSymbols {
        /// The file, or the name that the system's loader found it by.
        library: PathBuf,
        /// The functions that it should export.
        missing: Vec<Symbol>,
    },
    /// The library answered its first calls with an error.
    #[error("{} does not start: {source}", .library.display())]
    Start {
        /// The file, or the name that the system's loader found it by.
        library: PathBuf,
        /// What it answered.
        source: crate::result::HipError,
    },
}

fn list(tried: &[Attempt]) -> String {
    tried
        .iter()
        .map(|attempt| format!("\n  {attempt}"))
        .collect()
}

fn symbols(missing: &[Symbol]) -> String {
    let named: Vec<String> = missing
        .iter()
        .map(|symbol| format!("{} (HIP {})", symbol.name, symbol.since))
        .collect();
    let what = if named.len() == 1 {
        "the function"
    } else {
        "the functions"
    };
    format!("{what} {}", named.join(", "))
}

/// A library that is open, with its function table.
pub struct Library {
    /// The functions.
    pub api: Api,
    /// The path, or the bare name that the system's loader found it by.
    pub name: PathBuf,
}

impl fmt::Debug for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Library")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Library {
    /// Opens the first candidate of [`candidates`] that opens.
    ///
    /// # Errors
    /// [`LoadError::NotFound`] with every name that was tried, or [`LoadError::MissingSymbols`] for the library that was
    /// found. A library that lacks functions ends the search: taking another one silently would hide a broken set-up.
    pub fn find() -> Result<Self, LoadError> {
        Self::first_of(candidates(|name| std::env::var_os(name)))
    }

    /// Opens the library at `path`, or under the name `path` if it has no folder.
    ///
    /// # Errors
    /// As [`Library::find`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, LoadError> {
        let name = path.as_ref().to_owned();
        Self::first_of(vec![Candidate {
            name,
            origin: Origin::Caller,
        }])
    }

    /// Opens the first of `candidates` that opens.
    ///
    /// # Errors
    /// As [`Library::find`].
    pub fn first_of(candidates: Vec<Candidate>) -> Result<Self, LoadError> {
        let mut tried = Vec::new();
        for candidate in candidates {
            match open(&candidate.name) {
                Ok(handle) => return Self::from_handle(handle, candidate.name),
                Err(error) => tried.push(Attempt {
                    candidate,
                    reason: reason(&error),
                }),
            }
        }
        Err(LoadError::NotFound { tried })
    }

    /// Makes a function table of a library that the caller has opened. The library stays loaded.
    ///
    /// # Errors
    /// [`LoadError::MissingSymbols`].
    pub fn from_handle(
        handle: libloading::Library,
        name: impl Into<PathBuf>,
    ) -> Result<Self, LoadError> {
        let name = name.into();
        // SAFETY: the addresses are those of the library's exported functions, and the library is never unloaded:
        // the handle is given up below on every path.
        let api = unsafe { Api::resolve(|symbol| address(&handle, symbol)) };
        std::mem::forget(handle);
        match api {
            Ok(api) => Ok(Self { api, name }),
            Err(missing) => Err(LoadError::MissingSymbols {
                library: name,
                missing,
            }),
        }
    }
}

/// What is tried, in order, in an environment in which `variable` looks up variables.
pub fn candidates(variable: impl Fn(&str) -> Option<OsString>) -> Vec<Candidate> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    if let Some(named) = set(LIBRARY_VARIABLE) {
        let path = PathBuf::from(named);
        return if path.is_dir() {
            in_folder(&path, Origin::Variable).collect()
        } else {
            vec![Candidate {
                name: path,
                origin: Origin::Variable,
            }]
        };
    }
    let folder = if cfg!(windows) { "bin" } else { "lib" };
    let roots = ["ROCM_PATH", "HIP_PATH"];
    let rocm = roots
        .iter()
        .filter_map(|root| set(root))
        .map(|root| Path::new(&root).join(folder));
    let system = NAMES.iter().map(|name| Candidate {
        name: PathBuf::from(name),
        origin: Origin::System,
    });
    let mut all: Vec<Candidate> = system.collect();
    for path in rocm {
        all.extend(in_folder(&path, Origin::RocmPath));
    }
    if cfg!(not(windows)) {
        all.extend(in_folder(Path::new("/opt/rocm/lib"), Origin::Default));
    }
    let mut seen: Vec<PathBuf> = Vec::new();
    all.retain(|candidate| {
        let new = !seen.contains(&candidate.name);
        seen.push(candidate.name.clone());
        new
    });
    all
}

fn in_folder(folder: &Path, origin: Origin) -> impl Iterator<Item = Candidate> {
    NAMES.iter().map(move |name| Candidate {
        name: folder.join(name),
        origin,
    })
}

#[cfg(unix)]
fn open(name: &Path) -> Result<libloading::Library, libloading::Error> {
    use libloading::os::unix;
    // Symbols are bound now, so that a library that is missing its own dependencies fails here and not at a launch.
    // SAFETY: opening a library runs its initializers. The caller, the environment or the system names it as the HIP
    // runtime, which is safe to initialize.
    unsafe { unix::Library::open(Some(name), unix::RTLD_NOW | unix::RTLD_LOCAL) }.map(Into::into)
}

#[cfg(not(unix))]
fn open(name: &Path) -> Result<libloading::Library, libloading::Error> {
    // SAFETY: as on Unix.
    unsafe { libloading::Library::new(name) }
}

fn address(library: &libloading::Library, symbol: &CStr) -> *mut c_void {
    // SAFETY: the symbol is read as an address and not called.
    let found = unsafe { library.get::<*mut c_void>(symbol.to_bytes_with_nul()) };
    found.map_or(std::ptr::null_mut(), |symbol| {
        // A symbol dereferences to what it is declared as; the address itself is what is wanted.
        // SAFETY: the address is only carried, and the library outlives its use.
        unsafe { symbol.try_as_raw_ptr() }.unwrap_or(std::ptr::null_mut())
    })
}

/// The system loader's own sentence, without libloading's preamble.
fn reason(error: &libloading::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    OsStr::new(&innermost.to_string())
        .to_string_lossy()
        .into_owned()
}
