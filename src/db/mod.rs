//! PostgreSQL: the embedded cluster, connections, queries and copies.
//!
//! [`connect()`] is the one door: it starts the embedded cluster when no URL is given, and gives a
//! [`Connection`] with Q3C ready. [`cluster`] is for the commands that start, stop and show that cluster;
//! [`quote`] is the only way for a name into SQL text.

pub mod copy;
pub mod query;

pub use copy::copy;
pub use query::{query, wire_rows};

use std::path::PathBuf;

mod account;
mod binaries;
pub mod cluster;
pub mod connect;
pub mod error;
pub mod feed;
mod machine;
mod pidfile;
mod place;
pub mod pool;
pub mod quote;
mod secret;
pub mod usage;

pub use connect::{Connection, connect};
pub use error::Error;
pub use quote::{ident, qualified};
pub use secret::random;

/// Which server to talk to.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Holds the embedded cluster (`pg/`), sockets, logs and scratch files.
    pub data_dir: PathBuf,
    /// A server that the user runs; `None` is the embedded one.
    pub database_url: Option<String>,
    /// Where the server programs are, if the user says.
    pub pg_bin: Option<PathBuf>,
    /// Folders searched for server programs before the distributions' own: those of PATH.
    pub path: Vec<PathBuf>,
    /// The account that the embedded server runs as when we are root; `None` is `postgres`.
    pub pg_user: Option<String>,
}
