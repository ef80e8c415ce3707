//! Compressed bundles: clang's `CCOB` container around a plain bundle.
//!
//! The header is the magic, a version, a compression method, from version 2 on the size of the container, the size of
//! the plain bundle, and the low half of its MD5 digest. Version 3 has 64-bit sizes. Clang 19 reads versions 1 and 2, as
//! HIP 6 does, so version 2 is written as long as the sizes fit.

use std::borrow::Cow;

use md5::{Digest, Md5};
use zstd::zstd_safe::{self, CParameter};

use crate::Error;
use crate::bytes::{Cursor, slice};

/// The first bytes of a compressed bundle.
pub(super) const MAGIC: &[u8; 4] = b"CCOB";

/// The most that a compressed bundle may grow when restored: this many times its size, and a little for tiny ones.
/// Code objects of related processors are alike, and real bundles shrink up to some fifty times.
const MAX_GROWTH: u64 = 1024;
const GROWTH_FLOOR: u64 = 1 << 20;

/// How to compress a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compression {
    /// The zstd level, 1 (fast) to 22 (small).
    pub level: i32,
}

impl Default for Compression {
    /// Level 12. On bundles of ten architectures level 19 saves another sixth, and takes fourteen times as long.
    fn default() -> Self {
        Self { level: 12 }
    }
}

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
            (None, Method::Zstd) => {
                self.len + zstd_safe::find_frame_compressed_size(content).ok()?
            }
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
/// # Errors
/// [`Error::Truncated`] or [`Error::Field`] for its header, [`Error::TooLarge`] if it claims to grow beyond 1,024 times
/// its size, [`Error::Compression`] if the content is broken or does not have the size or digest of the header.
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
    let digest = digest(&plain);
    if digest != header.digest {
        return Err(broken(format!(
            "the digest of its content is {digest:#018x}, its header says {:#018x}",
            header.digest
        )));
    }
    Ok(Cow::Owned(plain))
}

fn unzlib(content: &[u8], plain_size: usize) -> Result<Vec<u8>, Error> {
    miniz_oxide::inflate::decompress_to_vec_zlib_with_limit(content, plain_size)
        .map_err(|error| broken(error.to_string()))
}

fn unzstd(content: &[u8], plain_size: usize) -> Result<Vec<u8>, Error> {
    let mut room = match zstd_safe::get_frame_content_size(content) {
        Ok(Some(size)) if size != plain_size as u64 => {
            return Err(broken(format!(
                "it holds {size} bytes, its header says {plain_size}"
            )));
        }
        Ok(Some(_)) => plain_size,
        // The frame does not say its size, as some compressors leave it: memory is taken as the content turns out to need
        // it, not as the header claims.
        _ => plain_size.min(64 + 8 * content.len()),
    };
    // One call into one buffer: zstd then needs no window of its own, whose size a frame could claim.
    let mut context = zstd_safe::DCtx::create();
    loop {
        let mut plain = Vec::new();
        plain
            .try_reserve_exact(room)
            .map_err(|error| broken(error.to_string()))?;
        match context.decompress(&mut plain, content) {
            Ok(_) => return Ok(plain),
            Err(code) if room < plain_size && is_too_small(code) => {
                room = plain_size.min(4 * room);
            }
            Err(code) => return Err(broken(zstd_safe::get_error_name(code).to_owned())),
        }
    }
}

/// Whether zstd failed because the buffer was too small.
fn is_too_small(code: zstd_safe::ErrorCode) -> bool {
    // `ZSTD_error_dstSize_tooSmall`; zstd returns its error codes negated.
    code == 70_usize.wrapping_neg()
}

/// Compresses a plain bundle with zstd.
///
/// # Errors
/// [`Error::Compression`] if zstd refuses the level or has no memory.
pub fn compress(plain: &[u8], compression: Compression) -> Result<Vec<u8>, Error> {
    let mut context = zstd_safe::CCtx::create();
    let mut content = Vec::new();
    let bound = zstd_safe::compress_bound(plain.len());
    content
        .try_reserve_exact(bound)
        .map_err(|error| broken(error.to_string()))?;
    context
        .set_parameter(CParameter::CompressionLevel(compression.level))
        // The code objects of a bundle repeat each other over distances far longer than a level's window.
        .and_then(|_| context.set_parameter(CParameter::EnableLongDistanceMatching(true)))
        .and_then(|_| context.compress2(&mut content, plain))
        .map_err(|code| broken(zstd_safe::get_error_name(code).to_owned()))?;

    let mut bytes = MAGIC.to_vec();
    let method = 1_u16;
    // Version 2 has a header of 24 bytes.
    let small = u32::try_from(content.len() + 24)
        .ok()
        .zip(u32::try_from(plain.len()).ok());
    match small {
        Some((file_size, plain_size)) => {
            bytes.extend_from_slice(&2_u16.to_le_bytes());
            bytes.extend_from_slice(&method.to_le_bytes());
            bytes.extend_from_slice(&file_size.to_le_bytes());
            bytes.extend_from_slice(&plain_size.to_le_bytes());
        }
        None => {
            bytes.extend_from_slice(&3_u16.to_le_bytes());
            bytes.extend_from_slice(&method.to_le_bytes());
            bytes.extend_from_slice(&(content.len() as u64 + 32).to_le_bytes());
            bytes.extend_from_slice(&(plain.len() as u64).to_le_bytes());
        }
    }
    bytes.extend_from_slice(&digest(plain).to_le_bytes());
    bytes.extend_from_slice(&content);
    Ok(bytes)
}

fn digest(plain: &[u8]) -> u64 {
    let digest: [u8; 16] = Md5::digest(plain).into();
    let [low @ .., _, _, _, _, _, _, _, _] = digest;
    u64::from_le_bytes(low)
}

fn broken(message: String) -> Error {
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
        assert!(matches!(
            zstd_safe::get_frame_content_size(&without_size),
            Ok(None)
        ));
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
        assert!(with(16, &[0; 8]).contains("digest"));
        assert!(with(good.len() - 3, &[0xff; 3]).contains("compressed bundle"));
        for len in 4..good.len() {
            assert!(decompress(&good[..len]).is_err(), "{len}");
        }
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

    #[test]
    fn compression_is_deterministic() {
        let plain: Vec<u8> = (0..200_000_u32)
            .flat_map(|i| (i.wrapping_mul(i) >> 7).to_le_bytes())
            .collect();
        for level in [1, 12, 19, 22] {
            let once = compress(&plain, Compression { level }).unwrap();
            assert!(once == compress(&plain, Compression { level }).unwrap());
            assert!(decompress(&once).unwrap() == plain);
        }
    }
}
