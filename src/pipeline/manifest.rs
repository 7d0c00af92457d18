//! The TOML of a pipeline: its tasks, what they wait for and what they tell, barriers, pools; all faults at once, with their places.
//!
//! ```toml
//! description = "one exposure at a time"
//! group = ["field"]                        # fields that events inherit, and that bind inputs across tasks
//! events = ["new_image"]                   # fired from outside
//! params = { python = "python3" }          # {param:python}; `run create --set python=...`
//! pools = { licences = 4 }                 # at most so many of the tasks in a pool run at once
//!
//! [[task]]
//! name = "tag"
//! on = [{ event = "new_image", match = { kind = "science" } }]
//! argv = ["{param:python}", "tag.py", "{in:raw}", "{event:filter}"]
//! then = ["tagged"]                        # told when it is done, under the key of its own event
//! emits = ["calibrated"]                   # what its events.ndjson may tell
//! mem = "2G + 3*in.bytes"
//! timeout = "6h"
//! retries = { exit = 1 }
//! inputs = [{ role = "raw", name = "*.fits", min = 1 }]
//! outputs = [{ role = "tagged", glob = "*.fits", min = 1, nonempty = true }]
//!
//! [[barrier]]
//! name = "all_tagged"
//! over = ["tag"]
//! opened_by = ["sort"]                     # not before these, which bring members about, are done too
//! key = ["field"]                          # one barrier for each value
//! emit = "field_tagged"
//! policy = { fraction = 0.9 }              # or "all", { k = 3 }
//! deadline = "2d"
//! ```
//!
//! An event that a job tells brings that job's outputs. If its payload has `files`, a list of names, it brings those of the job's outputs and
//! inputs that are named there: so a task that only sorts its inputs hands them on.
//!
//! Placeholders of `argv` and `env`: `{in:role}` (the paths; alone in an argument it becomes one argument each), `{event:field}`,
//! `{param:name}`, `{key}`, `{run}`, `{job}`, `{attempt}`, `{cpu}`, `{mem_mb}`, `{brickyard}` (this program); `{{` and `}}` are
//! braces. No shell sees them.

use super::formula::Formula;
use super::state::{Class, Policy};
use crate::schema::fault::{Fault, Faults, Source, fault};
use crate::schema::reader::{Lists, Reader, Text, get};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A checked pipeline.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    pub description: String,
    pub group: Vec<String>,
    /// Events that are fired from outside.
    pub events: Vec<String>,
    pub params: BTreeMap<String, String>,
    pub pools: BTreeMap<String, i32>,
    pub tasks: Vec<Task>,
    pub barriers: Vec<Barrier>,
    pub text: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    pub name: String,
    pub on: Vec<On>,
    pub class: String,
    pub pool: Option<String>,
    pub priority: i32,
    pub policy: Policy,
    pub inputs: Vec<Input>,
    pub spec: Spec,
}

/// What a worker and the master must know of a task; stored as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    pub argv: Vec<String>,
    pub env: BTreeMap<String, String>,
    pub emits: Vec<String>,
    pub then: Vec<String>,
    pub outputs: Vec<Output>,
    /// Roles that must have at least so many files, else the attempt is fatal.
    pub needs: BTreeMap<String, u32>,
    pub timeout_s: u64,
    /// Formulas; memory and disk in bytes.
    pub cpu: String,
    pub mem: String,
    pub disk: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct On {
    pub event: String,
    pub matches: serde_json::Value,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    pub role: String,
    /// A task whose outputs in the same group are taken; without it, what the event brings.
    pub from: Option<String>,
    /// The role that the files had as outputs.
    pub of: Option<String>,
    pub name: Option<String>,
    pub min: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Output {
    pub role: String,
    pub glob: String,
    pub min: u32,
    pub nonempty: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Barrier {
    pub name: String,
    pub over: Vec<String>,
    pub opened_by: Vec<String>,
    pub key: Vec<String>,
    pub emit: String,
    pub rule: Rule,
    pub deadline_s: Option<i32>,
}

/// When a barrier fires, its deadline apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    All,
    K(i32),
    Fraction(f64),
}

/// Longest name of a task, event, role: they become parts of paths and URLs.
const NAME_MAX: usize = 80;
const TOP_KEYS: [&str; 7] = ["description", "group", "events", "params", "pools", "task", "barrier"];
const TASK_KEYS: [&str; 17] = [
    "name", "on", "argv", "env", "emits", "then", "class", "pool", "priority", "cpu", "mem", "disk", "timeout", "retries", "backoff",
    "fatal", "inputs",
];
const BARRIER_KEYS: [&str; 7] = ["name", "over", "opened_by", "key", "emit", "policy", "deadline"];

/// A name with its place, for the checks at the end.
type Names = Vec<Text>;

/// What is checked when everything is read.
#[derive(Default)]
struct References {
    waits: Vec<Text>,
    told: Vec<String>,
    tasks: Names,
    barriers: Names,
    /// Names of tasks in barriers and inputs.
    to_tasks: Vec<Text>,
    to_pools: Vec<Text>,
    /// `{param:x}` and `{in:x}` with where, and the roles of that task.
    placeholders: Vec<(Text, Vec<String>)>,
}

impl Manifest {
    /// Reads a manifest; `path` is for messages.
    pub fn parse(path: &str, text: &str) -> Result<Manifest, Faults> {
        let source = Source { stem: "pipeline".into(), path: path.into(), text: text.into() };
        let (lists, mut faults) = (Lists::new(), Vec::new());
        let mut reader = Reader { source: &source, lists: &lists, faults: &mut faults };
        let mut references = References::default();
        let manifest = reader.document().map(|document| read(&mut reader, document.get_ref(), &mut references, text));
        if let Some(manifest) = &manifest {
            check(&mut reader, manifest, &references);
        }
        faults.sort();
        faults.dedup();
        match manifest {
            Some(manifest) if faults.is_empty() => Ok(manifest),
            _ => Err(Faults(faults)),
        }
    }

    pub fn task(&self, name: &str) -> Option<&Task> {
        self.tasks.iter().find(|task| task.name == name)
    }

    /// Parameters with those of `set` in their place; a name that the manifest does not have is refused.
    pub fn with(&self, set: &[(String, String)]) -> Result<BTreeMap<String, String>, String> {
        let mut params = self.params.clone();
        for (name, value) in set {
            match params.get_mut(name) {
                Some(place) => *place = value.clone(),
                None => {
                    let known: Vec<&str> = self.params.keys().map(String::as_str).collect();
                    return Err(format!("there is no parameter {name:?}; the manifest's are: {}", known.join(", ")));
                }
            }
        }
        Ok(params)
    }
}

fn read(reader: &mut Reader<'_>, top: &DeTable<'_>, references: &mut References, text: &str) -> Manifest {
    reader.known_keys(top, &TOP_KEYS);
    let description = reader.text(top, "description").map(Spanned::into_inner).unwrap_or_default();
    let (group, events) = (names(reader, top, "group"), names(reader, top, "events"));
    let params = strings(reader, top, "params");
    let pools = pools(reader, top);
    let (mut tasks, mut barriers) = (Vec::new(), Vec::new());
    for (table, at) in tables(reader, top, "task") {
        tasks.push(task(reader, table, at, references));
    }
    if tasks.is_empty() {
        reader.fault(0..0, "there is no [[task]]: a pipeline has at least one");
    }
    for (table, at) in tables(reader, top, "barrier") {
        barriers.push(barrier(reader, table, at, references));
    }
    Manifest { description, group: plain(group), events: plain(events), params, pools, tasks, barriers, text: text.into() }
}

fn plain(texts: Vec<Text>) -> Vec<String> {
    texts.into_iter().map(Spanned::into_inner).collect()
}

/// The tables of an array of tables; what is none is a fault.
fn tables<'t, 'i>(reader: &mut Reader<'_>, table: &'t DeTable<'i>, key: &str) -> Vec<(&'t DeTable<'i>, Range<usize>)> {
    let items = reader.array(table, key).map(|(_, items)| items).unwrap_or_default();
    let mut found = Vec::new();
    for item in items {
        match item.get_ref() {
            DeValue::Table(table) => found.push((table, item.span())),
            _ => reader.wrong_type(key, item, "an array of tables"),
        }
    }
    found
}

fn check_name(reader: &mut Reader<'_>, what: &str, name: &Text) {
    let text = name.get_ref();
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    if !plain || text.is_empty() || text.len() > NAME_MAX || text.starts_with('-') {
        reader.fault(name.span(), format!("{what} {text:?} must be letters, digits, _ and -, at most {NAME_MAX}"));
    }
}

/// An array of names, or one name.
fn names(reader: &mut Reader<'_>, table: &DeTable<'_>, key: &str) -> Vec<Text> {
    let found = match get(table, key).map(Spanned::get_ref) {
        Some(DeValue::String(_)) => reader.text(table, key).into_iter().collect(),
        _ => reader.texts(table, key),
    };
    found.iter().for_each(|name| check_name(reader, &format!("`{key}`:"), name));
    found
}

fn strings(reader: &mut Reader<'_>, top: &DeTable<'_>, key: &str) -> BTreeMap<String, String> {
    let Some(table) = reader.table(top, key) else { return BTreeMap::new() };
    let mut found = BTreeMap::new();
    for name in table.keys() {
        check_name(reader, "name", &Spanned::new(name.span(), name.get_ref().to_string()));
        if let Some(value) = reader.text(table, name.get_ref()) {
            found.insert(name.get_ref().to_string(), value.into_inner());
        }
    }
    found
}

fn integer(reader: &mut Reader<'_>, table: &DeTable<'_>, key: &str, range: std::ops::RangeInclusive<i64>) -> Option<i32> {
    let value = get(table, key)?;
    let number = value.get_ref().as_integer().and_then(|i| i64::from_str_radix(i.as_str(), i.radix()).ok());
    match number {
        Some(number) if range.contains(&number) => i32::try_from(number).ok(),
        Some(_) => {
            reader.fault(value.span(), format!("`{key}` is {} to {}", range.start(), range.end()));
            None
        }
        None => {
            reader.wrong_type(key, value, "a whole number");
            None
        }
    }
}

fn pools(reader: &mut Reader<'_>, top: &DeTable<'_>) -> BTreeMap<String, i32> {
    let Some(table) = reader.table(top, "pools") else { return BTreeMap::new() };
    let mut found = BTreeMap::new();
    for name in table.keys() {
        check_name(reader, "pool", &Spanned::new(name.span(), name.get_ref().to_string()));
        if let Some(most) = integer(reader, table, name.get_ref(), 1..=1_000_000) {
            found.insert(name.get_ref().to_string(), most);
        }
    }
    found
}

fn task(reader: &mut Reader<'_>, table: &DeTable<'_>, at: Range<usize>, references: &mut References) -> Task {
    let keys: Vec<&str> = TASK_KEYS.into_iter().chain(["outputs"]).collect();
    reader.known_keys(table, &keys);
    let name = reader.required(table, "name", at.clone());
    check_name(reader, "task", &name);
    references.tasks.push(name.clone());
    let on = waits(reader, table, at.clone(), references);
    let inputs = inputs(reader, table, references);
    let argv = argv(reader, table, at.clone(), &inputs, references);
    let (emits, then) = (names(reader, table, "emits"), names(reader, table, "then"));
    references.told.extend(emits.iter().chain(&then).map(|e| e.get_ref().clone()));
    let pool = reader.text(table, "pool");
    references.to_pools.extend(pool.clone());
    let class = reader.text(table, "class").unwrap_or_else(|| Spanned::new(at, "default".into()));
    check_name(reader, "class", &class);
    if class.get_ref() == super::master::OPERATOR {
        let text = format!("class {:?} is that of tokens of people who change jobs; no worker serves it", super::master::OPERATOR);
        reader.fault(class.span(), text);
    }
    let [cpu, mem, disk] = [("cpu", "1"), ("mem", "1G"), ("disk", "1G")].map(|(key, usual)| formula(reader, table, key, usual, &inputs));
    let spec = Spec {
        argv,
        env: strings(reader, table, "env"),
        emits: plain(emits),
        then: plain(then),
        outputs: outputs(reader, table),
        needs: inputs.iter().map(|input| (input.role.clone(), input.min)).collect(),
        timeout_s: duration(reader, table, "timeout").unwrap_or(24 * 3600),
        cpu,
        mem,
        disk,
    };
    Task {
        name: name.into_inner(),
        on,
        class: class.into_inner(),
        pool: pool.map(Spanned::into_inner),
        priority: integer(reader, table, "priority", -1_000_000..=1_000_000).unwrap_or(0),
        policy: policy(reader, table),
        inputs,
        spec,
    }
}

/// `on = "event"`, `["a", "b"]` or `[{ event = "a", match = { ... } }]`.
fn waits(reader: &mut Reader<'_>, table: &DeTable<'_>, at: Range<usize>, references: &mut References) -> Vec<On> {
    let items: Vec<&Spanned<DeValue<'_>>> = match get(table, "on") {
        None => {
            reader.fault(at, "`on` is missing: the events that start this task");
            return Vec::new();
        }
        Some(value) => match value.get_ref() {
            DeValue::Array(items) => items.iter().collect(),
            _ => vec![value],
        },
    };
    let mut found = Vec::new();
    for item in items {
        let (event, matches) = match item.get_ref() {
            DeValue::String(name) => (Spanned::new(item.span(), name.to_string()), serde_json::json!({})),
            DeValue::Table(inner) => {
                reader.known_keys(inner, &["event", "match"]);
                let matches = get(inner, "match").map(|value| json(reader, value)).unwrap_or_else(|| serde_json::json!({}));
                (reader.required(inner, "event", item.span()), matches)
            }
            _ => {
                reader.wrong_type("on", item, "an event's name, or { event = ..., match = { ... } }");
                continue;
            }
        };
        references.waits.push(event.clone());
        found.push(On { event: event.into_inner(), matches });
    }
    found
}

/// A TOML value as JSON, for matching payloads.
fn json(reader: &mut Reader<'_>, value: &Spanned<DeValue<'_>>) -> serde_json::Value {
    match value.get_ref() {
        DeValue::String(text) => text.to_string().into(),
        DeValue::Boolean(flag) => (*flag).into(),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).unwrap_or_default().into(),
        DeValue::Float(number) => number.as_str().parse::<f64>().unwrap_or_default().into(),
        DeValue::Array(items) => items.iter().map(|item| json(reader, item)).collect(),
        DeValue::Table(table) => table.iter().map(|(key, value)| (key.get_ref().to_string(), json(reader, value))).collect(),
        DeValue::Datetime(_) => {
            reader.fault(value.span(), "a date cannot be matched: write it as a string, as payloads have it");
            serde_json::Value::Null
        }
    }
}

fn inputs(reader: &mut Reader<'_>, table: &DeTable<'_>, references: &mut References) -> Vec<Input> {
    let mut found: Vec<Input> = Vec::new();
    for (inner, at) in tables(reader, table, "inputs") {
        reader.known_keys(inner, &["role", "from", "of", "name", "min"]);
        let role = reader.required(inner, "role", at);
        check_name(reader, "role", &role);
        if found.iter().any(|input| input.role == *role.get_ref()) {
            reader.fault(role.span(), format!("input role {:?} is there already", role.get_ref()));
        }
        let from = reader.text(inner, "from");
        references.to_tasks.extend(from.clone());
        let name = reader.text(inner, "name");
        check_glob(reader, name.as_ref());
        found.push(Input {
            role: role.into_inner(),
            from: from.map(Spanned::into_inner),
            of: reader.text(inner, "of").map(Spanned::into_inner),
            name: name.map(Spanned::into_inner),
            min: integer(reader, inner, "min", 0..=1_000_000).map_or(0, i32::unsigned_abs),
        });
    }
    found
}

fn outputs(reader: &mut Reader<'_>, table: &DeTable<'_>) -> Vec<Output> {
    let mut found = Vec::new();
    for (inner, at) in tables(reader, table, "outputs") {
        reader.known_keys(inner, &["role", "glob", "min", "nonempty"]);
        let (role, glob) = (reader.required(inner, "role", at.clone()), reader.required(inner, "glob", at));
        check_name(reader, "role", &role);
        check_glob(reader, Some(&glob));
        found.push(Output {
            role: role.into_inner(),
            glob: glob.into_inner(),
            min: integer(reader, inner, "min", 0..=1_000_000).map_or(1, i32::unsigned_abs),
            nonempty: reader.flag(inner, "nonempty"),
        });
    }
    found
}

fn check_glob(reader: &mut Reader<'_>, pattern: Option<&Text>) {
    let Some(pattern) = pattern else { return };
    if let Err(error) = glob::Pattern::new(pattern.get_ref()) {
        reader.fault(pattern.span(), format!("not a pattern: {error}"));
    } else if pattern.get_ref().contains(['/', '\\', '[', ']']) {
        reader.fault(pattern.span(), "a pattern is of a file's name: letters, * and ?, no folders, no [ ]");
    }
}

/// `argv`: the program and its arguments.
fn argv(reader: &mut Reader<'_>, table: &DeTable<'_>, at: Range<usize>, inputs: &[Input], references: &mut References) -> Vec<String> {
    let roles: Vec<String> = inputs.iter().map(|input| input.role.clone()).collect();
    let texts = reader.texts(table, "argv");
    if texts.is_empty() {
        reader.fault(at, "`argv` is missing: the program and its arguments, [\"prog\", \"{in:raw}\"]");
    }
    for text in &texts {
        references.placeholders.push((text.clone(), roles.clone()));
    }
    plain(texts)
}

fn formula(reader: &mut Reader<'_>, table: &DeTable<'_>, key: &str, usual: &str, inputs: &[Input]) -> String {
    let text = match get(table, key) {
        None => return usual.to_owned(),
        Some(value) => match value.get_ref() {
            DeValue::Integer(number) if key == "cpu" => Spanned::new(value.span(), number.as_str().to_owned()),
            DeValue::String(text) => Spanned::new(value.span(), text.to_string()),
            _ => {
                reader.wrong_type(key, value, "a formula such as \"2G + 3*in.bytes\"");
                return usual.to_owned();
            }
        },
    };
    match Formula::parse(text.get_ref()) {
        Err(error) => reader.fault(text.span().start + 1 + error.at..text.span().end, format!("`{key}`: {error}")),
        Ok(formula) => {
            let role = |name: &str| name.strip_prefix("in.").and_then(|n| n.split_once('.')).map(|(role, _)| role.to_owned());
            for role in formula.names().into_iter().filter_map(role).filter(|role| inputs.iter().all(|i| i.role != *role)) {
                reader.fault(text.span(), format!("`{key}`: there is no input of role {role:?}"));
            }
        }
    }
    text.into_inner()
}

/// `"90s"`, `"30m"`, `"6h"`, `"2d"`.
fn duration(reader: &mut Reader<'_>, table: &DeTable<'_>, key: &str) -> Option<u64> {
    let text = reader.text(table, key)?;
    let seconds = seconds(text.get_ref());
    if seconds.is_none() {
        reader.fault(text.span(), format!("`{key}` is a time such as \"90s\", \"30m\", \"6h\" or \"2d\", at most a year"));
    }
    seconds
}

/// Seconds of `90s`, `30m`, `6h`, `2d`, of 0 to a year.
pub fn seconds(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let factor = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor).filter(|s| *s <= 366 * 86_400)
}

fn policy(reader: &mut Reader<'_>, table: &DeTable<'_>) -> Policy {
    let mut policy = Policy::default();
    let names = Class::ALL.map(Class::name);
    if let Some(retries) = reader.table(table, "retries") {
        reader.known_keys(retries, &names);
        for (class, place) in Class::ALL.into_iter().zip(&mut policy.retries) {
            *place = integer(reader, retries, class.name(), 0..=1000).map_or(*place, i32::unsigned_abs);
        }
    }
    if let Some(backoff) = reader.table(table, "backoff") {
        reader.known_keys(backoff, &names);
        for (class, place) in Class::ALL.into_iter().zip(&mut policy.backoff_s) {
            *place = duration(reader, backoff, class.name()).map_or(*place, |s| s.min(86_400) as u32);
        }
    }
    if let Some((at, items)) = reader.array(table, "fatal") {
        let codes: Option<Vec<i32>> = items
            .iter()
            .map(|item| item.get_ref().as_integer().and_then(|i| i.as_str().parse().ok()).filter(|c| (0..256).contains(c)))
            .collect();
        match codes {
            Some(codes) => policy.fatal_codes = codes,
            None => reader.fault(at, "`fatal` is an array of exit codes, 0 to 255"),
        }
    }
    policy
}

fn barrier(reader: &mut Reader<'_>, table: &DeTable<'_>, at: Range<usize>, references: &mut References) -> Barrier {
    reader.known_keys(table, &BARRIER_KEYS);
    let (name, emit) = (reader.required(table, "name", at.clone()), reader.required(table, "emit", at.clone()));
    check_name(reader, "barrier", &name);
    check_name(reader, "event", &emit);
    references.barriers.push(name.clone());
    references.told.push(emit.get_ref().clone());
    let (over, opened_by) = (names(reader, table, "over"), names(reader, table, "opened_by"));
    if over.is_empty() {
        reader.fault(at, "`over` is missing: the tasks whose jobs the barrier waits for");
    }
    for task in opened_by.iter().filter(|task| over.iter().any(|o| o.get_ref() == task.get_ref())) {
        reader.fault(task.span(), format!("task {:?} is under `over` already", task.get_ref()));
    }
    references.to_tasks.extend(over.iter().chain(&opened_by).cloned());
    Barrier {
        name: name.into_inner(),
        emit: emit.into_inner(),
        over: plain(over),
        opened_by: plain(opened_by),
        key: plain(names(reader, table, "key")),
        rule: rule(reader, table),
        deadline_s: duration(reader, table, "deadline").and_then(|s| i32::try_from(s).ok()),
    }
}

fn rule(reader: &mut Reader<'_>, table: &DeTable<'_>) -> Rule {
    let wanted = "\"all\", { k = 3 } or { fraction = 0.9 }";
    let Some(value) = get(table, "policy") else { return Rule::All };
    match value.get_ref() {
        DeValue::String(text) if text == "all" => return Rule::All,
        DeValue::Table(inner) => {
            reader.known_keys(inner, &["k", "fraction"]);
            let (k, fraction) = (integer(reader, inner, "k", 1..=1_000_000), reader.number(inner, "fraction"));
            match (k, fraction) {
                (Some(k), None) => return Rule::K(k),
                (None, Some(fraction)) if fraction > 0.0 && fraction <= 1.0 => return Rule::Fraction(fraction),
                _ => {}
            }
        }
        _ => {}
    }
    reader.fault(value.span(), format!("`policy` is {wanted}"));
    Rule::All
}

/// All that names something else in the file.
fn check(reader: &mut Reader<'_>, manifest: &Manifest, references: &References) {
    for (what, all) in [("task", &references.tasks), ("barrier", &references.barriers)] {
        for (i, name) in all.iter().enumerate() {
            if all[..i].iter().any(|earlier| earlier.get_ref() == name.get_ref()) {
                reader.fault(name.span(), format!("{what} {:?} is there already", name.get_ref()));
            }
        }
    }
    for event in &references.waits {
        let name = event.get_ref();
        let built_in = |end: &str| name.strip_suffix(end).is_some_and(|task| manifest.task(task).is_some());
        if !references.told.contains(name) && !manifest.events.contains(name) && !built_in(".completed") && !built_in(".failed") {
            let message = format!(
                "nothing tells the event {name:?}: no task (`emits`, `then`), no barrier; if it comes from outside, list it under `events`"
            );
            reader.fault(event.span(), message);
        }
    }
    for task in references.to_tasks.iter().filter(|task| manifest.task(task.get_ref()).is_none()) {
        reader.fault(task.span(), format!("there is no task {:?}", task.get_ref()));
    }
    for pool in references.to_pools.iter().filter(|pool| !manifest.pools.contains_key(pool.get_ref())) {
        reader.fault(pool.span(), format!("there is no pool {:?} under `pools`", pool.get_ref()));
    }
    for (text, roles) in &references.placeholders {
        for fault in placeholder_faults(text.get_ref(), roles, &manifest.params) {
            reader.fault(text.span(), fault);
        }
    }
    for task in &manifest.tasks {
        for value in task.spec.env.values() {
            let roles: Vec<String> = task.inputs.iter().map(|i| i.role.clone()).collect();
            for fault in placeholder_faults(value, &roles, &manifest.params) {
                reader.fault(0..0, format!("task {:?}, env: {fault}", task.name));
            }
        }
    }
}

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece<'a> {
    Text(&'a str),
    /// `{kind:name}` or `{kind}`.
    Place(&'a str, Option<&'a str>),
}

/// Cuts a template into text and placeholders.
pub fn pieces(template: &str) -> Result<Vec<Piece<'_>>, String> {
    let (mut found, mut rest) = (Vec::new(), template);
    while let Some(at) = rest.find(['{', '}']) {
        let (before, after) = rest.split_at(at);
        if !before.is_empty() {
            found.push(Piece::Text(before));
        }
        if after.starts_with("{{") || after.starts_with("}}") {
            found.push(Piece::Text(&after[..1]));
            rest = &after[2..];
            continue;
        }
        let inner = after.strip_prefix('{').and_then(|a| a.split_once('}'));
        let Some((inner, after)) = inner else { return Err("a single { or }: write {{ or }} for a brace".into()) };
        found.push(match inner.split_once(':') {
            Some((kind, name)) => Piece::Place(kind, Some(name)),
            None => Piece::Place(inner, None),
        });
        rest = after;
    }
    if !rest.is_empty() {
        found.push(Piece::Text(rest));
    }
    Ok(found)
}

fn placeholder_faults(template: &str, roles: &[String], params: &BTreeMap<String, String>) -> Vec<String> {
    let found = match pieces(template) {
        Ok(found) => found,
        Err(fault) => return vec![fault],
    };
    let mut faults = Vec::new();
    for piece in found {
        match piece {
            Piece::Text(_) | Piece::Place("event", Some(_)) => {}
            Piece::Place("key" | "run" | "job" | "attempt" | "cpu" | "mem_mb" | "brickyard", None) => {}
            Piece::Place("in", Some(role)) if roles.iter().any(|r| r == role) => {}
            Piece::Place("in", Some(role)) => faults.push(format!("{{in:{role}}}: there is no input of role {role:?}")),
            Piece::Place("param", Some(name)) if params.contains_key(name) => {}
            Piece::Place("param", Some(name)) => faults.push(format!("{{param:{name}}}: there is no parameter {name:?} under `params`")),
            Piece::Place(kind, _) => faults.push(format!(
                "unknown placeholder {{{kind}}}; there are {{in:role}}, {{event:field}}, {{param:name}}, {{key}}, {{run}}, {{job}}, {{attempt}}, {{cpu}}, {{mem_mb}}, {{brickyard}}"
            )),
        }
    }
    faults
}

/// A glob of a file name as a regular expression of PostgreSQL, of the whole name.
pub fn regex(glob: &str) -> String {
    let mut text = String::from("^");
    for c in glob.chars() {
        match c {
            '*' => text.push_str(".*"),
            '?' => text.push('.'),
            c if c.is_ascii_alphanumeric() || c == '_' => text.push(c),
            c => {
                text.push('\\');
                text.push(c);
            }
        }
    }
    text.push('$');
    text
}

/// The fault of a file that cannot be read at all.
pub fn unreadable(path: &str, error: &std::io::Error) -> Fault {
    let source = Source { stem: String::new(), path: path.into(), text: String::new() };
    fault(&source, 0..0, format!("cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn all_faults_are_told_at_once_with_their_places() {
        let text = r#"
events = ["new"]
pools = { one = 0 }
[[task]]
name = "a b"
on = ["nwe", { event = "new", mach = {} }]
argv = ["x", "{in:raw}", "{param:p}", "{what}", "{"]
mem = "2G + in.foo"
timeout = "soon"
retries = { exit = -1, lots = 2 }
pool = "two"
[[barrier]]
name = "b"
over = ["c"]
emit = "done"
policy = { fraction = 2 }
"#;
        let faults = Manifest::parse("p.toml", text).unwrap_err().to_string();
        expect![[r#"
            p.toml:3:17: `one` is 1 to 1000000
            p.toml:5:8: task "a b" must be letters, digits, _ and -, at most 80
            p.toml:6:7: nothing tells the event "nwe": no task (`emits`, `then`), no barrier; if it comes from outside, list it under `events`
            p.toml:6:31: unknown key `mach`; the keys here are event, match
            p.toml:7:14: {in:raw}: there is no input of role "raw"
            p.toml:7:26: {param:p}: there is no parameter "p" under `params`
            p.toml:7:39: unknown placeholder {what}; there are {in:role}, {event:field}, {param:name}, {key}, {run}, {job}, {attempt}, {cpu}, {mem_mb}, {brickyard}
            p.toml:7:49: a single { or }: write {{ or }} for a brace
            p.toml:8:13: `mem`: unknown name `in.foo`; there are in.bytes, in.count, in.<role>.bytes, in.<role>.count, event.<field>, param.<name>
            p.toml:9:11: `timeout` is a time such as "90s", "30m", "6h" or "2d", at most a year
            p.toml:10:20: `exit` is 0 to 1000
            p.toml:10:24: unknown key `lots`; the keys here are lost, preempted, oom, exit, fatal, timeout, staging
            p.toml:11:8: there is no pool "two" under `pools`
            p.toml:14:9: there is no task "c"
            p.toml:16:10: `policy` is "all", { k = 3 } or { fraction = 0.9 }"#]]
        .assert_eq(&faults);
    }

    #[test]
    fn templates_and_globs() {
        assert_eq!(pieces("a{in:x}{{}}"), Ok(vec![Piece::Text("a"), Piece::Place("in", Some("x")), Piece::Text("{"), Piece::Text("}")]));
        assert_eq!(regex("*_phot.fits"), "^.*_phot\\.fits$");
        assert_eq!((seconds("2d"), seconds("5"), seconds("é"), seconds("")), (Some(172_800), None, None, None));
    }
}
