//! The compilation units of candle-kernels, as `config/modules.toml` lists them.
//!
//! A module is one `.cu` file together with the headers of its tree that it includes. Its name is the file's path
//! below the source folder without the extension: `quantized`, `moe/moe_gguf`.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::config::{Config, ConfigError};
use crate::diagnostic::{did_you_mean, nearest};
use crate::rules::Glob;

/// The list of modules can't be used, or a module asked for isn't there.
#[derive(Debug, thiserror::Error)]
pub enum ModulesError {
    /// The configuration can't be read.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Not TOML, or not of the documented form.
    #[error("config/{file}: {message}")]
    Syntax {
        /// Name below `config/`.
        file: String,
        /// What is wrong.
        message: String,
    },
    /// A name or pattern given by the user fits no module.
    #[error("no module `{asked}`{}; there are: {known}", did_you_mean(near))]
    Unknown {
        /// What was asked for.
        asked: String,
        /// Names that it may be a misspelling of.
        near: Vec<String>,
        /// All names.
        known: String,
    },
}

/// What Candle's CUDA build makes of a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModuleKind {
    /// PTX, loaded at run time; kernels are found by symbol.
    Ptx,
    /// A host library that holds kernels and the code that launches them.
    Static,
}

/// One compilation unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Module {
    /// `quantized`, `moe/moe_gguf`.
    pub name: String,
    /// What Candle's build makes of it.
    pub kind: ModuleKind,
    /// The cargo feature of candle-kernels that it needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feature: Option<String>,
}

impl Module {
    /// Path of its `.cu` file below the source folder, with `/`.
    #[must_use]
    pub fn source(&self) -> String {
        format!("{}.cu", self.name)
    }
}

/// The list.
#[derive(Debug, Clone)]
pub struct Modules {
    list: Vec<Module>,
    static_patterns: Vec<Glob>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModulesFile {
    module: Vec<Module>,
    unlisted: Unlisted,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unlisted {
    #[serde(rename = "static")]
    static_patterns: Vec<String>,
}

impl Modules {
    /// The list compiled into the program.
    ///
    /// # Errors
    /// [`ModulesError::Syntax`] if it is malformed.
    pub fn load() -> Result<Self, ModulesError> {
        Modules::from_config(&Config::embedded())
    }

    /// The list of a configuration.
    ///
    /// # Errors
    /// [`ModulesError`] if `modules.toml` is missing or malformed.
    pub fn from_config(config: &Config) -> Result<Self, ModulesError> {
        let file = config.file("modules.toml")?;
        let syntax = |message| ModulesError::Syntax {
            file: file.name.clone(),
            message,
        };
        let parsed: ModulesFile = toml::from_str(&file.text).map_err(|e| syntax(e.to_string()))?;
        let mut seen = rustc_hash::FxHashSet::default();
        if let Some(twice) = parsed.module.iter().find(|m| !seen.insert(m.name.as_str())) {
            return Err(syntax(format!("module `{}` is listed twice", twice.name)));
        }
        let patterns = parsed
            .unlisted
            .static_patterns
            .iter()
            .map(|p| Glob::new(p).map_err(syntax));
        let static_patterns = patterns.collect::<Result<_, _>>()?;
        Ok(Modules {
            list: parsed.module,
            static_patterns,
        })
    }

    /// Every listed module.
    #[must_use]
    pub fn all(&self) -> &[Module] {
        &self.list
    }

    /// The listed module of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Module> {
        self.list.iter().find(|m| m.name == name)
    }

    /// The modules of a tree that has these files (paths below its root, with `/`): every `.cu` file, with the kind
    /// from the list or, if it isn't listed, from its name. Sorted by name.
    pub fn of_tree<'a>(&self, files: impl IntoIterator<Item = &'a str>) -> Vec<Module> {
        let mut found: Vec<Module> = files
            .into_iter()
            .filter_map(|file| file.strip_suffix(".cu"))
            .map(|name| self.classify(name))
            .collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found
    }

    fn classify(&self, name: &str) -> Module {
        if let Some(module) = self.get(name) {
            return module.clone();
        }
        let file = Path::new(name)
            .file_name()
            .map_or_else(String::new, |f| format!("{}.cu", f.to_string_lossy()));
        let is_static = self.static_patterns.iter().any(|glob| glob.matches(&file));
        let kind = if is_static {
            ModuleKind::Static
        } else {
            ModuleKind::Ptx
        };
        Module {
            name: name.to_owned(),
            kind,
            feature: None,
        }
    }
}

/// The modules among `all` that a user's list of names and patterns (`quantized`, `mmq_gguf/*`, `ptx`, `static`,
/// `all`) selects, in the order of `all`. An empty list selects all.
///
/// # Errors
/// [`ModulesError::Unknown`] for an entry that selects nothing.
pub fn select<'a>(all: &'a [Module], asked: &[String]) -> Result<Vec<&'a Module>, ModulesError> {
    let mut chosen = vec![asked.is_empty(); all.len()];
    for entry in asked {
        let glob = Glob::new(entry).ok();
        let mut hit = false;
        for (module, chosen) in all.iter().zip(&mut chosen) {
            let fits = match entry.as_str() {
                "all" => true,
                "ptx" => module.kind == ModuleKind::Ptx,
                "static" => module.kind == ModuleKind::Static,
                _ => glob.as_ref().is_some_and(|g| g.matches(&module.name)),
            };
            if fits {
                hit = true;
                *chosen = true;
            }
        }
        if !hit {
            let known = all
                .iter()
                .map(|m| m.name.as_str())
                .collect::<Vec<_>>()
                .join(", ");
            let names = all.iter().map(|module| module.name.as_str());
            let near = nearest(entry, names, 2);
            return Err(ModulesError::Unknown {
                asked: entry.clone(),
                near: near.into_iter().map(str::to_owned).collect(),
                known,
            });
        }
    }
    Ok(all
        .iter()
        .zip(chosen)
        .filter_map(|(module, chosen)| chosen.then_some(module))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::{ModuleKind, Modules, select};

    #[test]
    fn the_list_has_eleven_ptx_modules() {
        let modules = Modules::load().expect("embedded modules.toml");
        let ptx: Vec<_> = modules
            .all()
            .iter()
            .filter(|m| m.kind == ModuleKind::Ptx)
            .map(|m| &*m.name)
            .collect();
        let expected = [
            "affine",
            "binary",
            "cast",
            "conv",
            "fill",
            "indexing",
            "quantized",
            "reduce",
            "sort",
            "ternary",
            "unary",
        ];
        assert_eq!(ptx, expected);
    }

    #[test]
    fn unlisted_files_take_their_kind_from_the_name() {
        let modules = Modules::load().expect("embedded modules.toml");
        let found = modules.of_tree(["new.cu", "moe/moe_new.cu", "a.cuh", "quantized.cu"]);
        let found: Vec<_> = found.iter().map(|m| (m.name.as_str(), m.kind)).collect();
        let expected = [
            ("moe/moe_new", ModuleKind::Static),
            ("new", ModuleKind::Ptx),
            ("quantized", ModuleKind::Ptx),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn selection_by_name_pattern_and_kind() {
        let modules = Modules::load().expect("embedded modules.toml");
        let names = |asked: &[&str]| {
            let asked: Vec<String> = asked.iter().map(|s| (*s).to_owned()).collect();
            select(modules.all(), &asked).map(|found| {
                found
                    .into_iter()
                    .map(|m| m.name.clone())
                    .collect::<Vec<_>>()
            })
        };
        assert_eq!(
            names(&["sort", "affine"]).expect("listed"),
            ["affine", "sort"]
        );
        assert_eq!(
            names(&["moe/moe_w*"]).expect("listed"),
            ["moe/moe_wmma", "moe/moe_wmma_gguf"]
        );
        assert_eq!(names(&["ptx"]).expect("listed").len(), 11);
        assert_eq!(names(&[]).expect("all").len(), modules.all().len());
        let error = names(&["quantised"]).expect_err("not listed").to_string();
        assert!(
            error.contains("quantised") && error.contains("quantized"),
            "{error}"
        );
    }
}
