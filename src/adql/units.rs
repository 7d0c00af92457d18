//! Arithmetic with VOUnits: the unit of a product, a quotient, a power, and the factor from one unit to another.
//!
//! [`crate::schema::unit`] says what a unit is; this file says what it is worth. A unit that it cannot take apart (a logarithm,
//! a factor in front) has no product and no conversion, which is no unit rather than a wrong one. Magnitudes are not converted
//! to anything but magnitudes. Values: IAU 2012 (au), IAU 2015 (solar units), CODATA 2018, Julian years.

use crate::schema::unit;
use std::collections::BTreeMap;
use std::f64::consts::PI;

/// Powers are kept in sixtieths, so that roots down to the fifth are exact.
const WHOLE: i32 = 60;

/// Symbol to power in sixtieths.
type Powers = BTreeMap<String, i32>;

/// Base quantities, in this order: m, kg, s, A, K, mol, cd, rad, mag, and things that are counted each by its own name.
#[derive(Debug, Clone, PartialEq, Default)]
struct Worth {
    factor: f64,
    base: BTreeMap<&'static str, i32>,
}

/// Base symbols and their powers.
type Base = &'static [(&'static str, i32)];

/// The symbols of the standard, what they are worth in SI, in terms of the base symbols with their powers.
#[rustfmt::skip]
const SYMBOLS: &[(&str, f64, Base)] = &[
    ("m", 1.0, &[("m", 1)]), ("g", 1e-3, &[("kg", 1)]), ("s", 1.0, &[("s", 1)]), ("A", 1.0, &[("A", 1)]),
    ("K", 1.0, &[("K", 1)]), ("mol", 1.0, &[("mol", 1)]), ("cd", 1.0, &[("cd", 1)]), ("rad", 1.0, &[("rad", 1)]),
    ("mag", 1.0, &[("mag", 1)]), ("sr", 1.0, &[("rad", 2)]),
    ("deg", PI / 180.0, &[("rad", 1)]), ("arcmin", PI / 10_800.0, &[("rad", 1)]), ("arcsec", PI / 648_000.0, &[("rad", 1)]),
    ("mas", PI / 648_000_000.0, &[("rad", 1)]),
    ("Hz", 1.0, &[("s", -1)]), ("N", 1.0, &[("kg", 1), ("m", 1), ("s", -2)]), ("Pa", 1.0, &[("kg", 1), ("m", -1), ("s", -2)]),
    ("J", 1.0, &[("kg", 1), ("m", 2), ("s", -2)]), ("W", 1.0, &[("kg", 1), ("m", 2), ("s", -3)]),
    ("C", 1.0, &[("A", 1), ("s", 1)]), ("V", 1.0, &[("kg", 1), ("m", 2), ("s", -3), ("A", -1)]),
    ("Ohm", 1.0, &[("kg", 1), ("m", 2), ("s", -3), ("A", -2)]), ("S", 1.0, &[("kg", -1), ("m", -2), ("s", 3), ("A", 2)]),
    ("F", 1.0, &[("kg", -1), ("m", -2), ("s", 4), ("A", 2)]), ("Wb", 1.0, &[("kg", 1), ("m", 2), ("s", -2), ("A", -1)]),
    ("T", 1.0, &[("kg", 1), ("s", -2), ("A", -1)]), ("H", 1.0, &[("kg", 1), ("m", 2), ("s", -2), ("A", -2)]),
    ("G", 1e-4, &[("kg", 1), ("s", -2), ("A", -1)]),
    ("min", 60.0, &[("s", 1)]), ("h", 3600.0, &[("s", 1)]), ("d", 86_400.0, &[("s", 1)]),
    ("yr", 31_557_600.0, &[("s", 1)]), ("a", 31_557_600.0, &[("s", 1)]),
    ("eV", 1.602_176_634e-19, &[("kg", 1), ("m", 2), ("s", -2)]), ("erg", 1e-7, &[("kg", 1), ("m", 2), ("s", -2)]),
    ("Ry", 2.179_872_361_103_5e-18, &[("kg", 1), ("m", 2), ("s", -2)]),
    ("Jy", 1e-26, &[("kg", 1), ("s", -2)]), ("barn", 1e-28, &[("m", 2)]), ("u", 1.660_539_066_60e-27, &[("kg", 1)]),
    ("angstrom", 1e-10, &[("m", 1)]), ("Angstrom", 1e-10, &[("m", 1)]), ("AU", 149_597_870_700.0, &[("m", 1)]),
    ("pc", 149_597_870_700.0 * 648_000.0 / PI, &[("m", 1)]), ("lyr", 9_460_730_472_580_800.0, &[("m", 1)]),
    ("solLum", 3.828e26, &[("kg", 1), ("m", 2), ("s", -3)]), ("solMass", 1.988_409_870_698_051e30, &[("kg", 1)]),
    ("solRad", 6.957e8, &[("m", 1)]), ("R", 1e10 / (4.0 * PI), &[("photon", 1), ("m", -2), ("s", -1), ("rad", -2)]),
    ("%", 0.01, &[]), ("ct", 1.0, &[("ct", 1)]), ("count", 1.0, &[("ct", 1)]), ("ph", 1.0, &[("photon", 1)]),
    ("photon", 1.0, &[("photon", 1)]), ("pix", 1.0, &[("pix", 1)]), ("pixel", 1.0, &[("pix", 1)]),
    ("adu", 1.0, &[("adu", 1)]), ("bit", 1.0, &[("bit", 1)]), ("byte", 8.0, &[("bit", 1)]), ("B", 8.0, &[("bit", 1)]),
    ("beam", 1.0, &[("beam", 1)]), ("bin", 1.0, &[("bin", 1)]), ("chan", 1.0, &[("chan", 1)]), ("voxel", 1.0, &[("voxel", 1)]),
];

#[rustfmt::skip]
const PREFIXES: &[(&str, f64)] = &[
    ("da", 1e1), ("y", 1e-24), ("z", 1e-21), ("a", 1e-18), ("f", 1e-15), ("p", 1e-12), ("n", 1e-9), ("u", 1e-6), ("m", 1e-3),
    ("c", 1e-2), ("d", 1e-1), ("h", 1e2), ("k", 1e3), ("M", 1e6), ("G", 1e9), ("T", 1e12), ("P", 1e15), ("E", 1e18), ("Z", 1e21),
    ("Y", 1e24), ("Ki", 1024.0), ("Mi", 1_048_576.0), ("Gi", 1_073_741_824.0),
];

/// The unit of `a` times `b`; `None` if one of them cannot be taken apart.
pub fn product(a: &str, b: &str) -> Option<String> {
    if a.is_empty() || b.is_empty() {
        return Some(format!("{a}{b}"));
    }
    combine(a, b, 1)
}

/// The unit of `a` over `b`.
pub fn quotient(a: &str, b: &str) -> Option<String> {
    if b.is_empty() { Some(a.to_owned()) } else { combine(a, b, -1) }
}

fn combine(a: &str, b: &str, sign: i32) -> Option<String> {
    let mut powers = parse(a)?;
    for (symbol, power) in parse(b)? {
        *powers.entry(symbol).or_insert(0) += sign * power;
    }
    Some(write(powers))
}

/// The unit of a value to the power `numerator / denominator`.
pub fn power(a: &str, numerator: i32, denominator: i32) -> Option<String> {
    if a.is_empty() {
        return Some(String::new());
    }
    let mut powers = parse(a)?;
    for power in powers.values_mut() {
        let scaled = power.checked_mul(numerator)?;
        if denominator == 0 || scaled % denominator != 0 {
            return None;
        }
        *power = scaled / denominator;
    }
    Some(write(powers))
}

/// By what a value in the unit `from` is multiplied to be one in `to`; `None` if they measure different things.
pub fn conversion(from: &str, to: &str) -> Option<f64> {
    if from == to {
        return Some(1.0);
    }
    let (from, to) = (worth(from)?, worth(to)?);
    (from.base == to.base).then_some(from.factor / to.factor)
}

/// The unit after multiplication with a bare number, which in queries is often a conversion: degrees times 3600 are arcseconds.
/// Large powers of ten change the unit to one that has no name here.
pub fn scaled(unit: &str, factor: f64) -> String {
    const KNOWN: [(&str, f64, &str); 8] = [
        ("deg", 3600.0, "arcsec"),
        ("deg", 60.0, "arcmin"),
        ("deg", 3_600_000.0, "mas"),
        ("arcmin", 60.0, "arcsec"),
        ("arcsec", 1000.0, "mas"),
        ("arcsec", 1.0 / 3600.0, "deg"),
        ("arcmin", 1.0 / 60.0, "deg"),
        ("mas", 1.0 / 1000.0, "arcsec"),
    ];
    let known = KNOWN.iter().find(|(from, by, _)| *from == unit && (by / factor - 1.0).abs() < 1e-12);
    match known {
        Some((.., to)) => (*to).to_owned(),
        None if factor.abs() >= 1000.0 || factor.abs() <= 0.001 => String::new(),
        None => unit.to_owned(),
    }
}

fn worth(text: &str) -> Option<Worth> {
    let mut worth = Worth { factor: 1.0, base: BTreeMap::new() };
    for (symbol, power) in parse(text)? {
        let (factor, base) = value(&symbol)?;
        worth.factor *= factor.powf(f64::from(power) / f64::from(WHOLE));
        for (name, exponent) in base {
            *worth.base.entry(name).or_insert(0) += exponent * power;
        }
    }
    worth.base.retain(|_, power| *power != 0);
    Some(worth)
}

/// What a symbol with its prefix is worth.
fn value(symbol: &str) -> Option<(f64, Base)> {
    let find = |name: &str| SYMBOLS.iter().find(|(known, ..)| *known == name);
    if let Some((_, factor, base)) = find(symbol) {
        return Some((*factor, base));
    }
    PREFIXES.iter().find_map(|(prefix, scale)| {
        let (_, factor, base) = find(symbol.strip_prefix(prefix)?)?;
        Some((scale * factor, *base))
    })
}

/// Symbols and powers of a product like `km.s**-1` or `erg/(s.cm**2)`; `None` for what is more than that.
fn parse(text: &str) -> Option<Powers> {
    let mut powers = Powers::new();
    if text.is_empty() {
        return Some(powers);
    }
    unit::check(text).ok()?;
    let (above, below) = text.split_once('/').map_or((text, ""), |(above, below)| (above, below));
    // a power like **(1/2) holds a slash of its own
    if above.contains('(') || below.ends_with(')') && !below.starts_with('(') {
        return parse_terms(text, 1, &mut powers).then_some(powers);
    }
    let below = below.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')).unwrap_or(below);
    let (first, later) = below.split_once('.').map_or((below, ""), |(first, later)| (first, later));
    let whole_below = text.contains("/(");
    let read = parse_terms(above, 1, &mut powers)
        && parse_terms(first, -1, &mut powers)
        && parse_terms(later, if whole_below { -1 } else { 1 }, &mut powers);
    read.then_some(powers)
}

fn parse_terms(text: &str, sign: i32, powers: &mut Powers) -> bool {
    text.is_empty() || text.split('.').all(|term| parse_term(term, sign, powers).is_some())
}

fn parse_term(term: &str, sign: i32, powers: &mut Powers) -> Option<()> {
    let (symbol, power) = term.split_once("**").unwrap_or((term, "1"));
    let power = power.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')).unwrap_or(power);
    let (numerator, denominator) = power.split_once('/').unwrap_or((power, "1"));
    let (numerator, denominator): (i32, i32) = (numerator.parse().ok()?, denominator.parse().ok()?);
    let scaled = numerator.checked_mul(WHOLE)?;
    if symbol.is_empty() || !symbol.chars().all(|c| c.is_ascii_alphabetic() || c == '%') || denominator == 0 || scaled % denominator != 0 {
        return None;
    }
    *powers.entry(symbol.to_owned()).or_insert(0) += sign * scaled / denominator;
    Some(())
}

/// Positive powers first, each side by name.
fn write(powers: Powers) -> String {
    let term = |(symbol, power): (&String, &i32)| match (*power, power % WHOLE) {
        (WHOLE, _) => symbol.clone(),
        (power, 0) => format!("{symbol}**{}", power / WHOLE),
        (power, _) => {
            let divisor = gcd(power.unsigned_abs(), WHOLE.unsigned_abs()) as i32;
            format!("{symbol}**({}/{})", power / divisor, WHOLE / divisor)
        }
    };
    let side = |above: bool| powers.iter().filter(|(_, power)| **power != 0 && (**power > 0) == above).map(term).collect::<Vec<_>>();
    let mut terms = side(true);
    terms.extend(side(false));
    terms.join(".")
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_and_powers() {
        assert_eq!(product("mas.yr**-1", "yr").as_deref(), Some("mas"));
        assert_eq!(product("deg", "deg").as_deref(), Some("deg**2"));
        assert_eq!(quotient("km", "s").as_deref(), Some("km.s**-1"));
        assert_eq!(quotient("erg/s", "cm**2").as_deref(), Some("erg.cm**-2.s**-1"));
        assert_eq!(quotient("mag", "mag").as_deref(), Some(""));
        assert_eq!(power("mas**2.yr**-2", 1, 2).as_deref(), Some("mas.yr**-1"));
        assert_eq!(power("m", 1, 2).as_deref(), Some("m**(1/2)"));
        assert_eq!(product("10**-3mag", "s"), None);
    }

    #[test]
    fn conversions() {
        let near = |from: &str, to: &str, expected: f64| {
            let factor = conversion(from, to).unwrap_or_else(|| panic!("{from} to {to}"));
            assert!((factor / expected - 1.0).abs() < 1e-12, "{from} to {to}: {factor}");
        };
        near("deg", "arcsec", 3600.0);
        near("mas/yr", "deg/yr", 1.0 / 3.6e6);
        near("mas.yr**-1", "rad/yr", std::f64::consts::PI / 648_000_000.0);
        near("km/s", "m.s**-1", 1000.0);
        near("Jy", "erg.s**-1.cm**-2.Hz**-1", 1e-23);
        near("nm", "Angstrom", 10.0);
        near("d", "s", 86400.0);
        near("mmag", "mag", 1e-3);
        near("m**(1/2)", "km**(1/2)", 1e-3_f64.sqrt());
        for (from, to) in [("deg", "s"), ("mag", "Jy"), ("ct", "photon"), ("", "deg"), ("mag", "")] {
            assert_eq!(conversion(from, to), None, "{from} to {to}");
        }
        near("%", "", 0.01);
    }

    #[test]
    fn bare_factors() {
        assert_eq!(scaled("deg", 3600.0), "arcsec");
        assert_eq!(scaled("mag", 2.0), "mag");
        assert_eq!(scaled("m", 1e9), "");
    }
}
