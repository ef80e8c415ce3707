//! From the bytes of a code object to executable instructions.
//!
//! Three steps, each of which knows one thing: [`llvm`] turns bytes into LLVM's assembly text, [`text`] parses that text
//! without knowing what any mnemonic means, and [`decode`] looks the mnemonic up in the tables of [`crate::ops`] and
//! resolves its operands to register indexes and constants. What the instructions *do* is in [`crate::ops`].

pub mod code;
pub mod decode;
pub mod inst;
pub mod llvm;
pub mod text;
