//! Where the fields lie: reference images, IR quadrilaterals, chip gaps, who owns a piece of sky, and how dense it is.
//!
//! The `inside_*` flags follow the survey's own code as `facts/phat.md` 1.6 tells it, in raw right ascension and
//! declination. The final catalogue keeps `(inside_ir and not inside_chipgap) or inside_other_chipgap`; that region of a
//! field is its *footprint* here. Footprints overlap along the edges of fields and bricks: a star there belongs to the
//! first field in (brick, field) order that has it, and every later field finds the same star again.
//!
//! Pixels are those of the reference image (F475W, 0.05 arcsec); `x, y` are 0-based, so `CRPIX` is one more
//! (`all_pix2world(x, y, 0)` gives the sky, as in the survey's own tools).

use super::facts::{DensityFact, Facts, FieldFact};
use crate::sky::tangent::Tangent;

/// Arcseconds per pixel of the reference image.
pub const PIXEL_ARCSEC: f64 = 0.05;
/// Where the centre of a field falls on its reference image, 0-based (measured on brick 15, field 10).
pub const CENTRE_PX: [f64; 2] = [1994.17, 2091.04];
/// Decimals of CRPIX in the reference header.
pub const CRPIX_DECIMALS: usize = 4;
/// Size of the reference image.
pub const REFERENCE_SIZE_PX: [u32; 2] = [4200, 4200];
/// The +y axis of the reference image is turned by this from the long edge of the IR image (brick 15: 53.90 - 9.1).
const ROLL_FROM_IR_EDGE_DEG: f64 = 44.8;
/// Half width of a chip gap, in degrees of raw ra and dec.
const GAP_HALF_WIDTH_DEG: f64 = 2e-3;
/// Stars are thrown into a square of this half width about the field's centre; every footprint fits.
pub const HALF_BOX_PX: f64 = 2000.0;
/// Fields further apart than this have no common footprint.
const OVERLAP_DEG: f64 = 3.9 / 60.0;
const DENSITY_CELL_PX: f64 = 100.0;
const DENSITY_SIDE: usize = 40;

/// A tangent-plane reference image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Wcs {
    pub crval_deg: [f64; 2],
    /// Position angle of +y, east of north.
    pub roll_deg: f64,
    /// 0-based pixel of the tangent point.
    pub centre_px: [f64; 2],
}

impl Wcs {
    /// Degrees on the tangent plane (east, north) per pixel of x and of y.
    pub fn cd(&self) -> [[f64; 2]; 2] {
        let (sin, cos) = self.roll_deg.to_radians().sin_cos();
        let scale = PIXEL_ARCSEC / 3600.0;
        [[-cos * scale, sin * scale], [sin * scale, cos * scale]]
    }

    /// Right ascension and declination in degrees of a 0-based pixel position: to the bit what a reader of the reference header
    /// computes, whose CRPIX counts from 1.
    pub fn sky_deg(&self, x: f64, y: f64) -> [f64; 2] {
        let tangent = Tangent { crpix: self.crpix(), crval_deg: self.crval_deg, cd_deg: self.cd() };
        let (ra, dec) = tangent.pixel_to_sky(x + 1.0, y + 1.0);
        [ra, dec]
    }

    /// CRPIX as the reference header has it, of [`CRPIX_DECIMALS`] decimals.
    pub fn crpix(&self) -> [f64; 2] {
        let ten = 10_f64.powi(CRPIX_DECIMALS as i32);
        self.centre_px.map(|pixel| ((pixel + 1.0) * ten).round() / ten)
    }

    /// The 0-based pixel position of a point near the tangent point.
    pub fn pixel(&self, sky_deg: [f64; 2]) -> [f64; 2] {
        let (sin0, cos0) = self.crval_deg[1].to_radians().sin_cos();
        let (sin, cos) = sky_deg[1].to_radians().sin_cos();
        let (sin_h, cos_h) = (sky_deg[0] - self.crval_deg[0]).to_radians().sin_cos();
        let depth = sin0 * sin + cos0 * cos * cos_h;
        let xi = (cos * sin_h / depth).to_degrees();
        let eta = ((cos0 * sin - sin0 * cos * cos_h) / depth).to_degrees();
        let (sin_r, cos_r) = self.roll_deg.to_radians().sin_cos();
        let scale = PIXEL_ARCSEC / 3600.0;
        [self.centre_px[0] + (-cos_r * xi + sin_r * eta) / scale, self.centre_px[1] + (sin_r * xi + cos_r * eta) / scale]
    }
}

/// A convex quadrilateral in raw ra, dec.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quad([[f64; 2]; 4]);

impl Quad {
    pub fn contains(&self, point: [f64; 2]) -> bool {
        let side = |k: usize| {
            let (a, b) = (self.0[k], self.0[(k + 1) % 4]);
            (b[0] - a[0]) * (point[1] - a[1]) - (b[1] - a[1]) * (point[0] - a[0])
        };
        let first = side(0) > 0.0;
        (1..4).all(|k| (side(k) > 0.0) == first)
    }
}

/// The two halves of a field's chip gap; together they are the whole strip.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Gap {
    bottom: Quad,
    top: Quad,
    full: Quad,
}

impl Gap {
    /// The strip along the diagonal from the bottom left corner C to the top right corner B.
    fn along(b: [f64; 2], c: [f64; 2]) -> Gap {
        let (dx, dy) = (b[0] - c[0], b[1] - c[1]);
        let length = dx.hypot(dy);
        let (px, py) = (dy / length * GAP_HALF_WIDTH_DEG, -dx / length * GAP_HALF_WIDTH_DEG);
        let at = |part: f64, side: f64| [c[0] + part * dx + side * px, c[1] + part * dy + side * py];
        let strip = |from: f64, to: f64| Quad([at(from, -1.0), at(from, 1.0), at(to, 1.0), at(to, -1.0)]);
        Gap { bottom: strip(0.0, 0.5), top: strip(0.5, 1.0), full: strip(0.0, 1.0) }
    }
}

/// What `_st.fits` says about where an object lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Inside {
    pub ir: bool,
    pub brick: bool,
    pub chipgap: bool,
    pub other_chipgap: bool,
}

/// One field of one brick.
#[derive(Debug, Clone)]
pub struct Field {
    pub brick: u8,
    pub field: u8,
    pub wcs: Wcs,
    pub radius_kpc: f64,
    ir: Quad,
    gap: Gap,
    /// Parts of other fields' chip gaps that this field fills in.
    others: Vec<Quad>,
    /// IR quadrilaterals of the whole brick.
    brick_irs: Vec<Quad>,
    /// Indices of fields whose footprints may meet this one and come before it.
    pub earlier: Vec<usize>,
    density: Vec<f64>,
    pub peak_density_arcmin2: f64,
}

impl Field {
    /// Column (0 to 5) and row (0 to 2) of the field in its brick.
    pub fn column_and_row(field: u8) -> (u8, u8) {
        ((field - 1) % 6, (field - 1) / 6)
    }

    /// Fields 1-3, 7-9 and 13-15 make the eastern half of a brick, which was observed apart from the western one.
    pub fn is_east(&self) -> bool {
        Field::column_and_row(self.field).0 < 3
    }

    pub fn inside(&self, point: [f64; 2]) -> Inside {
        Inside {
            ir: self.ir.contains(point),
            brick: self.brick_irs.iter().any(|quad| quad.contains(point)),
            chipgap: self.gap.full.contains(point),
            other_chipgap: self.others.iter().any(|quad| quad.contains(point)),
        }
    }

    /// Whether the point is in this field's part of the final catalogue, its footprint.
    pub fn has(&self, point: [f64; 2]) -> bool {
        (self.ir.contains(point) && !self.gap.full.contains(point)) || self.others.iter().any(|quad| quad.contains(point))
    }

    /// Real objects per square arcminute at a pixel of the reference image.
    pub fn density_arcmin2(&self, x: f64, y: f64) -> f64 {
        let cell = |value: f64, centre: f64| (((value - centre + HALF_BOX_PX) / DENSITY_CELL_PX) as usize).min(DENSITY_SIDE - 1);
        self.density[cell(y, CENTRE_PX[1]) * DENSITY_SIDE + cell(x, CENTRE_PX[0])]
    }
}

/// All 414 fields, in (brick, field) order.
pub struct Survey {
    pub fields: Vec<Field>,
}

impl Survey {
    /// The fields of PHAT.
    pub fn phat() -> Result<Survey, super::Error> {
        Ok(Survey::new(&Facts::read()?))
    }

    pub fn new(facts: &Facts) -> Survey {
        let corners: Vec<[[f64; 2]; 4]> = facts.fields.iter().map(corners_abdc).collect();
        let fields = facts.fields.iter().enumerate().map(|(at, fact)| build(facts, &corners, at, fact)).collect();
        Survey { fields }
    }

    pub fn index(&self, brick: u8, field: u8) -> Option<usize> {
        self.fields.iter().position(|f| f.brick == brick && f.field == field)
    }

    /// Whether the point of a field's footprint belongs to no earlier field.
    pub fn owns(&self, field: usize, point: [f64; 2]) -> bool {
        self.fields[field].has(point) && !self.fields[field].earlier.iter().any(|&other| self.fields[other].has(point))
    }

    /// Real numbers of objects in a field: those it owns, and all in its footprint (on a grid of 31 pixels).
    pub fn real_counts(&self, at: usize) -> (f64, f64) {
        const STEPS: usize = 128;
        let field = &self.fields[at];
        let step = 2.0 * HALF_BOX_PX / STEPS as f64;
        let area_arcmin2 = (step * PIXEL_ARCSEC / 60.0).powi(2);
        let mut counts = (0.0, 0.0);
        for k in 0..STEPS * STEPS {
            let x = CENTRE_PX[0] - HALF_BOX_PX + ((k % STEPS) as f64 + 0.5) * step;
            let y = CENTRE_PX[1] - HALF_BOX_PX + ((k / STEPS) as f64 + 0.5) * step;
            let point = field.wcs.sky_deg(x, y);
            if field.has(point) {
                let objects = field.density_arcmin2(x, y) * area_arcmin2;
                counts.1 += objects;
                counts.0 += if self.owns(at, point) { objects } else { 0.0 };
            }
        }
        counts
    }
}

/// The corners A (top left), B (top right), D (bottom right), C (bottom left), with "right" west along the row of fields.
///
/// The table gives the western half of a brick turned by half a turn, as the telescope was.
fn corners_abdc(fact: &FieldFact) -> [[f64; 2]; 4] {
    let [a, b, d, c] = fact.corners_deg;
    if b[0] < a[0] { [a, b, d, c] } else { [d, c, a, b] }
}

/// Position angle of the IR image's left edge upwards, C to A, in degrees (24 or 9).
fn edge_angle_deg([a, _, _, c]: [[f64; 2]; 4]) -> f64 {
    let east = (a[0] - c[0]) * c[1].to_radians().cos();
    east.atan2(a[1] - c[1]).to_degrees()
}

fn build(facts: &Facts, corners: &[[[f64; 2]; 4]], at: usize, fact: &FieldFact) -> Field {
    let [_, b, _, c] = corners[at];
    let east = Field::column_and_row(fact.field).0 < 3;
    let roll_deg = edge_angle_deg(corners[at]) + ROLL_FROM_IR_EDGE_DEG + if east { 180.0 } else { 0.0 };
    let wcs = Wcs { crval_deg: [fact.ra_deg, fact.dec_deg], roll_deg, centre_px: CENTRE_PX };
    let of_brick = |(_, other): &(usize, &FieldFact)| other.brick == fact.brick;
    let gaps: Vec<(u8, Gap)> = facts
        .fields
        .iter()
        .enumerate()
        .filter(of_brick)
        .map(|(k, other)| (other.field, Gap::along(corners[k][1], corners[k][3])))
        .collect();
    let near = |other: &FieldFact| {
        let east = (other.ra_deg - fact.ra_deg) * fact.dec_deg.to_radians().cos();
        east.hypot(other.dec_deg - fact.dec_deg) < OVERLAP_DEG
    };
    let (density, peak_density_arcmin2) = density_grid(&wcs, fact, &facts.density);
    Field {
        brick: fact.brick,
        field: fact.field,
        wcs,
        radius_kpc: fact.radius_kpc,
        ir: Quad(corners[at]),
        gap: Gap::along(b, c),
        others: filled_in(fact.field, &gaps),
        brick_irs: facts.fields.iter().enumerate().filter(of_brick).map(|(k, _)| Quad(corners[k])).collect(),
        earlier: (0..at).filter(|&k| near(&facts.fields[k])).collect(),
        density,
        peak_density_arcmin2,
    }
}

/// The halves of other fields' gaps that a field fills in: the bottom of the one to the right, the top of the one to the
/// left, and what the edges of a brick leave over (facts 1.6).
fn filled_in(field: u8, gaps: &[(u8, Gap)]) -> Vec<Quad> {
    let gap = |number: u8| gaps.iter().find(|(other, _)| *other == number).map(|(_, gap)| *gap);
    let (column, _) = Field::column_and_row(field);
    let mut quads = Vec::new();
    if column < 5 {
        quads.extend(gap(field + 1).map(|gap| gap.bottom));
    }
    if column > 0 {
        quads.extend(gap(field - 1).map(|gap| gap.top));
    }
    let (bottoms, tops): (&[u8], &[u8]) = match field {
        7 => (&[1], &[]),
        13 => (&[7, 13], &[]),
        6 => (&[], &[12, 6]),
        12 => (&[], &[18]),
        _ => (&[], &[]),
    };
    quads.extend(bottoms.iter().filter_map(|&other| gap(other)).map(|gap| gap.bottom));
    quads.extend(tops.iter().filter_map(|&other| gap(other)).map(|gap| gap.top));
    quads
}

/// The density map on a field's own pixels: the nearest map pixel, or the field's mean where the map's pixel is cut by the
/// edge of the survey.
fn density_grid(wcs: &Wcs, fact: &FieldFact, map: &[DensityFact]) -> (Vec<f64>, f64) {
    let close = |pixel: &&DensityFact| (pixel.ra_deg - fact.ra_deg).abs() < 0.1 && (pixel.dec_deg - fact.dec_deg).abs() < 0.075;
    let pixels: Vec<([f64; 2], f64)> =
        map.iter().filter(close).map(|pixel| (wcs.pixel([pixel.ra_deg, pixel.dec_deg]), pixel.density_arcmin2)).collect();
    let nearest = |x: f64, y: f64| {
        let distance = |at: &[f64; 2]| (at[0] - x).powi(2) + (at[1] - y).powi(2);
        let found = pixels.iter().min_by(|a, b| distance(&a.0).total_cmp(&distance(&b.0)));
        found.map_or(
            fact.density_arcmin2,
            |(_, density)| if *density < 0.6 * fact.density_arcmin2 { fact.density_arcmin2 } else { *density },
        )
    };
    let centre = |k: usize, middle: f64| middle - HALF_BOX_PX + (k as f64 + 0.5) * DENSITY_CELL_PX;
    let grid: Vec<f64> = (0..DENSITY_SIDE * DENSITY_SIDE)
        .map(|k| nearest(centre(k % DENSITY_SIDE, CENTRE_PX[0]), centre(k / DENSITY_SIDE, CENTRE_PX[1])))
        .collect();
    let peak = grid.iter().copied().fold(0.0, f64::max);
    (grid, peak)
}
