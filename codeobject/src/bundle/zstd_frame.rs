//! What a zstd frame says of itself: RFC 8878, section 3.1.1.

use super::compressed::broken;
use crate::Error;

/// The first bytes of a frame.
pub(super) const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// A frame's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    /// The size of the content, if it was known when the frame was begun.
    pub(super) content_size: Option<u64>,
    has_checksum: bool,
    /// Magic and header.
    header_len: usize,
}

impl Frame {
    /// Reads the header of the frame that begins here.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Error> {
        Self::read(bytes).ok_or_else(|| broken("its content is no zstd frame".to_owned()))
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (descriptor, rest) = bytes.strip_prefix(&MAGIC)?.split_first()?;
        let is_single_segment = descriptor & 0x20 != 0;
        let window_len = usize::from(!is_single_segment);
        let dictionary_len = [0, 1, 2, 4][usize::from(descriptor & 3)];
        let size_len = match descriptor >> 6 {
            0 => usize::from(is_single_segment),
            1 => 2,
            2 => 4,
            _ => 8,
        };
        let at = window_len + dictionary_len;
        let size = rest.get(at..at + size_len)?;
        let size = size
            .iter()
            .rev()
            .fold(0, |size, byte| size << 8 | u64::from(*byte));
        Some(Self {
            // Two bytes count from 256 on.
            content_size: (size_len > 0).then_some(if size_len == 2 { size + 256 } else { size }),
            has_checksum: descriptor & 4 != 0,
            header_len: MAGIC.len() + 1 + at + size_len,
        })
    }

    /// The length of the whole frame, `None` if it does not end within these bytes, which begin with it.
    pub(super) fn len(&self, bytes: &[u8]) -> Option<usize> {
        let mut at = self.header_len;
        loop {
            let header = bytes.get(at..at + 3)?;
            let header = header
                .iter()
                .rev()
                .fold(0, |header, byte| header << 8 | usize::from(*byte));
            let is_last = header & 1 != 0;
            at += 3 + match header >> 1 & 3 {
                // A block of one byte, repeated.
                1 => 1,
                0 | 2 => header >> 3,
                _ => return None,
            };
            if is_last {
                at += if self.has_checksum { 4 } else { 0 };
                return (at <= bytes.len()).then_some(at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_as_long_as_zstd_says() {
        for (len, level) in [
            (1, 1),
            (255, 3),
            (256, 3),
            (300, 19),
            (70_000, 1),
            (300_000, 3),
            (2_000_000, 6),
        ] {
            let plain: Vec<u8> = (0..len as u32)
                .map(|i| (i.wrapping_mul(i) >> 9) as u8)
                .collect();
            let sized = zstd::bulk::compress(&plain, level).unwrap();
            let unsized_ = zstd::stream::encode_all(&plain[..], level).unwrap();
            for (frame, size) in [(sized, Some(len as u64)), (unsized_, None)] {
                let header = Frame::parse(&frame).unwrap();
                assert_eq!(header.content_size, size);
                let longer = [&frame[..], &[0; 9]].concat();
                assert_eq!(header.len(&longer), Some(frame.len()));
                assert_eq!(header.len(&frame[..frame.len() - 1]), None);
            }
        }
        assert!(Frame::parse(b"").is_err());
        assert!(Frame::parse(&MAGIC).is_err());
    }
}
