//! Pictures of pieces of the sky: one filter in greys or three in colours, turned, marked, encoded.
//!
//! ```text
//! file, piece -> Field (values and WCS) -> binned -> north up | onto the grid of the finest | enlarged -> Picture -> marks -> PNG | JPEG
//! ```
//!
//! Memory: the values of the piece and those of the picture (4 bytes a pixel each, for each filter) and the picture's bytes;
//! [`Look::limit_bytes`] bounds the values of one filter's piece and those of its picture.

use crate::image::cut::place;
use crate::image::resample::Field;
use crate::image::{self, Curve, Cuts, Encoding, FitsFile, Image, Lupton, Picture, Piece, Rect, Select, Wcs};
use crate::plot::colour::Rgb;
use crate::plot::marks::Marks;
use std::sync::Arc;

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Image(#[from] image::Error),
    #[error(transparent)]
    Draw(#[from] crate::plot::Error),
}

/// What a picture looks like.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    pub encoding: Encoding,
    pub cuts: Cuts,
    pub curve: Curve,
    pub lupton: Lupton,
    /// North up and east left, instead of as the image lies.
    pub north_up: bool,
    pub zoom: Zoom,
    pub scale_bar: bool,
    pub compass: bool,
    /// Positions (ICRS, degrees) to draw circles about.
    pub overlay: Vec<(f64, f64)>,
    pub overlay_radius_arcsec: f64,
    /// The most bytes of values.
    pub limit_bytes: u64,
}

impl Default for Look {
    fn default() -> Self {
        Look {
            encoding: Encoding::Png,
            cuts: Cuts::Percent(99.5),
            curve: Curve::Asinh,
            lupton: Lupton::default(),
            north_up: false,
            zoom: Zoom::default(),
            scale_bar: false,
            compass: false,
            overlay: Vec::new(),
            overlay_radius_arcsec: 0.3,
            limit_bytes: 1 << 30,
        }
    }
}

/// How large the pixels of an image are in its picture: so many times as large, or so many of them in one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Zoom {
    In(f64),
    Out(usize),
}

impl Zoom {
    /// A pixel of the image has at most so many of the picture on a side.
    pub const MOST_IN: f64 = 8.0;
    /// A pixel of the picture has at most so many of the image on a side.
    pub const MOST_OUT: usize = 16;
}

impl Default for Zoom {
    fn default() -> Self {
        Zoom::In(1.0)
    }
}

impl std::str::FromStr for Zoom {
    type Err = String;

    /// `2`, `1.5`, `0.5`, `1/3`
    fn from_str(text: &str) -> Result<Zoom, String> {
        let wrong = || {
            let (most_in, most_out) = (Zoom::MOST_IN, Zoom::MOST_OUT);
            format!("{text:?} is not a number from 1 to {most_in}, nor 1/2, 1/3, ... 1/{most_out} or the same as 0.5, 0.25")
        };
        let number = |text: &str| text.trim().parse::<f64>().ok().filter(|number| number.is_finite());
        let factor = match text.split_once('/') {
            Some((one, side)) => number(one).zip(number(side)).map(|(one, side)| one / side),
            None => number(text),
        };
        let factor = factor.filter(|factor| *factor > 0.0 && *factor <= Zoom::MOST_IN).ok_or_else(wrong)?;
        if factor >= 1.0 {
            return Ok(Zoom::In(factor));
        }
        let side = (1.0 / factor).round();
        // 0.33 means a third
        let is_whole = (1.0 / factor - side).abs() < 0.05 && side <= Zoom::MOST_OUT as f64;
        if is_whole { Ok(Zoom::Out(side as usize)) } else { Err(wrong()) }
    }
}

/// A file and the image in it.
pub struct Origin<'a> {
    pub file: &'a mut FitsFile,
    pub select: &'a Select,
}

/// The colour of overlaid catalogue stars.
const OVERLAY: Rgb = Rgb([255, 200, 60]);

/// A picture of one filter.
pub fn grey(origin: Origin<'_>, piece: &Piece, look: &Look) -> Result<Vec<u8>, Error> {
    let frame = Frame::of(origin.file, origin.select, piece, look)?;
    let target = frame.target(piece, look)?;
    let plain = !look.north_up && look.zoom == Zoom::In(1.0);
    let field = frame.read(origin.file, look, !plain)?;
    let field = if field.covers(&target) { field } else { field.onto(&target) };
    finished(Picture::grey(&field.values, field.width, look.cuts, look.curve), &field, look)
}

/// A picture of three filters: red, green, blue; on the pixels of the finest.
pub fn colour(origins: [Origin<'_>; 3], piece: &Piece, look: &Look) -> Result<Vec<u8>, Error> {
    let [red, green, blue] = origins;
    let mut fields = Vec::new();
    let mut finest: Option<(f64, Field)> = None;
    for origin in [red, green, blue] {
        let frame = Frame::of(origin.file, origin.select, piece, look)?;
        let pixel = frame.field.wcs.scales_deg().into_iter().product::<f64>();
        if finest.as_ref().is_none_or(|(least, _)| pixel < *least) {
            finest = Some((pixel, frame.target(piece, look)?));
        }
        fields.push(frame.read(origin.file, look, true)?);
    }
    let Some((_, target)) = finest else { return Err(image::Error::Wish { what: "a colour picture has three filters".into() }.into()) };
    let bands: Vec<Vec<f32>> =
        fields.into_iter().map(|field| if field.covers(&target) { field.values } else { field.onto(&target).values }).collect();
    let [red, green, blue] = [0, 1, 2].map(|band| bands[band].as_slice());
    finished(Picture::colour([red, green, blue], target.width, look.lupton), &target, look)
}

/// The corners of the picture on the sky (ICRS, degrees), for what is to be drawn upon it. Reads headers only.
pub fn corners(origin: Origin<'_>, piece: &Piece, look: &Look) -> Result<Vec<(f64, f64)>, Error> {
    let target = Frame::of(origin.file, origin.select, piece, look)?.target(piece, look)?;
    let (right, top) = (target.width as f64 - 0.5, target.height as f64 - 0.5);
    let corner = |(column, row): (f64, f64)| {
        let [x, y] = target.pixel(column, row);
        target.wcs.pixel_to_sky(x, y).map(|[ra, dec]| (ra, dec))
    };
    Ok([(-0.5, -0.5), (right, -0.5), (right, top), (-0.5, top)].into_iter().filter_map(corner).collect())
}

/// Pixels read beyond a piece that is resampled, so that its edge has neighbours.
const MARGIN: u64 = 2;

/// What is to be read of an image for a picture.
struct Frame {
    image: Arc<Image>,
    /// With the margin.
    rect: Rect,
    margin: u64,
    /// The values to be, without them.
    field: Field,
}

impl Frame {
    fn of(file: &mut FitsFile, select: &Select, piece: &Piece, look: &Look) -> Result<Frame, Error> {
        let image = file.image(select)?;
        let wcs = file.wcs(&image, ' ')?;
        let rect = place(file, &image, &wide(piece, look.north_up))?;
        if rect.clipped(image.axes[0], image.axes[1]).is_none() {
            return Err(image::Error::Outside { name: file.source().name().to_owned(), wish: piece.to_string() }.into());
        }
        let margin = MARGIN;
        let by = margin as i64;
        let rect = Rect { x: rect.x - by, y: rect.y - by, width: rect.width + 2 * margin, height: rect.height + 2 * margin };
        limited(rect.width as f64 * rect.height as f64, look)?;
        let origin = [rect.x as f64 + 1.0, rect.y as f64 + 1.0];
        let field = Field { wcs, origin, step: 1.0, width: rect.width as usize, height: rect.height as usize, values: Vec::new() };
        Ok(Frame { image, rect, margin, field })
    }

    /// The values, with their margin if what follows wants neighbours, binned if the picture is smaller than the image.
    fn read(self, file: &FitsFile, look: &Look, with_margin: bool) -> Result<Field, Error> {
        let field = Field { values: values(file, &self.image, self.rect)?, ..self.field };
        Ok(match look.zoom {
            Zoom::Out(side) => field.within(self.margin as usize).binned(side),
            Zoom::In(_) if with_margin => field,
            Zoom::In(_) => field.within(self.margin as usize),
        })
    }

    /// The pixels of the picture, without values: those of the piece, or with north up about its middle.
    fn target(&self, piece: &Piece, look: &Look) -> Result<Field, Error> {
        let wish = |what: String| Error::Image(image::Error::Wish { what });
        let step = match look.zoom {
            Zoom::In(factor) => 1.0 / factor,
            Zoom::Out(side) => side as f64,
        };
        let inner = |length: u64| (length - 2 * self.margin) as f64;
        let (width, height) = (inner(self.rect.width), inner(self.rect.height));
        // the picture begins where the piece does: half a step within its edge
        let edge = [0, 1].map(|axis| self.field.origin[axis] + self.margin as f64 - 0.5);
        if !look.north_up {
            let size = [width, height].map(|length| (length / step).floor().max(1.0));
            limited(size[0] * size[1], look)?;
            let origin = edge.map(|edge| edge + step / 2.0);
            return Ok(Field {
                wcs: self.field.wcs.clone(),
                origin,
                step,
                width: size[0] as usize,
                height: size[1] as usize,
                values: Vec::new(),
            });
        }
        let scales = self.field.wcs.scales_deg();
        let scale_deg = (scales[0] * scales[1]).sqrt();
        let at = |x: f64, y: f64| {
            let there = self.field.wcs.pixel_to_sky(edge[0] + x * width, edge[1] + y * height);
            there.ok_or_else(|| wish("the piece is not wholly on the sky: it cannot be turned".into()))
        };
        let (middle, size) = match piece {
            Piece::Frame { ra_deg, dec_deg, width_deg, height_deg } => {
                ([*ra_deg, *dec_deg], [width_deg / scale_deg, height_deg / scale_deg])
            }
            _ => {
                // as large as the corners reach
                let middle = at(0.5, 0.5)?;
                let plane = Wcs::north_up(middle[0], middle[1], scale_deg, [0.0, 0.0]).map_err(wish)?;
                let mut size = [0.0_f64; 2];
                for (x, y) in [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)] {
                    let [ra, dec] = at(x, y)?;
                    let corner = plane.sky_to_pixel(ra, dec).unwrap_or_default();
                    size = [0, 1].map(|axis| size[axis].max(2.0 * corner[axis].abs()));
                }
                (middle, size)
            }
        };
        let size = size.map(|length| (length / step).round().max(1.0));
        limited(size[0] * size[1], look)?;
        let reference = size.map(|length| (length + 1.0) / 2.0);
        let wcs = Wcs::north_up(middle[0], middle[1], scale_deg * step, reference).map_err(wish)?;
        Ok(Field {
            wcs: Arc::new(wcs),
            origin: [1.0, 1.0],
            step: 1.0,
            width: size[0] as usize,
            height: size[1] as usize,
            values: Vec::new(),
        })
    }
}

fn limited(pixels: f64, look: &Look) -> Result<(), Error> {
    let bytes = pixels * 4.0;
    if bytes <= look.limit_bytes as f64 {
        return Ok(());
    }
    let side = pixels.sqrt() as u64;
    Err(image::Error::TooLarge { width: side, height: side, bytes: bytes as u64, limit_bytes: look.limit_bytes }.into())
}

/// A turned frame needs what its corners sweep.
fn wide(piece: &Piece, turned: bool) -> Piece {
    match piece {
        Piece::Frame { ra_deg, dec_deg, width_deg, height_deg } if turned => {
            let diagonal_deg = width_deg.hypot(*height_deg);
            Piece::Frame { ra_deg: *ra_deg, dec_deg: *dec_deg, width_deg: diagonal_deg, height_deg: diagonal_deg }
        }
        other => other.clone(),
    }
}

/// The first plane of a rectangle, NaN where it sticks out.
fn values(file: &FitsFile, image: &Image, rect: Rect) -> Result<Vec<f32>, Error> {
    let mut values = vec![f32::NAN; (rect.width * rect.height) as usize];
    let Some(covered) = rect.clipped(image.axes[0], image.axes[1]) else { return Ok(values) };
    let read = image.read(file.source(), covered)?.values(&image.header);
    let (left, low) = ((covered.x - rect.x) as usize, (covered.y - rect.y) as usize);
    for (row, line) in read.chunks_exact(covered.width as usize).take(covered.height as usize).enumerate() {
        let at = (low + row) * rect.width as usize + left;
        values[at..at + line.len()].copy_from_slice(line);
    }
    Ok(values)
}

/// Marks and encodes.
fn finished(picture: Picture, field: &Field, look: &Look) -> Result<Vec<u8>, Error> {
    if !look.scale_bar && !look.compass && look.overlay.is_empty() {
        return Ok(picture.encode(look.encoding)?);
    }
    let mut picture = picture.into_rgb();
    let scales = field.wcs.scales_deg().map(|scale| scale * 3600.0 * field.step);
    let arcsec = (scales[0] * scales[1]).sqrt();
    let mut marks = Marks { width: picture.width, height: picture.height, rgb: &mut picture.bytes };
    let [left, top] = field.pixel(0.0, field.height as f64 - 1.0);
    for (ra, dec) in &look.overlay {
        if let Some([x, y]) = field.wcs.sky_to_pixel(*ra, *dec) {
            marks.circle(((x - left) / field.step, (top - y) / field.step), (look.overlay_radius_arcsec / arcsec).max(3.0), OVERLAY);
        }
    }
    if look.scale_bar {
        marks.scale_bar(arcsec)?;
    }
    if let Some((north, east)) = look.compass.then(|| directions(field)).flatten() {
        marks.compass(north, east)?;
    }
    Ok(picture.encode(look.encoding)?)
}

/// North and east in the middle of a picture, as (right, down) of length one.
fn directions(field: &Field) -> Option<((f64, f64), (f64, f64))> {
    let middle = field.pixel(field.width as f64 / 2.0, field.height as f64 / 2.0);
    let [ra, dec] = field.wcs.pixel_to_sky(middle[0], middle[1])?;
    let step = 10.0 * field.wcs.scales_deg()[0];
    let towards = |ra: f64, dec: f64| {
        let [x, y] = field.wcs.sky_to_pixel(ra, dec)?;
        let (dx, dy) = (x - middle[0], middle[1] - y);
        let length = dx.hypot(dy);
        (length > 0.0).then(|| (dx / length, dy / length))
    };
    let (along, sign) = if dec + step > 90.0 { (dec - step, -1.0) } else { (dec + step, 1.0) };
    let north = towards(ra, along)?;
    let east = towards((ra + step / dec.to_radians().cos().max(1e-6)).rem_euclid(360.0), dec)?;
    Some(((sign * north.0, sign * north.1), east))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zooms_are_whole_shares_or_up_to_eight() {
        for (text, zoom) in
            [("1", Zoom::In(1.0)), ("2.5", Zoom::In(2.5)), ("0.5", Zoom::Out(2)), ("1/3", Zoom::Out(3)), ("0.0625", Zoom::Out(16))]
        {
            assert_eq!(text.parse(), Ok(zoom), "{text}");
        }
        for wrong in ["0", "-1", "9", "0.7", "1/17", "nan", "inf", "x", "1/0"] {
            assert!(wrong.parse::<Zoom>().is_err(), "{wrong}");
        }
    }
}
