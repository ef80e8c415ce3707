//! Reports of `inspect` as one page that needs nothing else: styles, plots (SVG) and a few lines of script are inside.
//!
//! Widths in plots are percentages of whatever room there is and text has its own size, so that a page is as readable on
//! a telephone as on a desk.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Write as _};

use super::human::number;
use crate::inspect::{Class, CodeObjectReport, Entry, File, KernelReport};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Kernels in the bar plot; more are unreadable.
const BARS: usize = 24;
/// Height of a bar with its name, in pixels.
const BAR: usize = 30;
/// Height of the scatter plot, and of what lies below its axis, in pixels.
const HEIGHT: f64 = 400.0;
const BELOW: f64 = 36.0;

/// Text with the characters escaped that mean something in HTML.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in self.0.split_inclusive(['&', '<', '>', '"', '\'']) {
            let text = part.trim_end_matches(['&', '<', '>', '"', '\'']);
            f.write_str(text)?;
            f.write_str(match &part[text.len()..] {
                "&" => "&amp;",
                "<" => "&lt;",
                ">" => "&gt;",
                "\"" => "&quot;",
                "'" => "&#39;",
                _ => "",
            })?;
        }
        Ok(())
    }
}

/// The page.
pub(super) fn page(files: &[File]) -> String {
    let title = match files {
        [file] => file.name.clone(),
        files => format!("{} files", files.len()),
    };
    let mut page = String::new();
    // Writing to a string can't fail.
    let _ = write_page(&mut page, &title, files);
    page
}

fn write_page(out: &mut String, title: &str, files: &[File]) -> fmt::Result {
    let title = Escaped(title);
    write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title} - hipify-candle inspect</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n\
         <p>Code objects for AMD GPUs. Waves are those of a SIMD at a kernel's largest work-group, without dynamic \
         LDS.</p>\n",
    )?;
    write_key(out)?;
    // What there is to see first is open.
    let mut open = true;
    for file in files {
        write_file(out, file, files.len() > 1, &mut open)?;
    }
    writeln!(out, "<script>\n{SCRIPT}</script>\n</body>\n</html>")
}

/// What the colours mean.
fn write_key(out: &mut String) -> fmt::Result {
    let shares = [
        "below a quarter of all waves",
        "a quarter",
        "half",
        "three quarters",
        "all",
    ];
    write!(out, "<div class=\"key\">")?;
    for (index, share) in shares.iter().enumerate() {
        write!(out, "<span><i class=\"w{index}\"></i>{share}</span>")?;
    }
    writeln!(out, "</div>")
}

/// The class of an occupancy's colour.
fn colour(kernel: &KernelReport) -> &'static str {
    let Some(occupancy) = kernel.occupancy else {
        return "unknown";
    };
    let quarters = 4 * occupancy.waves_per_simd / occupancy.max_waves_per_simd.max(1);
    ["w0", "w1", "w2", "w3", "w4"][quarters.min(4) as usize]
}

fn write_file(out: &mut String, file: &File, titled: bool, open: &mut bool) -> fmt::Result {
    // The only file is the page's title already.
    let title = if titled {
        format!("<h2>{}</h2>\n", Escaped(&file.name))
    } else {
        String::new()
    };
    writeln!(out, "<section>\n{title}<p>{} bytes</p>", number(file.bytes))?;
    for problem in file.problems() {
        writeln!(out, "<p class=\"problem\">{}</p>", Escaped(&problem))?;
    }
    for image in &file.images {
        let restored = image.restored_bytes.map_or(String::new(), |restored| {
            format!(", {} restored", number(restored))
        });
        writeln!(
            out,
            "<p>{} at {:#x}, {} bytes{restored}</p>",
            image.form.as_str(),
            image.offset,
            number(image.bytes)
        )?;
    }
    let code_objects: Vec<(&Entry, &CodeObjectReport)> = file.code_objects().collect();
    if code_objects.len() > 1 {
        write_matrix(out, &code_objects)?;
    }
    for (entry, code_object) in code_objects {
        if entry.same_as.is_some() || code_object.kernels.is_empty() {
            continue;
        }
        write_code_object(out, entry, code_object, std::mem::take(open))?;
    }
    writeln!(out, "</section>")
}

/// Waves of each kernel on each target.
fn write_matrix(out: &mut String, code_objects: &[(&Entry, &CodeObjectReport)]) -> fmt::Result {
    let mut rows: BTreeMap<&str, Vec<Option<&KernelReport>>> = BTreeMap::new();
    for (column, (_, code_object)) in code_objects.iter().enumerate() {
        for kernel in &code_object.kernels {
            let row = rows.entry(&kernel.name);
            row.or_insert_with(|| vec![None; code_objects.len()])[column] = Some(kernel);
        }
    }
    write!(
        out,
        "<details><summary>Waves by architecture <span>{} kernels, {} code objects; spills are marked *</span></summary>\n\
         <div class=\"scroll\"><table>\n<thead><tr>",
        rows.len(),
        code_objects.len()
    )?;
    write!(out, "<th>kernel</th>")?;
    for (entry, _) in code_objects {
        let target = entry.target.as_deref().unwrap_or("?");
        write!(out, "<th>{}</th>", Escaped(target))?;
    }
    writeln!(out, "</tr></thead>\n<tbody>")?;
    for (name, row) in rows {
        let shown = row.iter().flatten().next().map_or(name, |k| readable(k));
        write!(
            out,
            "<tr><td class=\"name\" title=\"{}\">{}</td>",
            Escaped(name),
            Escaped(shown)
        )?;
        for kernel in row {
            let Some(kernel) = kernel else {
                write!(out, "<td></td>")?;
                continue;
            };
            let waves = kernel.waves().map_or("?".to_owned(), |w| w.to_string());
            let star = if kernel.spills() > 0 { "*" } else { "" };
            write!(
                out,
                "<td class=\"waves {}\" title=\"{}\">{waves}{star}</td>",
                colour(kernel),
                Escaped(&summary(kernel)),
            )?;
        }
        writeln!(out, "</tr>")?;
    }
    writeln!(out, "</tbody></table></div></details>")
}

/// The name that C++ has for a kernel; its symbol is what a pointer over it shows.
fn readable(kernel: &KernelReport) -> &str {
    kernel.demangled.as_deref().unwrap_or(&kernel.name)
}

/// What a pointer over a kernel shows.
fn summary(kernel: &KernelReport) -> String {
    let mut text = format!(
        "{}: {} bytes of code, {} VGPRs, {} SGPRs, {} bytes of LDS, {} of scratch, {} spills",
        kernel.name,
        number(kernel.code_bytes),
        kernel.vgprs,
        kernel.sgprs,
        kernel.lds,
        kernel.scratch,
        kernel.spills()
    );
    if let Some(o) = kernel.occupancy {
        let limit = format!("{:?}", o.limit).to_lowercase();
        let _ = write!(
            text,
            ", {} of {} waves by {limit}",
            o.waves_per_simd, o.max_waves_per_simd
        );
    }
    text
}

fn write_code_object(
    out: &mut String,
    entry: &Entry,
    code_object: &CodeObjectReport,
    open: bool,
) -> fmt::Result {
    let target = entry.target.as_deref().unwrap_or(&code_object.target);
    let open = if open { " open" } else { "" };
    writeln!(
        out,
        "<details{open}><summary>{} <span>{} kernels, {} bytes of code</span></summary>",
        Escaped(target),
        code_object.kernels.len(),
        number(code_object.text_bytes)
    )?;
    if let Some(reason) = &code_object.no_instructions {
        writeln!(out, "<p>Instructions not counted: {}</p>", Escaped(reason))?;
    }
    writeln!(out, "<div class=\"plots\">")?;
    write_bars(out, &code_object.kernels)?;
    write_scatter(out, &code_object.kernels)?;
    writeln!(out, "</div>")?;
    write_table(out, &code_object.kernels)?;
    writeln!(out, "</details>")
}

/// The largest kernels as bars.
fn write_bars(out: &mut String, kernels: &[KernelReport]) -> fmt::Result {
    let mut sorted: Vec<&KernelReport> = kernels.iter().collect();
    sorted.sort_by_key(|kernel| (u64::MAX - kernel.code_bytes, &kernel.name));
    let largest = sorted.first().map_or(1, |kernel| kernel.code_bytes.max(1));
    let rest = sorted.len().saturating_sub(BARS);
    sorted.truncate(BARS);
    let more = match rest {
        0 => String::new(),
        rest => format!(", the {BARS} largest of {}", rest + BARS),
    };
    writeln!(
        out,
        "<div class=\"plot\"><h3>Bytes of code{more}</h3>\n<svg role=\"img\" height=\"{}\" aria-label=\"Bytes of code of each kernel\">",
        sorted.len() * BAR
    )?;
    for (index, kernel) in sorted.iter().enumerate() {
        let y = index * BAR;
        let width = 100.0 * kernel.code_bytes as f64 / largest as f64;
        writeln!(
            out,
            "<g class=\"row\"><title>{}</title><text x=\"0\" y=\"{}\">{} {}</text>\
             <rect class=\"{}\" x=\"0\" y=\"{}\" width=\"{width:.2}%\" height=\"9\" rx=\"2\"/></g>",
            Escaped(&summary(kernel)),
            y + 13,
            number(kernel.code_bytes),
            Escaped(readable(kernel)),
            colour(kernel),
            y + 17,
        )?;
    }
    writeln!(out, "</svg></div>")
}

/// Registers against code, each kernel a point.
fn write_scatter(out: &mut String, kernels: &[KernelReport]) -> fmt::Result {
    let registers = kernels.iter().map(|k| k.vgprs).max().unwrap_or(0);
    let right = registers.max(32).next_multiple_of(32);
    let codes = || kernels.iter().map(|kernel| kernel.code_bytes.max(1));
    // Whole powers of two around all sizes.
    let low = codes().min().unwrap_or(1).ilog2();
    let high = codes().max().unwrap_or(1).ilog2() + 1;
    let x = |vgprs: u32| 13.0 + 84.0 * f64::from(vgprs) / f64::from(right);
    let bottom = HEIGHT - BELOW;
    let y =
        |power: f64| bottom - (bottom - 12.0) * (power - f64::from(low)) / f64::from(high - low);
    writeln!(
        out,
        "<div class=\"plot\"><h3>Registers and code; a ring means spills</h3>\n\
         <svg role=\"img\" height=\"{HEIGHT}\" aria-label=\"VGPRs and bytes of code of each kernel, coloured by waves\">",
    )?;
    for power in (low..=high).step_by(((high - low) as usize / 6).max(1)) {
        let at = y(f64::from(power));
        writeln!(
            out,
            "<line x1=\"13%\" x2=\"97%\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
             <text class=\"axis\" x=\"12%\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            at + 4.0,
            short(1 << power)
        )?;
    }
    for tick in 0..=4 {
        let vgprs = right / 4 * tick;
        writeln!(
            out,
            "<text class=\"axis\" x=\"{:.2}%\" y=\"{:.1}\" text-anchor=\"middle\">{vgprs}</text>",
            x(vgprs),
            bottom + 16.0
        )?;
    }
    writeln!(
        out,
        "<text class=\"axis\" x=\"97%\" y=\"{:.1}\" text-anchor=\"end\">VGPRs</text>\
         <text class=\"axis\" x=\"14%\" y=\"10\">bytes</text>",
        bottom + 31.0
    )?;
    for kernel in kernels {
        let spills = if kernel.spills() > 0 { " spills" } else { "" };
        writeln!(
            out,
            "<circle class=\"{}{spills}\" cx=\"{:.2}%\" cy=\"{:.1}\" r=\"5\"><title>{}</title></circle>",
            colour(kernel),
            x(kernel.vgprs),
            y((kernel.code_bytes.max(1) as f64).log2()),
            Escaped(&summary(kernel)),
        )?;
    }
    writeln!(out, "</svg></div>")
}

/// A size for an axis.
fn short(bytes: u64) -> String {
    match bytes {
        0..1024 => bytes.to_string(),
        1024..1_048_576 => format!("{}K", bytes >> 10),
        _ => format!("{}M", bytes >> 20),
    }
}

fn write_table(out: &mut String, kernels: &[KernelReport]) -> fmt::Result {
    let classes: Vec<Class> = Class::ALL
        .into_iter()
        .filter(|class| {
            let mut mixes = kernels.iter().filter_map(|kernel| kernel.mix.as_ref());
            mixes.any(|mix| mix.of(*class) > 0)
        })
        .collect();
    write!(out, "<div class=\"scroll\"><table>\n<thead><tr>")?;
    let counted = !classes.is_empty();
    let fixed = [
        "code", "VGPR", "AGPR", "SGPR", "LDS", "scratch", "spills", "group", "waves", "instr",
    ];
    let fixed = &fixed[..fixed.len() - usize::from(!counted)];
    let heads = fixed
        .iter()
        .copied()
        .chain(classes.iter().map(|c| c.as_str()));
    write!(out, "<th data-sort=\"down\">kernel</th>")?;
    for head in heads {
        write!(out, "<th data-sort>{head}</th>")?;
    }
    writeln!(out, "</tr></thead>\n<tbody>")?;
    for kernel in kernels {
        let mix = kernel.mix.as_ref();
        let cells: [u64; 10] = [
            kernel.code_bytes,
            kernel.vgprs.into(),
            kernel.agprs.into(),
            kernel.sgprs.into(),
            kernel.lds.into(),
            kernel.scratch.into(),
            kernel.spills().into(),
            kernel.max_group.into(),
            kernel.waves().unwrap_or(0).into(),
            mix.map_or(0, |mix| mix.instructions).into(),
        ];
        write!(
            out,
            "<tr><td class=\"name\" title=\"{}\">{}</td>",
            Escaped(&kernel.signature()),
            Escaped(readable(kernel))
        )?;
        for (head, value) in fixed.iter().zip(cells) {
            let class = match (*head, value) {
                ("spills" | "scratch", 1..) => "bad",
                ("waves", _) => colour(kernel),
                _ => "",
            };
            let text = number(value);
            write!(
                out,
                "<td class=\"{class}\" data-value=\"{value}\">{text}</td>"
            )?;
        }
        for class in &classes {
            let value = mix.map_or(0, |mix| mix.of(*class));
            let text = number(value.into());
            write!(out, "<td data-value=\"{value}\">{text}</td>")?;
        }
        writeln!(out, "</tr>")?;
    }
    writeln!(out, "</tbody></table></div>")
}
