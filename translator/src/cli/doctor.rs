//! `hipify-candle doctor`

use std::io::Write as _;

use serde_json::json;

use super::output::{print_document, stdout};
use super::{Failure, Format, Global, Outcome};
use crate::arch::Architectures;
use crate::doctor::{Finding, Health, examine};

/// Look for everything that is needed, and say where it is or what command gets it
#[derive(Debug, clap::Args)]
pub struct Args {}

pub(super) fn run(_args: &Args, global: &Global) -> Result<Outcome, Failure> {
    let archs = Architectures::from_config(&global.config()?)?;
    let findings = examine(&global.work_dir()?, &archs);
    let broken = findings
        .iter()
        .any(|finding| finding.health == Health::Broken);
    match global.format {
        Format::Json => print_document(json!({ "ok": !broken, "findings": findings }))?,
        Format::Human | Format::Html => print(&findings)?,
    }
    Ok(if broken {
        Outcome::Problems
    } else {
        Outcome::Fine
    })
}

fn print(findings: &[Finding]) -> Result<(), Failure> {
    let (green, yellow, red) = (
        anstyle::AnsiColor::Green,
        anstyle::AnsiColor::Yellow,
        anstyle::AnsiColor::Red,
    );
    let mut out = stdout();
    let width = findings
        .iter()
        .map(|finding| finding.part.len())
        .max()
        .unwrap_or(0);
    let below = " ".repeat(width + 9);
    for finding in findings {
        let (word, colour) = match finding.health {
            Health::Fine => ("ok    ", green),
            Health::Absent => ("absent", yellow),
            Health::Broken => ("BROKEN", red),
        };
        let style = colour.on_default();
        write!(out, "{style}{word}{style:#} {:<width$}  ", finding.part)?;
        match (&finding.version, &finding.path) {
            (Some(version), Some(path)) => writeln!(out, "{version}\n{below}{}", path.display())?,
            (Some(version), None) => writeln!(out, "{version}")?,
            (None, Some(path)) => writeln!(out, "{}", path.display())?,
            (None, None) => writeln!(out, "{}", finding.purpose)?,
        }
        for line in finding.details.iter().flat_map(|detail| detail.lines()) {
            writeln!(out, "{below}{line}")?;
        }
        if let (Some(help), true) = (&finding.help, finding.health != Health::Fine) {
            let bold = anstyle::Style::new().bold();
            writeln!(out, "{below}{bold}help:{bold:#} {help}")?;
        }
    }
    Ok(())
}
