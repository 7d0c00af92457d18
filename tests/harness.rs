//! One managed server for all tests of this binary, scratch folders, the built binary, and the oracles' Python.
//!
//! The server is the library's own embedded cluster in a temporary data directory, started on first use. A watchdog
//! child holds a pipe from this process: when the process ends, however it ends, the pipe closes and the watchdog
//! stops the server and removes the directory.
#![allow(dead_code)] // each test file uses its part

use brickyard::db::{self, Connection, Options, cluster};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use tempfile::TempDir;

/// The shared server.
pub struct Server {
    data_dir: PathBuf,
    server: cluster::Server,
}

/// Starts the server on first use. Call it from anywhere; it works inside and outside an async runtime.
pub fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| std::thread::spawn(start).join().expect("the test server starts"))
}

fn start() -> Server {
    let data_dir = data_dir().keep();
    watch(&data_dir);
    let options = Options { data_dir: data_dir.clone(), ..Options::default() };
    let server = runtime().block_on(async {
        let server = cluster::start(&options).await.expect("the test server starts");
        let connection = db::connect(&options).await.expect("it takes connections");
        // Tests are thrown away; kill -9 of the server needs no fsync to be survived, only a power cut does.
        for setting in ["fsync = off", "full_page_writes = off", "synchronous_commit = off"] {
            connection.batch_execute(&format!("alter system set {setting}")).await.expect("settings are taken");
        }
        connection.batch_execute("select pg_reload_conf()").await.expect("settings are read");
        server
    });
    Server { data_dir, server }
}

/// A runtime for blocking test code.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

/// A folder that the server's account can enter (as root that is `postgres`), removed when dropped.
pub fn data_dir() -> TempDir {
    let dir = tempfile::Builder::new().prefix("brickyard-test-").tempdir_in("/tmp").expect("a folder in /tmp");
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).expect("its mode can be set");
    dir
}

/// Stops the cluster in `data_dir` and removes the folder when this process ends.
pub fn watch(data_dir: &Path) {
    let script = r#"cat >/dev/null; "$0" db stop --data-dir "$1" >/dev/null 2>&1; rm -rf "$1""#;
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_brickyard")]).arg(data_dir);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).current_dir("/");
    let child = command.spawn().expect("sh starts");
    // Neither waited for nor closed: the pipe must last as long as this process.
    std::mem::forget(child);
}

impl Server {
    /// The URL of the main database, over the socket.
    pub fn url(&self) -> String {
        self.server.url(cluster::OWNER)
    }

    /// Port, socket, password.
    pub fn cluster(&self) -> &cluster::Server {
        &self.server
    }

    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// A fresh, empty database with Q3C, dropped first if it exists: one for each test. Gives its URL too.
    pub async fn database(&self, name: &str) -> (Connection, String) {
        let main = db::connect(&options(&self.url())).await.expect("the main database takes connections");
        let quoted = db::ident(name);
        main.batch_execute(&format!("drop database if exists {quoted} with (force)")).await.expect("the old database goes");
        main.batch_execute(&format!("create database {quoted} template template0")).await.expect("a database is made");
        let url = self.server.url(name);
        (db::connect(&options(&url)).await.expect("the new database takes connections"), url)
    }
}

/// Options that name a server by URL.
pub fn options(url: &str) -> Options {
    Options { database_url: Some(url.to_owned()), ..Options::default() }
}

/// The built binary, with nothing of the caller's settings and a data directory that does not exist:
/// give it `--database-url` or `--data-dir`.
pub fn brickyard() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_brickyard"));
    for name in ["DATA_DIR", "DATABASE_URL", "PG_BIN", "PG_USER", "SCHEMA", "LOADERS"] {
        command.env_remove(format!("BRICKYARD_{name}"));
    }
    command.env("BRICKYARD_DATA_DIR", "/dev/null/test-gave-no-data-dir").stdin(Stdio::null());
    command
}

/// A scratch folder for files.
pub fn scratch() -> TempDir {
    tempfile::Builder::new().prefix("brickyard-scratch-").tempdir().expect("a scratch folder")
}

/// The shared material (facts, vectors, real files): `../shared`, or BRICKYARD_SHARED. `None` is said loudly.
pub fn shared() -> Option<PathBuf> {
    let named = std::env::var_os("BRICKYARD_SHARED").map(PathBuf::from);
    let dir = named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"));
    found(dir, "../shared is missing (BRICKYARD_SHARED names another place)")
}

/// A Python with astropy, healpy, numpy, psycopg and felis: BRICKYARD_TEST_PYTHON, or the one that `./run test` made.
pub fn python() -> Option<PathBuf> {
    let named = std::env::var_os("BRICKYARD_TEST_PYTHON").map(PathBuf::from);
    let python = named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/venv/bin/python"));
    found(python, "no Python with the oracles (./run test makes it; BRICKYARD_TEST_PYTHON names another)")
}

/// STILTS, which `./run test` installs.
pub fn stilts() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found_at = std::env::split_paths(&path).map(|dir| dir.join("stilts")).find(|program| program.exists());
    found(found_at.unwrap_or_default(), "no stilts (./run test installs it)")
}

fn found(path: PathBuf, missing: &str) -> Option<PathBuf> {
    if path.exists() {
        return Some(path);
    }
    skipped(missing);
    None
}

/// Says on the test's own output, and past its capture, that something was not tested.
pub fn skipped(why: &str) {
    use std::io::Write;
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    // Straight to the stream: the test runner captures only what goes through the print macros.
    writeln!(std::io::stderr().lock(), "SKIPPED {test}: {why}").expect("stderr is writable");
}

/// `brickyard serve` on a free port over a database, with a data directory of its own; it ends with this value.
pub struct Serving {
    child: std::process::Child,
    base_url: String,
    database_url: String,
    settings: Vec<(String, String)>,
    data_dir: std::sync::Arc<TempDir>,
}

impl Serving {
    /// `settings`: environment variables such as `BRICKYARD_JOBS_RUNNING`.
    pub fn start(database_url: &str, settings: &[(&str, &str)]) -> Serving {
        let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Serving::over(database_url.to_owned(), settings, std::sync::Arc::new(scratch()))
    }

    fn over(database_url: String, settings: Vec<(String, String)>, data_dir: std::sync::Arc<TempDir>) -> Serving {
        let (child, base_url) = spawn(&database_url, &settings, data_dir.path());
        Serving { child, base_url, database_url, settings, data_dir }
    }

    /// A second service over the same database and data directory.
    pub fn beside(&self) -> Serving {
        Serving::over(self.database_url.clone(), self.settings.clone(), self.data_dir.clone())
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base_url)
    }

    pub fn data_dir(&self) -> &Path {
        self.data_dir.path()
    }

    /// The most memory that it has had so far.
    pub fn peak_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
        1024 * line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number")
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
    }

    /// SIGTERM, and waits for the end.
    pub fn stop(&mut self) {
        let id = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw).expect("it has an id");
        rustix::process::kill_process(id, rustix::process::Signal::TERM).expect("it can be told");
        self.child.wait().expect("it ends");
    }

    /// Starts it again after [`Serving::kill`] or [`Serving::stop`], on another port.
    pub fn restart(&mut self) {
        (self.child, self.base_url) = spawn(&self.database_url, &self.settings, self.data_dir.path());
    }

    pub fn jobs_folder(&self) -> PathBuf {
        self.data_dir.path().join("jobs")
    }

    /// Files of asynchronous jobs on the disk.
    pub fn job_files(&self) -> usize {
        let folders = std::fs::read_dir(self.jobs_folder()).expect("the folder of jobs").flatten().filter(|entry| entry.path().is_dir());
        folders.filter_map(|folder| std::fs::read_dir(folder.path()).ok()).map(Iterator::count).sum()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended
        let _ = self.child.wait();
    }
}

/// Ends a service and removes its data directory when this process ends: one that stands in a static is never dropped.
fn watch_service(id: u32, data_dir: &Path) {
    // The process of that number must still be the one with this directory.
    let script = r#"cat >/dev/null; grep -aqF "$1" "/proc/$0/cmdline" 2>/dev/null && kill -9 "$0"; rm -rf "$1""#;
    let mut command = Command::new("sh");
    command.args(["-c", script, &id.to_string()]).arg(data_dir).process_group(0).current_dir("/");
    let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("sh starts");
    std::mem::forget(child); // the pipe must last as long as this process
}

/// Its log goes to `serve.log` in the data directory.
fn spawn(database_url: &str, settings: &[(String, String)], data_dir: &Path) -> (std::process::Child, String) {
    use std::io::BufRead;
    let log = std::fs::File::options().create(true).append(true).open(data_dir.join("serve.log")).expect("a log");
    let mut command = brickyard();
    command.args(["serve", "--port", "0", "--database-url", database_url, "--data-dir"]).arg(data_dir);
    command.envs(settings.iter().map(|(name, value)| (name, value))).stdout(Stdio::piped()).stderr(log);
    let mut child = command.spawn().expect("brickyard starts");
    watch_service(child.id(), data_dir);
    let mut lines = std::io::BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let line = lines.find_map(|line| line.ok()?.strip_prefix("Serving at ").map(str::to_owned));
    let base_url = line.unwrap_or_else(|| panic!("{}", std::fs::read_to_string(data_dir.join("serve.log")).unwrap_or_default()));
    // What it prints later must not fill the pipe.
    std::thread::spawn(move || lines.for_each(drop));
    (child, base_url.trim_end_matches('/').to_owned())
}

/// Says something on the test's own output, past its capture: figures.
pub fn note(text: &str) {
    use std::io::Write;
    writeln!(std::io::stderr().lock(), "NOTE {text}").expect("stderr is writable");
}
