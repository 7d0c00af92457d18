//! A FITS table that a stage writes row by row: whole or not at all, like all that stages make.

use super::{Error, Whole};
use crate::format::fits_write::{self, Card, Column};
use std::path::Path;

/// A table whose number of rows is told at the end.
pub struct Output {
    whole: Whole,
    bytes: u64,
}

impl Output {
    pub fn create(path: &Path, columns: &[Column], cards: &[Card]) -> Result<Output, Error> {
        let mut whole = Whole::create(path)?;
        whole.write(&fits_write::headers(columns, 0, cards))?;
        Ok(Output { whole, bytes: 0 })
    }

    pub fn rows(&mut self, rows: &[u8]) -> Result<(), Error> {
        self.bytes += rows.len() as u64;
        self.whole.write(rows)
    }

    /// Ends the table; it has its name only with [`Output::finish`].
    pub fn close(&mut self, columns: &[Column], rows: u64, cards: &[Card]) -> Result<(), Error> {
        self.whole.write(&fits_write::padding(self.bytes))?;
        self.whole.write_head(&fits_write::headers(columns, rows, cards))?;
        self.whole.sync()
    }

    pub fn finish(self) -> Result<(), Error> {
        self.whole.finish()
    }
}
