use std::fs;
use std::path::{Path, PathBuf};

use crate::{HipVersion, Origin, Search, ToolchainError};

const VERSION: &str =
    "#define HIP_VERSION_MAJOR 6\n#define HIP_VERSION_MINOR 4\n#define HIP_VERSION_PATCH 43484\n";

fn write(path: PathBuf, text: &str) {
    fs::create_dir_all(path.parent().expect("below a folder")).expect("temporary folder");
    fs::write(path, text).expect("temporary file");
}

/// A ROCm with the files that the search looks for, less those in `without`.
fn rocm(root: &Path, without: &[&str]) {
    for file in ["bin/hipcc", "llvm/bin/clang", "amdgcn/bitcode/ocml.bc"] {
        if !without.contains(&file) {
            write(root.join(file), "");
        }
    }
    write(root.join("include/hip/hip_version.h"), VERSION);
}

fn search(here: &Path) -> Search {
    Search {
        rocm_path: None,
        hip_path: None,
        hip_clang_path: None,
        device_lib_path: None,
        opt_rocm: here.join("no-opt-rocm"),
        path: None,
        prefix: None,
        here: here.to_owned(),
    }
}

#[test]
fn variables_win_over_places_and_the_prefix_is_last() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let (a, b, c, d) = (
        dir.path().join("a"),
        dir.path().join("b"),
        dir.path().join("c"),
        dir.path().join("d"),
    );
    [&a, &b, &c, &d].iter().for_each(|root| rocm(root, &[]));
    rocm(&dir.path().join("target/rocm"), &[]);
    let below = dir.path().join("target/x/y");
    fs::create_dir_all(&below).expect("temporary folder");
    let mut search = search(&below);
    let found = |search: &Search| {
        search
            .toolchain()
            .map(|t| (t.root, t.origin))
            .expect("complete")
    };

    assert_eq!(
        found(&search),
        (dir.path().join("target/rocm"), Origin::Prefix(false))
    );
    search.prefix = Some(d.clone());
    assert_eq!(found(&search), (d, Origin::Prefix(true)));
    search.opt_rocm = c.clone();
    assert_eq!(found(&search), (c, Origin::OptRocm));
    search.hip_path = Some(b.clone());
    assert_eq!(found(&search), (b, Origin::HipPath));
    search.rocm_path = Some(a.clone());
    assert_eq!(found(&search), (a.clone(), Origin::RocmPath));
    let hip = search.toolchain().expect("complete").hip;
    assert_eq!(
        hip,
        HipVersion {
            major: 6,
            minor: 4,
            patch: 43484
        }
    );
}

#[cfg(unix)]
#[test]
fn hipcc_on_path_leads_to_its_installation_through_links() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let dir = tempfile::tempdir().expect("temporary folder");
    let root = fs::canonicalize(dir.path())
        .expect("it exists")
        .join("rocm-6.4");
    rocm(&root, &[]);
    fs::set_permissions(root.join("bin/hipcc"), fs::Permissions::from_mode(0o755))
        .expect("own file");
    let links = dir.path().join("links");
    fs::create_dir(&links).expect("temporary folder");
    symlink(root.join("bin/hipcc"), links.join("hipcc")).expect("link");
    let mut search = search(dir.path());
    search.path = Some(links.into());
    let found = search.toolchain().expect("complete");
    assert_eq!((found.root, found.origin), (root, Origin::Path));
}

#[test]
fn nothing_found_lists_every_place() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let mut search = search(dir.path());
    search.prefix = Some(dir.path().join("prefix"));
    let error = search.toolchain().expect_err("there is none");
    let text = error.to_string();
    for place in [
        "ROCM_PATH: not set",
        "HIP_PATH: not set",
        "no-opt-rocm",
        "hipcc on PATH: none",
        "prefix",
    ] {
        assert!(text.contains(place), "{place} is not in\n{text}");
    }
    assert!(
        error.help().contains("cargo xtask setup"),
        "{}",
        error.help()
    );
}

#[test]
fn a_named_installation_that_lacks_a_part_is_an_error_though_another_is_complete() {
    let dir = tempfile::tempdir().expect("temporary folder");
    rocm(&dir.path().join("target/rocm"), &[]);
    let named = dir.path().join("named");
    rocm(&named, &["amdgcn/bitcode/ocml.bc"]);
    let mut search = search(dir.path());
    search.rocm_path = Some(named.clone());
    let error = search.toolchain().expect_err("no device libraries");
    assert!(
        matches!(&error, ToolchainError::Incomplete { root, .. } if *root == named),
        "{error}"
    );
    assert!(
        error.to_string().contains("amdgcn/bitcode/ocml.bc"),
        "{error}"
    );
    assert!(error.help().contains("unset ROCM_PATH"), "{}", error.help());
}

#[test]
fn explicit_folders_of_clang_and_libraries_are_used() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let root = dir.path().join("rocm");
    rocm(&root, &["llvm/bin/clang", "amdgcn/bitcode/ocml.bc"]);
    write(dir.path().join("c/clang"), "");
    write(dir.path().join("l/ocml.bc"), "");
    let mut search = search(dir.path());
    search.rocm_path = Some(root);
    search.hip_clang_path = Some(dir.path().join("c"));
    search.device_lib_path = Some(dir.path().join("l"));
    let found = search.toolchain().expect("complete");
    assert_eq!(found.clang, dir.path().join("c/clang"));
    assert_eq!(found.bitcode, dir.path().join("l"));
}

#[test]
fn a_distribution_keeps_clang_and_libraries_under_lib_llvm() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let root = dir.path().join("usr");
    rocm(&root, &["llvm/bin/clang", "amdgcn/bitcode/ocml.bc"]);
    write(root.join("lib/llvm-9/bin/clang"), "");
    write(root.join("lib/llvm-17/bin/clang"), "");
    write(
        root.join("lib/llvm-17/lib/clang/17/amdgcn/bitcode/ocml.bc"),
        "",
    );
    let mut search = search(dir.path());
    search.rocm_path = Some(root.clone());
    let found = search.toolchain().expect("complete");
    assert_eq!(found.clang, root.join("lib/llvm-17/bin/clang"));
    assert_eq!(
        found.bitcode,
        root.join("lib/llvm-17/lib/clang/17/amdgcn/bitcode")
    );
}
