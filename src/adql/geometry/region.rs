//! Descriptions of regions: STC-S (`Circle ICRS 10 20 0.5`) and DALI (`circle 10 20 0.5`, or the bare numbers).
//!
//! One shape each. Unions, intersections and complements are refused, in words that say what to write instead.

use super::Known;
use super::frame::{Frame, is_reference};

/// The geometry of a description; the fault in words otherwise.
pub fn parse(text: &str) -> Result<(Known, Frame), String> {
    let words: Vec<&str> = text.split(|c: char| c.is_whitespace() || c == ',').filter(|word| !word.is_empty()).collect();
    let refused = |why: &str| format!("{text:?} is no region: {why}");
    let split = words.iter().position(|word| word.parse::<f64>().is_ok()).unwrap_or(words.len());
    let (names, numbers) = words.split_at(split);
    let (kind, rest) = match names.split_first() {
        Some((kind, rest)) if Kind::from_name(kind).is_some() => (Kind::from_name(kind), rest),
        _ => (None, names),
    };
    if let Some(word) = names.iter().chain(numbers).find(|word| is_set_operation(word)) {
        return Err(format!("{word} of regions is not supported: ask about each of them, and join the answers with AND, OR, NOT"));
    }
    let frame = frame(rest)?;
    let numbers: Vec<f64> = trimmed(numbers)
        .iter()
        .map(|word| word.parse::<f64>().ok().filter(|x| x.is_finite()))
        .collect::<Option<_>>()
        .ok_or_else(|| refused("a number was expected"))?;
    let known = match (kind, numbers.as_slice()) {
        (Some(Kind::Point) | None, [lon, lat]) => Known::Point(*lon, *lat),
        (Some(Kind::Circle) | None, [lon, lat, radius]) => Known::Circle(*lon, *lat, *radius),
        (Some(Kind::Box), [lon, lat, width, height]) => Known::Box(*lon, *lat, *width, *height),
        (Some(Kind::Polygon) | None, corners) if corners.len() >= 6 && corners.len() % 2 == 0 => {
            Known::Polygon(corners.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect())
        }
        (None, _) => return Err(refused("write POINT lon lat, CIRCLE lon lat radius, BOX lon lat width height, or POLYGON lon lat ...")),
        (Some(_), _) => return Err(refused("the number of numbers does not fit")),
    };
    Ok((known, frame))
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Point,
    Circle,
    Box,
    Polygon,
}

impl Kind {
    fn from_name(name: &str) -> Option<Kind> {
        Some(match name.to_ascii_uppercase().as_str() {
            "POINT" | "POSITION" => Kind::Point,
            "CIRCLE" => Kind::Circle,
            "BOX" => Kind::Box,
            "POLYGON" => Kind::Polygon,
            _ => return None,
        })
    }
}

fn is_set_operation(word: &str) -> bool {
    let name = word.split('(').next().unwrap_or_default();
    ["UNION", "INTERSECTION", "NOT", "DIFFERENCE"].iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// The words between the kind and the numbers.
fn frame(words: &[&str]) -> Result<Frame, String> {
    match words.split_first() {
        None => Ok(Frame::Icrs),
        Some((first, _)) if is_reference(first) => Frame::from_name(""),
        Some(_) => Frame::from_name(&words.join(" ")),
    }
}

/// Numbers without a unit of degrees after them, which STC-S may write.
fn trimmed<'a, 'b>(words: &'a [&'b str]) -> &'a [&'b str] {
    match words {
        [rest @ .., unit, last] if unit.eq_ignore_ascii_case("unit") && last.eq_ignore_ascii_case("deg") => rest,
        words => words,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions() {
        assert_eq!(parse("Circle ICRS 10 20 0.5"), Ok((Known::Circle(10.0, 20.0, 0.5), Frame::Icrs)));
        assert_eq!(parse("position galactic lsr 12.3 45.6"), Ok((Known::Point(12.3, 45.6), Frame::Galactic)));
        assert_eq!(parse("10 20 0.5"), Ok((Known::Circle(10.0, 20.0, 0.5), Frame::Icrs)));
        assert_eq!(parse("Box J2000 1 2 3 4 unit deg"), Ok((Known::Box(1.0, 2.0, 3.0, 4.0), Frame::Fk5)));
        assert_eq!(parse("POLYGON 1 1 2 1 2 2").unwrap().0, Known::Polygon(vec![(1.0, 1.0), (2.0, 1.0), (2.0, 2.0)]));
        for bad in [
            "",
            "circle 1 2",
            "CIRCLE FK4 1 2 3",
            "circle a b c",
            "polygon 1 2 3 4 5",
            "union (circle 1 2 3 circle 2 2 3)",
            "circle 1 2 nan",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
