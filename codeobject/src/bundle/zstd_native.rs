//! Writing and reading compressed bundles with the zstd library, which is C.

use zstd::zstd_safe::{self, CParameter};

use super::compressed::{MAGIC, broken, digest};
use crate::Error;

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

/// Restores a zstd frame of `plain_size` bytes. If the frame says its size (`is_sized`) the buffer has it at once;
/// otherwise memory is taken as the content turns out to need it, not as the container's header claims.
pub(super) fn restore(content: &[u8], plain_size: usize, is_sized: bool) -> Result<Vec<u8>, Error> {
    let mut room = if is_sized {
        plain_size
    } else {
        plain_size.min(64 + 8 * content.len())
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
            Err(code) if room < plain_size && is_too_small(code) => room = plain_size.min(4 * room),
            Err(code) => return Err(broken(zstd_safe::get_error_name(code).to_owned())),
        }
    }
}

/// Whether zstd failed because the buffer was too small.
fn is_too_small(code: zstd_safe::ErrorCode) -> bool {
    // `ZSTD_error_dstSize_tooSmall`; zstd returns its error codes negated.
    code == 70_usize.wrapping_neg()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::decompress;

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
