//! Finding bundles inside other bytes, and how far one reaches.

use super::compressed::{self, Header};
use super::{Bundle, MAGIC, read_table};
use crate::bytes::Cursor;
use crate::{Error, Extent};

/// A compressed bundle of version 1 does not say its length: the compressed data has to be walked to its end. After this
/// many that have none, no more are looked for.
const MAX_BROKEN_VERSION_1: u32 = 16;

/// A bundle inside other bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found<'a> {
    /// Where it begins.
    pub offset: usize,
    /// Its bytes, for [`Bundle::parse`].
    pub bytes: &'a [u8],
}

/// Finds every bundle in a file: in the `.hip_fatbin` section where hipcc puts them, and wherever else a program embeds
/// them. The file's format does not matter. Bytes that look like the start of a bundle but cannot be read as one are
/// passed over: the magic alone is also in every program that reads bundles. The content of compressed bundles is not
/// restored here.
///
/// The time is linear in the file's size, whatever is in it: what was looked at for one candidate is not looked at again
/// for the next.
pub fn find(bytes: &[u8]) -> Vec<Found<'_>> {
    let mut search = Search::new(bytes);
    let mut found = Vec::new();
    let mut broken_version_1 = 0;
    while let Some(offset) = search.next() {
        let candidate = &bytes[offset..];
        let (len, is_bundle) = if compressed::is_compressed(candidate) {
            examine_compressed(candidate, &mut broken_version_1)
        } else {
            examine_plain(candidate)
        };
        if is_bundle {
            found.push(Found {
                offset,
                bytes: &candidate[..len],
            });
        }
        search.position = offset + len;
    }
    found
}

/// The places where one of the magics stands.
struct Search<'a> {
    bytes: &'a [u8],
    /// Where to go on.
    position: usize,
    /// For each magic its next place, so that a file without one kind is searched for it once.
    next: [(memchr::memmem::Finder<'static>, Option<usize>); 2],
}

impl<'a> Search<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        let first = |magic: &'static [u8]| {
            let finder = memchr::memmem::Finder::new(magic);
            let place = finder.find(bytes);
            (finder, place)
        };
        Self {
            bytes,
            position: 0,
            next: [first(MAGIC), first(compressed::MAGIC)],
        }
    }

    fn next(&mut self) -> Option<usize> {
        for (finder, place) in &mut self.next {
            if place.is_some_and(|place| place < self.position) {
                let rest = self.bytes.get(self.position..).unwrap_or_default();
                *place = finder.find(rest).map(|at| self.position + at);
            }
        }
        self.next.iter().filter_map(|(_, place)| *place).min()
    }
}

/// How many bytes belong to the candidate, or were looked at in vain, and whether it is a bundle.
fn examine_plain(candidate: &[u8]) -> (usize, bool) {
    let mut cursor = Cursor::new(candidate);
    let end = match read_table(&mut cursor, candidate) {
        Ok(records) if !records.is_empty() => {
            let table = cursor.position() as u64;
            end_of_entries(
                table,
                records.iter().map(|record| (record.offset, record.size)),
            )
        }
        _ => None,
    };
    match end.map(|end| candidate.get(..end)) {
        Some(Some(bundle)) if Bundle::parse(bundle).is_ok() => (bundle.len(), true),
        _ => (cursor.position().max(MAGIC.len()), false),
    }
}

/// As [`examine_plain`]. The content is not restored: the magic's four bytes turn up by chance, with a plausible header and
/// the content's own magic they do not.
fn examine_compressed(candidate: &[u8], broken_version_1: &mut u32) -> (usize, bool) {
    let refused = (compressed::MAGIC.len(), false);
    let Ok(header) = Header::parse(candidate) else {
        return refused;
    };
    if header.file_size.is_none() && *broken_version_1 >= MAX_BROKEN_VERSION_1 {
        return refused;
    }
    match header.container_len(candidate) {
        Some(len) => (len, true),
        None => {
            *broken_version_1 += u32::from(header.file_size.is_none());
            refused
        }
    }
}

/// The end of a plain bundle: of its table or of the entry that reaches farthest. `None` past the address space.
fn end_of_entries(table: u64, entries: impl Iterator<Item = (u64, u64)>) -> Option<usize> {
    let mut end = table;
    for (offset, size) in entries.filter(|(_, size)| *size > 0) {
        end = end.max(offset.checked_add(size)?);
    }
    usize::try_from(end).ok()
}

/// See [`Extent::of`].
pub(crate) fn extent(prefix: &[u8]) -> Result<Extent, Error> {
    if compressed::is_compressed(prefix) {
        let header = match Header::parse(prefix) {
            Err(Error::Truncated { offset, needed, .. }) => {
                return Ok(Extent::needs(offset, needed));
            }
            header => header?,
        };
        let len = header.file_size.ok_or(Error::Field {
            what: "the compressed bundle's version",
            found: "1".to_owned(),
            expected: "2 or 3: version 1 does not say how long it is",
        })?;
        return Ok(Extent::Complete(len));
    }
    if prefix.len() < MAGIC.len() {
        // The magic is at least begun, and the number of entries follows it.
        return Ok(Extent::NeedsAtLeast(MAGIC.len() as u64 + 8));
    }
    let mut cursor = Cursor::new(prefix);
    let records = match read_table(&mut cursor, prefix) {
        Err(Error::Truncated { offset, needed, .. }) => return Ok(Extent::needs(offset, needed)),
        records => records?,
    };
    let table = cursor.position() as u64;
    let end = end_of_entries(
        table,
        records.iter().map(|record| (record.offset, record.size)),
    );
    end.map(|end| Extent::Complete(end as u64))
        .ok_or(Error::Field {
            what: "the end of a bundle entry",
            found: "past the end of the address space".to_owned(),
            expected: "an address",
        })
}

#[cfg(all(test, feature = "zstd"))]
mod tests {
    use super::*;
    use crate::bundle::{Compression, Writer, compress};

    fn bundle(target: &str) -> Vec<u8> {
        let code = target.repeat(100).into_bytes();
        Writer::new()
            .align(8)
            .add(target.parse().unwrap(), code)
            .to_vec()
            .unwrap()
    }

    #[test]
    fn bundles_between_other_bytes_are_found() {
        let plain = bundle("gfx1100");
        let compressed = compress(&bundle("gfx1030"), Compression::default()).unwrap();
        let mut version_1 = b"CCOB\x01\0\x01\0".to_vec();
        version_1.extend_from_slice(&compressed[12..]);

        let mut file = b"\x7fELF CCOB __CLANG_OFFLOAD_BUNDLE__ and the text after it ".to_vec();
        let mut expected = Vec::new();
        for part in [&plain, &compressed, &version_1, &compressed, &plain] {
            file.extend_from_slice(b"CCOB\x02\0\x01\0 padding ");
            expected.push((file.len(), part.as_slice()));
            file.extend_from_slice(part);
            file.extend_from_slice(b"__CLANG_OFFLOAD");
        }
        let found: Vec<_> = find(&file)
            .iter()
            .map(|found| (found.offset, found.bytes))
            .collect();
        assert!(
            found == expected,
            "{:?}",
            found.iter().map(|f| (f.0, f.1.len())).collect::<Vec<_>>()
        );
    }

    #[test]
    fn the_time_for_hostile_files_is_linear() {
        // Every eight bytes a candidate, each with a table that reads well for long, or that decompresses for long.
        let mut tables = Vec::new();
        while tables.len() < 1 << 23 {
            tables.extend_from_slice(MAGIC);
            tables.extend_from_slice(&4096_u64.to_le_bytes());
        }
        let mut containers = Vec::new();
        while containers.len() < 1 << 23 {
            containers.extend_from_slice(b"CCOB\x01\0\x01\0size-digest-");
            // A zstd frame whose first block, of 29 bytes, ends before the block of the next candidate's frame.
            containers.extend_from_slice(b"\x28\xb5\x2f\xfd\x20\x01\xe8\0\0...");
        }
        let start = std::time::Instant::now();
        assert!(find(&tables).is_empty());
        assert!(find(&containers).is_empty());
        assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
    }

    #[test]
    fn the_extent_is_known_from_the_table() {
        for bytes in [
            bundle("gfx1100"),
            compress(&bundle("gfx90a"), Compression::default()).unwrap(),
        ] {
            let mut len = 4;
            let end = loop {
                match extent(&bytes[..len]).unwrap() {
                    Extent::Complete(end) => break end,
                    Extent::NeedsAtLeast(more) => {
                        assert!(more > len as u64);
                        len = more as usize;
                    }
                }
            };
            assert_eq!(end, bytes.len() as u64);
            assert!(len <= 200);
        }
    }
}
