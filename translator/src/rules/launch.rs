//! Launch shapes and tiles: `config/launch.toml`, checked, and as the C++ text that a translated file carries.
//!
//! Knows patterns of kernel names and how large their blocks are. Which kernels a file has is for
//! [`crate::translate`] to find; what the compiler makes of a bound is for a code object's metadata to say.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::glob::Glob;
use super::{RulesError, invalid};

/// A shape in threads: x, y, z.
type Shape = [u32; 3];

/// The most threads that a block can have on any target.
pub const MAX_BLOCK: u32 = 1024;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LaunchFile {
    module: BTreeMap<String, u32>,
    #[serde(default)]
    launch: Vec<LaunchSpec>,
    #[serde(default)]
    tile: Vec<TileSpec>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LaunchSpec {
    module: String,
    kernel: OneOrMore,
    threads: Threads,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TileSpec {
    module: String,
    names: Vec<String>,
    suffix: String,
    #[serde(rename = "macro")]
    macro_name: String,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Threads {
    /// The same on every target.
    Always(Shape),
    /// By the value of a feature macro: `HIPIFY_X`, and a shape for every value `HIPIFY_X_NAME`, in lower case.
    By {
        by: String,
        #[serde(flatten)]
        shapes: BTreeMap<String, Shape>,
    },
}

/// One pattern with the bound of the kernels that it fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// A name, in which `*` is any run of characters.
    pub pattern: String,
    /// A C++ expression: threads of a block.
    pub threads: String,
}

/// Constants of a file that a macro of the device header picks for the target.
#[derive(Debug, Clone)]
struct Tile {
    names: Vec<Glob>,
    suffix: String,
    macro_name: String,
}

/// What `launch.toml` says about one module.
#[derive(Debug, Clone, Default)]
pub struct Launch {
    /// Patterns in the order of the file; the first that fits holds. Empty if no kernel has a bound of its own.
    pub bounds: Vec<Bound>,
    tiles: Vec<Tile>,
}

impl Launch {
    /// The line that tells the device header the bounds.
    #[must_use]
    pub fn definition(&self) -> Option<String> {
        if self.bounds.is_empty() {
            return None;
        }
        let mut text = "#define HIPIFY_LAUNCH_BOUNDS".to_owned();
        for Bound { pattern, threads } in &self.bounds {
            text.push_str(&format!(" {{\"{pattern}\", {threads}}},"));
        }
        text.push('\n');
        Some(text)
    }

    /// What is written for a constant, if it is one of those that differ by target: the header's macro, with the part
    /// of the name that all of them share.
    #[must_use]
    pub fn tile(&self, name: &str) -> Option<String> {
        let tile = self
            .tiles
            .iter()
            .find(|tile| tile.names.iter().any(|glob| glob.matches(name)))?;
        let shared = name.strip_suffix(&*tile.suffix)?;
        Some(format!("{}({shared})", tile.macro_name))
    }
}

/// Reads the file; what it says, module by module.
pub(super) fn parse(file: &str, text: &str) -> Result<BTreeMap<String, Launch>, RulesError> {
    let parsed: LaunchFile = toml::from_str(text).map_err(|e| RulesError::Syntax {
        file: file.to_owned(),
        message: e.to_string(),
    })?;
    let mut modules: BTreeMap<String, Launch> = BTreeMap::new();
    for (module, threads) in &parsed.module {
        if !(1..=MAX_BLOCK).contains(threads) {
            return Err(invalid(file, module, "a block has 1 to 1024 threads"));
        }
        modules.insert(module.clone(), Launch::default());
    }
    let unknown = |module: &str| invalid(file, module, "the module isn't in [module]");
    for spec in parsed.launch {
        let launch = modules
            .get_mut(&spec.module)
            .ok_or_else(|| unknown(&spec.module))?;
        let patterns = match spec.kernel {
            OneOrMore::One(pattern) => vec![pattern],
            OneOrMore::More(patterns) => patterns,
        };
        for pattern in patterns {
            // The device header matches the patterns when it compiles: it knows `*`.
            let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'*');
            if pattern.is_empty() || !pattern.bytes().all(plain) {
                let message = "a pattern holds letters, digits, `_` and `*`";
                return Err(invalid(file, &pattern, message));
            }
            let limit = parsed.module[&spec.module];
            let threads = expression(&spec.threads, limit)
                .map_err(|message| invalid(file, &pattern, &message))?;
            launch.bounds.push(Bound { pattern, threads });
        }
    }
    for (module, launch) in &mut modules {
        if !launch.bounds.is_empty() {
            launch.bounds.push(Bound {
                pattern: "*".to_owned(),
                threads: parsed.module[module].to_string(),
            });
        }
    }
    for spec in parsed.tile {
        let launch = modules
            .get_mut(&spec.module)
            .ok_or_else(|| unknown(&spec.module))?;
        let mut names = Vec::new();
        for name in &spec.names {
            if !name.ends_with(&spec.suffix) {
                return Err(invalid(file, name, "doesn't end with `suffix`"));
            }
            names.push(Glob::new(name).map_err(|message| invalid(file, name, &message))?);
        }
        launch.tiles.push(Tile {
            names,
            suffix: spec.suffix,
            macro_name: spec.macro_name,
        });
    }
    Ok(modules)
}

/// The number of threads as C++.
fn expression(threads: &Threads, limit: u32) -> Result<String, String> {
    let count = |shape: &Shape| {
        let count = shape.iter().try_fold(1_u32, |n, size| n.checked_mul(*size));
        match count {
            Some(count) if (1..=limit).contains(&count) => Ok(count),
            _ => Err(format!(
                "{shape:?} is not 1 to {limit} threads, which [module] allows"
            )),
        }
    };
    match threads {
        Threads::Always(shape) => Ok(count(shape)?.to_string()),
        Threads::By { by, shapes } => {
            let mut text = String::new();
            for (value, shape) in shapes {
                let value = value.to_ascii_uppercase();
                text.push_str(&format!("{by} == {by}_{value} ? {} : ", count(shape)?));
            }
            if text.is_empty() {
                return Err(format!("no shape for any value of {by}"));
            }
            Ok(format!("{text}{limit}"))
        }
    }
}

/// Whether some name fits both patterns, in which `*` is any run of characters.
#[must_use]
pub fn overlap(a: &str, b: &str) -> bool {
    fn meet(a: &[u8], b: &[u8]) -> bool {
        match (a.split_first(), b.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), _) => meet(rest, b) || !b.is_empty() && meet(a, &b[1..]),
            (_, Some((b'*', rest))) => meet(a, rest) || !a.is_empty() && meet(&a[1..], b),
            (Some((x, a)), Some((y, b))) => x == y && meet(a, b),
            _ => false,
        }
    }
    meet(a.as_bytes(), b.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::{overlap, parse};

    #[test]
    fn patterns_overlap_if_a_name_fits_both() {
        assert!(overlap("dequantize_block_q5_0_*", "dequantize_block_*_f32"));
        assert!(overlap("get_rows_*", "get_rows_q4_0"));
        assert!(overlap("*", ""));
        assert!(overlap("a*c", "ab*"));
        assert!(!overlap("get_rows_q4_K", "get_rows_q5_K"));
        assert!(!overlap("dequantize_*_f32", "dequantize_*_f16"));
        assert!(!overlap("mul_mat_q*", "mul_mat_vec_*"));
    }

    #[test]
    fn rows_become_the_headers_table() {
        let text = "
            [module]
            m = 256
            plain = 1024
            [[launch]]
            module = 'm'
            kernel = ['a_*', 'b']
            threads = [32, 4, 1]
            [[launch]]
            module = 'm'
            kernel = 'c'
            threads = { by = 'HIPIFY_T', one = [32, 1, 1], two = [64, 2, 1] }
            [[tile]]
            module = 'm'
            names = ['X_*_OLD']
            suffix = 'OLD'
            macro = 'PICK'
        ";
        let modules = parse("launch.toml", text).expect("a table");
        assert_eq!(
            modules["m"].definition().as_deref(),
            Some(
                "#define HIPIFY_LAUNCH_BOUNDS {\"a_*\", 128}, {\"b\", 128}, {\"c\", HIPIFY_T == HIPIFY_T_ONE ? 32 : \
                 HIPIFY_T == HIPIFY_T_TWO ? 128 : 256}, {\"*\", 256},\n"
            )
        );
        assert_eq!(modules["plain"].definition(), None);
        assert_eq!(modules["m"].tile("X_7_OLD"), Some("PICK(X_7_)".to_owned()));
        assert_eq!(modules["m"].tile("X_7_NEW"), None);
        for (wrong, with) in [
            ("[32, 4, 1]", "[32, 16, 1]"),
            ("'b'", "'[bc]'"),
            ("'X_*_OLD'", "'X_*'"),
            ("module = 'm'", "module = 'n'"),
        ] {
            assert!(parse("launch.toml", &text.replace(wrong, with)).is_err());
        }
    }
}
