//! Where the cluster lives: may this folder hold one, and where does its socket go?
//!
//! PostgreSQL needs a filesystem with owners, modes, sockets and an fsync that means it, and a socket path of at
//! most 107 bytes. Both are tried out before initdb, because its own messages come late and leave the reader guessing.

use super::account::Account;
use super::{Error, machine};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// initdb writes 40 MB and the first WAL segments 32 MB; less than this and the first load fails anyway.
const ROOM_MB: u64 = 256;
/// What a start needs: WAL segments, logs.
const ROOM_TO_START_MB: u64 = 32;
/// `sun_path` has 108 bytes with the closing NUL (Linux; 104 on macOS).
const SOCKET_PATH_MAX: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// Checks that a new cluster can be made in `dir`.
pub fn check_new(dir: &Path, account: &Account) -> Result<(), Error> {
    check_kind(dir)?;
    check_behaviour(dir, account)?;
    check_room(dir, ROOM_MB)
}

/// Checks that an existing cluster in `dir` has room to start.
pub fn check_start(dir: &Path) -> Result<(), Error> {
    check_room(dir, ROOM_TO_START_MB)
}

fn check_room(dir: &Path, wanted_mb: u64) -> Result<(), Error> {
    match machine::free_mb(dir) {
        Some(free_mb) if free_mb < wanted_mb => Err(Error::NoRoom { path: dir.to_owned(), free_mb, wanted_mb }),
        _ => Ok(()),
    }
}

/// Filesystems that lose, share or disguise what a database needs (the magic numbers of statfs(2)).
#[cfg(target_os = "linux")]
fn check_kind(dir: &Path) -> Result<(), Error> {
    const NETWORK: &str = "its locks and fsync cannot be relied on, and another machine may open the same cluster";
    const FOREIGN: &str = "it has no owners and modes of files";
    let magic = rustix::fs::statfs(dir).map_err(|e| Error::io("inspect the filesystem of", dir)(e.into()))?.f_type;
    // f_type is signed and of the machine's width; the constants are 32-bit patterns.
    let (kind, why) = match magic as u64 & 0xffff_ffff {
        0x6969 => ("NFS", NETWORK),
        0x517b | 0xff53_4d42 | 0xfe53_4d42 => ("SMB/CIFS", NETWORK),
        0x0102_1997 => ("9p (a folder of the host machine)", NETWORK),
        0x4d44 => ("FAT", FOREIGN),
        0x2011_bab0 => ("exFAT", FOREIGN),
        0x5346_544e | 0x7366_746e => ("NTFS", FOREIGN),
        _ => return Ok(()),
    };
    Err(Error::WrongFilesystem { path: dir.to_owned(), kind: kind.to_owned(), why: why.to_owned() })
}

#[cfg(not(target_os = "linux"))]
fn check_kind(_dir: &Path) -> Result<(), Error> {
    Ok(())
}

/// Tries what the server will do: make a file, set its mode and owner, fsync it and its folder, bind a socket.
fn check_behaviour(dir: &Path, account: &Account) -> Result<(), Error> {
    let probe = tempfile::Builder::new().prefix(".probe-").tempdir_in(dir).map_err(Error::io("write in", dir))?;
    try_out(probe.path(), account).map_err(|why| Error::WrongFilesystem { path: dir.to_owned(), kind: "a filesystem".to_owned(), why })
}

fn try_out(probe: &Path, account: &Account) -> Result<(), String> {
    let file = probe.join("file");
    let say = |what: &'static str| move |e: std::io::Error| format!("it does not {what} ({e})");
    let open = std::fs::File::create(&file).map_err(say("create files"))?;
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).map_err(say("set modes"))?;
    account.own(&file).map_err(|e| e.to_string())?;
    open.sync_all().map_err(say("sync files"))?;
    std::fs::File::open(probe).and_then(|d| d.sync_all()).map_err(say("sync folders"))?;
    let meta = open.metadata().map_err(say("say what a file is"))?;
    if meta.mode() & 0o777 != 0o600 {
        return Err(format!("a file set to mode 0600 shows mode {:04o}", meta.mode() & 0o777));
    }
    if meta.uid() != account.uid {
        return Err(format!("a file given to {} shows the owner {}", account.name, meta.uid()));
    }
    let socket = probe.join("s");
    if socket.as_os_str().len() <= SOCKET_PATH_MAX {
        UnixListener::bind(&socket).map_err(say("hold sockets"))?;
    }
    Ok(())
}

/// The folder for the socket: `preferred` if its path is short and plain, else a short one of the account's own.
pub fn socket_dir(preferred: &Path, account: &Account) -> Result<PathBuf, Error> {
    if fits(preferred) {
        private_dir(preferred, account).map_err(Error::io("make the socket's folder", preferred))?;
        return Ok(preferred.to_owned());
    }
    let name = format!("brickyard-{}-{:08x}", account.uid, fnv(preferred.as_os_str().as_bytes()));
    let runtime = PathBuf::from(format!("/run/user/{}", account.uid));
    let mut why = String::new();
    for base in [runtime, PathBuf::from("/tmp")].into_iter().filter(|base| base.is_dir()) {
        let dir = base.join(&name);
        match private_dir(&dir, account) {
            Ok(()) => return Ok(dir),
            Err(error) => why = format!("{} cannot be used either: {error}", dir.display()),
        }
    }
    Err(Error::SocketPath { tried: preferred.to_owned(), why })
}

/// Short enough with `/.s.PGSQL.65535`, and without the characters that the setting splits or quotes at.
fn fits(dir: &Path) -> bool {
    let plain = dir.to_str().is_some_and(|text| !text.contains(|c: char| c.is_control() || c.is_whitespace() || ",\"'\\".contains(c)));
    plain && dir.as_os_str().len() + "/.s.PGSQL.65535".len() <= SOCKET_PATH_MAX
}

/// Makes `dir` with mode 0700 for the account, or accepts it if it is just that: /tmp is everybody's.
fn private_dir(dir: &Path, account: &Account) -> std::io::Result<()> {
    match std::fs::DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => return account.own(dir).map_err(std::io::Error::other),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    let meta = std::fs::symlink_metadata(dir)?;
    if !meta.is_dir() || meta.uid() != account.uid || meta.mode() & 0o077 != 0 {
        return Err(std::io::Error::other("it is there already and is not a folder of mode 0700 of the server's account"));
    }
    Ok(())
}

/// A short name that is the same in every process for the same path (FNV-1a).
pub fn fnv(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, &byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_short_plain_paths_hold_the_socket() {
        assert!(fits(Path::new("/var/lib/brickyard/pg/run")));
        assert!(!fits(Path::new("/data/a,b/pg/run")));
        assert!(!fits(Path::new("/data/two words/pg/run")));
        assert!(fits(&Path::new("/").join("x".repeat(91))));
        assert!(!fits(&Path::new("/").join("x".repeat(92))));
    }
}
