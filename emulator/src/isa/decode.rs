//! From text to executable instructions.
//!
//! Looks the mnemonic up in [`crate::ops::names`] and resolves the operands by the types that the meaning declares. An
//! instruction that is not understood in every detail becomes one that stops the launch when it is reached.

use codeobject::processor::Family;

use crate::arch::Arch;
use crate::exec::{Cx, Flow};
use crate::fault::FaultKind;
use crate::float::{F16, Float};
use crate::isa::inst::{
    ACC_BASE, Class, Detail, Dpp, Finish, Inst, Kind, Modifier, Permute, Select, Source, Unused,
    slot,
};
use crate::isa::llvm::Disassembler;
use crate::isa::text::{self, Encoding, File, Line, Operand, Value};
use crate::lanes::{Lanewise, Type};
use crate::ops::names::{self, Entry, Form};
use crate::ops::{scalar, vector};

/// Why an instruction could not be decoded.
pub type Reason = String;

/// Decodes instructions for one architecture and wave size.
pub struct Decoder {
    arch: Arch,
    llvm: Disassembler,
    /// Decodes scalar float instructions that compilers' assemblers accept for gfx11.0 as well.
    sibling: Option<Disassembler>,
    wave64: bool,
}

/// An instruction that is being decoded.
pub struct Build<'a> {
    /// Its text.
    pub line: &'a Line<'a>,
    /// Its first eight bytes.
    pub raw: u64,
    /// Its size in bytes.
    pub size: usize,
    /// Its address.
    pub address: u64,
    /// The architecture.
    pub arch: &'a Arch,
    /// Whether waves have 64 lanes.
    pub wave64: bool,
}

fn unknown(cx: &mut Cx<'_>, inst: &Inst) -> Flow {
    let reason = match &inst.detail {
        Detail::Unknown(reason) => reason.to_string(),
        _ => String::new(),
    };
    cx.fail(FaultKind::Unknown { reason }, None)
}

impl Decoder {
    /// A decoder for `arch`.
    pub fn new(arch: Arch, llvm: Disassembler, wave64: bool) -> Self {
        let features = if wave64 {
            "+wavefrontsize64"
        } else {
            "+wavefrontsize32"
        };
        let sibling = (arch.family == Family::Rdna3)
            .then(|| Disassembler::new("gfx1150", features).ok())
            .flatten();
        Self {
            arch,
            llvm,
            sibling,
            wave64,
        }
    }

    /// The size and text of the first instruction in `bytes`.
    pub fn text(&self, bytes: &[u8], address: u64) -> Option<(usize, String)> {
        if let Some(found) = self.llvm.one(bytes, address) {
            return Some(found);
        }
        // DS instructions without a result: the disassembler insists that the unused field is zero, hardware does not.
        let word = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?);
        if word >> 26 == 0b110110 && bytes.len() >= 8 {
            let mut patched = bytes[..8].to_vec();
            patched[7] = 0;
            if let Some(found) = self.llvm.one(&patched, address) {
                return Some(found);
            }
        }
        // Results in the high half of a register (true16 in the 32-bit encodings): `Build` takes that bit from the code.
        if self.arch.half_registers && word >> 31 == 0 && word >> 24 & 1 == 1 {
            let mut patched = bytes[..bytes.len().min(16)].to_vec();
            patched[3] &= !1;
            if let Some(found) = self.llvm.one(&patched, address) {
                return Some(found);
            }
        }
        self.sibling
            .as_ref()
            .and_then(|sibling| sibling.one(bytes, address))
            .filter(|(_, text)| text.starts_with("s_"))
    }

    /// The size and the executable form of the first instruction in `bytes`.
    pub fn one(&self, bytes: &[u8], address: u64) -> (usize, Inst) {
        let stop = |reason: String| {
            let mut inst = Inst::new(unknown, Class::Control);
            inst.detail = Detail::Unknown(reason.into_boxed_str());
            inst
        };
        let Some((size, text)) = self.text(bytes, address) else {
            return (
                4,
                stop(format!(
                    "no instruction in bytes {:02x?}",
                    &bytes[..bytes.len().min(8)]
                )),
            );
        };
        let mut raw = [0; 8];
        let available = bytes.len().min(8);
        raw[..available].copy_from_slice(&bytes[..available]);
        let built = text::parse(&text)
            .map_err(|error| error.to_string())
            .and_then(|lines| {
                let raw = u64::from_le_bytes(raw);
                let build = |line| {
                    Build {
                        line,
                        raw,
                        size,
                        address,
                        arch: &self.arch,
                        wave64: self.wave64,
                    }
                    .build()
                };
                match &lines[..] {
                    [line] => build(line),
                    [x, y] => {
                        let pair = [build(x)?, build(y)?];
                        let mut inst = Inst::new(vector::run_dual, Class::Valu);
                        inst.class = pair[0].class.max(pair[1].class);
                        inst.detail = Detail::Dual(Box::new(pair));
                        Ok(inst)
                    }
                    _ => Err("more than two operations".to_owned()),
                }
            });
        (
            size,
            built.unwrap_or_else(|reason| stop(format!("{text}: {reason}"))),
        )
    }
}

/// Turns branch offsets into instruction indexes; `index` says what starts at every four bytes.
pub fn resolve_branches(instructions: &mut [Inst], index: &[u32]) {
    for inst in instructions {
        if !crate::ops::control::is_branch(inst) {
            continue;
        }
        let target = i64::from(inst.offset) + 4 + 4 * inst.imm;
        let found = usize::try_from(target / 4)
            .ok()
            .and_then(|at| index.get(at).copied());
        // Kept as an address where the target is in another function.
        inst.target = found.unwrap_or(u32::MAX);
    }
}

/// The register slot of a named scalar register.
fn named(name: &str) -> Option<(u16, u16)> {
    Some(match name {
        "vcc" => (slot::VCC, 2),
        "vcc_lo" => (slot::VCC, 1),
        "vcc_hi" => (slot::VCC + 1, 1),
        "exec" => (slot::EXEC, 2),
        "exec_lo" => (slot::EXEC, 1),
        "exec_hi" => (slot::EXEC + 1, 1),
        "m0" => (slot::M0, 1),
        "null" => (slot::NULL, 2),
        "flat_scratch" => (slot::FLAT_SCRATCH, 2),
        "flat_scratch_lo" => (slot::FLAT_SCRATCH, 1),
        "flat_scratch_hi" => (slot::FLAT_SCRATCH + 1, 1),
        "xnack_mask" => (slot::XNACK_MASK, 2),
        "xnack_mask_lo" => (slot::XNACK_MASK, 1),
        "xnack_mask_hi" => (slot::XNACK_MASK + 1, 1),
        "src_shared_base" | "src_shared_base_lo" => (slot::SHARED_BASE, 2),
        "src_shared_limit" | "src_shared_limit_lo" => (slot::SHARED_LIMIT, 2),
        "src_private_base" | "src_private_base_lo" => (slot::PRIVATE_BASE, 2),
        "src_private_limit" | "src_private_limit_lo" => (slot::PRIVATE_LIMIT, 2),
        "src_flat_scratch_base_lo" => (slot::FLAT_SCRATCH, 2),
        "src_flat_scratch_base_hi" => (slot::FLAT_SCRATCH + 1, 1),
        _ => return None,
    })
}

/// The bits of a constant operand of type `ty`.
fn constant(value: Value<'_>, ty: Type) -> Option<(u32, u32)> {
    let split = |bits: u64| (bits as u32, (bits >> 32) as u32);
    Some(match (value, ty) {
        (Value::Literal(v), Type::F64) => (0, v as u32),
        (Value::Literal(v), Type::I64) => split(i64::from(v as u32 as i32) as u64),
        (Value::Literal(v), Type::PkF32) => (v as u32, v as u32),
        (Value::Literal(v), Type::B64) => split(v),
        (Value::Literal(v), _) => (v as u32, 0),
        (Value::Int(v), Type::PkF32) => (v as u32, v as u32),
        (Value::Int(v), _) => split(v as u64),
        (Value::Float(f), Type::F64 | Type::B64 | Type::I64) => split(f.to_bits()),
        (Value::Float(f), Type::F16 | Type::B16 | Type::PkF16) => (F16::narrow(f).0.into(), 0),
        (Value::Float(f), Type::PkBf16) => ((f as f32).to_bits() >> 16, 0),
        (Value::Float(f), Type::PkF32) => ((f as f32).to_bits(), (f as f32).to_bits()),
        (Value::Float(f), _) => ((f as f32).to_bits(), 0),
        _ => return None,
    })
}

impl<'a> Build<'a> {
    /// Operand `index`.
    ///
    /// # Errors
    /// When there are fewer.
    pub fn operand(&self, index: usize) -> Result<&'a Operand<'a>, Reason> {
        self.line
            .operands
            .get(index)
            .ok_or_else(|| format!("operand {index} is missing"))
    }

    /// Whether the encoding is VOP3 (with its `op_sel` bits in the first word).
    pub fn is_vop3(&self) -> bool {
        let top = (self.raw as u32) >> 26;
        if self.arch.family < Family::Rdna1 {
            top == 0b110100
        } else {
            top == 0b110101
        }
    }

    /// Bit `index` of the `op_sel` field of a VOP3 instruction. LLVM's text does not have it for every instruction.
    fn op_sel(&self, index: usize) -> bool {
        self.is_vop3() && self.raw >> (11 + index) & 1 == 1
    }

    /// A vector register operand.
    ///
    /// # Errors
    /// When it is something else.
    pub fn vector(&self, index: usize) -> Result<u16, Reason> {
        match self.operand(index)?.value {
            Value::Reg {
                file: File::Vector,
                first,
                ..
            } if first < 256 => Ok(first),
            Value::Reg {
                file: File::Acc,
                first,
                ..
            } if first < 256 => Ok(ACC_BASE + first),
            value => Err(format!("a vector register was expected, not {value:?}")),
        }
    }

    /// A scalar register operand as a destination: its slot.
    ///
    /// # Errors
    /// When it is something else.
    pub fn scalar_dst(&self, index: usize) -> Result<u16, Reason> {
        let value = self.operand(index)?.value;
        self.slot(value)
            .map(|(slot, _)| slot)
            .ok_or_else(|| format!("a scalar register was expected, not {value:?}"))
    }

    fn slot(&self, value: Value<'_>) -> Option<(u16, u16)> {
        match value {
            Value::Reg {
                file: File::Scalar,
                first,
                count,
                ..
            } if first + count <= 106 => Some((first, count)),
            Value::Reg {
                file: File::Ttmp,
                first,
                count,
                ..
            } if first + count <= 16 => Some((slot::TTMP + first, count)),
            Value::Name(name) => named(name),
            _ => None,
        }
    }

    /// Operand `index` as a source of type `ty`; `place` is its position among the sources.
    ///
    /// # Errors
    /// When it cannot be one.
    pub fn source(&self, index: usize, ty: Type, place: usize) -> Result<Source, Reason> {
        let operand = self.operand(index)?;
        self.make_source(operand, ty, place)
    }

    fn make_source(&self, operand: &Operand<'_>, ty: Type, place: usize) -> Result<Source, Reason> {
        let mut high = None;
        let mut source = match operand.value {
            Value::Reg {
                file: file @ (File::Vector | File::Acc),
                first,
                high: half,
                ..
            } => {
                high = half;
                if first >= 256 {
                    return Err(format!("register {first} does not exist"));
                }
                let mut reg = first;
                // In the 32-bit encodings of true16 families, v128 to v255 mean the high halves of v0 to v127.
                let short = matches!(self.line.encoding, Encoding::E32 | Encoding::Dpp(false));
                if ty.is_16() && self.arch.half_registers && short && half.is_none() && reg >= 128 {
                    (reg, high) = (reg - 128, Some(true));
                }
                Source::vector(if file == File::Acc {
                    ACC_BASE + reg
                } else {
                    reg
                })
            }
            Value::Name("null") => Source::constant(0),
            Value::Name("scc" | "src_scc") => Source {
                kind: Kind::Scc,
                ..Source::constant(0)
            },
            Value::Name("vccz" | "src_vccz") => Source {
                kind: Kind::Vccz,
                ..Source::constant(0)
            },
            Value::Name("execz" | "src_execz") => Source {
                kind: Kind::Execz,
                ..Source::constant(0)
            },
            value => match (self.slot(value), ty) {
                (Some((slot, _)), Type::Mask) => Source::mask(slot),
                (Some((slot, _)), _) => Source::scalar(slot),
                (None, _) => {
                    let (lo, hi) = constant(value, ty)
                        .ok_or_else(|| format!("{value:?} is no operand of type {ty:?}"))?;
                    Source {
                        hi,
                        ..Source::constant(lo)
                    }
                }
            },
        };
        source.wide = ty.rows() == 2;
        source.modifier = self.modifier(operand, ty, place, high)?;
        Ok(source)
    }

    fn list_bit(&self, key: &str, place: usize, default: bool) -> bool {
        self.line.list(key).map_or(default, |bits| {
            bits.get(place).map_or(default, |&bit| bit != 0)
        })
    }

    fn modifier(
        &self,
        operand: &Operand<'_>,
        ty: Type,
        place: usize,
        high: Option<bool>,
    ) -> Result<Modifier, Reason> {
        let (neg, abs) = (operand.neg, operand.abs);
        match ty {
            Type::Mask => Ok(Modifier::None),
            Type::PkF16 | Type::PkB16 | Type::PkBf16 => {
                let (low, high) = (
                    self.list_bit("op_sel", place, false),
                    self.list_bit("op_sel_hi", place, true),
                );
                let negate = (u32::from(self.list_bit("neg_lo", place, false)) << 15)
                    | (u32::from(self.list_bit("neg_hi", place, false)) << 31);
                let plain = !low && high && negate == 0;
                let packed = Modifier::Packed {
                    low_from_high: low,
                    high_from_high: high,
                    negate,
                };
                Ok(if plain { Modifier::None } else { packed })
            }
            Type::PkF32 => {
                let (low, high) = (
                    self.list_bit("op_sel", place, false),
                    self.list_bit("op_sel_hi", place, true),
                );
                let (negate_low, negate_high) = (
                    self.list_bit("neg_lo", place, false),
                    self.list_bit("neg_hi", place, false),
                );
                let plain = !low && high && !negate_low && !negate_high;
                let wide = Modifier::PackedWide {
                    low_from_high: low,
                    high_from_high: high,
                    negate_low,
                    negate_high,
                };
                Ok(if plain { Modifier::None } else { wide })
            }
            Type::Mix if self.list_bit("op_sel_hi", place, false) => Ok(Modifier::Widen {
                high: self.list_bit("op_sel", place, false),
                abs,
                neg,
            }),
            _ => {
                let mut select = if ty.is_16() && (high.unwrap_or(false) || self.op_sel(place)) {
                    Select::Half(1)
                } else {
                    Select::Whole
                };
                let mut sext = operand.sext;
                if self.line.encoding == Encoding::Sdwa
                    && let Some(name) =
                        self.line
                            .modifier(if place == 0 { "src0_sel" } else { "src1_sel" })
                {
                    select = sdwa_select(name)?;
                } else {
                    sext = false;
                }
                if !neg && !abs && select == Select::Whole {
                    return Ok(Modifier::None);
                }
                let sign = match ty {
                    Type::F64 | Type::B64 | Type::I64 => 63,
                    Type::F16 | Type::B16 => 15,
                    _ => 31,
                };
                Ok(Modifier::Scalar {
                    select,
                    sext,
                    abs,
                    neg,
                    sign,
                })
            }
        }
    }

    fn build(&self) -> Result<Inst, Reason> {
        let mnemonic = self.line.mnemonic;
        match names::find(mnemonic) {
            Some(Entry::Lane(op, form, class)) => self.lanewise(op, form, class),
            Some(Entry::Scalar(op, tied)) => self.scalar(op, tied),
            Some(Entry::Special(make)) => make(self),
            Some(Entry::Nothing) => Ok(Inst::new(crate::exec::nothing, Class::Control)),
            None => Err("no meaning is known for this mnemonic".to_owned()),
        }
    }

    fn scalar(&self, op: &'static scalar::ScalarOp, tied: bool) -> Result<Inst, Reason> {
        let mut inst = Inst::new(scalar::run, Class::Salu);
        inst.detail = Detail::Scalar(op);
        let mut at = 0;
        if let Some(result) = op.result {
            inst.dst = self.scalar_dst(0)?;
            inst.rows = result.rows() as u8;
            at = 1;
        }
        let explicit = op.sources.len() - usize::from(tied);
        for (place, &ty) in op.sources.iter().enumerate() {
            let from = if place < explicit { at + place } else { 0 };
            inst.src[place] = self.source(from, ty, place)?;
        }
        if self.line.operands.len() != at + explicit {
            return Err(format!(
                "{} operands, {} expected",
                self.line.operands.len(),
                at + explicit
            ));
        }
        inst.sources = op.sources.len() as u8;
        Ok(inst)
    }

    /// Builds a lane-wise operation.
    ///
    /// # Errors
    /// When operands or modifiers do not fit it.
    pub fn lanewise(
        &self,
        op: &'static Lanewise,
        form: Form,
        class: Class,
    ) -> Result<Inst, Reason> {
        let clamped;
        let mut op = op;
        let integer_result = !matches!(
            op.result,
            None | Some(Type::F32 | Type::F64 | Type::F16 | Type::PkF16 | Type::PkF32)
        );
        if let Form::Signs(variants) = form {
            let sign = |place| usize::from(self.list_bit("neg_lo", place, false));
            op = names::lane(variants[2 * sign(0) + sign(1)]).ok_or("a dot product is missing")?;
        }
        let eight = matches!(form, Form::EightSource | Form::EightByte | Form::EightHalf);
        if eight && self.arch.fnuz_fp8 {
            op = names::lane(&format!("{}_fnuz", op.name)).ok_or("a conversion is missing")?;
        }
        let mut clamp = self.line.has("clamp");
        if clamp && integer_result {
            clamped = format!("{}_clamp", op.name);
            op = names::lane(&clamped).ok_or("clamp is not known for this operation")?;
            clamp = false;
        }
        let mut inst = Inst::new(vector::run_plain::<1>, class);
        inst.kernels = op.kernels();
        let mut at = 0;
        let mut dst_high = false;
        if let Some(result) = op.result {
            inst.dst = self.vector(0)?;
            inst.rows = result.rows() as u8;
            if result.is_16() {
                let short = matches!(self.line.encoding, Encoding::E32 | Encoding::Dpp(false));
                if let Value::Reg {
                    high: Some(high), ..
                } = self.operand(0)?.value
                {
                    dst_high = high;
                } else if self.arch.half_registers && short {
                    inst.dst &= 127;
                    dst_high = self.raw >> 24 & 1 == 1;
                } else {
                    dst_high = self.op_sel(3);
                }
            }
            at = 1;
        }
        if op.mask {
            match form {
                // gfx9 writes a register as well and names it.
                Form::Exec if self.line.operands.len() > op.sources.len() => {
                    inst.sdst = self.scalar_dst(0)?;
                    at = 1;
                }
                Form::Exec => inst.sdst = slot::EXEC,
                _ => {
                    inst.sdst = self.scalar_dst(at)?;
                    at += 1;
                }
            }
        }
        let count = op.sources.len();
        for (place, &ty) in op.sources.iter().enumerate() {
            inst.src[place] = match form {
                Form::Reversed if place < 2 => self.source(at + 1 - place, ty, 1 - place)?,
                Form::Tied if place + 1 == count => self.tied(ty, dst_high)?,
                Form::Vcc if place + 1 == count => Source::mask(slot::VCC),
                Form::Modifier(key) if place + 1 == count => {
                    Source::constant(self.line.integer(key).unwrap_or(0) as u32)
                }
                _ => self.source(at + place, ty, place)?,
            };
        }
        let implied = usize::from(matches!(form, Form::Tied | Form::Vcc | Form::Modifier(_)));
        if self.line.operands.len() != at + count - implied {
            return Err(format!(
                "{} operands, {} expected",
                self.line.operands.len(),
                at + count - implied
            ));
        }
        if form == Form::EightSource && self.is_vop3() {
            // The two bits of a byte's number are swapped.
            let select = match op.result {
                Some(Type::PkF32) => Select::Half(u8::from(self.op_sel(0))),
                _ => Select::Byte(2 * u8::from(self.op_sel(0)) + u8::from(self.op_sel(1))),
            };
            inst.src[0].modifier = Modifier::Scalar {
                select,
                sext: false,
                abs: false,
                neg: false,
                sign: 31,
            };
        }
        inst.sources = count as u8;
        self.finish(inst, op, form, clamp, dst_high)
    }

    /// The destination as the last operand.
    fn tied(&self, ty: Type, high: bool) -> Result<Source, Reason> {
        let mut source = Source::vector(self.vector(0)?);
        source.wide = ty.rows() == 2;
        if ty.is_16() && high {
            if !self.is_vop3() {
                source.reg &= 127;
            }
            source.modifier = Modifier::Scalar {
                select: Select::Half(1),
                sext: false,
                abs: false,
                neg: false,
                sign: 15,
            };
        }
        Ok(source)
    }

    fn finish(
        &self,
        mut inst: Inst,
        op: &Lanewise,
        form: Form,
        clamp: bool,
        high: bool,
    ) -> Result<Inst, Reason> {
        let omod = match (self.line.integer("mul"), self.line.integer("div")) {
            (Some(factor), _) => factor as f64,
            (None, Some(2)) => 0.5,
            (None, Some(divisor)) => return Err(format!("division of the result by {divisor}")),
            (None, None) => 1.0,
        };
        let mut finish = Finish {
            omod,
            clamp,
            result: op.result,
            select: Select::Whole,
            unused: if self.arch.preserves_high_half {
                Unused::Preserve
            } else {
                Unused::Pad
            },
            dpp: self.dpp()?,
        };
        if op.result.is_some_and(Type::is_16) {
            finish.select = Select::Half(u8::from(high));
            // On gfx9, operations of three operands that came with it preserve the other half already.
            let ternary = self.is_vop3()
                && self.line.encoding == Encoding::Only
                && op.sources.len() == 3
                && !self.line.mnemonic.contains("legacy");
            if high || ternary {
                finish.unused = Unused::Preserve;
            }
        }
        match form {
            Form::LowHalf => (finish.select, finish.unused) = (Select::Half(0), Unused::Preserve),
            Form::HighHalf => (finish.select, finish.unused) = (Select::Half(1), Unused::Preserve),
            Form::EightHalf => finish.unused = Unused::Preserve,
            Form::EightByte => {
                let byte = u8::from(self.op_sel(2)) + 2 * u8::from(self.op_sel(3));
                (finish.select, finish.unused) = (Select::Byte(byte), Unused::Preserve);
            }
            _ => {}
        }
        if self.line.encoding == Encoding::Sdwa
            && let Some(name) = self.line.modifier("dst_sel")
        {
            finish.select = sdwa_select(name)?;
            finish.unused = match self.line.modifier("dst_unused") {
                Some("UNUSED_SEXT") => Unused::Sext,
                Some("UNUSED_PRESERVE") => Unused::Preserve,
                _ => Unused::Pad,
            };
        }
        let plain = omod == 1.0
            && !clamp
            && finish.select == Select::Whole
            && finish.dpp.is_none()
            && inst
                .src
                .iter()
                .all(|source| source.modifier == Modifier::None);
        inst.run = match (plain, inst.sources) {
            (false, _) => vector::run_full,
            (true, 1) => vector::run_plain::<1>,
            (true, 2) => vector::run_plain::<2>,
            (true, 3) => vector::run_plain::<3>,
            (true, _) => vector::run_plain::<4>,
        };
        if !plain {
            inst.detail = Detail::Finish(Box::new(finish));
        }
        if form == Form::Exec && inst.sdst != slot::EXEC {
            inst.run = if plain {
                vector::run_compare_exec::<true>
            } else {
                vector::run_compare_exec::<false>
            };
        }
        Ok(inst)
    }

    fn dpp(&self) -> Result<Option<Dpp>, Reason> {
        let Encoding::Dpp(_) = self.line.encoding else {
            return Ok(None);
        };
        let line = self.line;
        let small = |key: &str| line.integer(key).and_then(|value| u8::try_from(value).ok());
        let array = |key: &str| line.list(key);
        let permute = if let Some(select) = array("quad_perm") {
            Permute::Quad(
                select[..]
                    .try_into()
                    .map_err(|_| "quad_perm needs four lanes")?,
            )
        } else if let Some(select) = array("dpp8") {
            Permute::Eight(
                select[..]
                    .try_into()
                    .map_err(|_| "dpp8 needs eight lanes")?,
            )
        } else if let Some(n) = small("row_shl") {
            Permute::RowShl(n)
        } else if let Some(n) = small("row_shr") {
            Permute::RowShr(n)
        } else if let Some(n) = small("row_ror") {
            Permute::RowRor(n)
        } else if let Some(n) = small("row_share").or(small("row_newbcast")) {
            Permute::RowShare(n)
        } else if let Some(n) = small("row_xmask") {
            Permute::RowXmask(n)
        } else if line.has("row_mirror") {
            Permute::RowMirror
        } else if line.has("row_half_mirror") {
            Permute::RowHalfMirror
        } else if line.has("wave_shl") {
            Permute::WaveShl
        } else if line.has("wave_rol") {
            Permute::WaveRol
        } else if line.has("wave_shr") {
            Permute::WaveShr
        } else if line.has("wave_ror") {
            Permute::WaveRor
        } else if small("row_bcast") == Some(15) {
            Permute::RowBcast15
        } else if small("row_bcast") == Some(31) {
            Permute::RowBcast31
        } else {
            return Err("the lane permutation is not known".to_owned());
        };
        let eight = matches!(permute, Permute::Eight(_));
        Ok(Some(Dpp {
            permute,
            row_mask: small("row_mask").unwrap_or(15),
            bank_mask: small("bank_mask").unwrap_or(15),
            // LLVM prints bound_ctrl:0 (older) or bound_ctrl:1 for the same set bit.
            bound_ctrl: line.has("bound_ctrl") || eight,
            fetch_inactive: small("fi") == Some(1),
        }))
    }
}

fn sdwa_select(name: &str) -> Result<Select, Reason> {
    Ok(match name {
        "DWORD" => Select::Whole,
        "BYTE_0" => Select::Byte(0),
        "BYTE_1" => Select::Byte(1),
        "BYTE_2" => Select::Byte(2),
        "BYTE_3" => Select::Byte(3),
        "WORD_0" => Select::Half(0),
        "WORD_1" => Select::Half(1),
        _ => return Err(format!("{name} is no part of a register")),
    })
}
