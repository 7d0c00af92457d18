//! Questions to a loaded catalogue: cones, HEALPix maps, light curves.
//!
//! Each question is a plain struct with a function that asks it and gives [`Rows`](crate::schema::Rows); what the user
//! typed is read by [`position`]. All of them only read: [`read_only`] first makes the session refuse anything else.

pub mod cone;
pub mod lightcurve;
pub mod map;
pub mod position;
mod sql;

pub use cone::Cone;
pub use lightcurve::{Lightcurve, Star};
pub use map::Map;
pub use sql::{TableName, enrich};

use crate::{db, plot, sky};

/// What can go wrong with a question.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read {text:?} as {wanted}: write {examples}")]
    Text { text: String, wanted: &'static str, examples: &'static str },
    #[error(transparent)]
    Sky(#[from] sky::Error),
    #[error(transparent)]
    Query(#[from] db::query::Error),
    #[error(transparent)]
    Server(#[from] db::Error),
    #[error(transparent)]
    Plot(#[from] plot::Error),
    #[error("{what} holds a semicolon: give one SQL expression")]
    Semicolon { what: &'static str },
    #[error("a light curve is of one star: the radius {radius_arcsec} arcsec is more than {limit_arcsec}")]
    Crowd { radius_arcsec: f64, limit_arcsec: f64 },
    #[error("the period must be a positive number of days, not {period_d}")]
    Period { period_d: f64 },
    /// The rows broke off on their way.
    #[error("{0}")]
    Rows(crate::schema::rows::RowsError),
    #[error("column `{column}` of the answer has the Arrow type {arrow}, not the one it is read as")]
    Arrow { column: &'static str, arrow: String },
    #[error("cannot put the rows together")]
    Batch(#[from] arrow::error::ArrowError),
}

/// Lets the session only read from now on: it opens a transaction that ends with the session.
pub async fn read_only(client: &tokio_postgres::Client) -> Result<(), Error> {
    Ok(client.batch_execute(include_str!("../../sql/explore/read_only.sql")).await.map_err(db::Error::from)?)
}
