//! The images of a HiPS, and their values on a tile of the deepest order.
//!
//! A value is interpolated between the four pixels about the place, each of which must be there, and is the mean of all images that have
//! it: in units of the images' own pixels, as bright as they are.
//!
//! Where the centres of a tile's pixels lie on an image is computed for every sixteenth of them, and between these by interpolation where
//! that is right to a thousandth of a pixel; elsewhere (the edge of the projection, strong distortion) for each pixel.

use super::tile::{SIDE, SIDE_ORDER, Tile};
use super::{Error, Frame, Open};
use crate::image::{FitsFile, Rect, Select, Wcs};
use crate::sky::{Region, healpix};
use std::ops::Range;
use std::sync::Arc;

/// Points along each side of an image's outline; sides that are bent are followed.
const OUTLINE: usize = 8;
/// Pixels between two places that are computed.
const STEP: usize = 16;
/// Places along a side of a tile.
const NODES: usize = SIDE / STEP + 1;
/// How far interpolated places may be from computed ones, in pixels of the image.
const TOLERANCE_PX: f64 = 1e-3;
/// Pixels read about those that are needed by the computed places.
const MARGIN_PX: f64 = 4.0;

/// An image, looked at once.
pub struct Sight<'a> {
    pub frame: &'a Frame,
    wcs: Arc<Wcs>,
    size: [u64; 2],
    pub scale_deg: f64,
    pub unit: Option<String>,
    /// Round its edge: longitude, latitude, degrees.
    pub outline_deg: Vec<(f64, f64)>,
}

impl<'a> Sight<'a> {
    pub fn of(frame: &'a Frame, open: &Open<'_>) -> Result<Sight<'a>, Error> {
        let mut file = opened(frame, open)?;
        let image = file.image(&Select::Number(frame.hdu))?;
        let wcs = file.wcs(&image, ' ')?;
        let size = [image.axes[0], image.axes[1]];
        let unit = image.header.text("BUNIT").or_else(|| file.primary().header.text("BUNIT"));
        let unit = unit.map(|unit| unit.trim().to_owned()).filter(|unit| !unit.is_empty());
        let scales = wcs.scales_deg();
        let off = || Error::Wish { what: format!("{}: a part of its edge is not on the sky", frame.name) };
        let outline_deg = outline(&wcs, size).ok_or_else(off)?;
        Ok(Sight { frame, scale_deg: (scales[0] * scales[1]).sqrt(), wcs, size, unit, outline_deg })
    }
}

fn opened(frame: &Frame, open: &Open<'_>) -> Result<FitsFile, Error> {
    open(frame).map_err(|source| Error::Open { name: frame.name.clone(), source })
}

/// Points along the outer edge of the pixels.
fn outline(wcs: &Wcs, size: [u64; 2]) -> Option<Vec<(f64, f64)>> {
    let [width, height] = size.map(|length| length as f64);
    let corners = [[0.5, 0.5], [width + 0.5, 0.5], [width + 0.5, height + 0.5], [0.5, height + 0.5]];
    let point = |k: usize| {
        let ([a, b], [c, d]) = (corners[k / OUTLINE], corners[(k / OUTLINE + 1) % 4]);
        let part = (k % OUTLINE) as f64 / OUTLINE as f64;
        wcs.pixel_to_sky(a + (c - a) * part, b + (d - b) * part).map(|[ra, dec]| (ra, dec))
    };
    (0..4 * OUTLINE).map(point).collect()
}

/// The cells that an outline touches, and perhaps their neighbours.
pub fn cells(order: u8, outline_deg: &[(f64, f64)]) -> Result<Vec<Range<u64>>, Error> {
    let ranges = healpix::nest_ranges(order, &Region::Polygon(outline_deg.to_vec()));
    ranges.map_err(|error| Error::Wish { what: error.to_string() })
}

/// The order at which a tile's pixels are about as large as these: not larger by more than a tenth.
pub fn order(scale_deg: f64) -> u8 {
    let of = |order: u8| pixel_deg(order) <= 1.1 * scale_deg;
    (0..=super::DEEPEST).find(|order| of(*order)).unwrap_or(super::DEEPEST)
}

/// The side of a pixel of a tile.
pub fn pixel_deg(order: u8) -> f64 {
    (std::f64::consts::PI / 3.0).sqrt().to_degrees() / (1_u64 << (order + SIDE_ORDER)) as f64
}

/// The tile of a cell from the images that touch it; `None` where none of them has a value.
pub fn tile(order: u8, pix: u64, sights: &[&Sight<'_>], zero_is_data: bool, open: &Open<'_>) -> Result<Option<Tile>, Error> {
    let nodes = nodes(order, pix)?;
    let (mut sums, mut counts) = (vec![0.0_f64; SIDE * SIDE], vec![0_u16; SIDE * SIDE]);
    for sight in sights {
        let places: Vec<Option<[f64; 2]>> = nodes.iter().map(|&(ra, dec)| sight.wcs.sky_to_pixel(ra, dec)).collect();
        let Some(patch) = Patch::read(sight, &places, zero_is_data, open)? else { continue };
        for block in 0..(NODES - 1) * (NODES - 1) {
            let (bx, by) = (block % (NODES - 1), block / (NODES - 1));
            add_block(order, pix, sight, &places, [bx, by], &patch, &mut |x, y, value| {
                let at = Tile::index(x, y);
                sums[at] += f64::from(value);
                counts[at] = counts[at].saturating_add(1);
            })?;
        }
    }
    if counts.iter().all(|count| *count == 0) {
        return Ok(None);
    }
    let mean = |(sum, count): (&f64, &u16)| if *count == 0 { f32::NAN } else { (sum / f64::from(*count)) as f32 };
    Ok(Some(Tile(sums.iter().zip(&counts).map(mean).collect())))
}

/// The pixel of the cell at which a node lies; the last one is nearer to its neighbour.
fn node_px(k: usize) -> usize {
    (k * STEP).min(SIDE - 1)
}

/// Where the centre of the cell's pixel (x, y) is on the sky.
fn centre_deg(order: u8, pix: u64, x: f64, y: f64) -> Result<(f64, f64), Error> {
    let part = |k: f64| (k + 0.5) / SIDE as f64;
    healpix::nest_point_deg(order, pix, part(x), part(y)).map_err(|error| Error::Wish { what: error.to_string() })
}

/// The sky positions of the nodes, y by y.
fn nodes(order: u8, pix: u64) -> Result<Vec<(f64, f64)>, Error> {
    (0..NODES * NODES).map(|k| centre_deg(order, pix, node_px(k % NODES) as f64, node_px(k / NODES) as f64)).collect()
}

/// Gives `add` every value of the pixels between four nodes. The last pixels along x and y belong to the last block.
fn add_block(
    order: u8,
    pix: u64,
    sight: &Sight<'_>,
    places: &[Option<[f64; 2]>],
    [bx, by]: [usize; 2],
    patch: &Patch,
    add: &mut impl FnMut(usize, usize, f32),
) -> Result<(), Error> {
    let corner = |dx: usize, dy: usize| places[(by + dy) * NODES + bx + dx];
    let (low, high) = ([node_px(bx), node_px(by)], [node_px(bx + 1), node_px(by + 1)]);
    let last = |k: usize, block: usize| if block + 2 == NODES { SIDE } else { high[k] };
    let exact = |x: f64, y: f64| -> Result<Option<[f64; 2]>, Error> {
        let (ra, dec) = centre_deg(order, pix, x, y)?;
        Ok(sight.wcs.sky_to_pixel(ra, dec))
    };
    let between = match [corner(0, 0), corner(1, 0), corner(0, 1), corner(1, 1)] {
        [Some(a), Some(b), Some(c), Some(d)] => Some(move |x: f64, y: f64| {
            let (u, v) = ((x - low[0] as f64) / (high[0] - low[0]) as f64, (y - low[1] as f64) / (high[1] - low[1]) as f64);
            [0, 1].map(|k| (a[k] * (1.0 - u) + b[k] * u) * (1.0 - v) + (c[k] * (1.0 - u) + d[k] * u) * v)
        }),
        _ => None,
    };
    let middle = [0, 1].map(|k| (low[k] + high[k]) as f64 / 2.0);
    let is_close = |a: [f64; 2], b: [f64; 2]| (a[0] - b[0]).hypot(a[1] - b[1]) < TOLERANCE_PX;
    let is_flat = match &between {
        Some(between) => {
            // nothing of an image that ends elsewhere
            if !patch.may_have(&[corner(0, 0), corner(1, 0), corner(0, 1), corner(1, 1)]) {
                return Ok(());
            }
            exact(middle[0], middle[1])?.is_some_and(|place| is_close(place, between(middle[0], middle[1])))
        }
        None => false,
    };
    for y in low[1]..last(1, by) {
        for x in low[0]..last(0, bx) {
            let place = match &between {
                Some(between) if is_flat => Some(between(x as f64, y as f64)),
                _ => exact(x as f64, y as f64)?,
            };
            if let Some(value) = place.and_then(|place| patch.at(place)) {
                add(x, y, value);
            }
        }
    }
    Ok(())
}

/// The pixels of an image that a tile needs.
struct Patch {
    /// The FITS pixel of the first value.
    origin: [f64; 2],
    width: usize,
    height: usize,
    values: Vec<f32>,
}

impl Patch {
    fn read(sight: &Sight<'_>, places: &[Option<[f64; 2]>], zero_is_data: bool, open: &Open<'_>) -> Result<Option<Patch>, Error> {
        let there = || places.iter().flatten();
        let least = |k: usize| there().map(|place| place[k]).fold(f64::INFINITY, f64::min);
        let most = |k: usize| there().map(|place| place[k]).fold(f64::NEG_INFINITY, f64::max);
        let range = |k: usize| {
            let (low, high) = ((least(k) - MARGIN_PX).floor().max(1.0), (most(k) + MARGIN_PX).ceil().min(sight.size[k] as f64));
            (high > low).then(|| (low as i64 - 1, (high - low) as u64 + 1))
        };
        let (Some((x, width)), Some((y, height))) = (range(0), range(1)) else { return Ok(None) };
        let mut file = opened(sight.frame, open)?;
        let image = file.image(&Select::Number(sight.frame.hdu))?;
        if [image.axes[0], image.axes[1]] != sight.size {
            return Err(Error::Wish { what: format!("{} has changed meanwhile: start again", sight.frame.name) });
        }
        let mut values = image.read(file.source(), Rect { x, y, width, height })?.values(&image.header);
        values.truncate((width * height) as usize); // the first plane
        if image.bitpix.is_float() && !zero_is_data {
            values.iter_mut().filter(|value| **value == 0.0).for_each(|value| *value = f32::NAN);
        }
        Ok(Some(Patch { origin: [x as f64 + 1.0, y as f64 + 1.0], width: width as usize, height: height as usize, values }))
    }

    /// Might there be pixels among these places?
    fn may_have(&self, places: &[Option<[f64; 2]>; 4]) -> bool {
        let ends = [self.width as f64, self.height as f64];
        let meets = |k: usize| {
            let at = |f: fn(f64, f64) -> f64, start: f64| places.iter().flatten().map(|place| place[k] - self.origin[k]).fold(start, f);
            at(f64::min, f64::INFINITY) - 1.0 <= ends[k] && at(f64::max, f64::NEG_INFINITY) + 1.0 >= 0.0
        };
        meets(0) && meets(1)
    }

    /// Interpolates between four pixels; `None` unless all are there that count.
    fn at(&self, [x, y]: [f64; 2]) -> Option<f32> {
        let (x, y) = (x - self.origin[0], y - self.origin[1]);
        let (i, j) = (x.floor(), y.floor());
        if i < 0.0 || j < 0.0 || i + 1.0 >= self.width as f64 || j + 1.0 >= self.height as f64 {
            return None;
        }
        let (fx, fy) = (x - i, y - j);
        let at = j as usize * self.width + i as usize;
        let [a, b, c, d] = [at, at + 1, at + self.width, at + self.width + 1].map(|at| f64::from(self.values[at]));
        let value = (a * (1.0 - fx) + b * fx) * (1.0 - fy) + (c * (1.0 - fx) + d * fx) * fy;
        value.is_finite().then_some(value as f32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_those_whose_pixels_are_not_larger() {
        // ACS, UVIS, IR mosaics of PHAT
        assert_eq!([0.05, 0.04, 0.065].map(|arcsec| order(arcsec / 3600.0)), [13, 14, 13]);
        assert!((pixel_deg(3) * 3600.0 - 51.53).abs() < 0.01);
        assert_eq!(order(1e-12), super::super::DEEPEST);
    }
}
