//! VOTable 1.4 (or 1.5) as a stream: TABLEDATA, BINARY and BINARY2.
//!
//! One `RESOURCE` of type results, in it the notes, one `TABLE`, and after it how the query ended if it did not end well:
//! `OVERFLOW` or `ERROR`. Whatever happens, the document is well-formed and valid to its end.
//!
//! What becomes of values:
//!
//! | | TABLEDATA | BINARY | BINARY2 |
//! | --- | --- | --- | --- |
//! | NULL of an integer | empty | the type's least value, declared by `VALUES null` | flag |
//! | NULL of a float | empty | NaN | flag, NaN |
//! | NULL of a boolean | empty | `?` | flag |
//! | NULL of a text or an array | empty, as the empty one | empty, as the empty one | flag |
//! | NULL of a point or circle | NaNs | NaNs | flag, NaNs |
//! | NULL within an integer array | `VALUES null`, the type's least value, in all three | | |
//! | NaN, infinities | `NaN`, `+Inf`, `-Inf` | themselves | themselves |
//! | text of an ASCII column | `char` | `char` | `char` |
//! | other text | `unicodeChar` | UTF-16 | UTF-16 |
//! | array of texts or timestamps | one text, `{a,"b c"}` | the same | the same |
//!
//! A value that equals the declared null could not be told from NULL: the document ends with an error that names the column and
//! advises BINARY2. XML cannot hold control characters: in TABLEDATA they become U+FFFD.
//!
//! Memory: one chunk and its text.

use super::answer::Encoder;
use super::head::{Ending, Head, Info};
use super::kind::Kind;
use super::value::{self, VOTABLE};
use super::xml::{push_attribute, push_some_attribute, push_text};
use super::{Error, number};
use crate::schema::rows::WireChunk;
use crate::schema::wire::{self, Elements, fixed, since_1970};
use crate::schema::{Column, DataType, Text};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::collections::HashSet;
use std::sync::Arc;

/// Bytes of a line of base64 before it is encoded; whole groups of three.
const LINE: usize = 12 << 10;

/// Writes one VOTable.
pub struct Votable {
    head: Arc<Head>,
    columns: Arc<[Column]>,
    form: Kind,
    slots: Vec<Slot>,
    /// Binary rows that are not in a line yet.
    raw: Vec<u8>,
    scratch: Vec<u8>,
}

impl Votable {
    /// `form` is one of the three kinds of VOTable.
    pub fn new(head: Arc<Head>, columns: Arc<[Column]>, form: Kind) -> Votable {
        let slots = columns.iter().map(|column| Slot::of(column, form)).collect();
        Votable { head, columns, form, slots, raw: Vec::new(), scratch: Vec::new() }
    }
}

impl Encoder for Votable {
    fn begin(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        push_prologue(out, &self.head, &self.columns);
        push_table_head(out, &self.head, &self.columns, self.form);
        out.extend_from_slice(match self.form {
            Kind::Tabledata => b"<DATA>\n<TABLEDATA>\n".as_slice(),
            Kind::Binary => b"<DATA>\n<BINARY>\n<STREAM encoding=\"base64\">\n",
            _ => b"<DATA>\n<BINARY2>\n<STREAM encoding=\"base64\">\n",
        });
        Ok(())
    }

    fn rows(&mut self, chunk: &WireChunk, out: &mut Vec<u8>) -> Result<(), Error> {
        match self.form {
            Kind::Tabledata => self.text_rows(chunk, out),
            _ => {
                let encoded = self.binary_rows(chunk);
                let whole = self.raw.len() / LINE * LINE;
                self.raw[..whole].chunks(LINE).for_each(|line| push_base64(out, line));
                self.raw.drain(..whole);
                encoded
            }
        }
    }

    fn end(&mut self, ending: &Ending, out: &mut Vec<u8>) -> Result<bool, Error> {
        if !self.raw.is_empty() {
            push_base64(out, &self.raw);
        }
        out.extend_from_slice(match self.form {
            Kind::Tabledata => b"</TABLEDATA>\n</DATA>\n</TABLE>\n".as_slice(),
            Kind::Binary => b"</STREAM>\n</BINARY>\n</DATA>\n</TABLE>\n",
            _ => b"</STREAM>\n</BINARY2>\n</DATA>\n</TABLE>\n",
        });
        if *ending != Ending::Complete {
            push_status(out, ending.status(), ending.text(&self.head));
        }
        push_epilogue(out, &self.head);
        Ok(true)
    }
}

/// One line of base64; padding comes only with the last one, as a line has whole groups of three bytes.
fn push_base64(out: &mut Vec<u8>, raw: &[u8]) {
    let (at, size) = (out.len(), raw.len().div_ceil(3) * 4);
    out.resize(at + size, b'\n');
    STANDARD.encode_slice(raw, &mut out[at..]).expect("the slice has the size of the text");
    out.push(b'\n');
}

/// The whole document with its columns but no data: the answer of a query that is not asked for rows, or what Parquet carries.
pub fn bare_document(head: &Head, columns: &[Column], ending: &Ending) -> Vec<u8> {
    let mut out = Vec::new();
    push_prologue(&mut out, head, columns);
    push_table_head(&mut out, head, columns, Kind::Tabledata);
    out.extend_from_slice(b"</TABLE>\n");
    if *ending != Ending::Complete {
        push_status(&mut out, ending.status(), ending.text(head));
    }
    push_epilogue(&mut out, head);
    out
}

/// A document that says an error and holds no table (DALI 1.1, section 4.4).
pub fn error_document(message: &str, infos: &[Info]) -> Vec<u8> {
    let mut out = Vec::new();
    push_root(&mut out, &Head::default());
    out.extend_from_slice(b"<RESOURCE type=\"results\">\n");
    push_status(&mut out, "ERROR", message);
    infos.iter().for_each(|info| push_info(&mut out, info));
    out.extend_from_slice(b"</RESOURCE>\n</VOTABLE>\n");
    out
}

fn push_root(out: &mut Vec<u8>, head: &Head) {
    out.extend_from_slice(b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<VOTABLE");
    push_attribute(out, "version", head.version.name());
    push_attribute(out, "xmlns", "http://www.ivoa.net/xml/VOTable/v1.3");
    push_attribute(out, "xmlns:xsi", "http://www.w3.org/2001/XMLSchema-instance");
    push_attribute(out, "xsi:schemaLocation", "http://www.ivoa.net/xml/VOTable/v1.3 http://www.ivoa.net/xml/VOTable/votable-1.4.xsd");
    out.extend_from_slice(b">\n");
}

fn push_prologue(out: &mut Vec<u8>, head: &Head, columns: &[Column]) {
    push_root(out, head);
    out.extend_from_slice(b"<RESOURCE type=\"results\">\n");
    push_status(out, "OK", "");
    head.infos.iter().for_each(|info| push_info(out, info));
    push_systems(out, head, columns);
    for parameter in &head.parameters {
        out.extend_from_slice(parameter.as_bytes());
        out.push(b'\n');
    }
}

fn push_status(out: &mut Vec<u8>, value: &str, text: &str) {
    push_info(out, &Info { name: "QUERY_STATUS".into(), value: value.into(), text: text.into() });
}

fn push_info(out: &mut Vec<u8>, info: &Info) {
    out.extend_from_slice(b"<INFO");
    push_attribute(out, "name", &info.name);
    push_attribute(out, "value", &info.value);
    if info.text.is_empty() {
        return out.extend_from_slice(b"/>\n");
    }
    out.push(b'>');
    push_text(out, &info.text);
    out.extend_from_slice(b"</INFO>\n");
}

fn push_epilogue(out: &mut Vec<u8>, head: &Head) {
    out.extend_from_slice(b"</RESOURCE>\n");
    for resource in &head.resources {
        out.extend_from_slice(resource.as_bytes());
        out.push(b'\n');
    }
    out.extend_from_slice(b"</VOTABLE>\n");
}

/// The frame that a column's values are measured in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum System {
    /// Positions, shapes and proper motions.
    Sky,
    /// Days since 1858-11-17.
    Mjd,
    /// Instants.
    Iso,
}

impl System {
    const ALL: [System; 3] = [System::Sky, System::Mjd, System::Iso];

    /// By UCD, xtype and type; times in days are MJD where name or description says so.
    fn of(column: &Column) -> Option<System> {
        let word = column.ucd.split(';').next().unwrap_or("").trim();
        let is_float = matches!(column.datatype, DataType::Real | DataType::Double);
        if is_float
            && (word.starts_with("pos.eq") || word.starts_with("pos.pm") || ["point", "circle", "polygon"].contains(&&*column.xtype))
        {
            return Some(System::Sky);
        }
        if column.datatype == DataType::Timestamp && !column.array {
            return Some(System::Iso);
        }
        let says_mjd = [&column.name, &column.description].iter().any(|text| text.to_ascii_lowercase().contains("mjd"));
        let is_time = ["time.epoch", "time.start", "time.end", "time.release"].iter().any(|time| word.starts_with(time));
        (is_float && is_time && says_mjd).then_some(System::Mjd)
    }

    const fn id(self) -> &'static str {
        match self {
            System::Sky => "sys-sky",
            System::Mjd => "sys-mjd",
            System::Iso => "sys-iso",
        }
    }
}

/// COOSYS and TIMESYS, those that a column refers to.
fn push_systems(out: &mut Vec<u8>, head: &Head, columns: &[Column]) {
    let frame = &head.frame;
    for system in System::ALL.into_iter().filter(|system| columns.iter().any(|column| System::of(column) == Some(*system))) {
        out.extend_from_slice(if system == System::Sky { b"<COOSYS".as_slice() } else { b"<TIMESYS" });
        push_attribute(out, "ID", system.id());
        match system {
            System::Sky => {
                push_attribute(out, "system", &frame.system);
                push_some_attribute(out, "epoch", &frame.epoch);
            }
            System::Mjd | System::Iso => {
                push_attribute(out, "timescale", &frame.timescale);
                push_attribute(out, "refposition", &frame.refposition);
                if system == System::Mjd {
                    push_attribute(out, "timeorigin", "MJD-origin");
                }
            }
        }
        out.extend_from_slice(b"/>\n");
    }
}

/// The `ID` of each FIELD, for what refers to columns: the column's name where XML allows it and no earlier column has it.
pub fn field_ids(columns: &[Column]) -> Vec<Option<&str>> {
    let is_id = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
            && System::ALL.iter().all(|system| system.id() != name)
    };
    let mut seen = HashSet::new();
    columns.iter().map(|column| (is_id(&column.name) && seen.insert(&*column.name)).then_some(&*column.name)).collect()
}

fn push_table_head(out: &mut Vec<u8>, head: &Head, columns: &[Column], form: Kind) {
    out.extend_from_slice(b"<TABLE");
    push_some_attribute(out, "name", &head.name);
    out.extend_from_slice(b">\n");
    push_description(out, &head.description);
    for (column, id) in columns.iter().zip(field_ids(columns)) {
        push_field(out, column, id, form);
    }
}

fn push_description(out: &mut Vec<u8>, text: &str) {
    if !text.is_empty() {
        out.extend_from_slice(b"<DESCRIPTION>");
        push_text(out, text);
        out.extend_from_slice(b"</DESCRIPTION>\n");
    }
}

fn push_field(out: &mut Vec<u8>, column: &Column, id: Option<&str>, form: Kind) {
    let (datatype, arraysize, xtype) = column.votable();
    out.extend_from_slice(b"<FIELD");
    push_some_attribute(out, "ID", id.unwrap_or(""));
    push_attribute(out, "name", &column.name);
    push_attribute(out, "datatype", datatype);
    for (name, value) in
        [("arraysize", arraysize), ("unit", &column.unit), ("ucd", &column.ucd), ("utype", &column.utype), ("xtype", xtype)]
    {
        push_some_attribute(out, name, value);
    }
    if let Some(system) = System::of(column) {
        push_attribute(out, "ref", system.id());
    }
    let null = declared_null(column, form);
    if column.description.is_empty() && null.is_none() {
        return out.extend_from_slice(b"/>\n");
    }
    out.extend_from_slice(b">\n");
    push_description(out, &column.description);
    if let Some(null) = null {
        out.extend_from_slice(b"<VALUES null=\"");
        number::push_integer(out, null);
        out.extend_from_slice(b"\"/>\n");
    }
    out.extend_from_slice(b"</FIELD>\n");
}

/// The integer that stands for NULL where the form has no other way.
fn declared_null(column: &Column, form: Kind) -> Option<i64> {
    let needed = form == Kind::Binary || column.array;
    least(column.datatype).filter(|_| needed)
}

/// The least value of an integer type.
pub fn least(datatype: DataType) -> Option<i64> {
    match datatype {
        DataType::Smallint => Some(i64::from(i16::MIN)),
        DataType::Integer => Some(i64::from(i32::MIN)),
        DataType::Bigint => Some(i64::MIN),
        DataType::Boolean | DataType::Real | DataType::Double | DataType::Text | DataType::Timestamp => None,
    }
}

/// How a column's values are written in binary.
#[derive(Debug, Clone)]
enum Slot {
    /// `width` bytes as they came; `null` stands for NULL, and may not come as a value where it is declared.
    Fixed {
        width: usize,
        null: [u8; 8],
        is_declared: bool,
    },
    Boolean,
    Letter,
    Ascii,
    Unicode,
    Timestamp,
    /// Elements, with their number before them if it is not fixed.
    List {
        element: Box<Slot>,
        size: Option<usize>,
    },
    /// An array as one text.
    Braces {
        datatype: DataType,
        is_unicode: bool,
    },
}

impl Slot {
    fn of(column: &Column, form: Kind) -> Slot {
        let is_declared = declared_null(column, form).is_some();
        let scalar = match (column.datatype, column.text) {
            (DataType::Boolean, _) => Slot::Boolean,
            (DataType::Text, Text::Letter) => Slot::Letter,
            (DataType::Text, Text::Ascii) => Slot::Ascii,
            (DataType::Text, Text::Unicode) => Slot::Unicode,
            (DataType::Timestamp, _) => Slot::Timestamp,
            (DataType::Smallint, _) => Slot::fixed(i16::MIN.to_be_bytes(), is_declared, is_declared),
            (DataType::Integer, _) => Slot::fixed(i32::MIN.to_be_bytes(), is_declared, is_declared),
            (DataType::Bigint, _) => Slot::fixed(i64::MIN.to_be_bytes(), is_declared, is_declared),
            (DataType::Real, _) => Slot::fixed(f32::NAN.to_be_bytes(), true, false),
            (DataType::Double, _) => Slot::fixed(f64::NAN.to_be_bytes(), true, false),
        };
        match (column.array, column.datatype) {
            (false, _) => scalar,
            (true, DataType::Text | DataType::Timestamp) => {
                Slot::Braces { datatype: column.datatype, is_unicode: column.votable().0 == "unicodeChar" }
            }
            (true, _) => Slot::List { element: Box::new(scalar), size: column.votable().1.parse().ok() },
        }
    }

    /// NULL is written as `null`, or as zeros.
    fn fixed<const N: usize>(null: [u8; N], is_written: bool, is_declared: bool) -> Slot {
        let mut bytes = [0; 8];
        if is_written {
            bytes[..N].copy_from_slice(&null);
        }
        Slot::Fixed { width: N, null: bytes, is_declared }
    }

    /// Appends a value, or what stands for NULL.
    #[inline]
    fn push(&self, value: Option<&[u8]>, out: &mut Vec<u8>, scratch: &mut Vec<u8>) -> Result<(), Problem> {
        match (self, value) {
            (Slot::Fixed { width, null, is_declared }, Some(value)) => {
                if value.len() != *width {
                    return Err(Problem::Wire(wire::Error::Short));
                }
                if *is_declared && value == &null[..*width] {
                    return Err(Problem::Null);
                }
                out.extend_from_slice(value);
            }
            (Slot::Fixed { width, null, .. }, None) => out.extend_from_slice(&null[..*width]),
            (Slot::Boolean, value) => out.push(match value {
                None => b'?',
                Some([0]) => b'F',
                Some(_) => b'T',
            }),
            (Slot::Letter, value) => out.push(value.and_then(|text| text.first().copied()).unwrap_or(0)),
            (Slot::Ascii, value) => push_counted(out, value.unwrap_or_default()),
            (Slot::Unicode, value) => push_utf16(out, value.unwrap_or_default()),
            (Slot::Timestamp, None) => push_counted(out, b""),
            (Slot::Timestamp, Some(value)) => {
                scratch.clear();
                number::push_timestamp(scratch, since_1970(i64::from_be_bytes(fixed(value, DataType::Timestamp)?)));
                push_counted(out, scratch);
            }
            (Slot::List { element, size }, value) => push_list(element, *size, value, out, scratch)?,
            (Slot::Braces { datatype, is_unicode }, value) => {
                scratch.clear();
                if let Some(value) = value {
                    value::push_braces(scratch, *datatype, value, VOTABLE)?;
                }
                if *is_unicode { push_utf16(out, scratch) } else { push_counted(out, scratch) }
            }
        }
        Ok(())
    }
}

/// Why a value cannot be written.
enum Problem {
    Wire(wire::Error),
    /// It is the one that stands for NULL.
    Null,
    /// The array does not have this number of elements.
    Size(usize),
}

impl From<wire::Error> for Problem {
    fn from(error: wire::Error) -> Problem {
        Problem::Wire(error)
    }
}

impl Problem {
    fn of(self, column: &Column) -> Error {
        match self {
            Problem::Wire(error) => wire::named(error, column).into(),
            Problem::Null => Error::Null { column: column.name.clone(), value: least(column.datatype).unwrap_or_default() },
            Problem::Size(wanted) => Error::Size { column: column.name.clone(), wanted },
        }
    }
}

fn push_list(element: &Slot, size: Option<usize>, value: Option<&[u8]>, out: &mut Vec<u8>, scratch: &mut Vec<u8>) -> Result<(), Problem> {
    let Some(value) = value else {
        match size {
            None => out.extend_from_slice(&[0; 4]),
            Some(size) => (0..size).try_for_each(|_| element.push(None, out, scratch))?,
        }
        return Ok(());
    };
    let elements = Elements::of(value)?;
    match size {
        None => out.extend_from_slice(&(elements.length as u32).to_be_bytes()),
        Some(size) if size == elements.length => {}
        Some(size) => return Err(Problem::Size(size)),
    }
    for value in elements {
        element.push(value?, out, scratch)?;
    }
    Ok(())
}

fn push_counted(out: &mut Vec<u8>, text: &[u8]) {
    out.extend_from_slice(&(text.len() as u32).to_be_bytes());
    out.extend_from_slice(text);
}

/// The number of UTF-16 units, then the units.
fn push_utf16(out: &mut Vec<u8>, text: &[u8]) {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    match text.is_ascii() {
        true => out.extend(text.iter().flat_map(|&byte| [0, byte])),
        false => out.extend(String::from_utf8_lossy(text).encode_utf16().flat_map(u16::to_be_bytes)),
    }
    let units = ((out.len() - at - 4) / 2) as u32;
    out[at..at + 4].copy_from_slice(&units.to_be_bytes());
}

impl Votable {
    /// Adds rows to `raw`; after an error the last whole row stands there.
    fn binary_rows(&mut self, chunk: &WireChunk) -> Result<(), Error> {
        let mut rest = chunk.bytes.as_slice();
        let flags = if self.form == Kind::Binary2 { self.slots.len().div_ceil(8) } else { 0 };
        self.raw.reserve(2 * chunk.bytes.len());
        for _ in 0..chunk.rows {
            let at = self.raw.len();
            self.raw.resize(at + flags, 0);
            if let Err(error) = self.binary_row(&mut rest, at, flags > 0) {
                self.raw.truncate(at);
                return Err(error);
            }
        }
        Ok(())
    }

    #[inline]
    fn binary_row(&mut self, rest: &mut &[u8], at: usize, has_flags: bool) -> Result<(), Error> {
        for (index, slot) in self.slots.iter().enumerate() {
            let value = wire::take(rest)?;
            if value.is_none() && has_flags {
                self.raw[at + index / 8] |= 0x80 >> (index % 8);
            }
            slot.push(value, &mut self.raw, &mut self.scratch).map_err(|problem| problem.of(&self.columns[index]))?;
        }
        Ok(())
    }

    fn text_rows(&mut self, chunk: &WireChunk, out: &mut Vec<u8>) -> Result<(), Error> {
        let mut rest = chunk.bytes.as_slice();
        out.reserve(2 * chunk.bytes.len());
        for _ in 0..chunk.rows {
            let at = out.len();
            if let Err(error) = self.text_row(&mut rest, out) {
                out.truncate(at);
                return Err(error);
            }
        }
        Ok(())
    }

    fn text_row(&mut self, rest: &mut &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        out.extend_from_slice(b"<TR>");
        for column in self.columns.iter() {
            let Some(value) = wire::take(rest)? else {
                // a cell of fixed size is never empty (STILTS reads it so); DALI has NaN for a point that is not there
                match (column.array, column.votable().1) {
                    (true, "2") => out.extend_from_slice(b"<TD>NaN NaN</TD>"),
                    (true, "3") => out.extend_from_slice(b"<TD>NaN NaN NaN</TD>"),
                    _ => out.extend_from_slice(b"<TD/>"),
                }
                continue;
            };
            out.extend_from_slice(b"<TD>");
            match (column.array, column.datatype) {
                (true, DataType::Text | DataType::Timestamp) => {
                    self.scratch.clear();
                    value::push_braces(&mut self.scratch, column.datatype, value, VOTABLE).map_err(|error| wire::named(error, column))?;
                    push_text(out, &String::from_utf8_lossy(&self.scratch));
                }
                (true, _) => push_spaced(out, column, value).map_err(|problem| problem.of(column))?,
                (false, DataType::Text) => push_text(out, &String::from_utf8_lossy(value)),
                (false, _) => value::push_text(out, column, value, VOTABLE)?,
            }
            out.extend_from_slice(b"</TD>");
        }
        out.extend_from_slice(b"</TR>\n");
        Ok(())
    }
}

/// The elements of an array of numbers or booleans with blanks between them.
fn push_spaced(out: &mut Vec<u8>, column: &Column, value: &[u8]) -> Result<(), Problem> {
    let elements = Elements::of(value)?;
    if let Some(wanted) = column.votable().1.parse().ok().filter(|&wanted: &usize| wanted != elements.length) {
        return Err(Problem::Size(wanted));
    }
    for (index, element) in elements.enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        match (element?, least(column.datatype)) {
            (Some(element), least) => {
                let at = out.len();
                value::push_scalar(out, column.datatype, element, VOTABLE)?;
                if least.is_some_and(|least| out[at] == b'-' && least.to_string().as_bytes() == &out[at..]) {
                    return Err(Problem::Null);
                }
            }
            (None, Some(least)) => number::push_integer(out, least),
            (None, None) => out.extend_from_slice(if column.datatype == DataType::Boolean { b"?" } else { b"NaN" }),
        }
    }
    Ok(())
}
