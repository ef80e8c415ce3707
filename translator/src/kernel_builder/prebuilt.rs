//! Bundles that were built before, instead of a compiler.
//!
//! Knows what a folder of bundles has to have before it is believed: the modules, the targets, the release of candle, and
//! bytes that its manifest names.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use codeobject::bundle::Bundle;

use super::{KernelBuildError, KernelBuilder, Kernels, failed, warn, watch_file};
use crate::arch::Architectures;
use crate::build::{Manifest, ModuleEntry, SourceTree};
use crate::cache::Digest;
use crate::config::Config;
use crate::modules::{self, Modules};
use crate::pipeline::{Pipeline, PipelineError, Sources};
use crate::{device_header, fetch, pin};

impl KernelBuilder {
    /// The bundles of a folder, if they have what is asked for.
    pub(super) fn take(
        &self,
        config: &Config,
        folder: &Path,
        asked: &[String],
    ) -> Result<Kernels, KernelBuildError> {
        watch_file(folder);
        let named = match &self.bundles {
            Some(_) => String::new(),
            None => format!("; it is named by {}", self.bundles_variable),
        };
        let wrong = |message: String| KernelBuildError::Bundles {
            folder: folder.to_owned(),
            message: message + &named,
        };
        if !folder.is_dir() {
            let start = if folder.is_absolute() {
                ""
            } else {
                " (a relative path starts at the folder of the package that embeds the bundles)"
            };
            return Err(wrong(format!("there is no such folder{start}")));
        }
        let manifest = Manifest::read(folder)?
            .ok_or_else(|| wrong("there is no manifest.json in it".to_owned()))?;
        let targets = Architectures::from_config(config)?.select(&self.archs)?;
        let files: Vec<String> = match &self.source_dir {
            // A bundle of every source must be there, not only of those that happen to be.
            Some(sources) => sources_in(sources)?,
            None => manifest.modules.keys().map(|m| format!("{m}.cu")).collect(),
        };
        let known = Modules::from_config(config)?.of_tree(files.iter().map(String::as_str));
        let chosen = modules::select(&known, asked).map_err(|error| match &self.source_dir {
            Some(_) => error.into(),
            // The modules that are there are those of the folder.
            None => wrong(error.to_string()),
        })?;
        let mut kernels = BTreeMap::new();
        for module in chosen {
            let name = &module.name;
            let entry = manifest.modules.get(name);
            let entry = entry.ok_or_else(|| wrong(format!("it has no bundle of {name}")))?;
            if self.source_dir.is_none()
                && let Some(origin) = &entry.origin
                && *origin != pinned()
            {
                return Err(wrong(format!(
                    "{name} was built from {origin}, expected {}",
                    pinned()
                )));
            }
            let path = folder.join(&entry.bundle);
            let bytes = fs::read(&path).map_err(failed("read", &path))?;
            if Digest::of(&bytes) != entry.sha256 {
                return Err(wrong(format!(
                    "{} is not the bundle that manifest.json names",
                    entry.bundle
                )));
            }
            let bundle = Bundle::parse(&bytes).map_err(|source| KernelBuildError::Bundle {
                module: name.clone(),
                source,
            })?;
            let mut missing = Vec::new();
            for target in &targets {
                match bundle.select(target) {
                    Ok(_) => {}
                    Err(_) if !self.archs.contains(&target.to_string()) => {
                        missing.push(target.to_string());
                    }
                    Err(error) => return Err(wrong(format!("{name}: {error}"))),
                }
            }
            if !targets.is_empty() && missing.len() == targets.len() {
                return Err(wrong(format!(
                    "{name}: no code object for {}",
                    missing.join(", ")
                )));
            }
            if !missing.is_empty() {
                let missing = missing.join(", ");
                warn(&format!(
                    "{}: {name} has nothing for {missing}",
                    folder.display()
                ));
            }
            kernels.insert(name.clone(), bytes);
        }
        if self.source_dir.is_some() {
            self.warn_of_edits(config, folder, asked, &manifest.modules)?;
        }
        Ok(Kernels { modules: kernels })
    }

    /// Warns if bundles of somebody's own sources were built from other sources than there are now.
    fn warn_of_edits(
        &self,
        config: &Config,
        folder: &Path,
        asked: &[String],
        entries: &BTreeMap<String, ModuleEntry>,
    ) -> Result<(), KernelBuildError> {
        let work = self.place()?;
        let include = device_header::folder(&work).map_err(PipelineError::from)?;
        let sources = Sources {
            folder: self.source_dir.clone(),
            ..Sources::default()
        };
        let prepared = Pipeline::open(config, work)?.prepare(&sources, asked)?;
        let tree = SourceTree::new(&prepared.hip, vec![include]);
        for (module, entry) in entries {
            let Some((_, unit)) = prepared.units.iter().find(|(name, _)| name == module) else {
                continue;
            };
            // Lines count for bundles that were built with debug information.
            let mut is_same = false;
            for debug_info in [false, true] {
                let closure = tree
                    .closure(unit, debug_info)
                    .map_err(PipelineError::from)?;
                is_same |= closure.digest == entry.sources;
            }
            if !is_same {
                warn(&format!(
                    "{}: {module} was built from other sources, or by other rules, than there are now",
                    folder.display()
                ));
            }
        }
        Ok(())
    }
}

/// What candle's bundles have to be made from: `candle-kernels 0.11.1`.
fn pinned() -> String {
    format!("{} {}", fetch::PACKAGE, pin::compiled_version())
}

/// The `.cu` files below a folder, with `/`.
fn sources_in(folder: &Path) -> Result<Vec<String>, KernelBuildError> {
    let tree = crate::translate::Tree::read(folder).map_err(PipelineError::from)?;
    let files = tree.files.into_iter().map(|file| file.path);
    Ok(files.filter(|path| path.ends_with(".cu")).collect())
}
