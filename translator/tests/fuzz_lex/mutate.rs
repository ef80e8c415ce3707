//! The inputs: CUDA text of this project's own and what mutations make of it.

use crate::harness::Random;

/// The fixtures of the translator, and a file dense in what the lexer has to tell apart.
const TEXTS: &[&str] = &[
    include_str!("../fixtures/asm.cu"),
    include_str!("../fixtures/calls.cu"),
    include_str!("../fixtures/fixes.cu"),
    include_str!("../fixtures/guards.cu"),
    include_str!("../fixtures/headers.cu"),
    include_str!("../fixtures/inactive.cu"),
    include_str!("../fixtures/names.cu"),
    include_str!("../fixtures/namespaces.cu"),
    include_str!("../fixtures/own_names.cu"),
    include_str!("../fixtures/unknown.cu"),
    include_str!("../fixtures/unsupported.cu"),
    include_str!("kernels.cu"),
];

pub fn corpus() -> Vec<Vec<u8>> {
    TEXTS.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// Pieces that begin, end or change the meaning of what follows.
const PIECES: &[&str] = &[
    "\\\n",
    "\\\r\n",
    "\\ \n",
    "\n",
    "\r",
    "\t",
    "//",
    "/*",
    "*/",
    "\"",
    "'",
    "\\",
    "R\"(",
    ")\"",
    "R\"x(",
    ")x\"",
    "u8",
    "#",
    "##",
    "%:",
    "#if ",
    "#ifdef ",
    "#elif ",
    "#else\n",
    "#endif\n",
    "#define A ",
    "#define A(x) x ",
    "#undef A\n",
    "#include ",
    "#include <",
    "#pragma ",
    "#error ",
    "#line 1 \"a\"\n",
    "__has_include(",
    "defined(",
    "<",
    ">",
    "<<<",
    ">>>",
    "::",
    "->",
    "...",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ";",
    ":",
    "!",
    "~",
    "-",
    "&&",
    "||",
    "?",
    "%",
    "$",
    "@",
    "`",
    "\u{0}",
    "\u{7f}",
    "\u{e9}",
    "\u{feff}",
    "asm",
    "asm volatile(",
    "\"mov.u32 %0, %1;\"",
    "\"=r\"(x)",
    "__CUDA_ARCH__",
    ">= 800",
    "CUDART_VERSION",
    "cudaMalloc(",
    "__dp4a(",
    "__shfl_xor_sync(",
    "cuda::std::",
    "nvcuda::wmma::",
    "typedef ",
    "using ",
    "template <",
    "namespace ",
    "struct ",
    "0x1p+3",
    "1'0",
    "1e",
    ".5",
    "L'",
    "operator\"\"_x",
    "// HIP translation of x by hipify-candle. Do not edit.\n",
];

/// Takes a text of the corpus and changes it in a few places.
pub fn mutate(corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = corpus[random.below(corpus.len())].clone();
    for _ in 0..1 + random.below(8) {
        let place = random.below(bytes.len() + 1);
        change(&mut bytes, place, corpus, random);
    }
    bytes
}

fn change(bytes: &mut Vec<u8>, place: usize, corpus: &[Vec<u8>], random: &mut Random) {
    let rest = bytes.len() - place;
    match random.below(10) {
        0 if rest > 0 => bytes[place] ^= 1 << random.below(8),
        1 if rest > 0 => bytes[place] = random.next() as u8,
        2 => bytes.truncate(place),
        3 => {
            let end = place + random.below(rest.min(64) + 1);
            bytes.drain(place..end);
        }
        4 => {
            // A stretch of any text of the corpus, the same one included.
            let other = &corpus[random.below(corpus.len())];
            let start = random.below(other.len());
            let end = start + random.below((other.len() - start).min(256) + 1);
            bytes.splice(place..place, other[start..end].iter().copied());
        }
        5 => {
            let end = place + random.below(rest.min(64) + 1);
            let again = bytes[place..end].repeat(1 + random.below(8));
            bytes.splice(place..place, again);
        }
        6 => {
            // One piece many times: nesting.
            let piece = PIECES[random.below(PIECES.len())].repeat(1 + random.below(64));
            bytes.splice(place..place, piece.into_bytes());
        }
        _ => {
            let piece = PIECES[random.below(PIECES.len())];
            bytes.splice(place..place, piece.bytes());
        }
    }
}
