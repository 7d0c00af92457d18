//! DOLPHOT's own text output: `.phot`, `.phot.columns`, `.phot.info`, and the reference image's header.
//!
//! The formats are the `printf`s of DOLPHOT's source (facts 3.1 to 3.3). A line has two spaces before a block; fields may
//! overflow their width, so a reader splits at white space. `<name>_F475W_drz.hdr` holds the tangent-plane WCS as 80-column
//! cards, one a line (astropy: `Header.fromtextfile`); right ascension and declination are
//! `WCS.all_pix2world(x, y, 0)`: `x, y` count from 0, as in the survey's own tools.

use super::exposures::Exposure;
use super::facts::{BANDS, Band, Camera};
use super::footprint::{CRPIX_DECIMALS, REFERENCE_SIZE_PX, Wcs};
use super::layouts::Place;
use super::photometry::{Block, Object};
use crate::format::fits_write::{Card, Value};
use std::fmt::Write;

const GLOBALS: [&str; 11] = [
    "Extension (zero for base image)",
    "Chip (for three-dimensional FITS image)",
    "Object X position on reference image (or first image, if no reference)",
    "Object Y position on reference image (or first image, if no reference)",
    "Chi for fit",
    "Signal-to-noise",
    "Object sharpness",
    "Object roundness",
    "Direction of major axis (if not round)",
    "Crowding",
    "Object type (1=bright star, 2=faint, 3=elongated, 4=hot pixel, 5=extended)",
];

const BLOCK: [&str; 11] = [
    "Normalized count rate",
    "Normalized count rate uncertainty",
    "Instrumental VEGAMAG magnitude",
    "Transformed UBVRI magnitude",
    "Magnitude uncertainty",
    "Chi",
    "Signal-to-noise",
    "Sharpness",
    "Roundness",
    "Crowding",
    "Photometry quality flag",
];

fn filter(band: &Band) -> String {
    format!("{}_{}", band.camera.prefix(), band.name)
}

/// The text of `.phot.columns`.
pub fn columns(exposures: &[Exposure]) -> String {
    let mut names: Vec<String> = GLOBALS.iter().map(|name| (*name).to_string()).collect();
    for band in &BANDS {
        names.extend(["Total counts", "Total sky level"].iter().chain(&BLOCK).map(|name| format!("{name}, {}", filter(band))));
    }
    for image in exposures {
        let of = format!("{} ({}, {:.1} sec)", image.image, filter(&BANDS[image.band]), image.exptime_s);
        names.extend(["Measured counts", "Measured sky level"].iter().chain(&BLOCK).map(|name| format!("{name}, {of}")));
    }
    names.iter().enumerate().fold(String::new(), |mut text, (at, name)| {
        _ = writeln!(text, "{}. {name}", at + 1);
        text
    })
}

/// The text of `.phot.info`: images and their epochs, limits, exposures, alignment, aperture corrections.
pub fn info(exposures: &[Exposure]) -> String {
    let mut text = format!("{} sets of output data\n", exposures.len());
    for image in exposures {
        _ = writeln!(text, "{}\n{:16.8}", image.image, image.mjd);
    }
    _ = writeln!(text, "\nEXTENSION 0 CHIP 1\nLimits\n 0 {} 0 {}", REFERENCE_SIZE_PX[0], REFERENCE_SIZE_PX[1]);
    for (name, is_of) in [("ACS", is_acs as fn(Camera) -> bool), ("WFC3", |camera| !is_acs(camera))] {
        _ = writeln!(text, "* {name}-specific info");
        for (at, image) in exposures.iter().enumerate().filter(|(_, image)| is_of(BANDS[image.band].camera)) {
            let module = if BANDS[image.band].camera == Camera::Ir { 0 } else { image.chip };
            _ = writeln!(text, "* image {}: {} {module} {:.1}", at + 1, filter(&BANDS[image.band]), image.exptime_s);
        }
    }
    text.push_str("Alignment\n");
    for _ in exposures {
        text.push_str(" 0.000000 0.000000 1.000000 0.000000 0.000000\n");
    }
    text.push_str("Aperture corrections\n");
    for _ in exposures {
        text.push_str("  0.000\n");
    }
    text.push_str("PSF solution\n");
    text
}

fn is_acs(camera: Camera) -> bool {
    camera == Camera::Acs
}

/// The header of the reference image, one card a line.
pub fn reference_header(wcs: &Wcs, target: &str) -> String {
    let cd = wcs.cd();
    let text = |key: &str, value: &str| Card::new(key, Value::Text(value.into()), "");
    let float = |key: &str, value: f64, decimals: usize| Card::new(key, Value::Float(value, decimals), "");
    let cards = [
        Card::new("SIMPLE", Value::Logical(true), "conforms to FITS standard"),
        Card::new("BITPIX", Value::Integer(-32), "array data type"),
        Card::new("NAXIS", Value::Integer(2), "number of array dimensions"),
        Card::new("NAXIS1", Value::Integer(REFERENCE_SIZE_PX[0].into()), ""),
        Card::new("NAXIS2", Value::Integer(REFERENCE_SIZE_PX[1].into()), ""),
        text("TARGNAME", target),
        text("FILTER", "F475W"),
        text("CTYPE1", "RA---TAN"),
        text("CTYPE2", "DEC--TAN"),
        float("CRVAL1", wcs.crval_deg[0], 15),
        float("CRVAL2", wcs.crval_deg[1], 15),
        float("CRPIX1", wcs.crpix()[0], CRPIX_DECIMALS),
        float("CRPIX2", wcs.crpix()[1], CRPIX_DECIMALS),
        text("CUNIT1", "deg"),
        text("CUNIT2", "deg"),
        float("CD1_1", cd[0][0], 22),
        float("CD1_2", cd[0][1], 22),
        float("CD2_1", cd[1][0], 22),
        float("CD2_2", cd[1][1], 22),
        text("RADESYS", "ICRS"),
    ];
    let mut header: String = cards.iter().map(|card| card.line() + "\n").collect();
    header.push_str(&format!("{:<80}\n", "END"));
    header
}

/// Appends one line of `.phot`.
pub fn line(text: &mut String, place: &Place, object: &Object) {
    _ = write!(text, "0 1 {:7.2} {:7.2}", place.x, place.y);
    _ = write!(text, " {:6.2} {:7.1} {:6.3} {:6.3}", object.chi, object.snr, object.sharp, object.round);
    _ = write!(text, " {:3} {:5.3} {}", object.major_axis, object.crowd, object.kind);
    for block in object.combined.iter().chain(&object.single) {
        write_block(text, block);
    }
    text.push('\n');
}

fn write_block(text: &mut String, block: &Block) {
    text.push_str("  ");
    match block.counts {
        counts if counts >= 999_999.5 => exponential(text, counts, 2),
        counts => _ = write!(text, "{counts:8.1}"),
    }
    text.push(' ');
    match block.background {
        sky if sky < 9999.995 => _ = write!(text, "{sky:8.2}"),
        sky if sky < 999_999.95 => _ = write!(text, "{sky:8.1}"),
        sky => exponential(text, sky, 1),
    }
    for value in [block.rate, block.raterr] {
        text.push(' ');
        rate(text, value);
    }
    _ = write!(text, " {:6.3} {:6.3} {:5.3}", block.vega, block.standard, block.err);
    _ = write!(text, " {:6.2} {:7.1} {:6.3} {:6.3} {:5.3} {:2}", block.chi, block.snr, block.sharp, block.round, block.crowd, block.flag);
}

/// `%8.1e` below zero, `%8.2e` below 0.99, then fixed with the decimals that fit eight characters.
fn rate(text: &mut String, value: f32) {
    match value {
        value if value < 0.0 => exponential(text, value, 1),
        value if value < 0.99 => exponential(text, value, 2),
        value => {
            let whole_digits = value.log10().floor() as usize + 1;
            let decimals = 7usize.saturating_sub(whole_digits).clamp(1, 6);
            _ = write!(text, "{value:8.decimals$}");
        }
    }
}

/// C's `%8.<decimals>e`, with its two-digit exponent.
fn exponential(text: &mut String, value: f32, decimals: usize) {
    let plain = format!("{:.decimals$e}", f64::from(value));
    let (mantissa, exponent) = plain.split_once('e').expect("Rust writes an exponent for {:e}");
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
    _ = write!(text, "{:>8}", format!("{mantissa}e{sign}{exponent:0>2}"));
}
