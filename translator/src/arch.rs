//! The AMD GPU architectures, as `config/arch.toml` lists them: what each has, and which macros say so to the compiler.
//!
//! Knows facts about targets, not kernels. What translated code and the device header ask is theirs; whether the
//! installed compiler can build for a target is [`crate::toolchain`]'s to say.

use std::collections::BTreeMap;

use codeobject::{Feature as Setting, TargetId};
use serde::Deserialize;

use crate::config::{Config, ConfigError};
use crate::diagnostic::{did_you_mean, nearest};
use crate::rules::{Answer, Guards};

/// The table can't be used, or an architecture asked for isn't there.
#[derive(Debug, thiserror::Error)]
pub enum ArchError {
    /// The configuration can't be read.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Not TOML, or not of the documented form.
    #[error("config/arch.toml: {0}")]
    Syntax(String),
    /// A name or group given by the user is none.
    #[error(
        "no architecture `{asked}`{}; there are: {known}; groups: {groups}",
        did_you_mean(nearest)
    )]
    Unknown {
        /// What was asked for.
        asked: String,
        /// Names that look like it.
        nearest: Vec<String>,
        /// All names.
        known: String,
        /// All groups.
        groups: String,
    },
    /// A target id has a feature that the architecture lacks.
    #[error("{arch} has no target feature `{feature}`; it has {known}")]
    TargetFeature {
        /// The architecture.
        arch: String,
        /// The feature.
        feature: &'static str,
        /// The features there are.
        known: String,
    },
    /// A guard asks for a feature that the table lacks.
    #[error(
        "config/guards.toml: {ask} is answered by the feature `{feature}`, which config/arch.toml doesn't have"
    )]
    UnknownFeature {
        /// The macro.
        ask: String,
        /// The feature.
        feature: String,
    },
}

/// What values a feature takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FeatureKind {
    /// Yes or no.
    Bool,
    /// A number.
    Number,
    /// One of these names.
    OneOf(Vec<String>),
}

/// A column of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feature {
    /// Its name.
    pub name: String,
    /// The macro that tells the compiler, if it is told.
    pub macro_name: Option<String>,
    /// Its values.
    pub kind: FeatureKind,
    /// What it means.
    pub note: String,
}

/// A row of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Architecture {
    /// `gfx1100`, `gfx11-generic`.
    pub name: String,
    /// `rdna3`.
    pub family: String,
    /// The generic target whose code objects it also runs.
    pub generic: Option<String>,
    /// What a target id may add: `xnack`, `sramecc`.
    pub target_features: Vec<String>,
    /// Graphics cards and accelerators with it.
    pub cards: Vec<String>,
    /// A number for each feature, in the table's order: 0 or 1, the number, or the position of the name.
    values: Vec<u32>,
}

impl Architecture {
    /// Whether it is a generic target.
    #[must_use]
    pub fn is_generic(&self) -> bool {
        self.name.ends_with("-generic")
    }
}

/// The table.
#[derive(Debug, Clone)]
pub struct Architectures {
    features: Vec<Feature>,
    list: Vec<Architecture>,
    groups: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ArchFile {
    feature: toml::map::Map<String, toml::Value>,
    family: BTreeMap<String, toml::Table>,
    arch: toml::map::Map<String, toml::Value>,
    #[serde(default)]
    group: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FeatureSpec {
    #[serde(rename = "macro")]
    macro_name: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    values: Option<Vec<String>>,
    note: String,
}

impl Architectures {
    /// The table of a configuration.
    ///
    /// # Errors
    /// [`ArchError`] if `arch.toml` is missing or malformed: a row that gives no value to a feature, or one that the
    /// feature can't have, is an error.
    pub fn from_config(config: &Config) -> Result<Self, ArchError> {
        let file = config.file("arch.toml")?;
        let parsed: ArchFile =
            toml::from_str(&file.text).map_err(|e| ArchError::Syntax(e.to_string()))?;
        let mut features = Vec::new();
        for (name, spec) in parsed.feature {
            features.push(feature(name, spec)?);
        }
        let mut list = Vec::new();
        for (name, row) in parsed.arch {
            list.push(architecture(name, row, &features, &parsed.family)?);
        }
        let known = |name: &String| list.iter().any(|arch| arch.name == *name);
        if let Some(arch) = list
            .iter()
            .find(|arch| arch.generic.as_ref().is_some_and(|g| !known(g)))
        {
            return Err(ArchError::Syntax(format!(
                "[arch.{}]: there is no such generic target",
                arch.name
            )));
        }
        let named = parsed.group.values().flatten();
        if let Some(unknown) = named.clone().find(|name| !known(name)) {
            return Err(ArchError::Syntax(format!("[group]: there is no {unknown}")));
        }
        Ok(Architectures {
            features,
            list,
            groups: parsed.group,
        })
    }

    /// Every architecture, in the table's order.
    #[must_use]
    pub fn all(&self) -> &[Architecture] {
        &self.list
    }

    /// Every feature, in the table's order.
    #[must_use]
    pub fn features(&self) -> &[Feature] {
        &self.features
    }

    /// The architecture of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Architecture> {
        self.list.iter().find(|arch| arch.name == name)
    }

    /// A feature's value as a number: 0 or 1, the number, or the position of the name. `None` if there is no such
    /// feature.
    #[must_use]
    pub fn number(&self, arch: &Architecture, feature: &str) -> Option<u32> {
        let index = self.features.iter().position(|f| f.name == feature)?;
        arch.values.get(index).copied()
    }

    /// A feature's value as one of its names; `None` if it has no names.
    #[must_use]
    pub fn name(&self, arch: &Architecture, feature: &str) -> Option<&str> {
        let spec = self.features.iter().find(|f| f.name == feature)?;
        match &spec.kind {
            FeatureKind::OneOf(names) => names
                .get(self.number(arch, feature)? as usize)
                .map(String::as_str),
            FeatureKind::Bool | FeatureKind::Number => None,
        }
    }

    /// The targets that a user's list selects, in the table's order and each once: names (`gfx1100`), target ids
    /// (`gfx90a:xnack-`), families (`rdna3`), groups of families (`rdna`, `cdna`), groups of the table (`common`),
    /// `generic`, and `all`, which is every architecture but the generic targets.
    ///
    /// # Errors
    /// [`ArchError::Unknown`] or [`ArchError::TargetFeature`] for an entry that selects nothing.
    pub fn select(&self, asked: &[String]) -> Result<Vec<TargetId>, ArchError> {
        let mut chosen: Vec<(usize, TargetId)> = Vec::new();
        for entry in asked {
            let mut hits: Vec<(usize, TargetId)> = Vec::new();
            for (index, arch) in self.list.iter().enumerate() {
                let group = arch.family.trim_end_matches(|c: char| c.is_ascii_digit());
                let fits = match entry.as_str() {
                    "all" => !arch.is_generic(),
                    "generic" => arch.is_generic(),
                    name => {
                        name == arch.name
                            || (!arch.is_generic() && (name == arch.family || name == group))
                            || self
                                .groups
                                .get(name)
                                .is_some_and(|g| g.contains(&arch.name))
                    }
                };
                if fits {
                    hits.push((index, TargetId::new(arch.name.clone())));
                }
            }
            if hits.is_empty() {
                hits.push(self.target_id(entry)?);
            }
            chosen.extend(hits);
        }
        chosen.sort_by_cached_key(|(_, target)| self.place(target));
        chosen.dedup();
        Ok(chosen.into_iter().map(|(_, target)| target).collect())
    }

    /// What orders targets as [`Self::select`] does; those that aren't in the table come last.
    #[must_use]
    pub fn place(&self, target: &TargetId) -> (usize, String) {
        let index = self
            .list
            .iter()
            .position(|arch| arch.name == target.processor);
        (index.unwrap_or(usize::MAX), target.to_string())
    }

    fn target_id(&self, text: &str) -> Result<(usize, TargetId), ArchError> {
        let found = text.parse::<TargetId>().ok().and_then(|target| {
            let index = self
                .list
                .iter()
                .position(|arch| arch.name == target.processor)?;
            Some((index, target))
        });
        let Some((index, target)) = found else {
            return Err(self.unknown(text));
        };
        let arch = &self.list[index];
        for (feature, setting) in [("sramecc", target.sramecc), ("xnack", target.xnack)] {
            if setting != Setting::Any && !arch.target_features.iter().any(|f| f == feature) {
                let known = match arch.target_features.as_slice() {
                    [] => "none".to_owned(),
                    some => some.join(", "),
                };
                return Err(ArchError::TargetFeature {
                    arch: arch.name.clone(),
                    feature,
                    known,
                });
            }
        }
        Ok((index, target))
    }

    fn unknown(&self, asked: &str) -> ArchError {
        let names = || self.list.iter().map(|arch| arch.name.as_str());
        let mut groups = vec!["all", "generic"];
        groups.extend(self.groups.keys().map(String::as_str));
        for arch in &self.list {
            let group = arch.family.trim_end_matches(|c: char| c.is_ascii_digit());
            for name in [group, arch.family.as_str()] {
                if !groups.contains(&name) {
                    groups.push(name);
                }
            }
        }
        ArchError::Unknown {
            asked: asked.to_owned(),
            nearest: nearest(asked, names().chain(groups.iter().copied()), 2)
                .into_iter()
                .map(str::to_owned)
                .collect(),
            known: names().collect::<Vec<_>>().join(", "),
            groups: groups.join(", "),
        }
    }

    /// The macros that answer translated code and the device header for an architecture: `HIPIFY_DOT4=2`. Sorted.
    ///
    /// # Errors
    /// [`ArchError::UnknownFeature`] if a guard's feature isn't in the table.
    pub fn macros(&self, arch: &Architecture, guards: &Guards) -> Result<Vec<String>, ArchError> {
        let mut macros: Vec<String> = self
            .features
            .iter()
            .zip(&arch.values)
            .filter_map(|(feature, value)| {
                Some(format!("{}={value}", feature.macro_name.as_ref()?))
            })
            .collect();
        for guard in guards.iter() {
            let value = match &guard.answer {
                Answer::Always(value) => *value,
                Answer::Feature(feature) => {
                    self.number(arch, feature)
                        .ok_or_else(|| ArchError::UnknownFeature {
                            ask: guard.ask.clone(),
                            feature: feature.clone(),
                        })?
                        != 0
                }
                Answer::Compiler => continue,
            };
            macros.push(format!("{}={}", guard.ask, u32::from(value)));
        }
        macros.sort();
        macros.dedup();
        Ok(macros)
    }
}

fn feature(name: String, spec: toml::Value) -> Result<Feature, ArchError> {
    let bad = |message: &str| ArchError::Syntax(format!("[feature.{name}]: {message}"));
    let spec: FeatureSpec = spec
        .try_into()
        .map_err(|e: toml::de::Error| bad(e.message()))?;
    let kind = match (spec.kind.as_deref(), spec.values) {
        (Some("bool"), None) => FeatureKind::Bool,
        (Some("number"), None) => FeatureKind::Number,
        (None, Some(values)) if !values.is_empty() => FeatureKind::OneOf(values),
        _ => {
            return Err(bad(
                "needs either `type`, \"bool\" or \"number\", or `values`",
            ));
        }
    };
    Ok(Feature {
        macro_name: spec.macro_name,
        kind,
        note: spec.note,
        name,
    })
}

/// The keys of a row that are no features.
const ROW_KEYS: &[&str] = &["family", "generic", "target_features", "cards"];

fn architecture(
    name: String,
    row: toml::Value,
    features: &[Feature],
    families: &BTreeMap<String, toml::Table>,
) -> Result<Architecture, ArchError> {
    let bad = |message: String| ArchError::Syntax(format!("[arch.{name}]: {message}"));
    let row: toml::Table = row
        .try_into()
        .map_err(|e: toml::de::Error| bad(e.message().to_owned()))?;
    let text = |key: &str| match row.get(key) {
        None => Ok(None),
        Some(toml::Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(bad(format!("`{key}` must be a string"))),
    };
    let texts = |key: &str| match row.get(key) {
        None => Ok(Vec::new()),
        Some(value) => value
            .clone()
            .try_into()
            .map_err(|_| bad(format!("`{key}` must be a list of strings"))),
    };
    let family = text("family")?.ok_or_else(|| bad("needs a `family`".to_owned()))?;
    let inherited = families
        .get(&family)
        .ok_or_else(|| bad(format!("there is no [family.{family}]")))?;
    let known =
        |key: &String| ROW_KEYS.contains(&key.as_str()) || features.iter().any(|f| f.name == *key);
    if let Some(key) = row.keys().chain(inherited.keys()).find(|key| !known(key)) {
        return Err(bad(format!("`{key}` is no feature")));
    }
    let mut values = Vec::new();
    for feature in features {
        let value = row
            .get(&feature.name)
            .or_else(|| inherited.get(&feature.name));
        let value = value
            .ok_or_else(|| bad(format!("neither it nor its family says `{}`", feature.name)))?;
        let number = match (&feature.kind, value) {
            (FeatureKind::Bool, toml::Value::Boolean(value)) => Some(u32::from(*value)),
            (FeatureKind::Number, toml::Value::Integer(value)) => u32::try_from(*value).ok(),
            (FeatureKind::OneOf(names), toml::Value::String(value)) => names
                .iter()
                .position(|n| n == value)
                .and_then(|index| u32::try_from(index).ok()),
            _ => None,
        };
        values.push(number.ok_or_else(|| bad(format!("`{}` can't be {value}", feature.name)))?);
    }
    Ok(Architecture {
        family,
        generic: text("generic")?,
        target_features: texts("target_features")?,
        cards: texts("cards")?,
        values,
        name,
    })
}

#[cfg(test)]
mod tests {
    use super::{ArchError, Architectures};
    use crate::config::Config;
    use crate::rules::Rules;

    fn table() -> Architectures {
        Architectures::from_config(&Config::embedded()).expect("embedded arch.toml")
    }

    fn selected(asked: &[&str]) -> Result<Vec<String>, ArchError> {
        let asked: Vec<String> = asked.iter().map(|s| (*s).to_owned()).collect();
        Ok(table()
            .select(&asked)?
            .iter()
            .map(ToString::to_string)
            .collect())
    }

    #[test]
    fn rows_inherit_from_their_family_and_may_differ() {
        let table = table();
        let value = |arch: &str, feature: &str| {
            table
                .name(table.get(arch).expect("listed"), feature)
                .map(str::to_owned)
                .expect("a named feature")
        };
        assert_eq!(value("gfx900", "dot4"), "none");
        assert_eq!(value("gfx906", "dot4"), "sdot4");
        assert_eq!(value("gfx1100", "dot4"), "sudot4");
        assert_eq!(
            table.number(table.get("gfx90a").expect("listed"), "wave_size"),
            Some(64)
        );
    }

    #[test]
    fn groups_ids_and_order() {
        assert_eq!(
            selected(&["gfx1100", "gfx90a", "gfx1100"]).expect("listed"),
            ["gfx90a", "gfx1100"]
        );
        assert_eq!(
            selected(&["rdna1"]).expect("a family"),
            ["gfx1010", "gfx1012"]
        );
        let rdna = selected(&["rdna"]).expect("a group");
        assert!(
            rdna.contains(&"gfx1030".to_owned()) && rdna.contains(&"gfx1201".to_owned()),
            "{rdna:?}"
        );
        assert!(
            !rdna
                .iter()
                .any(|name| name.ends_with("-generic") || name == "gfx900"),
            "{rdna:?}"
        );
        let ids = ["gfx90a:xnack+", "gfx90a:sramecc+:xnack-"];
        assert_eq!(
            selected(&ids).expect("it has both"),
            ["gfx90a:sramecc+:xnack-", "gfx90a:xnack+"]
        );
        assert!(
            selected(&["all"]).expect("all").len() > selected(&["generic"]).expect("generic").len()
        );
    }

    #[test]
    fn what_is_not_there_is_told_with_what_is() {
        let error = selected(&["gfx110"])
            .expect_err("no such architecture")
            .to_string();
        assert!(
            error.contains("did you mean")
                && error.contains("or gfx1100?")
                && error.contains("gfx90a"),
            "{error}"
        );
        let error = selected(&["gfx1100:xnack+"])
            .expect_err("no xnack there")
            .to_string();
        assert!(
            error.contains("gfx1100") && error.contains("xnack"),
            "{error}"
        );
    }

    #[test]
    fn the_macros_answer_the_header_and_the_guards() {
        let table = table();
        let rules = Rules::load().expect("embedded rules");
        let macros = |arch: &str| {
            table
                .macros(table.get(arch).expect("listed"), rules.guards())
                .expect("answered")
        };
        assert!(
            macros("gfx1100").contains(&"HIPIFY_DOT4=2".to_owned()),
            "{:?}",
            macros("gfx1100")
        );
        assert!(
            macros("gfx900").contains(&"HIPIFY_WAVE_SIZE=64".to_owned()),
            "{:?}",
            macros("gfx900")
        );
        assert!(
            macros("gfx900").contains(&"HIPIFY_HAS_BF16=1".to_owned()),
            "{:?}",
            macros("gfx900")
        );
    }
}
