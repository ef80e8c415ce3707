//! Patterns over names: `*` is any run, `?` any one character, `[A-Z0-9]` one of a set; all else is itself.
//!
//! Rules match tens of thousands of identifiers in milliseconds, which rules out compiling regular expressions
//! at every start; nothing more expressive is needed.

/// A pattern, checked when it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob(Box<[u8]>);

impl Glob {
    /// Takes a pattern.
    ///
    /// # Errors
    /// A sentence about what is wrong with it: an empty pattern or a `[` without its `]`.
    pub fn new(pattern: &str) -> Result<Self, String> {
        if pattern.is_empty() {
            return Err("the pattern is empty".to_owned());
        }
        let mut rest = pattern.as_bytes();
        while let Some((&byte, tail)) = rest.split_first() {
            rest = tail;
            if byte == b'[' {
                // A set holds at least one character, so `]` can't be the first.
                let close = tail.iter().skip(1).position(|&b| b == b']');
                let Some(close) = close else {
                    return Err(format!("`[` without `]` in the pattern `{pattern}`"));
                };
                rest = &tail[close + 2..];
            }
        }
        Ok(Glob(pattern.as_bytes().into()))
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Made from a `&str`, never changed.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The characters before the first wildcard.
    #[must_use]
    pub fn literal_prefix(&self) -> &[u8] {
        let end = self
            .0
            .iter()
            .position(|b| matches!(b, b'*' | b'?' | b'['))
            .unwrap_or(self.0.len());
        &self.0[..end]
    }

    /// Whether the whole of `name` fits.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let (pattern, name) = (&*self.0, name.as_bytes());
        let (mut p, mut n) = (0, 0);
        // Where to go on after a mismatch: behind the last `*`, one character further in the name.
        let mut retry: Option<(usize, usize)> = None;
        loop {
            if p < pattern.len() && pattern[p] == b'*' {
                retry = Some((p + 1, n));
                p += 1;
                continue;
            }
            if n == name.len() {
                if p == pattern.len() {
                    return true;
                }
            } else if let Some(width) = pattern.get(p..).and_then(|rest| one(rest, name[n])) {
                p += width;
                n += 1;
                continue;
            }
            match retry {
                Some((after_star, from)) if from < name.len() => {
                    retry = Some((after_star, from + 1));
                    (p, n) = (after_star, from + 1);
                }
                _ => return false,
            }
        }
    }
}

/// Width of the pattern element at the start of `pattern` if it accepts `byte`.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match *pattern.first()? {
        b'?' => Some(1),
        b'[' => {
            let close = pattern.iter().skip(2).position(|&b| b == b']')? + 2;
            let mut set = &pattern[1..close];
            while let Some((&low, tail)) = set.split_first() {
                if let [b'-', high, rest @ ..] = tail {
                    if (low..=*high).contains(&byte) {
                        return Some(close + 1);
                    }
                    set = rest;
                } else {
                    if low == byte {
                        return Some(close + 1);
                    }
                    set = tail;
                }
            }
            None
        }
        literal => (literal == byte).then_some(1),
    }
}

#[cfg(test)]
mod tests {
    use super::Glob;

    #[track_caller]
    fn check(pattern: &str, yes: &[&str], no: &[&str]) {
        let glob = Glob::new(pattern).expect(pattern);
        for name in yes {
            assert!(glob.matches(name), "{pattern} should match {name}");
        }
        for name in no {
            assert!(!glob.matches(name), "{pattern} should not match {name}");
        }
    }

    #[test]
    fn wildcards() {
        check("__dp4a", &["__dp4a"], &["__dp4", "__dp4aa", "a__dp4a"]);
        check(
            "cuda[A-Z]*",
            &["cudaMalloc", "cudaX"],
            &["cuda", "cudart", "xcudaM"],
        );
        check("*", &["", "x"], &[]);
        check("a*b*c", &["abc", "aXbYc", "abbbcc"], &["ab", "acb"]);
        check("f?[0-9_]", &["fx1", "fx_"], &["f1", "fxa", "fx11"]);
        check("mma.*.s8;", &["mma.x.y.s8;"], &["mma.s8;", "mma.x.s8"]);
    }

    #[test]
    fn bad_patterns_are_refused() {
        assert!(Glob::new("").is_err());
        assert!(Glob::new("a[bc").is_err());
        assert!(Glob::new("a[]").is_err());
    }
}
