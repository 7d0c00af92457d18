//! The bounds of a region along the three axes of the unit sphere: what an index on ranges can tell of regions that a table holds.
//!
//! A box about a region has no seam at 0 hours and no trouble at the poles. Two regions with a position in common have bounds that overlap
//! along every axis; the reverse is not so, so that an exact test follows.

use super::region::{Kind, Loop, Shape};
use super::vector::{self, Vector};

/// Lowest and highest coordinate along x, y and z in steps of 1e-9 radians, both within.
pub type Reach = [[i32; 2]; 3];

/// Steps in the radius of the sphere.
pub const STEPS: f64 = 1e9;

impl Shape {
    /// The bounds, a step wider on each side, which is more than rounding does.
    pub fn reach(&self) -> Reach {
        let bounds = match &self.kind {
            Kind::Disc(disc) => [0, 1, 2].map(|axis| {
                let angle = disc.centre[axis].clamp(-1.0, 1.0).acos();
                [(angle + disc.radius).min(std::f64::consts::PI).cos(), (angle - disc.radius).max(0.0).cos()]
            }),
            Kind::Loop(polygon) => [0, 1, 2].map(|axis| of_loop(polygon, axis)),
        };
        bounds.map(|[low, high]| [(low * STEPS).floor() as i32 - 1, (high * STEPS).ceil() as i32 + 1])
    }
}

/// Along one axis a polygon ends at its edge, or at the axis itself if that is within.
fn of_loop(polygon: &Loop, axis: usize) -> [f64; 2] {
    let mut bounds = [f64::INFINITY, f64::NEG_INFINITY];
    let mut take = |value: f64| bounds = [bounds[0].min(value), bounds[1].max(value)];
    for (a, b) in polygon.sides() {
        take(a[axis]);
        take(b[axis]);
        turns(a, b, axis).into_iter().flatten().for_each(&mut take);
    }
    for sign in [1.0, -1.0] {
        let mut end = [0.0; 3];
        end[axis] = sign;
        if polygon.contains(end) {
            take(sign);
        }
    }
    bounds
}

/// Where the coordinate turns on the arc from `a` to `b`: at the points of its great circle nearest to the axis, if they lie on the arc.
fn turns(a: Vector, b: Vector, axis: usize) -> [Option<f64>; 2] {
    let pole = vector::cross(a, b);
    let length = vector::norm(pole);
    if length == 0.0 {
        return [None; 2];
    }
    let pole = vector::scale(pole, 1.0 / length);
    let mut towards = vector::scale(pole, -pole[axis]);
    towards[axis] += 1.0;
    [1.0, -1.0].map(|sign| {
        let point = vector::scale(towards, sign);
        let is_on_arc = vector::dot(vector::cross(pole, a), point) > 0.0 && vector::dot(vector::cross(b, pole), point) > 0.0;
        is_on_arc.then(|| vector::normalise(point)[axis]).filter(|value| value.is_finite())
    })
}

#[cfg(test)]
mod tests {
    use super::super::Region;
    use super::*;

    fn reach(region: Region) -> [[f64; 2]; 3] {
        region.prepare().unwrap().reach().map(|ends| ends.map(|end| f64::from(end) / STEPS))
    }

    #[test]
    fn arcs_bulge_and_caps_hold_their_pole() {
        let [_, _, z] = reach(Region::Circle { ra_deg: 30.0, dec_deg: 80.0, radius_deg: 15.0 });
        assert!((z[0] - 65f64.to_radians().sin()).abs() < 1e-8 && (z[1] - 1.0).abs() < 1e-8, "{z:?}");
        // a great circle between two places of one latitude passes north of it
        let [_, _, z] = reach(Region::Polygon(vec![(350.0, 45.0), (10.0, 45.0), (0.0, 10.0)]));
        let top = (1.0_f64 / 10f64.to_radians().cos()).atan().sin();
        assert!((z[0] - 10f64.to_radians().sin()).abs() < 1e-8 && (z[1] - top).abs() < 1e-8, "{z:?} {top}");
        let [x, y, z] = reach(Region::Polygon(vec![(0.0, 80.0), (120.0, 80.0), (240.0, 80.0)]));
        assert!(x[0] < 0.0 && x[1] > 0.0 && y[0] < 0.0 && y[1] > 0.0 && (z[1] - 1.0).abs() < 1e-8, "{x:?} {y:?} {z:?}");
        assert_eq!(
            Region::Circle { ra_deg: 1.0, dec_deg: 1.0, radius_deg: 180.0 }.prepare().unwrap().reach(),
            [[-1_000_000_001, 1_000_000_001]; 3]
        );
    }

    proptest::proptest! {
        #[test]
        fn what_lies_within_lies_within_the_bounds(
            ra in 0.0..360.0_f64, dec in -90.0..90.0_f64, size in 1e-4..60.0_f64, along in 0.0..std::f64::consts::TAU, part in 0.0..1.0_f64
        ) {
            let at = |angle: f64, far: f64| {
                let [x, y] = [(far * size).to_radians() * angle.cos(), (far * size).to_radians() * angle.sin()];
                let centre = vector::unit(ra, dec);
                let (east, north) = (vector::unit(ra + 90.0, 0.0), vector::cross(centre, vector::unit(ra + 90.0, 0.0)));
                let direction = vector::add(centre, vector::add(vector::scale(east, x), vector::scale(north, y)));
                vector::position(vector::normalise(direction))
            };
            let corners: Vec<(f64, f64)> = (0..5).map(|n| at(f64::from(n) * 1.2566, 1.0 - 0.1 * f64::from(n))).collect();
            let regions = [Region::Polygon(corners), Region::Circle { ra_deg: ra, dec_deg: dec, radius_deg: size }];
            let (lon, lat) = at(along, part);
            let place = vector::unit(lon, lat);
            for region in regions {
                let shape = region.prepare().unwrap();
                if shape.contains(lon, lat) {
                    for (value, [low, high]) in place.into_iter().zip(shape.reach()) {
                        proptest::prop_assert!((f64::from(low)..=f64::from(high)).contains(&(value * STEPS)));
                    }
                }
            }
        }
    }
}
