//! Data in motion: columns with their metadata and a stream of Arrow batches, or of PostgreSQL's own binary values.

use super::{Column, wire};
use arrow::array::RecordBatch;
use futures_util::StreamExt;
use futures_util::stream::Stream;
use std::pin::Pin;

/// Any floor's error, as it travels through a stream of rows.
pub type RowsError = Box<dyn std::error::Error + Send + Sync>;

/// Columns and a stream of record batches whose fields are those columns in that order.
///
/// Memory: a producer hands over bounded batches (at most 8,192 rows) and waits until they are taken.
pub struct Rows {
    pub columns: Vec<Column>,
    pub batches: Pin<Box<dyn Stream<Item = Result<RecordBatch, RowsError>> + Send>>,
}

/// Columns and a stream of chunks of rows as [`wire`] lays them out: the hot path of answers, which goes from the server's
/// bytes to the client's without Arrow in between (`brickyard bench tap` is the measure).
///
/// Memory: a producer hands over chunks of about 64 KiB, or one row where a row is wider, and waits until they are taken.
pub struct WireRows {
    pub columns: Vec<Column>,
    pub chunks: Pin<Box<dyn Stream<Item = Result<WireChunk, RowsError>> + Send>>,
}

/// Some rows, one after the other; see [`wire`] for how values lie.
#[derive(Debug, Clone, Default)]
pub struct WireChunk {
    pub rows: usize,
    pub bytes: Vec<u8>,
}

impl From<Rows> for WireRows {
    /// Batches laid out as wire values.
    fn from(rows: Rows) -> WireRows {
        let columns = rows.columns.clone();
        let chunks = rows.batches.map(move |batch| Ok(wire::from_batch(&columns, &batch?)?));
        WireRows { columns: rows.columns, chunks: chunks.boxed() }
    }
}

impl From<WireRows> for Rows {
    /// Each chunk as a batch.
    fn from(rows: WireRows) -> Rows {
        let columns = rows.columns.clone();
        let batches = rows.chunks.map(move |chunk| Ok(wire::to_batch(&columns, &chunk?)?));
        Rows { columns: rows.columns, batches: batches.boxed() }
    }
}
