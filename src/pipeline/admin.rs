//! What people ask and do: status, tree, jobs, retry, hold, tokens, garbage. Straight to the database, with an audit line each.

use super::queue::Queue;
use super::{Error, master, protocol};
use crate::db::Connection;
use crate::store::Store;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// A line of the status table.
#[derive(Debug, Clone, Serialize)]
pub struct TaskLine {
    pub task: String,
    pub held: bool,
    pub jobs: i64,
    pub blocked: i64,
    pub ready: i64,
    pub running: i64,
    pub retry_wait: i64,
    pub done: i64,
    pub failed: i64,
    pub cancelled: i64,
    pub skipped: i64,
    /// Attempts lost in the last hour.
    pub lost: i64,
    /// Seconds of the latest done attempts: median, 95 % and mean.
    pub p50_s: Option<f64>,
    pub p95_s: Option<f64>,
    pub mean_s: Option<f64>,
    /// What the done jobs cost, in the unit of the workers' prices: their number times the mean of the latest; `None` without prices.
    pub cost: Option<f64>,
}

impl TaskLine {
    /// Jobs that have not ended.
    pub fn left(&self) -> i64 {
        self.blocked + self.ready + self.running + self.retry_wait
    }
}

/// About how long the jobs that are there will take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Left {
    pub seconds: f64,
    /// A task with jobs left has not had one done: it takes longer.
    pub at_least: bool,
}

/// The time that is left, if as many jobs run side by side as do now; `None` when none runs or nothing is known.
pub fn left(lines: &[TaskLine]) -> Option<Left> {
    let running: i64 = lines.iter().map(|line| line.running).sum();
    let waiting: Vec<&TaskLine> = lines.iter().filter(|line| line.left() > 0).collect();
    let work: f64 = waiting.iter().filter_map(|line| Some(line.left() as f64 * line.mean_s?)).sum();
    let at_least = waiting.iter().any(|line| line.mean_s.is_none());
    (running > 0 && work > 0.0).then(|| Left { seconds: work / running as f64, at_least })
}

/// A run in the list of runs.
#[derive(Debug, Clone, Serialize)]
pub struct RunLine {
    pub run_id: i64,
    pub name: String,
    pub state: String,
    pub priority: i32,
    pub created: String,
    pub jobs: i64,
}

/// An event with a job that it started, if any.
#[derive(Debug, Clone, Serialize)]
pub struct TreeLine {
    pub event_id: i64,
    pub event: String,
    pub key: String,
    pub job: Option<i64>,
    pub task: Option<String>,
    pub state: Option<String>,
    pub attempt: Option<i32>,
    pub outcome: Option<String>,
    /// Events that the job told; counted to 1001.
    pub children: i64,
    /// Failed jobs under this one.
    pub failed_below: i64,
}

/// A place in the tree of a run: what its lines came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Branch {
    Outside,
    Job(i64),
    Barrier(i64),
}

impl Branch {
    /// (job, barrier) as the SQL has them.
    fn ids(self) -> (Option<i64>, Option<i64>) {
        match self {
            Branch::Outside => (None, None),
            Branch::Job(job) => (Some(job), None),
            Branch::Barrier(barrier) => (None, Some(barrier)),
        }
    }
}

/// A job on the way up from another.
#[derive(Debug, Clone, Serialize)]
pub struct Ancestor {
    pub job: i64,
    pub task: String,
    pub event: String,
    pub key: String,
    pub state: String,
    /// The barrier that told its event: id, name, key.
    pub barrier: Option<(i64, String, String)>,
}

/// A barrier of a run.
#[derive(Debug, Clone, Serialize)]
pub struct BarrierLine {
    pub barrier: i64,
    pub name: String,
    pub key: String,
    pub fired: bool,
    pub members: i64,
    pub done: i64,
}

/// A job in a list.
#[derive(Debug, Clone, Serialize)]
pub struct JobLine {
    pub job: i64,
    pub task: String,
    pub event: String,
    pub key: String,
    pub state: String,
    pub attempt: i32,
    pub mem_mb: i32,
    pub outcome: Option<String>,
    pub exit_code: Option<i32>,
    pub message: Option<String>,
    pub worker: Option<String>,
    pub started: Option<String>,
    pub seconds: Option<f64>,
}

/// A worker that is here.
#[derive(Debug, Clone, Serialize)]
pub struct WorkerLine {
    pub worker: i64,
    pub name: String,
    pub node: String,
    pub classes: Vec<String>,
    pub slots: i32,
    pub mem_mb: i32,
    pub state: String,
    pub version: String,
    pub seen_s: f64,
    pub running: i64,
    pub quarantined: Option<String>,
}

/// A token, without its secret.
#[derive(Debug, Clone, Serialize)]
pub struct TokenLine {
    pub name: String,
    pub classes: Vec<String>,
    pub max_workers: i32,
    pub created: String,
    pub expires: Option<String>,
    pub state: String,
}

/// Which jobs are meant; what is `None` does not matter.
#[derive(Debug, Clone, Default)]
pub struct Selector {
    pub task: Option<String>,
    pub outcome: Option<String>,
    /// Of the event's key, with % and _ as in SQL.
    pub key: Option<String>,
}

/// A run with its state, without its jobs counted.
pub async fn run(connection: &Connection, name: &str) -> Result<RunLine, Error> {
    let row = connection.query_opt(include_str!("../../sql/pipeline/run_of.sql"), &[&name]).await?;
    let line = |row: tokio_postgres::Row| RunLine {
        run_id: row.get("run_id"),
        name: row.get("name"),
        state: row.get("state"),
        priority: row.get("priority"),
        created: row.get("created"),
        jobs: 0,
    };
    row.map(line).ok_or_else(|| Error::NoRun { name: name.to_owned() })
}

/// A run by its name.
pub async fn run_id(connection: &Connection, name: &str) -> Result<i64, Error> {
    let row = connection.query_opt(include_str!("../../sql/pipeline/run_of.sql"), &[&name]).await?;
    row.map(|row| row.get(0)).ok_or_else(|| Error::NoRun { name: name.to_owned() })
}

pub async fn runs(connection: &Connection) -> Result<Vec<RunLine>, Error> {
    let rows = connection.query(include_str!("../../sql/pipeline/runs.sql"), &[]).await?;
    let line = |row: &tokio_postgres::Row| RunLine {
        run_id: row.get(0),
        name: row.get(1),
        state: row.get(2),
        priority: row.get(3),
        created: row.get(4),
        jobs: row.get(5),
    };
    Ok(rows.iter().map(line).collect())
}

pub async fn status(connection: &Connection, run: i64) -> Result<Vec<TaskLine>, Error> {
    let rows = connection.query(include_str!("../../sql/pipeline/status.sql"), &[&run]).await?;
    let line = |row: &tokio_postgres::Row| TaskLine {
        task: row.get("name"),
        held: row.get("held"),
        jobs: row.get("jobs"),
        blocked: row.get("blocked"),
        ready: row.get("ready"),
        running: row.get("running"),
        retry_wait: row.get("retry_wait"),
        done: row.get("done"),
        failed: row.get("failed"),
        cancelled: row.get("cancelled"),
        skipped: row.get("skipped"),
        lost: row.get("lost"),
        p50_s: row.get("p50"),
        p95_s: row.get("p95"),
        mean_s: row.get("mean"),
        cost: row.get::<_, Option<f64>>("price").map(|price| price * row.get::<_, i64>("done") as f64),
    };
    Ok(rows.iter().map(line).collect())
}

/// Children of a place in order, at most `most`; those after an event and its job (0: the first).
pub async fn tree(connection: &Connection, run: i64, branch: Branch, after: (i64, i64), most: i64) -> Result<Vec<TreeLine>, Error> {
    let (job, barrier) = branch.ids();
    let sql = include_str!("../../sql/pipeline/tree.sql");
    Ok(connection.query(sql, &[&run, &job, &barrier, &most, &after.0, &after.1]).await?.iter().map(tree_line).collect())
}

/// Failed jobs that are looked at for [`failures`].
const FAILURES: i64 = 500;

/// Children of a place that failed, or under which jobs failed; of the first 500 failed jobs of the run, 50 children at most.
pub async fn failures(connection: &Connection, run: i64, branch: Branch) -> Result<Vec<TreeLine>, Error> {
    let (job, barrier) = branch.ids();
    let sql = include_str!("../../sql/pipeline/tree_failures.sql");
    Ok(connection.query(sql, &[&run, &job, &barrier, &FAILURES]).await?.iter().map(tree_line).collect())
}

fn tree_line(row: &tokio_postgres::Row) -> TreeLine {
    TreeLine {
        event_id: row.get("event_id"),
        event: row.get("event"),
        key: row.get("key"),
        job: row.get("job_id"),
        task: row.get("task"),
        state: row.get("state"),
        attempt: row.get("attempt"),
        outcome: row.get("outcome"),
        children: row.get("children"),
        failed_below: row.get("failed_below"),
    }
}

/// The way from a job up to what came from outside or from a barrier, the job itself first.
pub async fn path_of(connection: &Connection, job: i64) -> Result<Vec<Ancestor>, Error> {
    let rows = connection.query(include_str!("../../sql/pipeline/path_of.sql"), &[&job]).await?;
    let line = |row: &tokio_postgres::Row| Ancestor {
        job: row.get("job_id"),
        task: row.get("task"),
        event: row.get("event"),
        key: row.get("key"),
        state: row.get("state"),
        barrier: row.get::<_, Option<i64>>("barrier_id").map(|id| (id, row.get("barrier"), row.get("barrier_key"))),
    };
    Ok(rows.iter().map(line).collect())
}

/// Barriers of a run after one of them (0: the first), at most `most`.
pub async fn barriers(connection: &Connection, run: i64, after: i64, most: i64) -> Result<Vec<BarrierLine>, Error> {
    let rows = connection.query(include_str!("../../sql/pipeline/barriers_of.sql"), &[&run, &after, &most]).await?;
    let line = |row: &tokio_postgres::Row| BarrierLine {
        barrier: row.get(0),
        name: row.get(1),
        key: row.get(2),
        fired: row.get(3),
        members: row.get(4),
        done: row.get(5),
    };
    Ok(rows.iter().map(line).collect())
}

/// Jobs that a selector means, in a state or any, at most `most` after job `after`.
pub async fn jobs(
    connection: &Connection,
    run: i64,
    state: Option<&str>,
    which: &Selector,
    after: i64,
    most: i64,
) -> Result<Vec<JobLine>, Error> {
    let states = state.map(|state| vec![state]);
    let ids = select_after(connection, run, states.as_deref(), which, after, most).await?;
    let rows = connection.query(include_str!("../../sql/pipeline/jobs.sql"), &[&ids]).await?;
    let line = |row: &tokio_postgres::Row| JobLine {
        job: row.get("job_id"),
        task: row.get("task"),
        event: row.get("event"),
        key: row.get("key"),
        state: row.get("state"),
        attempt: row.get("attempt"),
        mem_mb: row.get("mem_mb"),
        outcome: row.get("outcome"),
        exit_code: row.get("exit_code"),
        message: row.get("message"),
        worker: row.get("worker"),
        started: row.get("started"),
        seconds: row.get("seconds"),
    };
    Ok(rows.iter().map(line).collect())
}

/// Ids of all jobs that a selector means, in the given states.
pub async fn select(connection: &Connection, run: i64, states: &[&str], which: &Selector) -> Result<Vec<i64>, Error> {
    select_after(connection, run, Some(states), which, 0, i64::MAX).await
}

async fn select_after(
    connection: &Connection,
    run: i64,
    states: Option<&[&str]>,
    which: &Selector,
    after: i64,
    most: i64,
) -> Result<Vec<i64>, Error> {
    let sql = include_str!("../../sql/pipeline/select_jobs.sql");
    let rows = connection.query(sql, &[&run, &states, &which.task, &which.outcome, &which.key, &after, &most]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// `retry`, `skip`, `cancel` or `priority`, and the masters hear of it; gives the ids changed.
pub async fn change_jobs(connection: &Connection, actor: &str, verb: &str, jobs: &[i64], value: Option<f64>) -> Result<Vec<i64>, Error> {
    let rows = connection.query(include_str!("../../sql/pipeline/change_jobs_now.sql"), &[&actor, &verb, &jobs, &value]).await?;
    notify(connection).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// A run is `active`, `held` or `cancelled` from now; whether that changed anything.
pub async fn set_run(connection: &Connection, actor: &str, run: i64, state: &str) -> Result<bool, Error> {
    let row = connection.query_one(include_str!("../../sql/pipeline/hold_run.sql"), &[&run, &state, &actor]).await?;
    notify(connection).await?;
    Ok(row.get::<_, i64>(0) > 0)
}

/// A task is held or not; whether there is such a task.
pub async fn hold_task(connection: &Connection, actor: &str, run: i64, task: &str, held: bool) -> Result<bool, Error> {
    let row = connection.query_one(include_str!("../../sql/pipeline/hold_task.sql"), &[&run, &task, &held, &actor]).await?;
    notify(connection).await?;
    Ok(row.get::<_, i64>(0) > 0)
}

/// Takes a node out of quarantine; whether it was in.
pub async fn clear_node(connection: &Connection, actor: &str, node: &str) -> Result<bool, Error> {
    let row = connection.query_one(include_str!("../../sql/pipeline/clear_node.sql"), &[&node, &actor]).await?;
    notify(connection).await?;
    Ok(row.get::<_, i64>(0) > 0)
}

pub async fn workers(connection: &Connection) -> Result<Vec<WorkerLine>, Error> {
    let rows = connection.query(include_str!("../../sql/pipeline/workers.sql"), &[]).await?;
    let line = |row: &tokio_postgres::Row| WorkerLine {
        worker: row.get("worker_id"),
        name: row.get("name"),
        node: row.get("node"),
        classes: row.get("classes"),
        slots: row.get("slots"),
        mem_mb: row.get("mem_mb"),
        state: row.get("state"),
        version: row.get("version"),
        seen_s: row.get("seen_s"),
        running: row.get("running"),
        quarantined: row.get::<_, bool>("quarantined").then(|| row.get::<_, Option<String>>("reason").unwrap_or_default()),
    };
    Ok(rows.iter().map(line).collect())
}

/// The masters hear of changes that were not made through them.
pub async fn notify(connection: &Connection) -> Result<(), Error> {
    connection.query_one(include_str!("../../sql/pipeline/notify.sql"), &[]).await?;
    Ok(())
}

/// Fires events from outside; gives what that made.
pub async fn fire(connection: &Connection, run: i64, events: &[protocol::Told]) -> Result<super::queue::Emitted, Error> {
    let mut total = super::queue::Emitted::default();
    for events in events.chunks(protocol::EVENTS) {
        let names: Vec<&str> = events.iter().map(|e| e.name.as_str()).collect();
        let keys: Vec<&str> = events.iter().map(|e| e.key.as_str()).collect();
        let payloads: Vec<&serde_json::Value> = events.iter().map(|e| &e.payload).collect();
        let row = connection.query_one(include_str!("../../sql/pipeline/emit_now.sql"), &[&run, &names, &keys, &payloads]).await?;
        total.events += row.get::<_, i32>(0);
        total.jobs += row.get::<_, i32>(1);
        total.blocked += row.get::<_, i32>(2);
    }
    notify(connection).await?;
    Ok(total)
}

/// A new token: the text that a worker is given, shown once.
pub async fn create_token(
    connection: &Connection,
    actor: &str,
    name: &str,
    classes: &[String],
    max_workers: i32,
    expires_s: Option<u64>,
) -> Result<String, Error> {
    let (secret, hash) = master::new_secret()?;
    let expires = expires_s.map(|s| s as f64);
    let row = connection
        .query_one(include_str!("../../sql/pipeline/create_token.sql"), &[&name, &hash, &classes, &max_workers, &expires, &actor])
        .await
        .map_err(|error| match error.code() {
            Some(code) if *code == tokio_postgres::error::SqlState::UNIQUE_VIOLATION => {
                Error::Refused(format!("there is a token {name:?} already; revoked ones keep their names too"))
            }
            _ => error.into(),
        })?;
    Ok(format!("brickyard_{}_{secret}", row.get::<_, i32>(0)))
}

/// Whether there was such a token in force.
pub async fn revoke_token(connection: &Connection, actor: &str, name: &str) -> Result<bool, Error> {
    let row = connection.query_one(include_str!("../../sql/pipeline/revoke_token.sql"), &[&name, &actor]).await?;
    Ok(row.get::<_, i64>(0) > 0)
}

pub async fn tokens(connection: &Connection) -> Result<Vec<TokenLine>, Error> {
    let rows = connection.query(include_str!("../../sql/pipeline/tokens.sql"), &[]).await?;
    let line = |row: &tokio_postgres::Row| TokenLine {
        name: row.get(0),
        classes: row.get(1),
        max_workers: row.get(2),
        created: row.get(3),
        expires: row.get(4),
        state: row.get(5),
    };
    Ok(rows.iter().map(line).collect())
}

/// What `gc` found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Garbage {
    pub files: u64,
    pub bytes: u64,
}

/// Removes bytes of attempts that came to nothing and are older than `older_s`; only counts them unless `remove`.
///
/// A key `<run>/<job>/<attempt>/<name>` is garbage when its attempt is known here and has ended other than as done. Everything
/// else is left alone: the store may hold what is not ours.
pub async fn gc(connection: &Connection, store: &Store, older_s: i64, now_s: i64, remove: bool) -> Result<Garbage, Error> {
    let entries = store.list("").await?;
    let mut attempts: BTreeMap<(i64, i32), (&str, Vec<&crate::store::Entry>)> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry.modified_s <= now_s - older_s) {
        if let [run, job, attempt, _] = entry.key.split('/').collect::<Vec<_>>()[..]
            && let (Ok(job), Ok(attempt)) = (job.parse(), attempt.parse())
        {
            attempts.entry((job, attempt)).or_insert((run, Vec::new())).1.push(entry);
        }
    }
    let runs: Vec<&str> = attempts.values().map(|(run, _)| *run).collect();
    let (jobs, numbers): (Vec<i64>, Vec<i32>) = attempts.keys().copied().unzip();
    let rows = connection.query(include_str!("../../sql/pipeline/garbage.sql"), &[&runs, &jobs, &numbers]).await?;
    let mut garbage = Garbage::default();
    for (_, entries) in rows.iter().filter_map(|row| attempts.get(&(row.get(0), row.get(1)))) {
        for entry in entries {
            if remove {
                store.delete(&entry.key).await?;
            }
            garbage.files += 1;
            garbage.bytes += entry.bytes;
        }
    }
    Ok(garbage)
}

/// Names in a text, comma or space between them.
pub fn names(text: &str) -> Vec<String> {
    let set: BTreeSet<&str> = text.split([',', ' ']).filter(|name| !name.is_empty()).collect();
    set.into_iter().map(str::to_owned).collect()
}

/// Makes sure that tables and functions are there and as this program wants them.
pub async fn install(connection: &mut Connection) -> Result<(), Error> {
    super::queue::install(connection).await
}

/// The books, over several sessions.
pub async fn queue(connection: Connection, sessions: u32) -> Result<Queue, Error> {
    Ok(Queue::new(crate::db::pool::pool(connection, sessions).await?))
}
