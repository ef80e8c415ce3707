//! What the tests of the loader share: the stub library, the kernels, the emulator.

#![allow(dead_code)]

mod bundles {
    include!("bundles.rs");
}
pub mod scenarios;

pub use bundles::bundle_file;

use std::ffi::{CStr, c_char, c_int, c_long};
use std::path::{Path, PathBuf};
use std::process::Command;

use hip_loader::{Image, Runtime};

/// The kernels of `data/kernels.hip`.
pub fn kernels() -> Image {
    Image::open(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/kernels.hipfb")).unwrap()
}

/// A bundle that `hipify-candle build` made.
pub fn bundle(name: &str) -> Image {
    Image::open(bundle_file(name)).unwrap()
}

/// A stub library that was compiled for one test. Every one counts for itself.
pub struct Stub {
    folder: tempfile::TempDir,
    file: PathBuf,
    handle: libloading::Library,
}

impl Stub {
    /// Compiles the stub with `-D` options and loads it under `name`.
    pub fn named(name: &str, options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(name);
        compile_stub(&file, options);
        // SAFETY: the stub has no initializers.
        let handle = unsafe { libloading::Library::new(&file) }.unwrap();
        Self {
            folder,
            file,
            handle,
        }
    }

    pub fn new(options: &[&str]) -> Self {
        Self::named("libamdhip64.so.6", options)
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn file(&self) -> &Path {
        &self.file
    }

    pub fn runtime(&self) -> Runtime {
        Runtime::open(&self.file).unwrap()
    }

    fn number(&self, name: &[u8]) -> i64 {
        // SAFETY: the functions of these names in hip.c take nothing and give a long.
        unsafe {
            self.handle
                .get::<unsafe extern "C" fn() -> c_long>(name)
                .unwrap()()
        }
    }

    /// Device memory, pinned memory, streams, events, modules, graphs, graph executables that are alive.
    pub fn alive(&self) -> [i64; 7] {
        // SAFETY: the function of this name in hip.c takes an int and gives a long.
        let alive = unsafe {
            self.handle
                .get::<unsafe extern "C" fn(c_int) -> c_long>(b"stub_alive\0")
                .unwrap()
        };
        // SAFETY: as above.
        [0, 1, 2, 3, 4, 5, 6].map(|kind| unsafe { alive(kind) })
    }

    pub fn calls(&self) -> i64 {
        self.number(b"stub_calls\0")
    }

    pub fn allocations(&self) -> i64 {
        self.number(b"stub_allocations\0")
    }

    pub fn launches(&self) -> i64 {
        self.number(b"stub_launches\0")
    }

    /// The name of the last function that was made to fail in this thread.
    pub fn last_failed(&self) -> String {
        // SAFETY: the function of this name in hip.c takes nothing and gives a string that lives on.
        unsafe {
            let name = self
                .handle
                .get::<unsafe extern "C" fn() -> *const c_char>(b"stub_last_failed\0")
                .unwrap();
            CStr::from_ptr(name()).to_str().unwrap().to_owned()
        }
    }

    fn fail_by(&self, name: &[u8], nth: i64, code: i32) {
        // SAFETY: the functions of these names in hip.c take a long and an int.
        unsafe {
            self.handle
                .get::<unsafe extern "C" fn(c_long, c_int)>(name)
                .unwrap()(nth, code);
        }
    }

    /// Lets the `nth` call from now fail, counting from 1.
    pub fn fail(&self, nth: i64, code: i32) {
        self.fail_by(b"stub_fail\0", nth, code);
    }

    /// Lets every call from the `nth` on fail; 0 ends that.
    pub fn fail_from(&self, nth: i64, code: i32) {
        self.fail_by(b"stub_fail_from\0", nth, code);
    }
}

pub fn compile_stub(file: &Path, options: &[&str]) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stub/hip.c");
    compile(&source, file, options);
}

/// Compiles a C file to a shared library.
pub fn compile(source: &Path, file: &Path, options: &[&str]) {
    let status = Command::new("cc")
        .args(["-shared", "-fPIC", "-O2", "-o"])
        .arg(file)
        .arg(source)
        .args(options)
        .status()
        .expect("a C compiler, which linking Rust programs needs as well");
    assert!(status.success());
}

/// A number that a person who runs the tests may set.
pub fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable)
        .ok()
        .and_then(|value| value.parse().ok())
        .unwrap_or(default)
}

/// Bytes of a mapped file whose pages this process has touched, with those around them that the system maps along.
pub fn resident(file: &Path) -> std::io::Result<u64> {
    let file = file.canonicalize()?;
    let maps = std::fs::read_to_string("/proc/self/smaps")?;
    // A mapping is a line that ends with the file, and lines of figures until the next mapping.
    let (mut is_inside, mut kilobytes) = (false, 0);
    for line in maps.lines() {
        let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
        if !first.ends_with(':') {
            is_inside = rest.ends_with(&*file.to_string_lossy());
        } else if is_inside && first == "Rss:" {
            let number = rest.trim().trim_end_matches(" kB");
            kilobytes += number.parse::<u64>().unwrap_or(0);
        }
    }
    Ok(kilobytes * 1024)
}
