//! Apache Parquet with zstd, streamed row group by row group, with VOTable metadata (VOParquet 1.0, IVOA note).
//!
//! Unit, UCD and description of each column are in the metadata of its Arrow field (`ARROW:schema`), where pyarrow, polars and
//! DataFusion find them; `IVOA.VOTable-Parquet.content` has the whole VOTable head, where astropy and TOPCAT do, and tells in its
//! INFO, as QUERY_STATUS does, how the answer ended. Both stand in the footer.
//!
//! Memory: one row group as it is written, at most 64 Ki rows or 16 MiB, and a batch of 8,192 rows.

use super::answer::Encoder;
use super::head::{Ending, Head};
use super::{Error, refuse_duplicate_names, votable};
use crate::schema::rows::WireChunk;
use crate::schema::{Column, DataType, wire};
use ::parquet::arrow::ArrowWriter;
use ::parquet::basic::{Compression, ZstdLevel};
use ::parquet::file::metadata::KeyValue;
use ::parquet::file::properties::{EnabledStatistics, WriterProperties};
use ::parquet::schema::types::ColumnPath;
use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use std::collections::HashMap;
use std::sync::Arc;

const GROUP_ROWS: usize = 64 << 10;
const GROUP_BYTES: usize = 16 << 20;
/// Rows of the batches that chunks are put together to.
const BATCH_ROWS: usize = 8192;
/// Bytes after which a batch is made although it has fewer rows.
const BATCH_BYTES: usize = 4 << 20;

/// Chunks put together until they make a batch worth while.
pub(super) struct Batches {
    columns: Arc<[Column]>,
    pub(super) schema: SchemaRef,
    waiting: WireChunk,
}

impl Batches {
    pub(super) fn new(columns: Arc<[Column]>) -> Batches {
        let schema = Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()));
        Batches { columns, schema, waiting: WireChunk::default() }
    }

    /// Takes a chunk; a batch if there is enough for one.
    pub(super) fn push(&mut self, chunk: &WireChunk) -> Result<Option<RecordBatch>, Error> {
        self.waiting.bytes.extend_from_slice(&chunk.bytes);
        self.waiting.rows += chunk.rows;
        let is_full = self.waiting.rows >= BATCH_ROWS || self.waiting.bytes.len() >= BATCH_BYTES;
        if is_full { self.rest() } else { Ok(None) }
    }

    /// A batch of what waits.
    pub(super) fn rest(&mut self) -> Result<Option<RecordBatch>, Error> {
        if self.waiting.rows == 0 {
            return Ok(None);
        }
        let batch = wire::to_batch(&self.columns, &self.waiting);
        self.waiting.rows = 0;
        self.waiting.bytes.clear();
        let batch = batch?;
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(Some(RecordBatch::try_new_with_options(self.schema.clone(), batch.columns().to_vec(), &options).map_err(wire::Error::from)?))
    }
}

/// The Arrow field of a column, with unit, UCD and description as its metadata. Any column of an answer may hold NULL: an outer
/// join does not ask the table.
fn field(column: &Column) -> Field {
    let said = [
        ("unit", &column.unit),
        ("ucd", &column.ucd),
        ("utype", &column.utype),
        ("xtype", &column.xtype),
        ("description", &column.description),
    ];
    let metadata = said.into_iter().filter(|(_, text)| !text.is_empty()).map(|(key, text)| (key.to_owned(), text.clone()));
    wire::field(column).with_nullable(true).with_metadata(metadata.collect::<HashMap<_, _>>())
}

/// Writes one file.
pub struct Parquet {
    head: Arc<Head>,
    columns: Arc<[Column]>,
    batches: Batches,
    writer: Option<ArrowWriter<Vec<u8>>>,
}

impl Parquet {
    pub fn new(head: Arc<Head>, columns: Arc<[Column]>) -> Parquet {
        Parquet { head, batches: Batches::new(columns.clone()), columns, writer: None }
    }

    fn write(&mut self, batch: Option<RecordBatch>, out: &mut Vec<u8>) -> Result<(), Error> {
        let (Some(writer), Some(batch)) = (&mut self.writer, batch) else { return Ok(()) };
        writer.write(&batch)?;
        if writer.in_progress_size() > GROUP_BYTES {
            writer.flush()?;
        }
        writer.sync()?;
        out.append(writer.inner_mut());
        Ok(())
    }
}

/// Dictionaries are for texts and small numbers; measured values hardly ever repeat.
fn properties(columns: &[Column]) -> Result<WriterProperties, Error> {
    let builder = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_max_row_group_row_count(Some(GROUP_ROWS));
    let measured = columns.iter().filter(|column| matches!(column.datatype, DataType::Real | DataType::Double | DataType::Bigint));
    let path = |column: &Column| match column.array {
        false => ColumnPath::from(column.name.as_str()),
        true => ColumnPath::from(vec![column.name.clone(), "list".into(), "item".into()]),
    };
    Ok(measured.fold(builder, |builder, column| builder.set_column_dictionary_enabled(path(column), false)).build())
}

impl Encoder for Parquet {
    fn begin(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        refuse_duplicate_names(&self.columns)?;
        let writer = self.writer.insert(ArrowWriter::try_new(Vec::new(), self.batches.schema.clone(), Some(properties(&self.columns)?))?);
        // it has a buffer, and the answer begins now
        writer.sync()?;
        out.append(writer.inner_mut());
        Ok(())
    }

    fn rows(&mut self, chunk: &WireChunk, out: &mut Vec<u8>) -> Result<(), Error> {
        let batch = self.batches.push(chunk)?;
        self.write(batch, out)
    }

    fn end(&mut self, ending: &Ending, out: &mut Vec<u8>) -> Result<bool, Error> {
        let batch = self.batches.rest()?;
        self.write(batch, out)?;
        let Some(mut writer) = self.writer.take() else { return Ok(true) };
        let content = String::from_utf8_lossy(&votable::bare_document(&self.head, &self.columns, ending)).into_owned();
        let keys = [("IVOA.VOTable-Parquet.version", "1.0".to_owned()), ("IVOA.VOTable-Parquet.content", content)];
        let infos = self.head.infos.iter().map(|info| (info.name.as_str(), info.value.clone()));
        let status = [("QUERY_STATUS", ending.status().to_owned()), ("QUERY_STATUS_TEXT", ending.text(&self.head).to_owned())];
        for (key, value) in keys.into_iter().chain(infos).chain(status).filter(|(_, value)| !value.is_empty()) {
            writer.append_key_value_metadata(KeyValue::new(key.to_owned(), value));
        }
        out.append(&mut writer.into_inner()?);
        Ok(true)
    }
}
