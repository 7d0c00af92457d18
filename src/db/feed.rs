//! A named pipe from which the embedded server reads a COPY.
//!
//! `COPY ... FROM STDIN` passes the client library, the socket, and the server's message buffer of 8 KiB; from a pipe
//! the server reads 64 KiB at a time into the buffer that it parses, as from a file. Linux does not even copy the rows
//! into the pipe: it lends our memory to it ([`Feed::give`]), and the server's read is the only copy.
//!
//! Pipes lie in `<data_dir>/pg/feed/`, a folder of mode 0700 of the server's account, so that nobody else writes into
//! one or reads it. We hold both ends, and therefore never wait for the server to open its own; the end of our process
//! is the end of the data, and what was not committed before is rolled back. The server, however, hears nothing while
//! it waits for a pipe's other end: a loader killed between its COPY and the moment when the server opens the pipe
//! leaves a session that waits for ever, and a name. [`Feeds::sweep`], which every connection and every stop begin
//! with, ends such a session by opening the pipe once.

use super::account::Account;
use super::{Error, pidfile};
use bytes::Bytes;
use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

/// What a pipe is asked to hold: several milliseconds of the server's work. Linux gives this to ordinary users.
const PIPE_BYTES: usize = 1 << 20;
/// How long we sleep when the pipe is full: the server takes 0.1 to 0.2 MB a millisecond.
const FULL: Duration = Duration::from_millis(2);
/// The same for the last bytes, and for a pipe of the usual 64 KiB.
const SHORT: Duration = Duration::from_micros(100);

/// Where the pipes of a cluster are made.
#[derive(Debug, Clone)]
pub struct Feeds {
    dir: PathBuf,
    account: Account,
}

/// A pipe, open at both ends, and a name that the server opens it by.
///
/// Dropped before [`Feed::finish`], it sees to it that the server does not go on waiting for it.
pub struct Feed {
    path: PathBuf,
    pipe: File,
    full: Duration,
    /// Bytes that the pipe has got.
    given: u64,
    /// What the pipe may still refer to, each with the number of the byte after its last.
    lent: VecDeque<(u64, Bytes)>,
    over: Over,
    finished: bool,
}

/// Tells a [`Feed`] that the COPY that reads it has ended, well or badly: it is over when this is dropped.
pub struct Reading(Over);

type Over = Arc<AtomicBool>;

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

impl Feeds {
    /// Of the cluster in `home`.
    pub(super) fn of(home: &Path, account: &Account) -> Feeds {
        Feeds { dir: home.join("feed"), account: account.clone() }
    }

    /// Makes a pipe. The COPY that reads it holds the [`Reading`] while it runs.
    pub fn make(&self) -> Result<(Feed, Reading), Error> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        match std::fs::DirBuilder::new().mode(0o700).create(&self.dir) {
            Ok(()) => self.own(&self.dir)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Error::io("make the folder", &self.dir)(error)),
        }
        let path = self.dir.join(format!("{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed)));
        // of a process that had our number
        drop(std::fs::remove_file(&path));
        rustix::fs::mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR).map_err(|e| Error::io("make the pipe", &path)(e.into()))?;
        self.own(&path)?;
        let pipe = open(&path, OFlags::RDWR).map_err(Error::io("open the pipe", &path))?;
        let full = if hold(&pipe, PIPE_BYTES) { FULL } else { SHORT };
        let over = Over::default();
        Ok((Feed { path, pipe, full, given: 0, lent: VecDeque::new(), over: over.clone(), finished: false }, Reading(over)))
    }

    /// Gives a path in the account's folder to the account; a link that it laid there is not followed.
    fn own(&self, path: &Path) -> Result<(), Error> {
        if !self.account.drop {
            return Ok(());
        }
        std::os::unix::fs::lchown(path, Some(self.account.uid), Some(self.account.gid))
            .map_err(Error::io("give to the server's account", path))
    }

    /// Ends what dead loaders left: sessions that wait for a pipe's other end, and names.
    pub(super) fn sweep(&self) {
        for entry in std::fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let pid = name.to_str().and_then(|n| n.split_once('-')?.0.parse().ok());
            if pid.is_some_and(|pid| !pidfile::exists(pid)) {
                // no session waits for it: then opening it fails, as it should
                drop(open(&entry.path(), OFlags::WRONLY));
                drop(std::fs::remove_file(entry.path()));
            }
        }
    }
}

/// Opens a pipe, and nothing that was put in its place, without waiting for the other end.
fn open(path: &Path, way: OFlags) -> io::Result<File> {
    let fd = rustix::fs::open(path, way | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    let mode = rustix::fs::fstat(&fd)?.st_mode;
    if FileType::from_raw_mode(mode) != FileType::Fifo {
        return Err(io::Error::other("it is not a pipe"));
    }
    Ok(fd.into())
}

/// Makes the pipe hold so many bytes, if it may.
#[cfg(target_os = "linux")]
fn hold(pipe: &File, bytes: usize) -> bool {
    rustix::pipe::fcntl_setpipe_size(pipe, bytes).is_ok_and(|size| size >= bytes)
}

#[cfg(not(target_os = "linux"))]
fn hold(_pipe: &File, _bytes: usize) -> bool {
    false
}

/// Puts bytes into the pipe without copying them: its pages are ours. They must stay as they are until they are read.
#[cfg(target_os = "linux")]
fn lend(pipe: &File, bytes: &[u8]) -> rustix::io::Result<usize> {
    use rustix::pipe::{IoSliceRaw, SpliceFlags, vmsplice};
    // SAFETY: the slice is readable memory, and we do not give its pages away (`GIFT`)
    let lent = unsafe { vmsplice(pipe, &[IoSliceRaw::from_slice(bytes)], SpliceFlags::NONBLOCK) };
    match lent {
        // a sandbox or an emulator without it
        Err(Errno::NOSYS | Errno::PERM) => rustix::io::write(pipe, bytes),
        lent => lent,
    }
}

#[cfg(not(target_os = "linux"))]
fn lend(pipe: &File, bytes: &[u8]) -> rustix::io::Result<usize> {
    rustix::io::write(pipe, bytes)
}

impl Feed {
    /// The name that the server opens.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes all of `bytes`; false if the COPY is over before.
    pub fn put(&mut self, bytes: &[u8]) -> io::Result<bool> {
        self.fill(bytes, |pipe, rest| rustix::io::write(pipe, rest))
    }

    /// Gives all of `bytes`; false if the COPY is over before. They are let go when the server has taken them.
    pub fn give(&mut self, bytes: Bytes) -> io::Result<bool> {
        let unread = rustix::io::ioctl_fionread(&self.pipe)?;
        while self.lent.front().is_some_and(|(end, _)| end + unread <= self.given) {
            self.lent.pop_front();
        }
        let taken = self.fill(&bytes, lend);
        self.lent.push_back((self.given, bytes));
        taken
    }

    fn fill(&mut self, mut bytes: &[u8], way: fn(&File, &[u8]) -> rustix::io::Result<usize>) -> io::Result<bool> {
        while !bytes.is_empty() {
            if self.is_over() {
                return Ok(false);
            }
            match way(&self.pipe, bytes) {
                Ok(n) => {
                    bytes = &bytes[n..];
                    self.given += n as u64;
                }
                Err(Errno::AGAIN) => std::thread::sleep(self.full),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(true)
    }

    /// Waits until the server has taken everything, and ends the data.
    pub fn finish(mut self) -> io::Result<()> {
        self.finished = true;
        self.drain()
    }

    /// What the server has not opened is lost when we close it, so we wait until it is empty.
    fn drain(&self) -> io::Result<()> {
        while !self.is_over() && rustix::io::ioctl_fionread(&self.pipe)? > 0 {
            std::thread::sleep(SHORT);
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        if !self.finished {
            // a byte that is no COPY, so that there is something to take
            drop(self.put(b"\0").and_then(|_| self.drain()));
        }
        drop(std::fs::remove_file(&self.path));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn feeds(dir: &Path) -> Feeds {
        Feeds::of(dir, &Account { uid: 0, gid: 0, name: "nobody".into(), drop: false })
    }

    #[test]
    fn what_is_put_is_read_and_ends_with_the_feed() {
        let dir = tempfile::tempdir().expect("a folder");
        let (mut feed, reading) = feeds(dir.path()).make().expect("a pipe");
        let path = feed.path().to_owned();
        let bytes: Vec<u8> = (0..3_000_000u32).map(|i| (i >> 3) as u8).collect();
        let wanted = bytes.clone();
        let reader = std::thread::spawn(move || {
            let mut found = Vec::new();
            File::open(path).and_then(|mut f| f.read_to_end(&mut found)).expect("it reads");
            drop(reading);
            found
        });
        assert!(feed.put(&bytes).expect("it takes all"));
        feed.finish().expect("it is taken");
        assert_eq!(reader.join().expect("no panic"), wanted);
        assert_eq!(std::fs::read_dir(dir.path().join("feed")).expect("the folder").count(), 0);
    }

    #[test]
    fn what_is_given_comes_unchanged_though_its_memory_is_used_again() {
        let dir = tempfile::tempdir().expect("a folder");
        let (mut feed, reading) = feeds(dir.path()).make().expect("a pipe");
        let path = feed.path().to_owned();
        let reader = std::thread::spawn(move || {
            let mut found = Vec::new();
            File::open(path).and_then(|mut f| f.read_to_end(&mut found)).expect("it reads");
            drop(reading);
            found
        });
        let mut wanted = Vec::new();
        for number in 0..200_u8 {
            // what was let go is the next one's memory
            let chunk = vec![number; 40_000 + 7 * usize::from(number)];
            wanted.extend_from_slice(&chunk);
            assert!(feed.give(chunk.into()).expect("it takes all"));
            // the pipe holds 1 MiB: what lies further back has come home
            assert!(feed.lent.len() <= 30, "{} chunks are lent", feed.lent.len());
        }
        feed.finish().expect("it is taken");
        assert!(reader.join().expect("no panic") == wanted);
    }

    #[test]
    fn nobody_waits_for_a_copy_that_is_over() {
        let dir = tempfile::tempdir().expect("a folder");
        let (mut feed, reading) = feeds(dir.path()).make().expect("a pipe");
        drop(reading);
        assert!(!feed.put(&[1; 10]).expect("no error"));
        feed.finish().expect("at once");
    }

    #[test]
    fn a_feed_that_is_given_up_lets_its_reader_go() {
        let dir = tempfile::tempdir().expect("a folder");
        let (feed, reading) = feeds(dir.path()).make().expect("a pipe");
        let path = feed.path().to_owned();
        let reader = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            let mut found = Vec::new();
            File::open(path).and_then(|mut f| f.read_to_end(&mut found)).expect("it reads");
            drop(reading);
            found
        });
        drop(feed);
        assert_eq!(reader.join().expect("no panic"), b"\0");
    }

    #[test]
    fn what_a_dead_process_left_is_swept_and_its_reader_goes_on() {
        let dir = tempfile::tempdir().expect("a folder");
        let feeds = feeds(dir.path());
        let (feed, _reading) = feeds.make().expect("a pipe");
        // no process has the largest number
        let left = dir.path().join("feed").join(format!("{}-0", i32::MAX));
        rustix::fs::mkfifoat(CWD, &left, Mode::RUSR | Mode::WUSR).expect("a pipe");
        let reader = std::thread::spawn({
            let left = left.clone();
            move || File::open(left).and_then(|mut f| f.read_to_end(&mut Vec::new())).expect("it reads")
        });
        std::thread::sleep(Duration::from_millis(100));
        feeds.sweep();
        assert_eq!(reader.join().expect("no panic"), 0);
        assert!(!left.exists() && feed.path().exists());
    }
}
