//! Pilots: workers that a real one-node Slurm, a real sshd and the autoscale hook start. The services are this test's own, in folders of its own.

use crate::harness::{brickyard, runtime, scratch, server, skipped};
use crate::pipeline::processes::{Process, Site, until};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

const TEXT: &str = r#"
events = ["short", "long"]
[[task]]
name = "short"
on = "short"
argv = ["sleep", "0.2"]
mem = "10M"
disk = "1M"
[[task]]
name = "long"
on = "long"
argv = ["sleep", "6"]
mem = "10M"
disk = "1M"
backoff = { lost = "0s", preempted = "0s" }
"#;

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn said(command: &mut Command) -> String {
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{command:?}: {}{}", String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stdout).expect("text")
}

/// One node that is controller and worker at once.
struct Slurm {
    dir: TempDir,
    _services: [Process; 3],
}

impl Slurm {
    /// `None`, said loudly, where it is not installed or this is not root.
    fn start() -> Option<Slurm> {
        let there =
            ["/usr/sbin/slurmctld", "/usr/sbin/slurmd", "/usr/bin/sbatch", "/usr/sbin/munged"].iter().all(|path| Path::new(path).exists());
        if !there || !rustix::process::geteuid().is_root() {
            skipped("no Slurm, or not root: slurmctld, slurmd, slurm-client and munge are needed (./run test as root installs them)");
            return None;
        }
        let dir = scratch();
        let at = |name: &str| dir.path().join(name);
        std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        for folder in ["state", "spool", "munge"] {
            std::fs::create_dir(at(folder)).unwrap();
        }
        std::fs::set_permissions(at("munge"), std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();
        let mut secret = [0_u8; 1024];
        std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom").unwrap(), &mut secret).unwrap();
        std::fs::write(at("munge/key"), secret).unwrap();
        std::fs::set_permissions(at("munge/key"), std::os::unix::fs::PermissionsExt::from_mode(0o400)).unwrap();
        let host = said(Command::new("hostname").arg("-s")).trim().to_owned();
        let (controller, node, root) = (free_port(), free_port(), dir.path().display());
        let settings = format!(
            "ClusterName=test\nSlurmctldHost={host}(127.0.0.1)\nSlurmUser=root\nSlurmdUser=root\nAuthType=auth/munge\n\
             AuthInfo=socket={root}/munge/socket\nSlurmctldPort={controller}\nSlurmdPort={node}\nStateSaveLocation={root}/state\n\
             SlurmdSpoolDir={root}/spool\nSlurmctldPidFile={root}/slurmctld.pid\nSlurmdPidFile={root}/slurmd.pid\nProctrackType=proctrack/linuxproc\n\
             TaskPlugin=task/none\nSelectType=select/cons_tres\nSelectTypeParameters=CR_Core\nAccountingStorageType=accounting_storage/none\n\
             JobAcctGatherType=jobacct_gather/none\nSwitchType=switch/none\nMpiDefault=none\nReturnToService=2\nKillWait=2\n\
             SlurmdParameters=config_overrides\nNodeName={host} NodeAddr=127.0.0.1 CPUs=8 RealMemory=4000 State=UNKNOWN\n\
             PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP\n"
        );
        std::fs::write(at("slurm.conf"), settings).unwrap();
        let spawn = |program: &str, words: &[String]| {
            let log = std::fs::File::create(at(&format!("{}.log", program.rsplit('/').next().unwrap()))).unwrap();
            let child = Command::new(program).args(words).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn();
            Process(child.expect("it starts"))
        };
        let munge = ["key-file=munge/key", "socket=munge/socket", "pid-file=munge/pid", "log-file=munge/log", "seed-file=munge/seed"];
        let munge = munge.map(|word| word.split_once('=').map(|(name, file)| format!("--{name}={root}/{file}")).unwrap());
        let munged = spawn("/usr/sbin/munged", &[&["--foreground".to_owned(), "--force".to_owned()], &munge[..]].concat());
        until("munged listens", Duration::from_secs(20), || at("munge/socket").exists());
        let conf = ["-D".to_owned(), "-f".to_owned(), at("slurm.conf").display().to_string()];
        let slurmctld = spawn("/usr/sbin/slurmctld", &conf);
        let slurmd = spawn("/usr/sbin/slurmd", &conf);
        // the worker's part first: it is dropped in this order
        let slurm = Slurm { dir, _services: [slurmd, slurmctld, munged] };
        until("the node is idle", Duration::from_secs(60), || {
            let output = slurm.command("sinfo", &["--noheader", "--format=%T"]).output().expect("sinfo runs");
            String::from_utf8_lossy(&output.stdout).trim() == "idle"
        });
        Some(slurm)
    }

    fn conf(&self) -> PathBuf {
        self.dir.path().join("slurm.conf")
    }

    fn command(&self, program: &str, words: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.env("SLURM_CONF", self.conf()).args(words);
        command
    }

    /// Ids of what runs or waits.
    fn queue(&self) -> Vec<String> {
        let text = said(&mut self.command("squeue", &["--noheader", "--array", "--format=%i", "--states=PENDING,RUNNING"]));
        text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
    }
}

impl Drop for Slurm {
    fn drop(&mut self) {
        // its jobs are no children of this process
        let _ = self.command("scancel", &["--signal=KILL", "--full", "--user=root"]).output();
        let _ = self.command("scancel", &["--user=root"]).output();
        let begun = std::time::Instant::now();
        while begun.elapsed() < Duration::from_secs(15) {
            let output = self.command("squeue", &["--noheader"]).output();
            if output.is_ok_and(|output| output.stdout.is_empty()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

fn fire(site: &Site, event: &str, keys: std::ops::Range<usize>) {
    let lines: String = keys.map(|key| format!("{{\"name\": \"{event}\", \"key\": \"{key}\"}}\n")).collect();
    let path = site.dir.path().join("events.ndjson");
    std::fs::write(&path, lines).unwrap();
    site.say(&["fire", "r", "--from", path.to_str().unwrap()]);
}

/// Jobs of a task in a state.
fn jobs(site: &Site, task: &str, state: &str) -> i64 {
    let lines: Vec<Value> = serde_json::from_str(&site.say(&["status", "r", "--json"])).unwrap();
    lines.iter().find(|line| line["task"] == task).unwrap()[state].as_i64().unwrap()
}

/// A run with a master, and a token for several workers.
fn run_with_master(database: &str, words: &dyn Fn(&Site, &Path) -> Vec<String>) -> (Site, Process, PathBuf) {
    let (_, url) = runtime().block_on(server().database(database));
    let mut site = Site::new(&url);
    let path = site.manifest(TEXT);
    site.say(&["run", "create", "r", path.to_str().unwrap()]);
    let token = site.dir.path().join("pilots.token");
    std::fs::write(&token, site.say(&["token", "create", "pilots", "--workers", "20"])).unwrap();
    site.master_words = words(&site, &token);
    let master = site.master();
    (site, master, token)
}

fn pilots(slurm: &Slurm, site: &Site, token: &Path, words: &[&str]) -> Command {
    let mut command = brickyard();
    command.env("SLURM_CONF", slurm.conf()).current_dir(slurm.dir.path()).args(["pilot", "slurm", "--url", &site.url()]);
    command.arg("--token-file").arg(token).args(["--memory", "500", "--time", "20m", "--max-idle", "60s"]);
    command.arg("--dir").arg(slurm.dir.path().join("pilots")).args(words);
    command
}

#[test]
fn slurm_runs_pilots_and_what_a_cancelled_one_ran_is_done_by_another() {
    let Some(slurm) = Slurm::start() else { return };
    let (site, _master, token) = run_with_master("pilot_slurm", &|_, _| Vec::new());
    fire(&site, "short", 0..30);
    let told = said(&mut pilots(&slurm, &site, &token, &["--pilots", "2"]));
    assert!(told.starts_with("2 pilots are job "), "{told}");
    until("the short jobs are done", Duration::from_secs(90), || jobs(&site, "short", "done") == 30);
    let workers: Vec<Value> = serde_json::from_str(&site.say(&["workers", "--json"])).unwrap();
    let names: Vec<&str> = workers.iter().map(|worker| worker["name"].as_str().unwrap()).collect();
    let array = told.trim().rsplit(' ').next().unwrap();
    assert_eq!(names, [format!("slurm-{array}-1"), format!("slurm-{array}-2")]);
    assert_eq!(said(&mut pilots(&slurm, &site, &token, &["--up-to", "2"])), "no pilot is missing\n");
    assert_eq!(slurm.queue().len(), 2);

    // the batch system takes a pilot away in the middle: SIGTERM, and SIGKILL after two seconds
    fire(&site, "long", 0..2);
    until("both pilots are at it", Duration::from_secs(60), || jobs(&site, "long", "running") == 2);
    said(&mut slurm.command("scancel", &[&format!("{array}_1")]));
    until("the long jobs are done", Duration::from_secs(120), || jobs(&site, "long", "done") == 2);
    let attempts: Vec<Value> = serde_json::from_str(&site.say(&["jobs", "r", "--task", "long", "--json"])).unwrap();
    let mut tried: Vec<i64> = attempts.iter().map(|job| job["attempt"].as_i64().unwrap()).collect();
    tried.sort_unstable();
    assert_eq!(tried, [1, 2], "one was begun again, by the other pilot");
    assert!(attempts.iter().all(|job| job["worker"] == format!("slurm-{array}-2").as_str()), "{attempts:?}");
    // what is missing is started again
    assert!(said(&mut pilots(&slurm, &site, &token, &["--up-to", "2"])).starts_with("1 pilots are job "));

    let script = said(&mut pilots(&slurm, &site, &token, &["--pilots", "3", "--print", "--", "--partition=long"]));
    assert!(script.contains("#SBATCH --array=1-3\n") && script.contains("#SBATCH --partition=long\n"), "{script}");
    for (words, complaint) in [
        (vec!["--", "--partition=nowhere"], "invalid partition"),
        (vec!["--", "partition"], "no option of sbatch"),
        (vec!["--pilots", "0"], "0 is not in"),
    ] {
        let output = pilots(&slurm, &site, &token, &words).output().unwrap();
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && words.contains(complaint), "{words}");
    }
}

#[test]
fn jobs_that_wait_bring_pilots_by_the_autoscale_command() {
    let Some(slurm) = Slurm::start() else { return };
    let words = |site: &Site, token: &Path| {
        let mut command = pilots(&slurm, site, token, &["--class", "default", "--up-to", "2"]);
        command.arg("--log-dir").arg(slurm.dir.path());
        let call = std::iter::once(command.get_program()).chain(command.get_args()).map(|word| format!("'{}'", word.to_str().unwrap()));
        let call = call.collect::<Vec<_>>().join(" ");
        let log = slurm.dir.path().join("asked");
        let command = format!(
            "echo $BRICKYARD_CLASS $BRICKYARD_READY $BRICKYARD_WORKERS >> '{}'; SLURM_CONF='{}' {call}",
            log.display(),
            slurm.conf().display()
        );
        vec!["--autoscale".into(), command, "--autoscale-every".into(), "1".into()]
    };
    let (site, _master, _) = run_with_master("pilot_autoscale", &words);
    std::thread::sleep(Duration::from_millis(2500));
    let asked = || std::fs::read_to_string(slurm.dir.path().join("asked")).unwrap_or_default();
    assert_eq!(asked(), "", "nobody waits, nobody is asked for");
    fire(&site, "short", 0..40);
    until("the jobs are done", Duration::from_secs(120), || jobs(&site, "short", "done") == 40);
    assert!(asked().starts_with("default 40 0\n"), "{}", asked());
    assert_eq!(slurm.queue().len(), 2, "as many as were wanted, however often they were asked for");
}

#[test]
fn pilots_on_a_machine_that_ssh_leads_to_go_on_without_it() {
    let sshd = Path::new("/usr/sbin/sshd");
    if !sshd.exists() || !rustix::process::geteuid().is_root() {
        return skipped("no sshd here (package openssh-server), or not root");
    }
    let dir = scratch();
    let at = |name: &str| dir.path().join(name).display().to_string();
    for key in ["host", "user"] {
        said(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", &at(key)]));
    }
    std::fs::create_dir_all("/run/sshd").unwrap();
    std::fs::create_dir(at("home")).unwrap();
    let port = free_port();
    let settings = format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\nPidFile none\nPermitRootLogin yes\nSetEnv HOME={}\n",
        at("host"),
        at("user.pub"),
        at("home")
    );
    std::fs::write(at("sshd.conf"), settings).unwrap();
    let log = std::fs::File::create(at("sshd.log")).unwrap();
    let _sshd = Process(Command::new(sshd).args(["-D", "-e", "-f", &at("sshd.conf")]).stderr(log).spawn().expect("sshd starts"));
    until("sshd listens", Duration::from_secs(20), || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    let ssh = format!("ssh -p {port} -i {} -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null", at("user"));
    let (site, _master, token) = run_with_master("pilot_ssh", &|_, _| Vec::new());
    let pilots = |hosts: &[&str]| {
        let mut command = brickyard();
        command.args(["pilot", "ssh", "--url", &site.url(), "--program", env!("CARGO_BIN_EXE_brickyard"), "--pilots", "2", "--ssh", &ssh]);
        command.arg("--token-file").arg(&token).args(["--memory", "500", "--dir", &at("pilots")]).args(hosts);
        command.output().expect("it runs")
    };
    fire(&site, "short", 0..20);
    let output = pilots(&["127.0.0.1"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    until("the jobs are done", Duration::from_secs(60), || jobs(&site, "short", "done") == 20);
    let kept = std::fs::metadata(dir.path().join("home/.brickyard/token")).expect("the token is there");
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&kept.permissions()) & 0o777, 0o600);
    let failed = pilots(&["127.0.0.1", "no-such-host.invalid"]);
    let words = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert!(!failed.status.success() && words.contains("1 of 2 machines have no pilot"), "{words}");
    // they are no children of ours: they end when they are told
    let ours = || -> Vec<i32> {
        let processes = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let is_pilot = |pid: &i32| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).into_owned();
            line.contains(&site.url()) && line.contains("ssh-") && line.contains("worker")
        };
        processes.filter(is_pilot).collect()
    };
    assert!(!ours().is_empty());
    for pid in ours() {
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM); // it may have ended
    }
    until("they have ended", Duration::from_secs(30), || ours().is_empty());
}

#[test]
fn systemd_takes_the_unit() {
    let mut command = brickyard();
    command.args(["pilot", "systemd", "--url", "http://runner:8080/a%20b", "--token-file", "/etc/brickyard/token", "--user", "daemon"]);
    let unit = said(command.args(["--program", env!("CARGO_BIN_EXE_brickyard"), "--slots", "4", "--class", "default"]));
    for line in ["KillMode=mixed", "LoadCredential=token:/etc/brickyard/token", "CPUQuota=400%", "WantedBy=multi-user.target"] {
        assert!(unit.lines().any(|found| found == line), "{line}\n{unit}");
    }
    assert!(unit.contains("a%%20b") && unit.contains("--token-file %d/token") && unit.contains("--name systemd-%H-%i"), "{unit}");
    let there = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).any(|dir| dir.join("systemd-analyze").exists());
    if !there {
        return skipped("no systemd-analyze");
    }
    let dir = scratch();
    let path = dir.path().join("brickyard-worker@1.service");
    std::fs::write(&path, &unit).unwrap();
    let output = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&path).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    let about_ours: Vec<&str> = words.lines().filter(|line| line.contains("brickyard-worker")).collect();
    assert!(about_ours.is_empty(), "{about_ours:?}");
}
