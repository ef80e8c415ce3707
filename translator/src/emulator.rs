//! Where the emulator's `libamdhip64` lies.

use std::env;
use std::path::PathBuf;

use crate::workdir::WorkDir;

/// Names the emulator's library.
pub const EMULATOR_VARIABLE: &str = "AMDGPU_EMULATOR_LIB";

/// The command that builds it.
pub const BUILD_COMMAND: &str = "cargo build --release -p amdgpu-emulator";

/// The emulator's library: [`EMULATOR_VARIABLE`], else beside this program, else where the checkout builds it.
///
/// # Errors
/// The paths that were tried, if there is no such file.
pub fn library(work: &WorkDir) -> Result<PathBuf, Vec<PathBuf>> {
    let name = format!(
        "{}amdhip64{}",
        env::consts::DLL_PREFIX,
        env::consts::DLL_SUFFIX
    );
    let named = env::var_os(EMULATOR_VARIABLE)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from);
    let tried = match named {
        Some(path) => vec![path],
        None => {
            let own = env::current_exe().ok();
            let beside = own
                .as_deref()
                .and_then(|exe| exe.parent())
                .map(|dir| dir.join(&name));
            let built = work
                .checkout()
                .map(|checkout| checkout.join("target/release").join(&name));
            beside.into_iter().chain(built).collect()
        }
    };
    tried
        .iter()
        .find(|path| path.is_file())
        .cloned()
        .ok_or(tried)
}
