//! The TOML of a catalogue folder, read into tables, with all faults of all files found at once.
//!
//! The text is read into a tree with positions ([`toml::de::DeTable`]) and walked by hand rather than through serde, because serde
//! stops at the first fault. `each` is expanded on the way: its lists walk together, and one copy of the entry is made per step, with
//! `{name}` replaced by the list's value and `{NAME}` by the value in upper case.

use super::{Catalog, Column, DataType, Index, IndexKey, Table, ucd, unit};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// One file's text, and how to call the file in messages.
#[derive(Debug, Clone)]
pub struct Source {
    /// The file's stem: `catalogue`, or a table's name.
    pub stem: String,
    pub path: String,
    pub text: String,
}

/// Something wrong in a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    pub path: String,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.path, self.line, self.column, self.message)
    }
}

/// All that is wrong, ordered by file and place; shown one per line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(Fault::to_string).collect();
        write!(f, "{}", lines.join("\n"))
    }
}

impl std::error::Error for Faults {}

type Lists = BTreeMap<String, Vec<String>>;
/// One step of `each`: names and their values.
type Step = Vec<(String, String)>;
type Text = Spanned<String>;

/// Reads a catalogue from its files; `name` is the folder's name, `path` the folder's, for messages.
pub fn catalog(name: &str, path: &str, sources: &[Source]) -> Result<Catalog, Faults> {
    let mut faults = Vec::new();
    let Some(head) = sources.iter().find(|s| s.stem == "catalogue") else {
        let message = "there is no catalogue.toml; it says `description` and `tables`".into();
        return Err(Faults(vec![Fault { path: path.into(), line: 1, column: 1, message }]));
    };
    let Some((description, tables, lists)) = read_head(head, name, &mut faults) else {
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
    let tables = finish(drafts, &mut faults);
    if faults.is_empty() {
        return Ok(Catalog { name: name.into(), description, tables });
    }
    faults.sort();
    faults.dedup();
    Err(Faults(faults))
}

fn fault(source: &Source, at: Range<usize>, message: String) -> Fault {
    let before = &source.text[..source.text.floor_char_boundary(at.start)];
    let line_start = before.rfind('\n').map_or(0, |i| i + 1);
    let line = before.matches('\n').count() + 1;
    Fault { path: source.path.clone(), line, column: before[line_start..].chars().count() + 1, message }
}

/// `catalogue.toml`: the description, the tables in order, and the named lists; `None` if it is not TOML.
fn read_head(source: &Source, name: &str, faults: &mut Vec<Fault>) -> Option<(String, Vec<Text>, Lists)> {
    let mut reader = Reader { source, lists: &Lists::new(), faults };
    let document = reader.document()?;
    let top = document.get_ref();
    reader.known_keys(top, &["description", "tables", "lists"]);
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
    Some((description.into_inner(), tables, lists))
}

/// A table as one file says it; `like` and what refers to columns are still open.
struct Draft<'a> {
    source: &'a Source,
    table: Table,
    column_spans: Vec<Range<usize>>,
    like: Option<Text>,
    key: Vec<Text>,
    position: Vec<Text>,
    /// The columns that each of `table.indexes` names, with where.
    index_columns: Vec<Vec<Text>>,
}

/// `None` if the file is not TOML.
fn read_table<'a>(source: &'a Source, schema: &str, lists: &Lists, faults: &mut Vec<Fault>) -> Option<Draft<'a>> {
    let mut reader = Reader { source, lists, faults };
    let document = reader.document()?;
    let top = document.get_ref();
    reader.known_keys(top, &["description", "like", "key", "position", "columns", "indexes", "storage", "array_storage"]);
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
    let (storage, array_storage) = (reader.storage(top), reader.array_storage(top));
    let (column_spans, columns) = columns.into_iter().map(|c| (c.span(), c.into_inner())).unzip();
    let mut table = Table {
        schema: schema.into(),
        name: source.stem.clone(),
        description,
        columns,
        key: Vec::new(),
        position: None,
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
    Some(Draft { source, table, column_spans, like, key, position, index_columns })
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
    for (what, name) in draft.key.iter().map(|k| ("key", k)).chain(draft.position.iter().map(|p| ("position", p))) {
        match table.column(name.get_ref()) {
            None => say(&name.span(), format!("`{what}` names {:?}, which is no column of this table", name.get_ref())),
            Some(column) if what == "key" && (column.nullable || column.array) => {
                say(&name.span(), format!("key column {:?} may be neither nullable nor an array", name.get_ref()));
            }
            Some(column) if what == "position" && (column.datatype != DataType::Double || column.array) => {
                say(&name.span(), format!("position column {:?} must be of type double", name.get_ref()));
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

/// Longest name in PostgreSQL (NAMEDATALEN - 1).
const NAME_MAX: usize = 63;

/// Walks one file and notes its faults.
struct Reader<'a> {
    source: &'a Source,
    lists: &'a Lists,
    faults: &'a mut Vec<Fault>,
}

impl<'a> Reader<'a> {
    fn fault(&mut self, at: Range<usize>, message: impl Into<String>) {
        self.faults.push(fault(self.source, at, message.into()));
    }

    fn document(&mut self) -> Option<Spanned<DeTable<'a>>> {
        let (document, errors) = DeTable::parse_recoverable(&self.source.text);
        for error in &errors {
            self.fault(error.span().unwrap_or(0..0), format!("not TOML: {}", error.message()));
        }
        errors.is_empty().then_some(document)
    }

    fn known_keys(&mut self, table: &DeTable<'_>, known: &[&str]) {
        for key in table.keys().filter(|key| !known.contains(&key.get_ref().as_ref())) {
            self.fault(key.span(), format!("unknown key `{}`; the keys here are {}", key.get_ref(), known.join(", ")));
        }
    }

    fn wrong_type(&mut self, key: &str, value: &Spanned<DeValue<'_>>, wanted: &str) {
        self.fault(value.span(), format!("`{key}` is {wanted}, not {}", value.get_ref().type_str()));
    }

    fn text(&mut self, table: &DeTable<'_>, key: &str) -> Option<Text> {
        let value = get(table, key)?;
        match value.get_ref() {
            DeValue::String(text) => Some(Spanned::new(value.span(), text.to_string())),
            _ => {
                self.wrong_type(key, value, "a string");
                None
            }
        }
    }

    /// A string that must be there and say something; `at` is where to complain.
    fn required(&mut self, table: &DeTable<'_>, key: &str, at: Range<usize>) -> Text {
        let found = self.text(table, key);
        if get(table, key).is_none() {
            self.fault(at.clone(), format!("`{key}` is missing"));
        } else if found.as_ref().is_some_and(|text| text.get_ref().trim().is_empty()) {
            self.fault(found.as_ref().map_or(at.clone(), Spanned::span), format!("`{key}` is empty"));
        }
        found.unwrap_or_else(|| Spanned::new(at, String::new()))
    }

    fn array<'t, 'i>(&mut self, table: &'t DeTable<'i>, key: &str) -> Option<(Range<usize>, &'t [Spanned<DeValue<'i>>])> {
        let value = get(table, key)?;
        match value.get_ref() {
            DeValue::Array(items) => Some((value.span(), items)),
            _ => {
                self.wrong_type(key, value, "an array");
                None
            }
        }
    }

    fn table<'t, 'i>(&mut self, table: &'t DeTable<'i>, key: &str) -> Option<&'t DeTable<'i>> {
        let value = get(table, key)?;
        if value.get_ref().as_table().is_none() {
            self.wrong_type(key, value, "a table");
        }
        value.get_ref().as_table()
    }

    /// An array of strings; what is none is a fault and left out.
    fn texts(&mut self, table: &DeTable<'_>, key: &str) -> Vec<Text> {
        let items = self.array(table, key).map(|(_, items)| items).unwrap_or_default();
        let mut texts = Vec::new();
        for item in items {
            match item.get_ref() {
                DeValue::String(text) => texts.push(Spanned::new(item.span(), text.to_string())),
                _ => self.wrong_type(key, item, "an array of strings"),
            }
        }
        texts
    }

    fn flag(&mut self, table: &DeTable<'_>, key: &str) -> bool {
        let Some(value) = get(table, key) else { return false };
        if value.get_ref().as_bool().is_none() {
            self.wrong_type(key, value, "true or false");
        }
        value.get_ref().as_bool().unwrap_or(false)
    }

    fn number(&mut self, table: &DeTable<'_>, key: &str) -> Option<f64> {
        let value = get(table, key)?;
        let number = match value.get_ref() {
            DeValue::Float(float) => float.as_str().parse().ok(),
            DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix()).ok().map(|i| i as f64),
            _ => None,
        };
        if number.is_none() {
            self.wrong_type(key, value, "a number");
        }
        number
    }

    /// Lower-case letters, digits and underscores: such names need no quotes in anyone's SQL.
    fn check_name(&mut self, what: &str, name: &Text) {
        let text = name.get_ref();
        let plain = text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        if !plain || text.is_empty() || text.len() > NAME_MAX || text.starts_with(|c: char| c.is_ascii_digit()) {
            self.fault(
                name.span(),
                format!("{what} name {text:?} must be lower-case letters, digits and _, at most {NAME_MAX}, not starting with a digit"),
            );
        }
    }

    fn named_lists(&mut self, lists: &DeTable<'_>) -> Lists {
        let names: Vec<String> = lists.keys().map(|name| name.get_ref().to_string()).collect();
        names.into_iter().map(|name| (name.clone(), self.texts(lists, &name).into_iter().map(Spanned::into_inner).collect())).collect()
    }

    /// The steps of an entry's `each`, each added to the outer one; without `each` there is the outer step alone.
    fn steps(&mut self, table: &DeTable<'_>, outer: &Step) -> Vec<Step> {
        let Some(value) = get(table, "each") else { return vec![outer.clone()] };
        let Some(each) = self.table(table, "each") else { return Vec::new() };
        let lists: Vec<Option<(String, Vec<String>)>> = each.iter().map(|(name, value)| self.list(each, name.get_ref(), value)).collect();
        let Some(lists) = lists.into_iter().collect::<Option<Vec<_>>>() else { return Vec::new() };
        let length = lists.first().map_or(0, |(_, list)| list.len());
        if length == 0 {
            self.fault(value.span(), "`each` has nothing to walk: write `each = { band = [\"f475w\", \"f814w\"] }`");
        } else if lists.iter().any(|(_, list)| list.len() != length) {
            self.fault(value.span(), "the lists of one `each` walk together and must be equally long");
            return Vec::new();
        }
        let step = |i: usize| lists.iter().map(|(name, list)| (name.clone(), list[i].clone())).chain(outer.iter().cloned()).collect();
        (0..length).map(step).collect()
    }

    /// A list of `each` with its name: written there, or the name of one in catalogue.toml.
    fn list(&mut self, each: &DeTable<'_>, name: &str, value: &Spanned<DeValue<'_>>) -> Option<(String, Vec<String>)> {
        if let DeValue::String(list) = value.get_ref() {
            let found = self.lists.get(list.as_ref()).cloned();
            if found.is_none() {
                let known = if self.lists.is_empty() { "none".into() } else { self.lists.keys().cloned().collect::<Vec<_>>().join(", ") };
                self.fault(value.span(), format!("there is no list {list:?} under [lists] in catalogue.toml; there are: {known}"));
            }
            return found.map(|list| (name.to_string(), list));
        }
        let texts = self.texts(each, name).into_iter().map(Spanned::into_inner).collect();
        value.get_ref().is_array().then_some((name.to_string(), texts))
    }

    /// Replaces `{name}` and `{NAME}` by the step's values.
    fn expand(&mut self, text: &Text, step: &Step) -> Text {
        let mut expanded = String::new();
        let mut rest = text.get_ref().as_str();
        while let Some((before, name, after)) = rest.split_once('{').and_then(|(b, r)| r.split_once('}').map(|(n, a)| (b, n, a))) {
            expanded.push_str(before);
            match step.iter().find(|(known, _)| known == name || known.to_uppercase() == name) {
                Some((known, value)) if known == name => expanded.push_str(value),
                Some((_, value)) => expanded.push_str(&value.to_uppercase()),
                None => self.unknown_placeholder(text, name, step),
            }
            rest = after;
        }
        Spanned::new(text.span(), expanded + rest)
    }

    fn unknown_placeholder(&mut self, text: &Text, name: &str, step: &Step) {
        let known: Vec<String> = step.iter().map(|(name, _)| format!("{{{name}}}")).collect();
        let known = if known.is_empty() { "no `each` is in force here".into() } else { format!("`each` gives {}", known.join(", ")) };
        self.fault(text.span(), format!("unknown placeholder {{{name}}}; {known}"));
    }

    /// Columns and groups of columns, in the order written; a group repeats whole.
    fn columns(&mut self, items: &[Spanned<DeValue<'_>>], outer: &Step, out: &mut Vec<Spanned<Column>>) {
        for item in items {
            let Some(table) = item.get_ref().as_table() else {
                self.wrong_type("columns", item, "an array of tables");
                continue;
            };
            let group = get(table, "columns").is_some();
            self.known_keys(table, if group { &["each", "columns"] } else { &COLUMN_KEYS });
            for step in self.steps(table, outer) {
                if group {
                    let inner = self.array(table, "columns").map(|(_, inner)| inner).unwrap_or_default();
                    self.columns(inner, &step, out);
                } else {
                    out.push(Spanned::new(item.span(), self.column(table, item.span(), &step)));
                }
            }
        }
    }

    fn column(&mut self, table: &DeTable<'_>, at: Range<usize>, step: &Step) -> Column {
        let [name, kind, ucd, description] =
            ["name", "type", "ucd", "description"].map(|key| self.required(table, key, at.clone())).map(|text| self.expand(&text, step));
        let unit = self.text(table, "unit").map(|text| self.expand(&text, step)).unwrap_or_else(|| Spanned::new(at, String::new()));
        let (datatype, array) = self.datatype(&kind);
        let sentinel = self.number(table, "sentinel");
        if let (Some(_), Some(value), false) = (sentinel, get(table, "sentinel"), datatype.is_number()) {
            self.fault(value.span(), format!("a {} has no sentinel; write `nullable = true` if it can be missing", datatype.name()));
        }
        if !name.get_ref().is_empty() {
            self.check_name("column", &name);
        }
        if let (false, Err(message)) = (ucd.get_ref().is_empty(), ucd::check(ucd.get_ref())) {
            self.fault(ucd.span(), message);
        }
        if let Err(message) = unit::check(unit.get_ref()) {
            self.fault(unit.span(), message);
        }
        Column {
            name: name.into_inner(),
            datatype,
            array,
            unit: unit.into_inner(),
            ucd: ucd.into_inner(),
            description: description.into_inner(),
            nullable: self.flag(table, "nullable"),
            sentinel,
        }
    }

    fn datatype(&mut self, kind: &Text) -> (DataType, bool) {
        let (name, array) = kind.get_ref().strip_suffix("[]").map_or((kind.get_ref().as_str(), false), |name| (name, true));
        let found = DataType::from_name(name);
        if found.is_none() && !name.is_empty() {
            let known = DataType::ALL.map(DataType::name).join(", ");
            self.fault(kind.span(), format!("unknown type {:?}; the types are {known}, and arrays of them like real[]", kind.get_ref()));
        }
        // A double passes every later check, so that one slip gives one fault.
        (found.unwrap_or(DataType::Double), array)
    }

    /// `"ra"`, `{ columns = ["a", "b"] }` or `{ q3c = ["ra", "dec"] }`, the tables with or without `each`.
    fn index(&mut self, item: &Spanned<DeValue<'_>>, out: &mut Vec<(IndexKey, Vec<Text>)>) {
        match item.get_ref() {
            DeValue::String(name) => {
                out.push((IndexKey::Columns(vec![name.to_string()]), vec![Spanned::new(item.span(), name.to_string())]))
            }
            DeValue::Table(table) => {
                self.known_keys(table, &["each", "columns", "q3c"]);
                for step in self.steps(table, &Step::new()) {
                    self.index_table(table, item.span(), &step, out);
                }
            }
            _ => self.wrong_type("indexes", item, "an array of column names and tables"),
        }
    }

    fn index_table(&mut self, table: &DeTable<'_>, at: Range<usize>, step: &Step, out: &mut Vec<(IndexKey, Vec<Text>)>) {
        let [columns, q3c] = ["columns", "q3c"].map(|key| {
            let texts = self.texts(table, key);
            texts.iter().map(|text| self.expand(text, step)).collect::<Vec<Text>>()
        });
        match (&columns[..], &q3c[..]) {
            ([_, ..], []) => out.push((IndexKey::Columns(columns.iter().map(|c| c.get_ref().clone()).collect()), columns)),
            ([], [ra, dec]) => out.push((IndexKey::Q3c { ra: ra.get_ref().clone(), dec: dec.get_ref().clone() }, q3c)),
            _ => self.fault(at, "an index is on `columns = [...]` or on `q3c = [ra, dec]`"),
        }
    }

    /// Storage parameters enter SQL as they are, so only names and plain values pass.
    fn storage(&mut self, top: &DeTable<'_>) -> Vec<(String, String)> {
        let Some(table) = self.table(top, "storage") else { return Vec::new() };
        let mut storage = Vec::new();
        for (name, value) in table {
            let text = match value.get_ref() {
                DeValue::Integer(integer) => integer.as_str().to_string(),
                DeValue::Float(float) => float.as_str().to_string(),
                DeValue::Boolean(flag) => flag.to_string(),
                _ => {
                    self.wrong_type(name.get_ref(), value, "a number, true or false");
                    continue;
                }
            };
            self.check_name("storage parameter", &Spanned::new(name.span(), name.get_ref().to_string()));
            storage.push((name.get_ref().to_string(), text));
        }
        storage
    }

    fn array_storage(&mut self, top: &DeTable<'_>) -> Option<String> {
        let storage = self.text(top, "array_storage")?;
        if !ARRAY_STORAGES.contains(&storage.get_ref().as_str()) {
            self.fault(
                storage.span(),
                format!("unknown array_storage {:?}; it is one of {}", storage.get_ref(), ARRAY_STORAGES.join(", ")),
            );
        }
        Some(storage.into_inner())
    }
}

const COLUMN_KEYS: [&str; 8] = ["each", "name", "type", "unit", "ucd", "description", "sentinel", "nullable"];
/// PostgreSQL's `ALTER COLUMN ... SET STORAGE` words.
const ARRAY_STORAGES: [&str; 4] = ["plain", "main", "external", "extended"];

fn get<'t, 'i>(table: &'t DeTable<'i>, key: &str) -> Option<&'t Spanned<DeValue<'i>>> {
    table.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value)
}
