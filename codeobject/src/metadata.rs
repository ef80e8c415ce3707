//! The metadata note of a code object: kernels, their arguments and their needs.
//!
//! The note is a MessagePack map; keys and values are those of the AMDGPU usage guide, "Code Object Metadata". Unknown
//! keys are passed over, as newer compilers add some; a known key with a value of the wrong type is an error that names
//! its path.

use rmpv::ValueRef;

use crate::Error;

/// Nesting of the MessagePack document as rmpv counts it, which is two for each map or array: the deepest element that
/// the format has is `amdhsa.kernels[].args[].size`.
const MAX_DEPTH: usize = 32;

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
    let mut rest = note;
    let document =
        rmpv::decode::read_value_ref_with_max_depth(&mut rest, MAX_DEPTH).map_err(|error| {
            Error::Metadata {
                path: "the document".to_owned(),
                message: format!(
                    "broken MessagePack near byte {}: {error}",
                    note.len() - rest.len()
                ),
            }
        })?;
    let root = Node::new(&document, Path::Root);
    let kernels = match root.get("amdhsa.kernels")? {
        Some(kernels) => kernels.each(kernel)?,
        None => Vec::new(),
    };
    let printf = match root.get("amdhsa.printf")? {
        Some(formats) => formats.each(|format| Ok(format.as_text()?.to_owned()))?,
        None => Vec::new(),
    };
    Ok(Metadata {
        target: root.text("amdhsa.target")?.map(str::to_owned),
        printf,
        kernels,
    })
}

fn kernel(node: &Node<'_, '_>) -> Result<KernelMetadata, Error> {
    let args = match node.get(".args")? {
        Some(args) => args.each(arg)?,
        None => Vec::new(),
    };
    let reqd_workgroup_size = match node.get(".reqd_workgroup_size")? {
        Some(size) => {
            let sizes = size.each(|size| size.as_number())?;
            Some(
                sizes
                    .try_into()
                    .map_err(|_| size.refuse("three numbers are expected"))?,
            )
        }
        None => None,
    };
    Ok(KernelMetadata {
        name: node.required_text(".name")?.to_owned(),
        symbol: node.required_text(".symbol")?.to_owned(),
        kind: node.named(".kind", KERNEL_KINDS)?.unwrap_or_default(),
        language: node.text(".language")?.map(str::to_owned),
        args,
        reqd_workgroup_size,
        kernarg_segment_size: node.number(".kernarg_segment_size")?.unwrap_or(0),
        kernarg_segment_align: node.number(".kernarg_segment_align")?.unwrap_or(0),
        group_segment_fixed_size: node.number(".group_segment_fixed_size")?.unwrap_or(0),
        private_segment_fixed_size: node.number(".private_segment_fixed_size")?.unwrap_or(0),
        wavefront_size: node.number(".wavefront_size")?.unwrap_or(0),
        sgpr_count: node.number(".sgpr_count")?.unwrap_or(0),
        vgpr_count: node.number(".vgpr_count")?.unwrap_or(0),
        agpr_count: node.number(".agpr_count")?.unwrap_or(0),
        sgpr_spill_count: node.number(".sgpr_spill_count")?.unwrap_or(0),
        vgpr_spill_count: node.number(".vgpr_spill_count")?.unwrap_or(0),
        max_flat_workgroup_size: node.number(".max_flat_workgroup_size")?.unwrap_or(0),
        uniform_work_group_size: node.flag(".uniform_work_group_size")?,
        uses_dynamic_stack: node.flag(".uses_dynamic_stack")?,
        workgroup_processor_mode: node.flag(".workgroup_processor_mode")?,
    })
}

fn arg(node: &Node<'_, '_>) -> Result<Arg, Error> {
    let kind = node.required_text(".value_kind")?;
    Ok(Arg {
        name: node.text(".name")?.map(str::to_owned),
        type_name: node.text(".type_name")?.map(str::to_owned),
        offset: node.required_number(".offset")?,
        size: node.required_number(".size")?,
        kind: named(VALUE_KINDS, kind).unwrap_or_else(|| ArgKind::Unknown(kind.to_owned())),
        address_space: node.named(".address_space", ADDRESS_SPACES)?,
        pointee_align: node.number(".pointee_align")?,
        access: node.named(".access", ACCESSES)?,
        actual_access: node.named(".actual_access", ACCESSES)?,
        is_const: node.flag(".is_const")?,
        is_restrict: node.flag(".is_restrict")?,
        is_volatile: node.flag(".is_volatile")?,
    })
}

/// Where an element stands in the document; only written out for an error.
#[derive(Clone, Copy)]
enum Path<'p> {
    Root,
    Key(&'p Path<'p>, &'static str),
    Index(&'p Path<'p>, usize),
}

impl Path<'_> {
    fn write(&self, out: &mut String) {
        match self {
            Self::Root => {}
            Self::Key(parent, key) => {
                parent.write(out);
                // The keys below the root begin with the dot that joins them.
                out.push_str(key);
            }
            Self::Index(parent, index) => {
                parent.write(out);
                out.push_str(&format!("[{index}]"));
            }
        }
    }
}

/// An element of the document and where it stands.
struct Node<'v, 'p> {
    value: &'v ValueRef<'v>,
    path: Path<'p>,
}

impl<'v, 'p> Node<'v, 'p> {
    fn new(value: &'v ValueRef<'v>, path: Path<'p>) -> Self {
        Self { value, path }
    }

    fn refuse(&self, message: impl Into<String>) -> Error {
        let mut path = String::new();
        self.path.write(&mut path);
        Error::Metadata {
            path,
            message: message.into(),
        }
    }

    fn missing(&self, key: &'static str) -> Error {
        Node::new(self.value, Path::Key(&self.path, key)).refuse("it is missing")
    }

    /// The element of a map, `None` if the key is not there.
    fn get<'n>(&'n self, key: &'static str) -> Result<Option<Node<'v, 'n>>, Error> {
        let ValueRef::Map(elements) = self.value else {
            return Err(self.refuse("a map is expected"));
        };
        let found = elements
            .iter()
            .find(|(name, _)| matches!(name, ValueRef::String(name) if name.as_str() == Some(key)));
        Ok(found.map(|(_, value)| Node::new(value, Path::Key(&self.path, key))))
    }

    fn each<T>(&self, read: impl Fn(&Node<'_, '_>) -> Result<T, Error>) -> Result<Vec<T>, Error> {
        let ValueRef::Array(elements) = self.value else {
            return Err(self.refuse("an array is expected"));
        };
        elements
            .iter()
            .enumerate()
            .map(|(index, value)| read(&Node::new(value, Path::Index(&self.path, index))))
            .collect()
    }

    fn as_text(&self) -> Result<&'v str, Error> {
        match self.value {
            ValueRef::String(text) => text
                .as_str()
                .ok_or_else(|| self.refuse("the string is not UTF-8")),
            _ => Err(self.refuse("a string is expected")),
        }
    }

    fn as_number<N: TryFrom<u64>>(&self) -> Result<N, Error> {
        let number = self
            .value
            .as_u64()
            .ok_or_else(|| self.refuse("a number that is not negative is expected"))?;
        N::try_from(number).map_err(|_| self.refuse(format!("{number} is too large")))
    }

    fn text(&self, key: &'static str) -> Result<Option<&'v str>, Error> {
        self.get(key)?.map(|node| node.as_text()).transpose()
    }

    fn required_text(&self, key: &'static str) -> Result<&'v str, Error> {
        self.text(key)?.ok_or_else(|| self.missing(key))
    }

    fn number<N: TryFrom<u64>>(&self, key: &'static str) -> Result<Option<N>, Error> {
        self.get(key)?.map(|node| node.as_number()).transpose()
    }

    fn required_number<N: TryFrom<u64>>(&self, key: &'static str) -> Result<N, Error> {
        self.number(key)?.ok_or_else(|| self.missing(key))
    }

    /// A flag, which clang writes as a boolean or as 0 and 1; false if it is not there.
    fn flag(&self, key: &'static str) -> Result<bool, Error> {
        let Some(node) = self.get(key)? else {
            return Ok(false);
        };
        match node.value {
            ValueRef::Boolean(flag) => Ok(*flag),
            _ => Ok(node.as_number::<u64>()? != 0),
        }
    }

    fn named<T: Clone>(&self, key: &'static str, table: &[(&str, T)]) -> Result<Option<T>, Error> {
        let Some(node) = self.get(key)? else {
            return Ok(None);
        };
        let name = node.as_text()?;
        named(table, name)
            .map(Some)
            .ok_or_else(|| node.refuse(format!("`{name}` is not known")))
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
        // Arrays of one array, then an array that claims four billion elements.
        for bytes in [
            vec![0x91; 100_000],
            vec![0xdd, 0xff, 0xff, 0xff, 0xff],
            vec![0xdb, 0xff, 0xff, 0xff, 0xff, b'x'],
        ] {
            assert!(matches!(parse(&bytes), Err(Error::Metadata { .. })));
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
