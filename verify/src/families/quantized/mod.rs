//! `quantized.cu`: GGUF blocks dequantized, looked up and multiplied; and `mmvq_gguf.cu` and `moe/moe_gguf.cu`, which
//! multiply the same blocks.
//!
//! Every kernel that has golden vectors is run on them, and every kernel on fresh random data in other shapes: odd
//! numbers of rows, columns that need padding, batches that fill no tile. Half of the random weights are quantized from
//! normal numbers by candle-core, half are random bits.

mod blocks;
mod convert;
mod parts;
mod product;
mod reference;
mod static_library;

use self::blocks::Format;
use self::parts::Cases;
use super::{Material, Plan};
use crate::element::DType;

/// A kernel of the module.
#[derive(Clone, Copy)]
enum Kernel {
    Dequantize(&'static Format, DType),
    GetRows(&'static Format),
    GetFloatRows(DType),
    QuantizeQ8_1,
    DequantizeMulMatVec(&'static Format),
    /// With the number of activation rows that the kernel is made for.
    MulMatVec(&'static Format, usize),
    MulMat(&'static Format),
    IndexedMoe(&'static Format),
    /// Of `mmvq_gguf.cu` and `moe/moe_gguf.cu`, from activations of a type.
    QuantizeFrom(DType),
    /// Of `mmvq_gguf.cu`, with results of a type for so many rows of activations.
    MulMatVecTo(&'static Format, DType, usize),
    /// Of `moe/moe_gguf.cu`.
    MoeGemm(&'static Format),
}

impl Kernel {
    fn parse(symbol: &str) -> Option<Kernel> {
        if symbol == "quantize_q8_1" {
            return Some(Kernel::QuantizeQ8_1);
        }
        // `moe_gguf.cu` has a `static` one of its own.
        if symbol == "_ZL13quantize_q8_1PKfPvii" {
            return Some(Kernel::QuantizeFrom(DType::F32));
        }
        if let Some(rest) = symbol.strip_prefix("mmvq_gguf_") {
            if let Some(name) = rest.strip_prefix("quantize_q8_1_") {
                return Some(Kernel::QuantizeFrom(DType::from_name(name)?));
            }
            let (rest, batch) = rest.split_once("_plain_cuda")?;
            let (name, dtype) = DType::split_suffix(rest)?;
            let batch = batch.parse().ok()?;
            return Some(Kernel::MulMatVecTo(Format::find(name)?, dtype, batch));
        }
        if let Some(rest) = symbol.strip_prefix("_ZN7vllm_rs20moe_gemm_gguf_kernelI") {
            // The type of a block is a parameter of the template: its length, `block_`, the format's name.
            let (_, rest) = rest.split_once("10block_")?;
            return Some(Kernel::MoeGemm(Format::find(rest.get(..4)?)?));
        }
        if let Some(rest) = symbol.strip_prefix("dequantize_block_") {
            let (name, dtype) = DType::split_suffix(rest)?;
            return Some(Kernel::Dequantize(Format::find(name)?, dtype));
        }
        if let Some(name) = symbol.strip_prefix("get_rows_") {
            return match DType::from_name(name) {
                Some(dtype) => Some(Kernel::GetFloatRows(dtype)),
                None => Some(Kernel::GetRows(Format::find(name)?)),
            };
        }
        if let Some(name) = symbol.strip_prefix("dequantize_mul_mat_vec_") {
            let name = name.strip_suffix("_cuda").unwrap_or(name);
            return Some(Kernel::DequantizeMulMatVec(Format::find(name)?));
        }
        if let Some(rest) = symbol.strip_prefix("mul_mat_vec_") {
            let (name, batch) = rest.split_once("_q8_1_cuda")?;
            return Some(Kernel::MulMatVec(Format::find(name)?, batch.parse().ok()?));
        }
        if let Some(rest) = symbol.strip_prefix("indexed_moe_forward_") {
            return Some(Kernel::IndexedMoe(Format::find(
                rest.strip_suffix("_q8_1")?,
            )?));
        }
        let name = symbol.strip_prefix("mul_mat_")?;
        Some(Kernel::MulMat(Format::find(name)?))
    }

    /// Its row and column in the report's table.
    fn place(self) -> (String, &'static str) {
        match self {
            Kernel::Dequantize(format, dtype) => (format!("dequant {}", dtype.name()), format.name),
            Kernel::GetRows(format) => ("get_rows".to_owned(), format.name),
            Kernel::GetFloatRows(dtype) => ("get_rows".to_owned(), dtype.name()),
            Kernel::QuantizeQ8_1 => ("quantize".to_owned(), "q8_1"),
            Kernel::DequantizeMulMatVec(format) => ("dmmv".to_owned(), format.name),
            Kernel::MulMatVec(format, 1) => ("mmv 1".to_owned(), format.name),
            Kernel::MulMatVec(format, _) => ("mmv 2-8".to_owned(), format.name),
            Kernel::MulMat(format) => ("mul_mat".to_owned(), format.name),
            Kernel::IndexedMoe(format) | Kernel::MoeGemm(format) => ("moe".to_owned(), format.name),
            Kernel::QuantizeFrom(dtype) => (format!("quantize {}", dtype.name()), "q8_1"),
            Kernel::MulMatVecTo(format, dtype, 1) => (format!("{} 1", dtype.name()), format.name),
            Kernel::MulMatVecTo(format, dtype, _) => (format!("{} 2-8", dtype.name()), format.name),
        }
    }

    fn cases(self, material: &mut Material) -> Cases {
        match self {
            Kernel::Dequantize(format, dtype) => convert::dequantize(material, format, dtype),
            Kernel::GetRows(format) => convert::get_rows(material, format),
            Kernel::GetFloatRows(dtype) => Ok(convert::get_float_rows(&mut material.rng, dtype)),
            Kernel::QuantizeQ8_1 => convert::quantize_q8_1(material),
            Kernel::DequantizeMulMatVec(format) => {
                product::dequantize_mul_mat_vec(material, format)
            }
            Kernel::MulMatVec(format, batch) => product::mul_mat_vec(material, format, batch),
            Kernel::MulMat(format) => product::mul_mat(material, format),
            Kernel::IndexedMoe(format) => product::indexed_moe(material, format),
            Kernel::QuantizeFrom(dtype) => static_library::quantize_q8_1(material, dtype),
            Kernel::MulMatVecTo(format, dtype, batch) => {
                static_library::mul_mat_vec(material, format, dtype, batch)
            }
            Kernel::MoeGemm(format) => static_library::moe_gemm(material, format),
        }
    }
}

pub(super) fn plan(symbol: &str) -> Option<Plan> {
    let kernel = Kernel::parse(symbol)?;
    let (family, variant) = kernel.place();
    Some(Plan {
        family,
        variant: variant.to_owned(),
        cases: Box::new(move |material| kernel.cases(material)),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::case::{Case, Expected, Reference};
    use crate::compare::compare;
    use crate::element::Number;
    use crate::expected;
    use crate::golden::Golden;

    fn golden() -> Golden {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/golden");
        Golden::open(&folder).unwrap()
    }

    fn cases(symbol: &str, golden: &Golden) -> Vec<Case> {
        let rng = ChaCha8Rng::seed_from_u64(5);
        let plan = plan(symbol).unwrap_or_else(|| panic!("{symbol} is not recognised"));
        (plan.cases)(&mut Material { rng, golden }).unwrap()
    }

    /// Kernels with recorded results, of every format.
    fn recorded_kernels() -> Vec<String> {
        let mut symbols = Vec::new();
        for format in &blocks::FORMATS {
            let name = format.name;
            symbols.push(format!("dequantize_block_{name}_f32"));
            symbols.push(format!("dequantize_block_{name}_f16"));
            if name == "q8_K" {
                continue;
            }
            let suffix = if format.elements == 32 { "_cuda" } else { "" };
            symbols.push(format!("get_rows_{name}"));
            symbols.push(format!(
                "dequantize_mul_mat_vec_{}{suffix}",
                name.to_lowercase()
            ));
            symbols.push(format!("mul_mat_{name}"));
            let lower = name.to_lowercase();
            symbols.extend((1..=8).map(|b| format!("mmvq_gguf_{lower}_f32_plain_cuda{b}")));
            symbols.extend((1..=8).map(|b| format!("mul_mat_vec_{name}_q8_1_cuda{b}")));
            if format.elements == 256 {
                symbols.push(format!(
                    "indexed_moe_forward_{}_q8_1",
                    name.to_lowercase().replace('_', "")
                ));
            }
        }
        let mixtures = expected::kernels(Some("candle-kernels 0.11.1"), "moe/moe_gguf")
            .filter(|symbol| symbol.contains("moe_gemm"));
        symbols.extend(mixtures.map(str::to_owned));
        symbols
    }

    /// What a CUDA GPU computed is a correct result, so the CPU's bounds must admit it. They must not admit it with any
    /// output moved by a thousandth of the outputs' root mean square: a lost term of a sum moves it further.
    #[test]
    fn the_bounds_admit_what_a_cuda_gpu_computed_and_little_else() {
        let golden = golden();
        for symbol in recorded_kernels() {
            let case = cases(&symbol, &golden).swap_remove(0);
            let recorded = case
                .checks
                .iter()
                .find_map(|check| match (&check.expected, check.reference) {
                    (
                        Expected::Exact(v) | Expected::RelativeNorm { values: v, .. },
                        Reference::Golden,
                    ) => Some(v),
                    _ => None,
                })
                .unwrap_or_else(|| panic!("{symbol}: no recorded result"));
            let n = recorded.len();
            let mean_square =
                recorded.numbers().map(|v| v.as_f64().powi(2)).sum::<f64>() / n as f64;
            for check in case
                .checks
                .iter()
                .filter(|c| c.reference != Reference::Golden)
            {
                let outcome = compare(&recorded.bytes, &check.expected);
                assert!(
                    outcome.passed,
                    "{symbol} {:?}: {outcome:?}",
                    check.reference
                );
            }
            let own = case
                .checks
                .iter()
                .find(|c| c.reference == Reference::Cpu)
                .unwrap();
            for i in (0..n).step_by(n.div_ceil(16)) {
                let mut moved = recorded.clone();
                let far = (1e-3 * mean_square.sqrt()).max(1e-3 * recorded.f64(i).abs());
                moved.set(i, Number::Float(recorded.f64(i) + far));
                assert!(
                    !compare(&moved.bytes, &own.expected).passed,
                    "{symbol}: element {i} may move"
                );
            }
        }
    }

    #[test]
    fn recorded_activations_quantize_to_the_recorded_bytes() {
        let golden = golden();
        let mut compared = 0;
        for case in cases("quantize_q8_1", &golden) {
            let find = |reference| case.checks.iter().find(|c| c.reference == reference);
            if let (Some(recorded), Some(own)) = (find(Reference::Golden), find(Reference::Cpu)) {
                let Expected::Exact(own) = &own.expected else {
                    panic!("not exact")
                };
                let outcome = compare(&own.bytes, &recorded.expected);
                assert!(outcome.passed, "{}: {outcome:?}", case.name);
                compared += 1;
            }
        }
        assert_eq!(
            compared, 10,
            "every format whose kernels take q8_1 was recorded"
        );
    }
}
