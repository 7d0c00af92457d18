//! Which parts of the sky a file touches, to know which rows of earlier files can have the same objid.
//!
//! A cell is a square of Q3C's grid, 2^13 to the side of a cube face (0.66 arcmin): `ipix >> 34`. The ledger keeps the
//! cells of each file; where a new file shares some, the designations in them are fetched before its rows are copied.

use crate::sky::q3c;
use std::collections::HashSet;

/// Bits of ipix below a cell.
pub const CELL_BITS: u32 = 34;
/// A position this close to a cell's border (in units of Q3C's finest grid, 0.3 milliarcsec) may be rounded across it:
/// a designation is within 5e-7 degree of its position, 6 units, or 12 in the corners of a face.
const BORDER_BITS: u32 = 6;

/// The cells of positions, gathered one by one.
#[derive(Default)]
pub struct Coverage {
    cells: HashSet<i32>,
    recent: Vec<i32>,
}

const RECENT: usize = 1 << 10;

impl Coverage {
    pub fn new() -> Coverage {
        Coverage { cells: HashSet::new(), recent: vec![-1; RECENT] }
    }

    /// Adds the cell of the designation's position (`ipix` belongs to `ra_deg`, `dec_deg`) and, near a border, the
    /// cells that a position of the same designation may lie in.
    pub fn add(&mut self, ipix: u64, ra_deg: f64, dec_deg: f64) {
        self.insert((ipix >> CELL_BITS) as i32);
        if near_border(ipix) {
            self.add_neighbours(ipix, ra_deg, dec_deg);
        }
    }

    /// The cells of the four corners of a square about the position. It lies along the grid, so that every point of
    /// it is in the cell of one of its corners.
    fn add_neighbours(&mut self, ipix: u64, ra_deg: f64, dec_deg: f64) {
        const REACH: i64 = 1 << BORDER_BITS;
        let Some((face, x, y)) = q3c::split(ipix as i64) else { return };
        for (dx, dy) in [(-REACH, -REACH), (-REACH, REACH), (REACH, -REACH), (REACH, REACH)] {
            match (u32::try_from(i64::from(x) + dx), u32::try_from(i64::from(y) + dy)) {
                (Ok(x), Ok(y)) if x < q3c::SIDE && y < q3c::SIDE => self.insert((q3c::join(face, x, y) >> CELL_BITS) as i32),
                // over the edge of the cube's face: by position, in sixteen directions
                _ => (0..16).for_each(|i| {
                    let (sin, cos) = (f64::from(i) * std::f64::consts::PI / 8.0).sin_cos();
                    let dec = (dec_deg + 2e-6 * sin).clamp(-90.0, 90.0);
                    let ra = (ra_deg + 2e-6 * cos).rem_euclid(360.0);
                    self.insert((q3c::ang2ipix(ra, dec) >> CELL_BITS) as i32);
                }),
            }
        }
    }

    fn insert(&mut self, cell: i32) {
        // neighbouring rows of a file mostly lie in cells that were just seen
        let slot = &mut self.recent[cell as usize & (RECENT - 1)];
        if *slot != cell {
            *slot = cell;
            self.cells.insert(cell);
        }
    }

    pub fn sorted(&self) -> Vec<i32> {
        let mut cells: Vec<i32> = self.cells.iter().copied().collect();
        cells.sort_unstable();
        cells
    }
}

/// Is the position within 2^BORDER_BITS units of its cell's border? The even bits of ipix are x, the odd ones y.
fn near_border(ipix: u64) -> bool {
    const X: u64 = 0x5555_5555_5555_5555 & ((1 << CELL_BITS) - 1) & !((1 << (2 * BORDER_BITS)) - 1);
    const Y: u64 = X << 1 & ((1 << CELL_BITS) - 1);
    [X, Y].iter().any(|&mask| ipix & mask == 0 || ipix & mask == mask)
}

/// Cells as ranges of ipix: low inclusive, high exclusive.
pub fn ranges(cells: &[i32]) -> Vec<(i64, i64)> {
    let mut ranges: Vec<(i64, i64)> = Vec::new();
    for &cell in cells {
        let (low, high) = (i64::from(cell) << CELL_BITS, (i64::from(cell) + 1) << CELL_BITS);
        match ranges.last_mut() {
            Some(last) if last.1 == low => last.1 = high,
            _ => ranges.push((low, high)),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::designation::Designation;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn positions_of_one_designation_lie_in_each_others_coverage(ra in 0.0f64..360.0, dec in -89.0f64..89.0, dra in -5e-8f64..5e-8, ddec in -5e-7f64..5e-7) {
            // start from a position close to a cell border: move to the corner of its cell
            let ipix = q3c::ang2ipix(ra, dec) >> CELL_BITS << CELL_BITS;
            let (ra, dec) = q3c::ipix2ang(ipix).unwrap();
            let (rounded_ra, rounded_dec) = Designation::new(ra, dec).position_deg();
            let other = ((rounded_ra + dra).rem_euclid(360.0), rounded_dec + ddec);
            let mut coverage = Coverage::new();
            let ipix = q3c::ang2ipix(rounded_ra % 360.0, rounded_dec) as u64;
            coverage.add(ipix, rounded_ra % 360.0, rounded_dec);
            let cell = (q3c::ang2ipix(other.0, other.1) >> CELL_BITS) as i32;
            prop_assert!(coverage.sorted().contains(&cell));
        }
    }
}
