//! Sorts raw rows by sky position within bounded memory.
//!
//! An external merge sort: rows gather in a buffer, a full buffer is sorted by [`Key`] and written to an unnamed
//! scratch file on a thread of its own while the next one fills, and the runs are merged when they are read. The rows
//! come out in the order of Q3C's ipix, so that the heap is written clustered. A file whose rows fit into one buffer
//! touches no disk. The sorted rows can be read more than once, for each table that the file feeds.
//!
//! Memory: two buffers of [`RUN_BYTES`] while filling, one buffer or [`MERGE_BYTES`] while reading.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

/// Bytes of a run: rows and keys. Two of these stay in or near the last-level cache while they are sorted and gathered,
/// and even 100 GB make no more than 2,000 runs, which one merge takes.
pub const RUN_BYTES: usize = 48 << 20;
/// Bytes of all read buffers of a merge.
pub const MERGE_BYTES: usize = 128 << 20;
/// Bytes of the largest read buffer of one run, and of a write.
const READ_BYTES: usize = 256 << 10;
/// Key and row number in front of each row of a run file.
const PREFIX: usize = 24;

/// The order of rows: ipix, then the designation of the position, then the row number in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    pub ipix: u64,
    /// The quantised position, see [`super::designation`]: equal in rows of the same objid.
    pub tie: u64,
    /// 0-based row of the file.
    pub row: u64,
}

/// The buffers of a run: rows and their keys.
type Buffers = (Vec<u8>, Vec<(Key, u32)>);

/// Takes rows in the order of the file.
pub struct Sorter {
    row_bytes: usize,
    run_bytes: usize,
    dir: PathBuf,
    rows: Vec<u8>,
    keys: Vec<(Key, u32)>,
    writing: Option<JoinHandle<io::Result<Written>>>,
    /// The buffers of the run before, to be filled again: fresh pages cost a fault each.
    spare: Option<Buffers>,
    runs: Vec<Run>,
}

/// A run on disk, and the buffers that it was made from.
struct Written {
    run: Run,
    rows: Vec<u8>,
    keys: Vec<(Key, u32)>,
}

struct Run {
    file: File,
    bytes: u64,
}

/// The sorted rows, to be read any number of times.
pub struct Sorted {
    row_bytes: usize,
    content: Content,
}

enum Content {
    Memory { rows: Arc<Vec<u8>>, keys: Arc<Vec<(Key, u32)>> },
    Runs(Arc<Vec<Run>>),
}

impl Sorter {
    pub fn new(row_bytes: usize, run_bytes: usize, dir: &Path) -> Sorter {
        let row_bytes = row_bytes.max(1);
        let (rows, keys) = (Vec::new(), Vec::new());
        Sorter { row_bytes, run_bytes, dir: dir.to_owned(), rows, keys, writing: None, spare: None, runs: Vec::new() }
    }

    /// Rows that a run holds.
    fn run_rows(&self) -> usize {
        (self.run_bytes / (self.row_bytes + size_of::<(Key, u32)>())).max(1)
    }

    /// Where the next rows are to be appended, at most the number returned with it; each is then given its [`Key`]
    /// by [`Sorter::key`] or left out. A full buffer goes to disk first.
    pub fn room(&mut self) -> io::Result<(&mut Vec<u8>, usize)> {
        let most = self.run_rows();
        if self.rows.len() >= most * self.row_bytes {
            self.start_run()?;
        }
        if self.rows.capacity() == 0 {
            self.rows.reserve_exact(most * self.row_bytes);
            self.keys.reserve_exact(most);
        }
        let left = most - self.rows.len() / self.row_bytes;
        Ok((&mut self.rows, left))
    }

    /// The bytes of the row that was appended as the `at`th of this run.
    pub fn row(&self, at: usize) -> &[u8] {
        &self.rows[at * self.row_bytes..(at + 1) * self.row_bytes]
    }

    /// Rows appended to this run so far.
    pub fn appended(&self) -> usize {
        self.rows.len() / self.row_bytes
    }

    /// Takes the `at`th row of this run into the order.
    pub fn key(&mut self, key: Key, at: usize) {
        self.keys.push((key, at as u32));
    }

    /// Ends the input.
    pub fn finish(mut self) -> io::Result<Sorted> {
        let row_bytes = self.row_bytes;
        if self.runs.is_empty() && self.writing.is_none() {
            sort_keys(&mut self.keys);
            return Ok(Sorted { row_bytes, content: Content::Memory { rows: Arc::new(self.rows), keys: Arc::new(self.keys) } });
        }
        if !self.keys.is_empty() {
            self.start_run()?;
        }
        self.wait()?;
        Ok(Sorted { row_bytes, content: Content::Runs(Arc::new(self.runs)) })
    }

    /// Hands the buffer to a thread that sorts and writes it; at most one is under way.
    fn start_run(&mut self) -> io::Result<()> {
        self.wait()?;
        let (next_rows, next_keys) = self.spare.take().unwrap_or_default();
        let rows = std::mem::replace(&mut self.rows, next_rows);
        let mut keys = std::mem::replace(&mut self.keys, next_keys);
        let (dir, row_bytes) = (self.dir.clone(), self.row_bytes);
        self.writing = Some(std::thread::spawn(move || {
            sort_keys(&mut keys);
            let run = write_run(&dir, &rows, &keys, row_bytes)?;
            Ok(Written { run, rows, keys })
        }));
        Ok(())
    }

    fn wait(&mut self) -> io::Result<()> {
        if let Some(thread) = self.writing.take() {
            let mut written = thread.join().map_err(|_| io::Error::other("the sorting thread panicked"))??;
            self.runs.push(written.run);
            written.rows.clear();
            written.keys.clear();
            self.spare = Some((written.rows, written.keys));
        }
        Ok(())
    }
}

fn sort_keys(keys: &mut [(Key, u32)]) {
    keys.sort_unstable();
}

fn write_run(dir: &Path, rows: &[u8], keys: &[(Key, u32)], row_bytes: usize) -> io::Result<Run> {
    use io::Write;
    std::fs::create_dir_all(dir)?;
    let mut file = tempfile::tempfile_in(dir)?;
    let mut chunk = Vec::with_capacity(READ_BYTES + PREFIX + row_bytes);
    let mut bytes = 0;
    for &(key, at) in keys {
        chunk.extend_from_slice(&key.ipix.to_le_bytes());
        chunk.extend_from_slice(&key.tie.to_le_bytes());
        chunk.extend_from_slice(&key.row.to_le_bytes());
        chunk.extend_from_slice(&rows[at as usize * row_bytes..(at as usize + 1) * row_bytes]);
        if chunk.len() >= READ_BYTES {
            file.write_all(&chunk)?;
            bytes += chunk.len() as u64;
            chunk.clear();
        }
    }
    file.write_all(&chunk)?;
    Ok(Run { file, bytes: bytes + chunk.len() as u64 })
}

impl Sorted {
    /// Reads the rows in order.
    pub fn reader(&self) -> io::Result<SortedReader> {
        let row_bytes = self.row_bytes;
        let state = match &self.content {
            Content::Memory { rows, keys } => State::Memory { rows: rows.clone(), keys: keys.clone(), next: 0 },
            Content::Runs(runs) => State::merge(runs.clone(), row_bytes)?,
        };
        Ok(SortedReader { row_bytes, state })
    }
}

/// Gives the rows in order, one at a time.
pub struct SortedReader {
    row_bytes: usize,
    state: State,
}

enum State {
    Memory { rows: Arc<Vec<u8>>, keys: Arc<Vec<(Key, u32)>>, next: usize },
    Merge { runs: Arc<Vec<Run>>, cursors: Vec<Cursor>, heap: BinaryHeap<Reverse<(Key, usize)>>, started: bool },
}

/// A place in a run, with the bytes that follow it.
struct Cursor {
    buffer: Vec<u8>,
    at: usize,
    next_byte: u64,
}

impl Cursor {
    /// Makes the next whole record lie at `at`; false at the end of the run.
    fn fill(&mut self, run: &Run, record: usize) -> io::Result<bool> {
        if self.at + record <= self.buffer.len() {
            return Ok(true);
        }
        let left = (run.bytes - self.next_byte).min(self.buffer.capacity() as u64) as usize;
        // buffers hold whole records, so nothing is left over
        self.buffer.resize(left, 0);
        run.file.read_exact_at(&mut self.buffer, self.next_byte)?;
        self.next_byte += left as u64;
        self.at = 0;
        Ok(left > 0)
    }

    fn key(&self) -> Key {
        let word = |i: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&self.buffer[self.at + 8 * i..self.at + 8 * i + 8]);
            u64::from_le_bytes(bytes)
        };
        Key { ipix: word(0), tie: word(1), row: word(2) }
    }
}

impl State {
    fn merge(runs: Arc<Vec<Run>>, row_bytes: usize) -> io::Result<State> {
        let record = PREFIX + row_bytes;
        let share = (MERGE_BYTES / runs.len().max(1)).min(READ_BYTES);
        let records = (share / record).max(1);
        let mut cursors = Vec::with_capacity(runs.len());
        let mut heap = BinaryHeap::with_capacity(runs.len());
        for (i, run) in runs.iter().enumerate() {
            let mut cursor = Cursor { buffer: Vec::with_capacity(records * record), at: 0, next_byte: 0 };
            if cursor.fill(run, record)? {
                heap.push(Reverse((cursor.key(), i)));
            }
            cursors.push(cursor);
        }
        Ok(State::Merge { runs, cursors, heap, started: false })
    }
}

impl SortedReader {
    /// The next row with its key, `None` at the end.
    #[allow(clippy::should_implement_trait)] // the row is lent, which Iterator cannot say
    pub fn next(&mut self) -> io::Result<Option<(Key, &[u8])>> {
        let row_bytes = self.row_bytes;
        match &mut self.state {
            State::Memory { rows, keys, next } => {
                let Some(&(key, at)) = keys.get(*next) else { return Ok(None) };
                *next += 1;
                Ok(Some((key, &rows[at as usize * row_bytes..(at as usize + 1) * row_bytes])))
            }
            State::Merge { runs, cursors, heap, started } => {
                let record = PREFIX + row_bytes;
                if *started && let Some(mut top) = heap.peek_mut() {
                    let i = top.0.1;
                    cursors[i].at += record;
                    if cursors[i].fill(&runs[i], record)? {
                        top.0.0 = cursors[i].key();
                    } else {
                        std::collections::binary_heap::PeekMut::pop(top);
                    }
                }
                *started = true;
                let Some(Reverse((key, i))) = heap.peek() else { return Ok(None) };
                let cursor = &cursors[*i];
                Ok(Some((*key, &cursor.buffer[cursor.at + PREFIX..cursor.at + record])))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rows_come_out_in_the_order_of_their_keys_whatever_the_run_size(
            ipix in proptest::collection::vec(0u64..50, 0..400), run_rows in 1usize..100
        ) {
            let dir = tempfile::tempdir().unwrap();
            let mut sorter = Sorter::new(8, run_rows * (8 + size_of::<(Key, u32)>()), dir.path());
            for (row, &ipix) in ipix.iter().enumerate() {
                let (rows, room) = sorter.room().unwrap();
                prop_assert!(room > 0);
                rows.extend_from_slice(&(row as u64).to_le_bytes());
                let at = sorter.appended() - 1;
                sorter.key(Key { ipix, tie: ipix % 3, row: row as u64 }, at);
            }
            let mut wanted: Vec<Key> = ipix.iter().enumerate().map(|(row, &ipix)| Key { ipix, tie: ipix % 3, row: row as u64 }).collect();
            wanted.sort();
            let sorted = sorter.finish().unwrap();
            for _ in 0..2 {
                let mut reader = sorted.reader().unwrap();
                let mut found = Vec::new();
                while let Some((key, row)) = reader.next().unwrap() {
                    prop_assert_eq!(u64::from_le_bytes(row.try_into().unwrap()), key.row);
                    found.push(key);
                }
                prop_assert_eq!(&found, &wanted);
            }
        }
    }
}
