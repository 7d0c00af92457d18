//! The stage runner's figures: claims and completions, fan-out, pick-up, overhead of a job, on a server that syncs its log; and the speed
//! and memory of the stage that makes catalogues of DOLPHOT's text, at two sizes; pages over a million jobs; and whether the rows of a whole reduction are
//! the truth's.
//!
//! Everything goes through what workers use: the SQL functions for the rates, a master with HTTP on the loopback and a real
//! worker for pick-up and overhead.

use super::{Error, Figure, Goal, rows, watch};
use crate::db::{self, Connection};
use crate::pipeline::manifest::Manifest;
use crate::pipeline::master::{Master, Settings};
use crate::pipeline::protocol::{self, Told};
use crate::pipeline::queue::{Free, Queue};
use crate::pipeline::{admin, queue, worker};
use crate::simulate;
use crate::store::Store;
use crate::web;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// What is measured and how often.
#[derive(Debug, Clone)]
pub struct Options {
    pub db: db::Options,
    pub quick: bool,
    pub runs: usize,
    pub only: Vec<String>,
    pub brickyard: PathBuf,
}

/// Sessions that claim and complete side by side.
const CLIENTS: usize = 16;
const FREE: Free = Free { jobs: 1, cpu: 1 << 20, mem_mb: 1 << 30, disk_mb: 1 << 30 };
const MANIFEST: &str = r#"
events = ["go", "hop"]
[[task]]
name = "work"
on = "go"
argv = ["true"]
mem = "1M"
disk = "1M"
[[task]]
name = "noop"
on = "hop"
argv = ["true"]
class = "noop"
mem = "10M"
disk = "1M"
"#;

pub(super) fn setup(error: impl std::fmt::Display) -> Error {
    Error::Setup(error.to_string())
}

/// Runs the measurements; `tell` is told what goes on.
pub async fn run(options: &Options, tell: &dyn Fn(&str)) -> Result<Vec<Figure>, Error> {
    let wanted = |group: &str| options.only.is_empty() || options.only.iter().any(|only| only == group);
    let mut figures = Vec::new();
    if wanted("jobs") {
        jobs(options, tell, &mut figures).await?;
    }
    if wanted("watch") {
        figures.extend(watch::run(options, tell).await?);
    }
    if wanted("catalogue") {
        catalogue(options, tell, &mut figures).await?;
    }
    if wanted("rows") {
        figures.extend(rows::run(options, tell).await?);
    }
    Ok(figures)
}

/// What `brickyard stage catalogue --json` tells.
#[derive(serde::Deserialize)]
struct Catalogued {
    text_bytes: u64,
    seconds: f64,
    peak_memory_bytes: u64,
}

/// DOLPHOT's text of one field to its catalogue files, by two threads.
async fn catalogue(options: &Options, tell: &dyn Fn(&str), figures: &mut Vec<Figure>) -> Result<(), Error> {
    let sizes = if options.quick { [2_000, 20_000] } else { [20_000, 300_000] };
    for objects in sizes {
        let text = text_of_field(options, objects, tell)?;
        tell(&format!("text of {objects} objects to catalogue files"));
        let mut runs = Vec::new();
        for _ in 0..options.runs {
            runs.push(catalogue_of(options, &text).await?);
        }
        let size_mb = runs.first().map_or(0.0, |run| run.text_bytes as f64 / 1e6);
        let speeds: Vec<f64> = runs.iter().map(|run| run.text_bytes as f64 / 1e6 / run.seconds).collect();
        let peaks: Vec<f64> = runs.iter().map(|run| run.peak_memory_bytes as f64 / 1_048_576.0).collect();
        figures.push(Figure::of(format!("catalogue of {size_mb:.0} MB of text"), &speeds, "MB/s", Goal::AtLeast(150.0)));
        figures.push(Figure::of(format!("memory for {size_mb:.0} MB of text"), &peaks, "MiB", Goal::AtMost(500.0)));
    }
    Ok(())
}

/// A synthetic field as DOLPHOT's text, written once and kept.
fn text_of_field(options: &Options, objects: u64, tell: &dyn Fn(&str)) -> Result<PathBuf, Error> {
    let out = options.db.data_dir.join(format!("text-{objects}"));
    if !out.join("simulation.json").exists() {
        tell(&format!("writing the text of {objects} objects"));
        let survey = simulate::Options {
            objects,
            bricks: vec![15],
            fields: vec![10],
            products: simulate::Products { st: false, phot: false, truth: false },
            dolphot: simulate::Dolphot::All,
            overlaps: simulate::Overlaps::None,
            force: true,
            ..simulate::Options::new(&out)
        };
        simulate::run(&survey)?;
    }
    Ok(out.join("brick15/12056_M31-B15-F10.phot"))
}

async fn catalogue_of(options: &Options, text: &Path) -> Result<Catalogued, Error> {
    const CUTS: [&str; 6] =
        ["F275W=0.15,1.30", "F336W=0.15,1.30", "F475W=0.20,2.25", "F814W=0.20,2.25", "F110W=0.15,2.25", "F160W=0.15,2.25"];
    let mut command = tokio::process::Command::new(&options.brickyard);
    command
        .args(["stage", "catalogue", "--json", "--threads", "2", "--brick", "15", "--field", "10"])
        .args(CUTS.map(|cut| format!("--cut={cut}")));
    for (flag, end) in [("--phot-out", "phot.fits"), ("--st-out", "st.fits")] {
        command.arg(flag).arg(options.db.data_dir.join(format!("catalogue_{end}")));
    }
    let output = command.arg(text).output().await.map_err(|source| Error::Io { doing: "running the stage".into(), source })?;
    if !output.status.success() {
        return Err(Error::Child { command: format!("{command:?}"), output: String::from_utf8_lossy(&output.stderr).into_owned() });
    }
    serde_json::from_slice(&output.stdout).map_err(setup)
}

/// What the runner does with jobs.
async fn jobs(options: &Options, tell: &dyn Fn(&str), figures: &mut Vec<Figure>) -> Result<(), Error> {
    let mut connection = db::connect(&options.db).await?;
    connection.batch_execute(include_str!("../../sql/pipeline/drop_schema.sql")).await.map_err(db::Error::from)?;
    queue::install(&mut connection).await.map_err(setup)?;
    let manifest = Manifest::parse("bench.toml", MANIFEST).map_err(setup)?;
    let run = queue::create_run(&mut connection, "bench", &manifest, &manifest.params, 0).await.map_err(setup)?;
    let books = Arc::new(admin::queue(connection.another().await?, CLIENTS as u32 + 8).await.map_err(setup)?);
    let many: usize = if options.quick { 20_000 } else { 100_000 };

    tell("fan-out");
    let begun = Instant::now();
    let events: Vec<Told> = (0..many).map(|i| told("go", i)).collect();
    let made = books.emit(run, &events).await.map_err(setup)?;
    let seconds = begun.elapsed().as_secs_f64() * 100_000.0 / f64::from(made.jobs.max(1));
    figures.push(Figure::of("fan-out of 100,000 jobs", &[seconds], "s", Goal::AtMost(30.0)));

    let token = admin::create_token(&connection, "bench", "bench", &["default".into(), "noop".into()], 1000, None).await.map_err(setup)?;
    let mut workers = Vec::new();
    for i in 0..CLIENTS {
        workers.push(register(&books, &token, &format!("bench{i}")).await?);
    }
    // of the jobs all runs together take an eighth singly and half by 20, so that some are left
    let rated = [("claim and complete, one at a time", 1, 8, 300.0), ("claim and complete, 20 at a time", 20, 2, 2000.0)];
    for (name, batch, part, goal) in rated {
        tell(name);
        let mut rates = Vec::new();
        for _ in 0..options.runs {
            rates.push(rate(&books, &workers, batch, many / part / options.runs).await?);
        }
        figures.push(Figure::of(name, &rates, "jobs/s", Goal::AtLeast(goal)));
    }
    served(options, &connection, run, books, &token, tell, figures).await
}

fn told(name: &str, key: usize) -> Told {
    Told { name: name.into(), key: key.to_string(), payload: json!({}) }
}

async fn register(books: &Queue, token: &str, name: &str) -> Result<i64, Error> {
    let id = token.split('_').nth(1).and_then(|id| id.parse().ok()).ok_or_else(|| setup("no token"))?;
    let request = protocol::Register {
        name: name.into(),
        node: name.into(),
        classes: Vec::new(),
        slots: 1,
        mem_mb: 1,
        disk_mb: 1,
        price_per_h: None,
        version: "bench".into(),
    };
    let registered = books.register(id, &["default".to_owned()], &request).await.map_err(setup)?;
    registered.map(|(worker, _)| worker).map_err(setup)
}

/// Jobs a second that all clients together claim and complete, of about so many.
async fn rate(books: &Arc<Queue>, workers: &[i64], batch: usize, jobs: usize) -> Result<f64, Error> {
    let free = Free { jobs: i32::try_from(batch).map_err(setup)?, ..FREE };
    let taken = Arc::new(AtomicUsize::new(0));
    let client = |worker: i64| {
        let (books, taken) = (books.clone(), taken.clone());
        tokio::spawn(async move {
            let mut done = 0_usize;
            while taken.fetch_add(batch, Ordering::Relaxed) < jobs {
                let jobs = books.claim(worker, free, 600).await.map_err(setup)?;
                let report =
                    |j: &queue::Claimed| json!({"worker": worker, "job": j.job, "attempt": j.attempt, "artifacts": [], "events": []});
                let reports: Vec<Value> = jobs.iter().map(report).collect();
                if reports.is_empty() {
                    return Err(setup("no job is left to claim: the figure would count waiting"));
                }
                done += books.complete(reports).await.map_err(setup)?.len();
            }
            Ok::<usize, Error>(done)
        })
    };
    let begun = Instant::now();
    let mut done = 0;
    for task in workers.iter().map(|w| client(*w)).collect::<Vec<_>>() {
        done += task.await.map_err(setup)??;
    }
    Ok(done as f64 / begun.elapsed().as_secs_f64())
}

/// What is measured with a master and a worker.
async fn served(
    options: &Options,
    connection: &Connection,
    run: i64,
    books: Arc<Queue>,
    token: &str,
    tell: &dyn Fn(&str),
    figures: &mut Vec<Figure>,
) -> Result<(), Error> {
    let dir = options.db.data_dir.join("pipeline");
    let store = Store::open(&dir.join("store").display().to_string(), &Default::default()).map_err(setup)?;
    let books = Arc::into_inner(books).ok_or_else(|| setup("a client still runs"))?;
    let gone = register(&books, token, "gone").await?;
    let master = Master::start(books, store, Settings::new(dir.join("logs"))).await.map_err(setup)?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.map_err(setup)?;
    let url = format!("http://{}", listener.local_addr().map_err(setup)?);
    let server = tokio::spawn(async move { axum::serve(listener, web::pipeline::router::<()>(web::pipeline::Site::of(master))).await });
    let signals = Arc::new(Notify::new());
    let working = tokio::spawn(worker::work(worker_options(options, &url, token, &dir), signals.clone()));
    tokio::time::sleep(Duration::from_secs(1)).await;

    tell("from event to start by a waiting worker");
    let hops = if options.quick { 50 } else { 200 };
    let mut waits = Vec::new();
    for i in 0..hops {
        let before = clock(connection).await?;
        admin::fire(connection, run, &[told("hop", i)]).await.map_err(setup)?;
        waits.push(started(connection, "hop", i).await? - before);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    waits.sort_by(f64::total_cmp);
    let p95 = waits[(waits.len() * 95 / 100).min(waits.len() - 1)] * 1000.0;
    figures.push(Figure::of("from event to start, 95 %", &[p95], "ms", Goal::AtMost(100.0)));

    tell("overhead of a job in the worker");
    let jobs = if options.quick { 200 } else { 1000 };
    let begun = Instant::now();
    let events: Vec<Told> = (hops..hops + jobs).map(|i| told("hop", i)).collect();
    admin::fire(connection, run, &events).await.map_err(setup)?;
    while left(connection).await? > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let each = begun.elapsed().as_secs_f64() * 1000.0 / jobs as f64;
    figures.push(Figure::of("a job that does nothing, one slot", &[each], "ms", Goal::AtMost(20.0)));

    if !options.quick {
        tell("loss of a worker");
        let seconds = loss(connection, gone).await?;
        figures.push(Figure::of("loss of a worker noticed, the longest of 20", &[seconds], "s", Goal::AtMost(65.0)));
    }
    signals.notify_one();
    working.await.map_err(setup)?.map_err(setup)?;
    server.abort();
    Ok(())
}

/// The longest time after which the master notices that a worker is gone which claimed and says nothing more; its claims lie so far
/// apart that some wait for a whole round of the master's.
async fn loss(connection: &Connection, worker: i64) -> Result<f64, Error> {
    const CLAIMS: i64 = 20;
    let books = admin::queue(connection.another().await?, 1).await.map_err(setup)?;
    for _ in 0..CLAIMS {
        if books.claim(worker, FREE, protocol::LEASE_S).await.map_err(setup)?.is_empty() {
            return Err(setup("no job is left to claim"));
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    let begun = Instant::now();
    loop {
        let row = connection.query_one(include_str!("../../sql/bench/losses.sql"), &[&worker]).await.map_err(db::Error::from)?;
        if row.get::<_, i64>(0) == CLAIMS {
            return Ok(row.get(1));
        }
        if begun.elapsed() > Duration::from_secs(300) {
            return Err(setup("the master does not notice that a worker is gone"));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn worker_options(options: &Options, url: &str, token: &str, dir: &Path) -> worker::Options {
    worker::Options {
        url: url.into(),
        token: token.into(),
        name: "real".into(),
        node: "real".into(),
        classes: vec!["noop".into()],
        slots: 1,
        cpu: 1,
        mem_mb: 1000,
        disk_mb: 1000,
        price_per_h: None,
        dir: dir.join("worker"),
        cache_bytes: 1 << 30,
        max_idle: None,
        max_life: None,
        drain_within: None,
        brickyard: options.brickyard.clone(),
        env: vec![("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into())],
    }
}

async fn clock(connection: &Connection) -> Result<f64, Error> {
    let row = connection.query_one(include_str!("../../sql/pipeline/clock.sql"), &[]).await.map_err(db::Error::from)?;
    Ok(row.get(0))
}

/// When the job of this event was started, in seconds on the database's clock.
async fn started(connection: &Connection, name: &str, key: usize) -> Result<f64, Error> {
    let key = key.to_string();
    loop {
        let rows = connection.query(include_str!("../../sql/pipeline/started.sql"), &[&name, &key]).await.map_err(db::Error::from)?;
        if let Some(row) = rows.first() {
            return Ok(row.get(0));
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn left(connection: &Connection) -> Result<i64, Error> {
    let row = connection.query_one(include_str!("../../sql/pipeline/left.sql"), &[&"noop"]).await.map_err(db::Error::from)?;
    Ok(row.get(0))
}
