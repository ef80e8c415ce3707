//! Inlined functions: through which calls an instruction came into its kernel.
//!
//! A kernel's device functions are nearly always inlined, so the line of an instruction alone says too little. Reads
//! `.debug_info`, which `-gline-tables-only` and `-g` write. Work and memory are bounded by the sections' sizes: tables
//! that several entries share are counted each time that they are read, and reading ends when the count is too high.

use std::collections::HashMap;
use std::ops::Range;

use gimli::Section as _;
use gimli::{
    AbbreviationsCacheStrategy, AttributeValue, DebuggingInformationEntry, Dwarf, EndianSlice,
    LineProgramHeader, LittleEndian, Unit, UnitHeader,
};

use crate::Error;
use crate::lines::{Location, SourceFile, Strings, check_header};

type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// How often the debugging sections may be read over before they are taken as hostile. Compilers write range lists and
/// line tables for one user each.
const MAX_PASSES: usize = 4;

/// The functions of a code object and what was inlined into them.
#[derive(Debug, Clone, Default)]
pub struct InlineTable<'a> {
    /// By start, an outer one before what is in it.
    scopes: Vec<Scope<'a>>,
}

/// A stretch of code that belongs to a function.
#[derive(Debug, Clone)]
struct Scope<'a> {
    range: Range<u64>,
    depth: u32,
    function: &'a str,
    call: Option<Location<'a>>,
    /// The scope that this one is in.
    parent: Option<u32>,
}

/// A function that an instruction belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Frame<'a> {
    /// The function's name as the debugging information has it, without parameters; empty if it has none.
    pub function: &'a str,
    /// Where it was called, if it was inlined there.
    pub call: Option<Location<'a>>,
}

impl<'a> InlineTable<'a> {
    /// Reads the sections that `section` gives by their names.
    pub(crate) fn parse(section: impl Fn(&str) -> Result<&'a [u8], Error>) -> Result<Self, Error> {
        let mut size = 0;
        let mut dwarf = Dwarf::load(|id| {
            let bytes = section(id.name())?;
            size += bytes.len();
            Ok::<_, Error>(EndianSlice::new(bytes, LittleEndian))
        })?;
        dwarf.populate_abbreviations_cache(AbbreviationsCacheStrategy::Duplicates);
        let strings = Strings {
            line_str: dwarf.debug_line_str.reader().slice(),
            str: dwarf.debug_str.reader().slice(),
        };
        let mut reading = Reading {
            dwarf: &dwarf,
            strings,
            budget: size.saturating_mul(MAX_PASSES),
            scopes: Vec::new(),
        };
        let mut units = dwarf.units();
        while let Some(header) = units.next().map_err(broken)? {
            reading.check_lines(&header)?;
            let unit = dwarf.unit(header).map_err(broken)?;
            reading.add_unit(&unit)?;
        }
        Ok(Self {
            scopes: nest(reading.scopes),
        })
    }

    /// The functions that the instruction at an address belongs to, the innermost first. The last one was not inlined.
    pub fn frames(&self, address: u64) -> impl Iterator<Item = Frame<'a>> + '_ {
        let after = self
            .scopes
            .partition_point(|scope| scope.range.start <= address);
        let mut next = after.checked_sub(1);
        std::iter::from_fn(move || {
            loop {
                let scope = &self.scopes[next?];
                next = scope.parent.map(|parent| parent as usize);
                if scope.range.contains(&address) {
                    return Some(Frame {
                        function: scope.function,
                        call: scope.call,
                    });
                }
            }
        })
    }
}

/// Sorts scopes and gives each the one that it is in.
fn nest(mut scopes: Vec<Scope<'_>>) -> Vec<Scope<'_>> {
    scopes.sort_by_key(|scope| (scope.range.start, scope.depth, u64::MAX - scope.range.end));
    let mut open: Vec<u32> = Vec::new();
    for index in 0..scopes.len() {
        while open
            .last()
            .is_some_and(|outer| scopes[*outer as usize].range.end <= scopes[index].range.start)
        {
            open.pop();
        }
        scopes[index].parent = open.last().copied();
        open.push(index as u32);
    }
    scopes
}

/// The state of reading `.debug_info`.
struct Reading<'d, 'a> {
    dwarf: &'d Dwarf<Slice<'a>>,
    strings: Strings<'a>,
    /// Bytes that may still be read again.
    budget: usize,
    scopes: Vec<Scope<'a>>,
}

impl<'a> Reading<'_, 'a> {
    fn spend(&mut self, bytes: usize) -> Result<(), Error> {
        self.budget = self.budget.checked_sub(bytes).ok_or_else(|| Error::Elf {
            what: "the debugging information",
            message: "its tables are shared so often that reading it would not end".to_owned(),
        })?;
        Ok(())
    }

    /// Refuses a unit whose line program must not be read, which making a `Unit` does.
    fn check_lines(&self, header: &UnitHeader<Slice<'a>>) -> Result<(), Error> {
        let abbreviations = self.dwarf.abbreviations(header).map_err(broken)?;
        let mut entries = header.entries(&abbreviations);
        let root = entries.next_dfs().map_err(broken)?;
        match root.and_then(|root| root.attr_value(gimli::DW_AT_stmt_list)) {
            Some(AttributeValue::DebugLineRef(offset)) => {
                check_header(self.dwarf.debug_line.reader().slice(), offset.0)
            }
            _ => Ok(()),
        }
    }

    fn add_unit(&mut self, unit: &Unit<Slice<'a>>) -> Result<(), Error> {
        let lines = unit.line_program.as_ref().map(|program| program.header());
        if let Some(lines) = lines {
            self.spend(lines.header_length())?;
        }
        // The functions' names by their entries' offsets; entries that name another one for it; scopes without a name.
        let mut names: HashMap<usize, &'a str> = HashMap::new();
        let mut origins: HashMap<usize, usize> = HashMap::new();
        let mut nameless: Vec<(usize, usize)> = Vec::new();
        let mut entries = unit.entries();
        while let Some(entry) = entries.next_dfs().map_err(broken)? {
            let is_inlined = entry.tag() == gimli::DW_TAG_inlined_subroutine;
            if !is_inlined && entry.tag() != gimli::DW_TAG_subprogram {
                continue;
            }
            let name = match entry.attr_value(gimli::DW_AT_name) {
                Some(value) => self.text(unit, &value)?,
                None => None,
            };
            if let Some(name) = name {
                names.insert(entry.offset().0, name);
            }
            let call = if is_inlined {
                self.call(lines, entry)?
            } else {
                None
            };
            let origin = [gimli::DW_AT_abstract_origin, gimli::DW_AT_specification];
            let origin = origin
                .iter()
                .find_map(|attribute| match entry.attr_value(*attribute) {
                    Some(AttributeValue::UnitRef(offset)) => Some(offset.0),
                    _ => None,
                });
            if let Some(origin) = origin {
                origins.insert(entry.offset().0, origin);
            }
            let depth = u32::try_from(entry.depth()).unwrap_or(0);
            let mut ranges = self.dwarf.die_ranges(unit, entry).map_err(broken)?;
            while let Some(range) = ranges.next().map_err(broken)? {
                // The shortest entry of a range list has two bytes.
                self.spend(2)?;
                if range.begin >= range.end {
                    continue;
                }
                if name.is_none() {
                    nameless.push((self.scopes.len(), entry.offset().0));
                }
                self.scopes.push(Scope {
                    range: range.begin..range.end,
                    depth,
                    function: name.unwrap_or_default(),
                    call,
                    parent: None,
                });
            }
        }
        for (scope, entry) in nameless {
            // An inlined call names its function, which names its declaration in a class.
            let chain = std::iter::successors(Some(entry), |entry| origins.get(entry).copied());
            if let Some(name) = chain.take(4).find_map(|entry| names.get(&entry)) {
                self.scopes[scope].function = name;
            }
        }
        Ok(())
    }

    /// Where an inlined function was called.
    fn call(
        &self,
        lines: Option<&LineProgramHeader<Slice<'a>>>,
        entry: &DebuggingInformationEntry<Slice<'a>>,
    ) -> Result<Option<Location<'a>>, Error> {
        let number = |attribute| match entry.attr_value(attribute)? {
            AttributeValue::FileIndex(index) => Some(index),
            value => value.udata_value(),
        };
        let (Some(file), Some(lines)) = (number(gimli::DW_AT_call_file), lines) else {
            return Ok(None);
        };
        let Some(file) = lines.file(file) else {
            return Ok(None);
        };
        let file = SourceFile::new(file, lines, &self.strings)?;
        let small =
            |value: Option<u64>| value.map_or(0, |value| u32::try_from(value).unwrap_or(u32::MAX));
        Ok(Some(file.location(
            small(number(gimli::DW_AT_call_line)),
            small(number(gimli::DW_AT_call_column)),
        )))
    }

    fn text(
        &self,
        unit: &Unit<Slice<'a>>,
        value: &AttributeValue<Slice<'a>>,
    ) -> Result<Option<&'a str>, Error> {
        let value = match value {
            AttributeValue::DebugStrOffsetsIndex(index) => {
                AttributeValue::DebugStrRef(self.dwarf.string_offset(unit, *index).map_err(broken)?)
            }
            other => *other,
        };
        self.strings.text(&value).map(Some)
    }
}

fn broken(error: impl std::fmt::Display) -> Error {
    Error::Elf {
        what: "the debugging information",
        message: error.to_string(),
    }
}
