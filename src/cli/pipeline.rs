//! `brickyard pipeline`: checks and draws pipelines, makes runs, fires events, shows and mends what goes on, serves workers.

use super::provenance::{self, Crate, What};
use super::worker::log_lines;
use crate::config::Config;
use crate::db::{self, Connection};
use crate::pipeline::admin::{self, Branch, JobLine, Selector, TreeLine};
use crate::pipeline::graph::Graph;
use crate::pipeline::manifest::{self, Manifest};
use crate::pipeline::master::{self, Master, Settings};
use crate::pipeline::protocol::Told;
use crate::pipeline::{queue, scratch, sheet};
use crate::store::{self, Store};
use crate::web;
use anyhow::Context;
use comfy_table::{Table, presets};
use futures_util::StreamExt;
use serde::Serialize;
use serde_json::{Value, json};
use std::io::{BufRead, IsTerminal, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Run pipelines of programs over many files and machines, and watch them
///
/// A pipeline is a TOML file: tasks, the events that start them, what they tell when they are done. A run of it lives in the
/// database; workers (brickyard worker) pull its jobs from a master (brickyard pipeline serve) and may vanish at any time.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

const EXAMPLES: &str = "\
Examples:
  brickyard pipeline check mine.toml
  brickyard pipeline graph phat --png phat.png         phat: PHAT's own pipeline, built in
  brickyard pipeline run create m31 phat --set dolphot=/opt/dolphot/bin
  brickyard pipeline fire m31 new_image --key j8f801 --payload '{\"field\": \"b01f05\"}' --file raw=j8f801_flc.fits
  brickyard pipeline status m31
  brickyard pipeline jobs m31 --failed
  brickyard pipeline retry m31 --task dolphot --outcome oom --memory 2
  brickyard pipeline provenance hlsp_phat_..._st.fits
  brickyard pipeline export hlsp_phat_..._st.fits --out crate";

#[derive(clap::Subcommand)]
enum Verb {
    /// Check a manifest; all faults at once, with line and column
    Check { file: PathBuf },
    /// Show the graph of a manifest: text, or Graphviz, or a picture
    Graph {
        file: PathBuf,
        /// In the language of Graphviz
        #[arg(long)]
        dot: bool,
        /// As a PNG file
        #[arg(long, value_name = "FILE", conflicts_with = "dot")]
        png: Option<PathBuf>,
    },
    /// Show what would run, with resources, and whether the programs are there
    DryRun {
        file: PathBuf,
        #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
        set: Vec<(String, String)>,
    },
    /// Make and list runs
    Run {
        #[command(subcommand)]
        verb: RunVerb,
    },
    /// Tell an event from outside: a key and a payload, files with it; or many from a file of JSON lines
    Fire(Fire),
    /// The table of a run: jobs of each task by state; without a run, the list of runs
    Status {
        run: Option<String>,
        #[arg(long)]
        json: bool,
    },
    /// Events and jobs as a tree, failures first
    Tree {
        run: String,
        /// Begin at this job
        #[arg(long)]
        job: Option<i64>,
        /// Levels to show
        #[arg(long, default_value_t = 6)]
        depth: usize,
        /// Children to show of each
        #[arg(long, default_value_t = 20)]
        most: i64,
    },
    /// List jobs
    Jobs {
        run: String,
        #[arg(long)]
        failed: bool,
        #[arg(long)]
        state: Option<String>,
        #[command(flatten)]
        which: Which,
        #[arg(long, default_value_t = 200)]
        most: i64,
        #[arg(long)]
        json: bool,
    },
    /// Everything about one job: what started it, its command, attempts, inputs, outputs
    Job {
        job: i64,
        #[arg(long)]
        json: bool,
    },
    /// Where a file comes from: jobs, commands, versions, inputs by hash
    Provenance {
        #[command(flatten)]
        what: What,
        #[arg(long)]
        json: bool,
    },
    /// Write a file with where it comes from as an RO-Crate
    Export {
        #[command(flatten)]
        export: Crate,
        #[command(flatten)]
        place: Place,
    },
    /// Print the log of a job's last attempt
    Logs {
        job: i64,
        #[arg(long)]
        attempt: Option<i32>,
        /// Go on as it grows, until the attempt ends
        #[arg(short, long)]
        follow: bool,
    },
    /// Run failed or cancelled jobs again, with new budgets
    Retry {
        #[command(flatten)]
        target: Target,
        /// Give them so many times the memory
        #[arg(long, value_name = "FACTOR")]
        memory: Option<f64>,
    },
    /// Count jobs as done for barriers, without running them
    Skip(Target),
    /// End jobs; running ones are stopped at their worker's next heartbeat. Of a whole run with no job named: the run
    Cancel(Target),
    /// Change the priority of jobs that have not ended
    Priority {
        #[command(flatten)]
        target: Target,
        #[arg(long, allow_hyphen_values = true)]
        value: i32,
    },
    /// Start no more jobs of a run, or of one task
    Hold {
        run: String,
        #[arg(long)]
        task: Option<String>,
    },
    /// Undo hold; or take a node out of quarantine
    Release {
        #[arg(required_unless_present = "node")]
        run: Option<String>,
        #[arg(long)]
        task: Option<String>,
        #[arg(long, conflicts_with_all = ["run", "task"])]
        node: Option<String>,
    },
    /// Workers that are here, and nodes in quarantine
    Workers {
        #[arg(long)]
        json: bool,
    },
    /// Tokens of workers
    Token {
        #[command(subcommand)]
        verb: TokenVerb,
    },
    /// Remove the bytes of attempts that came to nothing
    Gc {
        /// Only what is older
        #[arg(long, value_name = "TIME", default_value = "7d")]
        older: String,
        /// Remove; without it they are only counted
        #[arg(long)]
        remove: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Serve workers over HTTP, until Ctrl-C
    Serve(Serve),
}

#[derive(clap::Subcommand)]
enum RunVerb {
    /// Make a run of a manifest
    Create {
        name: String,
        file: PathBuf,
        /// A parameter of the manifest
        #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
        set: Vec<(String, String)>,
        #[arg(long, default_value_t = 0, allow_hyphen_values = true)]
        priority: i32,
    },
    /// List the runs
    List {
        #[arg(long)]
        json: bool,
    },
}

#[derive(clap::Subcommand)]
enum TokenVerb {
    /// Make a token and print it; it is shown only now
    Create {
        name: String,
        /// Kinds of tasks that its workers may serve
        #[arg(long = "class", value_name = "NAME", value_delimiter = ',', default_value = "default")]
        classes: Vec<String>,
        /// Workers at once
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..=100_000))]
        workers: i32,
        /// Valid for so long [default: for ever]
        #[arg(long, value_name = "TIME")]
        expires: Option<String>,
    },
    List {
        #[arg(long)]
        json: bool,
    },
    /// Make a token worthless
    Revoke { name: String },
}

#[derive(clap::Args)]
struct Fire {
    run: String,
    /// The event's name
    #[arg(required_unless_present = "from")]
    event: Option<String>,
    /// What makes it this event and no other; telling it again does nothing
    #[arg(long, required_unless_present = "from")]
    key: Option<String>,
    /// A JSON object
    #[arg(long, value_name = "JSON")]
    payload: Option<String>,
    /// A file that comes with it; it is copied into the store
    #[arg(long, value_name = "ROLE=PATH", value_parser = pair)]
    file: Vec<(String, String)>,
    /// Many: one {\"name\", \"key\", \"payload\"} a line, - for standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["event", "key", "payload", "file"])]
    from: Option<PathBuf>,
    #[command(flatten)]
    place: Place,
}

#[derive(clap::Args)]
struct Serve {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:8477", value_name = "ADDRESS")]
    listen: String,
    #[command(flatten)]
    place: Place,
    /// Seconds of a lease
    #[arg(long, default_value_t = crate::pipeline::protocol::LEASE_S, value_parser = clap::value_parser!(i32).range(2..=3600))]
    lease: i32,
    /// Seconds after the start before leases are looked after
    #[arg(long, default_value_t = 60)]
    grace: u64,
    /// Attempts lost on one node in ten minutes that put it into quarantine
    #[arg(long, default_value_t = 5)]
    losses: i32,
    /// A shell command that starts workers when jobs wait; BRICKYARD_CLASS, _READY, _RUNNING, _WORKERS, _SLOTS are in its environment
    #[arg(long, value_name = "COMMAND")]
    autoscale: Option<String>,
    /// Seconds between its calls
    #[arg(long, value_name = "S", default_value_t = crate::pipeline::autoscale::EVERY.as_secs(), value_parser = clap::value_parser!(u64).range(1..))]
    autoscale_every: u64,
}

/// Where bytes lie.
#[derive(clap::Args)]
struct Place {
    /// A folder or s3://bucket/prefix for outputs [default: pipeline/store in the data directory]
    #[arg(long, value_name = "PLACE", env = "BRICKYARD_STORE", hide_env_values = true)]
    store: Option<String>,
}

#[derive(clap::Args)]
struct Which {
    #[arg(long)]
    task: Option<String>,
    /// How the last attempt ended: lost, oom, exit, fatal, timeout, staging, preempted
    #[arg(long)]
    outcome: Option<String>,
    /// The event's key, with % and _ as in SQL's LIKE
    #[arg(long)]
    key: Option<String>,
}

#[derive(clap::Args)]
struct Target {
    run: String,
    /// Only these jobs
    #[arg(long, value_delimiter = ',')]
    job: Vec<i64>,
    #[command(flatten)]
    which: Which,
}

impl Which {
    fn selector(&self) -> Selector {
        Selector { task: self.task.clone(), outcome: self.outcome.clone(), key: self.key.clone() }
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    text.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned())).ok_or_else(|| "wanted NAME=VALUE".to_owned())
}

pub async fn run(config: &Config, args: Args) -> anyhow::Result<ExitCode> {
    match args.verb {
        Verb::Check { file } => check(&file)?,
        Verb::Graph { file, dot, png } => graph(&file, dot, png.as_deref())?,
        Verb::DryRun { file, set } => dry_run(&file, &set)?,
        Verb::Run { verb } => runs(config, verb).await?,
        Verb::Fire(args) => fire(config, args).await?,
        Verb::Status { run, json } => status(config, run.as_deref(), json).await?,
        Verb::Tree { run, job, depth, most } => tree(config, &run, job, depth, most).await?,
        Verb::Jobs { run, failed, state, which, most, json } => {
            let state = if failed { Some("failed".to_owned()) } else { state };
            jobs(config, &run, state.as_deref(), &which.selector(), most, json).await?;
        }
        Verb::Job { job, json } => one_job(config, job, json).await?,
        Verb::Provenance { what, json } => provenance::show(&connect(config).await?, &what, json).await?,
        Verb::Export { export, place } => {
            provenance::export(&connect(config).await?, &open_store(config, &place)?, &export).await?;
        }
        Verb::Logs { job, attempt, follow } => logs(config, job, attempt, follow).await?,
        Verb::Retry { target, memory } => change(config, "retry", &target, memory).await?,
        Verb::Skip(target) => change(config, "skip", &target, None).await?,
        Verb::Cancel(target) => change(config, "cancel", &target, None).await?,
        Verb::Priority { target, value } => change(config, "priority", &target, Some(f64::from(value))).await?,
        Verb::Hold { run, task } => hold(config, &run, task.as_deref(), true).await?,
        Verb::Release { node: Some(node), .. } => {
            let connection = connect(config).await?;
            let was = admin::clear_node(&connection, &actor(), &node).await?;
            println!("{node} {}", if was { "takes jobs again" } else { "was not in quarantine" });
        }
        Verb::Release { run, task, .. } => hold(config, &run.unwrap_or_default(), task.as_deref(), false).await?,
        Verb::Workers { json } => workers(config, json).await?,
        Verb::Token { verb } => tokens(config, verb).await?,
        Verb::Gc { older, remove, place } => gc(config, &older, remove, &place).await?,
        Verb::Serve(args) => return serve(config, args).await,
    }
    Ok(ExitCode::SUCCESS)
}

/// A manifest from its file; `phat`, where no file has that name, is the one that is built in.
fn read(file: &Path) -> anyhow::Result<Manifest> {
    let path = file.display().to_string();
    if path == "phat" && !file.exists() {
        return Ok(Manifest::parse("loaders/phat_v2/pipeline/phat.toml", crate::stage::PHAT)?);
    }
    let text = std::fs::read_to_string(file).map_err(|error| anyhow::anyhow!("{}", manifest::unreadable(&path, &error)))?;
    Ok(Manifest::parse(&path, &text)?)
}

/// Who does it, for the audit.
fn actor() -> String {
    std::env::var("USER").unwrap_or_else(|_| format!("uid {}", rustix::process::getuid().as_raw()))
}

/// The database, with the runner's tables.
async fn connect(config: &Config) -> anyhow::Result<Connection> {
    let mut connection = db::connect(&config.db()).await?;
    admin::install(&mut connection).await?;
    Ok(connection)
}

async fn find(config: &Config, run: &str) -> anyhow::Result<(Connection, i64)> {
    let connection = connect(config).await?;
    let id = admin::run_id(&connection, run).await?;
    Ok((connection, id))
}

fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}

fn table(head: &[&str], rows: Vec<Vec<String>>) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(head);
    for row in rows {
        table.add_row(row);
    }
    println!("{table}");
}

fn check(file: &Path) -> anyhow::Result<()> {
    let manifest = read(file)?;
    println!("{}: {} tasks, {} barriers, no faults", file.display(), manifest.tasks.len(), manifest.barriers.len());
    let graph = Graph::of(&manifest);
    if let Some(i) = graph.back_edges().into_iter().next() {
        let (from, to, _) = &graph.edges[i];
        println!(
            "note: {} leads back to {}: such a loop ends only when no new event is told",
            graph.nodes[*from].name, graph.nodes[*to].name
        );
    }
    Ok(())
}

fn graph(file: &Path, dot: bool, png: Option<&Path>) -> anyhow::Result<()> {
    let manifest = read(file)?;
    let graph = Graph::of(&manifest);
    match png {
        Some(path) => std::fs::write(path, graph.png()?).with_context(|| format!("cannot write {}", path.display()))?,
        None if dot => print!("{}", graph.dot()),
        None => print!("{}", graph.text(&manifest)),
    }
    Ok(())
}

fn dry_run(file: &Path, set: &[(String, String)]) -> anyhow::Result<()> {
    let manifest = read(file)?;
    let params = manifest.with(set).map_err(anyhow::Error::msg)?;
    let mut missing = 0;
    for task in &manifest.tasks {
        let fill =
            |text: &String| params.iter().fold(text.clone(), |text, (name, value)| text.replace(&format!("{{param:{name}}}"), value));
        let argv: Vec<String> = task.spec.argv.iter().map(fill).collect();
        let there = argv.first().is_none_or(|program| program.contains('{') || which(program));
        missing += usize::from(!there);
        let on: Vec<&str> = task.on.iter().map(|on| on.event.as_str()).collect();
        println!("{}  on {}", task.name, on.join(", "));
        println!("    {}{}", argv.join(" "), if there { "" } else { "    (program not found here)" });
        println!(
            "    cpu {}, memory {}, disk {}, at most {} s, class {}",
            task.spec.cpu, task.spec.mem, task.spec.disk, task.spec.timeout_s, task.class
        );
    }
    anyhow::ensure!(missing == 0, "{missing} programs are not found on this machine");
    Ok(())
}

fn which(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    program.contains('/') && Path::new(program).exists() || std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

async fn runs(config: &Config, verb: RunVerb) -> anyhow::Result<()> {
    match verb {
        RunVerb::Create { name, file, set, priority } => {
            let manifest = read(&file)?;
            let params = manifest.with(&set).map_err(anyhow::Error::msg)?;
            store::check_key(&name).ok().filter(|()| !name.contains('/')).context("a run's name is letters, digits, _ - . + @ =")?;
            let mut connection = connect(config).await?;
            let id = queue::create_run(&mut connection, &name, &manifest, &params, priority).await?;
            println!("run {name} ({id}): {} tasks wait for {}", manifest.tasks.len(), manifest.events.join(", "));
            Ok(())
        }
        RunVerb::List { json } => status(config, None, json).await,
    }
}

/// Events from the command line or from a file, with their files in the store.
async fn fire(config: &Config, args: Fire) -> anyhow::Result<()> {
    let (connection, run) = find(config, &args.run).await?;
    let events = match (&args.from, args.event, args.key) {
        (Some(path), ..) => read_events(path)?,
        (None, Some(name), Some(key)) => {
            let mut payload: Value = serde_json::from_str(args.payload.as_deref().unwrap_or("{}")).context("--payload is not JSON")?;
            if !args.file.is_empty() {
                let store = open_store(config, &args.place)?;
                let mut files = Vec::new();
                for (role, path) in &args.file {
                    files.push(put_file(&store, role, Path::new(path)).await?);
                }
                payload.as_object_mut().context("--payload must be an object")?.insert("files".into(), json!(files));
            }
            vec![Told { name, key, payload }]
        }
        _ => anyhow::bail!("give an event and --key, or --from"),
    };
    for event in &events {
        event.check().map_err(anyhow::Error::msg)?;
    }
    let made = admin::fire(&connection, run, &events).await?;
    println!("{} new events, {} jobs", made.events, made.jobs);
    Ok(())
}

fn read_events(path: &Path) -> anyhow::Result<Vec<Told>> {
    let input: Box<dyn Read> = match path.as_os_str() == "-" {
        true => Box::new(std::io::stdin()),
        false => Box::new(std::fs::File::open(path).with_context(|| format!("cannot read {}", path.display()))?),
    };
    let lines = std::io::BufReader::new(input).lines().enumerate();
    let event = |(i, line): (usize, std::io::Result<String>)| {
        let line = line?;
        if line.trim().is_empty() {
            return Ok(None);
        }
        serde_json::from_str(&line).map(Some).with_context(|| format!("{}, line {}", path.display(), i + 1))
    };
    lines.map(event).filter_map(Result::transpose).collect()
}

/// A file under its hash, for an event to bring.
pub(super) async fn put_file(store: &Store, role: &str, path: &Path) -> anyhow::Result<Value> {
    let name = path.file_name().and_then(|name| name.to_str()).with_context(|| format!("{} has no plain name", path.display()))?;
    let (sha256, bytes) = scratch::sha256_of(path).with_context(|| format!("cannot read {}", path.display()))?;
    let key = master::external_key(&sha256, name);
    let owned = key.clone();
    let file = tokio::fs::File::open(path).await?;
    let stream = tokio_util::io::ReaderStream::with_capacity(file, store::CHUNK)
        .map(move |chunk| chunk.map_err(|error| store::Error::Cut { key: owned.clone(), why: error.to_string() }));
    match store.put(&key, stream.boxed(), u64::MAX).await {
        // the same bytes: they were there
        Ok(_) | Err(store::Error::Exists { .. }) => Ok(json!({"role": role, "name": name, "key": key, "sha256": sha256, "bytes": bytes})),
        Err(error) => Err(error.into()),
    }
}

/// The store in the data directory.
pub(super) fn store_of(config: &Config) -> anyhow::Result<Store> {
    open_store(config, &Place { store: None })
}

fn open_store(config: &Config, place: &Place) -> anyhow::Result<Store> {
    let named = place.store.clone().or_else(|| Some(config.pipeline.store.clone()).filter(|store| !store.is_empty()));
    let usual = || config.data_dir().join("pipeline").join("store").display().to_string();
    Ok(Store::open(&named.unwrap_or_else(usual), &config.store_credentials())?)
}

/// The stage runner inside `brickyard serve`; its master begins when the database has a pipeline.
pub(super) fn site(config: &Config, base_url: &str) -> anyhow::Result<Arc<web::pipeline::Site>> {
    let options = &config.pipeline;
    anyhow::ensure!((2..=3600).contains(&options.lease_s), "[pipeline] lease_s is {}: wanted 2 to 3600", options.lease_s);
    anyhow::ensure!(options.sessions >= 4, "[pipeline] sessions is {}: at least 4", options.sessions);
    let (config, readers) = (config.clone(), options.readers.clone());
    let open = move || {
        let config = config.clone();
        Box::pin(async move { begin(&config).await }) as std::pin::Pin<Box<dyn Future<Output = _> + Send>>
    };
    let site = web::pipeline::Site::later(base_url.to_owned(), readers, open);
    // leases of a master that is gone are looked after from now, not from the first request
    let first = site.clone();
    tokio::spawn(async move {
        if let Err(error) = first.master().await {
            tracing::warn!(%error, "the stage runner does not begin yet");
        }
    });
    Ok(site)
}

/// The master, if the database has a pipeline.
async fn begin(config: &Config) -> Result<Option<Arc<Master>>, crate::pipeline::Error> {
    let mut connection = db::connect(&config.db()).await?;
    if !queue::is_installed(&connection).await? {
        return Ok(None);
    }
    admin::install(&mut connection).await?;
    let books = admin::queue(connection, config.pipeline.sessions).await?;
    let store = open_store(config, &Place { store: None }).map_err(|error| crate::pipeline::Error::Refused(error.to_string()))?;
    let options = &config.pipeline;
    let settings = Settings {
        sweep_every: sweeps(options.lease_s),
        lease_s: options.lease_s,
        autoscale: Some(options.autoscale.clone()).filter(|command| !command.is_empty()),
        autoscale_every: Duration::from_secs(options.autoscale_every_s.max(1)),
        ..Settings::new(log_dir(config))
    };
    Master::start(books, store, settings).await.map(Some)
}

/// How often leases are looked after.
fn sweeps(lease_s: i32) -> Duration {
    Duration::from_secs(u64::try_from(lease_s).unwrap_or(60).div_ceil(12).min(5))
}

pub(super) fn log_dir(config: &Config) -> PathBuf {
    config.data_dir().join("pipeline").join("logs")
}

pub(super) async fn status(config: &Config, run: Option<&str>, json: bool) -> anyhow::Result<()> {
    let Some(run) = run else {
        let connection = connect(config).await?;
        let runs = admin::runs(&connection).await?;
        if json {
            return print_json(&runs);
        }
        let rows = runs.into_iter().map(|r| vec![r.name, r.state, r.jobs.to_string(), r.priority.to_string(), r.created]);
        table(&["run", "state", "jobs", "priority", "made"], rows.collect());
        return Ok(());
    };
    let (connection, id) = find(config, run).await?;
    let lines = admin::status(&connection, id).await?;
    if json {
        return print_json(&lines);
    }
    let seconds = |s: Option<f64>| s.map_or(String::new(), |s| format!("{s:.1}"));
    let left = admin::left(&lines);
    let rows = lines.into_iter().map(|l| {
        let counts = [l.jobs, l.ready + l.retry_wait, l.running, l.done, l.failed, l.blocked, l.cancelled, l.skipped, l.lost];
        let name = if l.held { format!("{} (held)", l.task) } else { l.task };
        [name].into_iter().chain(counts.map(|n| n.to_string())).chain([seconds(l.p50_s), seconds(l.p95_s), seconds(l.cost)]).collect()
    });
    let head =
        ["task", "jobs", "ready", "running", "done", "failed", "blocked", "cancelled", "skipped", "lost/h", "p50 s", "p95 s", "cost"];
    table(&head, rows.collect());
    if let Some(left) = left {
        let word = if left.at_least { "at least" } else { "about" };
        println!("{word} {:.0} s left for the jobs that are there", left.seconds);
    }
    Ok(())
}

pub(super) async fn tree(config: &Config, run: &str, job: Option<i64>, depth: usize, most: i64) -> anyhow::Result<()> {
    let (connection, id) = find(config, run).await?;
    print_branch(&connection, id, job.map_or(Branch::Outside, Branch::Job), 0, depth, most).await?;
    if job.is_none() {
        for barrier in admin::barriers(&connection, id, 0, most).await? {
            let state = if barrier.fired { "fired" } else { "open" };
            println!("barrier {} {:?}  {} of {} done, {state}", barrier.name, barrier.key, barrier.done, barrier.members);
            print_branch(&connection, id, Branch::Barrier(barrier.barrier), 1, depth, most).await?;
        }
    }
    Ok(())
}

/// Children of one place, each with its own, failures first: boxed, because it calls itself.
fn print_branch<'a>(
    connection: &'a Connection,
    run: i64,
    branch: Branch,
    level: usize,
    depth: usize,
    most: i64,
) -> std::pin::Pin<Box<dyn Future<Output = anyhow::Result<()>> + 'a>> {
    Box::pin(async move {
        if level >= depth {
            return Ok(());
        }
        let mut lines: Vec<TreeLine> = admin::failures(connection, run, branch).await?;
        let first: Vec<Option<i64>> = lines.iter().map(|line| line.job).collect();
        let rest = admin::tree(connection, run, branch, (0, 0), most + 1).await?;
        lines.extend(rest.into_iter().filter(|line| line.job.is_none() || !first.contains(&line.job)));
        let more = lines.len() as i64 > most;
        let indent = "  ".repeat(level);
        let mut event = None;
        for line in lines.iter().take(usize::try_from(most).unwrap_or(0)) {
            if event != Some(line.event_id) {
                println!("{indent}{} {:?}", line.event, line.key);
                event = Some(line.event_id);
            }
            if let (Some(job), Some(task), Some(state)) = (line.job, &line.task, &line.state) {
                let why = line.outcome.as_deref().filter(|_| state != "done").map_or(String::new(), |o| format!(" ({o})"));
                let failed = if line.failed_below > 0 { format!(", {} failed below", line.failed_below) } else { String::new() };
                println!(
                    "{indent}  {task} job {job}: {state}{why}, attempt {}, {} children{failed}",
                    line.attempt.unwrap_or(0),
                    line.children
                );
                if line.children > 0 {
                    print_branch(connection, run, Branch::Job(job), level + 2, depth, most).await?;
                }
            }
        }
        if more {
            println!("{indent}... more (--most)");
        }
        Ok(())
    })
}

async fn jobs(config: &Config, run: &str, state: Option<&str>, which: &Selector, most: i64, json: bool) -> anyhow::Result<()> {
    if let Some(state) = state {
        crate::pipeline::state::State::from_name(state).with_context(|| format!("there is no state {state:?}"))?;
    }
    let (connection, id) = find(config, run).await?;
    let lines = admin::jobs(&connection, id, state, which, 0, most).await?;
    if json {
        return print_json(&lines);
    }
    let row = |j: JobLine| {
        let end = match (j.outcome, j.exit_code) {
            (Some(outcome), Some(code)) if code != 0 => format!("{outcome} {code}"),
            (outcome, _) => outcome.unwrap_or_default(),
        };
        let seconds = j.seconds.map_or(String::new(), |s| format!("{s:.1}"));
        vec![
            j.job.to_string(),
            j.task,
            j.key,
            j.state,
            j.attempt.to_string(),
            end,
            seconds,
            j.worker.unwrap_or_default(),
            j.message.unwrap_or_default(),
        ]
    };
    table(&["job", "task", "key", "state", "attempt", "ended", "s", "worker", "message"], lines.into_iter().map(row).collect());
    Ok(())
}

async fn one_job(config: &Config, job: i64, json: bool) -> anyhow::Result<()> {
    let connection = connect(config).await?;
    let sheet = sheet::of(&connection, job).await?;
    if json {
        return print_json(&sheet);
    }
    println!("{} job {job} of run {}: {}, attempt {}", sheet.task, sheet.run, sheet.state, sheet.attempt);
    println!("event {} {:?}", sheet.event.name, sheet.event.key);
    match &sheet.command {
        Ok(command) => println!("command {}", command.join(" ")),
        Err(why) => println!("command not known yet: {why}"),
    }
    let number = |value: Option<i32>| value.map_or(String::new(), |n| n.to_string());
    let rows = sheet.attempts.into_iter().map(|a| {
        let texts = [a.worker, a.node, a.message].map(Option::unwrap_or_default);
        let ended = [Some(a.started), a.ended, a.outcome].map(Option::unwrap_or_default);
        let numbers = [a.exit_code, a.signal, a.max_rss_mb].map(number);
        [a.attempt.to_string()].into_iter().chain(ended).chain(numbers).chain(texts).collect()
    });
    table(&["attempt", "started", "ended", "outcome", "exit", "signal", "MB", "worker", "node", "message"], rows.collect());
    let rows = |kind: &'static str, files: Vec<crate::pipeline::provenance::File>| {
        files.into_iter().map(move |f| vec![kind.to_owned(), f.role, f.name, f.bytes.to_string(), f.sha256, f.key])
    };
    let rows = rows("input", sheet.inputs).chain(rows("output", sheet.outputs)).collect();
    table(&["", "role", "name", "bytes", "sha256", "key"], rows);
    Ok(())
}

async fn logs(config: &Config, job: i64, attempt: Option<i32>, follow: bool) -> anyhow::Result<()> {
    let connection = connect(config).await?;
    let attempts = connection.query(include_str!("../../sql/pipeline/job.sql"), &[&job]).await?;
    let last = attempts.last().map(|row| row.get::<_, i32>("attempt"));
    let attempt = attempt.or(last).with_context(|| format!("job {job} was not tried yet"))?;
    let path = master::log_path(&log_dir(config), job, attempt);
    let mut at = 0;
    loop {
        let rows = connection.query(include_str!("../../sql/pipeline/job.sql"), &[&job]).await?;
        let over = rows.iter().any(|row| row.get::<_, i32>("attempt") == attempt && row.get::<_, Option<String>>("ended").is_some());
        if let Ok(mut file) = std::fs::File::open(&path) {
            let mut piece = Vec::new();
            file.seek(SeekFrom::Start(at))?;
            at += file.read_to_end(&mut piece)? as u64;
            // a terminal obeys control characters, and a log may hold any
            let plain = |c: &u8| if matches!(c, b'\n' | b'\t' | 32..=126 | 128..) { *c } else { b'?' };
            let shown: Vec<u8> = if std::io::stdout().is_terminal() { piece.iter().map(plain).collect() } else { piece };
            std::io::stdout().write_all(&shown)?;
        }
        if !follow || over {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn change(config: &Config, verb: &str, target: &Target, value: Option<f64>) -> anyhow::Result<()> {
    let (connection, run) = find(config, &target.run).await?;
    let which = target.which.selector();
    let whole = target.job.is_empty() && which.task.is_none() && which.outcome.is_none() && which.key.is_none();
    if verb == "cancel" && whole {
        admin::set_run(&connection, &actor(), run, "cancelled").await?;
    }
    anyhow::ensure!(verb != "skip" || !whole, "say which jobs to skip: --job, --task, --outcome or --key");
    let states: &[&str] = match verb {
        "retry" => &["failed", "cancelled", "retry_wait"],
        "skip" => &["failed", "cancelled", "retry_wait", "ready", "blocked"],
        _ => &["blocked", "ready", "running", "retry_wait"],
    };
    let mut ids = admin::select(&connection, run, states, &which).await?;
    if !target.job.is_empty() {
        ids.retain(|id| target.job.contains(id));
    }
    let changed = admin::change_jobs(&connection, &actor(), verb, &ids, value).await?;
    println!("{} jobs: {verb}", changed.len());
    Ok(())
}

async fn hold(config: &Config, run: &str, task: Option<&str>, held: bool) -> anyhow::Result<()> {
    let (connection, id) = find(config, run).await?;
    let word = if held { "held" } else { "active" };
    match task {
        Some(task) => {
            let there = admin::hold_task(&connection, &actor(), id, task, held).await?;
            anyhow::ensure!(there, "there is no task {task:?} in run {run}");
            println!("task {task} of run {run} is {word}");
        }
        None => {
            admin::set_run(&connection, &actor(), id, word).await?;
            println!("run {run} is {word}");
        }
    }
    Ok(())
}

async fn workers(config: &Config, json: bool) -> anyhow::Result<()> {
    let connection = connect(config).await?;
    let lines = admin::workers(&connection).await?;
    if json {
        return print_json(&lines);
    }
    let rows = lines.into_iter().map(|w| {
        let state = w.quarantined.map_or(w.state, |why| format!("quarantine: {why}"));
        vec![
            w.name,
            w.node,
            w.classes.join(","),
            format!("{}/{}", w.running, w.slots),
            w.mem_mb.to_string(),
            format!("{:.0} s", w.seen_s),
            state,
        ]
    });
    table(&["worker", "node", "classes", "running", "MB", "seen", "state"], rows.collect());
    Ok(())
}

async fn tokens(config: &Config, verb: TokenVerb) -> anyhow::Result<()> {
    let connection = connect(config).await?;
    match verb {
        TokenVerb::Create { name, classes, workers, expires } => {
            let expires = expires.map(|text| manifest::seconds(&text).context("--expires is a time such as 90d")).transpose()?;
            let token = admin::create_token(&connection, &actor(), &name, &classes, workers, expires).await?;
            println!("{token}");
            eprintln!("Keep it in a file that only its worker can read; it cannot be shown again.");
        }
        TokenVerb::List { json } => {
            let lines = admin::tokens(&connection).await?;
            if json {
                return print_json(&lines);
            }
            let row = |t: admin::TokenLine| {
                vec![
                    t.name,
                    t.classes.join(","),
                    t.max_workers.to_string(),
                    t.created,
                    t.expires.unwrap_or_else(|| "never".into()),
                    t.state,
                ]
            };
            table(&["token", "classes", "workers", "made", "expires", "state"], lines.into_iter().map(row).collect());
        }
        TokenVerb::Revoke { name } => {
            anyhow::ensure!(admin::revoke_token(&connection, &actor(), &name).await?, "there is no token {name:?} in force");
            println!("revoked; its workers are refused within seconds");
        }
    }
    Ok(())
}

async fn gc(config: &Config, older: &str, remove: bool, place: &Place) -> anyhow::Result<()> {
    let older = manifest::seconds(older).context("--older is a time such as 7d")?;
    let connection = connect(config).await?;
    let store = open_store(config, place)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() as i64;
    let garbage = admin::gc(&connection, &store, older as i64, now, remove).await?;
    let done = if remove { "removed" } else { "would go (--remove)" };
    println!("{} files, {:.1} MB {done}", garbage.files, garbage.bytes as f64 / 1e6);
    Ok(())
}

/// The master alone; `brickyard serve` is one too, with pages for people.
async fn serve(config: &Config, args: Serve) -> anyhow::Result<ExitCode> {
    log_lines();
    let connection = connect(config).await?;
    let books = admin::queue(connection, 8).await?;
    let settings = Settings {
        lease_s: args.lease,
        grace: Duration::from_secs(args.grace),
        sweep_every: sweeps(args.lease),
        losses: args.losses,
        autoscale: args.autoscale,
        autoscale_every: Duration::from_secs(args.autoscale_every),
        ..Settings::new(log_dir(config))
    };
    let master = Master::start(books, open_store(config, &args.place)?, settings).await?;
    let listener = tokio::net::TcpListener::bind(&args.listen).await.with_context(|| format!("cannot listen at {}", args.listen))?;
    println!("http://{}", listener.local_addr()?);
    let end = async {
        let term = async {
            match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
                Ok(mut term) => drop(term.recv().await),
                Err(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            () = term => {}
        }
    };
    // long polls would hold a graceful end for half a minute: workers ask again
    tokio::select! {
        ended = async { axum::serve(listener, web::pipeline::router::<()>(web::pipeline::Site::of(master))).await } => ended?,
        () = end => {}
    }
    Ok(ExitCode::SUCCESS)
}
