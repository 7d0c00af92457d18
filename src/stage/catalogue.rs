//! DOLPHOT's text to the catalogue files of a field: `_phot.fits` with all that was measured, `_st.fits` with one row of combined
//! photometry an object.
//!
//! The text is read once, in batches of chunks that end with a line; all threads parse chunks straight into big-endian rows while the
//! batch before is written in its order. So the files are the same bytes whatever the number of threads. The number of rows is known at
//! the end, and the headers, whose length does not depend on it, are written again.
//!
//! `_phot.fits` has the layout that [`crate::simulate`] documents. `_st.fits` has x, y, ra, dec, ten columns a filter in alphabetical
//! order, then the good-star flags in the order of the cuts: what [`super::merge`] makes the brick's file of. A filter with one exposure
//! has no combined block in DOLPHOT's output, and its single one stands for it.
//!
//! Memory: [`BATCH_BYTES`] of text and twice the rows of them, at most some 250 MiB, whatever the size of the text and the number of
//! threads.

use super::stars::{Cut, Quality};
use super::table::Output;
use super::{Error, at, bad};
use crate::format::dolphot::{self, Guide, LINE_BYTES, TOO_LONG, UNENDED};
use crate::format::fits::Header;
use crate::format::fits_write::{Card, Column, Form, Value};
use crate::format::layout::RawKind;
use rayon::prelude::*;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Text parsed by one thread at a time; longer than any line.
const CHUNK_BYTES: usize = 1 << 21;
/// Text in memory at once.
pub const BATCH_BYTES: usize = 32 << 20;

/// What is made of what.
#[derive(Debug, Clone)]
pub struct Options {
    /// DOLPHOT's text; `.columns`, `.info` and the reference header stand beside it.
    pub phot: PathBuf,
    pub phot_out: PathBuf,
    pub st_out: PathBuf,
    /// In the order of the flags.
    pub cuts: Vec<Cut>,
    pub snr_min: f64,
    /// Columns `<filter>_st` too.
    pub star_flags: bool,
    /// Leave out of `_st.fits` what is a star in no filter.
    pub only_stars: bool,
    /// Put into the header of `_st.fits`.
    pub brick: Option<i64>,
    pub field: Option<i64>,
    pub threads: usize,
}

/// What was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    pub text_bytes: u64,
    pub objects: u64,
    /// Rows of `_st.fits`.
    pub stars: u64,
}

/// The global columns of `_phot.fits`.
const GLOBALS: [(&str, RawKind); 11] = [
    ("X", RawKind::Float),
    ("Y", RawKind::Float),
    ("RA_J2000", RawKind::Double),
    ("DEC_J2000", RawKind::Double),
    ("CHI", RawKind::Float),
    ("SNR", RawKind::Float),
    ("SHARP", RawKind::Float),
    ("ROUND", RawKind::Float),
    ("MAJAX", RawKind::Short),
    ("CROWD", RawKind::Float),
    ("OBJTYPE", RawKind::Short),
];

/// The columns of a block of `_phot.fits`.
const BLOCK: [&str; 13] =
    ["COUNTS#", "BG#", "RATE#", "RATERR#", "MAG#_VEGA", "MAG#_STD", "MAG#_ERR", "CHI#", "SNR#", "SHARP#", "ROUND#", "CROWD#", "FLAG#"];

/// What `_st.fits` takes of a block, and how it is called there.
const STAR: [(&str, &str); 10] = [
    ("RATE#", "rate"),
    ("RATERR#", "raterr"),
    ("MAG#_VEGA", "vega"),
    ("MAG#_ERR", "err"),
    ("CHI#", "chi"),
    ("SNR#", "snr"),
    ("SHARP#", "sharp"),
    ("ROUND#", "round"),
    ("CROWD#", "crowd"),
    ("FLAG#", "flag"),
];

/// Makes both files.
///
/// # Errors
/// A text that is damaged anywhere, a filter without cuts, a disk that is full: then neither file is there.
pub fn run(options: &Options) -> Result<Report, Error> {
    let mut guide = Guide::read(&options.phot)?;
    let blocks = blocks(&guide)?;
    guide.arrange(&phot_columns(&guide, &blocks)?, &[("EXT", 0), ("CHIP", 1)]);
    let maker = Maker { rows: StarRows::plan(&guide, &blocks, options)?, guide };
    let threads = rayon::ThreadPoolBuilder::new().num_threads(options.threads.max(1)).build();
    let threads = threads.map_err(|error| Error::Asked(format!("cannot start {} threads: {error}", options.threads)))?;
    threads.install(|| convert(&maker, &blocks, options))
}

/// A block of the text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Block {
    pub number: usize,
    pub filter: String,
    /// None: the combination of a filter's images.
    pub image: Option<String>,
}

/// The blocks that the side files name.
pub(super) fn blocks(guide: &Guide) -> Result<Vec<Block>, Error> {
    let header = &guide.header;
    let block = |number: usize| {
        let filter = header.get(&format!("FILT{number}"))?.to_owned();
        Some(Block { number, filter, image: header.get(&format!("IMAGE{number}")).map(str::to_owned) })
    };
    let found: Vec<Block> = (1..).map_while(block).collect();
    match found.is_empty() {
        true => Err(bad(&guide.path, "its .columns file names no filter: there is nothing but positions in it")),
        false => Ok(found),
    }
}

/// The block that stands for each filter, in the order of the blocks: its combined one, or the single one of a filter with one image.
pub(super) fn filters<'a>(guide: &Guide, blocks: &'a [Block]) -> Result<Vec<&'a Block>, Error> {
    let mut filters: Vec<&Block> = Vec::new();
    // combined blocks come first: a single one stands in only for a filter that has none
    for block in blocks {
        if filters.iter().all(|known| known.filter != block.filter) {
            filters.push(block);
        } else if block.image.is_some() && filters.iter().any(|known| known.filter == block.filter && known.image.is_some()) {
            let what = format!("{} has several images but no combined block: DOLPHOT writes one", block.filter);
            return Err(bad(&guide.path, what));
        }
    }
    Ok(filters)
}

/// Names and kinds of the columns of `_phot.fits`.
fn phot_columns(guide: &Guide, blocks: &[Block]) -> Result<Vec<(String, RawKind)>, Error> {
    let mut columns: Vec<(String, RawKind)> = GLOBALS.map(|(name, kind)| (name.to_owned(), kind)).into();
    for block in blocks {
        let kind = |name: &str| if name == "FLAG#" { RawKind::Short } else { RawKind::Float };
        columns.extend(BLOCK.map(|name| (name.replace('#', &block.number.to_string()), kind(name))));
    }
    let missing: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).filter(|name| guide.layout.index(name).is_none()).collect();
    if let Some(first) = missing.first() {
        let what = format!("its .columns file lacks {} of the columns of an HST photometry, the first is {first}", missing.len());
        return Err(bad(&guide.path, what));
    }
    if columns.len() > 999 {
        let most = (999 - GLOBALS.len()) / BLOCK.len();
        let what = format!(
            "{} blocks are {} columns, a FITS table has at most 999 ({most} blocks): measure the stack in parts",
            blocks.len(),
            columns.len()
        );
        return Err(bad(&guide.path, what));
    }
    Ok(columns)
}

/// The cards that tell what each block is.
fn phot_cards(header: &Header, blocks: &[Block]) -> Vec<Card> {
    let text = |key: String, value: &str| Card::new(key, Value::Text(value.into()), "");
    let mut cards = Vec::new();
    for block in blocks {
        let n = block.number;
        let told = |key: &str| header.get(&format!("{key}{n}"));
        let number = |key: &str| header.number::<f64>(&format!("{key}{n}"));
        cards.extend(block.image.as_deref().map(|image| text(format!("IMAGE{n}"), image)));
        cards.push(text(format!("FILT{n}"), &block.filter));
        if block.image.is_some() {
            cards.extend(number("CHIP").map(|chip| Card::new(format!("CHIP{n}"), Value::Integer(chip as i64), "")));
            cards.extend(number("EXPT").map(|seconds| Card::new(format!("EXPT{n}"), Value::Float(seconds, 1), "")));
            cards.extend(number("MJD").map(|mjd| Card::new(format!("MJD{n}"), Value::Float(mjd, 8), "")));
            cards.extend(told("DOBS").map(|date| text(format!("DOBS{n}"), date)));
            cards.extend(told("TOBS").map(|time| text(format!("TOBS{n}"), time)));
        }
    }
    cards
}

fn form(kind: RawKind) -> Form {
    match kind {
        RawKind::Short => Form::I,
        RawKind::Float => Form::E,
        _ => Form::D,
    }
}

/// How a row of `_st.fits` is made of one of `_phot.fits`.
struct StarRows {
    columns: Vec<Column>,
    /// From, length; one after another they make the row.
    copies: Vec<(usize, usize)>,
    /// For each cut: offsets of magnitude, signal to noise, sharpness, crowding.
    cuts: Vec<(Cut, [usize; 4])>,
    snr_min: f64,
    star_flags: bool,
    only_stars: bool,
}

impl StarRows {
    fn plan(guide: &Guide, blocks: &[Block], options: &Options) -> Result<StarRows, Error> {
        let offset = |name: &str| guide.layout.find(name).expect("arrange put every column there").offset;
        let of = |block: &Block, name: &str| offset(&name.replace('#', &block.number.to_string()));
        let mut filters = filters(guide, blocks)?;
        filters.sort_by(|a, b| a.filter.cmp(&b.filter));
        let named = |filter: &str| filters.iter().find(|block| block.filter == filter);
        let mut cuts = Vec::new();
        for cut in &options.cuts {
            if let Some(block) = named(&cut.filter) {
                cuts.push((cut.clone(), ["MAG#_VEGA", "SNR#", "SHARP#", "CROWD#"].map(|name| of(block, name))));
            }
        }
        if let Some(block) = filters.iter().find(|block| options.cuts.iter().all(|cut| cut.filter != block.filter)) {
            let what = format!("there are no cuts for {}: give --cut {}=SHARP2,CROWD", block.filter, block.filter);
            return Err(bad(&guide.path, what));
        }
        let mut columns: Vec<Column> =
            [("x", Form::E), ("y", Form::E), ("ra", Form::D), ("dec", Form::D)].map(|(name, form)| Column::new(name, form)).into();
        let mut copies: Vec<(usize, usize)> =
            [("X", 4), ("Y", 4), ("RA_J2000", 8), ("DEC_J2000", 8)].map(|(name, bytes)| (offset(name), bytes)).into();
        for block in &filters {
            for (from, to) in STAR {
                let form = if to == "flag" { Form::I } else { Form::E };
                copies.push((of(block, from), form.width()));
                columns.push(Column::new(format!("{}_{to}", block.filter.to_ascii_lowercase()), form));
            }
        }
        let flags = |end: &'static str| cuts.iter().map(move |(cut, _): &(Cut, _)| format!("{}_{end}", cut.filter.to_ascii_lowercase()));
        if options.star_flags {
            columns.extend(flags("st").map(|name| Column::new(name, Form::L)));
        }
        columns.extend(flags("gst").map(|name| Column::new(name, Form::L)));
        Ok(StarRows { columns, copies, cuts, snr_min: options.snr_min, star_flags: options.star_flags, only_stars: options.only_stars })
    }

    /// Appends the row, unless it is left out; whether it was.
    fn append(&self, phot: &[u8], rows: &mut Vec<u8>) -> bool {
        let float = |at: usize| f32::from_be_bytes(phot[at..at + 4].try_into().expect("four bytes"));
        let quality = |at: &[usize; 4]| Quality { vega: float(at[0]), snr: float(at[1]), sharp: float(at[2]), crowd: float(at[3]) };
        if self.only_stars && !self.cuts.iter().any(|(cut, at)| cut.is_star(quality(at), self.snr_min)) {
            return false;
        }
        for &(from, bytes) in &self.copies {
            rows.extend_from_slice(&phot[from..from + bytes]);
        }
        let logical = |yes: bool| if yes { b'T' } else { b'F' };
        if self.star_flags {
            rows.extend(self.cuts.iter().map(|(cut, at)| logical(cut.is_star(quality(at), self.snr_min))));
        }
        rows.extend(self.cuts.iter().map(|(cut, at)| logical(cut.is_good(quality(at), self.snr_min))));
        true
    }
}

/// All that a thread needs.
struct Maker {
    guide: Guide,
    rows: StarRows,
}

/// A piece of text and what became of it; used again and again.
#[derive(Default)]
struct Chunk {
    text: Vec<u8>,
    phot: Vec<u8>,
    st: Vec<u8>,
    lines: u64,
    stars: u64,
    fault: Option<String>,
}

impl Chunk {
    fn parse(&mut self, maker: &Maker) {
        (self.lines, self.stars, self.fault) = (0, 0, None);
        self.phot.clear();
        self.st.clear();
        for line in self.text.split_inclusive(|byte| *byte == b'\n') {
            self.lines += 1;
            let row = self.phot.len();
            let parsed = match line.ends_with(b"\n") {
                _ if line.len() as u64 > LINE_BYTES => Err(TOO_LONG.to_owned()),
                false => Err(UNENDED.to_owned()),
                true => maker.guide.parse_line(line, &mut self.phot),
            };
            if let Err(what) = parsed {
                self.fault = Some(what);
                return;
            }
            self.stars += u64::from(maker.rows.append(&self.phot[row..], &mut self.st));
        }
    }
}

/// The text in chunks of whole lines.
struct Text<'a> {
    path: &'a Path,
    file: File,
    rest: Vec<u8>,
    bytes: u64,
    is_at_end: bool,
}

impl Text<'_> {
    /// Fills the chunks from the first on; gives how many have text. What is longer than a chunk and has no line feed stays one chunk.
    fn fill(&mut self, chunks: &mut [Chunk]) -> Result<usize, Error> {
        for (n, chunk) in chunks.iter_mut().enumerate() {
            chunk.text.clear();
            std::mem::swap(&mut chunk.text, &mut self.rest);
            if !self.is_at_end {
                let room = CHUNK_BYTES.saturating_sub(chunk.text.len());
                let read = at("read", self.path, (&mut self.file).take(room as u64).read_to_end(&mut chunk.text))?;
                self.bytes += read as u64;
                self.is_at_end = read < room;
            }
            match chunk.text.iter().rposition(|byte| *byte == b'\n') {
                Some(last) => self.rest.extend(chunk.text.drain(last + 1..)),
                None if chunk.text.is_empty() => return Ok(n),
                None => {} // a line longer than any, or one without an end: the parser says so
            }
        }
        Ok(chunks.len())
    }
}

/// Reads, parses and writes, the three side by side.
fn convert(maker: &Maker, blocks: &[Block], options: &Options) -> Result<Report, Error> {
    let phot_columns: Vec<Column> =
        maker.guide.layout.columns.iter().map(|column| Column::new(column.name.clone(), form(column.kind))).collect();
    let star_cards: Vec<Card> = [("BRICK", options.brick), ("FIELD", options.field)]
        .into_iter()
        .filter_map(|(key, number)| Some(Card::new(key, Value::Integer(number?), "")))
        .collect();
    let phot_cards = phot_cards(&maker.guide.header, blocks);
    let mut phot = Output::create(&options.phot_out, &phot_columns, &phot_cards)?;
    let mut st = Output::create(&options.st_out, &maker.rows.columns, &star_cards)?;
    let file = at("open", &options.phot, File::open(&options.phot))?;
    let mut text = Text { path: &options.phot, file, rest: Vec::new(), bytes: 0, is_at_end: false };
    let many = BATCH_BYTES / CHUNK_BYTES;
    // one set is parsed while the other is written and filled again
    let [mut parsing, mut waiting]: [Vec<Chunk>; 2] = std::array::from_fn(|_| (0..many).map(|_| Chunk::default()).collect());
    let mut report = Report { text_bytes: 0, objects: 0, stars: 0 };
    let (mut filled, mut parsed) = (text.fill(&mut parsing)?, 0);
    while filled > 0 || parsed > 0 {
        let (waits, ()) = rayon::join(
            || {
                write(&waiting[..parsed], options, &mut phot, &mut st, &mut report)?;
                if filled > 0 { text.fill(&mut waiting) } else { Ok(0) }
            },
            || parsing[..filled].par_iter_mut().for_each(|chunk| chunk.parse(maker)),
        );
        (parsed, filled) = (filled, waits?);
        std::mem::swap(&mut parsing, &mut waiting);
    }
    report.text_bytes = text.bytes;
    if report.objects == 0 {
        return Err(bad(&options.phot, "there is no object in it: a photometry that failed leaves an empty file"));
    }
    phot.close(&phot_columns, report.objects, &phot_cards)?;
    st.close(&maker.rows.columns, report.stars, &star_cards)?;
    // both are on the disk before either has its name
    phot.finish()?;
    st.finish()?;
    Ok(report)
}

/// Writes parsed chunks in their order, and counts; the first fault is told with its line.
fn write(chunks: &[Chunk], options: &Options, phot: &mut Output, st: &mut Output, report: &mut Report) -> Result<(), Error> {
    for chunk in chunks {
        if let Some(what) = chunk.fault.clone() {
            return Err(dolphot::Error::Line { path: options.phot.clone(), line: report.objects + chunk.lines, what }.into());
        }
        phot.rows(&chunk.phot)?;
        st.rows(&chunk.st)?;
        report.objects += chunk.lines;
        report.stars += chunk.stars;
    }
    Ok(())
}
