//! Repairs of defects in published versions of candle-kernels: `config/fixes/*.toml`, read and checked.
//!
//! A fix says for which versions it holds, which tokens of which file it replaces by which others, and which test
//! fails without it. It is applied to the CUDA tokens before the rules see them, so it is written in CUDA's names.
//! Finding the tokens is the business of [`crate::translate`].

use std::fmt;

use serde::Deserialize;

use crate::config::Config;

/// The fixes can't be used.
#[derive(Debug, thiserror::Error)]
pub enum FixesError {
    /// Not TOML, or not of the documented form.
    #[error("config/{file}: {message}")]
    Syntax {
        /// Name below `config/`.
        file: String,
        /// What is wrong.
        message: String,
    },
}

/// One repair.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fix {
    /// Name of the file below `config/fixes/`, without the extension.
    #[serde(skip)]
    pub id: String,
    /// The package that has the defect.
    pub package: String,
    /// The versions that have it.
    pub versions: VersionRange,
    /// The source file, as a path below the tree's root.
    pub file: String,
    /// What is wrong and when one notices.
    pub defect: String,
    /// The test that fails without the fix.
    pub test: String,
    /// What is changed.
    pub edit: Vec<FixEdit>,
}

/// One change of a fix.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FixEdit {
    /// The function whose body holds the tokens.
    pub within: String,
    /// The tokens to replace; blanks and comments don't matter.
    pub find: String,
    /// What takes their place.
    pub replace: String,
}

/// The fixes of a configuration, by id.
#[derive(Debug, Clone, Default)]
pub struct Fixes {
    list: Vec<Fix>,
}

impl Fixes {
    /// The fixes compiled into the program.
    ///
    /// # Errors
    /// [`FixesError`] if they are malformed.
    pub fn load() -> Result<Self, FixesError> {
        Fixes::from_config(&Config::embedded())
    }

    /// The fixes of a configuration.
    ///
    /// # Errors
    /// [`FixesError`] with the file that is malformed.
    pub fn from_config(config: &Config) -> Result<Self, FixesError> {
        let mut list = Vec::new();
        for file in config.under("fixes/") {
            let syntax = |message| FixesError::Syntax {
                file: file.name.clone(),
                message,
            };
            let mut fix: Fix = toml::from_str(&file.text).map_err(|e| syntax(e.to_string()))?;
            fix.id = file
                .name
                .trim_start_matches("fixes/")
                .trim_end_matches(".toml")
                .to_owned();
            if fix.edit.is_empty() {
                return Err(syntax("a fix needs at least one [[edit]]".to_owned()));
            }
            if fix
                .edit
                .iter()
                .any(|e| e.find.trim().is_empty() || e.find.contains('#'))
            {
                return Err(syntax(
                    "`find` must name tokens outside of directives".to_owned(),
                ));
            }
            if fix.edit.iter().any(|e| e.replace.contains('\n')) {
                return Err(syntax(
                    "`replace` must be one line, so that line numbers stay".to_owned(),
                ));
            }
            list.push(fix);
        }
        Ok(Fixes { list })
    }

    /// No fixes: the faithful translation.
    #[must_use]
    pub fn none() -> Self {
        Fixes::default()
    }

    /// Every fix.
    #[must_use]
    pub fn all(&self) -> &[Fix] {
        &self.list
    }

    /// The fixes for one version of a package.
    pub fn for_version<'a>(
        &'a self,
        package: &'a str,
        version: Version,
    ) -> impl Iterator<Item = &'a Fix> {
        self.list
            .iter()
            .filter(move |fix| fix.package == package && fix.versions.contains(version))
    }
}

/// A published version: major, minor, patch. Pre-releases count as the version that they precede.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u32, pub u32, pub u32);

impl std::str::FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let core = text.split(['-', '+']).next().unwrap_or_default();
        let mut parts = core.split('.').map(|part| part.parse::<u32>().ok());
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(Some(major)), Some(Some(minor)), Some(Some(patch)), None) => {
                Ok(Version(major, minor, patch))
            }
            _ => Err(format!("`{text}` is not a version such as 0.11.1")),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// Comparisons that a version must pass, all of them: `">=0.9.2, <0.12.0"`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct VersionRange {
    text: String,
    bounds: Vec<(Bound, Version)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    AtLeast,
    Above,
    AtMost,
    Below,
    Exactly,
}

const BOUNDS: &[(&str, Bound)] = &[
    (">=", Bound::AtLeast),
    ("<=", Bound::AtMost),
    (">", Bound::Above),
    ("<", Bound::Below),
    ("=", Bound::Exactly),
];

impl TryFrom<String> for VersionRange {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let mut bounds = Vec::new();
        for part in text.split(',').map(str::trim) {
            let found = BOUNDS
                .iter()
                .find_map(|(sign, bound)| Some((*bound, part.strip_prefix(sign)?)));
            let (bound, version) = found.ok_or_else(|| {
                format!("`{part}` needs one of >=, <=, >, <, = before the version")
            })?;
            bounds.push((bound, version.trim().parse()?));
        }
        Ok(VersionRange { text, bounds })
    }
}

impl VersionRange {
    /// Whether the version passes every comparison.
    #[must_use]
    pub fn contains(&self, version: Version) -> bool {
        self.bounds.iter().all(|(bound, limit)| match bound {
            Bound::AtLeast => version >= *limit,
            Bound::Above => version > *limit,
            Bound::AtMost => version <= *limit,
            Bound::Below => version < *limit,
            Bound::Exactly => version == *limit,
        })
    }
}

impl fmt::Display for VersionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::{Version, VersionRange};

    #[test]
    fn ranges() {
        let range = VersionRange::try_from(">=0.9.2, <0.12.0".to_owned()).expect("a range");
        let within = |version: &str| range.contains(version.parse().expect("a version"));
        assert!(within("0.9.2") && within("0.11.1") && within("0.11.1-alpha.1"));
        assert!(!within("0.9.1") && !within("0.12.0") && !within("1.0.0"));
        assert!(VersionRange::try_from("0.9.2".to_owned()).is_err());
        assert!(VersionRange::try_from(">=0.9".to_owned()).is_err());
        assert_eq!("0.11.1".parse(), Ok(Version(0, 11, 1)));
    }
}
