//! The names of memory operations.
//!
//! gfx9 and gfx10 speak of dwords (`global_load_dwordx2`, `ds_read_b64`, `s_load_dwordx2`), gfx11 and gfx12 of bits
//! (`global_load_b64`, `ds_load_b64`, `s_load_b64`); the operations are the same.

use std::sync::OnceLock;

use rustc_hash::FxHashMap;

use crate::isa::decode::{Build, Reason};
use crate::isa::inst::{Class, Detail, Inst, Kind, Run, Source};
use crate::isa::text::{File, Value, integer};
use crate::lanes::Type;
use crate::ops::memory::scalar::bits;
use crate::ops::memory::{self, MemoryOp, Transfer, atomic, buffer_bits};
use crate::ops::names::Entry;

const fn load(bytes: u8) -> Transfer {
    Transfer::Load {
        bytes,
        sext: false,
        half: None,
    }
}

const fn part(bytes: u8, sext: bool, half: Option<bool>) -> Transfer {
    Transfer::Load { bytes, sext, half }
}

const fn store(bytes: u8, high: bool) -> Transfer {
    Transfer::Store { bytes, high }
}

/// Loads and stores of global, flat, scratch and buffer memory, without the prefix.
const VECTOR: &[(&str, Transfer)] = &[
    ("load_b32", load(4)),
    ("load_dword", load(4)),
    ("load_b64", load(8)),
    ("load_dwordx2", load(8)),
    ("load_b96", load(12)),
    ("load_dwordx3", load(12)),
    ("load_b128", load(16)),
    ("load_dwordx4", load(16)),
    ("load_u8", part(1, false, None)),
    ("load_ubyte", part(1, false, None)),
    ("load_i8", part(1, true, None)),
    ("load_sbyte", part(1, true, None)),
    ("load_u16", part(2, false, None)),
    ("load_ushort", part(2, false, None)),
    ("load_i16", part(2, true, None)),
    ("load_sshort", part(2, true, None)),
    ("load_d16_u8", part(1, false, Some(false))),
    ("load_ubyte_d16", part(1, false, Some(false))),
    ("load_d16_i8", part(1, true, Some(false))),
    ("load_sbyte_d16", part(1, true, Some(false))),
    ("load_d16_b16", part(2, false, Some(false))),
    ("load_short_d16", part(2, false, Some(false))),
    ("load_d16_hi_u8", part(1, false, Some(true))),
    ("load_ubyte_d16_hi", part(1, false, Some(true))),
    ("load_d16_hi_i8", part(1, true, Some(true))),
    ("load_sbyte_d16_hi", part(1, true, Some(true))),
    ("load_d16_hi_b16", part(2, false, Some(true))),
    ("load_short_d16_hi", part(2, false, Some(true))),
    ("store_b32", store(4, false)),
    ("store_dword", store(4, false)),
    ("store_b64", store(8, false)),
    ("store_dwordx2", store(8, false)),
    ("store_b96", store(12, false)),
    ("store_dwordx3", store(12, false)),
    ("store_b128", store(16, false)),
    ("store_dwordx4", store(16, false)),
    ("store_b8", store(1, false)),
    ("store_byte", store(1, false)),
    ("store_b16", store(2, false)),
    ("store_short", store(2, false)),
    ("store_d16_hi_b8", store(1, true)),
    ("store_byte_d16_hi", store(1, true)),
    ("store_d16_hi_b16", store(2, true)),
    ("store_short_d16_hi", store(2, true)),
];

/// Loads and stores of LDS.
const LDS: &[(&str, Transfer)] = &[
    ("ds_load_b32", load(4)),
    ("ds_read_b32", load(4)),
    ("ds_load_b64", load(8)),
    ("ds_read_b64", load(8)),
    ("ds_load_b96", load(12)),
    ("ds_read_b96", load(12)),
    ("ds_load_b128", load(16)),
    ("ds_read_b128", load(16)),
    ("ds_load_u8", part(1, false, None)),
    ("ds_read_u8", part(1, false, None)),
    ("ds_load_i8", part(1, true, None)),
    ("ds_read_i8", part(1, true, None)),
    ("ds_load_u16", part(2, false, None)),
    ("ds_read_u16", part(2, false, None)),
    ("ds_load_i16", part(2, true, None)),
    ("ds_read_i16", part(2, true, None)),
    ("ds_load_u8_d16", part(1, false, Some(false))),
    ("ds_read_u8_d16", part(1, false, Some(false))),
    ("ds_load_u8_d16_hi", part(1, false, Some(true))),
    ("ds_read_u8_d16_hi", part(1, false, Some(true))),
    ("ds_load_i8_d16", part(1, true, Some(false))),
    ("ds_read_i8_d16", part(1, true, Some(false))),
    ("ds_load_i8_d16_hi", part(1, true, Some(true))),
    ("ds_read_i8_d16_hi", part(1, true, Some(true))),
    ("ds_load_u16_d16", part(2, false, Some(false))),
    ("ds_read_u16_d16", part(2, false, Some(false))),
    ("ds_load_u16_d16_hi", part(2, false, Some(true))),
    ("ds_read_u16_d16_hi", part(2, false, Some(true))),
    ("ds_store_b32", store(4, false)),
    ("ds_write_b32", store(4, false)),
    ("ds_store_b64", store(8, false)),
    ("ds_write_b64", store(8, false)),
    ("ds_store_b96", store(12, false)),
    ("ds_write_b96", store(12, false)),
    ("ds_store_b128", store(16, false)),
    ("ds_write_b128", store(16, false)),
    ("ds_store_b8", store(1, false)),
    ("ds_write_b8", store(1, false)),
    ("ds_store_b16", store(2, false)),
    ("ds_write_b16", store(2, false)),
    ("ds_store_b8_d16_hi", store(1, true)),
    ("ds_write_b8_d16_hi", store(1, true)),
    ("ds_store_b16_d16_hi", store(2, true)),
    ("ds_write_b16_d16_hi", store(2, true)),
];

/// Operations on two addresses a lane: the transfer and the unit of their offsets in bytes.
const PAIRS: &[(&str, Transfer, u32)] = &[
    ("ds_load_2addr_b32", Transfer::LoadPair { bytes: 4 }, 4),
    ("ds_read2_b32", Transfer::LoadPair { bytes: 4 }, 4),
    ("ds_load_2addr_b64", Transfer::LoadPair { bytes: 8 }, 8),
    ("ds_read2_b64", Transfer::LoadPair { bytes: 8 }, 8),
    (
        "ds_load_2addr_stride64_b32",
        Transfer::LoadPair { bytes: 4 },
        256,
    ),
    ("ds_read2st64_b32", Transfer::LoadPair { bytes: 4 }, 256),
    (
        "ds_load_2addr_stride64_b64",
        Transfer::LoadPair { bytes: 8 },
        512,
    ),
    ("ds_read2st64_b64", Transfer::LoadPair { bytes: 8 }, 512),
    ("ds_store_2addr_b32", Transfer::StorePair { bytes: 4 }, 4),
    ("ds_write2_b32", Transfer::StorePair { bytes: 4 }, 4),
    ("ds_store_2addr_b64", Transfer::StorePair { bytes: 8 }, 8),
    ("ds_write2_b64", Transfer::StorePair { bytes: 8 }, 8),
    (
        "ds_store_2addr_stride64_b32",
        Transfer::StorePair { bytes: 4 },
        256,
    ),
    ("ds_write2st64_b32", Transfer::StorePair { bytes: 4 }, 256),
    (
        "ds_store_2addr_stride64_b64",
        Transfer::StorePair { bytes: 8 },
        512,
    ),
    ("ds_write2st64_b64", Transfer::StorePair { bytes: 8 }, 512),
    (
        "ds_storexchg_2addr_rtn_b32",
        Transfer::SwapPair { bytes: 4 },
        4,
    ),
    ("ds_wrxchg2_rtn_b32", Transfer::SwapPair { bytes: 4 }, 4),
    (
        "ds_storexchg_2addr_rtn_b64",
        Transfer::SwapPair { bytes: 8 },
        8,
    ),
    ("ds_wrxchg2_rtn_b64", Transfer::SwapPair { bytes: 8 }, 8),
    (
        "ds_storexchg_2addr_stride64_rtn_b32",
        Transfer::SwapPair { bytes: 4 },
        256,
    ),
    (
        "ds_wrxchg2st64_rtn_b32",
        Transfer::SwapPair { bytes: 4 },
        256,
    ),
    (
        "ds_storexchg_2addr_stride64_rtn_b64",
        Transfer::SwapPair { bytes: 8 },
        512,
    ),
    (
        "ds_wrxchg2st64_rtn_b64",
        Transfer::SwapPair { bytes: 8 },
        512,
    ),
];

/// Atomic operations of global, flat, scratch and buffer memory: the name behind `atomic_`, and the meaning.
const ATOMIC: &[(&str, &str)] = &[
    ("add", "add_u32"),
    ("sub", "sub_u32"),
    ("smin", "min_i32"),
    ("umin", "min_u32"),
    ("smax", "max_i32"),
    ("umax", "max_u32"),
    ("and", "and_b32"),
    ("or", "or_b32"),
    ("xor", "xor_b32"),
    ("inc", "inc_u32"),
    ("dec", "dec_u32"),
    ("swap", "swap_b32"),
    ("cmpswap", "cmpswap_b32"),
    ("fcmpswap", "cmpswap_f32"),
    ("fmin", "min_f32"),
    ("fmax", "max_f32"),
    ("fmin_x2", "min_f64"),
    ("fmax_x2", "max_f64"),
    ("fcmpswap_x2", "cmpswap_f64"),
    ("csub", "sub_clamp_u32"),
    ("csub_u32", "sub_clamp_u32"),
    ("min_num_f32", "min_f32"),
    ("max_num_f32", "max_f32"),
];

/// Atomic operations of LDS whose name is not the meaning's.
const LDS_ATOMIC: &[(&str, &str)] = &[
    ("storexchg_b32", "swap_b32"),
    ("storexchg_b64", "swap_b64"),
    ("wrxchg_b32", "swap_b32"),
    ("wrxchg_b64", "swap_b64"),
    ("cmpstore_b32", "cmpswap_b32"),
    ("cmpstore_b64", "cmpswap_b64"),
    ("cmpstore_f32", "cmpswap_f32"),
    ("cmpstore_f64", "cmpswap_f64"),
    ("cmpst_b32", "cmpswap_b32"),
    ("cmpst_b64", "cmpswap_b64"),
    ("cmpst_f32", "cmpswap_f32"),
    ("cmpst_f64", "cmpswap_f64"),
    ("min_num_f32", "min_f32"),
    ("max_num_f32", "max_f32"),
    ("min_num_f64", "min_f64"),
    ("max_num_f64", "max_f64"),
];

/// Scalar loads: the name behind `s_load_` or `s_buffer_load_`, words, and the bits of a part of a word.
const SCALAR: &[(&str, u8, u32)] = &[
    ("b32", 1, 0),
    ("dword", 1, 0),
    ("b64", 2, 0),
    ("dwordx2", 2, 0),
    ("b96", 3, 0),
    ("dwordx3", 3, 0),
    ("b128", 4, 0),
    ("dwordx4", 4, 0),
    ("b256", 8, 0),
    ("dwordx8", 8, 0),
    ("b512", 16, 0),
    ("dwordx16", 16, 0),
    ("u8", 1, 1),
    ("i8", 1, 1 | bits::SEXT),
    ("u16", 1, 2),
    ("i16", 1, 2 | bits::SEXT),
];

/// What a memory mnemonic names.
#[derive(Clone, Copy)]
struct Named {
    op: &'static MemoryOp,
    /// The unit of the two offsets of a pair operation.
    unit: u32,
    /// Words and part bits of a scalar load.
    scalar: (u8, u32),
}

fn leak(transfer: Transfer) -> &'static MemoryOp {
    // Once a process, when the table is built.
    Box::leak(Box::new(MemoryOp { transfer }))
}

fn names() -> &'static FxHashMap<String, Named> {
    static NAMES: OnceLock<FxHashMap<String, Named>> = OnceLock::new();
    NAMES.get_or_init(|| {
        let mut names = FxHashMap::default();
        let mut add = |name: String, transfer, unit, scalar| {
            names.insert(
                name,
                Named {
                    op: leak(transfer),
                    unit,
                    scalar,
                },
            );
        };
        for prefix in ["global", "flat", "scratch", "buffer"] {
            for &(name, transfer) in VECTOR {
                add(format!("{prefix}_{name}"), transfer, 1, (0, 0));
            }
            for op in atomic::WORD
                .iter()
                .chain(&atomic::DOUBLE)
                .chain(&atomic::OTHER)
            {
                add(
                    format!("{prefix}_atomic_{}", op.name),
                    Transfer::Atomic(op),
                    1,
                    (0, 0),
                );
            }
            for &(name, meaning) in ATOMIC {
                let wide = meaning.replace("32", "64");
                if let Some(op) = atomic::find(meaning) {
                    add(
                        format!("{prefix}_atomic_{name}"),
                        Transfer::Atomic(op),
                        1,
                        (0, 0),
                    );
                }
                if let Some(op) =
                    atomic::find(&wide).filter(|_| !name.contains("_x2") && !name.starts_with('f'))
                {
                    add(
                        format!("{prefix}_atomic_{name}_x2"),
                        Transfer::Atomic(op),
                        1,
                        (0, 0),
                    );
                }
            }
        }
        for &(name, transfer) in LDS {
            add(name.to_owned(), transfer, 1, (0, 0));
        }
        for &(name, transfer, unit) in PAIRS {
            add(name.to_owned(), transfer, unit, (0, 0));
        }
        for name in ["ds_load_addtid_b32", "ds_read_addtid_b32"] {
            add(name.to_owned(), load(4), 1, (0, 0));
        }
        for name in ["ds_store_addtid_b32", "ds_write_addtid_b32"] {
            add(name.to_owned(), store(4, false), 1, (0, 0));
        }
        let own = atomic::WORD
            .iter()
            .chain(&atomic::DOUBLE)
            .chain(&atomic::OTHER)
            .map(|op| (op.name, op.name));
        for (name, meaning) in own.chain(LDS_ATOMIC.iter().copied()) {
            let Some(op) = atomic::find(meaning) else {
                continue;
            };
            add(format!("ds_{name}"), Transfer::Atomic(op), 1, (0, 0));
            // The `rtn` stands before the last part: ds_add_rtn_u32, ds_pk_add_rtn_f16.
            if let Some((stem, ty)) = name.rsplit_once('_') {
                add(
                    format!("ds_{stem}_rtn_{ty}"),
                    Transfer::Atomic(op),
                    1,
                    (0, 0),
                );
            }
        }
        for prefix in ["s_load", "s_buffer_load"] {
            let buffer = if prefix == "s_load" { 0 } else { bits::BUFFER };
            for &(name, words, part) in SCALAR {
                add(
                    format!("{prefix}_{name}"),
                    load(4),
                    1,
                    (words, part | buffer),
                );
            }
        }
        names
    })
}

/// Adds all memory operations to the table of mnemonics.
pub fn add_to(table: &mut FxHashMap<String, Entry>) {
    for name in names().keys() {
        let make = match name {
            n if n.starts_with("ds_") => lds,
            n if n.starts_with("s_") => scalar,
            n if n.starts_with("buffer_") => buffer,
            _ => vector,
        };
        table.insert(name.clone(), Entry::Special(make));
    }
}

fn named(build: &Build<'_>) -> Result<Named, Reason> {
    names()
        .get(build.line.mnemonic)
        .copied()
        .ok_or_else(|| "no memory operation".to_owned())
}

/// Whether an atomic operation returns the old value.
fn returns(build: &Build<'_>) -> bool {
    let line = build.line;
    line.has("glc")
        || line.has("sc0")
        || line.modifier("th").is_some_and(|th| th.contains("RETURN"))
}

fn start(build: &Build<'_>, named: Named, run: Run, class: Class) -> Inst {
    let mut inst = Inst::new(run, class);
    inst.detail = Detail::Memory(named.op);
    inst.imm = build.line.integer("offset").unwrap_or(0);
    if matches!(named.op.transfer, Transfer::Atomic(_)) {
        inst.class = Class::Atomic;
    }
    inst
}

/// Sets the data operand; the second one of a compare-and-swap follows the first.
fn set_data(inst: &mut Inst, build: &Build<'_>, index: usize) -> Result<(), Reason> {
    inst.src[1] = Source::vector(build.vector(index)?);
    if let Detail::Memory(MemoryOp {
        transfer: Transfer::Atomic(op),
    }) = inst.detail
        && op.second
    {
        inst.src[3] = Source::vector(inst.src[1].reg + u16::from(op.bytes / 4));
    }
    Ok(())
}

fn vector(build: &Build<'_>) -> Result<Inst, Reason> {
    let named = named(build)?;
    let mnemonic = build.line.mnemonic;
    let (run, class): (Run, _) = if mnemonic.starts_with("global") {
        (memory::run_global, Class::Global)
    } else if mnemonic.starts_with("flat") {
        (memory::run_flat, Class::Global)
    } else {
        (memory::run_scratch, Class::Scratch)
    };
    let mut inst = start(build, named, run, class);
    if build.line.has("lds") {
        return Err("loads into LDS are not known".to_owned());
    }
    let mut at = 0;
    let loads = matches!(named.op.transfer, Transfer::Load { .. });
    let atomic = matches!(named.op.transfer, Transfer::Atomic(_));
    if loads || (atomic && returns(build)) {
        inst.dst = build.vector(0)?;
        at = 1;
    }
    let address = build.operand(at)?.value;
    if !matches!(address, Value::Name("off")) {
        inst.src[0] = Source::vector(build.vector(at)?);
        inst.src[0].wide = matches!(address, Value::Reg { count: 2, .. });
    }
    at += 1;
    if !loads {
        set_data(&mut inst, build, at)?;
        at += 1;
    }
    if let Some(operand) = build.line.operands.get(at)
        && !matches!(operand.value, Value::Name("off" | "null"))
    {
        let wide = matches!(
            operand.value,
            Value::Reg { count: 2, .. } | Value::Name("vcc" | "exec")
        );
        let source = build.source(at, if wide { Type::B64 } else { Type::B32 }, 0)?;
        if source.kind != Kind::Scalar {
            return Err("the scalar address is no register".to_owned());
        }
        inst.src[2] = source;
    }
    Ok(inst)
}

fn buffer(build: &Build<'_>) -> Result<Inst, Reason> {
    let named = named(build)?;
    let mut inst = start(build, named, memory::run_buffer, Class::Global);
    if build.line.has("lds") {
        return Err("loads into LDS are not known".to_owned());
    }
    let loads = matches!(named.op.transfer, Transfer::Load { .. });
    if loads {
        inst.dst = build.vector(0)?;
    } else {
        set_data(&mut inst, build, 0)?;
        if returns(build) {
            inst.dst = inst.src[1].reg;
        }
        // The scalar offset takes the place of the second data operand.
        if matches!(named.op.transfer, Transfer::Atomic(op) if op.second) {
            return Err("compare-and-swap through a buffer is not known".to_owned());
        }
    }
    for (flag, bit) in [
        ("offen", buffer_bits::OFFSET),
        ("idxen", buffer_bits::INDEX),
    ] {
        if build.line.has(flag) {
            inst.target |= bit;
        }
    }
    if inst.target != 0 {
        inst.src[0] = Source::vector(build.vector(1)?);
    }
    inst.src[2] = build.source(2, Type::B32, 0)?;
    inst.src[3] = build.source(3, Type::B32, 0)?;
    Ok(inst)
}

fn lds(build: &Build<'_>) -> Result<Inst, Reason> {
    let named = named(build)?;
    let mnemonic = build.line.mnemonic;
    if build.line.has("gds") {
        return Err("global data share is not known".to_owned());
    }
    let addtid = mnemonic.contains("addtid");
    let run: Run = if addtid {
        memory::run_lds_addtid
    } else {
        memory::run_lds
    };
    let mut inst = start(build, named, run, Class::Lds);
    if named.unit > 1 {
        let offset = |key| build.line.integer(key).unwrap_or(0) as u32 * named.unit;
        inst.imm = offset("offset0").into();
        inst.target = offset("offset1");
    }
    let mut at = 0;
    let loads = matches!(
        named.op.transfer,
        Transfer::Load { .. } | Transfer::LoadPair { .. }
    );
    if loads || mnemonic.contains("_rtn") {
        inst.dst = build.vector(0)?;
        at = 1;
    }
    if !addtid {
        inst.src[0] = Source::vector(build.vector(at)?);
        at += 1;
    }
    if loads {
        return Ok(inst);
    }
    inst.src[1] = Source::vector(build.vector(at)?);
    let two = matches!(
        named.op.transfer,
        Transfer::StorePair { .. } | Transfer::SwapPair { .. }
    ) || matches!(named.op.transfer, Transfer::Atomic(op) if op.second);
    if two {
        inst.src[3] = Source::vector(build.vector(at + 1)?);
        // Before gfx11 the comparison value came first.
        if mnemonic.starts_with("ds_cmpst_") {
            inst.src.swap(1, 3);
        }
    }
    Ok(inst)
}

fn scalar(build: &Build<'_>) -> Result<Inst, Reason> {
    let named = named(build)?;
    let mut inst = Inst::new(memory::scalar::run, Class::Smem);
    let (words, target) = named.scalar;
    (inst.rows, inst.target) = (words, target);
    inst.dst = build.scalar_dst(0)?;
    inst.src[0] = build.source(1, Type::B64, 0)?;
    if inst.src[0].kind != Kind::Scalar {
        return Err("the base is no register".to_owned());
    }
    // An offset is a register, an immediate, or a register with an immediate behind `offset:`.
    if let Some(operand) = build.line.operands.get(2) {
        match operand.value {
            Value::Int(value) => inst.imm = value,
            Value::Literal(value) => inst.imm = value as i64,
            Value::Reg {
                file: File::Scalar | File::Ttmp,
                ..
            }
            | Value::Name(_) => {
                inst.src[1] = build.source(2, Type::B32, 0)?;
            }
            _ => return Err("the offset is not known".to_owned()),
        }
    }
    if let Some(offset) = build.line.modifier("offset") {
        inst.imm = integer(offset).ok_or("the offset is no number")?;
    }
    Ok(inst)
}
