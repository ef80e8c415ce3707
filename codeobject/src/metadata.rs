//! The metadata note of a code object: kernels, their arguments and their needs.
//!
//! The note is a MessagePack map; keys and values are those of the AMDGPU usage guide, "Code Object Metadata". Unknown
//! keys are passed over, as newer compilers add some; a known key with a value of the wrong type is an error that names
//! its path.

use rmp::Marker;
use rmp::decode::{read_int, read_marker};

use crate::Error;

/// The metadata as it stands in the note, before symbols are looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Metadata {
    pub(crate) target: Option<String>,
    pub(crate) printf: Vec<String>,
    pub(crate) kernels: Vec<KernelMetadata>,
}

/// What the metadata says about one kernel.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct KernelMetadata {
    pub(crate) name: String,
    pub(crate) symbol: String,
    pub(crate) kind: KernelKind,
    pub(crate) language: Option<String>,
    pub(crate) args: Vec<Arg>,
    pub(crate) reqd_workgroup_size: Option<[u32; 3]>,
    pub(crate) kernarg_segment_size: u64,
    pub(crate) kernarg_segment_align: u64,
    pub(crate) group_segment_fixed_size: u32,
    pub(crate) private_segment_fixed_size: u32,
    pub(crate) wavefront_size: u32,
    pub(crate) sgpr_count: u32,
    pub(crate) vgpr_count: u32,
    pub(crate) agpr_count: u32,
    pub(crate) sgpr_spill_count: u32,
    pub(crate) vgpr_spill_count: u32,
    pub(crate) max_flat_workgroup_size: u32,
    pub(crate) uniform_work_group_size: bool,
    pub(crate) uses_dynamic_stack: bool,
    pub(crate) workgroup_processor_mode: bool,
}

/// When a kernel runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KernelKind {
    /// When it is launched.
    #[default]
    Normal,
    /// After the code object was loaded: constructors.
    Init,
    /// Before the code object is unloaded: destructors.
    Fini,
}

/// One argument in the kernarg segment.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Arg {
    /// Its name in the source; optimised code objects of HIP have none.
    pub name: Option<String>,
    /// Its type in the source.
    pub type_name: Option<String>,
    /// Where it lies in the kernarg segment, in bytes.
    pub offset: u32,
    /// Its size in bytes.
    pub size: u32,
    /// What it is.
    pub kind: ArgKind,
    /// The address space a pointer points to.
    pub address_space: Option<AddressSpace>,
    /// The alignment of what a dynamic shared pointer points to, in bytes.
    pub pointee_align: Option<u32>,
    /// How the source says it accesses an image, a pipe or memory.
    pub access: Option<Access>,
    /// How the code in fact accesses it.
    pub actual_access: Option<Access>,
    /// The pointer is `const`.
    pub is_const: bool,
    /// The pointer is `restrict`.
    pub is_restrict: bool,
    /// The pointer is `volatile`.
    pub is_volatile: bool,
}

impl Arg {
    /// Whether the runtime supplies it, not the caller.
    pub fn is_hidden(&self) -> bool {
        matches!(self.kind, ArgKind::Hidden(_))
    }
}

/// What an argument is: `.value_kind`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ArgKind {
    /// The value itself, structs included.
    ByValue,
    /// A pointer to global memory.
    GlobalBuffer,
    /// A pointer to LDS that is allocated at launch.
    DynamicSharedPointer,
    /// A sampler.
    Sampler,
    /// An image.
    Image,
    /// A pipe.
    Pipe,
    /// A device queue.
    Queue,
    /// An argument that the runtime supplies.
    Hidden(HiddenArg),
    /// A kind of a compiler newer than this crate.
    Unknown(String),
}

/// An argument that the runtime supplies. In code object version 5 and later hidden arguments have fixed offsets from
/// the first one, and only the used ones are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HiddenArg {
    /// Padding.
    None,
    /// Work-groups in x; a partial one at the end does not count (u32).
    BlockCountX,
    /// Work-groups in y (u32).
    BlockCountY,
    /// Work-groups in z (u32).
    BlockCountZ,
    /// Work-items of a full work-group in x (u16).
    GroupSizeX,
    /// Work-items of a full work-group in y (u16).
    GroupSizeY,
    /// Work-items of a full work-group in z (u16).
    GroupSizeZ,
    /// Work-items of the partial work-group in x, 0 if there is none (u16).
    RemainderX,
    /// Work-items of the partial work-group in y (u16).
    RemainderY,
    /// Work-items of the partial work-group in z (u16).
    RemainderZ,
    /// A number that tools give to the launch (u64).
    ToolCorrelationId,
    /// Global offset in x (u64).
    GlobalOffsetX,
    /// Global offset in y (u64).
    GlobalOffsetY,
    /// Global offset in z (u64).
    GlobalOffsetZ,
    /// Dimensions of the grid, 1 to 3 (u16).
    GridDims,
    /// The buffer of the runtime's printf (pointer).
    PrintfBuffer,
    /// The buffer through which a kernel calls the host (pointer).
    HostcallBuffer,
    /// The default queue of device-side enqueue (pointer).
    DefaultQueue,
    /// The completion action of device-side enqueue (pointer).
    CompletionAction,
    /// The barrier of grids on several devices (pointer).
    MultigridSyncArg,
    /// The heap of device-side malloc (pointer).
    HeapV1,
    /// LDS that is allocated at launch, in bytes (u32).
    DynamicLdsSize,
    /// High 32 bits of the private aperture (u32), where the hardware does not say.
    PrivateBase,
    /// High 32 bits of the LDS aperture (u32), where the hardware does not say.
    SharedBase,
    /// The HSA queue (pointer).
    QueuePtr,
}

/// An LLVM address space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AddressSpace {
    /// Scratch of a work-item.
    Private,
    /// Device memory.
    Global,
    /// Device memory that does not change while the kernel runs.
    Constant,
    /// LDS.
    Local,
    /// Any of global, local and private.
    Generic,
    /// Global data share.
    Region,
}

/// How memory is accessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Read only.
    ReadOnly,
    /// Written only.
    WriteOnly,
    /// Read and written.
    ReadWrite,
}

const VALUE_KINDS: &[(&str, ArgKind)] = {
    use ArgKind::Hidden;
    &[
        ("by_value", ArgKind::ByValue),
        ("global_buffer", ArgKind::GlobalBuffer),
        ("dynamic_shared_pointer", ArgKind::DynamicSharedPointer),
        ("sampler", ArgKind::Sampler),
        ("image", ArgKind::Image),
        ("pipe", ArgKind::Pipe),
        ("queue", ArgKind::Queue),
        ("hidden_none", Hidden(HiddenArg::None)),
        ("hidden_block_count_x", Hidden(HiddenArg::BlockCountX)),
        ("hidden_block_count_y", Hidden(HiddenArg::BlockCountY)),
        ("hidden_block_count_z", Hidden(HiddenArg::BlockCountZ)),
        ("hidden_group_size_x", Hidden(HiddenArg::GroupSizeX)),
        ("hidden_group_size_y", Hidden(HiddenArg::GroupSizeY)),
        ("hidden_group_size_z", Hidden(HiddenArg::GroupSizeZ)),
        ("hidden_remainder_x", Hidden(HiddenArg::RemainderX)),
        ("hidden_remainder_y", Hidden(HiddenArg::RemainderY)),
        ("hidden_remainder_z", Hidden(HiddenArg::RemainderZ)),
        (
            "hidden_tool_correlation_id",
            Hidden(HiddenArg::ToolCorrelationId),
        ),
        ("hidden_global_offset_x", Hidden(HiddenArg::GlobalOffsetX)),
        ("hidden_global_offset_y", Hidden(HiddenArg::GlobalOffsetY)),
        ("hidden_global_offset_z", Hidden(HiddenArg::GlobalOffsetZ)),
        ("hidden_grid_dims", Hidden(HiddenArg::GridDims)),
        ("hidden_printf_buffer", Hidden(HiddenArg::PrintfBuffer)),
        ("hidden_hostcall_buffer", Hidden(HiddenArg::HostcallBuffer)),
        ("hidden_default_queue", Hidden(HiddenArg::DefaultQueue)),
        (
            "hidden_completion_action",
            Hidden(HiddenArg::CompletionAction),
        ),
        (
            "hidden_multigrid_sync_arg",
            Hidden(HiddenArg::MultigridSyncArg),
        ),
        ("hidden_heap_v1", Hidden(HiddenArg::HeapV1)),
        ("hidden_dynamic_lds_size", Hidden(HiddenArg::DynamicLdsSize)),
        ("hidden_private_base", Hidden(HiddenArg::PrivateBase)),
        ("hidden_shared_base", Hidden(HiddenArg::SharedBase)),
        ("hidden_queue_ptr", Hidden(HiddenArg::QueuePtr)),
    ]
};

const ADDRESS_SPACES: &[(&str, AddressSpace)] = &[
    ("private", AddressSpace::Private),
    ("global", AddressSpace::Global),
    ("constant", AddressSpace::Constant),
    ("local", AddressSpace::Local),
    ("generic", AddressSpace::Generic),
    ("region", AddressSpace::Region),
];

const ACCESSES: &[(&str, Access)] = &[
    ("read_only", Access::ReadOnly),
    ("write_only", Access::WriteOnly),
    ("read_write", Access::ReadWrite),
];

const KERNEL_KINDS: &[(&str, KernelKind)] = &[
    ("normal", KernelKind::Normal),
    ("init", KernelKind::Init),
    ("fini", KernelKind::Fini),
];

fn named<T: Clone>(table: &[(&str, T)], name: &str) -> Option<T> {
    table
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, value)| value.clone())
}

/// Reads the metadata note's descriptor.
pub(crate) fn parse(note: &[u8]) -> Result<Metadata, Error> {
    let mut metadata = Metadata {
        target: None,
        printf: Vec::new(),
        kernels: Vec::new(),
    };
    let mut reader = Reader::new(note);
    reader.map(|key, reader| match key {
        "amdhsa.target" => reader
            .text()
            .map(|text| metadata.target = Some(text.to_owned())),
        "amdhsa.printf" => reader.array(|reader| {
            metadata.printf.push(reader.text()?.to_owned());
            Ok(())
        }),
        "amdhsa.kernels" => reader.array(|reader| {
            metadata.kernels.push(kernel(reader)?);
            Ok(())
        }),
        _ => reader.skip(),
    })?;
    Ok(metadata)
}

fn kernel(reader: &mut Reader<'_>) -> Result<KernelMetadata, Error> {
    let mut kernel = KernelMetadata::default();
    let (mut name, mut symbol) = (None, None);
    reader.map(|key, reader| {
        match key {
            ".name" => name = Some(reader.text()?.to_owned()),
            ".symbol" => symbol = Some(reader.text()?.to_owned()),
            ".kind" => kernel.kind = reader.named(KERNEL_KINDS)?,
            ".language" => kernel.language = Some(reader.text()?.to_owned()),
            ".args" => reader.array(|reader| {
                kernel.args.push(arg(reader)?);
                Ok(())
            })?,
            ".reqd_workgroup_size" => kernel.reqd_workgroup_size = Some(reader.triple()?),
            ".kernarg_segment_size" => kernel.kernarg_segment_size = reader.number()?,
            ".kernarg_segment_align" => kernel.kernarg_segment_align = reader.number()?,
            ".group_segment_fixed_size" => kernel.group_segment_fixed_size = reader.number()?,
            ".private_segment_fixed_size" => kernel.private_segment_fixed_size = reader.number()?,
            ".wavefront_size" => kernel.wavefront_size = reader.number()?,
            ".sgpr_count" => kernel.sgpr_count = reader.number()?,
            ".vgpr_count" => kernel.vgpr_count = reader.number()?,
            ".agpr_count" => kernel.agpr_count = reader.number()?,
            ".sgpr_spill_count" => kernel.sgpr_spill_count = reader.number()?,
            ".vgpr_spill_count" => kernel.vgpr_spill_count = reader.number()?,
            ".max_flat_workgroup_size" => kernel.max_flat_workgroup_size = reader.number()?,
            ".uniform_work_group_size" => kernel.uniform_work_group_size = reader.flag()?,
            ".uses_dynamic_stack" => kernel.uses_dynamic_stack = reader.flag()?,
            ".workgroup_processor_mode" => kernel.workgroup_processor_mode = reader.flag()?,
            _ => reader.skip()?,
        }
        Ok(())
    })?;
    kernel.name = name.ok_or_else(|| reader.missing(".name"))?;
    kernel.symbol = symbol.ok_or_else(|| reader.missing(".symbol"))?;
    Ok(kernel)
}

fn arg(reader: &mut Reader<'_>) -> Result<Arg, Error> {
    let (mut offset, mut size, mut kind) = (None, None, None);
    let mut arg = Arg {
        name: None,
        type_name: None,
        offset: 0,
        size: 0,
        kind: ArgKind::ByValue,
        address_space: None,
        pointee_align: None,
        access: None,
        actual_access: None,
        is_const: false,
        is_restrict: false,
        is_volatile: false,
    };
    reader.map(|key, reader| {
        match key {
            ".name" => arg.name = Some(reader.text()?.to_owned()),
            ".type_name" => arg.type_name = Some(reader.text()?.to_owned()),
            ".offset" => offset = Some(reader.number()?),
            ".size" => size = Some(reader.number()?),
            ".value_kind" => {
                let name = reader.text()?;
                let known = named(VALUE_KINDS, name);
                kind = Some(known.unwrap_or_else(|| ArgKind::Unknown(name.to_owned())));
            }
            ".address_space" => arg.address_space = Some(reader.named(ADDRESS_SPACES)?),
            ".pointee_align" => arg.pointee_align = Some(reader.number()?),
            ".access" => arg.access = Some(reader.named(ACCESSES)?),
            ".actual_access" => arg.actual_access = Some(reader.named(ACCESSES)?),
            ".is_const" => arg.is_const = reader.flag()?,
            ".is_restrict" => arg.is_restrict = reader.flag()?,
            ".is_volatile" => arg.is_volatile = reader.flag()?,
            _ => reader.skip()?,
        }
        Ok(())
    })?;
    arg.offset = offset.ok_or_else(|| reader.missing(".offset"))?;
    arg.size = size.ok_or_else(|| reader.missing(".size"))?;
    arg.kind = kind.ok_or_else(|| reader.missing(".value_kind"))?;
    Ok(arg)
}

/// Reads a MessagePack document from front to back, without a tree in memory: an element takes one byte in the note, and
/// dozens in a tree.
struct Reader<'a> {
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
    fn new(note: &'a [u8]) -> Self {
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

    fn missing(&self, key: &str) -> Error {
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

    fn map(
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

    fn array(
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

    fn text(&mut self) -> Result<&'a str, Error> {
        let len = match self.marker()? {
            Marker::FixStr(len) => len.into(),
            Marker::Str8 => self.len(1)?,
            Marker::Str16 => self.len(2)?,
            Marker::Str32 => self.len(4)?,
            _ => return Err(self.refuse("a string is expected")),
        };
        std::str::from_utf8(self.bytes(len)?).map_err(|_| self.refuse("the string is not UTF-8"))
    }

    fn number<N: TryFrom<u64>>(&mut self) -> Result<N, Error> {
        let number: u64 = read_int(&mut self.rest)
            .map_err(|_| self.refuse("a number that is not negative is expected"))?;
        N::try_from(number).map_err(|_| self.refuse(format!("{number} is too large")))
    }

    /// A flag, which clang writes as a boolean or as 0 and 1.
    fn flag(&mut self) -> Result<bool, Error> {
        let mut ahead = self.rest;
        match read_marker(&mut ahead) {
            Ok(marker @ (Marker::True | Marker::False)) => {
                self.rest = ahead;
                Ok(marker == Marker::True)
            }
            _ => Ok(self.number::<u64>()? != 0),
        }
    }

    fn named<T: Clone>(&mut self, table: &[(&str, T)]) -> Result<T, Error> {
        let name = self.text()?;
        named(table, name).ok_or_else(|| self.refuse(format!("`{name}` is not known")))
    }

    fn triple(&mut self) -> Result<[u32; 3], Error> {
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
    fn skip(&mut self) -> Result<(), Error> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use rmpv::Value;

    fn encode(value: &Value) -> Vec<u8> {
        let mut bytes = Vec::new();
        rmpv::encode::write_value(&mut bytes, value).unwrap();
        bytes
    }

    fn map(elements: Vec<(&str, Value)>) -> Value {
        Value::Map(
            elements
                .into_iter()
                .map(|(key, value)| (key.into(), value))
                .collect(),
        )
    }

    #[test]
    fn wrong_types_are_reported_with_their_path() {
        let arg = map(vec![
            (".value_kind", "by_value".into()),
            (".offset", 0.into()),
            (".size", "four".into()),
        ]);
        let kernel = map(vec![
            (".name", "k".into()),
            (".symbol", "k.kd".into()),
            (".args", Value::Array(vec![arg])),
        ]);
        let document = map(vec![("amdhsa.kernels", Value::Array(vec![kernel]))]);
        let error = parse(&encode(&document)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "AMDGPU metadata, amdhsa.kernels[0].args[0].size: a number that is not negative is expected"
        );
    }

    #[test]
    fn deep_nesting_and_huge_lengths_are_refused() {
        // `{"x": ...}` around an array in an array in an array, and around lengths of four billion.
        let deep = vec![0x91; 100_000];
        for value in [
            &deep[..],
            b"\xdd\xff\xff\xff\xff",
            b"\xdb\xff\xff\xff\xffx",
            b"\xdf\xff\xff\xff\xff\xc0",
            b"\xc1",
        ] {
            let bytes = [b"\x81\xa1x", value].concat();
            assert!(matches!(parse(&bytes), Err(Error::Metadata { .. })));
        }
    }

    #[test]
    fn unknown_elements_of_every_kind_are_passed_over() {
        let unknown = Value::Array(vec![
            Value::Nil,
            true.into(),
            (-1).into(),
            (-200).into(),
            300.into(),
            (1_u64 << 40).into(),
            1.5_f32.into(),
            2.5_f64.into(),
            "x".repeat(40).into(),
            "x".repeat(70_000).into(),
            Value::Binary(vec![0; 300]),
            Value::Ext(1, vec![0; 4]),
            Value::Ext(2, vec![0; 300]),
            map(vec![
                ("a", Value::Array(vec![Value::Nil; 20])),
                ("b", map(vec![])),
            ]),
        ]);
        let document = map(vec![
            ("unknown", unknown.clone()),
            ("amdhsa.target", "amdgcn-amd-amdhsa--gfx1100".into()),
            ("more", unknown),
            ("amdhsa.printf", Value::Array(vec!["1:1:4:%d".into()])),
        ]);
        let metadata = parse(&encode(&document)).unwrap();
        assert_eq!(
            metadata.target.as_deref(),
            Some("amdgcn-amd-amdhsa--gfx1100")
        );
        assert_eq!(metadata.printf, ["1:1:4:%d"]);
    }

    #[test]
    fn what_is_missing_is_named() {
        let kernel = map(vec![(".name", "k".into())]);
        let document = map(vec![("amdhsa.kernels", Value::Array(vec![kernel]))]);
        let error = parse(&encode(&document)).unwrap_err().to_string();
        assert_eq!(
            error,
            "AMDGPU metadata, amdhsa.kernels[0]: `.symbol` is missing"
        );
        for truncated in 0..encode(&document).len() {
            assert!(parse(&encode(&document)[..truncated]).is_err());
        }
    }

    #[test]
    fn every_hidden_kind_is_in_the_table_once() {
        let names: std::collections::HashSet<_> =
            VALUE_KINDS.iter().map(|(name, _)| name).collect();
        let kinds: std::collections::HashSet<_> =
            VALUE_KINDS.iter().map(|(_, kind)| kind).collect();
        assert_eq!(names.len(), VALUE_KINDS.len());
        assert_eq!(kinds.len(), VALUE_KINDS.len());
    }
}
