//! Reads `filetests/*.txt`. Knows the text format, not what an instruction does.

use std::fmt;
use std::path::Path;

/// One expected 32-bit word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Word {
    Exact(u32),
    Any,
    /// A quiet NaN of 16 bits, with the high half clear or not looked at.
    QuietNan16 {
        high_clear: bool,
    },
    QuietNan32,
    /// The high word of a quiet NaN of 64 bits.
    QuietNan64,
}

impl Word {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "*" => Self::Any,
            "qnan16" => Self::QuietNan16 { high_clear: false },
            "0qnan16" => Self::QuietNan16 { high_clear: true },
            "qnan32" => Self::QuietNan32,
            "qnan64" => Self::QuietNan64,
            _ => Self::Exact(u32::from_str_radix(text, 16).ok()?),
        })
    }

    fn matches(self, got: u32) -> bool {
        match self {
            Self::Exact(word) => got == word,
            Self::Any => true,
            Self::QuietNan16 { high_clear } => {
                got & 0x7e00 == 0x7e00 && (!high_clear || got >> 16 == 0)
            }
            Self::QuietNan32 => got & 0x7fc0_0000 == 0x7fc0_0000,
            Self::QuietNan64 => got & 0x7ff8_0000 == 0x7ff8_0000,
        }
    }

    pub fn all_match(expected: &[Self], got: &[u32]) -> bool {
        expected.len() == got.len() && expected.iter().zip(got).all(|(e, &g)| e.matches(g))
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(word) => write!(f, "{word:08x}"),
            Self::Any => f.write_str("*"),
            Self::QuietNan16 { .. } => f.write_str("qnan16"),
            Self::QuietNan32 => f.write_str("qnan32"),
            Self::QuietNan64 => f.write_str("qnan64"),
        }
    }
}

pub struct Case {
    pub input: Vec<u32>,
    pub expected: Vec<Word>,
}

/// One `[name]` section: the instruction's spelling per family, its registers, its cases.
pub struct Operation {
    pub name: String,
    pub scalar: bool,
    spellings: Vec<(String, String)>,
    pub inputs: Vec<String>,
    pub outputs: Vec<String>,
    pub cases: Vec<Case>,
}

/// 32-bit registers of a register text: `v[2:3]` has two.
pub fn width(register: &str) -> usize {
    match register
        .split_once('[')
        .and_then(|(_, range)| range.trim_end_matches(']').split_once(':'))
    {
        Some((low, high)) => high.parse::<usize>().unwrap() - low.parse::<usize>().unwrap() + 1,
        None => 1,
    }
}

impl Operation {
    pub fn spelling(&self, family: &str) -> Option<&str> {
        self.spellings
            .iter()
            .find(|(f, _)| f == family)
            .map(|(_, text)| text.as_str())
    }

    pub fn families(&self) -> impl Iterator<Item = &str> {
        self.spellings.iter().map(|(f, _)| f.as_str())
    }

    pub fn input_columns(&self) -> usize {
        self.inputs.iter().map(|r| width(r)).sum()
    }

    pub fn output_columns(&self) -> usize {
        self.outputs.iter().map(|r| width(r)).sum()
    }

    pub fn input_words(&self) -> Vec<u32> {
        self.cases
            .iter()
            .flat_map(|case| case.input.iter().copied())
            .collect()
    }
}

/// Every section of a file; panics with file and line on text that is not of the format.
pub fn file(path: &Path) -> Vec<Operation> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut operations: Vec<Operation> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let fail =
            |what: &str| -> ! { panic!("{}:{}: {what}: {line}", path.display(), number + 1) };
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(rest) = line.strip_prefix('[') {
            let Some((name, flags)) = rest.split_once(']') else {
                fail("a section without `]`")
            };
            operations.push(Operation {
                name: name.to_owned(),
                scalar: flags.trim() == "scalar",
                spellings: Vec::new(),
                inputs: Vec::new(),
                outputs: Vec::new(),
                cases: Vec::new(),
            });
            continue;
        }
        let Some(op) = operations.last_mut() else {
            fail("text before the first section")
        };
        if let Some(registers) = line.strip_prefix("in ") {
            op.inputs = registers.split_whitespace().map(str::to_owned).collect();
        } else if let Some(registers) = line.strip_prefix("out ") {
            op.outputs = registers.split_whitespace().map(str::to_owned).collect();
        } else if let Some((input, expected)) = line.split_once(" | ") {
            let input: Option<Vec<u32>> = input
                .split(' ')
                .map(|w| u32::from_str_radix(w, 16).ok())
                .collect();
            let expected: Option<Vec<Word>> = expected.split(' ').map(Word::parse).collect();
            match (input, expected) {
                (Some(input), Some(expected))
                    if input.len() == op.input_columns()
                        && expected.len() == op.output_columns() =>
                {
                    op.cases.push(Case { input, expected });
                }
                _ => fail("a case that does not fit its columns"),
            }
        } else if let Some((families, spelling)) = line.split_once(": ") {
            op.spellings.extend(
                families
                    .split(' ')
                    .map(|f| (f.to_owned(), spelling.to_owned())),
            );
        } else {
            fail("not of the format");
        }
    }
    operations
}
