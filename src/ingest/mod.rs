//! Files to tables: the loaders' main job.
//!
//! [`load`] takes files and manifests and makes, for each file, one transaction: open and check ([`plan`]), read and
//! sort by sky position ([`sort`]), encode ([`encode`]) and COPY ([`job`]), set aside what cannot be stored or was
//! there before, write the ledger, commit. When all files are in, the missing indices are built ([`index`]) and the
//! tables analysed. A file is either wholly in the database, with its ledger line, or not at all; the same command
//! again goes on where the last one was interrupted.
//!
//! Memory: at most 540 MiB for sorting ([`sort`]) and a few COPY chunks, whatever the size of the file; plus 8 bytes for
//! each row of earlier files that lies where the new file may hold the same objects. On the scratch disk 8 bytes for each
//! row of a keyed table, until the command ends ([`met`]).

pub mod chunk;
pub mod coverage;
pub mod designation;
pub mod encode;
pub mod files;
pub mod gather;
pub mod hash;
pub mod index;
pub mod job;
pub mod ledger;
pub mod manifest;
pub mod met;
pub mod plan;
pub mod sort;
pub mod spool;
pub mod transform;

use crate::db::{self, Connection};
use crate::schema::{Table, ddl};
use files::Task;
use manifest::Manifest;
use std::path::PathBuf;
use std::sync::Arc;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Db(#[from] db::Error),
    #[error(transparent)]
    Manifest(#[from] manifest::Error),
    #[error(transparent)]
    Open(#[from] crate::format::open::Error),
    #[error(transparent)]
    Files(#[from] files::Error),
    #[error("{}: {} fault{} against loader {loader}; nothing was loaded from it:\n  {}", path.display(), faults.len(), if faults.len() == 1 { "" } else { "s" }, faults.join("\n  "))]
    Faults { path: PathBuf, loader: String, faults: Vec<String> },
    #[error("{} has changed since it was loaded into {table} (then {then} bytes, SHA-256 {sha256}...); give --replace to load it anew in place of its old rows", path.display())]
    Changed { path: PathBuf, table: String, then: i64, sha256: String },
    #[error("{}: {scope} of {table} was loaded from {from}; give --replace to load this file in its place", path.display())]
    Taken { path: PathBuf, table: String, scope: String, from: String },
    #[error("{}: cannot be replaced in {table}: loader {loader} does not say which rows are a file's (replace = [...])", path.display())]
    NotReplaceable { path: PathBuf, table: String, loader: String },
    #[error("another load is writing {table} ({holder}); wait until it has finished, then run this command again")]
    Busy { table: String, holder: String },
    #[error("table {table} in the database is not what its schema file says:\n  {}\nRun `brickyard schema diff` for details, and rename or drop the table", differences.join("\n  "))]
    OtherTable { table: String, differences: Vec<String> },
    #[error("{}: sorting in {}: {source}{}", path.display(), dir.display(), if source.kind() == std::io::ErrorKind::StorageFull { "; free some space or give another --data-dir" } else { "" })]
    Scratch { path: PathBuf, dir: PathBuf, source: std::io::Error },
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{}: loading into {table}: {source}", path.display())]
    Copy { path: PathBuf, table: String, source: Box<db::Error> },
    #[error("building index {name}: {source}")]
    Index { name: String, source: db::Error },
    #[error("a loader task failed: {0}")]
    Task(String),
}

/// What happens during a load, for progress bars and lines.
#[derive(Debug, Clone)]
pub enum Event {
    /// A file is being read and sorted.
    Reading {
        file: String,
        rows: Option<u64>,
    },
    /// So many more of its rows were read.
    Read {
        rows: u64,
        fraction: f64,
    },
    /// Its rows are going into a table.
    Copying {
        table: String,
        rows: u64,
    },
    /// So many more rows were sent.
    Copied {
        rows: u64,
    },
    /// The file is in, or was left out.
    File(FileReport),
    /// Indices are being built.
    Indexing {
        total: usize,
    },
    Indexed {
        name: String,
        total: usize,
    },
    Analyzing {
        table: String,
    },
    Clustering {
        table: String,
    },
}

/// Where events go.
#[derive(Clone)]
pub struct Progress(Arc<dyn Fn(Event) + Send + Sync>);

impl Progress {
    pub fn new(tell: impl Fn(Event) + Send + Sync + 'static) -> Progress {
        Progress(Arc::new(tell))
    }

    pub fn silent() -> Progress {
        Progress(Arc::new(|_| ()))
    }

    pub fn tell(&self, event: Event) {
        (self.0)(event);
    }
}

/// When secondary indices are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Indexing {
    /// Build the missing ones when all files are in.
    Build,
    /// Leave them and the planner's statistics to a later load.
    None,
}

#[derive(Debug, Clone)]
pub struct Options {
    /// Put changed files, and other files of the same scope, in place of what was loaded.
    pub replace: bool,
    /// Rewrite the tables in sky order at the end.
    pub recluster: bool,
    pub indexing: Indexing,
    /// Sessions that build indices side by side.
    pub index_sessions: usize,
    /// For sorted runs and inflated files.
    pub scratch_dir: PathBuf,
    /// [`sort::Limits::here`] but in tests.
    pub limits: sort::Limits,
}

/// What became of one file in one table.
#[derive(Debug, Clone, serde::Serialize)]
pub struct FileReport {
    pub path: String,
    pub table: String,
    pub loader: String,
    pub outcome: Outcome,
    pub rows_read: u64,
    pub rows_loaded: u64,
    pub rows_rejected: u64,
    pub rows_duplicate: u64,
    pub seconds: f64,
    /// Columns of the file that the loader does not use.
    pub unused_columns: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case", tag = "what", content = "why")]
pub enum Outcome {
    Loaded,
    /// It took the place of rows that were there.
    Replaced,
    /// It was in already.
    Skipped(String),
}

/// The closing report.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Report {
    pub files: Vec<FileReport>,
    pub indexes_built: Vec<String>,
    pub load_seconds: f64,
    pub index_seconds: f64,
    /// CPU time of this process, user and system.
    pub cpu_seconds: f64,
    /// The most memory that this process held.
    pub peak_memory_bytes: u64,
}

/// Loads the tasks one after another, then builds what indices are missing and analyses the tables.
pub async fn load(connection: &Connection, tasks: Vec<Task>, options: &Options, progress: &Progress) -> Result<Report, Error> {
    let started = std::time::Instant::now();
    let mut report = Report::default();
    // a loader that is killed in a long statement shall not leave it running; a server that cannot tell refuses the setting
    drop(connection.batch_execute(index::NOTICE_DEATH).await);
    let tables = prepare(connection, &tasks).await?;
    let mut met = met::Met::default();
    // an error ends the session with its command, and the locks with it
    for task in tasks {
        let reports = job::load_file(connection, task, options, &mut met, progress).await?;
        for file in reports {
            progress.tell(Event::File(file.clone()));
            report.files.push(file);
        }
    }
    report.load_seconds = started.elapsed().as_secs_f64();
    let started = std::time::Instant::now();
    finish(connection, &tables, options, progress, &mut report).await?;
    for table in &tables {
        ledger::unlock(connection, &table.full_name()).await?;
    }
    report.index_seconds = started.elapsed().as_secs_f64();
    let usage = db::usage::own();
    (report.cpu_seconds, report.peak_memory_bytes) = (usage.cpu_s, usage.peak_bytes);
    Ok(report)
}

/// Makes books, schemas and tables where they are missing, and takes the loading locks; the tables concerned.
async fn prepare(connection: &Connection, tasks: &[Task]) -> Result<Vec<Table>, Error> {
    let mut tables: Vec<Table> = Vec::new();
    for (manifest, duplicates) in tasks.iter().flat_map(|t| &t.loaders) {
        for table in std::iter::once(&manifest.table).chain(duplicates) {
            if !tables.iter().any(|t| t.full_name() == table.full_name()) {
                tables.push(table.clone());
            }
        }
    }
    // in the order of names, so that two loads cannot each hold what the other waits for
    tables.sort_by_key(Table::full_name);
    // two first loads at once would both try to create the schema: one lock for all of it
    lock(connection, "brickyard").await?;
    let made = make_tables(connection, &tables).await;
    if made.is_err() {
        // the batch that failed may have left its transaction open
        drop(connection.batch_execute("ROLLBACK").await);
    }
    ledger::unlock(connection, "brickyard").await?;
    made?;
    for table in &tables {
        lock(connection, &table.full_name()).await?;
    }
    Ok(tables)
}

async fn lock(connection: &Connection, table: &str) -> Result<(), Error> {
    ledger::lock(connection, table).await?.map_err(|holder| Error::Busy { table: table.to_owned(), holder })
}

async fn make_tables(connection: &Connection, tables: &[Table]) -> Result<(), Error> {
    ledger::create(connection).await?;
    connection.batch_execute(ddl::TBL_STAT).await.map_err(db::Error::from)?;
    for table in tables {
        make_table(connection, table).await?;
    }
    Ok(())
}

/// Creates the table without indices, or checks that the one there has the columns of the schema file.
async fn make_table(connection: &Connection, table: &Table) -> Result<(), Error> {
    let live = connection
        .query(include_str!("../../sql/schema/live_columns.sql"), &[&table.schema, &table.name])
        .await
        .map_err(db::Error::from)?;
    if live.is_empty() {
        let sql = format!("BEGIN;\n{}\n{}\n{}\nCOMMIT", ddl::create_schema(&table.schema), ddl::create_table(table), ddl::comments(table));
        connection.batch_execute(&sql).await.map_err(db::Error::from)?;
        return Ok(db::connect::publish(connection, &table.schema).await?);
    }
    let live: Vec<String> = live.iter().map(|row| format!("{} {}", row.get::<_, String>(0), row.get::<_, String>(1))).collect();
    let wanted: Vec<String> =
        table.columns.iter().map(|c| format!("{} {}", c.name, ddl::column_type(c))).map(|c| c.replace(" NOT NULL", "")).collect();
    let mut differences: Vec<String> = Vec::new();
    for i in 0..live.len().max(wanted.len()) {
        match (live.get(i), wanted.get(i)) {
            (Some(l), Some(w)) if same_column(l, w) => {}
            (l, w) => differences.push(format!(
                "column {}: there is {}, wanted {}",
                i + 1,
                l.map_or("none", String::as_str),
                w.map_or("none", String::as_str)
            )),
        }
    }
    if differences.is_empty() { Ok(()) } else { Err(Error::OtherTable { table: table.full_name(), differences }) }
}

/// `format_type` writes `timestamp without time zone` where the schema says `timestamp`.
fn same_column(live: &str, wanted: &str) -> bool {
    live.replace(" without time zone", "") == wanted
}

/// Indices, clustering, statistics.
async fn finish(
    connection: &Connection,
    tables: &[Table],
    options: &Options,
    progress: &Progress,
    report: &mut Report,
) -> Result<(), Error> {
    let changed = |t: &&Table| report.files.iter().any(|f| f.table == t.full_name() && !matches!(f.outcome, Outcome::Skipped(_)));
    let changed: Vec<Table> = tables.iter().filter(changed).cloned().collect();
    if options.indexing == Indexing::Build {
        let mut builds = Vec::new();
        for table in tables {
            index::await_orphans(connection, table).await?;
            builds.extend(index::missing(connection, table).await?);
        }
        if !builds.is_empty() {
            progress.tell(Event::Indexing { total: builds.len() });
            report.indexes_built = builds.iter().map(|b| b.name.clone()).collect();
            index::run(connection, builds, options.index_sessions, progress).await?;
        }
        for table in tables {
            connection.batch_execute(&format!("DROP INDEX IF EXISTS {}", job::scan_index(table))).await.map_err(db::Error::from)?;
        }
    }
    let unanalyzed = |t: &Table| changed.contains(t) || t.indexes.iter().any(|i| report.indexes_built.contains(&i.name));
    for table in tables {
        if options.recluster {
            recluster(connection, table, progress).await?;
        }
        let analyze = options.indexing == Indexing::Build && (unanalyzed(table) || lacks_statistics(connection, table).await?);
        if options.recluster || analyze {
            progress.tell(Event::Analyzing { table: table.full_name() });
            connection.batch_execute(&format!("ANALYZE {}", ddl::qualified(table))).await.map_err(db::Error::from)?;
        }
    }
    Ok(())
}

async fn lacks_statistics(connection: &Connection, table: &Table) -> Result<bool, Error> {
    let sql = include_str!("../../sql/ingest/lacks_statistics.sql");
    Ok(connection.query_one(sql, &[&table.schema, &table.name]).await.map_err(db::Error::from)?.get(0))
}

/// Rewrites a table in the order of its Q3C index.
async fn recluster(connection: &Connection, table: &Table, progress: &Progress) -> Result<(), Error> {
    let q3c = table.indexes.iter().find(|i| matches!(i.key, crate::schema::IndexKey::Q3c { .. }));
    let Some(index) = q3c else { return Ok(()) };
    progress.tell(Event::Clustering { table: table.full_name() });
    let sql = format!("CLUSTER {} USING {}", ddl::qualified(table), ddl::quote(&index.name));
    Ok(connection.batch_execute(&sql).await.map_err(db::Error::from)?)
}

/// The loaders of a task: each manifest with the table that takes its duplicates, if it has one.
pub type Loaders = Vec<(Manifest, Option<Table>)>;
