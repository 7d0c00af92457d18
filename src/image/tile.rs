//! Tile-compressed images (FITS standard 4.0, section 10.1): the header as it was, and the tiles that a rectangle touches.
//!
//! A table has a row for each tile, whose bytes lie in the heap. RICE_1, GZIP_1, GZIP_2, PLIO_1, HCOMPRESS_1 and NOCOMPRESS
//! are known. Floats are kept as integers with a scale and a zero point for each tile; to lose no precision of faint sky,
//! a random fraction was added to each pixel, and is taken away here with the same random numbers (section 10.2).
//!
//! Tiles are decoded on all cores. Of a tile only the pixels up to the last one needed are decoded where the code allows it.

use super::file::Hdu;
use super::header::{Header, Value};
use super::read::{Bitpix, Image, Rect};
use super::{Error, Source, hcompress, plio, rice};
use rayon::prelude::*;
use std::io::Read;
use std::ops::Range;
use std::sync::LazyLock;

/// Pixels of a tile: fpack makes rows or squares; a whole 20,000 x 20,000 image as one tile is refused.
const MOST_TILE_PIXELS: u64 = 1 << 26;
/// Heap bytes that are fetched at once.
const MOST_FETCH_BYTES: u64 = 1 << 20;
/// Heap bytes between two tiles that are cheaper to read than to skip.
const GAP_BYTES: u64 = 4096;

/// How a compressed image is stored.
#[derive(Debug, Clone)]
pub struct Tiled {
    method: Method,
    /// Pixels of a tile along each axis.
    tile: Vec<u64>,
    table_start: u64,
    row_bytes: u64,
    rows: u64,
    heap_start: u64,
    heap_bytes: u64,
    compressed: Option<Column>,
    gzipped: Option<Column>,
    plain: Option<Column>,
    quantised: Option<Quantised>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Method {
    Rice { pixel_bytes: usize, block: usize },
    Gzip { shuffled: bool },
    Plio,
    Hcompress,
    None,
}

/// A column of the tile table: where it is in a row and what it holds.
#[derive(Debug, Clone, Copy)]
struct Column {
    offset: u64,
    letter: u8,
    /// Of the elements that a descriptor points at.
    element: u8,
}

/// How integers become floats.
#[derive(Debug, Clone)]
struct Quantised {
    scale: Number,
    zero: Number,
    blank: Option<Number>,
    dither: Dither,
    seed: i64,
}

/// One number for all tiles, or a column.
#[derive(Debug, Clone, Copy)]
enum Number {
    Same(f64),
    Each(Column),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Dither {
    None,
    Subtractive,
    /// As above, and exact zeros are kept.
    SubtractiveKeepsZero,
}

/// The random numbers of the standard (appendix I): Park & Miller's generator, the first ten thousand.
static RANDOM: LazyLock<Vec<f32>> = LazyLock::new(|| {
    let mut seed = 1_u64;
    let next = || {
        seed = seed * 16_807 % 2_147_483_647;
        (seed as f64 / 2_147_483_647.0) as f32
    };
    std::iter::repeat_with(next).take(10_000).collect()
});

/// The integer that stands for an exact zero with the second kind of dither.
const ZERO: i32 = -2_147_483_646;

impl Tiled {
    /// The layout of a compressed image, and the header that it had before.
    pub fn of(hdu: &Hdu) -> Result<(Header, Tiled), String> {
        let h = &hdu.header;
        let header = plain_header(h)?;
        let whole =
            |key: &str| h.integer(key).and_then(|n| u64::try_from(n).ok()).ok_or_else(|| format!("{key} is missing or not a whole number"));
        let bitpix = header.integer("BITPIX").and_then(Bitpix::new).ok_or("ZBITPIX is not a pixel type")?;
        let naxis = whole("ZNAXIS")?;
        if !(2..=999).contains(&naxis) {
            return Err(format!("ZNAXIS is {naxis}"));
        }
        let default_tile = |n: u64| if n == 1 { whole("ZNAXIS1") } else { Ok(1) };
        let tile = (1..=naxis).map(|n| {
            let (axis, key) = (whole(&format!("ZNAXIS{n}"))?, format!("ZTILE{n}"));
            let length = if h.has(&key) { whole(&key)? } else { default_tile(n)? };
            if length == 0 { Err(format!("{key} is 0")) } else { Ok(length.min(axis.max(1))) }
        });
        let tile: Vec<u64> = tile.collect::<Result<_, String>>()?;
        let pixels = tile.iter().try_fold(1_u64, |product, n| product.checked_mul(*n));
        if pixels.is_none_or(|pixels| pixels > MOST_TILE_PIXELS) {
            return Err(format!("tiles of {tile:?} pixels are larger than the limit of {MOST_TILE_PIXELS}"));
        }
        let columns = columns(h)?;
        let column = |name: &str| columns.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, column)| *column);
        let (row_bytes, rows) = (whole("NAXIS1")?, whole("NAXIS2")?);
        let heap_start = h
            .integer("THEAP")
            .map_or(Ok(row_bytes.saturating_mul(rows)), |at| u64::try_from(at).map_err(|_| "THEAP is negative".to_owned()))?;
        let heap_bytes = hdu.data_bytes.checked_sub(heap_start).ok_or("THEAP lies beyond the data")?;
        Ok((
            header,
            Tiled {
                method: Method::read(h)?,
                tile,
                table_start: hdu.data_start,
                row_bytes,
                rows,
                heap_start: hdu.data_start + heap_start,
                heap_bytes,
                compressed: column("COMPRESSED_DATA"),
                gzipped: column("GZIP_COMPRESSED_DATA"),
                plain: column("UNCOMPRESSED_DATA"),
                quantised: if bitpix.is_float() { Quantised::read(h, &column)? } else { None },
            },
        ))
    }

    /// Reads a rectangle within the image: `bytes` of all planes.
    pub fn read(&self, source: &Source, image: &Image, rect: Rect, bytes: usize) -> Result<Vec<u8>, Error> {
        let mut pixels = vec![0; bytes];
        let tiles = self.touched(&image.axes, rect);
        let fail = |tile: u64, what: String| Error::Tile { name: source.name().to_owned(), hdu: image.hdu, tile, what };
        let mut first = 0;
        while first < tiles.len() {
            let (cells, fetched) = self.fetch(source, &tiles[first..], &fail)?;
            let batch = &tiles[first..first + cells.len()];
            let decoded: Vec<(&Touched, Vec<u8>)> = batch
                .par_iter()
                .zip(&cells)
                .map(|(tile, cell)| {
                    let data = fetched.slice(cell);
                    self.decode(image, tile, tile.wanted(rect), cell, data)
                        .map(|piece| (tile, piece))
                        .map_err(|what| fail(tile.number, what))
                })
                .collect::<Result<_, _>>()?;
            for (tile, piece) in decoded {
                tile.place(&piece, rect, image, &mut pixels);
            }
            first += batch.len();
        }
        Ok(pixels)
    }

    /// The tiles that a rectangle touches, in the order of the table.
    fn touched(&self, axes: &[u64], rect: Rect) -> Vec<Touched> {
        let ranges: Vec<(u64, u64)> = axes
            .iter()
            .enumerate()
            .map(|(axis, length)| match axis {
                0 => (rect.x as u64, rect.x as u64 + rect.width),
                1 => (rect.y as u64, rect.y as u64 + rect.height),
                _ => (0, *length),
            })
            .collect();
        let mut tiles = vec![Touched { number: 0, start: Vec::new(), size: Vec::new() }];
        for axis in (0..axes.len()).rev() {
            let (length, count) = (self.tile[axis], axes[axis].div_ceil(self.tile[axis]));
            let (low, high) = (ranges[axis].0 / length, (ranges[axis].1 - 1) / length);
            let next = tiles.iter().flat_map(|tile| {
                (low..=high).map(move |n| {
                    let mut tile = tile.clone();
                    tile.number = tile.number * count + n;
                    tile.start.insert(0, n * length);
                    tile.size.insert(0, length.min(axes[axis] - n * length));
                    tile
                })
            });
            tiles = next.collect();
        }
        tiles
    }

    /// Reads the table rows and the heap pieces of as many tiles as a fetch may hold, at least one.
    fn fetch(&self, source: &Source, tiles: &[Touched], fail: &dyn Fn(u64, String) -> Error) -> Result<(Vec<Cell>, Fetched), Error> {
        let mut cells = Vec::new();
        let mut total = 0;
        let mut rows = TableRows::default();
        for (at, tile) in tiles.iter().enumerate() {
            if tile.number >= self.rows {
                return Err(fail(tile.number, format!("the table has only {} rows", self.rows)));
            }
            let row = rows.row(self, source, tiles, at)?;
            let cell = self.cell(row).map_err(|what| fail(tile.number, what))?;
            total += cell.length;
            if total > MOST_FETCH_BYTES && !cells.is_empty() {
                break;
            }
            cells.push(cell);
        }
        let fetched = Fetched::read(source, self.heap_start, &cells)?;
        Ok((cells, fetched))
    }

    /// Where the bytes of a tile lie, and its numbers.
    fn cell(&self, row: &[u8]) -> Result<Cell, String> {
        let mut found = None;
        for (kind, column) in [(Kind::Compressed, self.compressed), (Kind::Gzipped, self.gzipped), (Kind::Plain, self.plain)] {
            if let (None, Some(column)) = (&found, column) {
                let (count, start) = column.descriptor(row)?;
                found = (count > 0).then_some((kind, count.saturating_mul(column.element_bytes()), start));
            }
        }
        let Some((kind, length, start)) = found else { return Err("it has no data".into()) };
        if start.checked_add(length).is_none_or(|end| end > self.heap_bytes) {
            return Err(format!("its {length} bytes at {start} lie beyond the heap of {}", self.heap_bytes));
        }
        let number = |number: &Number| number.of(row);
        let (scale, zero, blank) = match &self.quantised {
            Some(q) => (number(&q.scale)?, number(&q.zero)?, q.blank.as_ref().map(number).transpose()?),
            None => (1.0, 0.0, None),
        };
        Ok(Cell { kind, start, length, scale, zero, blank: blank.map(|blank| blank as i64) })
    }

    /// The pixels `wanted` of a tile, big-endian in the image's type.
    fn decode(&self, image: &Image, tile: &Touched, wanted: Range<usize>, cell: &Cell, data: &[u8]) -> Result<Vec<u8>, String> {
        let count = tile.size.iter().product::<u64>() as usize;
        let size = image.bitpix.bytes();
        let cut = |bytes: &[u8]| bytes[wanted.start * size..wanted.end * size].to_vec();
        match (cell.kind, &self.quantised) {
            (Kind::Plain, _) => exact(data, count * size).map(cut),
            (Kind::Gzipped, _) => inflate(data, count, size, false).map(|bytes| cut(&bytes)),
            (Kind::Compressed, Some(quantised)) => {
                let integers = self.integers(data, count, &wanted, 4)?;
                Ok(quantised.floats(&integers, wanted.start, tile.number, cell, image.bitpix))
            }
            (Kind::Compressed, None) => match self.method {
                Method::Gzip { shuffled } => match inflate_any(data, count, size, shuffled)? {
                    (bytes, found) if found == size => Ok(cut(&bytes)),
                    (bytes, _) => Ok(narrowed(&words(&bytes)[wanted], image.bitpix)),
                },
                Method::None => exact(data, count * size).map(cut),
                _ if image.bitpix.is_float() => Err("floats that are not quantised want GZIP_1, GZIP_2 or NOCOMPRESS".into()),
                _ => Ok(narrowed(&self.integers(data, count, &wanted, size)?, image.bitpix)),
            },
        }
    }

    /// The integers `wanted` of a tile of `count`; those of gzip have `size` bytes.
    fn integers(&self, data: &[u8], count: usize, wanted: &Range<usize>, size: usize) -> Result<Vec<i32>, String> {
        let mut integers = match self.method {
            // from the first on, one after the other: what comes after those wanted is left alone
            Method::Rice { pixel_bytes, block } => rice::decode(data, wanted.end, pixel_bytes, block)?,
            Method::Plio => plio::decode(data, count)?,
            Method::Hcompress => hcompress::decode(data, count)?,
            Method::Gzip { shuffled } => words(&inflate(data, count, size, shuffled)?),
            Method::None => words(exact(data, count * 4)?),
        };
        integers.truncate(wanted.end);
        integers.drain(..wanted.start);
        Ok(integers)
    }
}

/// A tile and the pixels that it covers.
#[derive(Debug, Clone)]
struct Touched {
    /// Row of the table, 0-based.
    number: u64,
    start: Vec<u64>,
    size: Vec<u64>,
}

impl Touched {
    /// What the tile and a rectangle share along the first two axes: left and right, low and high.
    fn shared(&self, rect: Rect) -> [u64; 4] {
        let (left, right) = (self.start[0].max(rect.x as u64), (self.start[0] + self.size[0]).min(rect.x as u64 + rect.width));
        let (low, high) = (self.start[1].max(rect.y as u64), (self.start[1] + self.size[1]).min(rect.y as u64 + rect.height));
        [left, right, low, high]
    }

    /// The number of a pixel in the tile, of its plane `k`.
    fn number_of(&self, k: u64, x: u64, y: u64) -> u64 {
        (k * self.size[1] + y - self.start[1]) * self.size[0] + x - self.start[0]
    }

    /// From the first to the last of its pixels that are in the rectangle.
    fn wanted(&self, rect: Rect) -> Range<usize> {
        let [left, right, low, high] = self.shared(rect);
        let planes_here: u64 = self.size[2..].iter().product();
        self.number_of(0, left, low) as usize..self.number_of(planes_here - 1, right - 1, high - 1) as usize + 1
    }

    /// Copies what a tile has of the rectangle, out of the pixels `wanted` of it.
    fn place(&self, piece: &[u8], rect: Rect, image: &Image, pixels: &mut [u8]) {
        let bytes = image.bitpix.bytes() as u64;
        let [left, right, low, high] = self.shared(rect);
        let first = self.number_of(0, left, low);
        let planes_here: u64 = self.size[2..].iter().product();
        for k in 0..planes_here {
            // the plane of the image: the tile's own index on each further axis, put together
            let (mut rest, mut plane, mut stride) = (k, 0, 1);
            for axis in 2..self.size.len() {
                plane += (self.start[axis] + rest % self.size[axis]) * stride;
                rest /= self.size[axis];
                stride *= image.axes[axis];
            }
            for y in low..high {
                let from = (self.number_of(k, left, y) - first) * bytes;
                let to = ((plane * rect.height + y - rect.y as u64) * rect.width + left - rect.x as u64) * bytes;
                let length = (right - left) * bytes;
                pixels[to as usize..(to + length) as usize].copy_from_slice(&piece[from as usize..(from + length) as usize]);
            }
        }
    }
}

/// A tile's bytes in the heap.
#[derive(Debug, Clone)]
struct Cell {
    kind: Kind,
    start: u64,
    length: u64,
    scale: f64,
    zero: f64,
    blank: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Compressed,
    Gzipped,
    Plain,
}

/// Rows of the tile table, fetched in runs.
#[derive(Default)]
struct TableRows {
    first: u64,
    bytes: Vec<u8>,
}

impl TableRows {
    /// Bytes of table rows that are fetched at once.
    const MOST_BYTES: u64 = 64 << 10;

    fn row(&mut self, tiled: &Tiled, source: &Source, tiles: &[Touched], at: usize) -> Result<&[u8], Error> {
        let (number, width) = (tiles[at].number, tiled.row_bytes);
        let held = self.bytes.len() as u64 / width.max(1);
        if number < self.first || number >= self.first + held {
            // tiles that follow closely come with it
            let most = (Self::MOST_BYTES / width.max(1)).max(1);
            let near =
                tiles[at..].iter().map(|tile| tile.number).take_while(|n| (number..number + most).contains(n)).last().unwrap_or(number);
            let end = (near + 1).min(tiled.rows);
            self.first = number;
            self.bytes = vec![0; ((end - number) * width) as usize];
            source.read_at(tiled.table_start + number * width, &mut self.bytes)?;
        }
        let from = ((number - self.first) * width) as usize;
        Ok(&self.bytes[from..from + width as usize])
    }
}

/// Heap bytes, neighbours in one read.
struct Fetched {
    /// (start in the heap, bytes), by start.
    runs: Vec<(u64, Vec<u8>)>,
}

impl Fetched {
    fn read(source: &Source, heap_start: u64, cells: &[Cell]) -> Result<Fetched, Error> {
        let mut pieces: Vec<(u64, u64)> = cells.iter().map(|cell| (cell.start, cell.start + cell.length)).collect();
        pieces.sort_unstable();
        let mut merged: Vec<(u64, u64)> = Vec::new();
        for (start, end) in pieces {
            match merged.last_mut() {
                Some(last) if start <= last.1 + GAP_BYTES => last.1 = last.1.max(end),
                _ => merged.push((start, end)),
            }
        }
        let mut runs: Vec<(u64, Vec<u8>)> = merged.into_iter().map(|(start, end)| (start, vec![0; (end - start) as usize])).collect();
        let mut pieces: Vec<(u64, &mut [u8])> = runs.iter_mut().map(|(start, bytes)| (heap_start + *start, bytes.as_mut_slice())).collect();
        source.read_all(&mut pieces)?;
        drop(pieces);
        Ok(Fetched { runs })
    }

    fn slice(&self, cell: &Cell) -> &[u8] {
        let at = self.runs.partition_point(|(start, _)| *start <= cell.start) - 1;
        let (start, bytes) = &self.runs[at];
        let from = (cell.start - start) as usize;
        &bytes[from..from + cell.length as usize]
    }
}

impl Method {
    fn read(h: &Header) -> Result<Method, String> {
        let parameter = |name: &str| {
            let n = (1..=99).find(|n| h.text(&format!("ZNAME{n}")).is_some_and(|found| found.trim().eq_ignore_ascii_case(name)))?;
            h.integer(&format!("ZVAL{n}"))
        };
        let name = h.text("ZCMPTYPE").ok_or("ZCMPTYPE is missing")?;
        Ok(match name.trim() {
            "RICE_1" | "RICE_ONE" => {
                let pixel_bytes = parameter("BYTEPIX").and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(4);
                let block = parameter("BLOCKSIZE").unwrap_or(32);
                Method::Rice {
                    pixel_bytes,
                    block: usize::try_from(block).ok().filter(|n| (1..=4096).contains(n)).ok_or("BLOCKSIZE is absurd")?,
                }
            }
            "GZIP_1" => Method::Gzip { shuffled: false },
            "GZIP_2" => Method::Gzip { shuffled: true },
            "PLIO_1" => Method::Plio,
            "HCOMPRESS_1" if parameter("SMOOTH").unwrap_or(0) == 0 => Method::Hcompress,
            "HCOMPRESS_1" => return Err("HCOMPRESS_1 with smoothing is not read".into()),
            "NOCOMPRESS" => Method::None,
            other => return Err(format!("ZCMPTYPE {other:?} is not one of RICE_1, GZIP_1, GZIP_2, PLIO_1, HCOMPRESS_1, NOCOMPRESS")),
        })
    }
}

impl Quantised {
    /// `None` when floats are stored as they are.
    fn read(h: &Header, column: &dyn Fn(&str) -> Option<Column>) -> Result<Option<Quantised>, String> {
        let number = |name: &str| column(name).map(Number::Each).or_else(|| h.number(name).map(Number::Same));
        let method = h.text("ZQUANTIZ").unwrap_or_else(|| "NO_DITHER".into());
        let dither = match method.trim() {
            "NONE" => return Ok(None),
            "NO_DITHER" => Dither::None,
            "SUBTRACTIVE_DITHER_1" => Dither::Subtractive,
            "SUBTRACTIVE_DITHER_2" => Dither::SubtractiveKeepsZero,
            other => return Err(format!("ZQUANTIZ {other:?} is not known")),
        };
        let Some(scale) = number("ZSCALE") else { return Ok(None) };
        let zero = number("ZZERO").unwrap_or(Number::Same(0.0));
        Ok(Some(Quantised { scale, zero, blank: number("ZBLANK"), dither, seed: h.integer("ZDITHER0").unwrap_or(1) }))
    }

    /// The floats of integers of a tile, those from its pixel `first` on.
    fn floats(&self, integers: &[i32], mut first: usize, tile: u64, cell: &Cell, bitpix: Bitpix) -> Vec<u8> {
        let random = RANDOM.as_slice();
        let count = random.len();
        // tiles count from 1, and so does the seed
        let mut start = (i128::from(tile) + i128::from(self.seed) - 1).rem_euclid(count as i128) as usize;
        let mut next = (random[start] * 500.0) as usize;
        while first >= count - next {
            first -= count - next;
            start = (start + 1) % count;
            next = (random[start] * 500.0) as usize;
        }
        next += first;
        let mut bytes = Vec::with_capacity(integers.len() * bitpix.bytes());
        for &integer in integers {
            let value = if cell.blank == Some(i64::from(integer)) {
                f64::NAN
            } else if self.dither == Dither::SubtractiveKeepsZero && integer == ZERO {
                0.0
            } else if self.dither == Dither::None {
                f64::from(integer) * cell.scale + cell.zero
            } else {
                (f64::from(integer) - f64::from(random[next]) + 0.5) * cell.scale + cell.zero
            };
            match bitpix {
                Bitpix::F64 => bytes.extend_from_slice(&value.to_be_bytes()),
                _ => bytes.extend_from_slice(&(value as f32).to_be_bytes()),
            }
            next += 1;
            if next == count {
                start = (start + 1) % count;
                next = (random[start] * 500.0) as usize;
            }
        }
        bytes
    }
}

impl Number {
    fn of(&self, row: &[u8]) -> Result<f64, String> {
        match self {
            Number::Same(value) => Ok(*value),
            Number::Each(column) => column.number(row),
        }
    }
}

impl Column {
    fn bytes<const N: usize>(&self, row: &[u8], skip: usize) -> Result<[u8; N], String> {
        let at = self.offset as usize + skip;
        row.get(at..at + N).and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| "a column lies beyond its row".to_owned())
    }

    fn number(&self, row: &[u8]) -> Result<f64, String> {
        Ok(match self.letter {
            b'D' => f64::from_be_bytes(self.bytes(row, 0)?),
            b'E' => f64::from(f32::from_be_bytes(self.bytes(row, 0)?)),
            b'J' => f64::from(i32::from_be_bytes(self.bytes(row, 0)?)),
            b'I' => f64::from(i16::from_be_bytes(self.bytes(row, 0)?)),
            b'K' => i64::from_be_bytes(self.bytes(row, 0)?) as f64,
            other => return Err(format!("a number in a column of form {}", other as char)),
        })
    }

    /// Count and start of the elements that a row points at.
    fn descriptor(&self, row: &[u8]) -> Result<(u64, u64), String> {
        let (count, start) = match self.letter {
            b'P' => (i64::from(i32::from_be_bytes(self.bytes(row, 0)?)), i64::from(i32::from_be_bytes(self.bytes(row, 4)?))),
            b'Q' => (i64::from_be_bytes(self.bytes(row, 0)?), i64::from_be_bytes(self.bytes(row, 8)?)),
            other => return Err(format!("data in a column of form {}", other as char)),
        };
        match (u64::try_from(count), u64::try_from(start)) {
            (Ok(count), Ok(start)) => Ok((count, start)),
            _ => Err(format!("its descriptor says {count} elements at {start}")),
        }
    }

    fn element_bytes(&self) -> u64 {
        match self.element {
            b'I' => 2,
            b'J' | b'E' => 4,
            b'K' | b'D' => 8,
            _ => 1,
        }
    }
}

/// Names and places of the columns of the tile table.
fn columns(h: &Header) -> Result<Vec<(String, Column)>, String> {
    let fields = h.integer("TFIELDS").filter(|n| (0..=999).contains(n)).ok_or("TFIELDS is missing or absurd")?;
    let mut offset = 0_u64;
    let mut columns = Vec::new();
    for n in 1..=fields {
        let form = h.text(&format!("TFORM{n}")).ok_or_else(|| format!("TFORM{n} is missing"))?;
        let form = form.trim();
        let digits = form.bytes().take_while(u8::is_ascii_digit).count();
        let repeat: u64 = if digits == 0 { 1 } else { form[..digits].parse().map_err(|_| format!("TFORM{n} is {form:?}"))? };
        let letter = *form.as_bytes().get(digits).ok_or_else(|| format!("TFORM{n} is {form:?}"))?;
        let element = form.as_bytes().get(digits + 1).copied().unwrap_or(b'B');
        let width = match letter {
            b'X' => repeat.div_ceil(8),
            b'L' | b'A' | b'B' => repeat,
            b'I' => repeat.saturating_mul(2),
            b'J' | b'E' => repeat.saturating_mul(4),
            b'K' | b'D' | b'P' | b'C' => repeat.saturating_mul(8),
            b'Q' | b'M' => repeat.saturating_mul(16),
            _ => return Err(format!("TFORM{n} is {form:?}")),
        };
        columns.push((h.text(&format!("TTYPE{n}")).unwrap_or_default().trim().to_owned(), Column { offset, letter, element }));
        offset = offset.saturating_add(width);
    }
    if Some(offset) != h.integer("NAXIS1").and_then(|n| u64::try_from(n).ok()) {
        return Err(format!("the columns have {offset} bytes, NAXIS1 says {}", h.text("NAXIS1").unwrap_or_default()));
    }
    Ok(columns)
}

/// The header as it was before compression (section 10.1.3).
fn plain_header(h: &Header) -> Result<Header, String> {
    let mut header = h.clone();
    let structure = |key: &str| {
        let stem = key.trim_end_matches(|c: char| c.is_ascii_digit());
        matches!(
            stem,
            "SIMPLE"
                | "XTENSION"
                | "BITPIX"
                | "NAXIS"
                | "PCOUNT"
                | "GCOUNT"
                | "EXTEND"
                | "TFIELDS"
                | "TTYPE"
                | "TFORM"
                | "TUNIT"
                | "TDIM"
                | "TNULL"
                | "TSCAL"
                | "TZERO"
                | "TDISP"
                | "THEAP"
                | "ZIMAGE"
                | "ZCMPTYPE"
                | "ZBITPIX"
                | "ZNAXIS"
                | "ZTILE"
                | "ZNAME"
                | "ZVAL"
                | "ZQUANTIZ"
                | "ZMASKCMP"
                | "ZSIMPLE"
                | "ZTENSION"
                | "ZEXTEND"
                | "ZBLOCKED"
                | "ZPCOUNT"
                | "ZGCOUNT"
                | "ZHECKSUM"
                | "ZDATASUM"
                | "ZSCALE"
                | "ZZERO"
                | "ZBLANK"
                | "CHECKSUM"
                | "DATASUM"
        ) || key == "ZDITHER0"
    };
    header.remove(structure);
    if header.text("EXTNAME").is_some_and(|name| name.trim() == "COMPRESSED_IMAGE") {
        header.remove(|key| key == "EXTNAME");
    }
    let naxis = h.integer("ZNAXIS").filter(|n| (0..=999).contains(n)).ok_or("ZNAXIS is missing")?;
    let length = |n: i64| {
        let length = h.integer(&format!("ZNAXIS{n}")).ok_or_else(|| format!("ZNAXIS{n} is missing"))?;
        Ok::<_, String>((format!("NAXIS{n}"), Value::Integer(length)))
    };
    let lengths = (1..=naxis).map(length).collect::<Result<Vec<_>, _>>()?;
    let mut cards = vec![
        ("XTENSION", "IMAGE".into(), "Image extension"),
        ("BITPIX", Value::Integer(h.integer("ZBITPIX").ok_or("ZBITPIX is missing")?), "array data type"),
        ("NAXIS", Value::Integer(naxis), "number of array dimensions"),
    ];
    cards.extend(lengths.iter().map(|(key, length)| (key.as_str(), length.clone(), "")));
    header.lead(&cards);
    Ok(header)
}

fn exact(bytes: &[u8], length: usize) -> Result<&[u8], String> {
    if bytes.len() == length { Ok(bytes) } else { Err(format!("it has {} bytes, wanted {length}", bytes.len())) }
}

fn words(bytes: &[u8]) -> Vec<i32> {
    bytes.as_chunks::<4>().0.iter().map(|word| i32::from_be_bytes(*word)).collect()
}

/// Inflates a tile to exactly `count` pixels of `size` bytes.
fn inflate(data: &[u8], count: usize, size: usize, shuffled: bool) -> Result<Vec<u8>, String> {
    match inflate_any(data, count, size, shuffled)? {
        (bytes, found) if found == size => Ok(bytes),
        (bytes, _) => Err(format!("it has {} bytes, wanted {}", bytes.len(), count * size)),
    }
}

/// Inflates a tile and tells the bytes of a pixel: old writers kept small integers in four. Shuffled tiles have all first
/// bytes first.
fn inflate_any(data: &[u8], count: usize, size: usize, shuffled: bool) -> Result<(Vec<u8>, usize), String> {
    let most = count * size.max(4);
    let mut bytes = Vec::with_capacity(count * size);
    let read = flate2::read::MultiGzDecoder::new(data).take(most as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|error| format!("corrupt gzip: {error}"))?;
    let size = if bytes.len() == count * 4 { 4 } else { size };
    exact(&bytes, count * size)?;
    if !shuffled || size == 1 {
        return Ok((bytes, size));
    }
    let mut pixels = vec![0; bytes.len()];
    for (k, plane) in bytes.chunks_exact(count.max(1)).enumerate() {
        for (pixel, byte) in pixels.chunks_exact_mut(size).zip(plane) {
            pixel[k] = *byte;
        }
    }
    Ok((pixels, size))
}

/// Integers as big-endian pixels of the image's type.
fn narrowed(integers: &[i32], bitpix: Bitpix) -> Vec<u8> {
    match bitpix {
        Bitpix::U8 => integers.iter().map(|&n| n as u8).collect(),
        Bitpix::I16 => integers.iter().flat_map(|&n| (n as i16).to_be_bytes()).collect(),
        Bitpix::I64 => integers.iter().flat_map(|&n| i64::from(n).to_be_bytes()).collect(),
        _ => integers.iter().flat_map(|&n| n.to_be_bytes()).collect(),
    }
}
