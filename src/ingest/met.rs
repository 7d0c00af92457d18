//! The designations that this command has loaded, so that the next file's need not be fetched from the server: there, as long as a table
//! has no index, they could only be found by a scan.
//!
//! 8 bytes a row in unnamed scratch files, in the order of the sky, with the place of each cell ([`coverage`](super::coverage)); some 10
//! bytes of memory a cell.

use super::coverage::CELL_BITS;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

const TIE_BYTES: u64 = size_of::<u64>() as u64;

/// The designations of one file's rows, as they are loaded.
pub struct Writing {
    file: BufWriter<File>,
    cells: Vec<(i32, u64)>,
    rows: u64,
}

impl Writing {
    pub fn new(dir: &Path) -> io::Result<Writing> {
        Ok(Writing { file: BufWriter::new(tempfile::tempfile_in(dir)?), cells: Vec::new(), rows: 0 })
    }

    /// Adds a row; rows come in the order of `ipix`, that of the rounded position.
    pub fn push(&mut self, ipix: u64, tie: u64) -> io::Result<()> {
        let cell = (ipix >> CELL_BITS) as i32;
        if self.cells.last().is_none_or(|(last, _)| *last != cell) {
            self.cells.push((cell, self.rows));
        }
        self.rows += 1;
        self.file.write_all(&tie.to_ne_bytes())
    }

    pub fn finish(self) -> io::Result<Written> {
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok(Written { file, cells: self.cells, rows: self.rows })
    }
}

/// The designations of one file's rows.
pub struct Written {
    file: File,
    /// Each cell, ascending, with its first row.
    cells: Vec<(i32, u64)>,
    rows: u64,
}

impl Written {
    /// The rows of a cell.
    fn rows_of(&self, cell: i32) -> Option<Range<u64>> {
        let at = self.cells.binary_search_by_key(&cell, |(cell, _)| *cell).ok()?;
        let end = self.cells.get(at + 1).map_or(self.rows, |(_, first)| *first);
        Some(self.cells[at].1..end)
    }

    /// Appends the designations in some cells.
    fn within(&self, cells: &[i32], ties: &mut Vec<u64>) -> io::Result<()> {
        for rows in cells.iter().filter_map(|cell| self.rows_of(*cell)) {
            let mut bytes = vec![0; ((rows.end - rows.start) * TIE_BYTES) as usize];
            self.file.read_exact_at(&mut bytes, rows.start * TIE_BYTES)?;
            ties.extend(bytes.chunks_exact(TIE_BYTES as usize).map(|tie| u64::from_ne_bytes(tie.try_into().expect("8 bytes"))));
        }
        Ok(())
    }
}

/// What was loaded, by table and path.
#[derive(Default)]
pub struct Met {
    tables: HashMap<String, HashMap<String, Written>>,
}

impl Met {
    /// Keeps what a committed transaction has loaded.
    pub fn keep(&mut self, table: &str, path: &str, written: Written) {
        self.tables.entry(table.to_owned()).or_default().insert(path.to_owned(), written);
    }

    /// Rows of the table went or changed places: only the server knows them now.
    pub fn forget(&mut self, table: &str) {
        self.tables.remove(table);
    }

    /// The files whose designations are here.
    pub fn paths(&self, table: &str) -> Vec<String> {
        self.tables.get(table).map(|files| files.keys().cloned().collect()).unwrap_or_default()
    }

    /// The designations here that lie in some cells.
    pub fn within(&self, table: &str, cells: &[i32]) -> io::Result<Vec<u64>> {
        let mut ties = Vec::new();
        for file in self.tables.get(table).into_iter().flat_map(HashMap::values) {
            file.within(cells, &mut ties)?;
        }
        Ok(ties)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rows_of_a_cell_are_found_among_several_files() {
        let dir = tempfile::tempdir().unwrap();
        let written = |rows: &[(u64, u64)]| {
            let mut writing = Writing::new(dir.path()).unwrap();
            for (cell, tie) in rows {
                writing.push(cell << CELL_BITS | tie, *tie).unwrap();
            }
            writing.finish().unwrap()
        };
        let mut met = Met::default();
        met.keep("t", "a", written(&[(3, 1), (3, 2), (5, 3)]));
        met.keep("t", "b", written(&[(5, 4), (7, 5)]));
        met.keep("u", "a", written(&[(5, 6)]));
        let within = |cells: &[i32]| {
            let mut ties = met.within("t", cells).unwrap();
            ties.sort_unstable();
            ties
        };
        assert_eq!((within(&[3]), within(&[5, 7]), within(&[4, 6])), (vec![1, 2], vec![3, 4, 5], vec![]));
        met.forget("t");
        assert_eq!((met.within("t", &[5]).unwrap(), met.paths("t").len(), met.paths("u").len()), (vec![], 0, 1));
    }
}
