//! File formats: one reader or writer per file.
//!
//! Answers: [`answer()`](fn@answer) is the one door: rows in, a document of any [`Kind`] out, streamed; the command line goes through
//! it too ([`write()`]). What a kind needs beyond a chunk of rows stands in its module.
//!
//! Catalogues: the readers ([`fits`], [`dolphot`], behind [`open::Source`]) hand over raw big-endian rows and a
//! [`layout::Layout`] that says where each value lies in a row. That is the loader's hot path, which makes no
//! [`Rows`](crate::schema::Rows): FITS and PostgreSQL's binary COPY are both big-endian, so a value that is stored as it was
//! read needs a length word and a copy, no decoding (`brickyard bench load` is the measure). [`fits_write`] writes binary
//! tables row by row.

pub mod answer;
mod decimal;
mod delimited;
pub mod dolphot;
pub mod fits;
mod fits_answer;
pub mod fits_write;
pub mod head;
mod ipc;
pub mod kind;
pub mod layout;
mod number;
pub mod open;
mod page;
mod parquet;
pub mod read;
mod records;
pub mod table;
mod value;
pub mod votable;
mod xml;

pub use answer::{Answer, Progress, answer, error_document};
pub use head::{Ending, Frame, Head, Info};
pub use kind::{Kind, Version};
pub use read::read;

use crate::schema::rows::RowsError;
use crate::schema::{Column, WireRows, wire};
use futures_util::StreamExt;
use std::io::Write;
use std::path::PathBuf;

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
    #[error("cannot write Parquet")]
    Parquet(#[from] ::parquet::errors::ParquetError),
    #[error(transparent)]
    Wire(#[from] wire::Error),
    #[error("column `{column}` holds {value}, which stands for NULL in this format: ask for VOTable BINARY2, CSV or Parquet")]
    Null { column: String, value: i64 },
    #[error("column `{column}`: an array that has not {wanted} elements, as its xtype says")]
    Size { column: String, wanted: usize },
    #[error("the answer has {columns} columns, this format takes at most {most}")]
    TooManyColumns { columns: usize, most: usize },
    #[error("cannot keep the rows of a FITS answer in {}", dir.display())]
    Scratch { dir: PathBuf, source: std::io::Error },
    #[error("the answer is larger than the {most} bytes that a FITS answer may keep: ask for VOTable, CSV or Parquet")]
    ScratchFull { most: u64 },
}

/// Writes all rows as `kind` and returns how many there were. A source that fails fails the writing.
///
/// `out` is written from the calling task and may block it; hand over a buffered writer.
pub async fn write(rows: impl Into<WireRows>, kind: Kind, mut out: impl Write + Send) -> Result<u64, Error> {
    let mut answer = answer::strict(rows, Head::default(), kind);
    let progress = answer.progress();
    while let Some(bytes) = answer.next().await {
        out.write_all(&bytes?)?;
    }
    out.flush()?;
    Ok(progress.rows())
}

/// Formats whose readers look columns up by name cannot hold one name twice.
fn refuse_duplicate_names(columns: &[Column]) -> Result<(), Error> {
    let mut seen = std::collections::HashSet::new();
    match columns.iter().find(|column| !seen.insert(&column.name)) {
        Some(column) => Err(Error::DuplicateColumn(column.name.clone())),
        None => Ok(()),
    }
}
