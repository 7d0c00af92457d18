//! Artificial-star tests of simulated stacks: what DOLPHOT would make of stars that are put into the images, as its `.fake` file.
//!
//! A line is the input (extension, chip, x, y, then counts and magnitude for each image) and the photometry of the star, as in `.phot`. A star
//! that is not found has no magnitude and flag 16. The dice of a star are its own: the same line measures the same in every list.

use super::exposures::{self, Overlaps};
use super::facts::BANDS;
use super::layouts::Place;
use super::photometry::{Block, Camp, Object};
use super::population::{self, Kind, Star, Variation};
use super::{Error, Recipe, cepheid, dolphot};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::fmt::Write;

/// Flag of an artificial star that was not found.
const LOST: i16 = 16;
/// The least signal to noise of an object that DOLPHOT keeps (`SigFinal`).
const SIG_FINAL: f32 = 3.5;

/// A star that is put into the images: its place on the reference image, its magnitudes by filter.
#[derive(Debug, Clone, PartialEq)]
pub struct Artificial {
    pub x: f64,
    pub y: f64,
    pub mags: Vec<(String, f64)>,
}

/// The lines of `.fake` for these stars.
///
/// # Errors
/// When the field is not one of the recipe's, or a star lacks a filter of the stack.
pub fn artificial(recipe: &Recipe, brick: u8, field: u8, stars: &[Artificial]) -> Result<String, Error> {
    let (survey, index) = recipe.survey(brick, field)?;
    let mut field = survey.fields[index].clone();
    if cepheid::is_field(&field) {
        field.wcs = cepheid::aligned(field.wcs);
    }
    let exposures = exposures::of_field(&survey, index, Overlaps::None);
    let mut text = String::new();
    for artificial in stars {
        let mut mags = [0.0; 6];
        for (mag, band) in mags.iter_mut().zip(&BANDS) {
            let found = artificial.mags.iter().find(|(filter, _)| filter == band.name);
            *mag = found.map(|(_, mag)| *mag).ok_or_else(|| Error::Option {
                what: "artificial star",
                wanted: format!("a magnitude in {}", band.name),
                got: format!("{} of them", artificial.mags.len()),
            })?;
        }
        let sky_deg = field.wcs.sky_deg(artificial.x, artificial.y);
        let star = Star {
            id: 0,
            kind: Kind::Constant,
            sky_deg,
            mags,
            variation: Variation { period_d: 1.0, amplitude_mag: 0.0, phase: 0.0 },
            shared: false,
        };
        // one star a camp: nothing of the one before it is seen in it
        let mut camp = Camp::new(&exposures);
        let mut rng = population::stream(recipe.seed ^ dice(artificial), &field, population::PURPOSE_ARTIFICIAL);
        let place = Place::of(&field, sky_deg);
        let mut object = camp.measure(&star, place.x, place.y, field.density_arcmin2(place.x, place.y), &mut rng);
        if object.snr < SIG_FINAL {
            lose(&mut object);
        }
        _ = write!(text, "0 1 {:7.2} {:7.2}", artificial.x, artificial.y);
        for exposure in &exposures {
            let band = &BANDS[exposure.band];
            let counts = 10f64.powf(0.4 * (band.zeropoint - mags[exposure.band])) * exposure.exptime_s;
            _ = write!(text, " {counts:.1} {:.3}", mags[exposure.band]);
        }
        text.push(' ');
        dolphot::line(&mut text, &place, &object);
    }
    Ok(text)
}

fn lose(object: &mut Object) {
    (object.chi, object.snr, object.sharp, object.round, object.crowd) = (0.0, 0.0, 0.0, 0.0, 0.0);
    object.combined = [Block::absent(LOST); 6];
    object.single.fill(Block::absent(LOST));
}

/// A number of the star's own.
fn dice(star: &Artificial) -> u64 {
    let numbers = [star.x, star.y].into_iter().chain(star.mags.iter().map(|(_, mag)| *mag));
    let mixed = numbers
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, number| (hash ^ number.to_bits()).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23));
    ChaCha8Rng::seed_from_u64(mixed).random()
}
