//! File formats: one reader or writer per file.
//!
//! Answers: each writer takes [`Rows`] as they stream by; [`write()`] is the one door, [`Kind`] the closed list. No writer
//! holds more than one batch, except Parquet (one row group, at most 64 MiB) and Table (the rows it shows).
//!
//! Catalogues: the readers ([`fits`], [`dolphot`], behind [`open::Source`]) hand over raw big-endian rows and a
//! [`layout::Layout`] that says where each value lies in a row. That is the loader's hot path around [`Rows`]: FITS and
//! PostgreSQL's binary COPY are both big-endian, so a value that is stored as it was read needs a length word and a
//! copy, no decoding (`brickyard bench load` is the measure). [`fits_write`] writes binary tables row by row.

mod cell;
pub mod csv;
pub mod dolphot;
pub mod fits;
pub mod fits_write;
pub mod json;
pub mod layout;
pub mod open;
pub mod parquet;
pub mod table;

use crate::schema::Rows;
use crate::schema::rows::RowsError;
use std::io::Write;

/// What an answer can be written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// Aligned columns to read, the first rows only
    Table,
    /// RFC 4180 with a header line; NULL is empty, an empty text is "", arrays are {1,2}
    Csv,
    /// An array of objects; NaN and infinities are null
    Json,
    /// Apache Parquet, zstd, with unit, ucd and description in the field metadata
    Parquet,
}

/// What can go wrong while an answer is written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot write the answer")]
    Io(#[from] std::io::Error),
    /// The producer of the rows failed; its message is passed on as it is.
    #[error("{0}")]
    Rows(RowsError),
    #[error("two columns of the answer are named `{0}`: give one another name with AS")]
    DuplicateColumn(String),
    #[error("column `{column}` came as Arrow type {arrow}, which no writer knows")]
    Arrow { column: String, arrow: String },
    #[error("cannot write Parquet")]
    Parquet(#[from] ::parquet::errors::ParquetError),
}

/// Writes all rows as `kind` and returns how many there were.
///
/// `out` is written from the calling task and may block it; hand over a buffered writer.
pub async fn write(rows: Rows, kind: Kind, out: impl Write + Send) -> Result<u64, Error> {
    match kind {
        Kind::Table => table::write(rows, table::Limits::default(), out).await,
        Kind::Csv => csv::write(rows, out).await,
        Kind::Json => json::write(rows, out).await,
        Kind::Parquet => parquet::write(rows, out).await,
    }
}

/// Formats whose readers look columns up by name cannot hold one name twice.
fn refuse_duplicate_names(rows: &Rows) -> Result<(), Error> {
    let mut seen = std::collections::HashSet::new();
    match rows.columns.iter().find(|column| !seen.insert(&column.name)) {
        Some(column) => Err(Error::DuplicateColumn(column.name.clone())),
        None => Ok(()),
    }
}
