//! The text of the configuration: the copy inside the program, or a folder given with `--config`.
//!
//! Knows where the bytes are. What they mean is the business of [`crate::rules`], [`crate::fixes`] and
//! [`crate::modules`].

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::{fs, io};

mod embedded {
    include!(concat!(env!("OUT_DIR"), "/config_files.rs"));
}

/// A configuration folder could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file or folder is missing or unreadable.
    #[error("cannot read configuration {path}: {source}")]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The folder has no such file, or the name isn't one of the configuration's.
    #[error("configuration has no file `{name}` ({place})")]
    Missing {
        /// Name below `config/`.
        name: String,
        /// Where it was looked for.
        place: String,
    },
}

/// One file of the configuration.
#[derive(Debug, Clone)]
pub struct ConfigFile {
    /// Name below `config/`, with `/`: `rules/types.toml`.
    pub name: String,
    /// Contents.
    pub text: Cow<'static, str>,
}

/// The whole configuration, sorted by name.
#[derive(Debug, Clone)]
pub struct Config {
    files: Vec<ConfigFile>,
    place: String,
}

impl Config {
    /// The configuration that was compiled in.
    #[must_use]
    pub fn embedded() -> Self {
        let files = embedded::FILES
            .iter()
            .map(|(name, text)| ConfigFile {
                name: (*name).to_owned(),
                text: Cow::Borrowed(text),
            })
            .collect();
        Config::sorted(files, "embedded in the program".to_owned())
    }

    /// The configuration in a folder shaped like `config/` (`rules/*.toml`, `fixes/*.toml`, `*.toml`).
    ///
    /// # Errors
    /// [`ConfigError::Read`] if the folder, its `rules` or one of the files can't be read as UTF-8 text.
    pub fn from_dir(dir: &Path) -> Result<Self, ConfigError> {
        let mut files = Vec::new();
        for (sub, required) in [("", true), ("rules", true), ("fixes", false)] {
            let folder = dir.join(sub);
            let entries = match fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(e) if e.kind() == io::ErrorKind::NotFound && !required => continue,
                Err(source) => {
                    return Err(ConfigError::Read {
                        path: folder,
                        source,
                    });
                }
            };
            for entry in entries {
                let path = entry
                    .map_err(|source| ConfigError::Read {
                        path: folder.clone(),
                        source,
                    })?
                    .path();
                if path.extension().is_none_or(|e| e != "toml") {
                    continue;
                }
                let text = fs::read_to_string(&path).map_err(|source| ConfigError::Read {
                    path: path.clone(),
                    source,
                })?;
                let file = path.file_name().unwrap_or_default().to_string_lossy();
                let name = if sub.is_empty() {
                    file.into_owned()
                } else {
                    format!("{sub}/{file}")
                };
                files.push(ConfigFile {
                    name,
                    text: Cow::Owned(text),
                });
            }
        }
        Ok(Config::sorted(files, dir.display().to_string()))
    }

    /// `dir` if given, otherwise the embedded copy.
    ///
    /// # Errors
    /// As [`Config::from_dir`].
    pub fn open(dir: Option<&Path>) -> Result<Self, ConfigError> {
        dir.map_or_else(|| Ok(Config::embedded()), Config::from_dir)
    }

    fn sorted(mut files: Vec<ConfigFile>, place: String) -> Self {
        files.sort_by(|a, b| a.name.cmp(&b.name));
        Config { files, place }
    }

    /// The files whose name starts with `prefix` (`"rules/"`), by name.
    pub fn under<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a ConfigFile> {
        self.files
            .iter()
            .filter(move |f| f.name.starts_with(prefix))
    }

    /// One file by name.
    ///
    /// # Errors
    /// [`ConfigError::Missing`] if there is none.
    pub fn file(&self, name: &str) -> Result<&ConfigFile, ConfigError> {
        self.files
            .iter()
            .find(|f| f.name == name)
            .ok_or_else(|| ConfigError::Missing {
                name: name.to_owned(),
                place: self.place.clone(),
            })
    }

    /// Where this configuration came from, in words.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }
}
