//! The next file is read and sorted while the one before it is copied: the server is not waited for by the disk, nor the disk by the server.
//!
//! Nothing is decided ahead. What was read is taken when the file's turn has come, if the file and the loaders are still the same; its faults
//! are told then. A reading that nobody wants any more stops at its next piece.

use super::job::{self, Prepared, Stamp};
use super::manifest::Manifest;
use super::{Error, Event, Options, Progress, files::Task, ledger};
use crate::db::Connection;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::task::JoinHandle;

/// A file that is being read before its turn.
pub struct Ahead {
    path: PathBuf,
    stamp: Stamp,
    loaders: Vec<String>,
    reading: Option<JoinHandle<Result<Prepared, Error>>>,
    is_unwanted: Arc<AtomicBool>,
}

impl Ahead {
    /// Begins to read a file, unless it was loaded before or cannot be looked at.
    pub async fn begin(connection: &Connection, task: &Task, options: &Options) -> Option<Ahead> {
        let stamp = job::stamp(&task.path).ok()?;
        let path = task.path.display().to_string();
        for (manifest, _) in &task.loaders {
            let lines = ledger::lines(connection, &manifest.table.full_name()).await.ok()?;
            if lines.iter().any(|line| line.path == path) {
                return None;
            }
        }
        let is_unwanted = Arc::new(AtomicBool::new(false));
        let reading = tokio::task::spawn_blocking({
            let (task, options, is_unwanted) = (task.clone(), options.clone(), is_unwanted.clone());
            let manifests: Vec<Manifest> = task.loaders.iter().map(|(manifest, _)| manifest.clone()).collect();
            // the hash is made of what passes: it tells whether the file is another's copy
            move || job::prepare(&task, &manifests, &options, true, &Progress::silent(), &is_unwanted)
        });
        let loaders = task.loaders.iter().map(|(manifest, _)| manifest.name.clone()).collect();
        Some(Ahead { path: task.path.clone(), stamp, loaders, reading: Some(reading), is_unwanted })
    }

    /// What was read, if it is of this file as it is now.
    pub async fn of(mut self, task: &Task, stamp: Stamp, progress: &Progress) -> Option<Read> {
        if self.path != task.path || self.stamp != stamp {
            return None;
        }
        let result = self.reading.take()?.await.ok()?;
        if let Ok(prepared) = &result {
            progress.tell(Event::Reading { file: task.path.display().to_string(), rows: Some(prepared.rows_read) });
            progress.tell(Event::Read { rows: prepared.rows_read, fraction: 1.0 });
        }
        Some(Read { loaders: std::mem::take(&mut self.loaders), result })
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.is_unwanted.store(true, Ordering::Relaxed);
    }
}

/// What came of reading ahead.
pub struct Read {
    loaders: Vec<String>,
    result: Result<Prepared, Error>,
}

impl Read {
    /// The SHA-256 of the file, where it was made on the way.
    pub fn hash(&self) -> Option<String> {
        self.result.as_ref().ok()?.hash()
    }

    /// The file as read, if it was for these loaders.
    pub fn for_loaders(self, loaders: &[&str]) -> Option<Result<Prepared, Error>> {
        (self.loaders == loaders).then_some(self.result)
    }
}
