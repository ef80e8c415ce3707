//! `printf` of kernels: a format and its arguments, as kernels pass them, made text.
//!
//! Arguments come as 64-bit words: integers widened, floating-point numbers as `double`, strings as their bytes with the
//! zero at their end, filled up to whole words. The format is trusted as little as the arguments: what is missing is
//! taken as zero.

use std::ffi::{CString, c_char, c_int};

/// The words of a message, read from the front.
pub struct Words<'w>(&'w [u64]);

impl<'w> Words<'w> {
    /// The words of a message.
    pub fn new(words: &'w [u64]) -> Self {
        Self(words)
    }

    /// The next word, 0 if there is none.
    pub fn word(&mut self) -> u64 {
        let (word, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *word
    }

    /// The next string without its zero.
    pub fn string(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while let Some((word, rest)) = self.0.split_first() {
            self.0 = rest;
            let word = word.to_le_bytes();
            match word.iter().position(|byte| *byte == 0) {
                Some(end) => {
                    bytes.extend(&word[..end]);
                    break;
                }
                None => bytes.extend(word),
            }
        }
        bytes
    }
}

/// A conversion of a format, such as `%-8.3lf`.
struct Conversion<'f> {
    flags: &'f [u8],
    width: Field,
    precision: Option<Field>,
    length: &'f [u8],
    kind: u8,
}

/// A width or a precision.
enum Field {
    Number(c_int),
    /// `*`: the next argument.
    Argument,
}

/// The first bytes that are in a set, and the rest.
fn take<'f>(text: &'f [u8], set: &[u8]) -> (&'f [u8], &'f [u8]) {
    let end = text.iter().position(|byte| !set.contains(byte));
    text.split_at(end.unwrap_or(text.len()))
}

fn field(text: &[u8]) -> (Field, &[u8]) {
    if let Some(rest) = text.strip_prefix(b"*") {
        return (Field::Argument, rest);
    }
    let (digits, rest) = take(text, b"0123456789");
    let number = digits.iter().fold(0_i32, |number, digit| {
        number
            .saturating_mul(10)
            .saturating_add(c_int::from(digit - b'0'))
    });
    (Field::Number(number), rest)
}

/// The conversion behind a `%`, and the rest of the format; `None` if the format ends within.
fn conversion(text: &[u8]) -> Option<(Conversion<'_>, &[u8])> {
    let (flags, rest) = take(text, b"-+ #0");
    let (width, rest) = field(rest);
    let (precision, rest) = match rest.strip_prefix(b".") {
        Some(rest) => {
            let (precision, rest) = field(rest);
            (Some(precision), rest)
        }
        None => (None, rest),
    };
    let (length, rest) = take(rest, b"hljztL");
    let (kind, rest) = rest.split_first()?;
    let conversion = Conversion {
        flags,
        width,
        precision,
        length,
        kind: *kind,
    };
    Some((conversion, rest))
}

/// The text of a format with its arguments.
pub fn format(mut format: &[u8], arguments: &mut Words<'_>) -> Vec<u8> {
    let mut text = Vec::new();
    while let Some(at) = format.iter().position(|byte| *byte == b'%') {
        text.extend(&format[..at]);
        let start = &format[at + 1..];
        if let Some(rest) = start.strip_prefix(b"%") {
            text.push(b'%');
            format = rest;
            continue;
        }
        let Some((conversion, rest)) = conversion(start) else {
            // The format ends within a conversion: it is shown as it is.
            format = &format[at..];
            break;
        };
        convert(&conversion, arguments, &mut text);
        format = rest;
    }
    text.extend(format);
    text
}

/// Wider fields and longer fractions than this are cut: they are mistakes, and memory is not endless.
const WIDEST: c_int = 4096;

fn convert(conversion: &Conversion<'_>, arguments: &mut Words<'_>, text: &mut Vec<u8>) {
    let mut number = |field: &Field| match field {
        Field::Number(number) => *number,
        Field::Argument => arguments.word() as c_int,
    };
    let width = number(&conversion.width).clamp(-WIDEST, WIDEST);
    // A negative precision is none.
    let precision = conversion
        .precision
        .as_ref()
        .map(&mut number)
        .filter(|digits| *digits >= 0);
    let mut spec = vec![b'%'];
    spec.extend(conversion.flags);
    if width < 0 {
        spec.push(b'-');
    }
    if width != 0 {
        spec.extend(width.unsigned_abs().to_string().bytes());
    }
    if let Some(digits) = precision {
        spec.extend(format!(".{}", digits.min(WIDEST)).bytes());
    }
    match conversion.kind {
        kind @ (b'd' | b'i') => {
            let value = arguments.word() as i64;
            let value = match conversion.length {
                b"hh" => i64::from(value as i8),
                b"h" => i64::from(value as i16),
                b"" => i64::from(value as i32),
                _ => value,
            };
            spec.extend([b'l', b'l', kind]);
            print(spec, text, |place, room, spec| {
                // SAFETY: there is room for so many characters, and the format converts one `long long`.
                unsafe { libc::snprintf(place, room, spec, value) }
            });
        }
        kind @ (b'u' | b'o' | b'x' | b'X') => {
            let value = arguments.word();
            let value = match conversion.length {
                b"hh" => u64::from(value as u8),
                b"h" => u64::from(value as u16),
                b"" => u64::from(value as u32),
                _ => value,
            };
            spec.extend([b'l', b'l', kind]);
            print(spec, text, |place, room, spec| {
                // SAFETY: there is room for so many characters, and the format converts one `unsigned long long`.
                unsafe { libc::snprintf(place, room, spec, value) }
            });
        }
        kind @ (b'f' | b'F' | b'e' | b'E' | b'g' | b'G' | b'a' | b'A') => {
            let value = f64::from_bits(arguments.word());
            spec.push(kind);
            print(spec, text, |place, room, spec| {
                // SAFETY: there is room for so many characters, and the format converts one `double`.
                unsafe { libc::snprintf(place, room, spec, value) }
            });
        }
        b'c' => {
            let value = c_int::from(arguments.word() as u8);
            spec.push(b'c');
            print(spec, text, |place, room, spec| {
                // SAFETY: there is room for so many characters, and the format converts one `int`.
                unsafe { libc::snprintf(place, room, spec, value) }
            });
        }
        b'p' => {
            let value = arguments.word() as *const u8;
            spec.push(b'p');
            print(spec, text, |place, room, spec| {
                // SAFETY: there is room for so many characters, and the format converts one pointer, which is not followed.
                unsafe { libc::snprintf(place, room, spec, value) }
            });
        }
        b's' => {
            let value = CString::new(arguments.string()).unwrap_or_default();
            spec.push(b's');
            print(spec, text, |place, room, spec| {
                // SAFETY: there is room for so many characters, and the format converts one string, which lives.
                unsafe { libc::snprintf(place, room, spec, value.as_ptr()) }
            });
        }
        // `%n` would write to memory; everything else is no conversion. The argument is used up.
        _ => drop(arguments.word()),
    }
}

/// Appends what a call of `snprintf` writes.
fn print(
    spec: Vec<u8>,
    text: &mut Vec<u8>,
    write: impl Fn(*mut c_char, usize, *const c_char) -> c_int,
) {
    let Ok(spec) = CString::new(spec) else { return };
    let Ok(len) = usize::try_from(write(std::ptr::null_mut(), 0, spec.as_ptr())) else {
        return;
    };
    let start = text.len();
    // Room for the zero as well.
    text.resize(start + len + 1, 0);
    write(text[start..].as_mut_ptr().cast(), len + 1, spec.as_ptr());
    text.truncate(start + len);
}

/// Where a kernel prints to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Error,
}

unsafe extern "C" {
    static stdout: *mut libc::FILE;
    static stderr: *mut libc::FILE;
}

/// Writes text through the C library, in order with what the program prints itself.
pub fn write(stream: Stream, text: &[u8]) {
    // SAFETY: the C library sets both before anything runs, and files may be used from every thread.
    unsafe {
        let file = match stream {
            Stream::Out => stdout,
            Stream::Error => stderr,
        };
        libc::fwrite(text.as_ptr().cast(), 1, text.len(), file);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<u64> {
        let mut bytes = text.as_bytes().to_vec();
        bytes.resize((text.len() + 1).next_multiple_of(8), 0);
        bytes
            .chunks(8)
            .map(|word| u64::from_le_bytes(word.try_into().unwrap()))
            .collect()
    }

    fn text(format_text: &str, arguments: &[&[u64]]) -> String {
        let words = arguments.concat();
        String::from_utf8(format(format_text.as_bytes(), &mut Words::new(&words))).unwrap()
    }

    #[test]
    fn conversions_are_those_of_c() {
        assert_eq!(text("plain 100%%\n", &[]), "plain 100%\n");
        assert_eq!(
            text("%d %5u|%-6x|%#o", &[&[u64::MAX, 42, 255, 8]]),
            "-1    42|ff    |010"
        );
        assert_eq!(
            text("%hhd %hd %ld", &[&[0x180, 0x1_8000, 1 << 40]]),
            "-128 -32768 1099511627776"
        );
        assert_eq!(
            text("%d %x", &[&[0x1_0000_0001, 0xffff_ffff_0000_0010]]),
            "1 10"
        );
        let [a, b] = [1.5_f64, -2.25e10].map(f64::to_bits);
        assert_eq!(text("%f %.2e %g", &[&[a, b, a]]), "1.500000 -2.25e+10 1.5");
        assert_eq!(
            text("%*d|%-*d|%.*f", &[&[4, 7, 4, 7, 1, a]]),
            "   7|7   |1.5"
        );
        assert_eq!(
            text(
                "%s and %10s.",
                &[&words("a long string of words"), &words("short")]
            ),
            "a long string of words and      short."
        );
        assert_eq!(
            text("%.3s|%c", &[&words("abcdef"), &[u64::from(b'z')]]),
            "abc|z"
        );
        assert_eq!(text("%p", &[&[0x1234]]), "0x1234");
    }

    #[test]
    fn a_wrong_format_harms_nobody() {
        assert_eq!(text("%d %s|%f", &[]), "0 |0.000000");
        assert_eq!(text("half %", &[]), "half %");
        assert_eq!(text("half %-5.3l", &[]), "half %-5.3l");
        assert_eq!(text("%n%d", &[&[1, 2]]), "2");
        assert_eq!(text("%99999999999d", &[&[1]]).len(), WIDEST as usize);
    }
}
