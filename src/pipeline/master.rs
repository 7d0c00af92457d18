//! The master: answers workers, and looks after leases, barriers and blocked jobs. It keeps no state that matters.
//!
//! A claim waits inside the master until there is work ([`Notify`]), so that a job starts some milliseconds after its event.
//! Reports that come at the same time are committed together. Two masters on one database are fine: sweeping is guarded by an
//! advisory lock, everything else by row locks. After its start a master sweeps nothing for [`Settings::grace`], so that
//! workers that were cut off by its absence can be heard first.
//!
//! Byte URLs of a local store are paths of the master itself, signed by HMAC-SHA-256 (RFC 2104) over method, key and time.

use super::protocol::{Alive, Artifact, Claim, Claimed, Complete, Fail, Heartbeat, Job, Register, Registered, Signed, Stage, Urls};
use super::protocol::{EVENTS, HEARTBEAT_S, LEASE_S, Logged, Told};
use super::queue::{self, Free, Queue, Reported};
use super::state::Verdict;
use super::{Error, hex, protocol};
use crate::store::{Access, Store};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::{HashMap, HashSet};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::{Notify, mpsc, oneshot};

/// How a master behaves; the defaults are the documented ones, tests shorten them.
#[derive(Debug, Clone)]
pub struct Settings {
    pub lease_s: i32,
    /// No sweep before this has passed since the start.
    pub grace: Duration,
    /// A lost worker is noticed after its lease and at most this.
    pub sweep_every: Duration,
    /// Attempts lost on one node within the window that put it into quarantine.
    pub losses: i32,
    pub losses_window_s: i32,
    /// Logs of attempts, appended to.
    pub log_dir: PathBuf,
    /// Longest output, bytes.
    pub artifact_bytes: u64,
    /// A shell command that starts workers when jobs wait; see [`super::autoscale`].
    pub autoscale: Option<String>,
    pub autoscale_every: Duration,
}

impl Settings {
    pub fn new(log_dir: PathBuf) -> Settings {
        Settings {
            lease_s: LEASE_S,
            grace: Duration::from_secs(60),
            sweep_every: Duration::from_secs(4),
            losses: 5,
            losses_window_s: 600,
            log_dir,
            artifact_bytes: 1 << 40,
            autoscale: None,
            autoscale_every: super::autoscale::EVERY,
        }
    }
}

/// Longest wait of a claim.
pub const WAIT: Duration = Duration::from_secs(60);
/// A claim looks again after this even if nobody woke it: for work that another master brought about.
const SAFETY: Duration = Duration::from_secs(2);
/// Reports that are committed together.
const BATCH: usize = 64;
/// Sessions that commit reports.
const REPORTERS: usize = 2;
/// How long a token that was found good is not asked for again: a revoked one works this long.
const TRUST: Duration = Duration::from_secs(3);
/// How long byte URLs are good.
const URL_LASTS: Duration = Duration::from_secs(3600);

type Pending = (Value, oneshot::Sender<Result<Reported, Error>>);

/// The master's parts; cheap to clone through [`Arc`].
pub struct Master {
    pub queue: Queue,
    pub store: Store,
    settings: Settings,
    work: Notify,
    waiting: AtomicUsize,
    /// Wakes that may still be handed on by workers that found nothing for them.
    hops: AtomicUsize,
    touched: AtomicBool,
    reports: mpsc::Sender<Pending>,
    secret: Vec<u8>,
    tokens: Mutex<HashMap<i32, Known>>,
    workers: Mutex<HashMap<i64, i32>>,
    /// Workers that said they take no more jobs: their claims do not wait.
    draining: Mutex<HashSet<i64>>,
    /// What ends the waiting claim of a worker.
    recalls: Mutex<HashMap<i64, Arc<Notify>>>,
}

/// A token as it was last seen.
#[derive(Clone)]
struct Known {
    token: queue::TokenInfo,
    at: Instant,
}

/// Who asks, after its token was found good.
#[derive(Debug, Clone)]
pub struct Bearer {
    pub token: i32,
    pub name: String,
    classes: Vec<String>,
}

/// The class of a token whose bearer may change jobs and runs; no task is of this class.
pub const OPERATOR: &str = "operator";

impl Bearer {
    /// May the bearer change jobs and runs?
    pub fn is_operator(&self) -> bool {
        self.classes.iter().any(|class| class == OPERATOR)
    }
}

impl Master {
    /// Starts the master's own tasks; they end when the last [`Arc`] goes.
    pub async fn start(queue: Queue, store: Store, settings: Settings) -> Result<Arc<Master>, Error> {
        std::fs::create_dir_all(&settings.log_dir).map_err(|source| crate::store::Error::Io { path: settings.log_dir.clone(), source })?;
        let secret = queue.signing_key(&random::<32>()?).await?;
        let (reports, receiver) = mpsc::channel(4 * BATCH);
        let master = Arc::new(Master {
            queue,
            store,
            settings,
            work: Notify::new(),
            waiting: AtomicUsize::new(0),
            hops: AtomicUsize::new(0),
            touched: AtomicBool::new(true),
            reports,
            secret,
            tokens: Mutex::default(),
            workers: Mutex::default(),
            draining: Mutex::default(),
            recalls: Mutex::default(),
        });
        let receiver = Arc::new(tokio::sync::Mutex::new(receiver));
        for _ in 0..REPORTERS {
            tokio::spawn(commit(Arc::downgrade(&master), receiver.clone()));
        }
        tokio::spawn(tend(Arc::downgrade(&master)));
        tokio::spawn(sweep(Arc::downgrade(&master)));
        tokio::spawn(listen(Arc::downgrade(&master)));
        if let Some(command) = master.settings.autoscale.clone() {
            tokio::spawn(super::autoscale::run(Arc::downgrade(&master), command, master.settings.autoscale_every));
        }
        Ok(master)
    }

    /// So many jobs became ready.
    fn wake(&self, jobs: usize) {
        let waiting = self.waiting.load(Ordering::Relaxed);
        self.hops.store(waiting, Ordering::Relaxed);
        for _ in 0..jobs.min(waiting).max(usize::from(jobs > 0)) {
            self.work.notify_one();
        }
    }

    /// Something happened that may make barriers fire or blocked jobs ready.
    pub fn touch(&self) {
        self.touched.store(true, Ordering::Relaxed);
    }

    /// Finds out whose token it is; `brickyard_<id>_<secret>`.
    pub async fn authorize(&self, token: &str) -> Result<Bearer, Error> {
        let (id, secret) = token.strip_prefix("brickyard_").and_then(|t| t.split_once('_')).ok_or(Error::Unauthorized)?;
        let id: i32 = id.parse().map_err(|_| Error::Unauthorized)?;
        let known = self.tokens.lock().ok().and_then(|known| known.get(&id).cloned()).filter(|known| known.at.elapsed() < TRUST);
        let known = match known {
            Some(known) => known,
            None => {
                let token = self.queue.token(id).await?.filter(|token| token.in_force).ok_or(Error::Unauthorized)?;
                let known = Known { token, at: Instant::now() };
                if let Ok(mut tokens) = self.tokens.lock() {
                    tokens.insert(id, known.clone());
                }
                known
            }
        };
        let hash = Sha256::digest(secret.as_bytes());
        match bool::from(subtle::ConstantTimeEq::ct_eq(hash.as_slice(), known.token.hash.as_slice())) {
            true => Ok(Bearer { token: id, name: known.token.name, classes: known.token.classes }),
            false => Err(Error::Unauthorized),
        }
    }

    /// Refuses a worker that is not of the bearer's token.
    async fn owned(&self, bearer: &Bearer, worker: i64) -> Result<(), Error> {
        let known = self.workers.lock().ok().and_then(|workers| workers.get(&worker).copied());
        if known == Some(bearer.token) {
            return Ok(());
        }
        if known.is_some() || !self.queue.is_worker_of(worker, bearer.token).await? {
            return Err(Error::Unauthorized);
        }
        if let Ok(mut workers) = self.workers.lock() {
            workers.insert(worker, bearer.token);
        }
        Ok(())
    }

    pub async fn register(&self, bearer: &Bearer, request: &Register) -> Result<Registered, Error> {
        let classes = match request.classes.is_empty() {
            true => &bearer.classes,
            false => &request.classes,
        };
        if let Some(other) = classes.iter().find(|class| !bearer.classes.contains(class)) {
            return Err(Error::Refused(format!("this token does not serve class {other:?}")));
        }
        let (worker, lost) = self.queue.register(bearer.token, classes, request).await?.map_err(Error::Refused)?;
        self.wake(usize::try_from(lost).unwrap_or(0));
        Ok(Registered { worker, lease_s: self.settings.lease_s, heartbeat_s: HEARTBEAT_S.min(self.settings.lease_s as u64 / 4), lost })
    }

    /// Waits for work at most so long. A claim of no job calls the worker's waiting one back: what is free has changed.
    pub async fn claim(&self, bearer: &Bearer, request: &Claim, wait: Duration) -> Result<Claimed, Error> {
        self.owned(bearer, request.worker).await?;
        if request.jobs == 0 {
            if let Some(recall) = self.recalls.lock().ok().and_then(|recalls| recalls.get(&request.worker).cloned()) {
                recall.notify_waiters();
            }
            return Ok(Claimed { jobs: Vec::new() });
        }
        let recall = Recall::new(&self.recalls, request.worker);
        let recalled = recall.notify.notified();
        tokio::pin!(recalled);
        recalled.as_mut().enable();
        let free = Free { jobs: request.jobs, cpu: request.cpu, mem_mb: request.mem_mb, disk_mb: request.disk_mb };
        let until = Instant::now() + wait.min(WAIT);
        let mut woken = false;
        loop {
            let notified = self.work.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            let jobs = self.queue.claim(request.worker, free, self.settings.lease_s).await?;
            if !jobs.is_empty() {
                return Ok(Claimed { jobs: jobs.into_iter().map(message).collect() });
            }
            // woken for a job that this worker cannot take: another may
            let hop = |hops: usize| hops.checked_sub(1);
            if woken && self.hops.fetch_update(Ordering::Relaxed, Ordering::Relaxed, hop).is_ok() {
                self.work.notify_one();
            }
            let left = until.saturating_duration_since(Instant::now());
            let drains = self.draining.lock().is_ok_and(|draining| draining.contains(&request.worker));
            if left.is_zero() || drains {
                return Ok(Claimed { jobs: Vec::new() });
            }
            let _waiting = Waiting::new(&self.waiting);
            woken = tokio::select! {
                () = notified => true,
                () = tokio::time::sleep(left.min(SAFETY)) => false,
                () = recalled.as_mut() => return Ok(Claimed { jobs: Vec::new() }),
            };
        }
    }

    pub async fn heartbeat(&self, bearer: &Bearer, request: &Heartbeat) -> Result<Alive, Error> {
        self.owned(bearer, request.worker).await?;
        let (jobs, attempts): (Vec<i64>, Vec<i32>) = request.jobs.iter().copied().unzip();
        let jobs = self.queue.heartbeat(request.worker, &jobs, &attempts, self.settings.lease_s).await?;
        match (request.leaving, request.draining) {
            (true, _) => self.queue.leave(request.worker).await?,
            (false, true) => {
                self.queue.drain(request.worker).await?;
                let new = self.draining.lock().is_ok_and(|mut draining| draining.insert(request.worker));
                if new {
                    self.work.notify_waiters();
                }
            }
            (false, false) => {}
        }
        Ok(Alive { jobs })
    }

    /// Commits a completion, together with others that are under way.
    pub async fn complete(&self, bearer: &Bearer, job: i64, attempt: i32, request: Complete) -> Result<Verdict, Error> {
        self.owned(bearer, request.worker).await?;
        let mut artifacts = Vec::new();
        if !(request.artifacts.is_empty() && request.events.is_empty()) {
            // an attempt that does not run (any more) is told so by the commit
            if let Some(task) = self.queue.owns(request.worker, job, attempt).await? {
                may_tell(&request.events, &task)?;
                artifacts = self.stored(&task.run, job, attempt, &request.artifacts).await?;
            }
        }
        let report = json!({
            "worker": request.worker, "job": job, "attempt": attempt, "exit_code": 0, "max_rss_mb": request.usage.max_rss_mb,
            "cpu_s": request.usage.cpu_s, "artifacts": artifacts, "events": request.events,
        });
        let (sender, receiver) = oneshot::channel();
        self.reports.send((report, sender)).await.map_err(|_| Error::NoAnswer)?;
        let reported = receiver.await.map_err(|_| Error::NoAnswer)??;
        Ok(reported.verdict)
    }

    /// The artifacts as rows; each must be in the store with the size that the worker says.
    async fn stored(&self, run: &str, job: i64, attempt: i32, artifacts: &[Artifact]) -> Result<Vec<Value>, Error> {
        let mut rows = Vec::with_capacity(artifacts.len());
        for artifact in artifacts {
            let key = artifact_key(run, job, attempt, &artifact.name);
            let size = self.store.size(&key).await?;
            if size != artifact.bytes {
                return Err(Error::Refused(format!("{key} has {size} bytes in the store, the worker says {}", artifact.bytes)));
            }
            rows.push(
                json!({"role": artifact.role, "name": artifact.name, "key": key, "sha256": artifact.sha256, "bytes": artifact.bytes}),
            );
        }
        Ok(rows)
    }

    pub async fn fail(&self, bearer: &Bearer, job: i64, attempt: i32, request: &Fail) -> Result<Verdict, Error> {
        self.owned(bearer, request.worker).await?;
        let (verdict, _) = self.queue.fail(job, attempt, request).await?;
        self.wake(1);
        self.touch();
        Ok(verdict)
    }

    pub async fn stage(&self, bearer: &Bearer, job: i64, attempt: i32, request: &Stage) -> Result<Verdict, Error> {
        self.owned(bearer, request.worker).await?;
        may_tell(&request.events, &*self.queue.owns(request.worker, job, attempt).await?.ok_or(Error::Fenced)?)?;
        self.queue.stage(request.worker, job, attempt, request.chunk, &request.events).await
    }

    /// URLs for the inputs of a running attempt, and for its outputs.
    pub async fn urls(&self, bearer: &Bearer, job: i64, attempt: i32, request: &Urls) -> Result<Signed, Error> {
        self.owned(bearer, request.worker).await?;
        let task = self.queue.owns(request.worker, job, attempt).await?.ok_or(Error::Fenced)?;
        let mut signed = Signed { get: Vec::new(), put: Vec::new() };
        if !request.get.is_empty() {
            let inputs = self.queue.inputs(job, &request.get).await?;
            for key in &request.get {
                if !inputs.contains(key) {
                    return Err(Error::Refused(format!("{key:?} is no input of job {job}")));
                }
                signed.get.push(self.url(Access::Get, key).await?);
            }
        }
        for name in &request.put {
            signed.put.push(self.url(Access::Put, &artifact_key(&task.run, job, attempt, name)).await?);
        }
        Ok(signed)
    }

    async fn url(&self, access: Access, key: &str) -> Result<String, Error> {
        if let Some(url) = self.store.sign(access, key, URL_LASTS).await? {
            return Ok(url);
        }
        let until = now_s() + URL_LASTS.as_secs();
        let signature = hex(&self.signature(access, key, until));
        Ok(format!("v1/bytes/{key}?until={until}&signature={signature}"))
    }

    fn signature(&self, access: Access, key: &str, until: u64) -> [u8; 32] {
        let method = match access {
            Access::Get => "GET",
            Access::Put => "PUT",
        };
        hmac(&self.secret, format!("{method}\n{key}\n{until}").as_bytes())
    }

    /// Refuses a byte URL that was not signed here, or whose time is over.
    pub fn check_url(&self, access: Access, key: &str, until: u64, signature: &str) -> Result<(), Error> {
        let given = super::from_hex(signature).ok_or(Error::Unauthorized)?;
        let wanted = self.signature(access, key, until);
        match bool::from(subtle::ConstantTimeEq::ct_eq(wanted.as_slice(), given.as_slice())) && until >= now_s() {
            true => Ok(()),
            false => Err(Error::Unauthorized),
        }
    }

    /// Longest output, bytes.
    pub fn artifact_bytes(&self) -> u64 {
        self.settings.artifact_bytes
    }

    /// Keeps a piece of a log that begins at `offset`; pieces that are there already change nothing, a gap is refused by
    /// telling how much is there.
    pub async fn log(&self, bearer: &Bearer, worker: i64, job: i64, attempt: i32, offset: u64, piece: &[u8]) -> Result<Logged, Error> {
        self.owned(bearer, worker).await?;
        self.queue.owns(worker, job, attempt).await?.ok_or(Error::Fenced)?;
        let path = self.log_file(job, attempt);
        let bytes = append(&path, offset, piece).map_err(|source| crate::store::Error::Io { path, source })?;
        Ok(Logged { bytes })
    }

    /// Where the log of an attempt lies; it need not be there.
    pub fn log_file(&self, job: i64, attempt: i32) -> PathBuf {
        log_path(&self.settings.log_dir, job, attempt)
    }
}

/// Where the log of an attempt lies: at most 1,000 jobs a folder.
pub fn log_path(log_dir: &std::path::Path, job: i64, attempt: i32) -> PathBuf {
    log_dir.join((job / 1000).to_string()).join(format!("{job}.{attempt}.log"))
}

/// Where an output lies: its attempt's own place.
pub fn artifact_key(run: &str, job: i64, attempt: i32, name: &str) -> String {
    format!("{run}/{job}/{attempt}/{name}")
}

/// Counts a claim that waits.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Waiting<'a> {
        count.fetch_add(1, Ordering::Relaxed);
        Waiting(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A claim that can be called back.
struct Recall<'a> {
    recalls: &'a Mutex<HashMap<i64, Arc<Notify>>>,
    worker: i64,
    notify: Arc<Notify>,
}

impl<'a> Recall<'a> {
    fn new(recalls: &'a Mutex<HashMap<i64, Arc<Notify>>>, worker: i64) -> Recall<'a> {
        let notify = recalls.lock().map(|mut recalls| recalls.entry(worker).or_default().clone()).unwrap_or_default();
        Recall { recalls, worker, notify }
    }
}

impl Drop for Recall<'_> {
    fn drop(&mut self) {
        if let Ok(mut recalls) = self.recalls.lock()
            // the map's and our own: no other claim of the worker waits
            && Arc::strong_count(&self.notify) <= 2
        {
            recalls.remove(&self.worker);
        }
    }
}

fn append(path: &std::path::Path, offset: u64, piece: &[u8]) -> std::io::Result<u64> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    let mut file = std::fs::OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
    let there = file.metadata()?.len();
    let new = usize::try_from(there.saturating_sub(offset)).ok().and_then(|seen| piece.get(seen..));
    match new {
        Some(new) if offset <= there && !new.is_empty() && there < protocol::LOG_TOTAL_BYTES => {
            file.seek(SeekFrom::Start(there))?;
            file.write_all(new)?;
            Ok(there + new.len() as u64)
        }
        // all of it is there, or something before it is missing, or it is long enough: the worker goes on from what it is told
        _ if there >= protocol::LOG_TOTAL_BYTES => Ok(offset + piece.len() as u64),
        _ => Ok(there),
    }
}

fn message(claimed: queue::Claimed) -> Job {
    let task = &claimed.task;
    Job {
        job: claimed.job,
        attempt: claimed.attempt,
        run: task.run.clone(),
        task: task.name.clone(),
        argv: task.spec.argv.clone(),
        env: task.spec.env.clone(),
        params: task.params.clone(),
        timeout_s: task.spec.timeout_s,
        cpu: claimed.cpu,
        mem_mb: claimed.mem_mb,
        disk_mb: claimed.disk_mb,
        event: claimed.event,
        inputs: claimed.inputs,
        needs: task.spec.needs.clone(),
        outputs: task.spec.outputs.clone(),
        emits: task.spec.emits.clone(),
        then: task.spec.then.clone(),
    }
}

/// Commits reports as they come, all that wait at once.
async fn commit(master: std::sync::Weak<Master>, receiver: Arc<tokio::sync::Mutex<mpsc::Receiver<Pending>>>) {
    loop {
        let mut batch = Vec::new();
        let mut events = 0;
        {
            let mut receiver = receiver.lock().await;
            let Some(first) = receiver.recv().await else { return };
            batch.push(first);
            while batch.len() < BATCH && events < EVENTS {
                let Ok(next) = receiver.try_recv() else { break };
                events += next.0["events"].as_array().map_or(0, Vec::len);
                batch.push(next);
            }
        }
        let Some(master) = master.upgrade() else { return };
        master.commit_batch(batch).await;
    }
}

impl Master {
    async fn commit_batch(&self, batch: Vec<Pending>) {
        let reports: Vec<Value> = batch.iter().map(|(report, _)| report.clone()).collect();
        match self.queue.complete(reports).await {
            Ok(reported) => self.answer(batch, reported),
            // one of them is bad, or the database is: each alone, so that none suffers for another
            Err(error) if batch.len() > 1 && !matches!(error, Error::Pool(_)) => {
                for pending in batch {
                    let alone = self.queue.complete(vec![pending.0.clone()]).await;
                    match alone {
                        Ok(reported) => self.answer(vec![pending], reported),
                        Err(error) => drop(pending.1.send(Err(error))),
                    }
                }
            }
            Err(error) => {
                let text = error.to_string();
                let mut first = Some(error);
                for (_, sender) in batch {
                    // the asker may be gone
                    let _ = sender.send(Err(first.take().unwrap_or_else(|| Error::Pool(text.clone()))));
                }
            }
        }
    }

    fn answer(&self, batch: Vec<Pending>, reported: Vec<Reported>) {
        let ready: i32 = reported.iter().map(|r| r.jobs - r.blocked).sum();
        if reported.iter().any(|r| r.touched || r.blocked > 0) {
            self.touch();
        }
        self.wake(usize::try_from(ready).unwrap_or(0));
        for ((_, sender), reported) in batch.into_iter().zip(reported) {
            let _ = sender.send(Ok(reported)); // the asker may be gone
        }
    }

    /// Fires barriers and tells blocked jobs their resources, until there is nothing more to do.
    pub async fn look_after(&self) -> Result<(), Error> {
        loop {
            let (fired, made) = self.queue.check_barriers().await?;
            let admitted = self.queue.admit().await?;
            self.wake(usize::try_from(made.jobs).unwrap_or(0) + usize::try_from(admitted).unwrap_or(0));
            if fired == 0 {
                return Ok(());
            }
        }
    }
}

/// Looks after barriers and blocked jobs: at once when something touched them, and every 30 s whatever happened.
async fn tend(master: std::sync::Weak<Master>) {
    let mut last = Instant::now();
    loop {
        let Some(master) = master.upgrade() else { return };
        if master.touched.swap(false, Ordering::Relaxed) || last.elapsed() > Duration::from_secs(30) {
            last = Instant::now();
            if let Err(error) = master.look_after().await {
                tracing::warn!(%error, "barriers and blocked jobs could not be looked after; again soon");
                master.touch();
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
        drop(master);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn sweep(master: std::sync::Weak<Master>) {
    let Some(settings) = master.upgrade().map(|master| master.settings.clone()) else { return };
    tokio::time::sleep(settings.grace).await;
    loop {
        let Some(master) = master.upgrade() else { return };
        match master.queue.sweep(settings.losses, settings.losses_window_s).await {
            Ok(swept) => {
                if swept.lost > 0 || swept.quarantined > 0 {
                    tracing::warn!(lost = swept.lost, quarantined_nodes = swept.quarantined, "leases passed");
                }
                master.wake(usize::try_from(swept.lost.max(0) + swept.woken).unwrap_or(0));
                if swept.lost > 0 {
                    master.touch();
                }
            }
            Err(error) => tracing::warn!(%error, "leases could not be looked after; again soon"),
        }
        drop(master);
        tokio::time::sleep(settings.sweep_every).await;
    }
}

/// Hears of changes that were made without us: the command line, another master.
async fn listen(master: std::sync::Weak<Master>) {
    loop {
        let Some(strong) = master.upgrade() else { return };
        let session = strong.queue.session().await;
        drop(strong);
        if let Ok(session) = session {
            let hear = || {
                if let Some(master) = master.upgrade() {
                    master.touch();
                    master.wake(BATCH);
                }
            };
            if let Err(error) = session.listen(include_str!("../../sql/pipeline/listen.sql"), hear).await {
                tracing::warn!(%error, "not hearing of changes; again soon");
            }
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// A fresh token of this id: the text for the worker, and what is kept of it.
pub fn new_secret() -> Result<(String, Vec<u8>), Error> {
    let secret = hex(&random::<32>()?);
    let hash = Sha256::digest(secret.as_bytes()).to_vec();
    Ok((secret, hash))
}

fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    let path = PathBuf::from("/dev/urandom");
    let read = std::fs::File::open(&path).and_then(|mut file| file.read_exact(&mut bytes));
    read.map_err(|source| crate::store::Error::Io { path, source })?;
    Ok(bytes)
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// HMAC-SHA-256, RFC 2104.
fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = [0_u8; 64];
    match key.len() > 64 {
        true => block[..32].copy_from_slice(&Sha256::digest(key)),
        false => block[..key.len()].copy_from_slice(key),
    }
    let inner = Sha256::new().chain_update(block.map(|b| b ^ 0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(block.map(|b| b ^ 0x5c)).chain_update(inner).finalize().into()
}

/// What a file that comes with an event is called in the store: by its bytes.
pub fn external_key(sha256: &str, name: &str) -> String {
    format!("external/{}/{sha256}/{name}", &sha256[..2])
}

/// Refuses events that the task does not declare.
fn may_tell(events: &[Told], task: &queue::TaskInfo) -> Result<(), Error> {
    match undeclared(events, &task.spec.emits, &task.spec.then) {
        Some(name) => Err(Error::Refused(format!("task {:?} does not declare the event {name:?} (`emits`, `then`)", task.name))),
        None => Ok(()),
    }
}

/// The first event that a task does not declare.
pub fn undeclared<'a>(events: &'a [Told], emits: &[String], then: &[String]) -> Option<&'a str> {
    events.iter().map(|event| event.name.as_str()).find(|name| !emits.iter().chain(then).any(|e| e == name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hmac_is_the_one_of_rfc_4231() {
        assert_eq!(
            hex(&hmac(b"Jefe", b"what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            hex(&hmac(&[0xaa; 131], b"Test Using Larger Than Block-Size Key - Hash Key First")),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }

    #[test]
    fn a_log_grows_by_pieces_in_order_however_often_they_come() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("1/a.log");
        for (offset, piece, kept) in [(0, "hello", 5), (0, "hello", 5), (3, "lo wor", 9), (20, "gap", 9), (9, "ld", 11)] {
            assert_eq!(append(&path, offset, piece.as_bytes()).expect("a write"), kept);
        }
        assert_eq!(std::fs::read_to_string(&path).expect("the log"), "hello world");
    }
}
