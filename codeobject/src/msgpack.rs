//! MessagePack, as far as the metadata note needs it.
//!
//! A reader over the note's bytes with errors that name the path of the element. It does not know what the elements mean.

use rmp::Marker;
use rmp::decode::{read_int, read_marker};

use crate::Error;

/// The value of a name.
pub(crate) fn named<T: Clone>(table: &[(&str, T)], name: &str) -> Option<T> {
    table
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, value)| value.clone())
}

/// Reads a MessagePack document from front to back, without a tree in memory: an element takes one byte in the note, and
/// dozens in a tree.
pub(crate) struct Reader<'a> {
    note: &'a [u8],
    rest: &'a [u8],
    /// Where the next element stands, for errors.
    path: Vec<Step<'a>>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Key(&'a str),
    Index(u32),
}

impl<'a> Reader<'a> {
    pub(crate) fn new(note: &'a [u8]) -> Self {
        Self {
            note,
            rest: note,
            path: Vec::new(),
        }
    }

    fn refuse(&self, message: impl Into<String>) -> Error {
        let mut path = String::new();
        for step in &self.path {
            match step {
                // The keys below the root begin with the dot that joins them.
                Step::Key(key) => path.push_str(key),
                Step::Index(index) => path.push_str(&format!("[{index}]")),
            }
        }
        if path.is_empty() {
            path.push_str("the document");
        }
        Error::Metadata {
            path,
            message: message.into(),
        }
    }

    pub(crate) fn missing(&self, key: &str) -> Error {
        self.refuse(format!("`{key}` is missing"))
    }

    fn ends(&self) -> Error {
        self.refuse(format!("the note of {} bytes ends here", self.note.len()))
    }

    fn marker(&mut self) -> Result<Marker, Error> {
        read_marker(&mut self.rest).map_err(|_| self.ends())
    }

    fn bytes(&mut self, len: u64) -> Result<&'a [u8], Error> {
        let split = usize::try_from(len)
            .ok()
            .and_then(|len| self.rest.split_at_checked(len));
        let (bytes, rest) = split.ok_or_else(|| self.ends())?;
        self.rest = rest;
        Ok(bytes)
    }

    /// A length that follows a marker: big-endian, of 1, 2 or 4 bytes.
    fn len(&mut self, bytes: u64) -> Result<u64, Error> {
        Ok(self
            .bytes(bytes)?
            .iter()
            .fold(0, |len, byte| len << 8 | u64::from(*byte)))
    }

    pub(crate) fn map(
        &mut self,
        mut element: impl FnMut(&'a str, &mut Self) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let len = match self.marker()? {
            Marker::FixMap(len) => len.into(),
            Marker::Map16 => self.len(2)?,
            Marker::Map32 => self.len(4)?,
            _ => return Err(self.refuse("a map is expected")),
        };
        for _ in 0..len {
            let key = self.text()?;
            self.path.push(Step::Key(key));
            element(key, self)?;
            self.path.pop();
        }
        Ok(())
    }

    pub(crate) fn array(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let len = match self.marker()? {
            Marker::FixArray(len) => len.into(),
            Marker::Array16 => self.len(2)?,
            Marker::Array32 => self.len(4)?,
            _ => return Err(self.refuse("an array is expected")),
        };
        for index in 0..len {
            self.path.push(Step::Index(index as u32));
            element(self)?;
            self.path.pop();
        }
        Ok(())
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, Error> {
        let len = match self.marker()? {
            Marker::FixStr(len) => len.into(),
            Marker::Str8 => self.len(1)?,
            Marker::Str16 => self.len(2)?,
            Marker::Str32 => self.len(4)?,
            _ => return Err(self.refuse("a string is expected")),
        };
        std::str::from_utf8(self.bytes(len)?).map_err(|_| self.refuse("the string is not UTF-8"))
    }

    pub(crate) fn number<N: TryFrom<u64>>(&mut self) -> Result<N, Error> {
        let number: u64 = read_int(&mut self.rest)
            .map_err(|_| self.refuse("a number that is not negative is expected"))?;
        N::try_from(number).map_err(|_| self.refuse(format!("{number} is too large")))
    }

    /// A flag, which clang writes as a boolean or as 0 and 1.
    pub(crate) fn flag(&mut self) -> Result<bool, Error> {
        let mut ahead = self.rest;
        match read_marker(&mut ahead) {
            Ok(marker @ (Marker::True | Marker::False)) => {
                self.rest = ahead;
                Ok(marker == Marker::True)
            }
            _ => Ok(self.number::<u64>()? != 0),
        }
    }

    pub(crate) fn named<T: Clone>(&mut self, table: &[(&str, T)]) -> Result<T, Error> {
        let name = self.text()?;
        named(table, name).ok_or_else(|| self.refuse(format!("`{name}` is not known")))
    }

    pub(crate) fn triple(&mut self) -> Result<[u32; 3], Error> {
        let (mut sizes, mut count) = ([0; 3], 0);
        self.array(|reader| {
            let size = sizes
                .get_mut(count)
                .ok_or_else(|| reader.refuse("three numbers are expected"))?;
            *size = reader.number()?;
            count += 1;
            Ok(())
        })?;
        if count < 3 {
            return Err(self.refuse("three numbers are expected"));
        }
        Ok(sizes)
    }

    /// Passes over an element, however deep it is.
    pub(crate) fn skip(&mut self) -> Result<(), Error> {
        let mut elements = 1_u64;
        while elements > 0 {
            let (bytes, children) = match self.marker()? {
                Marker::FixPos(_)
                | Marker::FixNeg(_)
                | Marker::Null
                | Marker::True
                | Marker::False => (0, 0),
                Marker::U8 | Marker::I8 => (1, 0),
                Marker::U16 | Marker::I16 => (2, 0),
                Marker::U32 | Marker::I32 | Marker::F32 => (4, 0),
                Marker::U64 | Marker::I64 | Marker::F64 => (8, 0),
                Marker::FixStr(len) => (len.into(), 0),
                Marker::Str8 | Marker::Bin8 => (self.len(1)?, 0),
                Marker::Str16 | Marker::Bin16 => (self.len(2)?, 0),
                Marker::Str32 | Marker::Bin32 => (self.len(4)?, 0),
                // An extension has a type byte before its data.
                Marker::FixExt1 => (2, 0),
                Marker::FixExt2 => (3, 0),
                Marker::FixExt4 => (5, 0),
                Marker::FixExt8 => (9, 0),
                Marker::FixExt16 => (17, 0),
                Marker::Ext8 => (self.len(1)? + 1, 0),
                Marker::Ext16 => (self.len(2)? + 1, 0),
                Marker::Ext32 => (self.len(4)? + 1, 0),
                Marker::FixArray(len) => (0, len.into()),
                Marker::Array16 => (0, self.len(2)?),
                Marker::Array32 => (0, self.len(4)?),
                Marker::FixMap(len) => (0, 2 * u64::from(len)),
                Marker::Map16 => (0, 2 * self.len(2)?),
                Marker::Map32 => (0, 2 * self.len(4)?),
                Marker::Reserved => return Err(self.refuse("the byte 0xc1 is not MessagePack")),
            };
            self.bytes(bytes)?;
            // Every child takes a byte, so more than the rest are as wrong as they are plenty.
            elements = elements - 1 + children;
            if elements > self.rest.len() as u64 {
                return Err(self.ends());
            }
        }
        Ok(())
    }
}
