//! Shapes of the sky as the parameters of SIA 2 and SODA write them, as pieces to cut and as conditions of ADQL.
//!
//! DALI 1.1, section 3.3: circles, polygons and coordinate ranges, numbers in degrees, ICRS. A condition begins with what is cheap, the
//! distance of the middles against the sizes, so that the exact test of polygons is asked of neighbours only.

use crate::image::Piece;
use crate::sky::Region;

/// A shape, checked.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    Circle {
        ra_deg: f64,
        dec_deg: f64,
        radius_deg: f64,
    },
    /// Between two meridians, eastwards, and two parallels; its open ends are those of the sky.
    Range {
        ra_deg: [f64; 2],
        dec_deg: [f64; 2],
    },
    Polygon(Vec<(f64, f64)>),
}

/// Corners of a polygon that a client may give; the exact test grows with their number.
const MOST_CORNERS: usize = 100;
/// What rounding may do to distances, in degrees: 0.4 milliarcseconds.
const SLACK_DEG: f64 = 1e-7;

impl Shape {
    /// `CIRCLE 11 41 0.1`, `RANGE 11 12 41 42`, `POLYGON 11 41 12 41 12 42`; the first word knows no case.
    pub fn position(text: &str) -> Result<Shape, String> {
        let (word, rest) = text.trim().split_once(char::is_whitespace).unwrap_or((text.trim(), ""));
        match word.to_ascii_uppercase().as_str() {
            "CIRCLE" => Shape::circle(rest),
            "RANGE" => Shape::range(rest),
            "POLYGON" => Shape::polygon(rest),
            _ => Err("wanted CIRCLE, RANGE or POLYGON and their numbers".into()),
        }
    }

    /// Longitude, latitude, radius.
    pub fn circle(text: &str) -> Result<Shape, String> {
        let numbers = numbers(text)?;
        let [ra_deg, dec_deg, radius_deg] = numbers[..] else {
            return Err("a circle has three numbers: longitude, latitude, radius".into());
        };
        let (ra_deg, dec_deg) = place(ra_deg, dec_deg)?;
        if !(0.0..=90.0).contains(&radius_deg) {
            return Err(format!("the radius {radius_deg} is not between 0 and 90 degrees"));
        }
        Ok(Shape::Circle { ra_deg, dec_deg, radius_deg })
    }

    /// Two longitudes and two latitudes, each rising; -Inf and +Inf are open ends.
    pub fn range(text: &str) -> Result<Shape, String> {
        let numbers = numbers(text)?;
        let [west, east, south, north] = numbers[..] else {
            return Err("a range has four numbers: two longitudes, two latitudes".into());
        };
        let (west, east) = (if west == f64::NEG_INFINITY { 0.0 } else { west }, if east == f64::INFINITY { 360.0 } else { east });
        let (south, north) = (if south == f64::NEG_INFINITY { -90.0 } else { south }, if north == f64::INFINITY { 90.0 } else { north });
        let is_fine = (0.0..=360.0).contains(&west) && (west..=360.0).contains(&east);
        if !is_fine {
            return Err(format!("the longitudes {west} and {east} do not rise between 0 and 360"));
        }
        if !((-90.0..=90.0).contains(&south) && (south..=90.0).contains(&north)) {
            return Err(format!("the latitudes {south} and {north} do not rise between -90 and 90"));
        }
        Ok(Shape::Range { ra_deg: [west, east], dec_deg: [south, north] })
    }

    /// Longitude and latitude of three corners or more.
    pub fn polygon(text: &str) -> Result<Shape, String> {
        let numbers = numbers(text)?;
        if numbers.len() < 6 || !numbers.len().is_multiple_of(2) {
            return Err("a polygon has a longitude and a latitude for each of three corners or more".into());
        }
        if numbers.len() > 2 * MOST_CORNERS {
            return Err(format!("a polygon may have {MOST_CORNERS} corners, this one has {}", numbers.len() / 2));
        }
        let corners = numbers.chunks_exact(2).map(|corner| place(corner[0], corner[1])).collect::<Result<Vec<_>, _>>()?;
        Region::Polygon(corners.clone()).prepare().map_err(|error| error.to_string())?;
        Ok(Shape::Polygon(corners))
    }

    /// The piece of an image that the shape means.
    pub fn piece(&self) -> Piece {
        match self {
            Shape::Circle { ra_deg, dec_deg, radius_deg } => {
                Piece::Region(Region::Circle { ra_deg: *ra_deg, dec_deg: *dec_deg, radius_deg: *radius_deg })
            }
            Shape::Range { ra_deg, dec_deg } => Piece::Range { ra_deg: *ra_deg, dec_deg: *dec_deg },
            Shape::Polygon(corners) => Piece::Region(Region::Polygon(corners.clone())),
        }
    }

    /// True in ADQL for the rows of ivoa.obscore whose image touches the shape.
    pub fn condition(&self) -> String {
        match self {
            Shape::Circle { ra_deg, dec_deg, radius_deg } if *radius_deg == 0.0 => {
                let near = near(*ra_deg, *dec_deg, 0.0);
                format!("({near} AND 1 = CONTAINS(POINT({ra_deg}, {dec_deg}), s_region))")
            }
            Shape::Circle { ra_deg, dec_deg, radius_deg } => {
                let near = near(*ra_deg, *dec_deg, *radius_deg);
                format!("({near} AND 1 = INTERSECTS(s_region, CIRCLE({ra_deg}, {dec_deg}, {radius_deg})))")
            }
            Shape::Polygon(corners) => touched(corners),
            Shape::Range { ra_deg, dec_deg } => in_range(*ra_deg, *dec_deg),
        }
    }
}

/// The numbers of a parameter; NaN is none.
fn numbers(text: &str) -> Result<Vec<f64>, String> {
    let number = |word: &str| {
        let value: Option<f64> = match word.to_ascii_lowercase().as_str() {
            "inf" | "+inf" => Some(f64::INFINITY),
            "-inf" => Some(f64::NEG_INFINITY),
            // Rust also reads the word nan
            _ => word.parse().ok().filter(|value: &f64| value.is_finite()),
        };
        value.ok_or_else(|| format!("{:?} is not a number", word.chars().take(40).collect::<String>()))
    };
    text.split_whitespace().map(number).collect()
}

fn place(ra_deg: f64, dec_deg: f64) -> Result<(f64, f64), String> {
    if !(0.0..=360.0).contains(&ra_deg) {
        return Err(format!("the longitude {ra_deg} is not between 0 and 360 degrees"));
    }
    if !(-90.0..=90.0).contains(&dec_deg) {
        return Err(format!("the latitude {dec_deg} is not between -90 and 90 degrees"));
    }
    Ok((ra_deg, dec_deg))
}

/// Images whose circle touches this one.
fn near(ra_deg: f64, dec_deg: f64, radius_deg: f64) -> String {
    format!("DISTANCE(POINT(s_ra, s_dec), POINT({ra_deg}, {dec_deg})) <= s_fov / 2 + {}", radius_deg + SLACK_DEG)
}

/// Images that touch a polygon within a hemisphere.
fn touched(corners: &[(f64, f64)]) -> String {
    let direction = |(ra, dec): &(f64, f64)| {
        let ((sin_ra, cos_ra), (sin_dec, cos_dec)) = (ra.to_radians().sin_cos(), dec.to_radians().sin_cos());
        [cos_dec * cos_ra, cos_dec * sin_ra, sin_dec]
    };
    let sum = corners.iter().map(direction).fold([0.0; 3], |a, b| [0, 1, 2].map(|k| a[k] + b[k]));
    let middle = (sum[1].atan2(sum[0]).to_degrees().rem_euclid(360.0), sum[2].atan2(sum[0].hypot(sum[1])).to_degrees());
    let towards = direction(&middle);
    let farthest = corners.iter().map(|corner| {
        let corner = direction(corner);
        let half_chord = (0..3).map(|k| (corner[k] - towards[k]).powi(2)).sum::<f64>().sqrt() / 2.0;
        2.0 * half_chord.min(1.0).asin().to_degrees()
    });
    let near = near(middle.0, middle.1, farthest.fold(0.0, f64::max));
    let list = corners.iter().map(|(ra, dec)| format!("{ra}, {dec}")).collect::<Vec<_>>().join(", ");
    format!("({near} AND 1 = INTERSECTS(s_region, POLYGON({list})))")
}

/// Images whose middle is in a range, or whose edge reaches into it: the parallels are followed by short great circles, the range is cut
/// into tiles that fit into a hemisphere.
fn in_range([west, east]: [f64; 2], [south, north]: [f64; 2]) -> String {
    const TILE_DEG: f64 = 60.0;
    let middle = format!("s_ra BETWEEN {west} AND {east} AND s_dec BETWEEN {south} AND {north}");
    let tiles = |low: f64, high: f64| {
        let count = ((high - low) / TILE_DEG).ceil().max(1.0) as usize;
        (0..count).map(move |n| {
            let at = |n: usize| low + (high - low) * n as f64 / count as f64;
            [at(n), at(n + 1)]
        })
    };
    let mut conditions = vec![format!("({middle})")];
    for [south, north] in tiles(south, north) {
        for [west, east] in tiles(west, east) {
            conditions.push(touched(&tile([west, east], [south, north])));
        }
    }
    format!("({})", conditions.join(" OR "))
}

/// The corners of a tile, the parallels in steps of 4 degrees at most and a quarter of the tile, which leave their parallel by 0.02 degrees
/// at most, in a tile of a degree by 0.3 arcsec.
pub fn tile([west, east]: [f64; 2], [south, north]: [f64; 2]) -> Vec<(f64, f64)> {
    // a point or a line has no inside; this much of one is below all pixels
    const LEAST_DEG: f64 = 1e-6;
    let east = east.max(west + LEAST_DEG);
    let (south, north) =
        if north - south < LEAST_DEG { ((north - LEAST_DEG).max(-90.0), (south + LEAST_DEG).min(90.0)) } else { (south, north) };
    let steps = ((east - west) / 4.0).ceil().max(4.0) as usize;
    let along = |dec: f64| -> Vec<(f64, f64)> {
        // at a pole all longitudes are one place
        let steps = if dec.abs() == 90.0 { 0 } else { steps };
        (0..=steps).map(|n| ((west + (east - west) * n as f64 / steps.max(1) as f64).rem_euclid(360.0), dec)).collect()
    };
    let mut corners = along(south);
    corners.extend(along(north).into_iter().rev());
    corners
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_read_as_dali_writes_them() {
        assert_eq!(Shape::position("circle 11 41.5 1e-1"), Ok(Shape::Circle { ra_deg: 11.0, dec_deg: 41.5, radius_deg: 0.1 }));
        assert_eq!(Shape::position("RANGE 1 2 -Inf +Inf"), Ok(Shape::Range { ra_deg: [1.0, 2.0], dec_deg: [-90.0, 90.0] }));
        assert_eq!(Shape::position("POLYGON 1 1 2 1 2 2"), Ok(Shape::Polygon(vec![(1.0, 1.0), (2.0, 1.0), (2.0, 2.0)])));
        for wrong in [
            "",
            "CIRCLE",
            "CIRCLE 1 2",
            "CIRCLE 1 91 1",
            "CIRCLE 1 1 -1",
            "CIRCLE 1 1 nan",
            "CIRCLE 1 1 Inf",
            "CIRCLE 400 1 1",
            "BOX 1 1 1 1",
            "RANGE 2 1 1 2",
            "RANGE 1 2 3 91",
            "RANGE 1 2 nan 2",
            "POLYGON 1 1 2 2",
            "POLYGON 1 1 2 1 2",
            "POLYGON 0 0 120 0 240 0",
            "CIRCLE 1,1,1",
        ] {
            assert!(Shape::position(wrong).is_err(), "{wrong}");
        }
        let many = format!("POLYGON {}", "1 1 2 1 2 2 ".repeat(50));
        assert!(Shape::position(&many).is_err());
    }

    #[test]
    fn a_range_is_tiles_that_regions_take() {
        for range in ["RANGE 0 360 -90 90", "RANGE 11 11 41 41", "RANGE 359 360 89 90", "RANGE 10 12 41 42", "RANGE 0 0 -90 -90"] {
            let Ok(Shape::Range { ra_deg: [west, east], dec_deg: [south, north] }) = Shape::position(range) else { panic!("{range}") };
            let tile = tile([west, east.min(west + 60.0)], [south, north.min(south + 60.0)]);
            assert!(Region::Polygon(tile.clone()).prepare().is_ok(), "{range}: {tile:?}");
        }
    }
}
