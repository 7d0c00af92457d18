//! One file: read, check, sort, and COPY into its tables in one transaction.
//!
//! Reading and sorting go first, because the first row on disk may be the last of the file; then encoding runs on a
//! thread of its own while the chunks before are being sent, so that the server is never waited for by anything but
//! itself. One connection is enough: two into one table gave no gain on 2 cores (measured, `bench load`).

use super::chunk::{Chunk, Pool};
use super::coverage::{Coverage, ranges};
use super::designation::{Designation, random_id};
use super::encode::{self, COPY_HEADER, COPY_TRAILER, Context};
use super::files::Task;
use super::hash;
use super::ledger::{self, Entry, Line};
use super::manifest::{Manifest, RowsOf};
use super::met::{Met, Writing, Written};
use super::plan::{self, Plan};
use super::sort::{Key, Sorted, Sorter};
use super::spool::Spool;
use super::{Error, Event, FileReport, Options, Outcome, Progress, index as indices};
use crate::db::feed::{Feed, Reading};
use crate::db::{self, Connection};
use crate::format::open::Source;
use crate::schema::{Table, ddl};
use crate::sky::{index, q3c};
use bytes::Bytes;
use futures_util::SinkExt;
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Instant, SystemTime};
use tokio::sync::mpsc;

/// Bytes of a COPY chunk: small enough that it is still in the core's cache when the client library and then the
/// kernel copy it, below malloc's mmap threshold.
const CHUNK_BYTES: usize = 96 << 10;
/// Chunks between encoder and connection.
const CHUNKS: usize = 8;
/// Rows between two words to the progress bar.
const TELL_ROWS: u64 = 4096;
/// Bytes of rows read at a time.
const READ_BYTES: usize = 512 << 10;

/// What a file is on disk.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Stamp {
    bytes: i64,
    mtime_ns: i64,
}

/// A loader that has work to do on this file.
struct Work {
    manifest: Manifest,
    duplicates: Option<Table>,
    /// Ledger lines whose rows this file replaces.
    replaces: Vec<Line>,
}

/// Loads a file with all its loaders; one report per loader. `met` is what this command has loaded already.
pub async fn load_file(
    connection: &Connection,
    task: Task,
    options: &Options,
    met: &mut Met,
    progress: &Progress,
) -> Result<Vec<FileReport>, Error> {
    let started = Instant::now();
    let stamp = stamp(&task.path)?;
    let (mut reports, mut works, mut hash) = (Vec::new(), Vec::new(), None);
    for (manifest, duplicates) in &task.loaders {
        match decide(connection, &task, manifest, stamp, &mut hash, options).await? {
            Decision::Skip(why) => reports.push(report(&task, manifest, Outcome::Skipped(why))),
            Decision::Load(replaces) => works.push(Work { manifest: manifest.clone(), duplicates: duplicates.clone(), replaces }),
        }
    }
    if works.is_empty() {
        return Ok(reports);
    }
    let prepared = tokio::task::spawn_blocking({
        let (task, options, progress) = (task.clone(), options.clone(), progress.clone());
        let manifests: Vec<Manifest> = works.iter().map(|w| w.manifest.clone()).collect();
        let hash = hash.is_none();
        move || prepare(&task, &manifests, &options, hash, &progress)
    });
    let mut prepared = prepared.await.map_err(|e| Error::Task(e.to_string()))??;
    let hash = hash.or_else(|| prepared.sorted.as_mut()?.hash.take());
    // else the rows go first: the hash is wanted when they are in, and takes the core that the server leaves
    let path = task.path.clone();
    let hashing = tokio::task::spawn_blocking(move || hash.map_or_else(|| sha256(&path), Ok));
    let file = Loading { task: &task, stamp, started, hashing };
    match transact(connection, file, &works, prepared, met, progress).await {
        Ok(more) => reports.extend(more),
        Err(error) => {
            // the connection may be gone: then the server has rolled back by itself
            drop(connection.batch_execute("ROLLBACK").await);
            return Err(error);
        }
    }
    Ok(reports)
}

/// What is known of the file under way.
struct Loading<'a> {
    task: &'a Task,
    stamp: Stamp,
    started: Instant,
    hashing: tokio::task::JoinHandle<Result<String, Error>>,
}

enum Decision {
    Skip(String),
    Load(Vec<Line>),
}

/// Is the file in already, changed, or in the way of another?
///
/// The file is hashed, once, only where a file of its size was loaded before.
async fn decide(
    connection: &Connection,
    task: &Task,
    manifest: &Manifest,
    stamp: Stamp,
    hash: &mut Option<String>,
    options: &Options,
) -> Result<Decision, Error> {
    let table = manifest.table.full_name();
    let lines = ledger::lines(connection, &table).await?;
    let path = task.path.display().to_string();
    let scope = scope_text(manifest, task);
    let mut replaces = Vec::new();
    let known = lines.iter().find(|l| l.path == path);
    if known.is_some_and(|l| l.bytes == stamp.bytes && l.mtime_ns == stamp.mtime_ns) {
        return Ok(Decision::Skip("loaded before".into()));
    }
    for line in lines.iter().filter(|l| l.bytes == stamp.bytes) {
        let hash = match hash {
            Some(hash) => hash,
            None => hash.insert(sha256(&task.path)?),
        };
        if *hash == line.sha256 && line.path == path {
            ledger::touch(connection, line, stamp.mtime_ns).await?;
            return Ok(Decision::Skip("loaded before (same bytes)".into()));
        }
        if *hash == line.sha256 {
            return Ok(Decision::Skip(format!("the same bytes were loaded from {}", line.path)));
        }
    }
    if let Some(line) = known {
        if !options.replace {
            let sha256 = line.sha256.chars().take(12).collect();
            return Err(Error::Changed { path: task.path.clone(), table, then: line.bytes, sha256 });
        }
        replaces.push(line.clone());
    }
    if !scope.is_empty() {
        for line in lines.iter().filter(|l| l.path != path && l.scope == scope) {
            if !options.replace {
                if !task.named {
                    return Ok(Decision::Skip(format!("{scope} was loaded from {}", line.path)));
                }
                return Err(Error::Taken { path: task.path.clone(), table, scope, from: line.path.clone() });
            }
            replaces.push(line.clone());
        }
    }
    if !replaces.is_empty() && manifest.replace.is_empty() && lines.len() > replaces.len() {
        return Err(Error::NotReplaceable { path: task.path.clone(), table, loader: manifest.name.clone() });
    }
    Ok(Decision::Load(replaces))
}

/// `brick=1, field=18`, as far as the file name tells.
fn scope_text(manifest: &Manifest, task: &Task) -> String {
    let value = |name: &String| task.captures.get(manifest.columns.get(name)?.capture.as_ref()?).map(|v| format!("{name}={v}"));
    manifest.replace.iter().filter_map(value).collect::<Vec<_>>().join(", ")
}

fn stamp(path: &Path) -> Result<Stamp, Error> {
    let meta = std::fs::metadata(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    let since = meta.modified().ok().and_then(|t| t.duration_since(SystemTime::UNIX_EPOCH).ok()).unwrap_or_default();
    Ok(Stamp { bytes: meta.len() as i64, mtime_ns: since.as_nanos() as i64 })
}

fn changed(path: &Path) -> Error {
    let source = std::io::Error::other("the file changed while it was read; run the same command again when it is whole");
    Error::Io { path: path.to_owned(), source }
}

fn sha256(path: &Path) -> Result<String, Error> {
    let hash = std::fs::File::open(path).and_then(|file| hash::sha256(&file));
    hash.map_err(|source| Error::Io { path: path.to_owned(), source })
}

fn report(task: &Task, manifest: &Manifest, outcome: Outcome) -> FileReport {
    FileReport {
        path: task.path.display().to_string(),
        table: manifest.table.full_name(),
        loader: manifest.name.clone(),
        outcome,
        rows_read: 0,
        rows_loaded: 0,
        rows_rejected: 0,
        rows_duplicate: 0,
        seconds: 0.0,
        unused_columns: Vec::new(),
    }
}

/// A file that was read, sorted and bound to its loaders.
struct Prepared {
    plans: Vec<Plan>,
    /// `None` where no loader wants the rows.
    sorted: Option<Sorted>,
    rows_read: u64,
    /// Rows whose position cannot be: row number from 1, reason.
    rejects: Vec<(u64, String)>,
    /// Cells of the file, where a table is keyed by the designation.
    cells: Vec<i32>,
    scratch_dir: std::path::PathBuf,
}

/// Opens and checks the file against all its loaders, then reads and sorts it.
fn prepare(task: &Task, manifests: &[Manifest], options: &Options, hash: bool, progress: &Progress) -> Result<Prepared, Error> {
    let first = &manifests[0];
    let mut source = Source::open(&task.path, &first.hdu, &options.scratch_dir)?;
    progress.tell(Event::Reading { file: task.path.display().to_string(), rows: source.rows });
    let (mut plans, mut faults, mut faulty) = (Vec::new(), Vec::new(), Vec::new());
    for manifest in manifests {
        if manifest.hdu != first.hdu {
            let faults = vec![format!(
                "loader {} reads HDU {}, loader {} HDU {}: load them one by one with --loader",
                first.name, first.hdu, manifest.name, manifest.hdu
            )];
            return Err(Error::Faults { path: task.path.clone(), loader: manifest.name.clone(), faults });
        }
        match plan::bind(manifest, &source, &task.path, &task.captures) {
            Ok(plan) => plans.push(plan),
            Err(found) => {
                faulty.push(manifest.name.clone());
                faults.extend(found);
            }
        }
    }
    if !faults.is_empty() {
        // loaders of one file share columns: the first mention of a fault is enough
        let mut seen = HashSet::new();
        faults.retain(|fault| seen.insert(fault.clone()));
        return Err(Error::Faults { path: task.path.clone(), loader: faulty.join(", "), faults });
    }
    let mut prepared =
        Prepared { plans, sorted: None, rows_read: 0, rejects: Vec::new(), cells: Vec::new(), scratch_dir: options.scratch_dir.clone() };
    if prepared.plans.iter().any(|p| p.position.is_some()) {
        read_and_sort(&mut source, &mut prepared, task, options, hash, progress)?;
    }
    Ok(prepared)
}

fn read_and_sort(
    source: &mut Source,
    prepared: &mut Prepared,
    task: &Task,
    options: &Options,
    hash: bool,
    progress: &Progress,
) -> Result<(), Error> {
    let positions: Vec<_> = prepared.plans.iter().filter_map(|p| p.position).collect();
    let (ra, dec) = positions[0];
    if positions.iter().any(|p| *p != positions[0]) {
        let faults = vec!["its loaders take different columns as the position: load them one by one with --loader".to_owned()];
        return Err(Error::Faults { path: task.path.clone(), loader: prepared.plans[0].manifest.name.clone(), faults });
    }
    let keyed = prepared.plans.iter().any(|p| p.keyed);
    let row_bytes = source.layout.row_bytes.max(1);
    let scratch = |source| Error::Scratch { path: task.path.clone(), dir: options.scratch_dir.clone(), source };
    let (limits, dir) = (options.limits, &options.scratch_dir);
    let mut sorter = match (source.take_flat(), source.rows) {
        (Some(flat), Some(rows)) => Sorter::of_flat(row_bytes, limits, dir, flat, rows, hash),
        _ => Sorter::new(row_bytes, limits, dir),
    };
    let mut coverage = Coverage::new();
    loop {
        let (buffer, room) = sorter.room().map_err(scratch)?;
        let rows = source.read((READ_BYTES / row_bytes).clamp(1, room), buffer)?;
        if rows == 0 {
            break;
        }
        let appended = sorter.appended();
        for at in appended - rows..appended {
            let number = prepared.rows_read;
            prepared.rows_read += 1;
            let row = sorter.row(at);
            let (ra, dec) = (ra.float(row), dec.float(row));
            if let Err(error) = index::valid(ra, dec) {
                prepared.rejects.push((number + 1, format!("position: {error}")));
                continue;
            }
            let designation = Designation::new(ra, dec);
            let (near_ra, near_dec) = designation.position_deg();
            let ipix = q3c::ang2ipix(near_ra, near_dec) as u64;
            if keyed {
                coverage.add(ipix, near_ra, near_dec);
            }
            sorter.key(Key { ipix, tie: designation.tie(), row: number }, at);
        }
        progress.tell(Event::Read { rows: rows as u64, fraction: source.fraction_read() });
    }
    prepared.sorted = Some(sorter.finish().map_err(scratch)?);
    prepared.cells = coverage.sorted();
    Ok(())
}

/// The transaction of a file.
async fn transact(
    connection: &Connection,
    file: Loading<'_>,
    works: &[Work],
    prepared: Prepared,
    met: &mut Met,
    progress: &Progress,
) -> Result<Vec<FileReport>, Error> {
    let Loading { task, stamp, started, hashing } = file;
    let (mut reports, mut loaded) = (Vec::new(), Vec::new());
    connection.batch_execute("BEGIN").await.map_err(db::Error::from)?;
    let prepared = Arc::new(prepared);
    for (which, (work, plan)) in works.iter().zip(&prepared.plans).enumerate() {
        let table = plan.manifest.table.full_name();
        for line in &work.replaces {
            met.forget(&table);
            remove_rows(connection, work, plan, line).await?;
        }
        let rows = if plan.position.is_some() { prepared.rows_read * plan.programs.len() as u64 } else { plan.programs.len() as u64 };
        progress.tell(Event::Copying { table: table.clone(), rows });
        let known = known_designations(connection, plan, &prepared, task, met).await?;
        let before = Before { is_new: begin_anew(connection, &plan.manifest.table).await?, known };
        let (counts, met_now) = copy_rows(connection, work, which, &prepared, task, before, progress).await?;
        if !work.replaces.is_empty() {
            promote_duplicates(connection, work, plan).await?;
        } else if let Some(written) = met_now {
            loaded.push((table, written));
        }
        reports.push(FileReport {
            rows_read: prepared.rows_read,
            rows_loaded: counts.loaded,
            rows_rejected: counts.rejected,
            rows_duplicate: counts.duplicate,
            seconds: started.elapsed().as_secs_f64(),
            unused_columns: plan.unused.clone(),
            ..report(task, &plan.manifest, if work.replaces.is_empty() { Outcome::Loaded } else { Outcome::Replaced })
        });
    }
    let sha256 = hashing.await.map_err(|e| Error::Task(e.to_string()))??;
    if self::stamp(&task.path)? != stamp {
        return Err(changed(&task.path));
    }
    for (report, plan) in reports.iter().zip(&prepared.plans) {
        ledger::insert(connection, &entry(report, plan, &prepared, stamp, &sha256, task)).await?;
    }
    connection.batch_execute("COMMIT").await.map_err(db::Error::from)?;
    for (table, written) in loaded {
        met.keep(&table, &task.path.display().to_string(), written);
    }
    Ok(reports)
}

fn entry(report: &FileReport, plan: &Plan, prepared: &Prepared, stamp: Stamp, sha256: &str, task: &Task) -> Entry {
    Entry {
        table: report.table.clone(),
        loader: report.loader.clone(),
        path: report.path.clone(),
        sha256: sha256.to_owned(),
        bytes: stamp.bytes,
        mtime_ns: stamp.mtime_ns,
        scope: scope_text(&plan.manifest, task),
        rows_read: report.rows_read as i64,
        rows_loaded: report.rows_loaded as i64,
        rows_rejected: report.rows_rejected as i64,
        rows_duplicate: report.rows_duplicate as i64,
        seconds: report.seconds,
        loader_version: plan.manifest.version.clone(),
        schema_version: ledger::short_hash(ddl::create_table(&plan.manifest.table).as_bytes()),
        cells: if plan.keyed { prepared.cells.clone() } else { Vec::new() },
    }
}

/// Deletes the rows that a ledger line stands for, and the line.
async fn remove_rows(connection: &Connection, work: &Work, plan: &Plan, line: &Line) -> Result<(), Error> {
    let table = &plan.manifest.table;
    // the rows lie where the line says, which need not be where the new file's go (--set brick=...)
    let scope: Vec<(&str, &str)> = line.scope.split(", ").filter_map(|term| term.split_once('=')).collect();
    let condition = scope_condition(&scope);
    let values: Vec<&str> = scope.iter().map(|(_, value)| *value).collect();
    let parameters: Vec<&(dyn postgres_types::ToSql + Sync)> = values.iter().map(|v| v as _).collect();
    connection.execute(&format!("DELETE FROM {}{condition}", ddl::qualified(table)), &parameters).await.map_err(db::Error::from)?;
    if let Some(duplicates) = &work.duplicates {
        let sql = format!("DELETE FROM {} WHERE file = $1", ddl::qualified(duplicates));
        connection.execute(&sql, &[&line.path]).await.map_err(db::Error::from)?;
    }
    Ok(ledger::forget(connection, &table.full_name(), line).await?)
}

/// ` WHERE brick::text = $1 AND ...`; all rows where the loader has no scope (then the file is the only one).
fn scope_condition(scope: &[(&str, &str)]) -> String {
    let terms: Vec<String> = scope.iter().enumerate().map(|(i, (name, _))| format!("{}::text = ${}", ddl::quote(name), i + 1)).collect();
    if terms.is_empty() { String::new() } else { format!(" WHERE {}", terms.join(" AND ")) }
}

/// After rows were replaced, a duplicate whose first row is gone takes its place: the one that was loaded first.
async fn promote_duplicates(connection: &Connection, work: &Work, plan: &Plan) -> Result<(), Error> {
    let (Some(duplicates), true) = (&work.duplicates, plan.keyed) else { return Ok(()) };
    let table = &plan.manifest.table;
    let columns = table.columns.iter().map(|c| ddl::quote(&c.name)).collect::<Vec<_>>().join(", ");
    let key = ddl::quote(&table.key[0]); // a keyed plan has one
    // the ledger's numbers follow the rows
    let sql = format!(
        "WITH first AS (SELECT DISTINCT ON (d.{key}) d.ctid AS place FROM {dup} d LEFT JOIN brickyard.ledger l ON l.path = d.file AND l.table_name = {name}
           WHERE NOT EXISTS (SELECT FROM {main} m WHERE m.{key} = d.{key}) ORDER BY d.{key}, l.id, d.row),
         moved AS (DELETE FROM {dup} d USING first WHERE d.ctid = first.place RETURNING d.*),
         kept AS (INSERT INTO {main} ({columns}) SELECT {columns} FROM moved)
         UPDATE brickyard.ledger l SET rows_loaded = l.rows_loaded + m.n, rows_duplicate = l.rows_duplicate - m.n
           FROM (SELECT file, count(*) AS n FROM moved GROUP BY file) m WHERE l.path = m.file AND l.table_name = {name}",
        dup = ddl::qualified(duplicates),
        main = ddl::qualified(table),
        name = ddl::literal(&table.full_name()),
    );
    Ok(connection.batch_execute(&sql).await.map_err(db::Error::from)?)
}

/// The name of the small index that finds known rows while a table has no other.
pub fn scan_index(table: &Table) -> String {
    format!("{}.{}", ddl::quote(&table.schema), ddl::quote(&format!("{}_loading_brin", table.name)))
}

/// The designations in the table that rows of this file may have too, sorted.
///
/// Only where earlier files touch the same cells of the sky are rows looked up: those of this command in what it keeps of
/// them, others by the Q3C index or, before that is built, by a BRIN index on the same expression (a megabyte, read page
/// by page in sky order).
async fn known_designations(connection: &Connection, plan: &Plan, prepared: &Prepared, task: &Task, met: &Met) -> Result<Vec<u64>, Error> {
    let table = &plan.manifest.table;
    let (true, Some((ra, dec))) = (plan.keyed, &table.position) else { return Ok(Vec::new()) };
    let full_name = table.full_name();
    let scratch = |source| Error::Scratch { path: task.path.clone(), dir: prepared.scratch_dir.clone(), source };
    let mut known = met.within(&full_name, &prepared.cells).map_err(scratch)?;
    let earlier: HashSet<i32> = ledger::cells(connection, &full_name, &met.paths(&full_name)).await?;
    let shared: Vec<i32> = prepared.cells.iter().copied().filter(|c| earlier.contains(c)).collect();
    if shared.is_empty() {
        known.sort_unstable();
        return Ok(known);
    }
    let (ra, dec, name) = (ddl::quote(ra), ddl::quote(dec), ddl::qualified(table));
    if indices::missing_q3c(connection, table).await? {
        let sql = format!(
            "CREATE INDEX IF NOT EXISTS {} ON {name} USING brin (q3c_ang2ipix({ra}, {dec})) WITH (pages_per_range = 32); SELECT brin_summarize_new_values('{}'::regclass)",
            ddl::quote(&format!("{}_loading_brin", table.name)),
            scan_index(table)
        );
        connection.batch_execute(&sql).await.map_err(db::Error::from)?;
    }
    // some ranges at a time, so that the planner sees index conditions and not a long list
    for ranges in ranges(&shared).chunks(32) {
        let terms: Vec<String> =
            ranges.iter().map(|(low, high)| format!("q3c_ang2ipix({ra}, {dec}) >= {low} AND q3c_ang2ipix({ra}, {dec}) < {high}")).collect();
        let sql = format!("SELECT {ra}, {dec} FROM {name} WHERE {}", terms.join(" OR "));
        let none: [&(dyn postgres_types::ToSql + Sync); 0] = [];
        let rows = connection.query_raw(&sql, none).await.map_err(db::Error::from)?;
        let mut rows = std::pin::pin!(rows);
        while let Some(row) = futures_util::TryStreamExt::try_next(&mut rows).await.map_err(db::Error::from)? {
            known.push(Designation::new(row.get(0), row.get(1)).tie());
        }
    }
    known.sort_unstable();
    Ok(known)
}

#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    loaded: u64,
    rejected: u64,
    duplicate: u64,
}

/// What the encoder hands back when it is through.
struct Encoded {
    counts: Counts,
    /// The designations of the rows, where the table is keyed by them.
    met: Option<Writing>,
    duplicates: Spool,
    rejects: Spool,
}

/// Empties an empty table once more, so that its rows belong to a file made in this transaction: they need no WAL and are
/// frozen as they come, and what reads them first (index building, statistics) need not mark them. False if the table has
/// rows, or somebody looks at it.
async fn begin_anew(connection: &Connection, table: &Table) -> Result<bool, Error> {
    let name = ddl::qualified(table);
    let size = connection.query_one(include_str!("../../sql/ingest/table_bytes.sql"), &[&name]).await.map_err(db::Error::from)?;
    if size.get::<_, i64>(0) > 0 {
        return Ok(false);
    }
    // pages go to disk as they come, not all at the end, where COMMIT would wait for them
    let truncate = format!(
        "SAVEPOINT begin_anew; SET LOCAL lock_timeout = '1s'; TRUNCATE {name}; SET LOCAL lock_timeout TO DEFAULT; \
         SET LOCAL backend_flush_after = '2MB'; RELEASE begin_anew"
    );
    if connection.batch_execute(&truncate).await.is_ok() {
        return Ok(true);
    }
    // a reader holds it, or it is not ours to truncate
    connection.batch_execute("ROLLBACK TO begin_anew; RELEASE begin_anew").await.map_err(db::Error::from)?;
    Ok(false)
}

/// What a table is before a file's rows come.
struct Before {
    /// Its own file was made in this transaction.
    is_new: bool,
    /// Designations that it has already.
    known: Vec<u64>,
}

/// COPYs the rows of one table, then what was set aside.
async fn copy_rows(
    connection: &Connection,
    work: &Work,
    which: usize,
    prepared: &Arc<Prepared>,
    task: &Task,
    before: Before,
    progress: &Progress,
) -> Result<(Counts, Option<Written>), Error> {
    let table = &prepared.plans[which].manifest.table;
    let failed = |e| Error::Copy { path: task.path.clone(), table: table.full_name(), source: Box::new(e) };
    let path = task.path.display().to_string();
    let keeps_duplicates = work.duplicates.is_some();
    let encoder = Encoder { prepared: prepared.clone(), which, path, known: before.known, keeps_duplicates, progress: progress.clone() };
    let (outlet, inlet) = ways(connection);
    let encoding = tokio::task::spawn_blocking(move || encoder.run(outlet));
    let (encoded, copied) = tokio::join!(encoding, inlet.copy(connection, table, before.is_new));
    // the server's refusal comes first: the encoder only saw that nobody took its chunks
    let stored = copied.map_err(failed)?;
    let mut encoded = encoded.map_err(|e| Error::Task(e.to_string()))?.map_err(|source| match source.kind() {
        std::io::ErrorKind::UnexpectedEof => changed(&task.path),
        _ => Error::Scratch { path: task.path.clone(), dir: prepared.scratch_dir.clone(), source },
    })?;
    if stored != encoded.counts.loaded {
        let text =
            format!("{}: {} rows were sent to {} and {stored} arrived", task.path.display(), encoded.counts.loaded, table.full_name());
        return Err(Error::Task(text));
    }
    if let Some(duplicates) = &work.duplicates {
        copy_spool(connection, &copy_sql(duplicates, "STDIN", false), &mut encoded.duplicates, task, &duplicates.full_name()).await?;
    }
    let rejects = include_str!("../../sql/ingest/copy_reject.sql");
    copy_spool(connection, rejects, &mut encoded.rejects, task, "brickyard.reject").await?;
    let scratch = |source| Error::Scratch { path: task.path.clone(), dir: prepared.scratch_dir.clone(), source };
    let met = encoded.met.map(Writing::finish).transpose().map_err(scratch)?;
    Ok((encoded.counts, met))
}

fn copy_sql(table: &Table, source: &str, freeze: bool) -> String {
    let columns: Vec<String> = table.columns.iter().map(|c| ddl::quote(&c.name)).collect();
    format!("COPY {} ({}) FROM {source} (FORMAT binary, FREEZE {freeze})", ddl::qualified(table), columns.join(", "))
}

/// The server's end of the way that rows go.
enum Inlet {
    /// Through the session, as messages.
    Session(mpsc::Receiver<Bytes>),
    /// Through a pipe, which the embedded server reads like a file: no copies in the client library, none through the
    /// server's message buffer.
    Pipe(String, Reading),
}

/// Both ends of the best way to this server.
fn ways(connection: &Connection) -> (Outlet, Inlet) {
    // where no pipe can be made, or its name is no text, there is still the session
    if let Some((feed, reading)) = connection.feeds().and_then(|feeds| feeds.make().ok())
        && let Some(path) = feed.path().to_str().map(str::to_owned)
    {
        return (Outlet::Pipe(feed), Inlet::Pipe(path, reading));
    }
    let (sender, receiver) = mpsc::channel(CHUNKS);
    (Outlet::Session(sender), Inlet::Session(receiver))
}

impl Inlet {
    /// COPYs what comes into the table; the rows that the server counted.
    async fn copy(self, connection: &Connection, table: &Table, freeze: bool) -> Result<u64, db::Error> {
        match self {
            Inlet::Session(receiver) => copy(connection, &copy_sql(table, "STDIN", freeze), receiver).await,
            Inlet::Pipe(path, _reading) => Ok(connection.execute(&copy_sql(table, &ddl::literal(&path), freeze), &[]).await?),
        }
    }
}

/// Sends chunks until the channel closes; the rows that the server counted.
async fn copy(connection: &Connection, sql: &str, mut chunks: mpsc::Receiver<Bytes>) -> Result<u64, db::Error> {
    let sink = connection.copy_in::<_, Bytes>(sql).await?;
    let mut sink = std::pin::pin!(sink);
    while let Some(chunk) = chunks.recv().await {
        if let Err(error) = sink.send(chunk).await {
            // the server has ended the COPY: it says why when the stream is finished
            chunks.close();
            return Err(sink.finish().await.err().unwrap_or(error).into());
        }
    }
    Ok(sink.finish().await?)
}

async fn copy_spool(connection: &Connection, sql: &str, spool: &mut Spool, task: &Task, table: &str) -> Result<(), Error> {
    if spool.rows == 0 {
        return Ok(());
    }
    let io = |source| Error::Io { path: task.path.clone(), source };
    spool.rewind().map_err(io)?;
    let (sender, receiver) = mpsc::channel(CHUNKS);
    let feed = async {
        drop(sender.send(Bytes::from_static(COPY_HEADER)).await);
        loop {
            let piece = spool.read().map_err(io)?;
            let end = piece.is_empty();
            let piece = if end { Bytes::from_static(COPY_TRAILER) } else { Bytes::from(piece) };
            // a closed channel means that the COPY failed, which it reports itself
            if sender.send(piece).await.is_err() || end {
                drop(sender);
                return Ok::<(), Error>(());
            }
        }
    };
    let (fed, copied) = tokio::join!(feed, copy(connection, sql, receiver));
    copied.map_err(|e| Error::Copy { path: task.path.clone(), table: table.to_owned(), source: Box::new(e) })?;
    fed
}

/// The encoder's end of the way that rows go.
enum Outlet {
    Session(mpsc::Sender<Bytes>),
    Pipe(Feed),
}

/// Where encoded rows gather and go.
struct Out {
    outlet: Outlet,
    pool: Pool,
    chunk: Chunk,
}

impl Out {
    /// Sends the chunk and begins another if it has no room for `room` bytes; false when the COPY is over, which
    /// then reports why.
    fn make_room(&mut self, room: usize) -> std::io::Result<bool> {
        if self.chunk.room() >= room { Ok(true) } else { self.send() }
    }

    fn send(&mut self) -> std::io::Result<bool> {
        let full = self.pool.send(std::mem::replace(&mut self.chunk, self.pool.chunk()));
        match &mut self.outlet {
            Outlet::Session(sender) => Ok(sender.blocking_send(full).is_ok()),
            Outlet::Pipe(feed) => feed.give(full),
        }
    }

    /// Sends the end of the rows.
    fn finish(mut self) -> std::io::Result<()> {
        if self.make_room(COPY_TRAILER.len())? {
            self.chunk.put(COPY_TRAILER);
            self.send()?;
        }
        match self.outlet {
            Outlet::Session(_) => Ok(()),
            Outlet::Pipe(feed) => feed.finish(),
        }
    }
}

/// Turns the sorted rows into COPY chunks.
struct Encoder {
    prepared: Arc<Prepared>,
    /// The plan to follow.
    which: usize,
    path: String,
    known: Vec<u64>,
    /// Is there a table for rows whose objid was met before? Else they are rejects.
    keeps_duplicates: bool,
    progress: Progress,
}

impl Encoder {
    fn plan(&self) -> &Plan {
        &self.prepared.plans[self.which]
    }

    fn run(self, outlet: Outlet) -> std::io::Result<Encoded> {
        let table = &self.plan().manifest.table;
        let dir = &self.prepared.scratch_dir;
        let met = self.plan().keyed.then(|| Writing::new(dir)).transpose()?;
        let mut encoded = Encoded { counts: Counts::default(), met, duplicates: Spool::new(dir), rejects: Spool::new(dir) };
        let pool = Pool::new(CHUNK_BYTES.max(4 * self.row_room()));
        let mut out = Out { outlet, chunk: pool.chunk(), pool };
        out.chunk.put(COPY_HEADER);
        if self.plan().manifest.rows == RowsOf::Blocks {
            self.blocks(&mut out, &mut encoded)?;
        } else {
            for (row, reason) in &self.prepared.rejects {
                encoded.counts.rejected += 1;
                encoded.rejects.push(&reject_row(&table.full_name(), &self.path, *row, reason))?;
            }
            self.rows(&mut out, &mut encoded)?;
        }
        out.finish()?;
        Ok(encoded)
    }

    /// The most bytes of one row, with what a duplicate has more.
    fn row_room(&self) -> usize {
        let widest = self.plan().programs.iter().map(|p| encode::widest(p)).max().unwrap_or(0);
        widest + self.path.len() + 64
    }

    /// One row per block of the file.
    fn blocks(&self, out: &mut Out, encoded: &mut Encoded) -> std::io::Result<()> {
        let room = self.row_room();
        for program in &self.plan().programs {
            if !out.make_room(room)? {
                return Ok(());
            }
            let context = Context { row: &[], ids: Default::default(), random_id: 0.0, objid: &[] };
            out.chunk.put(&(self.plan().manifest.table.columns.len() as u16).to_be_bytes());
            // block rows are constants, which cannot fail
            if encode::run(program, &context, &mut out.chunk).is_ok() {
                encoded.counts.loaded += 1;
            }
        }
        Ok(())
    }

    fn rows(&self, out: &mut Out, encoded: &mut Encoded) -> std::io::Result<()> {
        let (Some(sorted), Some((ra, dec))) = (&self.prepared.sorted, self.plan().position) else { return Ok(()) };
        let (columns, table) = (&self.plan().manifest.table.columns, self.plan().manifest.table.full_name());
        let field_count = (columns.len() as u16).to_be_bytes();
        let with_origin = (columns.len() as u16 + 2).to_be_bytes();
        let room = self.row_room();
        let plan = self.plan();
        let needs_ids = plan.programs.iter().flatten().any(|op| matches!(op, encode::Op::Sky(_)));
        let mut reader = sorted.reader()?;
        let mut objid = Vec::with_capacity(encode::MAX_OBJID);
        let mut indexer = index::Indexer::default();
        let (mut last_kept, mut told) = (None, 0);
        while let Some((key, row)) = reader.next()? {
            let (ra_deg, dec_deg) = (ra.float(row), dec.float(row));
            if index::valid(ra_deg, dec_deg).is_err() {
                return Err(std::io::ErrorKind::UnexpectedEof.into()); // it was valid when it was sorted: the file has changed
            }
            let ids = if needs_ids { indexer.ids(ra_deg, dec_deg) } else { Default::default() };
            objid.clear();
            objid.extend_from_slice(&[0; 4]);
            Designation::of_tie(key.tie).write(&plan.prefix, &mut objid);
            let length = (objid.len() as u32 - 4).to_be_bytes();
            objid[..4].copy_from_slice(&length);
            let context = Context { row, ids, random_id: random_id(key.tie), objid: &objid };
            let met_before = plan.keyed && (last_kept == Some(key.tie) || self.known.binary_search(&key.tie).is_ok());
            for program in &plan.programs {
                if !out.make_room(room)? {
                    return Ok(());
                }
                let chunk = &mut out.chunk;
                let start = chunk.len();
                chunk.put(if met_before { &with_origin } else { &field_count });
                if let Err(fault) = encode::run(program, &context, chunk) {
                    chunk.truncate(start);
                    encoded.counts.rejected += 1;
                    let reason = fault.describe(columns);
                    encoded.rejects.push(&reject_row(&table, &self.path, key.row + 1, &reason))?;
                } else if met_before && !self.keeps_duplicates {
                    chunk.truncate(start);
                    encoded.counts.rejected += 1;
                    let reason = format!("{} was loaded before", String::from_utf8_lossy(&objid[4..]));
                    encoded.rejects.push(&reject_row(&table, &self.path, key.row + 1, &reason))?;
                } else if met_before {
                    chunk.field(self.path.as_bytes());
                    chunk.field(&(key.row as i64 + 1).to_be_bytes());
                    encoded.counts.duplicate += 1;
                    encoded.duplicates.push(chunk.since(start))?;
                    chunk.truncate(start);
                } else {
                    if let Some(met) = &mut encoded.met
                        && last_kept != Some(key.tie)
                    {
                        met.push(key.ipix, key.tie)?;
                    }
                    last_kept = Some(key.tie);
                    encoded.counts.loaded += 1;
                }
            }
            if encoded.counts.loaded - told >= TELL_ROWS {
                self.progress.tell(Event::Copied { rows: encoded.counts.loaded - told });
                told = encoded.counts.loaded;
            }
        }
        self.progress.tell(Event::Copied { rows: encoded.counts.loaded - told });
        Ok(())
    }
}

/// A row of brickyard.reject.
fn reject_row(table: &str, path: &str, row: u64, reason: &str) -> Vec<u8> {
    let mut out = 4u16.to_be_bytes().to_vec();
    for value in [table.as_bytes(), path.as_bytes(), &(row as i64).to_be_bytes(), reason.as_bytes()] {
        out.extend_from_slice(&(value.len() as u32).to_be_bytes());
        out.extend_from_slice(value);
    }
    out
}
