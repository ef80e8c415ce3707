//! Inputs that were thought out to take much memory or time: tables of the smallest elements that a format has.

use codeobject::bundle;

use crate::harness::Attempt;

const CODE_OBJECT: &[u8] = include_bytes!("../corpus/gfx1100.bin");
/// The size of each hostile table, in bytes.
const SIZE: usize = 1 << 20;

/// All of them.
pub fn attempts() -> Vec<Attempt> {
    let attempt = |name, input, factor| Attempt {
        name,
        input,
        factor,
    };
    vec![
        attempt("symbols", symbols(), 16),
        attempt("relocations", relocations(), 16),
        attempt(
            "printf formats of no length",
            with_note(&metadata(b"amdhsa.printf", &[0xa0])),
            64,
        ),
        attempt(
            "unknown elements of one byte",
            with_note(&metadata(b"unknown", &[0xc0])),
            4,
        ),
        attempt("deep nesting", with_note(&metadata(b"unknown", &[0x91])), 4),
        attempt(
            "kernels",
            with_note(&metadata(b"amdhsa.kernels", &[0x80])),
            4,
        ),
        attempt(
            "rows of the line table",
            with_section(".debug_line", &line_program(&[2, 0, 0], &[0x13; SIZE])),
            96,
        ),
        attempt(
            "programs of the line table",
            with_section(".debug_line", &line_program(&[0], &[]).repeat(SIZE / 60)),
            64,
        ),
        attempt(
            "files of a line program",
            with_section(".debug_line", &padded(line_program(&files(250 << 10), &[]))),
            64,
        ),
        attempt(
            "too many files of a line program",
            with_section(".debug_line", &line_program(&files(SIZE), &[])),
            4,
        ),
        attempt(
            "debugging entries",
            with_section(".debug_info", &entries()),
            128,
        ),
        attempt("entries of a bundle", bundle_entries(), 8),
        attempt("bundles one in another", bundle::MAGIC.repeat(SIZE / 24), 4),
        attempt(
            "compressed bundles one in another",
            b"CCOB\x01\0\x01\0".repeat(SIZE / 8),
            4,
        ),
    ]
}

fn number(bytes: &[u8], at: usize, len: usize) -> usize {
    bytes[at..at + len]
        .iter()
        .rev()
        .fold(0, |number, byte| number << 8 | usize::from(*byte))
}

/// The code object with other contents in a section, which are put at the file's end.
fn with_section(name: &str, contents: &[u8]) -> Vec<u8> {
    let mut bytes = CODE_OBJECT.to_vec();
    let sections = number(&bytes, 40, 8);
    let header = |index: usize| sections + 64 * index;
    let names = number(&bytes, header(number(&bytes, 62, 2)) + 24, 8);
    let wanted = [name.as_bytes(), b"\0"].concat();
    let index = (0..number(&bytes, 60, 2))
        .find(|index| bytes[names + number(&bytes, header(*index), 4)..].starts_with(&wanted))
        .unwrap_or_else(|| panic!("the corpus has a section {name}"));
    let offset = bytes.len().next_multiple_of(8);
    bytes.resize(offset, 0);
    bytes.extend_from_slice(contents);
    bytes[header(index) + 24..header(index) + 32].copy_from_slice(&(offset as u64).to_le_bytes());
    bytes[header(index) + 32..header(index) + 40]
        .copy_from_slice(&(contents.len() as u64).to_le_bytes());
    bytes
}

/// The code object with another metadata note.
fn with_note(metadata: &[u8]) -> Vec<u8> {
    let mut bytes = CODE_OBJECT.to_vec();
    let segments = number(&bytes, 32, 8);
    let header = (0..number(&bytes, 56, 2))
        .map(|index| segments + 56 * index)
        .find(|header| number(&bytes, *header, 4) == 4)
        .expect("the corpus has a note");
    let offset = bytes.len().next_multiple_of(8);
    bytes.resize(offset, 0);
    for field in [7, metadata.len() as u32, 32] {
        bytes.extend_from_slice(&field.to_le_bytes());
    }
    bytes.extend_from_slice(b"AMDGPU\0\0");
    bytes.extend_from_slice(metadata);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    let len = (bytes.len() - offset) as u64;
    bytes[header + 8..header + 16].copy_from_slice(&(offset as u64).to_le_bytes());
    bytes[header + 32..header + 40].copy_from_slice(&len.to_le_bytes());
    bytes
}

/// A document with an array of one element many times.
fn metadata(key: &[u8], element: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x81, 0xa0 | key.len() as u8];
    bytes.extend_from_slice(key);
    bytes.push(0xdd);
    bytes.extend_from_slice(&(SIZE as u32).to_be_bytes());
    bytes.extend_from_slice(&element.repeat(SIZE));
    bytes
}

fn symbols() -> Vec<u8> {
    // Name 1, function, global, section 1.
    let symbol = [&[1, 0, 0, 0, 0x12, 0, 1, 0][..], &[0; 16]].concat();
    with_section(".symtab", &symbol.repeat(SIZE / 24))
}

fn relocations() -> Vec<u8> {
    with_section(".rela.dyn", &[0; 24].repeat(SIZE / 24))
}

/// A program of DWARF version 5 with these file names and opcodes.
fn line_program(files: &[u8], opcodes: &[u8]) -> Vec<u8> {
    // Instructions of 4 bytes, operations, is_stmt, line base and range, opcode base, lengths of opcodes.
    let mut header = vec![4, 1, 1, 0xfb, 14, 13, 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1];
    // Directories: a path as a string, none of them.
    header.extend_from_slice(&[1, 1, 8, 0]);
    // Files: a path as a string, which takes one byte if it is empty.
    header.extend_from_slice(&[1, 1, 8]);
    header.extend_from_slice(files);
    let mut program = vec![5, 0, 8, 0];
    program.extend_from_slice(&(header.len() as u32).to_le_bytes());
    program.extend_from_slice(&header);
    // DW_LNE_set_address at the code, so that the rows count.
    let text = codeobject::CodeObject::parse(CODE_OBJECT)
        .expect("the corpus")
        .text()
        .start;
    program.extend_from_slice(&[0, 9, 2]);
    program.extend_from_slice(&text.to_le_bytes());
    program.extend_from_slice(opcodes);
    let mut bytes = (program.len() as u32).to_le_bytes().to_vec();
    bytes.extend_from_slice(&program);
    bytes
}

/// A number in LEB128 and as many files without a name.
fn files(count: usize) -> Vec<u8> {
    let group = |shift: u32, more: u8| (count >> shift & 0x7f) as u8 | more;
    let mut bytes = vec![group(0, 0x80), group(7, 0x80), group(14, 0)];
    bytes.resize(bytes.len() + count, 0);
    bytes
}

fn padded(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.resize(SIZE, 0);
    bytes
}

/// The entries of the corpus's unit, again and again without an end.
fn entries() -> Vec<u8> {
    let mut unit = vec![5, 0, 1, 8, 0, 0, 0, 0];
    // The abbreviation of a function without attributes' bytes, where the corpus has one; wrong ones end in an error.
    unit.extend_from_slice(&[2; SIZE]);
    let mut bytes = (unit.len() as u32).to_le_bytes().to_vec();
    bytes.extend_from_slice(&unit);
    bytes
}

/// As many entries as a bundle may have, all of the same bytes.
fn bundle_entries() -> Vec<u8> {
    let mut bytes = bundle::MAGIC.to_vec();
    bytes.extend_from_slice(&4096_u64.to_le_bytes());
    for index in 0..4096 {
        let id = format!("hipv4-amdgcn-amd-amdhsa--gfx{index:05}");
        for field in [0, SIZE as u64, id.len() as u64] {
            bytes.extend_from_slice(&field.to_le_bytes());
        }
        bytes.extend_from_slice(id.as_bytes());
    }
    bytes.resize(SIZE.max(bytes.len()), 0);
    bytes
}
