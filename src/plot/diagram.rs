//! Many points as counts in cells, between two axes: a colour-magnitude diagram.
//!
//! Points are counted in small cells of a fixed grid as they come, so that memory does not grow with them. The picture is cut to where nearly
//! all points lie and the cells are put together until they can be seen; brightness is logarithmic in the count.

use super::Error;
use super::axis::Axis;
use super::canvas::{Anchor, Canvas, Frame, Point};
use super::colour::{FAINT, INK, Rgb, viridis};
use std::ops::Range;

/// A grid over one direction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Grid {
    pub from: f64,
    /// Of a cell.
    pub step: f64,
    pub cells: usize,
}

impl Grid {
    fn cell(&self, value: f64) -> Option<usize> {
        let cell = (value - self.from) / self.step;
        (cell >= 0.0 && cell < self.cells as f64).then_some(cell as usize)
    }

    fn value(&self, cell: usize) -> f64 {
        self.from + cell as f64 * self.step
    }
}

/// Counts of points.
#[derive(Debug, Clone)]
pub struct Counts {
    across: Grid,
    down: Grid,
    counts: Vec<u32>,
    points: u64,
}

/// What the picture says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caption {
    pub title: String,
    pub subtitle: String,
    pub across: String,
    pub down: String,
}

const LEFT: f64 = 96.0;
const TOP: f64 = 90.0;
const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 640.0;
const RIGHT: f64 = 30.0;
const BOTTOM: f64 = 80.0;
/// Cells along a side that can still be told apart.
const MOST_CELLS: usize = 200;
/// Of the points, at either end, that the picture may leave out.
const TAIL: f64 = 0.002;

impl Counts {
    pub fn new(across: Grid, down: Grid) -> Counts {
        Counts { across, down, counts: vec![0; across.cells * down.cells], points: 0 }
    }

    /// Counts a point, unless it lies off the grid.
    pub fn add(&mut self, across: f64, down: f64) {
        if let (Some(x), Some(y)) = (self.across.cell(across), self.down.cell(down)) {
            self.counts[y * self.across.cells + x] += 1;
            self.points += 1;
        }
    }

    /// How many were counted.
    pub fn points(&self) -> u64 {
        self.points
    }

    /// Columns and rows that nearly all points lie in, with a margin.
    fn window(&self) -> [Range<usize>; 2] {
        let (mut columns, mut rows) = (vec![0_u64; self.across.cells], vec![0_u64; self.down.cells]);
        for (i, &count) in self.counts.iter().enumerate() {
            columns[i % self.across.cells] += u64::from(count);
            rows[i / self.across.cells] += u64::from(count);
        }
        [columns, rows].map(|sums| {
            let tail = (self.points as f64 * TAIL) as u64;
            let beyond = |sums: &mut dyn Iterator<Item = &u64>| {
                let mut sum = 0;
                sums.take_while(|count| {
                    sum += **count;
                    sum <= tail
                })
                .count()
            };
            let (low, high) = (beyond(&mut sums.iter()), sums.len() - beyond(&mut sums.iter().rev()));
            let margin = ((high.saturating_sub(low)) / 12).max(5);
            low.saturating_sub(margin)..(high + margin).min(sums.len())
        })
    }

    /// Cells of the window put together `merge` by `merge`, by row, and the most in one.
    fn merged(&self, [columns, rows]: &[Range<usize>; 2], merge: usize) -> (Vec<u32>, usize, u32) {
        let width = columns.len().div_ceil(merge);
        let mut merged = vec![0_u32; width * rows.len().div_ceil(merge)];
        for y in rows.clone() {
            for x in columns.clone() {
                merged[(y - rows.start) / merge * width + (x - columns.start) / merge] += self.counts[y * self.across.cells + x];
            }
        }
        let most = merged.iter().copied().max().unwrap_or(0);
        (merged, width, most)
    }
}

/// Draws the diagram, what is counted down growing downwards (magnitudes); the bytes of a PNG.
pub fn diagram(counts: &Counts, caption: &Caption) -> Result<Vec<u8>, Error> {
    if counts.points == 0 {
        return Err(Error::Nothing("no point lies in the diagram".into()));
    }
    let window = counts.window();
    let merge = window.iter().map(|range| range.len().div_ceil(MOST_CELLS)).max().unwrap_or(1).max(1);
    let (merged, width, most) = counts.merged(&window, merge);
    let frame = Frame { left: LEFT, top: TOP, right: LEFT + WIDTH, bottom: TOP + HEIGHT };
    let mut canvas = Canvas::new((frame.right + RIGHT) as usize, (frame.bottom + BOTTOM) as usize);
    let [columns, rows] = window;
    let place = |cells: &Range<usize>, from: f64, to: f64, at: f64| (at - from) / (to - from) * cells.len() as f64 / merge as f64;
    let colour = |(x, y): Point| {
        let (x, y) = (place(&columns, frame.left, frame.right, x) as usize, place(&rows, frame.top, frame.bottom, y) as usize);
        match merged.get(y * width + x.min(width - 1)) {
            Some(&count) if count > 0 => Some(shade(count, most)),
            _ => None,
        }
    };
    canvas.paint(frame, colour);
    canvas.text((LEFT, 30.0), &caption.title, 24.0, INK, Anchor::Left)?;
    let cell = format!("{:.2} x {:.2}", counts.across.step * merge as f64, counts.down.step * merge as f64);
    let subtitle = format!("{}; at most {most} in a cell of {cell}, colours logarithmic", caption.subtitle);
    canvas.text((LEFT, 58.0), &subtitle, 15.0, FAINT, Anchor::Left)?;
    let value = |grid: &Grid, cells: &Range<usize>| (grid.value(cells.start), grid.value(cells.end));
    let (from, to) = value(&counts.across, &columns);
    for (value, text) in (Axis { from, to, from_px: frame.left, to_px: frame.right }).ticks(7) {
        let x = Axis { from, to, from_px: frame.left, to_px: frame.right }.px(value);
        canvas.line(&[(x, frame.bottom), (x, frame.bottom + 6.0)], INK, 1.0, 1.0)?;
        canvas.text((x, frame.bottom + 20.0), &text, 16.0, INK, Anchor::Centre)?;
    }
    let (from, to) = value(&counts.down, &rows);
    let down = Axis { from, to, from_px: frame.top, to_px: frame.bottom };
    for (value, text) in down.ticks(9) {
        let y = down.px(value);
        canvas.line(&[(frame.left - 6.0, y), (frame.left, y)], INK, 1.0, 1.0)?;
        canvas.text((frame.left - 12.0, y), &text, 16.0, INK, Anchor::Right)?;
    }
    canvas.text(((frame.left + frame.right) / 2.0, frame.bottom + 50.0), &caption.across, 18.0, INK, Anchor::Centre)?;
    canvas.text((frame.left - 62.0, (frame.top + frame.bottom) / 2.0), &caption.down, 18.0, INK, Anchor::Upwards)?;
    canvas.outline(frame, INK)?;
    canvas.into_png()
}

/// Dark for one point, bright for the most.
fn shade(count: u32, most: u32) -> Rgb {
    let whole = f64::from(most.max(2)).ln();
    viridis(0.95 * f64::from(count).ln() / whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts() -> Counts {
        let mut counts = Counts::new(Grid { from: -5.0, step: 0.02, cells: 600 }, Grid { from: 10.0, step: 0.05, cells: 500 });
        for i in 0..1000 {
            // the middle of a cell each
            counts.add(1.01 + f64::from(i % 50) * 0.02, 22.025 + f64::from(i / 50) * 0.05);
        }
        counts.add(f64::NAN, 20.0);
        counts.add(-5.1, 20.0);
        counts
    }

    #[test]
    fn points_are_counted_and_the_window_holds_them() {
        let counts = counts();
        assert_eq!(counts.points(), 1000);
        let [columns, rows] = counts.window();
        // a colour of 1 is 6 magnitudes from the grid's beginning, 50 cells of points follow; 5 cells of margin
        assert_eq!((columns.clone(), rows.clone()), (295..355, 235..265));
        let (merged, width, most) = counts.merged(&[columns, rows], 2);
        assert_eq!((merged.iter().sum::<u32>(), width, most), (1000, 30, 4));
    }

    #[test]
    fn a_diagram_is_a_picture_and_nothing_is_none() {
        let caption = Caption { title: "t".into(), subtitle: "s".into(), across: "a".into(), down: "d".into() };
        assert!(diagram(&counts(), &caption).expect("a picture").starts_with(b"\x89PNG"));
        let none = Counts::new(Grid { from: 0.0, step: 1.0, cells: 2 }, Grid { from: 0.0, step: 1.0, cells: 2 });
        assert!(matches!(diagram(&none, &caption), Err(Error::Nothing(_))));
    }
}
