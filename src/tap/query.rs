//! A question and its way to an answer: parameters, translation, a reading session, rows, a document.
//!
//! ```text
//! parameters -> Question -> adql::Statement -> Session -> rows -> format::Answer
//! ```
//!
//! Synchronous requests and asynchronous jobs go the same way. The server gets one row more than may pass, so that an answer says OVERFLOW
//! only if a row was really cut off. A [`Session`] that is dropped before its query ended cancels the query on the server and is thrown away.

use super::published::Published;
use super::{Service, descriptor, upload};
use crate::adql::checked::Constant;
use crate::adql::{self, Catalogue, Relation, Statement};
use crate::db::{self, Connection, pool::Sessions};
use crate::format::{self, Head, Info, Kind, Version};
use crate::schema::rows::{RowsError, WireChunk};
use crate::schema::{Column, WireRows};
use bb8::PooledConnection;
use bytes::Bytes;
use futures_util::stream::{Stream, StreamExt};
use postgres_types::{IsNull, ToSql, Type};
use std::collections::HashSet;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio_postgres::NoTls;
use tokio_postgres::error::SqlState;

/// Languages that LANG may name.
const LANGUAGES: [&str; 3] = ["ADQL", "ADQL-2.0", "ADQL-2.1"];
/// What of a query is put into answers and logs.
const SHOWN: usize = 2000;

/// What is asked, as far as it can be told without a database.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    pub query: String,
    /// Rows that may pass: MAXREC within the service's limit, or its default.
    pub limit: u64,
    pub kind: Kind,
    pub version: Version,
    pub run_id: Option<String>,
}

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A parameter is missing or wrong.
    #[error("{0}")]
    Usage(String),
    /// The query is wrong; the text has line, column, excerpt and remedy.
    #[error("{text}")]
    Adql { code: &'static str, text: String },
    /// It took too long.
    #[error("the query was stopped after {limit_s} s, the limit for {mode} queries")]
    Timeout { limit_s: u64, mode: &'static str },
    /// Somebody stopped it: the service is ending, or the job was aborted.
    #[error("the query was stopped")]
    Stopped,
    /// The planner thinks that it is too much for a synchronous query.
    #[error("this query is estimated to cost {cost:.3e}, synchronous ones may cost {limit:.3e}")]
    Costly { cost: f64, limit: f64 },
    /// The server refused a value or ran out of something, in our own words.
    #[error("{message}")]
    Refused { code: &'static str, message: String, is_ours: bool },
    /// An uploaded table cannot be used.
    #[error("{message}")]
    Upload { code: &'static str, message: String },
    /// The rows cannot be written in this format.
    #[error("{0}")]
    Format(String),
}

impl Failure {
    /// A word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Failure::Usage(_) => "usage",
            Failure::Adql { code, .. } | Failure::Refused { code, .. } | Failure::Upload { code, .. } => code,
            Failure::Timeout { .. } => "timeout",
            Failure::Stopped => "stopped",
            Failure::Costly { .. } => "too-costly",
            Failure::Format(_) => "format",
        }
    }
}

impl Question {
    /// Reads the parameters of DALI and TAP; their names are in capitals already. What is no parameter of ours is ignored.
    pub fn from_parameters(parameters: &[(String, String)], options: &super::Options) -> Result<Question, Failure> {
        let get = |name: &str| {
            let found = parameters.iter().rev().find(|(n, _)| n == name).map(|(_, value)| value.trim());
            found.filter(|value| !value.is_empty())
        };
        if let Some(request) = get("REQUEST").filter(|request| !request.eq_ignore_ascii_case("doQuery")) {
            return Err(Failure::Usage(format!("REQUEST={} is not known: the only request is doQuery", shown(request, 40))));
        }
        let language = get("LANG").ok_or_else(|| Failure::Usage("the parameter LANG is missing: LANG=ADQL".into()))?;
        if !LANGUAGES.iter().any(|known| known.eq_ignore_ascii_case(language)) {
            return Err(Failure::Usage(format!("LANG={} is not spoken here: {}", shown(language, 40), LANGUAGES.join(", "))));
        }
        let query = get("QUERY").ok_or_else(|| Failure::Usage("the parameter QUERY is missing: it is an ADQL query".into()))?;
        let wanted = get("RESPONSEFORMAT").or_else(|| get("FORMAT"));
        Ok(Question {
            query: query.to_owned(),
            limit: limit(get("MAXREC"), options)?,
            kind: kind(wanted)?,
            version: wanted.map(Version::from_request).unwrap_or_default(),
            run_id: get("RUNID").map(|id| shown(id, 64)),
        })
    }
}

/// The row limit that MAXREC means.
pub fn limit(maxrec: Option<&str>, options: &super::Options) -> Result<u64, Failure> {
    let Some(text) = maxrec else { return Ok(options.default_rows.min(options.most_rows)) };
    let is_number = text.bytes().all(|b| b.is_ascii_digit());
    match text.parse::<u64>() {
        Ok(rows) => Ok(rows.min(options.most_rows)),
        // larger than any integer: as much as there is
        Err(_) if is_number => Ok(options.most_rows),
        Err(_) => Err(Failure::Usage(format!("MAXREC={} is not a number of rows", shown(text, 40)))),
    }
}

/// The format that RESPONSEFORMAT means; BINARY2 if it says none.
pub fn kind(wanted: Option<&str>) -> Result<Kind, Failure> {
    let Some(text) = wanted else { return Ok(Kind::Binary2) };
    Kind::from_request(text).ok_or_else(|| {
        let known: Vec<&str> = Kind::ALL.iter().filter_map(|kind| kind.aliases().first().copied()).collect();
        Failure::Usage(format!("RESPONSEFORMAT={} is not known; there are {}", shown(text, 60), known.join(", ")))
    })
}

/// The beginning of a text, without control characters but line ends.
pub fn shown(text: &str, most: usize) -> String {
    let mut short: String = text.chars().take(most).map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect();
    if text.chars().nth(most).is_some() {
        short.push('…');
    }
    short
}

/// What can be asked, at one moment.
pub struct Snapshot {
    pub published: Published,
    pub catalogue: Catalogue,
}

/// A session that reads, for one query at a time.
pub struct Session {
    /// `None` only while it is being dropped.
    held: Option<PooledConnection<'static, Sessions>>,
    /// It has temporary tables, which go with it.
    is_spoiled: bool,
    limit: Duration,
    mode: &'static str,
}

impl Session {
    /// For a synchronous query; its sessions have their limit from the start.
    pub(super) fn synchronous(connection: PooledConnection<'static, Sessions>, limit: Duration) -> Session {
        Session { held: Some(connection), is_spoiled: false, limit, mode: "synchronous" }
    }

    /// For a job, which has a limit of its own.
    pub(super) async fn asynchronous(connection: PooledConnection<'static, Sessions>, limit: Duration) -> Result<Session, db::Error> {
        let wanted = format!("{}ms", limit.as_millis());
        connection.query_typed_one(include_str!("../../sql/tap/job_limit.sql"), &[(&wanted, Type::TEXT)]).await?;
        Ok(Session { held: Some(connection), is_spoiled: false, limit, mode: "asynchronous" })
    }

    /// The connection behind it: for uploads, which go into the same session as the query.
    pub fn connection(&self) -> &Connection {
        self.held.as_ref().expect("held until it is dropped")
    }

    fn failure(&self, error: &db::Error, begun: Instant) -> Failure {
        failure(error, begun.elapsed(), self.limit, self.mode)
    }

    /// Puts uploaded tables into the session, where the query will find them: the relations to translate it with.
    pub async fn upload(&mut self, tables: Vec<(String, upload::Content)>, options: &upload::Options) -> Result<Vec<Relation>, Failure> {
        let begun = Instant::now();
        self.is_spoiled = true;
        upload::prepare(self.connection(), tables, options).await.map_err(|error| match error {
            upload::Error::Db(error) => self.failure(&error, begun),
            error => Failure::from(error),
        })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let (true, Some(connection)) = (self.is_spoiled, &mut self.held) {
            connection.poison();
        }
    }
}

impl From<upload::Error> for Failure {
    fn from(error: upload::Error) -> Failure {
        match error {
            upload::Error::Db(_) | upload::Error::Io(_) => internal(&error.to_string()),
            error => Failure::Upload { code: error.code(), message: error.to_string() },
        }
    }
}

/// While a query runs: dropping it cancels the query.
struct Running {
    session: Session,
    done: bool,
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let token = self.session.connection().cancel_token();
        if let Some(mut connection) = self.session.held.take() {
            connection.poison();
        }
        metrics::counter!("brickyard_queries_cancelled_total").increment(1);
        // The session's end alone does not stop a query that sends nothing.
        tokio::spawn(async move { token.cancel_query(NoTls).await });
    }
}

/// A document that is on its way.
pub struct Answer {
    pub kind: Kind,
    /// Its first bytes are known to be there.
    first: Option<Bytes>,
    /// `None` when it has ended.
    rest: Option<format::Answer>,
    running: Running,
    pub progress: Arc<format::Progress>,
    _held: Vec<Box<dyn std::any::Any + Send>>,
}

impl Answer {
    /// Keeps something for as long as the answer is sent.
    pub fn hold(&mut self, thing: impl std::any::Any + Send) {
        self._held.push(Box::new(thing));
    }
}

impl Stream for Answer {
    type Item = Result<Bytes, format::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        let Some(rest) = &mut self.rest else { return Poll::Ready(None) };
        let next = std::task::ready!(rest.poll_next_unpin(context));
        if next.is_none() {
            self.rest = None;
            // The server had one row more to send at most, so that a cut-off answer leaves the session as free as a whole one.
            self.running.done = matches!(self.progress.ending(), Some(format::Ending::Complete | format::Ending::Overflow));
        }
        Poll::Ready(next)
    }
}

/// Translates a question.
pub fn translate(question: &Question, catalogue: &Catalogue) -> Result<Statement, Failure> {
    let options = adql::Options { row_limit: Some(question.limit.saturating_add(1)) };
    adql::translate(&question.query, catalogue, &options).map_err(|error| Failure::Adql {
        code: error.code.name(),
        text: error.render(&question.query).trim_start_matches("error: ").to_owned(),
    })
}

/// Runs a statement in a session and writes its rows; returns when the first bytes are there.
pub async fn run(service: &Service, session: Session, statement: &Statement, question: &Question, head: Head) -> Result<Answer, Failure> {
    let begun = Instant::now();
    let running = Running { session, done: false };
    let (limit, mode) = (running.session.limit, running.session.mode);
    let rows = match question.limit {
        0 => a_row_too_many(&statement.columns),
        _ => match rows(service, &running.session, statement, begun).await {
            Ok(rows) => rows,
            Err(failure) => return Err(ended(running, failure)),
        },
    };
    let rows = WireRows { columns: rows.columns, chunks: told(rows.chunks, begun, limit, mode) };
    let mut rest = format::answer(rows, head, question.kind, Some(question.limit));
    let progress = rest.progress();
    let first = match rest.next().await {
        Some(Ok(first)) => Some(first),
        Some(Err(format::Error::Rows(error))) => {
            let failure = error.downcast::<Failure>().map_or_else(|other| internal(&other.to_string()), |failure| *failure);
            return Err(ended(running, failure));
        }
        Some(Err(error)) => return Err(Failure::Format(error.to_string())),
        None => None,
    };
    metrics::histogram!("brickyard_query_first_row_seconds").record(begun.elapsed().as_secs_f64());
    let rest = first.is_some().then_some(rest);
    Ok(Answer { kind: question.kind, first, rest, running, progress, _held: Vec::new() })
}

/// What stands for the rows when none may pass: the server need not be asked, and the answer says that it was cut off.
fn a_row_too_many(columns: &[Column]) -> WireRows {
    const NULL: [u8; 4] = [0xff; 4];
    let chunk = WireChunk { rows: 1, bytes: NULL.repeat(columns.len()) };
    WireRows { columns: columns.to_vec(), chunks: futures_util::stream::iter([Ok(chunk)]).boxed() }
}

/// The query has failed on the server, so that its session is free again.
fn ended(mut running: Running, failure: Failure) -> Failure {
    running.done = !matches!(failure, Failure::Refused { code: "unavailable", .. });
    failure
}

/// What the planner thinks that a statement costs, in its own unit.
pub async fn cost(session: &Session, statement: &Statement) -> Result<f64, Failure> {
    let begun = Instant::now();
    let literals: Vec<Literal<'_>> = statement.parameters.iter().map(Literal).collect();
    let parameters: Vec<(&(dyn ToSql + Sync), Type)> = literals.iter().map(|literal| (literal as _, literal.ty())).collect();
    let asked = db::query::cost(session.connection(), &statement.sql, &parameters).await;
    asked.map_err(|error| said(session, error, begun))
}

/// How the planner would run a statement, with its cost, a line for each step.
pub async fn plan(connection: &Connection, statement: &Statement) -> Result<Vec<String>, db::query::Error> {
    let literals: Vec<Literal<'_>> = statement.parameters.iter().map(Literal).collect();
    let parameters: Vec<(&(dyn ToSql + Sync), Type)> = literals.iter().map(|literal| (literal as _, literal.ty())).collect();
    db::query::plan(connection, &statement.sql, &parameters).await
}

async fn rows(service: &Service, session: &Session, statement: &Statement, begun: Instant) -> Result<WireRows, Failure> {
    let literals: Vec<Literal<'_>> = statement.parameters.iter().map(Literal).collect();
    let parameters: Vec<(&(dyn ToSql + Sync), Type)> = literals.iter().map(|literal| (literal as _, literal.ty())).collect();
    if service.options.sync_cost_limit > 0.0 && session.mode == "synchronous" {
        let cost = db::query::cost(session.connection(), &statement.sql, &parameters).await;
        let cost = cost.map_err(|error| said(session, error, begun))?;
        if cost > service.options.sync_cost_limit {
            return Err(Failure::Costly { cost, limit: service.options.sync_cost_limit });
        }
    }
    let asked = db::query::wire_rows_typed(session.connection(), &statement.sql, &parameters, &statement.columns);
    asked.await.map_err(|error| said(session, error, begun))
}

fn said(session: &Session, error: db::query::Error, begun: Instant) -> Failure {
    match error {
        db::query::Error::Server(error) => session.failure(&error, begun),
        other => internal(&other.to_string()),
    }
}

type Chunks = Pin<Box<dyn Stream<Item = Result<WireChunk, RowsError>> + Send>>;

/// Rows whose error, if one comes, is told in our own words.
fn told(chunks: Chunks, begun: Instant, limit: Duration, mode: &'static str) -> Chunks {
    let tell = move |error: RowsError| -> RowsError {
        let failure = match error.downcast_ref::<db::query::Error>() {
            Some(db::query::Error::Server(error)) => failure(error, begun.elapsed(), limit, mode),
            _ => internal(&error.to_string()),
        };
        Box::new(failure)
    };
    chunks.map(move |chunk| chunk.map_err(tell)).boxed()
}

/// A literal of the query, as the server takes it.
#[derive(Debug)]
struct Literal<'a>(&'a adql::Parameter);

impl Literal<'_> {
    fn ty(&self) -> Type {
        match self.0 {
            Constant::Boolean(_) => Type::BOOL,
            Constant::Integer(_) => Type::INT4,
            Constant::Bigint(_) => Type::INT8,
            Constant::Double(_) => Type::FLOAT8,
            Constant::Text(_) => Type::TEXT,
            Constant::Timestamp(_) => Type::TIMESTAMP,
            Constant::Bigints(_) => Type::INT8_ARRAY,
            Constant::Doubles(_) => Type::FLOAT8_ARRAY,
            Constant::Texts(_) => Type::TEXT_ARRAY,
        }
    }
}

impl ToSql for Literal<'_> {
    fn to_sql(&self, ty: &Type, out: &mut bytes::BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self.0 {
            Constant::Boolean(value) => value.to_sql(ty, out),
            Constant::Integer(value) => value.to_sql(ty, out),
            // PostgreSQL counts microseconds since 2000 in the same eight bytes
            Constant::Bigint(value) | Constant::Timestamp(value) => value.to_sql(&Type::INT8, out),
            Constant::Double(value) => value.to_sql(ty, out),
            Constant::Text(value) => value.to_sql(ty, out),
            Constant::Bigints(values) => values.to_sql(ty, out),
            Constant::Doubles(values) => values.to_sql(ty, out),
            Constant::Texts(values) => values.to_sql(ty, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    postgres_types::to_sql_checked!();
}

/// Nobody's business; the log has it.
fn internal(cause: &str) -> Failure {
    tracing::error!(cause, "a query failed inside");
    Failure::Refused {
        code: "internal",
        message: "the service failed on this query; its operators find out why in their log".into(),
        is_ours: true,
    }
}

/// What the server said, in words that tell the client what to do and nothing of the SQL.
fn failure(error: &db::Error, elapsed: Duration, limit: Duration, mode: &'static str) -> Failure {
    let refused = |code, message: &str| Failure::Refused { code, message: message.to_owned(), is_ours: false };
    let ours = |code, message: &str| Failure::Refused { code, message: message.to_owned(), is_ours: true };
    let Some(code) = error.code() else {
        tracing::error!(cause = %error, "the database failed a query");
        return match error {
            db::Error::DiskFull { .. } => ours("resources", "the database has no room left for this query's intermediate results"),
            _ => ours("unavailable", "the database cannot be reached at the moment"),
        };
    };
    // Server time and ours differ by the way there; a cancelled query that came so far was stopped by the limit.
    let near = elapsed + Duration::from_millis(500) >= limit;
    match *code {
        SqlState::QUERY_CANCELED if near => return Failure::Timeout { limit_s: limit.as_secs(), mode },
        SqlState::QUERY_CANCELED => return Failure::Stopped,
        _ => {}
    }
    tracing::info!(cause = %error, "the database refused a query");
    match code.code() {
        "22012" => refused("division-by-zero", "a division by zero: NULLIF(divisor, 0) makes the result null instead"),
        "22003" => refused("out-of-range", "a number became too large for its type: CAST it to DOUBLE PRECISION first"),
        "2201E" | "2201F" => refused("domain", "a logarithm or power of a number that has none: exclude such rows in WHERE"),
        "22P02" | "22007" | "22008" => {
            refused("bad-value", "a text cannot be read as the number or time that it is compared with or cast to")
        }
        "21000" => refused("many-rows", "a subquery that stands for one value gave more than one row: TOP 1 or an aggregate makes it one"),
        "22023" | "2202E" => refused("bad-argument", "a function was called with an argument that it does not take"),
        "53400" | "53100" => {
            refused("resources", "the query's intermediate results are larger than a query may keep: select fewer columns or rows")
        }
        "53200" => ours("resources", "the database has not enough memory for this query"),
        "54000" | "54001" | "54023" => refused("too-complex", "the query is too complex for the database"),
        "55P03" => ours("locked", "a table is being changed at the moment: try again"),
        "42P01" | "42703" => ours("changed", "a table was changed while the query was made ready: try again"),
        "25006" | "42501" => ours("forbidden", "the query asks for something that is not published"),
        _ => internal(&error.to_string()),
    }
}

/// What an answer says of itself.
pub fn head(service: &Service, question: &Question, statement: &Statement, snapshot: &Snapshot) -> Head {
    let mut infos = vec![
        Info { name: "QUERY".into(), value: shown(&question.query, SHOWN), text: String::new() },
        Info::new("server_software", concat!("brickyard/", env!("CARGO_PKG_VERSION"))),
    ];
    infos.extend(citations(snapshot, statement).map(|citation| Info::new("citation", citation)));
    Head {
        columns: statement.columns.clone(),
        infos,
        overflow: format!(
            "The answer was cut off after {} rows; MAXREC sets this limit, up to {}.",
            question.limit, service.options.most_rows
        ),
        resources: descriptor::for_columns(&service.place.base_url, &statement.columns),
        version: question.version,
        scratch_dir: service.scratch_dir(),
        ..Head::default()
    }
}

/// How to cite the catalogues that were asked.
fn citations<'a>(snapshot: &'a Snapshot, statement: &'a Statement) -> impl Iterator<Item = &'a str> {
    let count = snapshot.catalogue.relations().count();
    let asked: HashSet<&str> = statement
        .relations
        .iter()
        .filter(|index| **index < count)
        .map(|index| snapshot.catalogue.relation(*index).adql_schema.as_str())
        .collect();
    let catalogs = snapshot.published.catalogs.iter().filter(move |catalog| asked.contains(catalog.name.as_str()));
    catalogs.map(|catalog| catalog.citation.as_str()).filter(|citation| !citation.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tap::Options;

    fn question(pairs: &[(&str, &str)]) -> Result<Question, Failure> {
        let pairs: Vec<(String, String)> = pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        Question::from_parameters(&pairs, &Options::default())
    }

    #[test]
    fn parameters_are_read_as_dali_says() {
        let asked =
            question(&[("LANG", "adql-2.1"), ("QUERY", " SELECT 1 "), ("MAXREC", "99999999999999999999999"), ("FORMAT", "csv")]).unwrap();
        assert_eq!((asked.query.as_str(), asked.limit, asked.kind), ("SELECT 1", Options::default().most_rows, Kind::Csv));
        let plain = question(&[("LANG", "ADQL"), ("QUERY", "x"), ("DUMMY", "ignore-me"), ("REQUEST", "doQuery")]).unwrap();
        assert_eq!((plain.limit, plain.kind), (Options::default().default_rows, Kind::Binary2));
        for wrong in [
            &[("QUERY", "x")][..],
            &[("LANG", "ADQL")],
            &[("LANG", "SQL"), ("QUERY", "x")],
            &[("LANG", "ADQL"), ("QUERY", "x"), ("MAXREC", "-1")],
            &[("LANG", "ADQL"), ("QUERY", "x"), ("RESPONSEFORMAT", "image/png")],
            &[("LANG", "ADQL"), ("QUERY", "x"), ("REQUEST", "getCapabilities")],
        ] {
            assert_eq!(question(wrong).unwrap_err().code(), "usage");
        }
    }
}
