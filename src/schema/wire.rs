//! Values as PostgreSQL's binary format lays them out, one after the other: how rows travel where they go from the server to
//! a client without being looked at.
//!
//! A row is its columns' values; a value is its length (four bytes, big-endian, -1 for NULL) and as many bytes. The types of
//! [`DataType`] lie in PostgreSQL's format: boolean one byte, numbers big-endian, timestamps microseconds since 2000, text
//! UTF-8, arrays `dimensions, flags, element oid, (length, lower bound), elements`, each element a value.

use super::rows::WireChunk;
use super::{Column, DataType};
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanBuilder, Float32Builder, Float64Builder, Int16Builder, Int32Builder, Int64Builder, ListArray,
    NullBufferBuilder, RecordBatch, RecordBatchOptions, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{
    DataType as Arrow, Field, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type, Schema, SchemaRef, TimestampMicrosecondType,
};
use std::sync::Arc;

/// Microseconds from 1970, where Arrow counts from, to 2000, where PostgreSQL does.
pub const MICROS_1970_TO_2000: i64 = 946_684_800_000_000;

/// What can be wrong with laid-out rows.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("a row ends within a value")]
    Short,
    #[error("column `{column}`: a value of {bytes} bytes is no {datatype}")]
    Width { column: String, datatype: &'static str, bytes: usize },
    #[error("column `{column}`: an array of more than one dimension")]
    Dimensions { column: String },
    #[error("column `{column}`: a text that is not UTF-8")]
    Utf8 { column: String },
    #[error("column `{column}` came as Arrow type {arrow}, not as {wanted}")]
    Arrow { column: String, arrow: String, wanted: &'static str },
    #[error("cannot put the rows together")]
    Batch(#[from] arrow::error::ArrowError),
}

/// Takes the next value off `rest`; `None` is NULL.
#[inline]
pub fn take<'a>(rest: &mut &'a [u8]) -> Result<Option<&'a [u8]>, Error> {
    let (head, tail) = rest.split_first_chunk::<4>().ok_or(Error::Short)?;
    let length = i32::from_be_bytes(*head);
    if length < 0 {
        *rest = tail;
        return Ok(None);
    }
    let (value, tail) = tail.split_at_checked(length as usize).ok_or(Error::Short)?;
    *rest = tail;
    Ok(Some(value))
}

/// Appends a value.
#[inline]
pub fn put(out: &mut Vec<u8>, value: Option<&[u8]>) {
    match value {
        None => out.extend_from_slice(&[0xff; 4]),
        Some(value) => {
            out.extend_from_slice(&(value.len() as u32).to_be_bytes());
            out.extend_from_slice(value);
        }
    }
}

/// The elements of an array value.
#[derive(Debug, Clone, Copy)]
pub struct Elements<'a> {
    pub length: usize,
    rest: &'a [u8],
}

impl<'a> Elements<'a> {
    /// Reads the head of an array value; more than one dimension is an error.
    pub fn of(value: &'a [u8]) -> Result<Elements<'a>, Error> {
        let word = |at: usize| value.get(at..at + 4).and_then(|word| word.try_into().ok()).map(i32::from_be_bytes).ok_or(Error::Short);
        match word(0)? {
            0 => Ok(Elements { length: 0, rest: &[] }),
            1 => Ok(Elements { length: usize::try_from(word(12)?).map_err(|_| Error::Short)?, rest: &value[20.min(value.len())..] }),
            _ => Err(Error::Dimensions { column: String::new() }),
        }
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<Option<&'a [u8]>, Error>;
    fn next(&mut self) -> Option<Self::Item> {
        self.length = self.length.checked_sub(1)?;
        Some(take(&mut self.rest))
    }
}

/// Begins an array value of `length` elements of a type; the elements follow by [`put`], then [`end_array`].
pub fn begin_array(out: &mut Vec<u8>, datatype: DataType, length: usize) -> usize {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    let words: [u32; 5] = [1, 1, datatype.oid(), length as u32, 1];
    words.iter().for_each(|word| out.extend_from_slice(&word.to_be_bytes()));
    at
}

/// Writes the length of the value that began at `at`.
pub fn end_array(out: &mut [u8], at: usize) {
    let length = (out.len() - at - 4) as u32;
    out[at..at + 4].copy_from_slice(&length.to_be_bytes());
}

/// PostgreSQL counts microseconds from 2000, Arrow from 1970; the two infinities stay the two ends of `i64`.
pub fn since_1970(micros_2000: i64) -> i64 {
    match micros_2000 {
        i64::MAX | i64::MIN => micros_2000,
        _ => micros_2000.saturating_add(MICROS_1970_TO_2000),
    }
}

/// The reverse of [`since_1970`].
pub fn since_2000(micros_1970: i64) -> i64 {
    match micros_1970 {
        i64::MAX | i64::MIN => micros_1970,
        _ => micros_1970.saturating_sub(MICROS_1970_TO_2000),
    }
}

/// The Arrow field of a column, without metadata.
pub fn field(column: &Column) -> Field {
    let arrow = if column.array { Arrow::List(item(column.datatype)) } else { column.datatype.arrow() };
    Field::new(&column.name, arrow, column.nullable)
}

fn item(datatype: DataType) -> Arc<Field> {
    Arc::new(Field::new("item", datatype.arrow(), true))
}

/// The Arrow schema of the columns.
pub fn schema(columns: &[Column]) -> SchemaRef {
    Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()))
}

/// The rows of a chunk as an Arrow batch.
pub fn to_batch(columns: &[Column], chunk: &WireChunk) -> Result<RecordBatch, Error> {
    let mut fillings: Vec<Filling> = columns.iter().map(Filling::new).collect();
    let mut rest = chunk.bytes.as_slice();
    for _ in 0..chunk.rows {
        for (column, filling) in columns.iter().zip(&mut fillings) {
            filling.push(take(&mut rest)?).map_err(|error| named(error, column))?;
        }
    }
    // What the metadata says of NULLs is a promise of the table, not of a join with it.
    let fields = columns.iter().map(|column| field(column).with_nullable(true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let arrays = fillings.into_iter().map(Filling::finish).collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(chunk.rows));
    Ok(RecordBatch::try_new_with_options(schema, arrays, &options)?)
}

/// Says the column in an error that does not know it.
pub fn named(error: Error, of: &Column) -> Error {
    match error {
        Error::Dimensions { .. } => Error::Dimensions { column: of.name.clone() },
        Error::Utf8 { .. } => Error::Utf8 { column: of.name.clone() },
        Error::Width { datatype, bytes, .. } => Error::Width { column: of.name.clone(), datatype, bytes },
        other => other,
    }
}

/// The bytes of a value of fixed width.
pub fn fixed<const N: usize>(value: &[u8], datatype: DataType) -> Result<[u8; N], Error> {
    value.try_into().map_err(|_| Error::Width { column: String::new(), datatype: datatype.name(), bytes: value.len() })
}

/// A column of the batch being filled.
enum Filling {
    Scalar(Values),
    List { datatype: DataType, values: Values, offsets: Vec<i32>, present: NullBufferBuilder },
}

impl Filling {
    fn new(column: &Column) -> Self {
        let values = Values::new(column.datatype);
        match column.array {
            false => Filling::Scalar(values),
            true => Filling::List { datatype: column.datatype, values, offsets: vec![0], present: NullBufferBuilder::new(0) },
        }
    }

    fn push(&mut self, value: Option<&[u8]>) -> Result<(), Error> {
        match self {
            Filling::Scalar(values) => values.push(value),
            Filling::List { values, offsets, present, .. } => {
                let before = offsets.last().copied().unwrap_or(0);
                let mut count = 0;
                if let Some(value) = value {
                    for element in Elements::of(value)? {
                        values.push(element?)?;
                        count += 1;
                    }
                }
                present.append(value.is_some());
                offsets.push(before + count);
                Ok(())
            }
        }
    }

    fn finish(self) -> Result<ArrayRef, Error> {
        match self {
            Filling::Scalar(values) => Ok(values.finish()),
            Filling::List { datatype, values, offsets, mut present } => {
                Ok(Arc::new(ListArray::try_new(item(datatype), OffsetBuffer::new(offsets.into()), values.finish(), present.finish())?))
            }
        }
    }
}

/// Arrow builders, one kind per data type.
enum Values {
    Boolean(BooleanBuilder),
    Smallint(Int16Builder),
    Integer(Int32Builder),
    Bigint(Int64Builder),
    Real(Float32Builder),
    Double(Float64Builder),
    Text(StringBuilder),
    Timestamp(TimestampMicrosecondBuilder),
}

impl Values {
    fn new(datatype: DataType) -> Self {
        match datatype {
            DataType::Boolean => Values::Boolean(BooleanBuilder::new()),
            DataType::Smallint => Values::Smallint(Int16Builder::new()),
            DataType::Integer => Values::Integer(Int32Builder::new()),
            DataType::Bigint => Values::Bigint(Int64Builder::new()),
            DataType::Real => Values::Real(Float32Builder::new()),
            DataType::Double => Values::Double(Float64Builder::new()),
            DataType::Text => Values::Text(StringBuilder::new()),
            DataType::Timestamp => Values::Timestamp(TimestampMicrosecondBuilder::new()),
        }
    }

    fn push(&mut self, value: Option<&[u8]>) -> Result<(), Error> {
        match self {
            Values::Boolean(b) => b.append_option(value.map(|v| fixed::<1>(v, DataType::Boolean)).transpose()?.map(|[byte]| byte != 0)),
            Values::Smallint(b) => b.append_option(value.map(|v| fixed(v, DataType::Smallint)).transpose()?.map(i16::from_be_bytes)),
            Values::Integer(b) => b.append_option(value.map(|v| fixed(v, DataType::Integer)).transpose()?.map(i32::from_be_bytes)),
            Values::Bigint(b) => b.append_option(value.map(|v| fixed(v, DataType::Bigint)).transpose()?.map(i64::from_be_bytes)),
            Values::Real(b) => b.append_option(value.map(|v| fixed(v, DataType::Real)).transpose()?.map(f32::from_be_bytes)),
            Values::Double(b) => b.append_option(value.map(|v| fixed(v, DataType::Double)).transpose()?.map(f64::from_be_bytes)),
            Values::Timestamp(b) => {
                let micros = value.map(|v| fixed(v, DataType::Timestamp)).transpose()?.map(i64::from_be_bytes);
                b.append_option(micros.map(since_1970));
            }
            Values::Text(b) => {
                let text = value.map(std::str::from_utf8).transpose().map_err(|_| Error::Utf8 { column: String::new() })?;
                b.append_option(text);
            }
        }
        Ok(())
    }

    fn finish(self) -> ArrayRef {
        match self {
            Values::Boolean(mut b) => Arc::new(b.finish()),
            Values::Smallint(mut b) => Arc::new(b.finish()),
            Values::Integer(mut b) => Arc::new(b.finish()),
            Values::Bigint(mut b) => Arc::new(b.finish()),
            Values::Real(mut b) => Arc::new(b.finish()),
            Values::Double(mut b) => Arc::new(b.finish()),
            Values::Text(mut b) => Arc::new(b.finish()),
            Values::Timestamp(mut b) => Arc::new(b.finish()),
        }
    }
}

/// The rows of an Arrow batch, laid out.
pub fn from_batch(columns: &[Column], batch: &RecordBatch) -> Result<WireChunk, Error> {
    let cells = columns.iter().zip(batch.columns()).map(|(column, array)| cell(column, array)).collect::<Result<Vec<_>, _>>()?;
    let mut bytes = Vec::with_capacity(batch.get_array_memory_size() + 4 * cells.len() * batch.num_rows());
    for row in 0..batch.num_rows() {
        cells.iter().for_each(|cell| cell(row, &mut bytes));
    }
    Ok(WireChunk { rows: batch.num_rows(), bytes })
}

/// Appends the value of a row.
type Cell<'a> = Box<dyn Fn(usize, &mut Vec<u8>) + 'a>;

fn cell<'a>(column: &Column, array: &'a ArrayRef) -> Result<Cell<'a>, Error> {
    let wanted = column.datatype;
    let wrong = || Error::Arrow { column: column.name.clone(), arrow: array.data_type().to_string(), wanted: wanted.name() };
    if !column.array {
        return (*array.data_type() == wanted.arrow()).then(|| scalar(wanted, array)).ok_or_else(wrong);
    }
    let list = array.as_list_opt::<i32>().filter(|list| *list.values().data_type() == wanted.arrow()).ok_or_else(wrong)?;
    let element = scalar(wanted, list.values());
    Ok(Box::new(move |row, out| {
        if list.is_null(row) {
            return put(out, None);
        }
        let range = list.value_offsets()[row] as usize..list.value_offsets()[row + 1] as usize;
        let at = begin_array(out, wanted, range.len());
        range.for_each(|index| element(index, out));
        end_array(out, at);
    }))
}

/// The writer of an array whose Arrow type is that of `datatype`.
fn scalar(datatype: DataType, array: &ArrayRef) -> Cell<'_> {
    fn bytes<'a, const N: usize>(array: &'a dyn Array, value: impl Fn(usize) -> [u8; N] + 'a) -> Cell<'a> {
        Box::new(move |row, out| match array.is_null(row) {
            true => put(out, None),
            false => put(out, Some(&value(row))),
        })
    }
    match datatype {
        DataType::Boolean => {
            let values = array.as_boolean();
            bytes(values, |row| [u8::from(values.value(row))])
        }
        DataType::Smallint => {
            let values = array.as_primitive::<Int16Type>();
            bytes(values, |row| values.value(row).to_be_bytes())
        }
        DataType::Integer => {
            let values = array.as_primitive::<Int32Type>();
            bytes(values, |row| values.value(row).to_be_bytes())
        }
        DataType::Bigint => {
            let values = array.as_primitive::<Int64Type>();
            bytes(values, |row| values.value(row).to_be_bytes())
        }
        DataType::Real => {
            let values = array.as_primitive::<Float32Type>();
            bytes(values, |row| values.value(row).to_be_bytes())
        }
        DataType::Double => {
            let values = array.as_primitive::<Float64Type>();
            bytes(values, |row| values.value(row).to_be_bytes())
        }
        DataType::Timestamp => {
            let values = array.as_primitive::<TimestampMicrosecondType>();
            bytes(values, |row| since_2000(values.value(row)).to_be_bytes())
        }
        DataType::Text => {
            let values = array.as_string::<i32>();
            Box::new(move |row, out| put(out, (!values.is_null(row)).then(|| values.value(row).as_bytes())))
        }
    }
}
