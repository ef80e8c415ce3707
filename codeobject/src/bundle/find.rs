//! Finding bundles inside other bytes: executables, shared libraries, memory whose length is not known.

use super::compressed::{self, Header};
use super::{Bundle, MAGIC, records};
use crate::Error;

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
/// passed over: the magic alone is also in every program that reads bundles.
pub fn find(bytes: &[u8]) -> Vec<Found<'_>> {
    let plain = memchr::memmem::Finder::new(MAGIC);
    let compressed = memchr::memmem::Finder::new(compressed::MAGIC);
    let mut found = Vec::new();
    let mut position = 0;
    // The next candidate of each kind, so that a file without one kind is searched for it once.
    let next = |finder: &memchr::memmem::Finder<'_>, from: usize| {
        finder.find(&bytes[from..]).map(|at| from + at)
    };
    let mut next_plain = next(&plain, 0);
    let mut next_compressed = next(&compressed, 0);
    while let Some(offset) = [next_plain, next_compressed].into_iter().flatten().min() {
        let candidate = &bytes[offset..];
        // A candidate that is refused is passed over as far as it was read, so that every byte is read once.
        let (len, readable) = match extent(candidate) {
            Ok(Extent::Complete(len)) if len <= candidate.len() => (
                len,
                Bundle::parse(&candidate[..len]).is_ok_and(|bundle| bundle.entries().len() > 0),
            ),
            _ => (compressed::MAGIC.len(), false),
        };
        if readable {
            found.push(Found {
                offset,
                bytes: &candidate[..len],
            });
            position = offset + len.max(1);
        } else {
            position = position.max(offset + compressed::MAGIC.len());
        }
        if next_plain.is_some_and(|at| at < position) {
            next_plain = next(&plain, position);
        }
        if next_compressed.is_some_and(|at| at < position) {
            next_compressed = next(&compressed, position);
        }
    }
    found
}

/// How long a bundle is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// It has this many bytes.
    Complete(usize),
    /// At least this many bytes have to be looked at to say it.
    NeedsAtLeast(usize),
}

/// How long the bundle is that begins with these bytes. This is for runtimes, which are given a pointer without a
/// length: they ask with the bytes that they may look at (16 to begin with), and again with more.
///
/// # Errors
/// [`Error::Magic`] if this is no bundle, [`Error::Field`] if its table makes no sense, or if it is compressed in version
/// 1 of the container, which does not say its length.
pub fn extent(prefix: &[u8]) -> Result<Extent, Error> {
    if compressed::MAGIC.starts_with(&prefix[..prefix.len().min(compressed::MAGIC.len())]) {
        let header = match Header::parse(prefix) {
            Err(Error::Truncated { offset, needed, .. }) => return Ok(needs(offset, needed)),
            header => header?,
        };
        let len = header.file_size.and_then(|len| usize::try_from(len).ok());
        return len.map(Extent::Complete).ok_or(Error::Field {
            what: "the compressed bundle's version",
            found: "1".to_owned(),
            expected: "2 or 3: version 1 does not say how long it is",
        });
    }
    if prefix.len() < MAGIC.len() && MAGIC.starts_with(prefix) {
        return Ok(Extent::NeedsAtLeast(MAGIC.len() + 8));
    }
    let (records, table_end) = match records(prefix) {
        Err(Error::Truncated { offset, needed, .. }) => return Ok(needs(offset, needed)),
        records => records?,
    };
    let mut end = table_end as u64;
    for record in records {
        let record_end = record
            .offset
            .checked_add(record.size)
            .ok_or_else(|| Error::Field {
                what: "a bundle entry's size",
                found: record.size.to_string(),
                expected: "a size that ends within the address space",
            })?;
        end = end.max(if record.size == 0 { 0 } else { record_end });
    }
    Ok(Extent::Complete(usize::try_from(end).unwrap_or(usize::MAX)))
}

fn needs(offset: u64, needed: u64) -> Extent {
    Extent::NeedsAtLeast(usize::try_from(offset.saturating_add(needed)).unwrap_or(usize::MAX))
}
