//! CSV (RFC 4180, with line feeds) and TSV as a stream.
//!
//! CSV: quotes only where needed; NULL is nothing at all and an empty text is `""`, so that both survive
//! `COPY ... FROM ... (FORMAT csv)`; arrays are `{1,2}`. TSV (IANA text/tab-separated-values) has no quotes: tabs and line ends in
//! texts become blanks, NULL and the empty text are both empty.
//!
//! Neither can say how it ended: a source that fails breaks the stream off with its error after the last whole row, so that no
//! reader takes a part for the whole. What was cut off by the row limit looks complete; the caller can tell
//! ([`super::answer::Progress::ending`]).

use super::Error;
use super::answer::Encoder;
use super::head::Ending;
use super::value::{self, SPELLED};
use crate::schema::rows::WireChunk;
use crate::schema::wire;
use crate::schema::{Column, DataType};
use std::sync::Arc;

/// Writes CSV or TSV.
pub struct Delimited {
    columns: Arc<[Column]>,
    separator: u8,
    has_header: bool,
    scratch: Vec<u8>,
}

impl Delimited {
    pub fn csv(columns: Arc<[Column]>, has_header: bool) -> Delimited {
        Delimited { columns, separator: b',', has_header, scratch: Vec::new() }
    }

    pub fn tsv(columns: Arc<[Column]>) -> Delimited {
        Delimited { columns, separator: b'\t', has_header: true, scratch: Vec::new() }
    }

    fn push_field(separator: u8, text: &[u8], out: &mut Vec<u8>) {
        match separator {
            b',' => push_quoted(out, text),
            _ => out.extend(text.iter().map(|&byte| if matches!(byte, b'\t' | b'\n' | b'\r') { b' ' } else { byte })),
        }
    }

    fn row(&mut self, rest: &mut &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        for (index, column) in self.columns.iter().enumerate() {
            if index > 0 {
                out.push(self.separator);
            }
            match (wire::take(rest)?, column.array, column.datatype) {
                (None, ..) => {}
                (Some(text), false, DataType::Text) => Self::push_field(self.separator, text, out),
                (Some(value), false, _) => value::push_text(out, column, value, SPELLED)?,
                (Some(value), true, _) => {
                    self.scratch.clear();
                    value::push_text(&mut self.scratch, column, value, SPELLED)?;
                    Self::push_field(self.separator, &self.scratch, out);
                }
            }
        }
        out.push(b'\n');
        Ok(())
    }
}

impl Encoder for Delimited {
    fn begin(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        if self.has_header {
            for (index, column) in self.columns.iter().enumerate() {
                if index > 0 {
                    out.push(self.separator);
                }
                Self::push_field(self.separator, column.name.as_bytes(), out);
            }
            out.push(b'\n');
        }
        Ok(())
    }

    fn rows(&mut self, chunk: &WireChunk, out: &mut Vec<u8>) -> Result<(), Error> {
        let mut rest = chunk.bytes.as_slice();
        out.reserve(2 * chunk.bytes.len());
        for _ in 0..chunk.rows {
            let at = out.len();
            if let Err(error) = self.row(&mut rest, out) {
                out.truncate(at);
                return Err(error);
            }
        }
        Ok(())
    }

    fn end(&mut self, _: &Ending, _: &mut Vec<u8>) -> Result<bool, Error> {
        Ok(true)
    }

    fn tells_failure(&self) -> bool {
        false
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
