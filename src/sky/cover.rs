//! Regions as a few ranges of Q3C pixels, which an index on `q3c_ang2ipix(ra, dec)` answers.
//!
//! Cells of the quad-tree over the cube's six faces that touch the region's edge are cut in four, until there are a few
//! dozen of them; then the smallest gaps between the ranges are closed until no more than the wished number are left. On a
//! face great circles are straight lines and cells are squares with sides x = const and y = const, so a cell is judged
//! exactly, up to a slack of 1e-12 radians (a thousandth of the smallest bin), always to the side of "touches": every
//! position of the region is in its cover.

use super::Error;
use super::q3c;
use super::region::{Disc, Kind, Loop, Region, Shape, angle};
use super::vector::{self, Vector};

/// The deepest cells: single bins.
const BIN_LEVEL: u32 = 30;

/// What rounding may do to a position, a radius or a bin's border, in radians. The worst, ra in degrees near 360, is 1e-15.
const SLACK: f64 = 1e-12;

/// Pixels from `lo` up to, not including, `hi`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct IpixRange {
    pub lo: i64,
    pub hi: i64,
}

impl IpixRange {
    pub fn holds(&self, ipix: i64) -> bool {
        (self.lo..self.hi).contains(&ipix)
    }
}

/// At most `max_ranges` (at least 1) sorted, disjoint ranges that hold every pixel of the region, and few others.
pub fn cover(region: &Region, max_ranges: usize) -> Result<Vec<IpixRange>, Error> {
    Ok(cover_shape(&region.prepare()?, max_ranges))
}

/// As [`cover`], of a region that is checked already.
pub fn cover_shape(shape: &Shape, max_ranges: usize) -> Vec<IpixRange> {
    let max_ranges = max_ranges.max(1);
    let mut inside = Vec::new();
    let mut edge: Vec<Cell> = (0..6).map(|face| Cell { face, level: 0, x: 0, y: 0 }).collect();
    // about 80 edge cells for 10 ranges: cells of a tenth of the region
    while edge.len() <= 8 * max_ranges && edge.first().is_some_and(|cell| cell.level < BIN_LEVEL) {
        let cells = edge.iter().flat_map(Cell::quarters).map(|cell| (cell, cell.judge(shape)));
        let mut touched = Vec::new();
        for (cell, judgement) in cells {
            match judgement {
                Judgement::Inside => inside.push(cell.range()),
                Judgement::Edge => touched.push(cell),
                Judgement::Outside => {}
            }
        }
        edge = touched;
    }
    inside.extend(edge.iter().map(Cell::range));
    merge(inside, max_ranges)
}

/// SQL that is true for the rows of a circle, for an index on `q3c_ang2ipix(ra_col_sql, dec_col_sql)`.
///
/// The columns are given as SQL, quoted by the caller. The rows are those that pass the exact test of
/// `q3c_radial_query(ra_col, dec_col, ra_deg, dec_deg, radius_deg)`, the distance *less* than the radius, in its own words.
/// `q3c_radial_query` itself also asks its own hundred ranges, which miss part of some circles in Q3C 2.0.0: up to a fifth
/// of a circle centred within a ninth of its radius of one of the cube's eight corners, and rows at the edge of circles below
/// 0.04 arcsec. Of 331,188 rows inside 50,000 circles, a fifth of them at poles, seams and corners, it missed 80; they are
/// found here.
///
/// On 2 million rows, 18 to the square arcsec, planning and execution took 0.04, 0.05, 0.3 and 0.5 to 0.7 of the time of
/// `q3c_radial_query` for 0.2, 2, 10 and 60 arcsec (PostgreSQL 15, jit off, warm, medians).
pub fn radial_condition(ra_col_sql: &str, dec_col_sql: &str, ra_deg: f64, dec_deg: f64, radius_deg: f64) -> Result<String, Error> {
    let ranges = cover(&Region::Circle { ra_deg, dec_deg, radius_deg }, ranges_for_radius(radius_deg))?;
    let ipix = format!("q3c_ang2ipix({ra_col_sql}, {dec_col_sql})");
    let terms: Vec<String> = ranges.iter().map(|range| format!("({ipix} >= {} AND {ipix} < {})", range.lo, range.hi)).collect();
    // the literals are quoted, so that a sign binds to the number and no numeric stands between; the server folds the constants
    Ok(format!(
        "({}) AND q3c_sindist({ra_col_sql}, {dec_col_sql}, '{ra_deg:?}'::float8, '{dec_deg:?}'::float8) \
         < pow(sin(radians('{radius_deg:?}'::float8) / 2), 2)",
        terms.join(" OR ")
    ))
}

/// How many ranges are best. Each costs 5 microseconds of planning and an index probe; too few hold rows in vain. Measured
/// as in [`radial_condition`], the optimum is flat: 4 to 10 up to 2 arcsec, 10 to 32 at 10 arcsec, 16 and more at 60.
pub fn ranges_for_radius(radius_deg: f64) -> usize {
    match radius_deg * 3600.0 {
        arcsec if arcsec <= 4.0 => 8,
        arcsec if arcsec <= 30.0 => 12,
        _ => 20,
    }
}

/// Sorts and joins ranges, then closes the smallest gaps until `max_ranges` are left.
fn merge(mut ranges: Vec<IpixRange>, max_ranges: usize) -> Vec<IpixRange> {
    ranges.sort_unstable();
    let mut gaps: Vec<i64> = ranges.windows(2).map(|pair| pair[1].lo - pair[0].hi).filter(|gap| *gap > 0).collect();
    gaps.sort_unstable_by(|a, b| b.cmp(a));
    // max_ranges are parted by max_ranges - 1 gaps: the widest stay
    let widest_closed = gaps.get(max_ranges - 1).copied().unwrap_or(0);
    let mut merged: Vec<IpixRange> = Vec::with_capacity(max_ranges);
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.lo - last.hi <= widest_closed => last.hi = range.hi,
            _ => merged.push(range),
        }
    }
    merged
}

/// How a cell and a region lie to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Judgement {
    Inside,
    Edge,
    Outside,
}

/// A square of bins on a face: 2^(30 - level) along each side, the `x`-th and `y`-th of its level.
#[derive(Debug, Clone, Copy)]
struct Cell {
    face: u8,
    level: u32,
    x: u32,
    y: u32,
}

impl Cell {
    fn quarters(&self) -> [Self; 4] {
        let (level, x, y) = (self.level + 1, 2 * self.x, 2 * self.y);
        [(x, y), (x + 1, y), (x, y + 1), (x + 1, y + 1)].map(|(x, y)| Self { face: self.face, level, x, y })
    }

    fn range(&self) -> IpixRange {
        let shift = BIN_LEVEL - self.level;
        let lo = q3c::join(self.face, self.x << shift, self.y << shift);
        IpixRange { lo, hi: lo + (1 << (2 * shift)) }
    }

    fn square(&self) -> Square {
        let shift = BIN_LEVEL - self.level;
        // the far border of the last cell is bin 2^30, which has a coordinate but no number
        let [x0, x1] = [self.x, self.x + 1].map(|x| q3c::coordinate(x << shift));
        let [y0, y1] = [self.y, self.y + 1].map(|y| q3c::coordinate(y << shift));
        Square { x0, x1, y0, y1 }
    }

    fn judge(&self, shape: &Shape) -> Judgement {
        let square = self.square();
        match &shape.kind {
            Kind::Disc(disc) => square.judge_disc(q3c::to_face(self.face, disc.centre), disc),
            Kind::Loop(polygon) => square.judge_loop(self.face, polygon),
        }
    }
}

/// A cell in its face's plane: directions (x, y, 1) with x and y between the bounds, in the face's own frame.
#[derive(Debug, Clone, Copy)]
struct Square {
    x0: f64,
    x1: f64,
    y0: f64,
    y1: f64,
}

impl Square {
    fn corners(&self) -> [Vector; 4] {
        [(self.x0, self.y0), (self.x1, self.y0), (self.x1, self.y1), (self.x0, self.y1)].map(|(x, y)| vector::normalise([x, y, 1.0]))
    }

    /// `centre` is that of the disc in the face's frame.
    fn judge_disc(&self, centre: Vector, disc: &Disc) -> Judgement {
        let quarter_turn = std::f64::consts::FRAC_PI_2;
        if disc.radius > quarter_turn {
            // what is outside a large disc is a small one around the opposite point
            let opposite = vector::scale(centre, -1.0);
            return match self.judge_small_disc(opposite, std::f64::consts::PI - disc.radius) {
                Judgement::Inside => Judgement::Outside,
                Judgement::Edge => Judgement::Edge,
                Judgement::Outside => Judgement::Inside,
            };
        }
        self.judge_small_disc(centre, disc.radius)
    }

    /// A disc up to a hemisphere is convex: it holds the square if it holds the corners.
    fn judge_small_disc(&self, centre: Vector, radius: f64) -> Judgement {
        let corners = self.corners().map(|corner| angle(centre, corner));
        let (nearest, farthest) = corners.into_iter().fold((f64::INFINITY, 0.0_f64), |(near, far), d| (near.min(d), far.max(d)));
        if farthest < radius - SLACK {
            Judgement::Inside
        } else if nearest <= radius + SLACK || self.holds(centre) || self.side_distance(centre) <= radius + SLACK {
            Judgement::Edge
        } else {
            Judgement::Outside
        }
    }

    /// The angle in radians from a direction outside to the nearest side, of those that face it.
    fn side_distance(&self, [x, y, w]: Vector) -> f64 {
        let (xs, ys) = ((self.x0, self.x1), (self.y0, self.y1));
        let sides = [
            distance_to_side(x, y, w, self.x0, ys),
            distance_to_side(x, y, w, self.x1, ys),
            distance_to_side(y, x, w, self.y0, xs),
            distance_to_side(y, x, w, self.y1, xs),
        ];
        sides.into_iter().flatten().fold(f64::INFINITY, f64::min)
    }

    fn holds(&self, [x, y, w]: Vector) -> bool {
        w > 0.0 && self.x0 * w <= x && x <= self.x1 * w && self.y0 * w <= y && y <= self.y1 * w
    }

    /// A side of the polygon in the square makes it an edge cell; otherwise one point speaks for all.
    fn judge_loop(&self, face: u8, polygon: &Loop) -> Judgement {
        let mut sides = polygon.sides().map(|(a, b)| (q3c::to_face(face, a), q3c::to_face(face, b)));
        if sides.any(|(a, b)| self.meets(a, b)) {
            return Judgement::Edge;
        }
        let centre = q3c::direction(face, (self.x0 + self.x1) / 2.0, (self.y0 + self.y1) / 2.0);
        if polygon.contains(vector::normalise(centre)) { Judgement::Inside } else { Judgement::Outside }
    }

    /// Whether the arc from `a` to `b` has a point in the square: the chord's points a + t (b - a) are clipped by the
    /// four half-spaces x >= x0 w, x <= x1 w, y >= y0 w, y <= y1 w (Liang & Barsky 1984, in homogeneous coordinates).
    fn meets(&self, a: Vector, b: Vector) -> bool {
        let bounds = |[x, y, w]: Vector| [x - self.x0 * w, self.x1 * w - x, y - self.y0 * w, self.y1 * w - y];
        let (mut from, mut to) = (0.0_f64, 1.0_f64);
        for (at_a, at_b) in bounds(a).into_iter().zip(bounds(b)) {
            let (at_a, at_b) = (at_a + SLACK, at_b + SLACK);
            if at_a < 0.0 && at_b < 0.0 {
                return false;
            }
            let crossing = at_a / (at_a - at_b);
            if at_a < 0.0 {
                from = from.max(crossing);
            } else if at_b < 0.0 {
                to = to.min(crossing);
            }
        }
        from <= to + SLACK
    }
}

/// The angle from the direction (x, y, w) to the great circle x = x0 w, if the nearest point of it has y/w between `ys`.
fn distance_to_side(x: f64, y: f64, w: f64, x0: f64, ys: (f64, f64)) -> Option<f64> {
    let length = (1.0 + x0 * x0).sqrt();
    let height = (x - x0 * w) / length;
    // the nearest point: the direction less its height along the plane's normal (1, 0, -x0) / length
    let w = w + height * x0 / length;
    (w > 0.0 && ys.0 * w <= y && y <= ys.1 * w).then(|| height.clamp(-1.0, 1.0).asin().abs())
}
