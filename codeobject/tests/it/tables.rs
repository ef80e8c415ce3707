//! The processor table and the kernel descriptor's fields, compared with what LLVM's tools say for each processor.

use crate::common::{llvm, run};
use codeobject::processor;
use codeobject::{Feature, KernelDescriptor, TargetId};

/// The processors that clang can build for.
fn supported_by_clang() -> Vec<String> {
    let output = llvm("clang")
        .args([
            "--target=amdgcn-amd-amdhsa",
            "-nogpulib",
            "--print-supported-cpus",
        ])
        .output()
        .expect("clang starts");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8(text).expect("processors are text");
    let names: Vec<_> = text
        .split_whitespace()
        .filter(|word| word.starts_with("gfx"))
        .map(str::to_owned)
        .collect();
    assert!(names.len() > 40, "clang lists its processors: {text}");
    names
}

/// Assembles a text for a target id and gives the object file.
fn assemble(text: &str, target: &TargetId, version: u8) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let (source, object) = (folder.path().join("a.s"), folder.path().join("a.o"));
    std::fs::write(&source, text).unwrap();
    run(llvm("clang")
        .args(["--target=amdgcn-amd-amdhsa", "-c"])
        .arg(format!("-mcpu={target}"))
        .arg(format!("-mcode-object-version={version}"))
        .arg(&source)
        .arg("-o")
        .arg(&object));
    std::fs::read(object).unwrap()
}

#[test]
fn machine_numbers_and_features_are_clangs() {
    for name in supported_by_clang() {
        let processor = processor::by_name(&name)
            .unwrap_or_else(|| panic!("clang knows {name}, the table does not"));
        let mut targets = vec![TargetId::new(&name)];
        for (xnack, sramecc) in [(Feature::On, Feature::Off), (Feature::Off, Feature::On)] {
            targets.push(TargetId {
                processor: name.clone(),
                sramecc: if processor.sramecc {
                    sramecc
                } else {
                    Feature::Any
                },
                xnack: if processor.xnack { xnack } else { Feature::Any },
            });
        }
        for target in targets {
            // The features' encoding is one since version 4; generic targets came with version 6.
            let has_features = target.to_string().contains(':');
            let versions: &[u8] = match has_features {
                _ if processor.is_generic() => &[6],
                true => &[5],
                false => &[4, 6],
            };
            for version in versions {
                let object = assemble("", &target, *version);
                let flags = u32::from_le_bytes(object[48..52].try_into().unwrap());
                let abi_version = object[8];
                assert_eq!(abi_version, version - 2);
                assert_eq!(
                    TargetId::from_elf_flags(flags, abi_version).as_ref(),
                    Ok(&target),
                    "{flags:#x}"
                );
                assert_eq!(
                    target.to_elf_flags(abi_version),
                    Ok(flags),
                    "{target} version {version}"
                );
            }
        }
    }
}

#[test]
fn clang_refuses_the_features_that_the_table_says_are_missing() {
    for name in supported_by_clang() {
        let processor = processor::by_name(&name).expect("a row");
        for (feature, supported) in [("sramecc", processor.sramecc), ("xnack", processor.xnack)] {
            let output = llvm("clang")
                .args([
                    "--target=amdgcn-amd-amdhsa",
                    "-nogpulib",
                    "-c",
                    "-x",
                    "assembler",
                    "/dev/null",
                    "-o",
                    "/dev/null",
                ])
                .arg(format!("-mcpu={name}:{feature}+"))
                .output()
                .expect("clang starts");
            assert_eq!(output.status.success(), supported, "{name} {feature}");
            assert_eq!(
                format!("{name}:{feature}+").parse::<TargetId>().is_ok(),
                supported,
                "{name} {feature}"
            );
        }
    }
}

/// Directives with another value than their default, so that a bit that is read from a wrong place shows.
const DIRECTIVES: &[&[(&str, u32)]] = &[
    &[],
    &[
        ("float_round_mode_32", 1),
        ("float_round_mode_16_64", 2),
        ("float_denorm_mode_32", 1),
        ("user_sgpr_dispatch_ptr", 1),
    ],
    &[
        ("float_round_mode_32", 3),
        ("float_denorm_mode_16_64", 2),
        ("user_sgpr_queue_ptr", 1),
        ("system_vgpr_workitem_id", 2),
    ],
    &[
        ("user_sgpr_kernarg_segment_ptr", 1),
        ("user_sgpr_dispatch_id", 1),
        ("system_sgpr_workgroup_id_y", 1),
    ],
    &[
        ("user_sgpr_private_segment_size", 1),
        ("system_sgpr_workgroup_id_x", 0),
        ("system_sgpr_workgroup_id_z", 1),
    ],
    &[
        ("system_sgpr_workgroup_info", 1),
        ("exception_fp_ieee_invalid_op", 1),
        ("exception_fp_ieee_overflow", 1),
    ],
    &[
        ("exception_fp_denorm_src", 1),
        ("exception_fp_ieee_div_zero", 1),
        ("uses_dynamic_stack", 1),
    ],
    &[
        ("exception_fp_ieee_underflow", 1),
        ("exception_fp_ieee_inexact", 1),
        ("exception_int_div_zero", 1),
    ],
    &[
        ("group_segment_fixed_size", 4711),
        ("private_segment_fixed_size", 815),
        ("kernarg_size", 17),
        ("system_vgpr_workitem_id", 1),
    ],
];

/// What a processor's majority of directives does not have.
fn special(processor: &str) -> &'static [(&'static str, u32)] {
    match processor {
        "gfx900" => &[
            ("dx10_clamp", 0),
            ("fp16_overflow", 1),
            ("user_sgpr_private_segment_buffer", 1),
            ("user_sgpr_flat_scratch_init", 1),
        ],
        "gfx90a" => &[
            ("ieee_mode", 0),
            ("tg_split", 1),
            ("user_sgpr_kernarg_preload_length", 3),
            ("user_sgpr_kernarg_preload_offset", 5),
        ],
        "gfx942" => &[("fp16_overflow", 1), ("enable_private_segment", 1)],
        "gfx1030" => &[
            ("wavefront_size32", 0),
            ("workgroup_processor_mode", 0),
            ("shared_vgpr_count", 2),
            ("memory_ordered", 0),
        ],
        "gfx1100" => &[
            ("wavefront_size32", 1),
            ("forward_progress", 1),
            ("dx10_clamp", 0),
            ("enable_private_segment", 1),
        ],
        "gfx1201" => &[
            ("wavefront_size32", 0),
            ("round_robin_scheduling", 1),
            ("memory_ordered", 0),
        ],
        other => panic!("no directives for {other}"),
    }
}

#[test]
fn kernel_descriptors_are_read_as_llvm_reads_them() {
    for processor in [
        "gfx900", "gfx90a", "gfx942", "gfx1030", "gfx1100", "gfx1201",
    ] {
        let family = processor::by_name(processor).unwrap().family;
        let unified = family.has_unified_registers();
        let architected_scratch = matches!(processor, "gfx942" | "gfx1100" | "gfx1201");
        let mut text = String::from(".rodata\n");
        let all = DIRECTIVES.iter().copied().chain([special(processor)]);
        for (index, directives) in all.enumerate() {
            text += &format!(
                ".amdhsa_kernel k{index}\n.amdhsa_next_free_vgpr {}\n.amdhsa_next_free_sgpr {}\n",
                9 * index + 5,
                7 * index + 3
            );
            if unified {
                text += &format!(".amdhsa_accum_offset {}\n", 4 * index + 4);
            }
            for (name, value) in directives {
                if architected_scratch && name.contains("private_segment_buffer") {
                    continue;
                }
                text += &format!(".amdhsa_{name} {value}\n");
            }
            text += ".end_amdhsa_kernel\n";
        }
        let folder = tempfile::tempdir().unwrap();
        let (object, raw) = (folder.path().join("a.o"), folder.path().join("rodata"));
        std::fs::write(&object, assemble(&text, &TargetId::new(processor), 5)).unwrap();
        run(llvm("llvm-objcopy")
            .args(["-O", "binary", "-j", ".rodata"])
            .arg(&object)
            .arg(&raw));
        let raw = std::fs::read(raw).unwrap();
        let dump = String::from_utf8(run(llvm("llvm-objdump")
            .args(["-D", "-j", ".rodata"])
            .arg(&object)))
        .unwrap();

        let kernels: Vec<_> = dump.split(".amdhsa_kernel ").skip(1).collect();
        assert_eq!(kernels.len(), DIRECTIVES.len() + 1, "{processor}: {dump}");
        let mut compared = 0;
        for (bytes, dumped) in raw.chunks(64).zip(&kernels) {
            let descriptor = KernelDescriptor::parse(bytes).unwrap();
            for line in dumped
                .lines()
                .filter_map(|line| line.trim().strip_prefix(".amdhsa_"))
            {
                let (name, value) = line.split_once(' ').unwrap();
                let value: u32 = value.parse().unwrap();
                if let Some(ours) = field(&descriptor, name, family) {
                    assert_eq!(
                        ours, value,
                        "{processor} {dumped}\n{name} of {descriptor:?}"
                    );
                    compared += 1;
                }
            }
        }
        assert!(
            compared > 30 * kernels.len(),
            "{processor}: {compared} fields"
        );
    }
}

/// Our reading of what a directive of the disassembled descriptor says.
fn field(d: &KernelDescriptor, name: &str, family: processor::Family) -> Option<u32> {
    let (r1, r2, r3, code) = (
        d.compute_pgm_rsrc1,
        d.compute_pgm_rsrc2,
        d.compute_pgm_rsrc3,
        d.kernel_code_properties,
    );
    let flag = |flag: bool| Some(u32::from(flag));
    match name {
        "group_segment_fixed_size" => Some(d.group_segment_fixed_size),
        "private_segment_fixed_size" => Some(d.private_segment_fixed_size),
        "kernarg_size" => Some(d.kernarg_size),
        "accum_offset" => Some(r3.accum_offset()),
        "tg_split" => flag(r3.tg_split()),
        "shared_vgpr_count" => Some(r3.shared_vgpr_count()),
        "next_free_vgpr" => Some(d.allocated_vgprs(family)),
        "next_free_sgpr" if family.gfx_major() < 10 => Some(d.allocated_sgprs(family)),
        "float_round_mode_32" => Some(r1.float_round_mode_32()),
        "float_round_mode_16_64" => Some(r1.float_round_mode_16_64()),
        "float_denorm_mode_32" => Some(r1.float_denorm_mode_32()),
        "float_denorm_mode_16_64" => Some(r1.float_denorm_mode_16_64()),
        "dx10_clamp" => flag(r1.enable_dx10_clamp()),
        "ieee_mode" => flag(r1.enable_ieee_mode()),
        "round_robin_scheduling" => flag(r1.enable_wg_rr()),
        "fp16_overflow" => flag(r1.fp16_ovfl()),
        "workgroup_processor_mode" => flag(r1.wgp_mode()),
        "memory_ordered" => flag(r1.mem_ordered()),
        "forward_progress" => flag(r1.fwd_progress()),
        "system_sgpr_private_segment_wavefront_offset" | "enable_private_segment" => {
            flag(r2.enable_private_segment())
        }
        "system_sgpr_workgroup_id_x" => flag(r2.enable_sgpr_workgroup_id_x()),
        "system_sgpr_workgroup_id_y" => flag(r2.enable_sgpr_workgroup_id_y()),
        "system_sgpr_workgroup_id_z" => flag(r2.enable_sgpr_workgroup_id_z()),
        "system_sgpr_workgroup_info" => flag(r2.enable_sgpr_workgroup_info()),
        "system_vgpr_workitem_id" => Some(r2.enable_vgpr_workitem_id()),
        "exception_fp_ieee_invalid_op" => flag(r2.enable_exception_ieee_754_fp_invalid_operation()),
        "exception_fp_denorm_src" => flag(r2.enable_exception_fp_denormal_source()),
        "exception_fp_ieee_div_zero" => flag(r2.enable_exception_ieee_754_fp_division_by_zero()),
        "exception_fp_ieee_overflow" => flag(r2.enable_exception_ieee_754_fp_overflow()),
        "exception_fp_ieee_underflow" => flag(r2.enable_exception_ieee_754_fp_underflow()),
        "exception_fp_ieee_inexact" => flag(r2.enable_exception_ieee_754_fp_inexact()),
        "exception_int_div_zero" => flag(r2.enable_exception_int_divide_by_zero()),
        "user_sgpr_private_segment_buffer" => flag(code.enable_sgpr_private_segment_buffer()),
        "user_sgpr_dispatch_ptr" => flag(code.enable_sgpr_dispatch_ptr()),
        "user_sgpr_queue_ptr" => flag(code.enable_sgpr_queue_ptr()),
        "user_sgpr_kernarg_segment_ptr" => flag(code.enable_sgpr_kernarg_segment_ptr()),
        "user_sgpr_dispatch_id" => flag(code.enable_sgpr_dispatch_id()),
        "user_sgpr_flat_scratch_init" => flag(code.enable_sgpr_flat_scratch_init()),
        "user_sgpr_private_segment_size" => flag(code.enable_sgpr_private_segment_size()),
        "user_sgpr_kernarg_preload_length" => Some(d.kernarg_preload.length()),
        "user_sgpr_kernarg_preload_offset" => Some(d.kernarg_preload.offset()),
        "wavefront_size32" => Some(u32::from(d.wavefront_size() == 32)),
        "uses_dynamic_stack" => flag(code.uses_dynamic_stack()),
        // What the assembler adds to the registers that the code names.
        "reserve_vcc" | "reserve_flat_scratch" | "reserve_xnack_mask" | "next_free_sgpr" => None,
        "inst_pref_size" => Some(if family.gfx_major() == 11 {
            r3.inst_pref_size_gfx11()
        } else {
            r3.inst_pref_size_gfx12()
        }),
        other => panic!("llvm-objdump names a field `{other}`"),
    }
}
