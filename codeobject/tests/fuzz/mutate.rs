//! The inputs: real files and what mutations make of them.

use std::ops::Range;

use codeobject::bundle::Writer;
use md5::{Digest, Md5};

use crate::harness::Random;

const CODE_OBJECTS: [(&str, &[u8]); 3] = [
    ("gfx1100", include_bytes!("../corpus/gfx1100.bin")),
    ("gfx90a:xnack-", include_bytes!("../corpus/gfx90a.bin")),
    (
        "gfx11-generic",
        include_bytes!("../corpus/gfx11-generic.bin"),
    ),
];

/// The code objects, bundles of them, compressed ones, and a file with several bundles inside.
pub fn corpus() -> Vec<Vec<u8>> {
    let mut corpus: Vec<Vec<u8>> = CODE_OBJECTS
        .iter()
        .map(|(_, bytes)| bytes.to_vec())
        .collect();
    let mut writer = Writer::new().align(64);
    for (target, bytes) in CODE_OBJECTS {
        writer = writer.add(target.parse().expect("a target id"), bytes);
    }
    let bundle = writer.to_vec().expect("a bundle");
    let small = Writer::new()
        .align(1)
        .add("gfx1030".parse().expect("a target id"), &b"code"[..]);
    let small = small.to_vec().expect("a bundle");
    let container = |version: u16, method: u16, content: &[u8]| {
        let mut bytes = b"CCOB".to_vec();
        bytes.extend_from_slice(&version.to_le_bytes());
        bytes.extend_from_slice(&method.to_le_bytes());
        let size_len = if version == 3 { 8 } else { 4 };
        let header_len = 8 + size_len * if version == 1 { 1 } else { 2 } + 8;
        if version > 1 {
            bytes.extend_from_slice(
                &((header_len + content.len()) as u64).to_le_bytes()[..size_len],
            );
        }
        bytes.extend_from_slice(&(bundle.len() as u64).to_le_bytes()[..size_len]);
        bytes.extend_from_slice(&Md5::digest(&bundle)[..8]);
        bytes.extend_from_slice(content);
        bytes
    };
    let sized = zstd::bulk::compress(&bundle, 6).expect("a compressed bundle");
    let unsized_ = zstd::stream::encode_all(&bundle[..], 3).expect("a compressed bundle");
    let zlib = miniz_oxide::deflate::compress_to_vec_zlib(&bundle, 6);
    let zstd = container(2, 1, &sized);
    let version_1 = container(1, 1, &sized);
    let version_3 = container(3, 1, &unsized_);
    let zlib = container(2, 0, &zlib);
    let file = [
        &b"\x7fELF..."[..],
        &small,
        &[0; 100],
        &zstd,
        &version_1,
        &small,
    ]
    .concat();
    corpus.extend([bundle, small, zstd, version_1, zlib, version_3, file]);
    corpus
}

/// Takes a file of the corpus and changes it in a few places.
pub fn mutate(corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = corpus[random.below(corpus.len())].clone();
    // A mutation of a code object's headers seldom survives a second one.
    let count = 1 + random.below(4).min(random.below(8));
    for _ in 0..count {
        if bytes.is_empty() {
            break;
        }
        let place = place(&bytes, random);
        change(&mut bytes, place, corpus, random);
    }
    bytes
}

/// Where to change: anywhere, or in a part that decides how the rest is read.
fn place(bytes: &[u8], random: &mut Random) -> usize {
    let start = match random.below(4) {
        0 => return random.below(bytes.len()),
        // The start of the file, or of a code object in it.
        1 => 0,
        _ => {
            let elves: Vec<usize> = memchr::memmem::find_iter(bytes, b"\x7fELF").collect();
            if elves.is_empty() {
                0
            } else {
                elves[random.below(elves.len())]
            }
        }
    };
    let rest = &bytes[start..];
    let part = match interesting(rest, random) {
        Some(part) if part.end <= rest.len() && !part.is_empty() => part,
        _ => 0..rest.len().min(256),
    };
    start + part.start + random.below(part.len().max(1))
}

/// A header, table or section of an ELF file.
fn interesting(elf: &[u8], random: &mut Random) -> Option<Range<usize>> {
    let number = |at: usize, len: usize| {
        let bytes = elf.get(at..at.checked_add(len)?)?;
        Some(
            bytes
                .iter()
                .rev()
                .fold(0_usize, |number, byte| number << 8 | usize::from(*byte)),
        )
    };
    let (segments, sections) = (number(32, 8)?, number(40, 8)?);
    let count = number(60, 2)?;
    match random.below(4) {
        0 => Some(0..64),
        1 => Some(segments..segments.checked_add(56 * number(56, 2)?)?),
        2 => Some(sections..sections.checked_add(64 * count)?),
        _ => {
            let header = sections.checked_add(64 * random.below(count.max(1)))?;
            let start = number(header.checked_add(24)?, 8)?;
            Some(start..start.checked_add(number(header.checked_add(32)?, 8)?)?)
        }
    }
}

/// Values at which comparisons and sums go wrong.
const EDGES: [u64; 12] = [
    0,
    1,
    2,
    0x7f,
    0x80,
    0xff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    i64::MAX as u64,
    1 << 63,
    u64::MAX,
];

fn change(bytes: &mut Vec<u8>, place: usize, corpus: &[Vec<u8>], random: &mut Random) {
    let len = bytes.len();
    let rest = len - place;
    match random.below(12) {
        0..=2 => bytes[place] ^= 1 << random.below(8),
        3 | 4 => bytes[place] = random.next() as u8,
        5..=7 => {
            // A number of 2, 4 or 8 bytes, often one near the file's own length.
            let width = [2, 4, 8][random.below(3)].min(rest);
            let value = match random.below(3) {
                0 => EDGES[random.below(EDGES.len())],
                1 => (len as u64)
                    .wrapping_add(random.below(33) as u64)
                    .wrapping_sub(16),
                _ => random.below(len) as u64,
            };
            bytes[place..place + width].copy_from_slice(&value.to_le_bytes()[..width]);
        }
        8 => bytes.truncate(place),
        9 => {
            let end = place + random.below(rest.min(64)) + 1;
            bytes.drain(place..end);
        }
        10 => {
            // A stretch of any file of the corpus, the same one included.
            let other = &corpus[random.below(corpus.len())];
            let start = random.below(other.len());
            let end = start + random.below((other.len() - start).min(512)) + 1;
            let to = place + (end - start).min(rest);
            let into = if random.below(2) == 0 {
                place..to
            } else {
                place..place
            };
            bytes.splice(into, other[start..end].iter().copied());
        }
        _ => {
            let end = place + random.below(rest.min(256)) + 1;
            let again = bytes[place..end].repeat(1 + random.below(8));
            bytes.splice(place..place, again);
        }
    }
}
