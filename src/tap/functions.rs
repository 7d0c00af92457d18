//! The SQL functions that translated queries call, in the PostgreSQL schema `adql`.

use super::Error;
use crate::db::{self, Connection};

/// Makes or replaces them. Two services that start at once take turns.
pub async fn create(connection: &Connection) -> Result<(), Error> {
    for sql in [include_str!("../../sql/adql/geometry.sql")] {
        let turn = include_str!("../../sql/tap/lock_publication.sql");
        connection.batch_execute(&format!("begin; {turn}; {sql}; commit")).await.map_err(db::Error::from)?;
    }
    Ok(())
}
