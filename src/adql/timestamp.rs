//! Timestamps as DALI writes them: `2000-01-02`, `2000-01-02T12:00:00`, with fractions and a `Z`, all of them UTC.

use jiff::civil::{Date, DateTime, date};

/// Microseconds since 2000-01-01T00:00:00, which is how PostgreSQL counts; the fault in words otherwise.
pub fn parse(text: &str) -> Result<i64, String> {
    let refused = || format!("{text:?} is no timestamp: write 'YYYY-MM-DDThh:mm:ss'");
    let bare = text.trim();
    let bare = bare.strip_suffix(['Z', 'z']).unwrap_or(bare);
    let shape = bare.as_bytes();
    // the parser takes more forms (basic ISO, zones), which the standard does not have
    let zoned = bare.get(10..).is_some_and(|time| time.contains(['+', '-']));
    if zoned || shape.len() < 10 || shape.get(4) != Some(&b'-') || shape.get(7) != Some(&b'-') {
        return Err(refused());
    }
    let value = match bare.len() {
        10 => bare.parse::<Date>().map(|day| day.to_datetime(jiff::civil::Time::midnight())),
        _ => bare.parse::<DateTime>(),
    };
    let value = value.map_err(|_| refused())?;
    let epoch = date(2000, 1, 1).to_datetime(jiff::civil::Time::midnight());
    let span = epoch.until((jiff::Unit::Microsecond, value)).map_err(|_| refused())?;
    Ok(span.get_microseconds())
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn forms_of_the_standard() {
        assert_eq!(parse("2000-01-01"), Ok(0));
        assert_eq!(parse("2000-01-02T12:00:00"), Ok(129_600_000_000));
        assert_eq!(parse("2000-01-02 12:00:00.5Z"), Ok(129_600_500_000));
        assert_eq!(parse("1999-12-31T23:59:59.999999"), Ok(-1));
        for bad in ["", "abc", "2000", "2000-13-01", "2000-02-30", "2000-01-01T25:00:00", "20000101T000000", "2000-01-01T00:00:00+01:00"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
