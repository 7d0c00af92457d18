//! The workers: claims jobs while there are free hands, runs them, writes how they ended; keeps the lease; sweeps.
//!
//! Three tasks: `claim` (woken in the process when a job is queued or ends, and by the clock for what other services queue), `pulse` (the
//! lease, on a session of its own, because the lock that proves that this service lives goes with that session), `sweep`.

use super::{Error, Fault, Job, Jobs, Kind, Outcome};
use crate::db::{self, Connection};
use crate::tap::Service;
use crate::tap::job::Phase;
use futures_util::future::BoxFuture;
use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep, timeout};

/// Between two heartbeats.
const BEAT: Duration = Duration::from_secs(5);
/// How long a service counts as alive after its last one.
const LEASE: Duration = Duration::from_secs(30);
/// Between two looks at the queue without being woken: jobs of other services' clients, limits that moved.
const POLL: Duration = Duration::from_secs(2);
/// Between two looks for lost and expired jobs, and between two looks at the files.
const SWEEP: Duration = Duration::from_secs(10);
const SWEEP_FILES: Duration = Duration::from_secs(300);
/// What a job gets beyond its run time, in which the server should have stopped its query.
const GRACE: Duration = Duration::from_secs(30);
/// After the database failed.
const PAUSE: Duration = Duration::from_secs(1);

/// Why a running job is to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Aborted, deleted or given to somebody else: nothing is written.
    Cancelled,
    /// The service stops: the job goes back to the queue.
    Leaving,
}

/// Runs a job of pieces: its way to a result on the disk. Dropping the future stops it.
pub type Execute = Arc<dyn Fn(Arc<Jobs>, Job) -> BoxFuture<'static, Result<Outcome, Fault>> + Send + Sync>;

impl Jobs {
    /// Starts the tasks that work the queue until [`Jobs::leave`].
    pub fn work(self: &Arc<Self>, service: &Arc<Service>, pieces: Execute) {
        tokio::spawn(pulse(self.clone()));
        tokio::spawn(claim(self.clone(), service.clone(), pieces));
        tokio::spawn(sweep(self.clone()));
    }

    /// Gives the running jobs back to the queue and signs off. Takes at most `longest`.
    pub async fn leave(&self, longest: Duration) {
        self.stopping.store(true, Ordering::SeqCst);
        self.wake.notify_one();
        let deadline = Instant::now() + longest;
        loop {
            for stop in self.running.lock().unwrap_or_else(PoisonError::into_inner).values() {
                stop.send_if_modified(|why| std::mem::replace(why, why.or(Some(Stop::Leaving))) != *why);
            }
            if self.running() == 0 || Instant::now() > deadline {
                break;
            }
            sleep(Duration::from_millis(20)).await;
        }
        if let Err(error) = self.sign_off().await {
            tracing::warn!(%error, "cannot sign off; the lease ends by itself");
        }
    }

    async fn sign_off(&self) -> Result<(), db::Error> {
        let connection = db::connect(&self.place).await?;
        connection.execute(include_str!("../../../sql/tap/runner_leave.sql"), &[&self.number]).await?;
        Ok(())
    }

    /// Ends lost jobs, forgets expired ones; `files` looks at the disk too, `alone` when no other service can be writing there.
    async fn tidy_up(&self, files: bool, alone: bool) -> Result<(), Error> {
        for id in self.store.lose(&lost()).await? {
            tracing::warn!(job = id, "its service is gone");
            self.tell(&id);
        }
        for id in self.store.expire().await? {
            tracing::info!(job = id, "its time of destruction has come");
            self.forget(&id);
        }
        if files {
            let books = self.store.files().await?;
            let bytes = books.iter().map(|(_, _, bytes)| bytes).sum();
            let alone = alone && self.store.runners().await? == 0;
            let jobs: HashMap<String, Phase> = books.into_iter().map(|(id, phase, _)| (id, phase)).collect();
            let disk = self.disk.clone();
            let swept = tokio::task::spawn_blocking(move || disk.sweep(&jobs, bytes, alone)).await;
            let gone = swept.map_err(|error| db::Error::Client(error.to_string()))??;
            if gone > 0 {
                tracing::info!(files = gone, "removed files of jobs that are gone");
            }
        }
        Ok(())
    }

    /// What is done before the first request and then from time to time.
    pub(super) async fn tidy(&self, at_start: bool) -> Result<(), Error> {
        self.tidy_up(true, at_start).await
    }

    /// Writes when a job is thought to be done; nobody waits for that.
    pub fn quote(self: &Arc<Self>, id: &str, in_s: f64) {
        const LONGEST_S: f64 = 1e8;
        let (jobs, id) = (self.clone(), id.to_owned());
        tokio::spawn(async move {
            if let Err(error) = jobs.store.quote(&id, jobs.number, in_s.min(LONGEST_S)).await {
                tracing::debug!(job = id, %error, "cannot write the quote");
            }
        });
    }

    fn enter(&self, id: &str) -> watch::Receiver<Option<Stop>> {
        let (stop, stopped) = watch::channel(self.is_stopping().then_some(Stop::Leaving));
        self.running.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned(), stop);
        stopped
    }

    /// The job is not running here any more.
    fn exit(&self, id: &str) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        self.tell(id);
        self.wake.notify_one();
    }

    fn here(&self) -> Vec<String> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }
}

/// What a job says whose service is gone.
fn lost() -> Fault {
    let message = "the service stopped while this job was running, before its result was whole: create the job again";
    Fault { message: message.into(), code: "service-stopped".into(), transient: true }
}

/// Takes jobs out of the queue while there are free hands.
async fn claim(jobs: Arc<Jobs>, service: Arc<Service>, pieces: Execute) {
    let hands = Arc::new(Semaphore::new(jobs.options.running.max(1)));
    while let Ok(hand) = hands.clone().acquire_owned().await {
        if jobs.is_stopping() {
            return;
        }
        let claimed = match jobs.alive.load(Ordering::SeqCst) {
            true => jobs.store.claim(jobs.number, jobs.options.running_per_client.max(1), jobs.disk.name()).await,
            false => Ok(None),
        };
        match claimed {
            Ok(Some(job)) => {
                let stopped = jobs.enter(&job.id);
                jobs.tell(&job.id);
                let run = run(jobs.clone(), service.clone(), pieces.clone(), job.clone());
                tokio::spawn(work(jobs.clone(), job, run, stopped, hand));
            }
            Ok(None) => {
                drop(hand);
                let _ = timeout(POLL, jobs.wake.notified()).await; // woken or not: look again
            }
            Err(error) => {
                tracing::error!(%error, "cannot claim jobs");
                sleep(PAUSE).await;
            }
        }
    }
}

async fn run(jobs: Arc<Jobs>, service: Arc<Service>, pieces: Execute, job: Job) -> Result<Outcome, Fault> {
    match job.kind {
        Kind::Query => super::execute::execute(&jobs, &service, &job).await,
        Kind::Pieces => pieces(jobs, job).await,
    }
}

/// One job from claim to end. A panic in it is the job's error, not the worker's end.
async fn work(
    jobs: Arc<Jobs>,
    job: Job,
    run: impl Future<Output = Result<Outcome, Fault>> + Send + 'static,
    mut stopped: watch::Receiver<Option<Stop>>,
    _hand: OwnedSemaphorePermit,
) {
    let Job { kind, id, duration: limit, .. } = job;
    let started = Instant::now();
    let task = tokio::spawn(run);
    let abort = task.abort_handle();
    let ended = tokio::select! {
        ended = task => ended.unwrap_or_else(|panic| Err(internal(&panic))),
        () = sleep(limit + GRACE) => {
            abort.abort();
            Err(overdue(limit))
        }
        why = asked(&mut stopped) => {
            abort.abort(); // its session cancels the query when it is dropped
            stop(&jobs, kind, &id, why).await;
            jobs.exit(&id);
            return;
        }
    };
    tracing::info!(job = id, ms = started.elapsed().as_millis() as u64, failed = ended.is_err(), "job ended");
    write_end(&jobs, kind, &id, &ended).await;
    jobs.exit(&id);
}

/// For what the server's own clock does not stop: fetching, reading and writing.
fn overdue(limit: Duration) -> Fault {
    let message = format!("the job was stopped after {} s, its execution duration", limit.as_secs());
    Fault { message, code: "timeout".into(), transient: false }
}

/// Done when the job is to stop.
async fn asked(stopped: &mut watch::Receiver<Option<Stop>>) -> Stop {
    match stopped.wait_for(Option::is_some).await {
        Ok(why) => why.unwrap_or(Stop::Cancelled),
        Err(_) => Stop::Cancelled,
    }
}

pub(super) fn internal(cause: &dyn std::fmt::Display) -> Fault {
    tracing::error!(%cause, "a job ended by a fault of ours");
    let message = "the service failed on this job; its operators find out why in their log";
    Fault { message: message.into(), code: "internal".into(), transient: false }
}

/// Writes how the job ended, for as long as the database needs to come back; then the lease has ended the job.
async fn write_end(jobs: &Jobs, kind: Kind, id: &str, ended: &Result<Outcome, Fault>) {
    let give_up = Instant::now() + 2 * LEASE;
    loop {
        let written = match ended {
            Ok(outcome) => jobs.store.finish(id, jobs.number, outcome).await,
            Err(fault) => jobs.store.fail(id, jobs.number, fault).await,
        };
        match written {
            Ok(true) => return,
            // aborted, deleted or given up in the meantime: only its files may be left
            Ok(false) => return jobs.drop_unwanted(kind, id).await,
            Err(error) if Instant::now() < give_up => {
                tracing::error!(job = id, %error, "cannot write the end of a job; trying again");
                sleep(PAUSE).await;
            }
            Err(error) => return tracing::error!(job = id, %error, "gave up writing the end of a job"),
        }
    }
}

async fn stop(jobs: &Jobs, kind: Kind, id: &str, why: Stop) {
    match why {
        Stop::Cancelled => jobs.drop_unwanted(kind, id).await,
        // from here on the job's folder may be another service's
        Stop::Leaving => match jobs.store.release(id, jobs.number).await {
            Ok(_) => {}
            Err(error) => tracing::error!(job = id, %error, "cannot give a job back; it will end as lost"),
        },
    }
}

impl Jobs {
    /// Removes the result of a job that was stopped, and all of its files if it was deleted.
    async fn drop_unwanted(&self, kind: Kind, id: &str) {
        let phase = self.store.phase(kind, id).await;
        let removed = match phase {
            Ok(None) => self.disk.remove(id),
            Ok(Some(Phase::Aborted | Phase::Error)) => self.disk.remove_result(id),
            Ok(Some(_)) | Err(_) => Ok(()), // the sweep sees to it
        };
        if let Err(error) = removed {
            tracing::error!(job = id, %error, "cannot remove a job's files; the sweep tries again");
        }
    }
}

/// Renews the lease, and stops what others have ended: jobs aborted or deleted through another service, or given up for lost.
async fn pulse(jobs: Arc<Jobs>) {
    while !jobs.is_stopping() {
        match beats(&jobs).await {
            Ok(()) => {}
            Err(error) => tracing::error!(%error, "cannot renew the lease of the job queue; trying again"),
        }
        jobs.alive.store(false, Ordering::SeqCst);
        sleep(PAUSE).await;
    }
}

/// Registers, then beats until the session breaks or the service stops.
async fn beats(jobs: &Jobs) -> Result<(), db::Error> {
    let connection = db::connect(&jobs.place).await?;
    let mut locked = register(jobs, &connection).await?;
    let beat = connection.prepare(include_str!("../../../sql/tap/runner_beat.sql")).await?;
    while !jobs.is_stopping() {
        sleep(BEAT).await;
        let here = jobs.here();
        let row = connection.query_one(&beat, &[&jobs.number, &LEASE.as_secs_f64(), &!locked]).await?;
        locked |= row.get::<_, Option<bool>>("locked").unwrap_or(false);
        let may: Vec<String> = row.get("jobs");
        for id in here.iter().filter(|id| !may.contains(id)) {
            jobs.stop(id, Stop::Cancelled);
        }
        if !row.get::<_, bool>("alive") && !jobs.is_stopping() {
            tracing::warn!("the lease of the job queue was lost; registering anew");
            locked |= register(jobs, &connection).await?;
        }
    }
    Ok(())
}

async fn register(jobs: &Jobs, connection: &Connection) -> Result<bool, db::Error> {
    let sql = include_str!("../../../sql/tap/runner_register.sql");
    let row = connection.query_one(sql, &[&jobs.number, &LEASE.as_secs_f64()]).await?;
    jobs.alive.store(true, Ordering::SeqCst);
    jobs.wake.notify_one();
    Ok(row.get("locked"))
}

async fn sweep(jobs: Arc<Jobs>) {
    let mut files = Instant::now();
    while !jobs.is_stopping() {
        sleep(SWEEP).await;
        let with_files = files.elapsed() > SWEEP_FILES;
        if with_files {
            files = Instant::now();
        }
        if let Err(error) = jobs.tidy_up(with_files, false).await {
            tracing::error!(%error, "cannot look for lost and expired jobs; trying again");
        }
    }
}
