//! The pixels of a rectangle, read from where they lie.
//!
//! Plain images are read row by row, each row only as far as it is needed; neighbouring rows that are needed whole come in
//! one piece. Compressed ones are read by the tiles that are touched ([`super::tile`]). Pixels stay big-endian bytes.

use super::header::Header;
use super::{Error, Source, tile};

/// What a pixel is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bitpix {
    U8,
    I16,
    I32,
    I64,
    F32,
    F64,
}

impl Bitpix {
    pub fn new(bitpix: i64) -> Option<Bitpix> {
        Some(match bitpix {
            8 => Bitpix::U8,
            16 => Bitpix::I16,
            32 => Bitpix::I32,
            64 => Bitpix::I64,
            -32 => Bitpix::F32,
            -64 => Bitpix::F64,
            _ => return None,
        })
    }

    pub fn number(self) -> i64 {
        match self {
            Bitpix::U8 => 8,
            Bitpix::I16 => 16,
            Bitpix::I32 => 32,
            Bitpix::I64 => 64,
            Bitpix::F32 => -32,
            Bitpix::F64 => -64,
        }
    }

    pub fn bytes(self) -> usize {
        self.number().unsigned_abs() as usize / 8
    }

    pub fn is_float(self) -> bool {
        self.number() < 0
    }
}

/// A rectangle of pixels, 0-based, which may stick out of the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rect {
    pub x: i64,
    pub y: i64,
    pub width: u64,
    pub height: u64,
}

impl Rect {
    /// The part on an image of this size.
    pub fn clipped(&self, width: u64, height: u64) -> Option<Rect> {
        let clip = |start: i64, length: u64, size: u64| {
            let (low, high) = (i128::from(start).max(0), (i128::from(start) + i128::from(length)).min(i128::from(size)));
            (high > low).then_some((low as i64, (high - low) as u64))
        };
        let ((x, width), (y, height)) = (clip(self.x, self.width, width)?, clip(self.y, self.height, height)?);
        Some(Rect { x, y, width, height })
    }
}

/// Where the pixels of an image are.
#[derive(Debug, Clone)]
pub enum Storage {
    Plain { offset: u64 },
    Tiled(Box<tile::Tiled>),
}

/// An image of a file: its header, as if it were not compressed, and its shape.
#[derive(Debug, Clone)]
pub struct Image {
    pub hdu: usize,
    pub header: Header,
    pub bitpix: Bitpix,
    /// Pixels along x, y and further axes.
    pub axes: Vec<u64>,
    storage: Storage,
}

impl Image {
    pub fn new(hdu: usize, header: Header, storage: Storage) -> Result<Image, String> {
        let bitpix = header.integer("BITPIX").and_then(Bitpix::new).ok_or("BITPIX is not one of 8, 16, 32, 64, -32, -64")?;
        let naxis = header.integer("NAXIS").unwrap_or(0);
        let axes = (1..=naxis).map(|n| {
            let key = format!("NAXIS{n}");
            header
                .integer(&key)
                .and_then(|n| u64::try_from(n).ok())
                .filter(|n| *n < 1 << 40)
                .ok_or_else(|| format!("{key} is not a length"))
        });
        let axes: Vec<u64> = axes.collect::<Result<_, _>>()?;
        if axes.len() < 2 || axes.contains(&0) {
            return Err("it is not an image of two axes or more".into());
        }
        Ok(Image { hdu, header, bitpix, axes, storage })
    }

    pub fn is_compressed(&self) -> bool {
        matches!(self.storage, Storage::Tiled(_))
    }

    /// How many planes the axes beyond the second make.
    pub fn planes(&self) -> u64 {
        self.axes[2..].iter().product()
    }

    /// Reads a rectangle that lies within the image, of all planes.
    pub fn read(&self, source: &Source, rect: Rect) -> Result<Pixels, Error> {
        let inside = rect.clipped(self.axes[0], self.axes[1]) == Some(rect);
        if !inside {
            return Err(Error::Wish { what: format!("{rect:?} does not lie within {:?} pixels", self.axes) });
        }
        let size = self.bitpix.bytes() as u64;
        let too_large = || Error::TooLarge { width: rect.width, height: rect.height, bytes: u64::MAX, limit_bytes: isize::MAX as u64 };
        let bytes = rect.width.checked_mul(rect.height).and_then(|n| n.checked_mul(self.planes())).and_then(|n| n.checked_mul(size));
        let bytes = bytes.and_then(|n| usize::try_from(n).ok()).ok_or_else(too_large)?;
        let bytes = match &self.storage {
            Storage::Plain { offset } => self.read_plain(source, *offset, rect, bytes)?,
            Storage::Tiled(tiled) => tiled.read(source, self, rect, bytes)?,
        };
        Ok(Pixels { bitpix: self.bitpix, width: rect.width, height: rect.height, planes: self.planes(), bytes })
    }

    fn read_plain(&self, source: &Source, offset: u64, rect: Rect, bytes: usize) -> Result<Vec<u8>, Error> {
        let size = self.bitpix.bytes() as u64;
        let (image_row, row) = (self.axes[0] * size, rect.width * size);
        let mut pixels = vec![0; bytes];
        // rows that are needed whole lie one after another
        let rows_at_once = if rect.width == self.axes[0] { rect.height } else { 1 };
        let place = |(number, piece)| {
            let first = number as u64 * rows_at_once;
            let (plane, y) = (first / rect.height, rect.y as u64 + first % rect.height);
            (offset + (plane * self.axes[1] + y) * image_row + rect.x as u64 * size, piece)
        };
        let mut pieces: Vec<(u64, &mut [u8])> = pixels.chunks_exact_mut((row * rows_at_once) as usize).enumerate().map(place).collect();
        source.read_all(&mut pieces)?;
        drop(pieces);
        Ok(pixels)
    }
}

/// Pixels of a rectangle, big-endian as in a file, plane by plane, row by row from the lowest.
#[derive(Debug, Clone, PartialEq)]
pub struct Pixels {
    pub bitpix: Bitpix,
    pub width: u64,
    pub height: u64,
    pub planes: u64,
    pub bytes: Vec<u8>,
}

impl Pixels {
    /// The pixels as numbers: scaled by BSCALE and BZERO, NaN where BLANK.
    pub fn values(&self, header: &Header) -> Vec<f32> {
        let (scale, zero) = (header.number("BSCALE").unwrap_or(1.0), header.number("BZERO").unwrap_or(0.0));
        let blank = header.integer("BLANK").filter(|_| !self.bitpix.is_float());
        let whole = |value: i64| if blank == Some(value) { f32::NAN } else { (value as f64 * scale + zero) as f32 };
        match self.bitpix {
            Bitpix::U8 => self.bytes.iter().map(|&b| whole(i64::from(b))).collect(),
            Bitpix::I16 => self.each(|b| whole(i64::from(i16::from_be_bytes(b)))),
            Bitpix::I32 => self.each(|b| whole(i64::from(i32::from_be_bytes(b)))),
            Bitpix::I64 => self.each(|b| whole(i64::from_be_bytes(b))),
            Bitpix::F32 if scale == 1.0 && zero == 0.0 => self.each(f32::from_be_bytes),
            Bitpix::F32 => self.each(|b| (f64::from(f32::from_be_bytes(b)) * scale + zero) as f32),
            Bitpix::F64 => self.each(|b| (f64::from_be_bytes(b) * scale + zero) as f32),
        }
    }

    fn each<const N: usize>(&self, value: impl Fn([u8; N]) -> f32) -> Vec<f32> {
        let (pixels, _) = self.bytes.as_chunks::<N>();
        pixels.iter().map(|bytes| value(*bytes)).collect()
    }
}
