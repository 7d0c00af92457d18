//! `brickyard pilot`: starts workers the way a site does: Slurm, ssh, systemd.

use crate::pipeline::manifest;
use crate::pipeline::pilot::{Pilot, quoted};
use anyhow::Context;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// Start workers of the stage runner on other machines: Slurm, ssh, systemd
///
/// A pilot is a worker that pulls jobs one after another until there are none, its time is over, or its machine vanishes. Its token must
/// allow as many workers as there are pilots: brickyard pipeline token create cluster --workers 50.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    way: Way,
}

const EXAMPLES: &str = "\
Examples:
  brickyard pilot slurm --url http://runner:8080 --token-file token --pilots 50 --slots 4 --time 6h
  brickyard pilot slurm --url http://runner:8080 --token-file token --up-to 50 -- --partition=long --account=phat
  brickyard pilot ssh --url http://runner:8080 --token-file token node1 node2
  brickyard pilot systemd --url http://runner:8080 --token-file /etc/brickyard/token > /etc/systemd/system/brickyard-worker@.service";

#[derive(clap::Subcommand)]
enum Way {
    /// An array of batch jobs; they are told before their end, drain, and are queued again when they are preempted
    Slurm {
        #[command(flatten)]
        pilot: PilotArgs,
        /// Pilots to start
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000), conflicts_with = "up_to")]
        pilots: u32,
        /// Start only as many as are missing of so many; those that run or wait in the queue count
        #[arg(long, value_name = "N")]
        up_to: Option<u32>,
        /// A folder for the pilots' logs that all nodes see [default: the current one]
        #[arg(long, value_name = "DIR")]
        log_dir: Option<PathBuf>,
        /// Print the batch script and submit nothing
        #[arg(long)]
        print: bool,
        /// Options for sbatch, after --
        #[arg(last = true, value_name = "OPTION")]
        sbatch: Vec<String>,
    },
    /// On machines that ssh leads to without a password; pilots go on when the connection ends
    Ssh {
        #[command(flatten)]
        pilot: PilotArgs,
        /// Pilots on each machine
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
        pilots: u32,
        /// How ssh is called
        #[arg(long, value_name = "COMMAND", default_value = "ssh -o BatchMode=yes")]
        ssh: String,
        /// Print what the machines are told and tell none
        #[arg(long)]
        print: bool,
        #[arg(required = true, value_name = "HOST")]
        hosts: Vec<String>,
    },
    /// Print a template of units: systemctl enable --now brickyard-worker@1
    Systemd {
        #[command(flatten)]
        pilot: PilotArgs,
        /// The account that pilots run as
        #[arg(long, value_name = "NAME", default_value = "brickyard")]
        user: String,
    },
}

#[derive(clap::Args)]
struct PilotArgs {
    /// The master's URL as pilots reach it
    #[arg(long, value_name = "URL")]
    url: String,
    /// File that holds the token; for slurm and systemd where pilots find it, for ssh here
    #[arg(long, value_name = "FILE")]
    token_file: PathBuf,
    /// Kinds of tasks to serve, comma between [default: all of the token]
    #[arg(long = "class", value_name = "NAME", value_delimiter = ',')]
    classes: Vec<String>,
    /// Jobs at a time of each pilot
    #[arg(long, value_name = "N", default_value_t = 1)]
    slots: u32,
    /// Cores of each pilot [default: as many as slots]
    #[arg(long, value_name = "N")]
    cpus: Option<u32>,
    /// Memory of each pilot, MB
    #[arg(long, value_name = "MB", default_value_t = 4000)]
    memory: u32,
    /// Longest life of a pilot (90m, 6h, 2d)
    #[arg(long, value_name = "TIME", default_value = "6h", value_parser = seconds)]
    time: u64,
    /// A pilot ends after so long without a job
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = seconds)]
    max_idle: u64,
    /// What a pilot costs per hour, for the run's costs
    #[arg(long, value_name = "AMOUNT")]
    price: Option<f32>,
    /// A folder there for scratch files and kept inputs [default: that of brickyard worker]
    #[arg(long, value_name = "DIR")]
    dir: Option<String>,
    /// brickyard where pilots run [default: slurm: this program; else on the PATH there]
    #[arg(long, value_name = "FILE")]
    program: Option<String>,
}

fn seconds(text: &str) -> Result<u64, String> {
    manifest::seconds(text).filter(|s| *s >= 60).ok_or_else(|| "wanted a time of a minute or more, such as 90m, 6h or 2d".into())
}

impl PilotArgs {
    fn pilot(&self, program: String, token_file: String) -> Pilot {
        Pilot {
            brickyard: self.program.clone().unwrap_or(program),
            url: self.url.clone(),
            token_file,
            classes: self.classes.clone(),
            slots: self.slots.max(1),
            cpus: self.cpus.unwrap_or(self.slots).max(1),
            memory_mb: self.memory,
            time_s: self.time,
            idle_s: self.max_idle,
            price: self.price,
            dir: self.dir.clone(),
        }
    }
}

/// A path as it is meant from anywhere; a script's directives take no other.
fn absolute(path: &Path) -> anyhow::Result<String> {
    let path = std::path::absolute(path).with_context(|| format!("{}", path.display()))?;
    let text = path.to_str().map(str::to_owned).with_context(|| format!("{}: wanted a name in UTF-8", path.display()))?;
    anyhow::ensure!(!text.contains(['\n', '%']), "{text:?}: a path with % or a line feed cannot stand in a batch script or a unit");
    Ok(text)
}

pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.way {
        Way::Slurm { pilot, pilots, up_to, log_dir, print, sbatch } => {
            let log_dir = log_dir.map_or_else(std::env::current_dir, Ok).context("the current folder")?;
            slurm(&pilot, pilots, up_to, &log_dir, print, &sbatch)?;
        }
        Way::Ssh { pilot, pilots, ssh: command, print, hosts } => ssh(&pilot, pilots, &command, print, &hosts)?,
        Way::Systemd { pilot, user } => {
            let token = absolute(&pilot.token_file)?;
            print!("{}", pilot.pilot("/usr/local/bin/brickyard".into(), token).systemd(&user));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn slurm(args: &PilotArgs, pilots: u32, up_to: Option<u32>, log_dir: &Path, print: bool, more: &[String]) -> anyhow::Result<()> {
    if let Some(odd) = more.iter().find(|option| !option.starts_with('-') || option.contains('\n')) {
        anyhow::bail!("{odd:?} is no option of sbatch: wanted such as --partition=long");
    }
    let this = std::env::current_exe().context("finding this program")?;
    let pilot = args.pilot(absolute(&this)?, absolute(&args.token_file)?);
    let wanted = match up_to {
        Some(most) => most.saturating_sub(queued(&pilot.job_name())?),
        None => pilots,
    };
    if wanted == 0 {
        println!("no pilot is missing");
        return Ok(());
    }
    let script = pilot.slurm(wanted, &absolute(log_dir)?, more);
    if print {
        print!("{script}");
        return Ok(());
    }
    anyhow::ensure!(args.token_file.is_file(), "there is no token file {}", args.token_file.display());
    let said = fed(Command::new("sbatch").arg("--parsable"), &script, "sbatch")?;
    println!("{wanted} pilots are job {}", said.trim());
    Ok(())
}

/// Own pilots of this name that run or wait, each element of an array by itself.
fn queued(name: &str) -> anyhow::Result<u32> {
    let mut command = Command::new("squeue");
    command.args(["--noheader", "--array", "--me", "--format=%i", "--states=PENDING,CONFIGURING,RUNNING,REQUEUED,SUSPENDED"]);
    let said = fed(command.arg(format!("--name={name}")), "", "squeue")?;
    Ok(said.lines().filter(|line| !line.trim().is_empty()).count() as u32)
}

fn ssh(args: &PilotArgs, pilots: u32, command: &str, print: bool, hosts: &[String]) -> anyhow::Result<()> {
    if let Some(odd) = hosts.iter().find(|host| host.starts_with('-')) {
        anyhow::bail!("{odd:?} is no machine");
    }
    let token = std::fs::read_to_string(&args.token_file).with_context(|| format!("cannot read {}", args.token_file.display()))?;
    // in the folder that the script makes
    let pilot = args.pilot("brickyard".into(), "token".into());
    if print {
        print!("{}", pilot.shell(pilots, "<the token>"));
        return Ok(());
    }
    let mut failed = 0;
    for host in hosts {
        // the shell splits the caller's own words; the host is one
        let mut call = Command::new("sh");
        call.arg("-c").arg(format!("exec {command} {} sh -s", quoted(host)));
        match fed(&mut call, &pilot.shell(pilots, token.trim()), "ssh") {
            Ok(_) => println!("{host}: {pilots} pilots"),
            Err(error) => {
                failed += 1;
                eprintln!("{host}: {error:#}");
            }
        }
    }
    anyhow::ensure!(failed == 0, "{failed} of {} machines have no pilot", hosts.len());
    Ok(())
}

/// Runs a program with a text for its input; gives what it says, or an error with its last words.
fn fed(command: &mut Command, text: &str, name: &str) -> anyhow::Result<String> {
    let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = spawned.with_context(|| format!("cannot run {name}: is it installed here?"))?;
    let given = child.stdin.take().context("its input")?.write_all(text.as_bytes());
    let output = child.wait_with_output().with_context(|| format!("waiting for {name}"))?;
    let words = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{name} failed ({}): {}", output.status, words.trim());
    given.with_context(|| format!("telling {name}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
