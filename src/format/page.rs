//! Answers for people: plain text with aligned columns, and an HTML page with the first rows.
//!
//! The widths of a text's columns are those of its first rows (up to 1,000); wider values that come later push their row to the
//! right rather than be cut. The page shows at most 1,000 rows and says so; every text in it is escaped, and it has no script.
//!
//! Memory: those first 1,000 rows of a text; nothing of a page.

use super::Error;
use super::answer::Encoder;
use super::head::{Ending, Head, Info};
use super::value::{self, SPELLED};
use super::xml;
use crate::schema::rows::WireChunk;
use crate::schema::{Column, wire};
use std::sync::Arc;

/// Rows that decide on the widths of a text, and that a page shows.
const FIRST_ROWS: usize = 1000;
/// No column is padded wider than this.
const WIDEST: usize = 60;

/// Writes plain text.
pub struct Text {
    head: Arc<Head>,
    columns: Arc<[Column]>,
    /// The first rows, until the widths are known.
    first: Vec<Vec<String>>,
    widths: Option<Vec<usize>>,
}

impl Text {
    pub fn new(head: Arc<Head>, columns: Arc<[Column]>) -> Text {
        Text { head, columns, first: Vec::new(), widths: None }
    }

    /// Decides on the widths and writes what waited for them.
    fn settle(&mut self, out: &mut Vec<u8>) {
        let wide = |index: usize| {
            let cells = self.first.iter().map(|row| row[index].chars().count());
            cells.chain([self.columns[index].name.chars().count()]).max().unwrap_or(0).min(WIDEST)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(wide).collect();
        let names: Vec<String> = self.columns.iter().map(|column| column.name.clone()).collect();
        push_line(out, &self.columns, &widths, &names);
        let rules: Vec<String> = widths.iter().map(|&width| "-".repeat(width)).collect();
        push_line(out, &self.columns, &widths, &rules);
        for row in std::mem::take(&mut self.first) {
            push_line(out, &self.columns, &widths, &row);
        }
        self.widths = Some(widths);
    }
}

/// The row as texts on one line each.
fn cells(columns: &[Column], rest: &mut &[u8]) -> Result<Vec<String>, Error> {
    let mut text = Vec::new();
    let cell = |column: &Column| {
        text.clear();
        if let Some(value) = wire::take(rest)? {
            value::push_text(&mut text, column, value, SPELLED)?;
        }
        Ok(String::from_utf8_lossy(&text).chars().map(|c| if c.is_control() { ' ' } else { c }).collect())
    };
    columns.iter().map(cell).collect()
}

/// Numbers to the right, texts to the left, two blanks between.
fn push_line(out: &mut Vec<u8>, columns: &[Column], widths: &[usize], cells: &[String]) {
    let at = out.len();
    for ((column, &width), cell) in columns.iter().zip(widths).zip(cells) {
        let padding = width.saturating_sub(cell.chars().count());
        let (before, after) = if column.datatype.is_number() && !column.array { (padding, 0) } else { (0, padding) };
        out.resize(out.len() + before, b' ');
        out.extend_from_slice(cell.as_bytes());
        out.resize(out.len() + after + 2, b' ');
    }
    let blanks = out[at..].iter().rev().take_while(|&&byte| byte == b' ').count();
    out.truncate(out.len() - blanks);
    out.push(b'\n');
}

impl Encoder for Text {
    fn begin(&mut self, _: &mut Vec<u8>) -> Result<(), Error> {
        Ok(())
    }

    fn rows(&mut self, chunk: &WireChunk, out: &mut Vec<u8>) -> Result<(), Error> {
        let mut rest = chunk.bytes.as_slice();
        for _ in 0..chunk.rows {
            let row = cells(&self.columns, &mut rest)?;
            match &self.widths {
                Some(widths) => push_line(out, &self.columns, widths, &row),
                None => {
                    self.first.push(row);
                    if self.first.len() == FIRST_ROWS {
                        self.settle(out);
                    }
                }
            }
        }
        Ok(())
    }

    fn end(&mut self, ending: &Ending, out: &mut Vec<u8>) -> Result<bool, Error> {
        if self.widths.is_none() {
            self.settle(out);
        }
        if *ending != Ending::Complete {
            out.extend_from_slice(format!("\nQUERY_STATUS={}: {}\n", ending.status(), ending.text(&self.head)).as_bytes());
        }
        Ok(true)
    }
}

/// Writes a page.
pub struct Html {
    head: Arc<Head>,
    columns: Arc<[Column]>,
    rows: usize,
    left_out: bool,
}

impl Html {
    pub fn new(head: Arc<Head>, columns: Arc<[Column]>) -> Html {
        Html { head, columns, rows: 0, left_out: false }
    }
}

const STYLE: &str = "body{font:14px/1.5 system-ui,sans-serif;margin:2em}table{border-collapse:collapse}\
th,td{padding:.2em .7em;border-bottom:1px solid #ddd;text-align:left;white-space:pre}\
th{position:sticky;top:0;background:#fff}td.n{text-align:right;font-variant-numeric:tabular-nums}small{color:#666;font-weight:normal}";

fn push_page_head(out: &mut Vec<u8>, title: &str) {
    out.extend_from_slice(b"<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>");
    xml::push_text(out, title);
    out.extend_from_slice(format!("</title><style>{STYLE}</style></head><body>\n").as_bytes());
}

fn push_element(out: &mut Vec<u8>, tag: &str, text: &str) {
    out.extend_from_slice(format!("<{tag}>").as_bytes());
    xml::push_text(out, text);
    out.extend_from_slice(format!("</{tag}>\n").as_bytes());
}

impl Encoder for Html {
    fn begin(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        push_page_head(out, if self.head.name.is_empty() { "Answer" } else { &self.head.name });
        for info in &self.head.infos {
            push_element(out, "p", &format!("{}: {} {}", info.name, info.value, info.text));
        }
        out.extend_from_slice(b"<table><thead><tr>");
        for column in self.columns.iter() {
            out.extend_from_slice(b"<th");
            xml::push_some_attribute(out, "title", &column.description);
            out.push(b'>');
            xml::push_text(out, &column.name);
            if !column.unit.is_empty() {
                out.extend_from_slice(b" <small>");
                xml::push_text(out, &column.unit);
                out.extend_from_slice(b"</small>");
            }
            out.extend_from_slice(b"</th>");
        }
        out.extend_from_slice(b"</tr></thead><tbody>\n");
        Ok(())
    }

    fn rows(&mut self, chunk: &WireChunk, out: &mut Vec<u8>) -> Result<(), Error> {
        let mut rest = chunk.bytes.as_slice();
        let shown = chunk.rows.min(FIRST_ROWS - self.rows);
        for _ in 0..shown {
            let row = cells(&self.columns, &mut rest)?;
            out.extend_from_slice(b"<tr>");
            for (column, cell) in self.columns.iter().zip(&row) {
                out.extend_from_slice(if column.datatype.is_number() { b"<td class=\"n\">".as_slice() } else { b"<td>" });
                xml::push_text(out, cell);
                out.extend_from_slice(b"</td>");
            }
            out.extend_from_slice(b"</tr>\n");
        }
        self.rows += shown;
        self.left_out |= shown < chunk.rows;
        Ok(())
    }

    fn end(&mut self, ending: &Ending, out: &mut Vec<u8>) -> Result<bool, Error> {
        out.extend_from_slice(b"</tbody></table>\n");
        if self.left_out {
            push_element(out, "p", &format!("The first {FIRST_ROWS} rows; every other format has all of them."));
        }
        if *ending != Ending::Complete {
            push_element(out, "p", &format!("QUERY_STATUS={}: {}", ending.status(), ending.text(&self.head)));
        }
        out.extend_from_slice(b"</body></html>\n");
        Ok(true)
    }
}

/// An error as plain text.
pub fn error_text(message: &str, infos: &[Info]) -> Vec<u8> {
    let notes = infos.iter().map(|info| format!("{}: {} {}\n", info.name, info.value, info.text));
    format!("ERROR: {message}\n{}", notes.collect::<String>()).into_bytes()
}

/// An error as a page.
pub fn error_page(message: &str, infos: &[Info]) -> Vec<u8> {
    let mut out = Vec::new();
    push_page_head(&mut out, "Error");
    push_element(&mut out, "h1", "Error");
    push_element(&mut out, "pre", message);
    infos.iter().for_each(|info| push_element(&mut out, "p", &format!("{}: {} {}", info.name, info.value, info.text)));
    out.extend_from_slice(b"</body></html>\n");
    out
}
