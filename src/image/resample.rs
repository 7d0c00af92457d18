//! Images on other pixels: north up, or all filters on the grid of one.
//!
//! Bilinear: enough to look at, and no star moves. Pixels whose neighbours are missing are NaN.

use super::wcs::Wcs;
use rayon::prelude::*;

/// Values on a grid: `width` to a row, row by row from the bottom, and where they are.
#[derive(Debug, Clone)]
pub struct Field {
    pub wcs: Wcs,
    /// The FITS pixel of the WCS at which the first value lies.
    pub origin: [f64; 2],
    pub width: usize,
    pub height: usize,
    pub values: Vec<f32>,
}

impl Field {
    /// The value at a pixel of the WCS.
    fn at(&self, [x, y]: [f64; 2]) -> f32 {
        let (x, y) = (x - self.origin[0], y - self.origin[1]);
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
        (a * (1.0 - fx) + b * fx) * (1.0 - fy) + (c * (1.0 - fx) + d * fx) * fy
    }

    /// The same sky on the pixels of another WCS, from `origin` on.
    pub fn onto(&self, wcs: &Wcs, origin: [f64; 2], width: usize, height: usize) -> Field {
        let mut values = vec![f32::NAN; width * height];
        values.par_chunks_exact_mut(width).enumerate().for_each(|(row, line)| {
            for (column, value) in line.iter_mut().enumerate() {
                let there = wcs.pixel_to_sky(origin[0] + column as f64, origin[1] + row as f64);
                if let Some(pixel) = there.and_then(|[ra, dec]| self.wcs.sky_to_pixel(ra, dec)) {
                    *value = self.at(pixel);
                }
            }
        });
        Field { wcs: wcs.clone(), origin, width, height, values }
    }
}
