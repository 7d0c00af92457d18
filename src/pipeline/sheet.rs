//! Everything about one job: what started it, its attempts, what it reads and writes, its exact command.

use super::Error;
use super::protocol::Told;
use super::provenance::{self, File};
use crate::db::Connection;
use serde::Serialize;
use std::collections::BTreeMap;
use tokio_postgres::Row;

/// A job with all that is known of it.
#[derive(Debug, Clone, Serialize)]
pub struct Sheet {
    pub job: i64,
    pub run: String,
    pub run_state: String,
    pub task: String,
    /// The task starts no jobs until it is released.
    pub held: bool,
    pub class: String,
    /// The hash of what the task says.
    pub task_version: String,
    pub event: Told,
    pub state: String,
    pub attempt: i32,
    pub priority: i32,
    pub cpu: i32,
    pub mem_mb: i32,
    pub disk_mb: i32,
    pub timeout_s: u64,
    /// Seconds until it is tried again.
    pub waits_s: Option<f64>,
    /// With paths in the scratch folder of the worker; or why it cannot be told yet.
    pub command: Result<Vec<String>, String>,
    pub env: BTreeMap<String, String>,
    pub attempts: Vec<Attempt>,
    /// At most [`FILES`] each.
    pub inputs: Vec<File>,
    pub outputs: Vec<File>,
}

/// Files of a kind that a sheet shows.
pub const FILES: i64 = 500;

/// One try at a job.
#[derive(Debug, Clone, Serialize)]
pub struct Attempt {
    pub attempt: i32,
    pub started: String,
    pub ended: Option<String>,
    pub seconds: f64,
    pub outcome: Option<String>,
    pub exit_code: Option<i32>,
    pub signal: Option<i32>,
    pub max_rss_mb: Option<i32>,
    pub cpu_s: Option<f32>,
    pub message: Option<String>,
    pub worker: Option<String>,
    pub node: Option<String>,
}

/// The sheet of a job.
///
/// # Errors
/// When there is no such job.
pub async fn of(connection: &Connection, job: i64) -> Result<Sheet, Error> {
    let row = connection.query_opt(include_str!("../../sql/pipeline/sheet.sql"), &[&job]).await?.ok_or(Error::NoJob { job })?;
    let attempts = connection.query(include_str!("../../sql/pipeline/job.sql"), &[&job]).await?.iter().map(attempt).collect();
    let files = connection.query(include_str!("../../sql/pipeline/artifacts_of.sql"), &[&job, &FILES]).await?;
    let of_kind = |kind: &str| files.iter().filter(|row| row.get::<_, &str>("kind") == kind).map(File::of).collect::<Vec<_>>();
    let (inputs, outputs) = (of_kind("input"), of_kind("output"));
    let given = provenance::job(&row, &inputs)?;
    let (command, env) = match provenance::filled(&given) {
        Ok((command, env)) => (Ok(command), env),
        Err(why) => (Err(why.to_string()), BTreeMap::new()),
    };
    Ok(Sheet {
        job,
        run: given.run,
        run_state: row.get("run_state"),
        task: given.task,
        held: row.get("held"),
        class: row.get("class"),
        task_version: row.get("task_version"),
        event: given.event,
        state: row.get("state"),
        attempt: given.attempt,
        priority: row.get("priority"),
        cpu: given.cpu,
        mem_mb: given.mem_mb,
        disk_mb: given.disk_mb,
        timeout_s: given.timeout_s,
        waits_s: row.get("waits_s"),
        command,
        env,
        attempts,
        inputs,
        outputs,
    })
}

fn attempt(row: &Row) -> Attempt {
    Attempt {
        attempt: row.get("attempt"),
        started: row.get("started"),
        ended: row.get("ended"),
        seconds: row.get("seconds"),
        outcome: row.get("outcome"),
        exit_code: row.get("exit_code"),
        signal: row.get("signal"),
        max_rss_mb: row.get("max_rss_mb"),
        cpu_s: row.get("cpu_s"),
        message: row.get("message"),
        worker: row.get("worker"),
        node: row.get("node"),
    }
}
