//! VOUnits: is a string like `deg`, `erg.s**-1.cm**-2` or `10**-3mag/pix` a unit?
//!
//! Follows "Units in the VO" 1.1 (Demleitner et al. 2023): an optional factor that is a power of ten, then units joined by `.` and at
//! most one `/`, each with an optional power `**n`, `**n.m` or `**(p/q)`; parentheses and the functions sqrt, log, ln, exp.
//! Units that are not of the standard are refused, so that a slip of the pen is found.

/// Units that take the prefixes of the SI.
const PREFIXED: &[&str] = &[
    "A", "a", "adu", "arcmin", "arcsec", "B", "barn", "beam", "bin", "bit", "byte", "C", "cd", "chan", "count", "ct", "D", "d", "deg",
    "erg", "eV", "F", "g", "G", "H", "h", "Hz", "J", "Jy", "K", "lm", "lx", "lyr", "m", "mag", "min", "mol", "N", "Ohm", "Pa", "pc", "ph",
    "photon", "pix", "pixel", "R", "rad", "Ry", "s", "S", "solLum", "solMass", "solRad", "sr", "T", "u", "V", "voxel", "W", "Wb", "yr",
];
/// Units that take none.
const UNPREFIXED: &[&str] = &["%", "angstrom", "Angstrom", "AU", "dB", "mas", "Sun"];
const PREFIXES: &[&str] = &[
    "da", "y", "z", "a", "f", "p", "n", "u", "m", "c", "d", "h", "k", "M", "G", "T", "P", "E", "Z", "Y", "Ki", "Mi", "Gi", "Ti", "Pi",
    "Ei", "Zi", "Yi",
];
const FUNCTIONS: &[&str] = &["sqrt", "log", "ln", "exp"];

/// What is wrong with a unit, in words; the empty string is dimensionless.
pub fn check(unit: &str) -> Result<(), String> {
    if unit.is_empty() {
        return Ok(());
    }
    let mut parser = Parser { rest: unit };
    parser.factor();
    if !parser.rest.is_empty() {
        parser.product()?;
    }
    match parser.rest {
        "" => Ok(()),
        rest => Err(format!("{unit:?} is no VOUnit: it cannot be read from {rest:?} on")),
    }
}

struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn eat(&mut self, token: &str) -> bool {
        let found = self.rest.strip_prefix(token);
        self.rest = found.unwrap_or(self.rest);
        found.is_some()
    }

    fn take(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !wanted(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    /// `10**-3` or `0.1`.
    fn factor(&mut self) {
        if !self.take(|c| c.is_ascii_digit()).is_empty() {
            if self.eat("**") {
                self.eat("-");
            } else {
                self.eat(".");
            }
            self.take(|c| c.is_ascii_digit());
        }
    }

    fn product(&mut self) -> Result<(), String> {
        let mut divided = false;
        loop {
            self.power()?;
            if self.rest.starts_with('/') && divided {
                return Err("a VOUnit has one `/` at most; write the rest with negative powers".into());
            }
            if self.eat("/") {
                divided = true;
            } else if !self.eat(".") {
                return Ok(());
            }
        }
    }

    fn power(&mut self) -> Result<(), String> {
        self.atom()?;
        if self.eat("**") {
            let bracket = self.eat("(");
            self.eat("-");
            let number = self.number() && (!bracket || !self.eat("/") || self.number());
            if !number || (bracket && !self.eat(")")) {
                return Err("a power in a VOUnit is written `**2`, `**-1` or `**(1/2)`".into());
            }
        }
        Ok(())
    }

    /// `2` or `1.5`; a point that no digit follows joins the next unit, as in `mas**2.yr`. False if there is no digit.
    fn number(&mut self) -> bool {
        let whole = !self.take(|c| c.is_ascii_digit()).is_empty();
        let fraction = self.rest.strip_prefix('.').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        if whole && fraction {
            self.eat(".");
            self.take(|c| c.is_ascii_digit());
        }
        whole
    }

    fn atom(&mut self) -> Result<(), String> {
        let name = self.take(|c| c.is_ascii_alphabetic() || c == '%');
        if (name.is_empty() || FUNCTIONS.contains(&name)) && self.eat("(") {
            self.product()?;
            return if self.eat(")") { Ok(()) } else { Err("a parenthesis in the unit is not closed".into()) };
        }
        match is_unit(name) {
            true => Ok(()),
            false if name.is_empty() => Err(format!("a unit was expected at {:?}", self.rest)),
            false => Err(format!("{name:?} is no unit of VOUnits")),
        }
    }
}

fn is_unit(name: &str) -> bool {
    let prefixed = |prefix: &&str| name.strip_prefix(*prefix).is_some_and(|unit| PREFIXED.contains(&unit));
    UNPREFIXED.contains(&name) || PREFIXED.contains(&name) || PREFIXES.iter().any(prefixed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_of_the_standard_pass() {
        for unit in [
            "",
            "deg",
            "mag",
            "ct",
            "pix",
            "km.s**-1",
            "erg/s",
            "10**-3mag",
            "m**(1/2)",
            "sqrt(Hz)",
            "mJy/beam",
            "mas.yr**-1",
            "mas**2.yr**-2",
            "MiB",
        ] {
            assert_eq!(check(unit), Ok(()), "{unit}");
        }
    }

    #[test]
    fn others_are_refused() {
        for unit in ["degree", "e-", "kmas", "Deg", "mag^2", "m/s/s", "m**", "m.", "(m", "kmag per pix", "arcseconds", "m**(1/2"] {
            assert!(check(unit).is_err(), "{unit}");
        }
    }
}
