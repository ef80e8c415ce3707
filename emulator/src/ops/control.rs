//! Control of the wave: branches, calls, barriers, hardware registers, and the scalar operations that write EXEC besides
//! their destination.

use crate::check;
use crate::exec::{Cx, Flow};
use crate::fault::FaultKind;
use crate::float::Mode;
use crate::isa::decode::{Build, Reason};
use crate::isa::inst::{Class, Detail, Inst, Kind, Run, Source, slot};
use crate::lanes::Type;
use crate::ops::memory::access::{PRIVATE_APERTURE, SHARED_APERTURE};
use crate::ops::scalar::{self, ScalarOp};
use crate::ops::vector::scalar as operand;

/// Instructions with no effect here: memory is coherent, results are ready at once, nothing is cached.
pub const NOTHING: &[&str] = &[
    "s_nop",
    "v_nop",
    "v_pipeflush",
    "ds_nop",
    "s_waitcnt",
    "s_waitcnt_depctr",
    "s_waitcnt_vmcnt",
    "s_waitcnt_vscnt",
    "s_waitcnt_lgkmcnt",
    "s_waitcnt_expcnt",
    "s_wait_loadcnt",
    "s_wait_storecnt",
    "s_wait_samplecnt",
    "s_wait_bvhcnt",
    "s_wait_expcnt",
    "s_wait_dscnt",
    "s_wait_kmcnt",
    "s_wait_xcnt",
    "s_wait_asynccnt",
    "s_wait_tensorcnt",
    "s_wait_loadcnt_dscnt",
    "s_wait_storecnt_dscnt",
    "s_wait_alu",
    "s_wait_idle",
    "s_wait_event",
    "s_delay_alu",
    "s_clause",
    "s_setprio",
    "s_sendmsg",
    "s_inst_prefetch",
    "s_set_inst_prefetch_distance",
    "s_icache_inv",
    "s_dcache_inv",
    "s_dcache_inv_vol",
    "s_dcache_wb",
    "s_dcache_wb_vol",
    "s_gl1_inv",
    "s_prefetch_inst",
    "s_prefetch_inst_pc_rel",
    "s_prefetch_data",
    "s_prefetch_data_pc_rel",
    "s_buffer_prefetch_data",
    "s_ttracedata",
    "s_ttracedata_imm",
    "s_incperflevel",
    "s_decperflevel",
    "s_version",
    "s_wakeup",
    "s_singleuse_vdst",
    "s_cbranch_cdbgsys",
    "s_cbranch_cdbguser",
    "s_cbranch_cdbgsys_or_user",
    "s_cbranch_cdbgsys_and_user",
    "buffer_gl0_inv",
    "buffer_gl1_inv",
    "buffer_wbinvl1",
    "buffer_wbinvl1_vol",
    "buffer_inv",
    "buffer_invl2",
    "buffer_wbl2",
    "buffer_inv_sc1",
    "global_inv",
    "global_wb",
    "global_wbinv",
    "global_prefetch_b8",
];

type Make = fn(&Build<'_>) -> Result<Inst, Reason>;

/// Control instructions and their decoders.
pub const SPECIAL: &[(&str, Make)] = &[
    ("s_branch", |b| branch(b, Condition::Always)),
    ("s_cbranch_scc0", |b| branch(b, Condition::Scc0)),
    ("s_cbranch_scc1", |b| branch(b, Condition::Scc1)),
    ("s_cbranch_vccz", |b| branch(b, Condition::Vccz)),
    ("s_cbranch_vccnz", |b| branch(b, Condition::Vccnz)),
    ("s_cbranch_execz", |b| branch(b, Condition::Execz)),
    ("s_cbranch_execnz", |b| branch(b, Condition::Execnz)),
    ("s_call_b64", call),
    ("s_getpc_b64", |b| {
        to_pair(b, |cx, inst| write_pair(cx, inst, cx.next_address()))
    }),
    ("s_setpc_b64", |b| jump(b, false)),
    ("s_swappc_b64", |b| jump(b, true)),
    ("s_endpgm", |_| {
        Ok(Inst::new(|_, _| Flow::End, Class::Control))
    }),
    ("s_endpgm_saved", |_| {
        Ok(Inst::new(|_, _| Flow::End, Class::Control))
    }),
    ("s_code_end", |_| {
        Ok(Inst::new(
            |cx, _| cx.fail(FaultKind::EndOfCode, None),
            Class::Control,
        ))
    }),
    ("s_sleep", |_| {
        Ok(Inst::new(|_, _| Flow::Yield, Class::Control))
    }),
    ("s_sleep_var", |_| {
        Ok(Inst::new(|_, _| Flow::Yield, Class::Control))
    }),
    ("s_barrier", |_| Ok(Inst::new(barrier, Class::Control))),
    ("s_barrier_signal", barrier_signal),
    ("s_barrier_signal_isfirst", barrier_signal),
    ("s_barrier_wait", |_| Ok(Inst::new(wait, Class::Control))),
    ("ds_gws_barrier", grid_barrier),
    ("s_barrier_leave", |_| {
        Ok(Inst::new(crate::exec::nothing, Class::Control))
    }),
    ("s_trap", trap),
    ("s_sethalt", |_| {
        Ok(Inst::new(crate::exec::nothing, Class::Control))
    }),
    ("s_getreg_b32", getreg),
    ("s_setreg_b32", setreg),
    ("s_setreg_imm32_b32", setreg),
    ("s_round_mode", |b| mode_field(b, 0)),
    ("s_denorm_mode", |b| mode_field(b, 4)),
    ("s_memtime", |b| {
        to_pair(b, |cx, inst| write_pair(cx, inst, nanoseconds()))
    }),
    ("s_memrealtime", |b| {
        to_pair(b, |cx, inst| write_pair(cx, inst, nanoseconds() / 10))
    }),
    ("s_sendmsg_rtn_b32", sendmsg_rtn),
    ("s_sendmsg_rtn_b64", sendmsg_rtn),
    ("s_set_gpr_idx_on", indexed),
    ("s_set_gpr_idx_off", |_| {
        let mut inst = Inst::new(crate::exec::nothing, Class::Control);
        inst.rows = INDEX_OFF;
        Ok(inst)
    }),
    ("s_movrels_b32", |b| relative(b, Type::B32, true)),
    ("s_movrels_b64", |b| relative(b, Type::B64, true)),
    ("s_movreld_b32", |b| relative(b, Type::B32, false)),
    ("s_movreld_b64", |b| relative(b, Type::B64, false)),
    ("s_movk_i32", immediate),
    ("s_cmovk_i32", immediate),
    ("s_addk_i32", immediate),
    ("s_addk_co_i32", immediate),
    ("s_mulk_i32", immediate),
    ("s_cmpk_eq_i32", immediate),
    ("s_cmpk_lg_i32", immediate),
    ("s_cmpk_gt_i32", immediate),
    ("s_cmpk_ge_i32", immediate),
    ("s_cmpk_lt_i32", immediate),
    ("s_cmpk_le_i32", immediate),
    ("s_cmpk_eq_u32", immediate),
    ("s_cmpk_lg_u32", immediate),
    ("s_cmpk_gt_u32", immediate),
    ("s_cmpk_ge_u32", immediate),
    ("s_cmpk_lt_u32", immediate),
    ("s_cmpk_le_u32", immediate),
    ("s_and_saveexec_b32", save_exec),
    ("s_and_saveexec_b64", save_exec),
    ("s_or_saveexec_b32", save_exec),
    ("s_or_saveexec_b64", save_exec),
    ("s_xor_saveexec_b32", save_exec),
    ("s_xor_saveexec_b64", save_exec),
    ("s_nand_saveexec_b32", save_exec),
    ("s_nand_saveexec_b64", save_exec),
    ("s_nor_saveexec_b32", save_exec),
    ("s_nor_saveexec_b64", save_exec),
    ("s_xnor_saveexec_b32", save_exec),
    ("s_xnor_saveexec_b64", save_exec),
    ("s_andn2_saveexec_b32", save_exec),
    ("s_andn2_saveexec_b64", save_exec),
    ("s_andn1_saveexec_b32", save_exec),
    ("s_andn1_saveexec_b64", save_exec),
    ("s_orn2_saveexec_b32", save_exec),
    ("s_orn2_saveexec_b64", save_exec),
    ("s_orn1_saveexec_b32", save_exec),
    ("s_orn1_saveexec_b64", save_exec),
    ("s_and_not1_saveexec_b32", save_exec),
    ("s_and_not1_saveexec_b64", save_exec),
    ("s_and_not0_saveexec_b32", save_exec),
    ("s_and_not0_saveexec_b64", save_exec),
    ("s_or_not1_saveexec_b32", save_exec),
    ("s_or_not1_saveexec_b64", save_exec),
    ("s_or_not0_saveexec_b32", save_exec),
    ("s_or_not0_saveexec_b64", save_exec),
    ("s_andn1_wrexec_b32", save_exec),
    ("s_andn1_wrexec_b64", save_exec),
    ("s_andn2_wrexec_b32", save_exec),
    ("s_andn2_wrexec_b64", save_exec),
    ("s_and_not0_wrexec_b32", save_exec),
    ("s_and_not0_wrexec_b64", save_exec),
    ("s_and_not1_wrexec_b32", save_exec),
    ("s_and_not1_wrexec_b64", save_exec),
];

#[derive(Clone, Copy)]
enum Condition {
    Always,
    Scc0,
    Scc1,
    Vccz,
    Vccnz,
    Execz,
    Execnz,
}

/// Whether an instruction's `imm` is a branch offset that [`resolve_branches`](crate::isa::decode::resolve_branches) turns
/// into a target.
pub fn is_branch(inst: &Inst) -> bool {
    inst.class == Class::Branch && inst.rows == BRANCH
}

/// Marks branches; no control instruction has a result of that many words.
const BRANCH: u8 = u8::MAX;

/// Marks the end of register indexing.
const INDEX_OFF: u8 = u8::MAX - 1;

/// Bits of the indexing mode: the first operand and the destination.
const INDEX_SOURCE: u32 = 1;
const INDEX_DESTINATION: u32 = 8;

/// `s_set_gpr_idx_on` (gfx9): moves from here to `s_set_gpr_idx_off` have an offset added to their registers. Compilers
/// put nothing else between the two, so the moves are executed here and control goes on behind the end.
fn indexed(build: &Build<'_>) -> Result<Inst, Reason> {
    let mut inst = Inst::new(run_indexed, Class::Control);
    inst.src[0] = build.source(0, Type::B32, 0)?;
    inst.target = (build.raw >> 8) as u32 & 15;
    if inst.target & !(INDEX_SOURCE | INDEX_DESTINATION) != 0 {
        return Err("only moves are known to be indexed".to_owned());
    }
    Ok(inst)
}

fn run_indexed(cx: &mut Cx<'_>, inst: &Inst) -> Flow {
    let index = operand(cx.w, &inst.src[0]) as u32 & 0xff;
    let m0 = &mut cx.w.sgpr[usize::from(slot::M0)];
    *m0 = (*m0 & !0xf0ff) | index | inst.target << 12;
    let function = cx.function;
    let unknown = |cx: &mut Cx<'_>| {
        let reason = "only moves of registers are known to be indexed".to_owned();
        cx.fail(FaultKind::Unknown { reason }, None)
    };
    loop {
        cx.w.pc += 1;
        let Some(next) = function.instructions.get(cx.w.pc) else {
            return unknown(cx);
        };
        if next.class == Class::Control && next.rows == INDEX_OFF {
            return Flow::Jump(cx.w.pc as u32 + 1);
        }
        let mut next = next.clone();
        if next.class == Class::Valu && next.sources == 1 && next.rows == 1 {
            let shift = |reg: u16| (u32::from(reg) + index).min(255) as u16;
            if inst.target & INDEX_SOURCE != 0 && next.src[0].kind == Kind::Vector {
                next.src[0].reg = shift(next.src[0].reg);
            }
            if inst.target & INDEX_DESTINATION != 0 {
                next.dst = shift(next.dst);
            }
        } else if next.class != Class::Salu && next.class != Class::Control {
            return unknown(cx);
        }
        if (next.run)(cx, &next) != Flow::Next {
            return unknown(cx);
        }
    }
}

fn taken(cx: &mut Cx<'_>, inst: &Inst) -> Flow {
    if inst.target == u32::MAX {
        return Flow::JumpTo(cx.next_address().wrapping_add_signed(4 * inst.imm));
    }
    Flow::Jump(inst.target)
}

fn branch(build: &Build<'_>, condition: Condition) -> Result<Inst, Reason> {
    let run: Run = match condition {
        Condition::Always => taken,
        Condition::Scc0 => |cx, inst| {
            if cx.w.scc {
                Flow::Next
            } else {
                taken(cx, inst)
            }
        },
        Condition::Scc1 => |cx, inst| {
            if cx.w.scc {
                taken(cx, inst)
            } else {
                Flow::Next
            }
        },
        Condition::Vccz => |cx, inst| {
            if cx.w.mask(slot::VCC) == 0 {
                taken(cx, inst)
            } else {
                Flow::Next
            }
        },
        Condition::Vccnz => |cx, inst| {
            if cx.w.mask(slot::VCC) != 0 {
                taken(cx, inst)
            } else {
                Flow::Next
            }
        },
        Condition::Execz => |cx, inst| {
            if cx.w.exec64() == 0 {
                taken(cx, inst)
            } else {
                Flow::Next
            }
        },
        Condition::Execnz => |cx, inst| {
            if cx.w.exec64() != 0 {
                taken(cx, inst)
            } else {
                Flow::Next
            }
        },
    };
    let mut inst = Inst::new(run, Class::Branch);
    inst.imm = (build.raw as u16 as i16).into();
    inst.rows = BRANCH;
    Ok(inst)
}

fn call(build: &Build<'_>) -> Result<Inst, Reason> {
    let mut inst = Inst::new(
        |cx, inst| {
            let next = cx.next_address();
            cx.w.set_sgpr64(inst.dst, next);
            taken(cx, inst)
        },
        Class::Branch,
    );
    inst.imm = (build.raw as u16 as i16).into();
    inst.rows = BRANCH;
    inst.dst = build.scalar_dst(0)?;
    Ok(inst)
}

fn jump(build: &Build<'_>, link: bool) -> Result<Inst, Reason> {
    let mut inst = Inst::new(
        |cx, inst| {
            let target = operand(cx.w, &inst.src[0]);
            if inst.dst != slot::NONE {
                let next = cx.next_address();
                cx.w.set_sgpr64(inst.dst, next);
            }
            Flow::JumpTo(target)
        },
        Class::Branch,
    );
    if link {
        inst.dst = build.scalar_dst(0)?;
    }
    inst.src[0] = build.source(usize::from(link), Type::B64, 0)?;
    Ok(inst)
}

/// An instruction whose only effect is to write a pair of scalar registers.
fn to_pair(build: &Build<'_>, run: Run) -> Result<Inst, Reason> {
    let mut inst = Inst::new(run, Class::Control);
    inst.dst = build.scalar_dst(0)?;
    Ok(inst)
}

fn write_pair(cx: &mut Cx<'_>, inst: &Inst, value: u64) -> Flow {
    cx.w.set_sgpr64(inst.dst, value);
    Flow::Next
}

/// Nanoseconds since the first call.
fn nanoseconds() -> u64 {
    use std::sync::OnceLock;
    use std::time::Instant;
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

fn sendmsg_rtn(build: &Build<'_>) -> Result<Inst, Reason> {
    /// MSG_RTN_GET_REALTIME of the RDNA3 manual: a counter of 100 MHz.
    const REALTIME: u64 = 0x83;
    let message = build.raw & 0xff;
    let mut inst = Inst::new(
        |cx, inst| {
            let value = if inst.imm as u64 == REALTIME {
                nanoseconds() / 10
            } else {
                0
            };
            if inst.rows == 2 {
                cx.w.set_sgpr64(inst.dst, value);
            } else {
                cx.w.sgpr[usize::from(inst.dst)] = value as u32;
            }
            Flow::Next
        },
        Class::Control,
    );
    inst.imm = message as i64;
    inst.dst = build.scalar_dst(0)?;
    inst.rows = if build.line.mnemonic.ends_with("b64") {
        2
    } else {
        1
    };
    Ok(inst)
}

fn arrive(cx: &mut Cx<'_>) {
    let phase = cx.group.phase;
    cx.w.signalled = Some(phase);
    cx.group.arrive();
    if cx.watch.is_some() {
        check::arrived(cx, cx.group.phase != phase);
    }
}

fn wait(cx: &mut Cx<'_>, _: &Inst) -> Flow {
    match cx.w.signalled {
        Some(phase) if phase >= cx.group.phase => Flow::Wait,
        _ => {
            cx.w.pass_barrier();
            Flow::Next
        }
    }
}

fn barrier(cx: &mut Cx<'_>, inst: &Inst) -> Flow {
    arrive(cx);
    wait(cx, inst)
}

/// `s_barrier_signal` of the work-group's barrier; named barriers are not known.
fn barrier_signal(build: &Build<'_>) -> Result<Inst, Reason> {
    if build.operand(0)?.value != crate::isa::text::Value::Int(-1) {
        return Err("only the barrier of the work-group is known".to_owned());
    }
    let first = build.line.mnemonic.ends_with("isfirst");
    Ok(Inst::new(
        if first {
            |cx, _| {
                cx.w.scc = cx.group.arrived == 0;
                arrive(cx);
                Flow::Next
            }
        } else {
            |cx, _| {
                arrive(cx);
                Flow::Next
            }
        },
        Class::Control,
    ))
}

/// `ds_gws_barrier`: waits for one wave of every work-group of the grid. The operand counts the others.
fn grid_barrier(build: &Build<'_>) -> Result<Inst, Reason> {
    let mut inst = Inst::new(
        |cx, inst| {
            let shared = cx.shared;
            let Some(grid) = &shared.grid else {
                return cx.fail(FaultKind::NotCooperative, None);
            };
            let lane = cx.w.exec64().trailing_zeros() as usize % cx.w.lanes();
            let groups = cx.w.lane(lane, inst.src[0].reg).wrapping_add(1);
            cx.w.at_grid_barrier = grid.pass(cx.w.at_grid_barrier, groups);
            match cx.w.at_grid_barrier {
                Some(_) => Flow::Again,
                None => {
                    check::synchronized(cx);
                    Flow::Next
                }
            }
        },
        Class::Control,
    );
    inst.src[0] = build.source(0, Type::B32, 0)?;
    if inst.src[0].kind != Kind::Vector {
        return Err("the count of work-groups is no vector register".to_owned());
    }
    Ok(inst)
}

fn trap(build: &Build<'_>) -> Result<Inst, Reason> {
    /// The debugger's trap, which goes on where no debugger is attached.
    const DEBUG: i64 = 3;
    let mut inst = Inst::new(
        |cx, inst| {
            if inst.imm == DEBUG {
                Flow::Next
            } else {
                cx.fail(
                    FaultKind::Trap {
                        id: inst.imm as u32,
                    },
                    None,
                )
            }
        },
        Class::Control,
    );
    inst.imm = (build.raw & 0xff) as i64;
    Ok(inst)
}

/// Numbers of the hardware registers that code reads or writes.
mod hardware {
    pub const MODE: u32 = 1;
    /// gfx9: the high 16 bits of both apertures.
    pub const SH_MEM_BASES: u32 = 15;
    pub const FLAT_SCRATCH_LO: u32 = 20;
    pub const FLAT_SCRATCH_HI: u32 = 21;
    /// gfx10.3 and later: a counter of clocks.
    pub const SHADER_CYCLES: u32 = 29;
}

fn read_hardware(cx: &Cx<'_>, id: u32) -> u32 {
    match id {
        hardware::MODE => cx.w.mode.bits,
        hardware::SH_MEM_BASES => {
            (PRIVATE_APERTURE >> 48) as u32 | ((SHARED_APERTURE >> 48) as u32) << 16
        }
        hardware::FLAT_SCRATCH_LO => cx.w.sgpr[usize::from(slot::FLAT_SCRATCH)],
        hardware::FLAT_SCRATCH_HI => cx.w.sgpr[usize::from(slot::FLAT_SCRATCH) + 1],
        hardware::SHADER_CYCLES => nanoseconds() as u32 & 0xf_ffff,
        // Identification and status of hardware that is not there.
        _ => 0,
    }
}

fn field(inst: &Inst) -> (u32, u32, u32) {
    let simm = inst.target;
    let size = (simm >> 11 & 31) + 1;
    (simm & 63, simm >> 6 & 31, ((1u64 << size) - 1) as u32)
}

fn getreg(build: &Build<'_>) -> Result<Inst, Reason> {
    let mut inst = Inst::new(
        |cx, inst| {
            let (id, offset, mask) = field(inst);
            cx.w.sgpr[usize::from(inst.dst)] = (read_hardware(cx, id) >> offset) & mask;
            Flow::Next
        },
        Class::Control,
    );
    inst.dst = build.scalar_dst(0)?;
    inst.target = build.raw as u32 & 0xffff;
    Ok(inst)
}

fn setreg(build: &Build<'_>) -> Result<Inst, Reason> {
    let mut inst = Inst::new(
        |cx, inst| {
            let (id, offset, mask) = field(inst);
            let value = operand(cx.w, &inst.src[0]) as u32;
            match id {
                hardware::MODE => {
                    let bits = (cx.w.mode.bits & !(mask << offset)) | ((value & mask) << offset);
                    cx.w.mode = Mode::new(bits);
                }
                hardware::FLAT_SCRATCH_LO => cx.w.sgpr[usize::from(slot::FLAT_SCRATCH)] = value,
                hardware::FLAT_SCRATCH_HI => cx.w.sgpr[usize::from(slot::FLAT_SCRATCH) + 1] = value,
                _ => {}
            }
            Flow::Next
        },
        Class::Control,
    );
    inst.src[0] = build.source(1, Type::B32, 0)?;
    inst.target = build.raw as u32 & 0xffff;
    Ok(inst)
}

/// `s_round_mode`, `s_denorm_mode`: four bits of MODE.
fn mode_field(build: &Build<'_>, offset: u32) -> Result<Inst, Reason> {
    let mut inst = Inst::new(
        |cx, inst| {
            let bits =
                (cx.w.mode.bits & !(15 << inst.target)) | ((inst.imm as u32 & 15) << inst.target);
            cx.w.mode = Mode::new(bits);
            Flow::Next
        },
        Class::Control,
    );
    inst.imm = (build.raw & 15) as i64;
    inst.target = offset;
    Ok(inst)
}

fn relative(build: &Build<'_>, ty: Type, from: bool) -> Result<Inst, Reason> {
    let mut inst = Inst::new(
        |cx, inst| {
            let index = cx.w.sgpr[usize::from(slot::M0)] as usize;
            let (source, target) = if inst.target == 1 {
                (index, 0)
            } else {
                (0, index)
            };
            for word in 0..usize::from(inst.rows) {
                let value = if inst.src[0].kind == Kind::Scalar {
                    cx.w.sgpr
                        .get(usize::from(inst.src[0].reg) + source + word)
                        .copied()
                        .unwrap_or(0)
                } else {
                    (operand(cx.w, &inst.src[0]) >> (32 * word)) as u32
                };
                if let Some(register) = cx.w.sgpr.get_mut(usize::from(inst.dst) + target + word) {
                    *register = value;
                }
            }
            Flow::Next
        },
        Class::Salu,
    );
    inst.dst = build.scalar_dst(0)?;
    inst.src[0] = build.source(1, ty, 0)?;
    inst.rows = ty.rows() as u8;
    inst.target = u32::from(from);
    Ok(inst)
}

/// Operations with a 16-bit immediate, which the text prints in several ways; it is taken from the instruction itself.
fn immediate(build: &Build<'_>) -> Result<Inst, Reason> {
    let mnemonic = build.line.mnemonic;
    let short = build.raw as u16;
    let value = if mnemonic.ends_with("u32") {
        u32::from(short)
    } else {
        (short as i16) as u32
    };
    let immediate = Source::constant(value);
    let register = build.source(0, Type::B32, 0)?;
    let (name, sources, writes): (_, &[Source], _) = match mnemonic {
        "s_movk_i32" => ("mov_b32".to_owned(), &[immediate], true),
        "s_cmovk_i32" => ("cmov_b32".to_owned(), &[immediate, register], true),
        "s_addk_i32" | "s_addk_co_i32" => ("add_i32".to_owned(), &[register, immediate], true),
        "s_mulk_i32" => ("mul_i32".to_owned(), &[register, immediate], true),
        _ => {
            let condition = mnemonic.trim_start_matches("s_cmpk_");
            let unsigned = matches!(condition, "eq_u32" | "lg_u32");
            let condition = if unsigned {
                condition.replace('u', "i")
            } else {
                condition.to_owned()
            };
            (format!("cmp_{condition}"), &[register, immediate], false)
        }
    };
    let mut inst = Inst::new(scalar::run, Class::Salu);
    inst.detail = Detail::Scalar(meaning(&name)?);
    inst.src[..sources.len()].copy_from_slice(sources);
    inst.sources = sources.len() as u8;
    if writes {
        inst.dst = build.scalar_dst(0)?;
        inst.rows = 1;
    }
    Ok(inst)
}

fn meaning(name: &str) -> Result<&'static ScalarOp, Reason> {
    scalar::INTEGER
        .iter()
        .find(|op| op.name == name)
        .ok_or_else(|| format!("no scalar meaning {name}"))
}

/// `s_and_saveexec_b64` and its relatives: EXEC becomes the operand combined with EXEC; the destination takes the old EXEC,
/// or with `wrexec` the new one.
fn save_exec(build: &Build<'_>) -> Result<Inst, Reason> {
    let mnemonic = build.line.mnemonic;
    let (stem, size) = mnemonic.rsplit_once('_').ok_or("no size")?;
    let saves = stem.ends_with("saveexec");
    let operation = stem
        .trim_start_matches("s_")
        .trim_end_matches("_saveexec")
        .trim_end_matches("_wrexec");
    // Older names count the inverted operand from one.
    let operation = match operation {
        "andn1" => "and_not0",
        "andn2" => "and_not1",
        "orn1" => "or_not0",
        "orn2" => "or_not1",
        other => other,
    };
    let mut inst = Inst::new(
        |cx, inst| {
            let Detail::Scalar(op) = inst.detail else {
                return Flow::Next;
            };
            let wave = &mut *cx.w;
            let old = if inst.rows == 2 {
                wave.sgpr64(slot::EXEC)
            } else {
                wave.sgpr[usize::from(slot::EXEC)].into()
            };
            let value = operand(wave, &inst.src[0]);
            let status = scalar::Status {
                scc: wave.scc,
                mode: &wave.mode,
            };
            let (new, nonzero) = (op.function)(status, [value, old, 0]);
            let saved = if inst.target == 1 { old } else { new };
            for (register, value) in [(inst.dst, saved), (slot::EXEC, new)] {
                if inst.rows == 2 {
                    wave.set_sgpr64(register, value);
                } else {
                    wave.sgpr[usize::from(register)] = value as u32;
                }
            }
            wave.scc = nonzero;
            wave.exec_changed();
            Flow::Next
        },
        Class::Salu,
    );
    inst.detail = Detail::Scalar(meaning(&format!("{operation}_{size}"))?);
    inst.rows = if size == "b64" { 2 } else { 1 };
    inst.dst = build.scalar_dst(0)?;
    inst.src[0] = build.source(1, if size == "b64" { Type::B64 } else { Type::B32 }, 0)?;
    inst.target = u32::from(saves);
    Ok(inst)
}
