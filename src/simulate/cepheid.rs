//! V5343, the Cepheid of the paper's light curve, at its real place in brick 4, field 15.
//!
//! The points are those read off the printed figure (facts 2.4); an image that stands for a printed point has that
//! magnitude and, where the figure tells it, that uncertainty. The other images of the star are interpolated in phase
//! between the long exposures, so that truth and points agree.

use super::exposures::{Exposure, Pointing};
use super::facts::BANDS;
use super::footprint::{Field, Wcs};

pub const RA_DEG: f64 = 11.0220304;
pub const DEC_DEG: f64 = 41.234515;
pub const PERIOD_D: f64 = 10.29;
/// Mean magnitudes in the order of the combined blocks, for the truth table.
pub const MEAN_MAG: [f64; 6] = [22.115, 20.255, 26.4, 23.47, 19.68, 19.13];
/// No other star comes nearer, so that a cone of 0.2 arcsec holds the Cepheid alone.
pub const LONELY_DEG: f64 = 0.5 / 3600.0;

/// A printed point: band, pointing, number of the exposure, magnitude, printed uncertainty if any.
type Point = (&'static str, Pointing, usize, f64, Option<f64>);

const POINTS: [Point; 22] = [
    ("F475W", Pointing::Own, 0, 22.79, Some(0.17)),
    ("F475W", Pointing::Own, 1, 22.23, None),
    ("F475W", Pointing::Own, 2, 22.20, None),
    ("F475W", Pointing::Neighbour, 0, 22.34, None),
    ("F475W", Pointing::Neighbour, 1, 22.05, None),
    ("F475W", Pointing::Neighbour, 2, 22.02, None),
    ("F814W", Pointing::Own, 0, 20.44, None),
    ("F814W", Pointing::Own, 1, 20.27, None),
    ("F814W", Pointing::Own, 2, 20.25, None),
    ("F814W", Pointing::Neighbour, 0, 20.36, None),
    ("F814W", Pointing::Neighbour, 1, 20.25, None),
    ("F814W", Pointing::Neighbour, 2, 20.24, None),
    ("F336W", Pointing::Own, 0, 23.50, None),
    ("F336W", Pointing::Own, 1, 23.37, None),
    ("F336W", Pointing::Neighbour, 0, 23.55, None),
    ("F336W", Pointing::Neighbour, 1, 23.46, None),
    ("F275W", Pointing::Own, 0, 24.98, Some(0.43)),
    ("F275W", Pointing::Own, 1, 27.08, Some(1.5)),
    ("F275W", Pointing::Neighbour, 0, 27.34, Some(2.4)),
    ("F110W", Pointing::Own, 0, 19.68, None),
    ("F160W", Pointing::Own, 0, 19.13, None),
    ("F160W", Pointing::Own, 1, 19.13, None),
];

/// Where it is.
pub const BRICK: u8 = 4;
pub const FIELD: u8 = 15;

pub fn is_field(field: &Field) -> bool {
    (field.brick, field.field) == (BRICK, FIELD)
}

pub fn is_near(sky_deg: [f64; 2]) -> bool {
    let east = (sky_deg[0] - RA_DEG) * DEC_DEG.to_radians().cos();
    east.hypot(sky_deg[1] - DEC_DEG) < LONELY_DEG
}

/// Moves a field's tangent point by less than 0.01 pixel, so that the Cepheid's position, printed to 0.01 pixel as all
/// are, is its real one to the last digit of its name.
pub fn aligned(mut wcs: Wcs) -> Wcs {
    for _ in 0..4 {
        let [x, y] = wcs.pixel([RA_DEG, DEC_DEG]);
        let [ra, dec] = wcs.sky_deg((x * 100.0).round() / 100.0, (y * 100.0).round() / 100.0);
        wcs.crval_deg[0] += RA_DEG - ra;
        wcs.crval_deg[1] += DEC_DEG - dec;
    }
    wcs
}

/// Magnitude, and uncertainty if printed, of the Cepheid on an image; `None` where its flux comes out negative (the
/// fourth F275W image, which the figure does not show).
pub fn magnitude(image: &Exposure) -> Option<(f64, Option<f64>)> {
    let name = BANDS[image.band].name;
    if (name, image.pointing, image.number) == ("F275W", Pointing::Neighbour, 1) {
        return None;
    }
    let printed = POINTS.iter().find(|point| (point.0, point.1, point.2) == (name, image.pointing, image.number));
    Some(printed.map_or_else(|| (at_phase(image), None), |point| (point.3, point.4)))
}

/// Linear in phase between the long exposures of the two epochs.
fn at_phase(image: &Exposure) -> f64 {
    let means: [f64; 2] = match BANDS[image.band].name {
        "F475W" => [22.215, 22.035],
        "F814W" => [20.26, 20.245],
        _ => return MEAN_MAG[image.band],
    };
    let phase = |mjd: f64| (mjd / PERIOD_D).rem_euclid(1.0);
    let (first, second) = (phase(55709.3), phase(55926.9));
    let from_first = (phase(image.mjd) - first).rem_euclid(1.0);
    let apart = (second - first).rem_euclid(1.0);
    let part = if from_first < apart { from_first / apart } else { (1.0 - from_first) / (1.0 - apart) };
    means[0] + part * (means[1] - means[0])
}
