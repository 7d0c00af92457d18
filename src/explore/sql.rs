//! From names and circles to SQL text: templates, quoted names, conditions that an index answers.

use super::Error;
use crate::db;
use crate::schema::{Column, Table};
use crate::sky;

/// A table as the user names it: `phat_v2.phot_mod`, or `tbl_stat` on the search path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableName {
    pub schema: String,
    pub table: String,
}

impl std::str::FromStr for TableName {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        let (schema, table) = text.split_once('.').unwrap_or(("", text));
        match table.is_empty() || table.contains('.') || (schema.is_empty() && text.contains('.')) {
            true => Err(Error::Text { text: text.into(), wanted: "a table name", examples: "phat_v2.phot_mod" }),
            false => Ok(TableName { schema: schema.into(), table: table.into() }),
        }
    }
}

impl TableName {
    pub fn quoted(&self) -> String {
        db::qualified(&self.schema, &self.table)
    }
}

impl std::fmt::Display for TableName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.schema.as_str() {
            "" => f.write_str(&self.table),
            schema => write!(f, "{schema}.{}", self.table),
        }
    }
}

/// Puts the parts in their places. A part's own braces are left alone: every place is looked for in the template only.
pub fn fill(template: &str, parts: &[(&str, &str)]) -> String {
    let mut text = String::new();
    let mut rest: &str = statement(template);
    while let Some(open) = rest.find('{') {
        let close = rest[open..].find('}').map_or(rest.len(), |length| open + length);
        let name = &rest[open + 1..close];
        let part = parts.iter().find(|(place, _)| *place == name).map(|(_, part)| *part);
        text.push_str(&rest[..open]);
        text.push_str(part.expect("every place of our own templates is filled"));
        rest = &rest[close + 1..];
    }
    text + rest
}

/// The template without the contract at its head, whose places are examples.
fn statement(template: &str) -> &str {
    let head: usize = template.split_inclusive('\n').take_while(|line| line.starts_with("--")).map(str::len).sum();
    &template[head..]
}

/// The condition that a position lies within a circle, which the index on `q3c_ang2ipix(ra, dec)` answers.
pub fn inside_circle(ra: &str, dec: &str, ra_deg: f64, dec_deg: f64, radius_deg: f64) -> Result<String, Error> {
    Ok(sky::cover::radial_condition(&db::ident(ra), &db::ident(dec), ra_deg, dec_deg, radius_deg)?)
}

/// Gives answer columns the unit, UCD, description and sentinel of the table's columns of the same name and type.
pub fn enrich(columns: &mut [Column], table: &Table) {
    for column in columns {
        if let Some(known) = table.column(&column.name).filter(|known| known.datatype == column.datatype && known.array == column.array) {
            *column = Column { nullable: column.nullable, ..known.clone() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_filled_in_the_statement_only() {
        let template = "-- takes {a}\n-- and {b}\nSELECT {a} FROM {b} WHERE {a}";
        assert_eq!(fill(template, &[("a", "{b}"), ("b", "t")]), "SELECT {b} FROM t WHERE {b}");
    }

    #[test]
    fn table_names_have_one_dot_or_none() {
        assert_eq!("a.b".parse::<TableName>().unwrap().quoted(), "\"a\".\"b\"");
        assert_eq!("b".parse::<TableName>().unwrap().quoted(), "\"b\"");
        for bad in ["", ".", "a.", ".b", "a.b.c"] {
            assert!(bad.parse::<TableName>().is_err(), "{bad}");
        }
    }
}
