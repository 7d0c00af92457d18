//! Sorts raw rows by sky position within bounded memory.
//!
//! Rows come out in the order of Q3C's ipix, so that the heap is written clustered, and can be read more than once, for
//! each table that the file feeds. There are three ways, by what the rows come from:
//!
//! * a file whose rows fit into one buffer is sorted there;
//! * of a plain table that fits the page cache only the keys are kept and sorted; its rows are then gathered window by
//!   window of the order ([`super::gather`]), without a copy of them on disk;
//! * else it is an external merge sort: a full buffer is sorted by [`Key`] and written to an unnamed scratch file on a
//!   thread of its own while the next one fills, and the runs are merged when they are read.
//!
//! Memory: two buffers of [`RUN_BYTES`] while filling, one buffer or [`MERGE_BYTES`] while reading; or [`KEY_BYTES`] and
//! two windows of [`WINDOW_BYTES`] for gathering, 540 MiB in all at most.

use super::gather::{Gather, Gathered};
use super::hash::Hashing;
use crate::format::open::Flat;
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
/// Bytes of the keys of a table that is gathered: 8.4 million rows, more than any brick has. The places that they give the rows come to a sixth more.
pub const KEY_BYTES: usize = 192 << 20;
/// Bytes of the rows gathered at a time; one window is filled while the one before is read.
pub const WINDOW_BYTES: usize = 144 << 20;
/// Bytes of all read buffers of a merge.
pub const MERGE_BYTES: usize = 128 << 20;
/// Bytes of the largest read buffer of one run, and of a write.
const READ_BYTES: usize = 256 << 10;
/// Key and row number in front of each row of a run file.
const PREFIX: usize = 24;

/// How much is kept where.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub run_bytes: usize,
    pub window_bytes: usize,
    /// The largest table that is gathered.
    pub gather_bytes: u64,
}

impl Limits {
    /// For this machine: a table of a quarter of its memory stays in the page cache, beside the server's buffers and
    /// the pages that it writes.
    pub fn here() -> Limits {
        Limits { run_bytes: RUN_BYTES, window_bytes: WINDOW_BYTES, gather_bytes: crate::db::usage::memory_bytes() / 4 }
    }

    /// Are so many rows to be gathered from their file?
    fn gathers(&self, rows: u64, row_bytes: usize) -> bool {
        let bytes = rows.saturating_mul(row_bytes as u64);
        let in_one_run = bytes.saturating_add(rows.saturating_mul(size_of::<(Key, u32)>() as u64)) <= self.run_bytes as u64;
        !in_one_run && bytes <= self.gather_bytes && rows <= (KEY_BYTES / size_of::<Key>()) as u64
    }
}

/// The order of rows: ipix, then the designation of the position, then the row number in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    pub ipix: u64,
    /// The quantised position, see [`super::designation`]: equal in rows of the same objid.
    pub tie: u64,
    /// 0-based row of the file.
    pub row: u64,
}

/// Takes rows in the order of the file.
pub struct Sorter {
    row_bytes: usize,
    limits: Limits,
    dir: PathBuf,
    rows: Vec<u8>,
    keys: Vec<(Key, u32)>,
    /// Where the rows are gathered from, and what is known of them.
    flat: Option<(Flat, Vec<Key>)>,
    hashing: Option<Hashing>,
    writing: Option<JoinHandle<io::Result<Written>>>,
    /// The buffers of the run before, to be filled again: fresh pages cost a fault each.
    spare: Option<Buffers>,
    runs: Vec<Run>,
}

/// Rows, and their keys with the place of each.
type Buffers = (Vec<u8>, Vec<(Key, u32)>);

/// A run on disk, and the buffers that it was made from.
struct Written {
    run: Run,
    buffers: Buffers,
}

struct Run {
    file: File,
    bytes: u64,
}

/// The sorted rows, to be read any number of times.
pub struct Sorted {
    row_bytes: usize,
    content: Content,
    /// The SHA-256 of the file, where it was made on the way.
    pub hash: Option<String>,
}

enum Content {
    Memory { rows: Arc<Vec<u8>>, keys: Arc<Vec<(Key, u32)>> },
    Runs(Arc<Vec<Run>>),
    Gather(Arc<Gather>),
}

impl Sorter {
    pub fn new(row_bytes: usize, limits: Limits, dir: &Path) -> Sorter {
        let row_bytes = row_bytes.max(1);
        let (rows, keys) = (Vec::new(), Vec::new());
        Sorter {
            row_bytes,
            limits,
            dir: dir.to_owned(),
            rows,
            keys,
            flat: None,
            hashing: None,
            writing: None,
            spare: None,
            runs: Vec::new(),
        }
    }

    /// The same for `rows` rows that lie in `flat` too, one after another and none left out.
    ///
    /// If they are to be gathered and `hash` is wanted, it is made of what passes, and of the rest of the file.
    pub fn of_flat(row_bytes: usize, limits: Limits, dir: &Path, flat: Flat, rows: u64, hash: bool) -> Sorter {
        let mut sorter = Sorter::new(row_bytes, limits, dir);
        if limits.gathers(rows, sorter.row_bytes) {
            if hash
                && flat.original
                && let Ok(file) = flat.file.try_clone()
            {
                sorter.hashing = Some(Hashing::begin(file, flat.start));
            }
            sorter.flat = Some((flat, Vec::with_capacity(rows as usize)));
        }
        sorter
    }

    /// Rows that a run holds.
    fn run_rows(&self) -> usize {
        (self.limits.run_bytes / (self.row_bytes + size_of::<(Key, u32)>())).max(1)
    }

    /// Where the next rows are to be appended, at most the number returned with it; each is then given its [`Key`]
    /// by [`Sorter::key`] or left out. A full buffer goes to disk first.
    pub fn room(&mut self) -> io::Result<(&mut Vec<u8>, usize)> {
        if self.flat.is_some() {
            if let Some(hashing) = &mut self.hashing {
                self.rows = hashing.take(std::mem::take(&mut self.rows));
            }
            self.rows.clear();
            return Ok((&mut self.rows, (READ_BYTES / self.row_bytes).max(1)));
        }
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

    /// The bytes of the row that was appended as the `at`th of this buffer.
    pub fn row(&self, at: usize) -> &[u8] {
        &self.rows[at * self.row_bytes..(at + 1) * self.row_bytes]
    }

    /// Rows appended to this buffer so far.
    pub fn appended(&self) -> usize {
        self.rows.len() / self.row_bytes
    }

    /// Takes the `at`th row of this buffer into the order.
    pub fn key(&mut self, key: Key, at: usize) {
        match &mut self.flat {
            Some((_, keys)) => keys.push(key),
            None => self.keys.push((key, at as u32)),
        }
    }

    /// Ends the input.
    pub fn finish(mut self) -> io::Result<Sorted> {
        let row_bytes = self.row_bytes;
        if let Some((flat, mut keys)) = self.flat {
            keys.sort_unstable();
            let hash = self.hashing.map(|hashing| hashing.finish(self.rows)).transpose()?;
            let gather = Gather::new(flat, keys, row_bytes, self.limits.window_bytes);
            return Ok(Sorted { row_bytes, content: Content::Gather(Arc::new(gather)), hash });
        }
        if self.runs.is_empty() && self.writing.is_none() {
            sort_keys(&mut self.keys);
            return Ok(Sorted { row_bytes, content: Content::Memory { rows: Arc::new(self.rows), keys: Arc::new(self.keys) }, hash: None });
        }
        if !self.keys.is_empty() {
            self.start_run()?;
        }
        self.wait()?;
        Ok(Sorted { row_bytes, content: Content::Runs(Arc::new(self.runs)), hash: None })
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
            Ok(Written { run, buffers: (rows, keys) })
        }));
        Ok(())
    }

    fn wait(&mut self) -> io::Result<()> {
        if let Some(thread) = self.writing.take() {
            let Written { run, buffers: (mut rows, mut keys) } =
                thread.join().map_err(|_| io::Error::other("the sorting thread panicked"))??;
            self.runs.push(run);
            rows.clear();
            keys.clear();
            self.spare = Some((rows, keys));
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
            Content::Gather(gather) => State::Gather(Gathered::start(gather.clone())),
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
    Gather(Gathered),
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
            State::Gather(gathered) => gathered.next(),
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
    use std::io::Write;

    const KEYED: usize = 8 + size_of::<(Key, u32)>();

    fn limits(run_rows: usize, gather_bytes: u64) -> Limits {
        Limits { run_bytes: run_rows * KEYED, window_bytes: run_rows * 8, gather_bytes }
    }

    /// Rows that hold their own number, with these ipix; some are left out.
    fn check(mut sorter: Sorter, ipix: &[u64], buffer_rows: usize) -> Result<(), TestCaseError> {
        let key = |row: usize| Key { ipix: ipix[row], tie: ipix[row] % 3, row: row as u64 };
        let kept = |row: &usize| row % 7 != 3;
        let mut row = 0;
        while row < ipix.len() {
            let (rows, room) = sorter.room().unwrap();
            prop_assert!(room > 0);
            let more = room.min(buffer_rows).min(ipix.len() - row);
            (row..row + more).for_each(|row| rows.extend_from_slice(&(row as u64).to_le_bytes()));
            let first = sorter.appended() - more;
            for i in (0..more).filter(|i| kept(&(row + i))) {
                prop_assert_eq!(sorter.row(first + i), (row as u64 + i as u64).to_le_bytes());
                sorter.key(key(row + i), first + i);
            }
            row += more;
        }
        let mut wanted: Vec<Key> = (0..ipix.len()).filter(kept).map(key).collect();
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
        Ok(())
    }

    proptest! {
        #[test]
        fn rows_come_out_in_the_order_of_their_keys_whatever_the_run_size(
            ipix in proptest::collection::vec(0u64..50, 0..400), run_rows in 1usize..100, buffer_rows in 1usize..50
        ) {
            let dir = tempfile::tempdir().unwrap();
            check(Sorter::new(8, limits(run_rows, 0), dir.path()), &ipix, buffer_rows)?;
        }

        #[test]
        fn rows_gathered_from_their_file_come_out_the_same(
            ipix in proptest::collection::vec(0u64..50, 0..400), run_rows in 1usize..100, buffer_rows in 1usize..50, start in 0u64..99
        ) {
            let dir = tempfile::tempdir().unwrap();
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&vec![7; start as usize]).unwrap();
            (0..ipix.len()).for_each(|row| file.write_all(&(row as u64).to_le_bytes()).unwrap());
            let sorter = Sorter::of_flat(8, limits(run_rows, u64::MAX), dir.path(), Flat { file, start, original: true }, ipix.len() as u64, true);
            check(sorter, &ipix, buffer_rows)?;
        }
    }

    #[test]
    fn a_file_that_has_become_shorter_is_an_error() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(800).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let shorter = file.try_clone().unwrap();
        let mut sorter = Sorter::of_flat(8, limits(10, u64::MAX), dir.path(), Flat { file, start: 0, original: true }, 100, false);
        (0..100).for_each(|row| sorter.key(Key { ipix: row, tie: row, row }, 0));
        let sorted = sorter.finish().unwrap();
        shorter.set_len(500).unwrap();
        let mut reader = sorted.reader().unwrap();
        let failed = (0..100).find_map(|_| reader.next().err()).expect("an error");
        assert_eq!(failed.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn only_tables_that_fit_the_page_cache_and_not_a_buffer_are_gathered() {
        let limits = Limits { run_bytes: 48 << 20, window_bytes: 96 << 20, gather_bytes: 6 << 30 };
        assert!(!limits.gathers(100_000, 270), "one buffer");
        assert!(limits.gathers(7_600_000, 270), "a brick");
        assert!(!limits.gathers(20_000_000, 270), "too many keys");
        assert!(!limits.gathers(1_600_000, 4500), "too many bytes");
        assert!(!limits.gathers(u64::MAX, usize::MAX));
    }
}
