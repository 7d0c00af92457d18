//! The hook that starts workers when jobs wait: a command of the site, called for each class of tasks with ready jobs.
//!
//! It finds in its environment `BRICKYARD_CLASS`, `BRICKYARD_READY` (jobs that may begin, counted to 10,000 a task), `BRICKYARD_RUNNING`,
//! `BRICKYARD_WORKERS` and `BRICKYARD_SLOTS` (of workers that take jobs). What it prints goes into the log. Nothing depends on it: workers
//! that it did not start are as good, and those that nobody needs end by themselves (`--max-idle`). Of several masters one should have it.

use super::master::Master;
use std::process::Stdio;
use std::sync::Weak;
use std::time::Duration;

/// How often demand is looked at.
pub const EVERY: Duration = Duration::from_secs(15);
/// A command that takes longer is ended.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a class of tasks asks for.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Demand {
    pub class: String,
    pub ready: i64,
    pub running: i64,
    pub workers: i64,
    pub slots: i64,
}

/// Calls the command as long as the master lives.
pub async fn run(master: Weak<Master>, command: String, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        let Some(strong) = master.upgrade() else { return };
        let demand = strong.queue.demand().await;
        drop(strong);
        match demand {
            Ok(demand) => {
                for one in demand.iter().filter(|one| one.ready > 0) {
                    call(&command, one).await;
                }
            }
            Err(error) => tracing::warn!(%error, "demand could not be looked at; again soon"),
        }
    }
}

async fn call(command: &str, demand: &Demand) {
    let Demand { class, ready, running, workers, slots } = demand;
    let mut shell = tokio::process::Command::new("sh");
    shell.args(["-c", command]).env("BRICKYARD_CLASS", class).stdin(Stdio::null()).kill_on_drop(true);
    for (name, number) in [("READY", ready), ("RUNNING", running), ("WORKERS", workers), ("SLOTS", slots)] {
        shell.env(format!("BRICKYARD_{name}"), number.to_string());
    }
    match tokio::time::timeout(PATIENCE, shell.output()).await {
        Ok(Ok(output)) if output.status.success() => {
            tracing::info!(class, ready, running, workers, said = said(&output.stdout), "asked for workers");
        }
        Ok(Ok(output)) => tracing::warn!(class, status = %output.status, said = said(&output.stderr), "the autoscale command failed"),
        Ok(Err(error)) => tracing::warn!(class, %error, "the autoscale command cannot be run"),
        Err(_) => tracing::warn!(class, patience_s = PATIENCE.as_secs(), "the autoscale command took too long and was ended"),
    }
}

/// The last line of what a program said.
fn said(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default().chars().take(300).collect()
}
