//! Offload bundles: the container in which clang keeps the code objects of several targets.
//!
//! A bundle is a table of `(offset, size, entry id)` behind a magic string, followed by the code objects; the format is
//! that of "Clang Offload Bundler", section "Bundled Binary File Layout". [`Bundle`] reads it, plain or compressed
//! ([`decompress`]), [`Writer`] writes it, [`find`] finds bundles inside other files. What is in a code object is not
//! known here, and neither are files: bytes in, bytes out.

mod compressed;
mod find;
mod write;
mod zstd_frame;
#[cfg(feature = "zstd")]
mod zstd_native;
#[cfg(any(test, not(feature = "zstd")))]
mod zstd_portable;

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use crate::bytes::{Cursor, slice};
use crate::error::first_bytes;
use crate::{Error, TargetId};

pub use compressed::{decompress, is_compressed, verify};
pub(crate) use find::extent;
pub use find::{Found, find};
pub use write::Writer;
#[cfg(feature = "zstd")]
pub use zstd_native::{Compression, compress};

/// The first bytes of a plain bundle.
pub const MAGIC: &[u8; 24] = b"__CLANG_OFFLOAD_BUNDLE__";

/// Bundles with more entries than this are refused. Clang knows some 70 processors; with every feature setting a bundle
/// of all of them stays far below.
const MAX_ENTRIES: u64 = 4096;

/// Entry ids longer than this are refused; real ones have some fifty bytes.
const MAX_ID: u64 = 1024;

/// What an entry of a bundle is for: `<kind>-<triple>-<target id>`, such as `hipv4-amdgcn-amd-amdhsa--gfx1100`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EntryId {
    /// The offload kind: `host`, `hip`, `hipv4`, `openmp`.
    pub kind: String,
    /// The target triple, without dashes at its end: `amdgcn-amd-amdhsa`, `x86_64-unknown-linux-gnu`.
    pub triple: String,
    /// The target id; `None` for the host, and for a device that is no AMD GPU.
    pub target: Option<TargetId>,
    text: String,
}

impl EntryId {
    /// The id that clang gives to a HIP code object of version 4 and later.
    pub fn hip(target: &TargetId) -> Self {
        Self {
            kind: "hipv4".to_owned(),
            triple: "amdgcn-amd-amdhsa".to_owned(),
            target: Some(target.clone()),
            text: format!("hipv4-amdgcn-amd-amdhsa--{target}"),
        }
    }

    /// The id of the host entry as hipcc writes it on Linux.
    pub fn host() -> Self {
        Self {
            kind: "host".to_owned(),
            triple: "x86_64-unknown-linux".to_owned(),
            target: None,
            text: "host-x86_64-unknown-linux--".to_owned(),
        }
    }

    /// The id as the bundle spells it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether this is a code object that the HIP runtime loads.
    pub fn is_hip(&self) -> bool {
        self.target.is_some() && (self.kind == "hip" || self.kind == "hipv4")
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for EntryId {
    type Err = Error;

    /// Accepts the forms with and without the environment field of the triple: clang writes
    /// `hipv4-amdgcn-amd-amdhsa--gfx90a`, older versions wrote `hip-amdgcn-amd-amdhsa-gfx90a`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let refuse = |message: &str| Error::EntryId {
            text: text.to_owned(),
            message: message.to_owned(),
        };
        let (kind, rest) = text
            .split_once('-')
            .ok_or_else(|| refuse("it has no dash"))?;
        if kind.is_empty() || rest.is_empty() {
            return Err(refuse("the kind or the triple is empty"));
        }
        // Three dashes of the triple, then the one before the target id.
        let fourth_dash = rest.match_indices('-').nth(3).map(|(at, _)| at);
        let old_form = rest
            .find("-gfx")
            .filter(|at| fourth_dash.is_none_or(|dash| *at < dash));
        let (triple, target) = match old_form.or(fourth_dash) {
            Some(at) => (&rest[..at], &rest[at + 1..]),
            None => (rest, ""),
        };
        let target = match (kind, triple.starts_with("amdgcn")) {
            ("host", _) | (_, false) => None,
            // A target id of tomorrow does not make the other entries unreadable.
            (_, true) => target.parse().ok(),
        };
        Ok(Self {
            kind: kind.to_owned(),
            triple: triple.trim_end_matches('-').to_owned(),
            target,
            text: text.to_owned(),
        })
    }
}

impl serde::Serialize for EntryId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One entry of a [`Bundle`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'b> {
    /// What the entry is for.
    pub id: &'b EntryId,
    /// Its bytes; those of the host entry are empty in what hipcc writes.
    pub data: &'b [u8],
    /// Where `data` begins, in bytes from the start of the plain (restored) bundle; 0 if it is empty.
    pub offset: usize,
}

impl Entry<'_> {
    /// The target of a device entry.
    pub fn target(&self) -> Option<&TargetId> {
        self.id.target.as_ref()
    }
}

/// A bundle that was read.
///
/// ```
/// use codeobject::bundle::{Bundle, Writer};
/// let bytes = Writer::new().add("gfx1100".parse()?, b"code".as_slice()).to_vec()?;
/// let bundle = Bundle::parse(&bytes)?;
/// assert_eq!(bundle.select(&"gfx1100".parse()?)?.data, b"code");
/// let error = bundle.select(&"gfx1030".parse()?).unwrap_err();
/// assert_eq!(error.to_string(), "no code object for gfx1030 in the bundle, which has gfx1100");
/// # Ok::<(), codeobject::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Bundle<'a> {
    bytes: Cow<'a, [u8]>,
    entries: Vec<(EntryId, Range<usize>)>,
}

impl<'a> Bundle<'a> {
    /// Reads a bundle, plain or compressed. A plain bundle is borrowed, a compressed one is restored into memory.
    ///
    /// Bytes after the bundle's end are ignored: a bundle inside another file is often followed by padding.
    ///
    /// # Errors
    /// [`Error::Magic`] if this is no bundle, [`Error::Truncated`] if an entry reaches past the end,
    /// [`Error::EntryId`] and [`Error::DuplicateEntry`] for its table, [`Error::Compression`] and [`Error::TooLarge`] if
    /// it cannot be restored.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        Self::from_plain(decompress(bytes)?)
    }

    fn from_plain(bytes: Cow<'a, [u8]>) -> Result<Self, Error> {
        let mut entries: Vec<(EntryId, Range<usize>)> = Vec::new();
        let mut seen = HashSet::new();
        for record in read_table(&mut Cursor::new(&bytes), &bytes)? {
            let what = "a bundle entry's data";
            let range = match record.size {
                // An entry without bytes may lie behind the end, where its place would be.
                0 => 0..0,
                size => {
                    let len = slice(&bytes, record.offset, size, what)?.len();
                    // `slice` found the range inside the bytes, so the offset fits.
                    let start = record.offset as usize;
                    start..start + len
                }
            };
            let text = std::str::from_utf8(record.id).map_err(|_| Error::EntryId {
                text: String::from_utf8_lossy(record.id).into_owned(),
                message: "it is not UTF-8".to_owned(),
            })?;
            if !seen.insert(text) {
                return Err(Error::DuplicateEntry {
                    id: text.to_owned(),
                });
            }
            entries.push((text.parse()?, range));
        }
        Ok(Self { bytes, entries })
    }

    /// The entries in the order of the table.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = Entry<'_>> + DoubleEndedIterator {
        self.entries.iter().map(|(id, range)| Entry {
            id,
            data: &self.bytes[range.clone()],
            offset: range.start,
        })
    }

    /// The entries that the HIP runtime would load: HIP kinds with bytes and a target id.
    pub fn code_objects(&self) -> impl DoubleEndedIterator<Item = Entry<'_>> {
        self.entries()
            .filter(|entry| entry.id.is_hip() && !entry.data.is_empty())
    }

    /// The best code object for a device: of those that [support](TargetId::supports) it the most
    /// [specific](TargetId::specificity), of equals the first.
    ///
    /// # Errors
    /// [`Error::NoCodeObject`] if there is none; it lists what the bundle has.
    pub fn select(&self, device: &TargetId) -> Result<Entry<'_>, Error> {
        let fitting =
            |entry: &Entry<'_>| entry.target().is_some_and(|target| target.supports(device));
        self.code_objects()
            .filter(fitting)
            // The first of equals: `max_by_key` returns the last.
            .rev()
            .max_by_key(|entry| entry.target().map(TargetId::specificity))
            .ok_or_else(|| Error::NoCodeObject {
                device: device.clone(),
                available: self
                    .code_objects()
                    .filter_map(|entry| entry.target().cloned())
                    .collect(),
            })
    }

    /// The plain bundle: what was given, or what was restored from it.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether the bundle was stored compressed.
    pub fn was_compressed(&self) -> bool {
        matches!(self.bytes, Cow::Owned(_))
    }
}

/// A row of the bundle's table.
struct Record<'a> {
    offset: u64,
    size: u64,
    id: &'a [u8],
}

/// Reads a plain bundle's table. Ranges are not yet checked against the bytes. The cursor is left where reading ended,
/// after an error as well.
fn read_table<'a>(cursor: &mut Cursor<'a>, bytes: &'a [u8]) -> Result<Vec<Record<'a>>, Error> {
    if !bytes.starts_with(MAGIC) {
        return Err(Error::Magic {
            expected: "an offload bundle (__CLANG_OFFLOAD_BUNDLE__ or CCOB)",
            found: first_bytes(bytes),
        });
    }
    cursor.take(MAGIC.len() as u64, "the bundle's magic")?;
    let count = cursor.u64("the bundle's number of entries")?;
    if count > MAX_ENTRIES {
        return Err(Error::Field {
            what: "the bundle's number of entries",
            found: count.to_string(),
            expected: "at most 4096",
        });
    }
    let mut records = Vec::new();
    for _ in 0..count {
        let offset = cursor.u64("a bundle entry's offset")?;
        let size = cursor.u64("a bundle entry's size")?;
        let id_len = cursor.u64("the length of a bundle entry's id")?;
        if id_len > MAX_ID {
            return Err(Error::Field {
                what: "the length of a bundle entry's id",
                found: id_len.to_string(),
                expected: "at most 1024",
            });
        }
        let id = cursor.take(id_len, "a bundle entry's id")?;
        records.push(Record { offset, size, id });
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entry_ids_of_old_and_new_compilers() {
        for (text, kind, triple, target) in [
            (
                "host-x86_64-unknown-linux--",
                "host",
                "x86_64-unknown-linux",
                None,
            ),
            (
                "host-x86_64-unknown-linux",
                "host",
                "x86_64-unknown-linux",
                None,
            ),
            (
                "host-x86_64-unknown-linux-gnu",
                "host",
                "x86_64-unknown-linux-gnu",
                None,
            ),
            (
                "host-x86_64-unknown-linux-gnu-",
                "host",
                "x86_64-unknown-linux-gnu",
                None,
            ),
            (
                "host-x86_64-pc-windows-msvc-",
                "host",
                "x86_64-pc-windows-msvc",
                None,
            ),
            (
                "hipv4-amdgcn-amd-amdhsa--gfx1100",
                "hipv4",
                "amdgcn-amd-amdhsa",
                Some("gfx1100"),
            ),
            (
                "hip-amdgcn-amd-amdhsa-gfx906",
                "hip",
                "amdgcn-amd-amdhsa",
                Some("gfx906"),
            ),
            (
                "hipv4-amdgcn-amd-amdhsa--gfx90a:sramecc+:xnack-",
                "hipv4",
                "amdgcn-amd-amdhsa",
                Some("gfx90a:sramecc+:xnack-"),
            ),
            (
                "hipv4-amdgcn-amd-amdhsa--gfx9-4-generic:xnack+",
                "hipv4",
                "amdgcn-amd-amdhsa",
                Some("gfx9-4-generic:xnack+"),
            ),
            (
                "openmp-nvptx64-nvidia-cuda--sm_80",
                "openmp",
                "nvptx64-nvidia-cuda",
                None,
            ),
        ] {
            let id: EntryId = text.parse().unwrap();
            assert_eq!(
                (id.kind.as_str(), id.triple.as_str()),
                (kind, triple),
                "{text}"
            );
            assert_eq!(
                id.target.as_ref().map(TargetId::to_string).as_deref(),
                target,
                "{text}"
            );
            assert_eq!(id.to_string(), text);
        }
        assert!("".parse::<EntryId>().is_err());
        assert!("host".parse::<EntryId>().is_err());
        assert!("-amdgcn".parse::<EntryId>().is_err());
    }

    #[test]
    fn the_most_specific_code_object_is_selected() {
        let targets = [
            "gfx9-generic",
            "gfx906",
            "gfx906:xnack-",
            "gfx906:sramecc+:xnack-",
            "gfx906:xnack+",
        ];
        let mut writer = Writer::new();
        for target in targets {
            writer = writer.add(target.parse().unwrap(), target.as_bytes());
        }
        let bytes = writer.to_vec().unwrap();
        let bundle = Bundle::parse(&bytes).unwrap();
        for (device, chosen) in [
            ("gfx906:sramecc+:xnack-", "gfx906:sramecc+:xnack-"),
            ("gfx906:sramecc-:xnack-", "gfx906:xnack-"),
            ("gfx906:sramecc-:xnack+", "gfx906:xnack+"),
            ("gfx906", "gfx906"),
            ("gfx900:xnack-", "gfx9-generic"),
        ] {
            assert_eq!(
                bundle.select(&device.parse().unwrap()).unwrap().data,
                chosen.as_bytes()
            );
        }
        let error = bundle
            .select(&"gfx1030".parse().unwrap())
            .unwrap_err()
            .to_string();
        for target in targets {
            assert!(error.contains(target), "{error}");
        }
    }
}
