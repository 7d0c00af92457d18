//! The SQL that makes a catalogue's tables: text in, text out.
//!
//! One of the two authors of generated SQL. The order for a loader is [`create_schema`], [`create_table`], the rows, then
//! [`primary_key`], [`create_index`] for each index, [`comments`]: keys and indices are cheaper to build over rows that are there.
//! Names enter through [`quote`], texts through [`literal`].

use super::{Catalog, Column, Index, IndexKey, Table};

/// A name as an SQL identifier, always quoted.
pub fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as an SQL string; relies on `standard_conforming_strings`, on by default since PostgreSQL 9.1.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// `"phat_v2"."phot_mod"`.
pub fn qualified(table: &Table) -> String {
    format!("{}.{}", quote(&table.schema), quote(&table.name))
}

/// The column's type as PostgreSQL prints it (`real[]`).
pub fn column_type(column: &Column) -> String {
    format!("{}{}", column.datatype.postgres(), if column.array { "[]" } else { "" })
}

pub fn create_schema(name: &str) -> String {
    format!("CREATE SCHEMA IF NOT EXISTS {};\n", quote(name))
}

/// The table without key and indices; does nothing if the table is there. May be several statements: use `batch_execute`.
pub fn create_table(table: &Table) -> String {
    let columns: Vec<String> = table.columns.iter().map(column_definition).collect();
    let storage: Vec<String> = table.storage.iter().map(|(name, value)| format!("{name} = {value}")).collect();
    let with = if storage.is_empty() { String::new() } else { format!(" WITH ({})", storage.join(", ")) };
    let create = format!("CREATE TABLE IF NOT EXISTS {} (\n  {}\n){with};\n", qualified(table), columns.join(",\n  "));
    create + &set_storage(table)
}

fn column_definition(column: &Column) -> String {
    let null = if column.nullable { "" } else { " NOT NULL" };
    format!("{} {}{null}", quote(&column.name), column_type(column))
}

/// `ALTER TABLE ... SET STORAGE` of the array columns, which PostgreSQL 15 cannot say in CREATE TABLE.
fn set_storage(table: &Table) -> String {
    let Some(storage) = &table.array_storage else { return String::new() };
    let arrays = table.columns.iter().filter(|column| column.array);
    let actions: Vec<String> = arrays.map(|column| format!("  ALTER COLUMN {} SET STORAGE {storage}", quote(&column.name))).collect();
    if actions.is_empty() { String::new() } else { format!("ALTER TABLE {}\n{};\n", qualified(table), actions.join(",\n")) }
}

/// The name of the primary key's index and constraint.
pub fn primary_key_name(table: &Table) -> String {
    format!("{}_pkey", table.name)
}

/// The statement that adds the primary key, if the table has one; fails if it is there already.
pub fn primary_key(table: &Table) -> Option<String> {
    let columns: Vec<String> = table.key.iter().map(|name| quote(name)).collect();
    let add = || {
        format!(
            "ALTER TABLE {} ADD CONSTRAINT {} PRIMARY KEY ({});\n",
            qualified(table),
            quote(&primary_key_name(table)),
            columns.join(", ")
        )
    };
    (!columns.is_empty()).then(add)
}

/// What the index is over, as it stands in brackets in CREATE INDEX.
pub fn index_expression(index: &Index) -> String {
    match &index.key {
        IndexKey::Columns(columns) => columns.iter().map(|name| quote(name)).collect::<Vec<_>>().join(", "),
        IndexKey::Q3c { ra, dec } => format!("q3c_ang2ipix({}, {})", quote(ra), quote(dec)),
    }
}

/// One statement; does nothing if the index is there.
pub fn create_index(table: &Table, index: &Index) -> String {
    format!("CREATE INDEX IF NOT EXISTS {} ON {} ({});\n", quote(&index.name), qualified(table), index_expression(index))
}

/// The descriptions of table and columns, as `COMMENT ON`.
pub fn comments(table: &Table) -> String {
    let name = qualified(table);
    let column = |c: &Column| format!("COMMENT ON COLUMN {name}.{} IS {};\n", quote(&c.name), literal(&c.description));
    let columns: String = table.columns.iter().map(column).collect();
    format!("COMMENT ON TABLE {name} IS {};\n{columns}", literal(&table.description))
}

/// Everything of a catalogue in one script, with the view `tbl_stat`.
pub fn script(catalog: &Catalog) -> String {
    let mut script =
        format!("-- {}\n\nCREATE EXTENSION IF NOT EXISTS q3c;\n{}", catalog.description.replace('\n', " "), create_schema(&catalog.name));
    for table in &catalog.tables {
        script += &format!("\n{}{}", create_table(table), primary_key(table).unwrap_or_default());
        script.extend(table.indexes.iter().map(|index| create_index(table, index)));
        script += &comments(table);
    }
    script + "\n" + TBL_STAT
}

/// Creates the view `public.tbl_stat` (rows, columns, indices and sizes of every table outside the system's schemas) for all to read.
/// Two statements: use `batch_execute`. Two sessions that run it at the same moment can collide; the later one gets an error.
pub const TBL_STAT: &str = concat!(include_str!("../../sql/schema/tbl_stat.sql"), include_str!("../../sql/schema/publish_tbl_stat.sql"));
