//! What a device says of itself: one set of facts, told in both layouts of the properties and as attributes.

use codeobject::TargetId;
use codeobject::processor::Family;

use super::cards::{self, Card};
use super::types::{hipDeviceProp_tR0000, hipDeviceProp_tR0600, hipUUID};

/// The facts about a device.
#[derive(Debug, Clone)]
pub struct Properties {
    /// The ordinal.
    pub index: u32,
    /// The target id with every feature that the processor has switched on or off.
    pub target: TargetId,
    /// The figures of the card that it stands for.
    pub card: &'static Card,
    /// Its memory in bytes.
    pub memory: u64,
    /// The wavefront size that HIP reports and compiles for by default.
    pub wavefront_size: u32,
    /// LDS that a work-group may use, in bytes.
    pub lds: u32,
}

/// The largest work-group.
pub const MAX_BLOCK: u32 = 1024;
/// The largest grid in blocks, as HIP reports it. Larger ones in y and z are accepted, as by the real runtime.
pub const MAX_GRID: [u32; 3] = [i32::MAX as u32, 65_536, 65_536];
/// The alignment that textures and pitched memory have, in bytes.
pub const PITCH_ALIGNMENT: usize = 256;

/// The bits of `hipDeviceArch_t`: atomics, doubles, votes, ballots, shuffles, system fences and 3D grids; not funnel
/// shifts, extended barriers, surface functions and dynamic parallelism.
const ARCH_FEATURES: u32 = 0b0_1001_0111_1111_1111;

impl Properties {
    /// The name that clients show.
    pub fn name(&self) -> String {
        format!("{} (emulated)", self.card.name)
    }

    /// The version of the instruction set as HIP's compute capability: major and minor.
    pub fn compute_capability(&self) -> (i32, i32) {
        let (digits, stepping) = self
            .target
            .processor
            .split_at(self.target.processor.len().saturating_sub(2));
        let major = digits
            .strip_prefix("gfx")
            .and_then(|text| text.parse().ok());
        let minor = stepping
            .get(..1)
            .and_then(|text| i32::from_str_radix(text, 16).ok());
        (major.unwrap_or(0), minor.unwrap_or(0))
    }

    /// Sixteen bytes that differ between devices and stay the same from run to run.
    pub fn uuid(&self) -> hipUUID {
        let mut bytes = *b"emulated--------";
        let text = format!("{:x}{}", self.index, self.target.processor);
        for (place, byte) in bytes[8..].iter_mut().zip(text.bytes()) {
            *place = byte;
        }
        hipUUID { bytes }
    }

    /// The PCI bus that the device would sit on.
    pub fn pci_bus(&self) -> i32 {
        self.index as i32 + 3
    }

    /// The PCI address: domain, bus, device, function.
    pub fn pci_address(&self) -> String {
        format!("0000:{:02x}:00.0", self.pci_bus())
    }

    /// Waves that a multiprocessor keeps, in work-items.
    pub fn max_threads_per_multiprocessor(&self) -> i32 {
        match self.target.family() {
            Some(Family::Gcn5 | Family::Cdna1) => 2560,
            _ => 2048,
        }
    }

    /// 32-bit vector registers of a multiprocessor's lanes.
    pub fn registers(&self) -> i32 {
        match self.target.family() {
            Some(family) if family.has_unified_registers() => 131_072,
            Some(family) if family.gfx_major() >= 11 => 196_608,
            Some(family) if family.gfx_major() == 10 => 131_072,
            _ => 65_536,
        }
    }

    /// The frequency of the counter that `wall_clock64` reads, in kHz.
    pub fn wall_clock_khz(&self) -> i32 {
        match self.target.processor.as_str() {
            "gfx900" | "gfx902" | "gfx904" | "gfx906" | "gfx908" | "gfx909" | "gfx90a"
            | "gfx90c" => 25_000,
            _ => 100_000,
        }
    }

    fn ecc(&self) -> bool {
        self.target.sramecc == codeobject::Feature::On
    }

    fn xnack(&self) -> bool {
        self.target.xnack == codeobject::Feature::On
    }

    /// The properties in the layout of HIP 5 and earlier.
    pub fn r0000(&self) -> hipDeviceProp_tR0000 {
        let mut p = hipDeviceProp_tR0000::zeroed();
        let (major, minor) = self.compute_capability();
        fill(&mut p.name, &self.name());
        fill(&mut p.gcnArchName, &self.target.to_string());
        p.totalGlobalMem = self.memory as usize;
        p.sharedMemPerBlock = self.lds as usize;
        p.regsPerBlock = self.registers();
        p.warpSize = self.wavefront_size as i32;
        p.maxThreadsPerBlock = MAX_BLOCK as i32;
        p.maxThreadsDim = [MAX_BLOCK as i32; 3];
        p.maxGridSize = MAX_GRID.map(|n| n as i32);
        p.clockRate = self.card.clock_mhz as i32 * 1000;
        p.memoryClockRate = self.card.memory_clock_mhz as i32 * 1000;
        p.memoryBusWidth = self.card.bus_bits as i32;
        p.totalConstMem = i32::MAX as usize;
        (p.major, p.minor) = (major, minor);
        p.multiProcessorCount = self.card.multiprocessors as i32;
        p.l2CacheSize = self.card.l2_kib as i32 * 1024;
        p.maxThreadsPerMultiProcessor = self.max_threads_per_multiprocessor();
        p.clockInstructionRate = self.wall_clock_khz();
        p.arch = ARCH_FEATURES;
        p.concurrentKernels = 1;
        p.pciBusID = self.pci_bus();
        p.maxSharedMemoryPerMultiProcessor = self.lds as usize;
        p.canMapHostMemory = 1;
        p.gcnArch = self.gcn_arch();
        p.integrated = i32::from(self.card.integrated);
        p.cooperativeLaunch = 1;
        p.memPitch = i32::MAX as usize;
        p.textureAlignment = PITCH_ALIGNMENT;
        p.texturePitchAlignment = PITCH_ALIGNMENT;
        p.ECCEnabled = i32::from(self.ecc());
        p.isLargeBar = 1;
        p.managedMemory = 1;
        p.directManagedMemAccessFromHost = 1;
        p.concurrentManagedAccess = 1;
        p.pageableMemoryAccess = i32::from(self.xnack());
        p.pageableMemoryAccessUsesHostPageTables = i32::from(self.xnack());
        p
    }

    /// The properties in the layout since HIP 6.
    pub fn r0600(&self) -> hipDeviceProp_tR0600 {
        let old = self.r0000();
        let mut p = hipDeviceProp_tR0600::zeroed();
        p.name = old.name;
        p.uuid = self.uuid().bytes;
        p.totalGlobalMem = old.totalGlobalMem;
        p.sharedMemPerBlock = old.sharedMemPerBlock;
        p.regsPerBlock = old.regsPerBlock;
        p.warpSize = old.warpSize;
        p.memPitch = old.memPitch;
        p.maxThreadsPerBlock = old.maxThreadsPerBlock;
        p.maxThreadsDim = old.maxThreadsDim;
        p.maxGridSize = old.maxGridSize;
        p.clockRate = old.clockRate;
        p.totalConstMem = old.totalConstMem;
        (p.major, p.minor) = (old.major, old.minor);
        p.textureAlignment = old.textureAlignment;
        p.texturePitchAlignment = old.texturePitchAlignment;
        p.multiProcessorCount = old.multiProcessorCount;
        p.integrated = old.integrated;
        p.canMapHostMemory = old.canMapHostMemory;
        p.concurrentKernels = old.concurrentKernels;
        p.ECCEnabled = old.ECCEnabled;
        p.pciBusID = old.pciBusID;
        p.unifiedAddressing = 1;
        p.memoryClockRate = old.memoryClockRate;
        p.memoryBusWidth = old.memoryBusWidth;
        p.l2CacheSize = old.l2CacheSize;
        p.maxThreadsPerMultiProcessor = old.maxThreadsPerMultiProcessor;
        p.streamPrioritiesSupported = 1;
        p.globalL1CacheSupported = 1;
        p.localL1CacheSupported = 1;
        p.sharedMemPerMultiprocessor = old.maxSharedMemoryPerMultiProcessor;
        p.regsPerMultiprocessor = old.regsPerBlock;
        p.managedMemory = old.managedMemory;
        p.hostNativeAtomicSupported = 1;
        p.singleToDoublePrecisionPerfRatio = self.single_to_double();
        p.pageableMemoryAccess = old.pageableMemoryAccess;
        p.concurrentManagedAccess = old.concurrentManagedAccess;
        p.canUseHostPointerForRegisteredMem = 1;
        p.cooperativeLaunch = old.cooperativeLaunch;
        p.sharedMemPerBlockOptin = old.sharedMemPerBlock;
        p.pageableMemoryAccessUsesHostPageTables = old.pageableMemoryAccessUsesHostPageTables;
        p.directManagedMemAccessFromHost = old.directManagedMemAccessFromHost;
        p.maxBlocksPerMultiProcessor =
            self.max_threads_per_multiprocessor() / self.wavefront_size as i32;
        p.hostRegisterSupported = 1;
        p.memoryPoolsSupported = 1;
        p.unifiedFunctionPointers = 1;
        p.gcnArchName = old.gcnArchName;
        p.maxSharedMemoryPerMultiProcessor = old.maxSharedMemoryPerMultiProcessor;
        p.clockInstructionRate = old.clockInstructionRate;
        p.arch = old.arch;
        p.isLargeBar = old.isLargeBar;
        p
    }

    /// `hipDeviceProp_tR0000::gcnArch`: the digits of the processor as a number, where they are one.
    fn gcn_arch(&self) -> i32 {
        let digits = self.target.processor.strip_prefix("gfx");
        digits.and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// How many times faster f32 is than f64.
    fn single_to_double(&self) -> i32 {
        match self.target.processor.as_str() {
            "gfx906" | "gfx908" => 2,
            "gfx90a" | "gfx940" | "gfx941" | "gfx942" => 1,
            "gfx950" => 2,
            _ if self
                .target
                .family()
                .is_some_and(|family| family.gfx_major() >= 11) =>
            {
                32
            }
            _ => 16,
        }
    }

    /// The value of a `hipDeviceAttribute_t`; `None` for a number that is none, or that no integer answers.
    pub fn attribute(&self, attribute: i32) -> Option<i32> {
        let p = self.r0600();
        let index = ATTRIBUTES
            .binary_search_by_key(&attribute, |(number, _)| *number)
            .ok()?;
        Some(match ATTRIBUTES[index].1 {
            Field(field) => field(&p),
            Size(field) => i32::try_from(field(&p)).unwrap_or(i32::MAX),
            Fact(fact) => fact(self),
            Constant(value) => value,
        })
    }
}

/// Where the value of an attribute comes from.
enum Attribute {
    /// A property.
    Field(fn(&hipDeviceProp_tR0600) -> i32),
    /// A property that is a size: one that is too large for an `int` is told as the largest.
    Size(fn(&hipDeviceProp_tR0600) -> usize),
    /// Something that is no property.
    Fact(fn(&Properties) -> i32),
    /// The same for every device.
    Constant(i32),
}

use Attribute::{Constant, Fact, Field, Size};

/// The attributes by their number, in ascending order. Texture and surface limits are 0: there are no images here.
static ATTRIBUTES: &[(i32, Attribute)] = &[
    (0, Field(|p| p.ECCEnabled)),
    (1, Constant(0)), // AccessPolicyMaxWindowSize
    (2, Field(|p| p.asyncEngineCount)),
    (3, Field(|p| p.canMapHostMemory)),
    (4, Field(|p| p.canUseHostPointerForRegisteredMem)),
    (5, Field(|p| p.clockRate)),
    (6, Field(|p| p.computeMode)),
    (7, Field(|p| p.computePreemptionSupported)),
    (8, Field(|p| p.concurrentKernels)),
    (9, Field(|p| p.concurrentManagedAccess)),
    (10, Field(|p| p.cooperativeLaunch)),
    (11, Field(|p| p.cooperativeMultiDeviceLaunch)),
    (12, Field(|p| p.deviceOverlap)),
    (13, Field(|p| p.directManagedMemAccessFromHost)),
    (14, Field(|p| p.globalL1CacheSupported)),
    (15, Field(|p| p.hostNativeAtomicSupported)),
    (16, Field(|p| p.integrated)),
    (17, Field(|p| p.isMultiGpuBoard)),
    (18, Field(|p| p.kernelExecTimeoutEnabled)),
    (19, Field(|p| p.l2CacheSize)),
    (20, Field(|p| p.localL1CacheSupported)),
    (22, Constant(0)), // LuidDeviceNodeMask
    (23, Field(|p| p.major)),
    (24, Field(|p| p.managedMemory)),
    (25, Field(|p| p.maxBlocksPerMultiProcessor)),
    (26, Field(|p| p.maxThreadsDim[0])),
    (27, Field(|p| p.maxThreadsDim[1])),
    (28, Field(|p| p.maxThreadsDim[2])),
    (29, Field(|p| p.maxGridSize[0])),
    (30, Field(|p| p.maxGridSize[1])),
    (31, Field(|p| p.maxGridSize[2])),
    (32, Field(|p| p.maxSurface1D)),
    (33, Field(|p| p.maxSurface1DLayered[0])),
    (34, Field(|p| p.maxSurface2D[0])),
    (35, Field(|p| p.maxSurface2DLayered[0])),
    (36, Field(|p| p.maxSurface3D[0])),
    (37, Field(|p| p.maxSurfaceCubemap)),
    (38, Field(|p| p.maxSurfaceCubemapLayered[0])),
    (39, Field(|p| p.maxTexture1D)),
    (40, Field(|p| p.maxTexture1DLayered[0])),
    (41, Field(|p| p.maxTexture1DLinear)),
    (42, Field(|p| p.maxTexture1DMipmap)),
    (43, Field(|p| p.maxTexture2D[0])),
    (44, Field(|p| p.maxTexture2D[1])),
    (45, Field(|p| p.maxTexture2DGather[0])),
    (46, Field(|p| p.maxTexture2DLayered[0])),
    (47, Field(|p| p.maxTexture2DLinear[0])),
    (48, Field(|p| p.maxTexture2DMipmap[0])),
    (49, Field(|p| p.maxTexture3D[0])),
    (50, Field(|p| p.maxTexture3D[1])),
    (51, Field(|p| p.maxTexture3D[2])),
    (52, Field(|p| p.maxTexture3DAlt[0])),
    (53, Field(|p| p.maxTextureCubemap)),
    (54, Field(|p| p.maxTextureCubemapLayered[0])),
    (55, Field(|p| p.maxThreadsDim[0])),
    (56, Field(|p| p.maxThreadsPerBlock)),
    (57, Field(|p| p.maxThreadsPerMultiProcessor)),
    (58, Size(|p| p.memPitch)),
    (59, Field(|p| p.memoryBusWidth)),
    (60, Field(|p| p.memoryClockRate)),
    (61, Field(|p| p.minor)),
    (62, Field(|p| p.multiGpuBoardGroupID)),
    (63, Field(|p| p.multiProcessorCount)),
    (65, Field(|p| p.pageableMemoryAccess)),
    (66, Field(|p| p.pageableMemoryAccessUsesHostPageTables)),
    (67, Field(|p| p.pciBusID)),
    (68, Field(|p| p.pciDeviceID)),
    (69, Field(|p| p.pciDomainID)),
    (70, Field(|p| p.persistingL2CacheMaxSize)),
    (71, Field(|p| p.regsPerBlock)),
    (72, Field(|p| p.regsPerMultiprocessor)),
    (73, Size(|p| p.reservedSharedMemPerBlock)),
    (74, Size(|p| p.sharedMemPerBlock)),
    (75, Size(|p| p.sharedMemPerBlockOptin)),
    (76, Size(|p| p.sharedMemPerMultiprocessor)),
    (77, Field(|p| p.singleToDoublePrecisionPerfRatio)),
    (78, Field(|p| p.streamPrioritiesSupported)),
    (79, Size(|p| p.surfaceAlignment)),
    (80, Field(|p| p.tccDriver)),
    (81, Size(|p| p.textureAlignment)),
    (82, Size(|p| p.texturePitchAlignment)),
    (83, Size(|p| p.totalConstMem)),
    (84, Size(|p| p.totalGlobalMem)),
    (85, Field(|p| p.unifiedAddressing)),
    (87, Field(|p| p.warpSize)),
    (88, Field(|p| p.memoryPoolsSupported)),
    (89, Constant(0)), // VirtualMemoryManagementSupported
    (90, Field(|p| p.hostRegisterSupported)),
    (91, Constant(0)), // MemoryPoolSupportedHandleTypes
    (10_000, Field(|p| p.clockInstructionRate)),
    (10_002, Size(|p| p.maxSharedMemoryPerMultiProcessor)),
    (10_007, Constant(0)), // CooperativeMultiDeviceUnmatchedFunc
    (10_008, Constant(0)), // CooperativeMultiDeviceUnmatchedGridDim
    (10_009, Constant(0)), // CooperativeMultiDeviceUnmatchedBlockDim
    (10_010, Constant(0)), // CooperativeMultiDeviceUnmatchedSharedMem
    (10_011, Field(|p| p.isLargeBar)),
    (10_012, Field(|p| p.asicRevision)),
    (10_013, Constant(1)), // CanUseStreamWaitValue
    (10_014, Constant(0)), // ImageSupport
    (10_015, Fact(|p| p.physical_multiprocessors())),
    (10_016, Constant(1)), // FineGrainSupport
    (10_017, Fact(Properties::wall_clock_khz)),
];

impl Properties {
    /// Compute units.
    fn physical_multiprocessors(&self) -> i32 {
        let units = self.card.multiprocessors as i32;
        units
            * if cards::has_workgroup_processors(&self.target) {
                2
            } else {
                1
            }
    }
}

/// Writes a text into an array of characters, with a zero behind it.
fn fill<const N: usize>(place: &mut [u8; N], text: &str) {
    let len = text.len().min(N - 1);
    place[..len].copy_from_slice(&text.as_bytes()[..len]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties(target: &str) -> Properties {
        let target: TargetId = target.parse().unwrap();
        let card = cards::card(&target);
        Properties {
            index: 1,
            wavefront_size: target.wavefront_sizes()[0],
            target,
            card,
            memory: 1 << 34,
            lds: 64 << 10,
        }
    }

    #[test]
    fn both_layouts_tell_the_same() {
        for name in [
            "gfx90a:sramecc+:xnack-",
            "gfx1100",
            "gfx942:sramecc+:xnack+",
            "gfx1036",
        ] {
            let p = properties(name);
            let (old, new) = (p.r0000(), p.r0600());
            assert!(new.gcnArchName.starts_with(name.as_bytes()));
            assert_eq!(new.gcnArchName[name.len()], 0);
            assert_eq!(old.multiProcessorCount, p.attribute(63).unwrap());
            assert_eq!(old.warpSize, p.attribute(87).unwrap());
            assert_eq!(new.totalGlobalMem, 1 << 34);
            assert_eq!(p.attribute(84), Some(i32::MAX));
        }
    }

    #[test]
    fn the_compute_capability_is_the_version_of_the_processor() {
        for (name, version) in [
            ("gfx900", (9, 0)),
            ("gfx90a", (9, 0)),
            ("gfx942", (9, 4)),
            ("gfx1036", (10, 3)),
            ("gfx1151", (11, 5)),
            ("gfx1201", (12, 0)),
        ] {
            assert_eq!(properties(name).compute_capability(), version);
        }
    }

    #[test]
    fn attributes_are_sorted_and_unknown_ones_refused() {
        assert!(ATTRIBUTES.is_sorted_by_key(|(number, _)| *number));
        let p = properties("gfx1100");
        assert_eq!(p.attribute(10_015), Some(96));
        for unknown in [-1, 64, 92, 9999, 10_001, 20_000] {
            assert_eq!(p.attribute(unknown), None);
        }
    }
}
