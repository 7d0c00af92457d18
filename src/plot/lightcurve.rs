//! A sparse light curve in several filters: magnitude over time and, when a period is known, over phase.
//!
//! After Figure 6 of the Data Lab paper (Olsen et al.): filters in the order of their wavelength, bright is up, the
//! phase is `(mjd / period) mod 1` and shown twice.

use super::Error;
use super::axis::{self, Axis};
use super::canvas::{Anchor, Canvas, Frame, Point};
use super::colour::{FAINT, INK, Rgb, SERIES};

/// One measurement.
#[derive(Debug, Clone, PartialEq)]
pub struct Measurement {
    pub filter: String,
    pub mjd_d: f64,
    pub magnitude: f64,
    /// Zero or NaN draws no bar.
    pub error_mag: f64,
}

/// What the picture says beside the measurements.
#[derive(Debug, Clone, PartialEq)]
pub struct Caption {
    pub title: String,
    pub subtitle: String,
    pub period_d: Option<f64>,
}

const PANEL_WIDTH: f64 = 520.0;
const PANEL_HEIGHT: f64 = 520.0;
const LEFT: f64 = 80.0;
const TOP: f64 = 90.0;
const BOTTOM: f64 = 75.0;
const GAP: f64 = 28.0;
const LEGEND: f64 = 150.0;

/// The phase of an epoch, in [0, 1).
pub fn phase(mjd_d: f64, period_d: f64) -> f64 {
    (mjd_d / period_d).rem_euclid(1.0)
}

/// The wavelength that a filter's name says, for sorting: HST writes nanometres (F275W, F814W), in the infrared hundredths
/// of micrometres (F110W); names without digits come last.
pub fn wavelength_nm(filter: &str) -> u32 {
    let digits: String = filter.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    match digits.parse() {
        Ok(hundredths_um @ 0..190) => hundredths_um * 10,
        Ok(nm) => nm,
        Err(_) => u32::MAX,
    }
}

/// Draws the light curve; the bytes of a PNG.
pub fn lightcurve(measurements: &[Measurement], caption: &Caption) -> Result<Vec<u8>, Error> {
    let usable: Vec<&Measurement> = measurements.iter().filter(|m| m.magnitude.is_finite() && m.mjd_d.is_finite()).collect();
    if usable.is_empty() {
        return Err(Error::Nothing("there is no measurement with a magnitude".into()));
    }
    let panels = if caption.period_d.is_some() { 2.0 } else { 1.0 };
    let right = LEFT + panels * PANEL_WIDTH + (panels - 1.0) * GAP;
    let mut canvas = Canvas::new((right + LEGEND) as usize, (TOP + PANEL_HEIGHT + BOTTOM) as usize);
    canvas.text((LEFT, 30.0), &caption.title, 24.0, INK, Anchor::Left)?;
    canvas.text((LEFT, 58.0), &caption.subtitle, 16.0, FAINT, Anchor::Left)?;

    let (low, high) = span(usable.iter().map(|m| m.magnitude), 0.2);
    let magnitudes = Axis { from: low, to: high, from_px: TOP, to_px: TOP + PANEL_HEIGHT };
    let filters = filters(&usable);
    let (from, to) = span(usable.iter().map(|m| m.mjd_d), 1.0);
    let frame = Frame { left: LEFT, top: TOP, right: LEFT + PANEL_WIDTH, bottom: TOP + PANEL_HEIGHT };
    let times = Axis { from, to, from_px: frame.left, to_px: frame.right };
    let mut panel = Panel { canvas: &mut canvas, frame, across: times, magnitudes };
    panel.draw_axes("MJD (days)", true)?;
    panel.draw_points(&usable, &filters, |m| vec![m.mjd_d])?;
    if let Some(period_d) = caption.period_d {
        let frame = Frame { left: frame.right + GAP, right, ..frame };
        let phases = Axis { from: 0.0, to: 2.0, from_px: frame.left, to_px: frame.right };
        let mut panel = Panel { canvas: &mut canvas, frame, across: phases, magnitudes };
        panel.draw_axes(&format!("phase (period {period_d} days)"), false)?;
        panel.draw_points(&usable, &filters, |m| [0.0, 1.0].map(|cycle| cycle + phase(m.mjd_d, period_d)).to_vec())?;
    }
    draw_legend(&mut canvas, right + 28.0, &usable, &filters)?;
    canvas.into_png()
}

/// The filters that occur, by wavelength.
fn filters(measurements: &[&Measurement]) -> Vec<String> {
    let mut names: Vec<String> = measurements.iter().map(|m| m.filter.clone()).collect();
    names.sort_by_key(|name| (wavelength_nm(name), name.clone()));
    names.dedup();
    names
}

/// PHAT's six filters keep their colours whichever of them occur; others take the colour of their place.
fn colour(filter: &str, place: usize) -> Rgb {
    const PHAT: [&str; 6] = ["F275W", "F336W", "F475W", "F814W", "F110W", "F160W"];
    const PHAT_COLOURS: [usize; 6] = [0, 1, 2, 4, 5, 6];
    match PHAT.iter().position(|name| *name == filter) {
        Some(index) => SERIES[PHAT_COLOURS[index]],
        None => SERIES[place % SERIES.len()],
    }
}

/// Least and greatest value with a margin of 6 per cent, at least `least` wide.
fn span(values: impl Iterator<Item = f64>, least: f64) -> (f64, f64) {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    let margin = ((high - low) * 0.06).max((least - (high - low)) / 2.0).max(least * 0.1);
    (low - margin, high + margin)
}

/// One pair of axes.
struct Panel<'a> {
    canvas: &'a mut Canvas,
    frame: Frame,
    across: Axis,
    magnitudes: Axis,
}

impl Panel<'_> {
    fn draw_axes(&mut self, title: &str, with_magnitudes: bool) -> Result<(), Error> {
        let Frame { left, top, right, bottom } = self.frame;
        for (value, text) in self.across.ticks(5) {
            let x = self.across.px(value);
            self.canvas.line(&[(x, top), (x, bottom)], FAINT, 0.18, 1.0)?;
            self.canvas.line(&[(x, bottom), (x, bottom + 6.0)], INK, 1.0, 1.0)?;
            self.canvas.text((x, bottom + 20.0), &text, 16.0, INK, Anchor::Centre)?;
        }
        for (value, text) in self.magnitudes.ticks(8) {
            let y = self.magnitudes.px(value);
            self.canvas.line(&[(left, y), (right, y)], FAINT, 0.18, 1.0)?;
            self.canvas.line(&[(left - 6.0, y), (left, y)], INK, 1.0, 1.0)?;
            if with_magnitudes {
                self.canvas.text((left - 12.0, y), &text, 16.0, INK, Anchor::Right)?;
            }
        }
        if with_magnitudes {
            self.canvas.text((left - 54.0, (top + bottom) / 2.0), "magnitude (Vega)", 18.0, INK, Anchor::Upwards)?;
        }
        self.canvas.text(((left + right) / 2.0, bottom + 50.0), title, 18.0, INK, Anchor::Centre)?;
        self.canvas.outline(self.frame, INK)
    }

    /// Error bars first, so that no bar crosses a point.
    fn draw_points(&mut self, points: &[&Measurement], filters: &[String], places: impl Fn(&Measurement) -> Vec<f64>) -> Result<(), Error> {
        for (place, filter) in filters.iter().enumerate() {
            let of_filter = || points.iter().filter(|m| m.filter == *filter);
            for m in of_filter() {
                for value in places(m) {
                    self.draw_bar(self.across.px(value), m, colour(filter, place))?;
                }
            }
            for m in of_filter() {
                for value in places(m) {
                    draw_mark(self.canvas, (self.across.px(value), self.magnitudes.px(m.magnitude)), place, colour(filter, place))?;
                }
            }
        }
        Ok(())
    }

    fn draw_bar(&mut self, x: f64, m: &Measurement, colour: Rgb) -> Result<(), Error> {
        const CAP: f64 = 4.0;
        if m.error_mag.is_nan() || m.error_mag <= 0.0 {
            return Ok(());
        }
        let ends = [m.magnitude - m.error_mag, m.magnitude + m.error_mag].map(|value| self.magnitudes.px(value));
        let inside = ends.map(|y| y.clamp(self.frame.top, self.frame.bottom));
        self.canvas.line(&inside.map(|y| (x, y)), colour, 0.8, 1.4)?;
        for y in ends.into_iter().filter(|y| self.frame.contains((x, *y))) {
            self.canvas.line(&[(x - CAP, y), (x + CAP, y)], colour, 0.8, 1.4)?;
        }
        Ok(())
    }
}

/// Each filter has its own shape as well, for black-and-white print: disc, square, triangle up, diamond, triangle down, pentagon.
fn draw_mark(canvas: &mut Canvas, centre: Point, place: usize, colour: Rgb) -> Result<(), Error> {
    let white = Rgb([255, 255, 255]);
    for (radius, colour) in [(6.4, white), (5.2, colour)] {
        match place % 6 {
            0 => canvas.disc(centre, radius, colour)?,
            1 => canvas.polygon(&corners(centre, radius * 1.2, 4, 45.0), colour)?,
            2 => canvas.polygon(&corners(centre, radius * 1.25, 3, 90.0), colour)?,
            3 => canvas.polygon(&corners(centre, radius * 1.25, 4, 0.0), colour)?,
            4 => canvas.polygon(&corners(centre, radius * 1.25, 3, -90.0), colour)?,
            _ => canvas.polygon(&corners(centre, radius * 1.1, 5, 90.0), colour)?,
        }
    }
    Ok(())
}

fn corners((x, y): Point, radius: f64, count: u32, first_deg: f64) -> Vec<Point> {
    (0..count)
        .map(|n| {
            let angle = (first_deg + 360.0 * f64::from(n) / f64::from(count)).to_radians();
            (x + radius * angle.cos(), y - radius * angle.sin())
        })
        .collect()
}

fn draw_legend(canvas: &mut Canvas, left: f64, points: &[&Measurement], filters: &[String]) -> Result<(), Error> {
    const LINE: f64 = 28.0;
    for (place, filter) in filters.iter().enumerate() {
        let y = TOP + 14.0 + LINE * place as f64;
        let count = points.iter().filter(|m| m.filter == *filter).count();
        draw_mark(canvas, (left, y), place, colour(filter, place))?;
        canvas.text((left + 16.0, y), &format!("{}  ({count})", axis::minus(filter)), 17.0, INK, Anchor::Left)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_stand_in_the_order_of_wavelength() {
        let mut names = ["F160W", "F814W", "F275W", "F110W", "F475W", "F336W"];
        names.sort_by_key(|name| wavelength_nm(name));
        assert_eq!(names, ["F275W", "F336W", "F475W", "F814W", "F110W", "F160W"]);
    }

    #[test]
    fn phases_count_from_mjd_zero() {
        assert!((phase(55926.95, 10.29) - 0.0777453).abs() < 1e-4, "{}", phase(55926.95, 10.29));
        assert!((phase(-1.0, 4.0) - 0.75).abs() < 1e-12);
    }
}
