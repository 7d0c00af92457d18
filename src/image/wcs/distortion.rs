//! Distortions before and after the linear part: SIP, lookup tables, TPV, plate solutions, with the inverses that are needed.
//!
//! SIP is Shupe et al. 2005 (ASP 347, 491), lookup tables are those of the draft of paper IV as HST writes them (`CPDISj`
//! with `WCSDVARR`, `D2IMDISj` with `D2IMARR`), TPV is the registered convention of SCAMP's polynomial. Inverses iterate:
//! the polynomials `AP`, `BP` are fits, good to a tenth of a pixel in real headers.

use super::super::header::Header;

/// Orders beyond this are no astronomer's.
const MOST_ORDER: usize = 15;
/// Number of TPV terms, PVi_0 to PVi_39.
const TPV_TERMS: usize = 40;

/// Shifts in pixels as polynomials of the distance to CRPIX.
#[derive(Debug, Clone, PartialEq)]
pub struct Sip {
    crpix: [f64; 2],
    /// Coefficients of u^p v^q at `[q][p]`, one polynomial an axis.
    terms: [Vec<Vec<f64>>; 2],
}

impl Sip {
    /// `None` when the header has no SIP.
    pub fn read(header: &Header, crpix: [f64; 2]) -> Result<Option<Sip>, String> {
        if !header.has("A_ORDER") || !header.has("B_ORDER") {
            return Ok(None);
        }
        let axis = |letter: &str| -> Result<Vec<Vec<f64>>, String> {
            let key = format!("{letter}_ORDER");
            let order = header.integer(&key).and_then(|order| usize::try_from(order).ok()).filter(|order| *order <= MOST_ORDER);
            let order = order.ok_or_else(|| format!("{key} is {:?}, wanted 0 to {MOST_ORDER}", header.text(&key).unwrap_or_default()))?;
            let term = |p: usize, q: usize| header.number(&format!("{letter}_{p}_{q}")).unwrap_or(0.0);
            Ok((0..=order).map(|q| (0..=order - q).map(|p| term(p, q)).collect()).collect())
        };
        Ok(Some(Sip { crpix, terms: [axis("A")?, axis("B")?] }))
    }

    /// What is added to a pixel position.
    pub fn shift(&self, pixel: [f64; 2]) -> [f64; 2] {
        let (u, v) = (pixel[0] - self.crpix[0], pixel[1] - self.crpix[1]);
        let sum =
            |rows: &Vec<Vec<f64>>| rows.iter().rev().fold(0.0, |sum, row| sum * v + row.iter().rev().fold(0.0, |sum, term| sum * u + term));
        [sum(&self.terms[0]), sum(&self.terms[1])]
    }
}

/// A table of shifts in pixels along one axis, bilinear between its nodes, constant beyond them.
#[derive(Debug, Clone, PartialEq)]
pub struct Lookup {
    pub crpix: [f64; 2],
    pub crval: [f64; 2],
    pub cdelt: [f64; 2],
    pub size: [usize; 2],
    pub values: Vec<f32>,
}

impl Lookup {
    /// The table of an image extension.
    pub fn new(header: &Header, size: [usize; 2], values: Vec<f32>) -> Result<Lookup, String> {
        let pair = |key: &str, default: f64| [1, 2].map(|axis| header.number(&format!("{key}{axis}")).unwrap_or(default));
        let cdelt = pair("CDELT", 1.0);
        if size.contains(&0) || values.len() != size[0] * size[1] || cdelt.contains(&0.0) {
            return Err("a lookup table is empty or has CDELT 0".into());
        }
        Ok(Lookup { crpix: pair("CRPIX", 0.0), crval: pair("CRVAL", 0.0), cdelt, size, values })
    }

    /// Node coordinates, from 0, of a pixel position (from 1) along an axis, within the table.
    pub fn node(&self, axis: usize, pixel: f64) -> f64 {
        let node = (pixel - self.crval[axis]) / self.cdelt[axis] + self.crpix[axis] - 1.0;
        node.clamp(0.0, (self.size[axis] - 1) as f64)
    }

    /// What is added to the axis of this table at a pixel position.
    pub fn shift(&self, pixel: [f64; 2]) -> f64 {
        let (x, y) = (self.node(0, pixel[0]), self.node(1, pixel[1]));
        let (i, j) = (x as usize, y as usize);
        let (i1, j1) = ((i + 1).min(self.size[0] - 1), (j + 1).min(self.size[1] - 1));
        let at = |i: usize, j: usize| f64::from(self.values[j * self.size[0] + i]);
        let (fx, fy) = (x - i as f64, y - j as f64);
        (at(i, j) * (1.0 - fx) + at(i1, j) * fx) * (1.0 - fy) + (at(i, j1) * (1.0 - fx) + at(i1, j1) * fx) * fy
    }
}

/// A polynomial of the intermediate world coordinates (longitude, latitude) in degrees, to the tangent plane.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::large_enum_variant)] // one for each header, never in a list
pub enum Polynomial {
    Tpv { terms: Box<[[f64; TPV_TERMS]; 2]> },
    Plate(Box<Plate>),
}

impl Polynomial {
    /// `pv(axis, m)` gives PVi_m of the longitude (0) or latitude (1) axis; `None` when there are none.
    pub fn tpv(pv: impl Fn(usize, u32) -> Option<f64>) -> Option<Polynomial> {
        let mut any = false;
        let terms = [0, 1].map(|axis| {
            std::array::from_fn(|m| {
                let term = pv(axis, m as u32);
                any |= term.is_some();
                term.unwrap_or(if m == 1 { 1.0 } else { 0.0 })
            })
        });
        any.then(|| Polynomial::Tpv { terms: Box::new(terms) })
    }

    pub fn apply(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        match self {
            Polynomial::Tpv { terms } => [sum(&terms[0], x, y), sum(&terms[1], y, x)],
            Polynomial::Plate(plate) => {
                let (x, y) = (x / plate.deg_per_mm, y / plate.deg_per_mm);
                [plate_sum(&plate.x_terms, x, y), plate_sum(&plate.y_terms, y, x)].map(|arcsec| arcsec / 3600.0)
            }
        }
    }

    pub fn invert(&self, wanted: [f64; 2]) -> Option<[f64; 2]> {
        newton(wanted, wanted, 1e-6, 1e-13, |plane| self.apply(plane))
    }
}

/// The plate solution of the digitised sky surveys (Lasker et al. 1990, AJ 99, 2019, appendix): standard coordinates in
/// arcseconds from millimetres on the plate.
#[derive(Debug, Clone, PartialEq)]
pub struct Plate {
    x_terms: [f64; 13],
    y_terms: [f64; 13],
    /// The nominal scale, by which the linear part has made degrees of millimetres.
    deg_per_mm: f64,
}

/// What a plate's header says instead of CRPIX, CRVAL and CD.
pub struct PlateWcs {
    pub crpix: [f64; 2],
    pub crval_deg: [f64; 2],
    pub cd_deg: [[f64; 2]; 2],
    pub plate: Plate,
}

impl PlateWcs {
    /// `None` when the header has no plate solution.
    pub fn read(header: &Header) -> Option<PlateWcs> {
        let number = |key: &str| header.number(key);
        let terms = |letter: char| -> [f64; 13] { std::array::from_fn(|k| number(&format!("AMD{letter}{}", k + 1)).unwrap_or(0.0)) };
        let plate = Plate { x_terms: terms('X'), y_terms: terms('Y'), deg_per_mm: number("AMDX1")? / 3600.0 };
        let microns = [number("XPIXELSZ")?, number("YPIXELSZ")?];
        // millimetres grow to the west, and pixels are counted from the corner of the whole plate
        let crpix = [number("PPO3")? / microns[0] - number("CNPIX1")? + 0.5, number("PPO6")? / microns[1] - number("CNPIX2")? + 0.5];
        let scale = plate.deg_per_mm / 1000.0;
        let sexagesimal = |stem: &str, letters: [&str; 3]| -> Option<f64> {
            let [a, b, c] = letters.map(|letter| number(&format!("{stem}{letter}")));
            Some(a? + b? / 60.0 + c? / 3600.0)
        };
        let ra_deg = 15.0 * sexagesimal("PLTRA", ["H", "M", "S"])?;
        let sign = if header.text("PLTDECSN").is_some_and(|sign| sign.trim() == "-") { -1.0 } else { 1.0 };
        let dec_deg = sign * sexagesimal("PLTDEC", ["D", "M", "S"])?;
        let cd_deg = [[-microns[0] * scale, 0.0], [0.0, microns[1] * scale]];
        Some(PlateWcs { crpix, crval_deg: [ra_deg, dec_deg], cd_deg, plate })
    }
}

/// The thirteen terms of one coordinate; `a` is the plate's own axis of it.
fn plate_sum(terms: &[f64; 13], a: f64, b: f64) -> f64 {
    let r2 = a * a + b * b;
    let powers = [a, b, 1.0, a * a, a * b, b * b, r2, a * a * a, a * a * b, a * b * b, b * b * b, a * r2, a * r2 * r2];
    terms.iter().zip(powers).map(|(term, power)| term * power).sum()
}

/// The terms in order: for each degree the powers of x falling, and r^n after each odd degree.
fn sum(terms: &[f64; TPV_TERMS], x: f64, y: f64) -> f64 {
    let r = x.hypot(y);
    let (mut total, mut at) = (0.0, 0);
    for degree in 0..=7 {
        for power in (0..=degree).rev() {
            if terms[at] != 0.0 {
                total += terms[at] * x.powi(power) * y.powi(degree - power);
            }
            at += 1;
        }
        if degree % 2 == 1 {
            total += if terms[at] != 0.0 { terms[at] * r.powi(degree) } else { 0.0 };
            at += 1;
        }
    }
    total
}

/// Solves `map(p) = wanted` by Newton's method with differences of `step`; `None` when it does not come within `tolerance`.
pub fn newton(wanted: [f64; 2], start: [f64; 2], step: f64, tolerance: f64, map: impl Fn([f64; 2]) -> [f64; 2]) -> Option<[f64; 2]> {
    const MOST_STEPS: usize = 30;
    let mut p = start;
    let error = |p: [f64; 2]| {
        let found = map(p);
        [found[0] - wanted[0], found[1] - wanted[1]]
    };
    let mut e = error(p);
    for _ in 0..MOST_STEPS {
        if e[0].hypot(e[1]) <= tolerance {
            return Some(p);
        }
        let (ex, ey) = (error([p[0] + step, p[1]]), error([p[0], p[1] + step]));
        let j = [[(ex[0] - e[0]) / step, (ey[0] - e[0]) / step], [(ex[1] - e[1]) / step, (ey[1] - e[1]) / step]];
        let determinant = j[0][0] * j[1][1] - j[0][1] * j[1][0];
        let next = [p[0] - (j[1][1] * e[0] - j[0][1] * e[1]) / determinant, p[1] - (j[0][0] * e[1] - j[1][0] * e[0]) / determinant];
        if !next[0].is_finite() || !next[1].is_finite() {
            return None;
        }
        let stands_still = (next[0] - p[0]).hypot(next[1] - p[1]) < tolerance * 0.1;
        p = next;
        e = error(p);
        if stands_still && e[0].hypot(e[1]) < tolerance * 100.0 {
            return Some(p);
        }
    }
    None
}
