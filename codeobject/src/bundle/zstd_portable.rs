//! Reading compressed bundles without the zstd library: in Rust alone, and much slower.

use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::compressed::broken;
use crate::Error;

/// The window that every zstd decoder is asked to support (RFC 8878, section 3.1.1.1.2). Frames that were written without
/// knowledge of their content's size have windows larger than that.
const WINDOW_FLOOR: u64 = 8 << 20;

/// Restores a zstd frame of at most `plain_size` bytes; of more, what comes first.
pub(super) fn restore(content: &[u8], plain_size: usize) -> Result<Vec<u8>, Error> {
    let mut decoder = FrameDecoder::new();
    // A window is taken as a whole, so one that the content cannot fill is refused.
    decoder.set_max_window_size((plain_size as u64).max(WINDOW_FLOOR));
    let mut rest = content;
    decoder
        .init(&mut rest)
        .map_err(|error| broken(error.to_string()))?;
    // Memory is taken as the content turns out to need it, not as the container's header claims.
    let mut plain = Vec::new();
    while !decoder.is_finished() && plain.len() <= plain_size {
        decoder
            .decode_blocks(&mut rest, BlockDecodingStrategy::UptoBytes(1 << 20))
            .map_err(|error| broken(error.to_string()))?;
        decoder
            .collect_to_writer(&mut plain)
            .map_err(|error| broken(error.to_string()))?;
    }
    decoder
        .collect_to_writer(&mut plain)
        .map_err(|error| broken(error.to_string()))?;
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_restored_as_the_library_restores_them() {
        for (len, level) in [
            (0, 3),
            (5, 1),
            (70_000, 1),
            (3_000_000, 12),
            (3_000_000, 19),
        ] {
            let plain: Vec<u8> = (0..len as u32)
                .map(|i| (i.wrapping_mul(i % 1000) >> 9) as u8)
                .collect();
            for frame in [
                zstd::bulk::compress(&plain, level).unwrap(),
                zstd::stream::encode_all(&plain[..], level).unwrap(),
            ] {
                assert!(restore(&frame, len).unwrap() == plain, "{len} {level}");
                if len > 0 {
                    assert!(
                        restore(&frame[..frame.len() - 1], len).is_err(),
                        "{len} {level}"
                    );
                }
            }
        }
    }
}
