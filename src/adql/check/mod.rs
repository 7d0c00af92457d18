//! From the tree to the checked query: names are resolved, types and units inferred, rules enforced.

mod call;
mod expr;
mod from;
mod group;
mod query;
mod sky;

use super::catalogue::Catalogue;
use super::checked::{Expr, Output, Query};
use super::error::{Code, Error};
use super::tree::{self, Name, Span};
use std::rc::Rc;

/// Tables in a whole query: more make the planner slow before a row is read.
const MOST_TABLES: usize = 32;

/// Columns of a SELECT; PostgreSQL's own limit is 1664.
const MOST_COLUMNS: usize = 1600;

/// A checked query and the relations that it reads.
pub struct Checked {
    pub query: Query,
    pub relations: Vec<usize>,
}

/// Checks a query against the catalogue.
pub fn check(query: &tree::Query, catalogue: &Catalogue) -> Result<Checked, Error> {
    let mut checker = Checker { catalogue, sources: 0, tables: 0, commons: Vec::new(), common_count: 0, relations: Vec::new() };
    let query = checker.query(query, None)?;
    checker.relations.sort_unstable();
    checker.relations.dedup();
    Ok(Checked { query, relations: checker.relations })
}

/// A common table that is in force.
struct Common {
    name: Name,
    number: usize,
    outputs: Rc<Vec<Output>>,
}

struct Checker<'c> {
    catalogue: &'c Catalogue,
    /// How many sources have their number.
    sources: usize,
    tables: usize,
    commons: Vec<Common>,
    common_count: usize,
    relations: Vec<usize>,
}

impl Checker<'_> {
    /// The unit of a value, empty for none and unknown.
    fn unit<'e>(&'e self, expr: &'e Expr) -> &'e str {
        expr.about.origin.map_or(&expr.about.unit, |origin| &self.catalogue.relation(origin.relation).table.columns[origin.column].unit)
    }

    fn ucd<'e>(&'e self, expr: &'e Expr) -> &'e str {
        expr.about.origin.map_or(&expr.about.ucd, |origin| &self.catalogue.relation(origin.relation).table.columns[origin.column].ucd)
    }

    fn count_table(&mut self, span: Span) -> Result<(), Error> {
        self.tables += 1;
        if self.tables > MOST_TABLES {
            let message = format!("the query names more than {MOST_TABLES} tables");
            return Err(Error::new(Code::LimitTables, span, message).hint("split it, and upload what comes between"));
        }
        Ok(())
    }
}
