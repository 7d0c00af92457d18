//! Catalogue files: one reader or writer per format.
//!
//! Readers of pipeline catalogues ([`fits`], [`dolphot`]) hand over raw big-endian rows and a [`layout::Layout`] that
//! says where each value lies in a row. That is the loader's hot path around [`crate::schema::Rows`]: FITS and
//! PostgreSQL's binary COPY are both big-endian, so a value that is stored as it was read needs a length word and a
//! copy, no decoding (`brickyard bench load` is the measure).

pub mod dolphot;
pub mod fits;
pub mod fits_write;
pub mod layout;
pub mod open;
