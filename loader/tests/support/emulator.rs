/// The emulator's library: `HIP_LOADER_LIB`, or what `cargo build -p amdgpu-emulator` made last.
#[allow(dead_code)]
pub fn emulator() -> std::path::PathBuf {
    use std::path::{Path, PathBuf};

    if let Some(file) = std::env::var_os("HIP_LOADER_LIB") {
        return file.into();
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"),
        PathBuf::from,
    );
    let places = ["release", "debug", "release/deps", "debug/deps"];
    let files = places.iter().map(|place| target.join(place).join("libamdhip64.so"));
    let built = |file: &PathBuf| file.metadata().and_then(|file| file.modified()).ok();
    files.filter(|file| file.exists()).max_by_key(built).unwrap_or_else(|| {
        panic!(
            "no libamdhip64.so in {}: run `cargo build --release -p amdgpu-emulator`, or set HIP_LOADER_LIB",
            target.display()
        )
    })
}
