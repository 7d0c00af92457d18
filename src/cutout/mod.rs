//! Pictures of pieces of the sky: one filter in greys or three in colours, turned, marked, encoded.
//!
//! ```text
//! file, piece -> Field (values and WCS) -> north up | onto the grid of the finest -> Picture -> marks -> PNG | JPEG
//! ```
//!
//! Memory: the values of the piece (4 bytes a pixel, for each filter), twice where they are resampled; [`Look::limit_bytes`] bounds it.

use crate::image::cut::place;
use crate::image::resample::Field;
use crate::image::{self, Curve, Cuts, Encoding, FitsFile, Image, Lupton, Picture, Piece, Rect, Select, Wcs};
use crate::plot::colour::Rgb;
use crate::plot::marks::Marks;

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Image(#[from] image::Error),
    #[error(transparent)]
    Draw(#[from] crate::plot::Error),
}

/// What a picture looks like.
#[derive(Debug, Clone)]
pub struct Look {
    pub encoding: Encoding,
    pub cuts: Cuts,
    pub curve: Curve,
    pub lupton: Lupton,
    /// North up and east left, instead of as the image lies.
    pub north_up: bool,
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
            scale_bar: false,
            compass: false,
            overlay: Vec::new(),
            overlay_radius_arcsec: 0.3,
            limit_bytes: 1 << 30,
        }
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
    let field = looked_at(origin, piece, look)?;
    let picture = Picture::grey(&field.values, field.width, look.cuts, look.curve);
    finished(picture, &field, look)
}

/// A picture of three filters: red, green, blue; on the pixels of the finest.
pub fn colour(origins: [Origin<'_>; 3], piece: &Piece, look: &Look) -> Result<Vec<u8>, Error> {
    let [red, green, blue] = origins;
    let fields = [field(red, piece, look, MARGIN)?, field(green, piece, look, MARGIN)?, field(blue, piece, look, MARGIN)?];
    let pixel = |field: &Field| field.wcs.scales_deg()[0] * field.wcs.scales_deg()[1];
    let finest = fields.iter().min_by(|a, b| pixel(a).total_cmp(&pixel(b))).expect("there are three").clone();
    let target = target(&finest, piece, look)?;
    let [red, green, blue] = fields.map(|field| {
        if field.wcs == target.wcs && field.origin == target.origin && field.width == target.width {
            field.values
        } else {
            field.onto(&target.wcs, target.origin, target.width, target.height).values
        }
    });
    finished(Picture::colour([&red, &green, &blue], target.width, look.lupton), &target, look)
}

/// Pixels read beyond a piece that is resampled, so that its edge has neighbours.
const MARGIN: u64 = 2;

/// The values that one filter's picture shows.
fn looked_at(origin: Origin<'_>, piece: &Piece, look: &Look) -> Result<Field, Error> {
    if !look.north_up {
        return field(origin, piece, look, 0);
    }
    let field = field(origin, piece, look, MARGIN)?;
    let target = target(&field, piece, look)?;
    Ok(field.onto(&target.wcs, target.origin, target.width, target.height))
}

/// The pixels of the picture, without values: those of the piece on `field`, or with north up about its middle.
fn target(field: &Field, piece: &Piece, look: &Look) -> Result<Field, Error> {
    let wish = |what: String| Error::Image(image::Error::Wish { what });
    let scales = field.wcs.scales_deg();
    let scale_deg = (scales[0] * scales[1]).sqrt();
    let nothing = |wcs: Wcs, origin, width, height| Field { wcs, origin, width, height, values: Vec::new() };
    if !look.north_up {
        let margin = MARGIN as usize;
        let [x, y] = field.origin;
        let inner = |length: usize| length.saturating_sub(2 * margin).max(1);
        return Ok(nothing(field.wcs.clone(), [x + margin as f64, y + margin as f64], inner(field.width), inner(field.height)));
    }
    let middle = [field.origin[0] + (field.width as f64 - 1.0) / 2.0, field.origin[1] + (field.height as f64 - 1.0) / 2.0];
    let (centre, size) = match piece {
        Piece::Frame { ra_deg, dec_deg, width_deg, height_deg } => ([*ra_deg, *dec_deg], [width_deg / scale_deg, height_deg / scale_deg]),
        _ => {
            let centre =
                field.wcs.pixel_to_sky(middle[0], middle[1]).ok_or_else(|| wish("the middle of the piece is not on the sky".into()))?;
            (centre, [field.width as f64, field.height as f64])
        }
    };
    let size = size.map(|length| length.round().max(1.0));
    limited(size[0] * size[1], look)?;
    let reference = size.map(|length| (length + 1.0) / 2.0);
    let wcs = Wcs::north_up(centre[0], centre[1], scale_deg, reference).map_err(wish)?;
    Ok(nothing(wcs, [1.0, 1.0], size[0] as usize, size[1] as usize))
}

fn limited(pixels: f64, look: &Look) -> Result<(), Error> {
    let bytes = pixels * 4.0;
    if bytes <= look.limit_bytes as f64 {
        return Ok(());
    }
    let side = pixels.sqrt() as u64;
    Err(image::Error::TooLarge { width: side, height: side, bytes: bytes as u64, limit_bytes: look.limit_bytes }.into())
}

/// Reads the values of a piece, padded with NaN beyond the edge, `margin` pixels wider on each side.
fn field(origin: Origin<'_>, piece: &Piece, look: &Look, margin: u64) -> Result<Field, Error> {
    let image = origin.file.image(origin.select)?;
    let wcs = origin.file.wcs(&image, ' ')?;
    let rect = place(origin.file, &image, &wide(piece, look.north_up))?;
    let clear = rect.clipped(image.axes[0], image.axes[1]).is_some();
    if !clear {
        return Err(image::Error::Outside { name: origin.file.source().name().to_owned(), wish: piece.to_string() }.into());
    }
    let rect =
        Rect { x: rect.x - margin as i64, y: rect.y - margin as i64, width: rect.width + 2 * margin, height: rect.height + 2 * margin };
    limited(rect.width as f64 * rect.height as f64, look)?;
    let values = values(origin.file, &image, rect)?;
    let start = [rect.x as f64 + 1.0, rect.y as f64 + 1.0];
    Ok(Field { wcs, origin: start, width: rect.width as usize, height: rect.height as usize, values })
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
    let scales = field.wcs.scales_deg().map(|scale| scale * 3600.0);
    let arcsec = (scales[0] * scales[1]).sqrt();
    let mut marks = Marks { width: picture.width, height: picture.height, rgb: &mut picture.bytes };
    let (left, top) = (field.origin[0], field.origin[1] + field.height as f64 - 1.0);
    for (ra, dec) in &look.overlay {
        if let Some([x, y]) = field.wcs.sky_to_pixel(*ra, *dec) {
            marks.circle((x - left, top - y), (look.overlay_radius_arcsec / arcsec).max(3.0), OVERLAY);
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
    let middle = [field.origin[0] + field.width as f64 / 2.0, field.origin[1] + field.height as f64 / 2.0];
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
