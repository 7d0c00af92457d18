//! Asks PostgreSQL and hands the answer over as [`Rows`]: columns, then a stream of Arrow batches.
//!
//! The statement is prepared first, so that column names and types are known before the first row. Values are
//! decoded from PostgreSQL's binary wire format straight into Arrow builders: each value is one slice and one
//! `match` on the column's `Wire` format, with no trait object and no intermediate value.
//!
//! Memory: a batch has at most 8,192 rows and about 4 MiB; the next one is read only when the last one was taken,
//! and the server waits on the socket meanwhile. The [`Client`] must live as long as the stream is read.
//!
//! | PostgreSQL | becomes |
//! | --- | --- |
//! | boolean, smallint, integer, bigint, real, double, text, timestamp | themselves |
//! | varchar, char, name, enums, json, jsonb, uuid, date, time | text (as PostgreSQL prints them) |
//! | bytea | text of hexadecimal digits, two per byte |
//! | numeric | double precision |
//! | oid | bigint |
//! | timestamptz | timestamp in UTC |
//! | a one-dimensional array of any of these | the array |
//! | all else | an error that proposes `::text` |
//!
//! An `infinity` timestamp or date is kept: `i64::MAX` and `i64::MIN` microseconds, and the words, respectively.

use crate::schema::rows::{RowsError, WireChunk};
use crate::schema::wire::{self, Elements};
use crate::schema::{Column, DataType, Rows, WireRows};
use arrow::array::{
    ArrayRef, BooleanBuilder, Float32Builder, Float64Builder, Int16Builder, Int32Builder, Int64Builder, ListArray, NullBufferBuilder,
    RecordBatch, RecordBatchOptions, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType as Arrow, Field, Schema, SchemaRef};
use futures_util::{FutureExt, StreamExt};
use postgres_types::{FromSql, Kind, ToSql, Type};
use std::fmt::Write as _;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, RowStream, Statement};

/// Rows of a full batch.
pub const BATCH_ROWS: usize = 8192;
/// Bytes after which a batch is handed over although it is not full.
pub const BATCH_BYTES: usize = 4 << 20;

/// What can go wrong between a query and its rows.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server refused the statement, or the connection broke.
    #[error(transparent)]
    Server(#[from] super::Error),
    /// A result column of a type that has no counterpart here.
    #[error(
        "column `{column}` is of PostgreSQL type {postgres}, which cannot be shown: ask for it as text, with `::text` after its expression"
    )]
    Type { column: String, postgres: String },
    /// A value that does not fit its column's type, such as an array with two dimensions.
    #[error("column `{column}`: {problem}")]
    Value { column: String, problem: &'static str },
    /// Arrow refused the batch.
    #[error("cannot make a batch of the rows")]
    Batch(#[from] arrow::error::ArrowError),
}

impl Error {
    /// The SQLSTATE, when the server said one.
    pub fn code(&self) -> Option<&SqlState> {
        match self {
            Error::Server(error) => error.code(),
            Error::Type { .. } | Error::Value { .. } | Error::Batch(_) => None,
        }
    }
}

/// The server's error with the place in `sql` that it points at.
fn server(error: tokio_postgres::Error, sql: &str) -> Error {
    Error::Server(super::Error::from(error).in_sql(sql))
}

/// Prepares and starts `sql`; the rows come as they are taken from the stream.
///
/// Only names and types of the columns are known here; [`crate::schema::Catalog`] knows units and UCDs.
pub async fn query(client: &Client, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Rows, Error> {
    let statement = client.prepare(sql).await.map_err(|error| server(error, sql))?;
    let (columns, wires) = describe(&statement)?;
    let stream = client.query_raw(&statement, params.iter().copied()).await.map_err(|error| server(error, sql))?;
    let schema = Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()));
    let reader = Reader { stream: Box::pin(stream), schema, wires, sql: sql.to_owned(), done: false };
    let batches = futures_util::stream::unfold(reader, |mut reader| async move {
        let batch = reader.next_batch().await.transpose()?;
        Some((batch.map_err(RowsError::from), reader))
    });
    Ok(Rows { columns, batches: batches.boxed() })
}

/// Bytes of a chunk of [`wire_rows`]: large enough to hide what a chunk costs, small enough for the first to be early.
pub const CHUNK_BYTES: usize = 64 << 10;
/// How long rows that are there wait for a chunk to fill up.
const PATIENCE: Duration = Duration::from_millis(50);

/// Like [`query`], but the rows stay as the server wrote them: the way of large answers.
///
/// A chunk is handed over when it is full, or when the server has no more rows ready for 50 ms (at once for the first one).
pub async fn wire_rows(client: &Client, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<WireRows, Error> {
    let statement = client.prepare(sql).await.map_err(|error| server(error, sql))?;
    let (columns, wires) = describe(&statement)?;
    let stream = client.query_raw(&statement, params.iter().copied()).await.map_err(|error| server(error, sql))?;
    let names = columns.iter().map(|column| column.name.clone()).collect();
    Ok(wire_stream(
        WireReader { stream: Box::pin(stream), wires, names, known: None, sql: sql.to_owned(), is_first: true, done: false },
        columns,
    ))
}

/// Like [`wire_rows`] in one round trip: parameters come with their types, and the columns are known. That the server gives values of
/// just these types is checked on the first row.
pub async fn wire_rows_typed(
    client: &Client,
    sql: &str,
    params: &[(&(dyn ToSql + Sync), Type)],
    columns: &[Column],
) -> Result<WireRows, Error> {
    let params = params.iter().map(|(value, ty)| (*value, ty.clone()));
    let stream = client.query_typed_raw(sql, params).await.map_err(|error| server(error, sql))?;
    let names = columns.iter().map(|column| column.name.clone()).collect();
    let reader =
        WireReader { stream: Box::pin(stream), wires: Vec::new(), names, known: None, sql: sql.to_owned(), is_first: true, done: false };
    let known: Vec<(DataType, bool)> = columns.iter().map(|column| (column.datatype, column.array)).collect();
    Ok(wire_stream(WireReader { known: Some(known), ..reader }, columns.to_vec()))
}

/// What the planner thinks that a statement costs, in its own unit (a page read in sequence is 1).
pub async fn cost(client: &Client, sql: &str, params: &[(&(dyn ToSql + Sync), Type)]) -> Result<f64, Error> {
    let explain = format!("EXPLAIN (FORMAT JSON) {sql}");
    let row = client.query_typed_one(&explain, params).await.map_err(|error| server(error, sql))?;
    let plan: serde_json::Value = row.try_get(0).map_err(|error| server(error, sql))?;
    Ok(plan[0]["Plan"]["Total Cost"].as_f64().unwrap_or(0.0))
}

fn wire_stream(reader: WireReader, columns: Vec<Column>) -> WireRows {
    let chunks = futures_util::stream::unfold(reader, |mut reader| async move {
        let chunk = reader.next_chunk().await.transpose()?;
        Some((chunk.map_err(RowsError::from), reader))
    });
    WireRows { columns, chunks: chunks.boxed() }
}

/// The running answer of one statement, as it is.
struct WireReader {
    stream: Pin<Box<RowStream>>,
    /// How the values lie; empty until the first row where `known` is to be compared with it.
    wires: Vec<Layout>,
    /// The types that the columns must have.
    known: Option<Vec<(DataType, bool)>>,
    names: Vec<String>,
    sql: String,
    is_first: bool,
    done: bool,
}

impl WireReader {
    /// The next chunk; `None` when all rows were handed over. After an error the stream is over.
    async fn next_chunk(&mut self) -> Result<Option<WireChunk>, Error> {
        if self.done {
            return Ok(None);
        }
        let filled = self.fill().await;
        self.done |= filled.is_err();
        self.is_first = false;
        filled.map(|chunk| (chunk.rows > 0).then_some(chunk))
    }

    async fn fill(&mut self) -> Result<WireChunk, Error> {
        let mut chunk = WireChunk { rows: 0, bytes: Vec::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 8) };
        let mut deadline = None;
        while chunk.bytes.len() < CHUNK_BYTES {
            let row = match self.stream.next().now_or_never() {
                Some(row) => row,
                None if chunk.rows == 0 => self.stream.next().await,
                None if self.is_first => break,
                None => {
                    let deadline = *deadline.get_or_insert_with(|| tokio::time::Instant::now() + PATIENCE);
                    match tokio::time::timeout_at(deadline, self.stream.next()).await {
                        Ok(row) => row,
                        Err(_) => break,
                    }
                }
            };
            let Some(row) = row else {
                self.done = true;
                break;
            };
            let row = row.map_err(|error| server(error, &self.sql))?;
            if let Some(known) = self.known.take() {
                self.wires = compare(&row, &known)?;
            }
            self.push(&row, &mut chunk)?;
        }
        Ok(chunk)
    }

    fn push(&self, row: &tokio_postgres::Row, chunk: &mut WireChunk) -> Result<(), Error> {
        for (index, &(wire, array)) in self.wires.iter().enumerate() {
            let Raw(value) = row.try_get(index).map_err(|error| server(error, &self.sql))?;
            if !array && wire.is_plain() {
                wire::put(&mut chunk.bytes, value);
            } else {
                put_converted(wire, array, value, &mut chunk.bytes)
                    .map_err(|problem| Error::Value { column: self.names[index].clone(), problem })?;
            }
        }
        chunk.rows += 1;
        Ok(())
    }
}

/// How the values of a row lie, which must be of the types that are known.
fn compare(row: &tokio_postgres::Row, known: &[(DataType, bool)]) -> Result<Vec<Layout>, Error> {
    let columns = row.columns();
    if columns.len() != known.len() {
        let problem = "the server sends another number of columns than the query has";
        return Err(Error::Value { column: columns.len().to_string(), problem });
    }
    let layout = |(column, (datatype, array)): (&tokio_postgres::Column, &(DataType, bool))| match wire_of(column.type_()) {
        Some((wire, is_array)) if wire.datatype() == *datatype && is_array == *array => Ok((wire, is_array)),
        _ => Err(Error::Type { column: column.name().to_owned(), postgres: column.type_().to_string() }),
    };
    columns.iter().zip(known).map(layout).collect()
}

/// Appends a value whose wire format is not that of its data type, or an array.
fn put_converted(wire: Wire, array: bool, value: Option<&[u8]>, out: &mut Vec<u8>) -> Result<(), Problem> {
    match value {
        None => wire::put(out, None),
        Some(value) if array => {
            let elements = Elements::of(value).map_err(|_| MATRIX)?;
            let at = wire::begin_array(out, wire.datatype(), elements.length);
            for element in elements {
                put_converted(wire, false, element.map_err(|_| SHORT)?, out)?;
            }
            wire::end_array(out, at);
        }
        Some(value) => match wire {
            Wire::Numeric => wire::put(out, Some(&numeric(value)?.to_be_bytes())),
            Wire::Oid => wire::put(out, Some(&i64::from(u32::from_be_bytes(fixed(value)?)).to_be_bytes())),
            Wire::Jsonb => wire::put(out, Some(value.get(1..).ok_or(SHORT)?)),
            Wire::Date => wire::put(out, Some(date(i32::from_be_bytes(fixed(value)?)).as_bytes())),
            Wire::Time => wire::put(out, Some(time_of_day(i64::from_be_bytes(fixed(value)?)).as_bytes())),
            Wire::Uuid => wire::put(out, Some(uuid(fixed(value)?).as_bytes())),
            Wire::Bytea => wire::put(out, Some(hex(value).as_bytes())),
            Wire::Boolean | Wire::Smallint | Wire::Integer | Wire::Bigint | Wire::Real | Wire::Double | Wire::Timestamp | Wire::Text => {
                wire::put(out, Some(value))
            }
        },
    }
    Ok(())
}

const MATRIX: Problem = "an array of more than one dimension: ask for it as text, with `::text` after its expression";

fn field(column: &Column) -> Field {
    Field::new(&column.name, arrow_type(column.datatype, column.array), column.nullable)
}

fn arrow_type(datatype: DataType, array: bool) -> Arrow {
    if array { Arrow::List(item(datatype)) } else { datatype.arrow() }
}

fn item(datatype: DataType) -> Arc<Field> {
    Arc::new(Field::new("item", datatype.arrow(), true))
}

/// A column's format and whether it is an array of it.
type Layout = (Wire, bool);

fn describe(statement: &Statement) -> Result<(Vec<Column>, Vec<Layout>), Error> {
    let pair = |c: &tokio_postgres::Column| {
        let (wire, array) =
            wire_of(c.type_()).ok_or_else(|| Error::Type { column: c.name().to_owned(), postgres: c.type_().to_string() })?;
        let column = Column { array, ..Column::new(c.name(), wire.datatype()) };
        Ok((column, (wire, array)))
    };
    statement.columns().iter().map(pair).collect::<Result<Vec<_>, _>>().map(|pairs| pairs.into_iter().unzip())
}

/// How a value lies in PostgreSQL's binary format, and what becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wire {
    Boolean,
    Smallint,
    Integer,
    Bigint,
    Real,
    Double,
    Numeric,
    Oid,
    Timestamp,
    Text,
    /// One version byte, then the text.
    Jsonb,
    Date,
    Time,
    Uuid,
    Bytea,
}

impl Wire {
    /// Is the wire format that of the data type?
    fn is_plain(self) -> bool {
        match self {
            Wire::Boolean | Wire::Smallint | Wire::Integer | Wire::Bigint | Wire::Real | Wire::Double | Wire::Timestamp | Wire::Text => {
                true
            }
            Wire::Numeric | Wire::Oid | Wire::Jsonb | Wire::Date | Wire::Time | Wire::Uuid | Wire::Bytea => false,
        }
    }

    fn datatype(self) -> DataType {
        match self {
            Wire::Boolean => DataType::Boolean,
            Wire::Smallint => DataType::Smallint,
            Wire::Integer => DataType::Integer,
            Wire::Bigint | Wire::Oid => DataType::Bigint,
            Wire::Real => DataType::Real,
            Wire::Double | Wire::Numeric => DataType::Double,
            Wire::Timestamp => DataType::Timestamp,
            Wire::Text | Wire::Jsonb | Wire::Date | Wire::Time | Wire::Uuid | Wire::Bytea => DataType::Text,
        }
    }
}

/// The wire format of a type.
fn wire_of(postgres: &Type) -> Option<Layout> {
    match postgres.kind() {
        Kind::Array(element) => scalar_wire(element).map(|wire| (wire, true)),
        _ => scalar_wire(postgres).map(|wire| (wire, false)),
    }
}

fn scalar_wire(postgres: &Type) -> Option<Wire> {
    match postgres.kind() {
        Kind::Enum(_) => return Some(Wire::Text),
        Kind::Domain(base) => return scalar_wire(base),
        _ => {}
    }
    Some(match *postgres {
        Type::BOOL => Wire::Boolean,
        Type::INT2 => Wire::Smallint,
        Type::INT4 => Wire::Integer,
        Type::INT8 => Wire::Bigint,
        Type::FLOAT4 => Wire::Real,
        Type::FLOAT8 => Wire::Double,
        Type::NUMERIC => Wire::Numeric,
        Type::OID => Wire::Oid,
        Type::TIMESTAMP | Type::TIMESTAMPTZ => Wire::Timestamp,
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::CHAR | Type::JSON | Type::UNKNOWN | Type::VOID => Wire::Text,
        Type::JSONB => Wire::Jsonb,
        Type::DATE => Wire::Date,
        Type::TIME => Wire::Time,
        Type::UUID => Wire::Uuid,
        Type::BYTEA => Wire::Bytea,
        _ => return None,
    })
}

/// The running answer of one statement.
struct Reader {
    stream: Pin<Box<RowStream>>,
    schema: SchemaRef,
    wires: Vec<Layout>,
    sql: String,
    done: bool,
}

impl Reader {
    /// The next batch; `None` when all rows were handed over. After an error the stream is over.
    async fn next_batch(&mut self) -> Result<Option<RecordBatch>, Error> {
        if self.done {
            return Ok(None);
        }
        let filled = self.fill().await;
        self.done |= filled.is_err();
        filled
    }

    async fn fill(&mut self) -> Result<Option<RecordBatch>, Error> {
        let mut columns: Vec<Filling> = self.wires.iter().map(|&(wire, array)| Filling::new(wire, array)).collect();
        let (mut rows, mut bytes) = (0, 0);
        while rows < BATCH_ROWS && bytes < BATCH_BYTES {
            let Some(row) = self.stream.next().await else {
                self.done = true;
                break;
            };
            let row = row.map_err(|error| server(error, &self.sql))?;
            for (index, column) in columns.iter_mut().enumerate() {
                let Raw(value) = row.try_get(index).map_err(|error| server(error, &self.sql))?;
                column.push(value).map_err(|problem| Error::Value { column: self.schema.field(index).name().clone(), problem })?;
            }
            rows += 1;
            bytes += row.raw_size_bytes();
        }
        if rows == 0 {
            return Ok(None);
        }
        let arrays = columns.into_iter().map(Filling::finish).collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(Some(RecordBatch::try_new_with_options(self.schema.clone(), arrays, &options)?))
    }
}

/// A value's bytes as they came, whatever its type.
struct Raw<'a>(Option<&'a [u8]>);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Raw(Some(raw)))
    }
    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Raw(None))
    }
    fn accepts(_: &Type) -> bool {
        true
    }
}

type Problem = &'static str;

/// A column of the batch being filled.
enum Filling {
    Scalar { wire: Wire, values: Values },
    List { wire: Wire, values: Values, offsets: Vec<i32>, present: NullBufferBuilder },
}

impl Filling {
    fn new(wire: Wire, array: bool) -> Self {
        let values = Values::new(wire.datatype());
        match array {
            false => Filling::Scalar { wire, values },
            true => Filling::List { wire, values, offsets: vec![0], present: NullBufferBuilder::new(0) },
        }
    }

    fn push(&mut self, value: Option<&[u8]>) -> Result<(), Problem> {
        match self {
            Filling::Scalar { wire, values } => values.push(*wire, value),
            Filling::List { wire, values, offsets, present } => {
                if let Some(raw) = value {
                    push_elements(*wire, values, raw)?;
                }
                present.append(value.is_some());
                offsets.push(i32::try_from(values.len()).map_err(|_| "more array elements in one batch than Arrow can count")?);
                Ok(())
            }
        }
    }

    fn finish(self) -> Result<ArrayRef, Error> {
        match self {
            Filling::Scalar { mut values, .. } => Ok(values.finish()),
            Filling::List { wire, mut values, offsets, mut present } => {
                let list = ListArray::try_new(item(wire.datatype()), OffsetBuffer::new(offsets.into()), values.finish(), present.finish())?;
                Ok(Arc::new(list))
            }
        }
    }
}

/// PostgreSQL's array format: dimensions, has-nulls, element oid, then (length, lower bound) per dimension, then the
/// elements, each with its length, -1 for NULL. Lower bounds are not kept.
fn push_elements(wire: Wire, values: &mut Values, raw: &[u8]) -> Result<(), Problem> {
    let mut rest = raw;
    let [dimensions, _has_nulls, _oid] = [take_i32(&mut rest)?, take_i32(&mut rest)?, take_i32(&mut rest)?];
    if dimensions > 1 {
        return Err(MATRIX);
    }
    if dimensions == 0 {
        return Ok(());
    }
    let [length, _lower_bound] = [take_i32(&mut rest)?, take_i32(&mut rest)?];
    for _ in 0..length {
        let size = take_i32(&mut rest)?;
        let element = match usize::try_from(size) {
            Ok(size) => Some(rest.split_off(..size).ok_or(SHORT)?),
            Err(_) => None,
        };
        values.push(wire, element)?;
    }
    Ok(())
}

const SHORT: Problem = "the server sent a value of an unexpected length";

fn take_i32(rest: &mut &[u8]) -> Result<i32, Problem> {
    let (head, tail) = rest.split_first_chunk::<4>().ok_or(SHORT)?;
    *rest = tail;
    Ok(i32::from_be_bytes(*head))
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

    fn len(&self) -> usize {
        use arrow::array::ArrayBuilder;
        match self {
            Values::Boolean(b) => b.len(),
            Values::Smallint(b) => b.len(),
            Values::Integer(b) => b.len(),
            Values::Bigint(b) => b.len(),
            Values::Real(b) => b.len(),
            Values::Double(b) => b.len(),
            Values::Text(b) => b.len(),
            Values::Timestamp(b) => b.len(),
        }
    }

    fn push(&mut self, wire: Wire, raw: Option<&[u8]>) -> Result<(), Problem> {
        match self {
            Values::Boolean(b) => b.append_option(raw.map(fixed::<1>).transpose()?.map(|[byte]| byte != 0)),
            Values::Smallint(b) => b.append_option(raw.map(fixed).transpose()?.map(i16::from_be_bytes)),
            Values::Integer(b) => b.append_option(raw.map(fixed).transpose()?.map(i32::from_be_bytes)),
            Values::Bigint(b) if wire == Wire::Oid => {
                b.append_option(raw.map(fixed).transpose()?.map(|v| i64::from(u32::from_be_bytes(v))))
            }
            Values::Bigint(b) => b.append_option(raw.map(fixed).transpose()?.map(i64::from_be_bytes)),
            Values::Real(b) => b.append_option(raw.map(fixed).transpose()?.map(f32::from_be_bytes)),
            Values::Double(b) if wire == Wire::Numeric => b.append_option(raw.map(numeric).transpose()?),
            Values::Double(b) => b.append_option(raw.map(fixed).transpose()?.map(f64::from_be_bytes)),
            Values::Timestamp(b) => b.append_option(raw.map(fixed).transpose()?.map(|v| since_1970(i64::from_be_bytes(v)))),
            Values::Text(b) => match raw {
                None => b.append_null(),
                Some(raw) => push_text(b, wire, raw)?,
            },
        }
        Ok(())
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Values::Boolean(b) => Arc::new(b.finish()),
            Values::Smallint(b) => Arc::new(b.finish()),
            Values::Integer(b) => Arc::new(b.finish()),
            Values::Bigint(b) => Arc::new(b.finish()),
            Values::Real(b) => Arc::new(b.finish()),
            Values::Double(b) => Arc::new(b.finish()),
            Values::Text(b) => Arc::new(b.finish()),
            Values::Timestamp(b) => Arc::new(b.finish()),
        }
    }
}

fn fixed<const N: usize>(raw: &[u8]) -> Result<[u8; N], Problem> {
    raw.try_into().map_err(|_| SHORT)
}

fn push_text(builder: &mut StringBuilder, wire: Wire, raw: &[u8]) -> Result<(), Problem> {
    let utf8 = |raw| std::str::from_utf8(raw).map_err(|_| "a text that is not UTF-8: set the client_encoding to UTF8");
    match wire {
        Wire::Jsonb => builder.append_value(utf8(raw.get(1..).ok_or(SHORT)?)?),
        Wire::Date => builder.append_value(date(i32::from_be_bytes(fixed(raw)?))),
        Wire::Time => builder.append_value(time_of_day(i64::from_be_bytes(fixed(raw)?))),
        Wire::Uuid => builder.append_value(uuid(fixed(raw)?)),
        Wire::Bytea => builder.append_value(hex(raw)),
        _ => builder.append_value(utf8(raw)?),
    }
    Ok(())
}

pub(super) const MICROS_1970_TO_2000: i64 = 946_684_800_000_000;
const DAYS_1970_TO_2000: i64 = 10_957;

/// PostgreSQL counts microseconds from 2000, Arrow from 1970; the two infinities stay the two ends of `i64`.
fn since_1970(micros_2000: i64) -> i64 {
    match micros_2000 {
        i64::MAX | i64::MIN => micros_2000,
        _ => micros_2000.saturating_add(MICROS_1970_TO_2000),
    }
}

fn date(days_2000: i32) -> String {
    match days_2000 {
        i32::MAX => "infinity".into(),
        i32::MIN => "-infinity".into(),
        _ => day_text(i64::from(days_2000) + DAYS_1970_TO_2000),
    }
}

/// `yyyy-mm-dd` of a day counted from 1970-01-01 in the proleptic Gregorian calendar, years before 1 as `yyyy-mm-dd BC`.
///
/// From Howard Hinnant, "chrono-compatible low-level date algorithms" (civil_from_days).
fn day_text(days_1970: i64) -> String {
    let shifted = days_1970 + 719_468; // days from 0000-03-01
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    match year {
        1.. => format!("{year:04}-{month:02}-{day:02}"),
        _ => format!("{:04}-{month:02}-{day:02} BC", 1 - year),
    }
}

fn time_of_day(micros: i64) -> String {
    let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
    let mut text = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    if fraction != 0 {
        let digits = format!("{fraction:06}");
        text.push('.');
        text.push_str(digits.trim_end_matches('0'));
    }
    text
}

fn hex(raw: &[u8]) -> String {
    raw.iter().fold(String::with_capacity(2 * raw.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // writing to a String cannot fail
        text
    })
}

fn uuid(raw: [u8; 16]) -> String {
    let digits = hex(&raw);
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

/// PostgreSQL's numeric: digit count, weight of the first digit, sign, printed scale, then base-10,000 digits.
///
/// The decimal text goes through Rust's parser, so that the double is the nearest one, as PostgreSQL's own cast gives.
fn numeric(raw: &[u8]) -> Result<f64, Problem> {
    let mut words = raw.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    let mut word = || words.next().ok_or(SHORT);
    let (count, weight, sign, _scale) = (word()?, word()? as i16, word()?, word()?);
    match sign {
        0xC000 => return Ok(f64::NAN),
        0xD000 => return Ok(f64::INFINITY),
        0xF000 => return Ok(f64::NEG_INFINITY),
        _ => {}
    }
    let mut text = String::from(if sign == 0x4000 { "-0" } else { "0" });
    for _ in 0..count {
        let _ = write!(text, "{:04}", word()?); // writing to a String cannot fail
    }
    let _ = write!(text, "e{}", 4 * (i32::from(weight) + 1 - i32::from(count)));
    text.parse().map_err(|_| "a numeric value that does not parse")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_named_as_in_the_calendar() {
        for (day, text) in [
            (0, "1970-01-01"),
            (-1, "1969-12-31"),
            (10_957, "2000-01-01"),
            (11_016, "2000-02-29"),
            (-719_162, "0001-01-01"),
            (-719_163, "0001-12-31 BC"),
        ] {
            assert_eq!(day_text(day), text);
        }
    }
}
