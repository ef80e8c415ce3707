//! Matrix operations: `v_wmma_*` of RDNA3 and RDNA4, `v_mfma_*` of CDNA.
//!
//! A mnemonic spells out its tile: element formats, rows, columns, inner dimension, and how many blocks are multiplied side
//! by side. Which lane and register holds which element follows from that and from the family. The operands are gathered
//! from the registers of all lanes, multiplied, and scattered. Products accumulate in the order of the inner dimension,
//! each with one rounding; EXEC plays no part.

use codeobject::processor::Family;

use crate::exec::{Cx, Flow};
use crate::float::fp8::{BF8, BF8_FNUZ, FP8, FP8_FNUZ, Fp8};
use crate::float::{Bf16, F16, Float};
use crate::isa::decode::{Build, Reason};
use crate::isa::inst::{Class, Detail, Inst, Kind, Source};
use crate::lanes::Type;

/// The format of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    /// Double precision.
    F64,
    /// Single precision.
    F32,
    /// Half precision.
    F16,
    /// bfloat16.
    Bf16,
    /// An eight-bit float.
    Eight(Fp8),
    /// An integer of so many bits.
    Int(u32, Sign),
}

/// Whether an integer element has a sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// It has.
    Signed,
    /// It has not.
    Unsigned,
}

impl Element {
    fn bits(self) -> u32 {
        match self {
            Self::F64 => 64,
            Self::F32 => 32,
            Self::F16 | Self::Bf16 => 16,
            Self::Eight(_) => 8,
            Self::Int(bits, _) => bits,
        }
    }
}

/// Where elements are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// RDNA3: every lane of a column holds the whole inner dimension; accumulator rows alternate between halves.
    Replicated,
    /// RDNA4: the inner dimension and the accumulator's rows are split over the halves.
    Split,
    /// CDNA: both are split over the lanes, accumulator rows in groups of four.
    Grouped,
}

/// A tile operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tile {
    rows: usize,
    columns: usize,
    inner: usize,
    blocks: usize,
    a: Element,
    b: Element,
    accumulator: Element,
    layout: Layout,
    /// 16-bit accumulators are in the high halves of their registers (RDNA3).
    high: bool,
    clamp: bool,
    /// Sign changes of the accumulator: inverted, magnitude.
    c_negated: bool,
    c_absolute: bool,
}

/// What a register holds and a tile multiplies, wide enough for every format.
#[derive(Clone, Copy)]
enum Number {
    Float(f64),
    Int(i64),
}

/// Whether this module knows a mnemonic of this form.
pub fn is_matrix(mnemonic: &str) -> bool {
    mnemonic.starts_with("v_wmma_") || mnemonic.starts_with("v_mfma_")
}

fn element(name: &str, fnuz: bool, signed: bool) -> Option<Element> {
    let sign = if signed { Sign::Signed } else { Sign::Unsigned };
    Some(match name {
        "f64" => Element::F64,
        "f32" => Element::F32,
        "f16" => Element::F16,
        "bf16" => Element::Bf16,
        "fp8" => Element::Eight(if fnuz { FP8_FNUZ } else { FP8 }),
        "bf8" => Element::Eight(if fnuz { BF8_FNUZ } else { BF8 }),
        "i32" => Element::Int(32, Sign::Signed),
        "i8" => Element::Int(8, Sign::Signed),
        "iu8" => Element::Int(8, sign),
        "iu4" => Element::Int(4, sign),
        _ => return None,
    })
}

impl Tile {
    /// The tile that a mnemonic spells: `v_mfma_f32_32x32x4_2b_bf16`, `v_mfma_f32_32x32x4bf16_1k` (gfx908 and gfx90a),
    /// `v_wmma_i32_16x16x16_iu8`.
    fn parse(mnemonic: &str, layout: Layout, fnuz: bool, signed: [bool; 2]) -> Option<Self> {
        let mut parts = mnemonic.split('_').skip(2);
        let accumulator = element(parts.next()?, fnuz, true)?;
        let shape = parts.next()?;
        let digits = shape.rfind('x')? + 1;
        let end = shape[digits..]
            .find(|c: char| !c.is_ascii_digit())
            .map_or(shape.len(), |at| digits + at);
        let mut sizes = shape[..end].split('x').map(str::parse::<usize>);
        let (rows, columns, inner) = (
            sizes.next()?.ok()?,
            sizes.next()?.ok()?,
            sizes.next()?.ok()?,
        );
        let mut types: Vec<&str> = parts.collect();
        let mut blocks = 1;
        let old = &shape[end..];
        if old.is_empty() {
            if let Some(count) = types
                .first()
                .and_then(|part| part.strip_suffix('b')?.parse().ok())
            {
                blocks = count;
                types.remove(0);
            }
        } else {
            // The older names leave the number of blocks to be computed from what a lane holds.
            let per_lane = match (old, types.first()) {
                ("f32" | "f64", None) => 1,
                ("bf16", None) => 2,
                ("f16" | "i8", None) | ("bf16", Some(&"1k")) => 4,
                _ => return None,
            };
            blocks = 64 * per_lane / (rows * inner);
            types = vec![old];
        }
        let a = element(types.first()?, fnuz, signed[0])?;
        let b = element(types.get(1).or(types.first())?, fnuz, signed[1])?;
        (types.len() <= 2).then_some(Self {
            rows,
            columns,
            inner,
            blocks,
            a,
            b,
            accumulator,
            layout,
            high: false,
            clamp: false,
            c_negated: false,
            c_absolute: false,
        })
    }

    /// The lane and the element in it of row `i` (or column) and inner index `k` of a factor.
    fn factor(&self, lanes: usize, i: usize, k: usize, block: usize) -> (usize, usize) {
        if self.layout == Layout::Replicated {
            return (i, k);
        }
        let groups = lanes / (self.rows * self.blocks);
        let per_lane = self.inner / groups;
        (
            i + self.rows * (block + self.blocks * (k / per_lane)),
            k % per_lane,
        )
    }

    /// The lane and the element in it of an accumulator.
    fn result(&self, lanes: usize, i: usize, j: usize, block: usize) -> (usize, usize) {
        let per_column = lanes / self.columns;
        match self.layout {
            Layout::Replicated => (j + self.columns * (i % per_column), i / per_column),
            Layout::Split => {
                let per_lane = self.rows / per_column;
                (j + self.columns * (i / per_lane), i % per_lane)
            }
            Layout::Grouped if self.accumulator == Element::F64 && self.rows == 16 => {
                (j + self.columns * (i % per_column), i / per_column)
            }
            Layout::Grouped if self.accumulator == Element::F64 => (j + 4 * block + 16 * i, 0),
            Layout::Grouped if self.rows == 4 => (j + 4 * block, i),
            Layout::Grouped => {
                let registers = self.rows / per_column;
                let (group, place) = (i / 4, i % 4);
                (
                    j + self.columns * (group % per_column),
                    block * registers + 4 * (group / per_column) + place,
                )
            }
        }
    }
}

/// Builds a matrix operation.
///
/// # Errors
/// When the tile or a modifier is not known.
pub fn build(build: &Build<'_>) -> Result<Inst, Reason> {
    let line = build.line;
    let layout = if line.mnemonic.starts_with("v_mfma") {
        Layout::Grouped
    } else if build.arch.family < Family::Rdna4 {
        Layout::Replicated
    } else {
        Layout::Split
    };
    if layout == Layout::Split && build.wave64 {
        return Err("matrix operations of 64 lanes are not known".to_owned());
    }
    let list = |key: &str, place: usize| {
        line.list(key)
            .is_some_and(|bits| bits.get(place) == Some(&1))
    };
    let signed = [list("neg_lo", 0), list("neg_lo", 1)];
    let tile = Tile::parse(line.mnemonic, layout, build.arch.fnuz_fp8, signed);
    let mut tile = tile.ok_or("the tile is not known")?;
    if matches!(tile.a, Element::F16 | Element::Bf16)
        && (signed[0] || signed[1] || list("neg_hi", 0) || list("neg_hi", 1))
    {
        return Err("negated factors are not known".to_owned());
    }
    for modifier in ["cbsz", "abid", "blgp", "neg"] {
        if line.modifier(modifier).is_some_and(|value| value != "0") {
            return Err(format!("{modifier} is not known"));
        }
    }
    tile.c_negated = list("neg_lo", 2);
    tile.c_absolute = list("neg_hi", 2);
    tile.high = layout == Layout::Replicated && list("op_sel", 2);
    tile.clamp = line.has("clamp");
    let mut inst = Inst::new(run, Class::Matrix);
    inst.dst = build.vector(0)?;
    inst.src[0] = Source::vector(build.vector(1)?);
    inst.src[1] = Source::vector(build.vector(2)?);
    let ty = match tile.accumulator {
        Element::F64 => Type::F64,
        Element::F16 => Type::F16,
        _ => Type::B32,
    };
    inst.src[2] = match build.vector(3) {
        Ok(reg) => Source::vector(reg),
        Err(_) => build.source(3, ty, 2)?,
    };
    inst.detail = Detail::Matrix(Box::new(tile));
    Ok(inst)
}

fn decode(element: Element, bits: u64) -> Number {
    match element {
        Element::F64 => Number::Float(f64::from_bits(bits)),
        Element::F32 => Number::Float(f32::from_bits(bits as u32).into()),
        Element::F16 => Number::Float(F16(bits as u16).wide()),
        Element::Bf16 => Number::Float(Bf16(bits as u16).widen().into()),
        Element::Eight(format) => Number::Float(format.decode(bits as u8).into()),
        Element::Int(width, Sign::Signed) => {
            Number::Int((bits << (64 - width)) as i64 >> (64 - width))
        }
        Element::Int(width, Sign::Unsigned) => {
            Number::Int((bits << (64 - width) >> (64 - width)) as i64)
        }
    }
}

/// Element `index` of those that lane `lane` holds in the registers from `reg`.
fn load(cx: &Cx<'_>, reg: u16, lane: usize, index: usize, element: Element) -> Number {
    let bit = index * element.bits() as usize;
    let word = |at: usize| u64::from(cx.w.lane(lane, reg + at as u16));
    let bits = if element.bits() == 64 {
        word(2 * index) | (word(2 * index + 1) << 32)
    } else {
        word(bit / 32) >> (bit % 32)
    };
    decode(element, bits)
}

fn run(cx: &mut Cx<'_>, inst: &Inst) -> Flow {
    let Detail::Matrix(tile) = &inst.detail else {
        return Flow::Next;
    };
    let lanes = cx.w.lanes();
    let gather = |reg: u16, count: usize, block: usize, element: Element| -> Vec<Number> {
        (0..count * tile.inner)
            .map(|at| {
                let (lane, index) = tile.factor(lanes, at / tile.inner, at % tile.inner, block);
                load(cx, reg, lane, index, element)
            })
            .collect()
    };
    let mut results = Vec::with_capacity(tile.rows * tile.columns * tile.blocks);
    for block in 0..tile.blocks {
        let a = gather(inst.src[0].reg, tile.rows, block, tile.a);
        let b = gather(inst.src[1].reg, tile.columns, block, tile.b);
        for i in 0..tile.rows {
            for j in 0..tile.columns {
                let (lane, index) = tile.result(lanes, i, j, block);
                let c = accumulator(cx, inst, tile, lane, index);
                let row = &a[i * tile.inner..][..tile.inner];
                let column = &b[j * tile.inner..][..tile.inner];
                results.push((lane, index, multiply(tile, row, column, c)));
            }
        }
    }
    for (lane, index, bits) in results {
        store(cx, inst, tile, lane, index, bits);
    }
    Flow::Next
}

/// Where accumulator `index` of a lane is: register and shift.
fn place(tile: &Tile, index: usize) -> (u16, u32) {
    match (tile.accumulator.bits(), tile.layout) {
        (64, _) => (2 * index as u16, 0),
        (16, Layout::Replicated) => (index as u16, if tile.high { 16 } else { 0 }),
        (16, _) => (index as u16 / 2, 16 * (index as u32 % 2)),
        _ => (index as u16, 0),
    }
}

fn accumulator(cx: &Cx<'_>, inst: &Inst, tile: &Tile, lane: usize, index: usize) -> Number {
    let source = &inst.src[2];
    if source.kind != Kind::Vector {
        return decode(
            tile.accumulator,
            u64::from(source.lo) | (u64::from(source.hi) << 32),
        );
    }
    let (register, shift) = place(tile, index);
    let word = |at: u16| u64::from(cx.w.lane(lane, source.reg + at));
    let bits = if tile.accumulator.bits() == 64 {
        word(register) | (word(register + 1) << 32)
    } else {
        word(register) >> shift
    };
    decode(tile.accumulator, bits)
}

/// A row times a column plus the accumulator, as bits.
fn multiply(tile: &Tile, row: &[Number], column: &[Number], c: Number) -> u64 {
    match c {
        Number::Int(c) => {
            let product = |(x, y): (&Number, &Number)| match (x, y) {
                (Number::Int(x), Number::Int(y)) => x * y,
                _ => 0,
            };
            let total = c + row.iter().zip(column).map(product).sum::<i64>();
            let total = if tile.clamp {
                total.clamp(i32::MIN.into(), i32::MAX.into())
            } else {
                total
            };
            u64::from(total as u32)
        }
        Number::Float(c) => {
            let c = if tile.c_absolute { c.abs() } else { c };
            let c = if tile.c_negated { -c } else { c };
            let pairs = row.iter().zip(column).filter_map(|pair| match pair {
                (Number::Float(x), Number::Float(y)) => Some((*x, *y)),
                _ => None,
            });
            if tile.accumulator == Element::F64 {
                return pairs.fold(c, |sum, (x, y)| x.mul_add(y, sum)).to_bits();
            }
            let sum = pairs.fold(c as f32, |sum, (x, y)| (x as f32).mul_add(y as f32, sum));
            match tile.accumulator {
                Element::F16 => F16::from_single(sum).0.into(),
                Element::Bf16 => Bf16::narrow(sum).0.into(),
                _ => sum.to_bits().into(),
            }
        }
    }
}

fn store(cx: &mut Cx<'_>, inst: &Inst, tile: &Tile, lane: usize, index: usize, bits: u64) {
    let (register, shift) = place(tile, index);
    let reg = inst.dst + register;
    match tile.accumulator.bits() {
        64 => {
            cx.w.set_lane(lane, reg, bits as u32);
            cx.w.set_lane(lane, reg + 1, (bits >> 32) as u32);
        }
        16 => {
            let old = cx.w.lane(lane, reg);
            cx.w.set_lane(
                lane,
                reg,
                (old & !(0xffff << shift)) | ((bits as u32) << shift),
            );
        }
        _ => cx.w.set_lane(lane, reg, bits as u32),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tile(mnemonic: &str) -> Tile {
        Tile::parse(mnemonic, Layout::Grouped, true, [true; 2]).expect("a known tile")
    }

    #[test]
    fn names_spell_tiles() {
        let (old, new) = (
            tile("v_mfma_f32_32x32x4bf16_1k"),
            tile("v_mfma_f32_32x32x4_2b_bf16"),
        );
        assert_eq!(old, new);
        assert_eq!(
            tile("v_mfma_f32_16x16x4f32"),
            tile("v_mfma_f32_16x16x4_f32")
        );
        assert_eq!(tile("v_mfma_f32_4x4x1f32").blocks, 16);
        assert_eq!(tile("v_mfma_i32_16x16x32_i8").blocks, 1);
        assert_eq!(
            tile("v_mfma_f32_16x16x32_bf8_fp8").b,
            Element::Eight(FP8_FNUZ)
        );
        assert_eq!(
            Tile::parse("v_mfma_f32_16x16x8_xf32", Layout::Grouped, true, [true; 2]),
            None
        );
    }

    #[test]
    fn every_accumulator_has_a_place_of_its_own() {
        let names = [
            "v_mfma_f32_32x32x1f32",
            "v_mfma_f32_32x32x8f16",
            "v_mfma_f32_16x16x1f32",
            "v_mfma_f32_16x16x4f32",
            "v_mfma_f32_4x4x1f32",
            "v_mfma_f64_16x16x4f64",
            "v_mfma_f64_4x4x4f64",
        ];
        for name in names {
            let tile = tile(name);
            let mut seen = std::collections::BTreeSet::new();
            for block in 0..tile.blocks {
                for (i, j) in (0..tile.rows).flat_map(|i| (0..tile.columns).map(move |j| (i, j))) {
                    let (lane, index) = tile.result(64, i, j, block);
                    assert!(
                        lane < 64 && seen.insert((lane, index)),
                        "{name} {i} {j} {block}"
                    );
                }
                for (i, k) in (0..tile.rows).flat_map(|i| (0..tile.inner).map(move |k| (i, k))) {
                    assert!(tile.factor(64, i, k, block).0 < 64, "{name} {i} {k}");
                }
            }
            assert_eq!(seen.len(), tile.rows * tile.columns * tile.blocks);
        }
    }
}
