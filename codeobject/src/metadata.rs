//! The metadata note of a code object: kernels, their arguments and their needs.
//!
//! The note is a MessagePack map; keys and values are those of the AMDGPU usage guide, "Code Object Metadata". Unknown
//! keys are passed over, as newer compilers add some; a known key with a value of the wrong type is an error that names
//! its path.

use crate::Error;
use crate::kernel::{Access, AddressSpace, Arg, ArgKind, HiddenArg, Kernel, KernelKind};
use crate::msgpack::{Reader, named};

/// What the note says. The kernels' symbols are not looked up yet: their descriptors, addresses and code sizes are zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Metadata {
    pub(crate) target: Option<String>,
    pub(crate) printf: Vec<String>,
    pub(crate) kernels: Vec<Kernel>,
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

fn kernel(reader: &mut Reader<'_>) -> Result<Kernel, Error> {
    let mut kernel = Kernel::default();
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
