//! Which instruction has which meaning.
//!
//! A mnemonic that is `v_` or `s_` and the name of a meaning has that meaning, in every family. What differs from that is
//! in the tables below: other names for the same meaning (a family's own or an older one), reversed operands, operands
//! that are implied. Operations with a control flow, an operand form or a shape of their own bring their decoder along
//! (`SPECIAL` of the modules that implement them). No mnemonic means different things in different families.

use std::sync::OnceLock;

use rustc_hash::FxHashMap;

use crate::isa::decode::{Build, Reason};
use crate::isa::inst::{Class, Inst};
use crate::lanes::Lanewise;
use crate::ops::scalar::ScalarOp;
use crate::ops::{
    compare, control, convert, cross, dot, float, fp8, int, matrix, memory_names, scalar,
};

/// How an instruction's operands map to its meaning's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// In order.
    Plain,
    /// The first two swapped.
    Reversed,
    /// The last one is the destination.
    Tied,
    /// The last one is VCC.
    Vcc,
    /// The mask result goes to EXEC; in older families to a register as well.
    Exec,
    /// The last one is the value of a modifier.
    Modifier(&'static str),
    /// The result goes to the low half of the register and leaves the other alone.
    LowHalf,
    /// The result goes to the high half of the register.
    HighHalf,
    /// An eight-bit float of the family's kind; `op_sel` chooses the byte or the half of the operand.
    EightSource,
    /// As `EightSource`, but `op_sel` chooses the byte of the result; the rest of the register is left alone.
    EightByte,
    /// As `EightByte`, for a half of the result.
    EightHalf,
    /// A dot product whose `neg_lo` bits say which operand is signed; the meaning for neither, second, first, both.
    Signs(&'static [&'static str; 4]),
}

/// What a mnemonic stands for.
#[derive(Clone, Copy)]
pub enum Entry {
    /// An operation on lanes.
    Lane(&'static Lanewise, Form, Class),
    /// A scalar operation; whether the last operand is the destination.
    Scalar(&'static ScalarOp, bool),
    /// An instruction with a decoder of its own.
    Special(fn(&Build<'_>) -> Result<Inst, Reason>),
    /// Nothing to be done.
    Nothing,
}

/// A mnemonic, its meaning's name and the operands' form.
type Named = (&'static str, &'static str, Form);

const RENAMED: &[Named] = &[
    // gfx10 and later name additions without carry.
    ("v_add_nc_u32", "add_u32", Form::Plain),
    ("v_sub_nc_u32", "sub_u32", Form::Plain),
    ("v_subrev_nc_u32", "sub_u32", Form::Reversed),
    ("v_add_nc_i32", "add_i32", Form::Plain),
    ("v_sub_nc_i32", "sub_i32", Form::Plain),
    ("v_add_nc_u16", "add_u16", Form::Plain),
    ("v_sub_nc_u16", "sub_u16", Form::Plain),
    ("v_add_nc_i16", "add_i16", Form::Plain),
    ("v_sub_nc_i16", "sub_i16", Form::Plain),
    ("v_subrev_u32", "sub_u32", Form::Reversed),
    ("v_subrev_u16", "sub_u16", Form::Reversed),
    ("v_subrev_co_u32", "sub_co_u32", Form::Reversed),
    ("v_subrev_co_ci_u32", "sub_co_ci_u32", Form::Reversed),
    // gfx9 names of additions with carry.
    ("v_addc_co_u32", "add_co_ci_u32", Form::Plain),
    ("v_subb_co_u32", "sub_co_ci_u32", Form::Plain),
    ("v_subbrev_co_u32", "sub_co_ci_u32", Form::Reversed),
    // gfx12.
    ("v_mad_co_u64_u32", "mad_u64_u32", Form::Plain),
    ("v_mad_co_i64_i32", "mad_i64_i32", Form::Plain),
    // Shifts with the amount first.
    ("v_lshlrev_b32", "lshl_b32", Form::Reversed),
    ("v_lshrrev_b32", "lshr_b32", Form::Reversed),
    ("v_ashrrev_i32", "ashr_i32", Form::Reversed),
    ("v_lshlrev_b64", "lshl_b64", Form::Reversed),
    ("v_lshrrev_b64", "lshr_b64", Form::Reversed),
    ("v_ashrrev_i64", "ashr_i64", Form::Reversed),
    ("v_lshlrev_b16", "lshl_b16", Form::Reversed),
    ("v_lshrrev_b16", "lshr_b16", Form::Reversed),
    ("v_ashrrev_i16", "ashr_i16", Form::Reversed),
    ("v_pk_lshlrev_b16", "pk_lshl_b16", Form::Reversed),
    ("v_pk_lshrrev_b16", "pk_lshr_b16", Form::Reversed),
    ("v_pk_ashrrev_i16", "pk_ashr_i16", Form::Reversed),
    // In a dual-issue pair the condition is implied.
    ("v_dual_cndmask_b32", "cndmask_b32", Form::Vcc),
    // Counts.
    ("v_bcnt_u32_b32", "bcnt_u32", Form::Plain),
    ("v_clz_i32_u32", "clz_u32", Form::Plain),
    ("v_ffbh_u32", "clz_u32", Form::Plain),
    ("v_ctz_i32_b32", "ctz_u32", Form::Plain),
    ("v_ffbl_b32", "ctz_u32", Form::Plain),
    ("v_ffbh_i32", "cls_i32", Form::Plain),
    ("v_cvt_i32_i16", "sext_i32_i16", Form::Plain),
    ("v_cvt_u32_u16", "zext_u32_u16", Form::Plain),
    ("v_pack_b32_f16", "pack_b32_b16", Form::Plain),
    ("v_mad_legacy_u16", "mad_u16", Form::Plain),
    ("v_mad_legacy_i16", "mad_i16", Form::Plain),
    ("v_bitop3_b32", "bitop3_b32", Form::Modifier("bitop3")),
    ("v_bitop3_b16", "bitop3_b16", Form::Modifier("bitop3")),
    // Accumulation registers.
    ("v_accvgpr_read_b32", "mov_b32", Form::Plain),
    ("v_accvgpr_write_b32", "mov_b32", Form::Plain),
    ("v_accvgpr_mov_b32", "mov_b32", Form::Plain),
    ("v_div_fmas_f32", "div_fmas_f32", Form::Vcc),
    ("v_div_fmas_f64", "div_fmas_f64", Form::Vcc),
    // Floating point.
    ("v_subrev_f32", "sub_f32", Form::Reversed),
    ("v_subrev_f16", "sub_f16", Form::Reversed),
    ("v_fmac_f32", "fma_f32", Form::Tied),
    ("v_fmac_f16", "fma_f16", Form::Tied),
    ("v_fmac_f64", "fma_f64", Form::Tied),
    ("v_pk_fmac_f16", "pk_fma_f16", Form::Tied),
    ("v_fmac_dx9_zero_f32", "fma_dx9_f32", Form::Tied),
    ("v_fmac_legacy_f32", "fma_dx9_f32", Form::Tied),
    ("v_fma_dx9_zero_f32", "fma_dx9_f32", Form::Plain),
    ("v_fma_legacy_f32", "fma_dx9_f32", Form::Plain),
    ("v_mul_dx9_zero_f32", "mul_dx9_f32", Form::Plain),
    ("v_mul_legacy_f32", "mul_dx9_f32", Form::Plain),
    ("v_fmaak_f32", "fma_f32", Form::Plain),
    ("v_fmamk_f32", "fma_f32", Form::Plain),
    ("v_fmaak_f16", "fma_f16", Form::Plain),
    ("v_fmamk_f16", "fma_f16", Form::Plain),
    ("v_mac_f32", "mad_f32", Form::Tied),
    ("v_mac_f16", "mad_f16", Form::Tied),
    ("v_madak_f32", "mad_f32", Form::Plain),
    ("v_madmk_f32", "mad_f32", Form::Plain),
    ("v_madak_f16", "mad_f16", Form::Plain),
    ("v_madmk_f16", "mad_f16", Form::Plain),
    ("v_mad_legacy_f16", "mad_f16", Form::Plain),
    ("v_fma_legacy_f16", "fma_f16", Form::Plain),
    ("v_div_fixup_legacy_f16", "div_fixup_f16", Form::Plain),
    ("v_rcp_iflag_f32", "rcp_f32", Form::Plain),
    ("v_max_f32", "max_f32", Form::Plain),
    ("v_cmp_class_f32", "class_f32", Form::Plain),
    ("v_cmp_class_f16", "class_f16", Form::Plain),
    ("v_cmp_class_f64", "class_f64", Form::Plain),
    ("v_cmpx_class_f32", "class_f32", Form::Exec),
    ("v_cmpx_class_f16", "class_f16", Form::Exec),
    ("v_cmpx_class_f64", "class_f64", Form::Exec),
    // gfx12 names of minimum and maximum.
    ("v_min_num_f32", "min_f32", Form::Plain),
    ("v_max_num_f32", "max_f32", Form::Plain),
    ("v_min_num_f16", "min_f16", Form::Plain),
    ("v_max_num_f16", "max_f16", Form::Plain),
    ("v_min_num_f64", "min_f64", Form::Plain),
    ("v_max_num_f64", "max_f64", Form::Plain),
    ("v_min3_num_f32", "min3_f32", Form::Plain),
    ("v_max3_num_f32", "max3_f32", Form::Plain),
    ("v_med3_num_f32", "med3_f32", Form::Plain),
    ("v_minmax_num_f32", "minmax_f32", Form::Plain),
    ("v_maxmin_num_f32", "maxmin_f32", Form::Plain),
    ("v_min3_num_f16", "min3_f16", Form::Plain),
    ("v_max3_num_f16", "max3_f16", Form::Plain),
    ("v_med3_num_f16", "med3_f16", Form::Plain),
    ("v_minmax_num_f16", "minmax_f16", Form::Plain),
    ("v_maxmin_num_f16", "maxmin_f16", Form::Plain),
    ("v_pk_min_num_f16", "pk_min_f16", Form::Plain),
    ("v_pk_max_num_f16", "pk_max_f16", Form::Plain),
    // Mixed precision.
    ("v_fma_mixlo_f16", "fma_mix_f16", Form::LowHalf),
    ("v_fma_mixhi_f16", "fma_mix_f16", Form::HighHalf),
    ("v_mad_mixlo_f16", "mad_mix_f16", Form::LowHalf),
    ("v_mad_mixhi_f16", "mad_mix_f16", Form::HighHalf),
    // Conversions.
    ("v_cvt_pk_rtz_f16_f32", "cvt_pkrtz_f16_f32", Form::Plain),
    ("v_cvt_pk_norm_i16_f32", "cvt_pknorm_i16_f32", Form::Plain),
    ("v_cvt_pk_norm_u16_f32", "cvt_pknorm_u16_f32", Form::Plain),
    ("v_cvt_pk_norm_i16_f16", "cvt_pknorm_i16_f16", Form::Plain),
    ("v_cvt_pk_norm_u16_f16", "cvt_pknorm_u16_f16", Form::Plain),
    ("v_cvt_flr_i32_f32", "cvt_floor_i32_f32", Form::Plain),
    ("v_cvt_rpi_i32_f32", "cvt_nearest_i32_f32", Form::Plain),
    ("v_cvt_f32_fp8", "cvt_f32_fp8", Form::EightSource),
    ("v_cvt_f32_bf8", "cvt_f32_bf8", Form::EightSource),
    ("v_cvt_pk_f32_fp8", "cvt_pk_f32_fp8", Form::EightSource),
    ("v_cvt_pk_f32_bf8", "cvt_pk_f32_bf8", Form::EightSource),
    ("v_cvt_pk_fp8_f32", "cvt_pk_fp8_f32", Form::EightHalf),
    ("v_cvt_pk_bf8_f32", "cvt_pk_bf8_f32", Form::EightHalf),
    ("v_cvt_sr_fp8_f32", "cvt_sr_fp8_f32", Form::EightByte),
    ("v_cvt_sr_bf8_f32", "cvt_sr_bf8_f32", Form::EightByte),
    // Dot products.
    ("v_dot2c_f32_f16", "dot2_f32_f16", Form::Tied),
    ("v_dot2acc_f32_f16", "dot2_f32_f16", Form::Tied),
    ("v_dot2acc_f32_bf16", "dot2_f32_bf16", Form::Tied),
    ("v_dot2c_f32_bf16", "dot2_f32_bf16", Form::Tied),
    ("v_dot2c_i32_i16", "dot2_i32_i16", Form::Tied),
    ("v_dot4c_i32_i8", "dot4_i32_i8", Form::Tied),
    ("v_dot8c_i32_i4", "dot8_i32_i4", Form::Tied),
    (
        "v_dot4_i32_iu8",
        "dot4_i32_i8",
        Form::Signs(&["dot4_i32_u8", "dot4_i32_us8", "dot4_i32_su8", "dot4_i32_i8"]),
    ),
    (
        "v_dot8_i32_iu4",
        "dot8_i32_i4",
        Form::Signs(&["dot8_i32_u4", "dot8_i32_us4", "dot8_i32_su4", "dot8_i32_i4"]),
    ),
];

/// Scalar operations under other names, and whether the destination is the last operand.
const SCALAR_RENAMED: &[(&str, &str, bool)] = &[
    ("s_cmov_b32", "cmov_b32", true),
    ("s_cmov_b64", "cmov_b64", true),
    ("s_bitset0_b32", "bitset0_b32", true),
    ("s_bitset1_b32", "bitset1_b32", true),
    ("s_bitset0_b64", "bitset0_b64", true),
    ("s_bitset1_b64", "bitset1_b64", true),
    ("s_bcnt0_i32_b32", "bcnt0_b32", false),
    ("s_bcnt0_i32_b64", "bcnt0_b64", false),
    ("s_bcnt1_i32_b32", "bcnt1_b32", false),
    ("s_bcnt1_i32_b64", "bcnt1_b64", false),
    ("s_ctz_i32_b32", "ctz_b32", false),
    ("s_ctz_i32_b64", "ctz_b64", false),
    ("s_ff1_i32_b32", "ctz_b32", false),
    ("s_ff1_i32_b64", "ctz_b64", false),
    ("s_ff0_i32_b32", "ctz0_b32", false),
    ("s_ff0_i32_b64", "ctz0_b64", false),
    ("s_clz_i32_u32", "clz_u32", false),
    ("s_clz_i32_u64", "clz_u64", false),
    ("s_flbit_i32_b32", "clz_u32", false),
    ("s_flbit_i32_b64", "clz_u64", false),
    ("s_flbit_i32", "cls_i32", false),
    ("s_cls_i32_i64", "cls_i64", false),
    ("s_flbit_i32_i64", "cls_i64", false),
    ("s_sext_i32_i8", "sext_i8", false),
    ("s_sext_i32_i16", "sext_i16", false),
    ("s_pack_ll_b32_b16", "pack_ll", false),
    ("s_pack_lh_b32_b16", "pack_lh", false),
    ("s_pack_hh_b32_b16", "pack_hh", false),
    ("s_pack_hl_b32_b16", "pack_hl", false),
    ("s_andn2_b32", "and_not1_b32", false),
    ("s_andn2_b64", "and_not1_b64", false),
    ("s_orn2_b32", "or_not1_b32", false),
    ("s_orn2_b64", "or_not1_b64", false),
    ("s_cmp_eq_u32", "cmp_eq_i32", false),
    ("s_cmp_lg_u32", "cmp_lg_i32", false),
    // gfx12 names.
    ("s_add_co_u32", "add_u32", false),
    ("s_add_co_ci_u32", "addc_u32", false),
    ("s_sub_co_u32", "sub_u32", false),
    ("s_sub_co_ci_u32", "subb_u32", false),
    ("s_add_co_i32", "add_i32", false),
    ("s_sub_co_i32", "sub_i32", false),
    ("s_add_nc_u64", "add_u64", false),
    ("s_sub_nc_u64", "sub_u64", false),
    ("s_min_num_f32", "min_f32", false),
    ("s_max_num_f32", "max_f32", false),
    ("s_min_num_f16", "min_f16", false),
    ("s_max_num_f16", "max_f16", false),
    ("s_fmac_f32", "fma_f32", true),
    ("s_fmac_f16", "fma_f16", true),
    ("s_fmaak_f32", "fma_f32", false),
    ("s_fmamk_f32", "fma_f32", false),
];

fn lane_tables() -> impl Iterator<Item = (&'static Lanewise, Class)> {
    let class = |tables: &[&'static [Lanewise]], class| {
        tables
            .iter()
            .flat_map(|table| table.iter())
            .map(|op| (op, class))
            .collect::<Vec<_>>()
    };
    let valu = class(
        &[
            int::ARITHMETIC,
            int::BITS,
            int::SHORT,
            int::PACKED,
            compare::I16,
            compare::U16,
            compare::I32,
            compare::U32,
            compare::I64,
            compare::U64,
        ],
        Class::Valu,
    );
    let float = class(
        &[
            float::SINGLE,
            float::HALF,
            float::DOUBLE,
            float::COMPARE_SINGLE,
            float::COMPARE_HALF,
            float::COMPARE_DOUBLE,
            float::SPECIAL,
            float::PACKED,
            convert::CONVERT,
            fp8::EIGHT,
        ],
        Class::Float,
    );
    let dot = class(&[dot::INTEGER, dot::FLOAT], Class::Dot);
    valu.into_iter().chain(float).chain(dot)
}

fn scalar_tables() -> impl Iterator<Item = &'static ScalarOp> {
    [
        scalar::INTEGER,
        scalar::SINGLE,
        scalar::HALF,
        scalar::CONVERT,
    ]
    .into_iter()
    .flatten()
}

/// The lane-wise meaning with this name.
pub fn lane(name: &str) -> Option<&'static Lanewise> {
    static MEANINGS: OnceLock<FxHashMap<&'static str, &'static Lanewise>> = OnceLock::new();
    MEANINGS
        .get_or_init(|| lane_tables().map(|(op, _)| (op.name, op)).collect())
        .get(name)
        .copied()
}

fn table() -> FxHashMap<String, Entry> {
    let mut table = FxHashMap::default();
    let lanes: FxHashMap<&str, (&'static Lanewise, Class)> = lane_tables()
        .map(|(op, class)| (op.name, (op, class)))
        .collect();
    for (name, &(op, class)) in &lanes {
        table.insert(format!("v_{name}"), Entry::Lane(op, Form::Plain, class));
        if let Some(condition) = name.strip_prefix("cmp_") {
            table.insert(
                format!("v_cmpx_{condition}"),
                Entry::Lane(op, Form::Exec, class),
            );
        }
        // Always-true comparisons of floats: `tru` before gfx11, `t` since.
        if let Some(format) = name.strip_prefix("cmp_tru_") {
            table.insert(
                format!("v_cmp_t_{format}"),
                Entry::Lane(op, Form::Plain, class),
            );
            table.insert(
                format!("v_cmpx_t_{format}"),
                Entry::Lane(op, Form::Exec, class),
            );
        }
    }
    for &(mnemonic, meaning, form) in RENAMED {
        if let Some(&(op, class)) = lanes.get(meaning) {
            table.insert(mnemonic.to_owned(), Entry::Lane(op, form, class));
        }
    }
    let scalars: FxHashMap<&str, &'static ScalarOp> =
        scalar_tables().map(|op| (op.name, op)).collect();
    for (name, &op) in &scalars {
        table.insert(format!("s_{name}"), Entry::Scalar(op, false));
    }
    for &(mnemonic, meaning, tied) in SCALAR_RENAMED {
        if let Some(&op) = scalars.get(meaning) {
            table.insert(mnemonic.to_owned(), Entry::Scalar(op, tied));
        }
    }
    // Both halves of a dual-issue pair are ordinary operations under another name.
    let dual: Vec<(String, Entry)> = DUAL
        .iter()
        .filter_map(|&(mnemonic, name)| table.get(name).map(|&entry| (mnemonic.to_owned(), entry)))
        .collect();
    table.extend(dual);
    for special in [control::SPECIAL, cross::SPECIAL] {
        for &(mnemonic, make) in special {
            table.insert(mnemonic.to_owned(), Entry::Special(make));
        }
    }
    for &mnemonic in control::NOTHING {
        table.insert(mnemonic.to_owned(), Entry::Nothing);
    }
    memory_names::add_to(&mut table);
    table
}

const DUAL: &[(&str, &str)] = &[
    ("v_dual_fmac_f32", "v_fmac_f32"),
    ("v_dual_fmaak_f32", "v_fmaak_f32"),
    ("v_dual_fmamk_f32", "v_fmamk_f32"),
    ("v_dual_mul_f32", "v_mul_f32"),
    ("v_dual_add_f32", "v_add_f32"),
    ("v_dual_sub_f32", "v_sub_f32"),
    ("v_dual_subrev_f32", "v_subrev_f32"),
    ("v_dual_mul_dx9_zero_f32", "v_mul_dx9_zero_f32"),
    ("v_dual_mov_b32", "v_mov_b32"),
    ("v_dual_max_f32", "v_max_f32"),
    ("v_dual_min_f32", "v_min_f32"),
    ("v_dual_max_num_f32", "v_max_f32"),
    ("v_dual_min_num_f32", "v_min_f32"),
    ("v_dual_dot2acc_f32_f16", "v_dot2acc_f32_f16"),
    ("v_dual_dot2acc_f32_bf16", "v_dot2acc_f32_bf16"),
    ("v_dual_add_nc_u32", "v_add_nc_u32"),
    ("v_dual_lshlrev_b32", "v_lshlrev_b32"),
    ("v_dual_and_b32", "v_and_b32"),
];

/// What a mnemonic (without encoding suffix) stands for.
pub fn find(mnemonic: &str) -> Option<Entry> {
    static TABLE: OnceLock<FxHashMap<String, Entry>> = OnceLock::new();
    let table = TABLE.get_or_init(table);
    if let Some(entry) = table.get(mnemonic) {
        return Some(*entry);
    }
    // gfx12: the approximations on scalar registers.
    if let Some(name) = mnemonic.strip_prefix("v_s_")
        && lane(name).is_some()
    {
        return Some(Entry::Special(cross::on_scalar));
    }
    matrix::is_matrix(mnemonic).then_some(Entry::Special(matrix::build))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_its_meaning() {
        for (mnemonic, meaning, _) in RENAMED {
            assert!(lane(meaning).is_some(), "{mnemonic} -> {meaning}");
        }
        let scalars: Vec<&str> = scalar_tables().map(|op| op.name).collect();
        for (mnemonic, meaning, _) in SCALAR_RENAMED {
            assert!(scalars.contains(meaning), "{mnemonic} -> {meaning}");
        }
        for (mnemonic, name) in DUAL {
            assert!(
                find(name).is_some() && find(mnemonic).is_some(),
                "{mnemonic} -> {name}"
            );
        }
    }

    #[test]
    fn meanings_have_unique_names() {
        let mut names: Vec<&str> = lane_tables().map(|(op, _)| op.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
