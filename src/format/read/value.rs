//! Values of foreign tables into laid-out ones.

use crate::schema::wire::{MICROS_1970_TO_2000, put};
use crate::schema::{Column, DataType};

/// Appends the value that a text says; `false` if it is none of that type. The empty text is not looked at here.
pub fn put_parsed(out: &mut Vec<u8>, datatype: DataType, text: &str) -> bool {
    fn number<const N: usize>(out: &mut Vec<u8>, bytes: Option<[u8; N]>) -> bool {
        if let Some(bytes) = bytes {
            put(out, Some(&bytes));
        }
        bytes.is_some()
    }
    match datatype {
        DataType::Boolean => match boolean(text) {
            Some(value) => number(out, Some([u8::from(value)])),
            None => false,
        },
        DataType::Smallint => number(out, integer(text).and_then(|value| i16::try_from(value).ok()).map(i16::to_be_bytes)),
        DataType::Integer => number(out, integer(text).and_then(|value| i32::try_from(value).ok()).map(i32::to_be_bytes)),
        DataType::Bigint => number(out, integer(text).map(i64::to_be_bytes)),
        DataType::Real => number(out, float(text).and_then(|text| text.parse::<f32>().ok()).map(f32::to_be_bytes)),
        DataType::Double => number(out, float(text).and_then(|text| text.parse::<f64>().ok()).map(f64::to_be_bytes)),
        DataType::Timestamp => number(out, timestamp(text).map(i64::to_be_bytes)),
        DataType::Text => {
            // PostgreSQL's text holds no NUL
            let is_text = !text.contains('\0');
            if is_text {
                put(out, Some(text.as_bytes()));
            }
            is_text
        }
    }
}

/// The words of VOTable, CSV writers and people.
pub fn boolean(text: &str) -> Option<bool> {
    match text {
        "T" | "t" | "1" => Some(true),
        "F" | "f" | "0" => Some(false),
        _ if text.eq_ignore_ascii_case("true") => Some(true),
        _ if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// Decimal, or hexadecimal after `0x` (VOTable 1.4, section 6).
pub fn integer(text: &str) -> Option<i64> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) if digits.starts_with(|c: char| c.is_ascii_hexdigit()) => i64::from_str_radix(digits, 16).ok(),
        _ => text.parse().ok(),
    }
}

/// A text that Rust parses as a float just as it is meant: no word but those for NaN and the infinities.
pub fn float(text: &str) -> Option<&str> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_number = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    let is_word = ["nan", "inf", "infinity"].iter().any(|word| digits.eq_ignore_ascii_case(word));
    (is_number || is_word).then_some(text)
}

/// Microseconds since 2000 of an ISO 8601 instant: `2012-07-24T01:02:03.25`, a blank or nothing for `T`, `Z` or nothing at its end.
pub fn timestamp(text: &str) -> Option<i64> {
    match text {
        "infinity" => return Some(i64::MAX),
        "-infinity" => return Some(i64::MIN),
        _ => {}
    }
    let text = text.strip_suffix(['Z', 'z']).unwrap_or(text);
    if text.as_bytes().get(4).is_none_or(|&byte| byte != b'-') {
        return None;
    }
    let civil: jiff::civil::DateTime = text.parse().ok()?;
    let instant = jiff::tz::Offset::UTC.to_timestamp(civil).ok()?;
    Some(instant.as_microsecond() - MICROS_1970_TO_2000)
}

/// What a value of the column should be, for messages.
pub fn wanted(column: &Column) -> &'static str {
    match column.datatype {
        DataType::Boolean => "boolean (T, F, true, false, 1, 0)",
        DataType::Smallint => "integer from -32768 to 32767",
        DataType::Integer => "integer of 32 bits",
        DataType::Bigint => "integer of 64 bits",
        DataType::Real | DataType::Double => "number",
        DataType::Timestamp => "instant like 2012-07-24T01:02:03",
        DataType::Text => "text without NUL characters",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_they_are_meant() {
        assert_eq!(timestamp("2000-01-01T00:00:00.5Z"), Some(500_000));
        assert_eq!(timestamp("2000-01-02 00:00:01"), Some(86_401_000_000));
        assert_eq!(timestamp("1999-12-31"), Some(-86_400_000_000));
        assert_eq!(timestamp("20000101"), None);
        assert_eq!(timestamp("12:00"), None);
        assert_eq!(integer("0x1F"), Some(31));
        assert_eq!(integer("0x-1"), None);
        assert_eq!(integer("9223372036854775807"), Some(i64::MAX));
        assert_eq!(float("+Inf"), Some("+Inf"));
        assert_eq!(float("infinite"), None);
        assert_eq!(boolean("TRUE"), Some(true));
        assert_eq!(boolean("yes"), None);
    }
}
