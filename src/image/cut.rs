//! A piece of an image as a FITS file of its own.
//!
//! The pixels come into the primary HDU as they are, to the bit. Every WCS of the header moves with them (CRPIX of the main
//! one and of A to Z, IRAF's LTV, the plates' CNPIX), SIP and TPV hang on CRPIX, lookup tables are cut along and follow as
//! extensions. All other cards stay, those of the primary header that the extension inherits too; `CUTOUT` tells the section of
//! the source, `DATASUM` and `CHECKSUM` are those of the FITS standard (4.0, section 4.4.2.7 and appendix J).

use super::file::{FitsFile, Select};
use super::header::{BLOCK, CARD, Header, Value};
use super::read::{Bitpix, Image, Pixels, Rect};
use super::wcs::{Lookup, Wcs};
use super::{Error, wcs};
use crate::sky::Region;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Which piece. Angles in degrees, positions ICRS.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    /// A rectangle along the pixel axes about a position: sizes on the sky, rounded to whole pixels.
    Frame { ra_deg: f64, dec_deg: f64, width_deg: f64, height_deg: f64 },
    /// The smallest rectangle of pixels about a region of the sky.
    Region(Region),
    /// The same about all positions between two meridians (from west to east) and two parallels.
    Range { ra_deg: [f64; 2], dec_deg: [f64; 2] },
    /// Pixels of the image.
    Pixels(Rect),
}

impl std::fmt::Display for Piece {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Piece::Frame { ra_deg, dec_deg, width_deg, height_deg } => write!(f, "FRAME {ra_deg} {dec_deg} {width_deg} {height_deg}"),
            Piece::Region(Region::Circle { ra_deg, dec_deg, radius_deg }) => write!(f, "CIRCLE {ra_deg} {dec_deg} {radius_deg}"),
            Piece::Region(Region::Box { ra_deg, dec_deg, width_deg, height_deg }) => {
                write!(f, "BOX {ra_deg} {dec_deg} {width_deg} {height_deg}")
            }
            Piece::Region(Region::Polygon(vertices)) => {
                write!(f, "POLYGON")?;
                vertices.iter().try_for_each(|(ra_deg, dec_deg)| write!(f, " {ra_deg} {dec_deg}"))
            }
            Piece::Range { ra_deg: [west, east], dec_deg: [south, north] } => write!(f, "RANGE {west} {east} {south} {north}"),
            Piece::Pixels(Rect { x, y, width, height }) => {
                write!(f, "PIXELS {}:{} {}:{}", x + 1, i128::from(*x) + i128::from(*width), y + 1, i128::from(*y) + i128::from(*height))
            }
        }
    }
}

/// How to cut.
#[derive(Debug, Clone)]
pub struct Options {
    /// Give the whole frame, filled with NaN (integers: BLANK) beyond the image's edge, instead of what is there.
    pub pad: bool,
    /// Other images of the same size in the file (weights, data quality) to cut along as extensions.
    pub planes: Vec<Select>,
    /// The most bytes of pixels.
    pub limit_bytes: u64,
    /// What DATE is to say, `2026-01-31T12:00:00`.
    pub date: String,
    /// Further cards, such as who served it.
    pub cards: Vec<(String, Value, String)>,
}

/// A FITS file in pieces, and what it holds.
#[derive(Debug, Clone)]
pub struct Cutout {
    /// The file's bytes, in order; pixels are not copied once more.
    pub parts: Vec<Vec<u8>>,
    /// The rectangle in pixels of the source.
    pub rect: Rect,
    /// The part of it that the image covers.
    pub covered: Rect,
}

impl Cutout {
    pub fn length(&self) -> u64 {
        self.parts.iter().map(|part| part.len() as u64).sum()
    }

    pub fn write(&self, out: &mut impl std::io::Write) -> std::io::Result<()> {
        self.parts.iter().try_for_each(|part| out.write_all(part))
    }
}

/// Cuts a piece out of an image of a file.
pub fn cut(file: &mut FitsFile, select: &Select, piece: &Piece, options: &Options) -> Result<Cutout, Error> {
    let image = file.image(select)?;
    let rect = place(file, &image, piece)?;
    let covered = rect.clipped(image.axes[0], image.axes[1]).ok_or_else(|| outside(file, piece))?;
    let rect = if options.pad { rect } else { covered };
    let others = options.planes.iter().map(|select| other(file, &image, select)).collect::<Result<Vec<_>, _>>()?;
    limited(rect, std::iter::once(&image).chain(&others).map(AsRef::as_ref), options.limit_bytes)?;
    let mut header = piece_header(file, &image, rect);
    let tables = tables(file, &image, rect);
    let planes = others.iter().map(|other| plane(file, other, rect, covered)).collect::<Result<Vec<_>, _>>()?;
    let pixels = image.read(file.source(), covered)?;
    let pixels = framed(pixels, &mut header, rect, covered)?;
    provenance(&mut header, file, &image, rect, piece, options);
    let mut parts = Vec::new();
    primary(&mut parts, header, pixels, &image.axes, !tables.is_empty() || !planes.is_empty());
    for (header, pixels, axes) in planes {
        extension(&mut parts, header, pixels, &axes);
    }
    for (header, pixels) in tables {
        let axes = [pixels.width, pixels.height];
        extension(&mut parts, header, pixels, &axes);
    }
    Ok(Cutout { parts, rect, covered })
}

fn outside(file: &FitsFile, piece: &Piece) -> Error {
    Error::Outside { name: file.source().name().to_owned(), wish: piece.to_string() }
}

/// All that is read counts together.
fn limited<'a>(rect: Rect, images: impl Iterator<Item = &'a Image>, limit_bytes: u64) -> Result<(), Error> {
    let pixels = u128::from(rect.width) * u128::from(rect.height);
    let bytes: u128 = images.map(|image| pixels * u128::from(image.planes()) * image.bitpix.bytes() as u128).sum();
    let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
    if bytes > limit_bytes { Err(Error::TooLarge { width: rect.width, height: rect.height, bytes, limit_bytes }) } else { Ok(()) }
}

/// The rectangle of pixels that a piece means; it may stick out of the image, but not miss it.
pub fn place(file: &mut FitsFile, image: &Image, piece: &Piece) -> Result<Rect, Error> {
    if let Piece::Pixels(rect) = piece {
        return Ok(*rect);
    }
    let wcs = file.wcs(image, ' ')?;
    let size = [image.axes[0], image.axes[1]];
    let found = match piece {
        Piece::Frame { ra_deg, dec_deg, width_deg, height_deg } => {
            let fine = ra_deg.is_finite() && (-90.0..=90.0).contains(dec_deg) && *width_deg > 0.0 && *height_deg > 0.0;
            if !fine || !width_deg.is_finite() || !height_deg.is_finite() {
                return Err(Error::Wish { what: format!("{piece}: wanted a position on the sky and sizes above 0, in degrees") });
            }
            frame(&wcs, [*ra_deg, *dec_deg], [*width_deg, *height_deg])
        }
        Piece::Region(region) => {
            let shape = region.prepare().map_err(|error| Error::Wish { what: error.to_string() })?;
            around(&wcs, size, &outline(region), |ra, dec| shape.contains(ra, dec))
        }
        Piece::Range { ra_deg, dec_deg } => {
            let range = Range::new(*ra_deg, *dec_deg)
                .ok_or_else(|| Error::Wish { what: format!("{piece}: wanted two right ascensions and two declinations, each rising") })?;
            around(&wcs, size, &range.outline(), |ra, dec| range.contains(ra, dec))
        }
        Piece::Pixels(rect) => Some(*rect),
    };
    found.filter(|rect| rect.clipped(size[0], size[1]).is_some()).ok_or_else(|| outside(file, piece))
}

/// About a position, as many whole pixels as the sizes have; an even number of them lies about the nearest pixel border,
/// an odd one about the nearest pixel.
fn frame(wcs: &Wcs, [ra_deg, dec_deg]: [f64; 2], size_deg: [f64; 2]) -> Option<Rect> {
    let centre = at(wcs, ra_deg, dec_deg)?;
    let scales = wcs.scales_deg();
    let side = |k: usize| {
        let length = (size_deg[k] / scales[k]).round().max(1.0);
        let start = (centre[k] - 1.0 - length / 2.0).ceil();
        (length < 1e9 && start.abs() < 1e15).then_some((start as i64, length as u64))
    };
    let ((x, width), (y, height)) = (side(0)?, side(1)?);
    Some(Rect { x, y, width, height })
}

/// The pixel of a position, if it is the one: distortions may lead far positions back onto the image.
fn at(wcs: &Wcs, ra_deg: f64, dec_deg: f64) -> Option<[f64; 2]> {
    let pixel = wcs.sky_to_pixel(ra_deg, dec_deg)?;
    let [ra, dec] = wcs.pixel_to_sky(pixel[0], pixel[1])?;
    let apart = wcs::frame::unit(ra, dec).into_iter().zip(wcs::frame::unit(ra_deg, dec_deg)).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
    (apart.sqrt().to_degrees() < 1e-3 * wcs.scales_deg()[0].max(1e-7)).then_some(pixel)
}

/// The rectangle about what an outline encloses. Where parts of the outline are not on the projection, the rectangle is
/// that of what lies on the image.
fn around(wcs: &Wcs, [nx, ny]: [u64; 2], outline: &[[f64; 2]], contains: impl Fn(f64, f64) -> bool) -> Option<Rect> {
    let is_on = |p: &[f64; 2]| (0.5..nx as f64 + 0.5).contains(&p[0]) && (0.5..ny as f64 + 0.5).contains(&p[1]);
    let seen: Vec<[f64; 2]> = outline.iter().filter_map(|[ra, dec]| at(wcs, *ra, *dec)).collect();
    let border = border(nx, ny);
    let held: Vec<[f64; 2]> =
        border.into_iter().filter(|[x, y]| wcs.pixel_to_sky(*x, *y).is_some_and(|[ra, dec]| contains(ra, dec))).collect();
    let on: Vec<[f64; 2]> = seen.iter().copied().filter(is_on).collect();
    if on.is_empty() && held.is_empty() {
        return None;
    }
    let points = if seen.len() == outline.len() { seen } else { [on, held].concat() };
    let side = |k: usize| {
        let low = points.iter().map(|p| p[k]).fold(f64::INFINITY, f64::min);
        let high = points.iter().map(|p| p[k]).fold(f64::NEG_INFINITY, f64::max);
        // pixel n reaches from n - 0.5 to n + 0.5
        let (first, last) = ((low - 0.5).floor(), (high - 0.5).floor());
        (first.abs() < 1e15 && last - first < 1e9).then_some((first as i64, (last - first) as u64 + 1))
    };
    let ((x, width), (y, height)) = (side(0)?, side(1)?);
    Some(Rect { x, y, width, height })
}

/// Points on the image's edge.
fn border(nx: u64, ny: u64) -> Vec<[f64; 2]> {
    const STEPS: usize = 128;
    let (nx, ny) = (nx as f64, ny as f64);
    let sides = (0..=STEPS).flat_map(|k| {
        let t = k as f64 / STEPS as f64;
        let (x, y) = (0.5 + t * nx, 0.5 + t * ny);
        // just within, so that the last pixel counts
        [[x.min(nx + 0.499), 0.5], [x.min(nx + 0.499), ny + 0.499], [0.5, y.min(ny + 0.499)], [nx + 0.499, y.min(ny + 0.499)]]
    });
    sides.collect()
}

/// Points along the edge of a region, closely.
fn outline(region: &Region) -> Vec<[f64; 2]> {
    match region {
        Region::Circle { ra_deg, dec_deg, radius_deg } => circle([*ra_deg, *dec_deg], *radius_deg),
        Region::Box { ra_deg, dec_deg, width_deg, height_deg } => {
            let (x, y) = ((width_deg / 2.0).to_radians().tan(), (height_deg / 2.0).to_radians().tan());
            let corners = [[x, y], [-x, y], [-x, -y], [x, -y]].map(|[x, y]| offset([*ra_deg, *dec_deg], x, y, 1.0));
            loop_of(&corners)
        }
        Region::Polygon(vertices) => loop_of(&vertices.iter().map(|(ra, dec)| [*ra, *dec]).collect::<Vec<_>>()),
    }
}

/// The direction `east`, `north`, `ahead` as seen from a position.
fn offset([ra_deg, dec_deg]: [f64; 2], east: f64, north: f64, ahead: f64) -> [f64; 2] {
    let ((sin_ra, cos_ra), (sin_dec, cos_dec)) = (ra_deg.to_radians().sin_cos(), dec_deg.to_radians().sin_cos());
    let axes = [[-sin_ra, cos_ra, 0.0], [-sin_dec * cos_ra, -sin_dec * sin_ra, cos_dec], [cos_dec * cos_ra, cos_dec * sin_ra, sin_dec]];
    wcs::frame::position([0, 1, 2].map(|k| east * axes[0][k] + north * axes[1][k] + ahead * axes[2][k]))
}

fn circle(centre: [f64; 2], radius_deg: f64) -> Vec<[f64; 2]> {
    // a chord of a 720th of a turn stays within 1e-5 of the radius
    const STEPS: usize = 720;
    let (sin, cos) = radius_deg.to_radians().sin_cos();
    (0..STEPS)
        .map(|k| {
            let (s, c) = (k as f64 / STEPS as f64 * std::f64::consts::TAU).sin_cos();
            offset(centre, sin * s, sin * c, cos)
        })
        .collect()
}

/// Great circles between corners.
fn loop_of(corners: &[[f64; 2]]) -> Vec<[f64; 2]> {
    const STEPS: usize = 64;
    let next = corners.iter().skip(1).chain(corners.first());
    let sides = corners.iter().zip(next).flat_map(|(a, b)| {
        let (a, b) = (wcs::frame::unit(a[0], a[1]), wcs::frame::unit(b[0], b[1]));
        (0..STEPS).map(move |k| {
            let t = k as f64 / STEPS as f64;
            wcs::frame::position([0, 1, 2].map(|axis| a[axis] * (1.0 - t) + b[axis] * t))
        })
    });
    sides.collect()
}

/// Between two meridians and two parallels.
struct Range {
    west: f64,
    /// Degrees eastwards from west, to 360.
    width: f64,
    south: f64,
    north: f64,
}

impl Range {
    fn new([west, east]: [f64; 2], [south, north]: [f64; 2]) -> Option<Range> {
        // open ends are the whole range, as SODA has it
        let (west, east) = (if west == f64::NEG_INFINITY { 0.0 } else { west }, if east == f64::INFINITY { 360.0 } else { east });
        let (south, north) = (south.max(-90.0), north.min(90.0));
        let fine = west.is_finite() && east.is_finite() && east >= west && east - west <= 360.0 && south <= north;
        fine.then_some(Range { west, width: east - west, south, north })
    }

    fn contains(&self, ra_deg: f64, dec_deg: f64) -> bool {
        (ra_deg - self.west).rem_euclid(360.0) <= self.width && (self.south..=self.north).contains(&dec_deg)
    }

    fn outline(&self) -> Vec<[f64; 2]> {
        const STEPS: usize = 256;
        let points = (0..=STEPS).flat_map(|k| {
            let t = k as f64 / STEPS as f64;
            let (ra, dec) = (self.west + t * self.width, self.south + t * (self.north - self.south));
            [[ra, self.south], [ra, self.north], [self.west, dec], [self.west + self.width, dec]]
        });
        points.map(|[ra, dec]| [ra.rem_euclid(360.0), dec]).collect()
    }
}

/// Cards of the structure, which the writer makes itself.
fn is_structure(key: &str) -> bool {
    let axis = key.strip_prefix("NAXIS").is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()));
    axis || matches!(
        key,
        "SIMPLE"
            | "XTENSION"
            | "BITPIX"
            | "PCOUNT"
            | "GCOUNT"
            | "EXTEND"
            | "GROUPS"
            | "BLOCKED"
            | "INHERIT"
            | "NEXTEND"
            | "CHECKSUM"
            | "DATASUM"
            | "END"
            | "DATE"
            | "TFIELDS"
            | "THEAP"
    )
}

/// The header of a piece, without its structure.
fn piece_header(file: &FitsFile, image: &Image, rect: Rect) -> Header {
    let mut header = image.header.clone();
    header.remove(is_structure);
    if image.hdu > 0 {
        // exposure, filter and proposal of multi-extension files stand in the primary header
        header.inherit(&file.primary().header, |key| {
            !is_structure(key) && !matches!(key, "EXTNAME" | "EXTVER" | "EXTLEVEL" | "") && !is_placed(key)
        });
    }
    shift(&mut header, [rect.x, rect.y]);
    header
}

/// Keys of world coordinates: those of another header are not of these pixels.
fn is_placed(key: &str) -> bool {
    [
        "CRPIX", "CRVAL", "CTYPE", "CUNIT", "CDELT", "CROTA", "CD1_", "CD2_", "PC1_", "PC2_", "LTV", "LTM", "BSCALE", "BZERO", "BLANK",
        "WCSAXES",
    ]
    .iter()
    .any(|stem| key.starts_with(stem))
}

/// Moves every reference pixel of a header.
fn shift(header: &mut Header, by: [i64; 2]) {
    const TOLD_BY: [&str; 7] = ["CTYPE1", "CRVAL1", "CRPIX1", "CRPIX2", "CD1_1", "PC1_1", "CDELT1"];
    let letter = |key: &str| TOLD_BY.iter().find_map(|stem| key.strip_prefix(stem)).map(str::to_owned);
    let alts: BTreeSet<String> = header.keys().filter_map(letter).filter(|alt| alt.len() <= 1).collect();
    for alt in alts {
        let there = TOLD_BY.iter().any(|key| header.has(&format!("{key}{alt}")));
        for axis in [1, 2] {
            let key = format!("CRPIX{axis}{alt}");
            let moved = by[axis - 1] as f64;
            if header.has(&key) || (there && moved != 0.0) {
                move_by(header, &key, -moved);
            }
        }
    }
    for axis in [1, 2] {
        for (key, sign) in [(format!("LTV{axis}"), -1.0), (format!("CNPIX{axis}"), 1.0)] {
            if header.has(&key) {
                move_by(header, &key, sign * by[axis - 1] as f64);
            }
        }
    }
}

fn move_by(header: &mut Header, key: &str, by: f64) {
    if by != 0.0 {
        let old = header.number(key).unwrap_or(0.0);
        header.set(key, Value::Float(old + by), "");
    }
}

/// The lookup tables that the header names, cut to the piece.
fn tables(file: &mut FitsFile, image: &Image, rect: Rect) -> Vec<(Header, Pixels)> {
    let mut found = Vec::new();
    for (kind, record, name) in [("CPDIS", "DP", "WCSDVARR"), ("D2IMDIS", "D2IM", "D2IMARR")] {
        for axis in [1, 2] {
            if !image.header.has(&format!("{kind}{axis}")) {
                continue;
            }
            let records = image.header.records(&format!("{record}{axis}"));
            let version = records.iter().find(|(field, _)| field == "EXTVER").map_or(1, |(_, value)| *value as i64);
            // a piece by pixels may be cut from a file whose tables are lost
            if let Ok((header, table)) = file.table(name, version) {
                found.push(table_piece(header, &table, rect, name, version));
            }
        }
    }
    found
}

/// The nodes of a table that the pixels of a rectangle use, and one more to each side.
fn table_piece(mut header: Header, table: &Lookup, rect: Rect, name: &str, version: i64) -> (Header, Pixels) {
    let by = [rect.x, rect.y];
    let length = [rect.width, rect.height];
    let range = |axis: usize| {
        let ends = [by[axis] as f64 - 1.0, by[axis] as f64 + length[axis] as f64 + 2.0].map(|pixel| table.node(axis, pixel));
        let low = ends[0].min(ends[1]).floor() as usize;
        (low, (ends[0].max(ends[1]).ceil() as usize + 1).min(table.size[axis] - 1))
    };
    let ((left, right), (low, high)) = (range(0), range(1));
    let rows = (low..=high).flat_map(|y| &table.values[y * table.size[0] + left..=y * table.size[0] + right]);
    let bytes = rows.flat_map(|value| value.to_be_bytes()).collect();
    header.remove(|key| is_structure(key) || matches!(key, "BSCALE" | "BZERO" | "BLANK"));
    for (axis, first) in [(0, left), (1, low)] {
        header.set(&format!("CRPIX{}", axis + 1), Value::Float(table.crpix[axis] - first as f64), "");
        header.set(&format!("CRVAL{}", axis + 1), Value::Float(table.crval[axis] - by[axis] as f64), "");
        header.set(&format!("CDELT{}", axis + 1), Value::Float(table.cdelt[axis]), "");
    }
    header.set("EXTNAME", name.into(), "");
    header.set("EXTVER", Value::Integer(version), "");
    let (width, height) = ((right - left + 1) as u64, (high - low + 1) as u64);
    (header, Pixels { bitpix: Bitpix::F32, width, height, planes: 1, bytes })
}

/// Another image of the file that is cut along: of several by one name the one with the version of the image, as ERR,2 goes with SCI,2.
fn other(file: &mut FitsFile, image: &Image, select: &Select) -> Result<Arc<Image>, Error> {
    let own = match select {
        Select::Name(name, None) => {
            let version = image.header.integer("EXTVER").unwrap_or(1);
            file.image(&Select::Name(name.clone(), Some(version))).ok()
        }
        _ => None,
    };
    let other = match own {
        Some(own) => own,
        None => file.image(select)?,
    };
    if other.axes[..2] != image.axes[..2] {
        let what = format!("the image {select} has {:?} pixels, the one to cut has {:?}: it is none of its planes", other.axes, image.axes);
        return Err(Error::Wish { what });
    }
    Ok(other)
}

fn plane(file: &FitsFile, other: &Image, rect: Rect, covered: Rect) -> Result<(Header, Pixels, Vec<u64>), Error> {
    let mut header = other.header.clone();
    header.remove(is_structure);
    shift(&mut header, [rect.x, rect.y]);
    if !header.has("EXTNAME") {
        header.set("EXTNAME", Value::Text(format!("HDU{}", other.hdu)), "HDU of the source");
    }
    let pixels = framed(other.read(file.source(), covered)?, &mut header, rect, covered)?;
    Ok((header, pixels, other.axes.clone()))
}

/// Puts pixels into a larger frame of NaN or BLANK.
fn framed(pixels: Pixels, header: &mut Header, rect: Rect, covered: Rect) -> Result<Pixels, Error> {
    if rect == covered {
        return Ok(pixels);
    }
    let nothing: Vec<u8> = match pixels.bitpix {
        Bitpix::F32 => f32::NAN.to_be_bytes().to_vec(),
        Bitpix::F64 => f64::NAN.to_be_bytes().to_vec(),
        _ => blank(&pixels, header)?,
    };
    let size = nothing.len();
    let count = rect.width * rect.height * pixels.planes;
    let mut bytes = nothing.repeat(count as usize);
    let row = covered.width as usize * size;
    for (number, from) in pixels.bytes.chunks_exact(row).enumerate() {
        let (plane, y) = (number as u64 / covered.height, number as u64 % covered.height + (covered.y - rect.y) as u64);
        let at = ((plane * rect.height + y) * rect.width + (covered.x - rect.x) as u64) as usize * size;
        bytes[at..at + row].copy_from_slice(from);
    }
    Ok(Pixels { width: rect.width, height: rect.height, bytes, ..pixels })
}

/// The integer that stands for no value: the header's, or one that no pixel has.
fn blank(pixels: &Pixels, header: &mut Header) -> Result<Vec<u8>, Error> {
    let size = pixels.bitpix.bytes();
    let fit = |value: i64| value.to_be_bytes()[8 - size..].to_vec();
    if let Some(value) = header.integer("BLANK") {
        return Ok(fit(value));
    }
    let (lowest, highest) = match pixels.bitpix {
        Bitpix::U8 => (0, 255),
        Bitpix::I16 => (i64::from(i16::MIN), i64::from(i16::MAX)),
        Bitpix::I32 => (i64::from(i32::MIN), i64::from(i32::MAX)),
        _ => (i64::MIN, i64::MAX),
    };
    let is_free = |value: &i64| {
        let wanted = fit(*value);
        !pixels.bytes.chunks_exact(size).any(|pixel| pixel == wanted)
    };
    let candidates = [lowest, highest].into_iter().chain(1..=254);
    let value = candidates.filter(|value| (lowest..=highest).contains(value)).find(is_free);
    let value = value
        .ok_or_else(|| Error::Wish { what: "the piece cannot be padded: every value is some pixel's; ask for the trimmed one".into() })?;
    header.set("BLANK", Value::Integer(value), "value of pixels beyond the edge of the image");
    Ok(fit(value))
}

fn provenance(header: &mut Header, file: &FitsFile, image: &Image, rect: Rect, piece: &Piece, options: &Options) {
    let name = file.source().name();
    let name = name.rsplit('/').next().unwrap_or(name);
    let section = format!("[{}:{},{}:{}]", rect.x + 1, rect.x + rect.width as i64, rect.y + 1, rect.y + rect.height as i64);
    header.remove(|key| matches!(key, "SIAREF" | "CUTOUT" | "CUTHDU"));
    header.set("SIAREF", Value::Text(name.to_owned()), "");
    header.set("CUTHDU", Value::Integer(image.hdu as i64), "HDU of the source, 0 is the primary");
    header.set("CUTOUT", Value::Text(section), "pixels of the source");
    for (key, value, comment) in &options.cards {
        header.set(key, value.clone(), comment);
    }
    header.comment("HISTORY", &format!("{} cut {piece} out of {name}", concat!("brickyard ", env!("CARGO_PKG_VERSION"))));
    header.set("DATE", Value::Text(options.date.clone()), "when this file was made (UTC)");
}

/// The cards that the standard wants first (4.0, section 4.4.1), and `last` after them.
fn structure(header: &mut Header, pixels: &Pixels, axes: &[u64], first: (&str, Value, &str), last: &[(&str, Value, &str)]) {
    let lengths = axes.iter().enumerate().map(|(n, length)| {
        let length = [pixels.width, pixels.height].get(n).copied().unwrap_or(*length);
        (format!("NAXIS{}", n + 1), Value::Integer(length as i64))
    });
    let lengths: Vec<(String, Value)> = lengths.collect();
    let mut cards = vec![
        first,
        ("BITPIX", Value::Integer(pixels.bitpix.number()), "array data type"),
        ("NAXIS", Value::Integer(axes.len() as i64), "number of array dimensions"),
    ];
    cards.extend(lengths.iter().map(|(key, length)| (key.as_str(), length.clone(), "")));
    cards.extend_from_slice(last);
    header.lead(&cards);
}

fn primary(parts: &mut Vec<Vec<u8>>, mut header: Header, pixels: Pixels, axes: &[u64], extended: bool) {
    let first = ("SIMPLE", Value::Logical(true), "conforms to FITS standard");
    let last = [("EXTEND", Value::Logical(true), "")];
    structure(&mut header, &pixels, axes, first, if extended { &last } else { &[] });
    finish(parts, header, pixels);
}

fn extension(parts: &mut Vec<Vec<u8>>, mut header: Header, pixels: Pixels, axes: &[u64]) {
    let last = [("PCOUNT", Value::Integer(0), "number of parameters"), ("GCOUNT", Value::Integer(1), "number of groups")];
    structure(&mut header, &pixels, axes, ("XTENSION", "IMAGE".into(), "Image extension"), &last);
    finish(parts, header, pixels);
}

/// Adds checksums and the bytes.
fn finish(parts: &mut Vec<Vec<u8>>, mut header: Header, pixels: Pixels) {
    /// Where the value of a card begins, behind `CHECKSUM= '`.
    const VALUE: usize = 11;
    let padding = pixels.bytes.len().next_multiple_of(BLOCK) - pixels.bytes.len();
    // zeros at the end do not change the sum
    let data = checksum(0, &pixels.bytes);
    header.set("CHECKSUM", "0000000000000000".into(), "checksum of the HDU");
    header.set("DATASUM", Value::Text(data.to_string()), "checksum of the data");
    let mut head = header.bytes();
    let total = encoded(!checksum(data, &head));
    if let Some(card) = head.chunks_exact_mut(CARD).find(|card| card.starts_with(b"CHECKSUM= '")) {
        card[VALUE..VALUE + total.len()].copy_from_slice(total.as_bytes());
    }
    parts.extend([head, pixels.bytes, vec![0; padding]]);
}

/// The ones' complement sum of big-endian words, continued.
fn checksum(start: u32, bytes: &[u8]) -> u32 {
    let (words, rest) = bytes.as_chunks::<4>();
    let mut sum = u64::from(start);
    for chunk in words.chunks(1 << 20) {
        sum += chunk.iter().map(|word| u64::from(u32::from_be_bytes(*word))).sum::<u64>();
        sum = (sum & 0xffff_ffff) + (sum >> 32);
    }
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    sum += u64::from(u32::from_be_bytes(last));
    while sum >> 32 != 0 {
        sum = (sum & 0xffff_ffff) + (sum >> 32);
    }
    sum as u32
}

/// A word as sixteen letters and digits whose sum it is.
fn encoded(value: u32) -> String {
    const PUNCTUATION: [u8; 13] = [0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x40, 0x5b, 0x5c, 0x5d, 0x5e, 0x5f, 0x60];
    let mut text = [0_u8; 16];
    for (k, byte) in value.to_be_bytes().into_iter().enumerate() {
        let mut quarter = [byte / 4 + b'0'; 4];
        quarter[0] += byte % 4;
        // pairs move apart until none of the four is punctuation
        while quarter.iter().any(|c| PUNCTUATION.contains(c)) {
            for pair in [0, 2] {
                if PUNCTUATION.contains(&quarter[pair]) || PUNCTUATION.contains(&quarter[pair + 1]) {
                    quarter[pair] += 1;
                    quarter[pair + 1] -= 1;
                }
            }
        }
        for (j, c) in quarter.into_iter().enumerate() {
            text[4 * j + k] = c;
        }
    }
    // the value begins at the second byte of a word
    text.rotate_right(1);
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_of_a_whole_hdu_is_minus_zero() {
        let pixels = Pixels { bitpix: Bitpix::I16, width: 3, height: 1, planes: 1, bytes: vec![1, 2, 255, 250, 7, 9] };
        let mut parts = Vec::new();
        primary(&mut parts, Header::default(), pixels, &[3, 1], false);
        let all = parts.concat();
        assert_eq!(all.len() % BLOCK, 0);
        assert_eq!(checksum(0, &all), u32::MAX);
    }

    #[test]
    fn a_range_may_cross_zero() {
        let range = Range::new([350.0, 370.0], [-1.0, 1.0]).expect("a range");
        assert!(range.contains(5.0, 0.0) && range.contains(355.0, 0.0) && !range.contains(20.0, 0.0));
        assert!(Range::new([10.0, 5.0], [0.0, 1.0]).is_none());
    }
}
