//! `hipify-candle merge`

use std::io::Write as _;
use std::path::PathBuf;

use serde_json::json;

use super::output::{print_document, stdout};
use super::{Failure, Format, Global, Outcome};
use crate::arch::Architectures;
use crate::build::{Output, merge};

/// Put the parts of a split build together: the bundles that one machine would have made
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The output folders of `build --shard`
    #[arg(required = true)]
    parts: Vec<PathBuf>,
    /// Where whole bundles and manifest.json go
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    packing: super::build::PackingArgs,
}

pub(super) fn run(args: &Args, global: &Global) -> Result<Outcome, Failure> {
    let archs = Architectures::from_config(&global.config()?)?;
    let output = Output::open(&args.out)?.packed(args.packing.packing());
    let written = merge(&args.parts, &output, &|target| archs.place(target))?;
    match global.format {
        Format::Json => {
            let bundles: Vec<_> = written
                .iter()
                .map(|w| json!({ "module": w.module, "path": w.path, "bytes": w.bytes }))
                .collect();
            print_document(json!({ "out": args.out, "bundles": bundles }))?;
        }
        Format::Human | Format::Html => {
            let mut out = stdout();
            for bundle in &written {
                writeln!(out, "{:<24} {:>10} bytes", bundle.module, bundle.bytes)?;
            }
            writeln!(out, "{} bundles in {}", written.len(), args.out.display())?;
        }
    }
    Ok(Outcome::Fine)
}
