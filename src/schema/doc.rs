//! A Markdown page about a catalogue: every table with its columns, key and indices.

use super::{Catalog, Column, Table, ddl};

/// The page.
pub fn markdown(catalog: &Catalog) -> String {
    let mut page =
        format!("# {}\n\n{}\n\n| table | columns | what it is |\n| --- | ---: | --- |\n", catalog.name, cell(&catalog.description));
    for table in &catalog.tables {
        page += &format!("| [{0}](#{0}) | {1} | {2} |\n", table.name, table.columns.len(), cell(&table.description));
    }
    page.extend(catalog.tables.iter().map(table_page));
    page
}

fn table_page(table: &Table) -> String {
    let mut page = format!("\n## {}\n\n{}\n\n", table.name, cell(&table.description));
    if !table.key.is_empty() {
        page += &format!("Primary key: {}.\n\n", code(&table.key.join(", ")));
    }
    if let Some((ra, dec)) = &table.position {
        page += &format!("Rows lie on disk in the order of {}.\n\n", code(&format!("q3c_ang2ipix({ra}, {dec})")));
    }
    let indexes: Vec<String> = table.indexes.iter().map(|index| code(&ddl::index_expression(index).replace('"', ""))).collect();
    if !indexes.is_empty() {
        page += &format!("Indices: {}.\n\n", indexes.join(", "));
    }
    page += "| column | type | unit | UCD | description |\n| --- | --- | --- | --- | --- |\n";
    page.extend(table.columns.iter().map(row));
    page
}

fn row(column: &Column) -> String {
    let null = if column.nullable { ", may be null" } else { "" };
    let unit = cell(&column.unit);
    format!("| {} | {}{null} | {unit} | {} | {} |\n", column.name, ddl::column_type(column), cell(&column.ucd), cell(&column.description))
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

/// A text that stays in its table cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
