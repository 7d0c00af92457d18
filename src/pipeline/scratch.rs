//! What lies on a worker's disk: the cache of inputs by SHA-256, an attempt's scratch folder, its outputs.
//!
//! ```text
//! <dir>/cache/ab/ab12...            bytes of inputs, read-only, least used go first when the cap is reached
//! <dir>/jobs/<job>.<attempt>/in/<role>/<name>    hard links to them (copies on another file system)
//!                           /work/               the program's working folder: outputs, events.ndjson
//!                           /event.json, log
//! ```

use super::manifest::Output;
use super::protocol::{Artifact, Input, Told};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// Inputs by their hash.
#[derive(Debug, Clone)]
pub struct Cache {
    dir: PathBuf,
    most_bytes: u64,
    /// What the files came to when they were last looked through, and what was kept since.
    held: Arc<Mutex<u64>>,
}

impl Cache {
    pub fn open(dir: &Path, most_bytes: u64) -> io::Result<Cache> {
        let new = dir.join("new");
        fs::create_dir_all(&new)?;
        // halves of an earlier life
        for entry in fs::read_dir(&new)?.flatten() {
            let _ = fs::remove_file(entry.path());
        }
        let cache = Cache { dir: dir.to_owned(), most_bytes, held: Arc::default() };
        *cache.held() = cache.files()?.iter().map(|(_, bytes, _)| bytes).sum();
        Ok(cache)
    }

    fn held(&self) -> MutexGuard<'_, u64> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, sha256: &str) -> PathBuf {
        self.dir.join(&sha256[..2]).join(sha256)
    }

    /// The file of these bytes, if it is here; it counts as used now.
    pub fn get(&self, sha256: &str, bytes: u64) -> Option<PathBuf> {
        let path = self.path(sha256);
        let file = File::open(&path).ok()?;
        if file.metadata().ok()?.len() != bytes {
            return None;
        }
        let _ = file.set_modified(SystemTime::now()); // only the order of removal depends on it
        Some(path)
    }

    /// A place to write bytes that come.
    pub fn begin(&self) -> io::Result<Incoming> {
        let file = tempfile::Builder::new().prefix("get-").tempfile_in(self.dir.join("new"))?;
        Ok(Incoming { file, hash: Sha256::new(), bytes: 0 })
    }

    /// Keeps what came, if it is what was wanted.
    pub fn keep(&self, incoming: Incoming, input: &Input) -> io::Result<PathBuf> {
        let found = super::hex(&incoming.hash.finalize());
        if found != input.sha256 || incoming.bytes != input.bytes {
            let (got, bytes) = (&found[..12], incoming.bytes);
            return Err(io::Error::other(format!(
                "{} came damaged: {bytes} bytes with SHA-256 {got}..., wanted {} with {}...",
                input.key,
                input.bytes,
                &input.sha256[..12]
            )));
        }
        let path = self.path(&input.sha256);
        fs::create_dir_all(path.parent().unwrap_or(&self.dir))?;
        let mut permissions = incoming.file.as_file().metadata()?.permissions();
        permissions.set_readonly(true);
        incoming.file.as_file().set_permissions(permissions)?;
        incoming.file.persist(&path).map_err(|error| error.error)?;
        let mut held = self.held();
        *held += incoming.bytes;
        if *held > self.most_bytes {
            *held = self.trim(&path)?;
        }
        Ok(path)
    }

    /// When each file was used, its bytes, where it is.
    fn files(&self) -> io::Result<Vec<(SystemTime, u64, PathBuf)>> {
        let mut files = Vec::new();
        for dir in fs::read_dir(&self.dir)?.flatten().filter(|dir| dir.file_name() != "new") {
            for file in fs::read_dir(dir.path())?.flatten() {
                let meta = file.metadata()?;
                files.push((meta.modified()?, meta.len(), file.path()));
            }
        }
        Ok(files)
    }

    /// Removes what was used longest ago until an eighth of the cap is free, so that files are looked through seldom; gives the bytes
    /// that are left. Links in scratch folders keep theirs.
    fn trim(&self, but: &Path) -> io::Result<u64> {
        let mut files = self.files()?;
        let mut total: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
        files.sort();
        for (_, bytes, path) in files {
            if total <= self.most_bytes - self.most_bytes / 8 {
                break;
            }
            if path != but && fs::remove_file(&path).is_ok() {
                total -= bytes;
            }
        }
        Ok(total)
    }
}

/// Bytes on their way in.
pub struct Incoming {
    file: tempfile::NamedTempFile,
    hash: Sha256,
    bytes: u64,
}

impl Incoming {
    pub fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        self.hash.update(piece);
        self.bytes += piece.len() as u64;
        self.file.write_all(piece)
    }
}

/// An attempt's folder, removed when dropped.
#[derive(Debug)]
pub struct Scratch {
    dir: PathBuf,
}

impl Scratch {
    pub fn make(jobs: &Path, job: i64, attempt: i32) -> io::Result<Scratch> {
        let dir = jobs.join(format!("{job}.{attempt}"));
        if dir.exists() {
            fs::remove_dir_all(&dir)?;
        }
        fs::create_dir_all(dir.join("work"))?;
        fs::create_dir_all(dir.join("tmp"))?;
        Ok(Scratch { dir })
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn work(&self) -> PathBuf {
        self.dir.join("work")
    }

    pub fn log(&self) -> PathBuf {
        self.dir.join("log")
    }

    /// Puts a cached file where the program finds it; gives the path.
    pub fn place(&self, input: &Input, cached: &Path) -> io::Result<PathBuf> {
        let dir = self.dir.join("in").join(&input.role);
        fs::create_dir_all(&dir)?;
        let mut path = dir.join(&input.name);
        // the same name from several jobs
        for n in 2.. {
            if !path.exists() {
                break;
            }
            let dir = dir.join(n.to_string());
            fs::create_dir_all(&dir)?;
            path = dir.join(&input.name);
        }
        if fs::hard_link(cached, &path).is_err() {
            fs::copy(cached, &path)?;
        }
        Ok(path)
    }

    /// The events that the program told, one JSON object a line.
    pub fn events(&self, most: usize) -> Result<Vec<Told>, String> {
        let path = self.work().join("events.ndjson");
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(format!("events.ndjson: {error}")),
        };
        let mut events = Vec::new();
        for (i, line) in BufReader::new(file).lines().enumerate() {
            let line = line.map_err(|error| format!("events.ndjson: {error}"))?;
            if line.trim().is_empty() {
                continue;
            }
            let event: Told = serde_json::from_str(&line).map_err(|error| format!("events.ndjson, line {}: {error}", i + 1))?;
            event.check().map_err(|error| format!("events.ndjson, line {}: {error}", i + 1))?;
            events.push(event);
            if events.len() > most {
                return Err(format!("events.ndjson: more than {most} events"));
            }
        }
        Ok(events)
    }

    /// The declared outputs, checked and hashed, with their files; or what is wrong with them.
    pub fn outputs(&self, declared: &[Output]) -> Result<Vec<(Artifact, PathBuf)>, String> {
        let mut names: Vec<(String, u64)> = Vec::new();
        let entries = fs::read_dir(self.work()).map_err(|error| format!("the working folder: {error}"))?;
        for entry in entries.flatten() {
            // links could lead out of the folder: only plain files count
            let meta = fs::symlink_metadata(entry.path()).map_err(|error| error.to_string())?;
            if let (true, Some(name)) = (meta.is_file(), entry.file_name().to_str()) {
                names.push((name.to_owned(), meta.len()));
            }
        }
        names.sort();
        let (mut found, mut taken) = (Vec::new(), BTreeMap::new());
        for output in declared {
            let pattern = glob::Pattern::new(&output.glob).map_err(|error| format!("{}: {error}", output.glob))?;
            let matching: Vec<&(String, u64)> = names.iter().filter(|(name, _)| pattern.matches(name)).collect();
            if matching.len() < output.min as usize {
                return Err(format!(
                    "output {}: {} files match {:?}, at least {} wanted",
                    output.role,
                    matching.len(),
                    output.glob,
                    output.min
                ));
            }
            for (name, bytes) in matching {
                if output.nonempty && *bytes == 0 {
                    return Err(format!("output {}: {name} is empty", output.role));
                }
                if taken.insert(name.clone(), ()).is_some() {
                    continue;
                }
                let path = self.work().join(name);
                let (sha256, bytes) = sha256_of(&path).map_err(|error| format!("{name}: {error}"))?;
                found.push((Artifact { role: output.role.clone(), name: name.clone(), sha256, bytes }, path));
            }
        }
        Ok(found)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // what remains (a full disk, a program that made its files read-only) is removed with the worker's next start
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// SHA-256 and size of a file.
pub fn sha256_of(path: &Path) -> io::Result<(String, u64)> {
    let mut file = File::open(path)?;
    let (mut hash, mut bytes, mut chunk) = (Sha256::new(), 0, vec![0; crate::store::CHUNK]);
    loop {
        let n = file.read(&mut chunk)?;
        if n == 0 {
            return Ok((super::hex(&hash.finalize()), bytes));
        }
        hash.update(&chunk[..n]);
        bytes += n as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(bytes: &[u8]) -> Input {
        Input {
            role: "raw".into(),
            name: "a.fits".into(),
            key: "k".into(),
            sha256: super::super::sha256_hex(bytes),
            bytes: bytes.len() as u64,
        }
    }

    #[test]
    fn the_cache_keeps_only_what_was_wanted_and_only_so_much() {
        let dir = tempfile::tempdir().expect("a folder");
        let cache = Cache::open(dir.path(), 10).expect("a cache");
        let put = |bytes: &[u8], wanted: &Input| {
            let mut incoming = cache.begin().expect("a place");
            incoming.write(bytes).expect("a write");
            cache.keep(incoming, wanted)
        };
        assert!(put(b"hallo", &input(b"hello")).is_err());
        let (a, b) = (input(b"hello!"), input(b"world!"));
        put(b"hello!", &a).expect("kept");
        assert!(cache.get(&a.sha256, 6).is_some());
        put(b"world!", &b).expect("kept");
        assert!(cache.get(&b.sha256, 6).is_some() && cache.get(&a.sha256, 6).is_none());
    }

    #[test]
    fn outputs_are_plain_files_as_many_as_declared() {
        let dir = tempfile::tempdir().expect("a folder");
        let scratch = Scratch::make(dir.path(), 1, 1).expect("a scratch folder");
        fs::write(scratch.work().join("a.phot"), "1 2 3\n").expect("a file");
        fs::write(scratch.work().join("b.phot"), "").expect("a file");
        std::os::unix::fs::symlink("/etc/passwd", scratch.work().join("c.phot")).expect("a link");
        let output = |min, nonempty| Output { role: "phot".into(), glob: "*.phot".into(), min, nonempty };
        let found = scratch.outputs(&[output(1, false)]).expect("outputs");
        assert_eq!(found.iter().map(|(a, _)| a.name.as_str()).collect::<Vec<_>>(), ["a.phot", "b.phot"]);
        assert!(scratch.outputs(&[output(3, false)]).is_err());
        assert!(scratch.outputs(&[output(1, true)]).is_err());
        let path = scratch.dir().to_owned();
        drop(scratch);
        assert!(!path.exists());
    }
}
