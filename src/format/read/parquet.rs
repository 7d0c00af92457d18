//! Parquet: each column cast to the type that PostgreSQL has for it.

use super::{Error, Limits, Opened, Opener, RowSource, thrift};
use crate::schema::{Column, DataType, wire};
use ::parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType as Arrow, Field};
use bytes::Bytes;
use std::io::{Read, Seek, SeekFrom};

/// Parquet is read from its end; the file stands in memory while it is read, so it has a limit of its own.
const MOST_BYTES: u64 = 256 << 20;
/// Rows that are read at once.
const BATCH_ROWS: usize = 1024;

pub fn open(mut opener: Opener, limits: Limits) -> Result<Opened, Error> {
    let most = limits.bytes.min(MOST_BYTES);
    let size = opener.input.seek(SeekFrom::End(0))?;
    if size > most {
        return Err(Error::TooLarge { what: "it has bytes", most, remedy: "send it in pieces" });
    }
    opener.input.seek(SeekFrom::Start(0))?;
    let mut bytes = Vec::with_capacity(size as usize);
    opener.input.take(most).read_to_end(&mut bytes)?;
    let cannot = |error: ::parquet::errors::ParquetError| Error::Parquet(error.to_string());
    let damaged = |what: &str| Error::Parquet(format!("its {what} cannot be read; the file is damaged"));
    if thrift::footer(&bytes).is_some_and(|footer| !thrift::is_sound(footer)) {
        return Err(damaged("footer"));
    }
    let bytes = Bytes::from(bytes);
    let builder = unwound(|| ParquetRecordBatchReaderBuilder::try_new(bytes.clone()).map_err(cannot))?;
    let (mut inflated, mut stored) = (0u64, 0usize);
    for chunk in builder.metadata().row_groups().iter().flat_map(|group| group.columns()) {
        let start = usize::try_from(chunk.dictionary_page_offset().unwrap_or(chunk.data_page_offset())).ok();
        let pages = start.zip(usize::try_from(chunk.compressed_size()).ok()).map(|(start, length)| start..start.saturating_add(length));
        // chunks do not overlap: many that claim the same pages would have them walked again and again
        stored = pages.as_ref().map_or(usize::MAX, |pages| stored.saturating_add(pages.len()));
        let pages = pages
            .filter(|_| stored <= bytes.len())
            .and_then(|pages| thrift::inflated_bytes(&bytes, pages))
            .ok_or_else(|| damaged("page headers"))?;
        inflated = inflated.saturating_add(pages);
    }
    if inflated > limits.bytes {
        return Err(Error::TooLarge { what: "it has inflated bytes", most: limits.bytes, remedy: "send it in pieces" });
    }
    super::check_columns(builder.schema().fields().len(), limits)?;
    let columns = builder.schema().fields().iter().map(|field| column(field)).collect::<Result<Vec<_>, _>>()?;
    let reader = builder.with_batch_size(BATCH_ROWS).build().map_err(cannot)?;
    let source = Rows { reader, columns: columns.clone(), waiting: Vec::new(), at: 0, rows: 0, limits };
    Ok(Opened { columns, name: String::new(), source: Box::new(source) })
}

/// What the library makes of bytes that may be damaged: it panics on some of them.
fn unwound<T>(read: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    let damaged = |_| Err(Error::Parquet("the file is damaged".to_owned()));
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(read)).unwrap_or_else(damaged)
}

fn column(field: &Field) -> Result<Column, Error> {
    let element = match field.data_type() {
        Arrow::List(item) | Arrow::LargeList(item) | Arrow::FixedSizeList(item, _) => item.data_type(),
        other => other,
    };
    let element = if let Arrow::Dictionary(_, value) = element { value } else { element };
    let datatype = match element {
        Arrow::Boolean => DataType::Boolean,
        Arrow::Int8 | Arrow::UInt8 | Arrow::Int16 => DataType::Smallint,
        Arrow::UInt16 | Arrow::Int32 => DataType::Integer,
        Arrow::UInt32 | Arrow::Int64 | Arrow::UInt64 => DataType::Bigint,
        Arrow::Float16 | Arrow::Float32 => DataType::Real,
        Arrow::Float64 | Arrow::Decimal32(..) | Arrow::Decimal64(..) | Arrow::Decimal128(..) => DataType::Double,
        Arrow::Utf8 | Arrow::LargeUtf8 | Arrow::Utf8View | Arrow::Null => DataType::Text,
        Arrow::Timestamp(..) | Arrow::Date32 | Arrow::Date64 => DataType::Timestamp,
        other => {
            let remedy = "booleans, numbers, texts, timestamps and lists of them are taken";
            return Err(Error::Type { column: field.name().clone(), found: other.to_string(), remedy });
        }
    };
    let said = |key: &str| field.metadata().get(key).cloned().unwrap_or_default();
    let array = matches!(field.data_type(), Arrow::List(_) | Arrow::LargeList(_) | Arrow::FixedSizeList(..));
    Ok(Column { array, unit: said("unit"), ucd: said("ucd"), description: said("description"), ..Column::new(field.name(), datatype) })
}

/// The rows, a batch at a time.
struct Rows {
    reader: ParquetRecordBatchReader,
    columns: Vec<Column>,
    /// The laid-out rows of a batch, and where the next one begins.
    waiting: Vec<u8>,
    at: usize,
    rows: usize,
    limits: Limits,
}

impl Rows {
    /// The next batch, cast; `false` at the end.
    fn more(&mut self) -> Result<bool, Error> {
        let Some(batch) = unwound(|| self.reader.next().transpose().map_err(|error| Error::Parquet(error.to_string())))? else {
            return Ok(false);
        };
        // an overflow is an error and not NULL
        let options = arrow::compute::CastOptions { safe: false, ..Default::default() };
        let cast = |(column, array): (&Column, &arrow::array::ArrayRef)| {
            let wanted = wire::field(column);
            arrow::compute::cast_with_options(array, wanted.data_type(), &options)
                .map_err(|error| Error::Parquet(format!("column `{}`: {error}", column.name)))
        };
        let arrays = self.columns.iter().zip(batch.columns()).map(cast).collect::<Result<Vec<_>, _>>()?;
        let schema = wire::schema(&self.columns.iter().map(|column| Column { nullable: true, ..column.clone() }).collect::<Vec<_>>());
        let chunk = wire::from_batch(&self.columns, &RecordBatch::try_new(schema, arrays).map_err(wire::Error::from)?)?;
        (self.waiting, self.at, self.rows) = (chunk.bytes, 0, chunk.rows);
        Ok(true)
    }
}

impl RowSource for Rows {
    fn row(&mut self, out: &mut Vec<u8>) -> Result<bool, Error> {
        while self.rows == 0 {
            if !self.more()? {
                return Ok(false);
            }
        }
        let mut rest = &self.waiting[self.at..];
        for _ in 0..self.columns.len() {
            let value = wire::take(&mut rest)?;
            if value.is_some_and(|value| value.len() > self.limits.cell_bytes) {
                let most = self.limits.cell_bytes as u64;
                return Err(Error::TooLarge { what: "it has a value with bytes", most, remedy: "leave that column out" });
            }
        }
        let end = self.waiting.len() - rest.len();
        out.extend_from_slice(&self.waiting[self.at..end]);
        self.at = end;
        self.rows -= 1;
        Ok(true)
    }
}
