//! The grammar of LLVM's AMDGPU assembly text.
//!
//! Splits one line into mnemonic, encoding suffix, operands and modifiers. Knows the syntax (registers, inline constants,
//! literals, `neg`/`abs`/`sext`, modifier spellings) and no meaning: it does not know which mnemonics exist, what an
//! operand is for, or which family prints what.

/// Why a line could not be parsed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot parse `{part}` of `{text}`")]
pub struct TextError {
    /// The part that is not understood.
    pub part: String,
    /// The whole line.
    pub text: String,
}

/// The encoding that a mnemonic's suffix names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    /// No suffix: the mnemonic has one encoding.
    #[default]
    Only,
    /// `_e32`: VOP1, VOP2 or VOPC.
    E32,
    /// `_e64`: VOP3.
    E64,
    /// `_dpp`, `_dpp8` or `_e64_dpp`: with a DPP control, in a 32-bit encoding (`false`) or in VOP3 (`true`).
    Dpp(bool),
    /// `_sdwa`.
    Sdwa,
}

/// A register file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum File {
    /// `v`: vector registers.
    Vector,
    /// `a`: accumulation registers.
    Acc,
    /// `s`: scalar registers.
    Scalar,
    /// `ttmp`: trap temporaries.
    Ttmp,
}

/// What an operand names, before `neg`, `abs` and `sext`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'t> {
    /// `count` registers from `first`; `high` is `Some` for `v1.l` and `v1.h`.
    Reg {
        /// The register file.
        file: File,
        /// Index of the first register.
        first: u16,
        /// How many registers.
        count: u16,
        /// Which half of the register, where the text says it.
        high: Option<bool>,
    },
    /// Any other name: `vcc_lo`, `exec`, `m0`, `null`, `off`, `src_shared_base`, `hwreg(...)`.
    Name(&'t str),
    /// An inline integer constant or an immediate, as printed in decimal.
    Int(i64),
    /// An inline floating-point constant.
    Float(f64),
    /// A literal constant, as printed in hexadecimal.
    Literal(u64),
}

/// An operand with its source modifiers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Operand<'t> {
    /// The register or constant.
    pub value: Value<'t>,
    /// `-x` or `neg(x)`.
    pub neg: bool,
    /// `|x|`.
    pub abs: bool,
    /// `sext(x)`.
    pub sext: bool,
}

/// One parsed instruction (or one half of a dual-issue pair).
#[derive(Debug, Clone, Default)]
pub struct Line<'t> {
    /// The mnemonic without its encoding suffix.
    pub mnemonic: &'t str,
    /// The encoding that the suffix named.
    pub encoding: Encoding,
    /// The operands in the order of the text, destinations first.
    pub operands: Vec<Operand<'t>>,
    /// Modifiers: `("offset", "16")`, `("glc", "")`, `("op_sel", "[1,0]")`.
    pub modifiers: Vec<(&'t str, &'t str)>,
}

impl<'t> Line<'t> {
    /// The value of modifier `key`; the empty string for a flag; `None` where it is absent.
    pub fn modifier(&self, key: &str) -> Option<&'t str> {
        self.modifiers
            .iter()
            .find(|(name, _)| *name == key)
            .map(|&(_, value)| value)
    }

    /// Whether flag or modifier `key` is present.
    pub fn has(&self, key: &str) -> bool {
        self.modifier(key).is_some()
    }

    /// Modifier `key` as an integer (decimal or hexadecimal, with sign).
    pub fn integer(&self, key: &str) -> Option<i64> {
        self.modifier(key).and_then(integer)
    }

    /// Modifier `key` as a list of small integers: `[1,0,3]`.
    pub fn list(&self, key: &str) -> Option<Vec<u8>> {
        let inner = self.modifier(key)?.strip_prefix('[')?.strip_suffix(']')?;
        inner
            .split(',')
            .map(|item| item.trim().parse().ok())
            .collect()
    }
}

/// An integer as LLVM prints it: `12`, `-12`, `0x1f`, `-0x64`.
pub fn integer(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let value = match digits.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok()? as i64,
        None => digits.parse::<i64>().ok()?,
    };
    Some(if negative {
        value.wrapping_neg()
    } else {
        value
    })
}

/// Parses a line of disassembly; a dual-issue pair gives two.
///
/// # Errors
/// When a part of the line has no place in the grammar; the error names it.
pub fn parse(text: &str) -> Result<Vec<Line<'_>>, TextError> {
    let fail = |part: &str| TextError {
        part: part.to_owned(),
        text: text.to_owned(),
    };
    let body = text.split(" //").next().unwrap_or(text);
    let body = body.split(" ; ").next().unwrap_or(body).trim();
    if body.is_empty() {
        return Err(fail(text));
    }
    body.split(" :: ")
        .map(|half| parse_line(half.trim()).map_err(|part| fail(&part)))
        .collect()
}

fn parse_line(text: &str) -> Result<Line<'_>, String> {
    let (full, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
    let (mnemonic, encoding) = split_suffix(full);
    let mut line = Line {
        mnemonic,
        encoding,
        ..Line::default()
    };
    let rest = rest.trim();
    if rest.is_empty() {
        return Ok(line);
    }
    // Wait counters, delays and messages have grammars of their own; nothing here depends on what they say.
    if mnemonic.starts_with("s_waitcnt")
        || mnemonic == "s_delay_alu"
        || mnemonic.starts_with("s_wait_")
    {
        return Ok(line);
    }
    for (index, part) in split_top_level(rest, ',').into_iter().enumerate() {
        let mut words = split_top_level(part.trim(), ' ')
            .into_iter()
            .filter(|word| !word.is_empty());
        let Some(first) = words.next() else {
            return Err(part.to_owned());
        };
        // An instruction without operands starts with a modifier at once.
        if index == 0 && is_modifier(first) {
            line.modifiers.push(modifier(first));
        } else {
            line.operands
                .push(operand(first).ok_or_else(|| first.to_owned())?);
        }
        for word in words {
            line.modifiers.push(modifier(word));
        }
    }
    Ok(line)
}

fn split_suffix(full: &str) -> (&str, Encoding) {
    for (suffix, encoding) in [
        ("_e64_dpp", Encoding::Dpp(true)),
        ("_e64_dpp8", Encoding::Dpp(true)),
        ("_dpp8", Encoding::Dpp(false)),
        ("_dpp", Encoding::Dpp(false)),
        ("_sdwa", Encoding::Sdwa),
        ("_e32", Encoding::E32),
        ("_e64", Encoding::E64),
    ] {
        if let Some(base) = full.strip_suffix(suffix) {
            return (base, encoding);
        }
    }
    (full, Encoding::Only)
}

fn is_modifier(word: &str) -> bool {
    word.contains(':') && !word.contains('[') && !word.starts_with('|')
}

fn modifier(word: &str) -> (&str, &str) {
    word.split_once(':').unwrap_or((word, ""))
}

/// Splits at `separator` outside brackets, parentheses and comments.
fn split_top_level(text: &str, separator: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut start, mut comment) = (0i32, 0, false);
    let bytes = text.as_bytes();
    for (at, character) in text.char_indices() {
        if comment {
            if character == '/' && at > 0 && bytes[at - 1] == b'*' {
                comment = false;
            }
            continue;
        }
        match character {
            '/' if bytes.get(at + 1) == Some(&b'*') => comment = true,
            '[' | '(' => depth += 1,
            ']' | ')' => depth -= 1,
            c if c == separator && depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn operand(word: &str) -> Option<Operand<'_>> {
    let mut text = word.split("/*").next()?.trim();
    let mut result = Operand {
        value: Value::Int(0),
        neg: false,
        abs: false,
        sext: false,
    };
    loop {
        if let Some(inner) = text.strip_prefix("neg(").and_then(|t| t.strip_suffix(')')) {
            (result.neg, text) = (true, inner);
        } else if let Some(inner) = text.strip_prefix("sext(").and_then(|t| t.strip_suffix(')')) {
            (result.sext, text) = (true, inner);
        } else if let Some(inner) = text.strip_prefix('|').and_then(|t| t.strip_suffix('|')) {
            (result.abs, text) = (true, inner);
        } else if text.starts_with("-|")
            || (text.starts_with('-') && !text[1..].starts_with(|c: char| c.is_ascii_digit()))
        {
            (result.neg, text) = (true, &text[1..]);
        } else {
            break;
        }
    }
    result.value = value(text)?;
    Some(result)
}

fn value(text: &str) -> Option<Value<'_>> {
    if let Some(inner) = text.strip_prefix("lit(").and_then(|t| t.strip_suffix(')')) {
        return integer(inner).map(|v| Value::Literal(v as u64));
    }
    if text.starts_with("0x") || text.starts_with("-0x") {
        return integer(text).map(|v| Value::Literal(v as u64));
    }
    if text.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
        return match text.parse::<i64>() {
            Ok(value) => Some(Value::Int(value)),
            Err(_) => text.parse::<f64>().ok().map(Value::Float),
        };
    }
    if let Some(register) = register(text) {
        return Some(register);
    }
    (!text.is_empty()).then_some(Value::Name(text))
}

fn register(text: &str) -> Option<Value<'_>> {
    let (file, rest) = if let Some(rest) = text.strip_prefix("ttmp") {
        (File::Ttmp, rest)
    } else {
        let file = match text.as_bytes().first()? {
            b'v' => File::Vector,
            b'a' => File::Acc,
            b's' => File::Scalar,
            _ => return None,
        };
        (file, &text[1..])
    };
    if let Some(range) = rest.strip_prefix('[') {
        let range = range.strip_suffix(']')?;
        let (first, last) = range.split_once(':').unwrap_or((range, range));
        let (first, last): (u16, u16) = (first.parse().ok()?, last.parse().ok()?);
        return Some(Value::Reg {
            file,
            first,
            count: last.checked_sub(first)? + 1,
            high: None,
        });
    }
    let (number, high) = match rest.split_once('.') {
        Some((number, "l")) => (number, Some(false)),
        Some((number, "h")) => (number, Some(true)),
        Some(_) => return None,
        None => (rest, None),
    };
    number.parse().ok().map(|first| Value::Reg {
        file,
        first,
        count: 1,
        high,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Line<'_> {
        parse(text).expect("parses").remove(0)
    }

    #[test]
    fn operands_and_modifiers() {
        let line = one("v_fma_f32 v3, -|v0|, s[2:3], 0x40490fdb clamp mul:2");
        assert_eq!(
            (line.mnemonic, line.encoding),
            ("v_fma_f32", Encoding::Only)
        );
        assert!(line.operands[1].neg && line.operands[1].abs);
        assert_eq!(line.operands[3].value, Value::Literal(0x4049_0fdb));
        assert!(line.has("clamp"));
        assert_eq!(line.integer("mul"), Some(2));
    }

    #[test]
    fn comments_of_the_disassembler_are_skipped() {
        let line = one(
            "v_cmp_lg_f16_e32 vcc_lo, v0, v128/*Invalid register, operand has 'VGPR_32_Lo128' register class*/",
        );
        assert_eq!(line.operands.len(), 3);
        assert_eq!(
            line.operands[2].value,
            Value::Reg {
                file: File::Vector,
                first: 128,
                count: 1,
                high: None
            }
        );
    }

    #[test]
    fn negative_numbers_are_values_not_negations() {
        let line = one("s_load_b32 s4, s[6:7], -0x64");
        assert_eq!(line.operands[2].value, Value::Literal((-0x64i64) as u64));
        assert_eq!(
            one("v_mul_f32_e64 v1, -4.0, -v2").operands[1].value,
            Value::Float(-4.0)
        );
    }

    #[test]
    fn dual_issue_gives_two_lines() {
        let lines = parse("v_dual_mov_b32 v2, v0 :: v_dual_mov_b32 v3, v1").expect("parses");
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[1].mnemonic, "v_dual_mov_b32");
    }

    #[test]
    fn lists_and_names() {
        let line = one("v_mov_b32_dpp v1, v0 quad_perm:[1,0,3,2] row_mask:0xf bank_mask:0xf");
        assert_eq!(line.list("quad_perm").as_deref(), Some(&[1, 0, 3, 2][..]));
        assert_eq!(line.integer("row_mask"), Some(15));
        assert_eq!(
            one("s_setreg_imm32_b32 hwreg(HW_REG_MODE, 4, 2), 0x3").operands[0].value,
            Value::Name("hwreg(HW_REG_MODE, 4, 2)")
        );
    }
}
