//! The stage runner's books in PostgreSQL: every transition is one call of a function of `sql/pipeline/`.
//!
//! Nothing is decided here. What is decided stands in the functions, which `tests/pipeline.rs` holds against
//! [`super::state`], the model. Sessions keep their prepared statements, so that a call is one round trip.

use super::Error;
use super::autoscale::Demand;
use super::formula::Formula;
use super::manifest::{self, Manifest, Rule, Spec};
use super::protocol::{Fail, Register, Told};
use super::state::{Class, State, Verdict};
use crate::db::pool::Pool;
use crate::db::{self, Connection};
use postgres_types::ToSql;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, RwLock};

/// Functions in the order in which they can be made.
const FUNCTIONS: [&str; 13] = [
    include_str!("../../sql/pipeline/barrier_key.sql"),
    include_str!("../../sql/pipeline/join_barriers.sql"),
    include_str!("../../sql/pipeline/bind_inputs.sql"),
    include_str!("../../sql/pipeline/emit.sql"),
    include_str!("../../sql/pipeline/settle.sql"),
    include_str!("../../sql/pipeline/claim.sql"),
    include_str!("../../sql/pipeline/heartbeat.sql"),
    include_str!("../../sql/pipeline/complete.sql"),
    include_str!("../../sql/pipeline/fail.sql"),
    include_str!("../../sql/pipeline/sweep.sql"),
    include_str!("../../sql/pipeline/check_barriers.sql"),
    include_str!("../../sql/pipeline/change_jobs.sql"),
    include_str!("../../sql/pipeline/register.sql"),
];

/// Jobs that are told their resources in one statement.
const ADMIT: i64 = 1000;
/// Barriers and lapsed leases that are looked after in one statement.
const AT_ONCE: i32 = 500;

/// Makes tables and functions where they are missing or not this program's.
pub async fn install(connection: &mut Connection) -> Result<(), Error> {
    let schema = include_str!("../../sql/pipeline/schema.sql");
    let digest = super::sha256_hex([schema].iter().chain(&FUNCTIONS).copied().collect::<Vec<&str>>().concat().as_bytes());
    if installed(connection).await?.is_some_and(|found| found == digest) {
        return Ok(());
    }
    let transaction = connection.transaction().await?;
    transaction.query_one(include_str!("../../sql/pipeline/lock_install.sql"), &[]).await?;
    transaction.batch_execute(schema).await?;
    for function in FUNCTIONS {
        transaction.batch_execute(function).await?;
    }
    transaction.execute(include_str!("../../sql/pipeline/set_installed.sql"), &[&digest]).await?;
    Ok(transaction.commit().await?)
}

/// Are there tables of the runner in this database, of this version or another?
pub async fn is_installed(connection: &Connection) -> Result<bool, Error> {
    Ok(installed(connection).await?.is_some())
}

async fn installed(connection: &Connection) -> Result<Option<String>, Error> {
    let there: bool = connection.query_one(include_str!("../../sql/pipeline/has_schema.sql"), &[]).await?.get(0);
    if !there {
        return Ok(None);
    }
    Ok(connection.query_opt(include_str!("../../sql/pipeline/installed.sql"), &[]).await?.map(|row| row.get(0)))
}

/// A task as the master needs it, cached: a task never changes.
#[derive(Debug)]
pub struct TaskInfo {
    pub run: String,
    pub name: String,
    pub spec: Spec,
    pub params: BTreeMap<String, String>,
}

/// A job that was claimed.
#[derive(Debug)]
pub struct Claimed {
    pub job: i64,
    pub attempt: i32,
    pub task: Arc<TaskInfo>,
    pub cpu: i32,
    pub mem_mb: i32,
    pub disk_mb: i32,
    pub event: Told,
    pub inputs: Vec<super::protocol::Input>,
}

/// A token as the books have it.
#[derive(Debug, Clone)]
pub struct TokenInfo {
    pub name: String,
    /// SHA-256 of its secret.
    pub hash: Vec<u8>,
    pub classes: Vec<String>,
    /// Neither revoked nor expired.
    pub in_force: bool,
}

/// What a claimant has free.
#[derive(Debug, Clone, Copy)]
pub struct Free {
    pub jobs: i32,
    pub cpu: i32,
    pub mem_mb: i32,
    pub disk_mb: i32,
}

/// What became of a report, and what followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reported {
    pub job: i64,
    pub attempt: i32,
    pub verdict: Verdict,
    /// New jobs, those of them that wait to be told their resources, and whether a barrier may fire.
    pub jobs: i32,
    pub blocked: i32,
    pub touched: bool,
}

/// What one emission made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Emitted {
    pub events: i32,
    pub jobs: i32,
    pub blocked: i32,
}

/// What one sweep did; `lost` is -1 when another master is at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Swept {
    pub lost: i32,
    pub woken: i32,
    pub quarantined: i32,
}

/// The books.
pub struct Queue {
    pool: Pool,
    tasks: RwLock<HashMap<i32, Arc<TaskInfo>>>,
}

type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

impl Queue {
    pub fn new(pool: Pool) -> Queue {
        Queue { pool, tasks: RwLock::default() }
    }

    async fn rows(&self, sql: &'static str, params: Params<'_>) -> Result<Vec<tokio_postgres::Row>, Error> {
        let session = self.pool.get().await.map_err(|error| Error::Pool(error.to_string()))?;
        let statement = session.prepared(sql).await?;
        session.query(&statement, params).await.map_err(|error| Error::Db(db::Error::from(error).in_sql(sql)))
    }

    async fn row(&self, sql: &'static str, params: Params<'_>) -> Result<tokio_postgres::Row, Error> {
        self.rows(sql, params).await?.into_iter().next().ok_or(Error::NoAnswer)
    }

    async fn execute(&self, sql: &'static str, params: Params<'_>) -> Result<u64, Error> {
        let session = self.pool.get().await.map_err(|error| Error::Pool(error.to_string()))?;
        let statement = session.prepared(sql).await?;
        session.execute(&statement, params).await.map_err(|error| Error::Db(db::Error::from(error).in_sql(sql)))
    }

    /// One of the sessions, for questions; the others wait for it to come back.
    pub async fn borrow(&self) -> Result<bb8::PooledConnection<'_, crate::db::pool::Sessions>, Error> {
        self.pool.get().await.map_err(|error| Error::Pool(error.to_string()))
    }

    /// A session of its own for listening and administration.
    pub async fn session(&self) -> Result<Connection, Error> {
        let session = self.pool.get().await.map_err(|error| Error::Pool(error.to_string()))?;
        Ok(session.another().await?)
    }

    /// Makes events real in a run, at most [`super::protocol::EVENTS`] in one transaction.
    pub async fn emit(&self, run: i64, events: &[Told]) -> Result<Emitted, Error> {
        let mut total = Emitted::default();
        for events in events.chunks(super::protocol::EVENTS) {
            let names: Vec<&str> = events.iter().map(|e| e.name.as_str()).collect();
            let keys: Vec<&str> = events.iter().map(|e| e.key.as_str()).collect();
            let payloads: Vec<&Value> = events.iter().map(|e| &e.payload).collect();
            let row = self.row(include_str!("../../sql/pipeline/emit_now.sql"), &[&run, &names, &keys, &payloads]).await?;
            total.events += row.get::<_, i32>(0);
            total.jobs += row.get::<_, i32>(1);
            total.blocked += row.get::<_, i32>(2);
        }
        Ok(total)
    }

    pub async fn claim(&self, worker: i64, free: Free, lease_s: i32) -> Result<Vec<Claimed>, Error> {
        let sql = include_str!("../../sql/pipeline/claim_jobs.sql");
        let rows = self.rows(sql, &[&worker, &free.jobs, &free.cpu, &free.mem_mb, &free.disk_mb, &lease_s]).await?;
        let mut jobs = Vec::with_capacity(rows.len());
        for row in rows {
            jobs.push(Claimed {
                job: row.get("job_id"),
                attempt: row.get("attempt"),
                task: self.task(row.get("task_id")).await?,
                cpu: row.get("cpu"),
                mem_mb: row.get("mem_mb"),
                disk_mb: row.get("disk_mb"),
                event: Told { name: row.get("event_name"), key: row.get("event_key"), payload: row.get("payload") },
                inputs: serde_json::from_value(row.get("inputs")).map_err(Error::Stored)?,
            });
        }
        Ok(jobs)
    }

    /// A task, from memory when it was asked for before.
    pub async fn task(&self, id: i32) -> Result<Arc<TaskInfo>, Error> {
        if let Some(task) = self.tasks.read().ok().and_then(|tasks| tasks.get(&id).cloned()) {
            return Ok(task);
        }
        let row = self.row(include_str!("../../sql/pipeline/task_of.sql"), &[&id]).await?;
        let task = Arc::new(TaskInfo {
            run: row.get("run"),
            name: row.get("name"),
            spec: serde_json::from_value(row.get("spec")).map_err(Error::Stored)?,
            params: serde_json::from_value(row.get("params")).map_err(Error::Stored)?,
        });
        if let Ok(mut tasks) = self.tasks.write() {
            tasks.insert(id, task.clone());
        }
        Ok(task)
    }

    pub async fn heartbeat(&self, worker: i64, jobs: &[i64], attempts: &[i32], lease_s: i32) -> Result<Vec<i64>, Error> {
        let sql = include_str!("../../sql/pipeline/heartbeat_now.sql");
        Ok(self.rows(sql, &[&worker, &jobs, &attempts, &lease_s]).await?.iter().map(|row| row.get(0)).collect())
    }

    /// Ends attempts as done, all in one transaction; `reports` as complete.sql has them.
    pub async fn complete(&self, reports: Vec<Value>) -> Result<Vec<Reported>, Error> {
        let rows = self.rows(include_str!("../../sql/pipeline/complete_now.sql"), &[&Value::Array(reports)]).await?;
        let read = |row: &tokio_postgres::Row| {
            Ok(Reported {
                job: row.get(0),
                attempt: row.get(1),
                verdict: verdict(row.get(2))?,
                jobs: row.get(3),
                blocked: row.get(4),
                touched: row.get(5),
            })
        };
        rows.iter().map(read).collect()
    }

    pub async fn fail(&self, job: i64, attempt: i32, fail: &Fail) -> Result<(Verdict, Option<State>), Error> {
        let (class, usage) = (fail.class.name(), &fail.usage);
        let params: Params<'_> =
            &[&fail.worker, &job, &attempt, &class, &fail.exit_code, &fail.signal, &usage.max_rss_mb, &usage.cpu_s, &fail.message];
        let row = self.row(include_str!("../../sql/pipeline/fail_now.sql"), params).await?;
        Ok((verdict(row.get(0))?, row.get::<_, Option<&str>>(1).and_then(State::from_name)))
    }

    pub async fn stage(&self, worker: i64, job: i64, attempt: i32, chunk: i32, events: &[Told]) -> Result<Verdict, Error> {
        let events = json!(events);
        let row = self.row(include_str!("../../sql/pipeline/stage.sql"), &[&worker, &job, &attempt, &chunk, &events]).await?;
        Ok(if row.get(0) { Verdict::Ok } else { Verdict::Fenced })
    }

    /// The task, if the attempt runs and is the worker's.
    pub async fn owns(&self, worker: i64, job: i64, attempt: i32) -> Result<Option<Arc<TaskInfo>>, Error> {
        let rows = self.rows(include_str!("../../sql/pipeline/owns.sql"), &[&worker, &job, &attempt]).await?;
        match rows.first() {
            Some(row) => self.task(row.get(1)).await.map(Some),
            None => Ok(None),
        }
    }

    /// Those of the keys whose bytes a job reads.
    pub async fn inputs(&self, job: i64, keys: &[String]) -> Result<BTreeSet<String>, Error> {
        Ok(self.rows(include_str!("../../sql/pipeline/inputs_of.sql"), &[&job, &keys]).await?.iter().map(|row| row.get(0)).collect())
    }

    /// `losses` attempts lost within `window_s` put a node into quarantine.
    pub async fn sweep(&self, losses: i32, window_s: i32) -> Result<Swept, Error> {
        let row = self.row(include_str!("../../sql/pipeline/sweep_now.sql"), &[&AT_ONCE, &losses, &window_s]).await?;
        Ok(Swept { lost: row.get(0), woken: row.get(1), quarantined: row.get(2) })
    }

    /// Fires what is due; gives the numbers fired, and of new jobs.
    pub async fn check_barriers(&self) -> Result<(i32, Emitted), Error> {
        let row = self.row(include_str!("../../sql/pipeline/check_barriers_now.sql"), &[&AT_ONCE]).await?;
        Ok((row.get(0), Emitted { events: row.get(0), jobs: row.get(1), blocked: row.get(2) }))
    }

    /// Tells blocked jobs their resources; gives how many became ready.
    pub async fn admit(&self) -> Result<u64, Error> {
        let (mut admitted, mut after) = (0, 0_i64);
        loop {
            let rows = self.rows(include_str!("../../sql/pipeline/blocked.sql"), &[&ADMIT, &after]).await?;
            let (mut ids, mut cpus, mut mems, mut disks) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
            for row in &rows {
                let job: i64 = row.get("job_id");
                after = job;
                let task = self.task(row.get("task_id")).await?;
                let facts = Facts { payload: row.get("payload"), params: row.get("params"), inputs: row.get("inputs") };
                match facts.resources(&task.spec) {
                    Ok([cpu, mem, disk]) => {
                        ids.push(job);
                        cpus.push(cpu);
                        mems.push(mem);
                        disks.push(disk);
                    }
                    Err(why) => drop(self.execute(include_str!("../../sql/pipeline/refuse_blocked.sql"), &[&job, &why]).await?),
                }
            }
            admitted += self.execute(include_str!("../../sql/pipeline/admit.sql"), &[&ids, &cpus, &mems, &disks]).await?;
            if (rows.len() as i64) < ADMIT {
                return Ok(admitted);
            }
        }
    }

    pub async fn register(&self, token: i32, classes: &[String], r: &Register) -> Result<Result<(i64, i32), String>, Error> {
        let params: Params<'_> = &[&token, &r.name, &r.node, &classes, &r.slots, &r.mem_mb, &r.disk_mb, &r.price_per_h, &r.version];
        let row = self.row(include_str!("../../sql/pipeline/register_now.sql"), params).await?;
        Ok(match row.get::<_, Option<i64>>(0) {
            Some(worker) => Ok((worker, row.get(1))),
            None => Err(row.get(2)),
        })
    }

    /// What each class of tasks asks for.
    pub async fn demand(&self) -> Result<Vec<Demand>, Error> {
        let rows = self.rows(include_str!("../../sql/pipeline/demand.sql"), &[]).await?;
        let demand = |row: &tokio_postgres::Row| Demand {
            class: row.get("class"),
            ready: row.get("ready"),
            running: row.get("running"),
            workers: row.get("workers"),
            slots: row.get("slots"),
        };
        Ok(rows.iter().map(demand).collect())
    }

    pub async fn drain(&self, worker: i64) -> Result<(), Error> {
        self.execute(include_str!("../../sql/pipeline/drain.sql"), &[&worker]).await.map(drop)
    }

    pub async fn leave(&self, worker: i64) -> Result<(), Error> {
        self.execute(include_str!("../../sql/pipeline/leave.sql"), &[&worker]).await.map(drop)
    }

    pub async fn token(&self, token: i32) -> Result<Option<TokenInfo>, Error> {
        let rows = self.rows(include_str!("../../sql/pipeline/token_of.sql"), &[&token]).await?;
        let info = |row: &tokio_postgres::Row| TokenInfo { hash: row.get(0), classes: row.get(1), in_force: row.get(2), name: row.get(3) };
        Ok(rows.first().map(info))
    }

    pub async fn is_worker_of(&self, worker: i64, token: i32) -> Result<bool, Error> {
        Ok(self.row(include_str!("../../sql/pipeline/worker_of.sql"), &[&worker, &token]).await?.get(0))
    }

    /// The secret that byte URLs are signed with; `proposal` becomes it if there is none.
    pub async fn signing_key(&self, proposal: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(self.row(include_str!("../../sql/pipeline/signing_key.sql"), &[&proposal]).await?.get(0))
    }

    /// What a person does to jobs: `retry`, `skip`, `cancel`, `priority`; gives the ids changed.
    pub async fn change_jobs(&self, actor: &str, verb: &str, jobs: &[i64], value: Option<f64>) -> Result<Vec<i64>, Error> {
        let sql = include_str!("../../sql/pipeline/change_jobs_now.sql");
        Ok(self.rows(sql, &[&actor, &verb, &jobs, &value]).await?.iter().map(|row| row.get(0)).collect())
    }
}

fn verdict(name: &str) -> Result<Verdict, Error> {
    Verdict::from_name(name).ok_or(Error::NoAnswer)
}

/// What a formula may ask about a job.
struct Facts {
    payload: Value,
    params: Value,
    /// role -> [count, bytes]
    inputs: Value,
}

impl Facts {
    fn value(&self, name: &str) -> Option<f64> {
        let number = |value: &Value| value.as_f64().or_else(|| value.as_str()?.trim().parse().ok());
        let (head, rest) = name.split_once('.')?;
        match head {
            "event" => number(self.payload.get(rest)?),
            "param" => number(self.params.get(rest)?),
            _ => {
                let inputs = self.inputs.as_object()?;
                let column = usize::from(rest.ends_with("bytes"));
                let of = |value: &Value| value.get(column).and_then(Value::as_f64).unwrap_or(0.0);
                match rest.split_once('.') {
                    Some((role, _)) => Some(inputs.get(role).map_or(0.0, of)),
                    None => Some(inputs.values().map(of).sum()),
                }
            }
        }
    }

    /// Cores, memory and disk in MB.
    fn resources(&self, spec: &Spec) -> Result<[i32; 3], String> {
        let value = |formula: &str, unit: f64, least: i32| {
            let value = Formula::parse(formula).and_then(|f| f.value(&|name| self.value(name))).map_err(|e| format!("{formula}: {e}"))?;
            Ok::<i32, String>(whole(value / unit).max(least))
        };
        Ok([value(&spec.cpu, 1.0, 1)?, value(&spec.mem, MB, 1)?, value(&spec.disk, MB, 0)?])
    }
}

const MB: f64 = 1024.0 * 1024.0;

/// Rounded up, within what the database's integers hold.
fn whole(value: f64) -> i32 {
    value.ceil().clamp(0.0, f64::from(i32::MAX / 4)) as i32
}

fn constant(formula: &str, unit: f64, least: i32) -> Option<i32> {
    Formula::parse(formula).ok()?.constant().map(|value| whole(value / unit).max(least))
}

/// Makes a run of a manifest: all its tasks, barriers and pools in one transaction. Gives its id.
pub async fn create_run(
    connection: &mut Connection,
    name: &str,
    manifest: &Manifest,
    params: &BTreeMap<String, String>,
    priority: i32,
) -> Result<i64, Error> {
    let transaction = connection.transaction().await?;
    let sha256 = super::sha256_hex(manifest.text.as_bytes());
    let run: i64 = transaction
        .query_one(
            include_str!("../../sql/pipeline/create_run.sql"),
            &[&name, &json!(params), &manifest.group, &manifest.text, &sha256, &priority],
        )
        .await
        .map_err(|error| match error.code() {
            Some(code) if *code == tokio_postgres::error::SqlState::UNIQUE_VIOLATION => Error::RunExists { name: name.to_owned() },
            _ => Error::Db(error.into()),
        })?
        .get(0);
    let mut pools: HashMap<&str, i32> = HashMap::new();
    for (pool, most) in &manifest.pools {
        let row = transaction.query_one(include_str!("../../sql/pipeline/set_pool.sql"), &[pool, most]).await?;
        pools.insert(pool, row.get(0));
    }
    let mut ids: HashMap<&str, i32> = HashMap::new();
    for (position, task) in manifest.tasks.iter().enumerate() {
        let id = create_task(&transaction, run, position, task, &pools).await?;
        ids.insert(&task.name, id);
    }
    for task in &manifest.tasks {
        let id = ids[task.name.as_str()];
        for on in &task.on {
            transaction.execute(include_str!("../../sql/pipeline/create_task_on.sql"), &[&id, &run, &on.event, &on.matches]).await?;
        }
        for input in &task.inputs {
            let from = input.from.as_deref().map(|from| ids[from]);
            let of = input.of.clone().or_else(|| input.name.is_none().then(|| input.role.clone()));
            let pattern = input.name.as_deref().map(manifest::regex);
            transaction
                .execute(include_str!("../../sql/pipeline/create_task_input.sql"), &[&id, &input.role, &from, &of, &pattern])
                .await?;
        }
    }
    for barrier in &manifest.barriers {
        create_barrier(&transaction, run, barrier, &ids).await?;
    }
    transaction.commit().await?;
    Ok(run)
}

async fn create_task(
    transaction: &tokio_postgres::Transaction<'_>,
    run: i64,
    position: usize,
    task: &manifest::Task,
    pools: &HashMap<&str, i32>,
) -> Result<i32, Error> {
    let spec = serde_json::to_value(&task.spec).map_err(Error::Stored)?;
    let version = super::sha256_hex(spec.to_string().as_bytes())[..16].to_owned();
    let pool = task.pool.as_deref().and_then(|pool| pools.get(pool).copied());
    let by_class = |values: &[u32; 7]| {
        let pairs = Class::ALL.iter().zip(values).map(|(class, value)| (class.name().to_owned(), json!(value)));
        Value::Object(pairs.collect())
    };
    let position = i32::try_from(position).unwrap_or(i32::MAX);
    let row = transaction
        .query_one(
            include_str!("../../sql/pipeline/create_task.sql"),
            &[
                &run,
                &task.name,
                &position,
                &version,
                &task.class,
                &pool,
                &task.priority,
                &spec,
                &constant(&task.spec.cpu, 1.0, 1),
                &constant(&task.spec.mem, MB, 1),
                &constant(&task.spec.disk, MB, 0),
                &by_class(&task.policy.retries),
                &by_class(&task.policy.backoff_s),
                &task.policy.fatal_codes,
            ],
        )
        .await?;
    Ok(row.get(0))
}

async fn create_barrier(
    transaction: &tokio_postgres::Transaction<'_>,
    run: i64,
    barrier: &manifest::Barrier,
    ids: &HashMap<&str, i32>,
) -> Result<(), Error> {
    let (policy, k, fraction) = match barrier.rule {
        Rule::All => ("all", None, None),
        Rule::K(k) => ("k", Some(k), None),
        Rule::Fraction(fraction) => ("fraction", None, Some(fraction)),
    };
    let row = transaction
        .query_one(
            include_str!("../../sql/pipeline/create_barrier.sql"),
            &[&run, &barrier.name, &barrier.emit, &barrier.key, &policy, &k, &fraction, &barrier.deadline_s],
        )
        .await?;
    let id: i32 = row.get(0);
    for (task, opener) in barrier.over.iter().map(|t| (t, false)).chain(barrier.opened_by.iter().map(|t| (t, true))) {
        transaction.execute(include_str!("../../sql/pipeline/create_barrier_task.sql"), &[&id, &ids[task.as_str()], &opener]).await?;
    }
    Ok(())
}
