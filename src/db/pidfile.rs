//! Reads postmaster.pid and tells a living server from the leftovers of a dead one.

use super::Error;
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// What postmaster.pid says.
pub struct PidFile {
    pub pid: i32,
    pub port: u16,
    pub socket_dir: PathBuf,
    pub ready: bool,
}

impl PidFile {
    /// The file in the cluster `data`, if it is there and has begun to be written.
    pub fn read(data: &Path) -> Result<Option<PidFile>, Error> {
        let path = data.join("postmaster.pid");
        match fs::read_to_string(&path) {
            Ok(text) => Ok(PidFile::parse(&text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("read", path)(error)),
        }
    }

    /// Lines: pid, data directory, start time, port, socket directory, address, shared memory, status. While the
    /// postmaster starts, the later ones are not there yet.
    fn parse(text: &str) -> Option<PidFile> {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        let line = |i: usize| lines.get(i).copied().unwrap_or_default();
        let pid = line(0).parse::<i32>().ok()?.abs();
        Some(PidFile { pid, port: line(3).parse().unwrap_or(0), socket_dir: PathBuf::from(line(4)), ready: line(7) == "ready" })
    }

    /// Is this the file of a server that runs now? A pid can be another program's by now (after a reboot), or a
    /// zombie that nobody waits for; a postmaster stands in its data directory.
    pub fn lives(&self, data: &Path) -> bool {
        if self.ready && UnixStream::connect(self.socket_dir.join(format!(".s.PGSQL.{}", self.port))).is_ok() {
            return true;
        }
        if !Path::new("/proc/self/cwd").exists() {
            return exists(self.pid);
        }
        let stands_in = fs::read_link(format!("/proc/{}/cwd", self.pid));
        stands_in.is_ok_and(|cwd| data.canonicalize().is_ok_and(|data| cwd == data))
    }
}

/// Is there any process of this number, ours or not?
pub fn exists(pid: i32) -> bool {
    let Some(pid) = rustix::process::Pid::from_raw(pid) else { return false };
    !matches!(rustix::process::test_kill_process(pid), Err(rustix::io::Errno::SRCH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_file_is_read_whole_or_half_written() {
        let whole = "71\n/d/pg/data\n1763800000\n54321\n/d/pg/run\n127.0.0.1\n  123  4\nready   \n";
        let file = PidFile::parse(whole).expect("whole");
        assert_eq!((file.pid, file.port, file.ready), (71, 54321, true));
        assert!(!PidFile::parse("71\n/d/pg/data\n").expect("begun").ready);
        assert!(PidFile::parse("").is_none());
    }
}
