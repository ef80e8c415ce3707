//! Names of kernels as C++ writes them: a kernel that isn't `extern "C"` has a mangled symbol (Itanium C++ ABI).
//!
//! Knows names alone, and takes symbols from files that nobody vouches for: a few bytes of substitutions can stand for
//! gigabytes of text, so what is written is bounded.

use std::fmt;

use cpp_demangle::{DemangleNodeType, DemangleOptions, DemangleWrite, Symbol};

/// The longest name that is written out; longer ones stay mangled.
const LONGEST: usize = 4096;

/// `ns::scale<float, 3>(float*, unsigned int)` for a symbol; `None` if it isn't mangled.
pub(super) fn demangle(symbol: &str) -> Option<String> {
    write(symbol, DemangleOptions::new().no_return_type())
}

/// Whether somebody who asks for `asked` means this symbol: the symbol itself, the whole name as [`demangle`] has it,
/// the name without parameters, or that without the template's arguments.
pub(super) fn is_called(symbol: &str, asked: &str) -> bool {
    symbol == asked
        || demangle(symbol).is_some_and(|whole| whole == asked)
        || bare(symbol).is_some_and(|bare| bare == asked || template(&bare) == asked)
}

/// The name without parameters: `ns::scale<float, 3>`.
pub(super) fn bare(symbol: &str) -> Option<String> {
    let options = DemangleOptions::new().no_return_type().no_params();
    write(symbol, options)
}

/// A name without the template arguments at its end: `ns::scale`.
fn template(name: &str) -> &str {
    let mut depth = 0_usize;
    for (at, c) in name.char_indices().rev() {
        match c {
            '>' => depth += 1,
            '<' if depth == 1 => return &name[..at],
            '<' if depth > 1 => depth -= 1,
            _ if depth == 0 => break,
            _ => {}
        }
    }
    name
}

fn write(symbol: &str, options: DemangleOptions) -> Option<String> {
    if !symbol.starts_with("_Z") {
        return None;
    }
    let symbol = Symbol::new(symbol).ok()?;
    let mut out = Bounded(String::new());
    symbol.structured_demangle(&mut out, &options).ok()?;
    Some(out.0)
}

/// Text that may not grow beyond [`LONGEST`].
struct Bounded(String);

impl DemangleWrite for Bounded {
    fn push_demangle_node(&mut self, _: DemangleNodeType) {}

    fn write_string(&mut self, text: &str) -> fmt::Result {
        if self.0.len() + text.len() > LONGEST {
            return Err(fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }

    fn pop_demangle_node(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::{demangle, is_called};

    const TEMPLATE: &str = "_ZN2ns4tmplIfLi3EEEvPT_NS_1PEj";

    #[test]
    fn names_are_as_cxxfilt_writes_them() {
        let whole = "ns::tmpl<float, 3>(float*, ns::P, unsigned int)";
        assert_eq!(demangle(TEMPLATE).as_deref(), Some(whole));
        let plain = "plain(float*, int const*)";
        assert_eq!(demangle("_Z5plainPfPKi").as_deref(), Some(plain));
        for name in ["scale_f32", "_Z", "_Zwhat", "", "_Z5plai"] {
            assert_eq!(demangle(name), None, "{name}");
        }
    }

    #[test]
    fn a_kernel_is_asked_for_by_any_of_its_names() {
        let names = [
            TEMPLATE,
            "ns::tmpl<float, 3>(float*, ns::P, unsigned int)",
            "ns::tmpl<float, 3>",
            "ns::tmpl",
        ];
        for name in names {
            assert!(is_called(TEMPLATE, name), "{name}");
        }
        for name in ["tmpl", "ns::tmpl<float, 4>", "ns", "ns::tmpl<"] {
            assert!(!is_called(TEMPLATE, name), "{name}");
        }
        assert!(is_called("scale_f32", "scale_f32"));
    }

    #[test]
    fn a_short_symbol_that_stands_for_a_long_name_stays_as_it_is() {
        // f(S<int, int>*, S<S<int, int>, S<int, int>>*, ...): each parameter has the one before it twice.
        let mut symbol = "_Z1fP1SIiiE".to_owned();
        for pair in 0..16 {
            let before = char::from_digit(2 * pair, 36).unwrap().to_ascii_uppercase();
            symbol.push_str(&format!("PS_IS{before}_S{before}_E"));
        }
        let few = demangle(&symbol[..11 + 2 * 11]).unwrap();
        assert!(
            few.ends_with("S<S<S<int, int>, S<int, int> >, S<S<int, int>, S<int, int> > >*)"),
            "{few}"
        );
        assert!(symbol.len() < 200, "{}", symbol.len());
        assert_eq!(demangle(&symbol), None);
    }
}
