//! Positions and radii as people write them.
//!
//! Plain numbers are degrees. Sexagesimal right ascensions are hours, minutes, seconds (`00:44:05.3`, `00h44m05.3s`,
//! `00 44 05.3`), declinations degrees, minutes, seconds (`+41:14:04`, `41d14m04s`).

use super::Error;

/// Right ascension in degrees, 0 to 360.
pub fn ra_deg(text: &str) -> Result<f64, Error> {
    let wrong = || Error::Text {
        text: text.into(),
        wanted: "a right ascension",
        examples: "degrees from 0 to 360 (11.02203), or hours (00:44:05.29, 00h44m05.29s)",
    };
    let value = match parts(text, ["h", "m", "s"]).ok_or_else(wrong)? {
        Parts::Plain(degrees) => degrees,
        Parts::Sexagesimal(hours) => 15.0 * hours,
    };
    (0.0..=360.0).contains(&value).then_some(value).ok_or_else(wrong)
}

/// Declination in degrees, -90 to 90.
pub fn dec_deg(text: &str) -> Result<f64, Error> {
    let wrong = || Error::Text {
        text: text.into(),
        wanted: "a declination",
        examples: "degrees from -90 to 90 (41.23451), or degrees, minutes, seconds (+41:14:04.2, 41d14m04.2s)",
    };
    let (Parts::Plain(value) | Parts::Sexagesimal(value)) = parts(text, ["d", "m", "s"]).ok_or_else(wrong)?;
    (-90.0..=90.0).contains(&value).then_some(value).ok_or_else(wrong)
}

/// The unit of a radius.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Arcsec,
    Arcmin,
    Degree,
}

impl Unit {
    const NAMES: [(&'static str, Unit); 9] = [
        ("arcsec", Unit::Arcsec),
        ("arcmin", Unit::Arcmin),
        ("degrees", Unit::Degree),
        ("degree", Unit::Degree),
        ("deg", Unit::Degree),
        ("d", Unit::Degree),
        ("\"", Unit::Arcsec),
        ("s", Unit::Arcsec),
        ("'", Unit::Arcmin),
    ];

    fn per_degree(self) -> f64 {
        match self {
            Unit::Arcsec => 3600.0,
            Unit::Arcmin => 60.0,
            Unit::Degree => 1.0,
        }
    }
}

impl std::str::FromStr for Unit {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        let named = Unit::NAMES.iter().find(|(name, _)| *name == text);
        named.map(|(_, unit)| *unit).ok_or_else(|| Error::Text { text: text.into(), wanted: "a unit", examples: "arcsec, arcmin or deg" })
    }
}

/// A radius in degrees, above 0 to 180; a bare number is in `bare`.
pub fn radius_deg(text: &str, bare: Unit) -> Result<f64, Error> {
    let wrong = || Error::Text {
        text: text.into(),
        wanted: "a radius",
        examples: "a number above 0, of arcsec, or with its unit: 0.2arcsec, 1arcmin, 0.01deg",
    };
    let text_and_unit = Unit::NAMES.iter().find_map(|(name, unit)| Some((text.trim().strip_suffix(name)?, *unit)));
    let (number, unit) = text_and_unit.unwrap_or((text, bare));
    let degrees = number.trim().parse::<f64>().map_err(|_| wrong())? / unit.per_degree();
    (degrees > 0.0 && degrees <= 180.0).then_some(degrees).ok_or_else(wrong)
}

enum Parts {
    Plain(f64),
    /// In units of the first of three parts, sign included.
    Sexagesimal(f64),
}

/// Splits at colons, blanks, or the given letters.
fn parts(text: &str, letters: [&str; 3]) -> Option<Parts> {
    // The typographic minus sign comes with positions copied from papers.
    let text = text.trim().replace('−', "-");
    let (sign, size) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(&text)),
    };
    if let Some(degrees) = number(size.strip_suffix("deg").unwrap_or(size)) {
        return Some(Parts::Plain(sign * degrees));
    }
    let separated = size.trim_end_matches(letters[2]).replace([':', ' ', '\t'], "|").replace(letters[0], "|").replace(letters[1], "|");
    let fields: Vec<&str> = separated.split('|').filter(|field| !field.is_empty()).collect();
    let [whole, minutes, seconds] = match *fields.as_slice() {
        [whole, minutes, seconds] => [whole, minutes, seconds],
        [whole, minutes] => [whole, minutes, "0"],
        _ => return None,
    };
    let (whole, minutes, seconds) = (whole.parse::<u16>().ok()?, number(minutes)?, number(seconds)?);
    (minutes < 60.0 && seconds < 60.0).then(|| Parts::Sexagesimal(sign * (f64::from(whole) + minutes / 60.0 + seconds / 3600.0)))
}

/// An unsigned finite number.
fn number(text: &str) -> Option<f64> {
    let digits_first = text.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    digits_first.then(|| text.parse().ok()).flatten().filter(|value: &f64| value.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(value: Result<f64, Error>, expected: f64) {
        let value = value.unwrap();
        assert!((value - expected).abs() < 1e-12 * expected.abs().max(1.0), "{value} is not {expected}");
    }

    #[test]
    fn positions_are_read_as_astropy_reads_them() {
        // Angle('00h44m05.3s').deg, Angle('-0d30m0s').deg and so on, astropy 8.0
        for text in ["00:44:05.3", "00h44m05.3s", "0h44m5.3", "00 44 05.3"] {
            near(ra_deg(text), 11.022_083_333_333_333);
        }
        near(ra_deg("23:59:59.99"), 359.999_958_333_333_3);
        near(ra_deg("11.02203"), 11.02203);
        near(ra_deg("1.1e1"), 11.0);
        for text in ["+41:14:04", "41d14m04s", "41 14 04", "41:14:04"] {
            near(dec_deg(text), 41.23444444444444);
        }
        near(dec_deg("-00:30:00"), -0.5);
        near(dec_deg("−5.25"), -5.25);
        near(dec_deg("-90"), -90.0);
    }

    #[test]
    fn what_is_not_on_the_sky_is_refused() {
        for text in ["", "abc", "-1", "361", "24:30:00", "1:60:00", "1:00:60", "nan", "inf", "1:2:3:4", "12:-1:00"] {
            assert!(ra_deg(text).is_err(), "{text}");
        }
        for text in ["", "90.1", "-91", "89:60:00", "90:00:01", "--5", "+-5", "NaN"] {
            assert!(dec_deg(text).is_err(), "{text}");
        }
    }

    #[test]
    fn radii_carry_their_unit() {
        for text in ["0.2", "0.2arcsec", "0.2\"", "0.2 arcsec"] {
            near(radius_deg(text, Unit::Arcsec), 0.2 / 3600.0);
        }
        near(radius_deg("1arcmin", Unit::Arcsec), 1.0 / 60.0);
        near(radius_deg("0.01deg", Unit::Arcsec), 0.01);
        near(radius_deg("0.01", Unit::Degree), 0.01);
        for text in ["0", "-1", "arcsec", "1parsec", "181deg", "inf", "nan", ""] {
            assert!(radius_deg(text, Unit::Arcsec).is_err(), "{text}");
        }
    }
}
