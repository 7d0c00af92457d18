//! What things are: catalogues, tables, columns, data types and rows in motion.
//!
//! The one place where metadata is said is `schema/<catalogue>/<table>.toml`; this module reads those files
//! ([`Catalog`]), finds all their faults at once, and derives DDL ([`ddl`]), drift ([`diff`]), Felis YAML
//! ([`felis`]) and Markdown ([`doc`]) from them. It opens no connection and never awaits.

pub mod catalog;
pub mod datatype;
pub mod ddl;
pub mod diff;
pub mod doc;
pub mod fault;
pub mod felis;
pub mod parse;
pub mod pattern;
pub mod reader;
pub mod rows;
pub mod table;
pub mod ucd;
pub mod unit;
pub mod wire;

pub use catalog::Catalog;
pub use datatype::DataType;
pub use fault::{Fault, Faults, Source};
pub use pattern::Pattern;
pub use rows::{Rows, WireRows};
pub use table::{Column, Index, IndexKey, Table, Text};

use std::path::PathBuf;

/// Why a catalogue cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no catalogue {name:?}; there are: {known} (--schema-dir DIR adds those in DIR)")]
    NoCatalogue { name: String, known: String },
    #[error("cannot read {path}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Faults(#[from] Faults),
}
