//! Reports of `inspect` as text.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use codeobject::ArgKind;

use crate::cli::output::stdout;
use crate::inspect::{
    Class, CodeObjectReport, Comparison, Difference, Entry, File, ImageReport, KernelReport, Line,
    Listing, Pair,
};

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const RED: Style = AnsiColor::Red.on_default();
const GREEN: Style = AnsiColor::Green.on_default();
const CYAN: Style = AnsiColor::Cyan.on_default();

/// A number with its thousands set apart.
pub(super) fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Prints what can't be read on standard error, and says whether there was anything.
pub(super) fn print_problems<'a>(files: impl IntoIterator<Item = &'a File>) -> io::Result<bool> {
    let mut err = anstream::stderr().lock();
    let mut any = false;
    let red = RED.bold();
    for problem in files.into_iter().flat_map(File::problems) {
        writeln!(err, "{red}error:{red:#} {problem}")?;
        any = true;
    }
    Ok(any)
}

/// Prints files; with `details`, arguments and instructions of each kernel, and only files that have one.
pub(super) fn print(files: &[File], details: bool) -> io::Result<()> {
    let out = &mut stdout();
    let has_kernels = |file: &File| file.code_objects().any(|(_, c)| !c.kernels.is_empty());
    for file in files.iter().filter(|file| !details || has_kernels(file)) {
        let images = match file.images.len() {
            1 => String::new(),
            count => format!(", {count} bundles and code objects"),
        };
        let bytes = number(file.bytes);
        writeln!(out, "{BOLD}{}{BOLD:#}: {bytes} bytes{images}", file.name)?;
        for image in &file.images {
            print_image(out, image, details)?;
        }
    }
    Ok(())
}

fn print_image(out: &mut impl Write, image: &ImageReport, details: bool) -> io::Result<()> {
    let bytes = number(image.bytes);
    write!(
        out,
        "{} at {:#x}, {bytes} bytes",
        image.form.as_str(),
        image.offset
    )?;
    match image.restored_bytes {
        Some(restored) => writeln!(
            out,
            ", {} restored ({:.1} times)",
            number(restored),
            restored as f64 / image.bytes.max(1) as f64
        )?,
        None => writeln!(out)?,
    }
    for entry in &image.entries {
        print_entry(out, entry)?;
    }
    for entry in &image.entries {
        if let (Some(code_object), None) = (&entry.code_object, &entry.same_as)
            && !(details && code_object.kernels.is_empty())
        {
            writeln!(out)?;
            print_code_object(out, code_object, details)?;
        }
    }
    writeln!(out)
}

fn print_entry(out: &mut impl Write, entry: &Entry) -> io::Result<()> {
    let Some(id) = &entry.id else { return Ok(()) };
    let bytes = number(entry.bytes);
    write!(out, "  {id} at {:#x}, {bytes} bytes", entry.offset)?;
    if let Some(twin) = &entry.same_as {
        write!(out, ", stored once with {twin}")?;
    }
    if let Some(problem) = &entry.problem {
        write!(out, ", {RED}{problem}{RED:#}")?;
    }
    writeln!(out)
}

fn print_code_object(
    out: &mut impl Write,
    code_object: &CodeObjectReport,
    details: bool,
) -> io::Result<()> {
    let kernels = match (code_object.kernels.len(), code_object.kernel_count) {
        (1, 1) => "1 kernel".to_owned(),
        (shown, all) if shown == all => format!("{all} kernels"),
        (shown, all) => format!("{shown} of {all} kernels"),
    };
    writeln!(
        out,
        "{BOLD}{}{BOLD:#}, code object version {}, {kernels}, {} bytes of code{}",
        code_object.target,
        code_object.version,
        number(code_object.text_bytes),
        if code_object.has_lines {
            ", with lines"
        } else {
            ""
        },
    )?;
    if let Some(reason) = &code_object.no_instructions {
        writeln!(out, "  instructions not counted: {reason}")?;
    }
    if details {
        for kernel in &code_object.kernels {
            print_kernel(out, kernel)?;
        }
        return Ok(());
    }
    print_table(out, &code_object.kernels)
}

/// The classes that share a column of the table.
const COLUMNS: &[(&str, &[Class])] = &[
    (
        "vec",
        &[
            Class::Vector,
            Class::Dual,
            Class::Transcendental,
            Class::CrossLane,
        ],
    ),
    ("dot", &[Class::Dot, Class::Matrix]),
    ("scal", &[Class::Scalar]),
    (
        "mem",
        &[
            Class::ScalarMemory,
            Class::GlobalLoad,
            Class::GlobalStore,
            Class::GlobalAtomic,
            Class::Scratch,
        ],
    ),
    ("lds", &[Class::Lds]),
    (
        "rest",
        &[Class::Branch, Class::Barrier, Class::Wait, Class::Other],
    ),
];

fn print_table(out: &mut impl Write, kernels: &[KernelReport]) -> io::Result<()> {
    if kernels.is_empty() {
        return Ok(());
    }
    let counted = kernels.iter().any(|kernel| kernel.mix.is_some());
    let mut head: Vec<String> = [
        "code", "VGPR", "AGPR", "SGPR", "LDS", "scratch", "spills", "group", "waves", "by",
    ]
    .map(str::to_owned)
    .to_vec();
    if counted {
        head.push("instr".to_owned());
        head.extend(COLUMNS.iter().map(|(name, _)| (*name).to_owned()));
    }
    let rows: Vec<Vec<String>> = kernels.iter().map(|k| row(k, counted)).collect();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].len());
        cells.max().unwrap_or(0).max(head[column].len())
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    write!(out, "{DIM}")?;
    for (cell, width) in head.iter().zip(&widths) {
        write!(out, "  {cell:>width$}")?;
    }
    writeln!(out, "  kernel{DIM:#}")?;
    for (row, kernel) in rows.iter().zip(kernels) {
        let style = if kernel.spills() > 0 {
            RED
        } else {
            Style::new()
        };
        write!(out, "{style}")?;
        for (cell, width) in row.iter().zip(&widths) {
            write!(out, "  {cell:>width$}")?;
        }
        write!(out, "  {}{style:#}", kernel.name)?;
        write_demangled(out, kernel.demangled.as_deref())?;
        writeln!(out)?;
    }
    Ok(())
}

/// What C++ calls a kernel, beside its symbol.
fn write_demangled(out: &mut impl Write, name: Option<&str>) -> io::Result<()> {
    match name {
        Some(name) => write!(out, "  {DIM}{name}{DIM:#}"),
        None => Ok(()),
    }
}

fn row(kernel: &KernelReport, counted: bool) -> Vec<String> {
    let (waves, limit) = occupancy(kernel);
    let mut row = vec![
        number(kernel.code_bytes),
        kernel.vgprs.to_string(),
        kernel.agprs.to_string(),
        kernel.sgprs.to_string(),
        number(kernel.lds.into()),
        number(kernel.scratch.into()),
        kernel.spills().to_string(),
        kernel.max_group.to_string(),
        waves,
        limit,
    ];
    if counted {
        let mix = kernel.mix.clone().unwrap_or_default();
        row.push(number(mix.instructions.into()));
        row.extend(COLUMNS.iter().map(|(_, classes)| {
            let share = 100 * mix.sum(classes);
            format!(
                "{}%",
                (share + mix.instructions / 2) / mix.instructions.max(1)
            )
        }));
    }
    row
}

/// Waves of those that a SIMD holds, and what limits them.
fn occupancy(kernel: &KernelReport) -> (String, String) {
    kernel
        .occupancy
        .map_or(("?".to_owned(), String::new()), |o| {
            (
                format!("{}/{}", o.waves_per_simd, o.max_waves_per_simd),
                format!("{:?}", o.limit).to_lowercase(),
            )
        })
}

fn print_kernel(out: &mut impl Write, kernel: &KernelReport) -> io::Result<()> {
    write!(out, "\n  {BOLD}{}{BOLD:#}", kernel.signature())?;
    write_demangled(out, kernel.demangled.as_deref())?;
    writeln!(out)?;
    let (waves, limit) = occupancy(kernel);
    let required = kernel
        .required_group
        .map_or(String::new(), |[x, y, z]| format!(", required {x}x{y}x{z}"));
    let dynamic = if kernel.dynamic_stack {
        " and a dynamic stack"
    } else {
        ""
    };
    writeln!(
        out,
        "    {} bytes of code; {} VGPRs, {} AGPRs, {} SGPRs; {} bytes of LDS, {} of scratch{dynamic}",
        number(kernel.code_bytes),
        kernel.vgprs,
        kernel.agprs,
        kernel.sgprs,
        number(kernel.lds.into()),
        number(kernel.scratch.into()),
    )?;
    writeln!(
        out,
        "    {} VGPRs and {} SGPRs spilled; work-group of at most {}{required}; wave{}, {waves} waves, limited by {limit}",
        kernel.vgpr_spills, kernel.sgpr_spills, kernel.max_group, kernel.wavefront,
    )?;
    for arg in &kernel.args {
        let what = match (&arg.name, &arg.kind) {
            (None, ArgKind::ByValue) => "by value".to_owned(),
            _ => arg.declaration(),
        };
        writeln!(out, "      +{:<4} {:3} bytes  {what}", arg.offset, arg.size)?;
    }
    writeln!(
        out,
        "      {} bytes with {} arguments of the runtime",
        kernel.kernarg_bytes,
        kernel.hidden_args.len()
    )?;
    let Some(mix) = &kernel.mix else {
        return Ok(());
    };
    let classes: Vec<String> = Class::ALL
        .iter()
        .filter(|class| mix.of(**class) > 0)
        .map(|class| format!("{} {}", mix.of(*class), class.as_str()))
        .collect();
    writeln!(
        out,
        "    {} instructions: {}",
        number(mix.instructions.into()),
        classes.join(", ")
    )
}

/// Prints what differs between two builds.
pub(super) fn print_comparison(comparison: &Comparison) -> io::Result<()> {
    let out = &mut stdout();
    for place in &comparison.gone {
        writeln!(out, "{RED}gone{RED:#} {place}")?;
    }
    for place in &comparison.new {
        writeln!(out, "{GREEN}new{GREEN:#}  {place}")?;
    }
    for pair in &comparison.pairs {
        print_pair(out, pair)?;
    }
    if comparison.pairs.is_empty() {
        writeln!(out, "no code object is in both")?;
    }
    Ok(())
}

fn print_pair(out: &mut impl Write, pair: &Pair) -> io::Result<()> {
    let [before, after] = pair.code_bytes;
    writeln!(
        out,
        "{BOLD}{}{BOLD:#}: {} kernels as before, {} changed, {} new, {} gone; code {}",
        pair.place,
        pair.same,
        pair.changed.len(),
        pair.new.len(),
        pair.gone.len(),
        step(before, after),
    )?;
    for name in &pair.gone {
        writeln!(out, "  {RED}gone{RED:#}     {name}")?;
    }
    for name in &pair.new {
        writeln!(out, "  {GREEN}new{GREEN:#}      {name}")?;
    }
    for difference in &pair.changed {
        print_difference(out, difference)?;
    }
    Ok(())
}

fn print_difference(out: &mut impl Write, difference: &Difference) -> io::Result<()> {
    if difference.worse {
        write!(out, "  {RED}worse{RED:#}    ")?;
    } else {
        write!(out, "  changed  ")?;
    }
    write!(out, "{}", difference.kernel)?;
    write_demangled(out, difference.demangled.as_deref())?;
    write!(out, ": ")?;
    let changes: Vec<String> = difference
        .changes
        .iter()
        .map(|change| {
            let style = if change.is_worse() { RED } else { Style::new() };
            let step = step(change.before, change.after);
            format!("{style}{} {step}{style:#}", change.kind.as_str())
        })
        .collect();
    writeln!(out, "{}", changes.join(", "))?;
    if let Some([before, after]) = &difference.signature {
        writeln!(out, "           {RED}- {before}{RED:#}")?;
        writeln!(out, "           {GREEN}+ {after}{GREEN:#}")?;
    }
    Ok(())
}

/// `1,024 -> 1,536 (+50.0%)`.
fn step(before: u64, after: u64) -> String {
    let mut text = format!("{} -> {}", number(before), number(after));
    if before == after {
        return format!("{}, the same", number(before));
    }
    if before > 0 {
        let percent = 100.0 * (after as f64 - before as f64) / before as f64;
        text.push_str(&format!(" ({percent:+.1}%)"));
    }
    text
}

/// Prints machine code between the lines that it comes from.
pub(super) fn print_listings(listings: &[Listing]) -> io::Result<()> {
    let out = &mut stdout();
    for listing in listings {
        write!(out, "{BOLD}{}{BOLD:#}", listing.kernel)?;
        write_demangled(out, listing.demangled.as_deref())?;
        writeln!(out, " for {} in {}", listing.target, listing.file)?;
        if !listing.has_lines {
            writeln!(
                out,
                "  no lines: it was built without `--hipcc-flag=-gline-tables-only`"
            )?;
        }
        for line in &listing.lines {
            match line {
                Line::Source(source) => {
                    writeln!(out)?;
                    let column = match source.column {
                        0 => String::new(),
                        column => format!(":{column}"),
                    };
                    write!(out, "{CYAN}{}:{}{column}{CYAN:#}", source.path, source.line)?;
                    for frame in &source.frames {
                        write!(out, " {DIM}in {}", frame.function)?;
                        if let Some(call) = &frame.call {
                            write!(out, ", called at {call}")?;
                        }
                        write!(out, "{DIM:#}")?;
                    }
                    writeln!(out)?;
                    if let Some(text) = &source.text {
                        writeln!(out, "  {:<5}{}", source.language, text.trim_end())?;
                    }
                    if let Some(hip) = &source.hip {
                        writeln!(out, "  {:<5}{}", "hip", hip.text.trim_end())?;
                    }
                }
                Line::Instruction(instruction) => writeln!(
                    out,
                    "    {DIM}{:06x}{DIM:#}  {}",
                    instruction.address, instruction.text
                )?,
            }
        }
        writeln!(out)?;
    }
    Ok(())
}
