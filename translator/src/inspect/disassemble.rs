//! Instructions as text, by the toolchain's `llvm-objdump`.
//!
//! Knows how to run the tool and how its lines look; what an instruction means is not known here.

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::ops::Range;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde::Serialize;

use crate::toolchain::Toolchain;

/// The tool's name.
const OBJDUMP: &str = "llvm-objdump";
/// Releases of LLVM that may be installed beside each other and know today's processors.
const VERSIONS: std::ops::RangeInclusive<u32> = 17..=24;

/// Why there are no instructions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DisassemblerError {
    /// There is no tool.
    #[error("no llvm-objdump: neither beside a ROCm toolchain's clang nor on PATH")]
    NotFound,
    /// The tool failed.
    #[error("{program}: {message}")]
    Tool {
        /// The program.
        program: PathBuf,
        /// What it said, or what kept it from running.
        message: String,
    },
}

/// An instruction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Instruction {
    /// Its address in the code object's image.
    pub address: u64,
    /// LLVM's text.
    pub text: String,
    /// Its encoding as words in hexadecimal.
    pub encoding: String,
}

/// The toolchain's disassembler.
#[derive(Debug, Clone)]
pub struct Disassembler {
    program: PathBuf,
}

impl Disassembler {
    /// The one beside the toolchain's clang, or else the one on `PATH`.
    ///
    /// # Errors
    /// [`DisassemblerError::NotFound`].
    pub fn find() -> Result<Self, DisassemblerError> {
        let beside = Toolchain::find().ok().and_then(|t| t.llvm_tool(OBJDUMP));
        // A distribution's default LLVM is often older than those that it has under names of their own.
        let numbered = || {
            let names = VERSIONS.rev().map(|version| format!("{OBJDUMP}-{version}"));
            names.filter_map(|name| which::which(name).ok()).next()
        };
        beside
            .or_else(numbered)
            .or_else(|| which::which(OBJDUMP).ok())
            .map(|program| Disassembler { program })
            .ok_or(DisassemblerError::NotFound)
    }

    /// Tells `each` the address, text and encoding of every instruction of a code object in the order of addresses; of
    /// those in `range` if it is given.
    ///
    /// # Errors
    /// [`DisassemblerError::Tool`] if the tool can't be run or doesn't know the processor.
    pub fn run(
        &self,
        code_object: &[u8],
        range: Option<Range<u64>>,
        each: &mut dyn FnMut(u64, &str, &str),
    ) -> Result<(), DisassemblerError> {
        let failed = |message: String| DisassemblerError::Tool {
            program: self.program.clone(),
            message,
        };
        let failed_io = |error: std::io::Error| failed(error.to_string());
        let mut file = tempfile::NamedTempFile::new().map_err(failed_io)?;
        file.write_all(code_object).map_err(failed_io)?;
        let mut command = Command::new(&self.program);
        command.args(["--disassemble", "--section=.text"]);
        if let Some(range) = range {
            command.arg(format!("--start-address={:#x}", range.start));
            command.arg(format!("--stop-address={:#x}", range.end));
        }
        let mut child = command
            .arg(file.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed_io)?;
        // Standard error is a line or two, which the pipe holds until standard output is read.
        let mut count = 0_usize;
        let mut read = Ok(());
        if let Some(out) = child.stdout.take() {
            let mut out = BufReader::new(out);
            let mut line = Vec::new();
            loop {
                line.clear();
                match out.read_until(b'\n', &mut line) {
                    Ok(0) => break,
                    Ok(_) => {}
                    Err(error) => {
                        read = Err(error);
                        break;
                    }
                }
                if let Some((address, text, words)) = parse(&String::from_utf8_lossy(&line)) {
                    each(address, text, words);
                    count += 1;
                }
            }
        }
        let mut said = String::new();
        if let Some(err) = child.stderr.take() {
            // What it said only adds to an error that its status tells.
            let _ = err.take(4096).read_to_string(&mut said);
        }
        let status = child.wait().map_err(failed_io)?;
        read.map_err(failed_io)?;
        if !status.success() || count == 0 {
            // A crash has a long story around the line that says why.
            let told = said.lines().find(|line| line.contains("error"));
            let said = told.or(said.lines().next()).unwrap_or_default();
            let path = file.path().display().to_string();
            let said = said.replace(&path, "the code object");
            return Err(failed(match (status.success(), said.is_empty()) {
                (_, false) => said,
                (true, true) => "it found no instructions".to_owned(),
                (false, true) => status.to_string(),
            }));
        }
        Ok(())
    }

    /// The instructions at these addresses.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn instructions(
        &self,
        code_object: &[u8],
        range: Range<u64>,
    ) -> Result<Vec<Instruction>, DisassemblerError> {
        let mut instructions = Vec::new();
        self.run(code_object, Some(range), &mut |address, text, encoding| {
            instructions.push(Instruction {
                address,
                text: text.to_owned(),
                encoding: encoding.to_owned(),
            });
        })?;
        Ok(instructions)
    }
}

/// Address, text and encoding of a line such as
/// `\ts_load_b64 s[2:3], s[0:1], null      // 000000001000: F4040080 F8000000`.
fn parse(line: &str) -> Option<(u64, &str, &str)> {
    let line = line.strip_prefix('\t')?;
    let (text, comment) = line.rsplit_once("// ")?;
    let (address, words) = comment.split_once(':')?;
    // A branch's target follows the words: ` BF870001 <kernel+0x24>`.
    let words = words.split('<').next().unwrap_or_default();
    Some((
        u64::from_str_radix(address, 16).ok()?,
        text.trim_end(),
        words.trim(),
    ))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn lines_of_llvm() {
        assert_eq!(
            parse("\ts_load_b64 s[2:3], s[0:1], null      // 000000001000: F4040080 F8000000\n"),
            Some((
                0x1000,
                "s_load_b64 s[2:3], s[0:1], null",
                "F4040080 F8000000"
            ))
        );
        assert_eq!(
            parse("\ts_cbranch_execz 65 // 00000000163C: BFA50041 <kernel+0x144>\n"),
            Some((0x163c, "s_cbranch_execz 65", "BFA50041"))
        );
        assert_eq!(parse("0000000000001000 <kernel>:\n"), None);
        assert_eq!(parse("\t...\n"), None);
    }
}
