//! Compressed bundles: clang's `CCOB` container around a plain bundle.
//!
//! The header is the magic, a version, a compression method, from version 2 on the size of the container, the size of
//! the plain bundle, and the low half of its MD5 digest. Version 3 has 64-bit sizes. Clang 19 reads versions 1 and 2, as
//! HIP 6 does, so version 2 is written as long as the sizes fit.

use std::borrow::Cow;

use md5::{Digest, Md5};

use super::zstd_frame::Frame;
use crate::Error;
use crate::bytes::{Cursor, slice};

/// The first bytes of a compressed bundle.
pub(super) const MAGIC: &[u8; 4] = b"CCOB";

/// The most that a compressed bundle may grow when restored: this many times its size, and a little for tiny ones.
/// Code objects of related processors are alike, and real bundles shrink up to some fifty times.
const MAX_GROWTH: u64 = 1024;
const GROWTH_FLOOR: u64 = 1 << 20;

/// The method field: `llvm::compression::Format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Zlib,
    Zstd,
}

/// A container's header.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    method: Method,
    /// The size of the whole container; version 1 does not have it.
    pub(super) file_size: Option<u64>,
    plain_size: u64,
    digest: u64,
    /// The size of this header.
    len: usize,
}

impl Header {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let mut cursor = Cursor::new(bytes);
        cursor.take(MAGIC.len() as u64, "the compressed bundle's magic")?;
        let version = cursor.u16("the compressed bundle's version")?;
        let method = match cursor.u16("the compressed bundle's method")? {
            0 => Method::Zlib,
            1 => Method::Zstd,
            other => {
                return Err(Error::Field {
                    what: "the compressed bundle's method",
                    found: other.to_string(),
                    expected: "0 (zlib) or 1 (zstd)",
                });
            }
        };
        const FILE_SIZE: &str = "the compressed bundle's file size";
        const PLAIN_SIZE: &str = "the compressed bundle's uncompressed size";
        let (file_size, plain_size) = match version {
            1 => (None, cursor.u32(PLAIN_SIZE)?.into()),
            2 => (
                Some(cursor.u32(FILE_SIZE)?.into()),
                cursor.u32(PLAIN_SIZE)?.into(),
            ),
            3 => (Some(cursor.u64(FILE_SIZE)?), cursor.u64(PLAIN_SIZE)?),
            _ => {
                return Err(Error::Field {
                    what: "the compressed bundle's version",
                    found: version.to_string(),
                    expected: "1, 2 or 3",
                });
            }
        };
        let digest = cursor.u64("the compressed bundle's digest")?;
        Ok(Self {
            method,
            file_size,
            plain_size,
            digest,
            len: cursor.position(),
        })
    }
}

impl Header {
    /// The size of the container that these bytes begin with, if they hold all of it and its content begins as the method
    /// says. Version 1 does not name it: there it is the end of the zstd frame; of zlib data the end is not looked for.
    pub(super) fn container_len(&self, bytes: &[u8]) -> Option<usize> {
        let content = bytes.get(self.len..)?;
        let magic: &[u8] = match self.method {
            Method::Zlib => b"\x78",
            Method::Zstd => b"\x28\xb5\x2f\xfd",
        };
        if !content.starts_with(magic) {
            return None;
        }
        let len = match (self.file_size, self.method) {
            (Some(size), _) => usize::try_from(size).ok()?,
            (None, Method::Zstd) => self.len + Frame::parse(content).ok()?.len(content)?,
            (None, Method::Zlib) => return None,
        };
        (self.len..=bytes.len()).contains(&len).then_some(len)
    }
}

/// Whether these bytes start like a compressed bundle.
pub fn is_compressed(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// Restores a compressed bundle; other bytes are returned as they are.
///
/// The digest is not compared, which would take many times as long as the rest: see [`verify`].
///
/// # Errors
/// [`Error::Truncated`] or [`Error::Field`] for its header, [`Error::TooLarge`] if it claims to grow beyond 1,024 times
/// its size, [`Error::Compression`] if the content is broken or does not have the header's size.
pub fn decompress(bytes: &[u8]) -> Result<Cow<'_, [u8]>, Error> {
    if !is_compressed(bytes) {
        return Ok(Cow::Borrowed(bytes));
    }
    let header = Header::parse(bytes)?;
    // Version 1 has no size, and may be followed by padding.
    let end = header
        .file_size
        .or_else(|| header.container_len(bytes).map(|len| len as u64));
    let end = end.unwrap_or(bytes.len() as u64);
    let content_len = end
        .checked_sub(header.len as u64)
        .ok_or_else(|| Error::Field {
            what: "the compressed bundle's file size",
            found: end.to_string(),
            expected: "at least the size of its header",
        })?;
    let content = slice(
        bytes,
        header.len as u64,
        content_len,
        "the compressed bundle's content",
    )?;
    let limit = (bytes.len() as u64)
        .saturating_mul(MAX_GROWTH)
        .saturating_add(GROWTH_FLOOR);
    let plain_size = usize::try_from(header.plain_size)
        .ok()
        .filter(|_| header.plain_size <= limit)
        .ok_or(Error::TooLarge {
            compressed: bytes.len() as u64,
            claimed: header.plain_size,
            limit,
        })?;
    let plain = match header.method {
        Method::Zlib => unzlib(content, plain_size)?,
        Method::Zstd => unzstd(content, plain_size)?,
    };
    if plain.len() != plain_size {
        return Err(broken(format!(
            "it holds {} bytes, its header says {plain_size}",
            plain.len()
        )));
    }
    Ok(Cow::Owned(plain))
}

/// Whether a compressed bundle holds what was compressed: restores it and compares the digest. Plain bundles have none.
///
/// # Errors
/// Those of [`decompress`], and [`Error::Compression`] if the digest is not that of the header.
pub fn verify(bytes: &[u8]) -> Result<(), Error> {
    let plain = decompress(bytes)?;
    if !is_compressed(bytes) {
        return Ok(());
    }
    let expected = Header::parse(bytes)?.digest;
    let found = digest(&plain);
    if found != expected {
        return Err(broken(format!(
            "the digest of its content is {found:#018x}, its header says {expected:#018x}"
        )));
    }
    Ok(())
}

fn unzlib(content: &[u8], plain_size: usize) -> Result<Vec<u8>, Error> {
    miniz_oxide::inflate::decompress_to_vec_zlib_with_limit(content, plain_size)
        .map_err(|error| broken(error.to_string()))
}

fn unzstd(content: &[u8], plain_size: usize) -> Result<Vec<u8>, Error> {
    let size = Frame::parse(content)?.content_size;
    if let Some(size) = size.filter(|size| *size != plain_size as u64) {
        return Err(broken(format!(
            "it holds {size} bytes, its header says {plain_size}"
        )));
    }
    #[cfg(feature = "zstd")]
    return super::zstd_native::restore(content, plain_size, size.is_some());
    #[cfg(not(feature = "zstd"))]
    return super::zstd_portable::restore(content, plain_size);
}

pub(super) fn digest(plain: &[u8]) -> u64 {
    let digest: [u8; 16] = Md5::digest(plain).into();
    let [low @ .., _, _, _, _, _, _, _, _] = digest;
    u64::from_le_bytes(low)
}

pub(super) fn broken(message: String) -> Error {
    Error::Compression { message }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(version: u16, method: u16, plain: &[u8], content: &[u8]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&version.to_le_bytes());
        bytes.extend_from_slice(&method.to_le_bytes());
        match version {
            1 => bytes.extend_from_slice(&(plain.len() as u32).to_le_bytes()),
            2 => {
                bytes.extend_from_slice(&(content.len() as u32 + 24).to_le_bytes());
                bytes.extend_from_slice(&(plain.len() as u32).to_le_bytes());
            }
            _ => {
                bytes.extend_from_slice(&(content.len() as u64 + 32).to_le_bytes());
                bytes.extend_from_slice(&(plain.len() as u64).to_le_bytes());
            }
        }
        bytes.extend_from_slice(&digest(plain).to_le_bytes());
        bytes.extend_from_slice(content);
        bytes
    }

    #[test]
    fn every_version_and_method_is_read() {
        // Long enough that a buffer of the first guess is too small for it.
        let plain = b"code object ".repeat(10_000);
        let with_size = zstd::bulk::compress(&plain, 3).unwrap();
        let without_size = zstd::stream::encode_all(&plain[..], 3).unwrap();
        assert_eq!(Frame::parse(&without_size).unwrap().content_size, None);
        let zlib = miniz_oxide::deflate::compress_to_vec_zlib(&plain, 6);
        for version in 1..=3 {
            for (method, content) in [(1, &with_size), (1, &without_size), (0, &zlib)] {
                let mut bytes = container(version, method, &plain, content);
                assert!(decompress(&bytes).unwrap() == plain, "{version} {method}");
                // The padding after a bundle in a section.
                if method == 1 || version > 1 {
                    bytes.extend_from_slice(&[0; 100]);
                    assert!(decompress(&bytes).unwrap() == plain, "{version} {method}");
                }
            }
        }
        assert_eq!(
            decompress(b"not compressed").unwrap(),
            &b"not compressed"[..]
        );
    }

    #[test]
    fn what_is_broken_is_refused_with_the_reason() {
        let plain = b"code object ".repeat(100);
        let content = zstd::bulk::compress(&plain, 3).unwrap();
        let good = container(2, 1, &plain, &content);
        let with = |at: usize, value: &[u8]| {
            let mut bytes = good.clone();
            bytes[at..at + value.len()].copy_from_slice(value);
            decompress(&bytes).unwrap_err().to_string()
        };
        assert!(with(4, &[9]).contains("version is 9, expected 1, 2 or 3"));
        assert!(with(6, &[7]).contains("method is 7"));
        assert!(with(8, &[23, 0]).contains("file size is 23"));
        assert!(with(8, &[0, 9]).contains("bytes at offset 0x18, but only"));
        assert!(with(12, &[1, 0]).contains("its header says 1"));
        assert!(with(15, &[0xff]).contains("more than the limit"));

        assert!(with(good.len() - 3, &[0xff; 3]).contains("compressed bundle"));
        for len in 4..good.len() {
            assert!(decompress(&good[..len]).is_err(), "{len}");
        }
    }

    #[test]
    fn the_digest_tells_other_content() {
        let plain = b"code object ".repeat(100);
        let content = zstd::bulk::compress(&plain, 3).unwrap();
        let mut bytes = container(2, 1, &plain, &content);
        assert_eq!(verify(&bytes), Ok(()));
        assert_eq!(verify(&plain), Ok(()));
        bytes[16] ^= 1;
        assert!(decompress(&bytes).unwrap() == plain);
        assert!(verify(&bytes).unwrap_err().to_string().contains("digest"));
    }

    #[test]
    fn a_small_file_cannot_ask_for_much_memory() {
        let plain = vec![0; 64 << 20];
        for content in [
            zstd::bulk::compress(&plain, 3).unwrap(),
            zstd::stream::encode_all(&plain[..], 3).unwrap(),
        ] {
            let bytes = container(2, 1, &plain, &content);
            assert!(
                matches!(decompress(&bytes), Err(Error::TooLarge { .. })),
                "{}",
                bytes.len()
            );
        }
    }
}
