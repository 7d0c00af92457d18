//! Writes FITS binary tables as a stream: header cards, big-endian rows, padding.
//!
//! [`TableFile`] puts an empty primary HDU and one `BINTABLE` on any `Write`. Rows come as bytes that the caller has put
//! together with [`Row`], so that nothing is held but the caller's buffer. The number of rows must be known before the
//! first (a gzip stream cannot be patched); `finish` refuses to end a table that has another number.
//!
//! Cards look as astropy writes them (FITS 4.0, sections 4.2 and 7.3): strings padded to 8 characters in quotes, other
//! values right-aligned to column 30, mandatory keywords with their usual comments, no date and no checksum, so that the
//! same table is always the same bytes.

use std::io::{self, Write};

const BLOCK: usize = 2880;
const CARD: usize = 80;

/// What one table column holds: the letters of `TFORMn`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Logical, one byte `T` or `F`.
    L,
    /// 16-bit integer.
    I,
    /// 32-bit integer.
    J,
    /// 64-bit integer.
    K,
    /// 32-bit float.
    E,
    /// 64-bit float.
    D,
    /// Text of this many bytes.
    A(usize),
}

impl Form {
    /// Bytes that one value takes in a row.
    pub fn width(self) -> usize {
        match self {
            Form::L => 1,
            Form::I => 2,
            Form::J | Form::E => 4,
            Form::K | Form::D => 8,
            Form::A(width) => width,
        }
    }

    fn tform(self) -> String {
        match self {
            Form::L => "L".into(),
            Form::I => "I".into(),
            Form::J => "J".into(),
            Form::K => "K".into(),
            Form::E => "E".into(),
            Form::D => "D".into(),
            Form::A(width) => format!("{width}A"),
        }
    }
}

/// A table column: its `TTYPEn` and its `TFORMn`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub form: Form,
}

impl Column {
    pub fn new(name: impl Into<String>, form: Form) -> Self {
        Column { name: name.into(), form }
    }
}

/// The value of a header card.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Logical(bool),
    Integer(i64),
    /// A float with this many decimals, so that the card says what was meant and no more.
    Float(f64, usize),
    Text(String),
}

/// One header card of 80 characters.
#[derive(Debug, Clone, PartialEq)]
pub struct Card {
    pub key: String,
    pub value: Value,
    pub comment: String,
}

impl Card {
    pub fn new(key: impl Into<String>, value: Value, comment: &str) -> Self {
        Card { key: key.into(), value, comment: comment.into() }
    }

    /// The card as it stands in a header.
    ///
    /// # Panics
    /// When the keyword has more than 8 characters or the value does not fit: cards are written by this program, not by users.
    pub fn line(&self) -> String {
        let value = match &self.value {
            Value::Logical(yes) => format!("{:>20}", if *yes { "T" } else { "F" }),
            Value::Integer(number) => format!("{number:>20}"),
            Value::Float(number, decimals) => format!("{number:>20.decimals$}"),
            Value::Text(text) => format!("{:<20}", format!("'{:<8}'", text.replace('\'', "''"))),
        };
        let mut line = format!("{:<8}= {value}", self.key);
        if !self.comment.is_empty() {
            line.push_str(" / ");
            line.push_str(&self.comment);
        }
        assert!(self.key.len() <= 8 && line.len() <= CARD && line.is_ascii(), "not a FITS card: {line}");
        format!("{line:<CARD$}")
    }
}

fn header(cards: &[Card]) -> Vec<u8> {
    let mut bytes: Vec<u8> = cards.iter().flat_map(|card| card.line().into_bytes()).collect();
    bytes.extend_from_slice(format!("{:<CARD$}", "END").as_bytes());
    bytes.resize(bytes.len().next_multiple_of(BLOCK), b' ');
    bytes
}

fn primary_header() -> Vec<u8> {
    header(&[
        Card::new("SIMPLE", Value::Logical(true), "conforms to FITS standard"),
        Card::new("BITPIX", Value::Integer(8), "array data type"),
        Card::new("NAXIS", Value::Integer(0), "number of array dimensions"),
        Card::new("EXTEND", Value::Logical(true), ""),
    ])
}

/// Bytes of one row of these columns.
pub fn row_width(columns: &[Column]) -> usize {
    columns.iter().map(|column| column.form.width()).sum()
}

fn table_header(columns: &[Column], rows: u64, extra: &[Card]) -> Vec<u8> {
    let mut cards = vec![
        Card::new("XTENSION", Value::Text("BINTABLE".into()), "binary table extension"),
        Card::new("BITPIX", Value::Integer(8), "array data type"),
        Card::new("NAXIS", Value::Integer(2), "number of array dimensions"),
        Card::new("NAXIS1", Value::Integer(row_width(columns) as i64), "length of dimension 1"),
        Card::new("NAXIS2", Value::Integer(rows as i64), "length of dimension 2"),
        Card::new("PCOUNT", Value::Integer(0), "number of group parameters"),
        Card::new("GCOUNT", Value::Integer(1), "number of groups"),
        Card::new("TFIELDS", Value::Integer(columns.len() as i64), "number of table fields"),
    ];
    for (n, column) in (1..).zip(columns) {
        cards.push(Card::new(format!("TTYPE{n}"), Value::Text(column.name.clone()), ""));
        cards.push(Card::new(format!("TFORM{n}"), Value::Text(column.form.tform()), ""));
    }
    cards.extend_from_slice(extra);
    header(&cards)
}

/// The primary header and the table's. Their length does not depend on `rows`: who learns that number at the end writes them again.
pub fn headers(columns: &[Column], rows: u64, cards: &[Card]) -> Vec<u8> {
    let mut bytes = primary_header();
    bytes.extend(table_header(columns, rows, cards));
    bytes
}

/// The zeros that fill the last block after so many bytes of rows.
pub fn padding(bytes: u64) -> Vec<u8> {
    vec![0; (bytes.next_multiple_of(BLOCK as u64) - bytes) as usize]
}

/// A FITS file with one binary table, being written.
pub struct TableFile<W: Write> {
    out: W,
    expected_bytes: u64,
    written_bytes: u64,
}

impl<W: Write> TableFile<W> {
    /// Writes the headers. `rows` is the number of rows that will follow; `cards` come after the column descriptions.
    pub fn create(mut out: W, columns: &[Column], rows: u64, cards: &[Card]) -> io::Result<Self> {
        if columns.len() > 999 {
            return Err(io::Error::other(format!("a FITS table has at most 999 columns, not {}", columns.len())));
        }
        out.write_all(&headers(columns, rows, cards))?;
        Ok(TableFile { out, expected_bytes: rows * row_width(columns) as u64, written_bytes: 0 })
    }

    /// Appends whole rows as they stand in the file.
    pub fn write_rows(&mut self, rows: &[u8]) -> io::Result<()> {
        self.written_bytes += rows.len() as u64;
        self.out.write_all(rows)
    }

    /// Pads to a whole block, flushes, and gives the writer back.
    ///
    /// # Errors
    /// When the rows written are not as many as the header says.
    pub fn finish(mut self) -> io::Result<W> {
        if self.written_bytes != self.expected_bytes {
            let (got, wanted) = (self.written_bytes, self.expected_bytes);
            return Err(io::Error::other(format!("the table header promises {wanted} bytes of rows, {got} were written")));
        }
        self.out.write_all(&padding(self.written_bytes))?;
        self.out.flush()?;
        Ok(self.out)
    }
}

/// Values put one after another in FITS byte order; the caller keeps to its columns' order and forms.
#[derive(Debug, Default)]
pub struct Row(Vec<u8>);

impl Row {
    pub fn with_capacity(bytes: usize) -> Self {
        Row(Vec::with_capacity(bytes))
    }
    pub fn l(&mut self, value: bool) {
        self.0.push(if value { b'T' } else { b'F' });
    }
    pub fn i(&mut self, value: i16) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }
    pub fn j(&mut self, value: i32) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }
    pub fn k(&mut self, value: i64) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }
    pub fn e(&mut self, value: f32) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }
    pub fn d(&mut self, value: f64) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }
    /// Text cut or padded with NUL to `width` bytes.
    pub fn a(&mut self, value: &str, width: usize) {
        let end = self.0.len() + width;
        self.0.extend(value.bytes().take(width));
        self.0.resize(end, 0);
    }
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
    pub fn len(&self) -> usize {
        self.0.len()
    }
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    pub fn clear(&mut self) {
        self.0.clear();
    }
}
