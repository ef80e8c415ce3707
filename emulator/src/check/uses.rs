//! Whether a loaded register is ever used.
//!
//! A load of unwritten memory is harmless as long as nothing is computed from it: compilers widen loads, and copy
//! structures with their padding. This reads on from the load, along all paths, until the register is overwritten, is
//! used, or the wave ends. It reads the disassembler's text, which names the operands of all families alike.

use crate::isa::code::{Code, Function};
use crate::ops::control::is_branch;

/// How far to read before the register is taken as used.
const FAR: usize = 4096;

/// A register: its file (`v`, `s` or `a`) and its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Register {
    file: char,
    number: u32,
}

/// What an instruction does with a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Touch {
    Not,
    Uses,
    Overwrites,
}

/// The registers of an operand such as `v3`, `-|v3|`, `s[4:7]`.
pub fn registers(operand: &str) -> Option<(char, std::ops::RangeInclusive<u32>)> {
    let operand = operand.trim().trim_start_matches(['-', '|']);
    let operand = operand
        .strip_prefix("neg(")
        .or_else(|| operand.strip_prefix("abs("))
        .or_else(|| operand.strip_prefix("sext("))
        .unwrap_or(operand);
    let mut chars = operand.chars();
    let file = chars.next().filter(|file| "vsa".contains(*file))?;
    let rest = chars.as_str();
    let digits = |text: &str| -> Option<u32> {
        let end = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        text[..end].parse().ok()
    };
    if let Some(range) = rest.strip_prefix('[') {
        let (first, last) = range.split_once(':')?;
        return Some((file, digits(first)?..=digits(last)?));
    }
    let number = digits(rest)?;
    Some((file, number..=number))
}

impl Register {
    fn is_in(self, operand: &str) -> bool {
        registers(operand)
            .is_some_and(|(file, range)| file == self.file && range.contains(&self.number))
    }
}

/// The register that the `index`th word of a load goes to.
fn loaded(text: &str, index: u16) -> Option<Register> {
    let (mnemonic, operands) = text.trim().split_once(char::is_whitespace)?;
    if mnemonic.contains("lds") && !mnemonic.starts_with("ds_") {
        return None;
    }
    let (file, range) = registers(operands.split(',').next()?)?;
    let number = range.start() + u32::from(index);
    range.contains(&number).then_some(Register { file, number })
}

/// The operations of an instruction (two for a dual-issue pair): mnemonic, operands, and the modifiers behind them.
pub fn operations(text: &str) -> impl Iterator<Item = (&str, Vec<&str>, &str)> {
    text.split("::").map(|operation| {
        let operation = operation.trim();
        let (mnemonic, operands) = operation
            .split_once(char::is_whitespace)
            .unwrap_or((operation, ""));
        let mut operands: Vec<&str> = operands.split(',').map(str::trim).collect();
        // Modifiers follow the last operand after a space.
        let mut modifiers = "";
        if let Some(last) = operands.last_mut()
            && let Some((operand, rest)) = last.split_once(' ')
        {
            (*last, modifiers) = (operand, rest);
        }
        (mnemonic, operands, modifiers)
    })
}

/// Whether an operation reads its result's register, which its text names once.
pub fn accumulates(mnemonic: &str) -> bool {
    let prefixes = [
        "v_fmac",
        "v_mac",
        "v_pk_fmac",
        "v_dual_fmac",
        "s_fmac",
        "s_cmov",
    ];
    let dot = |name: &str| {
        let digits = name.trim_start_matches(|c: char| c.is_ascii_digit());
        digits.starts_with("c_")
    };
    prefixes.iter().any(|prefix| mnemonic.starts_with(prefix))
        || mnemonic.strip_prefix("v_dot").is_some_and(dot)
        || mnemonic
            .strip_prefix("v_dual_dot")
            .is_some_and(|name| name.contains("acc"))
}

fn touch(text: &str, register: Register) -> Touch {
    let mut overwrites = false;
    for (mnemonic, operands, _) in operations(text) {
        match touch_one(mnemonic, &operands, register) {
            Touch::Uses => return Touch::Uses,
            Touch::Overwrites => overwrites = true,
            Touch::Not => {}
        }
    }
    match overwrites {
        true => Touch::Overwrites,
        false => Touch::Not,
    }
}

fn touch_one(mnemonic: &str, operands: &[&str], register: Register) -> Touch {
    let here = |operand: &&str| register.is_in(operand);
    let is_store = mnemonic.contains("_store_") || mnemonic.starts_with("ds_write");
    if is_store {
        // The data is vector registers; in buffer stores it is first, in others behind the address.
        let data = match mnemonic.starts_with("buffer_") {
            true => 0..1,
            false => 1..operands.len(),
        };
        let used = operands
            .iter()
            .enumerate()
            .any(|(at, operand)| !data.contains(&at) && here(operand));
        return match used {
            true => Touch::Uses,
            false => Touch::Not,
        };
    }
    let no_result = ["s_cmp", "s_bitcmp", "v_cmpx", "s_setreg", "s_waitcnt"]
        .iter()
        .any(|prefix| mnemonic.starts_with(prefix));
    let first_is_read = no_result || accumulates(mnemonic) || mnemonic.contains("atomic");
    let read = match first_is_read {
        true => operands,
        false => &operands[1..],
    };
    if read.iter().any(here) {
        return Touch::Uses;
    }
    let partial = mnemonic.contains("d16") || mnemonic.starts_with("v_writelane");
    match !first_is_read && !partial && operands.first().is_some_and(here) {
        true => Touch::Overwrites,
        false => Touch::Not,
    }
}

/// Whether anything but a store uses what the load at instruction `pc` puts into its `index`th register. What cannot be
/// told counts as used.
pub fn is_used(code: &Code, function: &Function, pc: usize, halves: usize, index: u16) -> bool {
    let text = |pc: usize| code.text(function.address_of(pc), halves);
    let Some(register) = loaded(&text(pc), index) else {
        return true;
    };
    let mut seen = vec![false; function.instructions.len()];
    let mut open = vec![pc + 1];
    let mut read = 0;
    while let Some(pc) = open.pop() {
        let Some(inst) = function.instructions.get(pc) else {
            return true;
        };
        if std::mem::replace(&mut seen[pc], true) {
            continue;
        }
        read += 1;
        let text = text(pc);
        let text = text.trim();
        if read > FAR || text.starts_with("s_setpc") || text.starts_with("s_swappc") {
            return true;
        }
        if text.starts_with("s_endpgm") {
            continue;
        }
        match touch(text, register) {
            Touch::Uses => return true,
            Touch::Overwrites => continue,
            Touch::Not => {}
        }
        if is_branch(inst) {
            if inst.target == u32::MAX || text.starts_with("s_call") {
                return true;
            }
            open.push(inst.target as usize);
            if text.starts_with("s_branch") {
                continue;
            }
        }
        open.push(pc + 1);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operands_are_told_apart() {
        let v3 = Register {
            file: 'v',
            number: 3,
        };
        for (text, expected) in [
            ("v_add_f32_e32 v1, v2, v3", Touch::Uses),
            ("v_add_f32_e64 v1, v2, -|v3|", Touch::Uses),
            ("v_add_f32_e32 v3, v2, v3", Touch::Uses),
            ("v_add_f32_e32 v3, v2, v1", Touch::Overwrites),
            ("v_add_f32_e32 v3, v30, v13", Touch::Overwrites),
            ("v_fmac_f32_e32 v3, v2, v1", Touch::Uses),
            ("v_dot4_i32_iu8 v3, v1, v2, 0", Touch::Overwrites),
            ("v_dot4c_i32_i8_e32 v3, v1, v2", Touch::Uses),
            ("v_add_f32_e32 v1, s3, v2", Touch::Not),
            ("global_load_b128 v[0:3], v[8:9], off", Touch::Overwrites),
            ("global_load_b32 v1, v3, s[2:3] offset:4", Touch::Uses),
            ("global_load_d16_hi_b16 v3, v[8:9], off", Touch::Not),
            ("global_store_b128 v[8:9], v[0:3], off", Touch::Not),
            ("global_store_b32 v[2:3], v0, off", Touch::Uses),
            ("buffer_store_dword v3, v1, s[0:3], 0 offen", Touch::Not),
            ("buffer_store_dword v1, v3, s[0:3], 0 offen", Touch::Uses),
            ("ds_write_b32 v1, v3 offset:8", Touch::Not),
            ("ds_store_b32 v3, v1", Touch::Uses),
            ("v_cmp_eq_u32_e32 vcc_lo, 0, v3", Touch::Uses),
            ("v_cmpx_eq_u32_e32 v3, v1", Touch::Uses),
            ("global_atomic_add_u32 v[0:1], v3, off", Touch::Uses),
            (
                "v_dual_mul_f32 v0, v1, v2 :: v_dual_mov_b32 v3, v5",
                Touch::Overwrites,
            ),
            (
                "v_dual_mul_f32 v3, v1, v2 :: v_dual_mov_b32 v4, v3",
                Touch::Uses,
            ),
            ("s_endpgm", Touch::Not),
        ] {
            assert_eq!(touch(text, v3), expected, "{text}");
        }
    }

    #[test]
    fn words_of_a_load_go_to_their_registers() {
        let register = |text, index| loaded(text, index).map(|r| (r.file, r.number));
        assert_eq!(
            register("s_load_dwordx4 s[4:7], s[0:1], 0x0", 3),
            Some(('s', 7))
        );
        assert_eq!(
            register("global_load_ubyte v9, v[0:1], off", 0),
            Some(('v', 9))
        );
        assert_eq!(register("global_load_ubyte v9, v[0:1], off", 1), None);
        assert_eq!(register("s_load_b64 vcc, s[0:1], 0x0", 0), None);
    }
}
