//! Where bytes lie: a local folder, or a bucket of S3 and its like.
//!
//! The store never decides anything: keys are unique per attempt, written once, and named only by rows in PostgreSQL. So it
//! needs no locks, and a conditional write is only a belt. A key is `a/b/c` of plain names ([`check_key`]).
//!
//! Memory: one chunk of [`CHUNK`] bytes per transfer on a local folder; S3 transfers are the client's.

mod local;
mod s3;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use local::Local;
pub use s3::{Bucket, Credentials, Version};

/// Bytes read or written at once.
pub const CHUNK: usize = 256 << 10;

/// What can go wrong with bytes.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{what:?} is no place for bytes: {why}. It is a folder, or s3://bucket/prefix")]
    Url { what: String, why: String },
    #[error("{key:?} is no key: names of letters, digits, _ - . + @ = between slashes, none beginning with a dot")]
    Key { key: String },
    #[error("there is nothing under {key}")]
    Missing { key: String },
    /// Written once, never again.
    #[error("there is something under {key} already")]
    Exists { key: String },
    #[error("{key} has changed while it was read")]
    Changed { key: String },
    #[error("{key}: more than {most} bytes came")]
    TooLong { key: String, most: u64 },
    #[error("{key}: the sender stopped: {why}")]
    Cut { key: String, why: String },
    #[error("the disk of the store {root} is full")]
    Full { root: PathBuf },
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{key}: {why}")]
    Remote { key: String, why: String },
}

/// A stream of bytes in or out.
pub type Stream = BoxStream<'static, Result<Bytes, Error>>;

/// What stands under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub key: String,
    pub bytes: u64,
    /// Seconds since 1970.
    pub modified_s: i64,
}

/// What a signed URL lets its bearer do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Get,
    Put,
}

/// A place for bytes.
#[derive(Debug, Clone)]
pub enum Store {
    Local(Local),
    S3(Bucket),
}

impl Store {
    /// A folder (made if missing, `file://` or a path), or `s3://bucket/prefix` with `credentials`.
    pub fn open(place: &str, credentials: &Credentials) -> Result<Store, Error> {
        match place.strip_prefix("s3://") {
            Some(rest) => Ok(Store::S3(Bucket::open(rest, credentials)?)),
            None => Ok(Store::Local(Local::open(Path::new(place.strip_prefix("file://").unwrap_or(place)))?)),
        }
    }

    /// Writes once: an error if the key is taken, nothing visible unless all bytes came.
    pub async fn put(&self, key: &str, bytes: Stream, most: u64) -> Result<u64, Error> {
        check_key(key)?;
        match self {
            Store::Local(local) => local.put(key, bytes, most).await,
            Store::S3(bucket) => bucket.put(key, bytes, most).await,
        }
    }

    /// The size, and the bytes as they are taken.
    pub async fn get(&self, key: &str) -> Result<(u64, Stream), Error> {
        check_key(key)?;
        match self {
            Store::Local(local) => local.get(key).await,
            Store::S3(bucket) => bucket.get(key).await,
        }
    }

    /// The size of what stands under a key.
    pub async fn size(&self, key: &str) -> Result<u64, Error> {
        check_key(key)?;
        match self {
            Store::Local(local) => local.size(key),
            Store::S3(bucket) => bucket.size(key).await,
        }
    }

    /// Removes what stands under a key, if anything does.
    pub async fn delete(&self, key: &str) -> Result<(), Error> {
        check_key(key)?;
        match self {
            Store::Local(local) => local.delete(key),
            Store::S3(bucket) => bucket.delete(key).await,
        }
    }

    /// Everything whose key begins with `prefix/`, or all.
    pub async fn list(&self, prefix: &str) -> Result<Vec<Entry>, Error> {
        if !prefix.is_empty() {
            check_key(prefix)?;
        }
        match self {
            Store::Local(local) => local.list(prefix),
            Store::S3(bucket) => bucket.list(prefix).await,
        }
    }

    /// A URL that lets its bearer read or write this key for a while, without credentials; `None` where the place has no such
    /// thing (a local folder).
    pub async fn sign(&self, access: Access, key: &str, lasts: Duration) -> Result<Option<String>, Error> {
        check_key(key)?;
        match self {
            Store::Local(_) => Ok(None),
            Store::S3(bucket) => bucket.sign(access, key, lasts).await.map(Some),
        }
    }

    /// The file of a key, where the store is a folder of this machine.
    pub fn path(&self, key: &str) -> Option<PathBuf> {
        match self {
            Store::Local(local) => check_key(key).ok().map(|()| local.path(key)),
            Store::S3(_) => None,
        }
    }
}

/// Refuses what could leave the store, hide in it, or mean something to a URL.
pub fn check_key(key: &str) -> Result<(), Error> {
    let plain = |name: &str| {
        !name.is_empty() && !name.starts_with('.') && name.len() <= 200 && {
            name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '+' | '@' | '='))
        }
    };
    match key.len() <= 900 && key.split('/').all(plain) {
        true => Ok(()),
        false => Err(Error::Key { key: key.chars().take(200).collect() }),
    }
}

#[cfg(test)]
mod tests {
    use super::check_key;

    #[test]
    fn keys_stay_within_the_store() {
        for good in ["a", "run-1/217/2/b01.phot.fits", "external/00ff/x+y@z=1"] {
            assert!(check_key(good).is_ok(), "{good}");
        }
        for bad in ["", "/a", "a/", "a//b", "../a", "a/..", "a/.tmp", "a b", "a\\b", "a?b", "a%2e", "ü"] {
            assert!(check_key(bad).is_err(), "{bad}");
        }
    }
}
