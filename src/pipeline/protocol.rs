//! What worker and master say to each other: JSON over HTTP, decoded strictly.
//!
//! Unknown fields are refused, and every list and text has a bound ([`Bounded::check`]); a body has at most [`BODY_BYTES`]. Every report
//! may be repeated for ever: (job, attempt, kind of report) is its identity.

use super::manifest::Output;
use super::state::{Class, Verdict};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Largest body of a request, bytes apart.
pub const BODY_BYTES: usize = 4 << 20;
/// Seconds for which a claim is good without a heartbeat.
pub const LEASE_S: i32 = 60;
/// Seconds between heartbeats.
pub const HEARTBEAT_S: u64 = 15;
/// Seconds without an answer after which a worker kills its children: before the lease can pass.
pub const CUT_OFF_S: u64 = 45;
/// Most events of one report or piece.
pub const EVENTS: usize = 10_000;
/// Most events of one attempt, all pieces together.
pub const EVENTS_TOTAL: usize = 1_000_000;
/// Most outputs of one attempt.
pub const ARTIFACTS: usize = 10_000;
/// Most jobs of one claim or heartbeat.
pub const JOBS: usize = 1_000;
/// Longest piece of a log, bytes.
pub const LOG_BYTES: usize = 64 << 10;
/// Longest log that is kept of one attempt, bytes.
pub const LOG_TOTAL_BYTES: u64 = 16 << 20;

/// A request whose sizes are checked after decoding.
pub trait Bounded {
    /// The first thing out of bounds.
    fn check(&self) -> Result<(), String>;
}

fn name(what: &str, text: &str, most: usize) -> Result<(), String> {
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '+' | '@' | '='));
    match plain && !text.is_empty() && text.len() <= most && !text.starts_with('.') {
        true => Ok(()),
        false => Err(format!("{what} must be 1 to {most} letters, digits, _ - . + @ =, not beginning with a dot")),
    }
}

fn at_most(what: &str, found: usize, most: usize) -> Result<(), String> {
    if found <= most { Ok(()) } else { Err(format!("{what}: {found}, at most {most}")) }
}

/// PostgreSQL's texts hold any character but NUL: one that came through would be refused at every try.
fn text(what: &str, text: &str, most: usize) -> Result<(), String> {
    at_most(&format!("length of {what}"), text.len(), most)?;
    if text.contains('\0') { Err(format!("{what}: a NUL character")) } else { Ok(()) }
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(values) => values.iter().any(has_nul),
        Value::Object(fields) => fields.iter().any(|(name, value)| name.contains('\0') || has_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Register {
    pub name: String,
    /// The machine; losses are counted by it.
    pub node: String,
    /// Kinds of tasks that it serves; those of the token if empty.
    #[serde(default)]
    pub classes: Vec<String>,
    pub slots: i32,
    pub mem_mb: i32,
    pub disk_mb: i32,
    #[serde(default)]
    pub price_per_h: Option<f32>,
    pub version: String,
}

impl Bounded for Register {
    fn check(&self) -> Result<(), String> {
        name("name", &self.name, 120)?;
        name("node", &self.node, 120)?;
        at_most("classes", self.classes.len(), 32)?;
        self.classes.iter().try_for_each(|class| name("class", class, 80))?;
        name("version", &self.version, 80)?;
        if self.price_per_h.is_some_and(|price| !(0.0..1e6).contains(&price)) {
            return Err("price_per_h: 0 to a million".into());
        }
        let positive = [("slots", self.slots), ("mem_mb", self.mem_mb), ("disk_mb", self.disk_mb)];
        match positive.into_iter().find(|(_, value)| *value < 1) {
            Some((what, _)) => Err(format!("{what} must be positive")),
            None => Ok(()),
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Registered {
    pub worker: i64,
    pub lease_s: i32,
    pub heartbeat_s: u64,
    /// Attempts of an earlier worker of this name that were given up.
    pub lost: i32,
}

/// What a worker has free. A claim of no job calls back the one that waits: it was made when less was free.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    pub worker: i64,
    pub jobs: i32,
    pub cpu: i32,
    pub mem_mb: i32,
    pub disk_mb: i32,
}

impl Bounded for Claim {
    fn check(&self) -> Result<(), String> {
        match (0..=JOBS as i32).contains(&self.jobs) {
            true => Ok(()),
            false => Err(format!("jobs: 0 to {JOBS}")),
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Claimed {
    pub jobs: Vec<Job>,
}

/// A job as a worker is given it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    pub job: i64,
    pub attempt: i32,
    pub run: String,
    pub task: String,
    pub argv: Vec<String>,
    pub env: BTreeMap<String, String>,
    pub params: BTreeMap<String, String>,
    pub timeout_s: u64,
    pub cpu: i32,
    pub mem_mb: i32,
    pub disk_mb: i32,
    pub event: Told,
    pub inputs: Vec<Input>,
    pub needs: BTreeMap<String, u32>,
    pub outputs: Vec<Output>,
    pub emits: Vec<String>,
    pub then: Vec<String>,
}

/// An event, as tasks tell it and are told it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Told {
    pub name: String,
    pub key: String,
    #[serde(default = "nothing")]
    pub payload: Value,
}

fn nothing() -> Value {
    Value::Object(Default::default())
}

impl Told {
    pub fn check(&self) -> Result<(), String> {
        text("an event's name", &self.name, 160)?;
        text("an event's key", &self.key, 400)?;
        if has_nul(&self.payload) {
            return Err("the payload of an event: a NUL character".into());
        }
        match (&self.payload, self.key.is_empty() || self.name.is_empty()) {
            (_, true) => Err("an event has a name and a key".into()),
            (Value::Object(_), _) => Ok(()),
            _ => Err("the payload of an event is an object".into()),
        }
    }
}

/// A file that a job reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    pub role: String,
    pub name: String,
    pub key: String,
    pub sha256: String,
    pub bytes: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heartbeat {
    pub worker: i64,
    /// (job, attempt) of all that it runs.
    pub jobs: Vec<(i64, i32)>,
    /// It takes no more jobs.
    #[serde(default)]
    pub draining: bool,
    /// It has ended.
    #[serde(default)]
    pub leaving: bool,
}

impl Bounded for Heartbeat {
    fn check(&self) -> Result<(), String> {
        at_most("jobs", self.jobs.len(), JOBS)
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Alive {
    /// Jobs that it may go on with; all others it must stop.
    pub jobs: Vec<i64>,
}

/// What an attempt used.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Usage {
    #[serde(default)]
    pub max_rss_mb: Option<i32>,
    #[serde(default)]
    pub cpu_s: Option<f32>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Complete {
    pub worker: i64,
    #[serde(default)]
    pub usage: Usage,
    #[serde(default)]
    pub artifacts: Vec<Artifact>,
    #[serde(default)]
    pub events: Vec<Told>,
}

impl Bounded for Complete {
    fn check(&self) -> Result<(), String> {
        at_most("artifacts", self.artifacts.len(), ARTIFACTS)?;
        at_most("events", self.events.len(), EVENTS)?;
        self.events.iter().try_for_each(Told::check)?;
        self.artifacts.iter().try_for_each(Artifact::check)
    }
}

/// An output that was published under its place in the store.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Artifact {
    pub role: String,
    pub name: String,
    pub sha256: String,
    pub bytes: u64,
}

impl Artifact {
    fn check(&self) -> Result<(), String> {
        name("role", &self.role, 80)?;
        name("name of an output", &self.name, 200)?;
        at_most("bytes", usize::from(i64::try_from(self.bytes).is_err()), 0)?;
        match self.sha256.len() == 64 && self.sha256.bytes().all(|b| b.is_ascii_hexdigit()) {
            true => Ok(()),
            false => Err("sha256 is 64 hexadecimal digits".into()),
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fail {
    pub worker: i64,
    pub class: Class,
    #[serde(default)]
    pub exit_code: Option<i32>,
    #[serde(default)]
    pub signal: Option<i32>,
    #[serde(default)]
    pub usage: Usage,
    #[serde(default)]
    pub message: String,
}

impl Bounded for Fail {
    fn check(&self) -> Result<(), String> {
        text("the message", &self.message, 4000)?;
        match self.class {
            Class::Lost => Err("a worker that reports is not lost".into()),
            _ => Ok(()),
        }
    }
}

/// The answer to `complete`, `fail` and `stage`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Answer {
    pub verdict: Verdict,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    pub worker: i64,
    pub chunk: i32,
    pub events: Vec<Told>,
}

impl Bounded for Stage {
    fn check(&self) -> Result<(), String> {
        at_most("events", self.events.len(), EVENTS)?;
        at_most("chunk", usize::try_from(self.chunk).map_err(|_| "chunk: 0 or more")?, EVENTS_TOTAL / EVENTS - 1)?;
        self.events.iter().try_for_each(Told::check)
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Urls {
    pub worker: i64,
    /// Keys of inputs to read.
    #[serde(default)]
    pub get: Vec<String>,
    /// Names of outputs to write.
    #[serde(default)]
    pub put: Vec<String>,
}

impl Bounded for Urls {
    fn check(&self) -> Result<(), String> {
        at_most("get", self.get.len(), 1000)?;
        at_most("put", self.put.len(), 1000)?;
        self.put.iter().try_for_each(|output| name("name of an output", output, 200))
    }
}

/// URLs in the order asked, good for some minutes; a path is relative to the master's own URL.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Signed {
    pub get: Vec<String>,
    pub put: Vec<String>,
}

/// The answer to a piece of a log: how much of it is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Logged {
    pub bytes: u64,
}

/// What is said when a request is refused.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Refusal {
    pub error: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_table_can_hold_is_refused_with_its_place() {
        let told = |text: &str| serde_json::from_str::<Told>(text).expect("JSON").check();
        assert_eq!(told(r#"{"name": "a", "key": "b", "payload": {"c": [{"d": "e"}]}}"#), Ok(()));
        assert_eq!(told(r#"{"name": "a", "key": "b\u0000"}"#), Err("an event's key: a NUL character".into()));
        for payload in [r#"{"c": [{"d": "\u0000"}]}"#, r#"{"\u0000": 1}"#] {
            let found = told(&format!(r#"{{"name": "a", "key": "b", "payload": {payload}}}"#));
            assert_eq!(found, Err("the payload of an event: a NUL character".into()), "{payload}");
        }
        let fail: Fail = serde_json::from_str(r#"{"worker": 1, "class": "exit", "message": "\u0000"}"#).expect("JSON");
        assert_eq!(fail.check(), Err("the message: a NUL character".into()));
        let register = r#"{"name": "w", "node": "n", "slots": 1, "mem_mb": 1, "disk_mb": 1, "version": "1", "price_per_h": 1e300}"#;
        assert!(serde_json::from_str::<Register>(register).expect("JSON").check().is_err());
    }
}
