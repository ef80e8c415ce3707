//! Every recorded instruction program of gfx1100 (`tests/data/isa/gfx1100.jsonl`), run through the HIP C ABI.
//!
//! Each line is the machine code of a kernel for one work-group and the bytes that it leaves in its output buffer. All
//! kernels are put into one code object by clang, with the descriptor that the recordings were made with.

mod assemble;

use std::ffi::{CString, c_char, c_int, c_uint, c_void};
use std::fmt::Write as _;
use std::path::Path;
use std::ptr::null_mut;

use libloading::Library;

#[derive(serde::Deserialize)]
struct Program {
    name: String,
    lanes: u32,
    code: String,
    out: String,
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("the file is hexadecimal");
    (0..hex.len()).step_by(2).map(digits).collect()
}

fn programs() -> Vec<Program> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/isa/gfx1100.jsonl");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    text.lines()
        .map(|line| serde_json::from_str(line).expect("a program a line"))
        .collect()
}

fn code_object(programs: &[Program]) -> Vec<u8> {
    let mut text = String::from("  .amdgcn_target \"amdgcn-amd-amdhsa--gfx1100\"\n");
    let mut metadata =
        String::from("  .amdgpu_metadata\n---\namdhsa.version: [1, 2]\namdhsa.kernels:\n");
    for (index, program) in programs.iter().enumerate() {
        let code: Vec<String> = bytes(&program.code).iter().map(u8::to_string).collect();
        let name = format!("program{index}");
        let _ = write!(
            text,
            "  .text\n  .globl {name}\n  .p2align 8\n  .type {name},@function\n{name}:\n  .byte {}\n.Lend{index}:\n  \
             .size {name}, .Lend{index}-{name}\n  .rodata\n  .p2align 6\n  .amdhsa_kernel {name}\n    \
             .amdhsa_next_free_vgpr 256\n    .amdhsa_next_free_sgpr 100\n    .amdhsa_wavefront_size32 1\n    \
             .amdhsa_user_sgpr_kernarg_segment_ptr 1\n    .amdhsa_kernarg_size 8\n    \
             .amdhsa_group_segment_fixed_size 65536\n    .amdhsa_private_segment_fixed_size 65536\n    \
             .amdhsa_enable_private_segment 1\n  .end_amdhsa_kernel\n",
            code.join(","),
        );
        let _ = write!(
            metadata,
            "  - .name: {name}\n    .symbol: {name}.kd\n    .kernarg_segment_size: 8\n    .kernarg_segment_align: 8\n    \
             .group_segment_fixed_size: 65536\n    .private_segment_fixed_size: 65536\n    .wavefront_size: 32\n    \
             .sgpr_count: 100\n    .vgpr_count: 256\n    .max_flat_workgroup_size: 64\n    .args:\n      \
             - {{.offset: 0, .size: 8, .value_kind: global_buffer, .address_space: global}}\n",
        );
    }
    text.push_str(&metadata);
    text.push_str("...\n  .end_amdgpu_metadata\n");
    assemble::assemble(&text, "gfx1100", &[])
}

/// The functions of the library that is under test.
struct Hip(Library);

impl Hip {
    fn load() -> Self {
        // SAFETY: set before the library is loaded and reads it; this test binary has one test.
        unsafe { std::env::set_var("AMDGPU_EMULATOR_DEVICES", "gfx1100") };
        let exe = std::env::current_exe().expect("the test's own path");
        let deps = exe.parent().expect("a test lies in target/<profile>/deps");
        let tried = [deps.join("libamdhip64.so"), deps.join("../libamdhip64.so")];
        let path = tried.iter().find(|path| path.exists());
        let path = path.unwrap_or_else(|| panic!("no libamdhip64.so among {tried:?}"));
        // SAFETY: the library is the one that this package builds.
        Self(unsafe { Library::new(path) }.unwrap_or_else(|e| panic!("{}: {e}", path.display())))
    }
}

macro_rules! call {
    ($hip:expr, $name:literal ( $($value:expr => $ty:ty),* $(,)? )) => {{
        // SAFETY: the signature is the one of hip_runtime_api.h, and every pointer passed is valid for the call.
        let status = unsafe {
            let function = $hip.0.get::<unsafe extern "C" fn($($ty),*) -> c_int>($name.as_bytes());
            (function.unwrap_or_else(|e| panic!("{}: {e}", $name)))($($value),*)
        };
        if status == 0 { Ok(()) } else { Err(format!("{} returned {status}", $name)) }
    }};
}

type Pointer = *mut c_void;

fn run(
    hip: &Hip,
    module: Pointer,
    index: usize,
    program: &Program,
    size: usize,
) -> Result<Vec<u8>, String> {
    let (mut buffer, mut function): (Pointer, Pointer) = (null_mut(), null_mut());
    call!(hip, "hipMalloc"(&raw mut buffer => *mut Pointer, size => usize))?;
    call!(hip, "hipMemset"(buffer => Pointer, 0 => c_int, size => usize))?;
    let name = CString::new(format!("program{index}")).expect("a name without NUL");
    call!(hip, "hipModuleGetFunction"(&raw mut function => *mut Pointer, module => Pointer, name.as_ptr() => *const c_char))?;
    let mut params = [(&raw mut buffer).cast::<c_void>()];
    call!(hip, "hipModuleLaunchKernel"(
        function => Pointer,
        1 => c_uint, 1 => c_uint, 1 => c_uint,
        program.lanes => c_uint, 1 => c_uint, 1 => c_uint,
        0 => c_uint, null_mut() => Pointer,
        params.as_mut_ptr() => *mut Pointer, null_mut() => *mut Pointer
    ))?;
    let mut found = vec![0u8; size];
    // hipMemcpyDeviceToHost is 2.
    call!(hip, "hipMemcpy"(found.as_mut_ptr().cast() => Pointer, buffer => *const c_void, size => usize, 2 => c_int))?;
    call!(hip, "hipFree"(buffer => Pointer))?;
    Ok(found)
}

/// Says which registers differ: the output starts with 16 vector registers, 16 scalar ones, VCC_LO, SCC and EXEC_LO.
fn difference(program: &Program, found: &[u8], expected: &[u8]) -> String {
    let words = |bytes: &[u8]| -> Vec<u32> {
        bytes
            .chunks_exact(4)
            .map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
            .collect()
    };
    let lanes = program.lanes as usize;
    let place = |at: usize| match at.checked_sub(16 * lanes) {
        None => format!("v{} of lane {}", at / lanes, at % lanes),
        Some(at @ 0..16) => format!("s{at}"),
        Some(at @ 16..19) => ["vcc_lo", "scc", "exec_lo"][at - 16].to_owned(),
        Some(at) => format!("word {at} of the program's own output"),
    };
    let (found, expected) = (words(found), words(expected));
    let differs = found
        .iter()
        .zip(&expected)
        .enumerate()
        .filter(|(_, (a, b))| a != b);
    let text = differs
        .take(4)
        .map(|(at, (a, b))| format!("{}: {a:#010x}, expected {b:#010x}", place(at)));
    text.collect::<Vec<_>>().join("; ")
}

#[test]
fn recorded_programs() {
    let programs = programs();
    assert!(programs.len() >= 366, "only {} programs", programs.len());
    let code = code_object(&programs);
    let hip = Hip::load();
    let mut module: Pointer = null_mut();
    let load = || {
        let mut module = null_mut();
        call!(hip, "hipModuleLoadData"(&raw mut module => *mut Pointer, code.as_ptr().cast() => *const c_void))
            .expect("the code object loads");
        module
    };
    let mut wrong = Vec::new();
    for (index, program) in programs.iter().enumerate() {
        if module.is_null() {
            module = load();
        }
        let expected = bytes(&program.out);
        match run(&hip, module, index, program, expected.len()) {
            Ok(found) if found == expected => {}
            Ok(found) => wrong.push(format!(
                "{}: {}",
                program.name,
                difference(program, &found, &expected)
            )),
            Err(error) => {
                wrong.push(format!("{}: {error}", program.name));
                // A fault stays with the device until it is reset, which unloads its modules.
                call!(hip, "hipDeviceReset"()).expect("the device can be reset");
                module = null_mut();
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} programs differ:\n{}",
        wrong.len(),
        programs.len(),
        wrong.join("\n")
    );
}
