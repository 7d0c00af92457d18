//! Pictures as PNG: HEALPix maps, light curves, diagrams and graphs; marks on pictures of the sky.
//!
//! Each drawing is a pure function from values to the bytes of a PNG; nothing here opens a file. The bitmap is drawn
//! three times as large and averaged down, which smooths every edge, line and letter alike (`canvas`).

mod axis;
mod canvas;
pub mod colour;
pub mod diagram;
pub mod graph;
pub mod lightcurve;
pub mod map;
pub mod marks;

pub use graph::graph;
pub use lightcurve::lightcurve;
pub use map::map;

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("nothing to draw: {0}")]
    Nothing(String),
    #[error(
        "the map spans {span_deg:.0} degrees, a tangent projection shows at most {limit_deg:.0}: choose a part of the sky with --where"
    )]
    TooWide { span_deg: f64, limit_deg: f64 },
    #[error("drawing failed: {0}")]
    Draw(String),
    #[error("cannot encode the PNG")]
    Encode(#[from] png::EncodingError),
}
