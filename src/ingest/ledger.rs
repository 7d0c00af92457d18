//! The loader's books in the database: what was loaded from which file, what was rejected, and who is loading.

use crate::db::{Connection, Error as DbError};
use postgres_types::ToSql;
use std::collections::HashSet;

/// A line of the ledger, as far as the next load needs it.
#[derive(Debug, Clone)]
pub struct Line {
    pub id: i64,
    pub path: String,
    pub sha256: String,
    pub bytes: i64,
    pub mtime_ns: i64,
    pub scope: String,
}

/// What is written when a file has been loaded into a table.
#[derive(Debug, Clone)]
pub struct Entry {
    pub table: String,
    pub loader: String,
    pub path: String,
    pub sha256: String,
    pub bytes: i64,
    pub mtime_ns: i64,
    pub scope: String,
    pub rows_read: i64,
    pub rows_loaded: i64,
    pub rows_rejected: i64,
    pub rows_duplicate: i64,
    pub seconds: f64,
    pub loader_version: String,
    pub schema_version: String,
    pub cells: Vec<i32>,
}

/// The first 12 hexadecimal digits of the SHA-256.
pub fn short_hash(bytes: &[u8]) -> String {
    use sha2::Digest;
    hex(&sha2::Sha256::digest(bytes)[..6])
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Makes the books where they are missing.
pub async fn create(connection: &Connection) -> Result<(), DbError> {
    for sql in [
        include_str!("../../sql/ingest/create_schema.sql"),
        include_str!("../../sql/ingest/create_ledger.sql"),
        include_str!("../../sql/ingest/create_reject.sql"),
    ] {
        connection.batch_execute(sql).await?;
    }
    Ok(())
}

pub async fn lines(connection: &Connection, table: &str) -> Result<Vec<Line>, DbError> {
    let rows = connection.query(include_str!("../../sql/ingest/ledger_of_table.sql"), &[&table]).await?;
    let line = |row: &tokio_postgres::Row| Line {
        id: row.get(0),
        path: row.get(1),
        sha256: row.get(2),
        bytes: row.get(3),
        mtime_ns: row.get(4),
        scope: row.get(5),
    };
    Ok(rows.iter().map(line).collect())
}

/// The sky cells that files loaded before touch, but for those of some paths.
pub async fn cells(connection: &Connection, table: &str, but: &[String]) -> Result<HashSet<i32>, DbError> {
    let rows = connection.query(include_str!("../../sql/ingest/ledger_cells.sql"), &[&table, &but]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

pub async fn insert(connection: &Connection, entry: &Entry) -> Result<(), DbError> {
    let version = env!("CARGO_PKG_VERSION");
    let parameters: [&(dyn ToSql + Sync); 16] = [
        &entry.table,
        &entry.loader,
        &entry.path,
        &entry.sha256,
        &entry.bytes,
        &entry.mtime_ns,
        &entry.scope,
        &entry.rows_read,
        &entry.rows_loaded,
        &entry.rows_rejected,
        &entry.rows_duplicate,
        &entry.seconds,
        &version,
        &entry.loader_version,
        &entry.schema_version,
        &entry.cells,
    ];
    connection.execute(include_str!("../../sql/ingest/ledger_insert.sql"), &parameters).await?;
    Ok(())
}

/// Forgets a line and its rejects, within the transaction that replaces its rows.
pub async fn forget(connection: &Connection, table: &str, line: &Line) -> Result<(), DbError> {
    connection.execute(include_str!("../../sql/ingest/ledger_delete.sql"), &[&line.id]).await?;
    connection.execute(include_str!("../../sql/ingest/reject_delete.sql"), &[&table, &line.path]).await?;
    Ok(())
}

pub async fn touch(connection: &Connection, line: &Line, mtime_ns: i64) -> Result<(), DbError> {
    connection.execute(include_str!("../../sql/ingest/ledger_touch.sql"), &[&line.id, &mtime_ns]).await?;
    Ok(())
}

/// Takes the loading lock of a table for this session; the error text tells who holds it.
///
/// A loader that was killed holds its lock until the server notices, so a refusal counts only after a while.
pub async fn lock(connection: &Connection, table: &str) -> Result<Result<(), String>, DbError> {
    const TRIES: u32 = 30;
    for _ in 0..TRIES {
        let row = connection.query_one(include_str!("../../sql/ingest/lock.sql"), &[&table]).await?;
        if row.get(0) {
            return Ok(Ok(()));
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let holder = connection.query_opt(include_str!("../../sql/ingest/lock_holder.sql"), &[&table]).await?;
    Ok(Err(holder.map_or_else(String::new, |row| {
        let (pid, since): (i32, String) = (row.get(0), row.get(1));
        format!("database session {pid}, since {since}")
    })))
}

/// Gives the lock of [`lock`] back.
pub async fn unlock(connection: &Connection, table: &str) -> Result<(), DbError> {
    connection.execute(include_str!("../../sql/ingest/unlock.sql"), &[&table]).await?;
    Ok(())
}
