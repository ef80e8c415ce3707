//! Builds or takes the bundles of the modules whose features are on. See the crate's page for the variables.

#[cfg(feature = "build")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    hipify_candle::KernelBuilder::new()
        .modules(hipify_candle::kernel_builder::modules_of_features()?)
        .archs_from("CANDLE_HIP_ARCHS", "common")
        .bundles_from("CANDLE_HIP_BUNDLES")
        .build()?
        .write(std::env::var("OUT_DIR")?)?;
    Ok(())
}

#[cfg(not(feature = "build"))]
fn main() {}
