//! Compressed bundles: clang's `CCOB` container around a plain bundle.
//!
//! The header is the magic, a version, a compression method, from version 2 on the size of the container, the size of
//! the plain bundle, and the low half of its MD5 digest. Version 3 has 64-bit sizes. Clang 19 reads versions 1 and 2, as
//! HIP 6 does, so version 2 is written as long as the sizes fit.

use std::borrow::Cow;

use md5::{Digest, Md5};
use zstd::zstd_safe::{self, CParameter, DParameter};

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
    /// Level 12: on bundles of code objects higher levels cost a multiple of the time for a few percent.
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
    // Before any memory is taken: the frame says its size, as every compressor that has the whole input writes it.
    if let Ok(Some(size)) = zstd_safe::get_frame_content_size(content)
        && size != plain_size as u64
    {
        return Err(broken(format!(
            "it holds {size} bytes, its header says {plain_size}"
        )));
    }
    // One call into a buffer of the final size: zstd then needs no window of its own, whose size the frame could claim.
    let mut context = zstd_safe::DCtx::create();
    let mut plain = Vec::new();
    plain
        .try_reserve_exact(plain_size)
        .map_err(|error| broken(error.to_string()))?;
    context
        .set_parameter(DParameter::WindowLogMax(31))
        .and_then(|_| context.decompress(&mut plain, content))
        .map_err(|code| broken(zstd_safe::get_error_name(code).to_owned()))?;
    Ok(plain)
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
