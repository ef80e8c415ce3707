//! The value of preprocessor expressions, as far as it is known without compiling.
//!
//! Knows the grammar of `#if`. What a name stands for is asked of a [`Names`]; whatever that doesn't know makes the
//! value unknown, except where the other side of `&&` or `||` decides alone.

use crate::lex::{Kind, Lexed};
use crate::rules::GuardOp;

/// Answers for the names in an expression.
pub(super) trait Names {
    /// The number that a macro stands for.
    fn value(&self, name: &str) -> Option<i64>;
    /// Whether a macro is defined.
    fn defined(&self, name: &str) -> Option<bool>;
    /// Whether comparisons of this macro are questions.
    fn is_subject(&self, name: &str) -> bool;
    /// The answer to a question.
    fn question(&self, subject: &str, op: GuardOp, value: i64) -> Option<bool>;
}

/// The value of the expression in these tokens, if it is known.
pub(super) fn evaluate(lexed: &Lexed<'_>, tokens: &[u32], names: &dyn Names) -> Option<i64> {
    let mut parser = Parser {
        lexed,
        tokens,
        at: 0,
        depth: 0,
        names,
    };
    let value = parser.ternary()?;
    if parser.at < tokens.len() {
        return None;
    }
    parser.known(&value)
}

/// The number in a preprocessing number, or nothing if it isn't an integer.
pub(super) fn integer(spelling: &str) -> Option<i64> {
    let digits: String = spelling
        .chars()
        .filter(|c| *c != '\'')
        .collect::<String>()
        .to_ascii_lowercase();
    let digits = digits.trim_end_matches(['u', 'l', 'z']);
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x', ..] => (16, &digits[2..]),
        [b'0', b'b', ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    i64::from_str_radix(digits, radix).ok()
}

/// A comparison as a guard asks it: the operator, the value asked at, and whether the answer is negated.
pub(super) fn as_question(operator: &str, value: i64) -> Option<(GuardOp, i64, bool)> {
    Some(match operator {
        ">=" => (GuardOp::AtLeast, value, false),
        "<" => (GuardOp::AtLeast, value, true),
        ">" => (GuardOp::AtLeast, value.checked_add(1)?, false),
        "<=" => (GuardOp::AtLeast, value.checked_add(1)?, true),
        "==" => (GuardOp::Equals, value, false),
        "!=" => (GuardOp::Equals, value, true),
        _ => return None,
    })
}

/// The same comparison with its sides exchanged.
pub(super) fn mirrored(operator: &str) -> &str {
    match operator {
        ">=" => "<=",
        "<=" => ">=",
        "<" => ">",
        ">" => "<",
        same => same,
    }
}

/// A value in the middle of an evaluation.
enum Value {
    Known(i64),
    Subject(String),
    Unknown,
}

struct Parser<'a, 't> {
    lexed: &'a Lexed<'t>,
    tokens: &'a [u32],
    at: usize,
    /// How many expressions are open around this place.
    depth: u32,
    names: &'a dyn Names,
}

/// Expressions nested deeper than this are none: each level needs room on the stack. Compilers give up at 256.
const MAX_DEPTH: u32 = 256;

/// Binary operators by how tightly they bind.
const BINARY: &[&[&str]] = &[
    &["||"],
    &["&&"],
    &["|"],
    &["^"],
    &["&"],
    &["==", "!="],
    &["<", ">", "<=", ">="],
    &["<<"],
    &["+", "-"],
    &["*", "/", "%"],
];

impl Parser<'_, '_> {
    fn peek(&self) -> Option<(Kind, &str)> {
        let token = self.lexed.token(*self.tokens.get(self.at)?);
        Some((token.kind, self.lexed.raw(token)))
    }

    fn eat(&mut self, punct: &str) -> bool {
        let found = self
            .peek()
            .is_some_and(|(kind, raw)| kind == Kind::Punct && raw == punct);
        self.at += usize::from(found);
        found
    }

    /// The truth or number of a value.
    fn known(&self, value: &Value) -> Option<i64> {
        match value {
            Value::Known(number) => Some(*number),
            Value::Subject(name) => self
                .names
                .question(name, GuardOp::Defined, 0)
                .map(i64::from),
            Value::Unknown => None,
        }
    }

    /// What `parse` finds one level deeper.
    fn deeper(&mut self, parse: fn(&mut Self) -> Option<Value>) -> Option<Value> {
        self.depth += 1;
        let value = (self.depth <= MAX_DEPTH).then(|| parse(self)).flatten();
        self.depth -= 1;
        value
    }

    fn ternary(&mut self) -> Option<Value> {
        let condition = self.binary(0)?;
        if !self.eat("?") {
            return Some(condition);
        }
        let yes = self.deeper(Self::ternary)?;
        if !self.eat(":") {
            return None;
        }
        let no = self.deeper(Self::ternary)?;
        Some(match self.known(&condition) {
            Some(0) => no,
            Some(_) => yes,
            None => Value::Unknown,
        })
    }

    /// `None` means that the text is no expression; an unknown value is a value.
    fn binary(&mut self, level: usize) -> Option<Value> {
        let Some(operators) = BINARY.get(level) else {
            return self.unary();
        };
        let mut left = self.binary(level + 1)?;
        loop {
            let found = match self.peek() {
                Some((Kind::Punct, raw)) => operators.iter().find(|op| **op == raw),
                _ => None,
            };
            let Some(operator) = found else {
                return Some(left);
            };
            self.at += 1;
            let right = self.binary(level + 1)?;
            left = self.combine(&left, operator, &right);
        }
    }

    fn combine(&self, left: &Value, operator: &str, right: &Value) -> Value {
        let question = match (left, right) {
            (Value::Subject(name), Value::Known(value)) => {
                Some((name, as_question(operator, *value)))
            }
            (Value::Known(value), Value::Subject(name)) => {
                Some((name, as_question(mirrored(operator), *value)))
            }
            _ => None,
        };
        if let Some((name, Some((op, value, negated)))) = question {
            let answer = self.names.question(name, op, value);
            return answer.map_or(Value::Unknown, |yes| {
                Value::Known(i64::from(yes != negated))
            });
        }
        let (a, b) = (self.known(left), self.known(right));
        let truth = |yes: bool| Some(i64::from(yes));
        let value = match (operator, a, b) {
            ("&&", Some(0), _) | ("&&", _, Some(0)) => Some(0),
            ("||", Some(x), _) | ("||", _, Some(x)) if x != 0 => Some(1),
            ("&&", Some(_), Some(_)) => Some(1),
            ("||", Some(_), Some(_)) => Some(0),
            (_, Some(a), Some(b)) => match operator {
                "|" => Some(a | b),
                "^" => Some(a ^ b),
                "&" => Some(a & b),
                "==" => truth(a == b),
                "!=" => truth(a != b),
                "<" => truth(a < b),
                ">" => truth(a > b),
                "<=" => truth(a <= b),
                ">=" => truth(a >= b),
                "<<" => u32::try_from(b).ok().and_then(|b| a.checked_shl(b)),
                "+" => a.checked_add(b),
                "-" => a.checked_sub(b),
                "*" => a.checked_mul(b),
                "/" => a.checked_div(b),
                "%" => a.checked_rem(b),
                _ => None,
            },
            _ => None,
        };
        value.map_or(Value::Unknown, Value::Known)
    }

    fn unary(&mut self) -> Option<Value> {
        for operator in ["!", "-", "+", "~"] {
            if self.eat(operator) {
                let value = self.deeper(Self::unary)?;
                let value = self.known(&value).and_then(|v| match operator {
                    "!" => Some(i64::from(v == 0)),
                    "-" => v.checked_neg(),
                    "~" => Some(!v),
                    _ => Some(v),
                });
                return Some(value.map_or(Value::Unknown, Value::Known));
            }
        }
        self.primary()
    }

    fn primary(&mut self) -> Option<Value> {
        if self.eat("(") {
            let value = self.deeper(Self::ternary)?;
            return self.eat(")").then_some(value);
        }
        let (kind, _) = self.peek()?;
        let token = self.lexed.token(self.tokens[self.at]);
        let spelling = self.lexed.spelling(token);
        self.at += 1;
        match kind {
            Kind::Number => Some(integer(&spelling).map_or(Value::Unknown, Value::Known)),
            Kind::Ident if spelling == "defined" => {
                let parenthesis = self.eat("(");
                let (Kind::Ident, _) = self.peek()? else {
                    return None;
                };
                let name = self.lexed.spelling(self.lexed.token(self.tokens[self.at]));
                self.at += 1;
                if parenthesis && !self.eat(")") {
                    return None;
                }
                let answer = if self.names.is_subject(&name) {
                    self.names.question(&name, GuardOp::Defined, 0)
                } else {
                    self.names.defined(&name)
                };
                Some(answer.map_or(Value::Unknown, |yes| Value::Known(i64::from(yes))))
            }
            Kind::Ident if self.peek().is_some_and(|(_, raw)| raw == "(") => {
                self.skip_parentheses()?;
                Some(Value::Unknown)
            }
            Kind::Ident if self.names.is_subject(&spelling) => {
                Some(Value::Subject(spelling.into_owned()))
            }
            Kind::Ident => Some(
                self.names
                    .value(&spelling)
                    .map_or(Value::Unknown, Value::Known),
            ),
            Kind::Char => Some(Value::Unknown),
            _ => None,
        }
    }

    fn skip_parentheses(&mut self) -> Option<()> {
        let mut depth = 0_u32;
        loop {
            let (_, raw) = self.peek()?;
            match raw {
                "(" => depth += 1,
                ")" => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return Some(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{GuardOp, Names, evaluate, integer};
    use crate::lex::lex;

    struct Table;

    impl Names for Table {
        fn value(&self, name: &str) -> Option<i64> {
            (name == "SEVEN").then_some(7)
        }
        fn defined(&self, name: &str) -> Option<bool> {
            ["YES", "NO"].contains(&name).then_some(name == "YES")
        }
        fn is_subject(&self, name: &str) -> bool {
            name == "ARCH"
        }
        fn question(&self, _: &str, op: GuardOp, value: i64) -> Option<bool> {
            (op == GuardOp::AtLeast && value != 800).then_some(value < 800)
        }
    }

    #[test]
    fn values() {
        let of = |text: &str| {
            let lexed = lex(text).expect("short text");
            evaluate(&lexed, &lexed.code, &Table)
        };
        for (text, value) in [
            ("1 + 2 * 3", Some(7)),
            ("(1 + 2) * SEVEN - 0x10", Some(5)),
            ("1 << 4 | 1", Some(17)),
            ("!defined(NO) && defined YES", Some(1)),
            ("defined(OTHER)", None),
            ("defined(OTHER) && 0", Some(0)),
            ("defined(OTHER) || 2", Some(1)),
            ("defined(OTHER) && 1", None),
            ("ARCH >= 700", Some(1)),
            ("700 > ARCH", Some(0)),
            ("ARCH >= 800", None),
            ("ARCH >= 800 && ARCH >= 900", Some(0)),
            ("ARCH + 1 >= 700", None),
            ("SEVEN / 0", None),
            ("F(x, (y)) || 1", Some(1)),
            ("1 ? 2 : 3", Some(2)),
            ("1 +", None),
            ("", None),
        ] {
            assert_eq!(of(text), value, "{text}");
        }
        assert_eq!(integer("1'000ULL"), Some(1000));
        assert_eq!(integer("017"), Some(15));
        assert_eq!(integer("0"), Some(0));
        assert_eq!(integer("1.5"), None);
    }
}
