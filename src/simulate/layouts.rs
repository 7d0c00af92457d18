//! The rows and headers of the FITS files: `_st.fits`, `_phot.fits`, `truth.fits`.
//!
//! `_st.fits` has the 75 columns of the real file in its order (facts 1.2) and nothing else in its header. `_phot.fits` has
//! eleven globals, six combined blocks and one block per image-chip, and says in header cards of the table what each block
//! is; the convention stands in the documentation of [`crate::simulate`].

use super::exposures::Exposure;
use super::facts::{BANDS, STAR_ORDER, WAVELENGTH_ORDER};
use super::footprint::{Field, Inside};
use super::photometry::{Block, Object};
use super::population::Star;
use crate::format::fits_write::{Card, Column, Form, Row, Value};

/// Where an object is, rounded as printed: pixels to 0.01, the sky from the rounded pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    pub x: f64,
    pub y: f64,
    pub sky_deg: [f64; 2],
}

impl Place {
    /// Where a field puts a true position.
    pub fn of(field: &Field, sky_deg: [f64; 2]) -> Place {
        let [x, y] = field.wcs.pixel(sky_deg).map(|pixel| (pixel * 100.0).round() / 100.0);
        Place { x, y, sky_deg: field.wcs.sky_deg(x, y) }
    }

    /// `PHAT_11.0220304+41.234515`
    pub fn objid(&self) -> String {
        format!("PHAT_{:.7}{:+.6}", self.sky_deg[0], self.sky_deg[1])
    }
}

const BLOCK_NAMES: [&str; 9] = ["rate", "raterr", "vega", "err", "chi", "snr", "sharp", "round", "crowd"];

/// The 75 columns of `_st.fits`.
pub fn star_columns() -> Vec<Column> {
    let mut columns = vec![Column::new("x", Form::E), Column::new("y", Form::E), Column::new("ra", Form::D), Column::new("dec", Form::D)];
    for band in STAR_ORDER.map(|band| &BANDS[band]) {
        columns.extend(BLOCK_NAMES.map(|name| Column::new(format!("{}_{name}", band.lower), Form::E)));
        columns.push(Column::new(format!("{}_flag", band.lower), Form::I));
    }
    columns.extend(WAVELENGTH_ORDER.map(|band| Column::new(format!("{}_gst", BANDS[band].lower), Form::L)));
    columns.push(Column::new("field", Form::K));
    columns.extend(["inside_ir", "inside_brick", "inside_chipgap", "inside_other_chipgap"].map(|name| Column::new(name, Form::L)));
    columns
}

/// Appends a row of `_st.fits`.
pub fn star_row(row: &mut Row, field: &Field, place: &Place, object: &Object, inside: Inside) {
    row.e(place.x as f32);
    row.e(place.y as f32);
    row.d(place.sky_deg[0]);
    row.d(place.sky_deg[1]);
    for block in STAR_ORDER.map(|band| &object.combined[band]) {
        for value in [block.rate, block.raterr, block.vega, block.err, block.chi, block.snr, block.sharp, block.round, block.crowd] {
            row.e(value);
        }
        row.i(block.flag);
    }
    for band in WAVELENGTH_ORDER {
        row.l(object.combined[band].is_good_star(BANDS[band].camera));
    }
    row.k(i64::from(field.field));
    for flag in [inside.ir, inside.brick, inside.chipgap, inside.other_chipgap] {
        row.l(flag);
    }
}

/// The columns of `_phot.fits` with this many single blocks.
pub fn phot_columns(singles: usize) -> Vec<Column> {
    let mut columns: Vec<Column> = ["X", "Y"].map(|name| Column::new(name, Form::E)).into();
    columns.extend(["RA_J2000", "DEC_J2000"].map(|name| Column::new(name, Form::D)));
    columns.extend(["CHI", "SNR", "SHARP", "ROUND"].map(|name| Column::new(name, Form::E)));
    columns.extend([Column::new("MAJAX", Form::I), Column::new("CROWD", Form::E), Column::new("OBJTYPE", Form::I)]);
    for n in 1..=BANDS.len() + singles {
        for name in ["COUNTS", "BG", "RATE", "RATERR"] {
            columns.push(Column::new(format!("{name}{n}"), Form::E));
        }
        for name in ["VEGA", "STD", "ERR"] {
            columns.push(Column::new(format!("MAG{n}_{name}"), Form::E));
        }
        for name in ["CHI", "SNR", "SHARP", "ROUND", "CROWD"] {
            columns.push(Column::new(format!("{name}{n}"), Form::E));
        }
        columns.push(Column::new(format!("FLAG{n}"), Form::I));
    }
    columns
}

/// The cards that tell what each block of `_phot.fits` is.
pub fn phot_cards(exposures: &[Exposure]) -> Vec<Card> {
    let text = |key: String, value: &str| Card::new(key, Value::Text(value.into()), "");
    let mut cards: Vec<Card> = (1..).zip(&BANDS).map(|(n, band)| text(format!("FILT{n}"), band.name)).collect();
    for (n, image) in (BANDS.len() + 1..).zip(exposures) {
        cards.extend([
            text(format!("IMAGE{n}"), &image.image),
            text(format!("FILT{n}"), BANDS[image.band].name),
            Card::new(format!("CHIP{n}"), Value::Integer(image.chip.into()), ""),
            Card::new(format!("EXPT{n}"), Value::Float(image.exptime_s, 1), ""),
            Card::new(format!("MJD{n}"), Value::Float(image.mjd, 8), ""),
            text(format!("DOBS{n}"), &image.date),
            text(format!("TOBS{n}"), &image.time),
        ]);
    }
    cards
}

/// Appends a row of `_phot.fits`.
pub fn phot_row(row: &mut Row, place: &Place, object: &Object) {
    row.e(place.x as f32);
    row.e(place.y as f32);
    row.d(place.sky_deg[0]);
    row.d(place.sky_deg[1]);
    for value in [object.chi, object.snr, object.sharp, object.round] {
        row.e(value);
    }
    row.i(object.major_axis);
    row.e(object.crowd);
    row.i(object.kind);
    for block in object.combined.iter().chain(&object.single) {
        phot_block(row, block);
    }
}

fn phot_block(row: &mut Row, block: &Block) {
    for value in [block.counts, block.background, block.rate, block.raterr, block.vega, block.standard, block.err] {
        row.e(value);
    }
    for value in [block.chi, block.snr, block.sharp, block.round, block.crowd] {
        row.e(value);
    }
    row.i(block.flag);
}

const OBJID_WIDTH: usize = 25;

/// The columns of `truth.fits`.
pub fn truth_columns() -> Vec<Column> {
    let mut columns = vec![
        Column::new("star", Form::K),
        Column::new("brick", Form::I),
        Column::new("field", Form::I),
        Column::new("row", Form::J),
        Column::new("objid", Form::A(OBJID_WIDTH)),
        Column::new("ra", Form::D),
        Column::new("dec", Form::D),
    ];
    columns.extend(WAVELENGTH_ORDER.map(|band| Column::new(format!("{}_true", BANDS[band].lower), Form::E)));
    columns.extend([Column::new("kind", Form::I), Column::new("shared", Form::L)]);
    columns.extend(["period", "amplitude", "phase"].map(|name| Column::new(name, Form::D)));
    columns
}

/// Appends a row of `truth.fits`; `number` counts the field's rows from 1.
pub fn truth_row(row: &mut Row, field: &Field, number: i32, place: &Place, star: &Star) {
    row.k(star.id);
    row.i(field.brick.into());
    row.i(field.field.into());
    row.j(number);
    row.a(&place.objid(), OBJID_WIDTH);
    row.d(star.sky_deg[0]);
    row.d(star.sky_deg[1]);
    for band in WAVELENGTH_ORDER {
        row.e(star.mags[band] as f32);
    }
    row.i(star.kind as i16);
    row.l(star.shared);
    row.d(star.variation.period_d);
    row.d(star.variation.amplitude_mag);
    row.d(star.variation.phase);
}
