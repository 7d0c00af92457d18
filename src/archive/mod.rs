//! The image archive: which images there are and where they look, how a client names one, and how its file is opened.
//!
//! ```text
//! file -> Facts (its headers) -> brickyard.image -> view ivoa.obscore -> TAP, SIA
//! identifier -> Entry (a row) -> FitsFile, under a configured root -> image::cut
//! ```
//!
//! Registering reads headers only. What a client says never becomes a path: it is looked up in the database, and the path that stands
//! there is opened only if it still lies under a configured root, symbolic links followed. A root is a folder, or a bucket of S3 and its
//! like, of whose files only the ranges are fetched that a piece needs.

pub mod companions;
pub mod facts;
mod known;
pub mod manifest;
pub mod options;
pub mod registry;
mod remote;
pub mod shape;

pub use facts::Facts;
pub use known::Name;
pub use manifest::Surveys;
pub use options::Options;
pub use registry::{Entry, Stamp};
pub use remote::Whole;
pub use shape::Shape;

use crate::image::{self, FitsFile, Source, gzip};
use crate::store::{self, Bucket, Credentials};
use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt, TryStreamExt};
use known::Known;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::io::ReaderStream;

/// Why the archive cannot do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Db(#[from] crate::db::Error),
    #[error(transparent)]
    Image(#[from] image::Error),
    #[error("the bucket of images: {0}")]
    Store(#[source] store::Error),
    #[error(
        "no folder of images is configured: set roots in [images] of the configuration file, or BRICKYARD_IMAGES_ROOTS='[\"/data/images\"]'"
    )]
    NoRoots,
    #[error("images.roots: {}: {source}", path.display())]
    Root { path: PathBuf, source: std::io::Error },
    #[error("{} is not in a configured folder of images ({roots}): move it there, or add its folder to images.roots", path.display())]
    NotUnderRoot { path: PathBuf, roots: String },
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{}: the path is not UTF-8, so that no identifier can be made of it: rename the file", path.display())]
    NotUtf8 { path: PathBuf },
    #[error("{path} is registered from {other} already, and here it is in {root}: two roots cannot hold the same path")]
    TwoRoots { path: String, other: String, root: String },
    /// A file that is registered is gone, or its root is not configured any more.
    #[error("the file of this image is not there at the moment")]
    Gone,
    #[error("{at_once} pieces are being cut, and none was finished in {waited_s} s")]
    Busy { at_once: usize, waited_s: u64 },
    #[error("the piece was not ready in {limit_s} s: ask for a smaller one")]
    Slow { limit_s: u64 },
    #[error("cutting broke off")]
    BrokeOff,
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Error {
        Error::Db(error.into())
    }
}

/// The configured places: folders as they really are, and buckets.
#[derive(Debug, Clone)]
pub struct Roots {
    folders: Vec<PathBuf>,
    buckets: Vec<Remote>,
    blocks: Arc<remote::Blocks>,
}

/// A bucket, or what is below a prefix of one.
#[derive(Debug, Clone)]
struct Remote {
    /// `s3://bucket/prefix`
    url: String,
    bucket: Bucket,
    runtime: Handle,
}

/// A file's place: its root, and the path in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    pub root: String,
    pub path: String,
}

/// Where the file of a place is.
enum Home<'a> {
    File(PathBuf),
    Object(&'a Remote),
}

impl Roots {
    /// Follows the links of the configured folders; each must be there. Where there are buckets, this is called within a runtime.
    pub fn new(configured: &[PathBuf], credentials: &Credentials) -> Result<Roots, Error> {
        let mut roots = Roots { folders: Vec::new(), buckets: Vec::new(), blocks: Arc::default() };
        for path in configured {
            match path.to_str().and_then(|text| text.strip_prefix(S3)) {
                Some(rest) => {
                    let rest = rest.trim_end_matches('/');
                    let bucket = Bucket::open_impatient(rest, credentials, PATIENCE)?;
                    roots.buckets.push(Remote { url: format!("{S3}{rest}"), bucket, runtime: Handle::current() });
                }
                None => roots.folders.push(path.canonicalize().map_err(|source| Error::Root { path: path.clone(), source })?),
            }
        }
        if roots.folders.is_empty() && roots.buckets.is_empty() { Err(Error::NoRoots) } else { Ok(roots) }
    }

    /// Where a file lies, links followed; the innermost of nested roots counts.
    pub fn place(&self, path: &Path) -> Result<Place, Error> {
        if let Some(url) = path.to_str().filter(|text| text.starts_with(S3)) {
            let (remote, key) = self.remote(url).ok_or_else(|| self.not_under(path))?;
            return Ok(Place { root: remote.url.clone(), path: key.to_owned() });
        }
        let real = path.canonicalize().map_err(|source| Error::Io { path: path.to_owned(), source })?;
        let root = self.folders.iter().filter(|root| real.starts_with(root)).max_by_key(|root| root.as_os_str().len());
        let root = root.ok_or_else(|| self.not_under(path))?;
        let text = |path: &Path| path.to_str().map(str::to_owned).ok_or_else(|| Error::NotUtf8 { path: path.to_owned() });
        Ok(Place { root: text(root)?, path: text(real.strip_prefix(root).unwrap_or(&real))? })
    }

    fn not_under(&self, path: &Path) -> Error {
        let folders = self.folders.iter().map(|root| root.display().to_string());
        let roots: Vec<String> = folders.chain(self.buckets.iter().map(|remote| remote.url.clone())).collect();
        Error::NotUnderRoot { path: path.to_owned(), roots: roots.join(", ") }
    }

    /// The bucket that holds a URL, and its key there.
    fn remote<'a>(&self, url: &'a str) -> Option<(&Remote, &'a str)> {
        let under = |remote: &Remote| url.strip_prefix(&remote.url).filter(|rest| rest.is_empty() || rest.starts_with('/'));
        let found = self.buckets.iter().filter_map(|remote| Some((remote, under(remote)?.trim_start_matches('/'))));
        found.max_by_key(|(remote, _)| remote.url.len())
    }

    /// Is this a configured place?
    fn knows(&self, root: &str) -> bool {
        self.folders.iter().any(|known| known.as_os_str() == root) || self.buckets.iter().any(|remote| remote.url == root)
    }

    /// Where the file of a place is, if its root is still configured and a file of a folder still under it.
    fn home(&self, place: &Place) -> Option<Home<'_>> {
        if let Some(remote) = self.buckets.iter().find(|remote| remote.url == place.root) {
            return Some(Home::Object(remote));
        }
        let is_folder = self.folders.iter().any(|known| known.as_os_str() == place.root.as_str());
        let file = Path::new(&place.root).join(&place.path);
        let file = if is_folder { file.canonicalize().ok()? } else { return None };
        file.starts_with(&place.root).then_some(Home::File(file))
    }

    /// Opens the file of a place; on a thread that may block.
    pub fn open(&self, place: &Place, cache: &gzip::Cache) -> Result<FitsFile, Error> {
        Ok(FitsFile::new(self.source(place, cache)?)?)
    }

    /// Its bytes; on a thread that may block.
    fn source(&self, place: &Place, cache: &gzip::Cache) -> Result<Source, Error> {
        match self.home(place).ok_or(Error::Gone)? {
            Home::File(file) => Ok(Source::open(&file, cache)?),
            Home::Object(remote) => remote::open(remote, &place.path, &self.blocks, cache),
        }
    }

    /// The files of a bucket that a word means: itself, all `.fits` files below it, or those that fit it as a pattern.
    pub async fn listed(&self, word: &str) -> Result<Vec<String>, Error> {
        let certain = &word[..word.find(['*', '?', '[']).unwrap_or(word.len())];
        let is_pattern = certain.len() < word.len();
        let folder =
            if is_pattern { certain.rsplit_once('/').map_or(certain, |(folder, _)| folder) } else { certain.trim_end_matches('/') };
        let (remote, key) = self.remote(folder).ok_or_else(|| self.not_under(Path::new(word)))?;
        if !is_pattern && !key.is_empty() && remote.bucket.version(key).await.is_ok() {
            return Ok(vec![folder.to_owned()]);
        }
        let pattern = glob::Pattern::new(word).ok().filter(|_| is_pattern);
        let fits =
            |url: &String| pattern.as_ref().map_or_else(|| url.rsplit('/').next().unwrap_or(url).contains(".fits"), |p| p.matches(url));
        let entries = remote.bucket.list(key).await?;
        Ok(entries.into_iter().map(|entry| format!("{}/{}", remote.url, entry.key)).filter(fits).collect())
    }
}

/// How long a request to a bucket is tried again.
const PATIENCE: Duration = Duration::from_secs(10);
/// How the URL of a bucket begins.
const S3: &str = "s3://";

/// Bytes of a whole file that are read at a time.
const CHUNK: usize = 256 << 10;

/// Opens the archive's files for requests, a few at the same time.
pub struct Archive {
    pub options: Options,
    /// None without configured folders: nothing is served then.
    roots: Option<Roots>,
    cache: gzip::Cache,
    known: Known,
    turns: Arc<Semaphore>,
    /// KiB of memory for pieces that clients have not read yet.
    unread: Arc<Semaphore>,
}

impl Archive {
    /// Inflated files go to `scratch_dir`.
    pub fn open(options: Options, credentials: &Credentials, scratch_dir: &Path) -> Result<Archive, Error> {
        let roots = match Roots::new(&options.roots, credentials) {
            Ok(roots) => Some(roots),
            Err(Error::NoRoots) => None,
            Err(error) => return Err(error),
        };
        let cache = gzip::Cache::new(scratch_dir, options.inflated_bytes).with_file_limit(options.inflated_file_bytes);
        let turns = Arc::new(Semaphore::new(options.at_once.max(1)));
        let unread = Arc::new(Semaphore::new(kib(options.unread_bytes) as usize));
        Ok(Archive { options, roots, cache, known: Known::default(), turns, unread })
    }

    fn roots(&self) -> Result<&Roots, Error> {
        self.roots.as_ref().ok_or(Error::Gone)
    }

    /// The file of an image as it is: how many bytes, and they. Of a file that grows meanwhile no more come than were said.
    pub async fn bytes(&self, entry: &Entry) -> Result<(u64, BoxStream<'static, io::Result<Bytes>>), Error> {
        let (roots, place) = (self.roots()?.clone(), entry.place.clone());
        let find = move || match roots.home(&place).ok_or(Error::Gone)? {
            Home::File(file) => Ok::<_, Error>(Ok(std::fs::File::open(file).map_err(|_| Error::Gone)?)),
            Home::Object(remote) => Ok(Err(remote.bucket.clone())),
        };
        match tokio::task::spawn_blocking(find).await.map_err(|_| Error::BrokeOff)?? {
            Ok(file) => {
                let file = tokio::fs::File::from_std(file);
                let length = file.metadata().await.map_err(|_| Error::Gone)?.len();
                Ok((length, ReaderStream::with_capacity(file.take(length), CHUNK).boxed()))
            }
            Err(bucket) => {
                let (length, stream) = bucket.get(&entry.place.path).await?;
                Ok((length, stream.map_err(io::Error::other).boxed()))
            }
        }
    }

    /// The open file of an image; on a thread that may block.
    pub fn file(&self, entry: &Entry) -> Result<FitsFile, Error> {
        let source = match self.roots()?.source(&entry.place, &self.cache) {
            Err(Error::Image(image::Error::Io { source, .. })) if source.kind() == std::io::ErrorKind::NotFound => return Err(Error::Gone),
            other => other?,
        };
        self.known.opened(&entry.place);
        match self.known.headers(&source) {
            Some(headers) => Ok(FitsFile::with(source, headers)),
            None => Ok(FitsFile::new(source)?),
        }
    }

    /// The open file of an image for a thread that must not wait: it was opened a moment ago, its headers are known, and of its pixels
    /// only those are read that are in memory ([`Source::open_at_once`]). What is gzipped is not what its headers are of.
    fn file_now(&self, entry: &Entry) -> Option<FitsFile> {
        let place = self.known.is_open_lately(&entry.place).then_some(&entry.place)?;
        let source = match self.roots.as_ref()?.home(place)? {
            Home::File(file) => Source::open_at_once(&file).ok()?,
            Home::Object(_) => return None,
        };
        let headers = self.known.headers(&source)?;
        self.known.opened(&entry.place);
        Some(FitsFile::with(source, headers))
    }

    /// Does work on a file that takes no longer than a thread of the runtime may be held up, if it can be done at once: a turn is free, the
    /// file is known, and `act` finds what it wants in memory. If not, nothing has happened.
    pub fn try_now<T>(&self, entry: &Entry, act: impl FnOnce(&mut FitsFile) -> Option<T>) -> Option<T> {
        let _turn = self.turns.try_acquire().ok()?;
        act(&mut self.file_now(entry)?)
    }

    /// Keeps what was read of a file's headers for who opens it next.
    pub fn keep(&self, file: &FitsFile) {
        self.known.keep(file);
    }

    /// What `find` finds by a name in the registry, or found a moment ago.
    pub async fn find<E>(&self, name: Name, find: impl AsyncFnOnce(&Name) -> Result<Vec<Entry>, E>) -> Result<Vec<Entry>, E> {
        if let Some(entries) = self.known.entries(&name) {
            return Ok(entries);
        }
        let begun = Instant::now();
        let entries = find(&name).await?;
        self.known.found(name, &entries, begun);
        Ok(entries)
    }

    /// Memory for so many bytes that wait for their reader; `None` if too many wait already.
    pub fn room(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        self.unread.clone().try_acquire_many_owned(kib(bytes)).ok()
    }

    /// Does blocking work on a thread of its own when its turn has come. Work that takes too long is waited for no more, but keeps its
    /// turn until it ends.
    pub async fn work<T: Send + 'static>(
        self: &Arc<Self>,
        act: impl FnOnce(&Archive) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let wait = Duration::from_secs(self.options.wait_s);
        let busy = || Error::Busy { at_once: self.options.at_once, waited_s: self.options.wait_s };
        let turn = tokio::time::timeout(wait, self.turns.clone().acquire_owned()).await.map_err(|_| busy())?.map_err(|_| busy())?;
        let archive = self.clone();
        let work = move || {
            // the work goes on when its request is gone, and so does its turn
            let _turn = turn;
            act(&archive)
        };
        let limit_s = self.options.piece_s;
        let done = tokio::time::timeout(Duration::from_secs(limit_s), tokio::task::spawn_blocking(work)).await;
        done.map_err(|_| Error::Slow { limit_s })?.map_err(|_| Error::BrokeOff)?
    }
}

fn kib(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX >> 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_really_lies_under_a_root_has_a_place() {
        let dir = tempfile::tempdir().unwrap();
        let (root, outside) = (dir.path().join("root"), dir.path().join("outside"));
        for folder in [root.join("brick15"), outside.clone()] {
            std::fs::create_dir_all(folder).unwrap();
        }
        std::fs::write(root.join("brick15/a.fits"), b"x").unwrap();
        std::fs::write(outside.join("b.fits"), b"x").unwrap();
        std::os::unix::fs::symlink(outside.join("b.fits"), root.join("link.fits")).unwrap();
        let roots = Roots::new(std::slice::from_ref(&root), &Credentials::default()).unwrap();
        let place = roots.place(&root.join("brick15/../brick15/a.fits")).unwrap();
        assert_eq!(place.path, "brick15/a.fits");
        assert!(roots.home(&place).is_some());
        assert!(matches!(roots.place(&root.join("link.fits")), Err(Error::NotUnderRoot { .. })));
        assert!(matches!(roots.place(&outside.join("b.fits")), Err(Error::NotUnderRoot { .. })));
        for path in ["link.fits", "../outside/b.fits", "brick15/gone.fits", "/etc/passwd"] {
            assert!(roots.home(&Place { path: path.into(), ..place.clone() }).is_none(), "{path}");
        }
        assert!(roots.home(&Place { root: "/".into(), path: "etc/passwd".into() }).is_none());
        assert!(matches!(Roots::new(&[], &Credentials::default()), Err(Error::NoRoots)));
    }
}
