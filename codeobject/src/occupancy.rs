//! Occupancy: how many waves of a kernel a SIMD can hold at once.
//!
//! The facts are those of the instruction set manuals ("Shader Processor" and "Local Data Share" chapters) as LLVM's
//! AMDGPU backend uses them to schedule code. What the clocks or the memory make of an occupancy is not known here.

use crate::kernel::Kernel;
use crate::processor::{Family, Processor};

/// What the waves on one work-group processor, or on one compute unit, share.
///
/// On RDNA a work-group runs on a work-group processor of two compute units (WGP mode) or on one of them (CU mode); "unit"
/// means the one that it runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct UnitLimits {
    /// SIMDs of a unit.
    pub simds: u32,
    /// Waves that a SIMD holds at most.
    pub waves_per_simd: u32,
    /// VGPRs of a SIMD for each lane.
    pub vgprs_per_simd: u32,
    /// VGPRs are allocated in multiples of this.
    pub vgpr_granule: u32,
    /// SGPRs of a SIMD; `None` where every wave has its own 128.
    pub sgprs_per_simd: Option<u32>,
    /// SGPRs are allocated in multiples of this.
    pub sgpr_granule: u32,
    /// LDS of a unit, in bytes.
    pub lds: u32,
    /// The LDS that one work-group can have, in bytes.
    pub lds_per_group: u32,
    /// LDS is allocated in multiples of this many bytes.
    pub lds_granule: u32,
    /// Work-groups of more than one wave that a unit holds: each needs a barrier.
    pub barriers: u32,
}

impl UnitLimits {
    /// The limits for waves of this size in this mode; `None` where they are not known (GFX12.5), or where the processor
    /// does not execute this wavefront size.
    pub fn of(processor: &Processor, wavefront_size: u32, wgp_mode: bool) -> Option<Self> {
        let family = processor.family;
        if family == Family::Gfx125 || !family.wavefront_sizes().contains(&wavefront_size) {
            return None;
        }
        let major = family.gfx_major();
        let is_rdna = major >= 10;
        let units = if is_rdna && !wgp_mode { 1 } else { 2 };
        let lds_per_group = match family {
            Family::Gcn1 => 32 << 10,
            Family::Cdna4 => 160 << 10,
            _ => 64 << 10,
        };
        // The numbers for waves of 64; a wave of 32 takes half a row of the same file.
        let (vgprs_per_simd, vgpr_granule) = match family {
            _ if family.has_unified_registers() => (512, 8),
            _ if WIDE_REGISTER_FILE.contains(&processor.name) => (768, 12),
            Family::Rdna1 => (512, 4),
            _ if is_rdna => (512, 8),
            _ => (256, 4),
        };
        let halves = 64 / wavefront_size;
        Some(Self {
            simds: if is_rdna { 2 * units } else { 4 },
            waves_per_simd: match family {
                _ if family.has_unified_registers() => 8,
                Family::Rdna1 => 20,
                _ if is_rdna => 16,
                _ => 10,
            },
            vgprs_per_simd: vgprs_per_simd * halves,
            vgpr_granule: vgpr_granule * halves,
            sgprs_per_simd: match major {
                6 | 7 => Some(512),
                8 | 9 => Some(800),
                _ => None,
            },
            sgpr_granule: if major < 8 { 8 } else { 16 },
            lds: if is_rdna {
                lds_per_group * units
            } else {
                lds_per_group
            },
            lds_per_group,
            lds_granule: match family {
                Family::Gcn1 => 256,
                Family::Cdna4 => 1280,
                _ => 512,
            },
            barriers: if is_rdna { 16 * units } else { 16 },
        })
    }

    /// The waves of a SIMD that have room for so many VGPRs each.
    pub fn waves_by_vgprs(&self, vgprs: u32) -> u32 {
        let allocated = vgprs.max(1).next_multiple_of(self.vgpr_granule);
        (self.vgprs_per_simd / allocated).min(self.waves_per_simd)
    }

    /// The waves of a SIMD that have room for so many SGPRs each.
    pub fn waves_by_sgprs(&self, sgprs: u32) -> u32 {
        let allocated = sgprs.max(1).next_multiple_of(self.sgpr_granule);
        self.sgprs_per_simd.map_or(self.waves_per_simd, |all| {
            (all / allocated).min(self.waves_per_simd)
        })
    }

    /// The work-groups of a unit that have room for so much LDS each.
    pub fn groups_by_lds(&self, bytes: u32) -> u32 {
        match bytes.checked_next_multiple_of(self.lds_granule) {
            _ if bytes > self.lds_per_group => 0,
            None | Some(0) => u32::MAX,
            Some(allocated) => self.lds / allocated,
        }
    }
}

/// Processors whose vector register file is half as large again as that of their family: `Feature1_5xVGPRs` in LLVM.
const WIDE_REGISTER_FILE: &[&str] = &[
    "gfx1100",
    "gfx1101",
    "gfx1151",
    "gfx1200",
    "gfx1201",
    "gfx12-generic",
];

/// How many waves of a kernel are on a SIMD at once, and why not more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Occupancy {
    /// Waves on the fullest SIMD; 0 if not even one work-group fits.
    pub waves_per_simd: u32,
    /// Waves that a SIMD of this processor holds at most.
    pub max_waves_per_simd: u32,
    /// Work-groups on a unit: a compute unit, or in WGP mode a work-group processor.
    pub groups_per_unit: u32,
    /// What sets the number; of several the first in the order of [`OccupancyLimit`].
    pub limit: OccupancyLimit,
}

/// What keeps more waves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OccupancyLimit {
    /// The wave slots: the occupancy is full, or what remains is too small for a work-group.
    Waves,
    /// The barriers: one for each work-group of more than one wave.
    Barriers,
    /// The vector registers.
    Vgprs,
    /// The scalar registers.
    Sgprs,
    /// The LDS.
    Lds,
}

impl Kernel {
    /// The occupancy of a launch with work-groups of `group_size` work-items and `dynamic_lds` bytes of LDS beyond the
    /// kernel's own. `None` if the processor's limits are not known.
    pub fn occupancy(
        &self,
        processor: &Processor,
        group_size: u32,
        dynamic_lds: u32,
    ) -> Option<Occupancy> {
        let limits = UnitLimits::of(
            processor,
            self.descriptor.wavefront_size(),
            self.uses_wgp_mode(processor),
        )?;
        let waves_per_group = group_size.max(1).div_ceil(self.descriptor.wavefront_size());
        // As many groups as fit into so many waves of each SIMD.
        let groups = |waves: u32| waves * limits.simds / waves_per_group;
        let barriers = if waves_per_group > 1 {
            limits.barriers
        } else {
            u32::MAX
        };
        let lds = self.group_segment_fixed_size.saturating_add(dynamic_lds);
        let bounds = [
            (groups(limits.waves_per_simd), OccupancyLimit::Waves),
            (barriers, OccupancyLimit::Barriers),
            (
                groups(limits.waves_by_vgprs(self.vgpr_count)),
                OccupancyLimit::Vgprs,
            ),
            (
                groups(limits.waves_by_sgprs(self.sgpr_count)),
                OccupancyLimit::Sgprs,
            ),
            (limits.groups_by_lds(lds), OccupancyLimit::Lds),
        ];
        // The first of equals.
        let (groups_per_unit, limit) = bounds.into_iter().min_by_key(|(groups, _)| *groups)?;
        Some(Occupancy {
            waves_per_simd: (groups_per_unit * waves_per_group)
                .div_ceil(limits.simds)
                .min(limits.waves_per_simd),
            max_waves_per_simd: limits.waves_per_simd,
            groups_per_unit,
            limit,
        })
    }

    fn uses_wgp_mode(&self, processor: &Processor) -> bool {
        processor.family.gfx_major() >= 10 && self.descriptor.compute_pgm_rsrc1.wgp_mode()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::processor::by_name;

    fn limits(name: &str, wavefront_size: u32, wgp_mode: bool) -> UnitLimits {
        UnitLimits::of(by_name(name).unwrap(), wavefront_size, wgp_mode).unwrap()
    }

    #[test]
    fn register_files_have_the_published_sizes() {
        // Bytes of a SIMD's vector register file: lanes x 4 x registers.
        for (name, kib) in [
            ("gfx900", 64),
            ("gfx90a", 128),
            ("gfx942", 128),
            ("gfx1010", 128),
            ("gfx1100", 192),
            ("gfx1102", 128),
            ("gfx1201", 192),
        ] {
            for wavefront_size in by_name(name).unwrap().family.wavefront_sizes() {
                let limits = limits(name, *wavefront_size, false);
                assert_eq!(
                    limits.vgprs_per_simd * wavefront_size * 4,
                    kib << 10,
                    "{name} wave{wavefront_size}"
                );
            }
        }
        assert_eq!(UnitLimits::of(by_name("gfx90a").unwrap(), 32, false), None);
    }

    #[test]
    fn the_edges_of_each_limit() {
        let gfx1100 = limits("gfx1100", 32, true);
        assert_eq!(gfx1100.waves_by_vgprs(0), 16);
        assert_eq!(gfx1100.waves_by_vgprs(96), 16);
        assert_eq!(gfx1100.waves_by_vgprs(97), 12);
        assert_eq!(gfx1100.waves_by_vgprs(256), 5);
        assert_eq!(gfx1100.waves_by_sgprs(106), 16);
        assert_eq!(gfx1100.groups_by_lds(64 << 10), 2);
        assert_eq!(gfx1100.groups_by_lds((64 << 10) + 1), 0);
        assert_eq!(gfx1100.groups_by_lds(0), u32::MAX);
        assert_eq!(limits("gfx1100", 32, false).groups_by_lds(64 << 10), 1);
        let gfx90a = limits("gfx90a", 64, false);
        assert_eq!(gfx90a.waves_by_vgprs(512), 1);
        assert_eq!(gfx90a.waves_by_vgprs(257), 1);
        assert_eq!(gfx90a.waves_by_vgprs(256), 2);
        assert_eq!(limits("gfx906", 64, false).waves_by_sgprs(102), 7);
    }
}
