//! Walks one TOML file's tree, noting faults and expanding `each`.
//!
//! `each` is expanded on the way: its lists walk together, and one copy of the entry is made per step, with `{name}` replaced by the
//! list's value and `{NAME}` by the value in upper case.

use super::fault::{Fault, Source, fault};
use super::{Column, DataType, IndexKey, table, ucd, unit};
use std::collections::BTreeMap;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

pub(super) type Lists = BTreeMap<String, Vec<String>>;
/// One step of `each`: names and their values.
pub(super) type Step = Vec<(String, String)>;
pub(super) type Text = Spanned<String>;

/// Longest name in PostgreSQL (NAMEDATALEN - 1).
pub(super) const NAME_MAX: usize = 63;

/// Walks one file and notes its faults.
pub(super) struct Reader<'a> {
    pub source: &'a Source,
    pub lists: &'a Lists,
    pub faults: &'a mut Vec<Fault>,
}

impl<'a> Reader<'a> {
    pub fn fault(&mut self, at: Range<usize>, message: impl Into<String>) {
        self.faults.push(fault(self.source, at, message.into()));
    }

    pub fn document(&mut self) -> Option<Spanned<DeTable<'a>>> {
        let (document, errors) = DeTable::parse_recoverable(&self.source.text);
        for error in &errors {
            self.fault(error.span().unwrap_or(0..0), format!("not TOML: {}", error.message()));
        }
        errors.is_empty().then_some(document)
    }

    pub fn known_keys(&mut self, table: &DeTable<'_>, known: &[&str]) {
        for key in table.keys().filter(|key| !known.contains(&key.get_ref().as_ref())) {
            self.fault(key.span(), format!("unknown key `{}`; the keys here are {}", key.get_ref(), known.join(", ")));
        }
    }

    fn wrong_type(&mut self, key: &str, value: &Spanned<DeValue<'_>>, wanted: &str) {
        self.fault(value.span(), format!("`{key}` is {wanted}, not {}", value.get_ref().type_str()));
    }

    pub fn text(&mut self, table: &DeTable<'_>, key: &str) -> Option<Text> {
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
    pub fn required(&mut self, table: &DeTable<'_>, key: &str, at: Range<usize>) -> Text {
        let found = self.text(table, key);
        if get(table, key).is_none() {
            self.fault(at.clone(), format!("`{key}` is missing"));
        } else if found.as_ref().is_some_and(|text| text.get_ref().trim().is_empty()) {
            self.fault(found.as_ref().map_or(at.clone(), Spanned::span), format!("`{key}` is empty"));
        }
        found.unwrap_or_else(|| Spanned::new(at, String::new()))
    }

    pub fn array<'t, 'i>(&mut self, table: &'t DeTable<'i>, key: &str) -> Option<(Range<usize>, &'t [Spanned<DeValue<'i>>])> {
        let value = get(table, key)?;
        match value.get_ref() {
            DeValue::Array(items) => Some((value.span(), items)),
            _ => {
                self.wrong_type(key, value, "an array");
                None
            }
        }
    }

    pub fn table<'t, 'i>(&mut self, table: &'t DeTable<'i>, key: &str) -> Option<&'t DeTable<'i>> {
        let value = get(table, key)?;
        if value.get_ref().as_table().is_none() {
            self.wrong_type(key, value, "a table");
        }
        value.get_ref().as_table()
    }

    /// An array of tables, each with its place; what is none is a fault and left out.
    pub fn tables<'t, 'i>(&mut self, table: &'t DeTable<'i>, key: &str) -> Vec<(&'t DeTable<'i>, Range<usize>)> {
        let items = self.array(table, key).map(|(_, items)| items).unwrap_or_default();
        let mut tables = Vec::new();
        for item in items {
            match item.get_ref().as_table() {
                Some(table) => tables.push((table, item.span())),
                None => self.wrong_type(key, item, "an array of tables"),
            }
        }
        tables
    }

    /// An array of strings; what is none is a fault and left out.
    pub fn texts(&mut self, table: &DeTable<'_>, key: &str) -> Vec<Text> {
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
    pub fn check_name(&mut self, what: &str, name: &Text) {
        let text = name.get_ref();
        let plain = text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        if !plain || text.is_empty() || text.len() > NAME_MAX || text.starts_with(|c: char| c.is_ascii_digit()) {
            self.fault(
                name.span(),
                format!("{what} name {text:?} must be lower-case letters, digits and _, at most {NAME_MAX}, not starting with a digit"),
            );
        }
    }

    pub fn named_lists(&mut self, lists: &DeTable<'_>) -> Lists {
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
    pub fn columns(&mut self, items: &[Spanned<DeValue<'_>>], outer: &Step, out: &mut Vec<Spanned<Column>>) {
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
            utype: self.text(table, "utype").map(Spanned::into_inner).unwrap_or_default(),
            xtype: self.text(table, "xtype").map(Spanned::into_inner).unwrap_or_default(),
            text: if self.flag(table, "unicode") { table::Text::Unicode } else { table::Text::Ascii },
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
    pub fn index(&mut self, item: &Spanned<DeValue<'_>>, out: &mut Vec<(IndexKey, Vec<Text>)>) {
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
    pub fn storage(&mut self, top: &DeTable<'_>) -> Vec<(String, String)> {
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

    pub fn array_storage(&mut self, top: &DeTable<'_>) -> Option<String> {
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

const COLUMN_KEYS: [&str; 11] = ["each", "name", "type", "unit", "ucd", "description", "sentinel", "nullable", "utype", "xtype", "unicode"];
/// PostgreSQL's `ALTER COLUMN ... SET STORAGE` words.
const ARRAY_STORAGES: [&str; 4] = ["plain", "main", "external", "extended"];

fn get<'t, 'i>(table: &'t DeTable<'i>, key: &str) -> Option<&'t Spanned<DeValue<'i>>> {
    table.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value)
}
