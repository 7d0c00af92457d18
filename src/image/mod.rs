//! Images: FITS files opened, pieces read and cut with their world coordinates, and pictures made of them.
//!
//! ```text
//! Source (bytes at places) -> FitsFile (HDUs) -> Image (header, shape) -> Pixels of a Rect -> cut: new FITS | stretch: picture
//! ```
//!
//! Only what a piece needs is read: header blocks, the rows of the rectangle, or the tiles that it touches; [`Source`]
//! counts the bytes. All decoding is our own and safe Rust, so that a hostile file ends in an [`Error`] and not in C. Pixels
//! stay big-endian bytes as the file has them until someone looks at them: a cutout is bit-exact.
//!
//! Memory: the piece and, for compressed files, one tile a thread; a gzipped file is inflated to an unnamed file on disk,
//! bounded by [`gzip::Cache`].

pub mod cut;
pub mod file;
pub mod gzip;
mod hcompress;
pub mod header;
pub mod picture;
mod plio;
pub mod read;
pub mod resample;
mod rice;
pub mod stretch;
mod tile;
pub mod wcs;

pub use cut::{Cutout, Piece, cut};
pub use file::{FitsFile, Headers, Identity, Ranges, Select, Source};
pub use header::Header;
pub use picture::{Encoding, Lupton, Picture};
pub use read::{Bitpix, Image, Pixels, Rect};
pub use stretch::{Curve, Cuts};
pub use wcs::Wcs;

/// What can go wrong with a file or a wish.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{name}: {source}")]
    Io { name: String, source: std::io::Error },
    #[error("{name}: not a FITS file: it begins with {begins}")]
    NotFits { name: String, begins: String },
    #[error("{name}: HDU {hdu}: {what}")]
    Header { name: String, hdu: usize, what: String },
    #[error("{name}: the file ends at byte {found}, HDU {hdu} needs {wanted}; fetch it again")]
    Truncated { name: String, hdu: usize, wanted: u64, found: u64 },
    #[error("{name}: there is no image {wanted}; {there}")]
    NoImage { name: String, wanted: String, there: String },
    #[error("{name}: HDU {hdu}: tile {tile}: {what}")]
    Tile { name: String, hdu: usize, tile: u64, what: String },
    #[error("{name}: HDU {hdu}: world coordinates: {what}")]
    Wcs { name: String, hdu: usize, what: String },
    #[error("{name}: corrupt gzip: {source}; fetch the file again")]
    Gzip { name: String, source: std::io::Error },
    #[error("{name}: inflated it is larger than the limit of {limit_bytes} bytes")]
    Inflated { name: String, limit_bytes: u64 },
    /// Nothing of what was asked for is on the image.
    #[error("{name}: {wish} does not overlap the image")]
    Outside { name: String, wish: String },
    #[error("a piece of {width} x {height} pixels ({bytes} bytes) is larger than the limit of {limit_bytes} bytes: ask for a smaller one")]
    TooLarge { width: u64, height: u64, bytes: u64, limit_bytes: u64 },
    #[error("{what}")]
    Wish { what: String },
}
