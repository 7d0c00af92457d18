//! Data in motion: columns with their metadata and a stream of Arrow batches.

use super::Column;
use arrow::array::RecordBatch;
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
