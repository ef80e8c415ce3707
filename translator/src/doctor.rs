//! Looks at everything that this program needs, and says where it is or how to get it.
//!
//! Knows what is needed for what. It changes nothing and prints nothing.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{env, fs};

use hip_loader::{LoadError, Runtime};
use serde::Serialize;

use crate::arch::Architectures;
use crate::cache::Cache;
use crate::pin::Pin;
use crate::toolchain::{SETUP_COMMAND, Search, Toolchain, ToolchainError};
use crate::workdir::WorkDir;
use crate::{emulator, fetch};

/// How a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// It is there and works.
    Fine,
    /// It isn't there; what needs it says so, and nothing else does.
    Absent,
    /// It isn't there or doesn't work, and without it the chain stops.
    Broken,
}

/// One part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is: `hipcc`, `device libraries`.
    pub part: &'static str,
    /// How it is.
    pub health: Health,
    /// What it is for.
    pub purpose: &'static str,
    /// Its version, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// What else there is to say.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
    /// What mends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl Finding {
    fn new(part: &'static str, purpose: &'static str, health: Health) -> Self {
        Finding {
            part,
            health,
            purpose,
            version: None,
            path: None,
            details: Vec::new(),
            help: None,
        }
    }

    fn fine(part: &'static str, purpose: &'static str, path: &Path) -> Self {
        Finding {
            path: Some(path.to_owned()),
            ..Finding::new(part, purpose, Health::Fine)
        }
    }

    fn version(mut self, version: impl ToString) -> Self {
        self.version = Some(version.to_string());
        self
    }

    fn detail(mut self, text: impl Into<String>) -> Self {
        self.details.push(text.into());
        self
    }

    fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }
}

/// Looks at everything.
#[must_use]
pub fn examine(work: &WorkDir, archs: &Architectures) -> Vec<Finding> {
    let mut findings = toolchain(archs);
    findings.push(cargo());
    findings.push(sources(work));
    findings.push(llvm(Path::new("/")));
    findings.push(emulated_runtime(work));
    findings.push(system_runtime());
    findings.push(cache(work));
    findings
}

const HIPCC: &str = "compiles kernels";

fn toolchain(archs: &Architectures) -> Vec<Finding> {
    let toolchain = match Search::from_env().toolchain() {
        Ok(toolchain) => toolchain,
        Err(error) => {
            let finding = Finding::new("ROCm toolchain", HIPCC, Health::Broken).help(error.help());
            return vec![
                error
                    .to_string()
                    .lines()
                    .fold(finding, |finding, line| finding.detail(line.trim())),
            ];
        }
    };
    let broken = |part, purpose, error: &ToolchainError| {
        Finding::new(part, purpose, Health::Broken)
            .detail(error.to_string())
            .help(format!("`{SETUP_COMMAND}`"))
    };
    let mut findings = vec![
        Finding::fine("ROCm toolchain", HIPCC, &toolchain.root)
            .detail(toolchain.origin.to_string()),
    ];
    findings.push(hipcc(&toolchain));
    findings.push(match toolchain.compiler_version() {
        Ok(version) => {
            Finding::fine("clang", "the compiler behind hipcc", &toolchain.clang).version(version)
        }
        Err(error) => broken("clang", "the compiler behind hipcc", &error),
    });
    findings.push(
        Finding::fine(
            "HIP headers",
            "what translated sources include",
            &toolchain.include,
        )
        .version(toolchain.hip),
    );
    findings.push(match toolchain.processors() {
        Ok(processors) => {
            let finding = Finding::fine(
                "device libraries",
                "linked into every kernel",
                &toolchain.bitcode,
            );
            let (mut good, mut bad) = (0, Vec::new());
            for arch in archs.all() {
                match processors.obstacle(&arch.name) {
                    None => good += 1,
                    Some(reason) => bad.push(reason),
                }
            }
            let finding = finding.detail(format!(
                "{good} of {} architectures can be built",
                archs.all().len()
            ));
            bad.into_iter().fold(finding, Finding::detail)
        }
        Err(error) => broken("device libraries", "linked into every kernel", &error),
    });
    let bundler = "clang-offload-bundler";
    let purpose = "unpacks bundles outside of this program; not needed by it";
    findings.push(match toolchain.llvm_tool(bundler) {
        Some(path) => Finding::fine(bundler, purpose, &path),
        None => Finding::new(bundler, purpose, Health::Absent).help(format!("`{SETUP_COMMAND}`")),
    });
    findings
}

/// Runs hipcc: a script without its interpreter is there and does nothing.
fn hipcc(toolchain: &Toolchain) -> Finding {
    let mut command = duct::cmd!(&toolchain.hipcc, "--version");
    for (name, value) in toolchain.environment() {
        command = command.env(name, value);
    }
    let result = command
        .stdin_null()
        .stdout_capture()
        .stderr_capture()
        .unchecked()
        .run();
    let broken = |message: String| {
        let finding = Finding::fine("hipcc", HIPCC, &toolchain.hipcc).detail(message);
        Finding {
            health: Health::Broken,
            ..finding
        }
        .help(format!(
            "`{SETUP_COMMAND}` (hipcc is a Perl script: is perl there?)"
        ))
    };
    match result {
        Ok(output) if output.status.success() => {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let version = text
                .lines()
                .find_map(|line| line.strip_prefix("HIP version:"));
            let finding = Finding::fine("hipcc", HIPCC, &toolchain.hipcc);
            match version {
                Some(version) => finding.version(version.trim()),
                None => finding,
            }
        }
        Ok(output) => broken(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => broken(error.to_string()),
    }
}

fn cargo() -> Finding {
    let purpose = "fetches candle-kernels";
    let version = duct::cmd!("cargo", "--version").stderr_null().read();
    match (which::which("cargo"), version) {
        (Ok(path), Ok(version)) => Finding::fine("cargo", purpose, &path).version(version.trim()),
        _ => Finding::new("cargo", purpose, Health::Absent).help("install Rust with rustup"),
    }
}

fn sources(work: &WorkDir) -> Finding {
    let purpose = "the CUDA sources";
    let pin = match Pin::of(work).and_then(Pin::checked) {
        Ok(pin) => pin,
        Err(error) => {
            let finding = Finding::new("candle-kernels", purpose, Health::Broken);
            return match error.help() {
                Some(help) => finding.detail(error.to_string()).help(help),
                None => finding.detail(error.to_string()),
            };
        }
    };
    match fetch::locate(work, pin.version()) {
        Some(fetched) => {
            Finding::fine("candle-kernels", purpose, &fetched.dir).version(fetched.version)
        }
        None => Finding::new("candle-kernels", purpose, Health::Absent)
            .version(pin.version())
            .detail("not fetched yet")
            .help("`hipify-candle fetch`"),
    }
}

/// LLVM's library, by the names and in the folders that the emulator tries. `root` is the file system's.
fn llvm(root: &Path) -> Finding {
    let purpose = "the emulator decodes instructions with it";
    if let Some(path) = env::var_os("AMDGPU_EMULATOR_LLVM").map(PathBuf::from) {
        let finding =
            Finding::fine("LLVM library", purpose, &path).detail("from AMDGPU_EMULATOR_LLVM");
        let health = if path.is_file() {
            Health::Fine
        } else {
            Health::Broken
        };
        return Finding { health, ..finding };
    }
    let mut folders: BTreeSet<PathBuf> = ["usr/lib", "usr/lib64", "usr/local/lib"]
        .map(|dir| root.join(dir))
        .into();
    for (parent, below) in [("usr/lib", ""), ("usr/lib", "lib")] {
        for entry in fs::read_dir(root.join(parent))
            .into_iter()
            .flatten()
            .flatten()
        {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.ends_with("-linux-gnu") || name.starts_with("llvm-") {
                folders.insert(entry.path().join(below));
            }
        }
    }
    let rocm = env::var_os("ROCM_PATH").map_or_else(|| root.join("opt/rocm"), PathBuf::from);
    folders.insert(rocm.join("llvm/lib"));
    let mut found: Vec<(u32, PathBuf)> = folders
        .iter()
        .flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten())
        .filter_map(|entry| {
            Some((
                llvm_version(&entry.file_name().to_string_lossy())?,
                entry.path(),
            ))
        })
        .filter(|(_, path)| path.is_file())
        .collect();
    // The version that the rest of the toolchain is made of first, then the newest.
    found
        .sort_by_key(|(version, path)| (*version != 19, std::cmp::Reverse(*version), path.clone()));
    match found.first() {
        Some((version, path)) => Finding::fine("LLVM library", purpose, path).version(version),
        None => Finding::new("LLVM library", purpose, Health::Broken)
            .detail("no libLLVM.so.17 or later")
            .help(format!("`{SETUP_COMMAND}`, or set AMDGPU_EMULATOR_LLVM")),
    }
}

/// The version in `libLLVM.so.19.1`, `libLLVM-19.so.1`, if it is one that the emulator can use.
fn llvm_version(name: &str) -> Option<u32> {
    let rest = name.strip_prefix("libLLVM")?;
    let rest = rest
        .strip_prefix(".so.")
        .or_else(|| rest.strip_prefix('-'))?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok().filter(|version| *version >= 17)
}

fn emulated_runtime(work: &WorkDir) -> Finding {
    let purpose = "runs kernels without a GPU";
    let (part, help) = ("emulator", format!("`{}`", emulator::BUILD_COMMAND));
    match emulator::library(work) {
        Err(tried) => {
            let tried: Vec<_> = tried
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            let finding = Finding::new(part, purpose, Health::Absent).help(help);
            finding.detail(format!("no such file: {}", tried.join(", ")))
        }
        Ok(path) => match Runtime::open(&path) {
            Ok(runtime) => devices(Finding::fine(part, purpose, &path), &runtime),
            Err(error) => {
                let finding = Finding::fine(part, purpose, &path)
                    .detail(error.to_string())
                    .help(help);
                Finding {
                    health: Health::Broken,
                    ..finding
                }
            }
        },
    }
}

fn system_runtime() -> Finding {
    let purpose = "runs kernels on a real AMD GPU";
    match Runtime::load() {
        Ok(runtime) => {
            let path = runtime.library().to_owned();
            devices(Finding::fine("HIP runtime", purpose, &path), &runtime)
        }
        Err(LoadError::NotFound { .. }) => Finding::new("HIP runtime", purpose, Health::Absent)
            .detail("no libamdhip64 where the loader looks; kernels can still be checked on the emulator")
            .help("install ROCm's HIP runtime, or name the library with HIP_LOADER_LIB"),
        Err(error) => Finding::new("HIP runtime", purpose, Health::Absent).detail(error.to_string()),
    }
}

/// Adds a runtime's version and devices.
fn devices(finding: Finding, runtime: &Runtime) -> Finding {
    let finding = finding.version(runtime.version());
    let count = match runtime.device_count() {
        Ok(0) => return finding.detail("no device"),
        Ok(count) => count,
        Err(error) => return finding.detail(format!("its devices can't be counted: {error}")),
    };
    (0..count).fold(finding, |finding, ordinal| {
        finding.detail(match runtime.device(ordinal) {
            Ok(device) => {
                let name = device.name().unwrap_or_else(|error| error.to_string());
                format!("device {ordinal}: {} ({name})", device.target())
            }
            Err(error) => format!("device {ordinal}: {error}"),
        })
    })
}

fn cache(work: &WorkDir) -> Finding {
    let cache = Cache::open(work.root());
    let status = cache.status();
    Finding::fine("cache", "keeps code objects between builds", cache.folder()).detail(format!(
        "{} code objects, {} MiB",
        status.objects,
        status.bytes >> 20
    ))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Health, llvm, llvm_version};

    #[test]
    fn names_of_llvm_libraries() {
        assert_eq!(llvm_version("libLLVM.so.19.1"), Some(19));
        assert_eq!(llvm_version("libLLVM-20.so.1"), Some(20));
        for name in [
            "libLLVM.so",
            "libLLVM-15.so.1",
            "libLLVMSupport.a",
            "libLTO.so.19.1",
        ] {
            assert_eq!(llvm_version(name), None, "{name}");
        }
    }

    #[test]
    fn the_llvm_library_is_found_by_the_folders_of_distributions() {
        let dir = tempfile::tempdir().expect("temporary folder");
        assert_eq!(llvm(dir.path()).health, Health::Broken);
        for (folder, name) in [
            ("usr/lib/llvm-20/lib", "libLLVM.so.20.1"),
            ("usr/lib/x86_64-linux-gnu", "libLLVM.so.19.1"),
        ] {
            let folder = dir.path().join(folder);
            fs::create_dir_all(&folder).expect("temporary folder");
            fs::write(folder.join(name), "").expect("temporary file");
            let expected = Some(folder.join(name));
            assert_eq!(llvm(dir.path()).path, expected);
        }
    }
}
