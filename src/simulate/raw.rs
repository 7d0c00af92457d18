//! Exposures as the archive gives them, and their photometry: what a reduction begins with, and what DOLPHOT would make of it.
//!
//! An exposure is a file of headers with the archive's keywords: the primary one and an image extension a chip, `NAXIS = 0`: there are no
//! pixels, as the photometry of simulated exposures comes from the truth. Cards `SIM*` hold the [`Recipe`], all that [`photometry`] needs
//! to measure the same stars again.

use super::exposures::{self, Exposure, Overlaps};
use super::facts::{BANDS, Camera, program};
use super::footprint::{Field, Survey};
use super::{Dolphot, Error, Options, Population, Products, Run, Written, at, dolphot, dolphot_paths, part_name, target};
use crate::format::fits_write::{Card, Value};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The options that a simulated exposure was made with.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    pub seed: u64,
    pub objects: u64,
    pub bricks: Vec<u8>,
    pub fields: Vec<u8>,
}

impl Recipe {
    fn of(options: &Options) -> Recipe {
        Recipe { seed: options.seed, objects: options.objects, bricks: options.bricks.clone(), fields: options.fields.clone() }
    }

    fn cards(&self) -> Vec<Card> {
        let list = |numbers: &[u8]| Value::Text(numbers.iter().map(u8::to_string).collect::<Vec<_>>().join(","));
        vec![
            Card::new("SIMSEED", Value::Text(self.seed.to_string()), "simulated: seed"),
            Card::new("SIMOBJS", Value::Text(self.objects.to_string()), "objects over all fields"),
            Card::new("SIMBRICK", list(&self.bricks), ""),
            Card::new("SIMFIELD", list(&self.fields), ""),
        ]
    }

    /// Reads the cards of an exposure: `None` if it was not simulated, an error if its cards are damaged.
    pub fn read(card: impl Fn(&str) -> Option<String>) -> Result<Option<Recipe>, String> {
        let Some(seed) = card("SIMSEED") else { return Ok(None) };
        let number = |key: &str, text: &str| text.trim().parse::<u64>().map_err(|_| format!("{key} is {text:?}, wanted a number"));
        let need = |key: &str| card(key).ok_or_else(|| format!("SIMSEED is there but {key} is not"));
        let list = |key: &str| {
            let text = need(key)?;
            let numbers: Result<Vec<u8>, _> = text.trim().split(',').map(str::parse).collect();
            numbers.map_err(|_| format!("{key} is {text:?}, wanted numbers with commas"))
        };
        Ok(Some(Recipe {
            seed: number("SIMSEED", &seed)?,
            objects: number("SIMOBJS", &need("SIMOBJS")?)?,
            bricks: list("SIMBRICK")?,
            fields: list("SIMFIELD")?,
        }))
    }

    fn options(&self, out: &Path) -> Options {
        Options {
            seed: self.seed,
            objects: self.objects,
            bricks: self.bricks.clone(),
            fields: self.fields.clone(),
            products: Products { st: false, phot: false, truth: false },
            dolphot: Dolphot::All,
            overlaps: Overlaps::None,
            ..Options::new(out)
        }
    }

    /// The fields that were simulated, of which this must be one.
    fn fields_with(&self, brick: u8, field: u8) -> Result<Vec<(u8, u8)>, Error> {
        let asked: Vec<(u8, u8)> = self.bricks.iter().flat_map(|&brick| self.fields.iter().map(move |&field| (brick, field))).collect();
        match asked.contains(&(brick, field)) {
            true => Ok(asked),
            false => Err(no_field(brick, field)),
        }
    }

    /// The stars, and where the field is among the survey's.
    pub(super) fn population(&self, brick: u8, field: u8) -> Result<(Population, usize), Error> {
        let asked = self.fields_with(brick, field)?;
        let population = Population::new(&super::Facts::read()?, self.seed, self.objects, &asked);
        let index = population.survey().index(brick, field).ok_or_else(|| no_field(brick, field))?;
        Ok((population, index))
    }

    /// The survey without its stars, which take a second to be counted, and where the field is in it.
    pub(super) fn survey(&self, brick: u8, field: u8) -> Result<(Survey, usize), Error> {
        self.fields_with(brick, field)?;
        let survey = Survey::phat()?;
        let index = survey.index(brick, field).ok_or_else(|| no_field(brick, field))?;
        Ok((survey, index))
    }
}

fn no_field(brick: u8, field: u8) -> Error {
    Error::Option { what: "field", wanted: "one of the simulated bricks and fields".into(), got: format!("brick {brick}, field {field}") }
}

/// `jbfb25ejq` of `jbfb25ejq_F475W_flt.chip1`.
fn root(image: &str) -> &str {
    image.split('_').next().unwrap_or(image)
}

/// Writes the exposures of a field, and its reference header unless DOLPHOT's text has it beside it.
pub fn write(options: &Options, field: &Field, exposures: &[Exposure]) -> Result<Vec<Written>, Error> {
    let mut files: BTreeMap<&str, Vec<&Exposure>> = BTreeMap::new();
    for exposure in exposures {
        files.entry(root(&exposure.image)).or_default().push(exposure);
    }
    let recipe = Recipe::of(options).cards();
    let put = |path: PathBuf, bytes: &[u8], rows: u64| {
        let (whole, part) = (options.out.join(&path), part_name(&options.out.join(&path)));
        at("write", &whole, fs::write(&part, bytes).and_then(|()| fs::rename(&part, &whole)))?;
        Ok(Written { path, rows, bytes: bytes.len() as u64 })
    };
    let mut written = Vec::new();
    for (root, chips) in files {
        let path = PathBuf::from(format!("brick{:02}/raw/{root}_flt.fits", field.brick));
        written.push(put(path, &bytes(field, root, &chips, &recipe), chips.len() as u64)?);
    }
    if !super::wants_dolphot(options, field.field) {
        let [.., header] = dolphot_paths(field.brick, field.field);
        let text = dolphot::reference_header(&field.wcs, &target(field.brick, field.field));
        written.push(put(header, text.as_bytes(), text.lines().count() as u64)?);
    }
    Ok(written)
}

fn header(cards: &[Card]) -> Vec<u8> {
    let mut text: String = cards.iter().map(Card::line).collect();
    text.push_str(&format!("{:<80}", "END"));
    let mut bytes = text.into_bytes();
    bytes.resize(bytes.len().next_multiple_of(2880), b' ');
    bytes
}

fn bytes(field: &Field, root: &str, chips: &[&Exposure], recipe: &[Card]) -> Vec<u8> {
    let exposure = chips[0];
    let band = &BANDS[exposure.band];
    let text = |key: &str, value: &str| Card::new(key, Value::Text(value.into()), "");
    let (instrument, detector) = match band.camera {
        Camera::Acs => ("ACS", "WFC"),
        Camera::Uvis => ("WFC3", "UVIS"),
        Camera::Ir => ("WFC3", "IR"),
    };
    let filters = match band.camera {
        // ACS has two wheels: the other one is clear
        Camera::Acs if band.name == "F814W" => vec![text("FILTER1", "CLEAR1L"), text("FILTER2", band.name)],
        Camera::Acs => vec![text("FILTER1", band.name), text("FILTER2", "CLEAR2L")],
        Camera::Uvis | Camera::Ir => vec![text("FILTER", band.name)],
    };
    let mut primary = vec![
        Card::new("SIMPLE", Value::Logical(true), "conforms to FITS standard"),
        Card::new("BITPIX", Value::Integer(8), "array data type"),
        Card::new("NAXIS", Value::Integer(0), "number of array dimensions"),
        Card::new("EXTEND", Value::Logical(true), ""),
        text("TELESCOP", "HST"),
        text("INSTRUME", instrument),
        text("DETECTOR", detector),
        text("ROOTNAME", root),
        text("FILENAME", &format!("{root}_flt.fits")),
        Card::new("PROPOSID", Value::Integer(program(field.brick).into()), ""),
        text("TARGNAME", &format!("M31-B{:02}-F{:02}-{detector}", field.brick, field.field)),
        Card::new("RA_TARG", Value::Float(field.wcs.crval_deg[0], 12), ""),
        Card::new("DEC_TARG", Value::Float(field.wcs.crval_deg[1], 12), ""),
        text("DATE-OBS", &exposure.date),
        text("TIME-OBS", &exposure.time),
        Card::new("EXPSTART", Value::Float(exposure.mjd, 8), ""),
        Card::new("EXPTIME", Value::Float(exposure.exptime_s, 1), ""),
    ];
    primary.extend(filters);
    primary.extend_from_slice(recipe);
    let mut bytes = header(&primary);
    for chip in chips {
        bytes.extend(header(&[
            Card::new("XTENSION", Value::Text("IMAGE".into()), "image extension"),
            Card::new("BITPIX", Value::Integer(-32), "array data type"),
            Card::new("NAXIS", Value::Integer(0), "number of array dimensions"),
            Card::new("PCOUNT", Value::Integer(0), ""),
            Card::new("GCOUNT", Value::Integer(1), ""),
            text("EXTNAME", "SCI"),
            Card::new("EXTVER", Value::Integer(chip.chip.into()), ""),
            // extension 1 is chip 2 of the detectors with two
            Card::new("CCDCHIP", Value::Integer(if band.camera == Camera::Ir { 1 } else { 3 - i64::from(chip.chip) }), ""),
        ]));
    }
    bytes
}

/// Writes `phot` with `.columns` and `.info` beside it: what DOLPHOT would say of these image-chips, from the truth.
///
/// # Errors
/// When the images are not those of the field: DOLPHOT would measure other ones.
pub fn photometry(recipe: &Recipe, brick: u8, field: u8, images: &[String], phot: &Path) -> Result<u64, Error> {
    let (population, index) = recipe.population(brick, field)?;
    let mut known: Vec<String> =
        exposures::of_field(population.survey(), index, Overlaps::None).into_iter().map(|exposure| exposure.image).collect();
    let mut given = images.to_vec();
    known.sort();
    given.sort();
    if known != given {
        let lacks = known.iter().find(|image| !given.contains(image)).or(given.iter().find(|image| !known.contains(image)));
        let wanted = format!("the {} image-chips of brick {brick}, field {field}, each once", known.len());
        let got = format!("{} of them; the first that does not match is {}", given.len(), lacks.map_or("there twice", String::as_str));
        return Err(Error::Option { what: "images", wanted, got });
    }
    let folder = phot.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let scratch = at("create folder", folder, tempfile::tempdir_in(folder))?;
    let options = recipe.options(scratch.path());
    let brick_folder = scratch.path().join(format!("brick{brick:02}"));
    at("create folder", &brick_folder, fs::create_dir_all(&brick_folder))?;
    let run = Run { options: &options, population, progress: &|_, _| (), done: 0.into() };
    let report = run.field((brick, field))?;
    let [text, columns, info, _] = dolphot_paths(brick, field);
    // the text last: who finds it finds what is beside it
    for (from, end) in [(columns, ".columns"), (info, ".info"), (text, "")] {
        let mut to = phot.as_os_str().to_owned();
        to.push(end);
        at("rename", phot, fs::rename(scratch.path().join(from), PathBuf::from(to)))?;
    }
    Ok(report.rows)
}
