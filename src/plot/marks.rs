//! Marks on a picture of the sky: a scale bar, a compass, circles about catalogue stars.
//!
//! They are drawn at the picture's own size (three bytes a pixel, rows from the top), bright with a dark edge, so that they
//! are seen on sky and on galaxies.

use super::Error;
use super::canvas::FONT;
use super::colour::Rgb;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// A picture to be marked.
pub struct Marks<'a> {
    pub width: usize,
    pub height: usize,
    pub rgb: &'a mut [u8],
}

const BRIGHT: Rgb = Rgb([255, 255, 255]);
const DARK: Rgb = Rgb([0, 0, 0]);
/// Pixels between a mark and the edge.
const MARGIN: f64 = 10.0;
const LETTERS: f64 = 14.0;

impl Marks<'_> {
    /// A circle about a point (right, down).
    pub fn circle(&mut self, centre: (f64, f64), radius: f64, colour: Rgb) {
        let (x0, y0) = ((centre.0 - radius - 2.0).floor(), (centre.1 - radius - 2.0).floor());
        let reach = (2.0 * radius + 5.0).ceil() as i64;
        for dy in 0..reach {
            for dx in 0..reach {
                let (x, y) = (x0 as i64 + dx, y0 as i64 + dy);
                let distance = ((x as f64 - centre.0).hypot(y as f64 - centre.1) - radius).abs();
                self.blend(x, y, colour, 1.2 - distance);
            }
        }
    }

    fn blend(&mut self, x: i64, y: i64, Rgb(colour): Rgb, opacity: f64) {
        let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) else { return };
        if x >= self.width || y >= self.height || opacity <= 0.0 {
            return;
        }
        let opacity = opacity.min(1.0);
        let at = 3 * (y * self.width + x);
        for (byte, wanted) in self.rgb[at..at + 3].iter_mut().zip(colour) {
            *byte = (f64::from(*byte) * (1.0 - opacity) + f64::from(wanted) * opacity).round() as u8;
        }
    }

    /// A bar of a length that is a round number of arcseconds, at the lower left; tells nothing on pictures too small for it.
    pub fn scale_bar(&mut self, arcsec_per_pixel: f64) -> Result<(), Error> {
        let most = self.width as f64 / 3.0 * arcsec_per_pixel;
        let Some(length) = round_below(most).filter(|_| self.height as f64 > 4.0 * LETTERS) else { return Ok(()) };
        let label = if length >= 60.0 { format!("{}'", length / 60.0) } else { format!("{length}\"") };
        let (left, y) = (MARGIN, self.height as f64 - MARGIN);
        let right = left + length / arcsec_per_pixel;
        self.line(&[(left, y), (right, y)])?;
        for x in [left, right] {
            self.line(&[(x, y - 3.0), (x, y + 3.0)])?;
        }
        self.text((0.5 * (left + right), y - 12.0), &label)
    }

    /// Arrows to north and east, given as directions (right, down) of length one, at the lower right.
    pub fn compass(&mut self, north: (f64, f64), east: (f64, f64)) -> Result<(), Error> {
        let arm = (self.width.min(self.height) as f64 / 10.0).clamp(16.0, 40.0);
        if (self.width.min(self.height) as f64) < 6.0 * arm {
            return Ok(());
        }
        // the letters stay within the picture, wherever the arms point
        let room = arm + LETTERS + MARGIN;
        let from = (self.width as f64 - room, self.height as f64 - room);
        for ((dx, dy), letter) in [(north, "N"), (east, "E")] {
            self.line(&[from, (from.0 + arm * dx, from.1 + arm * dy)])?;
            self.text((from.0 + (arm + 9.0) * dx, from.1 + (arm + 9.0) * dy), letter)?;
        }
        Ok(())
    }

    fn line(&mut self, points: &[(f64, f64)]) -> Result<(), Error> {
        let path: Vec<(i32, i32)> = points.iter().map(|(x, y)| (x.round() as i32, y.round() as i32)).collect();
        self.draw(|area| {
            for (Rgb([r, g, b]), width) in [(DARK, 4), (BRIGHT, 2)] {
                area.draw(&PathElement::new(path.clone(), RGBColor(r, g, b).stroke_width(width))).map_err(failed)?;
            }
            Ok(())
        })
    }

    fn text(&mut self, (x, y): (f64, f64), text: &str) -> Result<(), Error> {
        super::canvas::with_font();
        self.draw(|area| {
            let offsets = [(-1, 0), (1, 0), (0, -1), (0, 1), (0, 0)];
            for (dx, dy) in offsets {
                let Rgb([r, g, b]) = if (dx, dy) == (0, 0) { BRIGHT } else { DARK };
                let colour = RGBColor(r, g, b);
                let style = TextStyle::from((FONT, LETTERS).into_font()).color(&colour).pos(Pos::new(HPos::Center, VPos::Center));
                area.draw_text(text, &style, (x.round() as i32 + dx, y.round() as i32 + dy)).map_err(failed)?;
            }
            Ok(())
        })
    }

    fn draw(
        &mut self,
        act: impl FnOnce(&DrawingArea<BitMapBackend<'_>, plotters::coord::Shift>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let size = (self.width as u32, self.height as u32);
        act(&BitMapBackend::with_buffer(self.rgb, size).into_drawing_area())
    }
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Draw(error.to_string())
}

/// The largest of 1, 2, 5 times a power of ten (of arcseconds below a minute, of minutes above) that is not larger.
fn round_below(most: f64) -> Option<f64> {
    if !(most.is_finite() && most > 1e-6) {
        return None;
    }
    if most < 60.0 {
        let power = 10f64.powf(most.log10().floor());
        let digits = [5.0, 2.0, 1.0].into_iter().find(|digit| digit * power <= most).unwrap_or(1.0);
        // 0.30000000000000004 is no label
        return Some((digits * power * 1e9).round() / 1e9);
    }
    round_below_minutes(most / 60.0)
}

fn round_below_minutes(most: f64) -> Option<f64> {
    let power = 10f64.powf(most.log10().floor());
    let digits = [5.0, 2.0, 1.0].into_iter().find(|digit| digit * power <= most)?;
    Some(60.0 * digits * power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_round() {
        assert_eq!(round_below(7.0), Some(5.0));
        assert_eq!(round_below(0.39), Some(0.2));
        assert_eq!(round_below(59.0), Some(50.0));
        assert_eq!(round_below(150.0), Some(120.0));
        assert_eq!(round_below(f64::NAN), None);
    }
}
