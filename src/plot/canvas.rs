//! A bitmap to draw on in logical pixels, three times finer inside.
//!
//! plotters draws the shapes and letters, the font is compiled in, `png` encodes. Coordinates are (right, down).

use super::Error;
use super::colour::Rgb;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use rayon::prelude::*;
use std::sync::Once;

/// Fine pixels along one logical pixel.
const FINE: usize = 3;
pub(super) const FONT: &str = "Ubuntu";

pub type Point = (f64, f64);

/// Makes the font known to plotters.
pub(super) fn with_font() {
    static FONTS: Once = Once::new();
    FONTS.call_once(|| {
        // A font that is compiled in and does not parse would fail every drawing with a clear error of plotters.
        let _ = plotters::style::register_font(FONT, FontStyle::Normal, epaint_default_fonts::UBUNTU_LIGHT);
    });
}

/// A rectangle: left, top, right, bottom.
#[derive(Debug, Clone, Copy)]
pub struct Frame {
    pub left: f64,
    pub top: f64,
    pub right: f64,
    pub bottom: f64,
}

impl Frame {
    pub fn width(&self) -> f64 {
        self.right - self.left
    }
    pub fn height(&self) -> f64 {
        self.bottom - self.top
    }
    pub fn contains(&self, (x, y): Point) -> bool {
        (self.left..=self.right).contains(&x) && (self.top..=self.bottom).contains(&y)
    }
}

/// Where a text stands relative to its point.
#[derive(Debug, Clone, Copy)]
pub enum Anchor {
    Left,
    Centre,
    Right,
    /// Turned by 90 degrees, reading upwards, centred.
    Upwards,
}

pub struct Canvas {
    width: usize,
    height: usize,
    fine: Vec<u8>,
}

impl Canvas {
    /// A white sheet.
    pub fn new(width: usize, height: usize) -> Self {
        with_font();
        Canvas { width, height, fine: vec![255; width * height * FINE * FINE * 3] }
    }

    /// Colours the frame point by point; `None` leaves a point as it is.
    pub fn paint(&mut self, frame: Frame, colour: impl Fn(Point) -> Option<Rgb> + Sync) {
        let fine = |logical: f64| (logical * FINE as f64).round() as usize;
        let columns = fine(frame.left)..fine(frame.right);
        let (top, bottom) = (fine(frame.top), fine(frame.bottom));
        self.fine.par_chunks_exact_mut(self.width * FINE * 3).enumerate().filter(|(y, _)| (top..bottom).contains(y)).for_each(
            |(y, line)| {
                for x in columns.clone() {
                    let point = ((x as f64 + 0.5) / FINE as f64, (y as f64 + 0.5) / FINE as f64);
                    if let Some(Rgb(rgb)) = colour(point) {
                        line[3 * x..3 * x + 3].copy_from_slice(&rgb);
                    }
                }
            },
        );
    }

    pub fn line(&mut self, points: &[Point], Rgb([r, g, b]): Rgb, opacity: f64, width: f64) -> Result<(), Error> {
        let style = RGBColor(r, g, b).mix(opacity).stroke_width((width * FINE as f64).round() as u32);
        let path: Vec<_> = points.iter().map(fine_point).collect();
        self.draw(|area| area.draw(&PathElement::new(path, style)).map_err(failed))
    }

    pub fn polygon(&mut self, points: &[Point], Rgb([r, g, b]): Rgb) -> Result<(), Error> {
        let path: Vec<_> = points.iter().map(fine_point).collect();
        self.draw(|area| area.draw(&Polygon::new(path, RGBColor(r, g, b))).map_err(failed))
    }

    pub fn disc(&mut self, centre: Point, radius: f64, Rgb([r, g, b]): Rgb) -> Result<(), Error> {
        let radius = (radius * FINE as f64).round() as u32;
        self.draw(|area| area.draw(&Circle::new(fine_point(&centre), radius, RGBColor(r, g, b).filled())).map_err(failed))
    }

    pub fn outline(&mut self, frame: Frame, colour: Rgb) -> Result<(), Error> {
        let Frame { left, top, right, bottom } = frame;
        for side in
            [[(left, top), (right, top)], [(right, top), (right, bottom)], [(right, bottom), (left, bottom)], [(left, bottom), (left, top)]]
        {
            self.line(&side, colour, 1.0, 1.0)?;
        }
        Ok(())
    }

    /// `size` is the height of a line of text in logical pixels.
    pub fn text(&mut self, at: Point, text: &str, size: f64, Rgb([r, g, b]): Rgb, anchor: Anchor) -> Result<(), Error> {
        let horizontal = match anchor {
            Anchor::Left => HPos::Left,
            Anchor::Centre | Anchor::Upwards => HPos::Center,
            Anchor::Right => HPos::Right,
        };
        let turn = if matches!(anchor, Anchor::Upwards) { FontTransform::Rotate270 } else { FontTransform::None };
        let font = (FONT, size * FINE as f64).into_font().transform(turn);
        let colour = RGBColor(r, g, b);
        // plotters centres the line's box, whose middle lies above the middle of digits and capitals.
        let lower = 0.15 * size;
        let at = if matches!(anchor, Anchor::Upwards) { (at.0 + lower, at.1) } else { (at.0, at.1 + lower) };
        let style = TextStyle::from(font).color(&colour).pos(Pos::new(horizontal, VPos::Center));
        self.draw(|area| area.draw_text(text, &style, fine_point(&at)).map_err(failed))
    }

    /// Averages down and encodes.
    pub fn into_png(self) -> Result<Vec<u8>, Error> {
        let mut pixels = vec![0_u8; self.width * self.height * 3];
        let fine_line = self.width * FINE * 3;
        pixels.par_chunks_exact_mut(self.width * 3).zip(self.fine.par_chunks_exact(fine_line * FINE)).for_each(|(line, fine)| {
            for (index, value) in line.iter_mut().enumerate() {
                let (x, channel) = (index / 3, index % 3);
                let sum: usize =
                    (0..FINE * FINE).map(|n| usize::from(fine[n / FINE * fine_line + (x * FINE + n % FINE) * 3 + channel])).sum();
                *value = (sum / (FINE * FINE)) as u8;
            }
        });
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, self.width as u32, self.height as u32);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.write_header()?.write_image_data(&pixels)?;
        Ok(bytes)
    }

    fn draw(
        &mut self,
        act: impl FnOnce(&DrawingArea<BitMapBackend<'_>, plotters::coord::Shift>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let size = ((self.width * FINE) as u32, (self.height * FINE) as u32);
        act(&BitMapBackend::with_buffer(&mut self.fine, size).into_drawing_area())
    }
}

fn fine_point(&(x, y): &Point) -> (i32, i32) {
    ((x * FINE as f64).round() as i32, (y * FINE as f64).round() as i32)
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Draw(error.to_string())
}
