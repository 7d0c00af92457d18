//! Values of laid-out rows ([`crate::schema::wire`]) as text: the part that all text forms share.

use super::Error;
use super::number::{self, Words};
use crate::schema::wire::{self, Elements, fixed, since_1970};
use crate::schema::{Column, DataType};

/// How a text form writes what the others write differently.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    pub words: Words,
    pub yes: &'static str,
    pub no: &'static str,
}

/// As PostgreSQL, Java and JavaScript read it.
pub const SPELLED: Style = Style { words: number::SPELLED, yes: "true", no: "false" };
/// As VOTable says.
pub const VOTABLE: Style = Style { words: number::VOTABLE, yes: "T", no: "F" };

/// Appends a scalar that is not NULL; texts as they are.
#[inline]
pub fn push_scalar(out: &mut Vec<u8>, datatype: DataType, value: &[u8], style: Style) -> Result<(), wire::Error> {
    match datatype {
        DataType::Boolean => {
            let [byte] = fixed(value, datatype)?;
            out.extend_from_slice(if byte != 0 { style.yes } else { style.no }.as_bytes());
        }
        DataType::Smallint => number::push_integer(out, i16::from_be_bytes(fixed(value, datatype)?)),
        DataType::Integer => number::push_integer(out, i32::from_be_bytes(fixed(value, datatype)?)),
        DataType::Bigint => number::push_integer(out, i64::from_be_bytes(fixed(value, datatype)?)),
        DataType::Real => number::push_f32(out, f32::from_be_bytes(fixed(value, datatype)?), style.words),
        DataType::Double => number::push_f64(out, f64::from_be_bytes(fixed(value, datatype)?), style.words),
        DataType::Timestamp => number::push_timestamp(out, since_1970(i64::from_be_bytes(fixed(value, datatype)?))),
        DataType::Text => out.extend_from_slice(value),
    }
    Ok(())
}

/// Appends an array as PostgreSQL writes it: `{1,NULL,"a \"b\""}`.
pub fn push_braces(out: &mut Vec<u8>, datatype: DataType, value: &[u8], style: Style) -> Result<(), wire::Error> {
    out.push(b'{');
    for (index, element) in Elements::of(value)?.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        match element? {
            None => out.extend_from_slice(b"NULL"),
            Some(element) if datatype == DataType::Text => push_braced_text(out, element),
            Some(element) => push_scalar(out, datatype, element, style)?,
        }
    }
    out.push(b'}');
    Ok(())
}

fn push_braced_text(out: &mut Vec<u8>, text: &[u8]) {
    let plain = |byte: &u8| !matches!(byte, b'{' | b'}' | b',' | b'"' | b'\\') && !byte.is_ascii_whitespace() && *byte != 0x0b;
    if !text.is_empty() && !text.eq_ignore_ascii_case(b"null") && text.iter().all(plain) {
        return out.extend_from_slice(text);
    }
    out.push(b'"');
    for &byte in text {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

/// Appends a value that is not NULL as text, whatever its column.
#[inline]
pub fn push_text(out: &mut Vec<u8>, column: &Column, value: &[u8], style: Style) -> Result<(), Error> {
    let pushed =
        if column.array { push_braces(out, column.datatype, value, style) } else { push_scalar(out, column.datatype, value, style) };
    pushed.map_err(|error| wire::named(error, column).into())
}

/// Appends a JSON value. NaN and the infinities are no JSON: they become null, or where `exact` the texts `"NaN"`, `"Infinity"`,
/// `"-Infinity"`, which no reader takes for NULL.
pub fn push_json(out: &mut Vec<u8>, column: &Column, value: Option<&[u8]>, exact: bool) -> Result<(), Error> {
    let Some(value) = value else {
        out.extend_from_slice(b"null");
        return Ok(());
    };
    if !column.array {
        return push_json_scalar(out, column.datatype, value, exact).map_err(|error| wire::named(error, column).into());
    }
    out.push(b'[');
    for (index, element) in Elements::of(value).map_err(|error| wire::named(error, column))?.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        match element? {
            None => out.extend_from_slice(b"null"),
            Some(element) => push_json_scalar(out, column.datatype, element, exact).map_err(|error| wire::named(error, column))?,
        }
    }
    out.push(b']');
    Ok(())
}

fn push_json_scalar(out: &mut Vec<u8>, datatype: DataType, value: &[u8], exact: bool) -> Result<(), wire::Error> {
    let is_number = match datatype {
        DataType::Real => f32::from_be_bytes(fixed(value, datatype)?).is_finite(),
        DataType::Double => f64::from_be_bytes(fixed(value, datatype)?).is_finite(),
        DataType::Boolean | DataType::Smallint | DataType::Integer | DataType::Bigint => true,
        DataType::Text => {
            push_json_string(out, &String::from_utf8_lossy(value));
            return Ok(());
        }
        DataType::Timestamp => false,
    };
    match (is_number, exact || datatype == DataType::Timestamp) {
        (true, _) => push_scalar(out, datatype, value, SPELLED)?,
        (false, false) => out.extend_from_slice(b"null"),
        (false, true) => {
            out.push(b'"');
            push_scalar(out, datatype, value, SPELLED)?;
            out.push(b'"');
        }
    }
    Ok(())
}

/// A JSON string with its quotes.
pub fn push_json_string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a text written to a Vec cannot fail");
}
