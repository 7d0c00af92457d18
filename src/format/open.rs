//! Opening what a user names: plain, gzipped and tile-compressed FITS, and DOLPHOT text, behind one [`Source`].
//!
//! A gzipped file is inflated once into a scratch file (CFITSIO would hold it whole in memory), which is removed when
//! the source is dropped. The checksum at the end of the gzip stream is verified before the first row is handed out.

use super::dolphot;
use super::fits::{self, Hdu, Header};
use super::layout::Layout;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Fits(#[from] fits::Error),
    #[error(transparent)]
    Dolphot(#[from] dolphot::Error),
    #[error("{}: corrupt gzip after {inflated} inflated bytes: {source}; fetch the file again", path.display())]
    Gzip { path: PathBuf, inflated: u64, source: io::Error },
    #[error("{}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("writing a scratch file in {}: {source}{}", dir.display(), space_hint(source))]
    Scratch { dir: PathBuf, source: io::Error },
    #[error("{}: not a FITS file: it begins with {begins}", path.display())]
    NotFits { path: PathBuf, begins: String },
}

fn space_hint(error: &io::Error) -> &'static str {
    if error.kind() == io::ErrorKind::StorageFull { "; free some space or give another --data-dir" } else { "" }
}

/// A catalogue file, open and checked, whose rows are read from first to last.
pub struct Source {
    pub layout: Layout,
    pub header: Header,
    /// What the rows come from, for messages: `HDU 1`, `text`.
    pub place: String,
    /// The number of rows, where it is known before reading.
    pub rows: Option<u64>,
    reader: Reader,
    next_row: u64,
    flat: Option<Flat>,
    /// Inflated copies have no name and live as long as the source.
    _scratch: Vec<File>,
}

/// Rows that lie in a file one after another, from byte `start` on.
#[derive(Debug)]
pub struct Flat {
    pub file: File,
    pub start: u64,
}

enum Reader {
    Fits(Box<fits::Table>),
    Dolphot(Box<dolphot::Reader>),
}

impl Source {
    /// Opens a FITS table (by its first bytes) or DOLPHOT text (by the `.columns` file beside it).
    pub fn open(path: &Path, hdu: &Hdu, scratch_dir: &Path) -> Result<Source, Error> {
        let mut head = Vec::new();
        let file = File::open(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        file.take(80).read_to_end(&mut head).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        if head.starts_with(&[0x1f, 0x8b]) {
            let inflated = inflate(path, scratch_dir)?;
            let mut head = [0; 80];
            let n = inflated.read_at(&mut head, 0).map_err(|source| Error::Scratch { dir: scratch_dir.to_owned(), source })?;
            if !head.starts_with(b"SIMPLE") {
                return Err(Error::NotFits { path: path.to_owned(), begins: format!("{}, inflated", begins(&head[..n])) });
            }
            return Self::open_fits(path_of(&inflated), path, hdu, scratch_dir, vec![inflated]);
        }
        if head.starts_with(b"SIMPLE") {
            return Self::open_fits(path.to_owned(), path, hdu, scratch_dir, Vec::new());
        }
        if dolphot::columns_file(path).is_some() {
            return Self::open_dolphot(path);
        }
        Err(Error::NotFits { path: path.to_owned(), begins: begins(&head) })
    }

    fn open_fits(plain: PathBuf, shown: &Path, hdu: &Hdu, dir: &Path, mut scratch: Vec<File>) -> Result<Source, Error> {
        let mut table = fits::Table::open(&plain, shown, hdu)?;
        let mut plain = plain;
        if table.is_tile_compressed() {
            let file = uncompress(&mut table, dir)?;
            plain = path_of(&file);
            table = fits::Table::open(&plain, shown, &Hdu::Number(1))?;
            scratch.push(file);
        }
        let file = File::open(&plain).map_err(|source| Error::Read { path: shown.to_owned(), source })?;
        let flat = Some(Flat { file, start: table.start });
        let (layout, header) = (table.layout.clone(), table.header.clone());
        let (place, rows) = (format!("HDU {}", table.hdu), Some(table.rows));
        Ok(Source { layout, header, place, rows, reader: Reader::Fits(Box::new(table)), next_row: 0, flat, _scratch: scratch })
    }

    fn open_dolphot(path: &Path) -> Result<Source, Error> {
        let reader = dolphot::Reader::open(path)?;
        let (layout, header) = (reader.layout.clone(), reader.header.clone());
        Ok(Source {
            layout,
            header,
            place: "text".into(),
            rows: None,
            reader: Reader::Dolphot(Box::new(reader)),
            next_row: 0,
            flat: None,
            _scratch: Vec::new(),
        })
    }

    /// Where the rows lie, if they can be read in any order; at most once.
    pub fn take_flat(&mut self) -> Option<Flat> {
        self.flat.take()
    }

    /// Appends up to `most` rows to `buffer`; the number of rows read, 0 at the end.
    pub fn read(&mut self, most: usize, buffer: &mut Vec<u8>) -> Result<usize, Error> {
        match &mut self.reader {
            Reader::Fits(table) => {
                let rows = (table.rows - self.next_row).min(most as u64) as usize;
                if rows > 0 {
                    table.append_rows(self.next_row, rows, buffer)?;
                    self.next_row += rows as u64;
                }
                Ok(rows)
            }
            Reader::Dolphot(reader) => Ok(reader.read(most, buffer)?),
        }
    }

    /// How much of the source has been read, 0 to 1, for progress bars.
    pub fn fraction_read(&self) -> f64 {
        match &self.reader {
            Reader::Fits(table) => self.next_row as f64 / table.rows.max(1) as f64,
            Reader::Dolphot(reader) => reader.fraction_read(),
        }
    }
}

/// The first bytes as a person reads them.
fn begins(head: &[u8]) -> String {
    if head.is_empty() {
        return "nothing (the file is empty)".to_owned();
    }
    let text: String = head.iter().take(24).map(|&b| if (32..127).contains(&b) { b as char } else { '.' }).collect();
    format!("{text:?}")
}

/// The way to an open file without a name: a killed loader leaves no scratch file behind.
fn path_of(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

fn scratch_file(dir: &Path) -> Result<File, Error> {
    let make = || {
        std::fs::create_dir_all(dir)?;
        tempfile::tempfile_in(dir)
    };
    make().map_err(|source| Error::Scratch { dir: dir.to_owned(), source })
}

/// Writes a tile-compressed table plain. CFITSIO makes the file itself, so it has a name for a moment.
fn uncompress(table: &mut fits::Table, dir: &Path) -> Result<File, Error> {
    let io = |source| Error::Scratch { dir: dir.to_owned(), source };
    std::fs::create_dir_all(dir).map_err(io)?;
    let folder = tempfile::tempdir_in(dir).map_err(io)?;
    let target = folder.path().join("table.fits");
    table.uncompress_to(&target)?;
    File::open(&target).map_err(io)
}

/// Inflates a gzip file into a scratch file.
fn inflate(path: &Path, dir: &Path) -> Result<File, Error> {
    let mut target = scratch_file(dir)?;
    let file = File::open(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    let mut gz = flate2::bufread::MultiGzDecoder::new(io::BufReader::with_capacity(1 << 20, file));
    let mut buffer = vec![0; 1 << 20];
    let mut inflated = 0;
    loop {
        let n = match gz.read(&mut buffer) {
            Ok(0) => return Ok(target),
            Ok(n) => n,
            Err(source) => return Err(Error::Gzip { path: path.to_owned(), inflated, source }),
        };
        target.write_all(&buffer[..n]).map_err(|source| Error::Scratch { dir: dir.to_owned(), source })?;
        inflated += n as u64;
    }
}
