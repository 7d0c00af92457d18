//! CSV and TSV: a header line, then rows whose types are guessed from all their values.
//!
//! The table is read twice: once to find each column's narrowest type of boolean, integer, bigint, double, timestamp, text; once for its
//! values. An empty field is NULL, a quoted empty one the empty text. Digits with a leading zero, like `007`, are names and stay text.
//! CSV has quotes after RFC 4180; TSV has none. Lines may end in LF or CR LF; blank lines and lines that begin with `#` before the
//! header are passed over.

use super::value::{self, put_parsed};
use super::{Error, Limits, Opened, Opener, RowSource, Stream, guard};
use crate::schema::wire::put;
use crate::schema::{Column, DataType, Text};
use std::io::{BufRead, Read};

/// One field and whether it was quoted.
#[derive(Debug, Default, Clone)]
struct Field {
    text: Vec<u8>,
    is_quoted: bool,
}

/// One record, whose fields are used again.
#[derive(Default)]
struct Record {
    fields: Vec<Field>,
    count: usize,
}

impl Record {
    fn clear(&mut self) {
        self.count = 0;
    }

    fn next(&mut self) -> &mut Field {
        if self.count == self.fields.len() {
            self.fields.push(Field::default());
        }
        let field = &mut self.fields[self.count];
        self.count += 1;
        field.text.clear();
        field.is_quoted = false;
        field
    }

    fn fields(&self) -> &[Field] {
        &self.fields[..self.count]
    }

    fn is_blank(&self) -> bool {
        self.count == 1 && self.fields[0].text.is_empty() && !self.fields[0].is_quoted
    }
}

/// Where the reading of a record is.
#[derive(Clone, Copy, PartialEq)]
enum At {
    FieldStart,
    Plain,
    Quoted,
    /// After a quote within a quoted field: the end, or a doubled one.
    Quote,
}

/// Reads the next record; `false` at the end.
fn next_record(stream: &mut super::Guard<impl Read>, separator: u8, limits: Limits, record: &mut Record) -> Result<bool, Error> {
    stream.begin_piece();
    record.clear();
    let line = stream.place();
    let mut at = At::FieldStart;
    record.next();
    let mut is_empty = true;
    loop {
        let available = stream.fill_buf().map_err(|error| guard::error(error, &line))?;
        let Some(&byte) = available.first() else {
            return match at {
                At::Quoted => Err(Error::syntax(line, "a quoted field that begins in this record never ends")),
                _ => Ok(!is_empty),
            };
        };
        stream.consume(1);
        if byte == b'\n' && at != At::Quoted {
            return Ok(true);
        }
        is_empty = false;
        if byte == separator && at != At::Quoted {
            super::check_columns(record.count + 1, limits)?;
            record.next();
            // a whole record may be longer than one cell
            stream.begin_piece();
            at = At::FieldStart;
            continue;
        }
        let field = &mut record.fields[record.count - 1];
        at = match (at, byte) {
            (At::FieldStart, b'"') if separator == b',' => {
                field.is_quoted = true;
                At::Quoted
            }
            (At::Quoted, b'"') => At::Quote,
            (At::Quote, b'"') => {
                field.text.push(b'"');
                At::Quoted
            }
            (At::Quoted, byte) => {
                field.text.push(byte);
                At::Quoted
            }
            (_, b'\r') => at,
            (At::Quote, byte) => {
                let found = String::from_utf8_lossy(&[byte]).into_owned();
                return Err(Error::syntax(line, format!("{found:?} stands after the closing quote of a field")));
            }
            (At::FieldStart | At::Plain, byte) => {
                field.text.push(byte);
                At::Plain
            }
        };
        if field.text.len() > limits.cell_bytes {
            return Err(Error::TooLarge {
                what: "it has a value with bytes",
                most: limits.cell_bytes as u64,
                remedy: "leave that column out",
            });
        }
    }
}

/// Reads the header, passing over a byte order mark, blank lines and comments.
fn header(stream: &mut super::Guard<impl Read>, separator: u8, limits: Limits, record: &mut Record) -> Result<Vec<String>, Error> {
    loop {
        if !next_record(stream, separator, limits, record)? {
            return Err(Error::NoColumns);
        }
        let is_comment = record.fields[0].text.first() == Some(&b'#') && !record.fields[0].is_quoted;
        if !record.is_blank() && !is_comment {
            break;
        }
    }
    let name = |(index, field): (usize, &Field)| {
        let text = String::from_utf8_lossy(&field.text);
        let text = if index == 0 { text.trim_start_matches('\u{feff}') } else { &text };
        text.trim().trim_matches('"').to_owned()
    };
    Ok(record.fields().iter().enumerate().map(name).collect())
}

/// What the values of a column could all be.
#[derive(Clone, Copy)]
struct Guess {
    boolean: bool,
    integer: bool,
    bigint: bool,
    double: bool,
    timestamp: bool,
    ascii: bool,
    is_empty: bool,
}

impl Guess {
    const NEW: Guess = Guess { boolean: true, integer: true, bigint: true, double: true, timestamp: true, ascii: true, is_empty: true };

    fn see(&mut self, field: &Field) {
        self.ascii &= field.text.is_ascii();
        let text = std::str::from_utf8(&field.text).unwrap_or("");
        self.is_empty = false;
        let digits = text.trim_start_matches(['+', '-']);
        let is_name = digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit());
        let number = if is_name { None } else { Some(text) };
        self.boolean =
            self.boolean && text.len() > 1 && value::boolean(text).is_some() || self.boolean && matches!(text, "T" | "F" | "t" | "f");
        let integer = number.and_then(|text| text.parse::<i64>().ok());
        self.integer &= integer.is_some_and(|value| i32::try_from(value).is_ok());
        self.bigint &= integer.is_some();
        self.double = self.double && number.and_then(value::float).is_some_and(|text| text.parse::<f64>().is_ok());
        self.timestamp = self.timestamp && value::timestamp(text).is_some();
    }

    fn column(self, name: String) -> Column {
        let datatype = match self {
            _ if self.is_empty => DataType::Text,
            _ if self.boolean => DataType::Boolean,
            _ if self.integer => DataType::Integer,
            _ if self.bigint => DataType::Bigint,
            _ if self.double => DataType::Double,
            _ if self.timestamp => DataType::Timestamp,
            _ => DataType::Text,
        };
        Column { text: if self.ascii { Text::Ascii } else { Text::Unicode }, ..Column::new(name, datatype) }
    }
}

/// Guesses the types, then begins again.
pub fn open(mut opener: Opener, separator: u8, limits: Limits) -> Result<Opened, Error> {
    let columns = opener.again(|stream| guess(stream, separator, limits))?;
    let mut stream = opener.stream()?;
    let mut record = Record::default();
    header(&mut stream, separator, limits, &mut record)?;
    let source = Rows { stream, separator, limits, record, columns: columns.clone(), row: 0 };
    Ok(Opened { columns, name: String::new(), source: Box::new(source) })
}

fn guess(stream: &mut super::Guard<impl Read>, separator: u8, limits: Limits) -> Result<Vec<Column>, Error> {
    let mut record = Record::default();
    let names = header(stream, separator, limits, &mut record)?;
    super::check_columns(names.len(), limits)?;
    let mut guesses = vec![Guess::NEW; names.len()];
    let mut rows = 0;
    while next_record(stream, separator, limits, &mut record)? {
        rows += 1;
        if rows > limits.rows + 1 {
            break; // the second reading says it
        }
        for (field, guess) in record.fields().iter().zip(&mut guesses) {
            if field.is_quoted || !field.text.is_empty() {
                guess.see(field);
            }
        }
    }
    Ok(names.into_iter().zip(guesses).map(|(name, guess)| guess.column(name)).collect())
}

/// The rows of the second reading.
struct Rows {
    stream: Stream,
    separator: u8,
    limits: Limits,
    record: Record,
    columns: Vec<Column>,
    row: u64,
}

impl RowSource for Rows {
    fn row(&mut self, out: &mut Vec<u8>) -> Result<bool, Error> {
        let place = loop {
            let place = self.stream.place();
            if !next_record(&mut self.stream, self.separator, self.limits, &mut self.record)? {
                return Ok(false);
            }
            // a blank line is a row only where rows have one field
            if !self.record.is_blank() || self.columns.len() == 1 {
                break place;
            }
        };
        self.row += 1;
        let (found, wanted) = (self.record.count, self.columns.len());
        if found != wanted {
            return Err(Error::syntax(place, format!("row {} has {found} fields, the header has {wanted}", self.row)));
        }
        for (column, field) in self.columns.iter().zip(self.record.fields()) {
            if field.text.is_empty() && (!field.is_quoted || column.datatype != DataType::Text) {
                put(out, None);
                continue;
            }
            let text = std::str::from_utf8(&field.text);
            if !text.is_ok_and(|text| put_parsed(out, column.datatype, text)) {
                return Err(Error::Value {
                    place: format!("{place}, row {}", self.row),
                    column: column.name.clone(),
                    found: shortened(&field.text),
                    wanted: if text.is_err() { "text in UTF-8" } else { value::wanted(column) },
                });
            }
        }
        Ok(true)
    }
}

/// The beginning of a text, for messages.
pub fn shortened(text: &[u8]) -> String {
    String::from_utf8_lossy(&text[..text.len().min(60)]).into_owned()
}
