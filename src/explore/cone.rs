//! Rows of a table within a radius of a position.

use super::Error;
use super::sql::{self, TableName};
use crate::db;
use crate::schema::Rows;

/// A circle on the sky and what is wanted from it.
#[derive(Debug, Clone, PartialEq)]
pub struct Cone {
    pub table: TableName,
    /// The columns with right ascension and declination in degrees, which the Q3C index is on.
    pub position: (String, String),
    /// Empty for all.
    pub columns: Vec<String>,
    pub ra_deg: f64,
    pub dec_deg: f64,
    pub radius_deg: f64,
}

impl Cone {
    /// The statement that [`Cone::ask`] runs.
    pub fn sql(&self) -> Result<String, Error> {
        let names: Vec<String> = self.columns.iter().map(|name| db::ident(name)).collect();
        let columns = if names.is_empty() { "*".to_owned() } else { names.join(", ") };
        let (ra, dec) = &self.position;
        let inside = sql::inside_circle(ra, dec, self.ra_deg, self.dec_deg, self.radius_deg)?;
        let parts = [("columns", &*columns), ("table", &self.table.quoted()), ("inside", &inside)];
        Ok(sql::fill(include_str!("../../sql/explore/cone.sql"), &parts))
    }

    /// The rows, in no order.
    pub async fn ask(&self, client: &tokio_postgres::Client) -> Result<Rows, Error> {
        super::read_only(client).await?;
        Ok(db::query(client, &self.sql()?, &[]).await?)
    }
}
