//! Arrow's IPC stream: the schema with each column's unit, UCD and description, then batches of at most 8,192 rows.
//!
//! Memory: one batch.

use super::Error;
use super::answer::Encoder;
use super::head::{Ending, Head};
use super::parquet::Batches;
use crate::schema::rows::WireChunk;
use crate::schema::{Column, wire};
use arrow::array::RecordBatch;
use arrow::ipc::writer::StreamWriter;
use std::sync::Arc;

/// Writes one stream.
pub struct Ipc {
    head: Arc<Head>,
    batches: Batches,
    writer: Option<StreamWriter<Vec<u8>>>,
}

impl Ipc {
    pub fn new(head: Arc<Head>, columns: Arc<[Column]>) -> Ipc {
        Ipc { head, batches: Batches::new(columns), writer: None }
    }

    fn write(&mut self, batch: Option<RecordBatch>, out: &mut Vec<u8>) -> Result<(), Error> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        if let Some(batch) = batch {
            writer.write(&batch).map_err(wire::Error::from)?;
        }
        out.append(writer.get_mut());
        Ok(())
    }
}

impl Encoder for Ipc {
    fn begin(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        let infos: std::collections::HashMap<_, _> = self.head.infos.iter().map(|info| (info.name.clone(), info.value.clone())).collect();
        let schema = self.batches.schema.as_ref().clone().with_metadata(infos);
        self.batches.schema = Arc::new(schema);
        self.writer = Some(StreamWriter::try_new(Vec::new(), &self.batches.schema).map_err(wire::Error::from)?);
        self.write(None, out)
    }

    fn rows(&mut self, chunk: &WireChunk, out: &mut Vec<u8>) -> Result<(), Error> {
        let batch = self.batches.push(chunk)?;
        self.write(batch, out)
    }

    fn end(&mut self, _: &Ending, out: &mut Vec<u8>) -> Result<bool, Error> {
        let batch = self.batches.rest()?;
        self.write(batch, out)?;
        if let Some(writer) = &mut self.writer {
            writer.finish().map_err(wire::Error::from)?;
        }
        self.write(None, out)?;
        Ok(true)
    }

    fn tells_failure(&self) -> bool {
        false
    }
}
