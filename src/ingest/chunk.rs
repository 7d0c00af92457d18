//! Reused buffers of encoded rows, handed to the connection without a copy.
//!
//! A chunk's memory is initialised once; when the connection has sent it, dropping the handle gives it back to the
//! encoder. So there is no allocation, no zeroing and no page fault per chunk.

use bytes::Bytes;
use std::sync::mpsc::{Receiver, Sender, channel};

/// A buffer that is filled from its start.
pub struct Chunk {
    bytes: Box<[u8]>,
    filled: usize,
}

impl Chunk {
    /// A chunk of `capacity` bytes outside of a pool.
    pub fn new(capacity: usize) -> Chunk {
        Chunk { bytes: vec![0; capacity].into_boxed_slice(), filled: 0 }
    }

    pub fn len(&self) -> usize {
        self.filled
    }

    pub fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Bytes that may still be put.
    pub fn room(&self) -> usize {
        self.bytes.len() - self.filled
    }

    /// What was put from byte `start` on.
    pub fn since(&self, start: usize) -> &[u8] {
        &self.bytes[start..self.filled]
    }

    pub fn truncate(&mut self, length: usize) {
        self.filled = self.filled.min(length);
    }

    /// The next `count` bytes, to be written whole.
    ///
    /// # Panics
    /// If there is no [`Chunk::room`] for them.
    #[inline]
    pub fn slot(&mut self, count: usize) -> &mut [u8] {
        let start = self.filled;
        self.filled += count;
        &mut self.bytes[start..start + count]
    }

    /// The same for a number known at compile time.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> &mut [u8; N] {
        let slot = self.slot(N);
        slot.first_chunk_mut::<N>().expect("a slot of N bytes is N bytes long")
    }

    #[inline]
    pub fn put(&mut self, bytes: &[u8]) {
        self.slot(bytes.len()).copy_from_slice(bytes);
    }

    /// A field of fixed width: its length word and its bytes.
    #[inline]
    pub fn field(&mut self, value: &[u8]) {
        self.put(&(value.len() as u32).to_be_bytes());
        self.put(value);
    }
}

impl Chunk {
    /// Writes a word over what was put at `at`.
    pub fn patch(&mut self, at: usize, word: i32) {
        self.bytes[at..at + 4].copy_from_slice(&word.to_be_bytes());
    }
}

/// Chunks of one size that come back when they have been sent.
pub struct Pool {
    capacity: usize,
    back: Sender<Box<[u8]>>,
    returned: Receiver<Box<[u8]>>,
}

/// A chunk under way; its bytes go home when it is dropped.
struct Sent {
    chunk: Chunk,
    home: Sender<Box<[u8]>>,
}

impl AsRef<[u8]> for Sent {
    fn as_ref(&self) -> &[u8] {
        self.chunk.since(0)
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        // the encoder may have ended: then the memory is freed
        drop(self.home.send(std::mem::take(&mut self.chunk.bytes)));
    }
}

impl Pool {
    pub fn new(capacity: usize) -> Pool {
        let (back, returned) = channel();
        Pool { capacity, back, returned }
    }

    /// An empty chunk: a returned one if there is one.
    pub fn chunk(&self) -> Chunk {
        match self.returned.try_recv() {
            Ok(bytes) => Chunk { bytes, filled: 0 },
            Err(_) => Chunk::new(self.capacity),
        }
    }

    /// The filled part, to be sent.
    pub fn send(&self, chunk: Chunk) -> Bytes {
        Bytes::from_owner(Sent { chunk, home: self.back.clone() })
    }
}
