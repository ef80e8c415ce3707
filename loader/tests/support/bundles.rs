/// A bundle that `hipify-candle build` made, in the folder that `HIP_LOADER_TEST_BUNDLES` names.
#[allow(dead_code)]
pub fn bundle_file(name: &str) -> std::path::PathBuf {
    let folder = std::env::var_os("HIP_LOADER_TEST_BUNDLES").map_or_else(
        || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tests/loader-bundles"),
        Into::into,
    );
    let file = folder.join(name);
    assert!(
        file.is_file(),
        "{} is not there; `cargo xtask test` builds it, and so does `hipify-candle build --arch gfx1100,gfx90a,gfx1201 \
         --module quantized,cast --out target/tests/loader-bundles`",
        file.display()
    );
    file
}
