//! The query service without its protocol's transport: what is published, queries and their limits, the documents of VOSI.
//!
//! [`Service`] is the state that all requests share. Nothing here knows HTTP; that is [`web`](crate::web).
//!
//! ```text
//! database + schema files -> published -> TAP_SCHEMA, adql::Catalogue, VOSI, registry, coverage
//! parameters -> Question -> Statement -> Session -> rows -> Answer
//! ```

pub mod coverage;
pub mod descriptor;
mod features;
pub mod functions;
pub mod job;
pub mod jobs;
pub mod names;
pub mod options;
pub mod published;
pub mod query;
pub mod registry;
pub mod service;
pub mod tap_schema;
pub mod upload;
pub mod vosi;
pub mod xml;

pub use options::Options;
pub use service::Service;

/// Why a request to the service cannot be answered; each variant says what the client can do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Db(#[from] crate::db::Error),
    #[error(transparent)]
    Schema(#[from] crate::schema::Error),
    /// No session was free in time.
    #[error("all {connections} database sessions have been busy for {waited_s} s")]
    Busy { connections: u32, waited_s: u64 },
}
