//! PostgreSQL: the embedded cluster, connections, queries and copies.
//!
//! [`connect`] is the one door: it starts the embedded cluster when no URL is given.

pub mod query;

pub use query::query;

use std::path::PathBuf;

/// Which server to talk to.
#[derive(Debug, Clone)]
pub struct Options {
    /// Holds the embedded cluster (`pg/`), sockets, logs and scratch files.
    pub data_dir: PathBuf,
    /// A server that the user runs; `None` is the embedded one.
    pub database_url: Option<String>,
    /// Where the server programs are, if the user says.
    pub pg_bin: Option<PathBuf>,
}
