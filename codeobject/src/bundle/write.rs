//! Writing bundles, byte for byte as `clang-offload-bundler` does.

use std::borrow::Cow;
use std::collections::HashMap;

#[cfg(feature = "zstd")]
use super::{Compression, compress};
use super::{EntryId, MAGIC};
use crate::{Error, TargetId};

/// Makes a bundle. What it writes depends on the entries and their order alone.
///
/// A new writer has the empty host entry that hipcc puts first: the format requires one, and HIP runtimes skip it.
#[derive(Debug, Clone)]
pub struct Writer<'a> {
    entries: Vec<(EntryId, Cow<'a, [u8]>)>,
    alignment: usize,
}

impl Default for Writer<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl<'a> Writer<'a> {
    /// A bundle with the empty host entry, aligned for a runtime that maps its pages (4096 bytes), as hipcc does.
    pub fn new() -> Self {
        Self::empty().add_entry(EntryId::host(), &[][..])
    }

    /// A bundle without entries.
    pub fn empty() -> Self {
        Self {
            entries: Vec::new(),
            alignment: 4096,
        }
    }

    /// Sets the alignment of the entries' data; 1 is `clang-offload-bundler`'s own default. 0 is taken as 1.
    #[must_use]
    pub fn align(mut self, alignment: usize) -> Self {
        self.alignment = alignment.max(1);
        self
    }

    /// Adds a HIP code object.
    #[must_use]
    pub fn add(self, target: TargetId, code_object: impl Into<Cow<'a, [u8]>>) -> Self {
        self.add_entry(EntryId::hip(&target), code_object)
    }

    /// Adds an entry of any kind.
    #[must_use]
    pub fn add_entry(mut self, id: EntryId, data: impl Into<Cow<'a, [u8]>>) -> Self {
        self.entries.push((id, data.into()));
        self
    }

    /// The bytes of the plain bundle. Entries with equal bytes share one place: readers go by offset and size.
    ///
    /// # Errors
    /// [`Error::DuplicateEntry`] if two entries have one id.
    pub fn to_vec(&self) -> Result<Vec<u8>, Error> {
        let table_len: usize = self
            .entries
            .iter()
            .map(|(id, _)| 3 * 8 + id.as_str().len())
            .sum();
        let mut end = MAGIC.len() + 8 + table_len;
        let mut places: HashMap<&[u8], usize> = HashMap::new();
        let mut offsets = Vec::with_capacity(self.entries.len());
        for (index, (id, data)) in self.entries.iter().enumerate() {
            if self.entries[..index]
                .iter()
                .any(|(other, _)| other.as_str() == id.as_str())
            {
                return Err(Error::DuplicateEntry { id: id.to_string() });
            }
            // Empty entries advance to the alignment as clang's do, so they are not shared.
            let shared = places
                .get(data.as_ref())
                .copied()
                .filter(|_| !data.is_empty());
            offsets.push(shared.unwrap_or_else(|| {
                let offset = end.next_multiple_of(self.alignment);
                end = offset + data.len();
                places.insert(data, offset);
                offset
            }));
        }

        let mut bytes = Vec::with_capacity(end);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&(self.entries.len() as u64).to_le_bytes());
        for ((id, data), offset) in self.entries.iter().zip(&offsets) {
            for number in [*offset, data.len(), id.as_str().len()] {
                bytes.extend_from_slice(&(number as u64).to_le_bytes());
            }
            bytes.extend_from_slice(id.as_str().as_bytes());
        }
        for ((_, data), offset) in self.entries.iter().zip(&offsets) {
            // An entry that shares the place of an earlier one is there already.
            if bytes.len() <= *offset {
                bytes.resize(*offset, 0);
                bytes.extend_from_slice(data);
            }
        }
        Ok(bytes)
    }

    /// The bytes of the compressed bundle.
    ///
    /// # Errors
    /// Those of [`to_vec`](Self::to_vec), and [`Error::Compression`] if the compressor refuses the options.
    #[cfg(feature = "zstd")]
    pub fn to_compressed_vec(&self, compression: Compression) -> Result<Vec<u8>, Error> {
        compress(&self.to_vec()?, compression)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::Bundle;

    #[test]
    fn equal_code_objects_are_stored_once() {
        let code = vec![7_u8; 5000];
        let bytes = Writer::new()
            .add("gfx1100".parse().unwrap(), &code)
            .add("gfx1030".parse().unwrap(), &b"other"[..])
            .add("gfx1101".parse().unwrap(), &code)
            .to_vec()
            .unwrap();
        assert_eq!(bytes.len(), 4096 + 2 * 4096 + 5);
        let bundle = Bundle::parse(&bytes).unwrap();
        let data: Vec<_> = bundle.entries().map(|entry| entry.data).collect();
        assert_eq!(data, [&b""[..], &code, b"other", &code]);
    }

    #[test]
    fn two_entries_of_one_target_are_refused() {
        let writer = Writer::new()
            .add("gfx1100".parse().unwrap(), &b"a"[..])
            .add("gfx1100".parse().unwrap(), &b"b"[..]);
        assert!(matches!(writer.to_vec(), Err(Error::DuplicateEntry { .. })));
    }
}
