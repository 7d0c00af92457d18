//! A graph in layers, left to right: boxes, discs' captions and diamonds, arrows between them.
//!
//! Layers are given; within a layer nodes are put in the order of the mean of their neighbours' places, forth and back a few
//! times (the barycentre method of Sugiyama, Tagawa and Toda 1981), which leaves few crossings.

use super::Error;
use super::canvas::{Anchor, Canvas, Frame, Point};
use super::colour::Rgb;

/// How a node looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Box,
    Text,
    Diamond,
}

/// A node: its layer from the left, and its caption.
#[derive(Debug, Clone)]
pub struct Node {
    pub layer: usize,
    pub shape: Shape,
    pub label: String,
}

const ROW: f64 = 34.0;
const GAP: f64 = 60.0;
const MARGIN: f64 = 24.0;
const LETTER: f64 = 12.0;
const INK: Rgb = Rgb([40, 44, 52]);
const LINE: Rgb = Rgb([120, 130, 145]);
const TASK: Rgb = Rgb([222, 234, 247]);
const BARRIER: Rgb = Rgb([251, 229, 204]);
/// Largest picture, logical pixels along an edge.
const MOST: f64 = 6000.0;

/// Draws it; `edges` are pairs of indices with a caption.
pub fn graph(nodes: &[Node], edges: &[(usize, usize, String)]) -> Result<Vec<u8>, Error> {
    if nodes.is_empty() {
        return Err(Error::Nothing("a graph without nodes".into()));
    }
    let columns = order(nodes, edges);
    let widths: Vec<f64> = columns.iter().map(|column| column.iter().map(|n| width(&nodes[*n])).fold(40.0, f64::max)).collect();
    let tallest = columns.iter().map(Vec::len).max().unwrap_or(1);
    let full = widths.iter().sum::<f64>() + GAP * (columns.len().saturating_sub(1)) as f64 + 2.0 * MARGIN;
    let high = tallest as f64 * ROW + 2.0 * MARGIN;
    if full > MOST || high > MOST {
        return Err(Error::Draw(format!("the graph would be {full:.0} by {high:.0} pixels; ask for --dot and Graphviz")));
    }
    let mut canvas = Canvas::new(full.ceil() as usize, high.ceil() as usize);
    let mut frames = vec![Frame { left: 0.0, top: 0.0, right: 0.0, bottom: 0.0 }; nodes.len()];
    let mut left = MARGIN;
    for (column, width_of_column) in columns.iter().zip(&widths) {
        let top = MARGIN + (tallest - column.len()) as f64 * ROW / 2.0;
        for (i, n) in column.iter().enumerate() {
            let (w, middle) = (width(&nodes[*n]), top + (i as f64 + 0.5) * ROW);
            let start = left + (width_of_column - w) / 2.0;
            frames[*n] = Frame { left: start, top: middle - 11.0, right: start + w, bottom: middle + 11.0 };
        }
        left += width_of_column + GAP;
    }
    for (from, to, label) in edges {
        arrow(&mut canvas, &frames[*from], &frames[*to], label)?;
    }
    for (node, frame) in nodes.iter().zip(&frames) {
        draw(&mut canvas, node, frame)?;
    }
    canvas.into_png()
}

fn width(node: &Node) -> f64 {
    node.label.chars().count() as f64 * LETTER * 0.56 + if node.shape == Shape::Diamond { 40.0 } else { 20.0 }
}

/// The nodes of each layer from the top down.
fn order(nodes: &[Node], edges: &[(usize, usize, String)]) -> Vec<Vec<usize>> {
    let layers = nodes.iter().map(|n| n.layer).max().unwrap_or(0) + 1;
    let mut columns: Vec<Vec<usize>> = vec![Vec::new(); layers];
    for (i, node) in nodes.iter().enumerate() {
        columns[node.layer].push(i);
    }
    for _ in 0..8 {
        let mut place = vec![0.0; nodes.len()];
        for column in &columns {
            for (i, n) in column.iter().enumerate() {
                place[*n] = (i as f64 + 0.5) / column.len() as f64;
            }
        }
        let mean = |n: usize| {
            let near: Vec<f64> = edges
                .iter()
                .filter_map(|(a, b, _)| match n {
                    n if n == *a => Some(place[*b]),
                    n if n == *b => Some(place[*a]),
                    _ => None,
                })
                .collect();
            if near.is_empty() { place[n] } else { near.iter().sum::<f64>() / near.len() as f64 }
        };
        for column in &mut columns {
            column.sort_by(|a, b| mean(*a).total_cmp(&mean(*b)));
        }
    }
    columns
}

fn arrow(canvas: &mut Canvas, from: &Frame, to: &Frame, label: &str) -> Result<(), Error> {
    let middle = |frame: &Frame| (frame.top + frame.bottom) / 2.0;
    let (start, end): (Point, Point) = ((from.right, middle(from)), (to.left, middle(to)));
    let (a, b) = match end.0 > start.0 {
        true => (start, end),
        // back to an earlier layer: below both
        false => ((from.left + 8.0, from.bottom), (to.right - 8.0, to.bottom)),
    };
    let bend = (b.0 - a.0) / 2.0;
    let sag = if end.0 > start.0 { 0.0 } else { 18.0 };
    let point = |t: f64| {
        // a cubic with horizontal ends
        let (s, u) = (t * t * (3.0 - 2.0 * t), 4.0 * t * (1.0 - t));
        (a.0 + bend * 2.0 * t, a.1 + (b.1 - a.1) * s + sag * u)
    };
    let path: Vec<Point> = (0..=24).map(|i| point(f64::from(i) / 24.0)).collect();
    canvas.line(&path, LINE, 1.0, 1.2)?;
    let side = if end.0 > start.0 { -1.0 } else { 1.0 };
    canvas.polygon(&[b, (b.0 + side * 7.0, b.1 - 3.5), (b.0 + side * 7.0, b.1 + 3.5)], LINE)?;
    if !label.is_empty() {
        let short: String = label.chars().take(28).collect();
        let (x, y) = point(0.5);
        canvas.text((x, y - 7.0), &short, 9.0, LINE, Anchor::Centre)?;
    }
    Ok(())
}

fn draw(canvas: &mut Canvas, node: &Node, frame: &Frame) -> Result<(), Error> {
    let Frame { left, top, right, bottom } = *frame;
    let middle = (top + bottom) / 2.0;
    match node.shape {
        Shape::Box => {
            canvas.polygon(&[(left, top), (right, top), (right, bottom), (left, bottom)], TASK)?;
            canvas.outline(*frame, LINE)?;
        }
        Shape::Diamond => {
            let points =
                [(left, middle), (left + 12.0, top), (right - 12.0, top), (right, middle), (right - 12.0, bottom), (left + 12.0, bottom)];
            canvas.polygon(&points, BARRIER)?;
            canvas.line(&[&points[..], &points[..1]].concat(), LINE, 1.0, 1.0)?;
        }
        Shape::Text => {
            canvas.polygon(&[(left, top + 2.0), (right, top + 2.0), (right, bottom - 2.0), (left, bottom - 2.0)], Rgb([255, 255, 255]))?;
        }
    }
    canvas.text(((left + right) / 2.0, middle), &node.label, LETTER, INK, Anchor::Centre)
}
