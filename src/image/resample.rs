//! Images on other pixels: north up, or all filters on the grid of one.
//!
//! Bilinear: enough to look at, and no star moves. Pixels whose neighbours are missing are NaN.

use super::wcs::Wcs;
use rayon::prelude::*;
use std::sync::Arc;

/// Values on a grid: `width` to a row, row by row from the bottom, and where they are.
#[derive(Debug, Clone)]
pub struct Field {
    pub wcs: Arc<Wcs>,
    /// The FITS pixel of the WCS at which the first value lies.
    pub origin: [f64; 2],
    /// From one value to the next, in pixels of the WCS: 1, less where the field is enlarged, more where it is binned.
    pub step: f64,
    pub width: usize,
    pub height: usize,
    pub values: Vec<f32>,
}

impl Field {
    /// The value at a pixel of the WCS.
    fn at(&self, [x, y]: [f64; 2]) -> f32 {
        let (x, y) = ((x - self.origin[0]) / self.step, (y - self.origin[1]) / self.step);
        let (i, j) = (x.floor(), y.floor());
        if i < 0.0 || j < 0.0 || i + 1.0 >= self.width as f64 || j + 1.0 >= self.height as f64 {
            let (i, j) = (x.round(), y.round());
            // at the very edge the pixel itself
            let inside = (0.0..self.width as f64).contains(&i) && (0.0..self.height as f64).contains(&j);
            return if inside { self.values[j as usize * self.width + i as usize] } else { f32::NAN };
        }
        let (fx, fy) = ((x - i) as f32, (y - j) as f32);
        let at = j as usize * self.width + i as usize;
        let [a, b, c, d] = [at, at + 1, at + self.width, at + self.width + 1].map(|at| self.values[at]);
        // a value at its own place does not mind a neighbour that is none
        let mix = |a: f32, b: f32, part: f32| if part == 0.0 { a } else { a * (1.0 - part) + b * part };
        mix(mix(a, b, fx), mix(c, d, fx), fy)
    }

    /// The FITS pixel of a value.
    pub fn pixel(&self, column: f64, row: f64) -> [f64; 2] {
        [self.origin[0] + column * self.step, self.origin[1] + row * self.step]
    }

    /// Are these the very pixels of the other?
    pub fn covers(&self, other: &Field) -> bool {
        let own = (self.origin, self.step, self.width, self.height);
        own == (other.origin, other.step, other.width, other.height) && self.wcs == other.wcs
    }

    /// Without `margin` values on each side.
    pub fn within(self, margin: usize) -> Field {
        let (width, height) = (self.width.saturating_sub(2 * margin), self.height.saturating_sub(2 * margin));
        let rows = self.values.chunks_exact(self.width.max(1)).skip(margin).take(height);
        let values = rows.flat_map(|row| &row[margin..margin + width]).copied().collect();
        Field { origin: self.pixel(margin as f64, margin as f64), width, height, values, ..self }
    }

    /// The same sky on the pixels of another field, whose own values do not count.
    pub fn onto(&self, target: &Field) -> Field {
        let mut values = vec![f32::NAN; target.width * target.height];
        let is_same_wcs = self.wcs == target.wcs;
        values.par_chunks_exact_mut(target.width.max(1)).enumerate().for_each(|(row, line)| {
            for (column, value) in line.iter_mut().enumerate() {
                let pixel = target.pixel(column as f64, row as f64);
                let there = match is_same_wcs {
                    true => Some(pixel),
                    false => target.wcs.pixel_to_sky(pixel[0], pixel[1]).and_then(|[ra, dec]| self.wcs.sky_to_pixel(ra, dec)),
                };
                if let Some(pixel) = there {
                    *value = self.at(pixel);
                }
            }
        });
        Field { values, wcs: target.wcs.clone(), ..*target }
    }

    /// The means of squares of `side` values; those that are not numbers do not count. What is left over at the upper edges is dropped,
    /// unless it is all that there is.
    pub fn binned(&self, side: usize) -> Field {
        let size = |length: usize| (length / side).max(1);
        let (width, height) = (size(self.width), size(self.height));
        let mut values = vec![f32::NAN; width * height];
        values.par_chunks_exact_mut(width).enumerate().for_each(|(row, line)| {
            for (column, value) in line.iter_mut().enumerate() {
                let (mut sum, mut count) = (0.0, 0);
                for y in row * side..((row + 1) * side).min(self.height) {
                    let from = y * self.width;
                    let line = &self.values[from + column * side..from + ((column + 1) * side).min(self.width)];
                    for found in line.iter().filter(|found| found.is_finite()) {
                        (sum, count) = (sum + f64::from(*found), count + 1);
                    }
                }
                if count > 0 {
                    *value = (sum / f64::from(count)) as f32;
                }
            }
        });
        let middle = (side as f64 - 1.0) / 2.0;
        Field { wcs: self.wcs.clone(), origin: self.pixel(middle, middle), step: self.step * side as f64, width, height, values }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_are_means_of_numbers_and_lie_in_their_middle() {
        let wcs = Wcs::north_up(11.0, 41.0, 1e-5, [2.0, 1.0]).expect("a plane");
        let values = vec![1.0, 3.0, f32::NAN, 5.0, 9.0, 3.0, 5.0, f32::NAN, f32::NAN, 9.0];
        let field = Field { wcs: Arc::new(wcs), origin: [7.0, 8.0], step: 1.0, width: 5, height: 2, values };
        let binned = field.binned(2);
        assert_eq!((binned.width, binned.height, binned.step, binned.origin), (2, 1, 2.0, [7.5, 8.5]));
        assert_eq!(binned.values, [3.0, 5.0]);
        assert_eq!(field.binned(9).values, [35.0 / 7.0]);
        // half-way between two values, and at a value
        let finer = Field { origin: [7.0, 8.0], step: 0.5, width: 3, height: 1, values: Vec::new(), wcs: field.wcs.clone() };
        assert_eq!(field.onto(&finer).values, [1.0, 2.0, 3.0]);
    }
}
