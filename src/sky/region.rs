//! Regions of the sky and which positions they hold.
//!
//! A [`Region`] is what a user says; [`Region::prepare`] checks it and makes a [`Shape`], which answers for many positions.
//! A circle is open, and uses the server's own formula ([`sindist`], bit for bit `q3c_sindist`): a position is inside when
//! `sindist < sin^2(radius / 2)`, as in `q3c_radial_query`. A polygon's sides are great circles; it is tested by counting
//! crossings in a gnomonic projection from a point that sees all of it, where the sides are straight. It may be concave or
//! cross itself (even-odd rule); of the positions exactly on its sides some belong to it and some do not, but polygons
//! that share a side share none of them and leave none out, up to rounding.

use super::Error;
use super::vector::{self, RADIAN, Vector};

/// A region, in degrees.
#[derive(Debug, Clone, PartialEq)]
pub enum Region {
    /// All positions nearer than `radius_deg` (0 to 180) to the centre.
    Circle { ra_deg: f64, dec_deg: f64, radius_deg: f64 },
    /// The box of ADQL and STC: a cross is centred on the position, its arms along the meridian and the great circle at
    /// right angles to it, half the sizes to either side; the sides are the great circles that meet the arms' ends at right
    /// angles. `width_deg` is measured on the sky, not in ra. Both sizes are above 0 and below 180.
    Box { ra_deg: f64, dec_deg: f64, width_deg: f64, height_deg: f64 },
    /// Three or more vertices (ra, dec) in order, joined by the shorter arcs of great circles, all within one open hemisphere.
    Polygon(Vec<(f64, f64)>),
}

/// sin^2 of half the distance of two positions: the number of `q3c_sindist`, bit for bit.
///
/// With a and b the halves of the differences in ra and dec and c half the sum of the decs, it is
/// sin^2 a (cos^2 c - sin^2 b) + sin^2 b, as cos dec1 cos dec2 = cos^2 c - sin^2 b.
pub fn sindist(ra1_deg: f64, dec1_deg: f64, ra2_deg: f64, dec2_deg: f64) -> f64 {
    let a = ((ra1_deg - ra2_deg) / 2.0 * RADIAN).sin();
    let b = ((dec1_deg - dec2_deg) / 2.0 * RADIAN).sin();
    let c = ((dec1_deg + dec2_deg) / 2.0 * RADIAN).cos();
    a * a * (c * c - b * b) + b * b
}

impl Region {
    /// Checks the numbers and makes the region ready for questions.
    pub fn prepare(&self) -> Result<Shape, Error> {
        match self {
            Self::Circle { ra_deg, dec_deg, radius_deg } => {
                Disc::new(*ra_deg, *dec_deg, *radius_deg).map(|disc| Shape { kind: Kind::Disc(disc) })
            }
            Self::Box { ra_deg, dec_deg, width_deg, height_deg } => {
                let corners = box_corners(*ra_deg, *dec_deg, *width_deg, *height_deg)?;
                Loop::new(corners).map(|polygon| Shape { kind: Kind::Loop(polygon) })
            }
            Self::Polygon(vertices) => {
                for (ra_deg, dec_deg) in vertices {
                    valid_centre(*ra_deg, *dec_deg)?;
                }
                let corners = vertices.iter().map(|(ra_deg, dec_deg)| vector::unit(*ra_deg, *dec_deg)).collect();
                Loop::new(corners).map(|polygon| Shape { kind: Kind::Loop(polygon) })
            }
        }
    }

    /// Whether a position is inside. For many positions, [`Region::prepare`] once.
    pub fn contains(&self, ra_deg: f64, dec_deg: f64) -> Result<bool, Error> {
        Ok(self.prepare()?.contains(ra_deg, dec_deg))
    }
}

/// A checked region.
#[derive(Debug, Clone)]
pub struct Shape {
    pub(super) kind: Kind,
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    Disc(Disc),
    Loop(Loop),
}

impl Shape {
    /// Whether a position is inside, as the module says it.
    pub fn contains(&self, ra_deg: f64, dec_deg: f64) -> bool {
        match &self.kind {
            Kind::Disc(disc) => sindist(ra_deg, dec_deg, disc.ra_deg, disc.dec_deg) < disc.sin2_half_radius,
            Kind::Loop(polygon) => polygon.contains(vector::unit(ra_deg, dec_deg)),
        }
    }

    /// A box or polygon seen from the middle of its hemisphere; `None` for circles.
    pub fn projection(&self) -> Option<Projection<'_>> {
        match &self.kind {
            Kind::Disc(_) => None,
            Kind::Loop(polygon) => Some(Projection { axes: polygon.axes, corners: &polygon.flat }),
        }
    }

    /// The corners (ra, dec) of a box or polygon in degrees; empty for circles.
    pub fn corners(&self) -> Vec<(f64, f64)> {
        match &self.kind {
            Kind::Disc(_) => Vec::new(),
            Kind::Loop(polygon) => polygon.corners.iter().map(|corner| vector::position(*corner)).collect(),
        }
    }

    /// Whether a direction is inside, and its distance in radians to the region's edge.
    pub(super) fn locate(&self, p: Vector) -> (bool, f64) {
        match &self.kind {
            Kind::Disc(disc) => {
                let distance = angle(p, disc.centre);
                (distance < disc.radius, (distance - disc.radius).abs())
            }
            Kind::Loop(polygon) => {
                let sides = polygon.sides().map(|(a, b)| distance_to_arc(p, a, b));
                (polygon.contains(p), sides.fold(f64::INFINITY, f64::min))
            }
        }
    }
}

/// A polygon in the gnomonic projection along the last of three axes, in which its sides are straight.
#[derive(Debug, Clone, Copy)]
pub struct Projection<'a> {
    pub axes: [[f64; 3]; 3],
    pub corners: &'a [[f64; 2]],
}

/// A circle on the sky.
#[derive(Debug, Clone)]
pub(super) struct Disc {
    ra_deg: f64,
    dec_deg: f64,
    sin2_half_radius: f64,
    pub(super) centre: Vector,
    /// Radians.
    pub(super) radius: f64,
}

impl Disc {
    fn new(ra_deg: f64, dec_deg: f64, radius_deg: f64) -> Result<Self, Error> {
        valid_centre(ra_deg, dec_deg)?;
        if !(0.0..=180.0).contains(&radius_deg) {
            return Err(Error::Radius { radius_deg });
        }
        let radius = radius_deg * RADIAN;
        let sin2_half_radius = (radius / 2.0).sin().powi(2);
        Ok(Self { ra_deg, dec_deg, sin2_half_radius, centre: vector::unit(ra_deg, dec_deg), radius })
    }
}

/// A polygon seen from `axes[2]`, the middle of a hemisphere that holds all of it.
#[derive(Debug, Clone)]
pub(super) struct Loop {
    corners: Vec<Vector>,
    axes: [Vector; 3],
    /// The corners in the gnomonic projection along `axes[2]`.
    flat: Vec<[f64; 2]>,
}

impl Loop {
    fn new(corners: Vec<Vector>) -> Result<Self, Error> {
        if corners.len() < 3 {
            return Err(Error::Vertices { count: corners.len() });
        }
        let towards = hemisphere(&corners).ok_or(Error::Hemisphere)?;
        let axes = frame(towards);
        let flat = corners.iter().filter_map(|corner| project(&axes, *corner)).collect::<Vec<_>>();
        // `hemisphere` looked at the same dot products, in another order of rounding
        if flat.len() < corners.len() {
            return Err(Error::Hemisphere);
        }
        Ok(Self { corners, axes, flat })
    }

    /// The sides, as pairs of corners.
    pub(super) fn sides(&self) -> impl Iterator<Item = (Vector, Vector)> {
        let next = self.corners.iter().skip(1).chain(self.corners.first());
        self.corners.iter().copied().zip(next.copied())
    }

    /// Even-odd rule: how many sides does the ray from `p` along +x cross?
    pub(super) fn contains(&self, p: Vector) -> bool {
        let Some([x, y]) = project(&self.axes, p) else { return false };
        let next = self.flat.iter().skip(1).chain(self.flat.first());
        let crossings = self.flat.iter().zip(next).filter(|(a, b)| {
            // half-open in y, so that a corner on the ray counts once
            (a[1] > y) != (b[1] > y) && x < a[0] + (b[0] - a[0]) * ((y - a[1]) / (b[1] - a[1]))
        });
        crossings.count() % 2 == 1
    }
}

fn valid_centre(ra_deg: f64, dec_deg: f64) -> Result<(), Error> {
    let fine = ra_deg.is_finite() && (-90.0..=90.0).contains(&dec_deg);
    if fine { Ok(()) } else { Err(Error::Position { ra_deg, dec_deg }) }
}

/// The box is a rectangle in the gnomonic projection from its centre.
fn box_corners(ra_deg: f64, dec_deg: f64, width_deg: f64, height_deg: f64) -> Result<Vec<Vector>, Error> {
    valid_centre(ra_deg, dec_deg)?;
    if !(width_deg > 0.0 && width_deg < 180.0 && height_deg > 0.0 && height_deg < 180.0) {
        return Err(Error::Box { width_deg, height_deg });
    }
    let (ra, dec) = (ra_deg * RADIAN, dec_deg * RADIAN);
    let east = [-ra.sin(), ra.cos(), 0.0];
    let north = [-dec.sin() * ra.cos(), -dec.sin() * ra.sin(), dec.cos()];
    let centre = vector::unit(ra_deg, dec_deg);
    let (x, y) = ((width_deg * RADIAN / 2.0).tan(), (height_deg * RADIAN / 2.0).tan());
    let corner = |(x, y)| vector::normalise(vector::add(centre, vector::add(vector::scale(east, x), vector::scale(north, y))));
    Ok([(x, y), (-x, y), (-x, -y), (x, -y)].map(corner).to_vec())
}

/// A direction from which all corners are less than 90 degrees away: their mean, or what the perceptron rule makes of it.
fn hemisphere(corners: &[Vector]) -> Option<Vector> {
    let mut towards = corners.iter().copied().fold([0.0; 3], vector::add);
    // the rule needs 1 / margin^2 steps; polygons nearer than 0.01 to a full hemisphere are refused
    for _ in 0..20_000 {
        let lowest = corners.iter().min_by(|a, b| vector::dot(**a, towards).total_cmp(&vector::dot(**b, towards)))?;
        if vector::dot(*lowest, towards) > 1e-3 * vector::norm(towards) {
            return Some(vector::normalise(towards));
        }
        towards = vector::add(towards, *lowest);
    }
    None
}

/// Three axes at right angles, the last along `towards`.
fn frame(towards: Vector) -> [Vector; 3] {
    let helper = if towards[2].abs() < 0.9 { [0.0, 0.0, 1.0] } else { [1.0, 0.0, 0.0] };
    let x = vector::normalise(vector::cross(helper, towards));
    [x, vector::cross(towards, x), towards]
}

/// The gnomonic projection along the last axis; `None` on the other hemisphere.
fn project(axes: &[Vector; 3], p: Vector) -> Option<[f64; 2]> {
    let depth = vector::dot(p, axes[2]);
    (depth > 0.0).then(|| [vector::dot(p, axes[0]) / depth, vector::dot(p, axes[1]) / depth])
}

/// The angle between unit vectors in radians, accurate for small angles too.
pub(super) fn angle(a: Vector, b: Vector) -> f64 {
    let half_chord = vector::norm(vector::subtract(a, b)) / 2.0;
    2.0 * half_chord.min(1.0).asin()
}

/// The angle in radians between a direction and the shorter arc from `a` to `b`.
fn distance_to_arc(p: Vector, a: Vector, b: Vector) -> f64 {
    let pole = vector::cross(a, b);
    let faces_arc = vector::dot(vector::cross(pole, a), p) >= 0.0 && vector::dot(vector::cross(b, pole), p) >= 0.0;
    if faces_arc && vector::norm(pole) > 0.0 {
        vector::dot(vector::normalise(pole), p).clamp(-1.0, 1.0).asin().abs()
    } else {
        angle(p, a).min(angle(p, b))
    }
}
