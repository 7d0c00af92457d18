//! JSON as a stream: an array of objects, or one object with metadata, data and status.
//!
//! [`Records`] (`json` on the command line, `application/json;form=records`): one object per row and line; NaN and infinities are
//! null. [`Table`] (`application/json`): `{"metadata": [{"name", "datatype", ...}], "data": [[...], ...], "query_status": {...}}`,
//! where NaN and the infinities are the texts `"NaN"`, `"Infinity"`, `"-Infinity"`, so that nothing is lost.
//!
//! 64-bit integers are plain numbers, exact in every reader but JavaScript's own.

use super::answer::Encoder;
use super::head::{Ending, Head, Info};
use super::value::{push_json, push_json_string};
use super::{Error, refuse_duplicate_names};
use crate::schema::rows::WireChunk;
use crate::schema::{Column, wire};
use serde_json::{Map, Value};
use std::sync::Arc;

/// Writes an array of objects.
pub struct Records {
    columns: Arc<[Column]>,
    /// `"name":`, after the first with a comma before it.
    keys: Vec<Vec<u8>>,
    is_first: bool,
}

impl Records {
    pub fn new(columns: Arc<[Column]>) -> Records {
        let keys = columns.iter().enumerate().map(|(index, column)| key(index, &column.name)).collect();
        Records { columns, keys, is_first: true }
    }
}

fn key(index: usize, name: &str) -> Vec<u8> {
    let mut key = if index == 0 { Vec::new() } else { vec![b','] };
    push_json_string(&mut key, name);
    key.push(b':');
    key
}

impl Encoder for Records {
    fn begin(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        refuse_duplicate_names(&self.columns)?;
        out.push(b'[');
        Ok(())
    }

    fn rows(&mut self, chunk: &WireChunk, out: &mut Vec<u8>) -> Result<(), Error> {
        let mut rest = chunk.bytes.as_slice();
        for _ in 0..chunk.rows {
            let at = out.len();
            out.extend_from_slice(if self.is_first { b"\n{" } else { b",\n{" });
            for (key, column) in self.keys.iter().zip(self.columns.iter()) {
                out.extend_from_slice(key);
                if let Err(error) = wire::take(&mut rest).map_err(Error::from).and_then(|value| push_json(out, column, value, false)) {
                    out.truncate(at);
                    return Err(error);
                }
            }
            out.push(b'}');
            self.is_first = false;
        }
        Ok(())
    }

    fn end(&mut self, _: &Ending, out: &mut Vec<u8>) -> Result<bool, Error> {
        out.extend_from_slice(b"\n]\n");
        Ok(true)
    }

    fn tells_failure(&self) -> bool {
        false
    }
}

/// Writes the object with metadata, data and status.
pub struct Table {
    head: Arc<Head>,
    columns: Arc<[Column]>,
    is_first: bool,
}

impl Table {
    pub fn new(head: Arc<Head>, columns: Arc<[Column]>) -> Table {
        Table { head, columns, is_first: true }
    }
}

fn object<const N: usize>(members: [(&str, &str); N]) -> Value {
    let said = members.into_iter().filter(|(_, text)| !text.is_empty());
    Value::Object(said.map(|(name, text)| (name.to_owned(), Value::from(text))).collect::<Map<_, _>>())
}

/// What is known of a column.
fn metadata(column: &Column) -> Value {
    let (datatype, arraysize, xtype) = column.votable();
    object([
        ("name", &column.name),
        ("datatype", datatype),
        ("arraysize", arraysize),
        ("xtype", xtype),
        ("unit", &column.unit),
        ("ucd", &column.ucd),
        ("utype", &column.utype),
        ("description", &column.description),
    ])
}

fn info(info: &Info) -> Value {
    object([("name", &info.name), ("value", &info.value), ("text", &info.text)])
}

impl Encoder for Table {
    fn begin(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        let infos: Vec<Value> = self.head.infos.iter().map(info).collect();
        let columns: Vec<Value> = self.columns.iter().map(metadata).collect();
        out.extend_from_slice(
            format!("{{\"infos\":{},\n\"metadata\":{},\n\"data\":[", Value::from(infos), Value::from(columns)).as_bytes(),
        );
        Ok(())
    }

    fn rows(&mut self, chunk: &WireChunk, out: &mut Vec<u8>) -> Result<(), Error> {
        let mut rest = chunk.bytes.as_slice();
        for _ in 0..chunk.rows {
            let at = out.len();
            out.extend_from_slice(if self.is_first { b"\n[" } else { b",\n[" });
            for (index, column) in self.columns.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                if let Err(error) = wire::take(&mut rest).map_err(Error::from).and_then(|value| push_json(out, column, value, true)) {
                    out.truncate(at);
                    return Err(error);
                }
            }
            out.push(b']');
            self.is_first = false;
        }
        Ok(())
    }

    fn end(&mut self, ending: &Ending, out: &mut Vec<u8>) -> Result<bool, Error> {
        let status = object([("value", ending.status()), ("text", ending.text(&self.head))]);
        out.extend_from_slice(format!("\n],\n\"query_status\":{status}}}\n").as_bytes());
        Ok(true)
    }
}

/// An error as the same object without data.
pub fn error(message: &str, infos: &[Info]) -> Vec<u8> {
    let infos: Vec<Value> = infos.iter().map(info).collect();
    format!("{{\"query_status\":{},\n\"infos\":{}}}\n", object([("value", "ERROR"), ("text", message)]), Value::from(infos)).into_bytes()
}
