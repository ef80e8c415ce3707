//! A report as one page for a browser: no scripts, no files beside it, light and dark, wide and narrow.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use crate::observer::Counts;
use crate::render::{FAMILIES, rank};
use crate::report::{ArchReport, KernelReport, Report, Resources, Status};

const STYLE: &str = include_str!("html/style.css");

/// Classes of instructions in the order of their bars.
const CLASSES: [&str; 13] = [
    "valu",
    "float",
    "dot",
    "matrix",
    "cross_lane",
    "salu",
    "smem",
    "global",
    "lds",
    "scratch",
    "atomic",
    "branch",
    "control",
];

/// The whole page.
pub fn page(report: &Report) -> String {
    let mut out = String::new();
    let passed: usize = report.archs.values().map(|a| a.count(Status::Pass)).sum();
    let total: usize = report.archs.values().map(|a| a.kernels.len()).sum();
    let title = match report.archs.len() {
        1 => report.archs.keys().next().cloned().unwrap_or_default(),
        count => format!("{count} architectures"),
    };
    put(
        &mut out,
        format_args!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>hipify-candle verify: {0}</title>\n<style>\n{STYLE}</style></head><body>\n\
             <header><h1>Kernels on {0}</h1>\n<p class=\"{1}\"><strong>{passed} of {total}</strong> kernel runs pass</p>\n\
             <p class=\"faint\">{2} · seed {3} (<code>--seed {3}</code> repeats the random data) · {4:.1} s</p></header>\n",
            escape(&title),
            if report.passed() { "good" } else { "bad" },
            escape(&devices(report)),
            report.seed,
            report.elapsed.as_secs_f64()
        ),
    );
    out.push_str("<main>\n");
    matrix(&mut out, report);
    problems(&mut out, report);
    resources(&mut out, report);
    instructions(&mut out, report);
    details(&mut out, report);
    out.push_str("</main></body></html>");
    out
}

/// Writing to a string does not fail.
fn put(out: &mut String, text: std::fmt::Arguments) {
    let _ = out.write_fmt(text);
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            other => out.push(other),
        }
    }
    out
}

fn devices(report: &Report) -> String {
    let kinds: BTreeSet<&str> = report
        .archs
        .values()
        .map(|arch| match arch.device.emulated {
            true => "the emulator",
            false => "real GPUs",
        })
        .collect();
    format!("on {}", kinds.into_iter().collect::<Vec<_>>().join(" and "))
}

/// The group of a kernel: its family in `quantized`, elsewhere its module.
fn group(kernel: &KernelReport) -> String {
    match kernel.module.as_str() {
        "quantized" => kernel.family.clone(),
        module => module.to_owned(),
    }
}

/// All groups of a report, in the order of a matrix's life.
fn groups(report: &Report) -> Vec<String> {
    let kernels = report.archs.values().flat_map(|arch| arch.kernels.values());
    let found: BTreeSet<String> = kernels.map(group).collect();
    let mut groups: Vec<String> = found.into_iter().collect();
    groups.sort_by_key(|name| (rank(&FAMILIES, name), name.clone()));
    groups
}

fn of_group<'a>(
    arch: &'a ArchReport,
    name: &'a str,
) -> impl Iterator<Item = (&'a String, &'a KernelReport)> + Clone {
    arch.kernels.iter().filter(move |(_, k)| group(k) == name)
}

fn table_start(out: &mut String, first: &str, columns: &[String]) {
    out.push_str("<div class=\"scroll\"><table><thead><tr>");
    put(out, format_args!("<th>{}</th>", escape(first)));
    for column in columns {
        put(out, format_args!("<th>{}</th>", escape(column)));
    }
    out.push_str("</tr></thead><tbody>\n");
}

fn table_end(out: &mut String) {
    out.push_str("</tbody></table></div></section>\n");
}

fn matrix(out: &mut String, report: &Report) {
    let groups = groups(report);
    out.push_str(
        "<section><h2>Matrix</h2><p class=\"faint\">A cell is the worst relative error of its kernels against recorded \
         CUDA results and the CPU; <em>exact</em> is bit for bit.</p>\n",
    );
    table_start(out, "architecture", &groups);
    for (arch, found) in &report.archs {
        put(
            out,
            format_args!("<tr><th><a href=\"#{0}\">{0}</a></th>", escape(arch)),
        );
        for name in &groups {
            let kernels = of_group(found, name);
            let total = kernels.clone().count();
            let wrong = kernels
                .clone()
                .filter(|(_, k)| k.status != Status::Pass)
                .count();
            if total == 0 {
                out.push_str("<td class=\"none\">·</td>");
            } else if wrong > 0 {
                put(
                    out,
                    format_args!("<td class=\"bad\">{wrong} of {total} wrong</td>"),
                );
            } else if kernels.clone().all(|(_, k)| k.exact) {
                put(
                    out,
                    format_args!("<td class=\"good\" title=\"{total} kernels\">exact</td>"),
                );
            } else {
                let worst = kernels.filter_map(|(_, k)| k.rel_err).fold(0.0, f64::max);
                put(
                    out,
                    format_args!("<td class=\"good\" title=\"{total} kernels\">{worst:.1e}</td>"),
                );
            }
        }
        out.push_str("</tr>\n");
    }
    table_end(out);
}

fn problems(out: &mut String, report: &Report) {
    let wrong = report.archs.iter().flat_map(|(arch, found)| {
        let kernels = found.kernels.iter();
        let wrong = kernels.filter(|(_, k)| k.status != Status::Pass || !k.findings.is_empty());
        wrong.map(move |(symbol, kernel)| (arch, symbol, kernel))
    });
    let wrong: Vec<_> = wrong.collect();
    if wrong.is_empty() {
        return;
    }
    put(
        out,
        format_args!("<section><h2>What is wrong ({})</h2>\n", wrong.len()),
    );
    for (arch, symbol, kernel) in wrong {
        let word = match kernel.status {
            Status::Pass => "warning",
            Status::Fail => "wrong result",
            Status::Error => "error",
        };
        let message = kernel.message.iter().chain(&kernel.findings);
        let message: Vec<String> = message.map(|text| escape(text)).collect();
        put(
            out,
            format_args!(
                "<article><h3><code>{}</code> <span class=\"bad\">{word}</span> on {}</h3><pre>{}</pre></article>\n",
                escape(symbol),
                escape(arch),
                message.join("\n")
            ),
        );
    }
    out.push_str("</section>\n");
}

/// `232`, or `256 + 11 spilled`.
fn registers(used: &Resources) -> String {
    match used.spilled {
        0 => used.vgprs.to_string(),
        spilled => format!("{} + {spilled} spilled", used.vgprs),
    }
}

fn occupancy(used: &Resources) -> String {
    match (used.waves_per_simd, used.max_waves_per_simd) {
        (Some(waves), Some(most)) => format!("{waves}/{most}"),
        _ => "?".to_owned(),
    }
}

fn resources(out: &mut String, report: &Report) {
    let groups = groups(report);
    out.push_str(
        "<section><h2>Resources</h2><p class=\"faint\">Of the kernel of each group that needs most: VGPRs a lane, LDS \
         of a block, and the fewest waves on a SIMD of those it holds.</p>\n",
    );
    table_start(out, "architecture", &groups);
    for (arch, found) in &report.archs {
        put(out, format_args!("<tr><th>{}</th>", escape(arch)));
        for name in &groups {
            let used = of_group(found, name).filter_map(|(_, k)| k.resources);
            let Some(most) = used.clone().max_by_key(|r| (r.spilled, r.vgprs)) else {
                out.push_str("<td class=\"none\">·</td>");
                continue;
            };
            let lds = used.clone().map(|r| r.lds).max().unwrap_or(0);
            let fewest = used.min_by_key(|r| r.waves_per_simd).unwrap_or(most);
            put(
                out,
                format_args!(
                    "<td class=\"{}\">{}<br><span class=\"faint\">{:.1} KiB · {}</span></td>",
                    if most.spilled > 0 { "bad" } else { "" },
                    registers(&most),
                    f64::from(lds) / 1024.0,
                    occupancy(&fewest)
                ),
            );
        }
        out.push_str("</tr>\n");
    }
    table_end(out);
}

/// A bar with a part for each class.
fn bar(counts: &Counts) -> String {
    let mut bar = String::from("<span class=\"bar\">");
    let all = counts.instructions.max(1) as f64;
    for class in CLASSES {
        let share = 100.0 * counts.classes.get(class).copied().unwrap_or(0) as f64 / all;
        if share > 0.0 {
            put(
                &mut bar,
                format_args!(
                    "<i class=\"c-{class}\" style=\"width:{share:.2}%\" title=\"{class} {share:.1}%\"></i>"
                ),
            );
        }
    }
    bar.push_str("</span>");
    bar
}

/// 1234567 as `1.23 M`.
fn short(count: u64) -> String {
    match count {
        0..10_000 => count.to_string(),
        10_000..1_000_000 => format!("{:.1} k", count as f64 / 1e3),
        _ => format!("{:.2} M", count as f64 / 1e6),
    }
}

fn sum<'a>(counts: impl Iterator<Item = &'a Counts>) -> Counts {
    let mut all = Counts::default();
    for one in counts {
        all.launches += one.launches;
        all.waves += one.waves;
        all.instructions += one.instructions;
        for (class, count) in &one.classes {
            *all.classes.entry(class.clone()).or_default() += count;
        }
    }
    all
}

fn instructions(out: &mut String, report: &Report) {
    let groups = groups(report);
    let counted = |arch: &ArchReport| sum(arch.kernels.values().filter_map(|k| k.counts.as_ref()));
    let totals: BTreeMap<&String, Counts> =
        report.archs.iter().map(|(n, a)| (n, counted(a))).collect();
    if totals.values().all(|counts| counts.instructions == 0) {
        return;
    }
    out.push_str(
        "<section><h2>Instructions executed</h2><p class=\"faint\">In all launches of this verification; a wave that \
         executes an instruction counts one.</p><p class=\"legend\">",
    );
    for class in CLASSES {
        put(
            out,
            format_args!("<span><i class=\"c-{class}\"></i>{class}</span>"),
        );
    }
    out.push_str("</p>\n");
    let mut columns = groups.clone();
    columns.insert(0, "all".to_owned());
    table_start(out, "architecture", &columns);
    for (arch, found) in &report.archs {
        put(out, format_args!("<tr><th>{}</th>", escape(arch)));
        let of = |name: &String| sum(of_group(found, name).filter_map(|(_, k)| k.counts.as_ref()));
        for counts in [counted(found)].into_iter().chain(groups.iter().map(of)) {
            put(
                out,
                format_args!("<td>{}{}</td>", short(counts.instructions), bar(&counts)),
            );
        }
        out.push_str("</tr>\n");
    }
    table_end(out);
}

fn details(out: &mut String, report: &Report) {
    out.push_str("<section><h2>Every kernel</h2>\n");
    let open = if report.archs.len() == 1 { " open" } else { "" };
    for (arch, found) in &report.archs {
        put(
            out,
            format_args!(
                "<details id=\"{0}\"{open}><summary><strong>{0}</strong> <span class=\"faint\">{1}, {2} of {3} pass, \
                 {4:.1} s</span></summary>\n",
                escape(arch),
                escape(&found.device.name),
                found.count(Status::Pass),
                found.kernels.len(),
                found.elapsed.as_secs_f64()
            ),
        );
        out.push_str(
            "<div class=\"scroll\"><table><thead><tr><th>kernel</th><th>result</th><th>VGPRs</th><th>SGPRs</th><th>LDS</th>\
             <th>scratch</th><th>threads</th><th>waves</th><th>executed</th></tr></thead><tbody>\n",
        );
        for (symbol, kernel) in &found.kernels {
            row(out, symbol, kernel);
        }
        out.push_str("</tbody></table></div></details>\n");
    }
    out.push_str("</section>\n");
}

fn row(out: &mut String, symbol: &str, kernel: &KernelReport) {
    let (class, result) = match (kernel.status, kernel.exact, kernel.rel_err) {
        (Status::Pass, true, _) => ("good", "exact".to_owned()),
        (Status::Pass, false, Some(error)) => ("good", format!("{error:.1e}")),
        (Status::Pass, false, None) => ("good", "pass".to_owned()),
        (Status::Fail, ..) => ("bad", "wrong".to_owned()),
        (Status::Error, ..) => ("bad", "error".to_owned()),
    };
    put(
        out,
        format_args!(
            "<tr><th><code>{}</code></th><td class=\"{class}\">{result}</td>",
            escape(symbol)
        ),
    );
    match &kernel.resources {
        Some(used) => put(
            out,
            format_args!(
                "<td class=\"{}\">{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>",
                if used.spilled > 0 { "bad" } else { "" },
                registers(used),
                used.sgprs,
                used.lds,
                used.scratch,
                used.max_threads,
                occupancy(used)
            ),
        ),
        None => out.push_str("<td></td><td></td><td></td><td></td><td></td><td></td>"),
    }
    match &kernel.counts {
        Some(counts) => put(
            out,
            format_args!(
                "<td>{}{}</td></tr>\n",
                short(counts.instructions),
                bar(counts)
            ),
        ),
        None => out.push_str("<td></td></tr>\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::{escape, short};

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(
            escape("<a href=\"x\">&"),
            "&lt;a href=&quot;x&quot;&gt;&amp;"
        );
    }

    #[test]
    fn counts_are_short() {
        assert_eq!(short(9_999), "9999");
        assert_eq!(short(12_345), "12.3 k");
        assert_eq!(short(1_234_567), "1.23 M");
    }
}
