//! What the emulator knows about an architecture: facts, no behaviour.
//!
//! A difference between families that an instruction's meaning depends on is a field here, so that code asks for the fact
//! and not for a name.

use codeobject::processor::{self, Family};

/// An architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arch {
    /// The processor's name, such as `gfx90a`.
    pub name: String,
    /// The name under which LLVM disassembles its code; differs where another one decodes a superset.
    pub llvm_cpu: String,
    /// The instruction-set family.
    pub family: Family,
    /// The wave size of a kernel that does not choose.
    pub default_wave: u32,
    /// Whether kernels may be compiled for 32 lanes.
    pub wave32: bool,
    /// A 16-bit result leaves the other half of its register alone (otherwise that half becomes zero).
    pub preserves_high_half: bool,
    /// 16-bit operations name register halves in their 32-bit encodings (`true16`).
    pub half_registers: bool,
    /// Work-item ids are packed into `v0`, ten bits each.
    pub packed_work_item_ids: bool,
    /// Work-group ids arrive in trap temporaries (gfx12).
    pub group_ids_in_ttmp: bool,
    /// The private segment's base is in hardware registers: no scratch set-up in user registers.
    pub architected_flat_scratch: bool,
    /// Accumulation registers exist.
    pub acc_registers: bool,
    /// Accumulation registers are the upper part of one file with the vector registers.
    pub unified_registers: bool,
    /// fp8 conversions use the formats without infinities and negative zero (gfx94x).
    pub fnuz_fp8: bool,
    /// Bytes of LDS of a compute unit that one work-group may use.
    pub lds_bytes: u32,
}

impl Arch {
    /// The architecture of a target id such as `gfx90a:sramecc+:xnack-` or a generic target such as `gfx11-generic`.
    ///
    /// Returns `None` for a name that is not an AMD GPU of a family that is emulated.
    pub fn from_target(target: &str) -> Option<Self> {
        let name = target.split(':').next()?;
        let processor = processor::by_name(name)?;
        let family = processor.family;
        let major = family.gfx_major();
        if major < 9 {
            return None;
        }
        let gfx94 = matches!(family, Family::Cdna3 | Family::Cdna4);
        Some(Self {
            name: name.to_owned(),
            llvm_cpu: name.to_owned(),
            family,
            default_wave: family.wavefront_sizes()[0],
            wave32: family.wavefront_sizes().contains(&32),
            preserves_high_half: major > 9,
            half_registers: major > 10,
            packed_work_item_ids: family.has_unified_registers() || major > 10,
            group_ids_in_ttmp: major == 12,
            architected_flat_scratch: gfx94 || major > 10,
            acc_registers: matches!(family, Family::Cdna1) || family.has_unified_registers(),
            unified_registers: family.has_unified_registers(),
            fnuz_fp8: family == Family::Cdna3,
            lds_bytes: if family == Family::Cdna4 {
                160 << 10
            } else {
                64 << 10
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_every_kind() {
        let of = |name| {
            Arch::from_target(name)
                .map(|arch| (arch.family, arch.default_wave, arch.packed_work_item_ids))
        };
        assert_eq!(of("gfx1100"), Some((Family::Rdna3, 32, true)));
        assert_eq!(
            of("gfx90a:sramecc+:xnack-"),
            Some((Family::Cdna2, 64, true))
        );
        assert_eq!(of("gfx906"), Some((Family::Gcn5, 64, false)));
        assert_eq!(of("gfx9-4-generic"), Some((Family::Cdna3, 64, true)));
        assert_eq!(of("gfx10-3-generic"), Some((Family::Rdna2, 32, false)));
        assert_eq!(of("gfx12-generic"), Some((Family::Rdna4, 32, true)));
        assert_eq!(of("sm_90"), None);
        assert_eq!(of("gfx"), None);
        assert_eq!(of("gfxé"), None);
    }
}
