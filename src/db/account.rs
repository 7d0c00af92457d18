//! The operating system account that the embedded server runs as.
//!
//! PostgreSQL refuses to run as root, and rightly: so as root every server program is started as an ordinary
//! account (`postgres` unless told otherwise), and every file of the cluster belongs to it.

use super::Error;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Who owns and runs the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub uid: u32,
    pub gid: u32,
    pub name: String,
    /// We are root and must step down to this account.
    pub drop: bool,
}

/// The account for the cluster in `pg`: its owner if it exists, else the named one, else ourselves.
pub fn choose(pg: &Path, named: Option<&str>) -> Result<Account, Error> {
    let me = rustix::process::geteuid().as_raw();
    let owner = std::fs::metadata(pg).ok().map(|m| (m.uid(), m.gid()));
    match owner {
        Some((uid, _)) if me != 0 && uid != me => Err(not_yours(pg, uid, me)),
        _ if me != 0 => ourselves(me),
        Some((uid, gid)) if uid != 0 => owned(pg, uid, gid, named),
        _ => by_name(named.unwrap_or("postgres")),
    }
}

/// initdb and psql look their user's name up, and fail without one: containers are often given a bare number.
fn ourselves(me: u32) -> Result<Account, Error> {
    let name = id(&["-un", "--", &me.to_string()]).ok_or(Error::Nameless { uid: me })?;
    Ok(Account { uid: me, gid: rustix::process::getegid().as_raw(), name, drop: false })
}

fn owned(pg: &Path, uid: u32, gid: u32, named: Option<&str>) -> Result<Account, Error> {
    let name = name_of(uid);
    match named {
        Some(other) if by_name(other)?.uid != uid => Err(Error::NotYours { path: pg.to_owned(), owner: name, me: format!("for {other}") }),
        _ => Ok(Account { uid, gid, name, drop: true }),
    }
}

fn not_yours(pg: &Path, owner: u32, me: u32) -> Error {
    Error::NotYours { path: pg.to_owned(), owner: name_of(owner), me: name_of(me) }
}

/// `id` asks every source of accounts that the machine knows, not only /etc/passwd.
fn by_name(name: &str) -> Result<Account, Error> {
    let none = || Error::NoAccount { name: name.to_owned() };
    let uid = id(&["-u", "--", name]).and_then(|t| t.parse().ok()).ok_or_else(none)?;
    let gid = id(&["-g", "--", name]).and_then(|t| t.parse().ok()).ok_or_else(none)?;
    if uid == 0 {
        return Err(none());
    }
    Ok(Account { uid, gid, name: name.to_owned(), drop: true })
}

fn name_of(uid: u32) -> String {
    id(&["-un", "--", &uid.to_string()]).unwrap_or_else(|| format!("uid {uid}"))
}

fn id(args: &[&str]) -> Option<String> {
    let output = Command::new("id").args(args).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

impl Account {
    /// `program` as this account, in `dir`, with an environment that holds nothing of the user's PGDATA, PGPORT, ....
    pub fn command(&self, program: &Path, dir: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("LC_ALL", "C").env("TZ", "UTC");
        command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.current_dir(dir).stdin(Stdio::null());
        if self.drop {
            command.uid(self.uid).gid(self.gid);
        }
        command
    }

    /// Gives `path` to this account.
    pub fn own(&self, path: &Path) -> Result<(), Error> {
        if !self.drop {
            return Ok(());
        }
        std::os::unix::fs::chown(path, Some(self.uid), Some(self.gid)).map_err(Error::io("give to the server's account", path))
    }

    /// Checks that this account can enter every folder above `dir`, and names the first that it cannot.
    pub fn reach(&self, dir: &Path) -> Result<(), Error> {
        if !self.drop || self.enters(dir) {
            return Ok(());
        }
        let mut above: Vec<PathBuf> = dir.ancestors().map(Path::to_owned).collect();
        above.reverse();
        let path = above.into_iter().find(|path| !self.enters(path)).unwrap_or_else(|| dir.to_owned());
        Err(Error::Unreachable { account: self.name.clone(), path, data_dir: dir.to_owned() })
    }

    /// The one honest test is to go there: a shell is started as the account, in that folder.
    fn enters(&self, dir: &Path) -> bool {
        self.command(Path::new("/bin/sh"), dir)
            .args(["-c", ":"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|s| s.success())
    }
}
