//! The files of the jobs: a folder for each, `<jobs>/<id>/`, with `result` and `upload-<n>`.
//!
//! A result is written as `part-<random>`, flushed to the disk, renamed and its folder flushed, before the books say COMPLETED: what is
//! called `result` is whole, whenever the machine went down. [`Disk::sweep`] removes what the books do not know, so that neither
//! `kill -9` nor a lost database leaves files behind. Writing happens on a thread of its own behind a channel of a few chunks.
//!
//! [`Disk`] counts the bytes of all jobs; a result stops at its own limit, at the limit of all, and before the disk is full.

use super::Outcome;
use crate::tap::job::Phase;
use bytes::Bytes;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Chunks on their way to the disk.
const CHUNKS: usize = 4;
/// Bytes between two looks at the free space.
const LOOK_EVERY: u64 = 64 << 20;
/// Space that is left to others.
const SPARE: u64 = 512 << 20;
/// How the name of a result begins that is being written.
const PART: &str = "part-";
/// A folder that the books do not know is somebody's half-made job until it is this old.
const YOUNG: Duration = Duration::from_secs(60);

/// Why a file cannot be written; the texts go to the job's owner, who cannot see our paths.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the result is larger than {limit} bytes, the most that this service keeps: ask for less, or in parts")]
    TooLarge { limit: u64 },
    #[error("the results kept by this service fill its {quota} bytes: DELETE jobs that you do not need, or try again later")]
    Quota { quota: u64 },
    #[error("the disk for results is full: try again later, or ask for less; the operators of this service have been told")]
    Full,
    #[error("the disk for results failed: try again later; the operators of this service have been told")]
    Io(#[source] io::Error),
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::Full,
            _ => Error::Io(error),
        }
    }
}

/// The folder of all jobs.
#[derive(Debug, Clone)]
pub struct Disk {
    home: PathBuf,
    /// Which folder this is, whatever its path is called.
    name: String,
    used: Arc<AtomicU64>,
    result_limit: u64,
    quota: u64,
}

impl Disk {
    /// `home` is made if it is missing; only this account may enter it.
    pub fn open(home: PathBuf, result_limit: u64, quota: u64) -> Result<Disk, Error> {
        make_folder(&home)?;
        let name = name(&home)?;
        Ok(Disk { home, name, used: Arc::default(), result_limit, quota })
    }

    /// What the books call this folder: services that share it share its jobs.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Bytes of all results and uploads, as far as known here.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Is there room for new jobs?
    pub fn room(&self) -> Result<(), Error> {
        if self.used() >= self.quota {
            return Err(Error::Quota { quota: self.quota });
        }
        self.free()
    }

    fn free(&self) -> Result<(), Error> {
        let stat = rustix::fs::statvfs(&self.home).map_err(io::Error::from)?;
        match stat.f_bavail.saturating_mul(stat.f_frsize) < SPARE {
            true => Err(Error::Full),
            false => Ok(()),
        }
    }

    /// The folder of a job; ids are ours, but nothing else becomes a path either.
    fn folder(&self, id: &str) -> PathBuf {
        debug_assert!(super::is_id(id));
        self.home.join(id)
    }

    pub fn result(&self, id: &str) -> PathBuf {
        self.folder(id).join("result")
    }

    /// The file of an upload, by the name that [`Disk::keep_upload`] gave it.
    pub fn upload(&self, id: &str, file: &str) -> PathBuf {
        debug_assert!(file.strip_prefix("upload-").is_some_and(super::is_id));
        self.folder(id).join(file)
    }

    /// A scratch file without a name: it goes with the process.
    pub fn scratch(&self) -> Result<File, Error> {
        Ok(tempfile::tempfile_in(&self.home)?)
    }

    /// Copies an uploaded file to the folder of its job; the name that it has there.
    pub fn keep_upload(&self, id: &str, from: &mut impl Read) -> Result<String, Error> {
        self.room()?;
        make_folder(&self.folder(id))?;
        let name = format!("upload-{}", random()?);
        let mut to = create(&self.upload(id, &name))?;
        let bytes = io::copy(from, &mut to)?;
        to.sync_all()?;
        flush_folder(&self.folder(id))?;
        self.used.fetch_add(bytes, Ordering::Relaxed);
        Ok(name)
    }

    /// Removes all files of a job.
    pub fn remove(&self, id: &str) -> Result<(), Error> {
        let folder = self.folder(id);
        let bytes = files_of(&folder).map(|(_, _, bytes)| bytes).sum::<u64>();
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => {
                self.give_back(bytes);
                Ok(())
            }
        }
    }

    /// Removes the result of a job that goes on without it.
    pub fn remove_result(&self, id: &str) -> Result<(), Error> {
        let path = self.result(id);
        let bytes = fs::metadata(&path).map(|meta| meta.len()).unwrap_or(0);
        match fs::remove_file(&path) {
            Ok(()) => self.give_back(bytes),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            Err(_) => {}
        }
        Ok(())
    }

    fn give_back(&self, bytes: u64) {
        let _ = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| Some(used.saturating_sub(bytes)));
    }

    /// A thread that writes the result of a job.
    pub fn writer(&self, id: &str) -> Writer {
        let (chunks, receiver) = mpsc::channel(CHUNKS);
        let (tell, done) = oneshot::channel();
        let (disk, id) = (self.clone(), id.to_owned());
        tokio::task::spawn_blocking(move || {
            let _ = tell.send(disk.write(&id, receiver)); // nobody waits for a result that was given up
        });
        Writer { chunks, done }
    }

    /// Bytes written, or `None` if the end never came: then the result was given up.
    fn write(&self, id: &str, chunks: mpsc::Receiver<Chunk>) -> Result<Option<u64>, Error> {
        let folder = self.folder(id);
        make_folder(&folder)?;
        // Its own name, because another service may run the same job again while this one is still giving it up.
        let part = folder.join(format!("{PART}{}", random()?));
        let written = self.write_part(&folder, &part, chunks);
        if !matches!(written, Ok(Some(_))) {
            let _ = fs::remove_file(&part); // nothing to do about a file that is gone already
        }
        written
    }

    fn write_part(&self, folder: &Path, part: &Path, mut chunks: mpsc::Receiver<Chunk>) -> Result<Option<u64>, Error> {
        let mut file = create(part)?;
        let (mut bytes, mut looked) = (0_u64, 0_u64);
        self.free()?;
        while let Some(chunk) = chunks.blocking_recv() {
            let Chunk::Data(data) = chunk else {
                file.sync_all()?;
                fs::rename(part, folder.join("result"))?;
                flush_folder(folder)?;
                self.used.fetch_add(bytes, Ordering::Relaxed);
                return Ok(Some(bytes));
            };
            bytes += data.len() as u64;
            if bytes > self.result_limit {
                return Err(Error::TooLarge { limit: self.result_limit });
            }
            if self.used() + bytes > self.quota {
                return Err(Error::Quota { quota: self.quota });
            }
            if bytes - looked > LOOK_EVERY {
                self.free()?;
                looked = bytes;
            }
            file.write_all(&data)?;
        }
        Ok(None)
    }

    /// Removes what the books do not know: folders of no job, results of jobs that did not complete, parts of jobs that do not run.
    /// `young_too`: no other service works in this folder, so that nothing can be half-made. Returns how many files went.
    pub fn sweep(&self, jobs: &HashMap<String, Phase>, bytes: u64, young_too: bool) -> Result<usize, Error> {
        self.used.store(bytes, Ordering::Relaxed);
        let mut gone = 0;
        for entry in fs::read_dir(&self.home)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if !super::is_id(&name) {
                continue; // not ours: never touched
            }
            match jobs.get(&name) {
                Some(&phase) => gone += sweep_job(&entry.path(), phase, young_too),
                None if young_too || is_old(&entry.path()) => {
                    gone += files_of(&entry.path()).count();
                    fs::remove_dir_all(entry.path()).or_else(|error| match error.kind() {
                        io::ErrorKind::NotFound => Ok(()),
                        _ => Err(error),
                    })?;
                }
                None => {}
            }
        }
        Ok(gone)
    }
}

fn is_old(path: &Path) -> bool {
    let age = fs::metadata(path).and_then(|meta| meta.modified()).ok().and_then(|at| at.elapsed().ok());
    age.is_some_and(|age| age > YOUNG)
}

/// A result without a COMPLETED job is one whose service died between the rename and the books. Young files may have been written after
/// the books were read.
fn sweep_job(folder: &Path, phase: Phase, young_too: bool) -> usize {
    let stale = |name: &str| match name {
        name if name.starts_with(PART) => phase != Phase::Executing,
        "result" => phase != Phase::Completed && phase != Phase::Executing,
        _ => false,
    };
    let goes = |name: &str, path: &Path| stale(name) && (young_too || is_old(path)) && fs::remove_file(path).is_ok();
    files_of(folder).filter(|(name, path, _)| goes(name, path)).count()
}

fn files_of(folder: &Path) -> impl Iterator<Item = (String, PathBuf, u64)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| {
        let bytes = entry.metadata().map(|meta| meta.len()).unwrap_or(0);
        (entry.file_name().to_string_lossy().into_owned(), entry.path(), bytes)
    })
}

/// The name of the folder, in its file `name`; the first who opens it gives it one.
fn name(home: &Path) -> Result<String, Error> {
    let path = home.join("name");
    let fresh = random()?;
    let mut draft = tempfile::NamedTempFile::new_in(home)?;
    draft.write_all(fresh.as_bytes())?;
    match draft.persist_noclobber(&path) {
        Ok(_) => Ok(fresh),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(fs::read_to_string(&path)?.trim().to_owned()),
        Err(error) => Err(error.error.into()),
    }
}

fn random() -> Result<String, Error> {
    crate::db::random().map_err(|error| Error::Io(io::Error::other(error)))
}

fn make_folder(path: &Path) -> Result<(), Error> {
    Ok(fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?)
}

fn create(path: &Path) -> Result<File, Error> {
    Ok(File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?)
}

fn flush_folder(path: &Path) -> Result<(), Error> {
    Ok(File::open(path)?.sync_all()?)
}

enum Chunk {
    Data(Bytes),
    End,
}

/// The way to the writing thread. Dropping it gives the result up.
pub struct Writer {
    chunks: mpsc::Sender<Chunk>,
    done: oneshot::Receiver<Result<Option<u64>, Error>>,
}

impl Writer {
    /// Hands over a chunk, waiting while the disk is behind; `Err` is what stopped the writing.
    pub async fn write(&mut self, data: Bytes) -> Result<(), Error> {
        match self.chunks.send(Chunk::Data(data)).await {
            Ok(()) => Ok(()),
            Err(_) => Err(self.failure().await),
        }
    }

    /// The result is whole: flushes and names it. Its bytes.
    pub async fn finish(mut self) -> Result<u64, Error> {
        if self.chunks.send(Chunk::End).await.is_err() {
            return Err(self.failure().await);
        }
        match self.done.await {
            Ok(Ok(Some(bytes))) => Ok(bytes),
            Ok(Err(error)) => Err(error),
            Ok(Ok(None)) | Err(_) => Err(gone()),
        }
    }

    async fn failure(&mut self) -> Error {
        match (&mut self.done).await {
            Ok(Err(error)) => error,
            _ => gone(),
        }
    }
}

fn gone() -> Error {
    Error::Io(io::Error::other("the writing thread ended"))
}

impl Outcome {
    /// Names this very result: it never changes, and ids are never used again.
    pub fn etag(&self, id: &str) -> String {
        format!("\"{id}-{}\"", self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef";

    fn disk(limit: u64, quota: u64) -> (tempfile::TempDir, Disk) {
        let home = tempfile::tempdir().expect("a folder");
        let disk = Disk::open(home.path().join("jobs"), limit, quota).expect("it opens");
        (home, disk)
    }

    #[tokio::test]
    async fn a_result_appears_whole_or_not_at_all() {
        let (_home, disk) = disk(100, 1000);
        let mut writer = disk.writer(ID);
        writer.write(Bytes::from_static(b"half ")).await.expect("room");
        assert!(!disk.result(ID).exists());
        writer.write(Bytes::from_static(b"whole")).await.expect("room");
        assert_eq!(writer.finish().await.expect("room"), 10);
        assert_eq!(fs::read(disk.result(ID)).expect("there"), b"half whole");
        assert_eq!(disk.used(), 10);
        disk.remove(ID).expect("goes");
        assert_eq!((disk.used(), disk.result(ID).exists()), (0, false));
    }

    #[tokio::test]
    async fn limits_name_themselves_and_leave_no_file() {
        let (home, disk) = disk(8, 1000);
        let mut writer = disk.writer(ID);
        writer.write(Bytes::from_static(b"123456789")).await.expect("not looked at yet");
        let error = writer.finish().await.expect_err("too large");
        assert!(error.to_string().contains("larger than 8 bytes"), "{error}");
        assert_eq!(fs::read_dir(home.path().join("jobs").join(ID)).expect("a folder").count(), 0);
        let (_home, disk) = self::disk(1000, 8);
        let mut writer = disk.writer(ID);
        writer.write(Bytes::from_static(b"123456789")).await.expect("not looked at yet");
        assert!(matches!(writer.finish().await, Err(Error::Quota { quota: 8 })));
    }

    #[tokio::test]
    async fn what_the_books_do_not_know_is_swept() {
        let (home, disk) = disk(100, 1000);
        let folder = home.path().join("jobs").join(ID);
        let put = |name: &str| {
            fs::create_dir_all(&folder).expect("a folder");
            fs::write(folder.join(name), "x").expect("a file");
        };
        put("part-1");
        put("upload-0");
        let jobs = |phase| HashMap::from([(ID.to_owned(), phase)]);
        assert_eq!(disk.sweep(&jobs(Phase::Executing), 2, true).expect("sweeps"), 0);
        assert_eq!(disk.sweep(&jobs(Phase::Error), 2, true).expect("sweeps"), 1);
        assert!(folder.join("upload-0").exists());
        put("result");
        assert_eq!(disk.sweep(&jobs(Phase::Completed), 2, true).expect("sweeps"), 0);
        assert_eq!(disk.sweep(&HashMap::new(), 0, false).expect("sweeps"), 0, "a young folder may be somebody's");
        assert_eq!(disk.sweep(&HashMap::new(), 0, true).expect("sweeps"), 2);
        assert!(!folder.exists());
        fs::write(home.path().join("jobs/notes.txt"), "mine").expect("a file");
        disk.sweep(&HashMap::new(), 0, true).expect("sweeps");
        assert!(home.path().join("jobs/notes.txt").exists(), "what is not a job's is left alone");
    }
}
