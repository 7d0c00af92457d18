//! A folder: written beside, synced, then linked into place, so that a name is either whole or not there.

use super::{CHUNK, Entry, Error, Stream};
use bytes::Bytes;
use futures_util::StreamExt;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;
use tokio::sync::mpsc;

/// A folder for bytes.
#[derive(Debug, Clone)]
pub struct Local {
    root: PathBuf,
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { path, source }
}

impl Local {
    /// The folder, made if it is missing.
    pub fn open(root: &Path) -> Result<Local, Error> {
        fs::create_dir_all(root.join(".new")).map_err(io(root))?;
        Ok(Local { root: root.canonicalize().map_err(io(root))? })
    }

    pub fn path(&self, key: &str) -> PathBuf {
        self.root.join(key)
    }

    pub async fn put(&self, key: &str, mut bytes: Stream, most: u64) -> Result<u64, Error> {
        let (sender, receiver) = mpsc::channel(4);
        let (root, owned) = (self.root.clone(), key.to_owned());
        let writer = tokio::task::spawn_blocking(move || write(&root, &owned, receiver, most));
        while let Some(chunk) = bytes.next().await {
            let failed = chunk.is_err();
            if sender.send(chunk).await.is_err() || failed {
                break;
            }
        }
        drop(sender);
        writer.await.map_err(|error| Error::Cut { key: key.into(), why: error.to_string() })?
    }

    pub async fn get(&self, key: &str) -> Result<(u64, Stream), Error> {
        let path = self.path(key);
        let file = self.open_file(key, &path)?;
        let size = file.metadata().map_err(io(&path))?.len();
        let (sender, receiver) = mpsc::channel(4);
        tokio::task::spawn_blocking(move || read(file, &path, &sender));
        let stream = futures_util::stream::unfold(receiver, |mut receiver| async move { Some((receiver.recv().await?, receiver)) });
        Ok((size, stream.boxed()))
    }

    fn open_file(&self, key: &str, path: &Path) -> Result<File, Error> {
        match File::open(path) {
            Ok(file) => Ok(file),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(Error::Missing { key: key.into() }),
            Err(error) => Err(io(path)(error)),
        }
    }

    pub fn size(&self, key: &str) -> Result<u64, Error> {
        let path = self.path(key);
        self.open_file(key, &path)?.metadata().map(|m| m.len()).map_err(io(&path))
    }

    pub fn delete(&self, key: &str) -> Result<(), Error> {
        let path = self.path(key);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io(&path)(error)),
            Ok(()) | Err(_) => {}
        }
        // folders that are empty now go too; one that is not, stays
        let mut above = path.parent();
        while let Some(dir) = above.filter(|dir| *dir != self.root && dir.starts_with(&self.root)) {
            if fs::remove_dir(dir).is_err() {
                break;
            }
            above = dir.parent();
        }
        Ok(())
    }

    pub fn list(&self, prefix: &str) -> Result<Vec<Entry>, Error> {
        let mut found = Vec::new();
        walk(&self.root, &self.root.join(prefix), &mut found)?;
        found.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(found)
    }
}

fn walk(root: &Path, dir: &Path, found: &mut Vec<Entry>) -> Result<(), Error> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(io(dir))?,
    };
    for entry in entries {
        let entry = entry.map_err(io(dir))?;
        let (path, meta) = (entry.path(), entry.metadata().map_err(io(dir))?);
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        if meta.is_dir() {
            walk(root, &path, found)?;
        } else if let Some(key) = path.strip_prefix(root).ok().and_then(Path::to_str) {
            let since = meta.modified().ok().and_then(|m| m.duration_since(UNIX_EPOCH).ok());
            found.push(Entry { key: key.into(), bytes: meta.len(), modified_s: since.map_or(0, |s| s.as_secs() as i64) });
        }
    }
    Ok(())
}

fn write(root: &Path, key: &str, mut chunks: mpsc::Receiver<Result<Bytes, Error>>, most: u64) -> Result<u64, Error> {
    let path = root.join(key);
    let full = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::StorageFull => Error::Full { root: root.to_owned() },
        _ => Error::Io { path: path.clone(), source: error },
    };
    let mut file = tempfile::Builder::new().prefix("put-").tempfile_in(root.join(".new")).map_err(full)?;
    let mut written = 0_u64;
    while let Some(chunk) = chunks.blocking_recv() {
        let chunk = chunk?;
        written += chunk.len() as u64;
        if written > most {
            return Err(Error::TooLong { key: key.into(), most });
        }
        file.write_all(&chunk).map_err(full)?;
    }
    file.as_file().sync_all().map_err(full)?;
    let dir = path.parent().unwrap_or(root);
    fs::create_dir_all(dir).map_err(full)?;
    match file.persist_noclobber(&path) {
        Ok(_) => {}
        Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => return Err(Error::Exists { key: key.into() }),
        Err(error) => return Err(full(error.error)),
    }
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(full)?;
    Ok(written)
}

fn read(mut file: File, path: &Path, sender: &mpsc::Sender<Result<Bytes, Error>>) {
    loop {
        let mut chunk = vec![0; CHUNK];
        let piece = match file.read(&mut chunk) {
            Ok(0) => return,
            Ok(n) => {
                chunk.truncate(n);
                Ok(Bytes::from(chunk))
            }
            Err(error) => Err(io(path)(error)),
        };
        let failed = piece.is_err();
        if sender.blocking_send(piece).is_err() || failed {
            return;
        }
    }
}
