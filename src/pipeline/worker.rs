//! A worker: pulls jobs, runs each in a scratch folder, publishes and reports. It may vanish at any moment; nothing depends on it.
//!
//! It holds no key but its token: bytes go through signed URLs. It renews its leases every few seconds; a job that the master does
//! not name any more is killed, and all are when the master has not answered for three quarters of the lease, on the monotonic
//! clock: before anybody else can be given them. Reports are repeated until they are answered. The first SIGTERM drains (no new
//! jobs, those that run may end), the second gives the running ones up as preempted.

use super::child::{self, Program, Stop};
use super::client::{Client, Error};
use super::manifest::{Piece, pieces};
use super::protocol::{
    ARTIFACTS, Artifact, Claim, Claimed, Complete, EVENTS, EVENTS_TOTAL, Fail, Heartbeat, Input, Job, LOG_BYTES, Register, Stage, Told,
    Urls, Usage,
};
use super::scratch::{Cache, Scratch};
use super::state::Class;
use futures_util::{FutureExt, StreamExt};
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};

/// What a worker is told at its start.
#[derive(Debug, Clone)]
pub struct Options {
    pub url: String,
    pub token: String,
    pub name: String,
    pub node: String,
    pub classes: Vec<String>,
    pub slots: i32,
    pub cpu: i32,
    pub mem_mb: i32,
    pub disk_mb: i32,
    pub price_per_h: Option<f32>,
    /// Cache and scratch folders; one worker at a time.
    pub dir: PathBuf,
    pub cache_bytes: u64,
    /// Ends after so long without a job.
    pub max_idle: Option<Duration>,
    /// Takes no jobs after so long.
    pub max_life: Option<Duration>,
    /// How long running jobs may go on after SIGTERM; for ever if `None`.
    pub drain_within: Option<Duration>,
    /// This program, for stages that are built in.
    pub brickyard: PathBuf,
    /// What programs see of our environment.
    pub env: Vec<(OsString, OsString)>,
}

/// What a worker did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    pub done: u64,
    pub failed: u64,
}

/// Why a worker ended.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    #[error(transparent)]
    Master(#[from] Error),
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("another worker uses {}; give each its own --dir", path.display())]
    Busy { path: PathBuf },
}

/// Longest wait of a claim at the master.
const WAIT: Duration = Duration::from_secs(30);
/// Between tries when the master does not answer: doubled from this to [`PAUSE_MOST`].
const PAUSE: Duration = Duration::from_millis(200);
const PAUSE_MOST: Duration = Duration::from_secs(10);
/// A disk with less is full.
const NO_ROOM_BYTES: u64 = 256 << 10;
/// Between recalls of a claim.
const RECALL: Duration = Duration::from_secs(1);
/// Between pieces of a running program's log.
const PUMP: Duration = Duration::from_secs(1);
/// After the disk was full, no claim for so long.
const FULL: Duration = Duration::from_secs(60);
/// Inputs or outputs whose URLs are asked for at once.
const ASKED: usize = 500;

/// A job that runs here.
struct Running {
    attempt: i32,
    cpu: i32,
    mem_mb: i32,
    disk_mb: i32,
    stop: watch::Sender<Option<Stop>>,
}

struct Worker {
    client: Client,
    options: Options,
    id: i64,
    cache: Cache,
    running: Mutex<HashMap<i64, Running>>,
    /// A job ended, or something else that the main loop should look at.
    changed: Notify,
    draining: AtomicBool,
    full_until: Mutex<Option<Instant>>,
    done: AtomicU64,
    failed: AtomicU64,
}

/// Works until told to go: `signals` is woken at each SIGTERM or SIGINT.
pub async fn work(options: Options, signals: Arc<Notify>) -> Result<Summary, Ended> {
    let begun = Instant::now();
    let jobs = options.dir.join("jobs");
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| Ended::Io { path, source }
    };
    std::fs::create_dir_all(&options.dir).map_err(io(&options.dir))?;
    let _lock = lock(&options.dir)?;
    // scratch folders of an earlier life
    if jobs.exists() {
        std::fs::remove_dir_all(&jobs).map_err(io(&jobs))?;
    }
    std::fs::create_dir_all(&jobs).map_err(io(&jobs))?;
    let cache = Cache::open(&options.dir.join("cache"), options.cache_bytes).map_err(io(&options.dir))?;
    let client = Client::new(&options.url, &options.token)?;
    let registered = register(&client, &options, &signals).await?;
    tracing::info!(worker = registered.worker, name = options.name, url = options.url, "registered");
    let worker = Arc::new(Worker {
        client,
        options,
        id: registered.worker,
        cache,
        running: Mutex::default(),
        changed: Notify::new(),
        draining: AtomicBool::new(false),
        full_until: Mutex::new(None),
        done: AtomicU64::new(0),
        failed: AtomicU64::new(0),
    });
    let cut_off = Duration::from_secs(u64::try_from(registered.lease_s).unwrap_or(60)) * 3 / 4;
    let beats = tokio::spawn(worker.clone().beat(Duration::from_secs(registered.heartbeat_s.max(1)), cut_off));
    let ender = tokio::spawn(worker.clone().end(signals, begun));
    let ended = worker.clone().pull().await;
    beats.abort();
    ender.abort();
    let _ = worker.client.heartbeat(&worker.heartbeat(true)).await; // a courtesy: the lease would tell it too
    ended?;
    Ok(Summary { done: worker.done.load(Ordering::Relaxed), failed: worker.failed.load(Ordering::Relaxed) })
}

fn lock(dir: &Path) -> Result<std::fs::File, Ended> {
    let path = dir.join("lock");
    let file = std::fs::File::create(&path).map_err(|source| Ended::Io { path, source })?;
    file.try_lock().map_err(|_| Ended::Busy { path: dir.to_owned() })?;
    Ok(file)
}

/// Registers, however long the master takes to come up.
async fn register(client: &Client, options: &Options, signals: &Notify) -> Result<super::protocol::Registered, Ended> {
    let request = Register {
        name: options.name.clone(),
        node: options.node.clone(),
        classes: options.classes.clone(),
        slots: options.slots,
        mem_mb: options.mem_mb,
        disk_mb: options.disk_mb,
        price_per_h: options.price_per_h,
        version: env!("CARGO_PKG_VERSION").into(),
    };
    let mut pause = Pause::default();
    loop {
        match client.register(&request).await {
            Ok(registered) => return Ok(registered),
            Err(error @ Error::Unreachable(_)) => {
                tracing::warn!(%error, "cannot register; trying on");
                tokio::select! {
                    () = pause.wait() => {}
                    () = signals.notified() => return Err(error.into()),
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// What others than root may still write there.
fn free_bytes(dir: &Path) -> u64 {
    rustix::fs::statvfs(dir).map_or(u64::MAX, |fs| fs.f_bavail.saturating_mul(fs.f_frsize))
}

/// Doubling pauses.
#[derive(Default)]
struct Pause(u32);

impl Pause {
    async fn wait(&mut self) {
        let pause = (PAUSE * 2_u32.pow(self.0.min(10))).min(PAUSE_MOST);
        self.0 += 1;
        tokio::time::sleep(pause).await;
    }
}

impl Worker {
    fn heartbeat(&self, leaving: bool) -> Heartbeat {
        let jobs = self.running.lock().map(|running| running.iter().map(|(job, r)| (*job, r.attempt)).collect()).unwrap_or_default();
        Heartbeat { worker: self.id, jobs, draining: self.draining.load(Ordering::Relaxed), leaving }
    }

    /// Tells a job, or all, to stop.
    fn stop(&self, which: impl Fn(i64) -> bool, stop: Stop) {
        if let Ok(running) = self.running.lock() {
            for (_, running) in running.iter().filter(|(job, _)| which(**job)) {
                running.stop.send_if_modified(|now| now.is_none() && now.replace(stop).is_none());
            }
        }
    }

    /// Heartbeats; the only part that knows whether the master is there.
    async fn beat(self: Arc<Worker>, every: Duration, cut_off: Duration) {
        let mut last = Instant::now();
        loop {
            tokio::time::sleep(every).await;
            // jobs that are claimed after this was asked have a fresh lease of their own
            let request = self.heartbeat(false);
            let asked = Instant::now();
            match tokio::time::timeout(every.max(Duration::from_secs(2)), self.client.heartbeat(&request)).await {
                Ok(Ok(alive)) => {
                    last = asked;
                    let (mine, kept) = (request.jobs, alive.jobs);
                    self.stop(|job| mine.iter().any(|(mine, _)| *mine == job) && !kept.contains(&job), Stop::Dropped);
                }
                Ok(Err(Error::Unauthorized)) => {
                    tracing::error!("the token is not valid any more");
                    self.draining.store(true, Ordering::Relaxed);
                    self.stop(|_| true, Stop::CutOff);
                    self.changed.notify_one();
                }
                Ok(Err(error)) => tracing::warn!(%error, "heartbeat not heard"),
                Err(_) => tracing::warn!("heartbeat not answered"),
            }
            if last.elapsed() > cut_off {
                tracing::warn!(seconds = last.elapsed().as_secs(), "cut off from the master: ending all programs");
                self.stop(|_| true, Stop::CutOff);
            }
        }
    }

    /// Ends the worker: at the first signal or the end of its life it drains, at the second or after a while jobs are given up.
    async fn end(self: Arc<Worker>, signals: Arc<Notify>, begun: Instant) {
        let life = async {
            match self.options.max_life {
                Some(life) => tokio::time::sleep_until((begun + life).into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = signals.notified() => {}
            () = life => {}
        }
        tracing::info!("draining");
        self.draining.store(true, Ordering::Relaxed);
        self.changed.notify_one();
        let _ = self.client.heartbeat(&self.heartbeat(false)).await; // so that the master gives us nothing more
        let patience = async {
            match self.options.drain_within {
                Some(within) => tokio::time::sleep(within).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = signals.notified() => {}
            () = patience => {}
        }
        self.stop(|_| true, Stop::Preempted);
    }

    /// Claims what fits and runs it, until drained.
    async fn pull(self: Arc<Worker>) -> Result<(), Ended> {
        let (mut pause, mut idle) = (Pause::default(), Instant::now());
        loop {
            let free = self.free();
            let none_runs = free.jobs == self.options.slots;
            if self.draining.load(Ordering::Relaxed) && none_runs {
                return Ok(());
            }
            if !none_runs {
                idle = Instant::now();
            } else if self.options.max_idle.is_some_and(|most| idle.elapsed() > most) {
                return Ok(());
            }
            if free.jobs == 0 || self.draining.load(Ordering::Relaxed) || self.is_full() {
                tokio::time::timeout(Duration::from_secs(1), self.changed.notified()).await.ok();
                continue;
            }
            let wait = self.options.max_idle.map_or(WAIT, |most| most.min(WAIT));
            match self.claim(&free, wait).await {
                Ok(claimed) => {
                    pause = Pause::default();
                    for job in claimed.jobs {
                        idle = Instant::now();
                        self.clone().begin(job);
                    }
                }
                Err(error @ (Error::Unauthorized | Error::Refused(_))) => {
                    self.stop(|_| true, Stop::CutOff);
                    return Err(error.into());
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot claim; trying on");
                    pause.wait().await;
                }
            }
        }
    }

    /// Claims; when a job ends meanwhile more is free than the master was told, and the claim is called back to be made anew.
    async fn claim(&self, free: &Claim, wait: Duration) -> Result<Claimed, Error> {
        let claim = self.client.claim(free, wait);
        tokio::pin!(claim);
        let nothing = Claim { jobs: 0, ..free.clone() };
        let mut is_stale = false;
        loop {
            let change = async {
                // a recall may come before the claim that it is for
                if is_stale { tokio::time::sleep(RECALL).await } else { self.changed.notified().await }
            };
            tokio::select! {
                claimed = &mut claim => return claimed,
                () = change => {}
            }
            is_stale = true;
            // lost, it is sent again
            tokio::time::timeout(RECALL, self.client.claim(&nothing, Duration::ZERO)).await.ok();
        }
    }

    fn free(&self) -> Claim {
        let o = &self.options;
        let mut free = Claim { worker: self.id, jobs: o.slots, cpu: o.cpu, mem_mb: o.mem_mb, disk_mb: o.disk_mb };
        if let Ok(running) = self.running.lock() {
            for running in running.values() {
                free.jobs -= 1;
                free.cpu -= running.cpu;
                free.mem_mb -= running.mem_mb;
                free.disk_mb -= running.disk_mb;
            }
        }
        free.jobs = free.jobs.max(0);
        free
    }

    fn is_full(&self) -> bool {
        self.full_until.lock().is_ok_and(|until| until.is_some_and(|until| until > Instant::now()))
    }

    fn begin(self: Arc<Worker>, job: Job) {
        let (stop, stopped) = watch::channel(None);
        let running = Running { attempt: job.attempt, cpu: job.cpu, mem_mb: job.mem_mb, disk_mb: job.disk_mb, stop };
        if let Ok(mut all) = self.running.lock() {
            all.insert(job.job, running);
        }
        tokio::spawn(async move {
            let (id, attempt) = (job.job, job.attempt);
            let ended = self.attempt(&job, stopped.clone()).await;
            let done = match ended {
                Ok(complete) => self.report_done(id, attempt, complete, &stopped).await,
                Err(Failure::Dropped) => false,
                Err(Failure::Failed(fail)) => {
                    tracing::info!(job = id, attempt, class = fail.class.name(), why = fail.message, "failed");
                    self.report_failure(id, attempt, &fail, &stopped).await;
                    false
                }
            };
            let counter = if done { &self.done } else { &self.failed };
            counter.fetch_add(1, Ordering::Relaxed);
            if let Ok(mut all) = self.running.lock() {
                all.remove(&id);
            }
            self.changed.notify_one();
        });
    }
}

/// Why an attempt did not end well.
enum Failure {
    /// It is not ours any more: nothing is reported.
    Dropped,
    Failed(Fail),
}

type Stopped = watch::Receiver<Option<Stop>>;

/// Whether nobody waits for a report any more.
fn is_dropped(stopped: &Stopped) -> bool {
    matches!(*stopped.borrow(), Some(Stop::Dropped | Stop::CutOff))
}

impl Worker {
    fn failure(&self, class: Class, message: impl Into<String>) -> Failure {
        let message: String = message.into().chars().map(|c| if c == '\0' { '\u{FFFD}' } else { c }).take(1000).collect();
        Failure::Failed(Fail { worker: self.id, class, exit_code: None, signal: None, usage: Usage::default(), message })
    }

    fn disk(&self, doing: &str, error: &io::Error) -> Failure {
        if error.kind() == io::ErrorKind::StorageFull
            && let Ok(mut until) = self.full_until.lock()
        {
            *until = Some(Instant::now() + FULL);
        }
        self.failure(Class::Staging, format!("{doing}: {error}"))
    }

    /// One attempt, from an empty folder to published outputs.
    async fn attempt(&self, job: &Job, stopped: Stopped) -> Result<Complete, Failure> {
        let jobs = self.options.dir.join("jobs");
        let scratch = Scratch::make(&jobs, job.job, job.attempt).map_err(|error| self.disk("the scratch folder", &error))?;
        self.room(&jobs, job)?;
        let inputs = self.stage(job, &scratch, &stopped).await?;
        let program = self.program(job, &scratch, &inputs)?;
        let logged = AtomicU64::new(0);
        let pumping = async {
            loop {
                tokio::time::sleep(PUMP).await;
                self.pump(job, &scratch, &logged).await;
            }
        };
        let end = tokio::select! {
            end = child::run(&program, stopped.clone()) => end,
            () = pumping => Err(io::Error::other("the log ended before the program")),
        };
        let end = end.map_err(|error| {
            let class = if error.kind() == io::ErrorKind::NotFound { Class::Fatal } else { Class::Staging };
            self.failure(class, format!("cannot run {:?}: {error}", program.argv.first()))
        })?;
        if is_dropped(&stopped) {
            return Err(Failure::Dropped);
        }
        self.pump(job, &scratch, &logged).await;
        let usage = Usage { max_rss_mb: end.max_rss_mb, cpu_s: end.cpu_s };
        if let Some((class, message)) = end.failure(&program) {
            // a program that finds no room on the disk may end in any way; that is the machine's fault and not the job's
            if free_bytes(&self.options.dir) < NO_ROOM_BYTES {
                return Err(
                    self.disk(&format!("no room was left for the program ({message})"), &io::Error::from(io::ErrorKind::StorageFull))
                );
            }
            return Err(Failure::Failed(Fail { worker: self.id, class, exit_code: end.exit_code, signal: end.signal, usage, message }));
        }
        let mut events = scratch.events(EVENTS_TOTAL).map_err(|why| self.failure(Class::Fatal, why))?;
        if let Some(name) = super::master::undeclared(&events, &job.emits, &job.then) {
            return Err(self.failure(Class::Fatal, format!("events.ndjson tells {name:?}, which the task does not declare under `emits`")));
        }
        events.extend(job.then.iter().map(|name| Told { name: name.clone(), key: job.event.key.clone(), payload: serde_json::json!({}) }));
        let artifacts = self.publish(job, &scratch, &stopped).await?;
        let rest = self.stage_events(job, events, &stopped).await?;
        Ok(Complete { worker: self.id, usage, artifacts, events: rest })
    }

    /// Refuses a job that the disk has no room for.
    fn room(&self, dir: &Path, job: &Job) -> Result<(), Failure> {
        let free_mb = free_bytes(dir) >> 20;
        match free_mb < u64::try_from(job.disk_mb).unwrap_or(0) {
            true => Err(self.disk(&format!("{free_mb} MB free, {} wanted", job.disk_mb), &io::Error::from(io::ErrorKind::StorageFull))),
            false => Ok(()),
        }
    }

    /// Brings the inputs in; gives their paths by role.
    async fn stage(&self, job: &Job, scratch: &Scratch, stopped: &Stopped) -> Result<BTreeMap<String, Vec<PathBuf>>, Failure> {
        let mut paths: BTreeMap<String, Vec<PathBuf>> = job.needs.keys().map(|role| (role.clone(), Vec::new())).collect();
        for (role, least) in &job.needs {
            let found = job.inputs.iter().filter(|input| input.role == *role).count();
            if found < *least as usize {
                return Err(self.failure(Class::Fatal, format!("input {role}: {found} files, at least {least} wanted")));
            }
        }
        for inputs in job.inputs.chunks(ASKED) {
            for (input, path) in inputs.iter().zip(self.bring(job, inputs, scratch, stopped).await?) {
                paths.entry(input.role.clone()).or_default().push(path);
            }
        }
        Ok(paths)
    }

    /// Puts inputs in their places, from the cache or the store; gives the paths in the order of the inputs.
    async fn bring(&self, job: &Job, inputs: &[Input], scratch: &Scratch, stopped: &Stopped) -> Result<Vec<PathBuf>, Failure> {
        let mut placed = BTreeMap::new();
        for (at, input) in inputs.iter().enumerate() {
            if let Some(cached) = self.cache.get(&input.sha256, input.bytes) {
                placed.insert(at, scratch.place(input, &cached).map_err(|error| self.disk("an input", &error))?);
            }
        }
        let mut pause = Pause::default();
        while placed.len() < inputs.len() {
            let left: Vec<(usize, &Input)> = inputs.iter().enumerate().filter(|(at, _)| !placed.contains_key(at)).collect();
            let before = placed.len();
            let mut place = |at: usize, cached: &Path| scratch.place(&inputs[at], cached).map(|path| drop(placed.insert(at, path)));
            let Err(error) = self.fetch(job, &left, &mut place).await else { continue };
            let why = match error {
                Ok(Error::Fenced) => return Err(Failure::Dropped),
                Err(error) if error.kind() == io::ErrorKind::StorageFull => return Err(self.disk("an input", &error)),
                error => error.map_or_else(|error| error.to_string(), |error| error.to_string()),
            };
            if is_dropped(stopped) {
                return Err(Failure::Dropped);
            }
            if placed.len() > before {
                pause = Pause::default();
            } else if pause.0 >= 6 {
                let (_, first) = left[0];
                return Err(self.failure(Class::Staging, format!("input {} and {} more: {why}", first.key, left.len() - 1)));
            }
            pause.wait().await;
        }
        Ok(placed.into_values().collect())
    }

    /// Fetches once each, four at a time, and hands over what came; gives the last fault, of the master or the store (`Ok`) or of
    /// the disk (`Err`).
    async fn fetch(
        &self,
        job: &Job,
        inputs: &[(usize, &Input)],
        place: &mut (dyn FnMut(usize, &Path) -> io::Result<()> + Send),
    ) -> Result<(), Result<Error, io::Error>> {
        let request = Urls { worker: self.id, get: inputs.iter().map(|(_, input)| input.key.clone()).collect(), put: Vec::new() };
        let signed = self.client.urls(job.job, job.attempt, &request).await.map_err(Ok)?.get;
        if signed.len() != inputs.len() {
            return Err(Ok(Error::Refused(format!("{} URLs came for {} inputs", signed.len(), inputs.len()))));
        }
        let mut downloads = Vec::with_capacity(signed.len());
        for ((at, input), url) in inputs.iter().zip(signed) {
            downloads.push(async move { (*at, self.download(input, &url).await) }.boxed());
        }
        let mut downloads = futures_util::stream::iter(downloads).buffer_unordered(4);
        let mut failed = None;
        while let Some((at, got)) = downloads.next().await {
            match got.and_then(|cached| place(at, &cached).map_err(Err)) {
                Ok(()) => {}
                Err(Ok(Error::Fenced)) => return Err(Ok(Error::Fenced)),
                Err(Err(error)) if error.kind() == io::ErrorKind::StorageFull => return Err(Err(error)),
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(()), Err)
    }

    async fn download(&self, input: &Input, url: &str) -> Result<PathBuf, Result<Error, io::Error>> {
        let response = self.client.download(url).await.map_err(Ok)?;
        let mut incoming = self.cache.begin().map_err(Err)?;
        let mut bytes = response.bytes_stream();
        while let Some(piece) = bytes.next().await {
            incoming.write(&piece.map_err(|error| Ok(Error::Unreachable(error.to_string())))?).map_err(Err)?;
        }
        self.cache.keep(incoming, input).map_err(Err)
    }

    /// The program with its arguments filled in.
    fn program(&self, job: &Job, scratch: &Scratch, inputs: &BTreeMap<String, Vec<PathBuf>>) -> Result<Program, Failure> {
        let fill = Fill { brickyard: self.options.brickyard.display().to_string(), job, inputs };
        let mut argv = Vec::new();
        for template in &job.argv {
            argv.extend(fill.argument(template).map_err(|why| self.failure(Class::Fatal, why))?);
        }
        let event = scratch.dir().join("event.json");
        let text = serde_json::to_vec_pretty(&job.event).map_err(|error| self.failure(Class::Fatal, error.to_string()))?;
        std::fs::write(&event, text).map_err(|error| self.disk("event.json", &error))?;
        let mut env = self.options.env.clone();
        let mut set = |name: &str, value: OsString| env.push((name.into(), value));
        set("TMPDIR", scratch.dir().join("tmp").into());
        set("BRICKYARD_RUN", job.run.clone().into());
        set("BRICKYARD_TASK", job.task.clone().into());
        set("BRICKYARD_JOB", job.job.to_string().into());
        set("BRICKYARD_ATTEMPT", job.attempt.to_string().into());
        set("BRICKYARD_CPU", job.cpu.to_string().into());
        set("BRICKYARD_MEM_MB", job.mem_mb.to_string().into());
        set("BRICKYARD_EVENT", event.into());
        set("BRICKYARD_INPUTS", scratch.dir().join("in").into());
        for (name, template) in &job.env {
            let value = fill.argument(template).map_err(|why| self.failure(Class::Fatal, why))?.join(" ");
            set(name, value.into());
        }
        let timeout = Duration::from_secs(job.timeout_s);
        Ok(Program { argv, env, dir: scratch.work(), log: scratch.log(), mem_mb: job.mem_mb, disk_mb: job.disk_mb, timeout })
    }

    /// Sends what the program has written since the last time; what cannot be sent now is sent the next time.
    async fn pump(&self, job: &Job, scratch: &Scratch, logged: &AtomicU64) {
        loop {
            let offset = logged.load(Ordering::Relaxed);
            let Ok(piece) = piece_of(&scratch.log(), offset) else { return };
            if piece.is_empty() {
                return;
            }
            match self.client.log(self.id, job.job, job.attempt, offset, piece).await {
                Ok(there) if there.bytes > offset => logged.store(there.bytes, Ordering::Relaxed),
                Ok(_) | Err(_) => return,
            }
        }
    }

    /// Checks, hashes and uploads the outputs.
    async fn publish(&self, job: &Job, scratch: &Scratch, stopped: &Stopped) -> Result<Vec<Artifact>, Failure> {
        if job.outputs.is_empty() {
            return Ok(Vec::new());
        }
        let found = scratch.outputs(&job.outputs).map_err(|why| self.failure(Class::Exit, why))?;
        if found.len() > ARTIFACTS {
            return Err(self.failure(Class::Fatal, format!("{} outputs, at most {ARTIFACTS}", found.len())));
        }
        for chunk in found.chunks(ASKED) {
            let mut pause = Pause::default();
            let mut left: Vec<&(Artifact, PathBuf)> = chunk.iter().collect();
            while !left.is_empty() {
                let error = match self.upload(job, &mut left).await {
                    Ok(()) => break,
                    Err(Error::Fenced) => return Err(Failure::Dropped),
                    Err(error) => error,
                };
                if is_dropped(stopped) {
                    return Err(Failure::Dropped);
                }
                if pause.0 >= 6 || matches!(error, Error::Refused(_)) {
                    return Err(self.failure(Class::Staging, format!("publishing: {error}")));
                }
                pause.wait().await;
            }
        }
        Ok(found.into_iter().map(|(artifact, _)| artifact).collect())
    }

    /// Uploads, four at a time; takes off the list what is up.
    async fn upload(&self, job: &Job, left: &mut Vec<&(Artifact, PathBuf)>) -> Result<(), Error> {
        let put = left.iter().map(|(artifact, _)| artifact.name.clone()).collect();
        let signed = self.client.urls(job.job, job.attempt, &Urls { worker: self.id, get: Vec::new(), put }).await?;
        let upload = |((artifact, path), url): (&&(Artifact, PathBuf), &String)| {
            let (client, artifact, path, url) = (self.client.clone(), artifact.clone(), path.clone(), url.clone());
            async move { (artifact.name.clone(), client.upload(&url, &path, artifact.bytes).await) }.boxed()
        };
        let uploads: Vec<_> = left.iter().zip(&signed.put).map(upload).collect();
        let mut uploads = futures_util::stream::iter(uploads).buffer_unordered(4);
        let (mut up, mut failed) = (Vec::new(), None);
        while let Some((name, sent)) = uploads.next().await {
            match sent {
                Ok(()) => up.push(name),
                Err(error) => failed = Some(error),
            }
        }
        drop(uploads);
        left.retain(|(artifact, _)| !up.contains(&artifact.name));
        failed.map_or(Ok(()), Err)
    }

    /// Sends all but the last [`EVENTS`] ahead.
    async fn stage_events(&self, job: &Job, mut events: Vec<Told>, stopped: &Stopped) -> Result<Vec<Told>, Failure> {
        let mut chunk = 0;
        while events.len() > EVENTS {
            let rest = events.split_off(EVENTS);
            let request = Stage { worker: self.id, chunk, events };
            let mut pause = Pause::default();
            loop {
                match self.client.stage(job.job, job.attempt, &request).await {
                    Ok(_) => break,
                    Err(Error::Fenced) => return Err(Failure::Dropped),
                    Err(_) if is_dropped(stopped) => return Err(Failure::Dropped),
                    Err(Error::Unreachable(_)) => pause.wait().await,
                    Err(error) => return Err(self.failure(Class::Fatal, error.to_string())),
                }
            }
            (events, chunk) = (rest, chunk + 1);
        }
        Ok(events)
    }

    /// Reports until it is answered; whether it counts.
    async fn report_done(&self, job: i64, attempt: i32, complete: Complete, stopped: &Stopped) -> bool {
        let mut pause = Pause::default();
        loop {
            match self.client.complete(job, attempt, &complete).await {
                Ok(_) => return true,
                Err(Error::Unreachable(_)) if !is_dropped(stopped) => pause.wait().await,
                Err(Error::Refused(why)) => {
                    if let Failure::Failed(fail) = self.failure(Class::Fatal, why) {
                        self.report_failure(job, attempt, &fail, stopped).await;
                    }
                    return false;
                }
                Err(_) => return false,
            }
        }
    }

    async fn report_failure(&self, job: i64, attempt: i32, fail: &Fail, stopped: &Stopped) {
        let mut pause = Pause::default();
        while let Err(Error::Unreachable(_)) = self.client.fail(job, attempt, fail).await {
            if is_dropped(stopped) {
                return;
            }
            pause.wait().await;
        }
    }
}

fn piece_of(path: &Path, offset: u64) -> io::Result<Vec<u8>> {
    let mut file = std::fs::File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut piece = Vec::new();
    file.take(LOG_BYTES as u64).read_to_end(&mut piece)?;
    Ok(piece)
}

/// Fills placeholders.
pub(super) struct Fill<'a> {
    pub brickyard: String,
    pub job: &'a Job,
    /// Paths by role.
    pub inputs: &'a BTreeMap<String, Vec<PathBuf>>,
}

impl Fill<'_> {
    /// A template as arguments: several if it is `{in:role}` alone, one otherwise.
    pub fn argument(&self, template: &str) -> Result<Vec<String>, String> {
        let found = pieces(template)?;
        if let [Piece::Place("in", Some(role))] = found[..] {
            return Ok(self.paths(role));
        }
        let filled: Result<Vec<String>, String> = found.into_iter().map(|piece| self.piece(piece)).collect();
        Ok(vec![filled?.concat()])
    }

    fn paths(&self, role: &str) -> Vec<String> {
        self.inputs.get(role).into_iter().flatten().map(|path| path.display().to_string()).collect()
    }

    fn piece(&self, piece: Piece<'_>) -> Result<String, String> {
        let job = self.job;
        Ok(match piece {
            Piece::Text(text) => text.to_owned(),
            Piece::Place("in", Some(role)) => self.paths(role).join(" "),
            Piece::Place("event", Some(field)) => match job.event.payload.get(field) {
                Some(serde_json::Value::String(text)) => text.clone(),
                Some(value) => value.to_string(),
                None => return Err(format!("the event {} has no field {field:?}", job.event.name)),
            },
            Piece::Place("param", Some(name)) => job.params.get(name).cloned().ok_or_else(|| format!("there is no parameter {name:?}"))?,
            Piece::Place("key", None) => job.event.key.clone(),
            Piece::Place("run", None) => job.run.clone(),
            Piece::Place("job", None) => job.job.to_string(),
            Piece::Place("attempt", None) => job.attempt.to_string(),
            Piece::Place("cpu", None) => job.cpu.to_string(),
            Piece::Place("mem_mb", None) => job.mem_mb.to_string(),
            Piece::Place("brickyard", None) => self.brickyard.clone(),
            Piece::Place(kind, _) => return Err(format!("unknown placeholder {{{kind}}}")),
        })
    }
}
