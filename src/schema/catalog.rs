//! A catalogue: the folder `schema/<catalogue>/` with one TOML file per table.

use super::Table;

/// A catalogue and its tables, expanded and checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Catalog {
    /// The PostgreSQL schema (`phat_v2`).
    pub name: String,
    pub description: String,
    pub tables: Vec<Table>,
}

impl Catalog {
    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables.iter().find(|t| t.name == name)
    }
}
