//! Systems of coordinates: ICRS, FK5 at J2000, galactic, and the rotations between them.
//!
//! FK5 to ICRS: Hilton & Hohenkerk 2004, A&A 413, 765, as IAU SOFA has it (`iauFk5hip`, without spin). Galactic:
//! the pole and zero point of Reid & Brunthaler 2004, ApJ 616, 872, appendix, at FK5; the product of both is that of astropy.

use std::fmt;

/// A system of coordinates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame {
    Icrs,
    Fk5,
    Galactic,
}

type Matrix = [[f64; 3]; 3];

/// ICRS to galactic.
const GALACTIC: Matrix = [
    [-0.054_875_657_712_591_68, -0.873_437_051_955_615_6, -0.483_835_073_616_715_5],
    [0.494_109_437_192_727_5, -0.444_829_721_223_295_17, 0.746_982_183_986_667_6],
    [-0.867_666_137_559_659_7, -0.198_076_337_273_000_75, 0.455_983_813_687_301_6],
];

/// FK5 to ICRS: a rotation by this vector, in milliarcseconds.
const FK5_MAS: [f64; 3] = [-19.9, -9.1, 22.9];

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Frame::Icrs => "ICRS",
            Frame::Fk5 => "FK5",
            Frame::Galactic => "GALACTIC",
        })
    }
}

impl Frame {
    /// A system by the first word of its name (`ICRS GEOCENTER`); nothing at all means ICRS.
    pub fn from_name(name: &str) -> Result<Frame, String> {
        let mut words = name.split_whitespace();
        let frame = match words.next().map(str::to_ascii_uppercase).as_deref() {
            None | Some("ICRS" | "UNKNOWNFRAME" | "UNKNOWN") => Frame::Icrs,
            Some("FK5" | "J2000") => Frame::Fk5,
            Some("GALACTIC" | "GALACTIC_II" | "GAL") => Frame::Galactic,
            Some(_) if is_reference(name.split_whitespace().next().unwrap_or_default()) => Frame::Icrs,
            Some(_) => return Err(format!("the system of coordinates {name:?} is not known here: there are ICRS, FK5 and GALACTIC")),
        };
        match words.find(|word| !is_reference(word)) {
            Some(word) => Err(format!("{word:?} is no part of a system of coordinates")),
            None => Ok(frame),
        }
    }

    /// A position in another system.
    pub fn convert(self, to: Frame, (lon_deg, lat_deg): (f64, f64)) -> (f64, f64) {
        if self == to {
            return (lon_deg, lat_deg);
        }
        let (lon, lat) = (lon_deg.to_radians(), lat_deg.to_radians());
        let direction = [lat.cos() * lon.cos(), lat.cos() * lon.sin(), lat.sin()];
        let icrs = apply(&self.to_icrs(), direction);
        let [x, y, z] = apply(&transposed(&to.to_icrs()), icrs);
        (y.atan2(x).to_degrees().rem_euclid(360.0), z.atan2(x.hypot(y)).to_degrees())
    }

    fn to_icrs(self) -> Matrix {
        match self {
            Frame::Icrs => [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
            Frame::Galactic => transposed(&GALACTIC),
            Frame::Fk5 => {
                let [x, y, z] = FK5_MAS.map(|mas| (mas / 3_600_000.0).to_radians());
                // to second order, which is 1e-14
                [
                    [1.0 - (y * y + z * z) / 2.0, z + x * y / 2.0, -y + x * z / 2.0],
                    [-z + x * y / 2.0, 1.0 - (x * x + z * z) / 2.0, x + y * z / 2.0],
                    [y + x * z / 2.0, -x + y * z / 2.0, 1.0 - (x * x + y * y) / 2.0],
                ]
            }
        }
    }
}

/// Words for the place of the observer and the kind of coordinates, which positions on the sky do not need.
pub fn is_reference(word: &str) -> bool {
    const WORDS: [&str; 12] = [
        "GEOCENTER",
        "BARYCENTER",
        "HELIOCENTER",
        "TOPOCENTER",
        "LSR",
        "LSRK",
        "LSRD",
        "GALACTIC_CENTER",
        "RELOCATABLE",
        "UNKNOWNREFPOS",
        "SPHERICAL2",
        "UNITSPHERICAL",
    ];
    WORDS.iter().any(|known| known.eq_ignore_ascii_case(word))
}

fn apply(matrix: &Matrix, v: [f64; 3]) -> [f64; 3] {
    matrix.map(|row| row[0] * v[0] + row[1] * v[1] + row[2] * v[2])
}

fn transposed(m: &Matrix) -> Matrix {
    [[m[0][0], m[1][0], m[2][0]], [m[0][1], m[1][1], m[2][1]], [m[0][2], m[1][2], m[2][2]]]
}

#[cfg(test)]
mod tests {
    use super::Frame;

    #[test]
    fn positions_as_astropy_converts_them() {
        let near = |(a, b): (f64, f64), (c, d): (f64, f64)| assert!((a - c).abs() < 1e-8 && (b - d).abs() < 1e-8, "{a} {b} is not {c} {d}");
        // SkyCoord(120, -23, unit='deg').galactic, astropy 8.0; the IVOA's own example
        near(Frame::Icrs.convert(Frame::Galactic, (120.0, -23.0)), (241.121831182, 3.62785788087));
        let there = Frame::Galactic.convert(Frame::Icrs, (10.0, 20.0));
        near(Frame::Icrs.convert(Frame::Galactic, there), (10.0, 20.0));
        // SkyCoord(10, 20, unit='deg', frame='fk5').icrs
        near(Frame::Fk5.convert(Frame::Icrs, (10.0, 20.0)), (9.999_991_497_745_736, 19.999_998_470_513_287));
    }
}
