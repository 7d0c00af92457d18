//! Tagged exposures to what DOLPHOT reads: masked chips with their sky, and the parameter file.
//!
//! DOLPHOT's own tools do it, exposure by exposure: `acsmask` or `wfc3mask`, `splitgroups`, and `calcsky` for each chip. Simulated exposures
//! have no pixels; for them the parameter file is all, and `<target>.simulation.json` says with what they were made.
//!
//! Images stand in the parameter file by instrument, filter, start and chip, the reference as image 0.

use super::sort::{self, Exposure};
use super::tag::copy;
use super::{Dolphot, Error, at, bad, name_of, run, write_whole};
use crate::image::{FitsFile, gzip};
use crate::simulate::Recipe;
use rayon::prelude::*;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The parameters that stand where none are given.
pub const PARAMETERS: &str = include_str!("../../loaders/phat_v2/pipeline/dolphot.toml");

/// What is prepared.
#[derive(Debug, Clone)]
pub struct Options {
    /// Tagged exposures of one field, and its reference image.
    pub files: Vec<PathBuf>,
    pub target: String,
    pub dolphot: Dolphot,
    pub parameters: Parameters,
    pub threads: usize,
    pub dir: PathBuf,
}

/// How DOLPHOT is told to work.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    pub detector: BTreeMap<String, Detector>,
    pub global: BTreeMap<String, toml::Value>,
}

/// What is the same for all images of a detector.
#[derive(Debug, Clone, Deserialize)]
pub struct Detector {
    mask: String,
    /// Inner and outer radius, step, lower and upper clip.
    sky: [f64; 5],
    #[serde(flatten)]
    image: BTreeMap<String, toml::Value>,
}

impl Parameters {
    /// Reads a file of parameters; `path` is for messages.
    pub fn parse(path: &str, text: &str) -> Result<Parameters, Error> {
        toml::from_str(text).map_err(|error| Error::Asked(format!("{path}: {error}")))
    }
}

/// An image of the stack.
struct Image {
    exposure: Exposure,
    /// Without `.fits`.
    base: String,
    chips: Vec<String>,
}

/// Prepares; gives the number of images in the parameter file.
pub fn run_stage(options: &Options) -> Result<usize, Error> {
    let (references, exposures): (Vec<&PathBuf>, Vec<&PathBuf>) =
        options.files.iter().partition(|path| name_of(path).is_ok_and(sort::is_reference));
    let [reference] = references[..] else {
        return Err(Error::Asked(format!("{} reference images among the files: wanted one (_drz.fits, _drz.hdr)", references.len())));
    };
    let recipe = recipe(&exposures, &options.dolphot, &options.dir)?;
    let threads = rayon::ThreadPoolBuilder::new().num_threads(options.threads.max(1)).build();
    let threads = threads.map_err(|error| Error::Asked(format!("cannot start {} threads: {error}", options.threads)))?;
    let mut images: Vec<Image> = threads.install(|| exposures.par_iter().map(|path| image(path, options)).collect::<Result<_, _>>())?;
    let order = |image: &Image| (image.exposure.instrument.clone(), image.exposure.filter.clone(), image.exposure.root.clone());
    images.sort_by(|a, b| {
        let [a_key, b_key] = [a, b].map(order);
        (a_key.0, a_key.1).cmp(&(b_key.0, b_key.1)).then(a.exposure.mjd.total_cmp(&b.exposure.mjd)).then(a_key.2.cmp(&b_key.2))
    });
    let reference_base = match options.dolphot {
        Dolphot::Simulated => base(name_of(reference)?),
        Dolphot::In(_) => prepare_reference(reference, options)?,
    };
    // the catalogue needs its WCS, whatever becomes of the pixels
    copy(reference, &options.dir.join(name_of(reference)?))?;
    if let Some(recipe) = recipe {
        let text = serde_json::to_string_pretty(&recipe).map_err(|error| Error::Asked(error.to_string()))?;
        write_whole(&options.dir.join(format!("{}.simulation.json", options.target)), text.as_bytes())?;
    }
    let text = parameter_file(&images, &reference_base, &options.parameters)?;
    write_whole(&options.dir.join(format!("{}.param", options.target)), text.as_bytes())?;
    Ok(images.iter().map(|image| image.chips.len()).sum())
}

fn base(name: &str) -> String {
    name.trim_end_matches(".fits").trim_end_matches(".hdr").to_owned()
}

/// What all exposures were simulated with. Real and simulated ones do not go together, nor do simulated ones and DOLPHOT.
fn recipe(exposures: &[&PathBuf], dolphot: &Dolphot, scratch: &Path) -> Result<Option<Recipe>, Error> {
    let mut all: Option<Recipe> = None;
    for (n, path) in exposures.iter().enumerate() {
        let file = FitsFile::open(path, &gzip::Cache::new(scratch, 4 << 30))?;
        let found = Recipe::read(|key| file.primary().header.text(key)).map_err(|what| bad(path, what))?;
        match (dolphot, &found) {
            (Dolphot::Simulated, None) => {
                return Err(bad(path, "it is no simulated exposure (no SIM cards): give --dolphot the folder of DOLPHOT's programs"));
            }
            (Dolphot::In(_), Some(_)) => return Err(bad(path, "it is a simulated exposure, without pixels: give --dolphot simulated")),
            _ if n > 0 && found != all => return Err(bad(path, "it was simulated with other options than the exposures before it")),
            _ => all = found,
        }
    }
    match exposures.is_empty() {
        true => Err(Error::Asked("there are no exposures among the files".into())),
        false => Ok(all),
    }
}

/// One exposure: masked, split, its sky measured.
fn image(path: &Path, options: &Options) -> Result<Image, Error> {
    let exposure = sort::exposure(path, &options.dir)?;
    let base = base(name_of(path)?);
    let Some(detector) = options.parameters.detector.get(&exposure.detector) else {
        let known = options.parameters.detector.keys().cloned().collect::<Vec<_>>().join(", ");
        return Err(bad(
            path,
            format!("there are no parameters for detector {}; there are some for {known}: give --parameters", exposure.detector),
        ));
    };
    let chips = match &options.dolphot {
        Dolphot::Simulated => (1..=exposure.chips).map(|chip| format!("{base}.chip{chip}")).collect(),
        Dolphot::In(_) => {
            let masked = options.dir.join(name_of(path)?);
            copy(path, &masked)?;
            tools(&masked, &base, detector, options)?
        }
    };
    Ok(Image { exposure, base, chips })
}

/// Runs the tools on a file in the working folder, which they change; gives the chips that came of it.
fn tools(file: &Path, base: &str, detector: &Detector, options: &Options) -> Result<Vec<String>, Error> {
    let (dolphot, name) = (&options.dolphot, name_of(file)?.to_owned());
    run(&dolphot.program(&detector.mask)?, std::slice::from_ref(&name), &options.dir)?;
    run(&dolphot.program("splitgroups")?, &[name], &options.dir)?;
    let mut chips = Vec::new();
    for entry in at("read", &options.dir, std::fs::read_dir(&options.dir))?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let chip = name.strip_prefix(base).and_then(|rest| rest.strip_prefix(".chip")).and_then(|rest| rest.strip_suffix(".fits"));
        if chip.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())) {
            chips.push(name.trim_end_matches(".fits").to_owned());
        }
    }
    if chips.is_empty() {
        return Err(bad(file, "splitgroups made no chip of it"));
    }
    chips.sort();
    let numbers: Vec<String> = detector.sky.iter().map(f64::to_string).collect();
    for chip in &chips {
        run(&dolphot.program("calcsky")?, &[std::slice::from_ref(chip), &numbers[..]].concat(), &options.dir)?;
        let sky = options.dir.join(format!("{chip}.sky.fits"));
        at("find", &sky, std::fs::metadata(&sky))?;
    }
    at("remove", file, std::fs::remove_file(file))?;
    Ok(chips)
}

fn prepare_reference(path: &Path, options: &Options) -> Result<String, Error> {
    let name = name_of(path)?;
    if !name.ends_with(".fits") {
        return Err(bad(path, "DOLPHOT needs the reference image itself, its header is not enough"));
    }
    let file = FitsFile::open(path, &gzip::Cache::new(&options.dir, 4 << 30))?;
    let detector = file.primary().header.text("DETECTOR").unwrap_or_default().trim().to_ascii_uppercase();
    let Some(detector) = options.parameters.detector.get(&detector) else {
        return Err(bad(path, format!("there are no parameters for its detector {detector:?}: give --parameters")));
    };
    let copied = options.dir.join(name);
    copy(path, &copied)?;
    let chips = tools(&copied, &base(name), detector, options)?;
    Ok(chips[0].clone())
}

/// The text of DOLPHOT's parameter file.
fn parameter_file(images: &[Image], reference: &str, parameters: &Parameters) -> Result<String, Error> {
    let chips: Vec<(&str, &Detector)> = images
        .iter()
        .flat_map(|image| image.chips.iter().map(|chip| (chip.as_str(), &parameters.detector[&image.exposure.detector])))
        .collect();
    if let Some(twice) = images.iter().enumerate().find(|(n, image)| images[..*n].iter().any(|other| other.base == image.base)) {
        return Err(Error::Asked(format!("{} is there twice", twice.1.base)));
    }
    let mut text = format!("Nimg = {}\nimg0_file = {reference}\n", chips.len());
    for (n, (chip, detector)) in (1..).zip(chips) {
        let _ = writeln!(text, "img{n}_file = {chip}\nimg{n}_shift = 0 0\nimg{n}_xform = 1 0 0"); // to a String: cannot fail
        for (key, value) in &detector.image {
            let _ = writeln!(text, "img{n}_{key} = {}", plain(value)?);
        }
    }
    for (key, value) in &parameters.global {
        let _ = writeln!(text, "{key} = {}", plain(value)?);
    }
    Ok(text)
}

fn plain(value: &toml::Value) -> Result<String, Error> {
    match value {
        toml::Value::String(text) => Ok(text.clone()),
        toml::Value::Integer(number) => Ok(number.to_string()),
        toml::Value::Float(number) => Ok(number.to_string()),
        other => Err(Error::Asked(format!("a parameter of DOLPHOT is a number or a text, not {other}"))),
    }
}

/// The images that a parameter file names, the reference not among them.
pub fn images_of(path: &Path, text: &str) -> Result<Vec<String>, Error> {
    let value = |key: &str| {
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        pairs.map(|(key, value)| (key.trim(), value.trim())).find(|(known, _)| known.eq_ignore_ascii_case(key)).map(|(_, value)| value)
    };
    let many: usize =
        value("Nimg").and_then(|n| n.parse().ok()).ok_or_else(|| bad(path, "it has no Nimg: wanted a parameter file of DOLPHOT"))?;
    let image = |n: usize| value(&format!("img{n}_file")).map(str::to_owned).ok_or_else(|| bad(path, format!("img{n}_file is missing")));
    (1..=many).map(image).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_parameters_are_read_and_written_for_every_image() {
        let parameters = Parameters::parse("dolphot.toml", PARAMETERS).expect("they are right");
        let exposure = |root: &str, detector: &str| Exposure {
            root: root.into(),
            program: "12056".into(),
            target: "M31-B15-F10".into(),
            instrument: "ACS".into(),
            detector: detector.into(),
            filter: "F475W".into(),
            exptime_s: 370.0,
            mjd: 55_000.0,
            chips: 2,
        };
        let image = |root: &str, detector: &str, chips: usize| Image {
            exposure: exposure(root, detector),
            base: root.into(),
            chips: (1..=chips).map(|chip| format!("{root}.chip{chip}")).collect(),
        };
        let images = [image("a", "WFC", 2), image("b", "IR", 1)];
        let text = parameter_file(&images, "drz.chip1", &parameters).expect("a text");
        assert!(text.starts_with("Nimg = 3\nimg0_file = drz.chip1\nimg1_file = a.chip1\n"), "{text}");
        assert!(
            text.contains("img1_RSky = 15 35\n") && text.contains("img3_RSky = 8 20\n") && text.contains("\nSigFinal = 3.5\n"),
            "{text}"
        );
        assert!(!text.contains("mask") && !text.contains("img1_sky"), "{text}");
        assert_eq!(images_of(Path::new("x.param"), &text).expect("images"), ["a.chip1", "a.chip2", "b.chip1"]);
        assert!(images_of(Path::new("x.param"), "Nimg = 2\nimg1_file = a\n").is_err());
        assert!(parameter_file(&[image("a", "WFC", 1), image("a", "WFC", 1)], "r", &parameters).is_err());
    }
}
