//! The AMDGPU processors that a code object can be built for.
//!
//! One row a processor, with the facts that the ELF header, target ids and bundles need. The machine numbers are
//! `EF_AMDGPU_MACH_AMDGCN_*` of the AMDGPU usage guide ("ELF Code Object"), features and generic coverage are its tables
//! "AMDGPU Processors" and "AMDGPU Generic Processors". What a kernel generator wants to know of an architecture (dot
//! products, matrix instructions, tile sizes) is not here.

/// An instruction set family: processors of one family decode the same instruction encodings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[non_exhaustive]
pub enum Family {
    /// GFX6, Southern Islands.
    Gcn1,
    /// GFX7, Sea Islands.
    Gcn2,
    /// GFX8, Volcanic Islands.
    Gcn3,
    /// GFX9 without matrix instructions: Vega.
    Gcn5,
    /// gfx908: MI100.
    Cdna1,
    /// gfx90a: MI200.
    Cdna2,
    /// gfx940 to gfx942: MI300.
    Cdna3,
    /// gfx950: MI350.
    Cdna4,
    /// GFX10.1: RDNA 1.
    Rdna1,
    /// GFX10.3: RDNA 2.
    Rdna2,
    /// GFX11.0: RDNA 3.
    Rdna3,
    /// GFX11.5: RDNA 3.5.
    Rdna35,
    /// GFX12.0: RDNA 4.
    Rdna4,
    /// GFX12.5.
    Gfx125,
}

impl Family {
    /// The major number of the GFX IP version, such as 9 for every CDNA family.
    pub fn gfx_major(self) -> u32 {
        match self {
            Self::Gcn1 => 6,
            Self::Gcn2 => 7,
            Self::Gcn3 => 8,
            Self::Gcn5 | Self::Cdna1 | Self::Cdna2 | Self::Cdna3 | Self::Cdna4 => 9,
            Self::Rdna1 | Self::Rdna2 => 10,
            Self::Rdna3 | Self::Rdna35 => 11,
            Self::Rdna4 | Self::Gfx125 => 12,
        }
    }

    /// The wavefront sizes that the hardware executes, the compiler's default first.
    pub fn wavefront_sizes(self) -> &'static [u32] {
        match self.gfx_major() {
            6..=9 => &[64],
            _ if self == Self::Gfx125 => &[32],
            _ => &[32, 64],
        }
    }

    /// Whether vector registers and accumulation registers share one file, split at a point that the kernel descriptor
    /// gives (`ACCUM_OFFSET`).
    pub fn has_unified_registers(self) -> bool {
        matches!(self, Self::Cdna2 | Self::Cdna3 | Self::Cdna4)
    }
}

/// A processor, or a generic target that stands for several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Processor {
    /// Its name as target ids spell it, such as `gfx90a` or `gfx11-generic`.
    pub name: &'static str,
    /// `EF_AMDGPU_MACH`, the low byte of the ELF flags.
    pub mach: u32,
    /// Its instruction set family; for a generic target the family whose encodings all members share.
    pub family: Family,
    /// Whether code can be built with SRAM ECC on or off.
    pub sramecc: bool,
    /// Whether code can be built with XNACK on or off.
    pub xnack: bool,
    /// The generic target that covers it; for a generic target itself `None`.
    pub generic: Option<&'static str>,
}

impl Processor {
    /// Whether this is a generic target.
    pub fn is_generic(&self) -> bool {
        self.name.ends_with("-generic")
    }

    /// The processors that a generic target covers; nothing for a processor.
    pub fn members(&self) -> impl Iterator<Item = &'static Processor> + use<> {
        let name = self.name;
        PROCESSORS
            .iter()
            .filter(move |member| member.generic == Some(name))
    }
}

const SRAMECC: u8 = 1;
const XNACK: u8 = 2;
const BOTH: u8 = SRAMECC | XNACK;

const fn processor(
    name: &'static str,
    mach: u32,
    family: Family,
    features: u8,
    generic: Option<&'static str>,
) -> Processor {
    Processor {
        name,
        mach,
        family,
        sramecc: features & SRAMECC != 0,
        xnack: features & XNACK != 0,
        generic,
    }
}

const GFX9: Option<&str> = Some("gfx9-generic");
const GFX9_4: Option<&str> = Some("gfx9-4-generic");
const GFX10_1: Option<&str> = Some("gfx10-1-generic");
const GFX10_3: Option<&str> = Some("gfx10-3-generic");
const GFX11: Option<&str> = Some("gfx11-generic");
const GFX12: Option<&str> = Some("gfx12-generic");
const GFX12_5: Option<&str> = Some("gfx12-5-generic");

/// Every processor that is known here, in the order of GFX versions.
pub static PROCESSORS: &[Processor] = &[
    processor("gfx600", 0x20, Family::Gcn1, 0, None),
    processor("gfx601", 0x21, Family::Gcn1, 0, None),
    processor("gfx602", 0x3a, Family::Gcn1, 0, None),
    processor("gfx700", 0x22, Family::Gcn2, 0, None),
    processor("gfx701", 0x23, Family::Gcn2, 0, None),
    processor("gfx702", 0x24, Family::Gcn2, 0, None),
    processor("gfx703", 0x25, Family::Gcn2, 0, None),
    processor("gfx704", 0x26, Family::Gcn2, 0, None),
    processor("gfx705", 0x3b, Family::Gcn2, 0, None),
    processor("gfx801", 0x28, Family::Gcn3, XNACK, None),
    processor("gfx802", 0x29, Family::Gcn3, 0, None),
    processor("gfx803", 0x2a, Family::Gcn3, 0, None),
    processor("gfx805", 0x3c, Family::Gcn3, 0, None),
    processor("gfx810", 0x2b, Family::Gcn3, XNACK, None),
    processor("gfx900", 0x2c, Family::Gcn5, XNACK, GFX9),
    processor("gfx902", 0x2d, Family::Gcn5, XNACK, GFX9),
    processor("gfx904", 0x2e, Family::Gcn5, XNACK, GFX9),
    processor("gfx906", 0x2f, Family::Gcn5, BOTH, GFX9),
    processor("gfx908", 0x30, Family::Cdna1, BOTH, None),
    processor("gfx909", 0x31, Family::Gcn5, XNACK, GFX9),
    processor("gfx90a", 0x3f, Family::Cdna2, BOTH, None),
    processor("gfx90c", 0x32, Family::Gcn5, XNACK, GFX9),
    processor("gfx940", 0x40, Family::Cdna3, BOTH, GFX9_4),
    processor("gfx941", 0x4b, Family::Cdna3, BOTH, GFX9_4),
    processor("gfx942", 0x4c, Family::Cdna3, BOTH, GFX9_4),
    processor("gfx950", 0x4f, Family::Cdna4, BOTH, GFX9_4),
    processor("gfx1010", 0x33, Family::Rdna1, XNACK, GFX10_1),
    processor("gfx1011", 0x34, Family::Rdna1, XNACK, GFX10_1),
    processor("gfx1012", 0x35, Family::Rdna1, XNACK, GFX10_1),
    processor("gfx1013", 0x42, Family::Rdna1, XNACK, GFX10_1),
    processor("gfx1030", 0x36, Family::Rdna2, 0, GFX10_3),
    processor("gfx1031", 0x37, Family::Rdna2, 0, GFX10_3),
    processor("gfx1032", 0x38, Family::Rdna2, 0, GFX10_3),
    processor("gfx1033", 0x39, Family::Rdna2, 0, GFX10_3),
    processor("gfx1034", 0x3e, Family::Rdna2, 0, GFX10_3),
    processor("gfx1035", 0x3d, Family::Rdna2, 0, GFX10_3),
    processor("gfx1036", 0x45, Family::Rdna2, 0, GFX10_3),
    processor("gfx1100", 0x41, Family::Rdna3, 0, GFX11),
    processor("gfx1101", 0x46, Family::Rdna3, 0, GFX11),
    processor("gfx1102", 0x47, Family::Rdna3, 0, GFX11),
    processor("gfx1103", 0x44, Family::Rdna3, 0, GFX11),
    processor("gfx1150", 0x43, Family::Rdna35, 0, GFX11),
    processor("gfx1151", 0x4a, Family::Rdna35, 0, GFX11),
    processor("gfx1152", 0x55, Family::Rdna35, 0, GFX11),
    processor("gfx1153", 0x58, Family::Rdna35, 0, GFX11),
    processor("gfx1200", 0x48, Family::Rdna4, 0, GFX12),
    processor("gfx1201", 0x4e, Family::Rdna4, 0, GFX12),
    processor("gfx1250", 0x49, Family::Gfx125, BOTH, GFX12_5),
    processor("gfx1251", 0x5a, Family::Gfx125, BOTH, GFX12_5),
    processor("gfx9-generic", 0x51, Family::Gcn5, XNACK, None),
    processor("gfx9-4-generic", 0x5f, Family::Cdna3, BOTH, None),
    processor("gfx10-1-generic", 0x52, Family::Rdna1, XNACK, None),
    processor("gfx10-3-generic", 0x53, Family::Rdna2, 0, None),
    processor("gfx11-generic", 0x54, Family::Rdna3, 0, None),
    processor("gfx12-generic", 0x59, Family::Rdna4, 0, None),
    processor("gfx12-5-generic", 0x5b, Family::Gfx125, BOTH, None),
];

/// The processor of this name, `None` if it is not known here.
pub fn by_name(name: &str) -> Option<&'static Processor> {
    PROCESSORS.iter().find(|processor| processor.name == name)
}

/// The processor with this `EF_AMDGPU_MACH` value, `None` if it is not known here.
pub fn by_mach(mach: u32) -> Option<&'static Processor> {
    PROCESSORS.iter().find(|processor| processor.mach == mach)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_and_machine_numbers_are_unique() {
        let names: HashSet<_> = PROCESSORS.iter().map(|p| p.name).collect();
        let machs: HashSet<_> = PROCESSORS.iter().map(|p| p.mach).collect();
        assert_eq!(names.len(), PROCESSORS.len());
        assert_eq!(machs.len(), PROCESSORS.len());
    }

    #[test]
    fn generic_targets_exist_and_support_no_feature_that_a_member_lacks() {
        for member in PROCESSORS {
            let Some(generic) = member.generic else {
                continue;
            };
            let generic = by_name(generic).expect("a row for the generic target");
            assert!(generic.is_generic());
            assert_eq!(
                generic.family.gfx_major(),
                member.family.gfx_major(),
                "{}",
                member.name
            );
            assert!(member.sramecc || !generic.sramecc, "{}", member.name);
            assert!(member.xnack || !generic.xnack, "{}", member.name);
        }
        for generic in PROCESSORS.iter().filter(|p| p.is_generic()) {
            assert!(generic.members().count() >= 2, "{}", generic.name);
        }
    }
}
