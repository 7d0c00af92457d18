//! A program of a job: started in its own process group, watched, ended with all that it started.
//!
//! The group dies with the worker (the kernel's parent-death signal goes to the program itself; what it started is ended by the
//! worker while that lives). Memory is that of the whole group, sampled from `/proc` twice a second: address-space limits would
//! refuse programs that only reserve. Core dumps are off, and a file may not grow beyond the job's disk.

use super::state::Class;
use rustix::process::{Pid, Resource, Rlimit, Signal};
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::Command;
use tokio::sync::watch;

/// Time between SIGTERM and SIGKILL.
const KIND: Duration = Duration::from_secs(5);
/// Time between looks at memory.
const SAMPLE: Duration = Duration::from_millis(500);

/// What is run.
#[derive(Debug)]
pub struct Program {
    pub argv: Vec<String>,
    pub env: Vec<(OsString, OsString)>,
    pub dir: PathBuf,
    pub log: PathBuf,
    pub mem_mb: i32,
    pub disk_mb: i32,
    pub timeout: Duration,
}

/// Why a program is to be stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The master said so: the attempt is not ours any more.
    Dropped,
    /// No answer from the master for too long.
    CutOff,
    /// This worker must go.
    Preempted,
}

/// How it ended, and what it used.
#[derive(Debug, Clone, Default)]
pub struct End {
    pub exit_code: Option<i32>,
    pub signal: Option<i32>,
    pub max_rss_mb: Option<i32>,
    pub cpu_s: Option<f32>,
    /// Set if we ended it.
    pub why: Option<Why>,
}

/// Why we ended it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    Stopped(Stop),
    Failed(Class),
}

impl End {
    /// The class of failure and its words; `None` for success.
    pub fn failure(&self, program: &Program) -> Option<(Class, String)> {
        match (self.why, self.exit_code, self.signal) {
            (Some(Why::Failed(Class::Oom)), ..) => {
                Some((Class::Oom, format!("used {} MB, it was given {}", self.max_rss_mb.unwrap_or(0), program.mem_mb)))
            }
            (Some(Why::Failed(class)), ..) => Some((class, format!("ran longer than {} s", program.timeout.as_secs()))),
            (Some(Why::Stopped(_)), ..) => Some((Class::Preempted, "the worker had to go".into())),
            (None, Some(0), _) => None,
            (None, Some(code), _) => Some((Class::Exit, format!("exit code {code}"))),
            (None, None, Some(signal)) if signal == Signal::XFSZ.as_raw() => {
                Some((Class::Staging, format!("wrote a file larger than its disk of {} MB", program.disk_mb)))
            }
            // nobody of us sent it: the kernel ends who uses too much memory like this
            (None, None, Some(9)) if self.max_rss_mb.is_some_and(|used| used * 5 >= program.mem_mb * 4) => {
                Some((Class::Oom, format!("killed by the system at {} MB of {}", self.max_rss_mb.unwrap_or(0), program.mem_mb)))
            }
            (None, None, signal) => Some((Class::Exit, format!("killed by signal {}", signal.unwrap_or(0)))),
        }
    }
}

/// Runs the program to its end, or ends it: at its timeout, above its memory, or when `stop` says so.
pub async fn run(program: &Program, mut stop: watch::Receiver<Option<Stop>>) -> std::io::Result<End> {
    let mut child = spawn(program)?;
    let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    let deadline = Instant::now() + program.timeout;
    let mut end = End::default();
    let mut samples = tokio::time::interval(SAMPLE);
    samples.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    samples.tick().await;
    let status = loop {
        tokio::select! {
            status = child.wait() => break status?,
            stopped = told(&mut stop) => {
                end.why = Some(Why::Stopped(stopped));
                let kind = if stopped == Stop::CutOff { Duration::ZERO } else { KIND };
                break finish(&mut child, group, kind).await?;
            }
            _ = samples.tick() => {
                let used = group.and_then(used);
                if let Some((rss_mb, cpu_s)) = used {
                    end.max_rss_mb = end.max_rss_mb.max(Some(rss_mb));
                    end.cpu_s = Some(end.cpu_s.unwrap_or(0.0).max(cpu_s));
                }
                let class = match end.max_rss_mb.is_some_and(|used| used > program.mem_mb) {
                    true => Some(Class::Oom),
                    false => (Instant::now() > deadline).then_some(Class::Timeout),
                };
                if let Some(class) = class {
                    end.why = Some(Why::Failed(class));
                    break finish(&mut child, group, KIND).await?;
                }
            }
        }
    };
    // what it left running would write into the outputs
    kill(group, Signal::KILL);
    end.exit_code = status.code();
    end.signal = status.signal();
    Ok(end)
}

/// Waits until it is told to stop; when nobody is left to tell, that is the same.
async fn told(stop: &mut watch::Receiver<Option<Stop>>) -> Stop {
    stop.wait_for(Option::is_some).await.ok().and_then(|stop| *stop).unwrap_or(Stop::Dropped)
}

fn spawn(program: &Program) -> std::io::Result<tokio::process::Child> {
    let log = File::create(&program.log)?;
    let (name, args) = program.argv.split_first().ok_or_else(|| std::io::Error::other("no program"))?;
    let mut command = Command::new(name);
    command.args(args).env_clear().envs(program.env.iter().cloned()).current_dir(&program.dir);
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0).kill_on_drop(true);
    let most = u64::try_from(program.disk_mb).unwrap_or(0).max(1) << 20;
    let parent = rustix::process::getpid();
    // SAFETY: between fork and exec only system calls are made: no memory is taken, no lock is touched.
    unsafe {
        command.pre_exec(move || {
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
            if rustix::process::getppid() != Some(parent) {
                return Err(std::io::Error::from_raw_os_error(3)); // the worker died before it could be watched
            }
            rustix::process::setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
            rustix::process::setrlimit(Resource::Fsize, Rlimit { current: Some(most), maximum: Some(most) })?;
            Ok(())
        });
    }
    command.spawn()
}

/// Asks the group to end, then makes it.
async fn finish(child: &mut tokio::process::Child, group: Option<Pid>, kind: Duration) -> std::io::Result<std::process::ExitStatus> {
    if !kind.is_zero() {
        kill(group, Signal::TERM);
        if let Ok(status) = tokio::time::timeout(kind, child.wait()).await {
            return status;
        }
    }
    kill(group, Signal::KILL);
    child.wait().await
}

fn kill(group: Option<Pid>, signal: Signal) {
    if let Some(group) = group {
        // an error means that nobody is left
        let _ = rustix::process::kill_process_group(group, signal);
    }
}

/// Memory in MB and CPU seconds of a process group, one look at `/proc` for all groups within [`SAMPLE`].
fn used(group: Pid) -> Option<(i32, f32)> {
    static SEEN: std::sync::Mutex<Option<(Instant, Groups)>> = std::sync::Mutex::new(None);
    let mut seen = SEEN.lock().ok()?;
    if seen.as_ref().is_none_or(|(at, _)| at.elapsed() > SAMPLE / 2) {
        *seen = Some((Instant::now(), look(Path::new("/proc"))));
    }
    seen.as_ref().and_then(|(_, groups)| groups.get(&group.as_raw_nonzero().get()).copied())
}

/// Memory in MB and CPU seconds by process group.
type Groups = HashMap<i32, (i32, f32)>;

fn look(proc: &Path) -> Groups {
    let mut groups: HashMap<i32, (i64, i64)> = HashMap::new();
    for entry in std::fs::read_dir(proc).into_iter().flatten().flatten() {
        if !entry.file_name().as_encoded_bytes()[0].is_ascii_digit() {
            continue;
        }
        let Ok(text) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        // the name in parentheses may hold anything; fields are counted from after it: state, ppid, pgrp, ...
        let Some((_, rest)) = text.rsplit_once(')') else { continue };
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let number = |i: usize| fields.get(i).and_then(|f| f.parse::<i64>().ok()).unwrap_or(0);
        let sum = groups.entry(number(2) as i32).or_default();
        sum.0 += number(21);
        sum.1 += (11..15).map(number).sum::<i64>();
    }
    let megabytes = |pages: i64| i32::try_from((pages * page_kb()) >> 10).unwrap_or(i32::MAX);
    groups.into_iter().map(|(group, (pages, ticks))| (group, (megabytes(pages), ticks as f32 / TICKS_PER_S))).collect()
}

/// The kernel's clock in `/proc`, the same on every Linux.
const TICKS_PER_S: f32 = 100.0;

/// A page of memory, kB.
fn page_kb() -> i64 {
    static PAGE_KB: std::sync::OnceLock<i64> = std::sync::OnceLock::new();
    *PAGE_KB.get_or_init(|| {
        let text = std::fs::read_to_string("/proc/self/smaps").unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("KernelPageSize:"));
        line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse().ok()).unwrap_or(4)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(dir: &Path, script: &str) -> Program {
        Program {
            argv: ["sh", "-c", script].map(str::to_owned).to_vec(),
            env: vec![("PATH".into(), "/usr/bin:/bin".into())],
            dir: dir.to_owned(),
            log: dir.join("log"),
            mem_mb: 200,
            disk_mb: 1,
            timeout: Duration::from_secs(20),
        }
    }

    async fn ended(script: &str, change: impl FnOnce(&mut Program)) -> (End, Option<Class>) {
        let dir = tempfile::tempdir().expect("a folder");
        let mut program = program(dir.path(), script);
        change(&mut program);
        let (_stop, stopped) = watch::channel(None);
        let end = run(&program, stopped).await.expect("it runs");
        let class = end.failure(&program).map(|(class, _)| class);
        (end, class)
    }

    #[tokio::test]
    async fn ends_are_told_apart() {
        assert_eq!(ended("exit 0", |_| ()).await.1, None);
        let (end, class) = ended("exit 7", |_| ()).await;
        assert_eq!((end.exit_code, class), (Some(7), Some(Class::Exit)));
        assert_eq!(ended("sleep 30", |p| p.timeout = Duration::from_millis(100)).await.1, Some(Class::Timeout));
        assert!(ended("head -c 3000000 /dev/zero > big", |_| ()).await.1.is_some());
        let hungry = "x=$(head -c 100000000 /dev/zero | tr '\\0' x); sleep 30";
        assert_eq!(ended(hungry, |p| p.mem_mb = 40).await.1, Some(Class::Oom));
    }

    #[tokio::test]
    async fn what_a_program_started_ends_with_it() {
        let dir = tempfile::tempdir().expect("a folder");
        let program = program(dir.path(), "(while true; do echo x >> beat; sleep 0.05; done) & sleep 0.3");
        let (_stop, stopped) = watch::channel(None);
        run(&program, stopped).await.expect("it runs");
        let beats = || std::fs::metadata(dir.path().join("beat")).map_or(0, |m| m.len());
        let then = beats();
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(then > 0 && beats() <= then + 2, "its child still runs");
    }
}
