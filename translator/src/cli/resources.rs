//! `hipify-candle resources`: the registers, LDS and scratch of every kernel, with and without launch bounds.
//!
//! Only compiles and reads metadata; nothing is run. The result is Markdown, which docs/resources.md is.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;

use codeobject::{CodeObject, Kernel};
use serde_json::json;

use super::compile::CompileArgs;
use super::output::{print_document, stdout};
use super::{Failure, Format, Global, Outcome, build};
use crate::pipeline::{Pipeline, Sources};
use crate::toolchain::Toolchain;

/// What the device header takes as: compile without bounds and with upstream's tiles.
const UNBOUNDED: &str = "-DHIPIFY_UNBOUNDED";

/// Show the registers, LDS and scratch of kernels, with and without launch bounds
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    compile: CompileArgs,
}

/// What a kernel takes of a compute unit.
#[derive(Debug, Clone, Copy)]
struct Use {
    vgprs: u32,
    sgprs: u32,
    lds: u32,
    /// Vector registers that are kept in scratch.
    spilled: u32,
    /// Bytes of scratch a lane: spilled registers, and arrays that are indexed at run time.
    scratch: u32,
    bound: u32,
}

impl Use {
    fn of(kernel: &Kernel) -> Self {
        Use {
            vgprs: kernel.vgpr_count,
            sgprs: kernel.sgpr_count,
            lds: kernel.group_segment_fixed_size,
            spilled: kernel.vgpr_spill_count,
            scratch: kernel.private_segment_fixed_size,
            bound: kernel.max_flat_workgroup_size,
        }
    }

    /// `232`, or `256 + 424 spilled`.
    fn registers(self) -> String {
        match self.spilled {
            0 => self.vgprs.to_string(),
            spilled => format!("{} + {spilled} spilled", self.vgprs),
        }
    }

    fn json(self) -> serde_json::Value {
        json!({
            "vgprs": self.vgprs, "spilled": self.spilled, "sgprs": self.sgprs, "lds": self.lds, "scratch": self.scratch,
            "max_threads": self.bound,
        })
    }
}

/// By kernel, by the position of the architecture.
type Table = BTreeMap<String, BTreeMap<usize, Use>>;

pub(super) fn run(args: &Args, global: &Global) -> Result<Outcome, Failure> {
    let (archs, before) = compile(args, global, &[UNBOUNDED.to_owned()])?;
    let (_, after) = compile(args, global, &[])?;
    match global.format {
        Format::Json => print_document(format_args!("{:#}", as_json(&archs, &before, &after)))?,
        Format::Human | Format::Html => {
            stdout().write_all(markdown(args, &archs, &before, &after).as_bytes())?
        }
    }
    Ok(Outcome::Fine)
}

fn compile(
    args: &Args,
    global: &Global,
    flags: &[String],
) -> Result<(Vec<String>, Table), Failure> {
    let pipeline = Pipeline::open(&global.config()?, global.work_dir()?)?.with_flags(flags);
    let targets = pipeline.archs().select(&args.compile.archs)?;
    let prepared = pipeline.prepare(&Sources::default(), &args.compile.modules)?;
    let builder = pipeline.builder(Toolchain::find()?, &prepared)?;
    let jobs = prepared.jobs(&targets);
    let results = args.compile.objects(&builder, &jobs, global.format)?;
    let mut archs: Vec<String> = Vec::new();
    let mut table = Table::new();
    for (job, result) in jobs.iter().zip(results) {
        let object = match result {
            Ok(object) => object,
            Err(error) if build::is_left_out(&error) => continue,
            Err(error) => return Err(error.into()),
        };
        let arch = job.target.to_string();
        let place = match archs.iter().position(|known| *known == arch) {
            Some(place) => place,
            None => {
                archs.push(arch);
                archs.len() - 1
            }
        };
        for kernel in CodeObject::parse(&object.bytes)?.kernels() {
            let row = table.entry(kernel.name.clone()).or_default();
            row.insert(place, Use::of(kernel));
        }
    }
    Ok((archs, table))
}

fn as_json(archs: &[String], before: &Table, after: &Table) -> serde_json::Value {
    let kernels = after.iter().map(|(kernel, row)| {
        let row = row.iter().map(|(place, with)| {
            let without = before.get(kernel).and_then(|row| row.get(place));
            let entry = json!({ "with": with.json(), "without": without.map(|u| u.json()) });
            (archs[*place].clone(), entry)
        });
        (kernel.clone(), serde_json::Value::Object(row.collect()))
    });
    serde_json::Value::Object(kernels.collect())
}

fn markdown(args: &Args, archs: &[String], before: &Table, after: &Table) -> String {
    let mut out = format!(
        "# Registers, LDS and scratch\n\nMade by `hipify-candle resources --arch {} --module {}`, which only compiles. A \
         number is VGPRs a lane, where a file holds both with AGPRs. Spilled registers are kept in memory.\n",
        args.compile.archs.join(","),
        args.compile.modules.join(","),
    );
    let spills = |row: &BTreeMap<usize, Use>| row.values().any(|u| u.spilled > 0);
    let spilling = |table: &Table| table.values().filter(|row| spills(row)).count();
    let _ = writeln!(
        out,
        "\nWithout bounds and with upstream's tiles {} of {} kernels spill on some architecture, with them {}.\n\n\
         ## Without bounds → with bounds\n\nKernels that spill one way or the other.\n",
        spilling(before),
        before.len(),
        spilling(after)
    );
    heading(&mut out, archs, "");
    for (kernel, row) in after {
        let old = before.get(kernel);
        if !spills(row) && !old.is_some_and(spills) {
            continue;
        }
        let cell = |place: usize| {
            let old = old.and_then(|row| row.get(&place)).map(|u| u.registers());
            let new = row.get(&place).map(|u| u.registers());
            format!("{} → {}", old.unwrap_or_default(), new.unwrap_or_default())
        };
        line(&mut out, kernel, None, archs.len(), cell);
    }
    let _ = writeln!(
        out,
        "\n## Every kernel, with bounds\n\nThreads and LDS (bytes) of a block, and scratch (bytes a lane, of arrays \
         that are indexed at run time), are given as one number where all architectures agree.\n"
    );
    heading(&mut out, archs, " threads | LDS | scratch |");
    for (kernel, row) in after {
        let shape = format!(
            " {} | {} | {} |",
            agreed(row.values().map(|u| u.bound)),
            agreed(row.values().map(|u| u.lds)),
            agreed(row.values().map(|u| u.scratch))
        );
        let cell = |place| row.get(&place).map(|u| u.registers()).unwrap_or_default();
        line(&mut out, kernel, Some(&shape), archs.len(), cell);
    }
    out
}

fn heading(out: &mut String, archs: &[String], more: &str) {
    let _ = writeln!(out, "| kernel |{more} {} |", archs.join(" | "));
    let columns = archs.len() + more.matches('|').count();
    let _ = writeln!(out, "|---|{}", "--:|".repeat(columns));
}

fn line(
    out: &mut String,
    kernel: &str,
    more: Option<&str>,
    archs: usize,
    cell: impl Fn(usize) -> String,
) {
    let cells: Vec<String> = (0..archs).map(cell).collect();
    let more = more.unwrap_or_default();
    let _ = writeln!(out, "| `{kernel}` |{more} {} |", cells.join(" | "));
}

/// The number, or the smallest and the largest.
fn agreed(numbers: impl Iterator<Item = u32> + Clone) -> String {
    match (numbers.clone().min(), numbers.max()) {
        (Some(least), Some(most)) if least == most => least.to_string(),
        (Some(least), Some(most)) => format!("{least} to {most}"),
        _ => String::new(),
    }
}
