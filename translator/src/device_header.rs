//! Our device header on disk: the checkout's own copy, or the one inside the program written out.
//!
//! Knows where the header's files are. What is in them is the business of `kernels-hip/include`.

use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::files::write_changed;
use crate::workdir::WorkDir;

mod embedded {
    include!(concat!(env!("OUT_DIR"), "/device_header_files.rs"));
}

/// The device header can't be laid out.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the device header to {path}: {source}")]
pub struct DeviceHeaderError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

/// The folder to look for `<hipify/...>` in. In a checkout its own `kernels-hip/include`, so that a change there
/// counts at once; elsewhere the files that were compiled in, laid out in the work dir.
///
/// # Errors
/// [`DeviceHeaderError`] if a file can't be written.
pub fn folder(work: &WorkDir) -> Result<PathBuf, DeviceHeaderError> {
    if let Some(checkout) = work.checkout() {
        return Ok(checkout.join("kernels-hip/include"));
    }
    let folder = work.root().join("device-header");
    for (name, text) in embedded::FILES {
        write(&folder.join(name), text)?;
    }
    Ok(folder)
}

/// The header's files, by name below the folder.
pub fn files() -> impl Iterator<Item = (&'static str, &'static str)> {
    embedded::FILES.iter().copied()
}

fn write(path: &Path, text: &str) -> Result<(), DeviceHeaderError> {
    let failed = |source| DeviceHeaderError {
        path: path.to_owned(),
        source,
    };
    fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).map_err(failed)?;
    write_changed(path, text.as_bytes())
        .map(|_| ())
        .map_err(failed)
}
