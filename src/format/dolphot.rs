//! DOLPHOT's own output as a table: `<name>` (one text line per object), `<name>.columns` (what each number is),
//! `<name>.info` (epochs) and the WCS of the reference image, streamed.
//!
//! The rows come out in the layout of the per-field `_phot.fits` files, so that the same loader manifests serve both:
//! `X Y CHI SNR SHARP ROUND MAJAX CROWD OBJTYPE EXT CHIP RA_J2000 DEC_J2000`, then per block `n` (1-based, combined
//! blocks first) `COUNTSn BGn RATEn RATERRn MAGn_VEGA MAGn_STD MAGn_ERR CHIn SNRn SHARPn ROUNDn CROWDn FLAGn`. What
//! each single block was taken with is put into the header as the cards that `_phot.fits` carries: `IMAGEn`, `FILTn`,
//! `CHIPn`, `EXPTn`, `MJDn`, `DOBSn`, `TOBSn`.
//!
//! Positions: DOLPHOT's X and Y are 0-based pixels of the reference image, `FITS pixel = x + 1`, as the survey's own
//! `all_pix2world(x, y, 0)` takes them. The reference WCS stands beside the text, see [`Reader::open`].
//!
//! Memory: one line and the caller's buffer; a text of any length is read once from start to end.

use super::decimal;
use super::fits::{Header, parse_card};
use super::layout::{Layout, RawColumn, RawKind};
use crate::sky::tangent::Tangent;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{}: line {line}: {what}", path.display())]
    Line { path: PathBuf, line: u64, what: String },
    #[error("{}: no reference WCS beside it: wanted one of {}", path.display(), wanted.join(", "))]
    NoWcs { path: PathBuf, wanted: Vec<String> },
    #[error("{}: the reference WCS: {what}", path.display())]
    BadWcs { path: PathBuf, what: String },
}

/// The `.columns` file of a DOLPHOT output, if it stands beside it.
pub fn columns_file(path: &Path) -> Option<PathBuf> {
    let columns = append(path, ".columns");
    columns.is_file().then_some(columns)
}

fn append(path: &Path, tail: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(tail);
    PathBuf::from(name)
}

/// A line of 999 columns has some 10 kB; what is longer is no line.
pub const LINE_BYTES: u64 = 1 << 20;

/// What the descriptions of the 11 global columns begin with, and what they become.
const GLOBALS: [(&str, &str, RawKind); 11] = [
    ("Extension", "EXT", RawKind::Short),
    ("Chip", "CHIP", RawKind::Short),
    ("Object X position", "X", RawKind::Double),
    ("Object Y position", "Y", RawKind::Double),
    ("Chi for fit", "CHI", RawKind::Float),
    ("Signal-to-noise", "SNR", RawKind::Float),
    ("Object sharpness", "SHARP", RawKind::Float),
    ("Object roundness", "ROUND", RawKind::Float),
    ("Direction of major axis", "MAJAX", RawKind::Short),
    ("Crowding", "CROWD", RawKind::Float),
    ("Object type", "OBJTYPE", RawKind::Short),
];

/// What the descriptions of a block's columns begin with; `#` is the block's number.
const BLOCK: [(&str, &str, RawKind); 16] = [
    ("Total counts", "COUNTS#", RawKind::Float),
    ("Measured counts", "COUNTS#", RawKind::Float),
    ("Total sky level", "BG#", RawKind::Float),
    ("Measured sky level", "BG#", RawKind::Float),
    ("Normalized count rate uncertainty", "RATERR#", RawKind::Float),
    ("Normalized count rate", "RATE#", RawKind::Float),
    ("Instrumental VEGAMAG magnitude", "MAG#_VEGA", RawKind::Float),
    ("Instrumental magnitude", "MAG#_VEGA", RawKind::Float),
    ("Transformed UBVRI magnitude", "MAG#_STD", RawKind::Float),
    ("Magnitude uncertainty", "MAG#_ERR", RawKind::Float),
    ("Chi", "CHI#", RawKind::Float),
    ("Signal-to-noise", "SNR#", RawKind::Float),
    ("Sharpness", "SHARP#", RawKind::Float),
    ("Roundness", "ROUND#", RawKind::Float),
    ("Crowding", "CROWD#", RawKind::Float),
    ("Photometry quality flag", "FLAG#", RawKind::Short),
];

/// Where a number of a line goes in the row.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Place {
    Short(usize),
    Float(usize),
    Double(usize),
    /// It goes nowhere, but must be this.
    Always(i16),
    /// It goes nowhere, but is a number.
    Nowhere,
}

/// How a line of text becomes a row: what its side files say. It is read by as many threads as like.
pub struct Guide {
    pub path: PathBuf,
    pub layout: Layout,
    pub header: Header,
    /// For each number of a line.
    places: Vec<Place>,
    x: usize,
    y: usize,
    ra_offset: usize,
    wcs: Tangent,
}

impl Guide {
    /// Reads the files beside `path`; see [`Reader::open`].
    pub fn read(path: &Path) -> Result<Guide, Error> {
        let columns_path = append(path, ".columns");
        let columns = std::fs::read_to_string(&columns_path).map_err(|source| Error::Io { path: columns_path.clone(), source })?;
        let description = describe(&columns).map_err(|(line, what)| Error::Line { path: columns_path, line, what })?;
        let mut header = description.header;
        read_info(path, &description.images, &mut header)?;
        let wcs = read_wcs(path)?;
        let place = |&(kind, offset): &(RawKind, usize)| match kind {
            RawKind::Short => Place::Short(offset),
            RawKind::Float => Place::Float(offset),
            _ => Place::Double(offset),
        };
        Ok(Guide {
            path: path.to_owned(),
            places: description.fields.iter().map(place).collect(),
            layout: description.layout,
            header,
            x: description.x,
            y: description.y,
            ra_offset: description.ra_offset,
            wcs,
        })
    }

    /// Puts the named columns into this order, with these kinds (`Short`, `Float`, or `Double`), and leaves the others out; those of
    /// `always` must have the given value in every line. RA_J2000 and DEC_J2000 must stand side by side.
    ///
    /// # Panics
    /// When a name is not one of the layout's: the caller takes them from there.
    pub fn arrange(&mut self, columns: &[(String, RawKind)], always: &[(&str, i16)]) {
        let known = |name: &str| self.layout.index(name).expect("a column of the layout");
        let mut places = vec![Place::Nowhere; self.places.len()];
        for (name, value) in always {
            places[known(name)] = Place::Always(*value);
        }
        let (mut arranged, mut offset) = (Vec::new(), 0);
        for (name, kind) in columns {
            let from = known(name);
            if let Some(place) = places.get_mut(from) {
                *place = match kind {
                    RawKind::Short => Place::Short(offset),
                    RawKind::Float => Place::Float(offset),
                    _ => Place::Double(offset),
                };
            } else if name == "RA_J2000" {
                self.ra_offset = offset;
            }
            arranged.push(RawColumn { kind: *kind, offset, ..self.layout.columns[from].clone() });
            offset += kind.bytes(1);
        }
        (self.places, self.layout) = (places, Layout::new(arranged, offset));
    }

    /// Right ascension and declination of DOLPHOT's x and y.
    pub fn sky_deg(&self, x: f64, y: f64) -> [f64; 2] {
        self.wcs.pixel_to_sky(x + 1.0, y + 1.0).into()
    }

    /// Appends the row of a line, which ends with its line feed.
    pub fn parse_line(&self, line: &[u8], buffer: &mut Vec<u8>) -> Result<(), String> {
        let start = buffer.len();
        buffer.resize(start + self.layout.row_bytes, 0);
        let row = &mut buffer[start..];
        let mut put = |offset: usize, bytes: &[u8]| row[offset..offset + bytes.len()].copy_from_slice(bytes);
        let (mut x, mut y, mut at) = (0.0, 0.0, 0);
        for (i, &place) in self.places.iter().enumerate() {
            let Some(number) = decimal::scan(line, &mut at) else {
                return Err(format!("{i} numbers, wanted {} (.columns)", self.places.len()));
            };
            let bad = || format!("column {}: {:?} is not a number", i + 1, String::from_utf8_lossy(number.text));
            match place {
                Place::Short(offset) => put(offset, &number.to_i16().ok_or_else(bad)?.to_be_bytes()),
                Place::Float(offset) => put(offset, &number.to_f32().ok_or_else(bad)?.to_be_bytes()),
                Place::Double(offset) => put(offset, &number.to_f64().ok_or_else(bad)?.to_be_bytes()),
                Place::Always(wanted) if number.to_i16() != Some(wanted) => {
                    return Err(format!("column {}: {:?}, wanted {wanted}", i + 1, String::from_utf8_lossy(number.text)));
                }
                Place::Always(_) => {}
                Place::Nowhere => drop(number.to_f64().ok_or_else(bad)?),
            }
            if i == self.x {
                x = number.to_f64().ok_or_else(bad)?;
            } else if i == self.y {
                y = number.to_f64().ok_or_else(bad)?;
            }
        }
        if let Some(extra) = decimal::scan(line, &mut at) {
            let extra = String::from_utf8_lossy(extra.text);
            return Err(format!("more than {} numbers (.columns), the next is {extra:?}", self.places.len()));
        }
        let (ra, dec) = self.wcs.pixel_to_sky(x + 1.0, y + 1.0);
        put(self.ra_offset, &ra.to_be_bytes());
        put(self.ra_offset + 8, &dec.to_be_bytes());
        Ok(())
    }
}

/// The first numbers of a line, and what stands after them: in `.fake` files the input of an artificial star stands before its photometry.
pub fn first_numbers(line: &[u8], count: usize) -> Result<(Vec<f64>, &[u8]), String> {
    let mut at = 0;
    let number = |i: usize| {
        let found = decimal::scan(line, &mut at).and_then(|word| word.to_f64());
        found.ok_or_else(|| format!("number {}: wanted {count} numbers before the photometry", i + 1))
    };
    let numbers = (0..count).map(number).collect::<Result<_, _>>()?;
    Ok((numbers, &line[at..]))
}

/// Reads DOLPHOT text into raw big-endian rows.
pub struct Reader {
    guide: Guide,
    text: BufReader<File>,
    line: Vec<u8>,
    line_number: u64,
    bytes: u64,
    bytes_read: u64,
    pub layout: Layout,
    pub header: Header,
}

impl Reader {
    /// Opens `path` with its side files.
    ///
    /// The reference WCS is read from the first of `<path>.wcs.hdr`, `<name>_F475W_drz.hdr`, `<path>.wcs.fits`,
    /// `<name>_F475W_drz.fits`, where `<name>` is `path` without `.phot`. A `.hdr` is header cards as text (one a
    /// line or 80 characters each); of a `.fits` the first header with `CTYPE1` counts.
    pub fn open(path: &Path) -> Result<Reader, Error> {
        let io = |source| Error::Io { path: path.to_owned(), source };
        let guide = Guide::read(path)?;
        let file = File::open(path).map_err(io)?;
        let bytes = file.metadata().map_err(io)?.len();
        let (layout, header) = (guide.layout.clone(), guide.header.clone());
        let text = BufReader::with_capacity(1 << 20, file);
        Ok(Reader { guide, text, line: Vec::new(), line_number: 0, bytes, bytes_read: 0, layout, header })
    }

    pub fn fraction_read(&self) -> f64 {
        self.bytes_read as f64 / self.bytes.max(1) as f64
    }

    /// Appends up to `most` rows to `buffer`; the number read, 0 at the end.
    pub fn read(&mut self, most: usize, buffer: &mut Vec<u8>) -> Result<usize, Error> {
        for rows in 0..most {
            self.line.clear();
            let read = (&mut self.text).take(LINE_BYTES).read_until(b'\n', &mut self.line);
            let n = read.map_err(|source| Error::Io { path: self.guide.path.clone(), source })?;
            if n == 0 {
                return Ok(rows);
            }
            self.bytes_read += n as u64;
            self.line_number += 1;
            self.parse_line(buffer).map_err(|what| Error::Line { path: self.guide.path.clone(), line: self.line_number, what })?;
        }
        Ok(most)
    }

    /// Appends the row of `self.line`.
    fn parse_line(&self, buffer: &mut Vec<u8>) -> Result<(), String> {
        if !self.line.ends_with(b"\n") {
            return Err(match self.line.len() as u64 {
                LINE_BYTES => TOO_LONG.into(),
                _ => UNENDED.into(),
            });
        }
        self.guide.parse_line(&self.line, buffer)
    }
}

/// What is said of a line that is none.
pub const TOO_LONG: &str = "longer than 1048576 bytes: this is not DOLPHOT's text";
/// What is said of a last line without its line feed.
pub const UNENDED: &str = "the last line has no end: the file is truncated";

/// The exposure cards that `<stem>.columns` (and `<stem>.info`) tell, `None` if there is no such file.
pub fn exposure_cards(stem: &Path) -> Result<Option<Header>, Error> {
    let Some(path) = columns_file(stem) else { return Ok(None) };
    let text = std::fs::read_to_string(&path).map_err(|source| Error::Io { path: path.clone(), source })?;
    let mut description = describe(&text).map_err(|(line, what)| Error::Line { path, line, what })?;
    read_info(stem, &description.images, &mut description.header)?;
    Ok(Some(description.header))
}

/// What a `.columns` file says.
struct Description {
    layout: Layout,
    header: Header,
    fields: Vec<(RawKind, usize)>,
    /// (block number, image name) of each single block.
    images: Vec<(usize, String)>,
    x: usize,
    y: usize,
    ra_offset: usize,
}

/// Reads `<k>. <text>` lines; the error is (line, what).
fn describe(text: &str) -> Result<Description, (u64, String)> {
    let mut columns: Vec<RawColumn> = Vec::new();
    let mut fields = Vec::new();
    let mut offset = 0;
    let mut add = |name: String, kind: RawKind, offset: &mut usize| {
        columns.push(RawColumn { name, kind, repeat: 1, offset: *offset, scale: 1.0, zero: 0.0, null: None, unit: String::new() });
        *offset += kind.bytes(1);
    };
    let mut header = Header::default();
    let mut images = Vec::new();
    let (mut block, mut current) = (0, String::new());
    let (mut x, mut y) = (None, None);
    for (i, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let fail = |what: String| (i as u64 + 1, what);
        let (number, what) = line.split_once(". ").ok_or_else(|| fail(format!("wanted `<number>. <description>`, found {line:?}")))?;
        if number.trim().parse() != Ok(fields.len() + 1) {
            return Err(fail(format!("column number {number}, wanted {}", fields.len() + 1)));
        }
        let (quantity, of) = what.split_once(", ").unwrap_or((what, ""));
        let global = block == 0 && fields.len() < GLOBALS.len();
        let list: &[_] = if global { &GLOBALS } else { &BLOCK };
        let known = list.iter().find(|(begins, ..)| quantity.starts_with(begins));
        let Some(&(_, name, kind)) = known else {
            // a column that PHAT's layout has no place for is read past, under its number
            add(format!("COLUMN{}", fields.len() + 1), RawKind::Float, &mut offset);
            fields.push((RawKind::Float, offset - 4));
            continue;
        };
        if !global && of != current {
            block += 1;
            current = of.to_owned();
            describe_block(block, of, &mut header, &mut images).map_err(fail)?;
        }
        match name {
            "X" => x = Some(fields.len()),
            "Y" => y = Some(fields.len()),
            _ => {}
        }
        fields.push((kind, offset));
        add(name.replace('#', &block.to_string()), kind, &mut offset);
    }
    let end = text.lines().count() as u64;
    let (Some(x), Some(y)) = (x, y) else { return Err((end, "no object positions among the columns".into())) };
    let ra_offset = offset;
    add("RA_J2000".into(), RawKind::Double, &mut offset);
    add("DEC_J2000".into(), RawKind::Double, &mut offset);
    Ok(Description { layout: Layout::new(columns, offset), header, fields, images, x, y, ra_offset })
}

/// Puts the cards of a block into the header: `F475W` or `ACS_F475W` (combined), `image (filter, seconds sec)` (single).
fn describe_block(block: usize, of: &str, header: &mut Header, images: &mut Vec<(usize, String)>) -> Result<(), String> {
    let Some((image, rest)) = of.split_once(" (") else {
        header.insert(&format!("FILT{block}"), bare_filter(of));
        return Ok(());
    };
    let bad = || format!("wanted `<image> (<filter>, <seconds> sec)`, found {of:?}");
    let (filter, seconds) = rest.trim_end_matches(')').split_once(", ").ok_or_else(bad)?;
    let seconds = seconds.strip_suffix(" sec").ok_or_else(bad)?;
    seconds.parse::<f32>().map_err(|_| bad())?;
    // splitgroups names extension n `.chipn`; an image without it has one chip
    let chip = image.rsplit_once(".chip").map_or("1", |(_, chip)| chip);
    header.insert(&format!("IMAGE{block}"), image);
    header.insert(&format!("FILT{block}"), bare_filter(filter));
    header.insert(&format!("CHIP{block}"), chip);
    header.insert(&format!("EXPT{block}"), seconds);
    images.push((block, image.to_owned()));
    Ok(())
}

/// `F475W` of `ACS_F475W`.
fn bare_filter(filter: &str) -> &str {
    filter.rsplit('_').next().unwrap_or(filter)
}

/// Epochs of the images from `<path>.info`, if it is there: `<n> sets of output data`, then name and MJD in turn.
fn read_info(path: &Path, images: &[(usize, String)], header: &mut Header) -> Result<(), Error> {
    let info_path = append(path, ".info");
    let text = match std::fs::read_to_string(&info_path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(Error::Io { path: info_path, source }),
    };
    let mut lines = text.lines().enumerate().skip(1);
    while let Some((_, name)) = lines.next().filter(|(_, name)| !name.trim().is_empty()) {
        let (number, epoch) = lines.next().unwrap_or((0, ""));
        let mjd: f64 = epoch.trim().parse().map_err(|_| Error::Line {
            path: info_path.clone(),
            line: number as u64 + 1,
            what: format!("wanted the epoch of {name} (MJD), found {epoch:?}"),
        })?;
        for (block, _) in images.iter().filter(|(_, image)| image == name.trim()) {
            let (date, time) = civil(mjd);
            header.insert(&format!("MJD{block}"), &mjd.to_string());
            header.insert(&format!("DOBS{block}"), &date);
            header.insert(&format!("TOBS{block}"), &time);
        }
    }
    Ok(())
}

/// Date and time (UTC, to the second) of a modified Julian date.
fn civil(mjd: f64) -> (String, String) {
    const MJD_OF_1970: f64 = 40587.0;
    let seconds = ((mjd - MJD_OF_1970) * 86400.0).round() as i64;
    let text = jiff::Timestamp::from_second(seconds).map_or_else(|_| String::new(), |t| t.to_string());
    text.split_once('T').map_or_else(Default::default, |(d, t)| (d.to_owned(), t.trim_end_matches('Z').to_owned()))
}

fn read_wcs(path: &Path) -> Result<Tangent, Error> {
    let stem = path.with_extension("");
    let candidates =
        [append(path, ".wcs.hdr"), append(&stem, "_F475W_drz.hdr"), append(path, ".wcs.fits"), append(&stem, "_F475W_drz.fits")];
    let Some(found) = candidates.iter().find(|p| p.is_file()) else {
        let wanted = candidates.iter().map(|p| p.file_name().unwrap_or_default().to_string_lossy().into_owned()).collect();
        return Err(Error::NoWcs { path: path.to_owned(), wanted });
    };
    let header = header_of(found)?;
    Tangent::from_cards(|key| header.get(key)).map_err(|what| Error::BadWcs { path: found.clone(), what })
}

/// The cards of a reference image, or of its header as text.
pub fn header_of(path: &Path) -> Result<Header, Error> {
    // headers come first in a FITS file and the first image's is the reference's: a megabyte holds it
    let mut head = Vec::new();
    let file = File::open(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    file.take(1 << 20).read_to_end(&mut head).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    Ok(cards(&String::from_utf8_lossy(&head)))
}

/// Cards as lines or in 80-character records.
fn cards(text: &str) -> Header {
    let mut header = Header::default();
    // a FITS file has no line ends in its first 81 bytes
    let as_lines = text.bytes().take(81).any(|b| b == b'\n');
    let records: Vec<&[u8]> =
        if as_lines { text.as_bytes().split(|&b| b == b'\n').collect() } else { text.as_bytes().chunks(80).collect() };
    for record in records {
        if let Some((key, value)) = parse_card(&String::from_utf8_lossy(record)) {
            header.insert(&key, &value);
        }
    }
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_columns_file_is_an_error_and_a_missing_one_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let stem = dir.path().join("x_phot");
        assert!(exposure_cards(&stem).unwrap().is_none());
        std::fs::write(append(&stem, ".columns"), "1. Extension (zero for base image)\n3. Chip\n").unwrap();
        let error = exposure_cards(&stem).err().unwrap().to_string();
        assert!(error.ends_with("x_phot.columns: line 2: column number 3, wanted 2"), "{error}");
    }
}
