//! Uploaded tables (TAP 1.1, section 2.5): `UPLOAD=name,param:part` or `UPLOAD=name,http://...` becomes the relation `TAP_UPLOAD.name`.
//!
//! A file is known by what it begins with, whatever it is called. Its rows stream by COPY into a temporary table of the very session
//! that will ask the query, with a Q3C index where it has positions, and statistics; the query itself then runs in a transaction that may
//! only read. The table's name is ours; names of its columns are the user's, always quoted.
//!
//! Files by URL are fetched only from hosts that the operator names ([`Options::hosts`]); their addresses are resolved once, checked, and
//! connected to as checked; redirects are not followed. A private address is reached only if the operator wrote that address itself.

pub mod fetch;
pub mod options;

pub use options::Options;

use crate::adql::Relation;
use crate::db::{self, Connection, copy::CopyError};
use crate::format::{self, read};
use crate::schema::rows::{RowsError, WireChunk};
use crate::schema::{Column, DataType, Index, IndexKey, Table, WireRows, ddl};
use read::Limits;
use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Names in UPLOAD at most, of one request.
const TABLES: usize = 32;
/// Chunks that are read ahead.
const CHUNKS: usize = 4;
/// Rows from which an upload is laid out along the sky: a match then walks through the big table in its own order. 100,000 positions
/// against 2 million rows within 1 arcsec took 1.7 CPU seconds so, 2.8 in the order of a random file. Smaller ones keep their order.
const LAID_OUT: u64 = 10_000;
/// Columns that every PostgreSQL table has.
const SYSTEM_COLUMNS: [&str; 6] = ["tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"];
/// The longest name that a table can be given.
const TABLE_NAME: usize = 128;

/// Why an upload cannot be used. The texts are for the client; they name the table and the limit.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("UPLOAD={text}: {problem}; write UPLOAD=name,param:part, or name,http://... where this service takes URLs")]
    Syntax { text: String, problem: String },
    #[error("UPLOAD names the table {0} twice")]
    Twice(String),
    #[error("UPLOAD={name},param:{part}: the form has no part of that name{seen}")]
    NoPart { name: String, part: String, seen: String },
    #[error("the upload {name} {problem}")]
    Content { name: String, problem: String },
    /// A limit, which HTTP calls 413.
    #[error("the upload {name}: {problem}")]
    TooLarge { name: String, problem: String },
    #[error("the upload {name} cannot be fetched: {problem}")]
    Fetch { name: String, problem: String },
    #[error(transparent)]
    Db(#[from] db::Error),
    #[error("an upload cannot be read back from the disk")]
    Io(#[from] io::Error),
}

impl Error {
    /// A word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Error::TooLarge { .. } => "limit-upload",
            Error::Syntax { .. } | Error::Twice(_) | Error::NoPart { .. } | Error::Content { .. } => "upload",
            Error::Fetch { .. } => "upload-fetch",
            Error::Db(_) | Error::Io(_) => "internal",
        }
    }
}

/// What UPLOAD says of one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// `x` in TAP_UPLOAD.x
    pub name: String,
    pub source: Source,
}

/// Where a table comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A part of the form.
    Part(String),
    Url(String),
}

/// A file that is here, from its beginning.
#[derive(Debug)]
pub struct Content {
    pub file: File,
}

/// The schema of uploaded tables in ADQL.
const SCHEMA: &str = "TAP_UPLOAD";

/// The tables that the values of UPLOAD name; the parameter may come several times, and each value may name several.
pub fn parse<'a>(values: impl Iterator<Item = &'a str>) -> Result<Vec<Named>, Error> {
    let mut all: Vec<Named> = Vec::new();
    for named in values.flat_map(split).filter(|text| !text.trim().is_empty()) {
        let named = one(named.trim())?;
        if all.iter().any(|other| other.name.eq_ignore_ascii_case(&named.name)) {
            return Err(Error::Twice(named.name));
        }
        all.push(named);
        if all.len() > TABLES {
            return Err(Error::TooLarge {
                name: shown(&all[TABLES].name),
                problem: format!("no more than {TABLES} tables can be uploaded at once"),
            });
        }
    }
    Ok(all)
}

/// Cuts at the `;` that a new name follows: a URL may have others.
fn split(value: &str) -> impl Iterator<Item = &str> {
    let begins = |rest: &str| {
        let rest = rest.trim_start();
        rest.is_empty()
            || rest.split_once(',').is_some_and(|(name, uri)| {
                let uri = uri.trim_start().to_ascii_lowercase();
                table_name(name).is_ok() && ["param:", "http:", "https:"].iter().any(|scheme| uri.starts_with(scheme))
            })
    };
    let cuts: Vec<usize> = value.match_indices(';').map(|(i, _)| i).filter(|&i| begins(&value[i + 1..])).collect();
    let starts = std::iter::once(0).chain(cuts.clone().into_iter().map(|i| i + 1));
    starts.zip(cuts.into_iter().chain(std::iter::once(value.len()))).map(|(start, end)| &value[start..end])
}

fn one(text: &str) -> Result<Named, Error> {
    let bad = |problem: &str| Error::Syntax { text: shown(text), problem: problem.to_owned() };
    let (name, uri) = text.split_once(',').ok_or_else(|| bad("it has no comma"))?;
    let name = table_name(name).map_err(|problem| bad(&problem))?;
    let uri = uri.trim();
    let lower = uri.to_ascii_lowercase();
    let source = match uri.get("param:".len()..) {
        Some(part) if lower.starts_with("param:") && !part.trim().is_empty() => Source::Part(part.trim().to_owned()),
        _ if lower.starts_with("http://") || lower.starts_with("https://") => Source::Url(uri.to_owned()),
        _ => return Err(bad("after the comma comes neither param: and the name of a part, nor http:// or https://")),
    };
    Ok(Named { name, source })
}

/// An ADQL identifier; `TAP_UPLOAD.` before it and quotes around it are taken off.
fn table_name(text: &str) -> Result<String, String> {
    let text = text.trim();
    let bare = text.get("TAP_UPLOAD.".len()..).filter(|_| text.to_ascii_uppercase().starts_with("TAP_UPLOAD."));
    let name = bare.unwrap_or(text).trim();
    if let Some(quoted) = name.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        let fine = (1..=TABLE_NAME).contains(&quoted.chars().count()) && !quoted.contains(['"', '\0']);
        return if fine { Ok(quoted.to_owned()) } else { Err("the quoted name is empty, too long, or has quotes in it".into()) };
    }
    let mut chars = name.chars();
    let fine = chars.next().is_some_and(|c| c.is_ascii_alphabetic()) && chars.all(|c| c.is_ascii_alphanumeric() || c == '_');
    match fine && name.len() <= TABLE_NAME {
        true => Ok(name.to_owned()),
        false => Err(format!("`{}` is no name of a table: a letter, then letters, digits and _", shown(name))),
    }
}

/// A user's text, short and in one line.
fn shown(text: &str) -> String {
    const SHOWN: usize = 80;
    let line: String = text.chars().take(SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().count() > SHOWN { line + "..." } else { line }
}

/// The files that are meant, from the parts of a form (by name) and from the network.
///
/// `scratch` gives an empty file without a name for each that is fetched.
pub async fn collect(
    named: Vec<Named>,
    mut parts: Vec<(String, Content)>,
    scratch: impl Fn() -> io::Result<File>,
    options: &Options,
) -> Result<Vec<(String, Content)>, Error> {
    let mut tables = Vec::with_capacity(named.len());
    let mut fetched = 0;
    for Named { name, source } in named {
        let content = match source {
            Source::Part(part) => pick(&mut parts, &name, &part)?,
            Source::Url(url) => {
                let mut content = fetch::fetch(&name, &url, scratch()?, options.bytes.saturating_sub(fetched), options).await?;
                fetched += content.file.seek(SeekFrom::End(0))?;
                content.file.seek(SeekFrom::Start(0))?;
                content
            }
        };
        tables.push((name, content));
    }
    Ok(tables)
}

/// The part of that name, which goes; one part may be used under two names.
fn pick(parts: &mut [(String, Content)], name: &str, part: &str) -> Result<Content, Error> {
    let exact = parts.iter().position(|(known, _)| known == part);
    let found = exact.or_else(|| parts.iter().position(|(known, _)| known.eq_ignore_ascii_case(part)));
    let Some(found) = found else {
        let seen: Vec<String> = parts.iter().map(|(known, _)| shown(known)).collect();
        let seen = if seen.is_empty() { String::new() } else { format!("; it has {}", seen.join(", ")) };
        return Err(Error::NoPart { name: name.to_owned(), part: shown(part), seen });
    };
    Ok(Content { file: parts[found].1.file.try_clone()? })
}

/// Puts the tables into this session and forgets those of before; what a query can name them by.
///
/// The session is in no transaction afterwards, and its default (to read only) holds again.
pub async fn prepare(client: &Connection, tables: Vec<(String, Content)>, options: &Options) -> Result<Vec<Relation>, Error> {
    client.batch_execute(include_str!("../../../sql/tap/upload_begin.sql")).await.map_err(db::Error::from)?;
    let mut loaded = Vec::with_capacity(tables.len());
    for (number, (name, content)) in tables.into_iter().enumerate() {
        loaded.push(load(client, number + 1, &name, content, options).await?);
    }
    client.batch_execute("COMMIT").await.map_err(db::Error::from)?;
    Ok(loaded)
}

/// One table, within the transaction of [`prepare`].
async fn load(client: &Connection, number: usize, name: &str, content: Content, options: &Options) -> Result<Relation, Error> {
    let rows = open(content, options.limits()).await.map_err(|error| reading(name, &error))?;
    let table = table(name, number, &rows.columns)?;
    client.batch_execute(&ddl::create_table(&table)).await.map_err(db::Error::from)?;
    let columns: Vec<String> = table.columns.iter().map(|column| db::ident(&column.name)).collect();
    let copy = format!("COPY {} ({}) FROM STDIN (FORMAT binary)", ddl::qualified(&table), columns.join(", "));
    let rows = db::copy(client, &copy, rows).await.map_err(|error| copying(name, error))?;
    if let (true, Some(index)) = (rows >= LAID_OUT, table.indexes.first()) {
        client.batch_execute(&lay_out(&table, index)).await.map_err(|error| copying(name, error.into()))?;
    }
    for index in &table.indexes {
        client.batch_execute(&ddl::create_index(&table, index)).await.map_err(|error| copying(name, error.into()))?;
    }
    client.batch_execute(&format!("ANALYZE {}", ddl::qualified(&table))).await.map_err(db::Error::from)?;
    let sql = ddl::qualified(&table);
    let table = Table { schema: SCHEMA.into(), name: name.to_owned(), ..table };
    Ok(Relation { adql_schema: SCHEMA.into(), table: Arc::new(table), sql, rows: Some(rows) })
}

/// Puts the rows into the order of an index. CLUSTER would want the index first and build it twice.
fn lay_out(table: &Table, index: &Index) -> String {
    let (name, own) = (ddl::qualified(table), db::ident(&table.name));
    let laid_out = Table { name: format!("{}_laid_out", table.name), ..table.clone() };
    let (new, order) = (ddl::qualified(&laid_out), ddl::index_expression(index));
    format!(
        "CREATE TABLE {new} (LIKE {name}); INSERT INTO {new} SELECT * FROM {name} ORDER BY {order}; DROP TABLE {name}; ALTER TABLE {new} RENAME TO {own}"
    )
}

/// Reads a file on a thread of its own, a few chunks ahead.
async fn open(content: Content, limits: Limits) -> Result<WireRows, read::Error> {
    let (tell, told) = oneshot::channel();
    let (send, mut receive) = mpsc::channel::<Result<WireChunk, RowsError>>(CHUNKS);
    tokio::task::spawn_blocking(move || {
        let reader = match format::read::read(None, content.file, limits) {
            Ok(reader) => reader,
            Err(error) => return drop(tell.send(Err(error))),
        };
        if tell.send(Ok(reader.columns.clone())).is_err() {
            return; // nobody waits any more
        }
        for chunk in reader {
            let over = chunk.is_err();
            if send.blocking_send(chunk.map_err(RowsError::from)).is_err() || over {
                return;
            }
        }
    });
    let columns = told.await.map_err(|_| io::Error::other("the reading thread ended"))??;
    Ok(WireRows { columns, chunks: Box::pin(futures_util::stream::poll_fn(move |context| receive.poll_recv(context))) })
}

fn copying(name: &str, error: CopyError) -> Error {
    let content = |problem: String| Error::Content { name: name.to_owned(), problem };
    match error {
        CopyError::Rows(error) => match error.downcast_ref::<read::Error>() {
            Some(error) => reading(name, error),
            None => content(format!("cannot be read: {error}")),
        },
        // class 22: a value that the type cannot hold, such as a NUL character in a text
        CopyError::Server(error) if error.code().is_some_and(|code| code.code().starts_with("22")) => {
            content(format!("has a value that the database cannot hold: {error}"))
        }
        CopyError::Server(error) => Error::Db(error),
        CopyError::Wire(error) => content(format!("cannot be read: {error}")),
        CopyError::Columns { columns } => content(format!("has {columns} columns")),
    }
}

fn reading(name: &str, error: &read::Error) -> Error {
    let (name, problem) = (name.to_owned(), error.to_string());
    match error.is_too_large() {
        true => Error::TooLarge { name, problem },
        false => Error::Content { name, problem: format!("cannot be read: {problem}") },
    }
}

/// The temporary table for columns that a file has.
fn table(name: &str, number: usize, columns: &[Column]) -> Result<Table, Error> {
    let problem = |problem: String| Error::Content { name: name.to_owned(), problem };
    if let Some(column) = columns.iter().find(|column| SYSTEM_COLUMNS.contains(&column.name.as_str())) {
        return Err(problem(format!("has a column `{}`, a name that the database keeps for itself: rename it", column.name)));
    }
    let columns: Vec<Column> = columns.iter().map(|column| Column { nullable: true, ..column.clone() }).collect();
    let table_name = format!("tap_upload_{number}");
    let position = position(&columns);
    let key = |(ra, dec): &(String, String)| IndexKey::Q3c { ra: ra.clone(), dec: dec.clone() };
    let indexes = position.iter().map(|position| Index { name: format!("{table_name}_q3c_idx"), key: key(position) }).collect();
    Ok(Table {
        schema: "pg_temp".into(),
        name: table_name,
        description: format!("uploaded as {name}"),
        columns,
        key: Vec::new(),
        position,
        indexes,
        storage: Vec::new(),
        array_storage: None,
        outline: None,
    })
}

/// The columns of a position: by UCD (the main one first), else by the names that people give them.
fn position(columns: &[Column]) -> Option<(String, String)> {
    const NAMES: [(&[&str], &[&str]); 3] = [
        (
            &["ra", "raj2000", "ra_j2000", "_raj2000", "ra_icrs", "radeg", "ra_deg", "alpha"],
            &["dec", "dej2000", "de_j2000", "dec_j2000", "decj2000", "_dej2000", "de_icrs", "dec_icrs", "dedeg", "dec_deg", "delta", "de"],
        ),
        (&["lon", "longitude", "s_ra", "ramean", "right_ascension"], &["lat", "latitude", "s_dec", "decmean", "declination"]),
        (&["ra_1", "ra1"], &["dec_1", "dec1"]),
    ];
    let numbers: Vec<&Column> = columns.iter().filter(|c| c.datatype.is_number() && !c.array).collect();
    let degrees: Vec<&Column> = numbers.iter().filter(|c| matches!(c.datatype, DataType::Real | DataType::Double)).copied().collect();
    let by_ucd =
        |ucd: &str| degrees.iter().find(|c| is_ucd(&c.ucd, ucd, true)).or_else(|| degrees.iter().find(|c| is_ucd(&c.ucd, ucd, false)));
    if let (Some(ra), Some(dec)) = (by_ucd("pos.eq.ra"), by_ucd("pos.eq.dec")) {
        return Some((ra.name.clone(), dec.name.clone()));
    }
    let named = |names: &[&str]| names.iter().find_map(|name| numbers.iter().find(|c| c.name.eq_ignore_ascii_case(name)));
    NAMES.iter().find_map(|(lon, lat)| Some((named(lon)?.name.clone(), named(lat)?.name.clone())))
}

/// `pos.eq.ra` or `pos.eq.ra;meta.main`; not an error of it (`stat.error;pos.eq.ra`).
fn is_ucd(ucd: &str, wanted: &str, main: bool) -> bool {
    let mut words = ucd.split(';').map(|word| word.trim().to_ascii_lowercase());
    words.next().is_some_and(|first| first == wanted) && (!main || words.any(|word| word == "meta.main"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(name: &str, part: &str) -> Named {
        Named { name: name.into(), source: Source::Part(part.into()) }
    }

    #[test]
    fn upload_is_read_in_every_form() {
        let one = |text: &str| parse([text].into_iter());
        assert_eq!(one("t1,param:up").expect("one"), [part("t1", "up")]);
        assert_eq!(one("t1,param:a;t2,param:b;").expect("two"), [part("t1", "a"), part("t2", "b")]);
        assert_eq!(one(" TAP_UPLOAD.t1 , param:a ").expect("one"), [part("t1", "a")]);
        assert_eq!(parse(["t1,param:a", "t2,param:b"].into_iter()).expect("two").len(), 2);
        let url = one("t,https://h.org/a;v=1,2?x=y;b,param:q").expect("two");
        assert_eq!(url[0].source, Source::Url("https://h.org/a;v=1,2?x=y".into()));
        assert_eq!(url[1], part("b", "q"));
    }

    #[test]
    fn what_is_wrong_with_upload_is_said() {
        for (text, wanted) in [
            ("t1", "no comma"),
            ("t1,file:///etc/passwd", "neither param:"),
            ("t1,ftp://h/x", "neither param:"),
            ("t1,param:", "neither param:"),
            ("1t,param:a", "no name of a table"),
            ("a.b,param:a", "no name of a table"),
            ("x\"; drop table y; --,param:a", "no name of a table"),
            ("a,param:x;A,param:y", "twice"),
        ] {
            let error = parse([text].into_iter()).expect_err(text).to_string();
            assert!(error.contains(wanted), "{text}: {error}");
        }
    }

    fn column(name: &str, datatype: DataType, ucd: &str) -> Column {
        Column { ucd: ucd.into(), ..Column::new(name, datatype) }
    }

    #[test]
    fn positions_are_found_by_ucd_then_by_name() {
        use DataType::{Double, Text};
        let find = |columns: &[Column]| position(columns).map(|(ra, dec)| format!("{ra} {dec}"));
        let named = [column("RA", Double, ""), column("Dec", Double, "")];
        assert_eq!(find(&named).as_deref(), Some("RA Dec"));
        let marked = [
            column("ra", Double, ""),
            column("dec", Double, ""),
            column("e", Double, "stat.error;pos.eq.ra"),
            column("x0", Double, "pos.eq.ra"),
            column("y0", Double, "pos.eq.dec"),
            column("x", Double, "pos.eq.ra;meta.main"),
            column("y", Double, "POS.EQ.DEC;META.MAIN"),
        ];
        assert_eq!(find(&marked).as_deref(), Some("x y"));
        assert_eq!(find(&[column("lon", Double, ""), column("lat", Double, "")]).as_deref(), Some("lon lat"));
        assert_eq!(find(&[column("ra", Text, ""), column("dec", Text, "")]), None);
        assert_eq!(find(&[column("ra", Double, "")]), None);
    }

    #[test]
    fn column_names_are_quoted_or_refused() {
        let table = |name: &str| table("t", 1, &[Column::new(name, DataType::Integer)]);
        assert!(table("ctid").expect_err("PostgreSQL's own").to_string().contains("rename it"));
        let quoted = table("a\"; drop table b; --").expect("names may hold anything");
        assert!(ddl::create_table(&quoted).contains("\"a\"\"; drop table b; --\" integer"));
    }
}
