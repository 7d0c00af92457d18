//! (being written)

pub mod fits_write;
