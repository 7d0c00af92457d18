//! A table to read: aligned columns, numbers to the right, the first rows and as many columns as fit.
//!
//! Says below the table what it left out. Stops reading once its rows are full, so that a table of a huge answer is quick.

use super::{Error, value};
use crate::schema::{Column, WireRows, wire};
use comfy_table::{CellAlignment, ContentArrangement, Table};
use futures_util::StreamExt;
use std::io::Write;

/// How much of the answer is shown.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub rows: usize,
    /// Characters of a line; `None` shows all columns, however wide.
    pub width: Option<usize>,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { rows: 100, width: None }
    }
}

/// Texts longer than this end in an ellipsis.
const LONGEST: usize = 60;

/// Writes the table and its notes; returns the number of rows shown.
pub async fn write(rows: impl Into<WireRows>, limits: Limits, mut out: impl Write + Send) -> Result<u64, Error> {
    let mut rows: WireRows = rows.into();
    let mut shown: Vec<Vec<String>> = Vec::new();
    let right: Vec<bool> = rows.columns.iter().map(|column| column.datatype.is_number() && !column.array).collect();
    let mut more = false;
    while let Some(chunk) = rows.chunks.next().await {
        let chunk = chunk.map_err(Error::Rows)?;
        let take = chunk.rows.min(limits.rows - shown.len());
        let mut rest = chunk.bytes.as_slice();
        for _ in 0..take {
            shown.push(rows.columns.iter().map(|column| text(column, wire::take(&mut rest)?)).collect::<Result<_, Error>>()?);
        }
        more = take < chunk.rows;
        if more {
            break;
        }
    }
    let header: Vec<String> = rows.columns.iter().map(|column| shorten(column.name.clone())).collect();
    let fitting = fitting_columns(&header, &shown, limits.width);
    out.write_all(draw(&header, &shown, &right, fitting).as_bytes())?;
    writeln!(out, "{}", note(&header, shown.len(), more, fitting))?;
    out.flush()?;
    Ok(shown.len() as u64)
}

fn text(column: &Column, value: Option<&[u8]>) -> Result<String, Error> {
    let mut bytes = Vec::new();
    if let Some(value) = value {
        value::push_text(&mut bytes, column, value, value::SPELLED)?;
    }
    Ok(shorten(String::from_utf8_lossy(&bytes).replace(['\n', '\r', '\t'], " ")))
}

fn shorten(text: String) -> String {
    match text.char_indices().nth(LONGEST) {
        Some(_) => text.chars().take(LONGEST - 1).chain(['…']).collect(),
        None => text,
    }
}

/// How many of the first columns fit; at least one.
fn fitting_columns(header: &[String], shown: &[Vec<String>], width: Option<usize>) -> usize {
    const BETWEEN: usize = 3;
    let Some(width) = width else { return header.len() };
    let widest = |index: usize| shown.iter().map(|row| &row[index]).chain([&header[index]]).map(|text| text.chars().count()).max();
    let mut used = 1;
    let mut fits = |index: &usize| {
        used += widest(*index).unwrap_or(0) + BETWEEN;
        used <= width
    };
    (0..header.len()).take_while(&mut fits).count().max(1).min(header.len())
}

fn draw(header: &[String], shown: &[Vec<String>], right: &[bool], fitting: usize) -> String {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(&header[..fitting]);
    for row in shown {
        table.add_row(&row[..fitting]);
    }
    for (column, _) in table.column_iter_mut().zip(right).filter(|(_, right)| **right) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    format!("{table}\n")
}

fn note(header: &[String], rows: usize, more: bool, fitting: usize) -> String {
    let rows = match (rows, more) {
        (rows, true) => format!("first {rows} rows; another --format writes all"),
        (1, false) => "1 row".to_owned(),
        (rows, false) => format!("{rows} rows"),
    };
    match header.len() - fitting {
        0 => rows,
        left_out => format!("{rows}; {left_out} of {} columns do not fit, from {} on", header.len(), header[fitting]),
    }
}
