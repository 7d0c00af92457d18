//! Where things are: HTM, HEALPix and Q3C numbers of positions, and regions of the sky.
//!
//! Positions are ICRS right ascension and declination in degrees. [`index`] makes the id columns of a catalogue, [`cover()`]
//! turns a [`Region`] into ranges of Q3C pixels that an index answers. This floor opens no file and no connection, and
//! knows nothing of tables.

pub mod cover;
pub mod healpix;
pub mod htm;
pub mod index;
pub mod q3c;
pub mod reach;
pub mod region;
pub mod tangent;
mod vector;

pub use cover::{IpixRange, cover};
pub use htm::HtmCursor;
pub use index::{SkyIds, ids, valid};
pub use reach::Reach;
pub use region::{Region, Shape};

/// What is wrong with a position, a region or a cell.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    #[error("position ra {ra_deg}, dec {dec_deg} is not on the sky: ra runs from 0 to 360 and dec from -90 to 90 degrees")]
    Position { ra_deg: f64, dec_deg: f64 },
    #[error("radius {radius_deg} is not one of a circle on the sky: give 0 to 180 degrees")]
    Radius { radius_deg: f64 },
    #[error("a box of {width_deg} x {height_deg} degrees is not possible: give sizes above 0 and below 180")]
    Box { width_deg: f64, height_deg: f64 },
    #[error("a polygon needs at least 3 vertices, this one has {count}")]
    Vertices { count: usize },
    #[error("the polygon spans half the sky or more: its vertices must lie within one hemisphere; cut it in parts")]
    Hemisphere,
    #[error("HEALPix depth {depth} is deeper than 29")]
    Depth { depth: u8 },
    #[error("HEALPix cell {pix} does not exist: depth {depth} has the cells 0 to {}", count - 1)]
    Cell { depth: u8, pix: u64, count: u64 },
}
