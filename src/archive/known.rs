//! What was looked up lately: rows of the registry for a moment, the headers of files for as long as the files are what they were.
//!
//! Notebooks and pages ask for many pieces of the same image one after another. Its row is not asked for again within [`MOMENT`], so that
//! an image that is forgotten or registered anew is served as before for that long at most; what is not there is looked for every time.
//! Headers are kept with the [`Identity`] of the file's bytes: who writes to a file makes another one of it.
//!
//! Memory: [`ROWS`] rows, [`HEADER_BYTES`] of headers.

use super::{Entry, Place};
use crate::image::{FitsFile, Headers, Identity, Source};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use std::time::{Duration, Instant, SystemTime};

/// How long a row holds.
const MOMENT: Duration = Duration::from_secs(1);
/// Names whose rows are kept.
const ROWS: usize = 4096;
/// Memory for headers.
const HEADER_BYTES: u64 = 64 << 20;
/// Files that are kept, if their headers are small.
const FILES: usize = 4096;
/// A file that was written just now may be written again without a sign of it: file systems count time in steps.
const SETTLED: Duration = Duration::from_secs(2);

/// How a client calls an image.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Name {
    /// By what follows the question mark of its identifier.
    Identifier(String),
    File {
        file: String,
        hdu: Option<i32>,
        collection: Option<String>,
    },
}

#[derive(Debug)]
pub struct Known {
    rows: Cache<Name, (Instant, Vec<Entry>)>,
    files: Cache<String, (Identity, Headers), ByBytes>,
    /// When files were opened last, by root and path.
    opened: Cache<Place, Instant>,
}

#[derive(Debug, Clone)]
struct ByBytes;

impl Weighter<String, (Identity, Headers)> for ByBytes {
    fn weight(&self, name: &String, (_, headers): &(Identity, Headers)) -> u64 {
        name.len() as u64 + headers.bytes()
    }
}

impl Default for Known {
    fn default() -> Known {
        Known { rows: Cache::new(ROWS), files: Cache::with_weighter(FILES, HEADER_BYTES, ByBytes), opened: Cache::new(FILES) }
    }
}

impl Known {
    pub fn entries(&self, name: &Name) -> Option<Vec<Entry>> {
        self.rows.get(name).filter(|(at, _)| at.elapsed() < MOMENT).map(|(_, entries)| entries)
    }

    /// Takes what was found when it was asked for at `asked`.
    pub fn found(&self, name: Name, entries: &[Entry], asked: Instant) {
        if !entries.is_empty() {
            self.rows.insert(name, (asked, entries.to_vec()));
        }
    }

    pub fn opened(&self, place: &Place) {
        self.opened.insert(place.clone(), Instant::now());
    }

    /// Was a file opened a moment ago, so that the system knows the way to it and opening it waits for nothing?
    pub fn is_open_lately(&self, place: &Place) -> bool {
        self.opened.get(place).is_some_and(|at| at.elapsed() < MOMENT)
    }

    pub fn headers(&self, source: &Source) -> Option<Headers> {
        self.files.get(source.name()).filter(|(identity, _)| identity == source.identity()).map(|(_, headers)| headers)
    }

    pub fn keep(&self, file: &FitsFile) {
        let source = file.source();
        let known = self.files.get(source.name()).filter(|(identity, _)| identity == source.identity());
        if known.is_none_or(|(_, headers)| file.headers().is_more_than(&headers)) && is_settled(source.identity()) {
            self.files.insert(source.name().to_owned(), (source.identity().clone(), file.headers().clone()));
        }
    }
}

fn is_settled(identity: &Identity) -> bool {
    match identity {
        Identity::Version(_) => true,
        Identity::File { changed: (seconds, _), .. } => {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            u64::try_from(*seconds).is_ok_and(|seconds| Duration::from_secs(seconds) + SETTLED < now)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Header, gzip};
    use std::path::Path;

    fn write(path: &Path, value: i64) {
        let mut header = Header::default();
        for (key, value) in [("BITPIX", 8), ("NAXIS", 2), ("NAXIS1", 2), ("NAXIS2", 2), ("VALUE", value)] {
            header.set(key, crate::image::header::Value::Integer(value), "");
        }
        header.lead(&[("SIMPLE", crate::image::header::Value::Logical(true), "")]);
        let mut bytes = header.bytes();
        bytes.resize(bytes.len() + 2880, 0);
        std::fs::write(path, bytes).unwrap();
        let long_ago = SystemTime::now() - Duration::from_secs(3600);
        std::fs::File::options().write(true).open(path).unwrap().set_modified(long_ago).unwrap();
    }

    fn value(known: &Known, path: &Path) -> (bool, Option<i64>) {
        let source = Source::open(path, &gzip::Cache::new("", 0)).unwrap();
        let headers = known.headers(&source);
        let was_known = headers.is_some();
        let file = match headers {
            Some(headers) => FitsFile::with(source, headers),
            None => FitsFile::new(source).unwrap(),
        };
        known.keep(&file);
        (was_known, file.primary().header.integer("VALUE"))
    }

    #[test]
    fn a_file_that_was_written_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let (path, known) = (dir.path().join("a.fits"), Known::default());
        write(&path, 1);
        assert_eq!((value(&known, &path), value(&known, &path)), ((false, Some(1)), (false, Some(1))), "it is too new");
        std::thread::sleep(SETTLED + Duration::from_secs(1));
        assert_eq!((value(&known, &path), value(&known, &path)), ((false, Some(1)), (true, Some(1))));
        // the same size and the same time of modification
        write(&path, 2);
        assert_eq!(value(&known, &path), (false, Some(2)));
    }
}
