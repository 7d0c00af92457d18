//! Drizzled mosaics of a brick from the same true stars: six filters, each with its camera's pixels, width and noise.
//!
//! A mosaic is a square on the sky about the centre of the first field asked for of a brick, not the whole brick (whose
//! 12 x 6.5 arcmin are 450 MB a filter); its geometry is true: TAN, the roll of the field's reference image, 0.05 (ACS), 0.04
//! (UVIS) and 0.065 arcsec (IR) a pixel, electrons per second, sky subtracted. Every star of the truth within it is drawn
//! at its true place with its mean magnitude, so that a cutout shows what the catalogue lists.
//!
//! The profile is a Moffat function with the width of the drizzled camera's images, integrated over each pixel near its
//! centre. Noise is that of the photons of sky and stars and of read-out. The random numbers of a mosaic are its own: the
//! same options give the same bytes whatever the number of threads.

use super::cepheid;
use super::exposures::Exposure;
use super::facts::{BANDS, Band, Camera, program};
use super::footprint::{CENTRE_PX, Field, PIXEL_ARCSEC};
use super::population::{Population, Star, stream};
use super::{Error, Written, at, part_name};
use crate::image::Header;
use crate::image::header::{BLOCK, Value};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use std::fs;
use std::path::{Path, PathBuf};

/// The sides of a mosaic that are drawn: below are no stars, above are gigabytes.
pub const SIDES_ARCSEC: std::ops::RangeInclusive<f64> = 2.0..=400.0;

const PURPOSE_IMAGE: u64 = 16;
/// Exponent of the Moffat profile: the wings of a diffraction-limited image.
const BETA: f64 = 3.0;
/// Pixels farther than this from a star have none of its light.
const MOST_RADIUS_PX: f64 = 60.0;

/// What differs between cameras and filters (ACS, WFC3 instrument handbooks; photometric keys are nominal ones).
struct Optics {
    pixel_arcsec: f64,
    /// Full width at half maximum on a drizzled image.
    width_arcsec: f64,
    pivot_angstrom: f64,
    photflam: f64,
    read_noise: f64,
}

fn optics(band: &Band) -> Optics {
    let (width_arcsec, pivot_angstrom, photflam) = match band.name {
        "F275W" => (0.085, 2709.7, 3.22e-18),
        "F336W" => (0.080, 3354.5, 1.28e-18),
        "F475W" => (0.105, 4744.4, 1.82e-19),
        "F814W" => (0.110, 8059.8, 7.03e-20),
        "F110W" => (0.145, 11534.0, 1.53e-20),
        _ => (0.165, 15369.0, 1.93e-20),
    };
    let (pixel_arcsec, read_noise) = match band.camera {
        Camera::Acs => (0.05, 4.2),
        Camera::Uvis => (0.04, 3.1),
        Camera::Ir => (0.065, 12.0),
    };
    Optics { pixel_arcsec, width_arcsec, pivot_angstrom, photflam, read_noise }
}

/// `hlsp_phat_hst_acs-wfc_12056-m31-b15_f475w_v1_drz.fits` in the brick's folder.
pub fn path(brick: u8, band: usize) -> PathBuf {
    let camera = match BANDS[band].camera {
        Camera::Acs => "acs-wfc",
        Camera::Uvis => "wfc3-uvis",
        Camera::Ir => "wfc3-ir",
    };
    format!("brick{brick:02}/hlsp_phat_hst_{camera}_{}-m31-b{brick:02}_{}_v1_drz.fits", program(brick), BANDS[band].lower).into()
}

/// A mosaic's pixels and where they are.
struct Grid {
    size: usize,
    /// 1-based pixel of the tangent point.
    crpix: f64,
    pixel_arcsec: f64,
}

impl Grid {
    fn new(side_arcsec: f64, pixel_arcsec: f64) -> Grid {
        let size = (side_arcsec / pixel_arcsec).round() as usize;
        Grid { size, crpix: (size as f64 + 1.0) / 2.0, pixel_arcsec }
    }

    /// The 0-based pixel of a star.
    fn pixel(&self, field: &Field, sky_deg: [f64; 2]) -> [f64; 2] {
        let reference = field.wcs.pixel(sky_deg);
        [0, 1].map(|k| (reference[k] - CENTRE_PX[k]) * PIXEL_ARCSEC / self.pixel_arcsec + self.crpix - 1.0)
    }
}

/// The stars of a brick's fields that a mosaic about the first of them shows, each once.
pub fn stars(population: &Population, fields: &[usize], side_arcsec: f64) -> Vec<Star> {
    let grid = Grid::new(side_arcsec, PIXEL_ARCSEC);
    let centre = &population.survey().fields[fields[0]];
    let range = -MOST_RADIUS_PX..grid.size as f64 + MOST_RADIUS_PX;
    let is_near = |star: &Star| grid.pixel(centre, star.sky_deg).iter().all(|place| range.contains(place));
    let mut found: Vec<Star> = Vec::new();
    for &field in fields {
        // the catalogue of the Cepheid's field has no other star near it
        let is_alone = cepheid::is_field(&population.survey().fields[field]);
        let is_seen = |star: &Star| is_near(star) && !(is_alone && cepheid::is_near(star.sky_deg));
        found.extend(population.shared(field).into_iter().filter(is_seen));
        found.extend(population.own(field).filter(is_near));
    }
    found.sort_by_key(|star| star.id);
    found.dedup_by_key(|star| star.id);
    found
}

/// Draws and writes the mosaic of one band.
pub fn write(
    out: &Path,
    seed: u64,
    field: &Field,
    band: usize,
    side_arcsec: f64,
    stars: &[Star],
    exposures: &[Exposure],
) -> Result<Written, Error> {
    let path = path(field.brick, band);
    let (bands, optics) = (&BANDS[band], optics(&BANDS[band]));
    let grid = Grid::new(side_arcsec, optics.pixel_arcsec);
    let seconds: f64 = bands.exposures_s.iter().sum();
    let mut light = vec![0_f64; grid.size * grid.size];
    for star in stars {
        let rate = 10f64.powf(0.4 * (bands.zeropoint - star.mags[band]));
        add_star(
            &mut light,
            &grid,
            grid.pixel(field, star.sky_deg),
            rate,
            optics.width_arcsec / optics.pixel_arcsec,
            noise_floor(bands, &optics, seconds),
        );
    }
    let mut random = stream(seed, field, PURPOSE_IMAGE + band as u64);
    let mut bytes = header(field, bands, &optics, &grid, seconds, exposures).bytes();
    bytes.reserve(light.len() * 4 + BLOCK);
    for rate in light {
        let value = rate + noise(&mut random, rate, bands, &optics, seconds);
        bytes.extend_from_slice(&(value as f32).to_be_bytes());
    }
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    let (whole, part) = (out.join(&path), part_name(&out.join(&path)));
    at("write", &whole, fs::write(&part, &bytes).and_then(|()| fs::rename(&part, &whole)))?;
    Ok(Written { path, rows: stars.len() as u64, bytes: bytes.len() as u64 })
}

/// Sigma of an empty pixel, electrons per second.
fn noise_floor(band: &Band, optics: &Optics, seconds: f64) -> f64 {
    let read = optics.read_noise.powi(2) * band.exposures_s.len() as f64;
    (sky_rate(band, optics) * seconds + read).sqrt() / seconds
}

/// The sky in a pixel of the mosaic; the facts tell it for a pixel of the detector, whose sizes are 0.05, 0.04, 0.13 arcsec.
fn sky_rate(band: &Band, optics: &Optics) -> f64 {
    let detector_arcsec = if band.camera == Camera::Ir { 0.13 } else { optics.pixel_arcsec };
    band.sky_per_s * (optics.pixel_arcsec / detector_arcsec).powi(2)
}

fn noise(random: &mut ChaCha8Rng, rate: f64, band: &Band, optics: &Optics, seconds: f64) -> f64 {
    let normal: f64 = random.sample(StandardNormal);
    normal * (noise_floor(band, optics, seconds).powi(2) + rate.max(0.0) / seconds).sqrt()
}

/// Adds a star's light: a Moffat profile out to where it is lost in the noise.
fn add_star(light: &mut [f64], grid: &Grid, [x, y]: [f64; 2], rate: f64, width_px: f64, floor: f64) {
    let alpha = width_px / (2.0 * (2f64.powf(1.0 / BETA) - 1.0).sqrt());
    let peak = rate * (BETA - 1.0) / (std::f64::consts::PI * alpha * alpha);
    let profile = |r2: f64| peak * (1.0 + r2 / (alpha * alpha)).powf(-BETA);
    let lost = (peak / (0.02 * floor)).max(1.0).powf(1.0 / BETA) - 1.0;
    let radius = (alpha * lost.max(0.0).sqrt()).clamp(3.0, MOST_RADIUS_PX);
    let range = |centre: f64| ((centre - radius).ceil().max(0.0) as usize, (centre + radius).floor().min(grid.size as f64 - 1.0));
    let ((left, right), (low, high)) = (range(x), range(y));
    for row in low..=high.max(-1.0) as usize {
        for column in left..=right.max(-1.0) as usize {
            let (dx, dy) = (column as f64 - x, row as f64 - y);
            if right >= 0.0 && high >= 0.0 && dx * dx + dy * dy <= radius * radius {
                light[row * grid.size + column] += integrated(dx, dy, width_px, &profile);
            }
        }
    }
}

/// The mean of a profile over a pixel; far out its middle will do.
fn integrated(dx: f64, dy: f64, width_px: f64, profile: &impl Fn(f64) -> f64) -> f64 {
    const FINE: usize = 7;
    if dx.hypot(dy) > 3.0 * width_px {
        return profile(dx * dx + dy * dy);
    }
    let offset = |k: usize| (k as f64 + 0.5) / FINE as f64 - 0.5;
    let sum: f64 = (0..FINE * FINE).map(|k| profile((dx + offset(k % FINE)).powi(2) + (dy + offset(k / FINE)).powi(2))).sum();
    sum / (FINE * FINE) as f64
}

fn header(field: &Field, band: &Band, optics: &Optics, grid: &Grid, seconds: f64, exposures: &[Exposure]) -> Header {
    let mut header = Header::default();
    let (instrument, detector) = match band.camera {
        Camera::Acs => ("ACS", "WFC"),
        Camera::Uvis => ("WFC3", "UVIS"),
        Camera::Ir => ("WFC3", "IR"),
    };
    let size = grid.size as i64;
    let first = exposures.iter().filter(|image| BANDS[image.band].name == band.name).min_by(|a, b| a.mjd.total_cmp(&b.mjd));
    let last = exposures
        .iter()
        .filter(|image| BANDS[image.band].name == band.name)
        .map(|image| image.mjd + image.exptime_s / 86_400.0)
        .fold(0.0, f64::max);
    let scale = optics.pixel_arcsec / PIXEL_ARCSEC;
    let cd = field.wcs.cd().map(|row| row.map(|element| element * scale));
    let date = first.map_or(String::new(), |image| image.date.clone());
    let cards: Vec<(&str, Value, &str)> = vec![
        ("SIMPLE", Value::Logical(true), "conforms to FITS standard"),
        ("BITPIX", Value::Integer(-32), "array data type"),
        ("NAXIS", Value::Integer(2), "number of array dimensions"),
        ("NAXIS1", Value::Integer(size), ""),
        ("NAXIS2", Value::Integer(size), ""),
        ("ORIGIN", "brickyard simulate".into(), "synthetic: no photon of the sky is in it"),
        ("TELESCOP", "HST".into(), ""),
        ("INSTRUME", instrument.into(), ""),
        ("DETECTOR", detector.into(), ""),
        ("FILTER", band.name.into(), ""),
        ("PROPOSID", Value::Integer(program(field.brick).into()), ""),
        ("TARGNAME", Value::Text(format!("M31-B{:02}", field.brick)), ""),
        ("EXPTIME", Value::Float(seconds), "[s] all exposures together"),
        ("EXPSTART", Value::Float(first.map_or(0.0, |image| image.mjd)), "[d] MJD of the first exposure"),
        ("EXPEND", Value::Float(last), "[d] MJD of the end of the last one"),
        ("DATE-OBS", Value::Text(date), ""),
        ("BUNIT", "ELECTRONS/S".into(), ""),
        ("PHOTFLAM", Value::Float(optics.photflam), "erg/cm2/A per electron, nominal"),
        ("PHOTPLAM", Value::Float(optics.pivot_angstrom), "[Angstrom] pivot wavelength"),
        ("PHOTZPT", Value::Float(-21.1), "ST magnitude zero point"),
        ("VEGAZPT", Value::Float(band.zeropoint), "Vega magnitude of 1 electron/s"),
        ("RADESYS", "ICRS".into(), ""),
        ("CTYPE1", "RA---TAN".into(), ""),
        ("CTYPE2", "DEC--TAN".into(), ""),
        ("CUNIT1", "deg".into(), ""),
        ("CUNIT2", "deg".into(), ""),
        ("CRVAL1", Value::Float(field.wcs.crval_deg[0]), ""),
        ("CRVAL2", Value::Float(field.wcs.crval_deg[1]), ""),
        ("CRPIX1", Value::Float(grid.crpix), ""),
        ("CRPIX2", Value::Float(grid.crpix), ""),
        ("CD1_1", Value::Float(cd[0][0]), ""),
        ("CD1_2", Value::Float(cd[0][1]), ""),
        ("CD2_1", Value::Float(cd[1][0]), ""),
        ("CD2_2", Value::Float(cd[1][1]), ""),
        ("ORIENTAT", Value::Float(field.wcs.roll_deg), "[deg] position angle of +y"),
    ];
    for (key, value, comment) in cards {
        header.set(key, value, comment);
    }
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_keeps_its_light_and_its_place() {
        let grid = Grid { size: 121, crpix: 61.0, pixel_arcsec: 0.05 };
        let mut light = vec![0.0; 121 * 121];
        add_star(&mut light, &grid, [60.3, 59.8], 1000.0, 2.1, 1e-9);
        let total: f64 = light.iter().sum();
        assert!((total - 1000.0).abs() < 5.0, "{total}");
        let mean = |k: usize| {
            light.iter().enumerate().map(|(at, value)| value * if k == 0 { at % 121 } else { at / 121 } as f64).sum::<f64>() / total
        };
        assert!((mean(0) - 60.3).abs() < 0.02 && (mean(1) - 59.8).abs() < 0.02, "{} {}", mean(0), mean(1));
        // beyond the edge
        add_star(&mut light, &grid, [-500.0, 60.0], 1000.0, 2.1, 1.0);
        add_star(&mut light, &grid, [125.0, 118.0], 1000.0, 2.1, 1.0);
    }
}
