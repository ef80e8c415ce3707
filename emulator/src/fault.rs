//! What stops a launch, told so that the kernel's author can mend it.

/// How memory was accessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read.
    Read,
    /// Written.
    Write,
    /// Read and written at once.
    Atomic,
}

impl std::fmt::Display for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Atomic => "atomic access",
        })
    }
}

/// Why a launch was stopped.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FaultKind {
    /// The instruction has no semantics here.
    #[error("the emulator does not know this instruction: {reason}")]
    Unknown {
        /// What is not known.
        reason: String,
    },
    /// Memory that belongs to no allocation, or not as a whole.
    #[error("{access} of {size} bytes at {address:#x}, which is {place}")]
    Memory {
        /// The kind of access.
        access: Access,
        /// The address.
        address: u64,
        /// Bytes.
        size: u64,
        /// Where the address lies with respect to the allocations.
        place: String,
    },
    /// LDS beyond what the work-group has.
    #[error(
        "LDS {access} of {size} bytes at offset {address:#x}, the work-group has {limit} bytes"
    )]
    Lds {
        /// The kind of access.
        access: Access,
        /// The offset.
        address: u64,
        /// Bytes.
        size: u64,
        /// Bytes of LDS.
        limit: u64,
    },
    /// Scratch beyond what a lane has.
    #[error(
        "scratch {access} of {size} bytes at offset {address:#x}, a work-item has {limit} bytes"
    )]
    Scratch {
        /// The kind of access.
        access: Access,
        /// The offset.
        address: u64,
        /// Bytes.
        size: u64,
        /// Bytes of scratch a work-item.
        limit: u64,
    },
    /// An atomic access that is not naturally aligned.
    #[error("misaligned {access} of {size} bytes at {address:#x}")]
    Misaligned {
        /// The kind of access.
        access: Access,
        /// The address.
        address: u64,
        /// Bytes.
        size: u64,
    },
    /// Control left the code.
    #[error("control ran past the end of the function")]
    EndOfCode,
    /// A jump to where no code is.
    #[error("jump to {address:#x}, which is no instruction of this code object")]
    Jump {
        /// The target.
        address: u64,
    },
    /// The kernel trapped.
    #[error("the kernel executed trap {id}{}", if *.id == 2 { " (abort)" } else { "" })]
    Trap {
        /// The trap's number.
        id: u32,
    },
    /// All waves wait.
    #[error("the waves never meet at a barrier: all that have not ended wait")]
    Deadlock,
    /// A barrier of the grid in a launch whose work-groups do not run at a time.
    #[error("a barrier of the whole grid, but the kernel was not launched as a cooperative one")]
    NotCooperative,
}

/// A launch that was stopped.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error(
    "kernel {kernel}, block ({}, {}, {}){}: {kind}\n  at +{offset:#x}: {}{}",
    .block[0], .block[1], .block[2],
    .thread.map(|t| format!(", thread ({}, {}, {})", t[0], t[1], t[2])).unwrap_or_default(),
    .instruction.trim().replace('\t', " "),
    .origin.as_ref().map(|origin| format!("\n  from {origin}")).unwrap_or_default()
)]
pub struct Fault {
    /// The kernel.
    pub kernel: String,
    /// The instruction's text.
    pub instruction: String,
    /// Its offset from the start of the code object's image.
    pub offset: u64,
    /// Where it comes from in the source, if the code object has line tables.
    pub origin: Option<String>,
    /// The block.
    pub block: [u32; 3],
    /// The thread in its block, where one is to blame.
    pub thread: Option<[u32; 3]>,
    /// Why.
    pub kind: FaultKind,
}
