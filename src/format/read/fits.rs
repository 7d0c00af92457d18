//! The first binary table of a FITS file, as a stream and without CFITSIO, which was not made for files of strangers.
//!
//! Scaled columns become double, those whose TZERO makes unsigned integers or signed bytes the next wider integer. Arrays of variable
//! length (`P`, `Q`) and complex numbers are refused with a hint.

use super::binary::{Count, Field, Place, Scale, Stored};
use super::{Error, Limits, Opened, RowSource, Stream, guard};
use crate::format::fits::parse_card;
use crate::schema::{Column, DataType, Text};
use std::collections::HashMap;
use std::io::Read;

const BLOCK: u64 = 2880;
/// Cards of one header; 999 columns with ten cards each have fewer.
const MOST_CARDS: usize = 20_000;
/// Headers before a table comes.
const MOST_HDUS: usize = 1000;

/// Passes over HDUs to the first binary table.
pub fn open(mut stream: Stream, limits: Limits) -> Result<Opened, Error> {
    for hdu in 0..MOST_HDUS {
        let place = format!("HDU {hdu}");
        let header = Header::read(&mut stream, &place)?;
        if header.text("XTENSION") == "BINTABLE" {
            return table(stream, &header, place, limits);
        }
        skip(&mut stream, header.data_bytes(&place)?.next_multiple_of(BLOCK), &place)?;
    }
    Err(Error::syntax(format!("HDU {MOST_HDUS}"), "no binary table so far"))
}

/// Reads and forgets; the end of the file says that there is no table.
fn skip(stream: &mut Stream, mut bytes: u64, place: &str) -> Result<(), Error> {
    let mut buffer = vec![0; 64 << 10];
    while bytes > 0 {
        stream.begin_piece();
        let count = bytes.min(buffer.len() as u64) as usize;
        stream.read_exact(&mut buffer[..count]).map_err(|error| guard::error(error, place))?;
        bytes -= count as u64;
    }
    Ok(())
}

/// Keys and values of a header.
struct Header(HashMap<String, String>);

impl Header {
    fn read(stream: &mut Stream, place: &str) -> Result<Header, Error> {
        let mut cards = HashMap::new();
        let mut last: Option<String> = None;
        for number in 0..MOST_CARDS {
            stream.begin_piece();
            let mut card = [0; 80];
            stream.read_exact(&mut card).map_err(|error| match guard::error(error, place) {
                Error::Syntax { place, .. } => Error::syntax(place, "the file ends here; it has no binary table, or is cut off"),
                error => error,
            })?;
            let card = String::from_utf8_lossy(&card).into_owned();
            if number == 0 && !card.starts_with("SIMPLE  =") && !card.starts_with("XTENSION=") {
                return Err(Error::syntax(place, "it is not FITS: neither SIMPLE nor XTENSION stands here"));
            }
            if card.trim_end() == "END" {
                skip(stream, ((number as u64 + 1) * 80).next_multiple_of(BLOCK) - (number as u64 + 1) * 80, place)?;
                return Ok(Header(cards));
            }
            // a long text goes on where the last one ends in an ampersand
            if let (Some(rest), Some(key)) = (card.strip_prefix("CONTINUE  "), &last) {
                let tail = parse_card(&format!("CONTINUE= {rest}")).map(|(_, tail)| tail).unwrap_or_default();
                if let Some(text) = cards.get_mut(key).filter(|text: &&mut String| text.ends_with('&') && text.len() < 1 << 16) {
                    text.pop();
                    text.push_str(&tail);
                }
                continue;
            }
            if let Some((key, value)) = parse_card(&card) {
                last = Some(key.clone());
                cards.entry(key).or_insert(value);
            }
        }
        Err(Error::syntax(place, format!("a header of more than {MOST_CARDS} cards")))
    }

    fn text(&self, key: &str) -> &str {
        self.0.get(key).map_or("", |text| text.trim())
    }

    fn count(&self, key: &str, place: &str) -> Result<u64, Error> {
        self.text(key).parse().map_err(|_| Error::syntax(place, format!("{key} is missing or not a whole number")))
    }

    fn count_or(&self, key: &str, missing: u64) -> u64 {
        self.text(key).parse().unwrap_or(missing)
    }

    /// Bytes of the data unit (FITS 4.0, equation 2).
    fn data_bytes(&self, place: &str) -> Result<u64, Error> {
        let axes = self.count("NAXIS", place)?;
        if axes == 0 {
            return Ok(0);
        }
        let too_large = || Error::syntax(place, "the header says a size that cannot be");
        let mut elements = 1u64;
        for axis in 1..=axes.min(999) {
            elements = elements.checked_mul(self.count(&format!("NAXIS{axis}"), place)?).ok_or_else(too_large)?;
        }
        let bits = self.text("BITPIX").parse::<i64>().map_err(|_| Error::syntax(place, "BITPIX is missing"))?;
        let elements = elements.checked_add(self.count_or("PCOUNT", 0)).and_then(|n| n.checked_mul(self.count_or("GCOUNT", 1)));
        elements.and_then(|n| n.checked_mul(bits.unsigned_abs() / 8)).filter(|&bytes| bytes < 1 << 60).ok_or_else(too_large)
    }
}

fn table(stream: Stream, header: &Header, place: String, limits: Limits) -> Result<Opened, Error> {
    let (row_bytes, rows, count) = (header.count("NAXIS1", &place)?, header.count("NAXIS2", &place)?, header.count("TFIELDS", &place)?);
    super::check_columns(usize::try_from(count).unwrap_or(usize::MAX), limits)?;
    let fields = (1..=count).map(|n| field(header, n, &place)).collect::<Result<Vec<_>, _>>()?;
    let width: Option<u64> = fields.iter().try_fold(0u64, |sum, field| {
        let Count::Fixed(elements) = field.count else { return None };
        sum.checked_add(field.stored.bytes(elements)? as u64)
    });
    let padding = width
        .and_then(|width| row_bytes.checked_sub(width))
        .ok_or_else(|| Error::syntax(&*place, format!("the columns take more than the {row_bytes} bytes that NAXIS1 says")))?;
    let columns = fields.iter().map(|field| field.column.clone()).collect();
    let source = Rows { stream, fields, padding, rows, row: 0, buffer: Vec::new(), limits };
    Ok(Opened { columns, name: header.text("EXTNAME").to_owned(), source: Box::new(source) })
}

fn field(header: &Header, n: u64, place: &str) -> Result<Field, Error> {
    let said = |key: &str| header.text(&format!("{key}{n}"));
    let (name, form) = (said("TTYPE"), said("TFORM"));
    let refused = |remedy| Error::Type { column: name.to_owned(), found: format!("TFORM {form}"), remedy };
    let digits = form.len() - form.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let repeat: usize = if digits == 0 { Some(1) } else { form[..digits].parse().ok() }
        .ok_or_else(|| Error::syntax(place, format!("column {n}: TFORM {form:?}")))?;
    let stored = match form[digits..].chars().next() {
        Some('L') => Stored::Boolean,
        Some('X') => Stored::Bit,
        Some('B') => Stored::Byte,
        Some('I') => Stored::Short,
        Some('J') => Stored::Int,
        Some('K') => Stored::Long,
        Some('E') => Stored::Float,
        Some('D') => Stored::Double,
        Some('A') => Stored::Char,
        Some('P' | 'Q') => return Err(refused("send arrays of one length, or a VOTable")),
        Some('C' | 'M') => return Err(refused("send real and imaginary part as two columns")),
        _ => return Err(Error::syntax(place, format!("column {n}: TFORM {form:?}"))),
    };
    let scale = scale(said("TSCAL"), said("TZERO"), stored);
    let datatype = match (scale, stored) {
        (Scale::None, _) => stored.datatype(),
        (Scale::Offset(_), Stored::Byte) => DataType::Smallint,
        (Scale::Offset(_), Stored::Short) => DataType::Integer,
        (Scale::Offset(_), Stored::Int) => DataType::Bigint,
        (Scale::Offset(_) | Scale::Linear { .. }, _) => DataType::Double,
    };
    let is_text = stored == Stored::Char;
    let column = Column {
        array: !is_text && repeat != 1,
        unit: said("TUNIT").to_owned(),
        ucd: said("TUCD").to_owned(),
        utype: said("TUTYP").to_owned(),
        description: said("TCOMM").to_owned(),
        text: if is_text { Text::Ascii } else { Text::Unicode },
        ..Column::new(name, datatype)
    };
    let null = said("TNULL").parse().ok();
    Ok(Field { column, stored, count: Count::Fixed(repeat), null, scale, string_width: None, empty_is_null: true })
}

/// The offsets of unsigned integers and signed bytes keep whole numbers whole; all else is a linear scale.
fn scale(tscal: &str, tzero: &str, stored: Stored) -> Scale {
    let number = |text: &str, missing: f64| text.replace(['D', 'd'], "E").parse::<f64>().unwrap_or(missing);
    let (scale, zero) = (number(tscal, 1.0), number(tzero, 0.0));
    match (stored, zero) {
        _ if matches!(stored, Stored::Char | Stored::Boolean | Stored::Bit) => Scale::None,
        (_, 0.0) if scale == 1.0 => Scale::None,
        (Stored::Byte, -128.0) if scale == 1.0 => Scale::Offset(-128),
        (Stored::Short, 32768.0) if scale == 1.0 => Scale::Offset(1 << 15),
        (Stored::Int, 2147483648.0) if scale == 1.0 => Scale::Offset(1 << 31),
        _ => Scale::Linear { zero, scale },
    }
}

/// The rows.
struct Rows {
    stream: Stream,
    fields: Vec<Field>,
    /// Bytes of a row that no column takes.
    padding: u64,
    rows: u64,
    row: u64,
    buffer: Vec<u8>,
    limits: Limits,
}

impl RowSource for Rows {
    fn row(&mut self, out: &mut Vec<u8>) -> Result<bool, Error> {
        if self.row == self.rows {
            return Ok(false);
        }
        self.row += 1;
        let place = Place { what: "FITS table", row: self.row };
        for field in &self.fields {
            self.stream.begin_piece();
            field.read(&mut self.stream, false, &mut self.buffer, self.limits, &place, out)?;
        }
        skip(&mut self.stream, self.padding, "FITS table")?;
        Ok(true)
    }
}
