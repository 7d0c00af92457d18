//! Benchmarks: figures of merit measured side by side in one run, ratios rather than times.
//!
//! Each bench alternates ours and the other, quotes the median of several runs with its spread, and says whether the
//! goal holds. Nothing here is asserted by a test: machines differ, ratios are read by people.

mod http;
pub mod image;
pub mod load;
mod machine;
mod measure;
pub mod pipeline;
mod rows;
mod service;
pub mod tap;
mod watch;

pub use measure::{Figure, Goal};

/// The benches there are: name and what it measures.
pub const BENCHES: [(&str, &str); 4] = [
    ("load", "files to tables, indices and cones against the server's own speed"),
    ("tap", "the query service over HTTP: streams, cones, jobs, uploads, translation"),
    ("image", "pieces, pictures and searches of images over HTTP against astropy, HiPS"),
    ("pipeline", "the stage runner: claims, fan-out, pick-up, overhead of a job; catalogues of DOLPHOT's text"),
];

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Db(#[from] crate::db::Error),
    #[error(transparent)]
    Ingest(#[from] crate::ingest::Error),
    #[error(transparent)]
    Explore(#[from] crate::explore::Error),
    #[error("writing the bench's survey: {0}")]
    Simulate(#[from] crate::simulate::Error),
    #[error("{doing}: {source}")]
    Io { doing: String, source: std::io::Error },
    #[error("{command} failed: {output}")]
    Child { command: String, output: String },
    #[error("{0}")]
    Setup(String),
}
