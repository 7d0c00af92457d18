//! Finds the PostgreSQL server programs: `--pg-bin` alone if given, else the folders of PATH and the distributions' folders.
//!
//! The newest version with Q3C wins, unless a cluster exists already: its files can be read by its own major
//! version only. An installation counts when `postgres`, `initdb`, `pg_ctl` and `pg_config` stand in one folder.

use super::{Error, Options};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The oldest version that we build for.
const OLDEST: u32 = 15;
/// Folders of the distributions, `*` being a version.
const FOLDERS: [&str; 6] = [
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/local/pgsql/bin",
    "/opt/homebrew/opt/postgresql*/bin",
    "/usr/local/opt/postgresql*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
];

/// One installation of the server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Binaries {
    pub major: u32,
    pub minor: u32,
    pub dir: PathBuf,
    /// `q3c.control`, which says that the extension is installed.
    control: PathBuf,
    /// Built with lz4.
    pub lz4: bool,
}

/// The programs for the cluster `made` by a major version (with its path, for the message), or for a new one.
pub fn find(options: &Options, made: Option<(u32, &Path)>) -> Result<Binaries, Error> {
    let folders = match &options.pg_bin {
        Some(dir) => vec![dir.clone()],
        None => folders(&options.path),
    };
    let found: Vec<Binaries> = folders.iter().filter_map(|dir| inspect(dir)).collect();
    let (new, old): (Vec<_>, Vec<_>) = found.into_iter().partition(|b| b.major >= OLDEST);
    if new.is_empty() {
        return Err(nothing(&folders, &old));
    }
    match made {
        Some((major, cluster)) => same_major(new, major, cluster),
        None => newest(new),
    }
}

fn folders(path: &[PathBuf]) -> Vec<PathBuf> {
    let on_path = path.iter().filter(|dir| dir.join("postgres").exists()).cloned();
    let known = FOLDERS.iter().flat_map(|pattern| glob::glob(pattern).into_iter().flatten().flatten());
    let all: BTreeSet<PathBuf> = on_path.chain(known).map(|dir| dir.canonicalize().unwrap_or(dir)).collect();
    all.into_iter().collect()
}

/// What stands in `dir`, if it is a whole installation.
fn inspect(dir: &Path) -> Option<Binaries> {
    if ["initdb", "pg_ctl"].iter().any(|program| !dir.join(program).exists()) {
        return None;
    }
    let (major, minor) = version(&say(dir, "postgres", "--version")?)?;
    let share = say(dir, "pg_config", "--sharedir")?;
    let lz4 = say(dir, "pg_config", "--configure").is_some_and(|text| text.contains("--with-lz4"));
    Some(Binaries { major, minor, dir: dir.to_owned(), control: Path::new(&share).join("extension/q3c.control"), lz4 })
}

fn say(dir: &Path, program: &str, flag: &str) -> Option<String> {
    let output = Command::new(dir.join(program)).arg(flag).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// `postgres (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)`, also `18beta1`.
fn version(text: &str) -> Option<(u32, u32)> {
    let number = text.split(')').nth(1)?.split_whitespace().next()?;
    let mut parts = number.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
    Some((parts.next()?, parts.next().unwrap_or(0)))
}

fn newest(mut found: Vec<Binaries>) -> Result<Binaries, Error> {
    found.sort();
    found.reverse();
    match found.iter().find(|b| b.control.exists()) {
        Some(best) => Ok(best.clone()),
        None => Err(no_q3c(&found[0])),
    }
}

fn same_major(found: Vec<Binaries>, major: u32, cluster: &Path) -> Result<Binaries, Error> {
    let (same, others): (Vec<_>, Vec<_>) = found.into_iter().partition(|b| b.major == major);
    if same.is_empty() {
        let found = others.iter().map(|b| b.major.to_string()).collect::<Vec<_>>().join(", ");
        return Err(Error::OtherVersion { path: cluster.to_owned(), cluster: major, found: format!("PostgreSQL {found}") });
    }
    newest(same)
}

fn no_q3c(b: &Binaries) -> Error {
    Error::NoQ3c { version: b.major, dir: b.dir.clone(), control: b.control.clone() }
}

fn nothing(folders: &[PathBuf], old: &[Binaries]) -> Error {
    let looked = match folders {
        [] => "PATH, /usr/lib/postgresql, /usr/pgsql-*, /usr/local and Homebrew's folders".to_owned(),
        some => some.iter().map(|dir| dir.display().to_string()).collect::<Vec<_>>().join(", "),
    };
    let old = old.iter().map(|b| format!("too old: {}.{} in {}", b.major, b.minor, b.dir.display()));
    let half = folders.iter().filter(|dir| dir.join("postgres").exists() && !dir.join("pg_config").exists());
    let half = half.map(|dir| format!("without pg_config (its package for developers has it): {}", dir.display()));
    let seen: Vec<String> = old.chain(half).collect();
    let seen = if seen.is_empty() { String::new() } else { format!(" ({})", seen.join("; ")) };
    Error::NoServer { wanted: format!("{OLDEST} or newer"), looked, seen }
}

impl Binaries {
    /// The full path of one of the programs.
    pub fn program(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    #[cfg(test)]
    pub fn for_tests() -> Binaries {
        Binaries { major: 15, minor: 0, dir: PathBuf::from("/bin"), control: PathBuf::new(), lz4: true }
    }
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn versions_are_read_as_the_distributions_print_them() {
        assert_eq!(version("postgres (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)"), Some((15, 20)));
        assert_eq!(version("postgres (PostgreSQL) 18beta1"), Some((18, 0)));
        assert_eq!(version("postgres (PostgreSQL) 17.2"), Some((17, 2)));
        assert_eq!(version("mysqld 8"), None);
    }
}
