//! A buffered reader that counts bytes and lines, and refuses to go beyond its limits; gzip with a limit on what it inflates to.

use super::{Error, Limits};
use flate2::read::MultiGzDecoder;
use std::io::{self, BufRead, Read};

const BUFFER: usize = 64 << 10;
/// Inflated bytes before the ratio counts: small files of zeros are no attack.
const GRACE: u64 = 1 << 20;

/// A limit that was passed, on its way through `io::Error`.
#[derive(Debug, thiserror::Error)]
#[error("more than {most} {what}")]
struct Passed {
    what: &'static str,
    most: u64,
}

fn passed(what: &'static str, most: u64) -> io::Error {
    io::Error::other(Passed { what, most })
}

/// The error behind an `io::Error`: a limit, or the reading itself.
pub fn error(error: io::Error, place: &str) -> Error {
    let remedy = "send it in pieces";
    match (error.get_ref().and_then(|inner| inner.downcast_ref::<Passed>()), error.kind()) {
        (Some(&Passed { what, most }), _) => Error::TooLarge { what, most, remedy },
        (None, io::ErrorKind::UnexpectedEof) => Error::syntax(place, "the table breaks off here"),
        (None, io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput) => Error::syntax(place, error.to_string()),
        _ => Error::Io(error),
    }
}

/// Counts what passes.
pub struct Guard<R> {
    inner: R,
    buffer: Vec<u8>,
    at: usize,
    end: usize,
    /// Bytes handed over.
    pub bytes: u64,
    /// Line ends handed over.
    pub lines: u64,
    most: u64,
    /// Where the piece that is being read must end.
    piece_end: u64,
    piece_most: u64,
}

impl<R: Read> Guard<R> {
    pub fn new(inner: R, limits: Limits) -> Guard<R> {
        // markup around a cell, and its escapes, take more than the cell
        let piece_most = 8 * limits.cell_bytes as u64 + (64 << 10);
        Guard { inner, buffer: vec![0; BUFFER], at: 0, end: 0, bytes: 0, lines: 0, most: limits.bytes, piece_end: piece_most, piece_most }
    }

    /// A new piece begins (a tag, a text, a line): it may be as long as a cell can be.
    pub fn begin_piece(&mut self) {
        self.piece_end = self.bytes + self.piece_most;
    }

    /// `line 12`, counted from 1.
    pub fn place(&self) -> String {
        format!("line {}", self.lines + 1)
    }
}

impl<R: Read> BufRead for Guard<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.bytes > self.piece_end {
            return Err(passed("it has a value with bytes", self.piece_most));
        }
        if self.at == self.end {
            self.end = loop {
                match self.inner.read(&mut self.buffer) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    read => break read?,
                }
            };
            self.at = 0;
            if self.bytes + self.end as u64 > self.most {
                return Err(passed("it has bytes", self.most));
            }
        }
        Ok(&self.buffer[self.at..self.end])
    }

    fn consume(&mut self, count: usize) {
        self.lines += self.buffer[self.at..self.at + count].iter().filter(|&&byte| byte == b'\n').count() as u64;
        self.bytes += count as u64;
        self.at += count;
    }
}

impl<R: Read> Read for Guard<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let count = available.len().min(out.len());
        out[..count].copy_from_slice(&available[..count]);
        self.consume(count);
        Ok(count)
    }
}

/// Counts the deflated bytes that were taken.
struct Counted<R> {
    inner: R,
    bytes: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(out)?;
        self.bytes += count as u64;
        Ok(count)
    }
}

/// A gzip stream that may not inflate to more than so many times its size.
pub struct Inflated<R> {
    inner: MultiGzDecoder<Counted<R>>,
    bytes: u64,
    ratio: u64,
}

impl<R: Read> Inflated<R> {
    pub fn new(inner: R, limits: Limits) -> Inflated<R> {
        Inflated { inner: MultiGzDecoder::new(Counted { inner, bytes: 0 }), bytes: 0, ratio: limits.inflation }
    }
}

impl<R: Read> Read for Inflated<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(out).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("corrupt gzip: {error}")))?;
        self.bytes += count as u64;
        if self.bytes > GRACE && self.bytes > self.ratio * self.inner.get_ref().bytes {
            return Err(passed("it is gzip that inflates by a factor", self.ratio));
        }
        Ok(count)
    }
}
