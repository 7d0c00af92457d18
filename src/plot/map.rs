//! A HEALPix map in a tangent (gnomonic) projection: every cell in its true shape, north up, east left.
//!
//! Drawn backwards: each pixel of the picture is taken to the sky and asks which cell it lies in, so that cells have
//! their real borders at any scale. Values between two percentiles share the colours evenly, on a linear or a
//! logarithmic scale; what lies beyond them takes the end colours, which the colour bar shows by its arrow heads.

use super::Error;
use super::axis::{self, Axis};
use super::canvas::{Anchor, Canvas, Frame, Point};
use super::colour::{EMPTY, FAINT, INK, Rgb, viridis};
use crate::sky::healpix;
use std::collections::HashMap;

/// How the cells are numbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    Ring,
    Nested,
}

/// A HEALPix tessellation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Healpix {
    /// A power of two.
    pub nside: u32,
    pub scheme: Scheme,
}

/// How values become colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    Linear,
    /// Values of zero and below are not drawn.
    Log,
}

/// What the picture says beside the cells.
#[derive(Debug, Clone, PartialEq)]
pub struct Caption {
    pub title: String,
    pub subtitle: String,
    /// Stands along the colour bar.
    pub value: String,
    pub scale: Scale,
}

/// A tangent plane stretches beyond use further out.
const WIDEST_DEG: f64 = 120.0;

const LONGEST_SIDE: f64 = 760.0;
const LEFT: f64 = 96.0;
const TOP: f64 = 90.0;
const BOTTOM: f64 = 80.0;
const BAR: f64 = 150.0;

impl Scale {
    /// The percentiles that the colours run between. Counts fall off steeply in the cells that a survey's border cuts:
    /// they would take up most of a logarithmic scale.
    fn percentiles(self) -> [f64; 2] {
        match self {
            Scale::Linear => [0.02, 0.98],
            Scale::Log => [0.06, 0.995],
        }
    }
}

impl Healpix {
    fn depth(self) -> u8 {
        self.nside.trailing_zeros() as u8
    }

    /// Centre of a cell: (ra, dec) in degrees; `None` for a number beyond the last cell.
    pub fn centre_deg(self, cell: u64) -> Option<(f64, f64)> {
        let centre = match self.scheme {
            Scheme::Nested => healpix::nest_center_deg(self.depth(), cell),
            Scheme::Ring => healpix::ring_center_deg(self.depth(), cell),
        };
        centre.ok()
    }

    /// The cell of a position.
    fn cell(self, ra_deg: f64, dec_deg: f64) -> u64 {
        let nested = healpix::nest(self.depth(), ra_deg, dec_deg);
        match self.scheme {
            Scheme::Nested => nested,
            Scheme::Ring => healpix::nest_to_ring(self.depth(), nested).expect("a cell of this depth"),
        }
    }

    /// The side of a square with a cell's area.
    pub fn cell_size_rad(self) -> f64 {
        (std::f64::consts::PI / 3.0).sqrt() / f64::from(self.nside)
    }
}

/// Draws the cells; the bytes of a PNG.
pub fn map(cells: &[(u64, f64)], healpix: Healpix, caption: &Caption) -> Result<Vec<u8>, Error> {
    let drawable = |value: f64| value.is_finite() && (caption.scale == Scale::Linear || value > 0.0);
    let cells: Vec<(u64, f64)> = cells.iter().copied().filter(|(_, value)| drawable(*value)).collect();
    let window = Window::around(&cells, healpix)?;
    let colours = Colours::of(&cells, caption.scale);
    let frame = window.frame;
    let mut canvas = Canvas::new((frame.right + BAR) as usize, (frame.bottom + BOTTOM) as usize);
    let values: HashMap<u64, f64> = cells.into_iter().collect();
    canvas.paint(frame, |point| {
        let (ra_deg, dec_deg) = window.sky_deg(point);
        Some(values.get(&healpix.cell(ra_deg, dec_deg)).map_or(EMPTY, |value| colours.colour(*value)))
    });
    draw_grid(&mut canvas, &window)?;
    colours.draw_bar(&mut canvas, frame, &caption.value)?;
    canvas.text((frame.left, 30.0), &caption.title, 24.0, INK, Anchor::Left)?;
    canvas.text((frame.left, 58.0), &caption.subtitle, 16.0, FAINT, Anchor::Left)?;
    canvas.into_png()
}

type Vector = [f64; 3];

fn vector(ra_deg: f64, dec_deg: f64) -> Vector {
    let (ra_rad, dec_rad) = (ra_deg.to_radians(), dec_deg.to_radians());
    [dec_rad.cos() * ra_rad.cos(), dec_rad.cos() * ra_rad.sin(), dec_rad.sin()]
}

fn dot(a: Vector, b: Vector) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// The piece of the tangent plane that is shown, and where it is in the picture.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// Unit vectors to the tangent point, and east and north at it.
    centre: Vector,
    east: Vector,
    north: Vector,
    ra_deg: f64,
    /// Tangent plane coordinates of the frame's left (east) and top (north) sides.
    left_xi: f64,
    top_eta: f64,
    /// Tangent plane units per pixel.
    per_px: f64,
    pub frame: Frame,
}

impl Window {
    /// The window that holds all cells with a small margin.
    pub fn around(cells: &[(u64, f64)], healpix: Healpix) -> Result<Window, Error> {
        let vectors: Vec<Vector> =
            cells.iter().filter_map(|(cell, _)| healpix.centre_deg(*cell)).map(|(ra, dec)| vector(ra, dec)).collect();
        if vectors.is_empty() {
            return Err(Error::Nothing("no cell has a value".into()));
        }
        let mean = vectors.iter().fold([0.0; 3], |sum, v| [sum[0] + v[0], sum[1] + v[1], sum[2] + v[2]]);
        let (ra_rad, dec_rad) = (mean[1].atan2(mean[0]), mean[2].atan2(mean[0].hypot(mean[1])));
        let mut window = Window {
            centre: mean.map(|part| part / dot(mean, mean).sqrt()),
            east: [-ra_rad.sin(), ra_rad.cos(), 0.0],
            north: [-dec_rad.sin() * ra_rad.cos(), -dec_rad.sin() * ra_rad.sin(), dec_rad.cos()],
            ra_deg: ra_rad.to_degrees(),
            left_xi: 0.0,
            top_eta: 0.0,
            per_px: 1.0,
            frame: Frame { left: LEFT, top: TOP, right: LEFT, bottom: TOP },
        };
        let farthest_rad = vectors.iter().map(|v| dot(*v, window.centre)).fold(1.0, f64::min).clamp(-1.0, 1.0).acos();
        if 2.0 * farthest_rad > WIDEST_DEG.to_radians() {
            return Err(Error::TooWide { span_deg: 2.0 * farthest_rad.to_degrees(), limit_deg: WIDEST_DEG });
        }
        window.fit(&vectors, 1.5 * healpix.cell_size_rad());
        Ok(window)
    }

    fn fit(&mut self, vectors: &[Vector], least_margin: f64) {
        let (mut low, mut high) = ([f64::INFINITY; 2], [f64::NEG_INFINITY; 2]);
        for plane in vectors.iter().filter_map(|v| self.plane(*v)) {
            for axis in 0..2 {
                (low[axis], high[axis]) = (low[axis].min(plane[axis]), high[axis].max(plane[axis]));
            }
        }
        let margin = least_margin.max(0.03 * (high[0] - low[0]).max(high[1] - low[1]));
        let [width, height] = [0, 1].map(|axis| high[axis] - low[axis] + 2.0 * margin);
        self.per_px = width.max(height) / LONGEST_SIDE;
        // A sliver would leave no room for its colour bar and labels.
        let px = |side: f64| (side / self.per_px).clamp(0.45 * LONGEST_SIDE, LONGEST_SIDE).round();
        self.frame = Frame { left: LEFT, top: TOP, right: LEFT + px(width), bottom: TOP + px(height) };
        self.left_xi = (low[0] + high[0] + self.frame.width() * self.per_px) / 2.0;
        self.top_eta = (low[1] + high[1] + self.frame.height() * self.per_px) / 2.0;
    }

    /// Gnomonic projection: (xi to the east, eta to the north); `None` behind the observer.
    fn plane(&self, v: Vector) -> Option<[f64; 2]> {
        let depth = dot(v, self.centre);
        (depth > 1e-6).then(|| [dot(v, self.east) / depth, dot(v, self.north) / depth])
    }

    /// The pixel of a position.
    pub fn px(&self, ra_deg: f64, dec_deg: f64) -> Option<Point> {
        let [xi, eta] = self.plane(vector(ra_deg, dec_deg))?;
        Some((self.frame.left + (self.left_xi - xi) / self.per_px, self.frame.top + (self.top_eta - eta) / self.per_px))
    }

    /// The position of a pixel: (ra, dec), ra within half a turn of the centre's.
    fn sky_deg(&self, (x, y): Point) -> (f64, f64) {
        let xi = self.left_xi - (x - self.frame.left) * self.per_px;
        let eta = self.top_eta - (y - self.frame.top) * self.per_px;
        let at = |axis: usize| self.centre[axis] + xi * self.east[axis] + eta * self.north[axis];
        (at(1).atan2(at(0)).to_degrees(), at(2).atan2(at(0).hypot(at(1))).to_degrees())
    }

    /// Right ascension of a pixel in degrees, continuous around the centre.
    fn ra_deg(&self, point: Point) -> f64 {
        let offset = self.sky_deg(point).0 - self.ra_deg;
        self.ra_deg + (offset + 180.0).rem_euclid(360.0) - 180.0
    }

    fn dec_deg(&self, point: Point) -> f64 {
        self.sky_deg(point).1
    }
}

/// Lines of equal right ascension and declination, labelled where they meet the bottom and the left side.
fn draw_grid(canvas: &mut Canvas, window: &Window) -> Result<(), Error> {
    let Frame { left, top, right, bottom } = window.frame;
    let border: Vec<Point> = (0..=100)
        .map(|n| f64::from(n) / 100.0)
        .flat_map(|t| {
            let (x, y) = (left + t * (right - left), top + t * (bottom - top));
            [(x, top), (x, bottom), (left, y), (right, y)]
        })
        .collect();
    let range = |value: &dyn Fn(Point) -> f64| {
        border.iter().map(|p| value(*p)).fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
    };
    let (ra_low, ra_high) = range(&|p| window.ra_deg(p));
    let (dec_low, dec_high) = range(&|p| window.dec_deg(p));
    let (ra_step, dec_step) = (axis::step(ra_high - ra_low, 8), axis::step(dec_high - dec_low, 8));

    for (ra_deg, _) in axis::ticks(ra_low, ra_high, ra_step) {
        let at = |t: f64| (ra_deg, dec_low + t * (dec_high - dec_low));
        draw_curve(canvas, window, at)?;
        let text = axis::label(ra_deg.rem_euclid(360.0), ra_step);
        if let Some(x) = crossing(left, right, |x| window.ra_deg((x, bottom)) - ra_deg) {
            canvas.line(&[(x, bottom), (x, bottom + 6.0)], INK, 1.0, 1.0)?;
            canvas.text((x, bottom + 20.0), &text, 16.0, INK, Anchor::Centre)?;
        }
    }
    for (dec_deg, text) in axis::ticks(dec_low, dec_high, dec_step) {
        draw_curve(canvas, window, |t| (ra_low + t * (ra_high - ra_low), dec_deg))?;
        if let Some(y) = crossing(top, bottom, |y| window.dec_deg((left, y)) - dec_deg) {
            canvas.line(&[(left - 6.0, y), (left, y)], INK, 1.0, 1.0)?;
            canvas.text((left - 12.0, y), &text, 16.0, INK, Anchor::Right)?;
        }
    }
    canvas.text(((left + right) / 2.0, bottom + 52.0), "right ascension (deg)", 18.0, INK, Anchor::Centre)?;
    canvas.text((left - 70.0, (top + bottom) / 2.0), "declination (deg)", 18.0, INK, Anchor::Upwards)?;
    canvas.outline(window.frame, INK)
}

/// A grid line from its degrees at t = 0..1, the parts within the frame.
fn draw_curve(canvas: &mut Canvas, window: &Window, at: impl Fn(f64) -> (f64, f64)) -> Result<(), Error> {
    const PARTS: u32 = 400;
    let mut run: Vec<Point> = Vec::new();
    for n in 0..=PARTS {
        let (ra_deg, dec_deg) = at(f64::from(n) / f64::from(PARTS));
        match window.px(ra_deg, dec_deg).filter(|p| window.frame.contains(*p)) {
            Some(point) => run.push(point),
            None => draw_run(canvas, &mut run)?,
        }
    }
    draw_run(canvas, &mut run)
}

fn draw_run(canvas: &mut Canvas, run: &mut Vec<Point>) -> Result<(), Error> {
    if run.len() > 1 {
        // Thinned: short pieces at the picture's resolution would look like steps.
        let last = run.len() - 1;
        let thin: Vec<Point> = run.iter().enumerate().filter(|(n, _)| n % 16 == 0 || *n == last).map(|(_, p)| *p).collect();
        canvas.line(&thin, FAINT, 0.35, 1.0)?;
    }
    run.clear();
    Ok(())
}

/// Where a function changes its sign between two pixels, by bisection of the first such step.
fn crossing(from: f64, to: f64, difference: impl Fn(f64) -> f64) -> Option<f64> {
    const STEPS: u32 = 64;
    let at = |n: u32| from + (to - from) * f64::from(n) / f64::from(STEPS);
    let jump = |a: f64, b: f64| (difference(a) - difference(b)).abs() > 90.0;
    let (mut low, mut high) = (0..STEPS).map(|n| (at(n), at(n + 1))).find(|&(a, b)| difference(a) * difference(b) <= 0.0 && !jump(a, b))?;
    for _ in 0..40 {
        let middle = (low + high) / 2.0;
        match difference(low) * difference(middle) <= 0.0 {
            true => high = middle,
            false => low = middle,
        }
    }
    Some(low)
}

/// The values' way to colours.
#[derive(Debug, Clone, Copy)]
struct Colours {
    low: f64,
    high: f64,
    scale: Scale,
    beyond_low: bool,
    beyond_high: bool,
}

impl Colours {
    fn of(cells: &[(u64, f64)], scale: Scale) -> Self {
        let mut values: Vec<f64> = cells.iter().map(|(_, value)| *value).collect();
        values.sort_unstable_by(f64::total_cmp);
        let last = values.len() - 1;
        let [low, high] = scale.percentiles().map(|part| values[(part * last as f64).round() as usize]);
        let (beyond_low, beyond_high) = (values[0] < low, values[last] > high);
        // One single value still needs a scale with two ends.
        let (low, high) = match (low < high, scale) {
            (true, _) => (low, high),
            (false, Scale::Log) => (low / 2.0, high * 2.0),
            (false, Scale::Linear) => (low - 0.5, high + 0.5),
        };
        Colours { low, high, scale, beyond_low, beyond_high }
    }

    fn fraction(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Linear => (value - self.low) / (self.high - self.low),
            Scale::Log => (value / self.low).ln() / (self.high / self.low).ln(),
        }
    }

    fn colour(&self, value: f64) -> Rgb {
        viridis(self.fraction(value))
    }

    fn ticks(&self) -> Vec<(f64, String)> {
        match self.scale {
            Scale::Linear => axis::ticks(self.low, self.high, axis::step(self.high - self.low, 8)),
            Scale::Log => log_ticks(self.low, self.high),
        }
    }

    fn draw_bar(&self, canvas: &mut Canvas, frame: Frame, title: &str) -> Result<(), Error> {
        const HEAD: f64 = 14.0;
        let bar = Frame { left: frame.right + 30.0, right: frame.right + 54.0, top: frame.top + HEAD, bottom: frame.bottom - HEAD };
        canvas.paint(bar, |(_, y)| Some(viridis((bar.bottom - y) / bar.height())));
        let middle = (bar.left + bar.right) / 2.0;
        for (shown, y, tip, end) in [(self.beyond_high, bar.top, -HEAD, 1.0), (self.beyond_low, bar.bottom, HEAD, 0.0)] {
            match shown {
                true => {
                    let head = [(bar.left, y), (bar.right, y), (middle, y + tip)];
                    canvas.polygon(&head, viridis(end))?;
                    canvas.line(&[head[0], head[2], head[1]], INK, 1.0, 1.0)?;
                }
                false => canvas.line(&[(bar.left, y), (bar.right, y)], INK, 1.0, 1.0)?,
            }
        }
        for x in [bar.left, bar.right] {
            canvas.line(&[(x, bar.top), (x, bar.bottom)], INK, 1.0, 1.0)?;
        }
        let scale = Axis { from: 0.0, to: 1.0, from_px: bar.bottom, to_px: bar.top };
        for (value, text) in self.ticks() {
            let y = scale.px(self.fraction(value));
            canvas.line(&[(bar.right, y), (bar.right + 5.0, y)], INK, 1.0, 1.0)?;
            canvas.text((bar.right + 10.0, y), &text, 16.0, INK, Anchor::Left)?;
        }
        canvas.text((frame.right + BAR - 26.0, (frame.top + frame.bottom) / 2.0), title, 18.0, INK, Anchor::Upwards)
    }
}

/// 1, 2, 5 of each decade, or the powers of ten alone over many decades, or round steps within one decade.
fn log_ticks(low: f64, high: f64) -> Vec<(f64, String)> {
    let decades = (high / low).log10();
    if decades < 1.0 {
        return axis::ticks(low, high, axis::step(high - low, 8));
    }
    let digits: &[f64] = if decades > 4.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
    let exponents = low.log10().floor() as i32..=high.log10().ceil() as i32;
    let values = exponents.flat_map(|exponent| digits.iter().map(move |digit| digit * 10_f64.powi(exponent)));
    values.filter(|value| (low..=high).contains(value)).map(|value| (value, plain(value))).collect()
}

/// `20000`, `0.05`, `2e9`.
fn plain(value: f64) -> String {
    match value {
        1e-4..1e7 => format!("{}", (value * 1e6).round() / 1e6),
        _ => format!("{value:.0e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pixel_and_its_position_lead_to_each_other() {
        let healpix = Healpix { nside: 256, scheme: Scheme::Nested };
        for first in [0, 400_000, 786_000] {
            let cells: Vec<(u64, f64)> = (first..first + 200).map(|cell| (cell, 1.0)).collect();
            let window = Window::around(&cells, healpix).unwrap();
            for (cell, _) in cells {
                let (ra_deg, dec_deg) = healpix.centre_deg(cell).unwrap();
                let point = window.px(ra_deg, dec_deg).unwrap();
                assert!(window.frame.contains(point), "cell {cell} at {point:?}");
                let (ra_back, dec_back) = window.sky_deg(point);
                assert_eq!(healpix.cell(ra_back, dec_back), cell);
            }
        }
    }

    #[test]
    fn east_is_left_and_north_is_up() {
        let healpix = Healpix { nside: 4096, scheme: Scheme::Nested };
        let cells: Vec<(u64, f64)> = (10_746_000..10_746_400).map(|cell| (cell, 1.0)).collect();
        let window = Window::around(&cells, healpix).unwrap();
        let (ra, dec) = window.sky_deg((window.frame.left + 300.0, window.frame.top + 300.0));
        let (x, y) = window.px(ra, dec).unwrap();
        assert!(window.px(ra + 5e-3, dec).unwrap().0 < x);
        assert!(window.px(ra, dec + 5e-3).unwrap().1 < y);
    }
}
