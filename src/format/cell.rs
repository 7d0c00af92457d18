//! Values of a batch as text: the part that CSV, JSON and tables share.
//!
//! Numbers are the shortest decimals that read back as the same value.

use super::Error;
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float32Array, Float64Array, Int16Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType as Arrow, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType};
use std::io::Write;

/// One column of a batch, downcast once.
pub enum Cells<'a> {
    Boolean(&'a BooleanArray),
    Smallint(&'a Int16Array),
    Integer(&'a Int32Array),
    Bigint(&'a Int64Array),
    Real(&'a Float32Array),
    Double(&'a Float64Array),
    Text(&'a StringArray),
    Timestamp(&'a TimestampMicrosecondArray),
    /// The elements of all rows, and where each row's begin.
    List {
        rows: &'a dyn Array,
        elements: Box<Cells<'a>>,
        starts: Starts<'a>,
    },
}

/// Where the elements of a row begin and end.
pub enum Starts<'a> {
    Offsets(&'a [i32]),
    Every(usize),
}

impl Starts<'_> {
    fn range(&self, row: usize) -> std::ops::Range<usize> {
        match self {
            Starts::Offsets(offsets) => offsets[row] as usize..offsets[row + 1] as usize,
            Starts::Every(length) => row * length..(row + 1) * length,
        }
    }
}

/// The columns of a batch as [`Cells`].
pub fn columns(batch: &RecordBatch) -> Result<Vec<Cells<'_>>, Error> {
    let name = |index: usize| batch.schema_ref().field(index).name().clone();
    let cells = |(index, array)| cells(array).ok_or_else(|| Error::Arrow { column: name(index), arrow: array.data_type().to_string() });
    batch.columns().iter().enumerate().map(cells).collect()
}

fn cells(array: &ArrayRef) -> Option<Cells<'_>> {
    Some(match array.data_type() {
        Arrow::Boolean => Cells::Boolean(array.as_boolean()),
        Arrow::Int16 => Cells::Smallint(array.as_primitive::<Int16Type>()),
        Arrow::Int32 => Cells::Integer(array.as_primitive::<Int32Type>()),
        Arrow::Int64 => Cells::Bigint(array.as_primitive::<Int64Type>()),
        Arrow::Float32 => Cells::Real(array.as_primitive::<Float32Type>()),
        Arrow::Float64 => Cells::Double(array.as_primitive::<Float64Type>()),
        Arrow::Utf8 => Cells::Text(array.as_string::<i32>()),
        Arrow::Timestamp(TimeUnit::Microsecond, _) => Cells::Timestamp(array.as_primitive::<TimestampMicrosecondType>()),
        Arrow::List(_) => {
            let list = array.as_list::<i32>();
            let starts = Starts::Offsets(list.value_offsets());
            Cells::List { rows: list, elements: Box::new(cells(list.values())?), starts }
        }
        Arrow::FixedSizeList(_, _) => {
            let list = array.as_fixed_size_list();
            let starts = Starts::Every(usize::try_from(list.value_length()).ok()?);
            Cells::List { rows: list, elements: Box::new(cells(list.values())?), starts }
        }
        _ => return None,
    })
}

impl Cells<'_> {
    fn array(&self) -> &dyn Array {
        match self {
            Cells::Boolean(a) => *a,
            Cells::Smallint(a) => *a,
            Cells::Integer(a) => *a,
            Cells::Bigint(a) => *a,
            Cells::Real(a) => *a,
            Cells::Double(a) => *a,
            Cells::Text(a) => *a,
            Cells::Timestamp(a) => *a,
            Cells::List { rows, .. } => *rows,
        }
    }

    pub fn is_null(&self, row: usize) -> bool {
        self.array().is_null(row)
    }

    pub fn is_number(&self) -> bool {
        match self {
            Cells::Smallint(_) | Cells::Integer(_) | Cells::Bigint(_) | Cells::Real(_) | Cells::Double(_) => true,
            Cells::Boolean(_) | Cells::Text(_) | Cells::Timestamp(_) | Cells::List { .. } => false,
        }
    }

    /// Appends the value of a row that is not NULL; texts as they are, arrays as PostgreSQL writes them.
    pub fn push_text(&self, row: usize, out: &mut Vec<u8>) {
        match self {
            Cells::Boolean(a) => push(out, format_args!("{}", a.value(row))),
            Cells::Smallint(a) => push(out, format_args!("{}", a.value(row))),
            Cells::Integer(a) => push(out, format_args!("{}", a.value(row))),
            Cells::Bigint(a) => push(out, format_args!("{}", a.value(row))),
            Cells::Real(a) => push_f32(out, a.value(row)),
            Cells::Double(a) => push_f64(out, a.value(row)),
            Cells::Text(a) => out.extend_from_slice(a.value(row).as_bytes()),
            Cells::Timestamp(a) => push_timestamp(out, a.value(row)),
            Cells::List { elements, starts, .. } => push_array(out, elements, starts.range(row)),
        }
    }

    /// Appends the JSON value of a row.
    pub fn push_json(&self, row: usize, out: &mut Vec<u8>) {
        match self {
            _ if self.is_null(row) => out.extend_from_slice(b"null"),
            Cells::Real(a) if !a.value(row).is_finite() => out.extend_from_slice(b"null"),
            Cells::Double(a) if !a.value(row).is_finite() => out.extend_from_slice(b"null"),
            Cells::Text(a) => push_json_string(out, a.value(row)),
            Cells::Timestamp(_) => {
                out.push(b'"');
                self.push_text(row, out);
                out.push(b'"');
            }
            Cells::List { elements, starts, .. } => {
                out.push(b'[');
                for (count, element) in starts.range(row).enumerate() {
                    if count > 0 {
                        out.push(b',');
                    }
                    elements.push_json(element, out);
                }
                out.push(b']');
            }
            Cells::Boolean(_) | Cells::Smallint(_) | Cells::Integer(_) | Cells::Bigint(_) | Cells::Real(_) | Cells::Double(_) => {
                self.push_text(row, out);
            }
        }
    }
}

fn push(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a Vec cannot fail");
}

/// Exponents only where plain digits would be longer than the number deserves.
fn push_f64(out: &mut Vec<u8>, value: f64) {
    match value.abs() {
        size if size.is_nan() => out.extend_from_slice(b"NaN"),
        f64::INFINITY => push(out, format_args!("{}Infinity", if value < 0.0 { "-" } else { "" })),
        size if size != 0.0 && !(1e-5..1e15).contains(&size) => push(out, format_args!("{value:e}")),
        _ => push(out, format_args!("{value}")),
    }
}

fn push_f32(out: &mut Vec<u8>, value: f32) {
    match value.abs() {
        size if size != 0.0 && size.is_finite() && !(1e-5..1e7).contains(&size) => push(out, format_args!("{value:e}")),
        size if size.is_finite() => push(out, format_args!("{value}")),
        _ => push_f64(out, f64::from(value)),
    }
}

/// ISO 8601 with `T`, which astropy, Python and JavaScript read; the two ends of `i64` are PostgreSQL's infinities.
fn push_timestamp(out: &mut Vec<u8>, micros_1970: i64) {
    match (micros_1970, jiff::Timestamp::from_microsecond(micros_1970)) {
        (i64::MAX, _) => out.extend_from_slice(b"infinity"),
        (i64::MIN, _) => out.extend_from_slice(b"-infinity"),
        (_, Ok(instant)) => {
            let civil = jiff::tz::Offset::UTC.to_datetime(instant);
            push(out, format_args!("{civil}"));
        }
        // Beyond the year 9999: the number says it, a calendar text would be read wrongly.
        (micros, Err(_)) => push(out, format_args!("{micros} us since 1970")),
    }
}

/// `{1,NULL,"a \"b\""}`.
fn push_array(out: &mut Vec<u8>, elements: &Cells<'_>, range: std::ops::Range<usize>) {
    out.push(b'{');
    let first = range.start;
    for element in range {
        if element > first {
            out.push(b',');
        }
        match elements {
            _ if elements.is_null(element) => out.extend_from_slice(b"NULL"),
            Cells::Text(texts) => push_array_text(out, texts.value(element)),
            _ => elements.push_text(element, out),
        }
    }
    out.push(b'}');
}

fn push_array_text(out: &mut Vec<u8>, text: &str) {
    let plain = |c: char| !matches!(c, '{' | '}' | ',' | '"' | '\\') && !c.is_whitespace();
    if !text.is_empty() && !text.eq_ignore_ascii_case("null") && text.chars().all(plain) {
        return out.extend_from_slice(text.as_bytes());
    }
    out.push(b'"');
    for byte in text.bytes() {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

/// A JSON string with its quotes.
pub fn push_json_string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a text written to a Vec cannot fail");
}
