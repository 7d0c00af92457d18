//! Unit vectors on the sphere: x towards (ra 0, dec 0), y towards (90, 0), z towards the north pole.

/// Radians in one degree. Multiply by it, as Q3C and STILTS do: `deg * pi / 180` rounds differently.
pub(super) const RADIAN: f64 = std::f64::consts::PI / 180.0;

pub(super) type Vector = [f64; 3];

/// The direction of a position in degrees.
pub(super) fn unit(ra_deg: f64, dec_deg: f64) -> Vector {
    let (ra, dec) = (ra_deg * RADIAN, dec_deg * RADIAN);
    let (cos_ra, sin_ra) = (ra.cos(), ra.sin());
    let (cos_dec, sin_dec) = (dec.cos(), dec.sin());
    [cos_ra * cos_dec, sin_ra * cos_dec, sin_dec]
}

/// The position (ra in [0, 360), dec) in degrees of a direction of any length.
pub(super) fn position(v: Vector) -> (f64, f64) {
    let ra_deg = v[1].atan2(v[0]) / RADIAN;
    let dec_deg = v[2].atan2(v[0].hypot(v[1])) / RADIAN;
    // -1e-17 + 360 is 360: keep the half-open interval
    let wrapped = if ra_deg < 0.0 { ra_deg + 360.0 } else { ra_deg };
    (if wrapped >= 360.0 { 0.0 } else { wrapped }, dec_deg)
}

pub(super) fn dot(a: Vector, b: Vector) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

pub(super) fn cross(a: Vector, b: Vector) -> Vector {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

pub(super) fn add(a: Vector, b: Vector) -> Vector {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2]]
}

pub(super) fn subtract(a: Vector, b: Vector) -> Vector {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

pub(super) fn scale(a: Vector, factor: f64) -> Vector {
    [a[0] * factor, a[1] * factor, a[2] * factor]
}

pub(super) fn norm(a: Vector) -> f64 {
    dot(a, a).sqrt()
}

pub(super) fn normalise(a: Vector) -> Vector {
    let length = norm(a);
    [a[0] / length, a[1] / length, a[2] / length]
}
