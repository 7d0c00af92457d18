//! What can go wrong between us and PostgreSQL: what was wanted, where, and the remedy.
//!
//! [`From<tokio_postgres::Error>`] sorts the server's answers: a full disk and a lost connection are variants of
//! their own, because callers stop differently for them; everything else that the server says is [`Error::Server`].

use std::path::PathBuf;
use tokio_postgres::error::{DbError, ErrorPosition, SqlState};

/// An error of the database floor.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No usable server programs.
    #[error(
        "no PostgreSQL {wanted} found; looked in {looked}{seen}. Install one (Debian, Ubuntu: apt install postgresql postgresql-NN-q3c), or name its folder with --pg-bin or BRICKYARD_PG_BIN, or use a server of yours with --database-url"
    )]
    NoServer { wanted: String, looked: String, seen: String },
    /// Server programs, but without the extension.
    #[error(
        "PostgreSQL {version} in {dir} has no Q3C extension (no {control}). Install the package postgresql-{version}-q3c (apt install postgresql-{version}-q3c), or build it from https://github.com/segasai/q3c, then try again"
    )]
    NoQ3c { version: u32, dir: PathBuf, control: PathBuf },
    /// We are root, and there is no ordinary account to run the server.
    #[error(
        "PostgreSQL does not run as root, and there is no account {name:?} to run it. The package postgresql makes the account postgres; or name another with --pg-user or BRICKYARD_PG_USER"
    )]
    NoAccount { name: String },
    /// We are not root, and a number without a name.
    #[error(
        "PostgreSQL needs an account with a name, and uid {uid} of this process has none in /etc/passwd. Run as a named account (docker run --user NAME), or as root, which drops to postgres by itself"
    )]
    Nameless { uid: u32 },
    /// The server's account cannot get to the data directory.
    #[error(
        "the account {account} cannot enter {path}, which holds the data directory {data_dir}. Choose another --data-dir (BRICKYARD_DATA_DIR), or let others through: chmod o+x {path}"
    )]
    Unreachable { account: String, path: PathBuf, data_dir: PathBuf },
    /// The cluster belongs to somebody else.
    #[error(
        "the database in {path} belongs to {owner}, and this is {me}. Run as {owner} or root, or choose another --data-dir (BRICKYARD_DATA_DIR)"
    )]
    NotYours { path: PathBuf, owner: String, me: String },
    /// The cluster was made by another major version whose programs are not here.
    #[error(
        "the database in {path} was made by PostgreSQL {cluster}, but only {found} is installed. Install postgresql-{cluster} and postgresql-{cluster}-q3c (they live beside {found}), or move the database with pg_upgrade, or begin anew with another --data-dir"
    )]
    OtherVersion { path: PathBuf, cluster: u32, found: String },
    /// The folder of the cluster is there, but it is not a cluster.
    #[error("{path} is not a whole PostgreSQL cluster: {why}. Restore it from a backup, or move it away to begin anew")]
    Damaged { path: PathBuf, why: String },
    /// The data directory is on a filesystem that cannot hold a cluster.
    #[error(
        "{path} is on {kind}, where PostgreSQL cannot keep a database safely: {why}. Choose a --data-dir (BRICKYARD_DATA_DIR) on a local disk (ext4, xfs, btrfs, zfs, apfs)"
    )]
    WrongFilesystem { path: PathBuf, kind: String, why: String },
    /// No room on the disk of the data directory.
    #[error(
        "the disk of {path} is full: {free_mb} MB free, at least {wanted_mb} MB wanted. Make room, or choose another --data-dir (BRICKYARD_DATA_DIR)"
    )]
    NoRoom { path: PathBuf, free_mb: u64, wanted_mb: u64 },
    /// The server ran out of disk while working; what it was doing is rolled back.
    #[error("the database server's disk is full: {message}. Nothing of this transaction is kept; make room and run the same command again")]
    DiskFull { message: String },
    /// A unix socket's path has at most 107 bytes, and no short folder is to be had.
    #[error(
        "no folder for the server's socket: {tried} is longer than 107 bytes with the socket's name, and {why}. Choose a shorter --data-dir (BRICKYARD_DATA_DIR)"
    )]
    SocketPath { tried: PathBuf, why: String },
    /// Another brickyard starts or stops the cluster and does not finish.
    #[error(
        "another brickyard has been starting or stopping the database for {waited_s} s (lock {path}). Look for it with `fuser {path}`, then try again"
    )]
    Locked { path: PathBuf, waited_s: u64 },
    /// The server did not start.
    #[error("the embedded PostgreSQL did not start: {why}. Its log is {log}")]
    Start { why: String, log: PathBuf },
    /// A server program failed.
    #[error("{program} failed ({status}): {output}")]
    Program { program: PathBuf, status: String, output: String },
    /// A file or folder did not obey.
    #[error("cannot {doing} {path}: {source}")]
    Io { doing: &'static str, path: PathBuf, source: std::io::Error },
    /// The URL cannot be read.
    #[error("the database URL cannot be read: {why}. It looks like postgresql://user:password@host:5432/database")]
    Url { why: String },
    /// The server cannot be reached or refuses us.
    #[error("cannot connect to PostgreSQL at {target}: {why}{remedy}")]
    Connect { target: String, why: String, remedy: &'static str, may_pass: bool },
    /// The user's server is too old.
    #[error("the server at {target} is PostgreSQL {version}; 15 or newer is needed")]
    OldServer { target: String, version: String },
    /// The user's server has no Q3C, and we may not create it.
    #[error(
        "the database {target} has no extension q3c: {why}. Install the package postgresql-{major}-q3c on the server's machine, then let a superuser run in this database: CREATE EXTENSION q3c"
    )]
    NoExtension { target: String, major: u32, why: String },
    /// The connection broke; a transaction under way is rolled back by the server.
    #[error("the connection to the database was lost ({why}). Nothing of the transaction under way is kept; run the same command again")]
    Lost { why: String },
    /// The server said no.
    #[error("{0}")]
    Server(Box<Said>),
    /// The client library failed (encoding of a parameter, an unexpected message).
    #[error("database client: {0}")]
    Client(String),
}

/// What the server said, in full.
#[derive(Debug)]
pub struct Said {
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
    /// Where in the program (`COPY phot_mod, line 12, column ra`).
    pub context: Option<String>,
    pub code: SqlState,
    /// 1-based, in characters of the statement.
    pub position: Option<u32>,
    /// The line of the statement with a caret below, when [`Error::in_sql`] was told the statement.
    pub excerpt: Option<String>,
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (SQLSTATE {}", self.message, self.code.code())?;
        if let (Some(position), None) = (self.position, &self.excerpt) {
            write!(f, ", at character {position}")?;
        }
        f.write_str(")")?;
        for (name, text) in [("detail", &self.detail), ("where", &self.context), ("hint", &self.hint)] {
            if let Some(text) = text {
                write!(f, "\n  {name}: {text}")?;
            }
        }
        if let Some(excerpt) = &self.excerpt {
            write!(f, "\n{excerpt}")?;
        }
        Ok(())
    }
}

impl Error {
    /// The server's SQLSTATE, if the server said one that has no variant of its own.
    pub fn code(&self) -> Option<&SqlState> {
        match self {
            Error::Server(said) => Some(&said.code),
            _ => None,
        }
    }

    /// The server is starting, stopping or gone: the same may work in a moment.
    pub fn may_pass(&self) -> bool {
        matches!(self, Error::Lost { .. } | Error::Connect { may_pass: true, .. })
    }

    /// Adds the line of `sql` that the server pointed at, with a caret.
    pub fn in_sql(mut self, sql: &str) -> Error {
        if let Error::Server(said) = &mut self
            && let Some(position) = said.position
        {
            said.excerpt = excerpt(sql, position);
        }
        self
    }

    /// For `map_err` after a call on a file or folder.
    pub(crate) fn io(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.into();
        move |source| match source.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Error::NoRoom { path, free_mb: 0, wanted_mb: 1 },
            _ => Error::Io { doing, path, source },
        }
    }
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Error {
        if let Some(db) = error.as_db_error() {
            return from_server(db);
        }
        if error.is_closed() {
            return Error::Lost { why: "closed by the server".into() };
        }
        // The library's own text is "error communicating with the server"; the cause says more.
        let why = innermost(&error);
        let broken = std::error::Error::source(&error).is_some_and(|e| e.is::<std::io::Error>());
        if broken { Error::Lost { why } } else { Error::Client(why) }
    }
}

fn from_server(db: &DbError) -> Error {
    let code = db.code();
    if *code == SqlState::DISK_FULL {
        return Error::DiskFull { message: db.message().to_owned() };
    }
    // 08: connection exceptions; 57P01-57P03: shutdown, crash of a neighbour, starting up.
    if code.code().starts_with("08") || ["57P01", "57P02", "57P03"].contains(&code.code()) {
        return Error::Lost { why: db.message().to_owned() };
    }
    Error::Server(Box::new(Said {
        message: db.message().to_owned(),
        detail: db.detail().map(str::to_owned),
        hint: db.hint().map(str::to_owned),
        context: db.where_().map(str::to_owned),
        code: code.clone(),
        position: match db.position() {
            Some(ErrorPosition::Original(position)) => Some(*position),
            Some(ErrorPosition::Internal { .. }) | None => None,
        },
        excerpt: None,
    }))
}

/// The text of the last cause in the chain, after the first's.
pub(crate) fn innermost(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let said = next.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = next.source();
    }
    text
}

fn excerpt(sql: &str, position: u32) -> Option<String> {
    let before: String = sql.chars().take(usize::try_from(position).ok()?.checked_sub(1)?).collect();
    let start = before.rfind('\n').map_or(0, |i| i + 1);
    let line = sql[start..].lines().next()?;
    let head = format!("  line {}: ", before.matches('\n').count() + 1);
    let indent = head.chars().count() + before[start..].chars().count();
    Some(format!("{head}{line}\n{}^", " ".repeat(indent)))
}

#[cfg(test)]
mod tests {
    use super::excerpt;

    #[test]
    fn the_caret_stands_below_the_character_that_the_server_names() {
        let text = excerpt("select ra,\n  δ, decl\nfrom star", 17).expect("inside");
        assert_eq!(text, "  line 2:   δ, decl\n               ^");
    }
}
