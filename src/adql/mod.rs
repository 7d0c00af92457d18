//! ADQL 2.1 to PostgreSQL with Q3C: text, tokens, tree, checked query, statement.
//!
//! [`parse`](fn@parse) makes the [`tree`], which says what was written; [`check`](mod@check) resolves its names against the
//! [`Catalogue`] and makes the [`checked`] query, which says what is meant; [`emit`](mod@emit) writes that as SQL.
//! It opens no file and no connection and never awaits; it knows a dialect of functions, not a server.

pub mod catalogue;
pub mod check;
pub mod checked;
pub mod emit;
pub mod error;
pub mod function;
pub mod geometry;
pub mod ivoa;
pub mod parse;
mod scope;
pub mod statement;
mod timestamp;
pub mod token;
pub mod tree;
mod units;
pub mod words;

pub use catalogue::{Catalogue, Relation};
pub use error::{Code, Error};
pub use parse::{parse, parse_with};
pub use statement::{Options, Parameter, Statement, translate};
