//! A tile: 512 x 512 values of a HEALPix cell, as FITS, halved for its parent, as a picture.
//!
//! A cell's own axes run from its south corner to the east (x) and to the west (y). In a tile's file the columns are y, and the rows run
//! down x: the first row of a FITS tile has the highest x, as has the last line of a picture (IVOA HiPS 1.0, section 4.2.1, and what its
//! readers do: the four children of a cell are the quarters top left, bottom left, top right and bottom right of its picture).

use super::{Error, at};
use crate::image::header::{BLOCK, Value};
use crate::image::{Curve, FitsFile, Header, Rect, Select, gzip};
use std::fs;
use std::path::{Path, PathBuf};

/// Pixels along a side.
pub const SIDE: usize = 512;
/// log2 of it.
pub const SIDE_ORDER: u8 = 9;

/// Values row by row as in a FITS file; NaN where there are none.
#[derive(Debug, Clone, PartialEq)]
pub struct Tile(pub Vec<f32>);

/// Where a tile lies below the folder of its HiPS, without the ending.
pub fn path(out: &Path, order: u8, pix: u64) -> PathBuf {
    out.join(format!("Norder{order}/Dir{}/Npix{pix}", pix / 10_000 * 10_000))
}

impl Tile {
    pub fn empty() -> Tile {
        Tile(vec![f32::NAN; SIDE * SIDE])
    }

    /// The place of the cell's pixel (x, y) among the values.
    pub fn index(x: usize, y: usize) -> usize {
        (SIDE - 1 - x) * SIDE + y
    }

    /// Takes the means of 2 x 2 pixels of the child of this number as the quarter that it is; values that are missing do not count.
    pub fn take_child(&mut self, number: u64, child: &Tile) {
        const HALF: usize = SIDE / 2;
        // x is the lower bit; high x are the first rows
        let (row, column) = (if number & 1 == 1 { 0 } else { HALF }, if number & 2 == 2 { HALF } else { 0 });
        for y in 0..HALF {
            for x in 0..HALF {
                self.0[(row + y) * SIDE + column + x] = child.mean(2 * x, 2 * y, 2);
            }
        }
    }

    /// The mean of a square of values.
    fn mean(&self, column: usize, row: usize, side: usize) -> f32 {
        let (mut sum, mut count) = (0.0, 0);
        for line in self.0.chunks_exact(SIDE).skip(row).take(side) {
            for value in line[column..column + side].iter().filter(|value| !value.is_nan()) {
                (sum, count) = (sum + f64::from(*value), count + 1);
            }
        }
        if count == 0 { f32::NAN } else { (sum / f64::from(count)) as f32 }
    }

    /// The tile on `side` x `side` pixels, which divides its own side.
    pub fn thumbnail(&self, side: usize) -> Vec<f32> {
        let step = SIDE / side;
        (0..side * side).map(|k| self.mean(k % side * step, k / side * step, step)).collect()
    }

    pub fn write(&self, file: &Path, order: u8, pix: u64, unit: Option<&str>) -> Result<(), Error> {
        let mut header = image_header(SIDE, SIDE);
        header.set("ORDER", Value::Integer(order.into()), "HEALPix order of the tile");
        header.set("NPIX", Value::Integer(pix as i64), "its number, NESTED");
        if let Some(unit) = unit {
            header.set("BUNIT", unit.into(), "");
        }
        whole(file, &fits(header, &self.0))
    }

    pub fn read(file: &Path) -> Result<Tile, Error> {
        // a tile is never gzipped
        let mut fits = FitsFile::open(file, &gzip::Cache::new("", 0))?;
        let image = fits.image(&Select::First)?;
        let side = SIDE as u64;
        if image.axes != [side, side] {
            let what = format!("{} is no tile of ours: it has {:?} pixels; remove it", file.display(), image.axes);
            return Err(Error::Wish { what });
        }
        let pixels = image.read(fits.source(), Rect { x: 0, y: 0, width: side, height: side })?;
        Ok(Tile(pixels.values(&image.header)))
    }
}

/// The header of an image of floats.
pub fn image_header(width: usize, height: usize) -> Header {
    let mut header = Header::default();
    header.set("SIMPLE", Value::Logical(true), "conforms to FITS standard");
    header.set("BITPIX", Value::Integer(-32), "array data type");
    header.set("NAXIS", Value::Integer(2), "number of array dimensions");
    header.set("NAXIS1", Value::Integer(width as i64), "");
    header.set("NAXIS2", Value::Integer(height as i64), "");
    header
}

/// A FITS file of these values.
pub fn fits(header: Header, values: &[f32]) -> Vec<u8> {
    let mut bytes = header.bytes();
    bytes.reserve(values.len() * 4 + BLOCK);
    values.iter().for_each(|value| bytes.extend_from_slice(&value.to_be_bytes()));
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    bytes
}

/// Black, white, and what is between.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Greys {
    pub black: f64,
    pub white: f64,
    pub curve: Curve,
}

impl Greys {
    /// A PNG of values that are given row by row from the bottom: grey, and transparent where there is none.
    pub fn png(self, values: &[f32], width: usize) -> Result<Vec<u8>, Error> {
        let mut pixels = Vec::with_capacity(values.len() * 2);
        for line in values.chunks_exact(width).rev() {
            for value in line {
                let t = ((f64::from(*value) - self.black) / (self.white - self.black)).clamp(0.0, 1.0);
                // NaN becomes 0
                pixels.extend_from_slice(&[(self.curve.at(t) * 255.0).round() as u8, if value.is_nan() { 0 } else { 255 }]);
            }
        }
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width as u32, (values.len() / width) as u32);
        encoder.set_color(png::ColorType::GrayscaleAlpha);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_compression(png::Compression::Fast);
        let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(&pixels));
        written.map_err(|error| Error::Wish { what: format!("cannot encode a picture: {error}") })?;
        Ok(bytes)
    }
}

/// Writes a file that is there whole or not at all, its folder too.
pub fn whole(file: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut part = file.as_os_str().to_owned();
    part.push(".part");
    let folder = file.parent().unwrap_or(file);
    at("make", folder, fs::create_dir_all(folder))?;
    at("write", file, fs::write(&part, bytes).and_then(|()| fs::rename(&part, file)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_are_the_quarters_that_readers_expect() {
        let of = |value: f32| Tile(vec![value; SIDE * SIDE]);
        let mut parent = Tile::empty();
        (0..3).for_each(|number| parent.take_child(number, &of(number as f32)));
        let (first, last) = (&parent.0[..SIDE], &parent.0[SIDE * (SIDE - 1)..]);
        // the last row of a FITS tile is the top of its picture
        assert_eq!((last[0], first[0], last[SIDE - 1]), (0.0, 1.0, 2.0));
        assert!(first[SIDE - 1].is_nan());
        assert_eq!(Tile::index(0, 0), SIDE * (SIDE - 1));
        assert_eq!(Tile::index(SIDE - 1, SIDE - 1), SIDE - 1);
    }

    #[test]
    fn missing_values_do_not_count_in_means() {
        let mut tile = Tile::empty();
        (tile.0[0], tile.0[SIDE + 1]) = (1.0, 4.0);
        assert_eq!(tile.mean(0, 0, 2), 2.5);
        assert_eq!(tile.thumbnail(64)[0], 2.5);
        assert!(tile.thumbnail(64)[1].is_nan());
    }
}
