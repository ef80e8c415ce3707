//! Lays unpacked packages out as a ROCm installation: `bin/hipcc`, `include`, `amdgcn/bitcode`, `llvm`.
//!
//! A prefix is made beside its place and renamed into it, so that whoever sees it sees all of it. One that is there
//! already is completed file by file: a compiler that runs from it at that moment is not disturbed.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use walkdir::WalkDir;

use super::archive::{self, Fetched};
use super::sources::Release;
use super::{Need, Plan, SetupError, io_error, relative};

/// Name of the file that says that a tree is complete and what it was made from.
const STAMP: &str = ".info/hipify-candle.json";

/// Where clang looks for HIP's version. Without this file it takes the prefix for no HIP installation, and includes
/// neither its HIP runtime wrapper nor what that brings (`min`, `max`, the math functions).
const HIP_VERSION: &str = "share/hip/version";

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    /// Digest of the part of `config/toolchain.toml` that the tree follows.
    plan: String,
    packages: Vec<StampedPackage>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct StampedPackage {
    name: String,
    version: String,
    sha256: String,
}

impl Stamp {
    fn new(plan: String, packages: &[Fetched]) -> Self {
        let package = |p: &Fetched| StampedPackage {
            name: p.name.clone(),
            version: p.version.clone(),
            sha256: p.sha256.clone(),
        };
        Stamp {
            plan,
            packages: packages.iter().map(package).collect(),
        }
    }

    fn write(&self, tree: &Path) -> Result<(), SetupError> {
        let path = tree.join(STAMP);
        create_parent(&path)?;
        let text =
            serde_json::to_string_pretty(self).map_err(|e| SetupError::Config(e.to_string()))?;
        fs::write(&path, text + "\n").map_err(io_error(&path))
    }
}

/// Whether `tree` was completed by the plan with this digest. Its key files are looked at as well: a stamp says
/// nothing about what was deleted later.
fn is_complete(tree: &Path, plan: &str, key_files: &[&str]) -> bool {
    let stamp = fs::read(tree.join(STAMP))
        .ok()
        .and_then(|text| serde_json::from_slice::<Stamp>(&text).ok());
    stamp.is_some_and(|stamp| stamp.plan == plan)
        && key_files.iter().all(|file| tree.join(file).exists())
}

fn digest_of(value: &impl Serialize) -> Result<String, SetupError> {
    let text = serde_json::to_vec(value).map_err(|e| SetupError::Config(e.to_string()))?;
    Ok(Sha256::digest(&text)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

/// Makes or completes the ROCm prefix at `place`. Returns whether there was anything to do.
pub(super) fn complete_rocm(
    plan: &Plan,
    release: &Release,
    place: &Path,
    work: &Path,
) -> Result<bool, SetupError> {
    let packages = plan.unpacked(Need::Hipcc);
    let digest = digest_of(&(&packages, &plan.llvm, &plan.isa_version, &plan.abi_version))?;
    let keys = [
        "bin/hipcc",
        "include/hip/hip_version.h",
        HIP_VERSION,
        "amdgcn/bitcode/ocml.bc",
        "llvm/bin/clang",
        "llvm/lib",
    ];
    if is_complete(place, &digest, &keys) {
        return Ok(false);
    }
    println!(
        "set-up: unpacking into {} (nothing is installed on the machine):",
        relative(place).display()
    );
    let fetched = archive::fetch(&packages, release, work)?;
    let staging = Staging::beside(place)?;
    let unpacked = staging.unpack(&fetched)?;
    let tree = staging.path.join("tree");

    copy_tree(&unpacked.join("usr/include"), &tree.join("include"))?;
    copy_tree(&unpacked.join("usr/bin"), &tree.join("bin"))?;
    copy_tree(&unpacked.join("usr/share/hip"), &tree.join("share/hip"))?;
    let libraries = device_libraries(&unpacked)?;
    let bitcode = tree.join("amdgcn/bitcode");
    copy_tree(&libraries, &bitcode)?;

    let llvm = &plan.llvm.root;
    link_tools(&llvm.join("bin"), &tree.join("llvm/bin"))?;
    let lib = tree.join("llvm/lib");
    symlink(llvm.join("lib"), &lib).map_err(io_error(&lib))?;

    let made = make_constants(plan, &llvm.join("bin"), &bitcode)?;
    println!("  made with llvm-as: device libraries {}", made.join(", "));

    Stamp::new(digest, &fetched).write(&tree)?;
    settle(&tree, place)?;
    Ok(true)
}

/// Unpacks headers of a later HIP beside the prefix, for the device header's compile test. An archive that has moved
/// on is no reason to stop here; the test fails without them and says so.
pub(super) fn complete_newer_headers(
    plan: &Plan,
    release: &Release,
    prefix: &Path,
    work: &Path,
) -> Result<bool, SetupError> {
    let packages = plan.unpacked(Need::Tests);
    let digest = digest_of(&packages)?;
    let place = prefix.with_file_name("rocm-6.4-headers");
    if is_complete(&place, &digest, &["include/hip/hip_version.h", HIP_VERSION]) {
        return Ok(false);
    }
    println!("set-up: unpacking into {}:", relative(&place).display());
    let fetched = match archive::fetch(&packages, release, work) {
        Ok(fetched) => fetched,
        Err(error @ SetupError::Version { .. }) => {
            println!("  warning: {error}; the test against these headers will fail");
            return Ok(false);
        }
        Err(error) => return Err(error),
    };
    let staging = Staging::beside(&place)?;
    let unpacked = staging.unpack(&fetched)?;
    let tree = staging.path.join("tree");
    copy_tree(&unpacked.join("usr/include"), &tree.join("include"))?;
    copy_tree(&unpacked.join("usr/share/hip"), &tree.join("share/hip"))?;
    Stamp::new(digest, &fetched).write(&tree)?;
    settle(&tree, &place)?;
    Ok(true)
}

/// A folder on the file system of the place that it is made for. Removed when dropped.
struct Staging {
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Staging {
    fn beside(place: &Path) -> Result<Self, SetupError> {
        create_parent(place)?;
        let parent = place.parent().unwrap_or(Path::new("."));
        let folder = tempfile::Builder::new()
            .prefix(".rocm-staging-")
            .tempdir_in(parent)
            .map_err(io_error(parent))?;
        Ok(Staging {
            path: folder.path().to_owned(),
            _folder: folder,
        })
    }

    /// Unpacks all packages over one another and returns the folder.
    fn unpack(&self, packages: &[Fetched]) -> Result<PathBuf, SetupError> {
        let into = self.path.join("unpacked");
        for package in packages {
            let failed = |output| SetupError::Command {
                what: format!("unpacking {}", package.path.display()),
                output,
            };
            let output = duct::cmd!("dpkg-deb", "-x", &package.path, &into)
                .stderr_to_stdout()
                .stdout_capture()
                .unchecked()
                .run()
                .map_err(|e| failed(format!("dpkg-deb: {e}")))?;
            if !output.status.success() {
                return Err(failed(
                    String::from_utf8_lossy(&output.stdout).trim().to_owned(),
                ));
            }
        }
        Ok(into)
    }
}

/// The one folder that holds the device libraries: distributions put them below clang's resources.
fn device_libraries(unpacked: &Path) -> Result<PathBuf, SetupError> {
    let ocml = WalkDir::new(unpacked)
        .into_iter()
        .flatten()
        .find(|entry| entry.file_type().is_file() && entry.file_name() == "ocml.bc");
    ocml.and_then(|entry| entry.path().parent().map(Path::to_owned))
        .ok_or_else(|| {
            SetupError::Config("no [[unpack]] package for hipcc holds ocml.bc".to_owned())
        })
}

/// Links every program of `from`, and the name `clang-17` that hipcc 5.7.1 asks for.
fn link_tools(from: &Path, to: &Path) -> Result<(), SetupError> {
    fs::create_dir_all(to).map_err(io_error(to))?;
    for entry in fs::read_dir(from).map_err(io_error(from))?.flatten() {
        let link = to.join(entry.file_name());
        symlink(entry.path(), &link).map_err(io_error(&link))?;
    }
    let alias = to.join("clang-17");
    if !alias.exists() {
        symlink(from.join("clang"), &alias).map_err(io_error(&alias))?;
    }
    Ok(())
}

/// Makes the device libraries that hold one constant, in the form of those that are there. Returns their names.
fn make_constants(plan: &Plan, tools: &Path, bitcode: &Path) -> Result<Vec<String>, SetupError> {
    let layout = data_layout(tools, &bitcode.join("oclc_wavefrontsize64_on.bc"))?;
    let mut made = Vec::new();
    for (symbol, file, values) in [
        ("__oclc_ISA_version", "oclc_isa_version_", &plan.isa_version),
        ("__oclc_ABI_version", "oclc_abi_version_", &plan.abi_version),
    ] {
        for (name, value) in values {
            let path = bitcode.join(format!("{file}{name}.bc"));
            if path.exists() {
                continue;
            }
            let text = format!(
                "{layout}\n\n@{symbol} = linkonce_odr protected local_unnamed_addr addrspace(4) constant i32 {value}, \
                 align 4\n"
            );
            run_tool(
                duct::cmd!(tools.join("llvm-as"), "-", "-o", &path).stdin_bytes(text),
                "llvm-as",
            )?;
            made.push(format!("{file}{name}"));
        }
    }
    Ok(made)
}

/// The `target` lines of a device library: linking bitcode with another data layout is warned of.
fn data_layout(tools: &Path, library: &Path) -> Result<String, SetupError> {
    let text = run_tool(
        duct::cmd!(tools.join("llvm-dis"), library, "-o", "-"),
        "llvm-dis",
    )?;
    Ok(text
        .lines()
        .filter(|line| line.starts_with("target "))
        .collect::<Vec<_>>()
        .join("\n"))
}

fn run_tool(command: duct::Expression, what: &str) -> Result<String, SetupError> {
    let failed = |output| SetupError::Command {
        what: what.to_owned(),
        output,
    };
    let output = command
        .stdout_capture()
        .stderr_capture()
        .unchecked()
        .run()
        .map_err(|e| failed(e.to_string()))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(failed(
            String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        ))
    }
}

fn create_parent(path: &Path) -> Result<(), SetupError> {
    let parent = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(io_error(parent))
}

/// Copies a tree. Links that stay inside it stay links, others become what they point to.
fn copy_tree(from: &Path, to: &Path) -> Result<(), SetupError> {
    for entry in WalkDir::new(from) {
        let entry = entry.map_err(|e| SetupError::Io {
            path: from.to_owned(),
            source: e.into(),
        })?;
        let below = entry.path().strip_prefix(from).unwrap_or(entry.path());
        let target = to.join(below);
        if entry.file_type().is_dir() {
            fs::create_dir_all(&target).map_err(io_error(&target))?;
        } else if entry.file_type().is_symlink() && is_inner_link(entry.path()) {
            let link = fs::read_link(entry.path()).map_err(io_error(entry.path()))?;
            symlink(link, &target).map_err(io_error(&target))?;
        } else {
            fs::copy(entry.path(), &target).map_err(io_error(entry.path()))?;
        }
    }
    Ok(())
}

/// A link to a neighbour, such as `hcc_detail -> amd_detail`.
fn is_inner_link(path: &Path) -> bool {
    fs::read_link(path).is_ok_and(|link| link.components().count() == 1 && link.is_relative())
}

/// Puts a finished tree into its place: at once if the place is free, otherwise file by file, the stamp last.
fn settle(tree: &Path, place: &Path) -> Result<(), SetupError> {
    if !place.exists() {
        return fs::rename(tree, place).map_err(io_error(place));
    }
    let stamp = tree.join(STAMP);
    for entry in WalkDir::new(tree).sort_by_file_name() {
        let entry = entry.map_err(|e| SetupError::Io {
            path: tree.to_owned(),
            source: e.into(),
        })?;
        let below = entry.path().strip_prefix(tree).unwrap_or(entry.path());
        let target = place.join(below);
        if entry.file_type().is_dir() {
            fs::create_dir_all(&target).map_err(io_error(&target))?;
        } else if entry.path() != stamp && !same(entry.path(), &target) {
            fs::rename(entry.path(), &target).map_err(io_error(&target))?;
        }
    }
    let target = place.join(STAMP);
    fs::rename(&stamp, &target).map_err(io_error(&target))
}

/// Whether two files or links are the same, so that the second may stay.
fn same(a: &Path, b: &Path) -> bool {
    match (fs::read_link(a), fs::read_link(b)) {
        (Ok(a), Ok(b)) => a == b,
        (Err(_), Err(_)) => match (fs::read(a), fs::read(b)) {
            (Ok(a), Ok(b)) => a == b,
            _ => false,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::{Stamp, copy_tree, is_complete, settle};

    fn tree(root: &Path, files: &[(&str, &str)]) {
        for (name, text) in files {
            let path = root.join(name);
            fs::create_dir_all(path.parent().expect("below a folder")).expect("temporary folder");
            fs::write(path, text).expect("temporary file");
        }
        Stamp::new("plan".to_owned(), &[])
            .write(root)
            .expect("temporary file");
    }

    #[test]
    fn a_free_place_gets_the_whole_tree() {
        let dir = tempfile::tempdir().expect("temporary folder");
        tree(&dir.path().join("new"), &[("bin/hipcc", "x")]);
        let place = dir.path().join("rocm");
        assert!(!is_complete(&place, "plan", &["bin/hipcc"]));
        settle(&dir.path().join("new"), &place).expect("renamed");
        assert!(is_complete(&place, "plan", &["bin/hipcc"]));
        assert!(!is_complete(&place, "another plan", &["bin/hipcc"]));
        fs::remove_file(place.join("bin/hipcc")).expect("own file");
        assert!(!is_complete(&place, "plan", &["bin/hipcc"]));
    }

    #[test]
    fn a_prefix_that_is_there_is_completed_and_keeps_the_rest() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let place = dir.path().join("rocm");
        for (name, text) in [("bin/hipcc", "old"), ("lib/own", "kept")] {
            let path = place.join(name);
            fs::create_dir_all(path.parent().expect("below a folder")).expect("temporary folder");
            fs::write(path, text).expect("temporary file");
        }
        tree(
            &dir.path().join("new"),
            &[("bin/hipcc", "new"), ("amdgcn/bitcode/ocml.bc", "bc")],
        );
        settle(&dir.path().join("new"), &place).expect("completed");
        assert!(is_complete(&place, "plan", &["amdgcn/bitcode/ocml.bc"]));
        assert_eq!(
            fs::read_to_string(place.join("bin/hipcc")).expect("a file"),
            "new"
        );
        assert_eq!(
            fs::read_to_string(place.join("lib/own")).expect("a file"),
            "kept"
        );
    }

    #[test]
    fn links_to_neighbours_stay_links() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        tree(&from, &[("amd_detail/a.h", "a")]);
        fs::write(dir.path().join("far"), "far").expect("temporary file");
        std::os::unix::fs::symlink("amd_detail", from.join("hcc_detail")).expect("link");
        std::os::unix::fs::symlink("../far", from.join("near")).expect("link");
        copy_tree(&from, &to).expect("copied");
        assert_eq!(
            fs::read_link(to.join("hcc_detail")).expect("a link"),
            Path::new("amd_detail")
        );
        assert!(fs::read_link(to.join("near")).is_err());
        assert_eq!(fs::read_to_string(to.join("near")).expect("a file"), "far");
    }
}
