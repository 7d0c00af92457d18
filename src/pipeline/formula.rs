//! Small formulas for the resources of a job: `2G + 3*in.bytes`, `max(1, in.count)`, `min(8, event.chips)`.
//!
//! Numbers may end in K, M, G or T (powers of 1,024). Names are `in.bytes`, `in.count`, the same of one role
//! (`in.raw.bytes`), `event.<field>` and `param.<name>`. Functions are `min`, `max`, `ceil`. A formula is checked when the
//! manifest is read and evaluated when the inputs of a job are known; it always ends, and its depth is bounded.

use std::fmt;

/// Nested deeper than this is no formula for memory.
const DEPTH: usize = 32;

/// A parsed formula.
#[derive(Debug, Clone, PartialEq)]
pub enum Formula {
    Number(f64),
    Name(String),
    Call(Function, Vec<Formula>),
    Binary(char, Box<Formula>, Box<Formula>),
}

/// The closed list of functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    Min,
    Max,
    Ceil,
}

/// Why a text is no formula, or a formula has no value; `at` is the byte where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Error {
    pub at: usize,
    pub message: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Formula {
    /// Reads a formula, all of the text.
    pub fn parse(text: &str) -> Result<Formula, Error> {
        let mut parser = Parser { text, at: 0, depth: 0 };
        let formula = parser.sum()?;
        parser.skip();
        match parser.at == text.len() {
            true => Ok(formula),
            false => Err(parser.error("an operator or the end of the formula was expected here")),
        }
    }

    /// The value, if it is the same for all jobs.
    pub fn constant(&self) -> Option<f64> {
        self.value(&|_| None).ok()
    }

    /// Every name in it.
    pub fn names(&self) -> Vec<&str> {
        match self {
            Formula::Number(_) => Vec::new(),
            Formula::Name(name) => vec![name],
            Formula::Call(_, parts) => parts.iter().flat_map(Formula::names).collect(),
            Formula::Binary(_, a, b) => [a.names(), b.names()].concat(),
        }
    }

    /// The value, with names told by `of`; an error for an unknown name, and for what is no finite number.
    pub fn value(&self, of: &dyn Fn(&str) -> Option<f64>) -> Result<f64, Error> {
        let value = match self {
            Formula::Number(number) => *number,
            Formula::Name(name) => of(name).ok_or_else(|| Error { at: 0, message: format!("`{name}` has no value for this job") })?,
            Formula::Binary(operator, a, b) => {
                let (a, b) = (a.value(of)?, b.value(of)?);
                match operator {
                    '+' => a + b,
                    '-' => a - b,
                    '*' => a * b,
                    _ => a / b,
                }
            }
            Formula::Call(function, parts) => {
                let values = parts.iter().map(|part| part.value(of)).collect::<Result<Vec<f64>, Error>>()?;
                match function {
                    Function::Min => values.into_iter().fold(f64::INFINITY, f64::min),
                    Function::Max => values.into_iter().fold(f64::NEG_INFINITY, f64::max),
                    Function::Ceil => values.first().copied().unwrap_or(0.0).ceil(),
                }
            }
        };
        match value.is_finite() {
            true => Ok(value),
            false => Err(Error { at: 0, message: "the formula divides by zero or grows beyond all numbers".into() }),
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn error(&self, message: impl Into<String>) -> Error {
        Error { at: self.at, message: message.into() }
    }

    fn skip(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
    }

    fn peek(&mut self) -> Option<char> {
        self.skip();
        self.text[self.at..].chars().next()
    }

    fn take(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += if found { wanted.len_utf8() } else { 0 };
        found
    }

    fn sum(&mut self) -> Result<Formula, Error> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(self.error("nested too deep"));
        }
        let mut left = self.product()?;
        while let Some(operator @ ('+' | '-')) = self.peek() {
            self.at += 1;
            left = Formula::Binary(operator, Box::new(left), Box::new(self.product()?));
        }
        self.depth -= 1;
        Ok(left)
    }

    fn product(&mut self) -> Result<Formula, Error> {
        let mut left = self.atom()?;
        while let Some(operator @ ('*' | '/')) = self.peek() {
            self.at += 1;
            left = Formula::Binary(operator, Box::new(left), Box::new(self.atom()?));
        }
        Ok(left)
    }

    fn atom(&mut self) -> Result<Formula, Error> {
        match self.peek() {
            Some('(') => {
                self.at += 1;
                let inner = self.sum()?;
                if !self.take(')') {
                    return Err(self.error("`)` is missing"));
                }
                Ok(inner)
            }
            Some(c) if c.is_ascii_digit() || c == '.' => self.number(),
            Some(c) if c.is_ascii_alphabetic() => self.name(),
            _ => Err(self.error("a number, a name or `(` was expected here")),
        }
    }

    fn word(&mut self, belongs: impl Fn(char) -> bool) -> &str {
        let rest = &self.text[self.at..];
        let end = rest.find(|c| !belongs(c)).unwrap_or(rest.len());
        let word = &rest[..end];
        self.at += end;
        word
    }

    fn number(&mut self) -> Result<Formula, Error> {
        let start = self.at;
        let parsed = self.word(|c| c.is_ascii_digit() || c == '.').parse::<f64>();
        let number = parsed.map_err(|_| Error { at: start, message: "not a number".into() })?;
        let factor = match self.word(|c| c.is_ascii_alphabetic()) {
            "" => 1.0,
            "K" => 1024.0,
            "M" => 1024.0 * 1024.0,
            "G" => 1024.0 * 1024.0 * 1024.0,
            "T" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
            other => {
                return Err(Error { at: start, message: format!("unknown unit {other:?}; the units are K, M, G, T (powers of 1024)") });
            }
        };
        Ok(Formula::Number(number * factor))
    }

    fn name(&mut self) -> Result<Formula, Error> {
        let start = self.at;
        let word = self.word(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.').to_owned();
        if !self.take('(') {
            let mut parts = word.split('.');
            let known = match (parts.next(), parts.next(), parts.next(), parts.next()) {
                (Some("in"), Some("bytes" | "count"), None, None) => true,
                (Some("in"), Some(role), Some("bytes" | "count"), None) => !role.is_empty(),
                (Some("event" | "param"), Some(field), None, None) => !field.is_empty(),
                _ => false,
            };
            let message = || {
                format!(
                    "unknown name `{word}`; there are in.bytes, in.count, in.<role>.bytes, in.<role>.count, event.<field>, param.<name>"
                )
            };
            return if known { Ok(Formula::Name(word)) } else { Err(Error { at: start, message: message() }) };
        }
        let function = match word.as_str() {
            "min" => Function::Min,
            "max" => Function::Max,
            "ceil" => Function::Ceil,
            _ => return Err(Error { at: start, message: format!("unknown function `{word}`; the functions are min, max, ceil") }),
        };
        let mut parts = vec![self.sum()?];
        while self.take(',') {
            parts.push(self.sum()?);
        }
        if !self.take(')') {
            return Err(self.error("`)` or `,` is missing"));
        }
        if function == Function::Ceil && parts.len() != 1 {
            return Err(Error { at: start, message: "ceil takes one value".into() });
        }
        Ok(Formula::Call(function, parts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Result<f64, String> {
        let of = |name: &str| match name {
            "in.bytes" => Some(100.0),
            "in.raw.count" => Some(4.0),
            "event.chips" => Some(12.0),
            _ => None,
        };
        Formula::parse(text).and_then(|f| f.value(&of)).map_err(|e| format!("{}: {}", e.at, e.message))
    }

    #[test]
    fn formulas_are_arithmetic_with_units() {
        for (text, wanted) in [
            ("2G + 3*in.bytes", 2.0 * 1024f64.powi(3) + 300.0),
            ("1 + 2 * 3 - 4 / 2", 5.0),
            ("(1+2)*3", 9.0),
            ("8 - 2 - 1", 5.0),
            ("min(8, event.chips)", 8.0),
            ("max(1,ceil(in.raw.count/3))", 2.0),
            ("1.5M", 1.5 * 1024.0 * 1024.0),
        ] {
            assert_eq!(value(text), Ok(wanted), "{text}");
        }
    }

    #[test]
    fn what_is_no_formula_is_refused_with_its_place() {
        for (text, at) in
            [("", 0), ("1 +", 3), ("2X", 0), ("in.foo", 0), ("1 2", 2), ("pow(2,3)", 0), ("(1", 2), ("1 + bytes", 4), ("ceil(1,2)", 0)]
        {
            assert_eq!(Formula::parse(text).map_err(|e| e.at), Err(at), "{text}");
        }
        assert!(Formula::parse(&"(".repeat(100_000)).is_err());
        assert!(value("1/0").is_err());
        assert!(value("in.other.bytes").is_err());
    }
}
