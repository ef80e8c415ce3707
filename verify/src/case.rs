//! A check as data: what to launch, with which bytes, and what must come back.
//!
//! Families of kernels produce cases; they know no device. The runner executes them; it knows no kernel. What a correct
//! result is stands in the case itself, as [`Expected`].

use hip_loader::gguf::GgmlType;

use crate::element::{Array, DType};
use crate::error_bound::Approx;

/// Grid and block of a launch, and its dynamic shared memory in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    pub(crate) grid: [u32; 3],
    pub(crate) block: [u32; 3],
    pub(crate) shared: u32,
}

impl Geometry {
    /// `grid` x 1 x 1 blocks of `block` x 1 x 1 threads.
    pub(crate) fn linear(grid: usize, block: usize) -> Self {
        Geometry {
            grid: [grid as u32, 1, 1],
            block: [block as u32, 1, 1],
            shared: 0,
        }
    }

    /// One thread an element in blocks of 1024, as cudarc's `LaunchConfig::for_num_elems` has it.
    pub(crate) fn for_elements(count: usize) -> Self {
        Self::linear(count.div_ceil(1024).max(1), 1024)
    }

    pub(crate) fn with_shared(mut self, bytes: usize) -> Self {
        self.shared = bytes as u32;
        self
    }
}

/// Who shapes a launch.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Launch {
    /// The case itself: every argument of the kernel, in order.
    Kernel(Geometry),
    /// The loader, from the sizes of the operands: buffers alone, in the order in which the loader's operation names
    /// them. This is what a backend calls, so its launch shapes are checked with the kernels.
    Gguf(Gguf),
}

/// An operation of the loader on quantized weights, with its sizes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Gguf {
    QuantizeQ8_1 {
        rows: usize,
        columns: usize,
    },
    Dequantize {
        dtype: GgmlType,
        half: bool,
        elements: usize,
    },
    GetRows {
        dtype: GgmlType,
        count: usize,
        columns: usize,
    },
    DequantizeMulMatVec {
        dtype: GgmlType,
        rows: usize,
        columns: usize,
    },
    MulMatVec {
        dtype: GgmlType,
        rows: usize,
        columns: usize,
        batch: usize,
    },
    MulMat {
        dtype: GgmlType,
        rows: usize,
        columns: usize,
        batch: usize,
    },
    IndexedMoe {
        dtype: GgmlType,
        rows: usize,
        columns: usize,
        batch: usize,
        top_k: usize,
        inputs: usize,
    },
}

/// One argument of a kernel.
#[derive(Clone, Debug)]
pub(crate) enum Arg {
    /// A pointer to a buffer with these bytes.
    Input(Vec<u8>),
    /// A pointer to a buffer that the kernel must fill: what it leaves alone keeps a pattern that no result has.
    Output(usize),
    /// A pointer to a buffer that the kernel reads and writes.
    InOut(Vec<u8>),
    /// A null pointer.
    Null,
    /// A value passed as these little-endian bytes.
    Value(Vec<u8>),
}

impl Arg {
    /// What an output holds before the launch. Four bytes of it make a float, -2.87e-16, that no check expects.
    pub(crate) const UNTOUCHED: u8 = 0xa5;

    pub(crate) fn input(array: &Array) -> Self {
        Arg::Input(array.bytes.clone())
    }

    pub(crate) fn in_out(array: &Array) -> Self {
        Arg::InOut(array.bytes.clone())
    }

    /// Room for `count` elements.
    pub(crate) fn output(dtype: DType, count: usize) -> Self {
        Arg::Output(dtype.size() * count)
    }

    /// An array of `size_t`: shapes and strides.
    pub(crate) fn sizes(values: &[usize]) -> Self {
        Arg::Input(
            values
                .iter()
                .flat_map(|v| (*v as u64).to_le_bytes())
                .collect(),
        )
    }

    pub(crate) fn size(value: usize) -> Self {
        Arg::Value((value as u64).to_le_bytes().to_vec())
    }

    pub(crate) fn i32(value: usize) -> Self {
        Arg::Value((value as i32).to_le_bytes().to_vec())
    }

    pub(crate) fn f32(value: f32) -> Self {
        Arg::Value(value.to_le_bytes().to_vec())
    }

    pub(crate) fn f64(value: f64) -> Self {
        Arg::Value(value.to_le_bytes().to_vec())
    }

    pub(crate) fn bool(value: bool) -> Self {
        Arg::Value(vec![value as u8])
    }

    /// The one element of `array`, by value.
    pub(crate) fn scalar(array: &Array) -> Self {
        Arg::Value(array.bytes.clone())
    }
}

/// Where a reference comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reference {
    /// Recorded output of the CUDA kernel on an NVIDIA GPU.
    Golden,
    /// Computed here, from the operation's definition or by candle-core's CPU code, with a bound on the rounding.
    Cpu,
    /// Computed here from activations before they were quantized: the bound is the one that q8_1 rounding explains.
    Q8_1,
}

/// Says what is wrong with the bytes of a buffer, if anything is.
pub(crate) type Property = Box<dyn Fn(&[u8]) -> Result<(), String>>;

/// What makes a result right.
pub(crate) enum Expected {
    /// These very bytes: what kernels that move data must give.
    Bits(Array),
    /// These very values. One NaN is as good as another: which of them an operation returns is nobody's contract.
    Exact(Array),
    /// These very numbers, the sign of a zero left open: it depends on how a sum that vanishes was written.
    Equal(Array),
    /// Each element within its own bound.
    Within { dtype: DType, elements: Vec<Approx> },
    /// The norm of the difference over the norm of the reference at most `limit`.
    RelativeNorm { values: Array, limit: f64 },
    /// Anything else, such as an order in which equal elements may stand either way: says what is wrong, if anything.
    Property(Property),
}

/// What the buffer of one argument must hold after the launch.
pub(crate) struct Check {
    /// Position in [`Case::args`].
    pub(crate) arg: usize,
    pub(crate) reference: Reference,
    pub(crate) expected: Expected,
}

/// One launch and what it must have done.
pub(crate) struct Case {
    /// Shape and data, for a reader.
    pub(crate) name: String,
    pub(crate) launch: Launch,
    pub(crate) args: Vec<Arg>,
    pub(crate) checks: Vec<Check>,
    /// The repair without which candle's own kernel fails this case, if there is one.
    pub(crate) repair: Option<&'static str>,
}

impl Case {
    /// A case with one output, held against the CPU.
    pub(crate) fn new(
        name: impl Into<String>,
        geometry: Geometry,
        args: Vec<Arg>,
        output: usize,
        expected: Expected,
    ) -> Self {
        Case {
            name: name.into(),
            launch: Launch::Kernel(geometry),
            args,
            checks: vec![Check {
                arg: output,
                reference: Reference::Cpu,
                expected,
            }],
            repair: None,
        }
    }

    /// Names the repair of an upstream defect that a case needs.
    pub(crate) fn needs_repair(mut self, repair: &'static str) -> Self {
        self.repair = Some(repair);
        self
    }
}
