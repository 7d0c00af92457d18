//! VOTable of any serialisation, as a stream: the first TABLE of the document.
//!
//! TABLEDATA, BINARY, BINARY2 (base64) and FITS (base64) are read where they stand; data behind an `href` is refused. A document type
//! declaration is refused, and so is every entity but XML's own five and character references. No element, attribute or text may be
//! longer than a cell may be.
//!
//! NULL is an empty cell, the integer that VALUES declares, a flag of BINARY2; an empty text is NULL but in BINARY2, which has flags.
//! NaN stays NaN.

use super::binary::{Count, Field, Place, Scale, Stored};
use super::value::{self, put_parsed};
use super::{Error, Limits, Opened, RowSource, Stream, guard};
use crate::schema::wire::{begin_array, end_array, put};
use crate::schema::{Column, DataType, Text};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use quick_xml::Reader as Xml;
use quick_xml::events::{BytesRef, BytesStart, Event};
use std::io::{self, BufRead, Read};

/// Elements within elements.
const DEEPEST: usize = 64;

/// Reads the head of the document up to the first row.
pub fn open(stream: Stream, limits: Limits) -> Result<Opened, Error> {
    let mut document = Document { xml: Xml::from_reader(stream), buffer: Vec::new(), depth: 0, limits };
    document.xml.config_mut().expand_empty_elements = true;
    let mut head = TableHead::default();
    let data = document.head(&mut head)?;
    let columns: Vec<Column> = head.fields.iter().map(|field| field.column.clone()).collect();
    let source: Box<dyn RowSource> = match data {
        Data::None => Box::new(NoRows),
        Data::Tabledata => Box::new(Cells { document, fields: head.fields, row: 0, text: String::new() }),
        Data::Binary { has_flags } => {
            let mut fields = head.fields;
            fields.iter_mut().for_each(|field| field.empty_is_null = !has_flags);
            let input = Base64 { inner: document.xml.into_inner(), pending: Vec::new(), decoded: Vec::new(), at: 0, is_over: false };
            Box::new(BinaryRows { input, fields, has_flags, row: 0, buffer: Vec::new(), limits })
        }
        Data::Fits => {
            let input = Base64 { inner: document.xml.into_inner(), pending: Vec::new(), decoded: Vec::new(), at: 0, is_over: false };
            let stream = guard::Guard::new(Box::new(input) as Box<dyn Read + Send>, limits);
            return super::fits::open(stream, limits);
        }
    };
    Ok(Opened { columns, name: head.name, source })
}

/// Where the rows are.
enum Data {
    None,
    Tabledata,
    Binary { has_flags: bool },
    Fits,
}

#[derive(Default)]
struct TableHead {
    name: String,
    fields: Vec<Field>,
}

/// The parser with its limits.
struct Document {
    xml: Xml<Stream>,
    buffer: Vec<u8>,
    depth: usize,
    limits: Limits,
}

impl Document {
    /// The next event. What cannot be in a table is refused here.
    fn next(&mut self) -> Result<Event<'_>, Error> {
        self.buffer.clear();
        self.xml.get_mut().begin_piece();
        let place = self.xml.get_mut().place();
        let event = self.xml.read_event_into(&mut self.buffer).map_err(|error| match error {
            quick_xml::Error::Io(error) => match std::sync::Arc::try_unwrap(error) {
                Ok(error) => guard::error(error, &place),
                Err(error) => Error::syntax(&*place, error.to_string()),
            },
            error => Error::syntax(&*place, format!("not well-formed XML: {error}")),
        })?;
        match &event {
            Event::DocType(_) => return Err(Error::syntax(place, "a document type declaration; VOTable needs none, and none is taken")),
            Event::Start(_) => self.depth += 1,
            Event::End(_) => self.depth = self.depth.saturating_sub(1),
            Event::Eof => return Err(Error::syntax(place, "the document ends within its elements")),
            _ => {}
        }
        if self.depth > DEEPEST {
            return Err(Error::syntax(place, format!("elements within elements, more than {DEEPEST} deep")));
        }
        Ok(event)
    }

    fn place(&mut self) -> String {
        self.xml.get_mut().place()
    }

    /// Reads to the first row.
    fn head(&mut self, head: &mut TableHead) -> Result<Data, Error> {
        let mut has_root = false;
        let mut in_table = false;
        let mut text: Option<String> = None;
        let mut binary = None;
        loop {
            let place = self.place();
            let (limits, is_outside) = (self.limits, self.depth == 0);
            let event = match self.next() {
                Err(Error::Syntax { .. }) if has_root && is_outside => return self.end_of_head(head, in_table),
                event => event?,
            };
            match event {
                Event::Start(element) => match (element.local_name().as_ref(), has_root) {
                    ("VOTABLE", _) => has_root = true,
                    (other, false) => {
                        let found = other.to_owned();
                        return Err(Error::syntax(place, format!("not a VOTable: the document is <{found}>")));
                    }
                    ("TABLE", _) => {
                        in_table = true;
                        head.name = attribute(&element, "name", &place)?;
                    }
                    ("FIELD", _) if in_table => {
                        head.fields.push(field(&element, &place)?);
                        super::check_columns(head.fields.len(), limits)?;
                    }
                    ("DESCRIPTION", _) if in_table && !head.fields.is_empty() => text = Some(String::new()),
                    ("VALUES", _) if in_table => {
                        let null = attribute(&element, "null", &place)?;
                        if let (Some(field), false) = (head.fields.last_mut(), null.is_empty()) {
                            field.null = value::integer(null.trim());
                        }
                    }
                    ("TABLEDATA", _) if in_table => return Ok(Data::Tabledata),
                    ("BINARY", _) if in_table => binary = Some(Data::Binary { has_flags: false }),
                    ("BINARY2", _) if in_table => binary = Some(Data::Binary { has_flags: true }),
                    ("FITS", _) if in_table => binary = Some(Data::Fits),
                    ("STREAM", _) if binary.is_some() => {
                        check_stream(&element, &place)?;
                        return Ok(binary.unwrap_or(Data::None));
                    }
                    _ => {}
                },
                Event::Text(piece) => {
                    if let Some(text) = &mut text {
                        text.push_str(&piece);
                    }
                }
                Event::GeneralRef(reference) => {
                    let c = resolve(&reference, &place)?;
                    if let Some(text) = &mut text {
                        text.push(c);
                    }
                }
                Event::End(element) => match element.local_name().as_ref() {
                    "DESCRIPTION" => {
                        if let (Some(text), Some(field)) = (text.take(), head.fields.last_mut()) {
                            field.column.description = text.trim().to_owned();
                        }
                    }
                    "TABLE" => return self.end_of_head(head, in_table),
                    _ => {}
                },
                _ => {}
            }
        }
    }

    fn end_of_head(&mut self, head: &TableHead, in_table: bool) -> Result<Data, Error> {
        match (in_table, head.fields.is_empty()) {
            (false, _) => Err(Error::syntax(self.place(), "the document has no TABLE")),
            (true, true) => Err(Error::NoColumns),
            (true, false) => Ok(Data::None),
        }
    }
}

/// The value of an attribute, empty where it is missing.
fn attribute(element: &BytesStart<'_>, name: &str, place: &str) -> Result<String, Error> {
    let wrong = |error: &dyn std::fmt::Display| Error::syntax(place, format!("attribute {name}: {error}"));
    match element.try_get_attribute(name) {
        Ok(None) => Ok(String::new()),
        Ok(Some(attribute)) => {
            attribute.normalized_value(quick_xml::XmlVersion::Implicit1_0).map(|value| value.into_owned()).map_err(|error| wrong(&error))
        }
        Err(error) => Err(wrong(&error)),
    }
}

/// The character that a reference means.
fn resolve(reference: &BytesRef<'_>, place: &str) -> Result<char, Error> {
    let name = reference.to_string();
    let numbered = reference.resolve_char_ref().map_err(|error| Error::syntax(place, format!("&{name};: {error}")))?;
    match (numbered, name.as_str()) {
        (Some(c), _) => Ok(c),
        (None, "lt") => Ok('<'),
        (None, "gt") => Ok('>'),
        (None, "amp") => Ok('&'),
        (None, "apos") => Ok('\''),
        (None, "quot") => Ok('"'),
        (None, _) => Err(Error::syntax(place, format!("the entity &{name}; is not known"))),
    }
}

fn check_stream(element: &BytesStart<'_>, place: &str) -> Result<(), Error> {
    if !attribute(element, "href", place)?.is_empty() {
        return Err(Error::syntax(place, "the data stand elsewhere (STREAM href); send them within the document"));
    }
    match attribute(element, "encoding", place)?.as_str() {
        "base64" => Ok(()),
        other => Err(Error::syntax(place, format!("a STREAM in encoding {other:?}; base64 is taken"))),
    }
}

/// What a FIELD says.
fn field(element: &BytesStart<'_>, place: &str) -> Result<Field, Error> {
    let mut said = [("name", ""); 8].map(|_| String::new());
    for (slot, name) in said.iter_mut().zip(["name", "ID", "datatype", "arraysize", "unit", "ucd", "utype", "xtype"]) {
        *slot = attribute(element, name, place)?;
    }
    let [name, id, datatype, arraysize, unit, ucd, utype, xtype] = said;
    let name = if name.trim().is_empty() { id } else { name };
    let refused = |remedy| Error::Type { column: name.clone(), found: datatype.clone(), remedy };
    let stored = match datatype.as_str() {
        "boolean" => Stored::Boolean,
        "bit" => Stored::Bit,
        "unsignedByte" => Stored::Byte,
        "short" => Stored::Short,
        "int" => Stored::Int,
        "long" => Stored::Long,
        "float" => Stored::Float,
        "double" => Stored::Double,
        "char" => Stored::Char,
        "unicodeChar" => Stored::Unicode,
        "floatComplex" | "doubleComplex" => return Err(refused("send real and imaginary part as two columns")),
        _ => return Err(refused("VOTable's datatypes are boolean, bit, unsignedByte, short, int, long, float, double, char, unicodeChar")),
    };
    let (dimensions, is_variable) =
        dimensions(&arraysize).ok_or_else(|| Error::syntax(place, format!("column `{name}`: arraysize {arraysize:?}")))?;
    let is_text = matches!(stored, Stored::Char | Stored::Unicode);
    let is_instant = is_text && matches!(xtype.to_ascii_lowercase().as_str(), "timestamp" | "adql:timestamp");
    // of the dimensions of a text the first is its length
    let array = if is_text {
        dimensions.len() + usize::from(is_variable) > 1 && !dimensions.is_empty()
    } else {
        is_variable || !dimensions.is_empty() && arraysize.trim() != "1"
    };
    let elements = dimensions.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
    let elements = elements.ok_or_else(|| Error::syntax(place, format!("column `{name}`: arraysize {arraysize:?}")))?;
    let text = match (stored, dimensions.as_slice(), is_variable) {
        (Stored::Char, [] | [1], false) => Text::Letter,
        (Stored::Char, ..) => Text::Ascii,
        _ => Text::Unicode,
    };
    let datatype = if is_instant { DataType::Timestamp } else { stored.datatype() };
    let column =
        Column { array, unit, ucd, utype, xtype: if is_instant { String::new() } else { xtype }, text, ..Column::new(name, datatype) };
    let string_width = (is_text && array).then(|| dimensions.first().copied()).flatten();
    let count = if is_variable { Count::Variable } else { Count::Fixed(elements) };
    Ok(Field { column, stored, count, null: None, scale: Scale::None, string_width, empty_is_null: true })
}

/// The fixed dimensions of an arraysize, and whether a variable one follows: `3`, `*`, `10*`, `8x*`, `2x3`.
fn dimensions(arraysize: &str) -> Option<(Vec<usize>, bool)> {
    let text = arraysize.trim();
    if text.is_empty() {
        return Some((Vec::new(), false));
    }
    let mut sizes: Vec<&str> = text.split('x').map(str::trim).collect();
    let is_variable = sizes.last().is_some_and(|last| last.ends_with('*'));
    if is_variable {
        sizes.pop();
    }
    sizes.into_iter().map(|size| size.parse().ok()).collect::<Option<Vec<_>>>().map(|sizes| (sizes, is_variable))
}

/// A table without data.
struct NoRows;

impl RowSource for NoRows {
    fn row(&mut self, _: &mut Vec<u8>) -> Result<bool, Error> {
        Ok(false)
    }
}

/// TABLEDATA.
struct Cells {
    document: Document,
    fields: Vec<Field>,
    row: u64,
    text: String,
}

impl RowSource for Cells {
    fn row(&mut self, out: &mut Vec<u8>) -> Result<bool, Error> {
        loop {
            match self.document.next()? {
                Event::Start(element) if element.local_name().as_ref() == "TR" => break,
                Event::End(element) if element.local_name().as_ref() == "TABLEDATA" => return Ok(false),
                _ => {}
            }
        }
        self.row += 1;
        let mut index = 0;
        loop {
            let place = self.document.place();
            match self.document.next()? {
                Event::Start(element) if element.local_name().as_ref() == "TD" => {
                    if !attribute(&element, "encoding", &place)?.is_empty() {
                        return Err(Error::syntax(place, "a TD with an encoding of its own, which is not taken"));
                    }
                    self.cell()?;
                    let Some(field) = self.fields.get(index) else { return Err(self.miscounted(place, "more")) };
                    let trimmed = if field.column.datatype == DataType::Text { self.text.as_str() } else { self.text.trim() };
                    put_cell(field, trimmed, out).map_err(|found| Error::Value {
                        place: format!("{place}, row {}", self.row),
                        column: field.column.name.clone(),
                        found,
                        wanted: value::wanted(&field.column),
                    })?;
                    index += 1;
                }
                Event::End(element) if element.local_name().as_ref() == "TR" => {
                    return if index == self.fields.len() { Ok(true) } else { Err(self.miscounted(place, "fewer")) };
                }
                _ => {}
            }
        }
    }
}

impl Cells {
    fn miscounted(&self, place: String, than: &str) -> Error {
        Error::syntax(place, format!("row {} has {than} cells than there are FIELDs, {}", self.row, self.fields.len()))
    }

    /// The text up to the end of the cell.
    fn cell(&mut self) -> Result<(), Error> {
        self.text.clear();
        loop {
            let place = self.document.place();
            let most = self.document.limits.cell_bytes;
            match self.document.next()? {
                Event::Text(piece) => self.text.push_str(&piece),
                Event::CData(piece) => self.text.push_str(&piece),
                Event::GeneralRef(reference) => self.text.push(resolve(&reference, &place)?),
                Event::End(_) => return Ok(()),
                Event::Start(element) => {
                    let found = element.local_name().as_ref().to_owned();
                    return Err(Error::syntax(place, format!("<{found}> within a TD")));
                }
                _ => {}
            }
            if self.text.len() > most {
                return Err(Error::TooLarge { what: "it has a value with bytes", most: most as u64, remedy: "leave that column out" });
            }
        }
    }
}

/// Appends the value that a cell says; the error is what was found.
fn put_cell(field: &Field, text: &str, out: &mut Vec<u8>) -> Result<(), String> {
    let found = |text: &str| super::delimited::shortened(text.as_bytes());
    let datatype = field.column.datatype;
    if field.column.array {
        return put_array(field, text, out).ok_or_else(|| found(text));
    }
    let is_null = text.is_empty() || datatype == DataType::Boolean && text == "?";
    if is_null || field.null.is_some() && value::integer(text) == field.null {
        put(out, None);
        return Ok(());
    }
    if put_parsed(out, datatype, text) { Ok(()) } else { Err(found(text)) }
}

fn put_array(field: &Field, text: &str, out: &mut Vec<u8>) -> Option<()> {
    let datatype = field.column.datatype;
    if text.is_empty() && field.count != Count::Variable {
        put(out, None);
        return Some(());
    }
    if let Some(width) = field.string_width {
        let letters: Vec<char> = text.chars().collect();
        let at = begin_array(out, datatype, letters.len().div_ceil(width.max(1)));
        for piece in letters.chunks(width.max(1)) {
            let piece: String = piece.iter().collect();
            put_parsed(out, datatype, piece.trim_end_matches(' ')).then_some(())?;
        }
        end_array(out, at);
        return Some(());
    }
    // bits may stand without blanks between them
    let count = text.split_whitespace().count();
    let is_packed = field.stored == Stored::Bit && count == 1 && text.trim().len() > 1;
    let length = if is_packed { text.trim().len() } else { count };
    let at = begin_array(out, datatype, length);
    let mut put_element = |element: &str| match element {
        "?" if datatype == DataType::Boolean => {
            put(out, None);
            true
        }
        element if field.null.is_some() && value::integer(element) == field.null => {
            put(out, None);
            true
        }
        element => put_parsed(out, datatype, element),
    };
    let is_good = match is_packed {
        true => text.trim().chars().all(|bit| matches!(bit, '0' | '1') && put_element(bit.encode_utf8(&mut [0; 4]))),
        false => text.split_whitespace().all(put_element),
    };
    end_array(out, at);
    is_good.then_some(())
}

/// BINARY and BINARY2.
struct BinaryRows {
    input: Base64,
    fields: Vec<Field>,
    has_flags: bool,
    row: u64,
    buffer: Vec<u8>,
    limits: Limits,
}

impl RowSource for BinaryRows {
    fn row(&mut self, out: &mut Vec<u8>) -> Result<bool, Error> {
        let what = if self.has_flags { "BINARY2" } else { "BINARY" };
        let place = Place { what, row: self.row + 1 };
        if self.input.is_at_end().map_err(|error| guard::error(error, &place.to_string()))? {
            return Ok(false);
        }
        self.row += 1;
        let mut flags = vec![0; if self.has_flags { self.fields.len().div_ceil(8) } else { 0 }];
        self.input.read_exact(&mut flags).map_err(|error| guard::error(error, &place.to_string()))?;
        for (index, field) in self.fields.iter().enumerate() {
            let is_null = self.has_flags && flags[index / 8] & (0x80 >> (index % 8)) != 0;
            field.read(&mut self.input, is_null, &mut self.buffer, self.limits, &place, out)?;
        }
        Ok(true)
    }
}

/// The bytes of a base64 text that ends at the next `<`.
struct Base64 {
    inner: Stream,
    /// Characters of a group of four that is not whole yet.
    pending: Vec<u8>,
    decoded: Vec<u8>,
    at: usize,
    is_over: bool,
}

impl Base64 {
    fn is_at_end(&mut self) -> io::Result<bool> {
        while self.at == self.decoded.len() && !self.is_over {
            self.more()?;
        }
        Ok(self.at == self.decoded.len())
    }

    /// Decodes what is in the stream's buffer.
    fn more(&mut self) -> io::Result<()> {
        self.inner.begin_piece();
        let line = self.inner.place();
        let available = self.inner.fill_buf()?;
        if available.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let end = available.iter().position(|&byte| byte == b'<');
        let piece = &available[..end.unwrap_or(available.len())];
        self.pending.extend(piece.iter().filter(|byte| !byte.is_ascii_whitespace()));
        let count = piece.len();
        self.inner.consume(count);
        self.is_over = end.is_some();
        let whole = if self.is_over { self.pending.len() } else { self.pending.len() / 4 * 4 };
        self.decoded.clear();
        self.at = 0;
        STANDARD
            .decode_vec(&self.pending[..whole], &mut self.decoded)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("{line}: not base64: {error}")))?;
        self.pending.drain(..whole);
        Ok(())
    }
}

impl Read for Base64 {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.is_at_end()? {
            return Ok(0);
        }
        let count = out.len().min(self.decoded.len() - self.at);
        out[..count].copy_from_slice(&self.decoded[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}
