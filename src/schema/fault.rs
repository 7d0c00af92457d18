//! A fault in a file, with its place.

use std::fmt;
use std::ops::Range;

/// One file's text, and how to call the file in messages.
#[derive(Debug, Clone)]
pub struct Source {
    /// The file's stem: `catalogue`, or a table's name.
    pub stem: String,
    pub path: String,
    pub text: String,
}

/// Something wrong in a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    pub path: String,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.path, self.line, self.column, self.message)
    }
}

/// All that is wrong, ordered by file and place; shown one per line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(Fault::to_string).collect();
        write!(f, "{}", lines.join("\n"))
    }
}

impl std::error::Error for Faults {}

/// The fault at a byte range of the file's text.
pub fn fault(source: &Source, at: Range<usize>, message: String) -> Fault {
    let before = &source.text[..source.text.floor_char_boundary(at.start)];
    let line_start = before.rfind('\n').map_or(0, |i| i + 1);
    let line = before.matches('\n').count() + 1;
    Fault { path: source.path.clone(), line, column: before[line_start..].chars().count() + 1, message }
}
