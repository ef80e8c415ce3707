//! Occupancy, compared with clang's remarks on resource usage.

use std::collections::HashMap;

use codeobject::{CodeObject, UnitLimits};

use crate::common::hipcc;

/// Kernels that keep more and more values alive, and kernels with more and more LDS.
const SOURCE: &str = r#"
#include <hip/hip_runtime.h>

template <int N> __device__ void keep(float *data) {
    float v[N];
    _Pragma("unroll") for (int i = 0; i < N; ++i) v[i] = data[i * 64 + threadIdx.x];
    _Pragma("unroll") for (int i = 0; i < N; ++i) asm volatile("" : "+v"(v[i]));
    _Pragma("unroll") for (int i = 0; i < N; ++i) data[i * 64 + threadIdx.x] = v[i] * v[(i * 7 + 1) % N];
}
#define REGISTERS(n) extern "C" __global__ void __launch_bounds__(64) registers##n(float *d) { keep<n>(d); }
REGISTERS(2) REGISTERS(20) REGISTERS(30) REGISTERS(40) REGISTERS(60) REGISTERS(80) REGISTERS(100) REGISTERS(120)
REGISTERS(150) REGISTERS(180)

#define SHARED(bytes, size) extern "C" __global__ void __launch_bounds__(size) shared##bytes##x##size(char *d) { \
    __shared__ volatile char s[bytes]; \
    s[threadIdx.x * 3 % bytes] = d[threadIdx.x]; __syncthreads(); d[threadIdx.x] = s[(threadIdx.x * 5 + 1) % bytes]; }
SHARED(512, 64) SHARED(4096, 64) SHARED(8192, 256) SHARED(16384, 128) SHARED(32768, 256) SHARED(65536, 1024)
SHARED(20480, 512) SHARED(1024, 128)
"#;

#[test]
fn limits_are_those_that_clang_reports() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("kernels.hip");
    std::fs::write(&source, SOURCE).unwrap();
    for target in [
        "gfx900", "gfx908", "gfx90a", "gfx942", "gfx1010", "gfx1030", "gfx1100", "gfx1102",
        "gfx1151", "gfx1200",
    ] {
        let path = folder.path().join("kernels.co");
        let output = hipcc()
            .args(["--cuda-device-only", "--no-gpu-bundle-output", "-O1", "-c"])
            .args([
                "-Rpass-analysis=kernel-resource-usage",
                &format!("--offload-arch={target}"),
            ])
            .arg(&source)
            .arg("-o")
            .arg(&path)
            .output()
            .expect("hipcc starts");
        let remarks = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{remarks}");
        let reported = parse(&remarks);
        let bytes = std::fs::read(path).unwrap();
        let code_object = CodeObject::parse(&bytes).unwrap();
        let processor = code_object.target().known().unwrap();
        assert_eq!(code_object.kernels().len(), 18);
        let mut seen = std::collections::HashSet::new();
        for kernel in code_object.kernels() {
            let reported = &reported[kernel.name.as_str()];
            let wgp_mode = kernel.descriptor.compute_pgm_rsrc1.wgp_mode()
                && processor.family.gfx_major() >= 10;
            let limits = UnitLimits::of(processor, kernel.wavefront_size, wgp_mode).unwrap();
            let waves = kernel
                .max_flat_workgroup_size
                .div_ceil(kernel.wavefront_size);
            // Clang takes the least of the limits each by itself; barriers and slots bound the groups.
            let barriers = if waves > 1 { limits.barriers } else { u32::MAX };
            let slots = limits.waves_per_simd * limits.simds / waves;
            let groups = limits
                .groups_by_lds(kernel.group_segment_fixed_size)
                .min(barriers)
                .min(slots);
            let by_groups = (groups * waves)
                .div_ceil(limits.simds)
                .min(limits.waves_per_simd);
            let by_registers = limits
                .waves_by_vgprs(kernel.vgpr_count)
                .min(limits.waves_by_sgprs(kernel.sgpr_count));
            assert_eq!(
                by_groups.min(by_registers),
                reported["Occupancy [waves/SIMD]"],
                "{target} {kernel:?}"
            );
            seen.insert(reported["Occupancy [waves/SIMD]"]);

            assert_eq!(
                kernel.group_segment_fixed_size,
                reported["LDS Size [bytes/block]"]
            );
            assert_eq!(
                kernel.private_segment_fixed_size,
                reported["ScratchSize [bytes/lane]"]
            );
            assert_eq!(kernel.vgpr_spill_count, reported["VGPRs Spill"]);
            let ours = kernel
                .occupancy(processor, kernel.max_flat_workgroup_size, 0)
                .unwrap();
            assert!(ours.waves_per_simd <= reported["Occupancy [waves/SIMD]"]);
            assert!(ours.waves_per_simd > 0 && ours.groups_per_unit > 0);
        }
        assert!(
            seen.len() >= 4,
            "{target} has kernels of different occupancies: {seen:?}"
        );
    }
}

/// The numbers of the remarks by kernel and by the name that clang prints.
fn parse(remarks: &str) -> HashMap<&str, HashMap<&str, u32>> {
    let mut kernels: HashMap<&str, HashMap<&str, u32>> = HashMap::new();
    let mut current = "";
    for line in remarks
        .lines()
        .filter_map(|line| line.split_once("remark:"))
        .map(|(_, rest)| rest.trim())
    {
        let Some((key, value)) = line
            .trim_end_matches("[-Rpass-analysis=kernel-resource-usage]")
            .split_once(':')
        else {
            continue;
        };
        let (key, value) = (key.trim(), value.trim());
        if key == "Function Name" {
            current = value;
        } else if let Ok(value) = value.parse() {
            kernels.entry(current).or_default().insert(key, value);
        }
    }
    kernels
}
