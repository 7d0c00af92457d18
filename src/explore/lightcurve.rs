//! Sparse light curves: all single-epoch magnitudes of a star, in all filters.

use super::Error;
use super::map::collect;
use super::sql::{self, TableName};
use crate::db;
use crate::plot::lightcurve::{Caption, Measurement};
use crate::schema::Rows;
use arrow::array::{AsArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Float64Type};

/// Which star.
#[derive(Debug, Clone, PartialEq)]
pub enum Star {
    Objid(String),
    Near { ra_deg: f64, dec_deg: f64, radius_deg: f64 },
}

/// A wider circle holds thousands of stars, whose measurements make no light curve.
const WIDEST_ARCSEC: f64 = 30.0;

impl std::fmt::Display for Star {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Star::Objid(objid) => f.write_str(objid),
            Star::Near { ra_deg, dec_deg, radius_deg } => write!(f, "{} arcsec around {ra_deg:.6}, {dec_deg:+.6}", arcsec(*radius_deg)),
        }
    }
}

/// Arcseconds without the last digits that the way over degrees left.
fn arcsec(radius_deg: f64) -> f64 {
    (radius_deg * 3600.0 * 1e6).round() / 1e6
}

/// A star, its table of measurements, and the period to fold by.
#[derive(Debug, Clone, PartialEq)]
pub struct Lightcurve {
    pub table: TableName,
    pub star: Star,
    pub period_d: Option<f64>,
}

/// The answer: small enough to be held, as it is both printed and drawn.
pub struct Answer {
    pub columns: Vec<crate::schema::Column>,
    pub batches: Vec<RecordBatch>,
    /// The different objects among the measurements.
    pub objids: Vec<String>,
    pub measurements: Vec<Measurement>,
}

impl Lightcurve {
    /// Asks for the measurements that have a magnitude, by filter and time.
    pub async fn ask(&self, client: &tokio_postgres::Client) -> Result<Answer, Error> {
        let template = include_str!("../../sql/explore/lightcurve.sql");
        let (phase, table) = (self.phase_column()?, self.table.quoted());
        let fill = |star: &str| sql::fill(template, &[("phase", &phase), ("table", &table), ("star", star)]);
        super::read_only(client).await?;
        let mut rows = match &self.star {
            Star::Objid(objid) => db::query(client, &fill("objid = $1"), &[objid]).await?,
            Star::Near { ra_deg, dec_deg, radius_deg } => {
                refuse_crowd(*radius_deg)?;
                db::query(client, &fill(&sql::inside_circle("ra", "dec", *ra_deg, *dec_deg, *radius_deg)?), &[]).await?
            }
        };
        let batches = collect(&mut rows).await?;
        let mut objids = batches.iter().map(|batch| texts(batch, "objid")).collect::<Result<Vec<_>, _>>()?.concat();
        objids.sort_unstable();
        objids.dedup();
        let measurements = batches.iter().map(measurements).collect::<Result<Vec<_>, _>>()?.concat();
        Ok(Answer { columns: rows.columns, batches, objids, measurements })
    }

    fn phase_column(&self) -> Result<String, Error> {
        match self.period_d {
            None => Ok(String::new()),
            Some(period_d) if period_d > 0.0 && period_d.is_finite() => {
                let cycles = format!("mjd / {period_d:?}::float8");
                Ok(format!(" {cycles} - floor({cycles}) AS phase,"))
            }
            Some(period_d) => Err(Error::Period { period_d }),
        }
    }

    /// The picture of an answer.
    pub fn draw(&self, answer: &Answer) -> Result<Vec<u8>, Error> {
        let title = match answer.objids.as_slice() {
            [objid] => objid.clone(),
            [] | [_, ..] => self.star.to_string(),
        };
        let objects = if answer.objids.len() > 1 { format!(" of {} objects", answer.objids.len()) } else { String::new() };
        let subtitle = format!("{} measurements{objects} in {}", answer.measurements.len(), self.table);
        Ok(crate::plot::lightcurve(&answer.measurements, &Caption { title, subtitle, period_d: self.period_d })?)
    }
}

impl Answer {
    /// The rows again, as a stream for the writers.
    pub fn into_rows(self) -> Rows {
        let batches = futures_util::stream::iter(self.batches.into_iter().map(Ok));
        Rows { columns: self.columns, batches: Box::pin(batches) }
    }
}

fn refuse_crowd(radius_deg: f64) -> Result<(), Error> {
    match arcsec(radius_deg) {
        radius_arcsec if radius_arcsec > WIDEST_ARCSEC => Err(Error::Crowd { radius_arcsec, limit_arcsec: WIDEST_ARCSEC }),
        _ => Ok(()),
    }
}

fn measurements(batch: &RecordBatch) -> Result<Vec<Measurement>, Error> {
    let (filters, mjds) = (texts(batch, "filter")?, doubles(batch, "mjd")?);
    let (magnitudes, errors) = (doubles(batch, "magvega")?, doubles(batch, "magerr")?);
    let numbers = mjds.into_iter().zip(magnitudes).zip(errors);
    let measurement =
        |(filter, ((mjd_d, magnitude), error_mag)): (String, ((f64, f64), f64))| Measurement { filter, mjd_d, magnitude, error_mag };
    Ok(filters.into_iter().zip(numbers).map(measurement).collect())
}

fn column(batch: &RecordBatch, name: &'static str, arrow: &DataType) -> Result<arrow::array::ArrayRef, Error> {
    let found = batch.column_by_name(name).ok_or_else(|| Error::Arrow { column: name, arrow: "none".into() })?;
    Ok(arrow::compute::cast(found, arrow)?)
}

/// NULL becomes an empty text.
fn texts(batch: &RecordBatch, name: &'static str) -> Result<Vec<String>, Error> {
    let array = column(batch, name, &DataType::Utf8)?;
    let array: &StringArray = array.as_string();
    Ok(array.iter().map(|text| text.unwrap_or_default().to_owned()).collect())
}

/// NULL becomes NaN, which is not drawn.
fn doubles(batch: &RecordBatch, name: &'static str) -> Result<Vec<f64>, Error> {
    let array = column(batch, name, &DataType::Float64)?;
    Ok(array.as_primitive::<Float64Type>().iter().map(|value| value.unwrap_or(f64::NAN)).collect())
}
