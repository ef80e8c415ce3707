//! The compact form of an instruction, ready to execute.
//!
//! Everything that can be known before execution is resolved here: registers are indexes, constants are words, branches
//! are instruction indexes, modifiers that are absent cost nothing.

use crate::exec::{Cx, Flow};
use crate::lanes::{Kernel, Type};
use crate::ops::matrix::Tile;
use crate::ops::memory::MemoryOp;
use crate::ops::scalar::ScalarOp;

/// Executes an instruction.
pub type Run = fn(&mut Cx<'_>, &Inst) -> Flow;

/// Slots of the scalar register file beyond the SGPRs.
pub mod slot {
    /// VCC, two words.
    pub const VCC: u16 = 106;
    /// Trap temporaries 0 to 15.
    pub const TTMP: u16 = 108;
    /// M0.
    pub const M0: u16 = 124;
    /// Where writes to `null` go; never read.
    pub const NULL: u16 = 128;
    /// EXEC, two words.
    pub const EXEC: u16 = 126;
    /// FLAT_SCRATCH, two words.
    pub const FLAT_SCRATCH: u16 = 132;
    /// XNACK_MASK, two words.
    pub const XNACK_MASK: u16 = 134;
    /// The apertures: base and limit of LDS, base and limit of scratch, two words each.
    pub const SHARED_BASE: u16 = 136;
    /// See [`SHARED_BASE`].
    pub const SHARED_LIMIT: u16 = 138;
    /// See [`SHARED_BASE`].
    pub const PRIVATE_BASE: u16 = 140;
    /// See [`SHARED_BASE`].
    pub const PRIVATE_LIMIT: u16 = 142;
    /// The size of the file.
    pub const COUNT: usize = 160;
    /// No register.
    pub const NONE: u16 = u16::MAX;
}

/// Index of the first accumulation register in the vector register file.
pub const ACC_BASE: u16 = 256;

/// Where an operand comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Vector (or accumulation) registers from `reg`.
    Vector,
    /// Scalar registers from `reg`.
    Scalar,
    /// The constant in `lo` and `hi`.
    Constant,
    /// The lane mask in the scalar registers from `reg`.
    Mask,
    /// SCC.
    Scc,
    /// Whether VCC is zero.
    Vccz,
    /// Whether EXEC is zero.
    Execz,
}

/// Which part of a register is the operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Select {
    /// All of it.
    Whole,
    /// Byte 0 to 3.
    Byte(u8),
    /// Half 0 or 1.
    Half(u8),
}

/// What happens to an operand between its register and the operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Modifier {
    /// Nothing.
    None,
    /// A part is selected and extended, then `abs` and `neg` apply to its sign bit (bit 15, 31 or 63).
    Scalar {
        /// The part.
        select: Select,
        /// Whether the part is sign-extended.
        sext: bool,
        /// Clear the sign.
        abs: bool,
        /// Invert the sign.
        neg: bool,
        /// The sign bit's index.
        sign: u8,
    },
    /// Halves are chosen and negated for the two operations of a packed instruction.
    Packed {
        /// The low operation takes the high half.
        low_from_high: bool,
        /// The high operation takes the high half.
        high_from_high: bool,
        /// Sign bits to invert.
        negate: u32,
    },
    /// As `Packed`, but the halves are the words of a register pair.
    PackedWide {
        /// The low operation takes the high word.
        low_from_high: bool,
        /// The high operation takes the high word.
        high_from_high: bool,
        /// Invert the sign for the low operation.
        negate_low: bool,
        /// Invert the sign for the high operation.
        negate_high: bool,
    },
    /// A half-precision number is widened to single precision.
    Widen {
        /// From the high half.
        high: bool,
        /// Clear the sign.
        abs: bool,
        /// Invert the sign.
        neg: bool,
    },
}

/// An operand.
#[derive(Debug, Clone, Copy)]
pub struct Source {
    /// Where it comes from.
    pub kind: Kind,
    /// Whether it takes two registers.
    pub wide: bool,
    /// The first register.
    pub reg: u16,
    /// The constant's low word.
    pub lo: u32,
    /// The constant's high word.
    pub hi: u32,
    /// What is done to it first.
    pub modifier: Modifier,
}

impl Source {
    /// A constant of 32 bits.
    pub const fn constant(lo: u32) -> Self {
        Self {
            kind: Kind::Constant,
            wide: false,
            reg: 0,
            lo,
            hi: 0,
            modifier: Modifier::None,
        }
    }

    /// A vector register.
    pub const fn vector(reg: u16) -> Self {
        Self {
            kind: Kind::Vector,
            reg,
            ..Self::constant(0)
        }
    }

    /// A scalar register.
    pub const fn scalar(reg: u16) -> Self {
        Self {
            kind: Kind::Scalar,
            reg,
            ..Self::constant(0)
        }
    }

    /// A lane mask in scalar registers.
    pub const fn mask(reg: u16) -> Self {
        Self {
            kind: Kind::Mask,
            reg,
            ..Self::constant(0)
        }
    }
}

/// The permutation of lanes that data-parallel primitives apply to the first operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permute {
    /// Within each group of four: the source lane for each.
    Quad([u8; 4]),
    /// Within each group of eight.
    Eight([u8; 8]),
    /// Towards lower lanes of a row of 16.
    RowShl(u8),
    /// Towards higher lanes of a row.
    RowShr(u8),
    /// Rotate towards higher lanes of a row.
    RowRor(u8),
    /// Reverse a row.
    RowMirror,
    /// Reverse each half row.
    RowHalfMirror,
    /// Every lane of a row takes one lane of the row.
    RowShare(u8),
    /// Exchange lanes of a row by xor.
    RowXmask(u8),
    /// Across the whole wave by one lane: shl, rol, shr, ror.
    WaveShl,
    /// See [`Permute::WaveShl`].
    WaveRol,
    /// See [`Permute::WaveShl`].
    WaveShr,
    /// See [`Permute::WaveShl`].
    WaveRor,
    /// Lane 15 of each row to the next row.
    RowBcast15,
    /// Lane 31 to rows 2 and 3.
    RowBcast31,
}

/// Data-parallel primitives of an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dpp {
    /// Which lane each lane reads.
    pub permute: Permute,
    /// Rows that are written.
    pub row_mask: u8,
    /// Banks (groups of four lanes in a row) that are written.
    pub bank_mask: u8,
    /// Lanes without a source read zero instead of being disabled.
    pub bound_ctrl: bool,
    /// Inactive lanes may be read.
    pub fetch_inactive: bool,
}

/// What SDWA does with the rest of the destination register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unused {
    /// Zero.
    Pad,
    /// The sign of the part.
    Sext,
    /// Left alone.
    Preserve,
}

/// How a vector result reaches its register, where it is more than a plain write.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Finish {
    /// The factor of `mul:2`, `mul:4`, `div:2`; otherwise 1.
    pub omod: f64,
    /// Clamp a float to [0, 1].
    pub clamp: bool,
    /// The result's type.
    pub result: Option<Type>,
    /// The part of the register that is written.
    pub select: Select,
    /// What happens to the rest.
    pub unused: Unused,
    /// The lane permutation.
    pub dpp: Option<Dpp>,
}

/// What an instruction counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// Scalar arithmetic.
    Salu,
    /// Branches, calls and returns.
    Branch,
    /// Waits, barriers and everything else that controls the wave.
    Control,
    /// Integer and bit operations of the vector unit.
    Valu,
    /// Floating-point operations of the vector unit.
    Float,
    /// Dot products.
    Dot,
    /// Matrix operations.
    Matrix,
    /// Operations across lanes.
    CrossLane,
    /// Scalar loads.
    Smem,
    /// Loads and stores of global memory.
    Global,
    /// Accesses to LDS.
    Lds,
    /// Accesses to scratch.
    Scratch,
    /// Atomic operations on memory.
    Atomic,
}

impl Class {
    /// How many classes there are.
    pub const COUNT: usize = 13;
    /// All classes, in the order of their numbers.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Salu,
        Self::Branch,
        Self::Control,
        Self::Valu,
        Self::Float,
        Self::Dot,
        Self::Matrix,
        Self::CrossLane,
        Self::Smem,
        Self::Global,
        Self::Lds,
        Self::Scratch,
        Self::Atomic,
    ];
    /// The class's name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Salu => "salu",
            Self::Branch => "branch",
            Self::Control => "control",
            Self::Valu => "valu",
            Self::Float => "float",
            Self::Dot => "dot",
            Self::Matrix => "matrix",
            Self::CrossLane => "cross_lane",
            Self::Smem => "smem",
            Self::Global => "global",
            Self::Lds => "lds",
            Self::Scratch => "scratch",
            Self::Atomic => "atomic",
        }
    }
}

/// Operation-specific data of an instruction.
#[derive(Clone)]
pub enum Detail {
    /// None.
    None,
    /// A scalar operation.
    Scalar(&'static ScalarOp),
    /// A memory operation.
    Memory(&'static MemoryOp),
    /// A vector result with modifiers.
    Finish(Box<Finish>),
    /// The two halves of a dual-issue pair.
    Dual(Box<[Inst; 2]>),
    /// A matrix operation.
    Matrix(Box<Tile>),
    /// Why the instruction cannot be executed.
    Unknown(Box<str>),
}

/// An instruction, ready to execute.
#[derive(Clone)]
pub struct Inst {
    /// Executes it.
    pub run: Run,
    /// The lane-wise kernels: in the native float mode, and in any other.
    pub kernels: [Kernel; 2],
    /// Operands.
    pub src: [Source; 4],
    /// How many operands.
    pub sources: u8,
    /// Registers of the result.
    pub rows: u8,
    /// The destination register: vector for vector operations, scalar for scalar ones.
    pub dst: u16,
    /// The scalar destination of a vector operation's lane mask, or [`slot::NONE`].
    pub sdst: u16,
    /// Bytes from the start of the function.
    pub offset: u32,
    /// An instruction index (branches) or operation-specific bits.
    pub target: u32,
    /// An offset or immediate.
    pub imm: i64,
    /// What it counts as.
    pub class: Class,
    /// More, for operations that need it.
    pub detail: Detail,
}

fn no_kernel(
    _: crate::lanes::Context<'_>,
    _: &crate::lanes::Sources<'_>,
    _: &mut crate::lanes::Output,
) {
}

impl Inst {
    /// An instruction of `class` that executes `run`, without operands.
    pub fn new(run: Run, class: Class) -> Self {
        Self {
            run,
            kernels: [no_kernel; 2],
            src: [Source::constant(0); 4],
            sources: 0,
            rows: 0,
            dst: slot::NONE,
            sdst: slot::NONE,
            offset: 0,
            target: 0,
            imm: 0,
            class,
            detail: Detail::None,
        }
    }
}
