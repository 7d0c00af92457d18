//! Values of VOTable's BINARY and BINARY2 and of FITS binary tables: big-endian, one after the other.

use super::value;
use super::{Error, Limits, guard};
use crate::schema::wire::{begin_array, end_array, put};
use crate::schema::{Column, DataType};
use std::io::Read;

/// How an element is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// `T`, `F`, and what else there is for NULL.
    Boolean,
    Bit,
    Byte,
    Short,
    Int,
    Long,
    Float,
    Double,
    /// One byte of a text.
    Char,
    /// Two bytes of a text.
    Unicode,
}

impl Stored {
    /// Bytes of so many elements.
    pub fn bytes(self, elements: usize) -> Option<usize> {
        let width = match self {
            Stored::Bit => return Some(elements.div_ceil(8)),
            Stored::Boolean | Stored::Byte | Stored::Char => 1,
            Stored::Short | Stored::Unicode => 2,
            Stored::Int | Stored::Float => 4,
            Stored::Long | Stored::Double => 8,
        };
        elements.checked_mul(width)
    }

    pub fn datatype(self) -> DataType {
        match self {
            Stored::Boolean => DataType::Boolean,
            Stored::Bit | Stored::Byte | Stored::Short => DataType::Smallint,
            Stored::Int => DataType::Integer,
            Stored::Long => DataType::Bigint,
            Stored::Float => DataType::Real,
            Stored::Double => DataType::Double,
            Stored::Char | Stored::Unicode => DataType::Text,
        }
    }

    /// The integer in these bytes.
    fn integer(self, bytes: &[u8]) -> Option<i64> {
        Some(match (self, bytes) {
            (Stored::Byte, [byte]) => i64::from(*byte),
            (Stored::Short, _) => i64::from(i16::from_be_bytes(bytes.try_into().ok()?)),
            (Stored::Int, _) => i64::from(i32::from_be_bytes(bytes.try_into().ok()?)),
            (Stored::Long, _) => i64::from_be_bytes(bytes.try_into().ok()?),
            _ => return None,
        })
    }
}

/// How many elements a value has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    Fixed(usize),
    /// A number of four bytes stands before them.
    Variable,
}

/// How a stored number is to be changed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scale {
    None,
    /// Unsigned integers and signed bytes: an offset that keeps whole numbers whole.
    Offset(i128),
    Linear {
        zero: f64,
        scale: f64,
    },
}

/// A column's way from its stored form to a laid-out value.
#[derive(Debug, Clone)]
pub struct Field {
    pub column: Column,
    pub stored: Stored,
    pub count: Count,
    /// The stored integer that stands for NULL.
    pub null: Option<i64>,
    pub scale: Scale,
    /// Characters of one string, where the value is an array of strings.
    pub string_width: Option<usize>,
    /// Is an empty text NULL, as there is no other way to say it?
    pub empty_is_null: bool,
}

impl Field {
    /// Reads one value and appends it; a `NULL` by flag is read and not looked at.
    pub fn read(
        &self,
        input: &mut impl Read,
        is_null: bool,
        buffer: &mut Vec<u8>,
        limits: Limits,
        place: &Place,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let cannot = |error| guard::error(error, &place.to_string());
        let elements = match self.count {
            Count::Fixed(elements) => elements,
            Count::Variable => {
                let mut word = [0; 4];
                input.read_exact(&mut word).map_err(cannot)?;
                u32::from_be_bytes(word) as usize
            }
        };
        let bytes = self.stored.bytes(elements).filter(|&bytes| bytes <= limits.cell_bytes).ok_or(Error::TooLarge {
            what: "it has a value with bytes",
            most: limits.cell_bytes as u64,
            remedy: "leave that column out (or the file is damaged)",
        })?;
        buffer.resize(bytes, 0);
        input.read_exact(buffer).map_err(cannot)?;
        if is_null {
            put(out, None);
            return Ok(());
        }
        self.convert(buffer, elements, out).map_err(|found| Error::Value {
            place: place.to_string(),
            column: self.column.name.clone(),
            found,
            wanted: value::wanted(&self.column),
        })
    }

    /// Appends the value in these bytes; the error is what was found instead.
    fn convert(&self, bytes: &[u8], elements: usize, out: &mut Vec<u8>) -> Result<(), String> {
        match (self.stored, self.column.array) {
            (Stored::Char | Stored::Unicode, false) => self.put_text(bytes, out),
            (Stored::Char | Stored::Unicode, true) => {
                let width = self.stored.bytes(self.string_width.unwrap_or(1).max(1)).unwrap_or(1);
                let at = begin_array(out, self.column.datatype, bytes.len().div_ceil(width));
                bytes.chunks(width).try_for_each(|piece| self.put_text(piece, out))?;
                end_array(out, at);
                Ok(())
            }
            (_, false) => {
                self.put_number(bytes, 0, out);
                Ok(())
            }
            (_, true) => {
                let at = begin_array(out, self.column.datatype, elements);
                (0..elements).for_each(|index| self.put_number(bytes, index, out));
                end_array(out, at);
                Ok(())
            }
        }
    }

    /// A text up to its NUL; timestamps are parsed.
    fn put_text(&self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        let text = match self.stored {
            Stored::Unicode => {
                let units: Vec<u16> =
                    bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).take_while(|&unit| unit != 0).collect();
                String::from_utf16(&units).map_err(|_| "text that is not UTF-16".to_owned())?
            }
            _ => {
                let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
                match std::str::from_utf8(&bytes[..end]) {
                    Ok(text) => text.to_owned(),
                    // ASCII is what the standards allow; this is what is sent
                    Err(_) => bytes[..end].iter().map(|&byte| char::from(byte)).collect(),
                }
            }
        };
        let is_padded = self.count != Count::Variable;
        let text = if is_padded { text.trim_end_matches(' ') } else { &text };
        if text.is_empty() && (self.empty_is_null || self.column.datatype != DataType::Text) {
            put(out, None);
            return Ok(());
        }
        if value::put_parsed(out, self.column.datatype, text) { Ok(()) } else { Err(super::delimited::shortened(text.as_bytes())) }
    }

    /// The element of that number.
    fn put_number(&self, bytes: &[u8], index: usize, out: &mut Vec<u8>) {
        let width = self.stored.bytes(1).unwrap_or(1);
        let element = bytes.get(index * width..(index + 1) * width).unwrap_or_default();
        match self.stored {
            Stored::Boolean => match element {
                b"T" | b"t" | b"1" => put(out, Some(&[1])),
                b"F" | b"f" | b"0" => put(out, Some(&[0])),
                _ => put(out, None),
            },
            Stored::Bit => {
                let bit = bytes.get(index / 8).map_or(0, |byte| byte >> (7 - index % 8) & 1);
                put(out, Some(&i16::from(bit).to_be_bytes()));
            }
            Stored::Byte | Stored::Short | Stored::Int | Stored::Long => {
                let value = self.stored.integer(element).unwrap_or_default();
                if self.null == Some(value) { put(out, None) } else { self.put_integer(value, out) }
            }
            Stored::Float | Stored::Double if self.scale == Scale::None => put(out, Some(element)),
            Stored::Float => self.put_scaled(f64::from(f32::from_be_bytes(element.try_into().unwrap_or_default())), out),
            Stored::Double => self.put_scaled(f64::from_be_bytes(element.try_into().unwrap_or_default()), out),
            Stored::Char | Stored::Unicode => put(out, None),
        }
    }

    fn put_integer(&self, value: i64, out: &mut Vec<u8>) {
        let value = match self.scale {
            Scale::None => i128::from(value),
            Scale::Offset(zero) => i128::from(value) + zero,
            Scale::Linear { .. } => return self.put_scaled(value as f64, out),
        };
        match self.column.datatype {
            DataType::Smallint => put(out, Some(&(value as i16).to_be_bytes())),
            DataType::Integer => put(out, Some(&(value as i32).to_be_bytes())),
            DataType::Bigint => put(out, Some(&(value as i64).to_be_bytes())),
            _ => put(out, Some(&(value as f64).to_be_bytes())),
        }
    }

    fn put_scaled(&self, value: f64, out: &mut Vec<u8>) {
        let value = match self.scale {
            Scale::Linear { zero, scale } => zero + scale * value,
            Scale::Offset(zero) => value + zero as f64,
            Scale::None => value,
        };
        put(out, Some(&value.to_be_bytes()));
    }
}

/// A row of the table, for messages.
pub struct Place {
    pub what: &'static str,
    pub row: u64,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, row {}", self.what, self.row)
    }
}
