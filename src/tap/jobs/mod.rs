//! Asynchronous jobs: a queue in PostgreSQL, workers in the service's process, results on its disk.
//!
//! There are two kinds ([`Kind`]): queries, which are run here, and pieces of images, whose way of running ([`Execute`]) comes from the
//! floor above. They share queue, limits and disk; a request knows one kind, and jobs of the other are not there for it.
//!
//! [`Jobs`] is what the requests talk to; `store` keeps the books (schema `uws`, as the owner, never as the role of the queries), `disk`
//! the files, `runner` the workers. Which phase follows which is decided in [`job`] alone.
//!
//! What is promised:
//! - A job is run by one service at a time: it is claimed by one statement that passes over rows another one is taking, and its end is
//!   written only by the service that claimed it. Each service renews a lease and holds an advisory lock; when either is gone, the others
//!   (and it itself, when it comes back) end its jobs with an ERROR that says so. Services that share a folder of results share its jobs.
//! - A service that is stopped in order gives its running jobs back to the queue.
//! - Whose turn it is follows the clients, not the jobs: who has fewest running, then who was served longest ago.
//! - An answer to "what is the phase" is one indexed row over a session that waits for no other; waiting clients are woken in the process.

mod disk;
mod execute;
pub mod options;
mod runner;
mod store;

pub use disk::{Disk, Error as DiskError, Writer};
pub use options::Options;
pub use runner::{Execute, Stop};
pub use store::{Edit, Listed};

use super::job::{self, Event, Phase, Refusal};
use super::upload;
use crate::db;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use store::{Full, Room, Store};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A query in ADQL (TAP).
    Query,
    /// Pieces of images (SODA).
    Pieces,
}

impl Kind {
    /// The name in the books.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Query => "query",
            Kind::Pieces => "pieces",
        }
    }

    pub fn from_name(name: &str) -> Option<Kind> {
        [Kind::Query, Kind::Pieces].into_iter().find(|kind| kind.name() == name)
    }
}

/// A job as the books have it.
#[derive(Debug, Clone)]
pub struct Job {
    /// 32 hexadecimal digits.
    pub id: String,
    pub kind: Kind,
    /// Whose queue it stands in: the client's address.
    pub client: String,
    /// The authenticated owner, if there is one.
    pub owner: Option<String>,
    pub run_id: Option<String>,
    pub phase: Phase,
    pub creation: SystemTime,
    pub started: Option<SystemTime>,
    pub ended: Option<SystemTime>,
    /// When it is thought to be done.
    pub quote: Option<SystemTime>,
    /// How long it may run.
    pub duration: Duration,
    /// When it vanishes with its result.
    pub destruction: SystemTime,
    /// Names in capitals, values as they came.
    pub parameters: Vec<(String, String)>,
    pub uploads: Vec<Upload>,
    pub fault: Option<Fault>,
    pub result: Option<Outcome>,
    /// Its place in the queue, from 1.
    pub position: Option<i64>,
}

/// A file that came with a job.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Upload {
    /// The name of its part of the form, which UPLOAD=name,param:part means.
    pub part: String,
    /// Its file in the job's folder; a name of ours.
    pub file: String,
    /// As the client called it; only its ending is ever looked at.
    pub file_name: Option<String>,
    pub content_type: Option<String>,
    pub bytes: u64,
}

/// Why a job ended in ERROR.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Fault {
    /// For the user: what, where, why, remedy.
    pub message: String,
    /// For programs: kebab-case.
    pub code: String,
    /// The same job may succeed at another time.
    pub transient: bool,
}

/// What a job gave.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Outcome {
    pub bytes: u64,
    /// The MIME type of the file.
    pub mime: String,
    /// The ending of a file name for it: `vot`, `csv`.
    pub ending: String,
}

/// What a client wants to have made.
#[derive(Debug, Clone)]
pub struct New {
    pub kind: Kind,
    pub client: String,
    pub owner: Option<String>,
    pub run_id: Option<String>,
    pub parameters: Vec<(String, String)>,
    pub uploads: Vec<Upload>,
    pub duration: Duration,
    /// `None` is the service's retention, counted by the server's clock.
    pub destruction: Option<SystemTime>,
    pub retention: Duration,
    pub quote: Option<SystemTime>,
}

/// Why a request about jobs is refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Db(#[from] db::Error),
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error("there is no job {0}: it was deleted, its time of destruction has come, or it never was")]
    NoJob(String),
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The client's own share is used up.
    #[error("you have {waiting} jobs {}, the most for one client: DELETE or ABORT some, or wait until they have run", phase.name())]
    ClientFull { waiting: i64, phase: Phase },
    /// The service's queue is full.
    #[error("{waiting} jobs are {} here, the most that this service takes: try again later", phase.name())]
    Full { waiting: i64, phase: Phase },
}

/// The jobs of this service. Shared by all requests.
pub struct Jobs {
    options: Options,
    uploads: upload::Options,
    /// The longest run time.
    limit: Duration,
    store: Store,
    disk: Disk,
    /// For the session that keeps the lease.
    place: db::Options,
    /// This service among those on the database.
    number: i32,
    /// Its lease holds, so that it may claim jobs.
    alive: AtomicBool,
    stopping: AtomicBool,
    /// Something may be claimable.
    wake: Notify,
    /// A job changed its phase; waiters are sorted by a hash of the id, so that a change wakes few of them.
    changed: [Notify; SHARDS],
    /// Jobs that run here, and how to stop them.
    running: Mutex<HashMap<String, watch::Sender<Option<Stop>>>>,
}

const SHARDS: usize = 64;
/// Between two looks at the books for changes that another service made.
const LOOK: Duration = Duration::from_secs(2);

impl Jobs {
    /// Opens the books and the folder, and ends what a service that is gone left behind. `limit`: the longest run time.
    pub async fn open(
        place: db::Options,
        folder: PathBuf,
        options: Options,
        uploads: upload::Options,
        limit: Duration,
    ) -> Result<Jobs, Error> {
        let store = Store::open(place.clone()).await?;
        let disk = Disk::open(folder, options.result_bytes, options.quota_bytes)?;
        let digits = db::random()?;
        // 31 bits, so that it is the same number as int4 and as the oid of pg_locks
        let number =
            i32::from_str_radix(&digits[..8], 16).unwrap_or_else(|_| i32::from_str_radix(&digits[..7], 16).unwrap_or(1)) & i32::MAX;
        let jobs = Jobs {
            options,
            uploads,
            limit,
            store,
            disk,
            place,
            number,
            alive: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            wake: Notify::new(),
            changed: std::array::from_fn(|_| Notify::new()),
            running: Mutex::default(),
        };
        jobs.tidy(true).await?;
        Ok(jobs)
    }

    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Limits on uploads.
    pub fn uploads(&self) -> &upload::Options {
        &self.uploads
    }

    pub fn disk(&self) -> &Disk {
        &self.disk
    }

    /// The longest run time.
    pub fn limit(&self) -> Duration {
        self.limit
    }

    /// An id for a job to come: 128 bits, not to be guessed, because who knows it owns the job.
    pub fn new_id(&self) -> Result<String, Error> {
        Ok(db::random()?)
    }

    /// Writes a new job, and starts it if `run`. Its uploads must be in its folder already; if the job is refused they are removed.
    pub async fn create(&self, id: &str, new: New, run: bool) -> Result<(), Error> {
        let made = self.try_create(id, &new, run).await;
        if made.is_err() && !new.uploads.is_empty() {
            self.disk.remove(id)?;
        }
        made
    }

    async fn try_create(&self, id: &str, new: &New, run: bool) -> Result<(), Error> {
        self.disk.room()?;
        let (phase, room) = match run {
            true => (job::next(Phase::Pending, Event::Run)?, self.queue_room()),
            false => (Phase::Pending, Room { of_client: self.options.pending_per_client, of_all: self.options.pending }),
        };
        self.store.create(id, new, phase, room, self.disk.name()).await?.map_err(|full| full_error(full, phase))?;
        if run {
            self.wake.notify_one();
        }
        Ok(())
    }

    fn queue_room(&self) -> Room {
        Room { of_client: self.options.queued_per_client, of_all: self.options.queued }
    }

    pub async fn job(&self, kind: Kind, id: &str) -> Result<Job, Error> {
        match is_id(id) {
            true => self.store.job(kind, id).await?.ok_or_else(|| Error::NoJob(id.to_owned())),
            false => Err(no_job(id)),
        }
    }

    pub async fn phase(&self, kind: Kind, id: &str) -> Result<Phase, Error> {
        match is_id(id) {
            true => self.store.phase(kind, id).await?.ok_or_else(|| Error::NoJob(id.to_owned())),
            false => Err(no_job(id)),
        }
    }

    /// Waits until the job is in another phase than now, at most so long, and only while it is active. With `only_in`, only if it is in
    /// that phase now: the client has seen it there, and would otherwise wait for a change that has happened.
    pub async fn wait(&self, kind: Kind, id: &str, longest: Duration, only_in: Option<Phase>) -> Result<(), Error> {
        let first = self.phase(kind, id).await?;
        let deadline = Instant::now() + longest;
        if only_in.is_some_and(|phase| phase != first) {
            return Ok(());
        }
        loop {
            let mut changed = std::pin::pin!(self.changed[shard(id)].notified());
            changed.as_mut().enable(); // before the look, so that no change falls between
            let now = self.phase(kind, id).await?;
            let left = deadline.saturating_duration_since(Instant::now());
            if now != first || !now.is_active() || left.is_zero() {
                return Ok(());
            }
            let _ = tokio::time::timeout(left.min(LOOK), changed).await; // woken or not: look again
        }
    }

    /// The client's jobs, newest first.
    pub async fn list(
        &self,
        kind: Kind,
        client: &str,
        phases: Option<&[Phase]>,
        after: Option<SystemTime>,
        last: Option<usize>,
    ) -> Result<Vec<Listed>, Error> {
        let most = self.options.list;
        Ok(self.store.list(kind, client, phases, after, last.map_or(most, |last| last.min(most))).await?)
    }

    pub async fn run(&self, kind: Kind, id: &str) -> Result<(), Error> {
        loop {
            let phase = self.phase(kind, id).await?;
            if job::next(phase, Event::Run)? == phase {
                return Ok(());
            }
            self.disk.room()?;
            match self.store.run(id, self.queue_room()).await? {
                Ok(true) => {
                    self.tell(id);
                    self.wake.notify_one();
                    return Ok(());
                }
                Ok(false) => {} // somebody was quicker: look again
                Err(full) => return Err(full_error(full, Phase::Queued)),
            }
        }
    }

    pub async fn abort(&self, kind: Kind, id: &str) -> Result<(), Error> {
        loop {
            let phase = self.phase(kind, id).await?;
            if job::next(phase, Event::Abort)? == phase {
                return Ok(());
            }
            if self.store.abort(id).await? {
                self.stop(id, Stop::Cancelled);
                self.tell(id);
                return Ok(());
            }
        }
    }

    pub async fn edit(&self, kind: Kind, id: &str, edit: &Edit) -> Result<(), Error> {
        loop {
            let phase = self.phase(kind, id).await?;
            job::next(phase, Event::Edit)?;
            if self.store.edit(id, edit).await? {
                return Ok(());
            }
        }
    }

    pub async fn set_destruction(&self, kind: Kind, id: &str, at: SystemTime) -> Result<(), Error> {
        match is_id(id) && self.store.set_destruction(kind, id, at).await? {
            true => Ok(()),
            false => Err(no_job(id)),
        }
    }

    /// Forgets a job: cancels its query, removes its files.
    pub async fn delete(&self, kind: Kind, id: &str) -> Result<(), Error> {
        if !is_id(id) || !self.store.delete(kind, id).await? {
            return Err(no_job(id));
        }
        self.forget(id);
        Ok(())
    }

    /// After its row is gone.
    fn forget(&self, id: &str) {
        self.stop(id, Stop::Cancelled);
        self.tell(id);
        if let Err(error) = self.disk.remove(id) {
            tracing::error!(job = id, %error, "cannot remove a job's files; the sweep tries again");
        }
    }

    /// Wakes those who wait for this job.
    fn tell(&self, id: &str) {
        self.changed[shard(id)].notify_waiters();
    }

    /// Tells the job's worker, if it runs here, to stop.
    fn stop(&self, id: &str, why: Stop) {
        if let Some(stop) = self.running.lock().unwrap_or_else(PoisonError::into_inner).get(id) {
            stop.send_replace(Some(why));
        }
    }

    /// Jobs that run here.
    pub fn running(&self) -> usize {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }
}

fn full_error(full: Full, phase: Phase) -> Error {
    match full {
        Full::Client(waiting) => Error::ClientFull { waiting, phase },
        Full::All(waiting) => Error::Full { waiting, phase },
    }
}

fn no_job(id: &str) -> Error {
    const SHOWN: usize = 40;
    Error::NoJob(id.chars().filter(char::is_ascii_alphanumeric).take(SHOWN).collect())
}

/// Is this the id of a job, and so fit for a path?
fn is_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn shard(id: &str) -> usize {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    (hasher.finish() % SHARDS as u64) as usize
}
