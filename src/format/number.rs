//! Numbers and instants as text: the shortest decimals that read back as the same value.
//!
//! Exponents stand only where plain digits would be longer than the number deserves: `0.00001` and `123456`, but `1e-6` and `1e15`.

use std::io::Write;

/// How a text form writes what is no ordinary number.
#[derive(Debug, Clone, Copy)]
pub struct Words {
    pub infinity: &'static str,
    pub minus_infinity: &'static str,
}

/// What PostgreSQL, Java and JavaScript read.
pub const SPELLED: Words = Words { infinity: "Infinity", minus_infinity: "-Infinity" };
/// What VOTable says (VOTable 1.4, section 6).
pub const VOTABLE: Words = Words { infinity: "+Inf", minus_infinity: "-Inf" };

fn push(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a Vec cannot fail");
}

/// Digits of an integer.
#[inline]
pub fn push_integer(out: &mut Vec<u8>, value: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// `1.5`, `2`, `1e-7`, `NaN`.
#[inline]
pub fn push_f64(out: &mut Vec<u8>, value: f64, words: Words) {
    let size = value.abs();
    // the range in which zmij writes plain digits and we do, too
    if (1e-5..1e15).contains(&size) {
        push_plain(out, zmij::Buffer::new().format_finite(value));
    } else if size == 0.0 {
        out.extend_from_slice(if value.is_sign_negative() { b"-0" } else { b"0" });
    } else if size.is_finite() {
        push(out, format_args!("{value:e}"));
    } else {
        push_special(out, value, words);
    }
}

/// Like [`push_f64`], with a float's own shortest digits.
#[inline]
pub fn push_f32(out: &mut Vec<u8>, value: f32, words: Words) {
    let size = value.abs();
    if (1e-5..1e7).contains(&size) {
        push_plain(out, zmij::Buffer::new().format_finite(value));
    } else if size == 0.0 {
        out.extend_from_slice(if value.is_sign_negative() { b"-0" } else { b"0" });
    } else if size.is_finite() {
        push(out, format_args!("{value:e}"));
    } else {
        push_special(out, f64::from(value), words);
    }
}

/// Without the `.0` of whole numbers.
#[inline]
fn push_plain(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.strip_suffix(".0").unwrap_or(text).as_bytes());
}

fn push_special(out: &mut Vec<u8>, value: f64, words: Words) {
    let word = match value {
        f64::INFINITY => words.infinity,
        f64::NEG_INFINITY => words.minus_infinity,
        _ => "NaN",
    };
    out.extend_from_slice(word.as_bytes());
}

/// ISO 8601 with `T` and no more fraction than there is; the two ends of `i64` are PostgreSQL's infinities.
pub fn push_timestamp(out: &mut Vec<u8>, micros_1970: i64) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text64(value: f64) -> String {
        let mut out = Vec::new();
        push_f64(&mut out, value, SPELLED);
        String::from_utf8(out).unwrap()
    }

    fn text32(value: f32) -> String {
        let mut out = Vec::new();
        push_f32(&mut out, value, SPELLED);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_look_as_people_write_them() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (2.0, "2"),
            (0.1, "0.1"),
            (1e-5, "0.00001"),
            (9.9e-6, "9.9e-6"),
            (123456789012345.0, "123456789012345"),
            (1e15, "1e15"),
            (5e-324, "5e-324"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(text64(value), text);
        }
        for (value, text) in [(99.999, "99.999"), (9999999.0, "9999999"), (1e7, "1e7"), (1e-6, "1e-6"), (16777216.0, "1.6777216e7")] {
            assert_eq!(text32(value), text);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back_as_the_same_bits(bits: u64) {
            let (wide, narrow) = (f64::from_bits(bits), f32::from_bits(bits as u32));
            prop_assert!(wide.is_nan() || text64(wide).parse::<f64>().unwrap().to_bits() == wide.to_bits());
            prop_assert!(narrow.is_nan() || text32(narrow).parse::<f32>().unwrap().to_bits() == narrow.to_bits());
        }

        #[test]
        fn ordinary_numbers_are_as_the_standard_library_writes_them(value in -1e6..1e6f64) {
            prop_assert!(value.abs() < 1e-5 || text64(value) == value.to_string());
            let narrow = value as f32;
            // where two shortest texts are equally near (192326.125 as .12 or .13), each library has its own rule
            let (ours, theirs) = (text32(narrow), narrow.to_string());
            let tie = ours.len() == theirs.len() && ours.parse::<f32>() == Ok(narrow) && {
                let off = |text: &str| (text.parse::<f64>().expect("a number") - f64::from(narrow)).abs();
                (off(&ours) - off(&theirs)).abs() <= 1e-9 * narrow.abs() as f64
            };
            prop_assert!(narrow.abs() < 1e-5 || ours == theirs || tie, "{} {}", ours, theirs);
        }
    }
}
