//! Lists the files under `config/` (and the pin under `kernels-cuda/`) so that the crate carries them:
//! an installed `hipify-candle` needs no checkout beside it.
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn toml_files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(files),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "toml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Every file below `dir`, as `(name below it with /, path)`, sorted.
fn files_below(dir: &Path, name: &str, found: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
    println!("cargo::rerun-if-changed={}", dir.display());
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = format!("{name}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            files_below(&entry.path(), &format!("{name}/"), found)?;
        } else {
            println!("cargo::rerun-if-changed={}", entry.path().display());
            found.push((name, entry.path()));
        }
    }
    found.sort();
    Ok(())
}

/// Lists the device header's files in the same way.
fn device_header(root: &Path, out: &Path) -> io::Result<()> {
    let mut files = Vec::new();
    files_below(&root.join("kernels-hip/include"), "", &mut files)?;
    let mut text = String::from("pub(super) static FILES: &[(&str, &str)] = &[\n");
    for (name, path) in files {
        let path = path.display().to_string();
        let _ = writeln!(text, "    ({name:?}, include_str!({path:?})),");
    }
    text.push_str("];\n");
    fs::write(out.join("device_header_files.rs"), text)
}

fn main() -> io::Result<()> {
    println!(
        "cargo::rustc-env=HIPIFY_PLATFORM={}",
        env::var("TARGET").unwrap_or_default()
    );
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("..");
    let root = root.canonicalize()?;
    let config = root.join("config");
    let mut text =
        String::from("/// Name below `config/` and contents of every configuration file.\n");
    text.push_str("pub(super) static FILES: &[(&str, &str)] = &[\n");
    for sub in ["", "rules", "fixes"] {
        let dir = config.join(sub);
        println!("cargo::rerun-if-changed={}", dir.display());
        for path in toml_files(&dir)? {
            println!("cargo::rerun-if-changed={}", path.display());
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            let name = if sub.is_empty() {
                file.into_owned()
            } else {
                format!("{sub}/{file}")
            };
            let _ = writeln!(
                text,
                "    ({name:?}, include_str!({:?})),",
                path.display().to_string()
            );
        }
    }
    text.push_str("];\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    device_header(&root, &out)?;
    fs::write(out.join("config_files.rs"), text)
}
