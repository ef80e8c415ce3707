//! Which kinds of instructions a kernel is made of.
//!
//! Classes are told by mnemonic, which names the unit that executes an instruction on every GFX generation. This is a
//! count of the code, not of what runs: loops are not known here.

use std::collections::BTreeMap;

use serde::Serialize;

use super::KernelReport;
use super::disassemble::{Disassembler, DisassemblerError};

/// What executes an instruction, or what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Arithmetic on lanes.
    Vector,
    /// Two vector operations in one instruction (GFX11 and later).
    Dual,
    /// Dot products of packed integers or halves.
    Dot,
    /// Matrix products: MFMA, WMMA.
    Matrix,
    /// Reciprocals, roots, logarithms, sines: a quarter of the rate or less.
    Transcendental,
    /// Values that go from lane to lane or between lanes and scalars.
    CrossLane,
    /// Arithmetic on scalars.
    Scalar,
    /// Loads through the scalar cache.
    ScalarMemory,
    /// Loads from global memory.
    GlobalLoad,
    /// Stores to global memory.
    GlobalStore,
    /// Atomics on global memory.
    GlobalAtomic,
    /// Loads and stores of scratch, spills among them. On GFX9 they may be buffer instructions, which count as global.
    Scratch,
    /// LDS and its atomics.
    Lds,
    /// Branches, calls, the end.
    Branch,
    /// Barriers.
    Barrier,
    /// Waits, delays and hints.
    Wait,
    /// Anything else.
    Other,
}

impl Class {
    /// Every class, in the order of reports.
    pub const ALL: [Class; 17] = [
        Class::Vector,
        Class::Dual,
        Class::Dot,
        Class::Matrix,
        Class::Transcendental,
        Class::CrossLane,
        Class::Scalar,
        Class::ScalarMemory,
        Class::GlobalLoad,
        Class::GlobalStore,
        Class::GlobalAtomic,
        Class::Scratch,
        Class::Lds,
        Class::Branch,
        Class::Barrier,
        Class::Wait,
        Class::Other,
    ];

    /// The class in words.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Class::Vector => "vector",
            Class::Dual => "dual",
            Class::Dot => "dot",
            Class::Matrix => "matrix",
            Class::Transcendental => "transcendental",
            Class::CrossLane => "cross-lane",
            Class::Scalar => "scalar",
            Class::ScalarMemory => "scalar memory",
            Class::GlobalLoad => "global load",
            Class::GlobalStore => "global store",
            Class::GlobalAtomic => "global atomic",
            Class::Scratch => "scratch",
            Class::Lds => "lds",
            Class::Branch => "branch",
            Class::Barrier => "barrier",
            Class::Wait => "wait",
            Class::Other => "other",
        }
    }

    /// The class of a mnemonic, encoding suffix or not.
    #[must_use]
    pub fn of(mnemonic: &str) -> Self {
        let rows = PREFIXES.iter();
        rows.filter(|(prefix, _)| mnemonic.starts_with(prefix))
            .max_by_key(|(prefix, _)| prefix.len())
            .map_or(Class::Other, |(_, class)| memory(*class, mnemonic))
    }
}

/// Classes by the start of the mnemonic; the longest start counts.
const PREFIXES: &[(&str, Class)] = &[
    ("v_", Class::Vector),
    ("v_dual_", Class::Dual),
    ("v_dot", Class::Dot),
    ("v_mfma_", Class::Matrix),
    ("v_smfmac_", Class::Matrix),
    ("v_wmma_", Class::Matrix),
    ("v_swmmac_", Class::Matrix),
    ("v_exp_", Class::Transcendental),
    ("v_log_", Class::Transcendental),
    ("v_rcp_", Class::Transcendental),
    ("v_rsq_", Class::Transcendental),
    ("v_sqrt_", Class::Transcendental),
    ("v_sin_", Class::Transcendental),
    ("v_cos_", Class::Transcendental),
    ("v_s_", Class::Transcendental),
    ("v_readlane_", Class::CrossLane),
    ("v_readfirstlane_", Class::CrossLane),
    ("v_writelane_", Class::CrossLane),
    ("v_permlane", Class::CrossLane),
    ("ds_bpermute_", Class::CrossLane),
    ("ds_permute_", Class::CrossLane),
    ("ds_swizzle_", Class::CrossLane),
    ("ds_", Class::Lds),
    ("lds_", Class::Lds),
    ("s_", Class::Scalar),
    ("s_load_", Class::ScalarMemory),
    ("s_buffer_", Class::ScalarMemory),
    ("s_store_", Class::ScalarMemory),
    ("s_scratch_", Class::ScalarMemory),
    ("s_atomic_", Class::ScalarMemory),
    ("s_dcache_", Class::ScalarMemory),
    ("s_memtime", Class::ScalarMemory),
    ("s_memrealtime", Class::ScalarMemory),
    ("s_branch", Class::Branch),
    ("s_cbranch", Class::Branch),
    ("s_call_", Class::Branch),
    ("s_setpc_", Class::Branch),
    ("s_swappc_", Class::Branch),
    ("s_subvector_", Class::Branch),
    ("s_endpgm", Class::Branch),
    ("s_trap", Class::Branch),
    ("s_barrier", Class::Barrier),
    ("s_wait", Class::Wait),
    ("s_nop", Class::Wait),
    ("s_sleep", Class::Wait),
    ("s_delay_alu", Class::Wait),
    ("s_clause", Class::Wait),
    ("s_code_end", Class::Wait),
    ("s_sendmsg", Class::Wait),
    ("s_setprio", Class::Wait),
    ("s_inst_prefetch", Class::Wait),
    ("s_set_inst_prefetch", Class::Wait),
    ("s_icache_", Class::Wait),
    ("scratch_", Class::Scratch),
    ("global_", Class::GlobalLoad),
    ("flat_", Class::GlobalLoad),
    ("buffer_", Class::GlobalLoad),
    ("tbuffer_", Class::GlobalLoad),
    ("image_", Class::GlobalLoad),
    // Cache maintenance, which waits.
    ("buffer_gl", Class::Wait),
    ("buffer_wbl2", Class::Wait),
    ("buffer_wbinvl1", Class::Wait),
    ("buffer_inv", Class::Wait),
    ("global_inv", Class::Wait),
    ("global_wb", Class::Wait),
];

/// Tells loads of global memory from what else goes through the same unit.
fn memory(class: Class, mnemonic: &str) -> Class {
    match class {
        Class::GlobalLoad if mnemonic.contains("_atomic_") => Class::GlobalAtomic,
        Class::GlobalLoad if mnemonic.contains("_store") => Class::GlobalStore,
        class => class,
    }
}

/// How many instructions of each class there are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Mix {
    /// All of them.
    pub instructions: u32,
    /// By class; those that don't occur are left out.
    pub classes: BTreeMap<Class, u32>,
}

impl Mix {
    fn add(&mut self, text: &str) {
        let mnemonic = text.split_whitespace().next().unwrap_or_default();
        self.instructions += 1;
        *self.classes.entry(Class::of(mnemonic)).or_default() += 1;
    }

    /// How many there are of one class.
    #[must_use]
    pub fn of(&self, class: Class) -> u32 {
        self.classes.get(&class).copied().unwrap_or(0)
    }

    /// How many there are of several classes together.
    #[must_use]
    pub fn sum(&self, classes: &[Class]) -> u32 {
        classes.iter().map(|class| self.of(*class)).sum()
    }
}

/// Counts the instructions of kernels of one code object.
pub(super) fn count(
    disassembler: &Disassembler,
    code_object: &[u8],
    kernels: &mut [KernelReport],
) -> Result<(), DisassemblerError> {
    let mut order: Vec<usize> = (0..kernels.len()).collect();
    order.sort_by_key(|index| kernels[*index].code.start);
    let start = order.first().map_or(0, |index| kernels[*index].code.start);
    let end = kernels.iter().map(|kernel| kernel.code.end).max();
    let range = start..end.unwrap_or(start);
    if range.is_empty() {
        return Ok(());
    }
    let mut mixes: Vec<Mix> = vec![Mix::default(); kernels.len()];
    disassembler.run(code_object, Some(range), &mut |address, text, _| {
        let after = order.partition_point(|index| kernels[*index].code.start <= address);
        let kernel = after.checked_sub(1).map(|at| order[at]);
        if let Some(kernel) = kernel.filter(|kernel| kernels[*kernel].code.contains(&address)) {
            mixes[kernel].add(text);
        }
    })?;
    for (kernel, mix) in kernels.iter_mut().zip(mixes) {
        // A kernel whose code has no symbol has no known end.
        kernel.mix = Some(mix).filter(|_| !kernel.code.is_empty());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Class;

    #[test]
    fn classes_of_all_generations() {
        for (mnemonic, class) in [
            ("v_add_f32_e32", Class::Vector),
            ("v_dual_fmac_f32", Class::Dual),
            ("v_dot4_i32_iu8", Class::Dot),
            ("v_mfma_f32_32x32x8_f16", Class::Matrix),
            ("v_wmma_f32_16x16x16_f16", Class::Matrix),
            ("v_rcp_f32_e32", Class::Transcendental),
            ("v_readfirstlane_b32", Class::CrossLane),
            ("ds_bpermute_b32", Class::CrossLane),
            ("ds_read_b64", Class::Lds),
            ("ds_load_b64", Class::Lds),
            ("ds_add_u32", Class::Lds),
            ("s_add_u32", Class::Scalar),
            ("s_load_dwordx2", Class::ScalarMemory),
            ("s_buffer_load_b32", Class::ScalarMemory),
            ("global_load_dword", Class::GlobalLoad),
            ("flat_load_b32", Class::GlobalLoad),
            ("global_store_b32", Class::GlobalStore),
            ("flat_store_dword", Class::GlobalStore),
            ("global_atomic_add_f32", Class::GlobalAtomic),
            ("scratch_load_b128", Class::Scratch),
            ("s_cbranch_scc0", Class::Branch),
            ("s_endpgm", Class::Branch),
            ("s_barrier", Class::Barrier),
            ("s_barrier_wait", Class::Barrier),
            ("s_waitcnt", Class::Wait),
            ("s_wait_loadcnt", Class::Wait),
            ("buffer_gl0_inv", Class::Wait),
            ("buffer_load_dword", Class::GlobalLoad),
            ("exp", Class::Other),
        ] {
            assert_eq!(Class::of(mnemonic), class, "{mnemonic}");
        }
    }
}
