//! Images inside other files: what a program with device code carries along.
//!
//! Offload bundles are found wherever they lie ([`bundle::find`]); bare code objects, as `include_bytes!` embeds them,
//! are found here by their ELF identification. Formats of the files around them do not matter and are not known.

use object::elf::{ELFCLASS64, ELFDATA2LSB, ELFMAG, EV_CURRENT};

use crate::bundle::{self, Found};
use crate::elf::ELFOSABI_AMDGPU_HSA;
use crate::{CodeObject, Extent};

/// How a code object's ELF file starts: 64 bits, little endian, version 1, HSA.
const MAGIC: [u8; 8] = [
    ELFMAG[0],
    ELFMAG[1],
    ELFMAG[2],
    ELFMAG[3],
    ELFCLASS64,
    ELFDATA2LSB,
    EV_CURRENT,
    ELFOSABI_AMDGPU_HSA,
];

/// After this many starts of a code object that cannot be read as one, no more are looked for: each costs a look at its
/// tables.
const MAX_BROKEN: u32 = 64;

/// An image inside other bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Image<'a> {
    /// An offload bundle, plain or compressed.
    Bundle(Found<'a>),
    /// A code object that is in no plain bundle.
    CodeObject(Found<'a>),
}

impl<'a> Image<'a> {
    /// Where it lies.
    pub fn found(&self) -> Found<'a> {
        match self {
            Self::Bundle(found) | Self::CodeObject(found) => *found,
        }
    }
}

/// Whether bytes begin as a code object does. Says nothing of the rest.
pub fn is_code_object(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

/// Finds every bundle and every bare code object, in the order of their places. What looks like the start of one but
/// cannot be read is passed over.
pub fn find(bytes: &[u8]) -> Vec<Image<'_>> {
    let mut images = Vec::new();
    let mut position = 0;
    let mut broken = 0;
    for found in bundle::find(bytes) {
        find_code_objects(bytes, position..found.offset, &mut broken, &mut images);
        position = found.offset + found.bytes.len();
        images.push(Image::Bundle(found));
    }
    find_code_objects(bytes, position..bytes.len(), &mut broken, &mut images);
    images
}

/// Adds the code objects in a stretch of the file.
fn find_code_objects<'a>(
    bytes: &'a [u8],
    stretch: std::ops::Range<usize>,
    broken: &mut u32,
    images: &mut Vec<Image<'a>>,
) {
    let finder = memchr::memmem::Finder::new(&MAGIC);
    let mut position = stretch.start;
    while let Some(at) = finder.find(&bytes[position..stretch.end]) {
        let offset = position + at;
        let rest = &bytes[offset..stretch.end];
        match complete(rest).filter(|image| CodeObject::parse(image).is_ok()) {
            Some(image) => {
                images.push(Image::CodeObject(Found {
                    offset,
                    bytes: image,
                }));
                position = offset + image.len();
            }
            None => {
                *broken += 1;
                if *broken > MAX_BROKEN {
                    return;
                }
                position = offset + MAGIC.len();
            }
        }
    }
}

/// The bytes of the ELF file that `bytes` begin with, if all of it is there.
fn complete(bytes: &[u8]) -> Option<&[u8]> {
    match Extent::of(bytes) {
        Ok(Extent::Complete(len)) => bytes.get(..usize::try_from(len).ok()?),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: &[u8] = include_bytes!("../tests/corpus/gfx1100.bin");

    #[test]
    fn images_between_other_bytes_are_found_in_order() {
        let bundle = bundle::Writer::new()
            .align(8)
            .add("gfx1100".parse().unwrap(), CODE)
            .to_vec()
            .unwrap();
        let mut file = b"\x7fELF\x02\x01\x01\x00 a program with device code ".to_vec();
        let mut expected = Vec::new();
        for part in [CODE, &bundle, CODE, CODE] {
            file.extend_from_slice(&MAGIC);
            file.extend_from_slice(b"no code object");
            expected.push((file.len(), part));
            file.extend_from_slice(part);
        }
        let found: Vec<(usize, &[u8])> = find(&file)
            .iter()
            .map(|image| (image.found().offset, image.found().bytes))
            .collect();
        assert!(
            found == expected,
            "{:?}",
            found.iter().map(|f| (f.0, f.1.len())).collect::<Vec<_>>()
        );
        // What a plain bundle holds is not named a second time.
        assert!(matches!(find(&bundle)[..], [Image::Bundle(_)]));
        assert!(find(&CODE[..CODE.len() - 1]).is_empty());
    }

    #[test]
    fn starts_without_an_end_cost_little() {
        let file = MAGIC.repeat(1 << 20);
        let start = std::time::Instant::now();
        assert!(find(&file).is_empty());
        assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
    }
}
