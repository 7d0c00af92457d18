//! DOLPHOT on a prepared stack; simulated stacks are measured from their truth.
//!
//! DOLPHOT may end without an error and leave an empty text, and it exits with one and leaves half of it: success is what is there and
//! fits together. The text comes out as `<target>.phot` with `.columns`, `.info` and the reference's WCS as `.wcs.hdr` beside it.

use super::prepare::images_of;
use super::{Dolphot, Error, at, bad, link_all, name_of, recipe, run, sort, write_whole};
use crate::format::dolphot::{self, Guide};
use crate::simulate;
use std::fs;
use std::path::{Path, PathBuf};

/// What is measured.
#[derive(Debug, Clone)]
pub struct Options {
    /// What `prepare` made: the parameter file, chips and their sky, the reference image.
    pub files: Vec<PathBuf>,
    pub target: String,
    pub brick: u8,
    pub field: u8,
    pub dolphot: Dolphot,
    pub dir: PathBuf,
}

/// Measures; gives the bytes of the text.
pub fn run_stage(options: &Options) -> Result<u64, Error> {
    let ending = |end: &str| options.files.iter().find(|path| name_of(path).is_ok_and(|name| name.ends_with(end)));
    let parameters = ending(".param").ok_or_else(|| Error::Asked("there is no parameter file (.param) among the files".into()))?;
    let reference = options.files.iter().find(|path| name_of(path).is_ok_and(sort::is_reference));
    let reference = reference.ok_or_else(|| Error::Asked("there is no reference image (_drz.fits, _drz.hdr) among the files".into()))?;
    let images = images_of(parameters, &at("read", parameters, fs::read_to_string(parameters))?)?;
    let phot = options.dir.join(format!("{}.phot", options.target));
    match &options.dolphot {
        Dolphot::Simulated => {
            let path = ending(".simulation.json")
                .ok_or_else(|| Error::Asked("the stack is not simulated: there is no .simulation.json".into()))?;
            let recipe = recipe(path)?;
            simulate::photometry(&recipe, options.brick, options.field, &images, &phot)?;
        }
        Dolphot::In(_) => measure(parameters, &phot, options)?,
    }
    write_wcs(reference, &phot)?;
    check(&phot)
}

/// Runs DOLPHOT in the working folder, where it looks for its images.
fn measure(parameters: &Path, phot: &Path, options: &Options) -> Result<(), Error> {
    let program = options.dolphot.program("dolphot")?;
    link_all(&options.files, &options.dir)?;
    // what an earlier try left is no success of this one
    if phot.exists() {
        at("remove", phot, fs::remove_file(phot))?;
    }
    run(&program, &[name_of(phot)?.to_owned(), format!("-p{}", name_of(parameters)?)], &options.dir)
}

/// The cards of the reference's WCS as text, beside the photometry.
fn write_wcs(reference: &Path, phot: &Path) -> Result<(), Error> {
    const NUMBERS: [&str; 17] = [
        "CRVAL1", "CRVAL2", "CRPIX1", "CRPIX2", "CD1_1", "CD1_2", "CD2_1", "CD2_2", "CDELT1", "CDELT2", "PC1_1", "PC1_2", "PC2_1", "PC2_2",
        "LONPOLE", "NAXIS1", "NAXIS2",
    ];
    let header = dolphot::header_of(reference)?;
    let mut text = String::new();
    for key in ["CTYPE1", "CTYPE2", "RADESYS"] {
        text.extend(header.get(key).map(|value| format!("{key:<8}= '{:<8}'\n", value.trim_end())));
    }
    for key in NUMBERS {
        text.extend(header.get(key).map(|value| format!("{key:<8}= {}\n", value.trim())));
    }
    let mut path = phot.as_os_str().to_owned();
    path.push(".wcs.hdr");
    write_whole(Path::new(&path), text.as_bytes())
}

/// Whether text and side files fit together, by the first line.
fn check(phot: &Path) -> Result<u64, Error> {
    let bytes = at("find", phot, fs::metadata(phot))?.len();
    if bytes == 0 {
        return Err(bad(phot, "DOLPHOT left it empty: its log tells what it lacked"));
    }
    Guide::read(phot)?;
    let mut first = Vec::new();
    dolphot::Reader::open(phot)?.read(1, &mut first)?;
    Ok(bytes)
}
