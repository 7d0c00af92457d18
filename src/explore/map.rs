//! HEALPix aggregate maps: a count or a mean per cell, as rows and as a picture.
//!
//! Memory grows with the number of cells that have a value, not with the number of rows.

use super::Error;
use super::sql::{self, TableName};
use crate::db;
use crate::plot::map::{Caption, Healpix, Scale, Scheme};
use crate::schema::{Column, DataType, Rows, Table};
use arrow::array::{Array, ArrayRef, AsArray, Float64Array, RecordBatch};
use arrow::datatypes::{Field, Float64Type, Int64Type, Schema};
use futures_util::{StreamExt, TryStreamExt};
use std::sync::Arc;

/// What stands in a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Count,
    /// The mean of an SQL expression.
    Mean(String),
}

impl std::str::FromStr for Value {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        match text.split_once(':') {
            None if text == "count" => Ok(Value::Count),
            Some(("mean", expression)) if !expression.trim().is_empty() => Ok(Value::Mean(expression.trim().to_owned())),
            _ => Err(Error::Text {
                text: text.into(),
                wanted: "the value of a map",
                examples: "count, mean:f475w_vega, or mean:\"f475w_vega - f814w_vega\"",
            }),
        }
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Value::Count => f.write_str("count"),
            Value::Mean(expression) => write!(f, "mean of {expression}"),
        }
    }
}

/// The two HEALPix columns of a catalogue: the cell numbers that are stored and indexed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// `pix4096`, NESTED, cells of 0.86 arcmin.
    Fine,
    /// `pix256`, RING, cells of 13.7 arcmin.
    Coarse,
}

impl Resolution {
    pub fn of_nside(nside: u32) -> Option<Resolution> {
        [Resolution::Fine, Resolution::Coarse].into_iter().find(|resolution| resolution.healpix().nside == nside)
    }

    pub fn column(self) -> &'static str {
        match self {
            Resolution::Fine => "pix4096",
            Resolution::Coarse => "pix256",
        }
    }

    pub fn healpix(self) -> Healpix {
        match self {
            Resolution::Fine => Healpix { nside: 4096, scheme: Scheme::Nested },
            Resolution::Coarse => Healpix { nside: 256, scheme: Scheme::Ring },
        }
    }
}

/// An aggregate map over a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Map {
    pub table: TableName,
    pub resolution: Resolution,
    pub value: Value,
    /// The user's own condition.
    pub condition: Option<String>,
}

impl Map {
    /// The statement that [`Map::ask`] runs.
    pub fn sql(&self) -> Result<String, Error> {
        let condition = self.condition.as_deref().unwrap_or("true");
        refuse_semicolon(condition, "--where")?;
        let pix = db::ident(self.resolution.column());
        let table = self.table.quoted();
        let mut parts = vec![("pix", &*pix), ("table", &*table), ("where", condition)];
        match &self.value {
            Value::Count => Ok(sql::fill(include_str!("../../sql/explore/count_map.sql"), &parts)),
            Value::Mean(expression) => {
                refuse_semicolon(expression, "--value mean")?;
                parts.push(("expression", expression));
                Ok(sql::fill(include_str!("../../sql/explore/mean_map.sql"), &parts))
            }
        }
    }

    /// One row per cell: its number, the ra and dec of its centre, the count, and the mean if that is asked for.
    pub async fn ask(&self, client: &tokio_postgres::Client) -> Result<Rows, Error> {
        let statement = self.sql()?;
        super::read_only(client).await?;
        let Rows { mut columns, batches } = db::query(client, &statement, &[]).await?;
        let centre = |name: &str, ucd: &str| Column {
            unit: "deg".into(),
            ucd: ucd.into(),
            description: "Centre of the HEALPix cell".into(),
            ..Column::new(name, DataType::Double)
        };
        columns.splice(1..1, [centre("ra", "pos.eq.ra"), centre("dec", "pos.eq.dec")]);
        let healpix = self.resolution.healpix();
        Ok(Rows { columns, batches: batches.map(move |batch| Ok(with_centres(&batch?, healpix)?)).boxed() })
    }

    /// The picture of the cells that [`Map::ask`] gave.
    pub fn draw(&self, cells: &[RecordBatch]) -> Result<Vec<u8>, Error> {
        let values: Vec<(u64, f64)> = cells.iter().map(|batch| self.values(batch)).collect::<Result<Vec<_>, Error>>()?.concat();
        let healpix = self.resolution.healpix();
        let size_arcmin = healpix.cell_size_rad().to_degrees() * 60.0;
        let condition = self.condition.as_ref().map(|text| format!("  ·  {}", shorten(text, 60))).unwrap_or_default();
        let caption = Caption {
            title: shorten(&format!("{} per HEALPix cell, {}", self.value, self.table), 64),
            subtitle: format!("{} cells of {size_arcmin:.2} arcmin (NSIDE {}){condition}", values.len(), healpix.nside),
            value: shorten(&self.value.to_string(), 60),
            scale: if self.value == Value::Count { Scale::Log } else { Scale::Linear },
        };
        Ok(crate::plot::map(&values, healpix, &caption)?)
    }

    /// (cell, value) of each row that has a value.
    fn values(&self, batch: &RecordBatch) -> Result<Vec<(u64, f64)>, Error> {
        let pix = integers(batch, 0, self.resolution.column())?;
        let values: Vec<Option<f64>> = match self.value {
            Value::Count => integers(batch, 3, "count")?.into_iter().map(|count| count.map(|n| n as f64)).collect(),
            Value::Mean(_) => {
                let mean = batch.column(4).as_primitive_opt::<Float64Type>();
                mean.ok_or_else(|| Error::Arrow { column: "mean", arrow: batch.column(4).data_type().to_string() })?.iter().collect()
            }
        };
        let pair = |(pix, value): (Option<i64>, Option<f64>)| Some((u64::try_from(pix?).ok()?, value?));
        Ok(pix.into_iter().zip(values).filter_map(pair).collect())
    }
}

/// All rows of an answer, which is small.
pub async fn collect(rows: &mut Rows) -> Result<Vec<RecordBatch>, Error> {
    rows.batches.by_ref().try_collect().await.map_err(Error::Rows)
}

/// Columns of the expression that have a sentinel and that the condition does not mention.
pub fn sentinel_columns<'a>(table: &'a Table, expression: &str, condition: &str) -> Vec<&'a Column> {
    let names = |text: &str, name: &str| text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word.eq_ignore_ascii_case(name));
    let forgotten = |column: &&Column| column.sentinel.is_some() && names(expression, &column.name) && !names(condition, &column.name);
    table.columns.iter().filter(forgotten).collect()
}

fn refuse_semicolon(text: &str, what: &'static str) -> Result<(), Error> {
    if text.contains(';') { Err(Error::Semicolon { what }) } else { Ok(()) }
}

fn shorten(text: &str, longest: usize) -> String {
    match text.chars().count() > longest {
        true => text.chars().take(longest - 1).chain(['…']).collect(),
        false => text.to_owned(),
    }
}

fn integers(batch: &RecordBatch, index: usize, column: &'static str) -> Result<Vec<Option<i64>>, Error> {
    let wide = arrow::compute::cast(batch.column(index), &arrow::datatypes::DataType::Int64)?;
    let values = wide.as_primitive_opt::<Int64Type>();
    Ok(values.ok_or_else(|| Error::Arrow { column, arrow: wide.data_type().to_string() })?.iter().collect())
}

/// The batch with the centres of its cells as second and third column.
fn with_centres(batch: &RecordBatch, healpix: Healpix) -> Result<RecordBatch, Error> {
    let centre = |pix: Option<i64>| healpix.centre_deg(u64::try_from(pix?).ok()?);
    let centres: Vec<Option<(f64, f64)>> = integers(batch, 0, "pix")?.into_iter().map(centre).collect();
    let ra: ArrayRef = Arc::new(centres.iter().map(|c| c.map(|c| c.0)).collect::<Float64Array>());
    let dec: ArrayRef = Arc::new(centres.iter().map(|c| c.map(|c| c.1)).collect::<Float64Array>());
    let mut fields: Vec<Field> = batch.schema_ref().fields().iter().map(|field| field.as_ref().clone()).collect();
    fields.splice(1..1, ["ra", "dec"].map(|name| Field::new(name, arrow::datatypes::DataType::Float64, true)));
    let mut arrays = batch.columns().to_vec();
    arrays.splice(1..1, [ra, dec]);
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
}
