//! The demo's reduction: exposures of a brick to rows by the stage runner, with a master and a worker in this process.
//!
//! It lies in a place of its own, a data directory with its own database, so that its rows do not get among those of the sample, and
//! every command of the stage runner can be tried on it afterwards: `brickyard --data-dir <place> pipeline tree m31`.

use super::pipeline;
use crate::config::Config;
use crate::db::{self, Connection, cluster};
use crate::pipeline::manifest::Manifest;
use crate::pipeline::master::{Master, Settings};
use crate::pipeline::protocol::Told;
use crate::pipeline::{admin, queue, worker};
use crate::simulate::{Dolphot, Options, Overlaps, Products};
use crate::{stage, web};
use anyhow::Context;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

const RUN: &str = "m31";
const BRICK: u8 = 15;
const FIELDS: [u8; 2] = [10, 11];
const OBJECTS: u64 = 600;
/// Artificial stars of each field.
const ASTS: &str = "200";
/// Nobody waits longer for a demo.
const PATIENCE: Duration = Duration::from_secs(900);

/// The settings with the reduction's data directory and the embedded database in it.
pub fn place(config: &Config, demo: &Path) -> Config {
    Config { data_dir: Some(demo.join("reduction")), database_url: None, ..config.clone() }
}

/// Runs the built-in graph once, and shows what became of it; a run of an earlier demo is shown as it is.
pub async fn run(config: &Config) -> anyhow::Result<()> {
    let shown = show(config).await;
    let stopped = cluster::stop(&config.db()).await;
    shown?;
    stopped?;
    Ok(())
}

async fn show(config: &Config) -> anyhow::Result<()> {
    let begun = Instant::now();
    std::fs::create_dir_all(config.data_dir()).with_context(|| format!("cannot make {}", config.data_dir().display()))?;
    let mut connection = db::connect(&config.db()).await?;
    admin::install(&mut connection).await?;
    let run = match admin::run_id(&connection, RUN).await {
        Ok(run) => run,
        Err(_) => create(&mut connection).await?,
    };
    if admin::status(&connection, run).await?.iter().all(|line| line.jobs == 0) {
        tell(config, &connection, run).await?;
    }
    if jobs_left(&connection, run).await? > 0 {
        work(config, connection, run).await?;
    }
    pipeline::status(config, Some(RUN), false).await?;
    println!();
    pipeline::tree(config, RUN, None, 12, 20).await?;
    let rows = db::connect(&config.db()).await?.query_one(include_str!("../../sql/demo/reduced.sql"), &[]).await?;
    let (stars, measurements): (i64, i64) = (rows.get(0), rows.get(1));
    println!("{stars} objects and {measurements} measurements of brick {BRICK} are in its tables ({:.1} s)", begun.elapsed().as_secs_f64());
    Ok(())
}

async fn create(connection: &mut Connection) -> anyhow::Result<i64> {
    let manifest = Manifest::parse("loaders/phat_v2/pipeline/phat.toml", stage::PHAT)?;
    let set = [("dolphot", "simulated"), ("asts", ASTS), ("ast_list", "100")].map(|(name, value)| (name.into(), value.into()));
    let params = manifest.with(&set).map_err(anyhow::Error::msg)?;
    Ok(queue::create_run(connection, RUN, &manifest, &params, 0).await?)
}

/// Simulates exposures, and tells the run of them.
async fn tell(config: &Config, connection: &Connection, run: i64) -> anyhow::Result<()> {
    let survey = config.data_dir().join("survey");
    let options = Options {
        bricks: vec![BRICK],
        fields: FIELDS.to_vec(),
        objects: OBJECTS,
        overlaps: Overlaps::None,
        dolphot: Dolphot::None,
        products: Products { st: false, phot: false, truth: false },
        exposures: true,
        force: true,
        ..Options::new(&survey)
    };
    let report = super::simulate::simulate(options).await?;
    let store = pipeline::store_of(config)?;
    let mut files = Vec::new();
    for file in &report.files {
        files.push(pipeline::put_file(&store, "raw", &survey.join(&file.path)).await?);
    }
    println!("{} files of exposures and references, of {} fields of brick {BRICK}", files.len(), FIELDS.len());
    let event = Told { name: "exposures".into(), key: "demo".into(), payload: json!({ "files": files }) };
    admin::fire(connection, run, &[event]).await?;
    Ok(())
}

/// Jobs that have not ended; a failed one is an error.
async fn jobs_left(connection: &Connection, run: i64) -> anyhow::Result<i64> {
    let lines = admin::status(connection, run).await?;
    if let Some(line) = lines.iter().find(|line| line.failed > 0) {
        let failed = admin::jobs(connection, run, Some("failed"), &admin::Selector::default(), 0, 1).await?;
        let why = failed.into_iter().next().and_then(|job| job.message).unwrap_or_default();
        anyhow::bail!("{} failed: {why}", line.task);
    }
    Ok(lines.iter().map(|line| line.jobs - line.done).sum())
}

/// Serves the books, and works on them until no job is left.
async fn work(config: &Config, connection: Connection, run: i64) -> anyhow::Result<()> {
    let token = token(&connection).await?;
    let watching = connection.another().await?;
    let books = admin::queue(connection, 4).await?;
    let master = Master::start(books, pipeline::store_of(config)?, Settings::new(pipeline::log_dir(config))).await?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.context("cannot listen on this machine")?;
    let url = format!("http://{}", listener.local_addr()?);
    let serving = tokio::spawn(async move { axum::serve(listener, web::pipeline::router::<()>(web::pipeline::Site::of(master))).await });
    let stop = Arc::new(Notify::new());
    let mut working = tokio::spawn(worker::work(worker_options(config, url, token)?, stop.clone()));
    let begun = Instant::now();
    let ended = loop {
        match jobs_left(&watching, run).await {
            Ok(0) => break Ok(()),
            Err(error) => break Err(error),
            Ok(left) if begun.elapsed() > PATIENCE => break Err(anyhow::anyhow!("{left} jobs are left after {PATIENCE:?}")),
            Ok(_) => {}
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(200)) => {}
            ended = &mut working => {
                ended.context("the worker stopped")??;
                anyhow::bail!("the worker ended before its work");
            }
        }
    };
    stop.notify_one();
    working.await.context("the worker stopped")??;
    serving.abort();
    ended
}

/// A token for an hour: a demo that was killed has left an older one.
async fn token(connection: &Connection) -> anyhow::Result<String> {
    let many = admin::tokens(connection).await?.len();
    let classes = ["default".to_owned(), "load".to_owned()];
    Ok(admin::create_token(connection, "demo", &format!("demo{many}"), &classes, 1, Some(3600)).await?)
}

fn worker_options(config: &Config, url: String, token: String) -> anyhow::Result<worker::Options> {
    let dir: PathBuf = config.data_dir().join("worker");
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from) as i32;
    let mut env: Vec<_> = ["PATH", "HOME", "USER"].into_iter().filter_map(|name| Some((name.into(), std::env::var_os(name)?))).collect();
    env.push(("BRICKYARD_DATA_DIR".into(), config.data_dir().into()));
    env.extend(config.pg_bin.iter().map(|dir| ("BRICKYARD_PG_BIN".into(), dir.into())));
    env.extend(config.pg_user.iter().map(|name| ("BRICKYARD_PG_USER".into(), name.into())));
    Ok(worker::Options {
        url,
        token,
        name: "demo".into(),
        node: "demo".into(),
        classes: Vec::new(),
        slots: cores,
        cpu: cores.max(4),
        // simulated exposures need little of what real ones do, which the manifest asks for
        mem_mb: i32::MAX >> 1,
        disk_mb: i32::MAX >> 1,
        price_per_h: None,
        dir,
        cache_bytes: 1 << 30,
        max_idle: None,
        max_life: None,
        drain_within: None,
        brickyard: std::env::current_exe().context("cannot tell where this program lies")?,
        env,
    })
}
