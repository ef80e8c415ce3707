//! The toolchain and the small kernels that the tests compile.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Runs a tool and gives what it printed; a failure ends the test with the tool's own words.
pub fn run(command: &mut Command) -> Vec<u8> {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("cannot start {:?}: {error}", command.get_program()));
    assert!(
        output.status.success(),
        "{command:?} failed:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// Compares bytes without printing them all.
pub fn assert_same(ours: &[u8], theirs: &[u8], what: &str) {
    let differs = ours.iter().zip(theirs).position(|(a, b)| a != b);
    assert!(
        ours == theirs,
        "{what}: {} bytes against {}, first difference at {differs:?}",
        ours.len(),
        theirs.len()
    );
}

/// The ROCm installation: `ROCM_PATH`, or the one that the set-up puts under `target/rocm`.
pub fn rocm() -> PathBuf {
    let root = std::env::var_os("ROCM_PATH").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/rocm"),
        PathBuf::from,
    );
    assert!(
        root.join("bin/hipcc").exists(),
        "no hipcc in {}: run `cargo xtask run` once, or set ROCM_PATH to a ROCm installation",
        root.display()
    );
    root.canonicalize().expect("the ROCm folder")
}

/// A tool of the compiler that hipcc runs, such as `clang-offload-bundler`.
pub fn llvm(tool: &str) -> Command {
    let path = rocm().join("llvm/bin").join(tool);
    assert!(
        path.exists(),
        "the ROCm installation has no {}",
        path.display()
    );
    Command::new(path)
}

/// hipcc, set up for a ROCm that may lie anywhere.
pub fn hipcc() -> Command {
    let root = rocm();
    let mut command = Command::new(root.join("bin/hipcc"));
    command
        .env("ROCM_PATH", &root)
        .env("HIP_PATH", &root)
        .env("HIP_CLANG_PATH", root.join("llvm/bin"))
        .env("DEVICE_LIB_PATH", root.join("amdgcn/bitcode"))
        .env("HIP_PLATFORM", "amd");
    command
}

/// Kernels with every kind of argument, static and dynamic LDS, a constant, scratch and the hidden arguments.
pub const SOURCE: &str = r#"
#include <hip/hip_runtime.h>

struct Params { float scale; int count; char tag; };

__constant__ float table[16] = {1, 2, 3};
__device__ int counter;
__device__ int *pointer_to_counter = &counter;

extern "C" __global__ void scale(float *__restrict__ out, const float *in, Params params) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < params.count) out[i] = in[i] * params.scale + table[i & 15];
}

extern "C" __global__ void __launch_bounds__(256) reduce(float *out, const float *in, unsigned long long n, short k) {
    __shared__ float partial[256];
    extern __shared__ float more[];
    unsigned t = threadIdx.x;
    partial[t] = t < n ? in[blockIdx.y * n + t] : 0;
    more[t] = partial[t] * k;
    __syncthreads();
    for (unsigned s = blockDim.x / 2; s > 0; s >>= 1) {
        if (t < s) partial[t] += partial[t + s];
        __syncthreads();
    }
    if (t == 0) out[blockIdx.y] = partial[0] + more[1];
}

template <int N> __global__ void scratch(int *out, const int *index) {
    volatile int local[N];
    for (int i = 0; i < N; ++i) local[i] = index[i];
    out[threadIdx.x] = local[index[threadIdx.x] % N];
    atomicAdd(pointer_to_counter, 1);
}
template __global__ void scratch<64>(int *, const int *);
"#;

/// Extracts one entry of a bundle with clang's tool.
pub fn unbundle(bundle: &Path, id: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("unbundled");
    run(llvm("clang-offload-bundler")
        .args(["--unbundle", "--type=o"])
        .arg(format!("--targets={id}"))
        .arg(format!("--input={}", bundle.display()))
        .arg(format!("--output={}", out.display())));
    std::fs::read(out).expect("the extracted entry")
}

/// Lists the ids of a bundle with clang's tool, sorted.
pub fn list(bundle: &Path) -> Vec<String> {
    let listed = run(llvm("clang-offload-bundler")
        .args(["--list", "--type=o"])
        .arg(format!("--input={}", bundle.display())));
    let listed = String::from_utf8(listed).expect("ids are text");
    let mut ids: Vec<_> = listed.lines().map(str::to_owned).collect();
    ids.sort();
    ids
}

/// Compiles [`SOURCE`] into a bundle for these targets (`--genco`), with further options.
pub fn bundle(folder: &Path, targets: &[&str], options: &[&str]) -> PathBuf {
    let source = folder.join("kernels.hip");
    std::fs::write(&source, SOURCE).expect("the source can be written");
    let out = folder.join("kernels.hipfb");
    run(hipcc()
        .args(["--genco", "-O2"])
        .args(options)
        .args(
            targets
                .iter()
                .map(|target| format!("--offload-arch={target}")),
        )
        .arg(&source)
        .arg("-o")
        .arg(&out));
    out
}

/// In the order in which hipcc writes them.
pub const TARGETS: [&str; 4] = [
    "gfx1030",
    "gfx1100",
    "gfx908:xnack+",
    "gfx90a:sramecc+:xnack-",
];

/// hipcc's bundle of [`SOURCE`] for [`TARGETS`] and where it lies. Compiled once for all tests; no test may change it.
pub fn compiled() -> (&'static Path, &'static [u8]) {
    static COMPILED: OnceLock<(tempfile::TempDir, PathBuf, Vec<u8>)> = OnceLock::new();
    let (_, path, bytes) = COMPILED.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = bundle(folder.path(), &TARGETS, &["-fuse-cuid=none"]);
        let bytes = std::fs::read(&path).expect("the bundle");
        (folder, path, bytes)
    });
    (path, bytes)
}
