//! Lists the files under `config/` (and the pin under `kernels-cuda/`) so that the crate carries them:
//! an installed `hipify-candle` needs no checkout beside it.
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn toml_files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "toml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn main() -> io::Result<()> {
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
    fs::write(out.join("config_files.rs"), text)
}
