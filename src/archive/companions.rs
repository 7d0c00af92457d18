//! Images of the same place through other filters: what a colour picture is made of.

use super::{Entry, Error};
use crate::db::Connection;

/// The images through `filter` that may show a position beside `entry`, of the same collection: those of the same brick and field first,
/// then those with pixels most alike. A few at most; whether one really shows the position is told by its WCS.
pub async fn through(connection: &Connection, entry: &Entry, filter: &str, [ra_deg, dec_deg]: [f64; 2]) -> Result<Vec<Entry>, Error> {
    let sql = include_str!("../../sql/archive/companions.sql");
    let rows = connection.query(sql, &[&entry.name, &filter, &ra_deg, &dec_deg]).await?;
    Ok(rows.iter().map(Entry::of).collect())
}

/// The filters through which there are images of a position beside `entry`, by name.
pub async fn filters(connection: &Connection, entry: &Entry, [ra_deg, dec_deg]: [f64; 2]) -> Result<Vec<String>, Error> {
    let rows = connection.query(include_str!("../../sql/archive/filters.sql"), &[&entry.name, &ra_deg, &dec_deg]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}
