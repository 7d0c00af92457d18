//! How names and types are written for clients: in quotes where ADQL wants them, and as VOTable calls them.

use crate::schema::{Column, Table};

/// A name as a query must write it.
pub fn written(name: &str) -> String {
    let mut chars = name.chars();
    let is_regular = chars.next().is_some_and(|c| c.is_ascii_alphabetic()) && chars.all(|c| c.is_ascii_alphanumeric() || c == '_');
    if is_regular && !crate::adql::words::is_reserved(name) { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// `schema.table` as a query must write it.
pub fn table(table: &Table) -> String {
    format!("{}.{}", written(&table.schema), written(&table.name))
}

/// VOTable's datatype, arraysize and xtype, the latter two empty for none.
pub fn votable(column: &Column) -> (&str, &str, &str) {
    column.votable()
}
