//! Artificial-star tests, second step: DOLPHOT on the whole stack with the stars of one list in it, one after another.
//!
//! DOLPHOT is given the parameters and the photometry of the field with `FakeStars` set, and writes `<photometry>.fake`; it comes out as
//! `<list>.fake` (`M31-B15-F10.ast00001.fake`). It is a success when every star of the list has its line.

use super::catalogue::{blocks, filters};
use super::prepare::images_of;
use super::{Dolphot, Error, at, bad, link_all, name_of, recipe, run, write_whole};
use crate::format::dolphot::Guide;
use crate::simulate::{self, Artificial};
use std::fs;
use std::path::{Path, PathBuf};

/// Beside the parameters of the field: the star that is found within so many pixels is the one that was put in, stars have the noise of
/// their photons, and those outside all images are left out.
const PARAMETERS: &str = "FakeMatch = 3.0\nFakePSF = 1.5\nFakeStarPSF = 0\nRandomFake = 1\nFakePad = 0\n";

/// What is tested.
#[derive(Debug, Clone)]
pub struct Options {
    /// A list of stars, what `prepare` made, and what `photometry` measured.
    pub files: Vec<PathBuf>,
    pub brick: u8,
    pub field: u8,
    pub dolphot: Dolphot,
    pub dir: PathBuf,
}

/// Tests; gives the number of stars.
pub fn run_stage(options: &Options) -> Result<usize, Error> {
    let ending = |end: &str, what: &str| {
        let found = options.files.iter().find(|path| name_of(path).is_ok_and(|name| name.ends_with(end)));
        found.ok_or_else(|| Error::Asked(format!("there is no {what} ({end}) among the files")))
    };
    let (list, phot) = (ending(".list", "list of stars")?, ending(".phot", "photometry")?);
    let text = at("read", list, fs::read_to_string(list))?;
    let stars = text.lines().count();
    let out = options.dir.join(name_of(list)?.replace(".list", ".fake"));
    let fake = match &options.dolphot {
        Dolphot::Simulated => {
            let path = ending(".simulation.json", "recipe of the simulation")?;
            let recipe = recipe(path)?;
            simulate::artificial(&recipe, options.brick, options.field, &stars_of(list, &text, phot)?)?
        }
        Dolphot::In(_) => {
            let parameters = ending(".param", "parameter file")?;
            test(parameters, phot, list, options)?
        }
    };
    let tested = fake.lines().count();
    if tested != stars {
        return Err(bad(list, format!("DOLPHOT tested {tested} of its {stars} stars: its log tells what it lacked")));
    }
    write_whole(&out, fake.as_bytes())?;
    Ok(stars)
}

/// The stars of a list, with the filters of the photometry.
fn stars_of(list: &Path, text: &str, phot: &Path) -> Result<Vec<Artificial>, Error> {
    let guide = Guide::read(phot)?;
    let blocks = blocks(&guide)?;
    let filters = filters(&guide, &blocks)?;
    let star = |(i, line): (usize, &str)| {
        let numbers: Option<Vec<f64>> = line.split_whitespace().map(|word| word.parse().ok()).collect();
        match numbers.as_deref() {
            Some([_, _, x, y, mags @ ..]) if mags.len() == filters.len() => {
                Ok(Artificial { x: *x, y: *y, mags: filters.iter().map(|block| block.filter.clone()).zip(mags.iter().copied()).collect() })
            }
            _ => Err(bad(list, format!("line {}: wanted extension, chip, x, y and {} magnitudes", i + 1, filters.len()))),
        }
    };
    text.lines().enumerate().map(star).collect()
}

/// Runs DOLPHOT in the working folder, where it looks for its files; gives the text of its `.fake`.
fn test(parameters: &Path, phot: &Path, list: &Path, options: &Options) -> Result<String, Error> {
    let program = options.dolphot.program("dolphot")?;
    let given = at("read", parameters, fs::read_to_string(parameters))?;
    images_of(parameters, &given)?;
    link_all(&options.files, &options.dir)?;
    let own = format!("{}.param", name_of(list)?);
    write_whole(&options.dir.join(&own), format!("{given}\nFakeStars = {}\n{PARAMETERS}", name_of(list)?).as_bytes())?;
    let fake = options.dir.join(format!("{}.fake", name_of(phot)?));
    // what an earlier try left is no success of this one
    if fake.exists() {
        at("remove", &fake, fs::remove_file(&fake))?;
    }
    run(&program, &[name_of(phot)?.to_owned(), format!("-p{own}")], &options.dir)?;
    at("read", &fake, fs::read_to_string(&fake))
}
