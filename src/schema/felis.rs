//! A catalogue as Felis YAML, Rubin's schema language (<https://felis.lsst.io>).
//!
//! Felis has no array columns: an array is written as its element type with `votable:arraysize: "*"`.
//! Every text is written as a JSON string, which is a YAML string too.

use super::{Catalog, Column, DataType, Index, IndexKey, Table};

/// The YAML of a catalogue, as `felis validate` accepts it.
pub fn yaml(catalog: &Catalog) -> String {
    let mut out =
        format!("---\nname: {}\n\"@id\": \"#{}\"\ndescription: {}\ntables:\n", catalog.name, catalog.name, string(&catalog.description));
    for (i, table) in catalog.tables.iter().enumerate() {
        out += &table_yaml(table, i + 1);
    }
    out
}

fn string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn id(table: &Table, name: &str) -> String {
    string(&format!("#{}.{name}", table.name))
}

fn ids<'a>(table: &Table, names: impl IntoIterator<Item = &'a String>) -> String {
    let ids: Vec<String> = names.into_iter().map(|name| id(table, name)).collect();
    format!("[{}]", ids.join(", "))
}

fn table_yaml(table: &Table, number: usize) -> String {
    let mut out = format!("- name: {}\n  \"@id\": \"#{}\"\n  description: {}\n", table.name, table.name, string(&table.description));
    out += &format!("  tap:table_index: {number}\n");
    if !table.key.is_empty() {
        out += &format!("  primaryKey: {}\n", ids(table, &table.key));
    }
    out += "  columns:\n";
    for (i, column) in table.columns.iter().enumerate() {
        out += &column_yaml(table, column, i + 1);
    }
    if !table.indexes.is_empty() {
        out += "  indexes:\n";
        out.extend(table.indexes.iter().map(|index| index_yaml(table, index)));
    }
    out
}

fn column_yaml(table: &Table, column: &Column, number: usize) -> String {
    let mut lines = vec![
        format!("name: {}", string(&column.name)),
        format!("\"@id\": {}", id(table, &column.name)),
        format!("datatype: {}", column.datatype.felis()),
        format!("nullable: {}", column.nullable),
        format!("description: {}", string(&column.description)),
        format!("ivoa:ucd: {}", string(&column.ucd)),
        format!("tap:column_index: {number}"),
        format!("tap:principal: {}", u8::from(is_principal(table, column))),
    ];
    if !column.unit.is_empty() {
        lines.push(format!("ivoa:unit: {}", string(&column.unit)));
    }
    if column.array || column.datatype == DataType::Text {
        lines.push("votable:arraysize: \"*\"".into());
    }
    format!("  - {}\n", lines.join("\n    "))
}

/// What a reader wants first: the key and the position.
fn is_principal(table: &Table, column: &Column) -> bool {
    let position = table.position.iter().any(|(ra, dec)| column.name == *ra || column.name == *dec);
    position || table.key.contains(&column.name)
}

fn index_yaml(table: &Table, index: &Index) -> String {
    let (over, description) = match &index.key {
        IndexKey::Columns(columns) => (format!("columns: {}", ids(table, columns)), format!("B-tree on {}", columns.join(", "))),
        IndexKey::Q3c { ra, dec } => {
            let expression = format!("q3c_ang2ipix({ra}, {dec})");
            (format!("expressions: [{}]", string(&expression)), format!("B-tree on the Q3C index of ({ra}, {dec})"))
        }
    };
    format!("  - name: {0}\n    \"@id\": \"#{0}\"\n    description: {1}\n    {over}\n", index.name, string(&description))
}
