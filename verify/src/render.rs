//! A report as a person reads it in a terminal: a table for each module, then what is wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use crate::report::{ArchReport, KernelReport, Report, Status};

/// Escape sequences around the words that stand out; empty where the output is no terminal.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    /// Around what passed.
    pub good: (&'static str, &'static str),
    /// Around what failed.
    pub bad: (&'static str, &'static str),
    /// Around headings.
    pub strong: (&'static str, &'static str),
    /// Around what matters less.
    pub faint: (&'static str, &'static str),
}

impl Style {
    /// ANSI colours.
    pub const ANSI: Style = Style {
        good: ("\x1b[32m", "\x1b[0m"),
        bad: ("\x1b[1;31m", "\x1b[0m"),
        strong: ("\x1b[1m", "\x1b[0m"),
        faint: ("\x1b[2m", "\x1b[0m"),
    };
}

fn paint(style: (&str, &str), text: &str) -> String {
    format!("{}{text}{}", style.0, style.1)
}

/// Problems listed for an architecture before the rest is counted.
const LISTED: usize = 12;

/// The whole report as text.
pub fn human(report: &Report, style: Style) -> String {
    let mut out = String::new();
    // Architectures below each other show what differs; one alone has room for its types.
    if report.archs.len() > 1 {
        for module in modules(report) {
            matrix(&mut out, report, module, style);
        }
    }
    for (arch, found) in &report.archs {
        if report.archs.len() == 1 {
            heading(&mut out, arch, found, style);
            for (module, kernels) in by_module(found) {
                table(&mut out, &module, &kernels, style);
            }
        }
        let place = match report.archs.len() {
            1 => String::new(),
            _ => format!(" on {arch}"),
        };
        problems(&mut out, &place, found, style);
    }
    summary(&mut out, report, style);
    out
}

fn modules(report: &Report) -> BTreeSet<&str> {
    let kernels = report.archs.values().flat_map(|a| a.kernels.values());
    kernels.map(|kernel| kernel.module.as_str()).collect()
}

/// One module's kernels, architecture by family.
fn matrix(out: &mut String, report: &Report, module: &str, style: Style) {
    let mut cells: BTreeMap<(&str, &str), Cell> = BTreeMap::new();
    for (arch, found) in &report.archs {
        for kernel in found.kernels.values().filter(|k| k.module == module) {
            let place = (arch.as_str(), kernel.family.as_str());
            cells.entry(place).or_default().add(kernel);
        }
    }
    let families: BTreeSet<&str> = cells.keys().map(|(_, family)| *family).collect();
    let mut families: Vec<&str> = families.into_iter().collect();
    families.sort_by_key(|f| (rank(&FAMILIES, f), *f));
    let names = report.archs.keys().map(String::len);
    let first = names.chain([module.len()]).max().unwrap_or(0);
    let mut line = paint(style.strong, &format!("{module:<first$}"));
    for family in &families {
        let width = family.len().max(7);
        let _ = write!(
            line,
            "  {}",
            paint(style.strong, &format!("{family:>width$}"))
        );
    }
    let _ = writeln!(out, "{line}");
    for arch in report.archs.keys() {
        let _ = write!(out, "{arch:<first$}");
        for family in &families {
            let width = family.len().max(7);
            let text = match cells.get(&(arch.as_str(), *family)) {
                Some(cell) => cell.text(width, style),
                None => format!("{:>width$}", "·"),
            };
            let _ = write!(out, "  {text}");
        }
        let _ = writeln!(out);
    }
    let _ = writeln!(out);
}

fn heading(out: &mut String, arch: &str, found: &ArchReport, style: Style) {
    let device = &found.device;
    let kind = if device.emulated { "emulated " } else { "" };
    let title = paint(style.strong, &format!("{arch} on {kind}{}", device.name));
    let library = paint(
        style.faint,
        &format!("{} ({})", device.library, device.version),
    );
    let _ = writeln!(out, "{title}\n{library}\n");
}

fn by_module(found: &ArchReport) -> BTreeMap<String, Vec<(&String, &KernelReport)>> {
    let mut modules: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for (symbol, kernel) in &found.kernels {
        modules
            .entry(kernel.module.clone())
            .or_default()
            .push((symbol, kernel));
    }
    modules
}

/// Element types and block types in the order in which people list them.
const VARIANTS: [&str; 24] = [
    "f64", "f32", "f16", "bf16", "f8_e4m3", "i64", "i32", "i16", "u32", "u8", "q4_0", "q4_1",
    "q5_0", "q5_1", "q8_0", "q8_1", "q2_K", "q3_K", "q4_K", "q5_K", "q6_K", "q8_K", "", "?",
];

/// The families of `quantized`, in the order of a matrix's life.
pub(crate) const FAMILIES: [&str; 9] = [
    "quantize",
    "dequant f32",
    "dequant f16",
    "get_rows",
    "dmmv",
    "mmv 1",
    "mmv 2-8",
    "mul_mat",
    "moe",
];

pub(crate) fn rank(names: &[&str], name: &str) -> usize {
    names.iter().position(|n| *n == name).unwrap_or(names.len())
}

/// One module's kernels, family by type, each cell the worst of the kernels that share it.
fn table(out: &mut String, module: &str, kernels: &[(&String, &KernelReport)], style: Style) {
    let mut cells: BTreeMap<(&str, &str), Cell> = BTreeMap::new();
    for (_, kernel) in kernels {
        cells
            .entry((kernel.family.as_str(), kernel.variant.as_str()))
            .or_default()
            .add(kernel);
    }
    let mut families: Vec<&str> = cells.keys().map(|(f, _)| *f).collect();
    families.dedup();
    families.sort_by_key(|f| (rank(&FAMILIES, f), *f));
    let mut variants: Vec<&str> = cells.keys().map(|(_, v)| *v).collect();
    variants.sort_by_key(|v| (rank(&VARIANTS, v), *v));
    variants.dedup();

    // The shorter of the two lists makes the columns, so that the table stays narrow.
    let transposed = families.len() < variants.len();
    let (rows, columns) = if transposed {
        (&variants, &families)
    } else {
        (&families, &variants)
    };
    let first = rows
        .iter()
        .map(|r| r.len())
        .chain([module.len()])
        .max()
        .unwrap_or(0);
    let widths: Vec<usize> = columns.iter().map(|c| c.len().max(7)).collect();

    let mut line = paint(style.strong, &format!("{module:<first$}"));
    for (column, width) in columns.iter().zip(&widths) {
        let _ = write!(
            line,
            "  {}",
            paint(style.strong, &format!("{column:>width$}"))
        );
    }
    let _ = writeln!(out, "{line}");
    for row in rows.iter() {
        let _ = write!(out, "{row:<first$}");
        for (column, width) in columns.iter().zip(&widths) {
            let place = if transposed {
                (*column, *row)
            } else {
                (*row, *column)
            };
            let text = match cells.get(&place) {
                Some(cell) => cell.text(*width, style),
                None => format!("{:>width$}", "·"),
            };
            let _ = write!(out, "  {text}");
        }
        let _ = writeln!(out);
    }
    let _ = writeln!(out);
}

/// The worst of the kernels in one place of the table.
#[derive(Default)]
struct Cell {
    status: Option<Status>,
    exact: bool,
    rel_err: f64,
}

impl Cell {
    fn add(&mut self, kernel: &KernelReport) {
        self.exact = kernel.exact && (self.exact || self.status.is_none());
        self.rel_err = self.rel_err.max(kernel.rel_err.unwrap_or(0.0));
        self.status = self.status.max(Some(kernel.status));
    }

    fn text(&self, width: usize, style: Style) -> String {
        let (colour, word) = match self.status {
            Some(Status::Error) => (style.bad, "ERROR".to_owned()),
            Some(Status::Fail) => (style.bad, "FAIL".to_owned()),
            _ if self.exact => (style.good, "exact".to_owned()),
            _ => (("", ""), format!("{:.1e}", self.rel_err)),
        };
        paint(colour, &format!("{word:>width$}"))
    }
}

fn problems(out: &mut String, place: &str, found: &ArchReport, style: Style) {
    warnings(out, place, found, style);
    let mut wrong: Vec<(&String, &KernelReport)> = found
        .kernels
        .iter()
        .filter(|(_, k)| k.status != Status::Pass)
        .collect();
    wrong.sort_by_key(|(symbol, kernel)| (std::cmp::Reverse(kernel.status), symbol.as_str()));
    for (symbol, kernel) in wrong.iter().take(LISTED) {
        let word = if kernel.status == Status::Fail {
            "FAIL"
        } else {
            "ERROR"
        };
        let message = kernel.message.as_deref().unwrap_or("no reason given");
        let _ = writeln!(
            out,
            "{} {}{place}",
            paint(style.bad, word),
            paint(style.strong, symbol)
        );
        for line in message.lines() {
            let _ = writeln!(out, "     {line}");
        }
    }
    if wrong.len() > LISTED {
        let rest = wrong.len() - LISTED;
        let _ = writeln!(out, "{rest} more{place}; --format json lists all of them.");
    }
    if !wrong.is_empty() {
        let _ = writeln!(out);
    }
}

/// What the memory checker found in kernels that went on.
fn warnings(out: &mut String, place: &str, found: &ArchReport, style: Style) {
    let warned = found.kernels.iter().filter(|(_, k)| !k.findings.is_empty());
    for (symbol, kernel) in warned {
        let symbol = paint(style.strong, symbol);
        let _ = writeln!(out, "WARNING {symbol}{place}");
        for line in kernel.findings.iter().flat_map(|text| text.lines()) {
            let _ = writeln!(out, "     {line}");
        }
    }
}

fn summary(out: &mut String, report: &Report, style: Style) {
    let _ = writeln!(
        out,
        "{}",
        paint(
            style.faint,
            "A cell is the worst relative error against golden vectors and the CPU; \"exact\" is bit for bit."
        )
    );
    for (arch, found) in &report.archs {
        let passed = found.count(Status::Pass);
        let total = found.kernels.len();
        let verdict = if passed == total && total > 0 {
            paint(style.good, &format!("{passed} of {total} kernels pass"))
        } else {
            let (failed, errors) = (found.count(Status::Fail), found.count(Status::Error));
            paint(
                style.bad,
                &format!("{passed} of {total} kernels pass, {failed} fail, {errors} in error"),
            )
        };
        let _ = writeln!(
            out,
            "{arch}: {verdict}, {:.1} s",
            found.elapsed.as_secs_f64()
        );
    }
    let _ = writeln!(
        out,
        "seed {} (--seed {0} repeats the random data)",
        report.seed
    );
}
