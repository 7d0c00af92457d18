//! Celestial frames of headers, to ICRS and back.
//!
//! FK5 of J2000 differs from ICRS by a rotation of some 20 mas (Hilton & Hohenkerk 2004, A&A 413, 765, by the axis
//! offsets of Mignard & Froeschle 2000), FK5 of other equinoxes by the precession of Lieske 1979, galactic and
//! supergalactic by their poles, FK4 by the E-terms of aberration and the matrix of Murray 1989 (A&A 218, 325) at the
//! epoch of the equinox, mean ecliptic of J2000 by its obliquity.

use std::f64::consts::PI;

const D: f64 = PI / 180.0;
const ARCSEC: f64 = D / 3600.0;

type Matrix = [[f64; 3]; 3];

const IDENTITY: Matrix = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];

/// The frame of a header's coordinates.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    pub name: String,
    /// Rotation to ICRS.
    to_icrs: Matrix,
    /// E-terms of aberration that the coordinates contain, for FK4.
    e_terms: [f64; 3],
}

impl Frame {
    /// The frame of CTYPE's first four letters (`RA--`, `GLON`), RADESYS and EQUINOX.
    pub fn new(axis: &str, radesys: Option<&str>, equinox: Option<f64>) -> Result<Frame, String> {
        let plain = |name: &str, to_icrs: Matrix| Ok(Frame { name: name.into(), to_icrs, e_terms: [0.0; 3] });
        let fk5 = product(&transposed(&icrs_to_fk5()), &IDENTITY);
        match axis {
            "GLON" | "GLAT" => {
                return plain(
                    "GALACTIC",
                    product(&fk5, &transposed(&poles(192.859_481_206_534_8, 27.128_251_180_856_22, 122.931_918_568_002_6))),
                );
            }
            "ELON" | "ELAT" => return plain("ECLIPTIC", rotation(0, -84_381.448 * ARCSEC)),
            "SLON" | "SLAT" => {
                let galactic = product(&fk5, &transposed(&poles(192.859_481_206_534_8, 27.128_251_180_856_22, 122.931_918_568_002_6)));
                return plain("SUPERGALACTIC", product(&galactic, &transposed(&poles(47.37, 6.32, 90.0))));
            }
            "RA" | "DEC" => {}
            other => return Err(format!("the coordinates {other} are not celestial ones that are known")),
        }
        let default = match equinox {
            None => "ICRS",
            Some(year) if year < 1984.0 => "FK4",
            Some(_) => "FK5",
        };
        match radesys.map(str::trim).filter(|name| !name.is_empty()).unwrap_or(default) {
            "ICRS" => plain("ICRS", IDENTITY),
            "FK5" => plain("FK5", product(&fk5, &precession(equinox.unwrap_or(2000.0)))),
            "FK4" => fk4(equinox.unwrap_or(1950.0), &fk5),
            other => Err(format!("RADESYS {other} is not one of ICRS, FK5, FK4")),
        }
    }

    pub fn to_icrs(&self, lon_deg: f64, lat_deg: f64) -> [f64; 2] {
        if self.to_icrs == IDENTITY {
            return [lon_deg, lat_deg];
        }
        let mut v = unit(lon_deg, lat_deg);
        if self.e_terms != [0.0; 3] {
            let along = dot(v, self.e_terms);
            v = std::array::from_fn(|k| v[k] - self.e_terms[k] + along * v[k]);
        }
        position(apply(&self.to_icrs, v))
    }

    pub fn of_icrs(&self, ra_deg: f64, dec_deg: f64) -> [f64; 2] {
        if self.to_icrs == IDENTITY {
            return [ra_deg, dec_deg];
        }
        let v = apply(&transposed(&self.to_icrs), unit(ra_deg, dec_deg));
        if self.e_terms == [0.0; 3] {
            return position(v);
        }
        // v = w - e + (w.e) w, solved for w
        let mut w = v;
        for _ in 0..10 {
            let factor = 1.0 + dot(w, self.e_terms);
            let next = [0, 1, 2].map(|k| (v[k] + self.e_terms[k]) / factor);
            let length = dot(next, next).sqrt();
            w = next.map(|component| component / length);
        }
        position(w)
    }
}

/// FK4 of an equinox, taken as observed at 1950 by stars without proper motion in FK5.
fn fk4(equinox: f64, fk5: &Matrix) -> Result<Frame, String> {
    const B1950_TO_J2000: Matrix = [
        [0.999_925_679_495_687_7, -0.011_181_483_220_466_2, -0.004_859_003_815_359_2],
        [0.011_181_483_239_171_7, 0.999_937_484_893_313_5, -0.000_027_162_594_714_2],
        [0.004_859_003_772_314_3, -0.000_027_170_293_744_0, 0.999_988_194_602_374_2],
    ];
    // the drift of the matrix with the epoch, per century; zero at 1950
    if (equinox - 1950.0).abs() > 1e-6 {
        return Err(format!("FK4 of equinox {equinox}: only B1950 is known"));
    }
    let e_terms = [-1.625_57e-6, -0.319_19e-6, -0.138_43e-6];
    Ok(Frame { name: "FK4".into(), to_icrs: product(fk5, &B1950_TO_J2000), e_terms })
}

/// ICRS to FK5 J2000.
fn icrs_to_fk5() -> Matrix {
    let (eta0, xi0, da0) = (-19.9e-3 * ARCSEC, 9.1e-3 * ARCSEC, -22.9e-3 * ARCSEC);
    product(&product(&rotation(0, -eta0), &rotation(1, xi0)), &rotation(2, da0))
}

/// FK5 of an equinox to FK5 of J2000 (Lieske 1979).
fn precession(equinox: f64) -> Matrix {
    let t = (equinox - 2000.0) / 100.0;
    if t == 0.0 {
        return IDENTITY;
    }
    let polynomial = |terms: [f64; 3]| ((terms[2] * t + terms[1]) * t + terms[0]) * t * ARCSEC;
    let zeta = polynomial([2306.2181, 0.30188, 0.017998]);
    let z = polynomial([2306.2181, 1.09468, 0.018203]);
    let theta = polynomial([2004.3109, -0.42665, -0.041833]);
    transposed(&product(&product(&rotation(2, -z), &rotation(1, theta)), &rotation(2, -zeta)))
}

/// Equatorial to the frame whose pole lies at (ra, dec) and whose longitude of the celestial pole is `lon`.
fn poles(ra_deg: f64, dec_deg: f64, lon_deg: f64) -> Matrix {
    product(&product(&rotation(2, (180.0 - lon_deg) * D), &rotation(1, (90.0 - dec_deg) * D)), &rotation(2, ra_deg * D))
}

/// The rotation of the axes about x, y or z by an angle.
fn rotation(axis: usize, angle: f64) -> Matrix {
    let (sin, cos) = angle.sin_cos();
    let (i, j) = ((axis + 1) % 3, (axis + 2) % 3);
    let mut m = IDENTITY;
    (m[i][i], m[i][j], m[j][i], m[j][j]) = (cos, sin, -sin, cos);
    m
}

fn product(a: &Matrix, b: &Matrix) -> Matrix {
    std::array::from_fn(|i| std::array::from_fn(|j| (0..3).map(|k| a[i][k] * b[k][j]).sum()))
}

fn transposed(a: &Matrix) -> Matrix {
    std::array::from_fn(|i| std::array::from_fn(|j| a[j][i]))
}

fn apply(m: &Matrix, v: [f64; 3]) -> [f64; 3] {
    std::array::from_fn(|i| dot(m[i], v))
}

fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

pub fn unit(lon_deg: f64, lat_deg: f64) -> [f64; 3] {
    let ((sin_lon, cos_lon), (sin_lat, cos_lat)) = ((lon_deg * D).sin_cos(), (lat_deg * D).sin_cos());
    [cos_lon * cos_lat, sin_lon * cos_lat, sin_lat]
}

pub fn position(v: [f64; 3]) -> [f64; 2] {
    [(v[1].atan2(v[0]) / D).rem_euclid(360.0), v[2].atan2(v[0].hypot(v[1])) / D]
}
