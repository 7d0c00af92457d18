//! Builds the missing indices of loaded tables, several sessions side by side, the dearest first.
//!
//! Index builds dominate a large load (`bench load`): PostgreSQL builds one index per statement, so the way to use
//! more than one core is more than one session, each without parallel workers of its own; a scan that two sessions
//! make at the same time is read once (synchronised scans).

use super::{Error, Event, Progress};
use crate::db::{self, Connection};
use crate::schema::{DataType, IndexKey, Table, ddl};

/// One statement to run.
#[derive(Debug, Clone)]
pub struct Build {
    pub name: String,
    pub sql: String,
    table: String,
    cost: u32,
}

/// The statements that make the indices which the table lacks, the dearest first.
pub async fn missing(connection: &Connection, table: &Table) -> Result<Vec<Build>, Error> {
    let rows =
        connection.query(include_str!("../../sql/ingest/index_names.sql"), &[&table.schema, &table.name]).await.map_err(db::Error::from)?;
    let there: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    let mut builds: Vec<Build> = all(table).into_iter().filter(|b| !there.contains(&b.name)).collect();
    builds.sort_by_key(|b| std::cmp::Reverse(b.cost));
    Ok(builds)
}

/// Does the table lack its Q3C index?
pub async fn missing_q3c(connection: &Connection, table: &Table) -> Result<bool, Error> {
    let q3c = table.indexes.iter().find(|i| matches!(i.key, IndexKey::Q3c { .. }));
    let missing = missing(connection, table).await?;
    Ok(q3c.is_none_or(|q3c| missing.iter().any(|b| b.name == q3c.name)))
}

/// Every index of the table, the primary key among them.
pub fn all(table: &Table) -> Vec<Build> {
    let key = ddl::primary_key(table).map(|sql| Build {
        name: ddl::primary_key_name(table),
        sql,
        table: table.full_name(),
        cost: cost(table, &table.key) + 1,
    });
    let index = |index: &crate::schema::Index| Build {
        name: index.name.clone(),
        sql: ddl::create_index(table, index),
        table: table.full_name(),
        cost: match &index.key {
            IndexKey::Columns(names) => cost(table, names),
            IndexKey::Q3c { .. } => 3,
        },
    };
    key.into_iter().chain(table.indexes.iter().map(index)).collect()
}

/// Relative cost of a build: text sorts dearest.
fn cost(table: &Table, columns: &[String]) -> u32 {
    columns.iter().filter_map(|name| table.column(name)).map(|c| if c.datatype == DataType::Text { 4 } else { 2 }).sum()
}

/// Lets the server look whether its client is alive while a statement runs.
pub const NOTICE_DEATH: &str = "SET client_connection_check_interval = '500ms'";

/// Waits until no session of a loader that was killed builds indices of the table.
///
/// Each build holds a shared lock; the server notices within [`NOTICE_DEATH`] that its client is gone.
pub async fn await_orphans(connection: &Connection, table: &Table) -> Result<(), Error> {
    let held = format!("index of {}", table.full_name());
    super::lock(connection, &held).await?;
    Ok(super::ledger::unlock(connection, &held).await?)
}

/// Runs the builds in `sessions` sessions, in their order; the first error ends all.
pub async fn run(connection: &Connection, builds: Vec<Build>, sessions: usize, progress: &Progress) -> Result<(), Error> {
    let total = builds.len();
    let pool = db::pool::pool(connection.another().await?, sessions.clamp(1, total.max(1)) as u32).await?;
    let mut tasks = tokio::task::JoinSet::new();
    for build in builds {
        // wait for a build to end rather than in the pool, which gives up after a while
        if tasks.len() >= sessions.max(1) {
            joined(tasks.join_next().await)?;
        }
        let session = pool.get_owned().await.map_err(|e| no_session(&build, &e))?;
        let progress = progress.clone();
        tasks.spawn(async move {
            // parallel workers inside one build would take the cores from the other session
            session.batch_execute("SET max_parallel_maintenance_workers = 0").await.map_err(db::Error::from)?;
            drop(session.batch_execute(NOTICE_DEATH).await);
            let held = format!("index of {}", build.table);
            session.query_one(include_str!("../../sql/ingest/lock_shared.sql"), &[&held]).await.map_err(db::Error::from)?;
            session.batch_execute(&build.sql).await.map_err(|e| Error::Index { name: build.name.clone(), source: e.into() })?;
            progress.tell(Event::Indexed { name: build.name, total });
            Ok::<(), Error>(())
        });
    }
    while !tasks.is_empty() {
        joined(tasks.join_next().await)?;
    }
    Ok(())
}

/// A server that is there gives a session at once: it has gone, or takes no more.
fn no_session(build: &Build, error: &impl std::fmt::Display) -> Error {
    Error::Index { name: build.name.clone(), source: db::Error::Lost { why: format!("no session to be had: {error}") } }
}

fn joined(done: Option<Result<Result<(), Error>, tokio::task::JoinError>>) -> Result<(), Error> {
    done.map_or(Ok(()), |done| done.map_err(|e| Error::Task(e.to_string()))?)
}
