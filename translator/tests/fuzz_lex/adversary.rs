//! Inputs that were thought out to take much memory or time: one construct, nested or repeated.

use std::fmt::Write as _;

use crate::harness::Attempt;

/// The size of each hostile text, in bytes.
const SIZE: usize = 64 << 10;

/// How many times its size translating one may take; each diagnostic has some hundred bytes.
const FACTOR: usize = 400;

fn times(piece: &str) -> Vec<u8> {
    piece.repeat(SIZE / piece.len()).into_bytes()
}

fn nested(open: &str, middle: &str, close: &str) -> Vec<u8> {
    let depth = SIZE / (open.len() + close.len());
    format!("{}{middle}{}", open.repeat(depth), close.repeat(depth)).into_bytes()
}

/// Different names, one after another.
fn names(before: &str, name: &str, after: &str) -> Vec<u8> {
    let mut text = String::new();
    for number in 0.. {
        if text.len() >= SIZE {
            break;
        }
        let _ = write!(text, "{before}{name}{number}{after}");
    }
    text.into_bytes()
}

/// Macros of which each stands for many of the next.
fn laughs() -> Vec<u8> {
    let mut text = String::from("#if __CUDA_ARCH__ >= A0\n#endif\n");
    for number in 0..40 {
        let next = format!("A{} + ", number + 1).repeat(100);
        let _ = writeln!(text, "#define A{number} {next}0");
    }
    text.into_bytes()
}

/// Macros of which each is defined only where the one before is, and the first nowhere.
fn chain() -> Vec<u8> {
    let mut text = String::from("#if __CUDA_ARCH__ == 700\n#define A0 1\n#endif\n");
    for number in 0..SIZE / 40 {
        let _ = writeln!(text, "#ifdef A{number}\n#define A{} 1\n#endif", number + 1);
    }
    text.into_bytes()
}

/// All of them.
pub fn attempts() -> Vec<Attempt> {
    let condition = |inner: Vec<u8>| [b"#if ", &inner[..], b"\nint a;\n#endif\n"].concat();
    [
        (
            "unknown names on one line",
            names("", "cudaUnknown", "(); "),
        ),
        (
            "unknown names on many lines",
            names("", "cudaUnknown", "();\n"),
        ),
        (
            "one unknown name, again and again",
            times("cudaUnknown(); "),
        ),
        ("macros", names("#define ", "A", " 1\n")),
        ("macros of macros", names("#define A A", "A", "\n")),
        ("macros that grow", laughs()),
        ("a chain of macros", chain()),
        ("conditions", times("#if A\n")),
        (
            "conditions that end",
            nested("#if A\n", "int a;\n", "#endif\n"),
        ),
        (
            "parentheses in a condition",
            condition(nested("(", "1", ")")),
        ),
        ("negations in a condition", condition(nested("!", "1", ""))),
        ("signs in a condition", condition(nested("- ", "1", ""))),
        (
            "choices in a condition",
            condition(nested("1 ? ", "1", " : 1")),
        ),
        ("sums in a condition", condition(times("1 + "))),
        (
            "comparisons of a guard",
            condition(times("__CUDA_ARCH__ >= 800 && ")),
        ),
        ("calls in calls", nested("__dp4a(", "a", ", b, c)")),
        ("calls without an end", times("__dp4a(")),
        ("calls in atomics", nested("atomicAdd(", "a", ", 1)")),
        (
            "shuffles in shuffles",
            nested("__shfl_xor_sync(m, ", "a", ", 1)"),
        ),
        ("braces", times("{")),
        ("templates", times("template <class T> struct A<")),
        ("namespaces", nested("namespace n {", "", "}")),
        ("paths", times("cuda::std::")),
        ("kernels without an end", times("extern \"C\" __global__ ")),
        ("launches", times("k<<<1, 1>>>(a); ")),
        (
            "asm",
            times("asm(\"mov.u32 %0, %1;\" : \"=r\"(a) : \"r\"(b)); "),
        ),
        ("asm in asm", nested("asm(\"\" : \"=r\"(", "a", "));")),
        ("asm without an end", times("asm volatile(\"")),
        (
            "operands of an asm",
            [&b"asm(\"\" : "[..], &times("\"=r\"(a), ")].concat(),
        ),
        ("raw strings without an end", times("R\"a(")),
        (
            "raw strings with a long delimiter",
            times("R\"aaaaaaaaaaaaaaa("),
        ),
        (
            "raw strings that nearly end",
            [&b"R\"x("[..], &times(")y\"")].concat(),
        ),
        ("comments without an end", times("/*")),
        ("splices", times("\\\n")),
        (
            "splices in a name",
            [&b"a"[..], &times("\\\n"), b"b"].concat(),
        ),
        ("includes", times("#include <cuda_runtime.h>\n")),
        ("includes without an end", times("#include <")),
        ("unknown includes", names("#include <cuda_", "a", ".h>\n")),
        ("blanks", times(" ")),
        ("quotes", times("'")),
        ("bytes that start nothing", times("\u{1}")),
    ]
    .map(|(name, input)| Attempt {
        name,
        input,
        factor: FACTOR,
    })
    .into()
}
