//! Exposures under their working names, with what the later stages ask of them in their headers.
//!
//! `jbfb25ejq_flt.fits` becomes `jbfb25ejq_F475W_flt.fits` with the cards `TAGTARG`, `TAGFILT`, `TAGDET` and `TAGTYPE` (`raw`) in its primary
//! header; everything after that header is the same bytes. The reference image keeps name and bytes.

use super::sort::{self, Exposure};
use super::{Error, Whole, at, bad, name_of};
use crate::image::{FitsFile, gzip, header};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// What is tagged.
#[derive(Debug, Clone)]
pub struct Options {
    /// Exposures and the reference image of one field.
    pub files: Vec<PathBuf>,
    pub target: String,
    pub dir: PathBuf,
}

/// Bytes copied at a time.
const PIECE_BYTES: usize = 1 << 20;

/// Tags; gives the names of the exposures.
pub fn run(options: &Options) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    for path in &options.files {
        let name = name_of(path)?;
        if sort::is_reference(name) {
            copy(path, &options.dir.join(name))?;
            continue;
        }
        let exposure = sort::exposure(path, &options.dir)?;
        let whose = format!("{}_{}", exposure.program, exposure.target);
        if whose != options.target {
            return Err(bad(path, format!("it is an exposure of {whose}, wanted {}", options.target)));
        }
        let end = if name.contains("_flc") { "flc" } else { "flt" };
        let tagged = format!("{}_{}_{end}.fits", exposure.root, exposure.filter);
        tag(path, &options.dir.join(&tagged), &exposure, options)?;
        names.push(tagged);
    }
    Ok(names)
}

fn tag(from: &Path, to: &Path, exposure: &Exposure, options: &Options) -> Result<(), Error> {
    let file = FitsFile::open(from, &gzip::Cache::new(&options.dir, 4 << 30))?;
    let primary = file.primary();
    let mut cards = primary.header.clone();
    let text = |text: &str| header::Value::Text(text.to_owned());
    cards.set("TAGTARG", text(&options.target), "programme and target");
    cards.set("TAGFILT", text(&exposure.filter), "filter in the beam");
    cards.set("TAGDET", text(&exposure.detector), "detector");
    cards.set("TAGTYPE", text("raw"), "not drizzled");
    let mut whole = Whole::create(to)?;
    whole.write(&cards.bytes())?;
    let source = file.source();
    let (mut at, mut piece) = (primary.data_start, vec![0; PIECE_BYTES]);
    while at < source.length() {
        let most = PIECE_BYTES.min((source.length() - at) as usize);
        source.read_at(at, &mut piece[..most])?;
        whole.write(&piece[..most])?;
        at += most as u64;
    }
    whole.finish()
}

/// Copies a file, whole or not at all.
pub(super) fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    let mut file = at("open", from, File::open(from))?;
    let mut whole = Whole::create(to)?;
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match at("read", from, file.read(&mut piece))? {
            0 => return whole.finish(),
            read => whole.write(&piece[..read])?,
        }
    }
}
