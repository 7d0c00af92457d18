//! The TOML of a catalogue folder, made into tables, with all faults of all files found at once.
//!
//! The text is read into a tree with positions ([`toml::de::DeTable`]) and walked by hand (`reader.rs`) rather than through
//! serde, because serde stops at the first fault.

use super::catalog::{Example, ForeignKey};
use super::fault::{Fault, Faults, Source, fault};
use super::reader::{Lists, NAME_MAX, Reader, Step, Text};
use super::{Catalog, Column, DataType, Index, IndexKey, Table};
use std::collections::BTreeMap;
use std::ops::Range;
use toml::Spanned;
use toml::de::DeTable;

/// Reads a catalogue from its files; `name` is the folder's name, `path` the folder's, for messages.
pub fn catalog(name: &str, path: &str, sources: &[Source]) -> Result<Catalog, Faults> {
    let mut faults = Vec::new();
    let Some(head) = sources.iter().find(|s| s.stem == "catalogue") else {
        let message = "there is no catalogue.toml; it says `description` and `tables`".into();
        return Err(Faults(vec![Fault { path: path.into(), line: 1, column: 1, message }]));
    };
    let Some(Head { mut catalog, tables, lists, keys }) = read_head(head, name, &mut faults) else {
        return Err(Faults(faults));
    };
    let mut drafts = Vec::new();
    for table in &tables {
        match sources.iter().find(|s| s.stem == *table.get_ref()) {
            Some(source) => drafts.extend(read_table(source, name, &lists, &mut faults)),
            None => faults.push(fault(head, table.span(), format!("there is no file {}.toml beside this one", table.get_ref()))),
        }
    }
    for source in sources.iter().filter(|s| s.stem != "catalogue" && tables.iter().all(|t| *t.get_ref() != s.stem)) {
        faults.push(fault(source, 0..0, "this table is not listed under `tables` in catalogue.toml".into()));
    }
    catalog.tables = finish(drafts, &mut faults);
    for (key, at) in catalog.foreign_keys.iter().zip(keys) {
        for (table, column) in [&key.from, &key.to] {
            if catalog.table(table).is_none_or(|table| table.column(column).is_none()) {
                faults.push(fault(head, at.clone(), format!("there is no column {table}.{column}")));
            }
        }
    }
    if faults.is_empty() {
        return Ok(catalog);
    }
    faults.sort();
    faults.dedup();
    Err(Faults(faults))
}

/// What `catalogue.toml` says.
struct Head {
    /// Still without its tables.
    catalog: Catalog,
    /// Their names, in order.
    tables: Vec<Text>,
    lists: Lists,
    /// Where each foreign key is said.
    keys: Vec<Range<usize>>,
}

/// `catalogue.toml`; `None` if it is not TOML.
fn read_head(source: &Source, name: &str, faults: &mut Vec<Fault>) -> Option<Head> {
    let mut reader = Reader { source, lists: &Lists::new(), faults };
    let document = reader.document()?;
    let top = document.get_ref();
    reader.known_keys(top, &["description", "tables", "lists", "title", "citation", "reference_url", "foreign_keys", "examples"]);
    reader.check_name("catalogue", &Spanned::new(0..0, name.to_string()));
    let description = reader.required(top, "description", 0..0);
    let mut tables = reader.texts(top, "tables");
    if tables.is_empty() {
        reader.fault(0..0, "`tables` is missing: the names of the catalogue's tables, in order");
    }
    let mut seen: Vec<String> = Vec::new();
    tables.retain(|table| {
        let again = seen.contains(table.get_ref());
        if again {
            reader.fault(table.span(), format!("table {:?} is listed already", table.get_ref()));
        }
        seen.push(table.get_ref().clone());
        !again
    });
    let lists = reader.table(top, "lists").map(|lists| reader.named_lists(lists)).unwrap_or_default();
    let (foreign_keys, keys) = read_keys(&mut reader, top).into_iter().unzip();
    let catalog = Catalog {
        name: name.into(),
        description: description.into_inner(),
        tables: Vec::new(),
        title: reader.text(top, "title").map(Spanned::into_inner).unwrap_or_default(),
        citation: reader.text(top, "citation").map(Spanned::into_inner).unwrap_or_default(),
        reference_url: reader.text(top, "reference_url").map(Spanned::into_inner).unwrap_or_default(),
        foreign_keys,
        examples: read_examples(&mut reader, top),
    };
    Some(Head { catalog, tables, lists, keys })
}

/// `foreign_keys = [{ from = "phot_meas.objid", to = "phot_mod.objid", description = "..." }]`, each with its place.
fn read_keys(reader: &mut Reader<'_>, top: &DeTable<'_>) -> Vec<(ForeignKey, Range<usize>)> {
    let mut keys = Vec::new();
    for (table, at) in reader.tables(top, "foreign_keys") {
        reader.known_keys(table, &["from", "to", "description"]);
        let [from, to] = ["from", "to"].map(|key| reader.required(table, key, at.clone()));
        let description = reader.text(table, "description").map(Spanned::into_inner).unwrap_or_default();
        let ends = [&from, &to].map(|end| end.get_ref().split_once('.').map(|(table, column)| (table.to_owned(), column.to_owned())));
        match ends {
            [Some(from), Some(to)] => keys.push((ForeignKey { from, to, description }, at)),
            _ => reader.fault(at, "`from` and `to` are written as table.column"),
        }
    }
    keys
}

/// `[[examples]]` with name, description and query.
fn read_examples(reader: &mut Reader<'_>, top: &DeTable<'_>) -> Vec<Example> {
    let mut examples = Vec::new();
    for (table, at) in reader.tables(top, "examples") {
        reader.known_keys(table, &["name", "description", "query"]);
        let [name, description, query] = ["name", "description", "query"].map(|key| reader.required(table, key, at.clone()).into_inner());
        examples.push(Example { name, description, query });
    }
    examples
}

/// A table as one file says it; `like` and what refers to columns are still open.
struct Draft<'a> {
    source: &'a Source,
    table: Table,
    column_spans: Vec<Range<usize>>,
    like: Option<Text>,
    key: Vec<Text>,
    position: Vec<Text>,
    outline: Option<Text>,
    /// The columns that each of `table.indexes` names, with where.
    index_columns: Vec<Vec<Text>>,
}

/// `None` if the file is not TOML.
fn read_table<'a>(source: &'a Source, schema: &str, lists: &Lists, faults: &mut Vec<Fault>) -> Option<Draft<'a>> {
    let mut reader = Reader { source, lists, faults };
    let document = reader.document()?;
    let top = document.get_ref();
    reader.known_keys(top, &["description", "like", "key", "position", "outline", "columns", "indexes", "storage", "array_storage"]);
    reader.check_name("table", &Spanned::new(0..0, source.stem.clone()));
    let description = reader.required(top, "description", 0..0).into_inner();
    let like = reader.text(top, "like");
    let mut columns = Vec::new();
    if let Some((_, items)) = reader.array(top, "columns") {
        reader.columns(items, &Step::new(), &mut columns);
    }
    if columns.is_empty() && like.is_none() {
        reader.fault(0..0, "`columns` is missing: a table has columns, its own or those of the table named by `like`");
    }
    let mut indexes = Vec::new();
    if let Some((_, items)) = reader.array(top, "indexes") {
        items.iter().for_each(|item| reader.index(item, &mut indexes));
    }
    let (key, position) = (reader.texts(top, "key"), reader.texts(top, "position"));
    if let (Some(found), false) = (position.first(), position.len() == 2) {
        reader.fault(found.span(), "`position` is a pair of columns: right ascension, declination");
    }
    let outline = reader.text(top, "outline");
    let (storage, array_storage) = (reader.storage(top), reader.array_storage(top));
    let (column_spans, columns) = columns.into_iter().map(|c| (c.span(), c.into_inner())).unzip();
    let mut table = Table {
        schema: schema.into(),
        name: source.stem.clone(),
        description,
        columns,
        key: Vec::new(),
        position: None,
        outline: outline.as_ref().map(|name| name.get_ref().clone()),
        indexes: Vec::new(),
        storage,
        array_storage,
    };
    let index_columns = indexes.iter().map(|(_, columns)| columns.clone()).collect();
    table.indexes = indexes.into_iter().map(|(key, _)| Index { name: index_name(&table.name, &key), key }).collect();
    table.key = key.iter().map(|k| k.get_ref().clone()).collect();
    if let [ra, dec] = &position[..] {
        table.position = Some((ra.get_ref().clone(), dec.get_ref().clone()));
    }
    Some(Draft { source, table, column_spans, like, key, position, outline, index_columns })
}

/// `<table>_<columns>_idx`, or `<table>_q3c_idx`.
fn index_name(table: &str, key: &IndexKey) -> String {
    match key {
        IndexKey::Columns(columns) => format!("{table}_{}_idx", columns.join("_")),
        IndexKey::Q3c { .. } => format!("{table}_q3c_idx"),
    }
}

/// Gives `like` tables their columns, then checks all that refers to columns.
fn finish(drafts: Vec<Draft<'_>>, faults: &mut Vec<Fault>) -> Vec<Table> {
    let plain: BTreeMap<String, Vec<Column>> =
        drafts.iter().filter(|d| d.like.is_none()).map(|d| (d.table.name.clone(), d.table.columns.clone())).collect();
    let mut tables = Vec::new();
    for mut draft in drafts {
        if let Some(like) = draft.like.clone() {
            let Some(columns) = plain.get(like.get_ref()) else {
                let message =
                    format!("`like` names {:?}, which is no readable table of this catalogue with columns of its own", like.get_ref());
                faults.push(fault(draft.source, like.span(), message));
                continue;
            };
            draft.table.columns.splice(0..0, columns.iter().cloned());
            draft.column_spans.splice(0..0, columns.iter().map(|_| like.span()));
        }
        check_references(&draft, faults);
        tables.push(draft.table);
    }
    tables
}

fn check_references(draft: &Draft<'_>, faults: &mut Vec<Fault>) {
    let table = &draft.table;
    let mut say = |at: &Range<usize>, message: String| faults.push(fault(draft.source, at.clone(), message));
    for (i, (column, at)) in table.columns.iter().zip(&draft.column_spans).enumerate() {
        if table.column_index(&column.name).is_some_and(|first| first < i) {
            say(at, format!("column {:?} is there already", column.name));
        }
    }
    let (key, position) = (draft.key.iter().map(|k| ("key", k)), draft.position.iter().map(|p| ("position", p)));
    for (what, name) in key.chain(position).chain(draft.outline.iter().map(|o| ("outline", o))) {
        match table.column(name.get_ref()) {
            None => say(&name.span(), format!("`{what}` names {:?}, which is no column of this table", name.get_ref())),
            Some(column) if what == "key" && (column.nullable || column.array) => {
                say(&name.span(), format!("key column {:?} may be neither nullable nor an array", name.get_ref()));
            }
            Some(column) if what == "position" && (column.datatype != DataType::Double || column.array) => {
                say(&name.span(), format!("position column {:?} must be of type double", name.get_ref()));
            }
            Some(column) if what == "outline" && (column.datatype != DataType::Text || column.array) => {
                say(&name.span(), format!("outline column {:?} must be of type text", name.get_ref()));
            }
            Some(_) => {}
        }
    }
    for (i, (index, columns)) in table.indexes.iter().zip(&draft.index_columns).enumerate() {
        for name in columns.iter().filter(|name| table.column(name.get_ref()).is_none()) {
            say(&name.span(), format!("the index is on {:?}, which is no column of this table", name.get_ref()));
        }
        let at = columns.first().map_or(0..0, Spanned::span);
        if table.indexes[..i].iter().any(|other| other.name == index.name) {
            say(&at, format!("index {:?} is there already", index.name));
        }
        if index.name.len() > NAME_MAX {
            say(&at, format!("index name {:?} is longer than PostgreSQL's {NAME_MAX} bytes", index.name));
        }
    }
}
