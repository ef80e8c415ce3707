//! `kernels/*.cu` become bundles for the architectures that `CANDLE_HIP_ARCHS` lists; `OWN_KERNEL_BUNDLES` names a
//! folder of bundles that are taken instead, where there is no ROCm.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    hipify_candle::KernelBuilder::new()
        .source_dir("kernels")
        .archs_from("CANDLE_HIP_ARCHS", "common")
        .bundles_from("OWN_KERNEL_BUNDLES")
        .build()?
        .write(std::env::var("OUT_DIR")?)?;
    Ok(())
}
