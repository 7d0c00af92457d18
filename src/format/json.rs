//! JSON: one array, one object per row and line, written as the rows come.
//!
//! JSON knows no NaN and no infinity: they become null. 64-bit integers are plain numbers, exact in every reader but
//! JavaScript's own.

use super::{Error, cell};
use crate::schema::Rows;
use futures_util::StreamExt;
use std::io::Write;

/// Writes the array; returns the number of rows.
pub async fn write(mut rows: Rows, mut out: impl Write + Send) -> Result<u64, Error> {
    super::refuse_duplicate_names(&rows)?;
    let keys: Vec<Vec<u8>> = rows.columns.iter().enumerate().map(|(index, column)| key(index, &column.name)).collect();
    out.write_all(b"[")?;
    let mut text = Vec::new();
    let mut count = 0;
    while let Some(batch) = rows.batches.next().await {
        let batch = batch.map_err(Error::Rows)?;
        let columns = cell::columns(&batch)?;
        text.clear();
        for row in 0..batch.num_rows() {
            text.extend_from_slice(if count == 0 { b"\n{" } else { b",\n{" });
            for (key, column) in keys.iter().zip(&columns) {
                text.extend_from_slice(key);
                column.push_json(row, &mut text);
            }
            text.push(b'}');
            count += 1;
        }
        out.write_all(&text)?;
    }
    out.write_all(b"\n]\n")?;
    out.flush()?;
    Ok(count)
}

/// `,"name":`, without the comma at the first column.
fn key(index: usize, name: &str) -> Vec<u8> {
    let mut key = if index == 0 { Vec::new() } else { vec![b','] };
    cell::push_json_string(&mut key, name);
    key.push(b':');
    key
}
