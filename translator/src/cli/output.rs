//! Standard output, which a reader such as `head` or a pager may close early.
//!
//! That nobody reads on is no failure of the command: what it finds still sets its exit code. Anything else that keeps
//! results from being written, such as a full disk, is an error.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

/// Standard output for people: colours are taken out where there is no terminal.
pub(super) fn stdout() -> impl Write {
    Output(anstream::stdout().lock())
}

/// Prints a document for programs, and ends the line.
pub(super) fn print_document(document: impl Display) -> io::Result<()> {
    let mut out = Output(io::stdout().lock());
    writeln!(out, "{document}")?;
    out.flush()
}

/// Takes what is written after the reader has gone, and drops it.
struct Output<W>(W);

impl<W: Write> Write for Output<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.write(bytes) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(bytes.len()),
            result => result,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.0.flush() {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            result => result,
        }
    }
}
