//! `brickyard serve`: the query service over HTTP.

use crate::archive::Archive;
use crate::config::Config;
use crate::tap::{Service, jobs::Jobs, service::Place};
use crate::web::{self, App, options::Log};
use anyhow::Context;
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Serve the database over HTTP: TAP, cone search, and what belongs to them
///
/// TOPCAT, pyvo, STILTS and browsers ask it; the front page says how. Ctrl-C lets running requests finish and stops.
/// Every setting stands in one TOML file; brickyard config prints it with its documentation.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    listen: Listen,
    /// How clients reach the service behind a reverse proxy: https://archive.example.org/phat
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// How log lines are written
    #[arg(long, value_enum)]
    log: Option<Log>,
}

/// Where to listen; the demo takes the same.
#[derive(clap::Args)]
pub struct Listen {
    /// Port to listen on, 0 for a free one [default: 8080]
    #[arg(long, value_name = "N")]
    port: Option<u16>,
    /// Address to listen on, 0.0.0.0 for every network [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS")]
    address: Option<IpAddr>,
}

const EXAMPLES: &str = "\
Examples:
  brickyard serve
  brickyard serve --address 0.0.0.0 --port 80 --base-url https://archive.example.org/phat
  brickyard config > brickyard.toml; brickyard --config brickyard.toml serve";

pub async fn run(config: &Config, args: Args) -> anyhow::Result<ExitCode> {
    let mut config = config.clone();
    args.listen.put_into(&mut config);
    if let Some(url) = args.base_url {
        config.web.base_url = url;
    }
    if let Some(log) = args.log {
        config.web.log = log;
    }
    start_log(&config)?;
    let (listener, app) = open(&config).await?;
    println!("Serving at {}/", app.base_url);
    let drained = until(app, listener, asked_to_stop()?).await;
    tracing::info!(drained, "stopped");
    Ok(if drained { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Listen {
    pub fn put_into(&self, config: &mut Config) {
        config.web.port = self.port.unwrap_or(config.web.port);
        config.web.address = self.address.unwrap_or(config.web.address);
    }

    /// Does the command line say the port?
    pub fn names_port(&self) -> bool {
        self.port.is_some()
    }
}

/// Serves until `stop` is done and its requests are, then gives the jobs back to the queue; says whether all requests finished.
pub async fn until(app: App, listener: TcpListener, stop: impl Future<Output = ()>) -> bool {
    let (jobs, drain) = (app.jobs.clone(), Duration::from_secs(app.options.drain_s));
    let drained = web::serve::serve(app, listener, stop).await;
    jobs.leave(drain).await;
    drained
}

/// The socket first, so that a taken port is said at once; then the service.
pub async fn open(config: &Config) -> anyhow::Result<(TcpListener, App)> {
    give_large_memory_back();
    let options = config.web.clone();
    let address = SocketAddr::new(options.address, options.port);
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}; --port N takes another port, --port 0 a free one"))?;
    let base_url = base_url(&options.base_url, listener.local_addr()?)?;
    let site = match config.pipeline.serve {
        true => Some(super::pipeline::site(config, &base_url)?),
        false => None,
    };
    let place = Place { db: config.db(), schema_dirs: config.schema_dir.clone(), data_dir: config.data_dir(), base_url };
    let archive = Arc::new(Archive::open(config.images.clone(), &config.store_credentials(), &config.data_dir().join("scratch"))?);
    let service = Arc::new(Service::start(place, config.tap.clone()).await?);
    service.watch();
    let jobs = Arc::new(open_jobs(config).await?);
    let app = App::new(options, service, jobs, archive, site);
    web::uws::work(&app);
    Ok((listener, app))
}

/// Asks the allocator to map blocks of a MiB and more each by itself, so that they leave the process when they are freed. Left to
/// itself, glibc raises its border to the largest block that was ever freed (mallopt(3), `M_MMAP_THRESHOLD`), and every thread's arena
/// then keeps what the pieces of images took there: 100 MB after 12 pieces of 16 MB, of which 4 were there at a time.
///
/// What an arena's end keeps for the next small piece is 4 MiB at most.
fn give_large_memory_back() {
    const LARGE: i32 = 1 << 20;
    const KEPT: i32 = 4 << 20;
    #[cfg(target_env = "gnu")]
    // SAFETY: it sets numbers of the allocator, under the allocator's own lock
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT);
    }
}

/// The queue of jobs, with its results in the data directory.
async fn open_jobs(config: &Config) -> anyhow::Result<Jobs> {
    let folder = config.data_dir().join("jobs");
    let limit = Duration::from_secs(config.tap.async_limit_s);
    let jobs = Jobs::open(config.db(), folder.clone(), config.jobs.clone(), config.upload.clone(), limit).await;
    jobs.with_context(|| format!("cannot open the job queue, whose results are in {}", folder.display()))
}

/// The configured URL without its last slash, or that of the socket.
fn base_url(configured: &str, bound: SocketAddr) -> anyhow::Result<String> {
    let url = configured.trim_end_matches('/');
    match url {
        "" if bound.ip().is_unspecified() => Ok(format!("http://127.0.0.1:{}", bound.port())),
        "" => Ok(format!("http://{bound}")),
        url if url.starts_with("http://") || url.starts_with("https://") => Ok(url.to_owned()),
        url => anyhow::bail!("the base URL {url:?} does not begin with http:// or https://"),
    }
}

/// Log lines go to standard error; what is served to whom is on them, passwords are not.
pub fn start_log(config: &Config) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&config.web.log_level).context("web.log_level")?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match config.web.log {
        Log::Text => builder.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init(),
        Log::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("cannot start the log: {error}"))
}

/// Done at Ctrl-C or SIGTERM; a second one ends the process at once.
pub fn asked_to_stop() -> anyhow::Result<impl Future<Output = ()>> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
        tokio::spawn(async move {
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
            std::process::exit(130);
        });
    })
}
