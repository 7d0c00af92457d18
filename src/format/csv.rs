//! CSV after RFC 4180, with line feeds: header line, quotes only where needed.
//!
//! NULL is nothing at all and an empty text is `""`, so that both survive `COPY ... FROM ... (FORMAT csv)`.

use super::Error;
use super::cell::{self, Cells};
use crate::schema::Rows;
use futures_util::StreamExt;
use std::io::Write;

/// Writes header and rows; returns the number of rows.
pub async fn write(mut rows: Rows, mut out: impl Write + Send) -> Result<u64, Error> {
    let mut text = Vec::new();
    for (index, column) in rows.columns.iter().enumerate() {
        separate(&mut text, index);
        push_quoted(&mut text, column.name.as_bytes());
    }
    text.push(b'\n');
    out.write_all(&text)?;
    let mut count = 0;
    while let Some(batch) = rows.batches.next().await {
        let batch = batch.map_err(Error::Rows)?;
        let columns = cell::columns(&batch)?;
        text.clear();
        for row in 0..batch.num_rows() {
            push_row(&mut text, &columns, row);
        }
        out.write_all(&text)?;
        count += batch.num_rows() as u64;
    }
    out.flush()?;
    Ok(count)
}

fn push_row(text: &mut Vec<u8>, columns: &[Cells<'_>], row: usize) {
    for (index, column) in columns.iter().enumerate() {
        separate(text, index);
        match column {
            _ if column.is_null(row) => {}
            Cells::Text(texts) => push_quoted(text, texts.value(row).as_bytes()),
            Cells::List { .. } => {
                let mut array = Vec::new();
                column.push_text(row, &mut array);
                push_quoted(text, &array);
            }
            _ => column.push_text(row, text),
        }
    }
    text.push(b'\n');
}

fn separate(text: &mut Vec<u8>, index: usize) {
    if index > 0 {
        text.push(b',');
    }
}

fn push_quoted(text: &mut Vec<u8>, value: &[u8]) {
    let special = |byte: &u8| matches!(byte, b',' | b'"' | b'\n' | b'\r');
    // A lone `\.` would end a COPY of PostgreSQL before 18.
    let needs_quotes = value.is_empty() || value == b"\\." || value.iter().any(special) || value[0] == b' ' || value.ends_with(b" ");
    if !needs_quotes {
        return text.extend_from_slice(value);
    }
    text.push(b'"');
    for &byte in value {
        if byte == b'"' {
            text.push(b'"');
        }
        text.push(byte);
    }
    text.push(b'"');
}
