//! Drift: what a table of a database has that its TOML does not say, and the other way round.
//!
//! The comparison is pure; whoever has a connection runs [`LIVE_COLUMNS`] and [`LIVE_INDEXES`] and fills a [`LiveTable`].
//! Comments are not compared, and an index is recognised by what it is over, not by its name.

use super::{Index, Table, ddl};
use std::fmt;

/// The columns of a live table: `$1` schema, `$2` table; see the file's head for what it returns.
pub const LIVE_COLUMNS: &str = include_str!("../../sql/schema/live_columns.sql");
/// The indices of a live table: `$1` schema, `$2` table; see the file's head for what it returns.
pub const LIVE_INDEXES: &str = include_str!("../../sql/schema/live_indexes.sql");

/// A table as the database has it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LiveTable {
    pub columns: Vec<LiveColumn>,
    pub indexes: Vec<LiveIndex>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct LiveColumn {
    pub name: String,
    /// As `format_type` spells it.
    pub datatype: String,
    pub not_null: bool,
    /// `plain`, `main`, `external` or `extended`.
    pub storage: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct LiveIndex {
    pub name: String,
    pub primary: bool,
    /// False after a CREATE INDEX CONCURRENTLY that failed.
    pub valid: bool,
    pub method: String,
    /// Key columns and expressions as PostgreSQL prints them.
    pub expressions: Vec<String>,
    /// Has a WHERE.
    pub partial: bool,
}

/// What a difference is about: a loader can live with other indices, but not with other columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Table,
    Column,
    Key,
    Index,
}

/// One difference, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    pub part: Part,
    pub message: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// All differences, ordered as columns, key, indices; none when the live table is what the TOML says. `None` is no table at all.
pub fn diff(table: &Table, live: Option<&LiveTable>) -> Vec<Difference> {
    let Some(live) = live else {
        return vec![Difference { part: Part::Table, message: format!("table {} is not in the database", table.full_name()) }];
    };
    let all = [(Part::Column, columns(table, live)), (Part::Key, key(table, live)), (Part::Index, indexes(table, live))];
    let name = table.full_name();
    let differences = all.into_iter().flat_map(|(part, messages)| messages.into_iter().map(move |message| (part, message)));
    differences.map(|(part, message)| Difference { part, message: format!("{name}: {message}") }).collect()
}

fn columns(table: &Table, live: &LiveTable) -> Vec<String> {
    let mut messages = Vec::new();
    for column in &table.columns {
        let wanted = ddl::column_type(column);
        let Some(found) = live.columns.iter().find(|c| c.name == column.name) else {
            messages.push(format!("column {} {wanted} is missing in the database", column.name));
            continue;
        };
        if found.datatype != wanted {
            messages.push(format!("column {} is {} in the database, {wanted} in the schema", column.name, found.datatype));
        }
        // A key column is NOT NULL in the database whatever else is said.
        match (found.not_null, column.nullable) {
            (true, true) => messages.push(format!("column {} is NOT NULL in the database, nullable in the schema", column.name)),
            (false, false) => messages.push(format!("column {} is nullable in the database, NOT NULL in the schema", column.name)),
            (true, false) | (false, true) => {}
        }
        if let (Some(storage), true) = (&table.array_storage, column.array)
            && found.storage != *storage
        {
            messages.push(format!("column {} has storage {} in the database, {storage} in the schema", column.name, found.storage));
        }
    }
    let extra = live.columns.iter().filter(|c| table.column(&c.name).is_none());
    messages.extend(extra.map(|c| format!("column {} {} is in the database only", c.name, c.datatype)));
    messages.extend(order(table, live));
    messages
}

/// The columns that both have should come in the same order.
fn order(table: &Table, live: &LiveTable) -> Option<String> {
    let ours = table.columns.iter().map(|c| &c.name).filter(|name| live.columns.iter().any(|c| c.name == **name));
    let theirs = live.columns.iter().map(|c| &c.name).filter(|name| table.column(name).is_some());
    let (ours, theirs) = ours.zip(theirs).find(|(ours, theirs)| ours != theirs)?;
    Some(format!("columns come in another order: {theirs} stands in the database where the schema has {ours}"))
}

fn key(table: &Table, live: &LiveTable) -> Vec<String> {
    let wanted = table.key.join(", ");
    let found = live.indexes.iter().find(|index| index.primary).map(|index| over(&index.expressions));
    match found {
        Some(found) if table.key.is_empty() => vec![format!("primary key ({found}) is in the database only")],
        Some(found) if found != wanted => vec![format!("primary key is ({found}) in the database, ({wanted}) in the schema")],
        None if !table.key.is_empty() => vec![format!("primary key ({wanted}) is missing in the database")],
        Some(_) | None => Vec::new(),
    }
}

fn indexes(table: &Table, live: &LiveTable) -> Vec<String> {
    let secondary = || live.indexes.iter().filter(|index| !index.primary);
    let mut messages = Vec::new();
    for index in &table.indexes {
        match secondary().find(|found| same(index, found)) {
            None => {
                messages.push(format!("index {} on ({}) is missing in the database", index.name, unquoted(&ddl::index_expression(index))))
            }
            Some(found) if !found.valid => messages.push(format!("index {} is invalid: drop it and create it again", found.name)),
            Some(_) => {}
        }
    }
    let extra = secondary().filter(|found| !table.indexes.iter().any(|index| same(index, found)));
    messages.extend(extra.map(|found| format!("index {} on ({}) is in the database only", found.name, over(&found.expressions))));
    messages
}

fn same(index: &Index, live: &LiveIndex) -> bool {
    live.method == "btree" && !live.partial && over(&live.expressions) == unquoted(&ddl::index_expression(index))
}

/// Joined and without quotes, which PostgreSQL puts round some words (`"dec"`) and we round all; and without the schema of a function.
fn over(expressions: &[String]) -> String {
    let plain = expressions.iter().map(|e| unquoted(e)).map(|e| e.split_once(".q3c_").map_or(e.clone(), |(_, rest)| format!("q3c_{rest}")));
    plain.collect::<Vec<_>>().join(", ")
}

fn unquoted(sql: &str) -> String {
    sql.replace('"', "")
}
