//! Why a quantized operation cannot be done. Nothing has been launched.

use std::fmt;

use super::GgmlType;

/// An operation on quantized tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// Activations to blocks of Q8_1.
    QuantizeQ8_1,
    /// Blocks to f32.
    DequantizeF32,
    /// Blocks to f16.
    DequantizeF16,
    /// Some rows of a matrix, dequantized to f32.
    GetRows,
    /// A matrix times a vector of f32.
    DequantizeMulMatVec,
    /// A matrix times 1 to 8 vectors of Q8_1.
    MulMatVec,
    /// A matrix times a matrix of Q8_1.
    MulMat,
    /// For each token some of a number of matrices, times a vector of Q8_1.
    IndexedMoe,
}

impl Operation {
    /// All operations.
    pub const ALL: [Self; 8] = [
        Self::QuantizeQ8_1,
        Self::DequantizeF32,
        Self::DequantizeF16,
        Self::GetRows,
        Self::DequantizeMulMatVec,
        Self::MulMatVec,
        Self::MulMat,
        Self::IndexedMoe,
    ];

    /// Whether there is a kernel of the operation for a type.
    pub fn supports(self, dtype: GgmlType) -> bool {
        let facts = dtype.facts();
        match self {
            Self::QuantizeQ8_1 => dtype == GgmlType::Q8_1,
            Self::DequantizeF32 | Self::DequantizeF16 => facts.dequantize.is_some(),
            Self::GetRows => facts.get_rows.is_some(),
            Self::DequantizeMulMatVec => facts.dequantize_mul_mat_vec.is_some(),
            Self::MulMatVec | Self::MulMat => facts.mul_mat.is_some(),
            Self::IndexedMoe => facts.indexed_moe.is_some(),
        }
    }

    /// The types that the operation has kernels for.
    pub fn supported(self) -> impl Iterator<Item = GgmlType> {
        GgmlType::ALL
            .into_iter()
            .filter(move |dtype| self.supports(*dtype))
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::QuantizeQ8_1 => "quantize_q8_1",
            Self::DequantizeF32 => "dequantize to f32",
            Self::DequantizeF16 => "dequantize to f16",
            Self::GetRows => "get_rows",
            Self::DequantizeMulMatVec => "dequantize_mul_mat_vec",
            Self::MulMatVec => "mul_mat_vec",
            Self::MulMat => "mul_mat",
            Self::IndexedMoe => "indexed_moe_forward",
        })
    }
}

/// Why a quantized operation cannot be done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GgufError {
    /// There is no kernel for the type.
    #[error("{operation} has no kernel for {dtype}; there are kernels for {}", list(*.operation))]
    UnsupportedType {
        /// The operation.
        operation: Operation,
        /// The type.
        dtype: GgmlType,
    },
    /// Bytes that are no whole number of blocks.
    #[error("{bytes} bytes are no whole number of {dtype} blocks of {} bytes", .dtype.type_size())]
    PartialBlock {
        /// The type.
        dtype: GgmlType,
        /// The bytes.
        bytes: usize,
    },
    /// Elements that are no whole number of blocks.
    #[error("{what} is {elements}, which {dtype} needs to be a multiple of {multiple}")]
    NotMultiple {
        /// What has the size.
        what: &'static str,
        /// The type.
        dtype: GgmlType,
        /// The size in elements.
        elements: usize,
        /// What it should be a multiple of.
        multiple: usize,
    },
    /// A size other than the shapes say.
    #[error("{operation}: {what} has {given} elements, the shapes need {expected}")]
    Size {
        /// The operation.
        operation: Operation,
        /// What has the wrong size.
        what: &'static str,
        /// Its elements.
        given: usize,
        /// The elements that it should have.
        expected: usize,
    },
    /// A batch that the vector kernels do not take.
    #[error("mul_mat_vec takes 1 to 8 rows of activations, {batch} were given")]
    Batch {
        /// Rows of activations.
        batch: usize,
    },
    /// A number that the kernels cannot count to.
    #[error("{operation}: {what} is {value}, the kernels take {limit} at most")]
    TooLarge {
        /// The operation.
        operation: Operation,
        /// What is too large.
        what: &'static str,
        /// How large.
        value: usize,
        /// How large it may be.
        limit: usize,
    },
    /// Shapes that do not go together.
    #[error("{operation}: {problem}")]
    Shape {
        /// The operation.
        operation: Operation,
        /// What does not go together, with the shapes.
        problem: String,
    },
    /// A kernel takes other arguments than the loader knows of.
    #[error(
        "kernel `{kernel}` takes ({found}), the loader gives ({expected}): the code object is of another version"
    )]
    Signature {
        /// The kernel.
        kernel: String,
        /// What the loader gives: `p` for a pointer, the size in bytes for a value.
        expected: String,
        /// What the kernel takes.
        found: String,
    },
    /// The tile of a matrix kernel cannot be told from its facts.
    #[error(
        "kernel `{kernel}` has {shared_bytes} bytes of LDS and a bound of {max_block} work-items, which fits no known tile: {known}"
    )]
    UnknownTile {
        /// The kernel.
        kernel: String,
        /// Its LDS.
        shared_bytes: u32,
        /// Its launch bound.
        max_block: u32,
        /// The tiles that are known, with what they would have.
        known: String,
    },
}

fn list(operation: Operation) -> String {
    operation
        .supported()
        .map(GgmlType::name)
        .collect::<Vec<_>>()
        .join(", ")
}
