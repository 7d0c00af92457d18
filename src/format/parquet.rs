//! Apache Parquet with zstd, streamed row group by row group.
//!
//! Unit, UCD and description of each column are in the metadata of its Arrow field (`ARROW:schema`), where pyarrow,
//! polars and DataFusion find them. A row group is closed at 128 Ki rows or 64 MiB, whichever comes first.

use super::Error;
use crate::schema::{Column, Rows};
use ::parquet::arrow::ArrowWriter;
use ::parquet::basic::{Compression, ZstdLevel};
use ::parquet::file::properties::WriterProperties;
use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use futures_util::StreamExt;
use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;

const GROUP_ROWS: usize = 128 << 10;
const GROUP_BYTES: usize = 64 << 20;

/// Writes the file; returns the number of rows.
pub async fn write(mut rows: Rows, out: impl Write + Send) -> Result<u64, Error> {
    super::refuse_duplicate_names(&rows)?;
    let schema: SchemaRef = Arc::new(Schema::new(rows.columns.iter().map(field).collect::<Vec<_>>()));
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .build();
    let mut writer = ArrowWriter::try_new(out, schema.clone(), Some(properties))?;
    let mut count = 0;
    while let Some(batch) = rows.batches.next().await {
        let batch = batch.map_err(Error::Rows)?;
        count += batch.num_rows() as u64;
        writer.write(&RecordBatch::try_new(schema.clone(), batch.columns().to_vec()).map_err(::parquet::errors::ParquetError::from)?)?;
        if writer.in_progress_size() > GROUP_BYTES {
            writer.flush()?;
        }
    }
    writer.into_inner()?.flush()?;
    Ok(count)
}

/// The Arrow field of a column, with unit, UCD and description as its metadata.
fn field(column: &Column) -> Field {
    let arrow = column.datatype.arrow();
    let arrow = if column.array { arrow::datatypes::DataType::List(Arc::new(Field::new("item", arrow, true))) } else { arrow };
    let said = [("unit", &column.unit), ("ucd", &column.ucd), ("description", &column.description)];
    let metadata = said.into_iter().filter(|(_, text)| !text.is_empty()).map(|(key, text)| (key.to_owned(), text.clone()));
    Field::new(&column.name, arrow, column.nullable).with_metadata(metadata.collect::<HashMap<_, _>>())
}
