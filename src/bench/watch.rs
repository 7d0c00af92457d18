//! The pages of the stage runner over a run of a million jobs, and the memory of the service that is its master: over HTTP, as a browser
//! asks, while a real worker works.

use super::http::Request;
use super::pipeline::{Options, setup};
use super::service::Service;
use super::{Error, Figure, Goal};
use crate::db;
use crate::pipeline::manifest::Manifest;
use crate::pipeline::protocol::Register;
use crate::pipeline::{admin, queue};
use std::time::{Duration, Instant};

const MANIFEST: &str = r#"
events = ["go"]
[[task]]
name = "group"
on = "go"
argv = ["true"]
emits = ["part"]
[[task]]
name = "work"
on = "part"
argv = ["true"]
mem = "1M"
disk = "1M"
"#;
/// Each page is asked for so often in a run.
const ASKED: usize = 5;

/// Fills a run, asks for its pages, and lets a worker work on it.
pub async fn run(options: &Options, tell: &dyn Fn(&str)) -> Result<Vec<Figure>, Error> {
    let (groups, parts) = if options.quick { (100_i32, 200_i32) } else { (1000, 1000) };
    let mut connection = db::connect(&options.db).await?;
    connection.batch_execute(include_str!("../../sql/pipeline/drop_schema.sql")).await.map_err(db::Error::from)?;
    queue::install(&mut connection).await.map_err(setup)?;
    let manifest = Manifest::parse("bench.toml", MANIFEST).map_err(setup)?;
    let run = queue::create_run(&mut connection, "bench", &manifest, &manifest.params, 0).await.map_err(setup)?;
    let token = admin::create_token(&connection, "bench", "bench", &["default".into()], 10, None).await.map_err(setup)?;
    let id = token.split('_').nth(1).and_then(|id| id.parse().ok()).ok_or_else(|| setup("no token"))?;
    let books = admin::queue(connection.another().await?, 4).await.map_err(setup)?;
    let register = Register {
        name: "past".into(),
        node: "past".into(),
        classes: Vec::new(),
        slots: 1,
        mem_mb: 1,
        disk_mb: 1,
        price_per_h: Some(0.8),
        version: "bench".into(),
    };
    let (past, _) = books.register(id, &["default".to_owned()], &register).await.map_err(setup)?.map_err(setup)?;
    drop(books);
    tell(&format!("a run of {} jobs", groups * (parts + 1)));
    let tasks = connection.query(include_str!("../../sql/bench/tasks.sql"), &[&run]).await.map_err(db::Error::from)?;
    let [group, work] = tasks.iter().map(|row| row.get::<_, i32>(0)).collect::<Vec<_>>()[..] else { return Err(setup("two tasks")) };
    let fill = include_str!("../../sql/bench/many_jobs.sql");
    let jobs: i64 = connection.query_one(fill, &[&run, &groups, &group, &parts, &work, &past]).await.map_err(db::Error::from)?.get(0);
    connection.batch_execute(include_str!("../../sql/bench/analyze_pipeline.sql")).await.map_err(db::Error::from)?;

    let service = Service::start(&options.db, &[])?;
    let mut figures = Vec::new();
    let pages = [
        ("status page", "/pipeline/runs/bench", Goal::AtMost(200.0)),
        ("tree page", "/pipeline/runs/bench/tree", Goal::AtMost(200.0)),
        ("tree page, two jobs open", "/pipeline/runs/bench/tree?open=1,2", Goal::AtMost(200.0)),
        ("failed jobs", "/pipeline/runs/bench/jobs?state=failed", Goal::Shown),
        ("a key looked for", "/pipeline/runs/bench/jobs?key=part77.", Goal::Shown),
    ];
    for (name, path, goal) in pages {
        tell(name);
        let mut client = service.client()?;
        client.ask(Request::get(path))?;
        let mut times = Vec::new();
        for _ in 0..options.runs * ASKED {
            let begun = Instant::now();
            client.ask(Request::get(path))?;
            times.push(begun.elapsed().as_secs_f64() * 1000.0);
        }
        figures.push(Figure::of(format!("{name}, {jobs} jobs"), &times, "ms", goal));
    }
    tell("a worker works");
    let dir = options.db.data_dir.join("watch-worker");
    let file = options.db.data_dir.join("watch.token");
    std::fs::write(&file, &token).map_err(|source| Error::Io { doing: "writing a token".into(), source })?;
    let mut worker = tokio::process::Command::new(&options.brickyard);
    worker.args([
        "worker",
        "--url",
        &service.url(),
        "--slots",
        "4",
        "--name",
        "now",
        "--node",
        "now",
        "--memory",
        "1000",
        "--disk",
        "1000",
    ]);
    worker.args(["--cpu", "4"]).arg("--token-file").arg(&file).arg("--dir").arg(&dir).kill_on_drop(true);
    let null = std::process::Stdio::null;
    let mut worker =
        worker.stdout(null()).stderr(null()).spawn().map_err(|source| Error::Io { doing: "starting a worker".into(), source })?;
    let until = Instant::now() + Duration::from_secs(if options.quick { 3 } else { 20 });
    let mut client = service.client()?;
    while Instant::now() < until {
        client.ask(Request::get("/pipeline/runs/bench"))?;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let ended = worker.try_wait().map_err(|source| Error::Io { doing: "asking for the worker".into(), source })?;
    if let Some(status) = ended {
        return Err(setup(format!("the worker ended: {status}")));
    }
    worker.kill().await.map_err(|source| Error::Io { doing: "ending the worker".into(), source })?;
    let (_, peak) = service.memory_mib();
    figures.push(Figure::of(format!("memory of the service, master of {jobs} jobs"), &[peak], "MiB", Goal::AtMost(150.0)));
    Ok(figures)
}
