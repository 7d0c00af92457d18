//! Files of buckets as the image floor reads them: ranges, through a cache of blocks that all of them share.
//!
//! What is read together is fetched together: blocks that are missing, neighbours in one request, some requests at the same time. A
//! request holds for the version that was there when the file was opened, so that no piece is made of two files.
//!
//! Memory: [`CACHED`] bytes of blocks for all files, and [`AT_ONCE`] bytes for each piece that is being cut.

use super::{Home, Place, Remote, Roots, registry::Stamp};
use crate::image::{FitsFile, Ranges, Source, gzip};
use crate::store::{self, Bucket, Version};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::runtime::Handle;

/// Bytes of a block: a row of a small piece lies in one or two, and so do those of the pieces beside it.
const BLOCK: u64 = 16 << 10;
/// Bytes of blocks that are kept.
const CACHED: u64 = 64 << 20;
/// Bytes that are fetched for one reader before it gets them.
const AT_ONCE: u64 = 16 << 20;
/// Bytes of one request at most.
const REQUEST: u64 = 4 << 20;
/// Requests of one reader that are under way.
const REQUESTS: usize = 16;

/// Blocks of files, those that were used last.
#[derive(Debug, Default)]
pub struct Blocks(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    /// By file and number; when it was used.
    blocks: HashMap<(Arc<str>, u64), (Bytes, u64)>,
    /// The same, by time.
    order: BTreeMap<u64, (Arc<str>, u64)>,
    bytes: u64,
    clock: u64,
}

impl Blocks {
    fn get(&self, file: &Arc<str>, number: u64) -> Option<Bytes> {
        let held = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.clock += 1;
        let key = (file.clone(), number);
        let (bytes, used) = held.blocks.get_mut(&key)?;
        held.order.remove(used);
        *used = held.clock;
        held.order.insert(held.clock, key);
        Some(bytes.clone())
    }

    fn put(&self, file: &Arc<str>, number: u64, bytes: Bytes) {
        let held = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.clock += 1;
        let key = (file.clone(), number);
        held.bytes += bytes.len() as u64;
        if let Some((old, used)) = held.blocks.insert(key.clone(), (bytes, held.clock)) {
            held.bytes -= old.len() as u64;
            held.order.remove(&used);
        }
        held.order.insert(held.clock, key);
        while held.bytes > CACHED
            && let Some((_, oldest)) = held.order.pop_first()
        {
            let gone = held.blocks.remove(&oldest).map_or(0, |(bytes, _)| bytes.len() as u64);
            held.bytes -= gone;
        }
    }
}

/// A file of a bucket, as it was when it was opened.
#[derive(Debug)]
struct Object {
    bucket: Bucket,
    key: String,
    version: Version,
    /// Names file and version among the blocks.
    name: Arc<str>,
    blocks: Arc<Blocks>,
    runtime: Handle,
}

/// The bytes of a file of a bucket, fetched as they are read; on a thread that may block.
pub fn open(remote: &Remote, key: &str, blocks: &Arc<Blocks>, cache: &gzip::Cache) -> Result<Source, super::Error> {
    let object = Object::of(remote, key, blocks)?;
    Ok(Source::remote(object.url(remote), object.word(), Arc::new(object), cache)?)
}

/// Files for work that reads most of each: what lies in a bucket is fetched into the cache, once, as it was when it was first asked for.
pub struct Whole<'a> {
    pub roots: &'a Roots,
    pub cache: &'a gzip::Cache,
    objects: Mutex<HashMap<Place, Arc<Object>>>,
}

impl<'a> Whole<'a> {
    pub fn new(roots: &'a Roots, cache: &'a gzip::Cache) -> Whole<'a> {
        Whole { roots, cache, objects: Mutex::default() }
    }

    /// What tells a changed file from an unchanged one; on a thread that may block.
    pub fn stamp(&self, place: &Place) -> Result<Stamp, super::Error> {
        match self.roots.home(place).ok_or(super::Error::Gone)? {
            Home::File(file) => Stamp::of(&file),
            Home::Object(remote) => Ok(Stamp::of_version(&self.object(remote, place)?.version)),
        }
    }

    /// Opens a file; on a thread that may block.
    pub fn open(&self, place: &Place) -> Result<FitsFile, super::Error> {
        let source = match self.roots.home(place).ok_or(super::Error::Gone)? {
            Home::File(file) => Source::open(&file, self.cache)?,
            Home::Object(remote) => {
                let object = self.object(remote, place)?;
                Source::fetched(object.url(remote), object.word(), object, self.cache)?
            }
        };
        Ok(FitsFile::new(source)?)
    }

    fn object(&self, remote: &Remote, place: &Place) -> Result<Arc<Object>, super::Error> {
        let objects = || self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(object) = objects().get(place) {
            return Ok(object.clone());
        }
        let object = Arc::new(Object::of(remote, &place.path, &self.roots.blocks)?);
        Ok(objects().entry(place.clone()).or_insert(object).clone())
    }
}

impl Ranges for Object {
    fn length(&self) -> u64 {
        self.version.bytes
    }

    fn read(&self, pieces: &mut [(u64, &mut [u8])]) -> io::Result<()> {
        let ends = pieces.iter().map(|(offset, buffer)| offset.checked_add(buffer.len() as u64));
        if ends.into_iter().any(|end| end.is_none_or(|end| end > self.length())) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let parts = pieces.iter_mut().flat_map(|(offset, buffer)| {
            let part = |(k, part)| (*offset + k as u64 * AT_ONCE, part);
            buffer.chunks_mut(AT_ONCE as usize).enumerate().map(part).collect::<Vec<(u64, &mut [u8])>>()
        });
        let (mut group, mut wanted) = (Vec::new(), BTreeSet::new());
        for (offset, part) in parts {
            let blocks = offset / BLOCK..(offset + part.len() as u64).div_ceil(BLOCK);
            if !group.is_empty() && (wanted.len() as u64 + blocks.end - blocks.start) * BLOCK > AT_ONCE {
                self.fill(&mut group, &wanted)?;
                (group, wanted) = (Vec::new(), BTreeSet::new());
            }
            wanted.extend(blocks);
            group.push((offset, part));
        }
        self.fill(&mut group, &wanted)
    }
}

impl Object {
    fn of(remote: &Remote, key: &str, blocks: &Arc<Blocks>) -> Result<Object, super::Error> {
        let Remote { url, bucket, runtime } = remote;
        let version = runtime.block_on(bucket.version(key))?;
        let name = Arc::from(format!("{url}/{key} {} {}", version.bytes, word(&version)));
        Ok(Object { bucket: bucket.clone(), key: key.to_owned(), version, name, blocks: blocks.clone(), runtime: runtime.clone() })
    }

    fn url(&self, remote: &Remote) -> String {
        format!("{}/{}", remote.url, self.key)
    }

    fn word(&self) -> String {
        word(&self.version)
    }

    fn fill(&self, pieces: &mut [(u64, &mut [u8])], wanted: &BTreeSet<u64>) -> io::Result<()> {
        let mut found: HashMap<u64, Bytes> = HashMap::new();
        let mut missing = Vec::new();
        for &number in wanted {
            match self.blocks.get(&self.name, number) {
                Some(bytes) => drop(found.insert(number, bytes)),
                None => missing.push(number),
            }
        }
        for (number, bytes) in self.fetch(&missing)? {
            self.blocks.put(&self.name, number, bytes.clone());
            found.insert(number, bytes);
        }
        for (offset, buffer) in pieces {
            let (mut at, mut rest) = (*offset, &mut buffer[..]);
            while !rest.is_empty() {
                let block = found.get(&(at / BLOCK)).ok_or(io::ErrorKind::UnexpectedEof)?;
                let from = (at % BLOCK) as usize;
                let count = rest.len().min(block.len().saturating_sub(from));
                if count == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                let (now, later) = rest.split_at_mut(count);
                now.copy_from_slice(&block[from..from + count]);
                (at, rest) = (at + count as u64, later);
            }
        }
        Ok(())
    }

    /// Blocks that are not there, by their rising numbers.
    fn fetch(&self, missing: &[u64]) -> io::Result<Vec<(u64, Bytes)>> {
        if missing.is_empty() {
            return Ok(Vec::new());
        }
        let fetch = |range: Range<u64>| async move {
            let bytes = self.bucket.range(&self.key, &self.version, range.clone()).await?;
            Ok::<_, store::Error>((range.start / BLOCK, bytes))
        };
        let all = stream::iter(requests(missing, self.length()).into_iter().map(fetch)).buffer_unordered(REQUESTS).try_collect();
        let fetched: Vec<(u64, Bytes)> = self.runtime.block_on(all).map_err(io::Error::other)?;
        // copied, because a block that is kept would keep all of its request otherwise
        let blocks = |(first, bytes): (u64, Bytes)| {
            let copies: Vec<Bytes> = bytes.chunks(BLOCK as usize).map(Bytes::copy_from_slice).collect();
            (first..).zip(copies)
        };
        Ok(fetched.into_iter().flat_map(blocks).collect())
    }
}

/// What tells versions of a file apart.
fn word(version: &Version) -> String {
    format!("{} {}", version.modified_s, version.etag.as_deref().unwrap_or_default())
}

/// Ranges of bytes that hold these blocks, neighbours together.
fn requests(numbers: &[u64], length: u64) -> Vec<Range<u64>> {
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for number in numbers {
        let (start, end) = (number * BLOCK, ((number + 1) * BLOCK).min(length));
        match ranges.last_mut() {
            Some(last) if last.end == start && end - last.start <= REQUEST => last.end = end,
            _ => ranges.push(start..end),
        }
    }
    ranges
}

impl From<store::Error> for super::Error {
    fn from(error: store::Error) -> super::Error {
        match error {
            store::Error::Missing { .. } => super::Error::Gone,
            error => super::Error::Store(error),
        }
    }
}

/// All bytes of a file in order, as they are taken; on a thread that may block.
pub fn bytes(bucket: &Bucket, key: &str, runtime: &Handle, mut take: impl FnMut(&[u8])) -> Result<(), super::Error> {
    runtime.block_on(async {
        let (_, mut stream) = bucket.get(key).await?;
        while let Some(chunk) = stream.next().await {
            take(&chunk?);
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_come_in_one_request() {
        let length = 10 * BLOCK + 5;
        assert_eq!(requests(&[0, 1, 3, 9, 10], length), [0..2 * BLOCK, 3 * BLOCK..4 * BLOCK, 9 * BLOCK..length]);
        let many: Vec<u64> = (0..4 * REQUEST / BLOCK).collect();
        let ranges = requests(&many, 4 * REQUEST);
        assert!(ranges.len() == 4 && ranges.iter().all(|range| range.end - range.start <= REQUEST));
    }

    #[test]
    fn blocks_are_bounded_and_the_last_used_stay() {
        let (blocks, file) = (Blocks::default(), Arc::from("a"));
        let bytes = Bytes::from(vec![0; BLOCK as usize]);
        for number in 0..2 * CACHED / BLOCK {
            blocks.put(&file, number, bytes.clone());
            assert!(blocks.get(&file, 0).is_some(), "{number}");
        }
        let held = blocks.0.lock().unwrap();
        assert!(held.bytes <= CACHED && held.blocks.len() as u64 == CACHED / BLOCK && held.order.len() == held.blocks.len());
        drop(held);
        assert!(blocks.get(&file, 1).is_none());
    }
}
