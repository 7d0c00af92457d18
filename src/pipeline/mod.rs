//! The stage runner: events start jobs, workers that may vanish at any time run them, PostgreSQL alone decides.
//!
//! [`manifest`] reads what a pipeline is, [`graph`] draws it. [`queue`] is the books: every transition is a function of
//! `sql/pipeline/`, and [`state`] is the model that those functions are tested against. [`master`] answers workers over
//! [`protocol`] as values (only `web` knows HTTP); [`worker`] is the other end: it pulls jobs, stages inputs, runs programs in
//! their own process groups, publishes outputs and reports. [`pilot`] is how a site starts workers, [`autoscale`] when.
//!
//! Invariants. An event is a fact: unique by (run, name, key), never changed; telling it again starts nothing. A job is unique
//! by (event, task). An attempt is fenced by its number and its worker: a report of an attempt that was given up changes
//! nothing. A barrier is a set of members, never a counter, and fires once. Outputs are visible only by the rows of the
//! committed completion; bytes in the store decide nothing. Leases run on the database's clock.
//!
//! People look and change things through [`admin`]; [`sheet`] is all about one job.
//!
//! [`provenance`] tells what led to a file, [`ro_crate`] writes that down for others.
//!
//! Memory of the master does not grow with jobs: it keeps the tasks of the runs that it met, and the reports under way.

pub mod admin;
pub mod autoscale;
pub mod child;
pub mod client;
pub mod formula;
pub mod graph;
pub mod manifest;
pub mod master;
pub mod options;
pub mod pilot;
pub mod protocol;
pub mod provenance;
pub mod queue;
pub mod ro_crate;
pub mod scratch;
pub mod sheet;
pub mod state;
pub mod worker;

pub use options::Options;

use crate::{db, store};

/// What can go wrong in the stage runner.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Db(#[from] db::Error),
    #[error("no session with the database: {0}")]
    Pool(String),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("there is a run {name:?} already; choose another name")]
    RunExists { name: String },
    #[error("there is no run {name:?}")]
    NoRun { name: String },
    #[error("there is no job {job}")]
    NoJob { job: i64 },
    #[error("what the database keeps of a task cannot be read: {0}")]
    Stored(serde_json::Error),
    #[error("the database gave no answer where one was certain")]
    NoAnswer,
    /// The caller asked for what cannot be.
    #[error("{0}")]
    Refused(String),
    /// The token is unknown, revoked, expired, or not of this worker.
    #[error("the token is not valid here")]
    Unauthorized,
    /// The attempt was given up, or is another's.
    #[error("this attempt is not yours (any more): drop it")]
    Fenced,
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Error {
        Error::Db(error.into())
    }
}

/// SHA-256 as hexadecimal digits.
pub fn sha256_hex(bytes: &[u8]) -> String {
    use sha2::Digest;
    hex(&sha2::Sha256::digest(bytes))
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Hexadecimal digits as bytes.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).ok()).collect()
}
