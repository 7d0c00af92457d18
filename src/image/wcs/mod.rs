//! World coordinates of an image: FITS pixels to the sky and back.
//!
//! ```text
//! pixel -(detector tables)- + SIP + tables -> CD | PC CDELT | CROTA -> TPV | plate -> projection -> sphere -> header's frame -> ICRS
//! ```
//!
//! Greisen & Calabretta 2002 and Calabretta & Greisen 2002 (papers I and II); astropy is the judge, to whom all headers
//! were shown that it accepts. Pixel (1, 1) is the centre of the first one. Celestial axes are the two pixel axes 1 and 2;
//! further axes must not turn with them.

mod distortion;
pub mod frame;
mod projection;

pub use distortion::Lookup;
pub use projection::Projection;

use super::header::Header;
use distortion::{PlateWcs, Polynomial, Sip, newton};
use frame::Frame;
use std::f64::consts::PI;

const D: f64 = PI / 180.0;

/// A celestial world coordinate system.
#[derive(Debug, Clone, PartialEq)]
pub struct Wcs {
    pub crpix: [f64; 2],
    /// The header's CRVAL: (longitude, latitude) in degrees.
    pub crval_deg: [f64; 2],
    /// Intermediate world coordinates (longitude, latitude) in degrees per pixel of x and y.
    pub cd_deg: [[f64; 2]; 2],
    inverse: [[f64; 2]; 2],
    pub projection: Projection,
    pole: Pole,
    pub frame: Frame,
    distortion: Distortion,
    polynomial: Option<Polynomial>,
}

/// What shifts pixels before the linear part.
#[derive(Debug, Clone, Default, PartialEq)]
struct Distortion {
    detector: [Option<Lookup>; 2],
    sip: Option<Sip>,
    tables: [Option<Lookup>; 2],
}

/// Gives the lookup table of an extension (EXTNAME, EXTVER), or says why not.
pub type Tables<'a> = dyn FnMut(&str, i64) -> Result<Lookup, String> + 'a;

impl Wcs {
    /// Reads the WCS `alt` (`' '` or `'A'` to `'Z'`) of a header whose lookup tables `tables` fetches.
    pub fn read(header: &Header, alt: char, tables: &mut Tables<'_>) -> Result<Wcs, String> {
        let suffix = if alt == ' ' { String::new() } else { alt.to_string() };
        let keys = Keys { header, suffix };
        if let Some(plate) = PlateWcs::read(header).filter(|_| alt == ' ') {
            return Wcs::of_plate(header, plate);
        }
        let axes = Axes::read(&keys)?;
        let crpix = [1, 2].map(|axis| keys.number(&format!("CRPIX{axis}")).unwrap_or(0.0));
        let [lon, lat] = axes.order.map(|axis| axis + 1);
        let crval_deg = [lon, lat].map(|axis| keys.number(&format!("CRVAL{axis}")).unwrap_or(0.0) * axes.unit(axis - 1));
        let matrix = linear(&keys, &axes)?;
        let cd_deg = axes.order.map(|axis| matrix[axis].map(|element| element * axes.unit(axis)));
        let inverse = inverted(cd_deg)?;
        let distortion = Distortion::read(header, crpix, tables)?;
        let pv = |axis: usize, m: u32| keys.number(&format!("PV{axis}_{m}"));
        // SCAMP wrote its polynomial as TAN with PV cards; SIP beside it is the same distortion once more
        let may_bend = matches!(axes.code.as_str(), "TAN" | "TPV") && distortion.sip.is_none();
        let scamp = (5..40).any(|m| pv(lon, m).is_some()) || (0..40).any(|m| pv(lat, m).is_some());
        let bends = may_bend && (axes.code == "TPV" || scamp);
        let polynomial = if bends { Polynomial::tpv(|axis, m| pv([lon, lat][axis], m)) } else { None };
        let slope = if axes.code == "NCP" { Some(1.0 / (crval_deg[1] * D).tan()) } else { None };
        let projection = Projection::new(&axes.code, |m| if m == 2 && slope.is_some() { slope } else { pv(lat, m) })?;
        let angle = |key: &str, m: u32| if polynomial.is_none() { pv(lon, m).or_else(|| keys.number(key)) } else { keys.number(key) };
        let pole = Pole::new(crval_deg, projection.theta0_deg(), angle("LONPOLE", 3), angle("LATPOLE", 4))?;
        let radesys = keys.text("RADESYS").or_else(|| header.text("RADECSYS"));
        let equinox = keys.number("EQUINOX").or_else(|| header.number("EPOCH"));
        let frame = Frame::new(&axes.name, radesys.as_deref(), equinox)?;
        Ok(Wcs { crpix, crval_deg, cd_deg, inverse, projection, pole, frame, distortion, polynomial })
    }

    /// A scanned plate: its solution goes before the approximate keys that newer writers put beside it.
    fn of_plate(header: &Header, plate: PlateWcs) -> Result<Wcs, String> {
        let PlateWcs { crpix, crval_deg, cd_deg, plate } = plate;
        Ok(Wcs {
            crpix,
            crval_deg,
            cd_deg,
            inverse: inverted(cd_deg)?,
            projection: Projection::Tan,
            pole: Pole::new(crval_deg, 90.0, None, None)?,
            frame: Frame::new("RA", Some("FK5"), header.number("EQUINOX"))?,
            distortion: Distortion::default(),
            polynomial: Some(Polynomial::Plate(Box::new(plate))),
        })
    }

    /// Memory of its lookup tables.
    pub fn table_bytes(&self) -> usize {
        let tables = self.distortion.detector.iter().chain(&self.distortion.tables).flatten();
        tables.map(|table| table.values.len() * size_of::<f32>()).sum()
    }

    /// The WCS of a tangent plane about a point (ICRS), north up, east left, `scale_deg` a pixel.
    pub fn north_up(ra_deg: f64, dec_deg: f64, scale_deg: f64, crpix: [f64; 2]) -> Result<Wcs, String> {
        let mut header = Header::default();
        for (key, value) in [
            ("CRVAL1", ra_deg),
            ("CRVAL2", dec_deg),
            ("CDELT1", -scale_deg),
            ("CDELT2", scale_deg),
            ("CRPIX1", crpix[0]),
            ("CRPIX2", crpix[1]),
        ] {
            header.set(key, super::header::Value::Float(value), "");
        }
        header.set("CTYPE1", "RA---TAN".into(), "");
        header.set("CTYPE2", "DEC--TAN".into(), "");
        Wcs::read(&header, ' ', &mut |_, _| Err("no tables".into()))
    }

    /// FITS pixel to the header's own coordinates (longitude in [0, 360), latitude) in degrees.
    pub fn pixel_to_world(&self, x: f64, y: f64) -> Option<[f64; 2]> {
        let flat = self.distortion.apply([x, y]);
        let (dx, dy) = (flat[0] - self.crpix[0], flat[1] - self.crpix[1]);
        let mut plane = self.cd_deg.map(|row| row[0] * dx + row[1] * dy);
        if let Some(polynomial) = &self.polynomial {
            plane = polynomial.apply(plane);
        }
        let [phi, theta] = self.projection.native(plane[0], plane[1])?;
        Some(self.pole.celestial(phi, theta))
    }

    /// The header's own coordinates to a FITS pixel; `None` where the projection or the distortion has no such place.
    pub fn world_to_pixel(&self, lon_deg: f64, lat_deg: f64) -> Option<[f64; 2]> {
        let [phi, theta] = self.pole.native(lon_deg, lat_deg);
        let mut plane = self.projection.plane(phi, theta)?;
        if let Some(polynomial) = &self.polynomial {
            plane = polynomial.invert(plane)?;
        }
        let flat = [0, 1].map(|k| self.crpix[k] + self.inverse[k][0] * plane[0] + self.inverse[k][1] * plane[1]);
        self.distortion.invert(flat)
    }

    /// FITS pixel to ICRS right ascension and declination in degrees.
    pub fn pixel_to_sky(&self, x: f64, y: f64) -> Option<[f64; 2]> {
        let [lon, lat] = self.pixel_to_world(x, y)?;
        Some(self.frame.to_icrs(lon, lat))
    }

    /// ICRS right ascension and declination in degrees to a FITS pixel.
    pub fn sky_to_pixel(&self, ra_deg: f64, dec_deg: f64) -> Option<[f64; 2]> {
        let [lon, lat] = self.frame.of_icrs(ra_deg, dec_deg);
        self.world_to_pixel(lon, lat)
    }

    /// Degrees a pixel along x and y: the lengths of the columns of the linear matrix.
    pub fn scales_deg(&self) -> [f64; 2] {
        [0, 1].map(|k| self.cd_deg[0][k].hypot(self.cd_deg[1][k]))
    }
}

/// The keys of one of a header's WCSs.
struct Keys<'a> {
    header: &'a Header,
    suffix: String,
}

impl Keys<'_> {
    fn number(&self, key: &str) -> Option<f64> {
        self.header.number(&format!("{key}{}", self.suffix))
    }

    fn text(&self, key: &str) -> Option<String> {
        self.header.text(&format!("{key}{}", self.suffix))
    }
}

/// Which of the first two axes is which, the projection's code, and the units.
struct Axes {
    /// 0-based axis of longitude and of latitude.
    order: [usize; 2],
    code: String,
    /// `RA`, `GLON`
    name: String,
    units_deg: [f64; 2],
}

impl Axes {
    fn read(keys: &Keys<'_>) -> Result<Axes, String> {
        let types = [1, 2].map(|axis| keys.text(&format!("CTYPE{axis}")).unwrap_or_default());
        let parts = types.each_ref().map(|ctype| {
            let ctype = ctype.trim();
            let name = ctype.get(..4).unwrap_or(ctype).trim_end_matches('-').to_owned();
            // RA---TAN-SIP: four letters, a hyphen, three letters, and what a convention adds
            let code = ctype.get(5..8).unwrap_or("").trim_matches('-').to_owned();
            (name, code)
        });
        let is_lon = |name: &str| matches!(name, "RA" | "GLON" | "ELON" | "SLON");
        let is_lat = |name: &str| matches!(name, "DEC" | "GLAT" | "ELAT" | "SLAT");
        let order = match (parts[0].0.as_str(), parts[1].0.as_str()) {
            (a, b) if is_lon(a) && is_lat(b) => [0, 1],
            (a, b) if is_lat(a) && is_lon(b) => [1, 0],
            _ => return Err(format!("CTYPE1 {:?} and CTYPE2 {:?} are not celestial coordinates", types[0], types[1])),
        };
        let (name, code) = parts[order[0]].clone();
        if code.is_empty() || code != parts[order[1]].1 {
            return Err(format!("CTYPE1 {:?} and CTYPE2 {:?} do not name one projection", types[0], types[1]));
        }
        let mut units_deg = [1.0; 2];
        for (axis, unit) in units_deg.iter_mut().enumerate() {
            *unit = match keys.text(&format!("CUNIT{}", axis + 1)).unwrap_or_default().trim().to_ascii_lowercase().as_str() {
                "" | "deg" | "degree" | "degrees" => 1.0,
                "arcmin" => 1.0 / 60.0,
                "arcsec" => 1.0 / 3600.0,
                "mas" => 1.0 / 3.6e6,
                "rad" => 180.0 / PI,
                other => return Err(format!("CUNIT{} is {other:?}, wanted an angle such as deg", axis + 1)),
            };
        }
        Ok(Axes { order, code, name, units_deg })
    }

    fn unit(&self, axis: usize) -> f64 {
        self.units_deg[axis]
    }
}

/// The matrix from pixels to CTYPE units, by CD, or PC and CDELT, or CDELT and CROTA.
fn linear(keys: &Keys<'_>, axes: &Axes) -> Result<[[f64; 2]; 2], String> {
    // PC001002 is what PC1_2 was before the standard
    let element = |name: &str, i: usize, j: usize| {
        let old = || keys.number(&format!("{name}{:03}{:03}", i + 1, j + 1)).filter(|_| name == "PC");
        keys.number(&format!("{name}{}_{}", i + 1, j + 1)).or_else(old)
    };
    let pairs = [(0, 0), (0, 1), (1, 0), (1, 1)];
    if pairs.iter().any(|&(i, j)| element("CD", i, j).is_some()) {
        return Ok([0, 1].map(|i| [0, 1].map(|j| element("CD", i, j).unwrap_or(0.0))));
    }
    let cdelt = [1, 2].map(|axis| keys.number(&format!("CDELT{axis}")).unwrap_or(1.0));
    if cdelt.contains(&0.0) {
        return Err("CDELT is 0".into());
    }
    let has_pc = pairs.iter().any(|&(i, j)| element("PC", i, j).is_some());
    // the rotation stands at the latitude axis
    let turn_deg = keys.number(&format!("CROTA{}", axes.order[1] + 1)).filter(|_| !has_pc).unwrap_or(0.0);
    let pc = if has_pc {
        [0, 1].map(|i| [0, 1].map(|j| element("PC", i, j).unwrap_or(if i == j { 1.0 } else { 0.0 })))
    } else {
        let (sin, cos) = (turn_deg * D).sin_cos();
        let [lon, lat] = axes.order;
        let mut pc = [[cos, 0.0], [0.0, cos]];
        pc[lon][lat] = -sin * cdelt[lat] / cdelt[lon];
        pc[lat][lon] = sin * cdelt[lon] / cdelt[lat];
        pc
    };
    Ok([0, 1].map(|i| [0, 1].map(|j| cdelt[i] * pc[i][j])))
}

fn inverted(m: [[f64; 2]; 2]) -> Result<[[f64; 2]; 2], String> {
    let determinant = m[0][0] * m[1][1] - m[0][1] * m[1][0];
    let inverse = [[m[1][1] / determinant, -m[0][1] / determinant], [-m[1][0] / determinant, m[0][0] / determinant]];
    let fine = inverse.iter().flatten().all(|element| element.is_finite());
    fine.then_some(inverse).ok_or_else(|| "the matrix of the WCS is singular".into())
}

impl Distortion {
    fn read(header: &Header, crpix: [f64; 2], tables: &mut Tables<'_>) -> Result<Distortion, String> {
        let mut read = |kind: &str, record: &str, name: &str| -> Result<[Option<Lookup>; 2], String> {
            let mut found = [None, None];
            for (axis, table) in found.iter_mut().enumerate() {
                let Some(form) = header.text(&format!("{kind}{}", axis + 1)) else { continue };
                if !form.trim().eq_ignore_ascii_case("lookup") {
                    return Err(format!("{kind}{} is {form:?}, only lookup tables are known", axis + 1));
                }
                let records = header.records(&format!("{record}{}", axis + 1));
                let version = records.iter().find(|(field, _)| field == "EXTVER").map_or(1.0, |(_, value)| *value);
                *table = Some(tables(name, version as i64)?);
            }
            Ok(found)
        };
        let detector = read("D2IMDIS", "D2IM", "D2IMARR")?;
        let after = read("CPDIS", "DP", "WCSDVARR")?;
        Ok(Distortion { detector, sip: Sip::read(header, crpix)?, tables: after })
    }

    fn is_none(&self) -> bool {
        self.sip.is_none() && self.detector.iter().chain(&self.tables).all(Option::is_none)
    }

    fn apply(&self, pixel: [f64; 2]) -> [f64; 2] {
        let shifted = |tables: &[Option<Lookup>; 2], at: [f64; 2]| [0, 1].map(|k| tables[k].as_ref().map_or(0.0, |table| table.shift(at)));
        let by_detector = shifted(&self.detector, pixel);
        let on_chip = [pixel[0] + by_detector[0], pixel[1] + by_detector[1]];
        let by_tables = shifted(&self.tables, on_chip);
        let by_sip = self.sip.as_ref().map_or([0.0; 2], |sip| sip.shift(on_chip));
        [0, 1].map(|k| on_chip[k] + by_tables[k] + by_sip[k])
    }

    fn invert(&self, flat: [f64; 2]) -> Option<[f64; 2]> {
        if self.is_none() {
            return Some(flat);
        }
        newton(flat, flat, 0.01, 1e-8, |pixel| self.apply(pixel))
    }
}

/// The native sphere's pole on the celestial one, and where the celestial pole lies on it (paper II, 2.4).
#[derive(Debug, Clone, PartialEq)]
struct Pole {
    lon_deg: f64,
    lat_deg: f64,
    /// Native longitude of the celestial pole, LONPOLE.
    phi_deg: f64,
}

impl Pole {
    fn new(crval_deg: [f64; 2], theta0_deg: f64, lonpole_deg: Option<f64>, latpole_deg: Option<f64>) -> Result<Pole, String> {
        let [alpha0, delta0] = crval_deg;
        if delta0.abs() > 90.0 {
            return Err(format!("the latitude of the reference point is {delta0}"));
        }
        let phi_deg = lonpole_deg.unwrap_or(if delta0 >= theta0_deg { 0.0 } else { 180.0 });
        if theta0_deg == 90.0 {
            return Ok(Pole { lon_deg: alpha0, lat_deg: delta0, phi_deg });
        }
        // theta0 = 0 and phi0 = 0, eqs. 8-10
        let cos_delta0 = (delta0 * D).cos();
        let (sin_phi, cos_phi) = (phi_deg * D).sin_cos();
        let first = if cos_phi < -1e-12 { 180.0 } else { 0.0 };
        let ratio = (delta0 * D).sin() / cos_phi.abs();
        if ratio.abs() > 1.0 + 1e-10 {
            return Err(format!("LONPOLE {phi_deg} is not possible at the latitude {delta0} of the reference point"));
        }
        let second = if cos_phi.abs() < 1e-12 { 0.0 } else { ratio.clamp(-1.0, 1.0).acos() / D };
        let wanted = latpole_deg.unwrap_or(90.0);
        let candidates = [first + second, first - second].map(|angle| {
            if angle > 180.0 {
                angle - 360.0
            } else if angle < -180.0 {
                angle + 360.0
            } else {
                angle
            }
        });
        let lat_deg = if cos_phi.abs() < 1e-12 {
            wanted.clamp(-90.0, 90.0)
        } else {
            let valid = candidates.into_iter().filter(|lat| lat.abs() <= 90.0 + 1e-10);
            let nearest = valid.min_by(|a, b| (a - wanted).abs().total_cmp(&(b - wanted).abs()));
            nearest.ok_or("LONPOLE and LATPOLE have no solution")?.clamp(-90.0, 90.0)
        };
        let lon_deg = if cos_delta0.abs() < 1e-12 {
            alpha0
        } else if (lat_deg - 90.0).abs() < 1e-10 {
            alpha0 + phi_deg - 180.0
        } else if (lat_deg + 90.0).abs() < 1e-10 {
            alpha0 - phi_deg
        } else {
            let (sin_lat, cos_lat) = (lat_deg * D).sin_cos();
            let cos = -sin_lat * (delta0 * D).sin() / (cos_lat * cos_delta0);
            alpha0 - (sin_phi / cos_delta0).atan2(cos) / D
        };
        Ok(Pole { lon_deg, lat_deg, phi_deg })
    }

    /// Eq. 2.
    fn celestial(&self, phi_deg: f64, theta_deg: f64) -> [f64; 2] {
        let [lon, lat] = turn(phi_deg - self.phi_deg, theta_deg, self.lat_deg);
        [wrapped(self.lon_deg + lon), lat]
    }

    /// Eq. 5; phi in (-180, 180].
    fn native(&self, lon_deg: f64, lat_deg: f64) -> [f64; 2] {
        let [phi, theta] = turn(lon_deg - self.lon_deg, lat_deg, self.lat_deg);
        let phi = (self.phi_deg + phi).rem_euclid(360.0);
        [if phi > 180.0 { phi - 360.0 } else { phi }, theta]
    }
}

/// The turn between the spheres, its own inverse but for the longitudes' origins.
fn turn(lon_deg: f64, lat_deg: f64, pole_deg: f64) -> [f64; 2] {
    let ((sin_lon, cos_lon), (sin_lat, cos_lat)) = ((lon_deg * D).sin_cos(), (lat_deg * D).sin_cos());
    let (sin_pole, cos_pole) = (pole_deg * D).sin_cos();
    let x = sin_lat * cos_pole - cos_lat * sin_pole * cos_lon;
    let y = -cos_lat * sin_lon;
    let z = sin_lat * sin_pole + cos_lat * cos_pole * cos_lon;
    [y.atan2(x) / D, z.atan2(x.hypot(y)) / D]
}

fn wrapped(lon_deg: f64) -> f64 {
    let lon = lon_deg.rem_euclid(360.0);
    if lon >= 360.0 { 0.0 } else { lon }
}
