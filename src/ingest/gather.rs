//! Rows of a file in sorted order, gathered window by window of the order.
//!
//! A window is filled by reading the file from front to back, leaving out the blocks that have no row in it, and putting
//! each row in its place; that is done on a thread of its own while the window before is read. How often a block is read
//! depends on how far apart the neighbours of the sky lie in the file: about twice for a survey's bricks, whose rows come
//! field by field; and the file lies in the page cache, where its positions were just read from. A file mapped into
//! memory would save that, and end the process where somebody shortens it; so there is no map.
//!
//! Memory: two windows, and 4 bytes a row for its place, beside the keys.

use super::sort::Key;
use crate::format::open::Flat;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

/// Bytes of a block of the file, which stay in a core's cache between reading and putting in place.
const BLOCK_BYTES: usize = 256 << 10;
/// A read costs as much as copying so many bytes: where wanted rows lie farther apart, each is read by itself.
const READ_COSTS_BYTES: usize = 4 << 10;
/// The place of a row that is not in the order.
const NOWHERE: u32 = u32::MAX;

/// A file's rows and their order.
pub struct Gather {
    flat: Flat,
    keys: Vec<Key>,
    /// For each row of the file its place in the order.
    places: Vec<u32>,
    row_bytes: usize,
    window_rows: usize,
}

impl Gather {
    /// `keys` in order; the rows that they name lie in `flat`.
    pub fn new(flat: Flat, keys: Vec<Key>, row_bytes: usize, window_bytes: usize) -> Gather {
        let rows = keys.iter().map(|k| k.row + 1).max().unwrap_or(0);
        let mut places = vec![NOWHERE; rows as usize];
        for (place, key) in keys.iter().enumerate() {
            places[key.row as usize] = place as u32;
        }
        Gather { flat, keys, places, row_bytes, window_rows: (window_bytes / row_bytes).max(1) }
    }

    fn windows(&self) -> usize {
        self.keys.len().div_ceil(self.window_rows)
    }

    /// Puts the rows of a window into `buffer`.
    fn fill(&self, window: usize, buffer: &mut Vec<u8>, block: &mut Vec<u8>) -> io::Result<()> {
        let first = window * self.window_rows;
        let count = self.window_rows.min(self.keys.len() - first);
        buffer.resize(count * self.row_bytes, 0);
        let slot = |place: u32| (place as usize).wrapping_sub(first);
        let block_rows = (BLOCK_BYTES / self.row_bytes).max(1);
        for (at, places) in self.places.chunks(block_rows).enumerate() {
            let wanted = places.iter().filter(|&&place| slot(place) < count).count();
            if wanted == 0 {
                continue;
            }
            if wanted * READ_COSTS_BYTES < places.len() * self.row_bytes {
                for (i, slot) in places.iter().map(|&place| slot(place)).enumerate().filter(|(_, slot)| *slot < count) {
                    self.read(at * block_rows + i, &mut buffer[slot * self.row_bytes..(slot + 1) * self.row_bytes])?;
                }
                continue;
            }
            block.resize(places.len() * self.row_bytes, 0);
            self.read(at * block_rows, block)?;
            for (row, slot) in block.chunks_exact(self.row_bytes).zip(places.iter().map(|&place| slot(place))) {
                if slot < count {
                    buffer[slot * self.row_bytes..(slot + 1) * self.row_bytes].copy_from_slice(row);
                }
            }
        }
        Ok(())
    }

    /// Rows from the `row`th on.
    fn read(&self, row: usize, bytes: &mut [u8]) -> io::Result<()> {
        self.flat.file.read_exact_at(bytes, self.flat.start + row as u64 * self.row_bytes as u64)
    }
}

/// Gives the rows in order.
pub struct Gathered {
    gather: Arc<Gather>,
    window: Vec<u8>,
    /// Places given so far.
    given: usize,
    full: Receiver<io::Result<Vec<u8>>>,
    empty: Sender<Vec<u8>>,
}

impl Gathered {
    /// Begins to fill windows.
    pub fn start(gather: Arc<Gather>) -> Gathered {
        let (give, full) = channel();
        let (empty, take) = channel();
        // one to fill at once; the other goes round when the first is handed out
        drop(empty.send(Vec::new()));
        let filling = gather.clone();
        std::thread::spawn(move || {
            let mut block = Vec::new();
            for window in 0..filling.windows() {
                // a reader that is gone wants no more
                let Ok(mut buffer) = take.recv() else { return };
                let filled = filling.fill(window, &mut buffer, &mut block).map(|()| buffer);
                let failed = filled.is_err();
                if give.send(filled).is_err() || failed {
                    return;
                }
            }
        });
        Gathered { gather, window: Vec::new(), given: 0, full, empty }
    }

    /// The next row with its key, `None` at the end.
    #[allow(clippy::should_implement_trait)] // the row is lent, which Iterator cannot say
    pub fn next(&mut self) -> io::Result<Option<(Key, &[u8])>> {
        let Some(&key) = self.gather.keys.get(self.given) else { return Ok(None) };
        let at = self.given % self.gather.window_rows;
        if at == 0 {
            // the filler may have ended with the last window
            drop(self.empty.send(std::mem::take(&mut self.window)));
            self.window = self.full.recv().map_err(|_| io::Error::other("the gathering thread panicked"))??;
        }
        self.given += 1;
        let row_bytes = self.gather.row_bytes;
        Ok(Some((key, &self.window[at * row_bytes..(at + 1) * row_bytes])))
    }
}
