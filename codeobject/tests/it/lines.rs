//! Source lines and inlined functions, compared with `llvm-symbolizer`.

use std::path::Path;

use codeobject::CodeObject;

use crate::common::{hipcc, llvm, run};

const SOURCE: &str = r#"
#include <hip/hip_runtime.h>

__device__ inline float square(float x) { return x * x; }

#line 100 "original.cu"
__device__ inline float norm(const float *v, int n) {
    float sum = 0;
    for (int i = 0; i < n; ++i)
        sum += square(v[i]) + square(v[i + 1]);
    return sqrtf(sum);
}

__device__ __attribute__((noinline)) int outlined(int x) {
    int y = x * 3;
    for (int i = 0; i < x; ++i) y ^= y << i;
    return y;
}

extern "C" __global__ void first(float *out, const float *in, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        out[i] = norm(in + i, n) + norm(in, 3);
}

extern "C" __global__ void second(int *out) {
    out[threadIdx.x] = outlined(threadIdx.x) + (int)square(out[0]);
}
"#;

fn compile(folder: &Path, target: &str, options: &[&str]) -> std::path::PathBuf {
    let source = folder.join("kernels.hip");
    std::fs::write(&source, SOURCE).unwrap();
    let path = folder.join("kernels.co");
    run(hipcc()
        .args(["--cuda-device-only", "--no-gpu-bundle-output", "-O2", "-c"])
        .arg(format!("--offload-arch={target}"))
        .args(options)
        .arg(&source)
        .arg("-o")
        .arg(&path));
    path
}

#[test]
fn every_instruction_has_the_line_and_the_callers_that_llvm_finds() {
    let folder = tempfile::tempdir().unwrap();
    for (target, option) in [
        ("gfx1100", "-gline-tables-only"),
        ("gfx90a", "-gline-tables-only"),
        ("gfx1030", "-g"),
    ] {
        let path = compile(folder.path(), target, &[option]);
        let bytes = std::fs::read(&path).unwrap();
        let code_object = CodeObject::parse(&bytes).unwrap();
        let lines = code_object.line_table().unwrap();
        let inlines = code_object.inline_table().unwrap();

        let addresses: Vec<u64> = code_object
            .symbols()
            .iter()
            .filter(|symbol| {
                ["first", "second", "_ZL8outlinedi", "_Z8outlinedi"].contains(&symbol.name)
            })
            .flat_map(|symbol| (symbol.address..symbol.address + symbol.size).step_by(4))
            .collect();
        assert!(addresses.len() > 100);
        let mut symbolizer = llvm("llvm-symbolizer");
        symbolizer.args(["--output-style=JSON", "--no-demangle", "--functions=short"]);
        symbolizer
            .arg(format!("--obj={}", path.display()))
            .args(addresses.iter().map(|address| format!("{address:#x}")));
        let theirs: Vec<serde_json::Value> = serde_json::from_slice(&run(&mut symbolizer)).unwrap();
        assert_eq!(theirs.len(), addresses.len());

        let (mut deepest, mut outside) = (0, 0);
        for (address, theirs) in addresses.iter().zip(&theirs) {
            let location = lines.location(*address);
            let frames: Vec<_> = inlines.frames(*address).collect();
            // A function that nothing was inlined into has no entry; the symbol table names it.
            let named = |symbol: &&serde_json::Value| symbol["FunctionName"] != "";
            let symbols = theirs["Symbol"].as_array().unwrap();
            let functions: Vec<_> = symbols
                .iter()
                .filter(named)
                .map(|symbol| &symbol["FunctionName"])
                .collect();
            let ours: Vec<_> = frames.iter().map(|frame| frame.function).collect();
            assert_eq!(ours, functions, "{target} {address:#x}: {theirs}");
            deepest = deepest.max(frames.len());
            // The place in a function is where its callee was called, and in the innermost the line itself.
            let places = std::iter::once(location).chain(frames.iter().map(|frame| frame.call));
            for (place, symbol) in places.zip(symbols) {
                let place =
                    place.unwrap_or_else(|| panic!("{target} {address:#x}: no place, {theirs}"));
                assert_eq!(
                    u64::from(place.line),
                    symbol["Line"],
                    "{target} {address:#x}"
                );
                assert_eq!(
                    u64::from(place.column),
                    symbol["Column"],
                    "{target} {address:#x}"
                );
                assert_eq!(
                    place.path(),
                    symbol["FileName"].as_str().unwrap(),
                    "{target} {address:#x}"
                );
                outside += usize::from(place.file == "original.cu");
            }
        }
        assert!(deepest >= 3, "functions in functions in a kernel");
        assert!(outside > 100, "#line is followed");
        assert_eq!(
            lines.location(code_object.text().start.wrapping_sub(4)),
            None
        );
        assert_eq!(lines.location(u64::MAX), None);
        assert_eq!(inlines.frames(0).count(), 0);
        let covered: u64 = lines
            .ranges()
            .map(|(range, _)| range.end - range.start)
            .sum();
        assert!(covered >= 4 * addresses.len() as u64);
    }
}

#[test]
fn code_without_line_tables_has_none() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(compile(folder.path(), "gfx1100", &[])).unwrap();
    let code_object = CodeObject::parse(&bytes).unwrap();
    let entry = code_object.kernel("first").unwrap().entry_address;
    assert_eq!(code_object.line_table().unwrap().location(entry), None);
    assert_eq!(code_object.inline_table().unwrap().frames(entry).count(), 0);
}
