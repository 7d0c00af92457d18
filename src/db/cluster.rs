//! The embedded PostgreSQL: a private cluster in `<data_dir>/pg`, made, started, shared and healed here.
//!
//! ```text
//! <data_dir>/pg/            0700, the server's account (as root: postgres, else ourselves)
//!     data/                 the cluster; brickyard.conf in it is written at each start, local.conf is the user's
//!     new/                  a cluster in the making; renamed to data/ when whole, removed when found
//!     run/                  the socket (or a short folder elsewhere, when this path is too long)
//!     pgpass                passwords of brickyard and brickyard_read, 0600, in libpq's format
//!     feed/                 pipes that COPYs read from, while they run
//!     server.log  lock
//! ```
//!
//! Invariants: whoever makes, starts or stops the cluster holds `lock`; whoever only connects does not. Nobody is
//! trusted: socket and loopback both ask for a scram-sha-256 password. The server outlives the process that started
//! it. A cluster is never removed or overwritten, only `new/` is.

use super::account::{self, Account};
use super::binaries::{self, Binaries};
use super::feed::Feeds;
use super::machine::Machine;
use super::pidfile::PidFile;
use super::{Error, Options, connect, pidfile, place, secret};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};

/// The owner of everything in the cluster, its superuser, and the name of the database.
pub const OWNER: &str = "brickyard";
/// The role that may only read published schemas.
pub const READER: &str = "brickyard_read";
/// Crash recovery of a large load replays gigabytes of WAL.
const PATIENCE: Duration = Duration::from_secs(600);
/// Backends of a killed postmaster notice at their next wait.
const ORPHANS: Duration = Duration::from_secs(60);
/// How long a server that looks well may refuse connections.
const DYING: Duration = Duration::from_secs(60);
const PORTS: std::ops::Range<u16> = 54_320..55_320;

/// A running embedded server.
#[derive(Debug, Clone)]
pub struct Server {
    pub pid: i32,
    pub port: u16,
    pub socket_dir: PathBuf,
    pub password: String,
    /// Of the role [`READER`].
    pub reader_password: String,
    /// Pipes for its COPYs.
    pub feeds: Feeds,
}

/// What `brickyard db status` shows.
#[derive(Debug)]
pub struct Status {
    /// `None` is a data directory without a cluster.
    pub major: Option<u32>,
    pub home: PathBuf,
    /// `None` is stopped.
    pub server: Option<Server>,
    pub size_bytes: u64,
}

/// Starts the cluster, making it first if need be, and gives it database, roles and Q3C. Safe to call from many
/// processes at once: one does the work, the others wait for it.
pub async fn start(options: &Options) -> Result<Server, Error> {
    let begun = Instant::now();
    loop {
        let options = options.clone();
        let (server, _lock) = blocking(move || Cluster::locate(&options)?.start()).await?;
        match connect::furnish(&server).await {
            Ok(()) => return Ok(server),
            // A server that is just dying, or mending itself after one of its sessions crashed, looks well from outside.
            Err(error) if error.may_pass() && begun.elapsed() < DYING => tokio::time::sleep(Duration::from_millis(100)).await,
            Err(error) => return Err(error),
        }
    }
}

/// Stops the cluster if it runs; says whether it did. Connections are broken off, their transactions rolled back.
pub async fn stop(options: &Options) -> Result<bool, Error> {
    let options = options.clone();
    blocking(move || Cluster::locate(&options)?.stop(&options)).await
}

/// The running server, without waiting for anybody and without starting it.
pub async fn running(options: &Options) -> Result<Option<Server>, Error> {
    let options = options.clone();
    blocking(move || Cluster::locate(&options)?.running()).await
}

/// What is there.
pub async fn status(options: &Options) -> Result<Status, Error> {
    let options = options.clone();
    blocking(move || {
        let cluster = Cluster::locate(&options)?;
        let size_bytes = size(&cluster.home);
        Ok(Status { major: cluster.major()?, server: cluster.running()?, size_bytes, home: cluster.home })
    })
    .await
}

/// The path of a client or server program of the cluster's version, such as `psql`.
pub async fn program(options: &Options, name: &'static str) -> Result<PathBuf, Error> {
    let options = options.clone();
    blocking(move || Ok(Cluster::locate(&options)?.binaries(&options)?.program(name))).await
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

impl Server {
    /// How to reach `database` as the owner over the socket.
    pub fn config(&self, database: &str) -> tokio_postgres::Config {
        let mut config = tokio_postgres::Config::new();
        config.host_path(&self.socket_dir).port(self.port).user(OWNER).password(&self.password).dbname(database);
        config
    }

    /// The same as a URL, password included.
    pub fn url(&self, database: &str) -> String {
        let socket_dir = percent(&self.socket_dir.to_string_lossy());
        format!("postgresql://{OWNER}:{}@/{}?host={socket_dir}&port={}", self.password, percent(database), self.port)
    }

    /// A URL over loopback, for programs that know no sockets (JDBC).
    pub fn url_tcp(&self, database: &str) -> String {
        format!("postgresql://{OWNER}:{}@127.0.0.1:{}/{}", self.password, self.port, percent(database))
    }
}

fn percent(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// A place for a cluster, and who owns it.
struct Cluster {
    home: PathBuf,
    data: PathBuf,
    account: Account,
    options: Options,
}

/// Held while the cluster is made, started or stopped; closing the file frees it, whatever happens to us.
struct Lock {
    file: File,
}

enum State {
    Stopped,
    /// A postmaster.pid whose process is gone or is not this cluster's.
    Stale,
    /// Starting, recovering or stopping.
    Busy(i32),
    Ready(Server),
}

impl Cluster {
    fn locate(options: &Options) -> Result<Cluster, Error> {
        let dir = &options.data_dir;
        let absolute = std::path::absolute(dir).map_err(Error::io("make sense of", dir))?;
        let home = absolute.canonicalize().unwrap_or(absolute).join("pg");
        let account = account::choose(&home, options.pg_user.as_deref())?;
        Ok(Cluster { data: home.join("data"), home, account, options: options.clone() })
    }

    fn binaries(&self, options: &Options) -> Result<Binaries, Error> {
        binaries::find(options, self.major()?.map(|major| (major, self.data.as_path())))
    }

    /// The major version that made the cluster, if there is one.
    fn major(&self) -> Result<Option<u32>, Error> {
        let path = self.data.join("PG_VERSION");
        let damaged = |why: &str| Error::Damaged { path: self.data.clone(), why: why.to_owned() };
        match fs::read_to_string(&path) {
            Ok(text) => text.trim().parse().map(Some).map_err(|_| damaged("PG_VERSION is not a number")),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let empty = fs::read_dir(&self.data).map_or(true, |mut dir| dir.next().is_none());
                if empty { Ok(None) } else { Err(damaged("it has files but no PG_VERSION")) }
            }
            Err(error) => Err(Error::io("read", path)(error)),
        }
    }

    fn running(&self) -> Result<Option<Server>, Error> {
        match self.state()? {
            State::Ready(server) => Ok(Some(server)),
            State::Stopped | State::Stale | State::Busy(_) => Ok(None),
        }
    }

    fn state(&self) -> Result<State, Error> {
        let Some(file) = PidFile::read(&self.data)? else { return Ok(State::Stopped) };
        if !file.lives(&self.data) {
            return Ok(State::Stale);
        }
        match (file.ready, secret::read(&self.home)?) {
            (true, Some((password, reader_password))) => {
                let (pid, port, socket_dir, feeds) = (file.pid, file.port, file.socket_dir, self.feeds());
                Ok(State::Ready(Server { pid, port, socket_dir, password, reader_password, feeds }))
            }
            (true, None) => Err(Error::Damaged {
                path: self.home.clone(),
                why: "the password file pgpass is gone while the server runs; stop it and start it again for a new one".into(),
            }),
            (false, _) => Ok(State::Busy(file.pid)),
        }
    }

    fn start(&self) -> Result<(Server, Lock), Error> {
        self.make_home()?;
        let lock = self.lock()?;
        if let Some(server) = self.settle()? {
            return Ok((server, lock));
        }
        let programs = self.binaries(&self.options)?;
        if self.major()?.is_none() {
            self.init(&programs, &lock)?;
        }
        place::check_start(&self.home)?;
        self.mend_password(&programs)?;
        Ok((self.launch(&programs)?, lock))
    }

    fn stop(&self, options: &Options) -> Result<bool, Error> {
        if !self.data.exists() {
            return Ok(false);
        }
        let _lock = self.lock()?;
        if !PidFile::read(&self.data)?.is_some_and(|file| file.lives(&self.data)) {
            return Ok(false);
        }
        // a session that waits for a dead loader's pipe would not hear of the stop
        self.feeds().sweep();
        let wait = PATIENCE.as_secs().to_string();
        let pg_ctl = self.binaries(options)?.program("pg_ctl");
        self.run(&pg_ctl, &["stop", "-D", "data", "-m", "fast", "-w", "-t", &wait])?;
        Ok(true)
    }

    /// The data directory and `pg/`, which belongs to the account and which it can reach.
    fn make_home(&self) -> Result<(), Error> {
        let above = self.home.parent().unwrap_or(&self.home);
        fs::create_dir_all(above).map_err(Error::io("make the folder", above))?;
        match fs::DirBuilder::new().mode(0o700).create(&self.home) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(Error::io("make the folder", &self.home)(error)),
            Ok(()) | Err(_) => self.account.own(&self.home)?,
        }
        self.account.reach(&self.home)
    }

    fn lock(&self) -> Result<Lock, Error> {
        let path = self.home.join("lock");
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(Error::io("open", &path))?;
        self.account.own(&path)?;
        let begun = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Lock { file }),
                Err(TryLockError::WouldBlock) if begun.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(30)),
                Err(TryLockError::WouldBlock) => return Err(Error::Locked { path, waited_s: begun.elapsed().as_secs() }),
                Err(TryLockError::Error(error)) => return Err(Error::io("lock", path)(error)),
            }
        }
    }

    /// The server if it runs, having waited for one that is still starting or stopping; leftovers of a dead one go.
    fn settle(&self) -> Result<Option<Server>, Error> {
        let begun = Instant::now();
        loop {
            match self.state()? {
                State::Ready(server) => return Ok(Some(server)),
                State::Stopped => return Ok(None),
                State::Stale => return self.clear().map(|()| None),
                State::Busy(pid) if begun.elapsed() > PATIENCE => {
                    let why = format!("process {pid} has been starting, recovering or stopping for {} s", begun.elapsed().as_secs());
                    return Err(Error::Start { why, log: self.log() });
                }
                State::Busy(_) => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    }

    /// A pid that is dead is PostgreSQL's own business (it also looks for shared memory still in use). One that
    /// lives but is another program's would make it refuse, so that file goes.
    fn clear(&self) -> Result<(), Error> {
        let path = self.data.join("postmaster.pid");
        match PidFile::read(&self.data)? {
            Some(file) if pidfile::exists(file.pid) => fs::remove_file(&path).map_err(Error::io("remove", path)),
            Some(_) | None => Ok(()),
        }
    }

    fn feeds(&self) -> Feeds {
        Feeds::of(&self.home, &self.account)
    }

    fn log(&self) -> PathBuf {
        self.home.join("server.log")
    }

    /// Makes the cluster beside its place and moves it there when it is whole.
    fn init(&self, programs: &Binaries, lock: &Lock) -> Result<(), Error> {
        let new = self.home.join("new");
        if new.exists() {
            fs::remove_dir_all(&new).map_err(Error::io("remove the half-made cluster", &new))?;
        }
        place::check_new(&self.home, &self.account)?;
        let password = self.make_passwords()?;
        let secret = self.home.join("initdb.password");
        self.write(&secret, &password)?;
        let made = self.initdb(programs, lock);
        fs::remove_file(&secret).map_err(Error::io("remove", &secret))?;
        made?;
        self.configure(&new)?;
        fs::rename(&new, &self.data).map_err(Error::io("move into place", &new))?;
        sync_dir(&self.home)
    }

    /// initdb holds the lock too (as its standard input, which it does not read): when we are killed it works on to
    /// its end, and nobody may begin anew before that.
    fn initdb(&self, programs: &Binaries, lock: &Lock) -> Result<(), Error> {
        let program = programs.program("initdb");
        let held = lock.file.try_clone().map_err(Error::io("share the lock with", &program))?;
        let mut command = self.account.command(&program, &self.home);
        command.args(["--pgdata=new", "--username=brickyard", "--pwfile=initdb.password", "--auth=scram-sha-256"]);
        command.args(["--encoding=UTF8", "--locale=C", "--data-checksums", "--no-instructions"]).stdin(held);
        self.check(&program, command.output()).map(|_| ())
    }

    fn configure(&self, new: &Path) -> Result<(), Error> {
        self.write(&new.join("pg_hba.conf"), include_str!("pg_hba.conf"))?;
        let path = new.join("postgresql.conf");
        let mut file = OpenOptions::new().append(true).open(&path).map_err(Error::io("open", &path))?;
        file.write_all(b"\ninclude 'brickyard.conf'\ninclude_if_exists 'local.conf'\n").map_err(Error::io("write", &path))?;
        file.sync_all().map_err(Error::io("sync", &path))?;
        sync_dir(new)
    }

    /// New passwords in `pgpass`; gives the owner's. Those of an earlier attempt that got no further are kept.
    fn make_passwords(&self) -> Result<String, Error> {
        if let Some((owner, _)) = secret::read(&self.home)? {
            return Ok(owner);
        }
        let (owner, reader) = (secret::random()?, secret::random()?);
        self.write(&self.home.join("pgpass"), &secret::text(&owner, &reader))?;
        Ok(owner)
    }

    /// When `pgpass` was lost, a new one is made and told to the stopped cluster in single-user mode.
    fn mend_password(&self, programs: &Binaries) -> Result<(), Error> {
        if secret::read(&self.home)?.is_some() {
            return Ok(());
        }
        self.write_settings(programs, self.choose_port())?;
        let password = self.make_passwords()?;
        let file = self.home.join("single.sql");
        self.write(&file, &format!("alter role {OWNER} password '{password}';\n"))?;
        let input = File::open(&file).map_err(Error::io("open", &file))?;
        fs::remove_file(&file).map_err(Error::io("remove", &file))?;
        let mut command = self.account.command(&programs.program("postgres"), &self.home);
        let output = command.args(["--single", "-D", "data", "postgres"]).stdin(input).output();
        self.check(&programs.program("postgres"), output).map(|_| ())
    }

    fn write_settings(&self, programs: &Binaries, port: u16) -> Result<PathBuf, Error> {
        let socket_dir = place::socket_dir(&self.home.join("run"), &self.account)?;
        let text = Machine::here(&self.home).settings(programs, port, &socket_dir);
        self.write(&self.data.join("brickyard.conf"), &text)?;
        Ok(socket_dir)
    }

    fn launch(&self, programs: &Binaries) -> Result<Server, Error> {
        let begun = Instant::now();
        let mut ports_tried = 0;
        loop {
            let port = self.choose_port();
            let socket_dir = self.write_settings(programs, port)?;
            remove_sockets(&socket_dir)?;
            let log_from = self.turn_log()?;
            match self.pg_ctl_start(programs) {
                Ok(()) => return self.running()?.ok_or_else(|| self.failed("it was ready and then gone".into())),
                Err(Error::Program { output, .. }) => match read_from(&self.log(), log_from) {
                    said if said.contains("No space left on device") => return Err(self.no_room()),
                    // Another cluster of ours took the port between our look and the start.
                    said if said.contains("Address already in use") && ports_tried < 5 => ports_tried += 1,
                    said if said.contains("shared memory block") && begun.elapsed() < ORPHANS => {
                        std::thread::sleep(Duration::from_millis(300))
                    }
                    said => return Err(self.failed(cause(&said, &output))),
                },
                Err(error) => return Err(error),
            }
        }
    }

    fn pg_ctl_start(&self, programs: &Binaries) -> Result<(), Error> {
        let wait = PATIENCE.as_secs().to_string();
        // Relative paths: pg_ctl puts them into a shell command, where a data directory's $ or " would hurt.
        self.run(&programs.program("pg_ctl"), &["start", "-D", "data", "-l", "server.log", "-w", "-t", &wait])
    }

    fn failed(&self, why: String) -> Error {
        Error::Start { why, log: self.log() }
    }

    fn no_room(&self) -> Error {
        Error::NoRoom { path: self.home.clone(), free_mb: super::machine::free_mb(&self.home).unwrap_or(0), wanted_mb: 32 }
    }

    /// The port of the last start while it is free, else another; the search begins at a place of this path's own,
    /// so that neighbours seldom meet.
    fn choose_port(&self) -> u16 {
        let last = read_setting(&self.data.join("brickyard.conf"), "port").and_then(|port| port.parse().ok());
        let own = u16::try_from(place::fnv(self.home.as_os_str().as_bytes()) % 1000).unwrap_or(0);
        let ours = (0..1000).map(|i| PORTS.start + (own + i) % 1000);
        let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
        last.into_iter().chain(ours).find(free).unwrap_or(PORTS.start + own)
    }

    /// Begins a new log when the old one is large; gives the place where this start's messages begin.
    fn turn_log(&self) -> Result<u64, Error> {
        let log = self.log();
        let length = fs::metadata(&log).map_or(0, |m| m.len());
        if length < 16 << 20 {
            return Ok(length);
        }
        fs::rename(&log, self.home.join("server.log.1")).map_err(Error::io("rename", log))?;
        Ok(0)
    }

    fn run(&self, program: &Path, args: &[&str]) -> Result<(), Error> {
        let output = self.account.command(program, &self.home).args(args).output();
        self.check(program, output).map(|_| ())
    }

    fn check(&self, program: &Path, output: std::io::Result<Output>) -> Result<Output, Error> {
        let output = output.map_err(Error::io("run", program))?;
        if output.status.success() {
            return Ok(output);
        }
        let said = [&output.stdout[..], &output.stderr[..]].map(String::from_utf8_lossy).concat();
        if said.contains("No space left on device") {
            return Err(self.no_room());
        }
        Err(Error::Program { program: program.to_owned(), status: output.status.to_string(), output: said.trim().to_owned() })
    }

    /// Writes a file of the account's own, whole or not at all; the new name is never a link that somebody laid out.
    fn write(&self, path: &Path, text: &str) -> Result<(), Error> {
        let dir = path.parent().unwrap_or(&self.home);
        let mut file = tempfile::Builder::new().prefix(".write-").tempfile_in(dir).map_err(Error::io("write in", dir))?;
        file.write_all(text.as_bytes()).map_err(Error::io("write", path))?;
        self.account.own(file.path())?;
        file.as_file().sync_all().map_err(Error::io("sync", path))?;
        file.persist(path).map_err(|e| Error::io("write", path)(e.error))?;
        Ok(())
    }
}

/// Sockets and their locks that a killed server left; its folder is ours alone, and the server is known not to run.
fn remove_sockets(dir: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(dir).map_err(Error::io("read", dir))?.flatten() {
        if entry.file_name().as_bytes().starts_with(b".s.PGSQL.") {
            fs::remove_file(entry.path()).map_err(Error::io("remove", entry.path()))?;
        }
    }
    Ok(())
}

/// `name = 'value'` of our own settings file.
fn read_setting(path: &Path, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = '"))?;
    line.split('\'').next().map(str::to_owned)
}

fn read_from(path: &Path, offset: u64) -> String {
    let mut text = Vec::new();
    let read = File::open(path).and_then(|mut file| {
        file.seek(SeekFrom::Start(offset))?;
        file.take(1 << 20).read_to_end(&mut text)
    });
    match read {
        Ok(_) => String::from_utf8_lossy(&text).into_owned(),
        Err(error) => format!("(its log cannot be read: {error})"),
    }
}

/// The lines of the log that say why, else what pg_ctl said.
fn cause(log: &str, pg_ctl: &str) -> String {
    let telling = |line: &&str| ["FATAL:", "PANIC:", "HINT:", "DETAIL:"].iter().any(|word| line.contains(word));
    let lines: Vec<&str> = log.lines().filter(telling).take(6).collect();
    if lines.is_empty() { pg_ctl.to_owned() } else { lines.join("; ") }
}

fn sync_dir(dir: &Path) -> Result<(), Error> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(Error::io("sync", dir))
}

/// Bytes of all files below `dir`; files that go while we look count nothing.
fn size(dir: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else { return 0 };
    let of = |entry: fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => size(&entry.path()),
        Ok(meta) => meta.len(),
        Err(_) => 0,
    };
    entries.flatten().map(of).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_carry_any_socket_folder() {
        let account = Account { uid: 0, gid: 0, name: "root".into(), drop: false };
        let feeds = Feeds::of(Path::new("/d/pg"), &account);
        let (password, reader_password) = ("00ff".into(), "11".into());
        let server = Server { pid: 1, port: 5, socket_dir: "/tmp/a b&c".into(), password, reader_password, feeds };
        let url = server.url("brickyard");
        let config: tokio_postgres::Config = url.parse().expect("a URL that the client reads");
        assert_eq!(config.get_hosts(), [tokio_postgres::config::Host::Unix("/tmp/a b&c".into())]);
        assert_eq!((config.get_ports(), config.get_password()), (&[5][..], Some(&b"00ff"[..])));
    }
}
