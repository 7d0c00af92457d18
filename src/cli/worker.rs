//! `brickyard worker`: pulls jobs from a master and runs them here.

use crate::config::Config;
use crate::pipeline::{manifest, worker};
use anyhow::Context;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

/// Pull jobs of the stage runner and run them on this machine
///
/// It may be stopped, killed or unplugged at any time: what it was running is given to another. SIGTERM or Ctrl-C drains it (no new
/// jobs, running ones may end), a second one gives running jobs back. It needs no key but its token, and only HTTP to its master.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The master's URL
    #[arg(long, value_name = "URL")]
    url: String,
    /// File that holds the token of `brickyard pipeline token create`
    #[arg(long, value_name = "FILE")]
    token_file: PathBuf,
    /// Jobs at a time [default: one per core]
    #[arg(long, value_name = "N")]
    slots: Option<i32>,
    /// Cores to give to jobs [default: all]
    #[arg(long, value_name = "N")]
    cpu: Option<i32>,
    /// Memory to give to jobs, MB [default: nine tenths of the machine's]
    #[arg(long, value_name = "MB")]
    memory: Option<i32>,
    /// Disk to give to jobs, MB [default: nine tenths of what is free]
    #[arg(long, value_name = "MB")]
    disk: Option<i32>,
    /// Kinds of tasks to serve, comma between [default: all of the token]
    #[arg(long = "class", value_name = "NAME", value_delimiter = ',')]
    classes: Vec<String>,
    /// This worker's name, its own among those of the token [default: host name]
    #[arg(long)]
    name: Option<String>,
    /// The machine's name, by which losses are counted [default: host name]
    #[arg(long)]
    node: Option<String>,
    /// What this machine costs per hour, for the run's costs
    #[arg(long, value_name = "AMOUNT")]
    price: Option<f32>,
    /// Inputs that are kept, and scratch folders [default: worker/<name> in the data directory]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Inputs to keep for later jobs, GB
    #[arg(long, value_name = "GB", default_value_t = 20)]
    cache: u64,
    /// End after so long without a job (90s, 30m, 6h)
    #[arg(long, value_name = "TIME", value_parser = time)]
    max_idle: Option<Duration>,
    /// Take no jobs after so long, and end
    #[arg(long, value_name = "TIME", value_parser = time)]
    max_life: Option<Duration>,
    /// After SIGTERM, give running jobs back when so long has passed (for batch systems that kill)
    #[arg(long, value_name = "TIME", value_parser = time)]
    drain_within: Option<Duration>,
    /// Environment variables that programs see besides PATH, HOME, USER, LANG
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pass_env: Vec<String>,
}

const EXAMPLES: &str = "\
Examples:
  brickyard worker --url http://runner:8080 --token-file token --slots 4
  sbatch --array=1-50 --signal=B:TERM@120 --wrap 'exec brickyard worker --url ... --token-file token \\
      --name $SLURM_JOB_ID --drain-within 100s --max-idle 10m'";

fn time(text: &str) -> Result<Duration, String> {
    manifest::seconds(text).map(Duration::from_secs).ok_or_else(|| "wanted a time such as 90s, 30m, 6h or 2d".into())
}

pub async fn run(config: &Config, args: Args) -> anyhow::Result<ExitCode> {
    log_lines();
    let options = options(config, args)?;
    let signals = Arc::new(Notify::new());
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let told = signals.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = term.recv() => {}
                _ = int.recv() => {}
            }
            told.notify_one();
        }
    });
    let summary = worker::work(options, signals).await?;
    eprintln!("{} jobs done, {} not", summary.done, summary.failed);
    Ok(ExitCode::SUCCESS)
}

fn options(config: &Config, args: Args) -> anyhow::Result<worker::Options> {
    let token = std::fs::read_to_string(&args.token_file).with_context(|| format!("cannot read {}", args.token_file.display()))?;
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let name = args.name.unwrap_or_else(|| host.clone());
    let dir = args.dir.unwrap_or_else(|| config.data_dir().join("worker").join(&name));
    std::fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from) as i32;
    let tenths = |mb: u64| i32::try_from(mb / 10 * 9).unwrap_or(i32::MAX).max(1);
    let free_mb = rustix::fs::statvfs(&dir).map(|fs| fs.f_bavail.saturating_mul(fs.f_frsize) >> 20).unwrap_or(1024);
    Ok(worker::Options {
        url: args.url,
        token,
        node: args.node.unwrap_or(host),
        name,
        classes: args.classes,
        slots: args.slots.unwrap_or(cores).max(1),
        cpu: args.cpu.unwrap_or_else(|| cores.max(args.slots.unwrap_or(1))),
        mem_mb: args.memory.unwrap_or_else(|| tenths(memory_mb())),
        disk_mb: args.disk.unwrap_or_else(|| tenths(free_mb)),
        price_per_h: args.price,
        dir: dir.canonicalize()?,
        cache_bytes: args.cache << 30,
        max_idle: args.max_idle,
        max_life: args.max_life,
        drain_within: args.drain_within,
        brickyard: std::env::current_exe().context("finding this program")?,
        env: passed(&args.pass_env),
    })
}

fn passed(more: &[String]) -> Vec<(OsString, OsString)> {
    let usual = ["PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ"];
    let names = usual.into_iter().chain(more.iter().map(String::as_str));
    names.filter_map(|name| Some((name.into(), std::env::var_os(name)?))).collect()
}

fn memory_mb() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()).map_or(1024, |kb| kb >> 10)
}

/// What long-running commands say goes to standard error, one line each; RUST_LOG chooses.
pub fn log_lines() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "brickyard=info".into());
    // one may be there already
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false).try_init();
}
