//! `hipify-candle cache`

use serde_json::json;
use std::io::Write as _;

use super::output::{print_document, stdout};
use super::{Failure, Format, Global, Outcome};
use crate::cache::{Cache, limit};

/// Look at the cache of code objects, or empty it
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Say where the cache is and how much is in it
    Status,
    /// Delete everything in it
    Clear,
}

pub(super) fn run(args: &Args, global: &Global) -> Result<Outcome, Failure> {
    let work = global.work_dir()?;
    let cache = Cache::open(work.root());
    let limit = limit()?;
    let (status, word) = match args.action {
        Action::Status => (cache.status(), "holds"),
        Action::Clear => (cache.clear()?, "is empty now; it held"),
    };
    let folder = cache.folder();
    match global.format {
        Format::Json => {
            print_document(json!({ "folder": folder, "status": status, "limit": limit }))?
        }
        Format::Human | Format::Html => writeln!(
            stdout(),
            "{} {word} {} code objects under {} keys, {:.1} MiB of at most {}",
            folder.display(),
            status.objects,
            status.entries,
            status.bytes as f64 / f64::from(1 << 20),
            limit >> 20,
        )?,
    }
    Ok(Outcome::Fine)
}
