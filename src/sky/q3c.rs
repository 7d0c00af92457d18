//! Q3C pixel numbers, bit for bit those of the server's `q3c_ang2ipix`.
//!
//! Q3C (Koposov & Bartunov 2006, ADASS XV, 735) projects the sphere from its centre on the six faces of a cube. Each face
//! has 2^30 x 2^30 bins; the bits of a bin's two numbers are interleaved (x the lower of each pair), and the face stands
//! above them. Face 0 is the north, 5 the south, 1 to 4 are centred on ra 0, 90, 180, 270 of the equator. With r the
//! longitude from a face's centre, the face's coordinates in [-1, 1] are
//!
//! ```text
//! faces 1-4   x = tan r                  y = tan dec / cos r       (|y| > 1 belongs to a polar face)
//! face 0      x =  sin ra / tan dec      y = -cos ra / tan dec
//! face 5      x = -sin ra / tan dec      y = -cos ra / tan dec
//! ```
//!
//! The order of the roundings was found by asking a server (Q3C 2.0.0): no difference in a million positions on all faces,
//! edges, corners and poles. [`ang2ipix`] is that order. The crate's bulk kernel gets the same numbers from the direction
//! cosines that HTM needs anyway, and asks [`ang2ipix`] only when a bin's border is nearer than the rounding.

use super::vector::{self, RADIAN, Vector};

/// Bins along the side of a face.
pub const SIDE: u32 = 1 << 30;

/// One more than the last pixel number.
pub const END: i64 = 6 << 60;

/// The pixel of a position: any ra (wrapped to 0..=360), dec clamped to -90..=90. Equal to `q3c_ang2ipix(ra, dec)`.
///
/// Like the server, ra 360 is not folded to 0, and lands in the neighbouring bin.
pub fn ang2ipix(ra_deg: f64, dec_deg: f64) -> i64 {
    let (face, x, y) = ang2face(ra_deg, dec_deg);
    join(face, x, y)
}

/// The face of a position and its bin there.
pub fn ang2face(ra_deg: f64, dec_deg: f64) -> (u8, u32, u32) {
    let dec_deg = dec_deg.clamp(-90.0, 90.0);
    let ra_deg = wrap(ra_deg);
    let quarter = quarter(ra_deg);
    let r = (ra_deg - 90.0 * f64::from(quarter)) * RADIAN;
    let tan_dec = (dec_deg * RADIAN).tan();
    let y = tan_dec / r.cos();
    if y > 1.0 {
        let ra = ra_deg * RADIAN;
        (0, bin(ra.sin() / tan_dec), bin(-ra.cos() / tan_dec))
    } else if y < -1.0 {
        let ra = ra_deg * RADIAN;
        (5, bin(-ra.sin() / tan_dec), bin(-ra.cos() / tan_dec))
    } else {
        (quarter + 1, bin(r.tan()), bin(y))
    }
}

/// The position of the lowest corner of a pixel, as `q3c_ipix2ang`; `None` outside `0..END`.
pub fn ipix2ang(ipix: i64) -> Option<(f64, f64)> {
    let (face, x, y) = split(ipix)?;
    Some(vector::position(direction(face, coordinate(x), coordinate(y))))
}

/// The pixel number of a bin; `x` and `y` below [`SIDE`].
pub fn join(face: u8, x: u32, y: u32) -> i64 {
    ((u64::from(face) << 60) + (spread(x) | (spread(y) << 1))) as i64
}

/// The face and bin of a pixel; `None` outside `0..END`.
pub fn split(ipix: i64) -> Option<(u8, u32, u32)> {
    let bits = u64::try_from(ipix).ok().filter(|_| ipix < END)?;
    let within = bits & ((1 << 60) - 1);
    Some(((bits >> 60) as u8, gather(within), gather(within >> 1)))
}

/// The face coordinate in [-1, 1] of a bin's lower border.
pub(super) fn coordinate(bin: u32) -> f64 {
    f64::from(bin) * (2.0 / f64::from(SIDE)) - 1.0
}

/// The direction (not of unit length) of a point of a face.
pub(super) fn direction(face: u8, x: f64, y: f64) -> Vector {
    match face {
        0 => [-y, x, 1.0],
        1 => [1.0, x, y],
        2 => [-x, 1.0, y],
        3 => [-1.0, -x, y],
        4 => [x, -1.0, y],
        _ => [y, x, -1.0],
    }
}

/// A direction in the frame of a face: along its x, along its y, towards its centre.
pub(super) fn to_face(face: u8, [x, y, z]: Vector) -> Vector {
    match face {
        0 => [y, -x, z],
        1 => [y, z, x],
        2 => [-x, z, y],
        3 => [-y, z, -x],
        4 => [x, z, -y],
        _ => [y, x, -z],
    }
}

/// As [`ang2ipix`], from the direction that `vector::unit` gave for the same position.
#[inline]
pub(super) fn ipix_of(ra_deg: f64, dec_deg: f64, p: Vector) -> i64 {
    ipix_fast(ra_deg, p).unwrap_or_else(|| ang2ipix(ra_deg, dec_deg))
}

/// `None` where a border of a face or bin is closer than 1e-5 bins: twenty times the error of the direction.
#[inline]
fn ipix_fast(ra_deg: f64, p: Vector) -> Option<i64> {
    if !(0.0..360.0).contains(&ra_deg) {
        return None;
    }
    let side_face = quarter(ra_deg) + 1;
    let [x, y, w] = to_face(side_face, p);
    let height = y / w;
    let (face, x, y) = if height.abs() < 1.0 - 1e-12 {
        (side_face, x / w, height)
    } else if height.abs() > 1.0 + 1e-12 {
        let face = if height > 0.0 { 0 } else { 5 };
        let [x, y, w] = to_face(face, p);
        (face, x / w, y / w)
    } else {
        return None;
    };
    Some(join(face, clear_bin(x)?, clear_bin(y)?))
}

/// The bin of a face coordinate, unless its border is too close to tell.
#[inline]
fn clear_bin(coordinate: f64) -> Option<u32> {
    let position = (coordinate / 2.0 + 0.5) * f64::from(SIDE);
    let bin = position as u32;
    let fraction = position - f64::from(bin);
    (fraction > 1e-5 && fraction < 1.0 - 1e-5 && bin < SIDE).then_some(bin)
}

/// The bin of a face coordinate; 1.0 itself belongs to the last.
fn bin(coordinate: f64) -> u32 {
    // `as` saturates, so that -1 - 1e-16 is bin 0
    (((coordinate / 2.0 + 0.5) * f64::from(SIDE)) as u32).min(SIDE - 1)
}

/// Into 0..=360, as the server: 360 stays, and so does what rounds to it.
fn wrap(ra_deg: f64) -> f64 {
    if ra_deg < 0.0 {
        ra_deg % 360.0 + 360.0
    } else if ra_deg > 360.0 {
        ra_deg % 360.0
    } else {
        ra_deg
    }
}

/// Which quarter of the equator an ra in 0..=360 is nearest to.
#[inline]
fn quarter(ra_deg: f64) -> u8 {
    ((ra_deg + 45.0) / 90.0) as u8 % 4
}

/// Puts a zero bit above each of the 30 bits.
#[inline]
fn spread(bits: u32) -> u64 {
    let mut x = u64::from(bits);
    x = (x | (x << 16)) & 0x0000_ffff_0000_ffff;
    x = (x | (x << 8)) & 0x00ff_00ff_00ff_00ff;
    x = (x | (x << 4)) & 0x0f0f_0f0f_0f0f_0f0f;
    x = (x | (x << 2)) & 0x3333_3333_3333_3333;
    (x | (x << 1)) & 0x5555_5555_5555_5555
}

/// Takes every second bit, the inverse of [`spread`].
fn gather(bits: u64) -> u32 {
    let mut x = bits & 0x5555_5555_5555_5555;
    x = (x | (x >> 1)) & 0x3333_3333_3333_3333;
    x = (x | (x >> 2)) & 0x0f0f_0f0f_0f0f_0f0f;
    x = (x | (x >> 4)) & 0x00ff_00ff_00ff_00ff;
    x = (x | (x >> 8)) & 0x0000_ffff_0000_ffff;
    (x | (x >> 16)) as u32
}
