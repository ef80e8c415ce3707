//! Source lines: which line of which file an instruction was compiled from.
//!
//! Reads `.debug_line`, which `-gline-tables-only` and `-g` write. A program of DWARF version 5 stands by itself, so no
//! other debugging information is needed. What is at an address is not known here.

use std::ops::Range;

use gimli::{
    AttributeValue, DebugLine, DebugLineOffset, EndianSlice, FileEntry, LineProgramHeader,
    LittleEndian,
};

use crate::Error;
use crate::bytes::Cursor;

type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// File and directory names longer than this are refused: they would let a small file ask for a long search per name.
const MAX_NAME: usize = 4096;

/// Line programs with a larger header are refused: its table of files may take some hundred times its size in memory. A
/// file has some twenty bytes there.
const MAX_HEADER: u64 = 256 << 10;

/// The line table of a code object.
#[derive(Debug, Clone, Default)]
pub struct LineTable<'a> {
    files: Vec<SourceFile<'a>>,
    /// In the order of their addresses; each row reaches to the next one.
    rows: Vec<Row>,
}

/// A source file as the compiler names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SourceFile<'a> {
    directory: &'a str,
    name: &'a str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Row {
    address: u64,
    /// Index of the file; `NO_FILE` where no line is known, as after the end of a function.
    file: u32,
    line: u32,
    column: u32,
}

const NO_FILE: u32 = u32::MAX;

/// A place in a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
pub struct Location<'a> {
    /// The directory; empty if `file` is an absolute path.
    pub directory: &'a str,
    /// The file, relative to the directory.
    pub file: &'a str,
    /// The line, from 1 on; 0 for code that belongs to no line.
    pub line: u32,
    /// The column, from 1 on; 0 for the line as a whole.
    pub column: u32,
}

impl Location<'_> {
    /// The path of the file.
    pub fn path(&self) -> String {
        if self.directory.is_empty() {
            self.file.to_owned()
        } else {
            format!("{}/{}", self.directory.trim_end_matches('/'), self.file)
        }
    }
}

impl std::fmt::Display for Location<'_> {
    /// `file:line:column` with the file as the compiler was given it, without the directory.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

impl<'a> LineTable<'a> {
    /// Reads the sections `.debug_line`, `.debug_line_str` and `.debug_str`. Of the programs only what lies in `text` counts:
    /// the linker leaves rows of functions that it dropped at other addresses.
    pub(crate) fn parse(
        line: &'a [u8],
        line_str: &'a [u8],
        str: &'a [u8],
        text: &Range<u64>,
    ) -> Result<Self, Error> {
        let strings = Strings { line_str, str };
        let section = DebugLine::new(line, LittleEndian);
        let mut table = Self::default();
        let mut offset = 0;
        while offset < line.len() {
            check_header(line, offset)?;
            let program = section
                .program(DebugLineOffset(offset), 8, None, None)
                .map_err(broken(offset))?;
            let unit_length = program.header().unit_length();
            // The length counts from behind itself: 4 bytes, or an escape of 4 and 8.
            let prefix = if program.header().encoding().format == gimli::Format::Dwarf64 {
                12
            } else {
                4
            };
            table.add_program(program, &strings, offset, text)?;
            offset = offset.saturating_add(unit_length).saturating_add(prefix);
        }
        // Stable: where two sequences meet, the end of the first must not hide the start of the second.
        table
            .rows
            .sort_by_key(|row| (row.address, row.file != NO_FILE));
        // Of several rows for one address the last one counts.
        table.rows.dedup_by(|next, row| {
            let same = next.address == row.address;
            if same {
                *row = *next;
            }
            same
        });
        table
            .rows
            .dedup_by_key(|row| (row.file, row.line, row.column));
        Ok(table)
    }

    fn add_program(
        &mut self,
        program: gimli::IncompleteLineProgram<Slice<'a>>,
        strings: &Strings<'a>,
        offset: usize,
        text: &Range<u64>,
    ) -> Result<(), Error> {
        // The files of this program that rows name, by their number.
        let mut known: Vec<Option<u32>> = Vec::new();
        let mut rows = program.rows();
        while let Some((header, row)) = rows.next_row().map_err(broken(offset))? {
            let ends_text = row.end_sequence() && row.address() == text.end;
            if !text.contains(&row.address()) && !ends_text {
                continue;
            }
            if row.end_sequence() {
                self.rows.push(Row {
                    address: row.address(),
                    file: NO_FILE,
                    line: 0,
                    column: 0,
                });
                continue;
            }
            let number = usize::try_from(row.file_index()).unwrap_or(usize::MAX);
            let file = match known.get(number).copied().flatten() {
                Some(file) => file,
                None => {
                    // A row that names no file of the header has no line.
                    let Some(entry) = row.file(header) else {
                        continue;
                    };
                    let file = SourceFile::new(entry, header, strings)?;
                    let index = self.files.len() as u32;
                    self.files.push(file);
                    // The header has this file, so the number is below the header's size.
                    known.resize(known.len().max(number + 1), None);
                    known[number] = Some(index);
                    index
                }
            };
            self.rows.push(Row {
                address: row.address(),
                file,
                line: row
                    .line()
                    .map_or(0, |line| u32::try_from(line.get()).unwrap_or(u32::MAX)),
                column: match row.column() {
                    gimli::ColumnType::LeftEdge => 0,
                    gimli::ColumnType::Column(column) => {
                        u32::try_from(column.get()).unwrap_or(u32::MAX)
                    }
                },
            });
        }
        Ok(())
    }

    /// Where the instruction at an address of the image comes from; `None` if the table does not say.
    pub fn location(&self, address: u64) -> Option<Location<'a>> {
        let after = self.rows.partition_point(|row| row.address <= address);
        self.resolve(self.rows.get(after.checked_sub(1)?)?)
    }

    /// The stretches of code in the order of their addresses, each with its source.
    pub fn ranges(&self) -> impl Iterator<Item = (Range<u64>, Location<'a>)> + '_ {
        self.rows
            .windows(2)
            .filter_map(|rows| Some((rows[0].address..rows[1].address, self.resolve(&rows[0])?)))
    }

    fn resolve(&self, row: &Row) -> Option<Location<'a>> {
        let file = self.files.get(row.file as usize)?;
        Some(file.location(row.line, row.column))
    }
}

impl<'a> SourceFile<'a> {
    pub(crate) fn new(
        entry: &FileEntry<Slice<'a>>,
        header: &LineProgramHeader<Slice<'a>>,
        strings: &Strings<'a>,
    ) -> Result<Self, Error> {
        let name = strings.text(&entry.path_name())?;
        let directory = match entry.directory(header) {
            Some(directory) if !name.starts_with('/') => strings.text(&directory)?,
            _ => "",
        };
        Ok(Self { directory, name })
    }

    pub(crate) fn location(self, line: u32, column: u32) -> Location<'a> {
        Location {
            directory: self.directory,
            file: self.name,
            line,
            column,
        }
    }
}

/// The sections that names are in.
pub(crate) struct Strings<'a> {
    pub(crate) line_str: &'a [u8],
    pub(crate) str: &'a [u8],
}

impl<'a> Strings<'a> {
    pub(crate) fn text(&self, value: &AttributeValue<Slice<'a>>) -> Result<&'a str, Error> {
        let refuse = |message: &str| Error::Elf {
            what: "a file name in the line table",
            message: message.to_owned(),
        };
        let bytes = match value {
            AttributeValue::String(text) => text.slice(),
            AttributeValue::DebugLineStrRef(offset) => terminated(self.line_str, offset.0)
                .ok_or_else(|| refuse("it is not in .debug_line_str"))?,
            AttributeValue::DebugStrRef(offset) => {
                terminated(self.str, offset.0).ok_or_else(|| refuse("it is not in .debug_str"))?
            }
            _ => return Err(refuse("it has a form that is not read here")),
        };
        std::str::from_utf8(bytes).map_err(|_| refuse("it is not UTF-8"))
    }
}

/// Refuses a line program with a header that is too large, before it is read.
pub(crate) fn check_header(line: &[u8], offset: usize) -> Result<(), Error> {
    const WHAT: &str = "the header of a line program";
    let mut cursor = Cursor::new(line.get(offset..).unwrap_or_default());
    let is_64 = cursor.u32(WHAT)? == 0xffff_ffff;
    if is_64 {
        cursor.u64(WHAT)?;
    }
    if cursor.u16(WHAT)? >= 5 {
        // The sizes of an address and of a segment selector.
        cursor.u16(WHAT)?;
    }
    let len = if is_64 {
        cursor.u64(WHAT)?
    } else {
        cursor.u32(WHAT)?.into()
    };
    if len > MAX_HEADER {
        return Err(Error::Field {
            what: "the length of a line program's header",
            found: len.to_string(),
            expected: "at most 262144",
        });
    }
    Ok(())
}

/// The bytes up to the next zero.
fn terminated(section: &[u8], offset: usize) -> Option<&[u8]> {
    let from = section.get(offset..)?;
    let from = &from[..from.len().min(MAX_NAME)];
    Some(&from[..memchr::memchr(0, from)?])
}

fn broken(offset: usize) -> impl Fn(gimli::Error) -> Error {
    move |error| Error::Elf {
        what: "the line table",
        message: format!("the program at {offset:#x} of .debug_line: {error}"),
    }
}
