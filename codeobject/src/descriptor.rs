//! Kernel descriptors: the 64 bytes from which the command processor sets up a kernel's waves.
//!
//! Layout and names are those of the AMDGPU usage guide, "Kernel Descriptor". The registers keep their raw value; their
//! fields are methods. Fields that mean something else, or nothing, on some architectures say so.

use crate::Error;
use crate::bytes::Cursor;
use crate::processor::Family;

/// A decoded kernel descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct KernelDescriptor {
    /// Statically allocated LDS of a work-group, in bytes.
    pub group_segment_fixed_size: u32,
    /// Scratch memory of a work-item, in bytes; with a dynamic stack the part that is known.
    pub private_segment_fixed_size: u32,
    /// Size of the kernarg segment in bytes; 0 in old code objects that left it to the metadata.
    pub kernarg_size: u32,
    /// From the descriptor's address to the kernel's first instruction, in bytes.
    pub kernel_code_entry_byte_offset: i64,
    /// `COMPUTE_PGM_RSRC1`.
    pub compute_pgm_rsrc1: ComputePgmRsrc1,
    /// `COMPUTE_PGM_RSRC2`.
    pub compute_pgm_rsrc2: ComputePgmRsrc2,
    /// `COMPUTE_PGM_RSRC3`.
    pub compute_pgm_rsrc3: ComputePgmRsrc3,
    /// Which values the hardware puts into the first SGPRs, and the wavefront size.
    pub kernel_code_properties: KernelCodeProperties,
    /// Which part of the kernarg segment is loaded into SGPRs before the kernel starts.
    pub kernarg_preload: KernargPreload,
}

impl KernelDescriptor {
    /// The size of a descriptor in bytes.
    pub const SIZE: usize = 64;

    /// Decodes a descriptor. Bytes after the first 64 are ignored.
    ///
    /// # Errors
    /// [`Error::Truncated`] if there are fewer than 64 bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        const WHAT: &str = "a kernel descriptor";
        let mut cursor = Cursor::new(bytes.get(..Self::SIZE).ok_or(Error::Truncated {
            what: WHAT,
            offset: 0,
            needed: Self::SIZE as u64,
            available: bytes.len() as u64,
        })?);
        let group_segment_fixed_size = cursor.u32(WHAT)?;
        let private_segment_fixed_size = cursor.u32(WHAT)?;
        let kernarg_size = cursor.u32(WHAT)?;
        cursor.take(4, WHAT)?;
        let kernel_code_entry_byte_offset = cursor.i64(WHAT)?;
        cursor.take(20, WHAT)?;
        let compute_pgm_rsrc3 = ComputePgmRsrc3(cursor.u32(WHAT)?);
        let compute_pgm_rsrc1 = ComputePgmRsrc1(cursor.u32(WHAT)?);
        let compute_pgm_rsrc2 = ComputePgmRsrc2(cursor.u32(WHAT)?);
        let kernel_code_properties = KernelCodeProperties(cursor.u16(WHAT)?);
        let kernarg_preload = KernargPreload(cursor.u16(WHAT)?);
        Ok(Self {
            group_segment_fixed_size,
            private_segment_fixed_size,
            kernarg_size,
            kernel_code_entry_byte_offset,
            compute_pgm_rsrc1,
            compute_pgm_rsrc2,
            compute_pgm_rsrc3,
            kernel_code_properties,
            kernarg_preload,
        })
    }

    /// The wavefront size that the kernel runs with: 32 or 64.
    pub fn wavefront_size(&self) -> u32 {
        if self.kernel_code_properties.enable_wavefront_size32() {
            32
        } else {
            64
        }
    }

    /// The VGPRs that are allocated to a lane, the accumulation registers of a unified register file included.
    pub fn allocated_vgprs(&self, family: Family) -> u32 {
        let granule = if family.has_unified_registers()
            || self.kernel_code_properties.enable_wavefront_size32()
        {
            8
        } else {
            4
        };
        (self.compute_pgm_rsrc1.granulated_workitem_vgpr_count() + 1) * granule
    }

    /// The SGPRs that are allocated to a wave. From GFX10 on every wave has 128 and the field is not used.
    pub fn allocated_sgprs(&self, family: Family) -> u32 {
        match family.gfx_major() {
            10.. => 128,
            _ => (self.compute_pgm_rsrc1.granulated_wavefront_sgpr_count() + 1) * 8,
        }
    }
}

/// Makes a newtype over a register with a method for each bit field.
macro_rules! register {
    (
        $(#[$meta:meta])* $name:ident($raw:ty);
        bits { $($(#[$bit_meta:meta])* $bit:ident: $at:literal;)* }
        fields { $($(#[$field_meta:meta])* $field:ident: $low:literal, $width:literal;)* }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
        pub struct $name(pub $raw);

        impl $name {
            $($(#[$bit_meta])* pub fn $bit(self) -> bool {
                self.0 >> $at & 1 != 0
            })*
            $($(#[$field_meta])* pub fn $field(self) -> u32 {
                (u32::from(self.0) >> $low) & ((1 << $width) - 1)
            })*
        }
    };
}

register! {
    /// `COMPUTE_PGM_RSRC1`.
    ComputePgmRsrc1(u32);
    bits {
        /// Start in privileged mode. 0 in code objects.
        privileged: 20;
        /// Clamp NaN to zero where an instruction clamps (GFX6 to GFX11).
        enable_dx10_clamp: 21;
        /// Round-robin scheduling of the waves of a work-group (GFX12), in the place of DX10_CLAMP.
        enable_wg_rr: 21;
        /// Quiet signalling NaNs as IEEE 754 wants (GFX6 to GFX11).
        enable_ieee_mode: 23;
        /// Do not count the waves in performance counters (GFX12), in the place of IEEE_MODE.
        disable_perf: 23;
        /// f16 overflow yields the largest finite number instead of infinity (GFX9 and later).
        fp16_ovfl: 26;
        /// A work-group spreads over both compute units of a work-group processor (GFX10 and later).
        wgp_mode: 29;
        /// Loads of one kind return in order (GFX10 and later).
        mem_ordered: 30;
        /// Waves get forward progress even if others never yield (GFX10 and later).
        fwd_progress: 31;
    }
    fields {
        /// VGPRs in granules, less one; see [`KernelDescriptor::allocated_vgprs`].
        granulated_workitem_vgpr_count: 0, 6;
        /// SGPRs in granules of 8, less one (GFX6 to GFX9).
        granulated_wavefront_sgpr_count: 6, 4;
        /// Wave priority. 0 in code objects.
        priority: 10, 2;
        /// Rounding of f32, see [`RoundMode`].
        float_round_mode_32: 12, 2;
        /// Rounding of f16 and f64, see [`RoundMode`].
        float_round_mode_16_64: 14, 2;
        /// Denormals of f32, see [`DenormMode`].
        float_denorm_mode_32: 16, 2;
        /// Denormals of f16 and f64, see [`DenormMode`].
        float_denorm_mode_16_64: 18, 2;
        /// The 8 bits of the float mode in the layout of the MODE register: round f32, round f16/f64, denorm f32, denorm
        /// f16/f64.
        float_mode: 12, 8;
    }
}

register! {
    /// `COMPUTE_PGM_RSRC2`.
    ComputePgmRsrc2(u32);
    bits {
        /// The kernel uses scratch memory.
        enable_private_segment: 0;
        /// A trap handler is present. 0 in code objects.
        enable_trap_handler: 6;
        /// The work-group id in x goes into an SGPR after the user SGPRs.
        enable_sgpr_workgroup_id_x: 7;
        /// The work-group id in y goes into an SGPR.
        enable_sgpr_workgroup_id_y: 8;
        /// The work-group id in z goes into an SGPR.
        enable_sgpr_workgroup_id_z: 9;
        /// Work-group information goes into an SGPR.
        enable_sgpr_workgroup_info: 10;
        /// Memory violation and watch point exceptions. 0 in code objects.
        enable_exception_address_watch: 13;
        /// Memory exceptions. 0 in code objects.
        enable_exception_memory: 14;
        /// IEEE 754 invalid operation traps.
        enable_exception_ieee_754_fp_invalid_operation: 24;
        /// A denormal source operand traps.
        enable_exception_fp_denormal_source: 25;
        /// Division by zero traps.
        enable_exception_ieee_754_fp_division_by_zero: 26;
        /// Overflow traps.
        enable_exception_ieee_754_fp_overflow: 27;
        /// Underflow traps.
        enable_exception_ieee_754_fp_underflow: 28;
        /// Inexact results trap.
        enable_exception_ieee_754_fp_inexact: 29;
        /// Integer division by zero traps (RCP_IFLAG_F32).
        enable_exception_int_divide_by_zero: 30;
    }
    fields {
        /// The SGPRs that the packet processor fills before the work-group ids.
        user_sgpr_count: 1, 5;
        /// Which work-item ids are set: 0 x, 1 x and y, 2 x, y and z. Where ids are packed (gfx90a, gfx940 and later, GFX11 and
        /// later) all three are in VGPR0 with 10 bits each.
        enable_vgpr_workitem_id: 11, 2;
        /// LDS in granules. 0 in code objects: the packet processor takes the size from the dispatch packet.
        granulated_lds_size: 15, 9;
    }
}

register! {
    /// `COMPUTE_PGM_RSRC3`, which differs between architectures.
    ComputePgmRsrc3(u32);
    bits {
        /// The work-group's waves may run on different compute units (gfx90a, gfx942, gfx950).
        tg_split: 16;
        /// A trap at the start of a wave (GFX11).
        trap_on_start: 10;
        /// A trap at the end of a wave (GFX11).
        trap_on_end: 11;
        /// Group launch guarantee (GFX12).
        glg_en: 13;
        /// The kernel uses image instructions (GFX11 and later).
        image_op: 31;
    }
    fields {
        /// Where the accumulation registers begin, in units of 4 VGPRs, less one (gfx90a, gfx942, gfx950).
        granulated_accum_offset: 0, 6;
        /// VGPRs that both halves of a wave64 share, in units of 8 (GFX10, GFX11).
        shared_vgpr_count: 0, 4;
        /// Instructions to prefetch, in units of 128 bytes (GFX11).
        inst_pref_size_gfx11: 4, 6;
        /// Instructions to prefetch, in units of 128 bytes (GFX12).
        inst_pref_size_gfx12: 4, 8;
    }
}

impl ComputePgmRsrc3 {
    /// The first VGPR of a unified register file that is an accumulation register (gfx90a, gfx942, gfx950).
    pub fn accum_offset(self) -> u32 {
        (self.granulated_accum_offset() + 1) * 4
    }
}

register! {
    /// `KERNEL_CODE_PROPERTIES`. The enabled values lie in the first SGPRs in the order of these bits.
    KernelCodeProperties(u16);
    bits {
        /// The private segment's buffer resource: 4 SGPRs. Not where scratch is architected (gfx940 and later, GFX11).
        enable_sgpr_private_segment_buffer: 0;
        /// The address of the dispatch packet: 2 SGPRs.
        enable_sgpr_dispatch_ptr: 1;
        /// The address of the queue: 2 SGPRs.
        enable_sgpr_queue_ptr: 2;
        /// The address of the kernarg segment: 2 SGPRs.
        enable_sgpr_kernarg_segment_ptr: 3;
        /// The dispatch id: 2 SGPRs.
        enable_sgpr_dispatch_id: 4;
        /// What initialises the flat scratch registers: 2 SGPRs. Not where scratch is architected.
        enable_sgpr_flat_scratch_init: 5;
        /// The size of the private segment: 1 SGPR.
        enable_sgpr_private_segment_size: 6;
        /// The kernel runs with a wavefront size of 32 (GFX10 and later); 64 otherwise.
        enable_wavefront_size32: 10;
        /// The kernel's stack size is not known from its code alone.
        uses_dynamic_stack: 11;
    }
    fields {}
}

impl KernelCodeProperties {
    /// The user SGPRs that these properties fill, without preloaded kernel arguments.
    pub fn user_sgprs(self) -> u32 {
        [4, 2, 2, 2, 2, 2, 1]
            .iter()
            .enumerate()
            .map(|(bit, count)| u32::from(self.0 >> bit & 1) * count)
            .sum()
    }
}

register! {
    /// `KERNARG_PRELOAD` (gfx90a, gfx942, gfx950, GFX12.5).
    KernargPreload(u16);
    bits {}
    fields {
        /// How many 4-byte words are loaded.
        length: 0, 7;
        /// The first word that is loaded, counted from the start of the kernarg segment.
        offset: 7, 9;
    }
}

/// How results of float operations are rounded: the values of `FLOAT_ROUND_MODE_*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoundMode {
    /// To the nearest, ties to even.
    NearestEven,
    /// Towards plus infinity.
    PlusInfinity,
    /// Towards minus infinity.
    MinusInfinity,
    /// Towards zero.
    Zero,
}

impl RoundMode {
    /// The mode of a field value; only the low two bits count.
    pub fn from_field(value: u32) -> Self {
        [
            Self::NearestEven,
            Self::PlusInfinity,
            Self::MinusInfinity,
            Self::Zero,
        ][(value & 3) as usize]
    }
}

/// What happens to denormal numbers: the values of `FLOAT_DENORM_MODE_*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DenormMode {
    /// Flushed to zero in sources and results.
    FlushSourceAndResult,
    /// Flushed to zero in results.
    FlushResult,
    /// Flushed to zero in sources.
    FlushSource,
    /// Kept.
    Keep,
}

impl DenormMode {
    /// The mode of a field value; only the low two bits count.
    pub fn from_field(value: u32) -> Self {
        [
            Self::FlushSourceAndResult,
            Self::FlushResult,
            Self::FlushSource,
            Self::Keep,
        ][(value & 3) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_from_their_bits() {
        let mut bytes = [0_u8; 64];
        bytes[0..4].copy_from_slice(&0x11_u32.to_le_bytes());
        bytes[4..8].copy_from_slice(&0x22_u32.to_le_bytes());
        bytes[8..12].copy_from_slice(&0x33_u32.to_le_bytes());
        bytes[16..24].copy_from_slice(&(-256_i64).to_le_bytes());
        bytes[44..48].copy_from_slice(&(5_u32 | 1 << 16).to_le_bytes());
        bytes[48..52]
            .copy_from_slice(&(7_u32 | 3 << 6 | 0b11_00_10_01 << 12 | 1 << 29).to_le_bytes());
        bytes[52..56].copy_from_slice(&(1_u32 | 15 << 1 | 1 << 7 | 2 << 11).to_le_bytes());
        bytes[56..58].copy_from_slice(&(0b1_u16 | 0b1000 | 1 << 10).to_le_bytes());
        bytes[58..60].copy_from_slice(&(4_u16 | 3 << 7).to_le_bytes());
        let d = KernelDescriptor::parse(&bytes).unwrap();
        assert_eq!(
            (
                d.group_segment_fixed_size,
                d.private_segment_fixed_size,
                d.kernarg_size
            ),
            (0x11, 0x22, 0x33)
        );
        assert_eq!(d.kernel_code_entry_byte_offset, -256);
        assert_eq!(d.compute_pgm_rsrc3.accum_offset(), 24);
        assert!(d.compute_pgm_rsrc3.tg_split());
        let r1 = d.compute_pgm_rsrc1;
        assert_eq!(
            RoundMode::from_field(r1.float_round_mode_32()),
            RoundMode::PlusInfinity
        );
        assert_eq!(
            RoundMode::from_field(r1.float_round_mode_16_64()),
            RoundMode::MinusInfinity
        );
        assert_eq!(
            DenormMode::from_field(r1.float_denorm_mode_32()),
            DenormMode::FlushSourceAndResult
        );
        assert_eq!(
            DenormMode::from_field(r1.float_denorm_mode_16_64()),
            DenormMode::Keep
        );
        assert!(r1.wgp_mode() && !r1.mem_ordered());
        let r2 = d.compute_pgm_rsrc2;
        assert!(
            r2.enable_private_segment()
                && r2.enable_sgpr_workgroup_id_x()
                && !r2.enable_sgpr_workgroup_id_y()
        );
        assert_eq!(
            (r2.user_sgpr_count(), r2.enable_vgpr_workitem_id()),
            (15, 2)
        );
        assert_eq!(d.kernel_code_properties.user_sgprs(), 6);
        assert_eq!(
            (d.kernarg_preload.length(), d.kernarg_preload.offset()),
            (4, 3)
        );
        assert_eq!(d.wavefront_size(), 32);
        assert_eq!(d.allocated_vgprs(Family::Rdna3), 64);
        assert_eq!(d.allocated_sgprs(Family::Gcn5), 32);
        assert_eq!(d.allocated_sgprs(Family::Rdna3), 128);
    }

    #[test]
    fn short_descriptors_are_refused() {
        for len in 0..64 {
            assert!(matches!(
                KernelDescriptor::parse(&vec![0; len]),
                Err(Error::Truncated { .. })
            ));
        }
    }
}
