//! The door for answers: rows in, the bytes of a document of any [`Kind`] out, as they come.
//!
//! ```text
//! WireRows -> limit -> Encoder of the kind -> Bytes
//! ```
//!
//! The first item waits for the first rows (or their end), so that a query which fails at once can still be answered as an error:
//! then that item is `Err` and nothing else comes. Later a failing source ends the document validly with QUERY_STATUS=ERROR where
//! the format can say so, else it breaks the stream off with an `Err` after the last whole row.
//!
//! | kind | how it tells that it was cut off or failed |
//! | --- | --- |
//! | VOTable | INFO after the table |
//! | FITS | cards QSTATUS and QSTATEXT of the table |
//! | JSON | member `query_status` after `data` |
//! | Parquet | key QUERY_STATUS, and the INFO in `IVOA.VOTable-Parquet.content`, both in the footer |
//! | HTML, text | a line below the table |
//! | CSV, TSV, Arrow, array of objects | not; a failure breaks the stream off |
//!
//! Memory: a chunk of rows and what is made of it, some 300 KiB; Parquet and FITS say in their modules what they need beyond.

use super::head::{Ending, Head};
use super::kind::Kind;
use super::{Error, delimited, page, records, votable};
use crate::schema::rows::WireChunk;
use crate::schema::{Column, WireRows};
use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

/// What writes one kind of document.
pub(super) trait Encoder: Send {
    /// Appends what stands before the rows.
    fn begin(&mut self, out: &mut Vec<u8>) -> Result<(), Error>;
    /// Appends rows. On an error what was appended ends with a whole row.
    fn rows(&mut self, chunk: &WireChunk, out: &mut Vec<u8>) -> Result<(), Error>;
    /// Appends what stands after the rows, or a part of it: `false` asks to be called again.
    fn end(&mut self, ending: &Ending, out: &mut Vec<u8>) -> Result<bool, Error>;
    /// Can the document say that it failed?
    fn tells_failure(&self) -> bool {
        true
    }
}

/// How far an answer has come; shared with whoever wants to know, also after the answer is gone.
#[derive(Debug, Default)]
pub struct Progress {
    rows: AtomicU64,
    bytes: AtomicU64,
    ending: OnceLock<Ending>,
}

impl Progress {
    /// Rows written so far.
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// Bytes handed over so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// How the rows ended; `None` while they run, and for ever where the answer was dropped before its end.
    pub fn ending(&self) -> Option<&Ending> {
        self.ending.get()
    }
}

/// A document being written: a stream of its bytes.
pub struct Answer {
    stream: Pin<Box<dyn Stream<Item = Result<Bytes, Error>> + Send>>,
    progress: Arc<Progress>,
}

impl Answer {
    pub fn progress(&self) -> Arc<Progress> {
        self.progress.clone()
    }
}

impl Stream for Answer {
    type Item = Result<Bytes, Error>;
    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.stream.poll_next_unpin(context)
    }
}

/// Writes the rows as `kind`.
///
/// `limit` is how many rows may pass; the source should have one more if there is one, and then the answer ends as
/// [`Ending::Overflow`]. What the source has beyond that is not asked for.
pub fn answer(source: impl Into<WireRows>, head: Head, kind: Kind, limit: Option<u64>) -> Answer {
    start(source.into(), head, kind, limit, false)
}

/// An answer that breaks off with the source's error in every format, for whoever can throw it away.
pub(super) fn strict(source: impl Into<WireRows>, head: Head, kind: Kind) -> Answer {
    start(source.into(), head, kind, None, true)
}

fn start(source: WireRows, head: Head, kind: Kind, limit: Option<u64>, is_strict: bool) -> Answer {
    let columns: Arc<[Column]> = described(source.columns, &head.columns).into();
    let progress = Arc::new(Progress::default());
    let run = Run {
        chunks: source.chunks,
        encoder: encoder(Arc::new(head), columns, kind),
        left: limit.unwrap_or(u64::MAX),
        is_strict,
        progress: progress.clone(),
        state: State::Fresh,
    };
    // gzip asks once more after the end
    let stream = stream::unfold(run, |mut run| async move { Some((run.next().await?, run)) }).fuse().boxed();
    Answer { stream, progress }
}

/// The columns with the metadata that the caller knows of them; the types are what comes.
fn described(columns: Vec<Column>, known: &[Column]) -> Vec<Column> {
    if known.len() != columns.len() {
        return columns;
    }
    columns
        .into_iter()
        .zip(known)
        .map(|(column, known)| Column { datatype: column.datatype, array: column.array, ..known.clone() })
        .collect()
}

fn encoder(head: Arc<Head>, columns: Arc<[Column]>, kind: Kind) -> Box<dyn Encoder> {
    match kind {
        Kind::Tabledata | Kind::Binary | Kind::Binary2 => Box::new(votable::Votable::new(head, columns, kind)),
        Kind::Csv => Box::new(delimited::Delimited::csv(columns, true)),
        Kind::CsvBare => Box::new(delimited::Delimited::csv(columns, false)),
        Kind::Tsv => Box::new(delimited::Delimited::tsv(columns)),
        Kind::Json => Box::new(records::Table::new(head, columns)),
        Kind::Records => Box::new(records::Records::new(columns)),
        Kind::Html => Box::new(page::Html::new(head, columns)),
        Kind::Table => Box::new(page::Text::new(head, columns)),
        Kind::Fits => Box::new(super::fits_answer::Fits::new(head, columns)),
        Kind::Parquet => Box::new(super::parquet::Parquet::new(head, columns)),
        Kind::Arrow => Box::new(super::ipc::Ipc::new(head, columns)),
    }
}

/// Where an answer is.
enum State {
    /// Nothing was handed over yet.
    Fresh,
    Rows,
    /// The rows are over; the document is not.
    End(Ending, Option<Error>),
    Over,
}

struct Run {
    chunks: Pin<Box<dyn Stream<Item = Result<WireChunk, crate::schema::rows::RowsError>> + Send>>,
    encoder: Box<dyn Encoder>,
    /// Rows that may still pass.
    left: u64,
    /// Fail rather than end well.
    is_strict: bool,
    progress: Arc<Progress>,
    state: State,
}

impl Run {
    /// The next bytes; `None` at the end of the document.
    async fn next(&mut self) -> Option<Result<Bytes, Error>> {
        loop {
            let mut out = Vec::new();
            let done = match std::mem::replace(&mut self.state, State::Over) {
                State::Fresh => self.first(&mut out).await,
                State::Rows => self.more(&mut out).await,
                State::End(ending, error) => self.end(ending, error, &mut out),
                State::Over => return None,
            };
            match done {
                Ok(()) if out.is_empty() => continue,
                Ok(()) => {
                    self.progress.bytes.fetch_add(out.len() as u64, Ordering::Relaxed);
                    return Some(Ok(out.into()));
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }

    async fn first(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        let chunk = self.chunks.next().await.transpose().map_err(Error::Rows)?;
        self.encoder.begin(out)?;
        self.take(chunk, out);
        Ok(())
    }

    async fn more(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        match self.chunks.next().await.transpose() {
            Ok(chunk) => self.take(chunk, out),
            Err(error) => self.state = failed(Error::Rows(error)),
        }
        Ok(())
    }

    /// Encodes what may pass of a chunk and decides what comes next.
    fn take(&mut self, chunk: Option<WireChunk>, out: &mut Vec<u8>) {
        let Some(mut chunk) = chunk else {
            self.state = State::End(Ending::Complete, None);
            return;
        };
        let is_cut = chunk.rows as u64 > self.left;
        if is_cut {
            chunk.rows = self.left as usize;
        }
        self.left -= chunk.rows as u64;
        self.progress.rows.fetch_add(chunk.rows as u64, Ordering::Relaxed);
        self.state = match self.encoder.rows(&chunk, out) {
            Err(error) => failed(error),
            Ok(()) if is_cut => State::End(Ending::Overflow, None),
            Ok(()) => State::Rows,
        };
    }

    fn end(&mut self, ending: Ending, error: Option<Error>, out: &mut Vec<u8>) -> Result<(), Error> {
        let _ = self.progress.ending.set(ending.clone()); // the first call says it, the others say the same
        if let (Some(error), false) = (error, self.encoder.tells_failure() && !self.is_strict) {
            return Err(error);
        }
        if !self.encoder.end(&ending, out)? {
            self.state = State::End(ending, None);
        }
        Ok(())
    }
}

fn failed(error: Error) -> State {
    State::End(Ending::Failed(error.to_string()), Some(error))
}

/// The body of an error in the manner of a kind, and its `Content-Type`: text where text was asked for, JSON for JSON, a page for a
/// browser, VOTable for all else.
pub fn error_document(kind: Kind, message: &str, infos: &[super::Info]) -> (&'static str, Vec<u8>) {
    match kind {
        Kind::Csv | Kind::CsvBare | Kind::Tsv | Kind::Table => (Kind::Table.mime(), page::error_text(message, infos)),
        Kind::Json | Kind::Records => (Kind::Json.mime(), records::error(message, infos)),
        Kind::Html => (Kind::Html.mime(), page::error_page(message, infos)),
        Kind::Tabledata | Kind::Binary | Kind::Binary2 | Kind::Fits | Kind::Parquet | Kind::Arrow => {
            ("application/x-votable+xml", votable::error_document(message, infos))
        }
    }
}
