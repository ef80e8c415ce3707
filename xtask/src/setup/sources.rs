//! Reads the machine's apt sources: which mirror it uses for Debian. Both formats of sources.list(5).

use std::path::{Path, PathBuf};
use std::{env, fs};

use super::MIRROR_VARIABLE;

/// Debian's own keys, which sign every release.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// A Debian release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Release {
    /// `bookworm`.
    pub codename: String,
}

impl Release {
    /// Debian 12 or later by `os-release`; `None` for any other system.
    pub fn from_os_release(text: &str) -> Option<Self> {
        let value = |key: &str| {
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
            Some(line.trim_matches('"'))
        };
        let number: u32 = value("VERSION_ID")?.parse().ok()?;
        let codename = value("VERSION_CODENAME")?.to_owned();
        (value("ID")? == "debian" && (12..=13).contains(&number)).then_some(Release { codename })
    }
}

/// Where packages of another release come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mirror {
    /// As in a sources.list: `http://mirror/debian`, `mirror+file:/etc/apt/mirrors/debian.list`.
    pub uri: String,
    /// The keyring that signs it.
    pub keyring: PathBuf,
}

/// The mirror named by [`MIRROR_VARIABLE`], else the first that this machine's sources use for `release`.
pub(super) fn mirror(release: &Release) -> Option<Mirror> {
    if let Ok(uri) = env::var(MIRROR_VARIABLE)
        && !uri.is_empty()
    {
        return Some(Mirror {
            uri,
            keyring: KEYRING.into(),
        });
    }
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    let mut more: Vec<_> = fs::read_dir("/etc/apt/sources.list.d")
        .into_iter()
        .flatten()
        .flatten()
        .map(|e| e.path())
        .collect();
    more.sort();
    files.extend(more);
    files.iter().find_map(|path| {
        let text = fs::read_to_string(path).ok()?;
        mirror_in(path, &text, &release.codename)
    })
}

fn mirror_in(path: &Path, text: &str, codename: &str) -> Option<Mirror> {
    match path.extension()?.to_str()? {
        "list" => text.lines().find_map(|line| one_line(line, codename)),
        "sources" => stanzas(text).find_map(|stanza| deb822(&stanza, codename)),
        _ => None,
    }
}

/// `deb [signed-by=...] URI SUITE COMPONENT...`
fn one_line(line: &str, codename: &str) -> Option<Mirror> {
    let line = line.split('#').next()?.trim();
    let mut rest = line
        .strip_prefix("deb")?
        .strip_prefix(char::is_whitespace)?
        .trim_start();
    let mut options = "";
    if let Some(bracket) = rest.strip_prefix('[') {
        let (inside, after) = bracket.split_once(']')?;
        options = inside;
        rest = after;
    }
    let mut words = rest.split_whitespace();
    let uri = words.next()?;
    (words.next()? == codename && words.any(|component| component == "main")).then_some(())?;
    let keyring = options
        .split_whitespace()
        .find_map(|option| option.strip_prefix("signed-by="));
    Some(Mirror {
        uri: uri.to_owned(),
        keyring: keyring.unwrap_or(KEYRING).into(),
    })
}

/// Paragraphs of a deb822 file as `(key in lower case, value)`; comments are left out, continued lines are joined.
fn stanzas(text: &str) -> impl Iterator<Item = Vec<(String, String)>> + '_ {
    text.split("\n\n").map(|paragraph| {
        let mut fields: Vec<(String, String)> = Vec::new();
        for line in paragraph.lines().filter(|line| !line.starts_with('#')) {
            if line.starts_with(char::is_whitespace) {
                if let Some((_, value)) = fields.last_mut() {
                    value.push(' ');
                    value.push_str(line.trim());
                }
            } else if let Some((key, value)) = line.split_once(':') {
                fields.push((key.trim().to_ascii_lowercase(), value.trim().to_owned()));
            }
        }
        fields
    })
}

fn deb822(fields: &[(String, String)], codename: &str) -> Option<Mirror> {
    let value = |key: &str| {
        fields
            .iter()
            .find(|(k, _)| k == key)
            .map(|(_, value)| value.as_str())
    };
    let has = |key, word: &str| value(key).is_some_and(|v| v.split_whitespace().any(|w| w == word));
    let enabled = value("enabled").is_none_or(|v| !v.eq_ignore_ascii_case("no"));
    if !(enabled && has("types", "deb") && has("suites", codename) && has("components", "main")) {
        return None;
    }
    let uri = value("uris")?.split_whitespace().next()?;
    // An inline key can't be named in the line that the set-up writes; Debian's own keyring has the same keys.
    let keyring = value("signed-by")
        .filter(|v| v.starts_with('/'))
        .unwrap_or(KEYRING);
    Some(Mirror {
        uri: uri.to_owned(),
        keyring: keyring.into(),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Mirror, Release, mirror_in};

    fn uri(file: &str, text: &str) -> Option<String> {
        mirror_in(Path::new(file), text, "bookworm").map(|Mirror { uri, .. }| uri)
    }

    #[test]
    fn one_line_sources() {
        let text = "# deb http://old.example/debian bookworm main\n\
            deb-src http://src.example/debian bookworm main\n\
            deb http://security.example/debian-security bookworm-security main\n\
            deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian bookworm contrib main # why\n";
        let found = mirror_in(Path::new("a.list"), text, "bookworm").expect("the last line");
        assert_eq!(
            found,
            Mirror {
                uri: "http://mirror.example/debian".to_owned(),
                keyring: "/k.gpg".into()
            }
        );
        assert_eq!(
            uri("a.list", "deb http://x.example/cloud cloud-sdk main\n"),
            None
        );
        assert_eq!(uri("a.list.save", text), None);
    }

    #[test]
    fn deb822_sources() {
        let text = "Types: deb\nURIs: http://security.example/debian-security\nSuites: bookworm-security\n\
            Components: main\n\n\
            Types: deb\nEnabled: no\nURIs: http://off.example/debian\nSuites: bookworm\nComponents: main\n\n\
            # comment\nTypes: deb deb-src\nURIs:\n mirror+file:/etc/apt/mirrors/debian.list\n\
            Suites: bookworm bookworm-updates\nComponents: main\nSigned-By:\n -----BEGIN PGP\n .\n";
        let found =
            mirror_in(Path::new("debian.sources"), text, "bookworm").expect("the last stanza");
        assert_eq!(found.uri, "mirror+file:/etc/apt/mirrors/debian.list");
        assert_eq!(found.keyring, Path::new(super::KEYRING));
    }

    #[test]
    fn only_debian_with_these_packages() {
        let release = |id: &str, number: &str| {
            Release::from_os_release(&format!(
                "ID={id}\nVERSION_ID=\"{number}\"\nVERSION_CODENAME=bookworm\n"
            ))
        };
        assert_eq!(
            release("debian", "12").map(|r| r.codename).as_deref(),
            Some("bookworm")
        );
        assert_eq!(release("debian", "11"), None);
        assert_eq!(release("ubuntu", "12"), None);
        assert_eq!(
            Release::from_os_release("ID=debian\nVERSION_CODENAME=sid\n"),
            None
        );
    }
}
