//! Sends rows into a table by binary COPY: the counterpart of [`query`](super::query()).
//!
//! [`wire`] lays values out as PostgreSQL's binary format has them, so that a row needs the number of its columns before it and nothing
//! else. Memory: one chunk of rows, which the server takes at its own speed.

use super::Error;
use crate::schema::rows::RowsError;
use crate::schema::{WireRows, wire};
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use tokio_postgres::Client;

/// The head of a binary COPY: signature, no flags, no extension.
const HEAD: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const END: i16 = -1;

/// Why rows did not get into a table.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The server refused them, or the connection broke.
    #[error(transparent)]
    Server(#[from] Error),
    /// Their source failed; its message is passed on as it is.
    #[error("{0}")]
    Rows(RowsError),
    #[error(transparent)]
    Wire(#[from] wire::Error),
    #[error("a table cannot have {columns} columns")]
    Columns { columns: usize },
}

impl From<tokio_postgres::Error> for CopyError {
    fn from(error: tokio_postgres::Error) -> CopyError {
        CopyError::Server(error.into())
    }
}

/// Sends all rows by `sql`, a `COPY ... FROM STDIN (FORMAT binary)` whose columns are those of the rows; how many there were.
/// An error leaves the table as it was.
pub async fn copy(client: &Client, sql: &str, mut rows: WireRows) -> Result<u64, CopyError> {
    let columns = rows.columns.len();
    let width = i16::try_from(columns).map_err(|_| CopyError::Columns { columns })?;
    let mut sink = std::pin::pin!(client.copy_in::<_, Bytes>(sql).await?);
    let mut out = BytesMut::from(HEAD);
    let mut count = 0;
    while let Some(chunk) = rows.chunks.next().await {
        let chunk = chunk.map_err(CopyError::Rows)?;
        out.reserve(chunk.bytes.len() + 2 * chunk.rows + 2);
        let mut rest = chunk.bytes.as_slice();
        for _ in 0..chunk.rows {
            let row = rest;
            for _ in 0..columns {
                wire::take(&mut rest)?;
            }
            out.put_i16(width);
            out.put_slice(&row[..row.len() - rest.len()]);
        }
        count += chunk.rows as u64;
        sink.send(out.split().freeze()).await?;
    }
    out.put_i16(END);
    sink.send(out.freeze()).await?;
    sink.finish().await?;
    Ok(count)
}
