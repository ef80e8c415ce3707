//! Writes the kernels as assembly and has clang assemble and link them.
//!
//! Registers that the frame of a kernel uses lie above the ones that the files name: v40 and up, s40 and up.

use std::fmt::Write as _;

use crate::assemble;
use crate::parse::{Operation, width};

pub fn symbol(index: usize) -> String {
    format!("op{index}")
}

/// Spellings of the frame's own instructions, which changed names between families.
struct Frame {
    load_args: &'static str,
    load: &'static str,
    store: &'static str,
    wait_scalar: &'static str,
    wait_load: &'static str,
    add: &'static str,
    group: &'static str,
    vcc: &'static str,
}

fn frame(family: &str, wave: u32) -> Frame {
    let vcc = if wave == 64 { "vcc" } else { "vcc_lo" };
    let old = Frame {
        load_args: "s_load_dwordx4",
        load: "global_load_dword",
        store: "global_store_dword",
        wait_scalar: "s_waitcnt lgkmcnt(0)",
        wait_load: "s_waitcnt vmcnt(0)",
        add: if family == "gfx9" {
            "v_add_u32_e32"
        } else {
            "v_add_nc_u32_e32"
        },
        group: "s2",
        vcc,
    };
    match family {
        "gfx9" | "gfx10" => old,
        "gfx11" => Frame {
            load_args: "s_load_b128",
            load: "global_load_b32",
            store: "global_store_b32",
            ..old
        },
        _ => Frame {
            load_args: "s_load_b128",
            load: "global_load_b32",
            store: "global_store_b32",
            wait_scalar: "s_wait_kmcnt 0x0",
            wait_load: "s_wait_loadcnt 0x0",
            group: "ttmp9",
            ..old
        },
    }
}

/// The single registers of a register text: `v[2:3]` is `v2`, `v3`.
fn parts(register: &str) -> Vec<String> {
    match register.split_once('[') {
        Some((bank, range)) => {
            let low: usize = range.split(':').next().unwrap().parse().unwrap();
            (0..width(register))
                .map(|i| format!("{bank}{}", low + i))
                .collect()
        }
        None => vec![register.to_owned()],
    }
}

fn body(out: &mut String, f: &Frame, op: &Operation, text: &str) {
    let (block_shift, inputs, outputs) = (
        if op.scalar { 0 } else { 6 },
        op.input_columns(),
        op.output_columns(),
    );
    // s[40:41]: operands, s[42:43]: results; v40: the case's number, v41, v42: its byte offsets in both.
    let _ = write!(
        out,
        "  {} s[40:43], s[0:1], 0x0\n  {}\n  s_lshl_b32 s44, {}, {block_shift}\n  {} v40, s44, v0\n  \
         v_mul_u32_u24_e32 v41, {}, v40\n  v_mul_u32_u24_e32 v42, {}, v40\n",
        f.load_args,
        f.wait_scalar,
        f.group,
        f.add,
        inputs * 4,
        outputs * 4
    );
    for column in 0..inputs {
        let _ = writeln!(
            out,
            "  {} v{}, v41, s[40:41] offset:{}",
            f.load,
            44 + column,
            column * 4
        );
    }
    let _ = writeln!(out, "  {}", f.wait_load);
    // Flags last: moving other operands must not disturb them.
    let mut flags = Vec::new();
    let mut column = 44;
    for register in &op.inputs {
        for part in parts(register) {
            match part.as_str() {
                "vcc" => flags.push(format!("v_cmp_ne_u32_e32 {}, 0, v{column}", f.vcc)),
                "scc" => flags.push(format!(
                    "v_readfirstlane_b32 s45, v{column}\n  s_cmp_lg_u32 s45, 0"
                )),
                part if part.starts_with('s') => {
                    let _ = writeln!(out, "  v_readfirstlane_b32 {part}, v{column}");
                }
                part => {
                    let _ = writeln!(out, "  v_mov_b32_e32 {part}, v{column}");
                }
            }
            column += 1;
        }
    }
    for flag in flags {
        let _ = writeln!(out, "  {flag}");
    }
    let text = if f.vcc == "vcc" {
        text.replace("vcc_lo", "vcc")
    } else {
        text.to_owned()
    };
    let _ = writeln!(out, "  {text}");
    // Flags first: what follows may disturb them.
    let mut stores = String::new();
    let mut column = 0;
    for register in &op.outputs {
        for part in parts(register) {
            let source = match part.as_str() {
                "vcc" => {
                    let _ = writeln!(out, "  v_cndmask_b32_e64 v60, 0, 1, {}", f.vcc);
                    "v60".to_owned()
                }
                "scc" => {
                    let _ = writeln!(out, "  s_cselect_b32 s46, 1, 0\n  v_mov_b32_e32 v61, s46");
                    "v61".to_owned()
                }
                part if part.starts_with('s') => {
                    let _ = writeln!(stores, "  v_mov_b32_e32 v62, {part}");
                    "v62".to_owned()
                }
                part => part.to_owned(),
            };
            let _ = writeln!(
                stores,
                "  {} v42, {source}, s[42:43] offset:{}",
                f.store,
                column * 4
            );
            column += 1;
        }
    }
    out.push_str(&stores);
    out.push_str("  s_endpgm\n");
}

/// One code object with a kernel for each operation.
pub fn code_object(
    processor: &str,
    family: &str,
    wave: u32,
    operations: &[(&Operation, &str)],
) -> Vec<u8> {
    let f = frame(family, wave);
    let mut text = format!("  .amdgcn_target \"amdgcn-amd-amdhsa--{processor}\"\n");
    let mut metadata =
        String::from("  .amdgpu_metadata\n---\namdhsa.version: [1, 2]\namdhsa.kernels:\n");
    for (index, (op, spelling)) in operations.iter().enumerate() {
        let name = symbol(index);
        let _ = write!(
            text,
            "  .text\n  .globl {name}\n  .p2align 8\n  .type {name},@function\n{name}:\n"
        );
        body(&mut text, &f, op, spelling);
        let _ = write!(
            text,
            ".L{name}_end:\n  .size {name}, .L{name}_end-{name}\n  .rodata\n  .p2align 6\n  .amdhsa_kernel {name}\n    \
             .amdhsa_next_free_vgpr 64\n    .amdhsa_next_free_sgpr 48\n    .amdhsa_user_sgpr_kernarg_segment_ptr 1\n    \
             .amdhsa_kernarg_size 16\n    .amdhsa_float_denorm_mode_32 3\n"
        );
        if family != "gfx9" {
            let _ = writeln!(
                text,
                "    .amdhsa_wavefront_size32 {}",
                u32::from(wave == 32)
            );
        }
        if matches!(processor, "gfx90a" | "gfx942") {
            text.push_str("    .amdhsa_accum_offset 64\n");
        }
        text.push_str("  .end_amdhsa_kernel\n");
        let _ = write!(
            metadata,
            "  - .name: {name}\n    .symbol: {name}.kd\n    .kernarg_segment_size: 16\n    .kernarg_segment_align: 8\n    \
             .group_segment_fixed_size: 0\n    .private_segment_fixed_size: 0\n    .wavefront_size: {wave}\n    .sgpr_count: 48\n    \
             .vgpr_count: 64\n    .max_flat_workgroup_size: 64\n    .args:\n      - {{.offset: 0, .size: 8, .value_kind: global_buffer, \
             .address_space: global}}\n      - {{.offset: 8, .size: 8, .value_kind: global_buffer, .address_space: global}}\n"
        );
    }
    metadata.push_str("...\n  .end_amdgpu_metadata\n");
    text.push_str(&metadata);

    let lanes = match (family, wave) {
        ("gfx9", _) => None,
        (_, 64) => Some("-mwavefrontsize64"),
        _ => Some("-mno-wavefrontsize64"),
    };
    assemble::assemble(&text, processor, lanes.as_slice())
}
