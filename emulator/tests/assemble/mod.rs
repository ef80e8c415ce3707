//! Assembly to code objects, by the toolchain's clang.

use std::path::PathBuf;
use std::process::Command;

/// The code object of a file of assembly for `processor`. More of clang's options stand in `options`.
pub fn assemble(text: &str, processor: &str, options: &[&str]) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (source, object) = (folder.path().join("ops.s"), folder.path().join("ops.hsaco"));
    std::fs::write(&source, text).expect("the assembly is written");
    let mut command = Command::new(clang());
    command
        .args(["-x", "assembler", "-target", "amdgcn-amd-amdhsa"])
        .arg("-mcode-object-version=5")
        .arg(format!("-mcpu={processor}"))
        .args(options)
        .arg(&source)
        .arg("-o")
        .arg(&object);
    let output = command
        .output()
        .unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(
        output.status.success(),
        "{command:?}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    std::fs::read(&object).expect("the object was written")
}

/// The toolchain's clang: `$ROCM_PATH`'s, the project's own prefix, Debian's, an installed ROCm's.
fn clang() -> PathBuf {
    let prefix = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/rocm");
    let tried: Vec<PathBuf> = std::env::var_os("ROCM_PATH")
        .map(PathBuf::from)
        .into_iter()
        .chain([prefix, "/usr/lib/llvm-19".into(), "/opt/rocm".into()])
        .flat_map(|root| [root.join("llvm/bin/clang"), root.join("bin/clang")])
        .collect();
    let found = tried.iter().find(|path| path.exists()).cloned();
    found.unwrap_or_else(|| {
        panic!("no clang for amdgcn among {tried:?}; `cargo xtask setup` installs one")
    })
}
