//! Tables that strangers send: VOTable, CSV, TSV, FITS and Parquet read into laid-out rows, with limits on everything.
//!
//! [`read()`](fn@read) is the one door. The rows come as [`crate::schema::wire`] has them, ready for a binary COPY. Whatever a file
//! says of itself is checked before memory is taken for it: bytes, inflated bytes, rows, columns and the size of a cell are
//! limited ([`Limits`]), XML has no DTD and no entities but its own five, and every error says where it is.
//!
//! What becomes of types that PostgreSQL has not: unsigned bytes and bits are smallint, unsigned short is integer, unsigned int bigint,
//! text with `xtype="timestamp"` is timestamp; complex numbers are refused. Arrays of several dimensions are read as one.
//! Names are kept as they are (ADQL names odd ones in double quotes); a name that comes again gets a number, `a`, `a_2`.
//!
//! Memory: a chunk of rows (64 KiB, or one row), a cell, and the reader's own buffers; for Parquet a row group's pages.

mod binary;
mod delimited;
mod fits;
mod guard;
mod parquet;
mod thrift;
mod value;
mod votable;

use crate::schema::rows::WireChunk;
use crate::schema::{Column, wire};
use guard::Guard;
use std::io::{self, BufRead, Read, Seek, SeekFrom};

/// What a table may be at most. A limit that is passed is an error that names it ([`Error::is_too_large`]).
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of the file, inflated.
    pub bytes: u64,
    /// Inflated bytes per byte of a gzip file, once it has given a megabyte.
    pub inflation: u64,
    pub rows: u64,
    pub columns: usize,
    /// Bytes of one value.
    pub cell_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { bytes: 1 << 30, inflation: 100, rows: 10_000_000, columns: 999, cell_bytes: 1 << 20 }
    }
}

/// What a table comes as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Votable,
    Csv,
    Tsv,
    Fits,
    Parquet,
}

impl Form {
    /// By the first bytes, inflated; text that is no XML is CSV, or TSV if its first line has a tab.
    pub fn of(first: &[u8]) -> Form {
        let text = first.strip_prefix(b"\xef\xbb\xbf").unwrap_or(first).trim_ascii_start();
        let line = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
        match text {
            _ if first.starts_with(b"SIMPLE  =") => Form::Fits,
            _ if first.starts_with(b"PAR1") => Form::Parquet,
            [b'<', ..] => Form::Votable,
            _ if line.contains(&b'\t') => Form::Tsv,
            _ => Form::Csv,
        }
    }
}

/// Why a table cannot be read. Messages say the place and what was wanted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the table is too large: {what} more than {most}, the limit here; {remedy}")]
    TooLarge { what: &'static str, most: u64, remedy: &'static str },
    /// The file is not what it says it is, or not whole.
    #[error("{place}: {problem}")]
    Syntax { place: String, problem: String },
    #[error("{place}, column `{column}`: {found:?} is no {wanted}")]
    Value { place: String, column: String, found: String, wanted: &'static str },
    #[error("column `{column}` is of type {found}, which is not taken here; {remedy}")]
    Type { column: String, found: String, remedy: &'static str },
    #[error("the table has no columns")]
    NoColumns,
    #[error("cannot read the table")]
    Io(#[from] io::Error),
    #[error("Parquet: {0}")]
    Parquet(String),
    #[error(transparent)]
    Wire(#[from] wire::Error),
}

impl Error {
    /// Is it a limit, which HTTP calls 413?
    pub fn is_too_large(&self) -> bool {
        matches!(self, Error::TooLarge { .. })
    }

    fn syntax(place: impl Into<String>, problem: impl Into<String>) -> Error {
        Error::Syntax { place: place.into(), problem: problem.into() }
    }
}

/// What a table is read from: a file, or bytes in memory. It is read twice where types must be guessed.
pub trait Input: Read + Seek + Send {}
impl<T: Read + Seek + Send> Input for T {}

/// Gives rows one by one.
trait RowSource: Send {
    /// Appends the next row; `false` at the end.
    fn row(&mut self, out: &mut Vec<u8>) -> Result<bool, Error>;
}

/// A table being read.
pub struct Reader {
    pub form: Form,
    pub columns: Vec<Column>,
    /// The table's own name, empty for none.
    pub name: String,
    source: Box<dyn RowSource>,
    rows: u64,
    limits: Limits,
    is_over: bool,
}

/// Opens a table and reads up to its first row. Gzip around it is taken off; `form` of `None` finds out what it is.
///
/// It blocks: call it, and the reader, from a thread of their own.
pub fn read(form: Option<Form>, input: impl Input + 'static, limits: Limits) -> Result<Reader, Error> {
    let mut opener = Opener { input: Box::new(input), limits };
    let form = match form {
        Some(form) => form,
        None => opener.form()?,
    };
    let opened = match form {
        Form::Votable => votable::open(opener.stream()?, limits)?,
        Form::Csv => delimited::open(opener, b',', limits)?,
        Form::Tsv => delimited::open(opener, b'\t', limits)?,
        Form::Fits => fits::open(opener.stream()?, limits)?,
        Form::Parquet => parquet::open(opener, limits)?,
    };
    let columns = named(opened.columns, limits)?;
    Ok(Reader { form, columns, name: opened.name, source: opened.source, rows: 0, limits, is_over: false })
}

/// What a form's own reader gives.
struct Opened {
    columns: Vec<Column>,
    name: String,
    source: Box<dyn RowSource>,
}

/// Longest name in PostgreSQL.
const NAME_MAX: usize = 63;

/// Names for those that have none, numbers for those that come again.
fn named(mut columns: Vec<Column>, limits: Limits) -> Result<Vec<Column>, Error> {
    check_columns(columns.len(), limits)?;
    let mut taken = std::collections::HashSet::new();
    for (index, column) in columns.iter_mut().enumerate() {
        let name = column.name.trim();
        let name = if name.is_empty() { format!("col_{}", index + 1) } else { name.to_owned() };
        if name.len() > NAME_MAX || name.contains('\0') {
            return Err(Error::syntax(format!("column {}", index + 1), format!("the name {name:?} is longer than {NAME_MAX} bytes")));
        }
        let mut unique = name.clone();
        let mut number = 1;
        while !taken.insert(unique.clone()) {
            number += 1;
            unique = format!("{}_{number}", &name[..name.floor_char_boundary(NAME_MAX - 5)]);
        }
        column.name = unique;
    }
    Ok(columns)
}

/// A table has columns, and not too many.
fn check_columns(count: usize, limits: Limits) -> Result<(), Error> {
    match count {
        0 => Err(Error::NoColumns),
        count if count > limits.columns => Err(Error::TooLarge {
            what: "it has columns",
            most: limits.columns as u64,
            remedy: "send only the columns that the query names",
        }),
        _ => Ok(()),
    }
}

/// Bytes after which a chunk is handed over.
const CHUNK_BYTES: usize = 64 << 10;

impl Reader {
    /// Rows handed over so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The next chunk; `None` at the end. After an error the table is over.
    pub fn next_chunk(&mut self) -> Result<Option<WireChunk>, Error> {
        if self.is_over {
            return Ok(None);
        }
        let filled = self.fill();
        self.is_over |= filled.is_err();
        filled.map(|chunk| (chunk.rows > 0).then_some(chunk))
    }

    fn fill(&mut self) -> Result<WireChunk, Error> {
        let mut chunk = WireChunk { rows: 0, bytes: Vec::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 8) };
        while chunk.bytes.len() < CHUNK_BYTES {
            if !self.source.row(&mut chunk.bytes)? {
                self.is_over = true;
                break;
            }
            chunk.rows += 1;
            self.rows += 1;
            if self.rows > self.limits.rows {
                return Err(Error::TooLarge { what: "it has rows", most: self.limits.rows, remedy: "send it in pieces" });
            }
        }
        Ok(chunk)
    }
}

impl Iterator for Reader {
    type Item = Result<WireChunk, Error>;
    fn next(&mut self) -> Option<Self::Item> {
        self.next_chunk().transpose()
    }
}

/// A stream of the input's bytes, inflated and limited.
type Stream = Guard<Box<dyn Read + Send>>;

/// Opens the input as often as it is read.
struct Opener {
    input: Box<dyn Input>,
    limits: Limits,
}

impl Opener {
    fn is_gzip(&mut self) -> io::Result<bool> {
        let mut magic = [0; 2];
        self.input.seek(SeekFrom::Start(0))?;
        let whole = self.input.read_exact(&mut magic).is_ok();
        self.input.seek(SeekFrom::Start(0))?;
        Ok(whole && magic == [0x1f, 0x8b])
    }

    /// From the beginning, for the only time.
    fn stream(mut self) -> Result<Stream, Error> {
        let is_gzip = self.is_gzip()?;
        Ok(guarded(self.input, is_gzip, self.limits))
    }

    /// From the beginning, and the input stays.
    fn again<T>(&mut self, reading: impl FnOnce(&mut Guard<Box<dyn Read + '_>>) -> Result<T, Error>) -> Result<T, Error> {
        let is_gzip = self.is_gzip()?;
        let counted: Box<dyn Read + '_> = match is_gzip {
            true => Box::new(guard::Inflated::new(&mut self.input, self.limits)),
            false => Box::new(&mut self.input),
        };
        reading(&mut Guard::new(counted, self.limits))
    }

    fn form(&mut self) -> Result<Form, Error> {
        self.again(|stream| Ok(Form::of(stream.fill_buf()?)))
    }
}

fn guarded(input: Box<dyn Input>, is_gzip: bool, limits: Limits) -> Stream {
    let counted: Box<dyn Read + Send> = if is_gzip { Box::new(guard::Inflated::new(input, limits)) } else { Box::new(input) };
    Guard::new(counted, limits)
}
