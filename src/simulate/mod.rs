//! Writes a synthetic survey with known truth, in exactly the file layouts of PHAT.
//!
//! ```text
//! facts -> Population -> Star -> Camp.measure -> Object -> rows of _st.fits, _phot.fits.gz, .phot, truth.fits
//! (tables)  (who, where)  (true)  (noise, print)  (as DOLPHOT prints)
//! ```
//!
//! Every field is made from random streams of its own, keyed by (seed, brick, field), so the same options give the same
//! bytes whatever the number of threads; a field's stars depend on the seed and the thinning only, not on the other bricks
//! asked for. (`objects` is a total, so asking for more bricks thins each of them more.) Rows go through buffers of a few
//! hundred kilobytes; what is held per field is its stack of images and the stars that earlier fields share with it (some
//! 7 % of its objects, about 200 bytes each), so memory does not grow with the rows written, but for that share.
//!
//! # Files
//! `PID` is the programme, `BB` and `FF` brick and field with two digits:
//!
//! * `brickBB/hlsp_phat_hst_wfc3-uvis-acs-wfc-wfc3-ir_PID-m31-bBB_f275w-f336w-f475w-f814w-f110w-f160w_v2_st.fits`: one a
//!   brick, 75 columns, field by field;
//! * `brickBB/..._PID-m31-bBB-fFF_..._v2_phot.fits.gz` (or `.fits`): one a field, the same objects in the same order;
//! * `brickBB/PID_M31-BBB-FFF.phot`, `.phot.columns`, `.phot.info`, and `PID_M31-BBB-FFF_F475W_drz.hdr`, the
//!   header of the reference image: DOLPHOT's text for the same objects;
//! * `brickBB/hlsp_phat_hst_CAMERA_PID-m31-bBB_FILTER_v1_drz.fits`: with `images`, a drizzled mosaic of a part of the brick in each
//!   filter, with the stars of the truth ([`Options::images_arcsec`]);
//! * `brickBB/raw/ROOTNAME_flt.fits`: with `exposures`, the headers of the exposures as the telescope's archive gives them, one image
//!   extension a chip without pixels, and the reference header beside them; their cards `SIM*` say with which options they can be measured
//!   ([`mod@photometry`]);
//! * `truth.fits`: one row an object and field: who the star is, where it truly is, how bright, how it varies;
//! * `simulation.json`: the options, the files, the numbers. It marks the folder as ours: a later run removes the files
//!   named there, and refuses any other folder that is not empty (without `force`).
//!
//! Files are written as `.part` and renamed when they are whole.
//!
//! # What a block of `_phot.fits` is
//! Blocks 1 to 6 are the combined ones (F475W F814W F275W F336W F110W F160W), from 7 on the image-chips. Cards in the
//! header of the table HDU, with `n` the number of the block, no leading zeros:
//!
//! | card | value | combined blocks |
//! | --- | --- | --- |
//! | `IMAGEn` | `'jbfe15eaq_F475W_flt.chip1'` | no card |
//! | `FILTn` | `'F475W'` | `'F475W'` |
//! | `CHIPn` | `1`, integer | no card |
//! | `EXPTn` | `370.0`, seconds | no card |
//! | `MJDn` | `55709.31234954`, start of the exposure, 8 decimals | no card |
//! | `DOBSn` | `'2011-05-28'` | no card |
//! | `TOBSn` | `'07:29:38'`, equal to `MJDn` within 1 ms | no card |
//!
//! No card is longer than 8 characters up to block 999. There is no `EXTNAME`, as in the original files. `MAJAX`, `OBJTYPE`
//! and `FLAGn` are `I`, `RA_J2000` and `DEC_J2000` are `D`, all others `E`.

mod artificial;
mod cepheid;
mod dolphot;
mod exposures;
mod facts;
mod footprint;
mod layouts;
mod mosaic;
mod output;
mod photometry;
mod population;
mod raw;

pub use artificial::{Artificial, artificial};
pub use exposures::Overlaps;
pub use footprint::{Inside, Survey};
pub use raw::{Recipe, photometry};

use crate::format::fits_write::Column;
use exposures::Exposure;
use facts::{BANDS, Facts, program};
use footprint::Field;
use layouts::Place;
use output::{Layout, Output};
use photometry::Camp;
use population::{Population, Star};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Which fields get DOLPHOT's text files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dolphot {
    All,
    /// The first field asked for of each brick.
    First,
    None,
}

/// Which FITS files are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Products {
    pub st: bool,
    pub phot: bool,
    pub truth: bool,
}

/// What to simulate and where to put it.
#[derive(Debug, Clone)]
pub struct Options {
    pub out: PathBuf,
    /// 1 to 23. V5343 is in brick 4 and comes only with it.
    pub bricks: Vec<u8>,
    /// 1 to 18, the same of each brick.
    pub fields: Vec<u8>,
    /// Objects (rows of `_st.fits`) over all fields asked for; met within its square root.
    pub objects: u64,
    pub seed: u64,
    pub products: Products,
    pub dolphot: Dolphot,
    pub overlaps: Overlaps,
    /// `_phot.fits.gz` rather than `_phot.fits`.
    pub gzip: bool,
    /// Write into a folder that holds other files.
    pub force: bool,
    /// Side in arcseconds of the mosaics drawn about the first field asked for of each brick, in all six filters.
    pub images_arcsec: Option<f64>,
    /// Headers of the exposures of every field asked for. They are those of the field's own visits, so there must be no overlaps.
    pub exposures: bool,
}

impl Options {
    /// The sample of the demo: bricks 1, 4, 15 and 23, all fields, 100,000 objects, every product.
    pub fn new(out: impl Into<PathBuf>) -> Options {
        Options {
            out: out.into(),
            bricks: vec![1, 4, 15, 23],
            fields: (1..=18).collect(),
            objects: 100_000,
            seed: 1,
            products: Products { st: true, phot: true, truth: true },
            dolphot: Dolphot::First,
            overlaps: Overlaps::Few,
            gzip: true,
            force: false,
            images_arcsec: None,
            exposures: false,
        }
    }
}

/// A file that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// Relative to the output folder.
    pub path: PathBuf,
    pub rows: u64,
    pub bytes: u64,
}

/// What a run wrote.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub seed: u64,
    /// Rows of all `_st.fits`.
    pub objects: u64,
    /// Objects times image-chips of their field.
    pub measurements: u64,
    /// Objects that an earlier field of the survey owns.
    pub shared: u64,
    /// Simulated over real number of objects.
    pub fraction: f64,
    pub files: Vec<Written>,
}

/// Why a survey could not be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{what}: wanted {wanted}, got {got}")]
    Option { what: &'static str, wanted: String, got: String },
    #[error("{folder} is not empty and was not written by a simulation: choose another folder, or overwrite with --force")]
    Foreign { folder: PathBuf },
    #[error("cannot {action} {path}: {source}")]
    File { action: &'static str, path: PathBuf, source: io::Error },
    #[error("the built-in table {table}, line {line}: {what}")]
    Facts { table: &'static str, line: usize, what: String },
}

fn at<T>(action: &'static str, path: &Path, result: io::Result<T>) -> Result<T, Error> {
    result.map_err(|source| Error::File { action, path: path.into(), source })
}

/// Writes the survey.
///
/// # Errors
/// Impossible options, a folder with other files in it, files that cannot be written.
pub fn run(options: &Options) -> Result<Report, Error> {
    run_with(options, &|_, _| ())
}

/// [`run`], telling its progress: objects done and objects in all. Called from several threads.
pub fn run_with(options: &Options, progress: &(dyn Fn(u64, u64) + Sync)) -> Result<Report, Error> {
    check(options)?;
    let asked: Vec<(u8, u8)> = options.bricks.iter().flat_map(|&brick| options.fields.iter().map(move |&field| (brick, field))).collect();
    claim_folder(options)?;
    let population = Population::new(&Facts::read()?, options.seed, options.objects, &asked);
    let run = Run { options, population, progress, done: 0.into() };
    let fields: Vec<FieldReport> = asked.par_iter().map(|&field| run.field(field)).collect::<Result<_, _>>()?;
    let mut report = run.gather(fields)?;
    report.files.extend(run.images()?);
    write_marker(&options.out, &Marker { complete: true, report: report.clone() })?;
    Ok(report)
}

/// Draws the mosaics of a survey that an earlier run wrote without them; `options` are those of that run, and the side. No other file is
/// touched. Gives what was drawn.
///
/// # Errors
/// A folder that holds no whole survey of this seed and size, impossible options, files that cannot be written.
pub fn add_images(options: &Options) -> Result<Vec<Written>, Error> {
    check(options)?;
    let path = options.out.join(MARKER);
    let mut marker = read_marker(&path)?;
    let asked: Vec<(u8, u8)> = options.bricks.iter().flat_map(|&brick| options.fields.iter().map(move |&field| (brick, field))).collect();
    let population = Population::new(&Facts::read()?, options.seed, options.objects, &asked);
    let run = Run { options, population, progress: &|_, _| (), done: 0.into() };
    let (wanted, found) = ((options.seed, run.population.fraction()), (marker.report.seed, marker.report.fraction));
    // the last digit of a number may get lost in JSON
    let is_same = wanted.0 == found.0 && (wanted.1 - found.1).abs() <= 1e-12 * wanted.1;
    if !marker.complete || !is_same {
        let text = |(seed, fraction): (u64, f64)| format!("a survey of seed {seed} with {fraction} of all objects");
        let got = if marker.complete { text(found) } else { "one whose writing broke off: simulate it anew".into() };
        return Err(Error::Option { what: "images for an earlier survey", wanted: text(wanted), got });
    }
    let drawn = run.images()?;
    marker.report.files.retain(|file| drawn.iter().all(|new| new.path != file.path));
    marker.report.files.extend(drawn.iter().cloned());
    write_marker(&options.out, &marker)?;
    Ok(drawn)
}

fn check(options: &Options) -> Result<(), Error> {
    check_list("bricks", &options.bricks, 23)?;
    check_list("fields", &options.fields, 18)?;
    let least = (options.bricks.len() * options.fields.len()) as u64 * 2;
    if options.objects < least {
        return Err(Error::Option { what: "objects", wanted: format!("at least {least}, two a field"), got: options.objects.to_string() });
    }
    if options.exposures {
        check_exposures(options)?;
    }
    if let Some(side) = options.images_arcsec.filter(|side| !mosaic::SIDES_ARCSEC.contains(side)) {
        let wanted = format!("{} to {} arcsec", mosaic::SIDES_ARCSEC.start(), mosaic::SIDES_ARCSEC.end());
        return Err(Error::Option { what: "images", wanted, got: side.to_string() });
    }
    Ok(())
}

/// Exposures are told apart by target: those of a neighbour's visit are in no field's own.
fn check_exposures(options: &Options) -> Result<(), Error> {
    if options.overlaps != Overlaps::None {
        return Err(Error::Option { what: "exposures", wanted: "overlaps none".into(), got: "overlaps of neighbouring fields".into() });
    }
    if options.bricks.contains(&cepheid::BRICK) && options.fields.contains(&cepheid::FIELD) {
        let wanted = format!("other fields than field {} of brick {}", cepheid::FIELD, cepheid::BRICK);
        return Err(Error::Option { what: "exposures", wanted, got: "that field, whose stack holds its neighbours' exposures".into() });
    }
    Ok(())
}

fn check_list(what: &'static str, list: &[u8], most: u8) -> Result<(), Error> {
    let ascending = list.windows(2).all(|pair| pair[0] < pair[1]);
    if list.is_empty() || !ascending || list.iter().any(|number| !(1..=most).contains(number)) {
        return Err(Error::Option { what, wanted: format!("ascending numbers from 1 to {most}, each once"), got: format!("{list:?}") });
    }
    Ok(())
}

/// The content of `simulation.json`.
#[derive(Serialize, Deserialize)]
struct Marker {
    /// False while a run is writing, and after one that did not end.
    complete: bool,
    #[serde(flatten)]
    report: Report,
}

const MARKER: &str = "simulation.json";
const PARTS: &str = ".parts";

fn write_marker(out: &Path, marker: &Marker) -> Result<(), Error> {
    let path = out.join(MARKER);
    let text = serde_json::to_string_pretty(marker).map_err(io::Error::other);
    let part = part_name(&path);
    at("write", &path, text.and_then(|text| fs::write(&part, text + "\n")).and_then(|()| fs::rename(&part, &path)))
}

fn read_marker(path: &Path) -> Result<Marker, Error> {
    let text = at("read", path, fs::read_to_string(path))?;
    at("understand", path, serde_json::from_str(&text).map_err(io::Error::other))
}

/// Makes the output folder ours: creates it, or removes what an earlier simulation wrote there.
fn claim_folder(options: &Options) -> Result<(), Error> {
    let out = &options.out;
    at("create folder", out, fs::create_dir_all(out))?;
    let marker = out.join(MARKER);
    if marker.exists() {
        remove_earlier(out, &marker)?;
    } else if at("read folder", out, fs::read_dir(out))?.next().is_some() && !options.force {
        return Err(Error::Foreign { folder: out.clone() });
    }
    let planned = planned_files(options).into_iter().map(|path| Written { path, rows: 0, bytes: 0 }).collect();
    let report = Report { seed: options.seed, objects: 0, measurements: 0, shared: 0, fraction: 0.0, files: planned };
    write_marker(out, &Marker { complete: false, report })?;
    let raw = options.bricks.iter().filter(|_| options.exposures).map(|brick| format!("brick{brick:02}/raw"));
    let folders = options.bricks.iter().map(|brick| format!("brick{brick:02}")).chain(raw).chain([PARTS.to_string()]);
    folders.map(|name| out.join(name)).try_for_each(|folder| at("create folder", &folder, fs::create_dir_all(&folder)))
}

/// Removes the files that the marker names, finished or not.
fn remove_earlier(out: &Path, marker: &Path) -> Result<(), Error> {
    let earlier = read_marker(marker)?;
    for file in &earlier.report.files {
        // A marker is only a file: what it names outside the folder is not ours to remove.
        if file.path.components().all(|part| matches!(part, std::path::Component::Normal(_))) {
            for path in [out.join(&file.path), part_name(&out.join(&file.path))] {
                remove_if_there(&path)?;
            }
        }
    }
    Ok(())
}

fn remove_if_there(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => at("remove", path, Err(error)),
        _ => Ok(()),
    }
}

fn part_name(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

const HLSP: &str = "hlsp_phat_hst_wfc3-uvis-acs-wfc-wfc3-ir";
const FILTERS: &str = "f275w-f336w-f475w-f814w-f110w-f160w";

fn star_path(brick: u8) -> PathBuf {
    format!("brick{brick:02}/{HLSP}_{}-m31-b{brick:02}_{FILTERS}_v2_st.fits", program(brick)).into()
}

fn phot_path(brick: u8, field: u8, gzip: bool) -> PathBuf {
    let suffix = if gzip { ".gz" } else { "" };
    format!("brick{brick:02}/{HLSP}_{}-m31-b{brick:02}-f{field:02}_{FILTERS}_v2_phot.fits{suffix}", program(brick)).into()
}

fn target(brick: u8, field: u8) -> String {
    format!("{}_M31-B{brick:02}-F{field:02}", program(brick))
}

/// The text triple of a field and its reference header.
fn dolphot_paths(brick: u8, field: u8) -> [PathBuf; 4] {
    let target = target(brick, field);
    [".phot", ".phot.columns", ".phot.info", "_F475W_drz.hdr"].map(|end| format!("brick{brick:02}/{target}{end}").into())
}

fn wants_dolphot(options: &Options, field: u8) -> bool {
    match options.dolphot {
        Dolphot::All => true,
        Dolphot::First => options.fields.first() == Some(&field),
        Dolphot::None => false,
    }
}

fn planned_files(options: &Options) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for &brick in &options.bricks {
        files.extend(options.products.st.then(|| star_path(brick)));
        files.extend(options.images_arcsec.iter().flat_map(|_| (0..BANDS.len()).map(|band| mosaic::path(brick, band))));
        for &field in &options.fields {
            files.extend(options.products.phot.then(|| phot_path(brick, field, options.gzip)));
            if wants_dolphot(options, field) {
                files.extend(dolphot_paths(brick, field));
            } else if options.exposures {
                files.extend(dolphot_paths(brick, field).into_iter().next_back());
            }
        }
    }
    files.extend(options.products.truth.then(|| PathBuf::from("truth.fits")));
    files
}

/// What one field gave.
struct FieldReport {
    brick: u8,
    field: u8,
    rows: u64,
    images: u64,
    shared: u64,
    /// Files that are finished; rows of `_st.fits` and `truth.fits` wait in parts.
    files: Vec<Written>,
}

/// One run over all fields.
struct Run<'a> {
    options: &'a Options,
    population: Population,
    progress: &'a (dyn Fn(u64, u64) + Sync),
    done: std::sync::atomic::AtomicU64,
}

/// Objects between two reports of progress.
const PROGRESS_STEP: u64 = 1000;

impl Run<'_> {
    /// Makes one field: its own files, and its rows of the shared ones as parts.
    fn field(&self, (brick, number): (u8, u8)) -> Result<FieldReport, Error> {
        let survey = self.population.survey();
        let index = survey.index(brick, number).ok_or_else(|| Error::Option {
            what: "field",
            wanted: "a field of the survey".into(),
            got: format!("brick {brick}, field {number}"),
        })?;
        let mut field = survey.fields[index].clone();
        if cepheid::is_field(&field) {
            field.wcs = cepheid::aligned(field.wcs);
        }
        let exposures = exposures::of_field(survey, index, self.options.overlaps);
        let shared = self.shared(index, &field);
        let rows = shared.len() as u64 + self.population.owned(index) + u64::from(cepheid::is_field(&field));
        let mut report =
            FieldReport { brick, field: number, rows, images: exposures.len() as u64, shared: shared.len() as u64, files: vec![] };
        let mut outputs = self.outputs(&field, &exposures, rows)?;
        let mut camp = Camp::new(&exposures);
        let mut noise = population::stream(self.options.seed, &field, population::PURPOSE_NOISE);
        for (done, star) in (1u64..).zip(shared.into_iter().chain(self.population.own(index))) {
            let place = Place::of(&field, star.sky_deg);
            let object = camp.measure(&star, place.x, place.y, field.density_arcmin2(place.x, place.y), &mut noise);
            outputs.iter_mut().try_for_each(|output| output.add(&field, done, &star, &place, &object))?;
            self.tell(done, rows);
        }
        for output in outputs {
            let path = output.path().strip_prefix(&self.options.out).unwrap_or(output.path()).to_path_buf();
            let bytes = output.finish()?;
            if !path.starts_with(PARTS) {
                report.files.push(Written { path, rows, bytes });
            }
        }
        if wants_dolphot(self.options, number) {
            report.files.extend(self.side_files(&field, &exposures)?);
        }
        if self.options.exposures {
            report.files.extend(raw::write(self.options, &field, &exposures)?);
        }
        Ok(report)
    }

    /// Stars of earlier fields that this one sees too; none near the Cepheid.
    fn shared(&self, index: usize, field: &Field) -> Vec<Star> {
        let mut shared = self.population.shared(index);
        shared.retain(|star| !(cepheid::is_field(field) && cepheid::is_near(star.sky_deg)));
        shared
    }

    fn tell(&self, done: u64, rows: u64) {
        let since = done % PROGRESS_STEP;
        if since == 0 || done == rows {
            let step = if since == 0 { PROGRESS_STEP } else { since };
            let sum = self.done.fetch_add(step, std::sync::atomic::Ordering::Relaxed) + step;
            (self.progress)(sum, self.options.objects);
        }
    }

    fn outputs(&self, field: &Field, exposures: &[Exposure], rows: u64) -> Result<Vec<Output>, Error> {
        let out = &self.options.out;
        let mut outputs = Vec::new();
        if self.options.products.st {
            outputs.push(Output::rows(Layout::Star, self.part("st", field.brick, field.field))?);
        }
        if self.options.products.truth {
            outputs.push(Output::rows(Layout::Truth, self.part("truth", field.brick, field.field))?);
        }
        if wants_dolphot(self.options, field.field) {
            let [phot, ..] = dolphot_paths(field.brick, field.field);
            outputs.push(Output::rows(Layout::Dolphot, out.join(phot))?);
        }
        if self.options.products.phot {
            let path = out.join(phot_path(field.brick, field.field, self.options.gzip));
            outputs.push(Output::table(
                Layout::Phot,
                path,
                &layouts::phot_columns(exposures.len()),
                rows,
                &layouts::phot_cards(exposures),
            )?);
        }
        Ok(outputs)
    }

    fn part(&self, what: &str, brick: u8, field: u8) -> PathBuf {
        self.options.out.join(PARTS).join(format!("{what}-{brick:02}-{field:02}"))
    }

    /// `.columns`, `.info` and the reference header.
    fn side_files(&self, field: &Field, exposures: &[Exposure]) -> Result<Vec<Written>, Error> {
        let [_, columns, info, header] = dolphot_paths(field.brick, field.field);
        let target = target(field.brick, field.field);
        let texts = [
            (columns, dolphot::columns(exposures)),
            (info, dolphot::info(exposures)),
            (header, dolphot::reference_header(&field.wcs, &target)),
        ];
        let written = texts.into_iter().map(|(path, text)| {
            let (whole, part) = (self.options.out.join(&path), part_name(&self.options.out.join(&path)));
            at("write", &whole, fs::write(&part, &text).and_then(|()| fs::rename(&part, &whole)))?;
            Ok(Written { path, rows: text.lines().count() as u64, bytes: text.len() as u64 })
        });
        written.collect()
    }

    /// Draws the mosaics that were asked for.
    fn images(&self) -> Result<Vec<Written>, Error> {
        let Some(side) = self.options.images_arcsec else { return Ok(Vec::new()) };
        let survey = self.population.survey();
        let bricks = self.options.bricks.par_iter().map(|&brick| {
            let fields: Vec<usize> = self.options.fields.iter().filter_map(|&field| survey.index(brick, field)).collect();
            let stars = mosaic::stars(&self.population, &fields, side);
            let exposures = exposures::of_field(survey, fields[0], Overlaps::None);
            let draw =
                |band| mosaic::write(&self.options.out, self.options.seed, &survey.fields[fields[0]], band, side, &stars, &exposures);
            (0..BANDS.len()).into_par_iter().map(draw).collect::<Result<Vec<_>, _>>()
        });
        Ok(bricks.collect::<Result<Vec<_>, _>>()?.concat())
    }

    /// Puts the parts together and counts.
    fn gather(&self, fields: Vec<FieldReport>) -> Result<Report, Error> {
        let mut files = Vec::new();
        for &brick in self.options.bricks.iter().filter(|_| self.options.products.st) {
            let parts: Vec<&FieldReport> = fields.iter().filter(|field| field.brick == brick).collect();
            files.push(self.join("st", star_path(brick), &layouts::star_columns(), &parts)?);
        }
        if self.options.products.truth {
            let parts: Vec<&FieldReport> = fields.iter().collect();
            files.push(self.join("truth", "truth.fits".into(), &layouts::truth_columns(), &parts)?);
        }
        at("remove folder", &self.options.out.join(PARTS), fs::remove_dir_all(self.options.out.join(PARTS)))?;
        let report = Report {
            seed: self.options.seed,
            objects: fields.iter().map(|field| field.rows).sum(),
            measurements: fields.iter().map(|field| field.rows * field.images).sum(),
            shared: fields.iter().map(|field| field.shared).sum(),
            fraction: self.population.fraction(),
            files: Vec::new(),
        };
        files.extend(fields.into_iter().flat_map(|field| field.files));
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Report { files, ..report })
    }

    /// One table from the parts of its fields.
    fn join(&self, what: &str, path: PathBuf, columns: &[Column], fields: &[&FieldReport]) -> Result<Written, Error> {
        let whole = self.options.out.join(&path);
        let rows = fields.iter().map(|field| field.rows).sum();
        let mut table = Output::table(Layout::Joined, whole, columns, rows, &[])?;
        for field in fields {
            let part = self.part(what, field.brick, field.field);
            table.append(&part)?;
            remove_if_there(&part)?;
        }
        Ok(Written { path, rows, bytes: table.finish()? })
    }
}
