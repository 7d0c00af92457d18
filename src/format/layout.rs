//! Where the values lie in a raw big-endian row: the names, types, offsets and scalings of a binary table's columns.

use std::collections::HashMap;

/// The binary table types (FITS standard 4.0, table 18), with what cannot be loaded as the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RawKind {
    /// `L`: the characters T and F, 0 for undefined.
    Logical,
    /// `X`: bits, packed.
    Bit,
    /// `B`: unsigned byte.
    Byte,
    /// `I`
    Short,
    /// `J`
    Int,
    /// `K`
    Long,
    /// `E`
    Float,
    /// `D`
    Double,
    /// `A`: one string of `repeat` bytes.
    Char,
    /// `C`, `M`, `P`, `Q`: complex numbers and variable-length arrays.
    Other(char),
}

impl RawKind {
    pub fn from_letter(letter: char) -> Option<RawKind> {
        Some(match letter {
            'L' => RawKind::Logical,
            'X' => RawKind::Bit,
            'B' => RawKind::Byte,
            'I' => RawKind::Short,
            'J' => RawKind::Int,
            'K' => RawKind::Long,
            'E' => RawKind::Float,
            'D' => RawKind::Double,
            'A' => RawKind::Char,
            'C' | 'M' | 'P' | 'Q' => RawKind::Other(letter),
            _ => return None,
        })
    }

    pub fn letter(self) -> char {
        match self {
            RawKind::Logical => 'L',
            RawKind::Bit => 'X',
            RawKind::Byte => 'B',
            RawKind::Short => 'I',
            RawKind::Int => 'J',
            RawKind::Long => 'K',
            RawKind::Float => 'E',
            RawKind::Double => 'D',
            RawKind::Char => 'A',
            RawKind::Other(c) => c,
        }
    }

    /// Bytes that `repeat` elements take in a row.
    pub fn bytes(self, repeat: usize) -> usize {
        match self {
            RawKind::Logical | RawKind::Byte | RawKind::Char => repeat,
            RawKind::Bit => repeat.div_ceil(8),
            RawKind::Short => 2 * repeat,
            RawKind::Int | RawKind::Float => 4 * repeat,
            RawKind::Long | RawKind::Double | RawKind::Other('C' | 'P') => 8 * repeat,
            RawKind::Other(_) => 16 * repeat,
        }
    }

    pub fn is_integer(self) -> bool {
        matches!(self, RawKind::Byte | RawKind::Short | RawKind::Int | RawKind::Long)
    }
}

/// One column of a raw row.
#[derive(Debug, Clone, PartialEq)]
pub struct RawColumn {
    /// TTYPE as it stands in the file.
    pub name: String,
    pub kind: RawKind,
    /// Elements in a cell; for [`RawKind::Char`] the bytes of the string.
    pub repeat: usize,
    /// Byte offset in the row.
    pub offset: usize,
    /// TSCAL; the value is `zero + scale * stored`.
    pub scale: f64,
    /// TZERO; 32768 and its like make unsigned integers.
    pub zero: f64,
    /// TNULL: the stored integer that means undefined.
    pub null: Option<i64>,
    /// TUNIT.
    pub unit: String,
}

impl RawColumn {
    pub fn is_scaled(&self) -> bool {
        self.scale != 1.0 || self.zero != 0.0
    }

    /// `K`, `3E`, `16A`: the TFORM in short.
    pub fn form(&self) -> String {
        if self.repeat == 1 { self.kind.letter().to_string() } else { format!("{}{}", self.repeat, self.kind.letter()) }
    }
}

/// The columns of a row, found by name whatever the case.
#[derive(Debug, Clone, Default)]
pub struct Layout {
    pub columns: Vec<RawColumn>,
    pub row_bytes: usize,
    by_name: HashMap<String, usize>,
}

impl Layout {
    /// Columns with their offsets set; a name that comes twice is found at its first place, as CFITSIO does.
    pub fn new(columns: Vec<RawColumn>, row_bytes: usize) -> Layout {
        let mut by_name = HashMap::new();
        for (i, column) in columns.iter().enumerate() {
            by_name.entry(column.name.to_ascii_lowercase()).or_insert(i);
        }
        Layout { columns, row_bytes, by_name }
    }

    pub fn find(&self, name: &str) -> Option<&RawColumn> {
        self.by_name.get(&name.to_ascii_lowercase()).map(|&i| &self.columns[i])
    }

    pub fn index(&self, name: &str) -> Option<usize> {
        self.by_name.get(&name.to_ascii_lowercase()).copied()
    }

    /// The column names nearest to `name` by spelling, for error messages.
    pub fn nearest(&self, name: &str) -> Option<&str> {
        let wanted = name.to_ascii_lowercase();
        let scored = self.columns.iter().map(|c| (distance(&wanted, &c.name.to_ascii_lowercase()), c.name.as_str()));
        scored.filter(|&(d, _)| d <= 1 + wanted.len() / 4).min_by_key(|&(d, _)| d).map(|(_, name)| name)
    }
}

/// Levenshtein distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &cb) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(ca != cb);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
