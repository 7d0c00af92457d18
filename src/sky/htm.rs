//! Hierarchical Triangular Mesh ids, by the rule of STILTS' `htmIndex` (which made the `htm9` of PHAT at Data Lab).
//!
//! The mesh is that of Szalay et al. (2005, "Indexing the Sphere with the Hierarchical Triangular Mesh"): the octahedron's
//! eight triangles, each cut in four through the midpoints of its sides. The *rule* says what happens on edges: the
//! octant comes from the signs of the coordinates, and a child holds a point when `(a x b) . p >= -1e-15` for its three
//! sides, the children being tried in order. (The JHU C++ code differs on the octants' edges only.)
//!
//! Two ways give the same answer. [`htm_id`] applies the rule as it is said. [`htm9`] writes the point in the corner
//! coordinates of its triangle, p = b0 v0 + b1 v1 + b2 v2, where the three corner children are `b_i > b_j + b_k`,
//! and a child's coordinates follow from its parent's by one factor per side, |v_i + v_j|. These factors do not depend on
//! the octant and are tabulated. Where a decision is closer than `MARGIN`, the rule itself decides: so the fast way never
//! differs, and it takes the slow way about once in ten million positions.

use std::sync::LazyLock;

use super::vector::{self, Vector};

/// The deepest level: `8 << 60` is the last to fit 64 bits.
pub const MAX_LEVEL: u8 = 30;

/// How far outside a side a point still belongs to a triangle, in `(a x b) . p`: part of the rule.
const TOLERANCE: f64 = -1e-15;

/// Corner coordinates closer to a decision than this are left to the rule. Their rounding error is below 1e-12 at level 9,
/// and 1e-8 of the height of a level-9 triangle is 1e-13 in `(a x b) . p`: a hundred times the rule's tolerance.
const MARGIN: f64 = 1e-8;

/// The level of `htm9`, and the number of decisions the fast way takes.
const FAST_LEVEL: usize = 9;

/// The octahedron's corners.
const CORNERS: [Vector; 6] = [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, -1.0]];

/// Corner numbers of the level-0 triangles S0..S3, N0..N3, whose ids are 8..=15.
const ROOTS: [[usize; 3]; 8] = [[1, 5, 2], [2, 5, 3], [3, 5, 4], [4, 5, 1], [1, 0, 4], [4, 0, 3], [3, 0, 2], [2, 0, 1]];

/// Which coordinate of a point is its corner coordinate, for each corner of the octahedron.
const AXES: [usize; 6] = [2, 0, 1, 0, 1, 2];

/// The id of a position's triangle at `level`, by the rule.
///
/// # Panics
/// If `level` is above [`MAX_LEVEL`].
pub fn htm_id(level: u8, ra_deg: f64, dec_deg: f64) -> u64 {
    id_by_rule(level, vector::unit(ra_deg, dec_deg))
}

/// The level-9 id (2,097,152 ..= 4,194,303), always equal to `htm_id(9, ..)`.
pub fn htm9(ra_deg: f64, dec_deg: f64) -> i32 {
    id9(vector::unit(ra_deg, dec_deg))
}

/// The level-9 id of a direction.
pub(super) fn id9(p: Vector) -> i32 {
    id9_fast(p).unwrap_or_else(|| id_by_rule(FAST_LEVEL as u8, p) as i32)
}

/// The corners (ra, dec in degrees) of a triangle, counted as its children are; `None` when `id` is no HTM id.
pub fn trixel_vertices_deg(id: u64) -> Option<[(f64, f64); 3]> {
    let bits = 64 - id.leading_zeros();
    let is_id = (4..=64).contains(&bits) && bits.is_multiple_of(2);
    is_id.then(|| vertices(id).map(vector::position))
}

/// Remembers a level-9 triangle, for positions that come in clusters: most stay in it and need three dot products.
#[derive(Debug, Clone, Default)]
pub struct HtmCursor {
    /// The triangle remembered and the planes of its sides; all zero, which holds nothing, at first.
    id: i32,
    sides: [Vector; 3],
    /// The triangle of the last position outside it, and how many such positions have shared it.
    other: i32,
    others: u32,
}

impl HtmCursor {
    /// Positions that another triangle must hold before it is remembered: on scattered positions that never happens.
    const PATIENCE: u32 = 4;

    pub fn new() -> Self {
        Self::default()
    }

    /// As the function [`htm9`].
    pub fn htm9(&mut self, ra_deg: f64, dec_deg: f64) -> i32 {
        self.id9(vector::unit(ra_deg, dec_deg))
    }

    #[inline]
    pub(super) fn id9(&mut self, p: Vector) -> i32 {
        // 1e-13 from each side: deep enough inside that the rule cannot choose another triangle at any level
        let [a, b, c] = self.sides.map(|side| vector::dot(side, p));
        if a.min(b).min(c) > 1e-13 { self.id } else { self.outside(p) }
    }

    fn outside(&mut self, p: Vector) -> i32 {
        let id = id9(p);
        self.others = if id == self.other { self.others + 1 } else { 1 };
        self.other = id;
        if self.others >= Self::PATIENCE {
            (self.id, self.sides, self.others) = (id, sides(vertices(id as u64)), 0);
        }
        id
    }
}

/// The rule, as the module says it.
fn id_by_rule(level: u8, p: Vector) -> u64 {
    assert!(level <= MAX_LEVEL, "HTM level {level} is deeper than {MAX_LEVEL}");
    let root = octant(p);
    let mut id = 8 + root as u64;
    let mut triangle = ROOTS[root].map(|corner| CORNERS[corner]);
    for _ in 0..level {
        let children = children(triangle);
        // the last child needs no test: a point of the parent that is in no corner child is in the middle one
        let child = children[..3].iter().position(|child| holds(*child, p)).unwrap_or(3);
        triangle = children[child];
        id = 4 * id + child as u64;
    }
    id
}

/// The octant, as an index of [`ROOTS`], from the signs; z >= 0 is north.
fn octant([x, y, z]: Vector) -> usize {
    let quadrant = if x > 0.0 && y >= 0.0 {
        0
    } else if x <= 0.0 && y > 0.0 {
        1
    } else if x < 0.0 && y <= 0.0 {
        2
    } else {
        3
    };
    if z >= 0.0 { 7 - quadrant } else { quadrant }
}

fn children([v0, v1, v2]: [Vector; 3]) -> [[Vector; 3]; 4] {
    let (w0, w1, w2) = (midpoint(v1, v2), midpoint(v0, v2), midpoint(v0, v1));
    [[v0, w2, w1], [v1, w0, w2], [v2, w1, w0], [w0, w1, w2]]
}

fn midpoint(a: Vector, b: Vector) -> Vector {
    vector::normalise(vector::add(a, b))
}

fn sides([a, b, c]: [Vector; 3]) -> [Vector; 3] {
    [vector::cross(a, b), vector::cross(b, c), vector::cross(c, a)]
}

fn holds(triangle: [Vector; 3], p: Vector) -> bool {
    sides(triangle).iter().all(|side| vector::dot(*side, p) >= TOLERANCE)
}

/// The corners of a triangle, from an id known to be one.
fn vertices(id: u64) -> [Vector; 3] {
    let level = (63 - id.leading_zeros() - 3) / 2;
    let root = ((id >> (2 * level)) & 7) as usize;
    let triangle = ROOTS[root].map(|corner| CORNERS[corner]);
    (0..level).rev().fold(triangle, |triangle, step| children(triangle)[(id >> (2 * step)) as usize & 3])
}

/// The lengths |v1 + v2|, |v0 + v2|, |v0 + v1| of the triangles of one octant at levels 0 to 7, level after level.
static LENGTHS: LazyLock<Vec<[f64; 3]>> = LazyLock::new(|| {
    let mut lengths = Vec::with_capacity((1 << (2 * FAST_LEVEL - 2)) / 3);
    let mut level = vec![ROOTS[0].map(|corner| CORNERS[corner])];
    for _ in 0..FAST_LEVEL - 1 {
        lengths.extend(level.iter().map(|[v0, v1, v2]| [(v1, v2), (v0, v2), (v0, v1)].map(|(a, b)| vector::norm(vector::add(*a, *b)))));
        level = level.into_iter().flat_map(children).collect();
    }
    lengths
});

/// The level-9 id by corner coordinates; `None` where a decision is too close.
///
/// No branch depends on the position before the last line: random ones would be guessed wrong at every level.
#[inline]
fn id9_fast(p: Vector) -> Option<i32> {
    let root = octant(p);
    let mut b = ROOTS[root].map(|corner| p[AXES[corner]].abs());
    let mut closest = b[0].min(b[1]).min(b[2]);
    let (mut path, mut level_start) = (0, 0);
    let lengths = LENGTHS.as_slice();
    for level in 0..FAST_LEVEL - 1 {
        let (child, distance) = child_of(b);
        closest = closest.min(distance);
        b = coordinates_in_child(b, child, lengths[level_start + path]);
        path = 4 * path + child;
        level_start += 1 << (2 * level);
    }
    let (last, distance) = child_of(b);
    let id = ((8 + root) << (2 * FAST_LEVEL)) + 4 * path + last;
    (closest.min(distance) > MARGIN).then_some(id as i32)
}

/// The child that holds a point, and how far the point is from where another one would.
#[inline]
fn child_of([b0, b1, b2]: Vector) -> (usize, f64) {
    // at most one of them is positive: their sums in pairs are -2 b
    let (d0, d1, d2) = (b0 - b1 - b2, b1 - b0 - b2, b2 - b0 - b1);
    let child = 3 - 3 * usize::from(d0 > 0.0) - 2 * usize::from(d1 > 0.0) - usize::from(d2 > 0.0);
    (child & 3, d0.max(d1).max(d2).abs())
}

/// From p = b0 v0 + b1 v1 + b2 v2 to the corners of a child, `n` being the lengths of the sums of two corners:
/// with w2 = (v0 + v1) / n2 and so on, p = (b0 - b1 - b2) v0 + b1 n2 w2 + b2 n1 w1 for child 0.
#[inline]
fn coordinates_in_child([b0, b1, b2]: Vector, child: usize, [n0, n1, n2]: [f64; 3]) -> Vector {
    let (d0, d1, d2) = (b0 - b1 - b2, b1 - b0 - b2, b2 - b0 - b1);
    let children =
        [[d0, b1 * n2, b2 * n1], [d1, b2 * n0, b0 * n2], [d2, b0 * n1, b1 * n0], [d0 * (-0.5 * n0), d1 * (-0.5 * n1), d2 * (-0.5 * n2)]];
    children[child]
}
