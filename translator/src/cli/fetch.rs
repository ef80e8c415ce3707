//! `hipify-candle fetch`

use super::output::{print_document, stdout};
use super::{Failure, Format, Global, Outcome};
use crate::fetch;
use std::io::Write as _;

/// Download candle-kernels from crates.io, check it against its checksum, and unpack it
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Any published version instead of the pinned one
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,
}

pub(super) fn run(args: &Args, global: &Global) -> Result<Outcome, Failure> {
    let fetched = fetch::ensure(&global.work_dir()?, args.version.as_deref())?;
    match global.format {
        Format::Json => print_document(serde_json::to_string(&fetched)?)?,
        Format::Human | Format::Html => {
            let how = if fetched.present {
                "is there and unchanged"
            } else {
                "fetched by cargo"
            };
            let mut out = stdout();
            writeln!(
                out,
                "candle-kernels {} {how}: {}",
                fetched.version,
                fetched.dir.display()
            )?;
            writeln!(
                out,
                "  {} files, package SHA-256 {}",
                fetched.files, fetched.checksum
            )?;
        }
    }
    Ok(Outcome::Fine)
}
