//! HEALPix numbers (Gorski et al. 2005, ApJ 622, 759), by `cdshealpix`, guarded against the positions it panics on.
//!
//! PHAT has two of them: `pix256` is NSIDE 256 in RING order, `pix4096` is NSIDE 4096 in NESTED order. Both come from one
//! computation at depth 12; a cell's parents are its number without the lowest bits.

use std::ops::Range;

use cdshealpix::nested;

use super::Error;
use super::region::{Region, angle};
use super::vector::{self, RADIAN, Vector};

/// The depth (log2 NSIDE) of `pix4096`.
pub const DEPTH_4096: u8 = 12;

/// The depth of `pix256`.
pub const DEPTH_256: u8 = 8;

/// The deepest depth of 64-bit numbers.
pub const MAX_DEPTH: u8 = 29;

/// The cell at `depth` (at most [`MAX_DEPTH`]) in NESTED order. Any finite ra; dec is clamped to -90..=90; a position
/// that is not finite, which `index::valid` refuses, is answered with the cell of (0, 0).
pub fn nest(depth: u8, ra_deg: f64, dec_deg: f64) -> u64 {
    let finite = |angle_deg: f64| if angle_deg.is_finite() { angle_deg } else { 0.0 };
    nested::get(depth).hash(finite(ra_deg) * RADIAN, finite(dec_deg).clamp(-90.0, 90.0) * RADIAN)
}

/// `pix4096`: NSIDE 4096, NESTED.
pub fn nest4096(ra_deg: f64, dec_deg: f64) -> i32 {
    nest(DEPTH_4096, ra_deg, dec_deg) as i32
}

/// `pix256`: NSIDE 256, RING.
pub fn ring256(ra_deg: f64, dec_deg: f64) -> i32 {
    ring256_and_nest4096(ra_deg, dec_deg).0
}

/// Both at the cost of one.
#[inline]
pub fn ring256_and_nest4096(ra_deg: f64, dec_deg: f64) -> (i32, i32) {
    let nest4096 = nest(DEPTH_4096, ra_deg, dec_deg);
    let ring256 = nested::get(DEPTH_256).to_ring(nest4096 >> (2 * (DEPTH_4096 - DEPTH_256)));
    (ring256 as i32, nest4096 as i32)
}

/// How many cells a depth has: 12 * 4^depth.
pub fn cell_count(depth: u8) -> u64 {
    nested::n_hash(depth)
}

/// The centre (ra, dec) in degrees of a cell in NESTED order.
pub fn nest_center_deg(depth: u8, pix: u64) -> Result<(f64, f64), Error> {
    check(depth, pix)?;
    Ok(degrees(nested::center(depth, pix)))
}

/// The centre (ra, dec) in degrees of a cell in RING order.
pub fn ring_center_deg(depth: u8, pix: u64) -> Result<(f64, f64), Error> {
    nest_center_deg(depth, ring_to_nest(depth, pix)?)
}

/// The four corners (ra, dec) in degrees of a cell in NESTED order: south, east, north, west.
pub fn nest_vertices_deg(depth: u8, pix: u64) -> Result<[(f64, f64); 4], Error> {
    check(depth, pix)?;
    Ok(nested::vertices(depth, pix).map(degrees))
}

/// The point (ra, dec) in degrees of a cell in NESTED order at (x, y): parts of its sides from the south corner, at least 0 and below 1,
/// along x to the east corner and along y to the west corner.
pub fn nest_point_deg(depth: u8, pix: u64, x: f64, y: f64) -> Result<(f64, f64), Error> {
    check(depth, pix)?;
    let part = |k: f64| if k.is_finite() { k.clamp(0.0, 1.0 - f64::EPSILON) } else { 0.0 };
    Ok(degrees(nested::sph_coo(depth, pix, part(x), part(y))))
}

/// From RING to NESTED order.
pub fn ring_to_nest(depth: u8, pix: u64) -> Result<u64, Error> {
    check(depth, pix)?;
    Ok(nested::get(depth).from_ring(pix))
}

/// From NESTED to RING order.
pub fn nest_to_ring(depth: u8, pix: u64) -> Result<u64, Error> {
    check(depth, pix)?;
    Ok(nested::get(depth).to_ring(pix))
}

/// Sorted, disjoint ranges of NESTED cells at `depth` that hold every cell the region touches, and at most their
/// neighbours: a cell is kept when the region's edge comes as near to its centre as its farthest corner.
pub fn nest_ranges(depth: u8, region: &Region) -> Result<Vec<Range<u64>>, Error> {
    check(depth, 0)?;
    let shape = region.prepare()?;
    let mut ranges: Vec<Range<u64>> = Vec::new();
    // depth first and in order, so that the ranges come out sorted
    let mut cells: Vec<(u8, u64)> = (0..12).rev().map(|pix| (0, pix)).collect();
    while let Some((at, pix)) = cells.pop() {
        let centre = direction(nested::center(at, pix));
        let (inside, edge_distance) = shape.locate(centre);
        let touches_edge = edge_distance <= reach(at, pix, centre) + 1e-12;
        if touches_edge && at < depth {
            cells.extend((0..4).rev().map(|child| (at + 1, 4 * pix + child)));
        } else if touches_edge || inside {
            let shift = 2 * (depth - at);
            extend(&mut ranges, pix << shift..(pix + 1) << shift);
        }
    }
    Ok(ranges)
}

/// How far a cell reaches from its centre, in radians: to a corner, as healpy's outlines of all cells of depths 0 to 6 show.
/// (The crate's `largest_center_to_vertex_distance` is up to 8 % too small for some cells of depths 1 to 6.)
fn reach(depth: u8, pix: u64, centre: Vector) -> f64 {
    nested::vertices(depth, pix).into_iter().map(|corner| angle(centre, direction(corner))).fold(0.0, f64::max)
}

fn direction(lon_lat: (f64, f64)) -> Vector {
    let (ra_deg, dec_deg) = degrees(lon_lat);
    vector::unit(ra_deg, dec_deg)
}

fn extend(ranges: &mut Vec<Range<u64>>, next: Range<u64>) {
    match ranges.last_mut() {
        Some(last) if last.end == next.start => last.end = next.end,
        _ => ranges.push(next),
    }
}

fn check(depth: u8, pix: u64) -> Result<(), Error> {
    if depth > MAX_DEPTH {
        return Err(Error::Depth { depth });
    }
    let count = cell_count(depth);
    if pix < count { Ok(()) } else { Err(Error::Cell { depth, pix, count }) }
}

fn degrees((lon, lat): (f64, f64)) -> (f64, f64) {
    let ra_deg = (lon / RADIAN).rem_euclid(360.0);
    // rem_euclid of -1e-17 is 360
    (if ra_deg >= 360.0 { 0.0 } else { ra_deg }, lat / RADIAN)
}
