//! The relations that a query may name, and what the user may have meant by a name that is none of them.

use super::tree::{Name, Path};
use crate::schema::{IndexKey, Table};
use std::collections::HashMap;
use std::sync::Arc;

/// A table that can be asked.
#[derive(Debug, Clone)]
pub struct Relation {
    /// As ADQL names it: `phat_v2`, `TAP_UPLOAD`.
    pub adql_schema: String,
    pub table: Arc<Table>,
    /// The quoted name in PostgreSQL: `"phat_v2"."phot_mod"`.
    pub sql: String,
    /// Rows, as far as known: which side of a join is the big one.
    pub rows: Option<u64>,
}

impl Relation {
    /// A table of a catalogue under its own name.
    pub fn new(table: Arc<Table>, rows: Option<u64>) -> Relation {
        Relation { adql_schema: table.schema.clone(), sql: crate::schema::ddl::qualified(&table), table, rows }
    }

    /// `phat_v2.phot_mod`, for messages.
    pub fn full_name(&self) -> String {
        format!("{}.{}", self.adql_schema, self.table.name)
    }

    /// Is there an index on `q3c_ang2ipix` of these two columns?
    pub fn has_q3c_index(&self, lon: usize, lat: usize) -> bool {
        let name = |i: usize| self.table.columns.get(i).map_or("", |column| column.name.as_str());
        let (lon, lat) = (name(lon), name(lat));
        self.table.indexes.iter().any(|index| matches!(&index.key, IndexKey::Q3c { ra, dec } if ra == lon && dec == lat))
    }
}

/// Relations by name. Cheap to copy: [`Catalogue::with`] adds uploads for one query.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    relations: Vec<Arc<Relation>>,
    /// Lower-case table name to indices.
    by_name: Arc<HashMap<String, Vec<usize>>>,
}

/// Why a name is no relation.
#[derive(Debug, Clone, PartialEq)]
pub enum Missing {
    /// With the nearest names there are.
    Unknown(Vec<String>),
    /// With all that it could be.
    Ambiguous(Vec<String>),
}

impl Catalogue {
    pub fn new(relations: Vec<Relation>) -> Catalogue {
        Catalogue::default().with(relations)
    }

    /// This catalogue with more relations.
    pub fn with(mut self, relations: Vec<Relation>) -> Catalogue {
        let names = Arc::make_mut(&mut self.by_name);
        for relation in relations {
            names.entry(relation.table.name.to_lowercase()).or_default().push(self.relations.len());
            self.relations.push(Arc::new(relation));
        }
        self
    }

    pub fn relations(&self) -> impl Iterator<Item = &Relation> {
        self.relations.iter().map(|relation| &**relation)
    }

    pub fn relation(&self, index: usize) -> &Relation {
        &self.relations[index]
    }

    /// The relation of `table`, `schema.table` or `catalog.schema.table`; the catalog's name is not looked at.
    pub fn find(&self, path: &Path) -> Result<usize, Missing> {
        let (table, outer) = path.parts.split_last().expect("a path has parts");
        let schema = outer.last();
        let candidates = self.by_name.get(&table.text.to_lowercase()).map_or(&[][..], Vec::as_slice);
        let fits = |index: &&usize| {
            let relation = &self.relations[**index];
            matches(table, &relation.table.name) && schema.is_none_or(|schema| matches(schema, &relation.adql_schema))
        };
        let found: Vec<usize> = candidates.iter().filter(fits).copied().collect();
        match found.as_slice() {
            [index] => Ok(*index),
            [] => Err(Missing::Unknown(self.nearest(path))),
            _ => exact(&found, |index| self.relations[*index].table.name == table.text)
                .ok_or_else(|| Missing::Ambiguous(found.iter().map(|index| self.relations[*index].full_name()).collect())),
        }
    }

    fn nearest(&self, path: &Path) -> Vec<String> {
        let wanted = path.parts.iter().map(|part| part.text.as_str()).collect::<Vec<_>>().join(".");
        let full: Vec<String> = self.relations().map(Relation::full_name).collect();
        if path.parts.len() > 1 {
            let table = path.parts.last().map_or("", |part| part.text.as_str());
            let same_table = self.relations().filter(|relation| relation.table.name.eq_ignore_ascii_case(table));
            let same_table: Vec<String> = same_table.map(Relation::full_name).take(3).collect();
            return if same_table.is_empty() { nearest(&wanted, full.iter().map(String::as_str)) } else { same_table };
        }
        let short = nearest(&wanted, self.relations().map(|relation| relation.table.name.as_str()));
        let of_name = |name: &String| self.relations().find(|relation| relation.table.name == *name).map(Relation::full_name);
        short.iter().filter_map(of_name).collect()
    }
}

/// The only one that also passes the stricter test.
pub fn exact<T: Copy>(found: &[T], is_exact: impl Fn(&T) -> bool) -> Option<T> {
    let mut exact = found.iter().filter(|one| is_exact(one));
    exact.next().copied().filter(|_| exact.next().is_none())
}

/// Does a name in a query mean this name of the catalogue? Regular names without regard to case, delimited ones as they are.
pub fn matches(name: &Name, actual: &str) -> bool {
    if name.delimited { name.text == actual } else { name.text.eq_ignore_ascii_case(actual) || lower_equal(&name.text, actual) }
}

/// Without regard to case outside ASCII too, which is rare and slower.
fn lower_equal(a: &str, b: &str) -> bool {
    !a.is_ascii() && a.to_lowercase() == b.to_lowercase()
}

/// Up to three of the names that are like `wanted`, the likest first.
pub fn nearest<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let wanted = wanted.to_lowercase();
    // names are limited in length, queries' are not
    if wanted.len() > 200 {
        return Vec::new();
    }
    let allowed = 1 + wanted.chars().count() / 3;
    let mut scored: Vec<(usize, &str)> = names.map(|name| (distance(&wanted, &name.to_lowercase()), name)).collect();
    scored.retain(|(score, name)| *score <= allowed || (wanted.len() >= 4 && name.to_lowercase().contains(&wanted)));
    scored.sort();
    scored.dedup();
    scored.into_iter().take(3).map(|(_, name)| name.to_owned()).collect()
}

/// How many letters must be changed, added, dropped or swapped with their neighbour (Damerau's distance, restricted).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let change = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = change.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_pen_are_seen() {
        let names = ["f475w_vega", "f814w_vega", "ra", "dec", "objid"];
        assert_eq!(nearest("f475w_veg", names.into_iter())[0], "f475w_vega");
        assert_eq!(nearest("obijd", names.into_iter()), ["objid"]);
        assert_eq!(nearest("RAJ", names.into_iter()), ["ra"]);
        assert!(nearest("temperature", names.into_iter()).is_empty());
    }
}
