//! ADQL 2.1 to PostgreSQL with Q3C: text, tokens, tree, resolved, checked, [`tree`] being what was written.
//!
//! It opens no file and no connection and never awaits; it knows a dialect of functions, not a server.

pub mod error;
pub mod parse;
pub mod token;
pub mod tree;
mod words;

pub use error::{Code, Error};
pub use parse::{parse, parse_with};
