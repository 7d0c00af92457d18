//! Gzipped files inflated once, and files of buckets fetched once, kept for a while: a cache that is bounded in bytes.
//!
//! A file that is kept has no name and goes when the last user lets go of it. Two who ask at once for the same file inflate it
//! once. Which one is thrown out when room is needed: the one not used for the longest time.

use super::Error;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

/// Inflated and fetched files, at most so many bytes of them.
#[derive(Debug)]
pub struct Cache {
    dir: PathBuf,
    limit_bytes: u64,
    file_bytes: u64,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    files: HashMap<Key, Arc<Slot>>,
    clock: u64,
}

/// A file as it was: another size or time is another file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    name: String,
    bytes: u64,
    version: Version,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Version {
    Time(Option<SystemTime>),
    Word(String),
}

impl Key {
    /// Of a file of this machine.
    pub fn of(path: &Path, file: &File) -> io::Result<Key> {
        let metadata = file.metadata()?;
        Ok(Key { name: path.display().to_string(), bytes: metadata.len(), version: Version::Time(metadata.modified().ok()) })
    }

    /// Of something that lies elsewhere, and tells its versions apart by a word.
    pub fn named(name: &str, version: String, bytes: u64) -> Key {
        Key { name: name.to_owned(), bytes, version: Version::Word(version) }
    }
}

#[derive(Debug, Default)]
struct Slot {
    file: Mutex<Option<Arc<File>>>,
    bytes: Mutex<u64>,
    used: Mutex<u64>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // what the cache guards is whole between any two statements
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Cache {
    /// Keeps inflated files in unnamed files in `dir`; no file may be larger than `limit_bytes`, nor all together.
    pub fn new(dir: impl Into<PathBuf>, limit_bytes: u64) -> Cache {
        Cache { dir: dir.into(), limit_bytes, file_bytes: limit_bytes, held: Mutex::default() }
    }

    /// No single file may be larger than this: a gzip of a megabyte inflates to a gigabyte where somebody wants it to.
    pub fn with_file_limit(self, file_bytes: u64) -> Cache {
        Cache { file_bytes: file_bytes.min(self.limit_bytes), ..self }
    }

    /// The inflated content of a gzip file, which `gzipped` reads from its beginning.
    pub fn inflated(&self, key: Key, gzipped: impl Read) -> Result<Arc<File>, Error> {
        let gz = flate2::bufread::MultiGzDecoder::new(io::BufReader::with_capacity(1 << 20, gzipped));
        self.kept(key, "inflating", gz)
    }

    /// The content of a file that lies elsewhere, which `bytes` reads from its beginning.
    pub fn fetched(&self, key: Key, bytes: impl Read) -> Result<Arc<File>, Error> {
        self.kept(key, "fetching", bytes)
    }

    fn kept(&self, key: Key, doing: &str, bytes: impl Read) -> Result<Arc<File>, Error> {
        let slot = {
            let mut held = lock(&self.held);
            held.clock += 1;
            let now = held.clock;
            let slot = held.files.entry(key.clone()).or_default().clone();
            *lock(&slot.used) = now;
            slot
        };
        // who comes second waits here for the first
        let mut file = lock(&slot.file);
        if let Some(file) = file.as_ref() {
            return Ok(file.clone());
        }
        match copy(&key.name, doing, bytes, &self.dir, self.file_bytes) {
            Ok((copied, bytes)) => {
                let copied = Arc::new(copied);
                *file = Some(copied.clone());
                *lock(&slot.bytes) = bytes;
                drop(file);
                self.make_room(&key);
                Ok(copied)
            }
            Err(error) => {
                lock(&self.held).files.remove(&key);
                Err(error)
            }
        }
    }

    fn make_room(&self, keep: &Key) {
        let mut held = lock(&self.held);
        loop {
            let total: u64 = held.files.values().map(|slot| *lock(&slot.bytes)).sum();
            if total <= self.limit_bytes {
                return;
            }
            let oldest =
                held.files.iter().filter(|(key, slot)| *key != keep && *lock(&slot.bytes) > 0).min_by_key(|(_, slot)| *lock(&slot.used));
            let Some(oldest) = oldest.map(|(key, _)| key.clone()) else { return };
            held.files.remove(&oldest);
        }
    }
}

fn copy(name: &str, doing: &str, mut bytes: impl Read, dir: &Path, limit_bytes: u64) -> Result<(File, u64), Error> {
    let io = |source: io::Error| Error::Io { name: format!("{doing} {name} into {}", dir.display()), source };
    std::fs::create_dir_all(dir).map_err(io)?;
    let mut target = tempfile::tempfile_in(dir).map_err(io)?;
    let mut buffer = vec![0; 1 << 18];
    let mut copied = 0;
    loop {
        let n = bytes.read(&mut buffer).map_err(|source| match source.kind() {
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
                Error::Gzip { name: name.to_owned(), source }
            }
            _ => Error::Io { name: name.to_owned(), source },
        })?;
        if n == 0 {
            return Ok((target, copied));
        }
        copied += n as u64;
        if copied > limit_bytes {
            return Err(Error::Inflated { name: name.to_owned(), limit_bytes });
        }
        target.write_all(&buffer[..n]).map_err(io)?;
    }
}
