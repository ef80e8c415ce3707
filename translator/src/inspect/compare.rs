//! Two builds side by side: which kernels came and went, what grew, what spilled.
//!
//! Kernels are matched by file, target id and name; which of several bundles of a program a kernel lies in does not count.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{File, KernelReport};

/// Two builds, compared.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    /// Code objects that only the first has, as [`Pair::place`] names them.
    pub gone: Vec<String>,
    /// Code objects that only the second has.
    pub new: Vec<String>,
    /// Code objects that both have.
    pub pairs: Vec<Pair>,
}

/// A code object of both builds.
#[derive(Debug, Clone, Serialize)]
pub struct Pair {
    /// File and target id.
    pub place: String,
    /// The size of all kernels' code before and after.
    pub code_bytes: [u64; 2],
    /// Kernels that are in the first alone.
    pub gone: Vec<String>,
    /// Kernels that are in the second alone.
    pub new: Vec<String>,
    /// Kernels that differ; worse ones first, then those whose code changed its size most.
    pub changed: Vec<Difference>,
    /// Kernels of which nothing that is compared differs.
    pub same: usize,
}

/// A kernel that differs.
#[derive(Debug, Clone, Serialize)]
pub struct Difference {
    /// The kernel's symbol.
    pub kernel: String,
    /// What C++ calls it, if the symbol is mangled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub demangled: Option<String>,
    /// Its arguments before and after, if they differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature: Option<[String; 2]>,
    /// Its numbers that differ.
    pub changes: Vec<Change>,
    /// Whether it spills more, needs more scratch, has fewer waves or takes other arguments.
    pub worse: bool,
}

/// A number that differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Which number.
    pub kind: Kind,
    /// Its value in the first build.
    pub before: u64,
    /// Its value in the second build.
    pub after: u64,
}

impl Change {
    /// Whether this alone makes the kernel worse.
    #[must_use]
    pub fn is_worse(&self) -> bool {
        match self.kind {
            Kind::VgprSpills | Kind::SgprSpills | Kind::Scratch => self.after > self.before,
            Kind::Waves => self.after < self.before,
            _ => false,
        }
    }
}

/// A number of a kernel that is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Spilled vector registers.
    VgprSpills,
    /// Spilled scalar registers.
    SgprSpills,
    /// Scratch of a work-item, in bytes.
    Scratch,
    /// Waves of a SIMD.
    Waves,
    /// The size of the code, in bytes.
    CodeBytes,
    /// Instructions.
    Instructions,
    /// Vector registers.
    Vgprs,
    /// Accumulation registers.
    Agprs,
    /// Scalar registers.
    Sgprs,
    /// LDS of a work-group, in bytes.
    Lds,
    /// The largest work-group.
    MaxGroup,
}

impl Kind {
    /// The number's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::VgprSpills => "VGPR spills",
            Kind::SgprSpills => "SGPR spills",
            Kind::Scratch => "scratch",
            Kind::Waves => "waves",
            Kind::CodeBytes => "code",
            Kind::Instructions => "instructions",
            Kind::Vgprs => "VGPRs",
            Kind::Agprs => "AGPRs",
            Kind::Sgprs => "SGPRs",
            Kind::Lds => "LDS",
            Kind::MaxGroup => "work-group",
        }
    }
}

/// The numbers that are compared; none where one is not known.
fn numbers(kernel: &KernelReport) -> [(Kind, Option<u64>); 11] {
    let number = |value: u32| Some(u64::from(value));
    [
        (Kind::VgprSpills, number(kernel.vgpr_spills)),
        (Kind::SgprSpills, number(kernel.sgpr_spills)),
        (Kind::Scratch, number(kernel.scratch)),
        (Kind::Waves, kernel.waves().map(u64::from)),
        (Kind::CodeBytes, Some(kernel.code_bytes)),
        (
            Kind::Instructions,
            kernel.mix.as_ref().map(|mix| u64::from(mix.instructions)),
        ),
        (Kind::Vgprs, number(kernel.vgprs)),
        (Kind::Agprs, number(kernel.agprs)),
        (Kind::Sgprs, number(kernel.sgprs)),
        (Kind::Lds, number(kernel.lds)),
        (Kind::MaxGroup, number(kernel.max_group)),
    ]
}

impl Difference {
    fn between(before: &KernelReport, after: &KernelReport) -> Option<Self> {
        let layout = |kernel: &KernelReport| -> Vec<_> {
            let args = kernel.args.iter();
            args.map(|arg| (arg.offset, arg.size, arg.kind.clone()))
                .collect()
        };
        let signature =
            (layout(before) != layout(after)).then(|| [before.signature(), after.signature()]);
        let changes: Vec<Change> = numbers(before)
            .into_iter()
            .zip(numbers(after))
            .filter_map(|((kind, before), (_, after))| {
                let (before, after) = (before?, after?);
                (before != after).then_some(Change {
                    kind,
                    before,
                    after,
                })
            })
            .collect();
        if signature.is_none() && changes.is_empty() {
            return None;
        }
        Some(Difference {
            kernel: before.name.clone(),
            demangled: before.demangled.clone(),
            worse: signature.is_some() || changes.iter().any(Change::is_worse),
            signature,
            changes,
        })
    }

    /// By how many bytes its code changed.
    fn growth(&self) -> u64 {
        let code = self.changes.iter().find(|c| c.kind == Kind::CodeBytes);
        code.map_or(0, |change| change.before.abs_diff(change.after))
    }
}

type Kernels<'a> = BTreeMap<&'a str, &'a KernelReport>;

/// The kernels of a build by file and target; by target alone if the files have no `names` in common.
fn by_place(files: &[File], names: bool) -> BTreeMap<(String, String), Kernels<'_>> {
    let mut places: BTreeMap<(String, String), Kernels<'_>> = BTreeMap::new();
    for file in files {
        let name = if names { &*file.name } else { "" };
        for (entry, code_object) in file.code_objects() {
            let target = entry.target.clone().unwrap_or_default();
            let kernels = places.entry((name.to_owned(), target)).or_default();
            kernels.extend(code_object.kernels.iter().map(|k| (k.name.as_str(), k)));
        }
    }
    places
}

fn name((file, target): &(String, String)) -> String {
    if file.is_empty() {
        target.clone()
    } else {
        format!("{file} {target}")
    }
}

impl Comparison {
    /// Compares two builds, each a file or the files of a folder. If each is one code object alone they are compared
    /// whatever their targets are.
    #[must_use]
    pub fn of(before: &[File], after: &[File]) -> Self {
        let names = before.len() > 1 || after.len() > 1;
        let (before, after) = (by_place(before, names), by_place(after, names));
        let mut comparison = Comparison {
            gone: Vec::new(),
            new: Vec::new(),
            pairs: Vec::new(),
        };
        if let (Some((a, one)), Some((b, two))) = (before.iter().next(), after.iter().next())
            && (before.len(), after.len()) == (1, 1)
            && a != b
        {
            let place = format!("{} -> {}", name(a), name(b));
            comparison.pairs.push(Pair::of(place, one, two));
            return comparison;
        }
        for (place, one) in &before {
            match after.get(place) {
                Some(two) => comparison.pairs.push(Pair::of(name(place), one, two)),
                None => comparison.gone.push(name(place)),
            }
        }
        let new = after.keys().filter(|place| !before.contains_key(*place));
        comparison.new.extend(new.map(name));
        comparison
    }

    /// Whether a code object or kernel is gone, or a kernel became worse.
    #[must_use]
    pub fn is_worse(&self) -> bool {
        let worse = |pair: &Pair| !pair.gone.is_empty() || pair.changed.iter().any(|d| d.worse);
        !self.gone.is_empty() || self.pairs.iter().any(worse)
    }
}

impl Pair {
    fn of(place: String, before: &Kernels<'_>, after: &Kernels<'_>) -> Self {
        let size = |kernels: &Kernels<'_>| kernels.values().map(|k| k.code_bytes).sum();
        let without = |some: &Kernels<'_>, others: &Kernels<'_>| -> Vec<String> {
            let names = some.keys().filter(|name| !others.contains_key(*name));
            names.map(ToString::to_string).collect()
        };
        let mut pair = Pair {
            place,
            code_bytes: [size(before), size(after)],
            gone: without(before, after),
            new: without(after, before),
            changed: Vec::new(),
            same: 0,
        };
        for (name, one) in before {
            let Some(two) = after.get(name) else { continue };
            match Difference::between(one, two) {
                Some(difference) => pair.changed.push(difference),
                None => pair.same += 1,
            }
        }
        pair.changed
            .sort_by_key(|change| (!change.worse, u64::MAX - change.growth()));
        pair
    }
}
