//! Fetches packages of another Debian release with an apt configuration of the project's own: its own source, lists
//! and caches, Debian's keys, nothing of the machine's package state read or written.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::{env, io};

use sha2::{Digest, Sha256};

use super::sources::{self, Mirror, Release};
use super::system::logged;
use super::{SetupError, UnpackedPackage, io_error};

/// A package file that may be unpacked.
#[derive(Debug)]
pub(super) struct Fetched {
    pub name: String,
    pub version: String,
    pub sha256: String,
    pub path: PathBuf,
}

/// Where package files are kept, for every checkout of this user.
pub(super) fn package_cache() -> PathBuf {
    let set = |name| {
        env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let cache = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
    cache
        .unwrap_or_else(|| super::checkout().join("target"))
        .join("hipify-candle/packages")
}

/// Brings the packages, which are all of one suite, from the cache or the archive.
pub(super) fn fetch(
    packages: &[&UnpackedPackage],
    release: &Release,
    work: &Path,
) -> Result<Vec<Fetched>, SetupError> {
    let cache = package_cache();
    fs::create_dir_all(&cache).map_err(io_error(&cache))?;
    let mut apt: Option<Apt> = None;
    let mut fetched = Vec::new();
    for package in packages {
        let path = cache.join(format!("{}_{}_amd64.deb", package.name, package.version));
        if path.is_file() && digest(&path)? == package.sha256 {
            println!(
                "  {} {} ({}), from {}",
                package.name,
                package.version,
                package.why,
                cache.display()
            );
            fetched.push(Fetched {
                name: package.name.clone(),
                version: package.version.clone(),
                sha256: package.sha256.clone(),
                path,
            });
            continue;
        }
        let apt = match &mut apt {
            Some(apt) => apt,
            None => apt.insert(Apt::open(&package.suite, release, work)?),
        };
        fetched.push(apt.fetch(package, &cache)?);
    }
    Ok(fetched)
}

/// An apt that sees one suite and no installed package.
struct Apt {
    conf: PathBuf,
    folder: PathBuf,
    mirror: Mirror,
}

impl Apt {
    fn open(suite: &str, release: &Release, work: &Path) -> Result<Self, SetupError> {
        let mirror = sources::mirror(release).ok_or_else(|| SetupError::Mirror {
            suite: suite.to_owned(),
        })?;
        let folder = work.join(format!("apt-{suite}"));
        for sub in ["lists/partial", "cache/archives/partial"] {
            let dir = folder.join(sub);
            fs::create_dir_all(&dir).map_err(io_error(&dir))?;
        }
        let write = |name: &str, text: String| {
            let path = folder.join(name);
            fs::write(&path, text).map_err(io_error(&path))
        };
        let here = folder.display();
        // `target=Packages` leaves everything out that apt would fetch beside the package list.
        let source = format!(
            "deb [arch=amd64 target=Packages signed-by={}] {} {suite} main\n",
            mirror.keyring.display(),
            mirror.uri
        );
        write("sources.list", source)?;
        write("status", String::new())?;
        write(
            "apt.conf",
            format!(
                "Dir::Etc::SourceList \"{here}/sources.list\";\nDir::Etc::SourceParts \"-\";\n\
                 Dir::Etc::Preferences \"-\";\nDir::Etc::PreferencesParts \"-\";\n\
                 Dir::State::Lists \"{here}/lists\";\nDir::State::Status \"{here}/status\";\n\
                 Dir::Cache \"{here}/cache\";\nAPT::Architecture \"amd64\";\nAPT::Architectures {{ \"amd64\"; }};\n\
                 APT::Sandbox::User \"root\";\nAPT::Update::Post-Invoke-Success \"\";\n\
                 Acquire::Languages \"none\";\nAcquire::Retries \"3\";\n"
            ),
        )?;
        let apt = Apt {
            conf: folder.join("apt.conf"),
            folder,
            mirror,
        };
        println!(
            "  reading the package list of {suite} from {}",
            apt.mirror.uri
        );
        apt.run(
            &["apt-get", "update", "--error-on=any"],
            &format!("reading the package list of Debian {suite}"),
        )?;
        Ok(apt)
    }

    /// Runs an apt command with this configuration, which is read last and so wins.
    fn run(&self, words: &[&str], what: &str) -> Result<(), SetupError> {
        let conf = self.conf.display().to_string();
        let mut all = vec!["env", "LC_ALL=C", words[0], "-c", &conf];
        all.extend(&words[1..]);
        logged(&all, what, &self.folder.join("apt.log"))
    }

    /// The versions of `name` that the suite has, the newest first.
    fn versions(&self, name: &str) -> Result<Vec<String>, SetupError> {
        let text = duct::cmd!("apt-cache", "-c", &self.conf, "madison", name)
            .stderr_null()
            .unchecked()
            .read()
            .map_err(|e| SetupError::Command {
                what: "apt-cache".to_owned(),
                output: e.to_string(),
            })?;
        Ok(text
            .lines()
            .filter_map(|line| Some(line.split('|').nth(1)?.trim().to_owned()))
            .collect())
    }

    fn fetch(&self, package: &UnpackedPackage, cache: &Path) -> Result<Fetched, SetupError> {
        let UnpackedPackage {
            name,
            suite,
            version,
            series,
            ..
        } = package;
        let there = self.versions(name)?;
        let chosen = choose(&there, version, series).ok_or_else(|| SetupError::Version {
            name: name.clone(),
            series: series.clone(),
            suite: suite.clone(),
            found: if there.is_empty() {
                "none".to_owned()
            } else {
                there.join(", ")
            },
        })?;
        let pinned = chosen == version;
        if !pinned {
            println!(
                "  warning: {suite} has {name} {chosen} instead of the pinned {version}; it is checked by the \
                 archive's signature only"
            );
        }
        println!(
            "  {name} {chosen} ({}), from {} {suite}",
            package.why, self.mirror.uri
        );

        let download = tempfile::Builder::new()
            .prefix("download-")
            .tempdir_in(&self.folder)
            .map_err(io_error(&self.folder))?;
        let conf = self.conf.display().to_string();
        let wanted = format!("{name}={chosen}");
        let folder = download.path();
        let result = duct::cmd!("apt-get", "-c", conf, "-qq", "download", wanted)
            .dir(folder)
            .env("LC_ALL", "C")
            .stderr_to_stdout()
            .stdout_capture()
            .unchecked()
            .run();
        let file = fs::read_dir(folder)
            .map_err(io_error(folder))?
            .flatten()
            .map(|entry| entry.path())
            .find(|path| path.extension().is_some_and(|e| e == "deb"));
        let Some(file) = file else {
            let output = match result {
                Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned(),
                Err(error) => error.to_string(),
            };
            return Err(SetupError::Command {
                what: format!("downloading {name} {chosen}"),
                output,
            });
        };
        let sha256 = digest(&file)?;
        if pinned && sha256 != package.sha256 {
            return Err(SetupError::Checksum {
                path: file,
                found: sha256,
                expected: package.sha256.clone(),
            });
        }
        // Copied beside its place and renamed: other checkouts see the whole file or none.
        let path = cache.join(format!("{name}_{chosen}_amd64.deb"));
        let mut copy = tempfile::NamedTempFile::new_in(cache).map_err(io_error(cache))?;
        let mut from = File::open(&file).map_err(io_error(&file))?;
        io::copy(&mut from, &mut copy).map_err(io_error(&path))?;
        copy.persist(&path).map_err(|e| SetupError::Io {
            path: path.clone(),
            source: e.error,
        })?;
        Ok(Fetched {
            name: name.clone(),
            version: chosen.to_owned(),
            sha256,
            path,
        })
    }
}

/// The pinned version if it is there, else the newest of its series. `there` has the newest first.
fn choose<'a>(there: &'a [String], pinned: &str, series: &str) -> Option<&'a str> {
    let exact = there.iter().find(|version| *version == pinned);
    exact
        .or_else(|| there.iter().find(|version| version.starts_with(series)))
        .map(String::as_str)
}

fn digest(path: &Path) -> Result<String, SetupError> {
    let bytes = fs::read(path).map_err(io_error(path))?;
    Ok(Sha256::digest(&bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::choose;

    #[test]
    fn the_pin_wins_then_its_series_then_nothing() {
        let there = ["5.7.1-9", "5.7.1-6", "5.2.3-8"].map(str::to_owned);
        assert_eq!(choose(&there, "5.7.1-6", "5.7.1-"), Some("5.7.1-6"));
        assert_eq!(choose(&there, "5.7.1-5", "5.7.1-"), Some("5.7.1-9"));
        assert_eq!(choose(&there, "6.4.3-1", "6.4.3-"), None);
        assert_eq!(choose(&[], "6.4.3-1", "6.4.3-"), None);
    }
}
