//! One file being written: rows of one layout through a buffer, plain or gzip, under a temporary name until whole.
//!
//! gzip members carry no time and no name, so that the same rows are the same bytes.

use super::footprint::Field;
use super::layouts::{self, Place};
use super::photometry::Object;
use super::population::Star;
use super::{Error, at, dolphot, part_name};
use crate::format::fits_write::{Card, Column, Row, TableFile};
use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Bytes of rows gathered before they are written.
const BUFFER_BYTES: usize = 256 << 10;

/// What stands in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    Star,
    Truth,
    Phot,
    Dolphot,
    /// Rows made before, copied from parts.
    Joined,
}

/// Plain bytes or gzip.
enum Stream {
    Plain(BufWriter<File>),
    Gzip(Box<GzEncoder<BufWriter<File>>>),
}

impl Stream {
    fn create(path: &Path, gzip: bool) -> io::Result<Stream> {
        let file = BufWriter::new(File::create(path)?);
        Ok(if gzip { Stream::Gzip(Box::new(GzBuilder::new().mtime(0).write(file, Compression::fast()))) } else { Stream::Plain(file) })
    }

    fn finish(self) -> io::Result<u64> {
        let mut file = match self {
            Stream::Plain(file) => file,
            Stream::Gzip(encoder) => encoder.finish()?,
        };
        file.flush()?;
        Ok(file.get_ref().metadata()?.len())
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(file) => file.write(bytes),
            Stream::Gzip(encoder) => encoder.write(bytes),
        }
    }
    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Plain(file) => file.flush(),
            Stream::Gzip(encoder) => encoder.flush(),
        }
    }
}

/// Where rows go: a bare stream, or a FITS table that counts them.
enum Sink {
    Bare(Stream),
    Table(TableFile<Stream>),
}

impl Sink {
    fn write(&mut self, rows: &[u8]) -> io::Result<()> {
        match self {
            Sink::Bare(stream) => stream.write_all(rows),
            Sink::Table(table) => table.write_rows(rows),
        }
    }
}

/// A file being written.
pub struct Output {
    layout: Layout,
    path: PathBuf,
    sink: Sink,
    row: Row,
    text: String,
}

impl Output {
    /// A file of rows alone: a part of a table, or text.
    pub fn rows(layout: Layout, path: PathBuf) -> Result<Output, Error> {
        let stream = at("create", &path, Stream::create(&part_name(&path), false))?;
        Ok(Output { layout, path, sink: Sink::Bare(stream), row: Row::with_capacity(BUFFER_BYTES + 8192), text: String::new() })
    }

    /// A FITS table; a path that ends in `.gz` is compressed.
    pub fn table(layout: Layout, path: PathBuf, columns: &[Column], rows: u64, cards: &[Card]) -> Result<Output, Error> {
        let gzip = path.extension().is_some_and(|end| end == "gz");
        let table = Stream::create(&part_name(&path), gzip).and_then(|stream| TableFile::create(stream, columns, rows, cards));
        let sink = Sink::Table(at("create", &path, table)?);
        Ok(Output { layout, path, sink, row: Row::with_capacity(BUFFER_BYTES + 8192), text: String::new() })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds an object; `number` counts the field's objects from 1.
    pub fn add(&mut self, field: &Field, number: u64, star: &Star, place: &Place, object: &Object) -> Result<(), Error> {
        match self.layout {
            Layout::Star => layouts::star_row(&mut self.row, field, place, object, field.inside(place.sky_deg)),
            Layout::Truth => layouts::truth_row(&mut self.row, field, number as i32, place, star),
            Layout::Phot => layouts::phot_row(&mut self.row, place, object),
            Layout::Dolphot => dolphot::line(&mut self.text, place, object),
            Layout::Joined => {}
        }
        if self.row.len().max(self.text.len()) >= BUFFER_BYTES { self.write_out() } else { Ok(()) }
    }

    /// Copies the rows of a part.
    pub fn append(&mut self, part: &Path) -> Result<(), Error> {
        let mut file = at("open", part, File::open(part))?;
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            match at("read", part, io::Read::read(&mut file, &mut buffer))? {
                0 => return Ok(()),
                read => at("write", &self.path, self.sink.write(&buffer[..read]))?,
            }
        }
    }

    fn write_out(&mut self) -> Result<(), Error> {
        let written = self.sink.write(self.row.bytes()).and_then(|()| self.sink.write(self.text.as_bytes()));
        self.row.clear();
        self.text.clear();
        at("write", &self.path, written)
    }

    /// Ends the file, gives it its name, and tells its size in bytes.
    pub fn finish(mut self) -> Result<u64, Error> {
        self.write_out()?;
        let stream = match self.sink {
            Sink::Bare(stream) => Ok(stream),
            Sink::Table(table) => table.finish(),
        };
        let bytes = at("write", &self.path, stream.and_then(Stream::finish))?;
        at("rename", &self.path, fs::rename(part_name(&self.path), &self.path))?;
        Ok(bytes)
    }
}
