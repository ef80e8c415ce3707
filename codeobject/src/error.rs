//! What can be wrong with bytes or names that come from outside.

use crate::TargetId;

/// Why a target id, a bundle or a code object was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The input ends before, or an offset points past the end of, something that has to be there.
    #[error("{what} needs {needed} bytes at offset {offset:#x}, but only {available} are there")]
    Truncated {
        /// What was being read.
        what: &'static str,
        /// Where it should start, in bytes from the start of the input.
        offset: u64,
        /// Its size in bytes.
        needed: u64,
        /// The bytes that are there from `offset` on.
        available: u64,
    },
    /// The input does not start with what the format asks for.
    #[error("this is not {expected}: it starts with {found}")]
    Magic {
        /// The format that was expected.
        expected: &'static str,
        /// The first bytes, printable ones as text.
        found: String,
    },
    /// A field has a value that the format does not allow.
    #[error("{what} is {found}, expected {expected}")]
    Field {
        /// The field.
        what: &'static str,
        /// Its value.
        found: String,
        /// The values that are allowed.
        expected: &'static str,
    },
    /// The ELF structure is broken.
    #[error("{what} of the ELF file: {message}")]
    Elf {
        /// The table or header that was being read.
        what: &'static str,
        /// What the ELF reader says about it.
        message: String,
    },
    /// The AMDGPU metadata note is broken.
    #[error("AMDGPU metadata, {path}: {message}")]
    Metadata {
        /// The path of the element in the metadata, such as `amdhsa.kernels[2].args[0].size`.
        path: String,
        /// What is wrong with it.
        message: String,
    },
    /// The code object has no AMDGPU metadata note.
    #[error(
        "the ELF file has no AMDGPU metadata note (NT_AMDGPU_METADATA): it is not a linked code object of version 3 or later"
    )]
    NoMetadata,
    /// A kernel of the metadata has no usable symbol or descriptor.
    #[error("kernel `{kernel}`: {message}")]
    Kernel {
        /// The kernel's name.
        kernel: String,
        /// What is wrong with it.
        message: String,
    },
    /// A text is not a target id.
    #[error("`{text}` is not a target id: {message}")]
    TargetId {
        /// The text.
        text: String,
        /// What is wrong with it.
        message: String,
    },
    /// A text is not a bundle entry id.
    #[error(
        "`{text}` is not a bundle entry id (<kind>-<arch>-<vendor>-<os>-<env>[-<target id>]): {message}"
    )]
    EntryId {
        /// The text.
        text: String,
        /// What is wrong with it.
        message: String,
    },
    /// Two entries of a bundle have one id.
    #[error("the bundle has two entries `{id}`")]
    DuplicateEntry {
        /// The id.
        id: String,
    },
    /// No code object of the bundle runs on the device.
    #[error(
        "no code object for {device} in the bundle, which has {}",
        list(available)
    )]
    NoCodeObject {
        /// The device.
        device: TargetId,
        /// The targets that the bundle has code objects for.
        available: Vec<TargetId>,
    },
    /// A compressed bundle's content could not be restored.
    #[error("compressed bundle: {message}")]
    Compression {
        /// What is wrong with it.
        message: String,
    },
    /// Restoring a compressed bundle would need more memory than is allowed.
    #[error(
        "compressed bundle of {compressed} bytes claims to hold {claimed} bytes, more than the limit of {limit}"
    )]
    TooLarge {
        /// The size of the compressed input.
        compressed: u64,
        /// The size that it claims to have when restored.
        claimed: u64,
        /// The limit.
        limit: u64,
    },
}

fn list(targets: &[TargetId]) -> String {
    if targets.is_empty() {
        return "no code objects at all".to_owned();
    }
    targets
        .iter()
        .map(TargetId::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

/// The first bytes of a file in a form for an error message.
pub(crate) fn first_bytes(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "nothing: it is empty".to_owned();
    }
    format!("\"{}\"", bytes[..bytes.len().min(8)].escape_ascii())
}
