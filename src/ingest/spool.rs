//! Rows set aside for a side table (rejects, duplicates): a few in memory, many in an unnamed scratch file.

use std::io::{self, BufWriter, Read, Seek, Write};
use std::path::Path;

/// Bytes kept in memory before the spool moves to disk.
const MEMORY_BYTES: usize = 4 << 20;
/// Bytes written at a time.
const BUFFER_BYTES: usize = 64 << 10;

/// Encoded COPY rows, written once and read once.
pub struct Spool {
    file: BufWriter<tempfile::SpooledTempFile>,
    pub rows: u64,
}

impl Spool {
    pub fn new(dir: &Path) -> Spool {
        Spool { file: BufWriter::with_capacity(BUFFER_BYTES, tempfile::spooled_tempfile_in(MEMORY_BYTES, dir)), rows: 0 }
    }

    pub fn push(&mut self, row: &[u8]) -> io::Result<()> {
        self.file.write_all(row)?;
        self.rows += 1;
        Ok(())
    }

    /// Goes to the start, to be read.
    pub fn rewind(&mut self) -> io::Result<()> {
        self.file.rewind()
    }

    /// The next piece, empty at the end.
    pub fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut piece = Vec::new();
        self.file.get_mut().take(1 << 19).read_to_end(&mut piece)?;
        Ok(piece)
    }
}
