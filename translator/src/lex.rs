//! A lossless lexer for CUDA C++: every byte of a file belongs to exactly one token, in order.
//!
//! Knows the lexical grammar of C++ before macro expansion: line splices, comments, raw strings, directives and
//! header names, `<<<`. Must not know any name of CUDA's, nor what tokens mean together.
//!
//! Spelling and bytes differ where a line splice (backslash, newline) cuts a token in two: the token keeps its bytes,
//! [`Lexed::spelling`] leaves the splices out.

use std::borrow::Cow;
use std::ops::Range;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// Blanks within a line.
    Space,
    /// The end of a line; ends a directive.
    Newline,
    /// A backslash and newline between tokens.
    Splice,
    /// `//` up to the end of the line, splices included.
    LineComment,
    /// `/* */`.
    BlockComment,
    /// The `#` that starts a directive.
    Hash,
    /// An identifier or keyword.
    Ident,
    /// A preprocessing number, digit separators and suffix included.
    Number,
    /// A string literal with its encoding prefix.
    Str,
    /// A raw string literal with its encoding prefix.
    RawStr,
    /// A character literal with its encoding prefix.
    Char,
    /// The header in an `#include`, delimiters included.
    HeaderName,
    /// The text of `#error` and `#warning`.
    Text,
    /// An operator or punctuator.
    Punct,
    /// A byte that starts no token.
    Other,
}

impl Kind {
    /// Whether a token of this kind means something to the compiler.
    #[must_use]
    pub fn is_significant(self) -> bool {
        !matches!(
            self,
            Kind::Space | Kind::Newline | Kind::Splice | Kind::LineComment | Kind::BlockComment
        )
    }
}

/// A piece of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// Whether splices interrupt it.
    pub spliced: bool,
    /// Whether the file ends, or for a literal the line, before it does.
    pub unterminated: bool,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

/// Which directive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DirectiveKind {
    /// `#include`, `#include_next`, `#import`.
    Include,
    /// `#define`.
    Define,
    /// `#undef`.
    Undef,
    /// `#if`.
    If,
    /// `#ifdef`, `#ifndef`.
    Ifdef,
    /// `#elif`.
    Elif,
    /// `#elifdef`, `#elifndef`.
    Elifdef,
    /// `#else`.
    Else,
    /// `#endif`.
    Endif,
    /// `#pragma`.
    Pragma,
    /// `#line`.
    Line,
    /// `#error`, `#warning`.
    Error,
    /// `#` alone or with a name that is none of these.
    Other,
}

const DIRECTIVES: &[(&str, DirectiveKind)] = &[
    ("include", DirectiveKind::Include),
    ("include_next", DirectiveKind::Include),
    ("import", DirectiveKind::Include),
    ("define", DirectiveKind::Define),
    ("undef", DirectiveKind::Undef),
    ("if", DirectiveKind::If),
    ("ifdef", DirectiveKind::Ifdef),
    ("ifndef", DirectiveKind::Ifdef),
    ("elif", DirectiveKind::Elif),
    ("elifdef", DirectiveKind::Elifdef),
    ("elifndef", DirectiveKind::Elifdef),
    ("else", DirectiveKind::Else),
    ("endif", DirectiveKind::Endif),
    ("pragma", DirectiveKind::Pragma),
    ("line", DirectiveKind::Line),
    ("error", DirectiveKind::Error),
    ("warning", DirectiveKind::Error),
];

/// One directive, from its `#` to the end of its line.
#[derive(Debug, Clone)]
pub struct Directive {
    /// Which one.
    pub kind: DirectiveKind,
    /// Its tokens, the final newline left out.
    pub tokens: Range<u32>,
    /// Its significant tokens behind the directive's name, as a range of [`Lexed::in_directives`].
    pub operands: Range<u32>,
    /// The token with its name, if it has one.
    pub name: Option<u32>,
}

/// A file cut into tokens.
#[derive(Debug, Clone)]
pub struct Lexed<'a> {
    text: &'a str,
    /// All tokens; joined, they are the text.
    pub tokens: Vec<Token>,
    /// Directives in the order of the text.
    pub directives: Vec<Directive>,
    /// Indices of the significant tokens outside of directives.
    pub code: Vec<u32>,
    /// Indices of the significant tokens inside of directives, names of directives left out.
    pub in_directives: Vec<u32>,
}

/// The file is longer than token offsets can say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{length} bytes are more than a source file may have ({})", u32::MAX)]
pub struct TooLong {
    /// The file's length in bytes.
    pub length: usize,
}

impl<'a> Lexed<'a> {
    /// The text that was lexed.
    #[must_use]
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// The token with that index.
    #[must_use]
    pub fn token(&self, index: u32) -> Token {
        self.tokens[index as usize]
    }

    /// The bytes of a token.
    #[must_use]
    pub fn raw(&self, token: Token) -> &'a str {
        &self.text[token.start as usize..token.end as usize]
    }

    /// The spelling of a token, its splices left out.
    #[must_use]
    pub fn spelling(&self, token: Token) -> Cow<'a, str> {
        let raw = self.raw(token);
        if !token.spliced {
            return Cow::Borrowed(raw);
        }
        let bytes = raw.as_bytes();
        let mut spelling = String::with_capacity(raw.len());
        let (mut from, mut at) = (0, 0);
        while at < bytes.len() {
            match splice_at(bytes, at) {
                Some(after) => {
                    spelling.push_str(&raw[from..at]);
                    (from, at) = (after, after);
                }
                None => at += 1,
            }
        }
        spelling.push_str(&raw[from..]);
        Cow::Owned(spelling)
    }

    /// The significant tokens of a directive behind its name.
    #[must_use]
    pub fn operands(&self, directive: &Directive) -> &[u32] {
        &self.in_directives[directive.operands.start as usize..directive.operands.end as usize]
    }

    /// The name of a directive as it is spelled.
    #[must_use]
    pub fn directive_name(&self, directive: &Directive) -> Cow<'a, str> {
        directive
            .name
            .map_or(Cow::Borrowed(""), |name| self.spelling(self.token(name)))
    }
}

/// Cuts `text` into tokens. Never fails on what the text says: bytes that start no token are [`Kind::Other`].
///
/// # Errors
/// [`TooLong`] for a text of 4 GiB or more.
pub fn lex(text: &str) -> Result<Lexed<'_>, TooLong> {
    if u32::try_from(text.len()).is_err() {
        return Err(TooLong { length: text.len() });
    }
    let mut lexer = Lexer {
        bytes: text.as_bytes(),
        at: 0,
        out: Lexed {
            text,
            tokens: Vec::with_capacity(text.len() / 4),
            directives: Vec::new(),
            code: Vec::with_capacity(text.len() / 8),
            in_directives: Vec::new(),
        },
    };
    lexer.run();
    Ok(lexer.out)
}

/// The text with everything left out that can't change what a compiler makes of it, so that a changed comment does
/// not look like a changed program: comments and runs of blanks are one space, splices nothing, and lines that hold
/// nothing else disappear. `#line` directives are kept only on request: they matter to debug information, to
/// `__LINE__` and to `assert`, and to nothing else.
///
/// # Errors
/// [`TooLong`] as for [`lex`].
pub fn significant_text(text: &str, keep_lines: bool) -> Result<String, TooLong> {
    let lexed = lex(text)?;
    let mut skip = 0..0;
    let mut directives = lexed
        .directives
        .iter()
        .filter(|d| d.kind == DirectiveKind::Line && !keep_lines);
    let mut next = directives.next();
    let mut out = String::with_capacity(text.len());
    let mut gap = false;
    for (index, token) in (0_u32..).zip(&lexed.tokens) {
        if next.is_some_and(|d| d.tokens.start == index) {
            skip = next.map_or(0..0, |d| d.tokens.clone());
            next = directives.next();
        }
        if skip.contains(&index) {
            continue;
        }
        match token.kind {
            Kind::Space | Kind::LineComment | Kind::BlockComment => gap = true,
            Kind::Splice => {}
            Kind::Newline => {
                gap = false;
                if !out.is_empty() && !out.ends_with('\n') {
                    out.push('\n');
                }
            }
            _ => {
                if std::mem::take(&mut gap) && !out.is_empty() && !out.ends_with('\n') {
                    out.push(' ');
                }
                out.push_str(&lexed.spelling(*token));
            }
        }
    }
    Ok(out)
}

/// The end of the line splice that starts at `at`, if one does. Blanks between backslash and newline are allowed, as
/// compilers do.
fn splice_at(bytes: &[u8], at: usize) -> Option<usize> {
    if bytes.get(at) != Some(&b'\\') {
        return None;
    }
    let mut end = at + 1;
    while matches!(bytes.get(end), Some(b' ' | b'\t' | b'\r')) {
        end += 1;
    }
    (bytes.get(end) == Some(&b'\n')).then_some(end + 1)
}

fn is_ident_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'$') || byte >= 0x80
}

fn is_ident(byte: u8) -> bool {
    is_ident_start(byte) || byte.is_ascii_digit()
}

/// Operators of more than one byte, longest first. `>>` is left as two tokens: it closes two template lists more
/// often than it shifts, and nothing here needs to tell. `>>>` likewise.
const OPERATORS: &[&[u8]] = &[
    b"<<<", b"<=>", b"<<=", b">>=", b"->*", b"...", b"::", b"->", b"<<", b"<=", b">=", b"==",
    b"!=", b"&&", b"||", b"++", b"--", b"+=", b"-=", b"*=", b"/=", b"%=", b"&=", b"|=", b"^=",
    b"##",
];

struct Lexer<'a> {
    bytes: &'a [u8],
    at: usize,
    out: Lexed<'a>,
}

/// What the position on the line allows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing significant yet on this line: a `#` starts a directive.
    LineStart,
    Code,
    /// Behind a `#`: the directive's name comes next.
    DirectiveName,
    /// Behind `#include`: a header name comes next.
    IncludeOperand,
    /// Behind `#error`: text up to the end of the line.
    ErrorText,
    Directive,
}

impl Lexer<'_> {
    fn run(&mut self) {
        let mut state = State::LineStart;
        // Inside `__has_include(`: 1 behind the name, 2 behind the parenthesis.
        let mut has_include = 0;
        while self.at < self.bytes.len() {
            let start = self.at;
            let wants_header = state == State::IncludeOperand || has_include == 2;
            let kind = match state {
                State::ErrorText if !self.bytes[start].is_ascii_whitespace() => self.error_text(),
                _ => self.token(wants_header),
            };
            let (kind, flags) = match kind {
                (Kind::Other, _) if state == State::LineStart && self.is_hash(start) => {
                    (Kind::Hash, Flags::default())
                }
                (Kind::Other, flags) if matches!(self.bytes[start], b'#' | b'%') => {
                    (Kind::Punct, flags)
                }
                other => other,
            };
            let index = self.push(kind, start, flags);
            state = match kind {
                Kind::Newline => {
                    if state != State::LineStart && state != State::Code {
                        self.end_directive(index);
                    }
                    has_include = 0;
                    State::LineStart
                }
                Kind::Hash => {
                    let operands = self.directive_len();
                    self.out.directives.push(Directive {
                        kind: DirectiveKind::Other,
                        tokens: index..index,
                        operands: operands..operands,
                        name: None,
                    });
                    State::DirectiveName
                }
                _ if !kind.is_significant() => state,
                _ => {
                    let next = self.after_significant(state, index, kind);
                    let in_directive = !matches!(state, State::LineStart | State::Code);
                    if in_directive {
                        if state != State::DirectiveName
                            || next == State::Directive && kind != Kind::Ident
                        {
                            self.out.in_directives.push(index);
                        }
                    } else {
                        self.out.code.push(index);
                    }
                    let token = self.out.token(index);
                    has_include = match (has_include, kind) {
                        _ if !in_directive => 0,
                        (1, Kind::Punct) if self.out.raw(token) == "(" => 2,
                        (_, Kind::Ident) if self.out.raw(token).starts_with("__has_include") => 1,
                        _ => 0,
                    };
                    next
                }
            };
        }
        if state != State::LineStart && state != State::Code {
            self.end_directive(u32::try_from(self.out.tokens.len()).unwrap_or(u32::MAX));
        }
    }

    fn directive_len(&self) -> u32 {
        u32::try_from(self.out.in_directives.len()).unwrap_or(u32::MAX)
    }

    fn end_directive(&mut self, end: u32) {
        let operands = self.directive_len();
        if let Some(directive) = self.out.directives.last_mut() {
            directive.tokens.end = end;
            directive.operands.end = operands;
        }
    }

    /// The state behind a significant token; names the directive if this is its name.
    fn after_significant(&mut self, state: State, index: u32, kind: Kind) -> State {
        match state {
            State::LineStart | State::Code => State::Code,
            State::DirectiveName if kind == Kind::Ident => {
                let name = self.out.spelling(self.out.token(index));
                let known = DIRECTIVES
                    .iter()
                    .find(|(spelled, _)| *spelled == name)
                    .map(|(_, kind)| *kind);
                let kind = known.unwrap_or(DirectiveKind::Other);
                if let Some(directive) = self.out.directives.last_mut() {
                    directive.kind = kind;
                    directive.name = Some(index);
                }
                match kind {
                    DirectiveKind::Include => State::IncludeOperand,
                    DirectiveKind::Error => State::ErrorText,
                    _ => State::Directive,
                }
            }
            _ => State::Directive,
        }
    }

    fn push(&mut self, kind: Kind, start: usize, flags: Flags) -> u32 {
        let index = u32::try_from(self.out.tokens.len()).unwrap_or(u32::MAX);
        // `lex` made sure that offsets fit.
        #[allow(clippy::cast_possible_truncation)]
        let (start, end) = (start as u32, self.at as u32);
        let Flags {
            spliced,
            unterminated,
        } = flags;
        self.out.tokens.push(Token {
            kind,
            spliced,
            unterminated,
            start,
            end,
        });
        index
    }

    fn is_hash(&self, at: usize) -> bool {
        self.bytes[at] == b'#' || self.bytes[at..].starts_with(b"%:")
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Skips splices at the cursor; whether there were any.
    fn skip_splices(&mut self) -> bool {
        let from = self.at;
        while let Some(after) = splice_at(self.bytes, self.at) {
            self.at = after;
        }
        self.at > from
    }

    /// The byte behind the splices that start at `at`, and its position.
    fn behind_splices(&self, mut at: usize) -> Option<(u8, usize)> {
        while let Some(after) = splice_at(self.bytes, at) {
            at = after;
        }
        Some((*self.bytes.get(at)?, at))
    }

    /// Lexes one token at the cursor and moves behind it.
    fn token(&mut self, wants_header: bool) -> (Kind, Flags) {
        let plain = Flags::default();
        let start = self.at;
        let byte = self.bytes[start];
        match byte {
            b'\n' => {
                self.at += 1;
                (Kind::Newline, plain)
            }
            b'\r' if self.bytes.get(start + 1) == Some(&b'\n') => {
                self.at += 2;
                (Kind::Newline, plain)
            }
            b' ' | b'\t' | b'\r' | 0x0b | 0x0c => {
                self.at += 1;
                while matches!(self.peek(), Some(b' ' | b'\t' | 0x0b | 0x0c)) {
                    self.at += 1;
                }
                (Kind::Space, plain)
            }
            b'\\' => {
                if self.skip_splices() {
                    return (Kind::Splice, plain);
                }
                self.at += 1;
                (Kind::Other, plain)
            }
            b'/' => match self.behind_splices(start + 1) {
                Some((b'/', at)) => self.line_comment(at + 1),
                Some((b'*', at)) => self.block_comment(at + 1),
                _ => self.operator(),
            },
            b'<' | b'"' if wants_header => self.header_name().unwrap_or_else(|| self.token(false)),
            b'"' => self.quoted(b'"', Kind::Str),
            b'\'' => self.quoted(b'\'', Kind::Char),
            b'0'..=b'9' => self.number(),
            b'.' if self.bytes.get(start + 1).is_some_and(u8::is_ascii_digit) => self.number(),
            b'#' => {
                let (kind, flags) = self.operator();
                (
                    if self.at == start + 1 {
                        Kind::Other
                    } else {
                        kind
                    },
                    flags,
                )
            }
            b'%' if self.bytes.get(start + 1) == Some(&b':') => {
                self.at += 2;
                (Kind::Other, plain)
            }
            _ if is_ident_start(byte) => self.ident(),
            _ => self.operator(),
        }
    }

    fn ident(&mut self) -> (Kind, Flags) {
        let start = self.at;
        let flags = self.run_of(is_ident);
        if flags.spliced || self.at - start > 3 {
            return (Kind::Ident, flags);
        }
        let prefix = &self.bytes[start..self.at];
        match (prefix, self.peek()) {
            (b"R" | b"LR" | b"uR" | b"UR" | b"u8R", Some(b'"')) => {
                let after_prefix = self.at;
                self.raw_string().unwrap_or_else(|| {
                    self.at = after_prefix;
                    self.quoted(b'"', Kind::Str)
                })
            }
            (b"L" | b"u" | b"U" | b"u8", Some(b'"')) => self.quoted(b'"', Kind::Str),
            (b"L" | b"u" | b"U" | b"u8", Some(b'\'')) => self.quoted(b'\'', Kind::Char),
            _ => (Kind::Ident, flags),
        }
    }

    /// Moves behind a run of accepted bytes; splices inside of it belong to it, splices behind it don't.
    fn run_of(&mut self, accepts: fn(u8) -> bool) -> Flags {
        let mut flags = Flags::default();
        loop {
            match self.peek() {
                Some(byte) if accepts(byte) => self.at += 1,
                Some(b'\\') => match self.behind_splices(self.at) {
                    Some((byte, at)) if at > self.at && accepts(byte) => {
                        flags.spliced = true;
                        self.at = at;
                    }
                    _ => return flags,
                },
                _ => return flags,
            }
        }
    }

    /// A preprocessing number: digits, letters, points, signs behind an exponent, digit separators.
    fn number(&mut self) -> (Kind, Flags) {
        let mut flags = Flags::default();
        let mut last = 0;
        while let Some((byte, at)) = self.behind_splices(self.at) {
            let takes = match byte {
                b'+' | b'-' => matches!(last, b'e' | b'E' | b'p' | b'P'),
                b'\'' => self
                    .behind_splices(at + 1)
                    .is_some_and(|(next, _)| next.is_ascii_alphanumeric()),
                b'.' => true,
                _ => is_ident(byte),
            };
            if !takes {
                break;
            }
            flags.spliced |= at > self.at;
            last = byte;
            self.at = at + 1;
        }
        (Kind::Number, flags)
    }

    /// From an opening quote at the cursor to the closing one or the end of the line.
    fn quoted(&mut self, quote: u8, kind: Kind) -> (Kind, Flags) {
        let mut flags = Flags::default();
        self.at += 1;
        loop {
            match self.peek() {
                Some(b'\\') => {
                    if self.skip_splices() {
                        flags.spliced = true;
                    } else {
                        // The escaped byte may stand behind a splice itself.
                        let (byte, at) = self
                            .behind_splices(self.at + 1)
                            .unwrap_or((0, self.bytes.len()));
                        flags.spliced |= at > self.at + 1;
                        self.at = if byte == b'\n' || at >= self.bytes.len() {
                            at
                        } else {
                            at + 1
                        };
                    }
                }
                Some(byte) if byte == quote => {
                    self.at += 1;
                    return (kind, flags);
                }
                None | Some(b'\n') => {
                    flags.unterminated = true;
                    return (kind, flags);
                }
                Some(b'\r') if self.bytes.get(self.at + 1) == Some(&b'\n') => {
                    flags.unterminated = true;
                    return (kind, flags);
                }
                Some(_) => self.at += 1,
            }
        }
    }

    /// From the quote behind `R` to the closing delimiter. `None` if this isn't a raw string after all.
    fn raw_string(&mut self) -> Option<(Kind, Flags)> {
        let open = self.at + 1;
        let rest = &self.bytes[open..];
        let delimiter = rest.iter().take(17).position(|&b| b == b'(')?;
        let delimiter = &rest[..delimiter];
        if delimiter
            .iter()
            .any(|b| matches!(b, b')' | b'\\' | b'"') || b.is_ascii_whitespace())
        {
            return None;
        }
        let close = [b")", delimiter, b"\""].concat();
        let body = open + delimiter.len() + 1;
        let mut flags = Flags::default();
        match find(&self.bytes[body..], &close) {
            Some(at) => self.at = body + at + close.len(),
            None => {
                flags.unterminated = true;
                self.at = self.bytes.len();
            }
        }
        Some((Kind::RawStr, flags))
    }

    fn line_comment(&mut self, from: usize) -> (Kind, Flags) {
        let mut flags = Flags {
            spliced: from > self.at + 2,
            unterminated: false,
        };
        self.at = from;
        loop {
            let rest = &self.bytes[self.at..];
            let Some(stop) = rest.iter().position(|b| matches!(b, b'\n' | b'\\')) else {
                self.at = self.bytes.len();
                return (Kind::LineComment, flags);
            };
            self.at += stop;
            if self.bytes[self.at] == b'\n' {
                // The `\r` of a `\r\n` belongs to the newline.
                if self.at > from && self.bytes[self.at - 1] == b'\r' {
                    self.at -= 1;
                }
                return (Kind::LineComment, flags);
            }
            if self.skip_splices() {
                flags.spliced = true;
            } else {
                self.at += 1;
            }
        }
    }

    fn block_comment(&mut self, from: usize) -> (Kind, Flags) {
        let mut flags = Flags::default();
        let start = self.at;
        self.at = from;
        while let Some(star) = self.bytes[self.at..].iter().position(|&b| b == b'*') {
            self.at += star + 1;
            if let Some((b'/', at)) = self.behind_splices(self.at) {
                self.at = at + 1;
                // Only a backslash can start a splice; spelling finds out whether one does.
                flags.spliced = self.bytes[start..self.at].contains(&b'\\');
                return (Kind::BlockComment, flags);
            }
        }
        self.at = self.bytes.len();
        flags.unterminated = true;
        (Kind::BlockComment, flags)
    }

    fn header_name(&mut self) -> Option<(Kind, Flags)> {
        let close = if self.bytes[self.at] == b'<' {
            b'>'
        } else {
            b'"'
        };
        let mut flags = Flags::default();
        let mut at = self.at + 1;
        loop {
            if let Some(after) = splice_at(self.bytes, at) {
                flags.spliced = true;
                at = after;
                continue;
            }
            match self.bytes.get(at)? {
                b'\n' => return None,
                byte if *byte == close => break,
                _ => at += 1,
            }
        }
        self.at = at + 1;
        Some((Kind::HeaderName, flags))
    }

    /// The text of `#error`: up to a comment or the end of the line.
    fn error_text(&mut self) -> (Kind, Flags) {
        let mut flags = Flags::default();
        let start = self.at;
        while let Some(byte) = self.peek() {
            match byte {
                b'\n' => break,
                b'\r' if self.bytes.get(self.at + 1) == Some(&b'\n') => break,
                b'/' if matches!(self.bytes.get(self.at + 1), Some(b'/' | b'*')) => break,
                b'\\' if self.skip_splices() => flags.spliced = true,
                _ => self.at += 1,
            }
        }
        if self.at == start {
            return self.token(false);
        }
        (Kind::Text, flags)
    }

    fn operator(&mut self) -> (Kind, Flags) {
        let first = self.bytes[self.at];
        let mut flags = Flags::default();
        for op in OPERATORS.iter().filter(|op| op[0] == first) {
            let mut end = self.at + 1;
            let fits = op[1..]
                .iter()
                .all(|&wanted| match self.behind_splices(end) {
                    Some((byte, at)) if byte == wanted => {
                        end = at + 1;
                        true
                    }
                    _ => false,
                });
            if fits {
                flags.spliced = end - self.at > op.len();
                self.at = end;
                return (Kind::Punct, flags);
            }
        }
        self.at += 1;
        (
            if first.is_ascii_punctuation() {
                Kind::Punct
            } else {
                Kind::Other
            },
            flags,
        )
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Flags {
    spliced: bool,
    unterminated: bool,
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let first = *needle.first()?;
    let mut from = 0;
    loop {
        from += haystack.get(from..)?.iter().position(|&b| b == first)?;
        if haystack[from..].starts_with(needle) {
            return Some(from);
        }
        from += 1;
    }
}
