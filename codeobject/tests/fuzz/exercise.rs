//! What is done with an input: everything that the crate can do.

use std::fmt;

use codeobject::bundle::{self, Bundle, EntryId, Writer};
use codeobject::embedded::{self, Image};
use codeobject::{CodeObject, Extent, TargetId};

/// What could be read.
#[derive(Debug, Default)]
pub struct Read {
    bundles: usize,
    code_objects: usize,
    kernels: usize,
}

/// Sums over all cases.
#[derive(Debug, Default)]
pub struct Statistics {
    cases: usize,
    with_bundles: usize,
    with_code_objects: usize,
    kernels: usize,
    /// Of inputs without and with a compressed bundle.
    growth: [f64; 2],
}

impl Statistics {
    pub fn add(&mut self, read: &Read, peak: usize, input: usize, is_compressed: bool) {
        self.cases += 1;
        self.with_bundles += usize::from(read.bundles > 0);
        self.with_code_objects += usize::from(read.code_objects > 0);
        self.kernels += read.kernels;
        let growth = &mut self.growth[usize::from(is_compressed)];
        if input > 4096 {
            *growth = growth.max(peak as f64 / input as f64);
        }
    }
}

impl fmt::Display for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} cases: {} with a bundle that could be read, {} with a code object, {} kernels; most memory {:.1} times the input, \
             {:.1} times if it has a compressed bundle",
            self.cases,
            self.with_bundles,
            self.with_code_objects,
            self.kernels,
            self.growth[0],
            self.growth[1]
        )
    }
}

/// The memory that reading an input may take, in bytes: a small multiple of its size. The mutations do not make
/// decompression bombs, which may take more; those have tests of their own. A compressed bundle may ask for a window of
/// 8 MiB.
pub fn allowed_memory(input: &[u8]) -> usize {
    let window = if has_compressed(input) { 17 << 20 } else { 0 };
    256 * 1024 + 64 * input.len() + window
}

/// Whether an input may hold a compressed bundle.
pub fn has_compressed(input: &[u8]) -> bool {
    memchr::memmem::find(input, b"CCOB").is_some()
}

/// Reads an input in every way.
pub fn all(input: &[u8]) -> Read {
    let mut read = Read::default();
    extent(input);
    for image in embedded::find(input) {
        let found = image.found();
        assert_eq!(
            &input[found.offset..found.offset + found.bytes.len()],
            found.bytes
        );
        match image {
            Image::Bundle(_) => read_bundle(found.bytes, &mut read),
            Image::CodeObject(_) => assert!(CodeObject::parse(found.bytes).is_ok()),
        }
    }
    read_bundle(input, &mut read);
    read_code_object(input, &mut read);
    let text = String::from_utf8_lossy(&input[..input.len().min(200)]);
    for line in text.split(['\0', '\n']) {
        if let Ok(target) = line.parse::<TargetId>() {
            assert_eq!(target.to_string().parse(), Ok(target));
        }
        if let Ok(id) = line.parse::<EntryId>() {
            assert_eq!(id.to_string().parse(), Ok(id));
        }
    }
    read
}

/// Every answer asks for more bytes than it was given, so that a runtime that follows them comes to an end.
fn extent(input: &[u8]) {
    let mut len = Extent::FIRST.min(input.len());
    while let Ok(Extent::NeedsAtLeast(more)) = Extent::of(&input[..len]) {
        assert!(more > len as u64, "{more} after {len}");
        match usize::try_from(more) {
            Ok(more) if more <= input.len() => len = more,
            _ => break,
        }
    }
}

fn read_bundle(bytes: &[u8], read: &mut Read) {
    let Ok(bundle) = Bundle::parse(bytes) else {
        return;
    };
    read.bundles += 1;
    let _ = bundle::verify(bytes);
    let mut writer = Writer::empty();
    for entry in bundle.entries() {
        assert_eq!(
            &bundle.as_bytes()[entry.offset..entry.offset + entry.data.len()],
            entry.data
        );
        writer = writer.add_entry(entry.id.clone(), entry.data);
    }
    // Entries of a hostile bundle may overlap, so that writing them apart could take any amount of memory.
    let total: usize = bundle.entries().map(|entry| entry.data.len()).sum();
    if total <= bundle.as_bytes().len() {
        let written = writer
            .align(1)
            .to_vec()
            .expect("ids that were read are not double");
        let again = Bundle::parse(&written).expect("a bundle that was written can be read");
        assert!(
            again
                .entries()
                .zip(bundle.entries())
                .all(|(a, b)| a.id == b.id && a.data == b.data)
        );
    }
    for device in ["gfx1100", "gfx90a:sramecc+:xnack-", "gfx1201"] {
        let device: TargetId = device.parse().expect("a target id");
        if let Ok(entry) = bundle.select(&device) {
            assert!(
                entry
                    .target()
                    .is_some_and(|target| target.supports(&device))
            );
        }
    }
    // Many entries that share their bytes would only repeat the work.
    for entry in bundle.entries().take(8) {
        read_code_object(entry.data, read);
    }
}

fn read_code_object(bytes: &[u8], read: &mut Read) {
    let Ok(code_object) = CodeObject::parse(bytes) else {
        return;
    };
    read.code_objects += 1;
    read.kernels += code_object.kernels().len();
    let processor = code_object.target().known();
    for kernel in code_object.kernels() {
        assert_eq!(
            code_object.kernel(&kernel.name).map(|found| &found.name),
            Some(&kernel.name)
        );
        assert!(code_object.segment_of(kernel.entry_address).is_some());
        let _ = code_object.bytes_at(kernel.entry_address, kernel.code_size);
        if let Some(processor) = processor {
            for size in [0, 1, 256, u32::MAX] {
                let _ = kernel.occupancy(processor, size, size);
            }
            let _ = kernel.descriptor.allocated_vgprs(processor.family);
        }
    }
    for symbol in code_object.symbols().iter().take(50) {
        let _ = code_object.symbol(symbol.name);
        let _ = code_object.bytes_at(symbol.address, symbol.size);
    }
    for relocation in code_object.relocations() {
        let _ = code_object.bytes_at(relocation.offset, 8);
    }
    let mut end = 0;
    for segment in code_object.segments() {
        assert!(segment.address >= end && segment.memory_size >= segment.data.len() as u64);
        end = segment.address + segment.memory_size;
    }
    assert_eq!(end, code_object.image_size());
    if let Ok(lines) = code_object.line_table() {
        for (range, location) in lines.ranges() {
            assert!(range.start < range.end);
            let found = lines.location(range.start);
            assert!(found.is_some_and(|found| found.line == location.line));
        }
    }
    if let Ok(inlines) = code_object.inline_table() {
        for address in code_object.text().step_by(64).take(1000) {
            let _ = inlines.frames(address).count();
        }
    }
}
